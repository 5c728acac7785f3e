#include "io/tls_int.h"

#include <errno.h>
#include <openssl/err.h>
#include <sys/stat.h>

#include "base/mem.h"

#define VERIFY_DEPTH 8

/* Forward secrecy first. RFC 3261 26.2.1 demands AES of every user agent, and there are phones that
 * know no key exchange but RSA. */
#define CIPHERS                                                                                    \
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:ECDHE+AES:DHE+AES:RSA+AESGCM:RSA+AES:!aNULL:!PSK:!SRP"

/* ---- files ----------------------------------------------------------------------------------- */

bool tls_given(const char *name)
{
    return name && name[0];
}

static struct file_mark mark_get(const char *name)
{
    struct stat st;
    if (!tls_given(name) || stat(name, &st))
        return (struct file_mark){0};
    return (struct file_mark){.s = st.st_mtim.tv_sec,
                              .ns = st.st_mtim.tv_nsec,
                              .inode = st.st_ino,
                              .bytes = (uint64_t)st.st_size};
}

static void marks_get(const struct tls_config *cfg, struct file_mark mark[TLS_FILES])
{
    memset(mark, 0, TLS_FILES * sizeof(*mark));
    mark[0] = mark_get(tls_given(cfg->ca) ? cfg->ca : X509_get_default_cert_dir());
    for (unsigned i = 0; i < tls_own_count(cfg); i++) {
        struct tls_certificate files = tls_own_files(cfg, i);
        mark[1 + 2 * i] = mark_get(files.certificate);
        mark[2 + 2 * i] = mark_get(files.private_key);
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

/* What the system said comes first, if it is that; OpenSSL puts "system lib" behind it. */
static const char *reason_get(void)
{
    unsigned long first = ERR_peek_error(), last = ERR_peek_last_error();
    if (ERR_SYSTEM_ERROR(first))
        return strerrordesc_np(ERR_GET_REASON(first));
    return last ? ERR_reason_error_string(last) : NULL;
}

int tls_complain(struct buf *why, const char *file, const char *what)
{
    const char *words = reason_get();
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

int tls_trust_load(SSL_CTX *ctx, const struct tls_config *cfg, struct buf *why)
{
    if (!tls_given(cfg->ca)) {
        SSL_CTX_set_default_verify_paths(ctx);
        return 0;
    }
    if (SSL_CTX_load_verify_file(ctx, cfg->ca) != 1)
        return tls_complain(why, cfg->ca, "no authorities can be read");
    return 0;
}

int tls_authorities_check(const char *ca, struct buf *why)
{
    struct tls_config cfg = {.ca = ca};
    SSL_CTX *ctx = tls_context_new(TLS_client_method());
    ERR_clear_error();
    int err = ctx ? tls_trust_load(ctx, &cfg, why) : -ENOMEM;
    SSL_CTX_free(ctx);
    return err;
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
        /* Nobody looks at its certificate again: RFC 8446 4.6.1. */
        X509 *cert = SSL_SESSION_get0_peer(c->session);
        if (cert && X509_cmp_current_time(X509_get0_notAfter(cert)) > 0)
            SSL_set_session(s->ssl, c->session);
        SSL_SESSION_free(c->session);
        c->session = NULL;
        return;
    }
}

/* ---- contexts -------------------------------------------------------------------------------- */

SSL_CTX *tls_context_new(const SSL_METHOD *method)
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

static int client_make(SSL_CTX **ret, const struct tls_config *cfg, struct buf *why)
{
    SSL_CTX *ctx = tls_context_new(TLS_client_method());
    int err = ctx ? 0 : -ENOMEM;
    if (!err && tls_own_count(cfg)) {
        struct tls_certificate files = tls_own_files(cfg, 0);
        err = tls_own_load(ctx, &files, why);
    }
    err = err ? err : tls_trust_load(ctx, cfg, why);
    if (err) {
        SSL_CTX_free(ctx);
        return err;
    }
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_ticket);
    *ret = ctx;
    return 0;
}

/* ---- the configuration, kept -------------------------------------------------------------------
 */

static size_t size_of(const char *z)
{
    return z ? strlen(z) + 1 : 1;
}

static const char *keep(char **at, const char *z)
{
    char *here = *at;
    size_t n = size_of(z);
    memcpy(here, z ? z : "", n);
    *at += n;
    return here;
}

/* The same with memory of its own for all that it points to, which is *mem. */
static int config_copy(struct tls_config *ret, const struct tls_config *from, char **mem)
{
    unsigned n_more =
        from->n_more < TLS_MAX_CERTIFICATES - 1 ? from->n_more : TLS_MAX_CERTIFICATES - 1;
    size_t n = n_more * sizeof(*from->more) + size_of(from->certificate) +
               size_of(from->private_key) + size_of(from->ca);
    for (unsigned i = 0; i < n_more; i++) {
        const struct tls_certificate *c = &from->more[i];
        n += c->n_names * sizeof(*c->name) + size_of(c->certificate) + size_of(c->private_key);
        for (unsigned k = 0; k < c->n_names; k++)
            n += c->name[k].n;
    }
    char *block = mem_alloc(n), *at = block;
    if (!block)
        return -ENOMEM;
    struct tls_certificate *more = (struct tls_certificate *)(void *)at;
    at += n_more * sizeof(*more);
    struct str *name = (struct str *)(void *)at; /* all of them, for they want to be aligned */
    for (unsigned i = 0; i < n_more; i++)
        at += from->more[i].n_names * sizeof(*name);
    *ret = *from;
    ret->more = more;
    ret->n_more = n_more;
    ret->certificate = keep(&at, from->certificate);
    ret->private_key = keep(&at, from->private_key);
    ret->ca = keep(&at, from->ca);
    for (unsigned i = 0; i < n_more; i++) {
        const struct tls_certificate *c = &from->more[i];
        more[i] = (struct tls_certificate){keep(&at, c->certificate), keep(&at, c->private_key),
                                           name, c->n_names};
        for (unsigned k = 0; k < c->n_names; k++) {
            memcpy(at, c->name[k].p, c->name[k].n);
            *name++ = str_of(at, c->name[k].n);
            at += c->name[k].n;
        }
    }
    *mem = block;
    return 0;
}

/* ---- the door ----------------------------------------------------------------------------------
 */

static int keys_of(struct tls_ctx *tls, const struct tls_config *cfg, struct buf *why)
{
    struct tls_own own[TLS_MAX_CERTIFICATES] = {0};
    SSL_CTX *client = NULL;
    int err = tls_own_make(own, tls, cfg, why);
    err = err ? err : client_make(&client, cfg, why);
    if (err) {
        tls_own_free(own);
        return err;
    }
    tls_own_free(tls->own); /* sessions hold theirs */
    SSL_CTX_free(tls->client);
    memcpy(tls->own, own, sizeof(own));
    tls->client = client;
    return 0;
}

int tls_ctx_reload(struct tls_ctx *tls, const struct tls_config *cfg, struct buf *why)
{
    struct file_mark mark[TLS_FILES];
    struct tls_config next = tls->cfg;
    char *mem = NULL;
    ERR_clear_error();
    int err = cfg ? config_copy(&next, cfg, &mem) : 0;
    if (err)
        return err;
    marks_get(&next, mark); /* before they are read: what changes meanwhile is noticed later */
    err = keys_of(tls, &next, why);
    if (!cfg || !err) /* a bad pair is complained of once */
        memcpy(tls->read, mark, sizeof(mark));
    if (err) {
        mem_free(mem);
        return err;
    }
    if (cfg) {
        mem_free(tls->cfg_mem);
        tls->cfg_mem = mem;
        tls->cfg = next;
    }
    if (memcmp(&tls->trusted, &mark[0], sizeof(mark[0])))
        tls->trust++; /* who is believed is asked of them anew */
    tls->trusted = mark[0];
    tls->n_own = tls_own_count(&tls->cfg);
    cache_clear(tls);
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
    tls_own_free(tls->own);
    SSL_CTX_free(tls->client);
    mem_free(tls->cfg_mem);
    mem_free(tls);
}
