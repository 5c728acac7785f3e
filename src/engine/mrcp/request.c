/* Requests, their responses and events. RFC 6787 sections 5 and 6.2, 8 to 10. */
#include <errno.h>

#include "base/mem.h"
#include "engine/mrcp/client_int.h"

#define T_LIMIT (MRCP_T_REQUEST + 1)

static struct mrcp_request_slot *request_find(struct mrcp_session *s, enum mrcp_resource r,
                                              uint64_t id)
{
    for (unsigned i = 0; i < MRCP_MAX_REQUESTS; i++)
        if (s->request[i].step != REQUEST_NONE && s->request[i].id == id &&
            s->request[i].resource == r)
            return &s->request[i];
    return NULL;
}

static void request_end(struct mrcp_client *c, struct mrcp_request_slot *r)
{
    timer_stop(&c->wheel, &r->timer);
    timer_stop(&c->wheel, &r->limit);
    r->step = REQUEST_NONE;
}

void requests_drop(struct mrcp_client *c, struct mrcp_session *s, const struct mrcp_channel *ch)
{
    for (unsigned i = 0; i < MRCP_MAX_REQUESTS; i++)
        if (s->request[i].step != REQUEST_NONE && s->request[i].resource == ch->resource)
            request_end(c, &s->request[i]);
}

/* Requests that occupy the channel, those that the server has not confirmed too. */
static unsigned busy(const struct mrcp_session *s, const struct mrcp_channel *ch)
{
    unsigned n = 0;
    for (unsigned i = 0; i < MRCP_MAX_REQUESTS; i++)
        n += s->request[i].step != REQUEST_NONE && s->request[i].resource == ch->resource &&
             s->request[i].method == chan_main(ch->kind);
    return n;
}

/* The server serves its queue in order: the oldest that waits is the one it goes on with. */
static void promote(struct mrcp_client *c, struct mrcp_session *s, const struct mrcp_channel *ch)
{
    struct mrcp_request_slot *oldest = NULL;
    for (unsigned i = 0; i < MRCP_MAX_REQUESTS; i++) {
        struct mrcp_request_slot *r = &s->request[i];
        if (r->step == REQUEST_NONE || r->resource != ch->resource ||
            r->method != chan_main(ch->kind))
            continue;
        if (r->step == REQUEST_ACTIVE)
            return;
        if (r->step == REQUEST_PENDING && (!oldest || r->id < oldest->id))
            oldest = r;
    }
    if (!oldest)
        return;
    oldest->step = REQUEST_ACTIVE;
    timer_stop(&c->wheel, &oldest->timer);
}

/* ---- out ------------------------------------------------------------------------------------- */

/* What the server will be in when this arrives, as far as we can know. */
static enum chan_state likely(const struct mrcp_session *s, const struct mrcp_channel *ch)
{
    enum chan_state now = (enum chan_state)ch->state;
    if ((now == CHAN_IDLE || now == CHAN_RECOGNIZED) && busy(s, ch))
        return chan_active(ch->kind);
    return now;
}

static int text_build(struct mrcp_client *c, const struct mrcp_channel *ch,
                      const struct mrcp_ask *ask, uint64_t id, struct blob **ret)
{
    size_t room = 512 + ask->body.n;
    struct buf b;
    for (unsigned i = 0; i < ask->n_fields; i++)
        room += ask->field[i].name.n + ask->field[i].value.n + 64;
    if (room > MRCP_MAX_BYTES)
        return -EMSGSIZE;
    char *mem = mem_alloc(room);
    if (!mem)
        return -ENOMEM;
    struct mrcp_write w = {.type = MRCP_REQUEST,
                           .request_id = id,
                           .method = ask->method,
                           .channel = str_z(ch->id),
                           .field = ask->field,
                           .n_fields = ask->n_fields,
                           .body = ask->body};
    buf_init(&b, mem, room);
    int err = mrcp_build(&b, &w);
    if (err == 0) {
        *ret = blob_copy(&c->pool, buf_str(&b));
        err = *ret ? 0 : -ENOMEM;
    }
    mem_free(mem);
    return err == -ENOBUFS ? -EMSGSIZE : err;
}

static bool names_requests(const struct mrcp_ask *ask)
{
    for (unsigned i = 0; i < ask->n_fields; i++)
        if (ask->field[i].id == MRCP_H_ACTIVE_REQUEST_ID_LIST)
            return true;
    return false;
}

