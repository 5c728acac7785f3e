/* Commands, packets and leaps of time in any order. What must hold: nothing is sent to an address
 * that neither SDP named nor a packet came from; what is made here can be read by others; a stream
 * with formats has one SSRC, and its numbers go forward; no input makes many packets; the ring
 * never loses a CLOSED, and nothing outlives its end. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane.h"
#include "wire/rtp/rtcp.h"
#include "wire/rtp/rtp.h"

#define STREAMS 6
#define PAIRS   8
#define FIRST   20000
#define ADDRS   128
#define ROOMS   3
#define RECS    3
#define CLIPS   4
/* The longest payload, 10 ms a packet and what a hole before it may add. */
#define MOST_A_PACKET 64
/* Of a tick: a packet of 10 ms twice for each stream, and the end of what was before. */
#define MOST_A_TICK (3 * STREAMS)

struct input {
    const uint8_t *p;
    size_t n;
};

/* One stream as its party sees it. */
struct pair {
    media_id id; /* 0: no stream has the pair */
    bool formats_rx, formats_tx;
    bool ssrc_known, sent;
    uint32_t ssrc, ts;
    uint16_t seq, floor; /* the newest; that of the last made here */
    bool has_floor;
    usec_t at;         /* of the newest sound */
    bool event[128];   /* payload types of keys, which have a time of their own */
    bool known[ADDRS]; /* addresses that may be sent to */
};

