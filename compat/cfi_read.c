/* SPDX-License-Identifier: MIT
 * See cfi_read.h. */
#include "compat/cfi_read.h"

#define ENCODING_RELATIVE 0x10 /* to the place itself; LSB 10.5.1 */

SP_SIGSAFE static uint64_t fail(struct sp_reader *r)
{
    r->failed = true;
    r->at = r->known = r->end;
    return 0;
}

bool sp_reader_reach(struct sp_reader *r, uintptr_t bytes)
{
    if (r->failed || bytes > r->end - r->at || !sp_pages_known(r->at, bytes))
        return fail(r);
    uintptr_t page_end = ((r->at + bytes - 1) | ((1ul << SP_PAGE_SHIFT) - 1)) + 1;
    r->known = page_end < r->end && page_end > r->at ? page_end : r->end;
    return true;
}

uint64_t sp_reader_uleb(struct sp_reader *r)
{
    uint64_t v = 0;
    for (uint32_t shift = 0; shift < 64; shift += 7) {
        uint8_t b = sp_reader_u8(r);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return v;
    }
    return fail(r);
}

int64_t sp_reader_sleb(struct sp_reader *r)
{
    uint64_t v = 0;
    for (uint32_t shift = 0; shift < 64;) {
        uint8_t b = sp_reader_u8(r);
        v |= (uint64_t)(b & 0x7f) << shift;
        shift += 7;
        if (b & 0x80)
            continue;
        return (int64_t)(shift < 64 && b & 0x40 ? v | ~0ull << shift : v);
    }
    return (int64_t)fail(r);
}

uint64_t sp_reader_pointer(struct sp_reader *r, uint8_t encoding)
{
    uint64_t place = r->at, v;
    switch (encoding & 0x0f) {
    case 0x01: v = sp_reader_uleb(r); break;
    case 0x02: v = sp_reader_bytes(r, 2); break;
    case 0x03: v = sp_reader_bytes(r, 4); break;
    case 0x00:
    case 0x04:
    case 0x0c: v = sp_reader_bytes(r, 8); break;
    case 0x09: v = (uint64_t)sp_reader_sleb(r); break;
    case 0x0a: v = (uint64_t)(int64_t)(int16_t)sp_reader_bytes(r, 2); break;
    case 0x0b: v = (uint64_t)(int64_t)(int32_t)sp_reader_bytes(r, 4); break;
    default: return fail(r);
    }
    if ((encoding & 0xf0) == ENCODING_RELATIVE)
        return v + place;
    return (encoding & 0xf0) == 0 ? v : fail(r);
}

void sp_reader_skip(struct sp_reader *r, uint64_t bytes)
{
    if (bytes > r->end - r->at)
        fail(r);
    else
        r->at += bytes;
}
