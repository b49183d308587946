/* SPDX-License-Identifier: MIT
 * Fuzz target: a hand-laid interpreter is walked while its frames hold anything: what the walker accepts must be sound,
 * and nothing is read that is not mapped. Changed are frames, the pointers to them, numbers in code objects, the task;
 * not what a thread state and a live object guarantee. Input: layout, then patches {place, kind, value}. */
#include <stdlib.h>

#include "tests/support/fake_python.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_PLACES 4096

static uintptr_t places[16][MAX_PLACES]; /* words that may hold anything */
static uint32_t n_places[16];

static void may_change(const struct sp_py_layout *l, uintptr_t from, size_t bytes)
{
    uint32_t *n = &n_places[l - sp_py_layouts];
    for (uintptr_t a = from; a + 8 <= from + bytes && *n < MAX_PLACES; a += 8)
        places[l - sp_py_layouts][(*n)++] = a;
}

static void list_places(const struct fake *f, const uintptr_t code[4], uintptr_t generator, uintptr_t task)
{
    const struct sp_py_layout *l = f->l;
    if (f->chunk)
        may_change(l, f->chunk + 24, f->top - f->chunk - 24);
    if (l->minor <= 10) { /* its chain is whole at every instruction: only where in the code a frame is may be wrong */
        for (uintptr_t frame = f->newest; frame; frame = sp_peek(frame + l->fr_previous))
            may_change(l, frame + l->fr_instr, 8);
        return;
    }
    for (uintptr_t frame = f->newest; frame; frame = sp_peek(frame + l->fr_previous))
        may_change(l, frame, l->fr_bytes);
    if (generator)
        may_change(l, generator, l->fr_bytes);
    may_change(l, f->tstate + l->ts_frame, 8);
    if (l->ts_root_cframe)
        may_change(l, f->cframe, 24);
    for (int i = 0; i < 4; i++) {
        may_change(l, (code[i] + l->co_flags) & ~7ul, 8);
        if (l->co_frame_words)
            may_change(l, (code[i] + l->co_frame_words) & ~7ul, 8);
        if (l->co_locals)
            may_change(l, (code[i] + l->co_locals) & ~7ul, 8);
        if (l->co_tlbc)
            may_change(l, code[i] + l->co_tlbc, 8);
    }
    if (task) {
        may_change(l, task, l->ob_type); /* not its type: that is read once it is known to be readable */
        may_change(l, task + l->ob_type + 8, l->task_bytes - l->ob_type - 8u);
    }
}

static struct fake build(const struct sp_py_layout *l)
{
    static struct fake kept[16];
    static uint8_t image[16][FAKE_BYTES];
    struct fake *f = &kept[l - sp_py_layouts];
    uint8_t *saved = image[l - sp_py_layouts];
    if (f->block) {
        memcpy((void *)f->block, saved, FAKE_BYTES);
    } else {
        *f = fake_new(l);
        uintptr_t code[4];
        for (int i = 0; i < 4; i++)
            code[i] = fake_code(f, i & 1 ? "qualified.name" : "n", "/some/where.py", 20, 3);
        fake_shim(f);
        fake_call(f, code[0], 1);
        fake_call(f, code[1], 2);
        uintptr_t generator = l->minor > 10 ? fake_alloc(f, 512) : 0, task = 0;
        if (generator)
            fake_frame(f, generator, code[2], 3, 1);
        fake_call(f, code[3], 4);
        if (l->ts_task) {
            uintptr_t type = fake_type(f, "_asyncio.Task", l->task_bytes, 0);
            task = fake_object(f, type, l->task_bytes);
            fake_put(task + l->task_name, fake_text(f, "a task"));
            fake_put(f->tstate + l->ts_task, task);
        }
        list_places(f, code, generator, task);
        memcpy(saved, (void *)f->block, FAKE_BYTES);
    }
    sp_py.layout = l;
    sp_py.ops = l->ops;
    sp_py.runtime = f->runtime;
    sp_py.code_type = f->code_type;
    sp_py.frame_type = f->frame_type;
    sp_py.str_type = f->str_type;
    sp_py.int_type = f->int_type;
    return *f;
}

static void check(const struct fake *f, const struct sp_py_walk *w)
{
    for (uint32_t i = 0; i < w->n; i++) {
        if (sp_peek(w->frames[i].code + f->l->ob_type) != f->code_type)
            abort();
        if (w->frames[i].offset < -2)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sp_py_frame frames[32];
    static char text[4160];
    if (size < 1 || !sp_os_probe_init())
        return 0;
    struct fake f = build(&sp_py_layouts[data[0] % sp_py_n_layouts]);
    /* A value is a small number, an address in the block, or eight bytes as they are. */
    for (size_t at = 1; at + 11 <= size; at += 11) {
        uint32_t which = data[0] % sp_py_n_layouts;
        uintptr_t place = places[which][(data[at] | (uint32_t)data[at + 1] << 8) % n_places[which]];
        uint64_t v;
        memcpy(&v, data + at + 3, 8);
        uintptr_t inside = f.objects + v % (f.block + FAKE_BYTES - f.objects);
        if (data[at + 2] & 1)
            v = inside;
        else if (data[at + 2] & 2)
            v &= 0xffff;
        else if (data[at + 2] & 4)
            v = inside & ~7ul;
        fake_put(place, v);
    }
    struct sp_py_walk w;
    static uint64_t pages[SP_PY_PAGES];
    memset(pages, 0, sizeof pages);
    w = (struct sp_py_walk){.frames = frames, .cap = 32, .pages = pages, .sp = f.block, .stack_top = f.block + FAKE_BYTES};
    if (sp_py.ops->walk(&sp_py, f.tstate, &w) == SP_PY_OK)
        check(&f, &w);
    sp_py_task_name(f.tstate, text, 256);
    return 0;
}
