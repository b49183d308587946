/* SPDX-License-Identifier: MIT
 * See config.h. */
#include "inject/config.h"

#include <signal.h>
#include <string.h>

#include "compat/buf.h"
#include "writers/writer.h"

enum kind {
    kind_duration,
    kind_bytes,
    kind_count,
    kind_flag,
    kind_verbosity,
    kind_text,
    kind_switch,
    kind_imports,
    kind_native,
    kind_wall,
    kind_engine,
    kind_signal,
    kind_format
};

struct option {
    const char *name;
    enum kind kind;
    size_t field;
    uint64_t lowest, highest, fallback;
    const char *values, *fallback_text;
};

static const struct option options[] = {
#define SP_OPTION(field, name, kind, lowest, highest, fallback, values, fallback_text, meaning) \
    {name, kind_##kind, offsetof(struct sp_config, field), lowest, highest, fallback, values, fallback_text},
#include "inject/options.def"
#undef SP_OPTION
};

/* Numbers are stored as 64 bits, texts with their NUL: a field is as large as its row says. */
#define FIELD_BYTES(kind, highest) (kind_##kind == kind_text ? (highest) + 1 : sizeof(uint64_t))
#define SP_OPTION(field, name, kind, lowest, highest, fallback, values, fallback_text, meaning) \
    _Static_assert(sizeof((struct sp_config *)0)->field == FIELD_BYTES(kind, highest),          \
                   name ": the field's type in struct sp_config");
#include "inject/options.def"
#undef SP_OPTION

/* Digits with at most one point, as a number of 10^-9; false if there are none or too many. */
static bool parse_decimal(const char **s, uint64_t *nano)
{
    uint64_t whole = 0, part = 0, unit = SP_NS_PER_S;
    const char *p = *s;
    bool digits = false;
    for (; *p >= '0' && *p <= '9'; p++, digits = true) {
        whole = whole * 10 + (uint64_t)(*p - '0');
        if (whole > 9000000000ull)
            return false;
    }
    if (*p == '.')
        for (p++; *p >= '0' && *p <= '9'; p++, digits = true)
            if (unit > 1)
                part += (uint64_t)(*p - '0') * (unit /= 10);
    *nano = whole * SP_NS_PER_S + part;
    *s = p;
    return digits;
}

static bool ends_as(const char *s, const char *unit)
{
    for (; *unit; s++, unit++)
        if ((*s | 32) != *unit)
            return false;
    return *s == '\0';
}

bool sp_config_parse_duration(const char *s, uint64_t *ns)
{
    uint64_t nano;
    if (!parse_decimal(&s, &nano))
        return false;
    if (ends_as(s, "hz")) {
        if (nano == 0)
            return false;
        /* 10^9 / (nano / 10^9), without overflow: rates below 1 Hz leave the range anyway */
        *ns = nano >= SP_NS_PER_S ? (uint64_t)((unsigned __int128)SP_NS_PER_S * SP_NS_PER_S / nano)
                                  : SP_NS_PER_S * SP_NS_PER_S / nano;
        return true;
    }
    uint64_t seconds = ends_as(s, "m") ? 60 : ends_as(s, "h") ? 3600 : 1;
    uint64_t per_ns = *s == '\0' || ends_as(s, "ms")    ? 1000
                      : ends_as(s, "us")                ? 1000000
                      : ends_as(s, "ns")                ? 1000000000
                      : ends_as(s, "s") || seconds != 1 ? 1
                                                        : 0;
    if (!per_ns)
        return false;
    unsigned __int128 all = (unsigned __int128)(nano / per_ns) * seconds;
    *ns = all > UINT64_MAX ? UINT64_MAX : (uint64_t)all;
    return true;
}

bool sp_config_parse_bytes(const char *s, uint64_t *bytes)
{
    uint64_t nano;
    if (!parse_decimal(&s, &nano))
        return false;
    unsigned shift = *s == '\0'                            ? 0
                     : ends_as(s, "k") || ends_as(s, "kb") ? 10
                     : ends_as(s, "m") || ends_as(s, "mb") ? 20
                     : ends_as(s, "g") || ends_as(s, "gb") ? 30
                                                           : 99;
    if (shift == 99)
        return false;
    unsigned __int128 v = ((unsigned __int128)nano << shift) / SP_NS_PER_S;
    if (v > UINT64_MAX)
        return false;
    *bytes = (uint64_t)v;
    return true;
}

static bool parse_word(const char *s, const char *const *words, size_t n, uint64_t *v)
{
    for (size_t i = 0; i < n; i++)
        if (ends_as(s, words[i])) {
            *v = i;
            return true;
        }
    return false;
}

static bool parse(enum kind kind, const char *s, uint64_t *v);

/* Those that no one but users sends, and that the kernel would let kill. */
static bool parse_signal(const char *s, uint64_t *v)
{
    static const char *const words[] = {"off", "0", "hup", "usr1", "usr2", "sighup", "sigusr1", "sigusr2"};
    static const uint8_t numbers[] = {0, 0, SIGHUP, SIGUSR1, SIGUSR2, SIGHUP, SIGUSR1, SIGUSR2};
    uint64_t i;
    if (parse_word(s, words, SP_ARRAY_LEN(words), &i)) {
        *v = numbers[i];
        return true;
    }
    return parse(kind_count, s, v) && *v >= 34; /* the two below are libc's own */
}

static bool parse_format(const char *s, uint64_t *v)
{
    const struct sp_writer_ops *f;
    if (ends_as(s, "auto"))
        return *v = 0, true;
    for (size_t i = 0; (f = sp_writer_at(i)); i++)
        if (ends_as(s, f->key))
            return *v = i + 1, true;
    return false;
}

static bool parse(enum kind kind, const char *s, uint64_t *v)
{
    static const char *const flags[] = {"0", "1"}, *const switches[] = {"off", "on"}, *const verbosity[] = {"0", "1", "auto"},
                             *const imports[] = {"short", "full"}, *const native[] = {"off", "on", "full"},
                             *const walls[] = {"0", "1", "all"}, *const engines[] = {"auto", "cpu", "fine"};
    uint64_t nano;
    switch (kind) {
    case kind_duration: return sp_config_parse_duration(s, v);
    case kind_bytes: return sp_config_parse_bytes(s, v);
    case kind_count:
        if (!parse_decimal(&s, &nano) || *s || nano % SP_NS_PER_S)
            return false;
        *v = nano / SP_NS_PER_S;
        return true;
    case kind_flag:
    case kind_switch: return parse_word(s, switches, 2, v) || parse_word(s, flags, 2, v);
    case kind_verbosity: return parse_word(s, verbosity, 3, v);
    case kind_imports: return parse_word(s, imports, 2, v);
    case kind_native: return parse_word(s, native, 3, v) || parse_word(s, flags, 2, v);
    case kind_wall: return parse_word(s, walls, 3, v) || parse_word(s, switches, 2, v);
    case kind_engine: return parse_word(s, engines, 3, v);
    case kind_signal: return parse_signal(s, v);
    case kind_format: return parse_format(s, v);
    case kind_text: break;
    }
    return false;
}

/* A number that the row allows. */
static bool takes(const struct option *o, const char *value, uint64_t *v)
{
    return parse(o->kind, value, v) && *v >= o->lowest && *v <= o->highest;
}

const char *sp_config_refuses(const char *name, const char *value)
{
    uint64_t v;
    for (const struct option *o = options; o < options + SP_ARRAY_LEN(options); o++)
        if (strcmp(o->name, name) == 0)
            return (o->kind == kind_text ? strlen(value) <= o->highest : takes(o, value, &v)) ? NULL : o->values;
    return "";
}

static void complain_value(const struct option *o, const char *value, void (*complain)(const char *))
{
    char line[512];
    SP_BUF(b, line);
    sp_buf_str(&b, o->name);
    sp_buf_str(&b, "=");
    sp_buf_mem(&b, value, strnlen(value, 80));
    if (o->kind == kind_text) { /* any text will do, but for its length */
        sp_buf_str(&b, "... is too long; accepted: up to ");
        sp_buf_u64(&b, o->highest);
        sp_buf_str(&b, " bytes");
    } else {
        sp_buf_str(&b, " cannot be used; accepted: ");
        sp_buf_str(&b, o->values);
    }
    sp_buf_str(&b, "; ");
    sp_buf_str(&b, o->fallback_text);
    sp_buf_str(&b, " is used");
    complain(line);
}

static void read_option(struct sp_config *config, const struct option *o, const char *value, void (*complain)(const char *))
{
    void *field = (char *)config + o->field;
    uint64_t v;
    if (o->kind == kind_text) {
        size_t n = strlen(value);
        if (n <= o->highest)
            memcpy(field, value, n + 1);
        else if (complain)
            complain_value(o, value, complain);
        return;
    }
    if (*value == '\0') /* set but empty: as if unset */
        return;
    if (takes(o, value, &v))
        *(uint64_t *)field = v;
    else if (complain)
        complain_value(o, value, complain);
}

/* Edits between two names, cut off at `most`: enough to find the row that was meant. */
static size_t distance(const char *a, size_t an, const char *b, size_t bn)
{
    size_t row[32];
    if (bn >= SP_ARRAY_LEN(row))
        return 99;
    for (size_t j = 0; j <= bn; j++)
        row[j] = j;
    for (size_t i = 1; i <= an; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= bn; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t edit = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < edit ? change : edit;
        }
    }
    return row[bn];
}

