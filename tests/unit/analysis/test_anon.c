/* Who is who, taken out: what stays comparable, what keeps its length, what is gone. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/anon.h"
#include "wire/sip/msg.h"

static struct an_anon anon_of(uint8_t seed)
{
    struct an_anon a;
    memset(a.key, seed, sizeof(a.key));
    return a;
}

/* The text of one word, or of several, in the caller's memory. */
static const char *words(const char *text, char *mem)
{
    struct an_anon a = anon_of(1);
    strcpy(mem, text);
    an_anon_words(&a, mem, strlen(mem));
    return mem;
}

static void equal_ends_have_equal_ends(void **state)
{
    char a[64], b[64], c[64];
    (void)state;
    words("01077141436", a);
    words("821077141436", b);
    words("109Q1427", c);
    assert_int_equal(strlen(a), 11);
    assert_string_not_equal(a, "01077141436");
    assert_string_equal(a + 1, b + 2);
    assert_true(c[3] >= 'A' && c[3] <= 'Z');
    assert_string_equal(words("1427", b), c + 4);
    assert_memory_equal(words("109Q1428", b), c, 4); /* one tenant */
    assert_string_equal(words("PBX", a) + 0, a);
    /* Case is kept, and changes nothing else. */
    words("pbx", b);
    assert_int_equal(chr_lower(a[0]), b[0]);
    assert_int_equal(chr_lower(a[2]), b[2]);
}

/* Within one length, different words stay different: no call gets another's number. */
static void different_words_stay_different(void **state)
{
    char mem[64], seen[10000] = {0};
    (void)state;
    for (unsigned i = 0; i < 10000; i++) {
        char text[8];
        snprintf(text, sizeof(text), "%04u", i);
        unsigned v = (unsigned)strtoul(words(text, mem), NULL, 10);
        assert_false(seen[v]);
        seen[v] = 1;
    }
}

static void hangul_stays_hangul(void **state)
{
    char mem[64];
    (void)state;
    words("홍길동 é", mem);
    assert_int_equal(strlen(mem), strlen("홍길동 é"));
    assert_null(strstr(mem, "홍"));
    assert_true((uint8_t)mem[0] >= 0xEA && (uint8_t)mem[0] <= 0xED);
}

static void addr_of(struct addr *a, const char *text)
{
    struct an_anon anon = anon_of(1);
    assert_int_equal(addr_parse(a, str_z(text), 5060), 0);
    an_anon_addr(&anon, a);
}

static void networks_stay_networks(void **state)
{
    struct addr a, b, c;
    (void)state;
    addr_of(&a, "203.0.113.7");
    addr_of(&b, "203.0.113.8");
    addr_of(&c, "203.0.114.7");
    assert_true(addr_in_net(&a, &b, 24));
    assert_false(addr_ip_eq(&a, &b));
    assert_false(addr_in_net(&a, &c, 24));
    assert_false(addr_is_private(&a));
    addr_of(&a, "192.168.0.55");
    assert_true(addr_is_private(&a));
    addr_of(&a, "172.20.1.2");
    assert_true(addr_is_private(&a));
    addr_of(&a, "172.40.1.2");
    assert_false(addr_is_private(&a));
    addr_of(&a, "0.0.0.0");
    assert_true(addr_is_any(&a));
    addr_of(&a, "127.0.0.1");
    assert_true(addr_is_loopback(&a));
    addr_of(&a, "239.1.2.3");
    assert_int_equal(a.ip[3], 3);
}

/* In texts and in headers of packets an address becomes the same. */
static void texts_and_packets_agree(void **state)
{
    static const char *const texts[] = {"192.168.0.55", "112.222.225.104", "2001:db8::1:ff",
                                        "fe80::abcd:1", "2001:db8:0:1:2:3:4:5"};
    struct an_anon anon = anon_of(1);
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++) {
        struct addr was, now, text;
        char line[128];
        snprintf(line, sizeof(line), "x=[%s]:5060 12:30:45", texts[i]);
        an_anon_addresses(&anon, line, strlen(line));
        assert_non_null(strstr(line, "12:30:45"));
        char *end = strchr(line, ']');
        assert_int_equal((size_t)(end - line) - 3, strlen(texts[i]));
        assert_int_equal(addr_parse(&was, str_z(texts[i]), 0), 0);
        assert_int_equal(addr_parse(&text, str_of(line + 3, (size_t)(end - line) - 3), 0), 0);
        now = was;
        an_anon_addr(&anon, &now);
        assert_true(addr_ip_eq(&now, &text));
        assert_false(addr_ip_eq(&now, &was));
    }
}

