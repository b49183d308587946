/* SPDX-License-Identifier: MIT
 * See ship_queue.h. Who writes profiles renames them into place, so that what has a name is whole; names with ".tmp-" have none yet. */
#include "inject/command/ship_queue.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/base.h"
#include "inject/command/command.h"
#include "inject/command/source.h"
#include "writers/gzip.h"
#include "writers/writer.h"

#define LEDGER "sent"
#define LOCK "lock"
#define PPROF_FIRST '\n' /* what a pprof file begins with: field 1, bytes. No text of ours does */

/* ---- what a file is */
static bool starts_with_json(const char *head)
{
    const char *json = sp_writer_speedscope.head;
    return memcmp(head, json, strlen(json)) == 0;
}

static enum sp_queued_kind kind_of(const char *path)
{
    char head[SP_GZIP_HEAD_BYTES + SP_WRITER_HEAD_BYTES] = "";
    uint64_t magic;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof head) : 0;
    if (fd >= 0)
        close(fd);
    if (n < SP_GZIP_HEAD_BYTES + 1)
        return SP_QUEUED_OTHER;
    memcpy(&magic, head, sizeof magic);
    if (magic == SP_REGION_MAGIC)
        return SP_QUEUED_SPOOL;
    if (starts_with_json(head))
        return SP_QUEUED_SPEEDSCOPE;
    if (!sp_gzip_is_ours(head, (size_t)n))
        return SP_QUEUED_OTHER;
    return head[SP_GZIP_HEAD_BYTES] == PPROF_FIRST       ? SP_QUEUED_PPROF
           : starts_with_json(head + SP_GZIP_HEAD_BYTES) ? SP_QUEUED_SPEEDSCOPE
                                                         : SP_QUEUED_OTHER;
}

/* Whether a spool file is what a kill left: that of a process which lives is the process's. */
static bool is_left(const char *path)
{
    struct sp_region head;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    bool is =
        fd >= 0 && pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && sp_source_owner(fd, &head) == SP_OWNER_GONE;
    if (fd >= 0)
        close(fd);
    return is;
}

const char *sp_queue_path(const struct sp_queue *q, const struct sp_queued *item, char *out)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", q->directory, item->name);
    return n < PATH_MAX ? out : "";
}

/* ---- what was sent and stays */
static const char *in_state(const struct sp_queue *q, const char *name, char *out)
{
    int n = snprintf(out, PATH_MAX, "%s/%s", q->state, name);
    return n < PATH_MAX ? out : "";
}

static void note(struct sp_queue *q, const struct sp_queue_line *line)
{
    if (!(q->n_ledger & (q->n_ledger - 1)))
        q->ledger = sp_cli_alloc(q->ledger, (q->n_ledger ? 2 * q->n_ledger : 1) * sizeof *q->ledger);
    q->ledger[q->n_ledger++] = *line;
}

static bool is_noted(const struct sp_queue *q, const struct sp_queued *item)
{
    for (size_t i = 0; i < q->n_ledger; i++)
        if (q->ledger[i].inode == item->inode && q->ledger[i].changed_ns == item->changed_ns &&
            q->ledger[i].bytes == item->bytes)
            return true;
    return false;
}

static void read_ledger(struct sp_queue *q)
{
    char path[PATH_MAX];
    unsigned long long inode, bytes;
    long long changed_ns;
    FILE *f = fopen(in_state(q, LEDGER, path), "re");
    while (f && fscanf(f, "%llu %lld %llu\n", &inode, &changed_ns, &bytes) == 3)
        note(q, &(struct sp_queue_line){.inode = inode, .bytes = bytes, .changed_ns = changed_ns});
    if (f)
        fclose(f);
}

static bool put_line(FILE *f, const struct sp_queued *item)
{
    return fprintf(f, "%llu %lld %llu\n", (unsigned long long)item->inode, (long long)item->changed_ns,
                   (unsigned long long)item->bytes) > 0;
}

