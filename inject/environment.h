/* SPDX-License-Identifier: MIT
 * One variable of an environment. */
#ifndef SP_INJECT_ENVIRONMENT_H
#define SP_INJECT_ENVIRONMENT_H

/* [hook] Its value in `environment` (NULL-terminated "NAME=value"), which it points into; NULL: it is not there. */
const char *sp_environment_value(char *const *environment, const char *name);

#endif
