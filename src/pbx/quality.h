/* How the media of a call were: rows of the table call_quality, one for each stream of a leg and
 * direction. The media plane measures (engine/media/report.h: RTCP of RFC 3550, XR of RFC 3611, R
 * and MOS of ITU-T G.107); its last figures come when a stream is closed, and by then the leg may
 * be gone. So what the row will say besides is kept here until they do. */
#ifndef PBX_QUALITY_H
#define PBX_QUALITY_H

#include "pbx/pbx_int.h"

struct leg;

/* Who had a port pair, while its stream is being closed. */
struct quality_owner {
    media_id id; /* 0: nobody */
    uint8_t record[16], leg, stream;
};
#define QUALITY_PAIRS 32768 /* one entry for each: more cannot be open */

/* One direction of one stream. */
struct quality_row {
    bool out; /* what the party gets, as it reports; else what it sends, as measured here */
    uint8_t leg, stream;
    struct str codec;        /* of what came or went last, as in SDP; none: not known */
    uint64_t packets, bytes; /* RTP */
    bool known;              /* the next three were measured */
    uint32_t lost, discarded, jitter_us;
    uint32_t rtt_n, rtt_mean_us, rtt_max_us; /* rtt_n 0: never measured */
    uint16_t r_x10, mos_x100;                /* 0: not measured */
    uint32_t late, concealed;                /* frames; of `in` alone */
};
/* Both directions of a stream, `in` first. */
void quality_rows(struct quality_row ret[2], const struct media_stats *s);

/* Stream `i` of the leg is about to be closed. */
void quality_close(struct pbx *p, const struct leg *leg, unsigned i);
/* MEDIA_EV_CLOSED: writes the rows of what carried packets. */
void quality_closed(struct pbx *p, const struct media_ev *ev);

#endif
