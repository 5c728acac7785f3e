/* The numbers of what one stream sends: one SSRC, and a sequence and timestamps without a break,
 * wherever the sound comes from. A phone that hears first a tone, then a caller, then music and
 * another caller hears one stream (RFC 3550 section 7.1 lets a mixer do so). */
#ifndef ENGINE_MEDIA_EGRESS_H
#define ENGINE_MEDIA_EGRESS_H

#include "base/timer.h"

struct egress {
    uint32_t ssrc;
    uint32_t ts;        /* of the newest packet sent */
    uint32_t step;      /* how long the newest is, as far as known */
    uint16_t seq;       /* likewise */
    bool started;       /* something was sent */
    bool paused;        /* what comes next begins anew */
    bool following;     /* the last packet was somebody's, not one made here */
    uint32_t from_ssrc; /* whose: where in_* come from */
    uint16_t in_seq;
    uint16_t reach; /* so far behind in_seq its first one is; stays at its most */
    uint32_t in_ts;
    uint64_t from; /* and of which stream */
    usec_t at;     /* when the newest was sent */
};

struct egress_in {
    uint64_t from; /* the stream that it came on: a number that tells sources apart */
    uint32_t ssrc, ts;
    uint16_t seq;
    uint32_t clock_in_hz, clock_out_hz;
};

struct egress_out {
    uint16_t seq;
    uint32_t ts;
    bool marker; /* the source has changed: RFC 3551 section 4.1 */
    bool stale;  /* it belongs before what was sent first of this source: not to be sent */
};

void egress_init(struct egress *e, uint32_t ssrc, uint16_t seq, uint32_t ts);
/* The numbers of a packet that is passed on: gaps and order stay as they were. */
struct egress_out egress_follow(struct egress *e, usec_t now, const struct egress_in *in);
/* What was being made has ended: what comes next begins anew, as much later as time has passed. */
void egress_pause(struct egress *e);
/* The numbers of a packet made here, `ticks` of the clock behind the one before if that was made
 * here too. */
struct egress_out egress_make(struct egress *e, usec_t now, uint32_t clock_hz, uint32_t ticks);

/* One packet more at the same time: those of an event (RFC 4733 section 2.5.1.4). What is made
 * behind it begins anew. Its timestamp is that of the packet before. */
uint16_t egress_again(struct egress *e);

#endif
