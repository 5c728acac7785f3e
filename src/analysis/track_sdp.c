/* Session descriptions: what each side said of its media, and when one was on hold (RFC 3264). */
#include "analysis/engine_int.h"

#include "wire/sdp/codec.h"

#define MAX_FORMAT 32
#define MAX_CRYPTO 2048

static uint64_t fold(const struct track *t, uint64_t h, struct str s)
{
    return (h ^ hash_str(&t->e->by_call_id, s)) * 0x9e3779b97f4a7c15u;
}

/* Who wrote it and which session it is, not which version. */
static uint64_t origin_hash(const struct track *t, const struct sdp *s)
{
    if (s->origin.id.n < 4)
        return 0; /* "o=- 0 0": everybody's */
    return fold(t, fold(t, fold(t, 1, s->origin.user), s->origin.id), s->origin.host);
}

/* What stays the same when an exchange passes an offer on with its own addresses. */
static uint64_t formats_hash(const struct track *t, const struct sdp *s)
{
    uint64_t h = 1;
    for (unsigned i = 0; i < s->n_media; i++)
        for (unsigned k = 0; k < s->media[i].n_formats; k++)
            h = fold(t, h, s->media[i].format[k]);
    return h;
}

static void codecs_set(struct track *t, struct an_media *out, const struct sdp_media *m)
{
    struct sdp_codec list[AN_SDP_MAX_CODECS];
    unsigned n = m->rtp ? sdp_codec_list(list, ARRAY_LEN(list), m) : 0;
    for (unsigned i = 0; i < n; i++)
        out->codec[i] =
            (struct an_codec){.name = an_text_put(&t->leg->text, list[i].name, MAX_FORMAT),
                              .clock = list[i].clock,
                              .channels = list[i].channels,
                              .pt = list[i].pt};
    out->n_codecs = (uint8_t)n;
}

/* All lines, since only the answer tells which is taken (RFC 4568 section 5.1.2). */
static void crypto_set(struct track *t, struct an_media *out, const struct sdp *s,
                       const struct sdp_media *m)
{
    char text[MAX_CRYPTO];
    struct buf b;
    buf_init(&b, text, sizeof(text));
    for (const struct sdp_line *l = sdp_attr_find(s, m, STR("crypto")); l;
         l = sdp_attr_next(s, m, l)) {
        struct str arg = sdp_attr_arg(l);
        if (b.cap - b.n <= arg.n)
            break;
        buf_str_put(&b, arg);
        buf_ch(&b, '\n');
    }
    out->crypto = an_text_put(&t->leg->text, buf_str(&b), MAX_CRYPTO);
}

static void media_set(struct track *t, struct an_media *out, const struct sdp *s, unsigned i)
{
    const struct sdp_media *m = &s->media[i];
    *out = (struct an_media){.kind = (uint8_t)m->kind,
                             .dir = (uint8_t)sdp_media_dir(s, m),
                             .secure = m->secure,
                             .held = sdp_media_held(s, m),
                             .ptime_ms = (uint16_t)m->ptime_ms};
    if (sdp_media_addr(&out->rtp, s, m))
        out->rtp = (struct addr){.family = ADDR_NONE};
    if (sdp_media_rtcp(&out->rtcp, s, m))
        out->rtcp = (struct addr){.family = ADDR_NONE};
    codecs_set(t, out, m);
    crypto_set(t, out, s, m);
}

/* ---- hold ------------------------------------------------------------------------------------ */

static const struct an_media *audio_of(const struct an_sdp *s)
{
    for (unsigned i = 0; i < s->n_media; i++)
        if (s->media[i].kind == SDP_AUDIO && s->media[i].rtp.port)
            return &s->media[i];
    return NULL;
}

/* Who never listened does not hold now. */
static bool listened(const struct an_leg *leg, enum an_side side)
{
    for (uint32_t i = 0; i < leg->n_sdps; i++) {
        const struct an_media *m = leg->sdp[i].side == side ? audio_of(&leg->sdp[i]) : NULL;
        if (m && !m->held)
            return true;
    }
    return false;
}

static void hold_begin(struct track *t, enum an_side side)
{
    if (!listened(t->leg, side))
        return;
    struct an_hold *h = t->leg->held[side] ? NULL : an_leg_hold_add(t->leg);
    t->leg->held[side] = true;
    if (h)
        *h = (struct an_hold){.from_ns = t->d->at_ns,
                              .to_ns = AN_NEVER,
                              .side = (uint8_t)side,
                              .msg = t->index,
                              .end_msg = AN_NONE};
}

static void hold_end(struct track *t, enum an_side side)
{
    struct an_leg *leg = t->leg;
    leg->held[side] = false;
    for (uint32_t i = leg->n_holds; i-- > 0;)
        if (leg->hold[i].side == side && leg->hold[i].to_ns == AN_NEVER) {
            leg->hold[i].to_ns = t->d->at_ns;
            leg->hold[i].end_msg = t->index;
            return;
        }
}

