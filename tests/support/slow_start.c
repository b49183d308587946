/* SPDX-License-Identifier: MIT
 * Preloaded before ours its constructor comes after ours: the program's start takes 300 ms of CPU. */
#include <time.h>

__attribute__((constructor)) static void slow(void)
{
    struct timespec t;
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    while (t.tv_sec == 0 && t.tv_nsec < 300000000);
}
