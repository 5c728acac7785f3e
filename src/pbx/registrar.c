/* REGISTER requests. RFC 3261 10.3 numbers the steps; everything is looked at before anything is
 * changed, so a request that is refused has changed nothing. */
#include "pbx/registrar.h"

#include "base/mem.h"
#include "pbx/gate.h"
#include "pbx/quirk.h"
#include "pbx/feature/mwi.h"
#include "pbx/feature/queue.h"
#include "pbx/location.h"

#define SLOW_ANSWER        (5 * USEC_MS) /* of quirk.def */
#define SERVICE_ROUTES_MAX 8             /* as in config.def */
#define CONTACTS_MAX       64 /* of one request; also the most that max_contacts may be */
#define USER_AGENT_MAX     64
#define HOUR_S             3600

struct reg_contact {
    struct sip_nameaddr na;
    struct str params;
    struct binding *old; /* what it updates, if that is known already */
    uint32_t expires_s;
    uint16_t q;
};

/* One request on its way through the steps. */
struct reg {
    struct pbx *p;
    const struct sip_out *o;
    const struct sip_msg *m;
    struct location_key key;
    bool star, changed;
    unsigned n;
    struct str path, user_agent;
    struct buf text; /* unfolded copies */
    char text_mem[8192];
    struct reg_contact c[CONTACTS_MAX];
};

/* ---- answers ----------------------------------------------------------------------------------
 */

static void refuse(const struct reg *r, unsigned status, enum sip_hdr_id id, uint64_t value)
{
    char mem[24];
    struct buf text;
    buf_init(&text, mem, sizeof(mem));
    buf_u64(&text, value);
    struct sip_field field = {.id = id, .value = buf_str(&text)};
    struct sip_answer a = {.status = (uint16_t)status,
                           .content = {.field = &field, .n_fields = id != SIP_H_OTHER}};
    (void)sip_respond(r->p->core, r->p->now, r->o->txn, &a);
}

/* RFC 3261 20.17: an RFC 1123 date, in GMT. Days are counted as in the civil calendar that repeats
 * every 400 years, with years that begin in March. */
static struct str date_text(struct pbx *p)
{
    static const char days[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    struct registrar *r = p->registrar;
    uint64_t s = pbx_wall_ms(p) / 1000, day = s / 86400;
    struct buf b;
    if (r->date_s == s && r->date[0])
        return str_z(r->date);
    uint64_t z = day + 719468, era = z / 146097, doe = z % 146097;
    uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), m = (5 * doy + 2) / 153;
    uint64_t year = era * 400 + yoe + (m >= 10), mday = doy - (153 * m + 2) / 5 + 1;
    buf_init(&b, r->date, sizeof(r->date) - 1);
    buf_printf(&b, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * (day % 7), (unsigned)mday,
               months + 3 * m, (unsigned)year, (unsigned)(s / 3600 % 24), (unsigned)(s / 60 % 60),
               (unsigned)(s % 60));
    r->date[b.n] = '\0';
    r->date_s = s;
    return buf_str(&b);
}

static void put_contact(struct buf *b, const struct binding *binding, usec_t now)
{
    usec_t left = binding->expires_at > now ? binding->expires_at - now : 0;
    buf_ch(b, '<');
    buf_str_put(b, binding->contact);
    buf_lit(b, ">;expires=");
    buf_u64(b, (left + USEC_S - 1) / USEC_S);
    if (binding->q != 1000)
        buf_printf(b, ";q=%u.%03u", binding->q / 1000u, binding->q % 1000u);
    if (binding->params.n) {
        buf_ch(b, ';');
        buf_str_put(b, binding->params);
    }
}

