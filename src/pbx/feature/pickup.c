/* Pickup: the leg of who picks up takes the place of the one that rings. Both the caller and the
 * one who picks up have made an offer; each gets an answer that fits the other's. */
#include "pbx/feature/pickup.h"

#include "pbx/feature/code.h"
#include "pbx/feature/conference.h"
#include "pbx/feature/dial.h"
#include "pbx/feature/refer.h"
#include "pbx/feature/transfer.h"
#include "wire/sip/multipart.h"

#define ELSEWHERE "SIP;cause=200;text=\"Call completed elsewhere\""

/* ---- what rings ------------------------------------------------------------------------------ */

static bool may_pick_up(const struct config_extension *who, const struct config_extension *whose)
{
    return whose && whose != who && !str_eq(who->number, whose->number) && who->pickup_group.n &&
           str_eq(who->pickup_group, whose->pickup_group);
}

static bool is_ringing(const struct leg *leg)
{
    return leg_is_calling(leg) && leg->state == LEG_RINGING && leg->extension;
}

struct wanted {
    const struct config_extension *who;
    struct str number; /* none: anybody of the group */
    bool newest;
    bool forbidden; /* something rings there, but not for this one */
};

/* The ringing leg that is meant; NULL. */
static struct leg *find_ringing(struct pbx *p, struct wanted *w)
{
    struct leg *found = NULL, *leg;
    uint32_t at = 0;
    handle_t h;
    while ((leg = slot_next(&p->calls->legs, &at, &h))) {
        if (!is_ringing(leg) || (w->number.n && !str_eq(leg->extension->number, w->number)))
            continue;
        if (!may_pick_up(w->who, leg->extension)) {
            w->forbidden |= w->number.n != 0;
            continue;
        }
        if (!found || (leg->started < found->started) != w->newest)
            found = leg;
    }
    return found;
}

/* ---- taking the place ------------------------------------------------------------------------ */

static struct str asserted(struct pbx *p, const struct leg *caller)
{
    return caller->anonymous ? STR_NONE : leg_identity(p, caller);
}

/* 200 to one whose INVITE waits. body none: an answer given before holds. */
static int accept(struct pbx *p, struct leg *leg, struct str body, struct str identity)
{
    struct sip_field field = {.id = SIP_H_P_ASSERTED_IDENTITY, .value = identity};
    struct sip_answer a = {.status = 200,
                           .content = {.field = &field,
                                       .n_fields = identity.n ? 1 : 0,
                                       .type = body.n ? STR("application/sdp") : STR_NONE,
                                       .body = body}};
    if (leg->offer.n)
        leg_tx_answer(p, leg, body);
    else if (body.n)
        leg_tx_offer(p, leg, body); /* the ACK answers it */
    leg->joined = p->now;
    return sip_accept(p->core, p->now, leg->session, &a);
}

/* The answer for `to`, whose offer we have, that makes it understand `other`. Late offer: an offer
 * made from what the other can do. 0 or a status. */
static unsigned answer_for(struct pbx *p, struct leg *to, struct leg *other, struct str *body)
{
    const struct sdp *offer = leg_sdp_kept(p, to->offer);
    const struct sdp *theirs = leg_sdp_kept(p, leg_latest(other));
    int err = offer                            ? transcode_cross(p, to, offer, theirs, body)
              : theirs || !leg_latest(other).n ? leg_offer_third(p, to, other, true, body)
                                               : -ENOENT;
    if (!err && offer)
        leg_set_remote(p, to, offer);
    return err == -ENOENT ? 488 : err == -EAGAIN ? 503 : err ? 500 : 0;
}

static void note(struct pbx *p, struct call *call, const struct leg *picker,
                 const struct leg *instead)
{
    struct str dialled = call_find(p, picker->call)->cdr.dialled;
    struct buf b;
    size_t cap = 6 * (picker->party.n + instead->party.n + dialled.n) + 96;
    char *mem = arena_take(&p->turn, cap);
    call->scenario = SCENARIO_PICKUP;
    cdr_keep(p, call, &call->cdr.dialled, dialled);
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_lit(&b, "{\"event\":\"pickup\",\"by\":\"");
    buf_json(&b, picker->party);
    buf_lit(&b, "\",\"instead_of\":\"");
    buf_json(&b, instead->party);
    buf_lit(&b, "\",\"dialled\":\"");
    buf_json(&b, dialled);
    buf_lit(&b, "\"}");
    cdr_note(p, call, buf_str(&b));
}

/* The picker's leg goes to the call, on the side of `instead`; its own call is dissolved. */
static int take_place(struct pbx *p, struct leg *picker, struct call *call, unsigned side,
                      const struct leg *instead)
{
    struct call *own = call_find(p, picker->call);
    if (call->n_legs >= CALL_MAX_LEGS)
        return -EAGAIN;
    note(p, call, picker, instead);
    if (call_move_leg(p, picker, call))
        BUG_ON(true); /* there was room */
    call_set_party(p, call, side, picker);
    call_dissolve(p, own);
    return 0;
}

