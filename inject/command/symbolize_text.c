/* SPDX-License-Identifier: MIT
 * See symbolize.h: from JSON text and back. What stands in it is not believed: indices are compared, strings bounded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "inject/command/demangle.h"
#include "inject/command/symbolize.h"
#include "writers/json.h"
#include "writers/names.h"

#define DAMAGED "is damaged: its list of native frames"

static uint32_t count(struct sp_scan array)
{
    struct sp_scan item;
    uint32_t n = 0;
    while (sp_scan_next(&array, &item))
        n++;
    return n;
}

/* A build id in hex; what is none counts as not there. */
static void read_build_id(struct sp_symbolize_module *m, struct sp_scan value)
{
    char hex[2 * SP_BUILD_ID_MAX + 1];
    if (!sp_scan_string(value, hex, sizeof hex) || strlen(hex) % 2 || strspn(hex, "0123456789abcdef") != strlen(hex))
        return;
    for (size_t i = 0; hex[2 * i]; i++) {
        unsigned byte;
        sscanf(hex + 2 * i, "%2x", &byte);
        m->build_id[i] = (uint8_t)byte;
    }
    m->n_build_id = (uint32_t)strlen(hex) / 2;
}

static bool read_modules(struct sp_symbolize *s, struct sp_scan modules)
{
    struct sp_scan item;
    s->n_modules = count(modules);
    s->modules = sp_cli_alloc(NULL, s->n_modules * sizeof *s->modules);
    for (uint32_t i = 0; sp_scan_next(&modules, &item); i++) {
        struct sp_symbolize_module *m = &s->modules[i];
        m->n_build_id = m->n_frames = 0;
        m->frames = NULL;
        if (!sp_scan_string(sp_scan_member(item, "path"), m->path, sizeof m->path))
            return false;
        read_build_id(m, sp_scan_member(item, "build_id"));
    }
    return true;
}

static bool read_place(struct sp_native_frame *f, struct sp_scan triple, uint64_t n_frames, uint64_t n_modules)
{
    struct sp_scan item;
    uint64_t v[3];
    for (int i = 0; i < 3; i++)
        if (!sp_scan_next(&triple, &item) || !sp_scan_u64(item, &v[i]))
            return false;
    *f = (struct sp_native_frame){.frame = (uint32_t)v[0], .module = (uint32_t)v[1], .place = v[2]};
    return v[0] < n_frames && v[1] < n_modules && !sp_scan_next(&triple, &item);
}

static int by_place(const void *a, const void *b)
{
    const struct sp_native_frame *x = a, *y = b;
    if (x->module != y->module)
        return x->module < y->module ? -1 : 1;
    return x->place != y->place ? (x->place < y->place ? -1 : 1) : x->frame < y->frame ? -1 : x->frame > y->frame;
}

/* Which have a name already: "libz.so.1+0x5d80" is none. */
static void see_names(struct sp_symbolize *s, uint32_t n_frames)
{
    static char name[1 << 16];
    bool *has = sp_cli_alloc(NULL, n_frames);
    struct sp_scan left = s->frames, item;
    for (uint32_t i = 0; sp_scan_next(&left, &item); i++)
        has[i] = !sp_scan_string(sp_scan_member(item, "name"), name, sizeof name) || !strstr(name, "+0x");
    for (uint32_t i = 0; i < s->n_native; i++)
        s->native[i].had_name = has[s->native[i].frame];
    free(has);
}

static bool read_native(struct sp_symbolize *s, struct sp_scan native)
{
    struct sp_scan item;
    uint32_t n = count(native), n_frames = count(s->frames);
    s->native = sp_cli_alloc(NULL, n * sizeof *s->native);
    while (sp_scan_next(&native, &item)) {
        if (!read_place(&s->native[s->n_native], item, n_frames, s->n_modules))
            return false;
        s->n_native++;
    }
    qsort(s->native, n, sizeof *s->native, by_place);
    see_names(s, n_frames);
    for (uint32_t i = n; i-- > 0;) {
        struct sp_symbolize_module *m = &s->modules[s->native[i].module];
        m->frames = &s->native[i];
        m->n_frames++;
    }
    return true;
}

