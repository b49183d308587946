/* SPDX-License-Identifier: MIT
 * See report.h: whose code a function is. */
#include <stdio.h>
#include <string.h>

#include "inject/command/report.h"
#include "writers/names.h"

/* Behind the last of the folder's name and a slash; NULL: it is not in the path. */
static const char *behind(const char *path, const char *folder)
{
    const char *found = NULL;
    for (const char *s = path; (s = strstr(s, folder)); s++)
        found = s + strlen(folder);
    return found;
}

/* What was installed by its name there, what comes with Python, and the rest, which is the program's own. */
static void package_of(const char *path, char *out, size_t cap)
{
    const char *site = behind(path, "/site-packages/"), *dist = behind(path, "/dist-packages/");
    const char *package = site ? site : dist;
    bool is_python = strncmp(path, "<frozen ", 8) == 0 || strstr(path, "/lib/python3") || strstr(path, "/lib64/python3");
    size_t n = package ? strcspn(package, "/") : 0;
    if (!package) {
        snprintf(out, cap, is_python ? "(standard library)" : "(program)");
        return;
    }
    if (n > 3 && strncmp(package + n - 3, ".py", 3) == 0)
        n -= 3;
    snprintf(out, cap, "%.*s", (int)n, package);
}

/* A native function whose source symbolize found stands among those that have a line: its library is behind its name. */
static bool library_behind(const struct sp_string *name, char *out, size_t cap)
{
    size_t at = name->bytes;
    if (at < 5 || name->data[at - 1] != ']')
        return false;
    while (at > 1 && !(name->data[at - 1] == '[' && name->data[at - 2] == ' '))
        at--;
    if (at > 1)
        snprintf(out, cap, "%.*s", (int)(name->bytes - at + 1), name->data + at - 1);
    return at > 1;
}

void sp_report_library(const struct sp_view *v, uint32_t function, char *out, size_t cap)
{
    const struct sp_function *f = &v->functions[function];
    char path[8192];
    if (!f->file) {
        sp_report_describe(SP_REPORT_FUNCTION, v, function, 0, out, cap);
        return;
    }
    if (!f->native && f->name && library_behind(sp_string_at(v->region, f->name), out, cap))
        return;
    sp_report_describe(SP_REPORT_FILE, v, function, 0, path, sizeof path);
    const char *slash = strrchr(path, '/');
    if (f->native)
        snprintf(out, cap, "[%.*s]", (int)cap - 3, slash && slash[1] ? slash + 1 : path);
    else
        package_of(path, out, cap);
}
