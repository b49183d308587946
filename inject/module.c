/* SPDX-License-Identifier: MIT
 * See module.h. What the module does is told in python/spprof.py, which lies in the library as text and is compiled when it is
 * imported; here are the functions below it. CPython's own are called by name: only when the module is imported is any of them
 * looked up but the two that offer it. Who calls a function of ours holds the GIL, if there is one; it is let go while we work. */
#include "inject/module.h"

#include <string.h>

#include "compat/diag.h"
#include "compat/os.h"
#include "compat/py.h"
#include "compat/py_module.h"
#include "compat/version.h"
#include "inject/python.h"
#include "inject/python_source.h"
#include "inject/window.h"
#include "sampler/adopt.h"
#include "sampler/gate.h"
#include "sampler/span.h"
#include "writers/writer.h"

#define NAME "spprof"
#define FILE_INPUT 257 /* Py_file_input */

/* field, result, parameters, CPython's name */
#define CALLS(_)                                                                            \
    _(module_dict, void *, (void *module), "PyModule_GetDict")                              \
    _(set_item, int, (void *dict, const char *key, void *value), "PyDict_SetItemString")    \
    _(builtins, void *, (void), "PyEval_GetBuiltins")                                       \
    _(compile, void *, (const char *text, const char *file, int start), "Py_CompileString") \
    _(evaluate, void *, (void *code, void *globals, void *locals), "PyEval_EvalCode")       \
    _(decref, void, (void *object), "Py_DecRef")                                            \
    _(release_gil, void *, (void), "PyEval_SaveThread")                                     \
    _(take_gil, void, (void *state), "PyEval_RestoreThread")                                \
    _(parse, int, (void *arguments, const char *format, ...), "PyArg_ParseTuple")           \
    _(build, void *, (const char *format, ...), "Py_BuildValue")                            \
    _(bytes, void *, (const char *data, intptr_t n), "PyBytes_FromStringAndSize")           \
    _(path, void *, (const char *text), "PyUnicode_DecodeFSDefault")                        \
    _(list, void *, (intptr_t n), "PyList_New")                                             \
    _(append, int, (void *list, void *item), "PyList_Append")                               \
    _(variable, void *, (const char *name, void *value), "PyContextVar_New")                \
    _(context, void *, (void), "PyContext_New")                                             \
    _(interpreter, void *, (void), "PyInterpreterState_Get")                                \
    _(interpreter_dict, void *, (void *interpreter), "PyInterpreterState_GetDict")          \
    _(get_item, void *, (void *dict, const char *key), "PyDict_GetItemString")

static struct {
#define FIELD(field, result, parameters, name) result(*field) parameters;
    CALLS(FIELD)
} py; /* Threads: by who imports the module first; others write the same */

static const char *find_calls(void)
{
    static const char *const names[] = {
#define LISTED(field, result, parameters, name) name,
        CALLS(LISTED)};
    void *found[SP_ARRAY_LEN(names)];
    _Static_assert(sizeof found == sizeof py, "one name for each");
    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++)
        if (!(found[i] = sp_python_symbol(names[i])))
            return names[i];
    memcpy(&py, found, sizeof py);
    return NULL;
}

/* ---- the functions */
/* A new reference to `object`, of which the caller's goes. */
static int add(void *list, void *object)
{
    int rc = object ? py.append(list, object) : -1;
    if (object)
        py.decref(object);
    return rc;
}

/* (result, [bytes of a profile in each format that was wanted]) */
static void *told(enum sp_window result, struct sp_written *w)
{
    void *list = py.list(0);
    int rc = list ? 0 : -1;
    for (size_t i = 0; sp_writer_at(i) && rc == 0; i++)
        if (w->formats >> i & 1)
            rc = add(list, py.bytes(w->text[i], (intptr_t)w->bytes[i])); /* NULL: zeroes, none of them */
    sp_written_release(w);
    if (rc == 0)
        return py.build("(iN)", (int)result, list);
    if (list)
        py.decref(list);
    return NULL;
}

