/* SPDX-License-Identifier: MIT
 * A C program that runs Python scripts in a libpython, and runs on.
 * usage: embed HOW SCRIPT [LIBPYTHON]
 *   once, twice          dlopen()ed with RTLD_GLOBAL; or linked, when compiled with -DLINKED
 *   close                dlopen()ed with RTLD_GLOBAL, and closed after
 *   local, deep, space   dlopen()ed with RTLD_LOCAL; also RTLD_DEEPBIND; dlmopen()ed into a namespace of its own
 *   title                dlopen()ed, after its argv was overwritten by a title
 *   keys                 as once, by a program that has made 40 pthread keys before
 *   main                 linked: Py_BytesMain, as python itself does */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 1 << 16);
    if (!f || !text || fread(text, 1, (1 << 16) - 1, f) == 0)
        exit(4);
    fclose(f);
    return text;
}

static void burn(double seconds)
{
    clock_t end = clock() + (clock_t)(seconds * CLOCKS_PER_SEC);
    while (clock() < end)
        ;
}

#ifdef LINKED
extern void Py_Initialize(void);
extern int Py_FinalizeEx(void);
extern int PyRun_SimpleString(const char *);
extern int Py_BytesMain(int, char **);
#else
static void (*Py_Initialize)(void);
static int (*Py_FinalizeEx)(void);
static int (*PyRun_SimpleString)(const char *);

static void *lib;

static void load(const char *how, const char *path)
{
    if (strcmp(how, "space") == 0)
        lib = dlmopen(LM_ID_NEWLM, path, RTLD_NOW);
    else
        lib = dlopen(path, strcmp(how, "local") == 0  ? RTLD_NOW | RTLD_LOCAL
                           : strcmp(how, "deep") == 0 ? RTLD_NOW | RTLD_GLOBAL | RTLD_DEEPBIND
                                                      : RTLD_NOW | RTLD_GLOBAL);
    if (!lib) {
        fprintf(stderr, "%s\n", dlerror());
        exit(3);
    }
    Py_Initialize = (void (*)(void))dlsym(lib, "Py_Initialize");
    Py_FinalizeEx = (int (*)(void))dlsym(lib, "Py_FinalizeEx");
    PyRun_SimpleString = (int (*)(const char *))dlsym(lib, "PyRun_SimpleString");
}
#endif

/* As servers do: the title takes the place of all arguments. */
static void write_title(int argc, char **argv)
{
    size_t room = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) + 1 - argv[0]);
    char *script = strdup(argv[2]), *library = strdup(argv[3]);
    memset(argv[0], 0, room);
    snprintf(argv[0], room, "server: --token=SECRET");
    argv[1] = "title";
    argv[2] = script;
    argv[3] = library;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    if (strcmp(argv[1], "title") == 0)
        write_title(argc, argv);
#ifdef LINKED
    if (strcmp(argv[1], "main") == 0)
        return Py_BytesMain(2, (char *[]){argv[0], argv[2], NULL});
#else
    int (*create)(pthread_key_t *, void (*)(void *)) = dlsym(RTLD_DEFAULT, "pthread_key_create");
    for (int i = 0; i < 40 && strcmp(argv[1], "keys") == 0; i++) {
        pthread_key_t key;
        create(&key, NULL);
    }
    load(argv[1], argv[3]);
#endif
    char *source = read_file(argv[2]);
    for (int i = 0; i < (strcmp(argv[1], "twice") == 0 ? 2 : 1); i++) {
        Py_Initialize();
        if (PyRun_SimpleString(source) != 0)
            return 5;
        Py_FinalizeEx();
        printf("round %d\n", i);
        fflush(stdout);
    }
#ifndef LINKED
    if (strcmp(argv[1], "close") == 0)
        dlclose(lib);
#endif
    burn(0.2);
    return 0;
}
