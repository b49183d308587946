/* SPDX-License-Identifier: MIT
 * The operating system as spprof needs it: one family of files per system implements this (os_linux*.c).
 * No function here allocates, takes a lock or touches errno; failures are negative errno. */
#ifndef SP_COMPAT_OS_H
#define SP_COMPAT_OS_H

#include <signal.h>

#include "compat/base.h"

/* A kernel timer id; 0 is a valid one, so -1 stands for "none". */
#define SP_OS_NO_TIMER (-1)

/* --- [handler] process and thread --- */
SP_SIGSAFE int sp_os_getpid(void);
SP_SIGSAFE int sp_os_getppid(void);
SP_SIGSAFE int sp_os_gettid(void);
SP_SIGSAFE uint32_t sp_os_pid_namespace(void);       /* number of the namespace that pids belong to; 0: unknown */
SP_SIGSAFE uint64_t sp_os_thread_cpu_ns(void);       /* CPU of the calling thread */
SP_SIGSAFE uint64_t sp_os_thread_cpu_ns_of(int tid); /* CPU of a thread of this process; 0 if gone */
SP_SIGSAFE uint64_t sp_os_process_cpu_ns(void);
uint64_t sp_os_process_cpu_ns_of(int pid); /* [hook] 0 if gone */
SP_SIGSAFE uint64_t sp_os_mono_ns(void);   /* monotonic, by tick: about 4 ms fine, 10 ns dear */
SP_SIGSAFE uint64_t sp_os_mono_exact_ns(void);
SP_SIGSAFE uint64_t sp_os_mono_fast_ns(void); /* the same, as libc tells it: 25 ns, and what the program sees */
/* How long a thread of this process waited for a CPU while it could run; 0: the system does not tell. Opens a file. */
SP_SIGSAFE uint64_t sp_os_thread_queued_ns(int tid);
SP_SIGSAFE bool sp_os_on_alternate_stack(void);
SP_SIGSAFE uint64_t sp_os_wall_ns(void); /* nanoseconds since 1970, UTC */
SP_SIGSAFE uint64_t sp_os_tick_ns(void); /* what CPU timers are rounded up to */
SP_SIGSAFE void sp_os_sleep_ns(uint64_t ns);
SP_SIGSAFE void sp_os_thread_name(char name[16]); /* the calling thread's; "" if it has none */
/* A thread of this process by its id; 0: the process. "" if there is no such thread, or no /proc. Opens a file. */
SP_SIGSAFE void sp_os_thread_name_of(int tid, char name[16]);
/* What its file of that name under /proc says, NUL-terminated, at most cap - 1 bytes: how many. */
SP_SIGSAFE size_t sp_os_thread_file(int tid, const char *file, char *text, size_t cap);
SP_SIGSAFE int sp_os_tgkill(int tid, int sig);
SP_SIGSAFE int sp_os_kill(int pid, int sig);

/* [hook] Runs run(arg) in a process that has the memory of this one and else nothing: no descriptors but the first three,
 * dispositions of its own, and wait() does not see it. Its thread-local storage, ours, is zero, libc's is none: nothing of libc's may
 * be called there but what touches its arguments alone. A fault ends it without a word. The functions here that tell of threads by
 * their ids tell of this process's. One at a time. *pid is its id before it runs. 0, or
 * negative errno. */
int sp_os_beside(void (*run)(void *arg), void *arg, int *pid);
/* [handler] Whether the caller is such a process. */
SP_SIGSAFE bool sp_os_is_beside(void);
/* [hook] In such a process: f(arg), which it ends in if something in memory is not there. False: that came to pass. */
bool sp_os_beside_try(void (*f)(void *arg), void *arg);
/* [hook] Whether it has ended, and buries it; waits: until it has. Signals are blocked. */
bool sp_os_beside_ended(int pid, bool waits);

