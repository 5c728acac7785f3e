#include "wire/sip/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "base/mem.h"
#include "wire/sip/lex.h"

/* One context an algorithm: starting again with the digest it already has costs OpenSSL nothing
 * but the initial state. */
struct digest {
    EVP_MD *md[DIGEST_ALG_COUNT];
    EVP_MD_CTX *ctx[DIGEST_ALG_COUNT];
};

struct alg_row {
    struct str name;
    const char *openssl;
};

static const struct alg_row algs[DIGEST_ALG_COUNT] = {
    [DIGEST_MD5] = {STR_INIT("MD5"), "MD5"},
    [DIGEST_SHA256] = {STR_INIT("SHA-256"), "SHA2-256"},
    [DIGEST_SHA512_256] = {STR_INIT("SHA-512-256"), "SHA2-512/256"},
};

struct digest *digest_new(void)
{
    struct digest *d = mem_zero(sizeof(*d));
    for (unsigned i = 0; d && i < DIGEST_ALG_COUNT; i++) {
        d->md[i] = EVP_MD_fetch(NULL, algs[i].openssl, NULL);
        d->ctx[i] = EVP_MD_CTX_new();
        if (!d->md[i] || !d->ctx[i] || !EVP_DigestInit_ex2(d->ctx[i], d->md[i], NULL)) {
            digest_free(d);
            return NULL;
        }
    }
    return d;
}

void digest_free(struct digest *d)
{
    if (!d)
        return;
    for (unsigned i = 0; i < DIGEST_ALG_COUNT; i++) {
        EVP_MD_CTX_free(d->ctx[i]);
        EVP_MD_free(d->md[i]);
    }
    mem_free(d);
}

int digest_alg_parse(enum digest_alg *ret, struct str s)
{
    for (unsigned i = 0; i < DIGEST_ALG_COUNT; i++)
        if (str_ieq(algs[i].name, s)) {
            *ret = (enum digest_alg)i;
            return 0;
        }
    return -EINVAL;
}

struct str digest_alg_name(enum digest_alg alg)
{
    return alg < DIGEST_ALG_COUNT ? algs[alg].name : STR_NONE;
}

static struct str *field_at(struct digest_fields *f, struct str name)
{
    const struct {
        struct str name;
        struct str *at;
    } rows[] = {
        {STR_INIT("username"), &f->username},
        {STR_INIT("realm"), &f->realm},
        {STR_INIT("nonce"), &f->nonce},
        {STR_INIT("uri"), &f->uri},
        {STR_INIT("response"), &f->response},
        {STR_INIT("algorithm"), &f->algorithm},
        {STR_INIT("cnonce"), &f->cnonce},
        {STR_INIT("qop"), &f->qop},
        {STR_INIT("nc"), &f->nc},
        {STR_INIT("opaque"), &f->opaque},
        {STR_INIT("domain"), &f->domain},
        {STR_INIT("stale"), &f->stale},
        {STR_INIT("userhash"), &f->userhash},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].name.n == name.n && str_ieq(rows[i].name, name))
            return rows[i].at;
    return NULL;
}

/* name LWS "=" LWS ( token / quoted-string ); returns behind it and its white space. Some phones
 * leave the quotes off a URI or nonce, so a bare value is any parameter value. */
static const char *pair_scan(const char *p, const char *end, struct str *name, struct str *value)
{
    const char *q = lex_span(p, end, LEX_TOKEN);
    *name = lex_str(p, q);
    const char *eq = lex_ws(q, end);
    if (q == p || eq == end || *eq != '=')
        return NULL;
    p = lex_ws(eq + 1, end);
    bool quoted = p < end && *p == '"';
    q = quoted ? lex_quoted(p, end) : lex_span(p, end, LEX_VALUE);
    if (!q || q == p)
        return NULL;
    *value = quoted ? lex_str(p + 1, q - 1) : lex_str(p, q);
    return lex_ws(q, end);
}

int digest_parse(struct digest_fields *ret, struct str value)
{
    struct digest_fields f = {0};
    const char *p = value.p, *end = value.p + value.n;
    const char *q = lex_span(p, end, LEX_TOKEN);
    f.scheme = lex_str(p, q);
    p = lex_ws(q, end);
    if (f.scheme.n == 0 || p == q || p == end)
        return -EINVAL;
    while (p < end) {
        struct str name, text;
        p = pair_scan(p, end, &name, &text);
        if (!p || (p < end && *p != ','))
            return -EINVAL;
        struct str *at = field_at(&f, name);
        /* RFC 7616 3.4: a parameter given twice makes the credentials worthless. */
        if (at && at->p)
            return -EINVAL;
        if (at)
            *at = text;
        /* Empty elements of a list are legal (RFC 3261 7.3.1 leaves the comma rule loose). */
        while (p < end && (*p == ',' || lex_is(*p, LEX_SPACE)))
            p++;
    }
    *ret = f;
    return 0;
}

static void hash_parts(struct digest *d, enum digest_alg alg, const struct str *part, unsigned n,
                       struct digest_hex *ret)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char out[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_MD_CTX *ctx = d->ctx[alg];
    bool ok = EVP_DigestInit_ex2(ctx, NULL, NULL) == 1;
    for (unsigned i = 0; i < n; i++) {
        if (i)
            ok &= EVP_DigestUpdate(ctx, ":", 1) == 1;
        ok &= EVP_DigestUpdate(ctx, part[i].p, part[i].n) == 1;
    }
    ok &= EVP_DigestFinal_ex(ctx, out, &size) == 1;
    BUG_ON(!ok || size * 2 > sizeof(ret->text));
    for (unsigned i = 0; i < size; i++) {
        ret->text[2 * i] = hex[out[i] >> 4];
        ret->text[2 * i + 1] = hex[out[i] & 15];
    }
    ret->n = (uint8_t)(size * 2);
}

void digest_ha1(struct digest *d, enum digest_alg alg, struct str user, struct str realm,
                struct str password, struct digest_hex *ret)
{
    hash_parts(d, alg, (const struct str[]){user, realm, password}, 3, ret);
}

void digest_response(struct digest *d, enum digest_alg alg, const struct digest_hex *ha1,
                     const struct digest_fields *f, struct str method, struct digest_hex *ret)
{
    struct digest_hex ha2;
    hash_parts(d, alg, (const struct str[]){method, f->uri}, 2, &ha2);
    struct str a1 = str_of(ha1->text, ha1->n), a2 = str_of(ha2.text, ha2.n);
    if (f->qop.n)
        hash_parts(d, alg, (const struct str[]){a1, f->nonce, f->nc, f->cnonce, f->qop, a2}, 6,
                   ret);
    else
        hash_parts(d, alg, (const struct str[]){a1, f->nonce, a2}, 3, ret);
}

void digest_hmac(const void *key, size_t key_n, struct str msg, uint8_t *out, size_t n)
{
    unsigned char full[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    BUG_ON(n > 32 || key_n > INT32_MAX);
    const unsigned char *p =
        HMAC(EVP_sha256(), key, (int)key_n, (const unsigned char *)msg.p, msg.n, full, &size);
    BUG_ON(!p || size < n);
    memcpy(out, full, n);
}

bool digest_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
