/* SPDX-License-Identifier: MIT
 * What tells one build of a library from another: the build id that its linker gave it, or else what it looks like. */
#ifndef SP_COMPAT_BUILD_ID_H
#define SP_COMPAT_BUILD_ID_H

#include "compat/base.h"

#define SP_BUILD_ID_MAX 32 /* bytes that are kept of one; it has 20 as a rule (ld --build-id) */

/* [handler] Copies the build id from a segment of an ELF file's notes: how many bytes of it; 0: there is none. */
SP_SIGSAFE uint32_t sp_build_id_in(const uint8_t *notes, uint64_t n, uint8_t id[SP_BUILD_ID_MAX]);

/* In place of a build id that a library does not have: a mark and a number, which its headers and both ends of its .eh_frame_hdr,
 * the table of its functions, make. Code that grew or moved has another; where only bytes within functions differ, their names are
 * right all the same. */
#define SP_LOOKS_BYTES 9
#define SP_LOOKS_MARK 0xff
#define SP_LOOKS_END 2048u /* that many bytes of either end */
SP_INLINE uint64_t sp_looks_mix(uint64_t looks, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        looks = (looks ^ ((const uint8_t *)p)[i]) * 0x100000001b3u; /* Fowler, Noll, Vo */
    return looks;
}

#endif
