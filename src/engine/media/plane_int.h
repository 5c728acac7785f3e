/* What the files of the plane share: plane.c (streams, commands, events), pass.c (packets that come
 * in), trans.c (from one codec to another), out.c (packets made here). */
#ifndef ENGINE_MEDIA_PLANE_INT_H
#define ENGINE_MEDIA_PLANE_INT_H

#include "engine/media/dtmf.h"
#include "engine/media/ear.h"
#include "engine/media/egress.h"
#include "engine/media/feed.h"
#include "engine/media/latch.h"
#include "engine/media/mix_loud.h"
#include "engine/media/mouth.h"
#include "engine/media/plane.h"
#include "engine/media/report.h"
#include "engine/media/seam.h"

/* Indices of streams are kept plus one. */
#define NO_STREAM 0
#define TICK_US   (20 * USEC_MS)
/* Recordings that one stream may be in: of its call, and of a conference that its phone mixes. */
#define STREAM_RECS 2

enum pass_how {
    PASS_ON,    /* as it is, under another payload type perhaps */
    PASS_LAW,   /* G.711: a byte for a byte */
    PASS_TRANS, /* decoded and encoded */
    PASS_EVENT, /* telephone-event: it stays one */
    PASS_TONE,  /* telephone-event to a party that has not agreed to it: the sound of the key */
    PASS_NOT
};

/* What becomes of one payload type of a party. */
struct pass {
    uint8_t how, out;  /* enum pass_how; index into the tx formats of the peer */
    uint32_t clock_hz; /* of the timestamps that the peer gets: its speech's */
};

struct trans;
struct play;
struct room;
struct rec;
struct hear;
struct tap;

/* What the party was told in the last tick in which it was told anything. */
#define SAID_SAMPLES 960 /* 20 ms at 48 kHz */
struct said {
    usec_t at;
    uint32_t rate_hz;
    unsigned n;
    int16_t pcm[SAID_SAMPLES];
};

/* A party's sound of this tick. */
struct listen {
    struct ear *ear;
    struct hear *hear; /* NULL: it sends telephone-event, or nobody waits for keys */
    struct mix_loud loud;
    uint32_t rate_hz;
    unsigned n;
    bool absent;          /* nothing of it has come from the party */
    bool silent;          /* it says that it is silent, or nothing has come */
    int32_t stretched_us; /* it was made so much longer */
    int16_t pcm[EAR_MAX_SAMPLES];
};

struct stream {
    media_id id;
    handle_t self;
    struct hash_node node;
    struct timer timer;
    struct latch rtp, rtcp;
    struct report report;
    struct timer rtcp_timer; /* the next report of ours; armed while the formats are known */
    struct media_stats stats;
    usec_t counted_from; /* silence counts from here at the earliest */
    usec_t heard;        /* last RTP packet */
    usec_t window;       /* the time span that window_n belongs to */
    uint32_t window_n;
    uint32_t peer; /* index + 1 */
    uint32_t timeout_ms;
    uint16_t port;
    uint8_t family;
    bool receiving, sending;
    bool mux; /* the party sends RTCP on the RTP port, RFC 5761 */
    bool said_first, said_stranger, said_timeout;

    uint8_t n_rx, n_tx; /* 0: nothing is known about what it sends or wants */
    uint8_t ptime_ms;
    bool pass_ready; /* pass[] is right */
    struct pass pass[MEDIA_MAX_FORMATS];
    struct media_format rx[MEDIA_MAX_FORMATS], tx[MEDIA_MAX_FORMATS];
    struct egress egress;
    uint64_t name; /* of the party in RTCP: random */

    uint8_t told_codec, told_last; /* of what was passed on to it last; its last byte */
    uint8_t g722_pt;               /* under which it speaks G.722; above 127: it does not */

    /* Only where they are needed. */
    struct seam *seam;   /* of its G.722 */
    struct trans *trans; /* what the party says, on its way into another codec */
    struct mouth *mouth;
    struct play *play; /* what is being played to it */
    bool play_keys;    /* and that is keys of its peer */
    struct listen *listen;
    struct tap *tap; /* a program that listens and speaks */
    struct room *room;
    struct rec *rec[STREAM_RECS]; /* that it is a track of; NULL: none */
    struct said *said;            /* one of these has what is told to it, too */
    uint8_t seat;                 /* in the room */
    bool wants_keys, talks;
    struct list tick; /* in plane.ticking */

    struct dtmf_rx keys; /* of the party's telephone-events */
    usec_t key_window;
    uint8_t key_n; /* events told in this window */
};

