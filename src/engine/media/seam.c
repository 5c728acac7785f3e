/* spandsp says nothing about its states in its interface, so their definition is needed. It works
 * on the two bands of G.722 each by itself, which spares the delay of the filters between them. */
#include "engine/media/seam.h"

#include <spandsp.h>
#include <spandsp/private/g722.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

#define BYTES_MS 8
/* What was before has no weight any more: the coefficients fade to a third in 32 ms. */
#define PAST_BYTES (200 * BYTES_MS)
/* Both decoders agree if they differ by no more than this, of full scale or of what is heard. */
#define CLOSE      500
#define CLOSE_PART 10
/* With two encoders that never agree the rest is borne. */
#define LONGEST (1000 * BYTES_MS)
/* Who changes its numbers with each packet makes no more work than this. */
#define PAUSE (200 * USEC_MS)
#define CHUNK 160 /* bytes */
#define LOW   0x3F
#define HIGH  0xC0

struct past {
    uint32_t n; /* bytes since the beginning, not above 2 * PAST_BYTES */
    uint32_t at;
    uint8_t byte[PAST_BYTES];
};

struct seam {
    struct past said, told;
    struct g722_decode_state_s base; /* of its decoder when `told` began */
    bool open;                       /* packets are encoded anew */
    uint32_t done;                   /* bytes of them */
    usec_t turned;
    struct g722_decode_state_s from, far; /* of what is passed on; of the party */
    struct g722_encode_state_s low, high; /* of each only one band counts */
};

static void past_put(struct past *p, const uint8_t *in, size_t n)
{
    if (n > PAST_BYTES) {
        in += n - PAST_BYTES;
        n = PAST_BYTES;
    }
    size_t first = n < PAST_BYTES - p->at ? n : PAST_BYTES - p->at;
    memcpy(p->byte + p->at, in, first);
    memcpy(p->byte, in + first, n - first);
    p->at = (uint32_t)((p->at + n) % PAST_BYTES);
    p->n = p->n + n < 2 * PAST_BYTES ? p->n + (uint32_t)n : 2 * PAST_BYTES;
}

static void decoder_begin(struct g722_decode_state_s *d)
{
    (void)g722_decode_init(d, 64000, 0);
    d->itu_test_mode = TRUE;
}

/* The decoder hears all that is kept but the newest. Returns the last sample, or 0. */
static int16_t replay(const struct past *p, struct g722_decode_state_s *d, size_t newest)
{
    int16_t pcm[2 * CHUNK], last = 0;
    uint32_t kept = p->n < PAST_BYTES ? p->n : PAST_BYTES;
    uint32_t from = p->at + PAST_BYTES - kept;
    kept = newest < kept ? kept - (uint32_t)newest : 0;
    while (kept) {
        uint32_t at = from % PAST_BYTES, n = kept < CHUNK ? kept : CHUNK;
        n = n < PAST_BYTES - at ? n : PAST_BYTES - at;
        int got = g722_decode(d, pcm, p->byte + at, (int)n);
        last = got > 0 ? pcm[got - 1] : last;
        from += n;
        kept -= n;
    }
    return last;
}

struct seam *seam_new(void)
{
    struct seam *s = mem_zero(sizeof(*s));
    if (s)
        decoder_begin(&s->base);
    return s;
}

void seam_free(struct seam *s)
{
    mem_free(s);
}

void seam_said(struct seam *s, const uint8_t *payload, size_t n)
{
    past_put(&s->said, payload, n);
}

void seam_decoder(const struct seam *s, void *decoder, size_t newest)
{
    (void)replay(&s->said, decoder, newest);
}

/* What its decoder remembers. While little was passed on, it is known where that began. */
static int16_t far_of(const struct seam *s, struct g722_decode_state_s *d, bool filtered)
{
    decoder_begin(d);
    d->itu_test_mode = !filtered;
    if (s->told.n <= PAST_BYTES)
        memcpy(d->band, s->base.band, sizeof(d->band));
    return replay(&s->told, d, 0);
}

int16_t seam_encoder(const struct seam *s, void *encoder)
{
    struct g722_decode_state_s d;
    struct g722_encode_state_s *e = encoder;
    int16_t last = far_of(s, &d, true);
    memcpy(e->band, d.band, sizeof(e->band));
    return last;
}

static void encoder_begin(struct g722_encode_state_s *e, const struct g722_decode_state_s *as)
{
    (void)g722_encode_init(e, 64000, 0);
    e->itu_test_mode = TRUE;
    memcpy(e->band, as->band, sizeof(e->band));
}

void seam_turn(struct seam *to, usec_t now, const struct seam_turn *t)
{
    const struct g722_encode_state_s *ours = t->ours;
    to->open = false;
    if (ours) {
        decoder_begin(&to->base);
        memcpy(to->base.band, ours->band, sizeof(to->base.band));
        to->told.n = to->told.at = 0;
    }
    if (!t->from || (to->turned && now < to->turned + PAUSE))
        return;
    to->turned = now;
    (void)far_of(to, &to->far, false);
    decoder_begin(&to->from);
    (void)replay(&t->from->said, &to->from, t->newest);
    encoder_begin(&to->low, &to->far);
    encoder_begin(&to->high, &to->far);
    to->done = 0;
    to->open = true;
}

/* Would the party hear what was said? bands: that; raw: what it would hear. */
static bool is_close(const int16_t *bands, const int16_t *raw, unsigned n)
{
    int peak = 0, worst = 0;
    for (unsigned i = 0; i < n; i++) {
        int off = abs(bands[i] - raw[i]), loud = abs(bands[i]);
        worst = off > worst ? off : worst;
        peak = loud > peak ? loud : peak;
    }
    return worst < CLOSE || worst < peak / CLOSE_PART;
}

/* Six bits of the lower band, two of the upper one: G.722 section 1.4.4. */
static void encode(struct seam *s, const int16_t *bands, uint8_t *out, unsigned bytes)
{
    int16_t band[CHUNK];
    uint8_t high[CHUNK];
    for (unsigned i = 0; i < bytes; i++)
        band[i] = bands[2 * i];
    (void)g722_encode(&s->low, out, band, (int)bytes);
    for (unsigned i = 0; i < bytes; i++)
        band[i] = bands[2 * i + 1];
    (void)g722_encode(&s->high, high, band, (int)bytes);
    for (unsigned i = 0; i < bytes; i++)
        out[i] = (uint8_t)((out[i] & LOW) | (high[i] & HIGH));
}

static void join(struct seam *s, uint8_t *payload, unsigned n)
{
    int16_t bands[2 * CHUNK], raw[2 * CHUNK];
    struct g722_decode_state_s trial = s->far;
    (void)g722_decode(&s->from, bands, payload, (int)n);
    (void)g722_decode(&trial, raw, payload, (int)n);
    if (is_close(bands, raw, 2 * n) || s->done >= LONGEST) {
        s->open = false;
        return;
    }
    encode(s, bands, payload, n);
    (void)g722_decode(&s->far, raw, payload, (int)n);
    s->done += n;
}

void seam_pass(struct seam *to, uint8_t *payload, size_t n)
{
    for (size_t at = 0; to->open && at < n; at += CHUNK)
        join(to, payload + at, (unsigned)(n - at < CHUNK ? n - at : CHUNK));
    past_put(&to->told, payload, n);
}
