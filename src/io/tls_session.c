/* One side of one TLS connection, over two buffers in memory. */
#include <errno.h>
#include <openssl/err.h>
#include <time.h>

#include "base/addr.h"
#include "base/mem.h"
#include "io/tls_int.h"

/* ---- life ------------------------------------------------------------------------------------ */

static struct tls_session *session_new(struct tls_ctx *tls, SSL_CTX *ctx)
{
    struct tls_session *s = ctx ? mem_zero(sizeof(*s)) : NULL;
    if (!s)
        return NULL;
    s->tls = tls;
    s->trust = tls->trust;
    s->ssl = SSL_new(ctx);
    BIO *rx = BIO_new(BIO_s_mem()), *tx = BIO_new(BIO_s_mem());
    if (!s->ssl || !rx || !tx) {
        BIO_free(rx);
        BIO_free(tx);
        SSL_free(s->ssl);
        mem_free(s);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_mem_eof_return(rx, -1); /* empty is not over */
    SSL_set_bio(s->ssl, rx, tx);
    SSL_set_app_data(s->ssl, s);
    s->rx = rx;
    s->tx = tx;
    return s;
}

struct tls_session *tls_session_new_server(struct tls_ctx *tls)
{
    struct tls_session *s = session_new(tls, tls->own[0].ctx);
    if (s)
        SSL_set_accept_state(s->ssl);
    return s;
}

static void pins_take(struct tls_session *s, const struct tls_target *target)
{
    const struct tls_config *cfg = &s->tls->cfg;
    const struct tls_pin *pin = target->n_pins ? target->pin : cfg->pin;
    unsigned n = target->n_pins ? target->n_pins : cfg->n_pins;
    s->own_pins = target->n_pins > 0;
    s->n_pins = n < TLS_MAX_PINS ? n : TLS_MAX_PINS;
    memcpy(s->pin, pin, s->n_pins * sizeof(*pin));
}

struct tls_session *tls_session_new_client(struct tls_ctx *tls, const struct tls_target *target)
{
    struct addr ip;
    struct tls_session *s = session_new(tls, tls->client);
    if (!s)
        return NULL;
    s->client = true;
    str_copy_z(s->host, sizeof(s->host), target->host);
    pins_take(s, target);
    SSL_set_connect_state(s->ssl);
    /* Pins are there to be kept, also by who trusts everybody else. */
    SSL_set_verify(s->ssl, tls->cfg.verify_peer || s->n_pins ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
                   NULL);
    /* RFC 6066 section 3: names only, not addresses. */
    if (s->host[0] && addr_parse(&ip, target->host, 0))
        SSL_set_tlsext_host_name(s->ssl, s->host);
    tls_resume(s);
    return s;
}

void tls_session_free(struct tls_session *s)
{
    if (!s)
        return;
    /* One that is dropped without a goodbye may be resumed all the same: SIP has its own ends. */
    SSL_set_shutdown(s->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(s->ssl);
    mem_free(s);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

int tls_session_rx(struct tls_session *s, const char *p, size_t n)
{
    if (s->failed)
        return 0; /* nobody will read it */
    return BIO_write(s->rx, p, (int)n) == (int)n ? 0 : -ENOMEM;
}

/* What a call of OpenSSL that gave nothing means. */
static int outcome(struct tls_session *s, int ret)
{
    switch (SSL_get_error(s->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        s->closed = true;
        return -EPIPE;
    default:
        s->failed = true;
        tls_peer_explain(s);
        return -EPROTO;
    }
}

static int handshake(struct tls_session *s)
{
    ERR_clear_error();
    int ret = SSL_do_handshake(s->ssl);
    if (ret != 1)
        return outcome(s, ret);
    s->up = true;
    s->until_s = tls_peer_until_s(s);
    return 0;
}

ptrdiff_t tls_session_read(struct tls_session *s, char *out, size_t cap)
{
    if (s->failed)
        return -EPROTO;
    if (s->closed)
        return -EPIPE;
    if (!s->up) {
        int err = handshake(s);
        if (err || !s->up)
            return err;
    }
    ERR_clear_error();
    int n = SSL_read(s->ssl, out, (int)(cap < INT32_MAX ? cap : INT32_MAX));
    return n > 0 ? n : outcome(s, n);
}

int tls_session_write(struct tls_session *s, const char *p, size_t n)
{
    if (!s->up)
        return -EAGAIN;
    ERR_clear_error();
    while (n) {
        int some = SSL_write(s->ssl, p, (int)(n < INT32_MAX ? n : INT32_MAX));
        if (some <= 0) {
            int err = outcome(s, some);
            return err ? err : -EIO; /* memory takes everything */
        }
        p += some;
        n -= (size_t)some;
    }
    return 0;
}

void tls_session_close(struct tls_session *s)
{
    if (s->up && !s->failed && !(SSL_get_shutdown(s->ssl) & SSL_SENT_SHUTDOWN))
        SSL_shutdown(s->ssl);
    ERR_clear_error();
}

struct str tls_session_tx(const struct tls_session *s)
{
    char *p;
    long n = BIO_get_mem_data(s->tx, &p);
    return str_of(p, n > 0 ? (size_t)n : 0);
}

void tls_session_tx_done(struct tls_session *s, size_t n)
{
    char sink[4096];
    while (n) {
        int some = BIO_read(s->tx, sink, (int)(n < sizeof(sink) ? n : sizeof(sink)));
        if (some <= 0)
            return;
        n -= (size_t)some;
    }
}

/* ---- questions ------------------------------------------------------------------------------- */

bool tls_session_is_up(const struct tls_session *s)
{
    return s->up;
}

bool tls_session_is_resumed(const struct tls_session *s)
{
    return s->up && SSL_session_reused(s->ssl);
}

bool tls_session_holds(struct tls_session *s)
{
    if (!s->up || s->failed || !SSL_get0_peer_certificate(s->ssl) ||
        SSL_get_verify_mode(s->ssl) == SSL_VERIFY_NONE ||
        SSL_get_verify_result(s->ssl) != X509_V_OK)
        return false;
    if (s->trust != s->tls->trust) {
        s->fallen = !tls_peer_judge_again(s);
        s->trust = s->tls->trust;
    }
    return !s->fallen && time(NULL) < s->until_s;
}

bool tls_session_serves(struct tls_session *s, const struct tls_target *target)
{
    bool same_pins = s->own_pins ? target->n_pins == s->n_pins &&
                                       !memcmp(target->pin, s->pin, s->n_pins * sizeof(*s->pin))
                                 : target->n_pins == 0;
    if (s->failed || s->closed)
        return false;
    const struct tls_config *cfg = &s->tls->cfg;
    X509 *cert = s->up ? SSL_get0_peer_certificate(s->ssl) : NULL;
    bool unverified = SSL_get_verify_mode(s->ssl) == SSL_VERIFY_NONE;
    bool pinned = !cfg->n_pins || (cert && tls_peer_is_pinned(cert, cfg->pin, cfg->n_pins));
    /* It was judged by rules that are stricter now. */
    bool stale = s->up && !s->own_pins && ((cfg->verify_peer && unverified) || !pinned);
    if (s->client && same_pins && !stale && str_ieq(str_z(s->host), target->host))
        return true; /* what it is refused for, it is refused for both */
    if (!tls_session_holds(s))
        return false;
    if (target->n_pins)
        return tls_peer_is_pinned(cert, target->pin, target->n_pins);
    /* What was let in by keys of its own would not have been by the rules for all. */
    if (s->own_pins || !pinned)
        return false;
    return tls_peer_covers(cert, target->host);
}

bool tls_session_proves(struct tls_session *s, const struct tls_target *who)
{
    if (s->client || !tls_session_holds(s))
        return false;
    X509 *cert = SSL_get0_peer_certificate(s->ssl);
    return tls_peer_covers(cert, who->host) &&
           (!who->n_pins || tls_peer_is_pinned(cert, who->pin, who->n_pins));
}

void tls_session_doubt(const struct tls_session *s, struct buf *b)
{
    if (s->up && !s->client && SSL_get0_peer_certificate(s->ssl) &&
        SSL_get_verify_result(s->ssl) != X509_V_OK)
        tls_peer_words(s, SSL_get_verify_result(s->ssl), b);
}

void tls_session_names(const struct tls_session *s, struct buf *b)
{
    X509 *cert = SSL_get0_peer_certificate(s->ssl);
    if (cert)
        tls_peer_names(cert, b);
}

enum tls_failure tls_session_failure(const struct tls_session *s)
{
    return (enum tls_failure)s->failure;
}

void tls_session_describe(const struct tls_session *s, struct buf *b)
{
    buf_z(b, SSL_get_version(s->ssl));
    buf_ch(b, ' ');
    const char *cipher = SSL_get_cipher_name(s->ssl);
    buf_z(b, cipher ? cipher : "?");
}

struct str tls_session_why(const struct tls_session *s)
{
    return s->failed ? str_z(s->why) : STR_NONE;
}
