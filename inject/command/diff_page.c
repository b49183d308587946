/* SPDX-License-Identifier: MIT
 * See diff_page.h. All of a side is one thread of one region, so that stacks of both are told once. */
#include "inject/command/diff_page.h"

#include <string.h>

#include "inject/command/command.h"
#include "inject/command/write_file.h"

struct writing {
    const struct sp_profile *profile;
    const struct sp_compared *compared;
    const char *name;
};

bool sp_diff_page_may_be(const char *name)
{
    bool may = strcmp(name, "-") == 0 || (sp_writer_for(name) == &sp_writer_html && !sp_writer_is_unknown(name));
    if (!may)
        sp_cli_fail(name, "is no name for a page; OUT.html is one");
    return may;
}

int sp_diff_page_add(struct sp_combined *c, int side, const struct sp_loaded *l)
{
    if (!c->all.region && sp_combine_open(c, true))
        return 1;
    c->side = side ? "B" : "A";
    return sp_combine_add(c, l);
}

static const struct sp_compared *compared;

static int write_page(const struct sp_profile *p, struct sp_out *o)
{
    return sp_html_write(p, compared, o);
}

static int write_all(struct sp_out *o, void *arg)
{
    static const struct sp_writer_ops page = {.write = write_page};
    const struct writing *w = arg;
    return sp_writer_write(&page, w->name, w->profile, o);
}

int sp_diff_page_write(const char *name, struct sp_combined *c, struct sp_compared *of)
{
    struct writing w = {.profile = &c->all.profile, .name = name};
    sp_combine_finish(c);
    c->all.region->wall = SP_WALL_OFF;
    of->page = (struct sp_html_page){sp_html_diff_page_before, sp_html_diff_page_after, sp_html_diff_page_before_bytes,
                                     sp_html_diff_page_after_bytes};
    compared = of;
    return sp_cli_write_file(name, 0, write_all, &w);
}
