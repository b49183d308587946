/* SPDX-License-Identifier: MIT
 * Where the library of this command is. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/base.h"
#include "inject/command/command.h"

const char *sp_cli_library(char *out)
{
    static const char *const places[] = {"libspprof.so", "../lib/spprof/libspprof.so", "../lib64/spprof/libspprof.so",
                                         "../lib/x86_64-linux-gnu/spprof/libspprof.so",
                                         "../lib/aarch64-linux-gnu/spprof/libspprof.so"};
    char here[PATH_MAX], path[2 * PATH_MAX];
    const char *preload = getenv("LD_PRELOAD"), *name = preload ? strstr(preload, "libspprof") : NULL;
    if (name) {
        const char *from = name;
        while (from > preload && from[-1] != ':' && from[-1] != ' ')
            from--;
        snprintf(path, sizeof path, "%.*s", (int)strcspn(from, ": "), from);
        if (realpath(path, out))
            return out;
    }
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    here[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(here, '/');
    if (slash)
        slash[1] = '\0';
    for (size_t i = 0; i < SP_ARRAY_LEN(places); i++) {
        snprintf(path, sizeof path, "%s%s", here, places[i]);
        if (realpath(path, out))
            return out;
    }
    out[0] = '\0';
    return NULL;
}

const char *sp_cli_library_refused(const char *library)
{
    return strpbrk(library, " :")       ? "LD_PRELOAD takes no name with a blank or a colon in it; put it elsewhere"
           : access(library, R_OK) != 0 ? strerror(errno)
                                        : NULL;
}
