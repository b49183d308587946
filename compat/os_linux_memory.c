/* SPDX-License-Identifier: MIT
 * Linux by raw system calls (see os.h): whether memory can be read, and memory of our own. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "compat/os_linux_call.h"

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
#define NO_ADVICE 0x7fff /* the kernel has none of that number: mm/madvise.c, madvise_behavior_valid() */

/* rt_sigprocmask reads the new set before it looks at `how`: an impossible `how` answers EINVAL for a
 * readable address and EFAULT for the rest, and changes nothing (kernel/signal.c). */
SP_SIGSAFE static bool probe_sigprocmask(uintptr_t a)
{
    return sp_syscall6(SYS_rt_sigprocmask, ~0l, (long)(a & ~7ul), 0, KERNEL_SIGSET_BYTES, 0, 0) == -EINVAL;
}

SP_SIGSAFE static bool probe_vm_readv(uintptr_t a)
{
    uint64_t word;
    struct {
        void *base;
        size_t len;
    } to = {&word, 8}, from = {(void *)(a & ~7ul), 8};
    return sp_syscall6(SYS_process_vm_readv, sp_os_getpid(), (long)&to, 1, (long)&from, 1, 0) == 8;
}

/* Threads: set at the start, before there are ticks. */
static bool (*probe)(uintptr_t);

SP_SIGSAFE static bool probe_by(bool (*p)(uintptr_t), uintptr_t a)
{
    return p == probe_vm_readv ? probe_vm_readv(a) : probe_sigprocmask(a);
}

bool sp_os_readable(uintptr_t address)
{
    return probe_by(probe, address);
}

bool sp_os_can_read(const void *p, size_t bytes)
{
    uintptr_t first = (uintptr_t)p, last = first + bytes - 1;
    return sp_os_readable(first) && (first >> 3 == last >> 3 || sp_os_readable(last));
}

bool sp_os_probe_init(void)
{
    void *hole = (void *)SYS6(SYS_mmap, 0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if ((long)hole < 0 && (long)hole > -4096)
        return false;
    bool (*const candidates[])(uintptr_t) = {probe_sigprocmask, probe_vm_readv};
    static const uint64_t mapped = 1;
    bool found = false;
    /* valgrind takes the first for a fault of the program's */
    for (size_t i = sp_cpu_is_valgrind() ? 1 : 0; i < SP_ARRAY_LEN(candidates) && !found; i++) {
        found = candidates[i]((uintptr_t)&mapped) && !candidates[i]((uintptr_t)hole) && !candidates[i](8);
        if (found)
            probe = candidates[i];
    }
    sp_os_release(hole, 4096);
    return found;
}

void *sp_os_pages(size_t bytes)
{
    long p = SYS6(SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p < 0 && p > -4096 ? NULL : (void *)p;
}

/* qemu's emulation of processes (7.2) says yes to every advice, and follows one. */
bool sp_os_linux_takes_advice(const void *p)
{
    return sp_syscall6(SYS_madvise, (long)p, 1, NO_ADVICE, 0, 0, 0) == -EINVAL;
}

SP_SIGSAFE static void *reserve_pages(void *at, int fixed, size_t bytes, bool *wipes)
{
    long p = SYS6(SYS_mmap, at, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
    if (p < 0 && p > -4096)
        return NULL;
    SYS(SYS_madvise, p, bytes, MADV_DONTDUMP, 0);
    SYS(SYS_madvise, p, bytes, MADV_NOHUGEPAGE, 0);
    *wipes = SYS(SYS_madvise, p, bytes, MADV_WIPEONFORK, 0) == 0 && sp_os_linux_takes_advice((void *)p);
    return (void *)p;
}

void *sp_os_reserve(size_t bytes, bool *wipes)
{
    return reserve_pages(NULL, 0, bytes, wipes);
}

bool sp_os_reserve_at(void *p, size_t bytes, bool *wipes)
{
    return reserve_pages(p, MAP_FIXED, bytes, wipes) != NULL;
}

/* What cannot be written counts neither as data (mm/mmap.c, is_data_mapping) nor as committed. */
int sp_os_make_writable(void *p, size_t bytes)
{
    return (int)SYS(SYS_mprotect, p, bytes, PROT_READ | PROT_WRITE, 0);
}

bool sp_os_replace(void *p, size_t bytes)
{
    bool wipes;
    void *made = reserve_pages(NULL, 0, bytes, &wipes);
    if (!made)
        return false;
    if (sp_os_make_writable(made, bytes) == 0 &&
        SYS6(SYS_mremap, made, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, p, 0) == (long)p)
        return true;
    SYS(SYS_munmap, made, bytes, 0, 0);
    return false;
}

int sp_os_give_back(void *p, size_t bytes)
{
    int rc = (int)SYS(SYS_madvise, p, bytes, MADV_DONTNEED, 0);
    return rc != 0 ? rc : (int)SYS(SYS_mprotect, p, bytes, PROT_NONE, 0);
}

void sp_os_release(void *p, size_t bytes)
{
    sp_syscall6(SYS_munmap, (long)p, (long)bytes, 0, 0, 0, 0);
}

void sp_os_forbid(void *p, size_t bytes)
{
    sp_syscall6(SYS_mprotect, (long)p, (long)bytes, PROT_NONE, 0, 0, 0);
}

bool sp_os_forget(void *p, size_t bytes)
{
    return sp_syscall6(SYS_madvise, (long)p, (long)bytes, MADV_DONTNEED, 0, 0, 0) == 0;
}
