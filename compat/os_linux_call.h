/* SPDX-License-Identifier: MIT
 * System calls of os_linux*.c that can fail: test builds make the n-th fail. */
#ifndef SP_COMPAT_OS_LINUX_CALL_H
#define SP_COMPAT_OS_LINUX_CALL_H

#include <errno.h>

#include "compat/buf.h"
#include "compat/cpu.h"
#include "compat/os.h"

#ifdef SP_FAULT
/* [handler] sp_syscall6(), or the failure that sp_os_fault_set() asked for. */
SP_SIGSAFE long sp_os_linux_call(long nr, long a, long b, long c, long d, long e, long f);
#else
#define sp_os_linux_call sp_syscall6
#endif

#define SYS6(nr, a, b, c, d, e, f) sp_os_linux_call((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define SYS(nr, a, b, c, d) SYS6(nr, a, b, c, d, 0, 0)

/* [handler] Whether a call that was interrupted is to be made again; tries: 0 before the first. A filter may say so for ever. */
SP_INLINE bool sp_os_linux_again(long result, uint32_t *tries)
{
    return result == -EINTR && ++*tries < 100000;
}

#define KERNEL_SIGSET_BYTES 8 /* what the kernel wants to hear of a signal set; libc's is larger */

/* In a process beside another (sp_os_beside): the other's id; else 0. */
extern __thread int sp_os_linux_home;
/* "/proc/self", or what is that of the process beside which this one is. */
SP_INLINE void sp_os_linux_put_self(struct sp_buf *b)
{
    sp_buf_str(b, "/proc/");
    if (sp_os_linux_home)
        sp_buf_u64(b, (uint64_t)sp_os_linux_home);
    else
        sp_buf_str(b, "self");
}

/* [handler] openat(), also where the program's limit on descriptors is used up. */
SP_SIGSAFE int sp_os_linux_open(const char *path, int flags, int mode);

/* [handler] Whether what madvise() says of memory at `p` can be believed. */
SP_SIGSAFE bool sp_os_linux_takes_advice(const void *p);

struct linux_dirent64 { /* fs/readdir.c; libc has no getdents64 before glibc 2.30 */
    uint64_t ino;
    int64_t off;
    uint16_t reclen;
    uint8_t type;
    char name[];
};

#endif
