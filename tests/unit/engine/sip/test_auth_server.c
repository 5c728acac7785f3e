/* Challenges, nonces and credentials, in virtual time. */
#include "unit/engine/sip/auth_test.h"

#include <stdlib.h>

#define LIFE (300 * USEC_S)

static struct digest *digest;
static struct rand rnd;
static struct auth_server *server;
static usec_t now;
static struct auth_source source = {.ip = {.family = ADDR_V4, .ip = {192, 0, 2, 7}}};

static int begin(void **state)
{
    struct auth_conf conf = {.realm = STR("pbx.test"),
                             .alg = {DIGEST_SHA256, DIGEST_MD5},
                             .n_algs = 2,
                             .nonce_life = LIFE,
                             .max_nonces = 64};
    rand_seed(&rnd, 1);
    now = 5000 * USEC_S;
    digest = digest_new();
    server = auth_server_new(&conf, digest, &rnd);
    return digest && server ? 0 : -1;
}

static int end(void **state)
{
    auth_server_free(server);
    digest_free(digest);
    return mem_live() == 0 ? 0 : -1;
}

/* Who asks: another address where a test says so. */
static const struct auth_source *asker(void)
{
    source.now = now;
    return &source;
}

/* ---- a client ----------------------------------------------------------------------------------
 */

struct challenge {
    char mem[AUTH_CHALLENGE_BYTES];
    struct str value[DIGEST_ALG_COUNT];
    unsigned n;
    struct digest_fields f[DIGEST_ALG_COUNT];
};

static void get_challenge(struct challenge *c, bool stale)
{
    struct buf b;
    buf_init(&b, c->mem, sizeof(c->mem));
    c->n = auth_server_challenge(server, asker(), stale, &b, c->value);
    for (unsigned i = 0; i < c->n; i++)
        assert_int_equal(digest_parse(&c->f[i], c->value[i]), 0);
}

/* What a client knows, and what it may get wrong. */
struct answer {
    const char *method, *ruri, *uri, *user, *password, *realm, *qop;
    struct str nonce;
    enum digest_alg alg;
    uint32_t nc;
    bool no_algorithm;
};

static struct answer right(const struct challenge *c)
{
    return (struct answer){.method = "REGISTER",
                           .ruri = "sip:pbx.test",
                           .uri = "sip:pbx.test",
                           .user = "alice",
                           .password = "secret",
                           .realm = "pbx.test",
                           .qop = "auth",
                           .nonce = c->f[0].nonce,
                           .alg = DIGEST_SHA256,
                           .nc = 1};
}

static void put_answer(struct buf *b, const struct answer *a)
{
    char nc[9];
    struct digest_hex ha1, response;
    snprintf(nc, sizeof(nc), "%08x", a->nc);
    struct digest_fields f = {.nonce = a->nonce, .uri = str_z(a->uri)};
    if (a->qop) {
        f.qop = str_z(a->qop);
        f.nc = str_z(nc);
        f.cnonce = STR("0a4f113b");
    }
    digest_ha1(digest, a->alg, str_z(a->user), str_z(a->realm), str_z(a->password), &ha1);
    digest_response(digest, a->alg, &ha1, &f, str_z(a->method), &response);
    buf_printf(b,
               "Digest username=\"%s\", realm=\"%s\", nonce=\"" STR_FMT
               "\", uri=\"%s\", response=\"%.*s\"",
               a->user, a->realm, STR_ARG(a->nonce), a->uri, response.n, response.text);
    if (!a->no_algorithm)
        buf_printf(b, ", algorithm=" STR_FMT, STR_ARG(digest_alg_name(a->alg)));
    if (a->qop)
        buf_printf(b, ", qop=%s, nc=%s, cnonce=\"0a4f113b\"", a->qop, nc);
}

static enum auth_verdict judge_text(const struct answer *a, const char *field)
{
    struct message x;
    struct auth_cred cred;
    struct digest_hex ha1;
    make_request(&x, a->method, a->ruri, field);
    enum auth_verdict v = auth_server_find(server, &x.m, SIP_H_AUTHORIZATION, &cred);
    if (v != AUTH_OK)
        return v;
    digest_ha1(digest, cred.alg, STR("alice"), STR("pbx.test"), STR("secret"), &ha1);
    bool known = str_eq(cred.f.username, STR("alice"));
    return auth_server_check(server, asker(), &x.m, &cred, known ? &ha1 : NULL);
}

