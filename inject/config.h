/* SPDX-License-Identifier: MIT
 * The environment, parsed once. A bad value keeps the default and is said in one line. */
#ifndef SP_INJECT_CONFIG_H
#define SP_INJECT_CONFIG_H

#include "compat/base.h"

/* options.def documents every field. */
struct sp_config {
    uint64_t on, interval_ns, depth, memory_bytes, lines, tasks, children, verbose;
    const char *out, *spool; /* NULL: not set */
    const char *run; /* NULL: not set */
};

enum { SP_VERBOSE_NEVER, SP_VERBOSE_ALWAYS, SP_VERBOSE_AUTO };

/* [start] Reads options from `environment` (NULL-terminated "NAME=value"). complain(arg, line) gets a message
 * for each value that cannot be used and each unknown SPPROF_ name; NULL: nobody listens. The strings in
 * `config` point into `environment`. */
void sp_config_read(struct sp_config *config, char *const *environment, void (*complain)(const char *line));

/* [start] The value of one variable, or NULL. */
const char *sp_config_env(char *const *environment, const char *name);

/* Parses a value of the kinds in options.def: true and *out, or false. */
bool sp_config_parse_duration(const char *s, uint64_t *ns);
bool sp_config_parse_bytes(const char *s, uint64_t *bytes);

#endif
