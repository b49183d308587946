/* SPDX-License-Identifier: MIT
 * See unwind.h: the walk. A frame whose rule is kept costs some reads of the stack; of any other the tables say the rule. */
#include "compat/unwind.h"

#include "compat/cfi.h"
#include "compat/os.h"
#include "compat/pages.h"
#include "compat/unwind_rules.h"

#define GOES_ON SP_UNWIND_ENDS

/* Threads: any, atomically. */
struct sp_unwind_counts sp_unwind_counts;

SP_INLINE uintptr_t *reg(struct sp_unwind *w, uint32_t number)
{
    return &w->registers.of[number];
}

/* AddressSanitizer has memory of its own that can be read, but not by code that it watches. */
__attribute__((no_sanitize("address"))) bool sp_unwind_stack_ask(struct sp_unwind_stack *s, uintptr_t address, uintptr_t *value)
{
    uintptr_t page = address >> SP_PAGE_SHIFT;
    if (address & 7 || page == 0 || !sp_os_readable(address))
        return false;
    s->page = page;
    *value = *(const volatile uintptr_t *)address;
    return true;
}

/* Stacks grow down: a caller's frame ends above. On aarch64 a leaf may have none. */
SP_INLINE bool is_frame(const struct sp_unwind *w, uintptr_t cfa)
{
    uintptr_t sp = w->registers.of[SP_UNWIND_SP], most = w->stack.high ? w->stack.high : sp + SP_UNWIND_STACK_MAX;
    return cfa <= most && !(cfa & 7) && (cfa > sp || (cfa == sp && !SP_UNWIND_RETURN_ON_STACK));
}

/* ---- by a kept rule */
SP_SIGSAFE static bool quick_frame(struct sp_unwind *w, const struct sp_unwind_rule *r, uintptr_t *cfa)
{
    uint32_t base = r->kind == SP_UNWIND_RULE_FP || r->kind == SP_UNWIND_RULE_AT_FP || r->kind == SP_UNWIND_RULE_AT_FP_8
                        ? SP_UNWIND_FP
                        : SP_UNWIND_SP;
    uintptr_t at;
    if (!sp_unwind_get(&w->registers, base, &at))
        return false;
    at += 8ul * r->offset;
    if (r->kind >= SP_UNWIND_RULE_AT_SP) {
        if (!sp_unwind_word(&w->stack, at - 4ul * SP_UNWIND_RULE_OFFSETS, &at))
            return false;
        at += r->kind >= SP_UNWIND_RULE_AT_SP_8 ? 8 : 0;
    }
    *cfa = at;
    return is_frame(w, at);
}

SP_SIGSAFE static enum sp_unwind_end quick_step(struct sp_unwind *w, const struct sp_unwind_rule *r)
{
    uintptr_t cfa, to, fp = *reg(w, SP_UNWIND_FP), from;
    if (r->kind == SP_UNWIND_RULE_BOTTOM)
        return SP_UNWIND_BOTTOM;
    if (!quick_frame(w, r, &cfa))
        return SP_UNWIND_BAD_STACK;
    from = r->kind == SP_UNWIND_RULE_AT_FP || r->kind == SP_UNWIND_RULE_AT_FP_8 ? fp + 8 : cfa; /* see keep_rule() */
    if (r->fp && !sp_unwind_word(&w->stack, from - 8ul * r->fp, reg(w, SP_UNWIND_FP)))
        return SP_UNWIND_BAD_STACK;
    if (r->second && !sp_unwind_word(&w->stack, from - 8ul * r->second, reg(w, SP_UNWIND_SECOND)))
        return SP_UNWIND_BAD_STACK;
    w->registers.known &= SP_UNWIND_BIT(SP_UNWIND_SP) | SP_UNWIND_BIT(SP_UNWIND_FP) | SP_UNWIND_BIT(SP_UNWIND_SECOND);
    w->registers.known |= (r->fp ? SP_UNWIND_BIT(SP_UNWIND_FP) : 0) | (r->second ? SP_UNWIND_BIT(SP_UNWIND_SECOND) : 0);
    if (SP_UNWIND_RETURN_ON_STACK) {
        if (!sp_unwind_word(&w->stack, cfa - 8, &to))
            return SP_UNWIND_BAD_STACK;
    } else {
        if (!sp_unwind_get(&w->registers, SP_UNWIND_RETURN, &to))
            return SP_UNWIND_STRANGE;
        to = sp_cpu_strip(to);
        w->registers.known &= ~SP_UNWIND_BIT(SP_UNWIND_RETURN);
    }
    *reg(w, SP_UNWIND_PC) = to;
    *reg(w, SP_UNWIND_SP) = w->cfa = cfa;
    w->exact = false;
    w->used_kept = true;
    return GOES_ON;
}

