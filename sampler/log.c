/* SPDX-License-Identifier: MIT
 * See log.h. */
#include "sampler/log.h"

#include "sampler/intern.h"

#define FIRST_CHUNK_BYTES 512u /* most threads are short */
#define CHUNK_BYTES 4096u

SP_SIGSAFE static struct sp_chunk *new_chunk(struct sp_region *r, uint32_t bytes)
{
    if (sp_load_relaxed(&r->log_bytes) + bytes > r->log_limit)
        return NULL;
    uint64_t at = sp_store_alloc(r, bytes, 64);
    if (!at)
        return NULL;
    sp_add_relaxed(&r->log_bytes, bytes);
    struct sp_chunk *c = sp_at(r, at);
    c->cap = (uint32_t)((bytes - sizeof *c) / sizeof c->records[0]);
    return c;
}

SP_SIGSAFE static uint32_t chunk_ref(const struct sp_region *r, const struct sp_chunk *c)
{
    return (uint32_t)(((uintptr_t)c - (uintptr_t)r) / 64);
}

/* The next chunk to write to: one left from an earlier life of the slot, or a new one. */
SP_SIGSAFE static struct sp_chunk *advance(struct sp_region *r, struct sp_thread *t, uint64_t since_ns)
{
    struct sp_chunk *last = t->chunk ? sp_at64(r, t->chunk) : NULL, *c;
    uint32_t next = last ? last->next : t->first_chunk;
    if (next) {
        c = sp_at64(r, next);
    } else {
        c = new_chunk(r, last ? CHUNK_BYTES : FIRST_CHUNK_BYTES);
        if (!c)
            return NULL;
        if (last)
            last->next = chunk_ref(r, c);
        else
            t->first_chunk = chunk_ref(r, c);
    }
    c->n = 0;
    c->base_ns = since_ns;
    t->chunk = chunk_ref(r, c);
    return c;
}

/* A record is a sample's or a wait's: one of cpu_ns and wall_ns is 0. */
SP_SIGSAFE static bool append(struct sp_region *r, struct sp_thread *t, const struct sp_record *new, uint64_t since_ns)
{
    struct sp_chunk *c = t->chunk ? sp_at64(r, t->chunk) : NULL;
    if (c && c->n) {
        struct sp_record *last = &c->records[c->n - 1];
        bool fits = last->cpu_ns <= UINT32_MAX - new->cpu_ns && last->wall_ns <= UINT32_MAX - new->wall_ns;
        if (last->node == new->node && fits) {
            last->cpu_ns += new->cpu_ns;
            last->wall_ns += new->wall_ns;
            return true;
        }
    }
    uint64_t time = c ? (since_ns - c->base_ns) >> SP_RECORD_TIME_SHIFT : 0;
    if (!c || c->n == c->cap || time > SP_RECORD_TIME_MAX) {
        c = advance(r, t, since_ns);
        if (!c)
            return false;
        time = 0;
    }
    c->records[c->n] = (struct sp_record){new->node, new->cpu_ns, new->wall_ns, (uint32_t)time};
    sp_store_release(&c->n, c->n + 1);
    return true;
}

SP_SIGSAFE static void lose_order(struct sp_region *r, uint64_t since_ns)
{
    uint64_t never = 0;
    sp_cas(&r->time_order_until_ns, &never, since_ns ? since_ns : 1);
}

void sp_log_book(struct sp_region *r, struct sp_thread *t, const struct sp_sample *s)
{
    t->cpu_ns[s->category] += s->cpu_ns;
    for (uint64_t left = s->cpu_ns; left;) {
        uint32_t part = (uint32_t)sp_min_u64(left, UINT32_MAX);
        if (!append(r, t, &(struct sp_record){.node = s->node, .cpu_ns = part}, s->since_ns)) {
            lose_order(r, s->since_ns);
            /* No room for a total either: the writer shows what the sums have and the log lacks. */
            sp_intern_total(r, t->number, s->node, part, 1);
        }
        left -= part;
    }
}

void sp_log_book_wait(struct sp_region *r, struct sp_thread *t, uint32_t node, uint64_t wall_ns, uint64_t since_ns)
{
    t->wait_ns += wall_ns;
    for (uint64_t left = wall_ns; left;) {
        uint32_t part = (uint32_t)sp_min_u64(left, UINT32_MAX);
        if (!append(r, t, &(struct sp_record){.node = node, .wall_ns = part}, since_ns)) {
            lose_order(r, since_ns);
            sp_intern_total_wait(r, t->number, node, part);
        }
        left -= part;
    }
}

void sp_log_book_pseudo(struct sp_region *r, struct sp_thread *t, enum sp_category category, uint64_t cpu_ns, uint64_t since_ns)
{
    struct sp_sample s = {.node = r->pseudo_node[category], .category = category, .cpu_ns = cpu_ns, .since_ns = since_ns};
    sp_log_book(r, t, &s);
}

/* To the sum of thread 0. Where there is no room for it the writer shows what the sums have and the totals lack. */
SP_SIGSAFE static void fold_record(struct sp_region *r, struct sp_thread *t, const struct sp_chunk *c)
{
    const struct sp_record *rec = &c->records[t->fold_record++];
    sp_intern_total(r, 0, rec->node, rec->cpu_ns, 0);
    if (rec->wall_ns)
        sp_intern_total_wait(r, 0, rec->node, rec->wall_ns);
}

SP_SIGSAFE static void fold_total(struct sp_region *r, struct sp_thread *t)
{
    struct sp_total *total = sp_pool_entry(r, &r->totals, t->first_total);
    sp_intern_total(r, 0, total->node, total->cpu_ns, total->samples);
    if (total->wall_ns)
        sp_intern_total_wait(r, 0, total->node, total->wall_ns);
    if (total->gil_ns)
        sp_intern_total_gil(r, 0, total->node, total->gil_ns);
    t->first_total = total->next;
    total->cpu_ns = total->wall_ns = total->gil_ns = total->samples = 0;
    sp_store_release(&total->listed, 0);
}

bool sp_log_fold(struct sp_region *r, struct sp_thread *t, uint32_t *budget)
{
    while (t->chunk) {
        const struct sp_chunk *c = sp_at64(r, t->fold_chunk ? t->fold_chunk : t->first_chunk);
        for (; t->fold_record < c->n; --*budget) {
            if (!*budget)
                return false;
            fold_record(r, t, c);
        }
        if (chunk_ref(r, c) == t->chunk)
            t->chunk = 0;
        t->fold_chunk = t->chunk ? c->next : 0;
        t->fold_record = 0;
    }
    for (; t->first_total; --*budget) {
        if (!*budget)
            return false;
        fold_total(r, t);
    }
    return true;
}
