/* SPDX-License-Identifier: MIT
 * What the program itself asks to be recorded: a part of the recording that goes on anyway, between two images of its region, so
 * that the file at the end is whole; or, where nothing is recorded, a recording of its own. One at a time. */
#ifndef SP_INJECT_WINDOW_H
#define SP_INJECT_WINDOW_H

#include "inject/lifecycle.h"

#define SP_WINDOW_FORMATS 8

struct sp_window_stats {
    uint64_t samples, dropped; /* of them, those that show no Python stack where one was */
    uint64_t cpu_ns, duration_ns, interval_ns;
    uint64_t threads; /* that used CPU */
};

/* What is wanted of a profile, and gets it. */
struct sp_written {
    uint32_t formats; /* a bit for each format (writers/writer.h), by number: what its file would hold */
    const char *name; /* of that file; NULL: one of the format's own */
    bool counts;      /* `stats` are wanted */
    char *text[SP_WINDOW_FORMATS];
    size_t bytes[SP_WINDOW_FORMATS], room[SP_WINDOW_FORMATS];
    struct sp_window_stats stats;
};
#define SP_WRITTEN_ALL UINT32_MAX

enum sp_window {
    SP_WINDOW_DONE,
    SP_WINDOW_BEGUN,     /* nothing was recorded: a recording of its own */
    SP_WINDOW_IS_OPEN,   /* already */
    SP_WINDOW_IS_NONE,   /* ... open; or nothing is recorded */
    SP_WINDOW_OFF,       /* nothing can be recorded in this process, or it ends */
    SP_WINDOW_NO_MEMORY, /* a window is lost then */
    SP_WINDOW_LOST,      /* the recording ended meanwhile */
    SP_WINDOW_BUSY       /* the caller interrupted one of these functions; nothing is changed */
};

/* [hook] Opens one. */
enum sp_window sp_window_open(const struct sp_recording_wish *wish);
/* [hook] Whether one is open; not in a fork child of the process that opened it. */
bool sp_window_is_open(void);
/* [hook] Ends it, and writes what is wanted of it to *w; sp_written_release() when that is used. */
enum sp_window sp_window_close(struct sp_written *w);
/* [hook] Writes what is wanted of what is in it so far, or if none is open or it is `whole` of all that is recorded. Ends nothing. */
enum sp_window sp_window_look(bool whole, struct sp_written *w);
/* [hook] Writes all that is recorded to where the process's own file goes: that file, SP_PATH_BYTES; "": nothing is recorded, or it
 * cannot be written. */
enum sp_window sp_window_publish(char *path);

/* [hook] Frees what was written. */
void sp_written_release(struct sp_written *w);

#endif
