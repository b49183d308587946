/* SPDX-License-Identifier: MIT
 * The name of a threading.Thread, read from the object that the thread's own stack holds: in its root frame,
 * _bootstrap(), self is the first local. No code runs; what is read cannot change meanwhile, for the GIL is this
 * thread's. Without a GIL (3.13) another thread may give the name at any instant: memory of objects stays what it is while this
 * thread is attached (pages of mimalloc's object heaps, QSBR), and the caller compares what it read. From 3.14 on builds
 * without a GIL are left alone: none could be had to prove it on. Sources: Include/internal/pycore_dict.h, pycore_object.h,
 * Objects/dict-common.h (3.9, 3.10). Which of its attributes the name is, is found out when the thread is made, and
 * with it that all this holds. */
#include "compat/os.h"
#include "compat/py.h"
#include "compat/py_walk.h"

#define MOST_SHARED 30u /* SHARED_KEYS_MAX_SIZE */
#define BY_KEY_ALONE (MOST_SHARED + 1)
#define MOST_KEYS 256u /* an instance with more is not followed */

/* PyDictObject, without a GIL's mutex */
#define DICT_KEYS 32u
#define DICT_VALUES 40u
/* before an object, from 3.11 on */
#define VALUES_BEFORE 32u       /* 3.11 */
#define DICT_BEFORE 24u         /* from 3.12 on also values, with an odd address */
#define DICT_BEFORE_FREE 8u     /* without a GIL, and then there is nothing else */
#define TP_BASICSIZE_BEFORE 16u /* tp_dealloc */

#define STATE_BEHIND_INTERP 24u /* PyThreadState, without a GIL */
#define ATTACHED 1u
#define NAME_BYTES 1024u /* of a str, head included: what is read of it at most */

/* Threads: whoever holds the GIL; it is always the same word. */
static uintptr_t name_key; /* the interned "_name": the code of threading keeps it */

/* Values of keys that the class's instances share. */
SP_SIGSAFE static uintptr_t in_values(uintptr_t values, uint32_t place)
{
    if (!sp_py_plausible(values) || place > MOST_SHARED)
        return 0;
    return sp_peek(values + (sp_py.minor >= 13 ? 8u : 0u) + 8ul * (place - 1));
}

/* A table of keys and values: `n` entries of `bytes`, which end with the key and the value. */
SP_SIGSAFE static uintptr_t in_entries(uintptr_t entries, uint64_t n, uint64_t bytes)
{
    for (uint64_t i = 0; i < n && i < MOST_KEYS; i++, entries += bytes)
        if (sp_peek(entries + bytes - 16) == name_key)
            return sp_peek(entries + bytes - 8);
    return 0;
}

SP_SIGSAFE static uintptr_t in_keys(uintptr_t keys)
{
    if (!sp_py_plausible(keys))
        return 0;
    if (sp_py.minor < 11) {
        uint64_t size = sp_peek(keys + 8), index = size <= 0xff ? 1 : size <= 0xffff ? 2 : 4;
        return in_entries(keys + 40 + size * index, sp_peek(keys + 32), 24);
    }
    bool general = sp_peek_u8(keys + 10) == 0; /* {hash, key, value}; else {key, value} */
    return in_entries(keys + 32 + ((uintptr_t)1 << (sp_peek_u8(keys + 9) & 31)), sp_peek(keys + 24), general ? 24 : 16);
}

SP_SIGSAFE static uintptr_t in_dict(uintptr_t dict, uint32_t place)
{
    if (!sp_py_plausible(dict))
        return 0;
    uintptr_t values = sp_peek(dict + DICT_VALUES);
    return values ? in_values(values, place) : in_keys(sp_peek(dict + DICT_KEYS));
}

SP_SIGSAFE static uintptr_t attribute(uintptr_t object, uint32_t place)
{
    const struct sp_py_layout *l = sp_py.layout;
    if (sp_py.minor < 11)
        return in_dict(sp_peek(object + l->ob_size), place); /* the dict follows PyObject in an instance of a plain class */
    if (l->free_threaded) {                                  /* a dict would be another object, which may go at any instant */
        uintptr_t type = sp_peek(object + l->ob_type), own = object + sp_peek(type + l->tp_dealloc - TP_BASICSIZE_BEFORE);
        return !sp_peek(object - DICT_BEFORE_FREE) && sp_peek_u8(own + 3) == 1 ? in_values(own, place) : 0;
    }
    uintptr_t values = sp_py.minor == 11 ? sp_peek(object - VALUES_BEFORE) : 0, dict = sp_peek(object - DICT_BEFORE);
    if (sp_py.minor == 12 && (dict & 1))
        values = dict + 1;
    if (sp_py.minor >= 13 && !dict) {
        uintptr_t type = sp_peek(object + l->ob_type);
        values = object + sp_peek(type + l->tp_dealloc - TP_BASICSIZE_BEFORE);
        if (sp_peek_u8(values + 3) != 1) /* valid */
            return 0;
    }
    return values ? in_values(values, place) : in_dict(dict, place);
}

uintptr_t sp_py_state_at(uintptr_t tstate)
{
    return tstate + sp_py.layout->ts_interp + STATE_BEHIND_INTERP;
}

/* Before 3.12 one word says whose the GIL is. Later the interpreter's GIL remembers who had it last, and whether it
 * is taken; who takes it writes that before it runs anything. */
bool sp_py_holds_gil(uintptr_t tstate)
{
    const struct sp_py_layout *l = sp_py.layout;
    if (l->free_threaded)
        return sp_peek_u32(sp_py_state_at(tstate)) == ATTACHED;
    if (l->rt_tstate_current)
        return sp_peek(sp_py.runtime + l->rt_tstate_current) == tstate;
    uintptr_t gil = sp_peek(sp_peek(tstate + l->ts_interp) + l->interp_gil);
    return gil && sp_peek_u32(gil + l->gil_locked) == 1 && sp_peek(gil + l->gil_last_holder) == tstate;
}

uint32_t sp_py_thread_name_place(uintptr_t thread, uintptr_t key, uintptr_t name)
{
    if ((sp_py.layout->free_threaded && sp_py.minor != 13) || !sp_os_readable(thread - VALUES_BEFORE))
        return 0;
    name_key = key;
    for (uint32_t place = 1; place <= MOST_SHARED; place++)
        if (attribute(thread, place) == name)
            return place;
    return attribute(thread, BY_KEY_ALONE) == name ? BY_KEY_ALONE : 0;
}

uintptr_t sp_py_thread_name_at(uintptr_t tstate, uintptr_t frame, uint32_t place)
{
    const struct sp_py_layout *l = sp_py.layout;
    if (!place || place > BY_KEY_ALONE || !sp_py_holds_gil(tstate))
        return 0;
    uintptr_t thread = sp_peek(frame + l->fr_locals) & ~(uintptr_t)7; /* the flags of a _PyStackRef, from 3.14 on */
    if (!sp_py_plausible(thread) || thread < 4096 + VALUES_BEFORE)
        return 0;
    uintptr_t name = attribute(thread, place);
    if (l->free_threaded && (!sp_py_plausible(name) || !sp_os_readable(name) || !sp_os_readable(name + NAME_BYTES)))
        return 0;
    return sp_py_plausible(name) && sp_peek(name + l->ob_type) == sp_py.str_type ? name : 0;
}
