#include "engine/media/dtmf.h"

#include <errno.h>

#include "wire/rtp/seq.h"

#define MISORDER    100
#define STALE       (2 * USEC_S)
#define SEGMENT_MAX 0xFFFFu

static void tell(const struct dtmf_rx *r, struct dtmf_digit *ret)
{
    *ret = (struct dtmf_digit){
        .digit = rtp_event_char(r->event),
        .volume = r->volume,
        .duration = r->before + r->duration,
    };
}

/* Sent before what is known already. Far behind or long after it is a source that began anew. */
static bool is_old(const struct dtmf_rx *r, usec_t now, uint16_t seq)
{
    uint16_t behind = (uint16_t)(r->seq - seq);
    return behind <= MISORDER && now - r->heard < STALE;
}

/* RFC 4733 section 2.5.1.3: a long event goes on under the timestamp at which its last segment
 * ended, without a marker. That was at the longest duration, or at the last one that came. */
static bool goes_on(const struct dtmf_rx *r, const struct dtmf_packet *p)
{
    uint32_t after = p->ts - r->ts;
    return !r->ended && !p->marker && p->event.event == r->event &&
           (after == SEGMENT_MAX || (after == r->duration && r->duration > 0));
}

static unsigned update(struct dtmf_rx *r, const struct dtmf_packet *p, struct dtmf_digit *ret)
{
    if (r->ended)
        return 0;
    if (p->event.duration > r->duration)
        r->duration = p->event.duration;
    if (!p->event.end)
        return 0;
    r->ended = true;
    if (r->silent)
        return 0;
    tell(r, ret);
    return DTMF_END;
}

unsigned dtmf_rx_event(struct dtmf_rx *r, usec_t now, const struct dtmf_packet *p,
                       struct dtmf_digit *ret)
{
    if (!rtp_event_char(p->event.event))
        return 0;
    bool old = r->started && is_old(r, now, p->seq);
    /* Section 2.5.1.2: the packets of an event share its timestamp. */
    bool same = r->started && p->ts == r->ts && p->event.event == r->event;
    if (old && !same)
        return 0;
    r->heard = now;
    if (!old)
        r->seq = p->seq;
    if (same)
        return update(r, p, ret);
    if (r->started && goes_on(r, p)) {
        r->before += p->ts - r->ts;
        r->ts = p->ts;
        r->duration = 0;
        return update(r, p, ret);
    }
    *r = (struct dtmf_rx){
        .started = true,
        .ended = p->event.end,
        .seq = p->seq,
        .event = p->event.event,
        .volume = p->event.volume,
        .ts = p->ts,
        .duration = p->event.duration,
        .heard = now,
    };
    tell(r, ret);
    return p->event.end ? DTMF_BEGIN | DTMF_END : DTMF_BEGIN;
}

usec_t dtmf_rx_deadline(const struct dtmf_rx *r)
{
    return r->started && !r->ended && !r->silent ? r->heard + DTMF_SILENCE : USEC_NEVER;
}

unsigned dtmf_rx_expire(struct dtmf_rx *r, usec_t now, struct dtmf_digit *ret)
{
    usec_t due = dtmf_rx_deadline(r);
    if (due == USEC_NEVER || now < due)
        return 0;
    r->silent = true;
    tell(r, ret);
    return DTMF_END;
}

int dtmf_tx_start(struct dtmf_tx *t, const struct dtmf_order *o)
{
    int event = rtp_event_of_char(o->digit);
    if (event < 0 || o->rate_hz < 1000 || o->rate_hz > 192000)
        return -EINVAL;
    if (dtmf_tx_busy(t))
        return -EBUSY;
    uint32_t ms = o->ms < DTMF_MIN_MS ? DTMF_MIN_MS : o->ms > DTMF_MAX_MS ? DTMF_MAX_MS : o->ms;
    *t = (struct dtmf_tx){
        .event = (uint8_t)event,
        .volume = o->volume,
        .ends = DTMF_TX_ENDS,
        .marker = true,
        .ts = o->ts,
        .step = o->rate_hz * DTMF_TX_MS / 1000,
        .total = (uint64_t)ms * o->rate_hz / 1000,
    };
    return 0;
}

void dtmf_tx_end(struct dtmf_tx *t)
{
    if (t->marker)
        *t = (struct dtmf_tx){0};
    t->total = t->sent < SEGMENT_MAX ? t->sent : SEGMENT_MAX;
    t->sent = t->total;
}

bool dtmf_tx_next(struct dtmf_tx *t, struct dtmf_tx_packet *ret)
{
    if (!dtmf_tx_busy(t))
        return false;
    /* The segment was told to its end: the next one begins there (section 2.5.1.3). */
    if (t->sent > SEGMENT_MAX) {
        t->ts += SEGMENT_MAX;
        t->sent -= SEGMENT_MAX;
        t->total -= SEGMENT_MAX;
    }
    t->sent = t->sent + t->step < t->total ? t->sent + t->step : t->total;
    bool end = t->sent == t->total && t->total <= SEGMENT_MAX;
    struct rtp_event e = {
        .event = t->event,
        .end = end,
        .volume = t->volume,
        .duration = (uint16_t)(t->sent > SEGMENT_MAX ? SEGMENT_MAX : t->sent),
    };
    *ret = (struct dtmf_tx_packet){.ts = t->ts, .marker = t->marker};
    rtp_event_build(ret->payload, &e);
    t->marker = false;
    t->ends = (uint8_t)(t->ends - end);
    return true;
}
