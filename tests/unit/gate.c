/* SPDX-License-Identifier: MIT
 * Everybody writes to the region while it is frozen again and again: nothing changes meanwhile, nothing is lost. */
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <unistd.h>

#include "compat/os.h"
#include "sampler/engine.h"
#include "sampler/gate.h"
#include "sampler/handler.h"
#include "sampler/slots.h"
#include "tests/support/region.h"
#include "tests/support/unit.h"

static struct sp_region *r;
static atomic_bool stop;
static atomic_ullong used_ns, lives, never_began;
static uint32_t node[64];

/* As inject/self.c ends a thread. */
static void end(struct sp_live *l, uint64_t cpu_ns)
{
    if (sp_gate_enter()) {
        sp_live_end(r, l, cpu_ns, SP_TICKS_COMING);
        sp_gate_leave();
        return;
    }
    sp_live_leaves(l, cpu_ns, SP_TICKS_COMING);
    sp_live_left(l);
    while (!sp_gate_leave_work())
        if (sp_gate_enter()) {
            sp_live_see_to_left(r);
            sp_gate_leave();
            return;
        }
}

static void code_dies(uint64_t address)
{
    while (!sp_gate_enter()) {
        sp_intern_leave_code();
        if (sp_gate_leave_work())
            return;
    }
    sp_intern_forget_code(r, address);
    sp_gate_leave();
}

static bool tick(struct sp_live *l, uint32_t i)
{
    if (!sp_gate_enter())
        return false;
    struct sp_thread *t = sp_live_slot(r, l); /* begins with the first that gets through */
    region_sample(r, t, node[i % 64], 1000 + i % 7, 5);
    sp_live_is_booked(l, t, t->last_cpu_ns);
    if ((uint32_t)sp_load_relaxed(&r->folding))
        sp_slot_fold(r, 4);
    sp_gate_leave();
    return true;
}

static void claim(struct sp_live *l, bool wants)
{
    if (sp_gate_enter()) {
        if (wants)
            sp_live_claim(r, l);
        sp_gate_leave();
    } else {
        usleep(2000); /* it begins without a slot; not so many that there is nothing but those to see to */
    }
}

static void *live(void *arg)
{
    for (uint32_t i = (uint32_t)(uintptr_t)arg; !stop; i++) {
        uint64_t cpu_ns = 0;
        struct sp_live *l = sp_live_new();
        if (!l) { /* so many have ended in front of the gate */
            usleep(1000);
            continue;
        }
        claim(l, i % 3);
        sp_live_run(l, 0);
        for (uint32_t k = 0; k < i % 5; k++)
            if (tick(l, i + k))
                cpu_ns += 1000 + (i + k) % 7;
        code_dies(4096 + i % 100 * 64);
        end(l, cpu_ns + 11);
        atomic_fetch_add(&used_ns, cpu_ns + 11);
        atomic_fetch_add(&lives, 1);
        if (i % 10 == 0 && (l = sp_live_new())) { /* pthread_create refused */
            claim(l, true);
            end(l, SP_LIVE_NEVER_BEGAN);
            atomic_fetch_add(&never_began, 1);
        }
    }
    return NULL;
}

static uint64_t checksum(void)
{
    uint64_t sum = 0;
    for (const uint64_t *p = (const uint64_t *)r, *end = sp_at(r, r->next); p < end; p++)
        sum = (sum ^ *p) * 0x9e3779b97f4a7c15ull;
    return sum;
}

static void add(void *arg, const struct sp_sample *s)
{
    *(uint64_t *)arg += s->cpu_ns;
}

static void check_sums(void)
{
    uint64_t ns = 0, booked = 0, starting = 0, living = 0;
    for (int c = 0; c < SP_CATEGORY_N; c++)
        ns += r->folded_cpu_ns[c];
    for (uint32_t i = 1; i <= r->n_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        starting += t->state == SP_THREAD_STARTING;
        living += t->state == SP_THREAD_LIVE;
        for (int c = 0; c < SP_CATEGORY_N; c++)
            ns += t->cpu_ns[c];
        if (t->state == SP_THREAD_ENDED)
            sp_each_booked(r, t, add, &booked);
    }
    sp_each_booked_by_folded(r, add, &booked);
    CHECK_EQ(starting + living, 0); /* no slot is lost */
    CHECK_EQ(ns, used_ns);
    CHECK_EQ(booked, used_ns);
    CHECK_EQ(r->n_folded + r->n_ended, lives);
    CHECK_EQ(r->loss[SP_LOSS_NO_SLOT], 0);
    CHECK(lives > 100 && never_began > 0);
}

static void frozen_under(int n_threads)
{
    r = region_new(4 << 20, 64);
    r->profile = 1;
    sp_engine = &sp_engine_cpu;
    uint32_t code = region_code(r, "f", "f.py", 1);
    for (int i = 0; i < 64; i++)
        node[i] = region_node(r, 0, code, 2 * i);
    pthread_t t[16];
    for (int i = 0; i < n_threads; i++)
        pthread_create(&t[i], NULL, live, (void *)(uintptr_t)(i * 1000));
    for (int i = 0; i < 100; i++) {
        sp_handler_freeze(r, 10 * SP_NS_PER_S);
        uint64_t before = checksum();
        usleep(300);
        CHECK_EQ(checksum(), before);
        sp_handler_thaw(r);
        usleep(i % 2 ? 3000 : 0);
    }
    stop = true;
    for (int i = 0; i < n_threads; i++)
        pthread_join(t[i], NULL);
    check_sums();
}

