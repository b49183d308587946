/* SPDX-License-Identifier: MIT
 * A plug-in that is linked with libpython: its constructor waits for a thread that initialises Python and runs a script in it,
 * whose name is in HOSTED_SCRIPT. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

extern int Py_NoSiteFlag;
extern void Py_Initialize(void);
extern int PyRun_SimpleString(const char *);
extern void *PyEval_SaveThread(void);

static void *run(void *x)
{
    static char text[1 << 16];
    FILE *f = fopen(getenv("HOSTED_SCRIPT"), "rb");
    if (!f || !fread(text, 1, sizeof text - 1, f))
        exit(4);
    fclose(f);
    Py_NoSiteFlag = 1;
    Py_Initialize();
    if (PyRun_SimpleString(text) != 0)
        exit(6);
    PyEval_SaveThread();
    return x;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t t;
    if (pthread_create(&t, NULL, run, NULL) || pthread_join(t, NULL))
        exit(5);
}
