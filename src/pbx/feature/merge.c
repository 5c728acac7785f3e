/* Rooms made of calls: by a feature code, by Join (RFC 3911), by transfer. Parties leave the calls
 * of two that they are in and hear no click: nobody is sent a re-INVITE. */
#include "pbx/feature/conference_int.h"

#include "pbx/feature/code.h"
#include "pbx/feature/pickup.h"
#include "pbx/record.h"

#define CLEARING  "Q.850;cause=16;text=\"Normal call clearing\""
#define TAKEN_MAX 8 /* calls that one code gathers */

/* May this party go into a room now? */
static bool is_ready(struct pbx *p, struct call *call, const struct leg *leg)
{
    return call->state == CALL_UP && call->service == SERVICE_NONE && !call->transfer &&
           !dial_of(p, call) && leg->state != LEG_ENDED && !leg->reinvite && leg_has_agreed(leg);
}

/* The party is alone in its call, whose other party goes, and hears nothing for now. */
static void stand_alone(struct pbx *p, struct call *call, struct leg *stays)
{
    struct leg *other = call_other(p, call, stays);
    unsigned side = call->party[1] == slot_handle(&p->calls->legs, stays);
    recording_call_over(p, call); /* the room has a recording of its own */
    bridge_abandon(p, stays);
    bridge_unlink(p, stays);
    call_set_party(p, call, 1 - side, NULL);
    if (other)
        other->left = other->left ? other->left : p->now;
    leg_follow_hold(p, stays, NULL);
}

unsigned merge_party(struct pbx *p, struct call *call, struct leg *stays, struct room *room,
                     bool trusted)
{
    if (!room_has_place(room) || (room->locked && !trusted))
        return 486;
    struct member *m = member_new(p, room, call, stays);
    if (!m)
        return 503;
    (void)sip_session_set_focus(p->core, p->now, stays->session, room->number);
    stand_alone(p, call, stays);
    m->trusted = trusted;
    call_enter(p, call, CALL_UP);
    conference_admit(p, m);
    return 0;
}

unsigned conference_take(struct pbx *p, struct call *call, struct leg *stays,
                         const struct plan *plan)
{
    struct room *room =
        plan->conference ? room_get(p, plan->conference) : room_find(p, plan->number);
    if (!room)
        return 503;
    handle_t self = room->self;
    unsigned status = merge_party(p, call, stays, room, false);
    room = slot_find(&p->conferences->rooms, self);
    if (status && room)
        room_put(p, room);
    return status;
}

unsigned merge_other(struct pbx *p, struct leg *leg, struct room *room)
{
    struct call *call = call_find(p, leg->call);
    struct leg *other = call_other(p, call, leg);
    if (!other || !is_ready(p, call, leg) || !is_ready(p, call, other))
        return 480;
    unsigned status = merge_party(p, call, other, room, true);
    if (!status)
        call_drop_leg(p, leg, STR(CLEARING));
    return status;
}

unsigned conference_take_place(struct pbx *p, struct leg *asks, struct leg *stays,
                               struct leg *replaced)
{
    struct call *call = call_find(p, asks->call);
    struct call *theirs = call_find(p, replaced->call);
    struct member *m = member_of_call(p, theirs);
    if (!m || m->state != MEMBER_INSIDE || leg_find(p, m->leg) != replaced)
        return 480;
    if (!leg_same_user(asks, replaced)) /* it opens the room without a PIN: one gives one's own */
        return 403;
    struct room *room = member_room(p, m);
    room->n_counted--; /* it goes as soon as the other one is there */
    m->counted = false;
    unsigned status = merge_party(p, call, stays, room, true);
    member_count(p, m);
    if (!status)
        service_hang_up(p, theirs);
    return status;
}

/* ---- the code -------------------------------------------------------------------------------- */

/* The calls that an extension is in, with its legs. */
struct gathered {
    unsigned n;
    struct {
        handle_t call, leg;
    } v[TAKEN_MAX];
    struct room *room; /* one of them is a conference already */
};

