/* What the relay learns of a call in which the parties write RTCP to each other. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/media/relay.h"
#include "wire/rtp/be.h"

#define WAYS 2048

/* A phone: what it hears and says. */
struct phone {
    struct report report;
    struct addr at;
    media_id id;
    uint16_t port;
    uint32_t ssrc, lose; /* every so many-th of its packets is lost before the relay */
};

/* A packet on its way between a phone and the relay. */
struct way {
    usec_t due;
    uint8_t bytes[256];
    size_t n;
    struct phone *from; /* NULL: from the relay */
    struct phone *to;
    bool rtcp;
};

struct bed {
    struct relay relay;
    struct phone a, b;
    struct way way[WAYS];
    unsigned n;
    usec_t now;
};

static void phone_init(struct bed *d, struct phone *p, uint8_t last, uint16_t port, uint32_t ssrc)
{
    *p = (struct phone){
        .at = {.family = ADDR_V4, .port = 5000, .ip = {192, 0, 2, last}},
        .id = port,
        .port = port,
        .ssrc = ssrc,
    };
    report_init(&p->report, d->now, &(struct report_setup){.ssrc = ssrc, .seed = ssrc});
    report_codec_set(&p->report, STR("PCMA"), 8000, 60);
    struct media_cmd c = {.kind = MEDIA_OPEN,
                          .id = p->id,
                          .port = port,
                          .family = ADDR_V4,
                          .rtp = p->at,
                          .latch = true,
                          .receiving = true,
                          .sending = true};
    assert_int_equal(relay_cmd(&d->relay, d->now, &c), 0);
    c.kind = MEDIA_SET;
    assert_int_equal(relay_cmd(&d->relay, d->now, &c), 0);
}

static struct way *way_new(struct bed *d, usec_t delay)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (d->way[i].n == 0) {
            d->way[i] = (struct way){.due = d->now + delay};
            return &d->way[i];
        }
    fail();
    return NULL;
}

static void say(struct bed *d, struct phone *p, uint32_t i, usec_t delay)
{
    report_sent(&p->report, d->now, i * 160, 160);
    if (p->lose && i % p->lose == 0)
        return;
    struct way *w = way_new(d, delay);
    w->bytes[0] = 0x80;
    w->bytes[1] = 8;
    be16_put(w->bytes + 2, (uint16_t)i);
    be32_put(w->bytes + 4, i * 160);
    be32_put(w->bytes + 8, p->ssrc);
    w->n = 172;
    w->from = p;
}

static void write(struct bed *d, struct phone *p, usec_t delay)
{
    struct report_write rw = {(uint64_t)3900000000u << 32, STR("p@192.0.2.9"), REPORT_XR};
    struct buf b;
    if (!report_due(&p->report, d->now))
        return;
    struct way *w = way_new(d, delay);
    buf_init(&b, (char *)w->bytes, sizeof(w->bytes));
    assert_int_equal(report_make(&p->report, d->now, &rw, &b), 0);
    w->n = b.n;
    w->from = p;
    w->rtcp = true;
}

static void arrive(struct bed *d, struct way *w, usec_t delay_a, usec_t delay_b)
{
    struct relay_forward out;
    struct way in = *w;
    w->n = 0;
    if (!in.from) {
        if (in.rtcp)
            assert_int_equal(report_rtcp(&in.to->report, d->now, in.bytes, in.n), 0);
        else
            report_rtp(&in.to->report, d->now, be32_get(in.bytes + 8), be16_get(in.bytes + 2),
                       be32_get(in.bytes + 4), 8000);
        return;
    }
    struct addr from = in.from->at;
    from.port = (uint16_t)(from.port + in.rtcp);
    struct relay_packet p = {&from, in.bytes, in.n, in.from->port, in.rtcp};
    if (!relay_rx(&d->relay, d->now, &p, &out))
        return;
    struct phone *to = in.from == &d->a ? &d->b : &d->a;
    struct way *on = way_new(d, to == &d->a ? delay_a : delay_b);
    memcpy(on->bytes, in.bytes, in.n);
    on->n = in.n;
    on->to = to;
    on->rtcp = in.rtcp;
}

