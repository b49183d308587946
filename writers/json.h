/* SPDX-License-Identifier: MIT
 * JSON text that every parser accepts: ASCII escapes for what JSON forbids, valid UTF-8 for the rest. */
#ifndef SP_WRITERS_JSON_H
#define SP_WRITERS_JSON_H

#include "writers/out.h"

/* [hook] A quoted string. Bytes that are no UTF-8 become \xHH as visible text, NUL becomes U+2400. */
void sp_json_string(struct sp_out *o, const char *s, size_t n);
/* [hook] A part of a string whose quotes the caller puts. */
void sp_json_part(struct sp_out *o, const char *s, size_t n);
/* [hook] As above, from a NUL-terminated string. */
void sp_json_text(struct sp_out *o, const char *s);
/* [hook] "key": and, unless it is the first of its object, the comma before. */
void sp_json_key(struct sp_out *o, const char *key, bool first);
void sp_json_key_u64(struct sp_out *o, const char *key, uint64_t v, bool first);
void sp_json_key_text(struct sp_out *o, const char *key, const char *text, bool first);
/* [hook] [1,2,3] and, unless it is the first of its list, the comma before. */
void sp_json_numbers(struct sp_out *o, const int64_t *numbers, size_t n, bool first);

#endif
