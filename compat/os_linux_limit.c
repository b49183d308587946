/* SPDX-License-Identifier: MIT
 * Linux (see os.h): the process's limits, and what we do while another one stands in the place of one. All threads have the
 * same limits: one of ours at a time changes them. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "compat/os_linux_call.h"

#define TRIES 50
#define WAIT_NS 20000
#define MORE_FILES 8

struct limit {
    uint64_t cur, max;
};

static struct {
    uint32_t is_held; /* by a thread that has all signals blocked */
    uint32_t stands;  /* `instead` is in force, or may be */
    int resource;
    struct limit own, instead;
} lent;

/* Threads: any, atomically; by a fork child while it is alone. */
static int32_t unasked; /* timers that need no question, see below */

SP_SIGSAFE static bool hold(void)
{
    uint32_t free = 0;
    for (int i = 0; i < TRIES; i++, free = 0) {
        if (sp_cas(&lent.is_held, &free, 1))
            return true;
        sp_os_sleep_ns(WAIT_NS);
    }
    return false;
}

SP_SIGSAFE static void release(void)
{
    sp_store_release(&lent.is_held, 0);
}

/* A limit that the program set meanwhile stays. */
SP_SIGSAFE static void put_back(void)
{
    struct limit was;
    long rc = sp_syscall6(SYS_prlimit64, 0, lent.resource, (long)&lent.own, (long)&was, 0, 0);
    if (rc == 0 && (was.cur != lent.instead.cur || was.max != lent.instead.max))
        sp_syscall6(SYS_prlimit64, 0, lent.resource, (long)&was, 0, 0, 0);
    sp_store_release(&lent.stands, 0);
}

/* The soft limit is `cur` until put_back(). */
SP_SIGSAFE static int lend(int resource, const struct limit *own, uint64_t cur)
{
    lent.resource = resource;
    lent.own = *own;
    lent.instead = (struct limit){cur, own->max};
    sp_store_release(&lent.stands, 1);
    int rc = (int)SYS(SYS_prlimit64, 0, resource, &lent.instead, 0);
    if (rc != 0)
        sp_store_release(&lent.stands, 0);
    return rc;
}

void sp_os_limit_settle(void)
{
    for (int i = 0; i < 10 * TRIES && sp_load_acquire(&lent.stands); i++)
        sp_os_sleep_ns(WAIT_NS);
}

void sp_os_limit_forked(void)
{
    if (lent.stands)
        put_back();
    lent.is_held = 0;
    unasked = 0;
}

/* ---- timers. RLIMIT_SIGPENDING counts the timers and queued signals of all processes of a user, and nothing but a file in
 * /proc tells how many there are: the kernel answers with EAGAIN where they are more than the process's limit, so that is a
 * lower one while we ask. Of each answer with room to spare UNASKED timers more are made. */
#define UNASKED 256

SP_SIGSAFE static int ask(enum sp_os_clock clock, int tid, uint64_t value, int *timer, const struct limit *own, uint64_t most)
{
    if (lend(RLIMIT_SIGPENDING, own, most) != 0)
        return -EAGAIN;
    int rc = sp_os_timer_create(clock, tid, value, timer);
    put_back();
    return rc;
}

SP_SIGSAFE static int create_in_quarter(enum sp_os_clock clock, int tid, uint64_t value, int *timer)
{
    struct limit own;
    if (SYS(SYS_prlimit64, 0, RLIMIT_SIGPENDING, 0, &own) != 0 || own.cur == UINT64_MAX)
        return sp_os_timer_create(clock, tid, value, timer);
    uint64_t quarter = own.cur / 4;
    int rc = -EAGAIN;
    if (quarter > UNASKED && (rc = ask(clock, tid, value, timer, &own, quarter - UNASKED)) == 0)
        sp_store_relaxed(&unasked, UNASKED);
    if (rc == -EAGAIN && quarter)
        rc = ask(clock, tid, value, timer, &own, quarter);
    return rc;
}

int sp_os_timer_create_sparing(enum sp_os_clock clock, int tid, uint64_t value, int *timer)
{
    *timer = SP_OS_NO_TIMER;
    if (__atomic_fetch_sub(&unasked, 1, __ATOMIC_RELAXED) > 0)
        return sp_os_timer_create(clock, tid, value, timer);
    sp_store_relaxed(&unasked, 0);
    uint64_t mask = sp_os_mask_block(~0ull);
    bool is_held = hold();
    int rc = is_held ? create_in_quarter(clock, tid, value, timer) : sp_os_timer_create(clock, tid, value, timer);
    if (is_held)
        release();
    sp_os_mask_set(mask);
    return rc;
}

/* ---- descriptors: where the program's limit is used up, as far as the system lets it be raised, for the moment. */
SP_SIGSAFE static int open_with_more(const char *path, int flags, int mode)
{
    struct limit own;
    if (SYS(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, &own) != 0 || own.cur >= own.max ||
        lend(RLIMIT_NOFILE, &own, sp_min_u64(own.cur + MORE_FILES, own.max)) != 0)
        return -EMFILE;
    int fd = (int)SYS(SYS_openat, AT_FDCWD, path, flags, mode);
    put_back();
    return fd;
}

/* A program that closed its stderr may write to it yet; what it wrote to a new file before that was moved is taken back. */
SP_SIGSAFE static int above_standard(int fd, int flags)
{
    if (fd < 0 || fd > 2)
        return fd;
    int above = (int)SYS(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3, 0);
    if (above < 0)
        return fd;
    SYS(SYS_close, fd, 0, 0, 0);
    if (flags & O_EXCL) {
        SYS(SYS_ftruncate, above, 0, 0, 0);
        SYS(SYS_lseek, above, 0, SEEK_SET, 0);
    }
    return above;
}

int sp_os_linux_open(const char *path, int flags, int mode)
{
    int fd = (int)SYS(SYS_openat, AT_FDCWD, path, flags, mode);
    if (fd != -EMFILE)
        return above_standard(fd, flags);
    uint64_t mask = sp_os_mask_block(~0ull);
    if (hold()) {
        fd = open_with_more(path, flags, mode);
        release();
    }
    sp_os_mask_set(mask);
    return fd;
}

/* ---- what they are */
SP_SIGSAFE static uint64_t limit(int resource)
{
    struct limit own;
    return SYS(SYS_prlimit64, 0, resource, 0, &own) == 0 ? own.cur : UINT64_MAX;
}

uint64_t sp_os_limit_memory(void)
{
    return sp_min_u64(limit(RLIMIT_AS), limit(RLIMIT_DATA));
}

uint64_t sp_os_limit_processes(void)
{
    return limit(RLIMIT_NPROC);
}

uint64_t sp_os_limit_file_size(void)
{
    return limit(RLIMIT_FSIZE);
}
