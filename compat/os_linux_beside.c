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

bool sp_os_is_beside(void)
{
    return sp_os_linux_home;
}

SP_SIGSAFE static void leave(int status)
{
    sp_syscall6(SYS_exit_group, status, 0, 0, 0, 0, 0);
}

/* Threads: by the process beside. */
static void *escape[5]; /* as the compiler wants it */
static volatile bool may_escape;

SP_SIGSAFE static void fault(int sig)
{
    if (may_escape) {
        may_escape = false;
        __builtin_longjmp(escape, 1);
    }
    leave(sig);
}

__attribute__((noinline)) bool sp_os_beside_try(void (*f)(void *arg), void *arg)
{
    if (__builtin_setjmp(escape) != 0)
        return false;
    may_escape = true;
    f(arg);
    may_escape = false;
    return true;
}

/* Before Linux 5.16 a core dump kills every process that shares the memory (zap_threads() in fs/coredump.c). */
static void end_at_faults(void)
{
    struct { /* the kernel's, which wants a way back on x86 */
        void (*handler)(int);
        unsigned long flags;
        void (*restorer)(int);
        uint64_t mask;
    } act = {fault, 0x04000000 /* SA_RESTORER */ | SA_NODEFER, fault, ~FAULTS};
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

/* A first child in a new namespace would be its process 1, whose end is everybody's (man 7 pid_namespaces); and where /proc is
 * another namespace's it would find somebody else's files under the program's number. */
static bool has_own_pids(void)
{
    struct sp_os_stat own, of_children;
    char number[16], self[16];
    SP_BUF(b, number);
    sp_buf_u64(&b, (uint64_t)sp_os_getpid());
    return sp_os_read_link("/proc/self", self, sizeof self) == 0 && strcmp(self, number) == 0 &&
           sp_os_stat("/proc/self/ns/pid", true, &own) == 0 &&
           sp_os_stat("/proc/self/ns/pid_for_children", true, &of_children) == 0 && own.inode == of_children.inode;
}

static void enter_beside(void *arg)
{
    (void)arg;
    end_at_faults();
    leave_files();
    sp_syscall6(SYS_chdir, (long)"/", 0, 0, 0, 0, 0); /* the program may want to unmount where it was */
    sp_syscall6(SYS_setpgid, 0, 0, 0, 0, 0, 0); /* what stops the program's group would be told to the program, by a SIGCHLD */
    sp_os_linux_home = start.home;
    start.run(start.arg);
    leave(0);
}

int sp_os_beside(void (*run)(void *arg), void *arg, int *pid)
{
    uintptr_t here = sp_cpu_thread_pointer(), ours = (uintptr_t)&sp_os_linux_home;
    uintptr_t low = ((here < ours ? here : ours) - TLS_BYTES) & ~63ull,
              span = (here < ours ? ours - here : here - ours) + 3 * TLS_BYTES;
    if (sp_cpu_is_valgrind() || !can_leave_files() || !has_own_pids())
        return -ENOSYS; /* the first ends a program at these flags */
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
    uint32_t tries = 0;
    long r;
    do
        r = sp_syscall6(SYS_wait4, pid, 0, (long)(__WCLONE | (waits ? 0 : WNOHANG)), 0, 0, 0);
    while (sp_os_linux_again(r, &tries));
    return r != 0;
}
