/* SPDX-License-Identifier: MIT
 * The calling thread's PyThreadState, read from libc's thread descriptor as plain memory. The API's own way,
 * pthread_getspecific, corrupts a pthread_setspecific that it interrupts (glibc stores the value before its
 * sequence number), so it is no option in a handler there. */
#include <pthread.h>
#include <string.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"
#include "compat/py_walk.h"
#include "compat/real.h"

/* glibc: struct pthread holds the first 32 {seq, value} pairs, and right behind them pointers to further
 * blocks of 32 (nptl/descr.h); the first pointer points back at the pairs. */
#define KEYS_IN_BLOCK 32
#define MAX_KEYS 1024 /* PTHREAD_KEYS_MAX */
#define SEARCH_BYTES 4096
#define MOST_STATES 100000
#define TSTATE_BYTES 352 /* all fields of the thread state that are read lie before */

extern const char *gnu_get_libc_version(void); /* glibc has it, musl not */
SP_REAL_SLOT(gnu_get_libc_version);
SP_REAL_SLOT(pthread_self);
SP_REAL_SLOT(pthread_key_create);
SP_REAL_SLOT(pthread_key_delete);
SP_REAL_SLOT(pthread_getspecific);
SP_REAL_SLOT(pthread_setspecific);

struct tss_slot {
    uintptr_t seq;
    uintptr_t value;
};

/* Threads: offsets at the start; key_seq by the thread that makes the key. */
static intptr_t self_offset;                      /* of pthread_self() from the thread pointer */
static intptr_t block_offset;                     /* of the pairs, from the thread pointer; 0: unknown */
static uintptr_t key_seq[MAX_KEYS];               /* sequence number of the key's current life; 0: not seen */
static void *(*plain_getspecific)(pthread_key_t); /* where it is a plain load: musl */

SP_SIGSAFE static const struct tss_slot *slot_in(uintptr_t block, uint32_t key)
{
    if (key < KEYS_IN_BLOCK)
        return (const struct tss_slot *)block + key;
    uintptr_t blocks = block + KEYS_IN_BLOCK * sizeof(struct tss_slot);
    if (key >= MAX_KEYS || sp_peek(blocks) != block)
        return NULL;
    uintptr_t further = sp_peek(blocks + key / KEYS_IN_BLOCK * sizeof(uintptr_t));
    return further ? (const struct tss_slot *)further + key % KEYS_IN_BLOCK : NULL;
}

/* Of the thread with this thread pointer; so below. */
SP_SIGSAFE static const struct tss_slot *slot_of(uintptr_t thread, uint32_t key)
{
    return slot_in(thread + (uintptr_t)block_offset, key);
}

/* Looks for the pairs in the descriptor, and nowhere else (what lies on the thread pointer's other side is the program's): behind
 * them the list of blocks begins with a pointer back, and this thread's value of `key` is `mark`. */
static intptr_t find_block(uint32_t key, uintptr_t mark)
{
    uintptr_t tp = sp_cpu_thread_pointer(), probed = 0;
    bool readable = false;
    for (uintptr_t n = 1, a; n < SEARCH_BYTES / 8; n++) {
        a = tp + (uintptr_t)((intptr_t)n * SP_CPU_DESCRIPTOR_STEP);
        if (a >> SP_PY_PAGE_SHIFT != probed) {
            probed = a >> SP_PY_PAGE_SHIFT;
            readable = sp_os_readable(a);
        }
        uintptr_t block = a - KEYS_IN_BLOCK * sizeof(struct tss_slot);
        if (!readable || sp_peek(a) != block || !sp_os_readable(block))
            continue;
        const struct tss_slot *slot = slot_in(block, key);
        if (slot && sp_os_readable((uintptr_t)slot) && slot->value == mark)
            return (intptr_t)(block - tp);
    }
    return 0;
}

bool sp_py_tss_init(void)
{
    if (block_offset || plain_getspecific)
        return true;
    if (!SP_REAL(pthread_self))
        return false;
    self_offset = (intptr_t)((uintptr_t)SP_REAL(pthread_self)() - sp_cpu_thread_pointer());
    if (!SP_REAL(gnu_get_libc_version)) {
        plain_getspecific = SP_REAL(pthread_getspecific);
        return plain_getspecific != NULL;
    }
    pthread_key_t key;
    static const char mark;
    if (!SP_REAL(pthread_key_create) || !SP_REAL(pthread_setspecific) || !SP_REAL(pthread_key_delete) ||
        SP_REAL(pthread_key_create)(&key, NULL) != 0)
        return false;
    if (SP_REAL(pthread_setspecific)(key, &mark) == 0) {
        block_offset = find_block(key, (uintptr_t)&mark);
        SP_REAL(pthread_setspecific)(key, NULL);
    }
    SP_REAL(pthread_key_delete)(key);
    return block_offset != 0;
}

