/* The robots' own transactions, simpler than those of the engine and written apart from them.
 * RFC 3261 section 17. */
#include "pbx/pbx_int.h"
#include "robot.h"

#define T1 (500 * USEC_MS)
#define T2 (4 * USEC_S)

static struct str branch_of(const struct sip_msg *m)
{
    return m->via.branch;
}

static struct rtxn *take(struct robot *r, struct rcall *c, bool client, enum sip_method method,
                         struct str branch)
{
    struct world *w = r->ua.host.w;
    struct rtxn *t = arena_zero(&w->arena, sizeof(*t));
    BUG_ON(!t);
    t->r = r;
    t->call = c;
    t->client = client;
    t->method = method;
    t->branch = arena_dup(&w->arena, branch);
    t->end = w->now + 64 * T1;
    t->starts = w->starts;
    /* The newest first: it is the one that is asked for. */
    t->node.next = r->txns.next;
    t->node.prev = &r->txns;
    r->txns.next->prev = &t->node;
    r->txns.next = &t->node;
    return t;
}

struct rtxn *rtxn_find(struct robot *r, const struct sip_msg *m, bool client)
{
    usec_t now = r->ua.host.w->now;
    list_each(node, &r->txns)
    {
        struct rtxn *t = container_of(node, struct rtxn, node);
        if (t->client == client && t->method == m->method && str_eq(t->branch, branch_of(m)))
            return t;
        if (t->end + 64 * T1 < now) /* nobody asks for it any more */
            list_remove(&t->node);
    }
    return NULL;
}

static bool wants_resend(const struct rtxn *t)
{
    if (t->status >= 200 || t->proto != PROTO_UDP)
        return false;
    return t->method != SIP_INVITE || t->status == 0;
}

static void again(void *arg, uint64_t n)
{
    struct rtxn *t = arg;
    struct world *w = t->r->ua.host.w;
    if (!wants_resend(t) || w->now >= t->end)
        return;
    world_tx(&t->r->ua.host, t->proto, t->bytes);
    t->interval *= 2;
    if (t->method != SIP_INVITE && t->interval > T2)
        t->interval = T2;
    world_wake(w, t->interval, again, t, n);
}

static void over(void *arg, uint64_t n)
{
    struct rtxn *t = arg;
    bool silent = t->method == SIP_INVITE ? t->status == 0 : t->status < 200;
    if (silent && t->status != 999) {
        t->status = 999;
        robot_timeout(t);
    }
}

struct rtxn *rtxn_request(struct robot *r, struct rcall *c, struct ua_spec *spec)
{
    static struct sip_msg m; /* too large for the stack; written before it is read */
    struct str bytes;
    struct world *w = r->ua.host.w;
    if (ua_build(&r->ua, spec, &bytes) || sip_msg_parse(&m, bytes.p, bytes.n, false) != SIP_OK)
        return NULL;
    world_tx(&r->ua.host, r->ua.proto, bytes);
    if (m.method == SIP_ACK)
        return NULL;
    struct rtxn *t = take(r, c, true, m.method, branch_of(&m));
    t->bytes = bytes;
    t->proto = r->ua.proto;
    t->interval = T1;
    if (t->proto == PROTO_UDP)
        world_wake(w, T1, again, t, 0);
    world_wake(w, 64 * T1, over, t, 0);
    return t;
}

static void ok_again(void *arg, uint64_t cseq)
{
    struct rcall *c = arg;
    struct world *w = c->r->ua.host.w;
    if (!c->ok.n || c->ok_cseq != cseq || c->state == RCALL_OVER)
        return;
    if (w->now >= c->ok_end) {
        c->ok = STR_NONE;
        struct ua_spec bye;
        ua_spec_init(&bye);
        bye.method = STR("BYE");
        bye.call = c->ua;
        bye.in_dialog = true;
        rtxn_request(c->r, c, &bye);
        c->state = RCALL_ENDING;
        return;
    }
    world_tx(&c->r->ua.host, c->r->ua.proto, c->ok);
    c->ok_interval = c->ok_interval * 2 < T2 ? c->ok_interval * 2 : T2;
    world_wake(w, c->ok_interval, ok_again, c, cseq);
}

void rtxn_respond(struct robot *r, struct rcall *c, struct str method, struct ua_spec *spec)
{
    static struct sip_msg m; /* too large for the stack; written before it is read */
    struct world *w = r->ua.host.w;
    struct str bytes;
    spec->reply_to = method;
    if (c)
        spec->call = c->ua;
    struct ua_req *q = ua_request_find(&r->ua, spec->call, method);
    if (!q || sip_msg_parse(&m, q->bytes.p, q->bytes.n, false) != SIP_OK)
        return;
    struct rtxn *t = rtxn_find(r, &m, false);
    uint32_t cseq = m.cseq.number;
    enum proto proto = (enum proto)q->flow.proto;
    if (!t || ua_build(&r->ua, spec, &bytes))
        return;
    t->bytes = bytes;
    t->status = spec->status;
    world_tx(&r->ua.host, proto, bytes);
    if (c && t->method == SIP_INVITE && spec->status / 100 == 2) {
        c->ok = bytes;
        c->ok_cseq = cseq;
        c->ok_interval = T1;
        c->ok_end = w->now + 64 * T1;
        world_wake(w, T1, ok_again, c, cseq);
    }
}

static bool absorb_request(struct robot *r, const struct sip_msg *m, const struct flow *flow)
{
    if (m->method == SIP_ACK)
        return false;
    struct rtxn *t = rtxn_find(r, m, false);
    if (!t) {
        take(r, NULL, false, m->method, branch_of(m))->proto = (enum proto)flow->proto;
        return false;
    }
    if (t->bytes.n)
        world_tx(&r->ua.host, t->proto, t->bytes);
    return true;
}

/* What a full PBX or a guarded one refuses it does not remember: who asks again is answered anew.
 */
static bool refuses_blindly(const struct world *w)
{
    struct sip_stats st;
    sip_core_stats(w->pbx->core, &st);
    return st.overload || st.rate_limited;
}

static bool absorb_response(struct robot *r, const struct sip_msg *m)
{
    struct rtxn *t = rtxn_find(r, m, true);
    if (!t || t->status == 999)
        return true;
    if (t->status >= 200) {
        bool same_pbx = t->starts == r->ua.host.w->starts;
        bool forgotten = t->status == 503 && refuses_blindly(r->ua.host.w);
        if (m->status >= 200 && t->status != m->status && same_pbx && !forgotten)
            world_fail(r->ua.host.w, "two final responses to one request: %u and %u", t->status,
                       m->status);
        if (t->ack.n)
            world_tx(&r->ua.host, t->proto, t->ack);
        return true;
    }
    t->status = m->status;
    return false;
}

bool rtxn_absorb(struct ua *ua, const struct flow *flow, struct str bytes)
{
    static struct sip_msg m; /* too large for the stack; written before it is read */
    struct robot *r = container_of(ua, struct robot, ua);
    if (sip_msg_parse(&m, bytes.p, bytes.n, false) != SIP_OK)
        return true;
    return m.is_request ? absorb_request(r, &m, flow) : absorb_response(r, &m);
}
