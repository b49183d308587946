/* SPDX-License-Identifier: MIT
 * exec replaces the program and its memory: the profile is written before, but only if the target can be executed
 * (a search along PATH calls execve for every directory). What the program wanted of SIGPROF goes along. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/buf.h"
#include "compat/os.h"
#include "inject/config.h"
#include "inject/environment.h"
#include "inject/hooks.h"
#include "inject/lifecycle.h"
#include "inject/output_name.h"
#include "inject/schedule.h"

SP_REAL_SLOT(execve);
SP_REAL_SLOT(execv);
SP_REAL_SLOT(execvp);
SP_REAL_SLOT(execvpe);
SP_REAL_SLOT(fexecve);
SP_REAL_SLOT(execveat);
SP_REAL_SLOT(posix_spawn);
SP_REAL_SLOT(posix_spawnp);
SP_REAL_SLOT(system);
SP_REAL_SLOT(_Fork);
SP_REAL_SLOT(popen);

extern pid_t _Fork(void);
extern int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags);

static struct sp_handover before(bool will_happen)
{
    sp_schedule_hold(true);
    if (will_happen)
        sp_lifecycle_finish(SP_FINISH_EXEC);
    sp_os_limit_settle();
    return sp_hook_signal_hand_over();
}

/* The exec failed, or it was a spawn: everything goes on. */
static int after(struct sp_handover h, int rc)
{
    int saved = errno;
    sp_schedule_hold(false);
    sp_lifecycle_exec_failed();
    sp_hook_signal_take_back(h);
    errno = saved;
    return rc;
}

/* Whether a search for `file` along PATH finds something that can be executed. */
static bool is_on_path(const char *file)
{
    if (strchr(file, '/'))
        return sp_os_can_execute(file);
    const char *path = sp_environment_value(environ, "PATH");
    for (const char *at = path ? path : "/bin:/usr/bin"; at;) {
        char name[SP_PATH_BYTES];
        SP_BUF(b, name);
        size_t n = strcspn(at, ":");
        sp_buf_mem(&b, at, n);
        if (n)
            sp_buf_char(&b, '/');
        sp_buf_str(&b, file);
        if (!b.cut && sp_os_can_execute(name))
            return true;
        at = at[n] ? at + n + 1 : NULL;
    }
    return false;
}

SP_EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
    struct sp_handover h = before(sp_os_can_execute(path));
    return after(h, SP_REAL(execve)(path, argv, envp));
}

SP_EXPORT int execv(const char *path, char *const argv[])
{
    struct sp_handover h = before(sp_os_can_execute(path));
    return after(h, SP_REAL(execv)(path, argv));
}

SP_EXPORT int execvp(const char *file, char *const argv[])
{
    struct sp_handover h = before(is_on_path(file));
    return after(h, SP_REAL(execvp)(file, argv));
}

SP_EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
    struct sp_handover h = before(is_on_path(file));
    return after(h, SP_REAL(execvpe)(file, argv, envp));
}

SP_EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
    struct sp_handover h = before(true);
    return after(h, SP_REAL(fexecve)(fd, argv, envp));
}

SP_EXPORT int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
    if (!SP_REAL(execveat)) { /* glibc before 2.34 */
        errno = ENOSYS;
        return -1;
    }
    struct sp_handover h = before(flags & AT_EMPTY_PATH ? true : sp_os_can_execute_at(fd, path));
    return after(h, SP_REAL(execveat)(fd, path, argv, envp, flags));
}

/* For handlers of signals (glibc from 2.34 on, musl from 1.2.2 on): fork() without the handlers that are registered. */
SP_EXPORT pid_t _Fork(void)
{
    if (!SP_REAL(_Fork)) {
        errno = ENOSYS;
        return -1;
    }
    return sp_lifecycle_fork_bare(SP_REAL(_Fork));
}

/* The variadic forms: the arguments lie on the caller's stack, as an array they go on ours. */
static size_t count_arguments(va_list args)
{
    size_t n = 1;
    while (va_arg(args, char *))
        n++;
    return n;
}

#define SP_COLLECT(argv, first, last)         \
    va_list args, counted;                    \
    va_start(args, first);                    \
    va_copy(counted, args);                   \
    size_t n_args = count_arguments(counted); \
    va_end(counted);                          \
    char *argv[n_args + 1];                   \
    argv[0] = (char *)(uintptr_t)first;       \
    for (size_t i = 1; i <= n_args; i++)      \
        argv[i] = va_arg(args, char *);       \
    last;                                     \
    va_end(args)

SP_EXPORT int execl(const char *path, const char *first, ...)
{
    SP_COLLECT(argv, first, (void)0);
    return execv(path, argv);
}

SP_EXPORT int execlp(const char *file, const char *first, ...)
{
    SP_COLLECT(argv, first, (void)0);
    return execvp(file, argv);
}

SP_EXPORT int execle(const char *path, const char *first, ...)
{
    SP_COLLECT(argv, first, char *const *envp = va_arg(args, char *const *));
    return execve(path, argv, envp);
}

SP_EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                          const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    struct sp_handover h = before(false);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_posix_spawn, NULL);
    int rc = SP_REAL(posix_spawn)(pid, path, actions, attr, argv, envp);
    sp_hook_wait_end(SP_HOOK_WAIT_posix_spawn, NULL, since_ns);
    return after(h, rc);
}

SP_EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
                           const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    struct sp_handover h = before(false);
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_posix_spawn, NULL);
    int rc = SP_REAL(posix_spawnp)(pid, file, actions, attr, argv, envp);
    sp_hook_wait_end(SP_HOOK_WAIT_posix_spawn, NULL, since_ns);
    return after(h, rc);
}

/* These start a process by a call inside libc that no hook sees. SIG_IGN does not go along: system() may take hours, in
 * which no thread would have a tick. */
SP_EXPORT int system(const char *command)
{
    SP_REAL_UNLESS_OURS(system, true, command);
    bool was_unblocked = sp_hook_mask_hand_over();
    uint64_t since_ns = sp_hook_wait_begin(SP_HOOK_WAIT_system, NULL);
    int rc = SP_REAL(system)(command);
    sp_hook_wait_end(SP_HOOK_WAIT_system, NULL, since_ns);
    sp_hook_mask_take_back(was_unblocked);
    return rc;
}

SP_EXPORT FILE *popen(const char *command, const char *mode)
{
    SP_REAL_UNLESS_OURS(popen, true, command, mode);
    bool was_unblocked = sp_hook_mask_hand_over();
    FILE *f = SP_REAL(popen)(command, mode);
    sp_hook_mask_take_back(was_unblocked);
    return f;
}
