/* SPDX-License-Identifier: MIT
 * The region: made, bounded, read. Layout in region.h; interning in intern.h; logs in log.h. */
#ifndef SP_SAMPLER_STORE_H
#define SP_SAMPLER_STORE_H

#include "compat/base.h"
#include "sampler/region.h"

#define SP_REGION_MIN (1ull << 20)
#define SP_REGION_MAX (4ull << 30)
#define SP_THREADS_MAX 8192u       /* slots of the largest region */
#define SP_STORE_STEP (128u << 10) /* by which what can be written grows */
#define SP_STORE_PAGE (64ul << 10) /* the largest of any processor: parts of a region begin and end at its multiples */
/* A region in reserved memory begins with so much that can be written, and so much of its scratch. */
#define SP_STORE_FIRST (256u << 10)
#define SP_STORE_SCRATCH (256u << 10)

SP_INLINE uint64_t sp_store_step_up(uint64_t bytes)
{
    return (bytes + SP_STORE_STEP - 1) & ~(uint64_t)(SP_STORE_STEP - 1);
}

/* The writer's part of a region, at its end. */
SP_INLINE uint64_t sp_store_scratch_bytes(uint64_t region_bytes)
{
    return (region_bytes / 8 * 3) & ~(SP_STORE_PAGE - 1);
}

struct sp_store_options {
    uint64_t interval_ns;
    uint32_t depth, tasks, lines, imports, native, wall;
    uint64_t now_mono_ns, now_wall_ns, tick_ns, before_start_ns;
    uint32_t profile, pid, ppid;
    uint64_t writable_bytes; /* 0: all of it */
};

/* [handler] Lays out an all-zero block of `bytes` (SP_REGION_MIN ... SP_REGION_MAX) as an empty profile. */
SP_SIGSAFE void sp_store_init(struct sp_region *r, uint64_t bytes, const struct sp_store_options *o);

/* [handler] Whether `r` holds a profile: false for NULL and for what a fork wiped. */
SP_INLINE bool sp_store_ready(const struct sp_region *r)
{
    return r && sp_load_acquire(&r->magic) == SP_REGION_MAGIC; /* pairs with sp_store_init's last store */
}

/* [handler] Whether the thread's time off the CPU is told. */
SP_INLINE bool sp_store_has_life(const struct sp_region *r, const struct sp_thread *t)
{
    return r->wall == SP_WALL_ALL || (r->wall && t->is_python);
}

/* [handler] `bytes` of zeroed memory aligned to `align` (a power of two, 8 ... 64): its offset, or 0 when full. */
SP_SIGSAFE uint64_t sp_store_alloc(struct sp_region *r, uint64_t bytes, uint64_t align);

SP_INLINE void *sp_at(const struct sp_region *r, uint64_t offset)
{
    return (char *)(uintptr_t)r + offset;
}

SP_INLINE void *sp_at64(const struct sp_region *r, uint32_t offset_by_64)
{
    return (char *)(uintptr_t)r + (uint64_t)offset_by_64 * 64;
}

/* [handler] The entry named `id`, which a pool handed out before. */
SP_INLINE void *sp_pool_entry(const struct sp_region *r, const struct sp_pool *p, uint32_t id)
{
    const uint32_t *directory = sp_at(r, p->directory);
    uint32_t page = sp_load_relaxed(&directory[id / SP_POOL_PAGE]);
    return (char *)sp_at64(r, page) + (uint64_t)(id % SP_POOL_PAGE) * p->bytes;
}

/* [handler] A zeroed new entry: its id, or 0 when the pool or the region is full. */
SP_SIGSAFE uint32_t sp_pool_alloc(struct sp_region *r, struct sp_pool *p);

/* One past the last id that has an entry: when the region is full, ids were counted that got no page. */
SP_INLINE uint32_t sp_pool_end(const struct sp_region *r, const struct sp_pool *p)
{
    const uint32_t *directory = sp_at(r, p->directory);
    uint32_t end = sp_load_acquire(&p->n);
    end = end < p->max ? end : p->max;
    while (end > 1 && sp_load_acquire(&directory[(end - 1) / SP_POOL_PAGE]) == 0)
        end = (end - 1) / SP_POOL_PAGE * SP_POOL_PAGE;
    return end > 1 ? end : 1;
}

SP_INLINE struct sp_code *sp_code_at(const struct sp_region *r, uint32_t id)
{
    return sp_pool_entry(r, &r->codes, id);
}

SP_INLINE struct sp_frame *sp_frame_at(const struct sp_region *r, uint32_t id)
{
    return sp_pool_entry(r, &r->frames, id);
}

SP_INLINE struct sp_node *sp_node_at(const struct sp_region *r, uint32_t id)
{
    return sp_pool_entry(r, &r->nodes, id);
}

