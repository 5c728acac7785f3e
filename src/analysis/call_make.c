/* Calls from groups of tied legs: who, when, how it ended; then what it was. */
#include <errno.h>
#include <stdlib.h>

#include "analysis/scenario.h"
#include "base/mem.h"

#define MAX_NUMBER 128

/* ---- names ----------------------------------------------------------------------------------- */

/* "109Q1427" is extension 1427 of tenant 109Q: the digits behind the last letter of a user part
 * that begins with a digit. */
struct str call_extension(struct str user)
{
    size_t i = user.n;
    while (i > 0 && user.p[i - 1] >= '0' && user.p[i - 1] <= '9')
        i--;
    bool tenant = i > 0 && user.n - i >= 2 && user.p[0] >= '0' && user.p[0] <= '9' &&
                  chr_lower(user.p[i - 1]) >= 'a' && chr_lower(user.p[i - 1]) <= 'z';
    return tenant ? str_from(user, i) : user;
}

/* What was meant: the end that the dialled number has in common with who was rung. */
static struct str meant(struct str dialled, struct str rung)
{
    struct str a = call_extension(dialled), b = call_extension(rung);
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[a.n - 1 - n] == b.p[b.n - 1 - n])
        n++;
    return n >= 3 ? str_from(a, a.n - n) : a;
}

/* Who has sent the call on, where its leg says so (RFC 5806); else who was rung. */
static struct str meant_by(const struct an_leg *leg)
{
    struct sip_nameaddr by;
    struct str diversion = an_leg_text(leg, leg->diversion);
    return diversion.n && sip_nameaddr_parse(&by, diversion) == 0 && by.uri.user.n
               ? by.uri.user
               : an_leg_callee(leg);
}

static void put(struct an_call *c, struct an_ref *where, struct str s)
{
    *where = an_text_put(&c->text, s, MAX_NUMBER);
}

/* The leg that the caller was connected to first. */
static struct fact *answered_child(const struct look *l)
{
    struct fact *found = NULL;
    for (uint32_t i = 1; i < l->n_facts; i++)
        if (l->fact[i]->answer_ns != AN_NEVER && look_is_attempt(l, l->fact[i]) &&
            (!found || l->fact[i]->answer_ns < found->answer_ns))
            found = l->fact[i];
    return found;
}

static struct fact *first_child(const struct look *l)
{
    for (uint32_t i = 1; i < l->n_facts; i++)
        if (look_is_attempt(l, l->fact[i]))
            return l->fact[i];
    return NULL;
}

static void names_set(struct look *l)
{
    struct an_call *c = l->call;
    const struct an_leg *root = l->fact[0]->leg;
    struct fact *child = answered_child(l), *rung = first_child(l);
    struct str dialled = an_leg_callee(root);
    put(c, &c->caller, call_extension(an_leg_caller(root)));
    put(c, &c->caller_name,
        an_leg_text(root, root->asserted_display.n ? root->asserted_display : root->from.display));
    put(c, &c->dialled, dialled);
    put(c, &c->callee, rung ? meant(dialled, meant_by(rung->leg)) : call_extension(dialled));
    if (child)
        put(c, &c->answered_by, call_extension(an_leg_callee(child->leg)));
    else if (root->answer_ns != AN_NEVER)
        put(c, &c->answered_by, an_leg_text(root, root->connected));
}

/* ---- times and outcome ----------------------------------------------------------------------- */

static enum an_outcome outcome_of(const struct an_leg *root)
{
    if (root->answer_ns != AN_NEVER)
        return AN_ANSWERED;
    if (look_cancelled(root))
        return AN_CANCELLED;
    switch (root->final) {
    case 0:
        return AN_UNFINISHED;
    case 486:
    case 600:
    case 603:
        return AN_BUSY;
    case 408:
    case 480:
        return root->ringing_ns != AN_NEVER ? AN_NO_ANSWER : AN_UNAVAILABLE;
    default:
        return root->final < 400 ? AN_REDIRECTED : AN_FAILED;
    }
}

static void times_set(struct look *l)
{
    struct an_call *c = l->call;
    const struct an_leg *root = l->fact[0]->leg;
    c->start_ns = root->first_ns;
    c->ring_ns = root->ringing_ns < root->progress_ns ? root->ringing_ns : root->progress_ns;
    c->answer_ns = root->answer_ns;
    c->end_ns = root->end_ns;
    c->status = root->final;
    c->outcome = (uint8_t)outcome_of(root);
    c->ended_by = root->bye_ns != AN_NEVER ? root->bye_side : AN_NO_SIDE;
}

