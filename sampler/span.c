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

struct span {
    uint32_t is_made; /* written in full, and never again */
    uint32_t within;  /* index; 0: none */
    uint16_t depth, bytes;
    char frame[PREFIX_BYTES + SP_SPAN_NAME_BYTES]; /* as it is shown */
};

/* Threads: any; spans[0] is SP_SPAN_OTHER. */
static struct span *spans;
static uint32_t n_spans;

static struct span *all_spans(void)
{
    struct span *have = sp_load_acquire(&spans), *made;
    uint64_t bytes = (SP_SPANS + 1) * sizeof *spans;
    if (have || !(made = sp_os_pages(bytes)))
        return have;
    made->is_made = 1;
    made->bytes = sizeof OTHER_NAME - 1;
    memcpy(made->frame, OTHER_NAME, made->bytes);
    if (sp_cas(&spans, &have, made))
        return made;
    sp_os_release(made, bytes);
    return have;
}

static uint32_t index_of(uint32_t number)
{
    return number > SP_SPAN_FIRST && number - SP_SPAN_FIRST <= SP_SPANS ? number - SP_SPAN_FIRST : 0;
}

static uint32_t find_made(const struct span *all, uint32_t within, const char *name, size_t bytes)
{
    uint32_t n = (uint32_t)sp_min_u64(sp_load_acquire(&n_spans), SP_SPANS);
    for (uint32_t i = 1; i <= n; i++)
        if (all[i].within == within && all[i].bytes == PREFIX_BYTES + bytes && sp_load_acquire(&all[i].is_made) &&
            memcmp(all[i].frame + PREFIX_BYTES, name, bytes) == 0)
            return i;
    return 0;
}

uint32_t sp_span_new(uint32_t within, const char *name)
{
    struct span *all = all_spans();
    uint32_t in = index_of(within), beyond = in ? within : SP_SPAN_OTHER;
    size_t bytes = strnlen(name, SP_SPAN_NAME_BYTES);
    if (!all || (within && !in) || (in && all[in].depth == SP_SPAN_DEPTH))
        return beyond;
    uint32_t n = find_made(all, in, name, bytes);
    if (n)
        return SP_SPAN_FIRST + n;
    n = sp_load_relaxed(&n_spans) < SP_SPANS ? __atomic_add_fetch(&n_spans, 1, __ATOMIC_ACQ_REL) : 0;
    if (!n || n > SP_SPANS)
        return beyond;
    struct span *s = &all[n];
    s->within = in;
    s->depth = (uint16_t)((in ? all[in].depth : 0) + 1);
    s->bytes = (uint16_t)(PREFIX_BYTES + bytes);
    memcpy(s->frame, PREFIX, PREFIX_BYTES);
    memcpy(s->frame + PREFIX_BYTES, name, bytes);
    sp_store_release(&s->is_made, 1);
    return SP_SPAN_FIRST + n;
}

bool sp_span_intern(struct sp_region *r, uintptr_t tstate, uint32_t *root)
{
    const struct span *all = sp_load_acquire(&spans);
    uint32_t n = 0, way[SP_SPAN_DEPTH], at = (all ? sp_py_span_now(tstate) : 0) - SP_SPAN_FIRST;
    if (at > SP_SPANS || !sp_load_acquire(&all[at].is_made))
        return true;
    do
        way[n++] = at;
    while ((at = all[at].within) && n < SP_SPAN_DEPTH);
    while (n--) {
        uint32_t text = sp_intern_string(r, all[way[n]].frame, all[way[n]].bytes);
        uint32_t frame = text ? sp_intern_frame(r, SP_FRAME_TASK, text, 0) : 0;
        *root = frame ? sp_intern_node(r, *root, frame) : 0;
        if (!*root)
            return false;
    }
    return true;
}
