/* SPDX-License-Identifier: MIT
 * Rules kept by instruction, for all threads. An entry is one word: the instruction whole (what its place in the table does not say
 * is in the upper part) and a rule in 31 bits; so no reader sees half of one. */
#ifndef SP_COMPAT_UNWIND_RULES_H
#define SP_COMPAT_UNWIND_RULES_H

#include "compat/cpu.h"

/* Where the frame ends: so far from the stack pointer or the frame pointer; so far from what lies there (+ 8, as hand-written
 * code has it); or it is the outermost. */
enum sp_unwind_rule_kind {
    SP_UNWIND_RULE_NONE,
    SP_UNWIND_RULE_SP,
    SP_UNWIND_RULE_FP,
    SP_UNWIND_RULE_AT_SP,
    SP_UNWIND_RULE_AT_FP,
    SP_UNWIND_RULE_AT_SP_8,
    SP_UNWIND_RULE_AT_FP_8,
    SP_UNWIND_RULE_BOTTOM,
};

#define SP_UNWIND_RULE_OFFSETS 2048 /* of eight bytes; those of the AT kinds begin at -half */
#define SP_UNWIND_RULE_SAVED 256    /* of eight bytes below the frame's end; 0: the register is as it was */

struct sp_unwind_rule {
    enum sp_unwind_rule_kind kind;
    uint32_t offset, fp, second;
    bool is_return; /* a return address was seen to follow a call here */
};

#define SP_UNWIND_RULE_BITS 14
#define SP_UNWIND_RULE_CELLS (1u << SP_UNWIND_RULE_BITS)
extern uint64_t sp_unwind_rule_cells[SP_UNWIND_RULE_CELLS];

/* The byte before a return address is the call's, whose rule is that of what stands for the caller. */
SP_INLINE uint64_t sp_unwind_rule_upper(uintptr_t code)
{
    return code >> SP_CPU_CODE_ALIGN >> SP_UNWIND_RULE_BITS;
}

/* Where the rule of an instruction is, if it is kept. Exact: from the cell and the instruction's upper part its lower one follows. */
SP_INLINE uint32_t sp_unwind_rule_cell(uintptr_t code)
{
    code >>= SP_CPU_CODE_ALIGN;
    return (uint32_t)(code ^ code >> SP_UNWIND_RULE_BITS ^ code >> 2 * SP_UNWIND_RULE_BITS) % SP_UNWIND_RULE_CELLS;
}

/* [handler] kind SP_UNWIND_RULE_NONE: none is kept. */
SP_INLINE struct sp_unwind_rule sp_unwind_rule_find(uintptr_t code)
{
    uint64_t w = sp_load_relaxed(&sp_unwind_rule_cells[sp_unwind_rule_cell(code)]);
    if (w >> 31 != sp_unwind_rule_upper(code))
        return (struct sp_unwind_rule){SP_UNWIND_RULE_NONE, 0, 0, 0, false};
    return (struct sp_unwind_rule){(enum sp_unwind_rule_kind)(w & 7), (uint32_t)(w >> 4) & (SP_UNWIND_RULE_OFFSETS - 1),
                                   (uint32_t)(w >> 15) & (SP_UNWIND_RULE_SAVED - 1),
                                   (uint32_t)(w >> 23) & (SP_UNWIND_RULE_SAVED - 1), w & 8};
}
SP_SIGSAFE void sp_unwind_rule_keep(uintptr_t code, const struct sp_unwind_rule *rule);
/* [any] While no walk is under way that keeps rules. */
void sp_unwind_rules_forget(void);

#endif
