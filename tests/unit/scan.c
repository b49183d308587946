/* SPDX-License-Identifier: MIT
 * The command's reader of JSON text: what is a text, what is not, and what stands in it. */
#include <string.h>
#include <unistd.h>

#include "inject/command/scan.h"
#include "tests/support/unit.h"

static struct sp_scan whole(const char *text)
{
    return (struct sp_scan){.at = text, .end = text + strlen(text)};
}

static bool is_text(const char *text)
{
    struct sp_scan s = whole(text), value = sp_scan_value(&s);
    return !value.bad && sp_scan_ends(&s);
}

static void what_is_json(void)
{
    static const char *const good[] = {"0",
                                       "-0.5e+07",
                                       " true ",
                                       "null",
                                       "\"\"",
                                       "\"\\u00e9\\n\\\"\"",
                                       "[]",
                                       "{ }",
                                       "[1,[2,{}],\"]\"]",
                                       "{\"a\":{\"b\":[]}}",
                                       "\t[\n1 ,\r2 ] "};
    static const char *const bad[] = {"",      " ",     "01",   "1.",        ".5",     "+1",      "1e",        "-",
                                      "tru",   "nul",   "\"",   "\"\\",      "\"\n\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"",
                                      "[",     "[1,]",  "[,1]", "[1 2]",     "[1,,2]", "{\"a\"}", "{\"a\":}",  "{\"a\":1,}",
                                      "{a:1}", "{1:1}", "[1}",  "{\"a\":1]", "1 2",    "[]]"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!is_text(good[i]))
            fprintf(stderr, "refused: %s\n", good[i]), _exit(1);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (is_text(bad[i]))
            fprintf(stderr, "taken: %s\n", bad[i]), _exit(1);
    char nested[200];
    for (size_t depth = 60; depth < 70; depth++) {
        memset(nested, '[', depth);
        memset(nested + depth, ']', depth);
        nested[2 * depth] = '\0';
        CHECK_EQ(is_text(nested), depth <= 65);
    }
    static const char text[] = "{\"a\":[1,{\"b\":\"c\\\\\"}],\"d\":-1.5e2,\"e\":null}";
    for (size_t n = 0; n < sizeof text - 1; n++) { /* cut off anywhere, with nothing readable behind */
        char *copy = memcpy(malloc(n + 1), text, n);
        struct sp_scan s = {.at = copy, .end = copy + n};
        CHECK(sp_scan_value(&s).bad && !sp_scan_ends(&s));
        free(copy);
    }
}

static void items_and_members(void)
{
    struct sp_scan all = whole(" [ 1 , [2,3] ,{\"x\" : 4, \"x\":5,\"y\":[]}, \"s\" ] "), left = sp_scan_value(&all), item,
                   inner;
    uint64_t v;
    CHECK(sp_scan_next(&left, &item) && sp_scan_u64(item, &v) && v == 1);
    CHECK(!sp_scan_next(&item, &inner)); /* a number has no items */
    CHECK(sp_scan_next(&left, &item) && sp_scan_next(&item, &inner) && sp_scan_next(&item, &inner));
    CHECK(sp_scan_u64(inner, &v) && v == 3 && !sp_scan_next(&item, &inner) && !item.bad);
    CHECK(sp_scan_next(&left, &item));
    CHECK(sp_scan_u64(sp_scan_member(item, "x"), &v) && v == 4); /* the first */
    inner = sp_scan_member(item, "y");
    CHECK(inner.at && !sp_scan_next(&inner, &all) && !inner.bad);
    CHECK(!sp_scan_member(item, "z").at && !sp_scan_member(inner, "x").at && !sp_scan_member((struct sp_scan){0}, "x").at);
    CHECK(sp_scan_next(&left, &item) && !sp_scan_u64(item, &v) && !sp_scan_next(&left, &item) && !left.bad);
}

static void numbers(void)
{
    struct sp_scan s = whole("[12,-3.5e1,9007199254740992,x");
    CHECK(sp_scan_enter(&s, '[') && sp_scan_number(&s) == 12 && sp_scan_more(&s, false, ']'));
    CHECK(sp_scan_number(&s) == -35 && sp_scan_more(&s, false, ']') && sp_scan_number(&s) == 9007199254740992.0);
    CHECK(sp_scan_more(&s, false, ']') && sp_scan_number(&s) == 0 && s.bad);
    uint64_t v;
    CHECK(sp_scan_u64(whole("9007199254740992"), &v) && v == 1ull << 53);
    CHECK(!sp_scan_u64(whole("-1"), &v) && !sp_scan_u64(whole("1.0"), &v) && !sp_scan_u64(whole("99999999999999999999"), &v) &&
          !sp_scan_u64(whole(""), &v));
}

static void strings(void)
{
    char out[16];
    CHECK(sp_scan_string(whole("\"a\\n\\\"\\/\\u00e9\\ud83d\\ude00\""), out, sizeof out));
    CHECK_STR(out, "a\n\"/\xc3\xa9\xf0\x9f\x98\x80");
    CHECK(sp_scan_string(whole("\"123456789012345\""), out, sizeof out));
    CHECK(!sp_scan_string(whole("\"1234567890123456\""), out, sizeof out)); /* no room for its end */
    CHECK(!sp_scan_string(whole("\"a\\u0000b\""), out, sizeof out) && !sp_scan_string(whole("12"), out, sizeof out));
    CHECK(!sp_scan_string((struct sp_scan){.bad = true}, out, sizeof out));
}

const struct unit_case unit_cases[] = {
    {"what_is_json", what_is_json},
    {"items_and_members", items_and_members},
    {"numbers", numbers},
    {"strings", strings},
    {NULL, NULL},
};
