/* SPDX-License-Identifier: MIT
 * See cfi.h: the stack machine of DWARF's expressions (DWARF 5, 2.5), as far as unwind tables use it. */
#include "compat/cfi.h"
#include "compat/cfi_read.h"

#define SLOTS 16
#define MOST_OPERATIONS 256 /* they can branch backwards */

struct machine {
    struct sp_reader r;
    const struct sp_unwind_registers *registers;
    struct sp_unwind_stack *stack;
    uintptr_t begin;
    uint32_t n;
    bool strange;
    uintptr_t slot[SLOTS];
};

SP_SIGSAFE static void push(struct machine *m, uintptr_t v)
{
    if (m->n == SLOTS)
        m->strange = true;
    else
        m->slot[m->n++] = v;
}

SP_SIGSAFE static uintptr_t pop(struct machine *m)
{
    if (m->n)
        return m->slot[--m->n];
    m->strange = true;
    return 0;
}

SP_SIGSAFE static void push_register(struct machine *m, uint64_t number)
{
    int64_t offset = sp_reader_sleb(&m->r);
    uintptr_t v = 0;
    m->strange |= !sp_unwind_get(m->registers, number, &v);
    push(m, v + (uintptr_t)offset);
}

SP_SIGSAFE static void push_memory(struct machine *m, uint32_t bytes)
{
    uintptr_t address = pop(m), v = 0;
    if (m->strange || !sp_unwind_word(m->stack, address, &v) || bytes == 0 || bytes > 8)
        m->strange = true;
    push(m, bytes == 8 ? v : v & ((1ul << (bytes & 7) * 8) - 1));
}

/* So many from the top. */
SP_SIGSAFE static void push_copy(struct machine *m, uint32_t i)
{
    if (i >= m->n)
        m->strange = true;
    else
        push(m, m->slot[m->n - 1 - i]);
}

SP_SIGSAFE static void branch(struct machine *m, bool taken)
{
    int64_t by = (int16_t)sp_reader_bytes(&m->r, 2);
    uintptr_t to = m->r.at + (uintptr_t)by;
    if (!taken)
        return;
    if (to < m->begin || to > m->r.end)
        m->strange = true;
    else
        m->r.at = m->r.known = to; /* a page may have been passed over */
}

/* Constants and copies; false: it is another's. */
SP_SIGSAFE static bool push_operation(struct machine *m, uint8_t op)
{
    struct sp_reader *r = &m->r;
    switch (op) {
    case 0x03:
    case 0x0e:
    case 0x0f: push(m, (uintptr_t)sp_reader_bytes(r, 8)); return true;
    case 0x08: push(m, sp_reader_u8(r)); return true;
    case 0x09: push(m, (uintptr_t)(intptr_t)(int8_t)sp_reader_u8(r)); return true;
    case 0x0a: push(m, (uintptr_t)sp_reader_bytes(r, 2)); return true;
    case 0x0b: push(m, (uintptr_t)(intptr_t)(int16_t)sp_reader_bytes(r, 2)); return true;
    case 0x0c: push(m, sp_reader_u32(r)); return true;
    case 0x0d: push(m, (uintptr_t)(intptr_t)(int32_t)sp_reader_u32(r)); return true;
    case 0x10: push(m, (uintptr_t)sp_reader_uleb(r)); return true;
    case 0x11: push(m, (uintptr_t)sp_reader_sleb(r)); return true;
    case 0x12: push_copy(m, 0); return true;
    case 0x14: push_copy(m, 1); return true;
    case 0x15: push_copy(m, sp_reader_u8(r)); return true;
    case 0x92: push_register(m, sp_reader_uleb(r)); return true;
    default: return false;
    }
}

SP_SIGSAFE static bool compare(uint8_t op, intptr_t a, intptr_t b)
{
    switch (op) {
    case 0x29: return a == b;
    case 0x2a: return a >= b;
    case 0x2b: return a > b;
    case 0x2c: return a <= b;
    case 0x2d: return a < b;
    default: return a != b;
    }
}

SP_SIGSAFE static uintptr_t shifted(uint8_t op, uintptr_t a, uintptr_t by)
{
    if (by > 63)
        return op == 0x26 && (intptr_t)a < 0 ? ~0ul : 0;
    return op == 0x24 ? a << by : op == 0x25 ? a >> by : (uintptr_t)((intptr_t)a >> by);
}

