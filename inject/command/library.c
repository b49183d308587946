/* SPDX-License-Identifier: MIT
 * Where the library of this command is. */
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/base.h"
#include "compat/buf.h"
#include "inject/command/command.h"

/* From the folder of the command: a build's, cmake --install's, and pip's (python/pyproject.toml). */
static const char *const places[] = {"libspprof.so", "../lib*/spprof/libspprof.so", "../lib/*-linux-gnu/spprof/libspprof.so",
                                     "../lib*/python3*/*-packages/spprof/libspprof.so", "../spprof/libspprof.so"};

static bool find_in(const char *here, const char *place, char *out)
{
    char pattern[2 * PATH_MAX];
    SP_BUF(b, pattern);
    for (const char *s = here; *s; s++) { /* it may hold what glob() takes for its own */
        if (strchr("*?[\\", *s))
            sp_buf_char(&b, '\\');
        sp_buf_char(&b, *s);
    }
    sp_buf_str(&b, place);
    glob_t found;
    bool is_there = glob(pattern, 0, NULL, &found) == 0;
    is_there = is_there && realpath(found.gl_pathv[found.gl_pathc - 1], out);
    globfree(&found);
    return is_there;
}

const char *sp_cli_library(char *out)
{
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
    for (size_t i = 0; i < SP_ARRAY_LEN(places); i++)
        if (find_in(here, places[i], out))
            return out;
    out[0] = '\0';
    return NULL;
}

const char *sp_cli_library_refused(const char *library)
{
    return strpbrk(library, " :")       ? "LD_PRELOAD takes no name with a blank or a colon in it; put it elsewhere"
           : access(library, R_OK) != 0 ? strerror(errno)
                                        : NULL;
}
