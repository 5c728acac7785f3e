#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wire/rtp/seq.h"

static void believes_two_in_order(void **state)
{
    struct rtp_seq s;
    rtp_seq_init(&s, 2);
    assert_int_equal(rtp_seq_rx(&s, 100), RTP_SEQ_PROBATION);
    assert_int_equal(rtp_seq_expected(&s), 0);
    assert_int_equal(rtp_seq_rx(&s, 200), RTP_SEQ_PROBATION);
    assert_int_equal(rtp_seq_rx(&s, 201), RTP_SEQ_OK);
    assert_int_equal(rtp_seq_expected(&s), 1);
    rtp_seq_init(&s, 0);
    assert_int_equal(rtp_seq_rx(&s, 7), RTP_SEQ_OK);
    assert_int_equal(rtp_seq_expected(&s), 1);
    assert_int_equal(rtp_seq_lost(&s), 0);
}

static void counts_across_the_wrap(void **state)
{
    struct rtp_seq s;
    rtp_seq_init(&s, 0);
    for (unsigned i = 0; i < 70000; i++)
        assert_int_equal(rtp_seq_rx(&s, (uint16_t)(65530 + i)), RTP_SEQ_OK);
    assert_int_equal(rtp_seq_extended(&s), 65530 + 69999);
    assert_int_equal(rtp_seq_expected(&s), 70000);
    assert_int_equal(rtp_seq_lost(&s), 0);
}

static void loss_reordering_duplicates(void **state)
{
    struct rtp_seq s;
    rtp_seq_init(&s, 0);
    for (uint16_t i = 0; i < 10; i++)
        rtp_seq_rx(&s, i);
    assert_int_equal(rtp_seq_fraction_take(&s), 0);
    assert_int_equal(rtp_seq_rx(&s, 13), RTP_SEQ_OK); /* 10, 11, 12 missing */
    assert_int_equal(rtp_seq_lost(&s), 3);
    assert_int_equal(rtp_seq_fraction_take(&s), 3 * 256 / 4);
    assert_int_equal(rtp_seq_rx(&s, 12), RTP_SEQ_LATE);
    assert_int_equal(rtp_seq_lost(&s), 2);
    assert_int_equal(rtp_seq_fraction_take(&s), 0);
    assert_int_equal(rtp_seq_rx(&s, 13), RTP_SEQ_LATE);
    assert_int_equal(rtp_seq_rx(&s, 13), RTP_SEQ_LATE);
    assert_int_equal(rtp_seq_rx(&s, 13), RTP_SEQ_LATE);
    assert_int_equal(rtp_seq_lost(&s), -1);
}

static void a_jump_needs_a_witness(void **state)
{
    struct rtp_seq s;
    rtp_seq_init(&s, 0);
    rtp_seq_rx(&s, 10);
    assert_int_equal(rtp_seq_rx(&s, 30000), RTP_SEQ_JUMP);
    assert_int_equal(rtp_seq_rx(&s, 11), RTP_SEQ_OK);
    assert_int_equal(rtp_seq_rx(&s, 40000), RTP_SEQ_JUMP);
    assert_int_equal(rtp_seq_rx(&s, 40001), RTP_SEQ_OK);
    assert_int_equal(s.restarts, 1);
    assert_int_equal(rtp_seq_expected(&s), 1);
    assert_true(rtp_seq_before(65535, 0));
    assert_false(rtp_seq_before(0, 65535));
}

static void jitter(void **state)
{
    struct rtp_seq s;
    rtp_seq_init(&s, 0);
    for (uint32_t i = 0; i < 100; i++)
        rtp_seq_rx_time(&s, i * 160, 5000 + i * 160);
    assert_int_equal(rtp_seq_jitter(&s), 0);
    /* Each packet 80 units early or late in turn: the distance is always 80. */
    for (uint32_t i = 100; i < 400; i++)
        rtp_seq_rx_time(&s, i * 160, 5000 + i * 160 + (i & 1) * 80);
    assert_in_range(rtp_seq_jitter(&s), 78, 80);
    /* A step of the sender's clock is no jitter. */
    rtp_seq_rx_time(&s, 0x80000000u, 5000 + 400 * 160);
    assert_in_range(rtp_seq_jitter(&s), 78, 80);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_two_in_order),
        cmocka_unit_test(counts_across_the_wrap),
        cmocka_unit_test(loss_reordering_duplicates),
        cmocka_unit_test(a_jump_needs_a_witness),
        cmocka_unit_test(jitter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
