/* SPDX-License-Identifier: MIT
 * See ship_take.h. */
#include "inject/command/ship_take.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/load.h"
#include "inject/command/write_file.h"

/* A name by which a second try finds what a first one left. */
static const char *name_in(const struct sp_queue *to, const struct sp_queued *item, const char *tmp, char *out)
{
    int n = snprintf(out, PATH_MAX, "%s/%s%llx-%llx-%s", to->directory, tmp, (unsigned long long)item->changed_ns,
                     (unsigned long long)item->inode, item->name);
    return n < PATH_MAX ? out : NULL;
}

static int copy_all(int in, int out)
{
    static char buffer[1 << 16];
    ssize_t n;
    while ((n = read(in, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR))
        for (ssize_t done = 0, w; done < n; done += w)
            if ((w = write(out, buffer + done, (size_t)(n - done))) <= 0) {
                if (w < 0 && errno == EINTR)
                    w = 0;
                else
                    return w < 0 ? errno : ENOSPC;
            }
    return n < 0 ? errno : 0;
}

/* Its time goes with it: the order in which profiles are sent. */
static int copy_file(const char *from, const char *tmp, const char *to)
{
    struct stat st;
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0)
        return errno;
    int out = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = out < 0 ? errno : copy_all(in, out);
    if (!error && (fstat(in, &st) != 0 || futimens(out, (struct timespec[]){st.st_mtim, st.st_mtim}) != 0))
        error = errno;
    if (out >= 0 && close(out) != 0 && !error)
        error = errno;
    if (!error && rename(tmp, to) != 0)
        error = errno;
    if (error && out >= 0)
        unlink(tmp);
    close(in);
    return error;
}

const char *sp_ship_take_files(struct sp_queue *from, const struct sp_queue *to)
{
    char path[PATH_MAX], name[PATH_MAX], tmp[PATH_MAX];
    for (struct sp_queued *item; (item = sp_queue_first(from));) {
        sp_queue_path(from, item, path);
        if (!name_in(to, item, "", name) || !name_in(to, item, ".new-", tmp))
            return strerror(ENAMETOOLONG);
        int error = from->keep || rename(path, name) != 0 ? copy_file(path, tmp, name) : 0;
        if (error && error != ENOENT)
            return strerror(error);
        sp_queue_sent(from, item);
    }
    return NULL;
}

/* ---- a process */
/* The file says that it is not complete: of the next one only what is new is sent. */
static const char *write_snapshot(const char *path, struct sp_loaded *l)
{
    static char buffer[65536];
    char tmp[PATH_MAX + 16];
    snprintf(tmp, sizeof tmp, "%s.tmp-%d", path, (int)getpid());
    FILE *f = fopen(tmp, "wxe");
    if (!f)
        return strerror(errno);
    int fd = fileno(f);
    struct sp_out out = {.sink = sp_cli_fd_sink, .arg = &fd, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    int rc = sp_writer_write(&sp_writer_pprof, path, &l->profile, &out);
    if (fclose(f) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(tmp, path) != 0)
        rc = -errno;
    if (rc)
        unlink(tmp);
    return rc ? strerror(-rc) : NULL;
}

const char *sp_ship_take_snapshot(const struct sp_queue *to, pid_t pid, bool *is_over)
{
    char name[64], path[PATH_MAX];
    struct timespec now;
    snprintf(name, sizeof name, "process %d", (int)pid);
    struct sp_source s = {.name = name, .fd = -1};
    struct sp_loaded l = {.name = name};
    const char *error = sp_load_process_source(&s, pid);
    *is_over = error && kill(pid, 0) != 0 && errno == ESRCH;
    if (error)
        return error;
    clock_gettime(CLOCK_REALTIME, &now);
    int n = snprintf(path, sizeof path, "%s/spprof-%d-%lld%03ld.pb.gz", to->directory, (int)pid, (long long)now.tv_sec,
                     now.tv_nsec / 1000000);
    if (sp_load_region(&l, &s) != 0)
        error = "it cannot be read at this moment";
    else
        error = n < (int)sizeof path ? write_snapshot(path, &l) : strerror(ENAMETOOLONG);
    sp_unload(&l);
    if (s.fd >= 0)
        close(s.fd);
    return error;
}
