/* SPDX-License-Identifier: MIT
 * Which loaded library an instruction belongs to, asked in the signal handler: without the loader's lock. */
#ifndef SP_COMPAT_MODULES_H
#define SP_COMPAT_MODULES_H

#include "compat/build_id.h"

struct sp_module {
    uintptr_t start, end; /* all its segments lie between; there may be holes */
    uintptr_t unwind;     /* its .eh_frame_hdr; 0: it has none */
};

/* [handler] The library, program or vDSO that contains `address`. False: none has it, as far as is known: where the loader
 * does not tell (before glibc 2.35, musl) the mappings are read anew at most once a second. */
SP_SIGSAFE bool sp_module_at(struct sp_module *m, uintptr_t address);

/* [start] Keeps the program's own path, which the loader does not tell: asking for it later may be forbidden. */
void sp_modules_start(void);

/* [handler] The path of its file, as the loader has it: at most `cap` bytes of it, NUL not counted. 0: not known. Where the loader
 * does not tell, the file's name alone. */
SP_SIGSAFE size_t sp_module_path(const struct sp_module *m, char *path, size_t cap);

/* [handler] Its build id, or of a library without one what it looks like: how many bytes. 0: that cannot be read. */
SP_SIGSAFE uint32_t sp_module_build_id(const struct sp_module *m, uint8_t id[SP_BUILD_ID_MAX]);

/* [handler] What a library unloaded: the mappings are read anew at the next question. */
SP_SIGSAFE void sp_modules_forget(void);

/* [any] From now on by the mappings alone, whatever the loader tells. For tests. */
void sp_modules_use_mappings(void);

#endif
