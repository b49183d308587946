/* SPDX-License-Identifier: MIT
 * See intern.h and, for the tables' rule, region.h. Publication order: an entry is complete before the CAS
 * that puts its id into a slot; readers load slots with acquire. */
#include "sampler/intern.h"

#include <string.h>

#include "compat/py.h"

#define NAME_BYTES_MAX 1024u
#define PATH_BYTES_MAX 4096u
#define LINES_STEP_BYTES 65536u

SP_INLINE uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= 0xd6e8feb86659fd93ull;
    h ^= h >> 29;
    h *= 0xd6e8feb86659fd93ull;
    return h ^ h >> 32;
}

typedef bool same_fn(const struct sp_region *r, uint32_t id, const void *key);

struct place {
    uint32_t id;    /* of the entry with this key; 0: there is none */
    uint64_t *free; /* then the slot that it belongs into; NULL: no room */
};

SP_SIGSAFE static uint64_t *make_level(struct sp_region *r, struct sp_table *t, uint32_t level)
{
    uint64_t at = sp_store_alloc(r, (uint64_t)SP_TABLE_BUCKETS(level) * SP_BUCKET_SLOTS * 8, 64);
    if (!at)
        return NULL;
    uint32_t none = 0;
    sp_cas(&t->level[level], &none, (uint32_t)(at / 64));
    return sp_at64(r, sp_load_acquire(&t->level[level]));
}

SP_INLINE struct place find(struct sp_region *r, struct sp_table *t, uint64_t hash, same_fn *same, const void *key, bool insert)
{
    for (uint32_t level = 0; level < SP_TABLE_LEVELS; level++) {
        uint32_t at = sp_load_acquire(&t->level[level]);
        uint64_t *slots = at ? sp_at64(r, at) : insert ? make_level(r, t, level) : NULL;
        if (!slots)
            return (struct place){0, NULL};
        slots += (hash & (SP_TABLE_BUCKETS(level) - 1)) * SP_BUCKET_SLOTS;
        for (uint32_t i = 0; i < SP_BUCKET_SLOTS; i++) {
            uint64_t slot = sp_load_acquire(&slots[i]);
            if (slot == 0)
                return (struct place){0, &slots[i]};
            if (slot >> 32 == hash >> 32 && same(r, (uint32_t)slot, key))
                return (struct place){(uint32_t)slot, NULL};
        }
    }
    return (struct place){0, NULL};
}

/* Takes the place for `id`. False: another thread took it first, look again. */
SP_INLINE bool take(struct place p, uint64_t hash, uint32_t id)
{
    uint64_t none = 0;
    return sp_cas(p.free, &none, (hash >> 32 << 32) | id);
}

/* ---- strings */
struct string_key {
    const char *data;
    uint32_t bytes, hash;
};

SP_SIGSAFE static bool same_string(const struct sp_region *r, uint32_t id, const void *key)
{
    const struct sp_string *s = sp_string_at(r, id);
    const struct string_key *k = key;
    return s->hash == k->hash && s->bytes == k->bytes && memcmp(s->data, k->data, k->bytes) == 0;
}

SP_SIGSAFE static uint64_t hash_bytes(const char *data, uint32_t bytes)
{
    uint64_t h = bytes * 0x9e3779b97f4a7c15ull;
    while (bytes >= 8) {
        uint64_t word;
        memcpy(&word, data, 8);
        h = (h ^ word) * 0xd6e8feb86659fd93ull;
        h ^= h >> 32;
        data += 8;
        bytes -= 8;
    }
    for (; bytes; bytes--)
        h = (h ^ (uint8_t)*data++) * 0xd6e8feb86659fd93ull;
    return mix(h);
}

uint32_t sp_intern_string(struct sp_region *r, const char *data, uint32_t bytes)
{
    uint64_t hash = hash_bytes(data, bytes);
    struct string_key key = {data, bytes, (uint32_t)hash};
    uint32_t ref = 0;
    for (;;) {
        struct place p = find(r, &r->strings_table, hash, same_string, &key, true);
        if (p.id || !p.free)
            return p.id;
        if (!ref) {
            uint64_t at = sp_store_alloc(r, sizeof(struct sp_string) + bytes, 8);
            if (!at)
                return 0;
            ref = (uint32_t)(at / 8);
            struct sp_string *s = sp_string_at(r, ref);
            s->bytes = bytes;
            s->hash = key.hash;
            memcpy(s->data, data, bytes);
        }
        if (take(p, hash, ref))
            return ref;
    }
}

