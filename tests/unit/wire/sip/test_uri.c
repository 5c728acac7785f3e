#include "sip_test.h"

static void test_parts(void **state)
{
    struct sip_uri u = uri("sip:alice:secretword@atlanta.com:5070;transport=TCP;lr;x=%41?a=b&c=d");
    assert_int_equal(u.scheme, SIP_SCHEME_SIP);
    assert_str(u.user, "alice");
    assert_str(u.password, "secretword");
    assert_str(u.host, "atlanta.com");
    assert_int_equal(u.port, 5070);
    assert_str(u.params, "transport=TCP;lr;x=%41");
    assert_str(u.headers, "a=b&c=d");
    assert_str(u.transport, "TCP");
    assert_true(u.lr);
    u = uri("SIPS:biloxi.com");
    assert_int_equal(u.scheme, SIP_SCHEME_SIPS);
    assert_none(u.user);
    assert_none(u.params);
    assert_int_equal(sip_uri_port(&u), 5061);
    u = uri("sip:[2001:db8::9:1]:5060;maddr=10.0.0.1;user=phone;method=INVITE");
    assert_str(u.host, "[2001:db8::9:1]");
    assert_str(u.maddr, "10.0.0.1");
    assert_str(u.user_param, "phone");
    assert_str(u.method_param, "INVITE");
    u = uri("sip:*8@pbx.test");
    assert_str(u.user, "*8");
    u = uri("sip:09#12@pbx.test;%6cr");
    assert_str(u.user, "09#12");
    assert_true(u.lr);
    u = uri("sip:a;b?c/d@h");
    assert_str(u.user, "a;b?c/d");
    u = uri("tel:+1-212-555-0101;phone-context=x");
    assert_int_equal(u.scheme, SIP_SCHEME_TEL);
    assert_str(u.user, "+1-212-555-0101");
    assert_str(u.params, "phone-context=x");
    u = uri("urn:service:sos");
    assert_int_equal(u.scheme, SIP_SCHEME_OTHER);
    assert_str(u.scheme_text, "urn");
    u = uri("sip:host;transport=ws");
    assert_int_equal(sip_uri_port(&u), 5060);
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "sip",
        "sip:",
        "sip:@host",
        "sip:bob@",
        "sip:bob@biloxi.com/TCP",
        "sip:2001:db8::10",
        "sip:a@h:",
        "sip:a@h:0",
        "sip:a@h:65536",
        "sip:a@h:50x",
        "sip:a@h;",
        "sip:a@h;;lr",
        "sip:a b@h",
        "sip:a@h;x=y z",
        "sip:a%4@h",
        "sip:a%zz@h",
        "sip:a@h;%4",
        "sip:a@[::1",
        "sip:a@[]",
        "sip:a@[host]",
        "sip:a@h?<x",
        "<sip:a@h>",
        ":x",
        "1a:x",
        "tel:",
        "tel:+",
        "tel:x y",
        "http:",
        "http:a b",
        "sip:a@h\r\n",
        "sip:a\"b@h",
        "sip:a@b@c",
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        bad_uri(bad[i]);
    struct sip_uri u = uri("sip:keep@me");
    assert_int_equal(sip_uri_parse(&u, STR("sip:")), -EINVAL);
    assert_str(u.user, "keep");
    assert_true(sip_uri_parse(&u, str_of("sip:a\0@h", 8)) < 0);
}

struct pair {
    const char *a, *b;
};

