/* SPDX-License-Identifier: MIT
 * spprof top: what processes do, second by second, on a terminal. The sources are read anew each time, as spprof report reads them;
 * a row's share is of the CPU used since the time before, its sums are of all since the beginning or since R. */
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/layout.h"
#include "inject/command/ring.h"
#include "inject/command/top.h"

#define EVERY_MS 1000
#define SHARES 34 /* columns before a name */
#define FILTER_BYTES 64

const bool sp_top_can = true;

struct shown {
    const char *name;
    double own_share, total_share, own, total;
};

struct top {
    struct sp_top_source *sources;
    int n_sources;
    struct sp_top_moment *now, *before, *base; /* NULL: none */
    size_t kind;
    int sort;
    bool is_paused, helps, types, is_utf8;
    char filter[FILTER_BYTES], said[256];
};

/* ---- reading */
static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- rows */
static const struct sp_report_row *row_of(struct sp_top_moment *m, size_t kind, const char *name)
{
    return m ? sp_report_row(&m->rows[kind], name) : NULL;
}

static double sum_since(const struct top *t, struct sp_top_moment *since)
{
    return t->now->rows[t->kind].sum - (since ? since->rows[t->kind].sum : 0);
}

static bool passes(const struct top *t, const char *name)
{
    return !*t->filter || strcasestr(name, t->filter);
}

static int order; /* of compare() */

static int compare(const void *a, const void *b)
{
    const struct shown *x = a, *y = b;
    const double of_x[] = {x->own_share, x->total_share, x->own, x->total},
                 of_y[] = {y->own_share, y->total_share, y->own, y->total};
    for (int i = 0; i < 4; i++) {
        double p = of_x[(order + i) % 4], q = of_y[(order + i) % 4];
        if (fabs(p - q) > 0)
            return p < q ? 1 : -1;
    }
    return strcmp(x->name, y->name);
}

static struct shown *list(const struct top *t, size_t *n)
{
    struct sp_report_rows *r = &t->now->rows[t->kind];
    struct sp_top_moment *before = t->before ? t->before : t->base;
    double whole = sum_since(t, before);
    struct shown *all = sp_cli_alloc(NULL, (r->n + 1) * sizeof *all);
    *n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct sp_report_row *row = &r->row[i], *base = row_of(t->base, t->kind, row->name),
                                   *last = row_of(before, t->kind, row->name);
        struct shown s = {
            .name = row->name, .own = row->self - (base ? base->self : 0), .total = row->total - (base ? base->total : 0)};
        if (whole > 0) {
            s.own_share = 100 * (row->self - (last ? last->self : 0)) / whole;
            s.total_share = 100 * (row->total - (last ? last->total : 0)) / whole;
        }
        if (s.total > 0 && passes(t, row->name))
            all[(*n)++] = s;
    }
    order = t->sort;
    qsort(all, *n, sizeof *all, compare);
    return all;
}

/* ---- the screen */
/* A character that a terminal without UTF-8 cannot show becomes a question mark. */
static void put(const struct top *t, char *text)
{
    char *to = text;
    for (const char *s = text; *s; s++)
        if (t->is_utf8 || (unsigned char)*s < 0x80)
            *to++ = *s;
        else if ((*s & 0xc0) != 0x80)
            *to++ = '?';
    *to = '\0';
    addstr(text);
}

static void put_name(const struct top *t, const char *name, int columns)
{
    char *text = NULL;
    size_t n;
    FILE *to = columns >= 8 ? open_memstream(&text, &n) : NULL;
    if (!to)
        return;
    sp_layout_print(to, name, columns);
    fclose(to);
    put(t, text);
    free(text);
}

/* What was used or waited since the moment before, of each second that passed. */
static double rate(const struct top *t, double now, double before)
{
    const struct sp_top_moment *m = t->before ? t->before : t->base;
    double passed = m ? t->now->at_s - m->at_s : 0;
    return passed > 0 ? (now - before) / 1e9 / passed : 0;
}

