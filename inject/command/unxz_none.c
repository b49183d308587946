/* SPDX-License-Identifier: MIT
 * See unxz.h: without a library for it. */
#include "inject/command/unxz.h"

const bool sp_unxz_can = false;

int sp_unxz(const void *data, size_t n)
{
    (void)data, (void)n;
    return -1;
}
