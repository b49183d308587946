/* SPDX-License-Identifier: MIT
 * See http.h: without a library for it. */
#include "inject/command/http.h"

#include "compat/base.h"

const bool sp_http_can = false;

const char *sp_http_open(struct sp_http **http, const struct sp_http_options *options)
{
    (void)options;
    *http = NULL;
    return "this command was built without libcurl (Debian: libcurl4-openssl-dev); nothing can be sent";
}

void sp_http_post(struct sp_http *http, const char *url, const void *body, size_t n, struct sp_http_reply *reply)
{
    (void)http, (void)url, (void)body, (void)n;
    *reply = (struct sp_http_reply){.error = "there is no libcurl"};
}

void sp_http_close(struct sp_http *http)
{
    (void)http;
}
