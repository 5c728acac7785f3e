/* A caller, the media thread, the thread of the bots and a bot, over loopback. FIRST is defined
 * before it: the first of the ports of the media. */
#ifndef TESTS_BOT_BED_H
#define TESTS_BOT_BED_H

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
    enum botlink_protocol protocol;
    uint32_t rate_hz;
};

/* What a test wants of botlinks_new() besides. */
static struct {
    uint32_t max;
    const char *dns;
} bed_with;

static inline void on_event(void *ctx, const struct botlink_event *ev)
{
    struct bed *b = ctx;
    assert_in_range(ev->id, ID, ID + 9999);
    b->told[ev->kind]++;
    str_copy_z(b->text, sizeof(b->text), ev->text);
    b->figures = ev->figures;
}

static inline void order(struct bed *b, struct media_cmd c)
{
    assert_int_equal(media_thread_send(b->media, &c, 1), 1);
}

/* A packet of 20 ms: a buzz whose pitch wavers, as a voice's does. */
static inline void phone_speak(struct bed *b)
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

static inline void turn(struct bed *b)
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

static inline void caller_open(struct bed *b)
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

static inline int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    struct media_conf conf = {.bind_v4 = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                              .port_first = FIRST,
                              .port_last = FIRST + 2 * PAIRS - 1};
    assert_int_equal(loop_new(&b->loop), 0);
    assert_int_equal(media_thread_start(&b->media, &conf), 0);
    struct botlinks_conf bc = {.loop = b->loop,
                               .media = b->media,
                               .max = bed_with.max ? bed_with.max : 10,
                               .dns_servers = bed_with.dns,
                               .rest = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                               .event = on_event,
                               .ctx = b};
    assert_int_equal(botlinks_new(&b->links, &bc), 0);
    peer_open(&b->peer);
    caller_open(b);
    *state = b;
    return 0;
}

static inline int teardown(void **state)
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

static inline void open_url(struct bed *b, const char *url, uint32_t ms)
{
    struct botlink_cmd c = {.kind = BOTLINK_OPEN,
                            .id = ID,
                            .protocol = b->protocol,
                            .rate_hz = b->rate_hz,
                            .record = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
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

static inline void bot_open(struct bed *b)
{
    char url[64];
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/call?x=1", b->peer.port);
    open_url(b, url, 2000);
}

static inline void tell(struct bed *b, enum botlink_cmd_kind kind, char digit)
{
    struct botlink_cmd c = {.kind = kind, .id = ID, .media = 5, .digit = digit};
    botlinks_cmd(b->links, &c, NULL);
}

static inline void end(struct bed *b)
{
    tell(b, BOTLINK_CLOSE, 0);
    UNTIL(b->told[BOTLINK_EV_CLOSED]);
    for (unsigned i = 0; i < 20; i++)
        turn(b);
    assert_int_equal(b->told[BOTLINK_EV_CLOSED], 1);
}

#endif
