/* Rooms and their members: who is there, who hears whom, and the end. */
#include "base/mem.h"
#include "pbx/feature/conference_int.h"
#include "pbx/record.h"

#define OPEN_PREFIX "conf-"       /* of rooms made for the occasion */
#define SEND_OFF    (10 * USEC_S) /* the longest that a farewell may last */
#define FIT_AGAIN   (2 * USEC_S)
#define FIT_TRIES   5

int conference_init(struct pbx *p)
{
    struct conferences *c = mem_zero(sizeof(*c));
    uint32_t n = p->config->limits.calls;
    if (!c)
        return -ENOMEM;
    p->conferences = c;
    c->n_outside = p->config->n_conferences;
    c->outside = mem_zero((c->n_outside + 1) * sizeof(*c->outside));
    return !c->outside || slot_init(&c->rooms, sizeof(struct room), n) ||
                   slot_init(&c->members, sizeof(struct member), n)
               ? -ENOMEM
               : 0;
}

static void free_text(struct pbx *p, struct str *owned)
{
    if (pbx_keep(p, owned, STR_NONE))
        BUG_ON(true); /* freeing cannot fail */
}

static void room_free(struct pbx *p, struct room *room);

void conference_done(struct pbx *p)
{
    struct conferences *c = p->conferences;
    uint32_t at = 0;
    handle_t h;
    struct room *room;
    if (!c)
        return;
    while (c->rooms.mem && (room = slot_next(&c->rooms, &at, &h))) {
        for (struct member *m; (m = room_next(room, NULL));) {
            pbx_timer_stop(p, &m->timer);
            list_remove(&m->in_room);
            free_text(p, &m->who);
            free_text(p, &m->name);
        }
        room_free(p, room);
    }
    if (c->rooms.mem)
        slot_done(&c->rooms);
    if (c->members.mem)
        slot_done(&c->members);
    mem_free(c->outside);
    mem_free(c);
    p->conferences = NULL;
}

/* What was guessed at is not forgotten. */
static void keep_guards(struct pbx *p, const struct config *before)
{
    struct conferences *c = p->conferences;
    uint32_t n = p->config->n_conferences;
    struct pin_guard *outside = mem_zero((n + 1) * sizeof(*outside));
    for (uint32_t i = 0; outside && i < n; i++) {
        const struct config_conference *old =
            config_find_conference(before, p->config->conferences[i].number);
        uint32_t at = old ? (uint32_t)(old - before->conferences) : UINT32_MAX;
        if (at < c->n_outside)
            outside[i] = c->outside[at];
    }
    mem_free(c->outside);
    c->outside = outside;
    c->n_outside = outside ? n : 0;
}

struct pin_guard *room_outside(struct pbx *p, const struct room *room)
{
    struct conferences *c = p->conferences;
    const struct config_conference *conf = config_find_conference(p->config, room->number);
    uint32_t at = conf ? (uint32_t)(conf - p->config->conferences) : UINT32_MAX;
    return at < c->n_outside ? &c->outside[at] : &c->elsewhere;
}

void conference_reload(struct pbx *p, const struct config *before)
{
    keep_guards(p, before);
    uint32_t at = 0;
    handle_t h;
    struct room *room;
    while ((room = slot_next(&p->conferences->rooms, &at, &h))) {
        const struct config_conference *conf = config_find_conference(p->config, room->number);
        if (!room->conf || !conf)
            continue;
        config_unref(room->config);
        room->config = config_ref(p->config);
        room->conf = conf;
    }
    for (uint32_t i = 0; i < before->n_conferences; i++) {
        struct str number = before->conferences[i].number;
        if (!config_find_conference(p->config, number) && !room_find(p, number))
            subscription_end_all(p, &conference_package, number);
    }
}

/* ---- rooms ----------------------------------------------------------------------------------- */

struct room *room_find(const struct pbx *p, struct str number)
{
    uint32_t at = 0;
    handle_t h;
    struct room *room;
    while ((room = slot_next(&p->conferences->rooms, &at, &h)))
        if (str_eq(room->number, number))
            return room;
    return NULL;
}

bool conference_is_open(const struct pbx *p, struct str number)
{
    return str_starts(number, STR(OPEN_PREFIX)) && room_find(p, number);
}

static void room_free(struct pbx *p, struct room *room)
{
    free_text(p, &room->number);
    for (unsigned i = 0; i < ROOM_GONE; i++)
        free_text(p, &room->gone[i].who);
    config_unref(room->config);
    slot_put(&p->conferences->rooms, room->self);
}

