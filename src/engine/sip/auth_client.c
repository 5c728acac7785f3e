#include "engine/sip/auth_client.h"

#include <errno.h>

/* Is "auth" in the list of a qop parameter? */
static bool qop_has_auth(struct str list)
{
    struct str one;
    while (sip_list_next(&list, &one))
        if (str_ieq(one, STR("auth")))
            return true;
    return false;
}

static bool challenge_read(struct auth_challenge *ret, struct str value)
{
    struct digest_fields f;
    struct auth_challenge c = {.alg = DIGEST_MD5};
    if (digest_parse(&f, value) || !str_ieq(f.scheme, STR("Digest")) || !f.realm.p || !f.nonce.p)
        return false;
    if (f.algorithm.p && digest_alg_parse(&c.alg, f.algorithm))
        return false;
    if (f.qop.n && !qop_has_auth(f.qop))
        return false;
    c.realm = f.realm;
    c.nonce = f.nonce;
    c.opaque = f.opaque;
    c.has_opaque = f.opaque.p != NULL;
    c.qop = f.qop.n > 0;
    c.stale = str_ieq(f.stale, STR("true"));
    *ret = c;
    return true;
}

int auth_client_choose(struct auth_challenge *ret, const struct sip_msg *m)
{
    bool proxy = m->status == 407, found = false;
    struct auth_challenge c, best = {0};
    enum sip_hdr_id id = proxy ? SIP_H_PROXY_AUTHENTICATE : SIP_H_WWW_AUTHENTICATE;
    if (m->status != 401 && m->status != 407)
        return -ENOENT;
    for (uint16_t i = m->first[id]; i; i = m->hdr[i - 1].next) {
        if (!challenge_read(&c, m->hdr[i - 1].value))
            continue;
        if (!found || c.alg > best.alg)
            best = c;
        found = true;
    }
    if (!found)
        return -ENOENT;
    best.answer_in = proxy ? SIP_H_PROXY_AUTHORIZATION : SIP_H_AUTHORIZATION;
    *ret = best;
    return 0;
}

static void put_param(struct buf *b, const char *name, struct str value)
{
    buf_z(b, name);
    buf_lit(b, "=\"");
    buf_str_put(b, value);
    buf_ch(b, '"');
}

/* Our own text, which may hold characters that quotes must escape. */
static void put_user(struct buf *b, struct str user)
{
    buf_lit(b, "Digest username=\"");
    for (size_t i = 0; i < user.n; i++) {
        if (user.p[i] == '"' || user.p[i] == '\\')
            buf_ch(b, '\\');
        buf_ch(b, user.p[i]);
    }
    buf_lit(b, "\", ");
}

int auth_client_answer(struct buf *b, struct digest *digest, struct rand *rand,
                       const struct auth_challenge *c, const struct auth_login *login)
{
    struct digest_hex ha1, response;
    char cnonce_mem[17], nc_mem[8];
    struct buf cnonce, nc;
    buf_init(&cnonce, cnonce_mem, sizeof(cnonce_mem));
    rand_hex(rand, &cnonce, 8);
    buf_ch(&cnonce, (char)('0' + login->attempt % 10));
    buf_init(&nc, nc_mem, sizeof(nc_mem));
    for (unsigned shift = 32; shift > 0; shift -= 4)
        buf_ch(&nc, "0123456789abcdef"[(login->nc >> (shift - 4)) & 15]);
    struct digest_fields f = {.nonce = c->nonce, .uri = login->uri};
    if (c->qop) {
        f.qop = STR("auth");
        f.nc = buf_str(&nc);
        f.cnonce = buf_str(&cnonce);
    }
    digest_ha1(digest, c->alg, login->user, c->realm, login->password, &ha1);
    digest_response(digest, c->alg, &ha1, &f, login->method, &response);

    put_user(b, login->user);
    put_param(b, "realm", c->realm);
    put_param(b, ", nonce", c->nonce);
    put_param(b, ", uri", login->uri);
    put_param(b, ", response", str_of(response.text, response.n));
    buf_lit(b, ", algorithm=");
    buf_str_put(b, digest_alg_name(c->alg));
    if (c->qop) {
        put_param(b, ", cnonce", f.cnonce);
        buf_lit(b, ", qop=auth, nc=");
        buf_str_put(b, f.nc);
    }
    if (c->has_opaque)
        put_param(b, ", opaque", c->opaque);
    return b->full ? -EMSGSIZE : 0;
}

/* The attempt that the credentials of a sent request were, and whether they were for this realm. A
 * server that names a new realm each time must come to an end too. */
static unsigned attempt_of(const struct sip_msg *sent, const struct auth_challenge *c,
                           bool *same_realm)
{
    struct digest_fields f;
    unsigned most = 0;
    *same_realm = false;
    for (uint16_t i = sent->first[c->answer_in]; i; i = sent->hdr[i - 1].next) {
        if (digest_parse(&f, sent->hdr[i - 1].value))
            continue;
        char last = f.cnonce.n ? f.cnonce.p[f.cnonce.n - 1] : '9';
        unsigned attempt = last >= '0' && last <= '9' ? (unsigned)(last - '0') : 9;
        most = attempt > most ? attempt : most;
        *same_realm |= attempt > 0 && str_eq(f.realm, c->realm);
    }
    return most;
}

int auth_client_next(unsigned *ret, const struct sip_msg *sent, const struct auth_challenge *c)
{
    bool same_realm;
    unsigned before = attempt_of(sent, c, &same_realm);
    /* Credentials sent unasked used a nonce from before, so a new one is no refusal. */
    if (before >= AUTH_CLIENT_ATTEMPTS || (same_realm && !c->stale))
        return -EALREADY;
    *ret = before + 1;
    return 0;
}
