/* SPDX-License-Identifier: MIT
 * Reading bytes that may be anything: past the end, and from a page that cannot be read, come zeroes, `failed` is set, and nothing
 * more is to be read. */
#ifndef SP_COMPAT_CFI_READ_H
#define SP_COMPAT_CFI_READ_H

#include <string.h>

#include "compat/modules.h"
#include "compat/pages.h"

struct sp_reader {
    uintptr_t at, end;
    uintptr_t known; /* up to here it can be read */
    bool failed;
};

/* [handler] From `at` to `end`, which must lie in the module; else there is nothing to read. */
SP_INLINE struct sp_reader sp_reader_of(const struct sp_module *m, uintptr_t at, uintptr_t end)
{
    bool inside = at >= m->start && at <= end && end <= m->end;
    return inside ? (struct sp_reader){at, end, at, false} : (struct sp_reader){0, 0, 0, true};
}

/* [handler] The slow part of the following: false, and nothing more is to be read, if so many bytes are not there. */
SP_SIGSAFE bool sp_reader_reach(struct sp_reader *r, uintptr_t bytes);

SP_INLINE bool sp_reader_has(struct sp_reader *r, uintptr_t bytes)
{
    return (SP_LIKELY(r->at <= r->known) && bytes <= r->known - r->at) || sp_reader_reach(r, bytes);
}

SP_INLINE bool sp_reader_left(const struct sp_reader *r)
{
    return r->at < r->end;
}

/* A number of so many bytes (8 at most); 0 and `failed` where they are not there. */
SP_INLINE uint64_t sp_reader_bytes(struct sp_reader *r, uintptr_t bytes)
{
    uint64_t v = 0;
    if (!sp_reader_has(r, bytes))
        return 0;
    memcpy(&v, (const void *)r->at, bytes); /* little-endian, as both processors are */
    r->at += bytes;
    return v;
}

SP_INLINE uint8_t sp_reader_u8(struct sp_reader *r)
{
    return (uint8_t)sp_reader_bytes(r, 1);
}
SP_INLINE uint32_t sp_reader_u32(struct sp_reader *r)
{
    return (uint32_t)sp_reader_bytes(r, 4);
}

/* [handler] Numbers of seven bits a byte; what is longer than 64 bits fails. */
SP_SIGSAFE uint64_t sp_reader_uleb(struct sp_reader *r);
SP_SIGSAFE int64_t sp_reader_sleb(struct sp_reader *r);
/* [handler] A pointer in the encoding of .eh_frame: absolute or relative to its own place. Others fail. */
SP_SIGSAFE uint64_t sp_reader_pointer(struct sp_reader *r, uint8_t encoding);
SP_SIGSAFE void sp_reader_skip(struct sp_reader *r, uint64_t bytes);

#endif
