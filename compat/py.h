/* SPDX-License-Identifier: MIT
 * CPython as spprof needs it: find it, find a thread's own state, walk its frames, read a code object.
 * One implementation per family of versions (py_39.c, py_311.c, ...) behind struct sp_py_ops; the offsets
 * are rows of py_layouts.c. Nothing here calls into the interpreter unless its tag says so. */
#ifndef SP_COMPAT_PY_H
#define SP_COMPAT_PY_H

#include "compat/base.h"
#include "compat/py_lines.h"

/* Why a stack was not taken. Same numbers as the walk reasons of enum sp_loss in the region. */
enum sp_py_reject {
    SP_PY_OK,
    SP_PY_NO_FRAME,
    SP_PY_FINALIZING,
    SP_PY_BAD_TSTATE,
    SP_PY_BAD_ADDRESS,
    SP_PY_UNREADABLE,
    SP_PY_BAD_FRAME,
    SP_PY_BAD_CODE,
    SP_PY_BAD_BOTTOM,
    SP_PY_REJECT_N
};

/* One frame of a walked stack. */
struct sp_py_frame {
    uint64_t code;  /* address of the code object; odd: of native code (sampler/native.h) */
    int32_t offset; /* byte offset of the instruction; negative before the first */
    uint32_t node;  /* left to the caller */
};

/* An evaluation loop keeps a structure on the C stack that the Python chain leads to: the native frame that contains it is
 * that loop's. */
struct sp_py_loop {
    uintptr_t at;    /* address of the structure */
    uint32_t frames; /* walked when it was met: its own are the last of them */
};

#define SP_PY_PAGES 64
#define SP_PY_PROBED 8

struct sp_py_walk {
    struct sp_py_frame *frames; /* out, leaf first */
    uint32_t cap;               /* frames that fit */
    uint32_t n;
    bool truncated;      /* there were more than cap */
    uintptr_t root;      /* the frame that was pushed last */
    bool headless;       /* the first frame is a compiler's own, and what it stands on is not known */
    uintptr_t sp;        /* stack pointer of the interrupted code */
    uintptr_t stack_top; /* end of the thread's C stack, 0: unknown */
    /* Pages known to hold a live code object, by address modulo SP_PY_PAGES; the walker adds to them. The
     * caller clears them when a code object that it saw has died, and when a stack is rejected. */
    uint64_t *pages;
    struct sp_py_loop *loops; /* out, leaf first; NULL: not asked for. Not told by 3.9 */
    uint32_t most_loops, n_loops;
    uintptr_t probed[SP_PY_PROBED]; /* pages that answered the probe in this sample */
    uint32_t n_probed;
};

/* 3.13 on: where the head of _PyRuntime, struct _Py_DebugOffsets, says what: index of its 8-byte words. Source: 3.13
 * Include/internal/pycore_runtime.h, later Include/internal/pycore_debug_offsets.h. */
struct sp_py_debug_words {
    uint8_t finalizing, interp_head, interp_next, ts_interp, ts_frame, ts_thread_id, ts_chunk, fr_previous, fr_code, fr_instr,
        fr_locals, fr_owner, co_filename, co_name, co_lines, co_first_line, co_code, ob_type, builtins;
    uint8_t fr_tlbc, co_tlbc; /* 0: the version has none */
};

struct sp_py;

struct sp_py_ops {
    const char *name;
    /* [handler] Fills w->frames from the thread state. SP_PY_OK, or why there is no stack. */
    enum sp_py_reject (*walk)(const struct sp_py *py, uintptr_t tstate, struct sp_py_walk *w);
};

/* Offsets of the fields that are read; a field that a version lacks is 0. Sources: the version's headers,
 * held by tests/layout. */
