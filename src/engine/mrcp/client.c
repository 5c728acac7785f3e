/* The client as a whole: its queue, its connections, its time. */
#include "engine/mrcp/client.h"

#include <errno.h>

#include "base/mem.h"
#include "engine/mrcp/client_int.h"

struct mrcp_client *mrcp_client_new(const struct mrcp_client_conf *conf, usec_t now)
{
    struct mrcp_client *c = mem_zero(sizeof(*c));
    if (!c)
        return NULL;
    c->conf = *conf;
    struct mrcp_client_conf *k = &c->conf;
    k->max_sessions = k->max_sessions ? k->max_sessions : 1024;
    k->max_conns = k->max_conns ? k->max_conns : 1024;
    k->max_message_bytes = k->max_message_bytes ? k->max_message_bytes : MRCP_MAX_BYTES;
    k->response_timeout = k->response_timeout ? k->response_timeout : 5 * USEC_S;
    k->pending_timeout = k->pending_timeout ? k->pending_timeout : 30 * USEC_S;
    k->connect_timeout = k->connect_timeout ? k->connect_timeout : 5 * USEC_S;
    c->now = now;
    rand_seed(&c->rand, k->seed);
    timer_wheel_init(&c->wheel, now);
    blob_pool_init(&c->pool, 0);
    if (slot_init(&c->sessions, sizeof(struct mrcp_session), k->max_sessions) == 0) {
        if (slot_init(&c->conns, sizeof(struct mrcp_conn), k->max_conns) == 0)
            return c;
        slot_done(&c->sessions);
    }
    blob_pool_done(&c->pool);
    mem_free(c);
    return NULL;
}

void mrcp_client_free(struct mrcp_client *c)
{
    struct mrcp_out o;
    uint32_t at = 0;
    handle_t h;
    while (mrcp_client_out(c, &o))
        blob_unref(o.blob);
    for (struct mrcp_conn *k = slot_next(&c->conns, &at, &h); k; k = slot_next(&c->conns, &at, &h))
        mem_free(k->rx);
    slot_done(&c->conns);
    slot_done(&c->sessions);
    blob_unref(c->held);
    blob_unref(c->nowhere.blob);
    blob_pool_done(&c->pool);
    mem_free(c->queue);
    mem_free(c);
}

/* ---- the queue ------------------------------------------------------------------------------- */

static struct mrcp_queued *queue_put(struct mrcp_client *c)
{
    if (c->queue_n == c->queue_cap) {
        uint32_t cap = c->queue_cap ? c->queue_cap * 2 : 32;
        struct mrcp_queued *bigger = mem_alloc(cap * sizeof(*bigger));
        if (!bigger)
            return NULL;
        for (uint32_t i = 0; i < c->queue_n; i++)
            bigger[i] = c->queue[(c->queue_head + i) % c->queue_cap];
        mem_free(c->queue);
        c->queue = bigger;
        c->queue_cap = cap;
        c->queue_head = 0;
    }
    struct mrcp_queued *q = &c->queue[(c->queue_head + c->queue_n++) % c->queue_cap];
    *q = (struct mrcp_queued){.text = NULL};
    return q;
}

struct mrcp_out *client_emit_msg(struct mrcp_client *c, struct mrcp_session *s,
                                 enum mrcp_out_kind kind, struct str text)
{
    struct blob *b = text.p ? blob_copy(&c->pool, text) : NULL;
    struct mrcp_queued *q = text.p && !b ? NULL : queue_put(c);
    if (!q) {
        blob_unref(b);
        blob_unref(c->nowhere.blob);
        c->nowhere = (struct mrcp_out){.blob = NULL};
        return &c->nowhere;
    }
    q->text = b;
    q->out.bytes = text.n;
    q->out.kind = kind;
    if (s) {
        q->out.session = slot_handle(&c->sessions, s);
        q->out.user = s->user;
    }
    return &q->out;
}

struct mrcp_out *client_emit(struct mrcp_client *c, struct mrcp_session *s, enum mrcp_out_kind kind)
{
    return client_emit_msg(c, s, kind, STR_NONE);
}

