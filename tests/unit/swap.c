/* SPDX-License-Identifier: MIT
 * One region takes the place of another while four threads begin, tick and end, and code dies: what all of them hold is what
 * the threads used, and nobody writes to a region that has been given up. SPPROF_TEST_SWAPS: how often. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "compat/os.h"
#include "sampler/engine.h"
#include "sampler/gate.h"
#include "sampler/handler.h"
#include "tests/support/region.h"
#include "tests/support/unit.h"

#define BYTES (4u << 20)
#define THREADS 4

static atomic_bool stop;
static atomic_ullong used_ns;
static uint64_t held_ns, held_samples;

static void tick(struct sp_live *l, uint64_t ns)
{
    CHECK(sp_gate_enter());
    struct sp_region *r = sp_region_now();
    struct sp_thread *t = sp_live_slot(r, l);
    if (t) {
        uint32_t frame = sp_intern_frame(r, SP_FRAME_PYTHON, 1 + (uint32_t)ns % 8, 0), node = sp_intern_node(r, 0, frame);
        CHECK(frame && node);
        region_sample(r, t, node, ns, 5);
        sp_live_is_booked(l, t, t->last_cpu_ns);
    }
    sp_intern_forget_code(r, 4096 + ns * 64);
    sp_gate_leave();
}

static void *live(void *arg)
{
    for (uint64_t i = (uint64_t)(uintptr_t)arg; !stop; i++) {
        struct sp_live *l = sp_live_new();
        CHECK(l);
        sp_live_run(l, 0);
        for (uint64_t k = 0; k < i % 40; k++)
            tick(l, 1000 + (i + k) % 7);
        uint64_t end_ns = l->last_cpu_ns + i % 2 * 11; /* some end with nothing left to book */
        CHECK(sp_gate_enter());
        sp_live_end(sp_region_now(), l, end_ns, SP_TICKS_COMING);
        sp_gate_leave();
        atomic_fetch_add(&used_ns, end_ns);
    }
    return NULL;
}

static struct sp_region *next_region(void)
{
    static uint32_t number;
    struct sp_region *r = region_new(BYTES, 64);
    r->profile = ++number;
    return r;
}

static void add_samples(void *arg, const struct sp_sample *s)
{
    *(uint64_t *)arg += s->cpu_ns;
}

static void count(const struct sp_region *r)
{
    uint64_t sums_ns = 0, booked_ns = 0;
    for (int c = 0; c < SP_CATEGORY_N; c++)
        sums_ns += r->folded_cpu_ns[c];
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        CHECK(t && t->state != SP_THREAD_STARTING);
        for (int c = 0; c < SP_CATEGORY_N; c++)
            sums_ns += t->cpu_ns[c];
        if (t->state == SP_THREAD_LIVE || t->state == SP_THREAD_ENDED)
            sp_each_booked(r, t, add_samples, &booked_ns);
        held_samples += t->samples;
    }
    sp_each_booked_by_folded(r, add_samples, &booked_ns);
    CHECK(booked_ns == sums_ns || (booked_ns < sums_ns && r->time_order_until_ns)); /* it was full before its turn was over */
    CHECK_EQ(r->loss[SP_LOSS_NO_SLOT], 0);
    held_ns += sums_ns;
    held_samples += r->folded_samples;
}

static uint64_t checksum(const struct sp_region *r)
{
    uint64_t sum = 0;
    for (const uint64_t *p = (const uint64_t *)r, *end = sp_at(r, r->next); p < end; p++)
        sum = (sum ^ *p) * 0x9e3779b97f4a7c15ull;
    return sum;
}

static void swapped_under_load(void)
{
    const char *wanted = getenv("SPPROF_TEST_SWAPS");
    int swaps = wanted ? atoi(wanted) : 300;
    struct sp_region *given_up = NULL;
    uint64_t sum = 0;
    pthread_t t[THREADS];
    sp_engine = &sp_engine_cpu;
    sp_region = next_region();
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, live, (void *)(uintptr_t)(i * 1000));
    for (int i = 0; i < swaps || held_samples <= (uint64_t)swaps; i++) { /* a busy machine lets the threads wait */
        struct sp_region *r = next_region(), *old = __atomic_exchange_n(&sp_region, r, __ATOMIC_SEQ_CST);
        CHECK(sp_gate_pass(60 * SP_NS_PER_S));
        count(old);
        CHECK(!given_up || checksum(given_up) == sum); /* since the last swap */
        if (given_up)
            munmap(given_up, BYTES);
        given_up = old;
        sum = checksum(old);
    }
    stop = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    count(sp_region);
    CHECK_EQ(held_ns, used_ns);
}

const struct unit_case unit_cases[] = {
    {"swapped_under_load", swapped_under_load},
    {NULL, NULL},
};
