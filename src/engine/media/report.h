/* What RTCP says about one RTP session of one leg (RFC 3550, RFC 3611): what is received, what is
 * sent, what the far end says of it, and when to tell the far end. A plain struct, no allocation;
 * nothing in it points elsewhere. Two members: the far end and this one. */
#ifndef ENGINE_MEDIA_REPORT_H
#define ENGINE_MEDIA_REPORT_H

#include "base/buf.h"
#include "base/timer.h"
#include "engine/media/burst.h"
#include "engine/media/qos.h"
#include "wire/rtp/rtcp.h"
#include "wire/rtp/seq.h"

/* The longest packet that report_make() and report_bye() write. */
#define REPORT_MAX_BYTES 640
/* Sender reports that a round trip may be measured by. */
#define REPORT_SENT 4
/* Packets that may come so late, in order of the sequence numbers, and still count as received. */
#define REPORT_WINDOW 64

/* What each packet touches comes first. */
struct report_rx {
    struct rtp_seq seq; /* of the present SSRC */
    uint32_t ssrc;
    uint32_t clock_hz;
    uint32_t ts;       /* of the last packet in order */
    uint32_t step_ts;  /* the shortest packet so far, less one */
    uint32_t window_n; /* how many of the window belong to this source */
    uint16_t max_seq;
    bool known;         /* the source has passed its probation */
    bool fresh;         /* heard since the last report */
    uint64_t got;       /* the last 64 sequence numbers, bit 0 the highest: received */
    uint64_t unplayed;  /* received and discarded */
    uint64_t packets;   /* as all below, over all sources that the leg has had */
    usec_t begun;       /* arrivals count from here */
    struct burst burst; /* of what has left the window */
    uint32_t duplicates, discarded;
    bool bye;    /* the source has said that it leaves */
    bool has_sr; /* the next three are of sr_ssrc's last SR */
    uint32_t sr_ssrc, sr_lsr;
    usec_t sr_at;
};

struct report_tx {
    uint32_t ssrc; /* ours */
    uint32_t ts;   /* the newest */
    usec_t at;     /* when that was */
    uint64_t packets, bytes;
    uint64_t packets_at[2]; /* packets at the last report and the one before */
};

/* What the far end says of what it receives from us. */
struct report_far {
    bool reported, has_voip;
    uint8_t fraction; /* lost since its report before, in 256ths */
    uint32_t lost;    /* in all, not below 0 */
    uint32_t jitter;  /* in units of the timestamp */
    struct rtcp_voip voip;
};

struct report_rtt {
    uint32_t last_us, max_us, n;
    uint64_t sum_us;
};

/* The jitter buffer that what is received goes through; zero: there is none. */
struct report_buffer {
    uint16_t nominal_ms, max_ms;
};

struct report {
    struct report_rx rx;
    struct report_tx tx;
    struct report_far far;
    struct report_rtt rtt;
    struct {
        uint32_t lsr;
        usec_t at;
    } sent[REPORT_SENT];           /* the last sender reports that went to the far end */
    uint32_t sent_n;               /* counted up for ever */
    const struct qos_codec *codec; /* NULL: nothing is known about it */
    uint32_t clock_hz, delay_ms;
    struct report_buffer buffer;
    uint64_t random;
    usec_t last, next;  /* the last report and the next one */
    uint32_t reports;   /* written */
    uint32_t strangers; /* RTCP packets of SSRCs that are not the far end's */
};

struct report_setup {
    uint32_t ssrc;          /* ours */
    uint64_t seed;          /* of the times of the reports */
    uint8_t min_sequential; /* packets in order before a source is believed; 2 in RFC 3550 A.1,
                               0 believes the first one */
};

void report_init(struct report *r, usec_t now, const struct report_setup *s);
/* The codec of what is received by its name in SDP, the clock of the timestamps that are sent in
 * 1 Hz (0: 8000), and the delay that a
 * packet has at this end in ms: its own length, the jitter buffer and the codec. */
