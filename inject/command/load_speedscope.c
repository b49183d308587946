/* SPDX-License-Identifier: MIT
 * See load.h: a Speedscope file of ours becomes a region. Frames become functions, profiles threads, entries samples in
 * their order, with CPU for time; what the file says of the process as a whole is told beside it. The text is read in place,
 * and large parts of it number by number: memory is a multiple of the file's own size, whatever it holds. */
#include "inject/command/load_text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "inject/command/command.h"
#include "sampler/intern.h"
#include "sampler/log.h"
#include "sampler/threads.h"

#define REGION_LEAST (64ull << 20)
#define REGION_TIMES 32u         /* memory for each byte of text: a number of two bytes may be a node */
#define MEMBER_MOST (1u << 20)   /* of the block "spprof", but for its lines */
#define WEIGHT_MOST (1ull << 52) /* 52 days */

static int fail(const struct sp_load_reader *in, const char *what)
{
    return sp_cli_fail(in->l->name, what);
}

/* ---- where the parts are */
static bool find_parts(struct sp_load_reader *in, struct sp_scan all)
{
    if (!sp_scan_enter(&all, '{'))
        return false;
    for (bool first = true; sp_scan_more(&all, first, '}'); first = false) {
        struct sp_scan key = sp_scan_key(&all), value = sp_scan_value(&all);
        if (sp_scan_is_key(&key, "shared"))
            in->frames = sp_scan_member(value, "frames");
        else if (sp_scan_is_key(&key, "profiles"))
            in->profiles = value;
        else if (sp_scan_is_key(&key, "spprof"))
            in->block = value;
    }
    return !all.bad && sp_scan_ends(&all);
}

/* Members one by one: each is small, but for two tables. */
static int read_block(struct sp_load_reader *in)
{
    struct sp_scan s = in->block;
    in->facts = cJSON_CreateObject();
    sp_scan_enter(&s, '{');
    size_t left = 4 * MEMBER_MOST;
    for (bool first = true; sp_scan_more(&s, first, '}'); first = false) {
        struct sp_scan key = sp_scan_key(&s), value = sp_scan_value(&s);
        struct sp_scan *table = sp_scan_is_key(&key, "lines")    ? &in->lines
                                : sp_scan_is_key(&key, "native") ? &in->natives
                                : sp_scan_is_key(&key, "gil")    ? &in->gil
                                                                 : NULL;
        if (table) {
            *table = value;
            continue;
        }
        cJSON *name = sp_fact_tree(&key, 256), *tree = sp_fact_tree(&value, left < MEMBER_MOST ? left : MEMBER_MOST);
        left -= tree ? (size_t)(value.end - value.at) : 0;
        if (tree && cJSON_IsString(name))
            cJSON_AddItemToObject(in->facts, name->valuestring, tree);
        else
            s.bad = true;
        cJSON_Delete(name);
    }
    return s.bad ? fail(in, "is damaged: what it says of its process") : 0;
}

/* ---- frames */
static uint32_t string(struct sp_load_reader *in, const char *s, size_t n)
{
    return sp_intern_string(in->r, s, (uint32_t)n);
}

static uint32_t pseudo_frame(struct sp_load_reader *in, const char *name)
{
    for (uint32_t i = 0; i < SP_PSEUDO_N; i++)
        if (i != SP_CATEGORY_PYTHON && strcmp(name, sp_store_pseudo_name(i)) == 0)
            return sp_intern_frame(in->r, SP_FRAME_PSEUDO, i, 0);
    if (strncmp(name, "(waiting", 8) == 0)
        return sp_intern_frame(in->r, SP_FRAME_WAIT, string(in, name, strlen(name)), 0);
    return sp_intern_frame(in->r, SP_FRAME_TASK, string(in, name, strlen(name)), 0);
}

static uint32_t python_frame(struct sp_load_reader *in, const char *name, const char *file, int line)
{
    uint32_t id = sp_pool_alloc(in->r, &in->r->codes);
    if (!id)
        return 0;
    struct sp_code c = {.name = string(in, name, strlen(name)), .file = string(in, file, strlen(file)), .first_line = line};
    *sp_code_at(in->r, id) = c;
    return c.name && c.file ? sp_intern_frame(in->r, SP_FRAME_PYTHON, id, 0) : 0;
}

