/* SPDX-License-Identifier: MIT
 * Interning from many threads, growth, what happens when something is full. */
#include <pthread.h>
#include <unistd.h>

#include "compat/os.h"
#include "compat/py.h"
#include "tests/support/region.h"
#include "tests/support/unit.h"

static struct sp_region *r;

static void strings(void)
{
    r = region_new(8 << 20, 128);
    uint32_t a = sp_intern_string(r, "alpha", 5), b = sp_intern_string(r, "alphb", 5), c = sp_intern_string(r, "alpha", 5);
    CHECK(a && b && a == c && a != b);
    CHECK(sp_intern_string(r, "", 0) && sp_intern_string(r, "", 0) == sp_intern_string(r, "x", 0));
    CHECK(memcmp(sp_string_at(r, a)->data, "alpha", 5) == 0);
}

static void growth(void)
{
    r = region_new(64 << 20, 128);
    enum { N = 100000 };
    static uint32_t id[N];
    for (uint32_t i = 0; i < N; i++) {
        id[i] = sp_intern_frame(r, SP_FRAME_PYTHON, i + 1, (int32_t)(i % 7) * 2);
        CHECK(id[i]);
    }
    for (uint32_t i = 0; i < N; i++)
        CHECK_EQ(sp_intern_frame(r, SP_FRAME_PYTHON, i + 1, (int32_t)(i % 7) * 2), id[i]);
    CHECK_EQ(sp_pool_end(r, &r->frames), N + 1 + SP_PSEUDO_N);
    CHECK(r->frames_table.level[3]); /* the fourth level is in use */
}

/* Eight threads intern the same call paths in different orders: no key gets two ids. */
enum { PATHS = 4000, RACERS = 8 };
static uint32_t seen[RACERS][PATHS];
static pthread_barrier_t barrier;

static void *race(void *arg)
{
    uint32_t me = (uint32_t)(uintptr_t)arg;
    pthread_barrier_wait(&barrier);
    for (uint32_t k = 0; k < PATHS; k++) {
        uint32_t i = (k * 7 + me * 501) % PATHS;
        uint32_t frame = sp_intern_frame(r, SP_FRAME_PYTHON, i % 100 + 1, (int32_t)i);
        uint32_t root = sp_intern_node(r, 0, frame), node = sp_intern_node(r, root, frame);
        char text[32];
        int n = snprintf(text, sizeof text, "name %u", i);
        seen[me][i] = node ^ sp_intern_string(r, text, (uint32_t)n) * 31;
        CHECK(sp_intern_total(r, 1, node, 10, 1));
    }
    return NULL;
}

static void races(void)
{
    r = region_new(64 << 20, 128);
    pthread_t t[RACERS];
    pthread_barrier_init(&barrier, NULL, RACERS);
    for (uintptr_t i = 0; i < RACERS; i++)
        pthread_create(&t[i], NULL, race, (void *)i);
    for (int i = 0; i < RACERS; i++)
        pthread_join(t[i], NULL);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < PATHS; i++)
        for (int k = 1; k < RACERS; k++)
            CHECK_EQ(seen[k][i], seen[0][i]);
    for (uint32_t id = 1; id < sp_pool_end(r, &r->totals); id++)
        sum += ((struct sp_total *)sp_pool_entry(r, &r->totals, id))->cpu_ns;
    CHECK_EQ(sum, 10ull * RACERS * PATHS);
}

static uint64_t sum_of_log(const struct sp_thread *t, uint32_t *records)
{
    uint64_t sum = 0;
    *records = 0;
    for (uint32_t at = t->chunk ? t->first_chunk : 0; at;) {
        const struct sp_chunk *c = sp_at64(r, at);
        for (uint32_t i = 0; i < c->n; i++)
            sum += c->records[i].cpu_ns;
        *records += c->n;
        at = at == t->chunk ? 0 : c->next;
    }
    return sum;
}

