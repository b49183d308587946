/* SPDX-License-Identifier: MIT
 * spprof recover, spprof snapshot: a profile from a spool file or from a running process. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/salvage.h"
#include "writers/writer.h"

#define OUT_BUFFER_BYTES 65536

struct request {
    const char *out; /* NULL: a name made from the source's */
    bool remove;     /* spool files that were written out */
};

/* Where a region's bytes come from: a file, or memory of a process. */
struct source {
    const char *name; /* for messages */
    int fd;           /* -1: memory */
    pid_t pid;
    uint64_t address;
};

static int fail(const char *name, const char *why)
{
    fprintf(stderr, "spprof: ");
    sp_cli_print(stderr, name);
    fprintf(stderr, ": %s\n", why);
    return 1;
}

static long read_some(const struct source *s, void *p, size_t n, uint64_t at)
{
    if (s->fd >= 0)
        return pread(s->fd, p, n, (off_t)at);
    struct iovec here = {p, n}, there = {(void *)(uintptr_t)(s->address + at), n};
    return process_vm_readv(s->pid, &here, 1, &there, 1, 0);
}

/* Bytes read: fewer than n at the end of what there is. */
static uint64_t read_all(const struct source *s, char *p, uint64_t n)
{
    uint64_t done = 0;
    while (done < n) {
        long r = read_some(s, p + done, n - done < (1u << 24) ? n - done : 1u << 24, done);
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            break;
        done += (uint64_t)r;
    }
    return done;
}

