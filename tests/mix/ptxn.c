#include "ptxn.h"

#define T1 (500 * USEC_MS)
#define T2 (4 * USEC_S)

static struct world *world_of(const struct phone *p)
{
    return p->ua.host.w;
}

static struct ptxn *txn_new(struct phone *p, const struct sip_msg *m, bool client)
{
    struct world *w = world_of(p);
    struct ptxn *t = arena_zero(&w->arena, sizeof(*t));
    BUG_ON(!t);
    t->phone = p;
    t->client = client;
    t->method = m->method;
    t->branch = arena_dup(&w->arena, m->via.branch);
    t->end = w->now + 64 * T1;
    /* The newest first: it is the one that is asked for. */
    list_append(p->txns.next, &t->node);
    return t;
}

static struct ptxn *find(struct phone *p, const struct sip_msg *m, enum sip_method method,
                         bool client)
{
    usec_t now = world_of(p)->now;
    list_each(node, &p->txns)
    {
        struct ptxn *t = container_of(node, struct ptxn, node);
        if (t->client == client && t->method == method && str_eq(t->branch, m->via.branch))
            return t;
        if (t->end + 64 * T1 < now) /* nobody asks for it any more */
            list_remove(&t->node);
    }
    return NULL;
}

struct ptxn *ptxn_find(struct phone *p, const struct sip_msg *m, bool client)
{
    return find(p, m, m->method, client);
}

static void again(void *arg, uint64_t n)
{
    struct ptxn *t = arg;
    struct world *w = world_of(t->phone);
    bool over = t->status >= 200 || (t->method == SIP_INVITE && t->status);
    if (over || w->now >= t->end)
        return;
    world_tx(&t->phone->ua.host, t->proto, t->bytes);
    t->interval *= 2;
    if (t->method != SIP_INVITE && t->interval > T2)
        t->interval = T2;
    world_wake(w, t->interval, again, t, n);
}

static void end(void *arg, uint64_t n)
{
    struct ptxn *t = arg;
    bool silent = t->method == SIP_INVITE ? t->status == 0 : t->status < 200;
    if (silent) {
        t->status = 408;
        phone_timeout(t);
    }
}

struct ptxn *ptxn_request(struct phone *p, struct line *l, struct ua_spec *spec)
{
    static struct sip_msg m; /* too large for the stack; written before it is read */
    struct world *w = world_of(p);
    struct str bytes;
    if (ua_build(&p->ua, spec, &bytes) || sip_msg_parse(&m, bytes.p, bytes.n, false) != SIP_OK)
        return NULL;
    world_tx(&p->ua.host, p->ua.proto, bytes);
    if (m.method == SIP_ACK)
        return NULL;
    struct ptxn *t = txn_new(p, &m, true);
    t->line = l;
    t->bytes = bytes;
    t->proto = p->ua.proto;
    t->interval = T1;
    if (t->proto == PROTO_UDP)
        world_wake(w, T1, again, t, 0);
    world_wake(w, 64 * T1, end, t, 0);
    return t;
}

static void ok_again(void *arg, uint64_t cseq)
{
    struct line *l = arg;
    struct world *w = world_of(l->phone);
    if (!l->ok.n || l->ok_cseq != cseq || l->state == LINE_OVER || w->now >= l->ok_end)
        return;
    world_tx(&l->phone->ua.host, l->phone->ua.proto, l->ok);
    l->ok_interval = l->ok_interval * 2 < T2 ? l->ok_interval * 2 : T2;
    world_wake(w, l->ok_interval, ok_again, l, cseq);
}

/* A refusal, until its ACK (Timer G). */
static void refusal_again(void *arg, uint64_t n)
{
    struct ptxn *t = arg;
    struct world *w = world_of(t->phone);
    if (t->acked || w->now >= t->end)
        return;
    world_tx(&t->phone->ua.host, t->proto, t->bytes);
    t->interval = t->interval * 2 < T2 ? t->interval * 2 : T2;
    world_wake(w, t->interval, refusal_again, t, n);
}

void ptxn_respond(struct phone *p, struct line *l, struct str method, struct ua_spec *spec)
{
    static struct sip_msg m; /* too large for the stack; written before it is read */
    struct world *w = world_of(p);
    struct str bytes;
    spec->reply_to = method;
    if (l)
        spec->call = l->ua;
    struct ua_req *q = ua_request_find(&p->ua, spec->call, method);
    if (!q || sip_msg_parse(&m, q->bytes.p, q->bytes.n, false) != SIP_OK)
        return;
    struct ptxn *t = ptxn_find(p, &m, false);
    uint32_t cseq = m.cseq.number;
    enum proto proto = (enum proto)q->flow.proto;
    if (!t || ua_build(&p->ua, spec, &bytes))
        return;
    t->bytes = bytes;
    t->status = spec->status;
    world_tx(&p->ua.host, proto, bytes);
    if (t->method == SIP_INVITE && spec->status >= 300 && proto == PROTO_UDP) {
        t->interval = T1;
        t->end = w->now + 64 * T1;
        world_wake(w, T1, refusal_again, t, 0);
    }
    if (l && t->method == SIP_INVITE && spec->status / 100 == 2) {
        l->ok = bytes;
        l->ok_cseq = cseq;
        l->ok_interval = T1;
        l->ok_end = w->now + 64 * T1;
        world_wake(w, T1, ok_again, l, cseq);
    }
}

static bool absorb_request(struct phone *p, const struct sip_msg *m, const struct flow *flow)
{
    struct ptxn *t = find(p, m, m->method == SIP_ACK ? SIP_INVITE : m->method, false);
    if (m->method == SIP_ACK) {
        if (t)
            t->acked = true;
        return false;
    }
    if (!t) {
        txn_new(p, m, false)->proto = (enum proto)flow->proto;
        return false;
    }
    if (t->bytes.n)
        world_tx(&p->ua.host, t->proto, t->bytes);
    return true;
}

static bool absorb_response(struct phone *p, const struct sip_msg *m)
{
    struct ptxn *t = ptxn_find(p, m, true);
    if (!t)
        return true;
    if (t->status >= 200) {
        if (t->ack.n)
            world_tx(&p->ua.host, t->proto, t->ack);
        return true;
    }
    t->status = m->status;
    return false;
}

bool ptxn_absorb(struct ua *ua, const struct flow *flow, struct str bytes)
{
    static struct sip_msg m; /* too large for the stack; written before it is read */
    struct phone *p = container_of(ua, struct phone, ua);
    if (sip_msg_parse(&m, bytes.p, bytes.n, false) != SIP_OK)
        return true;
    return m.is_request ? absorb_request(p, &m, flow) : absorb_response(p, &m);
}
