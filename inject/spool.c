/* SPDX-License-Identifier: MIT
 * See spool.h. The scratch area, which holds nothing that lasts, stays private memory. */
#include "inject/spool.h"

#include <errno.h>
#include <signal.h>

#include "compat/buf.h"
#include "compat/diag.h"
#include "compat/os.h"
#include "inject/dead_spools.h"
#include "inject/output_name.h"
#include "inject/session.h"
#include "sampler/handler.h"

#define MOST_NAMES 100u
#define FORKS 16u /* between two looks for files of children that were killed */

/* Threads: at the start, by who closed the gate, by who ends the recording, and by a fork child while it is alone. */
static char directory[SP_PATH_BYTES]; /* "": no spool is wanted, or none could be made */
static char path[SP_PATH_BYTES];
static char *mapped; /* the region's part that is the file */
static uint64_t mapped_bytes;
static const char *cut;        /* it, once somebody cut the file off. Threads: any, by compare-and-swap */
static struct sp_os_stat file; /* at path: after a chroot() the name may be that of another process's file */

const char *sp_spool_path(void)
{
    return path;
}

void sp_spool_init(const char *name)
{
    static char cwd[SP_PATH_BYTES];
    SP_BUF(b, directory);
    if (name[0] != '/' && sp_os_cwd(cwd, sizeof cwd) == 0) {
        sp_buf_str(&b, cwd);
        sp_buf_char(&b, '/');
    }
    sp_buf_str(&b, name);
}

void sp_spool_tidy(void)
{
    if (directory[0])
        sp_dead_spools_remove(directory, SP_DEAD_SPOOLS_MOST);
}

void sp_spool_forked(void)
{
    static uint32_t n_forks;
    if (path[0] && sp_add_relaxed(&n_forks, 1) % FORKS == FORKS - 1)
        sp_dead_spools_remove(directory, SP_DEAD_SPOOLS_MOST - FORKS);
}

bool sp_spool_is_wanted(void)
{
    return directory[0] && !path[0];
}

SP_SIGSAFE static bool name_file(const struct sp_region *r, uint32_t number)
{
    struct sp_buf b = sp_buf_at(path, sizeof path);
    sp_buf_str(&b, directory);
    sp_buf_str(&b, "/spprof-");
    sp_buf_u64(&b, r->pid);
    if (number > 1) {
        sp_buf_char(&b, '-');
        sp_buf_u64(&b, number);
    }
    sp_buf_str(&b, ".spool");
    return !b.cut;
}

/* A spool file of a process that is gone has its name for ever: a later process of that pid takes the next. */
SP_SIGSAFE static int create(const struct sp_region *r)
{
    int fd = -EEXIST;
    for (uint32_t n = 1; n <= MOST_NAMES && fd == -EEXIST; n++) {
        if (!name_file(r, n))
            return -ENAMETOOLONG;
        fd = sp_os_create_spool(path);
    }
    return fd;
}

SP_SIGSAFE static int fill_and_map(int fd, struct sp_region *r, uint64_t bytes)
{
    /* Without blocks of its own a page that is touched on a full disk is a SIGBUS. They are reserved for what there
     * is, and later with each step; where the kernel cannot do that, for the whole at once. */
    bool grows = sp_os_populate(r, 1) == 0;
    uint64_t used = sp_min_u64(sp_load_relaxed(&r->next), bytes);
    uint64_t backed = grows ? sp_min_u64(sp_store_step_up(used), bytes) : bytes;
    int rc = sp_os_set_size(fd, backed, true);
    if (rc == 0 && grows)
        rc = sp_os_set_size(fd, bytes, false);
    if (rc == 0)
        rc = sp_os_write_all(fd, r, used);
    if (rc == 0)
        rc = sp_os_stat_fd(fd, &file);
    if (rc == 0) {
        cut = NULL;
        mapped = (char *)r;
        mapped_bytes = bytes;
        rc = sp_os_map_file(fd, r, bytes);
    }
    if (rc == 0) {
        r->backed = backed;
        r->in_file = 1;
    } else {
        mapped_bytes = 0;
    }
    return rc;
}

