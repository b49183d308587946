/* SPDX-License-Identifier: MIT
 * Unwind tables made by hand: right ones, cut ones, hostile ones. */
#include "tests/support/cfi.h"

#include <unistd.h>

#include "compat/cfi_read.h"
#include "compat/os.h"
#include "tests/support/unit.h"

#define RULE(kind, n) sp_cfi_rule_of(SP_CFI_##kind, n)
#define OF(number) rules.of[sp_unwind_kept(number)]

static struct sp_cfi cfi;
#define function cfi.function
#define rules cfi.rules

static bool rules_at(const struct cfi *c, uint32_t at)
{
    return sp_cfi_function_at(&function, &c->module, cfi_code(c, at)) == SP_CFI_FOUND &&
           sp_cfi_rules_at(&cfi, &c->module, cfi_code(c, at));
}

/* push rbp; mov rsp, rbp; ...; pop rbp; ret; and what is behind the return */
static const uint8_t usual[] = {0x41, 0x0e,         16, 0x80 | SP_UNWIND_FP, 2,    0x43, 0x0d, SP_UNWIND_FP, 0x02, 200, 0x0a,
                                0x0c, SP_UNWIND_SP, 8,  0xc0 | SP_UNWIND_FP, 0x41, 0x0b};

static struct cfi usual_image(void)
{
    struct cfi c = cfi_new(4000, 3);
    CHECK(sp_os_probe_init());
    cfi_common(&c, '\0');
    cfi_function(&c, 0, 16, "", 0);
    cfi_function(&c, 16, 300, usual, sizeof usual);
    cfi_function(&c, 400, 50, usual, sizeof usual);
    cfi_done(&c);
    return c;
}

static void each_instruction_has_its_rules(void)
{
    struct cfi c = usual_image();
    CHECK(rules_at(&c, 16));
    CHECK(rules.frame == RULE(IS, 8) && rules.frame_register == SP_UNWIND_SP && OF(SP_UNWIND_RETURN) == RULE(AT, -8));
    CHECK(OF(SP_UNWIND_FP) == RULE(SAME, 0));
    CHECK(rules_at(&c, 17) && rules.frame == RULE(IS, 16) && OF(SP_UNWIND_FP) == RULE(AT, -16));
    for (uint32_t at = 20; at < 220; at++)
        CHECK(rules_at(&c, at) && rules.frame == RULE(IS, 16) && rules.frame_register == SP_UNWIND_FP);
    CHECK(rules_at(&c, 220) && rules.frame == RULE(IS, 8) && rules.frame_register == SP_UNWIND_SP);
    CHECK(OF(SP_UNWIND_FP) == RULE(SAME, 0));
    CHECK(rules_at(&c, 221) && rules.frame_register == SP_UNWIND_FP && OF(SP_UNWIND_FP) == RULE(AT, -16));
    CHECK(rules_at(&c, 315));
}

static void functions_are_found(void)
{
    struct cfi c = usual_image();
    for (uint32_t at = 0; at < 500; at++) {
        bool is_there = at < 316 || (at >= 400 && at < 450);
        uint32_t start = at < 16 ? 0 : at < 316 ? 16 : 400;
        CHECK_EQ(sp_cfi_function_at(&function, &c.module, cfi_code(&c, at)), is_there ? SP_CFI_FOUND : SP_CFI_NONE);
        CHECK(!is_there || function.start == cfi_code(&c, start));
    }
    CHECK_EQ(sp_cfi_function_at(&function, &c.module, cfi_code(&c, 0) - 1), SP_CFI_NONE);
    CHECK_EQ(sp_cfi_function_at(&function, &c.module, 0), SP_CFI_NONE);
    CHECK_EQ(sp_cfi_function_at(&function, &c.module, UINTPTR_MAX), SP_CFI_NONE);
    c.module.unwind = 0;
    CHECK_EQ(sp_cfi_function_at(&function, &c.module, cfi_code(&c, 16)), SP_CFI_NONE);
}

