/* The way from legs to calls: facts of every call leg in the order of time; for each the legs it
 * may have been dialed for, with points; the best assignment of all; then what features leave
 * behind; then groups. */
#include "analysis/tie_open.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

#define CROSSED_NS  (2000 * MS)
#define MARGIN_SURE 40 /* points before the next candidate that leave no doubt */

/* ---- facts ----------------------------------------------------------------------------------- */

/* A 2xx that crosses the CANCEL is taken back with a BYE: nobody was answered (RFC 3261 9.1). */
static bool crossed(const struct an_leg *leg)
{
    return leg->cancel_ns != AN_NEVER && leg->answer_ns != AN_NEVER && leg->bye_ns != AN_NEVER &&
           leg->bye_ns - leg->answer_ns < CROSSED_NS && leg->bye_side == AN_CALLER;
}

static uint32_t end_msg(const struct an_leg *leg)
{
    return leg->bye_msg != AN_NONE                        ? leg->bye_msg
           : leg->final >= 300 && leg->end_ns != AN_NEVER ? leg->final_msg
                                                          : leg->n_msgs - 1;
}

/* When an exchange would try the next one: as soon as it gives up on this one. */
static uint64_t stop_of(const struct an_leg *leg)
{
    if (leg->cancel_ns != AN_NEVER && leg->cancel_ns < leg->end_ns)
        return leg->cancel_ns;
    return leg->final >= 300 ? leg->end_ns : AN_NEVER;
}

/* A leg whose end a capture does not show was there till its last message; one of live traffic
 * still is. */
static uint64_t end_of(const struct an_engine *e, const struct an_leg *leg)
{
    if (leg->end_ns != AN_NEVER)
        return leg->end_ns;
    return e->args.forgets ? e->last_ns : leg->last_ns;
}

static void fact_fill(const struct an_engine *e, struct fact *f, const struct an_leg *leg)
{
    *f = (struct fact){.leg = leg,
                       .index = engine_leg_index(leg),
                       .caller = an_number_of(an_leg_caller(leg)),
                       .callee = an_number_of(an_leg_callee(leg)),
                       .start_ns = leg->first_ns,
                       .answer_ns = crossed(leg) ? AN_NEVER : leg->answer_ns,
                       .end_ns = end_of(e, leg),
                       .first_frame = tie_frame(leg, 0),
                       .end_frame = tie_frame(leg, end_msg(leg)),
                       .parent = AN_NONE,
                       .guess = AN_NONE,
                       .referred_by = AN_NONE,
                       .stop_ns = stop_of(leg),
                       .child_stop_ns = AN_NEVER,
                       .busy_from_ns = AN_NEVER};
}

static int by_start(const void *x, const void *y)
{
    const struct fact *a = x, *b = y;
    if (a->start_ns != b->start_ns)
        return a->start_ns < b->start_ns ? -1 : 1;
    /* Numbers grow, and may begin anew. */
    int32_t apart = (int32_t)(a->leg->number - b->leg->number);
    return (apart > 0) - (apart < 0);
}

static int facts_make(struct tie *t)
{
    uint32_t n = t->e->legs.used, indices = an_engine_legs(t->e);
    t->fact = mem_alloc((n + 1) * sizeof(*t->fact));
    t->fact_of = mem_alloc((indices + 1) * sizeof(*t->fact_of));
    t->group = mem_alloc((n + 1) * sizeof(*t->group));
    t->candidate = mem_alloc((size_t)(n + 1) * TIE_BEST * sizeof(*t->candidate));
    if (!t->fact || !t->fact_of || !t->group || !t->candidate)
        return -ENOMEM;
    list_each(node, &t->e->live)
    {
        struct an_leg *leg = container_of(node, struct an_leg, live);
        leg->call = AN_NONE; /* that of an earlier settling is not its call now */
        if (leg->kind == AN_LEG_CALL)
            fact_fill(t->e, &t->fact[t->n_facts++], leg);
    }
    qsort(t->fact, t->n_facts, sizeof(*t->fact), by_start);
    memset(t->fact_of, 0xff, (indices + 1) * sizeof(*t->fact_of));
    for (uint32_t i = 0; i < t->n_facts; i++) {
        t->fact_of[t->fact[i].index] = i;
        t->group[i] = i;
        tie_marks_set(t, &t->fact[i]);
    }
    return 0;
}

uint32_t tie_find(const struct tie *t, struct str call_id)
{
    uint32_t leg = engine_leg_find(t->e, call_id);
    return leg == AN_NONE ? AN_NONE : t->fact_of[leg];
}

