/* REGISTER through the whole PBX: RFC 3261 10.3 and what came after it. */
#include "unit/pbx/pbx_test.h"

#include "pbx/registrar.h"

static const char yaml[] = "sip: {domain: pbx.test, aliases: [alias.test]}\n"
                           "registrar: {max_contacts: 3}\n"
                           "limits: {registrations: 6}\n"
                           "extensions:\n"
                           "  - {number: \"1427\", username: \"109Q1427\", password: \"one\"}\n"
                           "  - {number: \"1428\", username: \"j+user\", password: \"two\"}\n"
                           "  - {number: \"1429\", password: \"three\"}\n";

static struct rig *r;
static struct rig_phone p27, p28, p29;

static void phones(void)
{
    p27 = (struct rig_phone){.flow = rig_udp("192.0.2.55:5060"),
                             .user = "109Q1427",
                             .password = "one",
                             .domain = "pbx.test",
                             .call_id = "k27@192.0.2.55"};
    p28 = p27;
    p28.flow = rig_udp("192.0.2.54:5060");
    p28.user = "j+user";
    p28.aor = "1428";
    p28.password = "two";
    p28.call_id = "k28@192.0.2.54";
    p29 = p27;
    p29.flow = rig_udp("192.0.2.56:5060");
    p29.user = "1429";
    p29.password = "three";
    p29.call_id = "k29@192.0.2.56";
}

static int begin_with(const char *text)
{
    r = rig_new(text);
    phones();
    return 0;
}

static int begin(void **state)
{
    return begin_with(yaml);
}

static int end(void **state)
{
    rig_free(r);
    return 0;
}

#define C27 "Contact: <sip:109Q1427@192.0.2.55:5060>\r\n"

static const struct config_extension *ext(const char *number)
{
    return config_find_extension(pbx_config(r->pbx), str_z(number));
}

static unsigned count_of(const char *number)
{
    const struct binding *b[16];
    return registrar_find(r->pbx, ext(number), b, 16);
}

static const struct binding *only_of(const char *number)
{
    const struct binding *b[16];
    assert_int_equal(registrar_find(r->pbx, ext(number), b, 16), 1);
    return b[0];
}

/* ---- the basic flow (S1, R1 to R4) ------------------------------------------------------------
 */

static void a_phone_registers(void **state)
{
    p27.cseq = 1;
    rig_send(r, &p27, "REGISTER", "sip:pbx.test", C27, NULL);
    assert_int_equal(rig_status(r), 401);
    assert_int_equal(r->n_rows, 0);
    assert_false(r->sent[0].after_commit);
    const struct sip_msg *m = rig_msg(r, 0);
    assert_true(
        str_istarts(sip_msg_get(m, SIP_H_WWW_AUTHENTICATE), STR("Digest realm=\"pbx.test\"")));
    p27.cseq = 2;
    rig_send(r, &p27, "REGISTER", "sip:pbx.test", C27,
             rig_credentials(r, &p27, "REGISTER", "sip:pbx.test", 1));
    assert_int_equal(rig_status(r), 200);
    assert_true(r->sent[0].after_commit);
    assert_text(rig_contact(r, 0), "<sip:109Q1427@192.0.2.55:5060>;expires=3600");
    assert_text(sip_msg_get(rig_msg(r, 0), SIP_H_DATE), "Thu, 01 Jan 2026 00:00:00 GMT");
    assert_int_equal(r->n_rows, 1);
    const struct rig_row *row = &r->row[0];
    assert_int_equal(row->statement, STORE_BINDING_PUT);
    assert_int_equal(row->n, 11);
    assert_text(row->v[0].s, "sip:109Q1427@pbx.test");
    assert_text(row->v[1].s, "sip:109Q1427@192.0.2.55:5060");
    assert_text(row->v[2].s, "k27@192.0.2.55");
    assert_int_equal(row->v[3].i, 2);
    assert_int_equal(row->v[4].i, (int64_t)(WALL_US / 1000 + 3600000));
    assert_int_equal(row->v[5].i, 1000);
    assert_int_equal(row->v[6].type, ROW_NULL);
    assert_text(row->v[7].s, "udp 0 192.0.2.55:5060");
    assert_int_equal(registrar_count(r->pbx), 1);
}

