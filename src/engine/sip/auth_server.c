#include "engine/sip/auth_server.h"

#include <errno.h>

#include "base/mem.h"
#include "base/num.h"

#define SECRET_BYTES 32
/* A nonce: milliseconds, a random number and the tag over both, in hexadecimal digits. */
#define TIME_DIGITS  12
#define ID_DIGITS    16
#define TAG_DIGITS   24
#define NONCE_DIGITS (TIME_DIGITS + ID_DIGITS + TAG_DIGITS)

#define WAYS   8
#define WINDOW 64

/* The counts of one nonce that were used: the highest, and which of the WINDOW below it. */
struct seen {
    uint64_t id, issued_ms;
    uint64_t bits; /* bit 0: top itself */
    uint32_t top;  /* 0: the place is free */
};

struct seen_set {
    struct seen way[WAYS];
    /* Nonces of this set that were issued up to here and are not in it may have been pushed out:
     * they are stale, so that forgetting never makes a replay possible. */
    uint64_t forgotten_ms;
};

struct auth_server {
    struct auth_conf conf;
    struct digest *digest;
    struct rand *rand;
    uint8_t secret[SECRET_BYTES];
    char opaque[16];
    struct digest_hex nobody[DIGEST_ALG_COUNT];
    struct seen_set *set;
    uint32_t n_sets;
};

static void fill_hex(struct rand *rand, char *out, size_t digits)
{
    struct buf b;
    buf_init(&b, out, digits);
    rand_hex(rand, &b, digits / 2);
}

struct auth_server *auth_server_new(const struct auth_conf *conf, struct digest *digest,
                                    struct rand *rand)
{
    struct auth_server *s = mem_zero(sizeof(*s));
    if (!s)
        return NULL;
    s->n_sets = 16;
    while (s->n_sets < (1u << 24) && s->n_sets * WAYS < conf->max_nonces)
        s->n_sets *= 2;
    s->set = mem_map(s->n_sets * sizeof(*s->set));
    if (!s->set) {
        mem_free(s);
        return NULL;
    }
    s->conf = *conf;
    s->digest = digest;
    s->rand = rand;
    rand_bytes(rand, s->secret, sizeof(s->secret));
    fill_hex(rand, s->opaque, sizeof(s->opaque));
    for (unsigned i = 0; i < DIGEST_ALG_COUNT; i++) {
        s->nobody[i].n = i == DIGEST_MD5 ? 32 : 64;
        fill_hex(rand, s->nobody[i].text, s->nobody[i].n);
    }
    return s;
}

void auth_server_free(struct auth_server *s)
{
    if (!s)
        return;
    mem_unmap(s->set, s->n_sets * sizeof(*s->set));
    mem_free(s);
}

void auth_server_reconfigure(struct auth_server *s, const struct auth_conf *conf)
{
    /* With a longer life, a nonce that was dropped from the table as expired would come alive. */
    rand_bytes(s->rand, s->secret, sizeof(s->secret));
    s->conf = *conf;
}

struct str auth_verdict_name(enum auth_verdict v)
{
    static const struct str name[] = {
        [AUTH_OK] = STR_INIT("ok"),
        [AUTH_NONE] = STR_INIT("no_credentials"),
        [AUTH_MALFORMED] = STR_INIT("malformed"),
        [AUTH_WRONG] = STR_INIT("wrong_password"),
        [AUTH_MISMATCH] = STR_INIT("uri_mismatch"),
        [AUTH_STALE] = STR_INIT("stale_nonce"),
        [AUTH_REPLAYED] = STR_INIT("replayed"),
    };
    return v < ARRAY_LEN(name) ? name[v] : STR_NONE;
}

/* ---- nonces -----------------------------------------------------------------------------------
 */

/* A keyed hash whose input has one length and of whose output half is kept: what HMAC guards
 * against, lengthening the input, is not possible here, and it costs one hash instead of four. */
static void nonce_tag(const struct auth_server *s, struct str head, const struct addr *from,
                      struct digest_hex *ret)
{
    struct str secret = str_of((const char *)s->secret, sizeof(s->secret));
    char ip[1 + 16] = {(char)from->family};
    memcpy(ip + 1, from->ip, from->family == ADDR_V4 ? 4 : 8);
    digest_ha1(s->digest, DIGEST_SHA256, secret, head, str_of(ip, sizeof(ip)), ret);
}

static void put_hex64(struct buf *b, uint64_t v, unsigned digits)
{
    static const char hex[] = "0123456789abcdef";
    char text[16];
    for (unsigned i = digits; i-- > 0; v >>= 4)
        text[i] = hex[v & 15];
    buf_put(b, text, digits);
}

static void nonce_build(struct auth_server *s, const struct auth_source *who, char *mem)
{
    struct buf b;
    struct digest_hex tag;
    buf_init(&b, mem, NONCE_DIGITS);
    put_hex64(&b, who->now / USEC_MS + 1, TIME_DIGITS);
    put_hex64(&b, rand_u64(s->rand), ID_DIGITS);
    nonce_tag(s, buf_str(&b), &who->ip, &tag);
    buf_put(&b, tag.text, TAG_DIGITS);
}

