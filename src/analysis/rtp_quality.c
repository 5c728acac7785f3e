/* Loss, order, jitter, gaps and drift of one stream, and what they mean for who listens. */
#include "analysis/rtp_int.h"

#include "engine/media/qos.h"

/* RFC 3550 A.1. */
#define MAX_DROPOUT  3000
#define MAX_MISORDER 100
#define WINDOW       64

#define JUMP_NS       (2000 * (int64_t)RTP_MS) /* more is another clock, not the way */
#define DRIFT_NS      (5000 * RTP_MS)          /* a window in which the least transit is found */
#define LEAST_SPAN_NS (20000 * RTP_MS)         /* drift is told if it was seen for so long */
#define GUESS_NS      (150 * RTP_MS)

/* What a listener adds to the way: packets of 20 ms, and a buffer of twice the jitter. */
#define ENDS_MS 40

/* ---- sequence numbers ------------------------------------------------------------------------ */

enum order { IN_ORDER, OUT_OF_ORDER, ASTRAY, REPEATED, RESTARTED };

/* The oldest n of the window are final. */
static void window_close(struct an_stream *s, struct burst *b, unsigned n)
{
    unsigned oldest = s->seq.window_n;
    for (unsigned i = 0; i < n && i < s->seq.window_n; i++) {
        if (s->seq.got >> --oldest & 1)
            burst_received(b);
        else
            burst_lost(b, 1);
    }
}

/* n more are expected, of which the last one is here. */
static void window_move(struct an_stream *s, unsigned n)
{
    struct an_seq *q = &s->seq;
    unsigned room = WINDOW - q->window_n;
    if (n > room) {
        window_close(s, &s->burst, n - room);
        q->window_n = (uint8_t)(q->window_n > n - room ? q->window_n - (n - room) : 0);
    }
    if (n > WINDOW) {
        burst_lost(&s->burst, n - WINDOW);
        n = WINDOW;
    }
    q->window_n = (uint8_t)(q->window_n + n);
    q->got = (n < WINDOW ? q->got << n : 0) | 1;
}

/* n packets in a row, up to seq. */
static void run_begin(struct an_stream *s, uint16_t seq, unsigned n)
{
    struct an_seq *q = &s->seq;
    /* Room below for those that were sent before the first that came. */
    q->max = 65536u + seq;
    q->base = q->max - (n - 1);
    q->received = n;
    q->got = n > 1 ? 3 : 1;
    q->window_n = (uint8_t)n;
    q->begun = true;
    q->jumped = false;
}

static void run_end(struct an_stream *s)
{
    const struct an_seq *q = &s->seq;
    uint32_t expected = q->max - q->base + 1;
    s->expected_before += expected;
    s->lost_before += expected > q->received ? expected - q->received : 0;
    window_close(s, &s->burst, q->window_n);
}

/* Far away: two packets in order there mean that the sender has begun anew. */
static enum order order_jumped(struct an_stream *s, uint16_t seq)
{
    struct an_seq *q = &s->seq;
    if (q->jumped && seq == q->jump)
        return REPEATED;
    if (!q->jumped || seq != (uint16_t)(q->jump + 1)) {
        q->jumped = true;
        q->jump = seq;
        s->strays++;
        return ASTRAY;
    }
    run_end(s);
    run_begin(s, seq, 2);
    s->strays--;
    s->restarts++;
    return RESTARTED;
}

static enum order order_behind(struct an_stream *s, unsigned behind)
{
    struct an_seq *q = &s->seq;
    if (behind < q->window_n) {
        uint64_t bit = 1ull << behind;
        if (q->got & bit)
            return REPEATED;
        q->got |= bit;
    } else if (q->max - behind < q->base) {
        q->base = q->max - behind; /* sent before the first that came */
        if (behind < WINDOW && q->window_n < WINDOW) {
            q->window_n = (uint8_t)(behind + 1);
            q->got |= 1ull << behind;
        }
    }
    q->received++;
    s->late++;
    return OUT_OF_ORDER;
}

