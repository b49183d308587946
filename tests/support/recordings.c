/* SPDX-License-Identifier: MIT
 * Part of a library like libspprof.so in which a test begins recordings, ends them and puts others in their place. What each
 * closed one holds is added up; in each the logs hold what the sums say. */
#include "inject/lifecycle.h"

#include <string.h>

#include "compat/os.h"

int recording_begin(void);
int recording_end(void);
long recording_swap(long times, long pause_us);
unsigned long recording_figure(const char *name);

static struct {
    uint64_t n, before_ns, used_ns, threads_ns, samples, wrong, not_sampled_ns;
} all;

static void add(void *arg, const struct sp_sample *s)
{
    *(uint64_t *)arg += s->cpu_ns;
}

static uint64_t sum_of(const uint64_t ns[SP_CATEGORY_N])
{
    uint64_t sum = 0;
    for (int c = 0; c < SP_CATEGORY_N; c++)
        sum += ns[c];
    return sum;
}

static void closed(void *arg, struct sp_region *r, uint64_t used_ns)
{
    (void)arg;
    uint64_t threads_ns = 0, booked_ns = 0;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        if (!t || (t->state != SP_THREAD_LIVE && t->state != SP_THREAD_ENDED))
            continue;
        uint64_t logged_ns = 0;
        sp_each_booked(r, t, add, &logged_ns);
        all.wrong += logged_ns != sum_of(t->cpu_ns);
        threads_ns += logged_ns + (t->state == SP_THREAD_LIVE ? sum_of(t->rest_ns) : 0);
        all.samples += t->samples;
        all.not_sampled_ns += t->cpu_ns[SP_CATEGORY_NOT_SAMPLED];
    }
    sp_each_booked_by_folded(r, add, &booked_ns);
    all.wrong += booked_ns != sum_of(r->folded_cpu_ns) || threads_ns + booked_ns > used_ns;
    all.samples += r->folded_samples;
    all.threads_ns += threads_ns + booked_ns;
    all.before_ns = all.n++ ? all.before_ns : r->before_start_ns;
    all.used_ns += used_ns;
}

int recording_begin(void)
{
    return sp_lifecycle_begin();
}

int recording_end(void)
{
    return sp_lifecycle_end(closed, NULL);
}

long recording_swap(long times, long pause_us)
{
    long done = 0;
    for (long i = 0; i < times; i++) {
        done += sp_lifecycle_swap(closed, NULL);
        sp_os_sleep_ns((uint64_t)pause_us * 1000);
    }
    return done;
}

unsigned long recording_figure(const char *name)
{
    return strcmp(name, "n") == 0             ? all.n
           : strcmp(name, "before") == 0      ? all.before_ns
           : strcmp(name, "used") == 0        ? all.used_ns
           : strcmp(name, "threads") == 0     ? all.threads_ns
           : strcmp(name, "samples") == 0     ? all.samples
           : strcmp(name, "not_sampled") == 0 ? all.not_sampled_ns
                                              : all.wrong;
}
