/* SPDX-License-Identifier: MIT
 * See combine.h. What was loaded is sound (load.h); it is interned anew, paths of calls before what calls them. */
#include "inject/command/combine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "sampler/intern.h"
#include "sampler/log.h"
#include "sampler/threads.h"
#include "writers/view.h"

struct adding {
    struct sp_combined *c;
    struct sp_region *into;
    const struct sp_region *from;
    uint32_t *code_of, *frame_of, *node_of; /* id there -> id here; 0: there is no room */
    uint32_t process;                       /* frame of the process; 0: none */
    struct sp_thread *thread;               /* whose records are added; NULL: thread 0's */
};

/* ---- open */
int sp_combine_open(struct sp_combined *c, bool sum)
{
    static const struct sp_store_options options = {
        .interval_ns = 10000000, .depth = 65536, .imports = 1, .tick_ns = 1, .profile = 1};
    *c = (struct sp_combined){.sum = sum, .one_command = true, .first_ns = UINT64_MAX};
    for (uint64_t bytes = SP_REGION_MAX; !sp_load_reserve(&c->all, bytes); bytes /= 4)
        if (bytes < 64u << 20)
            return sp_cli_fail("merge", "there is not enough memory");
    sp_store_init(c->all.region, c->all.bytes, &options);
    return 0;
}

void sp_combine_close(struct sp_combined *c)
{
    free(c->codes.slots);
    free(c->frames);
    sp_processes_free(&c->processes);
    sp_unload(&c->all);
}

/* ---- functions: equal ones of several processes are one */
static uint32_t hash_of(const struct sp_code *c)
{
    uint64_t h =
        ((uint64_t)c->name << 32 | c->file) * 0x9e3779b97f4a7c15ull ^ ((uint64_t)c->lines << 32 | (uint32_t)c->first_line);
    return (uint32_t)((h ^ h >> 32) * 0xd6e8feb86659fd93ull >> 32);
}

static bool is_same(const struct sp_code *a, const struct sp_code *b)
{
    return a->name == b->name && a->file == b->file && a->lines == b->lines && a->first_line == b->first_line &&
           a->lines_bytes == b->lines_bytes && a->lines_copied == b->lines_copied;
}

static uint32_t *slot_for(const struct sp_combined *c, const struct sp_code *code)
{
    for (uint32_t at = hash_of(code);; at++) {
        uint32_t *slot = &c->codes.slots[at & (c->codes.n_slots - 1)];
        if (!*slot || is_same(sp_code_at(c->all.region, *slot), code))
            return slot;
    }
}

static void grow_codes(struct sp_combined *c)
{
    uint32_t *old = c->codes.slots, n = c->codes.n_slots;
    c->codes.n_slots = n ? 2 * n : 4096;
    c->codes.slots = sp_cli_alloc(NULL, c->codes.n_slots * sizeof *old);
    memset(c->codes.slots, 0, c->codes.n_slots * sizeof *old);
    for (uint32_t i = 0; i < n; i++)
        if (old[i])
            *slot_for(c, sp_code_at(c->all.region, old[i])) = old[i];
    free(old);
}

static uint32_t copy_string(struct adding *a, uint32_t ref)
{
    const struct sp_string *s = ref ? sp_string_at(a->from, ref) : NULL;
    return s ? sp_intern_string(a->into, s->data, s->bytes) : 0;
}

static uint32_t copy_code(struct adding *a, const struct sp_code *from)
{
    struct sp_code code = *from;
    code.name = copy_string(a, from->name);
    code.file = copy_string(a, from->file);
    code.lines = copy_string(a, from->lines);
    if (!code.name || !code.file)
        return 0;
    if (2 * a->c->codes.n >= a->c->codes.n_slots)
        grow_codes(a->c);
    uint32_t *slot = slot_for(a->c, &code);
    if (!*slot && (*slot = sp_pool_alloc(a->into, &a->into->codes))) {
        *sp_code_at(a->into, *slot) = code;
        a->c->codes.n++;
    }
    return *slot;
}

