/* SUBSCRIBE requests: RFC 6665 section 4.2.1. What is refused has changed nothing. */
#include "pbx/call_int.h"
#include "pbx/gate.h"
#include "pbx/subscription_int.h"

#define HOUR_S       3600
#define EVENT_ID_MAX 128
#define RETRY_S      30

/* One request on its way through the checks. */
struct ask {
    struct pbx *p;
    const struct sip_out *o;
    const struct sip_msg *m;
    const struct event_package *package;
    const struct config_extension *who;
    const struct leg *leg; /* it came in the dialog of this one; NULL: in one of its own */
    struct str event_id;
    uint32_t expires_s;
};

static void refuse(const struct ask *a, unsigned status, enum sip_hdr_id id, struct str value)
{
    struct sip_field field = {.id = id, .value = value};
    struct sip_answer answer = {.status = (uint16_t)status,
                                .content = {.field = &field, .n_fields = value.n > 0},
                                .once = !a->who && !a->leg};
    (void)sip_respond(a->p->core, a->p->now, a->o->txn, &answer);
}

static void refuse_number(const struct ask *a, unsigned status, enum sip_hdr_id id, uint64_t value)
{
    char mem[24];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, value);
    refuse(a, status, id, buf_str(&b));
}

/* ---- what is asked --------------------------------------------------------------------------- */

/* Package and id. A request without Event names none. */
static void read_event(struct ask *a)
{
    struct str value = sip_msg_get(a->m, SIP_H_EVENT);
    ptrdiff_t semi = str_chr(value, ';');
    a->package =
        subscription_package(str_trim(str_sub(value, 0, semi < 0 ? value.n : (size_t)semi)));
    struct str id =
        semi < 0 ? STR_NONE : sip_param_get(str_from(value, (size_t)semi + 1), STR("id"));
    a->event_id = id.n ? id : STR("");
}

/* The lifetime granted. 423 only where section 4.2.1.1 allows it: below an hour. */
static unsigned read_expires(struct ask *a)
{
    const struct config_timers *t = &a->p->config->sip.timers;
    uint32_t min_s = t->subscribe_min_ms / 1000, max_s = t->subscribe_max_ms / 1000;
    struct str value = sip_msg_get(a->m, SIP_H_EXPIRES);
    a->expires_s = a->package->default_s > min_s ? a->package->default_s : min_s;
    if (value.p && sip_delta_parse(&a->expires_s, value))
        return 400;
    if (a->expires_s && a->expires_s < min_s && a->expires_s < HOUR_S)
        return 423;
    if (a->expires_s > max_s)
        a->expires_s = max_s;
    return 0;
}

/* Does the subscriber take the bodies of the package? Without Accept it takes the usual ones
 * (RFC 6665 section 3.1.3). */
static bool accepts(const struct sip_msg *m, struct str type)
{
    struct sip_values it = sip_values(m, SIP_H_ACCEPT);
    struct str value;
    ptrdiff_t slash = str_chr(type, '/');
    if (!sip_msg_has(m, SIP_H_ACCEPT))
        return true;
    while (sip_values_next(&it, &value)) {
        ptrdiff_t semi = str_chr(value, ';');
        struct str range = str_trim(str_sub(value, 0, semi < 0 ? value.n : (size_t)semi));
        bool whole = range.n == (size_t)slash + 2 && range.p[range.n - 1] == '*' &&
                     str_istarts(range, str_sub(type, 0, (size_t)slash + 1));
        if (whole || str_ieq(range, type) || str_eq(range, STR("*/*")))
            return true;
    }
    return false;
}

struct str subscription_route(struct pbx *p, const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_RECORD_ROUTE);
    struct str v;
    struct buf b;
    char *mem =
        sip_msg_has(m, SIP_H_RECORD_ROUTE) ? arena_take(&p->turn, SUBSCRIPTION_TEXT_MAX) : NULL;
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, SUBSCRIPTION_TEXT_MAX);
    while (sip_values_next(&it, &v)) {
        if (b.n)
            buf_lit(&b, ", ");
        sip_put_unfolded(&b, v);
    }
    return b.full ? STR_NONE : buf_str(&b);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* The 200; the engine adds a Contact. The NOTIFY follows it (RFC 6665 section 4.2.1.2). */
