/* Loss and jitter of what one stream receives (RFC 3550 A.3 and A.8), over all the SSRCs that it
 * has in a call: a transfer or a restarted phone brings another. */
#ifndef ENGINE_MEDIA_METER_H
#define ENGINE_MEDIA_METER_H

#include "base/timer.h"
#include "wire/rtp/seq.h"

struct meter {
    struct rtp_seq seq; /* of the present SSRC */
    uint32_t ssrc;
    uint32_t lost_before; /* of the SSRCs before it */
};

struct meter_packet {
    uint32_t ssrc, ts;
    uint16_t seq;
};

void meter_rx(struct meter *m, usec_t now, const struct meter_packet *p);
/* Never below 0: duplicates do not count as packets gained. */
uint32_t meter_lost(const struct meter *m);
/* At the 8000 Hz clock of telephony. */
uint32_t meter_jitter_us(const struct meter *m);

#endif