static void all_register_rules(void)
{
    static const uint8_t program[] = {0x05, 12,   3,    0x07, 13,   0x08, 14,   0x09, 15, 1,    0x11,
                                      3,    0x7e, 0x2f, 6,    4, /* offsets, undefined, same, register */
                                      0x41, 0x14, 7,    2,    0x15, 12,   0x7f, 0x06, 13, 0x2e, 16, /* values, restored */
                                      0x41, 0x10, 3,    2,    0x76, 0,    0x16, 6,    2,  0x77, 8,
                                      0x0f, 3,    0x76, 0x78, 6, /* expressions */
                                      0x41, 0x12, 6,    0x7e, 0x13, 0x7d, 0x2d};
    struct cfi c = cfi_new(4000, 1);
    CHECK(sp_os_probe_init());
    cfi_common(&c, '\0');
    cfi_function(&c, 0, 10, program, sizeof program);
    cfi_done(&c);
    CHECK(rules_at(&c, 0) && OF(SP_UNWIND_FP) == (SP_UNWIND_FP == 6 ? RULE(AT, 32) : 0));
    if (SP_UNWIND_FP != 6) /* the numbers are x86-64's */
        return;
    CHECK(OF(12) == RULE(AT, -24) && OF(13) == RULE(UNDEFINED, 0) && OF(14) == 0 && OF(15) == RULE(REGISTER, 1));
    CHECK(OF(3) == RULE(AT, 16));
    CHECK(rules_at(&c, 1) && OF(7) == RULE(IS, -16) && OF(12) == RULE(IS, 8) && OF(13) == RULE(SAME, 0));
    CHECK(rules_at(&c, 2) && sp_cfi_kind_of(OF(3)) == SP_CFI_EXPRESSION && sp_cfi_kind_of(OF(6)) == SP_CFI_VALUE);
    CHECK(sp_cfi_kind_of(rules.frame) == SP_CFI_VALUE && !rules.is_signed);
    bool by_sp;
    int64_t offset;
    uint32_t plus;
    CHECK(sp_cfi_is_indirect(&c.module, (uintptr_t)sp_cfi_number_of(rules.frame), &by_sp, &offset, &plus));
    CHECK(!by_sp && offset == -8 && plus == 0);
    CHECK(sp_cfi_is_from_fp(&c.module, (uintptr_t)sp_cfi_number_of(OF(3)), &offset) && offset == 0);
    CHECK(!sp_cfi_is_from_fp(&c.module, (uintptr_t)sp_cfi_number_of(OF(6)), &offset));
    CHECK(rules_at(&c, 3) && rules.frame == RULE(IS, 24) && rules.frame_register == 6 && rules.is_signed);
}

/* ---- expressions */
static uintptr_t stack[8] = {1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007};

/* Whether it can be evaluated, and what to. */
static bool evaluates(const void *operations, size_t n, uintptr_t pc, uintptr_t *v)
{
    struct cfi c = cfi_new(4000, 0);
    struct sp_unwind_registers registers = {.known = SP_UNWIND_BIT(SP_UNWIND_SP) | SP_UNWIND_BIT(SP_UNWIND_PC)};
    struct sp_unwind_stack s = sp_unwind_stack_of((uintptr_t)stack, (uintptr_t)(stack + 8));
    registers.of[SP_UNWIND_SP] = (uintptr_t)stack;
    registers.of[SP_UNWIND_PC] = pc;
    CHECK(sp_os_probe_init());
    size_t at = c.n;
    cfi_u8(&c, (unsigned)n);
    cfi_bytes(&c, operations, n);
    cfi_done(&c);
    return sp_cfi_evaluate(&c.module, (uintptr_t)c.base + at, &registers, &s, NULL, v);
}
#define EVALUATES(v, ...) evaluates((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), 0, v)
#define BREG_SP (0x70 + SP_UNWIND_SP)

static void expressions(void)
{
    uintptr_t v;
    CHECK(EVALUATES(&v, BREG_SP, 16, 0x06, 0x23, 8) && v == 1002 + 8);
    CHECK(EVALUATES(&v, 0x08, 7, 0x34, 0x1c) && v == 3);
    CHECK(EVALUATES(&v, 0x34, 0x12, 0x1e, 0x0a, 0, 1, 0x22) && v == 16 + 256);
    CHECK(EVALUATES(&v, 0x31, 0x32, 0x16, 0x1c) && v == 1); /* swapped: 2 - 1 */
    CHECK(EVALUATES(&v, 0x31, 0x32, 0x14, 0x13, 0x13, 0x1f, 0x20) && v == 0);
    CHECK(EVALUATES(&v, 0x09, 0x80, 0x32, 0x26) && (intptr_t)v == -32);
    CHECK(EVALUATES(&v, 0x31, 0x08, 200, 0x24) && v == 0);
    CHECK(EVALUATES(&v, 0x31, 0x28, 1, 0, 0x30, 0x35) && v == 5);                         /* branches over the zero */
    CHECK(EVALUATES(&v, 0x30, 0x31, 0x22, 0x12, 0x35, 0x2e, 0x28, 0xf8, 0xff) && v == 5); /* a loop */
    CHECK(EVALUATES(&v, BREG_SP, 8, 0x94, 2) && v == 1001);
}

