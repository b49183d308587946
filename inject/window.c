/* SPDX-License-Identifier: MIT
 * See window.h. Images are taken by who has the turn (turn.h), while the region is frozen: that takes as long as copying it. All
 * else is done to the copies, while the program and its recording go on. While a thread has the turn only handlers of faults run in
 * it: what they ask for is refused before anything is looked at. */
#include "inject/window.h"

#include <errno.h>
#include <string.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "inject/difference.h"
#include "inject/publish.h"
#include "inject/schedule.h"
#include "inject/turn.h"
#include "writers/view.h"

#define BUFFER_BYTES 65536u
#define STACK_BYTES 262144u /* handlers of the program's run there as well */

struct moment {
    struct sp_region *image; /* NULL: there was no memory */
    uint64_t bytes, cpu_ns, mono_ns;
};

/* Threads: by who has the turn; pid and own_profile are read by all. */
static struct moment opened;
static int open_pid;         /* the process that has a window; 0: none */
static uint32_t own_profile; /* number of a recording that was begun for a window; 0: none */

bool sp_window_is_open(void)
{
    return sp_load_acquire(&open_pid) == sp_session.pid;
}

static struct moment moment_of(const struct sp_region *r, uint64_t cpu_ns)
{
    return (struct moment){sp_image_of(r), r->bytes, cpu_ns, sp_os_mono_exact_ns()};
}

static void forget(struct moment *m)
{
    if (m->image) /* its header is empty in a fork child */
        sp_os_release(m->image, m->bytes);
    m->image = NULL;
}

/* ---- open */
struct opening {
    enum sp_window result;
    bool is_own;
};

static void open_here(void *arg, struct sp_region *r, uint64_t cpu_ns)
{
    struct opening *o = arg;
    if (o->is_own)
        own_profile = r->profile;
    else if (own_profile != r->profile) /* its parent's, in a fork child */
        own_profile = 0;
    if (sp_window_is_open()) {
        o->result = SP_WINDOW_IS_OPEN;
        return;
    }
    forget(&opened); /* what a fork child has of its parent's */
    opened = moment_of(r, cpu_ns);
    o->result = !opened.image ? SP_WINDOW_NO_MEMORY : o->is_own ? SP_WINDOW_BEGUN : SP_WINDOW_DONE;
    if (!opened.image)
        return;
    sp_schedule_keep(true);
    sp_store_release(&open_pid, sp_session.pid);
}

enum sp_window sp_window_open(const struct sp_recording_wish *wish)
{
    struct opening o = {SP_WINDOW_OFF, false};
    if (!sp_session_is_running())
        return SP_WINDOW_OFF;
    if (sp_turn_is_mine())
        return SP_WINDOW_BUSY;
    if (sp_lifecycle_look(open_here, &o))
        return o.result;
    o.is_own = sp_lifecycle_begin_as(wish);
    if (sp_lifecycle_look(open_here, &o))
        return o.result;
    return sp_turn_is_over() ? SP_WINDOW_OFF : o.is_own ? SP_WINDOW_LOST : SP_WINDOW_NO_MEMORY;
}

/* ---- text */
static bool grow(struct sp_written *w, size_t format, size_t bytes)
{
    size_t room = w->room[format] ? w->room[format] : BUFFER_BYTES;
    while (room < bytes)
        room *= 2;
    char *text = sp_os_pages(room);
    if (!text)
        return false;
    if (w->text[format]) {
        memcpy(text, w->text[format], w->bytes[format]);
        sp_os_release(w->text[format], w->room[format]);
    }
    w->text[format] = text;
    w->room[format] = room;
    return true;
}

void sp_written_release(struct sp_written *w)
{
    for (size_t i = 0; i < SP_WINDOW_FORMATS; i++) {
        if (w->text[i])
            sp_os_release(w->text[i], w->room[i]);
        w->text[i] = NULL;
        w->bytes[i] = w->room[i] = 0;
    }
}

struct writing {
    const struct sp_profile *profile;
    struct sp_written *written;
    size_t format; /* the one that is being written */
    char *buffer;
    int error;
};

static int append(void *arg, const void *data, size_t n)
{
    const struct writing *w = arg;
    struct sp_written *to = w->written;
    if (to->bytes[w->format] + n > to->room[w->format] && !grow(to, w->format, to->bytes[w->format] + n))
        return -ENOMEM;
    memcpy(to->text[w->format] + to->bytes[w->format], data, n);
    to->bytes[w->format] += n;
    return 0;
}

static int count(const struct sp_profile *p, struct sp_window_stats *s)
{
    struct sp_view v;
    if (!sp_view_init(&v, p))
        return -ENOMEM;
    *s = (struct sp_window_stats){.samples = v.samples,
                                  .dropped = p->region->loss[SP_LOSS_OVERFLOW],
                                  .cpu_ns = v.used_ns,
                                  .duration_ns = p->wall_ns,
                                  .interval_ns = sp_view_effective_interval_ns(&v),
                                  .threads = v.n_own + v.n_others};
    for (int i = SP_LOSS_NONE + 1; i < SP_LOSS_WALK_N; i++)
        s->dropped += p->region->loss[i];
    return 0;
}

static void write_wanted(void *arg)
{
    struct writing *w = arg;
    if (w->written->counts)
        w->error = count(w->profile, &w->written->stats);
    for (const struct sp_writer_ops *f; !w->error && (f = sp_writer_at(w->format)); w->format++) {
        struct sp_out out = {.sink = append, .arg = w, .buffer = w->buffer, .cap = BUFFER_BYTES, .most = UINT64_MAX};
        const char *name = w->written->name ? w->written->name : f->suffixes[0];
        if (w->written->formats >> w->format & 1)
            w->error = sp_writer_write(f, name, w->profile, &out);
    }
}