/* ---- frames, paths */
static uint32_t copy_frame(struct adding *a, const struct sp_frame *from)
{
    struct sp_frame f = *from;
    if (f.kind == SP_FRAME_PYTHON)
        f.what = a->code_of[f.what];
    else if (f.kind != SP_FRAME_PSEUDO && f.kind != SP_FRAME_INTERPRETER)
        f.what = copy_string(a, f.what);
    if (f.kind == SP_FRAME_SYMBOL && !(f.offset = (int32_t)copy_string(a, (uint32_t)f.offset)))
        return 0;
    return f.what || f.kind == SP_FRAME_PSEUDO ? sp_intern_whole_frame(a->into, f) : 0;
}

static bool is_interpreter(const struct sp_region *r, uint32_t node)
{
    return node && sp_frame_at(r, sp_node_at(r, node)->frame)->kind == SP_FRAME_INTERPRETER;
}

/* The process's frame is the root of a stack, above it a sub-interpreter's alone, which has no frame to show. */
static uint32_t node_under(struct adding *a, uint32_t parent, uint32_t frame)
{
    const struct sp_frame *f = sp_frame_at(a->into, frame);
    bool is_root = (!parent || is_interpreter(a->into, parent)) && f->kind != SP_FRAME_INTERPRETER;
    if (is_root && a->process) {
        parent = sp_intern_node(a->into, parent, a->process);
        return parent ? sp_intern_node(a->into, parent, frame) : 0;
    }
    return !parent && f->kind == SP_FRAME_PSEUDO ? a->into->pseudo_node[f->what] : sp_intern_node(a->into, parent, frame);
}

static void copy_tree(struct adding *a)
{
    const struct sp_region *r = a->from;
    uint32_t n_codes = sp_pool_end(r, &r->codes), n_frames = sp_pool_end(r, &r->frames), n_nodes = sp_pool_end(r, &r->nodes);
    a->code_of = sp_cli_alloc(NULL, (n_codes + 1ull) * 4);
    a->frame_of = sp_cli_alloc(NULL, (n_frames + 1ull) * 4);
    a->node_of = sp_cli_alloc(NULL, (n_nodes + 1ull) * 4);
    a->code_of[0] = a->frame_of[0] = a->node_of[0] = 0;
    for (uint32_t i = 1; i < n_codes; i++)
        a->code_of[i] = copy_code(a, sp_code_at(r, i));
    for (uint32_t i = 1; i < n_frames; i++)
        a->frame_of[i] = copy_frame(a, sp_frame_at(r, i));
    for (uint32_t i = 1; i < n_nodes; i++) {
        const struct sp_node *n = sp_node_at(r, i);
        uint32_t parent = a->node_of[n->parent], frame = a->frame_of[n->frame];
        a->node_of[i] = frame && (parent || !n->parent) ? node_under(a, parent, frame) : 0;
    }
}

/* ---- threads */
static void add_booked(void *arg, const struct sp_sample *from)
{
    struct adding *a = arg;
    struct sp_sample s = *from;
    s.node = a->node_of[from->node] ? a->node_of[from->node] : a->into->pseudo_node[SP_PSEUDO_OVERFLOW];
    s.category = sp_store_category_of(a->into, s.node);
    if (s.gil_ns)
        sp_intern_total_gil(a->into, a->thread ? a->thread->number : 0, s.node, s.gil_ns);
    if (a->thread) {
        if (s.wall_ns)
            sp_log_book_wait(a->into, a->thread, s.node, s.wall_ns, s.since_ns);
        if (s.cpu_ns)
            sp_log_book(a->into, a->thread, &s);
        return;
    }
    if (s.wall_ns && sp_intern_total_wait(a->into, 0, s.node, s.wall_ns))
        a->into->folded_wait_ns += s.wall_ns;
    if (s.cpu_ns) /* without room the view shows it as (overflow) */
        sp_intern_total(a->into, 0, s.node, s.cpu_ns, 0);
    a->into->folded_cpu_ns[s.category] += s.cpu_ns;
}

static bool is_main(const struct sp_thread *t)
{
    return t->serial == 1;
}

/* As it is shown. */
static const char *name_of(const struct sp_thread *t)
{
    return t->name[0] || !is_main(t) ? t->name : "MainThread";
}

