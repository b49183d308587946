/* SPDX-License-Identifier: MIT
 * The asyncio task that a thread runs, from CPython 3.14 on: _PyThreadStateImpl.asyncio_running_task. The table knows
 * the C Task of _asyncio; a task that is made in Python has no name for us. */
#include <string.h>

#include "compat/os.h"
#include "compat/py.h"
#include "compat/py_walk.h"

/* PyTypeObject, from tp_dealloc on or back (tests/layout) */
#define TP_NAME_BEFORE 24u
#define TP_BASICSIZE_BEFORE 16u
#define TP_BASE_BEHIND 208u
#define MAX_BASES 32

SP_SIGSAFE static bool readable(uintptr_t a, uintptr_t bytes)
{
    return sp_py_plausible(a) && sp_os_readable(a) && sp_os_readable(a + bytes - 1);
}

SP_SIGSAFE static bool is_task_type(uintptr_t type)
{
    const struct sp_py_layout *l = sp_py.layout;
    static const char name[] = "_asyncio.Task";
    uintptr_t text = sp_peek(type + l->tp_dealloc - TP_NAME_BEFORE);
    if (sp_peek(type + l->tp_dealloc - TP_BASICSIZE_BEFORE) != l->task_bytes || !text)
        return false;
    for (uint32_t i = 0; i < sizeof name; i++)
        if (sp_peek_u8(text + i) != (uint8_t)name[i])
            return false;
    return true;
}

/* A task that has not been asked for its name has only a number yet: an int below 2^60. Source: Include/cpython/
 * longintrepr.h: {uintptr_t lv_tag; uint32_t ob_digit[]}, the tag's bits from 3 on count the digits of 30 bits. */
SP_SIGSAFE static uint32_t numbered(uintptr_t number, char *out, uint32_t cap)
{
    static const char prefix[] = "Task-";
    uint64_t digits = sp_peek(number + sp_py.layout->ob_size) >> 3, v = 0;
    for (uint64_t i = digits < 2 ? digits : 2; i-- > 0;)
        v = v << 30 | sp_peek_u32(number + sp_py.layout->ob_size + 8 + 4 * i);
    char text[24];
    uint32_t n = sizeof text;
    do
        text[--n] = (char)('0' + v % 10);
    while (v /= 10);
    uint32_t bytes = sizeof prefix - 1 + sizeof text - n;
    if (bytes > cap)
        return 0;
    memcpy(out, prefix, sizeof prefix - 1);
    memcpy(out + sizeof prefix - 1, text + n, sizeof text - n);
    return bytes;
}

uint32_t sp_py_task_name(uintptr_t tstate, char *out, uint32_t cap)
{
    const struct sp_py_layout *l = sp_py.layout;
    if (!l->ts_task || !sp_os_readable(tstate + l->ts_task))
        return 0;
    uintptr_t task = sp_peek(tstate + l->ts_task);
    if (!task || !readable(task, l->task_name + 8u))
        return 0;
    /* The thread state holds a reference: the task lives, and with it its type, the type's bases, its name. */
    uintptr_t type = sp_peek(task + l->ob_type);
    for (int i = 0; i < MAX_BASES; i++) {
        if (!readable(type, l->tp_dealloc + TP_BASE_BEHIND + 8u))
            return 0;
        if (is_task_type(type))
            break;
        type = sp_peek(type + l->tp_dealloc + TP_BASE_BEHIND);
    }
    if (!type || !is_task_type(type))
        return 0;
    uintptr_t name = sp_peek(task + l->task_name);
    if (!readable(name, l->uni_compact))
        return 0;
    uintptr_t kind = sp_peek(name + l->ob_type);
    if (kind == sp_py.str_type)
        return sp_py_text(name, out, cap);
    return kind == sp_py.int_type ? numbered(name, out, cap) : 0;
}
