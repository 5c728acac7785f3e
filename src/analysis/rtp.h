/* The RTP streams of a capture: one a (source, destination, SSRC). A packet on the short path costs
 * a hash look-up and a dozen additions. Streams are tied to the legs whose descriptions named their
 * addresses; what nobody named is found by its form.
 *
 * A packet that was captured twice counts once, as does one that was sent twice: `packets` are
 * those that differ. */
#ifndef ANALYSIS_RTP_H
#define ANALYSIS_RTP_H

#include "analysis/input.h"
#include "analysis/leg.h"
#include "engine/media/burst.h"
#include "engine/media/codec.h"
#include "engine/media/dtmf.h"
#include "wire/rtp/rtp.h"

#define AN_RTP_SAMPLES     24 /* payload fingerprints kept of a stream */
#define AN_RTP_MAX_DIGITS  64
#define AN_RTP_MAX_FORMATS 4
#define AN_RTP_MAX_TIES    4
#define AN_RTP_GAP_MS      200 /* no packets for so long is a gap */
#define AN_RTP_OVERDUE_MS  200 /* later than its stream by so much, a packet is heard by nobody */
#define AN_RTP_NO_MOS      0

struct an_digit {
    uint64_t at_ns;
    char digit; /* 0-9 * # A-D, ! for a flash hook */
    uint16_t ms;
    bool end_lost; /* nothing said that it ended */
};

/* A payload type as it was seen. */
struct an_format {
    uint8_t pt;
    uint8_t codec;     /* enum codec_id; CODEC_NONE: see name */
    uint8_t name;      /* for an_rtp_format_name() */
    bool guessed;      /* no description says what it is */
    uint32_t clock_hz; /* 0: not known yet */
    uint32_t packets;
};

/* A leg whose description named an address of the stream. */
struct an_tie {
    uint32_t leg; /* index */
    uint8_t side; /* enum an_side: who sends it */
    uint8_t media;
    uint64_t at_ns; /* of the description */
};

/* What is known of sequence numbers, extended to 32 bits (RFC 3550 A.1). */
struct an_seq {
    uint64_t got; /* the last 64, bit 0 the highest: received */
    uint32_t max, base, received;
    uint8_t window_n; /* how many of `got` are of this run */
    bool begun, jumped;
    uint16_t jump; /* the number that came out of turn */
};

/* Of the arrival times; media time is the timestamp in nanoseconds, from the first packet on. */
struct an_timing {
    uint32_t ts;      /* of the last packet in order */
    uint32_t step_ts; /* the shortest packet so far; 0: not known */
    int64_t media_ns; /* of ts */
    int64_t transit_ns;
    int64_t jitter_ns16; /* scaled by 16 */
    uint64_t jitter_sum_us;
    uint32_t jitter_n, most_jitter_us;
    uint64_t window_from_ns;           /* the least transit is found in windows */
    int64_t least_ns, least_before_ns; /* of the present window, and of the one before */
    bool known;                        /* there is a transit */
    uint8_t windows;                   /* whole ones, at most 2 are counted */
    uint32_t base_ts;                  /* where media time begins */
};

/* How the clock of the sender goes: the least transit of windows. */
struct an_drift {
    uint64_t least_at_ns;                  /* of the present one */
    int64_t first_least_ns, last_least_ns; /* of the first and the last whole window */
    uint64_t first_least_at_ns, last_least_at_ns;
};

/* What RTCP said of it; times in microseconds. */
struct an_rtcp_view {
    uint32_t reports;      /* of the receiver about this stream */
    int32_t lost;          /* as it counts */
    uint8_t most_fraction; /* the worst interval, in 256ths */
    uint32_t jitter_us;    /* the last */
    uint32_t rtt_us;       /* from where the capture was made to the receiver and back: the mean */
    uint64_t rtt_sum_us;
    uint32_t rtt_n, rtt_most_us;
    uint32_t sr_mid; /* of the last sender report, and when it passed */
    uint64_t sr_ns;
    uint32_t senders;      /* sender reports */
    uint32_t sent_packets; /* as the last one says */
    bool bye;
    uint8_t mos_x10;        /* the receiver's own opinion (RFC 3611), 0: none */
    uint16_t round_trip_ms; /* likewise */
};

