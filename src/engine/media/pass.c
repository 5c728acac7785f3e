/* Packets that come in: whose they are, and what becomes of them. */
#include "engine/media/plane_int.h"
#include "wire/rtp/be.h"
#include "wire/rtp/event.h"

#define FLOOD_WINDOW (100 * USEC_MS)
#define CLOCK_HZ     8000u /* of telephony */
#define KEYS_PER_S   40

/* RFC 3550 A.1 and A.2 validity checks, and RFC 5761 section 4 to tell RTCP from RTP. A STUN
 * message (RFC 5764 section 5.1.2: first byte 0..3) has version 0 and fails. */
static bool shape_read(struct shape *ret, const struct plane_packet *in)
{
    const uint8_t *p = in->bytes;
    if (in->n < 8 || in->n > PLANE_MAX_BYTES || p[0] >> 6 != 2)
        return false;
    if (p[1] >= 192 && p[1] <= 223) {
        size_t bytes = ((size_t)p[2] << 8 | p[3]) * 4 + 4;
        *ret = (struct shape){.rtcp = true, .ssrc = be32_get(p + 4)};
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
                          .ts = be32_get(p + 4),
                          .ssrc = be32_get(p + 8),
                          .header = (uint16_t)header,
                          .payload_type = p[1] & 0x7F};
    return in->n >= header;
}

static bool flooding(struct plane *r, usec_t now, struct stream *s)
{
    if (now - s->window >= FLOOD_WINDOW) {
        s->window = now;
        s->window_n = 0;
    }
    return s->window_n++ >= r->limits.max_pps / (USEC_S / FLOOD_WINDOW);
}

static void stranger(struct plane *r, struct stream *s, const struct addr *from)
{
    r->count.strangers++;
    if (s->said_stranger)
        return;
    s->said_stranger = true;
    plane_note(r, MEDIA_EV_STRANGER, s, from);
}

/* Whether RTCP comes from the party. It must have an address that SDP or RTP made known, so that it
 * cannot be drawn away before RTP flows. */
