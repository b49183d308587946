/* SPDX-License-Identifier: MIT
 * Fuzz target: symbol tables of files that hold anything. Every search ends, and names are strings. Input: the file; four bytes of
 * it say which functions are wanted. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "compat/symbols.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void named(void *arg, uint32_t i, const char *name)
{
    if (i >= 3 || strlen(name) > 1023 || !name[0])
        abort();
    (*(uint32_t *)arg)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    static uint8_t head[20] = {0x7f, 'E', 'L', 'F', 2, 1, 1}, id[2] = {0xab, 0xcd}, sizes[64];
    static char path[] = "/proc/self/fd/200";
    static uint8_t scratch[4096];
    struct sp_symbol wanted[3] = {{.start = 0}, {.start = 16}, {.start = 4096}};
    uint32_t n = 0;
    if (size < 64)
        return 0;
    if (fd < 0) {
        fd = memfd_create("symbols", 0);
        if (dup2(fd, 200) != 200)
            abort();
    }
    memcpy(sizes, data, sizeof sizes); /* a header whose sizes are right: what else it says is the input's */
    memcpy(sizes, head, 7);
    sizes[54] = 56, sizes[55] = 0, sizes[58] = 64, sizes[59] = 0;
    if (ftruncate(200, 0) != 0 || pwrite(200, data, size, 0) != (ssize_t)size ||
        pwrite(200, sizes, sizeof sizes, 0) != sizeof sizes)
        abort();
    struct sp_symbols s = {.path = path, .wanted = wanted, .n = 3, .scratch = scratch, .n_scratch = sizeof scratch};
    if (data[9] & 1)
        s.build_id = id, s.n_build_id = 2;
    uint32_t found = sp_symbols_name(&s, named, &n);
    if (found != n || found > 3)
        abort();
    return 0;
}
