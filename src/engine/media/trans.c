/* From one codec to another, packet by packet as they come: nothing waits for a clock, so it adds
 * no more delay than the packets of the other side are long. */
#include <spandsp.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane_int.h"
#include "wire/rtp/seq.h"

/* A longer hole is silence, not loss. */
#define CONCEAL_MS 60

struct trans {
    const struct codec *codec;
    void *dec;
    struct media_format f;
    plc_state_t *plc; /* of codecs that cannot conceal by themselves */
    bool made_up;     /* by it, and nothing real since */
    uint32_t rate_hz;
    bool started;
    uint32_t ssrc, ts;             /* the timestamp that comes next */
    uint16_t seq;                  /* likewise */
    int16_t tail[PLC_HISTORY_LEN]; /* what was said last */
    int16_t pcm[CODEC_MAX_SAMPLES];
};

static void decoder_drop(struct trans *t)
{
    if (t->codec)
        t->codec->decoder_free(t->dec);
    t->codec = NULL;
}

void trans_free(struct trans *t)
{
    if (!t)
        return;
    decoder_drop(t);
    if (t->plc)
        plc_free(t->plc);
    mem_free(t);
}

/* Ready to decode this format; false: out of memory. */
static bool decoder_set(struct trans *t, const struct media_format *f)
{
    if (t->codec && t->f.codec == f->codec && t->f.pt == f->pt && t->f.clock_hz == f->clock_hz)
        return true;
    decoder_drop(t);
    const struct codec *c = codec_of(f->codec);
    t->dec = c ? c->decoder(f) : NULL;
    if (!t->dec)
        return false;
    t->codec = c;
    t->f = *f;
    t->rate_hz = c->rate(f);
    t->started = false;
    return true;
}

static struct trans *trans_of(struct stream *s, const struct media_format *f)
{
    if (!s->trans) {
        s->trans = mem_zero(sizeof(*s->trans));
        if (!s->trans)
            return NULL;
        s->trans->plc = plc_init(NULL);
    }
    return s->trans->plc && decoder_set(s->trans, f) ? s->trans : NULL;
}

/* The samples of a hole that lost packets have left; false: it is none, or too long. */
static bool hole(struct trans *t, uint32_t ticks, unsigned *ret)
{
    uint64_t samples = (uint64_t)ticks * t->rate_hz / t->f.clock_hz;
    *ret = (unsigned)samples;
    return samples > 0 && samples <= (uint64_t)t->rate_hz * CONCEAL_MS / 1000;
}

/* spandsp is told what was before only when it is needed, and then all of it: its ring of history
 * is copied onto itself otherwise, by memcpy(). */
static int make_up(struct trans *t, unsigned samples)
{
    if (t->codec->conceal)
        return t->codec->conceal(t->dec, samples, t->pcm);
    if (!t->made_up)
        (void)plc_rx(t->plc, t->tail, PLC_HISTORY_LEN);
    t->made_up = true;
    return plc_fillin(t->plc, t->pcm, (int)samples);
}

/* n samples were said: if the ones before were made up, they fade over. */
static void remember(struct trans *t, unsigned n)
{
    if (t->made_up)
        (void)plc_rx(t->plc, t->pcm, (int)n);
    t->made_up = false;
    unsigned keep = n < PLC_HISTORY_LEN ? PLC_HISTORY_LEN - n : 0, take = PLC_HISTORY_LEN - keep;
    memmove(t->tail, t->tail + take, keep * sizeof(t->tail[0]));
    memcpy(t->tail + keep, t->pcm + n - take, take * sizeof(t->tail[0]));
}

static void conceal(struct plane *r, usec_t now, struct stream *s, struct stream *peer,
                    unsigned samples)
{
    struct trans *t = s->trans;
    int made = make_up(t, samples);
    if (made <= 0)
        return;
    s->stats.concealed++;
    plane_say(r, now, peer, t->rate_hz, t->pcm, (unsigned)made);
}

void trans_rx(struct plane *r, usec_t now, struct stream *s, const struct trans_in *in)
{
    const struct shape *h = in->h;
    struct stream *peer = in->peer;
    struct trans *t = trans_of(s, in->f);
    if (!t) {
        r->count.no_memory++;
        return;
    }
    bool goes_on = t->started && h->ssrc == t->ssrc;
    if (goes_on && rtp_seq_before(h->seq, t->seq) && (uint16_t)(t->seq - h->seq) < 100) {
        s->stats.late++;
        return;
    }
    uint32_t ticks = h->ts - t->ts;
    unsigned samples;
    if (goes_on && ticks != 0) {
        if (h->seq != t->seq && hole(t, ticks, &samples))
            conceal(r, now, s, peer, samples);
        else
            plane_say_end(r, now, peer);
    }
    int got = t->codec->decode(t->dec, in->payload, in->n, t->pcm);
    if (got < 0) {
        r->count.malformed++;
        return;
    }
    if (!t->codec->conceal && got > 0)
        remember(t, (unsigned)got);
    t->started = true;
    t->ssrc = h->ssrc;
    t->seq = (uint16_t)(h->seq + 1);
    t->ts = h->ts + (uint32_t)((uint64_t)(unsigned)got * in->f->clock_hz / t->rate_hz);
    plane_say(r, now, peer, t->rate_hz, t->pcm, (unsigned)got);
}
