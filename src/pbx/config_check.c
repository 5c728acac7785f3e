/* What must hold between the values of a configuration, and what follows from others. */
#include <stdarg.h>
#include <stdio.h>

#include "bot/bot.h"
#include "pbx/clock.h"
#include "pbx/config_table.h"
#include "wire/bot/url.h"
#include "wire/sip/msg.h"
#include "wire/twilio/twilio.h"

#define SESSION_EXPIRES_MIN_MS 90000

/* An error at the line of `member`, which belongs to `owner`. */
static void __attribute__((format(printf, 4, 5)))
bad(struct config_binder *b, const void *member, const void *owner, const char *fmt, ...)
{
    char mem[256];
    va_list ap;
    if (config_is_hopeless(b))
        return;
    va_start(ap, fmt);
    int n = vsnprintf(mem, sizeof(mem), fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : n < (int)sizeof(mem) ? (size_t)n : sizeof(mem) - 1;
    config_error_add(b, config_line(b, member, owner), str_of(mem, len));
}

/* ---- timers and other numbers ---------------------------------------------------------------- */

/* A key that was not given follows those that were, so that one changed value needs no second. */
static void timers_derive(struct config_binder *b)
{
    struct config_timers *t = &b->config->sip.timers;
    if (t->preset == CONF_PRESET_UNSTABLE) {
        if (!config_given(b, &t->t1_ms))
            t->t1_ms = 1000;
        if (!config_given(b, &t->t2_ms))
            t->t2_ms = 8000;
    }
    if (t->t2_ms < t->t1_ms && !config_given(b, &t->t2_ms))
        t->t2_ms = t->t1_ms;
    if (t->t1_min_ms > t->t1_ms && !config_given(b, &t->t1_min_ms))
        t->t1_min_ms = t->t1_ms;
    if (t->t1_max_ms < t->t1_ms && !config_given(b, &t->t1_max_ms))
        t->t1_max_ms = t->t1_ms;
    if (t->register_min_ms > t->register_expires_ms && !config_given(b, &t->register_min_ms))
        t->register_min_ms = t->register_expires_ms;
    if (t->register_max_ms < t->register_expires_ms && !config_given(b, &t->register_max_ms))
        t->register_max_ms = t->register_expires_ms;
    if (t->subscribe_min_ms > t->subscribe_max_ms && !config_given(b, &t->subscribe_min_ms))
        t->subscribe_min_ms = t->subscribe_max_ms;
    if (t->subscribe_max_ms < t->subscribe_min_ms && !config_given(b, &t->subscribe_max_ms))
        t->subscribe_max_ms = t->subscribe_min_ms;
    if (t->no_answer_timeout_ms >= t->invite_timeout_ms &&
        !config_given(b, &t->no_answer_timeout_ms))
        t->no_answer_timeout_ms = 0;
}

static void session_timer_check(struct config_binder *b, const struct config_timers *t)
{
    if (t->session_expires_ms == 0)
        return;                                         /* there is none */
    if (t->session_expires_ms < SESSION_EXPIRES_MIN_MS) /* RFC 4028 section 4 */
        bad(b, &t->session_expires_ms, t, "sip.timers.session_expires: must be 0 or at least 90");
    else if (t->min_se_ms > t->session_expires_ms)
        bad(b, &t->min_se_ms, t, "sip.timers.min_se: must not be above session_expires");
    /* RFC 4028 section 10: a refresh at half the interval must be able to fail before its end. */
    else if (64 * (uint64_t)t->t1_ms > t->session_expires_ms / 2)
        bad(b, &t->session_expires_ms, t,
            "sip.timers.session_expires: must be at least 128 times t1");
}

static void timers_check(struct config_binder *b)
{
    const struct config_timers *t = &b->config->sip.timers;
    if (t->t2_ms < t->t1_ms)
        bad(b, &t->t2_ms, t, "sip.timers.t2: must not be below t1");
    if (t->t1_min_ms > t->t1_max_ms)
        bad(b, &t->t1_min_ms, t, "sip.timers.t1_min: must not be above t1_max");
    else if (t->adaptive_t1 && (t->t1_ms < t->t1_min_ms || t->t1_ms > t->t1_max_ms))
        bad(b, &t->t1_ms, t, "sip.timers.t1: must lie between t1_min and t1_max");
    session_timer_check(b, t);
    if (t->register_min_ms > t->register_expires_ms)
        bad(b, &t->register_min_ms, t,
            "sip.timers.register_min: must not be above register_expires");
    if (t->register_max_ms < t->register_expires_ms)
        bad(b, &t->register_max_ms, t,
            "sip.timers.register_max: must not be below register_expires");
    if (t->subscribe_min_ms > t->subscribe_max_ms)
        bad(b, &t->subscribe_min_ms, t,
            "sip.timers.subscribe_min: must not be above subscribe_max");
    if (t->no_answer_timeout_ms >= t->invite_timeout_ms)
        bad(b, &t->no_answer_timeout_ms, t,
            "sip.timers.no_answer_timeout: must be below invite_timeout");
}

/* As `sha256sum` prints it. */
static bool is_pin(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = chr_lower(s.p[i]);
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return false;
    }
    return s.n == 64;
}

