/* Forwarding: an extension's call goes on to another number. The caller hears 181; the next target
 * reads in Diversion (RFC 5806) and History-Info (RFC 7044) whose call it was. */
#include "pbx/feature/dial.h"
#include "pbx/feature/setting.h"
#include "pbx/feature/voicebot.h"
#include "pbx/feature/voicemail.h"

/* Has the call been at this extension before? */
static bool is_loop(const struct dial *d, const struct plan *plan)
{
    if (plan->kind != PLAN_EXTENSION)
        return false;
    for (unsigned i = 0; i < d->n_diverted; i++)
        if (str_eq(d->diverted[i].number, plan->extension->number))
            return true;
    return false;
}

static void tell_caller(struct pbx *p, struct dial *d)
{
    struct sip_answer a = {.status = 181};
    struct leg *owner = leg_find(p, d->owner);
    if (d->purpose == DIAL_CALL && !d->told_181)
        sip_progress(p->core, p->now, owner->session, &a);
    d->told_181 = true;
}

static void note(struct pbx *p, struct dial *d, const struct config_extension *e, struct str to,
                 enum diversion_reason reason)
{
    struct call *call = call_find(p, d->call);
    struct buf b;
    size_t cap = 6 * (e->number.n + to.n) + 96;
    char *mem = arena_take(&p->turn, cap);
    call_trace(p, call, TRACE_CALL_FORWARDED, to);
    if (call->scenario == SCENARIO_BASIC)
        call->scenario = SCENARIO_FORWARD;
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_lit(&b, "{\"event\":\"forward\",\"from\":\"");
    buf_json(&b, e->number);
    buf_lit(&b, "\",\"to\":\"");
    buf_json(&b, to);
    buf_lit(&b, "\",\"reason\":\"");
    buf_str_put(&b, diversion_reason_name(reason));
    buf_lit(&b, "\"}");
    cdr_note(p, call, buf_str(&b));
}

struct step {
    const struct config_extension *e; /* whose call it was */
    struct str number;                /* where it goes */
    enum diversion_reason reason;
    unsigned status; /* what has led to it; 0 */
};

/* 0, or why not: 482 for a loop. */
static unsigned go_on(struct pbx *p, struct dial *d, const struct step *s)
{
    struct plan_from from = {.config = d->config, .extension = s->e};
    struct plan plan = plan_forward(p, &from, s->number);
    struct diversion v = {.reason = (uint8_t)s->reason, .status = (uint16_t)s->status};
    if (d->hops >= d->config->limits.forwards)
        return 482;
    if (pbx_keep(p, &v.number, s->e->number))
        return 500;
    if (d->n_diverted < DIAL_MAX_DIVERTED)
        d->diverted[d->n_diverted++] = v;
    else if (pbx_keep(p, &v.number, STR_NONE))
        BUG_ON(true); /* freeing cannot fail */
    if (is_loop(d, &plan))
        return 482;
    d->hops++;
    unsigned status = dial_add(p, d, &plan);
    if (status)
        return status;
    d->from = from;
    note(p, d, s->e, s->number, s->reason);
    tell_caller(p, d);
    return 0;
}

static bool has_rung(struct pbx *p, const struct dial *d, const struct config_extension *e)
{
    struct leg *leg = NULL;
    while ((leg = call_next(call_find(p, d->call), leg)))
        if (leg->dial == d->self && leg->extension == e && leg->status >= 180)
            return true;
    return false;
}

unsigned forward_failed(struct pbx *p, struct dial *d, unsigned status)
{
    const struct config_extension *e = d->alone;
    struct step s = {.e = e, .status = status};
    if (!e)
        return status;
    d->alone = NULL; /* once */
    if (status == 486 || status == 600 || status == 603) {
        s.number = setting_get(p, e, SETTING_FORWARD_BUSY);
        s.reason = setting_get(p, e, SETTING_DND).n ? DIVERSION_DND : DIVERSION_USER_BUSY;
    } else if (status == 408 && has_rung(p, d, e)) {
        s.number = setting_get(p, e, SETTING_FORWARD_NO_ANSWER);
        s.reason = DIVERSION_NO_ANSWER;
    } else if (status == 480 || status == 408 || status >= 500) {
        s.number = setting_get(p, e, SETTING_FORWARD_UNREGISTERED);
        s.reason = DIVERSION_UNAVAILABLE;
    }
    if (!s.number.n && s.reason && voicebot_instead(p, d, e, status, s.reason))
        return 0;
    if (!s.number.n && s.reason && e->voicemail)
        s.number = STR(VOICEMAIL_WORD);
    if (!s.number.n)
        return status;
    unsigned err = go_on(p, d, &s);
    d->verdict = err == 482 ? err : d->verdict;
    return err ? status : 0;
}

