/* The relay in virtual time: where packets go, and who cannot make them go elsewhere. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "engine/media/plane.h"

#define A      1
#define B      2
#define A_PORT 20000
#define B_PORT 20002

struct bed {
    struct plane r;
    usec_t now;
    struct plane_forward out;
    uint8_t bytes[4096];
    uint64_t blocks;
};

static struct addr v4(uint8_t last, uint16_t port)
{
    return (struct addr){.family = ADDR_V4, .port = port, .ip = {192, 0, 2, last}};
}

static struct addr v6(uint8_t last, uint16_t port)
{
    return (struct addr){.family = ADDR_V6, .port = port, .ip = {0x20, 1, 0x0d, 0xb8, [15] = last}};
}

static struct plane_limits limits_of(void)
{
    return (struct plane_limits){.max_streams = 8, .max_events = 16, .seed = 7};
}

static int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    struct plane_limits l = limits_of();
    b->now = 1000 * USEC_S;
    assert_int_equal(plane_init(&b->r, &l, b->now), 0);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    plane_done(&b->r);
    mem_free(b);
    return mem_live() != 0;
}

static int cmd(struct bed *b, struct media_cmd c)
{
    return plane_cmd(&b->r, b->now, &c);
}

static void open_at(struct bed *b, media_id id, uint16_t port)
{
    assert_int_equal(
        cmd(b, (struct media_cmd){.kind = MEDIA_OPEN, .id = id, .port = port, .family = ADDR_V4}),
        0);
}

static struct media_cmd set_of(media_id id, struct addr rtp)
{
    return (struct media_cmd){
        .kind = MEDIA_SET, .id = id, .rtp = rtp, .latch = true, .receiving = true, .sending = true};
}

static void set(struct bed *b, media_id id, struct addr rtp)
{
    assert_int_equal(cmd(b, set_of(id, rtp)), 0);
}

static void link_ab(struct bed *b)
{
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = A, .peer = B}), 0);
}

/* Two parties at 192.0.2.1:5000 and 192.0.2.2:6000, linked. */
static void call(struct bed *b)
{
    open_at(b, A, A_PORT);
    open_at(b, B, B_PORT);
    set(b, A, v4(1, 5000));
    set(b, B, v4(2, 6000));
    link_ab(b);
}

/* The bytes are given in a block of their own, so that a sanitizer sees a look beyond the end. */
static int rx_raw(struct bed *b, uint16_t port, bool rtcp, struct addr from, size_t n)
{
    uint8_t *block = mem_alloc(n);
    assert_non_null(block);
    memcpy(block, b->bytes, n);
    struct plane_packet p = {.from = &from, .bytes = block, .n = n, .port = port, .is_rtcp = rtcp};
    int rc = plane_rx(&b->r, b->now, &p, &b->out);
    mem_free(block);
    return rc;
}

static int rtp(struct bed *b, uint16_t port, struct addr from, uint32_t ssrc, uint16_t seq)
{
    uint8_t head[12] = {0x80,
                        8,
                        (uint8_t)(seq >> 8),
                        (uint8_t)seq,
                        0,
                        0,
                        0,
                        0,
                        (uint8_t)(ssrc >> 24),
                        (uint8_t)(ssrc >> 16),
                        (uint8_t)(ssrc >> 8),
                        (uint8_t)ssrc};
    uint32_t ts = (uint32_t)(b->now / 125);
    for (int i = 0; i < 4; i++)
        head[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
    memcpy(b->bytes, head, sizeof(head));
    return rx_raw(b, port, false, from, 172);
}

static int rtcp(struct bed *b, uint16_t port, bool on_rtcp, struct addr from, uint32_t ssrc)
{
    uint8_t rr[8] = {0x80, 201, 0, 1, 0, 0, (uint8_t)(ssrc >> 8), (uint8_t)ssrc};
    memcpy(b->bytes, rr, sizeof(rr));
    return rx_raw(b, port, on_rtcp, from, 8);
}

static void assert_out(struct bed *b, uint16_t port, bool is_rtcp, struct addr to)
{
    assert_int_equal(b->out.port, port);
    assert_int_equal(b->out.is_rtcp, is_rtcp);
    assert_true(addr_eq(&b->out.to, &to));
}

static void assert_event(struct bed *b, enum media_ev_kind kind, media_id id)
{
    struct media_ev ev;
    assert_true(plane_event(&b->r, &ev));
    assert_int_equal(ev.kind, kind);
    assert_int_equal(ev.id, id);
}

static void assert_quiet(struct bed *b)
{
    struct media_ev ev;
    assert_false(plane_event(&b->r, &ev));
}

static void drain(struct bed *b)
{
    struct media_ev ev;
    while (plane_event(&b->r, &ev))
        ;
}

static void test_both_ways(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 1);
    assert_out(b, B_PORT, false, v4(2, 6000));
    assert_event(b, MEDIA_EV_FIRST, A);
    assert_quiet(b);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(1, 5000));
    assert_event(b, MEDIA_EV_FIRST, B);
    struct media_stats st;
    assert_int_equal(plane_stats(&b->r, A, &st), 0);
    assert_int_equal(st.rx_packets, 1);
    assert_int_equal(st.rx_bytes, 172);
    assert_int_equal(st.tx_packets, 1);
    assert_int_equal(st.payload_type, 8);
    assert_int_equal(st.dropped, 0);
}

