/* What the analyser makes of the capture, against what the exchange has recorded. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "analysis/engine.h"
#include "analysis/keep_mem.h"
#include "base/mem.h"
#include "mix.h"

#define MAX_CDRS 512
#define MAX_LEGS 2048
#define MAX_KEPT (64u << 20)
#define NOBODY   UINT32_MAX

/* Columns of STORE_CDR_PUT, then of STORE_CDR_DETAIL_PUT. */
enum { CDR_ID, CDR_SCENARIO, CDR_CALLER, CDR_DIALLED = 4, CDR_DISPOSITION = 15, CDR_LEGS = 21 };
enum { CDR_PARENT = 22, CDR_DETAIL };

struct truth {
    struct str id, scenario, caller, dialled, disposition, parent, detail;
    const struct play *play;
    uint32_t group;  /* of calls that are one: an index of a record */
    uint32_t root;   /* leg of the analyser; NOBODY: not seen */
    uint32_t n_legs; /* seen */
};

struct court {
    struct mix *m;
    struct tally *tally;
    struct an_engine *e;
    struct truth cdr[MAX_CDRS];
    uint32_t n_cdrs;
    uint32_t cdr_of[MAX_LEGS]; /* of a leg of the analyser */
    uint32_t n_legs;
    unsigned legs, right;
};

/* ---- the truth ------------------------------------------------------------------------------- */

static struct str text_at(const struct row_op *op, unsigned i)
{
    return i < op->n && op->v[i].type == ROW_TEXT ? op->v[i].s : STR("");
}

static uint32_t root_of(struct court *c, uint32_t i)
{
    while (c->cdr[i].group != i)
        i = c->cdr[i].group;
    return i;
}

static void same(struct court *c, uint32_t a, uint32_t b)
{
    a = root_of(c, a);
    b = root_of(c, b);
    c->cdr[a < b ? b : a].group = a < b ? a : b;
}

static uint32_t leg_find(const struct court *c, struct str call_id)
{
    for (uint32_t i = 0; i < c->n_legs; i++) {
        const struct an_leg *l = an_engine_leg(c->e, i);
        if (str_eq(an_leg_text(l, l->call_id), call_id))
            return i;
    }
    return NOBODY;
}

/* The legs of a record, from its JSON. */
static void legs_take(struct court *c, uint32_t cdr, struct str json)
{
    static const char key[] = "\"call_id\":\"";
    ptrdiff_t at;
    while ((at = str_ifind(json, STR("\"call_id\":\""))) >= 0) {
        json = str_from(json, (size_t)at + sizeof(key) - 1);
        struct str id = str_sub(json, 0, (size_t)str_chr(json, '"'));
        const struct line *line = mix_line_by_id(c->m, id);
        uint32_t leg = leg_find(c, id);
        if (line && line->play && !c->cdr[cdr].play)
            c->cdr[cdr].play = line->play;
        if (leg == NOBODY)
            continue;
        c->cdr_of[leg] = cdr;
        c->cdr[cdr].n_legs++;
        if (c->cdr[cdr].root == NOBODY)
            c->cdr[cdr].root = leg;
    }
}

static void truth_take(struct court *c, const struct row_op *op)
{
    uint32_t i = c->n_cdrs++;
    BUG_ON(i == MAX_CDRS);
    c->cdr[i] = (struct truth){.id = text_at(op, CDR_ID),
                               .scenario = text_at(op, CDR_SCENARIO),
                               .caller = text_at(op, CDR_CALLER),
                               .dialled = text_at(op, CDR_DIALLED),
                               .disposition = text_at(op, CDR_DISPOSITION),
                               .parent = text_at(op, CDR_PARENT),
                               .detail = text_at(op, CDR_DETAIL),
                               .group = i,
                               .root = NOBODY};
    legs_take(c, i, text_at(op, CDR_LEGS));
}

static bool mixed(const struct truth *t)
{
    return str_ifind(t->detail, STR("phone_mixed")) >= 0;
}

static bool is_one(const struct truth *a, const struct truth *b)
{
    if ((a->parent.n && str_eq(a->parent, b->id)) || (b->parent.n && str_eq(b->parent, a->id)))
        return true;
    if (!a->play || a->play != b->play)
        return false;
    bool room = str_eq(a->scenario, STR("conference")) && str_eq(b->scenario, a->scenario);
    return room || (mixed(a) && mixed(b));
}

