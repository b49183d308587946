/* SPDX-License-Identifier: MIT
 * Stacks as programs have them: alternate ones, fibres'. Every stack lies between painted margins; each function burns CPU
 * and answers whether all is as it was: 0, or the number of the first thing that is not. Loaded by tests through ctypes. */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif
#define MARGIN 65536
#define PAINT 0xa5

enum { OWN_HANDLER = 1, PAST_LIBC = 2, AUTODISARM = 4, IN_THREAD = 8, KEEP = 16, DIE = 32 };

int alternate(int bytes, int ms, int how);
int alternate_depth(int bytes, int ms);
int answers(char *out);
int fibre(int bytes, int ms, int how);
int fibre_prepare(int bytes);
int frame_bytes(void);
int system_calls(void);

int frame_bytes(void)
{
    int bytes = (int)getauxval(AT_MINSIGSTKSZ);
    return bytes ? bytes : 4096;
}

/* ---- painted memory */
struct arena {
    unsigned char *low, *stack, *high, *end;
};

static struct arena paint(int bytes)
{
    struct arena a;
    size_t all = 2 * MARGIN + (size_t)bytes;
    a.low = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    a.stack = a.low + MARGIN;
    a.high = a.stack + bytes;
    a.end = a.low + all;
    memset(a.low, PAINT, all);
    return a;
}

__attribute__((noinline)) static int is_painted(const unsigned char *p, const unsigned char *end)
{
    while (p < end && *p == PAINT)
        p++;
    return p == end;
}

static void drop(struct arena *a)
{
    munmap(a->low, (size_t)(a->end - a->low));
}

/* ---- work */
static void burn(int ms)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    int64_t end = t.tv_sec * 1000000000ll + t.tv_nsec + ms * 1000000ll;
    do {
        for (volatile int i = 0; i < 2000; i++)
            ;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    } while (t.tv_sec * 1000000000ll + t.tv_nsec < end);
}

static volatile int handled;

static void on_alarm(int sig)
{
    (void)sig;
    handled++;
    burn(6);
}

/* Expires on the ticks on which a profiler's timers expire, and lasts into the next. */
static void start_alarm(int on)
{
    struct itimerval every = {{0, on ? 20000 : 0}, {0, on ? 4000 : 0}};
    struct sigaction act = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART};
    sigaction(SIGVTALRM, &act, NULL);
    setitimer(ITIMER_VIRTUAL, &every, NULL);
}

/* ---- alternate stacks */
struct job {
    int bytes, ms, how, answer;
};

static int set(const stack_t *s, stack_t *old, int how)
{
    return how & PAST_LIBC ? (int)syscall(SYS_sigaltstack, s, old) : sigaltstack(s, old);
}

static int is_shown(const struct arena *a, int how, unsigned flags)
{
    stack_t now;
    return set(NULL, &now, how) == 0 && now.ss_sp == a->stack && now.ss_size == (size_t)(a->high - a->stack) &&
           ((unsigned)now.ss_flags & SS_AUTODISARM) == flags;
}

static int on_alternate(struct job *j)
{
    unsigned flags = j->how & AUTODISARM ? SS_AUTODISARM : 0;
    struct arena a = paint(j->bytes);
    stack_t s = {.ss_sp = a.stack, .ss_size = (size_t)j->bytes, .ss_flags = (int)flags}, old, none = {.ss_flags = SS_DISABLE};
    if (set(NULL, &old, 0) != 0 || !(old.ss_flags & SS_DISABLE))
        return 1;
    if (set(&s, NULL, j->how) != 0)
        return 2;
    if (!is_shown(&a, j->how, flags))
        return 3;
    if (j->how & OWN_HANDLER)
        start_alarm(1);
    burn(j->ms);
    if (j->how & OWN_HANDLER)
        start_alarm(0);
    if (j->how & OWN_HANDLER && !handled)
        return 4;
    if (!is_shown(&a, j->how, flags))
        return 5;
    if (!is_painted(a.low, a.stack) || !is_painted(a.high, a.end))
        return 6;
    if (j->how & DIE)
        raise(SIGTERM);
    if (j->how & KEEP)
        return 0;
    if (set(&none, &old, j->how) != 0 || old.ss_sp != a.stack || old.ss_size != (size_t)j->bytes)
        return 7;
    if (set(NULL, &old, j->how) != 0 || !(old.ss_flags & SS_DISABLE))
        return 8;
    drop(&a);
    return 0;
}