static void test_shapes_refused(void **state)
{
    struct bed *b = *state;
    call(b);
    static const uint8_t stun[20] = {0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42};
    memcpy(b->bytes, stun, sizeof(stun));
    assert_int_equal(rx_raw(b, A_PORT, false, v4(9, 1), 20), 0);
    assert_int_equal(rx_raw(b, A_PORT, false, v4(9, 1), 0), 0);
    b->bytes[0] = 0x80;
    b->bytes[1] = 0;
    assert_int_equal(rx_raw(b, A_PORT, false, v4(9, 1), 11), 0); /* no whole header */
    b->bytes[0] = 0x8F;
    assert_int_equal(rx_raw(b, A_PORT, false, v4(9, 1), 71), 0); /* 15 CSRCs do not fit */
    b->bytes[0] = 0x90;
    assert_int_equal(rx_raw(b, A_PORT, false, v4(9, 1), 15), 0); /* no extension header */
    b->bytes[15] = 2;
    assert_int_equal(rx_raw(b, A_PORT, false, v4(9, 1), 16), 0); /* extension too long */
    b->bytes[0] = 0x80;
    assert_int_equal(rx_raw(b, A_PORT, false, v4(9, 1), 2049), 0); /* too long */
    assert_int_equal(rx_raw(b, A_PORT, true, v4(9, 1), 172), 0);   /* RTP on the RTCP port */
    b->bytes[1] = 200;
    b->bytes[2] = 1;
    assert_int_equal(rx_raw(b, A_PORT, true, v4(1, 5001), 100), 0); /* RTCP longer than it is */
    assert_int_equal(b->r.count.malformed, 9);
    /* None of them was learnt. */
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 1, 1), 1);
    assert_event(b, MEDIA_EV_FIRST, A);
    assert_quiet(b);
}

static void test_long_packet_passes(void **state)
{
    struct bed *b = *state;
    call(b);
    b->bytes[0] = 0x80;
    assert_int_equal(rx_raw(b, A_PORT, false, v4(1, 5000), 2048), 1);
}

static void test_unknown_port_and_no_peer(void **state)
{
    struct bed *b = *state;
    assert_int_equal(rtp(b, 20010, v4(1, 5000), 1, 1), 0);
    assert_int_equal(b->r.count.no_stream, 1);
    open_at(b, A, A_PORT);
    set(b, A, v4(1, 5000));
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 1, 1), 0);
    assert_int_equal(b->r.count.no_way, 1);
    struct media_stats st;
    assert_int_equal(plane_stats(&b->r, A, &st), 0);
    assert_int_equal(st.dropped, 1);
    assert_int_equal(st.rx_packets, 1);
}

/* The first packet moves the destination away from a private address in SDP. */
static void test_latch_first_source(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(1, 5000));
    drain(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 1), 1);
    struct media_ev ev;
    assert_true(plane_event(&b->r, &ev));
    assert_int_equal(ev.kind, MEDIA_EV_LATCHED);
    assert_true(
        addr_eq(&ev.from, &(struct addr){.family = ADDR_V4, .port = 40000, .ip = {192, 0, 2, 77}}));
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 2), 1);
    assert_out(b, A_PORT, false, v4(77, 40000));
}

static void test_no_latch_keeps_sdp(void **state)
{
    struct bed *b = *state;
    call(b);
    struct media_cmd c = set_of(A, v4(1, 5000));
    c.latch = false;
    assert_int_equal(cmd(b, c), 0);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5002), 11, 1), 1); /* an asymmetric sender is heard */
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(1, 5000)); /* and gets what SDP asked for */
}