static enum order order_find(struct an_stream *s, uint16_t seq)
{
    struct an_seq *q = &s->seq;
    if (__builtin_expect(!q->begun, 0)) {
        run_begin(s, seq, 1);
        return IN_ORDER;
    }
    int ahead = (int16_t)(uint16_t)(seq - (uint16_t)q->max);
    if (__builtin_expect(ahead == 1 && q->window_n == WINDOW, 1)) {
        if (q->got >> 63)
            burst_received(&s->burst);
        else
            burst_lost(&s->burst, 1);
        q->got = q->got << 1 | 1;
    } else if (ahead > 0 && ahead < MAX_DROPOUT) {
        window_move(s, (unsigned)ahead);
    } else if (ahead <= 0 && ahead > -MAX_MISORDER) {
        return order_behind(s, (unsigned)-ahead);
    } else {
        return order_jumped(s, seq);
    }
    q->max += (unsigned)ahead;
    q->received++;
    q->jumped = false;
    return IN_ORDER;
}

/* ---- times ----------------------------------------------------------------------------------- */

static void time_begin(struct an_stream *s, const struct rtp_in *in)
{
    struct an_timing *t = &s->time;
    t->known = true;
    t->ts = t->base_ts = in->ts;
    t->media_ns = 0;
    t->transit_ns = (int64_t)in->at_ns;
    t->window_from_ns = in->at_ns;
    t->least_ns = t->least_before_ns = t->transit_ns;
    s->drift.least_at_ns = in->at_ns;
    t->windows = 0;
}

/* The usual clocks of payload formats. */
static uint32_t clock_near(uint64_t hz)
{
    static const uint32_t clocks[] = {8000, 16000, 32000, 48000, 90000};
    for (unsigned i = 0; i < ARRAY_LEN(clocks); i++)
        if (hz > clocks[i] - clocks[i] / 8 && hz < clocks[i] + clocks[i] / 8)
            return clocks[i];
    return 0;
}

/* Nobody has said how fast the timestamps run: by the packets of a while. */
static void clock_guess(struct an_stream *s, struct an_format *f, const struct rtp_in *in)
{
    struct an_timing *t = &s->time;
    if (!t->known) {
        time_begin(s, in);
        return;
    }
    uint64_t ns = in->at_ns - t->window_from_ns;
    if (in->at_ns <= t->window_from_ns || ns < GUESS_NS)
        return;
    f->clock_hz = clock_near((uint64_t)(in->ts - t->ts) * 1000000000u / ns);
    if (f->clock_hz || ns > JUMP_NS)
        t->known = false;
}

/* The least transit of each window shows how the clock of the sender goes against ours. */
static void drift_rx(struct an_stream *s, uint64_t at_ns, int64_t transit_ns)
{
    struct an_timing *t = &s->time;
    struct an_drift *d = &s->drift;
    if (__builtin_expect(at_ns > t->window_from_ns + DRIFT_NS, 0)) {
        if (t->windows == 0) {
            d->first_least_ns = t->least_ns;
            d->first_least_at_ns = d->least_at_ns;
        }
        t->windows = (uint8_t)(t->windows < 2 ? t->windows + 1 : 2);
        d->last_least_ns = t->least_before_ns = t->least_ns;
        d->last_least_at_ns = d->least_at_ns;
        t->window_from_ns = at_ns;
        t->least_ns = transit_ns;
        d->least_at_ns = at_ns;
    } else if (transit_ns < t->least_ns) {
        t->least_ns = transit_ns;
        d->least_at_ns = at_ns;
    }
}

/* RFC 3550 A.8. Packets with the timestamp of the one before are parts of one frame or of one
 * telephone-event, and say nothing about the way. */
