/* SPDX-License-Identifier: MIT
 * See expand.h. */
#include "inject/command/expand.h"

#include <dirent.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/gunzip.h"
#include "inject/command/input.h"
#include "sampler/region.h"
#include "writers/writer.h"

static void add(struct sp_cli_names *names, const char *name)
{
    if (!(names->n & (names->n - 1)))
        names->name = sp_cli_alloc(names->name, (names->n ? 2 * names->n : 1) * sizeof *names->name);
    size_t bytes = strlen(name) + 1;
    names->name[names->n++] = memcpy(sp_cli_alloc(NULL, bytes), name, bytes);
}

static bool is_repeated(const struct sp_cli_names *names, const struct stat *st)
{
    struct stat other;
    for (size_t i = 0; i < names->n; i++)
        if (sp_input_stat(names->name[i], &other) && other.st_ino == st->st_ino && other.st_dev == st->st_dev)
            return true;
    return false;
}

/* A file that becomes a region here: by its first bytes, in a gzip frame or not. */
static bool can_be_read(const char *path)
{
    char head[4096], begin[SP_WRITER_HEAD_BYTES] = ""; /* the codes of a compressed block may take hundreds of bytes */
    const char *json = sp_writer_speedscope.head;
    uint64_t magic;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, head, sizeof head) : 0;
    if (fd >= 0)
        close(fd);
    if (n <= 0 || sp_gunzip_begin(head, (size_t)n, begin, sizeof begin) < sizeof begin)
        return false;
    memcpy(&magic, begin, sizeof magic);
    return magic == SP_REGION_MAGIC || memcmp(begin, json, strlen(json)) == 0;
}

static int add_directory(struct sp_cli_names *names, const char *directory)
{
    struct dirent **entries;
    char path[PATH_MAX];
    int n = scandir(directory, &entries, NULL, alphasort);
    size_t before = names->n;
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s%s%s", directory, directory[strlen(directory) - 1] == '/' ? "" : "/",
                 entries[i]->d_name);
        if (!strstr(entries[i]->d_name, ".tmp-") && can_be_read(path))
            add(names, path);
        free(entries[i]);
    }
    if (n >= 0)
        free(entries);
    return names->n > before ? 0
                             : sp_cli_fail(directory, n < 0 ? "it cannot be listed"
                                                            : "has no profile that can be read: Speedscope files "
                                                              "and spool files can");
}

static int add_argument(struct sp_cli_names *names, const char *argument)
{
    struct stat st;
    glob_t found;
    bool is_there = sp_input_stat(argument, &st);
    if (is_there && S_ISDIR(st.st_mode) && !sp_input_is_standard(argument))
        return add_directory(names, argument);
    if (is_there && is_repeated(names, &st)) {
        sp_cli_fail(argument, "is named twice; it counts once");
        return 0;
    }
    if (is_there || !strpbrk(argument, "*?[") || glob(argument, 0, NULL, &found) != 0) {
        add(names, argument);
        return 0;
    }
    int rc = 0;
    for (size_t i = 0; i < found.gl_pathc; i++)
        rc |= add_argument(names, found.gl_pathv[i]);
    globfree(&found);
    return rc;
}

int sp_cli_expand(struct sp_cli_names *names, char **arguments, int n)
{
    int rc = 0;
    *names = (struct sp_cli_names){0};
    for (int i = 0; i < n; i++)
        rc |= add_argument(names, arguments[i]);
    return rc;
}

bool sp_cli_names_have(const struct sp_cli_names *names, const char *file)
{
    struct stat st;
    if (sp_input_is_standard(file) || stat(file, &st) != 0 || !is_repeated(names, &st))
        return false;
    sp_cli_fail(file, "is read, and what the new profile lacks would be lost with it; give another name with -o");
    return true;
}

void sp_cli_names_free(struct sp_cli_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->name[i]);
    free(names->name);
}
