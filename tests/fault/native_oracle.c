/* SPDX-License-Identifier: MIT
 * The native stack as libunwind sees it. It takes locks: only for tests, in a handler that interrupted nobody who has them. */
#define UNW_LOCAL_ONLY
#include <libunwind.h>

int native_oracle(void *context, void **pcs, int cap);

int native_oracle(void *context, void **pcs, int cap)
{
    unw_cursor_t c;
    int n = 0;
    if (unw_init_local2(&c, (unw_context_t *)context, UNW_INIT_SIGNAL_FRAME) != 0)
        return 0;
    do {
        unw_word_t pc;
        unw_get_reg(&c, UNW_REG_IP, &pc);
        pcs[n++] = (void *)pc;
    } while (n < cap && unw_step(&c) > 0);
    return n;
}
