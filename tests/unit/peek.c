/* SPDX-License-Identifier: MIT
 * Files of the kernel's in the program's table of descriptors: what is the program's there stays. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "compat/os_linux_call.h"
#include "compat/os_linux_peek.h"
#include "tests/support/unit.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void read_and_closed(void)
{
    struct sp_peek p;
    char text[64];
    CHECK(sp_peek_open(&p, "/proc/self/comm"));
    CHECK(sp_peek_read(&p, text, sizeof text) > 1);
    CHECK(sp_peek_read(&p, text, sizeof text) <= 0);
    int fd = p.fd;
    sp_peek_close(&p);
    CHECK(!is_open(fd));
    sp_os_files_forked();
    CHECK(sp_peek_open(&p, "/proc/self/comm"));
    sp_os_files_forked(); /* as in a child of a fork at this moment */
    CHECK(!is_open(p.fd));
}

/* A fork child has the table as it was before the file was closed, and the memory as it was then. */
static void closed_between(void)
{
    struct sp_peek p;
    CHECK(sp_peek_open(&p, "/proc/self/comm"));
    int fd = p.fd, again = dup(fd);
    sp_peek_close(&p);
    CHECK(dup2(again, fd) == fd && close(again) == 0);
    for (int i = 0; i < 20; i++) {
        CHECK(sp_peek_open(&p, "/proc/self/status"));
        sp_peek_close(&p);
    }
    sp_os_files_forked();
    CHECK(!is_open(fd));
}

/* The program puts a pipe at our number. */
static void replaced(void)
{
    struct sp_peek p;
    char text[64];
    int ends[2];
    CHECK(pipe(ends) == 0 && write(ends[1], "program", 7) == 7);
    CHECK(sp_peek_open(&p, "/proc/self/comm"));
    CHECK(dup2(ends[0], p.fd) == p.fd);
    CHECK(sp_peek_read(&p, text, sizeof text) < 0);
    sp_os_files_forked();
    CHECK(is_open(p.fd));
    p.slot = ~0u;
    sp_peek_close(&p);
    CHECK(is_open(p.fd) && read(p.fd, text, sizeof text) == 7);
}

/* A process beside the program has a table of its own: its numbers say nothing in a fork child. */
static void beside(void)
{
    struct sp_peek p;
    sp_os_linux_home = getpid();
    CHECK(sp_peek_open(&p, "/proc/self/comm"));
    sp_os_linux_home = 0;
    sp_os_files_forked();
    CHECK(is_open(p.fd));
    sp_peek_close(&p);
    CHECK(!is_open(p.fd));
}

static void standard_ones_are_left(void)
{
    struct sp_peek p;
    close(0);
    CHECK(!sp_peek_open(&p, "/proc/self/comm") && !is_open(0));
    sp_os_linux_home = getpid(); /* but in a table of its own */
    CHECK(sp_peek_open(&p, "/proc/self/comm"));
    sp_peek_close(&p);
    sp_os_linux_home = 0;
    CHECK(!is_open(0));
}

const struct unit_case unit_cases[] = {
    {"read_and_closed", read_and_closed},
    {"closed_between", closed_between},
    {"replaced", replaced},
    {"beside", beside},
    {"standard_ones_are_left", standard_ones_are_left},
    {NULL, NULL},
};