struct sp_py_layout {
    uint32_t minor;
    bool free_threaded;
    const struct sp_py_ops *ops; /* who walks its frames */
    /* PyObject, PyVarObject, PyTypeObject, PyUnicodeObject, PyBytesObject */
    uint16_t ob_type, ob_size, tp_dealloc;
    uint16_t uni_length, uni_state, uni_ascii, uni_compact, bytes_data;
    uint16_t uni_kind_bit; /* of `kind` in the state; `compact` and `ascii` are the bits behind its three */
    /* PyThreadState */
    uint16_t ts_interp, ts_frame /* frame, cframe or current_frame */, ts_root_cframe, ts_thread_id, ts_chunk;
    uint16_t cframe_frame, ts_cframe; /* ts_cframe: 3.10, whose frames do not hang on it */
    /* PyFrameObject (3.9, 3.10) or _PyInterpreterFrame */
    uint16_t fr_previous, fr_code, fr_instr, fr_owner, fr_is_entry, fr_locals, fr_bytes;
    uint16_t fr_tlbc; /* free-threaded from 3.14 on: which copy of the bytecode the frame runs */
    /* PyCodeObject */
    uint16_t co_filename, co_name, co_first_line, co_flags, co_lines, co_code;
    uint16_t co_locals, co_stack, co_frame_words; /* 3.11 has the first two, later versions the third */
    uint16_t co_tlbc;                             /* the copies, one a thread at most; 0: there is only co_code */
    enum sp_py_lines lines;
    /* _PyRuntimeState, PyInterpreterState */
    uint16_t rt_tstate_current, rt_interp_head, rt_interp_main, rt_finalizing, interp_next, interp_id;
    uint16_t interp_gil, gil_last_holder, gil_locked; /* from 3.12 on: PyInterpreterState, struct _gil_runtime_state */
    uint16_t interp_ending;                           /* from 3.12 on: PyInterpreterState.finalizing */
    uint16_t interp_builtins;                         /* from 3.13 on the build says where it is: sp_py.interp_builtins */
    uint16_t rt_tss_key;                              /* 0: thread states are in thread-local storage */
    /* _PyThreadStateImpl, TaskObj of _asyncio; 0: the running task cannot be seen */
    uint16_t ts_task, task_bytes, task_name;
    struct sp_py_debug_words debug;
};

#define SP_PY_COLLECTORS 4

/* The CPython of this process. Written once, before sampling starts. */
struct sp_py {
    const struct sp_py_ops *ops;       /* NULL: no CPython here */
    const struct sp_py_layout *layout; /* NULL: layout unknown, no frames */
    uintptr_t runtime;                 /* &_PyRuntime */
    uintptr_t runtime_bytes;           /* of it; 0: not known; left to the caller of sp_py_probe() */
    uintptr_t code_type, frame_type;   /* &PyCode_Type, &PyFrame_Type */
    uintptr_t eval_loop;               /* _PyEval_EvalFrameDefault; 0: not found */
    uintptr_t str_type, int_type;      /* &PyUnicode_Type, &PyLong_Type */
    void *(*this_tstate)(void);        /* PyGILState_GetThisThreadState: for versions without a key */
    uintptr_t entry;                   /* some address in it */
    uintptr_t start, end;              /* of its library or program; left to the caller of sp_py_probe(), as `build` is */
    uintptr_t finalize, finalize_end;  /* ... and this: Py_FinalizeEx(); 0: not known */
    uintptr_t setsig, setsig_end;      /* ... and PyOS_setsig() */
    struct {
        uintptr_t start, end;
    } collector[SP_PY_COLLECTORS]; /* the garbage collector's code, in parts; 0: not known; left to sp_py_gc_start() */
    uint32_t interp_builtins;      /* offset in PyInterpreterState */
    uint32_t minor;
    char version[32]; /* "3.12.1" */
    char build[24];   /* "shared", "static", "shared no-GIL" */
    char why[128];    /* what made the layout unknown; "" if it is known */
};

extern struct sp_py sp_py;

SP_INLINE bool sp_py_contains(const void *address)
{
    return (uintptr_t)address - sp_py.start < sp_py.end - sp_py.start;
}

/* ---- finding it (py_probe.c) */
/* [start] Looks a symbol up where CPython may be: RTLD_DEFAULT, or one library's handle. */
typedef void *sp_py_lookup(void *handle, const char *symbol);
/* [start] Fills sp_py from the symbols that `lookup(handle, ...)` finds. False: that is no CPython. */
bool sp_py_probe(sp_py_lookup *lookup, void *handle);
/* [start] The row of a version; NULL: unknown. */
const struct sp_py_layout *sp_py_layout_for(uint32_t minor, bool free_threaded);
#define SP_PY_MUTEX_BYTES 40 /* of pthread_mutex_t, on x86-64 and in musl */
extern const struct sp_py_layout sp_py_layouts[];
extern const uint32_t sp_py_n_layouts;

