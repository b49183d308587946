/* SPDX-License-Identifier: MIT
 * See json.h. */
#include "writers/json.h"

#include <string.h>

#include "writers/text.h"

void sp_json_part(struct sp_out *o, const char *text, size_t n)
{
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0, len; i < n; i += len) {
        len = sp_text_utf8_length(s + i, n - i);
        if (len == 0) {
            sp_text_escape(o, "\\\\x", s[i]);
            len = 1;
        } else if (len > 1) {
            sp_out_mem(o, s + i, len);
        } else if (s[i] == '"' || s[i] == '\\') {
            sp_out_char(o, '\\');
            sp_out_char(o, (char)s[i]);
        } else if (s[i] == 0) {
            sp_out_str(o, "\xe2\x90\x80");
        } else if (s[i] < 0x20 || s[i] == 0x7f) {
            sp_text_escape(o, "\\u00", s[i]);
        } else {
            sp_out_char(o, (char)s[i]);
        }
    }
}

void sp_json_string(struct sp_out *o, const char *s, size_t n)
{
    sp_out_char(o, '"');
    sp_json_part(o, s, n);
    sp_out_char(o, '"');
}

void sp_json_text(struct sp_out *o, const char *s)
{
    sp_json_string(o, s, strlen(s));
}

void sp_json_key(struct sp_out *o, const char *key, bool first)
{
    if (!first)
        sp_out_char(o, ',');
    sp_json_text(o, key);
    sp_out_char(o, ':');
}

void sp_json_key_u64(struct sp_out *o, const char *key, uint64_t v, bool first)
{
    sp_json_key(o, key, first);
    sp_out_u64(o, v);
}

void sp_json_key_text(struct sp_out *o, const char *key, const char *text, bool first)
{
    sp_json_key(o, key, first);
    sp_json_text(o, text);
}

void sp_json_numbers(struct sp_out *o, const int64_t *numbers, size_t n, bool first)
{
    sp_out_str(o, first ? "[" : ",[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            sp_out_char(o, ',');
        sp_out_i64(o, numbers[i]);
    }
    sp_out_char(o, ']');
}
