/* SPDX-License-Identifier: MIT
 * A C program that opens and closes libraries while threads come and go. usage: opens ROUNDS THREADS [LIBRARY...]
 * Says whether something left a message for dlerror() before it began. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static char **libraries;
static int rounds;

static void *nothing(void *x)
{
    return x;
}

static void *open_and_close(void *x)
{
    for (int i = 0; i < rounds; i++)
        for (char **library = libraries; *library; library++) {
            void *handle = dlopen(*library, RTLD_NOW | RTLD_LOCAL);
            pthread_t t;
            if (!handle || pthread_create(&t, NULL, nothing, NULL) || pthread_detach(t) || dlclose(handle))
                exit(5);
        }
    return x;
}

int main(int argc, char **argv)
{
    const char *message = dlerror();
    if (argc < 3)
        return 2;
    rounds = atoi(argv[1]);
    int n = atoi(argv[2]);
    pthread_t threads[16];
    libraries = argv + 3;
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, open_and_close, NULL))
            return 3;
    open_and_close(NULL);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    printf("done %s\n", message ? message : "");
    return 0;
}
