/* SPDX-License-Identifier: MIT
 * See bytes.h. */
#include "inject/command/bytes.h"

#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"

enum wire { WIRE_NUMBER = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

void sp_bytes_add(struct sp_bytes *b, const void *data, size_t n)
{
    if (b->n + n > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < b->n + n)
            cap *= 2;
        b->at = sp_cli_alloc(b->at, cap);
        b->cap = cap;
    }
    if (n)
        memcpy(b->at + b->n, data, n);
    b->n += n;
}

void sp_bytes_number(struct sp_bytes *b, uint64_t v)
{
    unsigned char text[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7)
        text[n++] = (unsigned char)(v | 0x80);
    text[n++] = (unsigned char)v;
    sp_bytes_add(b, text, n);
}

static void put_tag(struct sp_bytes *b, uint32_t field, enum wire wire)
{
    sp_bytes_number(b, (uint64_t)field << 3 | wire);
}

void sp_bytes_field(struct sp_bytes *b, uint32_t field, uint64_t v)
{
    if (!v)
        return;
    put_tag(b, field, WIRE_NUMBER);
    sp_bytes_number(b, v);
}

void sp_bytes_fixed64(struct sp_bytes *b, uint32_t field, uint64_t v)
{
    unsigned char text[8];
    if (!v)
        return;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)(v >> 8 * i);
    put_tag(b, field, WIRE_FIXED64);
    sp_bytes_add(b, text, sizeof text);
}

void sp_bytes_text(struct sp_bytes *b, uint32_t field, const void *text, size_t n)
{
    put_tag(b, field, WIRE_BYTES);
    sp_bytes_number(b, n);
    sp_bytes_add(b, text, n);
}

void sp_bytes_message(struct sp_bytes *b, uint32_t field, const struct sp_bytes *message)
{
    sp_bytes_text(b, field, message->at, message->n);
}

void sp_bytes_free(struct sp_bytes *b)
{
    free(b->at);
    *b = (struct sp_bytes){0};
}

int sp_bytes_sink(void *b, const void *data, size_t n)
{
    sp_bytes_add(b, data, n);
    return 0;
}

/* ---- reading */
int sp_bytes_next_number(struct sp_bytes_reader *r, uint64_t *v)
{
    *v = 0;
    if (r->at == r->end)
        return 0;
    for (unsigned shift = 0; r->at < r->end && shift < 64; shift += 7) {
        *v |= (uint64_t)(*r->at & 0x7f) << shift;
        if (*r->at++ < 0x80)
            return 1;
    }
    r->is_bad = 1;
    return 0;
}

int sp_bytes_next(struct sp_bytes_reader *r, struct sp_bytes_field *f)
{
    uint64_t tag, bytes;
    if (r->is_bad || !sp_bytes_next_number(r, &tag))
        return 0;
    *f = (struct sp_bytes_field){.number = (uint32_t)(tag >> 3)};
    if ((tag & 7) == WIRE_NUMBER) {
        r->is_bad |= !sp_bytes_next_number(r, &f->value);
        return !r->is_bad;
    }
    bytes = (tag & 7) == WIRE_FIXED64 ? 8 : (tag & 7) == WIRE_FIXED32 ? 4 : 0;
    if ((!bytes && ((tag & 7) != WIRE_BYTES || !sp_bytes_next_number(r, &bytes))) || bytes > (uint64_t)(r->end - r->at)) {
        r->is_bad = 1;
        return 0;
    }
    f->value = bytes;
    f->at = r->at;
    r->at += bytes;
    return 1;
}

struct sp_bytes_reader sp_bytes_within(const struct sp_bytes_field *f)
{
    return (struct sp_bytes_reader){.at = f->at, .end = f->at ? f->at + f->value : f->at};
}