bool mrcp_client_out(struct mrcp_client *c, struct mrcp_out *ret)
{
    c->held = blob_unref(c->held);
    if (c->queue_n == 0)
        return false;
    struct mrcp_queued q = c->queue[c->queue_head];
    c->queue_head = (c->queue_head + 1) % c->queue_cap;
    c->queue_n--;
    *ret = q.out;
    c->held = q.text;
    if (q.text) {
        int err = mrcp_parse(&c->msg, blob_str(q.text)); /* as it was parsed when it came */
        BUG_ON(err);
        ret->msg = &c->msg;
    }
    return true;
}

/* ---- connections ----------------------------------------------------------------------------- */

static struct mrcp_conn *shared_conn(const struct mrcp_client *c, const struct mrcp_session *s,
                                     const struct addr *peer)
{
    uint32_t at = 0;
    handle_t h;
    for (struct mrcp_conn *k = slot_next(&c->conns, &at, &h); k; k = slot_next(&c->conns, &at, &h))
        if (k->shared && k->tls == s->tls && strcmp(k->server, s->server) == 0 &&
            (!peer || addr_eq(&k->peer, peer)))
            return k;
    return NULL;
}

bool control_can_share(const struct mrcp_client *c, const struct mrcp_session *s)
{
    return s->share && shared_conn(c, s, NULL);
}

handle_t control_take(struct mrcp_client *c, struct mrcp_session *s, const struct addr *peer,
                      bool existing)
{
    handle_t h;
    struct mrcp_conn *k = existing ? shared_conn(c, s, peer) : NULL;
    if (k) {
        k->users++;
        c->stats.shared++;
        return slot_handle(&c->conns, k);
    }
    k = slot_take(&c->conns, &h);
    if (!k)
        return 0;
    k->peer = *peer;
    k->shared = s->share;
    k->tls = s->tls;
    k->users = 1;
    memcpy(k->server, s->server, sizeof(k->server));
    k->timer.kind = MRCP_T_CONN;
    timer_start(&c->wheel, &k->timer, c->now + c->conf.connect_timeout);
    c->stats.connects++;
    struct mrcp_out *o = client_emit(c, s, MRCP_OUT_CONNECT);
    o->conn = h;
    o->peer = *peer;
    o->tls = s->tls;
    return h;
}

static void control_free(struct mrcp_client *c, struct mrcp_conn *k)
{
    timer_stop(&c->wheel, &k->timer);
    mem_free(k->rx);
    slot_put(&c->conns, slot_handle(&c->conns, k));
}

void control_release(struct mrcp_client *c, struct mrcp_channel *ch)
{
    struct mrcp_conn *k = slot_find(&c->conns, ch->conn);
    if (k && --k->users == 0) {
        client_emit(c, NULL, MRCP_OUT_CLOSE)->conn = ch->conn;
        control_free(c, k);
    }
    ch->conn = 0;
}

/* Its channels are lost, and with them their sessions (section 4.6). */
static void control_lost(struct mrcp_client *c, handle_t conn, int err)
{
    struct mrcp_conn *k = slot_find(&c->conns, conn);
    uint32_t at = 0;
    handle_t h;
    if (!k)
        return;
    control_free(c, k);
    for (struct mrcp_session *s = slot_next(&c->sessions, &at, &h); s;
         s = slot_next(&c->sessions, &at, &h))
        for (unsigned i = 0; i < MRCP_MAX_CHANNELS; i++)
            if (s->channel[i].conn == conn) {
                s->channel[i].conn = 0;
                session_fail(c, s, err);
            }
}

void mrcp_client_connected(struct mrcp_client *c, usec_t now, handle_t conn)
{
    struct mrcp_conn *k = slot_find(&c->conns, conn);
    uint32_t at = 0;
    handle_t h;
    c->now = now;
    if (!k)
        return;
    k->state = CONN_UP;
    timer_stop(&c->wheel, &k->timer);
    for (struct mrcp_session *s = slot_next(&c->sessions, &at, &h); s;
         s = slot_next(&c->sessions, &at, &h))
        session_look(c, s);
}

