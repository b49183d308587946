/* SPDX-License-Identifier: MIT
 * See writer.h. */
#include "writers/writer.h"

#include <string.h>

#include "writers/gzip.h"

/* The formats; the first is the default. */
static const struct sp_writer_ops *const writers[] = {&sp_writer_speedscope, &sp_writer_pprof, &sp_writer_chrome,
                                                      &sp_writer_html, &sp_writer_collapsed};
static const struct sp_writer_ops *forced; /* NULL: none. Threads: at the start */

#define GZ ".gz"

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

/* The format whose suffix `base` has, ".gz" behind it or not, and how long that is; NULL: none. */
static const struct sp_writer_ops *by_suffix(const char *base, size_t *longest)
{
    const struct sp_writer_ops *best = NULL;
    size_t n = strlen(base), gz = ends_with(base, n, GZ) ? sizeof GZ - 1 : 0;
    *longest = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(writers); i++)
        for (const char *const *s = writers[i]->suffixes; *s; s++)
            for (size_t more = 0; more <= gz; more += sizeof GZ - 1)
                if (strlen(*s) + more > *longest && ends_with(base, n - more, *s)) {
                    *longest = strlen(*s) + more;
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
    return forced ? forced : writers[0];
}

void sp_writer_force(const struct sp_writer_ops *format)
{
    forced = format;
}

const struct sp_writer_ops *sp_writer_by_suffix(const char *file_name)
{
    size_t longest;
    const struct sp_writer_ops *found = by_suffix(base_name(file_name), &longest);
    return found ? found : writers[0];
}

const struct sp_writer_ops *sp_writer_for(const char *file_name)
{
    return forced ? forced : sp_writer_by_suffix(file_name);
}

bool sp_writer_is_unknown(const char *file_name)
{
    size_t longest;
    return !by_suffix(base_name(file_name), &longest) && sp_writer_suffix_bytes(file_name) > 1;
}

int sp_writer_write(const struct sp_writer_ops *format, const char *file_name, const struct sp_profile *p, struct sp_out *out)
{
    if (!format->gzip && !ends_with(file_name, strlen(file_name), GZ))
        return format->write(p, out);
    struct sp_gzip z = {.sink = out->sink, .arg = out->arg};
    struct sp_profile inside = *p;
    struct sp_out content = *out;
    inside.most_bytes = sp_gzip_most(p->most_bytes);
    content.sink = sp_gzip_sink;
    content.arg = &z;
    content.most = sp_gzip_most(out->most);
    int rc = format->write(&inside, &content);
    return rc ? rc : sp_gzip_finish(&z);
}

bool sp_writer_is_ours(const char *head, size_t bytes)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(writers); i++) {
        size_t n = writers[i]->head ? strlen(writers[i]->head) : 0;
        if (n && bytes >= n && memcmp(head, writers[i]->head, n) == 0)
            return true;
    }
    return sp_gzip_is_ours(head, bytes);
}

size_t sp_writer_suffix_bytes(const char *file_name)
{
    static const char *const compound[] = {".tar.gz"};
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
