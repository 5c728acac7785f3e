/* Which leg a stream belongs to: addresses that descriptions named, and the streams that begin and
 * end there. Ports are used again by later calls, so that only legs that are not over have a say.
 */
#include "analysis/rtp_int.h"

#include "wire/sdp/codec.h"

#define GRACE_NS  (10000 * RTP_MS) /* packets may come so long after the end of a leg */
#define PAUSE_NS  (1000 * RTP_MS)
#define LOOK_BACK 32 /* streams of one address that are looked at, the latest */
#define SWEEPS    2

/* ---- places ---------------------------------------------------------------------------------- */

static bool ended(const struct an_leg *leg, uint64_t at_ns)
{
    return leg->end_ns != AN_NEVER && leg->end_ns <= at_ns;
}

/* Legs are forgotten without notice here: their place in the table is empty then, or another leg's.
 */
static bool claim_stands(const struct rtp_claim *c)
{
    return c->leg->number == c->number;
}

static bool claim_holds(const struct rtp_claim *c, uint64_t now_ns)
{
    if (!claim_stands(c))
        return false;
    /* A leg that began later has taken the place of the one that said it. */
    return c->leg->first_ns <= c->at_ns &&
           (c->leg->end_ns == AN_NEVER || now_ns <= c->leg->end_ns + GRACE_NS);
}

void rtp_places_sweep(struct an_rtp *r, uint64_t now_ns, unsigned n)
{
    for (unsigned i = 0; i < n && r->places.fresh; i++) {
        if (++r->sweep >= r->places.fresh)
            r->sweep = 0;
        struct rtp_place *p =
            (struct rtp_place *)(void *)(r->places.mem + (size_t)r->sweep * r->places.item_bytes);
        bool needed = !(r->places.gen[r->sweep] & 1) || p->n_streams;
        for (unsigned k = 0; !needed && k < p->n_claims; k++)
            needed = claim_holds(&p->claim[k], now_ns);
        if (needed)
            continue;
        hash_remove(&r->by_addr, &p->node);
        slot_put(&r->places, slot_handle(&r->places, p));
    }
}

struct rtp_place *rtp_place_get(struct an_rtp *r, const struct addr *a, bool make)
{
    uint64_t hash = rtp_addr_hash(r, a);
    hash_each(node, &r->by_addr, hash)
    {
        struct rtp_place *p = container_of(node, struct rtp_place, node);
        if (addr_eq(&p->at, a))
            return p;
    }
    handle_t h;
    struct rtp_place *p = make ? slot_take(&r->places, &h) : NULL;
    if (!p) {
        r->stats.addresses_refused += make;
        return NULL;
    }
    p->at = *a;
    hash_put(&r->by_addr, &p->node, hash);
    return p;
}

bool rtp_expected(struct an_rtp *r, const struct an_datum *d)
{
    const struct addr *at[2] = {&d->dst, &d->src};
    for (unsigned i = 0; i < 2; i++) {
        const struct rtp_place *p = rtp_place_get(r, at[i], false);
        for (unsigned k = 0; p && k < p->n_claims; k++)
            if (claim_holds(&p->claim[k], d->at_ns))
                return true;
    }
    return false;
}

/* ---- what descriptions say ------------------------------------------------------------------- */

static uint8_t name_put(struct an_rtp *r, struct str name)
{
    char z[RTP_NAME_BYTES];
    str_copy_z(z, sizeof(z), name);
    for (uint8_t i = 0; i < r->n_names; i++)
        if (str_ieq(str_z(r->name[i]), str_z(z)))
            return i;
    if (r->n_names == RTP_NAMES)
        return 0;
    memcpy(r->name[r->n_names], z, sizeof(z));
    return r->n_names++;
}

static struct an_format format_of(struct an_rtp *r, struct str name, uint32_t clock_hz, uint8_t pt)
{
    return (struct an_format){.pt = pt,
                              .codec = (uint8_t)codec_find(name, clock_hz),
                              .name = name_put(r, name),
                              .clock_hz = clock_hz};
}

