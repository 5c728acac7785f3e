/* Our registrations at trunks. RFC 3261 10.2. */
#include "pbx/trunk_int.h"

#define EXPIRES_MAX_S (7u * 86400)
#define RETRY_MAX_S   86400u
#define BACK_US       (40 * USEC_S) /* silence takes 32 s to be noticed */

/* ---- the request -------------------------------------------------------------------------------
 */

/* Credentials for the nonce met last time spare the server a challenge and us a round trip. */
static struct str known_credentials(struct pbx *p, struct trunk *t, struct str uri, struct buf *b)
{
    if (!t->challenge.realm.p || !t->challenge.qop)
        return STR_NONE;
    struct auth_login login = {.user = t->conf->username,
                               .password = t->conf->password.secret,
                               .method = STR("REGISTER"),
                               .uri = uri,
                               .nc = ++t->nc};
    if (auth_client_answer(b, p->trunks->digest, &p->rand, &t->challenge, &login))
        return STR_NONE;
    return buf_str(b);
}

static int send_register(struct pbx *p, struct trunk *t, uint32_t expires_s)
{
    char ruri_mem[TRUNK_DOMAIN_MAX + 8], self_mem[TRUNK_DOMAIN_MAX + 256], number[12],
        auth_mem[2048];
    struct buf ruri, self, expires, auth;
    struct flow to;
    handle_t txn;
    if (!trunk_flow(t, &to))
        return -EAGAIN;
    buf_init(&ruri, ruri_mem, sizeof(ruri_mem));
    buf_str_put(&ruri, t->uri.scheme_text);
    buf_ch(&ruri, ':');
    trunk_put_domain(&ruri, t);
    buf_init(&self, self_mem, sizeof(self_mem));
    buf_ch(&self, '<');
    buf_str_put(&self, t->uri.scheme_text);
    buf_ch(&self, ':');
    sip_escape_user(&self, t->conf->username);
    buf_ch(&self, '@');
    trunk_put_domain(&self, t);
    buf_ch(&self, '>');
    buf_init(&expires, number, sizeof(number));
    buf_u64(&expires, expires_s);
    buf_init(&auth, auth_mem, sizeof(auth_mem));
    struct sip_field field[2] = {{.id = SIP_H_EXPIRES, .value = buf_str(&expires)}};
    unsigned n = 1;
    struct str credentials = known_credentials(p, t, buf_str(&ruri), &auth);
    if (credentials.p)
        field[n++] = (struct sip_field){.id = t->challenge.answer_in, .value = credentials};
    /* The Call-ID stays the same and CSeq grows: RFC 3261 10.2. */
    struct sip_request_cmd cmd = {.method = SIP_REGISTER,
                                  .to = to,
                                  .ruri = buf_str(&ruri),
                                  .from = buf_str(&self),
                                  .to_hdr = buf_str(&self),
                                  .call_id = str_z(t->call_id),
                                  .from_tag = str_of(t->tag, sizeof(t->tag)),
                                  .cseq = ++t->cseq,
                                  .contact = t->conf->username,
                                  .user = trunk_user(t, TRUNK_REGISTER),
                                  .content = {.field = field, .n_fields = n}};
    if (ruri.full || self.full)
        return -EMSGSIZE;
    int err = sip_request(p->core, p->now, &cmd, &txn);
    t->busy = !err;
    return err;
}

/* ---- what comes of it --------------------------------------------------------------------------
 */

static void later(struct pbx *p, struct trunk *t, usec_t in)
{
    pbx_timer_start(p, &t->refresh, in);
}

/* Doubled with each failure in a row, and spread a little so that a provider that comes back is
 * not asked by everybody at once. */
static usec_t backoff(struct pbx *p, const struct trunk *t)
{
    const struct config_trunk_defaults *d = &p->config->trunk;
    unsigned doublings = t->failures > 20 ? 20 : t->failures;
    uint64_t ms = (uint64_t)d->retry_min_ms << (doublings ? doublings - 1 : 0);
    ms = ms < d->retry_max_ms ? ms : d->retry_max_ms;
    return (ms - rand_below(&p->rand, ms / 10 + 1)) * USEC_MS;
}

