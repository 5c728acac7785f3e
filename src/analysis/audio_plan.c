/* Who is heard in a call: the phones, not the exchange between them, which sends each of them what
 * the others say. */
#include "analysis/audio.h"

#include "analysis/scenario.h"

#define PASSING_NS 400000000ull
#define ALIKE      3 /* fingerprints in common: the same sound */

/* One call while its plan is made. */
struct planner {
    const struct an_engine *e;
    const struct an_rtp *rtp;
    const struct an_call *call;
    struct an_plan *plan;
};

/* ---- the exchange ---------------------------------------------------------------------------- */

static const struct addr *host_of(const struct an_leg *leg, unsigned side)
{
    return side < leg->n_hosts ? &leg->host[side] : NULL;
}

/* In how many legs of the call a host is. */
static unsigned legs_with(const struct planner *p, const struct addr *host)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < p->call->n_legs; i++) {
        const struct an_leg *leg = an_engine_leg(p->e, p->call->leg[i]);
        bool in = false;
        for (unsigned side = 0; side < 2; side++) {
            const struct addr *h = host_of(leg, side);
            in |= h && addr_ip_eq(h, host);
        }
        n += in;
    }
    return n;
}

/* What ties two legs says which end of each is the exchange. Above 0: it is the exchange; below: it
 * is not. */
static int by_edges(const struct planner *p, uint32_t leg, unsigned side)
{
    for (uint32_t i = 0; i < p->call->n_edges; i++) {
        const struct an_edge *e = &p->call->edge[i];
        if (e->kind == AN_EDGE_DIALED && e->a == leg)
            return side == AN_CALLEE ? 1 : -1;
        if ((e->kind == AN_EDGE_DIALED || e->kind == AN_EDGE_TRANSFER) && e->b == leg)
            return side == AN_CALLER ? 1 : -1;
    }
    return 0;
}

static bool is_exchange(const struct planner *p, uint32_t leg, unsigned side)
{
    int said = by_edges(p, leg, side);
    if (said || p->call->n_legs < 2)
        return said > 0;
    const struct an_leg *l = an_engine_leg(p->e, leg);
    const struct addr *own = host_of(l, side), *other = host_of(l, !side);
    if (!own || !other)
        return false;
    return legs_with(p, own) > legs_with(p, other);
}

/* ---- tracks ---------------------------------------------------------------------------------- */

static struct str number_of(const struct an_leg *leg, unsigned side)
{
    return call_extension(side == AN_CALLER ? an_leg_caller(leg) : an_leg_callee(leg));
}

static bool same_ip(const struct planner *p, const struct an_stream *s, const struct an_track *t)
{
    for (uint32_t i = 0; i < p->plan->n_sources; i++) {
        const struct an_source *o = &p->plan->source[i];
        if (&p->plan->track[o->track] == t &&
            addr_ip_eq(&an_rtp_stream(p->rtp, o->stream)->src, &s->src))
            return true;
    }
    return false;
}

/* A phone that is in two legs is one participant. */
static struct an_track *track_get(const struct planner *p, uint32_t leg, unsigned side,
                                  const struct an_stream *s)
{
    const struct an_leg *l = an_engine_leg(p->e, leg);
    struct str number = str_sub(number_of(l, side), 0, AN_AUDIO_NAME - 1);
    for (uint32_t i = 0; i < p->plan->n_tracks; i++) {
        struct an_track *t = &p->plan->track[i];
        if ((t->leg == leg && t->side == side) ||
            (t->leg != leg && number.n && str_eq(str_z(t->name), number) && same_ip(p, s, t)))
            return t;
    }
    if (p->plan->n_tracks == AN_AUDIO_MAX_TRACKS)
        return NULL;
    struct an_track *t = &p->plan->track[p->plan->n_tracks++];
    *t = (struct an_track){.leg = leg, .side = (uint8_t)side};
    if (!number.n)
        number = side == AN_CALLER ? STR("caller") : STR("callee");
    str_copy_z(t->name, sizeof(t->name), number);
    return t;
}