static void describe_gil(const struct top *t, char *out, size_t cap)
{
    const struct sp_top_moment *m = t->now, *b = t->before ? t->before : t->base;
    double held = 100 * rate(t, m->gil.held, b ? b->gil.held : 0), wanted = rate(t, m->gil.waited, b ? b->gil.waited : 0);
    if (!m->gil.is)
        snprintf(out, cap, "GIL none");
    else if (!m->gil.is_known)
        snprintf(out, cap, "GIL with SPPROF_WALL");
    else
        snprintf(out, cap, "GIL %.0f %%, %.1f wait%s", t->n_sources == 1 && held > 100 ? 100 : held, wanted,
                 m->gil.is_untold ? " (of some)" : "");
}

/* From the left as many as there is room for. */
static void put_facts(const struct top *t)
{
    const struct sp_top_moment *m = t->now, *b = t->before ? t->before : t->base;
    char fact[6][80] = {""};
    snprintf(fact[0], sizeof *fact, "CPU %.0f %%", 100 * rate(t, m->rows[t->kind].sum, b ? b->rows[t->kind].sum : 0));
    describe_gil(t, fact[1], sizeof *fact);
    if (m->threads > 0)
        snprintf(fact[2], sizeof *fact, "Threads %.0f", m->threads);
    snprintf(fact[3], sizeof *fact, "Losses %.0f", m->losses);
    snprintf(fact[4], sizeof *fact, "Python %s", m->python);
    snprintf(fact[5], sizeof *fact, "Samples %.0f", m->samples);
    for (int i = 0, at = 0; i < 6; i++) {
        int columns = (int)strlen(fact[i]);
        if (!columns || at + columns > COLS)
            continue;
        mvaddnstr(1, at, fact[i], columns);
        at += columns + 3;
    }
}

/* What the user did, and what was said. */
static void put_notes(const struct top *t)
{
    move(2, 0);
    if (t->is_paused)
        addstr("PAUSED   ");
    if (t->types || *t->filter) {
        addstr("Filter: ");
        put_name(t, t->filter, COLS - getcurx(stdscr));
        addstr(t->types ? "_   " : "   ");
    }
    put_name(t, t->said, COLS - getcurx(stdscr));
}

static void put_head(const struct top *t)
{
    put_name(t, t->n_sources > 1 ? "several processes" : t->now->command, COLS);
    put_facts(t);
    put_notes(t);
}

static void put_help(void)
{
    static const char *const lines[] = {
        "1 2 3 4   sort by %Own, %Total, OwnTime, TotalTime",
        "L         lines, or functions again",
        "t         threads, or functions again",
        "p         pause, and go on",
        "R         sums begin anew",
        "/         show names with this in them; Enter ends it",
        "?         this help, and back",
        "q         quit",
    };
    for (size_t i = 0; i < SP_ARRAY_LEN(lines) && (int)i + 4 < LINES; i++)
        mvaddnstr((int)i + 4, 0, lines[i], COLS);
}

static void put_rows(const struct top *t)
{
    static const char *const whats[] = {"Function (file:first line)", "Function (file:line)", "Thread"};
    size_t n;
    struct shown *all = list(t, &n);
    char line[512];
    attron(A_REVERSE);
    mvaddnstr(3, 0, "  %Own %Total   OwnTime TotalTime ", COLS);
    put_name(t, whats[t->kind], COLS - SHARES);
    attroff(A_REVERSE);
    for (size_t i = 0; i < n && (int)i + 4 < LINES; i++) {
        char own[32], total[32];
        sp_cli_time(all[i].own, own, sizeof own);
        sp_cli_time(all[i].total, total, sizeof total);
        snprintf(line, sizeof line, "%6.1f %6.1f %9s %9s ", all[i].own_share, all[i].total_share, own, total);
        mvaddnstr((int)i + 4, 0, line, COLS);
        put_name(t, all[i].name, COLS - SHARES);
    }
    free(all);
}

