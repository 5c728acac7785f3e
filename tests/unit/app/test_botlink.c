/* A caller, the media thread, the thread of the bots and a bot, over loopback. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "app/botlink.h"
#include "base/mem.h"
#include "bot_peer.h"
#include "io/web.h"
#include "../io/io_test.h"

#define FIRST 28700
#define PAIRS 4
#define ID    0x100000007
#define TOKEN "a token"
#define KINDS (BOTLINK_EV_CLOSED + 1)

struct bed {
    struct loop *loop;
    struct media_thread *media;
    struct botlinks *links;
    struct bot_peer peer;
    uint16_t port;
    int phone;
    unsigned told[KINDS];
    char text[512];
    struct botlink_figures figures;
    unsigned heard, loud; /* packets that the caller got, and those that were not silent */
    bool speaks;          /* the caller */
    unsigned seq;
    uint64_t spoke_ms;
    char call[64], stream[64], account[64];
};

static void on_event(void *ctx, const struct botlink_event *ev)
{
    struct bed *b = ctx;
    assert_int_equal(ev->id, ID);
    b->told[ev->kind]++;
    str_copy_z(b->text, sizeof(b->text), ev->text);
    b->figures = ev->figures;
}

static void order(struct bed *b, struct media_cmd c)
{
    assert_int_equal(media_thread_send(b->media, &c, 1), 1);
}

/* A packet of 20 ms: a buzz whose pitch wavers, as a voice's does. */
static void phone_speak(struct bed *b)
{
    uint8_t p[172] = {0x80, 0, (uint8_t)(b->seq >> 8), (uint8_t)b->seq};
    uint32_t ts = b->seq * 160;
    unsigned period = 30 + b->seq * 7 % 20;
    for (unsigned i = 0; i < 4; i++)
        p[4 + i] = (uint8_t)(ts >> (24 - 8 * i));
    for (unsigned i = 0; i < 160; i++)
        p[12 + i] = !b->speaks ? 0xFF : i % period < period / 2 ? 0x20 : 0xA0;
    b->seq++;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(b->port)};
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)!sendto(b->phone, p, sizeof(p), 0, (struct sockaddr *)&sa, sizeof(sa));
}

static void turn(struct bed *b)
{
    uint8_t p[2048];
    ssize_t n;
    loop_run_once(b->loop, 2);
    peer_turn(&b->peer);
    if (!b->spoke_ms)
        b->spoke_ms = test_ms();
    for (; b->port && test_ms() >= b->spoke_ms; b->spoke_ms += 20)
        phone_speak(b);
    while ((n = recv(b->phone, p, sizeof(p), MSG_DONTWAIT)) > 0)
        if (n == 172) {
            unsigned loud = 0;
            for (unsigned i = 12; i < 172; i++)
                loud += (p[i] & 0x7F) < 0x60;
            b->heard++;
            b->loud += loud > 40;
        }
}

