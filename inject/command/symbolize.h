/* SPDX-License-Identifier: MIT
 * The parts of spprof symbolize: a profile's text (symbolize_text.c), the files of one of its libraries (symbolize_files.c), the
 * command (symbolize.c). */
#ifndef SP_INJECT_COMMAND_SYMBOLIZE_H
#define SP_INJECT_COMMAND_SYMBOLIZE_H

#include "compat/symbols.h"
#include "inject/command/scan.h"
#include "writers/out.h"

#define SP_SYMBOLIZE_PATH_BYTES 4096

/* A native frame: where its function begins, and what was found of it. */
struct sp_native_frame {
    uint32_t frame, module; /* indices */
    uint64_t place;         /* bytes from the module's beginning in memory */
    char *name;             /* as the symbol table has it; NULL: not found. Owned, as `file` is */
    char *file;             /* of the source; NULL: not known */
    int line;
    bool had_name; /* in the profile, and not just its module and place */
};

struct sp_symbolize_module {
    char path[SP_SYMBOLIZE_PATH_BYTES];
    uint8_t build_id[SP_BUILD_ID_MAX];
    uint32_t n_build_id;            /* 0: it has none */
    struct sp_native_frame *frames; /* ascending by place */
    uint32_t n_frames;
};

/* ---- a profile's text */
struct sp_symbolize {
    struct sp_scan text, frames;         /* of all; of the array of frames */
    struct sp_symbolize_module *modules; /* NULL: there are none */
    uint32_t n_modules;
    struct sp_native_frame *native; /* by module */
    uint32_t n_native;
};

/* [any] Reads what is needed of a profile, which must stay until the end. NULL; else what is wrong with it. */
const char *sp_symbolize_read(struct sp_symbolize *s, const char *text, size_t n);
/* [any] The same profile with what was found: every other byte as it is. Returns sp_out_finish()'s answer. */
int sp_symbolize_write(const struct sp_symbolize *s, struct sp_out *o);
void sp_symbolize_close(struct sp_symbolize *s);

/* ---- the files of a module */
#define SP_SYMBOLIZE_DIRECTORIES 8

struct sp_symbolize_found {
    uint32_t files;        /* with the module's build id */
    const char *complaint; /* of one of them; NULL: none */
};

/* [any] Looks for the module's own file and its debug files, by build id, and in them for the names and source lines of its frames:
 * at the module's own path, in `directories` (NULL ends them), in /usr/lib/debug and where a stripped module says. */
struct sp_symbolize_found sp_symbolize_module(const struct sp_symbolize_module *m, const char *const *directories);

#endif
