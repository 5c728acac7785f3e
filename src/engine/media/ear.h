/* The receiving ear of one party: RTP packets in, exactly 20 ms of samples out at each tick.
 * Between them are a buffer that follows the jitter of the path (jbuf, pace), the decoders (codec),
 * and a tape that hides what is lost and stretches or shortens speech by pitch periods (tape), so
 * that the delay can change, and the clocks of both sides differ, unheard.
 *
 * Pure: time is an argument and never goes backwards. One owner; no locks. Memory: 50 KiB for each
 * ear and what its decoders need; nothing is allocated but when a format is heard first. */
#ifndef ENGINE_MEDIA_EAR_H
#define ENGINE_MEDIA_EAR_H

#include "base/timer.h"
#include "engine/media/codec.h"

#define EAR_MAX_FORMATS 16
#define EAR_MAX_SAMPLES 960 /* 20 ms at 48 kHz */
#define EAR_LIMIT_MS    200 /* the usual limit of the delay */

struct ear;

struct ear_packet {
    const uint8_t *payload; /* without padding; copied */
    size_t n;
    uint32_t ts, ssrc;
    uint16_t seq;
    uint8_t pt;
    bool marker;
};

/* What a frame is. */
enum ear_frame_kind {
    EAR_SILENT,    /* nobody speaks: not begun, a pause (RFC 3389, DTX), or gone. The samples are
                      zero, or comfort noise if the party has sent its level */
    EAR_CONCEALED, /* a part of it at least is made up for what did not come */
    EAR_VOICE
};

struct ear_stats {
    uint32_t packets;   /* of agreed payload types */
    uint32_t ignored;   /* of other payload types */
    uint32_t broken;    /* payloads that the codec does not understand */
    uint32_t duplicate; /* had come before */
    uint32_t late;      /* came after their time was over */
    uint32_t lost;      /* never came: gaps in the sequence that were played over */
    uint32_t repaired;  /* of them, those made from the next packet (FEC, if it carries any) */
    uint32_t dropped;   /* given up because more than the limit was waiting */
    uint32_t resets;    /* new streams after the first: SSRC, sequence or timestamps started over */
    uint32_t frames, concealed_frames, silent_frames;
    uint32_t cuts, repeats;       /* adjustments of the delay */
    uint32_t cut_us, repeated_us; /* and what they sum up to */
    uint32_t waiting_ms, most_ms; /* in the buffer, at the last frame and at most */
    uint32_t mean_ms;             /* over about the last five seconds */
};

/* limit_ms: no packet waits longer than about this; 40 to 1000. NULL: out of memory. */
struct ear *ear_new(unsigned limit_ms);
void ear_free(struct ear *e);
/* What the party may send from now on, at most EAR_MAX_FORMATS; more are ignored. CODEC_CN is
 * comfort noise (RFC 3389). CODEC_EVENT (RFC 4733) is not heard, but it is no loss either. Decoders
 * of formats that stay go on undisturbed. */
void ear_formats(struct ear *e, const struct media_format *f, unsigned n);
/* The decoder of a payload type before anything of it is heard, to be told what came before; NULL:
 * it is heard already, or not known. */
void *ear_decoder(struct ear *e, uint8_t pt);
/* A packet of the party came. Whatever it holds is survived. */
void ear_rx(struct ear *e, usec_t now, const struct ear_packet *p);
/* The next 20 ms: ear_rate() / 50 samples are written, always. To be called every 20 ms; calls that
 * come late or twice are made up for in the delay. */
enum ear_frame_kind ear_frame(struct ear *e, usec_t now, int16_t out[EAR_MAX_SAMPLES]);
/* Samples per second of the last frame: 8000, 16000, 32000 or 48000, by what the party sends. */
uint32_t ear_rate(const struct ear *e);
/* Nothing of the last frame has come from the party, and it has not said that it is silent. */
bool ear_absent(const struct ear *e);
/* By how much the last frame was made longer (above 0) or shorter to change the delay. */
int32_t ear_stretched_us(const struct ear *e);
/* Its clock against ours: drift_get(). */
bool ear_drift(const struct ear *e, int32_t *ppm_x10, uint32_t *error_x10);
void ear_stats_get(const struct ear *e, struct ear_stats *ret);
/* The sequence number of a packet that came but is not played; each once. False: there is none. */
bool ear_discarded(struct ear *e, uint16_t *seq);
/* No packet waits longer than this. */
unsigned ear_longest_ms(const struct ear *e);

#endif