#define UNTIL(cond)                                                                                \
    do {                                                                                           \
        uint64_t until_ms = test_ms() + 10000;                                                     \
        while (!(cond)) {                                                                          \
            turn(b);                                                                               \
            if (test_ms() > until_ms)                                                              \
                fail_msg("timed out waiting for: %s", #cond);                                      \
        }                                                                                          \
    } while (0)

static void caller_open(struct bed *b)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t n = sizeof(sa);
    struct media_ev ev;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    b->phone = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(b->phone, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(getsockname(b->phone, (struct sockaddr *)&sa, &n), 0);
    order(b, (struct media_cmd){.kind = MEDIA_STOCK, .family = ADDR_V4, .count = 1});
    struct pollfd p = {.fd = media_thread_fd(b->media), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(media_thread_poll(b->media, &ev, 1), 1);
    b->port = ev.port[0];
    order(b, (struct media_cmd){.kind = MEDIA_OPEN, .id = 5, .port = b->port, .family = ADDR_V4});
    order(b, (struct media_cmd){
                 .kind = MEDIA_SET,
                 .id = 5,
                 .rtp = {.family = ADDR_V4, .port = ntohs(sa.sin_port), .ip = {127, 0, 0, 1}},
                 .receiving = true,
                 .sending = true});
    struct media_cmd f = {.kind = MEDIA_FORMAT, .id = 5, .n_rx = 1, .n_tx = 1};
    f.rx[0] = f.tx[0] = (struct media_format){.codec = CODEC_PCMU, .clock_hz = 8000};
    order(b, f);
    struct media_cmd t = {.kind = MEDIA_TAP, .id = 5, .on = true};
    t.tap.link = ID;
    t.tap.sound = t.tap.voice = t.tap.barge_in = true;
    order(b, t);
}

static int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    struct media_conf conf = {.bind_v4 = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                              .port_first = FIRST,
                              .port_last = FIRST + 2 * PAIRS - 1};
    assert_int_equal(loop_new(&b->loop), 0);
    assert_int_equal(media_thread_start(&b->media, &conf), 0);
    struct botlinks_conf bc = {.loop = b->loop,
                               .media = b->media,
                               .rest = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                               .event = on_event,
                               .ctx = b};
    assert_int_equal(botlinks_new(&b->links, &bc), 0);
    peer_open(&b->peer);
    caller_open(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    botlinks_free(b->links);
    loop_settle(b->loop);
    loop_free(b->loop);
    media_thread_stop(b->media);
    peer_close(&b->peer);
    close(b->phone);
    mem_free(b);
    return mem_live() != 0;
}

static void open_url(struct bed *b, const char *url, uint32_t ms)
{
    struct botlink_cmd c = {.kind = BOTLINK_OPEN,
                            .id = ID,
                            .open_ms = ms,
                            .url = str_z(url),
                            .bot = STR("agent"),
                            .reason = STR("no_answer"),
                            .from = STR("01077141436"),
                            .to = STR("1427"),
                            .call_id = STR("x@y")};
    struct botlinks_auth auth = {.token = STR(TOKEN)};
    botlinks_cmd(b->links, &c, &auth);
}

static void bot_open(struct bed *b)
{
    char url[64];
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/call?x=1", b->peer.port);
    open_url(b, url, 2000);
}

static void tell(struct bed *b, enum botlink_cmd_kind kind, char digit)
{
    struct botlink_cmd c = {.kind = kind, .id = ID, .media = 5, .digit = digit};
    botlinks_cmd(b->links, &c, NULL);
}

static void begin(struct bed *b)
{
    bot_open(b);
    UNTIL(b->told[BOTLINK_EV_OPENED]);
    tell(b, BOTLINK_START, 0);
    UNTIL(peer_heard(&b->peer, "\"event\":\"media\"") > 2);
    peer_value(&b->peer, "streamSid", b->stream, sizeof(b->stream));
    peer_value(&b->peer, "callSid", b->call, sizeof(b->call));
    peer_value(&b->peer, "accountSid", b->account, sizeof(b->account));
}

static void end(struct bed *b)
{
    tell(b, BOTLINK_CLOSE, 0);
    UNTIL(b->told[BOTLINK_EV_CLOSED]);
    for (unsigned i = 0; i < 20; i++)
        turn(b);
    assert_int_equal(b->told[BOTLINK_EV_CLOSED], 1);
}

/* ---- what the bot is told -------------------------------------------------------------------- */

static void test_a_bot_is_told_in_order(void **state)
{
    struct bed *b = *state;
    char sign[TWILIO_SIGNATURE_BYTES], url[64], want[128];
    begin(b);
    assert_int_equal(twilio_signature(sign, STR(TOKEN), STR("x")), 0);
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/call?x=1", b->peer.port);
    assert_int_equal(twilio_signature(sign, STR(TOKEN), str_z(url)), 0);
    snprintf(want, sizeof(want), "ignature: %s\r\n", sign);
    assert_non_null(strstr(b->peer.request, want));
    assert_non_null(strstr(b->peer.request, "GET /call?x=1 HTTP/1.1\r\n"));
    assert_int_equal(strncmp(b->peer.text, "{\"event\":\"connected\"", 20), 0);
    assert_int_equal(strncmp(strchr(b->peer.text, '\n') + 1,
                             "{\"event\":\"start\",\"sequenceNumber\":\"1\"", 37),
                     0);
    assert_int_equal(peer_heard(&b->peer, "\"from\":\"01077141436\""), 1);
    assert_int_equal(peer_heard(&b->peer, "\"reason\":\"no_answer\""), 1);
    UNTIL(peer_heard(&b->peer, "\"chunk\":\"25\""));
    assert_int_equal(peer_heard(&b->peer, "\"sequenceNumber\":\"26\""), 1);
    assert_int_equal(peer_heard(&b->peer, "\"timestamp\":\"480\""), 1);
    tell(b, BOTLINK_DIGIT, '7');
    UNTIL(peer_heard(&b->peer, "\"digit\":\"7\""));
    tell(b, BOTLINK_CLOSE, 0);
    UNTIL(b->peer.close_code == 1000);
    assert_int_equal(peer_heard(&b->peer, "\"event\":\"stop\""), 1);
    UNTIL(b->told[BOTLINK_EV_CLOSED]);
    assert_int_equal(b->told[BOTLINK_EV_HANGUP], 0);
    assert_true(b->figures.tx_bytes > 25 * 200);
    assert_int_equal(b->figures.dropped, 0);
}

static void test_the_bot_is_heard_and_its_marks_return(void **state)
{
    struct bed *b = *state;
    begin(b);
    unsigned before = b->loud;
    peer_speak(&b->peer, b->stream, 400);
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"one\"}}");
    UNTIL(peer_heard(&b->peer, "\"name\":\"one\""));
    assert_int_equal(b->told[BOTLINK_EV_SOUND], 1);
    for (unsigned i = 0; i < 20; i++)
        turn(b);
    assert_in_range(b->loud - before, 19, 21);
    /* Twenty seconds at once, and all given up at once. */
    peer_speak(&b->peer, b->stream, 20000);
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"two\"}}");
    unsigned loud = b->loud;
    UNTIL(b->loud > loud + 5);
    peer_say(&b->peer, "{\"event\":\"clear\"}");
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"three\"}}");
    UNTIL(peer_heard(&b->peer, "\"name\":\"three\""));
    assert_true(strstr(b->peer.text, "\"two\"") < strstr(b->peer.text, "\"three\""));
    loud = b->loud;
    unsigned heard = b->heard;
    UNTIL(b->heard > heard + 20);
    assert_in_range(b->loud, loud, loud + 2);
    end(b);
    assert_int_equal(b->figures.underruns, 0);
    assert_in_range(b->figures.queue_most_ms, 10000, 20000);
}

