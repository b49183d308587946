/* SPDX-License-Identifier: MIT
 * See input.h. */
#include "inject/command/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/ring.h"
#include "inject/command/salvage.h"

static const char *open_standard(int *fd)
{
    static bool was_opened;
    if (was_opened)
        return "it can be read once; save it as a file first";
    was_opened = true;
    if (isatty(0))
        return "it is a terminal; a profile is wanted, from a pipe or by < FILE";
    *fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
    return *fd < 0 ? "it is closed" : NULL;
}

/* What /dev/stdin and the like name cannot be opened anew if it is a socket or another user's. */
static int open_again(const char *name)
{
    int error = errno;
    struct stat st, in;
    bool is_it = (error == ENXIO || error == EACCES) && stat(name, &st) == 0 && fstat(0, &in) == 0 && st.st_dev == in.st_dev &&
                 st.st_ino == in.st_ino;
    int fd = is_it ? fcntl(0, F_DUPFD_CLOEXEC, 3) : -1;
    errno = error;
    return fd;
}

const char *sp_input_open(const char *name, int *fd)
{
    if (sp_input_is_standard(name))
        return open_standard(fd);
    *fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (*fd < 0)
        *fd = open_again(name);
    return *fd < 0 ? strerror(errno) : NULL;
}

bool sp_input_stat(const char *name, struct stat *st)
{
    return (sp_input_is_standard(name) ? fstat(0, st) : stat(name, st)) == 0;
}

/* read() that waits as long as somebody may write. */
static ssize_t read_some(int fd, void *to, size_t n)
{
    struct pollfd waits = {.fd = fd, .events = POLLIN};
    for (;;) {
        ssize_t got = read(fd, to, n);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN))
            return got;
        if (errno == EAGAIN)
            poll(&waits, 1, -1);
    }
}

/* With white space, or an editor's byte order mark, or a gzip file. */
static bool begins_as_json(char c)
{
    return c && strchr("{ \t\r\n\xef\x1f", c);
}

char *sp_input_text(int fd, size_t *n)
{
    char *text = NULL;
    size_t cap = 0;
    *n = 0;
    for (;;) {
        if (*n + 65537 > cap)
            text = sp_cli_alloc(text, cap = cap ? cap * 2 : 1 << 20);
        ssize_t got = read_some(fd, text + *n, cap - *n - 1);
        *n += got > 0 ? (size_t)got : 0;
        if (got <= 0 || (*n >= sizeof(uint64_t) && !begins_as_json(*text)) || *n > SP_INPUT_MOST)
            break;
    }
    text[*n] = '\0';
    return text;
}

/* ---- regions */
static bool write_all(int fd, const char *s, size_t n)
{
    while (n) {
        ssize_t w = write(fd, s, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return false;
        s += w;
        n -= (size_t)w;
    }
    return true;
}

/* Up to `end` bytes of the input into the copy (-1: nowhere), of which *done are there. False: it cannot be written. */
static bool copy_until(int fd, int copy, uint64_t end, uint64_t *done)
{
    static char buffer[1 << 16];
    while (*done < end) {
        ssize_t got = read_some(fd, buffer, sp_min_u64(sizeof buffer, end - *done));
        if (got <= 0)
            return true;
        if (copy >= 0 && !write_all(copy, buffer, (size_t)got))
            return false;
        *done += (uint64_t)got;
    }
    return true;
}

/* What lies behind what is in use is read too, so that who writes it does not die of it. */
static const char *copy_used(int fd, int copy, uint64_t done)
{
    struct sp_region head;
    if (!copy_until(fd, copy, sizeof head, &done))
        return strerror(errno);
    ssize_t n = pread(copy, &head, sizeof head, 0);
    const char *error = sp_salvage_check(&head, n > 0 ? (uint64_t)n : 0);
    if (error)
        return error;
    if (sp_salvage_used(&head) > SP_INPUT_MOST)
        return "holds more than 1 GB; save it as a file first";
    if (!copy_until(fd, copy, sp_salvage_used(&head), &done))
        return strerror(errno);
    copy_until(fd, -1, head.bytes, &done);
    return NULL;
}

const char *sp_input_copy_region(int fd, const char *begun, size_t n, int *copy)
{
    *copy = sp_ring_file();
    if (*copy < 0)
        return strerror(errno);
    const char *error = write_all(*copy, begun, n) ? copy_used(fd, *copy, n) : strerror(errno);
    if (error)
        close(*copy);
    return error;
}