static void log_joins_equal_neighbours(void)
{
    r = region_new(8 << 20, 128);
    struct sp_thread *t = region_thread(r, 1, "a");
    uint32_t code = region_code(r, "f", "f.py", 1), a = region_node(r, 0, code, 0), b = region_node(r, 0, code, 4), n;
    region_sample(r, t, a, 10, 0);
    region_sample(r, t, a, 20, 100);
    region_sample(r, t, b, 30, 200);
    region_sample(r, t, a, 40, 300);
    CHECK_EQ(sum_of_log(t, &n), 100);
    CHECK_EQ(n, 3);
    region_sample(r, t, a, 9000000000ull, 400); /* longer than a record can say */
    CHECK_EQ(sum_of_log(t, &n), 9000000100ull);
    region_sample(r, t, b, 1, 3600ull * 24 * 1000000000); /* a day later */
    CHECK_EQ(sum_of_log(t, &n), 9000000101ull);
}

static void full_log_goes_to_totals(void)
{
    r = region_new(1 << 20, 128);
    struct sp_thread *t = region_thread(r, 1, "a");
    uint32_t code = region_code(r, "f", "f.py", 1), nodes[2] = {region_node(r, 0, code, 0), region_node(r, 0, code, 4)}, n;
    enum { N = 100000 };
    for (uint32_t i = 0; i < N; i++)
        region_sample(r, t, nodes[i & 1], 7, i * 1000ull);
    CHECK(r->time_order_until_ns > 0);
    uint64_t sum = sum_of_log(t, &n);
    CHECK(n > 10000 && n < N);
    for (uint32_t id = 1; id < sp_pool_end(r, &r->totals); id++)
        sum += ((struct sp_total *)sp_pool_entry(r, &r->totals, id))->cpu_ns;
    CHECK_EQ(sum, 7ull * N);
    CHECK_EQ(t->cpu_ns[SP_CATEGORY_PYTHON], 7ull * N);
}

static void full_tree(void)
{
    r = region_new(1 << 20, 128);
    uint32_t refused = 0, last = 0;
    for (uint32_t i = 1; i < 100000; i++) {
        uint32_t node = sp_intern_node(r, last, sp_intern_frame(r, SP_FRAME_PYTHON, 1, (int32_t)(i % 3000) * 2));
        if (!node)
            refused++;
        else
            last = node % 90 == 0 ? 0 : node;
    }
    CHECK(refused > 1000);
    CHECK(r->next <= r->end + (1 << 20));                                   /* what did not fit was not handed out */
    CHECK(sp_intern_node(r, 0, sp_intern_frame(r, SP_FRAME_PYTHON, 1, 2))); /* what is known is still found */
}

static void threads_are_folded(void)
{
    r = region_new(4 << 20, 64);
    uint32_t code = region_code(r, "f", "f.py", 1), node = region_node(r, 0, code, 0);
    enum { N = 5000 };
    for (uint32_t i = 0; i < N; i++) {
        struct sp_thread *t = region_thread(r, (int)i + 2, "w");
        CHECK(t);
        region_sample(r, t, node, 100 + i, 5);
        sp_thread_end(r, t, t->last_cpu_ns + 11, 6, SP_TICKS_COMING);
    }
    CHECK_EQ(r->loss[SP_LOSS_NO_SLOT], 0);
    CHECK_EQ(r->n_serial, N);
    CHECK(r->n_threads <= r->max_ended + 2);
    CHECK_EQ(r->n_folded + r->n_ended, N);
    uint64_t sum = r->folded_cpu_ns[SP_CATEGORY_PYTHON], rest = r->folded_cpu_ns[SP_CATEGORY_THREAD_END], heaviest = 0;
    for (uint32_t i = 1; i <= r->n_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        if (t->state != SP_THREAD_ENDED)
            continue;
        sum += t->cpu_ns[SP_CATEGORY_PYTHON];
        rest += t->cpu_ns[SP_CATEGORY_THREAD_END];
        if (t->end_cpu_ns > heaviest)
            heaviest = t->end_cpu_ns;
    }
    CHECK_EQ(sum, 100ull * N + (uint64_t)N * (N - 1) / 2);
    CHECK_EQ(rest, 11ull * N);
    CHECK_EQ(heaviest, 100 + N - 1 + 11); /* the heavy ones keep a slot */
}

