#include "pbx/feature/queue.h"

#include "pbx/feature/setting.h"
#include "pbx/registrar.h"

#define TELL_AGAIN_US (55 * USEC_S) /* RFC 3261 13.3.1.1: a provisional at least every minute */
#define REST_US       (10 * USEC_S) /* for a member that has refused */

bool queue_waits(const struct dial *d)
{
    return d->in_queue.next != NULL;
}

static struct dial *dial_at(struct list *node)
{
    return container_of(node, struct dial, in_queue);
}

static bool same_queue(const struct dial *a, const struct config_group *g)
{
    return str_eq(a->queue->number, g->number); /* across reloads */
}

static unsigned ahead_of(struct pbx *p, const struct dial *d)
{
    unsigned n = 0;
    list_each(node, &p->calls->waiting)
    {
        if (dial_at(node) == d)
            break;
        n += same_queue(dial_at(node), d->queue);
    }
    return n;
}

static void tell(struct pbx *p, struct dial *d)
{
    char mem[64];
    struct buf reason;
    unsigned ahead = ahead_of(p, d);
    struct leg *owner = leg_find(p, d->owner);
    buf_init(&reason, mem, sizeof(mem));
    buf_lit(&reason, "Queued, ");
    buf_u64(&reason, ahead);
    buf_lit(&reason, " ahead");
    struct sip_answer a = {.status = 182, .reason = buf_str(&reason)};
    d->place = (uint16_t)ahead;
    d->told_at = p->now;
    if (d->purpose == DIAL_CALL)
        sip_progress(p->core, p->now, owner->session, &a);
}

bool queue_enter(struct pbx *p, struct dial *d, const struct config_group *g)
{
    unsigned n = 0;
    list_each(node, &p->calls->waiting) n += same_queue(dial_at(node), g);
    if (n >= g->queue_length)
        return false;
    d->queue = g;
    d->queued_at = d->told_at = p->now;
    d->place = UINT16_MAX;
    list_append(&p->calls->waiting, &d->in_queue);
    return true;
}

void queue_leave(struct pbx *p, struct dial *d)
{
    if (!queue_waits(d))
        return;
    list_remove(&d->in_queue);
    queue_wake(p); /* the others have moved up */
}

/* ---- members --------------------------------------------------------------------------------- */

static bool is_owner(struct pbx *p, const struct dial *d, const struct config_extension *e)
{
    const struct leg *owner = leg_find(p, d->owner);
    return owner->extension && str_eq(owner->extension->number, e->number);
}

/* When it may be rung; USEC_NEVER: something else must happen first. */
static usec_t free_at(struct pbx *p, const struct dial *d, const struct config_extension *e)
{
    const struct binding *b;
    const struct extension_use *use = extension_use(p, e);
    if (!use || use->legs || is_owner(p, d, e) || setting_get(p, e, SETTING_DND).n ||
        setting_get(p, e, SETTING_FORWARD_ALWAYS).n || !registrar_find(p, e, &b, 1))
        return USEC_NEVER;
    usec_t rested = use->idle_since ? use->idle_since + d->queue->wrap_up_ms * USEC_MS : 0;
    return rested > use->rests_until ? rested : use->rests_until;
}

static const struct config_extension *member(const struct dial *d, unsigned i)
{
    return config_find_extension(d->config, d->queue->members.v[i]);
}

/* The free member that has been idle longest; NULL. */
static const struct config_extension *next_member(struct pbx *p, const struct dial *d)
{
    const struct config_extension *best = NULL;
    usec_t best_since = 0;
    for (unsigned i = 0; i < d->queue->members.n; i++) {
        const struct config_extension *e = member(d, i);
        if (!e || free_at(p, d, e) > p->now)
            continue;
        usec_t since = extension_use(p, e)->idle_since;
        if (best && since >= best_since)
            continue;
        best = e;
        best_since = since;
    }
    return best;
}

/* Until the next member that rests may be rung again. */
static usec_t rest_left(struct pbx *p, const struct dial *d)
{
    usec_t left = USEC_NEVER;
    for (unsigned i = 0; i < d->queue->members.n; i++) {
        const struct config_extension *e = member(d, i);
        usec_t at = e ? free_at(p, d, e) : USEC_NEVER;
        if (at > p->now && at != USEC_NEVER && at - p->now < left)
            left = at - p->now;
    }
    return left;
}

