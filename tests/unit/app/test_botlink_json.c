/* Bots that are told in JSON and speak in binary messages. */
#define FIRST 28710
#include "bot_bed.h"

/* ms of a tone, as one message. */
static void speak(struct bed *b, unsigned ms)
{
    size_t n = (size_t)ms * b->rate_hz / 1000;
    char *mem = malloc(n * 2);
    for (size_t i = 0; i < n; i++) {
        int16_t v = i % (b->rate_hz / 1000) < b->rate_hz / 2000 ? 8000 : -8000;
        mem[2 * i] = (char)(v & 0xFF);
        mem[2 * i + 1] = (char)((uint16_t)v >> 8);
    }
    peer_send(&b->peer, WS_BINARY, mem, n * 2);
    free(mem);
}

static void begin(struct bed *b, uint32_t rate_hz)
{
    struct media_cmd t = {.kind = MEDIA_TAP, .id = 5, .on = true};
    t.tap.link = ID;
    t.tap.rate_hz = rate_hz;
    t.tap.sound = t.tap.voice = t.tap.barge_in = true;
    order(b, t);
    b->protocol = BOTLINK_JSON;
    b->rate_hz = rate_hz;
    bot_open(b);
    UNTIL(b->told[BOTLINK_EV_OPENED]);
    tell(b, BOTLINK_START, 0);
    UNTIL(b->peer.binaries > 2);
}

static void test_what_it_is_told(void **state)
{
    struct bed *b = *state;
    begin(b, 8000);
    assert_non_null(strstr(b->peer.request, "uthorization: Bearer " TOKEN "\r\n"));
    assert_int_equal(strncmp(b->peer.text,
                             "{\"type\":\"start\",\"version\":1,"
                             "\"call\":\"0102030405060708090a0b0c0d0e0f10\","
                             "\"encoding\":\"pcm_s16le\",\"rate\":8000,\"channels\":1,"
                             "\"frame_ms\":20,\"bot\":\"agent\",\"from\":\"01077141436\","
                             "\"to\":\"1427\",\"reason\":\"no_answer\",\"call_id\":\"x@y\","
                             "\"resumed\":false}\n",
                             strlen(b->peer.text)),
                     0);
    assert_int_equal(b->peer.binary_n, 320);
    assert_in_range(b->peer.binary_most, 0, 8);
    b->speaks = true;
    UNTIL(b->peer.binary_most > 1000);
    tell(b, BOTLINK_DIGIT, '#');
    UNTIL(peer_heard(&b->peer, "{\"type\":\"dtmf\",\"digit\":\"#\"}"));
    tell(b, BOTLINK_CLOSE, 0);
    UNTIL(b->peer.close_code == 1000);
    assert_int_equal(peer_heard(&b->peer, "{\"type\":\"stop\"}"), 1);
    UNTIL(b->told[BOTLINK_EV_CLOSED]);
    assert_int_equal(b->figures.errors, 0);
}

/* In both rates: so long as it said, and marks come back; clear stops it. */
static void heard(struct bed *b, uint32_t rate_hz)
{
    begin(b, rate_hz);
    assert_int_equal(b->peer.binary_n, rate_hz / 25);
    unsigned before = b->loud;
    speak(b, 400);
    peer_say(&b->peer, "{\"type\":\"mark\",\"name\":\"one\"}");
    UNTIL(peer_heard(&b->peer, "{\"type\":\"mark\",\"name\":\"one\"}"));
    UNTIL(b->loud - before >= 19);
    unsigned heard = b->heard;
    UNTIL(b->heard > heard + 5);
    assert_in_range(b->loud - before, 19, 21);
    assert_int_equal(b->told[BOTLINK_EV_SOUND], 1);
    speak(b, 20000);
    peer_say(&b->peer, "{\"type\":\"mark\",\"name\":\"two\"}");
    before = b->loud;
    UNTIL(b->loud > before + 5);
    peer_say(&b->peer, "{\"type\":\"clear\"}");
    UNTIL(peer_heard(&b->peer, "{\"type\":\"mark\",\"name\":\"two\"}"));
    heard = b->heard, before = b->loud;
    UNTIL(b->heard > heard + 10);
    assert_in_range(b->loud, before, before + 3);
    end(b);
    assert_int_equal(b->figures.errors, 0);
    assert_in_range(b->figures.queue_most_ms, 10000, 20000);
}

