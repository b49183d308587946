/* SPDX-License-Identifier: MIT
 * See ship_message.h, and for the numbers of fields google/pprof's proto/profile.proto. */
#include "inject/command/ship_message.h"

#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/gunzip.h"
#include "writers/gzip.h"

enum { TYPE = 1, SAMPLE, MAPPING, LOCATION, FUNCTION, STRING, TIME = 9, DURATION, PERIOD_TYPE, PERIOD, COMMENT, DEFAULT_TYPE };

/* What writers/pprof_tables.c says of a profile that is not complete. */
static const char partial[] = "ends before the process did: it ran on, or was killed";

/* ---- taking it apart: room for one more in a table */
static void *room(void *table, uint32_t n, size_t bytes)
{
    return n & (n - 1) ? table : sp_cli_alloc(table, (n ? 2ull * n : 1) * bytes);
}

static void read_type(struct sp_bytes_reader r, struct sp_message_type *t)
{
    struct sp_bytes_field f;
    while (sp_bytes_next(&r, &f))
        *(f.number == 1 ? &t->type : &t->unit) = (uint32_t)f.value;
}

static void read_label(struct sp_message *m, struct sp_bytes_reader r)
{
    struct sp_bytes_field f;
    m->labels = room(m->labels, m->n_labels, sizeof *m->labels);
    struct sp_message_label *l = &m->labels[m->n_labels++];
    *l = (struct sp_message_label){0};
    while (sp_bytes_next(&r, &f)) {
        l->key = f.number == 1 ? (uint32_t)f.value : l->key;
        l->text = f.number == 2 ? (uint32_t)f.value : l->text;
        l->number = f.number == 3 ? (int64_t)f.value : l->number;
        l->unit = f.number == 4 ? (uint32_t)f.value : l->unit;
    }
}

static bool read_values(struct sp_bytes_reader r, struct sp_message_sample *s)
{
    uint64_t v;
    uint32_t n = 0;
    while (sp_bytes_next_number(&r, &v) && n < SP_MESSAGE_TYPES)
        s->values[n++] = (int64_t)v;
    return !r.is_bad && r.at == r.end;
}

static bool read_sample(struct sp_message *m, struct sp_bytes_reader r)
{
    struct sp_bytes_field f;
    m->samples = room(m->samples, m->n_samples, sizeof *m->samples);
    struct sp_message_sample s = {.stack = (const unsigned char *)"", .first_label = m->n_labels};
    bool is_good = true;
    while (sp_bytes_next(&r, &f)) {
        is_good &= f.at != NULL;
        if (f.number == 1 && f.at) {
            s.stack = f.at;
            s.stack_bytes = f.value;
        } else if (f.number == 2) {
            is_good &= read_values(sp_bytes_within(&f), &s);
        } else if (f.number == 3) {
            read_label(m, sp_bytes_within(&f));
        }
    }
    s.n_labels = m->n_labels - s.first_label;
    m->samples[m->n_samples++] = s;
    return is_good && !r.is_bad;
}

static bool read_mapping(struct sp_message *m, struct sp_bytes_reader r)
{
    struct sp_bytes_field f;
    struct sp_message_mapping to = {0};
    uint64_t id = 0;
    while (sp_bytes_next(&r, &f)) {
        switch (f.number) {
        case 1: id = f.value; break;
        case 2: to.start = f.value; break;
        case 3: to.limit = f.value; break;
        case 4: to.offset = f.value; break;
        case 5: to.file = (uint32_t)f.value; break;
        case 6: to.build_id = (uint32_t)f.value; break;
        case 7:
        case 8:
        case 9:
        case 10: to.has[f.number - 7] = f.value; break;
        default: break;
        }
    }
    m->mappings = room(m->mappings, m->n_mappings, sizeof *m->mappings);
    m->mappings[m->n_mappings++] = to;
    return !r.is_bad && id == m->n_mappings;
}

static void read_line(struct sp_message *m, struct sp_bytes_reader r)
{
    struct sp_bytes_field f;
    m->lines = room(m->lines, m->n_lines, sizeof *m->lines);
    struct sp_message_line *l = &m->lines[m->n_lines++];
    *l = (struct sp_message_line){0};
    while (sp_bytes_next(&r, &f)) {
        l->function = f.number == 1 ? (uint32_t)f.value : l->function;
        l->line = f.number == 2 ? f.value : l->line;
    }
}

static bool read_location(struct sp_message *m, struct sp_bytes_reader r)
{
    struct sp_bytes_field f;
    struct sp_message_location to = {.first_line = m->n_lines};
    uint64_t id = 0;
    while (sp_bytes_next(&r, &f)) {
        switch (f.number) {
        case 1: id = f.value; break;
        case 2: to.mapping = (uint32_t)f.value; break;
        case 3: to.address = f.value; break;
        case 4: read_line(m, sp_bytes_within(&f)); break;
        case 5: to.is_folded = f.value; break;
        default: break;
        }
    }
    to.n_lines = m->n_lines - to.first_line;
    m->locations = room(m->locations, m->n_locations, sizeof *m->locations);
    m->locations[m->n_locations++] = to;
    return !r.is_bad && id == m->n_locations;
}

