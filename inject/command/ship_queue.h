/* SPDX-License-Identifier: MIT
 * Profiles that wait in a directory, by the time at which they were put there. What is known of them beyond that is in files of the
 * directory `state`: which were sent and stay, and a lock, so that one process at a time sends them. */
#ifndef SP_INJECT_COMMAND_SHIP_QUEUE_H
#define SP_INJECT_COMMAND_SHIP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SP_QUEUE_STATE ".spprof-ship" /* the directory's name in the queue's */

enum sp_queued_kind { SP_QUEUED_OTHER, SP_QUEUED_SPEEDSCOPE, SP_QUEUED_SPOOL, SP_QUEUED_PPROF };
enum sp_queued_state {
    SP_QUEUED_WAITS,
    SP_QUEUED_ASIDE, /* it cannot be sent: not tried again before the next start */
    SP_QUEUED_DONE,  /* sent, or dropped; it stays, for somebody else */
    SP_QUEUED_LIVES, /* a spool file that a process still has, or of which nothing tells */
};

struct sp_queued {
    char *name; /* in the directory; owned */
    uint64_t inode, bytes;
    int64_t changed_ns;
    enum sp_queued_kind kind; /* SP_QUEUED_OTHER: no profile, or none that can be sent */
    enum sp_queued_state state;
};

struct sp_queue {
    const char *directory;
    char *state; /* path of the directory for what is known; owned */
    bool keep;   /* files stay when they were sent */
    uint64_t limit;
    int lock;
    struct sp_queued *of; /* by name */
    size_t n;
    struct sp_queue_line {
        uint64_t inode, bytes;
        int64_t changed_ns;
    } * ledger; /* of kept files */
    size_t n_ledger;
    uint64_t n_dropped, n_gone; /* beyond the limit; removed by others before they were sent */
};

/* [any] Opens it, and looks what is there. `within`: the directory in which the one for `state` is made. NULL, or why it cannot be used;
 * sp_queue_close() in both cases. */
const char *sp_queue_open(struct sp_queue *q, const char *directory, const char *within, bool keep, uint64_t limit);

/* [any] Looks again. False: the directory cannot be read, and errno. */
bool sp_queue_look(struct sp_queue *q);

/* [any] Drops the oldest until the others are within the limit, each with a line; one stays in any case. */
void sp_queue_bound(struct sp_queue *q);

/* [any] The oldest that waits; NULL: none does. Until the next look. */
struct sp_queued *sp_queue_first(const struct sp_queue *q);

/* [any] Path of one, in `out` of PATH_MAX bytes. */
const char *sp_queue_path(const struct sp_queue *q, const struct sp_queued *item, char *out);

/* [any] It was sent: it goes, or stays and is not sent again. */
void sp_queue_sent(struct sp_queue *q, struct sp_queued *item);

/* [any] How many are in a state. */
size_t sp_queue_count(const struct sp_queue *q, enum sp_queued_state state);

/* [any] Forgets what is known, and removes the directory with it if nothing else is in it. */
void sp_queue_remove(struct sp_queue *q);

/* [any] Ends it. */
void sp_queue_close(struct sp_queue *q);

#endif
