#include "pbx/trunk_int.h"

#include "base/mem.h"

#define RESOLVE_AGAIN_S 30u
#define RESOLVE_MIN_S   30u
#define RESOLVE_MAX_S   3600u
#define SHUN_MAX_S      3600u
#define START_SPREAD_US (20 * USEC_MS) /* between the first requests of two trunks */
#define START_LIMIT_US  (10 * USEC_S)
#define SHUTDOWN_US     USEC_S /* a provider that is there answers sooner */

struct str trunk_name(const struct trunk *t)
{
    return t->conf->name;
}

void trunk_reason(struct trunk *t, struct str text)
{
    str_copy_z(t->reason, sizeof(t->reason), text);
}

static struct trunk *by_id(const struct pbx *p, uint64_t id)
{
    list_each(node, &p->trunks->all)
    {
        struct trunk *t = container_of(node, struct trunk, node);
        if (t->id == id)
            return t;
    }
    return NULL;
}

static struct trunk *by_name(const struct pbx *p, struct str name)
{
    list_each(node, &p->trunks->all)
    {
        struct trunk *t = container_of(node, struct trunk, node);
        if (!t->leaving && str_eq(t->conf->name, name))
            return t;
    }
    return NULL;
}

/* ---- where it is -------------------------------------------------------------------------------
 */

void trunk_rest(struct pbx *p, struct trunk *t, unsigned at)
{
    usec_t until = p->now + p->config->trunk.down_ms * USEC_MS;
    t->shunned[at] = until > t->shunned[at] ? until : t->shunned[at];
}

bool trunk_next_addr(struct pbx *p, struct trunk *t)
{
    if (t->n_dests)
        trunk_rest(p, t, t->at);
    t->at = t->at + 1 < t->n_dests ? t->at + 1 : 0;
    return t->at > 0;
}

unsigned trunk_preferred(const struct pbx *p, const struct trunk *t)
{
    for (unsigned i = 0; i < t->at; i++) {
        /* Among equals a registration stays where it is. */
        bool better = !t->conf->register_it || t->dest[i].rank < t->dest[t->at].rank;
        if (better && t->shunned[i] <= p->now)
            return i;
    }
    return t->at;
}

struct flow trunk_flow_at(const struct trunk *t, unsigned at)
{
    return (struct flow){
        .proto = t->dest[at].proto, .listener = 0xFF, .party = t->party, .peer = t->dest[at].addr};
}

bool trunk_flow(const struct trunk *t, struct flow *ret)
{
    if (!t->n_dests)
        return false;
    *ret = trunk_flow_at(t, t->at);
    return true;
}

void trunk_put_domain(struct buf *b, const struct trunk *t)
{
    if (t->conf->from_domain.n) {
        buf_str_put(b, t->conf->from_domain);
        return;
    }
    buf_str_put(b, t->uri.host);
    if (t->uri.port) {
        buf_ch(b, ':');
        buf_u64(b, t->uri.port);
    }
}

bool trunk_dest_eq(const struct flow_dest *a, const struct flow_dest *b)
{
    return a->proto == b->proto && addr_eq(&a->addr, &b->addr);
}

static void ask(struct pbx *p, struct pbx_timer *timer)
{
    struct trunk *t = container_of(timer, struct trunk, resolve);
    struct pbx_out *o = pbx_emit(p, PBX_OUT_RESOLVE);
    o->question = (struct pbx_question){.name = pbx_turn_dup(p, t->uri.host),
                                        .port = t->uri.port,
                                        .any = t->any,
                                        .sips = t->uri.scheme == SIP_SCHEME_SIPS,
                                        .proto = t->proto};
    pbx_question_protos(p, &o->question);
    o->token = t->id;
    pbx_timer_start(p, &t->resolve, RESOLVE_AGAIN_S * USEC_S); /* should no answer come */
}

/* Takes over what was found. What has failed before and is there still goes on being shunned. */
static void dests_put(struct pbx *p, struct trunk *t, const struct flow_dest *dest, unsigned n)
{
    bool first = t->n_dests == 0;
    struct flow_dest current = t->dest[t->at];
    usec_t shunned[TRUNK_DESTS] = {0};
    for (unsigned i = 0; i < n; i++)
        for (unsigned k = 0; k < t->n_dests; k++)
            if (trunk_dest_eq(&dest[i], &t->dest[k]))
                shunned[i] = t->shunned[k];
    memcpy(t->dest, dest, n * sizeof(*dest));
    memcpy(t->shunned, shunned, sizeof(shunned));
    t->n_dests = n;
    t->at = 0;
    /* A registration holds at the server that granted it, and who answers OPTIONS is there: stay if
     * it is still one. Back to a preferred one goes who has seen it answer. Without either all are
     * drawn anew. */
    bool stays = !first && (t->conf->register_it || p->config->trunk.options_ms);
    for (unsigned i = 0; i < n && stays; i++)
        if (trunk_dest_eq(&t->dest[i], &current))
            t->at = i;
}

