/* SPDX-License-Identifier: MIT
 * See names.h. */
#include "writers/names.h"

#include <string.h>

struct sp_names_function sp_names_function(const struct sp_view *v, uint32_t i)
{
    const struct sp_function *f = &v->functions[i];
    struct sp_names_function name = {.text = "", .bytes = 0};
    SP_BUF(more, name.more);
    if (i >= v->n_functions) {
        sp_buf_str(&more, "(\xe2\x80\xa6 ");
        sp_buf_u64(&more, f->pseudo);
        sp_buf_str(&more, " frames elided)");
    } else if (!f->name) {
        name.text = sp_store_pseudo_name(f->pseudo);
        name.bytes = strlen(name.text);
    } else {
        const struct sp_string *s = sp_string_at(v->region, f->name);
        name.text = s->data;
        name.bytes = s->bytes;
        if (v->region->lines && f->line) {
            sp_buf_char(&more, ':');
            sp_buf_u64(&more, f->line > 0 ? (uint64_t)f->line : 0);
        }
    }
    name.more_bytes = more.len;
    return name;
}

static void thread_name(const struct sp_thread *t, uint32_t interpreter, struct sp_buf *b)
{
    if (t->name[0]) {
        sp_buf_str(b, t->name);
    } else if (t->serial == 1) {
        sp_buf_str(b, "MainThread");
    } else {
        sp_buf_str(b, "Thread-");
        sp_buf_u64(b, (uint64_t)t->tid);
    }
    if (interpreter) {
        sp_buf_str(b, " [interpreter ");
        sp_buf_u64(b, interpreter);
        sp_buf_char(b, ']');
    }
}

void sp_names_profile(const struct sp_view *v, const struct sp_view_profile *p, bool tid, struct sp_buf *b)
{
    if (p->thread == 0) {
        sp_buf_char(b, '(');
        sp_buf_u64(b, v->n_others);
        sp_buf_str(b, v->n_own ? " other threads)" : " threads)");
        return;
    }
    const struct sp_thread *t = sp_thread_at(v->region, p->thread);
    thread_name(t, p->interpreter, b);
    if (tid) {
        sp_buf_str(b, " (tid ");
        sp_buf_u64(b, (uint64_t)t->tid);
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
    sp_buf_str(b, " (pid ");
    sp_buf_u64(b, r->pid);
    sp_buf_char(b, ')');
}
