/* SPDX-License-Identifier: MIT
 * Who this process is: command, host, interpreter; names of threads. */
#ifndef SP_INJECT_IDENTITY_H
#define SP_INJECT_IDENTITY_H

#include "sampler/store.h"

struct sp_identity {
    char argv[1024]; /* NUL-separated up to the script or module: what follows may hold secrets */
    char script[128]; /* base name of the script or module without its extension */
    char host[65];
};

/* [start] */
void sp_identity_read(struct sp_identity *i);
/* [handler] Into a region. */
SP_SIGSAFE void sp_identity_copy(struct sp_region *r, const struct sp_identity *i);
/* [any] The calling thread's name by the system, unless it is just the process's. */
void sp_identity_os_thread_name(struct sp_thread *t);
/* Cuts a command line of `n` bytes (NUL-separated) into argv and script. Pure. */
void sp_identity_cut_command(struct sp_identity *i, const char *line, size_t n);

#endif
