#include "sip_test.h"
#include "wire/sip/multipart.h"

#define TYPE "multipart/mixed;boundary=\"b1\""

static unsigned count(const char *type, const char *body)
{
    struct sip_multipart it;
    struct sip_part part;
    unsigned n = 0;
    if (sip_multipart_init(&it, str_z(type), str_z(body)))
        return 99;
    while (sip_multipart_next(&it, &part))
        n++;
    assert_false(sip_multipart_next(&it, &part));
    return n;
}

static void test_parts(void **state)
{
    struct sip_multipart it;
    struct sip_part part;
    static const char body[] =
        "preamble\r\n--b1\r\ncontent-type : application/sdp\r\n"
        "Content-Disposition: session;\r\n handling=required\r\nContent-ID: <1>\r\n\r\n"
        "v=0\r\n--b1x\r\n--b1 \t\r\n\r\nno "
        "headers\r\n--b1\r\n\r\n\r\n--b1--\r\nepilogue\r\n--b1\r\n";
    assert_int_equal(
        sip_multipart_init(&it, STR("Multipart/Mixed ; x=y; Boundary=b1"), str_z(body)), 0);
    assert_true(sip_multipart_next(&it, &part));
    assert_str(part.content_type, "application/sdp");
    assert_true(str_starts(part.content_disposition, STR("session;")));
    assert_str(part.content_id, "<1>");
    assert_str(part.body, "v=0\r\n--b1x");
    assert_true(sip_multipart_next(&it, &part));
    assert_str(part.body, "no headers");
    assert_none(part.content_type);
    assert_str(part.headers, "");
    assert_true(sip_multipart_next(&it, &part));
    assert_str(part.body, "");
    assert_false(sip_multipart_next(&it, &part));
}

static void test_edges(void **state)
{
    assert_int_equal(count("text/plain", "--b1\r\n\r\na\r\n--b1--"), 99);
    assert_int_equal(count("multipart/mixed", ""), 99);
    assert_int_equal(count("multipart/mixed;boundary=\"\"", ""), 99);
    assert_int_equal(count(TYPE, ""), 0);
    assert_int_equal(count(TYPE, "--b1--"), 0);
    assert_int_equal(count(TYPE, "--b1\r\n\r\nnever closed"), 0);
    assert_int_equal(count(TYPE, "--b1\r\n\r\na\r\n--b1\r\n\r\nnever closed"), 1);
    assert_int_equal(count(TYPE, "--b1\n\na\n--b1--\n"), 1);
    assert_int_equal(count(TYPE, "x--b1\r\n\r\na\r\n--b1--"), 0);
    assert_int_equal(count(TYPE, "--b1\r\n--b1--"), 1);
}

/* RFC 3959 section 7, figure 3. */
static void test_early(void **state)
{
    struct sip_msg m;
    static const char two[] =
        "SIP/2.0 183 Session Progress\r\n"
        "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
        "To: <sip:b@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
        "Content-Type: multipart/mixed;boundary=b1\r\n\r\n"
        "--b1\r\nContent-Type: application/sdp\r\n"
        "Content-Disposition: Early-Session;handling=optional\r\n\r\nearly\r\n"
        "--b1\r\nContent-Type: application/sdp\r\n"
        "Content-Disposition: session\r\n\r\nv=0\r\n--b1--\r\n";
    static const char one[] = "SIP/2.0 183 Session Progress\r\n"
                              "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
                              "To: <sip:b@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n"
                              "Content-Type: application/sdp\r\n"
                              "Content-Disposition: early-session\r\n\r\nearly";
    assert_int_equal(sip_msg_parse(&m, two, strlen(two), false), SIP_OK);
    assert_str(sip_body_find(&m, STR("application/sdp")), "v=0");
    assert_str(sip_body_early(&m, STR("application/sdp")), "early");
    assert_int_equal(sip_msg_parse(&m, one, strlen(one), false), SIP_OK);
    assert_none(sip_body_find(&m, STR("application/sdp")));
    assert_str(sip_body_early(&m, STR("application/sdp")), "early");
}

/* What is written is read again as it was, also an empty body and one that ends in a line end. */
static void test_build(void **state)
{
    char mem[400];
    struct buf b;
    struct sip_multipart it;
    struct sip_part part;
    const struct sip_part one = {.content_type = STR("application/sdp"),
                                 .content_disposition = STR("session"),
                                 .body = STR("v=0\r\n")};
    const struct sip_part two = {.content_type = STR("application/sdp"),
                                 .content_disposition = STR("early-session"),
                                 .content_id = STR("<1>")};
    buf_init(&b, mem, sizeof(mem));
    sip_multipart_put(&b, STR("b1"), &one);
    sip_multipart_put(&b, STR("b1"), &two);
    sip_multipart_end(&b, STR("b1"));
    assert_false(b.full);
    assert_int_equal(sip_multipart_init(&it, STR(TYPE), buf_str(&b)), 0);
    assert_true(sip_multipart_next(&it, &part));
    assert_str(part.content_type, "application/sdp");
    assert_str(part.content_disposition, "session");
    assert_none(part.content_id);
    assert_str(part.body, "v=0\r\n");
    assert_true(sip_multipart_next(&it, &part));
    assert_str(part.content_disposition, "early-session");
    assert_str(part.content_id, "<1>");
    assert_str(part.body, "");
    assert_false(sip_multipart_next(&it, &part));
    buf_init(&b, mem, 40);
    sip_multipart_put(&b, STR("b1"), &one);
    assert_true(b.full);
}

static void test_find(void **state)
{
    struct sip_msg m = {0};
    m.body = STR("--b1\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b1\r\nContent-Type: "
                 "multipart/alternative; "
                 "boundary=b2\r\n\r\n--b2\r\nContent-Type: "
                 "application/sdp\r\n\r\nv=0\r\n--b2--\r\n--b1--\r\n");
    m.first[SIP_H_CONTENT_TYPE] = 1;
    m.hdr[0].value = STR(TYPE);
    assert_str(sip_body_find(&m, STR("application/sdp")), "v=0");
    assert_str(sip_body_find(&m, STR("Text/Plain")), "hi");
    assert_none(sip_body_find(&m, STR("image/png")));
    m.hdr[0].value = STR("application/SDP ; charset=utf-8");
    assert_int_equal(sip_body_find(&m, STR("application/sdp")).n, m.body.n);
    m.first[SIP_H_CONTENT_TYPE] = 0;
    assert_none(sip_body_find(&m, STR("application/sdp")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts), cmocka_unit_test(test_edges), cmocka_unit_test(test_early),
        cmocka_unit_test(test_build), cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
