/* The RTP relay, pure: what is received on one of our port pairs goes out on the pair it is linked
 * to, bytes untouched. It says where a packet goes; sockets are somebody else's. */
#ifndef ENGINE_MEDIA_RELAY_H
#define ENGINE_MEDIA_RELAY_H

#include "base/hash.h"
#include "base/slot.h"
#include "engine/media/media.h"
#include "engine/media/report.h"

/* Longer packets are dropped. */
#define RELAY_MAX_BYTES 2048

/* A zero takes the default in brackets. */
struct relay_limits {
    uint32_t max_streams;      /* [10000] */
    uint32_t max_events;       /* events waiting for relay_event() [4096] */
    uint32_t latch_silence_ms; /* a learnt source this long silent may move [2000] */
    uint32_t max_pps;          /* packets a second accepted on one stream [4000] */
    uint64_t seed;             /* of the hash of stream ids */
};

/* What relay_rx() refused or lost, over all streams. */
struct relay_count {
    uint64_t no_stream;   /* packets to a pair that belongs to no stream */
    uint64_t malformed;   /* neither RTP nor RTCP, or too long */
    uint64_t strangers;   /* from an address that was not expected */
    uint64_t one_way;     /* against the direction agreed */
    uint64_t no_way;      /* no peer, or no known address to send to */
    uint64_t flood;       /* above max_pps */
    uint64_t events_lost; /* MEDIA_EV_FIRST, _LATCHED and _STRANGER with no room in the ring */
};

struct relay {
    struct relay_limits limits;
    struct slot_table streams;
    struct hash_table by_id;
    uint32_t *by_port; /* [port / 2]: index of the stream + 1 */
    struct timer_wheel wheel;
    struct media_ev *ring;
    uint32_t ring_head, ring_tail; /* counted up for ever */
    struct relay_count count;
};

struct relay_packet {
    const struct addr *from;
    const uint8_t *bytes;
    size_t n;
    uint16_t port; /* of ours, the even one of the pair */
    bool is_rtcp;  /* received on port + 1 */
};

struct relay_forward {
    struct addr to;
    uint16_t port; /* send from this pair of ours */
    bool is_rtcp;  /* from port + 1 of it */
};

/* 0 or -ENOMEM. */
MUST_CHECK int relay_init(struct relay *r, const struct relay_limits *limits, usec_t now);
void relay_done(struct relay *r);
/* MEDIA_STOCK is not for the relay: -EINVAL, as for a malformed command. -ENOENT: no such stream
 * (harmless), -EEXIST: the id or the pair is in use, -ENOSPC: too many streams. -EAGAIN: no room
 * for the events of this command, try again after relay_event(). */
int relay_cmd(struct relay *r, usec_t now, const struct media_cmd *cmd);
/* 1: send the packet on as *ret says. 0: drop it. */
MUST_CHECK int relay_rx(struct relay *r, usec_t now, const struct relay_packet *in,
                        struct relay_forward *ret);
void relay_tick(struct relay *r, usec_t now);
/* When relay_tick() next has work; USEC_NEVER: none. */
usec_t relay_deadline(const struct relay *r);
/* The oldest event, removed; false: none. */
bool relay_event(struct relay *r, struct media_ev *ret);
/* The figures of a live stream so far; -ENOENT. */
MUST_CHECK int relay_stats(const struct relay *r, media_id id, struct media_stats *ret);
/* How a live stream sounds: `in` as measured here, `out` and the round trip from the RTCP that the
 * parties exchange through the relay. R and MOS are known for the static payload types of telephony
 * alone. -ENOENT. */
MUST_CHECK int relay_quality(const struct relay *r, media_id id, struct report_quality *ret);

#endif
