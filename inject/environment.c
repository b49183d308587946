/* SPDX-License-Identifier: MIT
 * See environment.h. Not getenv(): the program may be changing its own. */
#include "inject/environment.h"

#include <string.h>

const char *sp_environment_value(char *const *environment, const char *name)
{
    size_t n = strlen(name);
    for (; environment && *environment; environment++)
        if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
            return *environment + n + 1;
    return NULL;
}