/* ---- writing */
static int sink(void *arg, const void *data, size_t n)
{
    const char *s = data;
    while (n) {
        ssize_t w = write(*(int *)arg, s, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return w < 0 ? -errno : -EIO;
        s += w;
        n -= (size_t)w;
    }
    return 0;
}

static int write_out(struct sp_region *r, const char *name)
{
    static char buffer[OUT_BUFFER_BYTES];
    bool standard = strcmp(name, "-") == 0;
    int fd = standard ? 1 : open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail(name, errno == EEXIST ? "it exists, and stays; give another name with -o" : strerror(errno));
    struct sp_out out = {.sink = sink, .arg = &fd, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    struct sp_profile p = sp_writer_profile(r);
    int rc = sp_writer_for(name)->write(&p, &out);
    if (!standard && close(fd) != 0 && rc == 0)
        rc = -errno;
    if (rc == 0)
        return 0;
    if (!standard)
        unlink(name);
    return fail(name, strerror(-rc));
}

static void say_what(const struct sp_region *r, const char *out, uint64_t lost_ns)
{
    uint64_t samples = r->folded_samples, threads = r->n_folded;
    for (uint32_t i = 1; i <= r->n_threads && i <= r->max_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        samples += t && t->state == SP_THREAD_ENDED ? t->samples : 0;
        threads += t && t->state == SP_THREAD_ENDED;
    }
    fprintf(stderr, "spprof: process %u, %llu samples of %llu threads; the profile is in ", r->pid,
            (unsigned long long)samples, (unsigned long long)threads);
    sp_cli_print(stderr, strcmp(out, "-") == 0 ? "standard output" : out);
    fputc('\n', stderr);
    if (lost_ns)
        fprintf(stderr, "spprof: %.3f s of it name functions that are not there; the source was damaged; they are shown as (overflow)\n",
                (double)lost_ns / 1e9);
}

/* The region of `s` as a profile in `out`. */
static int write_profile(const struct source *s, const char *out)
{
    struct sp_region head;
    uint64_t n = read_all(s, (char *)&head, sizeof head);
    const char *error = sp_salvage_check(&head, n);
    if (error)
        return fail(s->name, s->fd < 0 && n == 0 ? strerror(errno) : error);
    uint64_t used = sp_salvage_used(&head), bytes = head.bytes * 2 < SP_REGION_MAX ? head.bytes * 2 : SP_REGION_MAX;
    char *log = malloc(used), *pools = malloc(used);
    struct sp_region *r = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int rc = 1;
    if (!log || !pools || r == MAP_FAILED) {
        fail(s->name, "there is not enough memory");
    } else {
        uint64_t first = read_all(s, log, used), second = read_all(s, pools, used);
        struct sp_salvage_source from = {log, pools, first < second ? first : second};
        struct sp_salvage_result done = sp_salvage(r, bytes, &from);
        rc = done.error ? fail(s->name, done.error) : write_out(r, out);
        if (rc == 0)
            say_what(r, out, done.lost_ns);
    }
    free(log);
    free(pools);
    if (r != MAP_FAILED)
        munmap(r, bytes);
    return rc;
}

/* ---- sources */
static void name_for(char out[PATH_MAX], const char *spool)
{
    size_t n = strlen(spool);
    if (n > 6 && strcmp(spool + n - 6, ".spool") == 0)
        n -= 6;
    snprintf(out, PATH_MAX, "%.*s%s", (int)(n < PATH_MAX - 32 ? n : PATH_MAX - 32), spool, sp_writer_default()->suffixes[0]);
}

/* Whether the process that a spool file belongs to still has it. */
static bool is_in_use(const char *path, uint32_t pid)
{
    char maps[64], real[PATH_MAX], *line = NULL;
    size_t cap = 0;
    snprintf(maps, sizeof maps, "/proc/%u/maps", pid);
    FILE *f = realpath(path, real) ? fopen(maps, "r") : NULL;
    bool found = false;
    while (f && !found && getline(&line, &cap, f) > 0)
        found = strstr(line, real) != NULL;
    free(line);
    if (f)
        fclose(f);
    return found;
}

static int from_file(const char *path, const char *out, bool remove)
{
    struct source s = {.name = path, .fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    struct stat st;
    if (s.fd < 0 || fstat(s.fd, &st) != 0)
        return fail(path, strerror(errno));
    char name[PATH_MAX];
    name_for(name, path);
    int rc = S_ISREG(st.st_mode) ? write_profile(&s, out ? out : name) : fail(path, "it is no file");
    struct sp_region head;
    bool in_use = rc == 0 && read_all(&s, (char *)&head, sizeof head) == sizeof head && is_in_use(path, head.pid);
    if (in_use)
        fprintf(stderr, "spprof: process %u is still running; the profile is that of this moment, the spool file stays\n", head.pid);
    else if (rc == 0 && remove && unlink(path) != 0)
        rc = fail(path, strerror(errno));
    close(s.fd);
    return rc;
}

/* The region in a process: its spool file, or the start of a private mapping that begins as one. */
static int from_process(pid_t pid, const char *out)
{
    char maps[64], name[64], *line = NULL, spool[PATH_MAX] = "", made[PATH_MAX];
    size_t cap = 0;
    snprintf(maps, sizeof maps, "/proc/%d/maps", (int)pid);
    snprintf(name, sizeof name, "process %d", (int)pid);
    snprintf(made, sizeof made, "spprof-%d%s", (int)pid, sp_writer_default()->suffixes[0]);
    FILE *f = fopen(maps, "r");
    if (!f)
        return fail(name, errno == ENOENT ? "there is no such process" : strerror(errno));
    struct source s = {.name = name, .fd = -1, .pid = pid};
    int refused = 0;
    while (!s.address && !spool[0] && getline(&line, &cap, f) > 0) {
        unsigned long long from, to, inode;
        char mode[8];
        int path_at = 0;
        if (sscanf(line, "%llx-%llx %7s %*s %*s %llu %n", &from, &to, mode, &inode, &path_at) < 4 || mode[1] != 'w')
            continue;
        line[strcspn(line, "\n")] = '\0';
        size_t n = strlen(line);
        if (inode && mode[3] == 's' && n > 6 && strcmp(line + n - 6, ".spool") == 0)
            snprintf(spool, sizeof spool, "%s", line + path_at);
        uint64_t magic = 0;
        struct source here = {.fd = -1, .pid = pid, .address = from};
        if (!inode && to - from >= SP_REGION_MIN / 2) {
            if (read_some(&here, &magic, sizeof magic, 0) < 0 && errno == EPERM)
                refused = EPERM;
            else if (magic == SP_REGION_MAGIC)
                s.address = from;
        }
    }
    free(line);
    fclose(f);
    if (spool[0])
        return from_file(spool, out ? out : made, false);
    if (s.address)
        return write_profile(&s, out ? out : made);
    return fail(name, refused ? "its memory may not be read; the system asks for the right to trace it; start it with SPPROF_SPOOL=DIRECTORY"
                              : "it is not being profiled, or has taken no sample yet");
}

/* ---- commands */
static void usage(FILE *to, bool recover)
{
    if (recover)
        fprintf(to, "usage: spprof recover [-o OUT] [--remove] FILE...\n\n"
                    "Writes the profile of a process that was killed, from the spool file that SPPROF_SPOOL left.\n\n"
                    "  -o OUT     the profile's name; - is standard output; one FILE only\n"
                    "             (default: FILE with .speedscope.json in place of .spool)\n"
                    "  --remove   removes each spool file that was written out\n"
                    "\nExit status: 0, 1 if a profile could not be written, 2 for a wrong usage.\n");
    else
        fprintf(to, "usage: spprof snapshot [-o OUT] PID|FILE\n\n"
                    "Writes the profile of a running process as it is at this moment, without stopping or signalling it: from its\n"
                    "spool file, or else from its memory, if the system lets this user read that.\n\n"
                    "  -o OUT     the profile's name; - is standard output\n"
                    "             (default: spprof-PID.speedscope.json here, or FILE with that in place of .spool)\n"
                    "\nExit status: 0, 1 if the profile could not be written, 2 for a wrong usage.\n");
}

static int parse(int argc, char **argv, bool recover, struct request *q)
{
    static const struct option options[] = {{"help", no_argument, 0, 'h'}, {"remove", no_argument, 0, 'r'}, {0, 0, 0, 0}};
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, "o:h", options, NULL)) != -1;) {
        if (c == 'h') {
            usage(stdout, recover);
            return 0;
        }
        if (c == 'o')
            q->out = optarg;
        else if (c == 'r' && recover)
            q->remove = true;
        else {
            usage(stderr, recover);
            return 2;
        }
    }
    bool one = argc - optind == 1;
    if (argc == optind || (!one && (q->out || !recover))) {
        usage(stderr, recover);
        return 2;
    }
    return -1;
}

int sp_cli_recover(int argc, char **argv)
{
    struct request q = {0};
    int rc = parse(argc, argv, true, &q);
    if (rc >= 0)
        return rc;
    rc = 0;
    for (int i = optind; i < argc; i++)
        rc |= from_file(argv[i], q.out, q.remove);
    return rc;
}

int sp_cli_snapshot(int argc, char **argv)
{
    struct request q = {0};
    int rc = parse(argc, argv, false, &q);
    if (rc >= 0)
        return rc;
    char *end;
    long pid = strtol(argv[optind], &end, 10);
    if (*end == '\0' && pid > 0 && pid <= INT_MAX)
        return from_process((pid_t)pid, q.out);
    return from_file(argv[optind], q.out, false);
}
