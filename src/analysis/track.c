/* Sorts messages into legs and, there, into transactions: what is new, what was repeated, what is
 * the same message behind a proxy. */
#include "analysis/engine_int.h"

#define COPY_NS     20000000ull /* Timer A and Timer E begin at T1; nothing is repeated so soon */
#define LOOK_BACK   256         /* messages of a leg that are compared with a new one */
#define MAX_CALL_ID 256
#define MAX_REASON  64

static struct an_leg *leg_find(const struct an_engine *e, struct str call_id, uint64_t hash)
{
    hash_each(node, &e->by_call_id, hash)
    {
        struct an_leg *leg = container_of(node, struct an_leg, node);
        if (str_eq(an_leg_text(leg, leg->call_id), call_id))
            return leg;
    }
    return NULL;
}

uint32_t engine_leg_find(const struct an_engine *e, struct str call_id)
{
    struct str id = str_sub(call_id, 0, MAX_CALL_ID);
    struct an_leg *leg = id.n ? leg_find(e, id, hash_str(&e->by_call_id, call_id)) : NULL;
    return leg ? engine_leg_index(leg) : AN_NONE;
}

static enum an_leg_kind kind_of(const struct sip_msg *m)
{
    switch (m->method) {
    case SIP_INVITE:
    case SIP_ACK:
    case SIP_BYE:
    case SIP_CANCEL:
    case SIP_PRACK:
    case SIP_UPDATE:
    case SIP_REFER:
        return AN_LEG_CALL;
    case SIP_REGISTER:
        return AN_LEG_REGISTER;
    case SIP_SUBSCRIBE:
    case SIP_NOTIFY:
        return AN_LEG_SUBSCRIBE;
    case SIP_PUBLISH:
        return AN_LEG_PUBLISH;
    case SIP_MESSAGE:
        return AN_LEG_MESSAGE;
    case SIP_OPTIONS:
        return AN_LEG_OPTIONS;
    default:
        return AN_LEG_OTHER;
    }
}

static void times_clear(struct an_leg *leg)
{
    uint64_t *times[] = {&leg->invite_ns,   &leg->trying_ns, &leg->ringing_ns,
                         &leg->progress_ns, &leg->answer_ns, &leg->ack_ns,
                         &leg->cancel_ns,   &leg->bye_ns,    &leg->end_ns};
    uint32_t *msgs[] = {&leg->invite_msg, &leg->answer_msg, &leg->cancel_msg, &leg->bye_msg,
                        &leg->final_msg};
    for (unsigned i = 0; i < ARRAY_LEN(times); i++)
        *times[i] = AN_NEVER;
    for (unsigned i = 0; i < ARRAY_LEN(msgs); i++)
        *msgs[i] = AN_NONE;
}

static struct an_leg *leg_new(struct an_engine *e, const struct an_datum *d, uint64_t hash)
{
    handle_t h;
    struct an_leg *leg = slot_take(&e->legs, &h);
    if (!leg) {
        e->stats.legs_refused++;
        return NULL;
    }
    leg->index = (uint32_t)h - 1;
    leg->number = ++e->n_numbers;
    list_append(&e->live, &leg->live);
    leg->call = AN_NONE;
    leg->bye_side = AN_NO_SIDE;
    leg->first_ns = d->at_ns;
    times_clear(leg);
    leg->call_id = an_text_put(&leg->text, e->m.call_id, MAX_CALL_ID);
    hash_put(&e->by_call_id, &leg->node, hash);
    return leg;
}

/* A leg that began with a message outside any dialog's making, such as an INFO, is what it turns
 * out to be. */
static void kind_learn(struct an_leg *leg, const struct sip_msg *m)
{
    enum an_leg_kind kind = kind_of(m);
    if (leg->n_msgs == 0 || (kind == AN_LEG_CALL && leg->kind != AN_LEG_CALL) ||
        leg->kind == AN_LEG_OTHER)
        leg->kind = (uint8_t)kind;
}

