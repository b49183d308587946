/* SPDX-License-Identifier: MIT
 * A C program with Python in it: what it works on is a span, and stands above all that its C and its Python do for that. It is profiled when
 * it runs under spprof, and works the same when it does not; nothing is linked for that.
 *
 *     cc host.c -o host $(pkg-config --cflags spprof) -ldl
 *     spprof run -o all.json ./host /usr/lib/x86_64-linux-gnu/libpython3.11.so.1.0
 *
 * leaves all.json, the whole run, and requests.json, what it did between spprof_start() and spprof_stop(). */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <spprof.h>

typedef void void_function(void);
typedef int run_function(const char *code);

static run_function *run_python; /* NULL: there is no Python */

/* ISO C has no cast between pointers to data and to functions; POSIX has them alike. */
static void *find(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (!found) {
        fprintf(stderr, "host: no %s\n", name);
        exit(1);
    }
    return found;
}

static void begin_python(const char *path)
{
    union {
        void *data;
        void_function *function;
        run_function *run;
    } f;
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        fprintf(stderr, "host: %s\n", dlerror());
        exit(1);
    }
    f.data = find(library, "Py_Initialize");
    f.function();
    f.data = find(library, "PyRun_SimpleString");
    run_python = f.run;
    run_python("def render(n):\n    return sum(i * i for i in range(n))\n");
}

static unsigned parse(void)
{
    clock_t end = clock() + CLOCKS_PER_SEC / 10;
    unsigned sum = 0;
    while (clock() < end)
        sum = sum * 31 + 1;
    return sum;
}

static void handle(const char *request)
{
    uint64_t span = spprof_span_begin(request);
    parse();
    if (run_python)
        run_python("render(1500000)");
    spprof_span_end(span);
}

int main(int argc, char **argv)
{
    struct spprof_figures stats;
    int result;
    if (argc > 1)
        begin_python(argv[1]);

    result = spprof_start(0, 0);
    handle("GET /index");
    handle("GET /report");
    if (result == SPPROF_DONE)
        result = spprof_stop("requests.json", &stats);

    if (result == SPPROF_DONE)
        printf("%.3f s of CPU are in requests.json\n", (double)stats.cpu_ns / 1e9);
    else
        printf("no profile: %s\n", spprof_reason(result));
    return 0;
}
