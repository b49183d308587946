/* SPDX-License-Identifier: MIT
 * OpenTelemetry's profiles over HTTP: what a Collector is sent. OTLP 1.11, whose profiles are alpha: package v1development. */
#ifndef SP_INJECT_COMMAND_SHIP_OTLP_H
#define SP_INJECT_COMMAND_SHIP_OTLP_H

#include "inject/command/ship_message.h"
#include "inject/command/ship_resource.h"

/* [any] The ExportProfilesServiceRequest of one profile, which has a Profile for each of its types. All that the file has is in it: labels
 * are attributes of samples (thread: thread.name, thread_id: thread.id, pid: process.pid, task and spans: spprof.task, spprof.span), and
 * what else OTLP has no field for stands under the names of OpenTelemetry's conventions for pprof. */
void sp_otlp_write(const struct sp_message *m, const struct sp_resource *resource, struct sp_bytes *out);

/* [any] Of a reply, ExportProfilesServiceResponse if it was accepted and else Status: what it says, if anything, in *text, and how many
 * profiles of those accepted it refused. */
uint64_t sp_otlp_rejected(const void *reply, size_t n, bool accepted, struct sp_text *text);

#endif
