/* Calls with a mailbox: how they begin and end, and who of the two kinds hears what. */
#include "pbx/feature/voicemail_int.h"

#include "base/mem.h"
#include "pbx/feature/transfer.h"

static const struct vm_does *does(const struct vm_session *s)
{
    return s->kind == VM_LEAVE ? &vm_leave_does : &vm_listen_does;
}

struct vm_session *vm_session_find(struct pbx *p, handle_t h)
{
    return slot_find(&p->voicemail->sessions, h);
}

static struct vm_session *session_of(struct pbx *p, const struct call *call)
{
    return vm_session_find(p, call->service_state);
}

struct vm_box *vm_box_of(struct pbx *p, const struct vm_session *s)
{
    if (!s->number.n)
        return NULL; /* and for what somebody types none is made */
    return vm_owner(p, s->number) ? vm_box_get(p, s->number) : vm_box_find(p, s->number);
}

static void late(struct pbx *p, struct pbx_timer *t)
{
    struct vm_session *s = container_of(t, struct vm_session, timer);
    does(s)->late(p, s);
}

struct leg *vm_leg(struct pbx *p, const struct vm_session *s)
{
    return leg_find(p, s->leg);
}

/* The exchange has answered: from now on there is a session. */
static struct vm_session *begin(struct pbx *p, struct leg *leg, enum vm_kind kind,
                                struct str number)
{
    handle_t h;
    struct call *call = call_find(p, leg->call);
    struct vm_session *s = slot_take(&p->voicemail->sessions, &h);
    if (!s)
        return NULL;
    s->self = h;
    s->call = call->self;
    s->leg = slot_handle(&p->calls->legs, leg);
    s->kind = (uint8_t)kind;
    s->timer.fire = late;
    call->service_state = h;
    if (pbx_keep(p, &s->number, number.n ? number : STR_NONE))
        s->number = STR_NONE; /* as if it had not been said */
    return s;
}

/* RFC 3261 20.26: the caller's own word for how it should be taken. */
static bool is_urgent(struct pbx *p, const struct dial *d)
{
    struct sip_msg *m = arena_take(&p->turn, sizeof(*m));
    if (!m || !d->invite.n || sip_msg_parse(m, d->invite.p, d->invite.n, false) != SIP_OK)
        return false;
    struct str priority = str_trim(sip_msg_get(m, SIP_H_PRIORITY));
    return str_ieq(priority, STR("urgent")) || str_ieq(priority, STR("emergency"));
}

static void leave(struct pbx *p, struct dial *d, struct str number)
{
    struct call *call = call_find(p, d->call);
    bool urgent = is_urgent(p, d);
    dial_stop(p, call);
    call_set_party(p, call, 1, NULL);
    if (!service_answer(p, call, SERVICE_VOICEMAIL))
        return;
    struct vm_session *s = begin(p, call_caller(p, call), VM_LEAVE, number);
    call->scenario = SCENARIO_VOICEMAIL;
    cdr_keep(p, call, &call->cdr.answered_by, STR(VOICEMAIL_WORD));
    if (s)
        s->urgent = urgent;
}

/* A party that is up, and for whom nobody else has answered, takes the place of who transfers it.
 */
static void leave_transferred(struct pbx *p, struct dial *d, struct str number)
{
    struct call *call = call_find(p, d->call);
    struct leg *owner = leg_find(p, d->owner), *before = leg_find(p, call->party[d->side]);
    handle_t transfer = d->transfer;
    if (before)
        before->left = p->now;
    transfer_answered(p, transfer, owner);
    call_set_party(p, call, d->side, NULL);
    dial_stop(p, call);
    service_take(p, call, owner, SERVICE_VOICEMAIL);
    (void)begin(p, owner, VM_LEAVE, number);
    service_up(p, call);
}

void voicemail_leave(struct pbx *p, struct dial *d, const struct target *t)
{
    struct leg *owner = leg_find(p, d->owner);
    struct str number = pbx_turn_dup(p, t->extension->number); /* the search has its text */
    if (d->purpose == DIAL_CALL)
        leave(p, d, number);
    else if (leg_has_agreed(owner) && sound_stream(owner))
        leave_transferred(p, d, number);
    else
        dial_skip(p, d, t, 480);
}

