/* SPDX-License-Identifier: MIT
 * A profile as spprof ship sends it: a pprof file of ours (writers/pprof.c) taken apart. The tables are by id, from 1, as the file has
 * them; everything points into the file's bytes. */
#ifndef SP_INJECT_COMMAND_SHIP_MESSAGE_H
#define SP_INJECT_COMMAND_SHIP_MESSAGE_H

#include <stdbool.h>

#include "inject/command/bytes.h"

#define SP_MESSAGE_TYPES 4

struct sp_text {
    const char *at; /* not NUL-terminated */
    size_t n;
};

struct sp_message_sample {
    const unsigned char *stack; /* packed ids of locations, leaf first */
    size_t stack_bytes;
    int64_t values[SP_MESSAGE_TYPES];
    uint32_t first_label, n_labels;
};

struct sp_message {
    struct sp_bytes file; /* without its gzip frame; owned, as the tables */
    struct sp_text *strings;
    struct sp_message_type {
        uint32_t type, unit;
    } types[SP_MESSAGE_TYPES], period_type;
    uint32_t n_types, default_type;
    struct sp_message_mapping {
        uint64_t start, limit, offset;
        uint32_t file, build_id;
        bool has[4]; /* functions, file names, line numbers, inlined frames */
    } * mappings;
    struct sp_message_location {
        uint64_t address;
        uint32_t mapping, first_line, n_lines;
        bool is_folded;
    } * locations;
    struct sp_message_line {
        uint32_t function;
        uint64_t line;
    } * lines;
    struct sp_message_function {
        uint32_t name, system_name, file;
        uint64_t line;
    } * functions;
    struct sp_message_sample *samples;
    struct sp_message_label {
        uint32_t key, text, unit; /* text 0: the number */
        int64_t number;
    } * labels;
    uint32_t *comments;
    uint32_t n_strings, n_mappings, n_locations, n_lines, n_functions, n_samples, n_labels, n_comments;
    uint64_t time_ns, duration_ns, period;
};

/* [any] Takes a file apart, in its frame or not; the bytes become the message's. NULL, or why they are none. sp_message_free() in both
 * cases. */
const char *sp_message_read(struct sp_message *m, struct sp_bytes *file);

/* [any] Leaves in `m` what came after `before`, an earlier file of the same recording, whose sums are in it: by stack, labels and type;
 * what moved from one thread's stacks to another's meanwhile is not counted again, and sums are exact. False: less is in `m` than
 * there was, so it is of another recording; nothing is changed then. (ship_difference.c) */
bool sp_message_subtract(struct sp_message *m, const struct sp_message *before);

/* [any] All of its samples' values of a type, by number. */
int64_t sp_message_total(const struct sp_message *m, uint32_t type);

/* [any] Whether no sample has any value. */
bool sp_message_is_empty(const struct sp_message *m);

/* [any] It as a pprof file again, in a gzip frame. */
void sp_message_write(const struct sp_message *m, struct sp_bytes *out);

/* [any] Whether the recording that it tells of went on, or was cut off by a kill: the next file of it, if there is one, tells all of
 * it again. */
bool sp_message_is_partial(const struct sp_message *m);

/* [any] Two numbers that are those of this very content. */
void sp_message_identity(const struct sp_message *m, uint64_t id[2]);

/* [any] A hash with another number, or with bytes, added to it. */
uint64_t sp_message_mix(uint64_t h, uint64_t v);
uint64_t sp_message_mix_bytes(uint64_t h, const void *data, size_t n);

/* [any] Frees it. */
void sp_message_free(struct sp_message *m);

#endif
