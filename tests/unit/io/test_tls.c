/* TLS between two sessions whose bytes are copied from one to the other: what is said arrives, and
 * every certificate that is wrong is refused, with a line that says what is wrong with it. */
#include "tls_pair.h"

/* ---- a certificate that holds ------------------------------------------------------------------
 */

static void test_talk(void **state)
{
    static struct pair p;
    struct tls_config client = client_config();
    char mem[80];
    struct buf b;
    meet(&p, cert_for("DNS:pbx.test", &ca), &client, "pbx.test");
    /* Not before the handshake is over. */
    assert_int_equal(tls_session_write(p.s[0], "x", 1), -EAGAIN);
    assert_talks(&p);
    buf_init(&b, mem, sizeof(mem));
    tls_session_describe(p.s[0], &b);
    assert_true(str_starts(buf_str(&b), STR("TLSv1.3 ")));
    assert_true(serves(p.s[0], STR("PBX.test")));
    assert_false(serves(p.s[0], STR("other.test")));
    assert_false(serves(p.s[1], STR("pbx.test")));
    /* A goodbye is heard behind what was said before it. */
    assert_int_equal(tls_session_write(p.s[1], "bye", 3), 0);
    tls_session_close(p.s[1]);
    settle(&p);
    assert_int_equal(p.err[0], -EPIPE);
    assert_memory_equal(p.got[0], "200bye", 6);
    assert_int_equal(tls_session_why(p.s[0]).n, 0);
    pair_done(&p);
}

/* More than a record holds, and byte by byte. */
static void test_long(void **state)
{
    static struct pair p;
    static char text[35000];
    struct tls_config client = client_config();
    meet(&p, cert_for("DNS:pbx.test", &ca), &client, "pbx.test");
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (char)(i * 7 + i / 256);
    settle(&p);
    assert_int_equal(tls_session_write(p.s[0], text, sizeof(text)), 0);
    struct str bytes = tls_session_tx(p.s[0]);
    while (bytes.n) {
        assert_int_equal(tls_session_rx(p.s[1], bytes.p, 1), 0);
        tls_session_tx_done(p.s[0], 1);
        carry(&p, 0);
        ptrdiff_t n = tls_session_read(p.s[1], p.got[1] + p.got_n[1], 20000);
        assert_true(n >= 0);
        p.got_n[1] += (size_t)n;
        bytes = tls_session_tx(p.s[0]);
    }
    assert_int_equal(p.got_n[1], sizeof(text));
    assert_memory_equal(p.got[1], text, sizeof(text));
    pair_done(&p);
}

static void talks_as(const char *names, const char *host)
{
    static struct pair p;
    struct tls_config client = client_config();
    meet(&p, cert_for(names, &ca), &client, host);
    assert_talks(&p);
    pair_done(&p);
}

static void refused_as(const char *names, const char *host)
{
    static struct pair p;
    char words[300];
    struct tls_config client = client_config();
    snprintf(words, sizeof(words), "its certificate is not for %s", host);
    meet(&p, cert_for(names, &ca), &client, host);
    assert_refused(&p, 0, words);
    pair_done(&p);
}

/* RFC 5922 7.1 and 7.2. */
static void test_names(void **state)
{
    talks_as("DNS:a.test,DNS:pbx.test", "PBX.Test");
    talks_as("URI:sip:pbx.test", "pbx.test");
    talks_as("URI:SIP:pbx.test:5061;transport=tls", "pbx.test");
    talks_as("IP:192.0.2.7", "192.0.2.7");
    talks_as("IP:2001:db8::7", "2001:db8::7");
    refused_as("DNS:other.test", "pbx.test");
    refused_as("DNS:*.test", "pbx.test");
    refused_as("DNS:test", "pbx.test");
    refused_as("DNS:pbx.test", "sub.pbx.test");
    refused_as("URI:sip:alice@pbx.test", "pbx.test"); /* a user, not a domain */
    refused_as("URI:sips:pbx.test", "pbx.test");
    refused_as("URI:https://pbx.test", "pbx.test");
    refused_as("URI:sip:other.test,DNS:pbx.test", "pbx.test"); /* with a URI, DNS does not count */
    talks_as("URI:sip:alice@pbx.test,DNS:pbx.test", "pbx.test"); /* that is no identity */
    refused_as("IP:192.0.2.8", "192.0.2.7");
    refused_as("email:pbx@pbx.test", "pbx.test");
}