/* A library's text: its build id in hex, where that is known, a colon and its path. */
static uint32_t library(struct sp_load_reader *in, const char *build_id, const char *path)
{
    size_t n = strlen(build_id) + strlen(path) + 2;
    char *text = sp_cli_alloc(NULL, n);
    snprintf(text, n, "%s:%s", build_id, path);
    uint32_t ref = string(in, text, n - 1);
    free(text);
    return ref;
}

static void read_modules(struct sp_load_reader *in)
{
    const cJSON *m, *modules = cJSON_GetObjectItemCaseSensitive(in->facts, "modules");
    in->modules = sp_cli_alloc(NULL, sizeof *in->modules * ((size_t)cJSON_GetArraySize(modules) + 1));
    cJSON_ArrayForEach(m, modules)
    {
        in->modules[in->n_modules++] = library(in, sp_fact_text(m, "build_id"), sp_fact_text(m, "path"));
    }
}

/* They stand in the order of their frames. */
static void next_native(struct sp_load_reader *in, bool first)
{
    struct sp_scan *s = &in->natives;
    double v[3] = {-1, -1, -1};
    if (s->at && sp_scan_more(s, first, ']') && sp_scan_enter(s, '[')) {
        for (int i = 0; i < 3 && sp_scan_more(s, i == 0, ']'); i++)
            v[i] = sp_scan_number(s);
        sp_scan_more(s, false, ']');
    }
    bool is_one = s->at && !s->bad && v[1] >= 0 && v[1] < in->n_modules && v[2] >= 0 && v[2] < (double)(1ull << 53);
    in->native = (struct native){is_one ? v[0] : -1, v[1], v[2]};
}

/* Bytes of the name that stand before " [libz.so.1]"; all of them if that is not there. */
static size_t bytes_of_symbol(const char *name, const char *base)
{
    size_t n = strlen(name), k = strlen(base);
    bool has =
        n > k + 3 && name[n - 1] == ']' && strncmp(name + n - k - 1, base, k) == 0 && strncmp(name + n - k - 3, " [", 2) == 0;
    return has ? n - k - 3 : n;
}

/* "deflate [libz.so.1]", "libz.so.1+0x5d80", or whatever the file tells to be a function of a library; 0: it is none. See
 * writers/names.c. */
static uint32_t native_frame(struct sp_load_reader *in, const char *name, const char *file)
{
    bool told = in->native.frame == (double)in->n_frames;
    struct native native = in->native;
    const char *slash = strrchr(file, '/'), *base = slash && slash[1] ? slash + 1 : file;
    size_t n = bytes_of_symbol(name, base), k = strlen(base);
    uint64_t place = told ? (uint64_t)native.place : 0;
    if (told)
        next_native(in, false);
    bool bare = strncmp(name, base, k) == 0 && strncmp(name + k, "+0x", 3) == 0;
    if (!told && !bare && !name[n])
        return 0;
    uint32_t where = told ? in->modules[(size_t)native.module] : library(in, "", file);
    if (bare)
        return sp_intern_native_frame(in->r, where, told ? place : strtoull(name + k + 3, NULL, 16));
    char *symbol = sp_cli_alloc(NULL, n + 1);
    snprintf(symbol, n + 1, "%s", name);
    struct sp_frame f = {SP_FRAME_SYMBOL, where, (int32_t)string(in, symbol, n + 1), place <= UINT32_MAX ? (uint32_t)place : 0};
    free(symbol);
    return where && f.offset ? sp_intern_whole_frame(in->r, f) : 0;
}

static void note_source(struct sp_loaded *l, uint32_t frame)
{
    if (!(l->n_sources & (l->n_sources - 1)))
        l->sources = sp_cli_alloc(l->sources, (l->n_sources ? 2 * l->n_sources : 1) * sizeof *l->sources);
    l->sources[l->n_sources++] = frame;
}

static uint32_t frame_of(struct sp_load_reader *in, const cJSON *f)
{
    const char *name = sp_fact_text(f, "name"), *file = sp_fact_text(f, "file");
    double line = sp_fact(f, "line");
    bool has_source = *file && line != 0 && in->native.frame == (double)in->n_frames; /* by spprof symbolize */
    uint32_t native = *file && line == 0 ? native_frame(in, name, file) : 0;
    if (has_source)
        next_native(in, false);
    if (native || !*file)
        return native ? native : pseudo_frame(in, name);
    uint32_t frame = python_frame(in, name, file, line >= 1 && line <= INT_MAX ? (int)line : 0);
    if (has_source)
        note_source(in->l, frame);
    return frame;
}