static void date_is_right_at_the_edges_of_the_calendar(void **state)
{
    static const struct {
        uint64_t s;
        const char *text;
    } dates[] = {
        {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {951868800, "Wed, 01 Mar 2000 00:00:00 GMT"},
        {1798761599, "Thu, 31 Dec 2026 23:59:59 GMT"},
        {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(dates); i++) {
        pbx_wall(r->pbx, r->now, dates[i].s * 1000000);
        assert_int_equal(rig_register(r, &p27, ""), 200);
        assert_text(sip_msg_get(rig_msg(r, 0), SIP_H_DATE), dates[i].text);
    }
}

static void a_refresh_changes_the_expiry_alone(void **state)
{
    assert_int_equal(rig_register(r, &p27, C27), 200);
    rig_wait(r, 1000 * USEC_S);
    assert_int_equal(rig_register(r, &p27, C27), 200);
    assert_text(rig_contact(r, 0), "<sip:109Q1427@192.0.2.55:5060>;expires=3600");
    assert_int_equal(registrar_count(r->pbx), 1);
    assert_int_equal(r->n_rows, 1);
    assert_int_equal(r->row[0].v[4].i, (int64_t)(WALL_US / 1000 + 4600000));
    assert_true(r->sent[0].after_commit);
}

static void a_binding_ends_on_time(void **state)
{
    assert_int_equal(rig_register(r, &p27, C27 "Expires: 60\r\n"), 200);
    rig_clear(r);
    rig_wait(r, 59900 * USEC_MS);
    assert_int_equal(count_of("1427"), 1);
    assert_int_equal(r->n_rows, 0);
    rig_wait(r, 200 * USEC_MS);
    assert_int_equal(count_of("1427"), 0);
    assert_int_equal(registrar_count(r->pbx), 0);
    assert_int_equal(r->n_rows, 1);
    assert_int_equal(r->row[0].statement, STORE_BINDING_DEL);
    assert_text(r->row[0].v[0].s, "sip:109Q1427@pbx.test");
    assert_text(r->row[0].v[1].s, "sip:109Q1427@192.0.2.55:5060");
}

/* ---- lifetimes ----------------------------------------------------------------------------------
 */

static void expires_is_negotiated(void **state)
{
    assert_int_equal(rig_register(r, &p27, C27 "Expires: 1800\r\n"), 200);
    assert_text(rig_contact(r, 0), "<sip:109Q1427@192.0.2.55:5060>;expires=1800");
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:109Q1427@192.0.2.55:5060>;expires=600\r\n"
                                  "Expires: 1800\r\n"),
                     200);
    assert_text(rig_contact(r, 0), "<sip:109Q1427@192.0.2.55:5060>;expires=600");
    assert_int_equal(rig_register(r, &p27, C27 "Expires: 999999999999\r\n"), 200);
    assert_text(rig_contact(r, 0), "<sip:109Q1427@192.0.2.55:5060>;expires=7200");
    assert_int_equal(
        rig_register(r, &p27, "Contact: <sip:109Q1427@192.0.2.55:5060>;expires=soon\r\n"), 200);
    assert_text(rig_contact(r, 0), "<sip:109Q1427@192.0.2.55:5060>;expires=3600");
}

static void too_short_is_423(void **state)
{
    assert_int_equal(rig_register(r, &p27, C27 "Expires: 59\r\n"), 423);
    assert_text(sip_msg_get(rig_msg(r, 0), SIP_H_MIN_EXPIRES), "60");
    assert_int_equal(registrar_count(r->pbx), 0);
    assert_int_equal(r->n_rows, 0);
    /* One short contact refuses the other too. */
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:a@192.0.2.55>;expires=100\r\n"
                                  "Contact: <sip:b@192.0.2.55>;expires=1\r\n"),
                     423);
    assert_int_equal(registrar_count(r->pbx), 0);
    assert_int_equal(rig_register(r, &p27, C27 "Expires: 60\r\n"), 200);
}

static void a_long_minimum_is_not_forced_on_those_who_ask_an_hour(void **state)
{
    rig_free(r);
    begin_with("sip: {domain: pbx.test, timers: {register_min: 7200, register_expires: 7200,"
               " register_max: 9000}}\n"
               "extensions: [{number: \"1429\", password: \"three\"}]\n");
    assert_int_equal(rig_register(r, &p29, "Contact: <sip:a@192.0.2.56>\r\nExpires: 3599\r\n"),
                     423);
    assert_int_equal(rig_register(r, &p29, "Contact: <sip:a@192.0.2.56>\r\nExpires: 3600\r\n"),
                     200);
    assert_text(rig_contact(r, 0), "<sip:a@192.0.2.56>;expires=3600");
}

/* ---- removal ------------------------------------------------------------------------------------
 */

static void zero_removes_one(void **state)
{
    assert_int_equal(rig_register(r, &p27, C27 "Contact: <sip:x@192.0.2.55:5062>\r\n"), 200);
    assert_int_equal(count_of("1427"), 2);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:x@192.0.2.55:5062>;expires=0\r\n"), 200);
    assert_text(rig_contact(r, 0), "<sip:109Q1427@192.0.2.55:5060>;expires=3600");
    assert_null(rig_contact(r, 1).p);
    assert_int_equal(r->n_rows, 1);
    assert_int_equal(r->row[0].statement, STORE_BINDING_DEL);
    assert_true(r->sent[0].after_commit);
    /* What is not there is removed without a word. */
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:y@192.0.2.55>;expires=0\r\n"), 200);
    assert_int_equal(r->n_rows, 0);
    assert_false(r->sent[0].after_commit);
}

