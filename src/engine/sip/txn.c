/* The interpreter of the transaction table, and what its outputs do. */
#include "engine/sip/sip_int.h"

struct list *txn_peer_list(struct sip_core *c, const struct addr *peer)
{
    uint8_t key[18];
    memcpy(key, peer->ip, 16);
    memcpy(key + 16, &peer->port, 2);
    return &c->by_peer[hash_bytes(&c->by_key, key, sizeof(key)) & (SIP_PEER_LISTS - 1)];
}

struct sip_txn *txn_new(struct sip_core *c, enum sip_txn_kind kind, enum sip_method method,
                        const struct flow *flow, struct str key)
{
    handle_t h;
    struct sip_txn *t = slot_take(&c->txns, &h);
    if (!t)
        return NULL;
    t->kind = (uint8_t)kind;
    t->method = (uint8_t)method;
    t->state = kind == TXN_IST ? TXN_PROCEEDING : TXN_TRYING;
    t->flow = *flow;
    t->t1 = c->conf.timers.adaptive_t1 ? rtt_t1(c->rtt, &flow->peer, &c->conf.timers)
                                       : c->conf.timers.t1;
    t->started = c->now;
    t->retry.kind = ST_TXN_RETRY;
    t->life.kind = ST_TXN_LIFE;
    t->key_n = (uint8_t)key.n;
    memcpy(t->key, key.p, key.n);
    hash_put(&c->by_key, &t->by_key, hash_str(&c->by_key, key));
    if (kind == TXN_ICT || kind == TXN_NICT)
        list_append(txn_peer_list(c, &flow->peer), &t->by_peer);
    c->stats.txns[kind][t->state]++;
    return t;
}

void txn_free(struct sip_core *c, struct sip_txn *t)
{
    timer_stop(&c->wheel, &t->retry);
    timer_stop(&c->wheel, &t->life);
    hash_remove(&c->by_key, &t->by_key);
    if (t->in_merge)
        hash_remove(&c->by_merge, &t->by_merge);
    list_remove(&t->by_peer); /* of a server's it is in none */
    c->stats.txns[t->kind][t->state]--;
    blob_unref(t->last);
    blob_unref(t->head);
    blob_unref(t->ack);
    slot_put(&c->txns, txn_handle(c, t));
}

handle_t txn_handle(const struct sip_core *c, const struct sip_txn *t)
{
    return slot_handle(&c->txns, t);
}

struct sip_txn *txn_find(const struct sip_core *c, handle_t h)
{
    return slot_find(&c->txns, h);
}

bool txn_reliable(const struct sip_txn *t)
{
    return proto_reliable((enum proto)t->flow.proto);
}

static void arm(struct sip_core *c, struct sip_txn *t, struct timer *timer, usec_t in)
{
    char letter = timer == &t->retry ? t->retry_letter : t->life_letter;
    timer_start(&c->wheel, timer, c->now + in);
    core_hist_timer(c, t->tag, t->leg, HIST_TIMER_ARMED, (unsigned)letter, in);
}

static void stop(struct sip_core *c, struct sip_txn *t, struct timer *timer)
{
    if (!timer_armed(timer))
        return;
    char letter = timer == &t->retry ? t->retry_letter : t->life_letter;
    timer_stop(&c->wheel, timer);
    if (letter) /* the 200 ms before a 100 have none */
        core_hist_timer(c, t->tag, t->leg, HIST_TIMER_STOPPED, (unsigned)letter, 0);
}

static void retry_op(struct sip_core *c, struct sip_txn *t, const struct txn_cell *cell)
{
    const struct sip_timers *conf = &c->conf.timers;
    switch ((enum txn_timer_op)cell->retry_op) {
    case TXN_T_KEEP:
        return;
    case TXN_T_T1:
        t->interval = t->t1;
        break;
    case TXN_T_DOUBLE:
        t->interval *= 2;
        break;
    case TXN_T_DOUBLE_T2:
        t->interval = t->interval * 2 < conf->t2 ? t->interval * 2 : conf->t2;
        break;
    case TXN_T_T2:
        t->interval = conf->t2;
        break;
    default:
        stop(c, t, &t->retry);
        return;
    }
    if (txn_reliable(t)) { /* RFC 3261 17.1.1.2: no retransmission over reliable transports */
        timer_stop(&c->wheel, &t->retry);
        return;
    }
    t->retry_letter = cell->retry;
    arm(c, t, &t->retry, t->interval);
}

