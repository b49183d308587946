/* SPDX-License-Identifier: MIT
 * Sending something to a server by HTTP. Without libcurl there is none (http_none.c). */
#ifndef SP_INJECT_COMMAND_HTTP_H
#define SP_INJECT_COMMAND_HTTP_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

extern const bool sp_http_can;

#define SP_HTTP_REPLY_BYTES 4096

struct sp_http_options {
    const char *ca;             /* file of certificates to trust, and no others; NULL: the system's */
    const char *const *headers; /* "Name: value", n_headers of them */
    size_t n_headers;
    uint64_t timeout_ms;                    /* of one request, from its begin to the end of the reply */
    const volatile sig_atomic_t *n_signals; /* at two a request is given up */
};

struct sp_http_reply {
    long status;       /* 0: there is none, or it is not whole */
    const char *error; /* then: why */
    uint64_t retry_s;  /* when to come again, as the server asks; 0: it does not */
    bool is_protobuf;
    char body[SP_HTTP_REPLY_BYTES]; /* its beginning: anything */
    size_t n;
};

struct sp_http;

/* [any] NULL: *http can be used, and the options stay as long; or why not. */
const char *sp_http_open(struct sp_http **http, const struct sp_http_options *options);

/* [any] Posts n bytes. Redirections are not followed: what is in the headers is meant for one server. */
void sp_http_post(struct sp_http *http, const char *url, const void *body, size_t n, struct sp_http_reply *reply);

/* [any] NULL: nothing. */
void sp_http_close(struct sp_http *http);

#endif
