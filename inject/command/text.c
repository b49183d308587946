/* SPDX-License-Identifier: MIT
 * Text for a terminal. */
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "compat/base.h"
#include "inject/command/command.h"
#include "inject/command/input.h"

/* The code point at s, and how many bytes it has; 0: there is none. */
static size_t decode(const unsigned char *s, uint32_t *point)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    *point = n == 1 ? s[0] : s[0] & (0x7fu >> n);
    if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4))
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        *point = *point << 6 | (s[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = *point >= 0xd800 && *point < 0xe000;
    return *point < least[n] || *point > 0x10ffff || surrogate ? 0 : n;
}

/* Controls; what orders, joins or hides the characters around it (Unicode's categories Cc, Cf, Zl, Zp, and the
 * blanks that have no width); what is no character. */
static bool is_hidden(uint32_t point)
{
    static const uint32_t ranges[][2] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x34f, 0x34f},     {0x600, 0x605},
        {0x61c, 0x61c},   {0x6dd, 0x6dd},   {0x70f, 0x70f},     {0x115f, 0x1160},   {0x17b4, 0x17b5},
        {0x180b, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},   {0x3164, 0x3164},
        {0xe000, 0xf8ff}, {0xfdd0, 0xfdef}, {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},   {0xffa0, 0xffa0},
        {0xfff0, 0xfffb}, {0xfffe, 0xffff}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0x10ffff},
    };
    for (size_t i = 0; i < SP_ARRAY_LEN(ranges); i++)
        if (point >= ranges[i][0] && point <= ranges[i][1])
            return true;
    return false;
}

/* East Asian Wide and Fullwidth, and emoji, coarsely; combining marks take none. */
static int width_of(uint32_t point)
{
    static const uint32_t wide[][2] = {{0x1100, 0x115f},  {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xa960, 0xa97f},
                                       {0xac00, 0xd7a3},  {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                                       {0xffe0, 0xffe6},  {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1faff},
                                       {0x20000, 0x3fffd}};
    if (point >= 0x300 && point < 0x370)
        return 0;
    for (size_t i = 0; i < SP_ARRAY_LEN(wide); i++)
        if (point >= wide[i][0] && point <= wide[i][1])
            return 2;
    return 1;
}

int sp_cli_character(const char *s, size_t *bytes)
{
    uint32_t point;
    size_t n = decode((const unsigned char *)s, &point);
    *bytes = n ? n : 1;
    return n ? width_of(point) : 1;
}

void sp_cli_print_json(FILE *out, const char *text)
{
    uint32_t point;
    fputc('"', out);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t n = decode(s, &point);
        if (n == 0)
            fprintf(out, "\\\\x%02x", *s); /* visible text, as the writers have it */
        else if (*s == '"' || *s == '\\')
            fprintf(out, "\\%c", *s);
        else if (!is_hidden(point))
            fwrite(s, 1, n, out);
        else if (point < 0x10000)
            fprintf(out, "\\u%04x", point);
        else
            fprintf(out, "\\u%04x\\u%04x", 0xd7c0 + (point >> 10), 0xdc00 + (point & 0x3ff));
        s += n ? n : 1;
    }
    fputc('"', out);
}

int sp_cli_print(FILE *out, const char *text)
{
    int columns = 0;
    uint32_t point;
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        size_t n = decode(s, &point);
        if (n == 0)
            columns += fprintf(out, "\\x%02x", *s);
        else if (!is_hidden(point))
            columns += fwrite(s, 1, n, out) == n;
        else
            columns += fprintf(out, point < 0x100 ? "\\x%02x" : point < 0x10000 ? "\\u%04x" : "\\U%08x", point);
        s += n ? n : 1;
    }
    return columns;
}

void sp_cli_time(double ns, char *out, size_t cap)
{
    if (!(ns < 1e18)) /* no profile of ours: a number is a number */
        snprintf(out, cap, "%.3gs", ns / 1e9);
    else if (ns >= 60e9)
        snprintf(out, cap, "%.0fm%04.1fs", (double)(long)(ns / 60e9), ns / 1e9 - 60 * (double)(long)(ns / 60e9));
    else if (ns >= 1e9)
        snprintf(out, cap, "%.2fs", ns / 1e9);
    else if (ns >= 1e6)
        snprintf(out, cap, "%.1fms", ns / 1e6);
    else
        snprintf(out, cap, "%.0fus", ns / 1e3);
}

bool sp_cli_colours(void)
{
    const char *no = getenv("NO_COLOR");
    return isatty(1) && !(no && *no);
}

int sp_cli_fail(const char *name, const char *what)
{
    fprintf(stderr, "spprof: ");
    sp_cli_print(stderr, sp_input_name(name));
    fprintf(stderr, ": %s\n", what);
    return 1;
}

void *sp_cli_alloc(void *p, size_t n)
{
    p = realloc(p, n ? n : 1);
    if (!p) {
        fprintf(stderr, "spprof: out of memory\n");
        exit(1);
    }
    return p;
}
