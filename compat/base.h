/* SPDX-License-Identifier: MIT
 * Markers and small helpers that every file of spprof may use. Includes nothing of ours. */
#ifndef SP_COMPAT_BASE_H
#define SP_COMPAT_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A function that a header declares says in its comment where it may be called (tests/lint/headers.py):
 *   [handler]     in our handler of SIGPROF; always with SP_SIGSAFE
 *   [hook]        async-signal-safe: in any thread, with any lock held, in a handler of the program's, before our
 *                 constructor ran and in a vfork child, as far as there is something to do then
 *   [any]         in any thread, but in no handler
 *   [start]       while one thread is all that knows of us: constructors, the start of sampling
 *   [fork-child]  in the child of a fork(), before the program goes on there */

/* May run in the signal handler. The section is what tests/lint/sigsafe.py reads: everything in it
 * may call only what is in it too, or what the lint's allow-list names. */
#define SP_SIGSAFE __attribute__((section(".text.sp_sigsafe")))
/* A const table of functions that the handler calls through: its entries must be SP_SIGSAFE. */
#define SP_SIGSAFE_TABLE __attribute__((section(".data.rel.ro.sp_sigsafe")))
/* Helper without an address of its own: lands in its callers, whatever section they are in. */
#define SP_INLINE static inline __attribute__((always_inline))

#define SP_EXPORT __attribute__((visibility("default")))
#define SP_LIKELY(x) __builtin_expect(!!(x), 1)
#define SP_UNLIKELY(x) __builtin_expect(!!(x), 0)

#define SP_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#define SP_NS_PER_S 1000000000ull

/* Atomics by name of what they pair with; each use says who is on the other side. */
#define sp_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define sp_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define sp_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define sp_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define sp_add_relaxed(p, v) __atomic_fetch_add((p), (v), __ATOMIC_RELAXED)
#define sp_cas(p, expected, v) __atomic_compare_exchange_n((p), (expected), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)

SP_INLINE uint64_t sp_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

SP_INLINE uint64_t sp_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* One word of a foreign structure, read as it stands at this instant. */
SP_INLINE uintptr_t sp_peek(uintptr_t address)
{
    return *(const volatile uintptr_t *)address;
}

SP_INLINE uint32_t sp_peek_u32(uintptr_t address)
{
    return *(const volatile uint32_t *)address;
}

SP_INLINE uint8_t sp_peek_u8(uintptr_t address)
{
    return *(const volatile uint8_t *)address;
}

#endif