static void test_common_name(void **state)
{
    static struct pair p;
    struct tls_config client = client_config();
    struct cert_plan plan = {.common_name = "pbx.test", .from_s = -60, .until_s = CERT_DAY};
    meet(&p, cert_make(&plan, &ca), &client, "pbx.test");
    assert_talks(&p);
    pair_done(&p);
    plan.names = "DNS:other.test"; /* then the common name says nothing */
    meet(&p, cert_make(&plan, &ca), &client, "pbx.test");
    assert_refused(&p, 0, "its certificate is not for pbx.test");
    pair_done(&p);
}

/* ---- certificates that do not ------------------------------------------------------------------
 */

static void refused(struct cert cert, const char *words)
{
    static struct pair p;
    struct tls_config client = client_config();
    meet(&p, cert, &client, "pbx.test");
    assert_refused(&p, 0, words);
    pair_done(&p);
}

static void test_wrong(void **state)
{
    struct cert_plan plan = {
        .names = "DNS:pbx.test", .from_s = -2 * CERT_DAY, .until_s = -CERT_DAY};
    refused(cert_make(&plan, &ca), "its certificate has expired");
    plan.from_s = CERT_DAY;
    plan.until_s = 2 * CERT_DAY;
    refused(cert_make(&plan, &ca), "its certificate is not valid yet");
    refused(cert_for("DNS:pbx.test", NULL), "its certificate is self-signed");
    refused(cert_for("DNS:pbx.test", &stranger), "its certificate is of an unknown authority");
    /* Who is no authority cannot vouch. */
    plan = (struct cert_plan){.common_name = "leaf.test", .from_s = -60, .until_s = CERT_DAY};
    struct cert leaf = cert_make(&plan, &ca);
    refused(cert_for("DNS:pbx.test", &leaf), "its certificate is of an unknown authority");
    cert_free(&leaf);
}

static void test_unverified(void **state)
{
    static struct pair p;
    struct tls_config client = client_config();
    client.verify_peer = false;
    meet(&p, cert_for("DNS:other.test", &stranger), &client, "pbx.test");
    assert_talks(&p);
    assert_false(serves(p.s[0], STR("other.test"))); /* nobody has looked */
    pair_done(&p);
}

/* ---- pins ---------------------------------------------------------------------------------------
 */

static void meet_pinned(struct pair *p, struct cert cert, const struct tls_pin *pin, bool own)
{
    struct tls_config client = client_config(), server = server_config();
    struct tls_target target = {.host = STR("pbx.test")};
    if (own) {
        target.pin = pin;
        target.n_pins = 1;
    } else {
        client.pin[0] = *pin;
        client.n_pins = 1;
    }
    cert_write(&cert, cert_file, key_file);
    cert_free(&cert);
    pair_open(p, &client, &server);
    sessions_open(p, &target);
}