static void complain_unknown(const char *entry, size_t name_len, void (*complain)(const char *))
{
    const struct option *nearest = &options[0];
    size_t best = 99;
    for (size_t i = 0; i < SP_ARRAY_LEN(options); i++) {
        size_t d = distance(entry, name_len, options[i].name, strlen(options[i].name));
        if (d < best) {
            best = d;
            nearest = &options[i];
        }
    }
    char line[256];
    SP_BUF(b, line);
    sp_buf_mem(&b, entry, name_len < 64 ? name_len : 64);
    sp_buf_str(&b, " is no option of spprof; the nearest is ");
    sp_buf_str(&b, nearest->name);
    sp_buf_str(&b, "; it is ignored");
    complain(line);
}

void sp_config_read(struct sp_config *config, char *const *environment, void (*complain)(const char *line))
{
    for (size_t i = 0; i < SP_ARRAY_LEN(options); i++) {
        void *field = (char *)config + options[i].field;
        if (options[i].kind == kind_text)
            *(char *)field = '\0';
        else
            *(uint64_t *)field = options[i].fallback;
    }
    for (char *const *e = environment; e && *e; e++) {
        const char *equals = strchr(*e, '=');
        if (!equals || (strncmp(*e, "SPPROF=", 7) != 0 && strncmp(*e, "SPPROF_", 7) != 0))
            continue;
        size_t n = (size_t)(equals - *e);
        bool known = false;
        for (size_t i = 0; i < SP_ARRAY_LEN(options) && !known; i++) {
            known = strlen(options[i].name) == n && strncmp(options[i].name, *e, n) == 0;
            if (known)
                read_option(config, &options[i], equals + 1, complain);
        }
        if (!known && complain && strncmp(*e, "SPPROF_TEST_", 12) != 0)
            complain_unknown(*e, n, complain);
    }
}
