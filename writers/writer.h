/* SPDX-License-Identifier: MIT
 * One profile, many formats: an ops struct for each, chosen by the suffix of the file's name. Writers read a
 * frozen region, allocate nothing, call no libc but memcpy and friends, and may run in a fatal signal's handler. */
#ifndef SP_WRITERS_WRITER_H
#define SP_WRITERS_WRITER_H

#include "sampler/store.h"
#include "writers/out.h"

/* What a writer gets. The region must be frozen; its scratch area is the writer's. */
struct sp_profile {
    const struct sp_region *region;
    uint64_t process_cpu_ns; /* used by the process since the profile began */
    uint64_t wall_ns;        /* passed since then */
    bool lines;              /* frames are lines */
    bool complete;           /* up to the end of the process, or of its program */
    uint64_t most_bytes;     /* the file must not become longer; UINT64_MAX: no limit but the format's own */
    uint64_t (*writer_cpu_ns)(void); /* CPU of the writer so far; NULL: unknown */
};

struct sp_writer_ops {
    const char *name;
    const char *suffix; /* with the dot; the longest that fits the file's name wins */
    /* Writes the whole file. 0, or the first error. */
    int (*write)(const struct sp_profile *p, struct sp_out *out);
};

extern const struct sp_writer_ops sp_writer_speedscope;

/* The writer for a file name; Speedscope for unknown suffixes. */
const struct sp_writer_ops *sp_writer_for(const char *file_name);

/* Bytes of the compound suffix that names a format at the end of `file_name` (".speedscope.json"), or of the
 * plain extension, or 0. */
size_t sp_writer_suffix_bytes(const char *file_name);

#endif