/* On a stack of its own: that of the caller may be as small as Python's threads can be. No tick of ours is to find it there. */
static bool write_all(const struct sp_profile *p, struct sp_written *written)
{
    char *room = sp_os_pages(BUFFER_BYTES + STACK_BYTES);
    if (!room)
        return false;
    struct writing w = {.profile = p, .written = written, .buffer = room};
    uint64_t mask = sp_os_mask_block(SP_OS_MASK(SIGPROF));
    sp_cpu_call_on(room + BUFFER_BYTES + STACK_BYTES, write_wanted, &w);
    sp_os_mask_set(mask);
    sp_os_release(room, BUFFER_BYTES + STACK_BYTES);
    return !w.error;
}

/* ---- close, look */
struct cut {
    enum sp_window result;
    bool is_whole;
    struct moment from, to; /* from: no image, from the recording's beginning */
};

/* Both images are used up. */
static enum sp_window write_cut(struct cut *c, struct sp_written *w)
{
    struct sp_region *r = c->to.image;
    if (c->result == SP_WINDOW_DONE && !r)
        c->result = SP_WINDOW_NO_MEMORY;
    if (c->result == SP_WINDOW_DONE) {
        struct sp_profile p = sp_writer_profile(r);
        if (c->from.image) {
            sp_difference(r, c->from.image, c->from.mono_ns);
            r->before_start_ns = c->from.cpu_ns;
            r->started_mono_ns = c->from.mono_ns;
        }
        p.process_cpu_ns = c->to.cpu_ns - sp_min_u64(c->to.cpu_ns, r->before_start_ns);
        p.wall_ns = c->to.mono_ns - sp_min_u64(c->to.mono_ns, r->started_mono_ns);
        p.thread_name = sp_identity_thread_name_of;
        sp_store_scratch_begin(r);
        c->result = write_all(&p, w) ? SP_WINDOW_DONE : SP_WINDOW_NO_MEMORY;
    }
    forget(&c->from);
    forget(&c->to);
    if (c->result != SP_WINDOW_DONE)
        sp_written_release(w);
    return c->result;
}

static bool take_opened(struct moment *m)
{
    int pid = sp_session.pid;
    *m = opened;
    return sp_cas(&open_pid, &pid, 0);
}

static void close_here(void *arg, struct sp_region *r, uint64_t cpu_ns)
{
    struct cut *c = arg;
    if (!take_opened(&c->from)) {
        *c = (struct cut){.result = SP_WINDOW_IS_NONE};
        return;
    }
    opened.image = NULL;
    own_profile = 0;
    sp_schedule_keep(false);
    c->result = c->from.image->profile == r->profile ? SP_WINDOW_DONE : SP_WINDOW_LOST;
    if (c->result == SP_WINDOW_DONE)
        c->to = moment_of(r, cpu_ns);
}

static void close_ended(void *arg, struct sp_region *r, uint64_t used_ns)
{
    close_here(arg, r, r->before_start_ns + used_ns);
}

enum sp_window sp_window_close(struct sp_written *w)
{
    struct cut c = {.result = SP_WINDOW_IS_NONE};
    if (!sp_session_is_running() || !sp_window_is_open())
        return SP_WINDOW_IS_NONE;
    if (sp_turn_is_mine())
        return SP_WINDOW_BUSY;
    bool is_done = sp_load_relaxed(&own_profile) ? sp_lifecycle_end(close_ended, &c) : sp_lifecycle_look(close_here, &c);
    if (!is_done) { /* there is no recording any more */
        c.result = take_opened(&c.from) ? SP_WINDOW_LOST : SP_WINDOW_IS_NONE;
        if (c.result == SP_WINDOW_IS_NONE)
            c.from.image = NULL;
        else
            opened.image = NULL;
    }
    return write_cut(&c, w);
}

static void look_here(void *arg, struct sp_region *r, uint64_t cpu_ns)
{
    struct cut *c = arg;
    c->result = SP_WINDOW_DONE;
    if (!c->is_whole && sp_window_is_open() && opened.image->profile == r->profile) {
        c->from = opened;
        c->from.image = sp_image_of(opened.image); /* who closes it does not wait for us */
        c->result = c->from.image ? SP_WINDOW_DONE : SP_WINDOW_NO_MEMORY;
    }
    c->to = moment_of(r, cpu_ns);
}

enum sp_window sp_window_look(bool whole, struct sp_written *w)
{
    struct cut c = {.result = SP_WINDOW_IS_NONE, .is_whole = whole};
    if (!sp_session_is_running())
        return SP_WINDOW_OFF;
    if (sp_turn_is_mine())
        return SP_WINDOW_BUSY;
    if (!sp_lifecycle_look(look_here, &c) && sp_turn_is_over())
        return SP_WINDOW_OFF;
    return write_cut(&c, w);
}

enum sp_window sp_window_publish(char *path)
{
    path[0] = '\0';
    if (!sp_session_is_running())
        return SP_WINDOW_OFF;
    if (sp_turn_is_mine())
        return SP_WINDOW_BUSY;
    sp_lifecycle_child_runs_python();
    if (!sp_region_now())
        return SP_WINDOW_IS_NONE;
    if (sp_turn_is_over())
        return SP_WINDOW_OFF;
    sp_lifecycle_finish(SP_FINISH_SNAPSHOT);
    const char *written = sp_publish_written();
    memcpy(path, written, strlen(written) + 1);
    return SP_WINDOW_DONE;
}
