/* One test phone without signalling: a socket, a voice that is a tone, and an ear. */
#ifndef TONE_PHONE_H
#define TONE_PHONE_H

#include "engine/media/mouth.h"
#include "tone/ear.h"

/* The voice goes on in steps of this length. */
#define PHONE_TICK_MS 10
/* A burst is so long, and takes the place of the tone. It begins with a packet of every packet time
 * that divides its period. */
#define PHONE_BURST_MS   20
#define PHONE_PERIOD_MS  480
#define PHONE_MAX_BURSTS 512
#define PHONE_MAX_ID     31

struct phone_to {
    uint32_t ip; /* network byte order, as is the port */
    uint16_t port;
};

/* A digit that is being sent takes the place of the sound in the packets of 100 ms. */
struct phone_keys {
    char digit[EAR_MAX_DIGITS + 1];
    unsigned at;    /* the one that is sent */
    unsigned ended; /* packets with the end bit, then packets of sound in between */
    uint32_t ts, ticks;
};

struct phone {
    char id[PHONE_MAX_ID + 1]; /* empty: not in use */
    int fd;
    bool sending, muted;
    struct phone_to to, from; /* from: who was heard last */
    struct media_format f;
    uint8_t event_pt;
    struct mouth mouth;
    struct egress egress;
    double hz, level, phase;
    double burst_hz, burst_phase; /* 0: no bursts */
    unsigned period_ms;
    uint64_t said, packets; /* samples and packets since the voice began */
    usec_t burst_at[PHONE_MAX_BURSTS];
    unsigned n_bursts;
    struct phone_keys keys;
    struct ear ear;
};

/* Bound to this address. 0 or negative errno. */
MUST_CHECK int phone_open(struct phone *p, const char *id, struct phone_to at, uint32_t ssrc);
void phone_close(struct phone *p);
/* Speaks and hears in this format from now on. 0, -ENOTSUP or -ENOMEM. */
MUST_CHECK int phone_send(struct phone *p, struct phone_to to, const struct media_format *f,
                          unsigned ptime_ms);
/* Says what belongs to one more step. */
void phone_tick(struct phone *p);
/* Takes what has arrived. */
void phone_rx(struct phone *p);
/* Microseconds of the clock that also stamps what arrives. */
usec_t phone_now(void);
/* When what this burst began with was sent that arrived at `heard`; 0: none was sent before. */
usec_t phone_burst_before(const struct phone *p, usec_t heard);

#endif
