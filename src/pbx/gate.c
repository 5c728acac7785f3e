#include "pbx/gate_int.h"

#include "base/mem.h"
#include "pbx/quirk.h"
#include "pbx/trunk.h"

/* From the so many-th wrong answer of a source on, the refusal says so and asks no more. */
#define FORBID_AFTER 3
#define NONCES_MIN   4096

_Static_assert((int)CONF_ALGORITHM_MD5 == (int)DIGEST_MD5 &&
                   (int)CONF_ALGORITHM_SHA256 == (int)DIGEST_SHA256 &&
                   (int)CONF_ALGORITHM_SHA512_256 == (int)DIGEST_SHA512_256,
               "the lists name the same algorithms");

/* ---- what the passwords become ------------------------------------------------------------------
 */

/* Can everybody log in with it? Extensions may be configured by hashes of some algorithms only. A
 * phone answers the strongest challenge it knows, so one that an extension cannot answer must not
 * be sent; and what is sent must not depend on who asks, or it would tell which users exist. */
static bool alg_serves_all(const struct config *c, enum digest_alg alg)
{
    for (uint32_t i = 0; i < c->n_extensions; i++) {
        const struct config_extension *e = &c->extensions[i];
        if (!e->password.secret.n && !e->ha1.v[alg].p &&
            (e->ha1.v[0].p || e->ha1.v[1].p || e->ha1.v[2].p))
            return false;
    }
    return true;
}

static bool alg_is_listed(const struct config *c, enum digest_alg alg)
{
    for (unsigned i = 0; i < c->auth.algorithms.n; i++)
        if (c->auth.algorithms.v[i] == (uint8_t)alg)
            return true;
    return false;
}

/* The strongest first, however they are listed: a phone takes the topmost challenge that it
 * supports (RFC 8760 section 2.4). The enum rises with strength. */
static unsigned choose_algs(const struct config *c, enum digest_alg *ret)
{
    unsigned n = 0;
    for (unsigned any = 0; any < 2 && n == 0; any++) /* in need, those that serve only some */
        for (unsigned alg = DIGEST_ALG_COUNT; alg-- > 0;)
            if (alg_is_listed(c, (enum digest_alg)alg) &&
                (any || alg_serves_all(c, (enum digest_alg)alg)))
                ret[n++] = (enum digest_alg)alg;
    return n;
}

static void ha1_given(struct digest_hex *ret, struct str hex)
{
    ret->n = (uint8_t)(hex.n <= sizeof(ret->text) ? hex.n : 0);
    memcpy(ret->text, hex.p, ret->n);
}

static void ha1_fill(struct pbx *p, struct gate *g)
{
    const struct config *c = g->config;
    struct digest_hex *at = g->ha1;
    for (uint32_t i = 0; i < c->n_extensions; i++)
        for (unsigned k = 0; k < g->n_algs; k++, at++) {
            const struct config_extension *e = &c->extensions[i];
            if (e->ha1.v[g->alg[k]].p)
                ha1_given(at, e->ha1.v[g->alg[k]]);
            else if (e->password.secret.n)
                digest_ha1(g->digest, g->alg[k], e->username, p->domain, e->password.secret, at);
        }
    for (uint32_t i = 0; i < c->n_trunks; i++)
        for (unsigned k = 0; k < g->n_algs; k++, at++) {
            const struct config_trunk *t = &c->trunks[i];
            if (t->password.secret.n && !t->register_it)
                digest_ha1(g->digest, g->alg[k], t->username, p->domain, t->password.secret, at);
        }
}

/* `index` counts the trunks on from the extensions. NULL: no such hash. */
static const struct digest_hex *ha1_at(const struct gate *g, uint32_t index, enum digest_alg alg)
{
    for (unsigned k = 0; k < g->n_algs; k++)
        if (g->alg[k] == alg) {
            const struct digest_hex *h = &g->ha1[(size_t)index * g->n_algs + k];
            return h->n ? h : NULL;
        }
    return NULL;
}

int gate_reload(struct pbx *p)
{
    struct gate *g = p->gate;
    const struct config *c = p->config;
    enum digest_alg alg[DIGEST_ALG_COUNT] = {0};
    unsigned n = choose_algs(c, alg);
    size_t rows = (size_t)c->n_extensions + c->n_trunks;
    struct digest_hex *ha1 = mem_zero((rows * n + 1) * sizeof(*ha1));
    if (!ha1)
        return -ENOMEM;
    mem_free(g->ha1);
    config_unref(g->config);
    g->config = config_ref(p->config);
    g->ha1 = ha1;
    g->n_algs = n;
    memcpy(g->alg, alg, sizeof(alg));
    ha1_fill(p, g);
    struct auth_conf conf = {.realm = p->domain,
                             .n_algs = n,
                             .nonce_life = c->auth.nonce_ms * USEC_MS,
                             .max_nonces = c->limits.registrations};
    memcpy(conf.alg, alg, sizeof(alg));
    if (conf.max_nonces < NONCES_MIN)
        conf.max_nonces = NONCES_MIN;
    if (g->auth)
        auth_server_reconfigure(g->auth, &conf);
    else
        g->auth = auth_server_new(&conf, g->digest, &p->rand);
    return g->auth ? 0 : -ENOMEM;
}

