/* SPDX-License-Identifier: MIT
 * See salvage.h. The profile is built anew through the store's own functions, so that the result is sound whatever the
 * source holds. */
#include "inject/command/salvage.h"

#include <stdlib.h>
#include <string.h>

#include "sampler/intern.h"
#include "sampler/log.h"
#include "sampler/threads.h"

/* bytes_at() refuses what does not lie so */
_Static_assert(sizeof(struct sp_code) % 8 == 0 && sizeof(struct sp_frame) % 8 == 0 && sizeof(struct sp_node) % 8 == 0 &&
                   sizeof(struct sp_total) % 8 == 0,
               "entries of pools lie at multiples of 8");

#define STRING_BYTES_MAX (64u << 10)
#define TEXT_TIMES 16u           /* a path of 4 KB may belong to every function */
#define REST_NS_MAX (1ull << 52) /* 52 days: more is damage */

struct salvage {
    struct sp_region *into;
    struct sp_region log_head, head; /* copies: the source may be anything */
    const char *log, *pools;
    uint64_t bytes;
    uint32_t *code_of, *frame_of, *node_of, *thread_of; /* id there -> id here; 0: none */
    uint32_t n_codes, n_frames, n_nodes, n_threads;
    uint64_t lost_ns;
    uint64_t log_bytes, text_bytes; /* that may be read yet: a source may name the same bytes again and again */
    void (*thread_name)(int tid, char name[16]);
};

const char *sp_salvage_check(const void *head, uint64_t bytes)
{
    struct sp_region r;
    if (bytes < sizeof r)
        return "it is too short to be a profile";
    memcpy(&r, head, sizeof r);
    if (r.magic != SP_REGION_MAGIC)
        return "it is no profile of spprof, or its process was killed before the first sample could be taken";
    if (r.layout != SP_REGION_LAYOUT || r.header_bytes != ((sizeof r + 63) & ~63ull))
        return "its layout is that of another version of spprof; use the command of that version";
    if (r.bytes < SP_REGION_MIN || r.bytes > SP_REGION_MAX)
        return "its size makes no sense";
    return NULL;
}

uint64_t sp_salvage_used(const struct sp_region *head)
{
    uint64_t end = head->bytes - sp_store_scratch_bytes(head->bytes);
    return sp_min_u64(sp_max_u64(head->next, sizeof *head), end);
}

/* ---- reading with bounds */
static const void *bytes_at(const struct salvage *s, const char *base, uint64_t offset, uint64_t bytes)
{
    if (offset > s->bytes || bytes > s->bytes - offset || (offset & 7))
        return NULL;
    return base + offset;
}

static const void *entry_at(const struct salvage *s, const char *base, const struct sp_pool *p, uint32_t id, uint32_t bytes)
{
    if (id == 0 || id >= p->max || p->bytes != bytes || (p->directory & 3))
        return NULL;
    uint64_t at = p->directory + 4ull * (id / SP_POOL_PAGE);
    uint32_t page;
    if (at > s->bytes || s->bytes - at < 4)
        return NULL;
    memcpy(&page, base + at, 4);
    return page ? bytes_at(s, base, page * 64ull + (uint64_t)(id % SP_POOL_PAGE) * bytes, bytes) : NULL;
}

/* Entries that there can be: the counter may say anything. */
static uint32_t count_of(const struct salvage *s, const struct sp_pool *p, uint32_t bytes)
{
    uint64_t most = s->bytes / bytes + SP_POOL_PAGE;
    return (uint32_t)sp_min_u64(sp_min_u64(p->n, p->max), most);
}

static uint32_t copy_string(struct salvage *s, uint32_t ref)
{
    const struct sp_string *from = ref ? bytes_at(s, s->pools, ref * 8ull, sizeof *from) : NULL;
    if (!from)
        return 0;
    uint32_t n = from->bytes;
    if (n > STRING_BYTES_MAX || n > s->text_bytes || !bytes_at(s, s->pools, ref * 8ull, sizeof *from + (uint64_t)n))
        return 0;
    s->text_bytes -= n;
    return sp_intern_string(s->into, from->data, n);
}

