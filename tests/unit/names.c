/* SPDX-License-Identifier: MIT
 * Output names, command lines, suffixes. */
#include <string.h>
#include <unistd.h>

#include "compat/utc.h"
#include "inject/identity.h"
#include "inject/output_name.h"
#include "tests/support/unit.h"
#include "writers/writer.h"

static char path[SP_PATH_BYTES];
static char *environment[] = {"POD=web/1", "EMPTY=", NULL};

static struct sp_name_values values(uint32_t number)
{
    return (struct sp_name_values){
        .pid = 4711,
        .started_wall_ns = 1795421593ull * 1000000000, /* 2026-11-23T08:13:13Z */
        .host = "h/x",
        .script = "app",
        .environment = environment,
        .number = number,
    };
}

static const char *expand(const char *out, bool with_pid, uint32_t number)
{
    struct sp_name_values v = values(number);
    CHECK(sp_name_expand(path, out, with_pid, &v));
    return path;
}

static void kinds(void)
{
    CHECK_EQ(sp_name_kind_of(NULL), SP_NAME_DEFAULT);
    CHECK_EQ(sp_name_kind_of(""), SP_NAME_DEFAULT);
    CHECK_EQ(sp_name_kind_of("a.json"), SP_NAME_LITERAL);
    CHECK_EQ(sp_name_kind_of("100%%.json"), SP_NAME_LITERAL);
    CHECK_EQ(sp_name_kind_of("a%%%p.json"), SP_NAME_PATTERN);
    CHECK(sp_name_is_unique("x%p") && sp_name_is_unique("x%n") && !sp_name_is_unique("x%t%e") && !sp_name_is_unique("x%%p"));
}

static void fields(void)
{
    CHECK_STR(expand("/o/%p-%h-%t-%e.json", false, 1), "/o/4711-h_x-20261123T081313Z-app.json");
    CHECK_STR(expand("%{POD}|%{EMPTY}|%{NONE}|%%|%q|%", false, 1), "web_1|||%|%q|%");
    CHECK_STR(expand("r%n.json", false, 3), "r3.json");
}

static void pid_and_number_go_before_the_suffix(void)
{
    CHECK_STR(expand("/d.x/profile.json", true, 1), "/d.x/profile.4711.json");
    CHECK_STR(expand("/d.x/profile.json", true, 2), "/d.x/profile.4711-2.json");
    CHECK_STR(expand("p.speedscope.json", true, 1), "p.4711.speedscope.json");
    CHECK_STR(expand("p.pb.gz", false, 2), "p-2.pb.gz");
    CHECK_STR(expand("/d.x/plain", true, 1), "/d.x/plain.4711");
    CHECK_STR(expand("/d.x/.hidden", true, 1), "/d.x/.hidden.4711");
}

static void defaults(void)
{
    struct sp_name_values v = values(1);
    CHECK(sp_name_default(path, "/tmp", &v));
    CHECK_STR(path, "/tmp/spprof-4711.speedscope.json");
    v.number = 2;
    CHECK(sp_name_default(path, "", &v));
    CHECK_STR(path, "/spprof-4711-2.speedscope.json");
}

static void too_long(void)
{
    static char name[SP_PATH_BYTES + 10];
    struct sp_name_values v = values(1);
    memset(name, 'x', sizeof name - 1);
    CHECK(!sp_name_expand(path, name, false, &v));
}

/* What `path` held before must not be taken for a suffix. */
static void expands_to_nothing(void)
{
    strcpy(path, ".speedscope.json");
    CHECK_STR(expand("%{NOT_SET}", false, 1), "");
    strcpy(path, ".speedscope.json");
    CHECK_STR(expand("%{NOT_SET}", true, 2), ".4711-2");
}

static void calendar(void)
{
    struct sp_utc u = sp_utc_from_seconds(951782400); /* 2000-02-29 */
    CHECK(u.year == 2000 && u.month == 2 && u.day == 29 && u.hour == 0);
    u = sp_utc_from_seconds(4107542399ull); /* 2100-02-28T23:59:59 */
    CHECK(u.year == 2100 && u.month == 2 && u.day == 28 && u.hour == 23 && u.second == 59);
}

static struct sp_identity cut(const char *line, size_t n)
{
    struct sp_identity i;
    memset(&i, 0x55, sizeof i);
    sp_identity_cut_command(&i, line, n);
    return i;
}

#define CUT(literal) cut(literal, sizeof literal)

static void secrets_are_cut_off(void)
{
    struct sp_identity i = CUT("/usr/bin/python3\0-X\0dev\0-u\0/srv/app.py\0--password\0hunter2");
    CHECK_STR(i.script, "app");
    CHECK(memcmp(i.argv, "/usr/bin/python3\0-X\0dev\0-u\0/srv/app.py\0", 39) == 0 && i.argv[39] == '\0');
    CHECK(!memmem(i.argv, sizeof i.argv, "hunter2", 7));
    i = CUT("python3\0-m\0gunicorn\0--secret");
    CHECK_STR(i.script, "gunicorn");
    CHECK(!memmem(i.argv, sizeof i.argv, "secret", 6));
    i = CUT("python3\0-Ic\0import x; x.key='s3cret'\0a");
    CHECK_STR(i.script, "-c");
    CHECK(!memmem(i.argv, sizeof i.argv, "s3cret", 6));
    i = CUT("/opt/uwsgi\0--pass\0word");
    CHECK_STR(i.script, "uwsgi");
    CHECK(!memmem(i.argv, sizeof i.argv, "word", 4));
    i = cut("", 0);
    CHECK_STR(i.script, "");
}

const struct unit_case unit_cases[] = {
    {"kinds", kinds},
    {"fields", fields},
    {"pid_and_number_go_before_the_suffix", pid_and_number_go_before_the_suffix},
    {"defaults", defaults},
    {"too_long", too_long},
    {"expands_to_nothing", expands_to_nothing},
    {"calendar", calendar},
    {"secrets_are_cut_off", secrets_are_cut_off},
    {NULL, NULL},
};
