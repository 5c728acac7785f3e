#include "engine/media/relay.h"

#include <errno.h>

#include "base/mem.h"
#include "engine/media/latch.h"
#include "wire/sdp/codec.h"

#define PAIRS          32768u
#define EVENTS_PER_CMD 1
#define GRACE_MS       500
#define FLOOD_WINDOW   (100 * USEC_MS)
#define TIMER_TIMEOUT  1
#define CLOCK_HZ       8000u /* of telephony */
#define ENDS_MS        60    /* a packet of 20 ms and the buffer of a phone */
#define NO_STREAM      0     /* indices are kept plus one */

struct stream {
    media_id id;
    handle_t self;
    struct hash_node node;
    struct timer timer;
    struct latch rtp, rtcp;
    struct report report;
    struct media_stats stats;
    usec_t counted_from; /* silence counts from here at the earliest */
    usec_t heard;        /* last RTP packet */
    usec_t window;       /* the time span that window_n belongs to */
    uint32_t window_n;
    uint32_t peer; /* index + 1 */
    uint32_t timeout_ms;
    uint16_t port;
    uint8_t family;
    bool receiving, sending;
    bool mux; /* the party sends RTCP on the RTP port, RFC 5761 */
    bool said_first, said_stranger, said_timeout;
};

/* What the first bytes say the packet is. */
struct shape {
    bool rtcp;
    uint32_t ssrc, ts;
    uint16_t seq;
    uint8_t payload_type;
    size_t payload_bytes; /* with padding */
};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static struct stream *at(const struct relay *r, uint32_t index1)
{
    return (struct stream *)(void *)(r->streams.mem + (size_t)(index1 - 1) * r->streams.item_bytes);
}

static uint32_t index1_of(const struct stream *s)
{
    return (uint32_t)s->self;
}

static struct stream *peer_of(const struct relay *r, const struct stream *s)
{
    return s->peer == NO_STREAM ? NULL : at(r, s->peer);
}

static struct stream *find(const struct relay *r, media_id id)
{
    hash_each(node, &r->by_id, hash_bytes(&r->by_id, &id, sizeof(id)))
    {
        struct stream *s = container_of(node, struct stream, node);
        if (s->id == id)
            return s;
    }
    return NULL;
}

int relay_init(struct relay *r, const struct relay_limits *limits, usec_t now)
{
    struct relay n = {.limits = *limits};
    struct relay_limits *l = &n.limits;
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
    if (!n.by_port || !n.ring) {
        relay_done(&n);
        return -ENOMEM;
    }
    *r = n;
    timer_wheel_init(&r->wheel, now); /* its lists point at themselves: not before the copy */
    return 0;
}

void relay_done(struct relay *r)
{
    slot_done(&r->streams);
    hash_done(&r->by_id);
    mem_unmap(r->by_port, PAIRS * sizeof(uint32_t));
    mem_unmap(r->ring, r->limits.max_events * sizeof(struct media_ev));
    *r = (struct relay){0};
}

static uint32_t ring_room(const struct relay *r)
{
    return r->limits.max_events - (r->ring_head - r->ring_tail);
}

static struct media_ev *event_new(struct relay *r, enum media_ev_kind kind, const struct stream *s)
{
    struct media_ev *ev = &r->ring[r->ring_head++ % r->limits.max_events];
    *ev = (struct media_ev){.kind = kind, .id = s->id, .family = s->family};
    return ev;
}

/* News that a call can do without leaves the last quarter of the ring to what it cannot. */
static void event_note(struct relay *r, enum media_ev_kind kind, const struct stream *s,
                       const struct addr *from)
{
    if (ring_room(r) <= r->limits.max_events / 4) {
        r->count.events_lost++;
        return;
    }
    event_new(r, kind, s)->from = *from;
}

bool relay_event(struct relay *r, struct media_ev *ret)
{
    if (r->ring_head == r->ring_tail)
        return false;
    *ret = r->ring[r->ring_tail++ % r->limits.max_events];
    return true;
}

static void stats_of(const struct stream *s, struct media_stats *ret)
{
    *ret = s->stats;
    ret->lost = report_lost(&s->report);
    ret->jitter_us = report_jitter_us(&s->report);
}

int relay_stats(const struct relay *r, media_id id, struct media_stats *ret)
{
    const struct stream *s = find(r, id);
    if (!s)
        return -ENOENT;
    stats_of(s, ret);
    return 0;
}