/* ---- by the tables */
/* How the frame's end is written in 31 bits; false: it is not. */
SP_SIGSAFE static bool quick_kind(struct sp_unwind_rule *q, const struct sp_cfi_rules *rules, const struct sp_module *m)
{
    int64_t offset = sp_cfi_number_of(rules->frame);
    if (sp_cfi_kind_of(rules->frame) == SP_CFI_IS) {
        q->kind = rules->frame_register == SP_UNWIND_SP ? SP_UNWIND_RULE_SP : SP_UNWIND_RULE_FP;
        if (rules->frame_register != SP_UNWIND_SP && rules->frame_register != SP_UNWIND_FP)
            return false;
    } else {
        bool by_sp;
        uint32_t plus;
        if (!sp_cfi_is_indirect(m, (uintptr_t)offset, &by_sp, &offset, &plus))
            return false;
        q->kind = by_sp ? SP_UNWIND_RULE_AT_SP : SP_UNWIND_RULE_AT_FP;
        q->kind += plus ? 2 : 0;
        offset += 4 * SP_UNWIND_RULE_OFFSETS;
    }
    q->offset = (uint32_t)offset / 8;
    return offset >= 0 && offset < 8 * SP_UNWIND_RULE_OFFSETS && !(offset & 7);
}

/* Where a register is saved, as a distance; false: it cannot be written so. */
SP_SIGSAFE static bool quick_saved(uint32_t *saved, sp_cfi_rule rule, const struct sp_module *m, bool from_fp)
{
    int64_t offset = sp_cfi_number_of(rule);
    *saved = 0;
    if (sp_cfi_kind_of(rule) == SP_CFI_SAME)
        return true;
    if (!from_fp && sp_cfi_kind_of(rule) != SP_CFI_AT)
        return false;
    if (from_fp && (sp_cfi_kind_of(rule) != SP_CFI_EXPRESSION || !sp_cfi_is_from_fp(m, (uintptr_t)offset, &offset)))
        return false;
    if (from_fp)
        offset -= 8; /* so that 0 says that it is not saved */
    *saved = (uint32_t)(-offset / 8);
    return offset < 0 && offset > -8 * SP_UNWIND_RULE_SAVED && !(offset & 7);
}

SP_SIGSAFE static void keep_rule(const struct sp_cfi_rules *rules, const struct sp_module *m, uintptr_t code, bool is_return)
{
    struct sp_unwind_rule q = {.is_return = is_return};
    sp_cfi_rule ra = rules->of[sp_unwind_kept(SP_UNWIND_RETURN)];
    if (SP_UNWIND_RETURN_ON_STACK && ra != sp_cfi_rule_of(SP_CFI_AT, -8))
        return;
    if (rules->of[sp_unwind_kept(SP_UNWIND_SP)] != 0 || !quick_kind(&q, rules, m))
        return;
    bool from_fp = q.kind == SP_UNWIND_RULE_AT_FP || q.kind == SP_UNWIND_RULE_AT_FP_8;
    if (quick_saved(&q.fp, rules->of[sp_unwind_kept(SP_UNWIND_FP)], m, from_fp) &&
        quick_saved(&q.second, rules->of[sp_unwind_kept(SP_UNWIND_SECOND)], m, from_fp))
        sp_unwind_rule_keep(code, &q);
}

