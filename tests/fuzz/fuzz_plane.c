/* Commands, packets and leaps of time in any order. What must hold: nothing is sent to an address
 * that neither SDP named nor a packet came from, the ring never loses a CLOSED, and no stream
 * outlives its CLOSE. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane.h"

#define STREAMS 6

struct input {
    const uint8_t *p;
    size_t n;
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

/* Few addresses, so that they meet. */
static struct addr addr_take(struct input *in)
{
    uint32_t v = take(in, 1);
    struct addr a = {.family = v & 0x80   ? ADDR_V6
                               : v & 0x40 ? ADDR_NONE
                                          : ADDR_V4,
                     .port = (uint16_t)(v & 0x20 ? 0 : 5000 + (v & 3)),
                     .ip = {v & 0x10 ? 0 : 192, 0, 2, (uint8_t)(v >> 2 & 3)}};
    return a;
}

static void command(struct plane *r, usec_t now, struct input *in, int *live)
{
    uint32_t flags = take(in, 1);
    struct media_cmd c = {.kind = (enum media_cmd_kind)(take(in, 1) % (MEDIA_CLOSE + 1)),
                          .id = take(in, 1) % (STREAMS + 1),
                          .peer = take(in, 1) % (STREAMS + 1),
                          .port = (uint16_t)(20000 + take(in, 1) % 16),
                          .family = flags & 1 ? ADDR_V6 : ADDR_V4,
                          .latch = flags & 2,
                          .receiving = flags & 4,
                          .sending = flags & 8,
                          .timeout_ms = take(in, 2)};
    c.rtp = addr_take(in);
    c.rtcp = addr_take(in);
    int rc = plane_cmd(r, now, &c);
    if (rc == 0 && c.kind == MEDIA_OPEN)
        ++*live;
}

static void packet(struct plane *r, usec_t now, struct input *in)
{
    static const size_t lengths[] = {0, 7, 8, 12, 172, 2048, 2049, 60};
    uint8_t bytes[2064] = {0};
    struct addr from = addr_take(in);
    if (from.family == ADDR_NONE)
        from.family = ADDR_V4;
    struct plane_packet p = {.from = &from};
    p.n = lengths[take(in, 1) % 8];
    p.port = (uint16_t)(20000 + take(in, 1) % 16 / 2 * 2);
    p.is_rtcp = take(in, 1) & 1;
    bytes[0] = take(in, 1) & 1 ? 0x80 : (uint8_t)take(in, 1);
    bytes[1] = (uint8_t)take(in, 1);
    bytes[3] = (uint8_t)take(in, 1);
    bytes[11] = (uint8_t)(take(in, 1) & 1);
    /* A block of its own, so that a look beyond the end is seen. */
    uint8_t *block = mem_alloc(p.n);
    BUG_ON(!block);
    memcpy(block, bytes, p.n);
    p.bytes = block;
    struct plane_forward f;
    int out = plane_rx(r, now, &p, &f);
    mem_free(block);
    if (out != 1)
        return;
    BUG_ON(f.to.family == ADDR_NONE || f.to.port == 0 || addr_is_any(&f.to));
    BUG_ON(f.port % 2 || p.n > PLANE_MAX_BYTES);
}

static void events(struct plane *r, uint32_t max, int *live)
{
    struct media_ev ev;
    while (max-- > 0 && plane_event(r, &ev))
        if (ev.kind == MEDIA_EV_CLOSED)
            --*live;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct input in = {data, n};
    struct plane r;
    struct plane_limits l = {.max_streams = STREAMS, .max_events = 8, .max_pps = 100};
    usec_t now = USEC_S;
    int live = 0;
    if (plane_init(&r, &l, now))
        return 0;
    while (in.n) {
        uint32_t what = take(&in, 1);
        switch (what & 7) {
        case 0:
        case 1:
            command(&r, now, &in, &live);
            break;
        case 2:
            now += take(&in, 3) * USEC_MS;
            plane_tick(&r, now);
            break;
        case 3:
            events(&r, what >> 3, &live);
            break;
        default:
            packet(&r, now, &in);
        }
        BUG_ON(r.ring_head - r.ring_tail > l.max_events);
    }
    /* All are closed, each says so once. */
    for (media_id id = 1; id <= STREAMS; id++) {
        struct media_cmd c = {.kind = MEDIA_CLOSE, .id = id};
        events(&r, UINT32_MAX, &live);
        (void)plane_cmd(&r, now, &c);
    }
    events(&r, UINT32_MAX, &live);
    BUG_ON(live != 0 || r.streams.used != 0 || plane_deadline(&r) != USEC_NEVER);
    plane_done(&r);
    return 0;
}