/* What each packet needs stands first, in few cache lines. */
struct an_stream {
    _Alignas(64) struct hash_node node;
    struct addr src, dst;
    uint32_t ssrc;
    uint8_t current; /* index in format of the last packet */
    bool secure;     /* SRTP by its description */
    bool split;      /* a description came since the last packet: look again */
    bool over;       /* another stream has taken its place */
    bool unlisted;   /* very many have its SSRC: RTCP is about others */
    uint64_t last_ns, last_frame;
    uint64_t packets, bytes; /* bytes: of the datagrams as captured */
    struct an_seq seq;
    struct an_timing time;
    uint64_t silent_us;    /* of packets that say nothing */
    uint32_t talkspurts;   /* packets with the marker */
    uint32_t gaps, gap_ms; /* stretches without packets, what they add up to */
    uint32_t most_gap_ms;
    uint32_t overdue; /* too late to be heard */
    uint8_t n_formats;
    struct an_format format[AN_RTP_MAX_FORMATS];
    struct burst burst;
    uint32_t n_samples;
    uint32_t sample[AN_RTP_SAMPLES]; /* hashes of payloads, chosen by their content; ascending */

    uint64_t sample_ns[AN_RTP_SAMPLES];
    struct an_drift drift;
    struct hash_node by_ssrc;
    uint64_t first_ns, first_frame;
    uint32_t number; /* from 1, in the order of their beginning; 0: it was given back */
    uint32_t index;  /* used again when it was given back */
    uint32_t leg;    /* index, or AN_NONE: nobody signalled it */
    uint8_t side;    /* enum an_side: who sends it */
    uint8_t media;   /* index of the media in the description */
    uint8_t kind;    /* enum sdp_kind; SDP_OTHER: not known */
    uint8_t n_ties;  /* of all legs that named it; the first is leg */
    struct an_tie tie[AN_RTP_MAX_TIES];
    uint32_t flow;   /* number of the first stream with its source and destination */
    uint32_t before; /* and of the one right before it; 0: none */

    uint64_t repeated;    /* packets that had been there */
    uint32_t late;        /* packets out of order */
    uint32_t strays;      /* far out of order, and no other followed */
    uint32_t restarts;    /* runs of sequence numbers after the first */
    uint32_t jumps;       /* of the timestamp against the clock */
    uint64_t most_gap_ns; /* when the longest gap began */
    uint64_t lost_before; /* in earlier runs */
    uint64_t expected_before;

    uint32_t n_digits, cap_digits;
    struct an_digit *digit;
    uint32_t digits_refused;
    struct dtmf_rx dtmf;
    struct an_rtcp_view rtcp;

    /* Set by an_rtp_settle(). */
    uint64_t lost, expected;
    bool mirrored;     /* most packets were captured twice */
    uint16_t loss_e4;  /* lost, in 1/10000 of what was expected */
    uint16_t mos_x100; /* AN_RTP_NO_MOS: nothing is known about the codec */
    uint16_t r_x10;
    uint32_t jitter_us, most_jitter_us; /* the mean */
    int32_t drift_ppm;                  /* above 0: its clock is fast. INT32_MAX: not known */
    uint16_t packet_ms;                 /* how long one plays */
    uint32_t sound_ms;                  /* from the first packet to the last, without gaps */
    uint32_t silent_ms;                 /* of it */
};

