/* Pickup by a feature code: somebody dials "*8" and is connected to a caller whose call rang
 * elsewhere. Nothing in the messages names that call: what rang then and stopped ringing just then,
 * in the same group, is weighed, and below a half nothing is claimed. */
#include <stdlib.h>

#include "analysis/tie.h"
#include "base/mem.h"

#define BEFORE_NS    (1000 * MS)
#define AFTER_NS     (3000 * MS)
#define RING_MOST_NS (300000 * MS)
#define TOGETHER_NS  (500 * MS)
#define ELSEWHERE_NS (2000 * MS)
#define NEAR_POINTS  20
#define SURE_ENOUGH  50 /* percent */

struct picked {
    uint32_t k, r; /* facts: who picked up, what rang */
    int points;
};

/* The code and what follows it: "*8", "*81427", "**1427". */
bool tie_pickup_code(const struct an_number *dialled, struct an_number *ret_target)
{
    if (dialled->n < 2 || dialled->c[0] != '*' || (dialled->c[1] != '8' && dialled->c[1] != '*'))
        return false;
    *ret_target = an_number_of(str_of(dialled->c + 2, dialled->n - 2u));
    return ret_target->n != 1 && (dialled->c[1] == '8' || ret_target->n);
}

static bool within(uint64_t at, uint64_t from, uint64_t to)
{
    return at != AN_NEVER && at >= from && at <= to;
}

static uint64_t stopped_ns(const struct an_leg *r)
{
    return r->cancel_ns != AN_NEVER ? r->cancel_ns : r->end_ns;
}

/* A phone that has refused was not relieved of its call. */
static bool was_relieved(const struct an_leg *r)
{
    return r->cancel_ns != AN_NEVER || r->final < 300 || r->final == 487;
}

static bool near(uint64_t x, uint64_t y, uint64_t most)
{
    return x != AN_NEVER && y != AN_NEVER && (x > y ? x - y : y - x) <= most;
}

/* Who was refused was not with who picked up, nor who was connected with somebody else while this
 * one rang. */
static bool was_elsewhere(const struct fact *a, const struct fact *r, uint64_t picked_ns)
{
    if (a == r || a->replaced || !a->server_side)
        return false;
    if (a->answer_ns == AN_NEVER)
        return a->leg->final >= 300 && a->parent == AN_NONE;
    return a->answer_ns > r->start_ns && !near(a->answer_ns, picked_ns, ELSEWHERE_NS);
}

/* Rings what an exchange calls, not what comes to it. */
static bool rang_at(const struct fact *k, const struct fact *r, uint64_t at)
{
    const struct an_leg *x = k->leg, *y = r->leg;
    if (x->n_hosts > 1 && y->n_hosts > 1 && addr_ip_eq(&x->host[1], &y->host[1]))
        return false;
    return was_relieved(y) && r->leg->ringing_ns != AN_NEVER && r->leg->ringing_ns <= at &&
           r->answer_ns == AN_NEVER && within(stopped_ns(r->leg), at - BEFORE_NS, at + AFTER_NS);
}

/* Whom it rang for: the caller's leg where the capture has it. */
static uint32_t origin_of(const struct tie *t, uint32_t r)
{
    return t->fact[r].parent == AN_NONE ? r : t->fact[r].parent;
}

static void score_phones(const struct fact *k, const struct fact *r, struct score *s)
{
    uint64_t frame = tie_frame(r->leg, AN_NONE);
    if (an_number_same_tenant(&k->caller, &r->callee))
        score_add(s, AN_BY_GROUP, frame);
    if (k->leg->n_hosts > 1 && r->leg->n_hosts && addr_ip_eq(&k->leg->host[1], &r->leg->host[0]))
        score_add(s, AN_BY_HOST, frame);
}

static void score_caller(const struct fact *k, const struct fact *caller, struct score *s)
{
    const struct an_leg *leg = k->leg;
    struct an_number told = an_number_of(an_leg_text(leg, leg->connected));
    enum an_likeness like = an_number_like(&told, &caller->caller);
    uint64_t frame = tie_frame(leg, leg->answer_msg);
    if (like == AN_EQUAL)
        score_add(s, AN_BY_CALLER, frame);
    else if (like == AN_ENDS)
        score_add(s, AN_BY_CALLER_PART, frame);
    else if (like == AN_DIFFER && !an_number_same_tenant(&told, &k->caller) && told.c[0] != '*')
        score_add(s, AN_BY_CALLER_OTHER, frame);
}

/* An exchange does both in one turn, so what is nearer is worth more. */
static void score_near(struct score *s, enum an_evidence what, uint64_t x, uint64_t y,
                       uint64_t frame)
{
    if (near(x, y, TOGETHER_NS))
        score_add_near(s, what, x > y ? x - y : y - x, TOGETHER_NS, NEAR_POINTS, frame);
    else if (near(x, y, 2 * TOGETHER_NS))
        score_add(s, what, frame);
}

