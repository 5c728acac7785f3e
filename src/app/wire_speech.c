/* Bots that a speech server speaks for: between the PBX and app/speech. */
#include <errno.h>
#include <stdio.h>

#include "app/mrcp_env.h"
#include "app/own.h"
#include "io/entropy.h"

static void on_event(void *ctx, const struct botlink_event *ev)
{
    struct wire *w = ctx;
    pbx_botlink(w->pbx, loop_now(w->loop), ev);
    wire_drain(w);
}

static void on_media(void *ctx, const struct media_cmd *cmd)
{
    wire_to_media(ctx, cmd);
}

static void on_seen(void *ctx, const struct flow *flow, const struct addr *bound, struct str bytes,
                    bool sent)
{
    own_seen_at(ctx, flow, bound, bytes, sent);
}

/* Their streams use the media thread's sockets, so they have its address. */
static int conf_make(struct wire *w, struct speech_conf *ret)
{
    static const struct str codecs[] = {STR("PCMU"), STR("PCMA")};
    const struct addr *address = &w->config->media.address;
    struct speech_conf conf = {.host = {.loop = w->loop,
                                        .dns = w->names[0] ? w->names : NULL,
                                        .codec = codecs,
                                        .n_codecs = ARRAY_LEN(codecs),
                                        .share = true,
                                        .sessions = w->max_bots},
                               .off = mrcp_env_off(),
                               .event = on_event,
                               .media = on_media,
                               .seen = on_seen,
                               .ctx = w};
    if (!addr_is_any(address))
        conf.host.bind = *address;
    conf.host.bind.port = 0;
    const char *wrong = mrcp_env_read(&conf.host);
    if (wrong) {
        fprintf(stderr, "ringdown: %s has a value that is not possible\n", wrong);
        return -EINVAL;
    }
    *ret = conf;
    return entropy_get(&ret->seed, sizeof(ret->seed));
}

static int speech_open(struct wire *w)
{
    struct speech_conf conf;
    int err = conf_make(w, &conf);
    return err ? err : speech_new(&w->speech, &conf);
}

int wire_open_speech(struct wire *w)
{
    bool any = false;
    for (uint32_t i = 0; i < w->config->n_bots; i++)
        any |= w->config->bots[i].engine == CONF_ENGINE_MRCP;
    return any ? speech_open(w) : 0;
}

/* A bot that came with a reload, in an environment that is wrong, cannot be reached. */
static void fail(struct wire *w, const struct botlink_cmd *cmd)
{
    struct botlink_event ev = {.kind = BOTLINK_EV_FAILED,
                               .id = cmd->id,
                               .text = STR("the client of MRCPv2 could not be started")};
    struct media_cmd open = {
        .kind = MEDIA_OPEN, .id = cmd->media, .port = cmd->port, .family = cmd->family};
    struct media_cmd close = {.kind = MEDIA_CLOSE, .id = cmd->media};
    wire_to_media(w, &open);
    wire_to_media(w, &close);
    pbx_botlink(w->pbx, loop_now(w->loop), &ev);
}

int wire_speech(struct wire *w, const struct botlink_cmd *cmd)
{
    bool opens = cmd->kind == BOTLINK_OPEN && cmd->protocol == BOTLINK_SPEECH;
    /* What closes one that nobody knows is answered here unless somebody else may know it. */
    bool alone = cmd->kind == BOTLINK_CLOSE && !w->bots;
    if (!opens && (!w->speech || (!alone && !speech_knows(w->speech, cmd->id))))
        return -ENOENT;
    if (!w->speech && speech_open(w)) {
        fail(w, cmd);
        return 0;
    }
    struct speech_bot of = {.server = cmd->url,
                            .user = cmd->own.user,
                            .password = cmd->own.password,
                            .voice = cmd->own.voice,
                            .grammar = cmd->own.grammar};
    speech_cmd(w->speech, cmd, opens ? &of : NULL);
    return 0;
}

void wire_speech_turn(struct wire *w)
{
    if (w->speech)
        speech_turn(w->speech);
}

/* A BYE may be lost, challenged or still have no connection: it is waited for. */
bool wire_speech_is_idle(const struct wire *w)
{
    return !w->speech || speech_is_idle(w->speech);
}

/* ---- figures --------------------------------------------------------------------------------- */

json_t *wire_speech_stats(struct wire *w)
{
    struct speech_stats s = {.open = 0};
    if (w->speech)
        speech_stats_get(w->speech, &s);
    json_t *o = json_object();
#define PUT(name, value)           json_object_set_new(o, name, json_integer((json_int_t)(value)))
#define MRCP_TELEMETRY(name, text) PUT(#name, s.telemetry.name);
#include "mrcp/telemetry.def"
#undef MRCP_TELEMETRY
    PUT("sessions", s.open);
    PUT("opened", s.opened);
    PUT("failed", s.failed);
    PUT("lost", s.lost);
    PUT("said", s.said);
    PUT("heard", s.heard);
    PUT("connections", s.client.conns);
    PUT("connects", s.client.connects);
    PUT("shared", s.client.shared);
    PUT("requests", s.client.tx_requests);
    PUT("responses", s.client.rx_responses);
    PUT("events", s.client.rx_events);
    PUT("stray", s.client.stray);
    PUT("malformed", s.client.malformed);
    PUT("timeouts", s.client.timeouts);
#undef PUT
    return o;
}
