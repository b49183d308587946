/* SPDX-License-Identifier: MIT
 * See dead_spools.h. Several processes may do this at once: who removes a file holds its lock, and nobody else does who comes
 * here. While that is so the name cannot come to mean a later process's file. */
#include "inject/dead_spools.h"

#include <errno.h>
#include <string.h>

#include "compat/buf.h"
#include "compat/diag.h"
#include "compat/os.h"
#include "inject/output_name.h"
#include "sampler/region.h"

#define MOST_AT_ONCE 128u
#define MOST_NS (SP_NS_PER_S / 10)

struct dead {
    uint64_t mtime_ns;
    uint32_t pid, number; /* of its name */
};

/* Threads: who made busy 1 has the rest. */
static int busy;
static const char *directory;
static uint64_t until_ns;
static uint32_t n_names, n_dead, n_oldest;
static struct dead oldest[MOST_AT_ONCE]; /* the oldest first */

/* A number as we write it: no zero in front. NULL: there is none. */
static const char *parse(const char *s, uint32_t *v)
{
    uint64_t n = 0;
    const char *p = s;
    for (; *p >= '0' && *p <= '9' && n < 1u << 31; p++)
        n = n * 10 + (uint64_t)(*p - '0');
    *v = (uint32_t)n;
    return p == s || *s == '0' || n >= 1u << 31 ? NULL : p;
}

static bool parse_name(const char *name, struct dead *d)
{
    d->number = 1;
    if (strncmp(name, "spprof-", 7) != 0)
        return false;
    const char *p = parse(name + 7, &d->pid);
    if (p && *p == '-') {
        p = parse(p + 1, &d->number);
        if (d->number == 1)
            return false;
    }
    return p && strcmp(p, ".spool") == 0;
}

static const char *path_of(const struct dead *d)
{
    static char path[SP_PATH_BYTES];
    SP_BUF(b, path);
    sp_buf_str(&b, directory);
    sp_buf_str(&b, "/spprof-");
    sp_buf_u64(&b, d->pid);
    if (d->number > 1) {
        sp_buf_char(&b, '-');
        sp_buf_u64(&b, d->number);
    }
    sp_buf_str(&b, ".spool");
    return path;
}

/* Where the file system does not tell who has a file: pids say something only under the kernel and in the namespace that they
 * were given in. One that was given again is not looked into. */
static bool process_is_gone(const struct sp_region *head)
{
    char boot[sizeof head->boot];
    sp_os_boot_id(boot);
    return head->layout == SP_REGION_LAYOUT && boot[0] && memcmp(boot, head->boot, sizeof boot) == 0 && head->pid_namespace &&
           head->pid_namespace == sp_os_pid_namespace() && sp_os_kill((int)head->pid, 0) == -ESRCH;
}

static bool is_dead(int fd)
{
    static struct sp_region head;
    if (sp_os_read(fd, &head, sizeof head) != (long)sizeof head || head.magic != SP_REGION_MAGIC)
        return false;
    int has = sp_os_has_writer(fd);
    return has < 0 ? process_is_gone(&head) : has == 0;
}

/* A descriptor for a file of this user that no process has; -1: it is none. */
static int open_dead(const char *path, struct sp_os_stat *st)
{
    struct sp_os_stat opened;
    if (sp_os_stat(path, false, st) != 0 || st->kind != SP_OS_REGULAR || st->uid != sp_os_euid())
        return -1;
    int fd = sp_os_open_read(path);
    if (fd < 0)
        return -1;
    if (sp_os_stat_fd(fd, &opened) == 0 && opened.inode == st->inode && opened.device == st->device && is_dead(fd))
        return fd;
    sp_os_close(fd);
    return -1;
}

static bool is_older(const struct dead *a, const struct dead *b)
{
    return a->mtime_ns != b->mtime_ns ? a->mtime_ns < b->mtime_ns : a->pid != b->pid ? a->pid < b->pid : a->number < b->number;
}

static void keep_oldest(const struct dead *d)
{
    if (n_oldest == MOST_AT_ONCE && !is_older(d, &oldest[n_oldest - 1]))
        return;
    uint32_t i = n_oldest < MOST_AT_ONCE ? n_oldest++ : MOST_AT_ONCE - 1;
    for (; i > 0 && is_older(d, &oldest[i - 1]); i--)
        oldest[i] = oldest[i - 1];
    oldest[i] = *d;
}

static bool count_name(void *arg, const char *name)
{
    struct dead d;
    (void)arg;
    n_names += parse_name(name, &d);
    return true;
}

static bool weigh(void *arg, const char *name)
{
    struct dead d;
    struct sp_os_stat st;
    (void)arg;
    if (!parse_name(name, &d))
        return true;
    int fd = open_dead(path_of(&d), &st);
    if (fd >= 0) {
        sp_os_close(fd);
        n_dead++;
        d.mtime_ns = st.mtime_ns;
        keep_oldest(&d);
    }
    return sp_os_mono_exact_ns() < until_ns;
}

static bool remove_dead(const struct dead *d)
{
    const char *path = path_of(d);
    struct sp_os_stat st, now;
    int fd = open_dead(path, &st);
    bool is_ours = fd >= 0 && sp_os_lock_file(fd) == 0 && sp_os_stat(path, false, &now) == 0 && now.inode == st.inode &&
                   now.device == st.device;
    bool removed = is_ours && sp_os_unlink(path) == 0;
    if (fd >= 0)
        sp_os_close(fd);
    return removed;
}

/* How many it removed. The next look begins anew: others may be here as well. */
static uint32_t remove_oldest(uint32_t most)
{
    uint32_t removed = 0;
    n_dead = n_oldest = 0;
    sp_os_each_entry(directory, weigh, NULL);
    for (uint32_t i = 0; i < n_oldest && n_dead - i > most; i++)
        removed += remove_dead(&oldest[i]);
    return removed;
}

static void say(uint32_t removed)
{
    char number[16];
    SP_BUF(b, number);
    sp_buf_u64(&b, removed);
    sp_diag_join(number, " spool files of dead processes, the oldest, were removed from ", directory, "; at most 100 stay",
                 NULL);
}

void sp_dead_spools_remove(const char *where, uint32_t most)
{
    int idle = 0;
    if (!sp_cas(&busy, &idle, 1))
        return;
    directory = where;
    until_ns = sp_os_mono_exact_ns() + MOST_NS;
    n_names = 0;
    sp_os_each_entry(directory, count_name, NULL);
    uint32_t removed = 0, more = n_names > most;
    while (more) {
        uint32_t now = remove_oldest(most);
        removed += now;
        more = now && n_dead - now > most && sp_os_mono_exact_ns() < until_ns;
    }
    if (removed)
        say(removed);
    sp_store_release(&busy, 0);
}
