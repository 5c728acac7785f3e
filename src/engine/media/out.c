#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane_int.h"
#include "wire/rtp/be.h"
#include "wire/rtp/rtp.h"

/* More than a tick of a full exchange makes; it is emptied after each. */
#define RING_BYTES (4u << 20)

struct entry {
    struct addr to;
    uint16_t port, n;
    bool is_rtcp;
};

struct plane_ring {
    uint32_t head, tail; /* offsets; both go back to 0 when all was taken */
    uint8_t *mem;
};

static uint32_t room_of(size_t n)
{
    return (uint32_t)((sizeof(struct entry) + n + 15) & ~(size_t)15);
}

int plane_out_init(struct plane *r)
{
    r->out = mem_zero(sizeof(*r->out));
    if (!r->out)
        return -ENOMEM;
    r->out->mem = mem_map(RING_BYTES);
    return r->out->mem ? 0 : -ENOMEM;
}

void plane_out_done(struct plane *r)
{
    if (!r->out)
        return;
    if (r->out->mem)
        mem_unmap(r->out->mem, RING_BYTES);
    mem_free(r->out);
    r->out = NULL;
}

bool plane_out_crowded(const struct plane *r)
{
    return r->out->head > RING_BYTES / 2;
}

bool plane_out(struct plane *r, struct plane_made *ret)
{
    struct plane_ring *q = r->out;
    if (q->tail == q->head) {
        q->tail = q->head = 0;
        return false;
    }
    const struct entry *e = (const void *)(q->mem + q->tail);
    *ret = (struct plane_made){.to = e->to,
                               .port = e->port,
                               .is_rtcp = e->is_rtcp,
                               .n = e->n,
                               .bytes = q->mem + q->tail + sizeof(*e)};
    q->tail += room_of(e->n);
    return true;
}

static bool put(struct plane *r, const struct entry *how, const uint8_t *bytes)
{
    struct plane_ring *q = r->out;
    if (RING_BYTES - q->head < room_of(how->n)) {
        r->count.out_lost++;
        return false;
    }
    struct entry *e = (void *)(q->mem + q->head);
    *e = *how;
    memcpy(e + 1, bytes, how->n);
    q->head += room_of(how->n);
    return true;
}

/* Where its packets go; NULL: nowhere, and then they must not be numbered either, since the party
 * would count them as lost. */
static const struct addr *way_to(const struct stream *s)
{
    const struct addr *to = s->sending ? latch_dest(&s->rtp) : NULL;
    return to && to->family == s->family ? to : NULL;
}

bool plane_can_say(struct plane *r, struct stream *s)
{
    if (way_to(s))
        return true;
    r->count.no_way += s->sending;
    if (s->mouth)
        mouth_forget(s->mouth);
    egress_pause(&s->egress);
    return false;
}

void plane_out_put(struct plane *r, usec_t now, struct stream *s, const uint8_t *bytes, size_t n)
{
    const struct addr *to = way_to(s);
    if (!to || !put(r, &(struct entry){.to = *to, .port = s->port, .n = (uint16_t)n}, bytes))
        return;
    s->stats.tx_packets++;
    s->stats.tx_bytes += n;
    s->stats.tx_payload_type = bytes[1] & 0x7F;
    report_sent(&s->report, now, be32_get(bytes + 4), n - RTP_HEADER_BYTES);
}

void plane_out_rtcp(struct plane *r, struct stream *s, const uint8_t *bytes, size_t n)
{
    const struct addr *to = latch_dest(s->mux ? &s->rtp : &s->rtcp);
    if (!to || to->family != s->family)
        return;
    (void)put(r, &(struct entry){.to = *to, .port = s->port, .n = (uint16_t)n, .is_rtcp = !s->mux},
              bytes);
}

/* The mouth of a party, in what it wants to hear; NULL: there is none. */
static struct mouth *mouth_of(struct plane *r, struct stream *s)
{
    const struct media_format *f = plane_speech(s);
    if (!f)
        return NULL;
    if (!s->mouth)
        s->mouth = mem_zero(sizeof(*s->mouth));
    if (!s->mouth || mouth_set(s->mouth, f, s->ptime_ms)) {
        r->count.no_memory++;
        return NULL;
    }
    return s->mouth;
}

void plane_mouth_follow(struct plane *r, struct stream *s)
{
    if (s->mouth && !mouth_of(r, s))
        mouth_done(s->mouth);
}

void plane_say(struct plane *r, usec_t now, struct stream *s, uint32_t rate_hz, const int16_t *pcm,
               unsigned n)
{
    struct mouth_packet p;
    struct mouth *m = plane_can_say(r, s) ? mouth_of(r, s) : NULL;
    if (m && m->n == 0)
        turn_to_us(now, s);
    if (m && s->said)
        rec_said(s, now, rate_hz, pcm, n);
    while (m && mouth_put(m, &s->egress, now, rate_hz, &pcm, &n, &p))
        plane_out_put(r, now, s, p.bytes, p.n);
}

uint32_t plane_say_rate(struct plane *r, struct stream *s)
{
    const struct mouth *m = mouth_of(r, s);
    return m ? m->rate_hz : 8000;
}

void plane_say_end(struct plane *r, usec_t now, struct stream *s)
{
    struct mouth_packet p;
    while (s->mouth && plane_can_say(r, s) && mouth_flush(s->mouth, &s->egress, now, &p))
        plane_out_put(r, now, s, p.bytes, p.n);
    egress_pause(&s->egress);
}