static struct room *make(struct pbx *p, struct str number)
{
    struct conferences *c = p->conferences;
    handle_t h;
    struct room *room = slot_take(&c->rooms, &h);
    if (!room)
        return NULL;
    room->self = h;
    room->config = config_ref(p->config);
    list_init(&room->members);
    if (pbx_keep(p, &room->number, number)) {
        room_free(p, room);
        return NULL;
    }
    room->media = ++c->last_room;
    room->opened = p->now;
    room->born = room->changed = ++c->changes;
    return room;
}

struct room *room_get(struct pbx *p, const struct config_conference *conf)
{
    struct room *room = room_find(p, conf->number);
    if (room)
        return room;
    room = make(p, conf->number);
    if (room) /* of a call that began before a reload, it may be of an older configuration */
        room->conf = config_find_conference(room->config, conf->number);
    return room;
}

struct room *room_new(struct pbx *p)
{
    char mem[32];
    struct buf b;
    uint64_t number = rand_u64(&p->rand);
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, OPEN_PREFIX);
    buf_hex(&b, &number, sizeof(number));
    return make(p, buf_str(&b));
}

void room_put(struct pbx *p, struct room *room)
{
    if (!list_empty(&room->members))
        return;
    bool lasts = config_find_conference(p->config, room->number) != NULL, told = !room->locked;
    struct str number = pbx_turn_dup(p, room->number);
    room_free(p, room);
    if (lasts && !told)
        subscription_changed(p, &conference_package, number);
    else if (!lasts)
        subscription_end_all(p, &conference_package, number);
}

struct str room_name(const struct room *room)
{
    return room->conf && room->conf->name.n ? room->conf->name : STR("");
}

uint32_t room_max(const struct room *room)
{
    return room->conf ? room->conf->max_members : ROOM_DEFAULT_MAX;
}

bool room_has_place(const struct room *room)
{
    return !room->ending && room->n_counted < room_max(room);
}

struct member *room_next(const struct room *room, const struct member *after)
{
    struct list *node = after ? after->in_room.next : room->members.next;
    return node == &room->members ? NULL : container_of(node, struct member, in_room);
}

struct member *room_numbered(const struct room *room, uint64_t number)
{
    struct member *m = NULL;
    while ((m = room_next(room, m)))
        if (m->number == number)
            return m;
    return NULL;
}

struct member *room_member_of(struct pbx *p, const struct room *room,
                              const struct config_extension *e)
{
    struct member *m = NULL;
    while ((m = room_next(room, m))) {
        const struct leg *leg = leg_find(p, m->leg);
        if (m->state == MEMBER_INSIDE && leg && leg->extension &&
            str_eq(leg->extension->number, e->number))
            return m;
    }
    return NULL;
}

bool room_has_moderator(const struct room *room)
{
    struct member *m = NULL;
    while ((m = room_next(room, m)))
        if (m->moderator && m->state == MEMBER_INSIDE)
            return true;
    return false;
}

void room_changed(struct pbx *p, struct room *room)
{
    room->changed = ++p->conferences->changes;
    subscription_changed(p, &conference_package, room->number);
}

void room_lock(struct pbx *p, struct room *room, bool locked)
{
    if (room->locked == locked)
        return;
    room->locked = locked;
    room_changed(p, room);
}

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

static enum config_record mode_of(const struct room *room)
{
    unsigned own = room->conf ? room->conf->record : 0;
    return own ? (enum config_record)(own - 1) : (enum config_record)room->config->recording.mode;
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

/* The recording begins with the first member, and ends when nobody is inside any more. */
static void record(struct pbx *p, struct room *room, struct leg *leg)
{
    enum config_record mode = mode_of(room);
    if (mode == CONF_RECORD_NONE)
        return;
    if (!room->record)
        room->record = recording_begin(p, mode, true, room->number, about(p, room));
    if (room->record)
        recording_add(p, room->record, leg);
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
        free_text(p, &m->who);
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

/* Alone in a room that was made for the occasion: it is over. */
static void end_if_alone(struct pbx *p, struct room *room)
{
    if (room->conf || !room->had_two || room->n_counted > 1 || room->ending)
        return;
    handle_t self = room->self;
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
    free_text(p, &m->who);
    free_text(p, &m->name);
    slot_put(&p->conferences->members, m->self);
    end_if_alone(p, room);
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

void room_end(struct pbx *p, struct room *room)
{
    handle_t self = room->self;
    room->ending = true;
    for (;;) {
        struct member *m = NULL;
        room = slot_find(&p->conferences->rooms, self);
        while (room && (m = room_next(room, m)) && m->state == MEMBER_LEAVING)
            ;
        if (!room || !m)
            return;
        member_send_off(p, m, PROMPT_CONF_ENDED);
    }
}
