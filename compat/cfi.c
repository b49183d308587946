/* SPDX-License-Identifier: MIT
 * See cfi.h: from an instruction to its function's part of the tables. Rules are in cfi_rules.c. */
#include "compat/cfi.h"

#include "compat/cfi_read.h"

#define HEADER_BYTES 12
/* The one form that linkers write: a table of {code, entry}, both relative to the header, sorted by code. */
#define HEADER_START 0x3b031b01u

#define MOST_LETTERS 16

struct table {
    uintptr_t at;
    uint32_t n;
};

SP_SIGSAFE static bool table_of(struct table *t, const struct sp_module *m)
{
    struct sp_reader r = sp_reader_of(m, m->unwind, m->end);
    if (!m->unwind || sp_reader_u32(&r) != HEADER_START)
        return false;
    sp_reader_u32(&r); /* where .eh_frame begins */
    t->n = sp_reader_u32(&r);
    t->at = r.at;
    return !r.failed && t->n <= (m->end - t->at) / 8;
}

SP_INLINE bool read_pair(const struct table *t, uint32_t i, int32_t pair[2])
{
    uintptr_t at = t->at + 8ul * i;
    if (!sp_pages_known(at, 8))
        return false;
    memcpy(pair, (const void *)at, 8);
    return true;
}

/* The last entry whose code does not begin behind `pc`; 0: none. */
SP_SIGSAFE static uintptr_t entry_for(const struct sp_module *m, uintptr_t pc)
{
    struct table t;
    int32_t pair[2] = {0, 0};
    int64_t wanted = (int64_t)(pc - m->unwind);
    if (!table_of(&t, m))
        return 0;
    uint32_t low = 0, high = t.n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (!read_pair(&t, middle, pair))
            return 0;
        if (pair[0] <= wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low && read_pair(&t, low - 1, pair) ? m->unwind + (uintptr_t)(intptr_t)pair[1] : 0;
}

/* An entry's bytes behind its length. Ones of 4 GB and more are not read. */
SP_SIGSAFE static struct sp_reader open_entry(const struct sp_module *m, uintptr_t at)
{
    struct sp_reader r = sp_reader_of(m, at, m->end);
    uint32_t length = sp_reader_u32(&r);
    if (r.failed || length == 0 || length == UINT32_MAX || length > r.end - r.at)
        return sp_reader_of(m, 1, 0);
    return sp_reader_of(m, r.at, r.at + length);
}

/* The letters of an augmentation behind its 'z', and what each stands for. */
SP_SIGSAFE static bool read_augmentation(struct sp_reader *r, struct sp_reader letters, struct sp_cfi_function *f)
{
    for (char c; (c = (char)sp_reader_u8(&letters)) != '\0';) {
        if (c == 'R')
            f->encoding = sp_reader_u8(r);
        else if (c == 'P')
            sp_reader_pointer(r, (uint8_t)(sp_reader_u8(r) & 0x1f)); /* of whatever form: it is passed over */
        else if (c == 'L')
            sp_reader_u8(r);
        else if (c == 'S')
            f->is_trampoline = true;
        else if (c != 'B' && c != 'G') /* aarch64: the key of return addresses; tagged stacks */
            break;                     /* the length says where it ends */
    }
    return !r->failed;
}

/* A common information entry. */
SP_SIGSAFE static bool read_common(const struct sp_module *m, uintptr_t at, struct sp_cfi_function *f)
{
    struct sp_reader r = open_entry(m, at);
    uint32_t id = sp_reader_u32(&r);
    uint8_t version = sp_reader_u8(&r);
    struct sp_reader letters = r;
    uint32_t n_letters = 0;
    while (sp_reader_u8(&r) && n_letters < MOST_LETTERS)
        n_letters++;
    if (r.failed || n_letters == MOST_LETTERS || id != 0 || (version != 1 && version != 3))
        return false;
    f->code_align = sp_reader_uleb(&r);
    f->data_align = sp_reader_sleb(&r);
    f->return_register = (uint32_t)(version == 1 ? sp_reader_u8(&r) : sp_reader_uleb(&r));
    uint8_t first = sp_reader_u8(&letters);
    if (first == 'z') {
        uint64_t bytes = sp_reader_uleb(&r);
        struct sp_reader data = r;
        sp_reader_skip(&r, bytes);
        f->has_lengths = true;
        if (!read_augmentation(&data, letters, f))
            return false;
    }
    f->common = (struct sp_cfi_span){r.at, r.end};
    return !r.failed && (first == 'z' || first == '\0');
}

enum sp_cfi_found sp_cfi_function_at(struct sp_cfi_function *f, const struct sp_module *m, uintptr_t pc)
{
    uintptr_t at = entry_for(m, pc);
    *f = (struct sp_cfi_function){0};
    if (!at)
        return SP_CFI_NONE;
    struct sp_reader r = open_entry(m, at);
    uintptr_t place = r.at;
    uint32_t back = sp_reader_u32(&r);
    if (r.failed || back == 0 || !read_common(m, place - back, f))
        return SP_CFI_STRANGE;
    f->start = (uintptr_t)sp_reader_pointer(&r, f->encoding);
    f->end = f->start + (uintptr_t)sp_reader_pointer(&r, f->encoding & 0x0f);
    if (f->has_lengths)
        sp_reader_skip(&r, sp_reader_uleb(&r));
    f->own = (struct sp_cfi_span){r.at, r.end};
    if (r.failed)
        return SP_CFI_STRANGE;
    return pc >= f->start && pc < f->end ? SP_CFI_FOUND : SP_CFI_NONE;
}
