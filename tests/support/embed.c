/* SPDX-License-Identifier: MIT
 * A C program that dlopen()s libpython, runs a script in it once or twice, and runs on.
 * usage: embed LIBPYTHON once|twice|local SCRIPT */
#include <dlfcn.h>
#include <stdbool.h>
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

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    bool local = strcmp(argv[2], "local") == 0; /* its symbols are nobody else's */
    void *lib = dlopen(argv[1], RTLD_NOW | (local ? RTLD_LOCAL : RTLD_GLOBAL));
    if (!lib) {
        fprintf(stderr, "%s\n", dlerror());
        return 3;
    }
    void (*initialize)(void) = (void (*)(void))dlsym(lib, "Py_Initialize");
    int (*finalize)(void) = (int (*)(void))dlsym(lib, "Py_FinalizeEx");
    int (*run)(const char *) = (int (*)(const char *))dlsym(lib, "PyRun_SimpleString");
    char *source = read_file(argv[3]);
    for (int i = 0; i < (strcmp(argv[2], "twice") == 0 ? 2 : 1); i++) {
        initialize();
        if (run(source) != 0)
            return 5;
        finalize();
        printf("round %d\n", i);
        fflush(stdout);
    }
    burn(0.2);
    return 0;
}
