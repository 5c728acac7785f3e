/* The four doors, and the small things that every part of the engine uses. */
#include "engine/sip/sip_int.h"

#include "base/mem.h"

static int init_tables(struct sip_core *c)
{
    uint64_t txns = c->conf.max_txns, dialogs = c->conf.max_dialogs;
    if (slot_init(&c->txns, sizeof(struct sip_txn), c->conf.max_txns) ||
        slot_init(&c->sessions, sizeof(struct sip_session), c->conf.max_sessions) ||
        slot_init(&c->dialogs, sizeof(struct sip_dialog), c->conf.max_dialogs) ||
        hash_init(&c->by_key, txns, rand_u64(c->rand)) ||
        hash_init(&c->by_merge, txns, rand_u64(c->rand)) ||
        hash_init(&c->by_tag, dialogs, rand_u64(c->rand)))
        return -ENOMEM;
    c->rtt = rtt_new(rand_u64(c->rand));
    c->guard = guard_new(rand_u64(c->rand), c->conf.rate_per_s, c->conf.rate_burst);
    c->out = mem_zero(SIP_OUT_QUEUE * sizeof(*c->out));
    c->out_cap = SIP_OUT_QUEUE;
    return c->rtt && c->guard && c->out ? 0 : -ENOMEM;
}

static void note_session_timers(struct sip_core *c)
{
    bool known = str_ifind(str_z(c->conf.supported_call), STR("timer")) >= 0;
    c->session_timers = known && c->conf.timers.session_expires != 0;
}

struct sip_core *sip_core_new(const struct sip_conf *conf, struct rand *rand, struct trace *trace,
                              usec_t now)
{
    struct sip_core *c = mem_map(sizeof(*c));
    if (!c)
        return NULL;
    c->conf = *conf;
    note_session_timers(c);
    c->rand = rand;
    c->trace = trace;
    c->now = now;
    blob_pool_init(&c->pool, 0);
    arena_init(&c->work, 0);
    timer_wheel_init(&c->wheel, now);
    for (unsigned i = 0; i < SIP_PEER_LISTS; i++)
        list_init(&c->by_peer[i]);
    if (init_tables(c)) {
        sip_core_free(c);
        return NULL;
    }
    return c;
}

static void free_all(struct sip_core *c)
{
    struct sip_out out;
    uint32_t at = 0;
    handle_t h;
    void *item;
    while (sip_core_out(c, &out))
        blob_unref(out.blob);
    while ((item = slot_next(&c->txns, &at, &h)))
        txn_free(c, item);
    at = 0;
    while (slot_next(&c->sessions, &at, &h))
        session_free(c, h);
}

void sip_core_free(struct sip_core *c)
{
    if (!c)
        return;
    if (c->guard && c->out)
        free_all(c);
    blob_pool_done(&c->pool);
    arena_done(&c->work);
    slot_done(&c->txns);
    slot_done(&c->sessions);
    slot_done(&c->dialogs);
    struct hash_table *tables[] = {&c->by_key, &c->by_merge, &c->by_tag};
    for (unsigned i = 0; i < ARRAY_LEN(tables); i++)
        if (tables[i]->bucket)
            hash_done(tables[i]);
    rtt_free(c->rtt);
    guard_free(c->guard);
    mem_free(c->out);
    mem_unmap(c, sizeof(*c));
}

void sip_core_set_local(struct sip_core *c, const struct local_addrs *local)
{
    c->conf.local = *local;
}

void sip_core_reconfigure(struct sip_core *c, const struct sip_conf *conf)
{
    c->conf.timers = conf->timers;
    note_session_timers(c);
    c->conf.udp_max_bytes = conf->udp_max_bytes;
    memcpy(c->conf.call_id_host, conf->call_id_host, sizeof(conf->call_id_host));
    memcpy(c->conf.server_name, conf->server_name, sizeof(conf->server_name));
    c->conf.n_exempt = conf->n_exempt;
    memcpy(c->conf.exempt, conf->exempt, sizeof(conf->exempt));
}

/* ---- the queue of outputs -------------------------------------------------------------------- */

