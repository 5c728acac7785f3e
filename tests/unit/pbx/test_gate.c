/* Who may, and who is ignored: digest through the whole PBX, failures, bans. */
#include "unit/pbx/pbx_test.h"

#include "pbx/gate.h"
#include "pbx/registrar.h"

static const char yaml[] =
    "sip: {domain: pbx.test}\n"
    "auth: {ban_after: 5, ban_seconds: 60, ban_max_seconds: 200, ban_never: [192.0.2.99]}\n"
    "limits: {banned_sources: 16}\n"
    "extensions:\n"
    "  - {number: \"1427\", username: \"109Q1427\", password: \"one\", did: [\"07086661427\"]}\n"
    "  - {number: \"1428\", password: \"two\", did: [\"07086661428\"]}\n"
    "trunks:\n"
    "  - {name: kt, uri: \"sip:192.0.2.77:5080\"}\n"
    "  - {name: log, uri: \"sip:192.0.2.78\", username: peer, password: pw}\n"
    "trunk: {options_interval: 0}\n";

static struct rig *r;
static struct rig_phone p27, p28;

static int begin_with(const char *text)
{
    r = rig_new(text);
    p27 = (struct rig_phone){.flow = rig_udp("198.51.100.55:5060"),
                             .user = "109Q1427",
                             .password = "one",
                             .domain = "pbx.test",
                             .call_id = "k27@h"};
    p28 = p27;
    p28.flow = rig_udp("198.51.100.54:5060");
    p28.user = "1428";
    p28.password = "two";
    p28.call_id = "k28@h";
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

/* The gate alone, without what stands behind it: a request as the engine would show it. */
static struct sip_msg msg;
static char text[8192];

static struct gate_who check(const struct rig_phone *p, const char *method, const char *ruri,
                             const char *headers)
{
    struct buf b;
    buf_init(&b, text, sizeof(text));
    rig_put_request(r, p, method, ruri, &b);
    buf_z(&b, headers);
    buf_lit(&b, "Content-Length: 0\r\n\r\n");
    assert_int_equal(sip_msg_parse(&msg, b.p, b.n, false), SIP_OK);
    struct sip_out o = {.kind = SIP_OUT_REQUEST, .msg = &msg, .flow = p->flow};
    return gate_check(r->pbx, &o);
}

static unsigned register_once(struct rig_phone *p)
{
    return rig_register(r, p, "Contact: <sip:a@192.168.1.1>\r\n");
}

/* The line of the log, if the last records hold such an event. */
static bool logged(enum trace_id id, char *out, size_t cap)
{
    struct trace_rec rec;
    bool found = false;
    while (trace_next(pbx_trace(r->pbx), &rec)) {
        struct buf b;
        if (rec.id != id)
            continue;
        buf_init(&b, out, cap - 1);
        trace_text(&b, &rec);
        out[b.n] = '\0';
        found = true;
    }
    return found;
}

/* ---- passwords ----------------------------------------------------------------------------------
 */

static void other_requests_are_challenged_with_407(void **state)
{
    p27.cseq = 1;
    rig_send(r, &p27, "INVITE", "sip:1428@pbx.test", "Contact: <sip:a@198.51.100.55>\r\n", NULL);
    unsigned last = r->n_sent - 1;
    const struct sip_msg *m = rig_msg(r, last);
    assert_int_equal(m->status, 407);
    unsigned n = 0;
    for (uint16_t i = m->first[SIP_H_PROXY_AUTHENTICATE]; i; i = m->hdr[i - 1].next)
        n++;
    assert_int_equal(n, 2);
    assert_true(str_ifind(sip_msg_get(m, SIP_H_PROXY_AUTHENTICATE), STR("SHA-256")) > 0);
    assert_false(sip_msg_has(m, SIP_H_WWW_AUTHENTICATE));
}

static void the_stronger_algorithm_comes_first_and_both_open(void **state)
{
    for (unsigned i = 0; i < 2; i++) {
        struct auth_challenge c;
        char header[1024] = "Authorization: ";
        struct buf b;
        p28.cseq++;
        rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", NULL);
        const struct sip_msg *m = rig_msg(r, 0);
        assert_int_equal(auth_client_choose(&c, m), 0);
        assert_int_equal(c.alg, DIGEST_SHA256);
        c.alg = i ? DIGEST_MD5 : DIGEST_SHA256;
        struct auth_login login = {.user = STR("1428"),
                                   .password = STR("two"),
                                   .method = STR("REGISTER"),
                                   .uri = STR("sip:pbx.test"),
                                   .nc = 1};
        buf_init(&b, header, sizeof(header) - 1);
        b.n = strlen(header);
        assert_int_equal(auth_client_answer(&b, r->digest, &r->rnd, &c, &login), 0);
        buf_lit(&b, "\r\n");
        header[b.n] = '\0';
        p28.cseq++;
        rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", header);
        assert_int_equal(rig_status(r), 200);
    }
}

static void a_wrong_password_is_asked_again_then_refused(void **state)
{
    p28.password = "guess";
    assert_int_equal(register_once(&p28), 401);
    assert_int_equal(register_once(&p28), 401);
    assert_int_equal(register_once(&p28), 403);
    assert_int_equal(registrar_count(r->pbx), 0);
}

/* What can be seen of a user that does not exist is what can be seen of a wrong password. */
static void unknown_users_look_like_wrong_passwords(void **state)
{
    char seen[2][4096];
    for (unsigned i = 0; i < 2; i++) {
        struct rig_phone p = p28;
        p.password = "guess";
        p.user = i ? "1428" : "9999";
        p.aor = "1428";
        p.call_id = i ? "a@h" : "b@h";
        p.flow.peer.ip[3] = (uint8_t)(100 + i);
        assert_int_equal(register_once(&p), 401);
        const struct sip_msg *m = rig_msg(r, 0);
        struct buf b;
        buf_init(&b, seen[i], sizeof(seen[i]) - 1);
        for (unsigned h = 0; h < m->n_hdrs; h++) {
            buf_str_put(&b, m->hdr[h].name);
            buf_printf(&b, " %zu\n", m->hdr[h].id == SIP_H_VIA ? 0 : m->hdr[h].value.n);
        }
        seen[i][b.n] = '\0';
    }
    assert_string_equal(seen[0], seen[1]);
}

static void missing_credentials_are_no_failure(void **state)
{
    for (unsigned i = 0; i < 20; i++) {
        p28.cseq++;
        rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", NULL);
        assert_int_equal(rig_status(r), 401);
        assert_int_equal(r->n_bans, 0);
    }
    assert_int_equal(register_once(&p28), 200);
}

static void a_stale_nonce_is_no_failure(void **state)
{
    for (unsigned i = 0; i < 10; i++) {
        p28.cseq++;
        rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", NULL);
        char credentials[2048];
        str_copy_z(credentials, sizeof(credentials),
                   str_z(rig_credentials(r, &p28, "REGISTER", "sip:pbx.test", 1)));
        rig_wait(r, 301 * USEC_S);
        p28.cseq++;
        rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", credentials);
        assert_int_equal(rig_status(r), 401);
        const struct sip_msg *m = rig_msg(r, 0);
        assert_true(str_ifind(sip_msg_get(m, SIP_H_WWW_AUTHENTICATE), STR("stale=true")) > 0);
        assert_int_equal(r->n_bans, 0);
    }
}

static void a_replay_is_challenged(void **state)
{
    p28.cseq++;
    rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", NULL);
    char credentials[2048];
    str_copy_z(credentials, sizeof(credentials),
               str_z(rig_credentials(r, &p28, "REGISTER", "sip:pbx.test", 1)));
    p28.cseq++;
    rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", credentials);
    assert_int_equal(rig_status(r), 200);
    p28.flow = rig_udp("203.0.113.66:5060"); /* a listener on the wire */
    p28.cseq++;
    rig_send(r, &p28, "REGISTER", "sip:pbx.test", "Contact: <sip:evil@203.0.113.66>\r\n",
             credentials);
    assert_int_equal(rig_status(r), 401);
    assert_int_equal(registrar_count(r->pbx), 0);
}

static void malformed_credentials_are_400(void **state)
{
    p28.cseq++;
    rig_send(r, &p28, "REGISTER", "sip:pbx.test", "",
             "Authorization: Digest username=\"1428\", realm=\"pbx.test\"\r\n");
    assert_int_equal(rig_status(r), 400);
}

/* RFC 4475 regaut01 */
static void an_unknown_scheme_is_no_credential(void **state)
{
    p28.cseq++;
    rig_send(r, &p28, "REGISTER", "sip:pbx.test", "",
             "Authorization: NoOneKnowsThisScheme opaque-data=here\r\n");
    assert_int_equal(rig_status(r), 401);
}

static void hashes_stand_for_passwords(void **state)
{
    rig_free(r);
    /* H("1428:pbx.test:two"), computed elsewhere */
    begin_with("sip: {domain: pbx.test}\n"
               "extensions:\n"
               "  - {number: \"1427\", password: \"one\"}\n"
               "  - {number: \"1428\", ha1: 02d94cac5a532b88d4c26afb935a10ed}\n");
    p28.cseq = 1;
    rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", NULL);
    const struct sip_msg *m = rig_msg(r, 0);
    uint16_t i = m->first[SIP_H_WWW_AUTHENTICATE];
    /* SHA-256 would be answered by every modern phone and could be checked for 1427 alone. */
    assert_true(str_ifind(m->hdr[i - 1].value, STR("algorithm=MD5")) > 0);
    assert_int_equal(m->hdr[i - 1].next, 0);
    assert_int_equal(register_once(&p28), 200);
    p27.user = "1427";
    assert_int_equal(register_once(&p27), 200);
}

/* ---- From ---------------------------------------------------------------------------------------
 */

static const char *credentials_for(struct rig_phone *p, const char *method, const char *ruri)
{
    p->cseq++;
    rig_send(r, p, "REGISTER", "sip:pbx.test", "", NULL);
    static char proxy[2048];
    snprintf(proxy, sizeof(proxy), "Proxy-%s", rig_credentials(r, p, method, ruri, 1));
    return proxy;
}

static const struct config_extension *as(const char *from)
{
    struct rig_phone p = p27;
    p.aor = from;
    p27.cseq++;
    return check(&p, "MESSAGE", "sip:1428@pbx.test",
                 credentials_for(&p27, "MESSAGE", "sip:1428@pbx.test"))
        .extension;
}

static void from_may_be_any_of_ones_own(void **state)
{
    const struct config_extension *self = config_find_extension(pbx_config(r->pbx), STR("1427"));
    assert_ptr_equal(as("1427"), self);
    assert_ptr_equal(as("109Q1427"), self);
    assert_ptr_equal(as("07086661427"), self);
    assert_ptr_equal(as("anonymous"), self);
    assert_null(as("1428"));
    assert_null(as("%31428"));
    assert_null(as("07086661428"));
}

static void authorization_is_taken_where_phones_put_it(void **state)
{
    p28.cseq++;
    rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", NULL);
    const char *c = rig_credentials(r, &p28, "MESSAGE", "sip:1427@pbx.test", 1);
    assert_non_null(check(&p28, "MESSAGE", "sip:1427@pbx.test", c).extension);
}

/* ---- trunks -------------------------------------------------------------------------------------
 */

static void a_trunk_without_password_is_known_by_its_address(void **state)
{
    struct rig_phone p = p27;
    p.flow = rig_udp("192.0.2.77:5080");
    p.aor = "1428"; /* a carrier may show any number */
    struct gate_who who = check(&p, "MESSAGE", "sip:1427@pbx.test", "");
    assert_null(who.extension);
    assert_text(who.trunk->name, "kt");
    p.flow = rig_udp("192.0.2.77:5081");
    assert_null(check(&p, "MESSAGE", "sip:1427@pbx.test", "").trunk);
    p.flow = rig_tcp("192.0.2.77:40000", 5); /* over TCP, Via says where it listens */
    p.via = "192.0.2.77:5080";
    assert_text(check(&p, "MESSAGE", "sip:1427@pbx.test", "").trunk->name, "kt");
}

static void a_trunk_with_password_logs_in(void **state)
{
    struct rig_phone p = p27;
    p.flow = rig_udp("192.0.2.78:5060");
    p.user = "peer";
    p.password = "pw";
    assert_null(check(&p, "MESSAGE", "sip:1427@pbx.test", "").trunk);
    const char *c = credentials_for(&p, "MESSAGE", "sip:1427@pbx.test");
    assert_text(check(&p, "MESSAGE", "sip:1427@pbx.test", c).trunk->name, "log");
    /* It has no address of record. */
    assert_int_equal(register_once(&p), 403);
}

/* ---- bans ---------------------------------------------------------------------------------------
 */

static void guess(struct rig_phone *p, unsigned n)
{
    const char *password = p->password;
    p->password = "guess";
    for (unsigned i = 0; i < n; i++)
        register_once(p);
    p->password = password;
}

static unsigned bans(struct gate_ban *first)
{
    uint32_t at = 0;
    unsigned n = 0;
    struct gate_ban b;
    while (gate_ban_next(r->pbx, &at, &b))
        if (n++ == 0)
            *first = b;
    return n;
}

static void guessing_is_banned_for_longer_each_time(void **state)
{
    static const uint32_t seconds[] = {60, 120, 200, 200};
    struct gate_ban b;
    char line[256];
    for (unsigned i = 0; i < ARRAY_LEN(seconds); i++) {
        guess(&p28, 4);
        assert_int_equal(r->n_bans, 0);
        guess(&p28, 1);
        assert_int_equal(r->n_bans, 1);
        assert_int_equal(r->ban[0].seconds, seconds[i]);
        assert_true(addr_ip_eq(&r->ban[0].addr, &p28.flow.peer));
        assert_true(logged(TRACE_BANNED, line, sizeof(line)));
        char want[128];
        snprintf(want, sizeof(want), "ban src=198.51.100.54 seconds=%u failures=5", seconds[i]);
        assert_string_equal(line, want);
        assert_int_equal(bans(&b), 1);
        assert_int_equal(b.times, i + 1);
        assert_int_equal(b.seconds_left, seconds[i]);
        /* The right password does not help meanwhile. */
        p28.cseq++;
        rig_send(r, &p28, "REGISTER", "sip:pbx.test", "", NULL);
        assert_int_equal(rig_status(r), 403);
        assert_int_equal(register_once(&p27), 200); /* others are served */
        rig_clear(r);
        rig_wait(r, seconds[i] * USEC_S + USEC_MS);
        assert_int_equal(bans(&b), 0);
        assert_int_equal(r->n_bans, 1);
        assert_int_equal(r->ban[0].seconds, 0);
        assert_true(logged(TRACE_UNBANNED, line, sizeof(line)));
    }
    assert_int_equal(register_once(&p28), 200);
}

static void the_log_line_is_the_one_that_ban_tools_read(void **state)
{
    char line[512];
    p28.password = "guess";
    register_once(&p28);
    assert_true(logged(TRACE_AUTH_FAILED, line, sizeof(line)));
    assert_string_equal(line, "auth_failed src=198.51.100.54 transport=UDP method=REGISTER "
                              "user=\"1428\" reason=wrong_password");
    p28.user = "x' src=1.2.3.4 \x80 y";
    p28.aor = "1428";
    register_once(&p28);
    assert_true(logged(TRACE_AUTH_FAILED, line, sizeof(line)));
    assert_string_equal(line, "auth_failed src=198.51.100.54 transport=UDP method=REGISTER "
                              "user=\"x'?src=1.2.3.4???y\" reason=unknown_user");
}

static void success_forgives(void **state)
{
    for (unsigned i = 0; i < 5; i++) {
        guess(&p28, 4);
        assert_int_equal(register_once(&p28), 200);
    }
    struct gate_ban b;
    assert_int_equal(bans(&b), 0);
}

static void failures_are_forgotten(void **state)
{
    struct gate_ban b;
    guess(&p28, 4);
    rig_wait(r, 201 * USEC_S);
    guess(&p28, 4);
    assert_int_equal(bans(&b), 0);
    guess(&p28, 1);
    assert_int_equal(bans(&b), 1);
}

static void some_are_never_banned(void **state)
{
    struct gate_ban b;
    p28.flow = rig_udp("192.0.2.99:5060");
    guess(&p28, 20);
    assert_int_equal(bans(&b), 0);
    assert_int_equal(register_once(&p28), 200);
}

/* Many sources that guess one user's password: each gets fewer tries. */
static void a_user_guessed_from_everywhere_is_guarded(void **state)
{
    struct gate_ban b;
    for (unsigned i = 0; i < 21; i++) {
        p28.flow.peer.ip[3] = (uint8_t)(100 + i);
        guess(&p28, 1);
    }
    assert_int_equal(bans(&b), 0);
    p28.flow.peer.ip[3] = 200;
    guess(&p28, 2);
    assert_int_equal(bans(&b), 1);
}

static void the_table_of_sources_is_bounded(void **state)
{
    struct gate_ban b;
    for (unsigned i = 0; i < 100; i++) {
        p28.flow.peer.ip[3] = (uint8_t)i;
        gate_ban_put(r->pbx, &p28.flow.peer, 1000);
        rig_clear(r);
        rig_drain(r);
    }
    assert_int_equal(bans(&b), 16);
}

static void bans_can_be_set_and_lifted(void **state)
{
    struct gate_ban b;
    struct addr a = rig_addr("203.0.113.9:1");
    rig_clear(r);
    gate_ban_put(r->pbx, &a, 7);
    rig_drain(r);
    assert_int_equal(r->ban[0].seconds, 7);
    assert_int_equal(bans(&b), 1);
    assert_int_equal(b.seconds_left, 7);
    assert_int_equal(gate_ban_remove(r->pbx, &a), 0);
    assert_int_equal(gate_ban_remove(r->pbx, &a), -ENOENT);
    rig_drain(r);
    assert_int_equal(r->n_bans, 2);
    assert_int_equal(r->ban[1].seconds, 0);
    assert_int_equal(bans(&b), 0);
    /* A ban is of the network that one IPv6 subscriber has. */
    struct addr six = rig_addr("[2001:db8:1:2:3::4]:1");
    struct addr same = rig_addr("[2001:db8:1:2:ffff::]:9");
    gate_ban_put(r->pbx, &six, 0);
    rig_drain(r);
    assert_int_equal(bans(&b), 1);
    assert_int_equal(gate_ban_remove(r->pbx, &same), 0);
    rig_drain(r);
}

static void nothing_is_banned_when_switched_off(void **state)
{
    struct gate_ban b;
    rig_free(r);
    begin_with("sip: {domain: pbx.test}\nauth: {ban_after: 0}\n"
               "extensions: [{number: \"1428\", password: two}]\n");
    guess(&p28, 30);
    assert_int_equal(bans(&b), 0);
    assert_int_equal(register_once(&p28), 200);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(other_requests_are_challenged_with_407),
        T(the_stronger_algorithm_comes_first_and_both_open),
        T(a_wrong_password_is_asked_again_then_refused),
        T(unknown_users_look_like_wrong_passwords),
        T(missing_credentials_are_no_failure),
        T(a_stale_nonce_is_no_failure),
        T(a_replay_is_challenged),
        T(malformed_credentials_are_400),
        T(an_unknown_scheme_is_no_credential),
        T(hashes_stand_for_passwords),
        T(from_may_be_any_of_ones_own),
        T(authorization_is_taken_where_phones_put_it),
        T(a_trunk_without_password_is_known_by_its_address),
        T(a_trunk_with_password_logs_in),
        T(guessing_is_banned_for_longer_each_time),
        T(the_log_line_is_the_one_that_ban_tools_read),
        T(success_forgives),
        T(failures_are_forgotten),
        T(some_are_never_banned),
        T(a_user_guessed_from_everywhere_is_guarded),
        T(the_table_of_sources_is_bounded),
        T(bans_can_be_set_and_lifted),
        T(nothing_is_banned_when_switched_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
