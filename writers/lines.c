/* SPDX-License-Identifier: MIT
 * See lines.h. Lines hang on instructions, so this works on the nodes as sampled, not on the stacks of functions. */
#include "writers/lines.h"

#include <string.h>

#include "writers/json.h"

static uint32_t line_index(struct sp_line_costs *l, uint32_t function, int32_t line)
{
    uint64_t h = ((uint64_t)function << 32 | (uint32_t)line) * 0x9e3779b97f4a7c15ull;
    for (uint32_t at = (uint32_t)(h >> 32);; at++) {
        uint32_t *slot = &l->slots[at & l->mask];
        if (*slot == 0) {
            l->all[l->n] = (struct sp_line){.function = function, .line = line};
            return *slot = ++l->n;
        }
        if (l->all[*slot - 1].function == function && l->all[*slot - 1].line == line)
            return *slot;
    }
}

static bool init(struct sp_line_costs *l)
{
    struct sp_view *v = l->v;
    uint32_t size = 64;
    while (size < 2 * v->n_frames)
        size *= 2;
    l->mask = size - 1;
    l->all = sp_view_alloc(v, (uint64_t)v->n_frames * sizeof *l->all);
    l->line_of_frame = sp_view_alloc(v, (uint64_t)v->n_frames * 4);
    l->weight = sp_view_alloc(v, (uint64_t)v->n_nodes * 8);
    l->child = sp_view_alloc(v, (uint64_t)v->n_nodes * 4);
    l->sibling = sp_view_alloc(v, (uint64_t)v->n_nodes * 4);
    l->slots = sp_view_alloc(v, (uint64_t)size * 4);
    l->head = sp_view_alloc(v, (uint64_t)v->n_functions * 4);
    return l->all && l->line_of_frame && l->weight && l->child && l->sibling && l->slots && l->head;
}

static bool is_function(const struct sp_view *v, uint32_t i)
{
    return i != SP_VIEW_UNUSED && v->functions[i].name;
}

/* A file that was read tells functions only. */
static bool has_lines(const struct sp_region *r, uint32_t frame)
{
    const struct sp_frame *f = sp_frame_at(r, frame);
    return f->kind == SP_FRAME_PYTHON && sp_code_at(r, f->what)->lines;
}

static void number_lines(struct sp_line_costs *l)
{
    const struct sp_region *r = l->v->region;
    for (uint32_t f = 1; f < l->v->n_frames; f++)
        if ((l->v->profile->told ? has_lines(r, f) : sp_frame_at(r, f)->kind == SP_FRAME_PYTHON) &&
            is_function(l->v, l->v->function_of_frame[f]))
            l->line_of_frame[f] = line_index(l, l->v->function_of_frame[f], sp_store_frame_line(r, f));
}

static void weigh(void *arg, const struct sp_sample *s)
{
    ((struct sp_line_costs *)arg)->weight[s->node] += s->cpu_ns;
}

static void weigh_nodes(struct sp_line_costs *l)
{
    const struct sp_region *r = l->v->region;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        if (!t || (t->state != SP_THREAD_LIVE && t->state != SP_THREAD_ENDED))
            continue;
        sp_each_booked(r, t, weigh, l);
        l->weight[t->last_node] += sp_view_owed(r, t);
    }
    sp_each_booked_by_folded(r, weigh, l);
}

static struct sp_line *line_of_node(const struct sp_line_costs *l, uint32_t node)
{
    uint32_t at = l->line_of_frame[sp_node_at(l->v->region, node)->frame];
    return at ? &l->all[at - 1] : NULL;
}

/* Own weight to the leaf's line; then subtrees, children first. */
static void build_tree(struct sp_line_costs *l)
{
    for (uint32_t n = l->v->n_nodes; n-- > 1;) {
        uint32_t parent = sp_node_at(l->v->region, n)->parent;
        l->sibling[n] = l->child[parent];
        l->child[parent] = n;
        struct sp_line *line = line_of_node(l, n);
        uint64_t own = l->weight[n];
        for (uint32_t c = l->child[n]; c; c = l->sibling[c])
            own += l->weight[c];
        if (line)
            line->self += l->weight[n];
        l->weight[n] = own;
    }
}

static void enter(struct sp_line_costs *l, uint32_t node)
{
    struct sp_line *line = line_of_node(l, node);
    if (line && line->on_path++ == 0)
        line->total += l->weight[node];
}

static void leave(struct sp_line_costs *l, uint32_t node)
{
    struct sp_line *line = line_of_node(l, node);
    if (line)
        line->on_path--;
}

static void sum_totals(struct sp_line_costs *l)
{
    for (uint32_t n = l->child[0]; n;) {
        enter(l, n);
        uint32_t next = l->child[n];
        while (!next && n) {
            leave(l, n);
            next = l->sibling[n];
            if (!next)
                n = sp_node_at(l->v->region, n)->parent;
        }
        n = next;
    }
}

/* Lists of lines by function, in order of line: insertion from the back of a table that mostly is in order. */
static void sort_lines(struct sp_line_costs *l, uint32_t *head)
{
    for (uint32_t i = l->n; i-- > 0;) {
        struct sp_line *line = &l->all[i];
        if (line->total == 0)
            continue;
        uint32_t *at = &head[line->function];
        while (*at && l->all[*at - 1].line < line->line)
            at = &l->all[*at - 1].next;
        line->next = *at;
        *at = i + 1;
    }
}

bool sp_lines_find(struct sp_line_costs *l, struct sp_view *v)
{
    *l = (struct sp_line_costs){.v = v};
    /* Everything behind the functions may go; elided ones brought them all to a later place. */
    uint64_t used = (uint64_t)((char *)v->canon - (char *)sp_at(v->region, v->region->scratch));
    uint64_t functions = (uint64_t)((char *)(v->functions + v->n_functions) - (char *)sp_at(v->region, v->region->scratch));
    v->used_bytes = (sp_max_u64(used, functions) + 63) & ~63ull;
    if (!init(l))
        return false;
    number_lines(l);
    weigh_nodes(l);
    build_tree(l);
    sum_totals(l);
    sort_lines(l, l->head);
    return true;
}

void sp_lines_write(struct sp_view *v, struct sp_out *o)
{
    struct sp_line_costs l;
    if (!sp_lines_find(&l, v))
        return;
    bool first = true;
    for (uint32_t f = 0; f < v->n_functions; f++) {
        if (!l.head[f])
            continue;
        sp_out_str(o, first ? ",\n\"lines\":[[" : ",\n[");
        sp_out_u64(o, f);
        sp_out_str(o, ",[");
        for (uint32_t i = l.head[f]; i; i = l.all[i - 1].next) {
            const struct sp_line *line = &l.all[i - 1];
            sp_json_numbers(o, (int64_t[]){line->line, (int64_t)line->self, (int64_t)line->total}, 3, i == l.head[f]);
        }
        sp_out_str(o, "]]");
        first = false;
    }
    if (!first)
        sp_out_char(o, ']');
}
