/* Packets, formats and leaps of time in any order. What must hold: a frame is whole and has the
 * rate of an agreed format, the buffer stays within its bounds, and a speaker is heard at the end.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/ear.h"
#include "engine/media/hear.h"
#include "engine/media/jbuf.h"

struct input {
    const uint8_t *p;
    size_t n;
};

static const struct media_format formats[] = {
    {.codec = CODEC_PCMU, .pt = 0, .clock_hz = 8000},
    {.codec = CODEC_PCMA, .pt = 8, .clock_hz = 8000},
    {.codec = CODEC_G722, .pt = 9, .clock_hz = 8000},
    {.codec = CODEC_CN, .pt = 13, .clock_hz = 8000},
    {.codec = CODEC_OPUS, .pt = 111, .clock_hz = 48000},
    {.codec = CODEC_OPUS, .pt = 112, .clock_hz = 48000, .max_rate_hz = 16000},
    {.codec = CODEC_L16, .pt = 96, .clock_hz = 16000},
    {.codec = CODEC_EVENT, .pt = 101, .clock_hz = 8000},
};

static uint32_t take(struct input *in, size_t bytes)
{
    uint32_t v = 0;
    for (size_t i = 0; i < bytes && in->n; i++) {
        v = v << 8 | *in->p++;
        in->n--;
    }
    return v;
}

/* The stream goes on unless the input says otherwise. */
static void packet(struct ear *e, usec_t now, struct input *in, struct ear_packet *p)
{
    uint32_t what = take(in, 1);
    p->seq = (uint16_t)(what & 1 ? take(in, 2) : p->seq + 1u + (what >> 6));
    p->ts = what & 2 ? take(in, 4) : p->ts + 160;
    p->ssrc = what & 4 ? take(in, 1) : p->ssrc;
    p->marker = what & 8;
    if (what & 16)
        p->pt = formats[take(in, 1) % ARRAY_LEN(formats)].pt;
    size_t n = what & 32 ? take(in, 2) % 5000 : 160;
    /* A block of its own, so that a look beyond the end is seen. */
    uint8_t *block = mem_zero(n ? n : 1);
    BUG_ON(!block);
    size_t given = in->n < n ? in->n : n < 64 ? n : 64;
    memcpy(block, in->p, given);
    in->p += given;
    in->n -= given;
    p->payload = block;
    p->n = n;
    ear_rx(e, now, p);
    mem_free(block);
}

static void frame(struct ear *e, struct hear *h, usec_t now)
{
    int16_t *out = mem_alloc(EAR_MAX_SAMPLES * sizeof(*out));
    struct ear_stats s;
    BUG_ON(!out);
    ear_frame(e, now, out);
    uint32_t rate = ear_rate(e);
    BUG_ON(rate != 8000 && rate != 16000 && rate != 48000);
    hear_frame(h, out, rate / 50, rate);
    mem_free(out);
    ear_stats_get(e, &s);
    BUG_ON(s.waiting_ms > JBUF_PACKETS * 120 + 200);
}

/* After all that, an ordinary speaker is heard. */
static void speaker(struct ear *e, struct hear *h, usec_t now)
{
    uint8_t payload[160] = {0};
    struct ear_packet p = {
        .payload = payload, .n = sizeof(payload), .pt = 8, .ssrc = 0x12345678, .seq = 9};
    int16_t out[EAR_MAX_SAMPLES];
    unsigned voice = 0;
    ear_formats(e, formats, ARRAY_LEN(formats));
    for (unsigned i = 0; i < 150; i++) {
        ear_rx(e, now, &p);
        p.seq++;
        p.ts += 160;
        voice += ear_frame(e, now + 5000, out) == EAR_VOICE && i >= 100;
        now += 20000;
    }
    BUG_ON(voice != 50 || ear_rate(e) != 8000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, n};
    struct ear_packet p = {.pt = 0};
    usec_t now = USEC_S;
    struct ear *e = ear_new(take(&in, 1) * 5);
    struct hear *h = hear_new();
    if (e && h) {
        ear_formats(e, formats, ARRAY_LEN(formats));
        while (in.n) {
            uint32_t what = take(&in, 1);
            now += what >> 4 == 15 ? take(&in, 3) : (what >> 4) * 2000;
            if ((what & 15) == 0)
                ear_formats(e, formats + take(&in, 1) % 4, take(&in, 1) % 5);
            else if ((what & 15) < 6)
                frame(e, h, now);
            else
                packet(e, now, &in, &p);
        }
        speaker(e, h, now + 2 * USEC_S);
    }
    hear_free(h);
    ear_free(e);
    return 0;
}
