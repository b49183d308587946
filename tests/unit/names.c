/* SPDX-License-Identifier: MIT
 * Output names, command lines, suffixes, short paths. */
#include <string.h>
#include <unistd.h>

#include "compat/utc.h"
#include "inject/identity.h"
#include "inject/output_name.h"
#include "tests/support/unit.h"
#include "writers/names.h"

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

static void chosen_names(void)
{
    struct sp_identity i = {.script = "worker_7"}, none = {.script = ""};
    static const char *const yes[] = {"worker_7",   "*",         "w*7",           "*_?",      "a,worker_7",
                                      "worker_7,a", ",worker*,", "*er*r_7,w*r*7", "********", "a , worker_7 "};
    static const char *const no[] = {"worker", "worker_77", "worker_7?", "orker_7",  "w*8",
                                     "",       ",",         "?",         "worker 7", "*worker_7_*"};
    for (size_t k = 0; k < SP_ARRAY_LEN(yes); k++)
        CHECK(sp_identity_is_one_of(&i, yes[k]));
    for (size_t k = 0; k < SP_ARRAY_LEN(no); k++)
        CHECK(!sp_identity_is_one_of(&i, no[k]));
    CHECK(sp_identity_is_one_of(&none, "python") && !sp_identity_is_one_of(&none, ""));
}

/* Ends where the interpreter's own words end; `argv` has spaces for NULs here. */
static void ends_at(const char *line, size_t n, const char *argv, const char *script)
{
    struct sp_identity i = cut(line, n);
    char shown[sizeof i.argv] = "";
    for (size_t at = 0; at < sizeof i.argv && (i.argv[at] || (at + 1 < sizeof i.argv && i.argv[at + 1])); at++)
        shown[at] = i.argv[at] ? i.argv[at] : ' ';
    CHECK_STR(shown, argv);
    CHECK_STR(i.script, script);
}

#define ENDS_AT(literal, argv, script) ends_at(literal, sizeof literal, argv, script)

static void secrets_are_cut_off(void)
{
    ENDS_AT("/usr/bin/python3\0-X\0dev\0-u\0/srv/app.py\0--password\0secret", "/usr/bin/python3 -X dev -u /srv/app.py", "app");
    ENDS_AT("python3\0-m\0gunicorn\0--secret", "python3 -m gunicorn", "gunicorn");
    ENDS_AT("python3\0-Ic\0import x; x.key='secret'\0a", "python3 -Ic", "command");
    ENDS_AT("python3\0-Icimport x; x.key='secret'\0a", "python3 -Ic", "command");
    ENDS_AT("python3\0-c", "python3 -c", "python3");
    ENDS_AT("python3\0-\0--token=secret", "python3 -", "stdin");
    ENDS_AT("python3\0-u\0-\0secret", "python3 -u -", "stdin");
    ENDS_AT("python3\0--\0-\0secret", "python3 -- -", "stdin");
    ENDS_AT("python3\0--\0-odd.py\0secret", "python3 -- -odd.py", "odd");
    ENDS_AT("python3\0-uX\0dev\0app.py\0secret", "python3 -uX dev app.py", "app");
    ENDS_AT("python3\0-Xdev\0-Werror\0-bW\0ignore\0-m\0a.b\0secret", "python3 -Xdev -Werror -bW ignore -m a.b", "a.b");
    ENDS_AT("python3\0-X\0-\0-W\0-c\0-\0secret", "python3 -X - -W -c -", "stdin");
    ENDS_AT("python3\0-ImX\0secret", "python3 -ImX", "X");
    ENDS_AT("python3\0-Em\0pkg\0-c\0secret", "python3 -Em pkg", "pkg");
    ENDS_AT("python3\0--check-hash-based-pycs\0never\0-\0secret", "python3 --check-hash-based-pycs never -", "stdin");
    ENDS_AT("python3", "python3", "python3");
    ENDS_AT("/opt/uwsgi", "/opt/uwsgi", "uwsgi");
    ENDS_AT("-python3", "-python3", "python3");
    ends_at("", 0, "", "");
    /* what was read of it ends within a word: that word is not known */
    ends_at("python3\0-m\0gunico", 17, "python3 -m", "python3");
    ends_at("python3\0-c\0import os; secret", 28, "python3 -c", "command");
}