/* What the first bytes say the packet is. */
struct shape {
    bool rtcp;
    uint32_t ssrc, ts;
    uint16_t seq, header; /* bytes before the payload */
    uint8_t payload_type;
};

static inline struct stream *plane_at(const struct plane *r, uint32_t index1)
{
    return (struct stream *)(void *)(r->streams.mem + (size_t)(index1 - 1) * r->streams.item_bytes);
}

static inline struct stream *plane_peer(const struct plane *r, const struct stream *s)
{
    return s->peer == NO_STREAM ? NULL : plane_at(r, s->peer);
}

static inline uint32_t plane_index1(const struct stream *s)
{
    return (uint32_t)s->self;
}

/* ---- plane.c --------------------------------------------------------------------------------- */

/* NULL: there is none. */
struct stream *plane_find(const struct plane *r, media_id id);
/* News that a call can do without; it may be lost when the ring is nearly full. */
void plane_note(struct plane *r, enum media_ev_kind kind, const struct stream *s,
                const struct addr *from);
enum { PLANE_KEY_DOWN, PLANE_KEY_UP, PLANE_KEY_HEARD };
void plane_note_key(struct plane *r, const struct stream *s, char digit, unsigned how);
void plane_note_stats(struct plane *r, const struct stream *s);
/* News that must arrive; there must be room (plane_event_room()). */
struct media_ev *plane_event_new(struct plane *r, enum media_ev_kind kind, const struct stream *s);
bool plane_event_room(const struct plane *r);
/* The first audio format of what the party wants that can be encoded here, or NULL. */
const struct media_format *plane_speech(const struct stream *s);
/* The telephone-event that it wants: one that counts in the clock of its audio, since the
 * timestamps of both are one sequence, if it has agreed to such a one. NULL: none. */
const struct media_format *plane_keys(const struct stream *s);

/* ---- out.c ----------------------------------------------------------------------------------- */

/* 0 or -ENOMEM. */
MUST_CHECK int plane_out_init(struct plane *r);
void plane_out_done(struct plane *r);
/* Packets should be taken before more are made. */
bool plane_out_crowded(const struct plane *r);
/* One packet of ours to the party of s. */
void plane_out_put(struct plane *r, usec_t now, struct stream *s, const uint8_t *bytes, size_t n);
/* Whether a packet to it would go out. */
bool plane_can_say(struct plane *r, struct stream *s);
/* The same for RTCP; it goes whatever the direction of the media is. */
void plane_out_rtcp(struct plane *r, struct stream *s, const uint8_t *bytes, size_t n);
/* Says this to the party, in the first of its codecs that is known here. */
void plane_say(struct plane *r, usec_t now, struct stream *s, uint32_t rate_hz, const int16_t *pcm,
               unsigned n);
/* Its format has changed: what waits for a packet in another one is not said. */
void plane_mouth_follow(struct plane *r, struct stream *s);
/* The rate that it is spoken to at; 8000 if it cannot be spoken to. */
uint32_t plane_say_rate(struct plane *r, struct stream *s);
/* What was said ends here. */
void plane_say_end(struct plane *r, usec_t now, struct stream *s);

/* ---- turn.c ---------------------------------------------------------------------------------- */

/* The party has said this in G.722. */
void turn_said(struct stream *s, const uint8_t *payload, size_t n);
/* Its mouth is about to speak. */
void turn_to_us(usec_t now, struct stream *s);
/* What was sent to a party before a packet is passed on to it. */
struct turn {
    bool started, ours;
    usec_t at;
};
static inline struct turn turn_before(const struct stream *s)
{
    const struct egress *e = &s->egress;
    return (struct turn){.started = e->started, .ours = e->started && !e->following, .at = e->at};
}
/* A payload of s on its way to `to`, which may change it; turns: it is the first of another sound.
 */
struct turn_payload {
    uint8_t codec;
    bool turns;
    uint8_t *bytes;
    size_t n;
    struct turn before;
};
void turn_pass(usec_t now, struct stream *s, struct stream *to, const struct turn_payload *p);

/* ---- tick.c ---------------------------------------------------------------------------------- */

/* Begins or ends the tick for s, as what it does demands. */
void plane_tick_follow(struct plane *r, usec_t now, struct stream *s);
/* There is something to do at the next one, if for nobody else. */
void plane_tick_begin(struct plane *r, usec_t now);
void plane_tick_run(struct plane *r, usec_t now);

/* ---- listen.c -------------------------------------------------------------------------------- */

