/* The media plane seen from outside: commands in, events out, both values, so they travel through
 * a mailbox to the media thread. A *stream* is one RTP session of one leg on one port pair of ours
 * (RTP on an even port, RTCP on the next). Two streams are linked, so that their parties hear each
 * other; a stream may be in a *room*, where all hear all; it may be played something, which then is
 * what its party hears; and it may be written to a *recording*. */
#ifndef ENGINE_MEDIA_MEDIA_H
#define ENGINE_MEDIA_MEDIA_H

#include "base/addr.h"
#include "base/timer.h"
#include "engine/media/codec.h"
#include "engine/media/report.h"

/* Chosen by the PBX, unique among live streams; 0 is none. */
typedef uint64_t media_id;

/* Payload types of one direction of a stream, the preferred first. */
#define MEDIA_MAX_FORMATS 12
/* What one MEDIA_PLAY holds; a stream keeps MEDIA_MAX_QUEUE that are still to come. */
#define MEDIA_MAX_ITEMS 8
#define MEDIA_MAX_QUEUE 32

enum media_cmd_kind {
    MEDIA_STOCK,  /* open `count` more port pairs of `family` and announce them */
    MEDIA_OPEN,   /* the pair `port` now belongs to stream `id`; stale packets are dropped */
    MEDIA_SET,    /* remote addresses and flags of stream `id` */
    MEDIA_FORMAT, /* what the party of `id` sends (rx) and wants (tx). A stream without formats is
                     passed on untouched, RTCP too; with them packets are renumbered, transcoded
                     where the parties differ, and RTCP is our own. A payload type above 127 or
                     named before and a clock of 0 or above 192 kHz are left out */
    MEDIA_LINK,   /* what `id` receives goes out on `peer`, and back */
    MEDIA_UNLINK, /* undoes MEDIA_LINK of `id` */
    MEDIA_CLOSE,  /* ends stream `id`: MEDIA_EV_CLOSED follows, then the pair is free again */
    MEDIA_PLAY,   /* the party of `id` hears play.item[], then again what it would hear */
    MEDIA_STOP,   /* ends what is being played to `id` */
    MEDIA_JOIN,   /* `id` enters room `room`, which is made for the first; undoes a link */
    MEDIA_LEAVE,  /* undoes MEDIA_JOIN */
    MEDIA_MEMBER, /* how `id` takes part in its room: member.* */
    MEDIA_ROOM_PLAY, /* all who are in room `id` hear play.item[] besides each other */
    MEDIA_LISTEN,    /* digits in the sound of `id` are wanted (`on`), where its party cannot send
                        telephone-event */
    MEDIA_RECORD, /* `id` is track `track` of recording `record`, which begins with the first, and
                     of no other; number 0: of none */
    MEDIA_RECORD_STOP,  /* ends recording `record` for all tracks */
    MEDIA_RECORD_PAUSE, /* `on`: silence is written; off: sound again */
    MEDIA_CLIP, /* sound number play.clip_number is play.clip from now on; NULL: there is none. The
                   plane owns it and frees it */
    MEDIA_TAP,  /* a program listens to the party of `id` and speaks to it: tap.*. Once more: with
                   other parameters. `on` false: no longer */
    MEDIA_TAP_HEAR /* the party of `id`, which is tapped and has stopped its peer by speaking, hears
                      what that says again. `on`: it does not from now on, as if it had spoken */
};

/* Set in the number of a recording that is a message, not a call. */
#define MEDIA_RECORD_MESSAGE ((uint64_t)1 << 62)

enum media_item_kind {
    MEDIA_ITEM_SILENCE,
    MEDIA_ITEM_CLIP, /* nothing if it is not there; a loop waits for it */
    MEDIA_ITEM_TONE, /* of call progress */
    MEDIA_ITEM_DIGIT /* telephone-event, or its tones where the party has not agreed to it */
};
struct media_item {
    uint8_t kind;
    char digit;
    uint8_t tone;    /* enum tone_kind */
    char country[2]; /* of the tone: ISO 3166 */
    uint32_t ms;     /* 0: a clip's own length, a tone without end, a digit of 100 ms */
    uint32_t clip;   /* its number */
};

/* Sounds have numbers below this. */
#define MEDIA_MAX_CLIPS 8192

/* A sound of its own: 16-bit samples, one channel. A block of mem_alloc(). */
struct media_clip {
    uint32_t refs; /* the plane's */
    uint32_t rate_hz, n;
    int16_t sample[];
};