void queue_refused(struct pbx *p, const struct dial *d, const struct leg *leg)
{
    struct extension_use *use =
        queue_waits(d) && leg->extension ? extension_use(p, leg->extension) : NULL;
    if (use)
        use->rests_until = p->now + REST_US;
}

/* Is somebody in front of it who has no member yet? */
static bool must_wait(struct pbx *p, const struct dial *d)
{
    list_each(node, &p->calls->waiting)
    {
        struct dial *other = dial_at(node);
        if (other == d)
            break;
        if (same_queue(other, d->queue) && !dial_rings(p, other))
            return true;
    }
    return false;
}

void queue_serve(struct pbx *p, struct dial *d)
{
    const struct config_extension *e = must_wait(p, d) ? NULL : next_member(p, d);
    if (!e) {
        if (d->place != ahead_of(p, d) || p->now - d->told_at >= TELL_AGAIN_US)
            tell(p, d);
        return;
    }
    struct target t = {.kind = TARGET_EXTENSION,
                       .of_group = true,
                       .ring = d->queue->ring_time_ms * USEC_MS,
                       .extension = e};
    if (p->now - d->told_at + t.ring > TELL_AGAIN_US) /* the member may ring in silence */
        tell(p, d);
    extension_use(p, e)->idle_since = p->now; /* who does not answer is tried again last */
    target_start(p, d, &t);
}

/* ---- time ------------------------------------------------------------------------------------ */

usec_t queue_patience(struct pbx *p, const struct dial *d)
{
    usec_t end = d->queued_at + d->queue->queue_timeout_ms * USEC_MS;
    usec_t left = end > p->now ? end - p->now : 0, next = d->ring;
    if (!next) {
        usec_t told = p->now - d->told_at;
        usec_t tell = told < TELL_AGAIN_US ? TELL_AGAIN_US - told : TELL_AGAIN_US;
        usec_t rest = must_wait(p, d) ? USEC_NEVER : rest_left(p, d);
        next = rest < tell ? rest : tell;
    }
    return left < next ? left : next;
}

bool queue_timeout(struct pbx *p, struct dial *d)
{
    if (p->now < d->queued_at + d->queue->queue_timeout_ms * USEC_MS)
        return true;
    queue_leave(p, d);
    return false;
}

void queue_wake(struct pbx *p)
{
    struct calls *c = p->calls;
    if (!list_empty(&c->waiting) && !timer_armed(&c->wake.timer))
        pbx_timer_start(p, &c->wake, 0);
}

/* Of one group, while those who wait are gone through in order. */
struct seen {
    unsigned ahead;
    bool unserved; /* somebody in front has no member */
};

/* Is there something to be done for it: is it its turn, or has it moved up? */
static bool is_due(struct pbx *p, const struct dial *d, struct seen *seen)
{
    unsigned place = seen->ahead++;
    if (dial_rings(p, d))
        return false;
    bool first = !seen->unserved;
    seen->unserved = true;
    return first || place != d->place;
}

void queue_woken(struct pbx *p, struct pbx_timer *t)
{
    const struct config *c = p->config;
    size_t n = 0, n_due = 0;
    list_each(node, &p->calls->waiting) n++;
    struct seen *seen = arena_zero(&p->turn, (c->n_groups + 1) * sizeof(*seen));
    handle_t *due = arena_zero(&p->turn, (n + 1) * sizeof(*due));
    if (!seen || !due) {
        pbx_timer_start(p, t, USEC_S);
        return;
    }
    list_each(node, &p->calls->waiting)
    {
        const struct dial *d = dial_at(node);
        const struct config_group *g = config_find_group(c, d->queue->number);
        if (is_due(p, d, &seen[g ? (size_t)(g - c->groups) : c->n_groups]))
            due[n_due++] = d->self;
    }
    for (size_t i = 0; i < n_due; i++) {
        struct dial *d = slot_find(&p->calls->dials, due[i]);
        if (d && queue_waits(d))
            dial_run(p, d);
    }
}
