/* SPDX-License-Identifier: MIT
 * See writer.h. */
#include "writers/writer.h"

#include <string.h>

static const struct sp_writer_ops *const writers[] = {&sp_writer_speedscope};

/* Endings that belong together when something is put before them. */
static const char *const compound[] = {".speedscope.json", ".pb.gz", ".json.gz", ".tar.gz"};

static bool ends_with(const char *s, size_t n, const char *suffix)
{
    size_t m = strlen(suffix);
    return n > m && memcmp(s + n - m, suffix, m) == 0;
}

const struct sp_writer_ops *sp_writer_for(const char *file_name)
{
    const struct sp_writer_ops *best = &sp_writer_speedscope;
    size_t n = strlen(file_name), longest = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(writers); i++)
        if (ends_with(file_name, n, writers[i]->suffix) && strlen(writers[i]->suffix) > longest) {
            longest = strlen(writers[i]->suffix);
            best = writers[i];
        }
    return best;
}

size_t sp_writer_suffix_bytes(const char *file_name)
{
    const char *slash = strrchr(file_name, '/');
    const char *base = slash ? slash + 1 : file_name;
    size_t n = strlen(base);
    for (size_t i = 0; i < SP_ARRAY_LEN(compound); i++)
        if (ends_with(base, n, compound[i]))
            return strlen(compound[i]);
    const char *dot = strrchr(base, '.');
    return dot && dot != base ? (size_t)(base + n - dot) : 0;
}
