/* SPDX-License-Identifier: MIT
 * The bytes of a hand-built profile in every format (tests/golden), bounds, no allocation, nothing changed.
 * SPPROF_TEST_WRITE=DIR writes the files of every case there, for the viewers' tests. */
#include <fcntl.h>
#include <unistd.h>

#include "tests/support/region.h"
#include "tests/support/sums.h"
#include "tests/support/unit.h"
#include "writers/html_page.h"
#include "writers/json.h"
#include "writers/view_bound.h"

static char *text;
static size_t text_bytes, text_cap;

static int sink(void *arg, const void *data, size_t n)
{
    (void)arg;
    if (text_bytes + n > text_cap)
        return -28;
    memcpy(text + text_bytes, data, n);
    text_bytes += n;
    return 0;
}

static int n_allocations;
static bool counting;
extern void *__libc_malloc(size_t n);
void *malloc(size_t n)
{
    if (counting)
        n_allocations++;
    return __libc_malloc(n);
}

static void keep(const char *name, const char *suffix)
{
    const char *directory = getenv("SPPROF_TEST_WRITE");
    char path[512];
    if (!directory)
        return;
    snprintf(path, sizeof path, "%s/%s%s", directory, name, suffix);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0 && write(fd, text, text_bytes) == (ssize_t)text_bytes);
    close(fd);
}

