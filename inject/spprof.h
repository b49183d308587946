/* SPDX-License-Identifier: MIT
 * spprof from C and C++: windows, snapshots and spans in a program that runs under spprof (LD_PRELOAD, `spprof run`). The program links
 * nothing: the functions here look for the library in the process when they are called, and where it is not they say so, at the
 * price of a load. For gcc and clang on Linux, from C89 and C++98 on; before glibc 2.34 a program that is linked with -no-pie wants -ldl.
 *
 *     #include <spprof.h>
 *
 *     uint64_t span = spprof_span_begin("checkout");
 *     ...
 *     spprof_span_end(span);
 *
 * All functions may be called in any thread, at the same time, with the GIL or without it (they do not take it; who has it and
 * wants others to run lets it go), before and after Py_Initialize(), in children of fork(), in functions of atexit(), and in
 * signal handlers on 16 KB of stack. But the first call of each in a source file asks the loader (dlsym()), which a signal handler
 * may not do, and where there is no library leaves a text for dlerror(); and a child of vfork() calls none. Those that return a
 * result, 0 or less, say why by it, and spprof_reason() in words; none changes errno unless that is said.
 *
 * Without this header the library's own functions, of the same names and types, are found by dlsym(RTLD_DEFAULT, "spprof_start")
 * and so on; spprof_reason() is here alone. */
#ifndef SPPROF_SPPROF_H
#define SPPROF_SPPROF_H

#include <stddef.h>
#include <stdint.h>

/* Numbers do not change; there may be more some day, below these. */
enum spprof_result {
    SPPROF_DONE = 0,
    SPPROF_NOT_HERE = -1,      /* the library is not in this process: it was not preloaded, or the program is static */
    SPPROF_NO_PYTHON = -2,     /* no CPython has begun in this process, and recording begins with it: Py_Initialize() */
    SPPROF_OFF = -3,           /* the process is left alone (SPPROF=off, SPPROF_PROGRAMS, SPPROF_CHILDREN=0), or it ends */
    SPPROF_IS_OPEN = -4,       /* a window is open already; one at a time can be open in a process, whoever opens it */
    SPPROF_NONE_OPEN = -5,     /* no window is open in this process: a fork child has none of its parent's */
    SPPROF_NOT_RECORDING = -6, /* nothing is recorded now */
    SPPROF_RANGE = -7,         /* an argument is out of its range */
    SPPROF_NO_MEMORY = -8,     /* there is no memory for the profile; a window is closed then */
    SPPROF_NOT_WRITTEN = -9,   /* the file could not be written, errno says why */
    SPPROF_LOST = -10,         /* the recording ended while the window was open, and what it held is in no window */
    SPPROF_BUSY = -11          /* the handler of a fault (SIGSEGV and its like) interrupted one of these functions here */
};

/* Times are in nanoseconds, of CPU time but for duration_ns. What is reserved is zero. */
struct spprof_figures {
    uint64_t samples;     /* how often a thread was looked at */
    uint64_t dropped;     /* of them, those that show no Python stack where one was */
    uint64_t cpu_ns;      /* that the process used */
    uint64_t duration_ns; /* time that passed */
    uint64_t interval_ns; /* of a thread between two samples of it, as it came out */
    uint64_t threads;     /* how many used a CPU */
    uint64_t reserved[10];
};

/* ---- What there is, for [any] thread */

/* Opens a window: spprof_stop() writes what all threads of the process do from here on until then. It is a part of the recording
 * that goes on anyway, whose file stays whole. Where nothing is recorded (SPPROF_START=off, SPPROF_DURATION is over) it is a
 * recording of its own, and takes
 *   interval_ns   CPU time of a thread between two samples: 100000 (0.1 ms) to 10000000000 (10 s); 0: SPPROF_INTERVAL
 *   memory_bytes  for the recording at most: 1048576 (1 MB) to 4294967296 (4 GB); 0: SPPROF_MEMORY
 * which are checked in any case. Takes about half a millisecond, and a copy of what is recorded. */
static __inline__ int spprof_start(uint64_t interval_ns, uint64_t memory_bytes);

/* Closes the window.
 *   path   the file that its profile is written to, as fopen(path, "w") would; the suffix chooses the format (.json, .html,
 *          .pb.gz, .trace.json, .collapsed; ".gz" behind it), Speedscope's where it is none of these. NULL: nowhere
 *   stats  gets what it held; NULL: is not asked for
 * With SPPROF_NOT_WRITTEN the window is open still if the file could not be opened, so that another name may be tried, and closed if
 * the writing failed. Takes milliseconds, more with much in it; other threads run meanwhile. */
static __inline__ int spprof_stop(const char *path, struct spprof_figures *stats);

/* 1: a window is open in this process, be it of C or of Python (spprof.start()); 0: none. The recording that goes on from the
 * start to the end is none. */
static __inline__ int spprof_is_active(void);

/* What the open window holds so far, or if none is open all that was recorded since the process started. As long as spprof_stop(). */
static __inline__ int spprof_stats(struct spprof_figures *stats);

/* Writes all that was recorded so far, and goes on.
 *   path     as spprof_stop()'s; NULL: to where the process's own file goes (SPPROF_OUT), which the end replaces
 *   written  `bytes` of room for the name of that file, which is cut off if it is longer; NULL: is not asked for
 * With path NULL spprof says on stderr why it could not be written, and errno does not. */
static __inline__ int spprof_snapshot(const char *path, char *written, size_t bytes);