static int accept(const struct ask *a)
{
    char mem[24];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, a->expires_s);
    struct sip_field field = {.id = SIP_H_EXPIRES, .value = buf_str(&b)};
    struct sip_answer answer = {.status = 200, .content = {.field = &field, .n_fields = 1}};
    return sip_respond(a->p->core, a->p->now, a->o->txn, &answer);
}

/* Where the subscriber is, by its latest SUBSCRIBE. */
static void note_flow(struct subscription *s, const struct ask *a)
{
    s->flow = a->o->flow;
    s->pinned = sip_is_pinned(a->m, &a->o->flow);
    s->remote_cseq = a->m->cseq.number;
}

/* Accepted: for a while, or for the one NOTIFY of a fetch or of the end (4.4.3). */
static void answer(const struct ask *a, struct subscription *s)
{
    struct pbx *p = a->p;
    if (accept(a)) {
        subscription_free(p, s);
        return;
    }
    if (!a->expires_s) {
        subscription_end(p, s, SUBSCRIPTION_TIMEOUT);
        return;
    }
    subscription_live(p, s, a->expires_s);
    subscription_tell(p, s, true);
}

/* ---- a new one ------------------------------------------------------------------------------- */

static unsigned over_limit(const struct ask *a)
{
    struct pbx *p = a->p;
    const struct config_limits *limits = &p->config->limits;
    struct str which = STR_NONE;
    unsigned status = 0;
    if (subscription_count(p) >= limits->subscriptions) {
        which = STR("limits.subscriptions");
        status = 503;
    } else if (subscription_count_by(p, a->who->number) >= limits->subscriptions_per_extension) {
        which = STR("limits.subscriptions_per_extension");
        status = 403;
    }
    if (status)
        trace_emit(&p->trace, TRACE_RX_LIMIT, 0, TS(a->who->number), TS(which));
    return status;
}

static unsigned begin(const struct ask *a)
{
    struct pbx *p = a->p;
    const struct sip_msg *m = a->m;
    struct subscription_texts t = {.call_id = m->call_id,
                                   .local = sip_msg_get(m, SIP_H_TO),
                                   .remote = sip_msg_get(m, SIP_H_FROM),
                                   .remote_tag = m->from.tag.p ? m->from.tag : STR(""),
                                   .target = m->contact.uri.whole,
                                   .route = subscription_route(p, m),
                                   .owner = a->who->number,
                                   .event_id = a->event_id};
    unsigned status = a->package->accept(p, a->who, &m->ruri, &t.resource);
    status = status ? status : over_limit(a);
    if (status)
        return status;
    bool lost_route = sip_msg_has(m, SIP_H_RECORD_ROUTE) && !t.route.n;
    if (!t.target.n || lost_route || t.local.n > SUBSCRIPTION_LOCAL_MAX ||
        t.event_id.n > EVENT_ID_MAX ||
        t.call_id.n + t.local.n + t.remote.n + t.target.n + t.route.n > SUBSCRIPTION_TEXT_MAX)
        return 400;
    t.local_tag = a->leg ? m->to.tag : sip_txn_local_tag(p->core, a->o->txn);
    struct subscription *s = t.local_tag.n ? subscription_new(p, a->package, &t) : NULL;
    if (!s)
        return 503;
    if (a->leg) {
        s->leg = slot_handle(&p->calls->legs, a->leg);
        p->subscriptions->inside++;
    }
    note_flow(s, a);
    if (a->expires_s)
        trace_emit(&p->trace, TRACE_SUBSCRIBED, 0, TS(s->owner), TS(a->package->name),
                   TU(a->expires_s));
    answer(a, s);
    return 0;
}

/* ---- one that exists ------------------------------------------------------------------------- */

