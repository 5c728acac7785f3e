/* Bots that speak Twilio's protocol, and what is the same for all. */
#define FIRST 28700
#include "bot_bed.h"

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

/* As many marks as may wait come due in the same moment, and one more is a mistake. */
static void test_marks_that_come_due_at_once(void **state)
{
    struct bed *b = *state;
    char text[64];
    begin(b);
    peer_speak(&b->peer, b->stream, 400);
    for (unsigned i = 0; i < 65; i++) {
        snprintf(text, sizeof(text), "{\"event\":\"mark\",\"mark\":{\"name\":\"m%u\"}}", i);
        peer_say(&b->peer, text);
    }
    UNTIL(b->told[BOTLINK_EV_NOTE]);
    assert_string_equal(b->text, "sent more marks than may wait");
    UNTIL(peer_heard(&b->peer, "\"name\":\"m63\""));
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"end\"}}");
    UNTIL(peer_heard(&b->peer, "\"name\":\"end\""));
    assert_int_equal(peer_heard(&b->peer, "\"event\":\"mark\""), 65);
    end(b);
    assert_int_equal(b->figures.errors, 1);
    assert_int_equal(b->figures.reconnects, 0);
}

static void test_what_is_of_another_stream_is_not_heard(void **state)
{
    struct bed *b = *state;
    begin(b);
    peer_speak(&b->peer, "MZ00000000000000000000000000000000", 400);
    peer_say(&b->peer, "nonsense");
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"one\"}}");
    peer_say(&b->peer, "{\"event\":\"transcript\",\"transcript\":{\"text\":\"hello\"}}");
    UNTIL(b->told[BOTLINK_EV_NOTE] == 3);
    assert_string_equal(b->text, "hello");
    assert_int_equal(b->told[BOTLINK_EV_SOUND], 0);
    end(b);
    assert_int_equal(b->figures.errors, 2);
}

/* Each mistake is a line of the transcript, once. */
static void test_what_it_does_wrong(void **state)
{
    static const struct {
        const char *message, *line;
    } all[] = {
        {"nonsense", "sent text that is not a JSON object"},
        {"{}", "sent a message without `event`"},
        {"{\"event\":\"media\"}", "sent `media` without `payload`"},
        {"{\"event\":\"mark\"}", "sent `mark` without `name`"},
        {"{\"event\":\"transcript\"}", "sent `transcript` without `text`"},
        {"{\"event\":\"media\",\"media\":{\"payload\":\"!\"}}",
         "sent `media` whose `payload` is not base64"},
        {"{\"event\":\"clear\",\"streamSid\":\"MZ0\"}", "sent a message of another stream"},
    };
    struct bed *b = *state;
    begin(b);
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        peer_say(&b->peer, all[i].message);
        UNTIL(b->told[BOTLINK_EV_NOTE] == i + 1);
        assert_string_equal(b->text, all[i].line);
        peer_say(&b->peer, all[i].message);
    }
    peer_send(&b->peer, WS_BINARY, "x", 1);
    UNTIL(b->told[BOTLINK_EV_NOTE] == ARRAY_LEN(all) + 1);
    assert_string_equal(b->text, "sent a binary message");
    end(b);
    assert_int_equal(b->figures.errors, 2 * ARRAY_LEN(all) + 1);
}

/* Of one message that is longer than may wait the first minute is heard, and a mark behind it waits
 * for that. */
