/* SIP over TLS and WSS with a key log: what OpenSSL's own two ends say to each other is read, with
 * each kind of cipher, after losses, and not at all without the right keys. */
#include "read_test.h"

#include <openssl/ssl.h>

#define MAX_LOG    16384
#define MAX_CHUNKS 400

#define OPTIONS                                                                                    \
    "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TLS a;branch=z9hG4bK1\r\n"                \
    "Call-ID: 1\r\nContent-Length: 0\r\n\r\n"
#define OK "SIP/2.0 200 OK\r\nCall-ID: 1\r\nContent-Length: 5\r\n\r\nhello"

static struct lab lab;
static const struct ends ends = {1, 2, 40000, 5061};

/* What was said on the wire, in the order in which it was said. */
struct chunk {
    unsigned side;
    char *p;
    size_t n;
};

static struct talk {
    SSL_CTX *ctx[2];
    SSL *ssl[2]; /* 0: the client */
    BIO *out[2];
    char log[MAX_LOG];
    size_t log_n;
    struct chunk chunk[MAX_CHUNKS];
    unsigned n;
} talk;

static EVP_PKEY *key;
static X509 *cert;

static void log_line(const SSL *ssl, const char *line)
{
    (void)ssl;
    int n = snprintf(talk.log + talk.log_n, sizeof(talk.log) - talk.log_n, "%s\n", line);
    assert_true(n > 0 && (size_t)n < sizeof(talk.log) - talk.log_n);
    talk.log_n += (size_t)n;
}

static int make_certificate(void **state)
{
    (void)state;
    key = EVP_RSA_gen(2048);
    cert = X509_new();
    assert_non_null(key);
    assert_non_null(cert);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_set_pubkey(cert, key);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return 0;
}

static int free_certificate(void **state)
{
    (void)state;
    EVP_PKEY_free(key);
    X509_free(cert);
    return 0;
}

/* Moves what one side has written to the other one. */
static bool carry(unsigned side)
{
    char bytes[4096];
    int n = BIO_read(talk.out[side], bytes, sizeof(bytes));
    if (n <= 0)
        return false;
    assert_true(talk.n < MAX_CHUNKS);
    struct chunk *c = &talk.chunk[talk.n++];
    *c = (struct chunk){.side = side, .p = malloc((size_t)n), .n = (size_t)n};
    assert_non_null(c->p);
    memcpy(c->p, bytes, (size_t)n);
    assert_int_equal(BIO_write(SSL_get_rbio(talk.ssl[1 - side]), bytes, n), n);
    return true;
}

static void carry_all(void)
{
    char bytes[20000];
    bool more = true;
    while (more) {
        more = false;
        for (unsigned side = 0; side < 2; side++) {
            while (carry(side))
                more = true;
            if (SSL_is_init_finished(talk.ssl[1 - side]))
                while (SSL_read(talk.ssl[1 - side], bytes, sizeof(bytes)) > 0)
                    ;
            else
                SSL_do_handshake(talk.ssl[1 - side]);
        }
    }
}

static void say(unsigned side, const char *text, size_t n)
{
    assert_int_equal(SSL_write(talk.ssl[side], text, (int)n), (int)n);
    carry_all();
}

static void talk_open(int version, const char *suite, uint64_t options)
{
    memset(&talk, 0, sizeof(talk));
    for (unsigned i = 0; i < 2; i++) {
        SSL_CTX *c = talk.ctx[i] = SSL_CTX_new(i ? TLS_server_method() : TLS_client_method());
        assert_non_null(c);
        SSL_CTX_set_security_level(c, 0);
        SSL_CTX_set_min_proto_version(c, version);
        SSL_CTX_set_max_proto_version(c, version);
        SSL_CTX_set_options(c, options);
        if (version == TLS1_3_VERSION)
            assert_int_equal(SSL_CTX_set_ciphersuites(c, suite), 1);
        else
            assert_int_equal(SSL_CTX_set_cipher_list(c, suite), 1);
        SSL_CTX_set_keylog_callback(c, i ? NULL : log_line);
        if (i) {
            assert_int_equal(SSL_CTX_use_certificate(c, cert), 1);
            assert_int_equal(SSL_CTX_use_PrivateKey(c, key), 1);
        }
        talk.ssl[i] = SSL_new(c);
        talk.out[i] = BIO_new(BIO_s_mem());
        SSL_set_bio(talk.ssl[i], BIO_new(BIO_s_mem()), talk.out[i]);
    }
    SSL_set_connect_state(talk.ssl[0]);
    SSL_set_accept_state(talk.ssl[1]);
    SSL_do_handshake(talk.ssl[0]);
    carry_all();
    assert_true(SSL_is_init_finished(talk.ssl[0]));
    assert_true(SSL_is_init_finished(talk.ssl[1]));
}