void trunk_resolved(struct pbx *p, uint64_t token, const struct flow_dest *dest, unsigned n,
                    uint32_t ttl_s)
{
    struct trunk *t = by_id(p, token);
    if (!t)
        return;
    uint32_t again_s = ttl_s < RESOLVE_MIN_S ? RESOLVE_MIN_S : ttl_s;
    again_s = n ? again_s : RESOLVE_AGAIN_S;
    again_s = again_s < RESOLVE_MAX_S ? again_s : RESOLVE_MAX_S;
    pbx_timer_start(p, &t->resolve, again_s * USEC_S);
    t->unresolved = n == 0;
    if (n == 0) { /* what was known before is better than nothing */
        if (!t->n_dests)
            trunk_reason(t, STR("name not found"));
        return;
    }
    bool first = t->n_dests == 0;
    dests_put(p, t, dest, n < TRUNK_DESTS ? n : TRUNK_DESTS);
    pbx_reconfigure(p); /* the rate limit spares it */
    if (!first || t->leaving)
        return;
    trunk_reason(t, STR_NONE);
    if (t->conf->register_it)
        trunk_reg_start(p, t, 0);
    trunk_ping_start(p, t, 0);
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void start(struct pbx *p, struct trunk *t, usec_t in)
{
    trunk_introduce(p, t);
    struct addr a;
    uint16_t port = t->uri.port ? t->uri.port : sip_uri_port(&t->uri);
    t->resolve.fire = ask;
    if (addr_parse(&a, t->uri.host, port)) {
        pbx_timer_start(p, &t->resolve, in);
        return;
    }
    t->dest[0] = (struct flow_dest){.proto = t->proto, .addr = a};
    t->n_dests = 1;
    if (t->conf->register_it)
        trunk_reg_start(p, t, in);
    trunk_ping_start(p, t, in);
}

static void uri_read(struct trunk *t)
{
    enum proto proto;
    /* The configuration has checked it. */
    BUG_ON(sip_uri_parse(&t->uri, t->conf->uri));
    if (sip_uri_proto(&t->uri, &proto))
        proto = t->uri.scheme == SIP_SCHEME_SIPS ? PROTO_TLS : PROTO_UDP;
    t->proto = (uint8_t)proto;
    t->any = !t->uri.transport.n;
}

static struct trunk *trunk_new(struct pbx *p, const struct config_trunk *conf)
{
    struct trunk *t = mem_zero(sizeof(*t));
    if (!t)
        return NULL;
    t->id = ++p->trunks->last_id;
    t->config = config_ref(p->config);
    t->conf = conf;
    uri_read(t);
    return t;
}

void trunk_free(struct pbx *p, struct trunk *t)
{
    pbx_timer_stop(p, &t->resolve);
    pbx_timer_stop(p, &t->refresh);
    pbx_timer_stop(p, &t->ping);
    list_remove(&t->node);
    if (t->leaving)
        trunk_reg_resume(p, t);
    config_unref(t->config);
    mem_free(t);
}

static void leave(struct pbx *p, struct trunk *t)
{
    pbx_timer_stop(p, &t->resolve);
    pbx_timer_stop(p, &t->ping);
    t->leaving = true;
    trunk_forget(p, t);
    if (!t->conf->register_it || !trunk_reg_withdraw(p, t))
        trunk_free(p, t);
}

/* Would it do the same on the wire? */
static bool is_unchanged(const struct config_trunk *a, const struct config_trunk *b)
{
    return str_eq(a->uri, b->uri) && str_eq(a->username, b->username) &&
           str_eq(a->password.secret, b->password.secret) && a->register_it == b->register_it &&
           a->register_expires_ms == b->register_expires_ms &&
           str_eq(a->from_domain, b->from_domain) && str_eq(a->tls_name, b->tls_name) &&
           config_texts_eq(&a->tls_pins, &b->tls_pins);
}

/* The same trunk under a new configuration. */
static void adopt(struct pbx *p, struct trunk *t, const struct config_trunk *conf)
{
    struct config *old = t->config;
    t->config = config_ref(p->config);
    t->conf = conf;
    uri_read(t);
    config_unref(old);
    if (p->config->trunk.options_ms == 0)
        t->pinged = t->silent = false;
    trunk_ping_start(p, t, p->config->trunk.options_ms * USEC_MS);
}

int trunk_reload(struct pbx *p)
{
    struct list added;
    usec_t in = 0;
    list_init(&added);
    /* Everything that can fail comes first. */
    for (uint32_t i = 0; i < p->config->n_trunks; i++) {
        const struct config_trunk *conf = &p->config->trunks[i];
        struct trunk *old = by_name(p, conf->name);
        if (old && is_unchanged(old->conf, conf))
            continue;
        struct trunk *t = trunk_new(p, conf);
        if (!t) {
            while (!list_empty(&added))
                trunk_free(p, container_of(added.next, struct trunk, node));
            return -ENOMEM;
        }
        list_append(&added, &t->node);
    }
    list_each(node, &p->trunks->all)
    {
        struct trunk *t = container_of(node, struct trunk, node);
        const struct config_trunk *conf = config_find_trunk(p->config, t->conf->name);
        if (t->leaving)
            continue;
        if (conf && is_unchanged(t->conf, conf))
            adopt(p, t, conf);
        else
            leave(p, t);
    }
    while (!list_empty(&added)) {
        struct trunk *t = container_of(added.next, struct trunk, node);
        list_remove(&t->node);
        list_append(&p->trunks->all, &t->node);
        start(p, t, in);
        in = in + START_SPREAD_US < START_LIMIT_US ? in + START_SPREAD_US : START_LIMIT_US;
    }
    return 0;
}

int trunk_init(struct pbx *p)
{
    struct trunks *all = mem_zero(sizeof(*all));
    if (!all)
        return -ENOMEM;
    p->trunks = all;
    list_init(&all->all);
    all->digest = digest_new();
    return all->digest ? trunk_reload(p) : -ENOMEM;
}

void trunk_done(struct pbx *p)
{
    struct trunks *all = p->trunks;
    if (!all)
        return;
    pbx_timer_stop(p, &all->patience);
    while (!list_empty(&all->all))
        trunk_free(p, container_of(all->all.next, struct trunk, node));
    digest_free(all->digest);
    mem_free(all);
    p->trunks = NULL;
}

static void out_of_patience(struct pbx *p, struct pbx_timer *timer)
{
    container_of(timer, struct trunks, patience)->impatient = true;
}

void trunk_shutdown(struct pbx *p)
{
    p->trunks->patience.fire = out_of_patience;
    pbx_timer_start(p, &p->trunks->patience, SHUTDOWN_US);
    list_each(node, &p->trunks->all)
    {
        struct trunk *t = container_of(node, struct trunk, node);
        if (!t->leaving)
            leave(p, t);
    }
}

bool trunk_is_idle(const struct pbx *p)
{
    return p->trunks->impatient || list_empty(&p->trunks->all);
}

void trunk_rx_response(struct pbx *p, const struct sip_out *o)
{
    uint64_t n = pbx_user_number(o->user);
    struct trunk *t = by_id(p, n >> 1);
    if (!t || o->status < 200)
        return;
    if ((n & 1) == TRUNK_OPTIONS)
        trunk_ping_rx(p, t, o);
    else
        trunk_reg_rx(p, t, o);
}

/* ---- who it is ---------------------------------------------------------------------------------
 */

/* RFC 3261 18.1.1: a connection comes from any port; what the other side listens at is in Via. */
static uint16_t source_port(const struct flow *flow, const struct sip_msg *m)
{
    if (flow->proto == PROTO_UDP)
        return flow->peer.port;
    return m->via.port ? m->via.port : flow->proto == PROTO_TLS ? 5061 : 5060;
}

/* How well a request fits the trunk; 0: not at all. Several accounts at one provider share an
 * address: then the contact that we registered, which is the Request-URI, tells them apart. */
static unsigned fit(const struct trunk *t, const struct flow *flow, const struct sip_msg *m,
                    struct str proven)
{
    unsigned score = config_nets_match(&t->conf->addresses, &flow->peer) ? 1 : 0;
    /* The source of a datagram is easily forged, that of a connection is not: what is reached by a
     * connection calls by one, unless `addresses` says otherwise. */
    bool as_secure = t->proto == PROTO_UDP || flow->proto == t->proto ||
                     (t->proto == PROTO_TCP && flow->proto != PROTO_UDP);
    for (unsigned i = 0; i < t->n_dests; i++) {
        if (!as_secure || !addr_ip_eq(&t->dest[i].addr, &flow->peer))
            continue;
        if (!t->uri.port)
            score = score > 2 ? score : 2;
        else if (t->dest[i].addr.port == source_port(flow, m))
            score = 4;
    }
    if (proven.n && str_ieq(t->conf->tls_name, proven)) /* more than any address says */
        score += 16;
    if (score && t->conf->register_it && str_eq(m->ruri.user, t->conf->username))
        score += 8;
    return score;
}

/* The name for which the client has shown a certificate, if that is some trunk's. */
static struct str proven_name(const struct pbx *p, const struct flow *flow)
{
    list_each(node, &p->trunks->all)
    {
        const struct trunk *t = container_of(node, struct trunk, node);
        if (flow->party && t->client == flow->party)
            return t->conf->tls_name;
    }
    return STR_NONE;
}

bool trunk_is_proven(const struct pbx *p, const struct config_trunk *conf, const struct flow *flow)
{
    struct str name = proven_name(p, flow);
    return name.n && str_ieq(conf->tls_name, name);
}

const struct config_trunk *trunk_by_source(struct pbx *p, const struct flow *flow,
                                           const struct sip_msg *m)
{
    struct str proven = proven_name(p, flow);
    const struct trunk *best = NULL;
    unsigned best_score = 0;
    list_each(node, &p->trunks->all)
    {
        const struct trunk *t = container_of(node, struct trunk, node);
        unsigned score = t->leaving ? 0 : fit(t, flow, m, proven);
        if (score > best_score) {
            best_score = score;
            best = t;
        }
    }
    return best ? best->conf : NULL;
}

bool trunk_has_addr(const struct pbx *p, const struct addr *addr)
{
    list_each(node, &p->trunks->all)
    {
        const struct trunk *t = container_of(node, struct trunk, node);
        if (config_nets_match(&t->conf->addresses, addr))
            return true;
        for (unsigned i = 0; i < t->n_dests; i++)
            if (addr_ip_eq(&t->dest[i].addr, addr))
                return true;
    }
    return false;
}

void trunk_exempt(const struct pbx *p, struct sip_conf *conf)
{
    list_each(node, &p->trunks->all)
    {
        const struct trunk *t = container_of(node, struct trunk, node);
        for (unsigned i = 0; i < t->n_dests && conf->n_exempt < SIP_MAX_EXEMPT; i++) {
            conf->exempt[conf->n_exempt].ip = t->dest[i].addr;
            conf->exempt[conf->n_exempt++].prefix = t->dest[i].addr.family == ADDR_V4 ? 32 : 128;
        }
    }
}

int trunk_dest(struct pbx *p, const struct config_trunk *conf, struct flow *ret)
{
    const struct trunk *t = by_name(p, conf->name);
    return t && trunk_flow(t, ret) ? 0 : -EAGAIN;
}

/* ---- how it is ---------------------------------------------------------------------------------
 */

enum trunk_state trunk_state_of(const struct pbx *p, const struct trunk *t)
{
    if (t->silent || (t->unresolved && !t->n_dests))
        return TRUNK_DOWN;
    if (t->conf->register_it) {
        if (t->granted_until > p->now)
            return TRUNK_UP;
        return t->refused ? TRUNK_DOWN : TRUNK_REGISTERING;
    }
    return t->pinged ? TRUNK_UP : TRUNK_UNKNOWN;
}

static bool is_all_shunned(const struct pbx *p, const struct trunk *t)
{
    for (unsigned i = 0; i < t->n_dests; i++)
        if (t->shunned[i] <= p->now)
            return false;
    return true;
}

bool trunk_is_usable(struct pbx *p, const struct config_trunk *conf)
{
    const struct trunk *t = by_name(p, conf->name);
    return t && t->n_dests && trunk_state_of(p, t) != TRUNK_DOWN && !is_all_shunned(p, t);
}

void trunk_failed(struct pbx *p, const struct config_trunk *conf, const struct flow *at,
                  uint32_t retry_after_s)
{
    struct trunk *t = by_name(p, conf->name);
    struct flow_dest dest = {.proto = at->proto, .addr = at->peer};
    usec_t in = p->config->trunk.down_ms * USEC_MS;
    if (retry_after_s)
        in = (retry_after_s < SHUN_MAX_S ? retry_after_s : SHUN_MAX_S) * USEC_S;
    for (unsigned i = 0; t && i < t->n_dests; i++)
        if (trunk_dest_eq(&t->dest[i], &dest))
            t->shunned[i] = p->now + in;
}

static uint32_t srtt_of(const struct pbx *p, const struct addr *peer)
{
    struct sip_rtt rtt;
    uint32_t at = 0;
    while (sip_core_rtt(p->core, &at, &rtt))
        if (addr_eq(&rtt.peer, peer))
            return rtt.srtt_us;
    return 0;
}

bool trunk_next(struct pbx *p, uint32_t *at, struct trunk_view *ret)
{
    uint32_t i = 0;
    list_each(node, &p->trunks->all)
    {
        const struct trunk *t = container_of(node, struct trunk, node);
        if (t->leaving || i++ < *at)
            continue;
        ++*at;
        *ret = (struct trunk_view){
            .name = t->conf->name, .state = trunk_state_of(p, t), .reason = str_z(t->reason)};
        if (t->n_dests) {
            ret->addr = t->dest[t->at].addr;
            ret->proto = t->dest[t->at].proto;
            ret->srtt_us = srtt_of(p, &ret->addr);
        }
        if (t->granted_until > p->now)
            ret->expires_s = (uint32_t)((t->granted_until - p->now + USEC_S - 1) / USEC_S);
        return true;
    }
    return false;
}

bool trunk_calls_take(struct pbx *p, const struct config_trunk *conf)
{
    struct trunk *t = by_name(p, conf->name);
    if (!t || (conf->max_calls && t->calls >= conf->max_calls))
        return false;
    t->calls++;
    return true;
}

void trunk_calls_clear(struct pbx *p)
{
    list_each(node, &p->trunks->all)
    {
        container_of(node, struct trunk, node)->calls = 0;
    }
}

bool trunk_calls_keep(struct pbx *p, const struct config_trunk *conf)
{
    struct trunk *t = by_name(p, conf->name);
    if (t)
        t->calls++;
    return t;
}

void trunk_calls_put(struct pbx *p, const struct config_trunk *conf)
{
    struct trunk *t = by_name(p, conf->name);
    if (t && t->calls)
        t->calls--;
}

struct str trunk_number(struct pbx *p, struct str number, uint32_t strip, struct str prepend)
{
    struct str rest = str_from(number, strip < number.n ? strip : number.n);
    struct buf b;
    char *mem = prepend.n ? arena_take(&p->turn, prepend.n + rest.n) : NULL;
    if (!mem)
        return rest;
    buf_init(&b, mem, prepend.n + rest.n);
    buf_str_put(&b, prepend);
    buf_str_put(&b, rest);
    return buf_str(&b);
}

static bool is_listed(const struct config_trunk **list, unsigned n, const struct config_trunk *t)
{
    for (unsigned i = 0; i < n; i++)
        if (list[i] == t)
            return true;
    return false;
}

unsigned trunk_candidates(struct pbx *p, const struct config *c, const struct config_trunk *t,
                          const struct config_trunk **ret, unsigned cap)
{
    unsigned n = 0;
    for (unsigned pass = 0; pass < 2; pass++) {
        bool usable = pass == 0;
        if (n < cap && trunk_is_usable(p, t) == usable)
            ret[n++] = t;
        for (unsigned i = 0; i < t->failover.n && n < cap; i++) {
            const struct config_trunk *next = config_find_trunk(c, t->failover.v[i]);
            if (next && !is_listed(ret, n, next) && next != t && trunk_is_usable(p, next) == usable)
                ret[n++] = next;
        }
    }
    return n;
}

int trunk_dest_next(struct pbx *p, const struct config_trunk *conf, unsigned *n, struct flow *ret)
{
    const struct trunk *t = by_name(p, conf->name);
    struct flow flow;
    unsigned i = *n;
    if (!t || !trunk_flow(t, &flow))
        return -EAGAIN;
    bool all = is_all_shunned(p, t); /* then none of them is worse than the others */
    while (i < t->n_dests && !all && t->shunned[(t->at + i) % t->n_dests] > p->now)
        i++;
    if (i >= t->n_dests)
        return -ENOENT;
    const struct flow_dest *d = &t->dest[(t->at + i) % t->n_dests];
    uint16_t port = d->addr.port ? d->addr.port : flow.peer.port;
    flow.proto = d->proto;
    flow.peer = d->addr;
    flow.peer.port = port;
    *ret = flow;
    *n = i;
    return 0;
}
