/* SPDX-License-Identifier: MIT
 * What the command and a program say to each other. The command binds an abstract socket with a number in its name, and sends the
 * number in a signal to a thread of the program (it rings). Who answers connects to the socket, by which each sees who the other
 * is. What is wanted of which a file is made comes with a message and the file; the answer is one message. */
#ifndef SP_COMPAT_RING_H
#define SP_COMPAT_RING_H

#include <signal.h>

#include "compat/buf.h"

/* Ignored by default: it harms nobody who knows nothing of us, or is becoming somebody else. */
#define SP_RING_SIGNAL SIGURG
#define SP_RING_VERSION 2u
#define SP_RING_NUMBER_BITS 40
#define SP_RING_WAIT_NS 200000000ull /* for the command's message, at most */

enum sp_ring_wish {
    SP_RING_NOTHING,
    SP_RING_IMAGE, /* of the region */
    SP_RING_BEGIN,
    SP_RING_END,
    SP_RING_RESET,
    SP_RING_STACKS, /* of all threads: records of struct sp_ring_thread */
    SP_RING_STACK,  /* from the process beside to a thread that runs: its own; the number is of that question */
    SP_RING_WISHES
};

enum sp_ring_result {
    SP_RING_DONE,
    SP_RING_LATER,   /* ring again */
    SP_RING_REFUSED, /* for the peer is neither of the program's own user nor root */
    SP_RING_ALREADY, /* it records already; or, of the others, nothing is recorded */
    SP_RING_IN_USE,  /* the program itself has a window open (inject/window.h) */
    SP_RING_NO_MEMORY,
    SP_RING_FAILED /* `error` says why */
};

struct sp_ring_message {
    uint32_t version, wish;
};

struct sp_ring_answer {
    uint32_t version, result; /* enum sp_ring_result */
    int32_t error;            /* negative errno; 0: none */
    uint32_t is_in_place;     /* no process beside could be made: a thread of the program did it */
    uint64_t later;           /* SP_RING_IMAGE: where the second, later copy of the region begins in the file */
    char path[4096];          /* SP_RING_END: of the profile; "": none was written */
};

enum sp_ring_stack {
    SP_RING_TAKEN,
    SP_RING_NO_PYTHON,
    SP_RING_SHUTDOWN, /* the interpreter ends */
    SP_RING_SILENT,   /* it runs, and did not answer */
    SP_RING_MOVING,   /* it could not be read while it slept, and takes no signal */
    SP_RING_UNKNOWN,  /* a check failed */
    SP_RING_NOT_READ  /* there can be no process beside */
};

#define SP_RING_TEXT 128

/* A thread, then for each frame, leaf first, a struct sp_ring_frame and its texts. */
struct sp_ring_thread {
    uint32_t bytes; /* with all that follows */
    int32_t tid;
    uint32_t state; /* a letter, as ps has it; 0: not known */
    uint32_t stack; /* enum sp_ring_stack */
    uint32_t n_frames, is_truncated;
    uint32_t waits_for_gil;
    int32_t call; /* the number of the system call that it is in; -1: none, or not known */
    char name[SP_RING_TEXT];
    char inside[48]; /* the kernel's function in which it sleeps; "": none, or not known */
};

/* A native function has no name yet, but its library as a file, and behind that its library's build id, as it is. */
struct sp_ring_frame {
    int32_t line; /* 0: none */
    uint16_t name_bytes, file_bytes, id_bytes;
    uint16_t is_native;
    uint64_t place; /* where a native function begins: bytes behind its library's beginning */
};

/* What the signal carries: a mark, the wish, the number. */
SP_INLINE uint64_t sp_ring_value(enum sp_ring_wish wish, uint64_t number)
{
    return 0x5350ull << 48 | (uint64_t)wish << SP_RING_NUMBER_BITS | number;
}

/* The wish in it; SP_RING_NOTHING: it carries something else. */
SP_INLINE enum sp_ring_wish sp_ring_wish_of(uint64_t value)
{
    uint64_t wish = value >> SP_RING_NUMBER_BITS & 0xff;
    return value >> 48 == 0x5350 && wish < SP_RING_WISHES ? (enum sp_ring_wish)wish : SP_RING_NOTHING;
}

/* [hook] The socket's name, without the NUL before it. */
static inline void sp_ring_name(struct sp_buf *b, uint64_t value)
{
    sp_buf_str(b, "spprof-");
    sp_buf_hex(b, value & ((1ull << SP_RING_NUMBER_BITS) - 1));
}

#endif