static void star_removes_all_of_one_aor(void **state)
{
    assert_int_equal(rig_register(r, &p29, "Contact: <sip:1429@192.0.2.56>\r\n"), 200);
    assert_int_equal(rig_register(r, &p27, C27 "Contact: <sip:x@192.0.2.55:5062>\r\n"), 200);
    assert_int_equal(rig_register(r, &p27, "Contact: *\r\nExpires: 0\r\n"), 200);
    assert_null(rig_contact(r, 0).p);
    assert_int_equal(r->n_rows, 2);
    assert_int_equal(count_of("1427"), 0);
    assert_int_equal(count_of("1429"), 1);
}

static void star_is_only_for_removal(void **state)
{
    assert_int_equal(rig_register(r, &p27, C27), 200);
    assert_int_equal(rig_register(r, &p27, "Contact: *\r\n"), 400);
    assert_int_equal(rig_register(r, &p27, "Contact: *\r\nExpires: 60\r\n"), 400);
    assert_int_equal(count_of("1427"), 1);
}

/* ---- several contacts ---------------------------------------------------------------------------
 */

static void a_fetch_lists_all_and_changes_nothing(void **state)
{
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:a@192.0.2.55>;q=0.5, <sip:b@192.0.2.55>;q=0.25;"
                                  "+sip.instance=\"<urn:uuid:1>\";methods=\"INVITE,BYE\"\r\n"),
                     200);
    rig_wait(r, 10 * USEC_S);
    assert_int_equal(rig_register(r, &p27, ""), 200);
    assert_int_equal(r->n_rows, 0);
    assert_false(r->sent[0].after_commit);
    struct str one = rig_contact(r, 0), two = rig_contact(r, 1);
    if (str_starts(two, STR("<sip:a"))) {
        struct str swap = one;
        one = two;
        two = swap;
    }
    assert_text(one, "<sip:a@192.0.2.55>;expires=3590;q=0.500");
    assert_text(two, "<sip:b@192.0.2.55>;expires=3590;q=0.250;+sip.instance=\"<urn:uuid:1>\";"
                     "methods=\"INVITE,BYE\"");
}

static void the_best_contact_comes_first(void **state)
{
    const struct binding *b[3] = {0};
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:low@192.0.2.55>;q=0.1\r\n"), 200);
    rig_wait(r, USEC_S);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:old@192.0.2.55>\r\n"), 200);
    rig_wait(r, USEC_S);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:new@192.0.2.55>\r\n"), 200);
    assert_int_equal(registrar_find(r->pbx, ext("1427"), b, 3), 3);
    assert_text(b[0]->contact, "sip:new@192.0.2.55");
    assert_text(b[1]->contact, "sip:old@192.0.2.55");
    assert_text(b[2]->contact, "sip:low@192.0.2.55");
    assert_int_equal(registrar_find(r->pbx, ext("1427"), b, 2), 2);
    assert_text(b[1]->contact, "sip:old@192.0.2.55");
    assert_int_equal(registrar_find(r->pbx, ext("1427"), b, 0), 0);
}

static void equal_uris_are_one_contact(void **state)
{
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:%61lice@192.0.2.55;x=1>\r\n"), 200);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:alice@192.0.2.55;X=1>\r\n"), 200);
    assert_int_equal(count_of("1427"), 1);
    assert_text(rig_contact(r, 0), "<sip:alice@192.0.2.55;X=1>;expires=3600");
    /* The row has the contact as its key, so the old one goes. */
    assert_int_equal(r->n_rows, 2);
    assert_int_equal(r->row[0].statement, STORE_BINDING_DEL);
    assert_text(r->row[0].v[1].s, "sip:%61lice@192.0.2.55;x=1");
    assert_int_equal(r->row[1].statement, STORE_BINDING_PUT);
    assert_text(r->row[1].v[1].s, "sip:alice@192.0.2.55;X=1");
    /* RFC 3261 19.1.4: a port that is named differs from one that is not. */
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:alice@192.0.2.55:5060;X=1>\r\n"), 200);
    assert_int_equal(count_of("1427"), 2);
}

static void the_same_contact_twice_in_one_request(void **state)
{
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:a@192.0.2.55>;q=0.1;x=first\r\n"
                                  "Contact: <sip:a@192.0.2.55>;q=0.2;x=other\r\n"),
                     200);
    assert_int_equal(count_of("1427"), 1);
    assert_int_equal(r->n_rows, 2); /* each as it was, though the binding has changed since */
    assert_text(r->row[0].v[0].s, "sip:109Q1427@pbx.test");
    assert_text(r->row[0].v[10].s, "x=first");
    assert_text(r->row[1].v[10].s, "x=other");
    assert_int_equal(only_of("1427")->q, 200);
}

static void an_instance_that_moved_replaces_itself(void **state)
{
#define INSTANCE ";reg-id=1;+sip.instance=\"<urn:uuid:0>\""
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55:5060>" INSTANCE "\r\n"),
                     200);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55:5070>" INSTANCE "\r\n"),
                     200);
    assert_text(only_of("1427")->contact, "sip:a@192.0.2.55:5070");
    assert_text(only_of("1427")->instance, "\"<urn:uuid:0>\"");
    assert_int_equal(r->n_rows, 2);
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:a@192.0.2.55:5080>;reg-id=2;"
                                  "+sip.instance=\"<urn:uuid:0>\"\r\n"),
                     200);
    assert_int_equal(count_of("1427"), 2);
}

