/* SPDX-License-Identifier: MIT
 * See ship_otlp.h, and for the numbers of fields opentelemetry-proto's profiles/v1development/profiles.proto. Entry 0 of every table of
 * the dictionary is the empty one; mappings, locations and functions keep the numbers that they have in the pprof file. */
#include "inject/command/ship_otlp.h"

#include <stdlib.h>
#include <string.h>

#include "compat/base.h"
#include "compat/version.h"
#include "inject/command/command.h"

enum dictionary { MAPPING_TABLE = 1, LOCATION_TABLE, FUNCTION_TABLE, LINK_TABLE, STRING_TABLE, ATTRIBUTE_TABLE, STACK_TABLE };
enum any { ANY_STRING = 1, ANY_BOOL, ANY_INT, ANY_ARRAY = 5 };
enum frame { FRAME_OTHER, FRAME_PYTHON, FRAME_NATIVE };

/* ---- a table whose entries are bytes, each once */
struct table {
    struct sp_bytes all;
    struct sp_text *entry; /* `at` is an offset */
    uint32_t *slots, n, mask;
};

static uint64_t hash(const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * 0x100000001b3ull;
    return h ^ h >> 32;
}

static const char *entry_at(const struct table *t, uint32_t i)
{
    return t->all.at ? t->all.at + (uintptr_t)t->entry[i].at : "";
}

static void grow(struct table *t)
{
    uint32_t size = t->mask ? 2 * (t->mask + 1) : 64;
    free(t->slots);
    t->slots = memset(sp_cli_alloc(NULL, size * sizeof *t->slots), 0, size * sizeof *t->slots);
    t->mask = size - 1;
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t at = (uint32_t)hash(entry_at(t, i), t->entry[i].n) & t->mask;
        while (t->slots[at])
            at = (at + 1) & t->mask;
        t->slots[at] = i + 1;
    }
}

static uint32_t index_of(struct table *t, const void *data, size_t n)
{
    if (2 * t->n >= t->mask)
        grow(t);
    uint32_t at = (uint32_t)hash(data, n) & t->mask;
    for (; t->slots[at]; at = (at + 1) & t->mask) {
        uint32_t i = t->slots[at] - 1;
        if (t->entry[i].n == n && (!n || memcmp(entry_at(t, i), data, n) == 0))
            return i;
    }
    if (!(t->n & (t->n - 1)))
        t->entry = sp_cli_alloc(t->entry, (t->n ? 2ull * t->n : 1) * sizeof *t->entry);
    t->entry[t->n] = (struct sp_text){(const char *)(uintptr_t)t->all.n, n};
    sp_bytes_add(&t->all, data, n);
    t->slots[at] = ++t->n;
    return t->n - 1;
}

static void table_open(struct table *t)
{
    *t = (struct table){.n = 0};
    index_of(t, "", 0);
}

static void table_close(struct table *t, uint32_t field, struct sp_bytes *dictionary)
{
    for (uint32_t i = 0; i < t->n; i++)
        sp_bytes_text(dictionary, field, entry_at(t, i), t->entry[i].n);
    sp_bytes_free(&t->all);
    free(t->entry);
    free(t->slots);
}

/* ---- the parts */
struct writing {
    const struct sp_message *m;
    struct table strings, attributes, stacks;
    struct sp_bytes dictionary;
};

static uint32_t string_of(struct writing *w, uint32_t string)
{
    return index_of(&w->strings, w->m->strings[string].at, w->m->strings[string].n);
}

static uint32_t word(struct writing *w, const char *s)
{
    return index_of(&w->strings, s, strlen(s));
}

static bool is_word(const struct sp_message *m, uint32_t string, const char *s)
{
    return m->strings[string].n == strlen(s) && memcmp(m->strings[string].at, s, strlen(s)) == 0;
}

/* An attribute of the table, whose value is what is in `any`; empties that. */
static uint32_t attribute(struct writing *w, uint32_t key, uint32_t unit, struct sp_bytes *any)
{
    struct sp_bytes a = {0};
    sp_bytes_field(&a, 1, key);
    sp_bytes_message(&a, 2, any);
    sp_bytes_field(&a, 3, unit);
    uint32_t i = index_of(&w->attributes, a.at, a.n);
    sp_bytes_free(&a);
    sp_bytes_free(any);
    return i;
}

/* A field that is there even if it is 0: of a union its number tells what it is. */
static void put_always(struct sp_bytes *b, uint32_t field, uint64_t v)
{
    sp_bytes_number(b, (uint64_t)field << 3);
    sp_bytes_number(b, v);
}

