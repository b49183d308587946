/* SPDX-License-Identifier: MIT
 * See stacks.h. */
#include "inject/command/stacks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "compat/os.h"
#include "inject/command/command.h"
#include "inject/command/ring.h"

#define MOST_BYTES (1ll << 30)

/* ---- asking */
static const char *read_all(int fd, struct sp_stacks *s)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return strerror(errno);
    if (st.st_size > MOST_BYTES)
        return "it gave more than a gigabyte";
    s->bytes = sp_cli_alloc(NULL, (size_t)st.st_size + 1);
    for (ssize_t n; s->n < (size_t)st.st_size; s->n += (size_t)n)
        if ((n = pread(fd, s->bytes + s->n, (size_t)st.st_size - s->n, (off_t)s->n)) <= 0)
            return n < 0 ? strerror(errno) : "it was cut off";
    return NULL;
}

const char *sp_stacks_ask(pid_t pid, struct sp_stacks *s)
{
    struct sp_ring_answer answer;
    *s = (struct sp_stacks){0};
    int fd = sp_ring_file();
    if (fd < 0)
        return strerror(errno);
    const char *why = sp_ring(pid, SP_RING_STACKS, fd, &answer);
    if (!why)
        why = read_all(fd, s);
    close(fd);
    return why;
}

void sp_stacks_free(struct sp_stacks *s)
{
    free(s->bytes);
    *s = (struct sp_stacks){0};
}

/* ---- reading */
static bool thread_at(const struct sp_stacks *s, size_t at, struct sp_ring_thread *t)
{
    if (at > s->n || s->n - at < sizeof *t)
        return false;
    memcpy(t, s->bytes + at, sizeof *t);
    t->name[sizeof t->name - 1] = '\0';
    t->inside[sizeof t->inside - 1] = '\0';
    return t->bytes >= sizeof *t && t->bytes <= s->n - at;
}

bool sp_stacks_thread(const struct sp_stacks *s, size_t *at, struct sp_ring_thread *t)
{
    if (!thread_at(s, *at, t))
        return false;
    *at += t->bytes;
    return true;
}

static void copy_text(char *out, size_t cap, const char *text, size_t n)
{
    snprintf(out, cap, "%.*s", (int)(n < cap ? n : cap - 1), text);
}

bool sp_stacks_frame(const struct sp_stacks *s, size_t at, size_t *within, struct sp_stacks_frame *f)
{
    struct sp_ring_thread t;
    struct sp_ring_frame head;
    if (!thread_at(s, at, &t))
        return false;
    size_t from = *within ? *within : sizeof t;
    if (from > t.bytes || t.bytes - from < sizeof head)
        return false;
    memcpy(&head, s->bytes + at + from, sizeof head);
    from += sizeof head;
    if (t.bytes - from < (size_t)head.name_bytes + head.file_bytes + head.id_bytes)
        return false;
    const char *text = s->bytes + at + from;
    f->line = head.line;
    f->is_native = head.is_native;
    f->place = head.place;
    f->n_id = head.id_bytes <= sizeof f->id ? head.id_bytes : 0;
    memcpy(f->id, text + head.name_bytes + head.file_bytes, f->n_id);
    copy_text(f->name, sizeof f->name, text, head.name_bytes);
    copy_text(f->file, sizeof f->file, text + head.name_bytes, head.file_bytes);
    *within = from + head.name_bytes + head.file_bytes + head.id_bytes;
    return true;
}

/* ---- words */
/* By the kernel's function, where it does not tell the call to everybody. */
static const char *call_of_function(const char *inside)
{
    static const char *const functions[][2] = {
        {"futex", "futex"},           {"ep_poll", "epoll_wait"},
        {"do_poll", "poll"},          {"poll_schedule", "poll"},
        {"do_select", "select"},      {"do_wait", "wait4"},
        {"nanosleep", "sleep"},       {"pipe_read", "read"},
        {"pipe_write", "write"},      {"inet_csk_accept", "accept"},
        {"pause", "pause"},           {"sigtimedwait", "sigtimedwait"},
        {"sigsuspend", "sigsuspend"}, {"flock", "flock"},
        {"unix_stream", "recv"},      {"n_tty_read", "read"},
    };
    for (size_t i = 0; *inside && i < SP_ARRAY_LEN(functions); i++)
        if (strstr(inside, functions[i][0]))
            return functions[i][1];
    return *inside ? inside : NULL;
}

void sp_stacks_doing(const struct sp_ring_thread *t, char *out, size_t cap)
{
    const char *call = t->call >= 0 ? sp_os_call_name(t->call) : NULL;
    call = call ? call : call_of_function(t->inside);
    if (t->waits_for_gil)
        snprintf(out, cap, "waiting for the GIL");
    else if (t->state == 'R')
        snprintf(out, cap, "running");
    else if (t->state == 'T' || t->state == 't')
        snprintf(out, cap, "stopped");
    else if (call)
        snprintf(out, cap, "%s: %s", t->state == 'D' ? "waiting, cannot be interrupted" : "waiting", call);
    else if (t->call >= 0)
        snprintf(out, cap, "waiting: system call %d", (int)t->call);
    else
        snprintf(out, cap, t->state ? "waiting" : "not known");
}

const char *sp_stacks_missing(const struct sp_ring_thread *t)
{
    switch (t->stack) {
    case SP_RING_TAKEN: return NULL;
    case SP_RING_NO_PYTHON: return "no Python";
    case SP_RING_SHUTDOWN: return "the interpreter ends";
    case SP_RING_SILENT: return "it runs, and did not answer in time";
    case SP_RING_MOVING: return "it did not stand still, and has SIGURG blocked";
    case SP_RING_NOT_READ: return "not read: there can be no process beside it that reads";
    default: return "its stack failed a check";
    }
}