static void test_pins(void **state)
{
    static struct pair p;
    struct tls_pin wrong = {{1, 2, 3}}, pin;
    struct cert good = cert_for("DNS:pbx.test", &ca);
    cert_key_hash(&good, pin.sha256);
    meet_pinned(&p, good, &pin, false);
    assert_talks(&p);
    pair_done(&p);
    /* A good certificate of another key is of no use. */
    for (unsigned own = 0; own < 2; own++) {
        meet_pinned(&p, cert_for("DNS:pbx.test", &ca), &wrong, own);
        assert_refused(&p, 0, "its key is none of those pinned");
        pair_done(&p);
    }
    /* A pinned key needs no authority; for a target of its own it needs no name either. */
    struct cert own = cert_for("DNS:pbx.test", NULL);
    cert_key_hash(&own, pin.sha256);
    meet_pinned(&p, own, &pin, false);
    assert_talks(&p);
    pair_done(&p);
    struct cert named = cert_for("DNS:other.test", NULL);
    cert_key_hash(&named, pin.sha256);
    meet_pinned(&p, named, &pin, false);
    assert_refused(&p, 0, "its certificate is not for pbx.test");
    pair_done(&p);
    named = cert_for("DNS:other.test", &stranger);
    cert_key_hash(&named, pin.sha256);
    meet_pinned(&p, named, &pin, true);
    assert_talks(&p);
    assert_true(tls_session_serves(
        p.s[0], &(struct tls_target){.host = STR("pbx.test"), .pin = &pin, .n_pins = 1}));
    assert_false(serves(p.s[0], STR("pbx.test"))); /* that would have been judged otherwise */
    assert_false(serves(p.s[0], STR("other.test")));
    pair_done(&p);
    /* It ends all the same. */
    struct cert_plan plan = {.names = "DNS:pbx.test", .from_s = -9, .until_s = -5};
    struct cert old = cert_make(&plan, NULL);
    cert_key_hash(&old, pin.sha256);
    meet_pinned(&p, old, &pin, true);
    assert_refused(&p, 0, "its certificate has expired");
    pair_done(&p);
}

static void test_pin_text(void **state)
{
    struct tls_pin pin = {{9}};
    struct str good = STR("00ffA0b1000000000000000000000000000000000000000000000000000000c7");
    assert_int_equal(tls_pin_parse(&pin, str_sub(good, 0, 63)), -EINVAL);
    assert_int_equal(pin.sha256[0], 9);
    assert_int_equal(tls_pin_parse(&pin, good), 0);
    const uint8_t head[] = {0x00, 0xFF, 0xA0, 0xB1};
    assert_memory_equal(pin.sha256, head, 4);
    assert_int_equal(pin.sha256[31], 0xC7);
    assert_int_equal(
        tls_pin_parse(&pin,
                      STR("g0ffA0b1000000000000000000000000000000000000000000000000000000c7")),
        -EINVAL);
}

/* ---- clients ------------------------------------------------------------------------------------
 */

static void test_clients(void **state)
{
    static struct pair p;
    meet_client(&p, cert_for("DNS:phone.test", &ca), true);
    assert_talks(&p);
    assert_true(serves(p.s[1], STR("phone.test"))); /* RFC 5923: for requests back */
    assert_false(serves(p.s[1], STR("pbx.test")));
    pair_done(&p);
    /* In TLS 1.3 a client has finished before it is judged. */
    meet_client(&p, cert_for("DNS:phone.test", &ca), false);
    settle(&p);
    assert_int_equal(p.err[1], -EPROTO);
    assert_string_equal(tls_session_why(p.s[1]).p, "it shows no certificate");
    assert_false(tls_session_is_up(p.s[1]));
    assert_string_equal(tls_session_why(p.s[0]).p, "it refuses: certificate required");
    pair_done(&p);
    meet_client(&p, cert_for("DNS:phone.test", &stranger), true);
    settle(&p);
    assert_int_equal(p.err[1], -EPROTO);
    assert_string_equal(tls_session_why(p.s[1]).p, "its certificate is of an unknown authority");
    pair_done(&p);
}

/* ---- other versions, other protocols ------------------------------------------------------------
 */

