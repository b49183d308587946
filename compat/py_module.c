/* SPDX-License-Identifier: MIT
 * See py_module.h. Sources: Include/moduleobject.h, Include/methodobject.h, Include/object.h. */
#include "compat/py_module.h"

#include "compat/py.h"

/* Of the object's head, which ends behind its type, the count of references is what stands before that; on free-threaded builds
 * it is the count of other threads', in which the low two bits are flags. */
#define REFERENCES ((uint64_t)1 << 30)
#define HEAD_MOST 32

enum { SLOT_RUN = 2 /* Py_mod_exec */, SLOT_INTERPRETERS = 3 /* since 3.12 */, SLOT_GIL = 4 /* since 3.13 */ };
#define OWN_GIL ((void *)2)      /* Py_MOD_PER_INTERPRETER_GIL_SUPPORTED */
#define NEEDS_NO_GIL ((void *)1) /* Py_MOD_GIL_NOT_USED */

struct slot {
    int id;
    void *value;
};

/* PyModuleDef behind the object's head. */
struct body {
    void *init;
    intptr_t index;
    void *copy;
    const char *name, *doc;
    intptr_t state_bytes;
    const struct sp_py_method *methods;
    struct slot *slots;
    void *traverse, *clear, *free;
};

/* Threads: written at the start; the interpreter changes its part. */
static struct slot slots[4];
static _Alignas(16) char definition[HEAD_MOST + sizeof(struct body)];

void *sp_py_module_definition(const char *name, const struct sp_py_method *methods, int (*run)(void *module))
{
    size_t type = sp_py.layout->ob_type, n = 0;
    slots[n++] = (struct slot){SLOT_RUN, (void *)run};
    if (sp_py.minor >= 12)
        slots[n++] = (struct slot){SLOT_INTERPRETERS, OWN_GIL};
    if (sp_py.minor >= 13)
        slots[n++] = (struct slot){SLOT_GIL, NEEDS_NO_GIL};
    *(uint64_t *)(void *)(definition + type - sizeof(uint64_t)) = REFERENCES;
    *(struct body *)(void *)(definition + type + sizeof(void *)) =
        (struct body){.name = name, .methods = methods, .slots = slots};
    return definition;
}
