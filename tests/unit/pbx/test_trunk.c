/* Trunks through the whole PBX: names, registrations, questions whether they are there. */
#include "unit/pbx/pbx_test.h"

#include "pbx/trunk.h"

static struct rig *r;

static void begin_with(const char *text)
{
    r = rig_new(text);
}

static int end(void **state)
{
    rig_free(r);
    r = NULL;
    return 0;
}

#define HEAD  "sip: {domain: pbx.test}\n"
#define QUIET "trunk: {options_interval: 0, retry_min: 10, retry_max: 80}\n"
#define LOGIN "username: u1, password: pw, register: true"

static const struct config_trunk *conf(const char *name)
{
    return config_find_trunk(pbx_config(r->pbx), str_z(name));
}

static struct trunk_view view_of(const char *name)
{
    struct trunk_view v;
    uint32_t at = 0;
    while (trunk_next(r->pbx, &at, &v))
        if (str_eq(v.name, str_z(name)))
            return v;
    fail_msg("no trunk %s", name);
    return v;
}

/* A copy of the last request, because answers are made of it after others were sent. */
static struct sip_msg req;
static char req_text[16384];

static const struct sip_msg *last_request(void)
{
    for (unsigned i = r->n_sent; i-- > 0;) {
        memcpy(req_text, r->sent[i].text, r->sent[i].n);
        assert_int_equal(sip_msg_parse(&req, req_text, r->sent[i].n, true), SIP_OK);
        if (req.is_request)
            return &req;
    }
    fail_msg("no request was sent");
    return NULL;
}

/* The next request, which must come within this time. */
static const struct sip_msg *wait_request(usec_t in)
{
    rig_clear(r);
    for (usec_t end = r->now + in; r->now < end && r->n_sent == 0;) {
        usec_t step = pbx_deadline(r->pbx);
        step = step > r->now ? step - r->now : 0;
        rig_wait(r, step < end - r->now ? step : end - r->now);
    }
    return last_request();
}

/* Answers the last request. */
static void answer(const char *start, const char *headers)
{
    char mem[8192];
    struct buf b;
    const struct sip_msg *m = &req;
    struct flow flow = rig_udp("192.0.2.77:5060");
    buf_init(&b, mem, sizeof(mem) - 1);
    buf_printf(&b, "SIP/2.0 %s\r\nVia: " STR_FMT "\r\n", start, STR_ARG(m->via.whole));
    buf_printf(&b, "From: " STR_FMT "\r\nTo: " STR_FMT ";tag=srv\r\n",
               STR_ARG(sip_msg_get(m, SIP_H_FROM)), STR_ARG(sip_msg_get(m, SIP_H_TO)));
    buf_printf(&b, "Call-ID: " STR_FMT "\r\nCSeq: %u " STR_FMT "\r\n", STR_ARG(m->call_id),
               m->cseq.number, STR_ARG(m->cseq.method_text));
    buf_z(&b, headers);
    buf_lit(&b, "Content-Length: 0\r\n\r\n");
    mem[b.n] = '\0';
    rig_rx(r, &flow, mem);
}

static void assert_sent_to(const char *addr)
{
    struct addr want = rig_addr(addr);
    if (!addr_eq(&r->sent[r->n_sent - 1].flow.peer, &want)) {
        char mem[64];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        addr_put(&b, &r->sent[r->n_sent - 1].flow.peer);
        rig_fail(buf_str(&b), addr);
    }
}

/* ---- registering --------------------------------------------------------------------------------
 */

