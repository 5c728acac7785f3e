/* From a target to legs: the contacts of an extension, the members of a group, a gateway. */
#include "pbx/feature/queue.h"
#include "pbx/feature/voicebot.h"
#include "pbx/feature/voicemail.h"

#include "pbx/registrar.h"
#include "pbx/trunk.h"

#define MAX_CONTACTS 10

/* ---- an extension ---------------------------------------------------------------------------- */

/* Contacts of lower preference wait until those of the highest have failed (RFC 3261 16.6); in a
 * group all ring together. Returns how many were called. */
static unsigned call_contacts(struct pbx *p, struct dial *d, const struct target *t)
{
    const struct binding *b[MAX_CONTACTS];
    unsigned n = registrar_find(p, t->extension, b, ARRAY_LEN(b)), sent = 0;
    struct leg *owner = leg_find(p, d->owner);
    int q = -1;
    for (unsigned i = 0; i < n; i++) {
        if (t->q_below && b[i]->q >= t->q_below)
            continue;
        if (q >= 0 && b[i]->q < q && !t->of_group) {
            struct target rest = *t;
            rest.q_below = (uint16_t)q;
            (void)dial_put(p, d, &rest, STR_NONE); /* no room: they are not tried */
            break;
        }
        if (owner->secure && !registrar_is_sips(b[i])) { /* RFC 5630 5.3: no downgrade */
            owner->sips_missed = true;
            continue;
        }
        struct leg like = {.extension = t->extension};
        struct str route;
        q = q < 0 ? b[i]->q : q;
        registrar_reach(p, b[i], &like.flow, &route);
        sent += dial_leg(p, d, &like, registrar_target(p, b[i], owner->secure), route);
    }
    return sent;
}

static void start_extension(struct pbx *p, struct dial *d, const struct target *t)
{
    const struct config_extension *e = t->extension;
    bool first = !t->q_below;
    if (first && forward_before(p, d, t))
        return;
    if (!t->of_group)
        d->alone = e;
    d->ring = t->ring > d->ring ? t->ring : d->ring;
    if (!t->of_group && e->forward.no_answer.n && !d->ring)
        d->ring = e->forward.timeout_ms * USEC_MS;
    unsigned status = 480, legs = call_find(p, d->call)->last_leg;
    if (first && extension_is_busy(p, e))
        status = 486;
    else if (call_contacts(p, d, t)) {
        if (first && !t->of_group)
            voicebot_watch(p, d, t);
        return;
    }
    if (!t->of_group && !forward_failed(p, d, status))
        return;
    if (call_find(p, d->call)->last_leg == legs) /* none was even begun */
        dial_skip(p, d, t, status);
}

/* ---- a group --------------------------------------------------------------------------------- */

static void start_member(struct pbx *p, struct dial *d, const struct target *t, unsigned i)
{
    struct target member = {
        .kind = TARGET_EXTENSION,
        .of_group = true,
        .ring = t->group->ring_time_ms * USEC_MS,
        .extension = config_find_extension(d->config, t->group->members.v[i]),
    };
    const struct leg *owner = leg_find(p, d->owner);
    bool self = member.extension && owner->extension &&
                str_eq(member.extension->number, owner->extension->number);
    if (member.extension && !self) /* nobody rings for himself */
        start_extension(p, d, &member);
}

/* It waits; when it has waited too long, the group's no_answer number is next. */
static void start_queue(struct pbx *p, struct dial *d, const struct target *t)
{
    struct target rest = *t;
    d->failure = 486;
    rest.member = UINT16_MAX;
    if (t->group->no_answer.n || t->group->bot.n)
        (void)dial_put(p, d, &rest, STR_NONE);
    (void)queue_enter(p, d, t->group); /* full: what is next, or 486 */
}

static void start_members(struct pbx *p, struct dial *d, const struct target *t)
{
    const struct config_group *g = t->group;
    unsigned i = t->member;
    struct plan_from from = {.config = d->config};
    /* A member of a queue speaks for itself alone: the caller goes on waiting. */
    d->ignore_6xx = g->ignore_6xx || g->strategy == CONF_STRATEGY_QUEUE;
    if (i == 0 && voicebot_before(p, d, t))
        return;
    if (i >= g->members.n && !g->no_answer.n) {
        if (!t->no_bot)
            voicebot_of_group(p, d, g);
        return;
    }
    if (i >= g->members.n) { /* all have been tried */
        if (d->hops++ >= d->config->limits.forwards) {
            d->verdict = 482;
            return;
        }
        d->from = from; /* the group's own right to dial, not the caller's */
        struct plan plan = plan_number(p, &d->from, g->no_answer);
        d->failure = dial_add(p, d, &plan);
        return;
    }
    struct target rest = *t;
    if (g->strategy == CONF_STRATEGY_QUEUE) {
        start_queue(p, d, t);
        return;
    }
    if (g->strategy == CONF_STRATEGY_PARALLEL) {
        while (i < g->members.n)
            start_member(p, d, t, i++);
    } else {
        start_member(p, d, t, i++);
    }
    rest.member = (uint16_t)i;
    if (i < g->members.n || g->no_answer.n || g->bot.n)
        (void)dial_put(p, d, &rest, STR_NONE); /* its own slot has just become free */
}