static struct an_leg *leg_get(struct an_engine *e, const struct an_datum *d)
{
    uint64_t hash = hash_str(&e->by_call_id, e->m.call_id);
    struct str call_id = str_sub(e->m.call_id, 0, MAX_CALL_ID);
    struct an_leg *leg = leg_find(e, call_id, hash);
    if (leg)
        return leg;
    enum engine_was was = engine_past_was(e->past, hash);
    bool begins = e->m.is_request && e->m.method == SIP_INVITE && !e->m.to.tag.n;
    if (was == ENGINE_WAS_OVER && !begins) {
        e->stats.late++;
        return NULL;
    }
    leg = leg_new(e, d, hash);
    if (leg)
        leg->resumed = was != ENGINE_WAS_NONE;
    return leg;
}

/* ---- the message ----------------------------------------------------------------------------- */

static uint64_t mix(uint64_t a, uint64_t b)
{
    return (a ^ b) * 0x9e3779b97f4a7c15u ^ (a >> 29);
}

/* What makes it this message at whichever hop: a response may be one of several with its status, by
 * its RSeq (RFC 3262) or, unreliable, by its body. */
static uint64_t same_hash(const struct an_engine *e, const struct sip_msg *m)
{
    const struct hash_table *t = &e->by_call_id;
    uint64_t h = mix(m->cseq.number, (uint64_t)m->method << 32 | m->status);
    h = mix(h, hash_str(t, m->from.tag));
    h = mix(h, hash_str(t, m->to.tag));
    if (m->method == SIP_METHOD_UNKNOWN)
        h = mix(h, hash_str(t, m->cseq.method_text));
    if (m->status > 100 && m->status < 200)
        h = mix(h, hash_str(t, sip_msg_get(m, SIP_H_RSEQ)) ^ m->body.n);
    return m->is_request ? h : ~h;
}

static uint64_t path_hash(const struct an_engine *e, const struct an_datum *d)
{
    const struct hash_table *t = &e->by_call_id;
    uint64_t h = hash_str(t, d->bytes);
    h = mix(h, hash_bytes(t, d->src.ip, sizeof(d->src.ip)) + d->src.port);
    return mix(h, hash_bytes(t, d->dst.ip, sizeof(d->dst.ip)) + d->dst.port);
}

/* Was it seen before, and how. */
static void flags_find(struct an_leg *leg, struct an_msg *m)
{
    uint32_t self = (uint32_t)(m - leg->msg), back = self > LOOK_BACK ? self - LOOK_BACK : 0;
    for (uint32_t i = self; i-- > back;) {
        const struct an_msg *o = &leg->msg[i];
        if (o->same != m->same)
            continue;
        if (o->src == m->src && o->dst == m->dst) {
            bool copy = o->path == m->path && m->at_ns - o->at_ns < COPY_NS;
            m->flags |= copy ? AN_MSG_COPY : AN_MSG_RETRANS;
            m->flags |= o->flags & AN_MSG_HOP;
            return;
        }
        m->flags |= AN_MSG_HOP;
    }
}

static enum an_side side_of(const struct an_leg *leg, const struct sip_msg *m)
{
    struct str tag = an_leg_text(leg, leg->from.tag);
    bool by_caller = m->from.tag.n || tag.n
                         ? str_eq(str_sub(m->from.tag, 0, MAX_CALL_ID), tag)
                         : str_eq(m->from.uri.user, an_leg_text(leg, leg->from.user));
    return m->is_request == by_caller ? AN_CALLER : AN_CALLEE;
}

static void body_flags(const struct sip_msg *m, struct an_msg *msg)
{
    if (!m->body.n)
        return;
    if (sip_body_find(m, STR("application/sdp")).n)
        msg->flags |= AN_MSG_SDP;
    if (sip_body_early(m, STR("application/sdp")).n)
        msg->flags |= AN_MSG_EARLY_SDP;
}

