/* Subscriptions: their table, their lives and their NOTIFYs. */
#include "pbx/subscription_int.h"

#include "base/mem.h"
#include "pbx/call_int.h"
#include "pbx/feature/conference.h"
#include "pbx/feature/mwi.h"

#define FAREWELL          0xFFFFFFFFull   /* user number of a last NOTIFY: no slot has it */
#define FAREWELL_PATIENCE (600 * USEC_MS) /* a phone that is there has answered the second one */
#define NO_ROOM           (5 * USEC_S) /* until a NOTIFY is tried again that found no transaction */
#define RETRY_MAX_S       86400u

static const struct event_package *const packages[] = {&mwi_package, &conference_package};

const struct event_package *subscription_package(struct str name)
{
    for (unsigned i = 0; i < ARRAY_LEN(packages); i++)
        if (str_eq(packages[i]->name, name)) /* byte by byte: RFC 6665 section 8.2.1 */
            return packages[i];
    return NULL;
}

struct str subscription_events(const struct pbx *p)
{
    return str_z(p->subscriptions->events);
}

/* ---- the table ------------------------------------------------------------------------------- */

static uint64_t resource_hash(const struct subscriptions *all, const struct event_package *package,
                              struct str resource)
{
    return hash_str(&all->by_resource, resource) ^ hash_str(&all->by_resource, package->name);
}

/* Every text that a subscription owns, for whoever copies or frees them all. */
#define TEXTS 10
static void list_texts(struct subscription *s, struct str *ret[TEXTS])
{
    struct str *texts[TEXTS] = {&s->call_id, &s->local, &s->remote, &s->local_tag, &s->remote_tag,
                                &s->target,  &s->route, &s->owner,  &s->resource,  &s->event_id};
    memcpy(ret, texts, sizeof(texts));
}

static int keep_texts(struct pbx *p, struct subscription *s, const struct subscription_texts *t)
{
    const struct str from[TEXTS] = {t->call_id, t->local, t->remote, t->local_tag, t->remote_tag,
                                    t->target,  t->route, t->owner,  t->resource,  t->event_id};
    struct str *to[TEXTS];
    int err = 0;
    list_texts(s, to);
    for (unsigned i = 0; i < TEXTS; i++)
        err |= pbx_keep(p, to[i], from[i]);
    return err;
}

static void free_texts(struct pbx *p, struct subscription *s)
{
    struct str *text[TEXTS];
    int err = 0;
    list_texts(s, text);
    for (unsigned i = 0; i < TEXTS; i++)
        err |= pbx_keep(p, text[i], STR_NONE);
    BUG_ON(err); /* freeing cannot fail */
}

static void expired(struct pbx *p, struct pbx_timer *t)
{
    subscription_end(p, container_of(t, struct subscription, expiry), SUBSCRIPTION_TIMEOUT);
}

static void send(struct pbx *p, struct subscription *s);

static void later(struct pbx *p, struct pbx_timer *t)
{
    send(p, container_of(t, struct subscription, later));
}

struct subscription *subscription_new(struct pbx *p, const struct event_package *package,
                                      const struct subscription_texts *t)
{
    struct subscriptions *all = p->subscriptions;
    handle_t h;
    if (all->slots.used >= p->config->limits.subscriptions)
        return NULL;
    struct subscription *s = slot_take(&all->slots, &h);
    if (!s)
        return NULL;
    if (keep_texts(p, s, t)) {
        free_texts(p, s);
        slot_put(&all->slots, h);
        return NULL;
    }
    s->self = h;
    s->package = package;
    s->expiry.fire = expired;
    s->later.fire = later;
    hash_put(&all->by_tag, &s->by_tag, hash_str(&all->by_tag, s->local_tag));
    hash_put(&all->by_owner, &s->by_owner, hash_str(&all->by_owner, s->owner));
    hash_put(&all->by_resource, &s->by_resource, resource_hash(all, package, s->resource));
    return s;
}