static int write_as(const struct sp_writer_ops *format, const struct sp_region *r, const char *name, uint64_t most)
{
    struct sp_profile p = {.region = r, .process_cpu_ns = 0, .wall_ns = 2100000000, .complete = true, .most_bytes = most};
    char buffer[4096];
    struct sp_out out = {.sink = sink, .buffer = buffer, .cap = sizeof buffer, .most = most};
    if (!text) {
        text_cap = 256u << 20;
        text = mmap(NULL, text_cap, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    text_bytes = 0;
    for (uint32_t i = 1; i <= r->n_threads; i++) {
        const struct sp_thread *t = sp_thread_at(r, i);
        p.process_cpu_ns += t->end_cpu_ns;
    }
    p.process_cpu_ns += 1234;
    counting = true;
    int rc = sp_writer_write(format, format->suffixes[0], &p, &out);
    counting = false;
    CHECK_EQ(n_allocations, 0);
    if (rc == 0) {
        CHECK(sp_writer_is_ours(text, text_bytes < SP_WRITER_HEAD_BYTES ? text_bytes : SP_WRITER_HEAD_BYTES));
        keep(name, format->suffixes[0]);
    }
    return rc;
}

static int write_it(const struct sp_region *r, const char *name, uint64_t most)
{
    return write_as(&sp_writer_speedscope, r, name, most);
}

static struct sp_region *small(void)
{
    struct sp_region *r = region_new(8 << 20, 4096);
    struct sp_thread *main = region_thread(r, 4711, ""), *worker = region_thread(r, 4712, "w\"orker\\\x01");
    uint32_t m = region_code(r, "<module>", "/data/srv/app.py", 1);
    uint32_t f = region_code(r, "A.f", "/srv/app.py", 10);
    uint32_t g = region_code(r, "caf\xc3\xa9", "/srv/b\xffx.py", 20);
    uint32_t at_m = region_node(r, 0, m, 0), at_m2 = region_node(r, 0, m, 8);
    uint32_t mf = region_node(r, at_m, f, 4), mf2 = region_node(r, at_m2, f, 8);
    uint32_t mfg = region_node(r, mf, g, 0), ff = region_node(r, mf, f, 4);
    region_sample(r, main, r->pseudo_node[SP_CATEGORY_STARTUP], 12000000, 0);
    region_sample(r, main, mf, 10000000, 300000000);
    region_sample(r, main, mf2, 10000000, 310000000); /* same functions: one entry */
    region_sample(r, main, mfg, 20000000, 320000000);
    region_sample(r, main, ff, 5000000, 330000000);
    region_sample(r, main, mf, 1, 340000000);
    region_sample(r, worker, mfg, 70000000, 350000000);
    region_sample(r, worker, r->pseudo_node[SP_CATEGORY_UNWALKABLE], 3, 360000000);
    sp_count_loss(r, SP_LOSS_BAD_FRAME);
    main->end_cpu_ns += 21;
    main->rest_ns[SP_CATEGORY_THREAD_END] = 21;
    worker->prompt_ns = 0;
    return r;
}

static void is_golden(const char *name)
{
    const char *directory = getenv("SPPROF_TEST_GOLDEN");
    CHECK(directory);
    static char want[1 << 16], path[512];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    int fd = open(path, O_RDONLY);
    ssize_t n = fd >= 0 ? read(fd, want, sizeof want) : -1;
    if (n != (ssize_t)text_bytes || memcmp(want, text, text_bytes) != 0) {
        fprintf(stderr, "differs from %s; the bytes are:\n", path);
        fwrite(text, 1, text_bytes, stderr);
        _exit(1);
    }
}

static void golden(void)
{
    CHECK_EQ(write_it(small(), "golden", UINT64_MAX), 0);
    is_golden("speedscope.json");
}

static void golden_collapsed(void)
{
    CHECK_EQ(write_as(&sp_writer_collapsed, small(), "golden", UINT64_MAX), 0);
    is_golden("collapsed.txt");
}

/* `go tool pprof -raw`, or the decoder of tests/support/pprof.py, shows what is in it. */
static void golden_pprof(void)
{
    CHECK_EQ(write_as(&sp_writer_pprof, small(), "golden", UINT64_MAX), 0);
    is_golden("profile.pb.gz");
}

static void golden_chrome(void)
{
    CHECK_EQ(write_as(&sp_writer_chrome, small(), "golden", UINT64_MAX), 0);
    is_golden("chrome.json");
}

/* The page around it is the same for all. */
static void golden_html(void)
{
    CHECK_EQ(write_as(&sp_writer_html, small(), "golden", UINT64_MAX), 0);
    CHECK(sp_html_page_before_bytes + sp_html_page_after_bytes <= 30000);
    const char *block = html_block(text, text_bytes, &text_bytes);
    memmove(text, block, text_bytes);
    is_golden("html.json");
}

static void golden_lines(void)
{
    struct sp_region *r = small();
    r->lines = 1;
    CHECK_EQ(write_it(r, "golden-lines", UINT64_MAX), 0);
    CHECK(memmem(text, text_bytes, "\"name\":\"A.f:12\"", 15) &&
          memmem(text, text_bytes, "\"name\":\"<module> data/srv/app.py:1\"", 35));
}

/* Frames of the import system that call each other are one; others between them part them. */
static void imports_are_one_frame(void)
{
    struct sp_region *r = region_new(8 << 20, 4096);
    struct sp_thread *t = region_thread(r, 1, "");
    uint32_t f = region_code(r, "f", "a.py", 1), find = region_code(r, "_find_and_load", "<frozen importlib._bootstrap>", 1);
    uint32_t exec = region_code(r, "exec_module", "<frozen importlib._bootstrap_external>", 9);
    uint32_t at_f = region_node(r, 0, f, 0), in = region_node(r, region_node(r, at_f, find, 0), exec, 0), deep = in;
    region_sample(r, t, in, 100, 0);
    region_sample(r, t, region_node(r, at_f, find, 4), 10, 0);
    region_sample(r, t, region_node(r, region_node(r, region_node(r, in, f, 0), exec, 0), exec, 2), 1, 0);
    for (int i = 0; i < 3000; i++) /* not deep for the viewer */
        deep = region_node(r, deep, i % 2 ? exec : find, 0);
    region_sample(r, t, deep, 1000, 0);
    CHECK_EQ(write_as(&sp_writer_collapsed, r, "imports", UINT64_MAX), 0);
    text[text_bytes] = '\0';
    CHECK_STR(strchr(text, '\n'), "\nMainThread;f;(import) 1110\nMainThread;f;(import);f;(import) 1\n"
                                  "MainThread;(thread start/end) 1234\n");
    r->imports = 1;
    CHECK_EQ(write_as(&sp_writer_collapsed, r, "imports-full", UINT64_MAX), 0);
    text[text_bytes] = '\0';
    CHECK(strstr(text, "MainThread;f;_find_and_load;exec_module;f;exec_module;exec_module 1\n"));
    CHECK(!strstr(text, "(import)") && strstr(text, "frames elided)"));
}

static void region_unharmed(void)
{
    struct sp_region *r = small();
    CHECK_EQ(write_it(r, "first", UINT64_MAX), 0);
    size_t n = text_bytes;
    char *first = __libc_malloc(n), *before = __libc_malloc(r->scratch);
    memcpy(first, text, n);
    memcpy(before, r, r->scratch);
    CHECK_EQ(write_it(r, "second", UINT64_MAX), 0);
    CHECK(n == text_bytes && memcmp(first, text, n) == 0);
    CHECK(memcmp(before, r, r->scratch) == 0);
}

static void empty(void)
{
    struct sp_region *r = region_new(1 << 20, 64);
    CHECK_EQ(write_it(r, "empty", UINT64_MAX), 0);
    CHECK(memmem(text, text_bytes, "(thread start/end)", 18));
    region_thread(r, 1, "a");
    CHECK_EQ(write_it(r, "empty-thread", UINT64_MAX), 0);
}

static void strings(void)
{
    char buffer[64];
    struct sp_out out = {.sink = sink, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    write_it(small(), "x", UINT64_MAX);
    text_bytes = 0;
    const char nasty[] = "a\"\\\x00\x01\t\x7f\xc3\xa9\xff\xc0\x80\xed\xa0\x80\xf0\x9f\x90\x8d\xf4\x90\x80\x80\xe2\x80";
    sp_json_string(&out, nasty, sizeof nasty - 1);
    CHECK_EQ(sp_out_finish(&out), 0);
    text[text_bytes] = '\0';
    CHECK_STR(text,
              "\"a\\\"\\\\\xe2\x90\x80\\u0001\\u0009\\u007f\xc3\xa9\\\\xff\\\\xc0\\\\x80\\\\xed\\\\xa0\\\\x80\xf0\x9f\x90\x8d"
              "\\\\xf4\\\\x90\\\\x80\\\\x80\\\\xe2\\\\x80\"");
}

static void sink_errors_are_kept(void)
{
    struct sp_region *r = small();
    write_it(r, "x", UINT64_MAX);
    CHECK_EQ(write_it(r, "limited", 700), -27);
    text_cap = 100;
    CHECK_EQ(write_it(r, "full", UINT64_MAX), -28);
}

/* What a page is to hold: no more than can be sent, all of the CPU, and light stacks under a name that is theirs. */
static void page_is_bounded(const struct sp_region *r, const char *name, uint64_t sum, bool is_large)
{
    CHECK_EQ(write_as(&sp_writer_html, r, name, UINT64_MAX), 0);
    CHECK(text_bytes < 2000000);
    CHECK_EQ(html_sum(text, text_bytes), sum);
    CHECK(is_large == !memmem(text, text_bytes, "\"folded_ns\":0,", 14));
    CHECK(memmem(text, text_bytes, "\"window_ms\":0,", 14) == NULL);
}

/* 5 million records: more than the log holds, and far more than a viewer. */
static void five_million_records(void)
{
    struct sp_region *r = region_new(100 << 20, 4096);
    struct sp_thread *t = region_thread(r, 1, "");
    uint32_t codes[50], nodes[500];
    for (int i = 0; i < 50; i++) {
        char name[16];
        snprintf(name, sizeof name, "f%d", i);
        codes[i] = region_code(r, name, "a.py", i + 1);
    }
    for (int i = 0; i < 500; i++)
        nodes[i] = region_node(r, region_node(r, 0, codes[i % 7], 0), codes[i % 50], 2 * (i % 20));
    for (uint32_t i = 0; i < 5000000; i++)
        region_sample(r, t, nodes[(i * 7919u) % 500], 1000000, i * 1000000ull);
    CHECK_EQ(write_it(r, "five-million", UINT64_MAX), 0);
    CHECK(text_bytes < 25000000);
    CHECK(memmem(text, text_bytes, "\"endValue\":5000000001234", 23)); /* with (thread start/end) */
    page_is_bounded(r, "five-million", 5000000001234, false);
}

/* 50,000 distinct deep stacks. */
static void deep_stacks(void)
{
    struct sp_region *r = region_new(100 << 20, 4096);
    struct sp_thread *t = region_thread(r, 1, ""), *u = region_thread(r, 2, "second");
    uint32_t codes[200];
    for (int i = 0; i < 200; i++) {
        char name[16];
        snprintf(name, sizeof name, "deep%d", i);
        codes[i] = region_code(r, name, "deep.py", i + 1);
    }
    uint64_t x = 88172645463325252ull, sum = 0;
    for (uint32_t i = 0; i < 50000; i++) {
        uint32_t node = 0;
        for (int d = 0; d < 200; d++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            uint32_t next = region_node(r, node, codes[d < 150 ? (uint32_t)d : x % 200], (int32_t)(x % 3) * (d > 195) * 2);
            if (!next)
                break;
            node = next;
        }
        uint64_t w = 1000 + x % 1000000;
        region_sample(r, i & 1 ? t : u, node ? node : r->pseudo_node[SP_PSEUDO_OVERFLOW], w, i * 1000000ull);
        sum += w;
    }
    CHECK_EQ(write_it(r, "deep-stacks", UINT64_MAX), 0);
    char want[64];
    snprintf(want, sizeof want, "\"endValue\":%llu", (unsigned long long)sum + 1234);
    CHECK(memmem(text, text_bytes, want, strlen(want)));
    CHECK(text_bytes < 25000000);
    CHECK_EQ(write_it(r, "deep-stacks-1m", 1000000), 0);
    CHECK(text_bytes < 1000000);
    CHECK(memmem(text, text_bytes, want, strlen(want)));
    page_is_bounded(r, "deep-stacks", sum + 1234, true);
}

static uint64_t nothing(void *arg, uint32_t node)
{
    (void)arg, (void)node;
    return 0;
}

/* One stack too deep for the viewer beside many functions: each has its line all the same. */
static void lines_beside_a_deep_stack(void)
{
    struct sp_region *r = region_new(32u << 20, 4096);
    struct sp_thread *t = region_thread(r, 4711, "");
    uint32_t n = 20000, found = 0, deep = 0, code = region_code(r, "deep", "deep.py", 1);
    for (int i = 0; i < 1100; i++)
        deep = region_node(r, deep, code, 0);
    region_sample(r, t, deep, 1000000, 0);
    for (uint32_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "f%u", i);
        region_sample(r, t, region_node(r, 0, region_code(r, name, "many.py", 7), 0), 1000000, 1000000ull * i);
    }
    CHECK_EQ(write_it(r, "lines-beside-a-deep-stack", UINT64_MAX), 0);
    CHECK(memmem(text, text_bytes, " frames elided)", 15));
    const char *lines = memmem(text, text_bytes, "\"lines\":[", 9), *end = text + text_bytes;
    for (const char *s = lines; s && (s = memmem(s, (size_t)(end - s), ",[[7,", 5)); s++)
        found++;
    CHECK_EQ(found, n);
}

static void many_threads(void)
{
    struct sp_region *r = region_new(100 << 20, 1024);
    uint32_t code = region_code(r, "f", "a.py", 1), node = region_node(r, 0, code, 0);
    uint64_t sum = 0;
    for (int i = 0; i < 700; i++) {
        struct sp_thread *t = region_thread(r, 100 + i, "w");
        region_sample(r, t, node, 1000000 + (uint64_t)i, 5);
        sum += 1000000 + (uint64_t)i;
        if (i % 2) {
            sp_thread_end(r, t, t->last_cpu_ns + 7, 6, SP_TICKS_COMING);
            sum += 7;
        }
    }
    struct sp_profile p = {.region = r, .process_cpu_ns = sum, .wall_ns = 1, .most_bytes = UINT64_MAX};
    struct sp_view v;
    struct sp_view_limits limits = {.most_entries = UINT64_MAX / 2, .most_bytes = UINT64_MAX / 2, .entry_bytes = nothing};
    CHECK(sp_view_init(&v, &p) && sp_view_bound(&v, &limits));
    CHECK_EQ(v.n_own, 200);
    CHECK_EQ(v.n_threads, 700);
    CHECK_EQ(v.n_others, 500);
    CHECK_EQ(v.used_ns, sum);
    CHECK_EQ(sp_view_n_profiles(&v), 201);
    CHECK_EQ(write_it(r, "many-threads", UINT64_MAX), 0);
}

static void collapsed_holds_the_same(void)
{
    struct sp_region *r = region_new(16 << 20, 4096);
    uint32_t f = region_code(r, "f;g\n 12", "a.py", 1), node = region_node(r, 0, f, 0);
    for (int i = 0; i < 300; i++) {
        struct sp_thread *t = region_thread(r, 100 + i, i % 3 ? "" : "pool;1");
        region_sample(r, t, node, 1000000 + (uint64_t)i, 5);
        region_sample(r, t, r->pseudo_node[SP_CATEGORY_UNWALKABLE], 7, 6);
        region_sample(r, t, node, 1, 7);
    }
    CHECK_EQ(write_as(&sp_writer_collapsed, r, "threads", UINT64_MAX), 0);
    CHECK_EQ(collapsed_sum(text, text_bytes), 300 * 1000008ull + 299 * 300 / 2 + 1234);
    CHECK(memmem(text, text_bytes, "\npool\\x3b1;f\\x3bg\\x0a\\x2012 10002", 33));
    CHECK(memmem(text, text_bytes, "\n(100 other threads);f", 22));
    CHECK(memmem(text, text_bytes, "\n(thread start/end) 1234\n", 25));
}

/* What a row of writers[] promises, asked of each: of a new one the sum of its weights wants a reader here. */
static const struct reader {
    const struct sp_writer_ops *format;
    uint64_t (*sum)(const char *text, size_t n);
} readers[] = {{&sp_writer_speedscope, speedscope_sum},
               {&sp_writer_collapsed, collapsed_sum},
               {&sp_writer_chrome, chrome_sum},
               {&sp_writer_html, html_sum},
               {&sp_writer_pprof, pprof_sum}};

static void every_format_holds_all_cpu_of(const struct sp_region *r)
{
    uint64_t used = 1234;
    for (uint32_t i = 1; i <= r->n_threads; i++)
        used += sp_thread_at(r, i)->end_cpu_ns;
    for (size_t i = 0; sp_writer_at(i); i++) {
        const struct sp_writer_ops *f = sp_writer_at(i);
        const struct reader *reader = NULL;
        for (size_t k = 0; k < SP_ARRAY_LEN(readers); k++)
            reader = readers[k].format == f ? &readers[k] : reader;
        if (!reader)
            fprintf(stderr, "%s: no reader of its sum in readers[]\n", f->name);
        CHECK(reader && f->key && f->suffixes[0] && f->suffixes[0][0] == '.' &&
              (f->gzip || strlen(f->head) <= SP_WRITER_HEAD_BYTES));
        CHECK_EQ(write_as(f, r, "every", UINT64_MAX), 0);
        CHECK_EQ(reader->sum(text, text_bytes), used);
        size_t whole = text_bytes;
        CHECK_EQ(write_as(f, r, "every", UINT64_MAX), 0);
        CHECK_EQ(text_bytes, whole);
        char name[64];
        for (const char *const *s = f->suffixes; *s; s++) {
            snprintf(name, sizeof name, "p%s", *s);
            CHECK(sp_writer_for(name) == f);
        }
        CHECK(write_as(f, r, "cut", whole / 2) != 0 || text_bytes <= whole / 2);
    }
}

static void every_format_holds_all_cpu(void)
{
    every_format_holds_all_cpu_of(small());
    struct sp_region *one = region_new(8 << 20, 4096);
    region_sample(one, region_thread(one, 4711, ""), region_node(one, 0, region_code(one, "f", "a.py", 1), 0), 1000, 5);
    every_format_holds_all_cpu_of(one);
    every_format_holds_all_cpu_of(region_new(8 << 20, 4096));
}

/* Folded to fit: small, the total unchanged. */
static void collapsed_is_bounded(void)
{
    struct sp_region *r = region_new(32 << 20, 1024);
    struct sp_thread *t = region_thread(r, 1, "");
    uint32_t codes[64];
    char name[900];
    memset(name, 'x', sizeof name - 1);
    for (uint32_t i = 0; i < SP_ARRAY_LEN(codes); i++) {
        snprintf(name + sizeof name - 8, 8, "%u", i);
        codes[i] = region_code(r, name, "a.py", 1);
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t node = 0;
        for (uint32_t k = i, depth = 0; depth < 4; depth++, k /= 16)
            node = region_node(r, node, codes[(k + depth * 7) % SP_ARRAY_LEN(codes)], 0);
        region_sample(r, t, node, 1000 + i, i);
        sum += 1000 + i;
    }
    CHECK_EQ(write_as(&sp_writer_collapsed, r, "bounded", 200000), 0);
    CHECK(text_bytes < 200000);
    CHECK_EQ(collapsed_sum(text, text_bytes), sum + 1234);
}

static void formats_by_name(void)
{
    CHECK(sp_writer_for("a.json") == &sp_writer_speedscope && sp_writer_for("a") == sp_writer_default());
    CHECK(sp_writer_for("x/a.folded") == &sp_writer_collapsed && sp_writer_for("a.collapsed") == &sp_writer_collapsed);
    CHECK(sp_writer_for("a.txt/b") == sp_writer_default() && sp_writer_for("a.pb.gz") == &sp_writer_pprof);
    CHECK(sp_writer_for("a.folded.gz") == &sp_writer_collapsed && sp_writer_suffix_bytes("a.b.speedscope.json.gz") == 19);
    CHECK(sp_writer_is_unknown("a.gz") && sp_writer_is_unknown("x.json/a.xyz") && !sp_writer_is_unknown("a.pb.gz"));
    CHECK(!sp_writer_is_unknown("a") && !sp_writer_is_unknown(".a") && !sp_writer_is_unknown("a.") &&
          !sp_writer_is_unknown("x.y/a"));
    CHECK_EQ(sp_writer_suffix_bytes("a.b.speedscope.json"), 16);
    CHECK_EQ(sp_writer_suffix_bytes("a.b.collapsed"), 10);
    CHECK(!sp_writer_is_ours("{\"$schema\":\"https://www.speedscope.app", 37) && !sp_writer_is_ours("# spprof", 8));
}

static void overflow_is_shown(void)
{
    struct sp_region *r = region_new(1 << 20, 64);
    struct sp_thread *t = region_thread(r, 1, "");
    uint32_t code = region_code(r, "f", "a.py", 1);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < 60000; i++) { /* logs, totals and tree all full */
        uint32_t node = region_node(r, i % 97 ? region_node(r, 0, code, (int32_t)(i % 5000) * 2) : 0, code, (int32_t)i * 2);
        region_sample(r, t, node ? node : r->pseudo_node[SP_PSEUDO_OVERFLOW], 1000 + i, i);
        sum += 1000 + i;
    }
    CHECK_EQ(write_it(r, "overflow", UINT64_MAX), 0);
    char want[64];
    snprintf(want, sizeof want, "\"endValue\":%llu", (unsigned long long)sum + 1234);
    CHECK(memmem(text, text_bytes, want, strlen(want)));
    CHECK(memmem(text, text_bytes, "(overflow)", 10));
}

const struct unit_case unit_cases[] = {
    {"golden", golden},
    {"golden_collapsed", golden_collapsed},
    {"golden_pprof", golden_pprof},
    {"golden_chrome", golden_chrome},
    {"golden_html", golden_html},
    {"golden_lines", golden_lines},
    {"imports_are_one_frame", imports_are_one_frame},
    {"formats_by_name", formats_by_name},
    {"collapsed_holds_the_same", collapsed_holds_the_same},
    {"every_format_holds_all_cpu", every_format_holds_all_cpu},
    {"collapsed_is_bounded", collapsed_is_bounded},
    {"region_unharmed", region_unharmed},
    {"empty", empty},
    {"strings", strings},
    {"sink_errors_are_kept", sink_errors_are_kept},
    {"five_million_records", five_million_records},
    {"deep_stacks", deep_stacks},
    {"lines_beside_a_deep_stack", lines_beside_a_deep_stack},
    {"many_threads", many_threads},
    {"overflow_is_shown", overflow_is_shown},
    {NULL, NULL},
};
