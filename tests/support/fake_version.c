/* SPDX-License-Identifier: MIT
 * Makes a CPython say that it is another version: FAKE_VERSION. */
#include <stdlib.h>

const char *Py_GetVersion(void)
{
    const char *v = getenv("FAKE_VERSION");
    return v ? v : "3.99.0 (fake)";
}
