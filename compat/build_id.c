/* SPDX-License-Identifier: MIT
 * See build_id.h. */
#include "compat/build_id.h"

#include <elf.h>
#include <string.h>

/* Notes are {name's bytes, content's bytes, type}, the name, the content, each padded to 4 bytes (gABI; for 8-byte alignment see
 * linux-abi's property notes, which are no build ids). */
uint32_t sp_build_id_in(const uint8_t *notes, uint64_t n, uint8_t id[SP_BUILD_ID_MAX])
{
    for (uint64_t at = 0; n - at >= sizeof(Elf64_Nhdr);) {
        Elf64_Nhdr h;
        memcpy(&h, notes + at, sizeof h);
        at += sizeof h;
        uint64_t name = ((uint64_t)h.n_namesz + 3) & ~3ull, content = ((uint64_t)h.n_descsz + 3) & ~3ull;
        if (name > n - at || h.n_descsz > n - at - name)
            return 0;
        if (h.n_type == NT_GNU_BUILD_ID && h.n_namesz == 4 && memcmp(notes + at, "GNU", 4) == 0) {
            uint32_t bytes = h.n_descsz < SP_BUILD_ID_MAX ? h.n_descsz : SP_BUILD_ID_MAX;
            memcpy(id, notes + at + name, bytes);
            return bytes;
        }
        if (content > n - at - name)
            return 0;
        at += name + content;
    }
    return 0;
}
