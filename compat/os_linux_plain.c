/* SPDX-License-Identifier: MIT
 * System calls that stand in for libc's functions (see os.h). */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>

#include "compat/cpu.h"
#include "compat/os.h"

/* Processors that Linux came to later do not have these (uapi/asm-generic/unistd.h). */
#ifdef SYS_poll
static long old_call(enum sp_os_plain call, const long *a)
{
    static const long numbers[] = {SYS_poll, SYS_select, SYS_epoll_wait};
    return sp_syscall6(numbers[call - SP_OS_PLAIN_poll], a[0], a[1], a[2], a[3], a[4], a[5]);
}
#else
static long old_call(enum sp_os_plain call, const long *a)
{
    struct timespec limit;
    if (call == SP_OS_PLAIN_epoll_wait)
        return sp_syscall6(SYS_epoll_pwait, a[0], a[1], a[2], a[3], 0, 8);
    if (call == SP_OS_PLAIN_poll) {
        limit = (struct timespec){a[2] / 1000, a[2] % 1000 * 1000000};
        return sp_syscall6(SYS_ppoll, a[0], a[1], a[2] < 0 ? 0 : (long)&limit, 0, 8, 0);
    }
    struct old_limit {
        long s, us;
    } *most = (struct old_limit *)a[4];
    if (most)
        limit = (struct timespec){most->s, most->us * 1000};
    long rc = sp_syscall6(SYS_pselect6, a[0], a[1], a[2], a[3], most ? (long)&limit : 0, 0);
    if (most) /* what is left of it, as Linux's select tells */
        *most = (struct old_limit){limit.tv_sec, limit.tv_nsec / 1000};
    return rc;
}
#endif

long sp_os_plain(enum sp_os_plain call, const long arguments[6])
{
    static const long numbers[] = {
        [SP_OS_PLAIN_read] = SYS_read,           [SP_OS_PLAIN_write] = SYS_write,
        [SP_OS_PLAIN_readv] = SYS_readv,         [SP_OS_PLAIN_writev] = SYS_writev,
        [SP_OS_PLAIN_recvfrom] = SYS_recvfrom,   [SP_OS_PLAIN_recvmsg] = SYS_recvmsg,
        [SP_OS_PLAIN_sendto] = SYS_sendto,       [SP_OS_PLAIN_sendmsg] = SYS_sendmsg,
        [SP_OS_PLAIN_connect] = SYS_connect,     [SP_OS_PLAIN_accept] = SYS_accept,
        [SP_OS_PLAIN_accept4] = SYS_accept4,     [SP_OS_PLAIN_flock] = SYS_flock,
        [SP_OS_PLAIN_fsync] = SYS_fsync,         [SP_OS_PLAIN_fdatasync] = SYS_fdatasync,
        [SP_OS_PLAIN_nanosleep] = SYS_nanosleep, [SP_OS_PLAIN_wait4] = SYS_wait4,
        [SP_OS_PLAIN_waitid] = SYS_waitid,       [SP_OS_PLAIN_recvmmsg] = SYS_recvmmsg,
        [SP_OS_PLAIN_sendmmsg] = SYS_sendmmsg,   [SP_OS_PLAIN_pread64] = SYS_pread64,
        [SP_OS_PLAIN_pwrite64] = SYS_pwrite64,   [SP_OS_PLAIN_preadv] = SYS_preadv,
        [SP_OS_PLAIN_pwritev] = SYS_pwritev,     [SP_OS_PLAIN_preadv2] = SYS_preadv2,
        [SP_OS_PLAIN_pwritev2] = SYS_pwritev2,   [SP_OS_PLAIN_sendfile] = SYS_sendfile,
        [SP_OS_PLAIN_splice] = SYS_splice,       [SP_OS_PLAIN_copy_file_range] = SYS_copy_file_range,
        [SP_OS_PLAIN_openat] = SYS_openat,       [SP_OS_PLAIN_close] = SYS_close,
        [SP_OS_PLAIN_fcntl] = SYS_fcntl,         [SP_OS_PLAIN_msync] = SYS_msync,
        [SP_OS_PLAIN_syncfs] = SYS_syncfs,
    };
    const long *a = arguments;
    if (call >= SP_OS_PLAIN_poll)
        return old_call(call, a);
    return sp_syscall6(numbers[call], a[0], a[1], a[2], a[3], a[4], a[5]);
}

long sp_os_call(long number, const long arguments[6])
{
    const long *a = arguments;
    return sp_syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

bool sp_os_call_waits(long number, long second)
{
    long what = second & FUTEX_CMD_MASK;
    return number == SYS_futex && (what == FUTEX_WAIT || what == FUTEX_WAIT_BITSET || what == FUTEX_LOCK_PI);
}

uintptr_t sp_os_restarts(const void *context)
{
    uintptr_t at = sp_cpu_context_restarts(context);
    bool is_sure = SP_CPU_RESTARTS_ARE_TOLD || (at && sp_os_readable(at) && sp_cpu_is_syscall(at));
    return is_sure ? at : 0;
}

bool sp_os_may_interrupt(const void *context)
{
    switch (sp_cpu_context_restarted(context)) {
    case SYS_read:
    case SYS_readv:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_write:
    case SYS_writev:
    case SYS_sendto:
    case SYS_sendmsg:
    case SYS_recvmmsg:
    case SYS_sendmmsg:
    case SYS_sendfile:
    case SYS_splice:
    case SYS_tee:
    case SYS_accept:
    case SYS_accept4:
    case SYS_connect:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_flock:
    case SYS_fcntl:
    case SYS_openat:
#ifdef SYS_open
    case SYS_open:
#endif
    case SYS_getrandom:
    case SYS_ioctl:
    case SYS_mq_timedsend:
    case SYS_mq_timedreceive: return true;
    case SYS_futex: {
        long op = sp_cpu_context_call(context).args[1] & FUTEX_CMD_MASK;
        return op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET;
    }
    default: return false;
    }
}
