/* SPDX-License-Identifier: MIT
 * JSON text of any size, read from front to back without a copy: values are found, and skipped or looked into. */
#ifndef SP_INJECT_COMMAND_SCAN_H
#define SP_INJECT_COMMAND_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include <cjson/cJSON.h>

/* What is left of a text, or one value of it. Behind the whole text stands a NUL. */
struct sp_scan {
    const char *at, *end;
    bool bad; /* it is no JSON; nothing more is found in it */
};

/* [any] Steps into an array ('[') or an object ('{'). False: something else is there. */
bool sp_scan_enter(struct sp_scan *s, char open);

/* [any] Whether another member follows, up to `close`; `first` is whether none was read yet. */
bool sp_scan_more(struct sp_scan *s, bool first, char close);

/* [any] The next value, which is skipped. */
struct sp_scan sp_scan_value(struct sp_scan *s);

/* [any] The name of an object's next member, which is skipped with its colon. */
struct sp_scan sp_scan_key(struct sp_scan *s);
bool sp_scan_is_key(const struct sp_scan *key, const char *name);

/* [any] A member of an object; with `at` NULL if it has none of that name, or is no object. */
struct sp_scan sp_scan_member(struct sp_scan object, const char *name);

/* [any] Whether nothing but white space is left. */
bool sp_scan_ends(struct sp_scan *s);

/* [any] The next value as a number; bad if it is none. */
double sp_scan_number(struct sp_scan *s);

/* [any] A value as a tree, cJSON_Delete() by the caller. NULL: it is no JSON, or has more than `most` bytes. */
cJSON *sp_scan_tree(const struct sp_scan *value, size_t most);

#endif
