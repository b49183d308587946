/* SPDX-License-Identifier: MIT
 * See span.h: RFC 8259. */
#include "inject/command/span.h"

#include <stdlib.h>
#include <string.h>

#define DEEPEST 64

static const char *blanks(const char *s, const char *end)
{
    while (s < end && (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r'))
        s++;
    return s;
}

static bool is_digit(const char *s, const char *end)
{
    return s < end && *s >= '0' && *s <= '9';
}

static int hex4(const char *s, const char *end)
{
    int v = 0;
    if (end - s < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef", *at = s[i] ? strchr(digits, s[i] | 0x20) : NULL;
        if (!at || (s[i] < '0' || (s[i] > '9' && s[i] < 'A')))
            return -1;
        v = v << 4 | (int)(at - digits);
    }
    return v;
}

/* ---- each returns where the value ends, or NULL */
static const char *string_end(const char *s, const char *end)
{
    for (s++; s < end && *s != '"'; s++) {
        if ((unsigned char)*s < 0x20)
            return NULL;
        if (*s != '\\')
            continue;
        if (++s == end || !*s || !strchr("\"\\/bfnrtu", *s) || (*s == 'u' && hex4(s + 1, end) < 0))
            return NULL;
    }
    return s < end ? s + 1 : NULL;
}

static const char *number_end(const char *s, const char *end)
{
    s += *s == '-';
    if (!is_digit(s, end))
        return NULL;
    if (*s == '0')
        s++;
    else
        while (is_digit(s, end))
            s++;
    if (s < end && *s == '.') {
        if (!is_digit(++s, end))
            return NULL;
        while (is_digit(s, end))
            s++;
    }
    if (s < end && (*s == 'e' || *s == 'E')) {
        s++;
        s += s < end && (*s == '+' || *s == '-');
        if (!is_digit(s, end))
            return NULL;
        while (is_digit(s, end))
            s++;
    }
    return s;
}

static const char *word_end(const char *s, const char *end)
{
    static const char *const words[] = {"true", "false", "null"};
    for (int i = 0; i < 3; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(end - s) >= n && memcmp(s, words[i], n) == 0)
            return s + n;
    }
    return NULL;
}

static const char *value_end(const char *s, const char *end, int depth);

/* What stands in brackets, behind the opening one. */
static const char *items_end(const char *s, const char *end, bool is_object, int depth)
{
    char close = is_object ? '}' : ']';
    s = blanks(s, end);
    if (s < end && *s == close)
        return s + 1;
    while (s && s < end) {
        if (is_object) {
            s = *s == '"' ? string_end(s, end) : NULL;
            s = s ? blanks(s, end) : NULL;
            if (!s || s == end || *s != ':')
                return NULL;
            s = blanks(s + 1, end);
        }
        s = value_end(s, end, depth + 1);
        s = s ? blanks(s, end) : NULL;
        if (!s || s == end)
            return NULL;
        if (*s == close)
            return s + 1;
        s = *s == ',' ? blanks(s + 1, end) : NULL;
    }
    return NULL;
}

static const char *value_end(const char *s, const char *end, int depth)
{
    if (s == end || depth > DEEPEST)
        return NULL;
    switch (*s) {
    case '"': return string_end(s, end);
    case '{':
    case '[': return items_end(s + 1, end, *s == '{', depth);
    case 't':
    case 'f':
    case 'n': return word_end(s, end);
    default: return number_end(s, end);
    }
}

struct sp_span sp_span_whole(const char *text, size_t n)
{
    const char *end = text + n, *from = blanks(text, end), *to = value_end(from, end, 0);
    if (!to || blanks(to, end) != end)
        return (struct sp_span){NULL, 0};
    return (struct sp_span){from, (size_t)(to - from)};
}

struct sp_span sp_span_member(struct sp_span object, const char *name)
{
    if (!object.at || *object.at != '{')
        return (struct sp_span){NULL, 0};
    size_t n = strlen(name);
    const char *end = object.at + object.n;
    for (const char *s = blanks(object.at + 1, end); *s != '}'; s = blanks(s + (*s == ','), end)) {
        const char *key = s, *key_end = string_end(s, end), *from = blanks(blanks(key_end, end) + 1, end);
        s = value_end(from, end, 1);
        if ((size_t)(key_end - key) == n + 2 && memcmp(key + 1, name, n) == 0)
            return (struct sp_span){from, (size_t)(s - from)};
        s = blanks(s, end);
    }
    return (struct sp_span){NULL, 0};
}

bool sp_span_next(struct sp_span array, struct sp_span *item)
{
    if (!array.at || *array.at != '[')
        return false;
    const char *end = array.at + array.n, *s = blanks(item->at ? item->at + item->n : array.at + 1, end);
    s = item->at && *s == ',' ? blanks(s + 1, end) : s;
    if (*s == ']')
        return false;
    *item = (struct sp_span){s, (size_t)(value_end(s, end, 1) - s)};
    return true;
}

bool sp_span_u64(struct sp_span value, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (!is_digit(value.at + i, value.at + value.n) || *number > (1ull << 53) / 10)
            return false;
        *number = *number * 10 + (uint64_t)(value.at[i] - '0');
    }
    return value.n > 0;
}

/* A character in UTF-8; of a surrogate what it would be. */
static size_t put_point(char out[4], uint32_t c)
{
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(leads[n] | c);
    return n;
}

/* What an escape stands for; *s is behind it afterwards. */
static size_t unescape(const char **s, const char *end, char out[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *++*s;
    ++*s;
    if (c != 'u') {
        out[0] = to[strchr(from, c) - from];
        return 1;
    }
    uint32_t point = (uint32_t)hex4(*s, end);
    *s += 4;
    int low = end - *s >= 6 && (*s)[0] == '\\' && (*s)[1] == 'u' ? hex4(*s + 2, end) : -1;
    if (point >= 0xd800 && point < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
        point = 0x10000 + ((point - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
        *s += 6;
    }
    return put_point(out, point);
}

bool sp_span_string(struct sp_span value, char *out, size_t cap)
{
    size_t n = 0;
    if (!value.at || *value.at != '"')
        return false;
    for (const char *s = value.at + 1, *end = value.at + value.n - 1; s < end;) {
        char part[4] = {*s};
        size_t bytes = 1;
        if (*s == '\\')
            bytes = unescape(&s, end, part);
        else
            s++;
        if (bytes >= cap - n || !part[0])
            return false;
        memcpy(out + n, part, bytes);
        n += bytes;
    }
    out[n] = '\0';
    return true;
}