static void gather(struct pbx *p, const struct leg *of, struct gathered *g)
{
    uint32_t at = 0;
    handle_t h;
    struct leg *leg;
    while (g->n < TAKEN_MAX && (leg = slot_next(&p->calls->legs, &at, &h))) {
        struct call *call = call_find(p, leg->call);
        if (leg == of || !leg->extension || leg->state == LEG_ENDED ||
            !str_eq(leg->extension->number, of->extension->number))
            continue;
        struct member *m = member_of_call(p, call);
        struct leg *other = call_other(p, call, leg);
        bool inside = m && m->leg == h && m->state == MEMBER_INSIDE && !member_room(p, m)->conf;
        if (!inside && (!other || !is_ready(p, call, other) || !is_ready(p, call, leg)))
            continue;
        if (inside && g->room && member_room(p, m) != g->room)
            continue; /* two rooms are not made one */
        g->room = inside ? member_room(p, m) : g->room;
        g->v[g->n].call = call->self;
        g->v[g->n++].leg = h;
    }
}

/* The other party of each call goes into the room; the legs of who has asked are hung up. A room of
 * its own that it was in goes on. */
static void take_all(struct pbx *p, const struct gathered *g, struct room *room)
{
    for (unsigned i = 0; i < g->n; i++) {
        struct call *call = call_find(p, g->v[i].call);
        struct leg *leg = leg_find(p, g->v[i].leg);
        if (call && leg && call->service == SERVICE_NONE && merge_other(p, leg, room))
            call_trace(p, call, TRACE_CALL_ROOM, STR("none"));
    }
    for (unsigned i = 0; i < g->n; i++) {
        struct call *call = call_find(p, g->v[i].call);
        if (call && member_of_call(p, call) && member_of_call(p, call)->leg == g->v[i].leg)
            service_hang_up(p, call);
    }
}

void conference_of_calls(struct pbx *p, struct call *call)
{
    struct leg *leg = call_caller(p, call);
    struct gathered g = {0};
    gather(p, leg, &g);
    if (!g.n) {
        code_refuse(p, call, STR("No call to make a conference of"));
        return;
    }
    struct room *room = g.room ? g.room : room_new(p);
    bool full = room && !room_has_place(room);
    struct member *m = room && !full ? member_new(p, room, call, leg) : NULL;
    if (!m) {
        if (room)
            room_put(p, room);
        dial_refuse(p, call, full ? 486 : 503);
        return;
    }
    m->moderator = m->trusted = true;
    member_count(p, m);
    if (conference_answer(p, call, room))
        take_all(p, &g, room);
}

/* ---- Join: RFC 3911 -------------------------------------------------------------------------- */

/* A call of its own for one of the two parties of a call. NULL: no room for it. */
static struct call *split(struct pbx *p, struct call *call, struct leg *leg)
{
    struct call *own = call_new_empty(p);
    if (!own)
        return NULL;
    if (call_move_leg(p, leg, own))
        BUG_ON(true); /* it has no legs yet */
    own->caller = own->party[0] = slot_handle(&p->calls->legs, leg);
    memcpy(own->cdr.parent, call->cdr.id, sizeof(own->cdr.parent));
    own->cdr.has_parent = true;
    own->cdr.answered = p->now;
    own->cdr.answer_ms = pbx_wall_ms(p);
    leg->joined = p->now;
    cdr_keep(p, own, &own->cdr.caller, leg->party);
    cdr_keep(p, own, &own->cdr.caller_name, leg->name);
    cdr_keep(p, own, &own->cdr.dialled, call->cdr.dialled);
    return own;
}

/* Can a call of two become a room? */
static bool can_open_up(struct pbx *p, struct call *call, const struct leg *leg)
{
    const struct leg *other = call_other(p, call, leg);
    return other && is_ready(p, call, leg) && is_ready(p, call, other);
}