/* Exactly the lower-case digits that put_hex64() writes. */
static bool get_hex64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c >= '0' && c <= '9')
            v = v << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return true;
}

struct nonce {
    uint64_t issued_ms, id;
};

/* Did we give it to this address? */
static bool nonce_read(const struct auth_server *s, struct str nonce, const struct addr *from,
                       struct nonce *ret)
{
    struct digest_hex tag;
    if (nonce.n != NONCE_DIGITS || !get_hex64(str_sub(nonce, 0, TIME_DIGITS), &ret->issued_ms) ||
        !get_hex64(str_sub(nonce, TIME_DIGITS, ID_DIGITS), &ret->id))
        return false;
    nonce_tag(s, str_sub(nonce, 0, TIME_DIGITS + ID_DIGITS), from, &tag);
    return digest_eq(str_from(nonce, TIME_DIGITS + ID_DIGITS), str_of(tag.text, TAG_DIGITS));
}

static struct seen *seen_place(struct auth_server *s, usec_t now, struct seen_set *set)
{
    struct seen *oldest = &set->way[0];
    uint64_t dead_ms = s->conf.nonce_life / USEC_MS;
    dead_ms = now / USEC_MS > dead_ms ? now / USEC_MS - dead_ms : 0;
    for (unsigned i = 0; i < WAYS; i++) {
        struct seen *w = &set->way[i];
        if (!w->top || w->issued_ms < dead_ms)
            return w;
        if (w->issued_ms < oldest->issued_ms)
            oldest = w;
    }
    if (oldest->issued_ms > set->forgotten_ms)
        set->forgotten_ms = oldest->issued_ms;
    return oldest;
}

/* One count of a nonce that we have seen before. RFC 7616 3.4: nc is there to detect replays. Over
 * UDP two requests may overtake each other, so any count within the window is good once. */
static enum auth_verdict seen_take(struct seen *w, uint32_t nc)
{
    if (nc > w->top) {
        uint32_t step = nc - w->top;
        w->bits = step < WINDOW ? w->bits << step | 1 : 1;
        w->top = nc;
        return AUTH_OK;
    }
    uint32_t back = w->top - nc;
    if (back >= WINDOW || (w->bits >> back & 1))
        return AUTH_REPLAYED;
    w->bits |= 1ull << back;
    return AUTH_OK;
}

static enum auth_verdict nonce_take(struct auth_server *s, usec_t now, const struct nonce *nonce,
                                    uint32_t nc)
{
    if (nonce->issued_ms + s->conf.nonce_life / USEC_MS < now / USEC_MS)
        return AUTH_STALE;
    struct seen_set *set = &s->set[nonce->id & (s->n_sets - 1)];
    for (unsigned i = 0; i < WAYS; i++) {
        struct seen *w = &set->way[i];
        if (w->top && w->id == nonce->id && w->issued_ms == nonce->issued_ms)
            return nc ? seen_take(w, nc) : AUTH_REPLAYED;
    }
    if (nonce->issued_ms <= set->forgotten_ms)
        return AUTH_STALE;
    struct seen *w = seen_place(s, now, set);
    *w = (struct seen){.id = nonce->id, .issued_ms = nonce->issued_ms, .bits = 1, .top = nc};
    if (!nc) { /* RFC 2069: without a count, the nonce is good once */
        w->bits = UINT64_MAX;
        w->top = UINT32_MAX;
    }
    return AUTH_OK;
}

/* ---- challenges -------------------------------------------------------------------------------
 */

static void put_quoted(struct buf *b, struct str s)
{
    if (str_chr(s, '"') < 0 && str_chr(s, '\\') < 0) {
        buf_str_put(b, s);
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_ch(b, '\\');
        buf_ch(b, s.p[i]);
    }
}

unsigned auth_server_challenge(struct auth_server *s, const struct auth_source *who, bool stale,
                               struct buf *b, struct str ret[DIGEST_ALG_COUNT])
{
    char nonce[NONCE_DIGITS];
    nonce_build(s, who, nonce);
    for (unsigned i = 0; i < s->conf.n_algs; i++) {
        size_t start = b->n;
        buf_lit(b, "Digest realm=\"");
        put_quoted(b, s->conf.realm);
        buf_lit(b, "\", nonce=\"");
        buf_put(b, nonce, sizeof(nonce));
        buf_lit(b, "\", opaque=\"");
        buf_put(b, s->opaque, sizeof(s->opaque));
        buf_lit(b, "\", algorithm=");
        buf_str_put(b, digest_alg_name(s->conf.alg[i]));
        buf_lit(b, ", qop=\"auth\"");
        if (stale)
            buf_lit(b, ", stale=true");
        ret[i] = str_of(b->p + start, b->n - start);
    }
    return b->full ? 0 : s->conf.n_algs;
}

