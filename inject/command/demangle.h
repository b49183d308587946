/* SPDX-License-Identifier: MIT
 * Names of C++ and Rust functions as their sources have them. */
#ifndef SP_INJECT_COMMAND_DEMANGLE_H
#define SP_INJECT_COMMAND_DEMANGLE_H

#include <stdbool.h>
#include <stddef.h>

/* [any] A frame's name: what a compiler mangled in it becomes readable, without parameters, and what stands behind a blank stays; a
 * name that is the mangled one alone gets its library behind it, "f [libfoo.so]", `file` being the library's path (may be empty).
 * Cut with three dots (`cap` is 1,024 at least). Any other name as it is. Returns `out`, or `name` itself. */
const char *sp_cli_demangle(const char *name, const char *file, char *out, size_t cap);

/* Whether this command was built with a library for it. */
extern const bool sp_cli_demangles;

#endif
