#include "engine/media/mouth.h"

#include <errno.h>
#include <string.h>

#include "wire/rtp/rtp.h"

static bool same(const struct media_format *a, const struct media_format *b)
{
    return a->codec == b->codec && a->pt == b->pt && a->clock_hz == b->clock_hz &&
           a->max_rate_hz == b->max_rate_hz && a->max_bitrate == b->max_bitrate &&
           a->fec == b->fec && a->dtx == b->dtx && a->cbr == b->cbr;
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
    if (m->codec && c == m->codec && same(f, &m->f) && frame == m->frame)
        return 0;
    mouth_done(m);
    if (!frame)
        return -ENOTSUP;
    m->enc = c->encoder(f);
    if (!m->enc)
        return -ENOMEM;
    m->codec = c;
    m->f = *f;
    m->rate_hz = c->rate(f);
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
    m->n = 0;
    m->skipped = 0;
}

static bool emit(struct mouth *m, struct egress *e, usec_t now, struct mouth_packet *ret)
{
    int n = m->codec->encode(m->enc, m->fifo, m->frame, ret->bytes + RTP_HEADER_BYTES);
    m->n = 0;
    if (n <= 0) {
        m->skipped += m->ticks;
        return false;
    }
    struct egress_out o = egress_make(e, now, m->f.clock_hz, m->ticks + m->skipped);
    rtp_header_build(ret->bytes, &(struct rtp_header){.pt = m->f.pt,
                                                      .marker = o.marker || m->skipped,
                                                      .seq = o.seq,
                                                      .ts = o.ts,
                                                      .ssrc = e->ssrc});
    m->skipped = 0;
    ret->n = RTP_HEADER_BYTES + (size_t)n;
    return true;
}

bool mouth_put(struct mouth *m, struct egress *e, usec_t now, uint32_t rate_hz, const int16_t **pcm,
               unsigned *n, struct mouth_packet *ret)
{
    if (!m->codec || resample_set(&m->rs, rate_hz, m->rate_hz))
        return false;
    while (*n) {
        unsigned taken = *n;
        unsigned made = resample_run(&m->rs, *pcm, &taken, m->fifo + m->n, m->frame - m->n);
        if (taken == 0 && made == 0)
            break;
        *pcm += taken;
        *n -= taken;
        m->n += made;
        if (m->n == m->frame && emit(m, e, now, ret))
            return true;
    }
    return false;
}

void mouth_forget(struct mouth *m)
{
    m->n = 0;
    m->skipped = 0;
}

bool mouth_flush(struct mouth *m, struct egress *e, usec_t now, struct mouth_packet *ret)
{
    if (!m->codec || m->n == 0)
        return false;
    memset(m->fifo + m->n, 0, (m->frame - m->n) * sizeof(m->fifo[0]));
    m->n = m->frame;
    return emit(m, e, now, ret);
}
