/* SPDX-License-Identifier: MIT
 * The layout of spprof's region: the whole profile of one process, in one position-independent block of
 * memory. References are offsets and ids, never pointers, so that any process that can see the bytes can
 * read them. All integers are in the machine's byte order; all times are nanoseconds.
 *
 *   header | page directories of the pools | thread directory | ... bump area ... | writer's scratch
 *
 * An id names an entry of a pool (ids start at 1, 0 means "none"); a ref names a string: its offset / 8.
 * Entries are written in full before their id is published, and never change or move afterwards, except
 * where a field says so. */
#ifndef SPPROF_REGION_H
#define SPPROF_REGION_H

#include <stdint.h>

#define SP_REGION_MAGIC 0x3166726770707073ull /* "spppgrf1" as seen in a hex dump, low byte first */
#define SP_REGION_LAYOUT 10

/* Where CPU time can go when it is not in a Python stack: also the pseudo-frame's number. */
enum sp_category {
    SP_CATEGORY_PYTHON,           /* in a Python stack */
    SP_CATEGORY_STARTUP,          /* main thread, before its first Python frame */
    SP_CATEGORY_THREAD_END,       /* after a thread's last sample */
    SP_CATEGORY_THREAD_START_END, /* process CPU that no thread's clock shows: clone, teardown, unseen threads */
    SP_CATEGORY_BLOCKED,          /* while the thread had SIGPROF blocked */
    SP_CATEGORY_UNWALKABLE,       /* the stack failed a check */
    SP_CATEGORY_NATIVE_THREAD,    /* a thread without a Python thread state */
    SP_CATEGORY_NOT_SAMPLED,      /* a thread without a timer */
    SP_CATEGORY_N
};

/* Pseudo-frames after those of enum sp_category. */
enum sp_pseudo {
    SP_PSEUDO_OVERFLOW = SP_CATEGORY_N,
    SP_PSEUDO_UNKNOWN_PYTHON,
    SP_PSEUDO_TRUNCATED,
    SP_PSEUDO_IMPORT,
    SP_PSEUDO_SHUTDOWN,
    SP_PSEUDO_NATIVE_UNKNOWN, /* code of no library, or frames that no table leads through */
    SP_PSEUDO_WAITING_CPU,    /* ready to run, as the scheduler says */
    SP_PSEUDO_NOT_RUNNING,    /* what is left of a thread's life */
    SP_PSEUDO_GC,             /* the garbage collector's own function */
    SP_PSEUDO_N
};

/* Why a sample has no Python stack, or was not taken. */
enum sp_loss {
    SP_LOSS_NONE,
    /* the stack failed a check: its time is in SP_CATEGORY_UNWALKABLE */
    SP_LOSS_NO_FRAME,    /* a thread state without a frame, or not filled yet */
    SP_LOSS_FINALIZING,  /* the interpreter is being torn down */
    SP_LOSS_BAD_TSTATE,  /* the thread state is not this thread's any more */
    SP_LOSS_BAD_ADDRESS, /* misaligned or out of range */
    SP_LOSS_UNREADABLE,  /* the page does not answer */
    SP_LOSS_BAD_FRAME,   /* owner or order impossible */
    SP_LOSS_BAD_CODE,    /* not a code object, or the instruction lies outside it */
    SP_LOSS_BAD_BOTTOM,  /* the chain does not end where a stack ends */
    SP_LOSS_WALK_N,
    /* the rest */
    SP_LOSS_NESTED = SP_LOSS_WALK_N, /* a tick inside a tick, or on a stack without room: time goes to the next sample */
    SP_LOSS_FROZEN,                  /* a tick while the writer ran: time goes to the rest */
    SP_LOSS_OVERFLOW,                /* the tree was full: time is in (overflow) */
    SP_LOSS_TRUNCATED,               /* deeper than the limit: the leaf part is kept */
    SP_LOSS_TIMER_REFUSED,           /* threads that got no timer */
    SP_LOSS_NO_SLOT,                 /* threads that got no slot */
    SP_LOSS_REPLACED,                /* the program replaced our handler behind libc's back: ticks went elsewhere */
    SP_LOSS_N
};

/* ---- tables: open addressing in buckets of 8 slots; a slot is (hash >> 32) << 32 | id, 0 when free.
 * A key lives in the first free slot of its bucket in level 0, else level 1, ...: slots are never freed,
 * so every thread looks for a key along the same path and no key is stored twice. */
