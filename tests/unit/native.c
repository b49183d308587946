/* SPDX-License-Identifier: MIT
 * Native frames put among Python frames, by stacks that are laid by hand: addresses of the C stack grow from leaf to root. */
#include "sampler/native.h"
#include "tests/support/region.h"
#include "tests/support/unit.h"

#define INTERPRETER 0x400000ul /* where its code is: 4 KB */
#define LIBRARY 0x700000ul
#define IN_PYTHON(n) (INTERPRETER + (n)) /* return addresses */
#define IN_LIBRARY(n) (LIBRARY + (n))

static struct sp_native native;
static struct sp_py_frame frames[64];
static struct sp_py_walk w;

/* A stack whose native frame i ends at 0x1000 * (i + 1). */
static void lay(uint32_t n_python, enum sp_unwind_end end, const uintptr_t *pcs, uint32_t n, const struct sp_py_loop *loops,
                uint32_t n_loops)
{
    sp_py.start = INTERPRETER;
    sp_py.end = INTERPRETER + 4096;
    w = (struct sp_py_walk){.frames = frames, .cap = 64, .n = n_python, .sp = 0x100, .n_loops = n_loops};
    for (uint32_t i = 0; i < n_python; i++)
        frames[i] = (struct sp_py_frame){.code = 8 * (i + 1)};
    for (uint32_t i = 0; i < n; i++)
        native.frames[i] = (struct sp_unwind_frame){pcs[i], 0x1000 * (i + 1ul)};
    for (uint32_t i = 0; i < n_loops; i++)
        native.loops[i] = loops[i];
    native.unwind.frames = native.frames;
    native.unwind.n_interrupted = 0;
    native.unwind.n = n;
    native.unwind.end = end;
}

/* The merged stack, leaf first: "p2" the second Python frame from the leaf, "l10" the library's code at 0x10, "i10" the
 * interpreter's, "?" what is not known. */
static const char *merged(enum sp_native_shown shown)
{
    static char text[512];
    uint32_t outermost = sp_native_merge(shown, &native, &w);
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < w.n; i++) {
        uintptr_t code = (uintptr_t)(frames[i].code >> 2);
        const char *before = i ? " " : "";
        if (!sp_native_is(&frames[i]))
            at += (size_t)snprintf(text + at, sizeof text - at, "%sp%u", before, (unsigned)frames[i].code / 8);
        else if (!code)
            at += (size_t)snprintf(text + at, sizeof text - at, "%s?", before);
        else
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%c%lx", before, code >= LIBRARY ? 'l' : 'i', code & 0xfff);
    }
    for (uint32_t i = outermost + 1; i < w.n; i++)
        CHECK(sp_native_is(&frames[i]));
    return text;
}

/* leaf in a library, called by a loop of two Python frames, called through the interpreter and a library by another loop */
static const uintptr_t pcs[] = {IN_LIBRARY(0x10), IN_PYTHON(0x21), IN_PYTHON(0x31), IN_PYTHON(0x41),
                                IN_LIBRARY(0x51), IN_PYTHON(0x61), IN_PYTHON(0x71)};
static const struct sp_py_loop loops[] = {{0x2800, 2}, {0x5800, 3}};

static void by_address(void)
{
    lay(3, SP_UNWIND_BOTTOM, pcs, 7, loops, 2);
    CHECK_STR(merged(SP_NATIVE_ON), "l10 i20 p1 p2 l50 p3");
    lay(3, SP_UNWIND_BOTTOM, pcs, 7, loops, 2);
    CHECK_STR(merged(SP_NATIVE_FULL), "l10 i20 p1 p2 i40 l50 p3 i70");
}

static void cut_short(void)
{
    lay(3, SP_UNWIND_NO_RULE, pcs, 5, loops, 2); /* the walk did not reach the outer loop */
    CHECK_STR(merged(SP_NATIVE_ON), "l10 i20 p1 p2 l50 ? p3");
    lay(3, SP_UNWIND_NO_MODULE, pcs, 1, loops, 2); /* that frame is the unknown one */
    CHECK_STR(merged(SP_NATIVE_ON), "l10 p1 p2 p3");
    lay(3, SP_UNWIND_NO_RULE, pcs, 3, loops, 2);
    CHECK_STR(merged(SP_NATIVE_ON), "l10 i20 p1 p2 p3");
    lay(2, SP_UNWIND_BOTTOM, pcs, 7, loops, 1); /* Python frames were cut: what stands rootward of them is not known */
    w.truncated = true;
    CHECK_STR(merged(SP_NATIVE_FULL), "l10 i20 p1 p2");
}