static enum auth_verdict judge(const struct answer *a)
{
    char mem[2048];
    struct buf b;
    buf_init(&b, mem, sizeof(mem) - 1);
    buf_lit(&b, "Authorization: ");
    put_answer(&b, a);
    mem[b.n] = '\0';
    return judge_text(a, mem);
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void one_challenge_for_each_algorithm_in_order(void **state)
{
    struct challenge c;
    get_challenge(&c, false);
    assert_int_equal(c.n, 2);
    assert_text(c.f[0].algorithm, "SHA-256");
    assert_text(c.f[1].algorithm, "MD5");
    for (unsigned i = 0; i < 2; i++) {
        assert_text(c.f[i].realm, "pbx.test");
        assert_text(c.f[i].qop, "auth");
        assert_null(c.f[i].stale.p);
        assert_true(c.f[i].nonce.n >= 32);
        assert_int_equal(c.f[i].opaque.n, 16);
    }
    char first[128];
    str_copy_z(first, sizeof(first), c.f[0].nonce);
    get_challenge(&c, true);
    assert_text(c.f[1].stale, "true");
    assert_false(str_eq(c.f[0].nonce, str_z(first)));
}

static void a_realm_with_quotes_stays_one_parameter(void **state)
{
    struct auth_conf conf = {.realm = STR("a\"b\\c"), .alg = {DIGEST_MD5}, .n_algs = 1};
    struct challenge c;
    auth_server_reconfigure(server, &conf);
    get_challenge(&c, false);
    assert_int_equal(c.n, 1);
    assert_text(c.f[0].realm, "a\\\"b\\\\c");
}

static void a_challenge_without_room_is_none(void **state)
{
    char mem[100];
    struct buf b;
    struct str value[DIGEST_ALG_COUNT];
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(auth_server_challenge(server, asker(), false, &b, value), 0);
}

static void the_right_password_opens(void **state)
{
    struct challenge c;
    get_challenge(&c, false);
    struct answer a = right(&c);
    assert_int_equal(judge(&a), AUTH_OK);
    a.alg = DIGEST_MD5;
    a.nc = 2;
    assert_int_equal(judge(&a), AUTH_OK);
    a.nc = 3;
    a.no_algorithm = true; /* RFC 7616 3.4: then it is MD5 */
    assert_int_equal(judge(&a), AUTH_OK);
}

static void everything_else_is_wrong_in_the_same_way(void **state)
{
    struct challenge c;
    get_challenge(&c, false);
    struct answer a = right(&c);
    a.password = "guess";
    assert_int_equal(judge(&a), AUTH_WRONG);
    a = right(&c);
    a.user = "nobody"; /* even with what would be the right response for that user */
    assert_int_equal(judge(&a), AUTH_WRONG);
    a = right(&c); /* a wrong answer does not use the nonce up */
    assert_int_equal(judge(&a), AUTH_OK);
}

static void the_method_is_part_of_it(void **state)
{
    struct challenge c;
    char mem[2048];
    struct buf b;
    get_challenge(&c, false);
    struct answer a = right(&c);
    buf_init(&b, mem, sizeof(mem) - 1);
    buf_lit(&b, "Authorization: ");
    put_answer(&b, &a);
    mem[b.n] = '\0';
    a.method = "OPTIONS";
    assert_int_equal(judge_text(&a, mem), AUTH_WRONG);
}

static void a_count_is_good_once(void **state)
{
    struct challenge c;
    get_challenge(&c, false);
    struct answer a = right(&c);
    assert_int_equal(judge(&a), AUTH_OK);
    assert_int_equal(judge(&a), AUTH_REPLAYED);
    a.nc = 5;
    assert_int_equal(judge(&a), AUTH_OK);
    for (a.nc = 2; a.nc < 5; a.nc++) { /* overtaken ones, once each */
        assert_int_equal(judge(&a), AUTH_OK);
        assert_int_equal(judge(&a), AUTH_REPLAYED);
    }
    a.nc = 5;
    assert_int_equal(judge(&a), AUTH_REPLAYED);
    a.nc = 1000;
    assert_int_equal(judge(&a), AUTH_OK);
    a.nc = 1000 - 63;
    assert_int_equal(judge(&a), AUTH_OK);
    a.nc = 1000 - 64; /* out of the window: nobody knows any more */
    assert_int_equal(judge(&a), AUTH_REPLAYED);
    a.nc = 1000 - 100;
    assert_int_equal(judge(&a), AUTH_REPLAYED);
    a.nc = UINT32_MAX;
    assert_int_equal(judge(&a), AUTH_OK);
    assert_int_equal(judge(&a), AUTH_REPLAYED);
}

static void a_nonce_grows_old(void **state)
{
    struct challenge c;
    get_challenge(&c, false);
    struct answer a = right(&c);
    now += LIFE - USEC_S;
    assert_int_equal(judge(&a), AUTH_OK);
    now += 2 * USEC_S;
    a.nc = 2;
    assert_int_equal(judge(&a), AUTH_STALE);
    a.password = "guess"; /* stale is told to those who know the password */
    assert_int_equal(judge(&a), AUTH_WRONG);
}

/* Else a forged source would count as the failure of its owner; and if right and wrong passwords
 * were told apart here, this would be a way to guess without being counted. */
static void a_nonce_of_another_address_says_nothing_of_the_password(void **state)
{
    static const struct addr own = {.family = ADDR_V4, .ip = {192, 0, 2, 7}};
    struct challenge c;
    get_challenge(&c, false);
    struct answer a = right(&c);
    source.ip.ip[3] = 8;
    assert_int_equal(judge(&a), AUTH_STALE);
    a.password = "guess";
    assert_int_equal(judge(&a), AUTH_STALE);
    a.nonce = STR("forged");
    assert_int_equal(judge(&a), AUTH_STALE);
    source.ip = own;
    a = right(&c);
    source.ip.port = 1234; /* a phone behind NAT may get another port */
    assert_int_equal(judge(&a), AUTH_OK);
    source.ip = (struct addr){.family = ADDR_V6, .ip = {0x20, 1, [15] = 1}};
    get_challenge(&c, false);
    a = right(&c);
    source.ip.ip[15] = 2; /* a privacy address of the same network */
    assert_int_equal(judge(&a), AUTH_OK);
    source.ip = own;
}

static void a_forged_nonce_is_not_ours(void **state)
{
    struct challenge c;
    char forged[128];
    get_challenge(&c, false);
    struct answer a = right(&c);
    for (size_t i = 0; i < a.nonce.n; i++) {
        str_copy_z(forged, sizeof(forged), c.f[0].nonce);
        forged[i] = forged[i] == '0' ? '1' : '0';
        a.nonce = str_z(forged);
        assert_int_equal(judge(&a), AUTH_STALE);
    }
    a.nonce = str_sub(c.f[0].nonce, 0, c.f[0].nonce.n - 1);
    assert_int_equal(judge(&a), AUTH_STALE);
    str_copy_z(forged, sizeof(forged), c.f[0].nonce);
    for (char *p = forged; *p; p++)
        *p = *p >= 'a' ? (char)(*p - 32) : *p;
    a.nonce = str_z(forged); /* another spelling would be another key in the table */
    assert_int_equal(judge(&a), AUTH_STALE);
}

/* The table has 16 sets of 8 here: a thousand nonces push most of them out, and none of those may
 * be good again. */
static void what_is_forgotten_is_stale_not_fresh(void **state)
{
    enum { N = 1000 };
    struct challenge c;
    static char nonce[N][128];
    unsigned replayed = 0, stale = 0;
    for (unsigned i = 0; i < N; i++) {
        now += 10 * USEC_MS;
        get_challenge(&c, false);
        str_copy_z(nonce[i], sizeof(nonce[i]), c.f[0].nonce);
        struct answer a = right(&c);
        assert_int_equal(judge(&a), AUTH_OK);
    }
    for (unsigned i = 0; i < N; i++) {
        struct answer a = right(&c);
        a.nonce = str_z(nonce[i]);
        enum auth_verdict v = judge(&a);
        replayed += v == AUTH_REPLAYED;
        stale += v == AUTH_STALE;
    }
    assert_int_equal(replayed + stale, N);
    assert_true(replayed >= 64 && replayed <= 128);
}

static void old_phones_without_qop_get_one_use(void **state)
{
    struct challenge c;
    get_challenge(&c, false);
    struct answer a = right(&c);
    a.qop = NULL;
    assert_int_equal(judge(&a), AUTH_MALFORMED); /* SHA-256 is younger than qop */
    a.alg = DIGEST_MD5;
    assert_int_equal(judge(&a), AUTH_OK);
    assert_int_equal(judge(&a), AUTH_REPLAYED);
    a.qop = "auth";
    a.nc = 9;
    assert_int_equal(judge(&a), AUTH_REPLAYED);
    get_challenge(&c, false);
    a = right(&c);
    assert_int_equal(judge(&a), AUTH_OK);
    a.alg = DIGEST_MD5;
    a.qop = NULL;
    assert_int_equal(judge(&a), AUTH_REPLAYED);
}

static void the_uri_must_name_the_resource(void **state)
{
    struct challenge c;
    get_challenge(&c, false);
    struct answer a = right(&c);
    a.method = "INVITE";
    a.ruri = "sip:1428@pbx.test";
    a.uri = "sip:1428@10.0.0.1;transport=tcp"; /* rewritten on the way */
    assert_int_equal(judge(&a), AUTH_OK);
    a.nc++;
    a.uri = "sip:%31428@pbx.test";
    assert_int_equal(judge(&a), AUTH_OK);
    a.nc++;
    a.uri = "sip:00900123@pbx.test";
    assert_int_equal(judge(&a), AUTH_MISMATCH);
    a.uri = "not a uri";
    assert_int_equal(judge(&a), AUTH_MISMATCH);
    a.uri = "sip:10.0.0.1:5060"; /* the server's address, as SIPp writes it */
    assert_int_equal(judge(&a), AUTH_OK);
    a = right(&c);
    a.nc = 5;
    a.uri = "sip:alice@pbx.test"; /* REGISTER, as some phones write it */
    assert_int_equal(judge(&a), AUTH_OK);
}

static void what_is_not_for_us_is_no_credential(void **state)
{
    struct challenge c;
    struct message x;
    struct auth_cred cred;
    get_challenge(&c, false);
    struct answer a = right(&c);
    a.realm = "elsewhere";
    assert_int_equal(judge(&a), AUTH_NONE);
    a = right(&c);
    a.alg = DIGEST_SHA512_256; /* not offered */
    assert_int_equal(judge(&a), AUTH_NONE);
    make_request(&x, "REGISTER", "sip:pbx.test", NULL);
    assert_int_equal(auth_server_find(server, &x.m, SIP_H_AUTHORIZATION, &cred), AUTH_NONE);
    make_request(&x, "REGISTER", "sip:pbx.test", "Authorization: Basic realm=x");
    assert_int_equal(auth_server_find(server, &x.m, SIP_H_AUTHORIZATION, &cred), AUTH_NONE);
}

static void ours_is_found_among_others(void **state)
{
    struct challenge c;
    char mem[2048];
    struct buf b;
    get_challenge(&c, false);
    struct answer a = right(&c);
    buf_init(&b, mem, sizeof(mem) - 1);
    buf_lit(&b, "Authorization: Digest username=\"x\", realm=\"other\", nonce=\"n\", uri=\"u\", "
                "response=\"r\"\r\nAuthorization: ");
    put_answer(&b, &a);
    mem[b.n] = '\0';
    assert_int_equal(judge_text(&a, mem), AUTH_OK);
}

static void malformed_credentials_are_told_apart(void **state)
{
    static const char *const bad[] = {
        "username=\"alice\", realm=\"pbx.test\", nonce=\"n\", response=\"r\", algorithm=MD5",
        "username=\"alice\", realm=\"pbx.test\", uri=\"u\", response=\"r\", algorithm=MD5",
        "realm=\"pbx.test\", nonce=\"n\", uri=\"u\", response=\"r\", algorithm=MD5",
        "username=\"alice\", realm=\"pbx.test\", nonce=\"n\", uri=\"u\", algorithm=MD5",
        "username=\"alice\", realm=\"pbx.test\", nonce=\"n\", uri=\"u\", response=\"r\", qop=auth, "
        "nc=1, cnonce=\"c\"",
        "username=\"alice\", realm=\"pbx.test\", nonce=\"n\", uri=\"u\", response=\"r\", qop=auth, "
        "nc=00000000, cnonce=\"c\"",
        "username=\"alice\", realm=\"pbx.test\", nonce=\"n\", uri=\"u\", response=\"r\", qop=auth, "
        "nc=0000000g, cnonce=\"c\"",
        "username=\"alice\", realm=\"pbx.test\", nonce=\"n\", uri=\"u\", response=\"r\", qop=auth, "
        "nc=00000001",
        "username=\"alice\", realm=\"pbx.test\", nonce=\"n\", uri=\"u\", response=\"r\", "
        "qop=auth-int, nc=00000001, cnonce=\"c\"",
        "username=\"alice\", realm=\"pbx.test\", nonce=\"n\", uri=\"u\", response=\"r\", "
        "userhash=true",
    };
    struct answer a = {.method = "REGISTER", .ruri = "sip:pbx.test"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        char mem[512];
        snprintf(mem, sizeof(mem), "Authorization: Digest %s", bad[i]);
        if (judge_text(&a, mem) != AUTH_MALFORMED)
            fail_msg("accepted: %s", bad[i]);
    }
}

static void a_response_in_capitals_is_read(void **state)
{
    struct challenge c;
    char mem[2048];
    struct buf b;
    get_challenge(&c, false);
    struct answer a = right(&c);
    buf_init(&b, mem, sizeof(mem) - 1);
    buf_lit(&b, "Authorization: ");
    put_answer(&b, &a);
    mem[b.n] = '\0';
    char *p = strstr(mem, "response=\"") + 10;
    for (; *p != '"'; p++)
        *p = *p >= 'a' ? (char)(*p - 32) : *p;
    assert_int_equal(judge_text(&a, mem), AUTH_OK);
}

static void a_new_configuration_makes_old_nonces_stale(void **state)
{
    struct auth_conf conf = {
        .realm = STR("pbx.test"), .alg = {DIGEST_MD5}, .n_algs = 1, .nonce_life = 10 * LIFE};
    struct challenge c;
    get_challenge(&c, false);
    struct answer a = right(&c);
    a.alg = DIGEST_MD5;
    now += USEC_S;
    auth_server_reconfigure(server, &conf);
    assert_int_equal(judge(&a), AUTH_STALE);
    now += USEC_S;
    get_challenge(&c, false);
    assert_int_equal(c.n, 1);
    a.nonce = c.f[0].nonce;
    assert_int_equal(judge(&a), AUTH_OK);
    a.alg = DIGEST_SHA256;
    a.nc = 2;
    assert_int_equal(judge(&a), AUTH_NONE);
}

static void memory_failures_leave_nothing(void **state)
{
    struct auth_conf conf = {.realm = STR("r"), .alg = {DIGEST_MD5}, .n_algs = 1};
    uint64_t live = mem_live();
    mem_fail_after(1);
    assert_null(auth_server_new(&conf, digest, &rnd));
    mem_fail_after(2);
    struct auth_server *s = auth_server_new(&conf, digest, &rnd);
    mem_fail_after(0);
    auth_server_free(s);
    assert_int_equal(mem_live(), live);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(one_challenge_for_each_algorithm_in_order),
        T(a_realm_with_quotes_stays_one_parameter),
        T(a_challenge_without_room_is_none),
        T(the_right_password_opens),
        T(everything_else_is_wrong_in_the_same_way),
        T(the_method_is_part_of_it),
        T(a_count_is_good_once),
        T(a_nonce_grows_old),
        T(a_forged_nonce_is_not_ours),
        T(a_nonce_of_another_address_says_nothing_of_the_password),
        T(what_is_forgotten_is_stale_not_fresh),
        T(old_phones_without_qop_get_one_use),
        T(the_uri_must_name_the_resource),
        T(what_is_not_for_us_is_no_credential),
        T(ours_is_found_among_others),
        T(malformed_credentials_are_told_apart),
        T(a_response_in_capitals_is_read),
        T(a_new_configuration_makes_old_nonces_stale),
        T(memory_failures_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
