/* SPDX-License-Identifier: MIT
 * Spans: what a context variable holds for the running code. A thread's state leads to its context, that to a persistent map of
 * nodes that never change once they are linked (Python/context.c, Python/hamt.c, alike from 3.9 to 3.15), and each step is one
 * word that the thread itself stores. No offset stands in a table: sp_py_span_learn() sees each of them hold, in contexts whose
 * contents it knows. */
#include "compat/os.h"
#include "compat/py.h"
#include "compat/py_walk.h"

#define STATE_BYTES 512u /* of a thread state, where its context is looked for: 208 to 240 in 3.9 to 3.15 */
#define VALUE_WORDS 8u   /* of a tuple, where its first item is looked for */
#define TRIES 100000
#define LEVEL_BITS 5u
#define HASH_BITS 32u
#define INTERPRETERS 32 /* that the handler looks through; of more the latest, and the first */

/* Threads: the first by who has the GIL of the interpreter that asks first, others write the same; the second by who made is_held 1,
 * an interpreter being 0 meanwhile. */
static struct {
    uint32_t state_context, tuple_item;
    uintptr_t bitmap_type, array_type, tuple_type, int_type;
} at;
static struct {
    uintptr_t interpreter, variable;
    uint32_t hash;
} variables[INTERPRETERS];
static uint32_t n_published, is_held;

SP_SIGSAFE static bool readable(uintptr_t a, uintptr_t bytes)
{
    uintptr_t last = a + bytes - 1;
    return sp_py_plausible(a) && sp_os_readable(a) &&
           (a >> SP_PY_PAGE_SHIFT == last >> SP_PY_PAGE_SHIFT || sp_os_readable(last & ~(uintptr_t)7));
}

SP_SIGSAFE static uint32_t count_bits(uint32_t v)
{
    v -= v >> 1 & 0x55555555u;
    v = (v & 0x33333333u) + (v >> 2 & 0x33333333u);
    return ((v + (v >> 4)) & 0x0f0f0f0fu) * 0x01010101u >> 24;
}

/* Where the fields of an object begin that has no length. */
SP_SIGSAFE static uintptr_t head(void)
{
    return sp_py.layout->ob_type + 8u;
}

SP_SIGSAFE static uintptr_t root_of(uintptr_t context)
{
    if (!readable(context, head() + 16))
        return 0;
    uintptr_t map = sp_peek(context + head() + 8);
    return readable(map, head() + 8) ? sp_peek(map + head()) : 0;
}

/* What the map holds for `variable`; 0: nothing. A node of keys whose hashes are equal is none of the two kinds: there it is not seen. */
SP_SIGSAFE static uintptr_t find(uintptr_t node, uintptr_t variable, uint32_t hash)
{
    for (uint32_t shift = 0; shift < HASH_BITS; shift += LEVEL_BITS) {
        if (!readable(node, head() + 16))
            return 0;
        uintptr_t type = sp_peek(node + sp_py.layout->ob_type);
        uint32_t place = hash >> shift & ((1u << LEVEL_BITS) - 1);
        if (type == at.array_type) { /* of 32 nodes */
            uintptr_t child = node + head() + 8 * place;
            node = readable(child, 8) ? sp_peek(child) : 0;
            continue;
        }
        uint32_t bits = sp_peek_u32(node + head() + 8);
        if (type != at.bitmap_type || !(bits >> place & 1))
            return 0;
        uintptr_t entry = node + head() + 16 + 16 * count_bits(bits & ((1u << place) - 1));
        if (!readable(entry, 16))
            return 0;
        uintptr_t key = sp_peek(entry);
        if (key)
            return key == variable ? sp_peek(entry + 8) : 0;
        node = sp_peek(entry + 8);
    }
    return 0;
}

SP_SIGSAFE static bool is_a(uintptr_t object, uintptr_t type, uintptr_t bytes)
{
    return readable(object, bytes) && sp_peek(object + sp_py.layout->ob_type) == type;
}

/* An int of one digit. */
SP_SIGSAFE static uint32_t number_of(uintptr_t object)
{
    return is_a(object, at.int_type, head() + 12) ? sp_peek_u32(object + head() + 8) : 0;
}