/* The examples of RFC 3261 19.1.4, then ours. */
static void test_equal(void **state)
{
    static const struct pair same[] = {
        {"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"},
        {"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"},
        {"sip:carol@chicago.com", "sip:carol@chicago.com;security=on"},
        {"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"},
        {"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
         "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"},
        {"sip:alice@atlanta.com?subject=project%20x&priority=urgent",
         "sip:alice@atlanta.com?priority=urgent&subject=project%20x"},
        {"sip:a@[2001:DB8::1]", "sip:a@[2001:db8:0::1]"},
        {"tel:+1-212-555-0101", "tel:+12125550101"},
        {"tel:+1;phone-context=A", "TEL:+1;phone-context=a"},
        {"sip:a@h;%6cr", "sip:a@h;lr"},
    };
    static const struct pair differ[] = {
        {"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"},
        {"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"},
        {"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"},
        {"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"},
        {"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"},
        {"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"},
        {"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"},
        {"sip:a@h", "sips:a@h"},
        {"sip:a@h", "sip:a:pw@h"},
        {"sip:a@h", "sip:h"},
        {"sip:a@h", "sip:a@h;user=phone"},
        {"sip:a@h", "sip:a@h;ttl=1"},
        {"sip:a@h", "sip:a@h;maddr=h"},
        {"sip:a@h", "sip:a@h;method=INVITE"},
        /* Escaping a reserved character makes another URI. */
        {"sip:a%3Bb@h", "sip:a;b@h"},
        {"sip:a%00@h", "sip:a%00%00@h"},
        {"tel:+1", "tel:+1;ext=2"},
        {"http://a", "http://b"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(same); i++) {
        struct sip_uri a = uri(same[i].a), b = uri(same[i].b);
        if (!sip_uri_eq(&a, &b) || !sip_uri_eq(&b, &a))
            fail_msg("should be the same: %s and %s", same[i].a, same[i].b);
    }
    for (unsigned i = 0; i < ARRAY_LEN(differ); i++) {
        struct sip_uri a = uri(differ[i].a), b = uri(differ[i].b);
        if (sip_uri_eq(&a, &b) || sip_uri_eq(&b, &a))
            fail_msg("should differ: %s and %s", differ[i].a, differ[i].b);
    }
}

/* A peer cannot make the comparison expensive. */
static void test_equal_bounded(void **state)
{
    static char a[60000], b[60000];
    struct buf x, y;
    buf_init(&x, a, sizeof(a));
    buf_init(&y, b, sizeof(b));
    buf_z(&x, "sip:h");
    buf_z(&y, "sip:h");
    for (unsigned i = 0; i < 7000; i++) {
        buf_printf(&x, ";p%u", i);
        buf_printf(&y, ";p%u", 7000 - i);
    }
    struct sip_uri u, v;
    assert_int_equal(sip_uri_parse(&u, buf_str(&x)), 0);
    assert_int_equal(sip_uri_parse(&v, buf_str(&y)), 0);
    assert_false(sip_uri_eq(&u, &v));
    assert_true(sip_uri_eq(&u, &u));
}

static void aor_is(const char *from, const char *want)
{
    char mem[128];
    struct buf b;
    struct sip_uri u = uri(from);
    buf_init(&b, mem, sizeof(mem));
    sip_uri_aor(&b, &u);
    assert_str(buf_str(&b), want);
}

static void test_aor(void **state)
{
    aor_is("sip:%61lice:pw@Atlanta.COM:5070;transport=tcp?x=y", "sip:alice@atlanta.com");
    aor_is("SIPS:Bob@H", "sips:Bob@h");
    aor_is("sip:u%3Bp@h", "sip:u;p@h");
    aor_is("sip:h", "sip:h");
    aor_is("tel:+1-(212)-5", "tel:+12125");
    aor_is("urn:service:sos", "urn:service:sos");
}

static void test_escape(void **state)
{
    char mem[128];
    struct buf b;
    struct arena a;
    arena_init(&a, 0);
    buf_init(&b, mem, sizeof(mem));
    sip_escape_user(&b, str_of("*8 a@b#%\0\xED", 10));
    assert_str(buf_str(&b), "*8%20a%40b%23%25%00%ED");
    struct str back = sip_unescape(&a, buf_str(&b));
    assert_true(str_eq(back, str_of("*8 a@b#%\0\xED", 10)));
    assert_none(sip_unescape(&a, STR("%4")));
    assert_none(sip_unescape(&a, STR("%zz")));
    /* No memory: no text, and no crash. */
    mem_fail_after(1);
    struct arena empty;
    arena_init(&empty, 0);
    assert_none(sip_unescape(&empty, STR("%41")));
    assert_none(sip_unquote(&empty, STR("\"a\\b\"")));
    mem_fail_after(0);
    arena_done(&empty);
    arena_done(&a);
    assert_int_equal(mem_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_equal), cmocka_unit_test(test_equal_bounded),
        cmocka_unit_test(test_aor),   cmocka_unit_test(test_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
