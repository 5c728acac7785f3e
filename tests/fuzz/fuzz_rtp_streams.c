/* Packets, descriptions, ends of legs and leaps of time in any order, and then the sound of what
 * became of them. What must hold: the figures of a stream fit each other, no packet is counted
 * twice, and all tracks have the length that was planned. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/audio.h"
#include "analysis/engine_int.h"
#include "base/be.h"
#include "base/mem.h"
#include "engine/media/srtp.h"

#define MAX_PACKETS 400
#define MS          1000000ull

struct input {
    const uint8_t *p;
    size_t n;
};

static struct an_engine *e;
static struct an_leg *legs[4];
static struct an_datum fed[MAX_PACKETS];
static unsigned n_fed;
static struct an_plan plan;

static uint32_t take(struct input *in, size_t bytes)
{
    uint32_t v = 0;
    for (size_t i = 0; i < bytes && in->n; i++) {
        v = v << 8 | *in->p++;
        in->n--;
    }
    return v;
}

static struct addr place(uint32_t i)
{
    struct addr a = {.family = i & 8 ? ADDR_V6 : ADDR_V4, .port = (uint16_t)(20000 + (i & 7))};
    a.ip[0] = 10;
    a.ip[3] = (uint8_t)(i >> 4 & 1);
    return a;
}

static void describe(struct input *in, uint64_t now_ns)
{
    static const struct {
        const char *name;
        uint32_t clock;
        uint8_t pt;
    } codecs[] = {{"PCMU", 8000, 0},          {"PCMA", 8000, 8},  {"G722", 8000, 9},
                  {"opus", 48000, 96},        {"L16", 16000, 97}, {"telephone-event", 8000, 101},
                  {"something-else", 1, 127}, {"CN", 8000, 13}};
    uint32_t what = take(in, 2);
    struct an_leg *leg = legs[what & 3];
    struct an_sdp *sdp = an_leg_sdp_add(leg);
    if (!sdp)
        return;
    sdp->at_ns = now_ns;
    sdp->side = what >> 2 & 1;
    sdp->n_media = 1;
    struct an_media *m = &sdp->media[0];
    m->kind = what & 8 ? SDP_AUDIO : SDP_VIDEO;
    m->secure = what & 16;
    m->rtp = place(what >> 5 & 31);
    for (unsigned i = 0; i < ARRAY_LEN(codecs); i++)
        m->codec[m->n_codecs++] =
            (struct an_codec){.name = an_text_put(&leg->text, str_z(codecs[i].name), 32),
                              .clock = codecs[i].clock,
                              .pt = codecs[i].pt};
    if (m->secure)
        m->crypto =
            an_text_put(&leg->text,
                        what & 1024 ? STR("1 AES_CM_128_HMAC_SHA1_32 "
                                          "inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\n2 x\n")
                                    : str_of((const char *)in->p, in->n < 60 ? in->n : 60),
                        60);
    an_rtp_expect(e->rtp, leg, sdp, 0);
}

/* The stream goes on unless the input says otherwise. */
static void packet(struct input *in, uint64_t now_ns, uint8_t head[12])
{
    uint32_t what = take(in, 2);
    uint16_t seq = (uint16_t)(head[2] << 8 | head[3]);
    uint32_t ts = be32_get(head + 4) + 160;
    seq = what & 1 ? (uint16_t)take(in, 2) : (uint16_t)(seq + 1 + (what >> 1 & 1));
    if (what & 4)
        ts = take(in, 4);
    if (what & 8)
        head[1] = (uint8_t)take(in, 1);
    head[0] = what & 16 ? (uint8_t)take(in, 1) : 0x80;
    if (what & 32)
        head[11] = (uint8_t)take(in, 1);
    be16_put(head + 2, seq);
    be32_put(head + 4, ts);
    size_t n = what & 64 ? take(in, 1) * 6u : 160, given = in->n < n ? in->n : n < 40 ? n : 40;
    size_t cut = what & 128 ? 12 - (what >> 8 & 7) : 12;
    char *block = mem_zero(cut + n);
    BUG_ON(!block);
    memcpy(block, head, cut);
    memcpy(block + cut, in->p, given);
    in->p += given;
    in->n -= given;
    struct an_datum *d = &fed[n_fed++];
    *d = (struct an_datum){.at_ns = now_ns,
                           .frame = n_fed,
                           .kind = AN_UDP_DATA,
                           .truncated = (what & 0xC00) == 0xC00,
                           .src = place(what >> 11),
                           .dst = place(what >> 10 & 31),
                           .bytes = str_of(block, cut + n)};
    an_engine_rx(e, d);
}