void report_codec_set(struct report *r, struct str codec, uint32_t clock_hz, uint32_t delay_ms);
/* As it is now. It adapts, up to max_ms, and hides what is missing. */
static inline void report_buffer_set(struct report *r, const struct report_buffer *b)
{
    r->buffer = *b;
}

/* For each RTP packet received from the far end; another SSRC is another source of the same leg. */
void report_rtp(struct report *r, usec_t now, uint32_t ssrc, uint16_t seq, uint32_t ts,
                uint32_t clock_hz);
/* A packet that report_rtp() was told of came too late or too early to be played. */
void report_discarded(struct report *r, uint16_t seq);
/* For each RTP packet sent; bytes: of its payload. */
static inline void report_sent(struct report *r, usec_t now, uint32_t ts, size_t bytes)
{
    if ((int32_t)(ts - r->tx.ts) > 0 || r->tx.packets == 0) {
        r->tx.ts = ts; /* the packets of an event keep the time at which it began */
        r->tx.at = now;
    }
    r->tx.packets++;
    r->tx.bytes += bytes;
}

/* A compound RTCP packet of the far end. What is said by or about others is ignored. 0, or
 * -EBADMSG: malformed, nothing of it was taken. */
MUST_CHECK int report_rtcp(struct report *r, usec_t now, const void *bytes, size_t n);
/* RTCP that somebody else wrote and that goes to the far end as it is: its sender report serves to
 * measure the round trip. */
void report_passed(struct report *r, usec_t now, const void *bytes, size_t n);

/* Whether a report is due (RFC 3550 section 6.3.6). Between two members the minimum interval rules:
 * 5 s, 2.5 s before the first one, by half more or less. */
bool report_due(struct report *r, usec_t now);
/* When to ask next. */
usec_t report_deadline(const struct report *r);

enum { REPORT_XR = 1 }; /* the far end takes VoIP metrics: one in every second report */

struct report_write {
    uint64_t ntp_offset; /* wall clock in NTP format (32.32 since 1900) when `now` was 0 */
    struct str cname;    /* the same for all of a call (RFC 7022); cut at 255 bytes */
    unsigned flags;
};
/* Appends SR or RR, SDES and perhaps XR. 0, or -ENOSPC with nothing written and nothing counted:
 * REPORT_MAX_BYTES are enough. */
MUST_CHECK int report_make(struct report *r, usec_t now, const struct report_write *w,
                           struct buf *out);
/* Appends a last report and BYE; reason may be STR_NONE. -ENOENT: nothing was ever sent, so RFC
 * 3550 section 6.3.7 forbids a BYE. -ENOSPC as above. */
MUST_CHECK int report_bye(struct report *r, usec_t now, const struct report_write *w,
                          struct str reason, struct buf *out);

struct report_side {
    bool known;       /* something was measured */
    uint64_t packets; /* received, duplicates too; for `out`: sent */
    uint32_t lost, discarded, duplicates;
    uint32_t jitter_us;
    uint32_t loss_e4; /* lost, in 1/10000 of what was expected */
    /* 0 if the codec is not known, or nothing was measured. */
    uint16_t r_x10, mos_x100;
};
struct report_quality {
    struct report_side in;  /* what we receive, as we measure it */
    struct report_side out; /* what we send, as the far end reports it */
    uint32_t rtt_us, rtt_mean_us, rtt_max_us, rtt_n;
    struct burst_metrics burst; /* of `in` */
};
void report_quality(const struct report *r, struct report_quality *ret);
/* The figures of `in` alone, which cost nothing. expected: since the first packet, over all
 * sources; lost: of these, never more. */
uint32_t report_expected(const struct report *r);
uint32_t report_lost(const struct report *r);
uint32_t report_jitter_us(const struct report *r);
/* The gap and burst metrics up to the last packet received. */
void report_burst(const struct report *r, struct burst_metrics *ret);

#endif
