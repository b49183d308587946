/* SPDX-License-Identifier: MIT
 * A report as lines for a terminal of so many columns (0: any). */
#ifndef SP_INJECT_COMMAND_REPORT_PRINT_H
#define SP_INJECT_COMMAND_REPORT_PRINT_H

#include "inject/command/report.h"
#include "inject/command/report_tree.h"

/* [any] What the lives are made of. */
void sp_report_print_lives(const struct sp_report_rows *r, int columns);

/* [any] The first `shown` threads by what they had to do with the GIL. */
void sp_report_print_gil(const struct sp_report_rows *r, size_t shown, int columns);

/* [any] The first `shown` rows. */
void sp_report_print_rows(const struct sp_report_rows *r, size_t shown, int columns);

/* [any] The tree, of which so many rows are not shown. A line that begins with > is the only one that its upper neighbour calls. */
void sp_report_print_tree(const struct sp_report_rows *r, uint32_t left_out, int columns);

#endif