/* (rsp + 8) + (((rip & 15) >= 11) << 3): what linkers write for PLT entries. */
static void expression_of_a_plt(void)
{
    uintptr_t v;
    uint8_t plt[] = {BREG_SP, 8, 0x92, SP_UNWIND_PC, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22};
    CHECK(evaluates(plt, sizeof plt, 0x1230a, &v) && v == (uintptr_t)stack + 8);
    CHECK(evaluates(plt, sizeof plt, 0x1230b, &v) && v == (uintptr_t)stack + 16);
}

static void strange_expressions(void)
{
    uintptr_t v;
    uint8_t many[100];
    memset(many, 0x31, sizeof many);
    CHECK(!evaluates(many, sizeof many, 0, &v));   /* more than it has room for */
    CHECK(!EVALUATES(&v, 0x2f, 0xfd, 0xff));       /* without end */
    CHECK(!EVALUATES(&v, 0x2f, 0xf0, 0xff, 0x31)); /* to what is before it */
    CHECK(!EVALUATES(&v, 0x2f, 0x10, 0, 0x31));    /* behind it */
    CHECK(!EVALUATES(&v, 0x22) && !EVALUATES(&v, 0x31, 0x22) && !EVALUATES(&v, 0x13));
    CHECK(!EVALUATES(&v, 0x31, 0xe0) && !EVALUATES(&v, 0x0e, 1, 2));          /* unknown; cut off */
    CHECK(!EVALUATES(&v, 0x70, 0));                                           /* a register whose value is not known */
    CHECK(!EVALUATES(&v, 0x08, 8, 0x06) && !EVALUATES(&v, BREG_SP, 4, 0x06)); /* no stack there; between two words */
    CHECK(!EVALUATES(&v, 0x31, 0x15, 1) && !EVALUATES(&v, 0x31, 0x94, 9));
    CHECK(!evaluates("", 0, 0, &v));
}

/* ---- what is broken */
static void try_all(const struct cfi *c)
{
    for (uint32_t at = 0; at < 460; at += 3)
        rules_at(c, at);
}

static void a_cut_image_is_no_fault(void)
{
    struct cfi whole = usual_image(), c = whole;
    size_t n = whole.module.end - whole.module.start;
    for (size_t cut = 0; cut < n; cut++) { /* its end lies against the unreadable page */
        struct cfi small = cfi_new(4000, 0);
        c.base = small.base + small.cap - cut;
        memcpy(c.base, whole.base, cut);
        c.module = (struct sp_module){(uintptr_t)c.base, (uintptr_t)c.base + cut, (uintptr_t)c.base};
        try_all(&c);
        munmap(small.base, small.cap + CFI_PAGE);
        sp_pages_forget();
    }
}

static void changed_bytes_are_no_fault(void)
{
    struct cfi c = usual_image();
    for (uintptr_t at = c.module.start; at < c.module.end; at++) {
        uint8_t *p = (uint8_t *)at, was = *p;
        for (int v = 0; v < 256; v += v < 16 ? 1 : 7) {
            *p = (uint8_t)v;
            try_all(&c);
        }
        *p = was;
    }
    CHECK(rules_at(&c, 200));
}

static void what_is_said_and_cannot_be(void)
{
    static const struct {
        uint8_t program[8];
        size_t n;
    } strange[] = {
        {{0x0b}, 1}, /* taken back, and nothing was kept; more kept than there is room for; not known; longer than all */
        {{0x0a, 0x0a, 0x0a}, 3},
        {{0x3f}, 1},
        {{0x0f, 90}, 2},
        {{0x0e, 0x80, 0x80, 0x80, 0x80}, 5},
        {{0x0f, 2, 0x77, 0, 0x0e, 8}, 6}, /* an offset, a register for what is no register plus offset */
        {{0x0f, 1, 0x30, 0x0d, 7}, 5}};
    CHECK(sp_os_probe_init());
    for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        struct cfi c = cfi_new(4000, 1);
        cfi_common(&c, 'B');
        cfi_function(&c, 0, 10, strange[i].program, strange[i].n);
        for (size_t n = c.n; c.base[n - 1] == 0; n--) /* what filled it up is an operation, too */
            c.base[n - 1] = 0x3f;
        cfi_done(&c);
        CHECK_EQ(sp_cfi_function_at(&function, &c.module, cfi_code(&c, 5)), SP_CFI_FOUND);
        CHECK(!rules_at(&c, 5));
    }
}

