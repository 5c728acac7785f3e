/* The packets of one stream that wait to be played, in the order of their sequence numbers. It
 * knows no codec and no clock: it sorts, refuses what was there before, and sees where a stream
 * begins anew (another SSRC, a sequence that starts over). Whatever is sent, it holds JBUF_PACKETS
 * packets and JBUF_BYTES bytes at most and allocates nothing. */
#ifndef ENGINE_MEDIA_JBUF_H
#define ENGINE_MEDIA_JBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/timer.h"

#define JBUF_PACKETS     64
#define JBUF_CHUNK       160 /* bytes: 20 ms of G.711 fit one */
#define JBUF_CHUNKS      102
#define JBUF_BYTES       (JBUF_CHUNK * JBUF_CHUNKS)
#define JBUF_MAX_PAYLOAD 4096

/* What arrived. The payload is copied. */
struct jbuf_in {
    const uint8_t *payload;
    size_t n;
    uint32_t ts, ssrc;
    uint16_t seq;
    uint8_t pt;
    uint8_t kind; /* the owner's, as is the marker */
    bool marker;
    uint32_t play_us; /* how long it plays; 0: it only keeps its place in the sequence */
};

struct jbuf_packet {
    usec_t at; /* when it arrived */
    uint32_t order;
    uint32_t ts;
    uint32_t play_us;
    uint16_t n, seq;
    uint8_t pt, kind;
    bool marker;
    bool fresh; /* nothing is known about how it follows the one before */
    uint8_t first_chunk;
};

enum jbuf_verdict {
    JBUF_TAKEN,
    JBUF_FRESH,     /* taken; a new stream begins with it */
    JBUF_DUPLICATE, /* it waits here or was taken out */
    JBUF_LATE,      /* a later one was taken out already */
    JBUF_TOO_LONG   /* above JBUF_MAX_PAYLOAD */
};

struct jbuf {
    struct jbuf_packet packet[JBUF_PACKETS];
    uint8_t sorted[JBUF_PACKETS]; /* indices of `packet`, a ring that begins at `head` */
    uint8_t head, n;
    uint8_t free_packet[JBUF_PACKETS];
    uint8_t next_chunk[JBUF_CHUNKS];
    uint8_t free_chunk, chunks_left;
    bool started;
    uint8_t stale_run;  /* refused in a row, each following the one before */
    uint8_t former_run; /* of former_ssrc in a row, and refused */
    uint16_t max_seq, stale_seq;
    uint32_t max_order, max_ts; /* of the highest packet */
    uint32_t ssrc, former_ssrc;
    usec_t accepted; /* when the last one was */
    usec_t changed;  /* when former_ssrc ended; 0: never */
    bool taken_any;
    uint32_t taken;                   /* order of the last one taken out */
    uint64_t taken_bits;              /* bit i: taken - i was taken out */
    uint32_t waiting_us;              /* sum of play_us */
    uint32_t overflow;                /* packets thrown out for want of room */
    uint16_t discarded[JBUF_PACKETS]; /* sequence numbers, for jbuf_discarded() */
    uint8_t n_discarded;
    uint8_t bytes[JBUF_BYTES];
};

void jbuf_init(struct jbuf *b);
/* A full buffer gives up its oldest packets; what is left begins anew. */
enum jbuf_verdict jbuf_put(struct jbuf *b, usec_t now, const struct jbuf_in *in);
/* The next in order, or NULL. Valid until the next call that changes the buffer. */
const struct jbuf_packet *jbuf_head(const struct jbuf *b);
/* Packets that are missing between the last one taken out and the head; 0 with a fresh head. */
uint32_t jbuf_missing(const struct jbuf *b);
/* The payload of the head, which stays; its length. Only if there is a head. */
size_t jbuf_peek(const struct jbuf *b, uint8_t payload[JBUF_MAX_PAYLOAD]);
/* Takes the head out; its payload is in `payload`. Only if there is a head. */
struct jbuf_packet jbuf_take(struct jbuf *b, uint8_t payload[JBUF_MAX_PAYLOAD]);
/* Throws the head out: more is waiting than anybody wants to hear. Only if there is a head. */
void jbuf_drop(struct jbuf *b);
/* The sequence number of a packet that came and will not be played: too late, thrown out, or
 * dropped. Each is told once, the last JBUF_PACKETS of them; false: there is none. */
bool jbuf_discarded(struct jbuf *b, uint16_t *seq);

#endif
