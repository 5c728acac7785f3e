/* Payload formats: what a media offers, what we know, what both have in common. */
#ifndef WIRE_SDP_CODEC_H
#define WIRE_SDP_CODEC_H

#include "wire/sdp/sdp.h"

struct sdp_codec {
    struct str name; /* STR_NONE if neither rtpmap nor RFC 3551 says what it is */
    uint32_t clock;
    uint8_t channels;
    uint8_t pt;
    struct str fmtp; /* STR_NONE if absent */
};

/* The meaning of payload type `pt` by RFC 3551 section 6. -ENOENT if it has none. */
MUST_CHECK int sdp_codec_static(struct sdp_codec *ret, uint8_t pt);
/* A codec by the name used in configuration, "PCMU", "opus", "L16/16000" or "L16/44100/2"; pt is
 * SDP_NO_PT if it has no static one. -ENOENT if unknown. */
MUST_CHECK int sdp_codec_find(struct sdp_codec *ret, struct str name);
/* "PCMU/8000" or "opus/48000/2" of an rtpmap. -EINVAL. */
MUST_CHECK int sdp_codec_parse(struct sdp_codec *ret, struct str encoding, uint8_t pt);
/* The formats of m in its order, those that are payload types. Returns how many were written. */
unsigned sdp_codec_list(struct sdp_codec *out, unsigned cap, const struct sdp_media *m);
/* The codec of format number i. -EINVAL if the format is no payload type. */
MUST_CHECK int sdp_codec_get(struct sdp_codec *ret, const struct sdp_media *m, unsigned i);
/* telephone-event, CN and red: formats that accompany a codec and are none themselves. */
bool sdp_codec_is_helper(const struct sdp_codec *c);
/* Name in configuration and codec agree. */
bool sdp_codec_matches(const struct sdp_codec *c, struct str name);
/* What one sends the other understands: name, clock, channels, and the parameters that must not
 * differ. Payload types may. */
bool sdp_codec_equal(const struct sdp_codec *a, const struct sdp_codec *b);

/* The value of a parameter of "a=1;b=2"; STR_NONE if it is not there, empty if it has no value. */
struct str sdp_fmtp_find(struct str fmtp, struct str name);
/* The list "0-15,32" of telephone-event contains the event; an absent list means 0-15
 * (RFC 4733 section 2.4.1). */
bool sdp_event_has(struct str fmtp, uint8_t event);

#endif
