/* Bots behind AudioSocket: frames on a TCP connection. */
#define FIRST 28720
#include "bot_bed.h"

#include "wire/bot/audiosocket.h"

/* What the server has been told, frame by frame. */
struct told {
    unsigned n, sounds;
    uint8_t type[64];
    char payload[64][16];
    size_t bytes; /* of the last sound */
    int most;     /* its loudest sample */
};

static struct told told;

static void take(struct bed *b)
{
    struct bot_peer *p = &b->peer;
    size_t at = 0;
    while (p->in_n - at >= AUDIOSOCKET_HEAD) {
        const uint8_t *f = p->in + at;
        size_t n = (size_t)f[1] << 8 | f[2];
        if (p->in_n - at < AUDIOSOCKET_HEAD + n)
            break;
        if (f[0] >= AUDIOSOCKET_SLIN && f[0] <= AUDIOSOCKET_SLIN192) {
            told.sounds++;
            told.bytes = n;
            told.most = 0;
            for (size_t i = 0; i + 1 < n; i += 2) {
                int v = abs((int16_t)(uint16_t)(f[3 + i] | f[4 + i] << 8));
                told.most = v > told.most ? v : told.most;
            }
        }
        if (told.sounds < 2 || told.sounds > 0xFFFF || f[0] < AUDIOSOCKET_SLIN) {
            assert_true(told.n < 64);
            told.type[told.n] = f[0];
            memcpy(told.payload[told.n++], f + 3, n < 16 ? n : 16);
        }
        at += AUDIOSOCKET_HEAD + n;
    }
    memmove(p->in, p->in + at, p->in_n - at);
    p->in_n -= at;
}

#define WAIT(cond) UNTIL((take(b), (cond)))

static void begin(struct bed *b, uint32_t rate_hz)
{
    char url[64];
    struct media_cmd t = {.kind = MEDIA_TAP, .id = 5, .on = true};
    memset(&told, 0, sizeof(told));
    t.tap.link = ID;
    t.tap.rate_hz = rate_hz;
    t.tap.sound = t.tap.voice = t.tap.barge_in = true;
    order(b, t);
    b->protocol = BOTLINK_AUDIOSOCKET;
    b->rate_hz = rate_hz;
    b->peer.plain = true;
    snprintf(url, sizeof(url), "audiosocket://127.0.0.1:%u", b->peer.port);
    open_url(b, url, 2000);
    WAIT(b->told[BOTLINK_EV_OPENED]);
    assert_int_equal(told.n, 0); /* nobody is there yet */
    tell(b, BOTLINK_START, 0);
    WAIT(told.sounds > 2);
}

static void frame(struct bed *b, uint8_t type, const void *bytes, size_t n)
{
    uint8_t head[3] = {type, (uint8_t)(n >> 8), (uint8_t)n};
    fcntl(b->peer.fd, F_SETFL, 0);
    assert_int_equal(send(b->peer.fd, head, 3, MSG_NOSIGNAL), 3);
    if (n)
        assert_int_equal(send(b->peer.fd, bytes, n, MSG_NOSIGNAL), n);
    fcntl(b->peer.fd, F_SETFL, O_NONBLOCK);
}

static void tone(char *mem, size_t samples, uint32_t rate_hz)
{
    for (size_t i = 0; i < samples; i++) {
        int16_t v = i % (rate_hz / 1000) < rate_hz / 2000 ? 8000 : -8000;
        mem[2 * i] = (char)(v & 0xFF);
        mem[2 * i + 1] = (char)((uint16_t)v >> 8);
    }
}

static void test_what_it_is_told(void **state)
{
    struct bed *b = *state;
    begin(b, 8000);
    assert_int_equal(told.type[0], AUDIOSOCKET_UUID);
    assert_memory_equal(told.payload[0], "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20", 16);
    assert_int_equal(told.type[1], AUDIOSOCKET_SLIN);
    assert_int_equal(told.bytes, 320);
    assert_in_range(told.most, 0, 8);
    b->speaks = true;
    WAIT(told.most > 1000);
    tell(b, BOTLINK_DIGIT, '5');
    WAIT(told.n && told.type[told.n - 1] == AUDIOSOCKET_DTMF);
    assert_int_equal(told.payload[told.n - 1][0], '5');
    tell(b, BOTLINK_CLOSE, 0);
    WAIT(b->peer.gone);
    assert_int_equal(told.type[told.n - 1], AUDIOSOCKET_HANGUP);
    UNTIL(b->told[BOTLINK_EV_CLOSED]);
    assert_int_equal(b->figures.errors, 0);
    assert_int_equal(b->told[BOTLINK_EV_HANGUP], 0);
}

/* 320 bytes a frame, and the longest that there is; none of it is lost. */
static void heard(struct bed *b, uint32_t rate_hz, uint8_t type)
{
    static char mem[65534];
    begin(b, rate_hz);
    assert_int_equal(told.type[1], type);
    assert_int_equal(told.bytes, rate_hz / 25);
    unsigned before = b->loud;
    tone(mem, sizeof(mem) / 2, rate_hz);
    for (unsigned i = 0; i < 20; i++)
        frame(b, type, mem, rate_hz / 25);
    WAIT(b->loud - before >= 19);
    frame(b, type, mem, sizeof(mem));
    unsigned all = (unsigned)(sizeof(mem) / 2 / (rate_hz / 50));
    WAIT(b->loud - before >= 19 + all);
    unsigned heard = b->heard;
    WAIT(b->heard > heard + 5);
    assert_in_range(b->loud - before, 19 + all, 23 + all);
    end(b);
    assert_int_equal(b->figures.errors, 0);
}

