/* SPDX-License-Identifier: MIT
 * The functions behind ours: what the program would have called without us. Everything that we take from
 * libc and that a newer glibc moved is looked up by name, so that the library binds to no new version. */
#ifndef SP_COMPAT_REAL_H
#define SP_COMPAT_REAL_H

#include "compat/base.h"

/* [any] The next definition of `symbol` after this library's; NULL: there is none. */
void *sp_real_find(const char *symbol);
/* [any] `symbol` in the library that `handle` names: dlopen's, or sp_real_global_handle() for the process. */
void *sp_real_find_in(void *handle, const char *symbol);
void *sp_real_global_handle(void);
/* [any] Whether both addresses lie in the same loaded library. */
bool sp_real_same_library(const void *a, const void *b);
/* [any] A handle for the loaded library that contains `address`; NULL: none. path gets its file name. */
void *sp_real_library_at(const void *address, const char **path);
/* [any] Gives a handle of sp_real_library_at() back: it keeps the library loaded. */
void sp_real_release(void *library);

#endif
