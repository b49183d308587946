/* SPDX-License-Identifier: MIT
 * See file_limit.h. Files are counted where they are, without a counter that somebody would have to keep: processes that end at
 * the same moment may be a few too many. */
#include "inject/file_limit.h"

#include <errno.h>
#include <string.h>

#include "compat/buf.h"
#include "compat/os.h"
#include "writers/writer.h"

#define MORE_LOOKS 5000u /* at files that are older than the run, about 3 us each */
#define LINE_BYTES 512
#define LOCK_TRIES 100
#define LOCK_WAIT_NS 1000000

/* ---- counting */
/* Threads: who writes the profile (turn.h). */
static char directory[SP_PATH_BYTES], prefix[SP_PATH_BYTES];

struct count {
    const struct sp_file_count *what;
    const char *prefix, *suffix;
    bool look; /* at the files, not at the names alone */
    uint64_t n, looks;
};

/* The part of the pattern that is the same in all processes of a run and host, and where names differ from there on. */
static void cut_pattern(char *cut, const char *out)
{
    struct sp_buf b = sp_buf_at(cut, SP_PATH_BYTES);
    const char *p = out;
    for (; *p && !(*p == '%' && p[1] && strchr("pnte", p[1])); p++) {
        sp_buf_char(&b, *p);
        if (*p == '%' && p[1])
            sp_buf_char(&b, *++p);
    }
    if (!*p)
        b.len -= sp_writer_suffix_bytes(cut);
    cut[b.len] = '\0';
}

/* `directory` of the path, and what names of its kind begin with there. */
static const char *find_prefix(const struct sp_file_count *c)
{
    static char cut[SP_PATH_BYTES];
    const char *slash = strrchr(c->path, '/');
    SP_BUF(b, directory);
    sp_buf_mem(&b, c->path, slash ? (size_t)(slash - c->path) + 1 : 0);
    if (!c->out[0])
        return "spprof-";
    struct sp_name_values first = *c->values;
    first.number = 1; /* each further one has its number at the end */
    cut_pattern(cut, c->out);
    if (!sp_name_expand(prefix, cut, false, &first) || strncmp(prefix, directory, b.len) != 0 || strchr(prefix + b.len, '/'))
        return "";
    return prefix + b.len;
}

static bool ends_in(const char *s, const char *tail)
{
    size_t n = strlen(s), k = strlen(tail);
    return n >= k && strcmp(s + n - k, tail) == 0;
}

static bool is_of_the_time(const struct sp_file_count *c, const char *name)
{
    static char path[SP_PATH_BYTES];
    struct sp_os_stat st;
    SP_BUF(b, path);
    sp_buf_str(&b, directory);
    sp_buf_str(&b, name);
    return sp_os_stat(path, false, &st) == 0 && st.kind == SP_OS_REGULAR && st.uid == sp_os_euid() &&
           st.mtime_ns >= c->from_ns && st.mtime_ns < c->until_ns;
}

static bool count_entry_of(void *arg, const char *name)
{
    struct count *c = arg;
    if (strncmp(name, c->prefix, strlen(c->prefix)) != 0 || !ends_in(name, c->suffix) || ends_in(name, ".skipped"))
        return true;
    c->n += !c->look || is_of_the_time(c->what, name);
    c->looks += c->look;
    return c->n < c->what->most && c->looks < c->what->most + MORE_LOOKS;
}

bool sp_file_limit_is_reached(const struct sp_file_count *what)
{
    struct count c = {.what = what, .prefix = find_prefix(what), .suffix = what->path + strlen(what->path)};
    c.suffix -= sp_writer_suffix_bytes(what->path);
    if (what->from_ns >= what->until_ns)
        return false;
    sp_os_each_entry(directory[0] ? directory : ".", count_entry_of, &c);
    if (c.n < what->most)
        return false;
    c.n = 0;
    c.look = true;
    sp_os_each_entry(directory[0] ? directory : ".", count_entry_of, &c);
    return c.n >= what->most;
}

/* ---- lines */
bool sp_file_limit_name(char *name, const struct sp_file_count *c)
{
    struct sp_buf b = sp_buf_at(name, SP_PATH_BYTES);
    const char *slash = strrchr(c->path, '/');
    struct sp_name_values first = *c->values;
    first.number = 1;
    if (sp_name_kind_of(c->out) == SP_NAME_LITERAL) {
        if (!sp_name_expand(name, c->out, false, &first))
            return false;
        b.len = strlen(name);
    } else { /* one for all names that the pattern may make */
        sp_buf_mem(&b, c->path, slash ? (size_t)(slash - c->path) + 1 : 0);
        sp_buf_str(&b, "spprof");
    }
    sp_buf_str(&b, ".skipped");
    return !b.cut;
}

static bool is_line(const char *s, long n)
{
    long i = 0;
    while (i < n && s[i] >= '0' && s[i] <= '9')
        i++;
    return i > 0 && i < n && s[i] == '\t';
}

static void put_line(struct sp_buf *b, const struct sp_file_line *line)
{
    sp_buf_u64(b, line->pid);
    sp_buf_char(b, '\t');
    for (const char *word = line->argv; *word && b->len < LINE_BYTES - 64; word += strlen(word) + 1) {
        if (word != line->argv)
            sp_buf_char(b, ' ');
        for (const char *s = word; *s && b->len < LINE_BYTES - 64; s++)
            sp_buf_char(b, (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
    }
    sp_buf_char(b, '\t');
    sp_buf_u64(b, line->cpu_ns / SP_NS_PER_S);
    sp_buf_char(b, '.');
    sp_buf_u64_pad(b, line->cpu_ns % SP_NS_PER_S, 9);
    sp_buf_char(b, '\n');
}

static int append(int fd, const struct sp_file_line *line)
{
    char text[LINE_BYTES];
    struct sp_os_stat st;
    int rc = sp_os_stat_fd(fd, &st);
    if (rc != 0)
        return rc;
    if (st.kind != SP_OS_REGULAR || (line->owner_only && st.uid != sp_os_euid()))
        return -EEXIST;
    long n = sp_os_read(fd, text, 16);
    if (n < 0 || (n > 0 && !is_line(text, n)))
        return -EEXIST;
    /* Held by whoever appends, for the moment: the first of a later run empties the file, and must not take the second's line. */
    for (int i = 0; i < LOCK_TRIES && sp_os_lock_file(fd) == -EWOULDBLOCK; i++)
        sp_os_sleep_ns(LOCK_WAIT_NS);
    if (sp_os_stat_fd(fd, &st) == 0 && st.mtime_ns < line->run_started_ns)
        sp_os_set_size(fd, 0, false);
    SP_BUF(b, text);
    put_line(&b, line);
    return sp_os_write_all(fd, text, b.len);
}

int sp_file_limit_add_line(const char *name, const struct sp_file_line *line)
{
    struct sp_os_stat st;
    if (sp_os_stat(name, false, &st) == 0 && st.kind != SP_OS_REGULAR)
        return -EEXIST;
    int fd = sp_os_open_append(name, line->owner_only);
    if (fd < 0)
        return fd == -ELOOP ? -EEXIST : fd;
    int rc = append(fd, line);
    sp_os_close(fd);
    return rc;
}
