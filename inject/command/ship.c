/* SPDX-License-Identifier: MIT
 * spprof ship: profiles go to who collects them, as they appear. Everything that waits is a file, and goes only when it was taken: what
 * ends this process, the receiver or the machine loses none. */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "compat/base.h"
#include "inject/command/command.h"
#include "inject/command/ship_header.h"
#include "inject/command/ship_send.h"
#include "inject/command/ship_take.h"

#define LOOK_NS 1000000000ull /* between two looks at a directory */
#define TRIES 5               /* with --once */
#define FIRST_PAUSE_NS 1000000000ull
#define RETRY_AFTER_MOST_S 3600

enum protocol { PROTOCOL_AUTO, PROTOCOL_OTLP, PROTOCOL_PYROSCOPE };

struct request {
    const char *to, *queue, *ca;
    int protocol;
    struct sp_headers headers;
    uint64_t limit, interval_ns, timeout_ns, pause_most_ns;
    bool keep, once, drain;
    const char *source; /* a directory, or as `pid` says */
    pid_t pid;          /* 0: it is none */
};

struct shipping {
    struct request q;
    char url[2048], own_queue[64];
    struct sp_queue source, queue; /* the source is the queue itself, and its struct unused, unless it is another directory */
    bool is_apart;
    struct sp_receiver to;
    uint64_t n_taken, n_sent, n_refused, n_aside, not_before_ns, snapshot_ns;
    uint32_t n_tries; /* of the first in the queue */
    bool is_over;     /* nothing will come any more */
    char said[256];   /* why nothing could be taken in, said last */
};

static volatile sig_atomic_t n_signals, is_term;

static void on_signal(int number)
{
    n_signals++;
    is_term |= number == SIGTERM;
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* ---- options */
static const char *take_time(const char *text, uint64_t *ns)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"", 1e9}, {"s", 1e9}, {"ms", 1e6}, {"m", 60e9}, {"h", 3600e9}};
    char *end;
    double v = strtod(text, &end);
    for (size_t i = 0; i < SP_ARRAY_LEN(units); i++)
        if (end != text && v > 0 && v < 1e6 && strcmp(end, units[i].unit) == 0 && v * units[i].ns >= 1e6) {
            *ns = (uint64_t)(v * units[i].ns);
            return NULL;
        }
    return "is no time; 500ms, 30s, 10m, 1h are, and a bare number counts seconds";
}

static const char *take_size(const char *text, uint64_t *bytes)
{
    static const char units[] = "kMG";
    char *end;
    double v = strtod(text, &end);
    const char *unit = *end ? strchr(units, *end) : NULL;
    if (end == text || !(v > 0 && v < 1e12) || (*end && (!unit || end[1])))
        return "is no size; 500k, 100M, 2G are, and a bare number counts bytes";
    *bytes = (uint64_t)(v * (double)(1ull << (unit ? 10 * (unit - units + 1) : 0)));
    return NULL;
}

static const char *take(void *arg, const struct sp_cli_given *g)
{
    struct request *q = arg;
    q->keep |= strcmp(g->name, "--keep") == 0;
    q->once |= strcmp(g->name, "--once") == 0;
    q->drain |= strcmp(g->name, "--drain") == 0;
    if (strcmp(g->name, "--to") == 0)
        q->to = g->value;
    else if (strcmp(g->name, "--protocol") == 0)
        q->protocol = g->choice;
    else if (strcmp(g->name, "--queue") == 0)
        q->queue = g->value;
    else if (strcmp(g->name, "--ca") == 0)
        q->ca = g->value;
    else if (strcmp(g->name, "--header") == 0)
        return sp_headers_take(&q->headers, (char *)g->value);
    else if (strcmp(g->name, "--header-file") == 0)
        return sp_headers_read(&q->headers, g->value);
    else if (strcmp(g->name, "--queue-limit") == 0)
        return take_size(g->value, &q->limit);
    else if (strcmp(g->name, "--interval") == 0)
        return take_time(g->value, &q->interval_ns);
    else if (strcmp(g->name, "--timeout") == 0)
        return take_time(g->value, &q->timeout_ns);
    else if (strcmp(g->name, "--retry") == 0)
        return take_time(g->value, &q->pause_most_ns);
    return NULL;
}

/* NULL: the address is one; it is made whole. */
static const char *take_address(struct shipping *s)
{
    const char *to = s->q.to, *host = strstr(to, "://");
    if (!host || (strncmp(to, "http://", 7) != 0 && strncmp(to, "https://", 8) != 0))
        return "is no address; http://HOST:PORT/PATH and https:// are";
    host += 3;
    size_t n = strcspn(host, "/?#"), path = (size_t)(host - to) + n;
    if (!n || strpbrk(to, " \t\r\n#"))
        return "is no address: it has no host, or blanks, or a #";
    if (memchr(host, '@', n))
        return "has a name or a password in it, which others may see; give them with --header-file";
    size_t end = path + strcspn(to + path, "?");
    bool is_ingest = end - path >= 7 && strncmp(to + end - 7, "/ingest", 7) == 0;
    s->to.is_pyroscope = s->q.protocol == PROTOCOL_PYROSCOPE || (s->q.protocol == PROTOCOL_AUTO && is_ingest);
    const char *fixed = s->to.is_pyroscope ? "/ingest" : "/v1development/profiles";
    bool has_path = end > path + 1;
    int made = snprintf(s->url, sizeof s->url, "%.*s%s%s", (int)(has_path ? end : path), to, has_path ? "" : fixed, to + end);
    snprintf(s->to.name, sizeof s->to.name, "%.*s", (int)path, to);
    return made < (int)sizeof s->url ? NULL : "is too long";
}

