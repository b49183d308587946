/* SPDX-License-Identifier: MIT
 * Interning: the same string, function, frame or call path gets the same id, from any thread, without locks.
 * All of it may run in the handler. An id of 0 means that the region is full. */
#ifndef SP_SAMPLER_INTERN_H
#define SP_SAMPLER_INTERN_H

#include "sampler/store.h"

/* [handler] Ref of a string with these bytes. */
SP_SIGSAFE uint32_t sp_intern_string(struct sp_region *r, const char *data, uint32_t bytes);

/* [handler] Id of the function that the live code object at `address` is. `text` is scratch of 4,160 bytes. */
SP_SIGSAFE uint32_t sp_intern_code(struct sp_region *r, uint64_t address, char *text);

/* [handler] Id of a frame: `what` as struct sp_frame has it. */
SP_SIGSAFE uint32_t sp_intern_frame(struct sp_region *r, enum sp_frame_kind kind, uint32_t what, int32_t offset);

/* [handler] The same, with all that a frame has. */
SP_SIGSAFE uint32_t sp_intern_whole_frame(struct sp_region *r, struct sp_frame f);

/* [handler] The same, of a function in a library. */
SP_SIGSAFE uint32_t sp_intern_native_frame(struct sp_region *r, uint32_t library, uint64_t offset);

/* [handler] What is known by this address; NULL: the region is full. */
SP_SIGSAFE struct sp_cell *sp_intern_cell(struct sp_region *r, uint64_t address);

/* [handler] Id of the call path that ends in `frame`, called by `parent` (0: by nobody). */
SP_SIGSAFE uint32_t sp_intern_node(struct sp_region *r, uint32_t parent, uint32_t frame);

/* [handler] Adds to the sum of (thread, node). False: no room for another sum. */
SP_SIGSAFE bool sp_intern_total(struct sp_region *r, uint32_t thread, uint32_t node, uint64_t cpu_ns, uint64_t samples);

/* [handler] The same for time that the thread waited for the GIL while another held it there; lost where there is no room. */
SP_SIGSAFE void sp_intern_total_gil(struct sp_region *r, uint32_t thread, uint32_t node, uint64_t gil_ns);

/* [handler] The same for a wait. */
SP_SIGSAFE bool sp_intern_total_wait(struct sp_region *r, uint32_t thread, uint32_t node, uint64_t wall_ns);

/* [any] The code object at `address` is about to be freed: its id is no longer found by address. */
void sp_intern_forget_code(struct sp_region *r, uint64_t address);

/* [any] Libraries came or went: native code is no longer found by address. */
void sp_intern_forget_native(struct sp_region *r);

/* [any] A code object is about to be freed while the gate is closed: noted outside the region. See sp_gate_leave_work. */
void sp_intern_leave_code(void);
/* [any] By who closed the gate: if any was noted, no id is found by address. */
void sp_intern_forget_left(struct sp_region *r);

#endif