SP_SIGSAFE static bool frame_of(struct sp_unwind *w, const struct sp_module *m, const struct sp_cfi_rules *rules,
                                uintptr_t *cfa)
{
    uintptr_t base = 0;
    int64_t number = sp_cfi_number_of(rules->frame);
    if (sp_cfi_kind_of(rules->frame) == SP_CFI_VALUE)
        return sp_cfi_evaluate(m, (uintptr_t)number, &w->registers, &w->stack, NULL, cfa);
    if (sp_cfi_kind_of(rules->frame) != SP_CFI_IS || !sp_unwind_get(&w->registers, rules->frame_register, &base))
        return false;
    *cfa = base + (uintptr_t)number;
    return true;
}

/* The caller's value of register i of those that have rules. False: it is not known. */
SP_SIGSAFE static bool value_of(struct sp_unwind *w, const struct sp_module *m, sp_cfi_rule rule, uint32_t i, uintptr_t cfa,
                                uintptr_t *v)
{
    uintptr_t at = cfa + (uintptr_t)sp_cfi_number_of(rule);
    switch (sp_cfi_kind_of(rule)) {
    case SP_CFI_SAME:
        *v = cfa;
        return sp_unwind_number(i) == SP_UNWIND_SP || sp_unwind_get(&w->registers, sp_unwind_number(i), v);
    case SP_CFI_AT: return sp_unwind_word(&w->stack, at, v);
    case SP_CFI_IS: *v = at; return true;
    case SP_CFI_REGISTER: return sp_unwind_get(&w->registers, (uint64_t)sp_cfi_number_of(rule), v);
    case SP_CFI_EXPRESSION:
        return sp_cfi_evaluate(m, (uintptr_t)sp_cfi_number_of(rule), &w->registers, &w->stack, &cfa, &at) &&
               sp_unwind_word(&w->stack, at, v);
    case SP_CFI_VALUE: return sp_cfi_evaluate(m, (uintptr_t)sp_cfi_number_of(rule), &w->registers, &w->stack, &cfa, v);
    default: return false;
    }
}

SP_SIGSAFE static enum sp_unwind_end apply(struct sp_unwind *w, const struct sp_module *m, const struct sp_cfi_rules *rules)
{
    uintptr_t cfa, value[SP_UNWIND_KEPT] = {0};
    uint64_t known = 0;
    uint32_t ra = sp_unwind_kept(SP_UNWIND_RETURN), sp = sp_unwind_kept(SP_UNWIND_SP);
    if (!frame_of(w, m, rules, &cfa))
        return SP_UNWIND_STRANGE;
    if (!is_frame(w, cfa))
        return SP_UNWIND_BAD_STACK;
    for (uint32_t i = 0; i < SP_UNWIND_KEPT; i++)
        if (value_of(w, m, rules->of[i], i, cfa, &value[i]))
            known |= SP_UNWIND_BIT(sp_unwind_number(i));
    if (!(known & SP_UNWIND_BIT(sp_unwind_number(ra))) || !(known & SP_UNWIND_BIT(sp_unwind_number(sp))))
        return SP_UNWIND_STRANGE;
    for (uint32_t i = 0; i < SP_UNWIND_KEPT; i++) /* when all rules were followed: they speak of the old values */
        *reg(w, sp_unwind_number(i)) = value[i];
    *reg(w, SP_UNWIND_PC) = sp_cpu_strip(value[ra]);
    w->registers.known = known & ~SP_UNWIND_BIT(SP_UNWIND_RETURN);
    w->cfa = cfa;
    w->exact = false;
    return GOES_ON;
}

/* Below a signal handler: the kernel has saved all registers. */
SP_SIGSAFE static enum sp_unwind_end through_signal(struct sp_unwind *w)
{
    uintptr_t context = *reg(w, SP_UNWIND_SP) + SP_UNWIND_CONTEXT_ABOVE;
    struct sp_unwind_registers *r = &w->registers;
    for (uint32_t i = 0; i < SP_UNWIND_REGISTERS; i++)
        if (!sp_unwind_word(&w->stack, context + sp_unwind_in_context(i), &r->of[i]))
            return SP_UNWIND_BAD_STACK;
    r->known = SP_UNWIND_ALL;
    w->cfa = r->of[SP_UNWIND_SP];
    w->exact = true;
    w->stack = sp_unwind_stack_of(r->of[SP_UNWIND_SP], w->stack_top); /* the handler may have had another */
    return GOES_ON;
}

