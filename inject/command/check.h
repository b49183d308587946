/* SPDX-License-Identifier: MIT
 * The parts of spprof check: a trial run (check_python.c), what the system allows (check_system.c), a process that
 * runs (check_process.c). Each tells what it finds, one line a matter. */
#ifndef SP_INJECT_COMMAND_CHECK_H
#define SP_INJECT_COMMAND_CHECK_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

enum sp_check_level {
    SP_CHECK_OK,   /* as it should be */
    SP_CHECK_NOTE, /* so by nature: good to know */
    SP_CHECK_BUT,  /* something is missing here that would be elsewhere */
    SP_CHECK_NO,   /* there will be no profile */
    SP_CHECK_LEVELS
};

struct sp_check {
    bool quiet;
    bool is_hidden; /* the process may not be looked into */
    int n[SP_CHECK_LEVELS];
    char library[PATH_MAX];
};

/* [any] One line; what is printed may hold anything. */
__attribute__((format(printf, 4, 5))) void sp_check_say(struct sp_check *c, enum sp_check_level level, const char *what,
                                                        const char *format, ...);

/* [any] The parts. */
void sp_check_python(struct sp_check *c, const char *python);
void sp_check_system(struct sp_check *c);
void sp_check_files(struct sp_check *c);
void sp_check_process(struct sp_check *c, pid_t pid);

/* [any] Of a process: who reads and who asks it will get what. Only looks. (check_control.c) */
enum sp_check_place {
    SP_CHECK_MEMORY,
    SP_CHECK_SPOOL,
    SP_CHECK_CLOSED /* not to this user */,
    SP_CHECK_NOWHERE /* nothing is recorded */
};
void sp_check_control(struct sp_check *c, pid_t pid, enum sp_check_place place);
/* [any] Asks a trial. */
struct sp_check_answer {
    enum sp_check_level level;
    char text[512]; /* "": it was not asked */
};
void sp_check_ask(struct sp_check_answer *a, pid_t pid);

/* [any] The first line of a file of /proc that begins with `key`, without it and its blanks; false: there is none.
 */
bool sp_check_line_of(const char *path, const char *key, char *out, size_t cap);

#endif