void track_sdp_refused(struct track *t, uint32_t request)
{
    struct an_leg *leg = t->leg;
    leg->offer = 0;
    for (uint32_t i = 0; i < leg->n_holds; i++) {
        struct an_hold *h = &leg->hold[i];
        if (h->end_msg == request) {
            h->to_ns = AN_NEVER;
            h->end_msg = AN_NONE;
            leg->held[h->side] = true;
        } else if (h->msg == request && h->to_ns == AN_NEVER) {
            h->to_ns = t->d->at_ns;
            h->end_msg = t->index;
            leg->held[h->side] = false;
        }
    }
}

/* The author of an offer that does not listen holds. The author of an answer holds only if he would
 * have been listened to: an answer to sendonly must not send. */
static void hold_step(struct track *t, const struct an_sdp *s, const struct an_sdp *offer)
{
    const struct an_media *m = audio_of(s), *asked = offer ? audio_of(offer) : NULL;
    enum an_side side = (enum an_side)s->side;
    if (!m || (t->leg->answer_ns == AN_NEVER && !t->leg->held[side]))
        return;
    bool forced = asked && (asked->held || asked->dir == SDP_RECVONLY) && m->dir != SDP_SENDONLY;
    if (!m->held)
        hold_end(t, side);
    else if (!(s->answer && (forced || (asked && asked->dir == SDP_INACTIVE))))
        hold_begin(t, side);
}

/* ---- offers and answers ---------------------------------------------------------------------- */

static const struct an_sdp *last_by(const struct an_leg *leg, unsigned side, bool early)
{
    for (uint32_t i = leg->n_sdps; i-- > 0;)
        if (leg->sdp[i].side == side && leg->sdp[i].early == early)
            return &leg->sdp[i];
    return NULL;
}

/* An answer closes the offer of the other side; a description without one is an offer. A request
 * that may begin an exchange always does (RFC 3264 section 4, RFC 6337 section 2). */
static bool is_answer(const struct track *t, enum an_side side)
{
    bool begins = t->m->is_request && t->m->method != SIP_ACK && t->m->method != SIP_PRACK;
    return !begins && t->leg->offer && t->leg->offer != side + 1u;
}

static void expect(struct track *t, const struct an_sdp *s)
{
    t->leg->media |= s->n_media > 0;
    for (uint8_t i = 0; i < s->n_media; i++)
        an_rtp_expect(t->e->rtp, t->leg, s, i);
}

/* ---- one description ------------------------------------------------------------------------- */

static void fill(struct track *t, struct an_sdp *out, const struct sdp *s)
{
    out->at_ns = t->d->at_ns;
    out->msg = t->index;
    out->side = t->msg->side;
    out->origin = origin_hash(t, s);
    out->formats = formats_hash(t, s);
    out->n_media = (uint8_t)(s->n_media < AN_SDP_MAX_MEDIA ? s->n_media : AN_SDP_MAX_MEDIA);
    for (unsigned i = 0; i < out->n_media; i++)
        media_set(t, &out->media[i], s, i);
}

/* Behind a proxy that relays media the addresses are others; all else was heard before. */
static void describe_hop(struct track *t, const struct sdp *s)
{
    struct an_sdp hop = {0};
    if (t->leg->n_hop_sdps == AN_LEG_MAX_SDPS)
        return;
    t->leg->n_hop_sdps++;
    fill(t, &hop, s);
    expect(t, &hop);
}

static void describe(struct track *t, struct str text, bool early)
{
    struct an_leg *leg = t->leg;
    struct sdp s;
    if (sdp_parse(&s, text, &t->e->scratch, NULL))
        return;
    if (t->msg->flags & AN_MSG_HOP) {
        describe_hop(t, &s);
        return;
    }
    enum an_side side = (enum an_side)t->msg->side;
    bool answer = !early && is_answer(t, side);
    const struct an_sdp *before = last_by(leg, side, early);
    if (!answer && !early && before && leg->offer != side + 1u && !t->m->is_request &&
        before->origin == origin_hash(t, &s) && before->answer)
        return; /* the answer of a provisional response, said again by the final one */
    struct an_sdp *out = an_leg_sdp_add(leg);
    if (!out)
        return;
    fill(t, out, &s);
    out->answer = answer;
    out->early = early;
    if (!early) {
        hold_step(t, out, answer ? last_by(leg, !side, false) : NULL);
        leg->offer = (uint8_t)(answer ? 0 : side + 1u);
    }
    expect(t, out);
}

void track_sdp(struct track *t)
{
    struct str type = STR("application/sdp");
    struct str text = sip_body_find(t->m, type), early = sip_body_early(t->m, type);
    if (text.n)
        describe(t, text, false);
    if (early.n)
        describe(t, early, true);
}