/* ---- functions */
SP_SIGSAFE static bool same_code(const struct sp_region *r, uint32_t id, const void *key)
{
    const struct sp_code *c = sp_code_at(r, id), *k = key;
    return c->name == k->name && c->file == k->file && c->first_line == k->first_line && c->lines_bytes == k->lines_bytes &&
           (c->lines == k->lines || k->lines_bytes > LINES_STEP_BYTES);
}

/* Short line tables are shared strings. A long one is copied in steps, one for each sample that interns
 * the function, so that no sample pays for a 100,000-line function. */
SP_SIGSAFE static uint32_t long_table(struct sp_region *r, uint32_t bytes)
{
    uint64_t at = sp_store_alloc(r, sizeof(struct sp_string) + bytes, 8);
    if (!at)
        return 0;
    struct sp_string *s = sp_at(r, at);
    s->bytes = bytes;
    return (uint32_t)(at / 8);
}

SP_SIGSAFE static void copy_step(struct sp_region *r, struct sp_code *c, const struct sp_py_code *live)
{
    uint32_t from = sp_load_relaxed(&c->lines_copied);
    if (!c->lines || from >= c->lines_bytes || live->lines_bytes != c->lines_bytes)
        return;
    uint32_t n = c->lines_bytes - from < LINES_STEP_BYTES ? c->lines_bytes - from : LINES_STEP_BYTES;
    memcpy(sp_string_at(r, c->lines)->data + from, (const char *)live->lines + from, n);
    sp_cas(&c->lines_copied, &from, from + n); /* another thread copied the same bytes: as good */
}

SP_SIGSAFE static uint32_t intern_function(struct sp_region *r, const struct sp_py_code *live, char *text)
{
    struct sp_code k = {.first_line = live->first_line, .lines_bytes = live->lines_bytes};
    k.name = sp_intern_string(r, text, sp_py_text(live->name, text, NAME_BYTES_MAX));
    k.file = sp_intern_string(r, text, sp_py_text(live->file, text, PATH_BYTES_MAX));
    if (!k.name || !k.file)
        return 0;
    k.lines_format = live->lines ? sp_py.layout->lines : SP_LINES_NONE;
    if (live->lines_bytes && live->lines_bytes <= LINES_STEP_BYTES) {
        k.lines = sp_intern_string(r, (const char *)live->lines, live->lines_bytes);
        k.lines_copied = k.lines ? live->lines_bytes : 0;
    }
    uint64_t hash = mix(((uint64_t)k.name << 32 | k.file) ^ mix((uint64_t)k.lines << 32 | (uint32_t)k.first_line));
    uint32_t id = 0;
    for (;;) {
        struct place p = find(r, &r->codes_table, hash, same_code, &k, true);
        if (p.id || !p.free)
            return p.id;
        if (!id) {
            id = sp_pool_alloc(r, &r->codes);
            if (!id)
                return 0;
            if (live->lines_bytes > LINES_STEP_BYTES)
                k.lines = long_table(r, live->lines_bytes);
            *sp_code_at(r, id) = k;
        }
        if (take(p, hash, id))
            return id;
    }
}

SP_SIGSAFE static bool same_cell(const struct sp_region *r, uint32_t id, const void *key)
{
    return ((const struct sp_cell *)sp_pool_entry(r, &r->cells, id))->address == *(const uint64_t *)key;
}