/* Operations on the two topmost. */
SP_SIGSAFE static void binary_operation(struct machine *m, uint8_t op)
{
    uintptr_t b = pop(m), a = pop(m), v = 0;
    switch (op) {
    case 0x16: push(m, b), v = a; break; /* swaps */
    case 0x1a: v = a & b; break;
    case 0x1c: v = a - b; break;
    case 0x1e: v = a * b; break;
    case 0x21: v = a | b; break;
    case 0x22: v = a + b; break;
    case 0x24:
    case 0x25:
    case 0x26: v = shifted(op, a, b); break;
    case 0x27: v = a ^ b; break;
    case 0x29:
    case 0x2a:
    case 0x2b:
    case 0x2c:
    case 0x2d:
    case 0x2e: v = compare(op, (intptr_t)a, (intptr_t)b); break;
    default: m->strange = true;
    }
    push(m, v);
}

SP_SIGSAFE static void expression_operation(struct machine *m)
{
    uint8_t op = sp_reader_u8(&m->r);
    if (op >= 0x30 && op <= 0x4f) { /* a small number */
        push(m, op - 0x30u);
    } else if (op >= 0x70 && op <= 0x8f) {
        push_register(m, op - 0x70u);
    } else if (!push_operation(m, op)) {
        switch (op) {
        case 0x06: push_memory(m, 8); break;
        case 0x94: push_memory(m, sp_reader_u8(&m->r)); break;
        case 0x13: pop(m); break;
        case 0x1f: push(m, 0 - pop(m)); break;
        case 0x20: push(m, ~pop(m)); break;
        case 0x23: push(m, pop(m) + (uintptr_t)sp_reader_uleb(&m->r)); break;
        case 0x28: branch(m, pop(m) != 0); break;
        case 0x2f: branch(m, true); break;
        case 0x96: break;
        default: binary_operation(m, op);
        }
    }
}

bool sp_cfi_evaluate(const struct sp_module *module, uintptr_t at, const struct sp_unwind_registers *registers,
                     struct sp_unwind_stack *stack, const uintptr_t *frame, uintptr_t *result)
{
    struct machine m;
    m.r = sp_reader_of(module, at, module->end);
    uint64_t bytes = sp_reader_uleb(&m.r);
    if (m.r.failed || bytes > m.r.end - m.r.at)
        return false;
    m.r.end = m.r.at + (uintptr_t)bytes;
    m.r.known = m.begin = m.r.at;
    m.registers = registers;
    m.stack = stack;
    m.n = 0;
    m.strange = false;
    if (frame)
        push(&m, *frame);
    for (uint32_t i = 0; sp_reader_left(&m.r) && !m.strange; i++) {
        if (i == MOST_OPERATIONS)
            return false;
        expression_operation(&m);
    }
    if (m.strange || m.r.failed || !m.n)
        return false;
    *result = m.slot[m.n - 1];
    return true;
}

/* ---- those that are recognised: a register plus an offset comes first */
SP_SIGSAFE static bool open_based(struct sp_reader *r, const struct sp_module *m, uintptr_t at, uint32_t *number,
                                  int64_t *offset)
{
    *r = sp_reader_of(m, at, m->end);
    uint64_t bytes = sp_reader_uleb(r);
    if (r->failed || bytes > r->end - r->at)
        return false;
    *r = sp_reader_of(m, r->at, r->at + (uintptr_t)bytes);
    *number = sp_reader_u8(r) - 0x70u;
    *offset = sp_reader_sleb(r);
    return !r->failed;
}

bool sp_cfi_is_indirect(const struct sp_module *m, uintptr_t at, bool *by_sp, int64_t *offset, uint32_t *plus)
{
    struct sp_reader r;
    uint32_t number;
    if (!open_based(&r, m, at, &number, offset) || (number != SP_UNWIND_SP && number != SP_UNWIND_FP) ||
        sp_reader_u8(&r) != 0x06)
        return false;
    *by_sp = number == SP_UNWIND_SP;
    *plus = 0;
    if (sp_reader_left(&r)) {
        *plus = 8;
        if (sp_reader_u8(&r) != 0x23 || sp_reader_uleb(&r) != 8)
            return false;
    }
    return !r.failed && !sp_reader_left(&r);
}

bool sp_cfi_is_from_fp(const struct sp_module *m, uintptr_t at, int64_t *offset)
{
    struct sp_reader r;
    uint32_t number;
    return open_based(&r, m, at, &number, offset) && number == SP_UNWIND_FP && !sp_reader_left(&r);
}