#define SP_TABLE_LEVELS 5
#define SP_BUCKET_SLOTS 8
#define SP_TABLE_BUCKETS(level) (64u << (3 * (level))) /* 64, 512, 4 K, 32 K, 256 K */

struct sp_table {
    uint32_t level[SP_TABLE_LEVELS]; /* offset / 64 of the bucket array; 0: not made yet */
};

/* ---- pools: entries of one size in pages of 256, found through a directory of page offsets / 64 */
#define SP_POOL_PAGE 256u

struct sp_pool {
    uint32_t n;         /* next id; grows by atomic add */
    uint32_t max;       /* ids stay below */
    uint32_t bytes;     /* of one entry */
    uint32_t directory; /* offset of the directory */
};

struct sp_string { /* named by ref */
    uint32_t bytes;
    uint32_t hash;
    char data[]; /* names: valid UTF-8, no NUL inside; line tables: raw */
};

/* A function as its code object told it, the first time it was seen. */
struct sp_code {
    uint32_t name, file; /* refs; name is the qualified name from CPython 3.11 on */
    int32_t first_line;
    uint32_t lines;        /* ref of the line table's bytes; 0: none */
    uint32_t lines_bytes;  /* of the whole table */
    uint32_t lines_copied; /* grows to lines_bytes: long tables are copied in steps */
    uint32_t lines_format; /* enum sp_lines */
    uint32_t reserved;     /* entries lie at multiples of 8 */
};

enum sp_lines { SP_LINES_NONE, SP_LINES_LNOTAB_39, SP_LINES_LINETABLE_310, SP_LINES_LOCATIONS_311 };

/* Address of a live code object -> newest id; one cell per address, overwritten in place. */
struct sp_cell {
    uint64_t address; /* or what stands for native code or for a library (native.c), and then the id is a frame's or a ref */
    uint64_t code;    /* fingerprint << 32 | code id; 0: the code died */
};

enum sp_frame_kind {
    SP_FRAME_PYTHON,
    SP_FRAME_NATIVE,
    SP_FRAME_PSEUDO,
    SP_FRAME_INTERPRETER, /* root of the stacks of a sub-interpreter; no frame to show */
    SP_FRAME_TASK,        /* "span ..." of the program's, "task ..." of asyncio's, which a stack runs in: its first frames */
    SP_FRAME_WAIT,        /* what a stack waits in: its last frame */
    SP_FRAME_SYMBOL,      /* native, of a profile that was read from a file: by its name */
};

struct sp_frame {
    uint32_t kind; /* enum sp_frame_kind */
    /* Python: code id; native: ref of the library's text, its build id in hex, a colon and its path; pseudo: number;
     * interpreter: id; task, wait: ref; symbol: as native */
    uint32_t what;
    /* Python: byte offset of the instruction; native: low half of the function's offset from where the library is mapped;
     * symbol: ref of the name, with a NUL */
    int32_t offset;
    uint32_t more; /* native: high half; symbol: the function's offset, 0: not known */
};

/* The call tree. A parent's id is smaller than its children's. Node 0 is the root above all stacks. */
struct sp_node {
    uint32_t parent;
    uint32_t frame;
    uint32_t depth;    /* frames of the path: 1 for a root frame, 0 for an interpreter's */
    uint32_t reserved; /* entries lie at multiples of 8 */
};

/* Sum of samples that have no record: (thread, node) -> weight. */
struct sp_total {
    uint32_t thread; /* number in the thread directory; 0: ended threads folded together */
    uint32_t node;
    uint64_t cpu_ns, wall_ns; /* grow */
    uint64_t gil_ns;          /* grows: the thread waited for the GIL while another held it at this node */
    uint64_t samples;         /* grows; of an interpreter's node: samples of the thread in that interpreter */
    uint32_t listed;          /* it is among the sums of the thread's present life */
    uint32_t next;            /* of them; 0: last */
};

/* ---- logs: what a thread did, in order of time */
#define SP_RECORD_TIME_SHIFT 18 /* record times count 2^18 ns (0.26 ms) from the chunk's base */
#define SP_RECORD_TIME_MAX 0xffffffu

