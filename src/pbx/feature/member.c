/* Members of a room: they come, hear each other, and go. */
#include "pbx/feature/conference_int.h"
#include "pbx/record.h"

#define SEND_OFF  (10 * USEC_S) /* the longest that a farewell may last */
#define FIT_AGAIN (2 * USEC_S)
#define FIT_TRIES 5

static bool is_heard(const struct room *room)
{
    struct member *m = NULL;
    while ((m = room_next(room, m)))
        if (m->stream)
            return true;
    return false;
}

/* One beep for who comes, two for who goes. */
static void beep(struct pbx *p, const struct room *room, unsigned times)
{
    struct sound_list l = {0};
    if (!is_heard(room) || room->ending || (room->conf && room->conf->announce == CONF_ROOM_SILENT))
        return;
    for (unsigned i = 0; i < times; i++) {
        sound_tone(p, &l, TONE_DIAL, 120);
        sound_silence(&l, 80);
    }
    sound_room(p, room->media, &l);
}

/* ---- recording ------------------------------------------------------------------------------- */

/* What the room's configuration says; if it says nothing, what the most demanding of its members
 * asks for: who is to be recorded is so in a room as well. */
static enum config_record mode_of(struct pbx *p, const struct room *room)
{
    unsigned own = room->conf ? room->conf->record : 0;
    enum config_record mode = (enum config_record)room->config->recording.mode;
    if (own)
        return (enum config_record)(own - 1);
    for (struct member *m = NULL; (m = room_next(room, m));) {
        const struct leg *leg = m->state == MEMBER_INSIDE ? leg_find(p, m->leg) : NULL;
        if (leg && leg->extension && config_record_of(leg->config, leg->extension) > mode)
            mode = config_record_of(leg->config, leg->extension);
    }
    return mode;
}

static struct str about(struct pbx *p, const struct room *room)
{
    struct buf b;
    size_t cap = 6 * (room->number.n + room_name(room).n) + 64;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    buf_lit(&b, "\"conference\":\"");
    buf_json(&b, room->number);
    buf_lit(&b, "\",\"name\":\"");
    buf_json(&b, room_name(room));
    buf_ch(&b, '"');
    return buf_str(&b);
}

static void record_all(struct pbx *p, struct room *room)
{
    for (struct member *m = NULL; (m = room_next(room, m));)
        if (m->state == MEMBER_INSIDE && m->stream)
            recording_add(p, room->record, leg_find(p, m->leg));
}

/* The recording begins with the first member who is to be recorded, and ends when nobody is inside
 * any more. */
static void record(struct pbx *p, struct room *room, struct leg *leg)
{
    if (room->record) {
        recording_add(p, room->record, leg);
        return;
    }
    enum config_record mode = mode_of(p, room);
    if (mode == CONF_RECORD_NONE)
        return;
    room->record = recording_begin(p, mode, true, room->number, about(p, room));
    if (room->record)
        record_all(p, room);
}

static void record_no_more(struct pbx *p, struct room *room, struct leg *leg)
{
    if (!room->record)
        return;
    if (leg && leg->record == room->record)
        recording_remove(p, leg);
    if (room->n_inside)
        return;
    recording_end(p, room->record);
    room->record = 0;
}

void conference_record_again(struct pbx *p, handle_t recording)
{
    uint32_t at = 0;
    handle_t h;
    for (struct room *room; (room = slot_next(&p->conferences->rooms, &at, &h));) {
        if (room->record != recording)
            continue;
        room->record = recording_begin(p, mode_of(p, room), true, room->number, about(p, room));
        if (room->record)
            record_all(p, room);
        return;
    }
}

/* ---- members --------------------------------------------------------------------------------- */

struct member *member_of_call(const struct pbx *p, const struct call *call)
{
    return call->service == SERVICE_CONFERENCE
               ? slot_find(&p->conferences->members, call->service_state)
               : NULL;
}

struct room *member_room(const struct pbx *p, const struct member *m)
{
    return slot_find(&p->conferences->rooms, m->room);
}

static void hang_up(struct pbx *p, struct member *m)
{
    struct call *call = call_find(p, m->call);
    struct call_ending e = {.by = CALL_BY_SYSTEM,
                            .status = call->cdr.answer_ms ? 200 : 487,
                            .cause = call->cdr.answer_ms ? 16 : 0};
    call_end(p, call, &e);
}

static void fit(struct pbx *p, struct member *m);

static void time_is_up(struct pbx *p, struct pbx_timer *t)
{
    struct member *m = container_of(t, struct member, timer);
    if (m->state == MEMBER_LEAVING)
        hang_up(p, m);
    else if (m->state == MEMBER_INSIDE)
        fit(p, m);
    else
        conference_asked(p, m);
}

