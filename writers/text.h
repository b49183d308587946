/* SPDX-License-Identifier: MIT
 * Text from a program as every format needs it: what is valid UTF-8, and visible escapes for the rest. */
#ifndef SP_WRITERS_TEXT_H
#define SP_WRITERS_TEXT_H

#include "writers/out.h"

/* [hook] Length of the valid UTF-8 sequence at s (1 ... 4), of which n > 0 bytes are there; 0: none begins here. */
size_t sp_text_utf8_length(const unsigned char *s, size_t n);

/* [hook] `intro` and two hexadecimal digits. */
void sp_text_escape(struct sp_out *o, const char *intro, unsigned byte);

/* [hook] How much of a text stands as it is, from its beginning, on a line whose fields `separator` divides. */
size_t sp_text_plain(const char *text, size_t n, char separator);

/* [hook] Such a field. A separator, a line's end or a byte that is no UTF-8 becomes a visible escape, \xHH: no two texts become
 * one. */
void sp_text_field(struct sp_out *o, const char *text, size_t n, char separator);

/* [hook] How many bytes sp_text_field() writes. */
size_t sp_text_field_bytes(const char *text, size_t n, char separator);

#endif