static void names_tell_processes_apart(void)
{
    ENDS_AT("python3\0-c\0from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=5)\0--multiprocessing-fork",
            "python3 -c (spawn)", "spawn");
    ENDS_AT("python3\0-c\0from multiprocessing.resource_tracker import main;main(6)", "python3 -c (resource_tracker)",
            "resource_tracker");
    ENDS_AT("python3\0-c\0from multiprocessing.forkserver import main; main(3)", "python3 -c (forkserver)", "forkserver");
    ENDS_AT("python3\0-c\0import sys; from multiprocessing.forkserver import main; main(3)", "python3 -c (forkserver)",
            "forkserver");
    ENDS_AT("python3\0-c\0from a.b.loky.resource_tracker import main; main(1)", "python3 -c (resource_tracker)",
            "resource_tracker");
    ENDS_AT("python3\0-c\0from secret.x import y", "python3 -c", "command");
    ENDS_AT("python3\0-c\0from spawn import y", "python3 -c", "command");
    ENDS_AT("python3\0-c\0from ", "python3 -c", "command");
    ENDS_AT("python3\0/srv/worker/__main__.py\0x", "python3 /srv/worker/__main__.py", "worker");
    ENDS_AT("python3\0__main__.py\0x", "python3 __main__.py", "__main__");
    ENDS_AT("python3\0dir/app.pyz/\0x", "python3 dir/app.pyz/", "app");
    ENDS_AT("python3\0.\0x", "python3 .", "");
    ENDS_AT("python3\0/\0x", "python3 /", "");
    ENDS_AT("python3\0v1.2\0x", "python3 v1.2", "v1.2");
}

static void launchers(void)
{
    static const char *const yes[] = {"/usr/bin/python3", "python",      "/x/python3.12", "python3.13t",
                                      "python3.14td",     "python3.7dm", "python3-dbg",   "/usr/bin/python3.11 (deleted)"};
    static const char *const no[] = {"python-worker",    "/usr/bin/uwsgi", "pythonista", "python3-config", "mypython3", "",
                                     "/opt/python3/app", "python3.12-app", "python3x"};
    for (size_t i = 0; i < SP_ARRAY_LEN(yes); i++)
        CHECK(sp_identity_is_launcher_name(yes[i]));
    for (size_t i = 0; i < SP_ARRAY_LEN(no); i++)
        CHECK(!sp_identity_is_launcher_name(no[i]));
}

static void unknown_fields(void)
{
    CHECK(!sp_name_unknown_field("plain") && !sp_name_unknown_field("%p%h%t%e%n%%%{A}"));
    CHECK_STR(sp_name_unknown_field("a%q-%z"), "%q-%z");
    CHECK_STR(sp_name_unknown_field("100%"), "%");
    CHECK_STR(sp_name_unknown_field("%{open"), "%{open");
    CHECK_STR(sp_name_unknown_field("%%%P"), "%P");
}

static const char *short_path(const char *of)
{
    return of + sp_names_short_path(of, strlen(of));
}

static void short_paths(void)
{
    CHECK_STR(short_path("/usr/lib/python3/dist-packages/a/b.py"), "a/b.py");
    CHECK_STR(short_path("/v/lib/python3.13t/site-packages/torch/_dynamo/__init__.py"), "torch/_dynamo/__init__.py");
    CHECK_STR(short_path("/usr/lib/python3.12/json/decoder.py"), "json/decoder.py");
    CHECK_STR(short_path("/usr/lib64/python3.9/os.py"), "os.py");
    CHECK_STR(short_path("/data/me/shop/app/main.py"), "shop/app/main.py");
    CHECK_STR(short_path("/app/main.py"), "/app/main.py");
    CHECK_STR(short_path("main.py"), "main.py");
    CHECK_STR(short_path("<string>"), "<string>");
    CHECK_STR(short_path("a/site-packages/"), "a/site-packages/");
    CHECK_STR(short_path(""), "");
}

const struct unit_case unit_cases[] = {
    {"kinds", kinds},
    {"fields", fields},
    {"pid_and_number_go_before_the_suffix", pid_and_number_go_before_the_suffix},
    {"defaults", defaults},
    {"too_long", too_long},
    {"expands_to_nothing", expands_to_nothing},
    {"calendar", calendar},
    {"chosen_names", chosen_names},
    {"secrets_are_cut_off", secrets_are_cut_off},
    {"names_tell_processes_apart", names_tell_processes_apart},
    {"launchers", launchers},
    {"unknown_fields", unknown_fields},
    {"short_paths", short_paths},
    {NULL, NULL},
};
