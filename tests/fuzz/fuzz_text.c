/* SPDX-License-Identifier: MIT
 * Fuzz target: a str of any kind and content is read as valid UTF-8 within its bounds. Input: layout, kind, ascii flag,
 * cap, characters. The characters end where the mapping ends. */
#include <stdlib.h>
#include <sys/mman.h>

#include "tests/support/fake_python.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_utf8(const unsigned char *s, uint32_t n)
{
    for (uint32_t i = 0; i < n;) {
        uint32_t more = s[i] < 0x80                   ? 0
                        : s[i] >= 0xc2 && s[i] < 0xe0 ? 1
                        : s[i] >= 0xe0 && s[i] < 0xf0 ? 2
                        : s[i] >= 0xf0 && s[i] < 0xf8 ? 3
                                                      : 9;
        if (more == 9 || i + more >= n || s[i] == 0)
            return false;
        for (uint32_t k = 1; k <= more; k++)
            if ((s[i + k] & 0xc0) != 0x80)
                return false;
        i += more + 1;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t *pages;
    static char out[4160];
    if (size < 4)
        return 0;
    if (!pages) { /* the page behind cannot be read */
        pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        mprotect(pages + 2 * 4096, 4096, PROT_NONE);
    }
    const struct sp_py_layout *l = &sp_py_layouts[data[0] % sp_py_n_layouts];
    uint32_t kind = 1u << data[1] % 3, ascii = kind == 1 && data[2] & 1, cap = 8 + data[3] * 4u;
    size_t n = (size - 4) / kind, bytes = n * kind;
    if (bytes > 4096)
        return 0;
    sp_py.layout = l;
    uint8_t *chars = pages + 2 * 4096 - bytes;
    uintptr_t str = (uintptr_t)chars - (ascii ? l->uni_ascii : l->uni_compact);
    if (str & 3)
        return 0;
    memcpy(chars, data + 4, bytes);
    fake_put(str + l->uni_length, n);
    fake_put32(str + l->uni_state, (kind | 8u | ascii << 4) << l->uni_kind_bit);
    uint32_t written = sp_py_text(str, out, cap);
    if (written > cap || (!ascii && kind == 4 ? false : !is_utf8((unsigned char *)out, written) && !ascii))
        abort();
    return 0;
}