/* Opens a span in the calling thread: until it ends, all stacks of that thread stand under a frame "span <name>", native ones too, in
 * every profile. A span inside a span is a frame inside its frame; those of a thread are above those that Python code has opened
 * in it (spprof.span(), which are of a context), whichever came first. A fork child is in its parent's; other threads are not.
 *   name  UTF-8, of 111 bytes, the rest is cut off; it is copied
 * Returns the token that ends it, never 0 but where there is no library, it leaves the process alone, or name is NULL. The first
 * 1,000 names that differ in a process, inside what they are in, are told apart; others, and what is more than 16 deep, are what they are
 * in, or "(other spans)". Takes some 20 ns, and no lock. */
static __inline__ uint64_t spprof_span_begin(const char *name);

/* Ends it, and those that were opened in it in this thread and are still open: what a longjmp() or an exception left behind. A token that
 * is 0, ended already or another thread's does nothing. A span that nobody ends lasts as long as its thread. */
static __inline__ void spprof_span_end(uint64_t token);

/* The library's version, such as "0.1.0", for ever; NULL: it is not here. */
static __inline__ const char *spprof_version(void);

/* A result in words, for ever. */
static __inline__ const char *spprof_reason(int result);

/* ---- How it is found, for [any] thread */
typedef void (*spprof_function_)(void);

/* dlsym() by another name: <dlfcn.h> may be included or not. It is in every process that has the library; weak, for it may be in none. */
#ifdef __cplusplus
extern "C"
#endif
    spprof_function_
    spprof_dlsym_(void *handle, const char *name) __asm__("dlsym") __attribute__((__weak__));

struct spprof_found_ {
    spprof_function_ function;
    int is_known;
};

static __inline__ spprof_function_ spprof_find_(struct spprof_found_ *found, const char *name)
{
    if (!__atomic_load_n(&found->is_known, __ATOMIC_ACQUIRE)) {
        __atomic_store_n(&found->function, spprof_dlsym_ ? spprof_dlsym_(NULL, name) : NULL, __ATOMIC_RELAXED);
        __atomic_store_n(&found->is_known, 1, __ATOMIC_RELEASE);
    }
    return __atomic_load_n(&found->function, __ATOMIC_RELAXED);
}

static __inline__ int spprof_start(uint64_t interval_ns, uint64_t memory_bytes)
{
    static struct spprof_found_ found;
    int (*f)(uint64_t, uint64_t) = (int (*)(uint64_t, uint64_t))spprof_find_(&found, "spprof_start");
    return f ? f(interval_ns, memory_bytes) : SPPROF_NOT_HERE;
}

static __inline__ int spprof_stop(const char *path, struct spprof_figures *stats)
{
    static struct spprof_found_ found;
    int (*f)(const char *, struct spprof_figures *) =
        (int (*)(const char *, struct spprof_figures *))spprof_find_(&found, "spprof_stop");
    return f ? f(path, stats) : SPPROF_NOT_HERE;
}

static __inline__ int spprof_is_active(void)
{
    static struct spprof_found_ found;
    int (*f)(void) = (int (*)(void))spprof_find_(&found, "spprof_is_active");
    return f ? f() : 0;
}

static __inline__ int spprof_stats(struct spprof_figures *stats)
{
    static struct spprof_found_ found;
    int (*f)(struct spprof_figures *) = (int (*)(struct spprof_figures *))spprof_find_(&found, "spprof_stats");
    return f ? f(stats) : SPPROF_NOT_HERE;
}

static __inline__ int spprof_snapshot(const char *path, char *written, size_t bytes)
{
    static struct spprof_found_ found;
    int (*f)(const char *, char *, size_t) = (int (*)(const char *, char *, size_t))spprof_find_(&found, "spprof_snapshot");
    return f ? f(path, written, bytes) : SPPROF_NOT_HERE;
}

static __inline__ uint64_t spprof_span_begin(const char *name)
{
    static struct spprof_found_ found;
    uint64_t (*f)(const char *) = (uint64_t(*)(const char *))spprof_find_(&found, "spprof_span_begin");
    return f ? f(name) : 0;
}

static __inline__ void spprof_span_end(uint64_t token)
{
    static struct spprof_found_ found;
    void (*f)(uint64_t) = (void (*)(uint64_t))spprof_find_(&found, "spprof_span_end");
    if (f)
        f(token);
}

static __inline__ const char *spprof_version(void)
{
    static struct spprof_found_ found;
    const char *(*f)(void) = (const char *(*)(void))spprof_find_(&found, "spprof_version");
    return f ? f() : NULL;
}

static __inline__ const char *spprof_reason(int result)
{
    switch (result) {
    case SPPROF_DONE: return "done";
    case SPPROF_NOT_HERE:
        return "spprof is not in this process; it is there when the program is started by spprof run or LD_PRELOAD";
    case SPPROF_NO_PYTHON: return "no CPython has begun in this process; recording begins with it";
    case SPPROF_OFF: return "spprof leaves this process alone, by an option, or it ends";
    case SPPROF_IS_OPEN: return "a window is open already; one at a time can be open in a process";
    case SPPROF_NONE_OPEN: return "no window is open in this process";
    case SPPROF_NOT_RECORDING: return "nothing is recorded in this process now";
    case SPPROF_RANGE: return "an argument is out of its range";
    case SPPROF_NO_MEMORY: return "there is no memory for the profile";
    case SPPROF_NOT_WRITTEN: return "the file could not be written";
    case SPPROF_LOST: return "the recording ended while the window was open";
    case SPPROF_BUSY: return "the handler of a fault interrupted spprof itself";
    default: return "a result that this header does not know";
    }
}

#endif
