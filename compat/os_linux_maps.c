/* SPDX-License-Identifier: MIT
 * Linux by raw system calls (see os.h): what is mapped, from /proc/self/maps. */
#include "compat/os.h"

/* Of a line: "7f5c0a000000-7f5c0a021000 r-xp 00001000 fe:01 1234    /usr/lib/libc.so.6" */
enum field { START, END, RIGHTS, OFFSET, MAJOR, MINOR, INODE, NAME };

struct line {
    enum field field;
    uint64_t number;
    size_t n_name;
    char name[64];
    struct sp_os_mapping m;
};

SP_SIGSAFE static void end_of_number(struct line *l)
{
    switch (l->field) {
    case START: l->m.start = l->number; break;
    case END: l->m.end = l->number; break;
    case OFFSET: l->m.offset = l->number; break;
    case MAJOR: l->m.device = l->number << 32; break;
    case MINOR: l->m.device |= l->number; break;
    case INODE: l->m.inode = l->number; break;
    case RIGHTS:
    case NAME: break;
    }
    l->number = 0;
    l->field++;
}

SP_SIGSAFE static void take(struct line *l, char c)
{
    if (l->field == NAME) {
        if (c == '/')
            l->n_name = 0;
        else if (l->n_name < sizeof l->name - 1 && (c != ' ' || l->n_name))
            l->name[l->n_name++] = c;
    } else if (c == ' ' || (c == '-' && l->field == START) || (c == ':' && l->field == MAJOR)) {
        end_of_number(l);
    } else if (l->field == RIGHTS) {
        l->m.readable |= c == 'r';
        l->m.executable |= c == 'x';
    } else {
        l->number = l->number * (l->field == INODE ? 10 : 16) + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
}

bool sp_os_each_mapping_by(char *chunk, size_t cap, bool (*found)(void *arg, const struct sp_os_mapping *m), void *arg)
{
    int fd = sp_os_open_read("/proc/self/maps");
    if (fd < 0)
        return false;
    struct line l = {.field = START};
    bool done = false;
    long n;
    while (!done && (n = sp_os_read(fd, chunk, cap)) > 0)
        for (long i = 0; i < n && !done; i++) {
            if (chunk[i] != '\n') {
                take(&l, chunk[i]);
                continue;
            }
            l.name[l.n_name] = '\0';
            l.m.name = l.name;
            done = found(arg, &l.m);
            l = (struct line){.field = START};
        }
    sp_os_close(fd);
    return done;
}

bool sp_os_each_mapping(bool (*found)(void *arg, const struct sp_os_mapping *m), void *arg)
{
    char chunk[1024]; /* small: the caller's stack may be */
    return sp_os_each_mapping_by(chunk, sizeof chunk, found, arg);
}