/* ---- what sigaltstack answers */
static unsigned char *tried;
static char *said;

static void say(const char *what, int rc, const stack_t *old)
{
    said += sprintf(said, "%s: %d %d", what, rc, rc ? errno : 0);
    if (old && rc == 0)
        said += sprintf(said, " %ld %zu %x", old->ss_sp ? (long)((unsigned char *)old->ss_sp - tried) : -1, old->ss_size,
                        (unsigned)old->ss_flags);
    *said++ = '\n';
    *said = '\0';
}

static void ask(const char *what, const stack_t *s, stack_t *old)
{
    say(what, sigaltstack(s, old), old);
}

static stack_t small_at(int offset, int bytes, unsigned flags)
{
    return (stack_t){.ss_sp = tried + offset, .ss_size = (size_t)bytes, .ss_flags = (int)flags};
}

static void inside(int sig)
{
    stack_t old, other = small_at(16384, 8192, 0), none = {.ss_flags = SS_DISABLE};
    (void)sig;
    ask(" inside", NULL, &old);
    ask(" inside, another", &other, NULL);
    ask(" inside, none", &none, NULL);
    ask(" inside, after", NULL, &old);
}

static void ask_of_kind(unsigned flags)
{
    stack_t s = small_at(0, 8192, flags), other = small_at(16384, 8192, flags), old, none = {.ss_flags = SS_DISABLE};
    struct sigaction act = {.sa_handler = inside, .sa_flags = SA_ONSTACK};
    sigaction(SIGUSR2, &act, NULL);
    ask("first", &s, &old);
    raise(SIGUSR2);
    ask("after the handler", NULL, &old);
    ask("another", &other, &old);
    ask("and back, in one place", &s, &s);
    ask("it was", NULL, &old);
    ask("none", &none, &old);
    ask("none any more", NULL, &old);
}

/* Each answer, as a line; offsets in place of addresses. */
int answers(char *out)
{
    stack_t s, old, tiny, odd, none = {.ss_flags = SS_DISABLE};
    said = out;
    tried = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    s = small_at(0, 4096, 0), tiny = small_at(0, 1024, 0), odd = small_at(0, 4096, 0x40);
    ask("unreadable", (void *)8, NULL);
    ask("unreadable, another asked", (void *)8, &old);
    ask("too small", &tiny, &old);
    ask("odd flags", &odd, &old);
    ask("a first", &s, NULL);
    ask("unwritable", NULL, (void *)8);
    ask("too small in its place", &tiny, &old);
    ask("still the first", NULL, &old);
    ask("none", &none, &old);
    ask_of_kind(0);
    ask_of_kind(SS_AUTODISARM);
    return (int)strlen(out);
}

static void *in_thread(void *job)
{
    struct job *j = job;
    j->answer = on_alternate(j);
    return NULL;
}

int alternate(int bytes, int ms, int how)
{
    struct job j = {bytes, ms, how, 0};
    pthread_t t;
    if (!(how & IN_THREAD))
        return on_alternate(&j);
    if (pthread_create(&t, NULL, in_thread, &j) != 0)
        return -1;
    pthread_join(t, NULL);
    return j.answer;
}