static void frozen_under_two(void)
{
    frozen_under(2);
}

static void frozen_under_sixteen(void)
{
    frozen_under(16);
}

/* It ends at this reading of its clock, 0: it did not begin; the region's opener knows of it, or not yet. */
static struct sp_live *one_that_ends(bool wants, uint64_t ends_at_ns, bool is_left)
{
    struct sp_live *l = sp_live_new();
    claim(l, wants);
    if (ends_at_ns)
        sp_live_run(l, 0);
    if (ends_at_ns && wants)
        CHECK(tick(l, 0)); /* 1,000 ns */
    sp_live_leaves(l, ends_at_ns ? ends_at_ns : SP_LIVE_NEVER_BEGAN, SP_TICKS_COMING);
    if (is_left)
        sp_live_left(l);
    return l;
}

/* Of those that ended; what is still theirs. */
static uint64_t booked_in_all(uint64_t *rest_ns)
{
    uint64_t booked = 0;
    for (uint32_t i = 1; i <= r->n_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        sp_each_booked(r, t, add, &booked);
        for (int c = 0; c < SP_CATEGORY_N && t->state == SP_THREAD_LIVE; c++)
            *rest_ns += t->rest_ns[c];
    }
    sp_each_booked_by_folded(r, add, &booked);
    return booked;
}

/* What threads used that ended in front of the gate is in the frozen image as in the profile behind it; but of one that has no slot
 * and is not there yet. */
static void ends_in_front_of_the_gate(void)
{
    uint64_t rest_ns = 0;
    r = region_new(4 << 20, 64);
    r->profile = 1;
    sp_engine = &sp_engine_cpu;
    for (int i = 0; i < 64; i++)
        node[i] = region_node(r, 0, region_code(r, "f", "f.py", 1), 2);
    struct sp_live *late[] = {one_that_ends(true, 1700, false), one_that_ends(false, 50, false), one_that_ends(true, 0, false)};
    one_that_ends(true, 1010, true);
    one_that_ends(false, 300, true);
    one_that_ends(true, 0, true);
    sp_handler_freeze(r, 10 * SP_NS_PER_S);
    CHECK_EQ(booked_in_all(&rest_ns), 1000 + 1010 + 300);
    CHECK_EQ(rest_ns, 700);
    CHECK_EQ(late[0]->slot->end_cpu_ns, 1700);
    for (int i = 0; i < 3; i++)
        sp_live_left(late[i]);
    sp_handler_thaw(r);
    rest_ns = 0;
    CHECK_EQ(booked_in_all(&rest_ns), 1700 + 50 + 1010 + 300);
    CHECK_EQ(rest_ns, 0);
    CHECK_EQ(r->n_folded + r->n_ended, 4);
    for (uint32_t i = 1; i <= r->n_threads; i++)
        CHECK(sp_thread_at(r, i)->state != SP_THREAD_STARTING);
}

/* A thread that freezes the store from within, as a fatal signal in a tick does, does not wait for itself. */
static void from_inside(void)
{
    r = region_new(4 << 20, 64);
    CHECK(sp_gate_enter());
    uint64_t began = sp_os_mono_exact_ns();
    sp_gate_close(3600 * SP_NS_PER_S);
    CHECK(sp_os_mono_exact_ns() - began < 3600 * SP_NS_PER_S);
    CHECK(!sp_gate_enter());
    CHECK(sp_gate_leave_work());
    CHECK(!sp_gate_open()); /* there is work */
    CHECK(sp_gate_open());
    CHECK(!sp_gate_leave_work());
    sp_gate_leave();
    CHECK(sp_gate_enter());
    sp_gate_leave();
}

static void *never_leaves(void *unused)
{
    CHECK(sp_gate_enter());
    return unused;
}

static sem_t go, went;

static void *comes_and_goes(void *times)
{
    for (int i = 0; i < *(int *)times; i++) {
        sem_wait(&go);
        CHECK(sp_gate_enter());
        sem_post(&went);
        sem_wait(&go);
        sp_gate_leave();
        sem_post(&went);
    }
    return NULL;
}

static void next_step(void)
{
    sem_post(&go);
    sem_wait(&went);
}

static bool nobody_is_inside(uint64_t limit_ns)
{
    bool nobody = sp_gate_close(limit_ns);
    CHECK(sp_gate_open());
    return nobody;
}

/* A handler of the program's jumped out of the gate: that is waited for once. The next thread gets the first one's memory, and
 * so its counter; one that is inside is waited for all the same, as often as it is. */
static void left_for_good(void)
{
    int times = 3;
    pthread_t t;
    sem_init(&go, 0, 0);
    sem_init(&went, 0, 0);
    pthread_create(&t, NULL, never_leaves, NULL);
    pthread_join(t, NULL);
    CHECK(!nobody_is_inside(1000000));
    CHECK(nobody_is_inside(3600 * SP_NS_PER_S));
    pthread_create(&t, NULL, comes_and_goes, &times);
    for (int i = 0; i < times; i++) {
        next_step();
        CHECK(!nobody_is_inside(1000000));
        next_step();
        CHECK(nobody_is_inside(3600 * SP_NS_PER_S));
    }
    pthread_join(t, NULL);
}

const struct unit_case unit_cases[] = {
    {"frozen_under_two", frozen_under_two},
    {"frozen_under_sixteen", frozen_under_sixteen},
    {"ends_in_front_of_the_gate", ends_in_front_of_the_gate},
    {"from_inside", from_inside},
    {"left_for_good", left_for_good},
    {NULL, NULL},
};
