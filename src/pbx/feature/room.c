/* Rooms: how they open, what they are asked, and their end. */
#include "base/mem.h"
#include "pbx/feature/conference_int.h"

#define OPEN_PREFIX "conf-" /* of rooms made for the occasion */

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

void room_free_text(struct pbx *p, struct str *owned)
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
            room_free_text(p, &m->who);
            room_free_text(p, &m->name);
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
    room_free_text(p, &room->number);
    for (unsigned i = 0; i < ROOM_GONE; i++)
        room_free_text(p, &room->gone[i].who);
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
