/* SPDX-License-Identifier: MIT
 * See os_linux_peek.h. */
#include "compat/os_linux_peek.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "compat/os_linux_call.h"

#define STANDARD 3
#define SLOTS 32 /* files at a time, or shortly before each other, that a fork child knows of */

#define FLAGS (O_RDONLY | O_CLOEXEC | O_NONBLOCK)
#define FAR 64 /* no number is looked at behind so many that are free */

enum { CLOSED, TAKEN, OPEN };

/* Threads: any, by compare-and-swap; a fork child while it is alone. What is closed stays until the place is used again: a child has
 * its table of descriptors some time before its memory (Linux, kernel/fork.c, copy_process). A place stays taken where a handler of
 * the program's jumped away. */
static struct {
    uint32_t state;
    int fd; /* 0: none yet */
    struct sp_os_stat is;
} held[SLOTS];
static uint32_t next_slot;

static uint64_t proc_device; /* 0: not known yet */

/* In a process beside the program its numbers are in a table of its own, which no fork child gets. */
SP_SIGSAFE static uint32_t take_slot(void)
{
    for (uint32_t i = 0; i < SLOTS && !sp_os_linux_home; i++) {
        uint32_t free = CLOSED, at = __atomic_fetch_add(&next_slot, 1, __ATOMIC_RELAXED) % SLOTS;
        if (sp_cas(&held[at].state, &free, TAKEN))
            return at;
    }
    return SLOTS;
}

SP_SIGSAFE static void leave_slot(const struct sp_peek *p, uint32_t state)
{
    if (p->slot >= SLOTS)
        return;
    if (state == OPEN) {
        held[p->slot].fd = p->fd;
        held[p->slot].is = p->is;
        sp_store_relaxed(&proc_device, p->is.device);
    }
    sp_store_release(&held[p->slot].state, state);
}

/* A program that has closed one is about to open it: what it opens next is to have that number. */
SP_SIGSAFE static bool has_standard(void)
{
    for (int fd = 0; fd < STANDARD; fd++)
        if (SYS(SYS_fcntl, fd, F_GETFD, 0, 0) < 0)
            return false;
    return true;
}

SP_SIGSAFE static bool is_same(int fd, const struct sp_os_stat *is)
{
    struct sp_os_stat now;
    return sp_os_stat_fd(fd, &now) == 0 && now.inode == is->inode && now.device == is->device;
}

bool sp_peek_open(struct sp_peek *p, const char *path)
{
    if (!sp_os_linux_home && !has_standard())
        return false;
    p->at = 0;
    p->slot = take_slot();
    p->fd = (int)SYS(SYS_openat, AT_FDCWD, path, FLAGS, 0);
    bool is_known = p->fd >= 0 && sp_os_stat_fd(p->fd, &p->is) == 0;
    leave_slot(p, is_known ? OPEN : CLOSED);
    if (is_known && p->fd < STANDARD && !sp_os_linux_home) {
        sp_peek_close(p);
        return false;
    }
    return is_known;
}

long sp_peek_read(struct sp_peek *p, void *to, size_t bytes)
{
    long n = SYS(SYS_pread64, p->fd, to, bytes, p->at);
    p->at += n > 0 ? n : 0;
    return n;
}

void sp_peek_close(struct sp_peek *p)
{
    if (is_same(p->fd, &p->is))
        sp_os_close(p->fd);
    leave_slot(p, CLOSED);
}

/* A thread of the parent's was about to say which number it had: no program opens the kernel's files as we do. */
static void close_unsaid(void)
{
    for (int fd = STANDARD, missing = 0; proc_device && missing < FAR; fd++) {
        struct sp_os_stat is;
        bool is_open = sp_os_stat_fd(fd, &is) == 0;
        missing = is_open ? 0 : missing + 1;
        if (is_open && is.device == proc_device && SYS(SYS_fcntl, fd, F_GETFD, 0, 0) == FD_CLOEXEC &&
            SYS(SYS_fcntl, fd, F_GETFL, 0, 0) & O_NONBLOCK)
            sp_os_close(fd);
    }
}

void sp_os_files_forked(void)
{
    bool is_unsaid = false;
    for (uint32_t i = 0; i < SLOTS; i++) {
        if (held[i].state != TAKEN && held[i].fd && is_same(held[i].fd, &held[i].is))
            sp_os_close(held[i].fd);
        is_unsaid |= held[i].state == TAKEN;
        held[i].fd = 0;
        held[i].state = CLOSED;
    }
    if (is_unsaid)
        close_unsaid();
}
