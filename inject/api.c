/* SPDX-License-Identifier: MIT
 * The functions that spprof.h finds, under their names; windows are those that Python code opens (window.h). */
#include "inject/spprof.h"

#include <errno.h>
#include <string.h>

#include "compat/os.h"
#include "compat/version.h"
#include "inject/publish.h"
#include "inject/window.h"
#include "sampler/span.h"
#include "writers/writer.h"

/* The header has functions of these names itself. */
SP_EXPORT int api_start(uint64_t interval_ns, uint64_t memory_bytes) __asm__("spprof_start");
SP_EXPORT int api_stop(const char *path, struct spprof_figures *stats) __asm__("spprof_stop");
SP_EXPORT int api_is_active(void) __asm__("spprof_is_active");
SP_EXPORT int api_stats(struct spprof_figures *stats) __asm__("spprof_stats");
SP_EXPORT int api_snapshot(const char *path, char *written, size_t bytes) __asm__("spprof_snapshot");
SP_EXPORT uint64_t api_span_begin(const char *name) __asm__("spprof_span_begin");
SP_EXPORT void api_span_end(uint64_t token) __asm__("spprof_span_end");
SP_EXPORT const char *api_version(void) __asm__("spprof_version");

static int off(void)
{
    return sp_load_acquire(&sp_session.state) == SP_SESSION_WATCHING ? SPPROF_NO_PYTHON : SPPROF_OFF;
}

/* none: what it means that there is none. */
static int result_of(enum sp_window w, enum spprof_result none)
{
    static const enum spprof_result results[] = {
        [SP_WINDOW_DONE] = SPPROF_DONE,           [SP_WINDOW_BEGUN] = SPPROF_DONE, [SP_WINDOW_IS_OPEN] = SPPROF_IS_OPEN,
        [SP_WINDOW_NO_MEMORY] = SPPROF_NO_MEMORY, [SP_WINDOW_LOST] = SPPROF_LOST,  [SP_WINDOW_BUSY] = SPPROF_BUSY,
    };
    return w == SP_WINDOW_IS_NONE ? (int)none : w == SP_WINDOW_OFF ? off() : (int)results[w];
}

/* ---- a file that is asked for by name */
struct file {
    const char *path; /* NULL: none */
    int fd;
    bool is_new;
};

static bool open_file(struct file *f)
{
    if (!f->path)
        return true;
    f->fd = sp_os_create(f->path, false);
    f->is_new = f->fd >= 0;
    if (f->fd == -EEXIST)
        f->fd = sp_os_open_write(f->path);
    if (f->fd < 0)
        errno = -f->fd;
    return f->fd >= 0;
}

/* Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, and where nobody reads SIGPIPE, which kill. */
static int write_text(int fd, const char *text, size_t bytes)
{
    uint64_t kill = SP_OS_MASK(SIGXFSZ) | SP_OS_MASK(SIGPIPE), old = sp_os_mask_block(kill), pending = sp_os_pending() & kill;
    sp_os_set_size(fd, 0, false); /* what has no size has none to lose */
    int rc = sp_os_write_all(fd, text, bytes);
    siginfo_t info;
    sp_os_take_pending(kill & ~pending, &info);
    sp_os_mask_set(old);
    return rc;
}

/* The file is closed, with the profile in it or, if there is none, as it was. */
static int finish_file(const struct file *f, const struct sp_written *w, int result)
{
    if (!f->path)
        return result;
    size_t format = 0;
    while (!w->text[format] && sp_writer_at(format + 1))
        format++;
    int rc = result == SPPROF_DONE ? write_text(f->fd, w->text[format], w->bytes[format]) : 0, closed = sp_os_close(f->fd);
    rc = rc ? rc : closed;
    if (f->is_new && (rc || result != SPPROF_DONE))
        sp_os_unlink(f->path);
    if (rc)
        errno = -rc;
    return rc ? SPPROF_NOT_WRITTEN : result;
}

