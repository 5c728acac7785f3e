/* Certificates of our own and of clients: which one of several is shown, what a certificate may be
 * for, and who a client is that need not show one. */
#include "tls_pair.h"

/* ---- what they are for -------------------------------------------------------------------------
 */

/* RFC 5924 section 4, for servers (side 0 judges) and clients (side 1 does). */
static void used_as(const char *usage, const char *key_usage, bool server, bool client)
{
    static struct pair p;
    struct cert_plan plan = {.names = "DNS:pbx.test",
                             .usage = usage,
                             .key_usage = key_usage,
                             .from_s = -60,
                             .until_s = CERT_DAY};
    struct tls_config cfg = client_config();
    meet(&p, cert_make(&plan, &ca), &cfg, "pbx.test");
    if (server)
        assert_talks(&p);
    else
        assert_refused(&p, 0, "its certificate is for other uses than SIP");
    pair_done(&p);
    meet_client(&p, cert_make(&plan, &ca), true);
    settle(&p);
    assert_int_equal(tls_session_is_up(p.s[1]), client);
    if (!client)
        assert_string_equal(tls_session_why(p.s[1]).p,
                            "its certificate is for other uses than SIP");
    pair_done(&p);
}

static void test_uses(void **state)
{
    used_as(NULL, NULL, true, true);
    used_as("1.3.6.1.5.5.7.3.20", NULL, true, true); /* for SIP domains */
    used_as("emailProtection,1.3.6.1.5.5.7.3.20", NULL, true, true);
    used_as("anyExtendedKeyUsage", NULL, true, true);
    used_as("serverAuth", NULL, true, true); /* what the Web's authorities give */
    used_as("serverAuth,clientAuth", NULL, true, true);
    used_as("clientAuth", NULL, false, true);
    used_as("emailProtection", NULL, false, false);
    used_as("codeSigning,1.3.6.1.5.5.7.3.21", NULL, false, false);
    /* What its key may do counts beside. */
    used_as("1.3.6.1.5.5.7.3.20", "digitalSignature", true, true);
    used_as("1.3.6.1.5.5.7.3.20", "keyCertSign", false, false);
    used_as(NULL, "keyCertSign", false, false);
}

/* An authority that is for something else vouches for nobody. */
static void test_uses_of_authorities(void **state)
{
    static struct pair p;
    static const char *const usage[] = {"codeSigning", "1.3.6.1.5.5.7.3.20"};
    for (unsigned i = 0; i < 2; i++) {
        struct tls_config client = client_config();
        struct cert_plan plan = {.common_name = "Middle",
                                 .usage = usage[i],
                                 .from_s = -60,
                                 .until_s = CERT_DAY,
                                 .authority = true};
        struct cert middle = cert_make(&plan, &ca), leaf = cert_for("DNS:pbx.test", &middle);
        struct tls_config server = server_config();
        struct tls_target target = {.host = STR("pbx.test")};
        cert_write(&leaf, cert_file, key_file);
        cert_append(&middle, cert_file);
        cert_free(&middle);
        cert_free(&leaf);
        pair_open(&p, &client, &server);
        sessions_open(&p, &target);
        if (i == 0)
            assert_refused(&p, 0, "its certificate is for other uses than SIP");
        else
            assert_talks(&p);
        pair_done(&p);
    }
}

/* ---- clients ------------------------------------------------------------------------------------
 */

/* A client that is asked only gets in with any certificate or none; who it is, is known where what
 * it showed holds. */
static void asked(struct cert cert, bool show, bool known, const char *doubt)
{
    static struct pair p;
    char mem[200];
    struct buf b;
    struct tls_config cfg = server_config();
    cfg.ask_client = true;
    meet_client(&p, cert, show);
    for (unsigned i = 0; i < 2; i++) {
        if (i == 0) {
            char why_mem[200];
            struct buf why;
            buf_init(&why, why_mem, sizeof(why_mem));
            assert_int_equal(tls_ctx_reload(p.tls[1], &cfg, &why), 0);
        }
        sessions_free(&p);
        sessions_open(&p, &(struct tls_target){.host = STR("pbx.test")});
        assert_talks(&p);
        assert_int_equal(tls_session_is_resumed(p.s[1]), i); /* it is remembered with the session */
        assert_int_equal(proves(p.s[1], STR("Phone.test")), known);
        assert_false(proves(p.s[1], STR("pbx.test")));
        assert_false(proves(p.s[0], STR("pbx.test"))); /* that is no client's */
        assert_int_equal(serves(p.s[1], STR("phone.test")), known);
        buf_init(&b, mem, sizeof(mem) - 1);
        tls_session_doubt(p.s[1], &b);
        mem[b.n] = '\0';
        assert_string_equal(mem, doubt);
    }
    pair_done(&p);
}