/* The user part of its URI: nobody learns the number of one who hides. */
static int keep_names(struct pbx *p, struct member *m, const struct leg *leg)
{
    char mem[40];
    struct buf b;
    if (!leg)
        return 0;
    if (!leg->anonymous)
        return pbx_keep(p, &m->who, leg->party) ||
               pbx_keep(p, &m->name, leg->name.n ? leg->name : leg->party);
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "anonymous-");
    buf_u64(&b, m->number);
    return pbx_keep(p, &m->who, buf_str(&b)) || pbx_keep(p, &m->name, STR("Anonymous"));
}

struct member *member_new(struct pbx *p, struct room *room, struct call *call,
                          const struct leg *leg)
{
    handle_t h;
    struct member *m = slot_take(&p->conferences->members, &h);
    if (!m)
        return NULL;
    m->self = h;
    m->room = room->self;
    m->call = call->self;
    m->leg = leg ? slot_handle(&p->calls->legs, leg) : 0;
    m->timer.fire = time_is_up;
    m->number = ++room->last_member;
    if (keep_names(p, m, leg)) {
        room_free_text(p, &m->who);
        slot_put(&p->conferences->members, h);
        return NULL;
    }
    list_append(&room->members, &m->in_room);
    room->n_members++;
    call->service = SERVICE_CONFERENCE;
    call->service_state = h;
    call->scenario = SCENARIO_CONFERENCE;
    cdr_keep(p, call, &call->cdr.callee, room->number);
    return m;
}

bool member_is_shown(const struct member *m)
{
    return m->state >= MEMBER_CALLED && m->state <= MEMBER_INSIDE;
}

void member_count(struct pbx *p, struct member *m)
{
    if (!m->counted)
        member_room(p, m)->n_counted++;
    m->counted = true;
}

/* Its party speaks nothing that we can mix: it is asked for something else. */
static void fit(struct pbx *p, struct member *m)
{
    struct leg *leg = leg_find(p, m->leg);
    struct sip_content content = {.type = STR("application/sdp")};
    if (m->tries++ >= FIT_TRIES) {
        hang_up(p, m);
        return;
    }
    pbx_timer_start(p, &m->timer, FIT_AGAIN);
    if (!leg_has_agreed(leg) || leg->n_streams > 1 || leg_offer_own(p, leg, &content.body) ||
        sip_reinvite(p->core, p->now, leg->session, &content))
        return;
    leg->ask = ASK_JOIN;
    leg_tx_offer(p, leg, content.body);
}

void member_refresh(struct pbx *p, struct member *m)
{
    struct leg *leg = leg_find(p, m->leg);
    struct room *room = member_room(p, m);
    if (m->state != MEMBER_INSIDE)
        return;
    m->stream = sound_join(p, leg, room->media, m->muted);
    if (m->stream) {
        pbx_timer_stop(p, &m->timer);
        record(p, room, leg);
    } else if (!timer_armed(&m->timer.timer)) {
        pbx_timer_start(p, &m->timer, FIT_AGAIN);
    }
    m->changed = ++p->conferences->changes;
    subscription_changed(p, &conference_package, room->number);
}

/* Those who have waited for a moderator. */
static void let_in(struct pbx *p, struct room *room)
{
    for (struct member *m = room_next(room, NULL), *next; m; m = next) {
        next = room_next(room, m);
        if (m->state == MEMBER_WAITING)
            member_enter(p, m);
    }
}

void member_enter(struct pbx *p, struct member *m)
{
    struct room *room = member_room(p, m);
    struct leg *leg = leg_find(p, m->leg);
    bool first = room->n_inside == 0;
    pbx_timer_stop(p, &m->timer);
    beep(p, room, 1);
    m->state = MEMBER_INSIDE;
    m->came = p->now;
    m->tries = 0;
    room->n_inside++;
    room->had_two |= room->n_inside > 1;
    m->stream = sound_join(p, leg, room->media, m->muted);
    call_trace(p, call_find(p, m->call), TRACE_CALL_ROOM, room->number);
    if (m->stream)
        record(p, room, leg);
    if (!m->stream)
        fit(p, m);
    else if (first && room->conf && room->conf->announce == CONF_ROOM_TONES)
        member_say(p, m, PROMPT_CONF_ALONE);
    m->changed = ++p->conferences->changes;
    room_changed(p, room);
    if (m->moderator)
        let_in(p, room);
}

static void note(struct pbx *p, const struct member *m, const struct room *room)
{
    struct call *call = call_find(p, m->call);
    struct buf b;
    size_t cap = 6 * (room->number.n + room_name(room).n) + 160;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return;
    buf_init(&b, mem, cap);
    buf_lit(&b, "{\"event\":\"conference\",\"room\":\"");
    buf_json(&b, room->number);
    buf_lit(&b, "\",\"name\":\"");
    buf_json(&b, room_name(room));
    buf_lit(&b, "\",\"moderator\":");
    buf_z(&b, m->moderator ? "true" : "false");
    buf_lit(&b, ",\"from_ms\":");
    buf_u64(&b, (m->came - call->cdr.started) / USEC_MS);
    buf_lit(&b, ",\"to_ms\":");
    buf_u64(&b, (p->now - call->cdr.started) / USEC_MS);
    buf_ch(&b, '}');
    cdr_note(p, call, buf_str(&b));
}

