/* SPDX-License-Identifier: MIT
 * See store.h. Everything that hands out memory may run in the handler: an atomic add, a CAS, no lock. A spool file
 * costs a system call for each step that it grows. */
#include "sampler/store.h"

#include "compat/os.h"
#include "compat/py_lines.h"

#define HEADER_BYTES ((sizeof(struct sp_region) + 63) & ~63ull)

/* Two threads may do this at once: both get the same. */
SP_SIGSAFE static bool extend(struct sp_region *r, uint64_t from, uint64_t to)
{
    if (r->in_file)
        return sp_os_populate(sp_at(r, from), to - from) == 0;
    uint64_t limit = sp_os_limit_memory(); /* it may have been set meanwhile */
    return (limit == UINT64_MAX || to <= limit / 16) && sp_os_make_writable(sp_at(r, from), to - from) == 0;
}

/* No more room on the disk, or within the limits: the region ends here, and what follows is (overflow). */
SP_SIGSAFE static bool is_backed(struct sp_region *r, uint64_t until)
{
    uint64_t backed = sp_load_acquire(&r->backed);
    if (SP_LIKELY(until <= backed))
        return true;
    uint64_t wanted = sp_min_u64(sp_store_step_up(until), r->scratch);
    if (!extend(r, backed, wanted)) {
        sp_store_relaxed(&r->end, backed);
        return false;
    }
    while (backed < wanted && !sp_cas(&r->backed, &backed, wanted))
        ;
    return true;
}

uint64_t sp_store_alloc(struct sp_region *r, uint64_t bytes, uint64_t align)
{
    uint64_t take = (bytes + 7) & ~7ull;
    if (align > 8)
        take += align - 8; /* room to align inside: offsets are always multiples of 8 */
    if (sp_load_relaxed(&r->next) + take > sp_load_relaxed(&r->end))
        return 0;
    uint64_t at = sp_add_relaxed(&r->next, take);
    if (at + take > sp_load_relaxed(&r->end) || !is_backed(r, at + take))
        return 0;
    return (at + align - 1) & ~(align - 1);
}

uint32_t sp_pool_alloc(struct sp_region *r, struct sp_pool *p)
{
    if (sp_load_relaxed(&p->n) >= p->max)
        return 0;
    uint32_t id = sp_add_relaxed(&p->n, 1);
    if (id >= p->max)
        return 0;
    uint32_t *page = (uint32_t *)sp_at(r, p->directory) + id / SP_POOL_PAGE;
    if (sp_load_acquire(page) == 0) {
        uint64_t at = sp_store_alloc(r, (uint64_t)SP_POOL_PAGE * p->bytes, 64);
        if (!at)
            return 0;
        uint32_t none = 0; /* a loser's page is wasted: nobody waits */
        sp_cas(page, &none, (uint32_t)(at / 64));
    }
    return id;
}

SP_SIGSAFE static void pool_init(struct sp_region *r, struct sp_pool *p, uint32_t bytes, uint64_t max)
{
    p->n = 1;
    p->bytes = bytes;
    p->max = (uint32_t)max;
    p->directory = (uint32_t)sp_store_alloc(r, (max / SP_POOL_PAGE + 1) * 4, 64);
}

SP_SIGSAFE static void add_pseudo_nodes(struct sp_region *r)
{
    for (uint32_t i = 0; i < SP_PSEUDO_N; i++) {
        uint32_t frame = sp_pool_alloc(r, &r->frames);
        *sp_frame_at(r, frame) = (struct sp_frame){.kind = SP_FRAME_PSEUDO, .what = i};
        uint32_t node = sp_pool_alloc(r, &r->nodes);
        *sp_node_at(r, node) = (struct sp_node){.parent = 0, .frame = frame, .depth = 1};
        r->pseudo_node[i] = node;
    }
}