static void test_asked_clients(void **state)
{
    struct cert_plan old = {.names = "DNS:phone.test", .from_s = -9, .until_s = -5};
    asked(cert_for("DNS:phone.test", &ca), true, true, "");
    asked(cert_for("DNS:phone.test", &ca), false, false, "");
    asked(cert_for("DNS:*.test", &ca), true, false, "");
    asked(cert_for("DNS:phone.test", NULL), true, false, "its certificate is self-signed");
    asked(cert_for("DNS:phone.test", &stranger), true, false,
          "its certificate is of an unknown authority");
    asked(cert_make(&old, &ca), true, false, "its certificate has expired");
}

static void meet_again(struct pair *p, bool resumed)
{
    sessions_free(p);
    sessions_open(p, &(struct tls_target){.host = STR("pbx.test")});
    assert_talks(p);
    assert_int_equal(tls_session_is_resumed(p->s[1]), resumed);
}

/* A certificate that ends proves nothing from then on: not on the connection on which it was shown,
 * not by a ticket, and it lets nobody in who must show one. It is the same for one above it. */
static void test_end_of_client(void **state)
{
    static struct pair p;
    for (unsigned above = 0; above < 2; above++) {
        struct cert_plan brief = {.names = "DNS:phone.test", .from_s = -60, .until_s = 3};
        struct cert_plan middle = {
            .common_name = "Middle", .from_s = -60, .until_s = 3, .authority = true};
        struct cert issuer = cert_make(&middle, &ca);
        uint64_t until = test_ms() + 20000;
        meet_client(&p, above ? cert_for("DNS:phone.test", &issuer) : cert_make(&brief, &ca), true);
        if (above) { /* shown with the leaf */
            cert_append(&issuer, phone_cert);
            struct tls_config client = client_config();
            client.certificate = phone_cert;
            client.private_key = phone_key;
            char mem[200];
            struct buf why;
            buf_init(&why, mem, sizeof(mem));
            assert_int_equal(tls_ctx_reload(p.tls[0], &client, &why), 0);
        }
        cert_free(&issuer);
        meet_again(&p, false);
        meet_again(&p, true); /* its own ticket has the time too */
        assert_true(proves(p.s[1], STR("phone.test")));
        assert_true(serves(p.s[1], STR("phone.test")));
        while (proves(p.s[1], STR("phone.test")))
            assert_true(test_ms() < until);
        assert_false(serves(p.s[1], STR("phone.test")));
        sessions_free(&p);
        sessions_open(&p, &(struct tls_target){.host = STR("pbx.test")});
        assert_refused(&p, 1, "its certificate has expired");
        pair_done(&p);
    }
}

static void trust(struct pair *p, const struct cert *authority)
{
    char mem[200];
    struct buf why;
    buf_init(&why, mem, sizeof(mem));
    cert_write(authority, ca_file, NULL);
    assert_int_equal(tls_ctx_reload(p->tls[1], NULL, &why), 0);
}

/* Nor does one whose authority is not trusted any more, until it is again. */
static void test_trust_withdrawn(void **state)
{
    static struct pair p;
    meet_client(&p, cert_for("DNS:phone.test", &ca), true);
    for (unsigned resumed = 0; resumed < 2; resumed++) {
        meet_again(&p, resumed);
        for (unsigned i = 0; i < 2; i++) {
            trust(&p, &ca); /* read again, the same */
            assert_true(proves(p.s[1], STR("phone.test")));
            trust(&p, &stranger);
            assert_false(proves(p.s[1], STR("phone.test")));
            assert_false(serves(p.s[1], STR("phone.test")));
        }
        trust(&p, &ca);
        assert_true(proves(p.s[1], STR("phone.test")));
        meet_again(&p, false); /* tickets of before a reload are void */
    }
    pair_done(&p);
}

/* ---- several certificates ----------------------------------------------------------------------
 */

static char more_file[3][2][100]; /* a pair each */

static void more_write(unsigned i, const char *names)
{
    struct cert c = cert_for(names, &ca);
    snprintf(more_file[i][0], sizeof(more_file[i][0]), "%s/more%u.pem", dir, i);
    snprintf(more_file[i][1], sizeof(more_file[i][1]), "%s/more%u.key", dir, i);
    cert_write(&c, more_file[i][0], more_file[i][1]);
    cert_free(&c);
}

