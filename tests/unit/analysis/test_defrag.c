/* Fragments: whatever the order, repetitions and overlaps, one datagram or none comes out. */
#include "read_test.h"

#include "analysis/defrag.h"
#include "base/rand.h"

static uint8_t whole[DEFRAG_MAX_BYTES + 16];

static void fill(void)
{
    for (unsigned i = 0; i < sizeof(whole); i++)
        whole[i] = (uint8_t)(i * 7 + (i >> 8));
}

static struct cap_ip frag(unsigned id, uint32_t at, uint32_t n, bool more)
{
    struct cap_ip ip = {.proto = CAP_PROTO_UDP,
                        .frag = true,
                        .frag_more = more,
                        .frag_id = id,
                        .frag_at = at,
                        .p = whole + at,
                        .n = n,
                        .wire_n = n};
    ip.src.family = ip.dst.family = ADDR_V4;
    ip.src.ip[3] = 1;
    ip.dst.ip[3] = 2;
    return ip;
}

static int put(struct defrag *d, struct cap_ip ip, struct defrag_result *r)
{
    static uint64_t frame;
    frame++;
    /* The bytes may be gone at once. */
    uint8_t *copy = malloc(ip.n + 1);
    assert_non_null(copy);
    memcpy(copy, ip.p, ip.n);
    ip.p = copy;
    int s = defrag_put(d, &ip, T0, frame, r);
    free(copy);
    return s;
}

