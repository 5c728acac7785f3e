/* WebSocket frames as RFC 6455 shows them in section 5.7, and streams of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "wire/ws/ws.h"

static char mem[256];

static struct ws_reader reader(size_t cap)
{
    struct ws_reader r = {.opcode = 0};
    buf_init(&r.msg, mem, cap);
    return r;
}

#define FRAME(bytes) (const uint8_t *)(bytes), sizeof(bytes) - 1

static void the_examples_of_the_rfc(void **state)
{
    (void)state;
    struct ws_reader r = reader(sizeof(mem));
    struct ws_item i = ws_next(&r, FRAME("\x81\x05Hello"));
    assert_int_equal(i.kind, WS_MESSAGE);
    assert_int_equal(i.used, 7);
    assert_int_equal(i.opcode, WS_TEXT);
    assert_true(str_eq(buf_str(&r.msg), STR("Hello")));
    i = ws_next(&r, FRAME("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"));
    assert_int_equal(i.kind, WS_MESSAGE);
    assert_true(str_eq(buf_str(&r.msg), STR("Hello")));
    /* In two parts, with a ping between them. */
    assert_int_equal(ws_next(&r, FRAME("\x01\x03Hel")).kind, WS_PART);
    i = ws_next(&r, FRAME("\x89\x05Hello"));
    assert_int_equal(i.kind, WS_CONTROL);
    assert_int_equal(i.used, 7);
    i = ws_next(&r, FRAME("\x80\x02lo"));
    assert_int_equal(i.kind, WS_MESSAGE);
    assert_int_equal(i.opcode, WS_TEXT);
    assert_true(str_eq(buf_str(&r.msg), STR("Hello")));
    /* The next one begins anew. */
    i = ws_next(&r, FRAME("\x82\x7E\x00\x03xyz"));
    assert_int_equal(i.kind, WS_MESSAGE);
    assert_int_equal(i.opcode, WS_BINARY);
    assert_int_equal(i.used, 7);
    assert_true(str_eq(buf_str(&r.msg), STR("xyz")));
    i = ws_next(&r, FRAME("\x82\x7F\0\0\0\0\0\0\0\x03xyz"));
    assert_int_equal(i.used, 13);
    assert_int_equal(i.kind, WS_MESSAGE);
}

static void an_empty_message(void **state)
{
    (void)state;
    struct ws_reader r = {.opcode = 0}; /* asks for no memory */
    assert_int_equal(ws_next(&r, FRAME("\x81\x80\1\2\3\4")).kind, WS_MESSAGE);
    assert_int_equal(r.msg.n, 0);
}

static void a_frame_is_waited_for(void **state)
{
    (void)state;
    static const char frame[] = "\x81\xFE\x00\x03\x01\x02\x03\x04"
                                "abc";
    struct ws_reader r = reader(sizeof(mem));
    for (size_t n = 0; n < sizeof(frame) - 1; n++)
        assert_int_equal(ws_next(&r, (const uint8_t *)frame, n).kind, WS_MORE);
    assert_int_equal(ws_next(&r, FRAME(frame)).kind, WS_MESSAGE);
}

static void what_may_not_be_is_bad(void **state)
{
    (void)state;
    struct ws_reader r = reader(sizeof(mem));
    assert_int_equal(ws_next(&r, FRAME("\x83\x01x")).kind, WS_BAD); /* reserved */
    assert_int_equal(ws_next(&r, FRAME("\x8B\x01x")).kind, WS_BAD);
    assert_int_equal(ws_next(&r, FRAME("\xA1\x01x")).kind, WS_BAD); /* an unknown extension */
    assert_int_equal(ws_next(&r, FRAME("\x09\x01x")).kind, WS_BAD); /* a ping in parts */
    assert_int_equal(ws_next(&r, FRAME("\x89\x7E\x00\x80")).kind, WS_BAD);
    assert_int_equal(ws_next(&r, FRAME("\x80\x01x")).kind, WS_BAD); /* continues nothing */
    assert_int_equal(ws_next(&r, FRAME("\x81\x7F\x80\0\0\0\0\0\0\0")).kind, WS_BAD);
    assert_int_equal(ws_next(&r, FRAME("\x01\x01x")).kind, WS_PART);
    assert_int_equal(ws_next(&r, FRAME("\x81\x01x")).kind, WS_BAD); /* in the middle of another */
    ws_lose(&r);
    assert_int_equal(ws_next(&r, FRAME("\x81\x01x")).kind, WS_MESSAGE);
}

static void room_is_asked_for(void **state)
{
    (void)state;
    struct ws_reader r = reader(4);
    assert_int_equal(ws_next(&r, FRAME("\x01\x03"
                                       "abc"))
                         .kind,
                     WS_PART);
    struct ws_item i = ws_next(&r, FRAME("\x80\x03")); /* before the payload has come */
    assert_int_equal(i.kind, WS_ROOM);
    assert_int_equal(i.room, 6);
    assert_int_equal(i.used, 0);
    r.msg.cap = 6;
    assert_int_equal(ws_next(&r, FRAME("\x80\x03"
                                       "def"))
                         .kind,
                     WS_MESSAGE);
    assert_true(str_eq(buf_str(&r.msg), STR("abcdef")));
    /* A length that lies costs nothing. */
    i = ws_next(&r, FRAME("\x82\x7F\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"));
    assert_int_equal(i.kind, WS_ROOM);
    assert_true(i.room == 0x7FFFFFFFFFFFFFFF);
}

static void compressed_messages_are_told(void **state)
{
    (void)state;
    struct ws_reader r = reader(sizeof(mem));
    struct ws_item i = ws_next(&r, FRAME("\xC1\x03"
                                         "abc"));
    assert_int_equal(i.kind, WS_MESSAGE);
    assert_true(i.packed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc), cmocka_unit_test(a_frame_is_waited_for),
        cmocka_unit_test(an_empty_message),        cmocka_unit_test(what_may_not_be_is_bad),
        cmocka_unit_test(room_is_asked_for),       cmocka_unit_test(compressed_messages_are_told),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