struct world {
    struct plane r;
    struct input in;
    usec_t now;
    int live;
    struct pair pair[PAIRS];
    uint64_t record_at[RECS + 1];
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

static unsigned addr_index(const struct addr *a)
{
    unsigned port = a->port ? a->port - 4999u : 0;
    BUG_ON(port > 7);
    return (a->family == ADDR_V6 ? 64 : 0) + port * 8 + (a->ip[0] ? 4 : 0) + a->ip[3];
}

static struct pair *pair_of(struct world *w, media_id id)
{
    for (unsigned i = 0; i < PAIRS; i++)
        if (w->pair[i].id == id)
            return &w->pair[i];
    return NULL;
}

/* ---- what goes out --------------------------------------------------------------------------- */

/* made: by us, not passed on. */
static void numbers(struct pair *p, usec_t now, const struct rtp_view *v, bool made)
{
    int step = (int16_t)(v->seq - p->seq);
    BUG_ON(p->ssrc_known && v->ssrc != p->ssrc);
    p->ssrc_known = true;
    p->ssrc = v->ssrc;
    if (!p->sent) {
        p->sent = true;
        p->seq = (uint16_t)(v->seq - 1);
        p->ts = v->ts;
        step = 1;
    }
    BUG_ON(made && step != 1);
    /* After three hours of silence a timestamp of 192 kHz says nothing. */
    bool sound = !p->event[v->pt];
    BUG_ON(made && sound && now - p->at < 10000 * USEC_S && (int32_t)(v->ts - p->ts) < 0);
    /* A reorder does not reach behind what was made here in between. */
    BUG_ON(!made && (step < -3000 || step > 3000));
    BUG_ON(!made && p->has_floor && (int16_t)(v->seq - p->floor) <= 0);
    if (step > 0) {
        p->seq = v->seq;
        p->at = sound ? now : p->at;
        p->ts = sound ? v->ts : p->ts;
    }
    if (made) {
        p->floor = v->seq;
        p->has_floor = true;
    } else if (p->has_floor && (int16_t)(v->seq - p->floor) > 6000) {
        p->has_floor = false; /* the numbers go round */
    }
}

static unsigned drain(struct world *w)
{
    struct plane_made m;
    struct rtp_view v;
    unsigned n = 0;
    while (plane_out(&w->r, &m)) {
        BUG_ON(m.port < FIRST || m.port >= FIRST + 2 * PAIRS || m.port % 2);
        struct pair *p = &w->pair[(m.port - FIRST) / 2];
        BUG_ON(!p->id || !p->known[addr_index(&m.to)]);
        n += !m.is_rtcp;
        if (m.n > 1 && m.bytes[1] >= 192 && m.bytes[1] <= 223) {
            BUG_ON(rtcp_check(m.bytes, m.n, false));
            continue;
        }
        BUG_ON(m.is_rtcp || rtp_parse(&v, m.bytes, m.n) || v.payload_bytes == 0);
        numbers(p, w->now, &v, true);
    }
    return n;
}

static void passed_on(struct world *w, struct pair *from, const struct plane_forward *f,
                      const struct plane_packet *in)
{
    struct rtp_view v;
    BUG_ON(f->to.family == ADDR_NONE || f->to.port == 0 || addr_is_any(&f->to));
    BUG_ON(f->port % 2 || in->n > PLANE_MAX_BYTES);
    struct pair *p = &w->pair[(f->port - FIRST) / 2];
    BUG_ON(!p->id || !p->known[addr_index(&f->to)]);
    if (!from->formats_rx || !p->formats_tx || rtp_classify(in->bytes, in->n) != RTP_IS_RTP)
        return;
    in->bytes[0] &= (uint8_t)~0x20; /* padding is the party's own affair */
    BUG_ON(rtp_parse(&v, in->bytes, in->n));
    numbers(p, w->now, &v, false);
}

/* Blocks of a recording follow each other. */
static void blocks(struct world *w)
{
    struct plane_block b;
    while (plane_block(&w->r, &b)) {
        BUG_ON(b.record == 0 || b.record > RECS || b.n > PLANE_REC_TRACKS + 1);
        BUG_ON(b.n_marks > PLANE_REC_MARKS || !b.n != !b.samples || (!b.n && !b.n_marks));
        if (!b.n)
            continue; /* nothing but marks */
        BUG_ON(b.at && b.at != w->record_at[b.record]);
        w->record_at[b.record] = b.at + b.samples;
        int32_t sum = 0;
        for (unsigned i = 0; i < b.n; i++)
            for (unsigned k = 0; k < b.samples; k++)
                sum ^= b.plane[i].pcm[k]; /* all of it may be read */
        BUG_ON(sum > INT16_MAX || b.samples > b.rate_hz / 10 || !b.samples);
    }
}

static void events(struct world *w, uint32_t max)
{
    struct media_ev ev;
    while (max-- > 0 && plane_event(&w->r, &ev))
        w->live -= ev.kind == MEDIA_EV_CLOSED;
}

/* ---- commands -------------------------------------------------------------------------------- */

static struct media_format format_take(struct input *in)
{
    static const struct media_format some[] = {
        {.codec = CODEC_PCMU, .pt = 0, .clock_hz = 8000},
        {.codec = CODEC_PCMA, .pt = 8, .clock_hz = 8000},
        {.codec = CODEC_G722, .pt = 9, .clock_hz = 8000},
        {.codec = CODEC_OPUS, .pt = 111, .clock_hz = 48000, .fec = true, .dtx = true},
        {.codec = CODEC_OPUS, .pt = 112, .clock_hz = 48000, .max_rate_hz = 8000, .cbr = true},
        {.codec = CODEC_L16, .pt = 96, .clock_hz = 16000},
        {.codec = CODEC_L16, .pt = 97, .clock_hz = 48000},
        {.codec = CODEC_EVENT, .pt = 101, .clock_hz = 8000},
        {.codec = CODEC_EVENT, .pt = 102, .clock_hz = 48000},
        {.codec = CODEC_CN, .pt = 13, .clock_hz = 8000},
        {.codec = CODEC_NONE, .pt = 126, .clock_hz = 16000, .name = 77},
        {.codec = CODEC_PCMA, .pt = 96, .clock_hz = 8000},
    };
    static const uint32_t clocks[] = {0, 1, 7999, 8000, 48000, 192000, 192001, UINT32_MAX};
    uint32_t v = take(in, 1);
    if (v % 16 < ARRAY_LEN(some))
        return some[v % 16];
    uint32_t pt = take(in, 1); /* with a marker, 64 to 95 look like RTCP: RFC 5761 section 4 */
    return (struct media_format){.codec = (uint8_t)(v >> 4),
                                 .pt = (uint8_t)(pt >= 64 && pt < 96 ? 96 : pt),
                                 .clock_hz = clocks[take(in, 1) % ARRAY_LEN(clocks)],
                                 .max_bitrate = v << 24,
                                 .max_rate_hz = v << 8};
}

static void format_cmd(struct input *in, struct media_cmd *c)
{
    uint32_t v = take(in, 1);
    c->n_rx = v & 3;
    c->n_tx = v >> 2 & 3;
    c->mux = v & 0x10;
    c->ptime_ms = v & 0x20 ? (uint8_t)take(in, 1) : 0;
    if (v & 0x40)
        c->n_rx = (uint8_t)(take(in, 1) % (MEDIA_MAX_FORMATS + 2));
    for (unsigned i = 0; i < c->n_rx && i < MEDIA_MAX_FORMATS; i++)
        c->rx[i] = format_take(in);
    for (unsigned i = 0; i < c->n_tx; i++)
        c->tx[i] = v & 0x80 && i < MEDIA_MAX_FORMATS ? c->rx[i] : format_take(in);
}

static void play_cmd(struct input *in, struct media_cmd *c)
{
    uint32_t v = take(in, 1);
    c->play.n_items = (uint8_t)(v & 15);
    c->play.loop = v & 0x10;
    c->play.append = v & 0x20;
    c->play.token = v >> 6;
    for (unsigned i = 0; i < c->play.n_items && i < MEDIA_MAX_ITEMS; i++) {
        uint32_t k = take(in, 1);
        c->play.item[i] =
            (struct media_item){.kind = k & 7,
                                .digit = "0123456789*#ABCD!xyz"[take(in, 1) % 20],
                                .tone = (uint8_t)(k >> 3),
                                .country = {'D', k & 0x80 ? 'E' : 'x'},
                                .ms = k & 8    ? 0
                                      : k & 16 ? take(in, 1)
                                      : k & 32 ? 70000
                                               : UINT32_MAX - take(in, 1),
                                .clip = k & 0x40 ? MEDIA_MAX_CLIPS + 1 : k % (CLIPS + 1)};
    }
}

static void clip_cmd(struct input *in, struct media_cmd *c)
{
    static const uint32_t rates[] = {0, 999, 1000, 8000, 16000, 44100, 192000, 192001};
    uint32_t v = take(in, 1), n = take(in, 1) * 7;
    c->play.clip_number = v & 0x40 ? MEDIA_MAX_CLIPS : v % CLIPS;
    c->play.clip = NULL;
    if (v & 0x80)
        return;
    c->play.clip = mem_zero(sizeof(*c->play.clip) + n * sizeof(int16_t));
    BUG_ON(!c->play.clip);
    c->play.clip->n = n;
    c->play.clip->rate_hz = rates[v >> 3 & 7];
    for (uint32_t i = 0; i < n; i++)
        c->play.clip->sample[i] = (int16_t)(i * 1000 * v);
}

static void record_cmd(struct input *in, struct media_cmd *c)
{
    static const uint32_t rates[] = {8000, 16000, 48000, 44100};
    uint32_t v = take(in, 1);
    c->record.number = v % (RECS + 1);
    c->record.rate_hz = rates[v >> 2 & 3];
    c->record.track = (uint8_t)(v >> 4 & 3);
    c->record.tracks = v & 0x40;
    c->record.mixed = v & 0x80;
}

static void tap_cmd(struct input *in, struct media_cmd *c)
{
    static const uint32_t rates[] = {0, 8000, 16000, 44100};
    uint32_t v = take(in, 1);
    c->on = v & 7;
    c->tap.link = v & 1;
    c->tap.sound = !(v & 2);
    c->tap.voice = !(v & 4);
    c->tap.barge_in = v & 8;
    c->tap.linked = v & 1;
    c->tap.rate_hz = rates[v >> 4 & 3];
    c->tap.queue_ms = v & 0x40 ? 100 : v & 0x80 ? UINT32_MAX : 0;
    c->tap.onset_ms = (uint16_t)take(in, 1);
    c->tap.hang_ms = (uint16_t)take(in, 1);
}

/* What a bot gives, and what it gets: whole frames of its own conversation. */
static void feed(struct world *w)
{
    static const int16_t loud[320] = {30000, -30000, 20000, -1, 1, 32767, -32768};
    uint32_t v = take(&w->in, 1), times = take(&w->in, 1);
    struct plane_feed f = {.kind = (enum plane_feed_kind)(v % 3),
                           .id = 1 + v / 4 % STREAMS,
                           .link = v >> 7,
                           .token = times,
                           .came = w->now,
                           .n = times & 0x80 ? 320 : times & 0x7F,
                           .pcm = loud};
    for (unsigned i = 0; i < 1 + times % 64; i++) {
        int err = plane_feed(&w->r, w->now, &f);
        BUG_ON(err && err != -ENOENT && err != -ENOBUFS && err != -EBUSY && err != -ENOMEM);
    }
}

static void taps(struct world *w)
{
    struct plane_tap t;
    while (plane_tap(&w->r, &t)) {
        BUG_ON(!pair_of(w, t.id) || t.link > 1);
        BUG_ON(t.kind == PLANE_TAP_SOUND && t.n != 160 && t.n != 320);
        int16_t sum = 0;
        for (unsigned i = 0; i < t.n; i++)
            sum = (int16_t)(sum ^ t.pcm[i]); /* all of it may be read */
        BUG_ON(t.kind == PLANE_TAP_MARK && t.n && sum);
    }
}

static void fill(struct world *w, struct media_cmd *c)
{
    struct input *in = &w->in;
    uint32_t flags;
    switch (c->kind) {
    case MEDIA_SET:
        flags = take(in, 1);
        c->latch = flags & 2;
        c->receiving = !(flags & 4);
        c->sending = !(flags & 8);
        c->timeout_ms = flags & 16 ? take(in, 2) : 0;
        c->rtp = addr_take(in);
        c->rtcp = flags & 32 ? addr_take(in) : (struct addr){0};
        break;
    case MEDIA_FORMAT:
        format_cmd(in, c);
        break;
    case MEDIA_ROOM_PLAY:
        c->id = 1 + c->id % ROOMS;
        play_cmd(in, c);
        break;
    case MEDIA_PLAY:
        play_cmd(in, c);
        break;
    case MEDIA_CLIP:
        clip_cmd(in, c);
        break;
    case MEDIA_JOIN:
    case MEDIA_MEMBER:
        flags = take(in, 1);
        c->member.room = 1 + flags % ROOMS;
        c->member.muted = flags & 0x10;
        c->member.deaf = flags & 0x20;
        break;
    case MEDIA_RECORD:
    case MEDIA_RECORD_STOP:
    case MEDIA_RECORD_PAUSE:
        record_cmd(in, c);
        break;
    case MEDIA_TAP:
        tap_cmd(in, c);
        break;
    default:
        break;
    }
}

/* What the command has made known. */
static void follow(struct world *w, const struct media_cmd *c)
{
    struct pair *p = c->id ? pair_of(w, c->id) : NULL;
    if (c->kind == MEDIA_OPEN) {
        w->live++;
        w->pair[(c->port - FIRST) / 2] = (struct pair){.id = c->id};
    } else if (c->kind == MEDIA_SET) {
        struct addr next = c->rtp;
        next.port++;
        if (c->rtp.family != ADDR_NONE && c->rtp.port)
            p->known[addr_index(&c->rtp)] = p->known[addr_index(&next)] = true;
        if (c->rtcp.family != ADDR_NONE)
            p->known[addr_index(&c->rtcp)] = true;
    } else if (c->kind == MEDIA_FORMAT) {
        /* Numbers of packets that passed untouched are not ours. */
        if (!p->formats_rx || !p->formats_tx)
            p->has_floor = false;
        p->formats_rx = p->formats_tx = false;
        memset(p->event, 0, sizeof(p->event));
        for (unsigned i = 0; i < c->n_tx; i++)
            p->event[c->tx[i].pt & 0x7F] |= c->tx[i].codec == CODEC_EVENT;
        for (unsigned i = 0; i < c->n_rx; i++)
            p->formats_rx |= c->rx[i].clock_hz && c->rx[i].clock_hz <= 192000 && c->rx[i].pt < 128;
        for (unsigned i = 0; i < c->n_tx; i++)
            p->formats_tx |= c->tx[i].clock_hz && c->tx[i].clock_hz <= 192000 && c->tx[i].pt < 128;
    }
}

static void command(struct world *w)
{
    struct input *in = &w->in;
    uint32_t v = take(in, 1), who = take(in, 1);
    struct media_cmd c = {.kind = (enum media_cmd_kind)(v % (MEDIA_TAP_HEAR + 1)),
                          .id = who % (STREAMS + 1),
                          .peer = who / (STREAMS + 1) % (STREAMS + 1),
                          .on = v & 0x80,
                          .family = v & 0x40 ? ADDR_V6 : ADDR_V4};
    if (c.kind == MEDIA_OPEN)
        c.port = (uint16_t)(FIRST + take(in, 1) % (2 * PAIRS));
    fill(w, &c);
    uint64_t left = mem_live();
    int rc = plane_cmd(&w->r, w->now, &c);
    if (c.kind == MEDIA_CLIP && rc == -EAGAIN)
        mem_free(c.play.clip);
    if (rc)
        BUG_ON(c.kind == MEDIA_CLOSE && mem_live() != left);
    if (rc == 0)
        follow(w, &c);
    BUG_ON(drain(w) > MOST_A_TICK);
    struct pair *p = c.id ? pair_of(w, c.id) : NULL;
    if (rc == 0 && c.kind == MEDIA_CLOSE)
        *p = (struct pair){0};
}

/* ---- packets --------------------------------------------------------------------------------- */

static void rtp_fill(struct input *in, uint8_t *b, size_t n, usec_t now)
{
    static const uint8_t types[] = {0, 8, 9, 111, 112, 96, 97, 101, 102, 13, 126, 77};
    uint32_t v = take(in, 1), how = take(in, 1);
    uint32_t ts = (uint32_t)(now / 125) + (how & 1 ? take(in, 4) : 0);
    uint16_t seq = (uint16_t)(now / 20000 + (how & 2 ? take(in, 2) : 0));
    uint8_t h[12] = {0x80, types[v % 12], (uint8_t)(seq >> 8), (uint8_t)seq};
    h[0] |= how & 4 ? (uint8_t)(take(in, 1) & 0x3F) : 0;
    h[1] |= v & 0x80;
    for (unsigned i = 0; i < 4; i++)
        h[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
    h[11] = how & 8 ? (uint8_t)take(in, 1) : 7;
    memcpy(b, h, n < sizeof(h) ? n : sizeof(h));
    for (size_t i = sizeof(h); i < n; i++)
        b[i] = i < 20 && how & 16 ? (uint8_t)take(in, 1) : (uint8_t)(i * how);
}

static void rtcp_fill(struct input *in, uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        b[i] = (uint8_t)take(in, 1);
    if (n < 8)
        return;
    b[0] = (uint8_t)(0x80 | (b[0] & 0x3F));
    b[1] = (uint8_t)(200 + b[1] % 8);
    if (b[2] & 1) {
        b[2] = 0;
        b[3] = (uint8_t)(n / 4 - 1);
    }
}

static void packet(struct world *w)
{
    static const size_t lengths[] = {0,  7,  8,  12,  13,  16,  20,   32,
                                     52, 60, 92, 172, 332, 652, 2048, 2049};
    struct input *in = &w->in;
    struct addr from = addr_take(in);
    uint32_t v = take(in, 2);
    if (from.family == ADDR_NONE)
        from.family = ADDR_V4;
    struct plane_packet p = {.from = &from,
                             .n = lengths[v & 15],
                             .port = (uint16_t)(FIRST + (v >> 4) % PAIRS * 2),
                             .is_rtcp = v & 0x1000};
    /* A block of its own, so that a look beyond the end is seen. */
    p.bytes = mem_alloc(p.n);
    BUG_ON(!p.bytes);
    if (v & 0x2000 && p.n <= 92)
        rtcp_fill(in, p.bytes, p.n);
    else
        rtp_fill(in, p.bytes, p.n, w->now);
    struct plane_forward f;
    struct pair *pair = &w->pair[(p.port - FIRST) / 2];
    pair->known[addr_index(&from)] = true;
    int out = plane_rx(&w->r, w->now, &p, &f);
    BUG_ON(drain(w) > MOST_A_PACKET);
    if (out == 1)
        passed_on(w, pair, &f, &p);
    mem_free(p.bytes);
}

/* ---- time ------------------------------------------------------------------------------------ */

/* As the thread does it: it comes back while there is work. */
static void tick(struct world *w)
{
    for (unsigned i = 0; i < 16; i++) {
        plane_tick(&w->r, w->now);
        BUG_ON(drain(w) > 6 * MOST_A_TICK);
        blocks(w);
        taps(w);
        if (plane_deadline(&w->r) > w->now)
            return;
    }
    /* What is still due waits for room in the ring of events. */
}

/* All are closed, each says so once, and nothing is left. */
static void finish(struct world *w)
{
    events(w, UINT32_MAX);
    for (media_id id = 1; id <= STREAMS; id++) {
        struct media_cmd c = {.kind = MEDIA_CLOSE, .id = id};
        int rc = plane_cmd(&w->r, w->now, &c);
        (void)drain(w);
        struct pair *p = pair_of(w, id);
        BUG_ON((rc == 0) != (p != NULL));
        if (p)
            *p = (struct pair){0};
        events(w, UINT32_MAX);
    }
    for (unsigned i = 1; i <= RECS; i++) {
        struct media_cmd c = {.kind = MEDIA_RECORD_STOP};
        c.record.number = i;
        BUG_ON(plane_cmd(&w->r, w->now, &c));
        events(w, UINT32_MAX);
    }
    for (unsigned i = 0; i < 3; i++) {
        w->now += 20 * USEC_MS;
        tick(w);
        events(w, UINT32_MAX);
    }
    BUG_ON(w->live || w->r.streams.used || !list_empty(&w->r.rooms) || !list_empty(&w->r.recs) ||
           !list_empty(&w->r.ticking) || !list_empty(&w->r.tapped));
    BUG_ON(plane_deadline(&w->r) != USEC_NEVER);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct world w;
    uint64_t before = mem_live();
    struct plane_limits l = {.max_streams = STREAMS, .max_events = 16, .max_pps = 2000};
    w = (struct world){.in = {data, n}, .now = USEC_S};
    if (plane_init(&w.r, &l, w.now))
        return 0;
    while (w.in.n) {
        uint32_t what = take(&w.in, 1);
        switch (what & 7) {
        case 0:
        case 1:
        case 2:
            command(&w);
            break;
        case 3:
            w.now += what & 0x80 ? take(&w.in, 3) * USEC_MS : (1 + (what >> 3)) * 5 * USEC_MS;
            tick(&w);
            break;
        case 4:
            events(&w, what >> 3);
            break;
        case 5:
            feed(&w);
            break;
        default:
            packet(&w);
        }
        BUG_ON(w.r.ring_head - w.r.ring_tail > l.max_events);
    }
    finish(&w);
    plane_done(&w.r);
    BUG_ON(mem_live() != before);
    return 0;
}
