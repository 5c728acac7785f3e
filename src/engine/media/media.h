/* The media plane seen from outside: commands in, events out, both values, so they travel through
 * a mailbox to the media thread. A *stream* is one RTP session of one leg on one port pair of ours
 * (RTP on an even port, RTCP on the next). Two streams are linked into a relay. */
#ifndef ENGINE_MEDIA_MEDIA_H
#define ENGINE_MEDIA_MEDIA_H

#include "base/addr.h"
#include "base/timer.h"

/* Chosen by the PBX, unique among live streams; 0 is none. */
typedef uint64_t media_id;

enum media_cmd_kind {
    MEDIA_STOCK,  /* open `count` more port pairs of `family` and announce them */
    MEDIA_OPEN,   /* the pair `port` now belongs to stream `id`; stale packets are dropped */
    MEDIA_SET,    /* remote addresses and flags of stream `id` */
    MEDIA_LINK,   /* what `id` receives goes out on `peer`, and back */
    MEDIA_UNLINK, /* undoes MEDIA_LINK of `id` */
    MEDIA_CLOSE   /* ends stream `id`: MEDIA_EV_CLOSED follows, then the pair is free again */
};

struct media_cmd {
    enum media_cmd_kind kind;
    media_id id, peer;
    uint16_t port;
    uint8_t family; /* enum addr_family */
    uint32_t count;
    /* MEDIA_SET */
    struct addr rtp, rtcp;   /* where SDP says the party receives; family ADDR_NONE: unknown */
    bool latch;              /* learn the real source from the first packets (symmetric RTP) */
    bool receiving, sending; /* the party sends to us / may be sent to (a=inactive: neither) */
    uint32_t timeout_ms;     /* silence of this stream and its peer; 0: never (held calls) */
};

enum media_ev_kind {
    MEDIA_EV_PORTS,    /* `count` pairs in port[] are open and free */
    MEDIA_EV_NO_PORTS, /* none could be opened: the range is used up */
    MEDIA_EV_FIRST,    /* first RTP packet of stream `id` */
    MEDIA_EV_LATCHED,  /* `id` now receives from and sends to `from` */
    MEDIA_EV_STRANGER, /* packets from `from` were ignored on `id` (once per stream) */
    MEDIA_EV_TIMEOUT,  /* neither `id` nor its peer received RTP for timeout_ms (once) */
    MEDIA_EV_CLOSED    /* `id` is gone, its pair `port[0]` is free; statistics */
};

#define MEDIA_EV_MAX_PORTS 32

struct media_stats {
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, dropped;
    uint32_t lost;        /* by sequence numbers, RFC 3550 A.3; never below 0 */
    uint32_t jitter_us;   /* RFC 3550 A.8, at an 8000 Hz clock unless known */
    uint8_t payload_type; /* the last one received */
};

struct media_ev {
    enum media_ev_kind kind;
    media_id id;
    uint8_t family;
    uint32_t count;
    uint16_t port[MEDIA_EV_MAX_PORTS];
    struct addr from;
    struct media_stats stats;
};

#endif