static void no_python(void)
{
    lay(0, SP_UNWIND_BOTTOM, pcs, 3, NULL, 0);
    CHECK_STR(merged(SP_NATIVE_ON), "l10 i20 i30");
    lay(0, SP_UNWIND_NO_RULE, pcs, 1, NULL, 0);
    CHECK_STR(merged(SP_NATIVE_ON), "l10 ?");
    lay(0, SP_UNWIND_CLOSING, pcs, 0, NULL, 0);
    CHECK_STR(merged(SP_NATIVE_ON), "");
}

/* 3.15: the outermost structure is none of the stack's. */
static void one_elsewhere(void)
{
    const struct sp_py_loop with[] = {loops[0], loops[1], {0x90000, 3}};
    lay(3, SP_UNWIND_BOTTOM, pcs, 7, with, 3);
    CHECK_STR(merged(SP_NATIVE_ON), "l10 i20 p1 p2 l50 p3");
    lay(3, SP_UNWIND_BOTTOM, pcs, 7, with, 3);
    CHECK_STR(merged(SP_NATIVE_FULL), "l10 i20 p1 p2 i40 l50 p3 i70");
}

/* Frames without a loop have no place. A loop that lies below the stack pointer has just returned. */
static void no_place(void)
{
    lay(3, SP_UNWIND_BOTTOM, pcs, 7, NULL, 0);
    CHECK_STR(merged(SP_NATIVE_ON), "p1 p2 p3");
    const struct sp_py_loop gone[] = {{0x80, 1}, {0x5800, 3}};
    lay(3, SP_UNWIND_BOTTOM, pcs, 7, gone, 2);
    CHECK_STR(merged(SP_NATIVE_FULL), "p1 l10 i20 i30 i40 l50 p2 p3 i70");
}

static void no_room(void)
{
    lay(3, SP_UNWIND_BOTTOM, pcs, 7, loops, 2);
    w.cap = 4;
    CHECK_STR(merged(SP_NATIVE_ON), "l10 i20 p1"); /* the leaf is kept, and the root cut */
    CHECK(w.truncated);
    lay(3, SP_UNWIND_BOTTOM, pcs, 7, loops, 2);
    w.cap = 3;
    CHECK_STR(merged(SP_NATIVE_ON), "l10 i20 p1");
    lay(0, SP_UNWIND_BOTTOM, pcs, 7, NULL, 0); /* more native frames than there is room for, and no others */
    w.cap = 2;
    CHECK_STR(merged(SP_NATIVE_FULL), "l10 i20");
    CHECK(w.truncated);
    const struct sp_py_loop one[] = {{0x2800, 1}};
    lay(1, SP_UNWIND_BOTTOM, pcs, 7, one, 1);
    w.cap = 5;
    CHECK_STR(merged(SP_NATIVE_FULL), "l10 i20 p1 i40 l50");
}

/* A handler's stack may lie above the one that was interrupted, and the instruction there is no call's. */
static void another_stack(void)
{
    lay(3, SP_UNWIND_BOTTOM, pcs, 7, loops, 2);
    w.sp = 0x90000;
    native.frames[0] = (struct sp_unwind_frame){IN_LIBRARY(0x80), 0x91000};
    native.frames[1] =
        (struct sp_unwind_frame){IN_LIBRARY(0x91), 0x100}; /* the kernel's: it ends at the interrupted stack pointer */
    native.frames[2] = (struct sp_unwind_frame){IN_LIBRARY(0xa0), 0x1000};
    native.frames[3] = (struct sp_unwind_frame){IN_PYTHON(0x31), 0x3000};
    native.frames[4] = (struct sp_unwind_frame){IN_LIBRARY(0x51), 0x5000};
    native.frames[5] = (struct sp_unwind_frame){IN_PYTHON(0x61), 0x6000};
    native.unwind.n = 6;
    native.unwind.interrupted[0] = 2;
    native.unwind.n_interrupted = 1;
    CHECK_STR(merged(SP_NATIVE_ON), "l80 l90 la0 p1 p2 l50 p3");
}

const struct unit_case unit_cases[] = {
    {"by_address", by_address}, {"cut_short", cut_short},         {"no_python", no_python},         {"no_place", no_place},
    {"no_room", no_room},       {"another_stack", another_stack}, {"one_elsewhere", one_elsewhere}, {NULL, NULL},
};
