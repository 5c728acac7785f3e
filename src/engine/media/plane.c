#include "engine/media/plane.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane_int.h"

#define PAIRS          32768u
#define EVENTS_PER_CMD 1
#define GRACE_MS       500
#define MAX_CLOCK_HZ   192000
#define DELAY_MS       40 /* of a packet and a jitter buffer, as far as quality is estimated */
#define NO_PT          255
enum { TIMER_TIMEOUT, TIMER_RTCP };

struct stream *plane_find(const struct plane *r, media_id id)
{
    hash_each(node, &r->by_id, hash_bytes(&r->by_id, &id, sizeof(id)))
    {
        struct stream *s = container_of(node, struct stream, node);
        if (s->id == id)
            return s;
    }
    return NULL;
}

int plane_init(struct plane *r, const struct plane_limits *limits, usec_t now)
{
    struct plane n = {.limits = *limits};
    struct plane_limits *l = &n.limits;
    l->max_streams = l->max_streams ? l->max_streams : 10000;
    l->max_events = l->max_events ? l->max_events : 4096;
    l->latch_silence_ms = l->latch_silence_ms ? l->latch_silence_ms : 2000;
    l->max_pps = l->max_pps ? l->max_pps : 4000;
    if (slot_init(&n.streams, sizeof(struct stream), l->max_streams))
        return -ENOMEM;
    if (hash_init(&n.by_id, l->max_streams, l->seed)) {
        slot_done(&n.streams);
        return -ENOMEM;
    }
    n.by_port = mem_map(PAIRS * sizeof(uint32_t));
    n.ring = mem_map(l->max_events * sizeof(struct media_ev));
    n.random = l->seed;
    n.clip = mem_map(MEDIA_MAX_CLIPS * sizeof(struct media_clip *));
    if (!n.by_port || !n.ring || !n.clip || plane_out_init(&n)) {
        plane_done(&n);
        return -ENOMEM;
    }
    *r = n;
    timer_wheel_init(&r->wheel, now); /* its lists point at themselves: not before the copy */
    list_init(&r->ticking);
    list_init(&r->rooms);
    list_init(&r->recs);
    list_init(&r->full);
    list_init(&r->tapped);
    r->tick_due = USEC_NEVER;
    return 0;
}

static void sound_free(struct stream *s)
{
    trans_free(s->trans);
    play_free(s);
    listen_free(s);
    tap_free(s);
    list_remove(&s->tick);
    if (s->mouth)
        mouth_done(s->mouth);
    mem_free(s->mouth);
    seam_free(s->seam);
    s->trans = NULL;
    s->mouth = NULL;
    s->seam = NULL;
}

void plane_done(struct plane *r)
{
    uint32_t at = 0;
    handle_t h;
    for (struct stream *s; r->streams.mem && (s = slot_next(&r->streams, &at, &h));)
        sound_free(s);
    rooms_free(r);
    recs_free(r);
    plane_out_done(r);
    play_clips_free(r);
    slot_done(&r->streams);
    hash_done(&r->by_id);
    mem_unmap(r->by_port, PAIRS * sizeof(uint32_t));
    mem_unmap(r->ring, r->limits.max_events * sizeof(struct media_ev));
    *r = (struct plane){0};
}

static uint32_t ring_room(const struct plane *r)
{
    return r->limits.max_events - (r->ring_head - r->ring_tail);
}

struct media_ev *plane_event_new(struct plane *r, enum media_ev_kind kind, const struct stream *s)
{
    struct media_ev *ev = &r->ring[r->ring_head++ % r->limits.max_events];
    *ev = (struct media_ev){.kind = kind, .id = s->id, .family = s->family};
    return ev;
}

bool plane_event_room(const struct plane *r)
{
    return ring_room(r) > EVENTS_PER_CMD;
}