void subscription_free(struct pbx *p, struct subscription *s)
{
    struct subscriptions *all = p->subscriptions;
    pbx_timer_stop(p, &s->expiry);
    pbx_timer_stop(p, &s->later);
    hash_remove(&all->by_tag, &s->by_tag);
    hash_remove(&all->by_owner, &s->by_owner);
    hash_remove(&all->by_resource, &s->by_resource);
    free_texts(p, s);
    all->inside -= s->leg != 0;
    slot_put(&all->slots, s->self);
}

uint32_t subscription_count(const struct pbx *p)
{
    return p->subscriptions->slots.used;
}

uint32_t subscription_count_by(const struct pbx *p, struct str owner)
{
    const struct hash_table *t = &p->subscriptions->by_owner;
    uint32_t n = 0;
    hash_each(node, t, hash_str(t, owner)) n +=
        str_eq(container_of(node, struct subscription, by_owner)->owner, owner);
    return n;
}

/* ---- a NOTIFY -------------------------------------------------------------------------------- */

static void put_state(struct buf *b, const struct subscription *s, usec_t now)
{
    static const char *const reasons[] = {[SUBSCRIPTION_TIMEOUT] = "timeout",
                                          [SUBSCRIPTION_NORESOURCE] = "noresource",
                                          [SUBSCRIPTION_DEACTIVATED] = "deactivated",
                                          [SUBSCRIPTION_PROBATION] = "probation"};
    if (s->ending) {
        buf_lit(b, "terminated;reason=");
        buf_z(b, reasons[s->ending]);
    } else {
        buf_lit(b, "active;expires=");
        buf_u64(b, s->expires_at > now ? (s->expires_at - now + USEC_S - 1) / USEC_S : 0);
    }
}

/* The Event of the SUBSCRIBE with its id: RFC 6665 section 4.2.2. */
static struct str event_of(struct pbx *p, const struct subscription *s)
{
    struct buf b;
    size_t cap = s->package->name.n + s->event_id.n + 4;
    char *mem = s->event_id.n ? arena_take(&p->turn, cap) : NULL;
    if (!mem)
        return s->package->name;
    buf_init(&b, mem, cap);
    buf_str_put(&b, s->package->name);
    buf_lit(&b, ";id=");
    buf_str_put(&b, s->event_id);
    return buf_str(&b);
}

/* Who has lost the resource or the right to it learns no more about it. It holds until the next
 * one: one turn may write to thousands of watchers. -EMSGSIZE. */
static int write_body(struct pbx *p, const struct subscription *s, struct subscription_view *view,
                      struct str *ret)
{
    struct buf b;
    *ret = STR_NONE;
    if (s->ending > SUBSCRIPTION_TIMEOUT)
        return 0;
    size_t cap = p->subscriptions->body_max;
    buf_init(&b, p->subscriptions->body, s->package->body_max < cap ? s->package->body_max : cap);
    s->package->body(p, view, &b);
    if (b.n)
        *ret = buf_str(&b);
    return b.full ? -EMSGSIZE : 0;
}

static int send_notify(struct pbx *p, struct subscription *s, const struct sip_content *content)
{
    uint64_t user = pbx_user(PBX_USER_SUBSCRIPTION, s->ending ? FAREWELL : s->self);
    const struct leg *leg = leg_find(p, s->leg);
    handle_t h;
    if (s->leg)
        return !leg || !leg->session
                   ? -ENOENT
                   : sip_session_request(p->core, p->now, leg->session, SIP_NOTIFY, content, user);
    struct sip_request_cmd cmd = {
        .method = SIP_NOTIFY,
        .in_dialog = true,
        .to = s->flow,
        .pinned = s->pinned,
        .ruri = s->target,
        .route = s->route,
        .from = s->local,
        .from_tag = s->local_tag,
        .to_hdr = s->remote,
        .call_id = s->call_id,
        .cseq = s->local_cseq + 1,
        .contact = STR(""), /* no user, our address */
        .user = user,
        .content = *content,
    };
    int err = sip_request(p->core, p->now, &cmd, &h);
    if (!err)
        s->local_cseq++;
    return err;
}

