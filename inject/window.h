/* SPDX-License-Identifier: MIT
 * What the program itself asks to be recorded: a part of the recording that goes on anyway, between two images of its region, so
 * that the file at the end is whole; or, where nothing is recorded, a recording of its own. One at a time. */
#ifndef SP_INJECT_WINDOW_H
#define SP_INJECT_WINDOW_H

#include "inject/lifecycle.h"

#define SP_WINDOW_FORMATS 8

/* Profiles as the files of all formats (writers/writer.h) would be, by number; NULL: not asked for. */
struct sp_written {
    char *text[SP_WINDOW_FORMATS];
    size_t bytes[SP_WINDOW_FORMATS], room[SP_WINDOW_FORMATS];
};

enum sp_window {
    SP_WINDOW_DONE,
    SP_WINDOW_BEGUN,     /* nothing was recorded: a recording of its own */
    SP_WINDOW_IS_OPEN,   /* already */
    SP_WINDOW_IS_NONE,   /* ... open; or nothing is recorded */
    SP_WINDOW_OFF,       /* nothing can be recorded in this process, or it ends */
    SP_WINDOW_NO_MEMORY, /* a window is lost then */
    SP_WINDOW_LOST       /* the recording ended meanwhile */
};

/* [any] Opens one. */
enum sp_window sp_window_open(const struct sp_recording_wish *wish);
/* [any] Whether one is open; not in a fork child of the process that opened it. */
bool sp_window_is_open(void);
/* [any] Ends it, and writes it in all formats to *w, which is zero; sp_written_release() when that is used. */
enum sp_window sp_window_close(struct sp_written *w);
/* [any] Writes what is in it so far, or if none is open or it is `whole` all that is recorded, in one format. Ends nothing. */
enum sp_window sp_window_look(bool whole, size_t format, struct sp_written *w);

/* [any] Frees it; it is zero again. */
void sp_written_release(struct sp_written *w);

#endif
