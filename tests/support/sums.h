/* SPDX-License-Identifier: MIT
 * What the files of each format add up to, by readers that know nothing of the writers. */
#ifndef SP_TESTS_SUMS_H
#define SP_TESTS_SUMS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/unit.h"

struct pprof_bytes {
    const uint8_t *at, *end;
};

/* ---- pprof's: gzip with stored blocks, protocol buffers
 * What is in a gzip file whose blocks are stored; free() is the caller's. */
static inline struct pprof_bytes pprof_gunzip(const void *file, size_t n)
{
    const uint8_t *p = file, *end = p + n;
    CHECK(n > 18 && p[0] == 0x1f && p[1] == 0x8b && p[2] == 8 && p[3] == 16);
    p = (const uint8_t *)memchr(p + 10, 0, n - 10) + 1;
    uint8_t *content = calloc(1, n);
    size_t bytes = 0;
    for (bool last = false; !last;) {
        CHECK(end - p >= 5 && p[0] < 2);
        size_t len = p[1] | (size_t)p[2] << 8;
        CHECK((len ^ 0xffff) == (p[3] | (size_t)p[4] << 8) && (size_t)(end - p) >= len + 5);
        last = p[0];
        memcpy(content + bytes, p + 5, len);
        bytes += len;
        p += 5 + len;
    }
    uint32_t crc = ~0u, trailer[2];
    for (size_t i = 0; i < bytes; i++) {
        crc ^= content[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    CHECK_EQ(end - p, 8);
    memcpy(trailer, p, 8);
    CHECK(trailer[0] == ~crc && trailer[1] == (uint32_t)bytes);
    return (struct pprof_bytes){content, content + bytes};
}

static inline uint64_t pprof_number(struct pprof_bytes *b)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        CHECK(b->at < b->end);
        v |= (uint64_t)(*b->at & 0x7f) << shift;
        if (!(*b->at++ & 0x80))
            break;
    }
    return v;
}

/* The next field: its number, and its bytes, or *v where it is a number. 0: there is none. */
static inline uint32_t pprof_field(struct pprof_bytes *b, struct pprof_bytes *inside, uint64_t *v)
{
    if (b->at == b->end)
        return 0;
    uint64_t tag = pprof_number(b);
    CHECK((tag & 7) == 0 || (tag & 7) == 2);
    *v = pprof_number(b);
    if ((tag & 7) == 2) {
        CHECK((uint64_t)(b->end - b->at) >= *v);
        *inside = (struct pprof_bytes){b->at, b->at + *v};
        b->at += *v;
    }
    return (uint32_t)(tag >> 3);
}

/* Of the last value of each sample. */
static inline uint64_t pprof_sum(const char *file, size_t n)
{
    struct pprof_bytes all = pprof_gunzip(file, n), b = all, sample = {0}, part = {0};
    uint64_t sum = 0, v;
    for (uint32_t field; (field = pprof_field(&b, &sample, &v));)
        for (uint32_t inner; field == 2 && (inner = pprof_field(&sample, &part, &v));) {
            uint64_t values[8];
            int n_values = 0;
            while (inner == 2 && part.at < part.end && n_values < 8)
                values[n_values++] = pprof_number(&part);
            sum += inner == 2 && n_values ? values[n_values - 1] : 0;
        }
    free((void *)(uintptr_t)all.at);
    return sum;
}

/* ---- text */
static inline uint64_t speedscope_sum(const char *text, size_t n)
{
    const char *key = "\"endValue\":", *at = memmem(text, n, key, strlen(key));
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

/* The last number of every line, added up; names may hold anything. */
static inline uint64_t collapsed_sum(const char *text, size_t n)
{
    uint64_t sum = 0;
    for (size_t at = 0; at < n;) {
        const char *end = memchr(text + at, '\n', n - at), *digits = end;
        CHECK(end);
        while (digits > text + at && digits[-1] >= '0' && digits[-1] <= '9')
            digits--;
        CHECK(at == 0 || (digits < end && digits[-1] == ' '));
        sum += at ? strtoull(digits, NULL, 10) : 0;
        at = (size_t)(end - text) + 1;
    }
    return sum;
}

/* Where each thread's last call ends. */
static inline uint64_t chrome_sum(const char *text, size_t n)
{
    uint64_t sum = 0, last = 0;
    for (const char *at = text, *end = text + n, *line; at < end; at = line + 1) {
        line = memchr(at, '\n', (size_t)(end - at));
        CHECK(line);
        const char *ts = memmem(at, (size_t)(line - at), "\"ts\":", 5);
        if (!ts) { /* the next thread */
            sum += last;
            last = 0;
            continue;
        }
        char *point;
        uint64_t us = strtoull(ts + 5, &point, 10), ns = strtoull(point + 1, NULL, 10);
        CHECK(*point == '.' && 1000 * us + ns >= last);
        last = 1000 * us + ns;
    }
    return sum + last;
}

/* The profile in a page: its block, and how long that is. */
static inline const char *html_block(const char *text, size_t n, size_t *bytes)
{
    static const char begin[] = "<script id=\"profile\" type=\"application/json\">";
    const char *at = memmem(text, n, begin, sizeof begin - 1);
    CHECK(at);
    at += sizeof begin - 1;
    const char *end = memchr(at, '<', n - (size_t)(at - text));
    CHECK(end && memcmp(end, "</script>", 9) == 0);
    *bytes = (size_t)(end - at);
    return at;
}

/* Of the entries, pairs of node and weight, of the first set. */
static inline uint64_t html_sum(const char *text, size_t n)
{
    static const char entries[] = "\"entries\":[";
    uint64_t sum = 0;
    const char *at = html_block(text, n, &n), *end = at + n, *wall = memmem(at, n, "\"wall\":true", 11);
    for (end = wall ? wall : end; (at = memmem(at, (size_t)(end - at), entries, sizeof entries - 1));) {
        char *next = (char *)(uintptr_t)at + sizeof entries - 2;
        while (*next != ']' && next[1] != ']') {
            CHECK(strtoull(next + 1, &next, 10) && *next == ',');
            sum += strtoull(next + 1, &next, 10);
        }
        at = next;
    }
    return sum;
}

#endif
