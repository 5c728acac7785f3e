/* What an engine without an end does with what is over: it is handed over, then forgotten, so that
 * memory follows what is live. A settling looks at all that is live; it is put off until something
 * may be over, and longer the more the last one has cost. */
#include <errno.h>

#include "analysis/engine_int.h"
#include "base/mem.h"

#define SECOND        1000000000ull
#define UNANSWERED_NS (300 * SECOND) /* RFC 3261 16.6: Timer C is a little more than 3 minutes */
#define UNHEARD_NS    (32 * SECOND)  /* Timer F: nobody waits for an answer any longer */
#define SILENT_NS     (30 * SECOND)  /* of streams that nobody signalled: pauses end before */
#define TRIM_FROM     1024 /* a table that was so large gives its memory back when empty */
#define SHARE         20   /* of its time, one part goes into settling, roughly */

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t after(uint64_t at_ns, uint64_t span_ns)
{
    return at_ns > AN_NEVER - span_ns ? AN_NEVER : at_ns + span_ns;
}

/* When a leg of a call is over if nothing more comes of it. */
static uint64_t call_leg_due(const struct an_leg *leg, uint64_t media_ns, const struct an_retire *r)
{
    if (leg->end_ns == AN_NEVER) {
        uint64_t idle =
            leg->answer_ns == AN_NEVER ? earlier(r->idle_ns, UNANSWERED_NS) : r->idle_ns;
        return after(later(leg->last_ns, media_ns), idle);
    }
    uint64_t end = later(leg->end_ns, leg->last_ns);
    /* A sender that never stops does not keep its call. */
    return earlier(after(later(end, media_ns), r->linger_ns),
                   after(end, later(r->idle_ns, r->linger_ns)));
}

/* Registrations and subscriptions stand from one message to the next; a question ends with its
 * answer. */
static uint64_t other_leg_due(const struct an_leg *leg, const struct an_retire *r)
{
    if (leg->kind == AN_LEG_REGISTER || leg->kind == AN_LEG_SUBSCRIBE)
        return after(leg->last_ns, later(r->idle_ns, r->linger_ns));
    return after(leg->last_ns, leg->final ? r->linger_ns : later(r->linger_ns, UNHEARD_NS));
}

/* ---- is it worth a settling? ----------------------------------------------------------------- */

static void leg_forget(struct an_engine *e, struct an_leg *leg)
{
    engine_past_hosts(e->past, leg);
    engine_leg_forget(e, leg);
}

/* Counts legs that may be over. Without media, what is no call is a leg and nothing else: it goes
 * at once. */
static uint32_t look(struct an_engine *e, const struct an_retire *r)
{
    uint32_t n_ripe = 0;
    list_each(node, &e->live)
    {
        struct an_leg *leg = container_of(node, struct an_leg, live);
        bool call = leg->kind == AN_LEG_CALL;
        uint64_t due = !call         ? other_leg_due(leg, r)
                       : leg->due_ns ? leg->due_ns
                                     : call_leg_due(leg, 0, r);
        if (due > r->now_ns)
            continue;
        if (!call && !leg->media) {
            leg_forget(e, leg);
            continue;
        }
        n_ripe++;
    }
    return n_ripe;
}

/* What a settling costs grows faster than what is live: the more, the longer until the next. */
static bool is_worth(const struct an_engine *e, const struct an_retire *r, uint32_t n_ripe)
{
    return n_ripe &&
           (r->now_ns >= after(e->retired_ns, e->cost_ns * SHARE) || r->now_ns < e->retired_ns);
}

/* ---- calls that are over --------------------------------------------------------------------- */

/* Notes in its legs when the call is over; ret_idle: nothing has ended one of them. */
static uint64_t call_due(struct an_engine *e, const struct an_call *call, const struct an_retire *r,
                         bool *ret_idle)
{
    uint64_t due = 0;
    *ret_idle = false;
    for (uint32_t i = 0; i < call->n_legs; i++) {
        const struct an_leg *leg = engine_leg(e, call->leg[i]);
        uint64_t media_ns = an_rtp_leg_last_ns(e->rtp, leg->index);
        due = later(due, call_leg_due(leg, media_ns, r));
        *ret_idle |= leg->end_ns == AN_NEVER;
    }
    for (uint32_t i = 0; i < call->n_legs; i++)
        engine_leg(e, call->leg[i])->due_ns = due;
    return due;
}

enum { CALL_LIVES, CALL_ENDED, CALL_IDLE };

static void calls_judge(struct an_engine *e, const struct an_retire *r, uint8_t *how)
{
    for (uint32_t i = 0; i < e->n_calls; i++) {
        bool idle;
        if (call_due(e, &e->call[i], r, &idle) <= r->now_ns)
            how[i] = idle ? CALL_IDLE : CALL_ENDED;
    }
}

static void call_forget(struct an_engine *e, struct an_call *call, bool idle)
{
    for (uint32_t i = 0; i < call->n_legs; i++) {
        struct an_leg *leg = engine_leg(e, call->leg[i]);
        engine_past_call_id(e->past, leg->node.hash, idle);
        e->stats.streams_forgotten += an_rtp_forget(e->rtp, leg->index);
        leg_forget(e, leg);
    }
    e->stats.calls_retired++;
    e->stats.calls_idle += idle;
    an_call_done(call);
}

/* Those that are left move together. */
static void calls_forget(struct an_engine *e, const uint8_t *how)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->n_calls; i++) {
        struct an_call *call = &e->call[i];
        if (how[i]) {
            call_forget(e, call, how[i] == CALL_IDLE);
            continue;
        }
        for (uint32_t k = 0; k < call->n_legs; k++)
            engine_leg(e, call->leg[k])->call = n;
        e->call[n++] = *call;
    }
    e->n_calls = n;
}

/* What is no call and had media. */
static void others_forget(struct an_engine *e, const struct an_retire *r)
{
    list_each(node, &e->live)
    {
        struct an_leg *leg = container_of(node, struct an_leg, live);
        if (leg->kind == AN_LEG_CALL || other_leg_due(leg, r) > r->now_ns)
            continue;
        e->stats.streams_forgotten += an_rtp_forget(e->rtp, leg->index);
        leg_forget(e, leg);
    }
}

static int retire(struct an_engine *e, const struct an_retire *r)
{
    int err = an_engine_settle(e);
    uint8_t *how = err ? NULL : mem_zero(e->n_calls + 1u);
    if (!how)
        return -ENOMEM;
    e->retired_ns = r->now_ns;
    calls_judge(e, r, how);
    for (uint32_t i = 0; r->done && i < e->n_calls; i++)
        if (how[i])
            r->done(r->user, e, i, how[i] == CALL_IDLE);
    calls_forget(e, how);
    others_forget(e, r);
    an_rtp_forgotten(e->rtp, r->now_ns);
    e->settled = false;
    mem_free(how);
    return 0;
}

int an_engine_retire(struct an_engine *e, const struct an_retire *r)
{
    uint64_t silent = later(r->linger_ns, SILENT_NS);
    uint32_t n_ripe = look(e, r);
    uint64_t since = r->now_ns > silent ? r->now_ns - silent : 0;
    e->stats.streams_forgotten += an_rtp_release_silent(e->rtp, since, r->now_ns);
    int err = is_worth(e, r, n_ripe) ? retire(e, r) : 0;
    if (e->legs.fresh > TRIM_FROM)
        slot_trim(&e->legs);
    return err;
}