static void a_trunk_registers_and_stays_registered(void **state)
{
    char call_id[128];
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    assert_int_equal(view_of("kt").state, TRUNK_REGISTERING);
    const struct sip_msg *m = wait_request(USEC_MS);
    assert_sent_to("192.0.2.77:5060");
    assert_text(m->method_text, "REGISTER");
    assert_text(m->ruri_text, "sip:192.0.2.77");
    assert_text(m->to.uri.whole, "sip:u1@192.0.2.77");
    assert_text(m->from.uri.whole, "sip:u1@192.0.2.77");
    assert_text(sip_msg_get(m, SIP_H_CONTACT), "<sip:u1@192.0.2.10:5060>");
    assert_text(sip_msg_get(m, SIP_H_EXPIRES), "3600");
    assert_false(sip_msg_has(m, SIP_H_AUTHORIZATION));
    str_copy_z(call_id, sizeof(call_id), m->call_id);
    uint32_t cseq = m->cseq.number;

    answer("401 Unauthorized",
           "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n1\", qop=\"auth\"\r\n");
    m = last_request();
    assert_text(m->call_id, call_id);
    assert_int_equal(m->cseq.number, cseq + 1);
    struct digest_fields f;
    assert_int_equal(digest_parse(&f, sip_msg_get(m, SIP_H_AUTHORIZATION)), 0);
    assert_text(f.username, "u1");
    assert_text(f.uri, "sip:192.0.2.77");
    assert_text(f.nc, "00000001");
    struct digest_hex ha1, want;
    digest_ha1(r->digest, DIGEST_MD5, STR("u1"), STR("carrier"), STR("pw"), &ha1);
    digest_response(r->digest, DIGEST_MD5, &ha1, &f, STR("REGISTER"), &want);
    assert_true(str_eq(f.response, str_of(want.text, want.n)));

    answer("200 OK", "Contact: <sip:other@192.0.2.9>;expires=5000\r\n"
                     "Contact: <sip:u1@192.0.2.10:5060>;expires=1000\r\n");
    assert_int_equal(view_of("kt").state, TRUNK_UP);
    assert_int_equal(view_of("kt").expires_s, 1000);
    rig_clear(r);
    rig_wait(r, 799 * USEC_S);
    assert_int_equal(r->n_sent, 0);
    m = wait_request(101 * USEC_S); /* 80 to 90 per cent */
    assert_text(m->call_id, call_id);
    assert_int_equal(m->cseq.number, cseq + 2);
    assert_int_equal(digest_parse(&f, sip_msg_get(m, SIP_H_AUTHORIZATION)), 0);
    assert_text(f.nonce, "n1"); /* the nonce is used again, counted */
    assert_text(f.nc, "00000002");
    /* The server wants another one: that is no refusal. */
    answer("401 Unauthorized",
           "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n2\", qop=\"auth\"\r\n");
    m = last_request();
    assert_int_equal(digest_parse(&f, sip_msg_get(m, SIP_H_AUTHORIZATION)), 0);
    assert_text(f.nonce, "n2");
    answer("200 OK", "Expires: 500\r\n");
    assert_int_equal(view_of("kt").expires_s, 500);
}

static void wrong_credentials_end_in_a_pause_not_a_loop(void **state)
{
    static const char challenge[] =
        "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"\r\n";
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("401 Unauthorized", challenge);
    last_request();
    answer("401 Unauthorized", challenge);
    assert_int_equal(r->n_sent, 0);
    assert_int_equal(view_of("kt").state, TRUNK_DOWN);
    assert_text(view_of("kt").reason, "credentials refused");
    rig_clear(r);
    rig_wait(r, 8 * USEC_S);
    assert_int_equal(r->n_sent, 0);
    wait_request(3 * USEC_S); /* retry_min 10 s, less a tenth at most */
    /* stale=true for ever is a loop too */
    unsigned tries = 0;
    for (; tries < 20; tries++) {
        answer("401 Unauthorized", "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\", "
                                   "qop=\"auth\", stale=true\r\n");
        if (r->n_sent == 0)
            break;
        last_request();
    }
    assert_int_equal(tries, AUTH_CLIENT_ATTEMPTS);
}

static void too_short_asks_for_more(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN
                          ", register_expires: 100}]\n");
    assert_text(sip_msg_get(wait_request(USEC_MS), SIP_H_EXPIRES), "100");
    answer("423 Interval Too Brief", "Min-Expires: 1800\r\n");
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "1800");
    answer("423 Interval Too Brief", "Min-Expires: 1800\r\n"); /* and no more than that */
    assert_int_equal(r->n_sent, 0);
    assert_text(view_of("kt").reason, "423 Interval Too Brief");
}

