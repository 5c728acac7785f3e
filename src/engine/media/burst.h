/* Whether losses come one by one or together: the gap and burst metrics of RFC 3611 section 4.7.2.
 * Zeroed at the beginning; fed with each expected packet in the order of the sequence numbers. */
#ifndef ENGINE_MEDIA_BURST_H
#define ENGINE_MEDIA_BURST_H

#include <stdint.h>

/* So many packets received in a row end a burst. */
#define BURST_GMIN 16

struct burst {
    uint32_t expected;
    uint32_t received_run; /* received since the last bad one */
    uint32_t lost, discarded;
    uint32_t bad_runs;                      /* unbroken sequences of lost or discarded packets */
    uint32_t open_packets, open_bad;        /* what may become a burst: first to last bad one */
    uint32_t bursts, in_bursts, bad_bursts; /* bursts that ended, packets in them, bad ones */
    uint32_t in_gaps, bad_gaps;
};

static inline void burst_received(struct burst *b)
{
    b->received_run++;
    b->expected++;
}
/* n packets, one behind the other. */
void burst_lost(struct burst *b, uint32_t n);
/* It came, but too late or too early to be played. */
void burst_discarded(struct burst *b);

struct burst_metrics {
    uint8_t loss_rate, discard_rate;    /* in 256ths of the expected packets */
    uint8_t burst_density, gap_density; /* in 256ths of those in bursts, in gaps */
    uint16_t burst_ms, gap_ms;          /* mean durations */
    uint32_t bursts;
    uint32_t bad_e4;     /* lost and discarded, in 1/10000 */
    uint32_t burst_x100; /* the burst ratio of G.107: length of loss runs against random losses */
};

/* As if GMIN received packets followed. packet_us: the duration of one packet. */
void burst_get(const struct burst *b, uint32_t packet_us, struct burst_metrics *ret);

#endif