static void talk_close(void)
{
    for (unsigned i = 0; i < talk.n; i++)
        free(talk.chunk[i].p);
    for (unsigned i = 0; i < 2; i++) {
        SSL_free(talk.ssl[i]);
        SSL_CTX_free(talk.ctx[i]);
    }
}

/* The whole of it as segments of at most `most` bytes; the `lost`th is not captured. */
static void play(size_t most, unsigned lost)
{
    uint32_t seq[2] = {1000, 0xFFFFF000};
    unsigned segment = 0;
    lab_tcp(&lab, ends, (struct tcp){seq[0] - 1, 0, SYN}, STR(""));
    lab_tcp(&lab, back(ends), (struct tcp){seq[1] - 1, 0, SYN | ACK}, STR(""));
    for (unsigned i = 0; i < talk.n; i++) {
        struct chunk *c = &talk.chunk[i];
        for (size_t at = 0; at < c->n; at += most) {
            size_t n = c->n - at < most ? c->n - at : most;
            struct tcp t = {seq[c->side], seq[1 - c->side], ACK};
            if (++segment != lost)
                lab_tcp(&lab, c->side ? back(ends) : ends, t, str_of(c->p + at, n));
            seq[c->side] += (uint32_t)n;
            lab.now_ns += segment == lost ? 6 * SEC : 0;
        }
    }
    lab_end(&lab);
}

/* A message of 40 000 bytes. */
static struct str big(void)
{
    static char text[40200];
    int n = snprintf(text, sizeof(text),
                     "MESSAGE sip:a SIP/2.0\r\nCall-ID: big\r\nContent-Length: 40000\r\n\r\n");
    memset(text + n, 'x', 40000);
    return str_of(text, (size_t)n + 40000);
}

static void the_usual(void)
{
    say(0, OPTIONS, strlen(OPTIONS));
    say(1, OK, strlen(OK));
    say(0, big().p, big().n);
    say(1, OK OPTIONS, strlen(OK OPTIONS));
}

