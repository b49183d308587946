/* SPDX-License-Identifier: MIT
 * Linux by raw system calls (see os.h): signals that are sent, pending, and blocked, in this thread and, by /proc, in others. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "compat/buf.h"
#include "compat/os_linux_call.h"
#include "compat/os_linux_peek.h"

int sp_os_tgkill(int tid, int sig)
{
    int pid = sp_os_getpid(); /* a filter may refuse to tell */
    return (int)(pid > 0 ? sp_syscall6(SYS_tgkill, pid, tid, sig, 0, 0, 0) : sp_syscall6(SYS_tkill, tid, sig, 0, 0, 0, 0));
}

int sp_os_kill(int pid, int sig)
{
    return pid > 0 ? (int)sp_syscall6(SYS_kill, pid, sig, 0, 0, 0, 0) : -ESRCH; /* -1 would be everybody */
}

bool sp_os_on_alternate_stack(void)
{
    stack_t now;
    return sp_syscall6(SYS_sigaltstack, 0, (long)&now, 0, 0, 0, 0) == 0 && now.ss_flags & SS_ONSTACK;
}

SP_SIGSAFE static uint64_t mask_change(int how, uint64_t set)
{
    uint64_t old = 0;
    sp_syscall6(SYS_rt_sigprocmask, how, (long)&set, (long)&old, KERNEL_SIGSET_BYTES, ~(long)&set, 0);
    return old;
}

/* A system call of four arguments leaves a fifth register as it was: in our own calls that is a mark. */
bool sp_os_ends_mask_call(const void *context)
{
    struct sp_cpu_call c = sp_cpu_context_call(context);
    bool may_be = c.nr < 0 ? c.args[0] == SIG_UNBLOCK || c.args[0] == SIG_SETMASK : c.nr == SYS_rt_sigprocmask;
    if (!may_be || c.args[3] != KERNEL_SIGSET_BYTES || c.args[4] == ~c.args[1] || !sp_os_readable(c.instruction) ||
        !sp_cpu_is_syscall(c.instruction))
        return false;
    const uint64_t *before = (const uint64_t *)(uintptr_t)c.args[2]; /* what the call said of the mask, if it was asked */
    return !before || !sp_os_readable((uintptr_t)before) || *before & SP_OS_MASK(SIGPROF);
}

uint64_t sp_os_pending(void)
{
    uint64_t set = 0;
    sp_syscall6(SYS_rt_sigpending, (long)&set, KERNEL_SIGSET_BYTES, 0, 0, 0, 0);
    return set;
}

uint64_t sp_os_mask_block(uint64_t add)
{
    return mask_change(SIG_BLOCK, add);
}

uint64_t sp_os_mask_unblock(uint64_t sub)
{
    return mask_change(SIG_UNBLOCK, sub);
}

void sp_os_mask_set(uint64_t mask)
{
    mask_change(SIG_SETMASK, mask);
}

int sp_os_take_pending(uint64_t mask, siginfo_t *info)
{
    struct timespec none = {0, 0};
    long r = sp_syscall6(SYS_rt_sigtimedwait, (long)&mask, (long)info, (long)&none, KERNEL_SIGSET_BYTES, 0, 0);
    return r > 0 ? (int)r : 0;
}

int sp_os_queue_to_thread(int tid, int sig, siginfo_t *info)
{
    return (int)SYS(SYS_rt_tgsigqueueinfo, sp_os_linux_home ? sp_os_linux_home : sp_os_getpid(), tid, sig, info);
}

SP_SIGSAFE static uint64_t parse_hex(const char *s)
{
    uint64_t v = 0;
    for (; (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'f'); s++)
        v = v << 4 | (uint64_t)(*s <= '9' ? *s - '0' : *s - 'a' + 10);
    return v;
}

struct signals {
    uint64_t blocked, pending; /* the latter: sent to the thread itself */
    bool sleeps;
};

/* Whether the thread that /proc describes at `path` lives, and its signals. */
SP_SIGSAFE static bool read_status(const char *path, struct signals *s)
{
    struct sp_peek peek;
    if (!sp_peek_open(&peek, path))
        return false;
    char chunk[256], line[32] = "";
    bool lives = false, has_mask = false;
    size_t used = 0;
    long n;
    while ((n = sp_peek_read(&peek, chunk, sizeof chunk)) > 0)
        for (long i = 0; i < n; i++) {
            if (chunk[i] != '\n') {
                if (used < sizeof line - 1)
                    line[used++] = chunk[i];
                continue;
            }
            line[used] = '\0';
            used = 0;
            if (memcmp(line, "State:\t", 7) == 0) {
                lives = line[7] != 'Z' && line[7] != 'X';
                s->sleeps = line[7] == 'S';
            } else if (memcmp(line, "SigPnd:\t", 8) == 0) {
                s->pending = parse_hex(line + 8);
            } else if (memcmp(line, "SigBlk:\t", 8) == 0) {
                s->blocked = parse_hex(line + 8);
                has_mask = true;
            }
        }
    sp_peek_close(&peek);
    return lives && has_mask;
}

bool sp_os_main_thread_blocks(uint64_t *mask)
{
    char path[32];
    SP_BUF(b, path);
    sp_os_linux_put_self(&b);
    sp_buf_str(&b, "/status");
    struct signals s = {0, 0, false}; /* the main thread's, whoever reads it */
    bool is_read = read_status(path, &s);
    *mask = s.blocked;
    return is_read;
}

SP_SIGSAFE static struct signals signals_of(int tid)
{
    char path[48];
    SP_BUF(b, path);
    sp_os_linux_put_self(&b);
    sp_buf_str(&b, "/task/");
    sp_buf_u64(&b, (uint64_t)tid);
    sp_buf_str(&b, "/status");
    struct signals s = {0, 0, false};
    return read_status(path, &s) ? s : (struct signals){0, 0, false};
}

bool sp_os_thread_blocks(int tid, int sig)
{
    return signals_of(tid).blocked & SP_OS_MASK(sig);
}

bool sp_os_waits_in_thread(int tid, int sig)
{
    return signals_of(tid).pending & SP_OS_MASK(sig);
}

bool sp_os_is_on_its_way(int tid, int sig)
{
    struct signals s = signals_of(tid);
    bool is_kept = s.sleeps && s.blocked & SP_OS_MASK(sig);
    return s.pending & SP_OS_MASK(sig) && !is_kept;
}

int sp_os_requeue(int sig, siginfo_t *info)
{
    return (int)sp_syscall6(SYS_rt_tgsigqueueinfo, sp_os_getpid(), sp_os_gettid(), sig, (long)info, 0, 0);
}

void sp_os_requeue_to_process(int sig, siginfo_t *info)
{
    /* To itself a process may send any siginfo; si_code SI_USER comes from the kernel only to others. */
    if (sp_syscall6(SYS_rt_sigqueueinfo, sp_os_getpid(), sig, (long)info, 0, 0, 0) != 0)
        sp_os_kill(sp_os_getpid(), sig);
}
