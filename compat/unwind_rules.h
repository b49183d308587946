/* SPDX-License-Identifier: MIT
 * Rules kept by instruction, for all threads. An entry is one word: the instruction whole (what its place in the table does not say
 * is in the upper part) and a rule in 31 bits; so no reader sees half of one. */
#ifndef SP_COMPAT_UNWIND_RULES_H
#define SP_COMPAT_UNWIND_RULES_H

#include "compat/base.h"

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

/* [handler] kind SP_UNWIND_RULE_NONE: none is kept. */
SP_SIGSAFE struct sp_unwind_rule sp_unwind_rule_find(uintptr_t code);
SP_SIGSAFE void sp_unwind_rule_keep(uintptr_t code, const struct sp_unwind_rule *rule);
/* [any] While no walk is under way that keeps rules. */
void sp_unwind_rules_forget(void);

#endif