/* false: the timer would be 0, the transaction is over at once. */
static bool life_op(struct sip_core *c, struct sip_txn *t, const struct txn_cell *cell)
{
    const usec_t d_min = 32 * USEC_S; /* RFC 3261 17.1.1.2: Timer D */
    usec_t in;
    switch ((enum txn_timer_op)cell->life_op) {
    case TXN_T_KEEP:
        return true;
    case TXN_T_64T1:
        in = 64 * t->t1;
        break;
    case TXN_T_D:
        in = txn_reliable(t) ? 0 : 64 * t->t1 > d_min ? 64 * t->t1 : d_min;
        break;
    case TXN_T_T4:
        in = txn_reliable(t) ? 0 : c->conf.timers.t4;
        break;
    case TXN_T_J:
        in = txn_reliable(t) ? 0 : 64 * t->t1;
        break;
    default:
        stop(c, t, &t->life);
        return true;
    }
    stop(c, t, &t->life);
    t->life_letter = cell->life;
    if (in == 0)
        return false;
    arm(c, t, &t->life, in);
    return true;
}

unsigned txn_step(struct sip_core *c, struct sip_txn *t, enum txn_event event)
{
    const struct txn_cell *cell =
        txn_cell((enum sip_txn_kind)t->kind, (enum sip_txn_state)t->state, event);
    if (!cell->valid) {
        c->stats.ignored++;
        return 0;
    }
    c->stats.txns[t->kind][t->state]--;
    t->state = cell->next;
    retry_op(c, t, cell);
    if (!life_op(c, t, cell))
        t->state = TXN_TERMINATED;
    c->stats.txns[t->kind][t->state]++;
    return cell->act;
}

static void resend(struct sip_core *c, struct sip_txn *t)
{
    if (!t->last)
        return;
    t->retransmitted = true;
    c->stats.retransmissions_sent++;
    bool client = t->kind == TXN_ICT || t->kind == TXN_NICT;
    core_hist(c, t->tag, t->leg, HIST_RETRANSMIT, client ? t->method : t->status, t->cseq);
    core_send(c, &t->flow, blob_ref(t->last));
}

/* ---- server ---------------------------------------------------------------------------------- */

static void send_answer(struct sip_core *c, struct sip_txn *t, struct blob *b)
{
    core_send(c, &t->flow, blob_ref(b));
    c->out[(c->out_head + c->out_n - 1) & (c->out_cap - 1)].after_commit = t->held_for_commit;
}

void txn_send_response(struct sip_core *c, struct sip_txn *t, unsigned status, struct blob *b,
                       bool after_commit)
{
    enum txn_event ev = status < 200 ? TXN_EV_1XX : status < 300 ? TXN_EV_2XX : TXN_EV_FINAL;
    t->status = (uint16_t)status;
    core_hist(c, t->tag, t->leg, HIST_TX_RESPONSE, status, t->method);
    unsigned act = txn_step(c, t, ev);
    if (act & TXN_DO_SEND) {
        c->stats.tx_responses++;
        c->stats.tx_status[status / 100]++;
        blob_unref(t->last);
        /* A 2xx to INVITE is sent again by the session, not by the transaction (RFC 6026). */
        t->last = t->state == TXN_ACCEPTED ? NULL : blob_ref(b);
        t->held_for_commit = after_commit;
        if (t->answer_delay && t->kind == TXN_NIST && !txn_reliable(t))
            timer_start(&c->wheel, &t->retry, c->now + t->answer_delay);
        else
            send_answer(c, t, b);
    }
    blob_unref(b);
    if (status >= 200)
        t->head = blob_unref(t->head);
    if (t->state == TXN_TERMINATED)
        txn_free(c, t);
}

/* ---- client ---------------------------------------------------------------------------------- */

static void send_ack(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    if (!t->ack && m) {
        struct str to = sip_msg_get(m, SIP_H_TO);
        if (request_derive(c, t->last, SIP_ACK, to, STR_NONE, &t->ack))
            return;
        c->stats.tx_requests++;
        c->stats.tx_method[SIP_ACK]++;
        core_hist(c, t->tag, t->leg, HIST_TX_REQUEST, SIP_ACK, t->cseq);
    }
    if (t->ack)
        core_send(c, &t->flow, blob_ref(t->ack));
}

static void measure(struct sip_core *c, struct sip_txn *t)
{
    /* Karn: a repeated request cannot be measured (RFC 6298 section 3). */
    if (!t->retransmitted && t->status == 0 && !txn_reliable(t))
        rtt_sample(c->rtt, &t->flow.peer, c->now - t->started);
}

void txn_rx_response(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    unsigned status = m->status;
    enum txn_event ev = status < 200 ? TXN_EV_1XX : status < 300 ? TXN_EV_2XX : TXN_EV_FINAL;
    handle_t h = txn_handle(c, t);
    measure(c, t);
    bool again = t->status >= 200 && status == t->status;
    unsigned act = txn_step(c, t, ev);
    if (again) {
        c->stats.retransmissions_received++;
        core_hist(c, t->tag, t->leg, HIST_DUPLICATE, status, t->method);
    } else {
        core_hist(c, t->tag, t->leg, HIST_RX_RESPONSE, status, t->method);
    }
    if (!act && t->state != TXN_TERMINATED)
        return;
    t->status = (uint16_t)status;
    if (act & TXN_DO_ACK)
        send_ack(c, t, m);
    if (act & TXN_DO_USER)
        session_rx_response(c, t, m);
    t = txn_find(c, h);
    if (t && t->state == TXN_TERMINATED && !t->wants_answer)
        txn_free(c, t);
}

