/* SPDX-License-Identifier: MIT
 * What samples weigh, and CPU that no sample of its own thread stands for, on a clock that is laid by hand. */
#include <unistd.h>

#include "sampler/weight.h"
#include "sampler/engine.h"
#include "tests/support/region.h"
#include "tests/support/unit.h"

#define TICK 4000000ull

static struct sp_region *r;

static struct sp_thread *begin(uint64_t target)
{
    struct sp_thread *t = region_thread(r, 2, "w");
    t->target = target;
    return t;
}

static void sample(struct sp_thread *t, uint32_t node, enum sp_category category, uint64_t now)
{
    struct sp_sample s = {.node = node, .category = category, .cpu_ns = now - t->last_cpu_ns, .since_ns = 1};
    sp_weight_book(r, t, &s);
    t->last_cpu_ns = now;
    t->samples++;
}

/* As sp_thread_end() does, but for the slot: its sums are to be looked at. */
static void end(struct sp_thread *t, uint64_t now)
{
    sp_weight_book_rest(r, t, now - t->last_cpu_ns, 1);
    t->last_cpu_ns = t->end_cpu_ns = now;
}

static void what_no_sample_saw(void)
{
    r = region_new(4 << 20, 64);
    uint32_t code = region_code(r, "f", "f.py", 1), node = region_node(r, 0, code, 0);
    struct sp_thread *first = begin(7), *seen = begin(7), *after = begin(7), *other = begin(8), *fresh = begin(9);
    end(first, 3000000); /* no sample has seen that target yet */
    CHECK_EQ(first->cpu_ns[SP_CATEGORY_THREAD_END], 3000000);
    sample(seen, node, SP_CATEGORY_PYTHON, 1000000);
    end(seen, 3000000); /* the rest is its sample's, which is owed 10 ms: 7 are missing */
    CHECK_EQ(seen->cpu_ns[SP_CATEGORY_PYTHON], 3000000);
    end(after, 9000000); /* pays them; and 2 ms more, as there is no other stack to give them to */
    CHECK_EQ(after->cpu_ns[SP_CATEGORY_PYTHON], 9000000);
    CHECK_EQ(after->samples, 0);
    end(other, 3000000);
    CHECK_EQ(other->cpu_ns[SP_CATEGORY_THREAD_END], 3000000);

    fresh->target_code = code; /* at least its function is known */
    end(fresh, 2000000);
    CHECK_EQ(fresh->cpu_ns[SP_CATEGORY_THREAD_END], 2000000);
    const struct sp_chunk *c = sp_at64(r, fresh->first_chunk);
    const struct sp_node *below = sp_node_at(r, c->records[0].node);
    CHECK_EQ(below->depth, 2);
    CHECK_EQ(sp_frame_at(r, below->frame)->kind, SP_FRAME_PSEUDO);
    CHECK_EQ(sp_frame_at(r, sp_node_at(r, below->parent)->frame)->what, code);
}

/* Two long threads of one target that do different things: none is shown to do what only the other does. */
static void long_threads_stay_apart(void)
{
    r = region_new(4 << 20, 64);
    uint32_t f = region_node(r, 0, region_code(r, "f", "f.py", 1), 0), g = region_node(r, 0, region_code(r, "g", "g.py", 1), 0);
    struct sp_thread *first = begin(7), *second = begin(7);
    for (uint64_t ms = 12; ms <= 120; ms += 12) {
        sample(first, f, SP_CATEGORY_PYTHON, ms * 1000000);
        sample(second, g, SP_CATEGORY_UNWALKABLE, ms * 1000000);
    }
    end(first, 129000000);
    end(second, 129000000);
    CHECK_EQ(first->cpu_ns[SP_CATEGORY_UNWALKABLE], 0);
    CHECK_EQ(second->cpu_ns[SP_CATEGORY_PYTHON], 0);
    CHECK(first->cpu_ns[SP_CATEGORY_PYTHON] >= 120000000 && second->cpu_ns[SP_CATEGORY_UNWALKABLE] >= 120000000);
}

