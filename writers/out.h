/* SPDX-License-Identifier: MIT
 * Bytes out: a buffer in front of a sink. Keeps the first error and is silent afterwards, so that writers need
 * to look only once, at the end. Allocates nothing. */
#ifndef SP_WRITERS_OUT_H
#define SP_WRITERS_OUT_H

#include "compat/base.h"

struct sp_out {
    int (*sink)(void *arg, const void *data, size_t n); /* 0, or negative errno */
    void *arg;
    char *buffer;
    size_t cap, n;
    uint64_t bytes; /* given out so far */
    uint64_t most;  /* more than that is an error (-EFBIG); UINT64_MAX: no limit */
    int error;      /* the first; 0: none */
};

/* [hook] Bytes, a NUL-terminated string, numbers in decimal. */
void sp_out_mem(struct sp_out *o, const void *data, size_t n);
void sp_out_str(struct sp_out *o, const char *s);
void sp_out_u64(struct sp_out *o, uint64_t v);
void sp_out_i64(struct sp_out *o, int64_t v);

/* [hook] Sends what is buffered; returns the first error, or 0. */
int sp_out_finish(struct sp_out *o);

/* One byte, most often into the buffer. */
SP_INLINE void sp_out_char(struct sp_out *o, char c)
{
    if (o->n == o->cap)
        sp_out_mem(o, &c, 1);
    else
        o->buffer[o->n++] = c;
}

#endif
