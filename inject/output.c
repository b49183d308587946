/* SPDX-License-Identifier: MIT
 * See output.h. A profile is written beside its name and then given the name: link() semantics where nothing may
 * be replaced, an exchange where an older profile may, so that two writers at once lose nothing. */
#include "inject/output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "compat/buf.h"
#include "compat/diag.h"
#include "compat/os.h"
#include "inject/file_limit.h"

#define MOST_NUMBERS 10000u
#define MOST_LINKS 8
#define BUFFER_BYTES 65536u
#define SKIPPED 1

static void parent_of(char *directory, const char *path)
{
    struct sp_buf b = sp_buf_at(directory, SP_PATH_BYTES);
    const char *slash = strrchr(path, '/');
    if (slash == path)
        sp_buf_char(&b, '/');
    else if (slash)
        sp_buf_mem(&b, path, (size_t)(slash - path));
    else
        sp_buf_char(&b, '.');
}

static bool is_writable_directory(const char *path)
{
    struct sp_os_stat st;
    return sp_os_stat(path, true, &st) == 0 && st.kind == SP_OS_DIRECTORY && sp_os_can_write(path);
}

static bool fallback_directory(const struct sp_output *o, int attempt, char *directory)
{
    struct sp_buf b = sp_buf_at(directory, SP_PATH_BYTES);
    const char *tmp = sp_config_env(o->environment, "TMPDIR");
    sp_buf_str(&b, attempt == 0 && tmp && *tmp == '/' ? tmp : "/tmp");
    return attempt < 2;
}

/* ---- start */
static void check_fields(const char *out)
{
    const char *field = sp_name_unknown_field(out);
    char shown[8];
    SP_BUF(b, shown);
    if (!field)
        return;
    for (size_t i = 0; i < 2 && field[i]; i++)
        sp_buf_char(&b, (unsigned char)field[i] < 0x20 || (unsigned char)field[i] >= 0x7f ? '?' : field[i]);
    sp_diag_join("SPPROF_OUT=", out, " has ", shown,
                 ", which is no field and stays as it is; "
                 "fields are %p %h %t %e %n %{VAR}, and %% is a percent sign");
}

static void check_place(const struct sp_output *o)
{
    static char directory[SP_PATH_BYTES];
    if (o->out[0] && sp_name_kind_of(o->out) == SP_NAME_PATTERN)
        return; /* its directory may hold fields */
    if (o->out[0])
        parent_of(directory, o->out);
    const char *place = o->out[0] ? directory : o->directory[0] ? o->directory : "/";
    if (is_writable_directory(place))
        return;
    static char other[SP_PATH_BYTES];
    for (int i = 0; fallback_directory(o, i, other); i++)
        if (is_writable_directory(other)) {
            sp_diag_join("directory ", place, " cannot be written to; the profile will go to ", other, NULL);
            return;
        }
    sp_diag_join("directory ", place, " cannot be written to, nor can /tmp; there will be no profile", NULL, NULL);
}

/* Programs write over their environment (setproctitle), or change it: the values of the start count. */
static void keep_variable(struct sp_output *o, struct sp_buf *b, size_t *n, const char *name, char *const *environment)
{
    const char *value = sp_config_env(environment, name);
    if (!value || *n == SP_OUTPUT_VARIABLES || b->len + 1 >= b->cap)
        return;
    o->environment[(*n)++] = b->data + b->len;
    sp_buf_str(b, name);
    sp_buf_char(b, '=');
    sp_buf_mem(b, value, strnlen(value, SP_PATH_BYTES)); /* longer fits in no name */
    b->len += b->len + 1 < b->cap;                       /* behind its NUL */
}

static void keep_environment(struct sp_output *o, const char *out, char *const *environment)
{
    SP_BUF(b, o->variables);
    size_t n = 0;
    char name[SP_NAME_VARIABLE_BYTES];
    keep_variable(o, &b, &n, "TMPDIR", environment);
    for (const char *at = out; (at = sp_name_next_variable(at, name));)
        keep_variable(o, &b, &n, name, environment);
    o->environment[n] = NULL;
}