static void a_full_aor_refuses(void **state)
{
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:a@192.0.2.55>, <sip:b@192.0.2.55>,"
                                  " <sip:c@192.0.2.55>\r\n"),
                     200);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:d@192.0.2.55>\r\n"), 403);
    assert_int_equal(count_of("1427"), 3);
    assert_int_equal(r->n_rows, 0);
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:a@192.0.2.55>;expires=0,"
                                  " <sip:d@192.0.2.55>\r\n"),
                     200);
    assert_int_equal(count_of("1427"), 3);
}

static void a_full_aor_may_replace_the_oldest(void **state)
{
    rig_free(r);
    begin_with("sip: {domain: pbx.test}\nregistrar: {max_contacts: 2, when_full: replace}\n"
               "extensions: [{number: \"1429\", password: \"three\"}]\n");
    const char *contact[] = {"Contact: <sip:a@192.0.2.56>\r\n", "Contact: <sip:b@192.0.2.56>\r\n",
                             "Contact: <sip:c@192.0.2.56>\r\n"};
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rig_register(r, &p29, contact[i]), 200);
        rig_wait(r, USEC_S);
    }
    assert_int_equal(count_of("1429"), 2);
    const struct binding *b[2];
    registrar_find(r->pbx, ext("1429"), b, 2);
    assert_text(b[0]->contact, "sip:c@192.0.2.56");
    assert_text(b[1]->contact, "sip:b@192.0.2.56");
    assert_int_equal(rig_register(r, &p29,
                                  "Contact: <sip:x@192.0.2.56>, <sip:y@192.0.2.56>,"
                                  " <sip:z@192.0.2.56>\r\n"),
                     403);
}

static void a_full_table_is_503(void **state)
{
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:a@192.0.2.55>, <sip:b@192.0.2.55>,"
                                  " <sip:c@192.0.2.55>\r\n"),
                     200);
    assert_int_equal(rig_register(r, &p29,
                                  "Contact: <sip:a@192.0.2.56>, <sip:b@192.0.2.56>,"
                                  " <sip:c@192.0.2.56>\r\n"),
                     200);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55>;expires=0\r\n"), 200);
    assert_int_equal(rig_register(r, &p28, "Contact: <sip:a@192.0.2.54>, <sip:b@192.0.2.54>\r\n"),
                     503); /* one would fit: all or nothing */
    assert_int_equal(registrar_count(r->pbx), 5);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55>\r\n"), 200);
    assert_int_equal(rig_register(r, &p28, "Contact: <sip:a@192.0.2.54>\r\n"), 503);
    assert_true(sip_msg_has(rig_msg(r, 0), SIP_H_RETRY_AFTER));
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55>\r\n"), 200);
}

/* ---- order --------------------------------------------------------------------------------------
 */

static void a_late_request_changes_nothing(void **state)
{
    p27.cseq = 10;
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55>\r\n"), 200); /* 12 */
    p27.cseq = 4;
    /* One contact is new, the other was set by a later request: neither changes. */
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:b@192.0.2.55>\r\n"
                                  "Contact: <sip:a@192.0.2.55>;q=0.1\r\n"),
                     500);
    assert_int_equal(count_of("1427"), 1);
    assert_int_equal(only_of("1427")->q, 1000);
    assert_int_equal(r->n_rows, 0);
    p27.cseq = 6;
    assert_int_equal(rig_register(r, &p27, "Contact: *\r\nExpires: 0\r\n"), 500);
    p27.cseq = 8;
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55>;expires=0\r\n"), 500);
    assert_int_equal(count_of("1427"), 1);
    p27.cseq = 4;
    p27.call_id = "reboot@192.0.2.55"; /* another Call-ID has its own numbers */
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55>\r\n"), 200);
    assert_int_equal(only_of("1427")->cseq, 6);
    assert_text(only_of("1427")->call_id, "reboot@192.0.2.55");
}

/* ---- whose address of record
 * --------------------------------------------------------------------- */

static void to_may_be_number_or_user_name(void **state)
{
    assert_int_equal(rig_register(r, &p27, C27), 200);
    p27.aor = "1427";
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:x@192.0.2.55>\r\n"), 200);
    p27.aor = "1%34%32%37"; /* the same, escaped */
    p27.domain = "ALIAS.test";
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:y@192.0.2.55>\r\n"), 200);
    assert_int_equal(count_of("1427"), 3);
    p28.aor = "j%2Buser";
    assert_int_equal(rig_register(r, &p28, "Contact: <sip:z@192.0.2.54>\r\n"), 200);
    assert_text(r->row[0].v[0].s, "sip:j+user@pbx.test");
}