static void failures_are_retried_ever_more_slowly(void **state)
{
    static const unsigned wait_s[] = {10, 20, 40, 80, 80};
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    for (unsigned i = 0; i < ARRAY_LEN(wait_s); i++) {
        answer("500 Server Internal Error", "");
        assert_text(view_of("kt").reason, "500 Server Internal Error");
        rig_clear(r);
        rig_wait(r, wait_s[i] * 9 * USEC_S / 10 - USEC_MS);
        assert_int_equal(r->n_sent, 0);
        wait_request(wait_s[i] * USEC_S / 10 + 2 * USEC_MS);
    }
    answer("200 OK", "");
    assert_int_equal(view_of("kt").state, TRUNK_UP);
}

static void retry_after_is_honoured(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("503 Service Unavailable", "Retry-After: 120 (maintenance);duration=3600\r\n");
    rig_clear(r);
    rig_wait(r, 119 * USEC_S);
    assert_int_equal(r->n_sent, 0);
    wait_request(2 * USEC_S);
}

static void silence_ends_in_408_and_a_retry(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    uint32_t cseq = req.cseq.number;
    rig_wait(r, 33 * USEC_S);
    assert_text(view_of("kt").reason, "408 Request Timeout");
    assert_int_equal(wait_request(11 * USEC_S)->cseq.number, cseq + 1);
}

static void a_failed_refresh_leaves_what_was_granted(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 100\r\n");
    wait_request(91 * USEC_S);
    answer("500 No", "");
    assert_int_equal(view_of("kt").state, TRUNK_UP);
    rig_wait(r, 30 * USEC_S);
    assert_int_equal(view_of("kt").state, TRUNK_DOWN);
}

/* ---- names --------------------------------------------------------------------------------------
 */

static void a_name_is_looked_up_and_its_servers_tried_in_turn(void **state)
{
    struct flow_dest dest[] = {{PROTO_UDP, rig_addr("192.0.2.81:5060"), 0},
                               {PROTO_UDP, rig_addr("192.0.2.82:5062"), 1}};
    struct flow to;
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:sip.example.net\", " LOGIN
                          ", from_domain: example.net}]\n");
    rig_clear(r);
    rig_wait(r, USEC_MS);
    assert_int_equal(r->n_asked, 1);
    assert_string_equal(r->asked_name, "sip.example.net");
    assert_int_equal(r->asked[0].question.port, 0);
    assert_int_equal(r->asked[0].question.proto, PROTO_UDP);
    assert_int_equal(trunk_dest(r->pbx, conf("kt"), &to), -EAGAIN);
    assert_false(trunk_is_usable(r->pbx, conf("kt")));
    rig_clear(r);
    pbx_resolved(r->pbx, r->now, r->asked[0].token, dest, 2, 300);
    const struct sip_msg *m = wait_request(USEC_MS);
    assert_sent_to("192.0.2.81:5060");
    assert_text(m->ruri_text, "sip:example.net");
    assert_int_equal(trunk_dest(r->pbx, conf("kt"), &to), 0);
    assert_true(addr_eq(&to.peer, &dest[0].addr));
    answer("503 Service Unavailable", "");
    wait_request(USEC_S + USEC_MS);
    assert_sent_to("192.0.2.82:5062");
    answer("200 OK", "");
    assert_int_equal(trunk_dest(r->pbx, conf("kt"), &to), 0);
    assert_true(addr_eq(&to.peer, &dest[1].addr));
    /* The answer grows old and is asked for again; the registration stays where it is. */
    rig_clear(r);
    rig_wait(r, 300 * USEC_S);
    assert_int_equal(r->n_asked, 1);
    pbx_resolved(r->pbx, r->now, r->asked[0].token, dest, 2, 300);
    assert_int_equal(trunk_dest(r->pbx, conf("kt"), &to), 0);
    assert_true(addr_eq(&to.peer, &dest[1].addr));
    /* Nothing found: what is known stays. */
    pbx_resolved(r->pbx, r->now, r->asked[0].token, NULL, 0, 0);
    assert_int_equal(trunk_dest(r->pbx, conf("kt"), &to), 0);
    pbx_resolved(r->pbx, r->now, 999, dest, 2, 300); /* of a trunk that is gone */
    /* The refresh looks whether the preferred server is back (RFC 2782), and returns if it is not.
     */
    pbx_resolved(r->pbx, r->now, r->asked[0].token, dest, 2, 3600);
    wait_request(3600 * USEC_S);
    assert_sent_to("192.0.2.81:5060");
    answer("503 Service Unavailable", "");
    wait_request(USEC_S + USEC_MS);
    assert_sent_to("192.0.2.82:5062");
    answer("200 OK", "Expires: 100\r\n");
    /* Granted for so short a time there is none to look elsewhere. */
    wait_request(91 * USEC_S);
    assert_sent_to("192.0.2.82:5062");
}