static bool accept_rtcp(struct plane *r, usec_t now, struct stream *s, const struct latch_packet *p,
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
static bool accept_rtp(struct plane *r, struct stream *s, const struct latch_packet *p)
{
    enum latch_verdict v = latch_rx(&s->rtp, p);
    if (v == LATCH_STRANGER)
        return false;
    s->heard = p->now;
    if (v == LATCH_LEARNT && (s->said_first || !addr_eq(p->from, &s->rtp.signalled)))
        plane_note(r, MEDIA_EV_LATCHED, s, p->from);
    if (!s->said_first) {
        s->said_first = true;
        plane_note(r, MEDIA_EV_FIRST, s, p->from);
    }
    return true;
}

/* ---- what becomes of it ---------------------------------------------------------------------- */

static int find_same(const struct stream *peer, const struct media_format *f)
{
    for (unsigned i = 0; i < peer->n_tx; i++)
        if (media_format_same(&peer->tx[i], f))
            return (int)i;
    return -1;
}

static bool is_law(uint8_t codec)
{
    return codec == CODEC_PCMU || codec == CODEC_PCMA;
}

static struct pass pass_of(const struct stream *peer, const struct media_format *f)
{
    const struct media_format *speech = plane_speech(peer);
    int same = find_same(peer, f);
    if (f->codec == CODEC_EVENT) {
        const struct media_format *keys = plane_keys(peer);
        if (keys)
            return (struct pass){.how = PASS_EVENT, .out = (uint8_t)(keys - peer->tx)};
        return (struct pass){.how = speech ? PASS_TONE : PASS_NOT, .out = 0};
    }
    if (same >= 0)
        return (struct pass){.how = PASS_ON, .out = (uint8_t)same};
    if (!speech || !codec_known(f->codec))
        return (struct pass){.how = PASS_NOT, .out = 0};
    bool laws = is_law(f->codec) && is_law(speech->codec);
    return (struct pass){.how = laws ? PASS_LAW : PASS_TRANS, .out = (uint8_t)(speech - peer->tx)};
}

static void pass_make(struct stream *s, const struct stream *peer)
{
    const struct media_format *speech = plane_speech(peer);
    for (unsigned i = 0; i < s->n_rx; i++) {
        s->pass[i] = pass_of(peer, &s->rx[i]);
        s->pass[i].clock_hz = speech ? speech->clock_hz : peer->tx[s->pass[i].out].clock_hz;
    }
    s->pass_ready = true;
}

static int format_of(const struct stream *s, uint8_t payload_type)
{
    for (unsigned i = 0; i < s->n_rx; i++)
        if (s->rx[i].pt == payload_type)
            return (int)i;
    return -1;
}

struct way {
    const struct shape *h;
    const struct media_format *in, *out;
    uint32_t clock_hz; /* of the peer's timestamps */
    uint8_t *payload;
    size_t n;
};

static struct egress_in number_in(const struct stream *s, const struct way *w)
{
    return (struct egress_in){.from = s->self,
                              .ssrc = w->h->ssrc,
                              .ts = w->h->ts,
                              .seq = w->h->seq,
                              .event = w->in->codec == CODEC_EVENT,
                              .clock_in_hz = w->in->clock_hz,
                              .clock_out_hz = w->clock_hz};
}

/* The packet becomes one of the stream that we send to the peer; false: it comes too late for it.
 */
static bool renumber(usec_t now, struct stream *s, struct stream *peer, const struct way *w,
                     uint8_t *bytes)
{
    struct turn before = turn_before(peer);
    struct egress_in ei = number_in(s, w);
    struct egress_out o = egress_follow(&peer->egress, now, &ei);
    if (o.stale)
        return false;
    if (!o.marker && is_law(w->out->codec) && w->n) {
        peer->told_codec = w->out->codec; /* as turn_pass() does: most packets are such */
        peer->told_last = w->payload[w->n - 1];
    } else if (!ei.event) {
        struct turn_payload p = {w->out->codec, o.marker, w->payload, w->n, before};
        turn_pass(now, s, peer, &p);
    } else if (o.marker && peer->mouth) {
        mouth_forget(peer->mouth); /* the rest of a packet: it would come behind the key */
    }
    bytes[1] = (uint8_t)(w->out->pt | (bytes[1] & 0x80) | (o.marker ? 0x80 : 0));
    be16_put(bytes + 2, o.seq);
    be32_put(bytes + 4, o.ts);
    be32_put(bytes + 8, peer->egress.ssrc);
    return true;
}

/* Where the payload ends: RFC 3550 section 5.1, padding. */
static size_t payload_end(const struct plane_packet *in, const struct shape *h)
{
    size_t pad = in->bytes[0] & 0x20 && in->n > h->header ? in->bytes[in->n - 1] : 0;
    return pad <= in->n - h->header ? in->n - pad : in->n;
}

/* An event lasts so many ticks of a clock, which may be another on the other side. */
static void event_scale(uint8_t *payload, size_t n, uint32_t in_hz, uint32_t out_hz)
{
    if (n < RTP_EVENT_BYTES || in_hz == out_hz)
        return;
    uint64_t duration = (uint64_t)be16_get(payload + 2) * out_hz / in_hz;
    be16_put(payload + 2, (uint16_t)(duration > UINT16_MAX ? UINT16_MAX : duration));
}

/* What becomes of a packet. */
enum { DROPPED, FORWARDED, USED };

/* Who holds, or hears something else, is spoken to all the same. */
static void tap_miss(usec_t now, const struct stream *s, struct stream *peer,
                     const struct plane_packet *in, const struct shape *h)
{
    int i = format_of(s, h->payload_type);
    if (!peer || !peer->tap || i < 0 || s->rx[i].codec == CODEC_EVENT)
        return;
    struct tap_packet p = {.codec = s->rx[i].codec,
                           .ssrc = h->ssrc,
                           .seq = h->seq,
                           .payload = in->bytes + h->header,
                           .n = payload_end(in, h) - h->header};
    (void)tap_lets(now, peer, &p);
}

/* Forwarded ones are changed in place. */
static int pass_on(struct plane *r, usec_t now, struct stream *s, struct stream *peer,
                   const struct plane_packet *in, const struct shape *h)
{
    if (!s->pass_ready)
        pass_make(s, peer);
    int i = format_of(s, h->payload_type);
    if (i < 0 || s->pass[i].how == PASS_NOT) {
        struct media_format none = {.clock_hz = CLOCK_HZ};
        struct way w = {.h = h, .in = i < 0 ? &none : &s->rx[i], .clock_hz = CLOCK_HZ};
        struct egress_in ei = number_in(s, &w);
        egress_skip(&peer->egress, &ei); /* the party does not miss it */
        r->count.unagreed++;
        return DROPPED;
    }
    /* RFC 3550 section 8.2: what comes back from who sends back all it hears, or from an address of
     * ours in its SDP, would go round for ever. */
    if (peer == s && h->ssrc == s->egress.ssrc) {
        r->count.loops++;
        return DROPPED;
    }
    const struct media_format *f = &s->rx[i], *out = &peer->tx[s->pass[i].out];
    uint8_t *payload = in->bytes + h->header;
    size_t n = payload_end(in, h) - h->header;
    if (peer->play && s->pass[i].how != PASS_TONE) {
        tap_miss(now, s, peer, in, h);
        return USED;
    }
    if (f->codec == CODEC_EVENT && tap_keeps_keys(s)) {
        struct way w = {.h = h, .in = f, .clock_hz = f->clock_hz};
        struct egress_in ei = number_in(s, &w);
        egress_skip(&peer->egress, &ei);
        return USED;
    }
    if (peer->tap && s->pass[i].how < PASS_EVENT &&
        !tap_lets(now, peer, &(struct tap_packet){f->codec, h->ssrc, h->seq, payload, n}))
        return USED;
    switch ((enum pass_how)s->pass[i].how) {
    case PASS_LAW:
        for (size_t k = 0; k < n; k++)
            payload[k] = codec_law_swap[f->codec == CODEC_PCMA][payload[k]];
        break;
    case PASS_EVENT:
        event_scale(payload, n, f->clock_hz, out->clock_hz);
        break;
    case PASS_TRANS:
        trans_rx(r, now, s, &(struct trans_in){peer, h, f, payload, n});
        return USED;
    case PASS_TONE:
    case PASS_NOT: /* keys_rx() has seen to it */
        return USED;
    case PASS_ON:
        break;
    }
    struct way w = {h, f, out, s->pass[i].clock_hz, payload, n};
    if (renumber(now, s, peer, &w, in->bytes))
        return FORWARDED;
    report_discarded(&s->report, h->seq);
    return DROPPED;
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* More than this a second nobody presses. */
static bool too_many_keys(usec_t now, struct stream *s)
{
    if (now - s->key_window >= USEC_S) {
        s->key_window = now;
        s->key_n = 0;
    }
    return s->key_n >= KEYS_PER_S || s->key_n++ >= KEYS_PER_S;
}

/* The peer has no telephone-event: it hears the key instead of what the party says. */
static void sound_key(struct plane *r, usec_t now, struct stream *peer, char digit)
{
    struct media_cmd c = {.kind = MEDIA_PLAY};
    c.play.n_items = 1;
    c.play.append = true;
    c.play.item[0] = (struct media_item){.kind = MEDIA_ITEM_DIGIT, .digit = digit};
    if (peer->play && !peer->play_keys)
        return;
    peer->play_keys = play_cmd(r, now, peer, &c) == 0;
    plane_tick_follow(r, now, peer);
}

/* Whoever listens at the tap does not wait for the tick. */
static void tap_hand(struct plane *r, usec_t now, struct stream *s, const struct plane_packet *in,
                     const struct shape *h)
{
    int i = format_of(s, h->payload_type);
    struct tap_packet p = {.ssrc = h->ssrc,
                           .seq = h->seq,
                           .payload = in->bytes + h->header,
                           .n = payload_end(in, h) - h->header};
    if (i < 0)
        return;
    p.codec = s->rx[i].codec;
    tap_rx(r, now, s, &p);
}

static void keys_rx(struct plane *r, usec_t now, struct stream *s, const struct plane_packet *in,
                    const struct shape *h)
{
    struct dtmf_packet k = {.seq = h->seq, .ts = h->ts, .marker = in->bytes[1] >> 7};
    struct dtmf_digit d;
    struct stream *peer = plane_peer(r, s);
    if (s->keys.started && !s->keys.ended && dtmf_rx_expire(&s->keys, now, &d))
        plane_note_key(r, s, d.digit, PLANE_KEY_UP); /* its end was lost */
    int i = format_of(s, h->payload_type);
    if (i < 0 || s->rx[i].codec != CODEC_EVENT ||
        rtp_event_parse(&k.event, in->bytes + h->header, in->n - h->header))
        return;
    unsigned what = dtmf_rx_event(&s->keys, now, &k, &d);
    if (!what || too_many_keys(now, s))
        return;
    if (what & DTMF_BEGIN)
        plane_note_key(r, s, d.digit, PLANE_KEY_DOWN);
    if (what & DTMF_END)
        plane_note_key(r, s, d.digit, PLANE_KEY_UP);
    if (what & DTMF_BEGIN && peer && peer->n_tx && !tap_keeps_keys(s) &&
        pass_of(peer, &s->rx[i]).how == PASS_TONE)
        sound_key(r, now, peer, d.digit);
}

/* Nothing is known of what one of the two sends or wants: bytes go on as they are. */
static bool untouched(const struct stream *s, const struct stream *peer)
{
    return s->n_rx == 0 || !peer || peer->n_tx == 0;
}

/* What is passed on to it has a hole here. */
static void follow_end(struct stream *peer)
{
    if (peer && peer->egress.following)
        egress_pause(&peer->egress);
}

static int route(struct plane *r, struct stream *s, const struct plane_packet *in,
                 const struct shape *h, usec_t now, struct plane_forward *ret)
{
    struct stream *peer = plane_peer(r, s);
    /* RFC 3264 section 5.1: RTCP goes on whatever the direction of the media is. */
    if (!h->rtcp && (!s->receiving || (peer && !peer->sending))) {
        r->count.one_way++;
        tap_miss(now, s, peer, in, h);
        follow_end(peer); /* what comes then is no gap in the numbers */
        return DROPPED;
    }
    bool to_rtcp = h->rtcp && peer && !peer->mux;
    const struct addr *to = peer ? latch_dest(to_rtcp ? &peer->rtcp : &peer->rtp) : NULL;
    if (!to || to->family != peer->family) {
        r->count.no_way++;
        if (!h->rtcp)
            follow_end(peer);
        return DROPPED;
    }
    *ret = (struct plane_forward){.to = *to, .port = peer->port, .is_rtcp = to_rtcp};
    return untouched(s, peer) ? FORWARDED : pass_on(r, now, s, peer, in, h);
}

/* Of the timestamps of this packet. What is no audio keeps to the clock of the audio. */
static uint32_t clock_of(const struct stream *s, uint8_t payload_type)
{
    if (s->n_rx == 0)
        return CLOCK_HZ;
    for (unsigned i = 0; i < s->n_rx; i++)
        if (s->rx[i].pt == payload_type && codec_known(s->rx[i].codec))
            return s->rx[i].clock_hz;
    return s->report.rx.clock_hz ? s->report.rx.clock_hz : s->rx[0].clock_hz;
}

static int rx_stream(struct plane *r, struct stream *s, const struct plane_packet *in,
                     struct latch_packet *from, struct plane_forward *ret)
{
    struct shape shape;
    if (!shape_read(&shape, in)) {
        r->count.malformed++;
        return DROPPED;
    }
    from->ssrc = shape.ssrc;
    from->seq = shape.seq;
    from->sequenced = !shape.rtcp;
    /* RTCP comes every few seconds, so its silence says less. */
    from->silence_us = r->limits.latch_silence_ms * USEC_MS * (shape.rtcp ? 5 : 1);
    if (shape.rtcp ? !accept_rtcp(r, from->now, s, from, !in->is_rtcp) : !accept_rtp(r, s, from)) {
        stranger(r, s, in->from);
        return DROPPED;
    }
    /* After the source check: a stranger must not use up the party's share. */
    if (flooding(r, from->now, s)) {
        r->count.flood++;
        return DROPPED;
    }
    if (!shape.rtcp) {
        s->stats.rx_packets++;
        s->stats.rx_bytes += in->n;
        s->stats.payload_type = shape.payload_type;
        report_rtp(&s->report, from->now, shape.ssrc, shape.seq, shape.ts,
                   clock_of(s, shape.payload_type));
    }
    /* With formats a leg is an RTP session of its own, and so is its RTCP. */
    const struct stream *peer = plane_peer(r, s);
    if (shape.rtcp && s->n_rx && (!peer || peer->n_tx)) {
        int err = report_rtcp(&s->report, from->now, in->bytes, in->n);
        r->count.malformed += err != 0;
        return err ? DROPPED : USED;
    }
    if (!shape.rtcp && s->n_rx && s->receiving) {
        keys_rx(r, from->now, s, in, &shape);
        if (shape.payload_type == s->g722_pt)
            turn_said(s, in->bytes + shape.header, payload_end(in, &shape) - shape.header);
        if (s->listen)
            listen_rx(s, from->now, &shape, in->bytes, payload_end(in, &shape));
        if (s->tap)
            tap_hand(r, from->now, s, in, &shape);
        if (s->room)
            return USED;
    }
    int out = route(r, s, in, &shape, from->now, ret);
    if (out == FORWARDED && !shape.rtcp) {
        struct stream *to = plane_at(r, s->peer);
        to->stats.tx_packets++;
        to->stats.tx_bytes += in->n;
        to->stats.tx_payload_type = in->bytes[1] & 0x7F;
        report_sent(&to->report, from->now, be32_get(in->bytes + 4), in->n - shape.header);
    }
    return out;
}

int plane_rx(struct plane *r, usec_t now, const struct plane_packet *in, struct plane_forward *ret)
{
    uint32_t index1 = r->by_port[in->port / 2];
    if (index1 == NO_STREAM) {
        r->count.no_stream++;
        return 0;
    }
    struct stream *s = plane_at(r, index1);
    struct latch_packet from = {.from = in->from, .now = now};
    int out = rx_stream(r, s, in, &from, ret);
    s->stats.dropped += out == DROPPED;
    return out == FORWARDED;
}
