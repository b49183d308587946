/* SPDX-License-Identifier: MIT
 * A CPython laid by hand, for builds that cannot be had and for stacks that no interpreter makes: a runtime, one thread
 * state and its frames, in one block of memory, by the offsets of a row of compat/py_layouts.c. */
#ifndef SP_TESTS_FAKE_PYTHON_H
#define SP_TESTS_FAKE_PYTHON_H

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "compat/os.h"
#include "compat/py.h"

#define FAKE_BYTES (256u << 10)
#define FAKE_CHUNK_BYTES 16384u

struct fake {
    const struct sp_py_layout *l;
    uintptr_t block, used, objects; /* objects: the first behind runtime, thread state and types */
    uintptr_t runtime, interp, tstate, type_type, code_type, frame_type, str_type, int_type;
    uintptr_t chunk, top; /* data stack: the chunk, the next frame's place */
    uintptr_t newest;     /* frame */
    uintptr_t cframe;     /* 3.11, 3.12 */
};

static inline uintptr_t fake_alloc(struct fake *f, size_t bytes)
{
    uintptr_t at = f->block + f->used;
    f->used += (bytes + 15) & ~(size_t)15;
    return at;
}

static inline void fake_put(uintptr_t at, uint64_t v)
{
    memcpy((void *)at, &v, 8);
}

static inline void fake_put32(uintptr_t at, uint32_t v)
{
    memcpy((void *)at, &v, 4);
}

static inline uintptr_t fake_object(struct fake *f, uintptr_t type, size_t bytes)
{
    uintptr_t at = fake_alloc(f, bytes);
    fake_put(at + f->l->ob_type, type);
    return at;
}

/* A type; name: tp_name, NULL for one that nobody asks for its name. */
static inline uintptr_t fake_type(struct fake *f, const char *name, uint64_t basic_size, uintptr_t base)
{
    uintptr_t at = fake_object(f, f->type_type, 512);
    fake_put(at + f->l->tp_dealloc - 24u, (uintptr_t)name);
    fake_put(at + f->l->tp_dealloc - 16u, basic_size);
    fake_put(at + f->l->tp_dealloc + 208u, base);
    return at;
}

/* A str of `length` characters of `kind` bytes each. */
static inline uintptr_t fake_str(struct fake *f, const void *data, uint64_t length, uint32_t kind, bool ascii)
{
    uintptr_t at = fake_object(f, f->str_type, f->l->uni_compact + (length + 1) * kind);
    fake_put(at + f->l->uni_length, length);
    fake_put32(at + f->l->uni_state, (kind | 8u | (ascii ? 16u : 0)) << f->l->uni_kind_bit | 1 /* interned */);
    memcpy((void *)(at + (ascii ? f->l->uni_ascii : f->l->uni_compact)), data, length * kind);
    return at;
}

static inline uintptr_t fake_text(struct fake *f, const char *s)
{
    return fake_str(f, s, strlen(s), 1, true);
}