static void attempts_set(struct look *l)
{
    struct an_call *c = l->call;
    uint32_t n = 0;
    for (uint32_t i = 1; i < l->n_facts; i++)
        n += look_is_attempt(l, l->fact[i]);
    c->attempt = n ? mem_alloc(n * sizeof(*c->attempt)) : NULL;
    if (n && !c->attempt) {
        l->failed = true;
        return;
    }
    c->cap_attempts = n;
    for (uint32_t i = 1; i < l->n_facts; i++) {
        const struct fact *f = l->fact[i];
        if (look_is_attempt(l, f))
            c->attempt[c->n_attempts++] = (struct an_attempt){.leg = f->index,
                                                              .status = f->leg->final,
                                                              .at_ns = f->start_ns,
                                                              .end_ns = f->leg->end_ns};
    }
}

/* ---- traits ---------------------------------------------------------------------------------- */

struct an_trait *look_trait(struct look *l, enum an_scenario s, const char *form,
                            unsigned confidence)
{
    struct an_call *c = l->call;
    if (c->n_traits == c->cap_traits) {
        uint32_t cap = c->cap_traits ? 2 * c->cap_traits : 2;
        struct an_trait *v = mem_resize(c->trait, cap * sizeof(*v));
        if (!v) {
            l->failed = true;
            return NULL;
        }
        c->trait = v;
        c->cap_traits = cap;
    }
    struct an_trait *trait = &c->trait[c->n_traits++];
    *trait = (struct an_trait){.scenario = (uint8_t)s,
                               .confidence = (uint8_t)confidence,
                               .form = form,
                               .from_ns = AN_NEVER,
                               .to_ns = AN_NEVER,
                               .leg = AN_NONE,
                               .other = AN_NONE,
                               .who = AN_NONE,
                               .target = AN_NONE};
    return trait;
}

void trait_frame(struct an_trait *trait, uint64_t frame)
{
    if (!frame || trait->n_frames == AN_TRAIT_MAX_FRAMES)
        return;
    for (unsigned i = 0; i < trait->n_frames; i++)
        if (trait->frame[i] == frame)
            return;
    trait->frame[trait->n_frames++] = frame;
}

void trait_edge(struct an_trait *trait, const struct an_edge *edge)
{
    for (unsigned i = 0; i < edge->n_proofs; i++)
        if (edge->proof[i].points > 0)
            trait_frame(trait, edge->proof[i].frame);
}

const struct an_edge *look_edge(const struct look *l, enum an_edge_kind kind, uint32_t leg)
{
    for (uint32_t i = 0; i < l->call->n_edges; i++) {
        const struct an_edge *e = &l->call->edge[i];
        if (e->kind == kind && (leg == AN_NONE || e->a == leg || e->b == leg))
            return e;
    }
    return NULL;
}

struct fact *look_fact(const struct look *l, uint32_t leg)
{
    for (uint32_t i = 0; i < l->n_facts; i++)
        if (l->fact[i]->index == leg)
            return l->fact[i];
    return NULL;
}

bool look_is_attempt(const struct look *l, const struct fact *f)
{
    for (uint32_t i = 0; i < l->call->n_edges; i++) {
        const struct an_edge *e = &l->call->edge[i];
        if (e->b == f->index && e->kind == AN_EDGE_TRANSFER)
            return false;
    }
    return f->parent != AN_NONE && &l->t->fact[f->parent] == l->fact[0];
}

static int by_rank(const void *x, const void *y)
{
    const struct an_trait *a = x, *b = y;
    if (a->scenario != b->scenario)
        return a->scenario < b->scenario ? -1 : 1;
    if (a->confidence != b->confidence)
        return a->confidence > b->confidence ? -1 : 1;
    return (a->from_ns > b->from_ns) - (a->from_ns < b->from_ns);
}

static void scenario_set(struct look *l)
{
    struct an_call *c = l->call;
    scenario_conference(l);
    scenario_pickup(l);
    scenario_transfer(l);
    scenario_hunt(l);
    scenario_basic(l);
    if (c->n_traits)
        qsort(c->trait, c->n_traits, sizeof(*c->trait), by_rank);
    c->scenario = c->n_traits ? c->trait[0].scenario : AN_WAS_BASIC;
    c->confidence = c->n_traits ? c->trait[0].confidence : l->n_facts > 1 ? 95 : 90;
}

/* ---- groups ---------------------------------------------------------------------------------- */