void mrcp_client_closed(struct mrcp_client *c, usec_t now, handle_t conn, int err)
{
    struct mrcp_conn *k = slot_find(&c->conns, conn);
    c->now = now;
    if (!k)
        return;
    /* Whatever the owner of the socket has seen of it, it is to be let go of. */
    client_emit(c, NULL, MRCP_OUT_CLOSE)->conn = conn;
    control_lost(c, conn,
                 k->state == CONN_CONNECTING || err == -ECONNREFUSED ? -ECONNREFUSED : -ECONNRESET);
}

static struct mrcp_session *channel_find(struct mrcp_client *c, handle_t conn, struct str id,
                                         struct mrcp_channel **ret)
{
    uint32_t at = 0;
    handle_t h;
    for (struct mrcp_session *s = slot_next(&c->sessions, &at, &h); s;
         s = slot_next(&c->sessions, &at, &h))
        for (unsigned i = 0; i < MRCP_MAX_CHANNELS; i++)
            if (s->channel[i].conn == conn && str_ieq(str_z(s->channel[i].id), id)) {
                *ret = &s->channel[i];
                return s;
            }
    return NULL;
}

static void message(struct mrcp_client *c, handle_t conn, struct str text)
{
    struct mrcp_msg m;
    struct mrcp_channel *ch;
    if (mrcp_parse(&m, text)) {
        c->stats.malformed++;
        return;
    }
    struct mrcp_session *s = channel_find(c, conn, m.channel, &ch);
    if (s && m.type != MRCP_REQUEST)
        request_rx(c, s, ch, &m, text);
    else
        c->stats.stray++;
}

/* Behind what of the stream is not yet a message. */
static bool stash(struct mrcp_client *c, struct mrcp_conn *k, struct str bytes)
{
    size_t need = k->rx_n + bytes.n;
    if (need > (size_t)c->conf.max_message_bytes * 2 + 65536)
        return false;
    if (need > k->rx_cap) {
        size_t cap = need < 4096 ? 4096 : need + need / 2;
        char *bigger = mem_resize(k->rx, cap);
        if (!bigger)
            return false;
        k->rx = bigger;
        k->rx_cap = cap;
    }
    memcpy(k->rx + k->rx_n, bytes.p, bytes.n);
    k->rx_n = need;
    return true;
}

void mrcp_client_rx(struct mrcp_client *c, usec_t now, handle_t conn, struct str bytes)
{
    struct mrcp_conn *k = slot_find(&c->conns, conn);
    size_t at = 0, n;
    c->now = now;
    if (!k || !bytes.n)
        return;
    int err = stash(c, k, bytes) ? 0 : -ENOMEM;
    while (err == 0) {
        err = mrcp_frame(&n, str_of(k->rx + at, k->rx_n - at), c->conf.max_message_bytes);
        if (err)
            break;
        message(c, conn, str_of(k->rx + at, n));
        k = slot_find(&c->conns, conn); /* what was read may have ended its last session */
        if (!k)
            return;
        at += n;
    }
    if (err != -EAGAIN) {
        c->stats.malformed++;
        client_emit(c, NULL, MRCP_OUT_CLOSE)->conn = conn;
        control_lost(c, conn, -EPROTO);
        return;
    }
    k->rx_n -= at;
    memmove(k->rx, k->rx + at, k->rx_n);
}

/* ---- time ------------------------------------------------------------------------------------ */

void mrcp_client_tick(struct mrcp_client *c, usec_t now)
{
    struct timer *t;
    c->now = now;
    while ((t = timer_pop(&c->wheel, now)) != NULL) {
        if (t->kind == MRCP_T_CONN) {
            struct mrcp_conn *k = container_of(t, struct mrcp_conn, timer);
            handle_t h = slot_handle(&c->conns, k);
            client_emit(c, NULL, MRCP_OUT_CLOSE)->conn = h;
            control_lost(c, h, -ECONNREFUSED);
            continue;
        }
        request_timer(c, t->kind == MRCP_T_REQUEST
                             ? container_of(t, struct mrcp_request_slot, timer)
                             : container_of(t, struct mrcp_request_slot, limit));
    }
}

usec_t mrcp_client_deadline(const struct mrcp_client *c)
{
    return timer_deadline(&c->wheel);
}

void mrcp_client_stats(const struct mrcp_client *c, struct mrcp_client_stats *ret)
{
    *ret = c->stats;
    ret->sessions = c->sessions.used;
    ret->conns = c->conns.used;
}
