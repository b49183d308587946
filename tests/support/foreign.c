/* SPDX-License-Identifier: MIT
 * A library that stands before libc and has functions of its own, which take eight words, under every name of waits.def and those below. What does
 * not begin with the word of foreign_wrong() goes on to libc's, for the programs that this is linked to call them as well. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>
#include <time.h>

typedef long words(long, long, long, long, long, long, long, long);

#define WORD(i) (0x0123456780000000l * (i) + 0x9876 + (i))

static int is_whole(const long *w)
{
    for (int i = 0; i < 8; i++)
        if (w[i] != WORD(i + 1))
            return 0;
    return 1;
}

#define SP_WAIT(type, name, shown, at, parameters, arguments, absent)                                                          \
    words foreign_##name __asm__(#name);                                                                                       \
    __attribute__((visibility("default"))) long foreign_##name(long a, long b, long c, long d, long e, long f, long g, long h) \
    {                                                                                                                          \
        static words *next;                                                                                                    \
        if (a == WORD(1))                                                                                                      \
            return is_whole((const long[]){a, b, c, d, e, f, g, h}) ? WORD(9) : 0;                                             \
        if (!next)                                                                                                             \
            next = (words *)dlsym(RTLD_NEXT, #name);                                                                           \
        return next(a, b, c, d, e, f, g, h);                                                                                   \
    }
#define SP_WAIT_ELSEWHERE(name)
#define PLAIN_WORDS             \
    SP_WAIT(, signal, , , , , ) \
    SP_WAIT(, raise, , , , , ) SP_WAIT(, pause, , , , , ) SP_WAIT(, system, , , , , ) SP_WAIT(, popen, , , , , )
#include "inject/waits.def"
PLAIN_WORDS
#undef SP_WAIT

static const char *const names[] = {
#define SP_WAIT(type, name, shown, at, parameters, arguments, absent) #name,
#include "inject/waits.def"
    PLAIN_WORDS
#undef SP_WAIT
};

/* Calls each where the program finds it. The name of one that does not do what it is to; NULL: all do. */
const char *foreign_wrong(void)
{
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        words *f = (words *)dlsym(RTLD_DEFAULT, names[i]);
        if (f(WORD(1), WORD(2), WORD(3), WORD(4), WORD(5), WORD(6), WORD(7), WORD(8)) != WORD(9))
            return names[i];
    }
    return NULL;
}
