/* SPDX-License-Identifier: MIT
 * See describe.h: whose code a function is. */
#include <stdio.h>
#include <string.h>

#include "inject/command/describe.h"
#include "writers/names.h"

/* Behind the last of the folder's name and a slash; NULL: it is not in the path. */
static const char *behind(const char *path, const char *folder)
{
    const char *found = NULL;
    for (const char *s = path; (s = strstr(s, folder)); s++)
        found = s + strlen(folder);
    return found;
}

/* ---- Python's modules */
static char program[4096]; /* the folder that the program of the view has its modules in, with a slash; "": not known */

/* The last word of its command line that is a script, or behind -m a module as a path; *base: where in it the names of modules
 * begin. False: neither. */
static bool script_of(const struct sp_region *r, char *out, size_t cap, size_t *base)
{
    bool is_module = false, found = false;
    const char *word = r->argv;
    for (size_t at = strnlen(word, sizeof r->argv) + 1; at < sizeof r->argv && r->argv[at]; at += strlen(r->argv + at) + 1) {
        found = r->argv[at] != '-';
        is_module = found && strcmp(word, "-m") == 0;
        word = r->argv + at;
    }
    snprintf(out, cap, "%s", strncmp(word, "./", 2) == 0 ? word + 2 : word);
    for (char *c = out; is_module && *c; c++)
        *c = *c == '.' ? '/' : *c;
    size_t n = strlen(out);
    const char *slash = is_module ? NULL : strrchr(out, '/');
    *base = slash ? (size_t)(slash - out) + 1 : 0;
    if (!is_module && n > 3 && strcmp(out + n - 3, ".py") == 0)
        out[n - 3] = '\0';
    return found;
}

void sp_describe_begin(const struct sp_view *v)
{
    char script[sizeof v->region->argv];
    program[0] = '\0';
    size_t base;
    if (!script_of(v->region, script, sizeof script, &base))
        return;
    size_t n = strlen(script);
    for (uint32_t i = 0; i < v->n_functions && !program[0]; i++) {
        const struct sp_function *f = &v->functions[i];
        const struct sp_string *name = f->name ? sp_string_at(v->region, f->name) : NULL, *file = NULL;
        if (!name || !f->file || f->native || name->bytes < 8 || memcmp(name->data, "<module>", 8) != 0)
            continue;
        file = sp_string_at(v->region, f->file);
        for (const char *const *end = (const char *const[]){".py", "", "/__main__.py", "/__init__.py", NULL}; *end; end++) {
            size_t k = strlen(*end), from = file->bytes - n - k;
            if (file->bytes >= n + k && memcmp(file->data + from, script, n) == 0 &&
                memcmp(file->data + from + n, *end, k) == 0 && from < sizeof program &&
                (from == 0 || file->data[from - 1] == '/' || script[0] == '/')) {
                snprintf(program, sizeof program, "%.*s", (int)(from + base), file->data);
                return;
            }
        }
    }
}

enum origin { ORIGIN_INSTALLED, ORIGIN_PYTHON, ORIGIN_PROGRAM };

/* Where the part of a path begins that names its module. */
static enum origin origin_of(const char *path, const char **module)
{
    const char *site = behind(path, "/site-packages/"), *dist = behind(path, "/dist-packages/");
    const char *lib = behind(path, "/lib/python3"), *lib64 = behind(path, "/lib64/python3");
    *module = path;
    if (site || dist) {
        *module = site ? site : dist;
        return ORIGIN_INSTALLED;
    }
    if (strncmp(path, "<frozen ", 8) == 0) {
        *module = path + 8;
        return ORIGIN_PYTHON;
    }
    lib = lib ? lib : lib64;
    if (lib && strchr(lib, '/')) {
        *module = strchr(lib, '/') + 1;
        return ORIGIN_PYTHON;
    }
    size_t n = strlen(program);
    *module = path + (n && strncmp(path, program, n) == 0 ? n : sp_names_short_path(path, strlen(path)));
    return ORIGIN_PROGRAM;
}

/* "torch/nn/modules/conv.py" as torch.nn.modules.conv; *is_package: it is a package's own. */
static void dotted(const char *from, char *out, size_t cap, bool *is_package)
{
    static const char init[] = "/__init__";
    size_t n = strlen(from);
    n -= n > 3 && strcmp(from + n - 3, ".py") == 0 ? 3 : n > 1 && from[n - 1] == '>' && from[0] != '<' ? 1 : 0;
    *is_package = n > sizeof init - 1 && strncmp(from + n - (sizeof init - 1), init, sizeof init - 1) == 0;
    n -= *is_package ? sizeof init - 1 : 0;
    snprintf(out, cap, "%.*s", (int)n, from);
    for (char *c = out; *c; c++)
        *c = *c == '/' ? '.' : *c;
}

static void package_of(enum sp_report_by by, const char *path, char *out, size_t cap)
{
    const char *module, *const others[] = {NULL, "(standard library)", "(program)"};
    enum origin origin = origin_of(path, &module);
    bool is_package;
    if (by == SP_REPORT_LIBRARY && origin != ORIGIN_INSTALLED) {
        snprintf(out, cap, "%s", others[origin]);
        return;
    }
    dotted(module, out, cap, &is_package);
    char *dot = by == SP_REPORT_LIBRARY ? strchr(out, '.') : by == SP_REPORT_PACKAGE && !is_package ? strrchr(out, '.') : NULL;
    if (dot)
        *dot = '\0';
    else if (by == SP_REPORT_PACKAGE && !is_package && origin != ORIGIN_INSTALLED)
        snprintf(out, cap, "%s", others[origin]);
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

void sp_describe_package(enum sp_report_by by, const struct sp_view *v, uint32_t function, char *out, size_t cap)
{
    const struct sp_function *f = &v->functions[function];
    char path[8192];
    if (!f->file) {
        sp_describe(SP_REPORT_FUNCTION, v, function, 0, out, cap);
        return;
    }
    if (!f->native && f->name && library_behind(sp_string_at(v->region, f->name), out, cap))
        return;
    sp_describe(SP_REPORT_FILE, v, function, 0, path, sizeof path);
    const char *slash = strrchr(path, '/');
    if (f->native)
        snprintf(out, cap, "[%.*s]", (int)cap - 3, slash && slash[1] ? slash + 1 : path);
    else
        package_of(by, path, out, cap);
}