static void test_it_is_heard(void **state)
{
    heard(*state, 8000);
}

static void test_it_is_heard_at_16_khz(void **state)
{
    heard(*state, 16000);
}

/* Who is talked over is told at once what was not heard. */
static void test_the_caller_interrupts(void **state)
{
    struct bed *b = *state;
    begin(b, 8000);
    unsigned loud = b->loud;
    speak(b, 20000);
    peer_say(&b->peer, "{\"type\":\"mark\",\"name\":\"end\"}");
    UNTIL(b->loud > loud + 10);
    b->speaks = true;
    UNTIL(peer_heard(&b->peer, "{\"type\":\"mark\",\"name\":\"end\"}"));
    UNTIL(peer_heard(&b->peer, "{\"type\":\"clear\"}"));
    assert_int_equal(peer_heard(&b->peer, "{\"type\":\"clear\"}"), 1);
    end(b);
}

static void test_what_it_wants(void **state)
{
    static const char *const to[] = {"1428", "sales-1", "030-1234", "tel:+4989", "sip:1428"};
    struct bed *b = *state;
    begin(b, 8000);
    peer_say(&b->peer, "{\"type\":\"note\",\"text\":\"hello\"}");
    UNTIL(b->told[BOTLINK_EV_NOTE]);
    assert_string_equal(b->text, "hello");
    for (unsigned i = 0; i < ARRAY_LEN(to); i++) {
        char text[64];
        snprintf(text, sizeof(text), "{\"type\":\"transfer\",\"to\":\"%s\"}", to[i]);
        peer_say(&b->peer, text);
        UNTIL(b->told[BOTLINK_EV_TRANSFER] == i + 1);
        assert_string_equal(b->text, to[i]);
    }
    peer_say(&b->peer, "{\"type\":\"something else\"}");
    peer_say(&b->peer, "{\"type\":\"mark\"}");
    peer_say(&b->peer, "no JSON");
    peer_send(&b->peer, WS_BINARY, "odd", 3);
    for (unsigned i = 0; i < 100; i++)
        peer_say(&b->peer, "{\"type\":\"transfer\",\"to\":\"1428\"}");
    peer_say(&b->peer, "{\"type\":\"hangup\"}");
    UNTIL(b->told[BOTLINK_EV_HANGUP]);
    peer_say(&b->peer, "{\"type\":\"hangup\"}");
    peer_bye(&b->peer, 1000);
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_HANGUP], 1);
    assert_int_equal(b->told[BOTLINK_EV_LOST], 0);
    assert_int_equal(b->told[BOTLINK_EV_TRANSFER], 16);
    assert_int_equal(b->figures.errors, 3 + ARRAY_LEN(to) + 100 - 16);
}

/* Each mistake is a line of the transcript, once; nothing at all is none. */
static void test_what_it_does_wrong(void **state)
{
    static const struct {
        const char *message, *line;
    } all[] = {
        {"no JSON", "sent text that is not a JSON object"},
        {"{\"type\":\"transfer\"}", "sent `transfer` without `to`"},
        {"{\"type\":\"mark\"}", "sent `mark` without `name`"},
        {"{\"type\":\"note\",\"text\":1}", "sent `note` without `text`"},
        {"{}", "sent a message without `type`"},
        {"{\"type\":\"transfer\",\"to\":\"1003@@\"}",
         "sent `transfer` to what is neither a number nor a SIP URI"},
    };
    static const char *const nobody[] = {"sip:", "abc def", " ", "sips:", "1 2", "<sip:1@x>"};
    struct bed *b = *state;
    begin(b, 8000);
    peer_send(&b->peer, WS_BINARY, "", 0);
    for (unsigned i = 0; i < 6; i++) {
        peer_say(&b->peer, all[i].message);
        UNTIL(b->told[BOTLINK_EV_NOTE] == i + 1);
        assert_string_equal(b->text, all[i].line);
    }
    peer_send(&b->peer, WS_BINARY, "odd", 3);
    UNTIL(b->told[BOTLINK_EV_NOTE] == 7);
    assert_string_equal(b->text, "sent sound that ended within a sample");
    for (unsigned i = 0; i < 6; i++)
        peer_say(&b->peer, all[i].message);
    for (unsigned i = 0; i < ARRAY_LEN(nobody); i++) {
        char text[64];
        snprintf(text, sizeof(text), "{\"type\":\"transfer\",\"to\":\"%s\"}", nobody[i]);
        peer_say(&b->peer, text);
    }
    peer_send(&b->peer, WS_BINARY, "odd", 3);
    peer_say(&b->peer, "{\"type\":\"mark\",\"name\":\"end\"}");
    UNTIL(peer_heard(&b->peer, "\"name\":\"end\""));
    end(b);
    assert_int_equal(b->told[BOTLINK_EV_NOTE], 7);
    assert_int_equal(b->told[BOTLINK_EV_TRANSFER], 0);
    assert_int_equal(b->figures.errors, 14 + ARRAY_LEN(nobody));
}

