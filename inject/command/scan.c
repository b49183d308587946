/* SPDX-License-Identifier: MIT
 * See scan.h. */
#include "inject/command/scan.h"

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

/* ---- from value to value */
static char next(struct sp_scan *s)
{
    s->at = blanks(s->at, s->end);
    return s->at < s->end && !s->bad ? *s->at : '\0';
}

static bool take(struct sp_scan *s, char c)
{
    if (next(s) != c) {
        s->bad = true;
        return false;
    }
    s->at++;
    return true;
}

bool sp_scan_enter(struct sp_scan *s, char open)
{
    return take(s, open);
}

bool sp_scan_more(struct sp_scan *s, bool first, char close)
{
    if (next(s) == close) {
        s->at++;
        return false;
    }
    return first ? next(s) != '\0' || (s->bad = true, false) : take(s, ',');
}

struct sp_scan sp_scan_value(struct sp_scan *s)
{
    const char *end = next(s) ? value_end(s->at, s->end, 0) : NULL;
    struct sp_scan value = {.at = s->at, .end = end ? end : s->at, .bad = !end};
    s->at = value.end;
    s->bad |= value.bad;
    return value;
}

bool sp_scan_next(struct sp_scan *array, struct sp_scan *item)
{
    bool first = array->at && next(array) == '[' && sp_scan_enter(array, '['); /* behind an item a comma or a bracket follows */
    if (!array->at || !sp_scan_more(array, first, ']'))
        return false;
    *item = sp_scan_value(array);
    return !item->bad;
}

struct sp_scan sp_scan_key(struct sp_scan *s)
{
    struct sp_scan none = {.bad = true};
    if (next(s) != '"') {
        s->bad = true;
        return none;
    }
    struct sp_scan key = sp_scan_value(s);
    return take(s, ':') ? key : none;
}

bool sp_scan_is_key(const struct sp_scan *key, const char *name)
{
    size_t n = strlen(name);
    return !key->bad && (size_t)(key->end - key->at) == n + 2 && memcmp(key->at + 1, name, n) == 0;
}

struct sp_scan sp_scan_member(struct sp_scan object, const char *name)
{
    if (object.at && sp_scan_enter(&object, '{'))
        for (bool first = true; sp_scan_more(&object, first, '}'); first = false) {
            struct sp_scan key = sp_scan_key(&object), value = sp_scan_value(&object);
            if (sp_scan_is_key(&key, name))
                return value;
        }
    return (struct sp_scan){.bad = true};
}

bool sp_scan_ends(struct sp_scan *s)
{
    return next(s) == '\0' && !s->bad && s->at == s->end;
}

double sp_scan_number(struct sp_scan *s)
{
    char c = next(s), *end;
    double v = 0;
    const char *p = s->at;
    for (; p < s->end && p - s->at < 15 && *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (*p - '0'); /* what nearly all are */
    if (p < s->end && p > s->at && (*p == ',' || *p == ']')) {
        s->at = p;
        return v;
    }
    if (c != '-' && (c < '0' || c > '9')) {
        s->bad = true;
        return 0;
    }
    v = strtod(s->at, &end);
    s->bad |= end > s->end;
    s->at = end;
    return v;
}

bool sp_scan_u64(struct sp_scan value, uint64_t *number)
{
    *number = 0;
    for (const char *s = value.at; s < value.end; s++) {
        if (!is_digit(s, value.end) || *number > (1ull << 53) / 10)
            return false;
        *number = *number * 10 + (uint64_t)(*s - '0');
    }
    return value.at != value.end;
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

bool sp_scan_string(struct sp_scan value, char *out, size_t cap)
{
    size_t n = 0;
    if (!value.at || *value.at != '"')
        return false;
    for (const char *s = value.at + 1, *end = value.end - 1; s < end;) {
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
