/* SPDX-License-Identifier: MIT
 * Linux by raw system calls (see os.h): files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>

#include "compat/buf.h"
#include "compat/os_linux_call.h"
#include "compat/os_linux_peek.h"

/* The kernel's struct stat is glibc's and musl's on x86-64 and aarch64. */
SP_SIGSAFE static int fill_stat(struct sp_os_stat *st, const struct stat *s, long rc)
{
    *st = (struct sp_os_stat){.kind = SP_OS_ABSENT};
    if (rc != 0)
        return (int)rc;
    st->kind = S_ISREG(s->st_mode)   ? SP_OS_REGULAR
               : S_ISDIR(s->st_mode) ? SP_OS_DIRECTORY
               : S_ISLNK(s->st_mode) ? SP_OS_SYMLINK
                                     : SP_OS_OTHER;
    st->uid = s->st_uid;
    st->mode = s->st_mode;
    st->size = (uint64_t)s->st_size;
    st->mtime_ns = (uint64_t)s->st_mtim.tv_sec * SP_NS_PER_S + (uint64_t)s->st_mtim.tv_nsec;
    st->inode = s->st_ino;
    st->device = s->st_dev;
    return 0;
}

int sp_os_stat(const char *path, bool follow, struct sp_os_stat *st)
{
    struct stat s;
    long rc = SYS(SYS_newfstatat, AT_FDCWD, path, &s, follow ? 0 : AT_SYMLINK_NOFOLLOW);
    return fill_stat(st, &s, rc);
}

int sp_os_stat_fd(int fd, struct sp_os_stat *st)
{
    struct stat s;
    long rc = SYS(SYS_fstat, fd, &s, 0, 0);
    return fill_stat(st, &s, rc);
}

int sp_os_read_link(const char *path, char *target, size_t cap)
{
    long n = SYS(SYS_readlinkat, AT_FDCWD, path, target, cap - 1);
    if (n < 0)
        return (int)n;
    target[n] = '\0';
    return (size_t)n < cap - 1 ? 0 : -ENAMETOOLONG;
}

uint32_t sp_os_pid_namespace(void)
{
    struct sp_os_stat st; /* the namespace is the inode that the link leads to (man 7 namespaces) */
    return sp_os_stat("/proc/self/ns/pid", true, &st) == 0 ? (uint32_t)st.inode : 0;
}

int sp_os_create(const char *path, bool owner_only)
{
    int mode = owner_only ? 0600 : 0666;
    return sp_os_linux_open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
}

/* Only the proc file system has such links. */
bool sp_os_is_descriptor(const struct sp_os_stat *link, const char *target)
{
    static const char proc[] = "/proc/";
    struct sp_os_stat st;
    size_t n = 0;
    while (proc[n] && target[n] == proc[n])
        n++;
    return !proc[n] || (sp_os_stat("/proc/self/fd", true, &st) == 0 && st.device == link->device);
}