static void a_name_that_is_not_found_is_asked_again(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:no.example.net:5070\"}]\n");
    rig_wait(r, USEC_MS);
    assert_int_equal(r->asked[0].question.port, 5070);
    pbx_resolved(r->pbx, r->now, r->asked[0].token, NULL, 0, 0);
    assert_int_equal(view_of("kt").state, TRUNK_DOWN);
    assert_text(view_of("kt").reason, "name not found");
    rig_clear(r);
    rig_wait(r, 31 * USEC_S);
    assert_int_equal(r->n_asked, 1);
}

/* ---- OPTIONS ------------------------------------------------------------------------------------
 */

static void options_tells_whether_it_is_there(void **state)
{
    begin_with(HEAD "trunk: {options_interval: 60}\n"
                    "trunks: [{name: kt, uri: \"sip:192.0.2.77:5060\"}]\n");
    assert_int_equal(view_of("kt").state, TRUNK_UNKNOWN);
    assert_true(trunk_is_usable(r->pbx, conf("kt")));
    const struct sip_msg *m = wait_request(USEC_MS);
    assert_text(m->method_text, "OPTIONS");
    assert_text(m->ruri_text, "sip:192.0.2.77:5060");
    answer("404 Not Found", ""); /* any answer is a sign of life */
    assert_int_equal(view_of("kt").state, TRUNK_UP);
    assert_text(wait_request(61 * USEC_S)->method_text, "OPTIONS");
    answer("503 Service Unavailable", "");
    assert_int_equal(view_of("kt").state, TRUNK_DOWN);
    assert_text(view_of("kt").reason, "503 to OPTIONS");
    assert_false(trunk_is_usable(r->pbx, conf("kt")));
    wait_request(11 * USEC_S); /* sooner while it is down: retry_min */
    answer("200 OK", "");
    assert_int_equal(view_of("kt").state, TRUNK_UP);
    wait_request(61 * USEC_S);
    rig_wait(r, 33 * USEC_S);
    assert_int_equal(view_of("kt").state, TRUNK_DOWN);
    assert_text(view_of("kt").reason, "no answer to OPTIONS");
}

static void a_trunk_that_failed_a_call_rests(void **state)
{
    begin_with(HEAD "trunk: {options_interval: 0, down_time: 30}\n"
                    "trunks: [{name: kt, uri: \"sip:192.0.2.77\"}]\n");
    assert_true(trunk_is_usable(r->pbx, conf("kt")));
    struct flow at;
    assert_int_equal(trunk_dest(r->pbx, conf("kt"), &at), 0);
    trunk_failed(r->pbx, conf("kt"), &at, 0);
    assert_false(trunk_is_usable(r->pbx, conf("kt")));
    rig_wait(r, 31 * USEC_S);
    assert_true(trunk_is_usable(r->pbx, conf("kt")));
}

/* ---- who it is ----------------------------------------------------------------------------------
 */

static const char *source(const char *peer, const char *ruri)
{
    static char mem[1024];
    static struct sip_msg m;
    static char name[64];
    struct flow flow = rig_udp(peer);
    int n = snprintf(mem, sizeof(mem),
                     "INVITE %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK1\r\n"
                     "Max-Forwards: 70\r\nFrom: <sip:x@y>;tag=1\r\nTo: <sip:z@y>\r\n"
                     "Call-ID: c\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
                     ruri, peer);
    assert_int_equal(sip_msg_parse(&m, mem, (size_t)n, false), SIP_OK);
    const struct config_trunk *t = trunk_by_source(r->pbx, &flow, &m);
    str_copy_z(name, sizeof(name), t ? t->name : STR("none"));
    return name;
}

