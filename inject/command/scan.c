/* SPDX-License-Identifier: MIT
 * See scan.h. What is skipped is looked at as far as its end needs; what is looked into is read strictly. */
#include "inject/command/scan.h"

#include <stdlib.h>
#include <string.h>

static char next(struct sp_scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\n' || *s->at == '\r' || *s->at == '\t'))
        s->at++;
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

static void skip_string(struct sp_scan *s)
{
    for (s->at++; s->at < s->end && *s->at != '"'; s->at++)
        s->at += *s->at == '\\' && s->at + 1 < s->end;
    s->bad |= s->at == s->end;
    s->at += s->at < s->end;
}

static void skip_nested(struct sp_scan *s)
{
    size_t depth = 0;
    do {
        char c = next(s);
        if (c == '"') {
            skip_string(s);
            continue;
        }
        depth += c == '{' || c == '[';
        depth -= c == '}' || c == ']';
        s->bad |= c == '\0';
        s->at++;
    } while (depth && !s->bad);
}

struct sp_scan sp_scan_value(struct sp_scan *s)
{
    char c = next(s);
    struct sp_scan value = {.at = s->at};
    if (c == '"') {
        skip_string(s);
    } else if (c == '{' || c == '[') {
        skip_nested(s);
    } else {
        while (s->at < s->end && *s->at && !strchr(",:]}\" \t\r\n", *s->at))
            s->at++;
        s->bad |= s->at == value.at;
    }
    value.end = s->bad ? value.at : s->at;
    value.bad = s->bad;
    return value;
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

cJSON *sp_scan_tree(const struct sp_scan *value, size_t most)
{
    size_t n = (size_t)(value->end - value->at);
    return value->bad || n > most ? NULL : cJSON_ParseWithLength(value->at, n);
}