static void test_what_is_of_another_stream_is_not_heard(void **state)
{
    struct bed *b = *state;
    begin(b);
    peer_speak(&b->peer, "MZ00000000000000000000000000000000", 400);
    peer_say(&b->peer, "nonsense");
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"one\"}}");
    peer_say(&b->peer, "{\"event\":\"transcript\",\"transcript\":{\"text\":\"hello\"}}");
    UNTIL(b->told[BOTLINK_EV_NOTE]);
    assert_string_equal(b->text, "hello");
    assert_int_equal(b->told[BOTLINK_EV_SOUND], 0);
    end(b);
    assert_int_equal(b->figures.errors, 2);
}

/* Three times what may wait: the rest is given up, and counted; and a message of any length is not
 * taken either (RFC 6455 section 7.4.1). */
static void test_a_bot_that_floods(void **state)
{
    struct bed *b = *state;
    begin(b);
    for (unsigned i = 0; i < 5; i++) {
        unsigned before = b->heard;
        peer_speak(&b->peer, b->stream, 50000);
        UNTIL(b->heard > before + (i < 2 ? 30 : 0)); /* the first two find room */
    }
    peer_say(&b->peer, "{\"event\":\"transcript\",\"transcript\":{\"text\":\"all\"}}");
    UNTIL(b->told[BOTLINK_EV_NOTE]);
    unsigned heard = b->heard;
    UNTIL(b->heard > heard + 30);
    char *big = malloc(3 << 20);
    memset(big, ' ', 3 << 20);
    peer_send(&b->peer, WS_TEXT, big, 3 << 20);
    free(big);
    UNTIL(b->peer.close_code == 1009 || b->peer.gone);
    peer_hang(&b->peer);
    UNTIL(b->peer.connections == 2);
    end(b);
    assert_int_equal(b->figures.errors, 3);
    assert_in_range(b->figures.queue_most_ms, 48000, 56000);
    assert_int_equal(b->figures.reconnects, 1);
}