/* Step 8: the 200 lists every binding. What was stored must be safe before it is said. */
static void accept(struct reg *r)
{
    struct pbx *p = r->p;
    const struct config_texts *routes = &p->config->registrar.service_route;
    struct sip_field field[CONTACTS_MAX + 2 + SERVICE_ROUTES_MAX];
    unsigned n = 0;
    size_t bytes = 0;
    struct buf b;
    struct binding *binding = NULL;
    while ((binding = location_next(p, &r->key, binding)))
        bytes += binding->contact.n + binding->params.n + 40;
    char *mem = arena_take(&p->turn, bytes + 1);
    if (!mem) {
        refuse(r, 500, SIP_H_OTHER, 0);
        return;
    }
    buf_init(&b, mem, bytes);
    while (n < CONTACTS_MAX && (binding = location_next(p, &r->key, binding))) {
        size_t start = b.n;
        put_contact(&b, binding, p->now);
        field[n++] =
            (struct sip_field){.id = SIP_H_CONTACT, .value = str_of(b.p + start, b.n - start)};
    }
    field[n++] = (struct sip_field){.id = SIP_H_DATE, .value = date_text(p)};
    /* RFC 3327 5.3: the path goes back to a phone that says it knows what that is. */
    if (r->path.n && sip_msg_lists(r->m, SIP_H_SUPPORTED, STR("path")))
        field[n++] = (struct sip_field){.id = SIP_H_PATH, .value = r->path};
    for (uint32_t i = 0; i < routes->n && i < SERVICE_ROUTES_MAX; i++) /* RFC 3608 6.3 */
        field[n++] = (struct sip_field){.id = SIP_H_SERVICE_ROUTE, .value = routes->v[i]};
    struct sip_answer a = {.status = 200,
                           .content = {.field = field, .n_fields = n},
                           .after_commit = r->changed,
                           .delay = quirk_has(r->m, QUIRK_SLOW_REGISTER) ? SLOW_ANSWER : 0};
    (void)sip_respond(p->core, p->now, r->o->txn, &a);
}

/* ---- steps 1 to 5: whose address of record ------------------------------------------------------
 */

static unsigned find_aor(struct reg *r, const struct config_extension *self)
{
    struct pbx *p = r->p;
    const struct sip_uri *to = &r->m->to.uri;
    if (to->scheme != SIP_SCHEME_SIP && to->scheme != SIP_SCHEME_SIPS)
        return 400;
    if (!to->user.n || !pbx_is_our_host(p, to))
        return 404;
    struct str user = sip_unescape(&p->turn, to->user);
    const struct config_extension *e = config_find_user(p->config, user);
    e = e ? e : config_find_extension(p->config, user);
    if (!user.p || !e)
        return 404;
    if (e != self)
        return 403; /* step 4: nobody registers for another */
    location_key_init(p, &r->key, e);
    return 0;
}

/* ---- step 6: what is asked ----------------------------------------------------------------------
 */

/* A text without folds: it is stored, and shown in other messages. */
static struct str unfolded(struct reg *r, struct str s, size_t max)
{
    size_t start = r->text.n;
    sip_put_unfolded(&r->text, str_sub(s, 0, max));
    return str_of(r->text.p + start, r->text.n - start);
}

static uint32_t default_expires(const struct reg *r)
{
    uint32_t s;
    struct str value = sip_msg_get(r->m, SIP_H_EXPIRES);
    if (value.p && sip_delta_parse(&s, value) == 0)
        return s;
    return r->p->config->sip.timers.register_expires_ms / 1000;
}

/* Everything but expires and q is kept as it is, also what we do not know. */
static int read_params(struct reg *r, struct reg_contact *c, uint32_t expires_s)
{
    struct str rest = c->na.params, name, value;
    size_t start = r->text.n;
    c->expires_s = expires_s;
    c->q = 1000;
    while (sip_param_next(&rest, &name, &value)) {
        if (str_ieq(name, STR("expires"))) {
            /* RFC 3261 20.10 as 20.19: a malformed value counts as the usual one. */
            if (sip_delta_parse(&c->expires_s, value))
                c->expires_s = r->p->config->sip.timers.register_expires_ms / 1000;
            continue;
        }
        if (str_ieq(name, STR("q"))) {
            if (sip_q_parse(&c->q, value))
                return 400;
            continue;
        }
        if (r->text.n > start)
            buf_ch(&r->text, ';');
        sip_put_unfolded(&r->text, name);
        if (value.n) {
            buf_ch(&r->text, '=');
            sip_put_unfolded(&r->text, value);
        }
    }
    c->params = r->text.n > start ? str_of(r->text.p + start, r->text.n - start) : STR_NONE;
    return 0;
}

/* The lifetime granted. 423 only where RFC 3261 10.2.8 allows it: below an hour. */
static unsigned bound_expires(const struct reg *r, struct reg_contact *c)
{
    const struct config_timers *t = &r->p->config->sip.timers;
    uint32_t min_s = t->register_min_ms / 1000, max_s = t->register_max_ms / 1000;
    if (c->expires_s == 0)
        return 0;
    if (c->expires_s < min_s && c->expires_s < HOUR_S)
        return 423;
    if (c->expires_s > max_s)
        c->expires_s = max_s;
    return 0;
}

