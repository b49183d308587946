/* SPDX-License-Identifier: MIT
 * A gzip file without compression: RFC 1952 around stored blocks of RFC 1951. Every reader of gzip takes it; it costs no table
 * and no memory. One member, for viewers that read only the first. */
#ifndef SP_WRITERS_GZIP_H
#define SP_WRITERS_GZIP_H

#include "compat/base.h"

/* What stands before the content: header, and the head of the first block. */
#define SP_GZIP_HEAD_BYTES 22

struct sp_gzip {
    int (*sink)(void *arg, const void *data, size_t n); /* of the bytes of the file; 0, or negative errno */
    void *arg;
    uint32_t crc, bytes; /* of what was in it so far, the second modulo 2^32 */
    bool begun;
};

/* [hook] More of the content: a sink of sp_out, `gzip` being a struct sp_gzip. */
int sp_gzip_sink(void *gzip, const void *data, size_t n);

/* [hook] The end of the file. 0, or negative errno. */
int sp_gzip_finish(struct sp_gzip *z);

/* [hook] Of a file that may have `most` bytes, how much its content may have. */
uint64_t sp_gzip_most(uint64_t most);

/* [hook] Whether a file that begins so was written here. */
bool sp_gzip_is_ours(const char *head, size_t n);

#endif
