/* SPDX-License-Identifier: MIT
 * A bounded string builder: never allocates, never writes past its end, remembers that it was cut. */
#ifndef SP_COMPAT_BUF_H
#define SP_COMPAT_BUF_H

#include "compat/base.h"

struct sp_buf {
    char *data;
    size_t cap; /* bytes of data, the final NUL included; at least 1 */
    size_t len; /* bytes used, without the NUL */
    bool cut;   /* something did not fit */
};

/* An empty string in `data`, which has room for `cap` bytes (at least 1). */
SP_INLINE struct sp_buf sp_buf_at(char *data, size_t cap)
{
    data[0] = '\0';
    return (struct sp_buf){data, cap, 0, false};
}

#define SP_BUF(name, array) struct sp_buf name = sp_buf_at((array), sizeof(array))

/* [handler] One more character, or none and `cut`; the others add as many as fit. */
SP_INLINE void sp_buf_char(struct sp_buf *b, char c)
{
    if (b->len + 1 < b->cap)
        b->data[b->len++] = c;
    else
        b->cut = true;
    b->data[b->len] = '\0';
}

/* [handler] n bytes. */
SP_SIGSAFE static inline void sp_buf_mem(struct sp_buf *b, const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sp_buf_char(b, s[i]);
}

/* [handler] A NUL-terminated string. */
SP_SIGSAFE static inline void sp_buf_str(struct sp_buf *b, const char *s)
{
    while (*s)
        sp_buf_char(b, *s++);
}

/* [handler] At least `width` digits, zero-padded. */
SP_SIGSAFE static inline void sp_buf_u64_pad(struct sp_buf *b, uint64_t v, int width)
{
    char digits[20];
    int n = 0;
    do {
        digits[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v || n < width);
    while (n)
        sp_buf_char(b, digits[--n]);
}

/* [handler] In decimal. */
SP_SIGSAFE static inline void sp_buf_hex(struct sp_buf *b, uint64_t v)
{
    int shift = v ? (63 - __builtin_clzll(v)) & ~3 : 0;
    for (; shift >= 0; shift -= 4)
        sp_buf_char(b, "0123456789abcdef"[v >> shift & 15]);
}

SP_SIGSAFE static inline void sp_buf_u64(struct sp_buf *b, uint64_t v)
{
    sp_buf_u64_pad(b, v, 1);
}

#endif
