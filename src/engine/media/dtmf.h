/* Digits as telephone-events (RFC 4733): the receiver that makes one digit of many packets, and the
 * sender that makes many packets of one digit. Digits are 0-9 * # A-D and ! for a flash hook. */
#ifndef ENGINE_MEDIA_DTMF_H
#define ENGINE_MEDIA_DTMF_H

#include "base/timer.h"
#include "wire/rtp/event.h"

/* An event of which nothing has been heard for so long is over: its end was lost. */
#define DTMF_SILENCE (200 * USEC_MS)

struct dtmf_packet {
    uint16_t seq;
    uint32_t ts;
    bool marker;
    struct rtp_event event;
};

/* What a packet says; both at once when it is the first one seen and the end. */
enum { DTMF_BEGIN = 1, DTMF_END = 2 };

struct dtmf_digit {
    char digit;
    uint8_t volume;    /* -dBm0 */
    uint64_t duration; /* so far, in units of the timestamp */
};

/* Of one source; zeroed at its beginning. */
struct dtmf_rx {
    bool started;
    bool ended;   /* by a packet that says so */
    bool silent;  /* by dtmf_rx_expire() */
    uint16_t seq; /* the newest */
    uint8_t event, volume;
    uint32_t ts;       /* of the segment */
    uint64_t before;   /* duration of the segments before it */
    uint16_t duration; /* of this one */
    usec_t heard;
};

/* A telephone-event packet arrived. DTMF_BEGIN comes once for each event, with whatever packet of
 * it is seen first, and ends the one before if its end was lost. 0: nothing new, *ret untouched:
 * a repetition, an update, an older packet, or an event that is no digit. */
unsigned dtmf_rx_event(struct dtmf_rx *r, usec_t now, const struct dtmf_packet *p,
                       struct dtmf_digit *ret);
/* DTMF_END if the event under way has been silent for DTMF_SILENCE, else 0. */
unsigned dtmf_rx_expire(struct dtmf_rx *r, usec_t now, struct dtmf_digit *ret);
/* When to ask; USEC_NEVER: no event is under way. */
usec_t dtmf_rx_deadline(const struct dtmf_rx *r);

/* How often a packet goes out, and how often the last one. RFC 4733 section 2.5.1.4. */
#define DTMF_TX_MS   20
#define DTMF_TX_ENDS 3
#define DTMF_MIN_MS  40
#define DTMF_MAX_MS  60000

/* Zeroed, it has nothing to send. */
struct dtmf_tx {
    uint8_t event, volume;
    uint8_t ends; /* final packets still to go */
    bool marker;
    uint32_t ts;          /* of the segment */
    uint32_t step;        /* timestamp units of a packet */
    uint64_t sent, total; /* duration told, from the beginning of the segment, and in all */
};

/* ts: of the moment, on the clock of the audio stream; rate_hz: of that clock. Less than
 * DTMF_MIN_MS is made that, more than DTMF_MAX_MS likewise. volume: -dBm0. -EINVAL: no digit, or no
 * rate; -EBUSY: another digit is not yet out. */
struct dtmf_order {
    char digit;
    uint8_t volume;
    uint32_t ms, ts, rate_hz;
};
MUST_CHECK int dtmf_tx_start(struct dtmf_tx *t, const struct dtmf_order *o);
static inline bool dtmf_tx_busy(const struct dtmf_tx *t)
{
    return t->ends > 0;
}

/* Its duration is what was told of it so far: only the last packets are still to come, or nothing
 * if none was told. */
void dtmf_tx_end(struct dtmf_tx *t);

struct dtmf_tx_packet {
    uint32_t ts;
    bool marker;
    uint8_t payload[RTP_EVENT_BYTES];
};
/* The packet to send now, in place of audio; to be called every DTMF_TX_MS. False: nothing. */
bool dtmf_tx_next(struct dtmf_tx *t, struct dtmf_tx_packet *ret);

#endif
