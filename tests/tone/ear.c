#include "tone/ear.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "wire/rtp/event.h"

int ear_set(struct ear *e, const struct media_format *f)
{
    const struct codec *c = codec_of(f->codec);
    if (!c)
        return -ENOTSUP;
    if (e->codec == c && e->f.clock_hz == f->clock_hz) {
        e->f = *f;
        return 0;
    }
    void *dec = c->decoder(f);
    if (!dec)
        return -ENOMEM;
    if (e->codec)
        e->codec->decoder_free(e->dec);
    e->codec = c;
    e->dec = dec;
    e->f = *f;
    if (e->rate_hz != c->rate(f))
        e->n = e->n_pieces = 0;
    e->rate_hz = c->rate(f);
    return 0;
}

void ear_done(struct ear *e)
{
    if (e->codec)
        e->codec->decoder_free(e->dec);
    mem_free(e->pcm);
    mem_free(e->piece);
    *e = (struct ear){0};
}

/* ---- packets --------------------------------------------------------------------------------- */

/* p with room for so many of `each` bytes, or NULL: then p is as it was. */
static void *grown(void *p, size_t *room, size_t wanted, size_t each)
{
    if (wanted <= *room)
        return p;
    void *bigger = mem_resize(p, wanted * 2 * each);
    if (bigger)
        *room = wanted * 2;
    return bigger;
}

static void keep(struct ear *e, usec_t at, const int16_t *pcm, size_t n)
{
    if (e->n + n > EAR_MAX_SAMPLES || n == 0)
        return;
    int16_t *all = grown(e->pcm, &e->room, e->n + n, sizeof(*pcm));
    e->pcm = all ? all : e->pcm;
    struct ear_piece *piece = grown(e->piece, &e->piece_room, e->n_pieces + 1, sizeof(*e->piece));
    e->piece = piece ? piece : e->piece;
    if (!all || !piece)
        return;
    for (size_t i = 0; i < n; i++)
        e->pcm[e->n + i] = pcm[i];
    e->piece[e->n_pieces++] = (struct ear_piece){.at = at, .first = e->n, .n = n};
    e->n += n;
}

static void count_order(struct ear *e, const struct rtp_view *v)
{
    int16_t ahead = (int16_t)(v->seq - e->seq);
    if (ahead <= 0)
        e->stats.late++;
    else
        e->stats.lost += (unsigned)(ahead - 1);
    int32_t jump = (int32_t)(v->ts - e->ts - e->ticks);
    if (v->pt == e->event_pt || ahead != 1 || !e->timed)
        return;
    if (jump > 0)
        e->stats.ts_jumps++;
    if (jump < 0 && (int32_t)(v->ts - e->ts) > 0)
        e->stats.overlaps++;
    else if (jump < 0)
        e->stats.ts_back++;
}

static void count(struct ear *e, usec_t at, const struct rtp_view *v)
{
    e->stats.packets++;
    e->stats.markers += v->marker;
    if (e->started && at - e->at > e->stats.longest_gap)
        e->stats.longest_gap = at - e->at;
    if (!e->started || v->ssrc != e->ssrc)
        e->stats.ssrcs++;
    else
        count_order(e, v);
    e->started = true;
    e->ssrc = v->ssrc;
    e->seq = v->seq;
    e->at = at;
}

/* A digit counts once, at its end (RFC 4733 section 2.5.1.4). */
static void event_rx(struct ear *e, const struct rtp_view *v)
{
    struct rtp_event ev;
    if (rtp_event_parse(&ev, v->payload, v->payload_bytes)) {
        e->stats.broken++;
        return;
    }
    if (!ev.end || v->ts == e->event_ts || e->n_digits >= EAR_MAX_DIGITS)
        return;
    e->event_ts = v->ts;
    char c = rtp_event_char(ev.event);
    e->digit[e->n_digits++] = c ? c : '?';
}

void ear_rx(struct ear *e, usec_t at, const uint8_t *p, size_t n)
{
    struct rtp_view v;
    if (rtp_classify(p, n) != RTP_IS_RTP)
        return;
    if (rtp_parse(&v, p, n)) {
        e->stats.broken++;
        return;
    }
    count(e, at, &v);
    if (e->event_pt && v.pt == e->event_pt) {
        event_rx(e, &v);
        return;
    }
    e->ts = v.ts;
    e->ticks = 0;
    e->timed = e->codec != NULL; /* without the answer nobody knows how long this packet is */
    if (!e->codec || v.pt != e->f.pt) {
        e->stats.unknown += e->codec != NULL; /* else the answer is still on its way */
        return;
    }
    int16_t pcm[CODEC_MAX_SAMPLES];
    int got = e->codec->decode(e->dec, v.payload, v.payload_bytes, pcm);
    if (got < 0) {
        e->stats.broken++;
        return;
    }
    e->ticks = (uint32_t)((uint64_t)(unsigned)got * e->f.clock_hz / e->rate_hz);
    keep(e, at, pcm, (size_t)got);
}

/* ---- looking back ---------------------------------------------------------------------------- */

struct dsp_sound ear_between(const struct ear *e, usec_t from, usec_t to, size_t *first)
{
    size_t a = 0, b = e->n_pieces;
    while (a < b && e->piece[a].at < from)
        a++;
    while (b > a && e->piece[b - 1].at >= to)
        b--;
    *first = a < b ? e->piece[a].first : 0;
    size_t n = a < b ? e->piece[b - 1].first + e->piece[b - 1].n - *first : 0;
    return (struct dsp_sound){
        .pcm = e->pcm ? e->pcm + *first : NULL, .n = n, .rate_hz = e->rate_hz ? e->rate_hz : 8000};
}

size_t ear_count(const struct ear *e, usec_t from, usec_t to)
{
    size_t n = 0;
    for (size_t i = 0; i < e->n_pieces; i++)
        n += e->piece[i].at >= from && e->piece[i].at < to;
    return n;
}

usec_t ear_time_of(const struct ear *e, size_t sample)
{
    for (size_t i = e->n_pieces; i-- > 0;)
        if (e->piece[i].first <= sample)
            return e->piece[i].at + (sample - e->piece[i].first) * USEC_S / e->rate_hz;
    return 0;
}