static void claim_set(struct an_rtp *r, struct rtp_claim *c, const struct an_leg *leg,
                      const struct an_media *m)
{
    c->n_formats = 0;
    for (unsigned i = 0; i < m->n_codecs; i++) {
        struct str name = an_leg_text(leg, m->codec[i].name);
        if (name.n)
            c->format[c->n_formats++] = format_of(r, name, m->codec[i].clock, m->codec[i].pt);
    }
}

/* What was sent to or from here before may belong to another leg from now on. */
static void look_again(struct an_rtp *r, const struct rtp_place *p)
{
    uint32_t at = p->receives;
    for (unsigned i = 0; at && i < LOOK_BACK; i++) {
        rtp_stream(r, at)->split = true;
        at = r->link[at - 1].next_received;
    }
    at = p->sends;
    for (unsigned i = 0; at && i < LOOK_BACK; i++) {
        rtp_stream(r, at)->split = true;
        at = r->link[at - 1].next_sent;
    }
}

/* The room of the same leg and side, of a leg that is no more, or of the oldest. */
static unsigned claim_room(struct rtp_place *p, const struct an_leg *leg, uint8_t side)
{
    unsigned stale = p->n_claims;
    for (unsigned i = 0; i < p->n_claims; i++) {
        if (!claim_stands(&p->claim[i]))
            stale = i;
        else if (p->claim[i].leg == leg && p->claim[i].side == side)
            return i;
    }
    if (stale < p->n_claims)
        return stale;
    return p->n_claims < RTP_PLACE_LEGS ? p->n_claims++ : RTP_PLACE_LEGS - 1;
}

/* The latest comes first. */
static struct rtp_claim *claim_get(struct rtp_place *p, const struct an_leg *leg, uint8_t side)
{
    unsigned i = claim_room(p, leg, side);
    memmove(&p->claim[1], &p->claim[0], i * sizeof(p->claim[0]));
    return &p->claim[0];
}

void an_rtp_expect(struct an_rtp *r, const struct an_leg *leg, const struct an_sdp *sdp, uint8_t i)
{
    const struct an_media *m = &sdp->media[i];
    if (m->rtp.family == ADDR_NONE || !m->rtp.port || addr_is_any(&m->rtp))
        return;
    rtp_places_sweep(r, sdp->at_ns, SWEEPS);
    struct rtp_place *p = rtp_place_get(r, &m->rtp, true);
    if (!p)
        return;
    struct rtp_claim *c = claim_get(p, leg, sdp->side);
    *c = (struct rtp_claim){.leg = leg,
                            .number = leg->number,
                            .at_ns = sdp->at_ns,
                            .side = sdp->side,
                            .media = i,
                            .kind = m->kind,
                            .secure = m->secure};
    claim_set(r, c, leg, m);
    look_again(r, p);
}

/* ---- ties ------------------------------------------------------------------------------------ */

struct choice {
    struct rtp_claim *claim;
    struct an_tie tie;
    unsigned weight;
};

static const struct rtp_claim *claim_of(const struct rtp_place *p, const struct an_leg *leg,
                                        unsigned side)
{
    for (unsigned i = 0; p && i < p->n_claims; i++)
        if (p->claim[i].leg == leg && p->claim[i].side == side && claim_stands(&p->claim[i]))
            return &p->claim[i];
    return NULL;
}

/* All legs that may have sent it: those that named both its ends before those that named its
 * destination, those before those that named its source, whose phone is behind a NAT; the latest
 * of equals; and legs that are over only if there is no other. */
static unsigned choices_find(struct an_rtp *r, const struct an_stream *s, uint64_t now_ns,
                             struct choice out[2 * RTP_PLACE_LEGS])
{
    struct rtp_place *place[2] = {rtp_place_get(r, &s->dst, false),
                                  rtp_place_get(r, &s->src, false)};
    unsigned n = 0;
    for (unsigned end = 0; end < 2; end++)
        for (unsigned i = 0; place[end] && i < place[end]->n_claims; i++) {
            struct rtp_claim *c = &place[end]->claim[i];
            bool both = claim_of(place[!end], c->leg, !c->side) != NULL;
            if (!claim_holds(c, now_ns) || (end && both))
                continue;
            out[n++] =
                (struct choice){.claim = c,
                                .tie = {.leg = c->leg->index,
                                        .side = end ? c->side : !c->side,
                                        .media = c->media,
                                        .at_ns = c->at_ns},
                                .weight = (ended(c->leg, now_ns) ? 0 : 4u) + (both ? 2u : !end)};
        }
    return n;
}