void sp_output_init(struct sp_output *o, const char *out, char *const *environment)
{
    keep_environment(o, out, environment);
    static char cwd[SP_PATH_BYTES];
    struct sp_os_stat st;
    const char *base = sp_os_cwd(cwd, sizeof cwd) != 0 ? "." : cwd[1] ? cwd : "";
    struct sp_buf dir = sp_buf_at(o->directory, sizeof o->directory), b = sp_buf_at(o->out, sizeof o->out);
    sp_buf_str(&dir, base);
    if (*out) {
        if (*out != '/') {
            sp_buf_str(&b, base);
            sp_buf_char(&b, '/');
        }
        sp_buf_str(&b, out);
        check_fields(out);
        bool is_directory = b.data[b.len - 1] == '/' || (sp_name_kind_of(out) != SP_NAME_PATTERN &&
                                                         sp_os_stat(o->out, true, &st) == 0 && st.kind == SP_OS_DIRECTORY);
        if (is_directory) {
            while (b.len > 1 && o->out[b.len - 1] == '/')
                o->out[--b.len] = '\0';
            memcpy(o->directory, o->out, b.len + 1);
            if (strcmp(o->directory, "/") == 0)
                o->directory[0] = '\0';
            o->out[0] = '\0';
        }
    }
    check_place(o);
}

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
    parent_of(directory, path);
    return sp_os_stat(directory, true, &st) == 0 && (st.mode & 01000);
}

/* A symlink of somebody else in a directory where everybody may put one. */
static bool is_planted(const char *path, const struct sp_os_stat *link)
{
    return link->kind == SP_OS_SYMLINK && link->uid != sp_os_euid() && is_shared(path);
}

/* What /dev/fd/N and the like lead to is a descriptor, not a name: only the proc file system has such links. */
static bool is_of_descriptor(const struct sp_os_stat *link)
{
    struct sp_os_stat proc;
    return sp_os_stat("/proc/self/fd", true, &proc) == 0 && proc.device == link->device;
}

/* Where a link leads there the profile goes, and the link stays: `path` becomes the name of what is no link. Not by
 * somebody else's link, nor to what a descriptor is open for (/dev/stdout): those stay as they are, and are refused. */