/* Threads that end many at once: a slot and its stacks have one owner at a time, none is lost, no sum is. */
enum { CHURNERS = 8, LIVES = 6000 };
static void *user_of[1 << 20]; /* stacks -> slot that uses them */

static void *churn(void *arg)
{
    uint32_t *node = arg;
    for (uint32_t i = 0; i < LIVES; i++) {
        struct sp_thread *t = region_thread(r, 1000, "w");
        CHECK(t);
        uint32_t stacks = t->stacks, depth = t->stack_depth;
        CHECK(stacks && stacks < SP_ARRAY_LEN(user_of) && depth >= 16);
        CHECK(!__atomic_exchange_n(&user_of[stacks], t, __ATOMIC_SEQ_CST));
        memset(sp_at64(r, stacks), (int)i, 2 * depth * sizeof(struct sp_py_frame));
        for (uint32_t k = 0; k < i % 7; k++)
            region_sample(r, t, node[(i + k) % 64], 10000, 5);
        CHECK_EQ(t->stacks, stacks);
        CHECK(__atomic_exchange_n(&user_of[stacks], NULL, __ATOMIC_SEQ_CST) == t);
        sp_thread_end(r, t, t->last_cpu_ns + 11, 6, SP_TICKS_COMING);
    }
    return NULL;
}

static void add(void *arg, const struct sp_sample *s)
{
    *(uint64_t *)arg += s->cpu_ns;
}