static void test_a_message_that_is_too_long(void **state)
{
    struct bed *b = *state;
    begin(b);
    unsigned loud = b->loud;
    peer_speak(&b->peer, b->stream, 70000);
    peer_say(&b->peer, "{\"event\":\"media\",\"media\":{\"payload\":\"\"}}");
    peer_say(&b->peer, "{\"event\":\"mark\",\"mark\":{\"name\":\"end\"}}");
    UNTIL(b->told[BOTLINK_EV_NOTE]);
    assert_string_equal(b->text, "sent more sound than may wait");
    UNTIL(b->loud > loud + 20);
    assert_int_equal(peer_heard(&b->peer, "\"name\":\"end\""), 0);
    peer_say(&b->peer, "{\"event\":\"clear\"}");
    UNTIL(peer_heard(&b->peer, "\"name\":\"end\""));
    end(b);
    assert_int_equal(b->figures.errors, 1);
    assert_in_range(b->figures.queue_most_ms, 48000, 60000);
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
    UNTIL(b->told[BOTLINK_EV_NOTE] == 2);
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

/* Who may not interrupt the bot speaks all the same: when he has ended and the bot goes on, it is
 * said to sound once more, since nothing else says that it is its turn. */
static void test_the_bot_talks_on(void **state)
{
    struct bed *b = *state;
    struct media_ev ev = {0};
    struct media_cmd t = {.kind = MEDIA_TAP, .id = 5, .on = true};
    t.tap.link = ID;
    t.tap.sound = t.tap.voice = true;
    order(b, t);
    begin(b);
    peer_speak(&b->peer, b->stream, 20000);
    UNTIL(b->told[BOTLINK_EV_SOUND] == 1);
    b->speaks = true;
    while (ev.kind != MEDIA_EV_VOICE)
        if (media_thread_poll(b->media, &ev, 1) != 1)
            turn(b);
    assert_true(ev.talks && !ev.voice.stopped);
    assert_int_equal(b->told[BOTLINK_EV_SOUND], 1);
    b->speaks = false;
    UNTIL(b->told[BOTLINK_EV_SOUND] == 2);
    unsigned loud = b->loud;
    UNTIL(b->loud > loud + 5);
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
    snprintf(url, sizeof(url), "127.0.0.1:%u: nobody takes connections there", b->peer.port);
    assert_string_equal(b->text, url);
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_OPENED], 0);
}

/* A server of HTTP, of something else, and one that hangs up: what it is told from the outside. */
static void test_no_websocket_at_the_url(void **state)
{
    static const struct {
        const char *answer, *why;
    } all[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
         "it answers with HTTP status 404, not as a WebSocket"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
         "it answers with HTTP status 200, not as a WebSocket"},
        {"", "it closed the connection before it was open"},
    };
    struct bed *b = *state;
    char want[128], request[2048];
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        int fd = -1;
        size_t n = strlen(all[i].answer);
        b->peer.deaf = true;
        memset(b->told, 0, sizeof(b->told));
        bot_open(b);
        UNTIL((fd = b->peer.fd) >= 0);
        UNTIL(recv(fd, request, sizeof(request), MSG_DONTWAIT) > 0);
        assert_int_equal(send(fd, all[i].answer, n, MSG_NOSIGNAL), n);
        shutdown(fd, SHUT_WR);
        UNTIL(b->told[BOTLINK_EV_FAILED]);
        snprintf(want, sizeof(want), "127.0.0.1:%u: %s", b->peer.port, all[i].why);
        assert_string_equal(b->text, want);
        end(b);
        peer_hang(&b->peer);
    }
}

/* RFC 6455 section 4.1; what says nothing of HTTP, and what says too much of it. */
static void test_what_is_no_answer(void **state)
{
    static char longer[20000];
    const struct {
        const char *answer, *why;
    } all[] = {
        {"HTTP/1.0 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: ",
         "it answers with HTTP/1.0, not as a WebSocket"},
        {"SSH-2.0-x\r\n", "what it sends is no whole answer of a WebSocket"},
        {longer, "its answer has a header that is too long, or is none"},
    };
    struct bed *b = *state;
    char url[64], want[128];
    int n = snprintf(longer, sizeof(longer), "HTTP/1.1 101 Switching\r\nX-Long: ");
    memset(longer + n, 'x', sizeof(longer) - 1 - (size_t)n);
    snprintf(url, sizeof(url), "ws://127.0.0.1:%u/", b->peer.port);
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        char request[2048] = "", accept[256];
        ssize_t got = 0;
        b->peer.deaf = true;
        memset(b->told, 0, sizeof(b->told));
        open_url(b, url, 500);
        UNTIL(b->peer.fd >= 0);
        UNTIL((got = recv(b->peer.fd, request, sizeof(request) - 1, MSG_DONTWAIT)) > 0);
        peer_accept(accept, sizeof(accept), str_of(request, (size_t)got));
        send(b->peer.fd, all[i].answer, strlen(all[i].answer), MSG_NOSIGNAL);
        if (i == 0)
            send(b->peer.fd, accept, strlen(accept), MSG_NOSIGNAL);
        UNTIL(b->told[BOTLINK_EV_FAILED]);
        snprintf(want, sizeof(want), "127.0.0.1:%u: %s", b->peer.port, all[i].why);
        assert_string_equal(b->text, want);
        end(b);
        peer_hang(&b->peer);
    }
}

