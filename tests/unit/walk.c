/* SPDX-License-Identifier: MIT
 * The walkers over frames laid by hand, in every layout of the table: also in those of builds that nobody has. */
#include <unistd.h>

#include "compat/cpu.h"
#include "compat/py_walk.h"
#include "tests/support/fake_python.h"
#include "tests/support/unit.h"

#define EACH_LAYOUT(l) for (const struct sp_py_layout *l = sp_py_layouts; l < sp_py_layouts + sp_py_n_layouts; l++)

static struct sp_py_frame frames[64];
static struct sp_py_walk w;

static void check_text(uintptr_t str, const char *want)
{
    static char text[4160];
    uint32_t n = sp_py_text(str, text, 1024);
    text[n] = '\0';
    CHECK_STR(text, want);
}

static void a_stack(void)
{
    CHECK(sp_os_probe_init());
    EACH_LAYOUT(l)
    {
        struct fake f = fake_new(l);
        uintptr_t code[3] = {fake_code(&f, "main", "/m.py", 30, 3), fake_code(&f, "middle", "/m.py", 8, 5),
                             fake_code(&f, "leaf", "/l.py", 100, 0)};
        fake_shim(&f);
        for (uint32_t i = 0; i < 3; i++)
            fake_call(&f, code[i], 3 + i);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_OK);
        CHECK_EQ(w.n, 3);
        for (uint32_t i = 0; i < 3; i++) {
            CHECK_EQ(w.frames[i].code, code[2 - i]);
            CHECK_EQ(w.frames[i].offset, 2 * (3 + 2 - i));
        }
        struct sp_py_code c;
        CHECK(sp_py_code_read(code[2], &c));
        check_text(c.name, "leaf");
        check_text(c.file, "/l.py");
    }
}

static void a_generator_runs(void)
{
    CHECK(sp_os_probe_init());
    EACH_LAYOUT(l)
    {
        if (l->minor <= 10)
            continue;
        struct fake f = fake_new(l);
        uintptr_t caller = fake_code(&f, "caller", "/m.py", 30, 3), gen = fake_code(&f, "gen", "/m.py", 8, 5),
                  callee = fake_code(&f, "callee", "/m.py", 8, 5);
        fake_shim(&f);
        fake_call(&f, caller, 2);
        fake_frame(&f, fake_alloc(&f, 512) + l->fr_bytes, gen, 4, 1);
        fake_call(&f, callee, 1);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_OK);
        CHECK_EQ(w.n, 3);
        CHECK(w.frames[0].code == callee && w.frames[1].code == gen && w.frames[2].code == caller);
        CHECK_EQ(w.frames[1].offset, 8);
    }
}

/* 3.11, 3.12: a generator that runs calls a function. The new frame lies behind the generator's caller, and until its link
 * is stored it may point there: a chain that looks whole and lacks the generator. */
static void a_running_generator_is_not_skipped(void)
{
    CHECK(sp_os_probe_init());
    uint32_t layouts = 0;
    EACH_LAYOUT(l)
    {
        if (!l->ts_root_cframe)
            continue;
        layouts++;
        struct fake f = fake_new(l);
        uintptr_t caller = fake_code(&f, "caller", "/m.py", 30, 3), gen = fake_code(&f, "gen", "/m.py", 8, 5),
                  callee = fake_code(&f, "callee", "/m.py", 8, 5);
        fake_shim(&f);
        fake_call(&f, caller, 2);
        uintptr_t caller_frame = f.newest, outer = f.cframe, gen_frame = fake_alloc(&f, 512);
        f.cframe = fake_alloc(&f, 32); /* the generator's own evaluation loop */
        if (l->minor == 12)
            fake_shim(&f);
        fake_frame(&f, gen_frame, gen, 4, 1);
        if (l->fr_is_entry)
            *(uint8_t *)(gen_frame + l->fr_is_entry) = 1;
        fake_call(&f, callee, 0);
        uintptr_t leaf = f.newest;
        fake_put(leaf + l->fr_instr, callee + l->co_code - 2u); /* it has not begun */
        fake_put(f.cframe + l->cframe_frame + 8u, outer);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_OK);
        CHECK(w.n == 3 && w.frames[1].code == gen);
        fake_put(leaf + l->fr_previous, caller_frame);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_BAD_FRAME);
    }
    CHECK_EQ(layouts, 2);
}