/* The last quarter of the ring is left to what a call cannot do without. */
void plane_note(struct plane *r, enum media_ev_kind kind, const struct stream *s,
                const struct addr *from)
{
    if (ring_room(r) <= r->limits.max_events / 4) {
        r->count.events_lost++;
        return;
    }
    plane_event_new(r, kind, s)->from = *from;
}

void plane_note_key(struct plane *r, const struct stream *s, char digit, unsigned how)
{
    if (ring_room(r) <= r->limits.max_events / 4) {
        r->count.events_lost++;
        return;
    }
    struct media_ev *ev = plane_event_new(r, MEDIA_EV_DIGIT, s);
    ev->digit = digit;
    ev->over = how == PLANE_KEY_UP;
    ev->in_band = how == PLANE_KEY_HEARD;
}

void plane_note_stats(struct plane *r, const struct stream *s)
{
    if (ring_room(r) <= r->limits.max_events / 4) /* others follow */
        return;
    plane_stats_of(s, &plane_event_new(r, MEDIA_EV_STATS, s)->stats);
}

bool plane_event(struct plane *r, struct media_ev *ret)
{
    if (r->ring_head == r->ring_tail)
        return false;
    *ret = r->ring[r->ring_tail++ % r->limits.max_events];
    return true;
}

media_id plane_stream_of(const struct plane *r, uint16_t port)
{
    uint32_t index1 = r->by_port[port / 2];
    return index1 == NO_STREAM ? 0 : plane_at(r, index1)->id;
}

int plane_stats(const struct plane *r, media_id id, struct media_stats *ret)
{
    const struct stream *s = plane_find(r, id);
    if (!s)
        return -ENOENT;
    plane_stats_of(s, ret);
    return 0;
}

/* ---- silence --------------------------------------------------------------------------------- */

/* The smaller of both sides' timeouts that is set; 0: none. */
static uint32_t timeout_of(const struct stream *s, const struct stream *peer)
{
    uint32_t ms = s->timeout_ms;
    if (peer && peer->timeout_ms && (ms == 0 || peer->timeout_ms < ms))
        ms = peer->timeout_ms;
    return ms;
}

static usec_t quiet_since(const struct stream *s)
{
    return s->heard > s->counted_from ? s->heard : s->counted_from;
}

static usec_t timeout_at(const struct plane *r, const struct stream *s)
{
    const struct stream *peer = plane_peer(r, s);
    uint32_t ms = timeout_of(s, peer);
    if (ms == 0 || s->said_timeout)
        return USEC_NEVER;
    usec_t since = quiet_since(s);
    if (peer && quiet_since(peer) > since)
        since = quiet_since(peer);
    return since + ms * USEC_MS;
}

static void timeout_arm(struct plane *r, struct stream *s)
{
    usec_t due = timeout_at(r, s);
    s->timer.kind = TIMER_TIMEOUT;
    if (due == USEC_NEVER)
        timer_stop(&r->wheel, &s->timer);
    else
        timer_start(&r->wheel, &s->timer, due);
}

/* The conditions of the silence have changed: it counts anew, and may be told again. */
static void timeout_restart(struct plane *r, usec_t now, struct stream *s)
{
    struct stream *peer = plane_peer(r, s);
    s->counted_from = now;
    s->said_timeout = false;
    if (peer) {
        peer->said_timeout = false;
        timeout_arm(r, peer);
    }
    timeout_arm(r, s);
}

/* Timers are not moved by packets: one that fires early is armed again for the time left. */
static void timeout_fired(struct plane *r, usec_t now, struct stream *s)
{
    if (timeout_at(r, s) > now) {
        timeout_arm(r, s);
        return;
    }
    if (ring_room(r) <= EVENTS_PER_CMD) {
        timer_start(&r->wheel, &s->timer, now + 100 * USEC_MS);
        return;
    }
    struct stream *peer = plane_peer(r, s);
    s->said_timeout = true;
    if (peer)
        peer->said_timeout = true;
    plane_event_new(r, MEDIA_EV_TIMEOUT, s);
}

