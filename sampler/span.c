/* SPDX-License-Identifier: MIT
 * See span.h. */
#include "sampler/span.h"

#include <string.h>

#include "compat/os.h"
#include "compat/py.h"
#include "sampler/intern.h"

#define PREFIX "span "
#define PREFIX_BYTES (sizeof PREFIX - 1)
#define OTHER_NAME "(other spans)"

#define BUCKETS 1024u

struct span {
    uint32_t is_made; /* written in full, and never again */
    uint32_t within;  /* index; 0: none */
    uint32_t next;    /* in its bucket, index; 0: none */
    uint16_t depth, bytes;
    char frame[PREFIX_BYTES + SP_SPAN_NAME_BYTES]; /* as it is shown */
};

struct spans {
    uint32_t bucket[BUCKETS];     /* the newest of each, index */
    struct span at[SP_SPANS + 1]; /* the first is SP_SPAN_OTHER */
};

/* Threads: any. */
static struct spans *spans;
static uint32_t n_spans, n_threads;

static struct spans *all_spans(void)
{
    struct spans *have = sp_load_acquire(&spans), *made;
    if (have || !(made = sp_os_pages(sizeof *made)))
        return have;
    made->at[0].is_made = 1;
    made->at[0].bytes = sizeof OTHER_NAME - 1;
    memcpy(made->at[0].frame, OTHER_NAME, made->at[0].bytes);
    if (sp_cas(&spans, &have, made))
        return made;
    sp_os_release(made, sizeof *made);
    return have;
}

static uint32_t index_of(uint32_t number)
{
    return number > SP_SPAN_FIRST && number - SP_SPAN_FIRST <= SP_SPANS ? number - SP_SPAN_FIRST : 0;
}

static uint32_t *bucket_of(struct spans *all, uint32_t within, const char *name, size_t bytes)
{
    uint32_t hash = 2166136261u ^ within;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ (uint8_t)name[i]) * 16777619u;
    return &all->bucket[(hash ^ hash >> 16) % BUCKETS];
}

static uint32_t find_made(const struct spans *all, uint32_t first, uint32_t within, const char *name, size_t bytes)
{
    for (uint32_t i = first; i; i = all->at[i].next) {
        const struct span *s = &all->at[i];
        if (s->within == within && s->bytes == PREFIX_BYTES + bytes && memcmp(s->frame + PREFIX_BYTES, name, bytes) == 0)
            return i;
    }
    return 0;
}

/* Of the name, cut off between two characters. */
static size_t bytes_of(const char *name)
{
    size_t bytes = strnlen(name, SP_SPAN_NAME_BYTES + 1);
    if (bytes <= SP_SPAN_NAME_BYTES)
        return bytes;
    while (bytes && ((uint8_t)name[bytes - 1] & 0xc0) == 0x80)
        bytes--;
    return bytes ? bytes - 1 : SP_SPAN_NAME_BYTES;
}

uint32_t sp_span_new(uint32_t within, const char *name)
{
    struct spans *all = all_spans();
    uint32_t in = index_of(within), beyond = in ? within : SP_SPAN_OTHER;
    size_t bytes = bytes_of(name);
    if (!all || (within && !in) || (in && all->at[in].depth == SP_SPAN_DEPTH))
        return beyond;
    uint32_t *bucket = bucket_of(all, in, name, bytes), first = sp_load_acquire(bucket);
    uint32_t n = find_made(all, first, in, name, bytes);
    if (n)
        return SP_SPAN_FIRST + n;
    n = sp_load_relaxed(&n_spans) < SP_SPANS ? __atomic_add_fetch(&n_spans, 1, __ATOMIC_ACQ_REL) : 0;
    if (!n || n > SP_SPANS)
        return beyond;
    struct span *s = &all->at[n];
    s->within = in;
    s->depth = (uint16_t)((in ? all->at[in].depth : 0) + 1);
    s->bytes = (uint16_t)(PREFIX_BYTES + bytes);
    memcpy(s->frame, PREFIX, PREFIX_BYTES);
    memcpy(s->frame + PREFIX_BYTES, name, bytes);
    sp_store_release(&s->is_made, 1);
    do
        s->next = first;
    while (!sp_cas(bucket, &first, n));
    return SP_SPAN_FIRST + n;
}

