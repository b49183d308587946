/* SPDX-License-Identifier: MIT
 * Linked with libc alone. */
#include <stdio.h>

int main(void)
{
    puts("hello");
    return 7;
}
