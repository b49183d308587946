/* SPDX-License-Identifier: MIT
 * See source.h. A path of another process may mean another file here, its pid another process: inode and the pid in the
 * region's head are compared. */
#include "inject/command/source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "compat/os.h"
#include "sampler/store.h"

#define READ_MOST (1u << 24)

static long read_some(const struct sp_source *s, void *p, size_t n, uint64_t at)
{
    if (s->fd >= 0)
        return pread(s->fd, p, n, (off_t)at);
    struct iovec here = {p, n}, there = {(void *)(uintptr_t)(s->address + at), n};
    return process_vm_readv(s->thread, &here, 1, &there, 1, 0);
}

uint64_t sp_source_read(const struct sp_source *s, void *p, uint64_t n, uint64_t at)
{
    uint64_t done = 0;
    while (done < n) {
        long r = read_some(s, (char *)p + done, n - done < READ_MOST ? n - done : READ_MOST, at + done);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        done += (uint64_t)r;
    }
    return done;
}

/* ---- a running process */
struct mapping {
    uint64_t from, to, inode;
    char mode[8];
    char path[PATH_MAX];
};

static bool parse_mapping(const char *line, struct mapping *m)
{
    unsigned long long from, to, inode;
    int path_at = 0;
    if (sscanf(line, "%llx-%llx %7s %*s %*s %llu %n", &from, &to, m->mode, &inode, &path_at) < 4)
        return false;
    m->from = from;
    m->to = to;
    m->inode = inode;
    snprintf(m->path, sizeof m->path, "%.*s", (int)strcspn(line + path_at, "\n"), line + path_at);
    return m->mode[1] == 'w';
}

