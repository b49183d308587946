/* SPDX-License-Identifier: MIT
 * See publish.h. */
#include "inject/publish.h"

#include <errno.h>
#include <string.h>

#include "compat/buf.h"
#include "compat/diag.h"
#include "compat/os.h"
#include "compat/py.h"
#include "inject/difference.h"
#include "inject/environment.h"
#include "inject/hooks.h"
#include "inject/output.h"
#include "inject/run.h"
#include "inject/spool.h"
#include "sampler/handler.h"

#define WAIT_FOR_HANDLERS_NS (2 * SP_NS_PER_S)

static const struct sp_config *config;
/* Threads: at the start, and by who has the turn (turn.h); by a fork child while it is alone. */
static struct sp_output output;
static uint64_t started_ns;

/* ---- files of recordings that are over: the newest stay */
struct kept {
    uint64_t inode, device;
    char path[SP_PATH_BYTES - 2 * sizeof(uint64_t)];
};
static struct kept *kept; /* config->keep of them, touched as they are used; NULL: all stay */
static uint64_t n_kept;

static struct kept *kept_at(uint64_t number)
{
    return &kept[number % config->keep];
}

static void remove_kept(const struct kept *k)
{
    struct sp_os_stat now;
    if (sp_os_stat(k->path, false, &now) == 0 && now.inode == k->inode && now.device == k->device)
        sp_os_unlink(k->path);
}

static void keep_written(void)
{
    size_t n = strlen(output.written);
    if (!kept || n >= sizeof kept->path)
        return;
    /* an exec that failed: the same file once more */
    bool is_same = n_kept && strcmp(kept_at(n_kept - 1)->path, output.written) == 0;
    struct kept *k = kept_at(is_same ? n_kept - 1 : n_kept++);
    if (!is_same && n_kept > config->keep)
        remove_kept(k);
    memcpy(k->path, output.written, n + 1);
    k->inode = output.written_inode;
    k->device = output.written_device;
}

/* ---- once a process */
void sp_publish_init(const struct sp_config *c, const struct sp_identity *i, bool is_first)
{
    memcpy(output.host, i->host, sizeof output.host);
    memcpy(output.script, i->script, sizeof output.script);
    config = c;
    output.is_owner = is_first;
    output.run_started_ns = sp_run_started_ns();
    output.most_files = c->files;
    sp_output_init(&output, c->out, c->format, environ);
    if (c->keep)
        kept = sp_os_pages(c->keep * sizeof *kept);
}

const char *sp_publish_written(void)
{
    return output.is_written ? output.written : "";
}

void sp_publish_forked(void)
{
    output.is_owner = false;
    output.written[0] = '\0';
    output.written_inode = 0;
    output.skipped_ns = 0;
    output.number = 0;
    output.with_pid = false;
    n_kept = 0;
}

bool sp_publish_is_worth(void)
{
    return sp_session.ran_python || sp_session.is_child || sp_py_running() || !sp_py.layout;
}

static uint64_t writer_cpu_ns(void)
{
    return sp_os_thread_cpu_ns() - started_ns;
}

static void say_summary(const struct sp_region *r)
{
    bool speak = config->verbose == SP_VERBOSE_ALWAYS ||
                 (config->verbose == SP_VERBOSE_AUTO && !sp_session.is_child && output.is_owner && sp_os_is_terminal(2));
    if (!speak)
        return;
    char line[128];
    SP_BUF(b, line);
    uint64_t samples = r->folded_samples;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        samples += t && t->state != SP_THREAD_FREE ? t->samples : 0;
    }
    sp_buf_u64(&b, samples);
    sp_buf_str(&b, " samples; the profile is in ");
    sp_diag_join(line, output.written, NULL, NULL, NULL);
}

static struct sp_profile profile_of(struct sp_region *r, uint64_t used_ns, bool complete)
{
    struct sp_profile p = sp_writer_profile(r);
    p.complete = complete;
    p.writer_cpu_ns = writer_cpu_ns;
    p.thread_name = sp_identity_thread_name_of;
    p.process_cpu_ns = used_ns;
    p.wall_ns = sp_os_mono_ns() - r->started_mono_ns;
    started_ns = sp_os_thread_cpu_ns();
    return p;
}

/* Memory that somebody cuts off while it is read would be zeroes: a spool is written from a copy, if there is room for one. False: it
 * is cut already. */
static bool leave_file(struct sp_profile *p, struct sp_region **r, struct sp_region **image)
{
    *image = sp_spool_is_shared() ? sp_image_of(*r) : NULL;
    if (!sp_store_ready(*r))
        return false;
    if (*image)
        p->region = *r = *image;
    return true;
}

static int write_frozen(struct sp_profile *p, struct sp_region *r)
{
    output.spool = sp_spool_path();
    struct sp_region *image;
    int rc = -EIO;
    if (leave_file(p, &r, &image)) {
        sp_store_scratch_begin(r);
        output.replaces_oldest = kept && n_kept >= config->keep;
        rc = sp_output_write(&output, p);
        sp_store_scratch_end(r);
    }
    if (rc == 0 && p->complete)
        keep_written();
    if (rc == 0)
        say_summary(r);
    sp_image_release(image);
    return rc;
}

static int publish(struct sp_profile *p, struct sp_region *r)
{
    if (!sp_hook_signal_is_ours() && r->loss[SP_LOSS_REPLACED] == 0) {
        sp_count_loss(r, SP_LOSS_REPLACED);
        sp_diag(
            "the program set its own SIGPROF handler by a raw system call; ticks went there; time since then is (not sampled)");
    }
    return write_frozen(p, r);
}

int sp_publish_live(struct sp_region *r, bool complete)
{
    uint64_t cpu_ns = sp_os_process_cpu_ns();
    struct sp_profile p = profile_of(r, cpu_ns - sp_min_u64(cpu_ns, r->before_start_ns), complete);
    sp_handler_freeze(r, WAIT_FOR_HANDLERS_NS);
    return publish(&p, r);
}

void sp_publish_closed(struct sp_region *r, uint64_t used_ns)
{
    struct sp_profile p = profile_of(r, used_ns, true);
    if (!sp_publish_is_worth())
        return;
    publish(&p, r);
    sp_output_go_on(&output);
}
