/* SPDX-License-Identifier: MIT
 * See os_linux_call.h. */
#include "compat/os_linux_call.h"

#ifdef SP_FAULT
/* Threads: tests have one. */
static long fault_at, fault_calls;
static int fault_error;

void sp_os_fault_set(long n, int error)
{
    fault_at = n;
    fault_error = error;
    fault_calls = 0;
}

long sp_os_fault_count(void)
{
    return fault_calls;
}

long sp_os_linux_call(long nr, long a, long b, long c, long d, long e, long f)
{
    if (++fault_calls == fault_at)
        return -fault_error;
    return sp_syscall6(nr, a, b, c, d, e, f);
}
#endif
