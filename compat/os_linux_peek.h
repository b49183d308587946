/* SPDX-License-Identifier: MIT
 * Files of the kernel's, read while the program's other threads open and close theirs in the same table: a number that we hold for some
 * microseconds is one that the program may think is free, put a file of its own at, and read from. */
#ifndef SP_COMPAT_OS_LINUX_PEEK_H
#define SP_COMPAT_OS_LINUX_PEEK_H

#include "compat/os.h"

struct sp_peek {
    int fd;
    uint32_t slot;
    long at;
    struct sp_os_stat is;
};

/* [handler] False: there is no such file, no room in the table, or one of the three standard numbers is free. */
SP_SIGSAFE bool sp_peek_open(struct sp_peek *p, const char *path);
/* [handler] The next bytes; 0 or less: there are none. Takes nothing out of a pipe or socket of the program's. */
SP_SIGSAFE long sp_peek_read(struct sp_peek *p, void *to, size_t bytes);
/* [handler] Unless the number is a file of the program's by now. */
SP_SIGSAFE void sp_peek_close(struct sp_peek *p);

#endif