static void draw(const struct top *t)
{
    erase();
    move(0, 0);
    put_head(t);
    if (t->helps)
        put_help();
    else
        put_rows(t);
    refresh();
}

/* ---- keys */
static void type(struct top *t, int key)
{
    size_t n = strlen(t->filter);
    if (key == '\n' || key == '\r' || key == 27)
        t->types = false;
    else if ((key == KEY_BACKSPACE || key == 127 || key == 8) && n)
        t->filter[n - 1] = '\0';
    else if (key >= 32 && key < 256 && key != 127 && n + 1 < sizeof t->filter)
        t->filter[n] = (char)key;
}

static void begin_anew(struct top *t)
{
    sp_top_free(t->base);
    sp_top_free(t->before);
    t->base = t->now;
    t->before = NULL;
    t->now = sp_top_read(t->sources, t->n_sources);
    if (!t->now) {
        t->now = t->base;
        t->base = NULL;
    }
}

/* False: it is the end. */
static bool obey(struct top *t, int key)
{
    if (t->types) {
        type(t, key);
        return true;
    }
    switch (key) {
    case '1':
    case '2':
    case '3':
    case '4': t->sort = key - '1'; break;
    case 'l':
    case 'L': t->kind = t->kind == 1 ? 0 : 1; break;
    case 't':
    case 'T': t->kind = t->kind == 2 ? 0 : 2; break;
    case 'p': t->is_paused = !t->is_paused; break;
    case 'R': begin_anew(t); break;
    case '?':
    case 'h': t->helps = !t->helps; break;
    case '/':
        t->types = true;
        t->filter[0] = '\0';
        break;
    case 'q':
    case 3: return false;
    default: break;
    }
    return true;
}

/* What is said on stderr would spoil the screen: it is shown in it. */
static void take_said(struct top *t, int said)
{
    ssize_t n = pread(said, t->said, sizeof t->said - 1, 0);
    t->said[n > 0 ? n : 0] = '\0';
    t->said[strcspn(t->said, "\n")] = '\0';
    if (ftruncate(said, 0) == 0)
        lseek(said, 0, SEEK_SET);
}

static void look(struct top *t, int said)
{
    struct sp_top_moment *m = sp_top_read(t->sources, t->n_sources);
    take_said(t, said);
    if (!m)
        return;
    if (t->before != t->base)
        sp_top_free(t->before);
    t->before = t->now;
    t->now = m;
}

/* The terminal: nothing comes from it any more, at once. */
static bool is_gone(void)
{
    struct pollfd p = {.fd = 0, .events = POLLIN};
    return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

static void run(struct top *t, int said)
{
    double due = seconds() + EVERY_MS / 1e3;
    for (bool goes_on = true; goes_on;) {
        draw(t);
        double left = due - seconds();
        timeout(left > 0 ? (int)(left * 1e3) + 1 : 0);
        int key = getch();
        if (key != ERR)
            goes_on = obey(t, key);
        else if (is_gone())
            break;
        if (seconds() < due)
            continue;
        if (!t->is_paused)
            look(t, said);
        due = seconds() + EVERY_MS / 1e3;
    }
}

int sp_top_run(struct sp_top_source *sources, int n_sources)
{
    struct top t = {.sources = sources, .n_sources = n_sources};
    if (!isatty(0) || !isatty(1))
        return sp_cli_fail("top", "wants a terminal; spprof report prints the same once");
    t.now = sp_top_read(t.sources, t.n_sources);
    if (!t.now)
        return 1;
    int said = sp_ring_file(), err = dup(2);
    setlocale(LC_CTYPE, "");
    t.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    SCREEN *screen = newterm(NULL, stdout, stdin);
    if (!screen)
        return sp_cli_fail("top", "this terminal is not known (TERM)");
    if (said >= 0)
        dup2(said, 2);
    raw();
    noecho();
    keypad(stdscr, TRUE);
    curs_set(0);
    run(&t, said);
    endwin();
    dup2(err, 2);
    return 0;
}
