/* SPDX-License-Identifier: MIT
 * See check.h: runs an interpreter under the library with a small program, and reads what came of it. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "inject/command/check.h"
#include "inject/command/command.h"
#include "inject/command/load.h"

#define SECONDS_AT_MOST 60
#define BYTES_AT_MOST (64u << 20) /* of a file that it writes */

/* Uses some CPU in a function of a known name, and tells what the interpreter knows of itself. */
static const char program[] = "import os, sys, time\n"
                              "def spprof_check():\n"
                              "    end = time.process_time() + 0.25\n"
                              "    while time.process_time() < end:\n"
                              "        pass\n"
                              "spprof_check()\n"
                              "libc = 'another libc than glibc'\n"
                              "try:\n"
                              "    libc = os.confstr('CS_GNU_LIBC_VERSION') or libc\n"
                              "except Exception:\n"
                              "    pass\n"
                              "maps = open('/proc/self/maps').read()\n"
                              "print('version=' + '.'.join(map(str, sys.version_info[:3])))\n"
                              "print('implementation=' + sys.implementation.name)\n"
                              "print('libc=' + libc)\n"
                              "print('file=' + os.readlink('/proc/self/exe'))\n"
                              "print('loaded=' + ('yes' if os.environ['CHECKED_LIBRARY'] in maps else 'no'), flush=True)\n"
                              "sys.stdin.read()\n"; /* until it was asked */

struct trial {
    char directory[PATH_MAX], out[PATH_MAX + 16], err[PATH_MAX + 16], profile[PATH_MAX + 16];
    int status; /* as waitpid() has it; -1: it did not end in time */
    int in;     /* what keeps it from ending; -1: nothing */
    struct sp_check_answer answer;
};

static bool prepare(struct sp_check *c, struct trial *t)
{
    const char *tmp = getenv("TMPDIR");
    snprintf(t->directory, sizeof t->directory, "%s/spprof-check-XXXXXX", tmp && *tmp == '/' ? tmp : "/tmp");
    if (!mkdtemp(t->directory)) {
        sp_check_say(c, SP_CHECK_NO, "trial", "%s: %s; a directory for a trial run is needed: set TMPDIR", t->directory,
                     strerror(errno));
        return false;
    }
    snprintf(t->out, sizeof t->out, "%s/out", t->directory);
    snprintf(t->err, sizeof t->err, "%s/err", t->directory);
    snprintf(t->profile, sizeof t->profile, "%s/p.json", t->directory);
    return true;
}

static void clean_up(const struct trial *t)
{
    unlink(t->out);
    unlink(t->err);
    unlink(t->profile);
    rmdir(t->directory);
}

/* The user's options hold for the trial as well, but for where the profile goes. */
static void in_child(const struct sp_check *c, const struct trial *t, const char *python, int in)
{
    setpgid(0, 0); /* what it starts ends with it */
    struct rlimit size;
    if (getrlimit(RLIMIT_FSIZE, &size) == 0 && size.rlim_cur > BYTES_AT_MOST) {
        size.rlim_cur = BYTES_AT_MOST;
        setrlimit(RLIMIT_FSIZE, &size);
    }
    int out = open(t->out, O_WRONLY | O_CREAT, 0600), err = open(t->err, O_WRONLY | O_CREAT, 0600);
    dup2(in, 0);
    dup2(out, 1);
    dup2(err, 2);
    const char *others = getenv("LD_PRELOAD");
    char preload[2 * PATH_MAX];
    snprintf(preload, sizeof preload, others && *others && !strstr(others, "libspprof") ? "%s:%s" : "%s", c->library, others);
    setenv("LD_PRELOAD", preload, 1);
    setenv("SPPROF_OUT", t->profile, 1);
    setenv("CHECKED_LIBRARY", c->library, 1);
    unsetenv("SPPROF");
    unsetenv("SPPROF_SPOOL");
    unsetenv("SPPROF_RUN");
    execlp(python, python, "-c", program, (char *)NULL);
    dprintf(2, "%s", strerror(errno));
    _exit(127);
}

