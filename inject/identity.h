/* SPDX-License-Identifier: MIT
 * Who this process is: command, host, interpreter; names of threads. */
#ifndef SP_INJECT_IDENTITY_H
#define SP_INJECT_IDENTITY_H

#include "sampler/live.h"

struct sp_identity {
    char argv[1024];  /* NUL-separated; up to the script or module: what follows may hold secrets */
    char script[128]; /* script or module without its extension; "stdin", "command" (-c); "": no name for it */
    char host[65];
    uint64_t run_ns; /* when its run began */
};

/* [start] In the constructor: keeps argv[0] as it is before the program writes a title there. */
void sp_identity_note_program(void);
/* [start] Fills `i`: all that CPython's own launcher was given for itself; of any other program argv[0] alone. */
void sp_identity_read(struct sp_identity *i);
/* [start] Whether its name (script, or "python") matches one of the patterns between commas and blanks: * any characters, ? any one. Pure. */
bool sp_identity_is_one_of(const struct sp_identity *i, const char *globs);
/* [handler] Into a region. */
SP_SIGSAFE void sp_identity_copy(struct sp_region *r, const struct sp_identity *i);
/* [hook] The system's name of a thread that lives; "" if it is just the process's. */
void sp_identity_thread_name_of(int tid, char name[16]);
/* [any] The calling thread ends: gives its entry the last name that it had. */
void sp_identity_thread_ends(struct sp_live *l);
/* [hook] Whether the file that runs is called as CPython's launchers are: python3.12, python3.13t. Pure. */
bool sp_identity_is_launcher_name(const char *path);
/* [hook] Cuts a launcher's command line of `n` bytes (NUL-separated) into argv and script; argv[0] alone goes too. Pure. */
void sp_identity_cut_command(struct sp_identity *i, const char *line, size_t n);

#endif