static bool legs_set(struct look *l, uint32_t index)
{
    struct an_call *c = l->call;
    c->leg = mem_alloc(l->n_facts * sizeof(*c->leg));
    if (!c->leg)
        return false;
    c->cap_legs = c->n_legs = l->n_facts;
    for (uint32_t i = 0; i < l->n_facts; i++) {
        c->leg[i] = l->fact[i]->index;
        engine_leg(l->t->e, c->leg[i])->call = index;
    }
    return true;
}

/* Edges lie in the order of their calls. */
static bool edges_set(struct look *l, uint32_t index, uint32_t *at)
{
    struct an_call *c = l->call;
    uint32_t from = *at, n = 0;
    while (*at < l->t->n_edges && engine_leg(l->t->e, l->t->edge[*at].a)->call == index)
        ++*at, n++;
    c->edge = n ? mem_alloc(n * sizeof(*c->edge)) : NULL;
    if (n && !c->edge)
        return false;
    if (n)
        memcpy(c->edge, &l->t->edge[from], n * sizeof(*c->edge));
    c->cap_edges = c->n_edges = n;
    return true;
}

struct member {
    uint32_t root, fact;
};

static int by_root(const void *x, const void *y)
{
    const struct member *a = x, *b = y;
    if (a->root != b->root)
        return a->root < b->root ? -1 : 1;
    return (a->fact > b->fact) - (a->fact < b->fact);
}

/* What edges are sorted by. */
struct keyed {
    uint32_t root;
    uint32_t number; /* of the leg b */
    uint32_t at;     /* before */
    struct an_edge edge;
};

static int by_key(const void *x, const void *y)
{
    const struct keyed *a = x, *b = y;
    if (a->root != b->root)
        return a->root < b->root ? -1 : 1;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return (a->at > b->at) - (a->at < b->at);
}

static int edges_sort(struct tie *t)
{
    struct keyed *k = mem_alloc((t->n_edges + 1) * sizeof(*k));
    if (!k)
        return -ENOMEM;
    for (uint32_t i = 0; i < t->n_edges; i++)
        k[i] = (struct keyed){tie_root(t, t->fact_of[t->edge[i].a]),
                              engine_leg(t->e, t->edge[i].b)->number, i, t->edge[i]};
    if (t->n_edges)
        qsort(k, t->n_edges, sizeof(*k), by_key);
    for (uint32_t i = 0; i < t->n_edges; i++)
        t->edge[i] = k[i].edge;
    mem_free(k);
    return 0;
}

static int call_make(struct look *l, uint32_t index, uint32_t *edge_at)
{
    struct an_call *c = l->call;
    uint32_t id = l->fact[0]->leg->number;
    bool forgets = l->t->e->args.forgets;
    *c = (struct an_call){.id = id, .number = forgets ? id : index + 1, .ended_by = AN_NO_SIDE};
    if (!legs_set(l, index) || !edges_set(l, index, edge_at))
        return -ENOMEM;
    times_set(l);
    names_set(l);
    attempts_set(l);
    scenario_set(l);
    return l->failed ? -ENOMEM : 0;
}

static int calls_fill(struct tie *t, const struct member *m, struct fact **of)
{
    struct an_engine *e = t->e;
    uint32_t edge_at = 0;
    for (uint32_t i = 0, n; i < t->n_facts; i += n) {
        struct look l = {.t = t, .call = &e->call[e->n_calls], .fact = of};
        for (n = 0; i + n < t->n_facts && m[i + n].root == m[i].root; n++)
            of[n] = &t->fact[m[i + n].fact];
        l.n_facts = n;
        e->n_calls++;
        int err = call_make(&l, e->n_calls - 1, &edge_at);
        if (err)
            return err;
    }
    return 0;
}

int call_make_all(struct tie *t)
{
    struct an_engine *e = t->e;
    struct member *m = mem_alloc((t->n_facts + 1) * sizeof(*m));
    struct fact **of = mem_alloc((t->n_facts + 1) * sizeof(struct fact *));
    struct an_call *call = mem_resize(e->call, (t->n_facts + 1) * sizeof(*call));
    int err = !m || !of || !call ? -ENOMEM : edges_sort(t);
    if (call)
        e->call = call;
    for (uint32_t i = 0; !err && i < t->n_facts; i++)
        m[i] = (struct member){tie_root(t, i), i};
    if (!err && t->n_facts)
        qsort(m, t->n_facts, sizeof(*m), by_root);
    if (!err)
        err = calls_fill(t, m, of);
    mem_free(m);
    mem_free(of);
    return err;
}