static bool are_pins(const struct config_texts *pins)
{
    for (uint32_t i = 0; i < pins->n; i++)
        if (!is_pin(pins->v[i]))
            return false;
    return true;
}

static void tls_lines(struct config_binder *b, const struct config_tls *t)
{
    struct config *c = b->config;
    c->line.certificate = config_line(b, &t->certificate, t);
    c->line.private_key = config_line(b, &t->private_key, t);
    c->line.ca = config_line(b, &t->ca, t);
    for (uint32_t i = 0; i < t->n_certificates && i < CONFIG_MAX_CERTIFICATES; i++) {
        const struct config_tls_certificate *more = &t->certificates[i];
        c->line.certificates[i].certificate = config_line(b, &more->certificate, more);
        c->line.certificates[i].private_key = config_line(b, &more->private_key, more);
    }
}

static void tls_check(struct config_binder *b, const struct config_tls *t)
{
    tls_lines(b, t);
    if (!are_pins(&t->pins))
        bad(b, &t->pins, t, "sip.tls.pins: each must be 64 hexadecimal digits");
    if ((t->certificate.n == 0) != (t->private_key.n == 0))
        bad(b, &t->certificate, t, "sip.tls: certificate and private_key go together");
    if (t->n_certificates > CONFIG_MAX_CERTIFICATES) {
        const struct config_tls_certificate *over = &t->certificates[CONFIG_MAX_CERTIFICATES];
        bad(b, &over->certificate, over, "sip.tls.certificates: at most %u",
            (unsigned)CONFIG_MAX_CERTIFICATES);
    }
}

static void dns_check(struct config_binder *b)
{
    const struct config_dns *d = &b->config->dns;
    struct addr a;
    for (uint32_t i = 0; i < d->servers.n; i++)
        if (addr_parse_port(&a, d->servers.v[i]) && addr_parse(&a, d->servers.v[i], 53))
            bad(b, &d->servers, d, "dns.servers: each must be an IP address, and perhaps a port");
}

static void sip_check(struct config_binder *b)
{
    const struct config_sip *s = &b->config->sip;
    b->config->line.domain = s->domain.n ? config_line(b, &s->domain, s) : 0;
    tls_check(b, &s->tls);
    for (uint32_t i = 0; i < s->listen.n; i++) {
        bool secure = s->listen.v[i].proto == PROTO_TLS || s->listen.v[i].proto == PROTO_WSS;
        if (secure && s->tls.certificate.n == 0 && s->tls.n_certificates == 0) {
            bad(b, &s->listen, s,
                "sip.listen: tls: and wss: need sip.tls.certificate and "
                "sip.tls.private_key");
            return;
        }
    }
}

/* RFC 3608 section 5: each is a name-addr; one without lr would make phones route strictly. */
static void service_route_check(struct config_binder *b)
{
    const struct config_registrar *r = &b->config->registrar;
    struct sip_nameaddr na;
    for (uint32_t i = 0; i < r->service_route.n; i++)
        if (sip_nameaddr_parse(&na, r->service_route.v[i]) || !na.bracketed || !na.uri.lr)
            bad(b, &r->service_route, r, "registrar.service_route: each must read <sip:host;lr>");
}

