/* The RTP streams of a capture: one a (source, destination, SSRC). A packet on the short path costs
 * a hash look-up and a dozen additions. Streams are tied to the legs whose descriptions named their
 * addresses; what nobody named is found by its form. */
#ifndef ANALYSIS_RTP_H
#define ANALYSIS_RTP_H

#include "analysis/input.h"
#include "analysis/leg.h"
#include "wire/rtp/rtp.h"
#include "wire/rtp/seq.h"

#define AN_RTP_SAMPLES     24 /* payload fingerprints kept of a stream */
#define AN_RTP_MAX_DIGITS  64
#define AN_RTP_MAX_FORMATS 4

struct an_digit {
    uint64_t at_ns;
    char digit;
    uint16_t ms;
};

/* A stretch without packets, longer than AN_RTP_GAP_MS. */
struct an_stream {
    struct hash_node node;
    struct addr src, dst;
    uint32_t ssrc;
    uint32_t leg;                                  /* index, or AN_NONE: nobody signalled it */
    uint8_t side;                                  /* enum an_side: who sends it */
    uint8_t media;                                 /* index of the media in the description */
    uint8_t n_formats, format[AN_RTP_MAX_FORMATS]; /* payload types seen, audio first */
    struct an_codec codec; /* its name in the text of the leg, or see an_stream_codec() */
    bool secure;           /* SRTP by its description */
    uint64_t first_ns, last_ns, first_frame, last_frame;
    uint64_t packets, bytes, lost, late, repeated;
    uint32_t clock;
    uint32_t jitter_us, most_jitter_us, most_gap_ms;
    uint32_t silent_ms; /* of it: no packets, or packets of silence */
    struct rtp_seq seq;
    uint32_t n_digits;
    struct an_digit digit[AN_RTP_MAX_DIGITS];
    uint32_t n_samples;
    uint32_t sample[AN_RTP_SAMPLES]; /* hashes of payloads, chosen by their content */
    uint64_t sample_ns[AN_RTP_SAMPLES];
    uint16_t loss_e4, mos_x100; /* set by an_rtp_settle() */
};

struct an_rtp;

MUST_CHECK int an_rtp_new(struct an_rtp **ret, uint32_t max_streams, uint64_t seed);
void an_rtp_free(struct an_rtp *r);
/* A description of leg `leg` says that `side` receives at `at` from now on. */
void an_rtp_expect(struct an_rtp *r, const struct addr *at, uint32_t leg, uint8_t side,
                   const struct an_sdp *sdp, uint8_t media, uint64_t now_ns);
/* A UDP payload that is no SIP. */
void an_rtp_rx(struct an_rtp *r, const struct an_datum *d);
uint32_t an_rtp_streams(const struct an_rtp *r);
const struct an_stream *an_rtp_stream(const struct an_rtp *r, uint32_t i);

#endif