/* ---- functions, frames, paths */
static uint32_t copy_long_table(struct salvage *s, const struct sp_code *c)
{
    uint64_t bytes = sizeof(struct sp_string) + (uint64_t)c->lines_bytes;
    const char *from = bytes_at(s, s->pools, c->lines * 8ull, bytes);
    uint64_t at = from ? sp_store_alloc(s->into, bytes, 8) : 0;
    if (!at)
        return 0;
    memcpy(sp_at(s->into, at), from, bytes);
    ((struct sp_string *)sp_at(s->into, at))->bytes = c->lines_bytes;
    return (uint32_t)(at / 8);
}

static uint32_t copy_code(struct salvage *s, const struct sp_code *from)
{
    struct sp_code c = *from;
    c.name = copy_string(s, from->name);
    c.file = copy_string(s, from->file);
    if (!c.name || !c.file)
        return 0;
    bool has_lines = c.lines && c.lines_format > SP_LINES_NONE && c.lines_format <= SP_LINES_LOCATIONS_311;
    c.lines = !has_lines ? 0 : c.lines_bytes > STRING_BYTES_MAX ? copy_long_table(s, from) : copy_string(s, from->lines);
    if (c.lines) {
        uint32_t there = sp_string_at(s->into, c.lines)->bytes;
        c.lines_bytes = c.lines_bytes < there ? c.lines_bytes : there;
        c.lines_copied = c.lines_copied < c.lines_bytes ? c.lines_copied : c.lines_bytes;
    }
    uint32_t id = sp_pool_alloc(s->into, &s->into->codes);
    if (id)
        *sp_code_at(s->into, id) = c;
    return id;
}

static uint32_t copy_frame(struct salvage *s, const struct sp_frame *f)
{
    uint32_t what = f->what;
    if (f->kind == SP_FRAME_PYTHON)
        what = what < s->n_codes ? s->code_of[what] : 0;
    else if (f->kind == SP_FRAME_TASK || f->kind == SP_FRAME_WAIT || f->kind == SP_FRAME_NATIVE)
        what = copy_string(s, what);
    else if (f->kind == SP_FRAME_PSEUDO && what >= SP_PSEUDO_N)
        return 0;
    else if (f->kind != SP_FRAME_PSEUDO && f->kind != SP_FRAME_INTERPRETER)
        return 0;
    bool named = f->kind == SP_FRAME_PSEUDO || what;
    if (named && f->kind == SP_FRAME_NATIVE)
        return sp_intern_native_frame(s->into, what, (uint64_t)f->more << 32 | (uint32_t)f->offset);
    return named ? sp_intern_frame(s->into, (enum sp_frame_kind)f->kind, what, f->offset) : 0;
}

static uint32_t copy_node(struct salvage *s, const struct sp_node *n, uint32_t id)
{
    uint32_t parent = n->parent < id ? s->node_of[n->parent] : 0;
    uint32_t frame = n->frame < s->n_frames ? s->frame_of[n->frame] : 0;
    if (!frame || (n->parent && !parent))
        return 0;
    const struct sp_frame *f = sp_frame_at(s->into, frame);
    if (f->kind == SP_FRAME_INTERPRETER && n->parent)
        return 0;
    if (f->kind == SP_FRAME_PSEUDO && !n->parent)
        return s->into->pseudo_node[f->what];
    return sp_intern_node(s->into, parent, frame);
}