static void *start(void *module, void *arguments)
{
    unsigned long long interval_ns, memory_bytes;
    (void)module;
    if (!py.parse(arguments, "KK", &interval_ns, &memory_bytes))
        return NULL;
    struct sp_recording_wish wish = {interval_ns, memory_bytes};
    void *state = py.release_gil();
    enum sp_window result = sp_window_open(&wish);
    py.take_gil(state);
    return py.build("i", (int)result);
}

static void *stop(void *module, void *unused)
{
    struct sp_written w = {.formats = SP_WRITTEN_ALL};
    (void)module;
    (void)unused;
    void *state = py.release_gil();
    enum sp_window result = sp_window_close(&w);
    py.take_gil(state);
    return told(result, &w);
}

static void *is_active(void *module, void *unused)
{
    (void)module;
    (void)unused;
    return py.build("i", sp_window_is_open());
}

/* Of the window, or of all that is recorded, in the format of this number. */
static void *look(void *module, void *arguments)
{
    int whole;
    unsigned int format;
    (void)module;
    if (!py.parse(arguments, "pI", &whole, &format))
        return NULL;
    struct sp_written w = {.formats = 1u << format % SP_WINDOW_FORMATS};
    void *state = py.release_gil();
    enum sp_window result = sp_window_look(whole, &w);
    py.take_gil(state);
    return told(result, &w);
}

/* The file that the profile so far was written to; None: there is none. */
static void *snapshot(void *module, void *unused)
{
    char path[SP_PATH_BYTES];
    (void)module;
    (void)unused;
    void *state = py.release_gil();
    sp_window_publish(path);
    py.take_gil(state);
    return path[0] ? py.path(path) : py.build("");
}

/* The calling thread gets an entry now, if nobody saw it begin. */
static void *register_thread(void *module, void *unused)
{
    (void)module;
    (void)unused;
    if (!sp_session_self && sp_gate_enter()) {
        struct sp_region *r = sp_session_region();
        if (r)
            sp_adopt_scan(r, sp_os_mono_ns());
        sp_gate_leave();
    }
    return py.build("");
}

/* ---- spans */
/* Threads: any sets them, and they stay set. */
static bool sees_spans, is_said;

/* One an interpreter: who has an older import of the module goes by the same. A new reference. */
static void *variable_of_interpreter(void)
{
    static const char name[] = "spprof.span";
    void *kept = py.interpreter_dict(py.interpreter()), *variable = kept ? py.get_item(kept, name) : NULL;
    if (variable)
        return py.build("O", variable);
    void *none = py.build("");
    variable = none ? py.variable(name, none) : NULL;
    if (none)
        py.decref(none);
    if (variable && kept && py.set_item(kept, name, variable) != 0) {
        py.decref(variable);
        return NULL;
    }
    return variable;
}

/* (a context variable, an empty context) */
static void *span_objects(void *module, void *unused)
{
    (void)module;
    (void)unused;
    void *variable = variable_of_interpreter(), *context = variable ? py.context() : NULL;
    if (context)
        return py.build("(NN)", variable, context);
    if (variable)
        py.decref(variable);
    return NULL;
}

static void *span_learn(void *module, void *arguments)
{
    void *context, *variable, *value, *object;
    long long hash;
    unsigned int number;
    int is_alone;
    (void)module;
    if (!py.parse(arguments, "OOLOOIp", &context, &variable, &hash, &value, &object, &number, &is_alone))
        return NULL;
    struct sp_py_span_known known = {.context = (uintptr_t)context,
                                     .variable = (uintptr_t)variable,
                                     .value = (uintptr_t)value,
                                     .hash = hash,
                                     .number = (uintptr_t)object,
                                     .number_is = number};
    bool is_seen = sp_py_span_learn(&known, is_alone);
    if (is_seen && !is_alone)
        sp_store_release(&sees_spans, true);
    return py.build("i", is_seen);
}

