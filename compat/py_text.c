/* SPDX-License-Identifier: MIT
 * Code objects and strings as plain memory. */
#include <string.h>

#include "compat/py.h"

bool sp_py_code_read(uintptr_t code, struct sp_py_code *c)
{
    const struct sp_py_layout *l = sp_py.layout;
    c->name = sp_peek(code + l->co_name);
    c->file = sp_peek(code + l->co_filename);
    c->first_line = (int32_t)sp_peek_u32(code + l->co_first_line);
    uintptr_t lines = sp_peek(code + l->co_lines);
    c->lines = lines ? lines + l->bytes_data : 0;
    c->lines_bytes = lines ? (uint32_t)sp_min_u64(sp_peek(lines + l->ob_size), UINT32_MAX / 2) : 0;
    return c->name && c->file;
}

uint32_t sp_py_code_fingerprint(uintptr_t code)
{
    const struct sp_py_layout *l = sp_py.layout;
    uint64_t h = sp_peek(code + l->co_name) * 0x9e3779b97f4a7c15ull;
    h = (h ^ sp_peek(code + l->co_filename)) * 0x9e3779b97f4a7c15ull;
    h = (h ^ sp_peek(code + l->co_lines)) * 0x9e3779b97f4a7c15ull;
    h = (h ^ sp_peek_u32(code + l->co_first_line)) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(h >> 32);
}

struct text_out {
    char *p;
    uint32_t n, cap;
    bool full;
};

SP_SIGSAFE static void put_mem(struct text_out *o, const char *s, uint32_t n)
{
    if (o->full || o->n + n > o->cap - 3) { /* always room for the ellipsis */
        o->full = true;
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        o->p[o->n++] = s[i];
}

SP_SIGSAFE static void put_hex(struct text_out *o, char kind, uint32_t v, int digits)
{
    char s[6] = {'\\', kind};
    int n = 2;
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
        uint32_t d = v >> shift & 15;
        s[n++] = (char)(d < 10 ? '0' + d : 'a' + d - 10);
    }
    put_mem(o, s, (uint32_t)n);
}

SP_SIGSAFE static void put_char(struct text_out *o, uint32_t c)
{
    char s[4];
    if (c == 0)
        c = 0x2400;
    if (c >= 0xdc80 && c <= 0xdcff) { /* surrogateescape: the byte that could not be decoded */
        put_hex(o, 'x', c - 0xdc00, 2);
    } else if (c >= 0xd800 && c <= 0xdfff) {
        put_hex(o, 'u', c, 4);
    } else if (c < 0x80) {
        s[0] = (char)c;
        put_mem(o, s, 1);
    } else if (c < 0x800) {
        s[0] = (char)(0xc0 | c >> 6);
        s[1] = (char)(0x80 | (c & 63));
        put_mem(o, s, 2);
    } else if (c < 0x10000) {
        s[0] = (char)(0xe0 | c >> 12);
        s[1] = (char)(0x80 | (c >> 6 & 63));
        s[2] = (char)(0x80 | (c & 63));
        put_mem(o, s, 3);
    } else {
        s[0] = (char)(0xf0 | (c >> 18 & 7));
        s[1] = (char)(0x80 | (c >> 12 & 63));
        s[2] = (char)(0x80 | (c >> 6 & 63));
        s[3] = (char)(0x80 | (c & 63));
        put_mem(o, s, 4);
    }
}

uint32_t sp_py_text(uintptr_t unicode, char *out, uint32_t cap)
{
    const struct sp_py_layout *l = sp_py.layout;
    uint64_t length = sp_peek(unicode + l->uni_length);
    uint32_t state = sp_peek_u32(unicode + l->uni_state) >> l->uni_kind_bit; /* kind:3 compact:1 ascii:1 */
    uint32_t kind = state & 7;
    bool compact = state & 8, ascii = state & 16;
    struct text_out o = {out, 0, cap, false};
    if (!compact) /* only strings made by the removed Py_UNICODE API */
        return 0;
    uintptr_t data = unicode + (ascii ? l->uni_ascii : l->uni_compact);
    for (uint64_t i = 0; i < length && !o.full; i++) {
        uint32_t c = kind == 1   ? sp_peek_u8(data + i)
                     : kind == 2 ? *(const uint16_t *)(data + 2 * i)
                                 : *(const uint32_t *)(data + 4 * i);
        put_char(&o, c);
    }
    if (o.full) {
        out[o.n++] = (char)0xe2; /* U+2026 */
        out[o.n++] = (char)0x80;
        out[o.n++] = (char)0xa6;
    }
    return o.n;
}

sp_py_dealloc *sp_py_hook_code_dealloc(sp_py_dealloc *hook)
{
    sp_py_dealloc **slot = (sp_py_dealloc **)(sp_py.code_type + sp_py.layout->tp_dealloc);
    sp_py_dealloc *old = *slot;
    if (old != hook)
        __atomic_store_n(slot, hook, __ATOMIC_RELEASE);
    return old;
}
