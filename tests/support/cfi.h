/* SPDX-License-Identifier: MIT
 * Unwind tables made by hand, in memory that ends where they end: what reads on faults. */
#ifndef SP_TESTS_CFI_H
#define SP_TESTS_CFI_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "compat/cfi.h"

#define CFI_PAGE 4096ul
#define CFI_CODE 0x100000 /* from the table's beginning: where the first function is said to be */

struct cfi {
    uint8_t *base; /* of the image: the header of the table, then the entries */
    size_t cap, n;
    struct sp_module module;
    size_t common;
    uint32_t functions;
};

/* An image of at most `cap` bytes, in pages of its own, with room for so many functions in its table. */
static inline struct cfi cfi_new(size_t cap, uint32_t functions)
{
    struct cfi c = {.cap = (cap + CFI_PAGE - 1) & ~(CFI_PAGE - 1)};
    uint8_t *p = mmap(NULL, c.cap + CFI_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + c.cap, CFI_PAGE, PROT_NONE) != 0)
        abort();
    c.base = p;
    c.n = 12 + 8ul * functions;
    memcpy(p, "\x01\x1b\x03\x3b", 4);
    return c;
}

static inline void cfi_bytes(struct cfi *c, const void *bytes, size_t n)
{
    if (c->n + n > c->cap)
        abort();
    memcpy(c->base + c->n, bytes, n);
    c->n += n;
}

static inline void cfi_u32(struct cfi *c, uint32_t v)
{
    cfi_bytes(c, &v, 4);
}

static inline void cfi_u8(struct cfi *c, unsigned v)
{
    cfi_bytes(c, &(uint8_t){(uint8_t)v}, 1);
}

static inline void cfi_close_entry(struct cfi *c, size_t at)
{
    uint32_t length;
    while ((c->n - at) % 4)
        cfi_u8(c, 0);
    length = (uint32_t)(c->n - at - 4);
    memcpy(c->base + at, &length, 4);
}

/* A common entry with the augmentation "zR", and the letter given if any; its program is that of x86-64: the frame ends at the
 * stack pointer + 8, the return address is below. */
static inline void cfi_common(struct cfi *c, char letter)
{
    static const uint8_t program[] = {0x0c, SP_UNWIND_SP, 8, 0x80 | SP_UNWIND_RETURN, 1};
    c->common = c->n;
    cfi_u32(c, 0);
    cfi_u32(c, 0);
    cfi_u8(c, 1);
    cfi_bytes(c, "zR", 2);
    if (letter)
        cfi_u8(c, (unsigned)letter);
    cfi_u8(c, 0);
    cfi_u8(c, 1);    /* code alignment */
    cfi_u8(c, 0x78); /* data alignment: -8 */
    cfi_u8(c, SP_UNWIND_RETURN);
    cfi_u8(c, 1);    /* bytes of the augmentation */
    cfi_u8(c, 0x1b); /* addresses: relative, signed, four bytes */
    cfi_bytes(c, program, sizeof program);
    cfi_close_entry(c, c->common);
}

/* A function of so many bytes behind CFI_CODE, with its program. In ascending order. */
static inline void cfi_function(struct cfi *c, uint32_t start, uint32_t bytes, const void *program, size_t n)
{
    size_t at = c->n;
    uint32_t pair[2] = {CFI_CODE + start, (uint32_t)at};
    cfi_u32(c, 0);
    cfi_u32(c, (uint32_t)(c->n - c->common));
    cfi_u32(c, CFI_CODE + start - (uint32_t)c->n);
    cfi_u32(c, bytes);
    cfi_u8(c, 0);
    cfi_bytes(c, program, n);
    cfi_close_entry(c, at);
    memcpy(c->base + 12 + 8ul * c->functions++, pair, 8);
    memcpy(c->base + 8, &c->functions, 4);
}

/* Moves the image against the unreadable page; the module is it, and the code behind, of which nothing is mapped. */
static inline void cfi_done(struct cfi *c)
{
    size_t n = (c->n + 3) & ~3ul;
    uint8_t *to = c->base + c->cap - n;
    memmove(to, c->base, n);
    c->base = to;
    c->module = (struct sp_module){(uintptr_t)to, (uintptr_t)to + n, (uintptr_t)to};
}

static inline uintptr_t cfi_code(const struct cfi *c, uint32_t at)
{
    return (uintptr_t)c->base + CFI_CODE + at;
}

#endif
