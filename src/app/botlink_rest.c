/* Twilio's "Update a Call resource", as far as bots use it: to hang up, and to hand over. */
#include <errno.h>

#include "app/botlink_int.h"

/* https://www.twilio.com/docs/api/errors: those that clients know. */
enum {
    CODE_INVALID = 20001,
    CODE_DENIED = 20003,
    CODE_UNKNOWN = 20404,
    CODE_TOO_MANY = 20429,
    CODE_BUSY = 20503
};

static unsigned refuse(struct buf *b, unsigned status, unsigned code, const char *why)
{
    buf_printf(b, "{\"code\":%u,\"message\":\"", code);
    buf_json(b, str_z(why));
    buf_printf(b, "\",\"status\":%u}", status);
    return status;
}

static struct conv *call_find(struct botlinks *b, const struct twilio_path *p)
{
    list_each(node, &b->all)
    {
        struct conv *c = container_of(node, struct conv, in_all);
        if (str_eq(str_z(c->ids.call), p->call) && str_eq(str_z(c->ids.account), p->account))
            return c;
    }
    return NULL;
}

unsigned bot_request(void *ctx, const struct web_request *r, struct buf *reply)
{
    struct botlinks *b = ctx;
    struct twilio_path p;
    struct twilio_update u;
    if (r->fault)
        return refuse(reply, r->fault, CODE_INVALID,
                      r->fault == 411 ? "the form needs a Content-Length: chunked is not read"
                                      : "the request is too long");
    if (!r->post || twilio_path(&p, r->path))
        return refuse(reply, 404, CODE_UNKNOWN, "only POST of a call's resource is served here");
    struct conv *c = call_find(b, &p);
    if (!c) /* who does not know the call cannot guess it: 128 random bits */
        return refuse(reply, 404, CODE_UNKNOWN, "no such call");
    if (!twilio_basic_is(r->authorization, p.account, str_z(c->order.token)))
        return refuse(reply, 401, CODE_DENIED, "Authenticate");
    if (twilio_update(&u, r->body))
        return refuse(reply, 400, CODE_INVALID, u.why);
    bool moves = u.order == TWILIO_TRANSFER;
    if (!c->started || c->state == CONV_CLOSING || (moves && c->bye))
        return refuse(reply, 404, CODE_UNKNOWN, "the call is over, or not answered yet");
    int err = moves ? conv_move(c, str_z(u.target)) : 0;
    if (err == -EPERM)
        return refuse(reply, 429, CODE_TOO_MANY, "this call was to be handed over too often");
    if (err)
        return refuse(reply, 503, CODE_BUSY, "too much is to be done: try again");
    if (!moves)
        conv_hang_up(c, STR("the bot asked for it"));
    buf_printf(
        reply,
        "{\"sid\":\"%s\",\"account_sid\":\"%s\",\"status\":\"%s\",\"direction\":\"inbound\"}",
        c->ids.call, c->ids.account, moves ? "in-progress" : "completed");
    return 200;
}
