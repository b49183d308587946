/* SPDX-License-Identifier: MIT
 * See demangle.h: by GCC's libiberty. A short name can stand for a text of any length (each substitution may double it), so the
 * text is taken as it comes, and when there is enough the demangler is left: it allocates nothing while it calls back. */
#include "inject/command/demangle.h"

#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#define MANGLED_BYTES 1024
#define LIBRARY_BYTES 512 /* kept for what stands behind */

const bool sp_cli_demangles = true;

struct taken {
    char *out;
    size_t cap, n;
    jmp_buf enough;
};

static void take(const char *text, size_t n, void *arg)
{
    struct taken *t = arg;
    size_t room = t->cap - t->n, bytes = n < room ? n : room;
    memcpy(t->out + t->n, text, bytes);
    t->n += bytes;
    if (n > room)
        longjmp(t->enough, 1);
}

/* Bytes written, NUL not counted; 0: it is not mangled. */
static size_t demangle(const char *mangled, char *out, size_t cap)
{
    struct taken t = {.out = out, .cap = cap - LIBRARY_BYTES};
    if (setjmp(t.enough)) {
        memcpy(t.out + t.n, "...", 4);
        return t.n + 3;
    }
    bool is_done = mangled[0] == '_' && (mangled[1] == 'Z' || mangled[1] == 'R') &&
                   (rust_demangle_callback(mangled, DMGL_RUST, take, &t) ||
                    (mangled[1] == 'Z' && cplus_demangle_v3_callback(mangled, DMGL_NO_OPTS, take, &t)));
    t.out[t.n] = '\0';
    return is_done ? t.n : 0;
}

const char *sp_cli_demangle(const char *name, const char *file, char *out, size_t cap)
{
    char mangled[MANGLED_BYTES];
    size_t bytes = strcspn(name, " ");
    if (bytes >= sizeof mangled || cap < 2 * LIBRARY_BYTES)
        return name;
    memcpy(mangled, name, bytes);
    mangled[bytes] = '\0';
    size_t n = demangle(mangled, out, cap);
    const char *base = strrchr(file, '/');
    if (!n)
        return name;
    if (name[bytes] || !*file)
        snprintf(out + n, cap - n, "%s", name + bytes);
    else
        snprintf(out + n, cap - n, " [%s]", base ? base + 1 : file);
    return out;
}
