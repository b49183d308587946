/* SPDX-License-Identifier: MIT
 * See unwind_rules.h. */
#include "compat/unwind_rules.h"

#define BITS 14
#define CODE_BITS 47 /* what lies higher (five levels of page tables, and the program asked for it) is not kept */

static uint64_t table[1 << BITS];

/* Exact: from its place and its upper part the lower one follows. */
SP_INLINE uint64_t *place(uintptr_t code)
{
    return &table[(code ^ code >> BITS ^ code >> 2 * BITS) & ((1 << BITS) - 1)];
}

struct sp_unwind_rule sp_unwind_rule_find(uintptr_t code)
{
    uint64_t w = sp_load_relaxed(place(code));
    if (w >> 31 != code >> BITS)
        return (struct sp_unwind_rule){SP_UNWIND_RULE_NONE, 0, 0, 0, false};
    return (struct sp_unwind_rule){(enum sp_unwind_rule_kind)(w & 7), (uint32_t)(w >> 4) & (SP_UNWIND_RULE_OFFSETS - 1),
                                   (uint32_t)(w >> 15) & (SP_UNWIND_RULE_SAVED - 1),
                                   (uint32_t)(w >> 23) & (SP_UNWIND_RULE_SAVED - 1), w & 8};
}

void sp_unwind_rule_keep(uintptr_t code, const struct sp_unwind_rule *r)
{
    if (code >> CODE_BITS || r->offset >= SP_UNWIND_RULE_OFFSETS || r->fp >= SP_UNWIND_RULE_SAVED ||
        r->second >= SP_UNWIND_RULE_SAVED)
        return;
    uint64_t rule = (uint64_t)r->kind | (r->is_return ? 8u : 0u) | r->offset << 4 | r->fp << 15 | (uint64_t)r->second << 23;
    sp_store_relaxed(place(code), code >> BITS << 31 | rule);
}

void sp_unwind_rules_forget(void)
{
    for (uint32_t i = 0; i < SP_ARRAY_LEN(table); i++)
        if (sp_load_relaxed(&table[i]))
            sp_store_relaxed(&table[i], 0);
}
