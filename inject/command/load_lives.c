/* SPDX-License-Identifier: MIT
 * See load_text.h: what the profiles of whole lives have and the others lack. */
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/load_text.h"
#include "sampler/intern.h"
#include "sampler/log.h"

static int fail(const struct sp_load_reader *in, const char *what)
{
    return sp_cli_fail(in->l->name, what);
}

static void book_wait(struct sp_load_reader *in, struct sp_load_owner *o, uint32_t node, uint64_t ns)
{
    const struct sp_frame *leaf = sp_frame_at(in->r, sp_node_at(in->r, node)->frame);
    o->since_ns += ns;
    if (leaf->kind == SP_FRAME_WAIT && o->t) {
        sp_log_book_wait(in->r, o->t, node, ns, o->since_ns);
    } else if (leaf->kind == SP_FRAME_WAIT) {
        in->r->folded_wait_ns += ns;
        sp_intern_total_wait(in->r, 0, node, ns);
    } else if (node == in->r->pseudo_node[SP_PSEUDO_WAITING_CPU]) {
        *(o->t ? &o->t->queued_ns : &in->r->folded_queued_ns) += ns;
    }
}

/* The profile of the same thread; the others are in the same order. */
static struct sp_load_life *life_of(const struct sp_load_reader *in, const char *title, int *next)
{
    static const char prefix[] = "Wall: ";
    if (strncmp(title, prefix, sizeof prefix - 1) != 0)
        return NULL;
    for (int k = 0; k < in->n_profiles; k++) {
        struct sp_load_life *life = &in->lives[(*next + k) % in->n_profiles];
        if (strcmp(life->title, title + sizeof prefix - 1) == 0) {
            *next = (*next + k + 1) % in->n_profiles;
            return life;
        }
    }
    return NULL;
}

static int read_life(struct sp_load_reader *in, struct sp_scan profile, int *next, bool is_sum)
{
    struct sp_scan title = sp_scan_member(profile, "name");
    cJSON *name = sp_fact_tree(&title, 64u << 10);
    struct sp_load_life *life = cJSON_IsString(name) ? life_of(in, name->valuestring, next) : NULL;
    struct sp_load_owner o = {.t = life ? life->t : NULL, .is_sum = is_sum};
    cJSON_Delete(name);
    if (!life && !is_sum)
        return fail(in, "is damaged: a life is no thread's");
    int rc = sp_load_entries(in, &o, sp_scan_member(profile, "samples"), sp_scan_member(profile, "weights"), book_wait);
    if (is_sum)
        return rc;
    uint64_t off_ns = o.since_ns - sp_min_u64(o.since_ns, life->cpu_ns);
    if (o.t) {
        o.t->is_python = 1;
        o.t->off_ns = off_ns;
    } else
        in->r->folded_off_ns += off_ns;
    return rc;
}

/* `s` is behind the other profiles. */
int sp_load_lives(struct sp_load_reader *in, struct sp_scan *s)
{
    struct sp_scan one;
    int rc = 0, next = 0;
    for (int i = 0; rc == 0 && i < in->n_lives && sp_scan_next(s, &one); i++)
        rc = read_life(in, one, &next, i == 0 && in->n_lives > 1);
    return rc;
}

/* [profile, ns, stack] */
static bool read_gil_of(struct sp_load_reader *in, struct sp_scan *s)
{
    double v[2] = {-1, -1};
    sp_scan_enter(s, '[');
    for (int i = 0; i < 2 && sp_scan_more(s, i == 0, ']'); i++)
        v[i] = sp_scan_number(s);
    if (!(v[0] >= 0 && v[0] < in->n_profiles && v[1] >= 0 && v[1] < (double)(1ull << 53)) || !sp_scan_more(s, false, ']'))
        return false;
    const struct sp_thread *t = in->lives[(size_t)v[0]].t;
    uint32_t node = sp_load_stack(in, s, &(struct sp_load_owner){.is_sum = false});
    if (!node || sp_scan_more(s, false, ']'))
        return false;
    sp_intern_total_gil(in->r, t ? t->number : 0, node, (uint64_t)v[1]);
    return true;
}

int sp_load_gil(struct sp_load_reader *in)
{
    struct sp_scan s = in->gil;
    if (!s.at || !in->lives || !sp_scan_enter(&s, '['))
        return 0;
    bool is_sound = true;
    for (bool first = true; is_sound && sp_scan_more(&s, first, ']'); first = false)
        is_sound = read_gil_of(in, &s);
    return is_sound && !s.bad ? 0 : fail(in, "is damaged: who held the GIL");
}

void sp_load_forget_lives(struct sp_load_reader *in)
{
    for (int i = 0; in->lives && i < in->n_profiles; i++)
        free(in->lives[i].title);
    free(in->lives);
}