static unsigned read_contacts(struct reg *r)
{
    struct sip_values it = sip_values(r->m, SIP_H_CONTACT);
    struct str value;
    uint32_t expires_s = default_expires(r);
    unsigned status = 0;
    while (!status && sip_values_next(&it, &value)) {
        if (str_eq(value, STR("*"))) {
            r->star = true;
            continue;
        }
        if (r->n == CONTACTS_MAX)
            return 403;
        struct reg_contact *c = &r->c[r->n++];
        c->old = NULL;
        if (sip_nameaddr_parse(&c->na, value))
            return 400;
        status = (unsigned)read_params(r, c, expires_s);
        if (!status)
            status = bound_expires(r, c);
    }
    /* RFC 3261 10.3 step 6: "*" stands alone and means removal. */
    if (r->star && (r->n || !sip_msg_has(r->m, SIP_H_EXPIRES) || expires_s != 0))
        return 400;
    return status;
}

static unsigned read_rest(struct reg *r)
{
    struct sip_values it = sip_values(r->m, SIP_H_PATH);
    struct str value = sip_msg_get(r->m, SIP_H_USER_AGENT);
    r->path = STR_NONE;
    r->user_agent = value.p ? unfolded(r, value, USER_AGENT_MAX) : STR_NONE;
    size_t start = r->text.n;
    while (sip_values_next(&it, &value)) {
        if (r->text.n > start)
            buf_lit(&r->text, ", ");
        sip_put_unfolded(&r->text, value);
        r->path = str_of(r->text.p + start, r->text.n - start);
    }
    return r->text.full || r->path.n > LOCATION_TEXT_MAX / 2 ? 400 : 0;
}

/* RFC 5630 5.2: "A registrar MUST accept a binding to a SIPS Contact header field only if all the
 * appropriate URIs are of the SIPS scheme", those of the request, of all contacts and of the path.
 * (A sips Request-URI that came by no secure connection is not served at all.) */
static unsigned check_sips(const struct reg *r)
{
    struct sip_values it = sip_values(r->m, SIP_H_PATH);
    struct sip_nameaddr hop;
    struct str value;
    unsigned sips = 0;
    for (unsigned i = 0; i < r->n; i++)
        sips += r->c[i].na.uri.scheme == SIP_SCHEME_SIPS;
    if (!sips)
        return 0;
    if (sips < r->n || r->m->ruri.scheme != SIP_SCHEME_SIPS)
        return 400;
    while (sip_values_next(&it, &value))
        if (sip_nameaddr_parse(&hop, value) || hop.uri.scheme != SIP_SCHEME_SIPS)
            return 400;
    return 0;
}

/* ---- step 7: what it means ----------------------------------------------------------------------
 */

/* RFC 3261 10.3 compares contacts as URIs. A phone that names its instance and registration
 * (RFC 5626 section 6) has moved if they are the same. */
static bool is_same(const struct binding *b, const struct reg_contact *c)
{
    struct sip_uri uri;
    if (str_eq(b->contact, c->na.uri.whole))
        return true;
    if (sip_uri_parse(&uri, b->contact) == 0 && sip_uri_eq(&uri, &c->na.uri))
        return true;
    struct str instance = b->instance.n ? sip_param_get(c->params, STR("+sip.instance")) : STR_NONE;
    if (!instance.n || !str_eq(instance, b->instance))
        return false;
    struct str reg_id = sip_param_get(c->params, STR("reg-id"));
    return reg_id.n && str_eq(reg_id, sip_param_get(b->params, STR("reg-id")));
}

static struct binding *find_same(const struct reg *r, const struct reg_contact *c)
{
    struct binding *b = NULL;
    while ((b = location_next(r->p, &r->key, b)))
        if (is_same(b, c))
            return b;
    return NULL;
}

/* A request that was overtaken by a later one of the same phone must not undo it. */
static bool is_late(const struct reg *r, const struct binding *b)
{
    return b->cseq >= r->m->cseq.number && str_eq(b->call_id, r->m->call_id);
}

/* How many bindings there would be; -1: one of them is newer than the request. */
static int foresee(struct reg *r, unsigned *added)
{
    int count = 0;
    struct binding *b = NULL;
    *added = 0;
    while ((b = location_next(r->p, &r->key, b))) {
        if (r->star && is_late(r, b))
            return -1;
        count++;
    }
    for (unsigned i = 0; i < r->n; i++) {
        struct reg_contact *c = &r->c[i];
        c->old = find_same(r, c);
        if (c->old && is_late(r, c->old))
            return -1;
        if (c->old && c->expires_s == 0)
            count--;
        if (!c->old && c->expires_s > 0)
            (*added)++;
    }
    return count + (int)*added;
}