struct sp_cell *sp_intern_cell(struct sp_region *r, uint64_t address)
{
    uint64_t hash = mix(address);
    uint32_t id = 0;
    for (;;) {
        struct place p = find(r, &r->cells_table, hash, same_cell, &address, true);
        if (p.id)
            return sp_pool_entry(r, &r->cells, p.id);
        if (!p.free || (!id && !(id = sp_pool_alloc(r, &r->cells))))
            return NULL;
        *(struct sp_cell *)sp_pool_entry(r, &r->cells, id) = (struct sp_cell){.address = address};
        if (take(p, hash, id))
            return sp_pool_entry(r, &r->cells, id);
    }
}

uint32_t sp_intern_code(struct sp_region *r, uint64_t address, char *text)
{
    struct sp_cell *cell = sp_intern_cell(r, address);
    if (!cell)
        return 0;
    uint32_t fingerprint = sp_py_code_fingerprint(address);
    uint64_t known = sp_load_acquire(&cell->code);
    struct sp_py_code live;
    if ((uint32_t)known && known >> 32 == fingerprint) {
        struct sp_code *c = sp_code_at(r, (uint32_t)known);
        if (SP_UNLIKELY(c->lines_copied < c->lines_bytes) && sp_py_code_read(address, &live))
            copy_step(r, c, &live);
        return (uint32_t)known;
    }
    if (!sp_py_code_read(address, &live))
        return 0;
    uint32_t id = intern_function(r, &live, text);
    if (!id)
        return 0;
    copy_step(r, sp_code_at(r, id), &live);
    sp_store_release(&cell->code, (uint64_t)fingerprint << 32 | id);
    return id;
}

void sp_intern_forget_code(struct sp_region *r, uint64_t address)
{
    struct place p = find(r, &r->cells_table, mix(address), same_cell, &address, false);
    if (!p.id)
        return;
    struct sp_cell *cell = sp_pool_entry(r, &r->cells, p.id);
    if (sp_load_relaxed(&cell->code) == 0)
        return;
    sp_store_release(&cell->code, 0);
    __atomic_fetch_add(&r->epoch, 1, __ATOMIC_RELEASE); /* pairs with the handler's load before its walk */
}

/* Cells are known by the addresses of code objects, which are aligned, or by keys that are odd (native.c). */
static void forget_cells(struct sp_region *r, bool odd_only)
{
    for (uint32_t id = 1; id < sp_pool_end(r, &r->cells); id++) {
        struct sp_cell *cell = sp_pool_entry(r, &r->cells, id);
        if (!odd_only || cell->address & 1)
            sp_store_relaxed(&cell->code, 0);
    }
    __atomic_fetch_add(&r->epoch, 1, __ATOMIC_RELEASE);
}

void sp_intern_forget_native(struct sp_region *r)
{
    forget_cells(r, true);
}

/* Threads: any, atomically. */
static uint32_t any_left;

void sp_intern_leave_code(void)
{
    __atomic_store_n(&any_left, 1, __ATOMIC_SEQ_CST); /* before sp_gate_leave_work's change of the gate */
}

void sp_intern_forget_left(struct sp_region *r)
{
    if (!__atomic_exchange_n(&any_left, 0, __ATOMIC_SEQ_CST))
        return;
    forget_cells(r, false);
}

/* ---- frames and nodes */
SP_SIGSAFE static bool same_frame(const struct sp_region *r, uint32_t id, const void *key)
{
    const struct sp_frame *f = sp_frame_at(r, id), *k = key;
    return f->what == k->what && f->offset == k->offset && f->kind == k->kind && f->more == k->more;
}

uint32_t sp_intern_whole_frame(struct sp_region *r, struct sp_frame k)
{
    uint64_t hash = mix((uint64_t)k.what << 32 | (uint32_t)k.offset) + k.kind;
    uint32_t id = 0;
    for (;;) {
        struct place p = find(r, &r->frames_table, hash, same_frame, &k, true);
        if (p.id || !p.free || (!id && !(id = sp_pool_alloc(r, &r->frames))))
            return p.id;
        *sp_frame_at(r, id) = k;
        if (take(p, hash, id))
            return id;
    }
}

uint32_t sp_intern_frame(struct sp_region *r, enum sp_frame_kind kind, uint32_t what, int32_t offset)
{
    return sp_intern_whole_frame(r, (struct sp_frame){.kind = kind, .what = what, .offset = offset});
}