/* Where a thread goes: with `sum` to the one of its name. NULL: to thread 0. */
static struct sp_thread *thread_for(struct adding *a, const struct sp_thread *from)
{
    struct sp_region *r = a->into;
    const char *side = a->c->side, *name = side ? side : name_of(from);
    for (uint32_t i = 1; a->c->sum && i <= r->n_threads; i++) {
        struct sp_thread *t = sp_thread_at(r, i);
        if (strcmp(name_of(t), name) == 0)
            return t;
    }
    uint64_t refused = r->loss[SP_LOSS_NO_SLOT];
    struct sp_thread *t = sp_thread_claim(r);
    r->loss[SP_LOSS_NO_SLOT] = refused; /* no loss of the program's */
    if (!t)
        return NULL;
    sp_thread_begin(r, t, from->tid, 0);
    t->serial = is_main(from) ? 1 : a->c->n * SP_THREADS_MAX + from->serial;
    memcpy(t->name, from->name, sizeof t->name);
    if (side)
        snprintf(t->name, sizeof t->name, "%s", side);
    return t;
}

/* What the sums have and no record of the thread tells, nor one of ours that found no room. */
static void add_rest(struct adding *a, struct sp_thread *t, uint64_t there)
{
    uint64_t here = sp_view_sum_of(t->cpu_ns);
    struct sp_sample rest = {.node = a->into->pseudo_node[SP_PSEUDO_OVERFLOW], .cpu_ns = there > here ? there - here : 0};
    sp_log_book(a->into, t, &rest);
}

static void add_thread(struct adding *a, const struct sp_thread *from)
{
    struct sp_thread *t = thread_for(a, from);
    uint64_t before = t ? sp_view_sum_of(t->cpu_ns) : 0;
    a->thread = t;
    sp_each_booked(a->from, from, add_booked, a);
    if (!t) {
        a->into->n_folded++;
        a->into->folded_samples += from->samples;
        a->into->folded_off_ns += from->off_ns;
        a->into->folded_gil_ns += from->gil_ns;
        return;
    }
    add_rest(a, t, before + sp_view_sum_of(from->cpu_ns));
    t->samples += from->samples;
    t->prompt_ns += from->prompt_ns;
    t->off_ns += from->off_ns;
    t->queued_ns += from->queued_ns;
    t->gil_ns += from->gil_ns;
    t->is_python |= from->is_python;
    t->last_cpu_ns = t->end_cpu_ns = sp_view_sum_of(t->cpu_ns);
    t->state = SP_THREAD_ENDED;
}

/* To a side's thread: what no thread of the profile has. */
static void add_to_side(struct adding *a, const struct sp_view *v)
{
    struct sp_sample unseen = {.node = v->region->pseudo_node[v->unseen], .cpu_ns = v->unseen_ns};
    struct sp_thread nobody = {.serial = 2};
    a->thread = thread_for(a, &nobody);
    uint64_t before = sp_view_sum_of(a->thread->cpu_ns);
    sp_each_booked_by_folded(a->from, add_booked, a);
    add_rest(a, a->thread, before + sp_view_sum_of(a->from->folded_cpu_ns));
    add_booked(a, &unseen);
}

static void add_threads(struct adding *a, const struct sp_view *v)
{
    const struct sp_region *r = a->from;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        if (t && (t->state == SP_THREAD_LIVE || t->state == SP_THREAD_ENDED))
            add_thread(a, t);
    }
    if (a->c->side) {
        add_to_side(a, v);
        return;
    }
    a->thread = NULL;
    uint64_t before = sp_view_sum_of(a->into->folded_cpu_ns), there = sp_view_sum_of(r->folded_cpu_ns);
    sp_each_booked_by_folded(r, add_booked, a);
    uint64_t added = sp_view_sum_of(a->into->folded_cpu_ns) - before;
    a->into->folded_cpu_ns[SP_CATEGORY_PYTHON] += there > added ? there - added : 0;
    a->into->n_folded += r->n_folded;
    a->into->folded_samples += r->folded_samples;
    a->into->folded_prompt_ns += r->folded_prompt_ns;
    a->into->folded_off_ns += r->folded_off_ns;
    a->into->folded_queued_ns += r->folded_queued_ns;
    a->into->folded_gil_ns += r->folded_gil_ns;
}