static void truth_find(struct court *c)
{
    memset(c->cdr_of, 0xff, sizeof(c->cdr_of));
    list_each(node, &c->m->w.cdrs)
    {
        truth_take(c, &container_of(node, struct world_row, node)->op);
    }
    for (uint32_t i = 0; i < c->n_cdrs; i++)
        for (uint32_t k = 0; k < i; k++)
            if (is_one(&c->cdr[i], &c->cdr[k]))
                same(c, i, k);
}

/* A consultation after which everybody went back may be told with the call or apart. */
static bool may_be_one(struct court *c, uint32_t a, uint32_t b)
{
    const struct play *p = c->cdr[a].play;
    return root_of(c, a) == root_of(c, b) || (p && p->consulted && c->cdr[b].play == p);
}

/* ---- legs ------------------------------------------------------------------------------------ */

static const struct an_call *call_of(const struct court *c, uint32_t leg)
{
    uint32_t i = an_engine_leg(c->e, leg)->call;
    return i == AN_NONE ? NULL : an_engine_call(c->e, i);
}

static bool leg_right(struct court *c, uint32_t leg, const char **why)
{
    const struct an_call *call = call_of(c, leg);
    uint32_t own = c->cdr_of[leg];
    *why = "it is in no call";
    if (!call)
        return false;
    *why = "a leg of its call is missing";
    for (uint32_t i = 0; i < c->n_legs; i++)
        if (c->cdr_of[i] != NOBODY && root_of(c, c->cdr_of[i]) == root_of(c, own) &&
            call_of(c, i) != call)
            return false;
    *why = "a leg of another call is in its call";
    for (uint32_t i = 0; i < call->n_legs; i++) {
        uint32_t cdr = c->cdr_of[call->leg[i]];
        if (cdr != NOBODY && !may_be_one(c, own, cdr))
            return false;
    }
    return true;
}

static void legs_judge(struct court *c)
{
    const char *why;
    for (uint32_t i = 0; i < c->n_legs; i++) {
        if (c->cdr_of[i] == NOBODY)
            continue;
        const struct truth *t = &c->cdr[c->cdr_of[i]];
        bool right = leg_right(c, i, &why);
        c->legs++;
        c->right += right;
        if (!right && c->m->verbose)
            printf("seed %" PRIu64 ": leg %u of %s (%.*s, caller %.*s): %s\n", c->m->seed, i + 1,
                   t->play ? t->play->kind : "?", STR_ARG(t->scenario), STR_ARG(t->caller), why);
    }
    c->tally->legs += c->legs;
    c->tally->legs_right += c->right;
}

/* ---- what it was ----------------------------------------------------------------------------- */

/* Of one attempt nobody can tell that there would have been others. */
static bool is_hunt(enum an_scenario s)
{
    return s == AN_WAS_SEQUENTIAL || s == AN_WAS_PARALLEL;
}

/* The leg that somebody held is of this record. */
static bool call_holds(const struct court *c, const struct truth *t, const struct line *held)
{
    uint32_t leg = leg_find(c, held->ua->call_id);
    return leg != NOBODY && c->cdr_of[leg] == (uint32_t)(t - c->cdr);
}

static enum an_scenario scenario_of(const struct court *c, const struct truth *t)
{
    static const struct {
        struct str word;
        enum an_scenario was;
    } words[] = {
        {STR_INIT("conference"), AN_WAS_CONFERENCE}, {STR_INIT("pickup"), AN_WAS_PICKUP},
        {STR_INIT("transfer"), AN_WAS_TRANSFER},     {STR_INIT("voicemail"), AN_WAS_VOICEMAIL},
        {STR_INIT("sequential"), AN_WAS_SEQUENTIAL}, {STR_INIT("parallel"), AN_WAS_PARALLEL},
        {STR_INIT("forward"), AN_WAS_FORWARD}};
    if (mixed(t))
        return AN_WAS_CONFERENCE;
    /* The record keeps the last word for a call that was several. */
    if (str_ifind(t->detail, STR("\"event\":\"pickup\"")) >= 0)
        return AN_WAS_PICKUP;
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq(t->scenario, words[i].word) && (!is_hunt(words[i].was) || t->n_legs > 2))
            return words[i].was;
    if (str_eq(t->disposition, STR("CANCELLED")))
        return AN_WAS_CANCELLED;
    if (!str_eq(t->disposition, STR("ANSWERED")))
        return AN_WAS_FAILED;
    const struct line *held = t->play && t->play->held ? t->play->held_line : NULL;
    return held && t->root != NOBODY && call_holds(c, t, held) ? AN_WAS_HOLD : AN_WAS_BASIC;
}