/* ---- sources --------------------------------------------------------------------------------- */

static const struct an_tie *tie_to(const struct an_stream *s, uint32_t leg)
{
    for (unsigned i = 0; i < s->n_ties; i++)
        if (s->tie[i].leg == leg)
            return &s->tie[i];
    return NULL;
}

static bool is_audio(const struct an_stream *s)
{
    const struct an_format *f = an_stream_format(s);
    return s->packets && (s->kind == SDP_AUDIO || s->kind == SDP_OTHER) && f &&
           f->codec != CODEC_EVENT && f->clock_hz != 90000;
}

static bool is_same(const struct an_stream *a, const struct an_stream *b)
{
    return (a->ssrc == b->ssrc && a->first_ns <= b->last_ns && b->first_ns <= a->last_ns) ||
           an_stream_alike(a, b, PASSING_NS) >= ALIKE;
}

/* Passed on, by a relay or an exchange: another stream of the list is the same sound and was there
 * before, nearer to who speaks. */
static bool is_passed_on(const struct planner *p, const uint32_t *list, uint32_t n,
                         const struct an_stream *s)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct an_stream *o = an_rtp_stream(p->rtp, list[i]);
        if (o != s && is_audio(o) && is_same(o, s) &&
            (o->first_ns < s->first_ns || (o->first_ns == s->first_ns && o->number < s->number)))
            return true;
    }
    return false;
}

/* When its first packet should have come, had it been as fast as others. */
static uint64_t begin_of(const struct an_stream *s)
{
    const struct an_timing *t = &s->time;
    int64_t least = t->windows ? s->drift.first_least_ns : t->least_ns;
    bool known = t->known && !s->jumps && !s->restarts && least > 0;
    return known && (uint64_t)least < s->first_ns &&
                   (uint64_t)least + AN_AUDIO_DEPTH_MS * MS > s->first_ns
               ? (uint64_t)least
               : s->first_ns;
}

/* The same, of the other legs of the call, where what ties them does not tell which end is the
 * exchange. */
static bool is_heard_elsewhere(const struct planner *p, uint32_t leg, const struct an_stream *s)
{
    for (uint32_t i = 0; i < p->call->n_legs; i++) {
        uint32_t n, other = p->call->leg[i];
        const uint32_t *list = an_rtp_leg(p->rtp, other, &n);
        for (uint32_t k = 0; k < n && other != leg; k++) {
            const struct an_stream *o = an_rtp_stream(p->rtp, list[k]);
            if (o->first_ns < s->first_ns && is_audio(o) &&
                !is_exchange(p, other, tie_to(o, other)->side) &&
                an_stream_alike(o, s, PASSING_NS) >= ALIKE)
                return true;
        }
    }
    return false;
}

static uint32_t rate_of(const struct an_stream *s)
{
    const struct an_format *f = an_stream_format(s);
    struct media_format m = {.codec = f->codec, .clock_hz = f->clock_hz};
    uint32_t rate = codec_rate(&m);
    return rate > 16000 ? 48000 : rate > 8000 ? 16000 : 8000;
}

static bool source_add(struct an_plan *plan, const struct an_source *source,
                       const struct an_stream *s)
{
    if (plan->n_sources == AN_AUDIO_MAX_SOURCES) {
        plan->left_out++;
        return false;
    }
    uint64_t first_ns = begin_of(s);
    if (!plan->n_sources || first_ns < plan->from_ns)
        plan->from_ns = first_ns;
    if (!plan->n_sources || s->last_ns > plan->to_ns)
        plan->to_ns = s->last_ns;
    uint32_t rate = rate_of(s);
    plan->rate_hz = rate > plan->rate_hz ? rate : plan->rate_hz;
    plan->source[plan->n_sources++] = *source;
    return true;
}

static bool is_planned(const struct an_plan *plan, uint32_t stream)
{
    for (uint32_t i = 0; i < plan->n_sources; i++)
        if (plan->source[i].stream == stream)
            return true;
    return false;
}

