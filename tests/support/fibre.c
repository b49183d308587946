/* SPDX-License-Identifier: MIT
 * A stack that is not the thread's own, as fibres, segmented stacks and wasm engines have: what is called runs there. Memory
 * for it is mapped when the library is loaded, above the stacks of threads that are made later. */
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>

#define POOL_BYTES (1ul << 20)

void call_on_fibre(void (*f)(void));
void spin_on_fibre(int ms);

static char *pool;
static __thread ucontext_t here, there;
static __thread void (*call)(void);
static __thread int spin_ms_wanted;

__attribute__((constructor)) static void make_pool(void)
{
    pool = mmap(NULL, POOL_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void body(void)
{
    call();
}

void call_on_fibre(void (*f)(void))
{
    call = f;
    getcontext(&there);
    there.uc_stack.ss_sp = pool;
    there.uc_stack.ss_size = POOL_BYTES;
    there.uc_link = &here;
    makecontext(&there, body, 0);
    swapcontext(&here, &there);
}

static long long cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void spin(void)
{
    long long end = cpu_ns() + spin_ms_wanted * 1000000ll;
    while (cpu_ns() < end)
        ;
}

void spin_on_fibre(int ms)
{
    spin_ms_wanted = ms;
    call_on_fibre(spin);
}
