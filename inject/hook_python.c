/* SPDX-License-Identifier: MIT
 * What CPython itself calls in libc while it starts, and what we may ask it where it holds the GIL. */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "compat/cpu.h"
#include "compat/os.h"
#include "compat/py.h"
#include "inject/hooks.h"
#include "inject/lifecycle.h"
#include "inject/module.h"
#include "inject/python.h"
#include "sampler/gate.h"

SP_REAL_SLOT(pthread_condattr_setclock);
SP_REAL_SLOT(pthread_key_create);

/* Every CPython calls this once while its runtime starts: how a dlopen()ed one is noticed. */
SP_EXPORT int pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock)
{
    if (!SP_REAL(pthread_condattr_setclock))
        return 0; /* as libc's own pthread_condattr_init does, where there is no libpthread */
    int rc = SP_REAL(pthread_condattr_setclock)(attr, clock), saved = errno;
    if (sp_lifecycle_python_starts(__builtin_return_address(0)))
        sp_module_offer();
    errno = saved;
    return rc;
}

SP_EXPORT int pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    if (!SP_REAL(pthread_key_create))
        return EAGAIN;
    int rc = SP_REAL(pthread_key_create)(key, destructor), saved = errno;
    if (rc == 0) {
        sp_py_tss_key_created(*key);
        if (sp_py_is_own_key(key))
            sp_py_end_key_created();
        /* os.fork()'s child makes a new key for its thread states: from here on it runs Python */
        sp_lifecycle_child_runs_python();
    }
    errno = saved;
    return rc;
}

/* ---- new threads: their name, and what they are to run */
#define TAGS ((uintptr_t)7) /* of a _PyStackRef, from 3.14 on; objects are aligned to more */

struct api {
    int (*gil_held)(void);
    void *(*intern)(const char *);
    void *(*type_lookup)(void *type, void *name);
    void *(*get)(void *object, void *name);
    void (*error_fetch)(void **, void **, void **);
    void (*error_restore)(void *, void *, void *);
    void (*decref)(void *);
    void *(*function_code)(void *), *(*method_function)(void *);
    void *(*modules)(void), *(*module_dict)(void *), *(*dict_get)(void *dict, void *key), *(*to_int)(unsigned long);
    void *unicode_type, *function_type, *method_type, *module_type, *dict_type;
};

/* Threads: written at the start. */
static struct api api;
static bool has_api, has_modules;

void sp_hook_python_start(void)
{
    api.gil_held = (int (*)(void))sp_python_symbol("PyGILState_Check");
    api.intern = (void *(*)(const char *))sp_python_symbol("PyUnicode_InternFromString");
    api.type_lookup = (void *(*)(void *, void *))sp_python_symbol("_PyType_Lookup");
    api.get = (void *(*)(void *, void *))sp_python_symbol("PyObject_GenericGetAttr");
    api.error_fetch = (void (*)(void **, void **, void **))sp_python_symbol("PyErr_Fetch");
    api.error_restore = (void (*)(void *, void *, void *))sp_python_symbol("PyErr_Restore");
    api.decref = (void (*)(void *))sp_python_symbol("Py_DecRef");
    api.unicode_type = sp_python_symbol("PyUnicode_Type");
    api.function_code = (void *(*)(void *))sp_python_symbol("PyFunction_GetCode");
    api.method_function = (void *(*)(void *))sp_python_symbol("PyMethod_Function");
    api.function_type = sp_python_symbol("PyFunction_Type");
    api.method_type = sp_python_symbol("PyMethod_Type");
    has_api = api.unicode_type && api.function_type && api.method_type && api.function_code && api.method_function &&
              api.gil_held && api.intern && api.type_lookup && api.get && api.error_fetch && api.error_restore && api.decref;
    api.modules = (void *(*)(void))sp_python_symbol("PyImport_GetModuleDict");
    api.module_dict = (void *(*)(void *))sp_python_symbol("PyModule_GetDict");
    api.dict_get = (void *(*)(void *, void *))sp_python_symbol("PyDict_GetItemWithError");
    api.to_int = (void *(*)(unsigned long))sp_python_symbol("PyLong_FromUnsignedLong");
    api.module_type = sp_python_symbol("PyModule_Type");
    api.dict_type = sp_python_symbol("PyDict_Type");
    has_modules = api.modules && api.module_dict && api.dict_get && api.to_int && api.module_type && api.dict_type;
}

/* The Thread object that this thread is starting: first local of the innermost frame, if that runs
 * threading.Thread.start. 0: it is something else. */
