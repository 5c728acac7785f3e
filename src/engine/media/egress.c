#include "engine/media/egress.h"

#include "wire/rtp/seq.h"

/* A packet so far from the one before belongs to a source that has begun anew. */
#define JUMP_SEQ 3000
#define JUMP_S   30
/* So much more than has passed a timestamp may leap. */
#define LEAP_US (2 * USEC_S)
/* So far the time of a timestamp may be from that of its packet. */
#define AHEAD_US  (200 * USEC_MS)
#define BEHIND_US (100 * USEC_MS)

void egress_init(struct egress *e, uint32_t ssrc, uint16_t seq, uint32_t ts)
{
    *e = (struct egress){.ssrc = ssrc, .seq = seq, .ts = ts};
}

/* The time that the newest timestamp stands for: packets come in bursts and late, sound does not.
 */
static usec_t time_of(const struct egress *e)
{
    uint64_t us = (uint64_t)(e->ts - e->base_ts) * USEC_S / (e->clock_hz ? e->clock_hz : 8000);
    usec_t at = e->base_at + us;
    return at + BEHIND_US < e->at  ? e->at - BEHIND_US
           : at > e->at + AHEAD_US ? e->at + AHEAD_US
                                   : at;
}

/* From the newest timestamp to now, but not less than the packet that has it is long. By what that
 * is too much the timestamps are ahead, which the next such gap makes good: else each change would
 * add to the delay. */
static uint32_t gap_of(const struct egress *e, usec_t now, uint32_t clock_hz)
{
    usec_t from = time_of(e), us = now > from ? now - from : 0;
    uint64_t gap = us * clock_hz / USEC_S, least = e->step ? e->step : 1;
    if (e->clock_hz && e->clock_hz != clock_hz)
        least = least * clock_hz / e->clock_hz;
    return (uint32_t)(gap > least ? gap : least);
}

/* The number after the last that was sent: what egress_skip() left open was the old source's. */
static uint16_t next_seq(struct egress *e)
{
    e->seq = (uint16_t)(e->seq - e->hole + 1);
    e->hole = 0;
    return e->seq;
}

/* A new source goes on where the last one stopped, as much later as time has passed. */
static struct egress_out begin(struct egress *e, usec_t now, uint32_t clock_hz)
{
    usec_t at = now;
    if (e->started) {
        uint32_t gap = gap_of(e, now, clock_hz);
        at = time_of(e) + (uint64_t)gap * USEC_S / clock_hz;
        e->ts += gap;
        (void)next_seq(e);
    }
    e->base_ts = e->ts;
    e->base_at = at;
    e->clock_hz = clock_hz;
    e->started = true;
    e->paused = false;
    e->at = now;
    return (struct egress_out){.seq = e->seq, .ts = e->ts, .marker = true};
}

/* Goes the time of the source on as it should? Packets that overtook each other say nothing. */
static bool in_time(const struct egress *e, usec_t now, const struct egress_in *in)
{
    int64_t ticks = (int32_t)(in->ts - e->in_ts), hz = in->clock_in_hz;
    if (ticks > hz)
        return ticks <= JUMP_S * hz &&
               ticks * (int64_t)USEC_S <= (int64_t)(now - e->at + LEAP_US) * hz;
    return ticks >= 0 || (in->event && ticks > -JUMP_S * 2 * hz);
}

static bool continues(const struct egress *e, usec_t now, const struct egress_in *in)
{
    uint16_t ahead = (uint16_t)(in->seq - e->in_seq), behind = (uint16_t)(e->in_seq - in->seq);
    if (!e->following || e->paused || e->from != in->from || e->from_ssrc != in->ssrc)
        return false;
    return ahead < JUMP_SEQ ? in_time(e, now, in) : behind < JUMP_SEQ;
}

static bool same_key(const struct egress *e, const struct egress_in *in)
{
    return e->key.any && e->key.from == in->from && e->key.ssrc == in->ssrc &&
           e->key.in_ts == in->ts;
}

