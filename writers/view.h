/* SPDX-License-Identifier: MIT
 * A region made ready for viewers: functions without duplicates, stacks of functions, one profile a thread, and
 * all of it bounded. Lives in the region's scratch area; the profile itself is only read. */
#ifndef SP_WRITERS_VIEW_H
#define SP_WRITERS_VIEW_H

#include "writers/writer.h"

#define SP_VIEW_PROFILES_MAX 200 /* threads with a profile of their own */
#define SP_VIEW_DEPTH_MAX 1024   /* longer stacks are shown with their middle elided */
#define SP_VIEW_DEPTH_KEPT 512   /* at each end */

#define SP_VIEW_UNUSED UINT32_MAX

struct sp_function {
    uint32_t name, file; /* refs; for pseudo-functions and native ones name is 0 */
    int32_t line;        /* first line of the function, or if functions are lines the line */
    int32_t first_line;
    uint32_t pseudo;    /* number of the pseudo-frame, or of elided frames */
    uint32_t native;    /* frame id of a native one, whose `file` is the library's text (region.h); 0: it is none */
    uint32_t module;    /* ... and that library's index in `modules` */
    const char *symbol; /* of a native one, NUL-terminated; NULL: not known (symbols.h) */
};

/* Where a native function begins, in bytes from where its library is mapped; 0: a file did not tell. */
SP_INLINE uint64_t sp_view_place(const struct sp_region *r, const struct sp_function *f)
{
    const struct sp_frame *frame = sp_frame_at(r, f->native);
    return frame->kind == SP_FRAME_SYMBOL ? frame->more : (uint64_t)frame->more << 32 | (uint32_t)frame->offset;
}

/* Where the path begins in the text of a native frame's library (region.h); 0: that is damaged. */
SP_INLINE size_t sp_view_library_path(const struct sp_string *library)
{
    size_t i = 0;
    while (i < library->bytes && library->data[i] != ':')
        i++;
    return i < library->bytes ? i + 1 : 0;
}

struct sp_view_profile {
    uint32_t thread;      /* number; 0: the other threads together */
    uint32_t interpreter; /* id of the sub-interpreter it ran in; 0: the main one */
    bool split;           /* the thread ran in several: this is the part in one of them, its node in `part` */
    uint32_t part;
    uint64_t cpu_ns;
    uint64_t samples;
    uint64_t overflow_ns; /* in the sums, but in no record */
    uint64_t wait_overflow_ns;
    uint64_t wall_ns; /* all of the thread's life that is told; 0: no Python thread, or no waits are told */
    uint64_t gil_ns;  /* ... while it held the GIL */
    bool aggregated;  /* one window */
};

struct sp_view_entry {
    uint64_t weight;
    uint32_t node;
};

struct sp_view {
    const struct sp_profile *profile;
    const struct sp_region *region;
    uint64_t used_bytes; /* of the scratch area */
    bool full;           /* the scratch area was too small for something */
    bool wall;           /* weights are of the threads' lives, not of their CPU */
    bool lines;          /* functions are lines */
    bool names_lines;    /* ... and called by them */

    struct sp_function *functions; /* by index; elided ones come last */
    uint32_t n_functions, n_elided_functions;
    uint32_t *modules; /* libraries that native functions lie in: refs of their texts */
    uint32_t n_modules;
    uint32_t *function_of_frame; /* SP_VIEW_UNUSED: on no stack that is shown */
    uint32_t n_frames, n_nodes;
    uint32_t *part;     /* node -> node of the sub-interpreter it belongs to, or 0; NULL: there was none */
    uint32_t *canon;    /* node -> first node with the same functions on its path */
    uint64_t *self;     /* node -> its own weight, all threads */
    uint32_t *shown_as; /* canonical node -> itself, or the one that took it in; NULL: none did */
    uint32_t *
        lumps; /* canonical node -> its child that stands for all of them that weigh little, or 0; NULL: callers take these in */

    struct sp_view_profile *threads; /* the main thread first, then by weight */
    uint32_t n_listed;               /* of them */
    uint32_t n_own;                  /* the first so many have a profile of their own */
    struct sp_view_profile others;   /* the rest of the list, and the threads folded while the program ran */
    uint32_t n_others;               /* threads in it; 0: there is no such profile */

    /* sums */
    uint64_t cpu_ns[SP_CATEGORY_N], used_ns, samples, prompt_ns;
    enum sp_category unseen; /* where CPU of the process that no thread's clock shows belongs, */
    uint64_t unseen_ns;      /* and how much that is; if there is one profile alone it is among its entries */
    uint32_t n_threads;
    uint64_t wall_ns, wait_ns, queued_ns, off_ns; /* of Python threads: lives, waits with a stack, for a CPU, all off the CPU */
    uint32_t n_wall_threads;
    /* what bounding did */
    uint64_t window_ns, taken_in_ns; /* windows of time; what subtrees weigh that stand in their callers */
    bool no_order;                   /* it had to be given up */
    uint32_t elided_stacks;

    uint32_t *stack; /* scratch for one stack of function indices */
    /* entries of one profile, behind all else in the scratch area */
    const struct sp_view_profile *kept_of; /* NULL: of none */
    struct sp_view_entry *kept;
    uint64_t n_kept, most_kept;
    /* joiner */
    uint64_t *sum;
    uint32_t *touched;
};

/* Profiles are numbered from 0: the threads' own, then the others'. */
SP_INLINE uint32_t sp_view_n_profiles(const struct sp_view *v)
{
    return v->n_own + (v->n_others != 0);
}