static void more_targets_than_places(void)
{
    r = region_new(8 << 20, 64);
    uint32_t node = region_node(r, 0, region_code(r, "f", "f.py", 1), 0);
    for (uint64_t target = 1; target < 4 * SP_TARGETS; target++) {
        struct sp_thread *t = begin(target), *same = begin(target);
        sample(t, node, SP_CATEGORY_PYTHON, 1000000);
        end(t, 2000000);
        end(same, 2000000);
        CHECK_EQ(same->cpu_ns[SP_CATEGORY_PYTHON], 2000000);
        sp_thread_gone(r, t);
        sp_thread_gone(r, same);
    }
}

/* Runs a thread of `life` ns, the first quarter of which is native, the rest Python, on a clock that ticks at `phase`. */
static uint64_t live(struct sp_thread *t, uint64_t life, uint64_t phase, uint64_t random)
{
    uint64_t n = 0;
    int64_t interval = (int64_t)r->interval_ns, due = sp_engine_first_due(random, r->interval_ns, TICK);
    int64_t armed = due > 0 ? due : 1;
    bool is_due = false;
    for (uint64_t now = phase; now < life; now += TICK) {
        if ((int64_t)now < armed)
            continue;
        int64_t again;
        bool first = due < 0 && !is_due,
             counts = !first || sp_engine_first_counts(due, (int64_t)(now - t->last_cpu_ns), r->interval_ns, TICK, &again);
        is_due = true;
        if (first && armed == 1)
            armed = due; /* armed again */
        while (armed <= (int64_t)now)
            armed += interval;
        if (!counts)
            continue;
        bool early = now < life / 4;
        sample(t, r->pseudo_node[early ? SP_CATEGORY_NATIVE_THREAD : SP_CATEGORY_STARTUP],
               early ? SP_CATEGORY_NATIVE_THREAD : SP_CATEGORY_PYTHON, now);
        n++;
    }
    end(t, life);
    return n;
}

static void share_is_a_quarter(uint64_t life, uint64_t interval, uint64_t *random)
{
    r = region_new(8 << 20, 64);
    r->interval_ns = interval;
    uint64_t early = 0, unknown = 0, samples = 0, n = 8000;
    for (uint64_t i = 0; i < n; i++) {
        *random = *random * 6364136223846793005ull + 1442695040888963407ull;
        struct sp_thread *t = begin(1);
        samples += live(t, life, (*random >> 33) % TICK + 1, *random ^ i << 50);
        uint64_t all = 0;
        for (int c = 0; c < SP_CATEGORY_N; c++)
            all += t->cpu_ns[c];
        CHECK_EQ(all, life); /* each thread's own sum stays exact */
        early += t->cpu_ns[SP_CATEGORY_NATIVE_THREAD];
        unknown += t->cpu_ns[SP_CATEGORY_THREAD_END];
        sp_thread_gone(r, t);
    }
    double used = (double)(life * n), off = (double)early / used - 0.25, expected = used / (double)sp_step_ns(r);
    fprintf(stderr, "%2d ms every %2d ms: %5.2f %%, (thread end) %.2f %%, %d samples\n", (int)(life / 1000000),
            (int)(interval / 1000000), 25 + 100 * off, 100 * (double)unknown / used, (int)samples);
    CHECK(off * off < 25 * 0.25 * 0.75 / (double)samples); /* five standard deviations, squared */
    CHECK((double)unknown < 0.02 * used);
    CHECK((double)samples > 0.9 * expected && (double)samples < 1.1 * expected);
}

static void shares_of_short_threads(void)
{
    const uint64_t lives[] = {1, 3, 9, 15, 40}, intervals[] = {1, 4, 5, 10, 30};
    uint64_t random = 1;
    for (uint32_t i = 0; i < SP_ARRAY_LEN(lives); i++)
        for (uint32_t k = 0; k < SP_ARRAY_LEN(intervals); k++)
            share_is_a_quarter(lives[i] * 1000000, intervals[k] * 1000000, &random);
}

const struct unit_case unit_cases[] = {
    {"what_no_sample_saw", what_no_sample_saw},
    {"long_threads_stay_apart", long_threads_stay_apart},
    {"more_targets_than_places", more_targets_than_places},
    {"shares_of_short_threads", shares_of_short_threads},
    {NULL, NULL},
};