static void time_rx(struct an_stream *s, const struct rtp_in *in, enum order order)
{
    struct an_timing *t = &s->time;
    struct an_format *f = &s->format[s->current];
    if (__builtin_expect(!f->clock_hz, 0)) {
        clock_guess(s, f, in);
        return;
    }
    if (__builtin_expect(!t->known || order == RESTARTED, 0)) {
        time_begin(s, in);
        return;
    }
    int32_t step = (int32_t)(in->ts - t->ts);
    if (step == 0)
        return;
    int64_t media_ns = t->media_ns + (int64_t)step * 1000000000 / f->clock_hz;
    int64_t transit_ns = (int64_t)in->at_ns - media_ns, d = transit_ns - t->transit_ns;
    if (__builtin_expect(d > JUMP_NS || d < -JUMP_NS, 0)) {
        s->jumps++;
        time_begin(s, in);
        return;
    }
    t->transit_ns = transit_ns;
    if (order == IN_ORDER) {
        t->ts = in->ts;
        t->media_ns = media_ns;
        if (step > 0 && ((uint32_t)step < t->step_ts || !t->step_ts))
            t->step_ts = (uint32_t)step;
    }
    t->jitter_ns16 += (d < 0 ? -d : d) - ((t->jitter_ns16 + 8) >> 4);
    uint32_t jitter_us = (uint32_t)((uint64_t)t->jitter_ns16 / 16000u);
    t->jitter_sum_us += jitter_us;
    t->jitter_n++;
    t->most_jitter_us = jitter_us > t->most_jitter_us ? jitter_us : t->most_jitter_us;
    int64_t least = t->least_ns < t->least_before_ns ? t->least_ns : t->least_before_ns;
    s->overdue += transit_ns - least > (int64_t)(AN_RTP_OVERDUE_MS * RTP_MS);
    drift_rx(s, in->at_ns, transit_ns);
}

static void gap_rx(struct an_stream *s, uint64_t at_ns)
{
    if (at_ns <= s->last_ns)
        return;
    uint64_t gap_ns = at_ns - s->last_ns;
    if (__builtin_expect(gap_ns > AN_RTP_GAP_MS * RTP_MS, 0)) {
        uint64_t ms = gap_ns / RTP_MS;
        s->gaps++;
        s->gap_ms += (uint32_t)ms;
    }
    if (gap_ns > (uint64_t)s->most_gap_ms * RTP_MS + RTP_MS) {
        s->most_gap_ms = (uint32_t)(gap_ns / RTP_MS);
        s->most_gap_ns = s->last_ns;
    }
    s->last_ns = at_ns;
}

bool rtp_quality_rx(struct an_stream *s, const struct rtp_in *in)
{
    enum order order = order_find(s, in->seq);
    if (__builtin_expect(order == REPEATED, 0))
        return false;
    s->talkspurts += in->marker;
    gap_rx(s, in->at_ns);
    if (order != ASTRAY)
        time_rx(s, in, order);
    return true;
}

/* ---- summing up ------------------------------------------------------------------------------ */

static uint16_t part_e4(uint64_t part, uint64_t whole)
{
    uint64_t e4 = whole ? part * 10000 / whole : 0;
    return (uint16_t)(e4 > 10000 ? 10000 : e4);
}

/* The stream that goes the other way, at the same time: the latest of them. */
static const struct an_stream *reverse_of(const struct an_rtp *r, const struct an_stream *s)
{
    const struct rtp_place *p = rtp_place_get((struct an_rtp *)(uintptr_t)r, &s->src, false);
    uint32_t at = p ? p->receives : 0;
    for (unsigned i = 0; at && i < 8; i++) {
        const struct an_stream *o = rtp_stream(r, at);
        if (addr_eq(&o->src, &s->dst) && o->first_ns <= s->last_ns && s->first_ns <= o->last_ns)
            return o;
        at = r->link[at - 1].next_received;
    }
    return NULL;
}

/* Each half of the way there and back is measured where the capture was made. */
static uint32_t one_way_ms(const struct an_rtp *r, const struct an_stream *s)
{
    const struct an_stream *o = reverse_of(r, s);
    uint32_t us = s->rtcp.rtt_us + (o ? o->rtcp.rtt_us : 0);
    if (!us)
        us = s->rtcp.round_trip_ms * 1000u;
    return us / 2000 + ENDS_MS + 2 * s->jitter_us / 1000;
}

static void judge(const struct an_rtp *r, struct an_stream *s, const struct an_format *f)
{
    const struct qos_codec *c = f ? qos_codec_find(an_rtp_format_name(r, f)) : NULL;
    s->r_x10 = s->mos_x100 = AN_RTP_NO_MOS;
    if (!c)
        return;
    struct burst burst = s->burst;
    struct burst_metrics m;
    window_close(s, &burst, s->seq.window_n);
    burst_get(&burst, 20000, &m);
    struct qos_path p = {.one_way_ms = one_way_ms(r, s),
                         .loss_e4 = (uint32_t)s->loss_e4 + part_e4(s->overdue, s->expected),
                         .burst_x100 = m.burst_x100,
                         .ie_x10 = c->ie_x10,
                         .bpl_x10 = c->bpl_x10};
    s->r_x10 = (uint16_t)qos_r_factor(&p);
    s->mos_x100 = (uint16_t)qos_mos_x100(s->r_x10);
}