/* How far down handlers came on a large alternate stack. */
int alternate_depth(int bytes, int ms)
{
    struct arena a = paint(bytes);
    stack_t s = {.ss_sp = a.stack, .ss_size = (size_t)bytes}, none = {.ss_flags = SS_DISABLE};
    if (sigaltstack(&s, NULL) != 0)
        return -1;
    burn(ms);
    sigaltstack(&none, NULL);
    unsigned char *p = a.stack;
    while (p < a.high && *p == PAINT)
        p++;
    int depth = (int)(a.high - p);
    drop(&a);
    return depth;
}

/* ---- fibres */
static __thread ucontext_t from, to;
static __thread int fibre_ms, fibre_how;
static __thread volatile int fibre_rounds;

static void body(void)
{
    while (fibre_ms > 0) {
        burn(5);
        fibre_ms -= 5;
        fibre_rounds++;
        if (swapcontext(&to, &from) != 0)
            break;
    }
    if (fibre_how & DIE)
        _exit(7);
}

static struct arena prepared;

/* Maps the next fibre's stack now. */
int fibre_prepare(int bytes)
{
    prepared = paint(bytes + 1024);
    return 0;
}

/* On a stack with room for `bytes`, below what its own functions need; goes back and forth. */
int fibre(int bytes, int ms, int how)
{
    struct arena a = prepared.low ? prepared : paint(bytes + 1024);
    prepared.low = NULL;
    fibre_ms = ms;
    fibre_how = how;
    getcontext(&to);
    to.uc_stack.ss_sp = a.stack;
    to.uc_stack.ss_size = (size_t)(a.high - a.stack);
    to.uc_link = &from;
    makecontext(&to, body, 0);
    while (fibre_ms > 0)
        swapcontext(&from, &to);
    if (how & DIE)
        swapcontext(&from, &to);
    int answer = !is_painted(a.low, a.stack) ? 1 : !is_painted(a.high, a.end) ? 2 : fibre_rounds == 0 ? 3 : 0;
    drop(&a);
    return answer;
}

#ifdef __x86_64__
/* syscall() with three arguments and 0 on a stack that cannot be written above the place of the return address: there is what is the
 * caller's own. */
static long call_at(char *edge, long nr, long a, long b, long c)
{
    long r;
    __asm__ volatile("xor %%r8d, %%r8d\n\tmov %%rsp, %%rbx\n\tmov %[edge], %%rsp\n\tcall *%[f]\n\tmov %%rbx, %%rsp"
                     : "=a"(r), "+D"(nr), "+S"(a), "+d"(b), "+c"(c)
                     : [edge] "r"(edge), [f] "r"(syscall)
                     : "rbx", "r8", "r9", "r10", "r11", "memory", "cc");
    return r;
}

__asm__(".text\nleave_with_7: mov $60, %eax\n\tmov $7, %edi\n\tsyscall\n\thlt");
extern char leave_with_7[];

int system_calls(void)
{
    enum { PAGE = 4096, PAGES = 16 };
    char *stack = mmap(NULL, PAGE * PAGES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *edge = stack + PAGE * (PAGES - 1);
    if (stack == MAP_FAILED || mprotect(edge, PAGE, PROT_READ) != 0)
        return 1;
    static int word = 1;
    if (call_at(edge, SYS_getpid, 0, 0, 0) != getpid())
        return 2;
    if (call_at(edge, SYS_futex, (long)&word, FUTEX_WAKE, 1) != 0)
        return 3;
    if (call_at(edge, SYS_futex, (long)&word, FUTEX_WAIT, 2) != -1 || errno != EAGAIN)
        return 4;
    static const struct timespec ms = {0, 1000000};
    if (syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 1, &ms, NULL, 0) != -1 || errno != EINVAL) /* the last says: no bit */
        return 5;
    char **top = (char **)(edge - 256);
    *top = leave_with_7;
    int status = 0;
    long child = syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, top, NULL, NULL, 0);
    if (child < 0 || waitpid((pid_t)child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 7)
        return 6;
    munmap(stack, PAGE * PAGES);
    return 0;
}
#else
int system_calls(void)
{
    return 0; /* all arguments of syscall() are in registers */
}
#endif
