/* SPDX-License-Identifier: MIT
 * See source_lines.h: by elfutils' libdw. */
#include "inject/command/source_lines.h"

#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MOST_SECONDS 120
#define MOST_MEMORY (8ull << 30)

const bool sp_source_lines_can = true;

struct line { /* what the process sends, the file's name behind it */
    uint32_t i, bytes;
    int32_t number;
};

struct search {
    const uint64_t *address;
    uint32_t n;
    int to;
};

static bool send(int fd, const void *data, size_t n)
{
    for (const char *s = data; n;) {
        ssize_t w = write(fd, s, n);
        if (w < 0 && errno != EINTR)
            return false;
        s += w > 0 ? w : 0;
        n -= (size_t)(w > 0 ? w : 0);
    }
    return true;
}

/* The function's own line is the first of those at its address: what is inlined at its beginning comes behind. */
static Dwarf_Line *line_at(Dwarf_Die *unit, uint64_t address)
{
    Dwarf_Lines *lines;
    Dwarf_Addr at;
    Dwarf_Line *l;
    bool is_end;
    int number;
    size_t n, low = 0;
    if (dwarf_getsrclines(unit, &lines, &n) != 0)
        return NULL;
    for (size_t high = n; low < high;) { /* libdw sorts them by address */
        size_t middle = low + (high - low) / 2;
        if (dwarf_lineaddr(dwarf_onesrcline(lines, middle), &at) == 0 && at < address)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < n && (l = dwarf_onesrcline(lines, low)) && dwarf_lineaddr(l, &at) == 0 && at == address; low++)
        if (dwarf_lineendsequence(l, &is_end) == 0 && !is_end && dwarf_lineno(l, &number) == 0 && number > 0)
            return l;
    return dwarf_getsrc_die(unit, address);
}

static void tell(const struct search *s, Dwarf_Die *unit, uint32_t i)
{
    int number;
    Dwarf_Line *l = line_at(unit, s->address[i]);
    const char *file = l ? dwarf_linesrc(l, NULL, NULL) : NULL;
    if (!file || dwarf_lineno(l, &number) != 0 || number <= 0)
        return;
    struct line line = {i, (uint32_t)strnlen(file, SP_SOURCE_FILE_BYTES), number};
    if (line.bytes < SP_SOURCE_FILE_BYTES && (!send(s->to, &line, sizeof line) || !send(s->to, file, line.bytes)))
        _exit(1);
}

static uint32_t first_from(const struct search *s, uint64_t address)
{
    uint32_t low = 0, high = s->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (s->address[middle] < address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* By the units' own ranges: clang makes no .debug_aranges. */
static void search_unit(const struct search *s, Dwarf_Die *unit)
{
    Dwarf_Addr base, start, end;
    for (ptrdiff_t at = 0; (at = dwarf_ranges(unit, at, &base, &start, &end)) > 0;)
        for (uint32_t i = first_from(s, start); i < s->n && s->address[i] < end; i++)
            tell(s, unit, i);
}

static void search_file(const struct search *s, int fd)
{
    Dwarf *d = dwarf_begin(fd, DWARF_C_READ);
    size_t header;
    Dwarf_Die unit;
    for (Dwarf_Off at = 0, next; d && dwarf_nextcu(d, at, &next, &header, NULL, NULL, NULL) == 0; at = next)
        if (dwarf_offdie(d, at + header, &unit))
            search_unit(s, &unit);
}

/* ---- the process of its own */
static void in_child(const struct search *s, int fd)
{
    struct rlimit none = {0, 0}, seconds = {MOST_SECONDS, MOST_SECONDS}, memory = {MOST_MEMORY, MOST_MEMORY};
    int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    dup2(quiet, 2); /* what libc says of a broken heap */
    signal(SIGPIPE, SIG_DFL);
    setrlimit(RLIMIT_CORE, &none);
    setrlimit(RLIMIT_CPU, &seconds);
    setrlimit(RLIMIT_AS, &memory);
    search_file(s, fd);
    _exit(0);
}

/* False: there is no more. */
static bool receive(int fd, void *data, size_t n)
{
    for (char *s = data; n;) {
        ssize_t r = read(fd, s, n);
        if (r == 0 || (r < 0 && errno != EINTR))
            return false;
        s += r > 0 ? r : 0;
        n -= (size_t)(r > 0 ? r : 0);
    }
    return true;
}

const char *sp_source_lines(int fd, const uint64_t *address, uint32_t n,
                            void (*found)(void *arg, uint32_t i, const char *file, int line), void *arg)
{
    int ends[2], status = 0;
    struct line line;
    char file[SP_SOURCE_FILE_BYTES];
    if (pipe(ends) != 0)
        return strerror(errno);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        in_child(&(struct search){address, n, ends[1]}, fd);
    }
    close(ends[1]);
    while (child > 0 && receive(ends[0], &line, sizeof line) && line.i < n && line.bytes < sizeof file &&
           receive(ends[0], file, line.bytes)) {
        file[line.bytes] = '\0';
        found(arg, line.i, file, line.number);
    }
    close(ends[0]);
    if (child < 0)
        return "no process can be made to read it";
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    return status == 0 ? NULL : "its debug information is damaged, or too much; source lines may be missing";
}