/* The caller speaks: at most 100 ms later nothing of the bot is heard, and its marks come back. */
static void test_the_caller_interrupts(void **state)
{
    struct bed *b = *state;
    struct media_ev ev = {0};
    begin(b);
    unsigned loud = b->loud;
    peer_speak(&b->peer, b->stream, 20000);
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"end\"}}");
    UNTIL(b->loud > loud + 10);
    b->speaks = true;
    UNTIL(peer_heard(&b->peer, "\"name\":\"end\""));
    while (ev.kind != MEDIA_EV_VOICE)
        if (media_thread_poll(b->media, &ev, 1) != 1)
            turn(b);
    assert_true(ev.talks && ev.voice.stopped);
    assert_in_range(ev.voice.stop_ms, 20, 120);
    unsigned heard = b->heard;
    loud = b->loud;
    UNTIL(b->heard > heard + 20);
    assert_in_range(b->loud, loud, loud + 2);
    end(b);
}

/* ---- how it ends ----------------------------------------------------------------------------- */

static void test_nobody_there(void **state)
{
    struct bed *b = *state;
    char url[64];
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", b->peer.port);
    close(b->peer.listener);
    b->peer.listener = -1;
    open_url(b, url, 2000);
    UNTIL(b->told[BOTLINK_EV_FAILED]);
    assert_true(b->text[0]);
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_OPENED], 0);
}

static void test_urls_that_are_none(void **state)
{
    static const char *const bad[] = {"",          "http://127.0.0.1/", "ws://",
                                      "ws://h:0/", "ws://h:70000",      "ws://u@h/"};
    struct bed *b = *state;
    for (unsigned i = 0; i < 6; i++) {
        memset(b->told, 0, sizeof(b->told));
        open_url(b, bad[i], 2000);
        UNTIL(b->told[BOTLINK_EV_FAILED]);
        end(b);
    }
}

static void test_one_that_never_answers(void **state)
{
    struct bed *b = *state;
    b->peer.deaf = true;
    uint64_t at = test_ms();
    char url[64];
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", b->peer.port);
    open_url(b, url, 300);
    UNTIL(b->told[BOTLINK_EV_FAILED]);
    assert_in_range(test_ms() - at, 290, 1500);
    end(b);
}

static void test_closed_before_it_is_open(void **state)
{
    struct bed *b = *state;
    b->peer.deaf = true;
    bot_open(b);
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_OPENED], 0);
}

static void test_the_bot_says_good_bye(void **state)
{
    struct bed *b = *state;
    begin(b);
    peer_bye(&b->peer, 1000);
    UNTIL(b->told[BOTLINK_EV_HANGUP]);
    assert_int_equal(b->told[BOTLINK_EV_LOST], 0);
    end(b);
}

/* RFC 6455 section 5.5.1: as ws.close() of most libraries does it. */
static void test_a_good_bye_without_a_code(void **state)
{
    struct bed *b = *state;
    begin(b);
    peer_bye(&b->peer, 0);
    UNTIL(b->told[BOTLINK_EV_HANGUP]);
    assert_int_equal(b->told[BOTLINK_EV_LOST], 0);
    end(b);
    assert_int_equal(b->figures.reconnects, 0);
}

/* What comes before the caller is there waits, and a mark in what was cleared comes back then; no
 * more is heard than was said. */
