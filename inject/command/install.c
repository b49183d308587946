/* SPDX-License-Identifier: MIT
 * Copies the library and this command into a directory: what an init container does that has no cp. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/command/command.h"

static int copy_bytes(int from, int to)
{
    char buffer[65536];
    for (;;) {
        ssize_t n = read(from, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? errno : 0;
        for (ssize_t at = 0; at < n;) {
            ssize_t w = write(to, buffer + at, (size_t)(n - at));
            if (w < 0 && errno != EINTR)
                return errno;
            at += w > 0 ? w : 0;
        }
    }
}

/* Whole or not at all, for a program may be loading the older one: that keeps its file, which has no name then. */
static int copy_file(const char *path, const char *name, const char *directory, mode_t mode)
{
    char beside[PATH_MAX], made[PATH_MAX];
    if ((size_t)snprintf(made, sizeof made, "%s/%s", directory, name) >= sizeof made ||
        (size_t)snprintf(beside, sizeof beside, "%s/.%s.%d", directory, name, (int)getpid()) >= sizeof beside)
        return sp_cli_fail(directory, strerror(ENAMETOOLONG));
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return sp_cli_fail(path, strerror(errno));
    int to = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int error = to < 0 ? errno : copy_bytes(from, to);
    close(from);
    if (to >= 0) {
        if (!error && fchmod(to, mode) != 0)
            error = errno;
        if (close(to) != 0 && !error)
            error = errno;
        if (!error && rename(beside, made) != 0)
            error = errno;
        if (error)
            unlink(beside);
    }
    return error ? sp_cli_fail(made, strerror(error)) : puts(made) < 0;
}

int sp_cli_install(int argc, char **argv)
{
    char library[PATH_MAX];
    int rc = sp_cli_parse(argc, argv, NULL, NULL);
    if (rc >= 0)
        return rc;
    const char *directory = argv[optind];
    if (!sp_cli_library(library))
        return sp_cli_fail("libspprof.so", "it is not beside this command");
    if (mkdir(directory, 0755) != 0 && errno != EEXIST)
        return sp_cli_fail(directory, strerror(errno));
    rc = copy_file(library, "libspprof.so", directory, 0644);
    return rc ? rc : copy_file("/proc/self/exe", "spprof", directory, 0755);
}