/* The user learns of an end without an answer: 408 for silence, 503 for a broken transport
 * (RFC 3261 8.1.3.1). */
static void failed(struct sip_core *c, struct sip_txn *t, unsigned status)
{
    handle_t h = txn_handle(c, t);
    session_txn_failed(c, t, status);
    t = txn_find(c, h);
    if (t)
        txn_free(c, t);
}

static void life_over(struct sip_core *c, struct sip_txn *t)
{
    char letter = t->life_letter;
    if (letter >= 'A' && letter <= 'M')
        c->stats.fired[letter - 'A']++;
    core_hist_timer(c, t->tag, t->leg, HIST_TIMER_FIRED, (unsigned)letter, 0);
    unsigned act = txn_step(c, t, TXN_EV_LIFE);
    if (!(act & TXN_DO_TIMEOUT)) {
        txn_free(c, t);
        return;
    }
    char name[1] = {letter}, text[80];
    struct buf peer;
    c->stats.timeouts[letter - 'A']++;
    buf_init(&peer, text, sizeof(text));
    addr_put(&peer, &t->flow.peer);
    trace_emit(c->trace, TRACE_TXN_TIMEOUT, t->tag, TS(str_of(name, 1)),
               TS(sip_method_name((enum sip_method)t->method)), TS(buf_str(&peer)));
    if (t->method == SIP_INVITE && t->kind == TXN_ICT)
        c->stats.invite_timeouts++;
    failed(c, t, 408);
}

void txn_timer(struct sip_core *c, struct timer *timer)
{
    if (timer->kind == ST_TXN_LIFE) {
        life_over(c, container_of(timer, struct sip_txn, life));
        return;
    }
    struct sip_txn *t = container_of(timer, struct sip_txn, retry);
    if (t->kind == TXN_IST && t->state == TXN_PROCEEDING) {
        /* 200 ms without a word from the user: RFC 3261 17.2.1. */
        if (!t->last)
            respond_simple(c, t, 100);
        return;
    }
    if (t->kind == TXN_NIST) { /* the answer that was to leave later */
        if (t->last)
            send_answer(c, t, t->last);
        return;
    }
    if (t->retry_letter >= 'A' && t->retry_letter <= 'M')
        c->stats.fired[t->retry_letter - 'A']++;
    core_hist_timer(c, t->tag, t->leg, HIST_TIMER_FIRED, (unsigned)t->retry_letter, 0);
    unsigned most = c->conf.timers.invite_sends;
    if (t->kind == TXN_ICT && most && ++t->repeats >= most) {
        life_over(c, t);
        return;
    }
    if (txn_step(c, t, TXN_EV_RETRY) & TXN_DO_RESEND)
        resend(c, t);
}

/* RFC 3261 18.1.1: a request that went by TCP only because of its size goes by UDP after all when
 * no connection comes about. The copy differs from the sent one in the transport of its Via. */
static bool fall_back_to_udp(struct sip_core *c, struct sip_txn *t)
{
    if (!t->tcp_for_size || t->state != TXN_TRYING)
        return false;
    struct blob *b = blob_copy(&c->pool, blob_str(t->last));
    char *via = b ? memmem(b->data, b->n, "SIP/2.0/TCP", 11) : NULL;
    if (!via) {
        blob_unref(b);
        return false;
    }
    memcpy(via + 8, "UDP", 3);
    blob_unref(t->last);
    t->last = b;
    t->tcp_for_size = false;
    t->flow.proto = PROTO_UDP;
    t->flow.conn = 0;
    t->started = c->now;
    for (unsigned i = 0; i < c->conf.n_listeners; i++)
        if (c->conf.listener[i].proto == PROTO_UDP &&
            c->conf.listener[i].bound.family == t->flow.peer.family)
            t->flow.listener = (uint8_t)i;
    rtt_no_tcp(c->rtt, &t->flow.peer, c->now);
    txn_step(c, t, TXN_EV_START);
    core_send(c, &t->flow, blob_ref(t->last));
    return true;
}

void txn_error(struct sip_core *c, struct sip_txn *t)
{
    if (fall_back_to_udp(c, t))
        return;
    c->stats.transport_errors++;
    unsigned act = txn_step(c, t, TXN_EV_ERROR);
    if (act & TXN_DO_ERROR)
        failed(c, t, 503);
    else if (t->state == TXN_TERMINATED)
        txn_free(c, t);
}
