/* SPDX-License-Identifier: MIT
 * Bytes that grow, and protocol buffers in them: a message is made by itself and then put into the one around it. */
#ifndef SP_INJECT_COMMAND_BYTES_H
#define SP_INJECT_COMMAND_BYTES_H

#include <stddef.h>
#include <stdint.h>

struct sp_bytes { /* all zero: none */
    char *at;     /* owned */
    size_t n, cap;
};

/* [any] Adds n bytes. */
void sp_bytes_add(struct sp_bytes *b, const void *data, size_t n);

/* [any] Adds all of another, as a field of that number. */
void sp_bytes_message(struct sp_bytes *b, uint32_t field, const struct sp_bytes *message);

/* [any] A number alone; as a field, left out if it is 0; one of eight bytes as a field; a text as a field, an empty one too. */
void sp_bytes_number(struct sp_bytes *b, uint64_t v);
void sp_bytes_field(struct sp_bytes *b, uint32_t field, uint64_t v);
void sp_bytes_fixed64(struct sp_bytes *b, uint32_t field, uint64_t v);
void sp_bytes_text(struct sp_bytes *b, uint32_t field, const void *text, size_t n);

/* [any] Frees them; none are left. */
void sp_bytes_free(struct sp_bytes *b);

/* [any] A sink of struct sp_out and of gzip: adds to the struct sp_bytes `b`. 0. */
int sp_bytes_sink(void *b, const void *data, size_t n);

/* ---- reading */
struct sp_bytes_reader {
    const unsigned char *at, *end;
    int is_bad; /* what was read is no message */
};

struct sp_bytes_field { /* one field of a message */
    uint32_t number;
    uint64_t value;          /* its number, or how many bytes it has */
    const unsigned char *at; /* the bytes; NULL: a number */
};

/* [any] The next field; 0: there is none, or it is bad. */
int sp_bytes_next(struct sp_bytes_reader *r, struct sp_bytes_field *f);

/* [any] The next of packed numbers; 0: there is none, or it is bad. */
int sp_bytes_next_number(struct sp_bytes_reader *r, uint64_t *v);

/* [any] What is in a field. */
struct sp_bytes_reader sp_bytes_within(const struct sp_bytes_field *f);

#endif