static struct an_msg *msg_new(struct an_engine *e, struct an_leg *leg, const struct an_datum *d)
{
    const struct sip_msg *m = &e->m;
    struct an_msg *msg = an_leg_msg_add(leg);
    if (!msg) {
        leg->more_msgs++;
        e->stats.messages_refused++;
        return NULL;
    }
    msg->at_ns = d->at_ns;
    msg->frame = d->frame;
    msg->bytes_n = (uint32_t)d->bytes.n;
    msg->cseq = m->cseq.number;
    msg->status = m->is_request ? 0 : m->status;
    msg->method = (uint8_t)m->method;
    msg->transport = d->transport;
    msg->txn = AN_NONE;
    msg->src = an_leg_host(leg, &d->src);
    msg->dst = an_leg_host(leg, &d->dst);
    msg->same = same_hash(e, m);
    msg->path = path_hash(e, d);
    msg->side = (uint8_t)side_of(leg, m);
    msg->flags = (uint16_t)((m->is_request && m->to.tag.n ? AN_MSG_IN_DIALOG : 0) |
                            (d->truncated ? AN_MSG_CUT : 0) | (m->verdict ? AN_MSG_BAD : 0));
    msg->what = an_text_put(&leg->text,
                            m->verdict                        ? sip_verdict_text(m->verdict)
                            : !m->is_request                  ? m->reason
                            : m->method == SIP_METHOD_UNKNOWN ? m->method_text
                                                              : STR_NONE,
                            MAX_REASON);
    body_flags(m, msg);
    flags_find(leg, msg);
    return msg;
}

/* ---- transactions ---------------------------------------------------------------------------- */

/* RFC 3261 17.1.3, 17.2.3: branch, sent-by and method; the ACK of a failure and its INVITE share
 * them, the CANCEL has a transaction of its own. Without the cookie of RFC 3261 the branch says
 * nothing, CSeq and tag stand for it. */
static uint64_t txn_key(const struct an_engine *e, const struct sip_msg *m)
{
    const struct hash_table *t = &e->by_call_id;
    enum sip_method method = m->method == SIP_ACK ? SIP_INVITE : m->method;
    uint64_t h = mix(m->cseq.number, (uint64_t)method + 1);
    h = mix(h, hash_istr(t, m->via.host) + m->via.port);
    return mix(h, str_istarts(m->via.branch, STR("z9hG4bK")) ? hash_str(t, m->via.branch)
                                                             : hash_str(t, m->from.tag));
}

static struct an_txn *txn_find(const struct an_leg *leg, uint64_t key)
{
    uint32_t back = leg->n_txns > LOOK_BACK ? leg->n_txns - LOOK_BACK : 0;
    for (uint32_t i = leg->n_txns; i-- > back;)
        if (leg->txn[i].key == key)
            return &leg->txn[i];
    return NULL;
}

static struct an_txn *txn_new(struct track *t, uint64_t key)
{
    struct an_txn *txn = an_leg_txn_add(t->leg);
    if (!txn)
        return NULL;
    *txn = (struct an_txn){.key = key,
                           .first_ns = t->d->at_ns,
                           .request = AN_NONE,
                           .provisional = AN_NONE,
                           .final = AN_NONE,
                           .ack = AN_NONE,
                           .cseq = t->m->cseq.number,
                           .method = (uint8_t)t->m->method,
                           .hop = (t->msg->flags & AN_MSG_HOP) != 0};
    return txn;
}

/* The ACK of a 2xx has a branch of its own (RFC 3261 13.2.2.4): it is noted with its INVITE too. */
static void txn_ack_2xx(struct an_leg *leg, const struct sip_msg *m, uint32_t index)
{
    for (uint32_t i = leg->n_txns; i-- > 0;) {
        struct an_txn *txn = &leg->txn[i];
        if (txn->method == SIP_INVITE && txn->cseq == m->cseq.number && txn->status >= 200 &&
            txn->status < 300 && txn->ack == AN_NONE)
            txn->ack = index;
    }
}

static void first(uint32_t *where, uint32_t index)
{
    if (*where == AN_NONE)
        *where = index;
}

static void txn_request(struct track *t)
{
    struct an_txn *txn = t->txn;
    if (t->m->method == SIP_ACK && txn->method == SIP_INVITE) {
        first(&txn->ack, t->index);
        return;
    }
    first(&txn->request, t->index);
    if (!(t->msg->flags & AN_MSG_COPY))
        txn->sent++;
    if (t->m->method == SIP_ACK)
        txn_ack_2xx(t->leg, t->m, t->index);
}

static void txn_response(struct track *t)
{
    struct an_txn *txn = t->txn;
    if (t->m->status < 200) {
        first(&txn->provisional, t->index);
        return;
    }
    first(&txn->final, t->index);
    if (!txn->status)
        txn->status = t->m->status;
    if (!(t->msg->flags & AN_MSG_COPY))
        txn->answered++;
}

