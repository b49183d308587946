/* SPDX-License-Identifier: MIT
 * See text.h. */
#include "writers/text.h"

size_t sp_text_utf8_length(const unsigned char *s, size_t n)
{
    if (s[0] < 0x80)
        return 1;
    size_t want = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || want > n)
        return 0;
    for (size_t i = 1; i < want; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
    bool beyond = (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf4 && s[1] > 0x8f);
    return overlong || beyond ? 0 : want;
}

void sp_text_escape(struct sp_out *o, const char *intro, unsigned byte)
{
    static const char hex[] = "0123456789abcdef";
    sp_out_str(o, intro);
    sp_out_char(o, hex[byte >> 4]);
    sp_out_char(o, hex[byte & 15]);
}

size_t sp_text_plain(const char *text, size_t n, char separator)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t i = 0;
    for (size_t len; i < n; i += len) {
        len = sp_text_utf8_length(s + i, n - i);
        if (len == 0 || (len == 1 && (s[i] < 0x20 || s[i] == 0x7f || text[i] == separator)))
            break;
    }
    return i;
}

void sp_text_field(struct sp_out *o, const char *text, size_t n, char separator)
{
    for (size_t plain; n; text += plain, n -= plain) {
        plain = sp_text_plain(text, n, separator);
        sp_out_mem(o, text, plain);
        if (plain < n)
            sp_text_escape(o, "\\x", (unsigned char)text[plain++]);
    }
}

size_t sp_text_field_bytes(const char *text, size_t n, char separator)
{
    size_t bytes = 0;
    for (size_t plain; n; text += plain, n -= plain) {
        plain = sp_text_plain(text, n, separator);
        bytes += plain;
        if (plain < n) {
            bytes += sizeof "\\x00" - 1;
            plain++;
        }
    }
    return bytes;
}
