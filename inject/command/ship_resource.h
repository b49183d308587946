/* SPDX-License-Identifier: MIT
 * Whose a profile is: OpenTelemetry's resource attributes, by the environment (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, a pod's)
 * and by what the profile says of its process. */
#ifndef SP_INJECT_COMMAND_SHIP_RESOURCE_H
#define SP_INJECT_COMMAND_SHIP_RESOURCE_H

#include "inject/command/ship_message.h"

struct sp_resource {
    struct sp_attribute {
        char *key, *value; /* owned */
        bool is_number;
        bool is_of_process; /* by the profile, and another one's for every process */
    } * of;
    uint32_t n;
};

/* [any] Those of the environment; what of it cannot be used is said in a line. */
void sp_resource_read(struct sp_resource *r);

/* [any] Adds what a profile says, as far as it is not there. host: the machine that it is of; "": this one. */
void sp_resource_add(struct sp_resource *r, const struct sp_message *m, const char *host);

/* [any] The value of a key; NULL: there is none. */
const char *sp_resource_value(const struct sp_resource *r, const char *key);

/* [any] Frees them. */
void sp_resource_free(struct sp_resource *r);

#endif