/* Once it has said all and waits. */
static void ask(struct trial *t, pid_t child)
{
    char loaded[8];
    if (t->in < 0 || !sp_check_line_of(t->out, "loaded=", loaded, sizeof loaded))
        return;
    if (strcmp(loaded, "yes") == 0)
        sp_check_ask(&t->answer, child);
    close(t->in);
    t->in = -1;
}

static void run(const struct sp_check *c, struct trial *t, const char *python)
{
    int in[2] = {-1, -1};
    if (pipe2(in, O_CLOEXEC) != 0)
        return;
    pid_t child = fork();
    if (child == 0)
        in_child(c, t, python, in[0]);
    close(in[0]);
    t->in = in[1];
    t->status = -1;
    bool has_ended = false;
    for (int i = 0; child > 0 && !has_ended && i < SECONDS_AT_MOST * 50; i++) {
        ask(t, child);
        has_ended = waitpid(child, &t->status, WNOHANG) == child;
        if (!has_ended)
            nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    if (t->in >= 0)
        close(t->in);
    if (has_ended)
        return;
    if (child > 0) {
        kill(-child, SIGKILL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    t->status = -1;
}

/* ---- why there is no profile */
static bool is_static(const char *path)
{
    Elf64_Ehdr head;
    Elf64_Phdr one;
    bool is_elf = false, has_interpreter = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && pread(fd, &head, sizeof head, 0) == (ssize_t)sizeof head && memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
        head.e_ident[EI_CLASS] == ELFCLASS64) {
        is_elf = true;
        for (unsigned i = 0; i < head.e_phnum; i++)
            if (pread(fd, &one, sizeof one, (off_t)(head.e_phoff + i * sizeof one)) == (ssize_t)sizeof one)
                has_interpreter |= one.p_type == PT_INTERP;
    }
    if (fd >= 0)
        close(fd);
    return is_elf && !has_interpreter;
}

/* Whether the kernel starts it in secure mode (AT_SECURE), in which the loader ignores LD_PRELOAD. */
static bool is_privileged(const char *path)
{
    struct stat st;
    return (stat(path, &st) == 0 && (st.st_mode & (S_ISUID | S_ISGID))) || getxattr(path, "security.capability", NULL, 0) > 0;
}

static void explain_not_loaded(struct sp_check *c, const struct trial *t, const char *file)
{
    char why[1024];
    if (is_static(file))
        sp_check_say(c, SP_CHECK_NO, "preload", "%s is statically linked: nothing can be loaded into it", file);
    else if (is_privileged(file))
        sp_check_say(c, SP_CHECK_NO, "preload", "%s is setuid, setgid or has capabilities: the loader ignores LD_PRELOAD there",
                     file);
    else if (sp_check_line_of(t->err, "ERROR: ld.so: ", why, sizeof why))
        sp_check_say(c, SP_CHECK_NO, "preload", "the loader refuses the library: %s", why);
    else
        sp_check_say(c, SP_CHECK_NO, "preload",
                     "%s ran without the library: something drops LD_PRELOAD from the environment (sudo, a "
                     "wrapper), or a libc does not know it",
                     file);
}

/* ---- what the profile says */
static bool has_function(const struct sp_region *r, const char *name)
{
    for (uint32_t i = 1; i < sp_pool_end(r, &r->codes); i++) {
        const struct sp_string *s = sp_string_at(r, sp_code_at(r, i)->name);
        if (s->bytes >= strlen(name) && memcmp(s->data, name, strlen(name)) == 0)
            return true;
    }
    return false;
}

static bool has_pseudo(const struct sp_region *r, enum sp_pseudo pseudo)
{
    for (uint32_t i = SP_PSEUDO_N + 1; i < sp_pool_end(r, &r->frames); i++) /* behind those that every region has */
        if (sp_frame_at(r, i)->kind == SP_FRAME_PSEUDO && sp_frame_at(r, i)->what == pseudo)
            return true;
    return false;
}

static void judge_profile(struct sp_check *c, const struct trial *t)
{
    struct sp_loaded l;
    if (sp_load(&l, t->profile) != 0) {
        sp_unload(&l);
        sp_check_say(c, SP_CHECK_NO, "profile", "it cannot be read");
        return;
    }
    double used = (double)l.profile.process_cpu_ns, samples = (double)l.told.samples;
    bool seen = has_function(l.region, "spprof_check"), opaque = has_pseudo(l.region, SP_PSEUDO_UNKNOWN_PYTHON);
    if (seen)
        sp_check_say(c, SP_CHECK_OK, "profile",
                     "written; %s build, %.0f samples in %.0f ms of CPU, the program's function among them", l.region->build,
                     samples, used / 1e6);
    else if (opaque)
        sp_check_say(c, SP_CHECK_BUT, "profile",
                     "written, with CPU by thread only: this build's frames cannot be read and are (python)");
    else if (samples < 1)
        sp_check_say(c, SP_CHECK_BUT, "profile",
                     "written, without a sample in %.0f ms of CPU: timers are refused, or do not fire", used / 1e6);
    else
        sp_check_say(c, SP_CHECK_BUT, "profile", "written; %.0f samples, the program's function is not among them", samples);
    sp_unload(&l);
}

static void pass_on_messages(struct sp_check *c, const struct trial *t)
{
    FILE *f = fopen(t->err, "r");
    char *line = NULL;
    size_t cap = 0;
    while (f && getline(&line, &cap, f) > 0) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "spprof: ", 8) == 0)
            sp_check_say(c, SP_CHECK_BUT, "it says", "%s", line + 8);
    }
    free(line);
    if (f)
        fclose(f);
}