static void note_key(struct egress *e, const struct egress_in *in, uint32_t ts)
{
    e->key = (struct egress_key){.any = true,
                                 .from = in->from,
                                 .ssrc = in->ssrc,
                                 .in_ts = in->ts,
                                 .in_seq = in->seq,
                                 .ts = ts};
}

/* An event between packets made here: it begins where the sound stands. */
static struct egress_out between(struct egress *e, usec_t now, const struct egress_in *in)
{
    bool begins = !same_key(e, in);
    if (!begins && rtp_seq_before(in->seq, e->key.in_seq))
        return (struct egress_out){.stale = true};
    note_key(e, in, begins ? e->ts + gap_of(e, now, in->clock_out_hz) : e->key.ts);
    return (struct egress_out){.seq = next_seq(e), .ts = e->key.ts, .marker = begins};
}

static struct egress_out start(struct egress *e, usec_t now, const struct egress_in *in)
{
    struct egress_out out = begin(e, now, in->clock_out_hz);
    e->following = true;
    e->from = in->from;
    e->from_ssrc = in->ssrc;
    e->in_seq = in->seq;
    e->in_ts = in->ts;
    e->reach = 0;
    if (in->event)
        note_key(e, in, out.ts);
    return out;
}

struct egress_out egress_follow(struct egress *e, usec_t now, const struct egress_in *in)
{
    if (in->event && e->started && (same_key(e, in) || (!e->following && !e->paused)) &&
        !continues(e, now, in))
        return between(e, now, in);
    if (!continues(e, now, in))
        return start(e, now, in);
    uint16_t behind = (uint16_t)(e->in_seq - in->seq);
    if (behind < JUMP_SEQ && behind > e->reach)
        return (struct egress_out){.stale = true}; /* its number is somebody else's */
    int64_t ticks = (int32_t)(in->ts - e->in_ts);
    if (in->clock_in_hz != in->clock_out_hz)
        ticks = ticks * in->clock_out_hz / in->clock_in_hz;
    struct egress_out out = {.seq = (uint16_t)(e->seq + (uint16_t)(in->seq - e->in_seq)),
                             .ts = e->ts + (uint32_t)ticks};
    if (in->event)
        note_key(e, in, out.ts);
    if (!rtp_seq_before(in->seq, e->in_seq)) { /* not a late one */
        uint32_t reach = (uint32_t)e->reach + (uint16_t)(in->seq - e->in_seq);
        e->reach = (uint16_t)(reach < JUMP_SEQ ? reach : JUMP_SEQ);
        if ((uint16_t)(in->seq - e->in_seq) == 1 && ticks > 0 && ticks <= in->clock_out_hz / 5)
            e->step = (uint32_t)ticks;
        e->in_seq = in->seq;
        e->seq = out.seq;
        e->hole = 0;
        if (ticks > 0) {
            e->in_ts = in->ts;
            e->ts = out.ts;
            e->at = now;
        }
    }
    return out;
}

void egress_skip(struct egress *e, const struct egress_in *in)
{
    uint16_t ahead = (uint16_t)(in->seq - e->in_seq);
    if (!e->following || e->from != in->from || e->from_ssrc != in->ssrc || ahead == 0 ||
        ahead >= JUMP_SEQ)
        return;
    e->seq = (uint16_t)(e->seq + ahead - 1);
    e->hole = (uint16_t)(e->hole + ahead - 1);
    e->in_seq = in->seq;
    e->reach = 0; /* those before it would take numbers that are gone */
}

void egress_pause(struct egress *e)
{
    e->paused = true;
}

struct egress_out egress_make(struct egress *e, usec_t now, const struct egress_frame *f)
{
    struct egress_out out;
    if (!e->started || e->following || e->paused) {
        out = begin(e, now, f->clock_hz);
        e->following = false;
    } else {
        (void)next_seq(e);
        e->ts += e->step + f->skipped;
        e->at = now;
        out = (struct egress_out){.seq = e->seq, .ts = e->ts};
    }
    e->step = f->ticks;
    return out;
}

uint16_t egress_again(struct egress *e)
{
    egress_pause(e);
    return next_seq(e);
}
