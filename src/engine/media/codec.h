/* Audio codecs behind one small interface: RTP payloads to 16-bit samples and back, one frame at a
 * time. A codec is one file codec_NAME.c and one line of the registry in codec.c. */
#ifndef ENGINE_MEDIA_CODEC_H
#define ENGINE_MEDIA_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

enum codec_id {
    CODEC_NONE, /* not known here: such packets can only be passed on */
    CODEC_PCMU,
    CODEC_PCMA,
    CODEC_G722,
    CODEC_OPUS,
    CODEC_L16,
    CODEC_G729,  /* by a plug-in, if there is one */
    CODEC_EVENT, /* telephone-event (RFC 4733) */
    CODEC_CN,    /* comfort noise (RFC 3389) */
    CODEC_COUNT
};

/* No frame that is decoded or encoded at once is longer: 120 ms at 48 kHz. */
#define CODEC_MAX_SAMPLES 5760
/* No payload that is made here is longer: 60 ms of L16 at 16 kHz. */
#define CODEC_MAX_BYTES 1920

/* One payload type as SDP has agreed on it. */
struct media_format {
    uint8_t codec; /* enum codec_id */
    uint8_t pt;
    uint32_t clock_hz; /* of the RTP timestamps */
    uint32_t name;     /* of what is not known here: a number that stands for it; else 0 */
    /* RFC 7587 section 6.1, of the one who receives; zero: its default. */
    uint32_t max_rate_hz, max_bitrate;
    bool fec, dtx, cbr;
};

/* All sizes are in samples at codec_rate(). */
struct codec {
    struct str name; /* as in SDP */
    uint32_t (*rate)(const struct media_format *f);
    /* State of one direction; NULL: out of memory. Codecs without state give the codec itself. */
    void *(*decoder)(const struct media_format *f);
    void *(*encoder)(const struct media_format *f);
    void (*decoder_free)(void *d);
    void (*encoder_free)(void *e);
    /* Samples written, or -EBADMSG. */
    int (*decode)(void *d, const uint8_t *payload, size_t n, int16_t out[CODEC_MAX_SAMPLES]);
    /* `samples` in place of what is lost; NULL: the codec has no way of its own. */
    int (*conceal)(void *d, unsigned samples, int16_t *out);
    /* `samples` of what was lost right before this payload, from what it repeats of it (in-band
     * FEC); made up if it repeats nothing. NULL: the codec has no such thing. */
    int (*recover)(void *d, const uint8_t *payload, size_t n, unsigned samples, int16_t *out);
    /* Bytes written; `samples` is one that whole() allows. 0: nothing need be sent (DTX). */
    int (*encode)(void *e, const int16_t *in, unsigned samples, uint8_t out[CODEC_MAX_BYTES]);
    /* The other side has heard another encoder since: what comes next leans on nothing said before.
     * NULL: there is nothing to lean on, or it cannot be helped. */
    void (*anew)(void *e);
    /* How many samples a payload holds; 0: none, or it is broken. */
    unsigned (*samples)(const struct media_format *f, const uint8_t *payload, size_t n);
    /* The longest frame not above `samples` that can be encoded; 0: none. */
    unsigned (*whole)(const struct media_format *f, unsigned samples);
};

/* NULL: nothing here can turn it into samples (also telephone-event and CN). */
const struct codec *codec_of(uint8_t id);
/* The codec of a name and clock in SDP; CODEC_NONE. */
enum codec_id codec_find(struct str name, uint32_t clock_hz);
/* Its payloads can be made and read here, so it can be transcoded. */
bool codec_known(uint8_t id);
struct str codec_name(uint8_t id);

static inline uint32_t codec_rate(const struct media_format *f)
{
    const struct codec *c = codec_of(f->codec);
    return c ? c->rate(f) : 0;
}
/* Both directions understand each other: the same codec at the same clock. */
static inline bool media_format_same(const struct media_format *a, const struct media_format *b)
{
    return a->codec == b->codec && a->clock_hz == b->clock_hz && a->name == b->name;
}

/* Loads the G.729 plug-in, a shared library with the interface of bcg729. 0 or -ENOENT. Before any
 * thread uses codecs. */
MUST_CHECK int codec_g729_load(const char *library);

/* The two laws, for those who pass from one to the other without a detour. */
int16_t codec_ulaw_sample(uint8_t code);
int16_t codec_alaw_sample(uint8_t code);
uint8_t codec_ulaw_code(int16_t sample);
uint8_t codec_alaw_code(int16_t sample);
/* [0]: mu-law to A-law, [1]: A-law to mu-law (ITU-T G.711 tables 3 and 4 by way of the samples). */
extern const uint8_t codec_law_swap[2][256];
extern const struct codec codec_pcmu, codec_pcma, codec_g722, codec_opus, codec_l16, codec_g729;

#endif
