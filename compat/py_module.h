/* SPDX-License-Identifier: MIT
 * A builtin module of ours, laid out as the CPython of this process has it: no header of its is known when we are built. */
#ifndef SP_COMPAT_PY_MODULE_H
#define SP_COMPAT_PY_MODULE_H

#include "compat/base.h"

/* PyMethodDef, the same in all versions. */
struct sp_py_method {
    const char *name;
    void *(*call)(void *module, void *arguments); /* a new reference; NULL: an exception is set */
    int flags;
    const char *doc;
};
enum { SP_PY_ARGUMENTS = 1 /* a tuple: METH_VARARGS */, SP_PY_NO_ARGUMENTS = 4 /* METH_NOARGS */ };

/* [start] A PyModuleDef with these methods, which a NULL name ends, for a module that any interpreter of the process may import, with
 * a GIL of its own or none; run() fills it. The layout is known. One a process. */
void *sp_py_module_definition(const char *name, const struct sp_py_method *methods, int (*run)(void *module));

#endif
