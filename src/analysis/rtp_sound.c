/* What payloads tell without being decoded: whether they are silence, and fingerprints by which the
 * same sound is known again at another place. */
#include "analysis/rtp_int.h"

/* A mean amplitude of about 48 of 32768, -56 dBov: nobody speaks. In codes, times 16. */
#define QUIET_ULAW  96
#define QUIET_ALAW  48
#define SIEVE       7  /* one payload in eight is a candidate, chosen by its content */
#define LEAST_BYTES 16 /* shorter payloads are alike by chance */

#define K1 0x9e3779b97f4a7c15u
#define K2 0xbf58476d1ce4e5b9u

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

#define LOW_BITS 0x7F7F7F7F7F7F7F7Fu
#define EVEN     0x00FF00FF00FF00FFu

/* G.711 codes grow with the amplitude once the bits that are sent inverted are put back: the mean
 * of every other eight of them, in 16ths. Two times eight are added before they are spread to 16
 * bits each, which is as much as a byte holds. */
static uint32_t level_of(const uint8_t *p, uint32_t n, uint8_t inverted)
{
    uint64_t flip = inverted * 0x0101010101010101u & LOW_BITS, sum = 0;
    uint32_t count = n < 8 ? 0 : (n - 8) / 16 + 1, i = 0;
    count = count < 128 ? count : 128;
    for (; i + 2 <= count; i += 2, p += 32) {
        uint64_t v = ((load64(p) & LOW_BITS) ^ flip) + ((load64(p + 16) & LOW_BITS) ^ flip);
        sum += (v & EVEN) + (v >> 8 & EVEN);
    }
    if (i < count) {
        uint64_t v = (load64(p) & LOW_BITS) ^ flip;
        sum += (v & EVEN) + (v >> 8 & EVEN);
    }
    uint32_t all = (uint32_t)(sum & 0xFFFF) + (uint32_t)(sum >> 16 & 0xFFFF) +
                   (uint32_t)(sum >> 32 & 0xFFFF) + (uint32_t)(sum >> 48);
    return count ? all * 2 / count : UINT32_MAX;
}

static bool is_silent(const struct an_stream *s, const struct rtp_in *in)
{
    const struct an_format *f = &s->format[s->current];
    switch (f->codec) {
    case CODEC_PCMU:
        return level_of(in->payload, in->payload_n, 0xFF) < QUIET_ULAW;
    case CODEC_PCMA:
        return level_of(in->payload, in->payload_n, 0x55) < QUIET_ALAW;
    case CODEC_CN:
        return true;
    case CODEC_OPUS:
        return in->payload_n <= 3; /* RFC 7587 section 3.1.3: what remains of a frame in DTX */
    case CODEC_G729:
        return in->payload_n == 2; /* annex B: a silence descriptor */
    default:
        return false;
    }
}

/* Keeps the least of all hashes: wherever a sound passes, the same payloads are kept of it. */
static void sample_put(struct an_stream *s, uint32_t hash, uint64_t at_ns)
{
    uint32_t i = s->n_samples;
    if (i == AN_RTP_SAMPLES && hash >= s->sample[i - 1])
        return;
    for (uint32_t k = 0; k < s->n_samples; k++)
        if (s->sample[k] == hash)
            return; /* a payload that comes again and again tells nothing more */
    if (i == AN_RTP_SAMPLES)
        i--;
    else
        s->n_samples++;
    for (; i > 0 && s->sample[i - 1] > hash; i--) {
        s->sample[i] = s->sample[i - 1];
        s->sample_ns[i] = s->sample_ns[i - 1];
    }
    s->sample[i] = hash;
    s->sample_ns[i] = at_ns;
}

static void fingerprint(struct an_stream *s, const struct rtp_in *in)
{
    const uint8_t *p = in->payload;
    uint32_t n = in->payload_n;
    uint64_t h = (load64(p + n / 4) + load64(p + n / 2) * 3 + load64(p + n - 8) * 5) * K1;
    if (h >> 40 & SIEVE)
        return;
    for (uint32_t at = 0; at + 8 <= n; at += 8)
        h = rtp_fold(h ^ load64(p + at), K2);
    h ^= n;
    sample_put(s, (uint32_t)(h ^ h >> 32), in->at_ns);
}

void rtp_sound_rx(struct an_stream *s, const struct rtp_in *in)
{
    if (!in->payload)
        return;
    bool silent = !s->secure && is_silent(s, in);
    if (silent) {
        const struct an_format *f = &s->format[s->current];
        s->silent_us += f->clock_hz ? s->time.step_ts * 1000000ull / f->clock_hz : 0;
    } else if (in->payload_n >= LEAST_BYTES && !in->cut) {
        fingerprint(s, in);
    }
}

unsigned an_stream_alike(const struct an_stream *a, const struct an_stream *b, uint64_t within_ns)
{
    unsigned n = 0;
    for (uint32_t i = 0, k = 0; i < a->n_samples && k < b->n_samples;) {
        if (a->sample[i] != b->sample[k]) {
            a->sample[i] < b->sample[k] ? i++ : k++;
            continue;
        }
        uint64_t x = a->sample_ns[i++], y = b->sample_ns[k++];
        n += (x > y ? x - y : y - x) <= within_ns;
    }
    return n;
}
