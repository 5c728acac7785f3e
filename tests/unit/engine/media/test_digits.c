/* One press of a key is one digit, however often the phone tells of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "engine/media/digits.h"

struct bed {
    struct digits d;
    char all[256], heard[256]; /* by any means, and what became of it */
    size_t n_all, n;
};

static void begin(struct bed *b, uint32_t ms, enum digit_means by, char digit)
{
    b->all[b->n_all++] = digit;
    if (digits_begin(&b->d, ms * USEC_MS, by, digit))
        b->heard[b->n++] = digit;
}

static void end(struct bed *b, uint32_t ms, enum digit_means by)
{
    digits_end(&b->d, ms * USEC_MS, by);
}

static void info(struct bed *b, uint32_t ms, char digit, uint32_t lasts_ms)
{
    b->all[b->n_all++] = digit;
    if (digits_whole(&b->d, ms * USEC_MS, DIGIT_INFO, digit, lasts_ms))
        b->heard[b->n++] = digit;
}

/* Something that happens at a time. */
struct step {
    uint32_t ms;
    uint8_t kind; /* means * 2, + 1 for its end */
    char digit;
};

static int by_time(const struct step *a, const struct step *b)
{
    return a->ms != b->ms ? (a->ms < b->ms ? -1 : 1) : (int)a->kind - (int)b->kind;
}

/* The phone that tells everything by all three means, with the delays that each has. */
static void dial(struct bed *b, const char *digits, struct rand *r)
{
    struct step s[256];
    size_t n = 0;
    uint32_t at = 1000;
    for (; *digits; digits++, at += 140 + (uint32_t)rand_below(r, 400)) {
        uint32_t on = 60 + (uint32_t)rand_below(r, 40);
        uint32_t event = at + (uint32_t)rand_below(r, 40);
        uint32_t inband = at + 30 + (uint32_t)rand_below(r, 40);
        s[n++] = (struct step){event, DIGIT_EVENT * 2, *digits};
        s[n++] = (struct step){event + on, DIGIT_EVENT * 2 + 1, *digits};
        s[n++] = (struct step){inband, DIGIT_INBAND * 2, *digits};
        s[n++] = (struct step){inband + on - 30, DIGIT_INBAND * 2 + 1, *digits};
        s[n++] = (struct step){at + (uint32_t)rand_below(r, 120), DIGIT_INFO * 2, *digits};
    }
    for (size_t i = 1; i < n; i++)
        for (size_t k = i; k > 0 && by_time(&s[k], &s[k - 1]) < 0; k--) {
            struct step swap = s[k];
            s[k] = s[k - 1];
            s[k - 1] = swap;
        }
    for (size_t i = 0; i < n; i++) {
        if (s[i].kind == DIGIT_INFO * 2)
            info(b, s[i].ms, s[i].digit, 100);
        else if (s[i].kind % 2)
            end(b, s[i].ms, s[i].kind / 2);
        else
            begin(b, s[i].ms, s[i].kind / 2, s[i].digit);
    }
}

static void three_means_at_once_are_one_digit(void **state)
{
    (void)state;
    struct bed b = {0};
    /* The error of the textbook: who listens to all of them hears 555. */
    begin(&b, 1000, DIGIT_EVENT, '5');
    begin(&b, 1040, DIGIT_INBAND, '5');
    info(&b, 1060, '5', 160);
    end(&b, 1100, DIGIT_EVENT);
    end(&b, 1110, DIGIT_INBAND);
    assert_string_equal(b.all, "555");
    assert_string_equal(b.heard, "5");
    assert_int_equal(b.d.repeated[DIGIT_INBAND], 1);
    assert_int_equal(b.d.repeated[DIGIT_INFO], 1);
    assert_int_equal(b.d.repeated[DIGIT_EVENT], 0);
}

static void a_number_dialled_threefold_is_heard_once(void **state)
{
    (void)state;
    struct rand r;
    rand_seed(&r, 2);
    for (unsigned round = 0; round < 300; round++) {
        struct bed b = {0};
        dial(&b, "07086661427#1144*99", &r);
        assert_int_equal(b.n_all, 3 * 19);
        assert_string_equal(b.heard, "07086661427#1144*99");
    }
}

