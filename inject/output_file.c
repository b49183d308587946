/* SPDX-License-Identifier: MIT
 * See output_file.h. A profile is written beside its name and then given the name: link() semantics where nothing may
 * be replaced, an exchange where an older profile may, so that two writers at once lose nothing. Step by step: a name of
 * the series; where its links lead; whether it may be had; the profile, once, under a temporary name; the renaming. */
#include "inject/output_file.h"

#include <errno.h>
#include <string.h>

#include "compat/buf.h"
#include "compat/diag.h"
#include "compat/os.h"
#include "inject/file_limit.h"

#define MOST_NUMBERS 10000u
#define MOST_LINKS 8
#define BUFFER_BYTES 65536u

/* ---- may this name be replaced? */
enum verdict { TAKE_NEW, REPLACE, IN_PLACE, NEXT_NUMBER, REFUSE };

static bool is_ours(const char *path)
{
    char head[SP_WRITER_HEAD_BYTES];
    int fd = sp_os_open_read(path);
    if (fd < 0)
        return false;
    long n = sp_os_read(fd, head, sizeof head);
    sp_os_close(fd);
    return n > 0 && sp_writer_is_ours(head, (size_t)n);
}

/* Whether everybody may put files beside `path`: it lies in a sticky directory, such as /tmp. */
static bool is_shared(const char *path)
{
    static char directory[SP_PATH_BYTES];
    struct sp_os_stat st;
    sp_name_parent(directory, path);
    return sp_os_stat(directory, true, &st) == 0 && (st.mode & 01000);
}

/* A symlink of somebody else in a directory where everybody may put one. */
static bool is_planted(const char *path, const struct sp_os_stat *link)
{
    return link->kind == SP_OS_SYMLINK && link->uid != sp_os_euid() && is_shared(path);
}

/* Where a link leads there the profile goes, and the link stays: `path` becomes the name of what is no link. Not by
 * somebody else's link, nor to what a descriptor is open for (/dev/stdout): those stay as they are, and are refused. */
static void follow_links(char *path)
{
    static char target[SP_PATH_BYTES], next[SP_PATH_BYTES];
    struct sp_os_stat st;
    for (int hops = 0; hops < MOST_LINKS; hops++) {
        if (sp_os_stat(path, false, &st) != 0 || st.kind != SP_OS_SYMLINK || is_planted(path, &st) ||
            sp_os_read_link(path, target, sizeof target) != 0 || sp_os_is_descriptor(&st, target))
            return;
        SP_BUF(b, next);
        if (target[0] != '/') {
            sp_name_parent(next, path);
            b.len = strlen(next);
            sp_buf_char(&b, '/');
        }
        sp_buf_str(&b, target);
        if (b.cut)
            return;
        memcpy(path, next, b.len + 1);
    }
}

static enum verdict judge(const struct sp_output *o, const char *path, bool may_replace)
{
    struct sp_os_stat st;
    if (sp_os_stat(path, false, &st) != 0)
        return TAKE_NEW;
    if (st.kind != SP_OS_REGULAR)
        return REFUSE;
    bool own = o->written_inode == st.inode && o->written_device == st.device && strcmp(o->written, path) == 0;
    if (own)
        return REPLACE;
    bool older = st.mtime_ns < o->run_started_ns;
    return may_replace && (st.size == 0 || (older && is_ours(path))) ? REPLACE : NEXT_NUMBER;
}

/* ---- writing */
static int sink_fd(void *arg, const void *data, size_t n)
{
    return sp_os_write_all(*(const int *)arg, data, n);
}

static int write_to(int fd, struct sp_profile *p, const char *name, uint64_t limit)
{
    /* The region's own memory: the stack may be a small one. It lies behind what the view uses. */
    struct sp_region *r = (struct sp_region *)(uintptr_t)p->region;
    uint64_t scratch_bytes = r->scratch_bytes;
    r->scratch_bytes -= BUFFER_BYTES;
    struct sp_out out = {
        .sink = sink_fd,
        .arg = &fd,
        .buffer = sp_at(r, r->scratch + r->scratch_bytes),
        .cap = BUFFER_BYTES,
        .most = limit,
    };
    int rc = sp_writer_write(sp_writer_for(name), name, p, &out);
    r->scratch_bytes = scratch_bytes;
    return rc;
}

/* A new file `tmp` with the profile in it; tried again smaller while it is over the file size limit. */
static int write_temporary(const char *tmp, const char *name, bool owner_only, struct sp_profile *p)
{
    uint64_t limit = sp_os_limit_file_size();
    p->most_bytes = limit;
    for (int attempt = 0;; attempt++) {
        int fd = sp_os_create(tmp, owner_only);
        if (fd < 0)
            return fd;
        int rc = write_to(fd, p, name, limit);
        if (rc == 0 && !sp_store_ready(p->region))
            rc = -EIO; /* its memory went away meanwhile: a spool that was cut off */
        int close_rc = sp_os_close(fd);
        if (rc == 0)
            rc = close_rc;
        if (rc == 0)
            return 0;
        sp_os_unlink(tmp);
        if (rc != -EFBIG || attempt == 12) /* the names alone may take much of it */
            return rc;
        p->most_bytes /= 2;
    }
}