/* Both are in the room then, each in a call of its own. */
static bool open_up(struct pbx *p, struct call *call, struct leg *leg, struct room *room)
{
    struct leg *other = call_other(p, call, leg);
    unsigned side = call->party[1] == slot_handle(&p->calls->legs, leg);
    struct leg *goes = side ? leg : other; /* who was called gets the new call */
    struct leg *stays = side ? other : leg;
    struct call *own = split(p, call, goes);
    if (!own)
        return false; /* they go on as they were */
    leg_follow_hold(p, goes, NULL);
    unsigned status = merge_party(p, call, stays, room, true);
    status = status ? status : merge_party(p, own, goes, room, true);
    if (status) { /* no memory: nobody would talk with this one */
        struct call_ending e = {.by = CALL_BY_SYSTEM, .status = status};
        call_end(p, own, &e);
    }
    return status == 0;
}

/* A trunk joins nothing: it has no users of ours. */
static bool may_join(struct pbx *p, const struct leg *comes, const struct leg *named)
{
    bool own = comes->extension && leg_same_user(comes, named);
    return own || (p->config->features.join == CONF_JOIN_GROUP && pickup_may_replace(comes, named));
}

static unsigned join_refusal(struct pbx *p, const struct leg *comes, struct leg *named,
                             const struct sip_dialog_found *found)
{
    if (!named || named == comes)
        return 481;
    struct call *call = call_find(p, named->call);
    if (found->ended || call->state == CALL_ENDING)
        return 603;
    if (!may_join(p, comes, named))
        return 403;
    if (found->early || call->state != CALL_UP || !call_is_party(p, call, named))
        return 488; /* section 4: what we cannot satisfy */
    const struct member *there = member_of_call(p, call);
    if (there)
        return there->state != MEMBER_INSIDE            ? 488
               : member_room(p, there)->locked          ? 486
               : !room_has_place(member_room(p, there)) ? 486
                                                        : 0;
    return call->service != SERVICE_NONE ? 488 : can_open_up(p, call, named) ? 0 : 491;
}

/* The dialog that a Join names; NULL and a status. */
static struct leg *joined_leg(struct pbx *p, const struct leg *comes, const struct sip_msg *m,
                              unsigned *status)
{
    struct sip_dialog_found found;
    struct replaces join;
    *status = 400;
    if (sip_msg_has(m, SIP_H_REPLACES) || replaces_in(&join, m, SIP_H_JOIN))
        return NULL;
    *status = 481;
    if (!sip_dialog_lookup(p->core, &join.id, &found))
        return NULL;
    struct leg *leg = leg_of_user(p, found.user);
    *status = join_refusal(p, comes, leg, &found);
    return leg;
}

bool conference_join(struct pbx *p, struct call *call, const struct sip_msg *m)
{
    struct leg *comes = call_caller(p, call);
    struct plan_from from = {p->config, comes->extension, comes->trunk};
    unsigned status;
    struct leg *named = joined_leg(p, comes, m, &status);
    if (status == 481 && plan_find(p, &from, &m->ruri).kind == PLAN_CONFERENCE)
        return false; /* section 4: it has called the room itself */
    if (status) {
        dial_refuse(p, call, status);
        return true;
    }
    handle_t theirs = named->call;
    struct member *there = member_of_call(p, call_find(p, theirs));
    struct room *room = there ? member_room(p, there) : room_new(p);
    struct member *own = room ? member_new(p, room, call, comes) : NULL;
    if (!own) {
        if (room)
            room_put(p, room);
        dial_refuse(p, call, 503);
        return true;
    }
    own->trusted = leg_same_user(comes, named); /* a colleague is asked for the PIN of a room */
    member_count(p, own);
    bool answered = conference_answer(p, call, room);
    /* Refused for its media, it leaves the others as they were. */
    if (!there && answered && !open_up(p, call_find(p, theirs), named, room))
        service_hang_up(p, call);
    return true;
}
