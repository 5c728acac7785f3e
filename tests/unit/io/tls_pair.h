/* Two sessions of TLS whose bytes are copied from one to the other, with certificates as a test
 * wants them. */
#ifndef TLS_PAIR_H
#define TLS_PAIR_H

#include "tls_certs.h"

#include "base/mem.h"
#include "io/tls_int.h"

static char dir[64], ca_file[100], cert_file[100], key_file[100], phone_cert[100], phone_key[100];
static struct cert ca, stranger;

struct pair {
    struct tls_ctx *tls[2]; /* 0: the client's */
    struct tls_session *s[2];
    char got[2][40000];
    size_t got_n[2];
    ptrdiff_t err[2];
};

static inline int begin(void **state)
{
    test_dir_make(dir);
    snprintf(ca_file, sizeof(ca_file), "%s/ca.pem", dir);
    snprintf(cert_file, sizeof(cert_file), "%s/cert.pem", dir);
    snprintf(key_file, sizeof(key_file), "%s/key.pem", dir);
    snprintf(phone_cert, sizeof(phone_cert), "%s/phone.pem", dir);
    snprintf(phone_key, sizeof(phone_key), "%s/phone-key.pem", dir);
    ca = cert_authority("Test authority");
    stranger = cert_authority("Somebody else");
    cert_write(&ca, ca_file, NULL);
    return 0;
}

static inline int end(void **state)
{
    cert_free(&ca);
    cert_free(&stranger);
    test_dir_remove(dir);
    return 0;
}

static inline struct tls_ctx *tls_make(const struct tls_config *cfg)
{
    char mem[400];
    struct buf why;
    struct tls_ctx *tls = NULL;
    buf_init(&why, mem, sizeof(mem));
    if (tls_ctx_new(&tls, cfg, &why))
        fail_msg("%.*s", (int)why.n, why.p);
    return tls;
}

static inline struct tls_config server_config(void)
{
    return (struct tls_config){
        .certificate = cert_file, .private_key = key_file, .ca = ca_file, .verify_peer = true};
}

static inline struct tls_config client_config(void)
{
    return (struct tls_config){.ca = ca_file, .verify_peer = true};
}

static inline void sessions_open(struct pair *p, const struct tls_target *target)
{
    p->s[0] = tls_session_new_client(p->tls[0], target);
    p->s[1] = tls_session_new_server(p->tls[1]);
    assert_non_null(p->s[0]);
    assert_non_null(p->s[1]);
    p->got_n[0] = p->got_n[1] = 0;
    p->err[0] = p->err[1] = 0;
}

static inline void sessions_free(struct pair *p)
{
    tls_session_free(p->s[0]);
    tls_session_free(p->s[1]);
}

static inline bool serves(struct tls_session *s, struct str host)
{
    struct tls_target target = {.host = host};
    return tls_session_serves(s, &target);
}

static inline bool proves(struct tls_session *s, struct str host)
{
    struct tls_target who = {.host = host};
    return tls_session_proves(s, &who);
}

static inline bool carry(struct pair *p, unsigned to)
{
    struct str bytes = tls_session_tx(p->s[!to]);
    bool moved = bytes.n > 0;
    if (moved) {
        assert_int_equal(tls_session_rx(p->s[to], bytes.p, bytes.n), 0);
        tls_session_tx_done(p->s[!to], bytes.n);
    }
    while (p->err[to] == 0) {
        ptrdiff_t n = tls_session_read(p->s[to], p->got[to] + p->got_n[to],
                                       sizeof(p->got[to]) - p->got_n[to]);
        if (n <= 0) {
            p->err[to] = n;
            break;
        }
        p->got_n[to] += (size_t)n;
    }
    return moved;
}

static inline void settle(struct pair *p)
{
    bool moved = true;
    carry(p, 0); /* the client begins */
    while (moved) {
        moved = carry(p, 1);
        moved = carry(p, 0) || moved;
    }
}

/* Both sides are up and hear each other. */
static inline void assert_talks(struct pair *p)
{
    settle(p);
    if (p->err[0])
        fail_msg("client: %s", tls_session_why(p->s[0]).p);
    if (p->err[1])
        fail_msg("server: %s", tls_session_why(p->s[1]).p);
    assert_true(tls_session_is_up(p->s[0]));
    assert_true(tls_session_is_up(p->s[1]));
    p->got_n[0] = p->got_n[1] = 0;
    assert_int_equal(tls_session_write(p->s[0], "REGISTER", 8), 0);
    assert_int_equal(tls_session_write(p->s[1], "200", 3), 0);
    settle(p);
    assert_int_equal(p->got_n[1], 8);
    assert_memory_equal(p->got[1], "REGISTER", 8);
    assert_int_equal(p->got_n[0], 3);
    assert_memory_equal(p->got[0], "200", 3);
}

/* One side refuses the other in these words, nothing that it was told comes out, and the other one
 * learns that it is refused. */
static inline void assert_refused(struct pair *p, unsigned by, const char *words)
{
    settle(p);
    assert_int_equal(p->err[by], -EPROTO);
    assert_string_equal(tls_session_why(p->s[by]).p, words);
    assert_false(tls_session_is_up(p->s[by]));
    assert_int_equal(p->got_n[by], 0);
    assert_int_not_equal(tls_session_write(p->s[by], "x", 1), 0);
    assert_int_equal(p->err[!by], -EPROTO);
    assert_memory_equal(tls_session_why(p->s[!by]).p, "it refuses: ", 12);
}

static inline void pair_open(struct pair *p, const struct tls_config *client,
                             const struct tls_config *server)
{
    memset(p, 0, sizeof(*p));
    p->tls[0] = tls_make(client);
    p->tls[1] = tls_make(server);
}

static inline void pair_done(struct pair *p)
{
    sessions_free(p);
    tls_ctx_free(p->tls[0]);
    tls_ctx_free(p->tls[1]);
}

/* A server with this certificate, asked for as `host` by a client of this configuration. */
static inline void meet(struct pair *p, struct cert cert, const struct tls_config *client,
                        const char *host)
{
    struct tls_config server = server_config();
    struct tls_target target = {.host = str_z(host)};
    cert_write(&cert, cert_file, key_file);
    cert_free(&cert);
    pair_open(p, client, &server);
    sessions_open(p, &target);
}

static inline void meet_client(struct pair *p, struct cert cert, bool show)
{
    struct tls_config client = client_config(), server = server_config();
    struct tls_target target = {.host = STR("pbx.test")};
    struct cert own = cert_for("DNS:pbx.test", &ca);
    cert_write(&own, cert_file, key_file);
    cert_free(&own);
    cert_write(&cert, phone_cert, phone_key);
    cert_free(&cert);
    server.verify_client = true;
    if (show) {
        client.certificate = phone_cert;
        client.private_key = phone_key;
    }
    pair_open(p, &client, &server);
    sessions_open(p, &target);
}

#endif