SP_INLINE const struct sp_view_profile *sp_view_profile_at(const struct sp_view *v, uint32_t i)
{
    return i < v->n_own ? &v->threads[i] : &v->others;
}

/* CPU by category -> that of samples. */
SP_INLINE uint64_t sp_view_sampled_ns(const uint64_t cpu_ns[SP_CATEGORY_N])
{
    return cpu_ns[SP_CATEGORY_PYTHON] + cpu_ns[SP_CATEGORY_STARTUP] + cpu_ns[SP_CATEGORY_UNWALKABLE] +
           cpu_ns[SP_CATEGORY_NATIVE_THREAD];
}

/* CPU between two samples of a thread, as it came out. */
SP_INLINE uint64_t sp_view_effective_interval_ns(const struct sp_view *v)
{
    return v->samples ? sp_view_sampled_ns(v->cpu_ns) / v->samples : v->region->interval_ns;
}

/* Of the CPU in samples the thousandths that came within two periods, rounded down: 1000 means all of it. */
SP_INLINE uint64_t sp_view_prompt_mille(const struct sp_view *v)
{
    uint64_t sampled = sp_view_sampled_ns(v->cpu_ns);
    return sampled > v->prompt_ns ? (uint64_t)((unsigned __int128)v->prompt_ns * 1000 / sampled) : 1000;
}

/* Whether a stack begins there in a sub-interpreter. */
SP_INLINE bool sp_view_is_interpreter(const struct sp_view *v, uint32_t node)
{
    return sp_frame_at(v->region, sp_node_at(v->region, node)->frame)->kind == SP_FRAME_INTERPRETER;
}

/* Of all categories. */
SP_INLINE uint64_t sp_view_sum_of(const uint64_t ns[SP_CATEGORY_N])
{
    uint64_t sum = 0;
    for (int c = 0; c < SP_CATEGORY_N; c++)
        sum += ns[c];
    return sum;
}

/* [hook] Of sp_view_init(): lists the threads. False: there is no room. (view_threads.c) */
bool sp_view_find_threads(struct sp_view *v);

/* [hook] Prepares a view; sp_view_bound() comes next. False: the scratch area is too small for any. */
bool sp_view_init(struct sp_view *v, const struct sp_profile *p);

/* [hook] The same with lines for functions, whatever SPPROF_LINES says, and without them in the names. */
bool sp_view_init_lines(struct sp_view *v, const struct sp_profile *p);

/* [hook] Another view of the same profile, before either is bounded: of whole lives. Each is bounded on its own, `of` first;
 * functions have other numbers. False: there is no room for it. */
bool sp_view_init_wall(struct sp_view *w, struct sp_view *of);

/* Whether a profile has a part in the view. */
SP_INLINE bool sp_view_has(const struct sp_view *v, const struct sp_view_profile *p)
{
    return !v->wall || p->wall_ns;
}

/* The weight of what was booked. */
SP_INLINE uint64_t sp_view_weight(const struct sp_view *v, const struct sp_sample *s)
{
    return s->cpu_ns + (v->wall ? s->wall_ns : 0);
}

/* [hook] Calls emit(arg, node, weight) for each entry of a profile: runs of equal stacks, within windows if the view
 * is bounded. The sequence is the same at every call. */
typedef void sp_view_emit(void *arg, uint32_t node, uint64_t weight);
void sp_view_each_entry(struct sp_view *v, const struct sp_view_profile *p, sp_view_emit *emit, void *arg);

/* [hook] The next calls of sp_view_each_entry for `p` do not look at every record again, if there is room for its entries.
 * Nothing may be allocated from the scratch area meanwhile. */
void sp_view_keep_entries(struct sp_view *v, const struct sp_view_profile *p);

/* [hook] Calls emit for the stacks of others at which the GIL was held while threads of this profile waited for it: a node once or
 * more often. */
void sp_view_each_gil(struct sp_view *v, const struct sp_view_profile *p, sp_view_emit *emit, void *arg);

/* [hook] Calls emit for what all threads together booked, in no order that means anything. */
void sp_view_each_sum(struct sp_view *v, sp_view_emit *emit, void *arg);

/* [hook] Calls emit for each distinct stack of all threads together, depth first, heavy subtrees first. */
void sp_view_each_stack(struct sp_view *v, sp_view_emit *emit, void *arg);

/* Whether some thread's own weight stands at the node, which is canonical. */
SP_INLINE bool sp_view_is_shown(const struct sp_view *v, uint32_t n)
{
    return v->self[n] && v->canon[n] == n;
}

/* Whether a canonical node stands for several, whatever its function. */
SP_INLINE bool sp_view_is_others(const struct sp_view *v, uint32_t n)
{
    return v->lumps && v->lumps[v->canon[sp_node_at(v->region, n)->parent]] == n;
}

/* [hook] Functions on the stack that `node`, a canonical one, ends. */
uint32_t sp_view_depth(const struct sp_view *v, uint32_t node);

/* [hook] How much of a living thread's rest belongs to its last sample (sampler/weight.h) and not to (thread end). */
uint64_t sp_view_owed(const struct sp_region *r, const struct sp_thread *t);

/* [hook] Writes the function indices of a stack into v->stack, root first, elided if it is long: how many. */
uint32_t sp_view_stack(struct sp_view *v, uint32_t node);

/* [hook] Memory of the scratch area; NULL when it is used up. The second is zeroed, the first touches no page. */
void *sp_view_room(struct sp_view *v, uint64_t bytes);
void *sp_view_alloc(struct sp_view *v, uint64_t bytes);

#endif
