/* SPDX-License-Identifier: MIT
 * The CPU engine's operations (struct sp_engine_ops), for an engine that has its timers beside its own. */
#ifndef SP_SAMPLER_ENGINE_CPU_H
#define SP_SAMPLER_ENGINE_CPU_H

#include "sampler/engine.h"

/* [handler] What its timers of this thread carry. */
SP_SIGSAFE uint64_t sp_engine_cpu_value(const struct sp_live *l);

/* [handler] As engine.h has them. */
SP_SIGSAFE void sp_engine_cpu_open(uint64_t interval_ns);
SP_SIGSAFE uint32_t sp_engine_cpu_owns(const siginfo_t *info);
SP_SIGSAFE int sp_engine_cpu_start(struct sp_live *l);
SP_SIGSAFE bool sp_engine_cpu_counts(struct sp_live *l, const struct sp_instant *at);
SP_SIGSAFE void sp_engine_cpu_pause(struct sp_live *l);
SP_SIGSAFE void sp_engine_cpu_resume(struct sp_live *l);
SP_SIGSAFE void sp_engine_cpu_stop(struct sp_live *l);
SP_SIGSAFE bool sp_engine_cpu_was_held_back(const struct sp_live *l, const void *context);
SP_SIGSAFE bool sp_engine_cpu_is_held_back(const struct sp_live *l, enum sp_asker who);
SP_SIGSAFE void sp_engine_cpu_child(void);
SP_SIGSAFE bool sp_engine_cpu_is_here(void);

#endif
