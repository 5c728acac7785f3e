/* The order of packets, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/rand.h"
#include "engine/media/jbuf.h"

static struct jbuf b;
static uint8_t payload[JBUF_MAX_PAYLOAD + 1];
static uint8_t taken[JBUF_MAX_PAYLOAD];

static int setup(void **state)
{
    memset(&b, 0xA5, sizeof(b));
    jbuf_init(&b);
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (uint8_t)(i * 7 + (i >> 8));
    return 0;
}

static enum jbuf_verdict put_all(usec_t now, uint32_t ssrc, uint16_t seq, uint32_t ts, size_t n)
{
    struct jbuf_in in = {
        .payload = payload, .n = n, .ts = ts, .ssrc = ssrc, .seq = seq, .play_us = 20000};
    payload[0] = (uint8_t)seq;
    return jbuf_put(&b, now, &in);
}

static enum jbuf_verdict put(uint16_t seq)
{
    return put_all(1, 7, seq, seq * 160u, 160);
}

static void assert_next(uint16_t seq)
{
    assert_non_null(jbuf_head(&b));
    struct jbuf_packet p = jbuf_take(&b, taken);
    payload[0] = (uint8_t)seq;
    assert_int_equal(taken[0], (uint8_t)seq);
    assert_memory_equal(taken, payload, p.n);
}

static void test_order(void **state)
{
    static const uint16_t seqs[] = {10, 12, 11, 15, 13, 14};
    assert_null(jbuf_head(&b));
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(put(seqs[i]), i ? JBUF_TAKEN : JBUF_FRESH);
    assert_int_equal(b.waiting_us, 120000);
    for (uint16_t s = 10; s <= 15; s++) {
        assert_int_equal(jbuf_missing(&b), 0);
        assert_next(s);
    }
    assert_null(jbuf_head(&b));
    assert_int_equal(b.waiting_us, 0);
    assert_int_equal(b.chunks_left, JBUF_CHUNKS);
}

/* One that comes before the first one waits with it. */
static void test_before_the_first(void **state)
{
    put(10);
    assert_int_equal(put(9), JBUF_TAKEN);
    assert_next(9);
    assert_next(10);
}

static void test_wrap(void **state)
{
    for (uint32_t s = 65500; s < 65600; s++) {
        assert_int_equal(put_all(1, 7, (uint16_t)s, s * 160, 160),
                         s == 65500 ? JBUF_FRESH : JBUF_TAKEN);
        assert_int_equal(jbuf_missing(&b), 0);
        assert_next((uint16_t)s);
    }
}

static void test_duplicate_and_late(void **state)
{
    put(10);
    assert_int_equal(put(10), JBUF_DUPLICATE);
    put(12);
    assert_int_equal(put(12), JBUF_DUPLICATE);
    assert_next(10);
    assert_int_equal(put(10), JBUF_DUPLICATE);
    assert_int_equal(jbuf_missing(&b), 1);
    assert_next(12);
    assert_int_equal(put(11), JBUF_LATE);
    assert_int_equal(put(10), JBUF_DUPLICATE);
    assert_int_equal(put(13), JBUF_TAKEN);
    assert_int_equal(jbuf_missing(&b), 0);
}

static void test_new_ssrc(void **state)
{
    put(10);
    put(11);
    assert_int_equal(put_all(1000, 8, 500, 77, 160), JBUF_FRESH);
    /* A straggler of the old one is not the return of it, a stream of it is. */
    assert_int_equal(put_all(2000, 7, 12, 12 * 160, 160), JBUF_LATE);
    assert_int_equal(put_all(2000, 8, 501, 237, 160), JBUF_TAKEN);
    assert_int_equal(put_all(2000 + USEC_S, 7, 30, 30 * 160, 160), JBUF_FRESH);
    assert_next(10);
    assert_next(11);
    assert_true(jbuf_head(&b)->fresh);
    assert_int_equal(jbuf_missing(&b), 0);
    assert_next((uint8_t)500);
    assert_next((uint8_t)501);
    assert_next(30);
}

/* A single packet of somebody else does not keep the stream away for long. */
static void test_stray_ssrc(void **state)
{
    put(10);
    assert_int_equal(put_all(1000, 8, 500, 77, 160), JBUF_FRESH);
    assert_int_equal(put_all(1001, 7, 11, 11 * 160, 160), JBUF_LATE);
    assert_int_equal(put_all(1002, 7, 12, 12 * 160, 160), JBUF_LATE);
    assert_int_equal(put_all(1003, 7, 13, 13 * 160, 160), JBUF_FRESH);
    assert_int_equal(put_all(1004, 7, 14, 14 * 160, 160), JBUF_TAKEN);
}

