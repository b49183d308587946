/* SPDX-License-Identifier: MIT
 * Fuzz target: `spprof report` and `merge` read any file. Input: the file. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inject/command/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const bys[] = {"function", "line", "file", "thread", "process", "module", "package", "task", "span"};
    static const char *const more[][2] = {{"--tree", "--json"}, {"--callers", "f"},   {"--lines", "f"},    {"--focus", "f"},
                                          {"--ignore", "f"},    {"--thread", "a"},    {"--span", "a"},     {"--from", "1ms"},
                                          {"--to", "10ms"},     {"--json", "--json"}, {"--tree", "--tree"}};
    static int fd = -1, quiet = -1;
    char path[32];
    if (quiet < 0) { /* what it prints is not looked at */
        quiet = open("/dev/null", O_WRONLY);
        fd = memfd_create("report", 0);
        dup2(quiet, 1);
        stderr = fopen("/dev/null", "w");
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        return 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    char *argv[] = {(char *)"report", (char *)"--by", (char *)(uintptr_t)bys[size % 8], (char *)"--wall", path, path, NULL};
    bool cpu = size / 10 % 2;
    argv[3] = cpu ? path : argv[3];
    sp_cli_report(5 - cpu + size % 2, argv);
    const char *const *two = more[size / 80 % 10];
    char *other[] = {
        (char *)"report", (char *)(uintptr_t)two[0], (char *)(uintptr_t)two[1], path, (char *)"--by", argv[2], NULL};
    sp_cli_report(size / 3 % 2 && strcmp(two[0], "--lines") != 0 ? 6 : 4, other);
    char *merge[] = {(char *)"merge", (char *)"-o", (char *)"-", (char *)"--format", (char *)"pprof", path, path,
                     (char *)"--sum", NULL};
    merge[4] = size / 40 % 2 ? (char *)"speedscope" : merge[4];
    if (size % 4 == 0)
        sp_cli_merge(size / 20 % 2 ? 8 : 7, merge);
    return 0;
}
