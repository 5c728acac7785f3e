/* The E-model against figures of ITU-T G.107 and of its formulas in floating point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"
#include "engine/media/qos.h"

static unsigned r_of(uint32_t one_way_ms, uint32_t loss_e4, struct str codec)
{
    const struct qos_codec *c = qos_codec_find(codec);
    assert_non_null(c);
    struct qos_path p = {
        .one_way_ms = one_way_ms, .loss_e4 = loss_e4, .ie_x10 = c->ie_x10, .bpl_x10 = c->bpl_x10};
    return qos_r_factor(&p);
}

static void default_values_give_93_2(void **state)
{
    (void)state;
    /* G.107 annex A: all parameters at their defaults. */
    assert_int_equal(r_of(0, 0, STR("PCMU")), 932);
    assert_int_equal(qos_mos_x100(932), 441);
    assert_int_equal(qos_mos_x10(932), 44);
}

static void mos_follows_annex_b(void **state)
{
    (void)state;
    static const struct {
        unsigned r_x10, mos_x100;
    } v[] = {{900, 434}, {800, 402}, {700, 360}, {600, 310},  {500, 258}, {0, 100},
             {64, 100},  {65, 100},  {999, 450}, {1000, 450}, {5000, 450}};
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        assert_in_range(qos_mos_x100(v[i].r_x10), v[i].mos_x100 - 1, v[i].mos_x100);
    for (unsigned r = 1; r <= 1000; r++)
        assert_true(qos_mos_x100(r) >= qos_mos_x100(r - 1));
}

static void delay_costs_what_the_formulas_say(void **state)
{
    (void)state;
    static const struct {
        uint32_t ms;
        unsigned r_x10;
    } v[] = {{37, 921}, {60, 915}, {150, 895}, {200, 858}, {400, 622}};
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        assert_in_range(r_of(v[i].ms, 0, STR("PCMA")), v[i].r_x10 - 2, v[i].r_x10 + 2);
    for (uint32_t ms = 1; ms < 1200; ms++)
        assert_true(r_of(ms, 0, STR("PCMA")) <= r_of(ms - 1, 0, STR("PCMA")));
    assert_int_equal(r_of(1000, 0, STR("PCMA")), r_of(UINT32_MAX, 0, STR("PCMA")));
}

static void loss_costs_what_the_codec_cannot_hide(void **state)
{
    (void)state;
    /* Ie,eff of G.711 with 1, 5 and 20 %: 3.6, 15.8 and 42.1; of G.729A: 15.2, 28.5 and 54.1. */
    assert_in_range(r_of(0, 100, STR("pcmu")), 932 - 37, 932 - 36);
    assert_in_range(r_of(0, 500, STR("PCMU")), 932 - 158, 932 - 157);
    assert_in_range(r_of(0, 2000, STR("PCMU")), 932 - 422, 932 - 421);
    assert_int_equal(r_of(0, 0, STR("G729")), 932 - 110);
    assert_in_range(r_of(0, 100, STR("G729")), 932 - 153, 932 - 151);
    assert_in_range(r_of(0, 500, STR("G729")), 932 - 286, 932 - 284);
    assert_in_range(r_of(0, 2000, STR("G729")), 932 - 541, 932 - 540);
    assert_int_equal(r_of(0, 10000, STR("PCMU")), r_of(0, UINT32_MAX, STR("PCMU")));
}

static void bursts_are_worse_than_loss_at_random(void **state)
{
    (void)state;
    struct qos_path p = {.loss_e4 = 500, .bpl_x10 = 43, .burst_x100 = 0};
    /* G.711 without concealment, 5 %: 95 * 5 / (5 / BurstR + 4.3). */
    assert_in_range(qos_r_factor(&p), 932 - 512, 932 - 510);
    p.burst_x100 = 100;
    assert_in_range(qos_r_factor(&p), 932 - 512, 932 - 510);
    p.burst_x100 = 200;
    assert_in_range(qos_r_factor(&p), 932 - 699, 932 - 697);
    p = (struct qos_path){UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT16_MAX, UINT16_MAX};
    assert_int_equal(qos_r_factor(&p), 0);
    p = (struct qos_path){.loss_e4 = 10000, .burst_x100 = UINT32_MAX};
    assert_int_equal(qos_r_factor(&p), 0);
    p = (struct qos_path){0};
    assert_int_equal(qos_r_factor(&p), 932);
}

static void unknown_codecs_are_said_to_be_unknown(void **state)
{
    (void)state;
    assert_null(qos_codec_find(STR("telephone-event")));
    assert_null(qos_codec_find(STR_NONE));
    assert_int_equal(qos_codec_find(STR("OPUS"))->ie_x10, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_values_give_93_2),
        cmocka_unit_test(mos_follows_annex_b),
        cmocka_unit_test(delay_costs_what_the_formulas_say),
        cmocka_unit_test(loss_costs_what_the_codec_cannot_hide),
        cmocka_unit_test(bursts_are_worse_than_loss_at_random),
        cmocka_unit_test(unknown_codecs_are_said_to_be_unknown),
    };
    return cmocka_run_group_tests_name("qos", tests, NULL, NULL);
}