static uint32_t attribute_text(struct writing *w, const char *key, const char *text, size_t n)
{
    struct sp_bytes any = {0};
    sp_bytes_text(&any, ANY_STRING, text, n);
    return attribute(w, word(w, key), 0, &any);
}

static uint32_t attribute_true(struct writing *w, const char *key)
{
    struct sp_bytes any = {0};
    put_always(&any, ANY_BOOL, 1);
    return attribute(w, word(w, key), 0, &any);
}

static void add_to_array(struct sp_bytes *array, const struct sp_text *s)
{
    struct sp_bytes any = {0};
    sp_bytes_text(&any, ANY_STRING, s->at, s->n);
    sp_bytes_message(array, 1, &any);
    sp_bytes_free(&any);
}

static uint32_t attribute_array(struct writing *w, const char *key, struct sp_bytes *array)
{
    struct sp_bytes any = {0};
    sp_bytes_message(&any, ANY_ARRAY, array);
    sp_bytes_free(array);
    return attribute(w, word(w, key), 0, &any);
}

static void put_mapping(struct writing *w, const struct sp_message_mapping *from)
{
    static const char *const has[] = {"pprof.mapping.has_functions", "pprof.mapping.has_filenames",
                                      "pprof.mapping.has_line_numbers", "pprof.mapping.has_inline_frames"};
    struct sp_bytes mapping = {0}, attributes = {0};
    sp_bytes_field(&mapping, 1, from->start);
    sp_bytes_field(&mapping, 2, from->limit);
    sp_bytes_field(&mapping, 3, from->offset);
    sp_bytes_field(&mapping, 4, string_of(w, from->file));
    const struct sp_text *id = &w->m->strings[from->build_id];
    if (id->n)
        sp_bytes_number(&attributes, attribute_text(w, "process.executable.build_id.gnu", id->at, id->n));
    for (size_t i = 0; i < SP_ARRAY_LEN(has); i++)
        if (from->has[i])
            sp_bytes_number(&attributes, attribute_true(w, has[i]));
    if (attributes.n)
        sp_bytes_message(&mapping, 5, &attributes);
    sp_bytes_message(&w->dictionary, MAPPING_TABLE, &mapping);
    sp_bytes_free(&mapping);
    sp_bytes_free(&attributes);
}

/* The first mapping is Python and what is no code's; functions that no file is told of are made up. */
static enum frame frame_of(const struct sp_message *m, const struct sp_message_location *l)
{
    if (l->mapping > 1)
        return FRAME_NATIVE;
    return l->n_lines && m->functions[m->lines[l->first_line].function - 1].file ? FRAME_PYTHON : FRAME_OTHER;
}

static void put_location(struct writing *w, const struct sp_message_location *from)
{
    struct sp_bytes location = {0}, attributes = {0}, line = {0};
    enum frame frame = frame_of(w->m, from);
    sp_bytes_field(&location, 1, from->mapping);
    sp_bytes_field(&location, 2, from->address);
    for (uint32_t i = 0; i < from->n_lines; i++) {
        const struct sp_message_line *l = &w->m->lines[from->first_line + i];
        line.n = 0;
        sp_bytes_field(&line, 1, l->function);
        sp_bytes_field(&line, 2, l->line);
        sp_bytes_message(&location, 3, &line);
    }
    if (frame != FRAME_OTHER) {
        const char *name = frame == FRAME_PYTHON ? "cpython" : "native";
        sp_bytes_number(&attributes, attribute_text(w, "profile.frame.type", name, strlen(name)));
    }
    if (from->is_folded)
        sp_bytes_number(&attributes, attribute_true(w, "pprof.location.is_folded"));
    if (attributes.n)
        sp_bytes_message(&location, 4, &attributes);
    sp_bytes_message(&w->dictionary, LOCATION_TABLE, &location);
    sp_bytes_free(&location);
    sp_bytes_free(&attributes);
    sp_bytes_free(&line);
}

static void put_function(struct writing *w, const struct sp_message_function *from)
{
    struct sp_bytes function = {0};
    sp_bytes_field(&function, 1, string_of(w, from->name));
    sp_bytes_field(&function, 2, string_of(w, from->system_name));
    sp_bytes_field(&function, 3, string_of(w, from->file));
    sp_bytes_field(&function, 4, from->line);
    sp_bytes_message(&w->dictionary, FUNCTION_TABLE, &function);
    sp_bytes_free(&function);
}