static int notify(struct pbx *p, struct subscription *s)
{
    char mem[64];
    struct buf state;
    struct str body;
    struct subscription_view view = {.resource = s->resource,
                                     .subscriber = s->owner,
                                     .version = s->version + 1,
                                     .full = s->full,
                                     .mark = s->mark};
    int err = write_body(p, s, &view, &body);
    if (err)
        return err;
    buf_init(&state, mem, sizeof(mem));
    put_state(&state, s, p->now);
    struct sip_field field[] = {
        {.id = SIP_H_EVENT, .value = event_of(p, s)},
        {.id = SIP_H_SUBSCRIPTION_STATE, .value = buf_str(&state)},
    };
    struct sip_content content = {.field = field,
                                  .n_fields = ARRAY_LEN(field),
                                  .type = body.p ? s->package->type : STR_NONE,
                                  .body = body};
    err = send_notify(p, s, &content);
    if (err)
        return err;
    s->version = view.version;
    s->mark = view.mark;
    s->full = s->changed = false;
    return 0;
}

static void say_ended(struct pbx *p, const struct subscription *s, struct str reason)
{
    trace_emit(&p->trace, TRACE_UNSUBSCRIBED, 0, TS(s->owner), TS(s->package->name), TS(reason));
}

/* The last word; if it cannot be said, the subscriber learns it by its next SUBSCRIBE. */
static void farewell(struct pbx *p, struct subscription *s)
{
    s->full = true;
    if (!notify(p, s))
        p->subscriptions->farewells++;
    subscription_free(p, s);
}

static void send(struct pbx *p, struct subscription *s)
{
    pbx_timer_stop(p, &s->later);
    int err = notify(p, s);
    if (!err) {
        s->in_flight = true;
        s->not_before = p->now + s->package->interval;
    } else if (err == -EAGAIN) { /* no transaction is free: it need not be so in a while */
        pbx_timer_start(p, &s->later, NO_ROOM);
    } else {
        subscription_end(p, s, SUBSCRIPTION_PROBATION);
    }
}

void subscription_tell(struct pbx *p, struct subscription *s, bool full)
{
    s->changed = true;
    s->full |= full;
    if (s->ending || s->in_flight)
        return;
    if (full || s->not_before <= p->now)
        send(p, s);
    else if (!timer_armed(&s->later.timer))
        pbx_timer_start(p, &s->later, s->not_before - p->now);
}

void subscription_end(struct pbx *p, struct subscription *s, enum subscription_ending why)
{
    static const struct str words[] = {
        [SUBSCRIPTION_LIVES] = STR_INIT("given up"),
        [SUBSCRIPTION_TIMEOUT] = STR_INIT("expired"),
        [SUBSCRIPTION_NORESOURCE] = STR_INIT("nothing to tell any more"),
        [SUBSCRIPTION_DEACTIVATED] = STR_INIT("deactivated"),
        [SUBSCRIPTION_PROBATION] = STR_INIT("cannot be told"),
    };
    if (s->ending)
        return;
    s->ending = (uint8_t)why;
    pbx_timer_stop(p, &s->expiry);
    pbx_timer_stop(p, &s->later);
    bool early = why == SUBSCRIPTION_TIMEOUT && s->expires_at > p->now;
    if (s->expires_at) /* a fetch has none */
        say_ended(p, s, words[early ? SUBSCRIPTION_LIVES : why]);
    if (!s->in_flight)
        farewell(p, s);
}

void subscription_live(struct pbx *p, struct subscription *s, uint32_t seconds)
{
    s->expires_at = p->now + seconds * USEC_S;
    pbx_timer_start(p, &s->expiry, seconds * USEC_S);
}

/* ---- its answer ------------------------------------------------------------------------------ */

static struct subscription *of_user(struct pbx *p, uint64_t user)
{
    const struct slot_table *t = &p->subscriptions->slots;
    uint32_t i = (uint32_t)pbx_user_number(user) - 1;
    if (i >= t->fresh || !(t->gen[i] & 1))
        return NULL;
    struct subscription *s = (void *)(t->mem + (size_t)i * t->item_bytes);
    return pbx_user(PBX_USER_SUBSCRIPTION, s->self) == user ? s : NULL;
}