/* --- [hook] a socket that another process listens at, by its abstract name: a descriptor, or negative errno --- */
int sp_os_connect(const char *name);
bool sp_os_peer_uid(int fd, uint32_t *uid); /* of who listens, by the kernel */
/* One message within wait_ns; *passed: the descriptor that came with it, -1: none. Its bytes, or negative errno. */
long sp_os_receive(int fd, void *p, size_t n, int *passed, uint64_t wait_ns);
int sp_os_send(int fd, const void *p, size_t n); /* without waiting */
/* [hook] Waits, at most so long, while *word is that value, for whoever says that it has changed. */
void sp_os_await_change(const uint32_t *word, uint32_t value, uint64_t ns);
void sp_os_changed(const uint32_t *word);

/* --- [handler] timers on a thread's CPU clock, or the monotonic one: SIGPROF to the thread, carrying `value` --- */
enum sp_os_clock { SP_OS_CLOCK_CPU, SP_OS_CLOCK_MONO };
SP_SIGSAFE int sp_os_timer_create(enum sp_os_clock clock, int tid, uint64_t value, int *timer);
/* ... unless it and all else that counts against the user's RLIMIT_SIGPENDING were more than a quarter of it: -EAGAIN. */
SP_SIGSAFE int sp_os_timer_create_sparing(enum sp_os_clock clock, int tid, uint64_t value, int *timer);
SP_SIGSAFE int sp_os_timer_arm(int timer, uint64_t first_ns, uint64_t period_ns); /* 0, 0 disarms */
SP_SIGSAFE void sp_os_timer_delete(int timer);
SP_SIGSAFE bool sp_os_timer_exists(int timer); /* in the calling process */

/* [handler] Calls `found(arg, tid)` for each thread of this process. Negative errno if they cannot be listed. */
SP_SIGSAFE int sp_os_each_thread(void (*found)(void *arg, int tid), void *arg);

/* [handler] Whether one byte at `address` can be read. Costs a system call (about 0.2 us), faults never.
 * Works after sp_os_probe_init() returned true. */
SP_SIGSAFE bool sp_os_readable(uintptr_t address);
/* [hook] Whether all of a few bytes can be read: the first and the last are asked for. */
bool sp_os_can_read(const void *p, size_t bytes);
/* [start] Finds a probe that tells a mapped from an unmapped page here; false: none does. */
bool sp_os_probe_init(void);

/* --- [handler] signal mask of the calling thread, by the kernel: 64 signals in a word --- */
#define SP_OS_MASK(sig) (1ull << ((sig)-1))
#define SP_OS_SIGNALS 65                              /* signals are numbered 1 ... 64 */
SP_SIGSAFE uint64_t sp_os_mask_block(uint64_t add);   /* returns the mask before */
SP_SIGSAFE uint64_t sp_os_mask_unblock(uint64_t sub); /* returns the mask before */
SP_SIGSAFE void sp_os_mask_set(uint64_t mask);
/* [handler] Whether a signal was delivered because the system call that it interrupted changed the thread's mask: by its
 * handler's context. The calls above do not count. */
SP_SIGSAFE bool sp_os_ends_mask_call(const void *context);
SP_SIGSAFE uint64_t sp_os_pending(void); /* blocked, and waiting for the calling thread or the process */
/* Whether a thread of this process has it blocked; false too if /proc does not tell. 30 us. */
SP_SIGSAFE bool sp_os_thread_blocks(int tid, int sig);
bool sp_os_waits_in_thread(int tid, int sig); /* [hook] sent to that thread, and pending there; as above */
/* [hook] ... and the thread does not sleep with it blocked: it comes soon, perhaps behind a handler. */
bool sp_os_is_on_its_way(int tid, int sig);
/* [handler] Takes one pending signal of `mask` without waiting: its number, or 0. */
SP_SIGSAFE int sp_os_take_pending(uint64_t mask, siginfo_t *info);
SP_SIGSAFE int sp_os_requeue(int sig, siginfo_t *info); /* to the calling thread; 0 or negative errno */
SP_SIGSAFE void sp_os_requeue_to_process(int sig, siginfo_t *info);
int sp_os_queue_to_thread(int tid, int sig, siginfo_t *info); /* [hook] of this process; si_code below 0. Negative errno */
/* [hook] By a handler's context, of a system call that begins anew: whether a handler without SA_RESTART would have ended it with
 * EINTR (signal(7)). Others begin anew whatever the handler (ERESTARTNOINTR in the kernel). */
