/* SPDX-License-Identifier: MIT
 * SPPROF_FILES: a run that starts process after process must not fill the disk. Beyond the limit a process leaves a line in place
 * of a profile. */
#ifndef SP_INJECT_FILE_LIMIT_H
#define SP_INJECT_FILE_LIMIT_H

#include "inject/output_name.h"

struct sp_file_count {
    const char *out;  /* SPPROF_OUT, absolute; "": default names */
    const char *path; /* where the profile would go */
    const struct sp_name_values *values;
    uint64_t from_ns, until_ns; /* wall clock: files of this time count */
    uint64_t most;
};

/* [hook] Whether `most` profiles of that name, or more, are beside `path`: of this user, and of that time. What cannot be looked at
 * is not there. Costs about 0.5 us an entry of the directory, and where there are `most` such names about 3 us for each of these, but
 * it looks at no more than `most` and 5,000. One thread at a time. */
bool sp_file_limit_is_reached(const struct sp_file_count *c);

/* [any] The name of the file for lines, in `name` (SP_PATH_BYTES). False: it does not fit. */
bool sp_file_limit_name(char *name, const struct sp_file_count *c);

struct sp_file_line {
    uint32_t pid;
    const char *argv; /* NUL-separated, ends at an empty string */
    uint64_t cpu_ns;
    uint64_t run_started_ns; /* an older file begins anew */
    bool owner_only;         /* a directory where everybody may put files: ours must be this user's */
};

/* [hook] Appends "pid TAB command TAB seconds" with one write. 0; -EEXIST: something else has the name; or what the system says. */
int sp_file_limit_add_line(const char *name, const struct sp_file_line *line);

#endif