/* Of files that are gone nobody asks any more. */
static void tidy_ledger(struct sp_queue *q)
{
    char path[PATH_MAX], tmp[PATH_MAX];
    bool good = true;
    FILE *f = q->n_ledger ? fopen(in_state(q, LEDGER ".tmp", tmp), "we") : NULL;
    if (!f)
        return;
    for (size_t i = 0; i < q->n; i++)
        good &= q->of[i].state != SP_QUEUED_DONE || put_line(f, &q->of[i]);
    good &= fclose(f) == 0;
    if (!good || rename(tmp, in_state(q, LEDGER, path)) != 0)
        unlink(tmp);
}

static void finish(struct sp_queue *q, struct sp_queued *item)
{
    char path[PATH_MAX];
    item->state = SP_QUEUED_DONE;
    note(q, &(struct sp_queue_line){.inode = item->inode, .bytes = item->bytes, .changed_ns = item->changed_ns});
    FILE *f = fopen(in_state(q, LEDGER, path), "ae");
    bool good = f && put_line(f, item);
    good &= f && fclose(f) == 0;
    if (!good)
        sp_cli_fail(path, "cannot be written to; what was sent and stays would be sent again after a new start");
}

/* ---- looking */
static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sp_queued *)a)->name, ((const struct sp_queued *)b)->name);
}

static bool is_same(const struct sp_queued *a, const struct sp_queued *b)
{
    return a->inode == b->inode && a->bytes == b->bytes && a->changed_ns == b->changed_ns;
}

static void look_at(const struct sp_queue *q, struct sp_queued *item)
{
    char path[PATH_MAX];
    struct sp_queued *old = q->n ? bsearch(item, q->of, q->n, sizeof *q->of, by_name) : NULL;
    bool is_known = old && is_same(old, item);
    sp_queue_path(q, item, path);
    item->kind = is_known ? old->kind : kind_of(path);
    item->state = is_known && old->state != SP_QUEUED_LIVES ? old->state : is_noted(q, item) ? SP_QUEUED_DONE : SP_QUEUED_WAITS;
    if (item->kind == SP_QUEUED_SPOOL && item->state == SP_QUEUED_WAITS && !is_left(path))
        item->state = SP_QUEUED_LIVES;
    if (old)
        old->state = SP_QUEUED_DONE; /* it is there still, or was replaced: not gone */
}

static void free_all(struct sp_queued *of, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(of[i].name);
    free(of);
}

bool sp_queue_look(struct sp_queue *q)
{
    struct sp_queued *of = NULL;
    size_t n = 0;
    DIR *d = opendir(q->directory);
    if (!d)
        return false;
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (e->d_name[0] == '.' || strstr(e->d_name, ".tmp-") || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(st.st_mode))
            continue;
        struct sp_queued item = {.name = e->d_name,
                                 .inode = st.st_ino,
                                 .bytes = (uint64_t)st.st_size,
                                 .changed_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
        look_at(q, &item);
        item.name = strdup(e->d_name);
        if (!(n & (n - 1)))
            of = sp_cli_alloc(of, (n ? 2 * n : 1) * sizeof *of);
        if (item.name)
            of[n++] = item;
    }
    closedir(d);
    for (size_t i = 0; i < q->n; i++)
        q->n_gone += q->of[i].kind != SP_QUEUED_OTHER && q->of[i].state == SP_QUEUED_WAITS;
    free_all(q->of, q->n);
    if (n)
        qsort(of, n, sizeof *of, by_name);
    q->of = of;
    q->n = n;
    return true;
}

static bool is_before(const struct sp_queued *a, const struct sp_queued *b)
{
    return a->changed_ns != b->changed_ns ? a->changed_ns < b->changed_ns : strverscmp(a->name, b->name) < 0;
}