bool forward_before(struct pbx *p, struct dial *d, const struct target *t)
{
    const struct config_extension *e = t->extension;
    struct step s = {.e = e,
                     .number = setting_get(p, e, SETTING_FORWARD_ALWAYS),
                     .reason = DIVERSION_UNCONDITIONAL};
    unsigned status = 480;
    if (s.number.n) {
        status = t->of_group ? 480 : go_on(p, d, &s);
        if (!status)
            return true;
        d->verdict = status == 482 ? status : d->verdict;
    } else if (voicebot_before(p, d, t)) {
        return true;
    } else if (setting_get(p, e, SETTING_DND).n) {
        d->alone = t->of_group ? NULL : e;
        status = 486;
        if (!forward_failed(p, d, 486))
            return true;
    } else {
        return false;
    }
    dial_skip(p, d, t, status);
    return true;
}

/* ---- 3xx ------------------------------------------------------------------------------------- */

/* A gateway names another one: its URI is called as it is. One with our own name would come back to
 * us; and of sip and sips neither leads to the other (RFC 5630 section 5.3). */
static bool other_gateway(struct pbx *p, struct dial *d, const struct leg *leg,
                          const struct sip_uri *uri)
{
    struct target t = {.kind = TARGET_CONTACT, .trunk = leg->trunk};
    enum proto proto;
    bool sip = uri->scheme == SIP_SCHEME_SIP || uri->scheme == SIP_SCHEME_SIPS;
    bool same = leg->to_sips == (uri->scheme == SIP_SCHEME_SIPS);
    if (!sip || !same || sip_uri_proto(uri, &proto) || !dial_put(p, d, &t, uri->whole))
        return false;
    d->hops++;
    return true;
}

static unsigned redirect_to(struct pbx *p, struct dial *d, const struct leg *leg,
                            struct str contact)
{
    struct sip_nameaddr na;
    if (sip_nameaddr_parse(&na, contact))
        return 502;
    if (leg->trunk)
        return other_gateway(p, d, leg, &na.uri) ? 0 : 502;
    struct str user = sip_unescape(&p->turn, na.uri.user);
    struct step s = {
        .e = leg->extension, .number = user, .reason = DIVERSION_DEFLECTION, .status = leg->status};
    return user.n ? go_on(p, d, &s) : 502;
}

#define REDIRECT_MAX 4

/* The contacts of a 3xx, best q first (RFC 3261 8.1.3.4). */
static unsigned contacts_by_q(const struct sip_msg *m, struct str contact[REDIRECT_MAX])
{
    uint16_t q[REDIRECT_MAX];
    unsigned n = 0;
    struct str one;
    struct sip_values it = sip_values(m, SIP_H_CONTACT);
    while (n < REDIRECT_MAX && sip_values_next(&it, &one)) {
        struct sip_nameaddr na;
        uint16_t value = 1000;
        if (sip_nameaddr_parse(&na, one) == 0 &&
            sip_q_parse(&value, sip_param_get(na.params, STR("q"))))
            value = 1000;
        unsigned at = n++;
        for (; at > 0 && q[at - 1] < value; at--) {
            q[at] = q[at - 1];
            contact[at] = contact[at - 1];
        }
        q[at] = value;
        contact[at] = one;
    }
    return n;
}

unsigned forward_redirected(struct pbx *p, struct dial *d, const struct leg *leg,
                            const struct sip_msg *m)
{
    struct str contact[REDIRECT_MAX];
    unsigned n = contacts_by_q(m, contact), status = 480;
    if (d->hops >= d->config->limits.forwards)
        return 482;
    d->alone = NULL;
    bool any = false;
    while (n--) { /* the first one is put last, in front */
        unsigned err = redirect_to(p, d, leg, contact[n]);
        any |= !err;
        status = err ? err : status;
    }
    return any ? 0 : status;
}
