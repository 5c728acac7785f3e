#include "pbx/feature/queue.h"

#include "pbx/feature/setting.h"
#include "pbx/registrar.h"

#define TELL_AGAIN_US (55 * USEC_S) /* RFC 3261 13.3.1.1: a provisional at least every minute */

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
    d->queued_at = p->now;
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

static bool is_free(struct pbx *p, const struct config_extension *e, usec_t *idle_since)
{
    const struct binding *b;
    return extension_is_idle(p, e, idle_since) && !setting_get(p, e, SETTING_DND).n &&
           !setting_get(p, e, SETTING_FORWARD_ALWAYS).n && registrar_find(p, e, &b, 1);
}

static bool is_owner(struct pbx *p, const struct dial *d, const struct config_extension *e)
{
    const struct leg *owner = leg_find(p, d->owner);
    return owner->extension && str_eq(owner->extension->number, e->number);
}

/* The free member that has been idle longest; NULL. */
static const struct config_extension *next_member(struct pbx *p, const struct dial *d)
{
    const struct config_extension *best = NULL;
    usec_t since, best_since = 0;
    for (unsigned i = 0; i < d->queue->members.n; i++) {
        const struct config_extension *e = config_find_extension(d->config, d->queue->members.v[i]);
        if (!e || is_owner(p, d, e) || !is_free(p, e, &since) || (best && since >= best_since))
            continue;
        best = e;
        best_since = since;
    }
    return best;
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
    struct target member = {.kind = TARGET_EXTENSION,
                            .of_group = true,
                            .ring = d->queue->ring_time_ms * USEC_MS,
                            .extension = e};
    extension_used(p, e); /* who does not answer is the last to be tried again */
    target_start(p, d, &member);
}

/* ---- time ------------------------------------------------------------------------------------ */

usec_t queue_patience(const struct pbx *p, const struct dial *d)
{
    usec_t end = d->queued_at + d->queue->queue_timeout_ms * USEC_MS;
    usec_t left = end > p->now ? end - p->now : 0;
    usec_t next = d->ring ? d->ring : TELL_AGAIN_US;
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

void queue_woken(struct pbx *p, struct pbx_timer *t)
{
    handle_t waiting[64];
    unsigned n = 0;
    list_each(node, &p->calls->waiting)
    {
        if (n < ARRAY_LEN(waiting))
            waiting[n++] = dial_at(node)->self;
    }
    for (unsigned i = 0; i < n; i++) {
        struct dial *d = slot_find(&p->calls->dials, waiting[i]);
        if (d && queue_waits(d))
            dial_run(p, d);
    }
}