int gate_init(struct pbx *p)
{
    struct gate *g = mem_zero(sizeof(*g));
    if (!g)
        return -ENOMEM;
    p->gate = g;
    g->digest = digest_new();
    g->bans = bans_new(p);
    return g->digest && g->bans ? gate_reload(p) : -ENOMEM;
}

void gate_done(struct pbx *p)
{
    struct gate *g = p->gate;
    if (!g)
        return;
    bans_free(p, g->bans);
    auth_server_free(g->auth);
    digest_free(g->digest);
    mem_free(g->ha1);
    config_unref(g->config);
    mem_free(g);
    p->gate = NULL;
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static void answer(struct pbx *p, const struct sip_out *o, const struct sip_answer *a)
{
    /* What has gone meanwhile (a CANCEL) needs no answer. */
    if (o->kind == SIP_OUT_INVITE || o->kind == SIP_OUT_REINVITE)
        (void)sip_reject(p->core, p->now, o->session, a);
    else
        (void)sip_respond(p->core, p->now, o->txn, a);
}

static void refuse(struct pbx *p, const struct sip_out *o, unsigned status)
{
    struct sip_answer a = {.status = (uint16_t)status};
    answer(p, o, &a);
}

/* Leaves the challenge for MD5, if there is one, as the only one; returns how many are left. */
static unsigned only_md5(const struct gate *g, struct str *value, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (g->alg[i] == DIGEST_MD5) {
            value[0] = value[i];
            return 1;
        }
    return n;
}

/* RFC 3261 22.2 and 22.3: a registrar is a server of its own, and so is a notifier (RFC 6665
 * section 4.2.1.3); for the rest we stand before it. */
static void challenge(struct pbx *p, const struct sip_out *o, bool stale)
{
    char mem[AUTH_CHALLENGE_BYTES + 3 * 256];
    struct buf b;
    struct str value[DIGEST_ALG_COUNT];
    struct sip_field field[DIGEST_ALG_COUNT];
    bool own = o->msg->method == SIP_REGISTER || o->msg->method == SIP_SUBSCRIBE;
    buf_init(&b, mem, sizeof(mem));
    struct auth_source who = {.now = p->now, .ip = o->flow.peer};
    unsigned n = auth_server_challenge(p->gate->auth, &who, stale, &b, value);
    if (quirk_has(o->msg, QUIRK_ONLY_MD5))
        n = only_md5(p->gate, value, n);
    for (unsigned i = 0; i < n; i++)
        field[i] = (struct sip_field){.id = own ? SIP_H_WWW_AUTHENTICATE : SIP_H_PROXY_AUTHENTICATE,
                                      .value = value[i]};
    struct sip_answer a = {
        .status = own ? 401 : 407, .content = {.field = field, .n_fields = n}, .once = true};
    answer(p, o, &a);
}

/* ---- who it is ---------------------------------------------------------------------------------
 */

struct claim {
    struct gate_who who; /* by the name given; not proved */
    const struct digest_hex *ha1;
};

static struct claim claim_find(struct pbx *p, const struct auth_cred *cred)
{
    const struct gate *g = p->gate;
    const struct config *c = p->config;
    struct claim claim = {.who.extension = config_find_user(c, cred->f.username)};
    if (claim.who.extension) {
        claim.ha1 = ha1_at(g, (uint32_t)(claim.who.extension - c->extensions), cred->alg);
        return claim;
    }
    for (uint32_t i = 0; i < c->n_trunks; i++) {
        const struct config_trunk *t = &c->trunks[i];
        if (!t->password.secret.n || t->register_it || !str_eq(t->username, cred->f.username))
            continue;
        claim.who.trunk = t;
        claim.ha1 = ha1_at(g, c->n_extensions + i, cred->alg);
        break;
    }
    return claim;
}

/* The line that ban tools watch. What the peer wrote cannot end the quotes or the line. */
static void trace_failure(struct pbx *p, const struct sip_out *o, struct str user,
                          struct str reason)
{
    char ip_mem[64], user_mem[64];
    struct buf ip, text;
    buf_init(&ip, ip_mem, sizeof(ip_mem));
    addr_put_ip(&ip, &o->flow.peer);
    buf_init(&text, user_mem, sizeof(user_mem));
    for (size_t i = 0; i < user.n && !text.full; i++) {
        char c = user.p[i];
        buf_ch(&text, c > 0x20 && c < 0x7F && c != '"' && c != '\\' ? c : '?');
    }
    trace_emit(&p->trace, TRACE_AUTH_FAILED, 0, TS(buf_str(&ip)),
               TS(proto_name((enum proto)o->flow.proto)), TS(sip_method_name(o->msg->method)),
               TS(buf_str(&text)), TS(reason));
}

static void wrong(struct pbx *p, const struct sip_out *o, const struct auth_cred *cred, bool known)
{
    trace_failure(p, o, cred->f.username,
                  known ? auth_verdict_name(AUTH_WRONG) : STR("unknown_user"));
    if (bans_failure(p, &o->flow.peer, cred->f.username) >= FORBID_AFTER)
        refuse(p, o, 403);
    else
        challenge(p, o, false);
}

/* From may show any of the extension's own numbers, or a name that is nobody's (anonymous, an old
 * number): calls carry the extension's identity, not this. What it must not do is name another
 * extension, which the callee's phone and the records would believe. */
static bool from_is_allowed(struct pbx *p, const struct sip_msg *m,
                            const struct config_extension *e)
{
    const struct config *c = p->config;
    if (m->method == SIP_REGISTER || !m->from.uri.user.p)
        return true; /* of a REGISTER, To counts: the registrar looks at it */
    struct str user = sip_unescape(&p->turn, m->from.uri.user);
    const struct config_extension *other = config_find_extension(c, user);
    other = other ? other : config_find_user(c, user);
    other = other ? other : config_find_did(c, user);
    return user.p && (!other || other == e);
}

static bool find_credentials(struct pbx *p, const struct sip_msg *m, struct auth_cred *cred,
                             enum auth_verdict *v)
{
    const struct auth_server *auth = p->gate->auth;
    *v = AUTH_NONE;
    if (m->method != SIP_REGISTER)
        *v = auth_server_find(auth, m, SIP_H_PROXY_AUTHORIZATION, cred);
    /* Some phones answer a 407 in Authorization. */
    if (*v == AUTH_NONE)
        *v = auth_server_find(auth, m, SIP_H_AUTHORIZATION, cred);
    return *v == AUTH_OK;
}

static struct gate_who by_digest(struct pbx *p, const struct sip_out *o)
{
    static const struct gate_who nobody;
    struct auth_cred cred;
    enum auth_verdict v;
    if (!find_credentials(p, o->msg, &cred, &v)) {
        if (v == AUTH_MALFORMED)
            refuse(p, o, 400);
        else
            challenge(p, o, false);
        return nobody;
    }
    struct claim claim = claim_find(p, &cred);
    struct auth_source who = {.now = p->now, .ip = o->flow.peer};
    v = auth_server_check(p->gate->auth, &who, o->msg, &cred, claim.ha1);
    switch (v) {
    case AUTH_OK:
        break;
    case AUTH_STALE:
    case AUTH_REPLAYED:
        challenge(p, o, true);
        return nobody;
    case AUTH_WRONG:
        wrong(p, o, &cred, claim.ha1 != NULL);
        return nobody;
    default:
        trace_failure(p, o, cred.f.username, auth_verdict_name(v));
        refuse(p, o, 400);
        return nobody;
    }
    bans_success(p, &o->flow.peer, cred.f.username);
    if (claim.who.extension && !from_is_allowed(p, o->msg, claim.who.extension)) {
        refuse(p, o, 403);
        return nobody;
    }
    return claim.who;
}

struct gate_who gate_check(struct pbx *p, const struct sip_out *o)
{
    struct gate_who who = {0};
    if (o->msg->method != SIP_REGISTER) {
        const struct config_trunk *t = trunk_by_source(p, &o->flow, o->msg);
        /* Where we log in they do not: what comes from there is from them. A certificate is more
         * than a password. */
        if (t && (!t->password.secret.n || t->register_it || trunk_is_proven(p, t, &o->flow))) {
            who.trunk = t;
            return who;
        }
    }
    if (bans_has(p->gate->bans, &o->flow.peer)) {
        refuse(p, o, 403); /* the rest of what was under way when the ban began */
        return who;
    }
    if (p->gate->config != p->config && gate_reload(p)) {
        refuse(p, o, 503);
        return who;
    }
    return by_digest(p, o);
}