SP_SIGSAFE static bool is_trampoline(const struct sp_module *m, uintptr_t pc)
{
    if (pc < m->start + SP_UNWIND_TRAMPOLINE_SECOND || m->end - pc < SP_UNWIND_TRAMPOLINE_BYTES ||
        !sp_pages_known(pc - SP_UNWIND_TRAMPOLINE_SECOND, SP_UNWIND_TRAMPOLINE_SECOND + SP_UNWIND_TRAMPOLINE_BYTES))
        return false;
    return sp_unwind_is_trampoline(pc) || sp_unwind_is_trampoline(pc - SP_UNWIND_TRAMPOLINE_SECOND);
}

/* Where the kernel has none for it in the vDSO: emulators put it on a page of its own. */
SP_SIGSAFE static bool is_bare_trampoline(uintptr_t pc)
{
    return pc >= SP_UNWIND_TRAMPOLINE_BYTES && sp_os_readable(pc) && sp_os_readable(pc + SP_UNWIND_TRAMPOLINE_BYTES - 1) &&
           sp_unwind_is_trampoline(pc);
}

SP_SIGSAFE static bool follows_call(const struct sp_module *m, uintptr_t pc)
{
    return pc - m->start >= SP_UNWIND_CALL_BYTES && sp_pages_known(pc - SP_UNWIND_CALL_BYTES, SP_UNWIND_CALL_BYTES) &&
           sp_unwind_follows_call(pc);
}

/* Without a table: both processors' conventions put the caller's frame pointer and the return address at the frame pointer. */
SP_SIGSAFE static enum sp_unwind_end by_frame_pointer(struct sp_unwind *w)
{
    uintptr_t fp, to, next;
    struct sp_module m;
    if (!sp_unwind_get(&w->registers, SP_UNWIND_FP, &fp) || !is_frame(w, fp + 16) || fp < *reg(w, SP_UNWIND_SP) ||
        !sp_unwind_word(&w->stack, fp, &next) || !sp_unwind_word(&w->stack, fp + 8, &to))
        return SP_UNWIND_NO_RULE;
    to = sp_cpu_strip(to);
    if (!sp_module_at(&m, to - 1) || !follows_call(&m, to))
        return SP_UNWIND_NO_RULE;
    sp_add_relaxed(&sp_unwind_counts.by_frame_pointer, 1);
    w->registers.known = SP_UNWIND_BIT(SP_UNWIND_SP) | SP_UNWIND_BIT(SP_UNWIND_FP);
    *reg(w, SP_UNWIND_PC) = to;
    w->cfa = fp + 16;
    /* aarch64: gcc keeps a frame's record at the frame's bottom; the caller's stack pointer is where its own record lies */
    *reg(w, SP_UNWIND_SP) = SP_UNWIND_RETURN_ON_STACK || next < fp + 16 ? fp + 16 : next;
    *reg(w, SP_UNWIND_FP) = next;
    w->exact = false;
    return GOES_ON;
}

SP_SIGSAFE static enum sp_unwind_end by_tables(struct sp_unwind *w, const struct sp_module *m, uintptr_t code,
                                               enum sp_cfi_found found)
{
    bool is_return = !w->exact;
    switch (found) {
    case SP_CFI_NONE: return by_frame_pointer(w);
    case SP_CFI_STRANGE: return SP_UNWIND_STRANGE;
    case SP_CFI_FOUND: break;
    }
    if (!sp_cfi_rules_at(&w->cfi, m, code))
        return SP_UNWIND_STRANGE;
    if (sp_cfi_kind_of(w->cfi.rules.of[sp_unwind_kept(SP_UNWIND_RETURN)]) == SP_CFI_UNDEFINED) {
        if (w->keeps)
            sp_unwind_rule_keep(code, &(struct sp_unwind_rule){.kind = SP_UNWIND_RULE_BOTTOM, .is_return = is_return});
        return SP_UNWIND_BOTTOM;
    }
    enum sp_unwind_end end = apply(w, m, &w->cfi.rules);
    if (end == GOES_ON && w->keeps)
        keep_rule(&w->cfi.rules, m, code, is_return);
    return end;
}

