/* SPDX-License-Identifier: MIT
 * What the signal-safety lint must catch: a call to malloc, to an unmarked function, through an unmarked table. */
#include <stdlib.h>

#include "compat/base.h"

int unmarked(int x);
struct ops {
    int (*call)(int x);
};
extern const struct ops table;
SP_SIGSAFE int calls_malloc(void);
SP_SIGSAFE int calls_unmarked(int x);
SP_SIGSAFE int calls_pointer(int (*f)(int));

__attribute__((noinline)) int unmarked(int x)
{
    return x + (int)(intptr_t)getenv("X");
}

SP_SIGSAFE_TABLE const struct ops table = {unmarked};

int calls_malloc(void)
{
    void *volatile p = malloc(8); /* volatile: clang knows what malloc does */
    return p != NULL;
}

int calls_unmarked(int x)
{
    return unmarked(x) + 1;
}

int calls_pointer(int (*f)(int))
{
    return f(1) + 1;
}
