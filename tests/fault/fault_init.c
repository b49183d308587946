/* SPDX-License-Identifier: MIT
 * Part of libspprof-fault.so: SPPROF_TEST_FAULT=N:ERRNO makes the N-th system call of each process fail; with 0 none
 * fails, and each process that ends by exit() tells how many it made. */
#include <stdio.h>
#include <stdlib.h>

#include "compat/os.h"

static long n = -1;

__attribute__((constructor(101))) static void arm(void)
{
    const char *text = getenv("SPPROF_TEST_FAULT");
    char *end;
    if (!text)
        return;
    n = strtol(text, &end, 10);
    sp_os_fault_set(n, *end == ':' ? atoi(end + 1) : 5);
}

__attribute__((destructor(101))) static void tell(void)
{
    if (n == 0)
        fprintf(stderr, "calls: %ld\n", sp_os_fault_count());
}
