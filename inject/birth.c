/* SPDX-License-Identifier: MIT
 * See birth.h. */
#include "inject/birth.h"

#include "compat/os.h"

#define PAGE_BYTES 65536u
#define PER_PAGE (PAGE_BYTES / sizeof(struct sp_birth))
#define PAGES 64u

static struct sp_birth *pages[PAGES]; /* made when they are needed, kept */
static uint32_t n_used;               /* births ever handed out; numbers are from 1 */
static sp_list_head free_births;

SP_SIGSAFE static struct sp_birth *at(uint32_t number)
{
    return &sp_load_acquire(&pages[(number - 1) / PER_PAGE])[(number - 1) % PER_PAGE];
}

static struct sp_birth *fresh(void)
{
    uint32_t number = sp_load_relaxed(&n_used);
    do {
        if (number >= PAGES * PER_PAGE)
            return NULL;
        struct sp_birth **page = &pages[number / PER_PAGE], *none = NULL, *made;
        if (!sp_load_acquire(page)) {
            if (!(made = sp_os_pages(PAGE_BYTES)))
                return NULL;
            if (!sp_cas(page, &none, made))
                sp_os_release(made, PAGE_BYTES);
        }
    } while (!sp_cas(&n_used, &number, number + 1));
    struct sp_birth *b = at(number + 1);
    b->number = number + 1;
    return b;
}

struct sp_birth *sp_birth_pop(sp_list_head *head)
{
    uint64_t h = sp_load_acquire(head);
    while ((uint32_t)h) {
        struct sp_birth *b = at((uint32_t)h);
        if (sp_cas(head, &h, ((h >> 32) + 1) << 32 | sp_load_relaxed(&b->next)))
            return b;
    }
    return NULL;
}

void sp_birth_push(sp_list_head *head, struct sp_birth *b)
{
    uint64_t h = sp_load_relaxed(head);
    do
        sp_store_relaxed(&b->next, (uint32_t)h);
    while (!sp_cas(head, &h, ((h >> 32) + 1) << 32 | b->number));
}

struct sp_birth *sp_birth_new(void)
{
    struct sp_birth *b = sp_birth_pop(&free_births);
    if (!b)
        return fresh();
    b->run = b->argument = NULL;
    b->slot = NULL;
    b->name[0] = '\0';
    b->name_place = b->target_code = 0;
    b->target = 0;
    b->starts_hidden = false;
    return b;
}

void sp_birth_free(struct sp_birth *b)
{
    sp_birth_push(&free_births, b);
}