static void threads_end_at_once(void)
{
    r = region_new(4 << 20, 64);
    uint32_t code = region_code(r, "f", "f.py", 1), node[64];
    for (int i = 0; i < 64; i++)
        node[i] = region_node(r, 0, code, 2 * i);
    pthread_t t[CHURNERS];
    for (int i = 0; i < CHURNERS; i++)
        pthread_create(&t[i], NULL, churn, node);
    for (int i = 0; i < CHURNERS; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(r->loss[SP_LOSS_NO_SLOT], 0);
    CHECK_EQ(r->n_folded + r->n_ended, CHURNERS * LIVES);
    uint64_t ns = 0, booked = 0, expected = 0;
    for (int c = 0; c < SP_CATEGORY_N; c++)
        ns += r->folded_cpu_ns[c];
    for (uint32_t i = 1; i <= r->n_threads; i++) {
        const struct sp_thread *slot = sp_thread_at(r, i);
        for (int c = 0; c < SP_CATEGORY_N; c++)
            ns += slot->cpu_ns[c];
        if (slot->state == SP_THREAD_ENDED)
            sp_each_booked(r, slot, add, &booked);
    }
    sp_each_booked_by_folded(r, add, &booked);
    for (uint32_t i = 0; i < LIVES; i++)
        expected += CHURNERS * (i % 7 * 10000ull + 11);
    CHECK_EQ(ns, expected);
    CHECK_EQ(booked, expected);
    CHECK(r->n_threads < r->max_threads);
}

/* No room for another slot: those of ended threads are taken, whatever they hold. */
static void ended_slots_are_taken(void)
{
    r = region_new(1 << 20, 16);
    uint32_t code = region_code(r, "f", "f.py", 1);
    struct sp_thread *t = NULL;
    for (uint32_t i = 0; i < r->max_threads - 2; i++)
        CHECK(region_thread(r, (int)i, "stays"));
    for (int life = 0; life < 50; life++) {
        CHECK(t = region_thread(r, 1000, "heavy"));
        for (int i = 0; i < 100; i++)
            region_sample(r, t, region_node(r, 0, code, 2 * i), 10000000, 5);
        sp_thread_end(r, t, t->last_cpu_ns, 6, SP_TICKS_COMING);
    }
    CHECK_EQ(r->loss[SP_LOSS_NO_SLOT], 0);
    uint64_t booked = 0;
    for (uint32_t i = 1; i <= r->n_threads; i++)
        if (sp_thread_at(r, i)->state == SP_THREAD_ENDED)
            sp_each_booked(r, sp_thread_at(r, i), add, &booked);
    sp_each_booked_by_folded(r, add, &booked);
    CHECK_EQ(booked, 50 * 100 * 10000000ull);
}

static void many_live_threads(void)
{
    r = region_new(100 << 20, 4096);
    for (int i = 0; i < 3000; i++) {
        struct sp_thread *t = region_thread(r, i + 1, "w");
        CHECK(t && t->stacks && t->stack_depth >= 256);
    }
    r = region_new(1 << 20, 4096);
    int n = 0;
    while (region_thread(r, n + 1, "w"))
        n++;
    CHECK(n >= 16);
    CHECK(r->loss[SP_LOSS_NO_SLOT] > 0);
}

/* However many live for a moment, what runs later has its names and stacks. */
static void threads_leave_room(void)
{
    static const uint64_t sizes[] = {1 << 20, 32 << 20, 100 << 20};
    for (int i = 0; i < 3; i++) {
        r = region_new(sizes[i], 4096);
        for (int n = 0; n < 20000; n++)
            region_thread(r, n + 1, "w");
        uint32_t room = (uint32_t)(sizes[i] / 8 / 64), node = 0;
        for (uint32_t k = 1; k < room / 16; k++)
            CHECK(node = sp_intern_node(r, node, sp_intern_frame(r, SP_FRAME_PYTHON, k, 2)));
    }
}

static void rest_is_classified(void)
{
    r = region_new(4 << 20, 64);
    struct sp_thread *t = region_thread(r, 1, "a");
    uint64_t rest[SP_CATEGORY_N];
    t->last_cpu_ns = 1000000000;
    sp_thread_rest(r, t, 1005000000, SP_TICKS_COMING, rest);
    CHECK(rest[SP_CATEGORY_THREAD_END] == 5000000 && rest[SP_CATEGORY_NOT_SAMPLED] == 0);
    sp_thread_rest(r, t, 1100000000, SP_TICKS_COMING, rest); /* a period is 12 ms here, and a tick 4 */
    CHECK(rest[SP_CATEGORY_THREAD_END] == 16000000 && rest[SP_CATEGORY_NOT_SAMPLED] == 84000000);
    sp_thread_rest(r, t, 1100000000, SP_TICKS_HELD_BACK, rest);
    CHECK(rest[SP_CATEGORY_BLOCKED] == 88000000 && rest[SP_CATEGORY_THREAD_END] == 12000000 &&
          rest[SP_CATEGORY_NOT_SAMPLED] == 0);
    sp_thread_rest(r, t, 1020000000, SP_TICKS_HELD_BACK, rest);
    CHECK(rest[SP_CATEGORY_BLOCKED] == 0 && rest[SP_CATEGORY_THREAD_END] == 16000000 &&
          rest[SP_CATEGORY_NOT_SAMPLED] == 4000000);
    sp_thread_rest(r, t, 1005000000, SP_TICKS_NONE, rest);
    CHECK(rest[SP_CATEGORY_NOT_SAMPLED] == 5000000);
    sp_thread_rest(r, t, 900000000, SP_TICKS_COMING, rest);
    CHECK(rest[SP_CATEGORY_NOT_SAMPLED] == 0);
}

const struct unit_case unit_cases[] = {
    {"strings", strings},
    {"growth", growth},
    {"races", races},
    {"log_joins_equal_neighbours", log_joins_equal_neighbours},
    {"full_log_goes_to_totals", full_log_goes_to_totals},
    {"full_tree", full_tree},
    {"threads_are_folded", threads_are_folded},
    {"threads_end_at_once", threads_end_at_once},
    {"ended_slots_are_taken", ended_slots_are_taken},
    {"many_live_threads", many_live_threads},
    {"threads_leave_room", threads_leave_room},
    {"rest_is_classified", rest_is_classified},
    {NULL, NULL},
};
