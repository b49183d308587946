/* SPDX-License-Identifier: MIT
 * A library's or debug file's headers, as far as telling whose it is and finding a section in it. Files are read, not mapped. */
#ifndef SP_INJECT_COMMAND_ELF_FILE_H
#define SP_INJECT_COMMAND_ELF_FILE_H

#include <elf.h>
#include <stdbool.h>

#include "compat/build_id.h"

struct sp_elf_file {
    int fd;
    uint64_t size, device, inode;
    uint64_t low; /* the address in the file of what is the module's beginning in memory */
    uint8_t build_id[SP_BUILD_ID_MAX];
    uint32_t n_build_id; /* 0: it has none */
    Elf64_Ehdr header;
};

/* [any] False: there is no such file, or it is no 64-bit ELF file of this byte order. */
bool sp_elf_file_open(struct sp_elf_file *f, const char *path);
void sp_elf_file_close(struct sp_elf_file *f);

/* [any] Where a section is, with its bytes in the file; false: it has none of that name, or not in the file. */
bool sp_elf_file_section(const struct sp_elf_file *f, const char *name, uint64_t *at, uint64_t *bytes);

/* [any] All of the n bytes, or false. */
bool sp_elf_file_read(const struct sp_elf_file *f, uint64_t at, void *p, size_t n);

#endif
