/* SPDX-License-Identifier: MIT
 * One profile, many formats: an ops struct and a file for each, a row in writer.c, chosen by the suffix of the file's name. Writers read a
 * frozen region, allocate nothing, call no libc but memcpy and friends, and may run in a fatal signal's handler. */
#ifndef SP_WRITERS_WRITER_H
#define SP_WRITERS_WRITER_H

#include "sampler/store.h"
#include "writers/out.h"

#define SP_WRITER_SUFFIXES 3
#define SP_WRITER_HEAD_BYTES 128u

/* What a file tells of its process as a whole, where its stacks tell less: they may have been folded. */
struct sp_told {
    uint64_t cpu_ns[SP_CATEGORY_N], samples, prompt_ns;
};

/* What a writer gets. The region must be frozen; its scratch area is the writer's. */
struct sp_profile {
    const struct sp_region *region;
    uint64_t process_cpu_ns;         /* used by the process since the profile began */
    uint64_t wall_ns;                /* passed since then */
    bool complete;                   /* up to the end of the process, or of its program */
    const struct sp_told *told;      /* NULL: the region has it all */
    uint64_t most_bytes;             /* the file must not become longer; UINT64_MAX: no limit but the format's own */
    uint64_t (*writer_cpu_ns)(void); /* CPU of the writer so far; NULL: unknown */
    /* What the system calls a thread that lives and has no name in the region; "": nothing. NULL: it cannot be asked. */
    void (*thread_name)(int tid, char name[16]);
};

/* A format, whole: what is not said here nobody else knows of it. */
struct sp_writer_ops {
    const char *key;                              /* as options call it */
    const char *name;                             /* as messages call it */
    const char *suffixes[SP_WRITER_SUFFIXES + 1]; /* with their dots; the first is that of names that we make; NULL ends */
    bool gzip;                                    /* always in a gzip frame; else where ".gz" follows the suffix */
    const char *head; /* what every file of ours begins with, SP_WRITER_HEAD_BYTES at most; NULL: the frame tells */
    /* [hook] Writes the whole file, or what is in the frame. 0, or the first error. */
    int (*write)(const struct sp_profile *p, struct sp_out *out);
};

extern const struct sp_writer_ops sp_writer_speedscope, sp_writer_pprof, sp_writer_chrome, sp_writer_html, sp_writer_collapsed;

/* [hook] The profile of a region as far as the region itself tells: up to its last sample, not complete. */
struct sp_profile sp_writer_profile(const struct sp_region *r);

/* [start] From now on it is the format of every name; NULL: as before. */
void sp_writer_force(const struct sp_writer_ops *format);

/* [hook] The format for a file name: that with the longest suffix that fits; the default's for unknown ones. */
const struct sp_writer_ops *sp_writer_for(const char *file_name);

/* [hook] The same, whatever is forced. */
const struct sp_writer_ops *sp_writer_by_suffix(const char *file_name);

/* [hook] Whether a name has a suffix, and that of no format. */
bool sp_writer_is_unknown(const char *file_name);

/* [hook] Writes a profile as the file of that name is to be, in a gzip frame if it says so. 0, or the first error. */
int sp_writer_write(const struct sp_writer_ops *format, const char *file_name, const struct sp_profile *p, struct sp_out *out);

/* [hook] The formats, from 0 on; the first is the default. NULL: there are no more. */
const struct sp_writer_ops *sp_writer_at(size_t i);

/* [hook] The format of names that we make. */
const struct sp_writer_ops *sp_writer_default(void);

/* [hook] Whether a file that begins with these bytes was written by one of the formats. */
bool sp_writer_is_ours(const char *head, size_t bytes);

/* [hook] Bytes of the suffix that stays together when something is put before it: one of a format's, else one that is
 * made of two (".tar.gz"), else the plain extension; 0: there is none. */
size_t sp_writer_suffix_bytes(const char *file_name);

#endif