static int read_frames(struct sp_load_reader *in)
{
    struct sp_scan s = in->frames, value;
    read_modules(in);
    if (in->natives.at && sp_scan_enter(&in->natives, '['))
        next_native(in, true);
    else
        in->native.frame = -1;
    while (sp_scan_next(&s, &value)) {
        cJSON *f = sp_fact_tree(&value, 128u << 10);
        if (!f)
            return fail(in, "is damaged: a frame");
        if (in->n_frames == in->cap_frames) {
            in->cap_frames = in->cap_frames ? 2 * in->cap_frames : 1024;
            in->frame = sp_cli_alloc(in->frame, in->cap_frames * sizeof *in->frame);
        }
        in->frame[in->n_frames] = frame_of(in, f);
        in->n_frames++;
        cJSON_Delete(f);
    }
    return s.bad ? fail(in, "is damaged: its frames") : 0;
}

/* ---- profiles */
static const cJSON *facts_of_profile(const struct sp_load_reader *in, int profile)
{
    const cJSON *t;
    cJSON_ArrayForEach(t, cJSON_GetObjectItemCaseSensitive(in->facts, "threads"))
    {
        if (cJSON_HasObjectItem(t, "profile") && (int)sp_fact(t, "profile") == profile)
            return t;
    }
    return NULL;
}

static bool cut_off(char *name, const char *tail)
{
    size_t n = strlen(name), k = strlen(tail);
    if (n < k || strcmp(name + n - k, tail) != 0)
        return false;
    name[n - k] = '\0';
    return true;
}

/* The name behind which writers/names.c puts numbers; none where there is nothing else. */
static void name_thread(struct sp_thread *t, const char *title, uint32_t interpreter)
{
    char text[64], *name = sp_cli_alloc(NULL, strlen(title) + 1);
    memcpy(name, title, strlen(title) + 1);
    snprintf(text, sizeof text, " (tid %d)", t->tid);
    cut_off(name, text);
    snprintf(text, sizeof text, " [interpreter %u]", interpreter);
    cut_off(name, text);
    snprintf(text, sizeof text, "(thread %d)", t->tid);
    if (strcmp(name, text) != 0)
        snprintf(t->name, sizeof t->name, "%s", name);
    free(name);
    if (!t->name[0])
        t->serial++; /* the first is the main thread, whose name is known */
}

static struct sp_load_owner owner_of(struct sp_load_reader *in, int profile, const char *title)
{
    const cJSON *facts = facts_of_profile(in, profile);
    struct sp_load_owner o = {.is_sum = profile == 0 && in->n_profiles > 1};
    double others = sp_fact(facts, "others");
    bool nobody = !facts && in->n_profiles == 1; /* not one thread was known */
    struct sp_thread *t = others >= 1 || nobody || o.is_sum ? NULL : sp_thread_claim(in->r);
    if (nobody || o.is_sum)
        return o;
    if (!t) {
        in->r->n_folded += others >= 1 && others < UINT32_MAX ? (uint64_t)others : 1;
        in->r->folded_samples += sp_fact_u64(facts, "samples");
        in->r->folded_gil_ns += sp_fact_u64(facts, "gil_held");
        return o;
    }
    sp_thread_begin(in->r, t, (int)sp_fact_u64(facts, "tid"), 0);
    t->serial = (uint32_t)profile + 1;
    t->samples = sp_fact_u64(facts, "samples");
    t->gil_ns = sp_fact_u64(facts, "gil_held");
    uint32_t interpreter = (uint32_t)sp_fact_u64(facts, "interpreter");
    uint32_t frame = interpreter ? sp_intern_frame(in->r, SP_FRAME_INTERPRETER, interpreter, 0) : 0;
    o.interpreter = frame ? sp_intern_node(in->r, 0, frame) : 0;
    o.t = t;
    name_thread(t, title, interpreter);
    return o;
}

/* A frame of the file called by `node`; 0: there is no room. */
static uint32_t called_by(struct sp_load_reader *in, uint32_t node, size_t i)
{
    uint32_t frame = in->frame[i];
    if (frame && !node && sp_frame_at(in->r, frame)->kind == SP_FRAME_PSEUDO)
        return in->r->pseudo_node[sp_frame_at(in->r, frame)->what];
    return frame ? sp_intern_node(in->r, node, frame) : 0;
}

