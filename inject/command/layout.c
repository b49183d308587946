/* SPDX-License-Identifier: MIT
 * See layout.h. */
#include "inject/command/layout.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "inject/command/command.h"

#define LEAST 40
#define INDENT 11 /* of what stands behind a title */
#define CUT "\xe2\x80\xa6"

int sp_layout_columns(void)
{
    struct winsize size;
    const char *columns = getenv("COLUMNS");
    if (!isatty(1))
        return 0;
    long n = columns ? strtol(columns, NULL, 10) : 0;
    if (n <= 0)
        n = ioctl(1, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    return n < LEAST ? LEAST : n > 10000 ? 10000 : (int)n;
}

/* ---- parts of a text */
/* Bytes of its beginning that take at most so many columns. */
static size_t head_bytes(const char *s, size_t n, int columns)
{
    size_t i = 0, k;
    while (i < n) {
        int width = sp_cli_character(s + i, &k);
        if (width > columns)
            break;
        columns -= width;
        i += k;
    }
    return i;
}

static int columns_of(const char *s, size_t n)
{
    int columns = 0;
    size_t k;
    for (size_t i = 0; i < n; i += k)
        columns += sp_cli_character(s + i, &k);
    return columns;
}

/* Where the end that takes at most so many columns begins. */
static size_t tail_from(const char *s, size_t n, int columns)
{
    int left = columns_of(s, n) - columns;
    size_t i = 0, k;
    for (; i < n && left > 0; i += k)
        left -= sp_cli_character(s + i, &k);
    return i;
}

static int put(FILE *out, const char *s, size_t n)
{
    fwrite(s, 1, n, out);
    return columns_of(s, n);
}

/* From the left, if possible at a slash. */
static int put_path(FILE *out, const char *s, size_t n, int columns)
{
    if (columns_of(s, n) <= columns)
        return put(out, s, n);
    size_t from = tail_from(s, n, columns - 1), slash = from;
    while (slash < n && s[slash] != '/')
        slash++;
    from = slash < n ? slash : from;
    fputs(CUT, out);
    return 1 + put(out, s + from, n - from);
}

/* In its middle. */
static int put_name(FILE *out, const char *s, size_t n, int columns)
{
    if (columns_of(s, n) <= columns)
        return put(out, s, n);
    size_t head = head_bytes(s, n, columns / 2), tail = tail_from(s, n, columns - 1 - columns / 2);
    int used = put(out, s, head);
    fputs(CUT, out);
    return used + 1 + put(out, s + tail, n - tail);
}

/* "…/conv.py:534" */
static int least_of_path(const char *s, size_t n)
{
    size_t slash = n;
    while (slash > 0 && s[slash - 1] != '/')
        slash--;
    int whole = columns_of(s, n), last = slash ? columns_of(s + slash - 1, n - slash + 1) + 1 : whole;
    return last < whole ? last : whole;
}

/* Where the last " (" of a text begins that ends in ")"; n: nowhere. */
static size_t find_place(const char *s, size_t n)
{
    for (size_t i = n; n && s[n - 1] == ')' && i-- > 1;)
        if (s[i] == '(' && s[i - 1] == ' ')
            return i - 1;
    return n;
}

static int put_within(FILE *out, const char *s, size_t n, int columns)
{
    size_t at = find_place(s, n);
    if (columns_of(s, n) <= columns)
        return put(out, s, n);
    if (at == n)
        return memchr(s, '/', n) ? put_path(out, s, n, columns) : put_name(out, s, n, columns);
    static const char module[] = "<module> "; /* whose name is its path */
    if (strncmp(s, module, sizeof module - 1) == 0 && at > sizeof module - 1)
        return put(out, s, sizeof module - 1) +
               put_path(out, s + sizeof module - 1, at - sizeof module + 1, columns - (int)sizeof module + 1);
    const char *path = s + at + 2;
    size_t bytes = n - at - 3;
    int name = columns_of(s, at), least = least_of_path(path, bytes), room = columns - name - 3;
    if (room < least) {
        room = least < columns / 3 ? least : columns / 3;
        room = columns - name - 3 > room ? columns - name - 3 : room;
        name = columns - room - 3;
    }
    int used = put_name(out, s, at, name) + put(out, " (", 2) + put_path(out, path, bytes, room);
    return used + put(out, ")", 1);
}

int sp_layout_print(FILE *out, const char *text, int columns)
{
    char *safe = NULL;
    size_t n = 0;
    FILE *f = columns ? open_memstream(&safe, &n) : NULL;
    if (!f)
        return sp_cli_print(out, text);
    sp_cli_print(f, text);
    fclose(f);
    int used = put_within(out, safe, n, columns < 8 ? 8 : columns);
    free(safe);
    return used;
}

void sp_layout_print_source(FILE *out, const char *text, int columns)
{
    char *safe = NULL;
    size_t n = 0, head;
    FILE *f = open_memstream(&safe, &n);
    if (!f)
        return;
    for (const char *tab; (tab = strchr(text, '\t')); text = tab + 1) {
        fprintf(f, "%.*s", (int)(tab - text), text);
        fflush(f);
        fprintf(f, "%*s", 8 - columns_of(safe, n) % 8, "");
    }
    fputs(text, f);
    fclose(f);
    char *plain = safe;
    f = open_memstream(&safe, &n);
    if (f) {
        sp_cli_print(f, plain);
        fclose(f);
        head = columns && columns_of(safe, n) > columns ? head_bytes(safe, n, columns - 1) : n;
        fwrite(safe, 1, head, out);
        fputs(head < n ? CUT : "", out);
        free(safe);
    }
    free(plain);
}

/* ---- lines */
static void put_line(FILE *out, const char *s, size_t n, int columns)
{
    int used = 0;
    bool is_first = true;
    for (size_t at = 0; at < n;) {
        size_t blanks = strspn(s + at, " "), word = at + blanks < n ? strcspn(s + at + blanks, " \n") : 0;
        int width = columns_of(s + at + blanks, word);
        if (!is_first && used > INDENT && used + (int)blanks + width > columns) {
            used = fprintf(out, "\n%*s", INDENT, "") - 1;
            blanks = 0;
            at += strspn(s + at, " ");
        }
        used += put(out, s + at, blanks);
        used += put_path(out, s + at + blanks, word, columns - used > 8 ? columns - used : 8);
        at += blanks + word;
        is_first = false;
    }
}

void sp_layout_print_lines(FILE *out, const char *lines, int columns)
{
    while (*lines) {
        size_t n = strcspn(lines, "\n");
        if (columns && columns_of(lines, n) > columns)
            put_line(out, lines, n, columns);
        else
            fwrite(lines, 1, n, out);
        fputc('\n', out);
        lines += n + (lines[n] == '\n');
    }
}
