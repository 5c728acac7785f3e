/* RTP that comes in. */
#include "engine/media/report.h"

#define CLOCK_HZ 8000u

/* The oldest n of the window are final. Those of before the source began do not count. */
static void window_close(struct report_rx *x, struct burst *b, uint32_t n)
{
    uint32_t oldest = x->window_n;
    for (uint32_t i = 0; i < n && i < x->window_n; i++) {
        uint64_t bit = (uint64_t)1 << --oldest;
        if (x->unplayed & bit)
            burst_discarded(b);
        else if (x->got & bit)
            burst_received(b);
        else
            burst_lost(b, 1);
    }
}

/* n more are expected, of which the last one is here. */
static void window_move(struct report_rx *x, uint32_t n)
{
    uint32_t room = REPORT_WINDOW - x->window_n;
    if (n > room) {
        window_close(x, &x->burst, n - room);
        x->window_n = x->window_n > n - room ? x->window_n - (n - room) : 0;
    }
    if (n > REPORT_WINDOW) {
        burst_lost(&x->burst, n - REPORT_WINDOW);
        n = REPORT_WINDOW;
    }
    x->window_n += n;
    x->got = (n < 64 ? x->got << n : 0) | 1;
    x->unplayed = n < 64 ? x->unplayed << n : 0;
}

/* The source begins, or begins again. */
static void source_begin(struct report_rx *x, uint16_t seq)
{
    window_close(x, &x->burst, x->window_n);
    x->window_n = 1;
    x->got = 1;
    x->unplayed = 0;
    x->known = true;
    x->max_seq = seq;
}

static void source_new(struct report_rx *x, uint32_t ssrc)
{
    x->ssrc = ssrc;
    x->known = x->bye = x->fresh = false;
    rtp_seq_init(&x->seq, x->seq.min_sequential);
}

/* False for what was there already. */
static bool rx_late(struct report_rx *x, uint16_t seq)
{
    uint16_t behind = (uint16_t)(x->max_seq - seq);
    if (behind >= x->window_n)
        return true; /* too late to tell */
    uint64_t bit = (uint64_t)1 << behind;
    if (x->got & bit) {
        x->duplicates++;
        return false;
    }
    x->got |= bit;
    return true;
}

static void rx_next(struct report_rx *x, uint16_t seq)
{
    uint16_t n = (uint16_t)(seq - x->max_seq);
    x->max_seq = seq;
    if (__builtin_expect(n == 1 && x->window_n == REPORT_WINDOW && !(x->unplayed >> 63), 1)) {
        if (x->got >> 63)
            burst_received(&x->burst);
        else
            burst_lost(&x->burst, 1);
        x->got = x->got << 1 | 1;
        x->unplayed <<= 1;
    } else {
        window_move(x, n);
    }
}

/* RFC 3550 A.8. Packets with the timestamp of the one before are parts of the same frame, or of one
 * telephone-event (RFC 4733), and say nothing about the way. */
static void rx_time(struct report *r, usec_t now, uint32_t ts, uint32_t clock_hz)
{
    struct report_rx *x = &r->rx;
    uint32_t step = ts - x->ts - 1;
    if (__builtin_expect(clock_hz != x->clock_hz, 0)) {
        x->seq.jitter = 0;
        x->seq.has_transit = false;
        x->clock_hz = clock_hz;
        x->step_ts = UINT32_MAX;
    } else if (step == UINT32_MAX) {
        return;
    } else {
        x->step_ts = step < x->step_ts ? step : x->step_ts;
    }
    x->ts = ts;
    rtp_seq_rx_time(&x->seq, ts, (uint32_t)((now - r->rx.begun) * clock_hz / USEC_S));
}

void report_rtp(struct report *r, usec_t now, uint32_t ssrc, uint16_t seq, uint32_t ts,
                uint32_t clock_hz)
{
    struct report_rx *x = &r->rx;
    if (__builtin_expect(ssrc != x->ssrc || !x->seq.started, 0))
        source_new(x, ssrc);
    x->packets++;
    uint32_t restarts = x->seq.restarts;
    enum rtp_seq_verdict v = rtp_seq_rx(&x->seq, seq);
    if (v == RTP_SEQ_OK) {
        x->fresh = true;
        if (__builtin_expect(!x->known || restarts != x->seq.restarts, 0))
            source_begin(x, seq);
        else
            rx_next(x, seq);
        rx_time(r, now, ts, clock_hz);
    } else if (v == RTP_SEQ_LATE && x->known && rx_late(x, seq)) {
        rtp_seq_rx_time(&x->seq, ts, (uint32_t)((now - r->rx.begun) * x->clock_hz / USEC_S));
    }
}

void report_discarded(struct report *r, uint16_t seq)
{
    struct report_rx *x = &r->rx;
    uint16_t behind = (uint16_t)(x->max_seq - seq);
    uint64_t bit = (uint64_t)1 << (behind % 64);
    if (behind >= x->window_n || !(x->got & bit) || (x->unplayed & bit))
        return;
    x->unplayed |= bit;
    x->discarded++;
}

uint32_t report_expected(const struct report *r)
{
    return r->rx.burst.expected + r->rx.window_n;
}

uint32_t report_lost(const struct report *r)
{
    const struct report_rx *x = &r->rx;
    uint64_t ours = x->window_n < 64 ? ((uint64_t)1 << x->window_n) - 1 : UINT64_MAX;
    return x->burst.lost + x->window_n - (uint32_t)__builtin_popcountll(x->got & ours);
}

uint32_t report_jitter_us(const struct report *r)
{
    uint32_t hz = r->rx.clock_hz ? r->rx.clock_hz : CLOCK_HZ;
    return (uint32_t)((uint64_t)rtp_seq_jitter(&r->rx.seq) * USEC_S / hz);
}

void report_burst(const struct report *r, struct burst_metrics *ret)
{
    const struct report_rx *x = &r->rx;
    struct report_rx end = *x;
    window_close(&end, &end.burst, end.window_n);
    uint32_t packet_us = 20000; /* unless two packets have shown it */
    if (x->step_ts != UINT32_MAX && x->clock_hz)
        packet_us = (uint32_t)(((uint64_t)x->step_ts + 1) * USEC_S / x->clock_hz);
    burst_get(&end.burst, packet_us, ret);
}
