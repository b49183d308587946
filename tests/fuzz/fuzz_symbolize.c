/* SPDX-License-Identifier: MIT
 * Fuzz target: what spprof symbolize reads itself, a profile's text and the headers of an ELF file. What it takes for a profile is one
 * again when names are put in. Input: a byte that says how the text is made, two with its length, the text, the file. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "inject/command/elf_file.h"
#include "inject/command/symbolize.h"

#define PATH "/proc/self/fd/200"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char text[1 << 16], again[1 << 20];
static size_t n_again;

static int sink(void *arg, const void *data, size_t n)
{
    (void)arg;
    if (n_again + n > sizeof again)
        return -28;
    memcpy(again + n_again, data, n);
    n_again += n;
    return 0;
}

static size_t make_text(int how, const uint8_t *data, size_t n)
{
    static const char *const parts[][2] = {
        {"", ""},
        {"{\"shared\":{\"frames\":[{\"name\":\"a\",\"file\":\"b\",\"line\":1},{},3]},\"profiles\":[],\"spprof\":{\"modules\":",
         "}}"},
        {"{\"shared\":{\"frames\":[{\"name\":\"a\"},{}]},\"profiles\":[],\"spprof\":{\"modules\":[{\"path\":\"" PATH
         "\",\"build_id\":\"abcd\"},{\"path\":\"x\"}],\"native\":",
         "}}"},
        {"{\"shared\":{\"frames\":",
         "},\"profiles\":[],\"spprof\":{\"modules\":[{\"path\":\"" PATH "\"}],\"native\":[[0,0,7]]}}"},
    };
    size_t head = strlen(parts[how][0]), tail = strlen(parts[how][1]);
    memcpy(text, parts[how][0], head);
    memcpy(text + head, data, n);
    memcpy(text + head + n, parts[how][1], tail);
    return head + n + tail;
}

static void read_text(size_t n)
{
    static char buffer[256], long_name[1500];
    struct sp_symbolize s;
    struct sp_out o = {.sink = sink, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    const char *error = sp_symbolize_read(&s, text, n);
    memset(long_name, '"', sizeof long_name - 1);
    for (uint32_t i = 0; !error && i < s.n_modules; i++)
        sp_symbolize_module(&s.modules[i], (const char *[]){NULL});
    for (uint32_t i = 0; !error && i < s.n_native; i += 2)
        if (!s.native[i].name)
            s.native[i].name = strdup(i % 4 ? long_name : "_ZN1a1bEv"), s.native[i].file = strdup("\xff\n");
    n_again = 0;
    struct sp_scan all = {.at = again, .end = again};
    if (!error && sp_symbolize_write(&s, &o) == 0) {
        all.end += n_again;
        sp_scan_value(&all);
        if (!sp_scan_ends(&all))
            abort();
    }
    sp_symbolize_close(&s);
}

static void read_file(void)
{
    struct sp_elf_file f;
    uint64_t at, bytes;
    if (!sp_elf_file_open(&f, PATH))
        return;
    if (f.n_build_id > SP_BUILD_ID_MAX || (sp_elf_file_section(&f, ".debug_line", &at, &bytes) && at + bytes > f.size))
        abort();
    sp_elf_file_close(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("symbolize", 0);
        if (dup2(fd, 200) != 200)
            abort();
    }
    if (size < 4 || size > sizeof text / 2)
        return 0;
    size_t n = (size_t)(data[1] | data[2] << 8) % (size - 3);
    const uint8_t *file = data + 3 + n;
    size_t left = size - 3 - n;
    uint8_t head[64] = {0};
    memcpy(head, file, left < sizeof head ? left : sizeof head);
    memcpy(head, "\177ELF\2\1\1", 7); /* a header whose sizes are right: what else it says is the input's */
    head[54] = 56, head[55] = 0, head[58] = 64, head[59] = 0;
    if (ftruncate(200, 0) != 0 || pwrite(200, file, left, 0) != (ssize_t)left ||
        pwrite(200, head, sizeof head, 0) != sizeof head)
        abort();
    read_text(make_text(data[0] % 4, data + 3, n));
    read_file();
    return 0;
}