/* What may be written in two ways is compared in one. */
static struct str folder_plain(struct str dir)
{
    while (dir.n > 1 && dir.p[dir.n - 1] == '/')
        dir.n--;
    while (dir.n > 2 && str_starts(dir, STR("./")))
        dir = str_from(dir, 2);
    return dir;
}

static bool folder_in(struct str dir, struct str outer)
{
    return str_starts(dir, outer) && (dir.n == outer.n || dir.p[outer.n] == '/');
}

/* What is too old in the one must not take messages with it. */
static void folders_check(struct config_binder *b)
{
    struct config *c = b->config;
    struct str calls = folder_plain(c->recording.dir), messages = folder_plain(c->voicemail.dir);
    c->line.recording_dir = config_line(b, &c->recording.dir, &c->recording);
    c->line.voicemail_dir = config_line(b, &c->voicemail.dir, &c->voicemail);
    if (folder_in(messages, calls) || folder_in(calls, messages))
        bad(b, &c->voicemail.dir, &c->voicemail,
            "voicemail.dir: must not be recording.dir, nor the one in the other");
}

static void record_code_check(struct config_binder *b)
{
    const struct config_features *f = &b->config->features;
    for (uint32_t i = 0; i < f->directed_pickup.n; i++)
        if (f->record.n && str_eq(f->record, f->directed_pickup.v[i]))
            bad(b, &f->record, f,
                "features.record: \"" STR_FMT "\" is already taken by features.directed_pickup",
                STR_ARG(f->record));
}

static void others_check(struct config_binder *b)
{
    service_route_check(b);
    const struct config *c = b->config;
    if (c->auth.ban_max_ms < c->auth.ban_ms)
        bad(b, &c->auth.ban_max_ms, &c->auth,
            "auth.ban_max_seconds: must not be below ban_seconds");
    if (c->trunk.retry_max_ms < c->trunk.retry_min_ms)
        bad(b, &c->trunk.retry_max_ms, &c->trunk, "trunk.retry_max: must not be below retry_min");
    if (!clock_is_zone(c->voicemail.time_zone))
        bad(b, &c->voicemail.time_zone, &c->voicemail,
            "voicemail.time_zone: must be the time ahead of UTC, like +09:00 or -03:30, not "
            "\"" STR_FMT "\"",
            STR_ARG(c->voicemail.time_zone));
    folders_check(b);
    record_code_check(b);
    if (c->limits.tcp_connections_per_source > c->limits.tcp_connections)
        bad(b, &c->limits.tcp_connections_per_source, &c->limits,
            "limits.tcp_connections_per_source: must not be above tcp_connections");
    if (c->limits.requests_burst < c->limits.requests_per_second)
        bad(b, &c->limits.requests_burst, &c->limits,
            "limits.requests_burst: must not be below requests_per_second");
}