static void test_not_tls(void **state)
{
    static struct pair p;
    struct tls_config client = client_config();
    meet(&p, cert_for("DNS:pbx.test", &ca), &client, "pbx.test");
    static const char *const said[] = {"OPTIONS sip:pbx.test SIP/2.0\r\n\r\n",
                                       "GET / HTTP/1.1\r\n\r\n"};
    for (unsigned i = 0; i < 2; i++) {
        char out[100];
        struct tls_session *s = tls_session_new_server(p.tls[1]);
        assert_int_equal(tls_session_rx(s, said[i], strlen(said[i])), 0);
        assert_int_equal(tls_session_read(s, out, sizeof(out)), -EPROTO);
        assert_string_equal(tls_session_why(s).p, "it does not speak TLS");
        assert_int_equal(tls_session_read(s, out, sizeof(out)), -EPROTO);
        tls_session_free(s);
    }
    pair_done(&p);
}

/* A client of OpenSSL's own that speaks nothing newer than `version`. */
static void test_versions(void **state)
{
    static struct pair p;
    static const int version[] = {TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION};
    struct tls_config client = client_config();
    meet(&p, cert_for("DNS:pbx.test", &ca), &client, "pbx.test");
    for (unsigned i = 0; i < 3; i++) {
        char bytes[20000];
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(ctx, version[i]);
        SSL_CTX_set_max_proto_version(ctx, version[i]);
        SSL_CTX_set_security_level(ctx, 0);
        SSL *ssl = SSL_new(ctx);
        BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
        SSL_set_bio(ssl, in, out);
        struct tls_session *s = tls_session_new_server(p.tls[1]);
        ptrdiff_t err = 0;
        for (unsigned k = 0; k < 4 && err == 0; k++) {
            SSL_connect(ssl);
            int n = BIO_read(out, bytes, sizeof(bytes));
            if (n > 0)
                assert_int_equal(tls_session_rx(s, bytes, (size_t)n), 0);
            err = tls_session_read(s, bytes, sizeof(bytes));
            struct str back = tls_session_tx(s);
            BIO_write(in, back.p, (int)back.n);
            tls_session_tx_done(s, back.n);
        }
        if (i == 0) {
            assert_int_equal(err, -EPROTO);
            assert_string_equal(tls_session_why(s).p, "no version of TLS in common");
        } else {
            assert_true(tls_session_is_up(s));
        }
        if (i == 1) { /* TLS 1.2 could renegotiate: it is told no, and nothing comes of it */
            assert_int_equal(SSL_renegotiate(ssl), 1);
            SSL_do_handshake(ssl);
            int n = BIO_read(out, bytes, sizeof(bytes));
            assert_true(n > 0);
            assert_int_equal(tls_session_rx(s, bytes, (size_t)n), 0);
            assert_int_equal(tls_session_read(s, bytes, sizeof(bytes)), 0);
            struct str alert = tls_session_tx(s);
            assert_int_equal(alert.p[0], 21); /* an alert, and no ServerHello */
        }
        tls_session_free(s);
        SSL_free(ssl);
        SSL_CTX_free(ctx);
    }
    pair_done(&p);
}

/* ---- again -------------------------------------------------------------------------------------
 */

static void test_resumption(void **state)
{
    static struct pair p;
    struct tls_config client = client_config();
    struct tls_target target = {.host = STR("pbx.test")}, other = {.host = STR("alias.test")};
    char mem[200];
    struct buf why;
    buf_init(&why, mem, sizeof(mem));
    meet(&p, cert_for("DNS:pbx.test,DNS:alias.test", &ca), &client, "pbx.test");
    assert_talks(&p);
    assert_false(tls_session_is_resumed(p.s[0]));
    for (unsigned i = 0; i < 3; i++) {
        sessions_free(&p);
        sessions_open(&p, &target);
        assert_talks(&p);
        assert_true(tls_session_is_resumed(p.s[0]));
        assert_true(tls_session_is_resumed(p.s[1]));
        assert_true(serves(p.s[0], STR("pbx.test")));
    }
    /* What was judged for one name says nothing about another one. */
    sessions_free(&p);
    sessions_open(&p, &other);
    assert_talks(&p);
    assert_false(tls_session_is_resumed(p.s[0]));
    /* Nor under other rules, on either side. */
    assert_int_equal(tls_ctx_reload(p.tls[0], NULL, &why), 0);
    sessions_free(&p);
    sessions_open(&p, &target);
    assert_talks(&p);
    assert_false(tls_session_is_resumed(p.s[0]));
    assert_int_equal(tls_ctx_reload(p.tls[1], NULL, &why), 0);
    sessions_free(&p);
    sessions_open(&p, &target);
    assert_talks(&p);
    assert_false(tls_session_is_resumed(p.s[1]));
    pair_done(&p);
}