int sp_os_create_spool(const char *path)
{
    return sp_os_linux_open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

int sp_os_set_size(int fd, uint64_t bytes, bool blocks)
{
    uint32_t tries = 0;
    long r;
    do
        r = blocks ? SYS(SYS_fallocate, fd, 0, 0, bytes) : SYS(SYS_ftruncate, fd, bytes, 0, 0);
    while (sp_os_linux_again(r, &tries));
    return (int)r;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int sp_os_populate(void *p, size_t bytes)
{
    int rc = (int)SYS(SYS_madvise, p, bytes, MADV_POPULATE_WRITE, 0);
    return rc == 0 && !sp_os_linux_takes_advice(p) ? -EINVAL : rc;
}

int sp_os_map_file(int fd, void *p, size_t bytes)
{
    long r = SYS6(SYS_mmap, p, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
    if (r < 0 && r > -4096)
        return (int)r;
    SYS(SYS_madvise, p, bytes, MADV_DONTDUMP, 0);
    return 0;
}

int sp_os_open_read(const char *path)
{
    return sp_os_linux_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK, 0);
}

int sp_os_open_in_place(const char *path)
{
    return sp_os_linux_open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
}

int sp_os_open_write(const char *path)
{
    return sp_os_linux_open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
}

int sp_os_open_append(const char *path, bool owner_only)
{
    int mode = owner_only ? 0600 : 0666;
    return sp_os_linux_open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, mode);
}

int sp_os_each_entry(const char *directory, bool (*found)(void *arg, const char *name), void *arg)
{
    int fd = sp_os_linux_open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    _Alignas(8) char chunk[2048];
    long n;
    bool more = true;
    while (more && (n = SYS(SYS_getdents64, fd, chunk, sizeof chunk, 0)) > 0) {
        for (long at = 0; more && at < n;) {
            const struct linux_dirent64 *e = (const struct linux_dirent64 *)(chunk + at);
            more = found(arg, e->name);
            at += e->reclen;
        }
    }
    sp_os_close(fd);
    return more ? (int)n : 0;
}

int sp_os_lock_file(int fd)
{
    return (int)SYS(SYS_flock, fd, LOCK_EX | LOCK_NB, 0, 0);
}

#ifndef F_SETSIG
#define F_SETSIG 10
#endif
#ifndef F_SETLEASE
#define F_SETLEASE 1024
#endif

/* A lease for reading is granted only while nobody has the file open for writing, and a mapping keeps it open (fs/locks.c):
 * true whatever namespace the writer is in. On overlayfs and network file systems it is granted, or refused, all the same. Who
 * opens the file for writing in this instant sends the signal that is set, by default one that kills. */
int sp_os_has_writer(int fd)
{
    struct statfs fs;
    if (SYS(SYS_fstatfs, fd, &fs, 0, 0) != 0)
        return -EOPNOTSUPP;
    switch ((unsigned long)fs.f_type & 0xffffffff) {
    case 0xef53:     /* ext2, ext3, ext4 */
    case 0x01021994: /* tmpfs */
    case 0x58465342: /* xfs */
    case 0x9123683e: /* btrfs */ break;
    default: return -EOPNOTSUPP;
    }
    int rc = (int)SYS(SYS_fcntl, fd, F_SETSIG, SIGURG, 0);
    if (rc == 0)
        rc = (int)SYS(SYS_fcntl, fd, F_SETLEASE, F_RDLCK, 0);
    if (rc == 0)
        sp_syscall6(SYS_fcntl, fd, F_SETLEASE, F_UNLCK, 0, 0, 0);
    return rc == -EAGAIN ? 1 : rc < 0 ? rc : 0;
}

long sp_os_read(int fd, void *p, size_t n)
{
    uint32_t tries = 0;
    long r;
    do
        r = SYS(SYS_read, fd, p, n, 0);
    while (sp_os_linux_again(r, &tries));
    return r;
}

long sp_os_read_at(int fd, void *p, size_t n, uint64_t offset)
{
    uint32_t tries = 0;
    long r;
    do
        r = SYS6(SYS_pread64, fd, p, n, offset, 0, 0);
    while (sp_os_linux_again(r, &tries));
    return r;
}

int sp_os_write_all(int fd, const void *p, size_t n)
{
    const char *s = p;
    uint32_t tries = 0;
    while (n > 0) {
        long r = SYS(SYS_write, fd, s, n, 0);
        if (sp_os_linux_again(r, &tries))
            continue;
        if (r < 0)
            return (int)r;
        if (r == 0)
            return -EIO;
        tries = 0;
        s += r;
        n -= (size_t)r;
    }
    return 0;
}

int sp_os_close(int fd)
{
    return (int)sp_syscall6(SYS_close, fd, 0, 0, 0, 0, 0);
}

int sp_os_unlink(const char *path)
{
    return (int)SYS(SYS_unlinkat, AT_FDCWD, path, 0, 0);
}

SP_SIGSAFE static int rename_flags(const char *from, const char *to, unsigned flags)
{
    return (int)SYS6(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags, 0);
}

int sp_os_rename(const char *from, const char *to)
{
    return (int)SYS(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int sp_os_rename_exchange(const char *a, const char *b)
{
    return rename_flags(a, b, RENAME_EXCHANGE);
}

int sp_os_rename_new(const char *from, const char *to)
{
    int rc = rename_flags(from, to, RENAME_NOREPLACE);
    if (rc != -EINVAL && rc != -ENOSYS)
        return rc;
    /* A filesystem without RENAME_NOREPLACE (NFS, some FUSE): link() is as good. */
    rc = (int)SYS6(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0, 0);
    if (rc == 0)
        sp_os_unlink(from);
    if (rc != -EPERM && rc != -ENOSYS && rc != -EOPNOTSUPP)
        return rc;
    /* Neither (vfat): the name is taken with O_EXCL, then replaced by us who own it. */
    int fd = sp_os_create(to, true); /* for the name only */
    if (fd < 0)
        return fd;
    sp_os_close(fd);
    return sp_os_rename(from, to);
}

bool sp_os_can_execute_at(int fd, const char *path)
{
    return SYS(SYS_faccessat, fd, path, 1 /* X_OK */, 0) == 0;
}

bool sp_os_can_execute(const char *path)
{
    return sp_os_can_execute_at(AT_FDCWD, path);
}

bool sp_os_can_write(const char *path)
{
    return SYS(SYS_faccessat, AT_FDCWD, path, 2 | 1 /* W_OK | X_OK */, 0) == 0;
}

bool sp_os_is_terminal(int fd)
{
    char termios[256];
    return sp_syscall6(SYS_ioctl, fd, 0x5401 /* TCGETS */, (long)termios, 0, 0, 0) == 0;
}

size_t sp_os_thread_file(int tid, const char *file, char *text, size_t cap)
{
    char path[64];
    SP_BUF(b, path);
    sp_os_linux_put_self(&b);
    sp_buf_char(&b, '/');
    if (tid) {
        sp_buf_str(&b, "task/");
        sp_buf_u64(&b, (uint64_t)tid);
        sp_buf_char(&b, '/');
    }
    sp_buf_str(&b, file);
    struct sp_peek peek;
    bool is_open = sp_peek_open(&peek, path);
    long n = is_open ? sp_peek_read(&peek, text, cap - 1) : 0;
    if (is_open)
        sp_peek_close(&peek);
    text[n > 0 ? n : 0] = '\0';
    return n > 0 ? (size_t)n : 0;
}

void sp_os_thread_name_of(int tid, char name[16])
{
    size_t n = sp_os_thread_file(tid, "comm", name, 16);
    if (n && name[n - 1] == '\n')
        name[n - 1] = '\0';
}

/* "cpu_ns queued_ns slices" (Documentation/scheduler/sched-stats.rst) */
uint64_t sp_os_thread_queued_ns(int tid)
{
    char text[64], *s = text;
    uint64_t ns = 0;
    sp_os_thread_file(tid, "schedstat", text, sizeof text);
    while (*s && *s != ' ')
        s++;
    for (s += *s == ' '; *s >= '0' && *s <= '9'; s++)
        ns = ns * 10 + (uint64_t)(*s - '0');
    return ns;
}

int sp_os_executable(char *path, size_t cap)
{
    long r = SYS(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", path, cap - 1);
    path[r > 0 ? r : 0] = '\0';
    return r < 0 ? (int)r : 0;
}

int sp_os_cwd(char *path, size_t cap)
{
    long r = SYS(SYS_getcwd, path, cap, 0, 0);
    if (r < 0)
        return (int)r;
    return path[0] == '/' ? 0 : -ENOENT; /* "(unreachable)/…" */
}

void sp_os_hostname(char *name, size_t cap)
{
    struct utsname u;
    name[0] = '\0';
    if (SYS(SYS_uname, &u, 0, 0, 0) != 0)
        return;
    size_t n = 0;
    for (; u.nodename[n] && n + 1 < cap; n++)
        name[n] = u.nodename[n];
    name[n] = '\0';
}

uint32_t sp_os_euid(void)
{
    return (uint32_t)sp_syscall6(SYS_geteuid, 0, 0, 0, 0, 0, 0);
}

void sp_os_boot_id(char id[40])
{
    for (int i = 0; i < 40; i++)
        id[i] = '\0';
    int fd = sp_os_open_read("/proc/sys/kernel/random/boot_id");
    long n = fd < 0 ? 0 : sp_os_read(fd, id, 36);
    if (fd >= 0)
        sp_os_close(fd);
    if (n != 36)
        id[0] = '\0';
}

long sp_os_command_line(char *p, size_t cap)
{
    int fd = sp_os_open_read("/proc/self/cmdline");
    if (fd < 0)
        return fd;
    size_t n = 0;
    long r;
    while (n < cap && (r = sp_os_read(fd, p + n, cap - n)) > 0)
        n += (size_t)r;
    sp_os_close(fd);
    return (long)n;
}