static bool copy_tree(struct salvage *s)
{
    s->n_codes = count_of(s, &s->head.codes, sizeof(struct sp_code));
    s->n_frames = count_of(s, &s->head.frames, sizeof(struct sp_frame));
    s->n_nodes = count_of(s, &s->head.nodes, sizeof(struct sp_node));
    s->code_of = calloc(s->n_codes + 1ull, 4);
    s->frame_of = calloc(s->n_frames + 1ull, 4);
    s->node_of = calloc(s->n_nodes + 1ull, 4);
    if (!s->code_of || !s->frame_of || !s->node_of)
        return false;
    for (uint32_t id = 1; id < s->n_codes; id++) {
        const struct sp_code *c = entry_at(s, s->pools, &s->head.codes, id, sizeof *c);
        s->code_of[id] = c ? copy_code(s, c) : 0;
    }
    for (uint32_t id = 1; id < s->n_frames; id++) {
        const struct sp_frame *f = entry_at(s, s->pools, &s->head.frames, id, sizeof *f);
        s->frame_of[id] = f ? copy_frame(s, f) : 0;
    }
    for (uint32_t id = 1; id < s->n_nodes; id++) {
        const struct sp_node *n = entry_at(s, s->pools, &s->head.nodes, id, sizeof *n);
        s->node_of[id] = n ? copy_node(s, n, id) : 0;
    }
    return true;
}

/* ---- what the threads did */
static uint32_t node_here(struct salvage *s, uint32_t node, uint64_t cpu_ns)
{
    uint32_t here = node < s->n_nodes ? s->node_of[node] : 0;
    if (here)
        return here;
    s->lost_ns += cpu_ns;
    return s->into->pseudo_node[SP_PSEUDO_OVERFLOW];
}

static void copy_record(struct salvage *s, struct sp_thread *t, struct sp_record rec, uint64_t since)
{
    struct sp_sample one = {.node = node_here(s, rec.node, rec.cpu_ns), .cpu_ns = rec.cpu_ns, .since_ns = since};
    one.category = sp_store_category_of(s->into, one.node);
    if (t && rec.wall_ns)
        sp_log_book_wait(s->into, t, one.node, rec.wall_ns, since);
    else if (rec.wall_ns && sp_intern_total_wait(s->into, 0, one.node, rec.wall_ns))
        s->into->folded_wait_ns += rec.wall_ns;
    if (!rec.cpu_ns)
        return;
    if (t)
        sp_log_book(s->into, t, &one);
    else if (sp_intern_total(s->into, 0, one.node, one.cpu_ns, 0))
        s->into->folded_cpu_ns[one.category] += one.cpu_ns;
}

/* To the thread's log; t NULL: to thread 0's sums. */
static void copy_log(struct salvage *s, struct sp_thread *t, const struct sp_thread *from)
{
    uint32_t i = from->fold_record;
    for (uint32_t at = !from->chunk ? 0 : from->fold_chunk ? from->fold_chunk : from->first_chunk; at;) {
        const struct sp_chunk *c = bytes_at(s, s->log, at * 64ull, sizeof *c);
        uint32_t n = c ? sp_load_acquire(&c->n) : 0;
        if (!c || n > c->cap || !bytes_at(s, s->log, at * 64ull, sizeof *c + (uint64_t)n * sizeof c->records[0]))
            break;
        uint64_t bytes = sizeof *c + (uint64_t)n * sizeof c->records[0];
        if (bytes > s->log_bytes)
            break;
        s->log_bytes -= bytes;
        for (; i < n; i++) {
            struct sp_record rec = c->records[i];
            copy_record(s, t, rec, c->base_ns + ((uint64_t)(rec.state_and_time & SP_RECORD_TIME_MAX) << SP_RECORD_TIME_SHIFT));
        }
        at = at == from->chunk ? 0 : c->next;
        i = 0;
    }
}

static void copy_text(char *to, const char *from, size_t cap)
{
    memcpy(to, from, cap);
    to[cap - 1] = '\0';
}

/* A wait that had not returned lasted as long as anything is known of the process. */
static void copy_off(struct salvage *s, struct sp_thread *t, const struct sp_thread *from)
{
    uint64_t known = s->head.started_mono_ns + s->log_head.last_ns, since = from->open_since_ns;
    t->off_ns = sp_min_u64(from->off_ns - sp_min_u64(from->off_ns, since ? from->open_ns : 0), REST_NS_MAX);
    t->queued_ns = from->queued_ns;
    t->gil_ns = sp_min_u64(from->gil_ns, REST_NS_MAX);
    t->is_python = from->is_python;
    t->open_node = node_here(s, from->open_node, 0);
    t->open_ns = since && known > since ? sp_min_u64(known - since, REST_NS_MAX) : 0;
    t->off_ns += t->open_ns;
}