/* The binding that the request does not touch and that is the longest there. */
static struct binding *oldest_other(const struct reg *r)
{
    struct binding *b = NULL, *oldest = NULL;
    while ((b = location_next(r->p, &r->key, b))) {
        bool touched = false;
        for (unsigned i = 0; i < r->n; i++)
            touched |= r->c[i].old == b;
        if (!touched && (!oldest || b->registered_at < oldest->registered_at))
            oldest = b;
    }
    return oldest;
}

static unsigned check(struct reg *r)
{
    struct pbx *p = r->p;
    const struct config_registrar *conf = &p->config->registrar;
    const struct slot_table *slots = &p->registrar->slots;
    unsigned added;
    int count = foresee(r, &added);
    if (count < 0)
        return 500; /* step 7: "the update MUST be aborted and the request fails" */
    bool replace = conf->when_full == CONF_WHEN_FULL_REPLACE;
    if (added && count > (int)conf->max_contacts && (!replace || added > conf->max_contacts))
        return 403;
    if (added > slots->cap - slots->used) {
        trace_emit(&p->trace, TRACE_RX_LIMIT, 0, TS(r->key.aor), TS(STR("limits.registrations")));
        return 503;
    }
    while (added && count > (int)conf->max_contacts) {
        struct binding *b = oldest_other(r);
        if (!b)
            break; /* what is left is in the request itself, and counted twice */
        location_drop(p, b, STR("replaced"));
        r->changed = true;
        count--;
    }
    return 0;
}

static struct location_texts texts_of(const struct reg *r, const struct reg_contact *c)
{
    return (struct location_texts){.aor = r->key.aor,
                                   .contact = c->na.uri.whole,
                                   .params = c->params,
                                   .call_id = r->m->call_id,
                                   .path = r->path,
                                   .user_agent = r->user_agent};
}

/* RFC 5923 section 4: a phone may say that its connection also stands for the address it listens
 * at. It may say so for its own address alone. */
static void note_alias(const struct reg *r)
{
    const struct sip_via *via = &r->m->via;
    const struct flow *flow = &r->o->flow;
    if (!flow->conn || !sip_param_get(via->params, STR("alias")).p)
        return;
    struct pbx_out *o = pbx_emit(r->p, PBX_OUT_ALIAS);
    o->flow = *flow;
    o->addr = flow->peer;
    o->addr.port = via->port ? via->port : flow->proto == PROTO_TLS ? 5061 : 5060;
}

static unsigned put(struct reg *r, struct reg_contact *c)
{
    struct pbx *p = r->p;
    struct location_texts t = texts_of(r, c);
    struct binding *b = c->old;
    bool is_new = !b, moved = b && !str_eq(b->contact, t.contact);
    /* A phone that was switched off meanwhile begins with another Call-ID: RFC 3261 10.2. */
    bool anew = is_new || !str_eq(b->call_id, t.call_id);
    if (t.contact.n + t.params.n + t.call_id.n + t.path.n + t.user_agent.n > LOCATION_TEXT_MAX)
        return 400;
    if (moved) /* the same contact in other words: its row has another key */
        location_row_del(p, b->aor, b->contact);
    if (is_new)
        b = location_take(p, &t);
    else if (location_keep(p, b, &t))
        b = NULL;
    if (!b)
        return 503;
    bool other_conn = is_new || b->flow.conn != r->o->flow.conn;
    location_flow_put(p, b, &r->o->flow, location_is_natted(r->m, &r->o->flow, &c->na.uri));
    b->cseq = r->m->cseq.number;
    b->q = c->q;
    location_live(p, b, c->expires_s * USEC_S);
    queue_wake(p);
    location_row_put(p, b);
    if (anew)
        mwi_registered(p, location_extension(p, b->aor));
    if (other_conn)
        note_alias(r);
    if (is_new)
        trace_emit(&p->trace, TRACE_REGISTERED, 0, TS(b->aor), TS(b->contact), TU(c->expires_s));
    return 0;
}