/* RFC 6455 sections 5.5.1, 7.4.1 and 8.1: refused with the code that is for it, and connected to
 * again. What is announced as too long is refused with the first 16 KiB of it. */
static void test_what_is_no_message(void **state)
{
    static char huge[10 + 16384] = "\x81\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF";
    static const struct {
        const char *bytes;
        size_t n;
        unsigned code;
        const char *why;
    } all[] = {
        {"\x81\x02\xFF\xFE", 4, 1007, "a text was not UTF-8"},
        {"\x88\x01\x03", 3, 1002, "its close frame had half a code"},
        {huge, sizeof(huge), 1009, "a message was too long"},
    };
    struct bed *b = *state;
    char want[128];
    begin(b);
    for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
        b->peer.close_code = 0;
        (void)!send(b->peer.fd, all[i].bytes, all[i].n, MSG_NOSIGNAL);
        UNTIL(b->peer.close_code);
        assert_int_equal(b->peer.close_code, all[i].code);
        peer_hang(&b->peer);
        UNTIL(b->told[BOTLINK_EV_BROKEN] == i + 1);
        snprintf(want, sizeof(want), "127.0.0.1:%u: %s", b->peer.port, all[i].why);
        assert_string_equal(b->text, want);
        UNTIL(b->peer.connections == i + 2);
    }
    end(b);
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
    char again[64], why[128];
    begin(b);
    peer_hang(&b->peer);
    UNTIL(b->peer.connections == 2 && peer_heard(&b->peer, "\"event\":\"start\"") == 2);
    assert_int_equal(b->told[BOTLINK_EV_BROKEN], 1);
    snprintf(why, sizeof(why), "127.0.0.1:%u: the connection broke", b->peer.port);
    assert_string_equal(b->text, why);
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
    assert_int_equal(b->told[BOTLINK_EV_BROKEN], 2);
    assert_int_equal(b->figures.reconnects, 3);
}

/* What is no good-bye is a break, and the transcript has its code; so is one that does not
 * read the marks that it asks for: they fill what the sockets hold, and then our places. */
static void test_why_it_breaks(void **state)
{
    struct bed *b = *state;
    char why[128], text[512];
    begin(b);
    peer_bye(&b->peer, 4000);
    UNTIL(b->told[BOTLINK_EV_BROKEN] == 1);
    snprintf(why, sizeof(why), "127.0.0.1:%u: the bot closed the connection with code 4000",
             b->peer.port);
    assert_string_equal(b->text, why);
    peer_hang(&b->peer);
    UNTIL(b->peer.connections == 2 && peer_heard(&b->peer, "\"event\":\"start\"") == 2);
    b->peer.deaf = true;
    snprintf(text, sizeof(text), "{\"event\":\"mark\",\"mark\":{\"name\":\"%0240d\"}}", 0);
    for (unsigned i = 0; i < 40000 && b->told[BOTLINK_EV_BROKEN] == 1; i++) {
        peer_say(&b->peer, text);
        if (i % 32 == 0)
            turn(b);
    }
    UNTIL(b->told[BOTLINK_EV_BROKEN] == 2);
    snprintf(why, sizeof(why), "127.0.0.1:%u: it does not read what it is told", b->peer.port);
    assert_string_equal(b->text, why);
    b->peer.deaf = false;
    peer_hang(&b->peer);
    end(b);
}

/* ---- Twilio's request ------------------------------------------------------------------------ */

/* Sends it, and waits until `want` is in the reply. */
static void ask(struct bed *b, const char *request, const char *want, char *reply, size_t cap)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(botlinks_rest_port(b->links))};
    size_t n = 0, len = strlen(request);
    uint64_t until = test_ms() + 10000;
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(write(fd, request, len), len);
    memset(reply, 0, cap);
    while (!strstr(reply, want)) {
        ssize_t got = recv(fd, reply + n, cap - 1 - n, MSG_DONTWAIT);
        n += got > 0 ? (size_t)got : 0;
        if (test_ms() >= until)
            fail_msg("waited for %s, got %s", want, reply);
        turn(b);
    }
    close(fd);
}

