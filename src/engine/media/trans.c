/* From one codec to another, packet by packet as they come: nothing waits for a clock, so it adds
 * no more delay than the packets of the other side are long. */
#include <spandsp.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane_int.h"
#include "wire/rtp/seq.h"

/* A longer hole is silence, not loss. */
#define CONCEAL_MS 60
/* Some clocks stumble by so much from packet to packet: no time is missing. */
#define STUMBLE_MS 5
/* A decoder is made anew not more often. */
#define RENEW_US (200 * USEC_MS)

struct trans {
    const struct codec *codec;
    void *dec;
    struct media_format f;
    plc_state_t *plc; /* of codecs that cannot conceal by themselves */
    bool made_up;     /* by it, and nothing real since */
    uint32_t rate_hz;
    usec_t since; /* when the decoder was made */
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

/* A decoder for what the party says now. That of G.722 must know what the party has said before. */
static bool decoder_make(struct stream *s, usec_t now, const struct trans_in *in)
{
    struct trans *t = s->trans;
    decoder_drop(t);
    const struct codec *c = codec_of(in->f->codec);
    t->dec = c ? c->decoder(in->f) : NULL;
    if (!t->dec)
        return false;
    if (in->f->codec == CODEC_G722 && s->seam)
        seam_decoder(s->seam, t->dec, in->n);
    t->codec = c;
    t->f = *in->f;
    t->rate_hz = c->rate(in->f);
    t->since = now;
    return true;
}

/* Ready to decode this format; NULL: out of memory. */
static struct trans *trans_of(struct stream *s, usec_t now, const struct trans_in *in)
{
    const struct media_format *f = in->f;
    if (!s->trans) {
        s->trans = mem_zero(sizeof(*s->trans));
        if (!s->trans)
            return NULL;
        s->trans->plc = plc_init(NULL);
    }
    struct trans *t = s->trans;
    if (!t->plc)
        return NULL;
    if (t->codec && t->f.codec == f->codec && t->f.pt == f->pt && t->f.clock_hz == f->clock_hz)
        return t;
    t->started = false;
    return decoder_make(s, now, in) ? t : NULL;
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

/* How the packet follows the one before: what is missing is made up, or the sound ends and begins
 * anew. False: out of memory. */
static bool follow(struct plane *r, usec_t now, struct stream *s, const struct trans_in *in)
{
    struct trans *t = s->trans;
    bool same = t->started && in->h->ssrc == t->ssrc;
    uint32_t ticks = in->h->ts - t->ts, stumble = in->f->clock_hz / 1000 * STUMBLE_MS;
    unsigned samples;
    if (same && in->h->seq == t->seq && ticks + stumble <= 2 * stumble)
        return true;
    if (same && ticks == 0)
        return true;
    if (same && in->h->seq != t->seq && hole(t, ticks, &samples)) {
        conceal(r, now, s, in->peer, samples);
        return true;
    }
    plane_say_end(r, now, in->peer);
    if (now < t->since + RENEW_US || (same && in->f->codec != CODEC_G722))
        return true;
    return decoder_make(s, now, in); /* of another encoder, or in step with it again */
}

void trans_rx(struct plane *r, usec_t now, struct stream *s, const struct trans_in *in)
{
    const struct shape *h = in->h;
    struct trans *t = trans_of(s, now, in);
    if (!t) {
        r->count.no_memory++;
        return;
    }
    if (t->started && h->ssrc == t->ssrc && rtp_seq_before(h->seq, t->seq) &&
        (uint16_t)(t->seq - h->seq) < 100) {
        s->stats.late++;
        report_discarded(&s->report, h->seq);
        return;
    }
    if (t->started && !follow(r, now, s, in)) {
        r->count.no_memory++;
        return;
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
    plane_say(r, now, in->peer, t->rate_hz, t->pcm, (unsigned)got);
}
