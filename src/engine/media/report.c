#include "engine/media/report.h"

#include <errno.h>

#include "wire/rtp/rtcp_build.h"

#define CLOCK_HZ       8000u
#define INTERVAL       (5 * USEC_S)
#define FIRST_INTERVAL (INTERVAL / 2)
#define UNKNOWN        127 /* RFC 3611 section 4.7: not available */
#define PACKET_MS      20
/* RX config: RFC 3611 section 4.7.6. How fast a buffer adapts is not told. */
#define STANDARD_PLC 0xC0
#define ADAPTIVE     0x30

/* splitmix64: times need no secret. */
static uint64_t random_next(struct report *r)
{
    uint64_t z = r->random += 0x9E3779B97F4A7C15u;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

/* RFC 3550 section 6.3.1: half to one and a half of the interval, divided by e - 3/2 because
 * reconsidering at each expiry makes it longer in the mean. */
static usec_t interval(struct report *r)
{
    usec_t t = r->reports ? INTERVAL : FIRST_INTERVAL;
    t = t / 2 + (t * (random_next(r) & 0xFFFF) >> 16);
    return t * 100000 / 121828;
}

void report_init(struct report *r, usec_t now, const struct report_setup *s)
{
    *r = (struct report){
        .rx.step_ts = UINT32_MAX,
        .rx.begun = now,
        .tx.ssrc = s->ssrc,
        .clock_hz = CLOCK_HZ,
        .random = s->seed,
        .last = now,
    };
    rtp_seq_init(&r->rx.seq, s->min_sequential);
    r->next = now + interval(r);
}

void report_codec_set(struct report *r, struct str codec, uint32_t clock_hz, uint32_t delay_ms)
{
    r->codec = qos_codec_find(codec);
    r->clock_hz = clock_hz ? clock_hz : CLOCK_HZ;
    r->delay_ms = delay_ms;
}

usec_t report_deadline(const struct report *r)
{
    return r->next;
}

bool report_due(struct report *r, usec_t now)
{
    if (now < r->next)
        return false;
    usec_t at = r->last + interval(r);
    if (at <= now)
        return true;
    r->next = at;
    return false;
}

static uint64_t ntp_of(const struct report_write *w, usec_t now)
{
    return w->ntp_offset + (now / USEC_S << 32) + ((now % USEC_S << 32) / USEC_S);
}

/* A block about the far end, if it was heard since the last one (RFC 3550 section 6.4). */
static unsigned block_of(struct report *r, usec_t now, struct rtcp_report *ret)
{
    struct report_rx *x = &r->rx;
    if (!x->known || !x->fresh)
        return 0;
    *ret = (struct rtcp_report){
        .ssrc = x->ssrc,
        .fraction = rtp_seq_fraction_take(&x->seq),
        .lost = rtp_seq_lost(&x->seq),
        .highest_seq = rtp_seq_extended(&x->seq),
        .jitter = rtp_seq_jitter(&x->seq),
    };
    usec_t held = now - x->sr_at;
    if (x->has_sr && x->sr_ssrc == x->ssrc && held < 65536 * USEC_S) {
        ret->lsr = x->sr_lsr;
        ret->dlsr = (uint32_t)((held << 16) / USEC_S);
    }
    x->fresh = false;
    return 1;
}

static void put_report(struct report *r, usec_t now, const struct report_write *w, struct buf *out)
{
    struct rtcp_report block;
    unsigned n = block_of(r, now, &block);
    /* RFC 3550 section 6.4: a sender is who sent since the last report but one. */
    if (r->tx.packets == r->tx.packets_at[1]) {
        rtcp_rr_build(out, r->tx.ssrc, &block, n);
    } else {
        struct rtcp_sender s = {
            .ssrc = r->tx.ssrc,
            .ntp = ntp_of(w, now),
            .ts = r->tx.ts + (uint32_t)((now - r->tx.at) * r->clock_hz / USEC_S),
            .packets = (uint32_t)r->tx.packets,
            .bytes = (uint32_t)r->tx.bytes,
        };
        rtcp_sr_build(out, &s, &block, n);
    }
    rtcp_cname_build(out, r->tx.ssrc, w->cname);
}

static uint16_t ms16(uint32_t ms)
{
    return ms > UINT16_MAX ? UINT16_MAX : (uint16_t)ms;
}

static void put_voip(const struct report *r, struct buf *out)
{
    struct report_quality q;
    report_quality(r, &q);
    uint32_t end_ms = r->buffer.max_ms ? r->buffer.nominal_ms + (uint32_t)PACKET_MS : r->delay_ms;
    uint8_t mos = UNKNOWN, mos_alone = UNKNOWN, factor = UNKNOWN;
    if (q.in.mos_x100) {
        struct qos_path alone = {.loss_e4 = q.burst.bad_e4,
                                 .burst_x100 = q.burst.burst_x100,
                                 .ie_x10 = r->codec->ie_x10,
                                 .bpl_x10 = r->codec->bpl_x10};
        factor = (uint8_t)((q.in.r_x10 + 5u) / 10);
        mos = (uint8_t)qos_mos_x10(q.in.r_x10);
        /* Listening quality is that without the delay. */
        mos_alone = (uint8_t)qos_mos_x10(qos_r_factor(&alone));
    }
    struct rtcp_voip v = {
        .ssrc = r->rx.ssrc,
        .loss_rate = q.burst.loss_rate,
        .discard_rate = q.burst.discard_rate,
        .burst_density = q.burst.burst_density,
        .gap_density = q.burst.gap_density,
        .burst_ms = q.burst.burst_ms,
        .gap_ms = q.burst.gap_ms,
        .round_trip_ms = ms16(q.rtt_us / 1000),
        .end_system_ms = ms16(end_ms),
        .signal_dbm = UNKNOWN,
        .noise_dbm = UNKNOWN,
        .rerl = UNKNOWN,
        .gmin = BURST_GMIN,
        .r_factor = factor,
        .ext_r_factor = UNKNOWN,
        .mos_lq = mos_alone,
        .mos_cq = mos,
        .rx_config = r->buffer.max_ms ? STANDARD_PLC | ADAPTIVE : 0,
        .jb_nominal_ms = r->buffer.nominal_ms,
        .jb_max_ms = r->buffer.max_ms,
        .jb_abs_max_ms = r->buffer.max_ms,
    };
    rtcp_xr_voip_build(out, r->tx.ssrc, &v);
}

static int written(struct report *r, struct report *before, struct buf *out, size_t from)
{
    if (!out->full)
        return 0;
    *r = *before;
    out->n = from;
    return -ENOSPC;
}

int report_make(struct report *r, usec_t now, const struct report_write *w, struct buf *out)
{
    struct report before = *r;
    size_t from = out->n;
    put_report(r, now, w, out);
    if ((w->flags & REPORT_XR) && r->rx.known && r->reports % 2)
        put_voip(r, out);
    if (written(r, &before, out, from))
        return -ENOSPC;
    report_passed(r, now, out->p + from, out->n - from);
    r->tx.packets_at[1] = r->tx.packets_at[0];
    r->tx.packets_at[0] = r->tx.packets;
    r->reports++;
    r->last = now;
    r->next = now + interval(r);
    return 0;
}

int report_bye(struct report *r, usec_t now, const struct report_write *w, struct str reason,
               struct buf *out)
{
    struct report before = *r;
    size_t from = out->n;
    if (r->tx.packets == 0 && r->reports == 0)
        return -ENOENT;
    put_report(r, now, w, out);
    rtcp_bye_build(out, r->tx.ssrc, reason);
    return written(r, &before, out, from);
}
