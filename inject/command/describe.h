/* SPDX-License-Identifier: MIT
 * What a function of a view is called in a table: by itself, or by what it belongs to. */
#ifndef SP_INJECT_COMMAND_DESCRIBE_H
#define SP_INJECT_COMMAND_DESCRIBE_H

#include "writers/view.h"

#define SP_REPORT_BYS "function, line, file, module, package, library, thread, task, span, process, gil"

enum sp_report_by { /* in the order of SP_REPORT_BYS */
                    SP_REPORT_FUNCTION,
                    SP_REPORT_LINE,
                    SP_REPORT_FILE,
                    SP_REPORT_MODULE,
                    SP_REPORT_PACKAGE,
                    SP_REPORT_LIBRARY,
                    SP_REPORT_THREAD,
                    SP_REPORT_TASK,
                    SP_REPORT_SPAN,
                    SP_REPORT_PROCESS,
                    SP_REPORT_GIL,
                    SP_REPORT_SAME_FUNCTION /* not among them: by what stays from one version of a program to the next */
};

/* [any] What the row of a function is called; line 0: its own. How many bytes of that stand before " (file:line)", or all. */
size_t sp_describe(enum sp_report_by by, const struct sp_view *v, uint32_t function, int line, char *out, size_t cap);

/* [any] Name and tags of the span that a function is; false: it is none. */
bool sp_describe_span(const struct sp_view *v, uint32_t function, char *out, size_t cap);

/* [any] Whose code a function is: its module, its package or its library (describe_package.c). */
void sp_describe_package(enum sp_report_by by, const struct sp_view *v, uint32_t function, char *out, size_t cap);

/* [any] The next modules and packages are of this view's process. */
void sp_describe_begin(const struct sp_view *v);

/* [any] Whether a name is the function that somebody asked for: it is called so, or its last part is. */
bool sp_describe_is(const char *name, const char *asked);

/* [any] The name, or what stands for none. */
const char *sp_describe_shown(const char *name);

#endif
