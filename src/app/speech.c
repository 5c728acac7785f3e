#include "app/speech.h"

#include <errno.h>
#include <stdio.h>

#include "app/speech_int.h"
#include "base/mem.h"

#define TRIES  3  /* addresses of a server that can be tried while a bot is being opened */
#define ROUNDS 64 /* of a turn: what answers each other without an end waits for the next one */

/* ---- events ---------------------------------------------------------------------------------- */

static void event_put(struct speech *s, const struct botlink_event *ev, struct str text)
{
    if (s->queue_n == s->queue_cap) {
        uint32_t cap = s->queue_cap ? s->queue_cap * 2 : 32;
        struct queued *bigger = mem_resize(s->queue, cap * sizeof(*bigger));
        if (!bigger)
            return;
        s->queue = bigger;
        s->queue_cap = cap;
    }
    struct queued *q = &s->queue[s->queue_n];
    *q = (struct queued){.ev = *ev, .text = text.n ? mem_strndup(text.p, text.n) : NULL};
    if (text.n && !q->text)
        text.n = 0;
    if (ev->kind == BOTLINK_EV_HEARD)
        q->ev.heard.words = str_of(q->text, text.n);
    else
        q->ev.text = str_of(q->text, text.n);
    s->queue_n++;
}

void conv_event(struct conv *c, const struct botlink_event *ev, struct str text)
{
    struct botlink_event of = *ev;
    of.id = c->id;
    of.figures = (struct botlink_figures){.rx_bytes = c->rx_bytes, .tx_bytes = c->tx_bytes};
    event_put(c->speech, &of, text);
}

/* For this one the PBX keeps a place of limits.bots, so it is told without memory: nobody has more
 * conversations than there may be before he has heard of the end of the others. */
static void event_closed(struct speech *s, uint64_t id, const struct botlink_figures *figures)
{
    struct botlink_event ev = {.kind = BOTLINK_EV_CLOSED, .id = id, .figures = *figures};
    if (s->over_n < s->conf.host.sessions)
        s->over[s->over_n++] = (struct over){.id = id, .figures = *figures};
    else
        event_put(s, &ev, STR_NONE);
}

/* The first n; those that came meanwhile wait for what their conversations have in the queue. */
static void deliver_closed(struct speech *s, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        struct botlink_event ev = {
            .kind = BOTLINK_EV_CLOSED, .id = s->over[i].id, .figures = s->over[i].figures};
        s->conf.event(s->conf.ctx, &ev);
    }
    s->over_n -= n;
    memmove(s->over, s->over + n, s->over_n * sizeof(*s->over));
}

/* Commands that an event brings may bring events: they follow in the next round. CLOSED is the last
 * of its conversation. */
static bool deliver(struct speech *s)
{
    struct queued *queue = s->queue;
    uint32_t n = s->queue_n, closed = s->over_n;
    s->queue = NULL;
    s->queue_n = s->queue_cap = 0;
    for (uint32_t i = 0; i < n; i++) {
        s->conf.event(s->conf.ctx, &queue[i].ev);
        mem_free(queue[i].text);
    }
    mem_free(queue);
    deliver_closed(s, closed);
    return n > 0 || closed > 0;
}

/* ---- conversations --------------------------------------------------------------------------- */

void conv_dirty(struct conv *c)
{
    if (!c->dirty.next)
        list_append(&c->speech->dirty, &c->dirty);
}

static struct conv *conv_find(const struct speech *s, uint64_t id)
{
    hash_each(node, &s->by_id, hash_bytes(&s->by_id, &id, sizeof(id)))
    {
        struct conv *c = container_of(node, struct conv, by_id);
        if (c->id == id)
            return c;
    }
    return NULL;
}

bool speech_knows(const struct speech *s, uint64_t id)
{
    return conv_find(s, id) != NULL;
}

static struct conv *conv_of(const struct speech_host *k, uint64_t session)
{
    hash_each(node, &k->by_session, hash_bytes(&k->by_session, &session, sizeof(session)))
    {
        struct conv *c = container_of(node, struct conv, by_session);
        if (c->session == session)
            return c;
    }
    return NULL;
}

