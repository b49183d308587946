/* SPDX-License-Identifier: MIT
 * The three line table formats of CPython, read from Objects/lnotab_notes.txt (3.9, 3.10) and
 * Objects/locations.md (3.11 on; InternalDocs/code_objects.md from 3.13). */
#include "compat/py_lines.h"

/* Wraps around where a damaged table adds up to more than an int holds. */
static int32_t add(int32_t a, int32_t b)
{
    return (int32_t)((uint32_t)a + (uint32_t)b);
}

/* Pairs (address delta u8, line delta s8); the line changes at the address. */
static int32_t line_lnotab(const struct sp_lines_input *in, int32_t offset)
{
    int32_t address = 0, line = in->first_line;
    for (uint32_t i = 0; i + 1 < in->bytes; i += 2) {
        address = add(address, in->table[i]);
        if (address > offset)
            break;
        line = add(line, (int8_t)in->table[i + 1]);
    }
    return line;
}

/* Pairs (length u8, line delta s8); -128: this range has no line. */
static int32_t line_linetable(const struct sp_lines_input *in, int32_t offset)
{
    int32_t end = 0, line = in->first_line;
    for (uint32_t i = 0; i + 1 < in->bytes; i += 2) {
        int8_t delta = (int8_t)in->table[i + 1];
        end += in->table[i];
        if (delta != -128)
            line = add(line, delta);
        if (offset < end)
            return delta == -128 ? 0 : line;
    }
    return 0;
}

static uint32_t read_varint(const struct sp_lines_input *in, uint32_t *at)
{
    uint32_t v = 0;
    for (unsigned shift = 0; *at < in->bytes && shift < 30; shift += 6) {
        uint8_t b = in->table[(*at)++];
        v |= (uint32_t)(b & 63) << shift;
        if (!(b & 64))
            break;
    }
    return v;
}

static int32_t read_svarint(const struct sp_lines_input *in, uint32_t *at)
{
    uint32_t v = read_varint(in, at);
    return v & 1 ? -(int32_t)(v >> 1) : (int32_t)(v >> 1);
}

/* Entries: 1 kkkk lll (kind, length - 1 in code units), then what the kind needs. */
static int32_t line_locations(const struct sp_lines_input *in, int32_t offset)
{
    int32_t end = 0, line = in->first_line;
    for (uint32_t at = 0; at < in->bytes;) {
        uint8_t head = in->table[at++];
        int kind = head >> 3 & 15;
        end += ((head & 7) + 1) * 2;
        if (kind == 13 || kind == 14) /* no columns, long form */
            line = add(line, read_svarint(in, &at));
        else if (kind >= 10 && kind <= 12) /* one line: delta 0, 1, 2 */
            line = add(line, kind - 10);
        if (offset < end)
            return kind == 15 ? 0 : line;
        while (at < in->bytes && !(in->table[at] & 128)) /* columns: the next entry has the top bit */
            at++;
    }
    return 0;
}

int32_t sp_py_line(const struct sp_lines_input *in, int32_t offset)
{
    if (offset < 0)
        return in->first_line;
    switch (in->format) {
    case SP_PY_LINES_LNOTAB_39: return line_lnotab(in, offset);
    case SP_PY_LINES_LINETABLE_310: return line_linetable(in, offset);
    case SP_PY_LINES_LOCATIONS_311: return line_locations(in, offset);
    case SP_PY_LINES_NONE: break;
    }
    return 0;
}
