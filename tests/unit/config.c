/* SPDX-License-Identifier: MIT */
#include "inject/config.h"

#include <string.h>
#include <unistd.h>

#include "tests/support/unit.h"

static char said[2048];

static void hear(const char *line)
{
    strncat(said, line, sizeof said - strlen(said) - 1);
    strncat(said, "\n", sizeof said - strlen(said) - 1);
}

static struct sp_config read_env(char *const *env)
{
    struct sp_config c;
    said[0] = '\0';
    sp_config_read(&c, env, hear);
    return c;
}

static void defaults(void)
{
    char *env[] = {"HOME=/", "SPPROFX=1", NULL};
    struct sp_config c = read_env(env);
    CHECK_EQ(c.on, 1);
    CHECK_EQ(c.interval_ns, 10000000);
    CHECK_EQ(c.depth, 4096);
    CHECK_EQ(c.memory_bytes, 100u << 20);
    CHECK_EQ(c.lines, 0);
    CHECK_EQ(c.children, 1);
    CHECK_EQ(c.verbose, SP_VERBOSE_AUTO);
    CHECK(!*c.out && !*c.run);
    CHECK_STR(said, "");
    c = read_env(NULL);
    CHECK_EQ(c.depth, 4096);
}

static void durations(void)
{
    const struct {
        const char *text;
        long long ns;
    } good[] = {
        {"100us", 100000},     {"10m", 600000000000}, {"2h", 7200000000000}, {"10s", 10000000000},
        {"7", 7000000},        {"2.5ms", 2500000},    {"0.1S", 100000000},   {"250hz", 4000000},
        {"0.5Hz", 2000000000}, {"999999ns", 999999},  {"10MS", 10000000},    {"3hz", 333333333},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        uint64_t ns = 0;
        CHECK(sp_config_parse_duration(good[i].text, &ns));
        CHECK_EQ(ns, good[i].ns);
    }
    const char *bad[] = {"", "fast", "ms", "-5ms", "1 ms", "1e3", "5d", "0hz", "99999999999999999999s", "1ms!", "."};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        uint64_t ns = 0;
        if (sp_config_parse_duration(bad[i], &ns))
            fprintf(stderr, "accepted: %s\n", bad[i]);
        CHECK(!sp_config_parse_duration(bad[i], &ns));
    }
}

static void sizes(void)
{
    uint64_t v;
    CHECK(sp_config_parse_bytes("1M", &v) && v == 1u << 20);
    CHECK(sp_config_parse_bytes("4g", &v) && v == 4ull << 30);
    CHECK(sp_config_parse_bytes("1.5kB", &v) && v == 1536);
    CHECK(sp_config_parse_bytes("123", &v) && v == 123);
    CHECK(!sp_config_parse_bytes("1T", &v) && !sp_config_parse_bytes("M", &v) && !sp_config_parse_bytes("", &v));
}

static void bad_values_keep_the_default(void)
{
    char *env[] = {"SPPROF_INTERVAL=1us", "SPPROF_DEPTH=70000", "SPPROF_MEMORY=1T",
                   "SPPROF_LINES=2",      "SPPROF_CHILDREN=no", "SPPROF_VERBOSE=loud",
                   "SPPROF=perhaps",      "SPPROF_OUT=",        NULL};
    struct sp_config c = read_env(env);
    CHECK_EQ(c.interval_ns, 10000000);
    CHECK_EQ(c.depth, 4096);
    CHECK_EQ(c.memory_bytes, 100u << 20);
    CHECK_EQ(c.lines, 0);
    CHECK_EQ(c.children, 1);
    CHECK_EQ(c.verbose, SP_VERBOSE_AUTO);
    CHECK_EQ(c.on, 1);
    CHECK(!*c.out);
    int n = 0;
    for (const char *p = said; (p = strchr(p, '\n')); p++)
        n++;
    CHECK_EQ(n, 7);
    CHECK(strstr(said, "SPPROF_DEPTH=70000 cannot be used; accepted: 16 ... 65536; 4096 is used"));
}

static void switches_have_two_ways(void)
{
    char *env[] = {
        "SPPROF=1", "SPPROF_LINES=on", "SPPROF_WALL=1", "SPPROF_CHILDREN=off", "SPPROF_NATIVE=1", "SPPROF_SIGNAL=off", NULL};
    struct sp_config c = read_env(env);
    CHECK(c.on == 1 && c.lines == 1 && c.wall == 1 && c.children == 0 && c.native == 1 && c.signal == 0);
    CHECK_STR(said, "");
}

static void texts_have_a_length(void)
{
    static char name[8192] = "SPPROF_OUT=/";
    char *env[] = {name, NULL};
    memset(name + strlen(name), 'x', 4200);
    CHECK(!*read_env(env).out);
    CHECK(strncmp(said, "SPPROF_OUT=/xxx", 15) == 0);
    CHECK(strstr(said, "xxx... is too long; accepted: up to 4095 bytes; spprof-<pid>.speedscope.json is used\n"));
}

static void good_values(void)
{
    char *env[] = {"SPPROF_INTERVAL=1ms", "SPPROF_DEPTH=16",   "SPPROF_MEMORY=4G",
                   "SPPROF_LINES=1",      "SPPROF_CHILDREN=0", "SPPROF_VERBOSE=1",
                   "SPPROF=ON",           "SPPROF_OUT=a b",    NULL};
    struct sp_config c = read_env(env);
    CHECK_STR(said, "");
    CHECK_EQ(c.interval_ns, 1000000);
    CHECK_EQ(c.depth, 16);
    CHECK_EQ(c.memory_bytes, 4ull << 30);
    CHECK(c.lines == 1 && c.children == 0 && c.verbose == SP_VERBOSE_ALWAYS && c.on == 1);
    CHECK_STR(c.out, "a b");
    char *off[] = {"SPPROF=off", NULL};
    CHECK_EQ(read_env(off).on, 0);
}

static void unknown_names(void)
{
    char *env[] = {"SPPROF_INTERVALL=1ms", "SPPROF_FOO", NULL};
    read_env(env);
    CHECK_STR(said, "SPPROF_INTERVALL is no option of spprof; the nearest is SPPROF_INTERVAL; it is ignored\n");
}

const struct unit_case unit_cases[] = {
    {"defaults", defaults},
    {"durations", durations},
    {"sizes", sizes},
    {"bad_values_keep_the_default", bad_values_keep_the_default},
    {"switches_have_two_ways", switches_have_two_ways},
    {"texts_have_a_length", texts_have_a_length},
    {"good_values", good_values},
    {"unknown_names", unknown_names},
    {NULL, NULL},
};