static void put_tables(struct writing *w)
{
    static const char zero_link[2 + 16 + 2 + 8] = {1 << 3 | 2, 16, [18] = 2 << 3 | 2, 8}; /* ids of their lengths */
    sp_bytes_text(&w->dictionary, MAPPING_TABLE, "", 0);
    for (uint32_t i = 0; i < w->m->n_mappings; i++)
        put_mapping(w, &w->m->mappings[i]);
    sp_bytes_text(&w->dictionary, LOCATION_TABLE, "", 0);
    for (uint32_t i = 0; i < w->m->n_locations; i++)
        put_location(w, &w->m->locations[i]);
    sp_bytes_text(&w->dictionary, FUNCTION_TABLE, "", 0);
    for (uint32_t i = 0; i < w->m->n_functions; i++)
        put_function(w, &w->m->functions[i]);
    sp_bytes_text(&w->dictionary, LINK_TABLE, zero_link, sizeof zero_link);
}

/* ---- samples */
static const struct {
    const char *label, *key;
} names[] = {{"thread", "thread.name"}, {"thread_id", "thread.id"}, {"pid", "process.pid"}, {"task", "spprof.task"}};

static uint32_t attribute_of_label(struct writing *w, const struct sp_message_label *l)
{
    struct sp_bytes any = {0};
    uint32_t key = 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++)
        if (is_word(w->m, l->key, names[i].label))
            key = word(w, names[i].key);
    if (l->text)
        sp_bytes_text(&any, ANY_STRING, w->m->strings[l->text].at, w->m->strings[l->text].n);
    else
        put_always(&any, ANY_INT, (uint64_t)l->number);
    return attribute(w, key ? key : string_of(w, l->key), string_of(w, l->unit), &any);
}

/* A key may stand once: spans are one list, the outermost first. */
static void put_attributes(struct writing *w, const struct sp_message_sample *s, struct sp_bytes *to)
{
    struct sp_bytes spans = {0}, packed = {0};
    for (uint32_t i = 0; i < s->n_labels; i++) {
        const struct sp_message_label *l = &w->m->labels[s->first_label + i];
        if (is_word(w->m, l->key, "span"))
            add_to_array(&spans, &w->m->strings[l->text]);
        else
            sp_bytes_number(&packed, attribute_of_label(w, l));
    }
    if (spans.n)
        sp_bytes_number(&packed, attribute_array(w, "spprof.span", &spans));
    if (packed.n)
        sp_bytes_message(to, 2, &packed);
    sp_bytes_free(&packed);
}

static uint32_t stack_of(struct writing *w, const struct sp_message_sample *s)
{
    struct sp_bytes stack = {0};
    if (s->stack_bytes)
        sp_bytes_text(&stack, 1, s->stack, s->stack_bytes);
    uint32_t i = index_of(&w->stacks, stack.at ? stack.at : "", stack.n);
    sp_bytes_free(&stack);
    return i;
}

static void put_samples(struct writing *w, uint32_t type, struct sp_bytes *profile)
{
    struct sp_bytes sample = {0}, values = {0};
    for (uint32_t i = 0; i < w->m->n_samples; i++) {
        const struct sp_message_sample *s = &w->m->samples[i];
        if (!s->values[type])
            continue;
        sample.n = values.n = 0;
        sp_bytes_field(&sample, 1, stack_of(w, s));
        put_attributes(w, s, &sample);
        sp_bytes_number(&values, (uint64_t)s->values[type]);
        sp_bytes_message(&sample, 4, &values);
        sp_bytes_message(profile, 2, &sample);
    }
    sp_bytes_free(&sample);
    sp_bytes_free(&values);
}

static void put_type(struct writing *w, uint32_t field, const struct sp_message_type *t, struct sp_bytes *to)
{
    struct sp_bytes type = {0};
    sp_bytes_field(&type, 1, string_of(w, t->type));
    sp_bytes_field(&type, 2, string_of(w, t->unit));
    sp_bytes_message(to, field, &type);
    sp_bytes_free(&type);
}

static uint32_t comments(struct writing *w)
{
    struct sp_bytes all = {0};
    for (uint32_t i = 0; i < w->m->n_comments; i++)
        add_to_array(&all, &w->m->strings[w->m->comments[i]]);
    return attribute_array(w, "pprof.profile.comment", &all);
}