/* ---- the thread's own state (py_tstate.c, py_task.c) */
/* [start] Learns where libc keeps a thread's values under pthread keys. False: cannot be known here. */
bool sp_py_tss_init(void);
/* [any] To be called after a pthread key was created: learns its sequence number. */
void sp_py_tss_key_created(uint32_t key);
/* [any] Whether `key` is where CPython keeps the key of its thread states. */
bool sp_py_is_own_key(const void *key);
/* [start] CPython made its key before we looked: learns that key's sequence number. */
void sp_py_tss_learn_existing_key(void);
/* [handler] This thread's PyThreadState in *tstate, 0 if it has none. SP_PY_OK, or why it cannot be used. SP_PY_FINALIZING:
 * the interpreter ends; in the thread that ends it *tstate is its state as long as that lives and frames have names. */
SP_SIGSAFE enum sp_py_reject sp_py_own_tstate(uintptr_t *tstate);
/* [hook] The same of another thread, by its thread pointer, while that sleeps; what others do to it meanwhile may make a read
 * fault: sp_os_beside_try(). SP_PY_BAD_TSTATE also where libc does not show it. */
enum sp_py_reject sp_py_tstate_of(uintptr_t thread, uintptr_t *tstate);
/* [any] Outside the handler, once a thread: lets the loader make the thread's copy of CPython's thread-local storage,
 * which for a dlopen()ed CPython of 3.15 allocates. */
void sp_py_touch(void);
/* Whether a thread that never called sp_py_touch() must not be asked for its state in the handler. */
SP_INLINE bool sp_py_needs_touch(void)
{
    return sp_py.layout && !sp_py.layout->rt_tss_key;
}
/* [handler] This thread by CPython's name for it (PyThread_get_ident); as PyThreadState.thread_id. */
SP_SIGSAFE uintptr_t sp_py_ident(void);
/* [handler] Id of the interpreter that a thread state belongs to; 0: the main one. */
SP_SIGSAFE uint32_t sp_py_interpreter_id(uintptr_t tstate);
/* [handler] Name of the asyncio task that the thread runs, as sp_py_text writes it; 0: none, or not to be seen. */
SP_SIGSAFE uint32_t sp_py_task_name(uintptr_t tstate, char *out, uint32_t cap);
/* [any] Whether the interpreter is initialised far enough to have thread states. */
bool sp_py_running(void);

/* ---- spans (py_span.c): a context variable whose value is a tuple that begins with an int */
struct sp_py_span_known {
    uintptr_t context;         /* the calling thread is in it, and it holds ... */
    uintptr_t variable, value; /* ... this, */
    int64_t hash;              /* whose hash is this; */
    uintptr_t number;          /* the first item of that tuple, ... */
    uint32_t number_is;        /* ... which is below 2^30 */
};
/* [any] With the GIL: learns where all this lies, from a context that holds nothing else (is_alone), and then from one that holds more
 * than 16. True: it was found there; after the second the variable is the interpreter's. */
bool sp_py_span_learn(const struct sp_py_span_known *known, bool is_alone);
/* [handler] The int that the variable's value begins with in the thread's context; 0: there is none. */
SP_SIGSAFE uint32_t sp_py_span_now(uintptr_t tstate);

/* ---- the interpreter's end before it says so (py_end.c) */
/* [handler] Whether this thread is in Py_FinalizeEx(), in the part before `_finalizing` is set: it waits for threads and calls
 * what is registered with atexit. `is_other`: other frames lie rootward than at the thread's last sample. */
SP_SIGSAFE bool sp_py_is_ending(uintptr_t stack_top, uintptr_t sp, bool is_other);
/* [any] CPython made the key of its thread states: it is initialised, or was forked. */
void sp_py_end_key_created(void);
/* [fork-child] Before CPython's own handling of the fork. */
void sp_py_end_forked(void);

/* ---- a thread's name (py_thread_name.c) */
/* [any] With the GIL: which of its attributes `name` is, the str that `thread`, a threading.Thread that is about to start, is
 * called by; 0: that cannot be followed here. `key`: the interned "_name". */