SP_SIGSAFE static enum sp_unwind_end step_out(struct sp_unwind *w)
{
    uintptr_t pc = *reg(w, SP_UNWIND_PC), code = w->exact ? pc : pc - 1;
    struct sp_unwind_rule kept = {.kind = SP_UNWIND_RULE_NONE};
    struct sp_module m;
    if (w->keeps)
        kept = sp_unwind_rule_find(code);
    if (SP_LIKELY(kept.kind != SP_UNWIND_RULE_NONE) && (w->exact || kept.is_return))
        return quick_step(w, &kept);
    sp_add_relaxed(&sp_unwind_counts.misses, 1);
    if (!sp_module_at(&m, pc)) /* a return address may be the first byte of a function, but lies in the same library */
        return is_bare_trampoline(pc) ? through_signal(w) : SP_UNWIND_NO_MODULE;
    enum sp_cfi_found found = sp_cfi_function_at(&w->cfi.function, &m, code);
    bool is_plain = w->exact && found == SP_CFI_FOUND && !w->cfi.function.is_trampoline; /* spares a look at its code */
    if (!is_plain && is_trampoline(&m, pc))
        return through_signal(w);
    if (!w->exact && !follows_call(&m, pc))
        return SP_UNWIND_BAD_RETURN;
    return by_tables(w, &m, code, found);
}

SP_SIGSAFE static void unwind_frames(struct sp_unwind *u)
{
    u->end = GOES_ON;
    u->n_interrupted = 0;
    for (u->n = 0; u->n < u->cap && u->end == GOES_ON;) {
        struct sp_unwind_frame *f = &u->frames[u->n++];
        *f = (struct sp_unwind_frame){*reg(u, SP_UNWIND_PC), 0};
        if (SP_UNLIKELY(u->exact && u->n > 1 && u->n_interrupted < SP_UNWIND_INTERRUPTED))
            u->interrupted[u->n_interrupted++] = u->n - 1;
        u->end = step_out(u);
        if (u->end == SP_UNWIND_BAD_RETURN)
            u->n--; /* it is no frame */
        if (u->end != GOES_ON)
            return;
        f->cfa = u->cfa;
        if (*reg(u, SP_UNWIND_PC) == 0)
            u->end = SP_UNWIND_BOTTOM;
    }
    if (u->end == GOES_ON)
        u->end = SP_UNWIND_FULL;
}

SP_SIGSAFE static void begin(struct sp_unwind *u, const void *context, bool keeps)
{
    for (uint32_t i = 0; i < SP_UNWIND_REGISTERS; i++)
        *reg(u, i) = sp_peek((uintptr_t)context + sp_unwind_in_context(i));
    u->registers.known = SP_UNWIND_ALL;
    u->stack = sp_unwind_stack_of(*reg(u, SP_UNWIND_SP), u->stack_top);
    u->cfa = 0;
    u->exact = true;
    u->keeps = keeps;
    u->used_kept = false;
}

/* ---- libraries that go: rules and readable pages are known by address */
static uint32_t n_walking, n_closing; /* walks under way; threads in dlclose */
static uint32_t walks_beside;         /* the one of a process beside is: a number of its own, for that process may end in it */
static uintptr_t closer;              /* the thread pointer of the last that began to */
static bool overdue;                  /* a walk did not end in time, and may keep what is no longer so */

