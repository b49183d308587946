/* SPDX-License-Identifier: MIT
 * A program of another processor under qemu's emulation, as if it ran by itself: beside this file, which is static so that nothing
 * is preloaded into it, lies NAME.guest. What the loader is told is told to the emulated one alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ROOT
#define ROOT "/usr/aarch64-linux-gnu"
#define QEMU "qemu-aarch64"
#endif

extern char **environ;

int main(int argc, char **argv)
{
    static char guest[4096 + 8];
    ssize_t n = readlink("/proc/self/exe", guest, 4096);
    size_t n_environment = 0;
    while (environ[n_environment])
        n_environment++;
    char **args = calloc((size_t)argc + 2 * n_environment + 8, sizeof *args), **at = args;
    char **env = calloc(n_environment + 1, sizeof *env), **kept = env;
    if (n <= 0 || !args || !env)
        return 127;
    memcpy(guest + n, ".guest", 7);
    *at++ = QEMU;
    *at++ = "-L";
    *at++ = ROOT;
    for (char **e = environ; *e; e++) {
        if (strncmp(*e, "LD_", 3) != 0) {
            *kept++ = *e;
            continue;
        }
        *at++ = "-E";
        *at++ = *e;
    }
    *at++ = "-0";
    *at++ = argv[0];
    *at++ = guest;
    memcpy(at, argv + 1, (size_t)argc * sizeof *at);
    execve(QEMU, args, env);
    perror(QEMU);
    return 127;
}