SP_INLINE struct sp_string *sp_string_at(const struct sp_region *r, uint32_t ref)
{
    return sp_at(r, (uint64_t)ref * 8);
}

/* Threads by number, 1 ... r->n_threads; NULL while one is being made. */
SP_INLINE struct sp_thread *sp_thread_at(const struct sp_region *r, uint32_t number)
{
    const uint32_t *directory = sp_at(r, r->thread_directory);
    uint32_t at = sp_load_acquire(&directory[number]);
    return at ? sp_at64(r, at) : NULL;
}

/* What is known of one look at a thread, from the walk through the log to the view. */
struct sp_sample {
    uint32_t node;
    enum sp_category category; /* of the thread's sums; not kept in the log */
    enum sp_loss loss;         /* SP_LOSS_NONE: there is a Python stack, or none to be had. Not kept in the log */
    uint64_t cpu_ns;           /* that it stands for */
    uint64_t wall_ns;          /* off the CPU: of a wait */
    uint64_t gil_ns;           /* others waited for the GIL that it held: of a sum */
    uint64_t since_ns;         /* since the start of the profile */
};

/* Of the sample, node, cpu_ns, wall_ns and since_ns are told. */
typedef void sp_booked_fn(void *arg, const struct sp_sample *s);

/* Calls call() for each sum of the list that begins with the one of this id, all with the same time. */
SP_INLINE void sp_each_sum(const struct sp_region *r, uint32_t first, uint64_t since_ns, sp_booked_fn *call, void *arg)
{
    for (uint32_t id = first; id;) {
        const struct sp_total *total = sp_pool_entry(r, &r->totals, id);
        call(arg, &(struct sp_sample){.node = total->node,
                                      .cpu_ns = total->cpu_ns,
                                      .wall_ns = total->wall_ns,
                                      .gil_ns = total->gil_ns,
                                      .since_ns = since_ns});
        id = total->next;
    }
}

/* [any] Calls call() for each record in a thread's log that is not folded away, then for each of its sums: the time of the
 * last record, which is theirs too. The store is frozen. */
SP_INLINE uint64_t sp_each_booked(const struct sp_region *r, const struct sp_thread *t, sp_booked_fn *call, void *arg)
{
    struct sp_sample s = {.since_ns = 0};
    uint32_t i = t->fold_record;
    for (uint32_t at = !t->chunk ? 0 : t->fold_chunk ? t->fold_chunk : t->first_chunk; at; i = 0) {
        const struct sp_chunk *c = sp_at64(r, at);
        for (; i < c->n; i++) {
            const struct sp_record *rec = &c->records[i];
            s.node = rec->node;
            s.cpu_ns = rec->cpu_ns;
            s.wall_ns = rec->wall_ns;
            s.since_ns = c->base_ns + ((uint64_t)(rec->state_and_time & SP_RECORD_TIME_MAX) << SP_RECORD_TIME_SHIFT);
            call(arg, &s);
        }
        at = at == t->chunk ? 0 : c->next;
    }
    sp_each_sum(r, t->first_total, s.since_ns, call, arg);
    return s.since_ns;
}

/* [any] As sp_each_booked, for what folded threads did. */
SP_INLINE uint64_t sp_each_booked_by_folded(const struct sp_region *r, sp_booked_fn *call, void *arg)
{
    uint64_t since_ns = 0;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        if (t && t->state == SP_THREAD_FOLDING)
            since_ns = sp_max_u64(since_ns, sp_each_booked(r, t, call, arg));
    }
    sp_each_sum(r, r->first_total, since_ns, call, arg);
    return since_ns;
}

SP_INLINE void sp_count_loss(struct sp_region *r, enum sp_loss why)
{
    sp_add_relaxed(&r->loss[why], 1);
}

/* [hook] While the writer is at work its scratch can be written, all of it or as much as the limits leave. The region is
 * frozen, and its scratch is reserved memory. */
void sp_store_scratch_begin(struct sp_region *r);
void sp_store_scratch_end(struct sp_region *r);

/* [hook] Line of a Python frame, decoded from the copied table; the function's first line if that fails. */
int32_t sp_store_frame_line(const struct sp_region *r, uint32_t frame);

/* [hook] What CPU on a stack was booked as: a frame of it says why it is in no Python stack; native frames alone are of a thread
 * without Python. */
enum sp_category sp_store_category_of(const struct sp_region *r, uint32_t node);

/* [hook] The text of a pseudo-frame, such as "(thread end)". */
const char *sp_store_pseudo_name(uint32_t number);

/* [hook] The key of a loss reason in the output, such as "no_frame". */
const char *sp_store_loss_name(enum sp_loss why);

/* [hook] The key of a CPU category in the output, such as "thread_end". */
const char *sp_store_category_name(enum sp_category c);

#endif
