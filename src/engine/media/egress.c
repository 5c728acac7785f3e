#include "engine/media/egress.h"

#include "wire/rtp/seq.h"

/* A packet so far from the one before belongs to a source that has begun anew. */
#define JUMP_SEQ 3000
#define JUMP_S   30

void egress_init(struct egress *e, uint32_t ssrc, uint16_t seq, uint32_t ts)
{
    *e = (struct egress){.ssrc = ssrc, .seq = seq, .ts = ts};
}

static uint32_t elapsed(const struct egress *e, usec_t now, uint32_t clock_hz)
{
    uint64_t us = now > e->at ? now - e->at : 0;
    return (uint32_t)(us * clock_hz / USEC_S);
}

/* A new source goes on where the last one stopped, as much later as time has passed. */
static struct egress_out begin(struct egress *e, usec_t now, uint32_t clock_hz)
{
    struct egress_out out = {.marker = true};
    if (e->started) {
        uint32_t gap = elapsed(e, now, clock_hz), least = e->step ? e->step : 1;
        e->ts += gap > least ? gap : least; /* behind the end of the packet before */
        e->seq++;
    }
    e->started = true;
    e->paused = false;
    e->at = now;
    out.seq = e->seq;
    out.ts = e->ts;
    return out;
}

static bool continues(const struct egress *e, const struct egress_in *in)
{
    uint16_t ahead = (uint16_t)(in->seq - e->in_seq), behind = (uint16_t)(e->in_seq - in->seq);
    int32_t ts = (int32_t)(in->ts - e->in_ts);
    int32_t most = (int32_t)(JUMP_S * in->clock_in_hz);
    return e->following && !e->paused && e->from == in->from && e->from_ssrc == in->ssrc &&
           (ahead < JUMP_SEQ || behind < JUMP_SEQ) && ts < most && ts > -most;
}

struct egress_out egress_follow(struct egress *e, usec_t now, const struct egress_in *in)
{
    struct egress_out out;
    if (!continues(e, in)) {
        out = begin(e, now, in->clock_out_hz);
        e->following = true;
        e->from = in->from;
        e->from_ssrc = in->ssrc;
        e->in_seq = in->seq;
        e->in_ts = in->ts;
        e->reach = 0;
        return out;
    }
    uint16_t behind = (uint16_t)(e->in_seq - in->seq);
    if (behind < JUMP_SEQ && behind > e->reach)
        return (struct egress_out){.stale = true}; /* its number is somebody else's */
    int64_t ticks = (int32_t)(in->ts - e->in_ts);
    if (in->clock_in_hz != in->clock_out_hz)
        ticks = ticks * in->clock_out_hz / in->clock_in_hz;
    out = (struct egress_out){.seq = (uint16_t)(e->seq + (uint16_t)(in->seq - e->in_seq)),
                              .ts = e->ts + (uint32_t)ticks};
    if (!rtp_seq_before(in->seq, e->in_seq)) { /* not a late one */
        uint32_t reach = (uint32_t)e->reach + (uint16_t)(in->seq - e->in_seq);
        e->reach = (uint16_t)(reach < JUMP_SEQ ? reach : JUMP_SEQ);
        if ((uint16_t)(in->seq - e->in_seq) == 1 && ticks > 0)
            e->step = (uint32_t)ticks;
        e->in_seq = in->seq;
        e->in_ts = in->ts;
        e->seq = out.seq;
        e->ts = out.ts;
        e->at = now;
    }
    return out;
}

void egress_pause(struct egress *e)
{
    e->paused = true;
}

struct egress_out egress_make(struct egress *e, usec_t now, uint32_t clock_hz, uint32_t ticks)
{
    if (!e->started || e->following || e->paused) {
        struct egress_out first = begin(e, now, clock_hz);
        e->following = false;
        e->step = ticks;
        return first;
    }
    e->seq++;
    e->ts += ticks;
    e->at = now;
    return (struct egress_out){.seq = e->seq, .ts = e->ts};
}

uint16_t egress_again(struct egress *e)
{
    egress_pause(e);
    return ++e->seq;
}
