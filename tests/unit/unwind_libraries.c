/* SPDX-License-Identifier: MIT
 * Walks while libraries come and go: what is kept of one is not believed of the next at its address. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat/cpu.h"
#include "compat/modules.h"
#include "compat/os.h"
#include "tests/support/unwind_here.h"

static void *closes(void *arg)
{
    sp_unwind_closing();
    sp_store_release((int *)arg, 1);
    while (sp_load_acquire((int *)arg) == 1)
        sp_os_sleep_ns(100000);
    sp_unwind_closed();
    return NULL;
}

static void while_a_library_goes(void)
{
    static int state;
    pthread_t t;
    prepare();
    sp_unwind_closing(); /* this thread: it is walked, and nothing is kept */
    uint64_t misses = sp_unwind_counts.misses;
    outer(2);
    check_outer(2, true);
    CHECK(sp_unwind_counts.misses >= misses + u.n);
    outer(2);
    CHECK(sp_unwind_counts.misses >= misses + 2 * u.n);
    sp_unwind_closed();
    outer(2);
    pthread_create(&t, NULL, closes, &state);
    while (sp_load_acquire(&state) != 1)
        sp_os_sleep_ns(100000);
    outer(2);
    CHECK(u.n == 0 && u.end == SP_UNWIND_CLOSING);
    sp_unwind_asleep(&u, (uintptr_t)while_a_library_goes, (uintptr_t)__builtin_frame_address(0));
    CHECK(u.n == 0 && u.end == SP_UNWIND_CLOSING);
    sp_unwind_asleep_over();
    pid_t child = fork(); /* there that thread is not */
    if (child == 0) {
        sp_unwind_forked();
        outer(2);
        check_outer(2, true);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0);
    sp_store_release(&state, 2);
    pthread_join(t, NULL);
    outer(2);
    check_outer(2, true);
}

/* A process beside that was stopped in its walk: nothing is kept until that is over. */
static void while_a_sleeper_is_walked(void)
{
    prepare();
    outer(2);
    sp_unwind_asleep(&u, (uintptr_t)while_a_sleeper_is_walked, (uintptr_t)__builtin_frame_address(0));
    CHECK(u.n > 0);
    for (int held = 1; held >= 0; held--) {
        if (!held)
            sp_unwind_asleep_over();
        sp_unwind_closing();
        sp_unwind_closed();
        outer(2);
        uint64_t misses = sp_unwind_counts.misses;
        outer(2);
        check_outer(2, true);
        CHECK_EQ(sp_unwind_counts.misses - misses >= u.n, held);
    }
}

/* ---- two libraries at one address, with different frames */
static int n_wrong, n_same;

FRAME static int in_turn(int (*turn)(int (*)(void)))
{
    return turn(leaf) + keep;
}

static void a_turn(const char *path, bool told)
{
    static uintptr_t last;
    void *library = dlopen(path, RTLD_NOW);
    int (*turn)(int (*)(void)) = library ? (int (*)(int (*)(void)))dlsym(library, "turn") : NULL;
    CHECK(turn);
    in_turn(turn);
    int first = at(leaf);
    CHECK(first > 0);
    n_wrong += sp_unwind_function(frames[first + 1].pc - 1) != (uintptr_t)turn || at(in_turn) != first + 2;
    n_same += (uintptr_t)turn == last;
    last = (uintptr_t)turn;
    if (told)
        sp_unwind_closing();
    dlclose(library);
    if (told)
        sp_unwind_closed();
}

static void turns(int n, bool told)
{
    n_wrong = n_same = 0;
    for (int i = 0; i < n; i++)
        a_turn(i % 2 ? TURN_A : TURN_B, told);
    CHECK(n_same > n / 2);
}

static void libraries_take_turns(void)
{
    prepare();
    turns(100, false); /* that the test sees it */
    CHECK(n_wrong > 20);
    sp_unwind_closing();
    sp_unwind_closed();
    turns(1000, true);
    CHECK_EQ(n_wrong, 0);
    sp_modules_use_mappings();
    turns(40, true);
    CHECK_EQ(n_wrong, 0);
}

/* ---- files that are not what they were */
static void copy_file(const char *from, int to)
{
    static char bytes[1 << 20];
    FILE *f = fopen(from, "r");
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    CHECK(n > 4096 && write(to, bytes, n) == (ssize_t)n);
    fclose(f);
}

/* A library without a name, one that was removed, and one that was cut short: its table's pages are gone (SIGBUS). */
static void files_change(void)
{
    prepare();
    for (int cut = 0; cut < 2; cut++) {
        char path[64];
        int fd = memfd_create("turn", 0);
        struct sp_module m;
        copy_file(TURN_A, fd);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        void *library = dlopen(path, RTLD_NOW);
        int (*turn)(int (*)(void)) = library ? (int (*)(int (*)(void)))dlsym(library, "turn") : NULL;
        CHECK(turn && sp_module_at(&m, (uintptr_t)turn) && m.unwind > (uintptr_t)turn);
        off_t table = (off_t)(m.unwind - m.start) & ~4095l; /* the file is mapped as it lies, but for data */
        if (cut)
            CHECK(ftruncate(fd, table) == 0);
        in_turn(turn);
        if (cut)
            CHECK(u.end == SP_UNWIND_NO_RULE && at(leaf) > 0 && (int)u.n == at(leaf) + 2);
        else
            CHECK(at(in_turn) == at(leaf) + 2);
        if (!cut) { /* else the loader's own reads are a SIGBUS */
            sp_unwind_closing();
            dlclose(library);
            sp_unwind_closed();
        }
        close(fd);
    }
}

static volatile bool turning;
static int walks, refused, n_walkers;

static void *walks_on(void *arg)
{
    (void)arg;
    u.stack_top = top_of_stack(); /* allocates */
    sp_add_relaxed(&n_walkers, 1);
    while (turning) {
        outer(3);
        sp_add_relaxed(u.end == SP_UNWIND_CLOSING ? &refused : &walks, 1);
        if (u.end != SP_UNWIND_CLOSING)
            check_outer(3, true);
    }
    return NULL;
}

static long data_pages(void)
{
    long size, resident, shared, text, library, data;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%ld %ld %ld %ld %ld %ld", &size, &resident, &shared, &text, &library, &data) == 6);
    fclose(f);
    return data;
}

static void libraries_take_turns_beside_walks(void)
{
    pthread_t t[2];
    prepare();
    turning = true;
    for (int i = 0; i < 2; i++)
        pthread_create(&t[i], NULL, walks_on, NULL);
    while (sp_load_relaxed(&n_walkers) < 2)
        sp_os_sleep_ns(1000000);
    turns(100, true);
    long before = data_pages();
    turns(3000, true);
    CHECK(data_pages() <= before + 64);
    turning = false;
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(n_wrong, 0);
    CHECK(walks > 0);
}

const struct unit_case unit_cases[] = {
    {"while_a_library_goes", while_a_library_goes},
    {"while_a_sleeper_is_walked", while_a_sleeper_is_walked},
    {"libraries_take_turns", libraries_take_turns},
    {"files_change", files_change},
    {"libraries_take_turns_beside_walks", libraries_take_turns_beside_walks},
    {NULL, NULL},
};