static void leg_add(const struct planner *p, uint32_t leg, uint8_t rank)
{
    uint32_t n;
    const uint32_t *list = an_rtp_leg(p->rtp, leg, &n);
    for (uint32_t i = 0; i < n; i++) {
        const struct an_stream *s = an_rtp_stream(p->rtp, list[i]);
        const struct an_tie *tie = tie_to(s, leg);
        if (!is_audio(s) || is_planned(p->plan, list[i]) || is_exchange(p, leg, tie->side) ||
            is_passed_on(p, list, n, s) || is_heard_elsewhere(p, leg, s))
            continue;
        struct an_track *t = track_get(p, leg, tie->side, s);
        if (!t) {
            p->plan->left_out++;
            continue;
        }
        struct an_source source = {.stream = list[i],
                                   .number = s->number,
                                   .leg = leg,
                                   .side = tie->side,
                                   .track = (uint8_t)(t - p->plan->track),
                                   .rank = rank};
        (void)source_add(p->plan, &source, s);
    }
}

/* ---- covers ---------------------------------------------------------------------------------- */

static void cover_add(struct an_plan *plan, uint32_t leg, unsigned side,
                      const struct an_trait *trait)
{
    for (uint32_t i = 0; i < plan->n_tracks; i++)
        if (plan->track[i].leg == leg && plan->track[i].side == side &&
            plan->n_covers < AN_AUDIO_MAX_COVERS)
            plan->cover[plan->n_covers++] = (struct an_cover){
                .track = (uint8_t)i, .from_ns = trait->from_ns, .to_ns = trait->to_ns};
}

/* While a phone mixes, what it says to the one is what it and the other say. */
static void covers_add(const struct planner *p, const struct an_trait *trait)
{
    if (trait->scenario != AN_WAS_CONFERENCE || !str_eq(str_z(trait->form), STR("phone_mixed")) ||
        trait->other == AN_NONE || trait->from_ns == AN_NEVER)
        return;
    for (unsigned side = 0; side < 2; side++)
        if (side != AN_CALLER)
            cover_add(p->plan, trait->other, side, trait);
    for (uint32_t i = 0; i < p->call->n_edges; i++) {
        const struct an_edge *e = &p->call->edge[i];
        if (e->kind == AN_EDGE_DIALED && e->a == trait->other)
            cover_add(p->plan, e->b, AN_CALLEE, trait);
    }
}

void an_audio_plan(const struct an_engine *e, uint32_t call, struct an_plan *ret)
{
    struct planner p = {
        .e = e, .rtp = an_engine_rtp(e), .call = an_engine_call(e, call), .plan = ret};
    memset(ret, 0, sizeof(*ret));
    ret->rate_hz = 8000;
    for (uint32_t i = 0; i < p.call->n_legs; i++)
        leg_add(&p, p.call->leg[i], (uint8_t)(i < UINT8_MAX ? i : UINT8_MAX));
    for (uint32_t i = 0; i < p.call->n_traits; i++)
        covers_add(&p, &p.call->trait[i]);
}

bool an_audio_plan_add(const struct an_engine *e, uint32_t stream, struct an_plan *plan)
{
    const struct an_stream *s = an_rtp_stream(an_engine_rtp(e), stream);
    if (!plan->rate_hz)
        plan->rate_hz = 8000;
    if (!is_audio(s) || plan->n_tracks == AN_AUDIO_MAX_TRACKS)
        return false;
    struct an_track *t = &plan->track[plan->n_tracks];
    struct buf b;
    *t = (struct an_track){.leg = s->leg, .side = s->side};
    buf_init(&b, t->name, sizeof(t->name) - 1);
    addr_put(&b, &s->src);
    struct an_source source = {.stream = stream,
                               .number = s->number,
                               .leg = s->leg,
                               .side = s->side,
                               .track = (uint8_t)plan->n_tracks};
    if (!source_add(plan, &source, s))
        return false;
    plan->n_tracks++;
    return true;
}