struct media_cmd {
    enum media_cmd_kind kind;
    media_id id, peer;
    uint16_t port;
    uint8_t family; /* enum addr_family */
    bool on;
    uint32_t count;
    union {
        struct {                   /* MEDIA_SET */
            struct addr rtp, rtcp; /* where SDP says the party receives; ADDR_NONE: unknown */
            bool latch; /* learn the real source from the first packets (symmetric RTP) */
            bool receiving,
                sending;         /* the party sends to us / may be sent to (inactive: neither) */
            uint32_t timeout_ms; /* silence of this stream and its peer; 0: never (held calls) */
        };
        struct { /* MEDIA_FORMAT */
            uint8_t n_rx, n_tx;
            uint8_t ptime_ms; /* wanted by the party; 0: 20 */
            bool mux;         /* RTCP on the RTP port (RFC 5761) */
            struct media_format rx[MEDIA_MAX_FORMATS], tx[MEDIA_MAX_FORMATS];
        };
        struct { /* MEDIA_PLAY, MEDIA_CLIP */
            uint8_t n_items;
            bool loop;      /* for ever, until MEDIA_STOP; what is played meanwhile without it
                               is heard at once, and then the loop goes on */
            bool append;    /* behind what is being played; else in place of it */
            uint32_t token; /* comes back in MEDIA_EV_PLAYED; 0: no event is wanted */
            struct media_item item[MEDIA_MAX_ITEMS];
            uint32_t clip_number;
            struct media_clip *clip;
        } play;
        struct { /* MEDIA_JOIN, MEDIA_LEAVE, MEDIA_MEMBER */
            uint64_t room;
            bool muted, deaf;
        } member;
        struct { /* MEDIA_RECORD and its kin */
            uint64_t number;
            uint32_t rate_hz;   /* 8000 or 16000 */
            uint8_t track;      /* from 0 */
            bool tracks, mixed; /* what is written */
            bool also;          /* it stays in the recording that it is in, besides this one */
            bool leave;         /* it leaves this one */
            bool said; /* the track is what its party is told, by MEDIA_PLAY or what speaks to it
                          (MEDIA_TAP), besides what it says; leave: of that alone */
        } record;
        struct {           /* MEDIA_TAP */
            uint64_t link; /* of the conversation: sound that is given under another is refused */
            bool sound;    /* its frames go out by plane_tap(), and plane_feed() is heard */
            bool ears;     /* its frames are for the exchange's own ears, not for a program */
            bool voice;    /* MEDIA_EV_VOICE is wanted */
            bool barge_in; /* what is fed and played stops when the party begins to speak */
            bool linked;   /* and what its peer says, which is silenced until MEDIA_TAP_HEAR or
                              until they are linked no more */
            /* With `linked` the party's keys are not for its peer, and MEDIA_EV_HEARS is wanted. */
            uint32_t rate_hz;  /* of both directions: 8000 or 16000; 0: 8000 */
            uint32_t queue_ms; /* of sound that may wait to be heard; 0: 60 s, at most 10 minutes */
            uint16_t onset_ms; /* voice that is taken for speech, 20 to 1000; 0: 60 */
            uint16_t hang_ms;  /* pause that ends it, 20 to 5000; 0: 400 */
            uint32_t lapse_ms; /* MEDIA_EV_HEARS tells that the peer says nothing for so long; 0:
                                  never */
        } tap;
    };
};

enum media_ev_kind {
    MEDIA_EV_PORTS,    /* `count` pairs in port[] are open and free */
    MEDIA_EV_NO_PORTS, /* no more than these could be opened: the range is used up, or the system's
                          descriptors are */
    MEDIA_EV_FIRST,    /* first RTP packet of stream `id` */
    MEDIA_EV_LATCHED,  /* `id` now receives from and sends to `from` */
    MEDIA_EV_STRANGER, /* packets from `from` were ignored on `id` (once per stream) */
    MEDIA_EV_TIMEOUT,  /* neither `id` nor its peer received RTP for timeout_ms (once) */
    MEDIA_EV_STATS,    /* figures of `id` so far, with each RTCP report */
    MEDIA_EV_CLOSED,   /* `id` is gone, its pair `port[0]` is free; statistics */
    MEDIA_EV_PLAYED,   /* what was to be played under `token` has been, or was stopped */
    MEDIA_EV_DIGIT, /* the party of `id` presses `digit`, or lets it go (`over`); `in_band`: heard,
                       not told */
    MEDIA_EV_RECORDED, /* recording `id` has stopped: its last samples are out */
    MEDIA_EV_TALK,     /* the party of `id`, in a room or recorded, begins (`talks`) or ends */
    MEDIA_EV_HEARS, /* the party of `id`, which is tapped and linked, hears the first of its peer,
                       or the first since MEDIA_TAP_HEAR (`talks`), also while it holds; or has
                       heard nothing of it since then for tap.lapse_ms */
    MEDIA_EV_VOICE  /* the party of `id`, which is tapped, begins to speak (`talks`) at voice.at or
                      has ended there; told when onset_ms or hang_ms have shown it */
};

#define MEDIA_EV_MAX_PORTS 32

struct media_stats {
    uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, dropped;
    uint32_t lost;           /* by sequence numbers, RFC 3550 A.3; never below 0 */
    uint32_t jitter_us;      /* RFC 3550 A.8, at an 8000 Hz clock unless known */
    uint8_t codec;           /* enum codec_id of the speech that came last; CODEC_NONE: not known */
    uint8_t tx_codec;        /* the same of what went last */
    uint8_t payload_type;    /* the last one received */
    uint8_t tx_payload_type; /* the last one sent */
    struct report_quality quality;
    uint32_t late, concealed; /* frames that came too late, and frames made up in their place */
};

struct media_ev {
    enum media_ev_kind kind;
    media_id id;
    uint8_t family;
    uint32_t count;
    uint16_t port[MEDIA_EV_MAX_PORTS];
    char digit;
    bool in_band, over, talks;
    struct {
        usec_t at;        /* of the first sample of speech, or behind the last */
        bool stopped;     /* barge_in: something was being heard, and is no longer */
        uint32_t stop_ms; /* from that first sample, as it was spoken but for the way to us, until
                             the last one of what was heard */
    } voice;
    uint32_t token;
    struct addr from;
    struct media_stats stats;
};

#endif