/* Sends it, and returns the status of the reply. */
static unsigned post(struct bed *b, const char *sid, const char *token, const char *form)
{
    char request[1024], auth[128], reply[2048];
    struct buf a;
    snprintf(request, sizeof(request), "%s:%s", b->account, token);
    buf_init(&a, auth, sizeof(auth) - 1);
    base64_put(&a, (const uint8_t *)request, strlen(request));
    auth[a.n] = '\0';
    snprintf(request, sizeof(request),
             "POST /2010-04-01/Accounts/%s/Calls/%s.json HTTP/1.1\r\nHost: x\r\n"
             "Authorization: Basic %s\r\nConnection: close\r\n"
             "Content-Type: application/x-www-form-urlencoded\r\n"
             "Content-Length: %zu\r\n\r\n%s",
             b->account, sid, auth, strlen(form), form);
    ask(b, request, "\r\n\r\n", reply, sizeof(reply));
    unsigned status = 0;
    assert_int_equal(sscanf(reply, "HTTP/1.%*u %u", &status), 1);
    return status;
}

/* What the server itself could not read is refused in the form of all errors. */
static void test_requests_that_cannot_be_read(void **state)
{
    char request[1024], reply[2048];
    ask(*state, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "\"status\":411}", reply, sizeof(reply));
    assert_non_null(strstr(reply, "{\"code\":20001,\"message\":\""));
    snprintf(request, sizeof(request), "GET /%0600d HTTP/1.1\r\nHost: x\r\n\r\n", 0);
    ask(*state, request, "\"status\":413}", reply, sizeof(reply));
    assert_non_null(strstr(reply, "{\"code\":20001,\"message\":\""));
}

static void test_a_call_is_ended_and_moved(void **state)
{
    struct bed *b = *state;
    begin(b);
    assert_int_equal(post(b, b->call, "wrong", "Status=completed"), 401);
    assert_int_equal(post(b, "CA00000000000000000000000000000000", TOKEN, "Status=completed"), 404);
    assert_int_equal(post(b, b->call, TOKEN, "Url=http://x"), 400);
    assert_int_equal(post(b, b->call, TOKEN, ""), 400);
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

/* However often it asks, the end is told once; to hand over is bounded as it is for others. */
static void test_requests_are_bounded(void **state)
{
    static const char dial[] = "Twiml=%3CResponse%3E%3CDial%3E1428%3C/Dial%3E%3C/Response%3E";
    struct bed *b = *state;
    begin(b);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(post(b, b->call, TOKEN, dial), 200);
    assert_int_equal(post(b, b->call, TOKEN, dial), 429);
    UNTIL(b->told[BOTLINK_EV_TRANSFER] == 16);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(post(b, b->call, TOKEN, "Status=completed"), 200);
    assert_int_equal(post(b, b->call, TOKEN, dial), 404);
    peer_bye(&b->peer, 1000);
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_TRANSFER], 16);
    assert_int_equal(b->told[BOTLINK_EV_HANGUP], 1);
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
        CASE(test_marks_that_come_due_at_once),
        CASE(test_what_is_of_another_stream_is_not_heard),
        CASE(test_a_bot_that_floods),
        CASE(test_what_it_does_wrong),
        CASE(test_a_message_that_is_too_long),
        CASE(test_the_caller_interrupts),
        CASE(test_the_bot_talks_on),
        CASE(test_nobody_there),
        CASE(test_no_websocket_at_the_url),
        CASE(test_requests_are_bounded),
        CASE(test_urls_that_are_none),
        CASE(test_what_is_no_answer),
        CASE(test_what_is_no_message),
        CASE(test_one_that_never_answers),
        CASE(test_closed_before_it_is_open),
        CASE(test_the_bot_says_good_bye),
        CASE(test_a_good_bye_without_a_code),
        CASE(test_what_is_said_before_the_start),
        CASE(test_the_connection_breaks),
        CASE(test_why_it_breaks),
        CASE(test_a_call_is_ended_and_moved),
        CASE(test_requests_that_cannot_be_read),
        CASE(test_connections_are_bounded),
        CASE(test_no_websocket_where_bots_ask),
        CASE(test_notes_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