static bool grow(struct sip_core *c)
{
    struct sip_out *bigger = mem_zero(2 * c->out_cap * sizeof(*bigger));
    if (!bigger)
        return false;
    for (uint32_t i = 0; i < c->out_n; i++)
        bigger[i] = c->out[(c->out_head + i) & (c->out_cap - 1)];
    mem_free(c->out);
    c->out = bigger;
    c->out_head = 0;
    c->out_cap *= 2;
    return true;
}

struct sip_out *core_emit(struct sip_core *c, enum sip_out_kind kind)
{
    if (c->out_n == c->out_cap) {
        /* The most that one input can lead to is the end of everything that there is, when a peer
         * of all of it is lost; beyond that, whoever drives the engine does not drain it. */
        BUG_ON(c->out_cap / 8 > (uint64_t)c->txns.cap + c->sessions.cap + SIP_OUT_TICK);
        BUG_ON(!grow(c));
    }
    struct sip_out *o = &c->out[(c->out_head + c->out_n++) & (c->out_cap - 1)];
    *o = (struct sip_out){.kind = kind, .cause = c->cause};
    return o;
}

bool sip_core_out(struct sip_core *c, struct sip_out *ret)
{
    if (!c->out_n)
        return false;
    *ret = c->out[c->out_head];
    c->out_head = (c->out_head + 1) & (c->out_cap - 1);
    if (--c->out_n == 0)
        c->out_head = 0; /* the same few entries stay in the processor's cache */
    return true;
}

void core_send(struct sip_core *c, const struct flow *to, struct blob *b)
{
    struct sip_out *o = core_emit(c, SIP_OUT_SEND);
    o->flow = *to;
    o->blob = b;
}

void core_hist(struct sip_core *c, handle_t tag, uint8_t leg, enum hist_kind kind, unsigned code,
               uint32_t a)
{
    if (tag)
        hist_put(
            c->trace, tag,
            (struct hist_event){.kind = (uint8_t)kind, .leg = leg, .code = (uint16_t)code, .a = a});
}

void core_hist_timer(struct sip_core *c, handle_t tag, uint8_t leg, enum hist_kind kind,
                     unsigned letter, usec_t in)
{
    core_hist(c, tag, leg, kind, letter, (uint32_t)(in / USEC_MS));
}

int core_keep(struct sip_core *c, struct str *owned, struct str value)
{
    return pool_keep(&c->pool, owned, value);
}

void core_tag(struct sip_core *c, char tag[SIP_TAG_CHARS])
{
    struct buf b;
    buf_init(&b, tag, SIP_TAG_CHARS);
    rand_hex(c->rand, &b, SIP_TAG_CHARS / 2);
}

void sip_core_call_id(struct sip_core *c, struct buf *b)
{
    rand_hex(c->rand, b, 20);
    buf_ch(b, '@');
    buf_z(b, c->conf.call_id_host);
}

/* ---- doors ----------------------------------------------------------------------------------- */

void core_enter_cmd(struct sip_core *c, usec_t now)
{
    c->now = now > c->now ? now : c->now;
    c->trace->now = c->now;
    c->trace->cause = c->cause;
    arena_reset(&c->work);
}

static void enter(struct sip_core *c, usec_t now)
{
    c->cause++;
    core_enter_cmd(c, now);
    handle_t session = c->limbo_session, txn = c->limbo_txn;
    c->limbo_session = c->limbo_txn = 0;
    session_release(c, session, txn);
}

static void rx_bad(struct sip_core *c, const struct flow *flow)
{
    const struct sip_msg *m = &c->msg;
    char text[80];
    struct buf peer;
    buf_init(&peer, text, sizeof(text));
    addr_put(&peer, &flow->peer);
    c->stats.rx_bad++;
    trace_emit(c->trace, TRACE_RX_BAD, 0, TS(buf_str(&peer)), TU(m->bad_at),
               TS(sip_verdict_text(m->verdict)));
    /* A bad response is dropped and an ACK never answered: RFC 3261 8.2, RFC 4475 3.1.2.5. */
    if (m->is_request && m->method != SIP_ACK && sip_msg_answerable(m))
        respond_stateless(c, flow, sip_verdict_status(m->verdict), NULL);
}