static void only_ones_own(void **state)
{
    p27.aor = "1429";
    assert_int_equal(rig_register(r, &p27, C27), 403);
    p27.aor = "1500";
    assert_int_equal(rig_register(r, &p27, C27), 404);
    p27.aor = "1427";
    p27.domain = "elsewhere.test";
    assert_int_equal(rig_register(r, &p27, C27), 404);
    assert_int_equal(registrar_count(r->pbx), 0);
}

static void an_aor_is_a_sip_uri(void **state)
{
    /* Without RFC 4475 unksm2 being answered, the challenge comes first. */
    static const char text[] =
        "REGISTER sip:pbx.test SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.55;branch=z9hG4bKu%u\r\n"
        "Max-Forwards: 70\r\nFrom: <http://www.example.com>;tag=3\r\nTo: isbn:2983792873\r\n"
        "Call-ID: unksm2\r\nCSeq: %u REGISTER\r\nContact: <name:John_Smith>\r\n%s"
        "Content-Length: 0\r\n\r\n";
    char mem[4096];
    snprintf(mem, sizeof(mem), text, 1, 1, "");
    rig_rx(r, &p27.flow, mem);
    assert_int_equal(rig_status(r), 401);
    snprintf(mem, sizeof(mem), text, 2, 2, rig_credentials(r, &p27, "REGISTER", "sip:pbx.test", 1));
    rig_rx(r, &p27.flow, mem);
    assert_int_equal(rig_status(r), 400);
}

/* ---- what contacts look like (RFC 4475)
 * ------------------------------------------------------------ */

static void parameters_belong_where_they_stand(void **state)
{
    /* cparam01: of the header; cparam02: of the URI; both come back as they were. */
    assert_int_equal(
        rig_register(r, &p27, "Contact: sip:+19725552222@gw1.example.net;unknownparam\r\n"), 200);
    assert_text(rig_contact(r, 0), "<sip:+19725552222@gw1.example.net>;expires=3600;unknownparam");
    assert_int_equal(
        rig_register(r, &p29, "Contact: <sip:+19725552222@gw1.example.net;unknownparam>\r\n"), 200);
    assert_text(rig_contact(r, 0), "<sip:+19725552222@gw1.example.net;unknownparam>;expires=3600");
}

static void escaped_headers_in_a_contact_are_kept(void **state)
{
    /* regescrt */
    assert_int_equal(
        rig_register(r, &p27, "M: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>\r\n"),
        200);
    assert_text(rig_contact(r, 0),
                "<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;expires=3600");
    assert_text(registrar_target(r->pbx, only_of("1427"), true), "sip:user@example.com");
}

static void folds_do_not_survive(void **state)
{
    assert_int_equal(rig_register(r, &p27,
                                  "Contact: <sip:a@192.0.2.55>;\r\n x=\"1\r\n  2\"\r\n"
                                  "User-Agent: Desk\r\n\tPhone\r\n"),
                     200);
    assert_text(rig_contact(r, 0), "<sip:a@192.0.2.55>;expires=3600;x=\"1 2\"");
    assert_text(only_of("1427")->user_agent, "Desk Phone");
}

static void other_schemes_are_listed_but_not_called(void **state)
{
    assert_int_equal(rig_register(r, &p27, "Contact: <mailto:a@b.test>\r\n"), 200);
    assert_text(rig_contact(r, 0), "<mailto:a@b.test>;expires=3600");
    assert_int_equal(registrar_count(r->pbx), 1);
    assert_int_equal(count_of("1427"), 0);
}

static void a_bad_q_is_400(void **state)
{
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55>;q=1.5\r\n"), 400);
    assert_int_equal(registrar_count(r->pbx), 0);
}

static void a_binding_has_a_size(void **state)
{
    static char headers[8000];
    memset(headers, 'x', sizeof(headers) - 1);
    memcpy(headers, "Contact: <sip:", 14);
    static const char tail[] = "@192.0.2.55>\r\n";
    memcpy(headers + 5000, tail, sizeof(tail));
    assert_int_equal(rig_register(r, &p27, headers), 400);
    assert_int_equal(registrar_count(r->pbx), 0);
}

/* ---- Path
 * ---------------------------------------------------------------------------------------- */

static void path_is_stored_and_returned(void **state)
{
    struct flow to;
    struct str route;
    assert_int_equal(rig_register(r, &p27,
                                  C27 "Path: <sip:192.0.2.80:5070;lr>\r\n"
                                      "Path: <sip:p2.test;lr>\r\nSupported: path\r\n"),
                     200);
    assert_text(sip_msg_get(rig_msg(r, 0), SIP_H_PATH),
                "<sip:192.0.2.80:5070;lr>, <sip:p2.test;lr>");
    assert_text(r->row[0].v[6].s, "<sip:192.0.2.80:5070;lr>, <sip:p2.test;lr>");
    registrar_reach(r->pbx, only_of("1427"), &to, &route);
    assert_text(route, "<sip:192.0.2.80:5070;lr>, <sip:p2.test;lr>");
    struct addr want = rig_addr("192.0.2.80:5070");
    assert_true(addr_eq(&to.peer, &want));
    /* A phone that does not know Path does not get it back. */
    assert_int_equal(rig_register(r, &p27, C27 "Path: <sip:p2.test;lr>\r\n"), 200);
    assert_false(sip_msg_has(rig_msg(r, 0), SIP_H_PATH));
    registrar_reach(r->pbx, only_of("1427"), &to, &route);
    assert_text(route, "<sip:p2.test;lr>");
    assert_true(addr_eq(&to.peer, &p27.flow.peer)); /* a name: back to whoever brought it */
}

