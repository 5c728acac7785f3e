/* What the exchange does with descriptions: choose formats, rewrite one for the other leg, make one
 * of its own. All of it is composed from values; what is agreed when is the business of the
 * offer/answer machine. */
#ifndef WIRE_SDP_CAPS_H
#define WIRE_SDP_CAPS_H

#include "wire/sdp/codec.h"

/* What may be kept. Without codec names every audio format may. */
struct sdp_policy {
    const struct str *codec; /* names as in sdp_codec_find(), best first */
    unsigned n_codecs;
    bool keep_video, keep_other;
    bool keep_secure; /* SAVP profiles, whose keys pass with SDP_KEEP_KEYS */
    bool own_order;   /* our order of codecs, not that of the author */
};

struct sdp_choice_media {
    bool refused;
    uint8_t n;                       /* formats kept */
    uint8_t format[SDP_MAX_FORMATS]; /* their indices in sdp_media.format, in order */
};

struct sdp_choice {
    unsigned n_media;
    struct sdp_choice_media media[SDP_MAX_MEDIA];
};

/* Chooses the formats of every media. telephone-event and CN stay where an audio codec stays.
 * Returns how many media are neither refused by us nor disabled (port 0) by the author: 0 means no
 * codec in common (488). */
unsigned sdp_choice_make(struct sdp_choice *out, const struct sdp *s, const struct sdp_policy *p);

/* Who we are in the o= line. */
struct sdp_local {
    uint64_t session_id, version;
    struct addr addr; /* of o= and the session's c=; port unused */
};

enum sdp_keep { SDP_KEEP_ICE = 1, SDP_KEEP_KEYS = 2, SDP_KEEP_MUX = 4 };

struct sdp_stream {
    struct addr rtp;    /* where we receive; port 0 refuses the media */
    uint16_t rtcp_port; /* 0, or rtp.port + 1: not written */
    bool mux;           /* write a=rtcp-mux (RFC 5761): in answers to one who has offered it */
    bool set_dir;       /* write `dir`; else what the author wants passes */
    enum sdp_dir dir;
};

/* More formats for one audio media than its author has named. */
struct sdp_extra {
    unsigned media, n;
    struct sdp_codec codec[16];
};
/* The codecs of the names that media `i` of s, as `choice` leaves it, does not hold, under static
 * numbers or free ones, and telephone-event if it is not there. */
void sdp_extra_make(struct sdp_extra *out, const struct sdp *s, unsigned i,
                    const struct sdp_choice_media *choice, const struct str *name, unsigned n);

struct sdp_rewrite {
    struct sdp_local local;
    const struct sdp_extra *extra;   /* NULL: none */
    const struct sdp_choice *choice; /* NULL: all formats stay */
    const struct sdp_stream *stream; /* one for each media */
    unsigned n_streams;              /* media beyond are refused */
    unsigned keep;                   /* enum sdp_keep */
};

/* The description to send to the other leg. A refused media stays in its place with port 0, as
 * RFC 3264 section 6 wants. -ENOBUFS leaves b as it was, but full. */
MUST_CHECK int sdp_rewrite_build(struct buf *b, const struct sdp *s, const struct sdp_rewrite *rw);

/* A description of our own: one audio stream. */
struct sdp_caps {
    struct sdp_local local;
    const struct str *codec;
    unsigned n_codecs;
    struct addr rtp; /* port 0 with OPTIONS and 488, where nothing is to be sent */
    enum sdp_dir dir;
    uint32_t ptime_ms; /* 0: not written */
};

/* Names that are unknown are left out; telephone-event is added when it is not named. -ENOENT if no
 * codec remains, -ENOBUFS. */
MUST_CHECK int sdp_caps_build(struct buf *b, const struct sdp_caps *c);

#endif