/* What pins of its own let in was not asked for its name: the rules for all do not take over its
 * session, be the pins the same. */
static void test_resumption_by_pins(void **state)
{
    static struct pair p;
    struct tls_config client = client_config(), server = server_config();
    struct cert named = cert_for("DNS:other.test", &ca);
    cert_key_hash(&named, client.pin[0].sha256);
    client.n_pins = 1;
    struct tls_target own = {.host = STR("pbx.test"), .pin = client.pin, .n_pins = 1};
    cert_write(&named, cert_file, key_file);
    cert_free(&named);
    pair_open(&p, &client, &server);
    sessions_open(&p, &own);
    assert_talks(&p);
    sessions_free(&p);
    sessions_open(&p, &(struct tls_target){.host = STR("pbx.test")});
    assert_refused(&p, 0, "its certificate is not for pbx.test");
    pair_done(&p);
}

/* A connection that stricter rules would not have let in is not used any more. */
static void test_rules_made_stricter(void **state)
{
    static struct pair p;
    char mem[200];
    struct buf why;
    struct tls_config trusting = {.ca = ca_file}, strict = client_config(), pinned = trusting;
    struct cert cert = cert_for("DNS:pbx.test", &ca);
    struct tls_pin key;
    cert_key_hash(&cert, key.sha256);
    buf_init(&why, mem, sizeof(mem));
    meet(&p, cert, &trusting, "pbx.test");
    assert_talks(&p);
    assert_true(serves(p.s[0], STR("pbx.test")));
    assert_int_equal(tls_ctx_reload(p.tls[0], &strict, &why), 0);
    assert_false(serves(p.s[0], STR("pbx.test"))); /* nobody has looked at its certificate */
    assert_int_equal(tls_ctx_reload(p.tls[0], &trusting, &why), 0);
    assert_true(serves(p.s[0], STR("pbx.test")));
    pinned.n_pins = 1; /* a key that it does not have */
    assert_int_equal(tls_ctx_reload(p.tls[0], &pinned, &why), 0);
    assert_false(serves(p.s[0], STR("pbx.test")));
    pinned.pin[0] = key;
    assert_int_equal(tls_ctx_reload(p.tls[0], &pinned, &why), 0);
    assert_true(serves(p.s[0], STR("pbx.test")));
    pair_done(&p);
    /* Who has pins of its own is judged by those, whatever there is for others. */
    cert = cert_for("DNS:other.test", NULL);
    cert_key_hash(&cert, key.sha256);
    meet_pinned(&p, cert, &key, true);
    assert_talks(&p);
    pinned.pin[0] = (struct tls_pin){{1}};
    assert_int_equal(tls_ctx_reload(p.tls[0], &pinned, &why), 0);
    assert_true(tls_session_serves(
        p.s[0], &(struct tls_target){.host = STR("pbx.test"), .pin = &key, .n_pins = 1}));
    pair_done(&p);
}

/* ---- files --------------------------------------------------------------------------------------
 */