/* The caller waits, `ringing` is one of those who are called for it. */
static void pick_up(struct pbx *p, struct leg *picker, struct leg *ringing)
{
    struct call *call = call_find(p, ringing->call), *own = call_find(p, picker->call);
    struct dial *d = dial_of(p, call);
    struct leg *owner = leg_find(p, d->owner);
    struct str for_owner = STR_NONE, for_picker;
    bool waits = d->purpose == DIAL_CALL;
    /* A reliable provisional has dealt with the media: the 200 does not again. */
    bool told = owner->settled || leg_awaits_answer(owner);
    unsigned side = d->side, status = answer_for(p, picker, owner, &for_picker);
    if (!status && waits && !told)
        status = answer_for(p, owner, picker, &for_owner);
    if (!status && take_place(p, picker, call, side, ringing))
        status = 503;
    if (status) {
        dial_refuse(p, own, status);
        return;
    }
    handle_t transfer = d->transfer;
    call_trace(p, call, TRACE_CALL_PICKED_UP, picker->party);
    (void)accept(p, picker, for_picker, asserted(p, owner));
    dial_drop(p, d, NULL, STR(ELSEWHERE));
    dial_stop(p, call);
    dial_note_answer(p, call, picker, leg_sdp_kept(p, leg_latest(picker)));
    if (d->purpose == DIAL_ROOM) {
        conference_answered(p, call, picker);
        return;
    }
    if (!waits) {
        transfer_answered(p, transfer, picker);
        join_legs(p, owner, picker);
        return;
    }
    call_enter(p, call, CALL_ANSWERING);
    bridge_link(p, owner, picker);
    if (accept(p, owner, for_owner, STR_NONE))
        dial_refuse(p, call, 500);
}

void pickup_dialled(struct pbx *p, struct call *call, struct str number)
{
    struct leg *picker = call_caller(p, call);
    struct wanted w = {.who = picker->extension,
                       .number = number,
                       .newest = p->config->features.pickup_order == CONF_PICKUP_NEWEST};
    struct leg *ringing = find_ringing(p, &w);
    if (ringing)
        pick_up(p, picker, ringing);
    else if (w.forbidden || (!number.n && !picker->extension->pickup_group.n))
        dial_refuse(p, call, 403);
    else
        code_refuse(p, call, STR("No call to pick up"));
}

/* ---- Replaces (RFC 3891) --------------------------------------------------------------------- */

/* A party that talks is replaced: the other one goes on with who has come. */
static void replace(struct pbx *p, struct leg *comes, struct leg *goes)
{
    struct call *call = call_find(p, goes->call), *own = call_find(p, comes->call);
    struct leg *stays = call_other(p, call, goes);
    unsigned side = call->party[1] == slot_handle(&p->calls->legs, goes);
    struct str body;
    unsigned status = !stays || dial_of(p, call) ? 481 : answer_for(p, comes, stays, &body);
    if (!status && take_place(p, comes, call, side, goes))
        status = 503;
    if (status) {
        dial_refuse(p, own, status);
        return;
    }
    (void)accept(p, comes, body, asserted(p, stays));
    call_drop_leg(p, goes, STR("SIP;cause=200;text=\"Replaced\""));
    join_legs(p, stays, comes);
}

bool pickup_may_replace(const struct leg *comes, const struct leg *goes)
{
    const struct config_extension *e = comes->extension, *theirs = goes->extension;
    return e && theirs && (str_eq(theirs->number, e->number) || may_pick_up(e, theirs));
}

/* RFC 3891 section 3: which status a Replaces gets that cannot be followed. */
static unsigned replaces_refusal(struct pbx *p, const struct leg *comes, struct leg *goes,
                                 const struct sip_dialog_found *found, bool early_only)
{
    if (!goes || goes == comes)
        return 481;
    struct call *call = call_find(p, goes->call);
    if (found->ended || call->state == CALL_ENDING)
        return 603;
    if (!pickup_may_replace(comes, goes))
        return 403;
    if (found->early) /* only one that we have begun: a caller cannot be replaced before it talks */
        return found->uac && leg_is_calling(goes) && dial_of(p, call) ? 0 : 481;
    if (early_only)
        return 486;
    if (!leg_same_user(comes, goes)) /* who picks up takes what rings, and nothing that talks */
        return 403;
    return call_is_party(p, call, goes) ? 0 : 481;
}

void pickup_replaces(struct pbx *p, struct call *call, const struct sip_msg *m)
{
    struct leg *comes = call_caller(p, call);
    struct sip_dialog_found found;
    struct replaces rep;
    if (replaces_in(&rep, m, SIP_H_REPLACES)) {
        dial_refuse(p, call, 400);
        return;
    }
    if (!sip_dialog_lookup(p->core, &rep.id, &found)) {
        dial_refuse(p, call, 481);
        return;
    }
    struct leg *goes = leg_of_user(p, found.user);
    unsigned status = replaces_refusal(p, comes, goes, &found, rep.early_only);
    if (status)
        dial_refuse(p, call, status);
    else if (found.early)
        pick_up(p, comes, goes);
    else
        replace(p, comes, goes);
}