uint32_t sp_intern_native_frame(struct sp_region *r, uint32_t library, uint64_t offset)
{
    return sp_intern_whole_frame(
        r, (struct sp_frame){SP_FRAME_NATIVE, library, (int32_t)(uint32_t)offset, (uint32_t)(offset >> 32)});
}

SP_SIGSAFE static bool same_node(const struct sp_region *r, uint32_t id, const void *key)
{
    const struct sp_node *n = sp_node_at(r, id), *k = key;
    return n->parent == k->parent && n->frame == k->frame;
}

uint32_t sp_intern_node(struct sp_region *r, uint32_t parent, uint32_t frame)
{
    struct sp_node k = {.parent = parent, .frame = frame};
    uint64_t hash = mix((uint64_t)parent << 32 | frame);
    uint32_t id = 0;
    for (;;) {
        struct place p = find(r, &r->nodes_table, hash, same_node, &k, true);
        if (p.id || !p.free || (!id && !(id = sp_pool_alloc(r, &r->nodes))))
            return p.id;
        if (parent || sp_frame_at(r, frame)->kind != SP_FRAME_INTERPRETER)
            k.depth = (parent ? sp_node_at(r, parent)->depth : 0) + 1;
        *sp_node_at(r, id) = k;
        if (take(p, hash, id))
            return id;
    }
}

/* ---- totals */
SP_SIGSAFE static bool same_total(const struct sp_region *r, uint32_t id, const void *key)
{
    const struct sp_total *t = sp_pool_entry(r, &r->totals, id), *k = key;
    return t->thread == k->thread && t->node == k->node;
}

/* Among the sums of the thread's present life; 0: of the folded threads, for ever. */
SP_SIGSAFE static void list_total(struct sp_region *r, struct sp_total *t, uint32_t id)
{
    uint32_t no = 0;
    struct sp_thread *slot = t->thread ? sp_thread_at(r, t->thread) : NULL;
    if (sp_load_relaxed(&t->listed) || (t->thread && !slot) || !sp_cas(&t->listed, &no, 1))
        return;
    uint32_t *head = slot ? &slot->first_total : &r->first_total, first = sp_load_relaxed(head);
    do
        sp_store_relaxed(&t->next, first);
    while (!sp_cas(head, &first, id));
}

/* The sum of (thread, node), which may be new; NULL: no room for another. */
SP_SIGSAFE static struct sp_total *total_of(struct sp_region *r, uint32_t thread, uint32_t node)
{
    struct sp_total k = {.thread = thread, .node = node};
    uint64_t hash = mix((uint64_t)thread << 32 | node);
    uint32_t id = 0;
    for (;;) {
        struct place p = find(r, &r->totals_table, hash, same_total, &k, true);
        if (!p.id) {
            if (!p.free || (!id && !(id = sp_pool_alloc(r, &r->totals))))
                return NULL;
            *(struct sp_total *)sp_pool_entry(r, &r->totals, id) = k;
            if (!take(p, hash, id))
                continue;
            p.id = id;
        }
        struct sp_total *t = sp_pool_entry(r, &r->totals, p.id);
        list_total(r, t, p.id);
        return t;
    }
}

bool sp_intern_total(struct sp_region *r, uint32_t thread, uint32_t node, uint64_t cpu_ns, uint64_t samples)
{
    struct sp_total *t = total_of(r, thread, node);
    if (!t)
        return false;
    sp_add_relaxed(&t->cpu_ns, cpu_ns);
    sp_add_relaxed(&t->samples, samples);
    return true;
}

void sp_intern_total_gil(struct sp_region *r, uint32_t thread, uint32_t node, uint64_t gil_ns)
{
    struct sp_total *t = total_of(r, thread, node);
    if (t)
        sp_add_relaxed(&t->gil_ns, gil_ns);
}

bool sp_intern_total_wait(struct sp_region *r, uint32_t thread, uint32_t node, uint64_t wall_ns)
{
    struct sp_total *t = total_of(r, thread, node);
    if (t)
        sp_add_relaxed(&t->wall_ns, wall_ns);
    return t != NULL;
}
