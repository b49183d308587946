/* SPDX-License-Identifier: MIT
 * Messages: one line each on stderr, "spprof: what happened; why; what follows". */
#ifndef SP_COMPAT_DIAG_H
#define SP_COMPAT_DIAG_H

#include "compat/base.h"

/* [any] Whether messages are written at all; false in descendants. The first call notes what stderr is: a program
 * that closes it may have a data file there later, and gets nothing written into that. */
void sp_diag_enable(bool on);
/* [any] One line, written with one write(2), at most 16 in the life of a process. Keeps errno. */
void sp_diag(const char *line);
/* [handler] Joins its parts: sp_diag_join("cannot write ", path, "; ...", NULL, NULL); NULL ends the list early. */
SP_SIGSAFE void sp_diag_join(const char *a, const char *b, const char *c, const char *d, const char *e);

#endif