/* A table that points into a hole of its library, as one that somebody damaged may. */
static void a_hole_is_no_fault(void)
{
    struct cfi c = usual_image();
    c.module.end += CFI_PAGE;
    int32_t into_the_hole = (int32_t)(c.module.end - 100 - c.module.start);
    memcpy(c.base + 12 + 8 + 4, &into_the_hole, 4);
    CHECK_EQ(sp_cfi_function_at(&function, &c.module, cfi_code(&c, 20)), SP_CFI_STRANGE);
    uint32_t many = 1000;
    memcpy(c.base + 8, &many, 4);
    c.module.end += 8000;
    CHECK_EQ(sp_cfi_function_at(&function, &c.module, cfi_code(&c, 20)), SP_CFI_NONE);
}

/* Of two gigabytes: distances of 31 bits both ways. */
static void a_large_module(void)
{
    size_t bytes = (2ul << 30) - 2 * CFI_CODE - 65536;
    struct cfi c = usual_image();
    uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(p != MAP_FAILED);
    size_t n = c.module.end - c.module.start, far = bytes - n;
    memcpy(p + far, c.base, n);
    for (uint32_t i = 0; i < 3; i++) { /* the entries at the beginning, the table at the end, the code behind the beginning */
        int32_t pair[2], entry, code;
        memcpy(pair, c.base + 12 + 8 * i, 8);
        entry = pair[1] - (int32_t)far;
        code = pair[0] - (int32_t)far;
        memcpy(p + far + 12 + 8 * i, &code, 4);
        memcpy(p + far + 16 + 8 * i, &entry, 4);
    }
    memcpy(p, c.base, n);
    c.base = p;
    c.module = (struct sp_module){(uintptr_t)p, (uintptr_t)p + bytes, (uintptr_t)p + far};
    CHECK(rules_at(&c, 100) && rules.frame_register == SP_UNWIND_FP);
}

static void long_programs_end(void)
{
    size_t n = 40ul << 20;
    uint8_t *nothing = calloc(1, n);
    struct cfi c = cfi_new(n + 4096, 1);
    CHECK(sp_os_probe_init());
    cfi_common(&c, '\0');
    cfi_function(&c, 0, 10, nothing, n);
    cfi_done(&c);
    for (int i = 0; i < 1000; i++) /* 40,000 million operations otherwise */
        CHECK(!rules_at(&c, 5));
}

static void numbers(void)
{
    static const uint8_t bytes[] = {0xe5, 0x8e, 0x26, 0x7f, 0x80, 0x7f, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
    struct cfi c = cfi_new(4000, 0);
    CHECK(sp_os_probe_init());
    size_t at = c.n;
    cfi_bytes(&c, bytes, sizeof bytes);
    cfi_done(&c);
    struct sp_reader r = sp_reader_of(&c.module, (uintptr_t)c.base + at, (uintptr_t)c.base + at + sizeof bytes);
    CHECK_EQ(sp_reader_uleb(&r), 624485);
    CHECK_EQ(sp_reader_sleb(&r), -1);
    CHECK_EQ(sp_reader_sleb(&r), -128);
    sp_reader_uleb(&r);
    CHECK(r.failed && !sp_reader_left(&r) && sp_reader_bytes(&r, 8) == 0);
    r = sp_reader_of(&c.module, c.module.start, c.module.end + 1);
    CHECK(r.failed && !sp_reader_left(&r));
}

const struct unit_case unit_cases[] = {
    {"each_instruction_has_its_rules", each_instruction_has_its_rules},
    {"functions_are_found", functions_are_found},
    {"all_register_rules", all_register_rules},
    {"expressions", expressions},
    {"expression_of_a_plt", expression_of_a_plt},
    {"strange_expressions", strange_expressions},
    {"a_cut_image_is_no_fault", a_cut_image_is_no_fault},
    {"changed_bytes_are_no_fault", changed_bytes_are_no_fault},
    {"what_is_said_and_cannot_be", what_is_said_and_cannot_be},
    {"a_hole_is_no_fault", a_hole_is_no_fault},
    {"a_large_module", a_large_module},
    {"long_programs_end", long_programs_end},
    {"numbers", numbers},
    {NULL, NULL},
};
