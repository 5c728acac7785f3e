/* The way from legs to calls: facts of every call leg in the order of time; for each the legs it
 * may have been dialed for, with points; the best assignment of all; then what features leave
 * behind; then groups. */
#include "analysis/tie.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"

#define CROSSED_NS  (2000 * MS)
#define OVER_NS     (1000 * MS) /* an attempt that failed is known for so long */
#define MARGIN_SURE 40          /* points before the next candidate that leave no doubt */

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

static void fact_fill(struct fact *f, const struct an_leg *leg)
{
    *f = (struct fact){.leg = leg,
                       .index = engine_leg_index(leg),
                       .caller = an_number_of(an_leg_caller(leg)),
                       .callee = an_number_of(an_leg_callee(leg)),
                       .start_ns = leg->first_ns,
                       .answer_ns = crossed(leg) ? AN_NEVER : leg->answer_ns,
                       .end_ns = leg->end_ns == AN_NEVER ? leg->last_ns : leg->end_ns,
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
    return (a->index > b->index) - (a->index < b->index);
}

static int facts_make(struct tie *t)
{
    uint32_t n = an_engine_legs(t->e);
    t->fact = mem_alloc((n + 1) * sizeof(*t->fact));
    t->fact_of = mem_alloc((n + 1) * sizeof(*t->fact_of));
    t->group = mem_alloc((n + 1) * sizeof(*t->group));
    t->candidate = mem_alloc((size_t)(n + 1) * TIE_BEST * sizeof(*t->candidate));
    if (!t->fact || !t->fact_of || !t->group || !t->candidate)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        if (engine_leg(t->e, i)->kind == AN_LEG_CALL)
            fact_fill(&t->fact[t->n_facts++], engine_leg(t->e, i));
    qsort(t->fact, t->n_facts, sizeof(*t->fact), by_start);
    memset(t->fact_of, 0xff, (n + 1) * sizeof(*t->fact_of));
    for (uint32_t i = 0; i < t->n_facts; i++) {
        t->fact_of[t->fact[i].index] = i;
        t->group[i] = i;
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

static void best_add(struct best *best, struct candidate c)
{
    unsigned i = best->n;
    while (i > 0 && best->c[i - 1].points < c.points)
        i--;
    if (i == TIE_BEST)
        return;
    unsigned moved = (best->n < TIE_BEST ? best->n : TIE_BEST - 1) - i;
    memmove(&best->c[i + 1], &best->c[i], moved * sizeof(c));
    best->c[i] = c;
    if (best->n < TIE_BEST)
        best->n++;
}

/* A leg for which others may still be dialed: what decides about most pairs, side by side. */
struct open {
    uint64_t over_ns; /* nobody is dialed for it any more */
    uint64_t answer_ns;
    uint64_t stop_ns; /* of an attempt made for a leg that is known; else AN_NEVER */
    uint32_t fact, from_host, to_host;
    uint32_t caller_tail;
};

static struct open open_of(const struct tie *t, uint32_t fact)
{
    const struct fact *f = &t->fact[fact];
    return (struct open){.over_ns = f->end_ns + OVER_NS,
                         .answer_ns = f->answer_ns,
                         .stop_ns = f->guess == AN_NONE ? AN_NEVER : f->stop_ns,
                         .fact = fact,
                         .from_host = f->from_host,
                         .to_host = f->to_host,
                         .caller_tail = f->caller.tail};
}

/* tie_possible() would say no to most: those of other hosts, or of other callers. */
static bool worth_a_look(const struct open *a, const struct fact *b)
{
    const struct an_leg *leg = b->leg;
    bool named = leg->x_cid.n || leg->session_id[0].n;
    if (named || a->caller_tail == b->caller.tail)
        return true;
    if (a->answer_ns < b->start_ns)
        return false;
    return !a->to_host || !b->to_host || a->to_host == b->from_host || tie_leads_back(leg);
}

/* Attempts that stopped just now, or are about to in the very moment: who they were made for may
 * have another one made. */
static void stops_note(struct tie *t, uint64_t now, const struct open *open, uint32_t n_open)
{
    for (uint32_t i = 0; i < n_open; i++) {
        if (open[i].stop_ns == AN_NEVER || open[i].stop_ns > now + TIE_TURN_NS)
            continue;
        struct fact *a = &t->fact[t->fact[open[i].fact].guess];
        if (a->child_stop_ns == AN_NEVER || a->child_stop_ns < open[i].stop_ns)
            a->child_stop_ns = open[i].stop_ns;
    }
}

static void candidates_of(struct tie *t, uint32_t b, struct open *open, uint32_t *n_open)
{
    struct best best = {.n = 0};
    struct score s = {.bare = true};
    struct fact *f = &t->fact[b];
    uint32_t still = 0;
    stops_note(t, f->start_ns, open, *n_open);
    for (uint32_t i = 0; i < *n_open; i++) {
        struct fact *a = &t->fact[open[i].fact];
        if (open[i].over_ns < f->start_ns)
            continue; /* no longer open */
        if (still != i)
            open[still] = open[i];
        still++;
        if (!worth_a_look(&open[still - 1], f) || !tie_possible(a, f))
            continue;
        tie_score(t, a, f, &s);
        if (s.points >= TIE_LEAST)
            best_add(&best,
                     (struct candidate){open[still - 1].fact, b, s.points, a->child_stop_ns});
    }
    *n_open = still;
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
    struct open *open = mem_alloc((t->n_facts + 1) * sizeof(*open));
    uint32_t n_open = 0;
    if (!open) {
        t->failed = true;
        return;
    }
    for (uint32_t b = 0; b < t->n_facts; b++) {
        candidates_of(t, b, open, &n_open);
        open[n_open++] = open_of(t, b);
    }
    mem_free(open);
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

int an_engine_settle(struct an_engine *e)
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
        tie_names(&t);
        tie_transfers_find(&t);
        dialed_find(&t);
        tie_transfers(&t);
        tie_pickups(&t);
        tie_rooms(&t);
        err = t.failed ? -ENOMEM : call_make_all(&t);
    }
    tie_done(&t);
    return err;
}
