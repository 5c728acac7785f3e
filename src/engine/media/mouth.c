#include "engine/media/mouth.h"

#include <errno.h>
#include <string.h>

#include "wire/rtp/rtp.h"

/* The encoder of one serves the other. */
static bool same(const struct media_format *a, const struct media_format *b)
{
    return a->codec == b->codec && a->clock_hz == b->clock_hz && a->max_rate_hz == b->max_rate_hz &&
           a->max_bitrate == b->max_bitrate && a->fec == b->fec && a->dtx == b->dtx &&
           a->cbr == b->cbr;
}

static unsigned frame_of(const struct codec *c, const struct media_format *f, unsigned ptime_ms)
{
    unsigned ms = !ptime_ms ? 20 : ptime_ms < MOUTH_MIN_MS ? MOUTH_MIN_MS : ptime_ms;
    unsigned samples = c->rate(f) / 1000 * ms;
    unsigned whole = c->whole(f, samples < MOUTH_MAX_FRAME ? samples : MOUTH_MAX_FRAME);
    return whole ? whole : c->whole(f, c->rate(f) / 50);
}

int mouth_set(struct mouth *m, const struct media_format *f, unsigned ptime_ms)
{
    const struct codec *c = codec_of(f->codec);
    unsigned frame = c ? frame_of(c, f, ptime_ms) : 0;
    if (!m->codec || c != m->codec || !same(f, &m->f) || !frame) {
        mouth_done(m);
        if (!frame)
            return -ENOTSUP;
        m->enc = c->encoder(f);
        if (!m->enc)
            return -ENOMEM;
        m->codec = c;
        m->rate_hz = c->rate(f);
    }
    m->f = *f;
    m->frame = frame;
    m->ticks = (uint32_t)((uint64_t)frame * f->clock_hz / m->rate_hz);
    return 0;
}

void mouth_done(struct mouth *m)
{
    if (m->codec)
        m->codec->encoder_free(m->enc);
    resample_done(&m->rs);
    m->codec = NULL;
    m->enc = NULL;
    mouth_forget(m);
}

void mouth_begin(struct mouth *m, int16_t from, bool other)
{
    m->from = from;
    m->fade = mouth_fade(m->rate_hz);
    if (other && m->codec && m->codec->anew)
        m->codec->anew(m->enc);
}

/* A packet of the first samples that wait. */
static bool emit(struct mouth *m, struct egress *e, usec_t now, struct mouth_packet *ret)
{
    int n = m->codec->encode(m->enc, m->fifo, m->frame, ret->bytes + RTP_HEADER_BYTES);
    m->n -= m->frame; /* more may wait when packets have just become shorter */
    memmove(m->fifo, m->fifo + m->frame, m->n * sizeof(m->fifo[0]));
    if (n <= 0) {
        m->skipped += m->ticks;
        return false;
    }
    struct egress_frame f = {.clock_hz = m->f.clock_hz, .ticks = m->ticks, .skipped = m->skipped};
    struct egress_out o = egress_make(e, now, &f);
    rtp_header_build(ret->bytes, &(struct rtp_header){.pt = m->f.pt,
                                                      .marker = o.marker || m->skipped,
                                                      .seq = o.seq,
                                                      .ts = o.ts,
                                                      .ssrc = e->ssrc});
    m->skipped = 0;
    ret->n = RTP_HEADER_BYTES + (size_t)n;
    return true;
}

/* n samples more wait. */
static void take(struct mouth *m, unsigned n)
{
    int16_t *pcm = m->fifo + m->n;
    unsigned all = mouth_fade(m->rate_hz);
    for (unsigned i = 0; i < n && m->fade; i++, m->fade--)
        pcm[i] = mouth_faded(pcm[i], m->from, all - m->fade, all);
    if (n)
        m->last = pcm[n - 1];
    m->n += n;
}

bool mouth_put(struct mouth *m, struct egress *e, usec_t now, uint32_t rate_hz, const int16_t **pcm,
               unsigned *n, struct mouth_packet *ret)
{
    if (!m->codec || resample_set(&m->rs, rate_hz, m->rate_hz))
        return false;
    for (;;) {
        if (m->n >= m->frame) {
            if (emit(m, e, now, ret))
                return true;
            continue;
        }
        unsigned taken = *n;
        unsigned made = resample_run(&m->rs, *pcm, &taken, m->fifo + m->n, m->frame - m->n);
        if (taken == 0 && made == 0)
            return false;
        *pcm += taken;
        *n -= taken;
        take(m, made);
    }
}

void mouth_forget(struct mouth *m)
{
    m->n = 0;
    m->skipped = 0;
    m->fade = 0;
}

bool mouth_flush(struct mouth *m, struct egress *e, usec_t now, struct mouth_packet *ret)
{
    bool made = false;
    if (m->codec && m->n) {
        unsigned all = mouth_fade(m->rate_hz), from = m->n;
        for (; m->n < m->frame; m->n++)
            m->fifo[m->n] = m->n - from < all ? mouth_faded(0, m->last, m->n - from, all) : 0;
        m->last = m->fifo[m->n - 1];
        made = emit(m, e, now, ret);
    }
    if (!made)
        mouth_forget(m);
    return made;
}