/* Without an address from SDP nothing is sent anywhere, whoever knocks. */
static void test_no_guessed_destination(void **state)
{
    struct bed *b = *state;
    open_at(b, A, A_PORT);
    open_at(b, B, B_PORT);
    set(b, A, v4(1, 5000));
    struct media_cmd c = set_of(B, (struct addr){0});
    assert_int_equal(cmd(b, c), 0);
    link_ab(b);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1); /* early media is heard */
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 0);
    assert_int_equal(b->r.count.no_way, 1);
    /* The answer comes; what was learnt early holds, no packet is lost to an empty address. */
    set(b, B, v4(10, 6000));
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 2), 1);
    assert_out(b, B_PORT, false, v4(2, 6000));
}

static void test_unusable_destinations(void **state)
{
    struct bed *b = *state;
    call(b);
    struct addr bad[] = {{.family = ADDR_V4, .port = 5000},
                         {.family = ADDR_V4, .port = 5000, .ip = {239, 1, 1, 1}},
                         {.family = ADDR_V4, .port = 0, .ip = {192, 0, 2, 2}},
                         v6(2, 6000)}; /* the pair is bound in IPv4 */
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        set(b, B, bad[i]);
        assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, (uint16_t)i), 0);
    }
    assert_int_equal(b->r.count.no_way, 4);
}

/* A packet that claims to come from where nothing can be sent is not learnt from. */
static void test_unusable_sources(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 0), 11, 1), 0);
    assert_int_equal(rtp(b, A_PORT, (struct addr){.family = ADDR_V4, .port = 9}, 11, 2), 0);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(1, 5000));
}

/* Hold by 0.0.0.0 and resume with the former address keep the phone behind its NAT. */
static void test_zero_hold_keeps_latch(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 1), 1);
    set(b, A, (struct addr){.family = ADDR_V4, .port = 5000});
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 0);
    set(b, A, v4(1, 5000));
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 2), 1);
    assert_out(b, A_PORT, false, v4(77, 40000));
}

static void test_stranger_ignored_told_once(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 1), 1);
    drain(b);
    for (uint16_t i = 0; i < 50; i++)
        assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 666, i), 0);
    assert_event(b, MEDIA_EV_STRANGER, A);
    assert_quiet(b);
    assert_int_equal(b->r.count.strangers, 50);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(77, 40000));
}

/* A thief waits for silence but does not know the stream. */
static void test_theft_in_silence_fails(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 100), 1);
    b->now += 10 * USEC_S;
    for (uint16_t i = 0; i < 500; i++) /* another SSRC, the right numbers */
        assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 666, (uint16_t)(101 + i)), 0);
    for (uint16_t i = 0; i < 500; i++) /* the right SSRC, numbers long gone */
        assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 11, (uint16_t)(20000 + i)), 0);
    for (uint16_t i = 0; i < 500; i++) /* the right SSRC, no sequence */
        assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 11, (uint16_t)(101 + 7 * (i % 300))), 0);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(77, 40000));
}

/* Even with SSRC and numbers at hand nobody takes a stream that is alive. */
static void test_theft_of_live_stream_fails(void **state)
{
    struct bed *b = *state;
    call(b);
    for (uint16_t i = 0; i < 500; i++) {
        assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, (uint16_t)(2 * i)), 1);
        assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 11, (uint16_t)(2 * i + 1)), 0);
        b->now += 20 * USEC_MS;
    }
}

static void test_nat_rebinding_followed(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 65530), 1);
    b->now += 1999 * USEC_MS;
    for (uint16_t i = 1; i <= 5; i++)
        assert_int_equal(rtp(b, A_PORT, v4(77, 41000), 11, (uint16_t)(65530 + i)), 0);
    b->now += 1 * USEC_MS;
    drain(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 41000), 11, 65536 + 10 - 65536), 0);
    assert_int_equal(rtp(b, A_PORT, v4(77, 41000), 11, 11), 0);
    assert_int_equal(rtp(b, A_PORT, v4(77, 41000), 11, 12), 1);
    assert_event(b, MEDIA_EV_LATCHED, A);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(77, 41000));
}