static struct sp_queued *oldest(const struct sp_queue *q, bool aside_too)
{
    struct sp_queued *first = NULL;
    for (size_t i = 0; i < q->n; i++) {
        struct sp_queued *item = &q->of[i];
        bool counts = item->state == SP_QUEUED_WAITS || (aside_too && item->state == SP_QUEUED_ASIDE);
        if (item->kind != SP_QUEUED_OTHER && counts && (!first || is_before(item, first)))
            first = item;
    }
    return first;
}

struct sp_queued *sp_queue_first(const struct sp_queue *q)
{
    return oldest(q, false);
}

size_t sp_queue_count(const struct sp_queue *q, enum sp_queued_state state)
{
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++)
        n += q->of[i].kind != SP_QUEUED_OTHER && q->of[i].state == state;
    return n;
}

/* ---- what becomes of one */
static bool take_away(struct sp_queue *q, struct sp_queued *item)
{
    char path[PATH_MAX];
    if (q->keep) {
        finish(q, item);
        return true;
    }
    item->state = SP_QUEUED_DONE; /* in any case: it is not tried again */
    if (unlink(sp_queue_path(q, item, path)) == 0 || errno == ENOENT)
        return true;
    sp_cli_fail(path, strerror(errno));
    return false;
}

void sp_queue_sent(struct sp_queue *q, struct sp_queued *item)
{
    char path[PATH_MAX];
    if (!take_away(q, item))
        sp_cli_fail(sp_queue_path(q, item, path), "was sent and cannot be removed; it would be sent again after a new start");
}

void sp_queue_bound(struct sp_queue *q)
{
    char text[160], path[PATH_MAX];
    uint64_t bytes = 0;
    size_t n = 0;
    for (size_t i = 0; i < q->n; i++)
        if (q->of[i].kind != SP_QUEUED_OTHER && q->of[i].state <= SP_QUEUED_ASIDE) {
            bytes += q->of[i].bytes;
            n++;
        }
    for (struct sp_queued *item; bytes > q->limit && n > 1 && (item = oldest(q, true)); n--) {
        bytes -= item->bytes;
        take_away(q, item);
        q->n_dropped++;
        snprintf(text, sizeof text,
                 "was dropped unsent: what waits is more than %llu bytes (--queue-limit); %llu dropped so far",
                 (unsigned long long)q->limit, (unsigned long long)q->n_dropped);
        sp_cli_fail(sp_queue_path(q, item, path), text);
    }
}

/* ---- begin and end */
const char *sp_queue_open(struct sp_queue *q, const char *directory, const char *within, bool keep, uint64_t limit)
{
    char path[PATH_MAX];
    *q = (struct sp_queue){.directory = directory, .keep = keep, .limit = limit, .lock = -1};
    size_t n = strlen(within) + sizeof "/" SP_QUEUE_STATE;
    q->state = sp_cli_alloc(NULL, n);
    snprintf(q->state, n, "%s/" SP_QUEUE_STATE, within);
    if (mkdir(q->state, 0700) != 0 && errno != EEXIST)
        return strerror(errno);
    q->lock = open(in_state(q, LOCK, path), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (q->lock < 0)
        return strerror(errno);
    if (flock(q->lock, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? "another spprof ship sends what is in it" : strerror(errno);
    read_ledger(q);
    if (!sp_queue_look(q))
        return strerror(errno);
    tidy_ledger(q);
    return NULL;
}

void sp_queue_remove(struct sp_queue *q)
{
    char path[PATH_MAX];
    DIR *d = opendir(q->state);
    for (struct dirent *e; d && (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlink(in_state(q, e->d_name, path));
    if (d)
        closedir(d);
    if (rmdir(q->state) == 0)
        rmdir(q->directory);
}

void sp_queue_close(struct sp_queue *q)
{
    if (q->lock >= 0) /* the file stays: who waits for it must not get another one */
        close(q->lock);
    free_all(q->of, q->n);
    free(q->ledger);
    free(q->state);
    *q = (struct sp_queue){.lock = -1};
}