void plane_tick(struct plane *r, usec_t now)
{
    struct timer *t;
    while ((t = timer_pop(&r->wheel, now)))
        if (t->kind == TIMER_RTCP)
            plane_rtcp_due(r, now, container_of(t, struct stream, rtcp_timer));
        else
            timeout_fired(r, now, container_of(t, struct stream, timer));
    plane_tick_run(r, now);
}

usec_t plane_deadline(const struct plane *r)
{
    usec_t due = timer_deadline(&r->wheel);
    return r->tick_due < due ? r->tick_due : due;
}

/* ---- commands -------------------------------------------------------------------------------- */

/* RFC 3550 section 5.1: numbers that nobody can guess. */
static void numbers_begin(struct plane *r, usec_t now, struct stream *s)
{
    uint64_t v[3];
    for (unsigned i = 0; i < ARRAY_LEN(v); i++) {
        r->random += 0x9E3779B97F4A7C15u;
        v[i] = hash_bytes(&r->by_id, &r->random, sizeof(r->random));
    }
    egress_init(&s->egress, (uint32_t)v[0], (uint16_t)v[1], (uint32_t)(v[1] >> 32));
    report_init(&s->report, now, &(struct report_setup){.ssrc = (uint32_t)v[0], .seed = v[1]});
    s->name = v[2];
    s->rtcp_timer.kind = TIMER_RTCP;
}

static int cmd_open(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    if (cmd->id == 0 || cmd->port == 0 || cmd->port % 2)
        return -EINVAL;
    if (plane_find(r, cmd->id) || r->by_port[cmd->port / 2] != NO_STREAM)
        return -EEXIST;
    handle_t self;
    struct stream *s = slot_take(&r->streams, &self);
    if (!s) {
        struct stream none = {.id = cmd->id, .family = cmd->family};
        struct media_ev *ev = plane_event_new(r, MEDIA_EV_CLOSED, &none);
        ev->count = 1;
        ev->port[0] = cmd->port;
        return -ENOSPC;
    }
    s->id = cmd->id;
    s->self = self;
    s->port = cmd->port;
    s->family = cmd->family;
    s->g722_pt = NO_PT;
    s->counted_from = now;
    numbers_begin(r, now, s);
    r->by_port[cmd->port / 2] = plane_index1(s);
    hash_put(&r->by_id, &s->node, hash_bytes(&r->by_id, &s->id, sizeof(s->id)));
    return 0;
}

static int cmd_set(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    struct stream *s = plane_find(r, cmd->id);
    if (!s)
        return -ENOENT;
    /* RFC 3550 section 11: RTCP goes to the next port unless SDP says otherwise (RFC 3605). */
    struct addr rtcp = cmd->rtcp;
    if (rtcp.family == ADDR_NONE && cmd->rtp.family != ADDR_NONE && cmd->rtp.port < UINT16_MAX &&
        cmd->rtp.port != 0) {
        rtcp = cmd->rtp;
        rtcp.port++;
    }
    latch_set(&s->rtp, &cmd->rtp, cmd->latch, now, GRACE_MS * USEC_MS);
    latch_set(&s->rtcp, &rtcp, cmd->latch, now, GRACE_MS * USEC_MS);
    s->receiving = cmd->receiving;
    s->sending = cmd->sending;
    s->timeout_ms = cmd->timeout_ms;
    timeout_restart(r, now, s);
    return 0;
}

const struct media_format *plane_speech(const struct stream *s)
{
    for (unsigned i = 0; i < s->n_tx; i++)
        if (codec_known(s->tx[i].codec))
            return &s->tx[i];
    return NULL;
}

const struct media_format *plane_keys(const struct stream *s)
{
    const struct media_format *speech = plane_speech(s), *ret = NULL;
    for (unsigned i = 0; i < s->n_tx; i++) {
        const struct media_format *f = &s->tx[i];
        bool in_step = speech && f->clock_hz == speech->clock_hz;
        if (f->codec == CODEC_EVENT && (!ret || (in_step && ret->clock_hz != f->clock_hz)))
            ret = f;
    }
    return ret;
}