static void test_what_is_said_before_the_start(void **state)
{
    struct bed *b = *state;
    bot_open(b);
    UNTIL(b->told[BOTLINK_EV_OPENED]);
    UNTIL(peer_heard(&b->peer, "\"event\":\"connected\""));
    peer_speak(&b->peer, "", 13);
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"gone\"}}");
    peer_speak(&b->peer, "", 13);
    peer_say(&b->peer, "{\"event\":\"clear\"}");
    peer_speak(&b->peer, "", 990);
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"end\"}}");
    peer_say(&b->peer, "{\"event\":\"transcript\",\"transcript\":{\"text\":\"hi\"}}");
    UNTIL(b->told[BOTLINK_EV_NOTE]);
    tell(b, BOTLINK_START, 0);
    UNTIL(peer_heard(&b->peer, "\"name\":\"end\""));
    assert_int_equal(peer_heard(&b->peer, "\"name\":\"gone\""), 1);
    unsigned heard = b->heard, loud = b->loud;
    UNTIL(b->heard > heard + 20);
    assert_in_range(b->loud, 48, 51);
    assert_in_range(b->loud, loud, loud + 2);
    end(b);
    assert_int_equal(b->figures.errors, 0);
}

/* A connection that breaks is made again, and the bot is told who calls. */
static void test_the_connection_breaks(void **state)
{
    struct bed *b = *state;
    char again[64];
    begin(b);
    peer_hang(&b->peer);
    UNTIL(b->peer.connections == 2 && peer_heard(&b->peer, "\"event\":\"start\"") == 2);
    peer_value(&b->peer, "callSid", again, sizeof(again));
    assert_string_equal(again, b->call);
    peer_value(&b->peer, "streamSid", again, sizeof(again));
    assert_string_not_equal(again, b->stream);
    assert_int_equal(peer_heard(&b->peer, "\"resumed\":\"1\""), 1);
    unsigned loud = b->loud;
    peer_speak(&b->peer, again, 400);
    UNTIL(b->loud > loud + 5);
    close(b->peer.listener);
    b->peer.listener = -1;
    peer_hang(&b->peer);
    UNTIL(b->told[BOTLINK_EV_LOST]);
    end(b);
    assert_int_equal(b->figures.reconnects, 3);
}

/* ---- Twilio's request ------------------------------------------------------------------------ */

/* Sends it, and returns the status of the reply. */
static unsigned post(struct bed *b, const char *sid, const char *token, const char *form)
{
    char request[1024], auth[128], reply[2048] = "";
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(botlinks_rest_port(b->links))};
    struct buf a;
    size_t n = 0;
    uint64_t until = test_ms() + 10000;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    snprintf(request, sizeof(request), "%s:%s", b->account, token);
    buf_init(&a, auth, sizeof(auth) - 1);
    base64_put(&a, (const uint8_t *)request, strlen(request));
    auth[a.n] = '\0';
    int len = snprintf(request, sizeof(request),
                       "POST /2010-04-01/Accounts/%s/Calls/%s.json HTTP/1.1\r\nHost: x\r\n"
                       "Authorization: Basic %s\r\nConnection: close\r\n"
                       "Content-Type: application/x-www-form-urlencoded\r\n"
                       "Content-Length: %zu\r\n\r\n%s",
                       b->account, sid, auth, strlen(form), form);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(write(fd, request, (size_t)len), len);
    while (!strstr(reply, "\r\n\r\n")) {
        ssize_t got = recv(fd, reply + n, sizeof(reply) - 1 - n, MSG_DONTWAIT);
        n += got > 0 ? (size_t)got : 0;
        assert_true(test_ms() < until);
        turn(b);
    }
    close(fd);
    unsigned status = 0;
    assert_int_equal(sscanf(reply, "HTTP/1.%*u %u", &status), 1);
    return status;
}

