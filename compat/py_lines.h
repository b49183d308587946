/* SPDX-License-Identifier: MIT
 * Instruction offset -> line, from a copied line table. Pure functions; the writer calls them. */
#ifndef SP_COMPAT_PY_LINES_H
#define SP_COMPAT_PY_LINES_H

#include "compat/base.h"

/* Same numbers as enum sp_lines of the region. */
enum sp_py_lines { SP_PY_LINES_NONE, SP_PY_LINES_LNOTAB_39, SP_PY_LINES_LINETABLE_310, SP_PY_LINES_LOCATIONS_311 };

struct sp_lines_input {
    enum sp_py_lines format;
    const uint8_t *table;
    uint32_t bytes; /* a prefix of the table is enough when it reaches the instruction */
    int32_t first_line;
};

/* [hook] Line of the instruction at byte offset `offset` (negative: not started, gives first_line);
 * 0: the instruction has no line, or the table does not reach it. */
int32_t sp_py_line(const struct sp_lines_input *in, int32_t offset);

#endif