/* What it and its peer do with each other's packets is to be decided anew. */
static void pass_forget(struct plane *r, struct stream *s)
{
    struct stream *peer = plane_peer(r, s);
    s->pass_ready = false;
    if (peer)
        peer->pass_ready = false;
}

static bool has_pt(const struct media_format *f, unsigned n, uint8_t pt)
{
    for (unsigned i = 0; i < n; i++)
        if (f[i].pt == pt)
            return true;
    return false;
}

/* What no packet can have, or no clock be, is left out, and what has a payload type that stands for
 * something else already. Returns how many there are. */
static uint8_t formats_take(struct media_format out[MEDIA_MAX_FORMATS],
                            const struct media_format *in, uint8_t n)
{
    uint8_t kept = 0;
    memset(out, 0, MEDIA_MAX_FORMATS * sizeof(*out));
    for (unsigned i = 0; i < n; i++)
        if (in[i].pt < 128 && in[i].clock_hz && in[i].clock_hz <= MAX_CLOCK_HZ &&
            !has_pt(out, kept, in[i].pt)) {
            out[kept] = in[i];
            if (codec_known(in[i].codec) && codec_rate(&in[i]) == 0)
                out[kept].codec = CODEC_NONE; /* not at this clock */
            kept++;
        }
    return kept;
}

static int cmd_format(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    struct stream *s = plane_find(r, cmd->id);
    if (!s)
        return -ENOENT;
    if (cmd->n_rx > MEDIA_MAX_FORMATS || cmd->n_tx > MEDIA_MAX_FORMATS)
        return -EINVAL;
    const struct media_format *before = plane_speech(s);
    struct media_format said = before ? *before : (struct media_format){0};
    s->n_rx = formats_take(s->rx, cmd->rx, cmd->n_rx);
    s->n_tx = formats_take(s->tx, cmd->tx, cmd->n_tx);
    s->ptime_ms = cmd->ptime_ms;
    s->g722_pt = NO_PT;
    for (unsigned i = s->n_rx; i-- > 0;)
        if (s->rx[i].codec == CODEC_G722)
            s->g722_pt = s->rx[i].pt;
    const struct media_format *after = plane_speech(s);
    if (before && after && !media_format_same(&said, after))
        egress_pause(&s->egress); /* the clock of the timestamps may be another */
    plane_mouth_follow(r, s);
    /* What is agreed, and so is sent; the first of those that we take may be but our offer. */
    const struct media_format *agreed = after ? after : s->n_rx ? &s->rx[0] : NULL;
    if (agreed)
        report_codec_set(&s->report, codec_name(agreed->codec), agreed->clock_hz, DELAY_MS);
    s->mux = cmd->mux;
    plane_rtcp_arm(r, s);
    pass_forget(r, s);
    listen_follow(r, s);
    plane_tick_follow(r, now, s);
    room_format(r, s);
    return 0;
}

/* What it has heard of its peer ends here: nothing of that waits for whom it hears next, and what
 * is said meanwhile is no gap in its numbers. */
static void hear_no_more(struct plane *r, usec_t now, struct stream *s)
{
    if (!s->play && !s->room)
        plane_say_end(r, now, s);
}

static void unlink_stream(struct plane *r, usec_t now, struct stream *s)
{
    struct stream *peer = plane_peer(r, s);
    pass_forget(r, s);
    s->peer = NO_STREAM;
    if (!peer)
        return;
    tap_let(r, now, s);
    tap_let(r, now, peer);
    hear_no_more(r, now, s);
    if (peer == s)
        return;
    hear_no_more(r, now, peer);
    peer->peer = NO_STREAM;
    timeout_arm(r, peer);
}

