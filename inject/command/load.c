/* SPDX-License-Identifier: MIT
 * See load.h. Nothing in a file is believed before it was checked (salvage.c, load_speedscope.c). */
#include "inject/command/load.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/gunzip.h"
#include "inject/command/input.h"
#include "inject/command/ring.h"
#include "inject/command/salvage.h"

bool sp_load_reserve(struct sp_loaded *l, uint64_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return false;
    l->region = p;
    l->bytes = bytes;
    return true;
}

void sp_unload(struct sp_loaded *l)
{
    if (l->region)
        munmap(l->region, l->bytes);
    free(l->lines);
    free(l->sources);
    memset(l, 0, sizeof *l);
}

/* ---- regions */
static pid_t asked; /* the process whose threads have these names */

/* Of a thread of a living process; a name that is the process's is none of its own. */
static void thread_name(int tid, char name[16])
{
    char path[64], process[16] = "";
    for (int i = 0; i < 2; i++) {
        char *to = i ? name : process;
        snprintf(path, sizeof path, i ? "/proc/%d/task/%d/comm" : "/proc/%d/comm", (int)asked, tid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd >= 0 ? read(fd, to, 15) : 0;
        if (fd >= 0)
            close(fd);
        to[n > 0 ? n : 0] = '\0';
        to[strcspn(to, "\n")] = '\0';
    }
    if (strcmp(name, process) == 0)
        name[0] = '\0';
}

/* Two copies, one after the other: see salvage.h. */
static const char *copy_and_salvage(struct sp_loaded *l, const struct sp_source *s, const struct sp_region *head, uint64_t used)
{
    char *log = malloc(used), *pools = malloc(used);
    const char *error = "there is not enough memory";
    if (log && pools) {
        uint64_t first = sp_source_read(s, log, s->later ? sp_min_u64(used, s->later) : used, 0),
                 second = sp_source_read(s, pools, used, s->later);
        struct sp_salvage_source from = {log, pools, first < second ? first : second, NULL};
        asked = s->pid;
        if (s->pid && head->pid == (uint32_t)s->pid) /* else its threads have other numbers here */
            from.thread_name = thread_name;
        struct sp_salvage_result done = sp_salvage(l->region, l->bytes, &from);
        error = done.error;
        l->lost_ns = done.lost_ns;
    }
    free(log);
    free(pools);
    return error;
}

int sp_load_region(struct sp_loaded *l, const struct sp_source *s)
{
    struct sp_region head;
    *l = (struct sp_loaded){.name = s->name};
    uint64_t n = sp_source_read(s, &head, sizeof head, 0);
    const char *error = sp_salvage_check(&head, n);
    if (error)
        return sp_cli_fail(s->name, s->fd < 0 && n == 0 ? strerror(errno) : error);
    if (!sp_load_reserve(l, head.bytes * 2 < SP_REGION_MAX ? head.bytes * 2 : SP_REGION_MAX))
        error = "there is not enough memory";
    else
        error = copy_and_salvage(l, s, &head, sp_salvage_used(&head));
    if (error)
        return sp_cli_fail(s->name, error);
    l->profile = sp_writer_profile(l->region);
    return 0;
}

const char *sp_load_process_source(struct sp_source *s, pid_t pid)
{
    struct sp_ring_answer answer;
    const char *error = sp_source_of_process(s, pid);
    if (!error || !s->refused || sp_ring_is_forbidden())
        return error;
    int fd = sp_ring_file();
    error = fd < 0 ? strerror(errno) : sp_ring(pid, SP_RING_IMAGE, fd, &answer);
    if (error && fd >= 0)
        close(fd);
    if (!error)
        *s = (struct sp_source){.name = s->name, .fd = fd, .pid = pid, .later = answer.later};
    return error;
}

static int load_process(struct sp_loaded *l, const char *name, pid_t pid)
{
    struct sp_source s = {.name = name, .fd = -1};
    const char *error = sp_load_process_source(&s, pid);
    int rc = error ? sp_cli_fail(name, error) : sp_load_region(l, &s);
    if (s.fd >= 0)
        close(s.fd);
    return rc;
}

/* ---- text */
/* A FIFO that nobody writes to is waited for, and that is said. */
static void await_writer(int fd, const char *path)
{
    struct pollfd waits = {.fd = fd, .events = POLLIN};
    if (poll(&waits, 1, 2000) == 0) {
        sp_cli_fail(path, "is a pipe; waiting for somebody to write to it");
        poll(&waits, 1, -1);
    }
}

static int load_piped_region(struct sp_loaded *l, int fd, const char *begun, size_t n)
{
    struct sp_source s = {.name = l->name};
    const char *error = sp_input_copy_region(fd, begun, n, &s.fd);
    if (error)
        return sp_cli_fail(l->name, error);
    int rc = sp_load_region(l, &s);
    close(s.fd);
    return rc;
}

static bool begins_region(const char *text, size_t n)
{
    uint64_t magic = 0;
    memcpy(&magic, text, sp_min_u64(n, sizeof magic));
    return magic == SP_REGION_MAGIC;
}

/* Of a gzip file what is in it, if that can be read at all: what unpacks to something else is not unpacked. */
static const char *unpack(char **text, size_t *n)
{
    char begin[sizeof(uint64_t)] = "";
    size_t found = sp_gunzip_begin(*text, *n, begin, sizeof begin);
    return **text != '\x1f' || !found || *begin == '{' || begins_region(begin, found)
               ? sp_gunzip(text, n)
               : "holds no Speedscope file and no spool file, which alone can be read";
}

static int load_stream(struct sp_loaded *l, int fd)
{
    size_t n;
    char *text = sp_input_text(fd, &n);
    const char *error = n > SP_INPUT_MOST ? SP_INPUT_TOO_LARGE : unpack(&text, &n);
    int rc = error                    ? sp_cli_fail(l->name, error)
             : begins_region(text, n) ? load_piped_region(l, fd, text, n)
                                      : sp_load_speedscope(l, text, n);
    free(text);
    return rc;
}

static bool is_region(int fd)
{
    uint64_t magic;
    return pread(fd, &magic, sizeof magic, 0) == sizeof magic && magic == SP_REGION_MAGIC;
}

static int load_open(struct sp_loaded *l, int fd, bool is_standard)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return sp_cli_fail(l->name, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return sp_cli_fail(l->name, "is a directory");
    struct sp_source s = {.name = l->name, .fd = fd};
    if (S_ISREG(st.st_mode) && is_region(fd))
        return sp_load_region(l, &s);
    if ((uint64_t)st.st_size > SP_INPUT_MOST)
        return sp_cli_fail(l->name, SP_INPUT_TOO_LARGE);
    if (S_ISFIFO(st.st_mode) && !is_standard)
        await_writer(fd, l->name);
    return load_stream(l, fd);
}

int sp_load(struct sp_loaded *l, const char *name)
{
    char *end;
    *l = (struct sp_loaded){.name = name};
    int fd;
    const char *why = sp_input_open(name, &fd);
    int error = errno;
    long pid = strtol(name, &end, 10);
    if (why && error == ENOENT && *name >= '1' && *name <= '9' && *end == '\0' && pid <= INT_MAX)
        return load_process(l, name, (pid_t)pid);
    if (why)
        return sp_cli_fail(name, why);
    int rc = load_open(l, fd, sp_input_is_standard(name));
    close(fd);
    return rc;
}
