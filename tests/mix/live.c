/* The same mixture as it goes by: an engine that hands over each call when it is over and forgets
 * it must say of each what an engine says that has kept everything. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/engine.h"
#include "analysis/explain.h"
#include "analysis/keep_mem.h"
#include "base/mem.h"
#include "mix.h"

#define SECOND    1000000000ull
#define LINGER_NS (30 * SECOND)
#define IDLE_NS   (1800 * SECOND)
#define MAX_KEPT  (64u << 20)
#define MAX_SAID  65536

struct said {
    uint32_t id;
    char *text;
};

int live_begin(struct live *l)
{
    *l = (struct live){0};
    int err = an_keep_mem_new(&l->keep, MAX_KEPT);
    if (err)
        return err;
    struct an_engine_args args = {.seed = 1,
                                  .max_legs = 2048,
                                  .keep = an_keep_mem_ops(l->keep),
                                  .without_names = true,
                                  .forgets = true};
    return an_engine_new(&l->e, &args);
}

void live_done(struct live *l)
{
    for (uint32_t i = 0; i < l->n_said; i++)
        mem_free(l->said[i].text);
    mem_free(l->said);
    an_engine_free(l->e);
    an_keep_mem_free(l->keep);
}

/* ---- what is said of a call ------------------------------------------------------------------ */

/* All but how sure it is, since legs that were rivals may be gone. */

static void put_ref(struct buf *b, const struct an_call *call, const char *what, struct an_ref ref)
{
    buf_printf(b, " %s=" STR_FMT, what, STR_ARG(an_text_get(&call->text, ref)));
}

static unsigned number_of(const struct an_engine *e, uint32_t leg)
{
    return leg == AN_NONE ? 0 : an_engine_leg(e, leg)->number;
}

static void put_traits(struct buf *b, const struct an_engine *e, const struct an_call *call)
{
    for (uint32_t i = 0; i < call->n_traits; i++) {
        const struct an_trait *t = &call->trait[i];
        struct str word = an_scenario_word((enum an_scenario)t->scenario);
        buf_printf(b, "\n  " STR_FMT " %s leg %u other %u who %u target %u", STR_ARG(word), t->form,
                   number_of(e, t->leg), number_of(e, t->other), number_of(e, t->who),
                   number_of(e, t->target));
    }
}

static void put_edges(struct buf *b, const struct an_engine *e, const struct an_call *call)
{
    for (uint32_t i = 0; i < call->n_edges; i++) {
        const struct an_edge *g = &call->edge[i];
        struct str word = an_edge_word((enum an_edge_kind)g->kind);
        buf_printf(b, "\n  " STR_FMT " %u-%u", STR_ARG(word), number_of(e, g->a),
                   number_of(e, g->b));
    }
}

static void put_findings(struct buf *b, const struct an_engine *e, uint32_t call)
{
    struct an_findings found;
    if (an_explain(e, call, &found) == 0)
        for (uint32_t i = 0; i < found.n; i++) {
            const struct an_finding *f = &found.v[i];
            buf_printf(b, "\n  leg %u frame %u x%u: ", number_of(e, f->leg),
                       (unsigned)(f->n_frames ? f->frame[0] : 0), f->count);
            an_finding_put(b, &found, f, AN_ENGLISH);
        }
    an_findings_done(&found);
}

static char *say(const struct an_engine *e, uint32_t index)
{
    const struct an_call *call = an_engine_call(e, index);
    struct str scenario = an_scenario_word((enum an_scenario)call->scenario);
    struct str outcome = an_outcome_word((enum an_outcome)call->outcome);
    char *text = mem_zero(MAX_SAID);
    struct buf b;
    if (!text)
        return NULL;
    buf_init(&b, text, MAX_SAID - 1);
    buf_printf(&b, "%u " STR_FMT " " STR_FMT " %u", call->id, STR_ARG(scenario), STR_ARG(outcome),
               call->status);
    put_ref(&b, call, "caller", call->caller);
    put_ref(&b, call, "name", call->caller_name);
    put_ref(&b, call, "dialled", call->dialled);
    put_ref(&b, call, "callee", call->callee);
    put_ref(&b, call, "answered", call->answered_by);
    buf_lit(&b, " legs");
    for (uint32_t i = 0; i < call->n_legs; i++)
        buf_printf(&b, " %u", number_of(e, call->leg[i]));
    put_edges(&b, e, call);
    put_traits(&b, e, call);
    put_findings(&b, e, index);
    char *fits = mem_resize(text, b.n + 1);
    return fits ? fits : text;
}