static void test_reload(void **state)
{
    static struct pair p;
    struct tls_config client = client_config();
    struct tls_target target = {.host = STR("new.test")};
    char mem[400];
    struct buf why;
    buf_init(&why, mem, sizeof(mem));
    meet(&p, cert_for("DNS:pbx.test", &ca), &client, "pbx.test");
    assert_talks(&p);
    struct tls_session *old[2] = {p.s[0], p.s[1]};
    assert_false(tls_ctx_changed(p.tls[1]));
    assert_false(tls_ctx_changed(p.tls[1]));
    /* Half of a new pair: nothing changes, and it says so once. */
    struct cert next = cert_for("DNS:new.test", &ca);
    cert_write(&next, cert_file, NULL);
    assert_false(tls_ctx_changed(p.tls[1])); /* who writes them may not be done */
    assert_true(tls_ctx_changed(p.tls[1]));
    assert_int_equal(tls_ctx_reload(p.tls[1], NULL, &why), -EINVAL);
    assert_non_null(memmem(why.p, why.n, key_file, strlen(key_file)));
    assert_non_null(memmem(why.p, why.n, "fits the certificate", 20));
    assert_false(tls_ctx_changed(p.tls[1]));
    p.s[0] = tls_session_new_client(p.tls[0], &(struct tls_target){.host = STR("pbx.test")});
    p.s[1] = tls_session_new_server(p.tls[1]);
    assert_talks(&p);
    sessions_free(&p);
    /* The other half. */
    cert_write(&next, NULL, key_file);
    cert_free(&next);
    assert_false(tls_ctx_changed(p.tls[1]));
    assert_true(tls_ctx_changed(p.tls[1]));
    int64_t before = tls_ctx_expires_s(p.tls[1]);
    assert_int_equal(tls_ctx_reload(p.tls[1], NULL, &why), 0);
    assert_false(tls_ctx_changed(p.tls[1]));
    assert_true(before && tls_ctx_expires_s(p.tls[1]) >= before);
    sessions_open(&p, &target);
    assert_talks(&p);
    sessions_free(&p);
    /* Who talked before talks on. */
    p.s[0] = old[0];
    p.s[1] = old[1];
    assert_talks(&p);
    /* A file that is gone. */
    assert_int_equal(unlink(cert_file), 0);
    assert_false(tls_ctx_changed(p.tls[1]));
    assert_true(tls_ctx_changed(p.tls[1]));
    assert_int_equal(tls_ctx_reload(p.tls[1], NULL, &why), -EINVAL);
    pair_done(&p);
}

static void unusable(const struct tls_config *cfg, const char *words)
{
    char mem[400];
    struct buf why;
    struct tls_ctx *tls = NULL;
    buf_init(&why, mem, sizeof(mem));
    assert_int_equal(tls_ctx_new(&tls, cfg, &why), -EINVAL);
    assert_null(tls);
    if (!memmem(why.p, why.n, words, strlen(words)))
        fail_msg("%.*s", (int)why.n, why.p);
}

static void test_files(void **state)
{
    struct tls_config cfg = server_config();
    struct cert cert = cert_for("DNS:pbx.test", &ca);
    cert_write(&cert, cert_file, NULL);
    FILE *f = fopen(key_file, "w");
    /* A passphrase is asked of nobody. */
    unsigned char secret[] = "secret";
    PEM_write_PrivateKey(f, cert.key, EVP_aes_128_cbc(), secret, 6, NULL, NULL);
    fclose(f);
    unusable(&cfg, "key.pem: no private key can be read");
    cert_write(&cert, NULL, key_file);
    cert_free(&cert);
    cfg.certificate = key_file;
    unusable(&cfg, "key.pem: no certificate can be read");
    cfg = server_config();
    cfg.ca = key_file;
    unusable(&cfg, "key.pem: no authorities can be read");
    cfg.ca = "";
    struct tls_ctx *tls = tls_make(&cfg); /* those of the system */
    tls_ctx_free(tls);
    struct tls_config none = {0};
    tls = tls_make(&none);
    assert_null(tls_session_new_server(tls));
    assert_int_equal(tls_ctx_expires_s(tls), 0);
    tls_ctx_free(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_talk),
        cmocka_unit_test(test_long),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_common_name),
        cmocka_unit_test(test_wrong),
        cmocka_unit_test(test_unverified),
        cmocka_unit_test(test_resumption_by_pins),
        cmocka_unit_test(test_rules_made_stricter),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_pin_text),
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_not_tls),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_reload),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
