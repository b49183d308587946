/* SPDX-License-Identifier: MIT
 * Text for a terminal. */
#include <stdlib.h>
#include <unistd.h>

#include "inject/command/command.h"

int sp_cli_print(FILE *out, const char *text)
{
    int columns = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        bool c1 = s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0; /* U+0080 ... U+009F: control characters too */
        if (*s < 0x20 || *s == 0x7f || c1) {
            columns += fprintf(out, "\\x%02x", c1 ? s[1] : *s);
            s += c1;
        } else {
            fputc(*s, out);
            columns += (*s & 0xc0) != 0x80;
        }
    }
    return columns;
}

bool sp_cli_colours(void)
{
    const char *no = getenv("NO_COLOR");
    return isatty(1) && !(no && *no);
}