static void test_rebinding_trial_ends_when_owner_speaks(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 1), 1);
    b->now += 3 * USEC_S;
    assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 11, 2), 0);
    assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 11, 3), 0);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 2), 1);
    assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 11, 4), 0);
    assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 11, 5), 0);
}

/* Somebody was first; the address of SDP wins as soon as it sends, and cannot be pushed out. */
static void test_sdp_address_wins(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 666, 1), 1);
    drain(b);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 1);
    assert_event(b, MEDIA_EV_LATCHED, A);
    assert_int_equal(rtp(b, A_PORT, v4(66, 1234), 666, 2), 0);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(1, 5000));
}

static void test_set_moves_the_party(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 1), 1);
    set(b, A, v4(1, 5000)); /* the same address: nothing is forgotten */
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(77, 40000));
    set(b, A, v4(3, 7000));
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 2), 1);
    assert_out(b, A_PORT, false, v4(3, 7000));
    /* A late packet of the former source is heard but does not draw the stream back. */
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 2), 1);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 3), 1);
    assert_out(b, A_PORT, false, v4(3, 7000));
    assert_int_equal(rtp(b, A_PORT, v4(88, 42000), 33, 1), 1);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 3), 0);
}

static void test_old_source_may_return_later(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 1), 1);
    set(b, A, v4(3, 7000));
    b->now += 600 * USEC_MS;
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 2), 1);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(77, 40000));
}

static void test_directions(void **state)
{
    struct bed *b = *state;
    call(b);
    struct media_cmd c = set_of(A, v4(1, 5000));
    c.sending = false; /* A said sendonly: it is not sent to */
    assert_int_equal(cmd(b, c), 0);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 0);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 1);
    c.sending = true;
    c.receiving = false; /* A said recvonly */
    assert_int_equal(cmd(b, c), 0);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 2), 0);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 2), 1);
    c.sending = false; /* inactive: RTCP goes on */
    assert_int_equal(cmd(b, c), 0);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 3), 0);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 3), 0);
    assert_int_equal(b->r.count.one_way, 4);
    assert_int_equal(rtcp(b, A_PORT, true, v4(1, 5001), 11), 1);
    assert_int_equal(rtcp(b, B_PORT, true, v4(2, 6001), 22), 1);
}

static void test_rtcp_ports(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtcp(b, A_PORT, true, v4(1, 5001), 11), 1);
    assert_out(b, B_PORT, true, v4(2, 6001)); /* the next port */
    struct media_cmd c = set_of(B, v4(2, 6000));
    c.rtcp = v4(2, 9999); /* a=rtcp */
    assert_int_equal(cmd(b, c), 0);
    assert_int_equal(rtcp(b, A_PORT, true, v4(1, 5001), 11), 1);
    assert_out(b, B_PORT, true, v4(2, 9999));
    struct media_stats st;
    assert_int_equal(plane_stats(&b->r, A, &st), 0);
    assert_int_equal(st.rx_packets, 0); /* the figures are those of RTP */
}

static void test_rtcp_latches_apart(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtcp(b, A_PORT, true, v4(77, 40001), 11), 0); /* nobody knows 77 yet */
    assert_int_equal(rtp(b, A_PORT, v4(77, 40000), 11, 1), 1);
    assert_int_equal(rtcp(b, A_PORT, true, v4(66, 40001), 11), 0);
    assert_int_equal(rtcp(b, A_PORT, true, v4(77, 40009), 11), 1);
    assert_int_equal(rtcp(b, A_PORT, true, v4(77, 40010), 11), 0); /* a second one is a stranger */
    assert_int_equal(rtcp(b, B_PORT, true, v4(2, 6001), 22), 1);
    assert_out(b, A_PORT, true, v4(77, 40009));
    b->now += 9 * USEC_S; /* reports are seldom: this is no silence yet */
    assert_int_equal(rtcp(b, A_PORT, true, v4(77, 40010), 11), 0);
    b->now += 1 * USEC_S; /* the binding of RTCP alone was lost */
    assert_int_equal(rtcp(b, A_PORT, true, v4(77, 40010), 12), 0);
    assert_int_equal(rtcp(b, A_PORT, true, v4(77, 40010), 11), 1);
}