static void the_same_means_twice_is_two_digits(void **state)
{
    (void)state;
    for (unsigned by = 0; by < DIGIT_MEANS; by++) {
        struct bed b = {0};
        for (uint32_t i = 0; i < 5; i++) {
            begin(&b, 1000 + i * 100, (enum digit_means)by, '1');
            end(&b, 1050 + i * 100, (enum digit_means)by);
        }
        begin(&b, 2000, (enum digit_means)by, '1'); /* no end between them */
        begin(&b, 2100, (enum digit_means)by, '1');
        assert_string_equal(b.heard, "1111111");
    }
}

static void the_window_is_that_of_the_header(void **state)
{
    (void)state;
    struct bed b = {0};
    begin(&b, 1000, DIGIT_EVENT, '1');
    end(&b, 1100, DIGIT_EVENT);
    info(&b, 1250, '1', 0);
    assert_string_equal(b.heard, "1");
    begin(&b, 3000, DIGIT_EVENT, '2');
    end(&b, 3100, DIGIT_EVENT);
    info(&b, 3251, '2', 0);
    assert_string_equal(b.heard, "122");
    /* As long as it is held, INFO may come. */
    begin(&b, 5000, DIGIT_EVENT, '3');
    info(&b, 9000, '3', 0);
    end(&b, 9500, DIGIT_EVENT);
    assert_string_equal(b.heard, "1223");
    /* But not for ever, if its end was lost. */
    begin(&b, 20000, DIGIT_EVENT, '4');
    info(&b, 31000, '4', 0);
    assert_string_equal(b.heard, "122344");
}

static void the_slower_one_may_be_the_first(void **state)
{
    (void)state;
    struct bed b = {0};
    info(&b, 1000, '8', 200);
    begin(&b, 1300, DIGIT_EVENT, '8'); /* within 150 ms of 1200 */
    end(&b, 1350, DIGIT_EVENT);
    begin(&b, 1480, DIGIT_INBAND, '8'); /* within 150 ms of 1350 */
    assert_string_equal(b.heard, "8");
    /* Another digit is another digit. */
    begin(&b, 1490, DIGIT_INBAND, '9');
    assert_string_equal(b.heard, "89");
}

static void quick_presses_keep_their_order(void **state)
{
    (void)state;
    struct bed b = {0};
    /* INFO for both comes after both events. */
    begin(&b, 1000, DIGIT_EVENT, '6');
    end(&b, 1060, DIGIT_EVENT);
    begin(&b, 1120, DIGIT_EVENT, '6');
    end(&b, 1180, DIGIT_EVENT);
    info(&b, 1190, '6', 60);
    info(&b, 1210, '6', 60);
    assert_string_equal(b.heard, "66");
    info(&b, 1220, '6', 60); /* a third press that only INFO told of */
    assert_string_equal(b.heard, "666");
}

static void a_flood_overwrites_the_oldest(void **state)
{
    (void)state;
    struct digits d = {0};
    for (uint32_t i = 0; i < 100000; i++)
        assert_true(digits_begin(&d, i, DIGIT_INFO, (char)('0' + i % 10)));
    /* The last eight are remembered, those before are not. */
    assert_false(digits_begin(&d, 100000, DIGIT_EVENT, '2'));
    assert_true(digits_begin(&d, 100000, DIGIT_INBAND, '1'));
    assert_int_equal(d.n, 100001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(three_means_at_once_are_one_digit),
        cmocka_unit_test(a_number_dialled_threefold_is_heard_once),
        cmocka_unit_test(the_same_means_twice_is_two_digits),
        cmocka_unit_test(the_window_is_that_of_the_header),
        cmocka_unit_test(the_slower_one_may_be_the_first),
        cmocka_unit_test(quick_presses_keep_their_order),
        cmocka_unit_test(a_flood_overwrites_the_oldest),
    };
    return cmocka_run_group_tests_name("digits", tests, NULL, NULL);
}