static const char message[] =
    "INVITE sip:109Q1427@pbx.example.com SIP/2.0\r\n"
    "Via: SIP/2.0/UDP phone.example.com:5060;branch=z9hG4bK776;received=192.0.2.44\r\n"
    "Max-Forwards: 70\r\n"
    "From: \"Hong, Gildong\" <sip:01077141436@192.0.2.44>;tag=a1\r\n"
    "To: Reception <sip:109Q1427@pbx.example.com>\r\n"
    "Call-ID: 3749d461@192.0.2.44\r\n"
    "CSeq: 314159 INVITE\r\n"
    "Contact: <sip:01077141436@192.0.2.44:5060;transport=udp>\r\n"
    "P-Asserted-Identity: <tel:+821077141436>\r\n"
    "Refer-To: <sip:1428@pbx.example.com?Replaces=3749d461%40192.0.2.44%3Bto-tag%3Db>\r\n"
    "Authorization: Digest username=\"109Q1427\",realm=\"pbx.example.com\",nonce=\"abc\",\r\n"
    " uri=\"sip:pbx.example.com\",response=\"0123456789abcdef\",algorithm=MD5\r\n"
    "User-Agent: Phone 66.84.0.15\r\n"
    "X-Subscriber: 01077141436\r\n"
    "Subject: Hong is late\r\n"
    "Content-Type: application/sdp\r\n"
    "Content-Length: 132\r\n"
    "\r\n"
    "v=0\r\n"
    "o=hong 1234567890 1234567890 IN IP4 192.0.2.44\r\n"
    "s=Hong\r\n"
    "c=IN IP4 media.example.com\r\n"
    "t=0 0\r\n"
    "m=audio 4000 RTP/AVP 0\r\n"
    "a=sendrecv\r\n";

static void nothing_of_anybody_is_left(void **state)
{
    static const char *const gone[] = {"Hong",   "Gildong",    "01077141436", "1077141436",
                                       "1427",   "1428",       "192.0.2.44",  "example",
                                       "Recept", "0123456789", "hong",        "late"};
    static const char *const kept[] = {"INVITE sip:",
                                       " SIP/2.0\r\nVia: SIP/2.0/UDP ",
                                       ";branch=z9hG4bK776",
                                       "tag=a1",
                                       "CSeq: 314159 INVITE",
                                       "3749d461",
                                       "Phone 66.84.0.15",
                                       "algorithm=MD5",
                                       "1234567890 1234567890 IN IP4 ",
                                       "m=audio 4000 RTP/AVP 0",
                                       "a=sendrecv",
                                       "Content-Length: 132",
                                       ";transport=udp",
                                       "?Replaces=3749d461%40",
                                       "%3Bto-tag%3Db",
                                       "<tel:+"};
    struct an_anon anon = anon_of(1);
    char text[sizeof(message)];
    (void)state;
    memcpy(text, message, sizeof(text));
    an_anon_sip(&anon, text, sizeof(text) - 1);
    for (unsigned i = 0; i < ARRAY_LEN(gone); i++)
        if (strstr(text, gone[i]))
            fail_msg("%s is still there:\n%s", gone[i], text);
    for (unsigned i = 0; i < ARRAY_LEN(kept); i++)
        if (!strstr(text, kept[i]))
            fail_msg("%s has gone:\n%s", kept[i], text);
    static struct sip_msg m;
    assert_int_equal(sip_msg_parse(&m, text, sizeof(text) - 1, false), SIP_OK);
    /* The same is the same everywhere. */
    assert_true(str_eq(m.from.uri.user, m.contact.uri.user));
    assert_true(str_eq(m.ruri.user, m.to.uri.user));
    assert_true(str_eq(m.ruri.host, m.to.uri.host));
    assert_true(str_eq(m.from.uri.host, m.via.received));
    struct str caller = m.from.uri.user, unknown = sip_msg_get_name(&m, STR("X-Subscriber"));
    assert_true(str_eq(caller, unknown));
}