/* ---- where a binding is reached
 * -------------------------------------------------------------------- */

static void assert_reached(const char *number, const char *peer, enum proto proto, uint32_t conn)
{
    struct flow to;
    struct str route;
    struct addr want = rig_addr(peer);
    registrar_reach(r->pbx, only_of(number), &to, &route);
    assert_int_equal(route.n, 0);
    assert_true(addr_eq(&to.peer, &want));
    assert_int_equal(to.proto, proto);
    assert_int_equal(to.conn, conn);
}

static void a_phone_on_the_same_network_is_called_at_its_contact(void **state)
{
    p27.flow = rig_udp("192.0.2.55:40000"); /* sends from one port, listens on another */
    assert_int_equal(rig_register(r, &p27, C27), 200);
    assert_false(only_of("1427")->natted);
    assert_reached("1427", "192.0.2.55:5060", PROTO_UDP, 0);
}

static void a_phone_behind_nat_is_called_where_it_came_from(void **state)
{
    p27.flow = rig_udp("198.51.100.7:31000");
    p27.via = "192.168.0.55:5060";
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.168.0.55:5060>\r\n"), 200);
    assert_true(only_of("1427")->natted);
    assert_reached("1427", "198.51.100.7:31000", PROTO_UDP, 0);
    assert_text(r->row[0].v[7].s, "udp 0 198.51.100.7:31000 nat");
    /* The router forgot it and gave it another port. */
    p27.flow = rig_udp("198.51.100.7:31001");
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.168.0.55:5060>\r\n"), 200);
    assert_reached("1427", "198.51.100.7:31001", PROTO_UDP, 0);
}

static bool is_natted(const char *source, const char *via, const char *contact)
{
    char header[256];
    snprintf(header, sizeof(header), "Contact: <sip:a@%s>\r\n", contact);
    p27.flow = rig_udp(source);
    p27.via = via;
    assert_int_equal(rig_register(r, &p27, header), 200);
    bool natted = only_of("1427")->natted;
    assert_int_equal(rig_register(r, &p27, "Contact: *\r\nExpires: 0\r\n"), 200);
    return natted;
}

static void nat_is_seen_in_its_forms(void **state)
{
    /* plain, and a phone with several addresses */
    assert_false(is_natted("198.51.100.7:5060", "198.51.100.7", "198.51.100.7"));
    assert_false(is_natted("198.51.100.7:40000", "198.51.100.7", "198.51.100.7:5070"));
    assert_false(is_natted("10.0.0.7:5060", "10.0.0.7", "10.0.1.8"));
    /* a router */
    assert_true(is_natted("198.51.100.7:31000", "192.168.0.5", "192.168.0.5"));
    /* one that rewrites Via and forgets the contact */
    assert_true(is_natted("198.51.100.7:31000", "198.51.100.7", "192.168.0.5"));
    /* two networks inside */
    assert_true(is_natted("10.0.0.7:31000", "192.168.0.5", "192.168.0.5"));
    assert_true(is_natted("10.0.0.7:31000", "192.168.0.5", "192.168.0.6"));
    /* an address learnt by STUN, for this port and for another */
    assert_false(is_natted("198.51.100.7:31000", "192.168.0.5", "198.51.100.7:31000"));
    assert_true(is_natted("198.51.100.7:31000", "192.168.0.5", "198.51.100.7:31999"));
    /* a public network whose addresses are rewritten all the same */
    assert_true(is_natted("198.51.100.7:31000", "203.0.113.5", "203.0.113.5"));
    assert_false(is_natted("198.51.100.7:31000", "203.0.113.5", "203.0.113.77"));
    /* a proxy brought it */
    assert_false(
        is_natted("198.51.100.7:5060", "192.168.0.5, SIP/2.0/UDP 203.0.113.5", "203.0.113.5"));
    assert_false(is_natted("10.0.0.7:5060", "192.168.0.5, SIP/2.0/UDP 10.1.1.1", "192.168.0.5"));
    assert_true(is_natted("198.51.100.7:5060", "198.51.100.7", "phone.local"));
}

static void a_contact_elsewhere_is_believed(void **state)
{
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@203.0.113.9:5070>\r\n"), 200);
    assert_reached("1427", "203.0.113.9:5070", PROTO_UDP, 0);
    assert_int_equal(rig_register(r, &p29, "Contact: <sip:a@203.0.113.9;transport=tcp>\r\n"), 200);
    assert_reached("1429", "203.0.113.9:5060", PROTO_TCP, 0);
}