static int copy_in_place(const char *tmp, const char *path)
{
    int from = sp_os_open_read(tmp), to = sp_os_open_in_place(path);
    int rc = from < 0 ? from : to < 0 ? to : 0;
    char chunk[4096];
    for (long n; rc == 0 && (n = sp_os_read(from, chunk, sizeof chunk)) != 0;)
        rc = n < 0 ? (int)n : sp_os_write_all(to, chunk, (size_t)n);
    if (from >= 0)
        sp_os_close(from);
    if (to >= 0)
        sp_os_close(to);
    sp_os_unlink(tmp);
    return rc;
}

/* Puts tmp in the place of an older profile. If another process replaced that meanwhile, its profile gets
 * tmp's old name back and -EEXIST says so: the caller gives it a numbered name. */
static int replace(const struct sp_output *o, const char *tmp, const char *path)
{
    struct sp_os_stat before, displaced;
    sp_os_stat(path, false, &before);
    int rc = sp_os_rename_exchange(tmp, path);
    if (rc == -EBUSY || rc == -EXDEV) /* a bind-mounted file has no other name */
        return copy_in_place(tmp, path);
    if (rc == -EINVAL || rc == -ENOSYS)
        return sp_os_rename(tmp, path);
    if (rc != 0)
        return rc;
    bool same = sp_os_stat(tmp, false, &displaced) == 0 && displaced.inode == before.inode;
    if (same && (displaced.mtime_ns < o->run_started_ns || displaced.size == 0 || displaced.inode == o->written_inode)) {
        sp_os_unlink(tmp);
        return 0;
    }
    sp_os_rename_exchange(tmp, path);
    return -EEXIST;
}

/* Pods that share a volume may all be process 1. */
static void temporary_name(char *tmp, const char *path, const struct sp_name_values *v)
{
    struct sp_buf b = sp_buf_at(tmp, SP_PATH_BYTES);
    sp_buf_str(&b, path);
    b.len -= b.len > SP_PATH_BYTES - 48 ? 48 : 0;
    sp_buf_str(&b, ".tmp-");
    sp_buf_u64(&b, v->pid);
    sp_buf_char(&b, '-');
    sp_buf_u64(&b, v->started_wall_ns);
}

struct series {
    struct sp_output_naming n;
    struct sp_name_values *v; /* number: whose turn it is */
    char *path, *tmp;         /* its name; the profile until it has a name, "": it is not written yet */
};

static void remember(struct sp_output *o, const struct series *s)
{
    struct sp_os_stat st;
    memmove(o->written, s->path, strlen(s->path) + 1);
    o->written_inode = sp_os_stat(s->path, true, &st) == 0 ? st.inode : 0;
    o->written_device = st.device;
    o->written_number = s->v->number;
    o->written_with_pid = s->n.with_pid;
}

void sp_output_go_on(struct sp_output *o)
{
    o->skipped_ns = 0;
    if (!o->written_inode) /* it was not written */
        return;
    bool is_timed = sp_name_has_field(o->out, 't') && !sp_name_has_field(o->out, 'n');
    o->number = is_timed ? 1 : o->written_number + 1;
    o->with_pid = o->written_with_pid;
    o->written_inode = 0;
}

static bool candidate(const struct sp_output_naming *n, const struct sp_name_values *v, char *path)
{
    return n->out[0] ? sp_name_expand(path, n->out, n->with_pid, v) : sp_name_default(path, n->directory, v);
}

/* A run has so many files and no more. A place is kept for the first process, whose profile comes last as a rule; of several that
 * are first, the steps of a script, each counts what was there when it began, until it has a file of its own. */
static bool is_one_too_many(const struct sp_output *o, struct sp_file_count *c)
{
    if (!o->most_files || o->written_inode)
        return false;
    c->from_ns = o->run_started_ns;
    c->until_ns = o->is_owner && !o->number ? c->values->started_wall_ns : UINT64_MAX;
    c->most = (o->is_owner ? o->most_files : o->most_files - 1) + o->replaces_oldest;
    return sp_file_limit_is_reached(c);
}

static void leave_line(struct sp_output *o, const struct sp_profile *p, const struct sp_file_count *c, bool fallback)
{
    static char name[SP_PATH_BYTES];
    struct sp_file_line line = {
        .pid = p->region->pid,
        .argv = p->region->argv,
        .cpu_ns = p->process_cpu_ns - sp_min_u64(p->process_cpu_ns, o->skipped_ns),
        .run_started_ns = o->run_started_ns,
        .owner_only = fallback || is_shared(c->path),
    };
    if (!p->complete) /* it goes on */
        return;
    bool is_news = o->failed_with != SP_OUTPUT_SKIPPED;
    int rc = sp_file_limit_name(name, c) ? sp_file_limit_add_line(name, &line) : -ENAMETOOLONG;
    if (rc == 0)
        o->skipped_ns = p->process_cpu_ns;
    if (is_news)
        sp_diag_join("no profile; the run has as many files as SPPROF_FILES allows; ",
                     rc ? "no line can be appended to " : "a line is in ", name, NULL, NULL);
}

