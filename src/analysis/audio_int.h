/* What the files of the sound share. */
#ifndef ANALYSIS_AUDIO_INT_H
#define ANALYSIS_AUDIO_INT_H

#include "analysis/audio.h"
#include "engine/media/hear.h"
#include "engine/media/jbuf.h"
#include "engine/media/resample.h"
#include "engine/media/srtp.h"
#include "engine/media/tape.h"

#define VOICE_MAX_KEYS 8
#define AUDIO_MS       1000000ll

struct voice_format {
    struct media_format f;
    const struct codec *codec; /* NULL: an event, comfort noise, or not known */
    void *decoder;
};

/* What is needed only while a source is heard. */
struct voice_room {
    struct jbuf jbuf;
    struct tape tape;
    struct resample resample;
};

/* One source on its way from packets to samples. Positions are samples at the rate of the tape,
 * from the beginning of the plan. */
struct voice {
    const struct an_source *source;
    const struct an_stream *stream;
    struct voice_format format[AN_RTP_MAX_FORMATS];
    uint8_t n_formats;       /* of the stream, that are known here */
    bool off;                /* it has turned out to be heard elsewhere */
    struct voice_room *room; /* NULL before its first packet and after its end */
    char *keys;              /* owned: what the keys point into */
    struct str key[VOICE_MAX_KEYS];
    uint8_t n_keys, key_at;
    struct srtp_rx *srtp; /* of key[key_at] */
    bool fits;            /* it has opened a packet */
    uint8_t misfits;      /* and not the last ones */
    uint64_t heard_ns;    /* its last packet that was taken */
    int64_t pos;          /* of what comes next */
    int64_t out;          /* the same at the rate of the output */
    int64_t anchor_pos;   /* where anchor_ts sounds */
    uint32_t anchor_ts, clock_hz;
    uint8_t current;                  /* format */
    bool begun;                       /* something has been heard */
    bool tailed;                      /* what was heard last has faded */
    bool quiet;                       /* a packet has said that there is nothing to hear */
    int64_t slack_ns, least_slack_ns; /* to be corrected; the least of the present window */
    uint64_t window_ns;               /* when that began */
    uint64_t wish_ns;                 /* since when a correction is waited for */
};

struct track_ring {
    int16_t *s;
    struct an_track_stats stats;
    struct hear *hear; /* NULL while a call goes on: nobody asks for keys then */
};

struct an_audio {
    const struct an_engine *engine;
    const struct an_plan *plan;
    uint32_t rate_hz;
    struct voice *voice; /* one for each source */
    uint32_t n_voices, n_rings;
    struct track_ring track[AN_AUDIO_MAX_TRACKS];
    uint32_t ring; /* samples of each */
    int64_t taken, total;
    uint64_t now_ns;
    uint64_t to_ns;   /* AN_NEVER: it goes on */
    uint64_t last_ns; /* the last packet that was for one of the sources */
    bool ended;
};

static inline int64_t audio_samples(uint64_t ns, uint32_t rate_hz)
{
    return (int64_t)(ns / 1000000000u * rate_hz + ns % 1000000000u * rate_hz / 1000000000u);
}

static inline int64_t audio_ns(int64_t samples, uint32_t rate_hz)
{
    return samples / rate_hz * 1000000000 + samples % rate_hz * 1000000000 / rate_hz;
}

/* audio.c: adds samples to a track. */
void audio_put(struct an_audio *a, unsigned track, int64_t at, const int16_t *s, unsigned n);

/* audio_voice.c */
void voice_init(struct an_audio *a, struct voice *v, const struct an_source *source);
void voice_done(struct voice *v);
/* More may be known of its stream than before: formats, keys. */
void voice_refresh(struct an_audio *a, struct voice *v);
/* A packet of its stream. */
void voice_rx(struct an_audio *a, struct voice *v, const struct an_datum *d);
/* Time has passed: what is due is put into its track. */
void voice_pump(struct an_audio *a, struct voice *v);
/* It is on hold by its own party, who says nothing to anybody here. */
bool voice_is_mute(const struct an_audio *a, const struct voice *v, uint64_t at_ns);

#endif