static void put_profile(struct writing *w, uint32_t type, struct sp_bytes *scope)
{
    struct sp_bytes profile = {0}, attributes = {0};
    uint64_t id[2];
    put_type(w, 1, &w->m->types[type], &profile);
    put_samples(w, type, &profile);
    sp_bytes_fixed64(&profile, 3, w->m->time_ns);
    sp_bytes_field(&profile, 4, w->m->duration_ns);
    put_type(w, 5, &w->m->period_type, &profile);
    sp_bytes_field(&profile, 6, w->m->period);
    sp_message_identity(w->m, id);
    id[1] ^= type;
    sp_bytes_text(&profile, 7, id, sizeof id);
    if (w->m->n_comments) {
        sp_bytes_number(&attributes, comments(w));
        sp_bytes_message(&profile, 11, &attributes);
    }
    sp_bytes_message(scope, 2, &profile);
    sp_bytes_free(&profile);
    sp_bytes_free(&attributes);
}

/* ---- around it */
static void put_key_value(uint32_t field, const char *key, const struct sp_bytes *any, struct sp_bytes *to)
{
    struct sp_bytes pair = {0};
    sp_bytes_text(&pair, 1, key, strlen(key));
    sp_bytes_message(&pair, 2, any);
    sp_bytes_message(to, field, &pair);
    sp_bytes_free(&pair);
}

static void put_text(uint32_t field, const char *key, const char *text, size_t n, struct sp_bytes *to)
{
    struct sp_bytes any = {0};
    sp_bytes_text(&any, ANY_STRING, text, n);
    put_key_value(field, key, &any, to);
    sp_bytes_free(&any);
}

static void put_resource(const struct sp_resource *r, struct sp_bytes *to)
{
    struct sp_bytes resource = {0}, any = {0};
    for (uint32_t i = 0; i < r->n; i++) {
        const struct sp_attribute *a = &r->of[i];
        any.n = 0;
        if (a->is_number)
            put_always(&any, ANY_INT, strtoull(a->value, NULL, 10));
        else
            sp_bytes_text(&any, ANY_STRING, a->value, strlen(a->value));
        put_key_value(1, a->key, &any, &resource);
    }
    sp_bytes_message(to, 1, &resource);
    sp_bytes_free(&resource);
    sp_bytes_free(&any);
}

static void put_scope(const struct sp_message *m, struct sp_bytes *to)
{
    struct sp_bytes scope = {0};
    const struct sp_text *chosen = &m->strings[m->default_type];
    sp_bytes_text(&scope, 1, "spprof", 6);
    sp_bytes_text(&scope, 2, SPPROF_VERSION, strlen(SPPROF_VERSION));
    if (chosen->n)
        put_text(3, "pprof.scope.default_sample_type", chosen->at, chosen->n, &scope);
    sp_bytes_message(to, 1, &scope);
    sp_bytes_free(&scope);
}

void sp_otlp_write(const struct sp_message *m, const struct sp_resource *resource, struct sp_bytes *out)
{
    struct writing w = {.m = m};
    struct sp_bytes scope = {0}, of_resource = {0};
    table_open(&w.strings);
    table_open(&w.attributes);
    table_open(&w.stacks);
    put_tables(&w);
    put_scope(m, &scope);
    for (uint32_t t = m->n_types; t-- > 0;) /* what viewers show first is pprof's last */
        put_profile(&w, t, &scope);
    put_resource(resource, &of_resource);
    sp_bytes_message(&of_resource, 2, &scope);
    table_close(&w.strings, STRING_TABLE, &w.dictionary);
    table_close(&w.attributes, ATTRIBUTE_TABLE, &w.dictionary);
    table_close(&w.stacks, STACK_TABLE, &w.dictionary);
    sp_bytes_message(out, 1, &of_resource);
    sp_bytes_message(out, 2, &w.dictionary);
    sp_bytes_free(&scope);
    sp_bytes_free(&of_resource);
    sp_bytes_free(&w.dictionary);
}

/* ---- replies */
uint64_t sp_otlp_rejected(const void *reply, size_t n, bool accepted, struct sp_text *text)
{
    struct sp_bytes_reader r = {.at = reply, .end = (const unsigned char *)reply + n};
    struct sp_bytes_field f;
    uint64_t rejected = 0;
    *text = (struct sp_text){"", 0};
    while (sp_bytes_next(&r, &f)) {
        if (accepted && f.number == 1 && f.at) { /* partial_success */
            r = sp_bytes_within(&f);
            accepted = false;
            continue;
        }
        rejected = f.number == 1 && !f.at ? f.value : rejected; /* a Status's code, which nobody asks for */
        if (f.number == 2 && f.at)
            *text = (struct sp_text){(const char *)f.at, f.value};
    }
    return rejected;
}