static void limits_derive(struct config_binder *b)
{
    struct config_limits *l = &b->config->limits;
    if (l->tcp_connections_per_source > l->tcp_connections &&
        !config_given(b, &l->tcp_connections_per_source))
        l->tcp_connections_per_source = l->tcp_connections;
    if (l->requests_burst < l->requests_per_second && !config_given(b, &l->requests_burst))
        l->requests_burst = l->requests_per_second;
    struct config_auth *a = &b->config->auth;
    if (a->ban_max_ms < a->ban_ms && !config_given(b, &a->ban_max_ms))
        a->ban_max_ms = a->ban_ms;
    struct config_trunk_defaults *t = &b->config->trunk;
    if (t->retry_max_ms < t->retry_min_ms && !config_given(b, &t->retry_max_ms))
        t->retry_max_ms = t->retry_min_ms;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* The first listener's address, unless it is that of all interfaces, which names nobody. */
static void domain_derive(struct config_binder *b)
{
    struct config_sip *s = &b->config->sip;
    char mem[64];
    struct buf text;
    buf_init(&text, mem, sizeof(mem));
    if (s->domain.n == 0) {
        const struct addr *a = &s->listen.v[0].addr;
        if (addr_is_any(a) && s->external.family != ADDR_NONE)
            a = &s->external;
        if (addr_is_any(a))
            buf_lit(&text, "ringdown");
        else
            addr_put_host(&text, a);
        s->domain = arena_dup(&b->config->arena, buf_str(&text));
        b->out_of_memory |= !s->domain.p;
    }
    if (s->call_id_host.n == 0)
        s->call_id_host = str_sub(s->domain, 0, 127);
}

static void names_derive(struct config_binder *b)
{
    struct config *c = b->config;
    domain_derive(b);
    for (uint32_t i = 0; i < c->n_extensions; i++) {
        struct config_extension *e = &c->extensions[i];
        if (e->username.n == 0)
            e->username = e->number;
        if (e->caller_id.n == 0)
            e->caller_id = e->did.n ? e->did.v[0] : e->number;
        if (e->codecs.n == 0)
            e->codecs = c->media.codecs;
    }
    for (uint32_t i = 0; i < c->n_trunks; i++)
        if (c->trunks[i].codecs.n == 0)
            c->trunks[i].codecs = c->media.codecs;
}

/* ---- references ------------------------------------------------------------------------------ */

/* "voicemail" is a place only for who has a mailbox. */
static void forward_check(struct config_binder *b, const struct config_extension *e, uint32_t i)
{
    const struct config_forward *f = &e->forward;
    const struct str *to[] = {&f->always, &f->busy, &f->no_answer, &f->unregistered};
    for (unsigned k = 0; !e->voicemail && k < ARRAY_LEN(to); k++)
        if (str_eq(*to[k], STR("voicemail")))
            bad(b, to[k], f, "extensions[%u].forward: voicemail is false", i);
}

static void extension_check(struct config_binder *b, uint32_t i)
{
    const struct config *c = b->config;
    const struct config_extension *e = &c->extensions[i];
    bool hashed = e->ha1.v[0].p || e->ha1.v[1].p || e->ha1.v[2].p;
    if (e->number.n == 0)
        return; /* reported already */
    if (e->password.secret.n == 0 && !hashed && !config_given(b, &e->ha1))
        bad(b, &e->password, e, "extensions[%u]: password or ha1 is needed", i);
    if (e->password.secret.n && hashed)
        bad(b, &e->ha1, e, "extensions[%u].ha1: not together with password", i);
    if (e->mwi_unsolicited && !e->voicemail)
        bad(b, &e->mwi_unsolicited, e, "extensions[%u].mwi_unsolicited: needs voicemail", i);
    if (e->voicemail_pin.n && !e->voicemail)
        bad(b, &e->voicemail_pin, e, "extensions[%u].voicemail_pin: needs voicemail: true", i);
    forward_check(b, e, i);
    const struct config_extension *other = config_find_extension(c, e->username);
    if (other && other != e)
        bad(b, &e->username, e,
            "extensions[%u].username: \"" STR_FMT "\" is the number of another extension", i,
            STR_ARG(e->username));
}

static void group_check(struct config_binder *b, uint32_t i)
{
    const struct config *c = b->config;
    const struct config_group *g = &c->groups[i];
    for (uint32_t j = 0; j < g->members.n; j++)
        if (!config_find_extension(c, g->members.v[j]))
            bad(b, &g->members, g, "groups[%u].members: there is no extension \"" STR_FMT "\"", i,
                STR_ARG(g->members.v[j]));
}

static bool needs_tls(const struct config_trunk *t)
{
    struct sip_uri uri;
    enum proto proto;
    return sip_uri_parse(&uri, t->uri) == 0 && sip_uri_proto(&uri, &proto) == 0 &&
           proto == PROTO_TLS;
}

/* What we send leaves by a listener of its transport: that is what Via and Contact can name. */
static bool listens_tls(const struct config *c)
{
    for (uint32_t i = 0; i < c->sip.listen.n; i++)
        if (c->sip.listen.v[i].proto == PROTO_TLS)
            return true;
    return false;
}

static void trunk_check(struct config_binder *b, uint32_t i)
{
    const struct config *c = b->config;
    const struct config_trunk *t = &c->trunks[i];
    bool login = t->username.n && t->password.secret.n;
    if (t->register_it && !login)
        bad(b, &t->register_it, t, "trunks[%u].register: needs username and password", i);
    else if (t->password.secret.n && !t->username.n)
        bad(b, &t->password, t, "trunks[%u].password: needs username", i);
    if (needs_tls(t) && !listens_tls(c))
        bad(b, &t->uri, t, "trunks[%u].uri: to send by TLS, sip.listen must have a tls: address",
            i);
    if (t->tls_name.n && !listens_tls(c))
        bad(b, &t->tls_name, t, "trunks[%u].tls_name: sip.listen must have a tls: address", i);
    if (!are_pins(&t->tls_pins))
        bad(b, &t->tls_pins, t, "trunks[%u].tls_pins: each must be 64 hexadecimal digits", i);
    for (uint32_t j = 0; j < t->failover.n; j++) {
        const struct config_trunk *next = config_find_trunk(c, t->failover.v[j]);
        if (!next)
            bad(b, &t->failover, t, "trunks[%u].failover: there is no trunk \"" STR_FMT "\"", i,
                STR_ARG(t->failover.v[j]));
        else if (next == t)
            bad(b, &t->failover, t, "trunks[%u].failover: is the trunk itself", i);
    }
}

/* Sets the place of what a target names. */
static bool target_resolve(const struct config *c, struct config_target *t)
{
    struct config_target found;
    switch (t->kind) {
    case CONF_TARGET_TRUNK:
        found = config_index_find(c, CONF_INDEX_TRUNK, t->name);
        break;
    case CONF_TARGET_BOT:
        found = config_index_find(c, CONF_INDEX_BOT, t->name);
        break;
    case CONF_TARGET_EXTENSION:
    case CONF_TARGET_GROUP:
    case CONF_TARGET_CONFERENCE:
        found = config_index_find(c, CONF_INDEX_NUMBER, t->name);
        break;
    default:
        return true;
    }
    t->index = found.index;
    return found.kind == t->kind;
}

static void route_check(struct config_binder *b, uint32_t i)
{
    struct config_route *r = &b->config->routes[i];
    static const char *const name[] = {"",           "trunk", "extension", "group",
                                       "conference", "bot",   "reject"};
    if (!target_resolve(b->config, &r->from))
        bad(b, &r->from, r, "routes[%u].from: there is no %s \"" STR_FMT "\"", i,
            name[r->from.kind], STR_ARG(r->from.name));
    else if (r->from.kind > CONF_TARGET_EXTENSION)
        bad(b, &r->from, r, "routes[%u].from: must be trunk:NAME or extension:NUMBER", i);
    if (!target_resolve(b->config, &r->to))
        bad(b, &r->to, r, "routes[%u].to: there is no %s \"" STR_FMT "\"", i, name[r->to.kind],
            STR_ARG(r->to.name));
}

static void conference_check(struct config_binder *b, uint32_t i)
{
    const struct config_conference *o = &b->config->conferences[i];
    if (o->moderator_pin.n && str_eq(o->moderator_pin, o->pin))
        bad(b, &o->moderator_pin, o, "conferences[%u].moderator_pin: must not be the pin", i);
    if (o->wait_for_moderator && !o->moderator_pin.n)
        bad(b, &o->wait_for_moderator, o, "conferences[%u].wait_for_moderator: needs moderator_pin",
            i);
}

/* A bot in somebody's place. `owner` is the struct of that one, `what` names it. */
struct stand_in {
    const void *owner;
    const char *what;
    uint32_t i;
    const struct str *bot, *hours;
    const struct config_choices *when;
};

static void stand_in_check(struct config_binder *b, const struct stand_in *s)
{
    bool by_hours = config_bot_when(s->when, CONF_BOT_OUT_OF_HOURS);
    if (s->bot->n && !config_find_bot(b->config, *s->bot))
        bad(b, s->bot, s->owner, "%s[%u].bot: there is no bot \"" STR_FMT "\"", s->what, s->i,
            STR_ARG(*s->bot));
    if (!s->bot->n && config_given(b, s->when))
        bad(b, s->when, s->owner, "%s[%u].bot_when: needs bot", s->what, s->i);
    if (s->hours->n && !config_find_schedule(b->config, *s->hours))
        bad(b, s->hours, s->owner, "%s[%u].hours: there is no schedule \"" STR_FMT "\"", s->what,
            s->i, STR_ARG(*s->hours));
    else if (s->bot->n && by_hours && !s->hours->n)
        bad(b, s->when, s->owner, "%s[%u].bot_when: out_of_hours needs hours", s->what, s->i);
}

static void schedule_check(struct config_binder *b, uint32_t i)
{
    const struct config_schedule *s = &b->config->schedules[i];
    if (config_find_schedule(b->config, s->name) != s)
        bad(b, &s->name, s, "schedules[%u].name: \"" STR_FMT "\" is taken", i, STR_ARG(s->name));
    for (uint32_t k = 0; k < s->hours.n; k++)
        if (!clock_is_hours(s->hours.v[k]))
            bad(b, &s->hours, s,
                "schedules[%u].hours: must be like mon-fri 09:00-18:00, not \"" STR_FMT "\"", i,
                STR_ARG(s->hours.v[k]));
    for (uint32_t k = 0; k < s->closed.n; k++)
        if (!clock_is_date(s->closed.v[k]))
            bad(b, &s->closed, s, "schedules[%u].closed: \"" STR_FMT "\" is no date YYYY-MM-DD", i,
                STR_ARG(s->closed.v[k]));
    if (s->time_zone.n && !clock_is_zone(s->time_zone))
        bad(b, &s->time_zone, s,
            "schedules[%u].time_zone: must be the time ahead of UTC, like +09:00 or -03:30", i);
}

/* What an action of a bot names must be there. NULL: all is well. */
static const char *goal_wrong(const struct config *c, struct str text, bool may_repeat)
{
    struct bot_goal goal;
    if (bot_goal_parse(&goal, text) || (!may_repeat && goal.does == BOT_DO_LISTEN))
        return may_repeat
                   ? "must be transfer:NUMBER, voicemail:EXTENSION, message, repeat or hangup"
                   : "must be transfer:NUMBER, voicemail:EXTENSION, message or hangup";
    if (goal.does != BOT_DO_MAILBOX)
        return NULL;
    const struct config_extension *e = config_find_extension(c, goal.to);
    return !e              ? "there is no such extension"
           : !e->voicemail ? "that extension has no mailbox"
                           : NULL;
}

/* Letters, and what stands between words. */
static bool is_english(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || strchr(" '-,.!?", c)))
            return false;
    }
    return s.n != 0;
}