static void test_rtcp_mux(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtcp(b, A_PORT, false, v4(66, 1), 11), 0); /* a stranger muxes nothing */
    assert_int_equal(rtcp(b, B_PORT, true, v4(2, 6001), 22), 1);
    assert_out(b, A_PORT, true, v4(1, 5001));
    assert_int_equal(rtcp(b, A_PORT, false, v4(1, 5000), 11), 1);
    assert_out(b, B_PORT, true, v4(2, 6001)); /* B does not mux */
    assert_int_equal(rtcp(b, B_PORT, true, v4(2, 6001), 22), 1);
    assert_out(b, A_PORT, false, v4(1, 5000)); /* A does */
    assert_int_equal(rtcp(b, A_PORT, true, v4(1, 5001), 11), 1);
    assert_int_equal(rtcp(b, B_PORT, true, v4(2, 6001), 22), 1);
    assert_out(b, A_PORT, true, v4(1, 5001)); /* no longer */
}

static void arm(struct bed *b, uint32_t a_ms, uint32_t b_ms)
{
    open_at(b, A, A_PORT);
    open_at(b, B, B_PORT);
    struct media_cmd c = set_of(A, v4(1, 5000));
    c.timeout_ms = a_ms;
    assert_int_equal(cmd(b, c), 0);
    c = set_of(B, v4(2, 6000));
    c.timeout_ms = b_ms;
    assert_int_equal(cmd(b, c), 0);
    link_ab(b);
}

static void run_to(struct bed *b, usec_t until)
{
    for (int i = 0; i < 10000 && plane_deadline(&b->r) <= until; i++) {
        if (plane_deadline(&b->r) > b->now)
            b->now = plane_deadline(&b->r);
        plane_tick(&b->r, b->now);
    }
    b->now = until;
    plane_tick(&b->r, b->now);
}

static void test_timeout_smaller_of_both_once(void **state)
{
    struct bed *b = *state;
    usec_t t0 = b->now;
    arm(b, 60000, 30000);
    run_to(b, t0 + 29990 * USEC_MS);
    assert_quiet(b);
    run_to(b, t0 + 30001 * USEC_MS);
    struct media_ev ev;
    assert_true(plane_event(&b->r, &ev));
    assert_int_equal(ev.kind, MEDIA_EV_TIMEOUT);
    run_to(b, t0 + 600 * USEC_S);
    assert_quiet(b);
    assert_true(plane_deadline(&b->r) == USEC_NEVER);
}

static void test_timeout_needs_both_silent(void **state)
{
    struct bed *b = *state;
    arm(b, 30000, 0);
    for (uint16_t i = 0; i < 10; i++) {
        run_to(b, b->now + 20 * USEC_S);
        assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, i), 1);
    }
    drain(b);
    usec_t last = b->now;
    run_to(b, last + 29 * USEC_S);
    assert_quiet(b);
    run_to(b, last + 30 * USEC_S + USEC_MS);
    struct media_ev ev;
    assert_true(plane_event(&b->r, &ev));
    assert_int_equal(ev.kind, MEDIA_EV_TIMEOUT);
}

static void test_timeout_strangers_do_not_count(void **state)
{
    struct bed *b = *state;
    arm(b, 30000, 30000);
    usec_t t0 = b->now;
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 1);
    drain(b);
    for (int i = 0; i < 4; i++) {
        run_to(b, b->now + 9 * USEC_S);
        assert_int_equal(rtp(b, A_PORT, v4(66, 1), 666, (uint16_t)i), 0);
    }
    drain(b);
    run_to(b, t0 + 31 * USEC_S + 6 * USEC_S);
    assert_int_equal(b->r.count.events_lost, 0);
    assert_true(plane_deadline(&b->r) == USEC_NEVER); /* it has fired */
}

static void test_timeout_held_and_resumed(void **state)
{
    struct bed *b = *state;
    arm(b, 30000, 30000);
    struct media_cmd c = set_of(A, v4(1, 5000));
    assert_int_equal(cmd(b, c), 0); /* timeout 0 on A alone: B's still counts */
    c = set_of(B, v4(2, 6000));
    assert_int_equal(cmd(b, c), 0);
    run_to(b, b->now + 3600 * USEC_S);
    assert_quiet(b);
    c.timeout_ms = 30000;
    assert_int_equal(cmd(b, c), 0);
    usec_t resumed = b->now;
    run_to(b, resumed + 29 * USEC_S);
    assert_quiet(b);
    run_to(b, resumed + 31 * USEC_S);
    struct media_ev ev; /* of either side, they share their silence */
    assert_true(plane_event(&b->r, &ev));
    assert_int_equal(ev.kind, MEDIA_EV_TIMEOUT);
    assert_quiet(b);
}