/* The strongest of all records of a call. A consultation is a part of another one. */
static enum an_scenario group_scenario(struct court *c, uint32_t g)
{
    enum an_scenario was = AN_SCENARIOS;
    for (uint32_t i = 0; i < c->n_cdrs; i++) {
        bool consult = str_eq(c->cdr[i].scenario, STR("consult"));
        if (root_of(c, i) == g && !consult && scenario_of(c, &c->cdr[i]) < was)
            was = scenario_of(c, &c->cdr[i]);
    }
    return was == AN_SCENARIOS ? AN_WAS_CONSULT : was;
}

static void calls_judge(struct court *c)
{
    for (uint32_t i = 0; i < c->n_cdrs; i++) {
        if (root_of(c, i) != i || c->cdr[i].root == NOBODY)
            continue;
        const struct an_call *call = call_of(c, c->cdr[i].root);
        enum an_scenario was = group_scenario(c, i);
        unsigned said = call ? call->scenario : AN_SCENARIOS;
        c->tally->calls++;
        c->tally->calls_right += said == was;
        c->tally->confused[was][said]++;
        if (said != was && c->m->verbose)
            printf("seed %" PRIu64 ": call %u of %s (caller %.*s) was %.*s, not %.*s\n", c->m->seed,
                   call ? call->number : 0, c->cdr[i].play ? c->cdr[i].play->kind : "?",
                   STR_ARG(c->cdr[i].caller), STR_ARG(an_scenario_word(was)),
                   STR_ARG(call ? an_scenario_word((enum an_scenario)said) : STR("none")));
    }
}

/* ---- codes that pick up ---------------------------------------------------------------------- */

static bool is_code(const struct an_leg *l)
{
    struct str to = an_leg_callee(l);
    return to.n && to.p[0] == '*' && l->answer_ns != AN_NEVER;
}

static const struct an_edge *edge_of(const struct an_call *call, uint32_t leg,
                                     enum an_edge_kind kind)
{
    for (uint32_t i = 0; i < call->n_edges; i++)
        if (call->edge[i].kind == kind &&
            (kind == AN_EDGE_PICKED ? call->edge[i].a == leg || call->edge[i].b == leg
                                    : call->edge[i].b == leg))
            return &call->edge[i];
    return NULL;
}

/* Who called what this leg has picked up: of a call that was several, not always its caller. */
static struct str caller_behind(const struct court *c, const struct an_call *call, uint32_t leg)
{
    const struct an_edge *picked = edge_of(call, leg, AN_EDGE_PICKED);
    if (!picked)
        return an_text_get(&call->text, call->caller);
    uint32_t rang = picked->a == leg ? picked->b : picked->a;
    const struct an_edge *dialed = edge_of(call, rang, AN_EDGE_DIALED);
    struct str user = an_leg_caller(an_engine_leg(c->e, dialed ? dialed->a : rang));
    ptrdiff_t q = str_chr(user, 'Q');
    return q < 0 ? user : str_from(user, (size_t)q + 1);
}

static void codes_judge(struct court *c)
{
    for (uint32_t i = 0; i < c->n_legs; i++) {
        const struct an_leg *l = an_engine_leg(c->e, i);
        const struct an_call *call = call_of(c, i);
        if (c->cdr_of[i] == NOBODY || !is_code(l) || !call)
            continue;
        const struct truth *t = &c->cdr[c->cdr_of[i]];
        struct str caller = an_text_get(&call->text, call->caller);
        bool with_root = t->root != NOBODY && call_of(c, t->root) == call;
        bool right = with_root &&
                     (str_eq(caller, t->caller) || str_eq(caller_behind(c, call, i), t->caller));
        c->tally->codes++;
        if (call->caller_unknown)
            c->tally->codes_unknown++;
        else if (right)
            c->tally->codes_right++;
        else
            c->tally->codes_wrong++;
        if (!right && c->m->verbose)
            printf("seed %" PRIu64 ": leg %u, call %u of %s: caller \"%.*s\"%s, was \"%.*s\"\n",
                   c->m->seed, i + 1, call->number, t->play ? t->play->kind : "?", STR_ARG(caller),
                   call->caller_unknown ? " (unknown)" : "", STR_ARG(t->caller));
    }
}

/* ---- how sure it was ------------------------------------------------------------------------- */

