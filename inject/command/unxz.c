/* SPDX-License-Identifier: MIT
 * See unxz.h: by liblzma. What a few bytes unpack to is bounded. */
#include "inject/command/unxz.h"

#include <lzma.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define MOST_MEMORY (256ull << 20)
#define MOST_BYTES (1ull << 30)

const bool sp_unxz_can = true;

static bool unpack(lzma_stream *s, int fd)
{
    static uint8_t part[1 << 16];
    lzma_ret rc = LZMA_OK;
    while (rc == LZMA_OK && s->total_out < MOST_BYTES) {
        s->next_out = part;
        s->avail_out = sizeof part;
        rc = lzma_code(s, LZMA_FINISH);
        size_t n = sizeof part - s->avail_out;
        if (n && write(fd, part, n) != (ssize_t)n)
            return false;
    }
    return rc == LZMA_STREAM_END;
}

int sp_unxz(const void *data, size_t n)
{
    lzma_stream s = LZMA_STREAM_INIT;
    int fd = memfd_create("symbols", MFD_CLOEXEC);
    if (fd < 0 || lzma_stream_decoder(&s, MOST_MEMORY, 0) != LZMA_OK) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    s.next_in = data;
    s.avail_in = n;
    bool is_whole = unpack(&s, fd);
    lzma_end(&s);
    if (is_whole)
        return fd;
    close(fd);
    return -1;
}
