/* SPDX-License-Identifier: MIT
 * See proto.h. */
#include "writers/proto.h"

enum wire { WIRE_NUMBER = 0, WIRE_BYTES = 2 };

void sp_proto_number(struct sp_out *o, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        sp_out_char(o, (char)(v | 0x80));
    sp_out_char(o, (char)v);
}

void sp_proto_field(struct sp_out *o, uint32_t field, uint64_t v)
{
    if (!v)
        return;
    sp_out_char(o, (char)(field << 3 | WIRE_NUMBER));
    sp_proto_number(o, v);
}

void sp_proto_head(struct sp_out *o, uint32_t field, uint64_t bytes)
{
    sp_out_char(o, (char)(field << 3 | WIRE_BYTES));
    sp_proto_number(o, bytes);
}