static void copy_thread(struct salvage *s, uint32_t number, const struct sp_thread *from)
{
    if (from->state == SP_THREAD_FOLDING) {
        copy_log(s, NULL, from);
        return;
    }
    struct sp_thread *t = sp_thread_claim(s->into);
    if (!t)
        return;
    sp_thread_begin(s->into, t, from->tid, 0);
    s->thread_of[number] = t->number;
    t->serial = from->serial;
    t->samples = from->samples;
    t->prompt_ns = from->prompt_ns;
    copy_text(t->name, from->name, sizeof t->name);
    if (!t->name[0] && t->serial != 1 && from->state == SP_THREAD_LIVE && s->thread_name)
        s->thread_name(t->tid, t->name);
    copy_log(s, t, from);
    copy_off(s, t, from);
}

static uint64_t sum_of(const uint64_t ns[SP_CATEGORY_N])
{
    uint64_t sum = 0;
    for (int c = 0; c < SP_CATEGORY_N; c++)
        sum += ns[c];
    return sum;
}

static void copy_totals(struct salvage *s)
{
    uint32_t n = count_of(s, &s->log_head.totals, sizeof(struct sp_total));
    for (uint32_t id = 1; id < n; id++) {
        const struct sp_total *from = entry_at(s, s->log, &s->log_head.totals, id, sizeof *from);
        if (!from || (!from->cpu_ns && !from->wall_ns && !from->gil_ns && !from->samples))
            continue;
        uint32_t number = from->thread < s->n_threads ? s->thread_of[from->thread] : 0;
        uint32_t node = node_here(s, from->node, from->cpu_ns);
        enum sp_category category = sp_store_category_of(s->into, node);
        uint64_t wall_ns = sp_min_u64(from->wall_ns, REST_NS_MAX);
        if (wall_ns && sp_intern_total_wait(s->into, number, node, wall_ns))
            *(number ? &sp_thread_at(s->into, number)->wait_ns : &s->into->folded_wait_ns) += wall_ns;
        if (from->gil_ns)
            sp_intern_total_gil(s->into, number, node, sp_min_u64(from->gil_ns, REST_NS_MAX));
        if (!sp_intern_total(s->into, number, node, from->cpu_ns, from->samples))
            continue;
        if (number)
            sp_thread_at(s->into, number)->cpu_ns[category] += from->cpu_ns;
        else
            s->into->folded_cpu_ns[category] += from->cpu_ns;
    }
}

static const struct sp_thread *thread_there(const struct salvage *s, uint32_t number)
{
    uint64_t at = s->log_head.thread_directory + 4ull * number;
    uint32_t offset;
    if (at > s->bytes || s->bytes - at < 4)
        return NULL;
    memcpy(&offset, s->log + at, 4);
    const struct sp_thread *t = offset ? bytes_at(s, s->log, offset * 64ull, sizeof *t) : NULL;
    return t && t->state >= SP_THREAD_LIVE && t->state <= SP_THREAD_FOLDING ? t : NULL;
}

/* What the sums have and the log lacks: samples that found no room for a record, or that the kill cut off. */
static void copy_rest(struct salvage *s)
{
    bool full = s->log_head.loss[SP_LOSS_OVERFLOW] || s->log_head.time_order_until_ns;
    struct sp_sample rest = {
        .node = s->into->pseudo_node[full ? SP_PSEUDO_OVERFLOW : SP_CATEGORY_NOT_SAMPLED],
        .category = full ? SP_CATEGORY_PYTHON : SP_CATEGORY_NOT_SAMPLED,
        .since_ns = s->into->last_ns,
    };
    for (uint32_t i = 1; i < s->n_threads; i++) {
        const struct sp_thread *from = s->thread_of[i] ? thread_there(s, i) : NULL;
        if (!from)
            continue;
        struct sp_thread *t = sp_thread_at(s->into, s->thread_of[i]);
        uint64_t there = sum_of(from->cpu_ns), here = sum_of(t->cpu_ns);
        rest.cpu_ns = there > here ? sp_min_u64(there - here, REST_NS_MAX) : 0;
        sp_log_book(s->into, t, &rest);
        t->last_cpu_ns = t->end_cpu_ns = sum_of(t->cpu_ns);
        t->state = SP_THREAD_ENDED;
    }
    uint64_t there = sum_of(s->log_head.folded_cpu_ns), here = sum_of(s->into->folded_cpu_ns);
    if (there > here) /* the view shows it as (overflow) */
        s->into->folded_cpu_ns[SP_CATEGORY_PYTHON] += sp_min_u64(there - here, REST_NS_MAX);
}

