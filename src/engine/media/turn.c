/* From one sound to another that a party hears: neither a click nor a decoder out of step. */
#include "engine/media/plane_int.h"

/* What was sent so long ago is over: the phone has fallen silent. */
#define HEARD_US (60 * USEC_MS)

static bool is_law(uint8_t codec)
{
    return codec == CODEC_PCMU || codec == CODEC_PCMA;
}

static int16_t law_sample(uint8_t codec, uint8_t code)
{
    return codec == CODEC_PCMU ? codec_ulaw_sample(code) : codec_alaw_sample(code);
}

static struct seam *seam_of(struct stream *s)
{
    s->seam = s->seam ? s->seam : seam_new();
    return s->seam;
}

void turn_said(struct stream *s, const uint8_t *payload, size_t n)
{
    struct seam *seam = seam_of(s);
    if (seam)
        seam_said(seam, payload, n);
}

void turn_to_us(usec_t now, struct stream *s)
{
    struct egress *e = &s->egress;
    struct mouth *m = s->mouth;
    bool recent = now < e->at + HEARD_US;
    int16_t last = 0;
    if (e->started && !e->following && !e->paused)
        return;
    if (!e->following)
        last = m->last;
    else if (m->f.codec == CODEC_G722 && s->seam)
        last = seam_encoder(s->seam, m->enc);
    else if (is_law(s->told_codec))
        last = law_sample(s->told_codec, s->told_last);
    mouth_begin(m, recent ? last : 0, e->following);
}

/* The first 5 ms go over from what was heard before. */
static void soften(usec_t now, const struct stream *to, const struct turn_payload *p)
{
    unsigned all = mouth_fade(8000);
    bool ulaw = p->codec == CODEC_PCMU;
    int from = 0;
    if (now < p->before.at + HEARD_US && p->before.ours)
        from = to->mouth ? to->mouth->last : 0;
    else if (now < p->before.at + HEARD_US && is_law(to->told_codec))
        from = law_sample(to->told_codec, to->told_last);
    for (unsigned i = 0; i < all && i < p->n; i++) {
        int16_t v = mouth_faded(law_sample(p->codec, p->bytes[i]), from, i, all);
        p->bytes[i] = ulaw ? codec_ulaw_code(v) : codec_alaw_code(v);
    }
}

static void turn_g722(usec_t now, struct stream *s, struct stream *to, const struct turn_payload *p)
{
    const struct mouth *m = to->mouth;
    bool ours = p->before.ours && m && m->codec && m->f.codec == CODEC_G722;
    struct seam_turn t = {.from = s->seam, .ours = ours ? m->enc : NULL, .newest = p->n};
    if (!seam_of(to))
        return;
    if (p->turns && p->before.started)
        seam_turn(to->seam, now, &t);
    seam_pass(to->seam, p->bytes, p->n);
}

void turn_pass(usec_t now, struct stream *s, struct stream *to, const struct turn_payload *p)
{
    if (p->turns && p->before.ours && to->mouth)
        mouth_forget(to->mouth);
    if (is_law(p->codec) && p->n) {
        if (p->turns && p->before.started)
            soften(now, to, p);
        to->told_last = p->bytes[p->n - 1];
    } else if (p->codec == CODEC_G722) {
        turn_g722(now, s, to, p);
    }
    to->told_codec = p->codec;
}
