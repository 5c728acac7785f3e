#include "app/analyze_sound.h"

#include <errno.h>

#include "base/mem.h"
#include "engine/media/srtp.h"

#define PIECE 960 /* samples at a time */

struct reading {
    struct analyze *a;
    struct sound *sound;
    uint32_t n;
    struct an_input *input;
    int16_t *samples; /* [AN_AUDIO_MAX_TRACKS + 1][PIECE] */
};

static int take(struct reading *r, struct sound *s)
{
    int16_t *out[AN_AUDIO_MAX_TRACKS + 1];
    unsigned n;
    int err = 0;
    for (uint32_t i = 0; i <= s->plan.n_tracks; i++)
        out[i] = r->samples + (size_t)i * PIECE;
    while (!err && (n = an_audio_take(s->audio, PIECE, out)) != 0)
        err = s->take(s, out, n);
    return err;
}

static int datums(struct reading *r)
{
    const struct an_datum *d;
    while ((d = an_input_take(r->input)) != NULL) {
        for (uint32_t i = 0; i < r->n; i++) {
            while (!an_audio_rx(r->sound[i].audio, d)) {
                int err = take(r, &r->sound[i]);
                if (err)
                    return err;
            }
        }
    }
    return 0;
}

static int frame(struct analyze_pass *pass, const struct cap_frame *f, uint64_t number)
{
    struct reading *r = pass->user;
    (void)number;
    an_input_frame(r->input, f);
    return datums(r);
}

static int finish(struct reading *r)
{
    an_input_end(r->input);
    int err = datums(r);
    for (uint32_t i = 0; i < r->n && !err; i++) {
        an_audio_end(r->sound[i].audio);
        err = take(r, &r->sound[i]);
    }
    return err;
}

static int begin(struct reading *r)
{
    struct an_limits limits = an_limits_default();
    r->samples = mem_alloc((AN_AUDIO_MAX_TRACKS + 1) * (size_t)PIECE * sizeof(*r->samples));
    int err = r->samples ? srtp_start() : -ENOMEM;
    if (!err)
        err = an_input_new(&r->input, &limits);
    if (!err)
        err = analyze_keys(r->a, r->input);
    for (uint32_t i = 0; i < r->n && !err; i++)
        err = an_audio_new(&r->sound[i].audio, r->a->engine, &r->sound[i].plan, 0);
    return err;
}

/* Of all that is heard. */
static uint64_t last_frame(const struct analyze *a, const struct sound *sound, uint32_t n)
{
    uint64_t last = 1;
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t k = 0; k < sound[i].plan.n_sources; k++) {
            uint32_t stream = sound[i].plan.source[k].stream;
            uint64_t frame = an_rtp_stream(an_engine_rtp(a->engine), stream)->last_frame;
            last = frame > last ? frame : last;
        }
    return last;
}

int analyze_sound(struct analyze *a, struct sound *sound, uint32_t n)
{
    struct reading r = {.a = a, .sound = sound, .n = n};
    struct analyze_pass pass = {
        .a = a, .frame = frame, .last = last_frame(a, sound, n), .user = &r};
    int err = begin(&r);
    if (!err)
        err = analyze_pass(&pass);
    if (!err)
        err = finish(&r);
    for (uint32_t i = 0; i < n; i++) {
        an_audio_free(sound[i].audio);
        sound[i].audio = NULL;
    }
    an_input_free(r.input);
    mem_free(r.samples);
    return err;
}