static void a_connection_is_kept_while_it_carries_a_binding(void **state)
{
    p27.flow = rig_tcp("198.51.100.7:40000", 77);
    p27.via = "192.168.0.55:5060";
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.168.0.55:5060;transport=tcp>\r\n"),
                     200);
    assert_int_equal(r->n_keeps, 1);
    assert_true(r->keep[0].keep);
    assert_int_equal(r->keep[0].flow.conn, 77);
    assert_reached("1427", "198.51.100.7:40000", PROTO_TCP, 77);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:b@192.168.0.55:5060;transport=tcp>\r\n"),
                     200);
    assert_int_equal(r->n_keeps, 0);
    assert_int_equal(
        rig_register(r, &p27, "Contact: <sip:a@192.168.0.55:5060;transport=tcp>;expires=0\r\n"),
        200);
    assert_int_equal(r->n_keeps, 0);
    assert_int_equal(
        rig_register(r, &p27, "Contact: <sip:b@192.168.0.55:5060;transport=tcp>;expires=0\r\n"),
        200);
    assert_int_equal(r->n_keeps, 1);
    assert_false(r->keep[0].keep);
}

static void a_new_connection_takes_over(void **state)
{
    p27.via = "192.168.0.55:5060";
    p27.flow = rig_tcp("198.51.100.7:40000", 77);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.168.0.55>\r\n"), 200);
    p27.flow = rig_tcp("198.51.100.7:40001", 78);
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.168.0.55>\r\n"), 200);
    assert_int_equal(r->n_keeps, 2);
    assert_false(r->keep[0].keep);
    assert_int_equal(r->keep[0].flow.conn, 77);
    assert_true(r->keep[1].keep);
    assert_int_equal(r->keep[1].flow.conn, 78);
    struct flow lost = rig_tcp("198.51.100.7:40000", 77);
    pbx_flow_failed(r->pbx, r->now, &lost);
    assert_int_equal(count_of("1427"), 1);
}

static void a_lost_connection_ends_what_only_it_reached(void **state)
{
    p27.flow = rig_tcp("198.51.100.7:40000", 77);
    p27.via = "192.168.0.55:5060";
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.168.0.55>\r\n"), 200);
    p29.flow = rig_tcp("192.0.2.56:40000", 77);
    assert_int_equal(rig_register(r, &p29, "Contact: <sip:b@192.0.2.56:5070;transport=tcp>\r\n"),
                     200);
    assert_reached("1429", "192.0.2.56:40000", PROTO_TCP, 77);
    rig_clear(r);
    pbx_flow_failed(r->pbx, r->now, &p27.flow);
    rig_drain(r);
    assert_int_equal(count_of("1427"), 0);
    assert_int_equal(r->n_rows, 1);
    assert_int_equal(r->row[0].statement, STORE_BINDING_DEL);
    /* The other one listens: it is called with a new connection. */
    assert_reached("1429", "192.0.2.56:5070", PROTO_TCP, 0);
}

static void datagrams_refused_end_nothing(void **state)
{
    assert_int_equal(rig_register(r, &p27, C27), 200);
    pbx_flow_failed(r->pbx, r->now, &p27.flow);
    assert_int_equal(count_of("1427"), 1);
}

static void alias_is_for_ones_own_address(void **state)
{
    p27.flow = rig_tcp("192.0.2.55:40000", 77);
    p27.via = "10.1.1.1:5080;alias";
    assert_int_equal(rig_register(r, &p27, C27), 200);
    assert_int_equal(r->n_aliases, 1);
    struct addr want = rig_addr("192.0.2.55:5080");
    assert_true(addr_eq(&r->alias[0].addr, &want));
    assert_int_equal(r->alias[0].flow.conn, 77);
}

/* ---- restart and reload
 * ---------------------------------------------------------------------------- */

static void restore(const char *contact, int64_t expires_ms, const char *aor, const char *flow)
{
    struct row_value v[11] = {ROW_S(str_z(aor)),
                              ROW_S(str_z(contact)),
                              ROW_S(STR("id@h")),
                              ROW_I(7),
                              ROW_I(expires_ms),
                              ROW_I(500),
                              {.type = ROW_NULL},
                              ROW_S(str_z(flow)),
                              {.type = ROW_NULL},
                              ROW_S(STR("Phone/1")),
                              ROW_S(STR("+sip.instance=\"<urn:uuid:5>\""))};
    rig_clear(r);
    pbx_restore(r->pbx, r->now, STORE_RESTORE_BINDINGS, v, 11);
    rig_drain(r);
}

