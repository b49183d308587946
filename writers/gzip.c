/* SPDX-License-Identifier: MIT
 * See gzip.h. */
#include "writers/gzip.h"

#include <string.h>

#define BLOCK_MOST 65535u

/* Flags: a comment follows. No time, so that equal profiles are equal files; system: unknown. */
static const char head[] = "\x1f\x8b\x08\x10\0\0\0\0\0\xff"
                           "spprof"; /* the comment, with its NUL */

_Static_assert(sizeof head + 5 == SP_GZIP_HEAD_BYTES, "gzip.h says how long it is");

/* CRC-32 (RFC 1952, 8) by half a byte. */
static uint32_t add_to_crc(uint32_t crc, const uint8_t *p, size_t n)
{
    static const uint32_t of_nibble[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        crc = of_nibble[crc & 15] ^ crc >> 4;
        crc = of_nibble[crc & 15] ^ crc >> 4;
    }
    return ~crc;
}

static void put_le(uint8_t *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}

static int put_head(struct sp_gzip *z)
{
    if (z->begun)
        return 0;
    z->begun = true;
    return z->sink(z->arg, head, sizeof head);
}

static int put_block(struct sp_gzip *z, const uint8_t *p, size_t n, bool is_last)
{
    uint8_t header[5] = {is_last};
    put_le(header + 1, n, 2);
    put_le(header + 3, ~(uint64_t)n, 2);
    int rc = z->sink(z->arg, header, sizeof header);
    return rc || !n ? rc : z->sink(z->arg, p, n);
}

int sp_gzip_sink(void *gzip, const void *data, size_t n)
{
    struct sp_gzip *z = gzip;
    const uint8_t *p = data;
    int rc = put_head(z);
    z->crc = add_to_crc(z->crc, p, n);
    z->bytes += (uint32_t)n;
    for (size_t part; rc == 0 && n; p += part, n -= part) {
        part = n < BLOCK_MOST ? n : BLOCK_MOST;
        rc = put_block(z, p, part, false);
    }
    return rc;
}

int sp_gzip_finish(struct sp_gzip *z)
{
    uint8_t end[8];
    int rc = put_head(z);
    if (rc == 0)
        rc = put_block(z, NULL, 0, true);
    put_le(end, z->crc, 4);
    put_le(end + 4, z->bytes, 4);
    return rc ? rc : z->sink(z->arg, end, sizeof end);
}

/* Blocks come from a buffer, which is 4 KB at least. */
uint64_t sp_gzip_most(uint64_t most)
{
    uint64_t frame = sizeof head + 5 + 8 + most / 400;
    return most == UINT64_MAX ? most : most > frame ? most - frame : 0;
}

bool sp_gzip_is_ours(const char *file, size_t n)
{
    return n >= sizeof head && memcmp(file, head, sizeof head) == 0;
}