/* 3.13 on: C() leaves a frame that is nobody's function. */
static void the_helper_of_a_constructor_is_skipped(void)
{
    CHECK(sp_os_probe_init());
    EACH_LAYOUT(l)
    {
        if (l->minor < 13)
            continue;
        struct fake f = fake_new(l);
        uintptr_t caller = fake_code(&f, "caller", "/m.py", 30, 3), helper = fake_code(&f, "__init__", "<shim>", 8, 5),
                  init = fake_code(&f, "C.__init__", "/m.py", 8, 5);
        fake_put32(helper + l->co_flags, 0x2000000);
        fake_shim(&f);
        fake_call(&f, caller, 2);
        fake_call(&f, helper, 2);
        fake_call(&f, init, 2);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_OK);
        CHECK_EQ(w.n, 2);
        CHECK(w.frames[0].code == init && w.frames[1].code == caller);
    }
}

/* Free-threaded builds from 3.14 on: each thread may run its own copy of a function's bytecode. */
static void copies_of_the_bytecode(void)
{
    CHECK(sp_os_probe_init());
    uint32_t layouts = 0;
    EACH_LAYOUT(l)
    {
        if (!l->co_tlbc)
            continue;
        layouts++;
        struct fake f = fake_new(l);
        uintptr_t outer = fake_code(&f, "outer", "/m.py", 30, 3), inner = fake_code(&f, "inner", "/m.py", 20, 3);
        uintptr_t copy = fake_alloc(&f, 40), copies = fake_alloc(&f, 64);
        fake_put(copies, 4); /* size; entry 1 was never made, entry 3 is another thread's */
        fake_put(copies + 8, inner + l->co_code);
        fake_put(copies + 8 + 2 * 8, copy);
        fake_put(copies + 8 + 3 * 8, fake_alloc(&f, 40));
        fake_put(inner + l->co_tlbc, copies);
        fake_shim(&f);
        fake_call(&f, outer, 7);
        fake_call(&f, inner, 0);
        uintptr_t frame = f.newest;

        /* the first copy is the code object's own */
        fake_put(frame + l->fr_instr, inner + l->co_code + 2 * 5);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_OK);
        CHECK(w.n == 2 && w.frames[0].offset == 10 && w.frames[1].offset == 14);
        /* another one */
        fake_put32(frame + l->fr_tlbc, 2);
        fake_put(frame + l->fr_instr, copy + 2 * 19);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_OK);
        CHECK(w.n == 2 && w.frames[0].code == inner && w.frames[0].offset == 38 && w.frames[1].offset == 14);
        /* the instruction is not in that copy; no such copy; past the array; no array */
        fake_put(frame + l->fr_instr, copy + 2 * 20);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_BAD_CODE);
        fake_put(frame + l->fr_instr, inner + l->co_code + 2 * 5);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_BAD_CODE);
        fake_put(frame + l->fr_instr, copy + 2 * 5);
        for (uint32_t bad = 1; bad < 6; bad++) {
            fake_put32(frame + l->fr_tlbc, bad == 2 ? 0x7fffffff : bad);
            CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_BAD_CODE);
        }
        fake_put32(frame + l->fr_tlbc, 2);
        for (int bad = 0; bad < 3; bad++) {
            fake_put(inner + l->co_tlbc, bad == 0 ? 0 : bad == 1 ? copies + 4 : 0x7f0000000000);
            CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_BAD_CODE);
        }
    }
    CHECK(layouts >= 2);
}

