/* SPDX-License-Identifier: MIT
 * JSON text of any size, read from front to back without a copy: values are found, and skipped or looked into. What is skipped is
 * checked (RFC 8259): a text that was skipped as a whole is sound in all its parts. */
#ifndef SP_INJECT_COMMAND_SCAN_H
#define SP_INJECT_COMMAND_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is left of a text, or one value of it. */
struct sp_scan {
    const char *at, *end; /* NULL: there is no such value */
    bool bad;             /* it is no JSON, or not what was asked for; nothing more is found in it */
};

/* [any] Steps into an array ('[') or an object ('{'). False: something else is there. */
bool sp_scan_enter(struct sp_scan *s, char open);

/* [any] Whether another member follows, up to `close`; `first` is whether none was read yet. */
bool sp_scan_more(struct sp_scan *s, bool first, char close);

/* [any] The next value, which is skipped. Bad: it is none, or nested more than 64 deep. */
struct sp_scan sp_scan_value(struct sp_scan *s);

/* [any] The next item of an array, which `array` is before the first. False: there are no more, or that is no array. */
bool sp_scan_next(struct sp_scan *array, struct sp_scan *item);

/* [any] The name of an object's next member, which is skipped with its colon. */
struct sp_scan sp_scan_key(struct sp_scan *s);
bool sp_scan_is_key(const struct sp_scan *key, const char *name);

/* [any] The first member of that name, which is written without escapes, of an object; with `at` NULL if it has none, or is no object. */
struct sp_scan sp_scan_member(struct sp_scan object, const char *name);

/* [any] Whether nothing but white space is left. */
bool sp_scan_ends(struct sp_scan *s);

/* [any] The next value as a number; bad if it is none. The text was skipped as a whole before. */
double sp_scan_number(struct sp_scan *s);

/* [any] A value that is a whole number from 0 to 2^53; false: it is something else. */
bool sp_scan_u64(struct sp_scan value, uint64_t *number);

/* [any] A string's characters, NUL-terminated. False: it is no string, holds a NUL, or is longer. */
bool sp_scan_string(struct sp_scan value, char *out, size_t cap);

#endif
