/* SPDX-License-Identifier: MIT
 * What the manual pages are made of. */
#ifndef SP_INJECT_COMMAND_MANUAL_H
#define SP_INJECT_COMMAND_MANUAL_H

#include <stddef.h>
#include <stdio.h>

#define SP_MANUAL_ITEMS 64

struct sp_manual_section {
    const char *title, *text; /* NULL: no text */
    struct {
        const char *name, *meaning; /* NULL: the end */
    } items[SP_MANUAL_ITEMS];
};

/* [any] Prints them as a manual page has them. */
void sp_manual_print(FILE *out, const struct sp_manual_section *section, size_t n);

#endif
