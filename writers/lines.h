/* SPDX-License-Identifier: MIT
 * What each line cost. */
#ifndef SP_WRITERS_LINES_H
#define SP_WRITERS_LINES_H

#include "writers/view.h"

struct sp_line {
    uint32_t function;
    int32_t line;
    uint64_t self, total;
    uint32_t on_path; /* how often, on the path that is being walked */
    uint32_t next;    /* of the same function, by line; index + 1 */
};

struct sp_line_costs {
    struct sp_view *v;
    struct sp_line *all;
    uint32_t n;
    uint32_t *head; /* function -> its first line; index + 1; 0: it has none */
    /* while they are looked for */
    uint32_t *line_of_frame; /* index + 1; 0: not a Python frame */
    uint64_t *weight;        /* node -> weight of the subtree */
    uint32_t *child, *sibling;
    uint32_t *slots, mask;
};

/* [hook] Finds what each line cost. Of the view's tables only that of functions is left afterwards. False: the scratch area has
 * no room. */
bool sp_lines_find(struct sp_line_costs *l, struct sp_view *v);

/* [hook] Writes ,"lines":[[function index,[[line,self,total],...]],...]; nothing when there is none, or no room in the
 * scratch area. Totals count a line once a stack, however often it is on it. To be called last: the view's own
 * tables but the functions are gone afterwards. */
void sp_lines_write(struct sp_view *v, struct sp_out *o);

#endif
