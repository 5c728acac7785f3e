#include "io/tls_int.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include "base/mem.h"

#define VERIFY_DEPTH 8

/* Forward secrecy first. RFC 3261 26.2.1 demands AES of every user agent, and there are phones that
 * know no key exchange but RSA. */
#define CIPHERS                                                                                    \
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!PSK:!SRP"

/* ---- files ----------------------------------------------------------------------------------- */

static bool given(const char *name)
{
    return name && name[0];
}

static void marks_get(const struct tls_config *cfg, struct file_mark mark[TLS_FILES])
{
    const char *name[TLS_FILES] = {cfg->certificate, cfg->private_key, cfg->ca};
    for (unsigned i = 0; i < TLS_FILES; i++) {
        struct stat st;
        mark[i] = (struct file_mark){0};
        if (!given(name[i]) || stat(name[i], &st))
            continue;
        mark[i] = (struct file_mark){.s = st.st_mtim.tv_sec,
                                     .ns = st.st_mtim.tv_nsec,
                                     .inode = st.st_ino,
                                     .bytes = (uint64_t)st.st_size};
    }
}

bool tls_ctx_changed(struct tls_ctx *tls)
{
    struct file_mark now[TLS_FILES];
    marks_get(&tls->cfg, now);
    bool settled = !memcmp(now, tls->seen, sizeof(now));
    memcpy(tls->seen, now, sizeof(now));
    return settled && memcmp(now, tls->read, sizeof(now)) != 0;
}

static int complain(struct buf *why, const char *file, const char *what)
{
    unsigned long err = ERR_peek_last_error();
    const char *words = err ? ERR_reason_error_string(err) : NULL;
    buf_z(why, file);
    buf_lit(why, ": ");
    buf_z(why, what);
    if (words) {
        buf_lit(why, " (");
        buf_z(why, words);
        buf_ch(why, ')');
    }
    ERR_clear_error();
    return -EINVAL;
}

/* A key with a passphrase must not make OpenSSL ask for it at the terminal. */
static int no_passphrase(char *out, int cap, int writing, void *ctx)
{
    return 0;
}

static int own_load(SSL_CTX *ctx, const struct tls_config *cfg, int64_t *expires_s, struct buf *why)
{
    if (!given(cfg->certificate))
        return 0;
    if (SSL_CTX_use_certificate_chain_file(ctx, cfg->certificate) != 1)
        return complain(why, cfg->certificate, "no certificate can be read");
    if (SSL_CTX_use_PrivateKey_file(ctx, cfg->private_key, SSL_FILETYPE_PEM) != 1)
        return complain(why, cfg->private_key,
                        "no private key can be read that fits the certificate");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return complain(why, cfg->private_key, "the key is not that of the certificate");
    struct tm end;
    if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(ctx)), &end) == 1)
        *expires_s = timegm(&end);
    return 0;
}

static int trust_load(SSL_CTX *ctx, const struct tls_config *cfg, struct buf *why)
{
    if (!given(cfg->ca)) {
        SSL_CTX_set_default_verify_paths(ctx);
        return 0;
    }
    if (SSL_CTX_load_verify_file(ctx, cfg->ca) != 1)
        return complain(why, cfg->ca, "no authorities can be read");
    return 0;
}

/* ---- sessions of servers, to be resumed --------------------------------------------------------
 */

static bool is_for(const struct cached *c, const struct tls_session *s)
{
    return c->session && !strcmp(c->host, s->host) && c->n_pins == s->n_pins &&
           c->own_pins == s->own_pins && !memcmp(c->pin, s->pin, s->n_pins * sizeof(*s->pin));
}

static void cache_clear(struct tls_ctx *tls)
{
    for (unsigned i = 0; i < TLS_CACHED; i++) {
        SSL_SESSION_free(tls->cache[i].session);
        tls->cache[i].session = NULL;
    }
}

/* A ticket came. A later one for the same server replaces it: RFC 8446 C.4 uses each once. */
static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct tls_session *s = SSL_get_app_data(ssl);
    struct tls_ctx *tls = s->tls;
    struct cached *c = NULL;
    if (SSL_get_SSL_CTX(ssl) != tls->client)
        return 0; /* the rules have changed since it was judged */
    for (unsigned i = 0; i < TLS_CACHED && !c; i++)
        c = is_for(&tls->cache[i], s) ? &tls->cache[i] : NULL;
    if (!c) {
        c = &tls->cache[tls->cache_at];
        tls->cache_at = (tls->cache_at + 1) % TLS_CACHED;
    }
    SSL_SESSION_free(c->session);
    c->session = session;
    memcpy(c->host, s->host, sizeof(c->host));
    memcpy(c->pin, s->pin, sizeof(c->pin));
    c->n_pins = s->n_pins;
    c->own_pins = s->own_pins;
    return 1; /* it is ours now */
}