static bool has_word(const struct config_menu_item *m, struct str word)
{
    for (uint32_t n = 0; n < m->words.n; n++)
        if (str_ieq(str_trim(m->words.v[n]), str_trim(word)))
            return true;
    return false;
}

static void words_check(struct config_binder *b, const struct config_bot *o, uint32_t i, uint32_t k)
{
    const struct config_menu_item *m = &o->menu[k];
    for (uint32_t n = 0; o->engine == CONF_ENGINE_BUILTIN && n < m->words.n; n++)
        if (!is_english(m->words.v[n]))
            bad(b, &m->words, m, "bots[%u].menu[%u].words: engine builtin knows English words", i,
                k);
    for (uint32_t n = 0; n < m->words.n; n++)
        for (uint32_t j = 0; j < k; j++)
            if (has_word(&o->menu[j], m->words.v[n]))
                bad(b, &m->words, m,
                    "bots[%u].menu[%u].words: \"" STR_FMT "\" is among those of menu[%u]", i, k,
                    STR_ARG(m->words.v[n]), j);
}

static void menu_check(struct config_binder *b, const struct config_bot *o, uint32_t i)
{
    uint64_t seen = 0;
    uint32_t words = 0;
    static const char keys[] = "0123456789*#";
    for (uint32_t k = 0; k < o->n_menu; k++) {
        const struct config_menu_item *m = &o->menu[k];
        const char *key = m->key.n ? strchr(keys, m->key.p[0]) : NULL, *wrong;
        if (m->key.n && !key)
            bad(b, &m->key, m, "bots[%u].menu[%u].key: must be 0 to 9, * or #", i, k);
        else if (key && (seen >> (key - keys) & 1))
            bad(b, &m->key, m, "bots[%u].menu[%u].key: \"%c\" is taken", i, k, *key);
        seen |= key ? (uint64_t)1 << (key - keys) : 0;
        wrong = goal_wrong(b->config, m->does, true);
        if (wrong)
            bad(b, &m->does, m, "bots[%u].menu[%u].do: %s", i, k, wrong);
        words += m->words.n;
        if (words <= BOTLINK_PHRASES)
            words_check(b, o, i, k);
        else if (words - m->words.n <= BOTLINK_PHRASES)
            bad(b, &m->words, m, "bots[%u].menu[%u].words: at most %u in a menu", i, k,
                BOTLINK_PHRASES);
    }
}