/* Nobody hears when the code of a frame beyond the cut dies: its page is asked for again each time. */
static void a_cut_stack_vouches_for_its_frames_only(void)
{
    CHECK(sp_os_probe_init());
    EACH_LAYOUT(l)
    {
        struct fake f = fake_new(l);
        uintptr_t code[3], pages = 0;
        for (uint32_t i = 0; i < 3; i++) {
            f.used = (f.used + 4095) & ~(size_t)4095; /* each on a page of its own */
            code[i] = fake_code(&f, "f", "/m.py", 30, 3);
        }
        fake_shim(&f);
        for (uint32_t i = 0; i < 3; i++)
            fake_call(&f, code[i], 3);
        CHECK_EQ(fake_walk(&f, &w, frames, 2), SP_PY_OK);
        CHECK(w.truncated && w.n == 2);
        for (uint32_t i = 0; i < SP_PY_PAGES; i++) {
            pages += w.pages[i] != 0;
            CHECK(w.pages[i] == 0 || w.pages[i] == code[1] >> 12 || w.pages[i] == code[2] >> 12);
        }
        CHECK_EQ(pages, 2);
    }
}

static void high_addresses_are_plausible(void)
{
    CHECK(sp_py_plausible(1ul << 47) && sp_py_plausible((1ul << SP_CPU_USER_BITS) - 8192));
    CHECK(!sp_py_plausible(1ul << SP_CPU_USER_BITS) && !sp_py_plausible(~0ul - 4095) && !sp_py_plausible(8));
    CHECK(!sp_py_plausible((1ul << 47) + 4));
#ifdef __aarch64__
    CHECK(sp_py_plausible(0xb4ul << 56 | 1ul << 47) && !sp_py_plausible(0xb4ul << 56 | 8)); /* an allocator's tag above */
#endif
}

/* A frame as Nuitka makes them: an object of a type that it derived from CPython's, owned as a generator's is. */
static uintptr_t compiled_frame(struct fake *f, uintptr_t type, uintptr_t code, uint32_t unit)
{
    const struct sp_py_layout *l = f->l;
    uintptr_t at = fake_alloc(f, 512) + l->fr_bytes, object = fake_object(f, type, 512);
    if (l->minor <= 10)
        fake_put(at + l->ob_type, type);
    else
        fake_put(at + (l->minor == 11 ? l->fr_previous : l->fr_instr) - 8u, object);
    fake_frame(f, at, code, unit, 1);
    if (l->minor <= 10)
        fake_put(at + l->ob_type, type);
    if (l->fr_is_entry)
        *(uint8_t *)(at + l->fr_is_entry) = 0;
    return at;
}

/* A compiled main program: its frames hang on the thread state itself, and no evaluation loop is below them. */
static void frames_of_a_compiler(void)
{
    CHECK(sp_os_probe_init());
    EACH_LAYOUT(l)
    {
        struct fake f = fake_new(l);
        uintptr_t module = fake_code(&f, "<module>", "/m.py", 30, 3), spin = fake_code(&f, "spin", "/m.py", 8, 5);
        uintptr_t own = fake_type(&f, "compiled_frame", 400, f.frame_type), other = fake_type(&f, "frame?", 400, 0);
        if (l->ts_root_cframe)
            f.cframe = f.tstate + l->ts_root_cframe;
        if (l->ts_chunk)
            fake_put(f.tstate + l->ts_chunk + 8u, f.top);
        compiled_frame(&f, own, module, 3);
        uintptr_t leaf = compiled_frame(&f, own, spin, 2);
        if (l->ts_root_cframe)
            fake_put(f.cframe + l->cframe_frame + 8u, 0);
        CHECK_EQ(fake_walk(&f, &w, frames, 64), SP_PY_OK);
        CHECK(w.n == 2 && w.frames[0].code == spin && w.frames[1].code == module);
        CHECK_EQ(w.headless, l->minor > 10); /* before, such a frame is as good as any */
        /* a type that has nothing to do with frames */
        fake_put(l->minor <= 10 ? leaf + l->ob_type
                                : sp_peek(leaf + l->fr_previous) + (l->minor == 11 ? l->fr_previous : l->fr_instr) - 8u,
                 l->minor <= 10 ? other : fake_object(&f, other, 64));
        CHECK_EQ(fake_walk(&f, &w, frames, 64), l->minor <= 10 ? SP_PY_BAD_FRAME : SP_PY_BAD_BOTTOM);
    }
}

