/* SPDX-License-Identifier: MIT
 * A program that is linked with libc and libdl only opens a library that brings libpthread, closes it and opens it again.
 * usage: late LIBRARY */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    for (int i = 0; i < 2; i++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        if (!library) {
            puts(dlerror());
            return 3;
        }
        dlclose(library);
    }
    puts("opened");
    return 0;
}
