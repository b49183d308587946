/* SPDX-License-Identifier: MIT
 * Part of libspprof-fault.so: SPPROF_TEST_FAULT=N:ERRNO makes the N-th system call of each process fail. */
#include <stdlib.h>

#include "compat/os.h"

__attribute__((constructor(101))) static void arm(void)
{
    const char *text = getenv("SPPROF_TEST_FAULT");
    char *end;
    if (!text)
        return;
    long n = strtol(text, &end, 10);
    sp_os_fault_set(n, *end == ':' ? atoi(end + 1) : 5);
}
