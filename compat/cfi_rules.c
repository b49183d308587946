/* SPDX-License-Identifier: MIT
 * See cfi.h: a function's rules at an instruction, by the programs of its entries. */
#include "compat/cfi.h"

#include "compat/cfi_read.h"

#define MOST_OPERATIONS 65536 /* some 300 us */

struct run {
    struct sp_reader r;
    struct sp_cfi *c;
    uintptr_t at, pc; /* the instruction that c->rules are true for, and the one that is wanted */
    uint32_t n_kept;
    bool is_common; /* program */
    bool strange;
};

SP_SIGSAFE static void set(struct run *s, uint64_t number, sp_cfi_rule rule)
{
    uint32_t i = sp_unwind_kept(number == s->c->function.return_register ? SP_UNWIND_RETURN : number);
    if (i < SP_UNWIND_KEPT)
        s->c->rules.of[i] = rule;
}

SP_SIGSAFE static void restore(struct run *s, uint64_t number)
{
    uint32_t i = sp_unwind_kept(number == s->c->function.return_register ? SP_UNWIND_RETURN : number);
    if (i < SP_UNWIND_KEPT)
        s->c->rules.of[i] = !s->is_common ? s->c->initial[i] : sp_cfi_rule_of(SP_CFI_SAME, 0);
}

/* True: c->rules hold for the instruction that is wanted. */
SP_SIGSAFE static bool advance(struct run *s, uint64_t units)
{
    uint64_t bytes;
    if (__builtin_mul_overflow(units, s->c->function.code_align, &bytes) || bytes > s->pc - s->at)
        return true;
    s->at += (uintptr_t)bytes;
    return false;
}

SP_SIGSAFE static bool set_location(struct run *s)
{
    uintptr_t to = (uintptr_t)sp_reader_pointer(&s->r, s->c->function.encoding);
    s->strange |= to < s->at;
    if (to > s->pc)
        return true;
    s->at = to;
    return false;
}

/* An expression, as a rule. */
SP_SIGSAFE static sp_cfi_rule expression(struct run *s, enum sp_cfi_kind kind)
{
    uintptr_t at = s->r.at;
    sp_reader_skip(&s->r, sp_reader_uleb(&s->r));
    return sp_cfi_rule_of(kind, (int64_t)at);
}

SP_SIGSAFE static int64_t scaled(const struct run *s, int64_t v)
{
    return (int64_t)((uint64_t)v * (uint64_t)s->c->function.data_align);
}

SP_SIGSAFE static void frame_offset(struct run *s, int64_t offset)
{
    if (sp_cfi_kind_of(s->c->rules.frame) == SP_CFI_VALUE)
        s->strange = true;
    s->c->rules.frame = sp_cfi_rule_of(SP_CFI_IS, offset);
}

SP_SIGSAFE static void keep(struct run *s)
{
    if (s->n_kept == SP_CFI_DEPTH)
        s->strange = true;
    else
        s->c->kept[s->n_kept++] = s->c->rules;
}

SP_SIGSAFE static void take_back(struct run *s)
{
    if (s->n_kept == 0)
        s->strange = true;
    else
        s->c->rules = s->c->kept[--s->n_kept];
}

/* Operations on the frame address; false: it is another's. */
SP_SIGSAFE static bool frame_operation(struct run *s, uint8_t op)
{
    struct sp_reader *r = &s->r;
    switch (op) {
    case 0x0c: /* register and offset */
    case 0x12: {
        s->c->rules.frame_register = (uint32_t)sp_reader_uleb(r);
        int64_t offset = op == 0x0c ? (int64_t)sp_reader_uleb(r) : scaled(s, sp_reader_sleb(r));
        s->c->rules.frame = sp_cfi_rule_of(SP_CFI_IS, offset);
        return true;
    }
    case 0x0d: /* register */
        s->c->rules.frame_register = (uint32_t)sp_reader_uleb(r);
        s->strange |= sp_cfi_kind_of(s->c->rules.frame) != SP_CFI_IS;
        return true;
    case 0x0e: frame_offset(s, (int64_t)sp_reader_uleb(r)); return true;
    case 0x13: frame_offset(s, scaled(s, sp_reader_sleb(r))); return true;
    case 0x0f: s->c->rules.frame = expression(s, SP_CFI_VALUE); return true;
    case 0x0a: keep(s); return true;
    case 0x0b: take_back(s); return true;
    default: return false;
    }
}

