/* For which legs may this one have been dialed? Of thousands that are up at a time it can be few:
 * those whose exchange it comes from and that still wait for an answer, those of the same caller,
 * and those that it names. Each leg stands under these keys from its beginning on; who is looked up
 * and found to be over goes. */
#include "analysis/tie_open.h"

#include <stdlib.h>

#include "base/mem.h"

#define OVER_NS (1000 * MS) /* an attempt that failed is known for so long */
#define KEYS    7           /* of one leg at most */
#define TAILS   1024        /* twice as many as a header that is kept may hold */
#define MIX     0x9e3779b97f4a7c15u

enum key_kind { KEY_HOST, KEY_CALLEE, KEY_CALLER, KEY_CALL_ID, KEY_SESSION, KEY_ICID };

/* Legs of one caller on the same way: that many calls show one number is usual, and most of them
 * are on the way of others. */
struct way {
    uint64_t caller; /* key */
    uint32_t from, to;
    uint32_t next; /* of the same caller: index + 1 */
};

struct node {
    uint64_t key;
    uint32_t fact, next; /* next: index + 1 */
    bool waits;          /* only while there is no answer */
};

struct stop {
    uint64_t at_ns;
    uint32_t fact;
};

struct tie_open {
    struct tie *t;
    uint32_t *bucket;
    uint64_t mask;
    struct node *node;
    uint32_t n_nodes;
    uint32_t *way_bucket; /* by caller */
    struct way *way;
    uint32_t n_ways;
    uint32_t *seen;  /* of a fact: for whom it was found last, + 1 */
    uint32_t *named; /* likewise, by a name */
    uint32_t *found, n_found;
    struct stop *stop; /* attempts that stopped, in the order of time */
    uint32_t n_stops, at_stop;
    uint32_t *early, n_early; /* those that are to be noted as soon as they have begun */
};

static int by_stop(const void *x, const void *y)
{
    const struct stop *a = x, *b = y;
    return (a->at_ns > b->at_ns) - (a->at_ns < b->at_ns);
}

struct tie_open *tie_open_new(struct tie *t)
{
    struct tie_open *o = mem_zero(sizeof(*o));
    size_t n = t->n_facts + 1u;
    if (!o)
        return NULL;
    o->t = t;
    o->mask = 63;
    while (o->mask < 2 * n)
        o->mask = 2 * o->mask + 1;
    o->bucket = mem_zero((o->mask + 1) * sizeof(*o->bucket));
    o->node = mem_alloc(n * KEYS * sizeof(*o->node));
    o->way_bucket = mem_zero((o->mask + 1) * sizeof(*o->way_bucket));
    o->way = mem_alloc(n * sizeof(*o->way));
    o->seen = mem_zero(n * sizeof(*o->seen));
    o->named = mem_zero(n * sizeof(*o->named));
    o->found = mem_alloc(n * sizeof(*o->found));
    o->stop = mem_alloc(n * sizeof(*o->stop));
    o->early = mem_alloc(n * sizeof(*o->early));
    if (!o->bucket || !o->node || !o->way_bucket || !o->way || !o->seen || !o->named || !o->found ||
        !o->stop || !o->early) {
        tie_open_free(o);
        return NULL;
    }
    for (uint32_t i = 0; i < t->n_facts; i++)
        if (t->fact[i].stop_ns != AN_NEVER)
            o->stop[o->n_stops++] = (struct stop){t->fact[i].stop_ns, i};
    if (o->n_stops)
        qsort(o->stop, o->n_stops, sizeof(*o->stop), by_stop);
    return o;
}