static void a_source_is_told_by_address_port_and_account(void **state)
{
    begin_with(HEAD QUIET
               "trunks:\n"
               "  - {name: any, uri: \"sip:192.0.2.77\"}\n"
               "  - {name: port, uri: \"sip:192.0.2.77:5080\"}\n"
               "  - {name: net, uri: \"sip:192.0.2.90:5080\", addresses: [203.0.113.0/24]}\n"
               "  - {name: a, uri: \"sip:192.0.2.88\", " LOGIN "}\n"
               "  - {name: b, uri: \"sip:192.0.2.88\", username: u2, password: pw,"
               " register: true}\n");
    assert_string_equal(source("192.0.2.77:5080", "sip:1@pbx.test"), "port");
    assert_string_equal(source("192.0.2.77:5060", "sip:1@pbx.test"), "any");
    assert_string_equal(source("203.0.113.200:7777", "sip:1@pbx.test"), "net");
    assert_string_equal(source("192.0.2.90:7777", "sip:1@pbx.test"), "none");
    assert_string_equal(source("192.0.2.88:5060", "sip:u1@192.0.2.10"), "a");
    assert_string_equal(source("192.0.2.88:5060", "sip:u2@192.0.2.10"), "b");
    assert_string_equal(source("192.0.2.88:5060", "sip:0708@192.0.2.10"), "a");
    assert_string_equal(source("192.0.2.1:5060", "sip:u1@192.0.2.10"), "none");
}

/* ---- reload and shutdown ------------------------------------------------------------------------
 */

static void reload(const char *yaml)
{
    struct str why;
    struct config *c = rig_config(yaml);
    rig_clear(r);
    assert_int_equal(pbx_reload(r->pbx, r->now, c, &why), 0);
    config_unref(c);
    rig_drain(r);
}

static void a_reload_keeps_what_did_not_change(void **state)
{
    static const char yaml[] =
        HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n";
    begin_with(yaml);
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    reload(yaml);
    struct trunk_view v;
    uint32_t at = 0;
    assert_true(trunk_next(r->pbx, &at, &v));
    assert_false(trunk_next(r->pbx, &at, &v));
    rig_wait(r, USEC_S);
    assert_int_equal(r->n_sent, 0);
    assert_int_equal(view_of("kt").state, TRUNK_UP);
    wait_request(901 * USEC_S); /* and it is refreshed as before */
}

#define SECURE                                                                                     \
    "sip: {domain: pbx.test, listen: [\"udp:192.0.2.10:5060\", \"tls:192.0.2.10:5061\"],\n"        \
    "  tls: {certificate: a.pem, private_key: b.pem}}\n" QUIET
#define PIN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* RFC 5922 7.3: io is told the name in its URI, and what is sent there says that it is for it.
 * Other pins make it another party: a connection that was let in by the old ones is not for it any
 * more. */