void sp_py_tss_key_created(uint32_t key)
{
    static const char mark;
    if (key >= MAX_KEYS || !block_offset)
        return;
    const void *value = SP_REAL(pthread_getspecific)(key);
    if (SP_REAL(pthread_setspecific)(key, &mark) != 0)
        return;
    const struct tss_slot *slot =
        slot_of(sp_cpu_thread_pointer(), key); /* the first value of a key from 32 on makes its block */
    sp_store_relaxed(&key_seq[key], slot && slot->value == (uintptr_t)&mark ? slot->seq : 0);
    SP_REAL(pthread_setspecific)(key, value);
}

void sp_py_touch(void)
{
    if (sp_py_needs_touch() && sp_py.this_tstate)
        sp_py.this_tstate();
}

/* Py_tss_t {int _is_initialized; pthread_key_t _key} (Include/pythread.h) */
SP_SIGSAFE static bool read_key(uint32_t *key)
{
    if (!sp_py.layout || !sp_py.layout->rt_tss_key)
        return false;
    uintptr_t tss = sp_py.runtime + sp_py.layout->rt_tss_key;
    *key = sp_peek_u32(tss + 4);
    return sp_peek_u32(tss) == 1;
}

bool sp_py_is_own_key(const void *key)
{
    const struct sp_py_layout *l = sp_py.layout;
    return l && l->rt_tss_key && (uintptr_t)key == sp_py.runtime + l->rt_tss_key + 4;
}

void sp_py_tss_learn_existing_key(void)
{
    uint32_t key;
    if (read_key(&key) && key < MAX_KEYS && !key_seq[key])
        sp_py_tss_key_created(key);
}

bool sp_py_running(void)
{
    uint32_t key;
    if (sp_py_needs_touch())
        return sp_peek(sp_py.runtime + sp_py.layout->rt_interp_main) != 0;
    return read_key(&key);
}

/* Whether `interp` is in the runtime's list; the usual one is tried first. */
SP_SIGSAFE static bool is_interpreter(uintptr_t interp)
{
    const struct sp_py_layout *l = sp_py.layout;
    if (interp == sp_peek(sp_py.runtime + l->rt_interp_main))
        return interp != 0;
    uintptr_t at = sp_peek(sp_py.runtime + l->rt_interp_head);
    for (int i = 0; i < 256 && sp_py_plausible(at) && sp_os_readable(at + l->interp_next); i++) {
        if (at == interp)
            return true;
        at = sp_peek(at + l->interp_next);
    }
    return false;
}

uintptr_t sp_py_ident(void)
{
    return sp_cpu_thread_pointer() + (uintptr_t)self_offset;
}

/* 3.12's _xxsubinterpreters.run_string() runs in the state that the interpreter was made with, whichever thread made it: the
 * state is this thread's then as long as the GIL is that state's. */
SP_SIGSAFE static bool is_lent(uintptr_t ts)
{
    uintptr_t interp = sp_peek(ts + sp_py.layout->ts_interp);
    return sp_py.minor == 12 && interp != sp_peek(sp_py.runtime + sp_py.layout->rt_interp_main) && is_interpreter(interp) &&
           sp_py_holds_gil(ts);
}

SP_SIGSAFE static bool is_own(uintptr_t thread, uintptr_t ts)
{
    const struct sp_py_layout *l = sp_py.layout;
    if (sp_peek(ts + l->ts_thread_id) != thread + (uintptr_t)self_offset)
        return is_lent(ts);
    return is_interpreter(sp_peek(ts + l->ts_interp));
}

/* 3.9 to 3.11: under a sub-interpreter the key still holds the main interpreter's state; the state that
 * runs is the GIL holder's, if that is this thread. It may be somebody else's and dying: probed first. */
SP_SIGSAFE static uintptr_t running_subinterpreter(uintptr_t thread, uintptr_t ts)
{
    const struct sp_py_layout *l = sp_py.layout;
    uintptr_t head = sp_peek(sp_py.runtime + l->rt_interp_head);
    if (!head || sp_peek(head + l->interp_next) == 0)
        return ts;
    uintptr_t holder = sp_peek(sp_py.runtime + l->rt_tstate_current);
    if (holder && holder != ts && sp_py_plausible(holder) && sp_os_readable(holder + l->ts_interp) &&
        sp_os_readable(holder + l->ts_thread_id) && is_own(thread, holder))
        return holder;
    return ts;
}

uint32_t sp_py_interpreter_id(uintptr_t tstate)
{
    uintptr_t interp = sp_peek(tstate + sp_py.layout->ts_interp);
    if (interp == sp_peek(sp_py.runtime + sp_py.layout->rt_interp_main))
        return 0;
    return (uint32_t)sp_peek(interp + sp_py.layout->interp_id);
}

