/* Sequence numbers of one source: are they a stream, what is lost, how much the arrival varies
 * (RFC 3550 appendices A.1, A.3 and A.8). Times are given in units of the RTP timestamp. */
#ifndef WIRE_RTP_SEQ_H
#define WIRE_RTP_SEQ_H

#include <stdbool.h>
#include <stdint.h>

struct rtp_seq {
    bool started;
    uint16_t max_seq;
    uint32_t cycles;   /* shifted by 16 bits already */
    uint32_t base_seq; /* extended as everything below */
    uint32_t bad_seq;
    uint8_t min_sequential;
    uint8_t probation; /* packets in order still wanted before the source is believed */
    uint32_t received, expected_prior, received_prior;
    uint32_t restarts; /* jumps that two packets in order made true */
    uint32_t jitter;   /* scaled by 16 */
    uint32_t transit;
    bool has_transit;
};

enum rtp_seq_verdict {
    RTP_SEQ_OK,        /* the next one, or later with a gap */
    RTP_SEQ_LATE,      /* reordered or repeated, within 100 */
    RTP_SEQ_PROBATION, /* too few in order to believe it */
    RTP_SEQ_JUMP       /* far away: dropped unless the next one follows it */
};

/* min_sequential: 2 in RFC 3550; 0 believes the first packet, as the answered side of a call may.
 */
void rtp_seq_init(struct rtp_seq *s, uint8_t min_sequential);
enum rtp_seq_verdict rtp_seq_rx(struct rtp_seq *s, uint16_t seq);
/* For each packet that is counted. arrival: the local clock in the same units as ts. Packets of one
 * frame, which share a timestamp, count once if the caller says so by leaving the others out. */
void rtp_seq_rx_time(struct rtp_seq *s, uint32_t ts, uint32_t arrival);

uint32_t rtp_seq_extended(const struct rtp_seq *s); /* highest received, with cycles */
uint32_t rtp_seq_expected(const struct rtp_seq *s);
/* Lost since the beginning, within the 24 signed bits of a report block; duplicates make it
 * negative. */
int32_t rtp_seq_lost(const struct rtp_seq *s);
/* Lost since the last call, in 256ths. */
uint8_t rtp_seq_fraction_take(struct rtp_seq *s);
uint32_t rtp_seq_jitter(const struct rtp_seq *s); /* in units of the timestamp */

/* a comes before b when the shorter way round the circle says so. */
static inline bool rtp_seq_before(uint16_t a, uint16_t b)
{
    return (int16_t)(uint16_t)(a - b) < 0;
}

#endif