static void a_trunk_is_introduced_by_its_name_and_keys(void **state)
{
    struct flow_dest dest = {PROTO_TLS, rig_addr("192.0.2.81:5061"), 0};
    struct flow to, later;
    begin_with(SECURE "trunks: [{name: kt, uri: \"sips:Sip.Example.Net\"}]\n");
    assert_string_equal(r->party_name, "Sip.Example.Net");
    assert_int_equal(r->party.pins->n, 0);
    rig_wait(r, USEC_MS);
    assert_true(r->asked[0].question.sips);
    assert_true(r->asked[0].question.any);
    assert_int_equal(r->asked[0].question.proto, PROTO_TLS);
    assert_true(r->asked[0].question.protos & 1u << PROTO_UDP);
    assert_false(r->asked[0].question.without_ipv4 & 1u << PROTO_UDP);
    assert_true(r->asked[0].question.without_ipv6 & 1u << PROTO_UDP); /* nobody listens there */
    pbx_resolved(r->pbx, r->now, r->asked[0].token, &dest, 1, 300);
    assert_int_equal(trunk_dest(r->pbx, conf("kt"), &to), 0);
    assert_int_equal(to.proto, PROTO_TLS);
    assert_true(to.party > 0);
    assert_int_equal(to.party, r->party.token);
    reload(SECURE "trunks: [{name: kt, uri: \"sips:Sip.Example.Net\"}, {name: b, uri: "
                  "\"sip:192.0.2.9\"}]\n");
    assert_int_equal(trunk_dest(r->pbx, conf("kt"), &later), 0);
    assert_int_equal(later.party, to.party);
    assert_string_equal(r->party_name, "192.0.2.9");
    assert_int_not_equal(r->party.token, to.party);
    reload(SECURE "trunks: [{name: kt, uri: \"sips:Sip.Example.Net\", tls_pins: [" PIN
                  "]}, {name: b, uri: \"sip:192.0.2.9\"}]\n");
    assert_string_equal(r->party_name, "Sip.Example.Net");
    assert_int_equal(r->party.pins->n, 1);
    rig_wait(r, USEC_MS);
    pbx_resolved(r->pbx, r->now, r->asked[0].token, &dest, 1, 300);
    assert_int_equal(trunk_dest(r->pbx, conf("kt"), &later), 0);
    assert_int_equal(later.party, r->party.token);
    assert_int_not_equal(later.party, to.party); /* calls that are up are with the old one */
}

/* Neither a name nor keys of what was said before cling to it. */
static void a_trunk_that_goes_leaves_nobody(void **state)
{
    begin_with(
        SECURE
        "trunks: [{name: kt, uri: \"sips:sip.example.net\", tls_name: c.test, tls_pins: [" PIN
        "]}]\n");
    assert_string_equal(r->client_name, "c.test");
    assert_int_equal(r->client.pins->n, 1);
    uint64_t token = r->client.token;
    reload(SECURE);
    assert_int_equal(r->client.token, token);
    assert_int_equal(r->client.name.n, 0);
    assert_null(r->client.pins);
}

/* RFC 3263 4.3: of several, what has failed is passed over, until Retry-After or down_time, and if
 * all have they are tried as if none had. */
static void places_that_failed_rest_each_for_itself(void **state)
{
    struct flow_dest dest[] = {{PROTO_UDP, rig_addr("192.0.2.81:5060"), 0},
                               {PROTO_TCP, rig_addr("192.0.2.81:5060"), 0},
                               {PROTO_UDP, rig_addr("192.0.2.82:5060"), 0}};
    struct flow first, to;
    unsigned n = 0;
    begin_with(HEAD "trunk: {options_interval: 0, down_time: 30}\n"
                    "trunks: [{name: kt, uri: \"sip:sip.example.net\"}]\n");
    rig_wait(r, USEC_MS);
    pbx_resolved(r->pbx, r->now, r->asked[0].token, dest, 3, 3600);
    assert_int_equal(trunk_dest_next(r->pbx, conf("kt"), &n, &first), 0);
    assert_int_equal(n, 0);
    assert_int_equal(first.proto, PROTO_UDP);
    trunk_failed(r->pbx, conf("kt"), &first, 100);
    assert_true(trunk_is_usable(r->pbx, conf("kt")));
    assert_int_equal(trunk_dest_next(r->pbx, conf("kt"), &n, &to), 0);
    assert_int_equal(n, 1);
    assert_int_equal(to.proto, PROTO_TCP); /* the same address, but not the same place */
    trunk_failed(r->pbx, conf("kt"), &to, 0);
    n = 0;
    assert_int_equal(trunk_dest_next(r->pbx, conf("kt"), &n, &to), 0);
    assert_int_equal(n, 2);
    assert_true(addr_eq(&to.peer, &dest[2].addr));
    n = 3;
    assert_int_equal(trunk_dest_next(r->pbx, conf("kt"), &n, &to), -ENOENT);
    trunk_failed(r->pbx, conf("kt"), &to, 0); /* the last one that was found */
    assert_false(trunk_is_usable(r->pbx, conf("kt")));
    n = 0;
    assert_int_equal(trunk_dest_next(r->pbx, conf("kt"), &n, &to), 0);
    assert_int_equal(n, 0);
    rig_wait(r, 31 * USEC_S);
    n = 0;
    assert_int_equal(trunk_dest_next(r->pbx, conf("kt"), &n, &to), 0);
    assert_int_equal(n, 1);
    /* Asked again, the name leads to the same: what rests goes on resting. */
    struct flow_dest turned[] = {dest[1], dest[0]};
    pbx_resolved(r->pbx, r->now, r->asked[0].token, turned, 2, 3600);
    n = 0;
    assert_int_equal(trunk_dest_next(r->pbx, conf("kt"), &n, &to), 0);
    assert_int_equal(to.proto, PROTO_TCP);
    rig_wait(r, 70 * USEC_S);
    n = 0;
    assert_int_equal(trunk_dest_next(r->pbx, conf("kt"), &n, &to), 0);
    assert_int_equal(to.proto, PROTO_TCP); /* nobody asks which is there: as the names have it */
}

