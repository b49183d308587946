/* SPDX-License-Identifier: MIT
 * See http.h: by libcurl, whose checks of certificates and names of hosts stay as they are. It is loaded here: no other subcommand
 * wants it and what it brings along. */
#include "inject/command/http.h"

#define CURL_DISABLE_TYPECHECK /* its functions are what their names say */
#include <curl/curl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "compat/base.h"
#include "compat/version.h"
#include "inject/command/command.h"

const bool sp_http_can = true;

/* Threads: there is one. */
static struct {
    __typeof__(curl_global_init) *global_init;
    __typeof__(curl_easy_init) *init;
    __typeof__(curl_easy_setopt) *setopt;
    __typeof__(curl_easy_perform) *perform;
    __typeof__(curl_easy_getinfo) *getinfo;
    __typeof__(curl_easy_strerror) *strerror;
    __typeof__(curl_easy_cleanup) *cleanup;
    __typeof__(curl_slist_append) *append;
    __typeof__(curl_slist_free_all) *free_all;
} curl;

static bool load_curl(void)
{
    static const char *const names[] = {"libcurl.so.4", "libcurl-gnutls.so.4"};
    const struct {
        const char *name;
        void **to;
    } functions[] = {
        {"curl_global_init", (void **)&curl.global_init}, {"curl_easy_init", (void **)&curl.init},
        {"curl_easy_setopt", (void **)&curl.setopt},      {"curl_easy_perform", (void **)&curl.perform},
        {"curl_easy_getinfo", (void **)&curl.getinfo},    {"curl_easy_strerror", (void **)&curl.strerror},
        {"curl_easy_cleanup", (void **)&curl.cleanup},    {"curl_slist_append", (void **)&curl.append},
        {"curl_slist_free_all", (void **)&curl.free_all},
    };
    void *library = NULL;
    for (size_t i = 0; !library && i < SP_ARRAY_LEN(names); i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; library && i < SP_ARRAY_LEN(functions); i++)
        if (!(*functions[i].to = dlsym(library, functions[i].name)))
            return false;
    return library != NULL;
}

struct sp_http {
    const struct sp_http_options *options;
    CURL *handle;
    struct curl_slist *headers;
};

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct sp_http_reply *reply = arg;
    size_t part = sp_min_u64(size * n, sizeof reply->body - reply->n);
    memcpy(reply->body + reply->n, data, part);
    reply->n += part;
    return size * n;
}

static int is_given_up(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    const struct sp_http *http = arg;
    (void)a, (void)b, (void)c, (void)d;
    return *http->options->n_signals >= 2;
}

static bool add_headers(struct sp_http *http)
{
    const struct sp_http_options *o = http->options;
    bool good = true;
    for (size_t i = 0; i < o->n_headers + 1; i++) {
        /* a server that takes no "Expect: 100-continue" would keep us waiting */
        struct curl_slist *longer = curl.append(http->headers, i < o->n_headers ? o->headers[i] : "Expect:");
        good &= longer != NULL;
        http->headers = longer ? longer : http->headers;
    }
    return good;
}

static bool set_up(struct sp_http *http)
{
    const struct sp_http_options *o = http->options;
    CURLcode rc = add_headers(http) ? CURLE_OK : CURLE_OUT_OF_MEMORY;
    rc = rc ? rc : curl.setopt(http->handle, CURLOPT_HTTPHEADER, http->headers);
    rc = rc ? rc : curl.setopt(http->handle, CURLOPT_USERAGENT, "spprof/" SPPROF_VERSION);
    rc = rc ? rc : curl.setopt(http->handle, CURLOPT_NOSIGNAL, 1L);
    rc = rc ? rc : curl.setopt(http->handle, CURLOPT_TIMEOUT_MS, (long)o->timeout_ms);
    rc = rc ? rc : curl.setopt(http->handle, CURLOPT_WRITEFUNCTION, take_body);
    rc = rc ? rc : curl.setopt(http->handle, CURLOPT_NOPROGRESS, 0L);
    rc = rc ? rc : curl.setopt(http->handle, CURLOPT_XFERINFOFUNCTION, is_given_up);
    rc = rc ? rc : curl.setopt(http->handle, CURLOPT_XFERINFODATA, http);
    if (o->ca) {
        rc = rc ? rc : curl.setopt(http->handle, CURLOPT_CAINFO, o->ca);
        rc = rc ? rc : curl.setopt(http->handle, CURLOPT_CAPATH, NULL);
    }
    return rc == CURLE_OK;
}

const char *sp_http_open(struct sp_http **http, const struct sp_http_options *options)
{
    *http = sp_cli_alloc(NULL, sizeof **http);
    **http = (struct sp_http){.options = options};
    if (!load_curl())
        return "libcurl is not there (Debian: libcurl4); nothing can be sent";
    if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || !((*http)->handle = curl.init()) || !set_up(*http))
        return "libcurl cannot be used";
    return NULL;
}

void sp_http_post(struct sp_http *http, const char *url, const void *body, size_t n, struct sp_http_reply *reply)
{
    curl_off_t retry_s = 0;
    const char *type = NULL;
    *reply = (struct sp_http_reply){.status = 0};
    curl.setopt(http->handle, CURLOPT_WRITEDATA, reply);
    curl.setopt(http->handle, CURLOPT_POSTFIELDS, body);
    curl.setopt(http->handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
    CURLcode rc = curl.setopt(http->handle, CURLOPT_URL, url);
    rc = rc ? rc : curl.perform(http->handle);
    if (rc) {
        reply->error = rc == CURLE_ABORTED_BY_CALLBACK ? "given up at a second signal" : curl.strerror(rc);
        return;
    }
    curl.getinfo(http->handle, CURLINFO_RESPONSE_CODE, &reply->status);
    if (curl.getinfo(http->handle, CURLINFO_RETRY_AFTER, &retry_s) == CURLE_OK && retry_s > 0)
        reply->retry_s = (uint64_t)retry_s;
    if (curl.getinfo(http->handle, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type)
        reply->is_protobuf = strncasecmp(type, "application/x-protobuf", 22) == 0;
}

void sp_http_close(struct sp_http *http)
{
    if (!http)
        return;
    if (http->handle) {
        curl.free_all(http->headers);
        curl.cleanup(http->handle);
    }
    free(http);
}
