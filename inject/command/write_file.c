/* SPDX-License-Identifier: MIT
 * See write_file.h. */
#include "inject/command/write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "writers/writer.h"

#define OUT_BUFFER_BYTES 65536

static int sink(void *arg, const void *data, size_t n)
{
    const char *s = data;
    while (n) {
        ssize_t w = write(*(int *)arg, s, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return w < 0 ? -errno : -EIO;
        s += w;
        n -= (size_t)w;
    }
    return 0;
}

/* As the library does it: not for others where everybody may put files. */
static mode_t mode_beside(const char *name)
{
    char directory[PATH_MAX];
    struct stat st;
    snprintf(directory, sizeof directory, "%s", name);
    char *slash = strrchr(directory, '/');
    if (slash)
        slash[slash == directory] = '\0';
    return stat(slash ? directory : ".", &st) == 0 && (st.st_mode & S_ISVTX) ? 0600 : 0666;
}

/* Whether what stands under that name is a profile of ours, which a newer one may replace. */
static bool is_ours(const char *name)
{
    char head[SP_WRITER_HEAD_BYTES];
    struct stat st;
    if (lstat(name, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof head) : -1;
    if (fd >= 0)
        close(fd);
    return n == 0 || (n > 0 && sp_writer_is_ours(head, (size_t)n));
}

static int write_to(int fd, int (*write_all)(struct sp_out *o, void *arg), void *arg)
{
    static char buffer[OUT_BUFFER_BYTES];
    struct sp_out out = {.sink = sink, .arg = &fd, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    return write_all(&out, arg);
}

int sp_cli_write_file(const char *name, mode_t mode, int (*write_all)(struct sp_out *o, void *arg), void *arg)
{
    char tmp[PATH_MAX + 32];
    if (strcmp(name, "-") == 0) {
        int rc = write_to(1, write_all, arg);
        return rc ? sp_cli_fail(name, strerror(-rc)) : 0;
    }
    snprintf(tmp, sizeof tmp, "%s.tmp-%d", name, (int)getpid());
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode ? 0600 : mode_beside(name));
    if (fd < 0)
        return sp_cli_fail(name, strerror(errno));
    int rc = write_to(fd, write_all, arg);
    if (mode && fchmod(fd, mode) != 0 && rc == 0)
        rc = -errno;
    if (close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && link(tmp, name) != 0)
        rc = errno == EEXIST && !is_ours(name) ? -EEXIST : rename(tmp, name) != 0 ? -errno : 0;
    unlink(tmp);
    return rc == 0
               ? 0
               : sp_cli_fail(name, rc == -EEXIST ? "it exists, is no profile of spprof, and stays; give another name with -o"
                                                 : strerror(-rc));
}