static void in_any_order(void **state)
{
    struct defrag d;
    struct defrag_result r = {.frame = 0};
    struct rand rnd;
    (void)state;
    fill();
    rand_seed(&rnd, 1);
    assert_int_equal(defrag_init(&d, 8, 1 << 20, SEC, 1), 0);
    for (unsigned round = 0; round < 200; round++) {
        unsigned count = 2 + (unsigned)rand_below(&rnd, 20), order[32];
        uint32_t piece = 8 * (1 + (uint32_t)rand_below(&rnd, 180));
        uint32_t total = piece * (count - 1) + 1 + (uint32_t)rand_below(&rnd, piece);
        for (unsigned i = 0; i < count; i++)
            order[i] = i;
        for (unsigned i = count - 1; i; i--) {
            unsigned j = (unsigned)rand_below(&rnd, i + 1), swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        for (unsigned i = 0; i < count; i++) {
            uint32_t at = order[i] * piece;
            bool last = order[i] == count - 1;
            struct cap_ip ip = frag(round, at, last ? total - at : piece, !last);
            assert_int_equal(put(&d, ip, &r), i == count - 1);
            if (i < count - 1 && rand_below(&rnd, 3) == 0)
                assert_int_equal(put(&d, ip, &r), 0); /* seen twice */
        }
        assert_int_equal(r.ip.n, total);
        assert_int_equal(r.ip.wire_n, total);
        assert_false(r.ip.frag);
        assert_memory_equal(r.ip.p, whole, total);
    }
    assert_int_equal(defrag_expire(&d, T0, true, &r), -ENOENT);
    assert_int_equal(d.bytes, 0);
    defrag_done(&d);
    assert_int_equal(mem_live(), 0);
}

static void others_do_not_mix(void **state)
{
    struct defrag d;
    struct defrag_result r;
    (void)state;
    assert_int_equal(defrag_init(&d, 8, 1 << 20, SEC, 1), 0);
    struct cap_ip a = frag(1, 0, 16, true), b = frag(1, 16, 16, false);
    struct cap_ip other = b;
    other.proto = CAP_PROTO_TCP;
    assert_int_equal(put(&d, a, &r), 0);
    assert_int_equal(put(&d, other, &r), 0);
    other = b;
    other.src.ip[3] = 9;
    assert_int_equal(put(&d, other, &r), 0);
    other = b;
    other.frag_id = 2;
    assert_int_equal(put(&d, other, &r), 0);
    assert_int_equal(put(&d, b, &r), 1);
    defrag_done(&d);
    assert_int_equal(mem_live(), 0);
}

/* IPv4: what came first stays. IPv6: whoever overlaps is refused (RFC 5722). */
static void overlaps(void **state)
{
    struct defrag d;
    struct defrag_result r;
    static const uint8_t other[32] = {1, 2, 3};
    (void)state;
    assert_int_equal(defrag_init(&d, 8, 1 << 20, SEC, 1), 0);
    struct cap_ip first = frag(1, 0, 24, true), second = frag(1, 16, 32, false);
    second.p = other;
    assert_int_equal(put(&d, first, &r), 0);
    assert_int_equal(put(&d, second, &r), 1);
    assert_int_equal(r.ip.n, 48);
    assert_memory_equal(r.ip.p, whole, 24);
    assert_memory_equal(r.ip.p + 24, other + 8, 24);

    first.src.family = first.dst.family = second.src.family = second.dst.family = ADDR_V6;
    assert_int_equal(put(&d, first, &r), 0);
    assert_int_equal(put(&d, first, &r), 0); /* the same again is no overlap */
    assert_int_equal(put(&d, second, &r), -EBADMSG);
    assert_int_equal(d.slots.used, 0);
    defrag_done(&d);
}

static void what_cannot_be_is_refused(void **state)
{
    struct defrag d;
    struct defrag_result r;
    (void)state;
    assert_int_equal(defrag_init(&d, 8, 1 << 20, SEC, 1), 0);
    struct cap_ip ip = frag(1, 65528, 8, false);
    assert_int_equal(put(&d, ip, &r), -EBADMSG); /* the ping of death */
    assert_int_equal(put(&d, frag(2, 16, 16, false), &r), 0);
    assert_int_equal(put(&d, frag(2, 32, 16, true), &r), -EBADMSG); /* behind the end */
    assert_int_equal(put(&d, frag(3, 16, 16, false), &r), 0);
    assert_int_equal(put(&d, frag(3, 8, 8, false), &r), -EBADMSG); /* two ends */
    assert_int_equal(put(&d, frag(4, 32, 16, true), &r), 0);
    assert_int_equal(put(&d, frag(4, 8, 8, false), &r), -EBADMSG);
    /* Every second piece: so many holes has no datagram. */
    int s = 0;
    for (unsigned i = 0; s == 0; i++) {
        assert_true(i <= DEFRAG_MAX_PARTS);
        s = put(&d, frag(5, i * 16, 8, true), &r);
    }
    assert_int_equal(s, -EBADMSG);
    assert_int_equal(d.slots.used, 0);
    assert_int_equal(d.bytes, 0);
    defrag_done(&d);
}

static void what_waits_too_long_goes(void **state)
{
    struct defrag d;
    struct defrag_result r;
    (void)state;
    assert_int_equal(defrag_init(&d, 8, 1 << 20, SEC, 1), 0);
    assert_int_equal(put(&d, frag(1, 0, 24, true), &r), 0);
    assert_int_equal(put(&d, frag(2, 24, 24, false), &r), 0);
    assert_int_equal(defrag_expire(&d, T0 + SEC, false, &r), -ENOENT);
    assert_int_equal(defrag_expire(&d, T0 + SEC + 1, false, &r), 1);
    assert_int_equal(r.ip.n, 24);
    assert_true(r.ip.wire_n > r.ip.n);
    assert_memory_equal(r.ip.p, whole, 24);
    assert_int_equal(defrag_expire(&d, T0 + SEC + 1, false, &r), 0); /* it had no beginning */
    assert_int_equal(defrag_expire(&d, T0 + SEC + 1, false, &r), -ENOENT);
    assert_int_equal(put(&d, frag(3, 0, 24, true), &r), 0);
    assert_int_equal(defrag_expire(&d, T0, true, &r), 1);
    assert_int_equal(defrag_expire(&d, T0, true, &r), -ENOENT);
    defrag_done(&d);
    assert_int_equal(mem_live(), 0);
}

static void number_and_bytes_are_bounded(void **state)
{
    struct defrag d;
    struct defrag_result r;
    (void)state;
    assert_int_equal(defrag_init(&d, 4, 200000, SEC, 1), 0);
    for (unsigned i = 0; i < 100; i++) {
        while (defrag_expire(&d, T0, false, &r) != -ENOENT)
            ;
        assert_int_equal(put(&d, frag(i, 0, 24, true), &r), 0);
        assert_true(d.slots.used <= 4);
    }
    for (unsigned i = 0; i < 100; i++) {
        while (defrag_expire(&d, T0, false, &r) != -ENOENT)
            ;
        (void)put(&d, frag(1000 + i, 60000, 1000, true), &r);
        assert_true(d.bytes <= 200000);
    }
    /* Without memory fragments are lost, and nothing else. */
    mem_fail_after(1);
    while (defrag_expire(&d, T0, true, &r) != -ENOENT)
        ;
    assert_int_equal(put(&d, frag(5000, 0, 24, true), &r), -ENOMEM);
    mem_fail_after(0);
    defrag_done(&d);
    assert_int_equal(mem_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_any_order),
        cmocka_unit_test(others_do_not_mix),
        cmocka_unit_test(overlaps),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(what_waits_too_long_goes),
        cmocka_unit_test(number_and_bytes_are_bounded),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