static bool is_sip_uri(struct str s)
{
    struct sip_uri uri;
    return sip_uri_parse(&uri, s) == 0 && uri.host.n &&
           (uri.scheme == SIP_SCHEME_SIP || uri.scheme == SIP_SCHEME_SIPS);
}

/* Who writes what belongs to an engine and names none has forgotten it. What is left of another one
 * does no harm. */
static void engine_check(struct config_binder *b, const struct config_bot *o, uint32_t i)
{
    bool chosen = config_given(b, &o->engine);
    if (o->url.n && !chosen)
        bad(b, &o->url, o, "bots[%u].url: needs engine: stream", i);
    if (o->server.n && !chosen)
        bad(b, &o->server, o, "bots[%u].server: needs engine: mrcp", i);
    if (o->account.n && o->engine == CONF_ENGINE_STREAM && !twilio_sid_is(o->account, "AC"))
        bad(b, &o->account, o, "bots[%u].account: must be AC and 32 hexadecimal digits", i);
}

static void stream_check(struct config_binder *b, const struct config_bot *o, uint32_t i)
{
    struct bot_url url;
    if (o->engine != CONF_ENGINE_STREAM)
        return;
    if (bot_url_parse(&url, o->url, o->protocol == CONF_PROTOCOL_AUDIOSOCKET))
        bad(b, &o->url, o, "bots[%u].url: %s", i, url.why);
    if (o->protocol == CONF_PROTOCOL_TWILIO && o->rate != CONF_RATE_8000)
        bad(b, &o->rate, o, "bots[%u].rate: protocol twilio has 8000", i);
}

