/* SPDX-License-Identifier: MIT
 * See identity.h. */
#include "inject/identity.h"

#include <string.h>

#include "compat/buf.h"
#include "compat/os.h"
#include "compat/py.h"
#include "compat/real.h"
#include "inject/run.h"
#include "sampler/engine.h"

/* Threads: written at the start. */
static char process_name[16]; /* by the system, when the profile began */
static char program[1024];    /* argv[0], copied before the program can write a title into its bytes */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* ---- is this CPython's own launcher? */
bool sp_identity_is_launcher_name(const char *path)
{
    const char *name = base_name(path);
    if (strncmp(name, "python", 6) != 0)
        return false;
    name += 6;
    name += strspn(name, "0123456789.");
    name += strspn(name, "dmtu"); /* debug, pymalloc, free-threaded, wide unicode */
    return strcmp(name, "") == 0 || strcmp(name, "-dbg") == 0 || strcmp(name, " (deleted)") == 0;
}

/* By the file that runs, which argv[0] and links say nothing about; a program that embeds an interpreter and is
 * called python gives its arguments to something else than these (Programs/python.c, since 3.8, 3.7, before). */
static bool is_launcher(void)
{
    char path[1024];
    return sp_os_executable(path, sizeof path) == 0 && sp_identity_is_launcher_name(path) &&
           (sp_real_program_names("Py_BytesMain") || sp_real_program_names("_Py_UnixMain") || sp_real_program_names("Py_Main"));
}

/* ---- what %e stands for */
static void set_name(struct sp_identity *i, const char *name, size_t n)
{
    struct sp_buf b = sp_buf_at(i->script, sizeof i->script);
    for (; n && *name == '-'; n--) /* a file name that begins so is taken for an option by everything else */
        name++;
    sp_buf_mem(&b, name, n);
}

static void set_script(struct sp_identity *i, const char *path)
{
    const char *end = path + strlen(path), *base, *dot;
    for (int up = 0; up < 2; up++) {
        while (end > path && end[-1] == '/')
            end--;
        for (base = end; base > path && base[-1] != '/'; base--)
            ;
        if (end - base != 11 || memcmp(base, "__main__.py", 11) != 0 || base == path)
            break;
        end = base; /* a package is known by its directory */
    }
    for (dot = end; dot > base && *dot != '.'; dot--)
        ;
    bool python = dot > base && end - dot >= 3 && end - dot <= 4 && memcmp(dot, ".py", 3) == 0; /* .pyz, .pyc */
    size_t n = (size_t)((python ? dot : end) - base);
    set_name(i, base, n && base[0] != '.' ? n : 0);
}

/* ---- the command line */
/* A word of CPython's options (Python/getopt.c): the letter among c, m, X, W that takes what follows it as its
 * value, 0 if there is none. *at: where the value begins in the word; at its end: the next word is it. */
static char option_with_value(const char *word, size_t *at)
{
    *at = strlen(word);
    if (word[1] == '-')
        return strcmp(word, "--check-hash-based-pycs") == 0 ? 'X' : '\0';
    size_t n = 1 + strcspn(word + 1, "cmXW");
    if (!word[n])
        return '\0';
    *at = n + 1;
    return word[n];
}

struct cut {
    struct sp_identity *i;
    struct sp_buf b;
    char pending;   /* the option whose value comes next; 0: none */
    bool no_option; /* "--" was seen */
};

static void keep(struct cut *c, const char *word, size_t n)
{
    sp_buf_mem(&c->b, word, n);
    sp_buf_char(&c->b, '\0');
}

/* Processes that multiprocessing and its like start by -c differ in the module that they begin with: it stands in
 * brackets in the command's place. Nothing else of the code is shown. */
static void set_code(struct cut *c, const char *code, size_t n)
{
    static const char *const helpers[] = {"spawn", "forkserver", "resource_tracker", "semaphore_tracker"};
    if (n > 12 && memcmp(code, "import sys; ", 12) == 0) /* 3.15's forkserver */
        code += 12, n -= 12;
    const char *module = code + 5, *end = module;
    bool from = n > 5 && memcmp(code, "from ", 5) == 0;
    for (; from && end < code + n && *end && !strchr(" ;(\n", *end); end++)
        if (*end == '.')
            module = end + 1;
    for (size_t k = 0; from && k < SP_ARRAY_LEN(helpers); k++)
        if (module > code + 5 && strlen(helpers[k]) == (size_t)(end - module) &&
            memcmp(helpers[k], module, (size_t)(end - module)) == 0) {
            set_name(c->i, module, (size_t)(end - module));
            sp_buf_char(&c->b, '(');
            sp_buf_str(&c->b, helpers[k]);
            keep(c, ")", 1);
            return;
        }
    set_name(c->i, "command", 7);
}