static void rx_response(struct sip_core *c, const struct flow *flow)
{
    const struct sip_msg *m = &c->msg;
    char mem[TXN_KEY_BYTES];
    c->stats.rx_responses++;
    c->stats.rx_status[m->status / 100 & 7]++;
    struct sip_txn *t = NULL;
    if (m->via.branch.n)
        t = txn_by_key(c, txn_client_key(c, m->via.branch, m->method, mem), false);
    if (t) {
        t->flow.conn = flow->conn ? flow->conn : t->flow.conn;
        txn_rx_response(c, t, m);
        return;
    }
    char text[80];
    struct buf peer;
    buf_init(&peer, text, sizeof(text));
    addr_put(&peer, &flow->peer);
    c->stats.rx_stray++;
    trace_emit(c->trace, TRACE_RX_STRAY, 0, TS(buf_str(&peer)), TU(m->status),
               TS(m->cseq.method_text));
}

void sip_core_rx(struct sip_core *c, usec_t now, const struct flow *flow, const char *bytes,
                 size_t n)
{
    enter(c, now);
    if (sip_msg_parse(&c->msg, bytes, n, flow->proto != PROTO_UDP) != SIP_OK)
        rx_bad(c, flow);
    else if (c->msg.is_request)
        rx_request(c, flow);
    else
        rx_response(c, flow);
}

void sip_core_flow_failed(struct sip_core *c, usec_t now, const struct flow *flow)
{
    enter(c, now);
    struct list *peer = txn_peer_list(c, &flow->peer);
    size_t n = 0;
    list_each(node, peer)
    {
        n++;
    }
    /* Noted first: what fails may end others and begin new ones. */
    handle_t *found = n ? arena_take(&c->work, n * sizeof(*found)) : NULL;
    if (!found)
        return;
    n = 0;
    list_each(node, peer)
    {
        const struct sip_txn *t = container_of(node, struct sip_txn, by_peer);
        bool here = t->flow.proto == flow->proto && addr_eq(&t->flow.peer, &flow->peer) &&
                    (!flow->conn || !t->flow.conn || t->flow.conn == flow->conn) &&
                    (!flow->party || !t->flow.party || t->flow.party == flow->party);
        if (here)
            found[n++] = txn_handle(c, t);
    }
    for (size_t i = 0; i < n; i++) {
        struct sip_txn *t = txn_find(c, found[i]);
        if (t)
            txn_error(c, t);
    }
}

void sip_core_bounced(struct sip_core *c, usec_t now, const char *bytes, size_t n)
{
    char mem[TXN_KEY_BYTES];
    struct str text = str_of(bytes, n);
    ptrdiff_t space = str_chr(text, ' '), at = str_ifind(text, STR(";branch="));
    enter(c, now);
    if (space < 1 || at < 0)
        return;
    struct str branch = str_from(text, (size_t)at + 8);
    size_t end = 0;
    while (end < branch.n && branch.p[end] != ';' && branch.p[end] != '\r')
        end++;
    if (end == branch.n) /* cut off in the middle */
        return;
    enum sip_method method = sip_method_of(str_sub(text, 0, (size_t)space));
    struct sip_txn *t =
        txn_by_key(c, txn_client_key(c, str_sub(branch, 0, end), method, mem), false);
    if (t)
        txn_error(c, t);
}

void sip_core_tick(struct sip_core *c, usec_t now)
{
    enter(c, now);
    struct timer *t;
    /* After a pause (a suspended machine) very much may be due: the rest follows in the next tick,
     * for which the deadline stays where it is. */
    while (c->out_n < SIP_OUT_TICK && (t = timer_pop(&c->wheel, c->now))) {
        arena_reset(&c->work);
        if (t->kind == ST_TXN_RETRY || t->kind == ST_TXN_LIFE)
            txn_timer(c, t);
        else if (t->kind == ST_REL_RETRY || t->kind == ST_REL_LIFE)
            rel_timer(c, t);
        else
            session_timer(c, t);
    }
}

usec_t sip_core_deadline(const struct sip_core *c)
{
    return timer_deadline(&c->wheel);
}