/* Somebody's file of this run has the plain name. */
static bool is_of_this_run(const struct sp_output *o, const char *path)
{
    struct sp_os_stat st;
    return sp_os_stat(path, true, &st) == 0 && st.mtime_ns >= o->run_started_ns && is_ours(path);
}

/* What follows in the series: a literal name is taken, and must stay. Two files of a run are told apart by pid first, all else by
 * number. */
static void go_on(const struct sp_output *o, struct series *s)
{
    bool is_plain = !s->n.with_pid && s->n.out[0] && s->v->number == 1 && sp_name_kind_of(s->n.out) == SP_NAME_LITERAL;
    if (is_plain && (s->n.fallback || is_of_this_run(o, s->path))) {
        s->n.with_pid = true;
        return;
    }
    if (is_plain)
        sp_diag_join(s->path, " exists and is no profile of an earlier run; it stays, a numbered name is used", NULL, NULL,
                     NULL);
    s->v->number++;
}

/* The profile under a temporary name beside the first name that may be had: it is written once, and renamed. */
static int write_beside(const struct series *s, struct sp_profile *p)
{
    bool owner_only = s->n.fallback || is_shared(s->path);
    temporary_name(s->tmp, s->path, s->v);
    int rc = write_temporary(s->tmp, s->path, owner_only, p);
    if (rc != -EEXIST)
        return rc;
    sp_os_unlink(s->tmp); /* left by an earlier process of this pid that was killed */
    return write_temporary(s->tmp, s->path, owner_only, p);
}

/* One name of the series. -EEXIST: it cannot be had, the next may. */
static int publish_as(struct sp_output *o, struct sp_profile *p, struct series *s)
{
    if (!candidate(&s->n, s->v, s->path))
        return -ENAMETOOLONG;
    if (!s->n.fallback) /* where nobody asked for it everything stays as it is */
        follow_links(s->path);
    enum verdict verdict = judge(o, s->path, s->n.may_replace);
    if (verdict == REFUSE && !s->n.fallback)
        return -EPERM;
    if (verdict == NEXT_NUMBER || verdict == REFUSE) {
        go_on(o, s);
        return -EEXIST;
    }
    int rc = s->tmp[0] ? 0 : write_beside(s, p);
    if (rc != 0) {
        s->tmp[0] = '\0'; /* it is gone */
        return rc == -EEXIST ? -EIO : rc;
    }
    rc = verdict == TAKE_NEW ? sp_os_rename_new(s->tmp, s->path) : replace(o, s->tmp, s->path);
    s->v->number += rc == -EEXIST; /* somebody was faster */
    return rc;
}

static int publish_in(struct sp_output *o, struct sp_profile *p, struct sp_output_naming n, struct sp_name_values *v,
                      char *path)
{
    static char tmp[SP_PATH_BYTES];
    tmp[0] = '\0';
    n.with_pid |= o->with_pid && n.out[0];
    struct series s = {.n = n, .v = v, .path = path, .tmp = tmp};
    struct sp_file_count count = {.out = n.out, .path = path, .values = v};
    v->number = o->number ? o->number : 1;
    if (candidate(&n, v, path) && is_one_too_many(o, &count)) {
        leave_line(o, p, &count, n.fallback);
        return SP_OUTPUT_SKIPPED;
    }
    int rc = -EEXIST;
    for (uint32_t last = v->number + MOST_NUMBERS; rc == -EEXIST && v->number < last;)
        rc = publish_as(o, p, &s);
    if (rc != 0 && tmp[0])
        sp_os_unlink(tmp);
    if (rc == 0)
        remember(o, &s);
    return rc;
}

/* In another directory the name is that which was asked for, unless it was refused for what it is: it tells the format. */
static bool named_elsewhere(const struct sp_output *o, const struct sp_output_naming *n, char *out)
{
    const char *slash = strrchr(o->out, '/');
    struct sp_buf b = sp_buf_at(out, SP_PATH_BYTES);
    for (const char *at = n->directory; *at; at++)
        sp_buf_str(&b, *at == '%' ? "%%" : (char[]){*at, '\0'});
    sp_buf_str(&b, slash ? slash : "");
    return n->fallback && slash && slash[1] && o->failed_with != -EPERM && !b.cut;
}

int sp_output_publish(struct sp_output *o, struct sp_profile *p, struct sp_output_naming n, struct sp_name_values *v,
                      char *path)
{
    static char out[SP_PATH_BYTES];
    struct sp_output_naming named = n;
    named.out = out;
    int rc = -ENOENT;
    if (named_elsewhere(o, &n, out)) {
        named.with_pid = !o->is_owner && !sp_name_is_unique(out);
        rc = publish_in(o, p, named, v, path);
    }
    return rc < 0 && rc != -ENOMEM ? publish_in(o, p, n, v, path) : rc;
}
