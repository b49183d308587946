/* SPDX-License-Identifier: MIT
 * What one warm sample costs beyond signal delivery and the clock: walk and intern, called in a loop. Loaded through
 * ctypes.PyDLL by scripts/bench at the bottom of a Python stack of the wanted depth. */
#include <dlfcn.h>
#include <sys/auxv.h>

#include "compat/os.h"
#include "compat/py.h"
#include "sampler/walk.h"
#include "tests/support/region.h"

double walk_ns(long rounds);

static struct sp_region *region;
static struct sp_live thread;

static bool prepare(void)
{
    if (!sp_py_probe(dlsym, RTLD_DEFAULT) || !sp_py.layout || !sp_os_probe_init() || !sp_py_tss_init())
        return false;
    sp_py_tss_learn_existing_key();
    region = region_new(100 << 20, 4096);
    thread.slot = region_thread(region, sp_os_gettid(), "");
    thread.stack_top = getauxval(AT_RANDOM);
    return true;
}

/* Nanoseconds a sample; negative: the stack could not be walked. */
double walk_ns(long rounds)
{
    if (!region && !prepare())
        return -1;
    uintptr_t sp = (uintptr_t)__builtin_frame_address(0);
    for (int i = 0; i < 100; i++)
        if (sp_walk_stack(region, &thread, sp, NULL).category != SP_CATEGORY_PYTHON)
            return -2;
    uint64_t start = sp_os_thread_cpu_ns();
    for (long i = 0; i < rounds; i++)
        sp_walk_stack(region, &thread, sp, NULL);
    return (double)(sp_os_thread_cpu_ns() - start) / (double)rounds;
}