/* What one side of a leg was heard to send. */
struct an_rtp_side {
    uint32_t streams;
    uint64_t packets, lost;
    uint64_t first_ns, last_ns;   /* AN_NEVER, 0: nothing */
    uint64_t sound_ms, silent_ms; /* silent_ms of sound_ms */
    uint16_t worst_mos_x100;      /* AN_RTP_NO_MOS: not known */
};

struct an_rtp_stats {
    uint64_t rtp, rtcp, other; /* datagrams */
    uint64_t refused;          /* packets of streams beyond the limit, or without memory */
    uint64_t unexpected;       /* streams that nobody signalled, when they began */
    uint64_t addresses_refused;
};

struct an_rtp;

MUST_CHECK int an_rtp_new(struct an_rtp **ret, uint32_t max_streams, uint64_t seed);
void an_rtp_free(struct an_rtp *r);
/* A description of a leg says where its author receives media number i from now on. The leg must
 * stay where it is. */
void an_rtp_expect(struct an_rtp *r, const struct an_leg *leg, const struct an_sdp *sdp, uint8_t i);
/* A UDP payload that is no SIP. */
void an_rtp_rx(struct an_rtp *r, const struct an_datum *d);
/* The stream that it was a packet of, by index; AN_NONE: of none. */
uint32_t an_rtp_last(const struct an_rtp *r);
/* Sums up what came so far, and finds what the functions below the line tell. May be called again
 * after more has come. 0 or -ENOMEM. */
MUST_CHECK int an_rtp_settle(struct an_rtp *r);

/* By index. One that was released has no packets and no leg. */
uint32_t an_rtp_streams(const struct an_rtp *r);
const struct an_stream *an_rtp_stream(const struct an_rtp *r, uint32_t i);
/* Walks those that were not released: begins with *at = 0; NULL at the end. */
const struct an_stream *an_rtp_next(const struct an_rtp *r, uint32_t *at);
const struct an_rtp_stats *an_rtp_stats(const struct an_rtp *r);
/* "PCMU"; "" if nothing says it. */
struct str an_rtp_format_name(const struct an_rtp *r, const struct an_format *f);
/* The format that carries most of it, events and comfort noise aside; NULL before any came. */
const struct an_format *an_stream_format(const struct an_stream *s);
/* Its name; "" if nothing says it. */
struct str an_stream_codec(const struct an_rtp *r, const struct an_stream *s);
/* Gives a stream back: nobody asks for it any more. */
void an_rtp_release(struct an_rtp *r, uint32_t i);
/* Gives back streams that nobody signalled and that have been silent since then; how many. */
uint32_t an_rtp_release_silent(struct an_rtp *r, uint64_t since_ns, uint64_t now_ns);
/* Bytes held; how many streams, and addresses that somebody has named or that a stream has. */
uint64_t an_rtp_size(const struct an_rtp *r, uint32_t *ret_streams, uint32_t *ret_addresses);

/* ---- after an_rtp_settle() ------------------------------------------------------------------- */

/* The streams of a leg, by index, in the order of their beginning; NULL and 0: none. */
const uint32_t *an_rtp_leg(const struct an_rtp *r, uint32_t leg, uint32_t *ret_n);
/* Of copies of one stream at several places, that with most packets counts. */
void an_rtp_leg_side(const struct an_rtp *r, uint32_t leg, enum an_side side,
                     struct an_rtp_side *ret);
/* When the last packet of a leg came; 0: none did. */
uint64_t an_rtp_leg_last_ns(const struct an_rtp *r, uint32_t leg);
/* The leg is about to be forgotten: its streams go, unless they are another leg's too. How many. */
uint32_t an_rtp_forget(struct an_rtp *r, uint32_t leg);
/* All legs that were to be forgotten are: what referred to them goes. */
void an_rtp_forgotten(struct an_rtp *r, uint64_t now_ns);
/* How many fingerprints they share, b within within_ns of a. */
unsigned an_stream_alike(const struct an_stream *a, const struct an_stream *b, uint64_t within_ns);

#endif