static void a_removed_trunk_withdraws_its_registration(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    reload(HEAD QUIET);
    struct trunk_view v;
    uint32_t at = 0;
    assert_false(trunk_next(r->pbx, &at, &v));
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "0");
    assert_false(trunk_is_idle(r->pbx));
    answer("401 Unauthorized",
           "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"\r\n");
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "0");
    answer("200 OK", "");
    assert_true(trunk_is_idle(r->pbx));
    rig_clear(r);
    rig_wait(r, 2000 * USEC_S);
    assert_int_equal(r->n_sent, 0);
}

static void a_changed_trunk_starts_anew(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    reload(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.79\", " LOGIN "}]\n");
    assert_sent_to("192.0.2.77:5060");
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "0");
    answer("200 OK", "");
    wait_request(USEC_MS);
    assert_sent_to("192.0.2.79:5060");
}

/* RFC 3261 10.3 step 7: what withdraws the contact of before would withdraw that of now, if it came
 * later. So it comes first, however often it must be sent. */
static void a_changed_trunk_registers_after_it_has_withdrawn(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    reload(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN
                      ", from_domain: a.test}, {name: b, uri: \"sip:192.0.2.77\", username: u2, "
                      "password: pw, register: true}]\n");
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "0");
    for (unsigned i = 0; i < 3; i++) { /* it is lost, and repeated; another account does not wait */
        wait_request(4 * USEC_S);
        if (str_eq(req.to.uri.user, STR("u2"))) {
            answer("200 OK", "Expires: 1000\r\n");
            continue;
        }
        assert_text(sip_msg_get(&req, SIP_H_EXPIRES), "0");
    }
    assert_int_equal(view_of("b").state, TRUNK_UP);
    answer("401 Unauthorized",
           "WWW-Authenticate: Digest realm=\"carrier\", nonce=\"n\", qop=\"auth\"\r\n");
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "0");
    rig_clear(r);
    answer("200 OK", "");
    assert_int_equal(r->n_sent, 0);
    assert_text(sip_msg_get(wait_request(USEC_MS), SIP_H_EXPIRES), "3600");
    answer("200 OK", "Expires: 1000\r\n");
    assert_int_equal(view_of("kt").state, TRUNK_UP);
}

/* It was withdrawn for the other as well, which was registered for long. */
static void who_shares_the_contact_registers_again(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: a, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    reload(HEAD QUIET "trunks: [{name: a, uri: \"sip:192.0.2.77\", " LOGIN
                      "}, {name: b, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    reload(HEAD QUIET "trunks: [{name: b, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "0");
    rig_clear(r);
    answer("200 OK", "");
    assert_text(sip_msg_get(wait_request(USEC_MS), SIP_H_EXPIRES), "3600");
}

/* Another transport is another contact: what could not be reached by the one is not waited for. */
static void another_transport_does_not_wait(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    reload(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77;transport=tcp\", " LOGIN "}]\n");
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "0");
    assert_text(sip_msg_get(wait_request(USEC_MS), SIP_H_EXPIRES), "3600");
}

/* Nobody waits for ever for one that does not answer. */
static void a_changed_trunk_registers_when_the_silence_is_over(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    reload(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN
                      ", from_domain: a.test}]\n");
    rig_wait(r, 33 * USEC_S);
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "3600");
}

