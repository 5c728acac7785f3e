/* What the files of the RTP analysis share. */
#ifndef ANALYSIS_RTP_INT_H
#define ANALYSIS_RTP_INT_H

#include "analysis/rtp.h"
#include "base/slot.h"
#include "base/be.h"

#define RTP_MS         1000000ull
#define RTP_NAMES      64 /* different codec names that are kept */
#define RTP_NAME_BYTES 16
#define RTP_PLACE_LEGS 4 /* descriptions that are remembered of an address, the latest */
#define RTP_CANDIDATES 4096
#define RTP_CLAIM_MOST 512 /* streams that one description ties to its leg; others are nobody's */
#define RTP_PROBATION  3
#define RTP_SAME_SSRC                                                                              \
    64 /* streams of one SSRC between two hosts that RTCP may be about, the latest */

/* What a description said of one address. */
struct rtp_claim {
    const struct an_leg *leg;
    uint32_t number; /* of the leg then; it has another one if it was forgotten */
    uint64_t at_ns;
    struct an_format format[AN_SDP_MAX_CODECS];
    uint8_t n_formats;
    uint8_t side; /* who receives here */
    uint8_t media, kind;
    bool secure;
    uint16_t streams; /* that were tied to the leg by it, when they began */
};

/* An address that somebody named or that a stream has. */
struct rtp_place {
    struct hash_node node;
    struct addr at;
    struct rtp_claim claim[RTP_PLACE_LEGS]; /* the latest first */
    uint8_t n_claims;
    uint32_t sends, receives; /* streams that begin and end here: index + 1 of the last; 0: none */
    uint32_t n_streams;       /* that are in use */
};

/* A datagram in the form of RTP that nobody expects, remembered until others follow. */
struct rtp_first {
    uint64_t at_ns, frame;
    uint32_t ts;
    uint16_t seq, n;
    uint8_t pt;
    bool marker;
};
struct rtp_candidate {
    uint64_t hash;
    struct addr src, dst;
    uint32_t ssrc;
    uint8_t n;
    struct rtp_first first[RTP_PROBATION - 1];
};

/* Links of a stream that others do not see; one for each, by the same index. */
struct rtp_link {
    uint32_t next_sent, next_received; /* of the same place: the one before, by index + 1 */
    uint32_t back_sent, back_received; /* and the one behind; 0: it is the last */
};

struct rtp_by_leg {
    uint32_t leg, stream, number;
};

struct an_rtp {
    struct slot_table streams, places;
    struct rtp_link *link;
    struct hash_table by_key, by_ssrc, by_addr;
    struct rtp_candidate *candidate;
    struct an_rtp_stats stats;
    uint64_t seed;
    uint32_t sweep;               /* where the search for places that nobody needs goes on */
    uint32_t n_numbers;           /* of streams, given so far */
    const struct an_stream *last; /* that had a packet; NULL: the last datagram was none */
    uint32_t max_streams;
    uint8_t n_names;
    char name[RTP_NAMES][RTP_NAME_BYTES];
    struct rtp_by_leg *by_leg;
    uint32_t *leg_streams; /* the streams of by_leg */
    uint32_t n_by_leg;
};

/* One packet, as far as it is read. */
struct rtp_in {
    uint64_t at_ns, frame;
    const uint8_t *payload; /* NULL: not kept */
    uint32_t payload_n, n;  /* n: of the datagram */
    uint32_t ts, ssrc;
    uint16_t seq;
    uint8_t pt;
    bool marker, cut;
};

/* By index + 1. */
static inline struct an_stream *rtp_stream(const struct an_rtp *r, uint32_t at)
{
    return at ? (struct an_stream *)(void *)(r->streams.mem +
                                             (size_t)(at - 1) * r->streams.item_bytes)
              : NULL;
}

static inline bool rtp_is_events(const struct an_format *f)
{
    return f->codec == CODEC_EVENT;
}

/* Seeded, so that nobody chooses collisions: products of 64 bits folded into one. */
static inline uint64_t rtp_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}
uint64_t rtp_addr_hash(const struct an_rtp *r, const struct addr *a);
/* Of an SSRC between two hosts, whatever their ports. */
uint64_t rtp_ssrc_hash(const struct an_rtp *r, uint32_t ssrc, const struct addr *src,
                       const struct addr *dst);

/* rtp_tie.c */
/* The place of an address; with `make`, a new one. NULL: none, or no room. */
struct rtp_place *rtp_place_get(struct an_rtp *r, const struct addr *a, bool make);
bool rtp_expected(struct an_rtp *r, const struct an_datum *d);
/* A new stream: ties it and puts it where its addresses are. */
void rtp_tie_new(struct an_rtp *r, struct an_stream *s);
/* A description came: ties it again. True: what comes now is another stream. */
bool rtp_tie_again(struct an_rtp *r, struct an_stream *s, uint64_t now_ns);
void rtp_tie_remove(struct an_rtp *r, struct an_stream *s);
/* The stream is no longer that leg's. */
void rtp_tie_forget(struct an_stream *s, uint32_t leg);
/* Gives back places that nobody needs, of the next n that are looked at. */
void rtp_places_sweep(struct an_rtp *r, uint64_t now_ns, unsigned n);
/* What a payload type of the stream is, by the descriptions. */
void rtp_format_find(struct an_rtp *r, const struct an_stream *s, struct an_format *f);

/* rtp_find.c */
/* An unexpected packet. True: it is the third of a stream; *ret has those before. */
bool rtp_probe(struct an_rtp *r, const struct an_datum *d, const struct rtp_in *in, uint64_t hash,
               struct rtp_candidate *ret);
/* What was remembered of a stream that turned out to be expected. */
bool rtp_probe_take(struct an_rtp *r, const struct an_datum *d, const struct rtp_in *in,
                    uint64_t hash, struct rtp_candidate *ret);

/* rtp_quality.c */
/* False: it was there before. */
bool rtp_quality_rx(struct an_stream *s, const struct rtp_in *in);
void rtp_quality_settle(const struct an_rtp *r, struct an_stream *s);

/* rtp_sound.c: silence and fingerprints. */
void rtp_sound_rx(struct an_stream *s, const struct rtp_in *in);

/* rtp_digits.c */
void rtp_digits_rx(struct an_stream *s, const struct rtp_in *in);

/* rtp_report.c: RTCP. */
void rtp_report_rx(struct an_rtp *r, const struct an_datum *d);

#endif
