/* SPDX-License-Identifier: MIT
 * Unwind tables (.eh_frame_hdr, .eh_frame) as they are mapped: for an instruction, where its caller's registers are. DWARF 5, 6.4,
 * and the Linux Standard Base, 10.6. Whatever the bytes are, no read leaves the module, and each loop ends with its input. */
#ifndef SP_COMPAT_CFI_H
#define SP_COMPAT_CFI_H

#include "compat/modules.h"
#include "compat/unwind_cpu.h"
#include "compat/unwind_stack.h"

struct sp_cfi_span {
    uintptr_t at, end;
};

/* A function's part of the tables. */
struct sp_cfi_function {
    uintptr_t start, end;           /* its code */
    struct sp_cfi_span common, own; /* programs: of its kind of functions, then its own */
    uint64_t code_align;
    int64_t data_align;
    uint32_t return_register;
    uint8_t encoding;   /* of addresses */
    bool has_lengths;   /* its augmentation says how long it is */
    bool is_trampoline; /* a signal handler's: the caller was interrupted, it called nothing */
};

/* How to come by a register of the caller's: the kind in the low bits, above them a number or the address of an expression. */
enum sp_cfi_kind {
    SP_CFI_SAME,
    SP_CFI_UNDEFINED,
    SP_CFI_AT,         /* in memory, so many bytes from the frame address */
    SP_CFI_IS,         /* so many bytes from the frame address */
    SP_CFI_REGISTER,   /* in another register */
    SP_CFI_EXPRESSION, /* in memory, where an expression says */
    SP_CFI_VALUE,      /* what an expression says */
};
typedef uint64_t sp_cfi_rule;
SP_INLINE sp_cfi_rule sp_cfi_rule_of(enum sp_cfi_kind kind, int64_t number)
{
    return (uint64_t)number << 3 | kind;
}
SP_INLINE enum sp_cfi_kind sp_cfi_kind_of(sp_cfi_rule r)
{
    return (enum sp_cfi_kind)(r & 7);
}
SP_INLINE int64_t sp_cfi_number_of(sp_cfi_rule r)
{
    return (int64_t)r >> 3;
}

struct sp_cfi_rules {
    sp_cfi_rule frame; /* the frame address (CFA): SP_CFI_IS: from frame_register; SP_CFI_VALUE; else there is none */
    uint32_t frame_register;
    uint32_t is_signed; /* aarch64: the return address is authenticated */
    sp_cfi_rule of[SP_UNWIND_KEPT];
};

enum sp_cfi_found {
    SP_CFI_FOUND,
    SP_CFI_NONE,    /* no function of the tables has this instruction */
    SP_CFI_STRANGE, /* ... one has it, but what is said of it is broken, or not known here */
};

/* [handler] The function that contains `pc`, without its rules. */
SP_SIGSAFE enum sp_cfi_found sp_cfi_function_at(struct sp_cfi_function *f, const struct sp_module *m, uintptr_t pc);
#define SP_CFI_DEPTH 2 /* of remembered rules; compilers do not nest them: none of 400,000 functions did */

/* What finding rules takes: too large for a stack of which nothing is known. */
struct sp_cfi {
    struct sp_cfi_function function;
    struct sp_cfi_rules rules;
    struct sp_cfi_rules kept[SP_CFI_DEPTH];
    sp_cfi_rule initial[SP_UNWIND_KEPT]; /* by the common program */
};
/* [handler] The rules of c->function at `pc`, into c->rules. False: strange. */
SP_SIGSAFE bool sp_cfi_rules_at(struct sp_cfi *c, const struct sp_module *m, uintptr_t pc);
/* [handler] Evaluates the expression (its length, then its operations) at `at`; with `frame`, that is pushed first. */
SP_SIGSAFE bool sp_cfi_evaluate(const struct sp_module *m, uintptr_t at, const struct sp_unwind_registers *registers,
                                struct sp_unwind_stack *stack, const uintptr_t *frame, uintptr_t *result);

/* [handler] Whether an expression is a frame address that compilers and hand-written code use: what lies at the stack pointer or
 * the frame pointer plus `offset`, plus 0 or 8. */
SP_SIGSAFE bool sp_cfi_is_indirect(const struct sp_module *m, uintptr_t at, bool *by_sp, int64_t *offset, uint32_t *plus);
/* [handler] ... and is the frame pointer plus `offset`. */
SP_SIGSAFE bool sp_cfi_is_from_fp(const struct sp_module *m, uintptr_t at, int64_t *offset);

#endif