static void test_it_is_heard(void **state)
{
    heard(*state, 8000, AUDIOSOCKET_SLIN);
}

static void test_it_is_heard_at_16_khz(void **state)
{
    heard(*state, 16000, AUDIOSOCKET_SLIN16);
}

/* TCP cuts where it likes: within a head, within a sample. */
static void test_frames_in_pieces(void **state)
{
    static char mem[6400];
    struct bed *b = *state;
    begin(b, 8000);
    unsigned before = b->loud;
    tone(mem, sizeof(mem) / 2, 8000);
    uint8_t whole[3 + sizeof(mem)] = {AUDIOSOCKET_SLIN, sizeof(mem) >> 8, sizeof(mem) & 0xFF};
    memcpy(whole + 3, mem, sizeof(mem));
    for (size_t at = 0; at < sizeof(whole);) {
        size_t n = sizeof(whole) - at < 601 ? sizeof(whole) - at : at < 3 ? 1 : 601;
        assert_int_equal(send(b->peer.fd, whole + at, n, MSG_NOSIGNAL), n);
        at += n;
        turn(b);
    }
    WAIT(b->loud - before >= 19);
    unsigned heard = b->heard;
    WAIT(b->heard > heard + 5);
    assert_in_range(b->loud - before, 19, 22);
    end(b);
    assert_int_equal(b->figures.errors, 0);
}

static void test_it_hangs_up(void **state)
{
    struct bed *b = *state;
    begin(b, 8000);
    frame(b, AUDIOSOCKET_HANGUP, NULL, 0);
    WAIT(b->told[BOTLINK_EV_HANGUP]);
    peer_hang(&b->peer);
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_HANGUP], 1);
    assert_int_equal(b->told[BOTLINK_EV_LOST], 0);
}

/* A connection that ends without it was lost, and is not made again: the server knows one as a
 * call.
 */
static void test_it_breaks(void **state)
{
    struct bed *b = *state;
    begin(b, 8000);
    peer_hang(&b->peer);
    WAIT(b->told[BOTLINK_EV_LOST]);
    assert_true(b->text[0]);
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_HANGUP], 0);
    assert_int_equal(b->figures.reconnects, 0);
}

static void test_it_reports_an_error(void **state)
{
    struct bed *b = *state;
    begin(b, 8000);
    frame(b, AUDIOSOCKET_ERROR, "\4", 1);
    WAIT(b->told[BOTLINK_EV_LOST]);
    assert_string_equal(b->text, "the bot reports error 4");
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_HANGUP], 0);
}

/* What is of another rate, of half a sample, or unknown. */
static void test_what_is_not_for_us(void **state)
{
    static char mem[640];
    struct bed *b = *state;
    begin(b, 8000);
    unsigned before = b->loud;
    tone(mem, 320, 8000);
    frame(b, AUDIOSOCKET_SLIN16, mem, 640);
    frame(b, AUDIOSOCKET_SLIN, mem, 321);
    frame(b, 0x42, mem, 100);
    frame(b, AUDIOSOCKET_SLIN, mem, 0);
    frame(b, AUDIOSOCKET_SLIN, mem, 640);
    WAIT(b->loud - before >= 2);
    unsigned heard = b->heard;
    WAIT(b->heard > heard + 5);
    assert_in_range(b->loud - before, 2, 4);
    assert_int_equal(b->told[BOTLINK_EV_NOTE], 2);
    end(b);
    assert_int_equal(b->figures.errors, 2);
}

static void test_nobody_there(void **state)
{
    struct bed *b = *state;
    char url[64];
    snprintf(url, sizeof(url), "audiosocket://127.0.0.1:%u", b->peer.port);
    close(b->peer.listener);
    b->peer.listener = -1;
    b->protocol = BOTLINK_AUDIOSOCKET;
    open_url(b, url, 2000);
    UNTIL(b->told[BOTLINK_EV_FAILED]);
    end(b);
}

static void test_urls_that_are_none(void **state)
{
    static const char *const bad[] = {"", "ws://127.0.0.1:9/", "audiosocket://127.0.0.1",
                                      "audiosocket://:9"};
    struct bed *b = *state;
    b->protocol = BOTLINK_AUDIOSOCKET;
    for (unsigned i = 0; i < 4; i++) {
        memset(b->told, 0, sizeof(b->told));
        open_url(b, bad[i], 2000);
        UNTIL(b->told[BOTLINK_EV_FAILED]);
        end(b);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_it_is_told),       CASE(test_it_is_heard),
        CASE(test_it_is_heard_at_16_khz), CASE(test_frames_in_pieces),
        CASE(test_it_hangs_up),           CASE(test_it_breaks),
        CASE(test_it_reports_an_error),   CASE(test_what_is_not_for_us),
        CASE(test_nobody_there),          CASE(test_urls_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