static bool ends_in(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

static bool is_spool(const struct mapping *m)
{
    return m->inode && m->mode[3] == 's' && (ends_in(m->path, ".spool") || ends_in(m->path, ".spool (deleted)"));
}

static bool lives(pid_t tid)
{
    char name[64], line[256], state = 'X';
    snprintf(name, sizeof name, "/proc/%d/status", (int)tid);
    FILE *f = fopen(name, "r");
    while (f && fgets(line, sizeof line, f) && sscanf(line, "State: %c", &state) != 1)
        ;
    if (f)
        fclose(f);
    return state != 'Z' && state != 'X';
}

pid_t sp_source_thread_of(pid_t pid)
{
    char name[64];
    pid_t found = lives(pid) ? pid : 0;
    snprintf(name, sizeof name, "/proc/%d/task", (int)pid);
    DIR *d = found ? NULL : opendir(name);
    for (const struct dirent *e; d && !found && (e = readdir(d));) {
        pid_t tid = (pid_t)atoi(e->d_name);
        found = tid > 0 && lives(tid) ? tid : 0;
    }
    if (d)
        closedir(d);
    return found;
}

/* By a thread that lives: what ended maps nothing. */
static FILE *open_maps(pid_t pid)
{
    char name[64];
    pid_t thread = sp_source_thread_of(pid);
    snprintf(name, sizeof name, "/proc/%d/maps", (int)(thread ? thread : pid));
    return fopen(name, "r");
}

/* The process's number for itself: the last of its NSpid, which each namespace of pids that it is in adds to. */
static uint32_t own_pid(pid_t pid)
{
    char name[64], line[512];
    uint32_t found = (uint32_t)pid;
    snprintf(name, sizeof name, "/proc/%d/status", (int)pid);
    FILE *f = fopen(name, "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "NSpid:", 6) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        const char *last = strrchr(line, '\t');
        found = last ? (uint32_t)strtoul(last, NULL, 10) : found;
    }
    if (f)
        fclose(f);
    return found;
}

static bool is_region_of(const struct sp_source *s, uint32_t pid)
{
    struct sp_region head;
    return sp_source_read(s, &head, sizeof head, 0) == sizeof head && head.magic == SP_REGION_MAGIC && head.pid == pid;
}

/* The file that the process has mapped there: by the kernel's own link (a privilege), by the process's root, by its name
 * here. -1: none of them is that file. */
static int open_mapped(pid_t pid, const struct mapping *m)
{
    char names[3][PATH_MAX + 64];
    snprintf(names[0], sizeof names[0], "/proc/%d/map_files/%llx-%llx", (int)pid, (unsigned long long)m->from,
             (unsigned long long)m->to);
    snprintf(names[1], sizeof names[1], "/proc/%d/root%s", (int)pid, m->path);
    snprintf(names[2], sizeof names[2], "%s", m->path);
    for (int i = 0; i < 3; i++) {
        struct stat st;
        int fd = open(names[i], O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (i == 0 || st.st_ino == m->inode))
            return fd;
        if (fd >= 0)
            close(fd);
    }
    return -1;
}

/* Whether the mapping is the process's region, and how it is to be read. */
static bool take(struct sp_source *s, pid_t pid, uint32_t number, const struct mapping *m, bool *refused)
{
    pid_t thread = sp_source_thread_of(pid);
    struct sp_source file = {.fd = is_spool(m) ? open_mapped(thread, m) : -1},
                     memory = {.fd = -1, .thread = thread, .address = m->from};
    uint64_t magic;
    if (file.fd >= 0 && is_region_of(&file, number)) {
        s->fd = file.fd;
        s->pid = pid;
        return true;
    }
    if (file.fd >= 0)
        close(file.fd);
    if (!is_spool(m) && (m->inode || m->to - m->from < SP_STORE_FIRST))
        return false;
    if (read_some(&memory, &magic, sizeof magic, 0) < 0)
        *refused |= errno == EPERM;
    if (!is_region_of(&memory, number))
        return false;
    s->pid = pid;
    s->thread = thread;
    s->address = m->from;
    return true;
}

const char *sp_source_of_process(struct sp_source *s, pid_t pid)
{
    char *line = NULL;
    size_t cap = 0;
    FILE *f = open_maps(pid);
    s->refused = !f && errno == EACCES;
    if (!f)
        return errno == ENOENT   ? "there is no such process"
               : errno == EACCES ? "it is another user's; that user and root may look into it"
                                 : strerror(errno);
    uint32_t number = own_pid(pid);
    bool found = false, refused = false, has_spool = false;
    struct mapping m;
    errno = 0;
    while (!found && getline(&line, &cap, f) > 0)
        if (parse_mapping(line, &m)) {
            has_spool |= is_spool(&m);
            found = take(s, pid, number, &m, &refused);
        }
    bool unreadable = ferror(f);
    free(line);
    fclose(f);
    if (found)
        return NULL;
    s->refused = has_spool || refused || unreadable;
    if (has_spool)
        return "its spool file cannot be reached from here, nor its memory be read; run this where the process runs, or as "
               "root";
    return refused || unreadable
               ? "its memory may not be read; the system asks for the right to trace it; start it with SPPROF_SPOOL=DIRECTORY"
               : "it is not being profiled, or has taken no sample yet";
}

/* ---- who has a spool file? */

/* Whether a process maps the inode; -1: that may not be read. */
static int maps_inode(uint32_t pid, uint64_t inode)
{
    char *line = NULL;
    size_t cap = 0;
    FILE *f = open_maps((pid_t)pid);
    if (!f)
        return errno == ENOENT || errno == ESRCH ? 0 : -1;
    int found = 0;
    struct mapping m;
    errno = 0;
    while (found <= 0 && getline(&line, &cap, f) > 0)
        if (parse_mapping(line, &m) && is_spool(&m))
            found = m.inode == inode ? 1 : -1; /* overlayfs may show another number */
    if (!found && errno && errno != ESRCH)
        found = -1;
    free(line);
    fclose(f);
    return found;
}

/* Pids say something only under the kernel and in the namespace that they were given in. */
static enum sp_source_owner by_head(int fd, const struct sp_region *head)
{
    char boot[sizeof head->boot];
    struct stat st;
    sp_os_boot_id(boot);
    bool same_kernel = boot[0] && memcmp(boot, head->boot, sizeof boot) == 0;
    if (!same_kernel || !head->pid_namespace || head->pid_namespace != sp_os_pid_namespace() || fstat(fd, &st) != 0)
        return SP_OWNER_UNKNOWN;
    int has = maps_inode(head->pid, st.st_ino);
    return has < 0 ? SP_OWNER_UNKNOWN : has ? SP_OWNER_LIVES : SP_OWNER_GONE;
}

enum sp_source_owner sp_source_owner(int fd, const struct sp_region *head)
{
    int has = sp_os_has_writer(fd);
    return has < 0 ? by_head(fd, head) : has ? SP_OWNER_LIVES : SP_OWNER_GONE;
}
