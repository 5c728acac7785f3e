/* The way into a room, and the keys that are pressed there. */
#include "pbx/feature/conference_int.h"

#define FIRST_DIGIT (12 * USEC_S) /* for the first digit of a PIN, the prompt included */
#define NEXT_DIGIT  (5 * USEC_S)
#define PIN_TRIES   3 /* in one call */
#define PIN_GUESSES                                                                                \
    10 /* of one extension, or of all trunks for one room, before they are locked out */
#define STAR (3 * USEC_S) /* "*" and the digit behind it belong together */

/* ---- the door -------------------------------------------------------------------------------- */

static bool asks_pin(const struct room *room)
{
    return room->conf && (room->conf->pin.n || room->conf->moderator_pin.n);
}

static void ask(struct pbx *p, struct member *m, bool wrong)
{
    struct sound_list l = {0};
    m->state = MEMBER_ASKED;
    m->n_digits = 0;
    if (wrong)
        sound_prompt(p, &l, PROMPT_CONF_PIN_WRONG);
    sound_prompt(p, &l, PROMPT_CONF_PIN);
    sound_play(p, leg_find(p, m->leg), &l);
    pbx_timer_start(p, &m->timer, FIRST_DIGIT);
}

static void wait(struct pbx *p, struct member *m)
{
    struct leg *leg = leg_find(p, m->leg);
    struct sound_list music = {.loop = true, .append = true};
    m->state = MEMBER_WAITING;
    member_say(p, m, PROMPT_CONF_WAIT);
    sound_clip(&music, SOUND_MUSIC);
    sound_play(p, leg, &music);
    m->changed = ++p->conferences->changes;
    room_changed(p, member_room(p, m));
}

/* It has the right PIN, or needs none. */
static void let_in(struct pbx *p, struct member *m)
{
    struct room *room = member_room(p, m);
    pbx_timer_stop(p, &m->timer);
    if (room->ending) {
        member_send_off(p, m, PROMPT_CONF_ENDED);
    } else if (room->locked && !m->moderator && !m->counted) {
        member_send_off(p, m, PROMPT_CONF_IS_LOCKED);
    } else if (!m->counted && !room_has_place(room)) {
        member_send_off(p, m, PROMPT_CONF_FULL);
    } else {
        member_count(p, m);
        bool waits = room->conf && room->conf->wait_for_moderator && !m->moderator;
        if (waits && !room_has_moderator(room))
            wait(p, m);
        else
            member_enter(p, m);
    }
}

void conference_admit(struct pbx *p, struct member *m)
{
    const struct room *room = member_room(p, m);
    if (!m->trusted && asks_pin(room))
        ask(p, m, false);
    else
        let_in(p, m);
}

/* ---- the PIN --------------------------------------------------------------------------------- */

/* Every digit is looked at, however many are right: the time tells nothing. */
static bool same_digits(struct str pin, struct str said)
{
    unsigned differ = pin.n != said.n;
    for (size_t i = 0; i < said.n; i++)
        differ |= (unsigned)(said.p[i] ^ (i < pin.n ? pin.p[i] : 0));
    return pin.n && !differ;
}

/* An extension answers for what it types itself; numbers of callers from outside prove nothing. */
static struct pin_guard *guard_of(struct pbx *p, const struct member *m)
{
    const struct leg *leg = leg_find(p, m->leg);
    struct extension_use *use = leg->extension ? extension_use(p, leg->extension) : NULL;
    return use ? &use->pins : room_outside(p, member_room(p, m));
}

/* What was typed lets in, perhaps as the moderator. */
static bool is_right(struct pbx *p, struct member *m)
{
    const struct config_conference *conf = member_room(p, m)->conf;
    struct str said = str_of(m->digits, m->n_digits);
    struct pin_guard *guard = guard_of(p, m);
    bool locked = pin_is_locked(guard, p->now);
    bool moderator = conf && same_digits(conf->moderator_pin, said);
    bool member = conf && same_digits(conf->pin, said);
    m->moderator = moderator && !locked;
    if (!conf || (!conf->pin.n && !said.n)) /* where only the moderator has a PIN */
        return true;
    if (!moderator && !member && said.n)
        pin_wrong(guard, p->now, PIN_GUESSES);
    return !locked && (moderator || member);
}

static void check(struct pbx *p, struct member *m)
{
    if (is_right(p, m))
        let_in(p, m);
    else if (++m->tries >= PIN_TRIES)
        member_send_off(p, m, PROMPT_CONF_PIN_WRONG);
    else
        ask(p, m, true);
}

void conference_asked(struct pbx *p, struct member *m)
{
    if (m->state == MEMBER_ASKED)
        check(p, m);
}

static void digit(struct pbx *p, struct member *m, char key)
{
    sound_stop(p, leg_find(p, m->leg));
    if (key == '#') {
        check(p, m);
        return;
    }
    if (key == '*')
        m->n_digits = 0; /* begun anew */
    else
        m->digits[m->n_digits++] = key;
    if (m->n_digits == sizeof(m->digits))
        check(p, m);
    else
        pbx_timer_start(p, &m->timer, NEXT_DIGIT);
}

