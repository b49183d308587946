/* SPDX-License-Identifier: MIT
 * See ship_send.h. A profile is a pprof file first, whatever it was (writers/pprof.c): Pyroscope takes that, and for a Collector it is
 * taken apart and put together anew. */
#include "inject/command/ship_send.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inject/command/command.h"
#include "inject/command/input.h"
#include "inject/command/load.h"
#include "inject/command/ship_otlp.h"

#define BODY_MOST (20u << 20)  /* OTLP recommends that a receiver takes so much */
#define PPROF_MOST (10u << 20) /* the same profile as a pprof file, most of the time */
#define PPROF_LEAST (128u << 10)
#define BASES_MOST 100 /* recordings that went on */

struct shipment {
    const char *path; /* for messages */
    struct sp_message m;
    char host[sizeof((struct sp_region *)0)->host]; /* "": not known */
    char base[PATH_MAX];                            /* what of the same recording was sent before */
    bool is_partial, has_base;
};

/* ---- reading */
static const char *read_file(const char *path, struct sp_bytes *file)
{
    char buffer[65536];
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    while (fd >= 0 && ((n = read(fd, buffer, sizeof buffer)) > 0 || (n < 0 && errno == EINTR)) && file->n <= SP_INPUT_MOST)
        sp_bytes_add(file, buffer, n > 0 ? (size_t)n : 0);
    const char *error = fd < 0 || n < 0 ? strerror(errno) : file->n > SP_INPUT_MOST ? SP_INPUT_TOO_LARGE : NULL;
    if (fd >= 0)
        close(fd);
    return error;
}

/* A region as a pprof file of about so many bytes at most. */
static const char *write_pprof(struct sp_loaded *l, uint64_t most, struct sp_bytes *file)
{
    static char buffer[65536];
    struct sp_out out = {.sink = sp_bytes_sink, .arg = file, .buffer = buffer, .cap = sizeof buffer, .most = UINT64_MAX};
    l->profile.most_bytes = most;
    return sp_writer_pprof.write(&l->profile, &out) == 0 ? NULL : "there is not enough memory";
}

static enum sp_sending fail(const char *path, const char *why)
{
    sp_cli_fail(path, why);
    return SP_SENDING_ASIDE;
}

static enum sp_sending load(struct shipment *s, const struct sp_queued *item, uint64_t most)
{
    struct sp_bytes file = {0};
    struct sp_loaded l = {.name = s->path};
    const char *error = NULL;
    if (access(s->path, F_OK) != 0)
        return SP_SENDING_GONE;
    if (item->kind == SP_QUEUED_PPROF)
        error = read_file(s->path, &file);
    else if (sp_load(&l, s->path) != 0)
        error = "";
    else
        error = write_pprof(&l, most, &file);
    if (l.region)
        snprintf(s->host, sizeof s->host, "%s", l.region->host);
    sp_unload(&l);
    if (!error)
        error = sp_message_read(&s->m, &file);
    sp_bytes_free(&file);
    if (error && *error)
        sp_cli_fail(s->path, error);
    if (!error)
        return SP_SENDING_DONE;
    return access(s->path, F_OK) != 0 ? SP_SENDING_GONE : fail(s->path, "stays, and is not sent");
}

/* ---- what was sent before of the same recording */
static uint64_t pid_of(const struct sp_message *m)
{
    for (uint32_t i = 0; i < m->n_labels; i++) {
        const struct sp_text *key = &m->strings[m->labels[i].key];
        if (key->n == 3 && memcmp(key->at, "pid", 3) == 0)
            return (uint64_t)m->labels[i].number;
    }
    return 0;
}

/* Speedscope's files tell milliseconds of its beginning. */
static void name_base(struct shipment *s, const struct sp_queue *q)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (const char *c = s->host; *c; c++)
        h = (h ^ (unsigned char)*c) * 0x100000001b3ull;
    snprintf(s->base, sizeof s->base, "%.*s/base-%llu-%llu-%08x", PATH_MAX - 96, q->state,
             (unsigned long long)(s->m.time_ns / 1000000), (unsigned long long)pid_of(&s->m), (unsigned)(h ^ h >> 32));
}