uint32_t sp_load_stack(struct sp_load_reader *in, struct sp_scan *stacks, const struct sp_load_owner *o)
{
    uint32_t node = o->interpreter, depth = 0;
    bool full = o->is_sum;
    sp_scan_enter(stacks, '[');
    for (bool first = true; sp_scan_more(stacks, first, ']'); first = false) {
        double i = sp_scan_number(stacks);
        if (stacks->bad || !(i >= 0 && i < (double)in->n_frames) || ++depth > in->r->depth)
            return 0;
        node = full ? 0 : called_by(in, node, (size_t)i);
        full |= !node;
    }
    if (stacks->bad)
        return 0;
    if (depth == 0)
        node = sp_intern_node(in->r, 0, pseudo_frame(in, "(no stack)"));
    return node && !full ? node : in->r->pseudo_node[SP_PSEUDO_OVERFLOW];
}

static void book(struct sp_load_reader *in, struct sp_load_owner *o, uint32_t node, uint64_t ns)
{
    const struct sp_region *r = in->r;
    if (node == r->pseudo_node[SP_CATEGORY_THREAD_START_END] || node == r->pseudo_node[SP_CATEGORY_NOT_SAMPLED]) {
        uint64_t unseen = sp_min_u64(ns, in->unseen_ns);
        in->unseen_ns -= unseen;
        ns -= unseen;
    }
    if (o->t) {
        struct sp_sample s = {.node = node, .category = SP_CATEGORY_PYTHON, .cpu_ns = ns, .since_ns = o->since_ns};
        sp_log_book(in->r, o->t, &s);
    } else if (ns) {
        in->r->folded_cpu_ns[SP_CATEGORY_PYTHON] += ns;
        in->r->n_folded += !in->r->n_folded;
        sp_intern_total(in->r, 0, node, ns, 0);
    }
    o->since_ns += ns;
}

static uint64_t weight(struct sp_scan *weights)
{
    double v = sp_scan_number(weights);
    return !(v > 0) ? 0 : v < (double)WEIGHT_MOST ? (uint64_t)v : WEIGHT_MOST;
}

int sp_load_entries(struct sp_load_reader *in, struct sp_load_owner *o, struct sp_scan samples, struct sp_scan weights,
                    sp_load_book *book_entry)
{
    static const char unequal[] = "is damaged: samples and weights do not match";
    sp_scan_enter(&samples, '[');
    sp_scan_enter(&weights, '[');
    bool more = true;
    for (bool first = true; more; first = false) {
        more = sp_scan_more(&samples, first, ']');
        if (sp_scan_more(&weights, first, ']') != more)
            return fail(in, unequal);
        if (!more)
            break;
        uint32_t node = sp_load_stack(in, &samples, o);
        uint64_t ns = weight(&weights);
        if (!node || weights.bad)
            return fail(in, weights.bad ? unequal : "is damaged: a stack names a frame that is not there");
        if (!o->is_sum)
            book_entry(in, o, node, ns);
    }
    return samples.bad || weights.bad ? fail(in, unequal) : 0;
}

static int read_profile(struct sp_load_reader *in, int number, struct sp_scan profile)
{
    struct sp_scan title = sp_scan_member(profile, "name");
    cJSON *name = sp_fact_tree(&title, 64u << 10);
    struct sp_load_owner o = owner_of(in, number, cJSON_IsString(name) ? name->valuestring : "");
    int rc = sp_load_entries(in, &o, sp_scan_member(profile, "samples"), sp_scan_member(profile, "weights"), book);
    if (in->lives) {
        struct sp_load_life *life = &in->lives[number];
        life->title = sp_cli_alloc(NULL, 1 + (cJSON_IsString(name) ? strlen(name->valuestring) : 0));
        strcpy(life->title, cJSON_IsString(name) ? name->valuestring : "");
        life->t = o.t;
        life->cpu_ns = o.since_ns;
    }
    cJSON_Delete(name);
    if (o.t) {
        o.t->last_cpu_ns = o.t->end_cpu_ns = o.t->cpu_ns[SP_CATEGORY_PYTHON];
        o.t->state = SP_THREAD_ENDED;
    }
    return rc;
}

static int count_profiles(const struct sp_load_reader *in)
{
    struct sp_scan s = in->profiles, one;
    int n = 0;
    while (n < INT_MAX - 2 && sp_scan_next(&s, &one))
        n++;
    return s.bad ? 0 : n;
}

