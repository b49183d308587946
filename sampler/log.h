/* SPDX-License-Identifier: MIT
 * The log of a thread: its samples in order of time. Written by its own handler, and by nobody else while
 * the thread lives; read by the writer while the store is frozen. */
#ifndef SP_SAMPLER_LOG_H
#define SP_SAMPLER_LOG_H

#include "sampler/store.h"

/* [handler] Books a sample: its CPU to its call path, and to its category of the thread's sums. When the logs are full it goes to
 * a total. */
SP_SIGSAFE void sp_log_book(struct sp_region *r, struct sp_thread *t, const struct sp_sample *s);

/* [handler] Books a wait, off the CPU, to its call path. */
SP_SIGSAFE void sp_log_book_wait(struct sp_region *r, struct sp_thread *t, uint32_t node, uint64_t wall_ns, uint64_t since_ns);

/* [handler] Books CPU that belongs to no stack. */
SP_SIGSAFE void sp_log_book_pseudo(struct sp_region *r, struct sp_thread *t, enum sp_category category, uint64_t cpu_ns,
                                   uint64_t since_ns);

/* [handler] Moves at most *budget records and sums of an ended thread to thread 0's sums; *budget is what is left of it.
 * True: that was all. Its chunks stay with the slot. */
SP_SIGSAFE bool sp_log_fold(struct sp_region *r, struct sp_thread *t, uint32_t *budget);

#endif