/* Dialog, package and id name it. RFC 6665 section 4.2.1, 8.2.1. */
static struct subscription *find(const struct ask *a)
{
    const struct hash_table *t = &a->p->subscriptions->by_tag;
    const struct sip_msg *m = a->m;
    hash_each(node, t, hash_str(t, m->to.tag))
    {
        struct subscription *s = container_of(node, struct subscription, by_tag);
        if (!s->ending && s->package == a->package && str_eq(s->local_tag, m->to.tag) &&
            str_eq(s->call_id, m->call_id) && str_eq(s->remote_tag, m->from.tag) &&
            str_eq(s->event_id, a->event_id))
            return s;
    }
    return NULL;
}

/* Refreshes it or ends it. */
static unsigned again(const struct ask *a)
{
    struct pbx *p = a->p;
    struct subscription *s = find(a);
    struct str target = a->m->contact.uri.whole;
    if (!s)
        return 481;
    if (!str_eq(s->owner, a->who->number))
        return 403;
    if (a->m->cseq.number < s->remote_cseq)
        return 500; /* RFC 3261 12.2.2: out of order */
    if (target.n > SUBSCRIPTION_TEXT_MAX)
        return 400;
    if (target.n && !str_eq(target, s->target) && pbx_keep(p, &s->target, target))
        return 503;
    note_flow(s, a);
    answer(a, s);
    return 0;
}

/* ---- the request ----------------------------------------------------------------------------- */

/* Who is it? false: that has been answered. */
static bool authenticate(struct ask *a)
{
    struct gate_who who = gate_check(a->p, a->o);
    a->who = who.extension;
    if (who.trunk)
        refuse(a, 403, SIP_H_OTHER, STR_NONE); /* a gateway has nothing to learn here */
    return who.extension != NULL;
}

static unsigned run(struct ask *a)
{
    unsigned status = read_expires(a);
    if (status)
        return status;
    if (!accepts(a->m, a->package->type))
        return 406;
    /* Inside a call it is a new one if it is not known (RFC 5057 section 3). */
    return a->m->to.tag.n && (!a->leg || find(a)) ? again(a) : begin(a);
}

static void finish(const struct ask *a, unsigned status)
{
    struct pbx *p = a->p;
    if (status == 423)
        refuse_number(a, 423, SIP_H_MIN_EXPIRES, p->config->sip.timers.subscribe_min_ms / 1000);
    else if (status == 503)
        refuse_number(a, 503, SIP_H_RETRY_AFTER, RETRY_S);
    else if (status == 406)
        refuse(a, 406, SIP_H_ACCEPT, a->package->type);
    else if (status)
        refuse(a, status, SIP_H_OTHER, STR_NONE);
}

bool subscription_rx_inside(struct pbx *p, const struct leg *leg, const struct sip_out *o)
{
    struct ask a = {.p = p, .o = o, .m = o->msg, .leg = leg};
    read_event(&a);
    if (!a.package)
        return false;
    if (leg->extension)
        a.who = config_find_extension(p->config, leg->extension->number);
    finish(&a, a.who && !p->stopping ? run(&a) : 403);
    return true;
}

void subscription_rx(struct pbx *p, const struct sip_out *o)
{
    struct ask a = {.p = p, .o = o, .m = o->msg};
    read_event(&a);
    if (p->stopping) {
        refuse_number(&a, 503, SIP_H_RETRY_AFTER, RETRY_S);
        return;
    }
    if (!a.package) { /* RFC 3515 section 2.4.4: only a REFER subscribes to itself */
        struct str event = sip_msg_get(a.m, SIP_H_EVENT);
        bool refer = str_eq(str_sub(event, 0, 5), STR("refer"));
        if (refer && (event.n == 5 || event.p[5] == ';' || event.p[5] == ' '))
            refuse(&a, a.m->to.tag.n ? 481 : 403, SIP_H_OTHER, STR_NONE);
        else
            refuse(&a, 489, SIP_H_ALLOW_EVENTS, subscription_events(p));
        return;
    }
    if (!authenticate(&a))
        return;
    finish(&a, run(&a));
}
