/* SPDX-License-Identifier: MIT
 * A region made by hand, without an interpreter. */
#ifndef SP_TESTS_REGION_H
#define SP_TESTS_REGION_H

#include <string.h>
#include <sys/mman.h>

#include "sampler/intern.h"
#include "sampler/log.h"
#include "sampler/threads.h"

static inline struct sp_region *region_new(uint64_t bytes, uint32_t depth)
{
    struct sp_region *r = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct sp_store_options o = {
        .interval_ns = 10000000,
        .depth = depth,
        .now_mono_ns = 1000000000,
        .now_wall_ns = 1795421593123000000ull, /* 2026-11-23T08:13:13.123Z */
        .tick_ns = 4000000,
        .before_start_ns = 2000000,
        .pid = 4711,
        .ppid = 4700,
    };
    sp_store_init(r, bytes, &o);
    r->run_ns = 1795421590000000123ull;
    memcpy(r->host, "web-1", 6);
    memcpy(r->python, "3.12.1", 7);
    memcpy(r->build, "shared", 7);
    memcpy(r->engine, "cpu", 4);
    memcpy(r->argv, "python\0app.py\0", 14);
    return r;
}

/* A function as if a code object had been read; its line table: 2 code units a line from first_line on. */
static inline uint32_t region_code(struct sp_region *r, const char *name, const char *file, int32_t first_line)
{
    uint32_t id = sp_pool_alloc(r, &r->codes);
    if (!id)
        return 0;
    char table[64];
    for (size_t i = 0; i < sizeof table; i += 2) {
        table[i] = (char)(0x80 | 13 << 3 | 1); /* no columns, 2 units */
        table[i + 1] = i ? 2 : 0;              /* line + 1 */
    }
    *sp_code_at(r, id) = (struct sp_code){
        .name = sp_intern_string(r, name, (uint32_t)strlen(name)),
        .file = sp_intern_string(r, file, (uint32_t)strlen(file)),
        .first_line = first_line,
        .lines = sp_intern_string(r, table, sizeof table),
        .lines_bytes = sizeof table,
        .lines_copied = sizeof table,
        .lines_format = SP_LINES_LOCATIONS_311,
    };
    return id;
}

static inline uint32_t region_node(struct sp_region *r, uint32_t parent, uint32_t code, int32_t offset)
{
    uint32_t frame = sp_intern_frame(r, SP_FRAME_PYTHON, code, offset);
    return frame ? sp_intern_node(r, parent, frame) : 0;
}

static inline struct sp_thread *region_thread(struct sp_region *r, int tid, const char *name)
{
    struct sp_thread *t = sp_thread_claim(r);
    if (!t)
        return NULL;
    memcpy(t->name, name, strlen(name) + 1);
    sp_thread_begin(r, t, tid, 0);
    return t;
}

/* One sample: booked, counted, and on the thread's clock. */
static inline void region_sample_of(struct sp_region *r, struct sp_thread *t, uint32_t node, enum sp_category category,
                                    uint64_t ns, uint64_t since)
{
    struct sp_sample s = {.node = node, .category = category, .cpu_ns = ns, .since_ns = since};
    sp_log_book(r, t, &s);
    t->last_cpu_ns += ns;
    t->end_cpu_ns = t->last_cpu_ns;
    t->samples++;
    t->prompt_ns += ns;
}

static inline void region_sample(struct sp_region *r, struct sp_thread *t, uint32_t node, uint64_t ns, uint64_t since)
{
    region_sample_of(r, t, node, SP_CATEGORY_PYTHON, ns, since);
}

#endif