void sp_unwind(struct sp_unwind *u, const void *context)
{
    __atomic_fetch_add(&n_walking, 1, __ATOMIC_SEQ_CST); /* pairs with sp_unwind_closing() */
    uint32_t closing = __atomic_load_n(&n_closing, __ATOMIC_SEQ_CST);
    u->n = 0;
    u->end = SP_UNWIND_CLOSING;
    uintptr_t by = __atomic_load_n(&closer, __ATOMIC_SEQ_CST); /* whoever does not see us walk has set it before we look */
    bool walks = !closing || (closing == 1 && by == sp_cpu_thread_pointer());
    if (walks && !sp_unwind_by_libunwind(u, context)) {
        begin(u, context, !closing && !sp_load_relaxed(&overdue));
        unwind_frames(u);
        if (u->end == SP_UNWIND_STRANGE && u->used_kept) { /* for want of a register that kept rules do not follow? */
            begin(u, context, false);
            unwind_frames(u);
        }
    }
    __atomic_fetch_sub(&n_walking, 1, __ATOMIC_SEQ_CST);
}

/* By the tables alone: rules that are kept were found with all registers. */
static void begin_asleep(struct sp_unwind *u, uintptr_t pc, uintptr_t sp)
{
    *reg(u, SP_UNWIND_PC) = pc;
    *reg(u, SP_UNWIND_SP) = sp;
    u->registers.known = SP_UNWIND_BIT(SP_UNWIND_PC) | SP_UNWIND_BIT(SP_UNWIND_SP);
    u->stack = sp_unwind_stack_of(sp, u->stack_top);
    u->cfa = 0;
    u->exact = true;
    u->keeps = false;
    u->used_kept = false;
}

void sp_unwind_asleep(struct sp_unwind *u, uintptr_t pc, uintptr_t sp)
{
    __atomic_store_n(&walks_beside, 1, __ATOMIC_SEQ_CST); /* pairs with sp_unwind_closing() */
    u->n = 0;
    u->end = SP_UNWIND_CLOSING;
    if (!__atomic_load_n(&n_closing, __ATOMIC_SEQ_CST)) {
        begin_asleep(u, pc, sp);
        unwind_frames(u);
    }
}

void sp_unwind_asleep_over(void)
{
    __atomic_store_n(&walks_beside, 0, __ATOMIC_SEQ_CST);
}

uintptr_t sp_unwind_function(uintptr_t pc)
{
    struct sp_module m;
    struct sp_cfi_function f;
    return sp_module_at(&m, pc) && sp_cfi_function_at(&f, &m, pc) == SP_CFI_FOUND ? f.start : 0;
}

#define WAITS 500
#define WAIT_NS 100000

static bool is_walked(void)
{
    return __atomic_load_n(&n_walking, __ATOMIC_SEQ_CST) || __atomic_load_n(&walks_beside, __ATOMIC_SEQ_CST);
}

void sp_unwind_closing(void)
{
    __atomic_fetch_add(&n_closing, 1, __ATOMIC_SEQ_CST); /* pairs with sp_unwind() and sp_unwind_asleep() */
    __atomic_store_n(&closer, sp_cpu_thread_pointer(), __ATOMIC_SEQ_CST);
    for (int i = 0; i < WAITS && is_walked(); i++)
        sp_os_sleep_ns(WAIT_NS);
    if (is_walked())
        sp_store_relaxed(&overdue, true);
}

void sp_unwind_closed(void)
{
    if (!is_walked())
        sp_store_relaxed(&overdue, false); /* it has ended, and whoever began since keeps nothing */
    sp_unwind_rules_forget();
    sp_pages_forget();
    sp_modules_forget();
    __atomic_fetch_sub(&n_closing, 1, __ATOMIC_SEQ_CST);
}

void sp_unwind_forked(void)
{
    sp_store_relaxed(&n_walking, 0);
    sp_store_relaxed(&walks_beside, 0);
    if (sp_load_relaxed(&n_closing) || sp_load_relaxed(&overdue)) {
        sp_store_relaxed(&n_closing, 0);
        sp_store_relaxed(&overdue, false);
        sp_unwind_rules_forget();
        sp_pages_forget();
        sp_modules_forget();
    }
}
