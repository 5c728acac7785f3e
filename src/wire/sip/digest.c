#include "wire/sip/digest.h"

/* OpenSSL's EVP allocates a context at each beginning of a digest, and this is done for every
 * message: the older functions below it work in our memory. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#include "base/mem.h"
#include "wire/sip/lex.h"

union digest_state {
    MD5_CTX md5;
    SHA256_CTX sha256;
    SHA512_CTX sha512;
};

/* The beginning of each algorithm. */
struct digest {
    union digest_state start[DIGEST_ALG_COUNT];
};

struct alg_row {
    struct str name;
    uint8_t bytes;
};

static const struct alg_row algs[DIGEST_ALG_COUNT] = {
    [DIGEST_MD5] = {STR_INIT("MD5"), MD5_DIGEST_LENGTH},
    [DIGEST_SHA256] = {STR_INIT("SHA-256"), SHA256_DIGEST_LENGTH},
    [DIGEST_SHA512_256] = {STR_INIT("SHA-512-256"), SHA256_DIGEST_LENGTH},
};

/* FIPS 180-4 5.3.6: SHA-512/t is SHA-512 that begins with the SHA-512 of its own name, itself begun
 * with every word of the usual beginning inverted in part. */
static bool start_sha512_256(SHA512_CTX *ret)
{
    static const char name[] = "SHA-512/256";
    uint8_t out[SHA512_DIGEST_LENGTH];
    SHA512_CTX c;
    bool ok = SHA512_Init(&c) == 1;
    for (unsigned i = 0; i < 8; i++)
        c.h[i] ^= 0xa5a5a5a5a5a5a5a5ull;
    ok &= SHA512_Update(&c, name, sizeof(name) - 1) == 1;
    ok &= SHA512_Final(out, &c) == 1 && SHA512_Init(ret) == 1;
    for (unsigned i = 0; i < 8; i++) {
        uint64_t word = 0;
        for (unsigned k = 0; k < 8; k++)
            word = word << 8 | out[8 * i + k];
        ret->h[i] = word;
    }
    ret->md_len = SHA256_DIGEST_LENGTH;
    return ok;
}

struct digest *digest_new(void)
{
    struct digest *d = mem_zero(sizeof(*d));
    if (d &&
        (!MD5_Init(&d->start[DIGEST_MD5].md5) || !SHA256_Init(&d->start[DIGEST_SHA256].sha256) ||
         !start_sha512_256(&d->start[DIGEST_SHA512_256].sha512))) {
        digest_free(d);
        return NULL;
    }
    return d;
}

void digest_free(struct digest *d)
{
    mem_free(d);
}

static void digest_put(union digest_state *h, enum digest_alg alg, const void *p, size_t n)
{
    if (alg == DIGEST_MD5)
        MD5_Update(&h->md5, p, n);
    else if (alg == DIGEST_SHA256)
        SHA256_Update(&h->sha256, p, n);
    else
        SHA512_Update(&h->sha512, p, n);
}

static void digest_end(union digest_state *h, enum digest_alg alg,
                       uint8_t out[SHA512_DIGEST_LENGTH])
{
    if (alg == DIGEST_MD5)
        MD5_Final(out, &h->md5);
    else if (alg == DIGEST_SHA256)
        SHA256_Final(out, &h->sha256);
    else
        SHA512_Final(out, &h->sha512);
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

#define FIELD(member)                                                                              \
    {                                                                                              \
        STR_INIT(#member), offsetof(struct digest_fields, member)                                  \
    }

static struct str *field_at(struct digest_fields *f, struct str name)
{
    static const struct {
        struct str name;
        size_t at;
    } rows[] = {
        FIELD(username),  FIELD(realm),  FIELD(nonce),    FIELD(uri), FIELD(response),
        FIELD(algorithm), FIELD(cnonce), FIELD(qop),      FIELD(nc),  FIELD(opaque),
        FIELD(domain),    FIELD(stale),  FIELD(userhash),
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].name.n == name.n && str_ieq(rows[i].name, name))
            return (void *)((char *)f + rows[i].at);
    return NULL;
}

#undef FIELD

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

static void digest_parts(struct digest *d, enum digest_alg alg, const struct str *part, unsigned n,
                         struct digest_hex *ret)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t out[SHA512_DIGEST_LENGTH];
    union digest_state h = d->start[alg];
    unsigned size = algs[alg].bytes;
    for (unsigned i = 0; i < n; i++) {
        if (i)
            digest_put(&h, alg, ":", 1);
        digest_put(&h, alg, part[i].p, part[i].n);
    }
    digest_end(&h, alg, out);
    for (unsigned i = 0; i < size; i++) {
        ret->text[2 * i] = hex[out[i] >> 4];
        ret->text[2 * i + 1] = hex[out[i] & 15];
    }
    ret->n = (uint8_t)(size * 2);
}

void digest_ha1(struct digest *d, enum digest_alg alg, struct str user, struct str realm,
                struct str password, struct digest_hex *ret)
{
    digest_parts(d, alg, (const struct str[]){user, realm, password}, 3, ret);
}

void digest_response(struct digest *d, enum digest_alg alg, const struct digest_hex *ha1,
                     const struct digest_fields *f, struct str method, struct digest_hex *ret)
{
    struct digest_hex ha2;
    digest_parts(d, alg, (const struct str[]){method, f->uri}, 2, &ha2);
    struct str a1 = str_of(ha1->text, ha1->n), a2 = str_of(ha2.text, ha2.n);
    if (f->qop.n)
        digest_parts(d, alg, (const struct str[]){a1, f->nonce, f->nc, f->cnonce, f->qop, a2}, 6,
                     ret);
    else
        digest_parts(d, alg, (const struct str[]){a1, f->nonce, a2}, 3, ret);
}

/* RFC 2104: H(key ^ opad, H(key ^ ipad, text)), with the block of SHA-256. */
static void mac_pass(const uint8_t key[64], uint8_t pad, struct str text, uint8_t out[32])
{
    uint8_t block[64];
    SHA256_CTX c;
    for (unsigned i = 0; i < sizeof(block); i++)
        block[i] = key[i] ^ pad;
    SHA256_Init(&c);
    SHA256_Update(&c, block, sizeof(block));
    SHA256_Update(&c, text.p, text.n);
    SHA256_Final(out, &c);
}

void digest_hmac(const void *key, size_t key_n, struct str msg, uint8_t *out, size_t n)
{
    uint8_t block[64] = {0}, inner[32], outer[32];
    BUG_ON(n > sizeof(outer));
    if (key_n > sizeof(block))
        SHA256(key, key_n, block);
    else
        memcpy(block, key, key_n);
    mac_pass(block, 0x36, msg, inner);
    mac_pass(block, 0x5c, str_of((const char *)inner, sizeof(inner)), outer);
    memcpy(out, outer, n);
}

void digest_mac(struct digest *d, const void *key, size_t key_n, struct str msg, uint8_t *out,
                size_t n)
{
    BUG_ON(key_n > 64);
    digest_hmac(key, key_n, msg, out, n);
}

bool digest_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
