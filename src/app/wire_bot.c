/* Bots that programs speak for: between the PBX and app/botlink. */
#include <errno.h>
#include <stdio.h>

#include "app/wire.h"

static void on_event(void *ctx, const struct botlink_event *ev)
{
    struct wire *w = ctx;
    pbx_botlink(w->pbx, loop_now(w->loop), ev);
    wire_drain(w);
}

struct need {
    bool any, api;
};

static struct need need_of(const struct config *c)
{
    struct need n = {0};
    for (uint32_t i = 0; i < c->n_bots; i++) {
        bool stream = c->bots[i].engine == CONF_ENGINE_STREAM;
        n.any |= stream;
        bool asks = c->bots[i].protocol == CONF_PROTOCOL_TWILIO && c->bots[i].token.secret.n;
        n.api |= stream && asks;
    }
    return n;
}

static int bots_open(struct wire *w, bool api)
{
    char ca[4097], servers[4 * 64];
    const struct config_dns *dns = &w->config->dns;
    str_copy_z(ca, sizeof(ca), w->config->sip.tls.ca);
    struct botlinks_conf conf = {.loop = w->loop,
                                 .media = w->media,
                                 .ca_file = ca[0] ? ca : NULL,
                                 .max = w->max_bots,
                                 .dns_servers = wire_dns_servers(dns, servers, sizeof(servers)),
                                 .dns_timeout_ms = dns->timeout_ms,
                                 .ipv4_only = !dns->ipv6,
                                 .event = on_event,
                                 .ctx = w};
    if (api)
        conf.rest = w->config->bot_api.listen;
    return botlinks_new(&w->bots, &conf);
}

int wire_open_bots(struct wire *w)
{
    struct need n = need_of(w->config);
    w->max_bots = w->config->limits.bots; /* the exchange's, too, is that of its start */
    int err = n.any ? bots_open(w, n.api) : 0;
    if (err)
        fprintf(stderr, "ringdown: bots: %s\n",
                err == -EADDRINUSE ? "cannot listen on bot_api.listen" : uv_strerror(err));
    return err;
}

/* Without the thread every bot has failed, and calls go on as if there were none. */
static void fail(struct wire *w, const struct botlink_cmd *cmd)
{
    struct botlink_event ev = {.kind = BOTLINK_EV_FAILED,
                               .id = cmd->id,
                               .text = STR("the thread of the bots could not be started")};
    if (cmd->kind == BOTLINK_CLOSE)
        ev = (struct botlink_event){.kind = BOTLINK_EV_CLOSED, .id = cmd->id};
    if (cmd->kind == BOTLINK_OPEN || cmd->kind == BOTLINK_CLOSE)
        pbx_botlink(w->pbx, loop_now(w->loop), &ev);
}

void wire_botlink(struct wire *w, const struct botlink_cmd *cmd)
{
    if (wire_speech(w, cmd) == 0 || wire_ears(w, cmd) == 0)
        return;
    struct botlinks_auth auth = {.account = cmd->own.account, .token = cmd->own.token};
    /* A reload may have brought the first bot that needs it. */
    if (!w->bots && bots_open(w, need_of(w->config).api) && bots_open(w, false)) {
        fail(w, cmd);
        return;
    }
    botlinks_cmd(w->bots, cmd, cmd->kind == BOTLINK_OPEN ? &auth : NULL);
}
