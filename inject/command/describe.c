/* SPDX-License-Identifier: MIT
 * See describe.h. */
#include "inject/command/describe.h"

#include <stdio.h>
#include <string.h>

#include "inject/command/demangle.h"
#include "writers/names.h"

const char *sp_describe_shown(const char *name)
{
    return *name ? name : "(no name)";
}

static void name_of(const struct sp_view *v, uint32_t function, char *out, size_t cap)
{
    struct sp_names_function name;
    char text[8192] = "", readable[4096];
    size_t n = 0;
    sp_names_function(v, function, &name);
    for (size_t i = 0; i < SP_NAMES_PARTS && n < sizeof text; i++)
        if (name.parts[i].bytes)
            n += (size_t)snprintf(text + n, sizeof text - n, "%.*s", (int)name.parts[i].bytes, name.parts[i].text);
    snprintf(out, cap, "%s", sp_describe_shown(sp_cli_demangle(text, "", readable, sizeof readable)));
}

/* Behind a name, unless that ends with it, as a module's does. */
static void add_short_path(char *out, size_t n, size_t cap, const struct sp_string *file)
{
    size_t at = sp_names_short_path(file->data, file->bytes), k = file->bytes - at;
    bool has = n > k && out[n - k - 1] == ' ' && memcmp(out + n - k, file->data + at, k) == 0;
    if (!has)
        snprintf(out + n, cap - n, " (%.*s)", (int)k, file->data + at);
}

size_t sp_describe(enum sp_report_by by, const struct sp_view *v, uint32_t function, int line, char *out, size_t cap)
{
    const struct sp_function *f = &v->functions[function];
    if (by == SP_REPORT_LIBRARY || by == SP_REPORT_MODULE || by == SP_REPORT_PACKAGE) {
        sp_describe_package(by, v, function, out, cap);
        return strlen(out);
    }
    if (!f->file || by != SP_REPORT_FILE)
        name_of(v, function, out, cap);
    size_t n = f->file && by == SP_REPORT_FILE ? 0 : strlen(out);
    if (!f->file)
        return n;
    const struct sp_string *s = sp_string_at(v->region, f->file);
    size_t from = f->native ? sp_view_library_path(s) : 0;
    line = line ? line : f->line;
    if (by == SP_REPORT_FILE)
        n = (size_t)snprintf(out, cap, "%.*s", (int)(s->bytes - from), s->data + from);
    else if (by == SP_REPORT_SAME_FUNCTION && !f->native)
        add_short_path(out, n, cap, s);
    else if (line > 0) /* a native one's name tells its library */
        snprintf(out + n, cap - n, " (%.*s:%d)", (int)s->bytes, s->data, line);
    return n;
}

bool sp_describe_span(const struct sp_view *v, uint32_t function, char *out, size_t cap)
{
    static const char prefix[] = "span ", other[] = "(other spans)";
    const struct sp_function *f = function < v->n_functions ? &v->functions[function] : NULL;
    const struct sp_string *s = f && f->name && !f->file ? sp_string_at(v->region, f->name) : NULL;
    size_t from = sizeof prefix - 1;
    if (!s || s->bytes < from)
        return false;
    bool is_other = s->bytes == sizeof other - 1 && memcmp(s->data, other, s->bytes) == 0;
    snprintf(out, cap, "%.*s", (int)(s->bytes - (is_other ? 0 : from)), s->data + (is_other ? 0 : from));
    return is_other || memcmp(s->data, prefix, from) == 0;
}

bool sp_describe_is(const char *name, const char *asked)
{
    const char *end = strrchr(name, ')') ? strstr(name, " (") : NULL;
    size_t n = strlen(asked), k = end && end > name ? (size_t)(end - name) : strlen(name);
    return strcmp(name, asked) == 0 || (n <= k && strncmp(name + k - n, asked, n) == 0 && (n == k || name[k - n - 1] == '.'));
}