static void shutdown_waits_for_the_answer_under_way(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    rig_clear(r);
    trunk_shutdown(r->pbx);
    rig_drain(r);
    assert_int_equal(r->n_sent, 0); /* one REGISTER at a time */
    answer("200 OK", "Expires: 1000\r\n");
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "0");
    answer("200 OK", "");
    assert_true(trunk_is_idle(r->pbx));
}

static void shutdown_waits_a_second_for_the_silent(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n");
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    pbx_shutdown(r->pbx, r->now);
    rig_drain(r);
    assert_text(sip_msg_get(last_request(), SIP_H_EXPIRES), "0");
    rig_wait(r, USEC_S - USEC_MS);
    assert_false(pbx_is_idle(r->pbx));
    rig_wait(r, USEC_MS);
    assert_true(pbx_is_idle(r->pbx));
    answer("200 OK", ""); /* it may still come */
    assert_true(trunk_is_idle(r->pbx));
}

static void nothing_is_reloaded_after_the_shutdown(void **state)
{
    static const char yaml[] =
        HEAD QUIET "trunks: [{name: kt, uri: \"sip:192.0.2.77\", " LOGIN "}]\n";
    begin_with(yaml);
    wait_request(USEC_MS);
    answer("200 OK", "Expires: 1000\r\n");
    pbx_shutdown(r->pbx, r->now);
    rig_drain(r);
    last_request();
    struct str why;
    struct config *c = rig_config(yaml);
    assert_int_equal(pbx_reload(r->pbx, r->now, c, &why), -EINVAL);
    assert_text(why, "the exchange is stopping");
    config_unref(c);
    rig_drain(r);
    rig_clear(r);
    answer("200 OK", "");
    rig_wait(r, USEC_S / 2);
    assert_int_equal(r->n_sent, 0);
    assert_true(pbx_is_idle(r->pbx));
}

static void what_was_never_registered_is_gone_at_once(void **state)
{
    begin_with(HEAD QUIET "trunks: [{name: a, uri: \"sip:192.0.2.77\"}, "
                          "{name: b, uri: \"sip:no.example.net\"}]\n");
    rig_wait(r, USEC_MS);
    trunk_shutdown(r->pbx);
    assert_true(trunk_is_idle(r->pbx));
}

int main(void)
{
#define T(name) cmocka_unit_test_teardown(name, end)
    const struct CMUnitTest tests[] = {
        T(a_trunk_registers_and_stays_registered),
        T(wrong_credentials_end_in_a_pause_not_a_loop),
        T(too_short_asks_for_more),
        T(failures_are_retried_ever_more_slowly),
        T(retry_after_is_honoured),
        T(silence_ends_in_408_and_a_retry),
        T(a_failed_refresh_leaves_what_was_granted),
        T(a_name_is_looked_up_and_its_servers_tried_in_turn),
        T(a_name_that_is_not_found_is_asked_again),
        T(options_tells_whether_it_is_there),
        T(a_trunk_that_failed_a_call_rests),
        T(a_source_is_told_by_address_port_and_account),
        T(a_reload_keeps_what_did_not_change),
        T(a_trunk_is_introduced_by_its_name_and_keys),
        T(a_trunk_that_goes_leaves_nobody),
        T(places_that_failed_rest_each_for_itself),
        T(a_removed_trunk_withdraws_its_registration),
        T(a_changed_trunk_starts_anew),
        T(a_changed_trunk_registers_after_it_has_withdrawn),
        T(who_shares_the_contact_registers_again),
        T(another_transport_does_not_wait),
        T(a_changed_trunk_registers_when_the_silence_is_over),
        T(shutdown_waits_for_the_answer_under_way),
        T(shutdown_waits_a_second_for_the_silent),
        T(nothing_is_reloaded_after_the_shutdown),
        T(what_was_never_registered_is_gone_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
