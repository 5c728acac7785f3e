/* The focus: who is named in a REFER to it, or by an operator, is called and becomes a member, or
 * is removed. RFC 4579 sections 5.4 to 5.11. */
#include "pbx/feature/conference_int.h"
#include "pbx/feature/transfer.h"
#include "pbx/gate.h"

/* Whoever has asked for this one hears what has become of it. */
static void tell(struct pbx *p, struct member *m, unsigned status)
{
    struct transfer *t = slot_find(&p->calls->transfers, m->transfer);
    m->transfer = 0;
    if (t)
        transfer_over(p, t, status);
}

void focus_forget(struct pbx *p, struct member *m)
{
    tell(p, m, 487);
}

/* ---- calling --------------------------------------------------------------------------------- */

/* In the place of a caller stands the room: a leg without a session, for whom somebody is sought.
 */
static struct leg *stand_in(struct pbx *p, struct call *call, const struct room *room,
                            const struct config_extension *by)
{
    handle_t h;
    struct leg *leg = leg_new(p, call, &h);
    struct str name = room_name(room);
    if (!leg)
        return NULL;
    leg->state = LEG_ENDED;
    leg->extension = by ? config_find_extension(call->config, by->number) : NULL;
    call->caller = call->party[0] = h;
    cdr_keep(p, call, &call->cdr.caller, room->number);
    cdr_keep(p, call, &call->cdr.caller_name, name);
    return leg_set_party(p, leg, room->number, name.n ? name : STR("Conference")) ? NULL : leg;
}

static struct member *prepare(struct pbx *p, struct room *room, const struct focus_call *f,
                              const struct plan *plan)
{
    struct call *call = call_new_empty(p);
    struct str who = plan->extension ? plan->extension->number : plan->number;
    struct str name = plan->extension && plan->extension->name.n ? plan->extension->name : who;
    struct member *m = NULL;
    if (!call)
        return NULL;
    if (stand_in(p, call, room, f->by))
        m = member_new(p, room, call, NULL);
    if (!m || pbx_keep(p, &m->who, who) || pbx_keep(p, &m->name, name)) {
        service_over(p, call);
        call_free_empty(p, call);
        return NULL;
    }
    cdr_keep(p, call, &call->cdr.dialled, plan->number);
    cdr_keep(p, call, &call->cdr.callee, who);
    m->state = MEMBER_CALLED;
    m->trusted = true;
    m->transfer = f->transfer;
    member_count(p, m);
    return m;
}

static unsigned refusal(const struct room *room, const struct plan *plan)
{
    bool queue = plan->group && plan->group->strategy == CONF_STRATEGY_QUEUE;
    if (plan->kind == PLAN_NONE || plan->kind == PLAN_REJECT)
        return plan->status;
    if (plan->kind == PLAN_FEATURE || plan->kind == PLAN_CONFERENCE || queue)
        return 403; /* nobody is there who could come */
    return room_has_place(room) ? 0 : 486;
}

unsigned focus_invite(struct pbx *p, struct room *room, const struct focus_call *f)
{
    struct plan_from from = {.config = p->config};
    if (f->by)
        from.extension = config_find_extension(p->config, f->by->number);
    if (f->by && !from.extension)
        return 403; /* gone from the configuration: the rights of the exchange are not its own */
    struct plan plan =
        f->target ? plan_find(p, &from, f->target) : plan_number(p, &from, f->number);
    unsigned status = refusal(room, &plan);
    if (status)
        return status;
    handle_t self = room->self;
    struct member *m = prepare(p, room, f, &plan);
    if (!m) {
        room = slot_find(&p->conferences->rooms, self);
        if (room)
            room_put(p, room);
        return 503;
    }
    struct call *call = call_find(p, m->call);
    struct dial *d = dial_new(p, call, DIAL_ROOM, 1);
    call_enter(p, call, CALL_TRYING);
    m->changed = ++p->conferences->changes;
    room_changed(p, room);
    status = d ? 0 : 503;
    if (d) {
        d->from = from;
        /* RFC 3892 section 2.2: it must be passed on as it is. */
        bool lost = pbx_keep(p, &d->referred_by, f->referred_by);
        status = lost ? 503 : dial_add(p, d, &plan);
    }
    if (status)
        conference_failed(p, call, status);
    else
        dial_run(p, d);
    return 0; /* what becomes of it is told later */
}