static void test_link_moves(void **state)
{
    struct bed *b = *state;
    call(b);
    open_at(b, 3, 20004);
    set(b, 3, v4(3, 7000));
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = A, .peer = 3}), 0);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 1);
    assert_out(b, 20004, false, v4(3, 7000));
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 0); /* left behind */
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_UNLINK, .id = 3}), 0);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 2), 0);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = A, .peer = A}), 0);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 3), 1); /* an echo */
    assert_out(b, A_PORT, false, v4(1, 5000));
}

static void test_close(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 1);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 5), 1); /* 3 lost */
    drain(b);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = A}), 0);
    struct media_ev ev;
    assert_true(plane_event(&b->r, &ev));
    assert_int_equal(ev.kind, MEDIA_EV_CLOSED);
    assert_int_equal(ev.count, 1);
    assert_int_equal(ev.port[0], A_PORT);
    assert_int_equal(ev.stats.rx_packets, 2);
    assert_int_equal(ev.stats.lost, 3);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 6), 0);
    assert_int_equal(rtp(b, B_PORT, v4(2, 6000), 22, 1), 0);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = A}), -ENOENT);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_SET, .id = A}), -ENOENT);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_UNLINK, .id = A}), -ENOENT);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_LINK, .id = B, .peer = A}), -ENOENT);
    /* The pair serves another, who inherits nothing. */
    open_at(b, 9, A_PORT);
    assert_int_equal(rtp(b, A_PORT, v4(5, 5000), 11, 1), 0);
    assert_int_equal(plane_stats(&b->r, 9, &ev.stats), 0);
    assert_int_equal(ev.stats.rx_packets, 1);
}

/* A stream that goes takes its timer along. */
static void test_close_with_timer(void **state)
{
    struct bed *b = *state;
    arm(b, 30000, 30000);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = A}), 0);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = B}), 0);
    assert_true(plane_deadline(&b->r) == USEC_NEVER);
    drain(b);
    arm(b, 0, 0);
    run_to(b, b->now + 60 * USEC_S);
    assert_quiet(b);
}

static void test_bad_commands(void **state)
{
    struct bed *b = *state;
    struct media_cmd c = {.kind = MEDIA_OPEN, .id = A, .port = 20001, .family = ADDR_V4};
    assert_int_equal(cmd(b, c), -EINVAL);
    c.port = 0;
    assert_int_equal(cmd(b, c), -EINVAL);
    c.port = A_PORT;
    c.id = 0;
    assert_int_equal(cmd(b, c), -EINVAL);
    open_at(b, A, A_PORT);
    c.id = A;
    c.port = 20010;
    assert_int_equal(cmd(b, c), -EEXIST);
    c.id = B;
    c.port = A_PORT;
    assert_int_equal(cmd(b, c), -EEXIST);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_STOCK}), -EINVAL);
    for (media_id id = 2; id <= 8; id++)
        open_at(b, id, (uint16_t)(20000 + 2 * id));
    c = (struct media_cmd){.kind = MEDIA_OPEN, .id = 99, .port = 20100, .family = ADDR_V4};
    assert_int_equal(cmd(b, c), -ENOSPC);
    assert_event(b, MEDIA_EV_CLOSED, 99); /* the pair goes back */
}

/* Strangers cannot fill the ring so far that a call's end is lost. */
static void test_event_ring_is_bounded(void **state)
{
    struct bed *b = *state;
    for (media_id id = 1; id <= 8; id++) {
        open_at(b, id, (uint16_t)(20000 + 2 * id));
        set(b, id, v4(1, 5000));
        uint16_t port = (uint16_t)(20000 + 2 * id);
        assert_int_equal(rtp(b, port, v4(50, 1), 1, 1), 0); /* FIRST, LATCHED */
        assert_int_equal(rtp(b, port, v4(51, 1), 1, 1), 0); /* STRANGER */
    }
    assert_int_equal(b->r.count.events_lost, 8 * 3 - 12);
    for (media_id id = 1; id <= 4; id++)
        assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = id}), 0);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 5}), -EAGAIN);
    drain(b);
    assert_int_equal(cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 5}), 0);
}

static void test_flood_is_capped(void **state)
{
    struct bed *b = *state;
    call(b);
    int passed = 0;
    for (int i = 0; i < 10000; i++)
        passed += rtp(b, A_PORT, v4(1, 5000), 11, (uint16_t)i);
    assert_int_equal(passed, 400); /* a tenth of a second's worth */
    b->now += 100 * USEC_MS;
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 10001), 1);
}