static inline struct fake fake_new(const struct sp_py_layout *l)
{
    struct fake f = {.l = l};
    f.block = (uintptr_t)mmap(NULL, FAKE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    f.runtime = fake_alloc(&f, 4096);
    f.interp = fake_alloc(&f, 8192);
    f.tstate = fake_alloc(&f, 2048);
    f.type_type = fake_type(&f, "type", 512, 0);
    f.code_type = fake_type(&f, "code", 200, 0);
    f.frame_type = fake_type(&f, "frame", 400, 0);
    f.str_type = fake_type(&f, "str", 80, 0);
    f.int_type = fake_type(&f, "int", 24, 0);
    f.objects = f.block + f.used;
    fake_put(f.runtime + l->rt_interp_head, f.interp);
    fake_put(f.runtime + l->rt_interp_main, f.interp);
    fake_put(f.tstate + l->ts_interp, f.interp);
    fake_put(f.tstate + l->ts_thread_id, (uintptr_t)pthread_self());
    if (l->ts_chunk) {
        f.chunk = fake_alloc(&f, FAKE_CHUNK_BYTES);
        fake_put(f.chunk + 8, FAKE_CHUNK_BYTES);
        f.top = f.chunk + 24 + 8; /* the first chunk leaves a word free */
        fake_put(f.tstate + l->ts_chunk, f.chunk);
    }
    sp_py = (struct sp_py){
        .ops = l->ops,
        .layout = l,
        .runtime = f.runtime,
        .minor = l->minor,
        .code_type = f.code_type,
        .frame_type = f.frame_type,
        .str_type = f.str_type,
        .int_type = f.int_type,
    };
    return f;
}

/* A function of `units` instructions, with room for `words` locals and temporaries. */
static inline uintptr_t fake_code(struct fake *f, const char *name, const char *file, uint32_t units, uint32_t words)
{
    const struct sp_py_layout *l = f->l;
    uintptr_t at = fake_object(f, f->code_type, (l->minor <= 10 ? 256u : l->co_code + 8u) + 2 * units);
    if (l->minor <= 10) {
        uintptr_t bytes = fake_object(f, f->type_type, l->bytes_data + 2u * units);
        fake_put(bytes + l->ob_size, 2u * units);
        fake_put(at + l->co_code, bytes);
    } else {
        fake_put(at + l->ob_size, units);
    }
    if (l->co_frame_words)
        fake_put32(at + l->co_frame_words, l->fr_locals / 8u + words);
    else if (l->co_locals)
        fake_put32(at + l->co_locals, words);
    fake_put(at + l->co_name, fake_text(f, name));
    fake_put(at + l->co_filename, fake_text(f, file));
    return at;
}

/* Writes a frame at `at` and makes it the newest. unit: the instruction; owner: 0 thread, 1 generator, 3 shim. */
static inline void fake_frame(struct fake *f, uintptr_t at, uintptr_t code, uint32_t unit, uint8_t owner)
{
    const struct sp_py_layout *l = f->l;
    fake_put(at + l->fr_previous, f->newest);
    fake_put(at + l->fr_code, l->minor >= 14 ? code | 1 : code); /* a tagged reference */
    if (l->minor <= 10) {
        fake_put(at + l->ob_type, f->frame_type);
        fake_put32(at + l->fr_instr, l->minor == 9 ? 2 * unit : unit);
    } else {
        fake_put(at + l->fr_instr, code ? code + l->co_code + 2 * unit : 0);
        *(uint8_t *)(at + l->fr_owner) = owner;
    }
    if (l->fr_is_entry && !f->newest)
        *(uint8_t *)(at + l->fr_is_entry) = 1;
    f->newest = at;
    if (l->ts_root_cframe) { /* one evaluation loop: its cframe, and the root's below */
        if (!f->cframe)
            f->cframe = fake_alloc(f, 32);
        fake_put(f->tstate + l->ts_frame, f->cframe);
        fake_put(f->cframe + l->cframe_frame, at);
        fake_put(f->cframe + l->cframe_frame + 8u, f->tstate + l->ts_root_cframe);
    } else {
        fake_put(f->tstate + l->ts_frame, at);
    }
}

/* The frame of the interpreter itself that a stack begins with, in versions that have one. */
static inline void fake_shim(struct fake *f)
{
    if (f->l->minor >= 12)
        fake_frame(f, fake_alloc(f, f->l->fr_bytes), 0, 0, 3);
}

/* A call on the data stack, or before 3.11 on the heap. */
static inline void fake_call(struct fake *f, uintptr_t code, uint32_t unit)
{
    const struct sp_py_layout *l = f->l;
    if (l->minor <= 10) {
        fake_frame(f, fake_alloc(f, 512), code, unit, 0);
        return;
    }
    uintptr_t at = f->top;
    f->top += l->co_frame_words ? 8ul * sp_peek_u32(code + l->co_frame_words)
                                : l->fr_locals + 8ul * (sp_peek_u32(code + l->co_locals) + sp_peek_u32(code + l->co_stack));
    fake_frame(f, at, code, unit, 0);
    fake_put(f->tstate + l->ts_chunk + 8u, f->top);
}

static inline enum sp_py_reject fake_walk(struct fake *f, struct sp_py_walk *w, struct sp_py_frame *frames, uint32_t cap)
{
    static uint64_t pages[SP_PY_PAGES];
    memset(pages, 0, sizeof pages);
    *w = (struct sp_py_walk){.frames = frames, .cap = cap, .pages = pages};
    return sp_py.ops->walk(&sp_py, f->tstate, w);
}

#endif