static uintptr_t starting_thread_object(void)
{
    const struct sp_py_layout *l = sp_py.layout;
    uintptr_t ts, frame;
    char text[64];
    if (sp_py_own_tstate(&ts) != SP_PY_OK || !ts)
        return 0;
    frame = sp_peek(ts + l->ts_frame);
    if (l->ts_root_cframe) /* we are a callee of the interpreter: its cframe is complete */
        frame = sp_peek(frame + l->cframe_frame);
    if (!frame)
        return 0;
    uintptr_t code = sp_peek(frame + l->fr_code) & ~TAGS;
    struct sp_py_code c;
    if (sp_peek(code + l->ob_type) != sp_py.code_type || !sp_py_code_read(code, &c))
        return 0;
    uint32_t n = sp_py_text(c.name, text, sizeof text);
    bool is_start = (n == 5 && memcmp(text, "start", 5) == 0) || (n == 12 && memcmp(text, "Thread.start", 12) == 0);
    if (!is_start)
        return 0;
    char file[512];
    n = sp_py_text(c.file, file, sizeof file);
    bool is_threading = n >= 12 && memcmp(file + n - 12, "threading.py", 12) == 0;
    return is_threading ? sp_peek(frame + l->fr_locals) & ~TAGS : 0;
}

static void *type_of(const void *object)
{
    return (void *)sp_peek((uintptr_t)object + sp_py.layout->ob_type);
}

/* An instance's own attribute, as a new reference; NULL: none. A class that defines the name may run code of its own. */
static void *own_attribute(const void *object, void *name)
{
    return name && !api.type_lookup(type_of(object), name) ? api.get((void *)(uintptr_t)object, name) : NULL;
}

static void drop(void *object)
{
    if (object)
        api.decref(object);
}

/* The code that a thread runs: of its target, or of the run() of its class; NULL: neither is a function. Borrowed. */
static void *code_to_run(const void *object)
{
    void *names[] = {api.intern("_target"), api.intern("run")};
    void *target = own_attribute(object, names[0]), *function = target;
    if (function && type_of(function) == api.method_type)
        function = api.method_function(function);
    if ((!function || type_of(function) != api.function_type) && names[1])
        function = api.type_lookup(type_of(object), names[1]);
    void *code = function && type_of(function) == api.function_type ? api.function_code(function) : NULL;
    drop(names[0]);
    drop(names[1]);
    drop(target); /* the Thread keeps it */
    return code;
}

uintptr_t sp_hook_python_new_thread(char name[SP_THREAD_NAME_BYTES], uint32_t *place)
{
    if (!sp_py.layout || !sp_py_running() || !has_api || !api.gil_held())
        return 0;
    void *object = (void *)starting_thread_object();
    if (!object)
        return 0;
    void *type, *value, *trace;
    api.error_fetch(&type, &value, &trace);
    void *attribute = api.intern("_name"), *text = own_attribute(object, attribute);
    if (text && type_of(text) == api.unicode_type) {
        name[sp_py_text((uintptr_t)text, name, SP_THREAD_NAME_BYTES - 1)] = '\0';
        *place = sp_py_thread_name_place((uintptr_t)object, (uintptr_t)attribute, (uintptr_t)text);
    }
    drop(text);
    drop(attribute);
    uintptr_t code = (uintptr_t)code_to_run(object);
    api.error_restore(type, value, trace);
    return code;
}

/* ---- the name at the end, of the thread that ends the interpreter: the main one as a rule, which no hook saw begin. While
 * _PySignal_Fini() (3.9: PyOS_FiniInterrupts()) restores SIGINT, and what else the program set, modules are all there and the
 * GIL is the caller's (Python/pylifecycle.c). It does so by PyOS_setsig(), which nothing calls in a signal's handler. */
static void *item(void *dict, void *key)
{
    return key && dict && type_of(dict) == api.dict_type ? api.dict_get(dict, key) : NULL;
}

/* Borrowed; NULL: there is none, or threading is not what it was. */
static void *current_thread_object(void)
{
    void *keys[] = {api.intern("threading"), api.intern("_active"), api.to_int(sp_py_ident())};
    void *module = item(api.modules(), keys[0]);
    void *dict = module && type_of(module) == api.module_type ? api.module_dict(module) : NULL;
    void *thread = item(item(dict, keys[1]), keys[2]);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        drop(keys[i]);
    return thread;
}

static void read_last_name(struct sp_live *self)
{
    char name[SP_THREAD_NAME_BYTES] = "";
    void *type, *value, *trace;
    api.error_fetch(&type, &value, &trace);
    void *object = current_thread_object(), *attribute = api.intern("_name");
    void *text = object ? own_attribute(object, attribute) : NULL;
    if (text && type_of(text) == api.unicode_type)
        name[sp_py_text((uintptr_t)text, name, sizeof name - 1)] = '\0';
    drop(text);
    drop(attribute);
    api.error_restore(type, value, trace);
    if (!name[0] || !sp_gate_enter())
        return;
    sp_live_name(sp_session_region(), self, name);
    sp_gate_leave();
}

void sp_hook_python_sets_signal(const void *caller)
{
    uintptr_t ts;
    if (SP_LIKELY((uintptr_t)caller - sp_py.setsig >= sp_py.setsig_end - sp_py.setsig))
        return;
    struct sp_live *self = sp_session_is_running() && sp_py.layout ? sp_session_self : NULL;
    if (!self || !has_api || !has_modules || sp_py_own_tstate(&ts) != SP_PY_FINALIZING || !ts)
        return;
    int saved = errno;
    read_last_name(self);
    errno = saved;
}