/* ---- the whole */
static void add_head(struct sp_combined *c, const struct sp_view *v)
{
    struct sp_region *r = c->all.region;
    const struct sp_region *from = v->region;
    for (int i = 0; i < SP_CATEGORY_N; i++)
        c->all.told.cpu_ns[i] += v->cpu_ns[i];
    c->all.told.samples += v->samples;
    c->all.told.prompt_ns += v->prompt_ns;
    c->all.profile.process_cpu_ns += v->used_ns;
    for (int i = 0; i < SP_LOSS_N; i++)
        r->loss[i] += from->loss[i];
    c->first_ns = sp_min_u64(c->first_ns, from->started_wall_ns);
    c->last_ns = sp_max_u64(c->last_ns, from->started_wall_ns + v->profile->wall_ns);
    r->before_start_ns += from->before_start_ns;
    r->wall = (uint32_t)sp_max_u64(r->wall, from->wall);
    r->lines |= from->lines;
    r->imports &= from->imports;
    c->one_command &= c->n == 0 || memcmp(r->argv, from->argv, sizeof r->argv) == 0;
    r->run_ns = r->run_ns == from->run_ns ? r->run_ns : 0; /* of several none */
    if (c->n == 0) {
        r->interval_ns = from->interval_ns;
        memcpy(r->host, from->host, sizeof r->host);
        r->run_ns = from->run_ns;
        memcpy(r->python, from->python, sizeof r->python);
        memcpy(r->build, from->build, sizeof r->build);
        memcpy(r->engine, from->engine, sizeof r->engine);
        memcpy(r->argv, from->argv, sizeof r->argv);
        r->pid = from->pid;
    }
    c->n++;
}

/* Of the process of that index; its name is known at the end, until then it is its index. 0: there is no room. */
static uint32_t process_frame(struct sp_combined *c, size_t i)
{
    char text[24];
    struct sp_region *r = c->all.region;
    int n = snprintf(text, sizeof text, "%zu", i);
    uint32_t ref = sp_intern_string(r, text, (uint32_t)n);
    if (i >= c->n_frames) {
        c->frames = sp_cli_alloc(c->frames, (i + 1) * sizeof *c->frames);
        memset(c->frames + c->n_frames, 0, (i + 1 - c->n_frames) * sizeof *c->frames);
        c->n_frames = i + 1;
    }
    c->frames[i] = c->frames[i] || !ref ? c->frames[i] : sp_intern_frame(r, SP_FRAME_TASK, ref, 0);
    return c->frames[i];
}

static void name_processes(struct sp_combined *c)
{
    char name[sizeof c->all.region->argv + 64];
    sp_processes_link(&c->processes);
    for (size_t i = 0; i < c->n_frames; i++) {
        sp_processes_name(&c->processes, i, name, sizeof name);
        uint32_t ref = sp_intern_string(c->all.region, name, (uint32_t)strlen(name));
        if (c->frames[i] && ref)
            sp_frame_at(c->all.region, c->frames[i])->what = ref;
    }
}

int sp_combine_add(struct sp_combined *c, const struct sp_loaded *l)
{
    struct adding a = {.c = c, .into = c->all.region, .from = l->region};
    struct sp_view v;
    if (!sp_view_init(&v, &l->profile))
        return sp_cli_fail(l->name, "there is not enough memory");
    a.process = c->sum ? 0 : process_frame(c, sp_processes_add(&c->processes, l->region));
    copy_tree(&a);
    add_threads(&a, &v);
    add_head(c, &v);
    free(a.code_of);
    free(a.frame_of);
    free(a.node_of);
    return 0;
}

/* One command's processes keep its words. */
void sp_combine_finish(struct sp_combined *c)
{
    struct sp_region *r = c->all.region;
    struct sp_profile p = sp_writer_profile(r);
    size_t at = 0;
    name_processes(c);
    while (c->one_command && at < sizeof r->argv && r->argv[at])
        at += strnlen(r->argv + at, sizeof r->argv - at) + 1;
    if (c->n > 1) {
        memset(r->argv + at, 0, sizeof r->argv - at);
        snprintf(r->argv + at, sizeof r->argv - at, "(%u processes)", c->n);
        r->argv[sizeof r->argv - 2] = r->argv[sizeof r->argv - 1] = '\0';
        r->pid = 0;
    }
    r->started_wall_ns = c->n ? c->first_ns : 0;
    p.process_cpu_ns = c->all.profile.process_cpu_ns;
    p.wall_ns = r->last_ns = c->last_ns - sp_min_u64(c->last_ns, r->started_wall_ns);
    p.complete = true;
    p.told = &c->all.told;
    c->all.profile = p;
}
