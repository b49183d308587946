/* SPDX-License-Identifier: MIT
 * What differs by processor: system calls without libc, the thread pointer, registers of an interrupted
 * context. Raw calls keep errno untouched and bind to no symbol version. */
#ifndef SP_COMPAT_CPU_H
#define SP_COMPAT_CPU_H

#include <ucontext.h>

#include "compat/base.h"

#if defined(__x86_64__)

SP_INLINE long sp_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}

SP_INLINE uintptr_t sp_cpu_thread_pointer(void)
{
    uintptr_t tp;
    __asm__ volatile("mov %%fs:0, %0" : "=r"(tp));
    return tp;
}

SP_INLINE uintptr_t sp_cpu_context_sp(const void *uc)
{
    return (uintptr_t)((const ucontext_t *)uc)->uc_mcontext.gregs[REG_RSP];
}

#define SP_CPU_DLSYM_VERSION "GLIBC_2.2.5"

#elif defined(__aarch64__)

SP_INLINE long sp_syscall6(long nr, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = nr;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

SP_INLINE uintptr_t sp_cpu_thread_pointer(void)
{
    return (uintptr_t)__builtin_thread_pointer();
}

SP_INLINE uintptr_t sp_cpu_context_sp(const void *uc)
{
    return (uintptr_t)((const ucontext_t *)uc)->uc_mcontext.sp;
}

#define SP_CPU_DLSYM_VERSION "GLIBC_2.17"

#else
#error "spprof: this processor has no compat/cpu.h section yet"
#endif

#endif