static int may_ask(const struct mrcp_client *c, const struct mrcp_session *s,
                   const struct mrcp_channel *ch, const struct mrcp_ask *ask)
{
    if (!ch || ch->step == CHANNEL_WANTED || ch->step == CHANNEL_NONE)
        return -ENOENT;
    const struct mrcp_conn *k = slot_find(&c->conns, ch->conn);
    if (s->failed || !k || k->state != CONN_UP)
        return -ENOTCONN;
    return chan_cell(ch->kind, likely(s, ch), CHAN_METHOD(ask->method))->valid ? 0 : -EPROTO;
}

int mrcp_request(struct mrcp_client *c, usec_t now, handle_t session, const struct mrcp_ask *ask,
                 uint64_t *request_id)
{
    struct mrcp_session *s = slot_find(&c->sessions, session);
    struct mrcp_request_slot *r = NULL;
    struct blob *text;
    c->now = now;
    if (!s)
        return -ENOENT;
    struct mrcp_channel *ch = session_channel(s, ask->resource);
    int err = may_ask(c, s, ch, ask);
    if (err)
        return err;
    for (unsigned i = 0; i < MRCP_MAX_REQUESTS && !r; i++)
        if (s->request[i].step == REQUEST_NONE)
            r = &s->request[i];
    if (!r)
        return -ENOSPC;
    err = text_build(c, ch, ask, s->last_id + 1, &text);
    if (err)
        return err;
    r->step = REQUEST_SENT;
    r->id = ++s->last_id;
    r->resource = ask->resource;
    r->method = ask->method;
    r->every = ask->method == MRCP_M_STOP && !names_requests(ask);
    r->timer.kind = MRCP_T_REQUEST;
    r->limit.kind = T_LIMIT;
    timer_start(&c->wheel, &r->timer, now + c->conf.response_timeout);
    if (ask->limit)
        timer_start(&c->wheel, &r->limit, now + ask->limit);
    c->stats.tx_requests++;
    struct mrcp_out *o = client_emit(c, s, MRCP_OUT_SEND);
    o->conn = ch->conn;
    o->blob = text;
    if (request_id)
        *request_id = r->id;
    return 0;
}

void request_timer(struct mrcp_client *c, struct mrcp_request_slot *r)
{
    c->stats.timeouts++;
    session_fail(c, r->session, r->step == REQUEST_SENT ? -ETIMEDOUT : -ETIME);
}

/* ---- in -------------------------------------------------------------------------------------- */

static void stopped(struct mrcp_client *c, struct mrcp_session *s, struct mrcp_request_slot *r)
{
    struct mrcp_out *o = client_emit(c, s, MRCP_OUT_STOPPED);
    o->resource = r->resource;
    o->method = r->method;
    o->request_id = r->id;
    o->last = true;
    request_end(c, r);
}

/* Requests that ended with this response, and for which no event comes (sections 6.2.3, 8.7, 8.8,
 * 9.10, 10.7). A STOP of everything leaves nothing, whatever the server lists. */
static void stop_listed(struct mrcp_client *c, struct mrcp_session *s, struct mrcp_channel *ch,
                        const struct mrcp_msg *m, bool every)
{
    uint64_t id[MRCP_MAX_IDS];
    unsigned n = mrcp_id_list(id, MRCP_MAX_IDS, mrcp_field_get(m, MRCP_H_ACTIVE_REQUEST_ID_LIST));
    for (unsigned i = 0; i < n; i++) {
        struct mrcp_request_slot *r = request_find(s, ch->resource, id[i]);
        if (r && r->method == chan_main(ch->kind))
            stopped(c, s, r);
    }
    for (unsigned i = 0; every && i < MRCP_MAX_REQUESTS; i++) {
        struct mrcp_request_slot *r = &s->request[i];
        if (r->step != REQUEST_NONE && r->step != REQUEST_SENT && r->resource == ch->resource &&
            r->method == chan_main(ch->kind))
            stopped(c, s, r);
    }
    promote(c, s, ch);
}

static void response(struct mrcp_client *c, struct mrcp_session *s, struct mrcp_channel *ch,
                     const struct mrcp_msg *m, struct mrcp_request_slot *r)
{
    bool done = m->status / 100 == 2, stops;
    enum mrcp_method method = r->method;
    bool every = r->every;
    stops = method == MRCP_M_STOP || method == MRCP_M_BARGE_IN_OCCURRED;
    timer_stop(&c->wheel, &r->timer);
    if (m->state == MRCP_COMPLETE || !done) {
        request_end(c, r);
    } else if (m->state == MRCP_PENDING) {
        r->step = REQUEST_PENDING;
        /* Behind others it may wait as long as they take. */
        if (busy(s, ch) == 1)
            timer_start(&c->wheel, &r->timer, c->now + c->conf.pending_timeout);
    } else {
        r->step = REQUEST_ACTIVE;
    }
    if (!done)
        return;
    if (stops)
        stop_listed(c, s, ch, m, every);
    /* A RECOGNIZE that is over with its response has not occupied the channel. */
    if (method != chan_main(ch->kind) || m->state != MRCP_COMPLETE)
        (void)chan_step(&ch->state, ch->kind, CHAN_METHOD(method), busy(s, ch));
}

