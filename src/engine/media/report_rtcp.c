/* RTCP that comes in. */
#include <errno.h>

#include "engine/media/report.h"

#define SKEW_MAX (5 * USEC_MS)

static bool xr_fits(const struct rtcp_packet *k)
{
    struct rtcp_xr_block x;
    size_t at = 0;
    while (rtcp_xr_next(&x, k, &at))
        ;
    return at + 4 == k->body_bytes;
}

/* All that will be read is there, so that nothing is taken of a packet that is half good. */
static int check(const void *bytes, size_t n)
{
    struct rtcp_packet k;
    struct rtcp_sender sender;
    struct rtcp_report report;
    uint32_t ssrc;
    int err = rtcp_check(bytes, n, true); /* RFC 5506: also without a report in front */
    for (size_t at = 0; !err && rtcp_next(&k, bytes, n, &at);) {
        if (k.type == RTCP_SR)
            err = rtcp_sender_get(&sender, &k);
        if (!err && (k.type == RTCP_RR || k.type == RTCP_XR))
            err = rtcp_ssrc_get(&ssrc, &k);
        if (!err && (k.type == RTCP_SR || k.type == RTCP_RR) && k.count)
            err = rtcp_report_get(&report, &k, k.count - 1u);
        if (!err && k.type == RTCP_XR && !xr_fits(&k))
            err = -EBADMSG;
        if (!err && k.type == RTCP_BYE && k.count)
            err = rtcp_bye_get(&ssrc, &k, k.count - 1u);
    }
    return err ? -EBADMSG : 0;
}

/* Before RTP has shown who the far end is, anybody may be. */
static bool from_far_end(struct report *r, uint32_t ssrc)
{
    if (!r->rx.known || ssrc == r->rx.ssrc)
        return true;
    r->strangers++;
    return false;
}

/* The sender report that the far end refers to, measured by our clock, so that neither a step of
 * the wall clock nor an invented time does harm. RFC 3550 section 6.4.1. */
static void round_trip(struct report *r, usec_t now, const struct rtcp_report *b)
{
    for (size_t i = 0; b->lsr && i < REPORT_SENT && i < r->sent_n; i++) {
        if (r->sent[i].lsr != b->lsr)
            continue;
        usec_t gone = now - r->sent[i].at, held = (usec_t)b->dlsr * USEC_S >> 16;
        /* Two clocks do not run alike; more than that is no truth. */
        if (held > gone + SKEW_MAX || gone > held + 60 * USEC_S)
            return;
        uint32_t us = gone > held ? (uint32_t)(gone - held) : 0;
        r->rtt.last_us = us;
        r->rtt.max_us = us > r->rtt.max_us ? us : r->rtt.max_us;
        r->rtt.sum_us += us;
        r->rtt.n++;
        return;
    }
}

static void rx_blocks(struct report *r, usec_t now, const struct rtcp_packet *k)
{
    struct rtcp_report b;
    for (unsigned i = 0; i < k->count; i++) {
        if (rtcp_report_get(&b, k, i) || b.ssrc != r->tx.ssrc)
            continue;
        r->far.reported = true;
        r->far.fraction = b.fraction;
        r->far.lost = b.lost > 0 ? (uint32_t)b.lost : 0;
        r->far.jitter = b.jitter;
        round_trip(r, now, &b);
    }
}

static void rx_sender(struct report *r, usec_t now, const struct rtcp_packet *k)
{
    struct rtcp_sender s;
    if (k->type != RTCP_SR || rtcp_sender_get(&s, k))
        return;
    r->rx.has_sr = true;
    r->rx.sr_ssrc = s.ssrc;
    r->rx.sr_lsr = (uint32_t)(s.ntp >> 16);
    r->rx.sr_at = now;
}

static void rx_voip(struct report *r, const struct rtcp_packet *k)
{
    struct rtcp_xr_block x;
    struct rtcp_voip v;
    for (size_t at = 0; rtcp_xr_next(&x, k, &at);) {
        if (rtcp_voip_get(&v, &x) || v.ssrc != r->tx.ssrc)
            continue;
        r->far.voip = v;
        r->far.has_voip = true;
    }
}

static void rx_bye(struct report *r, const struct rtcp_packet *k)
{
    uint32_t ssrc;
    for (unsigned i = 0; i < k->count; i++)
        if (rtcp_bye_get(&ssrc, k, i) == 0 && r->rx.known && ssrc == r->rx.ssrc)
            r->rx.bye = true;
}

int report_rtcp(struct report *r, usec_t now, const void *bytes, size_t n)
{
    struct rtcp_packet k;
    uint32_t ssrc;
    if (check(bytes, n))
        return -EBADMSG;
    for (size_t at = 0; rtcp_next(&k, bytes, n, &at);) {
        if (k.type == RTCP_BYE) {
            rx_bye(r, &k);
        } else if (k.type == RTCP_SR || k.type == RTCP_RR || k.type == RTCP_XR) {
            if (rtcp_ssrc_get(&ssrc, &k) || !from_far_end(r, ssrc))
                continue;
            rx_sender(r, now, &k);
            if (k.type == RTCP_XR)
                rx_voip(r, &k);
            else
                rx_blocks(r, now, &k);
        }
    }
    return 0;
}

void report_passed(struct report *r, usec_t now, const void *bytes, size_t n)
{
    struct rtcp_packet k;
    struct rtcp_sender s;
    for (size_t at = 0; rtcp_next(&k, bytes, n, &at);) {
        if (k.type != RTCP_SR || rtcp_sender_get(&s, &k) || s.ssrc != r->tx.ssrc)
            continue;
        r->sent[r->sent_n % REPORT_SENT].lsr = (uint32_t)(s.ntp >> 16);
        r->sent[r->sent_n++ % REPORT_SENT].at = now;
    }
}
