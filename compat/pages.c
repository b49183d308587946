/* SPDX-License-Identifier: MIT
 * See pages.h. */
#include "compat/pages.h"

#include "compat/os.h"

#define N_PAGES 1024

/* Threads: any; a cell says the same whoever writes it. */
static uintptr_t known[N_PAGES]; /* page numbers; 0: none */

SP_SIGSAFE static bool ask(uintptr_t page)
{
    if (page == 0 || !sp_os_readable(page << SP_PAGE_SHIFT))
        return false;
    sp_store_relaxed(&known[page % N_PAGES], page);
    return true;
}

bool sp_pages_known(uintptr_t address, uintptr_t bytes)
{
    uintptr_t last = (address + bytes - 1) >> SP_PAGE_SHIFT;
    if (address + bytes - 1 < address)
        return false;
    for (uintptr_t page = address >> SP_PAGE_SHIFT; page <= last; page++)
        if (SP_UNLIKELY(sp_load_relaxed(&known[page % N_PAGES]) != page) && !ask(page))
            return false;
    return true;
}

void sp_pages_forget(void)
{
    for (uint32_t i = 0; i < N_PAGES; i++)
        sp_store_relaxed(&known[i], 0);
}