/* ---- learning */
static uint32_t offset_of(uintptr_t from, uint32_t bytes, uintptr_t word)
{
    for (uint32_t i = sp_py.layout->ob_type + 8u; i < bytes; i += 8)
        if (readable(from + i, 8) && sp_peek(from + i) == word)
            return i;
    return 0;
}

/* Nothing tells when an interpreter ends; its place is another's when all are taken. */
static void publish(uintptr_t interpreter, uintptr_t variable, uint32_t hash)
{
    uint32_t idle = 0, i = 0;
    for (int tries = 0; tries < TRIES && !sp_cas(&is_held, &idle, 1); tries++) /* a fork child may find it held by nobody */
        idle = 0;
    while (i < n_published && i < INTERPRETERS && variables[i].interpreter != interpreter)
        i++;
    if (i == n_published || i == INTERPRETERS) {
        i = n_published < INTERPRETERS ? n_published : 1 + n_published % (INTERPRETERS - 1);
        n_published++;
    }
    sp_store_relaxed(&variables[i].interpreter, 0);
    __atomic_thread_fence(__ATOMIC_RELEASE); /* who sees a part of the new sees that it is nobody's, see value_of() */
    sp_store_relaxed(&variables[i].variable, variable);
    sp_store_relaxed(&variables[i].hash, hash);
    sp_store_release(&variables[i].interpreter, interpreter);
    sp_store_release(&is_held, 0);
}

SP_SIGSAFE static uintptr_t value_of(uintptr_t tstate)
{
    uintptr_t interpreter = sp_peek(tstate + sp_py.layout->ts_interp);
    for (int i = 0; i < INTERPRETERS; i++) {
        if (sp_load_acquire(&variables[i].interpreter) != interpreter)
            continue;
        uintptr_t variable = sp_load_relaxed(&variables[i].variable);
        uint32_t hash = sp_load_relaxed(&variables[i].hash);
        __atomic_thread_fence(__ATOMIC_ACQUIRE); /* pairs with publish() */
        bool is_whole = sp_load_relaxed(&variables[i].interpreter) == interpreter;
        if (is_whole && readable(tstate + at.state_context, 8))
            return find(root_of(sp_peek(tstate + at.state_context)), variable, hash);
    }
    return 0;
}

bool sp_py_span_learn(const struct sp_py_span_known *k, bool is_alone)
{
    uintptr_t tstate, root = root_of(k->context);
    if (sp_py_own_tstate(&tstate) != SP_PY_OK || !tstate || !readable(root, head() + 16) ||
        !readable(k->value, 8 * VALUE_WORDS))
        return false;
    uintptr_t type = sp_peek(root + sp_py.layout->ob_type);
    if (is_alone) {
        at.tuple_item = offset_of(k->value, 8 * VALUE_WORDS, k->number);
        at.state_context = offset_of(tstate, STATE_BYTES, k->context);
        at.tuple_type = sp_peek(k->value + sp_py.layout->ob_type);
        at.int_type = sp_peek(k->number + sp_py.layout->ob_type);
        at.bitmap_type = type;
    } else if (type != at.bitmap_type) {
        at.array_type = type;
    }
    uint32_t hash = (uint32_t)k->hash ^ (uint32_t)((uint64_t)k->hash >> 32); /* Python/hamt.c, hamt_hash() */
    hash = hash == UINT32_MAX ? UINT32_MAX - 1 : hash;
    if (!at.tuple_item || offset_of(tstate, STATE_BYTES, k->context) != at.state_context ||
        find(root, k->variable, hash) != k->value || number_of(k->number) != k->number_is)
        return false;
    if (is_alone)
        return true;
    publish(sp_peek(tstate + sp_py.layout->ts_interp), k->variable, hash);
    return value_of(tstate) == k->value;
}

uint32_t sp_py_span_now(uintptr_t tstate)
{
    uintptr_t value = value_of(tstate);
    return value && is_a(value, at.tuple_type, at.tuple_item + 8u) ? number_of(sp_peek(value + at.tuple_item)) : 0;
}