/* Operations on one register. */
SP_SIGSAFE static void register_operation(struct run *s, uint8_t op)
{
    struct sp_reader *r = &s->r;
    uint64_t number = sp_reader_uleb(r);
    switch (op) {
    case 0x05: set(s, number, sp_cfi_rule_of(SP_CFI_AT, scaled(s, (int64_t)sp_reader_uleb(r)))); return;
    case 0x11: set(s, number, sp_cfi_rule_of(SP_CFI_AT, scaled(s, sp_reader_sleb(r)))); return;
    case 0x2f: set(s, number, sp_cfi_rule_of(SP_CFI_AT, scaled(s, (int64_t)(0 - sp_reader_uleb(r))))); return; /* GNU */
    case 0x06: restore(s, number); return;
    case 0x07: set(s, number, sp_cfi_rule_of(SP_CFI_UNDEFINED, 0)); return;
    case 0x08: set(s, number, sp_cfi_rule_of(SP_CFI_SAME, 0)); return;
    case 0x09: set(s, number, sp_cfi_rule_of(SP_CFI_REGISTER, (int64_t)sp_reader_uleb(r) & 0xffff)); return;
    case 0x10: set(s, number, expression(s, SP_CFI_EXPRESSION)); return;
    case 0x14: set(s, number, sp_cfi_rule_of(SP_CFI_IS, scaled(s, (int64_t)sp_reader_uleb(r)))); return;
    case 0x15: set(s, number, sp_cfi_rule_of(SP_CFI_IS, scaled(s, sp_reader_sleb(r)))); return;
    case 0x16: set(s, number, expression(s, SP_CFI_VALUE)); return;
    case 0x2e: return; /* GNU: bytes of arguments */
    default: s->strange = true;
    }
}

/* One operation. True: it leads past the instruction that is wanted. */
SP_SIGSAFE static bool rule_operation(struct run *s)
{
    struct sp_reader *r = &s->r;
    uint8_t op = sp_reader_u8(r), low = op & 0x3f;
    switch (op >> 6) {
    case 1: return advance(s, low);
    case 2: set(s, low, sp_cfi_rule_of(SP_CFI_AT, scaled(s, (int64_t)sp_reader_uleb(r)))); return false;
    case 3: restore(s, low); return false;
    }
    switch (op) {
    case 0x00: return false;
    case 0x01: return set_location(s);
    case 0x02: return advance(s, sp_reader_u8(r));
    case 0x03: return advance(s, sp_reader_bytes(r, 2));
    case 0x04: return advance(s, sp_reader_bytes(r, 4));
    case 0x2d: s->c->rules.is_signed ^= 1; return false; /* aarch64 */
    }
    if (!frame_operation(s, op))
        register_operation(s, op);
    return false;
}

SP_SIGSAFE static bool run_program(struct run *s, const struct sp_module *m, const struct sp_cfi_span *program)
{
    s->r = sp_reader_of(m, program->at, program->end);
    s->n_kept = 0;
    for (uint32_t i = 0; sp_reader_left(&s->r) && !s->strange; i++) {
        s->strange = i == MOST_OPERATIONS;
        if (rule_operation(s))
            break;
    }
    return !s->strange && !s->r.failed;
}

bool sp_cfi_rules_at(struct sp_cfi *c, const struct sp_module *m, uintptr_t pc)
{
    const struct sp_cfi_function *f = &c->function;
    struct run s = {.c = c, .at = f->start, .pc = f->start, .is_common = true}; /* there nothing is passed over */
    c->rules = (struct sp_cfi_rules){.frame = sp_cfi_rule_of(SP_CFI_UNDEFINED, 0)};
    if (!run_program(&s, m, &f->common))
        return false;
    memcpy(c->initial, c->rules.of, sizeof c->initial);
    s.is_common = false;
    s.at = f->start;
    s.pc = pc;
    return run_program(&s, m, &f->own);
}