/* The span of this number and those that it is in, outermost first. */
SP_SIGSAFE static bool intern_way(struct sp_region *r, const struct spans *all, uint32_t number, uint32_t *root)
{
    uint32_t n = 0, way[SP_SPAN_DEPTH], at = number - SP_SPAN_FIRST;
    if (at > SP_SPANS || !sp_load_acquire(&all->at[at].is_made))
        return true;
    do
        way[n++] = at;
    while ((at = all->at[at].within) && n < SP_SPAN_DEPTH);
    while (n--) {
        uint32_t text = sp_intern_string(r, all->at[way[n]].frame, all->at[way[n]].bytes);
        uint32_t frame = text ? sp_intern_frame(r, SP_FRAME_TASK, text, 0) : 0;
        *root = frame ? sp_intern_node(r, *root, frame) : 0;
        if (!*root)
            return false;
    }
    return true;
}

bool sp_span_intern(struct sp_region *r, uintptr_t tstate, uint32_t *root)
{
    const struct spans *all = sp_load_acquire(&spans);
    return !all || intern_way(r, all, sp_py_span_now(tstate), root);
}

/* ---- of a thread */
/* Threads: the calling one. Our handler in it reads `now` alone. Handlers of the program's may open and end spans of their own between any
 * two of the steps below, each of which is done when the next is: they leave `depth` and `now` as they find them, and use the
 * entries from `depth` on. */
static __thread volatile struct {
    uint32_t now; /* number of the innermost; 0: none is open */
    uint32_t depth, serial;
    uint32_t id; /* in tokens; 0: it had no span yet */
    struct {
        uint32_t outer, serial; /* what `now` was before it */
    } open[SP_SPAN_DEPTH];
} here;

/* Token: the thread's id, how many are open with the span, its serial number. */
#define DEPTH_SHIFT 32
#define ID_SHIFT 40
#define DEPTH_MAX 255u

uint64_t sp_span_begin(const char *name)
{
    uint32_t within = here.depth, serial = here.serial + 1, outer = here.now;
    uint32_t depth = within < DEPTH_MAX ? within + 1 : DEPTH_MAX;
    uint32_t number = depth > SP_SPAN_DEPTH ? outer : sp_span_new(outer, name);
    if (!here.id)
        here.id = 1 + sp_add_relaxed(&n_threads, 1) % 0xffffff;
    here.serial = serial;
    here.depth = depth;
    if (depth <= SP_SPAN_DEPTH) {
        here.open[depth - 1].outer = outer;
        here.open[depth - 1].serial = serial;
    }
    here.now = number;
    return (uint64_t)here.id << ID_SHIFT | (uint64_t)depth << DEPTH_SHIFT | serial;
}

void sp_span_end(uint64_t token)
{
    uint32_t depth = (uint32_t)(token >> DEPTH_SHIFT) & DEPTH_MAX, outer = here.now;
    if (!depth || token >> ID_SHIFT != here.id || depth > here.depth)
        return;
    if (depth <= SP_SPAN_DEPTH) {
        if (here.open[depth - 1].serial != (uint32_t)token)
            return;
        outer = here.open[depth - 1].outer;
    }
    here.depth = depth - 1;
    here.now = outer;
}

bool sp_span_intern_thread(struct sp_region *r, uint32_t *root)
{
    uint32_t now = here.now;
    const struct spans *all = now ? sp_load_acquire(&spans) : NULL;
    return SP_LIKELY(!all) || intern_way(r, all, now, root);
}