static void judge(struct sp_check *c, const struct trial *t, const char *python)
{
    char version[64] = "", implementation[64] = "", libc[128] = "", file[PATH_MAX] = "", loaded[8] = "", first[1024] = "";
    sp_check_line_of(t->out, "version=", version, sizeof version);
    sp_check_line_of(t->out, "implementation=", implementation, sizeof implementation);
    sp_check_line_of(t->out, "libc=", libc, sizeof libc);
    sp_check_line_of(t->out, "file=", file, sizeof file);
    sp_check_line_of(t->out, "loaded=", loaded, sizeof loaded);
    if (!*version) {
        sp_check_line_of(t->err, "", first, sizeof first);
        if (t->status == -1)
            sp_check_say(c, SP_CHECK_NO, "interpreter", "%s did not end within %d s", python, SECONDS_AT_MOST);
        else if (WIFSIGNALED(t->status))
            sp_check_say(c, SP_CHECK_NO, "interpreter", "%s was killed by signal %d (%s)", python, WTERMSIG(t->status),
                         strsignal(WTERMSIG(t->status)));
        else
            sp_check_say(c, SP_CHECK_NO, "interpreter", "%s does not run a Python program; it said: %.120s", python,
                         *first ? first : "nothing");
        return;
    }
    if (!*file)
        snprintf(file, sizeof file, "%s", python);
    bool cpython = strcmp(implementation, "cpython") == 0;
    sp_check_say(c, cpython ? SP_CHECK_OK : SP_CHECK_NO, "interpreter", "%s: %s %s, %s%s", file,
                 cpython ? "CPython" : implementation, version, libc,
                 cpython ? "" : "; only CPython is profiled, others are left alone");
    if (strcmp(loaded, "yes") != 0) {
        explain_not_loaded(c, t, file);
        return;
    }
    sp_check_say(c, SP_CHECK_OK, "preload", "the library is loaded");
    pass_on_messages(c, t);
    if (access(t->profile, R_OK) == 0)
        judge_profile(c, t);
    else if (cpython)
        sp_check_say(c, SP_CHECK_NO, "profile", "none was written%s", t->status ? "; the interpreter did not end well" : "");
    if (cpython && *t->answer.text)
        sp_check_say(c, t->answer.level, "control", "%s", t->answer.text);
}

void sp_check_python(struct sp_check *c, const char *python)
{
    struct trial t = {.status = -1};
    if (!prepare(c, &t))
        return;
    run(c, &t, python);
    judge(c, &t, python);
    clean_up(&t);
}