enum sp_state { SP_STATE_GIL = 1, SP_STATE_GIL_WAIT = 2, SP_STATE_GC = 4, SP_STATE_NATIVE = 8, SP_STATE_OFF_CPU = 16 };

struct sp_record { /* consecutive samples of one stack are one record */
    uint32_t node;
    uint32_t cpu_ns;
    uint32_t wall_ns;        /* of a wait; then cpu_ns is 0 */
    uint32_t state_and_time; /* enum sp_state << 24 | time */
};

struct sp_chunk {
    uint32_t next; /* offset / 64 of the next chunk; 0: last */
    uint32_t n, cap;
    uint32_t reserved;
    uint64_t base_ns;   /* since the start of the profile */
    uint64_t reserved2; /* records are aligned to their size */
    struct sp_record records[];
};

/* ---- threads */
enum sp_thread_state {
    SP_THREAD_FREE,
    SP_THREAD_STARTING,
    SP_THREAD_LIVE,
    SP_THREAD_ENDED,
    SP_THREAD_FOLDING, /* ended; what its log and its sums still hold belongs to thread 0 */
};

#define SP_THREAD_NAME_BYTES 128
#define SP_PAGES_KNOWN 64

struct sp_thread {
    uint32_t state;  /* enum sp_thread_state */
    uint32_t number; /* its place in the thread directory, from 1 */
    uint32_t serial; /* order of birth in the process, from 1 */
    int32_t tid;
    uint64_t last_cpu_ns; /* thread CPU clock at the last sample */
    uint64_t base_cpu_ns; /* ... and when the thread's profile began */
    uint64_t end_cpu_ns;  /* ... and when it ended, or when the store was frozen */
    uint64_t period_ns;   /* between two of its ticks, as they really come */
    uint64_t cpu_ns[SP_CATEGORY_N];
    uint64_t rest_ns[SP_CATEGORY_N]; /* valid while frozen: not in the log, to be shown with it */
    uint64_t samples, prompt_ns;
    /* off its CPU, in a region with `wall`. off_ns grows to its last sample or wait, to its end, or to when the store was frozen */
    uint64_t off_ns, wait_ns; /* all of it, and what of it is booked to stacks */
    uint64_t queued_ns;       /* ready to run, at most; valid when it has ended and while frozen */
    uint64_t open_since_ns;   /* a wait that has not returned: on the monotonic clock, 0: none */
    uint64_t open_ns;         /* ... what of off_ns it has; 0: there is none */
    uint32_t open_node;       /* ... and its stack */
    uint32_t is_python;       /* a Python stack of it was seen */
    uint64_t gil_ns;          /* it held the main interpreter's GIL: CPU in samples, and waits */
    /* the last sample, and how much CPU it has not been given yet (weight.h) */
    uint32_t last_node, last_category;
    uint64_t owed_ns;
    uint64_t target;      /* what the thread was made to run: equal for threads that do the same; 0: not known */
    uint32_t target_code; /* ... its code id; 0: no Python function */
    /* log */
    uint32_t first_chunk, chunk;      /* offset / 64 */
    uint32_t fold_chunk, fold_record; /* FOLDING: the first record that is not folded yet; chunk 0: the log's first */
    uint32_t first_total;             /* id of the first of its sums; 0: none */
    /* previous stack and scratch, leaf first */
    uint32_t
        stacks; /* offset / 64 of two arrays of `stack_depth` walked frames, behind a struct sp_stacks; 0: none. Native frames' room follows */
    uint32_t stack_depth;
    uint32_t current; /* which of the two holds the previous stack */
    uint32_t previous_n;
    uint32_t previous_root; /* node rootward of the previous stack's first frame: interpreter, span, task, (truncated); or 0 */
    uint32_t epoch;         /* of the code table when the previous stack was taken */
    uint64_t pages[SP_PAGES_KNOWN];  /* pages that hold a live interned code object */
    uint32_t name_node;              /* of the root frame that holds the threading.Thread */
    char name[SP_THREAD_NAME_BYTES]; /* UTF-8; "": none known */
    char text[4160];                 /* scratch of the name reader */
    uint32_t next;                   /* number of the next slot in the list that this one is in */
};

#define SP_BOOT_BYTES 40
/* Heads a thread's stacks. */
struct sp_stacks {
    uint32_t next;        /* offset / 64 of the next in the list of free ones */
    uint32_t depth;       /* frames in each of the two arrays */
    uint64_t reserved[7]; /* the arrays begin on a cache line */
};