/* ---- keys inside ----------------------------------------------------------------------------- */

static bool is_plain(const struct member *m, const struct member *self)
{
    return m != self && m->state == MEMBER_INSIDE && !m->moderator;
}

/* All who are no moderators; if they are mute already, they may speak again. */
static void mute_others(struct pbx *p, struct member *self)
{
    struct room *room = member_room(p, self);
    struct member *m = NULL;
    bool mute = false;
    while ((m = room_next(room, m)))
        mute |= is_plain(m, self) && !m->muted;
    while ((m = room_next(room, m)))
        if (is_plain(m, self))
            member_mute(p, m, mute);
    member_say(p, self, mute ? PROMPT_CONF_ALL_MUTED : PROMPT_CONF_ALL_UNMUTED);
}

static void remove_last(struct pbx *p, struct member *self)
{
    struct member *m = NULL, *last = NULL;
    while ((m = room_next(member_room(p, self), m)))
        if (is_plain(m, self) && (!last || m->came >= last->came))
            last = m;
    if (last)
        member_send_off(p, last, PROMPT_CONF_KICKED);
}

static void moderator_key(struct pbx *p, struct member *m, char key)
{
    struct room *room = member_room(p, m);
    switch (key) {
    case '2':
        room_lock(p, room, !room->locked);
        member_say(p, m, room->locked ? PROMPT_CONF_LOCKED : PROMPT_CONF_UNLOCKED);
        break;
    case '3':
        mute_others(p, m);
        break;
    case '4':
        remove_last(p, m);
        break;
    case '0':
        room_end(p, room);
        break;
    default:
        break;
    }
}

/* Only what stands behind a star is for us. */
static void inside_key(struct pbx *p, struct member *m, char key)
{
    bool behind = m->star_at && p->now - m->star_at <= STAR;
    m->star_at = key == '*' ? p->now : 0;
    if (!behind || key == '*')
        return;
    if (key == '1') {
        member_mute(p, m, !m->muted);
        member_say(p, m, m->muted ? PROMPT_CONF_MUTED : PROMPT_CONF_UNMUTED);
    } else if (m->moderator) {
        moderator_key(p, m, key);
    }
}

/* ---- the service ----------------------------------------------------------------------------- */

static void conference_up(struct pbx *p, struct call *call)
{
    struct member *m = member_of_call(p, call);
    if (m && m->state == MEMBER_NEW)
        conference_admit(p, m);
}

static void conference_key(struct pbx *p, struct call *call, char key)
{
    struct member *m = member_of_call(p, call);
    if (m && m->state == MEMBER_ASKED)
        digit(p, m, key);
    else if (m && m->state == MEMBER_INSIDE)
        inside_key(p, m, key);
}

static void conference_played(struct pbx *p, struct call *call, uint32_t token)
{
    struct member *m = member_of_call(p, call);
    if (m && m->state == MEMBER_LEAVING && token)
        service_hang_up(p, call);
}

static void conference_talks(struct pbx *p, struct call *call, bool talks)
{
    struct member *m = member_of_call(p, call);
    if (!m || m->talks == talks)
        return;
    m->talks = talks;
    m->talks_since = p->now;
}

static void conference_changed(struct pbx *p, struct call *call)
{
    struct member *m = member_of_call(p, call);
    if (m)
        member_refresh(p, m);
}

static void conference_over(struct pbx *p, struct call *call)
{
    struct member *m = slot_find(&p->conferences->members, call->service_state);
    call->service_state = 0;
    if (m)
        member_free(p, m);
}

const struct service service_conference = {.up = conference_up,
                                           .key = conference_key,
                                           .played = conference_played,
                                           .talks = conference_talks,
                                           .changed = conference_changed,
                                           .over = conference_over};

/* ---- dialled --------------------------------------------------------------------------------- */

bool conference_answer(struct pbx *p, struct call *call, struct room *room)
{
    (void)sip_session_set_focus(p->core, p->now, call_caller(p, call)->session, room->number);
    cdr_keep(p, call, &call->cdr.answered_by, room->number);
    if (!service_answer(p, call, SERVICE_CONFERENCE))
        return false;
    call->scenario = SCENARIO_CONFERENCE;
    return true;
}

static struct member *enrol(struct pbx *p, struct call *call, struct room *room)
{
    struct member *m = room ? member_new(p, room, call, call_caller(p, call)) : NULL;
    if (!m) {
        if (room)
            room_put(p, room);
        dial_refuse(p, call, 503);
    }
    return m;
}

void conference_dialled(struct pbx *p, struct call *call, const struct plan *plan)
{
    struct room *room =
        plan->conference ? room_get(p, plan->conference) : room_find(p, plan->number);
    if (enrol(p, call, room))
        (void)conference_answer(p, call, room);
}

void conference_open(struct pbx *p, struct call *call)
{
    struct room *room = room_new(p);
    struct member *m = enrol(p, call, room);
    if (!m)
        return;
    m->moderator = m->trusted = true;
    member_count(p, m);
    (void)conference_answer(p, call, room);
}