void tls_resume(struct tls_session *s)
{
    for (unsigned i = 0; i < TLS_CACHED; i++) {
        struct cached *c = &s->tls->cache[i];
        if (!is_for(c, s))
            continue;
        SSL_set_session(s->ssl, c->session);
        SSL_SESSION_free(c->session);
        c->session = NULL;
        return;
    }
}

/* ---- contexts -------------------------------------------------------------------------------- */

static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    if (!ctx)
        return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_cert_verify_callback(ctx, tls_peer_judge, NULL);
    SSL_CTX_set_verify_depth(ctx, VERIFY_DEPTH);
    if (SSL_CTX_set_cipher_list(ctx, CIPHERS) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static int server_make(SSL_CTX **ret, const struct tls_config *cfg, int64_t *expires_s,
                       struct buf *why)
{
    static const unsigned char id[] = "ringdown";
    if (!given(cfg->certificate))
        return 0;
    SSL_CTX *ctx = context_new(TLS_server_method());
    int err = ctx ? own_load(ctx, cfg, expires_s, why) : -ENOMEM;
    if (!err && cfg->verify_client)
        err = trust_load(ctx, cfg, why);
    if (!err && cfg->verify_client) {
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        /* Which authorities a client may choose from. */
        if (given(cfg->ca))
            SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(cfg->ca));
    }
    if (err) {
        SSL_CTX_free(ctx);
        return err;
    }
    /* Tickets only, under keys of this context: what the old rules let in is not resumed under new
     * ones, and a peer makes us keep nothing. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
    *ret = ctx;
    return 0;
}

static int client_make(SSL_CTX **ret, const struct tls_config *cfg, struct buf *why)
{
    int64_t unused;
    SSL_CTX *ctx = context_new(TLS_client_method());
    int err = ctx ? own_load(ctx, cfg, &unused, why) : -ENOMEM;
    err = err ? err : trust_load(ctx, cfg, why);
    if (err) {
        SSL_CTX_free(ctx);
        return err;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_ticket);
    *ret = ctx;
    return 0;
}

int tls_ctx_reload(struct tls_ctx *tls, const struct tls_config *cfg, struct buf *why)
{
    SSL_CTX *server = NULL, *client = NULL;
    struct file_mark mark[TLS_FILES];
    int64_t expires_s = 0;
    struct tls_config next = cfg ? *cfg : tls->cfg;
    ERR_clear_error();
    marks_get(&next, mark); /* before they are read: what changes meanwhile is noticed later */
    int err = server_make(&server, &next, &expires_s, why);
    err = err ? err : client_make(&client, &next, why);
    if (!cfg || !err) /* a bad pair is complained of once */
        memcpy(tls->read, mark, sizeof(mark));
    if (err) {
        SSL_CTX_free(server);
        return err;
    }
    const char *name[TLS_FILES] = {next.certificate, next.private_key, next.ca};
    for (unsigned i = 0; i < TLS_FILES && cfg; i++)
        str_copy_z(tls->path[i], sizeof(tls->path[i]), given(name[i]) ? str_z(name[i]) : STR(""));
    next.certificate = tls->path[0];
    next.private_key = tls->path[1];
    next.ca = tls->path[2];
    tls->cfg = next;
    cache_clear(tls);
    SSL_CTX_free(tls->server); /* sessions hold theirs */
    SSL_CTX_free(tls->client);
    tls->server = server;
    tls->client = client;
    tls->expires_s = expires_s;
    return 0;
}

int tls_ctx_new(struct tls_ctx **ret, const struct tls_config *cfg, struct buf *why)
{
    struct tls_ctx *tls = mem_zero(sizeof(*tls));
    if (!tls)
        return -ENOMEM;
    int err = tls_ctx_reload(tls, cfg, why);
    if (err) {
        tls_ctx_free(tls);
        return err;
    }
    *ret = tls;
    return 0;
}

void tls_ctx_free(struct tls_ctx *tls)
{
    if (!tls)
        return;
    cache_clear(tls);
    SSL_CTX_free(tls->server);
    SSL_CTX_free(tls->client);
    mem_free(tls);
}

int64_t tls_ctx_expires_s(const struct tls_ctx *tls)
{
    return tls->expires_s;
}
