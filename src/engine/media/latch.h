/* Symmetric RTP (RFC 4961, with the cautions of RFC 7362): from which address one RTP or RTCP path
 * is accepted, and to which it is sent. The address in SDP is preferred; the first valid packet may
 * teach another (a phone behind NAT); after that everybody else is a stranger. */
#ifndef ENGINE_MEDIA_LATCH_H
#define ENGINE_MEDIA_LATCH_H

#include "base/addr.h"
#include "base/timer.h"

/* So many packets in a row must continue the stream before a new address takes over a silent one.
 */
#define LATCH_TRIAL 3

struct latch {
    struct addr signalled; /* the last usable address of SDP; ADDR_NONE: none yet */
    struct addr source;    /* who is heard; ADDR_NONE: nobody yet */
    struct addr old;       /* who was heard before SDP named another address */
    usec_t old_until;      /* until then `old` is heard but not learnt again */
    usec_t heard;          /* last packet accepted from `source` */
    uint32_t ssrc;         /* of that packet */
    uint16_t seq;
    uint16_t trial_seq;
    uint8_t trial_n;
    struct addr trial; /* who tries to continue a silent stream */
    bool learn;        /* symmetric: send to `source`, wherever SDP points */
    bool open;         /* SDP's address is usable now; false: on hold by 0.0.0.0, or unknown */
};

struct latch_packet {
    const struct addr *from;
    usec_t now;
    usec_t silence_us; /* a source this long silent may be replaced */
    uint32_t ssrc;
    uint16_t seq;
    bool sequenced; /* RTP; RTCP carries no sequence number */
};

enum latch_verdict {
    LATCH_STRANGER, /* ignore the packet */
    LATCH_HEARD,    /* accept it */
    LATCH_LEARNT    /* accept it; `source` is new */
};

/* What SDP says now. An address that cannot be sent to (unknown, 0.0.0.0, port 0, multicast) closes
 * the way out and keeps what was learnt, so the end of a hold finds it again. grace_us: how long
 * packets of the former source may still be under way when the address changes. */
void latch_set(struct latch *l, const struct addr *signalled, bool learn, usec_t now,
               usec_t grace_us);
/* Judges one packet that is already known to be well-formed. */
enum latch_verdict latch_rx(struct latch *l, const struct latch_packet *p);
/* Where to send, or NULL: nowhere. */
const struct addr *latch_dest(const struct latch *l);
/* Whether `a` has the IP address of SDP or of the source. */
bool latch_knows_ip(const struct latch *l, const struct addr *a);

#endif
