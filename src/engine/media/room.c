/* Rooms: streams whose parties hear each other. A room is there while somebody is in it. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/mix.h"
#include "engine/media/plane_int.h"

#define ANNOUNCER 0 /* the member that is no party: what is played to the room */
#define MAX_RATE  48000u

struct member {
    uint32_t stream; /* index + 1; 0: free */
    struct resample rs;
    int16_t in[MIX_MAX_FRAME];
};

struct room {
    struct list in_plane;
    uint64_t id;
    struct mix *mix;
    uint32_t rate_hz;
    unsigned n;              /* parties */
    struct stream announcer; /* only what play.c looks at */
    int16_t announcement[MIX_MAX_FRAME];
    struct member *member[MIX_MAX_MEMBERS];
};

static struct room *room_find(const struct plane *r, uint64_t id)
{
    list_each(node, &r->rooms)
    {
        struct room *room = container_of(node, struct room, in_plane);
        if (room->id == id)
            return room;
    }
    return NULL;
}

static void room_free(struct room *room)
{
    play_free(&room->announcer);
    for (unsigned i = 0; i < MIX_MAX_MEMBERS; i++)
        if (room->member[i]) {
            resample_done(&room->member[i]->rs);
            mem_free(room->member[i]);
        }
    mix_free(room->mix);
    list_remove(&room->in_plane);
    mem_free(room);
}

static struct room *room_new(struct plane *r, uint64_t id)
{
    struct room *room = mem_zero(sizeof(*room));
    if (!room)
        return NULL;
    room->id = id;
    room->rate_hz = 8000;
    room->mix = mix_new(room->rate_hz, NULL);
    if (!room->mix) {
        mem_free(room);
        return NULL;
    }
    mix_join(room->mix, ANNOUNCER);
    mix_set(room->mix, ANNOUNCER, MIX_DEAF);
    list_append(&r->rooms, &room->in_plane);
    return room;
}

/* Rates that a mix can have. */
static uint32_t rate_up(uint32_t hz)
{
    return hz <= 8000 ? 8000 : hz <= 16000 ? 16000 : MAX_RATE;
}

/* The best that somebody in the room can hear. */
static void rate_choose(struct plane *r, struct room *room)
{
    uint32_t best = 8000;
    for (unsigned i = 1; i < MIX_MAX_MEMBERS; i++)
        if (room->member[i] && room->member[i]->stream) {
            uint32_t hz = rate_up(plane_say_rate(r, plane_at(r, room->member[i]->stream)));
            best = hz > best ? hz : best;
        }
    if (best == room->rate_hz || mix_rate(room->mix, best))
        return;
    room->rate_hz = best;
}

static void flags_set(struct stream *s, bool muted, bool deaf)
{
    mix_set(s->room->mix, s->seat, (muted ? MIX_MUTED : 0u) | (deaf ? MIX_DEAF : 0u));
}

/* A place, with what it needs; 0: there is none. */
static unsigned seat_take(struct room *room)
{
    for (unsigned i = 1; i < MIX_MAX_MEMBERS; i++) {
        if (room->member[i] && room->member[i]->stream)
            continue;
        if (!room->member[i])
            room->member[i] = mem_zero(sizeof(struct member));
        return room->member[i] ? i : 0;
    }
    return 0;
}

int room_join(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd)
{
    if (s->room && s->room->id == cmd->member.room)
        return room_member(s, cmd);
    room_leave(r, now, s);
    struct room *room = room_find(r, cmd->member.room);
    room = room ? room : room_new(r, cmd->member.room);
    unsigned seat = room ? seat_take(room) : 0;
    if (!seat) {
        bool full = room && room->n == MIX_MAX_MEMBERS - 1;
        if (room && !room->n)
            room_free(room);
        return full ? -ENOSPC : -ENOMEM;
    }
    room->member[seat]->stream = plane_index1(s);
    room->n++;
    s->room = room;
    s->seat = (uint8_t)seat;
    s->talks = false;
    mix_join(room->mix, seat);
    flags_set(s, cmd->member.muted, cmd->member.deaf);
    plane_say_end(r, now, s);
    rate_choose(r, room);
    return 0;
}

int room_member(struct stream *s, const struct media_cmd *cmd)
{
    if (!s->room || s->room->id != cmd->member.room)
        return -ENOENT;
    flags_set(s, cmd->member.muted, cmd->member.deaf);
    return 0;
}

int room_leave(struct plane *r, usec_t now, struct stream *s)
{
    struct room *room = s->room;
    if (!room)
        return -ENOENT;
    mix_leave(room->mix, s->seat);
    room->member[s->seat]->stream = 0;
    s->room = NULL;
    plane_talks(r, s, false);
    plane_say_end(r, now, s);
    if (--room->n == 0)
        room_free(room);
    else
        rate_choose(r, room);
    return 0;
}

void room_format(struct plane *r, struct stream *s)
{
    if (s->room)
        rate_choose(r, s->room);
}

int room_play(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    struct room *room = room_find(r, cmd->id);
    return room ? play_cmd(r, now, &room->announcer, cmd) : -ENOENT;
}

void rooms_free(struct plane *r)
{
    if (!r->rooms.next)
        return;
    list_each(node, &r->rooms) room_free(container_of(node, struct room, in_plane));
}

/* ---- the tick -------------------------------------------------------------------------------- */

/* What the member has said in this tick, at the rate of the room; NULL: it is not whole. */
static const int16_t *frame_of(struct room *room, struct member *m, const struct listen *l)
{
    unsigned want = room->rate_hz / 50, taken = l->n;
    if (l->rate_hz == room->rate_hz)
        return l->pcm;
    if (resample_set(&m->rs, l->rate_hz, room->rate_hz))
        return NULL;
    unsigned n = resample_run(&m->rs, l->pcm, &taken, m->in, want);
    memset(m->in + n, 0, (want - n) * sizeof(m->in[0]));
    return m->in;
}

static void room_in(struct plane *r, usec_t now, struct room *room)
{
    if (room->announcer.play) {
        int16_t *frame = room->announcement;
        unsigned n = play_frame(r, now, &room->announcer, room->rate_hz, frame);
        memset(frame + n, 0, (room->rate_hz / 50 - n) * sizeof(*frame));
        mix_in(room->mix, ANNOUNCER, frame);
    }
    for (unsigned i = 1; i < MIX_MAX_MEMBERS; i++) {
        struct member *m = room->member[i];
        struct stream *s = m && m->stream ? plane_at(r, m->stream) : NULL;
        if (s && s->listen)
            mix_in(room->mix, i, frame_of(room, m, s->listen));
    }
}

static void room_out(struct plane *r, usec_t now, struct room *room)
{
    static const int16_t silence[MIX_MAX_FRAME];
    for (unsigned i = 1; i < MIX_MAX_MEMBERS; i++) {
        struct member *m = room->member[i];
        struct stream *s = m && m->stream ? plane_at(r, m->stream) : NULL;
        bool shared;
        if (!s)
            continue;
        plane_talks(r, s, mix_talks(room->mix, i));
        if (s->play)
            continue; /* it hears that */
        const int16_t *frame = mix_out(room->mix, i, &shared);
        plane_say(r, now, s, room->rate_hz, frame ? frame : silence, room->rate_hz / 50);
    }
}

void rooms_tick(struct plane *r, usec_t now)
{
    list_each(node, &r->rooms)
    {
        struct room *room = container_of(node, struct room, in_plane);
        room_in(r, now, room);
        mix_run(room->mix);
        room_out(r, now, room);
    }
}
