#include "sip_test.h"
#include "wire/sip/frame.h"

#define ONE "OPTIONS sip:a SIP/2.0\r\nl : 5\r\nX: y\r\n\r\nhello"
#define TWO "SIP/2.0 200 OK\r\nContent-Length:\r\n 0\r\n\r\n"

static struct sip_frame next(const char *z, size_t max)
{
    size_t scanned = 0;
    return sip_frame_next(z, strlen(z), max, &scanned);
}

/* Cut anywhere, fed in pieces of any size: always the same messages. */
static void test_split(void **state)
{
    static const char stream[] = "\r\n" ONE "\r\n\r\n" TWO "\n" ONE ONE;
    size_t n = sizeof(stream) - 1;
    for (size_t piece = 1; piece <= n; piece++) {
        char pending[512];
        size_t have = 0, scanned = 0, fed = 0, msgs = 0, pings = 0;
        while (fed < n) {
            size_t take = piece < n - fed ? piece : n - fed;
            memcpy(pending + have, stream + fed, take);
            have += take;
            fed += take;
            for (;;) {
                struct sip_frame f = sip_frame_next(pending, have, 1000, &scanned);
                assert_true(f.kind != SIP_FRAME_BAD);
                if (f.kind == SIP_FRAME_MSG) {
                    struct str got = str_of(pending + f.start, f.len);
                    assert_true(str_eq(got, STR(ONE)) || str_eq(got, STR(TWO)));
                    msgs++;
                }
                pings += f.kind == SIP_FRAME_PING;
                memmove(pending, pending + f.consumed, have - f.consumed);
                have -= f.consumed;
                if (f.kind == SIP_FRAME_MORE)
                    break;
            }
        }
        assert_int_equal(msgs, 4);
        assert_int_equal(pings, 1);
        assert_int_equal(have, 0);
    }
}

static void test_lf_only(void **state)
{
    struct sip_frame f = next("OPTIONS sip:a SIP/2.0\nContent-Length: 2\n\nabX", 1000);
    assert_int_equal(f.kind, SIP_FRAME_MSG);
    assert_int_equal(f.len, strlen("OPTIONS sip:a SIP/2.0\nContent-Length: 2\n\nab"));
}

static void test_ping(void **state)
{
    struct sip_frame f = next("\r\n\r\n", 1000);
    assert_int_equal(f.kind, SIP_FRAME_PING);
    assert_int_equal(f.consumed, 4);
    assert_int_equal(next("\r\n", 1000).kind, SIP_FRAME_MORE);
    assert_int_equal(next("\r\n", 1000).consumed, 0);
    assert_int_equal(next("", 1000).kind, SIP_FRAME_MORE);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {
        "OPTIONS sip:a SIP/2.0\r\n\r\n",
        "OPTIONS sip:a SIP/2.0\r\nContent-Length: -1\r\n\r\n",
        "OPTIONS sip:a SIP/2.0\r\nContent-Length:\r\n\r\n",
        "OPTIONS sip:a SIP/2.0\r\nContent-Length: 1 2\r\n\r\n",
        "OPTIONS sip:a SIP/2.0\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "OPTIONS sip:a SIP/2.0\r\nContent-Length: 1\r\nl: 1\r\n\r\nxy",
        "OPTIONS sip:a SIP/2.0\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\nxy",
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct sip_frame f = next(bad[i], 1000);
        assert_int_equal(f.kind, SIP_FRAME_BAD);
        assert_int_equal(f.verdict, SIP_BAD_CONTENT_LENGTH);
        assert_int_equal(f.consumed, strlen(bad[i]));
        assert_true(f.len > 0 && f.len <= f.consumed);
    }
    assert_int_equal(next(ONE, 30).verdict, SIP_TOO_LARGE);
    assert_int_equal(next("x: 1234567890", 10).verdict, SIP_TOO_LARGE);
    struct sip_frame f = next("OPTIONS sip:a SIP/2.0\r\nl: 500\r\n\r\n", 100);
    assert_int_equal(f.verdict, SIP_TOO_LARGE);
}

/* A peer that sends one byte at a time costs one look at each byte. With a search from the start
 * for every byte this takes minutes, and the suite's limit ends it. */
static void test_slow_drip(void **state)
{
    size_t n = 60000, at = 0, scanned = 0;
    char *p = malloc(n);
    assert_non_null(p);
    memset(p, 'a', n);
    memcpy(p, "OPTIONS sip:a SIP/2.0\r\nX: ", 26);
    for (size_t i = 100; i < n / 2 - 3; i += 3)
        memcpy(p + i, "\r\nb", 3);
    static const char tail[] = "\r\nContent-Length: 20000\r\n\r\n";
    memcpy(p + n / 2, tail, sizeof(tail) - 1);
    size_t want = n / 2 + sizeof(tail) - 1 + 20000;
    struct sip_frame f = {0};
    for (at = 1; at <= n; at++) {
        f = sip_frame_next(p, at, 65535, &scanned);
        if (f.kind != SIP_FRAME_MORE)
            break;
        assert_true(scanned > 0 || at < 3);
    }
    assert_int_equal(f.kind, SIP_FRAME_MSG);
    assert_int_equal(f.len, want);
    assert_int_equal(at, want);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split), cmocka_unit_test(test_lf_only),   cmocka_unit_test(test_ping),
        cmocka_unit_test(test_bad),   cmocka_unit_test(test_slow_drip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
