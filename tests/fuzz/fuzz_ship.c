/* SPDX-License-Identifier: MIT
 * Fuzz target: what spprof ship takes apart: pprof files in a directory, the difference of two, and a receiver's reply. What is put
 * together again is the same. Input: a byte that says which, one that says where the second file begins, the files. */
#include <stdlib.h>
#include <string.h>

#include "inject/command/ship_message.h"
#include "inject/command/ship_otlp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int is_so)
{
    if (!is_so)
        abort();
}

/* Of bare bytes: behind a sum of all of them little would be reached. */
static bool take(struct sp_message *m, const uint8_t *data, size_t n)
{
    struct sp_bytes file = {0};
    sp_bytes_add(&file, data, n);
    bool is_one = !sp_message_read(m, &file);
    sp_bytes_free(&file);
    return is_one;
}

static void again(const struct sp_message *m)
{
    struct sp_message second;
    struct sp_bytes file = {0};
    sp_message_write(m, &file);
    must(!sp_message_read(&second, &file) && second.n_samples <= m->n_samples);
    for (uint32_t i = 0; i < m->n_types; i++)
        must(sp_message_total(&second, i) == sp_message_total(m, i));
    sp_bytes_free(&file);
    sp_message_free(&second);
}

static void files(const uint8_t *first, size_t n_first, const uint8_t *second, size_t n_second)
{
    struct sp_message m, before;
    struct sp_bytes request = {0};
    struct sp_resource of = {.n = 0};
    uint64_t id[2];
    bool is_one = take(&m, first, n_first), is_other = take(&before, second, n_second);
    if (is_one) {
        sp_message_identity(&m, id);
        sp_resource_add(&of, &m, "host");
        sp_otlp_write(&m, &of, &request);
        again(&m);
        if (is_other)
            sp_message_subtract(&m, &before);
        again(&m);
    }
    sp_bytes_free(&request);
    sp_resource_free(&of);
    sp_message_free(&before);
    sp_message_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sp_text told = {"", 0};
    if (size < 2)
        return 0;
    size_t n = size - 2, first = n * data[1] / 255;
    data += 2;
    if (data[-2] % 4 == 3)
        sp_otlp_rejected(data, n, data[-1] % 2, &told);
    else
        files(data, data[-2] % 4 ? first : n, data + (data[-2] % 4 ? first : 0), data[-2] % 4 ? n - first : n);
    return 0;
}