/* -1: all is well; else the exit status. */
static int parse(struct shipping *s, int argc, char **argv)
{
    struct request *q = &s->q;
    int rc = sp_cli_parse(argc, argv, take, q);
    if (rc >= 0)
        return rc;
    if (!q->to)
        return sp_cli_refuse(argv[0], "--to", NULL, "is wanted: the address of who collects");
    const char *why = take_address(s);
    if (why)
        return sp_cli_refuse(argv[0], "--to", s->to.name[0] ? s->to.name : NULL, why);
    struct stat st;
    char *end;
    q->source = argv[optind];
    bool is_directory = stat(q->source, &st) == 0 && S_ISDIR(st.st_mode);
    long pid = is_directory ? 0 : strtol(q->source, &end, 10);
    if (!is_directory && (*end || pid <= 0 || pid > INT_MAX))
        return sp_cli_refuse(argv[0], q->source, NULL, "is neither a directory nor a process's number");
    q->pid = (pid_t)pid;
    if (q->pid && q->keep)
        return sp_cli_refuse(argv[0], "--keep", NULL, "is of a directory's files; leave it out");
    if (q->ca && access(q->ca, R_OK) != 0)
        return sp_cli_refuse(argv[0], "--ca", q->ca, strerror(errno));
    return -1;
}

/* ---- begin */
static const char *open_queues(struct shipping *s, const char **which)
{
    struct request *q = &s->q;
    snprintf(s->own_queue, sizeof s->own_queue, "spprof-ship-%d", (int)q->pid);
    const char *directory = q->queue ? q->queue : q->pid ? s->own_queue : q->source;
    *which = directory;
    if (directory != q->source && mkdir(directory, 0700) != 0 && errno != EEXIST)
        return strerror(errno);
    s->is_apart = !q->pid && directory != q->source;
    const char *why = sp_queue_open(&s->queue, directory, directory, q->keep && !s->is_apart, q->limit);
    if (why || !s->is_apart)
        return why;
    char from[PATH_MAX], to[PATH_MAX];
    if (realpath(q->source, from) && realpath(directory, to) && strcmp(from, to) == 0)
        return "is the directory itself; leave --queue out";
    *which = q->source;
    return sp_queue_open(&s->source, q->source, q->keep ? s->queue.state : q->source, q->keep, UINT64_MAX);
}

static void set_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGINT, &a, NULL);
    signal(SIGPIPE, SIG_IGN); /* a connection that ends; a closed standard error */
}

/* ---- at work */
static void say_once(struct shipping *s, const char *name, const char *why)
{
    if (strcmp(s->said, why) != 0)
        sp_cli_fail(name, why);
    snprintf(s->said, sizeof s->said, "%s", why);
}

static void take_snapshot(struct shipping *s)
{
    char name[32], text[256];
    snprintf(name, sizeof name, "process %d", (int)s->q.pid);
    s->snapshot_ns = now_ns() + s->q.interval_ns;
    const char *why = sp_ship_take_snapshot(&s->queue, s->q.pid, &s->is_over);
    snprintf(text, sizeof text, "%s%s", why ? why : "", s->is_over ? "; its profile is where SPPROF_OUT says" : "");
    s->n_taken += !why;
    if (why)
        say_once(s, name, text);
    else
        *s->said = '\0';
}

static void take_in(struct shipping *s)
{
    const char *why = NULL;
    if (s->q.pid && !s->is_over && now_ns() >= s->snapshot_ns)
        take_snapshot(s);
    if (s->is_apart)
        why = sp_queue_look(&s->source) ? sp_ship_take_files(&s->source, &s->queue) : strerror(errno);
    if (why)
        say_once(s, s->queue.directory, why);
    else if (s->is_apart)
        *s->said = '\0';
    if (!sp_queue_look(&s->queue))
        say_once(s, s->queue.directory, strerror(errno));
    sp_queue_bound(&s->queue);
}

/* Half to all of what doubles from try to try, so that many who wait for the same server do not come together; what the server asks
 * for is the least. */
static uint64_t pause_ns(const struct shipping *s)
{
    uint64_t most = sp_min_u64(FIRST_PAUSE_NS << sp_min_u64(s->n_tries - 1, 20), s->q.pause_most_ns);
    uint64_t asked_s = sp_min_u64(s->to.retry_s, RETRY_AFTER_MOST_S);
    return sp_max_u64((uint64_t)((0.5 + drand48() / 2) * (double)most), asked_s * 1000000000);
}