static int cmd_link(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    struct stream *a = plane_find(r, cmd->id), *b = plane_find(r, cmd->peer);
    if (!a || !b)
        return -ENOENT;
    if (a->peer == plane_index1(b)) { /* what they hear of each other goes on */
        timeout_restart(r, now, a);
        return 0;
    }
    unlink_stream(r, now, a);
    unlink_stream(r, now, b);
    (void)room_leave(r, now, a);
    (void)room_leave(r, now, b);
    listen_follow(r, a);
    listen_follow(r, b);
    plane_tick_follow(r, now, a);
    plane_tick_follow(r, now, b);
    a->peer = plane_index1(b);
    b->peer = plane_index1(a);
    timeout_restart(r, now, a);
    return 0;
}

static int cmd_unlink(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    struct stream *s = plane_find(r, cmd->id);
    if (!s)
        return -ENOENT;
    unlink_stream(r, now, s);
    timeout_arm(r, s);
    return 0;
}

static int cmd_close(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    struct stream *s = plane_find(r, cmd->id);
    if (!s)
        return -ENOENT;
    unlink_stream(r, now, s);
    timer_stop(&r->wheel, &s->timer);
    timer_stop(&r->wheel, &s->rtcp_timer);
    plane_rtcp_bye(r, now, s);
    (void)room_leave(r, now, s);
    rec_leave(s);
    sound_free(s);
    struct media_ev *ev = plane_event_new(r, MEDIA_EV_CLOSED, s);
    ev->count = 1;
    ev->port[0] = s->port;
    plane_stats_of(s, &ev->stats);
    r->by_port[s->port / 2] = NO_STREAM;
    hash_remove(&r->by_id, &s->node);
    slot_put(&r->streams, s->self);
    return 0;
}

/* What a stream is made to hear or say. */
static int sound_cmd(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd)
{
    switch (cmd->kind) {
    case MEDIA_PLAY:
        return play_cmd(r, now, s, cmd);
    case MEDIA_STOP:
        return play_stop(r, now, s);
    case MEDIA_JOIN:
        unlink_stream(r, now, s);
        timeout_arm(r, s);
        return room_join(r, now, s, cmd);
    case MEDIA_LEAVE:
        return room_leave(r, now, s);
    case MEDIA_MEMBER:
        return room_member(s, cmd);
    case MEDIA_LISTEN:
        s->wants_keys = cmd->on;
        return 0;
    case MEDIA_RECORD:
        return rec_join(r, now, s, cmd);
    case MEDIA_TAP:
    case MEDIA_TAP_HEAR:
        return tap_cmd(r, now, s, cmd);
    default:
        return -EINVAL;
    }
}

static int stream_sound(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    struct stream *s = plane_find(r, cmd->id);
    if (!s)
        return -ENOENT;
    int err = sound_cmd(r, now, s, cmd);
    listen_follow(r, s);
    plane_tick_follow(r, now, s);
    return err;
}

static int command(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    switch (cmd->kind) {
    case MEDIA_OPEN:
        return cmd_open(r, now, cmd);
    case MEDIA_SET:
        return cmd_set(r, now, cmd);
    case MEDIA_FORMAT:
        return cmd_format(r, now, cmd);
    case MEDIA_LINK:
        return cmd_link(r, now, cmd);
    case MEDIA_UNLINK:
        return cmd_unlink(r, now, cmd);
    case MEDIA_CLOSE:
        return cmd_close(r, now, cmd);
    case MEDIA_CLIP:
        return play_clip(r, cmd);
    case MEDIA_STOCK:
        return -EINVAL;
    case MEDIA_ROOM_PLAY:
        return room_play(r, now, cmd);
    case MEDIA_RECORD_STOP:
    case MEDIA_RECORD_PAUSE:
        return rec_cmd(r, now, cmd);
    default:
        return stream_sound(r, now, cmd);
    }
}

int plane_cmd(struct plane *r, usec_t now, const struct media_cmd *cmd)
{
    if (ring_room(r) < EVENTS_PER_CMD)
        return -EAGAIN;
    int err = command(r, now, cmd);
    r->count.no_memory += err == -ENOMEM;
    return err;
}
