/* SPDX-License-Identifier: MIT
 * See demangle.h: without a library for it names stay as they are. */
#include "inject/command/demangle.h"

const bool sp_cli_demangles = false;

const char *sp_cli_demangle(const char *name, const char *file, char *out, size_t cap)
{
    (void)file, (void)out, (void)cap;
    return name;
}