bool sp_os_may_interrupt(const void *context);
/* [handler] The address of the system call that the interrupted code goes on with, because it was interrupted and begins anew; else 0. */
SP_SIGSAFE uintptr_t sp_os_restarts(const void *context);
/* [hook] The signals that the main thread has blocked. False: it is dead, or /proc/self/status does not tell. 30 us. */
bool sp_os_main_thread_blocks(uint64_t *mask);

/* --- [hook] what the kernel told the program at its start; 0: nothing --- */
bool sp_os_is_privileged(void);        /* it has more rights than who started it */
uintptr_t sp_os_main_stack(void);      /* somewhere above the main thread's frames */
uintptr_t sp_os_program_entry(void);   /* in the program, not in a library */
size_t sp_os_signal_frame_bytes(void); /* what it puts onto a stack for a handler, at most */
size_t sp_os_page_bytes(void);         /* 4, 16 or 64 KB */

/* [hook] A system call as libc's function of that name makes it: its result, or negative errno. */
enum sp_os_plain {
    SP_OS_PLAIN_read,
    SP_OS_PLAIN_write,
    SP_OS_PLAIN_readv,
    SP_OS_PLAIN_writev,
    SP_OS_PLAIN_recvfrom,
    SP_OS_PLAIN_recvmsg,
    SP_OS_PLAIN_sendto,
    SP_OS_PLAIN_sendmsg,
    SP_OS_PLAIN_connect,
    SP_OS_PLAIN_accept,
    SP_OS_PLAIN_accept4,
    SP_OS_PLAIN_flock,
    SP_OS_PLAIN_fsync,
    SP_OS_PLAIN_fdatasync,
    SP_OS_PLAIN_nanosleep,
    SP_OS_PLAIN_wait4,
    SP_OS_PLAIN_waitid,
    SP_OS_PLAIN_recvmmsg,
    SP_OS_PLAIN_sendmmsg,
    SP_OS_PLAIN_pread64,
    SP_OS_PLAIN_pwrite64,
    SP_OS_PLAIN_preadv,
    SP_OS_PLAIN_pwritev,
    SP_OS_PLAIN_preadv2,
    SP_OS_PLAIN_pwritev2,
    SP_OS_PLAIN_sendfile,
    SP_OS_PLAIN_splice,
    SP_OS_PLAIN_copy_file_range,
    SP_OS_PLAIN_openat,
    SP_OS_PLAIN_close,
    SP_OS_PLAIN_fcntl,
    SP_OS_PLAIN_msync,
    SP_OS_PLAIN_syncfs,
    SP_OS_PLAIN_poll,
    SP_OS_PLAIN_select,
    SP_OS_PLAIN_epoll_wait,
};
long sp_os_plain(enum sp_os_plain call, const long arguments[6]);
#define SP_OS_HERE (-100) /* the working directory, to openat() */
/* [hook] A system call by its number; whether it waits, as a lock does: by its second argument. */
long sp_os_call(long number, const long arguments[6]);
bool sp_os_call_waits(long number, long second);
/* Of one in which threads wait its name; NULL: it is none of those that are known. */
const char *sp_os_call_name(long number);

/* --- [start] memory --- */
/* [handler] Zeroed private pages, kept by fork children and in core dumps. NULL: refused. */
SP_SIGSAFE void *sp_os_pages(size_t bytes);
SP_SIGSAFE void sp_os_release(void *p, size_t bytes);