static void *span_new(void *module, void *arguments)
{
    unsigned int within;
    const char *name;
    (void)module;
    if (!py.parse(arguments, "Is", &within, &name))
        return NULL;
    bool sees = sp_load_acquire(&sees_spans), said = false;
    if (!sees && sp_cas(&is_said, &said, true))
        sp_diag("spprof.span() has no effect; where this CPython keeps a thread's context is not known");
    return py.build("I", (unsigned int)(sees ? sp_span_new(within, name) : SP_SPAN_OTHER));
}

static void *facts(void *module, void *unused)
{
    const struct sp_config *c = sp_lifecycle_config();
    (void)module;
    (void)unused;
    void *list = py.list(0);
    for (size_t i = 0; list && sp_writer_at(i); i++) {
        const struct sp_writer_ops *f = sp_writer_at(i);
        if (add(list, py.build("(s[zzz]i)", f->key, f->suffixes[0], f->suffixes[1], f->suffixes[1] ? f->suffixes[2] : NULL,
                               (int)f->gzip)) != 0) {
            py.decref(list);
            return NULL;
        }
    }
    return list ? py.build("(sNiK)", SPPROF_VERSION, list, (int)c->native, (unsigned long long)(uintptr_t)sp_python_source)
                : NULL;
}

/* ---- import */
static int run(void *module)
{
    void *dict = py.module_dict(module);
    if (py.set_item(dict, "__builtins__", py.builtins()) != 0)
        return -1;
    void *code = py.compile(sp_python_source, "<" NAME ">", FILE_INPUT);
    void *result = code ? py.evaluate(code, dict, dict) : NULL;
    if (code)
        py.decref(code);
    if (result)
        py.decref(result);
    return result ? 0 : -1;
}

static const struct sp_py_method methods[] = {
    {"_start", start, SP_PY_ARGUMENTS, NULL},
    {"_stop", stop, SP_PY_NO_ARGUMENTS, NULL},
    {"_is_active", is_active, SP_PY_NO_ARGUMENTS, NULL},
    {"_look", look, SP_PY_ARGUMENTS, NULL},
    {"_snapshot", snapshot, SP_PY_NO_ARGUMENTS, NULL},
    {"_register", register_thread, SP_PY_NO_ARGUMENTS, NULL},
    {"_span_objects", span_objects, SP_PY_NO_ARGUMENTS, NULL},
    {"_span_learn", span_learn, SP_PY_ARGUMENTS, NULL},
    {"_span_new", span_new, SP_PY_ARGUMENTS, NULL},
    {"_facts", facts, SP_PY_NO_ARGUMENTS, NULL},
    {NULL, NULL, 0, NULL},
};

/* Threads: written at the start. */
static void *definition;
static void *(*begin_definition)(void *definition);

static void *begin_import(void)
{
    const char *missing = find_calls();
    if (!missing)
        return begin_definition(definition);
    sp_diag_join("import " NAME " is not possible; this CPython has no ", missing, "", "", "");
    return NULL; /* a SystemError */
}

static bool is_too_late(void)
{
    static const char *const asks[] = {"Py_IsInitialized", "_Py_IsCoreInitialized"};
    for (size_t i = 0; i < SP_ARRAY_LEN(asks); i++) {
        int (*is_so)(void) = (int (*)(void))sp_python_symbol(asks[i]);
        if (is_so && is_so())
            return true;
    }
    return false;
}

void sp_module_offer(void)
{
    int (*append)(const char *, void *(*)(void)) =
        (int (*)(const char *, void *(*)(void)))sp_python_symbol("PyImport_AppendInittab");
    begin_definition = (void *(*)(void *))sp_python_symbol("PyModuleDef_Init");
    if (!sp_py.layout)
        return; /* that it is not known is said */
    if (append && begin_definition && !is_too_late()) {
        definition = sp_py_module_definition(NAME, methods, run);
        if (append(NAME, begin_import) == 0)
            return;
    }
    sp_diag("import spprof is not possible; this CPython takes no module of ours");
}
