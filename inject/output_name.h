/* SPDX-License-Identifier: MIT
 * From SPPROF_OUT to file names. Pure: no system calls, no state. */
#ifndef SP_INJECT_OUTPUT_NAME_H
#define SP_INJECT_OUTPUT_NAME_H

#include "compat/base.h"

#define SP_PATH_BYTES 4096

struct sp_name_values {
    uint32_t pid;
    uint64_t started_wall_ns;
    const char *host;
    const char *script;       /* name without extension; "" becomes "python" */
    char *const *environment; /* for %{VAR} */
    uint32_t number;          /* for %n and numbered names; 1 is the first */
};

enum sp_name_kind {
    SP_NAME_DEFAULT, /* spprof-<pid>.speedscope.json in a directory */
    SP_NAME_LITERAL, /* a name without % */
    SP_NAME_PATTERN, /* a name with % */
};

/* [hook] What SPPROF_OUT is; "" is the default. */
enum sp_name_kind sp_name_kind_of(const char *out);
/* [hook] The first % of a pattern that stands for nothing and stays as it is; NULL: there is none. */
const char *sp_name_unknown_field(const char *pattern);
/* [hook] Whether a pattern tells processes (%p) or files (%n) apart; whether it has a field of this letter. */
bool sp_name_is_unique(const char *pattern);
bool sp_name_has_field(const char *pattern, char field);

/* [hook] The next %{VAR} at or behind `at`: its name, and what follows it; NULL: there is none. */
#define SP_NAME_VARIABLE_BYTES 128
const char *sp_name_next_variable(const char *at, char name[SP_NAME_VARIABLE_BYTES]);

/* [hook] Writes the name of candidate `v->number` to `path` (SP_PATH_BYTES): for defaults spprof-<pid>[-number] in
 * `directory`; otherwise `out` expanded, with .PID put before the suffix if `with_pid`, and -number from 2 on
 * unless %n took it. False: it does not fit. */
bool sp_name_default(char *path, const char *directory, const struct sp_name_values *v);
bool sp_name_expand(char *path, const char *out, bool with_pid, const struct sp_name_values *v);

/* [hook] The directory that `path` lies in, into `directory` (SP_PATH_BYTES). */
void sp_name_parent(char *directory, const char *path);

#endif