/* [hook] Zeroed private address space that costs nothing, nor counts against RLIMIT_DATA or as committed memory, until
 * sp_os_make_writable(); that stays out of core dumps and huge pages, and is zero again in a fork child. *wipes says whether
 * the kernel promises the last. NULL: refused. */
void *sp_os_reserve(size_t bytes, bool *wipes);
/* [hook] sp_os_reserve() in the place of what is mapped at p. False: refused. */
bool sp_os_reserve_at(void *p, size_t bytes, bool *wipes);
/* [handler] Zero memory that can be written, in the place of what is mapped at p, which other threads may touch at any moment. False:
 * refused. */
SP_SIGSAFE bool sp_os_replace(void *p, size_t bytes);
void sp_os_forbid(void *p, size_t bytes); /* [any] whoever touches it faults */
/* [fork-child] Makes reserved memory zero again. */
bool sp_os_forget(void *p, size_t bytes);
/* [handler] Pages of reserved memory: may be written from now on, or are given back and zero. Negative errno. */
SP_SIGSAFE int sp_os_make_writable(void *p, size_t bytes);
SP_SIGSAFE int sp_os_give_back(void *p, size_t bytes);
/* Finite limits in bytes; UINT64_MAX: none. Of memory: the lower of RLIMIT_AS and RLIMIT_DATA. */
SP_SIGSAFE uint64_t sp_os_limit_memory(void);
SP_SIGSAFE uint64_t sp_os_limit_file_size(void);
uint64_t sp_os_limit_processes(void); /* [hook] of the user, threads too */
/* Before an exec: waits, some milliseconds at most, while one of ours stands in the place of a limit, which the new program
 * would inherit. */
SP_SIGSAFE void sp_os_limit_settle(void);
void sp_os_limit_forked(void); /* [fork-child] puts the limit back */
void sp_os_files_forked(void); /* [fork-child] closes what another thread was reading for us */

/* --- [handler] files --- */
enum sp_os_kind { SP_OS_ABSENT, SP_OS_REGULAR, SP_OS_DIRECTORY, SP_OS_SYMLINK, SP_OS_OTHER };
struct sp_os_stat {
    enum sp_os_kind kind;
    uint32_t uid, mode;
    uint64_t size, mtime_ns, inode, device;
};
SP_SIGSAFE int sp_os_stat(const char *path, bool follow, struct sp_os_stat *st);
SP_SIGSAFE int sp_os_stat_fd(int fd, struct sp_os_stat *st);
/* O_EXCL, write only, close-on-exec; 0666 & ~umask, or 0600 & ~umask for the owner alone: descriptor. */
SP_SIGSAFE int sp_os_create(const char *path, bool owner_only);
SP_SIGSAFE int sp_os_read_link(const char *path, char *target, size_t cap); /* where a symlink points. 0, or negative errno */
/* Whether a link stands for a descriptor that is open: it is one of those, or leads to one (`target`). */
SP_SIGSAFE bool sp_os_is_descriptor(const struct sp_os_stat *link, const char *target);
SP_SIGSAFE int sp_os_create_spool(const char *path); /* O_EXCL, read and write, close-on-exec, 0600: descriptor */
/* Gives the file `bytes`, and with `blocks` their room on the disk at once. -EOPNOTSUPP: the file system cannot. */
SP_SIGSAFE int sp_os_set_size(int fd, uint64_t bytes, bool blocks);
/* Makes pages of a mapping that can be written: what a full disk refuses comes back as -EFAULT, and not as a SIGBUS at
 * the first write. -EINVAL: Linux before 5.14 cannot. */
SP_SIGSAFE int sp_os_populate(void *p, size_t bytes);
/* Shares the file's first bytes at p, in the place of what is mapped there; out of core dumps. */
SP_SIGSAFE int sp_os_map_file(int fd, void *p, size_t bytes);
SP_SIGSAFE int sp_os_open_read(const char *path);
int sp_os_open_write(
    const char *path); /* [hook] as it is, made if it is not there, with the mode of sp_os_create; follows links */
