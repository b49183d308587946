/* SPDX-License-Identifier: MIT
 * A thread's own spans: against a list of what is open, at every instruction of a change, and with a handler's spans in between. */
#include <signal.h>
#include <unistd.h>

#include "compat/os.h"
#include "sampler/span.h"
#include "tests/support/region.h"
#include "tests/support/unit.h"

static struct sp_region *r;

/* The node of the spans that are open; 0: none. */
static uint32_t now(void)
{
    uint32_t root = 0;
    CHECK(sp_span_intern_thread(r, &root));
    return root;
}

static uint32_t node_of(uint32_t parent, const char *frame)
{
    return sp_intern_node(r, parent, sp_intern_frame(r, SP_FRAME_TASK, sp_intern_string(r, frame, (uint32_t)strlen(frame)), 0));
}

/* ---- against a list */
enum { OPEN_MOST = 40, CHANGES = 200000, NAMES = 3 };
static struct {
    uint64_t token;
    uint32_t name;
} open_now[OPEN_MOST];
static uint32_t n_open;

static uint32_t expected(void)
{
    static const char *const frames[NAMES] = {"span a", "span b", "span c"};
    uint32_t node = 0;
    for (uint32_t i = 0; i < n_open && i < SP_SPAN_DEPTH; i++)
        node = node_of(node, frames[open_now[i].name]);
    return node;
}

static void end(uint64_t token)
{
    sp_span_end(token);
    for (uint32_t i = 0; i < n_open; i++)
        if (open_now[i].token == token)
            n_open = i;
}

static void like_a_list(void)
{
    static uint64_t old[64];
    static const char *const names[NAMES] = {"a", "b", "c"};
    uint32_t random = 1;
    r = region_new(64 << 20, 128);
    CHECK_EQ(now(), 0);
    for (int i = 0; i < CHANGES; i++) {
        random = random * 1664525u + 1013904223u;
        uint32_t choice = random >> 16, at = choice % 64;
        /* they are few as a rule: a thousand are told apart */
        bool opens = (choice & 0x3000) && n_open < (choice & 0x4000 ? 4u : i % 2000 < 100 ? (uint32_t)OPEN_MOST : 5u);
        if (opens) {
            open_now[n_open].name = n_open < 4 ? choice % NAMES : 0;
            open_now[n_open].token = sp_span_begin(names[open_now[n_open].name]);
            CHECK(open_now[n_open].token);
            old[at] = open_now[n_open++].token;
        } else {
            end(choice & 0x800 || !n_open ? old[at] : open_now[choice % n_open].token);
        }
        uint32_t node = now();
        CHECK_EQ(node, expected());
    }
}

/* ---- at every instruction */
#ifdef __x86_64__
#define TRAP 0x100ull
static uint32_t before, after; /* what may be seen: the first, and then the second */
static bool has_changed, opens_own;
static unsigned long steps, changes;

static void on_step(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)info, (void)context;
    uint32_t node = now();
    steps++;
    CHECK(node == before || node == after);
    CHECK(!has_changed || node == after);
    has_changed = node == after;
    if (opens_own) {
        uint64_t own = sp_span_begin("own"), inner = sp_span_begin("inner");
        uint32_t at = now();
        CHECK(at == node_of(node_of(before, "span own"), "span inner") ||
              at == node_of(node_of(after, "span own"), "span inner"));
        sp_span_end(opens_own && steps % 2 ? own : inner);
        sp_span_end(own);
        node = now();
        CHECK(node == before || node == after);
    }
}

static void step(bool on)
{
    __asm__ volatile("pushfq\n\tpopq %%rax\n\tandq %0, %%rax\n\torq %1, %%rax\n\tpushq %%rax\n\tpopfq"
                     :
                     : "r"(~TRAP), "r"(on ? TRAP : 0)
                     : "rax", "cc", "memory");
}

static uint64_t begin_stepped(const char *name, uint32_t then)
{
    before = now();
    after = then;
    has_changed = before == after;
    step(true);
    uint64_t token = sp_span_begin(name);
    step(false);
    CHECK_EQ(now(), after);
    changes++;
    return token;
}

static void end_stepped(uint64_t token, uint32_t then)
{
    before = now();
    after = then;
    has_changed = before == after;
    step(true);
    sp_span_end(token);
    step(false);
    CHECK_EQ(now(), after);
    changes++;
}

static void stepped(bool opens)
{
    struct sigaction action = {.sa_sigaction = on_step, .sa_flags = SA_SIGINFO};
    r = region_new(64 << 20, 128);
    opens_own = opens;
    sigaction(SIGTRAP, &action, NULL);
    for (int i = 0; i < 20; i++) {
        uint32_t node[20] = {0}, n = 0;
        uint64_t token[20];
        char name[8], frame[16];
        for (; n < 18; n++) { /* two deeper than is shown; handlers have room for theirs only below that */
            snprintf(name, sizeof name, "s%u.%d", n, opens ? i % 4 : i); /* a thousand are told apart */
            snprintf(frame, sizeof frame, "span %s", name);
            if (opens && n + 2 >= SP_SPAN_DEPTH)
                break;
            node[n + 1] = n < SP_SPAN_DEPTH ? node_of(node[n], frame) : node[n];
            token[n] = begin_stepped(name, node[n + 1]);
        }
        end_stepped(token[n - 1], node[n - 1]);
        end_stepped(token[n - 1], node[n - 1]); /* over already */
        end_stepped(token[n - 4], node[n - 4]); /* with two in it */
        end_stepped(token[n - 2], node[n - 4]);
        end_stepped(token[1], node[1]);
        end_stepped(token[0], 0);
    }
    printf("%lu steps of %lu changes\n", steps, changes);
    CHECK(steps > 50 * changes && changes > 300);
}

static void at_every_instruction(void)
{
    stepped(false);
}

static void handlers_have_their_own(void)
{
    stepped(true);
}
#endif

const struct unit_case unit_cases[] = {
    {"like_a_list", like_a_list},
#ifdef __x86_64__
    {"at_every_instruction", at_every_instruction},
    {"handlers_have_their_own", handlers_have_their_own},
#endif
    {NULL, NULL},
};