static void test_sequence_restarts(void **state)
{
    put(1000);
    put(1001);
    assert_int_equal(put_all(1, 7, 40000, 1002 * 160, 160), JBUF_FRESH);
    assert_int_equal(put_all(1, 7, 40001, 1003 * 160, 160), JBUF_TAKEN);
    /* A little back, but the time goes on: a new count, too. */
    assert_int_equal(put_all(1, 7, 39990, 1004 * 160, 160), JBUF_FRESH);
    assert_next((uint8_t)1000);
    assert_next((uint8_t)1001);
    assert_next((uint8_t)40000);
    assert_next((uint8_t)40001);
    assert_next((uint8_t)39990);
    /* All starts over: refused until three follow each other and nothing else has come. */
    usec_t t = 100 * USEC_MS;
    assert_int_equal(put_all(1, 7, 39980, 990 * 160, 160), JBUF_LATE);
    assert_int_equal(put_all(t, 7, 39981, 991 * 160, 160), JBUF_LATE);
    assert_int_equal(put_all(t, 7, 39982, 992 * 160, 160), JBUF_LATE);
    assert_int_equal(put_all(t + 1, 7, 39983, 993 * 160, 160), JBUF_FRESH);
    assert_int_equal(put_all(t + 1, 7, 39984, 994 * 160, 160), JBUF_TAKEN);
}

/* The first packets of a new stream change places: it begins with the first of them all the same.
 */
static void test_fresh_reordered(void **state)
{
    put(10);
    assert_next(10);
    assert_int_equal(put_all(1, 8, 502, 480, 160), JBUF_FRESH);
    assert_int_equal(put_all(1, 8, 501, 320, 160), JBUF_TAKEN);
    assert_int_equal(put_all(1, 8, 500, 160, 160), JBUF_TAKEN);
    assert_int_equal(put_all(1, 8, 500, 160, 160), JBUF_DUPLICATE);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(jbuf_head(&b)->fresh, i == 0);
        assert_int_equal(jbuf_missing(&b), 0);
        assert_next((uint8_t)(500 + i));
    }
    assert_int_equal(put_all(1, 8, 499, 0, 160), JBUF_LATE);
}

static void test_limits(void **state)
{
    for (uint16_t s = 0; s < 200; s++)
        put(s);
    assert_int_equal(b.n, JBUF_PACKETS);
    assert_int_equal(b.overflow, 200 - JBUF_PACKETS);
    assert_true(jbuf_head(&b)->fresh);
    assert_next(200 - JBUF_PACKETS);
    assert_false(jbuf_head(&b)->fresh);
    jbuf_init(&b);
    assert_int_equal(put_all(1, 7, 0, 0, JBUF_MAX_PAYLOAD + 1), JBUF_TOO_LONG);
    for (uint16_t s = 0; s < 20; s++)
        put_all(1, 7, s, s, JBUF_MAX_PAYLOAD);
    assert_int_equal(b.n, 3);
    for (uint16_t s = 17; s < 20; s++)
        assert_next(s);
    assert_int_equal(b.chunks_left, JBUF_CHUNKS);
    put_all(1, 7, 20, 20, 0);
    assert_int_equal(jbuf_take(&b, taken).n, 0);
}

/* Anything in any order: what comes out is in order, whole, and all room comes back. */
static void test_random(void **state)
{
    struct rand r;
    rand_seed(&r, 5);
    uint32_t last = 0;
    bool any = false;
    for (unsigned i = 0; i < 200000; i++) {
        uint16_t seq = (uint16_t)(i / 3 + rand_below(&r, 12));
        if (rand_below(&r, 500) == 0)
            seq = (uint16_t)rand_u64(&r);
        put_all(i * 1000, (uint32_t)(1 + (rand_below(&r, 300) == 0)), seq, seq * 160u,
                rand_below(&r, 50) ? rand_below(&r, 400) : rand_below(&r, JBUF_MAX_PAYLOAD));
        while (b.n && rand_below(&r, 3)) {
            struct jbuf_packet p = jbuf_take(&b, taken);
            assert_true(!any || (int32_t)(p.order - last) > 0);
            last = p.order;
            any = true;
            assert_memory_equal(taken + 1, payload + 1, p.n ? p.n - 1u : 0);
        }
        assert_true(b.n <= JBUF_PACKETS);
        assert_int_equal(b.waiting_us, b.n * 20000u);
    }
    while (b.n)
        jbuf_take(&b, taken);
    assert_int_equal(b.chunks_left, JBUF_CHUNKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_order, setup),
        cmocka_unit_test_setup(test_before_the_first, setup),
        cmocka_unit_test_setup(test_wrap, setup),
        cmocka_unit_test_setup(test_duplicate_and_late, setup),
        cmocka_unit_test_setup(test_new_ssrc, setup),
        cmocka_unit_test_setup(test_stray_ssrc, setup),
        cmocka_unit_test_setup(test_sequence_restarts, setup),
        cmocka_unit_test_setup(test_fresh_reordered, setup),
        cmocka_unit_test_setup(test_limits, setup),
        cmocka_unit_test_setup(test_random, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