/* RFC 6665 section 4.2.2: these responses end the subscription whatever else they say. */
static bool is_final(const struct sip_out *o)
{
    unsigned s = o->status;
    return !o->msg || s == 404 || s == 405 || s == 408 || s == 410 || s == 416 ||
           (s >= 480 && s <= 485) || s == 489 || s == 501 || s == 604;
}

/* Any other one is final, too, unless it says when to try again. */
static void failed(struct pbx *p, struct subscription *s, const struct sip_out *o)
{
    char mem[24];
    struct buf reason;
    uint32_t wait_s = is_final(o) ? 0 : pbx_retry_after(o->msg);
    if (wait_s && !s->ending) {
        usec_t wait = (wait_s < RETRY_MAX_S ? wait_s : RETRY_MAX_S) * USEC_S;
        s->full = true;
        s->not_before = p->now + (wait > s->package->interval ? wait : s->package->interval);
        subscription_tell(p, s, false);
        return;
    }
    buf_init(&reason, mem, sizeof(mem));
    buf_lit(&reason, "NOTIFY: ");
    buf_u64(&reason, o->status);
    if (!s->ending)
        say_ended(p, s, buf_str(&reason));
    subscription_free(p, s);
}

void subscription_rx_response(struct pbx *p, const struct sip_out *o)
{
    if (o->status < 200)
        return;
    if (pbx_user_number(o->user) == FAREWELL) {
        p->subscriptions->farewells--;
        return;
    }
    struct subscription *s = of_user(p, o->user);
    if (!s)
        return;
    s->in_flight = false;
    if (o->status >= 300)
        failed(p, s, o);
    else if (s->ending)
        farewell(p, s);
    else if (s->changed)
        subscription_tell(p, s, s->full);
}

/* ---- what packages say ----------------------------------------------------------------------- */

/* Walks the subscriptions to a resource, NULL at first and at the end; the one before may be gone
 * only when its successor is known. */
static struct subscription *next_of(const struct pbx *p, const struct event_package *package,
                                    struct str resource, const struct subscription *after)
{
    const struct subscriptions *all = p->subscriptions;
    struct hash_node *node =
        after ? hash_again((struct hash_node *)(uintptr_t)&after->by_resource)
              : hash_first(&all->by_resource, resource_hash(all, package, resource));
    for (; node; node = hash_again(node)) {
        struct subscription *s = container_of(node, struct subscription, by_resource);
        if (s->package == package && str_eq(s->resource, resource))
            return s;
    }
    return NULL;
}

void subscription_changed(struct pbx *p, const struct event_package *package, struct str resource)
{
    struct subscription *s = next_of(p, package, resource, NULL), *next;
    for (; s; s = next) {
        next = next_of(p, package, resource, s);
        subscription_tell(p, s, false);
    }
}

bool subscription_tells(const struct pbx *p, const struct event_package *package,
                        struct str resource, struct str contact, const struct addr *at)
{
    const struct subscription *s = NULL;
    while ((s = next_of(p, package, resource, s)))
        if (!s->ending && (str_eq(s->target, contact) || (at && addr_eq(&s->flow.peer, at))))
            return true;
    return false;
}

void subscription_end_of(struct pbx *p, const struct event_package *package, struct str resource,
                         struct str owner)
{
    struct subscription *s = next_of(p, package, resource, NULL), *next;
    for (; s; s = next) {
        next = next_of(p, package, resource, s);
        if (!owner.n || str_eq(s->owner, owner))
            subscription_end(p, s, SUBSCRIPTION_NORESOURCE);
    }
}

void subscription_end_all(struct pbx *p, const struct event_package *package, struct str resource)
{
    subscription_end_of(p, package, resource, STR_NONE);
}

void subscription_leg_over(struct pbx *p, const struct leg *leg)
{
    uint32_t at = 0;
    handle_t h, gone = slot_handle(&p->calls->legs, leg);
    struct subscription *s;
    while (p->subscriptions->inside && (s = slot_next(&p->subscriptions->slots, &at, &h)))
        if (s->leg == gone) {
            say_ended(p, s, STR("its call is over"));
            subscription_free(p, s);
        }
}

