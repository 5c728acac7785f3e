/* AudioSocket frames, whole and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "wire/bot/audiosocket.h"

/* As a server of Asterisk's documentation sends them. */
static const uint8_t stream[] = {0x10, 0, 4, 1,    2, 3, 4, 0x03, 0, 1, '7',
                                 0x10, 0, 0, 0xFF, 0, 1, 9, 0,    0, 0};

static void test_frames_are_written(void **state)
{
    char mem[16];
    struct buf b;
    (void)state;
    buf_init(&b, mem, sizeof(mem));
    audiosocket_put(&b, AUDIOSOCKET_DTMF, STR("5"));
    audiosocket_put(&b, AUDIOSOCKET_HANGUP, STR(""));
    assert_int_equal(b.n, 7);
    assert_memory_equal(mem,
                        "\3\0\1"
                        "5\0\0\0",
                        7);
    audiosocket_put(&b, AUDIOSOCKET_SLIN, str_of(mem, 10));
    assert_true(b.full);
}

/* Cut anywhere, they are the same. */
static void test_frames_are_read(void **state)
{
    static const uint8_t types[] = {0x10, 0x03, 0x10, 0xFF, 0};
    static const char bytes[] = {1, 2, 3, 4, '7', 9};
    (void)state;
    for (size_t cut = 1; cut <= sizeof(stream); cut++) {
        struct audiosocket_reader r = {0};
        struct audiosocket_piece k;
        unsigned firsts = 0, lasts = 0;
        size_t got = 0;
        for (size_t at = 0; at < sizeof(stream); at += cut) {
            size_t n = sizeof(stream) - at < cut ? sizeof(stream) - at : cut;
            for (size_t used = 0; used < n;) {
                used += audiosocket_next(&r, &k, stream + at + used, n - used);
                if (k.first)
                    assert_int_equal(k.type, types[firsts++]);
                for (size_t i = 0; i < k.n; i++)
                    assert_int_equal(k.bytes[i], bytes[got++]);
                lasts += k.last;
            }
        }
        assert_int_equal(firsts, 5);
        assert_int_equal(lasts, 5);
        assert_int_equal(got, sizeof(bytes));
    }
}

static void test_the_longest_frame(void **state)
{
    static uint8_t mem[AUDIOSOCKET_HEAD + AUDIOSOCKET_MAX] = {0x12, 0xFF, 0xFF};
    struct audiosocket_reader r = {0};
    struct audiosocket_piece k;
    (void)state;
    assert_int_equal(audiosocket_next(&r, &k, mem, sizeof(mem)), sizeof(mem));
    assert_int_equal(k.n, AUDIOSOCKET_MAX);
    assert_true(k.first && k.last);
    assert_int_equal(audiosocket_next(&r, &k, mem, 2), 2);
    assert_false(k.first || k.last || k.n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_are_written),
        cmocka_unit_test(test_frames_are_read),
        cmocka_unit_test(test_the_longest_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
