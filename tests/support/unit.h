/* SPDX-License-Identifier: MIT
 * Unit tests: each case runs in a child of its own; one can be run alone by name. */
#ifndef SP_TESTS_UNIT_H
#define SP_TESTS_UNIT_H

#include <stdio.h>
#include <stdlib.h>

struct unit_case {
    const char *name;
    void (*run)(void);
};

/* Each test program defines its table, ended by {NULL, NULL}. */
extern const struct unit_case unit_cases[];

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1);                                                               \
        }                                                                           \
    } while (0)

#define CHECK_EQ(a, b)                                                                        \
    do {                                                                                      \
        long long va = (long long)(a), vb = (long long)(b);                                   \
        if (va != vb) {                                                                       \
            fprintf(stderr, "%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #a, va, vb); \
            _exit(1);                                                                         \
        }                                                                                     \
    } while (0)

#define CHECK_STR(a, b)                                                                           \
    do {                                                                                          \
        const char *sa = (a), *sb = (b);                                                          \
        if (strcmp(sa, sb) != 0) {                                                                \
            fprintf(stderr, "%s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #a, sa, sb); \
            _exit(1);                                                                             \
        }                                                                                         \
    } while (0)

#endif