/* The first of several is the sum of the others. */
static int read_profiles(struct sp_load_reader *in)
{
    struct sp_scan s = in->profiles, one;
    int rc = 0;
    const cJSON *only = in->n_profiles == 1 ? facts_of_profile(in, 0) : NULL;
    uint64_t used = in->l->profile.process_cpu_ns, seen = sp_fact_u64(only, "cpu");
    in->unseen_ns = in->n_profiles == 1 && used > seen ? used - seen : 0;
    for (int i = 0; rc == 0 && i < in->n_profiles && sp_scan_next(&s, &one); i++)
        rc = read_profile(in, i, one);
    if (rc == 0)
        rc = sp_load_lives(in, &s);
    return rc ? rc : sp_load_gil(in);
}

/* ---- lines */
static int read_lines_of(struct sp_load_reader *in, struct sp_scan *s, uint32_t frame)
{
    struct sp_loaded *l = in->l;
    sp_scan_enter(s, '[');
    for (bool first = true; sp_scan_more(s, first, ']'); first = false) {
        double v[3];
        sp_scan_enter(s, '[');
        for (int i = 0; i < 3; i++)
            v[i] = sp_scan_more(s, i == 0, ']') ? sp_scan_number(s) : (s->bad = true, 0);
        if (sp_scan_more(s, false, ']') || s->bad)
            return fail(in, "is damaged: the line table");
        if (!(l->n_lines & (l->n_lines - 1)))
            l->lines = sp_cli_alloc(l->lines, (l->n_lines ? 2 * l->n_lines : 1) * sizeof *l->lines);
        l->lines[l->n_lines++] = (struct sp_loaded_line){frame, v[0] >= 1 && v[0] <= INT_MAX ? (int32_t)v[0] : 0, v[1], v[2]};
    }
    return s->bad ? fail(in, "is damaged: the line table") : 0;
}

static int read_lines(struct sp_load_reader *in)
{
    struct sp_scan s = in->lines;
    int rc = 0;
    if (!s.at || !sp_scan_enter(&s, '['))
        return 0;
    for (bool first = true; rc == 0 && sp_scan_more(&s, first, ']'); first = false) {
        sp_scan_enter(&s, '[');
        double frame = sp_scan_more(&s, true, ']') ? sp_scan_number(&s) : -1;
        if (!(frame >= 0 && frame < (double)in->n_frames))
            return fail(in, "is damaged: the line table names a frame that is not there");
        rc = sp_scan_more(&s, false, ']') ? read_lines_of(in, &s, in->frame[(size_t)frame]) : 0;
        if (rc == 0 && sp_scan_more(&s, false, ']'))
            return fail(in, "is damaged: the line table");
    }
    return rc == 0 && s.bad ? fail(in, "is damaged: the line table") : rc;
}

static bool is_of_all(const cJSON *block)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(block, "wall"), "all"));
}

int sp_load_speedscope(struct sp_loaded *l, const char *text, size_t n)
{
    struct sp_load_reader in = {.l = l};
    if (!find_parts(&in, (struct sp_scan){.at = text + (strncmp(text, "\xef\xbb\xbf", 3) ? 0 : 3), .end = text + n}))
        return sp_load_refuse(l, text, n);
    in.n_profiles = count_profiles(&in);
    if (!in.n_profiles || !in.frames.at || *in.frames.at != '[')
        return fail(&in, "is not a Speedscope profile");
    if (!in.block.at || *in.block.at != '{')
        return fail(&in, "is a Speedscope profile, but not one that spprof wrote");
    l->is_text = true;
    int rc = read_block(&in);
    double of_lives = sp_fact(cJSON_GetObjectItemCaseSensitive(in.facts, "wall"), "profile"); /* the first of them */
    if (of_lives >= 1 && of_lives < in.n_profiles) {
        in.n_lives = in.n_profiles - (int)of_lives;
        in.n_profiles = (int)of_lives;
        in.lives =
            memset(sp_cli_alloc(NULL, (size_t)in.n_profiles * sizeof *in.lives), 0, (size_t)in.n_profiles * sizeof *in.lives);
    }
    if (rc == 0 && !sp_load_reserve(l, sp_min_u64(SP_REGION_MAX, REGION_LEAST + REGION_TIMES * n)))
        rc = fail(&in, "there is not enough memory");
    in.r = l->region;
    if (rc == 0)
        sp_load_facts(l, in.facts);
    if (rc == 0)
        in.r->wall = !in.lives ? SP_WALL_OFF : is_of_all(in.facts) ? SP_WALL_ALL : SP_WALL_PYTHON;
    if (rc == 0 && (read_frames(&in) || read_profiles(&in) || read_lines(&in)))
        rc = 1;
    cJSON_Delete(in.facts);
    free(in.frame);
    free(in.modules);
    sp_load_forget_lives(&in);
    return rc;
}