static void test_a_call_is_ended_and_moved(void **state)
{
    struct bed *b = *state;
    begin(b);
    assert_int_equal(post(b, b->call, "wrong", "Status=completed"), 401);
    assert_int_equal(post(b, "CA00000000000000000000000000000000", TOKEN, "Status=completed"), 404);
    assert_int_equal(post(b, b->call, TOKEN, "Url=http://x"), 400);
    assert_int_equal(b->told[BOTLINK_EV_HANGUP] + b->told[BOTLINK_EV_TRANSFER], 0);
    assert_int_equal(
        post(b, b->call, TOKEN, "Twiml=%3CResponse%3E%3CDial%3E1428%3C/Dial%3E%3C/Response%3E"),
        200);
    UNTIL(b->told[BOTLINK_EV_TRANSFER]);
    assert_string_equal(b->text, "1428");
    assert_int_equal(post(b, b->call, TOKEN, "Status=completed"), 200);
    UNTIL(b->told[BOTLINK_EV_HANGUP]);
    end(b);
}

/* An upgrade would hold a place of the server for as long as it likes, without a password. */
static void test_no_websocket_where_bots_ask(void **state)
{
    struct bed *b = *state;
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char reply[512] = "";
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(botlinks_rest_port(b->links))};
    ssize_t got = -1;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
    UNTIL((got = recv(fd, reply, sizeof(reply) - 1, MSG_DONTWAIT)) >= 0 || errno == ECONNRESET);
    assert_null(strstr(reply, " 101 "));
    close(fd);
}

/* The transcript of a call has an end, whatever its bot says. */
static void test_notes_are_bounded(void **state)
{
    struct bed *b = *state;
    begin(b);
    for (unsigned i = 0; i < 2000; i++)
        peer_say(&b->peer, "{\"event\":\"transcript\",\"transcript\":{\"text\":\"0123456789\"}}");
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"end\"}}");
    UNTIL(peer_heard(&b->peer, "\"name\":\"end\""));
    end(b);
    assert_in_range(b->told[BOTLINK_EV_NOTE], 300, 400);
    assert_int_equal(b->figures.errors, 2000 - b->told[BOTLINK_EV_NOTE]);
}

/* Whoever takes all connections of the server gets no more than it has, and gives them back. */
static void test_connections_are_bounded(void **state)
{
    struct bed *b = *state;
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(botlinks_rest_port(b->links))};
    int fd[WEB_HTTP_MOST + 8];
    unsigned refused = 0;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    begin(b);
    for (unsigned i = 0; i < WEB_HTTP_MOST + 8; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(fd[i], (struct sockaddr *)&sa, sizeof(sa)), 0);
    }
    for (uint64_t until = test_ms() + 5000; refused < 8 && test_ms() < until; turn(b)) {
        refused = 0;
        for (unsigned i = 0; i < WEB_HTTP_MOST + 8; i++) {
            char c;
            refused += recv(fd[i], &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0 || errno == ECONNRESET;
            errno = 0;
        }
    }
    assert_int_equal(refused, 8);
    for (unsigned i = 0; i < WEB_HTTP_MOST + 8; i++)
        close(fd[i]);
    for (unsigned i = 0; i < 20; i++)
        turn(b);
    assert_int_equal(post(b, b->call, TOKEN, "Status=completed"), 200);
    end(b);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_bot_is_told_in_order),
        CASE(test_the_bot_is_heard_and_its_marks_return),
        CASE(test_what_is_of_another_stream_is_not_heard),
        CASE(test_a_bot_that_floods),
        CASE(test_the_caller_interrupts),
        CASE(test_nobody_there),
        CASE(test_urls_that_are_none),
        CASE(test_one_that_never_answers),
        CASE(test_closed_before_it_is_open),
        CASE(test_the_bot_says_good_bye),
        CASE(test_a_good_bye_without_a_code),
        CASE(test_what_is_said_before_the_start),
        CASE(test_the_connection_breaks),
        CASE(test_a_call_is_ended_and_moved),
        CASE(test_connections_are_bounded),
        CASE(test_no_websocket_where_bots_ask),
        CASE(test_notes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
