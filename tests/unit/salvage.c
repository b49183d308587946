/* SPDX-License-Identifier: MIT
 * A region read back from its bytes is the same profile; damaged bytes give less of it, never nonsense. */
#include <unistd.h>

#include "inject/command/salvage.h"
#include "sampler/slots.h"
#include "tests/support/region.h"
#include "tests/support/unit.h"
#include "writers/writer.h"

#define BYTES (4u << 20)

static char text[2][4 << 20];
static size_t text_bytes[2];

static int sink(void *arg, const void *data, size_t n)
{
    int which = *(int *)arg;
    CHECK(text_bytes[which] + n <= sizeof text[which]);
    memcpy(text[which] + text_bytes[which], data, n);
    text_bytes[which] += n;
    return 0;
}

static void write_it(const struct sp_region *r, int which)
{
    struct sp_profile p = {.region = r, .wall_ns = 2100000000, .most_bytes = UINT64_MAX};
    char buffer[4096];
    struct sp_out out = {.sink = sink, .arg = &which, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    text_bytes[which] = 0;
    CHECK_EQ(sp_writer_speedscope.write(&p, &out), 0);
}

static uint32_t named(struct sp_region *r, uint32_t parent, enum sp_frame_kind kind, uint32_t what)
{
    return sp_intern_node(r, parent, sp_intern_frame(r, kind, what, 0));
}

/* CPU that is in no Python stack, but has frames: those of native code, what a thread was to run, what stands on a frame that
 * was not found. */
static void add_bare_stacks(struct sp_region *r, struct sp_thread *t, uint32_t function)
{
    uint32_t z = sp_intern_native_frame(r, sp_intern_string(r, "00ff:/lib/libz.so.1", 19), 0x5d80);
    uint32_t end = sp_node_at(r, r->pseudo_node[SP_CATEGORY_THREAD_END])->frame;
    uint32_t deep = sp_intern_node(r, sp_intern_node(r, 0, z), z);
    region_sample_of(r, t, deep, SP_CATEGORY_NATIVE_THREAD, 31000000, 6000000000);
    region_sample_of(r, t, sp_intern_node(r, r->pseudo_node[SP_CATEGORY_STARTUP], z), SP_CATEGORY_STARTUP, 32000000,
                     6000000000);
    region_sample_of(r, t, region_node(r, r->pseudo_node[SP_CATEGORY_UNWALKABLE], function, 0), SP_CATEGORY_UNWALKABLE,
                     33000000, 6000000000);
    region_sample_of(r, t, sp_intern_node(r, region_node(r, 0, function, -1), end), SP_CATEGORY_THREAD_END, 34000000,
                     6000000000);
    region_sample_of(r, t, sp_intern_node(r, region_node(r, 0, function, 0), z), SP_CATEGORY_PYTHON, 35000000, 6000000000);
}

/* All kinds of content: tasks, interpreters, cuts, sums without records, threads that were folded. */
static struct sp_region *profile(void)
{
    struct sp_region *r = region_new(BYTES, 64);
    struct sp_thread *main = region_thread(r, 4711, ""), *worker = region_thread(r, 4712, "w\"orker"), *gone;
    uint32_t m = region_code(r, "<module>", "/srv/app.py", 1), f = region_code(r, "A.f", "/srv/app.py", 10);
    uint32_t sub = named(r, 0, SP_FRAME_INTERPRETER, 3), task = named(r, 0, SP_FRAME_TASK, sp_intern_string(r, "task a", 6));
    uint32_t at_m = region_node(r, 0, m, 0), mf = region_node(r, at_m, f, 4);
    uint32_t in_sub = region_node(r, sub, m, 0), in_task = region_node(r, task, m, 4);
    uint32_t cut = region_node(r, named(r, task, SP_FRAME_PSEUDO, SP_PSEUDO_TRUNCATED), f, 2);
    sp_log_book_pseudo(r, main, SP_CATEGORY_STARTUP, 12000000, 0);
    main->last_cpu_ns += 12000000;
    for (uint32_t i = 0; i < 500; i++) /* several chunks */
        region_sample(r, main, i & 1 ? mf : in_task, 10000000 + i, (300 + 10ull * i) * 1000000);
    region_sample(r, main, cut, 7000000, 6000000000);
    region_sample(r, worker, in_sub, 70000000, 350000000);
    sp_intern_total(r, worker->number, sub, 0, 1);
    add_bare_stacks(r, worker, f);
    sp_intern_total(r, main->number, mf, 3000000, 1);
    main->cpu_ns[SP_CATEGORY_PYTHON] += 3000000;
    gone = region_thread(r, 4713, "gone");
    region_sample(r, gone, mf, 5000000, 1000000);
    sp_intern_total(r, gone->number, mf, 6000000, 1);
    gone->cpu_ns[SP_CATEGORY_PYTHON] += 6000000;
    gone->end_cpu_ns = gone->last_cpu_ns += 6000000;
    r->max_ended = 0;
    sp_slot_retire(r, gone);
    sp_slot_fold(r, 1); /* half of it */
    CHECK_EQ(gone->state, SP_THREAD_FOLDING);
    sp_count_loss(r, SP_LOSS_BAD_FRAME);
    r->last_ns = 6000000000;
    for (uint32_t i = 1; i <= r->n_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        if (t->state == SP_THREAD_LIVE)
            t->state = SP_THREAD_ENDED;
        t->end_cpu_ns = t->last_cpu_ns;
    }
    return r;
}

static struct sp_salvage_result salvage(const void *bytes, uint64_t n, struct sp_region **into)
{
    *into = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct sp_salvage_source from = {bytes, bytes, n, NULL};
    return sp_salvage(*into, 2 * BYTES, &from);
}

static void the_same_profile(void)
{
    struct sp_region *r = profile(), *again;
    struct sp_salvage_result done = salvage(r, sp_salvage_used(r), &again);
    CHECK(!done.error && done.lost_ns == 0);
    write_it(r, 0);
    write_it(again, 1);
    text[0][text_bytes[0]] = text[1][text_bytes[1]] = '\0';
    CHECK(strcmp(text[0], text[1]) == 0);
    CHECK(strstr(text[0], "task a") && strstr(text[0], "[interpreter 3]") && strstr(text[0], "other threads"));
}

/* Cut off anywhere: what is there is shown, what records name and is not there is counted. */
static void cut_off(void)
{
    struct sp_region *r = profile(), *again;
    uint64_t used = sp_salvage_used(r);
    for (uint64_t n = 0; n < used; n += n < sizeof *r + 4096 ? 61 : 4093) {
        struct sp_salvage_result done = salvage(r, n, &again);
        CHECK((n < sizeof *r) == (done.error != NULL));
        if (!done.error)
            write_it(again, 1);
        munmap(again, 2 * BYTES);
    }
}

/* Every slot has the same chunk, which follows itself: it is not read more often than there are bytes. */
static void going_round(void)
{
    struct sp_region *r = profile(), *again;
    struct sp_thread *main = sp_thread_at(r, 1);
    struct sp_chunk *c = sp_at64(r, main->first_chunk);
    uint32_t *directory = sp_at(r, r->thread_directory);
    c->next = main->first_chunk;
    for (uint32_t i = 2; i <= r->max_threads; i++)
        directory[i] = directory[1];
    r->n_threads = r->max_threads;
    struct sp_salvage_result done = salvage(r, sp_salvage_used(r), &again);
    uint64_t ns = 0, most = 0;
    for (uint32_t i = 0; i < c->n; i++)
        most = c->records[i].cpu_ns > most ? c->records[i].cpu_ns : most;
    for (uint32_t i = 1; i <= again->n_threads; i++)
        ns += sp_thread_at(again, i)->cpu_ns[SP_CATEGORY_PYTHON];
    CHECK(!done.error && ns <= BYTES / sizeof(struct sp_record) * most);
}

static void other_layouts_are_refused(void)
{
    struct sp_region *r = profile(), *again;
    r->layout++;
    CHECK(strstr(salvage(r, BYTES, &again).error, "another version"));
    r->layout--;
    r->magic = 0;
    CHECK(strstr(salvage(r, BYTES, &again).error, "no profile"));
}

/* A node that a record names is missing: its time is kept under (overflow). */
static void lost_node(void)
{
    struct sp_region *r = profile(), *again;
    struct sp_thread *t = sp_thread_at(r, 1);
    struct sp_chunk *c = sp_at64(r, t->first_chunk);
    c->records[2].node = 0x00ffffff;
    struct sp_salvage_result done = salvage(r, sp_salvage_used(r), &again);
    CHECK(!done.error);
    CHECK_EQ(done.lost_ns, c->records[2].cpu_ns);
    write_it(again, 1);
    CHECK(memmem(text[1], text_bytes[1], "(overflow)", 10));
}

const struct unit_case unit_cases[] = {
    {"the_same_profile", the_same_profile},
    {"cut_off", cut_off},
    {"going_round", going_round},
    {"other_layouts_are_refused", other_layouts_are_refused},
    {"lost_node", lost_node},
    {NULL, NULL},
};