static void bot_check(struct config_binder *b, uint32_t i)
{
    const struct config_bot *o = &b->config->bots[i];
    const char *wrong = goal_wrong(b->config, o->fallback, false);
    if (i >= CONFIG_MAX_BOTS)
        bad(b, &o->name, o, "bots: at most %u", CONFIG_MAX_BOTS);
    if (wrong)
        bad(b, &o->fallback, o, "bots[%u].fallback: %s", i, wrong);
    menu_check(b, o, i);
    engine_check(b, o, i);
    stream_check(b, o, i);
    if (o->engine == CONF_ENGINE_MRCP && !is_sip_uri(o->server))
        bad(b, &o->server, o, "bots[%u].server: engine mrcp needs a sip: or sips: URI", i);
    if (o->server_password.secret.n && !o->server_user.n)
        bad(b, &o->server_user, o, "bots[%u].server_user: a password needs one", i);
}

/* Who has one. */
static void bots_check(struct config_binder *b)
{
    const struct config *c = b->config;
    for (uint32_t i = 0; i < c->n_schedules; i++)
        schedule_check(b, i);
    for (uint32_t i = 0; i < c->n_extensions; i++) {
        const struct config_extension *e = &c->extensions[i];
        struct stand_in s = {e, "extensions", i, &e->bot, &e->hours, &e->bot_when};
        stand_in_check(b, &s);
    }
    for (uint32_t i = 0; i < c->n_groups; i++) {
        const struct config_group *g = &c->groups[i];
        struct stand_in s = {g, "groups", i, &g->bot, &g->hours, &g->bot_when};
        stand_in_check(b, &s);
    }
}

void config_check(struct config_binder *b)
{
    struct config *c = b->config;
    timers_derive(b);
    limits_derive(b);
    timers_check(b);
    sip_check(b);
    dns_check(b);
    others_check(b);
    names_derive(b);
    config_index_build(b);
    if (b->out_of_memory)
        return;
    for (uint32_t i = 0; i < c->n_extensions; i++)
        extension_check(b, i);
    for (uint32_t i = 0; i < c->n_groups; i++)
        group_check(b, i);
    for (uint32_t i = 0; i < c->n_trunks; i++)
        trunk_check(b, i);
    for (uint32_t i = 0; i < c->n_routes; i++)
        route_check(b, i);
    for (uint32_t i = 0; i < c->n_conferences; i++)
        conference_check(b, i);
    for (uint32_t i = 0; i < c->n_bots; i++)
        bot_check(b, i);
    bots_check(b);
}
