/* What a party says, as samples: for rooms, recordings, and keys that are sounds. Streams whose
 * packets only pass need none of it. */
#include <math.h>

#include "base/mem.h"
#include "engine/media/hear.h"
#include "engine/media/mix_dsp.h"
#include "engine/media/plane_int.h"
#include "wire/rtp/be.h"

static bool has_events(const struct media_format *f, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (f[i].codec == CODEC_EVENT)
            return true;
    return false;
}

/* Its keys are sounds: telephone-event is not agreed on, or only we have named it. */
static bool sounds_keys(const struct stream *s)
{
    return s->wants_keys &&
           (!has_events(s->rx, s->n_rx) || (s->n_tx && !has_events(s->tx, s->n_tx)));
}

static bool wanted(const struct stream *s)
{
    return s->n_rx && (s->room || s->tap || rec_has(s) || sounds_keys(s));
}

static void begin(struct plane *r, struct stream *s)
{
    struct listen *l = mem_zero(sizeof(*l));
    if (l)
        l->ear = ear_new(EAR_LIMIT_MS);
    if (!l || !l->ear) {
        mem_free(l);
        r->count.no_memory++;
        return;
    }
    mix_loud_init(&l->loud);
    ear_formats(l->ear, s->rx, s->n_rx);
    void *g722 = s->seam ? ear_decoder(l->ear, s->g722_pt) : NULL;
    if (g722)
        seam_decoder(s->seam, g722, 0);
    s->listen = l;
}

void listen_stats(const struct stream *s, struct media_stats *ret)
{
    struct ear_stats e;
    if (!s->listen)
        return;
    ear_stats_get(s->listen->ear, &e);
    ret->late += e.late;
    ret->concealed += e.concealed_frames;
}

void listen_free(struct stream *s)
{
    if (!s->listen)
        return;
    listen_stats(s, &s->stats); /* of the next ear they are no part */
    ear_free(s->listen->ear);
    hear_free(s->listen->hear);
    mem_free(s->listen);
    s->listen = NULL;
}

void listen_follow(struct plane *r, struct stream *s)
{
    if (wanted(s) && !s->listen)
        begin(r, s);
    else if (!wanted(s))
        listen_free(s);
    if (!s->listen)
        return;
    ear_formats(s->listen->ear, s->rx, s->n_rx);
    bool keys = sounds_keys(s);
    if (keys && !s->listen->hear) {
        s->listen->hear = hear_new();
        r->count.no_memory += !s->listen->hear; /* there are no keys */
    }
    if (!keys) {
        hear_free(s->listen->hear);
        s->listen->hear = NULL;
    }
}

/* What nobody hears any more; if the packets pass as well, they are heard there. */
static void discards_tell(struct stream *s)
{
    uint16_t seq;
    while (ear_discarded(s->listen->ear, &seq))
        if (s->room || s->peer == NO_STREAM)
            report_discarded(&s->report, seq);
}

void listen_buffer(const struct stream *s, struct report_buffer *ret)
{
    struct ear_stats e;
    *ret = (struct report_buffer){0};
    if (!s->listen || (!s->room && s->peer != NO_STREAM))
        return;
    ear_stats_get(s->listen->ear, &e);
    *ret = (struct report_buffer){(uint16_t)e.mean_ms, (uint16_t)ear_longest_ms(s->listen->ear)};
}

void listen_rx(struct stream *s, usec_t now, const struct shape *h, const uint8_t *bytes,
               size_t end)
{
    struct ear_packet p = {.payload = bytes + h->header,
                           .n = end - h->header,
                           .ts = h->ts,
                           .ssrc = h->ssrc,
                           .seq = h->seq,
                           .pt = h->payload_type,
                           .marker = bytes[1] >> 7};
    ear_rx(s->listen->ear, now, &p);
    discards_tell(s);
}

void listen_tick(struct plane *r, usec_t now, struct stream *s)
{
    static const struct mix_loud_conf conf = {.target = -20, .max_gain = 12, .hold = 20};
    struct listen *l = s->listen;
    bool silent = ear_frame(l->ear, now, l->pcm) == EAR_SILENT;
    l->silent = silent;
    discards_tell(s);
    l->rate_hz = ear_rate(l->ear);
    l->absent = ear_absent(l->ear);
    l->stretched_us = ear_stretched_us(l->ear);
    l->n = l->rate_hz / 50;
    if (l->hear) {
        char digit = hear_frame(l->hear, l->pcm, l->n, l->rate_hz);
        if (digit)
            plane_note_key(r, s, digit, PLANE_KEY_HEARD);
    }
    if (s->room || !rec_has(s))
        return; /* the room knows who talks */
    float power = silent ? 0 : mix_power(l->pcm, l->n);
    float level = power > 0 ? 10 * log10f(power) : MIX_LOUD_NONE;
    mix_loud_step(&l->loud, &conf, level, false, true);
    plane_talks(r, s, l->loud.talks);
}

void plane_talks(struct plane *r, struct stream *s, bool talks)
{
    if (s->talks == talks || !plane_event_room(r))
        return;
    s->talks = talks;
    plane_event_new(r, MEDIA_EV_TALK, s)->talks = talks;
}