static void pickup_score(const struct tie *t, uint32_t ki, uint32_t ri, struct score *s)
{
    const struct fact *k = &t->fact[ki], *r = &t->fact[ri], *a = &t->fact[origin_of(t, ri)];
    *s = (struct score){0};
    score_add(s, AN_BY_RANG, tie_frame(r->leg, AN_NONE));
    score_near(s, AN_BY_CANCEL, stopped_ns(r->leg), k->answer_ns,
               tie_frame(r->leg, r->leg->cancel_msg));
    if (r->leg->elsewhere)
        score_add(s, AN_BY_REASON, tie_frame(r->leg, r->leg->cancel_msg));
    score_phones(k, r, s);
    score_caller(k, a, s);
    if (a == r)
        return;
    if (near(a->answer_ns, k->answer_ns, TOGETHER_NS))
        score_near(s, AN_BY_ANSWER, a->answer_ns, k->answer_ns,
                   tie_frame(a->leg, a->leg->answer_msg));
    else if (!a->replaced && a->answer_ns > r->start_ns) /* else somebody has sent it on */
        score_add(s, AN_BY_ANSWER_OTHER, tie_frame(a->leg, a->leg->final_msg));
    if (near(a->leg->bye_ns, k->leg->bye_ns, TOGETHER_NS))
        score_add(s, AN_BY_END, tie_frame(a->leg, a->leg->bye_msg));
    if (tie_flow_count(t, a->index, k->index) >= 2)
        score_add(s, AN_BY_MEDIA_FLOW, tie_frame(a->leg, a->leg->answer_msg));
}

struct pickups {
    struct picked *v;
    uint32_t n, cap;
};

static void picked_add(struct tie *t, struct pickups *p, struct picked one)
{
    if (p->n == p->cap) {
        uint32_t cap = p->cap ? 2 * p->cap : 32;
        struct picked *v = mem_resize(p->v, cap * sizeof(*v));
        if (!v) {
            t->failed = true;
            return;
        }
        p->v = v;
        p->cap = cap;
    }
    p->v[p->n++] = one;
}

static void ringing_for(struct tie *t, struct pickups *p, uint32_t k)
{
    struct an_number target;
    const struct fact *f = &t->fact[k];
    if (f->answer_ns == AN_NEVER || !tie_pickup_code(&f->callee, &target))
        return;
    uint64_t from = f->answer_ns > RING_MOST_NS ? f->answer_ns - RING_MOST_NS : 0;
    for (uint32_t r = tie_from(t, from); r < t->n_facts && t->fact[r].start_ns <= f->answer_ns;
         r++) {
        struct score s;
        if (r == k || !rang_at(f, &t->fact[r], f->answer_ns) ||
            was_elsewhere(&t->fact[origin_of(t, r)], &t->fact[r], f->answer_ns))
            continue;
        enum an_likeness like = an_number_like(&target, &t->fact[r].callee);
        if (target.n && like != AN_EQUAL && like != AN_ENDS)
            continue;
        pickup_score(t, k, r, &s);
        if (target.n)
            score_add(&s, AN_BY_CALLEE, tie_frame(f->leg, AN_NONE));
        picked_add(t, p, (struct picked){k, r, s.points});
    }
}

static int by_points(const void *x, const void *y)
{
    const struct picked *a = x, *b = y;
    if (a->points != b->points)
        return a->points > b->points ? -1 : 1;
    return a->k != b->k ? (a->k > b->k) - (a->k < b->k) : (a->r > b->r) - (a->r < b->r);
}

/* The best that another caller's call, still free, would have. */
static int rival(const struct tie *t, const struct pickups *p, const struct picked *one,
                 const bool *taken)
{
    for (uint32_t i = 0; i < p->n; i++) {
        const struct picked *o = &p->v[i];
        if (o->k == one->k && origin_of(t, o->r) != origin_of(t, one->r) &&
            !taken[origin_of(t, o->r)])
            return o->points;
    }
    return 0;
}

static void pickup_take(struct tie *t, const struct pickups *p, const struct picked *one,
                        bool *taken)
{
    uint32_t a = origin_of(t, one->r);
    struct score s;
    if (taken[one->k] || taken[a])
        return;
    unsigned confidence = tie_confidence(one->points, rival(t, p, one, taken));
    if (confidence <= SURE_ENOUGH)
        return;
    taken[one->k] = taken[a] = true;
    pickup_score(t, one->k, one->r, &s);
    tie_add(t, AN_EDGE_PICKED, one->r < one->k ? one->r : one->k, one->r < one->k ? one->k : one->r,
            &s, confidence);
}

/* What an INVITE with Replaces has picked up is nobody else's. */
static void named_take(const struct tie *t, bool *taken)
{
    for (uint32_t k = 0; k < t->n_facts; k++) {
        const struct fact *f = &t->fact[k];
        uint32_t r =
            f->leg->replaces.n ? tie_find(t, an_leg_text(f->leg, f->leg->replaces)) : AN_NONE;
        if (r != AN_NONE && f->answer_ns != AN_NEVER && t->fact[r].answer_ns == AN_NEVER)
            taken[origin_of(t, r)] = true;
    }
}

void tie_pickups(struct tie *t)
{
    struct pickups p = {0};
    bool *taken = mem_zero(t->n_facts + 1);
    if (!taken) {
        t->failed = true;
        return;
    }
    named_take(t, taken);
    for (uint32_t k = 0; k < t->n_facts; k++)
        ringing_for(t, &p, k);
    if (p.n)
        qsort(p.v, p.n, sizeof(*p.v), by_points);
    for (uint32_t i = 0; i < p.n; i++)
        pickup_take(t, &p, &p.v[i], taken);
    mem_free(p.v);
    mem_free(taken);
}
