/* SPDX-License-Identifier: MIT
 * Calls as a tree of rows: from callers to callees, or from one function to its callers. */
#ifndef SP_INJECT_COMMAND_REPORT_TREE_H
#define SP_INJECT_COMMAND_REPORT_TREE_H

#include "inject/command/report.h"

struct sp_tree_node {
    uint32_t parent; /* 0: none; a parent's number is smaller */
    int row;
    double self, total;   /* ns */
    uint32_t first, next; /* shown: the heaviest called, the next called by the same */
    uint32_t depth;
    bool is_shown;
};

struct sp_report_tree {
    const char *callers_of; /* NULL: from callers to callees */
    struct sp_tree_node *node;
    uint32_t n; /* node 0 is above all */
    uint32_t *slots, n_slots;
};

/* [any] Adds the stacks of a view, `self` being the weight of its nodes; row_of tells a function's row. */
void sp_tree_add(struct sp_report_tree *t, const struct sp_report_rows *rows, const struct sp_view *v, const uint64_t *self,
                 int (*row_of)(void *arg, uint32_t function), void *arg);

/* [any] The number of the node of this row below `parent`, which is made if there is none. */
uint32_t sp_tree_child(struct sp_report_tree *t, uint32_t parent, int row);

/* [any] Lists the heaviest `limit` nodes (0: all) for the walk; how many are left out. */
uint32_t sp_tree_finish(struct sp_report_tree *t, const struct sp_report_rows *rows, long limit);

/* [any] The node shown behind this one, 0 being before the first; 0: there is none. */
uint32_t sp_tree_next(const struct sp_report_tree *t, uint32_t node);

#endif