static void dead_stack_is_below_on_the_own_stack(void)
{
    const uintptr_t top = 0x7f0000800000, far = 0x7f0001000000;
    w = (struct sp_py_walk){.sp = top - 4096, .stack_top = top};
    CHECK(sp_py_is_dead_stack(&w, top - 8192) && !sp_py_is_dead_stack(&w, top - 2048));
    CHECK(!sp_py_is_dead_stack(&w, far) && !sp_py_is_dead_stack(&w, top - (64ul << 20))); /* fibres that wait */
    w.sp = far;                                                                           /* a fibre that runs */
    CHECK(!sp_py_is_dead_stack(&w, top - 8192) && !sp_py_is_dead_stack(&w, far - (4ul << 20)));
    w.stack_top = 0; /* not known */
    CHECK(sp_py_is_dead_stack(&w, far - 8) && !sp_py_is_dead_stack(&w, far + 8));
}

static void strings_of_every_kind(void)
{
    CHECK(sp_os_probe_init());
    EACH_LAYOUT(l)
    {
        struct fake f = fake_new(l);
        check_text(fake_str(&f, "caf\xe9", 4, 1, false), "caf\xc3\xa9");
        check_text(fake_str(&f, (const uint16_t[]){0x3b1, 0x62, 0xdc80}, 3, 2, false), "\xce\xb1"
                                                                                       "b\\x80");
        check_text(fake_str(&f, (const uint32_t[]){0x1f40d, 0}, 2, 4, false), "\xf0\x9f\x90\x8d\xe2\x90\x80");
        uintptr_t legacy = fake_text(&f, "x");
        fake_put32(legacy + l->uni_state, 0);
        check_text(legacy, "");
    }
}

/* ---- recognition, by symbols that are there or not */
static struct fake probed;
static const char *version;
static bool has_trace_refs;

static const char *get_version(void)
{
    return version;
}

static void *lookup(void *handle, const char *symbol)
{
    (void)handle;
    if (strcmp(symbol, "Py_GetVersion") == 0)
        return (void *)(uintptr_t)get_version;
    if (strcmp(symbol, "_PyRuntime") == 0)
        return (void *)probed.runtime;
    if (strcmp(symbol, "PyType_Type") == 0) /* behind two more words in a build with trace-refs */
        return (void *)(probed.type_type + (has_trace_refs ? 16 : 0));
    return (void *)probed.code_type;
}

static void which_builds_are_accepted(void)
{
    probed = fake_new(sp_py_layout_for(11, false));
    version = "3.11.99 (main)"; /* newer than any release that was looked at: no field has moved within 3.11 */
    CHECK(sp_py_probe(lookup, NULL) && sp_py.layout && sp_py.minor == 11);
    has_trace_refs = true;
    CHECK(sp_py_probe(lookup, NULL) && !sp_py.layout && strstr(sp_py.why, "trace-refs"));
    has_trace_refs = false;
    version = "3.13.99 (main)"; /* this one would describe itself */
    CHECK(sp_py_probe(lookup, NULL) && !sp_py.layout && strstr(sp_py.why, "description"));
    version = "3.99.0a1+ (main)";
    CHECK(sp_py_probe(lookup, NULL) && !sp_py.layout && strstr(sp_py.why, "not known"));
    version = "2.7.18";
    CHECK(sp_py_probe(lookup, NULL) && !sp_py.layout && strstr(sp_py.why, "older"));
}