/* The best of them, the latest first. */
static unsigned choices_keep(struct choice *c, unsigned n)
{
    unsigned best = 0, out = 0;
    for (unsigned i = 0; i < n; i++)
        best = c[i].weight > best ? c[i].weight : best;
    for (unsigned i = 0; i < n; i++) {
        if (c[i].weight != best)
            continue;
        struct choice this = c[i];
        unsigned k = out++;
        for (; k > 0 && c[k - 1].tie.at_ns < this.tie.at_ns; k--)
            c[k] = c[k - 1];
        c[k] = this;
    }
    return out < AN_RTP_MAX_TIES ? out : AN_RTP_MAX_TIES;
}

static void ties_set(struct an_stream *s, const struct choice *c, unsigned n)
{
    s->n_ties = (uint8_t)n;
    for (unsigned i = 0; i < n; i++)
        s->tie[i] = c[i].tie;
    s->leg = n ? c[0].tie.leg : AN_NONE;
    s->side = n ? c[0].tie.side : 0;
    s->media = n ? c[0].tie.media : 0;
    s->kind = n ? c[0].claim->kind : 0;
    s->secure = n && c[0].claim->secure;
}

/* Those of another leg beside what there is. */
static void ties_add(struct an_stream *s, const struct choice *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        unsigned k = 0;
        while (k < s->n_ties && s->tie[k].leg != c[i].tie.leg)
            k++;
        if (k < s->n_ties)
            s->tie[k] = c[i].tie;
        else if (s->n_ties < AN_RTP_MAX_TIES)
            s->tie[s->n_ties++] = c[i].tie;
    }
}

static void formats_again(struct an_rtp *r, struct an_stream *s)
{
    for (unsigned i = 0; i < s->n_formats; i++)
        rtp_format_find(r, s, &s->format[i]);
}

/* Streams of one source and destination follow each other when a sender changes its SSRC. */
static void flow_find(struct an_rtp *r, struct an_stream *s, const struct rtp_place *dst)
{
    s->flow = s->number;
    uint32_t at = dst ? dst->receives : 0;
    for (unsigned i = 0; at && i < LOOK_BACK; i++) {
        const struct an_stream *o = rtp_stream(r, at);
        if (addr_eq(&o->src, &s->src) && o->leg == s->leg && o->kind == s->kind) {
            s->before = o->number;
            s->flow = o->flow;
            return;
        }
        at = r->link[at - 1].next_received;
    }
}

static uint32_t *next_of(struct rtp_link *l, bool sent)
{
    return sent ? &l->next_sent : &l->next_received;
}

static uint32_t *back_of(struct rtp_link *l, bool sent)
{
    return sent ? &l->back_sent : &l->back_received;
}

static void link_to(struct an_rtp *r, struct rtp_place *p, uint32_t index, bool sent)
{
    uint32_t *last = sent ? &p->sends : &p->receives;
    *next_of(&r->link[index], sent) = *last;
    if (*last)
        *back_of(&r->link[*last - 1], sent) = index + 1;
    *last = index + 1;
    p->n_streams++;
}

void rtp_tie_new(struct an_rtp *r, struct an_stream *s)
{
    struct choice c[2 * RTP_PLACE_LEGS];
    unsigned n = choices_keep(c, choices_find(r, s, s->first_ns, c));
    /* Whoever makes up an SSRC for each packet is no party of the call. */
    if (n && c[0].claim->streams == RTP_CLAIM_MOST)
        n = 0;
    if (n)
        c[0].claim->streams++;
    ties_set(s, c, n);
    rtp_places_sweep(r, s->first_ns, SWEEPS);
    struct rtp_place *dst = rtp_place_get(r, &s->dst, true);
    if (dst) {
        flow_find(r, s, dst);
        link_to(r, dst, s->index, false);
    }
    struct rtp_place *src = rtp_place_get(r, &s->src, true);
    if (src)
        link_to(r, src, s->index, true);
    if (!s->flow)
        s->flow = s->number;
}

