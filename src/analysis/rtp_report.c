/* RTCP: what both ends say of a stream, and how long its reports take (RFC 3550 section 6, RFC
 * 3611). The parties are named by their SSRCs, so that it does not matter on which ports it comes.
 */
#include "analysis/rtp_int.h"

#include "wire/rtp/rtcp.h"

/* The stream with this SSRC between these hosts; in the other direction if `back`. Of several the
 * one heard last. */
static struct an_stream *find(struct an_rtp *r, const struct an_datum *d, uint32_t ssrc, bool back)
{
    const struct addr *src = back ? &d->dst : &d->src, *dst = back ? &d->src : &d->dst;
    struct an_stream *best = NULL;
    hash_each(node, &r->by_ssrc, rtp_ssrc_hash(r, ssrc, src, dst))
    {
        struct an_stream *s = container_of(node, struct an_stream, by_ssrc);
        if (s->ssrc == ssrc && addr_ip_eq(&s->src, src) && addr_ip_eq(&s->dst, dst) &&
            (!best || s->last_ns > best->last_ns))
            best = s;
    }
    return best;
}

static void rx_sender(struct an_rtp *r, const struct an_datum *d, const struct rtcp_packet *k)
{
    struct rtcp_sender sr;
    struct an_stream *s = rtcp_sender_get(&sr, k) == 0 ? find(r, d, sr.ssrc, false) : NULL;
    if (!s)
        return;
    s->rtcp.senders++;
    s->rtcp.sent_packets = sr.packets;
    s->rtcp.sr_mid = (uint32_t)(sr.ntp >> 16);
    s->rtcp.sr_ns = d->at_ns;
}

static void rx_round_trip(struct an_rtcp_view *v, const struct rtcp_report *b, uint64_t at_ns)
{
    if (!b->lsr || b->lsr != v->sr_mid || at_ns < v->sr_ns)
        return;
    uint64_t away_us = (at_ns - v->sr_ns) / 1000, held_us = (uint64_t)b->dlsr * 1000000 >> 16;
    /* Clocks of both differ, and a captured time is no better than its machine. */
    uint32_t us = away_us > held_us ? (uint32_t)(away_us - held_us) : 0;
    v->rtt_sum_us += us;
    v->rtt_n++;
    v->rtt_us = (uint32_t)(v->rtt_sum_us / v->rtt_n);
    v->rtt_most_us = us > v->rtt_most_us ? us : v->rtt_most_us;
}

static void rx_reports(struct an_rtp *r, const struct an_datum *d, const struct rtcp_packet *k)
{
    struct rtcp_report b;
    for (unsigned i = 0; rtcp_report_get(&b, k, i) == 0; i++) {
        struct an_stream *s = find(r, d, b.ssrc, true);
        if (!s)
            continue;
        struct an_rtcp_view *v = &s->rtcp;
        const struct an_format *f = an_stream_format(s);
        v->reports++;
        v->lost = b.lost;
        v->most_fraction = b.fraction > v->most_fraction ? b.fraction : v->most_fraction;
        if (f && f->clock_hz)
            v->jitter_us = (uint32_t)((uint64_t)b.jitter * 1000000 / f->clock_hz);
        rx_round_trip(v, &b, d->at_ns);
    }
}

static void rx_extended(struct an_rtp *r, const struct an_datum *d, const struct rtcp_packet *k)
{
    struct rtcp_xr_block x;
    struct rtcp_voip voip;
    for (size_t at = 0; rtcp_xr_next(&x, k, &at);) {
        struct an_stream *s = rtcp_voip_get(&voip, &x) == 0 ? find(r, d, voip.ssrc, true) : NULL;
        if (!s)
            continue;
        s->rtcp.round_trip_ms = voip.round_trip_ms;
        if (voip.mos_cq >= 10 && voip.mos_cq <= 50)
            s->rtcp.mos_x10 = voip.mos_cq;
    }
}

static void rx_bye(struct an_rtp *r, const struct an_datum *d, const struct rtcp_packet *k)
{
    uint32_t ssrc;
    for (unsigned i = 0; rtcp_bye_get(&ssrc, k, i) == 0; i++) {
        struct an_stream *s = find(r, d, ssrc, false);
        if (s)
            s->rtcp.bye = true;
    }
}

void rtp_report_rx(struct an_rtp *r, const struct an_datum *d)
{
    struct rtcp_packet k;
    if (!d->truncated && rtcp_check(d->bytes.p, d->bytes.n, true)) {
        r->stats.other++;
        return;
    }
    r->stats.rtcp++;
    for (size_t at = 0; rtcp_next(&k, d->bytes.p, d->bytes.n, &at);) {
        if (k.type == RTCP_SR)
            rx_sender(r, d, &k);
        if (k.type == RTCP_SR || k.type == RTCP_RR)
            rx_reports(r, d, &k);
        else if (k.type == RTCP_XR)
            rx_extended(r, d, &k);
        else if (k.type == RTCP_BYE)
            rx_bye(r, d, &k);
    }
}