static void failed(struct pbx *p, struct trunk *t, struct str reason, uint32_t retry_after_s,
                   bool elsewhere)
{
    bool valid = t->granted_until > p->now, more = false;
    bool news = !t->refused || !str_eq(str_z(t->reason), reason);
    t->refused = true;
    trunk_reason(t, reason);
    /* RFC 3263 4.3: silence, 503 and what cannot be sent make the next address's turn; any other
     * answer is the provider's, whichever of its servers gave it. */
    if (elsewhere)
        more = trunk_next_addr(p, t);
    t->failures += !more;
    usec_t in = more ? USEC_S : backoff(p, t);
    if (retry_after_s && !more)
        in = (retry_after_s < RETRY_MAX_S ? retry_after_s : RETRY_MAX_S) * USEC_S;
    else if (valid && p->now + in > t->granted_until)
        in = t->granted_until - p->now; /* not later than what is granted runs out */
    if (!valid)
        t->granted_until = 0;
    if (news)
        trace_emit(&p->trace, TRACE_TRUNK_DOWN, 0, TS(t->conf->name), TS(reason));
    later(p, t, in);
}

/* Do they register the same contact at the same place? RFC 3261 10.3 step 7: whichever Call-ID
 * withdraws it, it is gone. */
static bool share_contact(const struct trunk *a, const struct trunk *b)
{
    return a->proto == b->proto && str_eq(a->conf->username, b->conf->username) &&
           str_ieq(a->uri.host, b->uri.host) && a->uri.port == b->uri.port;
}

/* Is it withdrawn now, for a trunk that is gone? */
static bool is_withdrawn_now(const struct pbx *p, const struct trunk *t)
{
    list_each(node, &p->trunks->all)
    {
        const struct trunk *other = container_of(node, struct trunk, node);
        if (other->leaving && share_contact(other, t))
            return true;
    }
    return false;
}

void trunk_reg_resume(struct pbx *p, const struct trunk *gone)
{
    list_each(node, &p->trunks->all)
    {
        struct trunk *t = container_of(node, struct trunk, node);
        if (!t->leaving && t->conf->register_it && gone->conf->register_it &&
            share_contact(t, gone))
            later(p, t, 0);
    }
}

static void due(struct pbx *p, struct pbx_timer *timer)
{
    struct trunk *t = container_of(timer, struct trunk, refresh);
    if (t->busy)
        return;
    if (is_withdrawn_now(p, t)) {
        trunk_reason(t, STR("waits until the registration before it is withdrawn"));
        return;
    }
    /* Nobody asks whether the preferred server is back: the refresh does, if there is time to come
     * back here before what is granted runs out. */
    if (!p->config->trunk.options_ms && t->granted_until > p->now + BACK_US)
        t->at = trunk_preferred(p, t);
    int err = send_register(p, t, t->expires_s);
    if (err)
        failed(p, t, err == -EAGAIN ? STR("name not resolved") : STR("cannot be sent"), 0, true);
}

void trunk_reg_start(struct pbx *p, struct trunk *t, usec_t in)
{
    struct buf b;
    if (!t->call_id[0]) {
        buf_init(&b, t->call_id, sizeof(t->call_id) - 1);
        sip_core_call_id(p->core, &b);
        buf_init(&b, t->tag, sizeof(t->tag));
        rand_hex(&p->rand, &b, sizeof(t->tag) / 2);
        t->expires_s = t->conf->register_expires_ms / 1000;
    }
    t->refresh.fire = due;
    later(p, t, in);
}

bool trunk_reg_withdraw(struct pbx *p, struct trunk *t)
{
    pbx_timer_stop(p, &t->refresh);
    if (t->busy) /* RFC 3261 10.2: no second REGISTER before the answer to the first */
        return true;
    if (t->granted_until <= p->now)
        return false;
    t->withdrawn = true;
    return send_register(p, t, 0) == 0;
}

/* The lifetime granted: that of our contact, else that of the message, else what we asked for
 * (RFC 3261 10.2.4). */
static uint32_t granted(const struct trunk *t, const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_CONTACT);
    struct str value, expires;
    struct sip_nameaddr na;
    uint32_t s;
    while (sip_values_next(&it, &value)) {
        if (sip_nameaddr_parse(&na, value) || !str_eq(na.uri.user, t->conf->username))
            continue;
        expires = sip_param_get(na.params, STR("expires"));
        if (expires.p && sip_delta_parse(&s, expires) == 0)
            return s;
    }
    expires = sip_msg_get(m, SIP_H_EXPIRES);
    return expires.p && sip_delta_parse(&s, expires) == 0 ? s : t->expires_s;
}