SP_SIGSAFE static const char *reason(int rc)
{
    switch (-rc) {
    case ENOENT: return "no such file or directory";
    case ENOTDIR: return "not a directory";
    case EACCES:
    case EPERM: return "permission denied";
    case EROFS: return "read-only file system";
    case ENOSPC:
    case EDQUOT: return "no space left";
    case EFBIG: return "SPPROF_MEMORY is over the file size limit";
    case EOPNOTSUPP: return "its file system cannot reserve space";
    case EMFILE:
    case ENFILE: return "too many open files";
    case ENOMEM: return "no memory";
    default: return "the system refuses it";
    }
}

void sp_spool_enter(struct sp_region *r, uint64_t bytes)
{
    /* Beyond RLIMIT_FSIZE the kernel sends SIGXFSZ, which kills. SIGPROF: nothing may change the region meanwhile. */
    uint64_t xfsz = SP_OS_MASK(SIGXFSZ), old = sp_os_mask_block(xfsz | SP_OS_MASK(SIGPROF));
    uint64_t in_file = bytes - r->scratch_bytes, was_pending = sp_os_pending() & xfsz;
    r->pid_namespace = sp_os_pid_namespace();
    sp_os_boot_id(r->boot);
    int fd = create(r);
    int rc = fd < 0 ? fd : fill_and_map(fd, r, in_file);
    if (fd >= 0)
        sp_os_close(fd);
    if (rc != 0) {
        sp_diag_join("SPPROF_SPOOL=", directory, " cannot be used; ", reason(rc),
                     "; the profile is kept in memory and lost if the process is killed");
        if (fd >= 0)
            sp_os_unlink(path);
        path[0] = directory[0] = '\0';
    }
    siginfo_t info;
    if (!was_pending)
        sp_os_take_pending(xfsz, &info);
    sp_os_mask_set(old);
}

/* In another root the name may be another's file. */
SP_SIGSAFE static int remove_own(void)
{
    struct sp_os_stat now;
    int rc = sp_os_stat(path, false, &now);
    return rc != 0 || now.inode != file.inode || now.device != file.device ? rc : sp_os_unlink(path);
}

void sp_spool_leave(void)
{
    int rc = path[0] ? remove_own() : 0;
    if (rc != 0 && rc != -ENOENT)
        sp_diag_join(path, " could not be removed; ", reason(rc), "; its profile is written and it can be deleted", "");
    path[0] = '\0';
}

bool sp_spool_is_cut(const void *address)
{
    const char *at = address, *uncut = NULL;
    if (at < mapped || at >= mapped + mapped_bytes)
        return false;
    if (!sp_cas(&cut, &uncut, mapped))
        return true; /* another thread saw to it, or does: this one tries again */
    /* Who is inside goes on in zeroes, where all is full and there is nothing; nobody else comes. */
    sp_store_release(&sp_session.state, SP_SESSION_OFF);
    if (!sp_os_replace(mapped, mapped_bytes))
        return false;
    sp_diag_join("somebody cut off ", path[0] ? path : "a spool file",
                 "; the profile so far is lost, and this process runs unprofiled from here on", NULL, NULL);
    sp_spool_leave();
    return true;
}

bool sp_spool_is_shared(void)
{
    return path[0] || mapped_bytes;
}

void sp_spool_closed(void)
{
    mapped_bytes = 0;
}

void sp_spool_abandon(void)
{
    path[0] = '\0';
    mapped_bytes = 0;
}

bool sp_spool_forget(struct sp_region *r, uint64_t bytes, bool *wipes)
{
    sp_spool_abandon();
    return sp_os_reserve_at(r, bytes, wipes);
}