static void send_first(struct shipping *s, struct sp_queued *item)
{
    enum sp_sending result = sp_send(&s->to, &s->queue, item);
    s->n_sent += result == SP_SENDING_DONE;
    s->n_refused += result == SP_SENDING_REFUSED;
    s->n_aside += result == SP_SENDING_ASIDE;
    if (result == SP_SENDING_DONE || result == SP_SENDING_NEEDLESS)
        sp_queue_sent(&s->queue, item);
    else if (result == SP_SENDING_REFUSED || result == SP_SENDING_ASIDE)
        item->state = SP_QUEUED_ASIDE;
    s->n_tries = result == SP_SENDING_LATER ? s->n_tries + 1 : 0;
    s->not_before_ns = result == SP_SENDING_LATER ? now_ns() + pause_ns(s) : 0;
}

static void wait_ns(uint64_t ns)
{
    struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    nanosleep(&t, NULL); /* a signal ends it */
}

/* What is there when a SIGTERM comes, once each. */
static void send_rest(struct shipping *s)
{
    s->snapshot_ns = 0;
    take_in(s);
    for (struct sp_queued *item; n_signals < 2 && (item = sp_queue_first(&s->queue));) {
        send_first(s, item);
        if (s->n_tries)
            return;
    }
}

static void work(struct shipping *s)
{
    while (!n_signals) {
        take_in(s);
        struct sp_queued *item = sp_queue_first(&s->queue);
        uint64_t now = now_ns();
        if (!item && (s->q.once || s->is_over))
            return;
        if (s->q.once && s->n_tries >= TRIES)
            return;
        if (item && now >= s->not_before_ns)
            send_first(s, item);
        else
            wait_ns(sp_min_u64(LOOK_NS, item ? s->not_before_ns - now : LOOK_NS));
        if (s->q.once) /* nothing more is taken from a process */
            s->snapshot_ns = UINT64_MAX;
    }
    if (is_term && s->q.drain)
        send_rest(s);
}

/* ---- end */
/* What was done, if anything was. */
static int finish(const struct shipping *s)
{
    size_t n = sp_queue_count(&s->queue, SP_QUEUED_WAITS), aside = sp_queue_count(&s->queue, SP_QUEUED_ASIDE);
    uint64_t n_lost = s->queue.n_dropped + s->queue.n_gone;
    if (s->n_sent || n || aside || n_lost) {
        fprintf(stderr, "spprof: %llu sent", (unsigned long long)s->n_sent);
        if (s->n_refused)
            fprintf(stderr, ", %llu refused", (unsigned long long)s->n_refused);
        if (s->n_aside)
            fprintf(stderr, ", %llu cannot be read", (unsigned long long)s->n_aside);
        if (n_lost)
            fprintf(stderr, ", %llu dropped, %llu removed by others", (unsigned long long)s->queue.n_dropped,
                    (unsigned long long)s->queue.n_gone);
        if (n + aside) {
            fprintf(stderr, "; %zu stay in ", n + aside);
            sp_cli_print(stderr, s->queue.directory);
        }
        fputc('\n', stderr);
    }
    return s->n_refused || s->n_aside || n_lost || (s->q.once && n) || (s->q.pid && !s->n_taken);
}

static int ship(struct shipping *s)
{
    const char *which = "ship", *why = sp_http_open(&s->to.http, &s->to.options);
    if (why)
        return sp_cli_fail(which, why);
    why = open_queues(s, &which);
    if (why) {
        char text[256];
        snprintf(text, sizeof text, "%s%s", why, s->q.queue ? "" : "; --queue names another directory to wait in");
        sp_cli_fail(which, text);
        return 2;
    }
    sp_resource_read(&s->to.resource);
    set_signals();
    srand48((long)now_ns() ^ getpid());
    work(s);
    int rc = finish(s);
    if (s->q.pid && s->is_over && !s->q.queue && !sp_queue_first(&s->queue))
        sp_queue_remove(&s->queue);
    return rc;
}

int sp_cli_ship(int argc, char **argv)
{
    static struct shipping s;
    s.q = (struct request){
        .limit = 100u << 20, .interval_ns = 60000000000, .timeout_ns = 30000000000, .pause_most_ns = 60000000000};
    s.queue.lock = s.source.lock = -1;
    int rc = parse(&s, argc, argv);
    if (rc < 0) {
        sp_headers_add(&s.q.headers,
                       s.to.is_pyroscope ? "Content-Type: application/octet-stream" : "Content-Type: application/x-protobuf");
        s.to.url = s.url;
        s.to.options = (struct sp_http_options){.ca = s.q.ca,
                                                .headers = (const char *const *)s.q.headers.of,
                                                .n_headers = s.q.headers.n,
                                                .timeout_ms = s.q.timeout_ns / 1000000,
                                                .n_signals = &n_signals};
        rc = ship(&s);
    }
    sp_http_close(s.to.http);
    sp_queue_close(&s.queue);
    sp_queue_close(&s.source);
    sp_resource_free(&s.to.resource);
    sp_headers_free(&s.q.headers);
    return rc;
}