uint32_t sp_py_thread_name_place(uintptr_t thread, uintptr_t key, uintptr_t name);
/* [handler] The str at that place of the Thread whose _bootstrap() is `frame`, the root of this thread's stack; 0: it cannot
 * be read now. It may be read as long as sp_py_holds_gil() is true afterwards. */
SP_SIGSAFE uintptr_t sp_py_thread_name_at(uintptr_t tstate, uintptr_t frame, uint32_t place);
/* [handler] Whether this thread, whose state it is, holds the GIL; where there is none, whether it is attached. */
SP_SIGSAFE bool sp_py_holds_gil(uintptr_t tstate);
/* [handler] Where the state of a thread state of a free-threaded build is: attached, detached, suspended. */
SP_SIGSAFE uintptr_t sp_py_state_at(uintptr_t tstate);

/* ---- the garbage collector (py_gc.c) */
/* [start] Finds its code, which takes a pass over the interpreter's symbols: 1 ms. */
void sp_py_gc_start(void);
/* [handler] Whether an instruction is the collector's own. */
SP_INLINE bool sp_py_gc_is_at(uintptr_t code)
{
    bool is_at = false;
    for (uint32_t i = 0; i < SP_PY_COLLECTORS; i++)
        is_at |= code - sp_py.collector[i].start < sp_py.collector[i].end - sp_py.collector[i].start;
    return is_at;
}

/* ---- what it waits for (py_wait.c) */
enum sp_py_wait {
    SP_PY_WAIT_OTHER,
    /* free-threaded builds */
    SP_PY_WAIT_MUTEX,   /* for a PyMutex of an object or of the interpreter's own */
    SP_PY_WAIT_STOPPED, /* for another thread that has stopped all */
    SP_PY_WAIT_STOPS,   /* for all others to stop */
};

struct sp_py_wait_at {
    uintptr_t at;            /* the semaphore that it waits on */
    uintptr_t sp, stack_top; /* of the calling thread; stack_top 0: not known */
    uint64_t since_ns;       /* on the monotonic clock */
};
/* [handler] What the calling thread, whose state it is, waits for, or did just now. */
SP_SIGSAFE enum sp_py_wait sp_py_wait_of(uintptr_t tstate, const struct sp_py_wait_at *w);
/* [handler] Whether a condition variable is that of the main interpreter's GIL: CPython has no other one that lies in its runtime, or
 * in the main interpreter's state, which from 3.12 on lies there too (Python/ceval_gil.c); its locks are semaphores. */
SP_SIGSAFE bool sp_py_wait_is_gil(uintptr_t at);
/* [handler] Whether this thread, whose state it is, holds that one. False without a GIL. */
SP_SIGSAFE bool sp_py_holds_main_gil(uintptr_t tstate);

/* ---- code objects (py_text.c) */
struct sp_py_code {
    uintptr_t name, file; /* PyUnicodeObject addresses */
    uintptr_t lines;      /* address of the line table's bytes */
    uint32_t lines_bytes;
    int32_t first_line;
};
/* [handler] Reads a live code object, whose page is readable. */
SP_SIGSAFE bool sp_py_code_read(uintptr_t code, struct sp_py_code *c);
/* [handler] A few words that change when an address holds another code object. */
SP_SIGSAFE uint32_t sp_py_code_fingerprint(uintptr_t code);
/* [handler] A str as valid UTF-8 without NUL: surrogates become \xHH or \uHHHH in ASCII, NUL U+2400. At most
 * `cap` bytes, cut on a code point's border with an ellipsis. Returns the bytes written. */
SP_SIGSAFE uint32_t sp_py_text(uintptr_t unicode, char *out, uint32_t cap);

/* [any] Puts `hook` in the place of PyCode_Type.tp_dealloc and returns what was there. */
typedef void sp_py_dealloc(void *code);
sp_py_dealloc *sp_py_hook_code_dealloc(sp_py_dealloc *hook);

extern const struct sp_py_ops sp_py_ops_39, sp_py_ops_311, sp_py_ops_312, sp_py_ops_313, sp_py_ops_314, sp_py_ops_unknown;

#endif
