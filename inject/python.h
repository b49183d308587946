/* SPDX-License-Identifier: MIT
 * Which CPython this process has, and what is asked of it by name. */
#ifndef SP_INJECT_PYTHON_H
#define SP_INJECT_PYTHON_H

#include "compat/base.h"

/* [start] Fills sp_py if a CPython is linked in. */
bool sp_python_find_linked(void);
/* [hook] Fills sp_py if `address` lies in a CPython that was loaded later. Asks no loader; 5 ns for an address that was
 * asked for before, else 30 us and more. At most one caller ever gets true. */
bool sp_python_find_at(const void *address);
/* [any] A symbol of the CPython that was found: while it starts, later the library may be gone. NULL: it has none. */
void *sp_python_symbol(const char *name);
/* [hook] Sees to it that a CPython that was found stays loaded. To be called where the program unloads a library, and has the
 * loader locked for that anyway. */
void sp_python_keep(void);

#endif
