/* SPDX-License-Identifier: MIT
 * See check.h: what the system, its limits and the directories allow. A forked trial has shown already whether it
 * works at all; here stands what is less than it could be. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "inject/command/check.h"
#include "writers/writer.h"

#define MB 1048576.0
#define FIRST_PID_NAMESPACE 0xeffffffcu /* PROC_PID_INIT_INO, include/linux/proc_ns.h */

static bool kernel_is_before(const char *release, int major, int minor)
{
    int a = 0, b = 0;
    return sscanf(release, "%d.%d", &a, &b) == 2 && (a < major || (a == major && b < minor));
}

static void check_kernel(struct sp_check *c)
{
    struct utsname u;
    struct timespec tick;
    if (uname(&u) != 0)
        return;
    if (kernel_is_before(u.release, 5, 9))
        sp_check_say(c, SP_CHECK_BUT, "kernel", "%s %s: before 5.9 a tick may interrupt a system call with EINTR", u.sysname,
                     u.release);
    else
        sp_check_say(c, SP_CHECK_OK, "kernel", "%s %s, %s", u.sysname, u.release, u.machine);
    if (clock_getres(CLOCK_MONOTONIC_COARSE, &tick) != 0 || tick.tv_sec || !tick.tv_nsec)
        return;
    double ms = (double)tick.tv_nsec / 1e6;
    sp_check_say(
        c, SP_CHECK_NOTE, "tick",
        "%.3g ms (CONFIG_HZ=%.0f): at most %.0f samples in a second of CPU, whatever SPPROF_INTERVAL asks for; more with "
        "SPPROF_ENGINE=fine",
        ms, 1000 / ms, 1000 / ms);
}

/* A limit that is set; false: none is. */
static bool limited(__rlimit_resource_t what, double *value)
{
    struct rlimit r;
    if (getrlimit(what, &r) != 0 || r.rlim_cur == RLIM_INFINITY)
        return false;
    *value = (double)r.rlim_cur;
    return true;
}

static void check_limits(struct sp_check *c)
{
    double v;
    char queued[64];
    int before = c->n[SP_CHECK_BUT] + c->n[SP_CHECK_NO];
    if (limited(RLIMIT_SIGPENDING, &v)) {
        double used = sp_check_line_of("/proc/self/status", "SigQ:", queued, sizeof queued) ? strtod(queued, NULL) : 0;
        if (v - used < 256)
            sp_check_say(c, SP_CHECK_BUT, "limits",
                         "this user may have %.0f timers and queued signals, %.0f are in use (ulimit -i): threads "
                         "beyond are (not sampled)",
                         v, used);
    }
    if (limited(RLIMIT_AS, &v) && v < 16 * 100 * MB)
        sp_check_say(c, v < 16 * MB ? SP_CHECK_NO : SP_CHECK_BUT, "limits",
                     "address space is limited to %.0f MB (ulimit -v): the profile gets at "
                     "most a sixteenth, %.0f MB",
                     v / MB, v / MB / 16);
    if (limited(RLIMIT_DATA, &v) && v < 16 * 100 * MB)
        sp_check_say(c, v < 16 * MB ? SP_CHECK_NO : SP_CHECK_BUT, "limits",
                     "data is limited to %.0f MB (ulimit -d): the profile gets at most a "
                     "sixteenth, %.0f MB",
                     v / MB, v / MB / 16);
    if (limited(RLIMIT_FSIZE, &v) && v < 20e6)
        sp_check_say(c, v < 65536 ? SP_CHECK_NO : SP_CHECK_BUT, "limits",
                     "files are limited to %.0f KB (ulimit -f): profiles are made to fit, "
                     "a spool of SPPROF_MEMORY does not",
                     v / 1024);
    if (before == c->n[SP_CHECK_BUT] + c->n[SP_CHECK_NO])
        sp_check_say(c, SP_CHECK_OK, "limits", "none of timers, memory and file size is in the way");
}