/* The thread's state by what libc or the loader keep for it; 0: none, or not one of this initialisation. */
SP_SIGSAFE static uintptr_t kept_tstate(uintptr_t thread)
{
    uint32_t key;
    if (!sp_py.layout->rt_tss_key) /* 3.15 on: a plain load from thread-local storage */
        return (uintptr_t)sp_py.this_tstate();
    if (!read_key(&key))
        return 0;
    if (plain_getspecific)
        return (uintptr_t)plain_getspecific(key);
    const struct tss_slot *slot = slot_of(thread, key);
    /* A freed state of an earlier initialisation, or another library's value under a re-used key, has another
     * sequence number. */
    if (!slot || slot->seq != sp_load_relaxed(&key_seq[key % MAX_KEYS]))
        return 0;
    return slot->value;
}

SP_SIGSAFE static bool is_alive(uintptr_t thread, uintptr_t ts)
{
    uintptr_t last = ts + TSTATE_BYTES;
    return sp_py_plausible(ts) && sp_os_readable(ts) &&
           (ts >> SP_PY_PAGE_SHIFT == last >> SP_PY_PAGE_SHIFT || sp_os_readable(last)) && is_own(thread, ts);
}

/* Py_FinalizeEx() deletes the key, or clears the thread-local pointer, before it frees the state of the thread that it
 * runs in (finalize_interp_delete, Python/pylifecycle.c); it frees those of others at any time. Frames that were there
 * when it was called keep their code, but from 3.12 on not its names: interned strings are freed when the
 * interpreter's built-in names have gone (finalize_interp_types behind interpreter_clear). */
SP_SIGSAFE static enum sp_py_reject finalizing_tstate(uintptr_t thread, uintptr_t ts, uintptr_t finalizes, uintptr_t *tstate)
{
    uintptr_t builtins;
    if (ts == finalizes && is_alive(thread, ts)) {
        builtins = sp_peek(ts + sp_py.layout->ts_interp) + sp_py.interp_builtins;
        *tstate = sp_os_readable(builtins) && sp_peek(builtins) != 0 ? ts : 0;
    }
    return SP_PY_FINALIZING;
}

SP_SIGSAFE static enum sp_py_reject check(uintptr_t thread, uintptr_t ts, uintptr_t *tstate)
{
    const struct sp_py_layout *l = sp_py.layout;
    uintptr_t finalizes = sp_peek(sp_py.runtime + l->rt_finalizing);
    if (!ts) /* no Python thread; or its state is on the way to be freed, and the interpreter behind it */
        return finalizes && sp_peek(sp_py.runtime + l->rt_interp_head) ? SP_PY_FINALIZING : SP_PY_OK;
    if (finalizes)
        return finalizing_tstate(thread, ts, finalizes, tstate);
    if (!is_alive(thread, ts))
        return SP_PY_BAD_TSTATE;
    *tstate = l->rt_tstate_current ? running_subinterpreter(thread, ts) : ts;
    return SP_PY_OK;
}

enum sp_py_reject sp_py_own_tstate(uintptr_t *tstate)
{
    uintptr_t thread = sp_cpu_thread_pointer();
    *tstate = 0;
    return sp_py.layout ? check(thread, kept_tstate(thread), tstate) : SP_PY_BAD_TSTATE;
}

/* From 3.13 on the interpreter says where its list of thread states begins, and how that goes on. */
static uintptr_t listed_tstate(uintptr_t thread)
{
    const struct sp_py_layout *l = sp_py.layout;
    const uint64_t *words = (const uint64_t *)sp_py.runtime;
    uintptr_t head = words[l->debug.interp_next + 1], next = words[l->debug.ts_interp - 1];
    uintptr_t interp = sp_peek(sp_py.runtime + l->rt_interp_head);
    for (int i = 0; i < 256 && sp_py_plausible(interp); i++, interp = sp_peek(interp + l->interp_next)) {
        uintptr_t ts = sp_peek(interp + head);
        for (int n = 0; n < MOST_STATES && sp_py_plausible(ts); n++, ts = sp_peek(ts + next))
            if (sp_peek(ts + l->ts_thread_id) == thread + (uintptr_t)self_offset)
                return ts;
    }
    return 0;
}

enum sp_py_reject sp_py_tstate_of(uintptr_t thread, uintptr_t *tstate)
{
    *tstate = 0;
    if (plain_getspecific || !sp_py.layout)
        return SP_PY_BAD_TSTATE;
    return check(thread, sp_py.layout->rt_tss_key ? kept_tstate(thread) : listed_tstate(thread), tstate);
}
