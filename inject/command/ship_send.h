/* SPDX-License-Identifier: MIT
 * One profile and its receiver: made into what that takes, sent, and what came of it. */
#ifndef SP_INJECT_COMMAND_SHIP_SEND_H
#define SP_INJECT_COMMAND_SHIP_SEND_H

#include "inject/command/http.h"
#include "inject/command/ship_queue.h"
#include "inject/command/ship_resource.h"

struct sp_receiver {
    const char *url; /* whole */
    char name[256];  /* of it, for messages: without what may be secret */
    bool is_pyroscope;
    struct sp_http *http;
    struct sp_http_options options;
    struct sp_resource resource; /* by the environment */
    char complaint[512];         /* said last; "": it answers */
    uint64_t retry_s;            /* of the last reply: when to come again; 0: it did not say */
};

enum sp_sending {
    SP_SENDING_DONE,
    SP_SENDING_NEEDLESS, /* it has nothing that was not sent */
    SP_SENDING_LATER,    /* nobody took it */
    SP_SENDING_REFUSED,  /* it was refused, in whole or in part, for good; a line was said */
    SP_SENDING_ASIDE,    /* it cannot be read; a line was said */
    SP_SENDING_GONE      /* somebody removed it */
};

/* [any] Sends one. Of a recording that went on when its file was written, what was sent of it is kept in q->state, and from the next
 * file of it only what is new is sent. */
enum sp_sending sp_send(struct sp_receiver *to, const struct sp_queue *q, const struct sp_queued *item);

/* [any] The body that a profile is sent as, and with pyroscope what follows its address, NUL-terminated. */
void sp_send_make(const struct sp_receiver *to, const struct sp_message *m, const char *host, struct sp_bytes *body,
                  struct sp_bytes *query);

#endif