static bool read_function(struct sp_message *m, struct sp_bytes_reader r)
{
    struct sp_bytes_field f;
    struct sp_message_function to = {0};
    uint64_t id = 0;
    while (sp_bytes_next(&r, &f)) {
        switch (f.number) {
        case 1: id = f.value; break;
        case 2: to.name = (uint32_t)f.value; break;
        case 3: to.system_name = (uint32_t)f.value; break;
        case 4: to.file = (uint32_t)f.value; break;
        case 5: to.line = f.value; break;
        default: break;
        }
    }
    m->functions = room(m->functions, m->n_functions, sizeof *m->functions);
    m->functions[m->n_functions++] = to;
    return !r.is_bad && id == m->n_functions;
}

static bool read_field(struct sp_message *m, const struct sp_bytes_field *f)
{
    if (!f->at && (f->number <= STRING || f->number == PERIOD_TYPE))
        return false;
    switch (f->number) {
    case TYPE:
        if (m->n_types == SP_MESSAGE_TYPES)
            return false;
        read_type(sp_bytes_within(f), &m->types[m->n_types++]);
        return true;
    case SAMPLE: return read_sample(m, sp_bytes_within(f));
    case MAPPING: return read_mapping(m, sp_bytes_within(f));
    case LOCATION: return read_location(m, sp_bytes_within(f));
    case FUNCTION: return read_function(m, sp_bytes_within(f));
    case STRING:
        m->strings = room(m->strings, m->n_strings, sizeof *m->strings);
        m->strings[m->n_strings++] = (struct sp_text){(const char *)f->at, f->value};
        return true;
    case TIME: m->time_ns = f->value; return true;
    case DURATION: m->duration_ns = f->value; return true;
    case PERIOD_TYPE: read_type(sp_bytes_within(f), &m->period_type); return true;
    case PERIOD: m->period = f->value; return true;
    case COMMENT:
        m->comments = room(m->comments, m->n_comments, sizeof *m->comments);
        m->comments[m->n_comments++] = (uint32_t)f->value;
        return true;
    case DEFAULT_TYPE: m->default_type = (uint32_t)f->value; return true;
    default: return true;
    }
}

/* ---- whether what refers to something refers to what there is */
static bool are_strings(const struct sp_message *m, const uint32_t *refs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (refs[i] >= m->n_strings)
            return false;
    return true;
}

static bool are_stacks_sound(const struct sp_message *m)
{
    uint64_t id;
    for (uint32_t i = 0; i < m->n_samples; i++) {
        const struct sp_message_sample *s = &m->samples[i];
        struct sp_bytes_reader r = {.at = s->stack, .end = s->stack + s->stack_bytes};
        while (sp_bytes_next_number(&r, &id))
            if (id < 1 || id > m->n_locations)
                return false;
        if (r.is_bad)
            return false;
    }
    return true;
}

static bool is_sound(const struct sp_message *m)
{
    bool good = m->n_strings && m->n_types && are_strings(m, m->comments, m->n_comments) && are_stacks_sound(m);
    for (uint32_t i = 0; i < m->n_types; i++)
        good &= are_strings(m, (uint32_t[]){m->types[i].type, m->types[i].unit}, 2);
    good &= are_strings(m, (uint32_t[]){m->period_type.type, m->period_type.unit, m->default_type}, 3);
    for (uint32_t i = 0; i < m->n_mappings; i++)
        good &= are_strings(m, (uint32_t[]){m->mappings[i].file, m->mappings[i].build_id}, 2);
    for (uint32_t i = 0; i < m->n_functions; i++)
        good &= are_strings(m, (uint32_t[]){m->functions[i].name, m->functions[i].system_name, m->functions[i].file}, 3);
    for (uint32_t i = 0; i < m->n_labels; i++)
        good &= are_strings(m, (uint32_t[]){m->labels[i].key, m->labels[i].text, m->labels[i].unit}, 3);
    for (uint32_t i = 0; i < m->n_locations; i++)
        good &= m->locations[i].mapping <= m->n_mappings;
    for (uint32_t i = 0; i < m->n_lines; i++)
        good &= m->lines[i].function >= 1 && m->lines[i].function <= m->n_functions;
    return good;
}