/* What is a client who asks for `host` shown, which it trusts if it covers `covers`? */
static void shown(struct pair *p, const char *host, const char *covers)
{
    sessions_free(p);
    p->s[0] = p->s[1] = NULL;
    sessions_open(p, &(struct tls_target){.host = str_z(host)});
    settle(p);
    bool right = !strcmp(host, covers);
    assert_int_equal(tls_session_is_up(p->s[0]), right);
    if (right)
        return;
    /* It is not for whom the client wanted; who is it for? */
    char mem[100];
    struct buf why;
    struct tls_config any = {.verify_peer = false};
    struct tls_ctx *trusting = NULL;
    buf_init(&why, mem, sizeof(mem));
    assert_int_equal(tls_ctx_new(&trusting, &any, &why), 0);
    struct tls_ctx *before = p->tls[0];
    sessions_free(p);
    p->tls[0] = trusting;
    sessions_open(p, &(struct tls_target){.host = str_z(host)});
    assert_talks(p);
    X509 *cert = SSL_get0_peer_certificate(p->s[0]->ssl);
    if (!tls_peer_covers(cert, str_z(covers)))
        fail_msg("%s is not shown what covers %s", host, covers);
    sessions_free(p);
    p->s[0] = p->s[1] = NULL;
    p->tls[0] = before;
    tls_ctx_free(trusting);
}

static void test_names_asked_for(void **state)
{
    static struct pair p;
    struct tls_config client = client_config(), server = server_config();
    struct str names[] = {STR("branch.test"), STR("Shop.test")};
    more_write(0, "DNS:one.test,URI:sip:uno.test");
    more_write(1, "DNS:pbx.test,DNS:two.test,DNS:*.wild.test");
    more_write(2, "DNS:three.test,DNS:shop.test");
    struct tls_certificate more[3];
    for (unsigned i = 0; i < 3; i++)
        more[i] = (struct tls_certificate){.certificate = more_file[i][0],
                                           .private_key = more_file[i][1]};
    more[2].name = names;
    more[2].n_names = 2;
    server.more = more;
    server.n_more = 3;
    struct cert own = cert_for("DNS:pbx.test", &ca);
    cert_write(&own, cert_file, key_file);
    cert_free(&own);
    pair_open(&p, &client, &server);
    memset(more, 0, sizeof(more)); /* it has kept its own copy */
    shown(&p, "pbx.test", "pbx.test");
    shown(&p, "uno.test", "uno.test");
    shown(&p, "TWO.test", "TWO.test");
    shown(&p, "shop.test", "shop.test");
    shown(&p, "branch.test", "three.test"); /* because we were told so */
    shown(&p, "a.wild.test", "two.test");   /* RFC 5922 knows no wildcards, phones do */
    shown(&p, "three.test", "pbx.test");    /* that one is for other names */
    shown(&p, "nobody.test", "pbx.test");
    shown(&p, "192.0.2.7", "pbx.test"); /* no SNI */
    /* What the files are, and when they are new. */
    char mem[200];
    struct buf b;
    struct tls_certificate_view v;
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(tls_ctx_certificate_get(p.tls[1], 1, &v, &b), 0);
    assert_string_equal(v.file, more_file[0][0]);
    assert_true(str_eq(buf_str(&b), STR("one.test, sip:uno.test")) && !v.is_default);
    assert_true(v.expires_s > 0);
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(tls_ctx_certificate_get(p.tls[1], 3, &v, &b), 0);
    assert_true(str_eq(buf_str(&b), STR("branch.test, Shop.test")));
    assert_int_equal(tls_ctx_certificate_get(p.tls[1], 4, &v, &b), -ENOENT);
    assert_false(tls_ctx_changed(p.tls[1]));
    assert_false(tls_ctx_changed(p.tls[1]));
    more_write(1, "DNS:four.test");
    assert_false(tls_ctx_changed(p.tls[1]));
    assert_true(tls_ctx_changed(p.tls[1]));
    buf_init(&b, mem, sizeof(mem));
    assert_int_equal(tls_ctx_reload(p.tls[1], NULL, &b), 0);
    shown(&p, "four.test", "four.test");
    shown(&p, "two.test", "pbx.test");
    /* One that is bad, and all stay. */
    assert_int_equal(unlink(more_file[2][1]), 0);
    assert_int_equal(tls_ctx_reload(p.tls[1], NULL, &b), -EINVAL);
    assert_non_null(memmem(b.p, b.n, more_file[2][1], strlen(more_file[2][1])));
    shown(&p, "shop.test", "shop.test");
    pair_done(&p);
}

/* Without one for all the first is that. */
static void test_first_is_default(void **state)
{
    static struct pair p;
    struct tls_config client = client_config(), server = {.ca = ca_file};
    more_write(0, "DNS:one.test");
    more_write(1, "DNS:two.test");
    struct tls_certificate more[2] = {
        {.certificate = more_file[0][0], .private_key = more_file[0][1]},
        {.certificate = more_file[1][0], .private_key = more_file[1][1]}};
    server.more = more;
    server.n_more = 2;
    pair_open(&p, &client, &server);
    shown(&p, "two.test", "two.test");
    shown(&p, "other.test", "one.test");
    pair_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uses),
        cmocka_unit_test(test_uses_of_authorities),
        cmocka_unit_test(test_asked_clients),
        cmocka_unit_test(test_end_of_client),
        cmocka_unit_test(test_trust_withdrawn),
        cmocka_unit_test(test_names_asked_for),
        cmocka_unit_test(test_first_is_default),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