SP_SIGSAFE int sp_os_open_in_place(const char *path); /* truncates a regular file; never follows a link, never waits */
SP_SIGSAFE long sp_os_read(int fd, void *p, size_t n);
SP_SIGSAFE long sp_os_read_at(int fd, void *p, size_t n, uint64_t offset);
SP_SIGSAFE int sp_os_write_all(int fd, const void *p, size_t n);
SP_SIGSAFE int sp_os_close(int fd);
SP_SIGSAFE int sp_os_unlink(const char *path);
SP_SIGSAFE int sp_os_rename(const char *from, const char *to);
SP_SIGSAFE int sp_os_rename_exchange(const char *a, const char *b);
/* Gives `from` the name `to`, which must not exist (-EEXIST); `from` is gone afterwards. */
SP_SIGSAFE int sp_os_rename_new(const char *from, const char *to);
/* [hook] Calls found(arg, name) for each entry of a directory until that returns false. Negative errno: it cannot be listed. */
int sp_os_each_entry(const char *directory, bool (*found)(void *arg, const char *name), void *arg);
/* [hook] Made if it is not there, with the mode of sp_os_create; reads from the beginning, appends. Never follows a link, never waits. */
int sp_os_open_append(const char *path, bool owner_only);
int sp_os_lock_file(int fd); /* [hook] until it is closed; -EWOULDBLOCK: another has it. Read access is enough */
/* [hook] Whether a process has the file open or mapped for writing, whatever namespace it is in: 1, 0, or negative errno where the
 * file system does not tell. The file must be of the caller's own user. */
int sp_os_has_writer(int fd);
/* [handler] Whether this user could, and facts of the process. */
SP_SIGSAFE bool sp_os_can_execute(const char *path); /* any pointer: what cannot be read is no path */
SP_SIGSAFE bool sp_os_can_execute_at(int fd, const char *path);
SP_SIGSAFE bool sp_os_can_write(const char *path);
SP_SIGSAFE bool sp_os_is_terminal(int fd);
SP_SIGSAFE int sp_os_executable(char *path, size_t cap); /* the file that the process runs; -ENOENT: no /proc */
SP_SIGSAFE int sp_os_cwd(char *path, size_t cap);
SP_SIGSAFE void sp_os_hostname(char *name, size_t cap);
SP_SIGSAFE uint32_t sp_os_euid(void);
/* [handler] The kernel's id of this boot, NUL-padded: one that no other machine has; "" if it does not tell. */
SP_SIGSAFE void sp_os_boot_id(char id[40]);
/* [handler] Bytes of the process's command line (NUL-separated) copied, or negative errno. */
SP_SIGSAFE long sp_os_command_line(char *p, size_t cap);

/* --- [hook] what is mapped --- */
struct sp_os_mapping {
    uintptr_t start, end;
    uint64_t offset, device, inode; /* of the file; inode 0: none */
    bool readable, executable;
    const char *name; /* the last part of its path, 63 bytes at most; "" if it has none */
};
/* Calls found(arg, mapping) for each, in ascending order, until that returns true. False: it never did. By system calls
 * alone. */
bool sp_os_each_mapping(bool (*found)(void *arg, const struct sp_os_mapping *m), void *arg);
/* [handler] The same, by a buffer of the caller's. */
SP_SIGSAFE bool sp_os_each_mapping_by(char *chunk, size_t cap, bool (*found)(void *arg, const struct sp_os_mapping *m),
                                      void *arg);

#ifdef SP_FAULT
/* Test builds: the n-th system call from now on fails with `error` (n = 0: none). */
void sp_os_fault_set(long n, int error);
long sp_os_fault_count(void); /* calls since the last set */
#endif

#endif
