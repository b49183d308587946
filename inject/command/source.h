/* SPDX-License-Identifier: MIT
 * Where the bytes of a region come from: a spool file, or a running process, in whatever namespaces it is. */
#ifndef SP_INJECT_COMMAND_SOURCE_H
#define SP_INJECT_COMMAND_SOURCE_H

#include <stdbool.h>
#include <sys/types.h>

#include "sampler/region.h"

struct sp_source {
    const char *name; /* for messages */
    int fd;           /* -1: memory */
    pid_t pid;        /* the process that runs; 0: none is known */
    pid_t thread;     /* of it, by whose number its memory is read */
    uint64_t address;
    uint64_t later; /* of two copies in the file where the second, made after the first, begins; 0: there is one */
    bool refused;   /* there may be a region, but this user or this place cannot read it */
};

/* Bytes read at offset `at`: fewer than n at the end of what there is. */
uint64_t sp_source_read(const struct sp_source *s, void *p, uint64_t n, uint64_t at);

/* One of the process's threads that lives: itself, unless its main thread has ended before others. 0: none, it has ended, a zombie
 * or altogether. */
pid_t sp_source_thread_of(pid_t pid);

/* The region of a running process: its spool file, whatever root it sees, or its memory. s->name stays. NULL, or why there
 * is none. The caller closes s->fd. */
const char *sp_source_of_process(struct sp_source *s, pid_t pid);

/* Whether the process that made a spool file still has it, `head` being what the file begins with. */
enum sp_source_owner { SP_OWNER_GONE, SP_OWNER_LIVES, SP_OWNER_UNKNOWN /* a file system or host that does not tell */ };
enum sp_source_owner sp_source_owner(int fd, const struct sp_region *head);

#endif
