/* The media plane, pure: what is received on one of our port pairs goes out on the pair it is
 * linked to, untouched, renumbered or in another codec; or it goes into a room; and a stream may be
 * played something. Packets that are passed on stay where they are, those made here are taken by
 * plane_out(). Sockets are somebody else's. */
#ifndef ENGINE_MEDIA_PLANE_H
#define ENGINE_MEDIA_PLANE_H

#include "base/hash.h"
#include "base/slot.h"
#include "engine/media/feed.h"
#include "engine/media/media.h"

/* Longer packets are dropped. */
#define PLANE_MAX_BYTES 2048

/* A zero takes the default in brackets. */
struct plane_limits {
    uint32_t max_streams;      /* [10000] */
    uint32_t max_events;       /* events waiting for plane_event() [4096] */
    uint32_t latch_silence_ms; /* a learnt source this long silent may move [2000] */
    uint32_t max_pps;          /* packets a second accepted on one stream [4000] */
    uint64_t seed;             /* of the hash of stream ids */
    uint64_t ntp_offset;       /* wall clock as an NTP timestamp (32.32) when `now` was 0 */
};

/* What plane_rx() refused or lost, over all streams. */
struct plane_count {
    uint64_t no_stream; /* packets to a pair that belongs to no stream */
    uint64_t malformed; /* neither RTP nor RTCP, or too long */
    uint64_t strangers; /* from an address that was not expected */
    uint64_t one_way;   /* against the direction agreed */
    uint64_t no_way;    /* no peer, or no known address to send to */
    uint64_t flood;     /* above max_pps */
    uint64_t unagreed;  /* of a payload type that SDP does not know, or that the peer cannot have */
    uint64_t loops;     /* of our own, sent back to an echo */
    uint64_t out_lost;  /* packets made here that nobody took in time */
    uint64_t no_memory; /* what could not be done for want of memory */
    uint64_t events_lost; /* MEDIA_EV_FIRST, _LATCHED and _STRANGER with no room in the ring */
};

struct plane {
    struct plane_limits limits;
    struct slot_table streams;
    struct hash_table by_id;
    uint32_t *by_port; /* [port / 2]: index of the stream + 1 */
    struct timer_wheel wheel;
    struct media_ev *ring;
    uint32_t ring_head, ring_tail; /* counted up for ever */
    struct plane_count count;
    uint64_t random; /* of the numbers that streams begin with */
    struct plane_ring *out;
    struct media_clip **clip; /* [MEDIA_MAX_CLIPS], NULL: none */
    struct list rooms, recs;
    struct list full;    /* recordings that have a block to be taken, or end */
    struct list tapped;  /* taps that have something to be taken */
    struct list ticking; /* streams that want the tick */
    usec_t tick_due;
};

struct plane_packet {
    const struct addr *from;
    uint8_t *bytes; /* what is passed on is changed in place */
    size_t n;
    uint16_t port; /* of ours, the even one of the pair */
    bool is_rtcp;  /* received on port + 1 */
};

/* A packet made here. */
struct plane_made {
    struct addr to;
    uint16_t port; /* send from this pair of ours */
    bool is_rtcp;
    uint16_t n;
    const uint8_t *bytes; /* until the plane is called again */
};

/* 100 ms of a recording, at most. */
#define PLANE_REC_TRACKS 40
#define PLANE_REC_MIX    255
struct plane_track {
    uint8_t track; /* MEDIA_RECORD's, or PLANE_REC_MIX */
    bool silent;   /* nobody was there */
    const int16_t *pcm;
};
/* What is to be known of a track besides its sound. */
enum plane_mark_kind {
    PLANE_MARK_LOST,  /* for so many samples nothing came from its party */
    PLANE_MARK_HELD,  /* the same, as had been agreed */
    PLANE_MARK_ADDED, /* so many samples were put in here, since the party's clock is the slower */
    PLANE_MARK_LEFT_OUT, /* so many were left out, since it is the faster, or came too early */
    PLANE_MARK_CLOCK     /* the party that is in the track since `at`: how fast its clock is. Given
                            again as more is known */
};
struct plane_mark {
    uint64_t at; /* sample, from the beginning of the recording */
    uint32_t samples;
    uint8_t track, kind;
    int32_t ppm_x10; /* above 0: faster than ours */
    uint32_t error_x10;
};
#define PLANE_REC_MARKS 16
struct plane_block {
    uint64_t record, at; /* its first sample, from the beginning of the recording */
    uint32_t rate_hz;
    unsigned samples, n; /* 0, both of them: the block is nothing but marks */
    unsigned n_marks;
    struct plane_track plane[PLANE_REC_TRACKS + 1];
    struct plane_mark mark[PLANE_REC_MARKS];
};