static void bindings_come_back(void **state)
{
    int64_t wall_ms = (int64_t)(WALL_US / 1000);
    restore("sip:a@192.0.2.55", wall_ms + 100000, "sip:109Q1427@pbx.test", "udp 0 192.0.2.55:5060");
    assert_int_equal(r->n_rows, 0);
    const struct binding *b = only_of("1427");
    assert_text(b->contact, "sip:a@192.0.2.55");
    assert_text(b->instance, "\"<urn:uuid:5>\"");
    assert_text(b->user_agent, "Phone/1");
    assert_int_equal(b->cseq, 7);
    assert_int_equal(b->q, 500);
    assert_int_equal(b->expires_at, r->now + 100 * USEC_S);
    assert_reached("1427", "192.0.2.55:5060", PROTO_UDP, 0);
    p27.call_id = "id@h"; /* the order of requests holds across the restart */
    p27.cseq = 2;
    assert_int_equal(rig_register(r, &p27, "Contact: <sip:a@192.0.2.55>\r\n"), 500);
    rig_wait(r, 101 * USEC_S);
    assert_int_equal(count_of("1427"), 0);
}

static void a_binding_through_nat_comes_back_as_that(void **state)
{
    restore("sip:a@192.168.0.5", (int64_t)(WALL_US / 1000) + 100000, "sip:1429@pbx.test",
            "udp 0 198.51.100.7:31000 nat");
    assert_reached("1429", "198.51.100.7:31000", PROTO_UDP, 0);
}

static void what_is_over_does_not_come_back(void **state)
{
    int64_t wall_ms = (int64_t)(WALL_US / 1000);
    static const char aor[] = "sip:1429@pbx.test";
    restore("sip:a@192.0.2.56", wall_ms, aor, "udp 0 192.0.2.56:5060");
    assert_int_equal(r->n_rows, 1);
    assert_int_equal(r->row[0].statement, STORE_BINDING_DEL);
    restore("sip:a@192.0.2.56", wall_ms + 1000, "sip:gone@pbx.test", "udp 0 192.0.2.56:5060");
    assert_int_equal(r->n_rows, 1);
    restore("sip:a@10.0.0.1", wall_ms + 1000, aor, "tcp 1 192.0.2.56:40000 nat");
    assert_int_equal(r->n_rows, 1);
    restore("sip:a@10.0.0.1", wall_ms + 1000, aor, "nonsense");
    assert_int_equal(r->n_rows, 1);
    assert_int_equal(registrar_count(r->pbx), 0);
}

static void a_removed_extension_loses_its_bindings(void **state)
{
    struct str why;
    assert_int_equal(rig_register(r, &p27, C27), 200);
    assert_int_equal(rig_register(r, &p29, "Contact: <sip:a@192.0.2.56>\r\n"), 200);
    struct config *c = rig_config("sip: {domain: pbx.test}\n"
                                  "extensions: [{number: \"1429\", password: \"new\"}]\n");
    rig_clear(r);
    assert_int_equal(pbx_reload(r->pbx, r->now, c, &why), 0);
    config_unref(c);
    rig_drain(r);
    assert_int_equal(registrar_count(r->pbx), 1);
    assert_int_equal(r->n_rows, 1);
    assert_int_equal(r->row[0].statement, STORE_BINDING_DEL);
    assert_int_equal(rig_register(r, &p29, "Contact: <sip:a@192.0.2.56>\r\n"), 401);
    p29.password = "new";
    assert_int_equal(rig_register(r, &p29, "Contact: <sip:a@192.0.2.56>\r\n"), 200);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_phone_registers),
        T(date_is_right_at_the_edges_of_the_calendar),
        T(a_refresh_changes_the_expiry_alone),
        T(a_binding_ends_on_time),
        T(expires_is_negotiated),
        T(too_short_is_423),
        T(a_long_minimum_is_not_forced_on_those_who_ask_an_hour),
        T(zero_removes_one),
        T(star_removes_all_of_one_aor),
        T(star_is_only_for_removal),
        T(a_fetch_lists_all_and_changes_nothing),
        T(the_best_contact_comes_first),
        T(equal_uris_are_one_contact),
        T(the_same_contact_twice_in_one_request),
        T(an_instance_that_moved_replaces_itself),
        T(a_full_aor_refuses),
        T(a_full_aor_may_replace_the_oldest),
        T(a_full_table_is_503),
        T(a_late_request_changes_nothing),
        T(to_may_be_number_or_user_name),
        T(only_ones_own),
        T(an_aor_is_a_sip_uri),
        T(parameters_belong_where_they_stand),
        T(escaped_headers_in_a_contact_are_kept),
        T(folds_do_not_survive),
        T(other_schemes_are_listed_but_not_called),
        T(a_bad_q_is_400),
        T(a_binding_has_a_size),
        T(path_is_stored_and_returned),
        T(a_phone_on_the_same_network_is_called_at_its_contact),
        T(a_phone_behind_nat_is_called_where_it_came_from),
        T(nat_is_seen_in_its_forms),
        T(a_contact_elsewhere_is_believed),
        T(a_connection_is_kept_while_it_carries_a_binding),
        T(a_new_connection_takes_over),
        T(a_lost_connection_ends_what_only_it_reached),
        T(datagrams_refused_end_nothing),
        T(alias_is_for_ones_own_address),
        T(bindings_come_back),
        T(a_binding_through_nat_comes_back_as_that),
        T(what_is_over_does_not_come_back),
        T(a_removed_extension_loses_its_bindings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