unsigned conference_invite(struct pbx *p, struct str number, struct str target)
{
    struct room *room = room_find(p, number);
    const struct config_conference *conf = config_find_conference(p->config, number);
    struct focus_call f = {.number = target};
    if (!room && conf)
        room = room_get(p, conf);
    if (!room)
        return conf ? 503 : 404;
    handle_t self = room->self;
    unsigned status = focus_invite(p, room, &f);
    room = slot_find(&p->conferences->rooms, self);
    if (status && room)
        room_put(p, room);
    return status;
}

void conference_progress(struct pbx *p, struct call *call, unsigned status)
{
    struct member *m = member_of_call(p, call);
    struct transfer *t = m ? slot_find(&p->calls->transfers, m->transfer) : NULL;
    if (!m || status != 180 || m->rings)
        return;
    m->rings = true;
    m->changed = ++p->conferences->changes;
    room_changed(p, member_room(p, m));
    if (t)
        transfer_notify(p, t, 180, NULL);
}

void conference_answered(struct pbx *p, struct call *call, struct leg *leg)
{
    struct member *m = member_of_call(p, call);
    call_set_party(p, call, 0, NULL);
    call_enter(p, call, CALL_UP);
    if (!m)
        return;
    m->leg = slot_handle(&p->calls->legs, leg);
    leg_keep(p, leg, &m->who, leg->party);
    leg_keep(p, leg, &m->name, leg->name.n ? leg->name : leg->party);
    tell(p, m, 200);
    conference_admit(p, m);
}

void conference_failed(struct pbx *p, struct call *call, unsigned status)
{
    struct member *m = member_of_call(p, call);
    struct call_ending e = {.by = CALL_BY_SYSTEM, .status = status};
    if (m)
        tell(p, m, status);
    call_end(p, call, &e);
    call_free_empty(p, call);
}

/* ---- REFER ----------------------------------------------------------------------------------- */

/* The member that a URI names: by its user part. */
static struct member *named(struct pbx *p, const struct room *room, const struct sip_uri *uri)
{
    struct str user = sip_unescape(&p->turn, uri->user);
    struct member *m = NULL;
    while (user.n && (m = room_next(room, m))) {
        const struct leg *leg = leg_find(p, m->leg);
        bool its_user = leg && leg->extension && str_eq(leg->extension->username, user);
        if ((m->state == MEMBER_INSIDE || m->state == MEMBER_CALLED) &&
            (its_user || str_eq(m->who, user)))
            return m;
    }
    return NULL;
}

static unsigned remove_named(struct pbx *p, struct member *self, const struct sip_uri *uri)
{
    struct member *m = named(p, member_room(p, self), uri);
    if (!m)
        return 404;
    if (m != self && !self->moderator)
        return 403;
    member_send_off(p, m, PROMPT_CONF_KICKED);
    return 200;
}

/* Refer-To with Replaces: a call of two that the member is in is brought along (section 5.6). */
static unsigned bring_call(struct pbx *p, struct member *self, const struct refer *r)
{
    struct replaces rep;
    struct sip_dialog_found found;
    const struct leg *own = leg_find(p, self->leg);
    if (replaces_parse(&rep, r->replaces))
        return 400;
    if (!sip_dialog_lookup(p->core, &rep.id, &found) || found.ended || found.early)
        return 481;
    struct leg *leg = leg_of_user(p, found.user);
    if (!leg || !leg->extension || !own->extension ||
        !str_eq(leg->extension->number, own->extension->number))
        return 403;
    return merge_other(p, leg, member_room(p, self));
}

