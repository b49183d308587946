/* SPDX-License-Identifier: MIT
 * Line tables written by hand after the format descriptions; tests/layout checks whole standard libraries. */
#include "compat/py_lines.h"

#include <string.h>
#include <unistd.h>

#include "tests/support/unit.h"

static int32_t line(enum sp_py_lines format, const void *table, uint32_t n, int32_t offset)
{
    struct sp_lines_input in = {.format = format, .table = table, .bytes = n, .first_line = 10};
    return sp_py_line(&in, offset);
}

static void lnotab_39(void)
{
    const signed char t[] = {0, 1, 6, 1, 8, -2, (signed char)255, 0, 5, 3}; /* 11 from 0, 12 from 6, 10 from 14, 13 from 274 */
    CHECK_EQ(line(SP_PY_LINES_LNOTAB_39, t, sizeof t, -1), 10);
    CHECK_EQ(line(SP_PY_LINES_LNOTAB_39, t, sizeof t, 0), 11);
    CHECK_EQ(line(SP_PY_LINES_LNOTAB_39, t, sizeof t, 4), 11);
    CHECK_EQ(line(SP_PY_LINES_LNOTAB_39, t, sizeof t, 6), 12);
    CHECK_EQ(line(SP_PY_LINES_LNOTAB_39, t, sizeof t, 272), 10);
    CHECK_EQ(line(SP_PY_LINES_LNOTAB_39, t, sizeof t, 274), 13);
}

static void linetable_310(void)
{
    const signed char t[] = {4, 1, 2, -128, 8, 2}; /* 11 to 4, none to 6, 13 to 14 */
    CHECK_EQ(line(SP_PY_LINES_LINETABLE_310, t, sizeof t, 2), 11);
    CHECK_EQ(line(SP_PY_LINES_LINETABLE_310, t, sizeof t, 4), 0);
    CHECK_EQ(line(SP_PY_LINES_LINETABLE_310, t, sizeof t, 6), 13);
    CHECK_EQ(line(SP_PY_LINES_LINETABLE_310, t, sizeof t, 14), 0);
}

static void locations_311(void)
{
    /* short form 0 (2 units), one line +1 (1 unit), long form +70 (1 unit), none (1 unit), no columns -3 (3 units) */
    const char t[] = {(char)(0x80 | 0 << 3 | 1),
                      0x12,
                      (char)(0x80 | 11 << 3),
                      4,
                      8,
                      (char)(0x80 | 14 << 3),
                      0x40 | 12,
                      2,
                      0,
                      1,
                      1,
                      (char)(0x80 | 15 << 3),
                      (char)(0x80 | 13 << 3 | 2),
                      7};
    CHECK_EQ(line(SP_PY_LINES_LOCATIONS_311, t, sizeof t, 0), 10);
    CHECK_EQ(line(SP_PY_LINES_LOCATIONS_311, t, sizeof t, 2), 10);
    CHECK_EQ(line(SP_PY_LINES_LOCATIONS_311, t, sizeof t, 4), 11);
    CHECK_EQ(line(SP_PY_LINES_LOCATIONS_311, t, sizeof t, 6), 81);
    CHECK_EQ(line(SP_PY_LINES_LOCATIONS_311, t, sizeof t, 8), 0);
    CHECK_EQ(line(SP_PY_LINES_LOCATIONS_311, t, sizeof t, 10), 78);
    CHECK_EQ(line(SP_PY_LINES_LOCATIONS_311, t, sizeof t, 14), 78);
    CHECK_EQ(line(SP_PY_LINES_LOCATIONS_311, t, sizeof t, 16), 0);
}

static void garbage_ends(void)
{
    char t[4096];
    for (unsigned seed = 1; seed < 200; seed++) {
        unsigned x = seed;
        for (size_t i = 0; i < sizeof t; i++)
            t[i] = (char)((x = x * 1103515245 + 12345) >> 16);
        for (int format = 1; format <= 3; format++)
            for (int32_t offset = -2; offset < 20000; offset += 997)
                line((enum sp_py_lines)format, t, sizeof t, offset);
    }
    CHECK_EQ(line(SP_PY_LINES_LOCATIONS_311, t, 0, 4), 0);
}

const struct unit_case unit_cases[] = {
    {"lnotab_39", lnotab_39},
    {"linetable_310", linetable_310},
    {"locations_311", locations_311},
    {"garbage_ends", garbage_ends},
    {NULL, NULL},
};
