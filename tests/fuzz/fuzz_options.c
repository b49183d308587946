/* SPDX-License-Identifier: MIT
 * Fuzz target: any environment, and any SPPROF_OUT with any fields. Input: lines of an environment. */
#include <stdlib.h>
#include <string.h>

#include "inject/config.h"
#include "inject/output_name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void complain(const char *line)
{
    if (strlen(line) == 0 || strchr(line, '\n'))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[SP_PATH_BYTES];
    if (size > 8192)
        return 0;
    char *text = malloc(size + 1), *environment[64];
    memcpy(text, data, size);
    text[size] = '\0';
    size_t n = 0;
    for (char *line = strtok(text, "\n"); line && n < 63; line = strtok(NULL, "\n"))
        environment[n++] = line;
    environment[n] = NULL;
    struct sp_config config;
    sp_config_read(&config, environment, complain);
    if (config.interval_ns < 100000 || config.interval_ns > 10000000000ull || config.depth < 16 || config.depth > 65536)
        abort();
    if (*config.out) {
        struct sp_name_values v = {.pid = 1, .host = "h/x", .script = "s", .environment = environment, .number = size % 3 + 1};
        if (sp_name_expand(path, config.out, size & 1, &v) && strlen(path) >= sizeof path)
            abort();
        sp_name_kind_of(config.out);
        sp_name_default(path, config.out, &v);
    }
    free(text);
    return 0;
}