/* ---- life ------------------------------------------------------------------------------------ */

static void list_events(struct subscriptions *all)
{
    struct buf b;
    buf_init(&b, all->events, sizeof(all->events) - 1);
    for (unsigned i = 0; i < ARRAY_LEN(packages); i++) {
        buf_str_put(&b, packages[i]->name);
        buf_lit(&b, ", ");
    }
    buf_lit(&b, "refer"); /* of feature/notify.c */
}

int subscription_init(struct pbx *p)
{
    struct subscriptions *all = mem_zero(sizeof(*all));
    uint32_t cap = p->config->limits.subscriptions;
    if (!all)
        return -ENOMEM;
    p->subscriptions = all;
    cap = cap ? cap : 1; /* with a limit of 0 none is made */
    list_events(all);
    for (unsigned i = 0; i < ARRAY_LEN(packages); i++)
        if (packages[i]->body_max > all->body_max)
            all->body_max = packages[i]->body_max;
    all->body = mem_alloc(all->body_max);
    if (!all->body || slot_init(&all->slots, sizeof(struct subscription), cap) ||
        hash_init(&all->by_tag, cap, rand_u64(&p->rand)) ||
        hash_init(&all->by_resource, cap, rand_u64(&p->rand)) ||
        hash_init(&all->by_owner, cap, rand_u64(&p->rand)))
        return -ENOMEM;
    return 0;
}

void subscription_done(struct pbx *p)
{
    struct subscriptions *all = p->subscriptions;
    uint32_t at = 0;
    handle_t h;
    struct subscription *s;
    if (!all)
        return;
    pbx_timer_stop(p, &all->patience);
    while (all->slots.mem && (s = slot_next(&all->slots, &at, &h)))
        subscription_free(p, s);
    if (all->by_owner.bucket)
        hash_done(&all->by_owner);
    if (all->by_resource.bucket)
        hash_done(&all->by_resource);
    if (all->by_tag.bucket)
        hash_done(&all->by_tag);
    if (all->slots.mem)
        slot_done(&all->slots);
    mem_free(all->body);
    mem_free(all);
    p->subscriptions = NULL;
}

void subscription_reload(struct pbx *p)
{
    uint32_t at = 0;
    handle_t h;
    struct subscription *s;
    while ((s = slot_next(&p->subscriptions->slots, &at, &h)))
        if (!config_find_extension(p->config, s->owner))
            subscription_end(p, s, SUBSCRIPTION_DEACTIVATED);
}

static void give_up(struct pbx *p, struct pbx_timer *t)
{
    (void)t;
    p->subscriptions->impatient = true;
}

/* There is no time to wait for the answers to what is under way, and little for those to the last
 * word: it goes out twice. */
void subscription_shutdown(struct pbx *p)
{
    uint32_t at = 0;
    handle_t h;
    struct subscription *s;
    while ((s = slot_next(&p->subscriptions->slots, &at, &h))) {
        s->in_flight = false;
        if (s->ending)
            farewell(p, s);
        else
            subscription_end(p, s, SUBSCRIPTION_DEACTIVATED);
    }
    p->subscriptions->patience.fire = give_up;
    if (p->subscriptions->farewells)
        pbx_timer_start(p, &p->subscriptions->patience, FAREWELL_PATIENCE);
}

bool subscription_is_idle(const struct pbx *p)
{
    return p->subscriptions->farewells == 0 || p->subscriptions->impatient;
}

bool subscription_next(const struct pbx *p, uint32_t *at, struct subscription_shown *ret)
{
    handle_t h;
    const struct subscription *s = slot_next(&p->subscriptions->slots, at, &h);
    if (!s)
        return false;
    usec_t left = s->expires_at > p->now ? s->expires_at - p->now : 0;
    *ret = (struct subscription_shown){.event = s->package->name,
                                       .resource = s->resource,
                                       .subscriber = s->owner,
                                       .contact = s->target,
                                       .source = s->flow.peer,
                                       .proto = s->flow.proto,
                                       .expires_s = (uint32_t)(left / USEC_S),
                                       .notifies = s->version,
                                       .waiting = s->in_flight};
    return true;
}