/* ---- credentials ------------------------------------------------------------------------------
 */

static bool offers(const struct auth_server *s, enum digest_alg alg)
{
    for (unsigned i = 0; i < s->conf.n_algs; i++)
        if (s->conf.alg[i] == alg)
            return true;
    return false;
}

static bool nc_parse(struct str s, uint32_t *ret)
{
    uint32_t v = 0;
    if (s.n != 8)
        return false;
    for (size_t i = 0; i < 8; i += 2) {
        int byte = num_hex2(s.p + i);
        if (byte < 0)
            return false;
        v = v << 8 | (uint32_t)byte;
    }
    *ret = v;
    return v > 0;
}

/* RFC 7616 3.4: what must be there is there. */
static bool cred_is_sound(struct auth_cred *c)
{
    const struct digest_fields *f = &c->f;
    if (!f->username.n || !f->nonce.n || !f->uri.n || !f->response.n)
        return false;
    if (f->userhash.p && str_ieq(f->userhash, STR("true")))
        return false; /* not offered */
    c->nc = 0;
    if (f->qop.n)
        return str_ieq(f->qop, STR("auth")) && f->cnonce.n && nc_parse(f->nc, &c->nc);
    return c->alg == DIGEST_MD5; /* the other algorithms are younger than qop */
}

enum auth_verdict auth_server_find(const struct auth_server *s, const struct sip_msg *m,
                                   enum sip_hdr_id id, struct auth_cred *ret)
{
    enum auth_verdict v = AUTH_NONE;
    for (uint16_t i = m->first[id]; i; i = m->hdr[i - 1].next) {
        struct auth_cred c = {.alg = DIGEST_MD5};
        struct str value = m->hdr[i - 1].value;
        /* RFC 3261 22.1: other schemes and realms are for others. */
        if (!str_istarts(value, STR("Digest")))
            continue;
        if (digest_parse(&c.f, value)) {
            v = AUTH_MALFORMED;
            continue;
        }
        if (!str_ieq(c.f.scheme, STR("Digest")) || !str_eq(c.f.realm, s->conf.realm))
            continue;
        if (c.f.algorithm.n && digest_alg_parse(&c.alg, c.f.algorithm))
            continue;
        if (!offers(s, c.alg))
            continue;
        if (!cred_is_sound(&c)) {
            v = AUTH_MALFORMED;
            continue;
        }
        *ret = c;
        return AUTH_OK;
    }
    return v;
}

/* RFC 7616 3.4.6: the URI in the credentials names the resource of the Request-URI. What that is
 * worth is that a captured response cannot be spent on another destination, so the user parts must
 * agree. Hosts and parameters are not compared: phones write their domain where the request went to
 * an address, gateways for NAT rewrite one of the two, and all our hosts are one server. A
 * URI without a user, on either side, names this server as a whole: REGISTER has one, and some
 * clients write the server's address in the credentials of every request. */
static bool same_resource(const struct sip_msg *m, struct str text)
{
    struct sip_uri uri;
    if (str_eq(text, m->ruri_text) || !m->ruri.user.p)
        return true;
    if (sip_uri_parse(&uri, text))
        return false;
    if (!uri.user.p)
        return true;
    struct sip_uri a = {.scheme_text = STR("sip"), .whole = m->ruri.user, .user = m->ruri.user};
    struct sip_uri b = {.scheme_text = STR("sip"), .whole = uri.user, .user = uri.user};
    return sip_uri_eq(&a, &b);
}

/* RFC 7616 3.4.1 wants lower case; a few phones send capitals. */
static bool response_eq(struct str got, const struct digest_hex *want)
{
    char lower[sizeof(want->text)];
    if (got.n != want->n)
        return false;
    for (size_t i = 0; i < got.n; i++)
        lower[i] = chr_lower(got.p[i]);
    return digest_eq(str_of(lower, got.n), str_of(want->text, want->n));
}

enum auth_verdict auth_server_check(struct auth_server *s, const struct auth_source *who,
                                    const struct sip_msg *m, const struct auth_cred *cred,
                                    const struct digest_hex *ha1)
{
    struct digest_hex want;
    struct nonce nonce;
    bool known = ha1 != NULL;
    /* Who never got our challenge may have forged his address: what he sends must not count as a
     * failure of that address, and so it must not be a way to try passwords either. */
    if (!nonce_read(s, cred->f.nonce, &who->ip, &nonce))
        return AUTH_STALE;
    digest_response(s->digest, cred->alg, known ? ha1 : &s->nobody[cred->alg], &cred->f,
                    m->method_text, &want);
    bool right = response_eq(cred->f.response, &want);
    /* Only who knows the password learns that its time is over: a guesser would know by
     * stale=true that he was right. */
    if (!right || !known)
        return AUTH_WRONG;
    if (!same_resource(m, cred->f.uri))
        return AUTH_MISMATCH;
    return nonce_take(s, who->now, &nonce, cred->nc);
}