/* First of a list that any thread may push to and pop from without waiting: changes so far << 32 | the first. */
typedef uint64_t sp_list_head;

/* Ended threads by CPU time: four classes for each doubling, from 1 us to an hour. */
#define SP_WEIGHT_CLASSES 128

/* The last samples of ended threads with one target, the newest SP_TARGET_SAMPLES of them (weight.h). */
#define SP_TARGETS 256
#define SP_TARGET_SAMPLES 32

struct sp_owed {
    uint32_t node, category;
    uint64_t ns; /* CPU that it has not been given yet */
};

struct sp_target {
    uint64_t key;
    uint32_t lock;
    uint32_t n, oldest, turn; /* samples so far; the first that may be owed something; whose turn it is when none is */
    struct sp_owed samples[SP_TARGET_SAMPLES];
};

/* Native frames: none; those of libraries, and the interpreter's own on the leaf side; all. */
enum sp_native_shown { SP_NATIVE_OFF, SP_NATIVE_ON, SP_NATIVE_FULL };

/* Whose time off the CPU is told: nobody's; that of threads that ran Python; of all. */
enum sp_wall { SP_WALL_OFF, SP_WALL_PYTHON, SP_WALL_ALL };

struct sp_region {
    uint64_t magic;
    uint32_t layout;
    uint32_t header_bytes;
    uint64_t bytes;     /* of the whole region */
    uint64_t next, end; /* bump area: next free offset (grows), first offset behind it */
    uint64_t backed;    /* what lies behind it cannot be touched yet: reserved memory, or a spool file's unreserved blocks */
    uint32_t in_file;   /* it is a spool file */
    uint64_t scratch, scratch_bytes;
    uint64_t log_bytes, log_limit;
    uint64_t stacks_bytes; /* for the threads' stacks so far */
    /* the run */
    uint32_t profile; /* its number in the process, from 1 */
    uint32_t pid, ppid;
    uint32_t pid_namespace;   /* that the pids are numbers of; 0: not known; set for a spool file, as is: */
    char boot[SP_BOOT_BYTES]; /* the kernel's id of this boot; "": not known */
    uint64_t run_ns; /* when what the process was started with began, by the wall clock: the run's name; 0: not known */
    uint64_t started_wall_ns, started_mono_ns;
    uint64_t before_start_ns; /* process CPU before we started */
    uint64_t last_ns;         /* the last sample, since the start */
    uint64_t interval_ns, tick_ns;
    uint32_t depth;
    uint32_t tasks;               /* whether stacks begin with the asyncio task */
    uint32_t lines;               /* whether frames are shown as lines */
    uint32_t native;              /* enum sp_native_shown */
    uint32_t imports;             /* whether the import system's own frames are shown */
    uint32_t wall;                /* enum sp_wall */
    uint32_t epoch;               /* grows when a sampled code object dies */
    uint32_t n_serial;            /* threads so far */
    uint64_t time_order_until_ns; /* first sample without a record; 0: none */
    uint64_t loss[SP_LOSS_N];
    /* ended threads folded together */
    uint64_t n_folded;
    uint64_t folded_cpu_ns[SP_CATEGORY_N], folded_samples, folded_prompt_ns;
    uint64_t folded_off_ns, folded_wait_ns, folded_queued_ns, folded_gil_ns;
    uint32_t first_total; /* id of the first of thread 0's sums */
    /* threads */
    sp_list_head free_slots, free_stacks, folding, ended[SP_WEIGHT_CLASSES];
    uint32_t n_threads, max_threads; /* slots ever used; numbers 1 ... n_threads */
    uint32_t max_ended;              /* ended threads kept apart */
    uint32_t n_ended;
    uint32_t thread_directory;    /* offset of an array of offset / 64 */
    uint32_t targets[SP_TARGETS]; /* offset / 64; 0: free */
    /* content */
    struct sp_pool codes, cells, frames, nodes, totals;
    struct sp_table strings_table, codes_table, cells_table, frames_table, nodes_table, totals_table;
    uint32_t pseudo_node[SP_PSEUDO_N];
    /* identity, NUL-terminated UTF-8 */
    char host[65], python[32], build[24], engine[8];
    char argv[1024]; /* NUL-separated, ends at an empty string */
};

#endif