static const struct an_leg *leg_of(struct an_rtp *r, const struct an_stream *s)
{
    const struct addr *at[2] = {&s->dst, &s->src};
    for (unsigned end = 0; end < 2; end++) {
        const struct rtp_place *p = rtp_place_get(r, at[end], false);
        for (unsigned i = 0; p && i < p->n_claims; i++)
            if (claim_stands(&p->claim[i]) && p->claim[i].leg->index == s->leg)
                return p->claim[i].leg;
    }
    return NULL;
}

bool rtp_tie_again(struct an_rtp *r, struct an_stream *s, uint64_t now_ns)
{
    struct choice c[2 * RTP_PLACE_LEGS];
    unsigned n = choices_keep(c, choices_find(r, s, now_ns, c));
    s->split = false;
    if (n == 0)
        return false;
    const struct an_leg *leg = s->leg == AN_NONE ? NULL : leg_of(r, s);
    bool over = s->leg != AN_NONE && (!leg || ended(leg, now_ns)), named = false;
    for (unsigned i = 0; i < n; i++)
        named |= c[i].tie.leg == s->leg;
    if (over && !named) {
        if (now_ns > s->last_ns + PAUSE_NS)
            return true;
        s->split = true; /* the last packets of a call that is over */
        return false;
    }
    if (s->leg == AN_NONE)
        ties_set(s, c, n);
    else
        ties_add(s, c, n);
    formats_again(r, s);
    return false;
}

/* Somebody may send with very many SSRCs to one place: what goes is not looked for. */
static void unlink_from(struct an_rtp *r, const struct addr *at, uint32_t index, bool sent)
{
    struct rtp_place *p = rtp_place_get(r, at, false);
    struct rtp_link *l = &r->link[index];
    uint32_t next = *next_of(l, sent), back = *back_of(l, sent);
    uint32_t *last = !p ? NULL : sent ? &p->sends : &p->receives;
    if (!p || (!back && *last != index + 1))
        return; /* there was no room for the address */
    *(back ? next_of(&r->link[back - 1], sent) : last) = next;
    if (next)
        *back_of(&r->link[next - 1], sent) = back;
    p->n_streams--;
}

void rtp_tie_remove(struct an_rtp *r, struct an_stream *s)
{
    unlink_from(r, &s->dst, s->index, false);
    unlink_from(r, &s->src, s->index, true);
    r->link[s->index] = (struct rtp_link){0};
}

void rtp_tie_forget(struct an_stream *s, uint32_t leg)
{
    uint8_t n = 0;
    for (unsigned i = 0; i < s->n_ties; i++)
        if (s->tie[i].leg != leg)
            s->tie[n++] = s->tie[i];
    s->n_ties = n;
    if (s->leg != leg)
        return;
    s->leg = n ? s->tie[0].leg : AN_NONE;
    s->side = n ? s->tie[0].side : 0;
    s->media = n ? s->tie[0].media : 0;
}

/* ---- formats --------------------------------------------------------------------------------- */

static bool format_in(const struct rtp_place *p, const struct an_stream *s, struct an_format *f)
{
    for (unsigned i = 0; p && i < p->n_claims; i++) {
        const struct rtp_claim *c = &p->claim[i];
        bool ours = false;
        for (unsigned k = 0; k < s->n_ties; k++)
            ours |= claim_stands(c) && c->leg->index == s->tie[k].leg;
        for (unsigned k = 0; ours && k < c->n_formats; k++)
            if (c->format[k].pt == f->pt) {
                uint32_t packets = f->packets;
                *f = c->format[k];
                f->packets = packets;
                return true;
            }
    }
    return false;
}

void rtp_format_find(struct an_rtp *r, const struct an_stream *s, struct an_format *f)
{
    /* RFC 3264 section 5.1: the numbers are those of the one who receives. */
    if (format_in(rtp_place_get(r, &s->dst, false), s, f) ||
        format_in(rtp_place_get(r, &s->src, false), s, f))
        return;
    struct sdp_codec c;
    uint32_t packets = f->packets;
    if (sdp_codec_static(&c, f->pt) == 0) {
        *f = format_of(r, c.name, c.clock, f->pt);
        f->packets = packets;
    }
    f->guessed = true;
}