static void session_set(struct conv *c, uint64_t session)
{
    struct hash_table *t = &c->host->by_session;
    if (c->session)
        hash_remove(t, &c->by_session);
    c->session = session;
    if (session)
        hash_put(t, &c->by_session, hash_bytes(t, &session, sizeof(session)));
}

/* The pair of ports comes back to its owner by MEDIA_EV_CLOSED, also when nothing was ever sent
 * there. */
static void stream_give_back(struct conv *c)
{
    const struct speech_conf *conf = &c->speech->conf;
    struct media_cmd open = {
        .kind = MEDIA_OPEN, .id = c->media, .port = c->port, .family = c->family};
    struct media_cmd close = {.kind = MEDIA_CLOSE, .id = c->media};
    if (c->has_stream || !c->media)
        return;
    c->has_stream = true;
    conf->media(conf->ctx, &open);
    conf->media(conf->ctx, &close);
}

/* Nothing that the server still says is of interest. */
static void session_leave(struct conv *c)
{
    uint64_t session = c->session;
    timer_stop(&c->speech->wheel, &c->timer);
    if (session) {
        session_set(c, 0);
        mrcp_host_close(c->host->host, session);
    }
    stream_give_back(c);
}

static void conv_fail(struct conv *c, const char *why)
{
    struct botlink_event ev = {.kind = BOTLINK_EV_FAILED};
    c->state = CONV_OVER;
    c->speech->stats.failed++;
    session_leave(c);
    conv_event(c, &ev, str_z(why));
}

void conv_lose(struct conv *c, const char *why)
{
    struct botlink_event ev = {.kind = BOTLINK_EV_LOST};
    if (c->state == CONV_OVER)
        return;
    if (c->state != CONV_OPEN) {
        conv_fail(c, why);
        return;
    }
    c->state = CONV_OVER;
    c->speech->stats.lost++;
    session_leave(c);
    conv_event(c, &ev, str_z(why));
}

void wish_clear(struct wish *w)
{
    mem_free(w->text);
    for (unsigned i = 0; i < w->n_phrases; i++)
        mem_free(w->phrase[i].words);
    *w = (struct wish){.any = false};
}

static void secret_free(char *z)
{
    if (z)
        memset(z, 0, strlen(z));
    mem_free(z);
}