static bool copy_threads(struct salvage *s)
{
    uint64_t most = s->bytes / sizeof(struct sp_thread) + 1;
    s->n_threads = 1 + (uint32_t)sp_min_u64(sp_min_u64(s->log_head.n_threads, s->log_head.max_threads), most);
    s->thread_of = calloc(s->n_threads, 4);
    if (!s->thread_of)
        return false;
    for (uint32_t i = 1; i < s->n_threads; i++) {
        const struct sp_thread *t = thread_there(s, i);
        if (t)
            copy_thread(s, i, t);
    }
    copy_totals(s);
    copy_rest(s);
    return true;
}

static void copy_head(struct salvage *s)
{
    struct sp_region *r = s->into;
    const struct sp_region *from = &s->log_head;
    r->last_ns = from->last_ns;
    r->time_order_until_ns = from->time_order_until_ns;
    memcpy(r->loss, from->loss, sizeof r->loss);
    r->n_folded = from->n_folded;
    r->folded_samples = from->folded_samples;
    r->folded_prompt_ns = from->folded_prompt_ns;
    r->folded_off_ns = sp_min_u64(from->folded_off_ns, REST_NS_MAX);
    r->folded_queued_ns = from->folded_queued_ns;
    r->folded_gil_ns = sp_min_u64(from->folded_gil_ns, REST_NS_MAX);
    r->run_ns = from->run_ns;
    copy_text(r->host, from->host, sizeof r->host);
    copy_text(r->python, from->python, sizeof r->python);
    copy_text(r->build, from->build, sizeof r->build);
    copy_text(r->engine, from->engine, sizeof r->engine);
    copy_text(r->argv, from->argv, sizeof r->argv);
}

struct sp_salvage_result sp_salvage(struct sp_region *into, uint64_t into_bytes, const struct sp_salvage_source *from)
{
    struct sp_salvage_result result = {.error = sp_salvage_check(from->log, from->bytes)};
    if (!result.error)
        result.error = sp_salvage_check(from->pools, from->bytes);
    if (result.error)
        return result;
    struct salvage s = {.into = into,
                        .log = from->log,
                        .pools = from->pools,
                        .bytes = from->bytes,
                        .log_bytes = from->bytes,
                        .text_bytes = TEXT_TIMES * from->bytes,
                        .thread_name = from->thread_name};
    memcpy(&s.log_head, from->log, sizeof s.log_head);
    memcpy(&s.head, from->pools, sizeof s.head);
    struct sp_store_options o = {
        .interval_ns = s.head.interval_ns,
        .depth = (uint32_t)sp_max_u64(16, sp_min_u64(s.head.depth, 65536)),
        .tasks = s.head.tasks,
        .lines = s.head.lines,
        .imports = s.head.imports,
        .native = s.head.native,
        .wall = s.head.wall,
        .now_mono_ns = s.head.started_mono_ns,
        .now_wall_ns = s.head.started_wall_ns,
        .tick_ns = sp_max_u64(s.head.tick_ns, 1),
        .before_start_ns = s.head.before_start_ns,
        .pid = s.head.pid,
        .ppid = s.head.ppid,
    };
    sp_store_init(into, into_bytes, &o);
    copy_head(&s);
    if (!copy_tree(&s) || !copy_threads(&s))
        result.error = "there is not enough memory";
    result.lost_ns = s.lost_ns;
    free(s.code_of);
    free(s.frame_of);
    free(s.node_of);
    free(s.thread_of);
    return result;
}
