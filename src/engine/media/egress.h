/* The numbers of what one stream sends: one SSRC, and a sequence and timestamps without a break,
 * wherever the sound comes from. A phone that hears first a tone, then a caller, then music and
 * another caller hears one stream (RFC 3550 section 7.1 lets a mixer do so). */
#ifndef ENGINE_MEDIA_EGRESS_H
#define ENGINE_MEDIA_EGRESS_H

#include "base/timer.h"

/* A telephone-event under way: all its packets have one timestamp (RFC 4733 section 2.5.1.2). */
struct egress_key {
    bool any;
    uint32_t ssrc, in_ts, ts;
    uint16_t in_seq; /* of the newest */
    uint64_t from;
};

struct egress {
    uint32_t ssrc;
    uint32_t ts;        /* the newest sent */
    uint32_t step;      /* how long the newest is, as far as known */
    uint32_t clock_hz;  /* that both count in */
    uint32_t base_ts;   /* the first since it began anew, */
    usec_t base_at;     /* and the time that it stands for */
    uint16_t seq;       /* of the newest packet */
    bool started;       /* something was sent */
    bool paused;        /* what comes next begins anew */
    bool following;     /* the last packet was somebody's, not one made here */
    uint32_t from_ssrc; /* whose: where in_* come from */
    uint16_t in_seq;
    uint16_t hole;  /* numbers left open since then, where packets of the source are missing */
    uint16_t reach; /* so far behind in_seq its first one is; stays at its most */
    uint32_t in_ts; /* which became ts */
    uint64_t from;  /* and of which stream */
    usec_t at;      /* when ts was sent first */
    struct egress_key key;
};

struct egress_in {
    uint64_t from; /* the stream that it came on: a number that tells sources apart */
    uint32_t ssrc, ts;
    uint16_t seq;
    bool event; /* its timestamp is that of its beginning */
    uint32_t clock_in_hz, clock_out_hz;
};

struct egress_out {
    uint16_t seq;
    uint32_t ts;
    bool marker; /* the source has changed: RFC 3551 section 4.1 */
    bool stale;  /* it belongs before what was sent first of this source: not to be sent */
};

void egress_init(struct egress *e, uint32_t ssrc, uint16_t seq, uint32_t ts);
/* The numbers of a packet that is passed on: gaps and order stay as they were. An event may come
 * between packets made here, and leaves their timestamps alone. */
struct egress_out egress_follow(struct egress *e, usec_t now, const struct egress_in *in);
/* A packet that the party cannot have and that therefore takes no number. */
void egress_skip(struct egress *e, const struct egress_in *in);
/* What was being made has ended: what comes next begins anew, as much later as time has passed. */
void egress_pause(struct egress *e);
/* A packet made here, `ticks` of the clock long. It begins where the one before ends if that was
 * made here too, or `skipped` later. */
struct egress_frame {
    uint32_t clock_hz, ticks, skipped;
};
struct egress_out egress_make(struct egress *e, usec_t now, const struct egress_frame *f);

/* One packet more at the same time: those of an event (RFC 4733 section 2.5.1.4). What is made
 * behind it begins anew. Its timestamp is that of the packet before. */
uint16_t egress_again(struct egress *e);

#endif