uint32_t tie_from(const struct tie *t, uint64_t at_ns)
{
    uint32_t low = 0, high = t->n_facts;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (t->fact[mid].start_ns < at_ns)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* ---- edges and groups ------------------------------------------------------------------------ */

uint32_t tie_root(struct tie *t, uint32_t f)
{
    while (t->group[f] != f)
        f = t->group[f] = t->group[t->group[f]];
    return f;
}

void tie_add(struct tie *t, enum an_edge_kind kind, uint32_t a, uint32_t b, const struct score *s,
             unsigned confidence)
{
    if (t->n_edges == t->cap_edges) {
        uint32_t cap = t->cap_edges ? 2 * t->cap_edges : 64;
        struct an_edge *edge = mem_resize(t->edge, cap * sizeof(*edge));
        if (!edge) {
            t->failed = true;
            return;
        }
        t->edge = edge;
        t->cap_edges = cap;
    }
    struct an_edge *edge = &t->edge[t->n_edges++];
    *edge = (struct an_edge){.a = t->fact[a].index,
                             .b = t->fact[b].index,
                             .kind = (uint8_t)kind,
                             .confidence = (uint8_t)(confidence > 99 ? 99 : confidence),
                             .n_proofs = s->n};
    memcpy(edge->proof, s->proof, s->n * sizeof(s->proof[0]));
    uint32_t x = tie_root(t, a), y = tie_root(t, b);
    t->group[x < y ? y : x] = x < y ? x : y;
}

/* The more speaks for it, and the more than for any other, the surer. */
unsigned tie_confidence(int points, int next_best)
{
    int margin = points - next_best, by_points = 30 + points / 2;
    int by_margin = margin >= MARGIN_SURE ? 99 : 50 + margin * 49 / MARGIN_SURE;
    int least = by_points < by_margin ? by_points : by_margin;
    return least < 1 ? 1 : least > 99 ? 99 : (unsigned)least;
}

/* Of all candidates the best assignment is taken, so that a close second says less: it has a better
 * place elsewhere. Measured by tests/mix. */
static unsigned dialed_confidence(int points, int next_best)
{
    int margin = points - next_best, by_points = 60 + points / 3;
    int by_margin = margin >= MARGIN_SURE ? 99 : margin < 0 ? 80 : 85 + margin * 14 / MARGIN_SURE;
    int least = by_points < by_margin ? by_points : by_margin;
    return least > 99 ? 99 : (unsigned)least;
}

/* ---- who was dialed for whom ----------------------------------------------------------------- */

/* The best of one leg, in order. */
struct best {
    struct candidate c[TIE_BEST];
    unsigned n;
};

static bool is_before(const struct candidate *x, const struct candidate *y)
{
    return x->points != y->points ? x->points > y->points : x->a < y->a;
}

static void best_add(struct best *best, struct candidate c)
{
    unsigned i = best->n;
    while (i > 0 && is_before(&c, &best->c[i - 1]))
        i--;
    if (i == TIE_BEST)
        return;
    unsigned moved = (best->n < TIE_BEST ? best->n : TIE_BEST - 1) - i;
    memmove(&best->c[i + 1], &best->c[i], moved * sizeof(c));
    best->c[i] = c;
    if (best->n < TIE_BEST)
        best->n++;
}

static void candidate_score(struct tie *t, struct best *best, uint32_t a, uint32_t b)
{
    struct score s = {.bare = true};
    tie_score(t, &t->fact[a], &t->fact[b], &s);
    t->scored++;
    if (s.points >= TIE_LEAST)
        best_add(best, (struct candidate){a, b, s.points, t->fact[a].child_stop_ns});
}

static void candidates_of(struct tie *t, struct tie_open *open, uint32_t b)
{
    struct best best = {.n = 0};
    struct fact *f = &t->fact[b];
    const uint32_t *found;
    bool own = t->e->args.own;
    tie_open_stops(open, b);
    uint32_t n = own ? 0 : tie_open_for(open, b, &found);
    for (uint32_t i = 0; i < n; i++) {
        const struct fact *a = &t->fact[found[i]];
        if (!tie_open_named(open, found[i], b) && tie_score_most(t, a, f) < TIE_LEAST)
            continue;
        if (tie_possible(t, a, f))
            candidate_score(t, &best, found[i], b);
    }
    for (uint32_t a = 0; own && a < b; a++) /* the few legs of one call */
        if (tie_own_possible(&t->fact[a], f))
            candidate_score(t, &best, a, b);
    t->looked += n;
    f->rival_points = best.n > 1 ? best.c[1].points : 0;
    f->guess = best.n ? best.c[0].a : AN_NONE;
    memcpy(&t->candidate[t->n_candidates], best.c, best.n * sizeof(best.c[0]));
    t->n_candidates += best.n;
}

static int by_points(const void *x, const void *y)
{
    const struct candidate *p = x, *q = y;
    if (p->points != q->points)
        return p->points > q->points ? -1 : 1;
    return p->b != q->b ? (p->b > q->b) - (p->b < q->b) : (p->a > q->a) - (p->a < q->a);
}

/* One leg talks with one other at a time: two that were answered for it may follow each other, as
 * in a transfer, and not overlap. */
static bool free_for(const struct fact *a, const struct fact *b)
{
    if (b->answer_ns == AN_NEVER || a->busy_from_ns == AN_NEVER)
        return true;
    return b->answer_ns + 1000 * MS >= a->busy_to_ns || b->end_ns <= a->busy_from_ns + 1000 * MS;
}

static bool descends(const struct tie *t, uint32_t f, uint32_t from)
{
    for (unsigned i = 0; f != AN_NONE && i < 64; i++, f = t->fact[f].parent)
        if (f == from)
            return true;
    return f != AN_NONE;
}

/* Who is called because of a REFER is not called for another call, which would make both one. */
static bool is_referred_elsewhere(struct tie *t, const struct candidate *c)
{
    const struct fact *b = &t->fact[c->b];
    return b->referred_by != AN_NONE && b->referred_points > c->points &&
           t->fact[c->a].start_ns < b->referred->at_ns &&
           tie_root(t, c->a) != tie_root(t, b->referred_by);
}

static void dialed_take(struct tie *t, const struct candidate *c)
{
    struct fact *a = &t->fact[c->a], *b = &t->fact[c->b];
    struct score s = {0};
    if (b->parent != AN_NONE || !free_for(a, b) || descends(t, c->a, c->b) ||
        is_referred_elsewhere(t, c))
        return;
    a->child_stop_ns = c->child_stop_ns;
    tie_score(t, a, b, &s);
    b->parent = c->a;
    a->server_side = b->server_side = true;
    if (b->answer_ns != AN_NEVER) {
        a->busy_from_ns = b->answer_ns;
        a->busy_to_ns = b->end_ns;
    }
    tie_add(t, AN_EDGE_DIALED, c->a, c->b, &s, dialed_confidence(c->points, b->rival_points));
}

static void dialed_find(struct tie *t)
{
    struct tie_open *open = tie_open_new(t);
    if (!open) {
        t->failed = true;
        return;
    }
    for (uint32_t b = 0; b < t->n_facts; b++) {
        candidates_of(t, open, b);
        tie_open_put(open, b);
    }
    tie_open_free(open);
    qsort(t->candidate, t->n_candidates, sizeof(*t->candidate), by_points);
    for (uint32_t i = 0; i < t->n_candidates; i++)
        dialed_take(t, &t->candidate[i]);
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void tie_done(struct tie *t)
{
    mem_free(t->fact);
    mem_free(t->fact_of);
    mem_free(t->candidate);
    mem_free(t->flow);
    mem_free(t->flow_at);
    mem_free(t->edge);
    mem_free(t->group);
}

/* Roughly, on a machine of these years: there is no clock here. */
static uint64_t cost_of(const struct tie *t)
{
    return 50 * t->looked + 400 * t->scored + 2000ull * t->e->legs.used +
           1500ull * an_rtp_streams(t->e->rtp);
}

int engine_settle(struct an_engine *e)
{
    struct tie t = {.e = e};
    engine_calls_free(e);
    int err = an_rtp_settle(e->rtp);
    if (!err)
        err = facts_make(&t);
    if (!err)
        err = tie_hosts(&t);
    if (!err)
        err = tie_flow_find(&t);
    if (!err) {
        tie_flows_mark(&t);
        tie_names(&t);
        tie_transfers_find(&t);
        dialed_find(&t);
        tie_transfers(&t);
        tie_pickups(&t);
        tie_rooms(&t);
        if (e->args.own)
            tie_own(&t);
        err = t.failed ? -ENOMEM : call_make_all(&t);
    }
    e->cost_ns = cost_of(&t);
    tie_done(&t);
    return err;
}
