/* Which challenge is answered, how, and how often. */
#include "unit/engine/sip/auth_test.h"

static struct digest *digest;
static struct rand rnd;

static int begin(void **state)
{
    rand_seed(&rnd, 7);
    digest = digest_new();
    return digest ? 0 : -1;
}

static int end(void **state)
{
    digest_free(digest);
    return mem_live() == 0 ? 0 : -1;
}

/* RFC 7616 3.9.1, and RFC 2069 2.4 with the erratum's result. */
static void the_arithmetic_is_that_of_the_rfcs(void **state)
{
    struct digest_fields f = {
        .nonce = STR("7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"),
        .uri = STR("/dir/index.html"),
        .qop = STR("auth"),
        .nc = STR("00000001"),
        .cnonce = STR("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"),
    };
    struct digest_hex ha1, r;
    digest_ha1(digest, DIGEST_MD5, STR("Mufasa"), STR("http-auth@example.org"),
               STR("Circle of Life"), &ha1);
    digest_response(digest, DIGEST_MD5, &ha1, &f, STR("GET"), &r);
    assert_text(str_of(r.text, r.n), "8ca523f5e9506fed4657c9700eebdbec");
    digest_ha1(digest, DIGEST_SHA256, STR("Mufasa"), STR("http-auth@example.org"),
               STR("Circle of Life"), &ha1);
    digest_response(digest, DIGEST_SHA256, &ha1, &f, STR("GET"), &r);
    assert_text(str_of(r.text, r.n),
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    struct digest_fields old = {.nonce = STR("dcd98b7102dd2f0e8b11d0f600bfb0c093"),
                                .uri = STR("/dir/index.html")};
    digest_ha1(digest, DIGEST_MD5, STR("Mufasa"), STR("testrealm@host.com"), STR("CircleOfLife"),
               &ha1);
    digest_response(digest, DIGEST_MD5, &ha1, &old, STR("GET"), &r);
    assert_text(str_of(r.text, r.n), "1949323746fe6a43ef61f9606e7febea");
}

static int choose(struct message *x, struct auth_challenge *c, unsigned status,
                  const char *const *text, unsigned n)
{
    struct str value[8];
    for (unsigned i = 0; i < n; i++)
        value[i] = str_z(text[i]);
    make_challenge(x, status, value, n);
    return auth_client_choose(c, &x->m);
}

static void the_strongest_known_challenge_is_chosen(void **state)
{
    static const char *const many[] = {
        "Digest realm=\"r\", nonce=\"m\", algorithm=MD5, qop=\"auth\"",
        "Digest realm=\"r\", nonce=\"x\", algorithm=SHA-999, qop=\"auth\"",
        "Digest realm=\"r\", nonce=\"s\", algorithm=SHA-256, qop=\"auth-int,auth\", opaque=\"\"",
        "Digest realm=\"r\", nonce=\"t\", algorithm=SHA-256, qop=\"auth\"",
        "Digest realm=\"r\", nonce=\"i\", algorithm=SHA-512-256, qop=\"auth-int\"",
        "Basic realm=\"r\"",
    };
    struct message x;
    struct auth_challenge c;
    assert_int_equal(choose(&x, &c, 401, many, ARRAY_LEN(many)), 0);
    assert_int_equal(c.alg, DIGEST_SHA256);
    assert_text(c.nonce, "s");
    assert_true(c.qop && c.has_opaque && !c.stale);
    assert_int_equal(c.answer_in, SIP_H_AUTHORIZATION);
    assert_int_equal(choose(&x, &c, 407, many, 1), 0);
    assert_int_equal(c.answer_in, SIP_H_PROXY_AUTHORIZATION);
}

static void nothing_known_is_nothing(void **state)
{
    static const char *const none[] = {
        "Digest realm=\"r\", nonce=\"i\", algorithm=MD5-sess, qop=\"auth\"",
        "Digest realm=\"r\", nonce=\"i\", qop=\"auth-int\"",
        "Digest nonce=\"i\", qop=\"auth\"",
        "Basic realm=\"r\"",
    };
    struct message x;
    struct auth_challenge c;
    assert_int_equal(choose(&x, &c, 401, none, ARRAY_LEN(none)), -ENOENT);
    assert_int_equal(choose(&x, &c, 403, none, 1), -ENOENT);
}

static void the_oldest_form_is_md5_without_qop(void **state)
{
    static const char *const old[] = {"Digest realm=\"r\", nonce=\"n\", stale=TRUE"};
    struct message x;
    struct auth_challenge c;
    struct auth_login login = {
        .user = STR("u"), .password = STR("p"), .method = STR("REGISTER"), .uri = STR("sip:r")};
    char mem[1024];
    struct buf b;
    assert_int_equal(choose(&x, &c, 401, old, 1), 0);
    assert_true(c.alg == DIGEST_MD5 && !c.qop && c.stale);
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(auth_client_answer(&b, digest, &rnd, &c, &login), 0);
    struct digest_fields f;
    assert_int_equal(digest_parse(&f, buf_str(&b)), 0);
    assert_null(f.qop.p);
    assert_null(f.nc.p);
    assert_null(f.cnonce.p);
    /* MD5(MD5(u:r:p):n:MD5(REGISTER:sip:r)), computed apart. */
    assert_text(f.response, "5790559ba44538767b07fb5adb649909");
}

/* The server of this house and the client understand each other, in each algorithm. */
static void server_and_client_agree(void **state)
{
    for (unsigned alg = 0; alg < DIGEST_ALG_COUNT; alg++) {
        struct auth_conf conf = {.realm = STR("pbx.test"),
                                 .alg = {(enum digest_alg)alg},
                                 .n_algs = 1,
                                 .nonce_life = 60 * USEC_S,
                                 .max_nonces = 16};
        struct auth_source who = {.now = USEC_S, .ip = {.family = ADDR_V4, .ip = {10, 0, 0, 1}}};
        struct auth_server *s = auth_server_new(&conf, digest, &rnd);
        char mem[AUTH_CHALLENGE_BYTES], out[1024] = "Authorization: ";
        struct buf b;
        struct str value[DIGEST_ALG_COUNT];
        struct message x, y;
        struct auth_challenge c;
        struct auth_cred cred;
        struct digest_hex ha1;
        buf_init(&b, mem, sizeof(mem));
        assert_int_equal(auth_server_challenge(s, &who, false, &b, value), 1);
        make_challenge(&x, 401, value, 1);
        assert_int_equal(auth_client_choose(&c, &x.m), 0);
        assert_int_equal(c.alg, alg);
        struct auth_login login = {.user = STR("ali\"ce"),
                                   .password = STR("secret"),
                                   .method = STR("REGISTER"),
                                   .uri = STR("sip:pbx.test"),
                                   .nc = 0xABCDEF,
                                   .attempt = 1};
        buf_init(&b, out, sizeof(out) - 1);
        b.n = strlen(out);
        assert_int_equal(auth_client_answer(&b, digest, &rnd, &c, &login), 0);
        out[b.n] = '\0';
        make_request(&y, "REGISTER", "sip:pbx.test", out);
        assert_int_equal(auth_server_find(s, &y.m, SIP_H_AUTHORIZATION, &cred), AUTH_OK);
        assert_text(cred.f.username, "ali\\\"ce");
        assert_int_equal(cred.nc, 0xABCDEF);
        digest_ha1(digest, cred.alg, STR("ali\"ce"), STR("pbx.test"), STR("secret"), &ha1);
        assert_int_equal(auth_server_check(s, &who, &y.m, &cred, &ha1), AUTH_OK);
        auth_server_free(s);
    }
}

static void no_room_is_an_error(void **state)
{
    static const char *const one[] = {"Digest realm=\"r\", nonce=\"n\", qop=\"auth\""};
    struct message x;
    struct auth_challenge c;
    struct auth_login login = {
        .user = STR("u"), .password = STR("p"), .method = STR("REGISTER"), .uri = STR("sip:r")};
    char mem[64];
    struct buf b;
    assert_int_equal(choose(&x, &c, 401, one, 1), 0);
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(auth_client_answer(&b, digest, &rnd, &c, &login), -EMSGSIZE);
}

/* Sends a request whose credentials were attempt `before` (-1: none) for `realm` and asks whether a
 * further challenge may be answered. */
static int next(int before, const char *realm, bool stale, unsigned *attempt)
{
    char field[1024] = "Authorization: ";
    struct message x;
    struct buf b;
    struct auth_challenge sent = {.realm = str_z(realm), .nonce = STR("n"), .qop = true};
    struct auth_challenge c = {.realm = STR("r"),
                               .nonce = STR("m"),
                               .qop = true,
                               .stale = stale,
                               .answer_in = SIP_H_AUTHORIZATION};
    struct auth_login login = {.user = STR("u"),
                               .password = STR("p"),
                               .method = STR("REGISTER"),
                               .uri = STR("sip:r"),
                               .nc = 1,
                               .attempt = before < 0 ? 0 : (unsigned)before};
    buf_init(&b, field, sizeof(field) - 1);
    b.n = strlen(field);
    assert_int_equal(auth_client_answer(&b, digest, &rnd, &sent, &login), 0);
    field[b.n] = '\0';
    make_request(&x, "REGISTER", "sip:r", before < 0 ? NULL : field);
    return auth_client_next(attempt, &x.m, &c);
}

static void a_refusal_ends_it(void **state)
{
    unsigned attempt = 99;
    assert_int_equal(next(1, "r", false, &attempt), -EALREADY);
    assert_int_equal(attempt, 99);
    assert_int_equal(next(-1, "r", false, &attempt), 0);
    assert_int_equal(attempt, 1);
    assert_int_equal(next(0, "r", false, &attempt), 0); /* an old nonce, sent unasked */
    assert_int_equal(attempt, 1);
}

static void stale_is_no_refusal_but_not_for_ever(void **state)
{
    unsigned attempt;
    assert_int_equal(next(1, "r", true, &attempt), 0);
    assert_int_equal(attempt, 2);
    assert_int_equal(next(2, "r", true, &attempt), 0);
    assert_int_equal(attempt, 3);
    assert_int_equal(next(3, "r", true, &attempt), -EALREADY);
    /* A server that changes its realm each time comes to the same end. */
    assert_int_equal(next(1, "q", false, &attempt), 0);
    assert_int_equal(attempt, 2);
    assert_int_equal(next(3, "q", false, &attempt), -EALREADY);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        T(the_arithmetic_is_that_of_the_rfcs),
        T(the_strongest_known_challenge_is_chosen),
        T(nothing_known_is_nothing),
        T(the_oldest_form_is_md5_without_qop),
        T(server_and_client_agree),
        T(no_room_is_an_error),
        T(a_refusal_ends_it),
        T(stale_is_no_refusal_but_not_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