/* Takes a word behind argv[0]. False: what follows is not the interpreter's. */
static bool take(struct cut *c, const char *word, size_t len)
{
    char option = c->pending;
    size_t value = 0;
    c->pending = '\0';
    if (!option) {
        bool is_stdin = strcmp(word, "-") == 0;
        if (is_stdin || c->no_option || word[0] != '-') {
            keep(c, word, len);
            if (is_stdin)
                set_name(c->i, "stdin", 5);
            else
                set_script(c->i, word);
            return false;
        }
        c->no_option = strcmp(word, "--") == 0;
        option = option_with_value(word, &value);
        keep(c, word, option == 'c' ? value : len);
        if (!option)
            return true;
        if (value == len) {
            c->pending = option;
            return true;
        }
    } else if (option != 'c') {
        keep(c, word, len);
    }
    if (option == 'm')
        set_name(c->i, word + value, len - value);
    if (option == 'c')
        set_code(c, word + value, len - value);
    return option != 'm' && option != 'c';
}

void sp_identity_cut_command(struct sp_identity *i, const char *line, size_t n)
{
    memset(i->argv, 0, sizeof i->argv);
    i->script[0] = '\0';
    struct cut c = {.i = i, .b = sp_buf_at(i->argv, sizeof i->argv - 1)};
    bool more = true;
    for (size_t at = 0, len; at < n && more; at += len + 1) {
        len = strnlen(line + at, n - at);
        if (len == n - at && c.pending != 'c') /* cut off: not all of it is known */
            break;
        if (at == 0) {
            keep(&c, line, len);
            set_script(i, line);
        } else if (len == n - at) {
            set_code(&c, line + at, len);
        } else {
            more = take(&c, line + at, len);
        }
    }
}

void sp_identity_note_program(void)
{
    SP_BUF(b, program);
    sp_buf_str(&b, sp_real_program_name());
}

void sp_identity_read(struct sp_identity *i)
{
    static char line[4096];
    long n = is_launcher() ? sp_os_command_line(line, sizeof line) : 0;
    if (n > 0)
        sp_identity_cut_command(i, line, (size_t)n);
    else
        sp_identity_cut_command(i, program, strlen(program) + 1);
    sp_os_hostname(i->host, sizeof i->host);
    i->run_ns = sp_run_started_ns();
    sp_os_thread_name(process_name);
}

static bool matches(const char *p, const char *end, const char *s)
{
    const char *star = NULL, *again = NULL; /* behind the last *, and where it was last tried */
    for (;;) {
        if (p < end && *p == '*') {
            star = ++p;
            again = s;
        } else if (*s == '\0') {
            return p == end;
        } else if (p < end && (*p == '?' || *p == *s)) {
            p++, s++;
        } else if (star) {
            p = star;
            s = ++again;
        } else {
            return false;
        }
    }
}

bool sp_identity_is_one_of(const struct sp_identity *i, const char *globs)
{
    for (const char *p = globs;; p++) {
        p += strspn(p, " ");
        const char *next = p + strcspn(p, ","), *end = next;
        while (end > p && end[-1] == ' ')
            end--;
        if (matches(p, end, *i->script ? i->script : "python"))
            return true;
        if (!*(p = next))
            return false;
    }
}

void sp_identity_copy(struct sp_region *r, const struct sp_identity *i)
{
    memcpy(r->argv, i->argv, sizeof r->argv);
    memcpy(r->host, i->host, sizeof r->host);
    r->run_ns = i->run_ns;
    memcpy(r->python, sp_py.version, sizeof r->python);
    memcpy(r->build, sp_py.build, sizeof r->build);
    size_t k = 0;
    for (; sp_engine->name[k] && k + 1 < sizeof r->engine; k++)
        r->engine[k] = sp_engine->name[k];
    r->engine[k] = '\0';
}

/* Threads are born with the name of the thread that made them, as a rule the process's: what it was when the
 * process began, or is now (setproctitle). That is no name of their own. */
static void drop_process_name(char name[16])
{
    char process[16];
    if (name[0] && strcmp(name, process_name) != 0) {
        sp_os_thread_name_of(0, process);
        if (strcmp(name, process) != 0)
            return;
    }
    name[0] = '\0';
}

void sp_identity_thread_name_of(int tid, char name[16])
{
    sp_os_thread_name_of(tid, name);
    drop_process_name(name);
}

void sp_identity_thread_ends(struct sp_live *l)
{
    char name[16];
    /* CPython from 3.14 on tells the system the first 15 bytes of a thread's name, also of one that it gives itself
     * later: for builds without a GIL, where nothing else tells. */
    bool told = sp_py.minor >= 14 && !l->name_place;
    if (l->name[0] && !told)
        return;
    sp_os_thread_name(name);
    /* Without a look at the process's name of now: a sandbox may forbid to open files. */
    if (strcmp(name, process_name) == 0 || strcmp(name, l->born_as) == 0)
        return;
    size_t n = strlen(name);
    if (n && strncmp(l->name, name, n) != 0)
        memcpy(l->name, name, n + 1);
}
