/* SPDX-License-Identifier: MIT
 * See source_lines.h: without a library for it. */
#include <stddef.h>

#include "inject/command/source_lines.h"

const bool sp_source_lines_can = false;

const char *sp_source_lines(int fd, const uint64_t *address, uint32_t n,
                            void (*found)(void *arg, uint32_t i, const char *file, int line), void *arg)
{
    (void)fd, (void)address, (void)n, (void)found, (void)arg;
    return NULL;
}
