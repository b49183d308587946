/* SPDX-License-Identifier: MIT
 * Fuzz target: compressed files, whole and their beginning. What is found of a beginning is what the whole begins with. Input: a byte
 * that says whether it is a gzip file or bare data, one of how much room there is, the file. */
#include <stdlib.h>
#include <string.h>

#include "inject/command/gunzip.h"
#include "inject/command/inflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int is_so)
{
    if (!is_so)
        abort();
}

static void bare(const uint8_t *data, size_t n, size_t room)
{
    char *tight = malloc(room + 1);
    struct sp_inflate all = {.in = data, .end = data + n, .most = 1 << 20},
                      some = {.in = data, .end = data + n, .out = tight, .cap = room, .most = room};
    enum sp_inflated of_all = sp_inflate(&all), of_some = sp_inflate(&some);
    must(all.in <= all.end && all.n <= all.most && some.n <= room && some.n <= all.n);
    must(!some.n || memcmp(some.out, all.out, some.n) == 0);
    must(of_some == SP_INFLATED_FULL || of_some == of_all);
    free(tight);
    free(all.out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t n = size - 2, room = data[1];
    if (data[0] % 2 == 0) {
        bare(data + 2, n, room);
        return 0;
    }
    char *text = malloc(n + 1), *begin = malloc(room + 1);
    memcpy(text, data + 2, n);
    text[n] = '\0';
    size_t found = sp_gunzip_begin(text, n, begin, room);
    must(found <= room);
    if (!sp_gunzip(&text, &n))
        must(text[n] == '\0' && found <= n && memcmp(text, begin, found) == 0);
    free(begin);
    free(text);
    return 0;
}