/* Transit that falls is a clock that is fast. */
static int32_t drift_ppm(const struct an_stream *s)
{
    const struct an_drift *d = &s->drift;
    if (s->time.windows < 2 || d->last_least_at_ns < d->first_least_at_ns + LEAST_SPAN_NS)
        return INT32_MAX;
    int64_t span_us = (int64_t)(d->last_least_at_ns - d->first_least_at_ns) / 1000;
    return (int32_t)((d->first_least_ns - d->last_least_ns) * 1000 / span_us);
}

void rtp_quality_settle(const struct an_rtp *r, struct an_stream *s)
{
    const struct an_seq *q = &s->seq;
    const struct an_format *f = an_stream_format(s);
    uint32_t expected = q->max - q->base + 1;
    s->expected = s->expected_before + expected;
    s->lost = s->lost_before + (expected > q->received ? expected - q->received : 0);
    s->loss_e4 = part_e4(s->lost, s->expected);
    s->mirrored = s->repeated > s->packets / 2 && s->repeated > 3;
    s->jitter_us = s->time.jitter_n ? (uint32_t)(s->time.jitter_sum_us / s->time.jitter_n) : 0;
    s->most_jitter_us = s->time.most_jitter_us;
    s->drift_ppm = drift_ppm(s);
    uint64_t all_ms = (s->last_ns - s->first_ns) / RTP_MS;
    uint32_t packet_ms = f && f->clock_hz ? (uint32_t)(s->time.step_ts * 1000ull / f->clock_hz) : 0;
    s->packet_ms = (uint16_t)(packet_ms > 1000 ? 1000 : packet_ms);
    all_ms = all_ms > s->gap_ms ? all_ms - s->gap_ms : 0;
    s->sound_ms = (uint32_t)all_ms + s->packet_ms;
    uint64_t silent_ms = s->silent_us / 1000;
    s->silent_ms = silent_ms < s->sound_ms ? (uint32_t)silent_ms : s->sound_ms;
    judge(r, s, f);
}

/* ---- one side of a leg ----------------------------------------------------------------------- */

/* Did the same source come through here before, at another place? */
static bool is_copy(const struct an_rtp *r, const uint32_t *list, uint32_t n, uint32_t i)
{
    const struct an_stream *s = an_rtp_stream(r, list[i]);
    for (uint32_t k = 0; k < n; k++) {
        const struct an_stream *o = an_rtp_stream(r, list[k]);
        if (k == i || o->ssrc != s->ssrc || addr_eq(&o->dst, &s->dst))
            continue;
        if (o->first_ns <= s->last_ns && s->first_ns <= o->last_ns &&
            (o->packets > s->packets || (o->packets == s->packets && k < i)))
            return true;
    }
    return false;
}

static bool on_side(const struct an_stream *s, uint32_t leg, unsigned side)
{
    for (unsigned i = 0; i < s->n_ties; i++)
        if (s->tie[i].leg == leg)
            return s->tie[i].side == side;
    return false;
}

void an_rtp_leg_side(const struct an_rtp *r, uint32_t leg, enum an_side side,
                     struct an_rtp_side *ret)
{
    uint32_t n;
    const uint32_t *list = an_rtp_leg(r, leg, &n);
    *ret = (struct an_rtp_side){.first_ns = AN_NEVER};
    for (uint32_t i = 0; i < n; i++) {
        const struct an_stream *s = an_rtp_stream(r, list[i]);
        if (!on_side(s, leg, side) || is_copy(r, list, n, i))
            continue;
        ret->streams++;
        ret->packets += s->packets;
        ret->lost += s->lost;
        ret->sound_ms += s->sound_ms;
        ret->silent_ms += s->silent_ms;
        ret->first_ns = s->first_ns < ret->first_ns ? s->first_ns : ret->first_ns;
        ret->last_ns = s->last_ns > ret->last_ns ? s->last_ns : ret->last_ns;
        if (s->mos_x100 && (!ret->worst_mos_x100 || s->mos_x100 < ret->worst_mos_x100))
            ret->worst_mos_x100 = s->mos_x100;
    }
}