/* ---- while it goes on ------------------------------------------------------------------------ */

static void handed(void *user, struct an_engine *e, uint32_t call, bool idle)
{
    struct live *l = user;
    (void)idle;
    if (l->n_said == l->cap_said) {
        uint32_t cap = l->cap_said ? 2 * l->cap_said : 64;
        struct said *v = mem_resize(l->said, cap * sizeof(*v));
        if (!v) {
            l->failed = true;
            return;
        }
        l->said = v;
        l->cap_said = cap;
    }
    l->said[l->n_said++] = (struct said){an_engine_call(e, call)->id, say(e, call)};
}

static void second(struct live *l, uint64_t now_ns)
{
    struct an_retire r = {
        .now_ns = now_ns, .linger_ns = LINGER_NS, .idle_ns = IDLE_NS, .done = handed, .user = l};
    l->failed |= an_engine_retire(l->e, &r) != 0;
}

void live_rx(struct live *l, const struct an_datum *d)
{
    if (!l->next_ns)
        l->next_ns = d->at_ns + SECOND;
    for (; l->next_ns <= d->at_ns; l->next_ns += SECOND)
        second(l, l->next_ns);
    l->last_ns = d->at_ns > l->last_ns ? d->at_ns : l->last_ns;
    an_engine_rx(l->e, d);
}

/* ---- the comparison -------------------------------------------------------------------------- */

static int by_id(const void *x, const void *y)
{
    const struct said *a = x, *b = y;
    return (a->id > b->id) - (a->id < b->id);
}

static const char *said_of(const struct live *l, uint32_t id)
{
    struct said key = {.id = id};
    const struct said *s = l->n_said ? bsearch(&key, l->said, l->n_said, sizeof(key), by_id) : NULL;
    return s && s->text ? s->text : "(nothing)";
}

static void compare(const struct live *l, const struct an_engine *whole, const struct mix *m,
                    struct tally *t)
{
    for (uint32_t i = 0; i < an_engine_calls(whole); i++) {
        char *text = say(whole, i);
        const char *live = said_of(l, an_engine_call(whole, i)->id);
        bool same = text && !strcmp(text, live);
        t->live_calls++;
        t->live_wrong += !same;
        if (!same && m->verbose)
            printf("seed %" PRIu64 ": in the end: %s\nwhile it went on: %s\n", m->seed,
                   text ? text : "", live);
        mem_free(text);
    }
}

int live_end(struct live *l, const struct an_engine *whole, const struct mix *m, struct tally *t)
{
    struct an_engine_size size;
    uint64_t end = l->last_ns + IDLE_NS + LINGER_NS;
    for (; l->next_ns && l->next_ns <= end; l->next_ns += SECOND)
        second(l, l->next_ns);
    if (l->failed)
        return -ENOMEM;
    if (l->n_said)
        qsort(l->said, l->n_said, sizeof(*l->said), by_id);
    compare(l, whole, m, t);
    t->live_wrong += l->n_said > an_engine_calls(whole) ? l->n_said - an_engine_calls(whole) : 0;
    an_engine_size(l->e, &size);
    struct an_keep_mem_stats kept = an_keep_mem_stats(l->keep);
    bool left = size.bytes || size.legs || size.streams || size.calls || size.addresses ||
                size.messages || kept.bytes || kept.refused;
    t->live_left += left;
    if (left && m->verbose)
        printf("seed %" PRIu64 ": left are %u legs, %u streams, %u calls, %u addresses, %" PRIu64
               " bytes, %" PRIu64 " kept, %" PRIu64 " refused\n",
               m->seed, size.legs, size.streams, size.calls, size.addresses, size.bytes, kept.bytes,
               kept.refused);
    return 0;
}