const char *sp_symbolize_read(struct sp_symbolize *s, const char *text, size_t n)
{
    *s = (struct sp_symbolize){.text = {.at = text, .end = text + n}};
    struct sp_scan all = s->text, root = sp_scan_value(&all), block = sp_scan_member(root, "spprof");
    if (!sp_scan_ends(&all))
        return n == 0 ? "is empty" : "is no JSON text, or is cut off";
    s->frames = sp_scan_member(sp_scan_member(root, "shared"), "frames");
    if (!s->frames.at || *s->frames.at != '[' || !sp_scan_member(root, "profiles").at)
        return "is not a Speedscope profile";
    if (!block.at || *block.at != '{')
        return "is a Speedscope profile, but not one that spprof wrote";
    return read_modules(s, sp_scan_member(block, "modules")) && read_native(s, sp_scan_member(block, "native")) ? NULL
                                                                                                                : DAMAGED;
}

void sp_symbolize_close(struct sp_symbolize *s)
{
    for (uint32_t i = 0; i < s->n_native; i++) {
        free(s->native[i].name);
        free(s->native[i].file);
    }
    free(s->native);
    free(s->modules);
}

/* ---- back to text */
static void put_name(struct sp_out *o, const struct sp_native_frame *f, const struct sp_symbolize_module *m)
{
    char text[SP_SYMBOLIZE_PATH_BYTES + 1024];
    const char *base = strrchr(m->path, '/'), *shown = sp_cli_demangle(f->name, m->path, text, sizeof text);
    if (shown == f->name && *m->path && (f->file || !sp_names_is_mangled(f->name))) {
        snprintf(text, sizeof text, "%s [%s]", f->name, base ? base + 1 : m->path);
        shown = text;
    }
    sp_json_text(o, shown);
}

static void put_value(struct sp_out *o, const char *key, struct sp_scan value)
{
    if (!value.at)
        return;
    sp_json_key(o, key, false);
    sp_out_mem(o, value.at, (size_t)(value.end - value.at));
}

static void put_frame(struct sp_out *o, struct sp_scan old, const struct sp_native_frame *f,
                      const struct sp_symbolize_module *m)
{
    struct sp_scan name = sp_scan_member(old, "name");
    sp_out_char(o, '{');
    sp_json_key(o, "name", true);
    if (f->name)
        put_name(o, f, m);
    else
        sp_out_mem(o, name.at ? name.at : "\"\"", name.at ? (size_t)(name.end - name.at) : 2);
    if (f->file) {
        sp_json_key_text(o, "file", f->file, false);
        sp_json_key_u64(o, "line", (uint64_t)f->line, false);
    } else {
        put_value(o, "file", sp_scan_member(old, "file"));
        put_value(o, "line", sp_scan_member(old, "line"));
    }
    sp_out_char(o, '}');
}

static int by_frame(const void *a, const void *b)
{
    const struct sp_native_frame *const *x = a, *const *y = b;
    return (*x)->frame < (*y)->frame ? -1 : (*x)->frame > (*y)->frame;
}

int sp_symbolize_write(const struct sp_symbolize *s, struct sp_out *o)
{
    const struct sp_native_frame **next = sp_cli_alloc(NULL, s->n_native * sizeof *next);
    const char *done = s->text.at;
    struct sp_scan left = s->frames, item;
    uint32_t k = 0;
    for (uint32_t i = 0; i < s->n_native; i++)
        next[i] = &s->native[i];
    qsort(next, s->n_native, sizeof *next, by_frame);
    for (uint32_t i = 0; sp_scan_next(&left, &item); i++) {
        const struct sp_native_frame *f = k < s->n_native && next[k]->frame == i ? next[k] : NULL;
        if (f && (f->name || f->file)) {
            sp_out_mem(o, done, (size_t)(item.at - done));
            put_frame(o, item, f, &s->modules[f->module]);
            done = item.end;
        }
        while (k < s->n_native && next[k]->frame == i)
            k++;
    }
    sp_out_mem(o, done, (size_t)(s->text.end - done));
    free(next);
    return sp_out_finish(o);
}
