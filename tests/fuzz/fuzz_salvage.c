/* SPDX-License-Identifier: MIT
 * Fuzz target: a region with any bytes changed is read back and written out. Input: patches {offset, value}, applied to a
 * small profile; or, with a first byte of 0, a whole file. */
#include <stdlib.h>

#include "inject/command/salvage.h"
#include "tests/support/region.h"
#include "writers/writer.h"

#define BYTES (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int sink(void *arg, const void *data, size_t n)
{
    (void)data;
    *(uint64_t *)arg += n;
    return 0;
}

static struct sp_region *profile(void)
{
    struct sp_region *r = region_new(BYTES, 64);
    struct sp_thread *t = region_thread(r, 1, "t"), *u = region_thread(r, 2, "u");
    uint32_t m = region_code(r, "m", "f.py", 1), n = region_code(r, "n", "f.py", 10);
    uint32_t sub = sp_intern_node(r, 0, sp_intern_frame(r, SP_FRAME_INTERPRETER, 3, 0));
    uint32_t task = sp_intern_node(r, 0, sp_intern_frame(r, SP_FRAME_TASK, sp_intern_string(r, "task a", 6), 0));
    uint32_t a = region_node(r, 0, m, 0), b = region_node(r, a, n, 4), c = region_node(r, sub, m, 2),
             d = region_node(r, task, n, 6);
    for (uint32_t i = 0; i < 100; i++)
        region_sample(r, i & 1 ? t : u, i % 3 ? b : i % 5 ? c : d, 1000000 + i, i * 1000000ull);
    sp_intern_total(r, 1, sub, 0, 1);
    sp_intern_total(r, 0, b, 5000, 2);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct sp_region *good, *into;
    static uint8_t *bytes;
    static uint64_t used;
    if (!good) {
        good = profile();
        used = sp_salvage_used(good);
        bytes = malloc(used);
        into = mmap(NULL, 2 * BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (size < 1)
        return 0;
    struct sp_salvage_source from = {bytes, bytes, used, NULL};
    if (data[0] == 0) {
        from = (struct sp_salvage_source){data + 1, data + 1, size - 1, NULL};
    } else {
        memcpy(bytes, good, used);
        for (size_t at = 1; at + 8 <= size; at += 8) {
            uint32_t offset, v;
            memcpy(&offset, data + at, 4);
            memcpy(&v, data + at + 4, 4);
            offset = (data[0] & 2 ? offset % 1024 : offset % (uint32_t)(used - 4)) & ~3u;
            memcpy(bytes + offset, &v, 4);
        }
    }
    if (!sp_salvage(into, 2 * BYTES, &from).error) {
        static char buffer[4096];
        uint64_t written = 0;
        struct sp_out out = {.sink = sink, .arg = &written, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
        into->lines = data[0] & 4;
        struct sp_profile p = sp_writer_profile(into);
        const struct sp_writer_ops *format = sp_writer_at((data[0] >> 3) % 5);
        if (sp_writer_write(format ? format : sp_writer_default(), "", &p, &out) == 0 && written < 30)
            abort();
    }
    madvise(into, 2 * BYTES, MADV_DONTNEED);
    return 0;
}
