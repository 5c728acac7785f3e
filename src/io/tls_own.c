/* Our own certificates: which there are, and which of them a client is shown. RFC 6066 section 3,
 * RFC 5922 section 7.8. */
#include <errno.h>
#include <openssl/err.h>
#include <time.h>

#include "io/tls_int.h"

/* ---- files ----------------------------------------------------------------------------------- */

unsigned tls_own_count(const struct tls_config *cfg)
{
    return cfg->n_more + tls_given(cfg->certificate);
}

struct tls_certificate tls_own_files(const struct tls_config *cfg, unsigned i)
{
    if (!tls_given(cfg->certificate))
        return cfg->more[i];
    if (i > 0)
        return cfg->more[i - 1];
    return (struct tls_certificate){.certificate = cfg->certificate,
                                    .private_key = cfg->private_key};
}

static int chain_load(SSL_CTX *ctx, const struct tls_certificate *files, struct buf *why)
{
    if (SSL_CTX_use_certificate_chain_file(ctx, files->certificate) != 1)
        return tls_complain(why, files->certificate, "no certificate can be read");
    return 0;
}

static int key_load(SSL_CTX *ctx, const struct tls_certificate *files, struct buf *why)
{
    if (SSL_CTX_use_PrivateKey_file(ctx, files->private_key, SSL_FILETYPE_PEM) != 1)
        return tls_complain(why, files->private_key,
                            "no private key can be read that fits the certificate");
    if (SSL_CTX_check_private_key(ctx) != 1)
        return tls_complain(why, files->private_key, "the key is not that of the certificate");
    return 0;
}

int tls_own_load(SSL_CTX *ctx, const struct tls_certificate *files, struct buf *why)
{
    int err = chain_load(ctx, files, why);
    return err ? err : key_load(ctx, files, why);
}

int tls_pair_check(const struct tls_certificate *files, bool *of_key, struct buf *why)
{
    SSL_CTX *ctx = tls_context_new(TLS_server_method());
    ERR_clear_error();
    int err = ctx ? chain_load(ctx, files, why) : -ENOMEM;
    *of_key = !err;
    err = err ? err : key_load(ctx, files, why);
    SSL_CTX_free(ctx);
    return err;
}

/* ---- which of them ---------------------------------------------------------------------------
 */

/* Phones know wildcards, unlike RFC 5922, so a certificate that has one is shown for what it
 * stands for: whether that will do, they judge. */
static bool cert_covers(X509 *cert, struct str host)
{
    return tls_peer_covers(cert, host) || X509_check_host(cert, host.p, host.n, 0, NULL) == 1;
}

static bool names_cover(const struct tls_certificate *files, X509 *cert, struct str host)
{
    for (unsigned i = 0; i < files->n_names; i++)
        if (str_ieq(files->name[i], host))
            return true;
    if (files->n_names)
        return false;
    return cert_covers(cert, host);
}

static int on_name(SSL *ssl, int *alert, void *ctx)
{
    const struct tls_ctx *tls = ctx;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (!name)
        return SSL_TLSEXT_ERR_NOACK;
    for (unsigned i = 0; i < tls->n_own; i++) {
        struct tls_certificate files = tls_own_files(&tls->cfg, i);
        SSL_CTX *own = tls->own[i].ctx;
        if (!names_cover(&files, SSL_CTX_get0_certificate(own), str_z(name)))
            continue;
        if (i > 0)
            SSL_set_SSL_CTX(ssl, own);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK; /* the one for all, and the client may judge */
}

/* ---- contexts -------------------------------------------------------------------------------- */

static int clients_judge(SSL_CTX *ctx, const struct tls_config *cfg, struct buf *why)
{
    if (!cfg->verify_client && !cfg->ask_client)
        return 0;
    int err = tls_trust_load(ctx, cfg, why);
    if (err)
        return err;
    SSL_CTX_set_verify(
        ctx, SSL_VERIFY_PEER | (cfg->verify_client ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
    /* Which authorities a client may choose from. */
    if (tls_given(cfg->ca))
        SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(cfg->ca));
    return 0;
}

static int server_make(struct tls_own *ret, const struct tls_config *cfg, unsigned i,
                       struct buf *why)
{
    static const unsigned char id[] = "ringdown";
    struct tls_certificate files = tls_own_files(cfg, i);
    struct tm end;
    SSL_CTX *ctx = tls_context_new(TLS_server_method());
    int err = ctx ? tls_own_load(ctx, &files, why) : -ENOMEM;
    err = err ? err : clients_judge(ctx, cfg, why);
    if (err) {
        SSL_CTX_free(ctx);
        return err;
    }
    /* Tickets only, under keys of this context: what the old rules let in is not resumed under new
     * ones, and a peer makes us keep nothing. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_session_id_context(ctx, id, sizeof(id) - 1);
    SSL_CTX_set_session_ticket_cb(ctx, tls_peer_ticket_make, tls_peer_ticket_take, NULL);
    if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(ctx)), &end) == 1)
        ret->expires_s = timegm(&end);
    ret->ctx = ctx;
    return 0;
}

int tls_own_make(struct tls_own ret[TLS_MAX_CERTIFICATES], struct tls_ctx *tls,
                 const struct tls_config *cfg, struct buf *why)
{
    unsigned n = tls_own_count(cfg);
    for (unsigned i = 0; i < n; i++) {
        int err = server_make(&ret[i], cfg, i, why);
        if (err)
            return err;
    }
    if (n > 1) {
        SSL_CTX_set_tlsext_servername_callback(ret[0].ctx, on_name);
        SSL_CTX_set_tlsext_servername_arg(ret[0].ctx, tls);
    }
    return 0;
}

void tls_own_free(struct tls_own own[TLS_MAX_CERTIFICATES])
{
    for (unsigned i = 0; i < TLS_MAX_CERTIFICATES; i++) {
        SSL_CTX_free(own[i].ctx);
        own[i] = (struct tls_own){0};
    }
}

/* ---- questions ------------------------------------------------------------------------------- */

int64_t tls_ctx_expires_s(const struct tls_ctx *tls)
{
    return tls->own[0].expires_s;
}

int tls_ctx_certificate_get(const struct tls_ctx *tls, unsigned i, struct tls_certificate_view *ret,
                            struct buf *names)
{
    if (i >= tls->n_own)
        return -ENOENT;
    struct tls_certificate files = tls_own_files(&tls->cfg, i);
    for (unsigned k = 0; k < files.n_names; k++) {
        buf_z(names, k ? ", " : "");
        buf_str_put(names, files.name[k]);
    }
    if (!files.n_names)
        tls_peer_names(SSL_CTX_get0_certificate(tls->own[i].ctx), names);
    *ret = (struct tls_certificate_view){
        .file = files.certificate, .expires_s = tls->own[i].expires_s, .is_default = i == 0};
    return 0;
}

bool tls_ctx_names(const struct tls_ctx *tls, struct str host)
{
    for (unsigned i = 0; i < tls->n_own; i++)
        if (cert_covers(SSL_CTX_get0_certificate(tls->own[i].ctx), host))
            return true;
    return false;
}