static void follow_links(char *path)
{
    static char target[SP_PATH_BYTES], next[SP_PATH_BYTES];
    struct sp_os_stat st;
    for (int hops = 0; hops < MOST_LINKS; hops++) {
        if (sp_os_stat(path, false, &st) != 0 || st.kind != SP_OS_SYMLINK || is_planted(path, &st) || is_of_descriptor(&st) ||
            sp_os_read_link(path, target, sizeof target) != 0 || strncmp(target, "/proc/", 6) == 0)
            return;
        SP_BUF(b, next);
        if (target[0] != '/') {
            parent_of(next, path);
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
    int rc = sp_writer_for(name)->write(p, &out);
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

static void remember(struct sp_output *o, const char *path)
{
    struct sp_os_stat st;
    memmove(o->written, path, strlen(path) + 1);
    o->written_inode = sp_os_stat(path, true, &st) == 0 ? st.inode : 0;
    o->written_device = st.device;
}

struct naming {
    const char *out; /* "": default name */
    const char *directory;
    bool with_pid, may_replace;
    bool fallback; /* a directory that nobody asked for */
};

static bool candidate(const struct naming *n, const struct sp_name_values *v, char *path)
{
    return n->out[0] ? sp_name_expand(path, n->out, n->with_pid, v) : sp_name_default(path, n->directory, v);
}

/* A run has so many files and no more. A place is kept for the first process, whose profile comes last as a rule; of several that
 * are first, the steps of a script, each counts what was there when it began. */
static bool is_one_too_many(const struct sp_output *o, struct sp_file_count *c)
{
    if (!o->most_files || o->written_inode)
        return false;
    c->from_ns = o->run_started_ns;
    c->until_ns = o->is_owner ? c->values->started_wall_ns : UINT64_MAX;
    c->most = o->is_owner ? o->most_files : o->most_files - 1;
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
    int rc = sp_file_limit_name(name, c) ? sp_file_limit_add_line(name, &line) : -ENAMETOOLONG;
    if (rc == 0)
        o->skipped_ns = p->process_cpu_ns;
    sp_diag_join("no profile; the run has as many files as SPPROF_FILES allows; ",
                 rc ? "no line can be appended to " : "a line is in ", name, NULL, NULL);
}

/* The first name of the series that can be had. SKIPPED: the run has enough of them. -EPERM: refused for what it is. */
static int publish_series(struct sp_output *o, struct sp_profile *p, struct naming n, struct sp_name_values *v, char *path)
{
    static char tmp[SP_PATH_BYTES];
    tmp[0] = '\0';
    int rc = -EEXIST;
    struct sp_file_count count = {.out = n.out, .path = path, .values = v};
    v->number = 1;
    if (candidate(&n, v, path) && is_one_too_many(o, &count)) {
        leave_line(o, p, &count, n.fallback);
        return SKIPPED;
    }
    for (v->number = 1; v->number <= MOST_NUMBERS && rc == -EEXIST; v->number++) {
        if (!candidate(&n, v, path)) {
            rc = -ENAMETOOLONG;
            break;
        }
        follow_links(path);
        enum verdict verdict = judge(o, path, n.may_replace);
        if (verdict == NEXT_NUMBER && !n.with_pid && n.out[0] && v->number == 1 && sp_name_kind_of(n.out) == SP_NAME_LITERAL) {
            /* Somebody's file of this run has the plain name: tell the two apart by pid first. */
            struct sp_os_stat st;
            if (sp_os_stat(path, true, &st) == 0 && st.mtime_ns >= o->run_started_ns && is_ours(path)) {
                n.with_pid = true;
                v->number = 0;
                continue;
            }
            sp_diag_join(path, " exists and is no profile of an earlier run; it stays, a numbered name is used", NULL, NULL,
                         NULL);
        }
        if (verdict == NEXT_NUMBER)
            continue;
        if (verdict == REFUSE) {
            rc = -EPERM;
            break;
        }
        if (!tmp[0]) {
            bool owner_only = n.fallback || is_shared(path);
            temporary_name(tmp, path, v);
            rc = write_temporary(tmp, path, owner_only, p);
            if (rc == -EEXIST) { /* left by an earlier process of this pid that was killed */
                sp_os_unlink(tmp);
                rc = write_temporary(tmp, path, owner_only, p);
            }
            if (rc != 0)
                return rc;
        }
        rc = verdict == TAKE_NEW ? sp_os_rename_new(tmp, path) : replace(o, tmp, path);
    }
    if (rc != 0 && tmp[0])
        sp_os_unlink(tmp);
    if (rc == 0)
        remember(o, path);
    return rc;
}

static const char *error_text(int rc)
{
    switch (-rc) {
    case EACCES: return "permission denied";
    case ENOENT: return "no such file or directory";
    case ENOTDIR: return "not a directory";
    case ENOSPC: return "no space left";
    case EDQUOT: return "over quota";
    case EROFS: return "read-only file system";
    case EFBIG: return "over the file size limit";
    case EMFILE:
    case ENFILE: return "too many open files";
    case ENAMETOOLONG: return "the name is too long";
    case EPERM: return "it is a directory, device, FIFO, socket, descriptor, or somebody else's link";
    case EISDIR: return "it is a directory";
    case ENOMEM: return "the writer's memory is too small";
    case EEXIST: return "all numbered names are taken";
    default: return "input/output error";
    }
}

static int write_somewhere(struct sp_output *o, struct sp_profile *p)
{
    static char path[SP_PATH_BYTES], place[SP_PATH_BYTES];
    struct sp_name_values v = {
        .pid = p->region->pid,
        .started_wall_ns = p->region->started_wall_ns,
        .host = o->host,
        .script = o->script,
        .environment = o->environment,
    };
    bool pattern = sp_name_kind_of(o->out) == SP_NAME_PATTERN;
    struct naming n = {
        .out = o->out,
        .directory = o->directory,
        .with_pid = o->out[0] && !o->is_owner && !(pattern && sp_name_is_unique(o->out)),
        .may_replace = o->out[0] != '\0',
    };
    int rc = publish_series(o, p, n, &v, path);
    if (rc == -EPERM) {
        sp_diag_join(path, " is not written to; ", error_text(rc), "; the default name is used", NULL);
        n = (struct naming){.out = "", .directory = o->directory};
        rc = publish_series(o, p, n, &v, path);
    }
    for (int i = 0; rc < 0 && rc != -ENOMEM && fallback_directory(o, i, place); i++) {
        int first = rc;
        n = (struct naming){.out = "", .directory = place, .fallback = true};
        rc = publish_series(o, p, n, &v, o->written);
        if (rc == 0)
            sp_diag_join(path, " could not be written (", error_text(first), "); the profile is in ", o->written);
    }
    if (rc < 0)
        sp_diag_join("the profile could not be written to ", path, "; ", error_text(rc),
                     o->spool && o->spool[0] ? "; it is in the spool file, for spprof recover" : "; it is lost");
    return rc;
}

int sp_output_write(struct sp_output *o, struct sp_profile *p)
{
    /* Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, which kills. */
    uint64_t xfsz = SP_OS_MASK(SIGXFSZ), old = sp_os_mask_block(xfsz);
    int rc = write_somewhere(o, p);
    siginfo_t info;
    if (!(old & xfsz))
        sp_os_take_pending(xfsz, &info);
    sp_os_mask_set(old);
    return rc;
}