static void check(void)
{
    uint64_t all = 0;
    const struct an_rtp *r = e->rtp;
    BUG_ON(an_rtp_settle(e->rtp));
    for (uint32_t i = 0; i < an_rtp_streams(r); i++) {
        const struct an_stream *s = an_rtp_stream(r, i);
        uint64_t by_format = 0;
        if (!s->number)
            continue;
        all += s->packets + s->repeated;
        for (unsigned k = 0; k < s->n_formats; k++)
            by_format += s->format[k].packets;
        BUG_ON(by_format != s->packets);
        BUG_ON(s->lost > s->expected);
        BUG_ON(s->strays > s->packets);
        BUG_ON(s->last_ns < s->first_ns);
        BUG_ON(s->mos_x100 && (s->mos_x100 < 100 || s->mos_x100 > 450));
        BUG_ON(s->n_digits > AN_RTP_MAX_DIGITS);
        BUG_ON(s->silent_ms > s->sound_ms);
        BUG_ON(s->n_ties > AN_RTP_MAX_TIES || (s->leg == AN_NONE) != (s->n_ties == 0));
        for (uint32_t k = 1; k < s->n_samples; k++)
            BUG_ON(s->sample[k - 1] >= s->sample[k]);
        struct an_rtp_side side;
        if (s->leg != AN_NONE)
            an_rtp_leg_side(r, s->leg, (enum an_side)s->side, &side);
    }
    BUG_ON(all > an_rtp_stats(r)->rtp);
}

static void hear(void)
{
    static int16_t sound[AN_AUDIO_MAX_TRACKS + 1][4800];
    int16_t *out[AN_AUDIO_MAX_TRACKS + 1];
    struct an_audio *a;
    uint64_t n = 0;
    memset(&plan, 0, sizeof(plan));
    for (uint32_t i = 0; i < an_rtp_streams(e->rtp); i++)
        if (an_rtp_stream(e->rtp, i)->number)
            (void)an_audio_plan_add(e, i, &plan);
    if (!plan.n_sources || plan.to_ns - plan.from_ns > 200000 * MS)
        return;
    for (unsigned i = 0; i <= AN_AUDIO_MAX_TRACKS; i++)
        out[i] = sound[i];
    BUG_ON(an_audio_new(&a, e, &plan, 8000));
    for (unsigned i = 0; i < n_fed; i++)
        while (!an_audio_rx(a, &fed[i])) {
            unsigned took = an_audio_take(a, 4800, out);
            BUG_ON(!took);
            n += took;
        }
    an_audio_end(a);
    while (!an_audio_done(a)) {
        unsigned took = an_audio_take(a, 4800, out);
        BUG_ON(!took);
        n += took;
    }
    BUG_ON(n != (plan.to_ns - plan.from_ns) * 8 / 1000000);
    an_audio_free(a);
}

static void step(struct input *in, uint64_t *now_ns, uint8_t head[12])
{
    uint32_t what = take(in, 1);
    switch (what & 15) {
    case 0:
        describe(in, *now_ns);
        break;
    case 1:
        legs[what >> 4 & 3]->end_ns = *now_ns;
        break;
    case 2:
        *now_ns += take(in, 2) * 10 * MS;
        break;
    case 3:
        if (an_rtp_streams(e->rtp))
            an_rtp_release(e->rtp, take(in, 1) % an_rtp_streams(e->rtp));
        break;
    case 4:
        check();
        break;
    case 5:
        *now_ns -= *now_ns > 2000 * MS ? take(in, 1) * MS : 0;
        break;
    default:
        packet(in, *now_ns, head);
        *now_ns += 20 * MS;
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    BUG_ON(srtp_start());
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    uint64_t now_ns = 1000000 * MS;
    uint8_t head[12] = {0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7};
    struct an_engine_args args = {.max_legs = 8, .max_streams = 12};
    BUG_ON(an_engine_new(&e, &args));
    for (unsigned i = 0; i < ARRAY_LEN(legs); i++) {
        handle_t h;
        legs[i] = slot_take(&e->legs, &h);
        legs[i]->index = i;
        legs[i]->number = i + 1;
        legs[i]->end_ns = AN_NEVER;
    }
    n_fed = 0;
    while (in.n && n_fed < MAX_PACKETS)
        step(&in, &now_ns, head);
    check();
    hear();
    an_engine_free(e);
    for (unsigned i = 0; i < n_fed; i++)
        mem_free((char *)(uintptr_t)fed[i].bytes.p);
    BUG_ON(mem_live());
    return 0;
}