static void rx_response(struct mrcp_client *c, struct mrcp_session *s, struct mrcp_channel *ch,
                        const struct mrcp_msg *m, struct str text)
{
    struct mrcp_request_slot *r = request_find(s, ch->resource, m->request_id);
    if (!r || r->step != REQUEST_SENT) {
        c->stats.stray++;
        return;
    }
    c->stats.rx_responses++;
    struct mrcp_out *o = client_emit_msg(c, s, MRCP_OUT_RESPONSE, text);
    o->resource = ch->resource;
    o->method = r->method;
    o->request_id = r->id;
    o->last = m->state == MRCP_COMPLETE || m->status / 100 != 2;
    response(c, s, ch, m, r);
}

/* Section 8.8: the client MUST tell the synthesizer, also where both are one server's, if it has
 * anything outstanding there. */
static void barge_in(struct mrcp_client *c, struct mrcp_session *s, const struct mrcp_msg *m)
{
    struct str sync = mrcp_field_get(m, MRCP_H_PROXY_SYNC_ID);
    struct mrcp_field f = {.id = MRCP_H_PROXY_SYNC_ID, .value = sync};
    bool whole = sync.n && str_chr(sync, '\n') < 0; /* one that was folded cannot be said again */
    for (unsigned i = 0; i < MRCP_MAX_CHANNELS; i++) {
        const struct mrcp_channel *ch = &s->channel[i];
        if (ch->step != CHANNEL_AGREED || ch->kind != MRCP_SYNTH || !busy(s, ch))
            continue;
        struct mrcp_ask ask = {.resource = ch->resource,
                               .method = MRCP_M_BARGE_IN_OCCURRED,
                               .field = &f,
                               .n_fields = whole ? 1 : 0};
        /* Without room for one more request the caller hears the prompt to its end. */
        (void)!mrcp_request(c, c->now, slot_handle(&c->sessions, s), &ask, NULL);
    }
}

static void rx_event(struct mrcp_client *c, struct mrcp_session *s, struct mrcp_channel *ch,
                     const struct mrcp_msg *m, struct str text)
{
    struct mrcp_request_slot *r = request_find(s, ch->resource, m->request_id);
    if (!r) { /* it was stopped meanwhile, or never was */
        c->stats.stray++;
        return;
    }
    c->stats.rx_events++;
    struct mrcp_out *o = client_emit_msg(c, s, MRCP_OUT_EVENT, text);
    o->resource = ch->resource;
    o->method = r->method;
    o->request_id = r->id;
    o->last = m->state == MRCP_COMPLETE;
    if (o->last) {
        request_end(c, r);
        promote(c, s, ch);
    } else if (r->step == REQUEST_PENDING) {
        r->step = REQUEST_ACTIVE; /* what has events is not pending any more */
        timer_stop(&c->wheel, &r->timer);
    }
    (void)chan_step(&ch->state, ch->kind, CHAN_EVENT(m->event), busy(s, ch));
    if (m->event == MRCP_E_START_OF_INPUT && ch->kind == MRCP_RECOG)
        barge_in(c, s, m);
}

void request_rx(struct mrcp_client *c, struct mrcp_session *s, struct mrcp_channel *ch,
                const struct mrcp_msg *m, struct str text)
{
    if (s->failed)
        return;
    if (m->type == MRCP_RESPONSE)
        rx_response(c, s, ch, m, text);
    else
        rx_event(c, s, ch, m, text);
}

int mrcp_channel_state(const struct mrcp_client *c, handle_t session, enum mrcp_resource r,
                       enum chan_state *ret)
{
    const struct mrcp_session *s = slot_find(&c->sessions, session);
    const struct mrcp_channel *ch = s ? session_channel(s, r) : NULL;
    if (!ch)
        return -ENOENT;
    *ret = (enum chan_state)ch->state;
    return 0;
}

unsigned mrcp_channel_busy(const struct mrcp_client *c, handle_t session, enum mrcp_resource r)
{
    const struct mrcp_session *s = slot_find(&c->sessions, session);
    const struct mrcp_channel *ch = s ? session_channel(s, r) : NULL;
    return ch ? busy(s, ch) : 0;
}
