/* SPDX-License-Identifier: MIT
 * Names of a view's native functions. */
#ifndef SP_WRITERS_SYMBOLS_H
#define SP_WRITERS_SYMBOLS_H

#include "writers/view.h"

/* [hook] Reads the symbols of the libraries that native functions lie in, as far as their files are there and the scratch area
 * has room: sets `symbol` of those that have one. */
void sp_symbols_of_view(struct sp_view *v);

#endif
