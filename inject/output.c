/* SPDX-License-Identifier: MIT
 * See output.h. What was asked for, then the default name, then other directories. */
#include "inject/output.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "compat/buf.h"
#include "compat/diag.h"
#include "compat/os.h"
#include "inject/environment.h"

static bool is_writable_directory(const char *path)
{
    struct sp_os_stat st;
    return sp_os_stat(path, true, &st) == 0 && st.kind == SP_OS_DIRECTORY && sp_os_can_write(path);
}

static bool fallback_directory(const struct sp_output *o, int attempt, char *directory)
{
    struct sp_buf b = sp_buf_at(directory, SP_PATH_BYTES);
    const char *tmp = sp_environment_value(o->environment, "TMPDIR");
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

static void check_format(const char *out)
{
    char known[128];
    SP_BUF(b, known);
    if (!sp_writer_is_unknown(out) || strchr(out + strlen(out) - sp_writer_suffix_bytes(out), '%'))
        return;
    for (size_t i = 0; sp_writer_at(i); i++)
        for (const char *const *s = sp_writer_at(i)->suffixes; *s; s++) {
            sp_buf_str(&b, b.len ? " " : "");
            sp_buf_str(&b, *s);
        }
    sp_diag_join("SPPROF_OUT=", out, " has a suffix of no format; it is written as Speedscope's; suffixes are ", known, NULL);
}

static void check_place(const struct sp_output *o)
{
    static char directory[SP_PATH_BYTES];
    if (o->out[0] && sp_name_kind_of(o->out) == SP_NAME_PATTERN)
        return; /* its directory may hold fields */
    struct sp_os_stat st;
    if (o->out[0] && sp_os_stat(o->out, true, &st) == 0 && st.kind != SP_OS_REGULAR)
        return; /* refused for what it is, when the profile is written */
    if (o->out[0])
        sp_name_parent(directory, o->out);
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
    const char *value = sp_environment_value(environment, name);
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

void sp_output_init(struct sp_output *o, const char *out, uint64_t format, char *const *environment)
{
    keep_environment(o, out, environment);
    sp_writer_force(format ? sp_writer_at(format - 1) : NULL);
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
    if (o->out[0] && !format)
        check_format(out);
    check_place(o);
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
    case EPERM:
        return "it is a directory, device, FIFO, socket, descriptor, or somebody else's link; or a filter of system calls "
               "forbids it";
    case EISDIR: return "it is a directory";
    case ENOMEM: return "the writer's memory is too small";
    case EEXIST: return "all numbered names are taken";
    default: return "input/output error";
    }
}

struct refused {
    const char *path;
    int rc;
    bool is_news;
};

static int write_elsewhere(struct sp_output *o, struct sp_profile *p, struct sp_name_values *v, struct refused r)
{
    static char place[SP_PATH_BYTES], path[SP_PATH_BYTES];
    int rc = r.rc;
    for (int i = 0; rc < 0 && rc != -ENOMEM && fallback_directory(o, i, place); i++) {
        struct sp_output_naming n = {.out = "", .directory = place, .fallback = true};
        rc = sp_output_publish(o, p, n, v, path);
        if (rc == 0 && r.is_news)
            sp_diag_join(r.path, " could not be written (", error_text(r.rc), "); the profile is in ", o->written);
    }
    if (rc < 0 && r.is_news)
        sp_diag_join("the profile could not be written to ", r.path, "; ", error_text(rc),
                     o->spool && o->spool[0] ? "; it is in the spool file, for spprof recover" : "; it is lost");
    return rc;
}

static int write_somewhere(struct sp_output *o, struct sp_profile *p)
{
    static char path[SP_PATH_BYTES];
    struct sp_name_values v = {
        .pid = p->region->pid,
        .started_wall_ns = p->region->started_wall_ns,
        .host = o->host,
        .script = o->script,
        .environment = o->environment,
    };
    bool pattern = sp_name_kind_of(o->out) == SP_NAME_PATTERN;
    struct sp_output_naming n = {
        .out = o->out,
        .directory = o->directory,
        .with_pid = o->out[0] && !o->is_owner && !(pattern && sp_name_is_unique(o->out)),
        .may_replace = o->out[0] != '\0',
    };
    int rc = sp_output_publish(o, p, n, &v, path);
    bool is_news = rc != o->failed_with;
    o->failed_with = rc;
    if (rc == -EPERM) {
        if (is_news)
            sp_diag_join(path, " is not written to; ", error_text(rc), "; the default name is used", NULL);
        n = (struct sp_output_naming){.out = "", .directory = o->directory};
        rc = sp_output_publish(o, p, n, &v, path);
    }
    return rc < 0 ? write_elsewhere(o, p, &v, (struct refused){path, rc, is_news}) : rc;
}

int sp_output_write(struct sp_output *o, struct sp_profile *p)
{
    /* Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, which kills. */
    uint64_t xfsz = SP_OS_MASK(SIGXFSZ), old = sp_os_mask_block(xfsz), was_pending = sp_os_pending() & xfsz;
    int rc = write_somewhere(o, p);
    o->is_written = rc == 0;
    siginfo_t info;
    if (!was_pending)
        sp_os_take_pending(xfsz, &info);
    sp_os_mask_set(old);
    return rc;
}