static void edges_judge(struct court *c)
{
    for (uint32_t i = 0; i < an_engine_calls(c->e); i++) {
        const struct an_call *call = an_engine_call(c->e, i);
        for (uint32_t k = 0; k < call->n_edges; k++) {
            const struct an_edge *g = &call->edge[k];
            uint32_t a = c->cdr_of[g->a], b = c->cdr_of[g->b];
            if (a == NOBODY || b == NOBODY)
                continue;
            bool right = may_be_one(c, a, b);
            c->tally->decile[g->confidence / 10]++;
            c->tally->decile_right[g->confidence / 10] += right;
            if (!right && c->m->verbose) {
                printf("seed %" PRIu64 ": %.*s %u->%u %u%%:", c->m->seed,
                       STR_ARG(an_edge_word(g->kind)), g->a + 1, g->b + 1, g->confidence);
                for (unsigned x = 0; x < g->n_proofs; x++)
                    printf(" %.*s%+d", STR_ARG(an_evidence_word(g->proof[x].what)),
                           g->proof[x].points);
                printf("\n");
            }
        }
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Other exchanges say less: the names of header fields are spoilt, their lengths stay. */
static void mask(struct mix *m)
{
    static const char *const fields[][2] = {
        {"\r\nX-CID:", "\r\nX-ZZZ:"},
        {"\r\nSession-ID:", "\r\nXession-XX:"},
        {"\r\nP-Asserted-Identity:", "\r\nX-Xsserted-Xxxxxxxx:"},
        {"\r\nReason:", "\r\nX-eson:"},
        {"\r\nReferred-By:", "\r\nX-ferred-By:"},
    };
    unsigned n = m->mask ? ARRAY_LEN(fields) : 2;
    for (unsigned i = 0; i < n; i++) {
        size_t len = strlen(fields[i][0]);
        char *p = m->capture, *end = m->capture + m->capture_n;
        while ((p = memmem(p, (size_t)(end - p), fields[i][0], len))) {
            memcpy(p, fields[i][1], len);
            p += len;
        }
    }
}

static void read_out(struct an_input *in, struct an_engine *e, struct live *l)
{
    struct an_datum d;
    while (an_input_next(in, &d)) {
        an_engine_rx(e, &d);
        live_rx(l, &d);
    }
}

static int analyse(struct mix *m, struct an_engine *e, struct live *l)
{
    static struct cap cap; /* too large for the stack; written before it is read */
    const uint8_t *p = (const uint8_t *)m->capture;
    size_t n = m->capture_n, used;
    struct an_input *in;
    struct cap_frame f;
    int err = an_input_new(&in, NULL);
    if (err)
        return err;
    cap_init(&cap);
    while (cap_next(&cap, p, n, true, &f, &used) == 1) {
        p += used;
        n -= used;
        an_input_frame(in, &f);
        read_out(in, e, l);
    }
    an_input_end(in);
    read_out(in, e, l);
    an_input_free(in);
    return an_engine_settle(e);
}

static void save(const struct mix *m)
{
    const char *dir = getenv("RD_MIX_KEEP");
    char path[256];
    if (!dir)
        return;
    snprintf(path, sizeof(path), "%s/mix-%" PRIu64 ".pcap", dir, m->seed);
    FILE *file = fopen(path, "wb");
    if (!file)
        return;
    fwrite(m->capture, 1, m->capture_n, file);
    fclose(file);
}

int judge(struct mix *m, struct tally *t)
{
    struct an_engine_args args = {.seed = 1, .max_legs = MAX_LEGS, .without_names = true};
    static struct court court; /* too large for the stack; cleared for each mixture */
    struct court *c = &court;
    struct live live = {0};
    struct an_keep_mem *keep = NULL;
    *c = (struct court){.m = m, .tally = t};
    mask(m);
    save(m);
    int err = an_keep_mem_new(&keep, MAX_KEPT);
    args.keep = keep ? an_keep_mem_ops(keep) : NULL;
    if (!err)
        err = an_engine_new(&c->e, &args);
    if (!err)
        err = live_begin(&live);
    if (!err)
        err = analyse(m, c->e, &live);
    if (!err)
        err = live_end(&live, c->e, m, t);
    if (!err) {
        c->n_legs = an_engine_legs(c->e);
        truth_find(c);
        legs_judge(c);
        calls_judge(c);
        codes_judge(c);
        edges_judge(c);
        t->seeds++;
        unsigned percent = c->legs ? 100 * c->right / c->legs : 100;
        if (percent < t->worst_percent || t->seeds == 1) {
            t->worst_percent = percent;
            t->worst = m->seed;
        }
    }
    live_done(&live);
    an_engine_free(c->e);
    an_keep_mem_free(keep);
    return err;
}