static void codes_and_nobody_are_kept(void **state)
{
    struct an_anon anon = anon_of(1);
    char text[] = "INVITE sip:*8@192.0.2.1 SIP/2.0\r\nFrom: <sip:anonymous@anonymous.invalid>\r\n"
                  "To: <sip:**1427@192.0.2.1>\r\nContact: *\r\n"
                  "X: <sip:*81427@192.0.2.1>, <sip:%2A81427@192.0.2.1>\r\n\r\n";
    char number[64];
    (void)state;
    an_anon_sip(&anon, text, sizeof(text) - 1);
    assert_non_null(strstr(text, "sip:*8@"));
    assert_non_null(strstr(text, "<sip:anonymous@anonymous.invalid>"));
    char *code = strstr(text, "sip:**");
    assert_non_null(code);
    assert_memory_equal(code + 6, words("1427", number), 4);
    code = strstr(text, "<sip:*8");
    assert_non_null(code);
    assert_memory_equal(code + 7, number, 4);
    code = strstr(text, "<sip:%2A8");
    assert_non_null(code);
    assert_memory_equal(code + 9, number, 4);
}

static void what_was_written_and_pressed_is_gone(void **state)
{
    struct an_anon anon = anon_of(1);
    char text[] = "MESSAGE sip:1@192.0.2.1 SIP/2.0\r\nContent-Type: text/plain\r\n\r\nCall Bob\r\n";
    char keys[] = "INFO sip:1@192.0.2.1 SIP/2.0\r\nContent-Type: application/dtmf-relay\r\n\r\n"
                  "Signal=7\r\nDuration=160\r\n";
    (void)state;
    an_anon_sip(&anon, text, sizeof(text) - 1);
    an_anon_sip(&anon, keys, sizeof(keys) - 1);
    assert_null(strstr(text, "Bob"));
    assert_null(strstr(keys, "=7\r"));
}

static void sound_and_names_in_packets_are_gone(void **state)
{
    struct an_anon anon = anon_of(1);
    uint8_t rtp[] = {0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4, 10, 20, 30, 40};
    uint8_t sdes[] = {0x81, 202, 0,   4,   1,   2,   3,   4,   1, 8,
                      'b',  'o', 'b', '@', 'h', 'o', 's', 't', 0, 0};
    (void)state;
    an_anon_rtp(rtp, sizeof(rtp), 0xFF);
    assert_int_equal(rtp[11], 4);
    assert_int_equal(rtp[12], 0xFF);
    assert_int_equal(rtp[15], 0xFF);
    an_anon_rtcp(&anon, sdes, sizeof(sdes));
    assert_memory_not_equal(sdes + 10, "bob", 3);
    assert_int_equal(sdes[13], '@');
    assert_int_equal(sdes[7], 4);
}

/* Whatever comes is changed within its bounds (the sanitizers look). */
static void odd_texts_do_no_harm(void **state)
{
    struct an_anon anon = anon_of(1);
    (void)state;
    for (size_t n = 0; n < sizeof(message); n++) {
        char *text = malloc(n + 1);
        memcpy(text, message, n);
        an_anon_sip(&anon, text, n);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(text[i] ^ (i % 7 ? 0 : 0x91));
        an_anon_sip(&anon, text, n);
        an_anon_rtcp(&anon, (uint8_t *)text, n);
        an_anon_rtp((uint8_t *)text, n, 0);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_ends_have_equal_ends),
        cmocka_unit_test(different_words_stay_different),
        cmocka_unit_test(hangul_stays_hangul),
        cmocka_unit_test(networks_stay_networks),
        cmocka_unit_test(texts_and_packets_agree),
        cmocka_unit_test(nothing_of_anybody_is_left),
        cmocka_unit_test(codes_and_nobody_are_kept),
        cmocka_unit_test(what_was_written_and_pressed_is_gone),
        cmocka_unit_test(sound_and_names_in_packets_are_gone),
        cmocka_unit_test(odd_texts_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
