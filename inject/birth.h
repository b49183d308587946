/* SPDX-License-Identifier: MIT
 * What a new thread is to run, from its creation until it runs, and callbacks. In memory of our own: not the host's heap,
 * which may itself be making a thread, and not the region, which another process may write to. */
#ifndef SP_INJECT_BIRTH_H
#define SP_INJECT_BIRTH_H

#include "sampler/store.h"

struct sp_birth {
    void *run, *argument;
    struct sp_thread *slot; /* claimed by the creator; NULL: the gate was closed, the thread finds one later */
    uint32_t number, next;  /* its own, and of the next in the list of free ones */
    char name[SP_THREAD_NAME_BYTES];
    uint32_t name_place; /* as in struct sp_thread, and so are: */
    uint32_t target_code;
    uint64_t target;
    bool starts_hidden; /* its creator believes that SIGPROF is blocked, and it is not (hook_mask.c) */
    int tid;            /* of a thread that ended before it found a slot, */
    uint64_t cpu_ns;    /* and what it used */
};

/* [hook] A birth, all but its numbers zero; NULL: there is no memory. */
struct sp_birth *sp_birth_new(void);

/* [handler] It is used no more. */
SP_SIGSAFE void sp_birth_free(struct sp_birth *b);

/* [handler] A list that any thread may push to and pop from; zero: empty. NULL: there is none. */
SP_SIGSAFE void sp_birth_push(sp_list_head *head, struct sp_birth *b);
SP_SIGSAFE struct sp_birth *sp_birth_pop(sp_list_head *head);

#endif
