/* SPDX-License-Identifier: MIT
 * Fuzz target: unwind tables that hold anything. Nothing outside them is read, and every program ends. Input: the kind of image, where
 * in the code, bytes of the image: whole, or of one function's program, or of an expression. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "compat/cfi.h"
#include "compat/os.h"
#include "compat/pages.h"
#include "compat/unwind.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum kind { WHOLE, FUNCTION, COMMON, EXPRESSION, KINDS };

#define CODE 0x10000 /* behind the image's beginning */

static uintptr_t *words; /* a stack, in pages of its own: AddressSanitizer knows nothing of its neighbours */
static struct sp_cfi cfi;

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, 4);
}

/* A table of one function, its common entry, its own; one of their programs is the input. */
static size_t build(uint8_t *p, enum kind kind, const uint8_t *data, size_t n)
{
    static const uint8_t header[] = {1, 0x1b, 3, 0x3b, 0, 0, 0, 0, 1, 0, 0, 0},
                         common[] = {
                             0, 0, 0, 0, 0, 0, 0, 0, 1, 'z', 'R', 0, 1, 0x78, SP_UNWIND_RETURN, 1, 0x1b, 0x0c, SP_UNWIND_SP, 8};
    size_t of_common = kind == COMMON ? n : 0, of_own = kind == FUNCTION ? n : 0, own = 20 + sizeof common + of_common;
    memcpy(p, header, sizeof header);
    put32(p + 12, CODE);
    put32(p + 16, (uint32_t)own);
    memcpy(p + 20, common, sizeof common);
    put32(p + 20, (uint32_t)(sizeof common - 4 + of_common));
    memcpy(p + 20 + sizeof common, data, of_common);
    put32(p + own, (uint32_t)(13 + of_own));
    put32(p + own + 4, (uint32_t)(own + 4 - 20));
    put32(p + own + 8, (uint32_t)(CODE - own - 8));
    put32(p + own + 12, 1000);
    p[own + 16] = 0;
    memcpy(p + own + 17, data, of_own);
    return own + 17 + of_own;
}

static void evaluate(const struct sp_module *m, uintptr_t at)
{
    struct sp_unwind_registers registers = {.known = SP_UNWIND_ALL};
    struct sp_unwind_stack stack = sp_unwind_stack_of((uintptr_t)words, (uintptr_t)(words + 32));
    uintptr_t v, frame = (uintptr_t)(words + 8);
    for (uint32_t i = 0; i < SP_UNWIND_REGISTERS; i++)
        registers.of[i] = (uintptr_t)(words + i);
    sp_cfi_evaluate(m, at, &registers, &stack, &frame, &v);
}

static void try(const struct sp_module *m, uintptr_t pc)
{
    bool by_sp;
    int64_t offset;
    uint32_t plus;
    if (sp_cfi_function_at(&cfi.function, m, pc) != SP_CFI_FOUND || !sp_cfi_rules_at(&cfi, m, pc))
        return;
    if (pc < cfi.function.start || pc >= cfi.function.end)
        abort();
    for (uint32_t i = 0; i < SP_UNWIND_KEPT; i++)
        if (sp_cfi_kind_of(cfi.rules.of[i]) >= SP_CFI_EXPRESSION) {
            evaluate(m, (uintptr_t)sp_cfi_number_of(cfi.rules.of[i]));
            sp_cfi_is_from_fp(m, (uintptr_t)sp_cfi_number_of(cfi.rules.of[i]), &offset);
        }
    if (sp_cfi_kind_of(cfi.rules.frame) == SP_CFI_VALUE) {
        evaluate(m, (uintptr_t)sp_cfi_number_of(cfi.rules.frame));
        sp_cfi_is_indirect(m, (uintptr_t)sp_cfi_number_of(cfi.rules.frame), &by_sp, &offset, &plus);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) {
        words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ready = words != MAP_FAILED && sp_os_probe_init();
    }
    if (size < 4 || !ready)
        return 0;
    enum kind kind = (enum kind)(data[0] % KINDS);
    uint32_t in_code = data[1] | (uint32_t)(data[2] & 3) << 8;
    uint8_t *p = malloc(size + 128); /* copied to one of its size then: what reads past that is caught */
    size_t n = size - 3;
    if (kind == WHOLE || kind == EXPRESSION) {
        memcpy(p, data + 3, n);
        if (kind == WHOLE && n >= 4)
            memcpy(p, "\x01\x1b\x03\x3b", 4);
    } else {
        n = build(p, kind, data + 3, n);
    }
    uint8_t *image = malloc(n);
    memcpy(image, p, n);
    free(p);
    struct sp_module m = {(uintptr_t)image, (uintptr_t)image + n, (uintptr_t)image};
    if (kind == EXPRESSION)
        evaluate(&m, m.start);
    else
        try(&m, m.start + CODE + in_code);
    if (kind == WHOLE)
        for (uintptr_t i = 12; i + 4 <= n && i < 60; i += 8) { /* where its table says that functions begin */
            int32_t at;
            memcpy(&at, image + i, 4);
            try(&m, m.start + (uintptr_t)(intptr_t)at);
        }
    free(image);
    return 0;
}