void tie_open_free(struct tie_open *o)
{
    if (!o)
        return;
    mem_free(o->bucket);
    mem_free(o->node);
    mem_free(o->way_bucket);
    mem_free(o->way);
    mem_free(o->seen);
    mem_free(o->named);
    mem_free(o->found);
    mem_free(o->stop);
    mem_free(o->early);
    mem_free(o);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint64_t key_of(enum key_kind kind, uint64_t what)
{
    uint64_t h = (what ^ (uint64_t)kind << 56) * MIX;
    return h ^ h >> 32;
}

static uint64_t text_key(const struct tie_open *o, enum key_kind kind, const struct an_leg *leg,
                         struct an_ref ref)
{
    return key_of(kind, hash_str(&o->t->e->by_call_id, an_leg_text(leg, ref)));
}

/* The number of a host; 0: it is not known. */
static uint64_t host_key(uint32_t host)
{
    return key_of(KEY_HOST, host);
}

static void put(struct tie_open *o, uint64_t key, uint32_t fact, bool waits)
{
    uint32_t *bucket = &o->bucket[key & o->mask];
    o->node[o->n_nodes] = (struct node){key, fact, *bucket, waits};
    *bucket = ++o->n_nodes;
}

static void put_text(struct tie_open *o, enum key_kind kind, uint32_t fact, struct an_ref ref)
{
    const struct an_leg *leg = o->t->fact[fact].leg;
    if (ref.n)
        put(o, text_key(o, kind, leg, ref), fact, false);
}

static uint64_t way_key(uint64_t caller, uint32_t from, uint32_t to)
{
    return key_of(KEY_CALLER, (caller * MIX ^ from) * MIX ^ to);
}

static void put_caller(struct tie_open *o, uint32_t fact)
{
    const struct fact *f = &o->t->fact[fact];
    uint64_t caller = key_of(KEY_CALLER, f->caller.tail);
    uint32_t from = f->from_host, to = f->to_host;
    uint32_t *bucket = &o->way_bucket[caller & o->mask], at = *bucket;
    if (f->caller.silent)
        return;
    put(o, way_key(caller, from, to), fact, false);
    for (; at; at = o->way[at - 1].next)
        if (o->way[at - 1].caller == caller && o->way[at - 1].from == from &&
            o->way[at - 1].to == to)
            return;
    o->way[o->n_ways] = (struct way){caller, from, to, *bucket};
    *bucket = ++o->n_ways;
}

void tie_open_put(struct tie_open *o, uint32_t fact)
{
    const struct fact *f = &o->t->fact[fact];
    const struct an_leg *leg = f->leg;
    put(o, host_key(f->to_host), fact, true);
    put(o, key_of(KEY_CALLEE, f->callee.tail), fact, true);
    put_caller(o, fact);
    if (o->t->e->args.without_names)
        return;
    put_text(o, KEY_CALL_ID, fact, leg->call_id);
    put_text(o, KEY_CALL_ID, fact, leg->x_cid);
    put_text(o, KEY_SESSION, fact, leg->session_id[0]);
    put_text(o, KEY_ICID, fact, leg->icid);
}

/* ---- looking up ------------------------------------------------------------------------------ */

static bool is_over(const struct fact *a, const struct fact *b)
{
    return a->end_ns + OVER_NS < b->start_ns;
}

static void found_add(struct tie_open *o, uint32_t a, uint32_t b)
{
    if (o->seen[a] == b + 1)
        return;
    o->seen[a] = b + 1;
    o->found[o->n_found++] = a;
}

static void look_up(struct tie_open *o, uint32_t b, uint64_t key)
{
    const struct fact *f = &o->t->fact[b];
    uint32_t *where = &o->bucket[key & o->mask];
    while (*where) {
        struct node *n = &o->node[*where - 1];
        const struct fact *a = &o->t->fact[n->fact];
        if (is_over(a, f) || (n->waits && a->answer_ns < f->start_ns)) {
            *where = n->next; /* for all that begin later, too */
            continue;
        }
        if (n->key == key)
            found_add(o, n->fact, b);
        where = &n->next;
    }
}

static void look_up_text(struct tie_open *o, uint32_t b, enum key_kind kind, struct an_ref ref)
{
    uint32_t before = o->n_found;
    if (!ref.n)
        return;
    look_up(o, b, text_key(o, kind, o->t->fact[b].leg, ref));
    for (uint32_t i = before; i < o->n_found; i++)
        o->named[o->found[i]] = b + 1;
}

/* Legs of the same caller, but not those that tie_possible() finds to be siblings or strangers. */
static void look_up_caller(struct tie_open *o, uint32_t b)
{
    const struct fact *f = &o->t->fact[b];
    uint64_t caller = key_of(KEY_CALLER, f->caller.tail);
    uint32_t from = f->from_host, to = f->to_host;
    if (f->caller.silent)
        return;
    for (uint32_t at = o->way_bucket[caller & o->mask]; at; at = o->way[at - 1].next) {
        const struct way *w = &o->way[at - 1];
        bool other = w->to != from && (w->from == from || w->to == to || w->from == to);
        if (w->caller == caller && (!w->to || !other))
            look_up(o, b, way_key(caller, w->from, w->to));
    }
}

/* False: it was there before. The tail of a number has 24 bits. */
static bool is_new(uint32_t set[TAILS], uint32_t tail)
{
    uint32_t at = tail * 0x9e3779b1u;
    for (at = at >> 16 & (TAILS - 1); set[at]; at = (at + 1) & (TAILS - 1))
        if (set[at] == tail + 1)
            return false;
    set[at] = tail + 1;
    return true;
}

/* Whatever number it may name: by any three characters that it may end with, each of them once:
 * "100100100..." would look hundreds of times at all who were called at such a number. */
static void look_up_numbers(struct tie_open *o, uint32_t b, struct an_ref ref)
{
    uint32_t set[TAILS] = {0};
    struct str s = an_leg_text(o->t->fact[b].leg, ref);
    for (size_t i = 0; i + 3 <= s.n && i < TAILS / 2; i++) {
        char c[3] = {chr_lower(s.p[i]), chr_lower(s.p[i + 1]), chr_lower(s.p[i + 2])};
        uint32_t tail = 0;
        memcpy(&tail, c, sizeof(c));
        if (is_new(set, tail))
            look_up(o, b, key_of(KEY_CALLEE, tail));
    }
}

bool tie_open_named(const struct tie_open *o, uint32_t a, uint32_t b)
{
    return o->named[a] == b + 1;
}

uint32_t tie_open_for(struct tie_open *o, uint32_t b, const uint32_t **ret)
{
    const struct fact *f = &o->t->fact[b];
    const struct an_leg *leg = f->leg;
    o->n_found = 0;
    *ret = o->found;
    /* By names first: who is found again is not found anew. */
    if (!o->t->e->args.without_names) {
        look_up_text(o, b, KEY_CALL_ID, leg->x_cid);
        look_up_text(o, b, KEY_CALL_ID, leg->call_id);
        look_up_text(o, b, KEY_SESSION, leg->session_id[0]);
        look_up_text(o, b, KEY_SESSION, leg->session_id[1]);
        look_up_text(o, b, KEY_ICID, leg->icid);
    }
    if (!f->to_host) { /* nothing is known of its way */
        for (uint32_t a = 0; a < b; a++)
            if (!is_over(&o->t->fact[a], f))
                found_add(o, a, b);
        return o->n_found;
    }
    look_up(o, b, host_key(f->from_host));
    look_up(o, b, host_key(0));
    look_up_caller(o, b);
    look_up_numbers(o, b, leg->diversion);
    look_up_numbers(o, b, leg->history);
    return o->n_found;
}

/* ---- attempts that stopped ------------------------------------------------------------------- */

static void note(struct tie_open *o, uint32_t c)
{
    const struct fact *child = &o->t->fact[c];
    if (child->guess == AN_NONE)
        return;
    struct fact *a = &o->t->fact[child->guess];
    if (a->child_stop_ns == AN_NEVER || a->child_stop_ns < child->stop_ns)
        a->child_stop_ns = child->stop_ns;
}

/* An exchange may call the next one in the very turn in which it gives up this one, or before. */
void tie_open_stops(struct tie_open *o, uint32_t b)
{
    uint64_t until = o->t->fact[b].start_ns + TIE_TURN_NS;
    uint32_t still = 0;
    for (; o->at_stop < o->n_stops && o->stop[o->at_stop].at_ns <= until; o->at_stop++)
        o->early[o->n_early++] = o->stop[o->at_stop].fact;
    for (uint32_t i = 0; i < o->n_early; i++)
        if (o->early[i] < b)
            note(o, o->early[i]);
        else
            o->early[still++] = o->early[i];
    o->n_early = still;
}