void sp_store_init(struct sp_region *r, uint64_t bytes, const struct sp_store_options *o)
{
    r->layout = SP_REGION_LAYOUT;
    r->header_bytes = HEADER_BYTES;
    r->bytes = bytes;
    r->scratch_bytes = sp_store_scratch_bytes(bytes);
    r->scratch = bytes - r->scratch_bytes;
    r->end = r->scratch;
    r->backed = o->writable_bytes ? o->writable_bytes : r->scratch;
    r->next = HEADER_BYTES;
    r->log_limit = bytes / 4;

    r->profile = o->profile;
    r->pid = o->pid;
    r->ppid = o->ppid;
    r->started_wall_ns = o->now_wall_ns;
    r->started_mono_ns = o->now_mono_ns;
    r->before_start_ns = o->before_start_ns;
    r->interval_ns = o->interval_ns;
    r->tick_ns = o->tick_ns;
    r->tasks = o->tasks;
    r->lines = o->lines;
    r->imports = o->imports;
    r->wall = o->wall;
    r->native = o->native;
    /* Two stacks a thread: with a small region they are what runs out first. */
    r->depth = (uint32_t)sp_min_u64(o->depth, bytes / 2048);

    uint64_t unit = bytes / 160; /* the writer needs up to 52 bytes of scratch for a node */
    pool_init(r, &r->codes, sizeof(struct sp_code), unit / 4 + SP_POOL_PAGE);
    pool_init(r, &r->cells, sizeof(struct sp_cell), unit / 4 + SP_POOL_PAGE);
    pool_init(r, &r->frames, sizeof(struct sp_frame), unit / 2 + SP_POOL_PAGE);
    pool_init(r, &r->nodes, sizeof(struct sp_node), unit);
    pool_init(r, &r->totals, sizeof(struct sp_total), unit / 2 + SP_POOL_PAGE);
    r->max_threads = (uint32_t)sp_min_u64(bytes / 16384, SP_THREADS_MAX);
    r->max_ended = r->max_threads / 4 < 256 ? r->max_threads / 4 : 256;
    r->thread_directory = (uint32_t)sp_store_alloc(r, (r->max_threads + 1) * 4ull, 64);
    add_pseudo_nodes(r);
    sp_store_release(&r->magic, SP_REGION_MAGIC);
}

void sp_store_scratch_begin(struct sp_region *r)
{
    uint64_t bytes = r->scratch_bytes;
    while (sp_os_make_writable(sp_at(r, r->scratch), bytes) != 0 && bytes > SP_STORE_SCRATCH)
        bytes = sp_max_u64(bytes / 2 & ~(SP_STORE_PAGE - 1), SP_STORE_SCRATCH);
    r->scratch_bytes = bytes;
}

void sp_store_scratch_end(struct sp_region *r)
{
    r->scratch_bytes = r->bytes - r->scratch;
    sp_os_give_back(sp_at(r, r->scratch + SP_STORE_SCRATCH), r->scratch_bytes - SP_STORE_SCRATCH);
}

enum sp_category sp_store_category_of(const struct sp_region *r, uint32_t node)
{
    bool is_else = false, is_native = false;
    for (; node; node = sp_node_at(r, node)->parent) {
        const struct sp_frame *f = sp_frame_at(r, sp_node_at(r, node)->frame);
        if (f->kind == SP_FRAME_PSEUDO && f->what != SP_CATEGORY_PYTHON && f->what < SP_CATEGORY_N)
            return (enum sp_category)f->what;
        if (f->kind == SP_FRAME_NATIVE || (f->kind == SP_FRAME_PSEUDO && f->what == SP_PSEUDO_NATIVE_UNKNOWN))
            is_native = true;
        else if (f->kind != SP_FRAME_TASK) /* spans stand above native frames as well */
            is_else = true;
    }
    return is_native && !is_else ? SP_CATEGORY_NATIVE_THREAD : SP_CATEGORY_PYTHON;
}

