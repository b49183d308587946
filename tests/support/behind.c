/* SPDX-License-Identifier: MIT
 * A library that a program is linked to, with a signal() that does what libc's does, by libc's: as libjsig's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>

typedef void handler_fn(int);

__attribute__((visibility("default"))) handler_fn *signal(int sig, handler_fn *handler)
{
    handler_fn *(*next)(int, handler_fn *) = (handler_fn * (*)(int, handler_fn *)) dlsym(RTLD_NEXT, "signal");
    return next(sig, handler);
}
