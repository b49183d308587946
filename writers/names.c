/* SPDX-License-Identifier: MIT
 * See names.h. */
#include "writers/names.h"

#include <string.h>

/* Length of `folder` and a slash at s; a '#' in it stands for a version such as 3.13t. 0: something else is there. */
static size_t folder_bytes(const char *s, size_t n, const char *folder)
{
    size_t at = 0;
    for (; *folder; folder++) {
        if (*folder == '#') {
            while (at < n && s[at] != '/')
                at++;
        } else if (at == n || s[at++] != *folder) {
            return 0;
        }
    }
    return at < n && s[at] == '/' ? at + 1 : 0;
}

size_t sp_names_short_path(const char *path, size_t bytes)
{
    static const char *const folders[] = {"/site-packages", "/dist-packages", "/lib/python3#", "/lib64/python3#"};
    int left = 3;
    size_t third = 0;
    for (size_t i = bytes; i-- > 0;) {
        if (path[i] != '/')
            continue;
        if (i + 1 < bytes && --left == 0)
            third = i + 1;
        for (size_t k = 0; k < SP_ARRAY_LEN(folders); k++) {
            size_t n = folder_bytes(path + i, bytes - i, folders[k]);
            if (n && i + n < bytes)
                return i + n;
        }
    }
    return third;
}

bool sp_names_is_mangled(const char *symbol)
{
    return symbol[0] == '_' && (symbol[1] == 'Z' || (symbol[1] == 'R' && symbol[2] && strchr("NIMXYBC", symbol[2])));
}

static bool is_module(const struct sp_string *name)
{
    return name->bytes == 8 && memcmp(name->data, "<module>", 8) == 0;
}

static struct sp_names_part base_name(const struct sp_string *library)
{
    size_t at = sp_view_library_path(library);
    for (size_t i = at; i + 1 < library->bytes; i++)
        if (library->data[i] == '/')
            at = i + 1;
    return (struct sp_names_part){library->data + at, library->bytes - at};
}

/* "deflate [libz.so.1]"; a function without a symbol is its library's name and its place there. */
static void native_function(const struct sp_view *v, const struct sp_function *f, struct sp_names_part *part,
                            struct sp_buf *made)
{
    struct sp_names_part library = base_name(sp_string_at(v->region, f->file));
    if (f->symbol) {
        part[0] = (struct sp_names_part){f->symbol, strlen(f->symbol)};
        part[1] = (struct sp_names_part){" [", 2};
        part[2] = library;
        part[3] = (struct sp_names_part){"]", 1};
        return;
    }
    part[0] = library;
    sp_buf_str(made, "+0x");
    sp_buf_hex(made, sp_view_place(v->region, f));
    part[1] = (struct sp_names_part){made->data, made->len};
}

void sp_names_function(const struct sp_view *v, uint32_t i, struct sp_names_function *name)
{
    const struct sp_function *f = &v->functions[i];
    struct sp_names_part *part = name->parts;
    SP_BUF(made, name->text);
    memset(part, 0, sizeof name->parts);
    if (i >= v->n_functions) {
        sp_buf_str(&made, "(\xe2\x80\xa6 ");
        sp_buf_u64(&made, f->pseudo);
        sp_buf_str(&made, " frames elided)");
        part[0] = (struct sp_names_part){made.data, made.len};
        return;
    }
    if (f->native) {
        native_function(v, f, part, &made);
        return;
    }
    if (!f->name) {
        const char *pseudo = sp_store_pseudo_name(f->pseudo);
        part[0] = (struct sp_names_part){pseudo, strlen(pseudo)};
        return;
    }
    const struct sp_string *s = sp_string_at(v->region, f->name);
    part[0] = (struct sp_names_part){s->data, s->bytes};
    if (f->file && is_module(s)) {
        const struct sp_string *file = sp_string_at(v->region, f->file);
        size_t at = sp_names_short_path(file->data, file->bytes);
        part[0] = (struct sp_names_part){"<module> ", 9};
        part[1] = (struct sp_names_part){file->data + at, file->bytes - at};
    }
    if (v->names_lines && f->line) {
        sp_buf_char(&made, ':');
        sp_buf_u64(&made, f->line > 0 ? (uint64_t)f->line : 0);
        part[2] = (struct sp_names_part){made.data, made.len};
    }
}

/* True: the text names the thread's id. */
static bool thread_name(const struct sp_view *v, const struct sp_view_profile *p, struct sp_buf *b)
{
    const struct sp_thread *t = sp_thread_at(v->region, p->thread);
    char system[16] = "";
    if (!t->name[0] && t->serial != 1 && t->state == SP_THREAD_LIVE && v->profile->thread_name)
        v->profile->thread_name(t->tid, system);
    bool numbered = !t->name[0] && !system[0] && t->serial != 1;
    if (numbered) {
        sp_buf_str(b, "(thread ");
        sp_buf_u64(b, (uint64_t)t->tid);
        sp_buf_char(b, ')');
    } else {
        sp_buf_str(b, t->name[0] ? t->name : system[0] ? system : "MainThread");
    }
    if (p->interpreter) {
        sp_buf_str(b, " [interpreter ");
        sp_buf_u64(b, p->interpreter);
        sp_buf_char(b, ']');
    }
    return numbered;
}

void sp_names_profile(const struct sp_view *v, const struct sp_view_profile *p, bool tid, struct sp_buf *b)
{
    if (p->thread == 0) {
        sp_buf_char(b, '(');
        sp_buf_u64(b, v->n_others);
        sp_buf_str(b, v->n_own ? " other threads)" : " threads)");
        return;
    }
    if (!thread_name(v, p, b) && tid) {
        sp_buf_str(b, " (tid ");
        sp_buf_u64(b, (uint64_t)sp_thread_at(v->region, p->thread)->tid);
        sp_buf_char(b, ')');
    }
}

void sp_names_title(const struct sp_region *r, struct sp_buf *b)
{
    for (size_t at = 0; at < sizeof r->argv && r->argv[at];) {
        size_t len = strnlen(r->argv + at, sizeof r->argv - at);
        if (at)
            sp_buf_char(b, ' ');
        sp_buf_mem(b, r->argv + at, len);
        at += len + 1;
    }
    if (!r->pid) /* several */
        return;
    sp_buf_str(b, " (pid ");
    sp_buf_u64(b, r->pid);
    sp_buf_char(b, ')');
}
