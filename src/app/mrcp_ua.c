#include "app/mrcp_ua.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>

#include "base/mem.h"
#include "io/entropy.h"

#define MAX_SESSIONS  1024
#define STREAM_FAMILY ADDR_V4

struct stream {
    uint64_t id; /* of the session; 0: free */
    media_id media;
};

struct mrcp_ua {
    struct mrcp_ua_conf conf;
    struct mrcp_ua_hooks hooks;
    struct loop *loop;
    struct mrcp_host *host;
    unsigned server;
    struct media_thread *media;
    struct loop_watch media_watch;
    bool media_watched;
    uint16_t port[MAX_SESSIONS * 2]; /* pairs that are free */
    unsigned n_ports;
    struct stream stream[MAX_SESSIONS];
    media_id last_media;
    struct media_cmd *waiting; /* for room in the mailbox */
    uint32_t n_waiting, cap_waiting;
};

struct loop *mrcp_ua_loop(struct mrcp_ua *ua)
{
    return ua->loop;
}

const struct mrcp_host *mrcp_ua_host(const struct mrcp_ua *ua)
{
    return ua->host;
}

/* ---- media ----------------------------------------------------------------------------------- */

static void media_flush(struct mrcp_ua *ua)
{
    size_t n = ua->n_waiting ? media_thread_send(ua->media, ua->waiting, ua->n_waiting) : 0;
    ua->n_waiting -= (uint32_t)n;
    if (n)
        memmove(ua->waiting, ua->waiting + n, ua->n_waiting * sizeof(*ua->waiting));
}

void mrcp_ua_media(struct mrcp_ua *ua, const struct media_cmd *cmd)
{
    if (ua->n_waiting == ua->cap_waiting) {
        uint32_t cap = ua->cap_waiting ? ua->cap_waiting * 2 : 64;
        struct media_cmd *bigger = mem_resize(ua->waiting, cap * sizeof(*bigger));
        if (!bigger)
            return;
        ua->waiting = bigger;
        ua->cap_waiting = cap;
    }
    ua->waiting[ua->n_waiting++] = *cmd;
}

static void media_event(struct mrcp_ua *ua, const struct media_ev *ev)
{
    if (ev->kind == MEDIA_EV_PORTS) {
        for (uint32_t i = 0; i < ev->count && ua->n_ports < ARRAY_LEN(ua->port); i++)
            ua->port[ua->n_ports++] = ev->port[i];
    } else if (ev->kind == MEDIA_EV_CLOSED && ua->n_ports < ARRAY_LEN(ua->port)) {
        /* In front, so that a pair is not used again at once. */
        memmove(ua->port + 1, ua->port, ua->n_ports * sizeof(*ua->port));
        ua->port[0] = ev->port[0];
        ua->n_ports++;
    }
    ua->hooks.media(ua->hooks.ctx, ev);
}