static void conv_free(struct conv *c)
{
    struct speech *s = c->speech;
    hash_remove(&s->by_id, &c->by_id);
    list_remove(&c->dirty);
    list_remove(&c->in_all);
    wish_clear(&c->say);
    wish_clear(&c->hear);
    wish_clear(&c->heard_by);
    mem_free(c->user);
    secret_free(c->password);
    mem_free(c->voice);
    mem_free(c->grammar);
    mem_free(c);
    s->stats.open--;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* RFC 3263 section 4.3 leaves open how long silence is a failure. An INVITE that is given up after
 * 32 s would be of no help to a caller who waits for two. */
static usec_t next_look(const struct conv *c)
{
    usec_t at = loop_now(c->speech->conf.host.loop) + c->try_for;
    return at < c->open_by ? at : c->open_by;
}

static void begin(struct conv *c)
{
    static const enum mrcp_resource resources[] = {MRCP_R_SPEECHSYNTH, MRCP_R_SPEECHRECOG};
    struct mrcp_host_call call = {.resource = resources,
                                  .n_resources = ARRAY_LEN(resources),
                                  .media = c->media,
                                  .port = c->port,
                                  .user = str_z(c->user),
                                  .password = str_z(c->password)};
    uint64_t session;
    char why[SPEECH_WHY];
    c->state = CONV_OPENING;
    int err = mrcp_host_open(c->host->host, c->server, &call, &session);
    if (err) {
        snprintf(why, sizeof(why), "no session could be begun: %s", uv_strerror(err));
        conv_fail(c, why);
        return;
    }
    c->has_stream = true;
    session_set(c, session);
    timer_stop(&c->speech->wheel, &c->timer);
    timer_start(&c->speech->wheel, &c->timer, next_look(c));
}

static void on_resolved(void *ctx, unsigned server, int err)
{
    struct speech_host *k = ctx;
    list_each(node, &k->speech->all)
    {
        struct conv *c = container_of(node, struct conv, in_all);
        if (c->host != k || c->server != server || c->state != CONV_REACHING)
            continue;
        if (err)
            conv_fail(c, "the server's name leads nowhere");
        else
            begin(c);
    }
}

static void on_media(void *ctx, const struct media_cmd *cmd)
{
    const struct speech_host *k = ctx;
    k->speech->conf.media(k->speech->conf.ctx, cmd);
}

static void on_ready(void *ctx, uint64_t session)
{
    struct conv *c = conv_of(ctx, session);
    struct botlink_event ev = {.kind = BOTLINK_EV_OPENED};
    if (!c || c->state != CONV_OPENING)
        return;
    timer_stop(&c->speech->wheel, &c->timer);
    c->state = CONV_OPEN;
    c->speech->stats.opened++;
    conv_event(c, &ev, STR_NONE);
}

static void on_message(void *ctx, const struct mrcp_out *o)
{
    struct conv *c = conv_of(ctx, o->user);
    if (c && c->state == CONV_OPEN)
        talk_message(c, o);
}

static void on_refused(void *ctx, uint64_t session, enum mrcp_resource r)
{
    struct conv *c = conv_of(ctx, session);
    char why[SPEECH_WHY];
    snprintf(why, sizeof(why), "the server gives no " STR_FMT, STR_ARG(mrcp_resource_name(r)));
    if (c)
        conv_lose(c, why);
}

static void on_ended(void *ctx, const struct mrcp_agent_out *o)
{
    const struct speech_host *k = ctx;
    struct conv *c = conv_of(k, o->id);
    char why[SPEECH_WHY];
    if (!c)
        return;
    session_set(c, 0);
    mrcp_host_why(k->host, o, why, sizeof(why));
    conv_lose(c, why);
}

static void on_moved(void *ctx, uint64_t session, size_t rx, size_t tx)
{
    struct conv *c = conv_of(ctx, session);
    if (!c)
        return;
    c->rx_bytes += rx;
    c->tx_bytes += tx;
}

static void on_seen(void *ctx, const struct flow *flow, const struct addr *bound, struct str bytes,
                    bool sent)
{
    const struct speech_host *k = ctx;
    k->speech->conf.seen(k->speech->conf.ctx, flow, bound, bytes, sent);
}

/* That of a transport and a family, which is made for the first server that needs it. */
static struct speech_host *host_for(struct speech *s, struct str server, uint8_t family, char *why)
{
    struct mrcp_host_conf conf = s->conf.host;
    if (mrcp_host_proto(&conf.proto, server, conf.proto)) {
        snprintf(why, SPEECH_WHY, "the server's URI is none, or names a transport that is none");
        return NULL;
    }
    conf.family = family;
    if (conf.bind.family != family)
        conf.bind = (struct addr){.family = ADDR_NONE};
    struct speech_host *k = &s->host[conf.proto * 2 + (family == ADDR_V6)];
    struct mrcp_host_hooks hooks = {.resolved = on_resolved,
                                    .media = on_media,
                                    .ready = on_ready,
                                    .message = on_message,
                                    .refused = on_refused,
                                    .ended = on_ended,
                                    .moved = on_moved,
                                    .seen = s->conf.seen ? on_seen : NULL,
                                    .ctx = k};
    if (k->host)
        return k;
    if (!k->by_session.bucket && hash_init(&k->by_session, conf.sessions, s->conf.seed)) {
        snprintf(why, SPEECH_WHY, "out of memory");
        return NULL;
    }
    k->speech = s;
    return mrcp_host_new(&k->host, &conf, &hooks, why) ? NULL : k;
}

static char *copy(struct str s)
{
    return s.n ? mem_strndup(s.p, s.n) : NULL;
}

static bool conv_fill(struct conv *c, const struct speech_bot *bot)
{
    c->user = copy(bot->user);
    c->password = copy(bot->password);
    c->voice = copy(bot->voice);
    c->grammar = copy(bot->grammar);
    return (c->user || !bot->user.n) && (c->password || !bot->password.n) &&
           (c->voice || !bot->voice.n) && (c->grammar || !bot->grammar.n);
}

static void reach(struct conv *c, const struct speech_bot *bot)
{
    char why[SPEECH_WHY] = "";
    struct speech *s = c->speech;
    if (s->conf.off) {
        conv_fail(c, "MRCP is switched off by MRCP_ENABLE_SIP_V2=0");
        return;
    }
    c->host = host_for(s, bot->server, c->family, why);
    if (!c->host) {
        conv_fail(c, why);
        return;
    }
    int err = mrcp_host_reach(c->host->host, bot->server, &c->server);
    if (err == 0)
        begin(c);
    else if (err != -EINPROGRESS)
        conv_fail(c, err == -EINVAL   ? "the server's URI is none"
                     : err == -ENOSPC ? "too many speech servers"
                                      : uv_strerror(err));
}

static void open_none(struct speech *s, const struct botlink_cmd *cmd)
{
    struct botlink_event ev = {.kind = BOTLINK_EV_FAILED, .id = cmd->id};
    struct conv none = {.speech = s,
                        .media = cmd->media,
                        .port = cmd->port,
                        .family = cmd->family ? cmd->family : ADDR_V4};
    s->stats.failed++;
    stream_give_back(&none);
    event_put(s, &ev, STR("out of memory"));
}

static void open_conv(struct speech *s, const struct botlink_cmd *cmd, const struct speech_bot *bot)
{
    struct conv *c = mem_zero(sizeof(*c));
    if (!c) {
        open_none(s, cmd);
        return;
    }
    c->speech = s;
    c->id = cmd->id;
    c->media = cmd->media;
    c->port = cmd->port;
    c->family = cmd->family ? cmd->family : ADDR_V4;
    hash_put(&s->by_id, &c->by_id, hash_bytes(&s->by_id, &c->id, sizeof(c->id)));
    list_append(&s->all, &c->in_all);
    s->stats.open++;
    c->open_by = loop_now(s->conf.host.loop) + cmd->open_ms * USEC_MS;
    c->try_for = cmd->open_ms * USEC_MS / TRIES;
    timer_start(&s->wheel, &c->timer, c->open_by);
    if (conv_fill(c, bot))
        reach(c, bot);
    else
        conv_fail(c, "out of memory");
}

static void close_conv(struct speech *s, uint64_t id)
{
    struct botlink_figures figures = {.rx_bytes = 0};
    struct conv *c = conv_find(s, id);
    if (c) {
        session_leave(c);
        /* FAILED and LOST are errors that whoever hears of them counts. */
        figures = (struct botlink_figures){.rx_bytes = c->rx_bytes, .tx_bytes = c->tx_bytes};
        conv_free(c);
    }
    event_closed(s, id, &figures);
}

void speech_cmd(struct speech *s, const struct botlink_cmd *cmd, const struct speech_bot *bot)
{
    struct conv *c = conv_find(s, cmd->id);
    if (cmd->kind == BOTLINK_OPEN && !c) {
        open_conv(s, cmd, bot);
    } else if (cmd->kind == BOTLINK_CLOSE) {
        close_conv(s, cmd->id);
    } else if (c && c->state == CONV_OPEN && talk_cmd(c, cmd)) {
        conv_lose(c, "out of memory");
    }
    /* The loop must turn for what was asked for. */
    if (!s->turning)
        loop_timer_start(&s->timer, 0, 0);
}

/* ---- the turn -------------------------------------------------------------------------------- */

static void on_timer(struct loop_timer *t)
{
    (void)t; /* the turn that it ends does what is due */
}

static void expire(struct speech *s)
{
    usec_t now = loop_now(s->conf.host.loop);
    struct timer *t;
    while ((t = timer_pop(&s->wheel, now))) {
        struct conv *c = container_of(t, struct conv, timer);
        if (now >= c->open_by) {
            conv_lose(c, "the server was not there in time");
            continue;
        }
        if (c->session)
            (void)mrcp_host_next(c->host->host, c->session);
        timer_start(&s->wheel, &c->timer, next_look(c));
    }
}

static bool work(struct speech *s)
{
    bool any = false;
    list_each(node, &s->dirty)
    {
        struct conv *c = container_of(node, struct conv, dirty);
        list_remove(&c->dirty);
        any = true;
        if (c->state == CONV_OPEN)
            talk_pump(c);
    }
    for (unsigned i = 0; i < SPEECH_HOSTS; i++)
        if (s->host[i].host)
            mrcp_host_turn(s->host[i].host);
    return deliver(s) || any;
}

void speech_turn(struct speech *s)
{
    usec_t now = loop_now(s->conf.host.loop);
    s->turning = true;
    expire(s);
    bool more = true;
    for (unsigned i = 0; i < ROUNDS && more; i++)
        more = work(s);
    s->turning = false;
    usec_t due = timer_deadline(&s->wheel);
    if (more)
        loop_timer_start(&s->timer, 0, 0);
    else if (due == USEC_NEVER)
        loop_timer_stop(&s->timer);
    else
        loop_timer_start(&s->timer, due > now ? (uint32_t)((due - now) / USEC_MS + 1) : 0, 0);
}

bool speech_is_idle(const struct speech *s)
{
    for (unsigned i = 0; i < SPEECH_HOSTS; i++)
        if (s->host[i].host && !mrcp_host_is_idle(s->host[i].host))
            return false;
    return true;
}

/* ---- life ------------------------------------------------------------------------------------ */

int speech_new(struct speech **ret, const struct speech_conf *conf)
{
    struct speech *s = mem_zero(sizeof(*s));
    if (!s || hash_init(&s->by_id, conf->host.sessions, conf->seed)) {
        mem_free(s);
        return -ENOMEM;
    }
    s->over = mem_zero(conf->host.sessions * sizeof(*s->over));
    if (!s->over) {
        hash_done(&s->by_id);
        mem_free(s);
        return -ENOMEM;
    }
    s->conf = *conf;
    list_init(&s->all);
    list_init(&s->dirty);
    timer_wheel_init(&s->wheel, loop_now(conf->host.loop));
    s->timer.fire = on_timer;
    loop_timer_open(conf->host.loop, &s->timer);
    *ret = s;
    return 0;
}

static void on_timer_closed(struct loop_timer *t)
{
    mem_free(container_of(t, struct speech, timer));
}

void speech_interfaces(struct speech *s, const struct local_addrs *local)
{
    for (unsigned i = 0; i < SPEECH_HOSTS; i++)
        if (s->host[i].host)
            mrcp_host_interfaces(s->host[i].host, local);
}

void speech_free(struct speech *s)
{
    if (!s)
        return;
    list_each(node, &s->all)
    {
        struct conv *c = container_of(node, struct conv, in_all);
        if (c->session)
            session_set(c, 0);
        conv_free(c);
    }
    for (unsigned i = 0; i < SPEECH_HOSTS; i++) {
        mrcp_host_free(s->host[i].host);
        hash_done(&s->host[i].by_session);
    }
    for (uint32_t i = 0; i < s->queue_n; i++)
        mem_free(s->queue[i].text);
    mem_free(s->queue);
    mem_free(s->over);
    hash_done(&s->by_id);
    s->timer.closed = on_timer_closed;
    loop_timer_close(&s->timer);
}

static void client_add(struct mrcp_client_stats *to, const struct mrcp_client_stats *from)
{
    to->tx_requests += from->tx_requests;
    to->rx_responses += from->rx_responses;
    to->rx_events += from->rx_events;
    to->stray += from->stray;
    to->malformed += from->malformed;
    to->timeouts += from->timeouts;
    to->connects += from->connects;
    to->shared += from->shared;
    to->sessions += from->sessions;
    to->conns += from->conns;
}

void speech_stats_get(const struct speech *s, struct speech_stats *ret)
{
    *ret = s->stats;
    for (unsigned i = 0; i < SPEECH_HOSTS; i++) {
        struct mrcp_telemetry t;
        struct mrcp_client_stats c;
        if (!s->host[i].host)
            continue;
        mrcp_host_telemetry(s->host[i].host, &t);
        mrcp_host_stats(s->host[i].host, &c);
        client_add(&ret->client, &c);
#define MRCP_TELEMETRY(name, text) ret->telemetry.name += t.name;
#include "mrcp/telemetry.def"
#undef MRCP_TELEMETRY
    }
}