/* Listens to s, or no longer, as what it does demands. */
void listen_follow(struct plane *r, struct stream *s);
void listen_free(struct stream *s);
/* Adds what the ear had to make up, and what came too late for it. */
void listen_stats(const struct stream *s, struct media_stats *ret);
/* The jitter buffer that it is heard through now. */
void listen_buffer(const struct stream *s, struct report_buffer *ret);
/* A packet of the party; end: of its payload. */
void listen_rx(struct stream *s, usec_t now, const struct shape *h, const uint8_t *bytes,
               size_t end);
void listen_tick(struct plane *r, usec_t now, struct stream *s);
/* The party begins to talk, or ends. */
void plane_talks(struct plane *r, struct stream *s, bool talks);

/* ---- room.c ---------------------------------------------------------------------------------- */

int room_join(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd);
int room_member(struct stream *s, const struct media_cmd *cmd);
int room_leave(struct plane *r, usec_t now, struct stream *s);
int room_play(struct plane *r, usec_t now, const struct media_cmd *cmd);
/* The formats of a member have changed. */
void room_format(struct plane *r, struct stream *s);
void rooms_tick(struct plane *r, usec_t now);
void rooms_free(struct plane *r);

/* ---- rec.c ----------------------------------------------------------------------------------- */

int rec_join(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd);
void rec_leave(struct stream *s);
static inline bool rec_has(const struct stream *s)
{
    return s->rec[0] || s->rec[1];
}
int rec_cmd(struct plane *r, usec_t now, const struct media_cmd *cmd);
/* s->said: the party is told this in the tick of `now`. */
void rec_said(struct stream *s, usec_t now, uint32_t rate_hz, const int16_t *pcm, unsigned n);
void recs_tick(struct plane *r, usec_t now);
/* The tick has made blocks that the next one would write over. */
bool recs_wait(const struct plane *r);
void recs_free(struct plane *r);

/* ---- play.c ---------------------------------------------------------------------------------- */

int play_cmd(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd);
int play_stop(struct plane *r, usec_t now, struct stream *s);
int play_clip(struct plane *r, const struct media_cmd *cmd);
/* 20 ms of it at this rate, not sent to anybody; returns how many samples. */
unsigned play_frame(struct plane *r, usec_t now, struct stream *s, uint32_t rate_hz, int16_t *out);
/* 20 ms of it, said to the party. */
void play_tick(struct plane *r, usec_t now, struct stream *s);
/* Without a word to anybody: the stream ends. */
void play_free(struct stream *s);
void play_clips_free(struct plane *r);

/* ---- tap.c ----------------------------------------------------------------------------------- */

int tap_cmd(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd);
void tap_free(struct stream *s);
/* A packet of the party, as it comes. */
struct tap_packet {
    uint8_t codec; /* enum codec_id */
    uint32_t ssrc;
    uint16_t seq;
    const uint8_t *payload;
    size_t n;
};
void tap_rx(struct plane *r, usec_t now, struct stream *s, const struct tap_packet *p);
/* A packet of the peer, whose party is not to hear it if this is false. */
bool tap_lets(usec_t now, struct stream *s, const struct tap_packet *p);
/* Its keys are for whoever taps it alone. */
bool tap_keeps_keys(const struct stream *s);
/* What the peer says is heard again. */
void tap_let(struct plane *r, usec_t now, struct stream *s);
/* What the party says in this tick: after listen_tick(). */
void tap_hear(struct plane *r, usec_t now, struct stream *s);
/* 20 ms of what it is fed, or silence, unless it hears something else. */
void tap_say(struct plane *r, usec_t now, struct stream *s);
/* The tick has made frames that the next one would write over. */
bool taps_wait(const struct plane *r);

/* ---- rtcp.c ---------------------------------------------------------------------------------- */

/* Reports of our own begin or go on; without formats there are none. */
void plane_rtcp_arm(struct plane *r, struct stream *s);
/* The timer fired. */
void plane_rtcp_due(struct plane *r, usec_t now, struct stream *s);
/* The stream ends: BYE, if it has ever sent. */
void plane_rtcp_bye(struct plane *r, usec_t now, struct stream *s);
void plane_stats_of(const struct stream *s, struct media_stats *ret);

/* ---- trans.c --------------------------------------------------------------------------------- */

struct trans_in {
    struct stream *peer;
    const struct shape *h;
    const struct media_format *f;
    const uint8_t *payload;
    size_t n;
};
/* A packet of s for in->peer, who wants another codec. */
void trans_rx(struct plane *r, usec_t now, struct stream *s, const struct trans_in *in);
void trans_free(struct trans *t);

#endif