/* Strangers that flood take nothing from the party's share. */
static void test_stranger_flood_starves_nobody(void **state)
{
    struct bed *b = *state;
    call(b);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 1);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(rtp(b, A_PORT, v4(66, 1), 666, (uint16_t)i), 0);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 2), 1);
}

/* Both legs may be one device: same address, even the same port. */
static void test_same_host_both_legs(void **state)
{
    struct bed *b = *state;
    open_at(b, A, A_PORT);
    open_at(b, B, B_PORT);
    set(b, A, v4(1, 5000));
    set(b, B, v4(1, 5000));
    link_ab(b);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 1);
    assert_out(b, B_PORT, false, v4(1, 5000));
    assert_int_equal(rtp(b, B_PORT, v4(1, 5000), 22, 1), 1);
    assert_out(b, A_PORT, false, v4(1, 5000));
}

static void test_ipv6(void **state)
{
    struct bed *b = *state;
    open_at(b, A, A_PORT);
    struct media_cmd c = {.kind = MEDIA_OPEN, .id = B, .port = B_PORT, .family = ADDR_V6};
    assert_int_equal(cmd(b, c), 0);
    set(b, A, v4(1, 5000));
    set(b, B, v6(2, 6000));
    link_ab(b);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 1), 1);
    assert_out(b, B_PORT, false, v6(2, 6000));
    assert_int_equal(rtp(b, B_PORT, v6(7, 6001), 22, 1), 1);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, 2), 1);
    assert_out(b, B_PORT, false, v6(7, 6001));
}

static void test_jitter(void **state)
{
    struct bed *b = *state;
    call(b);
    for (uint16_t i = 0; i < 200; i++) { /* timestamps follow b->now, so arrival is even */
        assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 11, i), 1);
        b->now += 20 * USEC_MS;
    }
    struct media_stats st;
    assert_int_equal(plane_stats(&b->r, A, &st), 0);
    assert_in_range(st.jitter_us, 0, 125);
    assert_int_equal(st.lost, 0);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 12, 40000), 1); /* a new SSRC is no loss */
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 12, 40004), 1);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 13, 7), 1);
    assert_int_equal(rtp(b, A_PORT, v4(1, 5000), 13, 9), 1);
    assert_int_equal(plane_stats(&b->r, A, &st), 0);
    assert_int_equal(st.lost, 3 + 1); /* of both */
}

static void test_init_without_memory(void **state)
{
    (void)state;
    struct plane_limits l = limits_of();
    for (uint64_t nth = 1; nth < 50; nth++) {
        struct plane r;
        mem_fail_after(nth);
        int rc = plane_init(&r, &l, 0);
        mem_fail_after(0);
        if (rc == 0) {
            plane_done(&r);
            assert_true(nth > 1);
            return;
        }
        assert_int_equal(rc, -ENOMEM);
    }
    fail();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_both_ways),
        T(test_shapes_refused),
        T(test_long_packet_passes),
        T(test_unknown_port_and_no_peer),
        T(test_latch_first_source),
        T(test_no_latch_keeps_sdp),
        T(test_no_guessed_destination),
        T(test_unusable_destinations),
        T(test_unusable_sources),
        T(test_zero_hold_keeps_latch),
        T(test_stranger_ignored_told_once),
        T(test_theft_in_silence_fails),
        T(test_theft_of_live_stream_fails),
        T(test_nat_rebinding_followed),
        T(test_rebinding_trial_ends_when_owner_speaks),
        T(test_sdp_address_wins),
        T(test_set_moves_the_party),
        T(test_old_source_may_return_later),
        T(test_directions),
        T(test_rtcp_ports),
        T(test_rtcp_latches_apart),
        T(test_rtcp_mux),
        T(test_timeout_smaller_of_both_once),
        T(test_timeout_needs_both_silent),
        T(test_timeout_strangers_do_not_count),
        T(test_timeout_held_and_resumed),
        T(test_link_moves),
        T(test_close),
        T(test_close_with_timer),
        T(test_bad_commands),
        T(test_event_ring_is_bounded),
        T(test_flood_is_capped),
        T(test_stranger_flood_starves_nobody),
        T(test_same_host_both_legs),
        T(test_ipv6),
        T(test_jitter),
        cmocka_unit_test(test_init_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