static const struct {
    int version;
    const char *suite;
    uint64_t options;
} kinds[] = {
    {TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", 0},
    {TLS1_2_VERSION, "ECDHE-RSA-AES256-GCM-SHA384", 0},
    {TLS1_2_VERSION, "AES128-GCM-SHA256", 0},
    {TLS1_2_VERSION, "ECDHE-RSA-CHACHA20-POLY1305", 0},
    {TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA", 0},
    {TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA", SSL_OP_NO_ENCRYPT_THEN_MAC},
    {TLS1_2_VERSION, "AES256-SHA", SSL_OP_NO_EXTENDED_MASTER_SECRET},
    {TLS1_2_VERSION, "AES128-SHA256", SSL_OP_NO_ENCRYPT_THEN_MAC},
    {TLS1_2_VERSION, "ECDHE-RSA-AES256-SHA384", 0},
    {TLS1_2_VERSION, "ECDHE-RSA-AES256-SHA384", SSL_OP_NO_ENCRYPT_THEN_MAC},
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0},
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", 0},
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", 0},
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", SSL_OP_ENABLE_MIDDLEBOX_COMPAT},
};

static void is_the_usual(const char *what)
{
    static const char *const texts[] = {OPTIONS, OK, NULL, OK, OPTIONS};
    if (lab.n != 5)
        fail_msg("%s: %u messages", what, lab.n);
    for (unsigned i = 0; i < 5; i++) {
        struct an_datum *d = &lab.got[i];
        assert_int_equal(d->kind, AN_SIP);
        assert_int_equal(d->transport, AN_TLS);
        assert_false(d->truncated);
        assert_int_equal(d->src.port, i % 2 || i == 4 ? 5061 : 40000);
        struct str expected = texts[i] ? str_z(texts[i]) : big();
        assert_int_equal(d->bytes.n, expected.n);
        assert_memory_equal(d->bytes.p, expected.p, expected.n);
    }
    assert_true(lab.got[2].first_frame < lab.got[2].frame);
}

static void every_cipher_is_read(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        talk_open(kinds[i].version, kinds[i].suite, kinds[i].options);
        the_usual();
        for (size_t most = 100; most <= 4096; most *= 6) {
            lab_open(&lab, NULL);
            an_input_keys(lab.in, str_of(talk.log, talk.log_n));
            play(most, 0);
            is_the_usual(kinds[i].suite);
            assert_int_equal(lab.warnings, 0);
            assert_int_equal(an_input_stats(lab.in)->tls_connections, 1);
            lab_close(&lab);
        }
        talk_close();
    }
}

static void keys_come_with_the_capture(void **state)
{
    (void)state;
    talk_open(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    the_usual();
    lab_open(&lab, NULL);
    struct cap_frame f = {.keys = true, .p = (const uint8_t *)talk.log, .n = (uint32_t)talk.log_n};
    an_input_frame(lab.in, &f);
    play(1400, 0);
    is_the_usual("keys of the file");
    assert_int_equal(lab.got[0].first_frame, lab.got[0].frame); /* they are no frame */
    lab_close(&lab);
    talk_close();
}

static void keys_are_changed_on_the_way(void **state)
{
    (void)state;
    talk_open(TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", 0);
    say(0, OPTIONS, strlen(OPTIONS));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(SSL_key_update(talk.ssl[0], SSL_KEY_UPDATE_REQUESTED), 1);
        say(0, OPTIONS, strlen(OPTIONS));
        say(1, OK, strlen(OK));
    }
    lab_open(&lab, NULL);
    an_input_keys(lab.in, str_of(talk.log, talk.log_n));
    play(1400, 0);
    assert_int_equal(lab.n, 7);
    lab_close(&lab);
    talk_close();
}

/* A segment is missing among the data: its message is lost, the ones behind it are not. */
static void a_loss_is_survived(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        talk_open(kinds[i].version, kinds[i].suite, kinds[i].options);
        for (unsigned k = 0; k < 30; k++)
            say(0, OPTIONS, strlen(OPTIONS));
        unsigned lost = talk.n - 10;
        lab_open(&lab, NULL);
        an_input_keys(lab.in, str_of(talk.log, talk.log_n));
        play(4096, lost);
        if (lab.n != 29)
            fail_msg("%s: %u messages", kinds[i].suite, lab.n);
        assert_int_equal(an_input_stats(lab.in)->tcp_gaps, 1);
        assert_int_equal(an_input_stats(lab.in)->tls_broken, 0);
        lab_close(&lab);
        talk_close();
    }
}

/* The first words of a side are missing: it is not taken for a stranger. */
static void a_loss_at_the_begin_is_survived(void **state)
{
    static char text[17100];
    (void)state;
    int n = snprintf(text, sizeof(text),
                     "MESSAGE sip:a SIP/2.0\r\nCall-ID: 2\r\nContent-Length: 17000\r\n\r\n");
    memset(text + n, 'x', 16998);
    memcpy(text + n + 16998, "\r\n", 2);
    talk_open(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    unsigned before = talk.n;
    say(0, text, (size_t)n + 17000); /* in two records */
    say(0, OPTIONS, strlen(OPTIONS));
    lab_open(&lab, NULL);
    an_input_keys(lab.in, str_of(talk.log, talk.log_n));
    play(4096, before + 1);
    assert_int_equal(lab.n, 1);
    assert_string_equal(lab.got[0].bytes.p, OPTIONS);
    lab_close(&lab);
    talk_close();
}

static void without_the_right_keys_nothing_is_read(void **state)
{
    (void)state;
    talk_open(TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", 0);
    the_usual();
    /* None at all. */
    lab_open(&lab, NULL);
    play(1400, 0);
    assert_int_equal(lab.n, 0);
    assert_int_equal(an_input_stats(lab.in)->tls_without_key, 1);
    lab_close(&lab);
    /* Another one's. */
    lab_open(&lab, NULL);
    char *space = strchr(talk.log, ' ');
    assert_non_null(space);
    space[1] = space[1] == '0' ? '1' : '0';
    an_input_keys(lab.in, str_of(talk.log, talk.log_n));
    play(1400, 0);
    assert_int_equal(lab.n, 0);
    assert_int_equal(an_input_stats(lab.in)->tls_without_key, 1);
    lab_close(&lab);
    talk_close();
    /* A secret that is not it. */
    talk_open(TLS1_2_VERSION, "ECDHE-RSA-AES128-GCM-SHA256", 0);
    the_usual();
    lab_open(&lab, NULL);
    char *last = talk.log + talk.log_n - 2;
    *last = *last == '0' ? '1' : '0';
    an_input_keys(lab.in, str_of(talk.log, talk.log_n));
    play(1400, 0);
    assert_int_equal(lab.n, 0);
    lab_close(&lab);
    talk_close();
}

static void websocket_within_tls(void **state)
{
    static const char ask[] = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n";
    static const char yes[] = "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n";
    char frame[512] = "\x81\x7E\0";
    (void)state;
    talk_open(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    say(0, ask, sizeof(ask) - 1);
    say(1, yes, sizeof(yes) - 1);
    size_t n = strlen(OPTIONS);
    be16_put((uint8_t *)frame + 2, (uint16_t)n);
    memcpy(frame + 4, OPTIONS, n);
    say(1, frame, 4 + n);
    lab_open(&lab, NULL);
    an_input_keys(lab.in, str_of(talk.log, talk.log_n));
    play(1400, 0);
    assert_int_equal(lab.n, 1);
    assert_int_equal(lab.got[0].transport, AN_WSS);
    assert_string_equal(lab.got[0].bytes.p, OPTIONS);
    lab_close(&lab);
    talk_close();
}

/* In whatever byte a capture lies: nothing worse happens than that something is not read. */
static void damage_does_no_harm(void **state)
{
    (void)state;
    talk_open(TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", 0);
    say(0, OPTIONS, strlen(OPTIONS));
    say(1, OK, strlen(OK));
    for (unsigned i = 0; i < talk.n; i++)
        for (size_t at = 0; at < talk.chunk[i].n; at += at < 200 ? 1 : 37) {
            talk.chunk[i].p[at] ^= 0x11;
            lab_open(&lab, NULL);
            an_input_keys(lab.in, str_of(talk.log, talk.log_n));
            play(1400, 0);
            assert_true(lab.n <= 2);
            lab_close(&lab);
            talk.chunk[i].p[at] ^= 0x11;
        }
    talk_close();
}

static void lines_that_are_no_keys_are_passed_over(void **state)
{
    (void)state;
    lab_open(&lab, NULL);
    an_input_keys(lab.in, STR("# a comment\n\nCLIENT_RANDOM\nCLIENT_RANDOM zz yy\n"
                              "CLIENT_RANDOM 00 11\nRSA 00 11\nCLIENT_RANDOM "));
    char line[400];
    for (unsigned n = 0; n < 300; n++) {
        memset(line, 'a', sizeof(line));
        memcpy(line, "CLIENT_RANDOM ", 14);
        if (n > 78)
            line[78] = ' ';
        an_input_keys(lab.in, str_of(line, n));
    }
    lab_close(&lab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cipher_is_read),
        cmocka_unit_test(keys_come_with_the_capture),
        cmocka_unit_test(keys_are_changed_on_the_way),
        cmocka_unit_test(a_loss_is_survived),
        cmocka_unit_test(a_loss_at_the_begin_is_survived),
        cmocka_unit_test(without_the_right_keys_nothing_is_read),
        cmocka_unit_test(websocket_within_tls),
        cmocka_unit_test(damage_does_no_harm),
        cmocka_unit_test(lines_that_are_no_keys_are_passed_over),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, make_certificate, free_certificate);
}