/* Who has left is remembered for a while; the other phones of the same user tell of themselves. */
static void remember(struct pbx *p, struct room *room, const struct member *gone)
{
    uint64_t change = ++p->conferences->changes;
    struct member *m = NULL;
    unsigned i = room->n_gone++ % ROOM_GONE;
    room->gone[i].changed = change;
    if (pbx_keep(p, &room->gone[i].who, gone->who))
        room->born = change; /* no memory: everybody is told everything */
    while ((m = room_next(room, m)))
        if (m != gone && str_eq(m->who, gone->who))
            m->changed = change;
}

/* It has a place no more, and hears nobody. */
static void part(struct pbx *p, struct member *m)
{
    struct room *room = member_room(p, m);
    struct leg *leg = leg_find(p, m->leg);
    bool inside = m->state == MEMBER_INSIDE, shown = member_is_shown(m);
    room->n_counted -= m->counted;
    m->counted = false;
    m->state = MEMBER_LEAVING;
    pbx_timer_stop(p, &m->timer);
    if (inside) {
        room->n_inside--;
        if (leg && m->stream)
            sound_leave(p, leg, room->media);
        m->stream = 0;
        record_no_more(p, room, leg);
        note(p, m, room);
        beep(p, room, 2);
    }
    if (!shown)
        return;
    remember(p, room, m);
    if (leg && leg->extension && room->conf && room->conf->pin.n &&
        !room_member_of(p, room, leg->extension)) /* who is inside is no business of its any more */
        subscription_end_of(p, &conference_package, room->number, leg->extension->number);
    room_changed(p, room);
}

/* Is this one of ours, here or on the way? */
static bool is_internal(struct pbx *p, const struct member *m)
{
    const struct leg *leg = leg_find(p, m->leg);
    if (m->state == MEMBER_LEAVING)
        return false;
    return leg ? leg->extension != NULL
               : config_find_extension(p->config, m->who) || config_find_group(p->config, m->who);
}

/* Nobody of ours is there any more: parties from outside would talk with each other on our lines
 * for as long as they like. Or nobody at all, and who is being called would come to an empty room.
 */
static bool is_left(struct pbx *p, const struct room *room)
{
    bool inside = p->config->features.conference_outside, here = false;
    for (const struct member *m = NULL; (m = room_next(room, m));) {
        inside |= is_internal(p, m);
        here |= m->state != MEMBER_CALLED && m->state != MEMBER_LEAVING;
    }
    return !inside || !here;
}

/* The end of a room that was made for the occasion; also when one has stayed of several. */
static void end_if_left(struct pbx *p, struct room *room)
{
    handle_t self = room->self;
    if (room->conf || room->ending)
        return;
    if (!room->had_two || room->n_counted > 1) {
        if (is_left(p, room))
            room_end(p, room);
        return;
    }
    room->ending = true;
    while ((room = slot_find(&p->conferences->rooms, self)) && !list_empty(&room->members))
        hang_up(p, room_next(room, NULL));
}

void member_free(struct pbx *p, struct member *m)
{
    struct room *room = member_room(p, m);
    handle_t self = m->room;
    focus_forget(p, m);
    part(p, m);
    list_remove(&m->in_room);
    room->n_members--;
    room_free_text(p, &m->who);
    room_free_text(p, &m->name);
    slot_put(&p->conferences->members, m->self);
    end_if_left(p, room);
    room = slot_find(&p->conferences->rooms, self);
    if (room)
        room_put(p, room);
}

void member_mute(struct pbx *p, struct member *m, bool muted)
{
    struct room *room = member_room(p, m);
    struct leg *leg = leg_find(p, m->leg);
    if (m->muted == muted)
        return;
    m->muted = muted;
    m->changed = ++p->conferences->changes;
    if (m->state == MEMBER_INSIDE && m->stream)
        sound_member(p, leg, room->media, muted);
    subscription_changed(p, &conference_package, room->number);
}

void member_say(struct pbx *p, struct member *m, enum prompt prompt)
{
    struct sound_list l = {0};
    sound_prompt(p, &l, prompt);
    sound_play(p, leg_find(p, m->leg), &l);
}

void member_send_off(struct pbx *p, struct member *m, enum prompt why)
{
    struct sound_list l = {.token = 1};
    struct leg *leg = leg_find(p, m->leg);
    if (m->state == MEMBER_LEAVING)
        return;
    bool talks = call_find(p, m->call)->state == CALL_UP && leg;
    part(p, m);
    if (!talks) {
        hang_up(p, m);
        return;
    }
    sound_prompt(p, &l, why);
    sound_play(p, leg, &l);
    pbx_timer_start(p, &m->timer, SEND_OFF);
}
