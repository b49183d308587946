/* SPDX-License-Identifier: MIT
 * See write_file.h. */
#include "inject/command/write_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "writers/writer.h"

#define OUT_BUFFER_BYTES 65536

int sp_cli_fd_sink(void *fd, const void *data, size_t n)
{
    const char *s = data;
    while (n) {
        ssize_t w = write(*(int *)fd, s, n);
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

static int write_to(int fd, int (*to)(void *, const void *, size_t), int (*write_all)(struct sp_out *o, void *arg), void *arg)
{
    static char buffer[OUT_BUFFER_BYTES];
    struct sp_out out = {.sink = to, .arg = &fd, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    return write_all(&out, arg);
}

/* What is written to as it is, for there is nothing beside it: a pipe or a device under that name, and /dev/stdout or /dev/fd/3, of
 * which a file may be behind, whose place and end are its opener's. -1: it is none; errno 0: a file can be there. */
static int open_stream(const char *name)
{
    static const char *const folders[] = {"/dev/fd/", "/proc/self/fd/"};
    struct stat st;
    int fd = strcmp(name, "/dev/stdout") == 0 ? 1 : strcmp(name, "/dev/stderr") == 0 ? 2 : -1;
    for (size_t i = 0; i < SP_ARRAY_LEN(folders); i++) {
        size_t n = strlen(folders[i]);
        if (strncmp(name, folders[i], n) == 0 && name[n] && strspn(name + n, "0123456789") == strlen(name + n))
            fd = atoi(name + n);
    }
    errno = 0;
    if (fd >= 0)
        return fcntl(fd, F_DUPFD_CLOEXEC, 3);
    bool is_one = stat(name, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode));
    errno = 0;
    if (!is_one ||
        (S_ISFIFO(st.st_mode) && st.st_uid != geteuid() && mode_beside(name) == 0600)) /* somebody may have put it there */
        return -1;
    return open(name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
}

/* main() looks whether that arrived. */
static int print(void *arg, const void *data, size_t n)
{
    (void)arg;
    return fwrite(data, 1, n, stdout) == n ? 0 : -EIO;
}

int sp_cli_write_file(const char *name, mode_t mode, int (*write_all)(struct sp_out *o, void *arg), void *arg)
{
    char tmp[PATH_MAX + 32];
    if (strcmp(name, "-") == 0) {
        int rc = write_to(1, print, write_all, arg);
        if (fflush(stdout) != 0 || ferror(stdout))
            return 1;
        return rc ? sp_cli_fail("standard output", strerror(-rc)) : 0;
    }
    int fd = open_stream(name);
    if (fd >= 0 || errno) {
        int rc = fd < 0 ? -errno : write_to(fd, sp_cli_fd_sink, write_all, arg);
        if (fd >= 0)
            close(fd);
        return rc ? sp_cli_fail(name, strerror(-rc)) : 0;
    }
    snprintf(tmp, sizeof tmp, "%s.tmp-%d", name, (int)getpid());
    fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode ? 0600 : mode_beside(name));
    if (fd < 0)
        return sp_cli_fail(name, strerror(errno));
    int rc = write_to(fd, sp_cli_fd_sink, write_all, arg);
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