static void check_container(struct sp_check *c)
{
    char mode[16] = "0";
    struct stat st;
    if (sp_check_line_of("/proc/self/status", "Seccomp:", mode, sizeof mode) && *mode != '0')
        sp_check_say(c, SP_CHECK_NOTE, "seccomp", "a filter is in force; the trial ran under it");
    if (stat("/proc/self/ns/pid", &st) == 0 && st.st_ino != FIRST_PID_NAMESPACE)
        sp_check_say(c, SP_CHECK_NOTE, "container",
                     "pids have a namespace here: a program that is process 1 in it, and to which SIGTERM does "
                     "nothing for want of a handler, writes a snapshot at SIGTERM");
}

void sp_check_system(struct sp_check *c)
{
    check_kernel(c);
    check_limits(c);
    check_container(c);
}

/* ---- where files go */
static bool is_directory(const char *path, struct stat *st)
{
    return stat(path, st) == 0 && S_ISDIR(st->st_mode);
}

/* The directory of SPPROF_OUT, as the library finds it; false: it has fields of its own. */
static bool directory_of_out(const char *out, char *directory, size_t cap)
{
    struct stat st;
    bool field = false;
    snprintf(directory, cap, "%s", out && *out ? out : ".");
    if (!out || !*out || is_directory(out, &st))
        return true;
    char *slash = strrchr(directory, '/');
    if (!slash)
        snprintf(directory, cap, ".");
    else
        slash[slash == directory] = '\0';
    for (const char *p = directory; *p; p++)
        field |= *p == '%';
    return !field;
}

static void check_out(struct sp_check *c)
{
    const char *out = getenv("SPPROF_OUT"), *tmp = getenv("TMPDIR");
    char directory[PATH_MAX], shown[PATH_MAX], made[64];
    struct stat st;
    if (!directory_of_out(out, directory, sizeof directory)) {
        sp_check_say(c, SP_CHECK_NOTE, "files", "SPPROF_OUT=%s: its directory has fields and was not looked at", out);
        return;
    }
    if (strcmp(directory, ".") != 0 || !getcwd(shown, sizeof shown))
        snprintf(shown, sizeof shown, "%s", directory);
    snprintf(made, sizeof made, "spprof-<pid>%s", sp_writer_default()->suffixes[0]);
    const char *name = out && *out && !is_directory(out, &st) ? out : made;
    if (is_directory(directory, &st) && access(directory, W_OK | X_OK) == 0)
        sp_check_say(c, SP_CHECK_OK, "files", "%s goes to %s, which can be written to%s", name, shown,
                     st.st_mode & S_ISVTX ? "; being sticky, it makes files the owner's alone" : "");
    else if (access("/tmp", W_OK) == 0 || (tmp && access(tmp, W_OK) == 0))
        sp_check_say(c, SP_CHECK_BUT, "files", "%s cannot be written to (%s): profiles go to %s, with default names", shown,
                     is_directory(directory, &st) ? "permission denied" : "no such directory",
                     tmp && access(tmp, W_OK) == 0 ? tmp : "/tmp");
    else
        sp_check_say(c, SP_CHECK_NO, "files", "neither %s nor /tmp can be written to", shown);
}

static void check_spool(struct sp_check *c)
{
    const char *spool = getenv("SPPROF_SPOOL");
    struct stat st;
    if (!spool || !*spool)
        sp_check_say(c, SP_CHECK_NOTE, "lost",
                     "without SPPROF_SPOOL: everything at SIGKILL, by the OOM killer, at a raw exit_group() such as the "
                     "end of a Go program");
    else if (is_directory(spool, &st) && access(spool, W_OK | X_OK) == 0)
        sp_check_say(c, SP_CHECK_OK, "spool",
                     "%s can be written to: what a kill or a raw exit_group() leaves is there, for spprof recover", spool);
    else
        sp_check_say(c, SP_CHECK_BUT, "spool", "SPPROF_SPOOL=%s cannot be written to: a kill loses everything", spool);
}

void sp_check_files(struct sp_check *c)
{
    const char *on = getenv("SPPROF");
    if (on && (strcmp(on, "off") == 0 || strcmp(on, "0") == 0))
        sp_check_say(c, SP_CHECK_BUT, "options", "SPPROF=%s is set here: programs that inherit it run unprofiled", on);
    check_out(c);
    check_spool(c);
}