const char *sp_message_read(struct sp_message *m, struct sp_bytes *file)
{
    struct sp_bytes_field f;
    *m = (struct sp_message){.file = *file};
    *file = (struct sp_bytes){0};
    const char *error = m->file.n ? sp_gunzip(&m->file.at, &m->file.n) : "is empty";
    if (error)
        return error;
    m->file.cap = m->file.n;
    struct sp_bytes_reader r = {.at = (unsigned char *)m->file.at, .end = (unsigned char *)m->file.at + m->file.n};
    bool good = true;
    while (good && sp_bytes_next(&r, &f))
        good = read_field(m, &f);
    return good && !r.is_bad && is_sound(m) ? NULL : "is cut off or damaged, or no pprof file of spprof";
}

void sp_message_free(struct sp_message *m)
{
    sp_bytes_free(&m->file);
    free(m->strings);
    free(m->mappings);
    free(m->locations);
    free(m->lines);
    free(m->functions);
    free(m->samples);
    free(m->labels);
    free(m->comments);
    *m = (struct sp_message){0};
}

/* ---- looking at it */
int64_t sp_message_total(const struct sp_message *m, uint32_t type)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < m->n_samples; i++)
        sum += m->samples[i].values[type];
    return sum;
}

static bool has_value(const struct sp_message_sample *s)
{
    for (int t = 0; t < SP_MESSAGE_TYPES; t++)
        if (s->values[t])
            return true;
    return false;
}

bool sp_message_is_empty(const struct sp_message *m)
{
    for (uint32_t i = 0; i < m->n_samples; i++)
        if (has_value(&m->samples[i]))
            return false;
    return true;
}

bool sp_message_is_partial(const struct sp_message *m)
{
    for (uint32_t i = 0; i < m->n_comments; i++) {
        const struct sp_text *s = &m->strings[m->comments[i]];
        if (s->n == sizeof partial - 1 && memcmp(s->at, partial, s->n) == 0)
            return true;
    }
    return false;
}

uint64_t sp_message_mix(uint64_t h, uint64_t v)
{
    h = (h ^ v) * 0x9e3779b97f4a7c15ull;
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93ull;
    return h ^ h >> 29;
}

uint64_t sp_message_mix_bytes(uint64_t h, const void *data, size_t n)
{
    const char *p = data;
    uint64_t word = 0;
    for (; n >= sizeof word; p += sizeof word, n -= sizeof word) {
        memcpy(&word, p, sizeof word);
        h = sp_message_mix(h, word);
    }
    word = 0;
    memcpy(&word, p, n);
    return sp_message_mix(h, word ^ (uint64_t)n << 56);
}

void sp_message_identity(const struct sp_message *m, uint64_t id[2])
{
    for (int i = 0; i < 2; i++) {
        id[i] = sp_message_mix_bytes((uint64_t)i + 1, m->file.at, m->file.n);
        for (uint32_t k = 0; k < m->n_samples; k++)
            id[i] = sp_message_mix_bytes(id[i], m->samples[k].values, sizeof m->samples[k].values);
    }
}

/* ---- and together again */
static void write_sample(const struct sp_message *m, const struct sp_bytes_field *old, const struct sp_message_sample *s,
                         struct sp_bytes *out)
{
    struct sp_bytes sample = {0}, values = {0};
    struct sp_bytes_reader r = sp_bytes_within(old);
    struct sp_bytes_field f;
    for (uint32_t t = 0; t < m->n_types; t++)
        sp_bytes_number(&values, (uint64_t)s->values[t]);
    while (sp_bytes_next(&r, &f))
        if (f.number == 2)
            sp_bytes_message(&sample, 2, &values);
        else
            sp_bytes_text(&sample, f.number, f.at, f.value);
    sp_bytes_message(out, SAMPLE, &sample);
    sp_bytes_free(&sample);
    sp_bytes_free(&values);
}

void sp_message_write(const struct sp_message *m, struct sp_bytes *out)
{
    struct sp_bytes content = {0};
    struct sp_bytes_reader r = {.at = (unsigned char *)m->file.at, .end = (unsigned char *)m->file.at + m->file.n};
    struct sp_bytes_field f;
    for (uint32_t i = 0; sp_bytes_next(&r, &f);) {
        if (f.number == SAMPLE) {
            const struct sp_message_sample *s = &m->samples[i++];
            if (has_value(s))
                write_sample(m, &f, s, &content);
        } else if (f.number != TIME && f.number != DURATION) {
            if (f.at)
                sp_bytes_text(&content, f.number, f.at, f.value);
            else
                sp_bytes_field(&content, f.number, f.value);
        }
    }
    sp_bytes_field(&content, TIME, m->time_ns);
    sp_bytes_field(&content, DURATION, m->duration_ns);
    struct sp_gzip z = {.sink = sp_bytes_sink, .arg = out};
    sp_gzip_sink(&z, content.at, content.n);
    sp_gzip_finish(&z);
    sp_bytes_free(&content);
}