/* What a tap gives: MEDIA_TAP with `sound`. */
enum plane_tap_kind {
    PLANE_TAP_SOUND,  /* 20 ms of the party; each tick, whether it sends or not */
    PLANE_TAP_MARK,   /* mark `token` was reached, or what was before it is not played any more */
    PLANE_TAP_STOPPED /* the party has begun to speak: all that was fed is gone, and what comes is
                         not heard until FEED_CLEAR, until the party is silent for 200 ms, or 2 s */
};
#define PLANE_TAP_SAMPLES 320
struct plane_tap {
    enum plane_tap_kind kind;
    media_id id;
    uint64_t link;
    uint32_t token;
    usec_t at; /* the tick */
    unsigned n;
    const int16_t *pcm; /* until the next tick, at the rate of the tap */
    bool voice;         /* it speaks */
    bool sounding;      /* it is hearing something that was fed */
    bool ears;          /* of MEDIA_TAP */
    struct feed_figures figures;
};

/* Sound for the party of a tapped stream. */
enum plane_feed_kind { PLANE_FEED_SOUND, PLANE_FEED_MARK, PLANE_FEED_CLEAR };
struct plane_feed {
    enum plane_feed_kind kind;
    media_id id;
    uint64_t link;
    uint32_t token; /* of the mark */
    usec_t came;    /* when it came in from outside */
    unsigned n;
    const int16_t *pcm; /* copied; at the rate of the tap */
};

struct plane_forward {
    struct addr to;
    uint16_t port; /* send from this pair of ours */
    bool is_rtcp;  /* from port + 1 of it */
};

/* 0 or -ENOMEM. */
MUST_CHECK int plane_init(struct plane *r, const struct plane_limits *limits, usec_t now);
void plane_done(struct plane *r);
/* MEDIA_STOCK is not for the plane: -EINVAL, as for a malformed command. -ENOENT: no such stream
 * (harmless), -EEXIST: the id or the pair is in use, -ENOSPC: too many streams. -EAGAIN: no room
 * for the events of this command, try again after plane_event(). */
int plane_cmd(struct plane *r, usec_t now, const struct media_cmd *cmd);
/* 1: send the packet on as *ret says. 0: drop it. */
MUST_CHECK int plane_rx(struct plane *r, usec_t now, const struct plane_packet *in,
                        struct plane_forward *ret);
/* The oldest packet made here, removed; false: none. After plane_rx(), plane_cmd() and
 * plane_tick(). */
bool plane_out(struct plane *r, struct plane_made *ret);
/* What is to be written of recordings; false: nothing. After each plane_tick(), until it is false:
 * the samples live until the next one, what is not taken is lost. MEDIA_EV_RECORDED comes behind
 * the last block. */
bool plane_block(struct plane *r, struct plane_block *ret);
/* What taps have to give, as plane_block(): after each plane_tick() and plane_cmd(), until it is
 * false. Sound that is not taken is lost. */
bool plane_tap(struct plane *r, struct plane_tap *ret);
/* 0; -ENOENT: no such tap; -ENOBUFS: too much waits there, this is dropped; -EBUSY: the party is
 * speaking, this is not heard; -ENOMEM. */
int plane_feed(struct plane *r, usec_t now, const struct plane_feed *f);
/* While plane_deadline() is not above `now` there is more to do: it is to be called again. */
void plane_tick(struct plane *r, usec_t now);
/* When plane_tick() next has work; USEC_NEVER: none. */
usec_t plane_deadline(const struct plane *r);
/* The oldest event, removed; false: none. */
bool plane_event(struct plane *r, struct media_ev *ret);
/* The stream that a port pair belongs to, by its even port; 0: none. */
media_id plane_stream_of(const struct plane *r, uint16_t port);
/* The figures of a live stream so far; -ENOENT. */
MUST_CHECK int plane_stats(const struct plane *r, media_id id, struct media_stats *ret);

#endif
