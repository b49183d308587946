/* SPDX-License-Identifier: MIT
 * See ship_resource.h. What stands in a list first has precedence: OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, the pod's
 * variables, the profile. */
#include "inject/command/ship_resource.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compat/base.h"
#include "inject/command/command.h"

/* The names under which pods are commonly told what they are, by the downward API. */
static const struct {
    const char *key, *variables[3];
} pod[] = {
    {"k8s.pod.name", {"POD_NAME", "K8S_POD_NAME", NULL}},
    {"k8s.namespace.name", {"POD_NAMESPACE", "K8S_NAMESPACE_NAME", "K8S_NAMESPACE"}},
    {"k8s.pod.uid", {"POD_UID", "K8S_POD_UID", NULL}},
    {"k8s.pod.ip", {"POD_IP", "K8S_POD_IP", NULL}},
    {"k8s.node.name", {"NODE_NAME", "K8S_NODE_NAME", NULL}},
    {"k8s.container.name", {"CONTAINER_NAME", "K8S_CONTAINER_NAME", NULL}},
    {"k8s.deployment.name", {"DEPLOYMENT_NAME", "K8S_DEPLOYMENT_NAME", NULL}},
};

static char *copy_of(const char *s, size_t n)
{
    char *copy = memcpy(sp_cli_alloc(NULL, n + 1), s, n);
    copy[n] = '\0';
    return copy;
}

const char *sp_resource_value(const struct sp_resource *r, const char *key)
{
    for (uint32_t i = 0; i < r->n; i++)
        if (strcmp(r->of[i].key, key) == 0)
            return r->of[i].value;
    return NULL;
}

/* The key's first value stays; an empty one is none. */
static struct sp_attribute *add(struct sp_resource *r, const char *key, const char *value, size_t n)
{
    static struct sp_attribute nobodys;
    if (!n || sp_resource_value(r, key))
        return &nobodys;
    if (!(r->n & (r->n - 1)))
        r->of = sp_cli_alloc(r->of, (r->n ? 2ull * r->n : 1) * sizeof *r->of);
    r->of[r->n] = (struct sp_attribute){.key = copy_of(key, strlen(key)), .value = copy_of(value, n)};
    return &r->of[r->n++];
}

static void add_text(struct sp_resource *r, const char *key, const char *value)
{
    if (value)
        add(r, key, value, strlen(value));
}

static void add_of_process(struct sp_resource *r, const char *key, const char *value, size_t n, bool is_number)
{
    struct sp_attribute *a = add(r, key, value, n);
    a->is_of_process = true;
    a->is_number = is_number;
}

/* ---- OTEL_RESOURCE_ATTRIBUTES: key=value,key=value, with %XX for what cannot stand there */
static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : -1;
}

/* In place; false: a percent sign without two digits, or a NUL. */
static bool decode(char *s)
{
    char *to = s;
    for (; *s; s++) {
        if (*s != '%') {
            *to++ = *s;
            continue;
        }
        int high = digit(s[1]), low = high < 0 ? -1 : digit(s[2]);
        if (low < 0 || (high == 0 && low == 0))
            return false;
        *to++ = (char)(high << 4 | low);
        s += 2;
    }
    *to = '\0';
    return true;
}

static char *trimmed(char *s)
{
    s += strspn(s, " \t");
    for (size_t n = strlen(s); n && (s[n - 1] == ' ' || s[n - 1] == '\t'); n--)
        s[n - 1] = '\0';
    return s;
}

/* One bad pair makes the whole list worthless: who reads half of it takes a profile for another service's. */
static bool add_list(struct sp_resource *r, char *list)
{
    char *end, *pair = strtok_r(list, ",", &end);
    for (; pair; pair = strtok_r(NULL, ",", &end)) {
        char *value = strchr(pair, '=');
        if (!value)
            return false;
        *value++ = '\0';
        char *key = trimmed(pair);
        value = trimmed(value);
        if (!*key || !decode(key) || !decode(value))
            return false;
        add_text(r, key, value);
    }
    return true;
}

