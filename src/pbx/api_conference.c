/* Conferences for people: who is in which room, and orders to them. */
#include "base/num.h"
#include "pbx/api.h"
#include "pbx/feature/conference_int.h"

static const char *state_name(const struct member *m)
{
    static const char *const names[] = {"entering", "pin",    "called",
                                        "waiting",  "inside", "leaving"};
    return m->rings && m->state == MEMBER_CALLED ? "ringing" : names[m->state];
}

static json_t *when(struct pbx *p, usec_t at)
{
    return at ? json_integer((json_int_t)(pbx_wall_at(p, at) / 1000)) : json_null();
}

static json_t *member_json(struct pbx *p, const struct member *m)
{
    struct leg *leg = leg_find(p, m->leg);
    json_t *j = json_object();
    json_object_set_new(j, "number", json_integer((json_int_t)m->number));
    json_object_set_new(j, "party", api_text(m->who));
    json_object_set_new(j, "name", api_text(m->name));
    json_object_set_new(j, "state", json_string(state_name(m)));
    json_object_set_new(j, "moderator", json_boolean(m->moderator));
    json_object_set_new(j, "muted", json_boolean(m->muted));
    json_object_set_new(j, "held", json_boolean(leg && sound_is_held(leg)));
    json_object_set_new(j, "talks", json_boolean(m->talks));
    json_object_set_new(j, "talks_ms", m->talks ? when(p, m->talks_since) : json_null());
    json_object_set_new(j, "since_ms", when(p, m->came));
    json_object_set_new(j, "call", json_integer((json_int_t)call_find(p, m->call)->number));
    return j;
}

static json_t *room_json(struct pbx *p, const struct room *room)
{
    json_t *j = json_object(), *members = json_array();
    json_object_set_new(j, "number", api_text(room->number));
    json_object_set_new(j, "name", api_text(room_name(room)));
    json_object_set_new(j, "kind", json_string(room->conf ? "room" : "ad-hoc"));
    json_object_set_new(j, "since_ms", when(p, room->opened));
    json_object_set_new(j, "locked", json_boolean(room->locked));
    json_object_set_new(j, "max_members", json_integer(room_max(room)));
    for (struct member *m = NULL; (m = room_next(room, m));)
        json_array_append_new(members, member_json(p, m));
    json_object_set_new(j, "members", members);
    return j;
}

json_t *api_conferences(struct pbx *p, const json_t *params, enum api_error *error)
{
    json_t *list = json_array();
    uint32_t at = 0;
    handle_t h;
    const struct room *room;
    (void)params;
    (void)error;
    while ((room = slot_next(&p->conferences->rooms, &at, &h)))
        json_array_append_new(list, room_json(p, room));
    return list;
}

/* A text of the parameters; a number may be given as such. */
static struct str text_of(const json_t *params, const char *name, char mem[24])
{
    const json_t *v = json_object_get(params, name);
    struct buf b;
    buf_init(&b, mem, 24);
    if (json_is_string(v))
        return str_of(json_string_value(v), json_string_length(v));
    if (json_is_integer(v) && json_integer_value(v) >= 0)
        buf_u64(&b, (uint64_t)json_integer_value(v));
    return buf_str(&b);
}

static json_t *invite(struct pbx *p, struct str room, struct str number, enum api_error *error)
{
    *error = API_INVALID_PARAMS;
    if (!number.n)
        return NULL;
    unsigned status = p->stopping ? 503 : conference_invite(p, room, number);
    *error = API_NOT_FOUND;
    return status == 404 ? NULL : json_pack("{s:i}", "status", status ? (int)status : 100);
}

json_t *api_conference(struct pbx *p, const json_t *params, enum api_error *error)
{
    char mem[24], number_mem[24];
    struct str room = text_of(params, "room", mem);
    const char *action = json_string_value(json_object_get(params, "action"));
    struct str number = text_of(params, "number", number_mem);
    uint64_t member = 0;
    *error = API_INVALID_PARAMS;
    if (!room.n || !action)
        return NULL;
    if (strcmp(action, "invite") == 0)
        return invite(p, room, number, error);
    if (number.n && num_u64(&member, number, UINT64_MAX))
        return NULL;
    room = pbx_turn_dup(p, room); /* the room may be gone afterwards */
    int err = conference_command(p, room, str_z(action), member);
    *error = err == -ENOENT ? API_NOT_FOUND : API_INVALID_PARAMS;
    return err ? NULL : json_pack("{s:s}", "done", action);
}