int32_t sp_store_frame_line(const struct sp_region *r, uint32_t frame)
{
    const struct sp_frame *f = sp_frame_at(r, frame);
    if (f->kind != SP_FRAME_PYTHON)
        return 0;
    const struct sp_code *c = sp_code_at(r, f->what);
    if (!c->lines)
        return c->first_line;
    const struct sp_string *table = sp_string_at(r, c->lines);
    struct sp_lines_input in = {
        .format = (enum sp_py_lines)c->lines_format,
        .table = (const uint8_t *)table->data,
        .bytes = c->lines_copied < c->lines_bytes ? c->lines_copied : c->lines_bytes,
        .first_line = c->first_line,
    };
    int32_t line = sp_py_line(&in, f->offset);
    return line > 0 ? line : c->first_line;
}

const char *sp_store_pseudo_name(uint32_t number)
{
    static const char *const names[SP_PSEUDO_N] = {
        [SP_CATEGORY_PYTHON] = "(no stack)",
        [SP_CATEGORY_STARTUP] = "(startup)",
        [SP_CATEGORY_THREAD_END] = "(thread end)",
        [SP_CATEGORY_THREAD_START_END] = "(thread start/end)",
        [SP_CATEGORY_BLOCKED] = "(SIGPROF blocked)",
        [SP_CATEGORY_UNWALKABLE] = "(unwalkable)",
        [SP_CATEGORY_NATIVE_THREAD] = "(native thread)",
        [SP_CATEGORY_NOT_SAMPLED] = "(not sampled)",
        [SP_PSEUDO_OVERFLOW] = "(overflow)",
        [SP_PSEUDO_UNKNOWN_PYTHON] = "(python)",
        [SP_PSEUDO_TRUNCATED] = "(truncated)",
        [SP_PSEUDO_IMPORT] = "(import)",
        [SP_PSEUDO_SHUTDOWN] = "(shutdown)",
        [SP_PSEUDO_NATIVE_UNKNOWN] = "(native ?)",
        [SP_PSEUDO_WAITING_CPU] = "(waiting for a CPU)",
        [SP_PSEUDO_NOT_RUNNING] = "(not running)",
        [SP_PSEUDO_GC] = "(gc)",
    };
    return number < SP_PSEUDO_N ? names[number] : "(unknown)";
}

const char *sp_store_loss_name(enum sp_loss why)
{
    static const char *const names[SP_LOSS_N] = {
        [SP_LOSS_NONE] = "none",
        [SP_LOSS_NO_FRAME] = "no_frame",
        [SP_LOSS_FINALIZING] = "finalizing",
        [SP_LOSS_BAD_TSTATE] = "bad_tstate",
        [SP_LOSS_BAD_ADDRESS] = "bad_address",
        [SP_LOSS_UNREADABLE] = "unreadable",
        [SP_LOSS_BAD_FRAME] = "bad_frame",
        [SP_LOSS_BAD_CODE] = "bad_code",
        [SP_LOSS_BAD_BOTTOM] = "bad_bottom",
        [SP_LOSS_NESTED] = "nested",
        [SP_LOSS_FROZEN] = "frozen",
        [SP_LOSS_OVERFLOW] = "overflow",
        [SP_LOSS_TRUNCATED] = "truncated",
        [SP_LOSS_TIMER_REFUSED] = "timer_refused",
        [SP_LOSS_NO_SLOT] = "no_slot",
        [SP_LOSS_REPLACED] = "handler_replaced",
    };
    return names[why];
}

const char *sp_store_category_name(enum sp_category c)
{
    static const char *const names[SP_CATEGORY_N] = {
        [SP_CATEGORY_PYTHON] = "python",
        [SP_CATEGORY_STARTUP] = "startup",
        [SP_CATEGORY_THREAD_END] = "thread_end",
        [SP_CATEGORY_THREAD_START_END] = "thread_start_end",
        [SP_CATEGORY_BLOCKED] = "blocked",
        [SP_CATEGORY_UNWALKABLE] = "unwalkable",
        [SP_CATEGORY_NATIVE_THREAD] = "native_thread",
        [SP_CATEGORY_NOT_SAMPLED] = "not_sampled",
    };
    return names[c];
}