static void subtract_base(struct shipment *s)
{
    struct sp_bytes file = {0};
    struct sp_message before = {0};
    if (!read_file(s->base, &file) && !sp_message_read(&before, &file))
        s->has_base = sp_message_subtract(&s->m, &before);
    sp_message_free(&before);
    sp_bytes_free(&file);
}

/* What the next file of this recording must not tell again is put down before it is sent: then it only has to be renamed. */
static const char *stage_base(const struct shipment *s)
{
    char tmp[PATH_MAX + 8];
    size_t done = 0;
    snprintf(tmp, sizeof tmp, "%s.new", s->base);
    int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    while (fd >= 0 && done < s->m.file.n) {
        ssize_t n = write(fd, s->m.file.at + done, s->m.file.n - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    int error = errno;
    if (fd < 0 || (close(fd) == 0 && done == s->m.file.n))
        return fd < 0 ? strerror(error) : NULL;
    unlink(tmp);
    return strerror(error);
}

static int is_base(const struct dirent *e)
{
    return strncmp(e->d_name, "base-", 5) == 0;
}

/* Of recordings whose end nobody saw. Their names begin with the time. */
static void forget_bases(const struct sp_queue *q)
{
    struct dirent **of;
    char path[PATH_MAX];
    int n = scandir(q->state, &of, is_base, versionsort);
    for (int i = 0; i < n; i++) {
        if (i < n - BASES_MOST && snprintf(path, sizeof path, "%s/%s", q->state, of[i]->d_name) < PATH_MAX)
            unlink(path);
        free(of[i]);
    }
    if (n >= 0)
        free(of);
}

static void settle_base(const struct shipment *s, const struct sp_queue *q)
{
    char tmp[PATH_MAX + 8];
    snprintf(tmp, sizeof tmp, "%s.new", s->base);
    if (!s->is_partial)
        unlink(s->base);
    else if (rename(tmp, s->base) != 0)
        sp_cli_fail(s->base, strerror(errno));
    else
        forget_bases(q);
}

/* ---- Pyroscope's address: its name with labels, and the time */
static void escape(struct sp_bytes *to, const char *s)
{
    for (; *s; s++) {
        char code[4];
        bool plain = isalnum((unsigned char)*s) || strchr("_.-", *s);
        snprintf(code, sizeof code, plain ? "%c" : "%%%02X", (unsigned char)*s);
        sp_bytes_add(to, code, strlen(code));
    }
}

/* A label's name is of letters, digits and underscores; what ends a value cannot be in one. */
static void put_word(struct sp_bytes *to, const char *s, const char *also, bool is_value)
{
    for (; *s; s++) {
        bool good = is_value ? (unsigned char)*s >= ' ' && !strchr(",{}=", *s)
                             : (isascii((unsigned char)*s) && isalnum((unsigned char)*s)) || strchr(also, *s);
        sp_bytes_add(to, good ? s : "_", 1);
    }
}

static void put_query(const struct sp_receiver *to, const struct sp_resource *r, const struct sp_message *m,
                      struct sp_bytes *query)
{
    char rest[160];
    struct sp_bytes name = {0};
    uint32_t n = 0;
    put_word(&name, sp_resource_value(r, "service.name"), "_.-", false);
    sp_bytes_add(&name, "{", 1);
    for (uint32_t i = 0; i < r->n; i++) {
        if (r->of[i].is_of_process || strcmp(r->of[i].key, "service.name") == 0)
            continue;
        sp_bytes_add(&name, ",", n++ ? 1 : 0);
        put_word(&name, r->of[i].key, "_", false);
        sp_bytes_add(&name, "=", 1);
        put_word(&name, r->of[i].value, "", true);
    }
    sp_bytes_add(&name, "}", 2); /* with its NUL */
    sp_bytes_add(query, strchr(to->url, '?') ? "&name=" : "?name=", 6);
    escape(query, name.at);
    uint64_t end_ns = m->time_ns + m->duration_ns, from_s = m->time_ns / 1000000000,
             until_s = (end_ns + 999999999) / 1000000000;
    snprintf(rest, sizeof rest, "&from=%llu&until=%llu&format=pprof&spyName=spprof", (unsigned long long)from_s,
             (unsigned long long)(until_s > from_s ? until_s : from_s + 1));
    sp_bytes_add(query, rest, strlen(rest) + 1);
    sp_bytes_free(&name);
}

/* ---- sending */
static void copy_resource(const struct sp_resource *from, struct sp_resource *to)
{
    *to = (struct sp_resource){.n = from->n, .of = sp_cli_alloc(NULL, (from->n ? 2ull * from->n : 1) * sizeof *to->of)};
    for (uint32_t i = 0; i < from->n; i++) {
        to->of[i] = from->of[i];
        to->of[i].key = strdup(from->of[i].key);
        to->of[i].value = strdup(from->of[i].value);
    }
}

void sp_send_make(const struct sp_receiver *to, const struct sp_message *m, const char *host, struct sp_bytes *body,
                  struct sp_bytes *query)
{
    struct sp_resource r;
    copy_resource(&to->resource, &r);
    sp_resource_add(&r, m, host);
    if (to->is_pyroscope) {
        put_query(to, &r, m, query);
        sp_message_write(m, body);
    } else {
        sp_otlp_write(m, &r, body);
    }
    sp_resource_free(&r);
}

/* What a server says may hold what it was sent: then it is not repeated. */
static bool has_secret(const struct sp_receiver *to, const struct sp_text *text)
{
    for (size_t i = 0; i < to->options.n_headers; i++) {
        const char *value = strchr(to->options.headers[i], ':');
        for (const char *word = value ? value + 1 : ""; *word;) {
            word += strspn(word, " \t");
            size_t n = strcspn(word, " \t");
            if (n >= 4 && memmem(text->at, text->n, word, n))
                return true;
            word += n;
        }
    }
    return false;
}

static void put_reason(const struct sp_receiver *to, const struct sp_http_reply *reply, struct sp_text text, char *out,
                       size_t cap)
{
    if (!reply->is_protobuf)
        text = (struct sp_text){reply->body, reply->n};
    while (text.n && isspace((unsigned char)text.at[text.n - 1]))
        text.n--;
    const void *nul = memchr(text.at, '\0', text.n);
    if (nul || has_secret(to, &text))
        text.n = 0;
    snprintf(out, cap, "%s%.*s%s", text.n ? ", \"" : "", (int)(text.n < 160 ? text.n : 160), text.at, text.n ? "\"" : "");
}

/* OTLP names what may be sent again, and that nothing else may; Pyroscope is a server like others, and says 408 of a body that it could
 * not read. */
static bool is_for_later(const struct sp_receiver *to, long status)
{
    bool is_named = status == 429 || (status >= 502 && status <= 504);
    return is_named || (to->is_pyroscope && (status == 408 || status >= 500));
}

/* Once for as long as it stays so. */
static enum sp_sending complain(struct sp_receiver *to, const char *why)
{
    if (strcmp(to->complaint, why) != 0)
        sp_cli_fail(to->name, why);
    snprintf(to->complaint, sizeof to->complaint, "%s", why);
    return SP_SENDING_LATER;
}

static void print_line(const char *name, const char *of, const char *said, const char *end)
{
    fprintf(stderr, "spprof: ");
    sp_cli_print(stderr, name);
    fprintf(stderr, ": ");
    sp_cli_print(stderr, of);
    sp_cli_print(stderr, said);
    fprintf(stderr, "%s\n", end);
}

static enum sp_sending judge(struct sp_receiver *to, const struct shipment *s, const struct sp_http_reply *reply)
{
    char text[256], said[256];
    struct sp_text told = {"", 0};
    bool accepted = reply->status >= 200 && reply->status < 300;
    uint64_t rejected = reply->is_protobuf ? sp_otlp_rejected(reply->body, reply->n, accepted, &told) : 0;
    put_reason(to, reply, told, said, sizeof said);
    to->retry_s = reply->retry_s;
    if (reply->status == 0) {
        snprintf(text, sizeof text, "%s; tried again", reply->error);
        return complain(to, text);
    }
    if (!accepted && is_for_later(to, reply->status)) {
        snprintf(text, sizeof text, "answers with status %ld; tried again", reply->status);
        return complain(to, text);
    }
    if (*to->complaint)
        sp_cli_fail(to->name, "answers again");
    *to->complaint = '\0';
    if (accepted && !to->is_pyroscope && rejected) {
        snprintf(text, sizeof text, "was taken but for %llu of its profiles", (unsigned long long)rejected);
        print_line(s->path, text, said, "");
    } else if (!accepted) {
        bool is_elsewhere = reply->status >= 300 && reply->status < 400;
        snprintf(text, sizeof text, "%s with status %ld", is_elsewhere ? "is sent elsewhere" : "is refused", reply->status);
        print_line(s->path, text, is_elsewhere ? "" : said,
                   is_elsewhere ? "; redirections are not followed: give the address itself with --to; it stays"
                                : "; it stays");
    }
    return !accepted ? SP_SENDING_REFUSED : SP_SENDING_DONE;
}

static enum sp_sending post(struct sp_receiver *to, const struct shipment *s, const struct sp_bytes *body,
                            const struct sp_bytes *query)
{
    static struct sp_http_reply reply;
    struct sp_bytes url = {0};
    sp_bytes_add(&url, to->url, strlen(to->url));
    sp_bytes_add(&url, query->n ? query->at : "", query->n ? query->n : 1);
    sp_http_post(to->http, url.at, body->at, body->n, &reply);
    sp_bytes_free(&url);
    return judge(to, s, &reply);
}

static enum sp_sending send_loaded(struct sp_receiver *to, const struct sp_queue *q, struct shipment *s,
                                   const struct sp_bytes *body, const struct sp_bytes *query)
{
    const char *why = s->is_partial ? stage_base(s) : NULL;
    if (why) { /* a full disk: without this what follows would be told twice */
        char text[256];
        snprintf(text, sizeof text, "what was sent cannot be put down in %.120s: %s; tried again", q->state, why);
        return complain(to, text);
    }
    enum sp_sending result = post(to, s, body, query);
    if (result == SP_SENDING_DONE)
        settle_base(s, q);
    return result;
}

/* As small as the receiver wants it. */
static enum sp_sending make(const struct sp_receiver *to, const struct sp_queue *q, const struct sp_queued *item,
                            struct shipment *s, struct sp_bytes *body, struct sp_bytes *query)
{
    for (uint64_t most = PPROF_MOST;; most /= 2) {
        enum sp_sending result = load(s, item, most);
        if (result != SP_SENDING_DONE)
            return result;
        s->is_partial = sp_message_is_partial(&s->m);
        name_base(s, q);
        subtract_base(s);
        sp_send_make(to, &s->m, s->host, body, query);
        if (body->n <= BODY_MOST || item->kind == SP_QUEUED_PPROF || most <= PPROF_LEAST)
            return SP_SENDING_DONE;
        sp_message_free(&s->m);
        body->n = query->n = 0;
    }
}

enum sp_sending sp_send(struct sp_receiver *to, const struct sp_queue *q, const struct sp_queued *item)
{
    char path[PATH_MAX];
    struct shipment s = {.path = sp_queue_path(q, item, path)};
    struct sp_bytes body = {0}, query = {0};
    enum sp_sending result = make(to, q, item, &s, &body, &query);
    bool is_nothing_new = result == SP_SENDING_DONE && s.has_base && sp_message_is_empty(&s.m);
    if (is_nothing_new && !s.is_partial)
        unlink(s.base);
    if (is_nothing_new)
        result = SP_SENDING_NEEDLESS;
    else if (result == SP_SENDING_DONE)
        result = send_loaded(to, q, &s, &body, &query);
    sp_message_free(&s.m);
    sp_bytes_free(&body);
    sp_bytes_free(&query);
    return result;
}