static void on_media(struct loop_watch *w, unsigned events)
{
    struct mrcp_ua *ua = container_of(w, struct mrcp_ua, media_watch);
    struct media_ev ev[16];
    size_t n;
    (void)events;
    while ((n = media_thread_poll(ua->media, ev, ARRAY_LEN(ev))) > 0)
        for (size_t i = 0; i < n; i++)
            media_event(ua, &ev[i]);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static struct stream *stream_find(const struct mrcp_ua *ua, uint64_t id)
{
    for (unsigned i = 0; i < MAX_SESSIONS; i++)
        if (ua->stream[i].id == id)
            return (struct stream *)(uintptr_t)&ua->stream[i];
    return NULL;
}

media_id mrcp_ua_stream(const struct mrcp_ua *ua, uint64_t id)
{
    const struct stream *s = id ? stream_find(ua, id) : NULL;
    return s ? s->media : 0;
}

int mrcp_ua_open(struct mrcp_ua *ua, const enum mrcp_resource *r, unsigned n, uint64_t *id)
{
    struct stream *s = stream_find(ua, 0);
    if (!s || !ua->n_ports)
        return -EAGAIN;
    struct mrcp_host_call call = {.resource = r,
                                  .n_resources = n,
                                  .media = ++ua->last_media,
                                  .port = ua->port[ua->n_ports - 1],
                                  .user = str_z(ua->conf.user),
                                  .password = str_z(ua->conf.password)};
    ua->n_ports--;
    int err = mrcp_host_open(ua->host, ua->server, &call, id);
    if (err)
        ua->n_ports++;
    else
        *s = (struct stream){.id = *id, .media = call.media};
    return err;
}

int mrcp_ua_ask(struct mrcp_ua *ua, uint64_t id, const struct mrcp_ask *ask, uint64_t *request_id)
{
    return mrcp_host_ask(ua->host, id, ask, request_id);
}

void mrcp_ua_close(struct mrcp_ua *ua, uint64_t id)
{
    mrcp_host_close(ua->host, id);
}

/* ---- hooks ----------------------------------------------------------------------------------- */

static void on_resolved(void *ctx, unsigned server, int err)
{
    struct mrcp_ua *ua = ctx;
    (void)server;
    ua->hooks.resolved(ua->hooks.ctx, err);
}

static void on_command(void *ctx, const struct media_cmd *cmd)
{
    mrcp_ua_media(ctx, cmd);
}

static void on_ready(void *ctx, uint64_t id)
{
    struct mrcp_ua *ua = ctx;
    ua->hooks.ready(ua->hooks.ctx, id);
}

static void on_message(void *ctx, const struct mrcp_out *o)
{
    struct mrcp_ua *ua = ctx;
    ua->hooks.message(ua->hooks.ctx, o);
}

static void on_refused(void *ctx, uint64_t id, enum mrcp_resource r)
{
    struct mrcp_ua *ua = ctx;
    ua->hooks.refused(ua->hooks.ctx, id, r);
}

static void on_ended(void *ctx, const struct mrcp_agent_out *o)
{
    struct mrcp_ua *ua = ctx;
    struct stream *s = stream_find(ua, o->id);
    if (s)
        s->id = 0;
    ua->hooks.ended(ua->hooks.ctx, o);
}

static void on_turn(void *ctx, usec_t now)
{
    struct mrcp_ua *ua = ctx;
    (void)now;
    if (ua->host)
        mrcp_host_turn(ua->host);
    if (ua->media)
        media_flush(ua);
}

static void on_signal(void *ctx, int signum)
{
    struct mrcp_ua *ua = ctx;
    if (signum != SIGHUP)
        ua->hooks.interrupted(ua->hooks.ctx);
}

/* ---- the beginning and the end --------------------------------------------------------------- */

/* RFC 5905 section 6: seconds since 1900 in the upper half, their fraction in the lower. */
static uint64_t ntp_offset(struct mrcp_ua *ua)
{
    usec_t now = loop_now(ua->loop);
    uint64_t wall = loop_wall_us(ua->loop, now) - now;
    return (wall / USEC_S + 2208988800u) << 32 | (wall % USEC_S << 32) / USEC_S;
}

static int open_media(struct mrcp_ua *ua)
{
    struct media_conf conf = {.bind_v4 = {.family = ADDR_V4},
                              .port_first = ua->conf.port_first,
                              .port_last = ua->conf.port_last,
                              .block = ua->hooks.block,
                              .block_ctx = ua->hooks.ctx};
    if (ua->conf.host.bind.family == ADDR_V4)
        conf.bind_v4 = ua->conf.host.bind;
    conf.bind_v4.port = 0;
    int err = entropy_get(&conf.limits.seed, sizeof(conf.limits.seed));
    conf.limits.ntp_offset = ntp_offset(ua);
    err = err ? err : media_thread_start(&ua->media, &conf);
    if (err)
        return err;
    ua->media_watch = (struct loop_watch){.ready = on_media};
    err = loop_watch_open(ua->loop, &ua->media_watch, media_thread_fd(ua->media), LOOP_READ);
    ua->media_watched = err == 0;
    struct media_cmd cmd = {
        .kind = MEDIA_STOCK, .family = STREAM_FAMILY, .count = ua->conf.host.sessions + 1};
    mrcp_ua_media(ua, &cmd);
    return err;
}

/* What has said it already is kept. */
static int say(char *why, const char *what, int err)
{
    if (err && !why[0])
        snprintf(why, MRCP_HOST_WHY, "%s: %s", what, uv_strerror(err));
    return err;
}

static int open_host(struct mrcp_ua *ua, char *why)
{
    struct mrcp_host_hooks hooks = {.resolved = on_resolved,
                                    .media = on_command,
                                    .ready = on_ready,
                                    .message = on_message,
                                    .refused = on_refused,
                                    .ended = on_ended,
                                    .ctx = ua};
    int err = mrcp_host_new(&ua->host, &ua->conf.host, &hooks, why);
    if (err)
        return err;
    err = mrcp_host_reach(ua->host, str_z(ua->conf.server), &ua->server);
    return say(why, ua->conf.server, err == -EINPROGRESS ? 0 : err);
}

int mrcp_ua_new(struct mrcp_ua **ret, const struct mrcp_ua_conf *conf,
                const struct mrcp_ua_hooks *hooks, char *why)
{
    struct mrcp_ua *ua = mem_zero(sizeof(*ua));
    why[0] = '\0';
    if (!ua)
        return say(why, "memory", -ENOMEM);
    ua->conf = *conf;
    ua->hooks = *hooks;
    if (ua->conf.host.sessions > MAX_SESSIONS)
        ua->conf.host.sessions = MAX_SESSIONS;
    int err = say(why, "the event loop", loop_new(&ua->loop));
    if (!err) {
        struct loop_hooks on = {.turn = on_turn, .signal = on_signal, .ctx = ua};
        loop_hooks_set(ua->loop, &on);
        err = say(why, "signals", loop_signals_catch(ua->loop));
    }
    ua->conf.host.loop = ua->loop;
    err = err ? err : open_host(ua, why);
    err = err ? err : say(why, "media", open_media(ua));
    if (err) {
        mrcp_ua_free(ua);
        return err;
    }
    *ret = ua;
    return 0;
}

void mrcp_ua_run(struct mrcp_ua *ua)
{
    loop_run(ua->loop);
}

void mrcp_ua_stop(struct mrcp_ua *ua)
{
    loop_stop(ua->loop);
}

void mrcp_ua_free(struct mrcp_ua *ua)
{
    if (ua->media_watched)
        loop_watch_close(&ua->media_watch);
    mrcp_host_free(ua->host);
    if (ua->loop) {
        struct loop_hooks none = {0};
        loop_hooks_set(ua->loop, &none);
        loop_settle(ua->loop);
        loop_free(ua->loop);
    }
    media_thread_stop(ua->media);
    mem_free(ua->waiting);
    mem_free(ua);
}