void sp_resource_read(struct sp_resource *r)
{
    const char *list = getenv("OTEL_RESOURCE_ATTRIBUTES");
    *r = (struct sp_resource){0};
    add_text(r, "service.name", getenv("OTEL_SERVICE_NAME"));
    char *copy = copy_of(list ? list : "", list ? strlen(list) : 0);
    struct sp_resource all = {0};
    if (add_list(&all, copy))
        for (uint32_t i = 0; i < all.n; i++)
            add_text(r, all.of[i].key, all.of[i].value);
    else
        sp_cli_fail("OTEL_RESOURCE_ATTRIBUTES",
                    "is no list of KEY=VALUE,KEY=VALUE with %XX for other characters; it is left out");
    sp_resource_free(&all);
    free(copy);
    for (size_t i = 0; i < SP_ARRAY_LEN(pod); i++)
        for (size_t k = 0; k < SP_ARRAY_LEN(pod[i].variables) && pod[i].variables[k]; k++)
            add_text(r, pod[i].key, getenv(pod[i].variables[k]));
    if (getenv("KUBERNETES_SERVICE_HOST")) /* a pod is called as its host is */
        add_text(r, "k8s.pod.name", getenv("HOSTNAME"));
}

/* ---- what the profile's comments say: writers/pprof_tables.c */
static const struct sp_text *comment_with(const struct sp_message *m, const char *head)
{
    for (uint32_t i = 0; i < m->n_comments; i++) {
        const struct sp_text *s = &m->strings[m->comments[i]];
        if (s->n > strlen(head) && memcmp(s->at, head, strlen(head)) == 0)
            return s;
    }
    return NULL;
}

/* "python -u app.py (pid 4711)" */
static void add_title(struct sp_resource *r, const char *title)
{
    const char *pid = strstr(title, " (pid ");
    for (const char *next = pid; next; next = strstr(next + 1, " (pid "))
        pid = next;
    size_t n = pid ? (size_t)(pid - title) : strlen(title), word = n;
    if (pid)
        add_of_process(r, "process.pid", pid + 6, strspn(pid + 6, "0123456789"), true);
    /* the script, or the program: the last that is no option, without its folder */
    for (size_t at = 0, end; at < n; at = end + 1) {
        end = at + strcspn(title + at, " ");
        end = end < n ? end : n;
        word = title[at] != '-' && end > at ? at : word;
    }
    size_t bytes = strcspn(title + word, " ");
    bytes = bytes < n - word ? bytes : n - word;
    for (size_t i = 0; i + 1 < bytes; i++)
        if (title[word + i] == '/') {
            word += i + 1;
            bytes -= i + 1;
            i = SIZE_MAX;
        }
    add_of_process(r, "service.name", title + word, bytes, false);
}

void sp_resource_add(struct sp_resource *r, const struct sp_message *m, const char *host)
{
    static const char engine[] = "spprof ", python[] = "; CPython ";
    char here[256] = "";
    const struct sp_text *title = m->n_comments ? &m->strings[m->comments[0]] : NULL, *said = comment_with(m, engine);
    if (title && title != said) {
        char *text = copy_of(title->at, title->n);
        add_title(r, text);
        free(text);
    }
    add_text(r, "service.name", "unknown_service:python");
    if (!*host && gethostname(here, sizeof here - 1) == 0)
        host = here;
    add_text(r, "host.name", host);
    const char *version = said ? memmem(said->at, said->n, python, sizeof python - 1) : NULL;
    if (version) {
        version += sizeof python - 1;
        size_t most = said->n - (size_t)(version - said->at), n = 0;
        while (n < most && version[n] != ' ' && version[n] != ';')
            n++;
        add_of_process(r, "process.runtime.name", "cpython", 7, false);
        add_of_process(r, "process.runtime.version", version, n, false);
    }
}

void sp_resource_free(struct sp_resource *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        free(r->of[i].key);
        free(r->of[i].value);
    }
    free(r->of);
    *r = (struct sp_resource){0};
}