/* Who still speaks when the call leaves it has what we have not read yet under way: a connection
 * closed before its answer would be reset, and `stop` be lost with it (RFC 6455 section 7.1.1). */
static void test_the_close_is_answered(void **state)
{
    struct bed *b = *state;
    begin(b, 8000);
    b->peer.rude = true;
    speak(b, 1000);
    tell(b, BOTLINK_CLOSE, 0);
    UNTIL(b->peer.close_code);
    for (unsigned i = 0; i < 20; i++) {
        speak(b, 20);
        turn(b);
    }
    assert_int_equal(peer_heard(&b->peer, "{\"type\":\"stop\"}"), 1);
    assert_int_equal(b->peer.close_code, 1000);
    assert_false(b->peer.gone);
    assert_int_equal(b->told[BOTLINK_EV_CLOSED], 0);
    peer_bye(&b->peer, 1000);
    UNTIL(b->told[BOTLINK_EV_CLOSED]);
}

/* What finds room is heard, and a mark waits for that. */
static void test_a_message_that_is_too_long(void **state)
{
    struct bed *b = *state;
    begin(b, 8000);
    unsigned loud = b->loud;
    speak(b, 70000);
    peer_say(&b->peer, "{\"type\":\"mark\",\"name\":\"end\"}");
    UNTIL(b->told[BOTLINK_EV_NOTE]);
    assert_string_equal(b->text, "sent more sound than may wait");
    UNTIL(b->loud > loud + 20);
    assert_int_equal(peer_heard(&b->peer, "\"name\":\"end\""), 0);
    end(b);
    assert_int_equal(b->figures.errors, 1);
}

/* What the old connection left in the plane does not keep the places of the new one's marks. */
static void test_marks_of_the_new_connection(void **state)
{
    struct bed *b = *state;
    char text[64];
    begin(b, 8000);
    unsigned loud = b->loud;
    speak(b, 20000);
    for (unsigned i = 0; i < 64; i++) {
        snprintf(text, sizeof(text), "{\"type\":\"mark\",\"name\":\"old %u\"}", i);
        peer_say(&b->peer, text);
    }
    UNTIL(b->loud > loud + 10);
    peer_hang(&b->peer);
    UNTIL(b->peer.connections == 2 && peer_heard(&b->peer, "\"resumed\":true}") == 1);
    speak(b, 100);
    peer_say(&b->peer, "{\"type\":\"mark\",\"name\":\"new\"}");
    UNTIL(peer_heard(&b->peer, "\"name\":\"new\""));
    assert_int_equal(peer_heard(&b->peer, "\"name\":\"old"), 0);
    end(b);
}

static void test_the_connection_breaks(void **state)
{
    struct bed *b = *state;
    begin(b, 8000);
    peer_hang(&b->peer);
    UNTIL(b->peer.connections == 2 && peer_heard(&b->peer, "\"resumed\":true}") == 1);
    end(b);
    assert_int_equal(b->figures.reconnects, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_what_it_is_told),
        CASE(test_it_is_heard),
        CASE(test_it_is_heard_at_16_khz),
        CASE(test_the_caller_interrupts),
        CASE(test_what_it_wants),
        CASE(test_the_connection_breaks),
        CASE(test_what_it_does_wrong),
        CASE(test_marks_of_the_new_connection),
        CASE(test_a_message_that_is_too_long),
        CASE(test_the_close_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
