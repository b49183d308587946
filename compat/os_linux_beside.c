/* SPDX-License-Identifier: MIT
 * A process that shares this one's memory: clone(CLONE_VM) without CLONE_FS and CLONE_SIGHAND, with no signal at
 * its end, which wait() and waitpid(-1) do not see (they want __WCLONE or __WALL). */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "compat/os_linux_call.h"

#ifndef SYS_close_range
#define SYS_close_range 436 /* Linux 5.9; on every processor */
#endif
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2
#endif
#define STACK_BYTES 65536
#define TLS_BYTES 4096 /* before and behind what is known to be there: all that we have is 512 bytes */
#define FAULTS                                                                                                  \
    (SP_OS_MASK(SIGSEGV) | SP_OS_MASK(SIGBUS) | SP_OS_MASK(SIGFPE) | SP_OS_MASK(SIGILL) | SP_OS_MASK(SIGTRAP) | \
     SP_OS_MASK(SIGSYS) | SP_OS_MASK(SIGABRT))

__thread int sp_os_linux_home;

/* Threads: by the caller of sp_os_beside(), one at a time. */
static char *block; /* stack and thread-local storage; kept */
static struct {
    void (*run)(void *arg);
    void *arg;
    int home;
} start;

SP_SIGSAFE static void leave(int status)
{
    sp_syscall6(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

SP_SIGSAFE static void fault(int sig)
{
    leave(sig);
}

/* Before Linux 5.16 a core dump kills every process that shares the memory (zap_threads() in fs/coredump.c). */
static void end_at_faults(void)
{
    struct { /* the kernel's, which wants a way back on x86 */
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(int);
        uint64_t mask;
    } act = {fault, 0x04000000 /* SA_RESTORER */, fault, ~0ull};
    for (int sig = 1; sig < SP_OS_SIGNALS; sig++)
        if (FAULTS & SP_OS_MASK(sig))
            sp_syscall6(SYS_rt_sigaction, sig, (long)&act, 0, sizeof act.mask, 0, 0);
    sp_os_mask_unblock(FAULTS);
}

/* It has the program's table of descriptors until it makes one of its own without the program's files: not for a moment does it hold
 * what the program closes (a lock, the end of a pipe, a file that is to be executed). */
static void leave_files(void)
{
    sp_syscall6(SYS_close_range, 3, ~0u, CLOSE_RANGE_UNSHARE, 0, 0, 0);
}

static bool can_leave_files(void)
{
    return sp_syscall6(SYS_close_range, ~0u, ~0u, 0, 0, 0, 0) == 0;
}

static void enter_beside(void *arg)
{
    (void)arg;
    end_at_faults();
    leave_files();
    sp_os_linux_home = start.home;
    start.run(start.arg);
    leave(0);
}

int sp_os_beside(void (*run)(void *arg), void *arg, int *pid)
{
    uintptr_t here = sp_cpu_thread_pointer(), ours = (uintptr_t)&sp_os_linux_home;
    uintptr_t low = ((here < ours ? here : ours) - TLS_BYTES) & ~63ull,
              span = (here < ours ? ours - here : here - ours) + 3 * TLS_BYTES;
    if (sp_cpu_is_valgrind() || !can_leave_files()) /* the former ends a program at these flags */
        return -ENOSYS;
    if (!block && !(block = sp_os_pages(STACK_BYTES + span)))
        return -ENOMEM;
    char *tls = block + STACK_BYTES;
    memset(tls + (here - low) - TLS_BYTES / 2, 0, TLS_BYTES);
    memset(tls + (ours - low) - TLS_BYTES / 2, 0, TLS_BYTES);
    start.run = run;
    start.arg = arg;
    start.home = sp_os_getpid();
    long rc = sp_cpu_clone(CLONE_VM | CLONE_FILES | CLONE_SETTLS | CLONE_PARENT_SETTID, block + STACK_BYTES, pid,
                           (uintptr_t)tls + (here - low), enter_beside);
    return rc < 0 ? (int)rc : 0;
}

bool sp_os_beside_ended(int pid, bool waits)
{
    long r;
    do
        r = sp_syscall6(SYS_wait4, pid, 0, (long)(__WCLONE | (waits ? 0 : WNOHANG)), 0, 0, 0);
    while (r == -EINTR);
    return r != 0;
}