int relay_quality(const struct relay *r, media_id id, struct report_quality *ret)
{
    const struct stream *s = find(r, id);
    struct sdp_codec codec;
    if (!s)
        return -ENOENT;
    struct report report = s->report;
    if (sdp_codec_static(&codec, s->stats.payload_type) == 0)
        report_codec_set(&report, codec.name, CLOCK_HZ, ENDS_MS);
    report_quality(&report, ret);
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

static usec_t timeout_at(const struct relay *r, const struct stream *s)
{
    const struct stream *peer = peer_of(r, s);
    uint32_t ms = timeout_of(s, peer);
    if (ms == 0 || s->said_timeout)
        return USEC_NEVER;
    usec_t since = quiet_since(s);
    if (peer && quiet_since(peer) > since)
        since = quiet_since(peer);
    return since + ms * USEC_MS;
}

static void timeout_arm(struct relay *r, struct stream *s)
{
    usec_t due = timeout_at(r, s);
    s->timer.kind = TIMER_TIMEOUT;
    if (due == USEC_NEVER)
        timer_stop(&r->wheel, &s->timer);
    else
        timer_start(&r->wheel, &s->timer, due);
}

/* The conditions of the silence have changed: it counts anew, and may be told again. */
static void timeout_restart(struct relay *r, usec_t now, struct stream *s)
{
    struct stream *peer = peer_of(r, s);
    s->counted_from = now;
    s->said_timeout = false;
    if (peer) {
        peer->said_timeout = false;
        timeout_arm(r, peer);
    }
    timeout_arm(r, s);
}

/* Timers are not moved by packets: one that fires early is armed again for the time left. */
static void timeout_fired(struct relay *r, usec_t now, struct stream *s)
{
    if (timeout_at(r, s) > now) {
        timeout_arm(r, s);
        return;
    }
    if (ring_room(r) <= EVENTS_PER_CMD) {
        timer_start(&r->wheel, &s->timer, now + 100 * USEC_MS);
        return;
    }
    struct stream *peer = peer_of(r, s);
    s->said_timeout = true;
    if (peer)
        peer->said_timeout = true;
    event_new(r, MEDIA_EV_TIMEOUT, s);
}

void relay_tick(struct relay *r, usec_t now)
{
    struct timer *t;
    while ((t = timer_pop(&r->wheel, now)))
        timeout_fired(r, now, container_of(t, struct stream, timer));
}

usec_t relay_deadline(const struct relay *r)
{
    return timer_deadline(&r->wheel);
}

/* ---- commands -------------------------------------------------------------------------------- */

static int cmd_open(struct relay *r, usec_t now, const struct media_cmd *cmd)
{
    if (cmd->id == 0 || cmd->port == 0 || cmd->port % 2)
        return -EINVAL;
    if (find(r, cmd->id) || r->by_port[cmd->port / 2] != NO_STREAM)
        return -EEXIST;
    handle_t self;
    struct stream *s = slot_take(&r->streams, &self);
    if (!s) {
        struct stream none = {.id = cmd->id, .family = cmd->family};
        struct media_ev *ev = event_new(r, MEDIA_EV_CLOSED, &none);
        ev->count = 1;
        ev->port[0] = cmd->port;
        return -ENOSPC;
    }
    s->id = cmd->id;
    s->self = self;
    s->port = cmd->port;
    s->family = cmd->family;
    s->counted_from = now;
    report_init(&s->report, now, &(struct report_setup){.seed = cmd->id});
    r->by_port[cmd->port / 2] = index1_of(s);
    hash_put(&r->by_id, &s->node, hash_bytes(&r->by_id, &s->id, sizeof(s->id)));
    return 0;
}

static int cmd_set(struct relay *r, usec_t now, const struct media_cmd *cmd)
{
    struct stream *s = find(r, cmd->id);
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

static void unlink_stream(struct relay *r, struct stream *s)
{
    struct stream *peer = peer_of(r, s);
    s->peer = NO_STREAM;
    if (!peer || peer == s)
        return;
    peer->peer = NO_STREAM;
    timeout_arm(r, peer);
}

static int cmd_link(struct relay *r, usec_t now, const struct media_cmd *cmd)
{
    struct stream *a = find(r, cmd->id), *b = find(r, cmd->peer);
    if (!a || !b)
        return -ENOENT;
    unlink_stream(r, a);
    unlink_stream(r, b);
    a->peer = index1_of(b);
    b->peer = index1_of(a);
    timeout_restart(r, now, a);
    return 0;
}

static int cmd_unlink(struct relay *r, const struct media_cmd *cmd)
{
    struct stream *s = find(r, cmd->id);
    if (!s)
        return -ENOENT;
    unlink_stream(r, s);
    timeout_arm(r, s);
    return 0;
}

static int cmd_close(struct relay *r, const struct media_cmd *cmd)
{
    struct stream *s = find(r, cmd->id);
    if (!s)
        return -ENOENT;
    unlink_stream(r, s);
    timer_stop(&r->wheel, &s->timer);
    struct media_ev *ev = event_new(r, MEDIA_EV_CLOSED, s);
    ev->count = 1;
    ev->port[0] = s->port;
    stats_of(s, &ev->stats);
    r->by_port[s->port / 2] = NO_STREAM;
    hash_remove(&r->by_id, &s->node);
    slot_put(&r->streams, s->self);
    return 0;
}

int relay_cmd(struct relay *r, usec_t now, const struct media_cmd *cmd)
{
    if (ring_room(r) < EVENTS_PER_CMD)
        return -EAGAIN;
    switch (cmd->kind) {
    case MEDIA_OPEN:
        return cmd_open(r, now, cmd);
    case MEDIA_SET:
        return cmd_set(r, now, cmd);
    case MEDIA_LINK:
        return cmd_link(r, now, cmd);
    case MEDIA_UNLINK:
        return cmd_unlink(r, cmd);
    case MEDIA_CLOSE:
        return cmd_close(r, cmd);
    case MEDIA_STOCK:
        break;
    }
    return -EINVAL;
}

/* ---- packets --------------------------------------------------------------------------------- */

/* RFC 3550 A.1 and A.2 validity checks, and RFC 5761 section 4 to tell RTCP from RTP. A STUN
 * message (RFC 5764 section 5.1.2: first byte 0..3) has version 0 and fails. */
static bool shape_read(struct shape *ret, const struct relay_packet *in)
{
    const uint8_t *p = in->bytes;
    if (in->n < 8 || in->n > RELAY_MAX_BYTES || p[0] >> 6 != 2)
        return false;
    if (p[1] >= 192 && p[1] <= 223) {
        size_t bytes = ((size_t)p[2] << 8 | p[3]) * 4 + 4;
        *ret = (struct shape){.rtcp = true, .ssrc = get32(p + 4)};
        return bytes <= in->n;
    }
    size_t header = 12 + 4 * (size_t)(p[0] & 15);
    if (in->is_rtcp || in->n < header)
        return false;
    if (p[0] & 0x10) {
        if (in->n < header + 4)
            return false;
        header += 4 + 4 * ((size_t)p[header + 2] << 8 | p[header + 3]);
    }
    *ret = (struct shape){.seq = (uint16_t)(p[2] << 8 | p[3]),
                          .ts = get32(p + 4),
                          .ssrc = get32(p + 8),
                          .payload_type = p[1] & 0x7F,
                          .payload_bytes = in->n - header};
    return in->n >= header;
}

static bool flooding(struct relay *r, usec_t now, struct stream *s)
{
    if (now - s->window >= FLOOD_WINDOW) {
        s->window = now;
        s->window_n = 0;
    }
    return s->window_n++ >= r->limits.max_pps / (USEC_S / FLOOD_WINDOW);
}

static void stranger(struct relay *r, struct stream *s, const struct addr *from)
{
    r->count.strangers++;
    if (s->said_stranger)
        return;
    s->said_stranger = true;
    event_note(r, MEDIA_EV_STRANGER, s, from);
}

/* Whether RTCP comes from the party. It must have an address that SDP or RTP made known, so that it
 * cannot be drawn away before RTP flows. */
static bool accept_rtcp(struct relay *r, usec_t now, struct stream *s, const struct latch_packet *p,
                        bool on_rtp_port)
{
    if (on_rtp_port) {
        const struct latch *l = &s->rtp;
        const struct addr *who = l->source.family != ADDR_NONE ? &l->source : &l->signalled;
        if (!addr_eq(who, p->from))
            return false;
        s->mux = true;
        return true;
    }
    if (!latch_knows_ip(&s->rtp, p->from) && !latch_knows_ip(&s->rtcp, p->from))
        return false;
    if (latch_rx(&s->rtcp, p) == LATCH_STRANGER)
        return false;
    s->mux = false;
    return true;
}

/* Whether RTP comes from the party; tells what is new about it. */
static bool accept_rtp(struct relay *r, struct stream *s, const struct latch_packet *p)
{
    enum latch_verdict v = latch_rx(&s->rtp, p);
    if (v == LATCH_STRANGER)
        return false;
    s->heard = p->now;
    if (v == LATCH_LEARNT && (s->said_first || !addr_eq(p->from, &s->rtp.signalled)))
        event_note(r, MEDIA_EV_LATCHED, s, p->from);
    if (!s->said_first) {
        s->said_first = true;
        event_note(r, MEDIA_EV_FIRST, s, p->from);
    }
    return true;
}

static int route(struct relay *r, struct stream *s, bool rtcp, struct relay_forward *ret)
{
    struct stream *peer = peer_of(r, s);
    /* RFC 3264 section 5.1: RTCP goes on whatever the direction of the media is. */
    if (!rtcp && (!s->receiving || (peer && !peer->sending))) {
        r->count.one_way++;
        return 0;
    }
    bool to_rtcp = rtcp && peer && !peer->mux;
    const struct addr *to = peer ? latch_dest(to_rtcp ? &peer->rtcp : &peer->rtp) : NULL;
    if (!to || to->family != peer->family) {
        r->count.no_way++;
        return 0;
    }
    *ret = (struct relay_forward){.to = *to, .port = peer->port, .is_rtcp = to_rtcp};
    return 1;
}

/* What the parties tell each other in RTCP is true of us too: each hears the other through us.
 * Malformed RTCP says nothing; it is passed on like the rest. */
static void overhear(struct relay *r, struct stream *s, const struct relay_packet *in, usec_t now,
                     bool passed)
{
    struct stream *peer = peer_of(r, s);
    if (report_rtcp(&s->report, now, in->bytes, in->n) == 0 && passed && peer)
        report_passed(&peer->report, now, in->bytes, in->n);
}

static int relay_rx_stream(struct relay *r, struct stream *s, const struct relay_packet *in,
                           struct latch_packet *from, struct relay_forward *ret)
{
    struct shape shape;
    if (!shape_read(&shape, in)) {
        r->count.malformed++;
        return 0;
    }
    from->ssrc = shape.ssrc;
    from->seq = shape.seq;
    from->sequenced = !shape.rtcp;
    /* RTCP comes every few seconds, so its silence says less. */
    from->silence_us = r->limits.latch_silence_ms * USEC_MS * (shape.rtcp ? 5 : 1);
    if (shape.rtcp ? !accept_rtcp(r, from->now, s, from, !in->is_rtcp) : !accept_rtp(r, s, from)) {
        stranger(r, s, in->from);
        return 0;
    }
    /* After the source check: a stranger must not use up the party's share. */
    if (flooding(r, from->now, s)) {
        r->count.flood++;
        return 0;
    }
    int out = route(r, s, shape.rtcp, ret);
    if (shape.rtcp) {
        overhear(r, s, in, from->now, out);
        return out;
    }
    s->stats.rx_packets++;
    s->stats.rx_bytes += in->n;
    s->stats.payload_type = shape.payload_type;
    report_rtp(&s->report, from->now, shape.ssrc, shape.seq, shape.ts, CLOCK_HZ);
    if (out) {
        struct stream *peer = at(r, s->peer);
        peer->stats.tx_packets++;
        peer->stats.tx_bytes += in->n;
        report_ssrc_set(&peer->report, shape.ssrc);
        report_sent(&peer->report, from->now, shape.ts, shape.payload_bytes);
    }
    return out;
}

int relay_rx(struct relay *r, usec_t now, const struct relay_packet *in, struct relay_forward *ret)
{
    uint32_t index1 = r->by_port[in->port / 2];
    if (index1 == NO_STREAM) {
        r->count.no_stream++;
        return 0;
    }
    struct stream *s = at(r, index1);
    struct latch_packet from = {.from = in->from, .now = now};
    int out = relay_rx_stream(r, s, in, &from, ret);
    s->stats.dropped += !out;
    return out;
}