static unsigned apply(struct reg *r)
{
    struct pbx *p = r->p;
    struct binding *b;
    while (r->star && (b = location_next(p, &r->key, NULL))) {
        location_drop(p, b, STR("removed"));
        r->changed = true;
    }
    for (unsigned i = 0; i < r->n; i++) {
        struct reg_contact *c = &r->c[i];
        unsigned status = 0;
        if (r->n > 1) /* what came before in the same request may be the same contact */
            c->old = find_same(r, c);
        if (c->expires_s == 0 && c->old)
            location_drop(p, c->old, STR("removed"));
        else if (c->expires_s > 0)
            status = put(r, c);
        else
            continue;
        if (status)
            return status;
        r->changed = true;
    }
    return 0;
}

/* ---- the request --------------------------------------------------------------------------------
 */

void registrar_rx(struct pbx *p, const struct sip_out *o)
{
    struct gate_who who = gate_check(p, o);
    if (!who.extension && !who.trunk)
        return;
    if (!who.extension) { /* a trunk is known by its configuration */
        pbx_respond(p, o->txn, 403);
        return;
    }
    struct reg r;
    r.p = p;
    r.o = o;
    r.m = o->msg;
    r.star = r.changed = false;
    r.n = 0;
    buf_init(&r.text, r.text_mem, sizeof(r.text_mem));
    unsigned status = find_aor(&r, who.extension);
    status = status ? status : read_contacts(&r);
    status = status ? status : read_rest(&r);
    status = status ? status : check_sips(&r);
    status = status ? status : check(&r);
    status = status ? status : apply(&r);
    if (status == 423)
        refuse(&r, 423, SIP_H_MIN_EXPIRES, p->config->sip.timers.register_min_ms / 1000);
    else if (status == 503)
        refuse(&r, 503, SIP_H_RETRY_AFTER, 30);
    else if (status)
        refuse(&r, status, SIP_H_OTHER, 0);
    else
        accept(&r);
}

/* ---- life ---------------------------------------------------------------------------------------
 */

int registrar_init(struct pbx *p)
{
    struct registrar *r = mem_zero(sizeof(*r));
    uint32_t cap = p->config->limits.registrations;
    if (!r)
        return -ENOMEM;
    p->registrar = r;
    if (slot_init(&r->slots, sizeof(struct binding), cap) ||
        hash_init(&r->by_aor, cap, rand_u64(&p->rand)) ||
        hash_init(&r->by_conn, p->config->limits.tcp_connections, rand_u64(&p->rand)))
        return -ENOMEM;
    return 0;
}

void registrar_done(struct pbx *p)
{
    struct registrar *r = p->registrar;
    if (!r)
        return;
    if (r->by_conn.bucket)
        location_clear(p);
    if (r->by_conn.bucket)
        hash_done(&r->by_conn);
    if (r->by_aor.bucket)
        hash_done(&r->by_aor);
    if (r->slots.mem)
        slot_done(&r->slots);
    mem_free(r);
    p->registrar = NULL;
}

void registrar_reload(struct pbx *p)
{
    uint32_t at = 0;
    handle_t h;
    struct binding *b;
    while ((b = slot_next(&p->registrar->slots, &at, &h)))
        if (!location_extension(p, b->aor))
            location_drop(p, b, STR("extension removed"));
}

/* ---- looking up ---------------------------------------------------------------------------------
 */

static bool is_better(const struct binding *a, const struct binding *b)
{
    return a->q != b->q ? a->q > b->q : a->registered_at > b->registered_at;
}

unsigned registrar_find(struct pbx *p, const struct config_extension *e, const struct binding **ret,
                        unsigned cap)
{
    struct location_key key;
    const struct binding *b = NULL;
    unsigned n = 0;
    location_key_init(p, &key, e);
    while ((b = location_next(p, &key, b))) {
        /* Other URIs may be registered (RFC 3261 10.2.1), but we cannot call them. */
        if (!str_istarts(b->contact, STR("sip:")) && !str_istarts(b->contact, STR("sips:")))
            continue;
        unsigned at = n;
        while (at > 0 && is_better(b, ret[at - 1]))
            at--;
        if (at == cap)
            continue;
        n += n < cap;
        memmove(&ret[at + 1], &ret[at], (n - 1 - at) * sizeof(*ret));
        ret[at] = b;
    }
    return n;
}

uint32_t registrar_count(const struct pbx *p)
{
    return p->registrar->slots.used;
}

const struct binding *registrar_next(const struct pbx *p, uint32_t *at)
{
    handle_t h;
    return slot_next(&p->registrar->slots, at, &h);
}
