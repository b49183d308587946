/* SPDX-License-Identifier: MIT
 * See unwind_rules.h. */
#include "compat/unwind_rules.h"

/* What lies higher is not kept: five levels of page tables on x86-64, 52 bits on aarch64, where the program asked for it. */
#define CODE_BITS (47 + SP_CPU_CODE_ALIGN)

/* Threads: any; a cell holds a whole rule and what it is of. */
uint64_t sp_unwind_rule_cells[SP_UNWIND_RULE_CELLS];

void sp_unwind_rule_keep(uintptr_t code, const struct sp_unwind_rule *r)
{
    if (code >> CODE_BITS || r->offset >= SP_UNWIND_RULE_OFFSETS || r->fp >= SP_UNWIND_RULE_SAVED ||
        r->second >= SP_UNWIND_RULE_SAVED)
        return;
    uint64_t rule = (uint64_t)r->kind | (r->is_return ? 8u : 0u) | r->offset << 4 | r->fp << 15 | (uint64_t)r->second << 23;
    sp_store_relaxed(&sp_unwind_rule_cells[sp_unwind_rule_cell(code)], sp_unwind_rule_upper(code) << 31 | rule);
}

void sp_unwind_rules_forget(void)
{
    for (uint32_t i = 0; i < SP_UNWIND_RULE_CELLS; i++)
        if (sp_load_relaxed(&sp_unwind_rule_cells[i]))
            sp_store_relaxed(&sp_unwind_rule_cells[i], 0);
}