static void txn_rx(struct track *t)
{
    uint64_t key = txn_key(t->e, t->m);
    t->txn = txn_find(t->leg, key);
    /* An ACK with the branch of an INVITE that has succeeded is a slip of its sender. */
    if (!t->txn)
        t->txn = txn_new(t, key);
    if (!t->txn)
        return;
    t->msg->txn = (uint32_t)(t->txn - t->leg->txn);
    if (t->m->is_request)
        txn_request(t);
    else
        txn_response(t);
}

/* ---- counting -------------------------------------------------------------------------------- */

static void count(struct an_engine *e, struct an_leg *leg, const struct an_msg *msg)
{
    struct an_engine_stats *s = &e->stats;
    if (msg->flags & AN_MSG_COPY)
        return;
    if (msg->flags & AN_MSG_RETRANS) {
        s->retransmissions++;
        leg->retrans++;
        return;
    }
    s->hops += (msg->flags & AN_MSG_HOP) != 0;
    if (msg->status)
        s->by_status[msg->status < ARRAY_LEN(s->by_status) ? msg->status : 0]++;
    else
        s->by_method[msg->method]++;
}

static void keep(struct an_engine *e, struct an_msg *msg, struct str bytes)
{
    const struct an_keep *k = e->args.keep;
    if (!k || k->put(k->user, bytes.p, bytes.n, &msg->kept))
        msg->bytes_n = 0;
}

static void track_new(struct track *t)
{
    if (!(t->msg->flags & AN_MSG_HOP))
        track_call(t);
    if (t->msg->flags & (AN_MSG_SDP | AN_MSG_EARLY_SDP))
        track_sdp(t);
}

/* The capture has only the beginning of it: all whole header lines are as good as ever, and so is
 * a body's beginning. False: there are not enough of them to know whose message it is. */
static bool cut_read(struct an_engine *e, const struct an_datum *d)
{
    static const char end[] = "\r\n";
    if (e->m.verdict == SIP_TRUNCATED) {
        const char *line = memrchr(d->bytes.p, '\n', d->bytes.n);
        size_t n = line ? (size_t)(line + 1 - d->bytes.p) : 0;
        char *copy = arena_take(&e->scratch, n + 2);
        if (!copy)
            return false;
        memcpy(copy, d->bytes.p, n);
        memcpy(copy + n, end, 2);
        (void)sip_msg_parse(&e->m, copy, n + 2, false);
    }
    if (e->m.verdict == SIP_BAD_LENGTH || e->m.verdict == SIP_MISSING_HEADER)
        e->m.verdict = SIP_OK;
    return sip_msg_has(&e->m, SIP_H_FROM) && sip_msg_has(&e->m, SIP_H_CSEQ);
}

/* False: nobody can say which call it belongs to. */
static bool message_read(struct an_engine *e, const struct an_datum *d)
{
    bool good = !sip_msg_parse(&e->m, d->bytes.p, d->bytes.n, d->transport != AN_UDP);
    bool enough = good || !d->truncated || cut_read(e, d);
    e->stats.cut_messages += !good && d->truncated;
    e->stats.bad_messages += e->m.verdict && !d->truncated;
    return enough && e->m.call_id.n;
}

void track_rx(struct an_engine *e, const struct an_datum *d)
{
    struct track t = {.e = e, .d = d, .m = &e->m};
    e->stats.messages++;
    e->stats.by_transport[d->transport]++;
    arena_reset(&e->scratch);
    if (!message_read(e, d))
        return;
    t.leg = leg_get(e, d);
    if (!t.leg)
        return;
    kind_learn(t.leg, t.m);
    if (!t.leg->n_msgs)
        track_identity(&t);
    t.leg->last_ns = d->at_ns;
    t.leg->due_ns = 0;
    t.leg->transports |= (uint8_t)(1u << d->transport);
    t.msg = msg_new(e, t.leg, d);
    if (!t.msg)
        return;
    t.index = t.leg->n_msgs - 1;
    keep(e, t.msg, d->bytes);
    count(e, t.leg, t.msg);
    txn_rx(&t);
    if (t.txn && !(t.msg->flags & (AN_MSG_RETRANS | AN_MSG_COPY)))
        track_new(&t);
}
