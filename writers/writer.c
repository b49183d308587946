/* SPDX-License-Identifier: MIT
 * See writer.h. */
#include "writers/writer.h"

#include <string.h>

/* The formats; the first is the default. */
static const struct sp_writer_ops *const writers[] = {&sp_writer_speedscope, &sp_writer_collapsed};

static bool ends_with(const char *s, size_t n, const char *suffix)
{
    size_t m = strlen(suffix);
    return n > m && memcmp(s + n - m, suffix, m) == 0;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The format whose suffix `base` has, and how long that is; NULL: none. */
static const struct sp_writer_ops *by_suffix(const char *base, size_t *longest)
{
    const struct sp_writer_ops *best = NULL;
    size_t n = strlen(base);
    *longest = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(writers); i++)
        for (const char *const *s = writers[i]->suffixes; *s; s++)
            if (strlen(*s) > *longest && ends_with(base, n, *s)) {
                *longest = strlen(*s);
                best = writers[i];
            }
    return best;
}

const struct sp_writer_ops *sp_writer_at(size_t i)
{
    return i < SP_ARRAY_LEN(writers) ? writers[i] : NULL;
}

const struct sp_writer_ops *sp_writer_default(void)
{
    return writers[0];
}

const struct sp_writer_ops *sp_writer_for(const char *file_name)
{
    size_t longest;
    const struct sp_writer_ops *found = by_suffix(base_name(file_name), &longest);
    return found ? found : writers[0];
}

bool sp_writer_is_ours(const char *head, size_t bytes)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(writers); i++) {
        size_t n = strlen(writers[i]->head);
        if (bytes >= n && memcmp(head, writers[i]->head, n) == 0)
            return true;
    }
    return false;
}

size_t sp_writer_suffix_bytes(const char *file_name)
{
    static const char *const compound[] = {".json.gz", ".pb.gz", ".tar.gz"};
    const char *base = base_name(file_name), *dot = strrchr(base, '.');
    size_t n = strlen(base), longest;
    if (by_suffix(base, &longest))
        return longest;
    for (size_t i = 0; i < SP_ARRAY_LEN(compound); i++)
        if (ends_with(base, n, compound[i]))
            return strlen(compound[i]);
    return dot && dot != base ? (size_t)(base + n - dot) : 0;
}

struct sp_profile sp_writer_profile(const struct sp_region *r)
{
    return (struct sp_profile){.region = r, .wall_ns = r->last_ns, .most_bytes = UINT64_MAX};
}
