/* SPDX-License-Identifier: MIT
 * Protocol buffers, as far as pprof's need them: numbers and messages by their lengths, which the writer must know before. */
#ifndef SP_WRITERS_PROTO_H
#define SP_WRITERS_PROTO_H

#include "writers/out.h"

/* Bytes of a number. */
SP_INLINE uint32_t sp_proto_bytes(uint64_t v)
{
    return v ? (uint32_t)(63 - __builtin_clzll(v)) / 7 + 1 : 1;
}

/* Bytes of a field that is a number; fields are 1 ... 15, whose tags have one byte. One of 0 is left out. */
SP_INLINE uint32_t sp_proto_field_bytes(uint64_t v)
{
    return v ? 1 + sp_proto_bytes(v) : 0;
}

/* [hook] A number. */
void sp_proto_number(struct sp_out *o, uint64_t v);

/* [hook] A field that is a number; nothing if it is 0. */
void sp_proto_field(struct sp_out *o, uint32_t field, uint64_t v);

/* [hook] What stands before a field of `bytes` bytes: a message, a text, or packed numbers. */
void sp_proto_head(struct sp_out *o, uint32_t field, uint64_t bytes);

#endif
