/* SPDX-License-Identifier: MIT
 * JSON text as it stands: where its values are, so that some can be replaced and every other byte kept. */
#ifndef SP_INJECT_COMMAND_SPAN_H
#define SP_INJECT_COMMAND_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sp_span {
    const char *at; /* of a value; NULL: there is none */
    size_t n;
};

/* [any] The one value that a text is, without the blanks around it; none if it is no JSON text, or nested more than 64 deep. Whatever
 * the others below are given comes from here. */
struct sp_span sp_span_whole(const char *text, size_t n);

/* [any] A member of an object: the first of that name, which is written without escapes. None: it is not there, or that is no
 * object. */
struct sp_span sp_span_member(struct sp_span object, const char *name);

/* [any] The items of an array one after the other: *item is none before the first. False: there are no more, or that is no array. */
bool sp_span_next(struct sp_span array, struct sp_span *item);

/* [any] A whole number from 0 to 2^53; false: it is something else. */
bool sp_span_u64(struct sp_span value, uint64_t *number);

/* [any] A string's characters, NUL-terminated. False: it is no string, holds a NUL, or is longer. */
bool sp_span_string(struct sp_span value, char *out, size_t cap);

#endif