/* ---- profiles */
static struct sp_written wanted(const char *path, const struct spprof_figures *stats)
{
    const struct sp_writer_ops *format = path ? sp_writer_by_suffix(path) : NULL;
    struct sp_written w = {.name = path, .counts = stats};
    for (uint32_t i = 0; format && sp_writer_at(i); i++)
        w.formats |= (uint32_t)(sp_writer_at(i) == format) << i;
    return w;
}

static void tell(struct spprof_figures *stats, const struct sp_window_stats *s)
{
    if (stats)
        *stats = (struct spprof_figures){.samples = s->samples,
                                         .dropped = s->dropped,
                                         .cpu_ns = s->cpu_ns,
                                         .duration_ns = s->duration_ns,
                                         .interval_ns = s->interval_ns,
                                         .threads = s->threads};
}

static const struct {
#define SP_OPTION(field, name, kind, lowest, ...) \
    struct {                                      \
        uint64_t low, high;                       \
    } field;
#include "inject/options.def"
#undef SP_OPTION
} range = {
#define SP_OPTION(field, name, kind, lowest, highest, ...) .field = {lowest, highest},
#include "inject/options.def"
#undef SP_OPTION
};

int api_start(uint64_t interval_ns, uint64_t memory_bytes)
{
    struct sp_recording_wish wish = {interval_ns, memory_bytes};
    if ((interval_ns && (interval_ns < range.interval_ns.low || interval_ns > range.interval_ns.high)) ||
        (memory_bytes && (memory_bytes < range.memory_bytes.low || memory_bytes > range.memory_bytes.high)))
        return SPPROF_RANGE;
    return result_of(sp_window_open(&wish), SPPROF_NONE_OPEN);
}

int api_stop(const char *path, struct spprof_figures *stats)
{
    struct sp_written w = wanted(path, stats);
    struct file f = {.path = path};
    if (!sp_session_is_running())
        return off();
    if (!sp_window_is_open())
        return SPPROF_NONE_OPEN;
    if (!open_file(&f))
        return SPPROF_NOT_WRITTEN;
    int result = result_of(sp_window_close(&w), SPPROF_NONE_OPEN);
    if (result == SPPROF_DONE)
        tell(stats, &w.stats);
    result = finish_file(&f, &w, result);
    sp_written_release(&w);
    return result;
}

int api_is_active(void)
{
    return sp_session_is_running() && sp_window_is_open();
}

int api_stats(struct spprof_figures *stats)
{
    struct sp_written w = wanted(NULL, stats);
    if (!stats)
        return SPPROF_RANGE;
    int result = result_of(sp_window_look(false, &w), SPPROF_NOT_RECORDING);
    if (result == SPPROF_DONE)
        tell(stats, &w.stats);
    return result;
}

static int write_own_file(char *name)
{
    if (sp_session_is_running() && !sp_publish_is_worth())
        return SPPROF_NO_PYTHON;
    int result = result_of(sp_window_publish(name), SPPROF_NOT_RECORDING);
    return result == SPPROF_DONE && !name[0] ? SPPROF_NOT_WRITTEN : result;
}

static int write_to(const char *path)
{
    struct sp_written w = wanted(path, NULL);
    struct file f = {.path = path};
    if (!sp_session_is_running())
        return off();
    if (!open_file(&f))
        return SPPROF_NOT_WRITTEN;
    int result = finish_file(&f, &w, result_of(sp_window_look(true, &w), SPPROF_NOT_RECORDING));
    sp_written_release(&w);
    return result;
}

int api_snapshot(const char *path, char *written, size_t bytes)
{
    char own[SP_PATH_BYTES] = "";
    int result = path ? write_to(path) : write_own_file(own);
    if (result == SPPROF_DONE && written && bytes) {
        const char *name = path ? path : own;
        size_t n = strnlen(name, bytes - 1);
        memcpy(written, name, n);
        written[n] = '\0';
    }
    return result;
}

/* ---- spans */
uint64_t api_span_begin(const char *name)
{
    return name && sp_load_relaxed(&sp_session.state) != SP_SESSION_OFF ? sp_span_begin(name) : 0;
}

void api_span_end(uint64_t token)
{
    sp_span_end(token);
}

const char *api_version(void)
{
    return SPPROF_VERSION;
}