static void follow(struct pbx *p, struct member *self, struct transfer *t, const struct refer *r)
{
    struct room *room = member_room(p, self);
    const struct leg *own = leg_find(p, self->leg);
    struct focus_call f = {.by = own->extension,
                           .target = &r->target,
                           .transfer = t->self,
                           .referred_by = r->referred_by};
    handle_t told = t->self;
    unsigned status;
    transfer_notify(p, t, 100, NULL);
    if (r->bye) {
        status = remove_named(p, self, &r->target);
    } else if (r->replaces.n) {
        status = bring_call(p, self, r);
        status = status ? status : 200;
    } else {
        status = focus_invite(p, room, &f);
    }
    t = slot_find(&p->calls->transfers, told);
    if (status && t)
        transfer_over(p, t, status);
}

static void referred(struct pbx *p, struct member *self, const struct sip_out *o, bool outside)
{
    struct leg *leg = leg_find(p, self->leg);
    struct refer r;
    unsigned status = refer_parse(p, o->msg, &r);
    status = status            ? status
             : !leg->extension ? 403 /* a gateway may not have others called */
             : leg->transfer   ? 491
                               : 0;
    struct transfer *t = status ? NULL : transfer_begin(p, leg, o, &r, outside);
    if (status)
        pbx_respond(p, o->txn, status);
    else if (t)
        follow(p, self, t, &r);
}

void conference_refer(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct member *m = member_of_call(p, call_find(p, leg->call));
    if (m && m->state == MEMBER_INSIDE)
        referred(p, m, o, false);
    else
        pbx_respond(p, o->txn, 480);
}

bool conference_refer_outside(struct pbx *p, const struct sip_out *o)
{
    const struct sip_uri *uri = &o->msg->ruri;
    struct str user = sip_unescape(&p->turn, uri->user);
    struct room *room = user.n && pbx_is_our_host(p, uri) ? room_find(p, user) : NULL;
    if (!room || sip_msg_has(o->msg, SIP_H_TARGET_DIALOG))
        return false;
    struct gate_who who = gate_check(p, o);
    if (!who.extension && !who.trunk)
        return true; /* answered by the gate */
    struct member *m = who.extension ? room_member_of(p, room, who.extension) : NULL;
    if (m)
        referred(p, m, o, true);
    else
        pbx_respond(p, o->txn, 403);
    return true;
}

/* ---- orders of an operator ------------------------------------------------------------------- */

static bool apply(struct pbx *p, struct member *m, struct str action)
{
    if (str_eq(action, STR("kick")))
        member_send_off(p, m, PROMPT_CONF_KICKED);
    else if (str_eq(action, STR("mute")) || str_eq(action, STR("unmute")))
        member_mute(p, m, str_eq(action, STR("mute")));
    else
        return false;
    return true;
}

static int to_members(struct pbx *p, struct room *room, struct str action, uint64_t number)
{
    struct member *one = number ? room_numbered(room, number) : NULL;
    if (number && !one)
        return -ENOENT;
    if (one)
        return apply(p, one, action) ? 0 : -EINVAL;
    if (str_eq(action, STR("kick"))) { /* the last one takes the room with it */
        room_end(p, room);
        return 0;
    }
    for (struct member *m = NULL; (m = room_next(room, m));)
        if (m->state == MEMBER_INSIDE && !apply(p, m, action))
            return -EINVAL;
    return 0;
}

int conference_command(struct pbx *p, struct str number, struct str action, uint64_t member)
{
    struct room *room = room_find(p, number);
    if (!room)
        return -ENOENT;
    if (str_eq(action, STR("lock")) || str_eq(action, STR("unlock")))
        room_lock(p, room, str_eq(action, STR("lock")));
    else if (str_eq(action, STR("end")))
        room_end(p, room);
    else
        return to_members(p, room, action, member);
    return 0;
}
