/* SPDX-License-Identifier: MIT
 * See output_name.h. */
#include "inject/output_name.h"

#include <string.h>

#include "compat/buf.h"
#include "compat/utc.h"
#include "inject/environment.h"
#include "writers/writer.h"

enum sp_name_kind sp_name_kind_of(const char *out)
{
    if (!out || !*out)
        return SP_NAME_DEFAULT;
    for (const char *p = strchr(out, '%'); p; p = strchr(p + 2, '%')) {
        if (p[1] != '%')
            return SP_NAME_PATTERN;
    }
    return SP_NAME_LITERAL;
}

bool sp_name_has_field(const char *pattern, char field)
{
    for (const char *p = strchr(pattern, '%'); p && p[1]; p = strchr(p + 2, '%'))
        if (p[1] == field)
            return true;
    return false;
}

bool sp_name_is_unique(const char *pattern)
{
    return sp_name_has_field(pattern, 'p') || sp_name_has_field(pattern, 'n');
}

static void put_time(struct sp_buf *b, uint64_t wall_ns)
{
    struct sp_utc u = sp_utc_from_seconds(wall_ns / SP_NS_PER_S);
    sp_buf_u64_pad(b, u.year, 4);
    sp_buf_u64_pad(b, u.month, 2);
    sp_buf_u64_pad(b, u.day, 2);
    sp_buf_char(b, 'T');
    sp_buf_u64_pad(b, u.hour, 2);
    sp_buf_u64_pad(b, u.minute, 2);
    sp_buf_u64_pad(b, u.second, 2);
    sp_buf_char(b, 'Z');
}

/* A value must not lead to another directory, nor speak to the terminal of who lists this one. */
static void put_value(struct sp_buf *b, const char *s)
{
    for (; *s; s++)
        sp_buf_char(b, *s == '/' || (unsigned char)*s < 0x20 || *s == 0x7f ? '_' : *s);
}

/* `p` is behind a %: the VAR of {VAR}, and what follows it; NULL: that is not what is there. */
static const char *variable_at(const char *p, char name[SP_NAME_VARIABLE_BYTES])
{
    const char *end = *p == '{' ? strchr(p, '}') : NULL;
    if (!end || (size_t)(end - p) >= SP_NAME_VARIABLE_BYTES)
        return NULL;
    memcpy(name, p + 1, (size_t)(end - p - 1));
    name[end - p - 1] = '\0';
    return end + 1;
}

const char *sp_name_next_variable(const char *at, char name[SP_NAME_VARIABLE_BYTES])
{
    for (const char *p = strchr(at, '%'); p && p[1]; p = strchr(p + (p[1] == '%' ? 2 : 1), '%')) {
        const char *behind = variable_at(p + 1, name);
        if (behind)
            return behind;
    }
    return NULL;
}

const char *sp_name_unknown_field(const char *pattern)
{
    char name[SP_NAME_VARIABLE_BYTES];
    for (const char *p = strchr(pattern, '%'); p; p = strchr(p + 2, '%')) {
        bool known = p[1] && strchr("phten%", p[1]);
        if (!known && !variable_at(p + 1, name))
            return p;
    }
    return NULL;
}

/* Puts what `p` (behind a %) stands for; returns what follows it. */
static const char *put_field(struct sp_buf *b, const char *p, const struct sp_name_values *v, bool *numbered)
{
    const char *end;
    char name[SP_NAME_VARIABLE_BYTES];
    switch (*p) {
    case 'p': sp_buf_u64(b, v->pid); return p + 1;
    case 'h': put_value(b, v->host); return p + 1;
    case 't': put_time(b, v->started_wall_ns); return p + 1;
    case 'e': put_value(b, *v->script ? v->script : "python"); return p + 1;
    case 'n':
        sp_buf_u64(b, v->number);
        *numbered = true;
        return p + 1;
    case '%': sp_buf_char(b, '%'); return p + 1;
    case '{':
        end = variable_at(p, name);
        if (end) {
            const char *value = sp_environment_value(v->environment, name);
            put_value(b, value ? value : "");
            return end;
        }
        /* fall through */
    default: /* unknown: as it stands */ sp_buf_char(b, '%'); return p;
    }
}

static void put_extra(struct sp_buf *b, bool with_pid, bool number, const struct sp_name_values *v)
{
    if (with_pid) {
        sp_buf_char(b, '.');
        sp_buf_u64(b, v->pid);
    }
    if (number) {
        sp_buf_char(b, '-');
        sp_buf_u64(b, v->number);
    }
}

bool sp_name_default(char *path, const char *directory, const struct sp_name_values *v)
{
    struct sp_buf b = sp_buf_at(path, SP_PATH_BYTES);
    sp_buf_str(&b, directory);
    sp_buf_str(&b, "/spprof-");
    sp_buf_u64(&b, v->pid);
    put_extra(&b, false, v->number > 1, v);
    sp_buf_str(&b, sp_writer_default()->suffixes[0]);
    return !b.cut;
}

bool sp_name_expand(char *path, const char *out, bool with_pid, const struct sp_name_values *v)
{
    struct sp_buf b = sp_buf_at(path, SP_PATH_BYTES);
    bool numbered = false;
    for (const char *p = out; *p;) {
        if (*p == '%') {
            p = put_field(&b, p + 1, v, &numbered);
        } else {
            sp_buf_char(&b, *p++);
        }
    }
    size_t suffix = sp_writer_suffix_bytes(path);
    char tail[64];
    if (suffix >= sizeof tail || b.cut)
        suffix = 0;
    memcpy(tail, path + b.len - suffix, suffix);
    b.len -= suffix;
    put_extra(&b, with_pid, v->number > 1 && !numbered, v);
    sp_buf_mem(&b, tail, suffix);
    return !b.cut;
}

void sp_name_parent(char *directory, const char *path)
{
    struct sp_buf b = sp_buf_at(directory, SP_PATH_BYTES);
    const char *slash = strrchr(path, '/');
    if (slash == path)
        sp_buf_char(&b, '/');
    else if (slash)
        sp_buf_mem(&b, path, (size_t)(slash - path));
    else
        sp_buf_char(&b, '.');
}