/* The wait entry of CPython's parking lot on the waiting thread's stack, and near it what it parks with. */
struct parked {
    uint64_t park_arg, addr, sema[4], fair_ns, handed_off;
    char top[16];
};

static enum sp_py_wait waits_for(uintptr_t tstate, struct parked *p, uintptr_t stack_top)
{
    const struct sp_py_wait_at at = {(uintptr_t)p->sema, (uintptr_t)p - 64, stack_top, 7 * SP_NS_PER_S};
    return sp_py_wait_of(tstate, &at);
}

static void what_a_thread_parks_for(void)
{
    static uint64_t world[4];
    CHECK(sp_os_probe_init());
    EACH_LAYOUT(l)
    {
        struct fake f = fake_new(l);
        sp_py.layout = l;
        struct parked p = {.fair_ns = 7 * SP_NS_PER_S + 900000};
        uintptr_t top = (uintptr_t)&p + sizeof p;
        bool ft = l->free_threaded;
        p.addr = (uintptr_t)world + 4;
        CHECK_EQ(waits_for(f.tstate, &p, top), SP_PY_WAIT_OTHER); /* an event */
        p.park_arg = (uintptr_t)&p.fair_ns;
        p.addr = 0x7f0000000020; /* a lock of the program's */
        CHECK_EQ(waits_for(f.tstate, &p, top), SP_PY_WAIT_OTHER);
        p.addr = 0x7f000000002a; /* an object's */
        CHECK_EQ(waits_for(f.tstate, &p, top), ft ? SP_PY_WAIT_MUTEX : SP_PY_WAIT_OTHER);
        CHECK_EQ(waits_for(f.tstate, &p, (uintptr_t)&p.handed_off), SP_PY_WAIT_OTHER); /* on no stack of its own */
        p.fair_ns += SP_NS_PER_S;
        CHECK_EQ(waits_for(f.tstate, &p, top), SP_PY_WAIT_OTHER);
        p.park_arg = 0;
        p.addr = (uintptr_t)world + 4;
        world[2] = f.tstate; /* requester of the stop */
        CHECK_EQ(waits_for(f.tstate, &p, top), ft ? SP_PY_WAIT_STOPS : SP_PY_WAIT_OTHER);
        world[2] += 8;
        CHECK_EQ(waits_for(f.tstate, &p, top), SP_PY_WAIT_OTHER);
        p.addr = ft ? sp_py_state_at(f.tstate) : 0;
        CHECK_EQ(waits_for(f.tstate, &p, top), ft ? SP_PY_WAIT_STOPPED : SP_PY_WAIT_OTHER);
        p.addr = 8; /* nothing can be read there */
        CHECK_EQ(waits_for(f.tstate, &p, top), SP_PY_WAIT_OTHER);
        p.addr = 12;
        CHECK_EQ(waits_for(f.tstate, &p, top), SP_PY_WAIT_OTHER);
    }
}

const struct unit_case unit_cases[] = {
    {"a_stack", a_stack},
    {"a_generator_runs", a_generator_runs},
    {"a_running_generator_is_not_skipped", a_running_generator_is_not_skipped},
    {"the_helper_of_a_constructor_is_skipped", the_helper_of_a_constructor_is_skipped},
    {"copies_of_the_bytecode", copies_of_the_bytecode},
    {"a_cut_stack_vouches_for_its_frames_only", a_cut_stack_vouches_for_its_frames_only},
    {"high_addresses_are_plausible", high_addresses_are_plausible},
    {"frames_of_a_compiler", frames_of_a_compiler},
    {"dead_stack_is_below_on_the_own_stack", dead_stack_is_below_on_the_own_stack},
    {"strings_of_every_kind", strings_of_every_kind},
    {"what_a_thread_parks_for", what_a_thread_parks_for},
    {"which_builds_are_accepted", which_builds_are_accepted},
    {NULL, NULL},
};
