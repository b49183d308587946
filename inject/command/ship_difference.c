/* SPDX-License-Identifier: MIT
 * What a profile has that an earlier one of the same recording had not (ship_message.h). Files number things anew, so what is the same is
 * known by its names. */
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/ship_message.h"

static uint64_t mix_string(const struct sp_message *m, uint64_t h, uint32_t string)
{
    return sp_message_mix_bytes(h, m->strings[string].at, m->strings[string].n);
}

static uint64_t hash_of_location(const struct sp_message *m, const struct sp_message_location *l)
{
    uint64_t h = sp_message_mix(1, l->address);
    if (l->mapping)
        h = mix_string(m, mix_string(m, h, m->mappings[l->mapping - 1].file), m->mappings[l->mapping - 1].build_id);
    for (uint32_t i = 0; i < l->n_lines; i++) {
        const struct sp_message_line *line = &m->lines[l->first_line + i];
        const struct sp_message_function *f = &m->functions[line->function - 1];
        h = sp_message_mix(
            sp_message_mix(mix_string(m, mix_string(m, mix_string(m, h, f->name), f->system_name), f->file), f->line),
            line->line);
    }
    return h;
}

struct key {
    uint64_t stack, all; /* with its labels */
};

/* Of each sample; the caller frees them. */
static struct key *keys_of(const struct sp_message *m)
{
    uint64_t *of = sp_cli_alloc(NULL, m->n_locations * sizeof *of), id;
    struct key *keys = sp_cli_alloc(NULL, m->n_samples * sizeof *keys);
    for (uint32_t i = 0; i < m->n_locations; i++)
        of[i] = hash_of_location(m, &m->locations[i]);
    for (uint32_t i = 0; i < m->n_samples; i++) {
        const struct sp_message_sample *s = &m->samples[i];
        struct sp_bytes_reader r = {.at = s->stack, .end = s->stack + s->stack_bytes};
        uint64_t h = 1;
        while (sp_bytes_next_number(&r, &id))
            h = sp_message_mix(h, of[id - 1]);
        keys[i].stack = h;
        for (uint32_t k = 0; k < s->n_labels; k++) {
            const struct sp_message_label *l = &m->labels[s->first_label + k];
            h = sp_message_mix(mix_string(m, mix_string(m, h, l->key), l->text), (uint64_t)l->number);
        }
        keys[i].all = h;
    }
    free(of);
    return keys;
}

struct sums { /* by key, open addressing */
    struct sum {
        uint64_t key, stack;
        bool is_used;
        int64_t values[SP_MESSAGE_TYPES];
    } * of;
    size_t mask;
};

static void sums_open(struct sums *s, size_t n)
{
    size_t size = 64;
    while (size < 2 * n)
        size *= 2;
    s->of = memset(sp_cli_alloc(NULL, size * sizeof *s->of), 0, size * sizeof *s->of);
    s->mask = size - 1;
}

static struct sum *sum_of(struct sums *s, uint64_t key)
{
    size_t at = key & s->mask;
    while (s->of[at].is_used && s->of[at].key != key)
        at = (at + 1) & s->mask;
    s->of[at].is_used = true;
    s->of[at].key = key;
    return &s->of[at];
}

/* What a sample has, as far as something is owed. */
static void pay(int64_t *value, int64_t *owed)
{
    int64_t part = *value < *owed ? *value : *owed;
    if (part > 0) {
        *value -= part;
        *owed -= part;
    }
}

/* What was there and is no more stands elsewhere now: with the same stack, if it has as much, and anywhere else if not. */
static void settle(struct sp_message *m, uint32_t type, const struct key *keys, struct sums *was)
{
    struct sums owed;
    int64_t rest = 0;
    sums_open(&owed, m->n_samples + was->mask + 1);
    for (uint32_t i = 0; i < m->n_samples; i++)
        if (m->samples[i].values[type] < 0) {
            sum_of(&owed, keys[i].stack)->values[0] -= m->samples[i].values[type];
            m->samples[i].values[type] = 0;
        }
    for (size_t i = 0; i <= was->mask; i++)
        if (was->of[i].values[type] > 0)
            sum_of(&owed, was->of[i].stack)->values[0] += was->of[i].values[type];
    for (uint32_t i = 0; i < m->n_samples; i++)
        pay(&m->samples[i].values[type], &sum_of(&owed, keys[i].stack)->values[0]);
    for (size_t i = 0; i <= owed.mask; i++)
        rest += owed.of[i].values[0];
    for (uint32_t i = 0; i < m->n_samples; i++)
        pay(&m->samples[i].values[type], &rest);
    free(owed.of);
}

static bool is_same_type(const struct sp_message *a, const struct sp_message *b, uint32_t type)
{
    const struct sp_text *s = &a->strings[a->types[type].type], *t = &b->strings[b->types[type].type];
    return s->n == t->n && memcmp(s->at, t->at, s->n) == 0;
}

static bool is_later(const struct sp_message *m, const struct sp_message *before)
{
    bool is = m->n_types == before->n_types && m->duration_ns >= before->duration_ns;
    for (uint32_t t = 0; is && t < m->n_types; t++)
        is = is_same_type(m, before, t) && sp_message_total(m, t) >= sp_message_total(before, t);
    return is;
}

bool sp_message_subtract(struct sp_message *m, const struct sp_message *before)
{
    struct sums was;
    if (!is_later(m, before))
        return false;
    struct key *then = keys_of(before), *now = keys_of(m);
    sums_open(&was, before->n_samples);
    for (uint32_t i = 0; i < before->n_samples; i++) {
        struct sum *sum = sum_of(&was, then[i].all);
        sum->stack = then[i].stack;
        for (uint32_t t = 0; t < m->n_types; t++)
            sum->values[t] += before->samples[i].values[t];
    }
    struct sums left = was;
    for (uint32_t i = 0; i < m->n_samples; i++) {
        size_t at = now[i].all & left.mask;
        while (left.of[at].is_used && left.of[at].key != now[i].all)
            at = (at + 1) & left.mask;
        for (uint32_t t = 0; left.of[at].is_used && t < m->n_types; t++) {
            m->samples[i].values[t] -= left.of[at].values[t];
            left.of[at].values[t] = 0;
        }
    }
    for (uint32_t t = 0; t < m->n_types; t++)
        settle(m, t, now, &was);
    m->time_ns += before->duration_ns;
    m->duration_ns -= before->duration_ns;
    free(was.of);
    free(then);
    free(now);
    return true;
}
