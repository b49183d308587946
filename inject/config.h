/* SPDX-License-Identifier: MIT
 * The environment, parsed once. A bad value keeps the default and is said in one line. */
#ifndef SP_INJECT_CONFIG_H
#define SP_INJECT_CONFIG_H

#include "inject/output_name.h"

#define SP_RUN_BYTES 96
#define SP_PROGRAMS_BYTES 1024

/* options.def documents every field. */
struct sp_config {
    uint64_t on, format, interval_ns, depth, memory_bytes, lines, imports, native, wall, engine, tasks, children, files,
        verbose, signal;
    uint64_t start, start_after_ns, duration_ns, rotate_ns, keep;
    char out[SP_PATH_BYTES], spool[SP_PATH_BYTES], run[SP_RUN_BYTES], programs[SP_PROGRAMS_BYTES]; /* "": not set */
};

enum { SP_ENGINE_AUTO, SP_ENGINE_CPU, SP_ENGINE_FINE };
enum { SP_VERBOSE_NEVER, SP_VERBOSE_ALWAYS, SP_VERBOSE_AUTO };

/* [start] Reads options from `environment` (NULL-terminated "NAME=value"). complain(arg, line) gets a message
 * for each value that cannot be used and each unknown SPPROF_ name; NULL: nobody listens. Everything is copied: a program
 * may write over its environment. */
void sp_config_read(struct sp_config *config, char *const *environment, void (*complain)(const char *line));

/* [any] NULL: the option of this name ("SPPROF_...") takes the value; or what it accepts; "": there is no such option. */
const char *sp_config_refuses(const char *name, const char *value);

/* [hook] Parses a value of the kinds in options.def: true and *ns or *bytes, or false. */
bool sp_config_parse_duration(const char *s, uint64_t *ns);
bool sp_config_parse_bytes(const char *s, uint64_t *bytes);

#endif