void voicemail_listen(struct pbx *p, struct call *call, struct str number)
{
    const struct config_extension *who = call_caller(p, call)->extension;
    struct str own = who && vm_owner(p, who->number) ? pbx_turn_dup(p, who->number) : STR_NONE;
    struct str box = number.p ? pbx_turn_dup(p, number) : own;
    if (!service_answer(p, call, SERVICE_VOICEMAIL))
        return;
    struct vm_session *s = begin(p, call_caller(p, call), VM_LISTEN, box);
    cdr_keep(p, call, &call->cdr.answered_by, STR(VOICEMAIL_WORD));
    if (box.n)
        cdr_keep(p, call, &call->cdr.callee, box);
    if (s)
        s->own = own.n && str_eq(own, box);
}

/* ---- what is said ---------------------------------------------------------------------------- */

void vm_say(struct pbx *p, struct vm_session *s, const struct vm_say *say)
{
    s->token = s->token == UINT32_MAX ? 1 : s->token + 1;
    pbx_timer_stop(p, &s->timer);
    for (unsigned i = 0; i <= say->n; i++) {
        struct sound_list l = say->part[i];
        l.append = i > 0;
        l.token = i == say->n ? s->token : 0;
        sound_play(p, vm_leg(p, s), &l);
    }
}

void vm_say_prompt(struct pbx *p, struct vm_session *s, enum prompt prompt)
{
    struct vm_say say = {.n = 0};
    say_prompt(p, &say, prompt);
    vm_say(p, s, &say);
}

void vm_hush(struct pbx *p, struct vm_session *s)
{
    s->token = s->token == UINT32_MAX ? 1 : s->token + 1;
    sound_stop(p, vm_leg(p, s));
}

void vm_hang_up(struct pbx *p, struct vm_session *s)
{
    service_hang_up(p, call_find(p, s->call));
}

/* ---- the service ----------------------------------------------------------------------------- */

static void up(struct pbx *p, struct call *call)
{
    struct vm_session *s = session_of(p, call);
    if (s && sound_stream(vm_leg(p, s)))
        does(s)->up(p, s);
    else
        service_hang_up(p, call);
}

static void key(struct pbx *p, struct call *call, char digit)
{
    struct vm_session *s = session_of(p, call);
    if (s)
        does(s)->key(p, s, digit);
}

static void played(struct pbx *p, struct call *call, uint32_t token)
{
    struct vm_session *s = session_of(p, call);
    if (s && token == s->token)
        does(s)->said(p, s);
}

static void talks(struct pbx *p, struct call *call, bool on)
{
    struct vm_session *s = session_of(p, call);
    if (s)
        vm_take_talks(p, s, on);
}

/* A party that has given up its audio can neither hear nor say anything. */
static void changed(struct pbx *p, struct call *call)
{
    struct vm_session *s = session_of(p, call);
    if (s && call->state == CALL_UP && !sound_stream(vm_leg(p, s)))
        service_hang_up(p, call);
}

static void session_free(struct pbx *p, struct vm_session *s)
{
    pbx_timer_stop(p, &s->timer);
    mem_free(s->list);
    BUG_ON(pbx_keep(p, &s->number, STR_NONE)); /* freeing cannot fail */
    slot_put(&p->voicemail->sessions, s->self);
}

void vm_sessions_free(struct pbx *p)
{
    uint32_t at = 0;
    handle_t h;
    struct vm_session *s;
    while (p->voicemail->sessions.mem && (s = slot_next(&p->voicemail->sessions, &at, &h)))
        session_free(p, s);
}

/* Who hangs up has left a message as well as who presses a key. */
static void over(struct pbx *p, struct call *call)
{
    struct vm_session *s = session_of(p, call);
    call->service_state = 0;
    if (!s)
        return;
    (void)vm_take_end(p, s, s->kind == VM_LISTEN);
    if (s->clip)
        vm_hush(p, s);
    vm_clip_drop(p, s);
    if (does(s)->over)
        does(s)->over(p, s);
    session_free(p, s);
}

const struct service service_voicemail = {
    .up = up, .key = key, .played = played, .talks = talks, .changed = changed, .over = over};