static int setup(void **state)
{
    struct bed *d = mem_zero(sizeof(*d));
    d->now = 1000 * USEC_S;
    assert_int_equal(relay_init(&d->relay, &(struct relay_limits){.max_streams = 4}, d->now), 0);
    phone_init(d, &d->a, 1, 20000, 0xAAAA);
    phone_init(d, &d->b, 2, 20002, 0xBBBB);
    struct media_cmd c = {.kind = MEDIA_LINK, .id = d->a.id, .peer = d->b.id};
    assert_int_equal(relay_cmd(&d->relay, d->now, &c), 0);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct bed *d = *state;
    relay_done(&d->relay);
    mem_free(d);
    return mem_live() != 0;
}

/* A minute of talk; delays are one way between a phone and the relay. */
static void talk(struct bed *d, usec_t delay_a, usec_t delay_b)
{
    for (uint32_t ms = 0; ms < 60000; ms++, d->now += USEC_MS) {
        for (unsigned i = 0; i < WAYS; i++)
            if (d->way[i].n && d->way[i].due <= d->now)
                arrive(d, &d->way[i], delay_a, delay_b);
        write(d, &d->a, delay_a);
        write(d, &d->b, delay_b);
        if (ms % 20)
            continue;
        say(d, &d->a, ms / 20 + 1, delay_a);
        say(d, &d->b, ms / 20 + 1, delay_b);
    }
}

static void both_ways_of_both_legs(void **state)
{
    struct bed *d = *state;
    struct report_quality a, b, heard;
    d->a.lose = 50; /* 2 % between A and the relay */
    talk(d, 70 * USEC_MS, 10 * USEC_MS);
    assert_int_equal(relay_quality(&d->relay, d->a.id, &a), 0);
    assert_int_equal(relay_quality(&d->relay, d->b.id, &b), 0);
    /* The round trip to each is measured at the relay. */
    assert_true(a.rtt_n >= 8 && b.rtt_n >= 8);
    assert_in_range(a.rtt_mean_us, 139000, 143000);
    assert_in_range(b.rtt_mean_us, 19000, 23000);
    /* What A loses, B misses: at the relay it is missing in A and reported by B. */
    assert_in_range(a.in.loss_e4, 195, 205);
    assert_int_equal(b.in.lost, 0);
    assert_in_range(b.out.lost, 50, 60);
    assert_int_equal(a.out.lost, 0);
    report_quality(&d->b.report, &heard);
    assert_in_range(b.out.r_x10, heard.in.r_x10 - 15, heard.in.r_x10 + 15);
    assert_true(a.out.mos_x100 > b.out.mos_x100);
    assert_true(b.out.mos_x100 > 380);
    assert_int_equal(relay_quality(&d->relay, 4711, &a), -ENOENT);
}

static void another_peer_is_another_source(void **state)
{
    struct bed *d = *state;
    struct report_quality b;
    d->a.lose = 100;
    talk(d, 10 * USEC_MS, 10 * USEC_MS);
    /* A's phone begins again. */
    d->a.ssrc = 0xCCCC;
    report_init(&d->a.report, d->now, &(struct report_setup){.ssrc = 0xCCCC, .seed = 9});
    report_codec_set(&d->a.report, STR("PCMA"), 8000, 60);
    talk(d, 10 * USEC_MS, 10 * USEC_MS);
    assert_int_equal(relay_quality(&d->relay, d->b.id, &b), 0);
    /* One in a hundred of what two minutes sent, as far as it was reported. */
    assert_in_range(b.out.lost, 54, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_ways_of_both_legs, setup, teardown),
        cmocka_unit_test_setup_teardown(another_peer_is_another_source, setup, teardown),
    };
    return cmocka_run_group_tests_name("relay_quality", tests, NULL, NULL);
}