/* ---- a gateway ------------------------------------------------------------------------------- */

/* The number at the trunk's host: sip:0212345678@gw.example.net:5080;transport=tcp */
static struct str trunk_uri(struct pbx *p, const struct config_trunk *t, struct str number)
{
    struct sip_uri uri;
    struct buf b;
    size_t cap = t->uri.n + 3 * number.n + 8;
    char *mem = arena_take(&p->turn, cap);
    if (!mem || sip_uri_parse(&uri, t->uri))
        return STR_NONE;
    buf_init(&b, mem, cap);
    buf_str_put(&b, uri.scheme_text);
    buf_ch(&b, ':');
    sip_escape_user(&b, number);
    buf_ch(&b, '@');
    buf_str_put(&b, uri.host);
    if (uri.port) {
        buf_ch(&b, ':');
        buf_u64(&b, uri.port);
    }
    if (uri.params.n) {
        buf_ch(&b, ';');
        buf_str_put(&b, uri.params);
    }
    return buf_str(&b);
}

/* Where it goes: an address of the gateway, or that of the URI which it has named. */
static bool reach(struct pbx *p, struct dial *d, const struct target *t, struct flow *flow,
                  unsigned *at)
{
    if (t->kind == TARGET_CONTACT)
        return contact_flow(p, d, t, flow);
    return trunk_dest_next(p, t->trunk, at, flow) == 0;
}

static void start_trunk(struct pbx *p, struct dial *d, const struct target *t)
{
    struct leg like = {.trunk = t->trunk};
    if (t->kind == TARGET_TRUNK)
        like.party = t->number;
    struct str number = trunk_number(p, t->number, t->trunk->strip, t->trunk->prepend);
    struct str uri = t->kind == TARGET_CONTACT ? t->number : trunk_uri(p, t->trunk, number);
    struct call *call = call_find(p, d->call);
    struct leg *owner = leg_find(p, d->owner);
    unsigned legs = call->last_leg;
    if (owner->secure && !str_istarts(uri, STR("sips:"))) { /* RFC 5630 5.3: no downgrade */
        owner->sips_missed = true;
        dial_skip(p, d, t, 480);
        return;
    }
    unsigned at = t->address;
    if (!uri.n || !reach(p, d, t, &like.flow, &at)) {
        if (!d->naming) /* it is told later where that is */
            dial_skip(p, d, t, t->kind == TARGET_CONTACT ? 502 : 503);
        return;
    }
    like.to_sips = str_istarts(uri, STR("sips:"));
    like.elsewhere = t->kind == TARGET_CONTACT;
    d->ring = t->ring;
    cdr_keep(p, call, &call->cdr.trunk_out, t->trunk->name);
    struct target next = *t;
    struct flow flow;
    next.address = (uint8_t)++at;
    if (t->kind == TARGET_TRUNK && !trunk_dest_next(p, t->trunk, &at, &flow) &&
        dial_put(p, d, &next, t->number) && !d->ring)
        d->ring = d->config->trunk.failover_ms * USEC_MS; /* silence must leave time for it */
    if (dial_leg(p, d, &like, uri, STR_NONE))
        d->trunk = t->trunk;
    else if (call->last_leg == legs)
        dial_skip(p, d, t, 503);
}

void target_start(struct pbx *p, struct dial *d, const struct target *t)
{
    switch ((enum target_kind)t->kind) {
    case TARGET_EXTENSION:
        start_extension(p, d, t);
        break;
    case TARGET_MEMBERS:
        start_members(p, d, t);
        break;
    case TARGET_TRUNK:
    case TARGET_CONTACT:
        start_trunk(p, d, t);
        break;
    case TARGET_MAILBOX:
        voicemail_leave(p, d, t);
        break;
    case TARGET_BOT:
        voicebot_start(p, d, t);
        break;
    case TARGET_NONE:
        break;
    }
}
