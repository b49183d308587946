/* SPDX-License-Identifier: MIT
 * Fuzz target: line tables of every format, cut and broken. Input: format, first line, offset, table. */
#include <stdlib.h>
#include <string.h>

#include "compat/py_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6)
        return 0;
    int32_t offset;
    memcpy(&offset, data + 2, 4);
    uint8_t *table = malloc(size - 6 ? size - 6 : 1); /* its own allocation: what reads past it is caught */
    memcpy(table, data + 6, size - 6);
    struct sp_lines_input in = {
        .format = (enum sp_py_lines)(data[0] % 4), .table = table, .bytes = (uint32_t)(size - 6), .first_line = data[1]};
    sp_py_line(&in, offset);
    free(table);
    return 0;
}
