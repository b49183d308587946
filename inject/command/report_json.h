/* SPDX-License-Identifier: MIT
 * A report as JSON, for scripts: what spprof.5 describes as REPORT. */
#ifndef SP_INJECT_COMMAND_REPORT_JSON_H
#define SP_INJECT_COMMAND_REPORT_JSON_H

#include "inject/command/listing.h"
#include "inject/command/report_tree.h"

#define SP_REPORT_JSON 1 /* grows when a key gets another meaning */

/* [any] Prints it: the first `shown` rows; with listing->asked that; or the tree. */
void sp_report_print_json(const struct sp_report_head *h, const struct sp_report_rows *r, size_t shown,
                          const struct sp_listing *listing);

#endif
