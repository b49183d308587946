/* SPDX-License-Identifier: MIT
 * Pages of libraries that could be read once: asked of the kernel at the first touch, for a table may point into a hole of its
 * library, and the page of a file that was cut short is a SIGBUS. Memory that a program may unmap by itself does not belong here. */
#ifndef SP_COMPAT_PAGES_H
#define SP_COMPAT_PAGES_H

#include "compat/base.h"

#define SP_PAGE_SHIFT 12

/* [handler] Whether all of [address, address + bytes) can be read; bytes 1 ... 2^32. */
SP_SIGSAFE bool sp_pages_known(uintptr_t address, uintptr_t bytes);
/* [handler] After a library was unloaded. */
SP_SIGSAFE void sp_pages_forget(void);

#endif