static void registered(struct pbx *p, struct trunk *t, const struct sip_msg *m)
{
    uint32_t s = granted(t, m);
    if (s == 0) { /* taken back at once: as good as refused */
        failed(p, t, STR("registered for 0 s"), 0, false);
        return;
    }
    s = s < EXPIRES_MAX_S ? s : EXPIRES_MAX_S;
    bool news = t->granted_until <= p->now || t->refused;
    if (t->refused)
        t->shunned[t->at] = 0;
    t->refused = false;
    t->failures = 0;
    t->granted_s = s;
    t->granted_until = p->now + s * USEC_S;
    trunk_reason(t, STR_NONE);
    if (news)
        trace_emit(&p->trace, TRACE_TRUNK_UP, 0, TS(t->conf->name), TU(s));
    later(p, t, s * USEC_S / 100 * (80 + rand_below(&p->rand, 11)));
}

/* Keeps what is needed to answer the same nonce again. */
static void remember(struct trunk *t, const struct auth_challenge *c)
{
    struct buf b;
    t->challenge = *c;
    t->nc = 1;
    buf_init(&b, t->auth_mem, sizeof(t->auth_mem));
    buf_str_put(&b, c->realm);
    buf_str_put(&b, c->nonce);
    buf_str_put(&b, c->opaque);
    if (b.full || b.n == 0) {
        t->challenge.realm = STR_NONE;
        return;
    }
    t->challenge.realm = str_of(b.p, c->realm.n);
    t->challenge.nonce = str_of(b.p + c->realm.n, c->nonce.n);
    t->challenge.opaque = str_of(b.p + c->realm.n + c->nonce.n, c->opaque.n);
}

static bool answer_challenge(struct pbx *p, struct trunk *t, const struct sip_out *o)
{
    struct auth_challenge c;
    t->challenge.realm = STR_NONE;
    if (trunk_auth_answer(p, t->conf, o, &c))
        return false;
    t->cseq++; /* the engine has sent it under the next number */
    t->busy = true;
    remember(t, &c);
    return true;
}

/* 423: ask for as much as they want (RFC 3261 10.2.8). */
static bool ask_longer(struct pbx *p, struct trunk *t, const struct sip_msg *m)
{
    uint32_t min_s;
    struct str value = sip_msg_get(m, SIP_H_MIN_EXPIRES);
    if (!value.p || sip_delta_parse(&min_s, value) || min_s <= t->expires_s ||
        min_s > EXPIRES_MAX_S)
        return false;
    t->expires_s = min_s;
    return send_register(p, t, min_s) == 0;
}

/* The configuration has no such trunk any more. */
static void rx_leaving(struct pbx *p, struct trunk *t, const struct sip_out *o)
{
    if (o->status < 300 && !t->withdrawn)
        t->granted_until = p->now + granted(t, o->msg) * USEC_S;
    if (t->withdrawn || !trunk_reg_withdraw(p, t))
        trunk_free(p, t);
}

static void rx_refused(struct pbx *p, struct trunk *t, const struct sip_out *o)
{
    char mem[sizeof(t->reason)];
    struct buf reason;
    if (o->status == 423 && o->msg && ask_longer(p, t, o->msg))
        return;
    buf_init(&reason, mem, sizeof(mem));
    if (o->status == 401 || o->status == 407) {
        buf_lit(&reason, "credentials refused");
    } else {
        buf_u64(&reason, o->status);
        buf_ch(&reason, ' ');
        buf_str_put(&reason, sip_status_reason(o->status));
    }
    bool elsewhere = !o->msg || o->status == 408 || o->status == 503;
    failed(p, t, buf_str(&reason), pbx_retry_after(o->msg), elsewhere);
}

void trunk_reg_rx(struct pbx *p, struct trunk *t, const struct sip_out *o)
{
    bool challenged = o->status == 401 || o->status == 407;
    t->busy = false;
    if (challenged && (t->withdrawn || !t->leaving) && answer_challenge(p, t, o))
        return;
    if (t->leaving)
        rx_leaving(p, t, o);
    else if (o->status < 300)
        registered(p, t, o->msg);
    else
        rx_refused(p, t, o);
}
