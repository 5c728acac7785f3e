/* Legs, descriptions and packets made by hand, for the tests of what is done with RTP. */
#ifndef RTP_BED_H
#define RTP_BED_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "analysis/rtp.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/be.h"

#define MS     1000000ull
#define SECOND (1000 * MS)

static struct an_rtp *rtp;
static struct an_leg legs[8];
static uint64_t frame_number;

static inline struct addr at(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse_port(&a, str_z(text)), 0);
    return a;
}

static inline void bed_up(uint32_t max_streams)
{
    assert_int_equal(an_rtp_new(&rtp, max_streams, 4711), 0);
    memset(legs, 0, sizeof(legs));
    for (unsigned i = 0; i < ARRAY_LEN(legs); i++) {
        legs[i].index = i;
        legs[i].number = i + 1;
        legs[i].end_ns = AN_NEVER;
        legs[i].kind = AN_LEG_CALL;
    }
    frame_number = 0;
}

static inline void bed_down(void)
{
    an_rtp_free(rtp);
    for (unsigned i = 0; i < ARRAY_LEN(legs); i++)
        an_text_done(&legs[i].text);
}

struct format_line {
    const char *name;
    uint32_t clock;
    uint8_t pt;
};
static const struct format_line pcmu[] = {{"PCMU", 8000, 0}, {"telephone-event", 8000, 101}, {0}};

/* `side` of the leg says that it receives there. */
static inline void describe(unsigned leg, uint8_t side, const char *where, uint64_t now_ns,
                            const struct format_line *f)
{
    struct an_sdp sdp = {.at_ns = now_ns, .side = side, .n_media = 1};
    struct an_media *m = &sdp.media[0];
    m->rtp = at(where);
    m->kind = SDP_AUDIO;
    for (; f->name; f++)
        m->codec[m->n_codecs++] =
            (struct an_codec){.name = an_text_put(&legs[leg].text, str_z(f->name), 32),
                              .clock = f->clock,
                              .pt = f->pt};
    an_rtp_expect(rtp, &legs[leg], &sdp, 0);
}

/* A sender of packets of 20 ms. */
struct sender {
    struct addr src, dst;
    uint32_t ssrc, ts;
    uint16_t seq;
    uint8_t pt;
    bool marker;
    uint64_t now_ns;
    uint8_t payload[1500];
    uint32_t payload_n;
};

static inline struct sender sender(const char *src, const char *dst, uint32_t ssrc)
{
    struct sender s = {.src = at(src),
                       .dst = at(dst),
                       .ssrc = ssrc,
                       .ts = ssrc * 77,
                       .seq = (uint16_t)(ssrc * 31),
                       .now_ns = SECOND,
                       .payload_n = 160};
    return s;
}

static inline void send_at(const struct sender *s, uint64_t at_ns)
{
    uint8_t p[1600];
    rtp_header_build(
        p, &(struct rtp_header){
               .pt = s->pt, .marker = s->marker, .seq = s->seq, .ts = s->ts, .ssrc = s->ssrc});
    memcpy(p + RTP_HEADER_BYTES, s->payload, s->payload_n);
    struct an_datum d = {.at_ns = at_ns,
                         .frame = ++frame_number,
                         .kind = AN_UDP_DATA,
                         .src = s->src,
                         .dst = s->dst,
                         .bytes = str_of((const char *)p, RTP_HEADER_BYTES + s->payload_n)};
    an_rtp_rx(rtp, &d);
}

static inline void step(struct sender *s)
{
    s->seq++;
    s->ts += 160;
    s->now_ns += 20 * MS;
}

static inline void noise(struct sender *s, struct rand *rnd)
{
    for (uint32_t i = 0; i < s->payload_n; i++)
        s->payload[i] = (uint8_t)rand_below(rnd, 256);
}

static inline void send_n(struct sender *s, unsigned n)
{
    for (; n; n--) {
        s->payload[0] = (uint8_t)s->seq;
        send_at(s, s->now_ns);
        step(s);
    }
}

#endif
