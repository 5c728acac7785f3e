/* Early sessions: RFC 3959. */
#include "pbx/feature/early_session.h"

#include "pbx/sound.h"
#include "wire/sdp/oa.h"
#include "wire/sip/multipart.h"

#define SDP_TYPE STR("application/sdp")

/* ---- those of a call ------------------------------------------------------------------------- */

static struct leg *next_of(const struct call *call, const struct leg *after)
{
    struct list *node = after ? after->in_call.next : call->early.next;
    return node == &call->early ? NULL : container_of(node, struct leg, in_call);
}

/* That of the leg in this dialog; those whom we have called may be several behind one INVITE. */
static struct leg *find(struct pbx *p, const struct leg *leg, handle_t dialog)
{
    const struct call *call = call_find(p, leg->call);
    handle_t h = slot_handle(&p->calls->legs, leg);
    for (struct leg *e = NULL; (e = next_of(call, e));)
        if (e->regular == h && (!leg->outgoing || e->dialog == dialog))
            return e;
    return NULL;
}

static struct leg *find_or_make(struct pbx *p, struct leg *leg, handle_t dialog)
{
    struct leg *e = find(p, leg, dialog);
    e = e ? e : leg_new_early(p, leg);
    if (e)
        e->dialog = dialog;
    return e;
}

static bool is_open(const struct leg *e)
{
    for (unsigned i = 0; i < e->n_streams; i++)
        if (e->stream[i].id)
            return true;
    return false;
}

/* Is its party's offer not answered yet? */
static bool waits(const struct leg *e)
{
    return e->offer.n && !e->dropped && (e->prack.dialog || e->reinvite);
}

static bool is_heard(struct pbx *p, const struct leg *e)
{
    return leg_find(p, e->opposite) != NULL;
}

static void drop(struct pbx *p, struct leg *e)
{
    struct leg *opposite = leg_find(p, e->opposite);
    if (opposite)
        opposite->opposite = 0;
    if (e->reinvite)
        pbx_respond(p, e->reinvite, 488);
    call_find(p, e->call)->n_early--;
    leg_free(p, e);
}

static void join(struct pbx *p, struct leg *hears, struct leg *e)
{
    hears->opposite = slot_handle(&p->calls->legs, e);
    e->opposite = slot_handle(&p->calls->legs, hears);
    bridge_link(p, hears, e);
}

/* ---- who can hear ---------------------------------------------------------------------------- */

static struct leg *owner_of(struct pbx *p, const struct dial *d)
{
    return leg_find(p, d->owner);
}

/* Its answer can only come in a PRACK (RFC 3262 section 5). */
static bool knows(struct pbx *p, const struct leg *owner)
{
    struct sip_peer peer;
    return sip_session_peer(p->core, owner->session, &peer) && peer.early_session && peer.rel100;
}

bool early_wanted(struct pbx *p, const struct dial *d)
{
    const struct leg *owner = owner_of(p, d);
    return d->purpose == DIAL_CALL && (leg_latest(owner).n || knows(p, owner));
}

/* What the caller has said that it can hear; NULL: nothing yet. */
static const struct sdp *ear_of(struct pbx *p, const struct dial *d)
{
    const struct leg *owner = owner_of(p, d), *own = find(p, owner, 0);
    if (d->purpose != DIAL_CALL)
        return NULL;
    if (!knows(p, owner))
        return leg_sdp_kept(p, leg_latest(owner));
    return own && is_open(own) ? leg_sdp_kept(p, own->said) : NULL;
}

/* Will the caller be asked what it says to an offer? Who is heard already has its answer. */
static bool is_asked(struct pbx *p, const struct dial *d)
{
    const struct leg *owner = owner_of(p, d), *own = find(p, owner, 0);
    if (d->purpose != DIAL_CALL || !knows(p, owner))
        return false;
    return !own || !leg_has_agreed(own) || !is_heard(p, own);
}

/* ---- what is written ------------------------------------------------------------------------- */

static void pack_both(struct pbx *p, struct sip_content *content, struct str session,
                      struct str early)
{
    size_t cap = session.n + early.n + 512;
    char *mem = arena_take(&p->turn, cap), *type = arena_take(&p->turn, 64);
    struct sip_part part[2] = {
        {.content_type = SDP_TYPE, .content_disposition = STR("session"), .body = session},
        {.content_type = SDP_TYPE, .content_disposition = STR("early-session"), .body = early}};
    struct buf b, t;
    if (!mem || !type)
        return;
    /* "boundary delimiters must not appear within the encapsulated material" (RFC 2046 section
     * 5.1): nobody whose text is in there can know this number. */
    const uint64_t number = rand_u64(&p->rand);
    buf_init(&t, type, 64);
    buf_lit(&t, "multipart/mixed;boundary=");
    size_t at = t.n;
    buf_hex(&t, &number, sizeof(number));
    content->type = buf_str(&t);
    struct str boundary = str_from(content->type, at);
    buf_init(&b, mem, cap);
    for (unsigned i = 0; i < ARRAY_LEN(part); i++)
        sip_multipart_put(&b, boundary, &part[i]);
    sip_multipart_end(&b, boundary);
    content->body = buf_str(&b);
}

void early_pack(struct pbx *p, struct sip_content *content, struct sip_field *field,
                struct str session, struct str early)
{
    content->field = field;
    content->type = session.n || early.n ? SDP_TYPE : STR_NONE;
    content->body = session.n ? session : early;
    if (session.n && early.n)
        pack_both(p, content, session, early);
    else if (early.n)
        field[content->n_fields++] =
            (struct sip_field){.id = SIP_H_CONTENT_DISPOSITION, .value = STR("early-session")};
}

/* "it MUST do so by refusing all the media streams in it": RFC 3959 section 4. */
static struct str refusal(struct pbx *p, struct leg *leg, const struct sdp *offer)
{
    struct str text;
    return offer && !leg_refuse_early(p, leg, offer, &text) ? text : STR_NONE;
}

/* Is it one provisional that holds both offers? */
static bool is_shared(const struct leg *leg, const struct leg *e)
{
    return e->prack.dialog && e->prack.dialog == leg->prack.dialog &&
           e->prack.rseq == leg->prack.rseq;
}

/* The answer to the party's offer goes the way for which it waits. */
static void reply(struct pbx *p, struct leg *e, struct str text)
{
    struct leg *leg = leg_find(p, e->regular);
    struct sip_field field;
    struct sip_answer a = {.status = 200};
    early_pack(p, &a.content, &field, STR_NONE, text);
    if (e->reinvite) {
        sip_respond(p->core, p->now, e->reinvite, &a);
        e->reinvite = 0;
    } else if (!is_shared(leg, e)) { /* else that of the session goes with it */
        (void)sip_prack(p->core, p->now, leg->session, &e->prack, &a.content);
        e->prack.dialog = 0;
    }
}

static void decline(struct pbx *p, struct leg *e)
{
    reply(p, e, refusal(p, e, leg_sdp_kept(p, e->offer)));
    e->dropped = e->prack.dialog != 0;
    if (!e->dropped)
        drop(p, e);
}

/* Answered for the caller, who is not asked: -ENOENT, it can hear nothing of it. */
static int answer_for(struct pbx *p, struct leg *e, const struct sdp *ear, struct str *ret)
{
    const struct sdp *offer = leg_sdp_kept(p, e->offer);
    int err = offer && ear ? transcode_cross(p, e, offer, ear, ret) : -ENOENT;
    if (err)
        return err;
    leg_tx_answer(p, e, *ret);
    leg_set_remote(p, e, offer);
    return 0;
}

/* ---- the offer of a callee ------------------------------------------------------------------- */

bool early_offered(struct pbx *p, struct dial *d, struct leg *leg, const struct sip_out *o,
                   struct str *answer)
{
    struct str text = sip_body_early(o->msg, SDP_TYPE);
    const struct sdp *offer = leg_sdp_kept(p, text);
    *answer = STR_NONE;
    if (!offer)
        return false;
    /* The PRACK of an offer for the session itself waits, whatever becomes of this one. */
    bool shared = dial_is_late(p, d) && !leg->settled && sip_body_find(o->msg, SDP_TYPE).n;
    struct leg *e = find_or_make(p, leg, o->dialog);
    if (!e || leg_rx_offer(p, e, text)) {
        *answer = refusal(p, leg, offer);
        return false;
    }
    if (shared || is_asked(p, d)) {
        e->prack = (struct sip_reliable){.dialog = o->dialog, .rseq = o->rseq};
        return true;
    }
    if (answer_for(p, e, ear_of(p, d), answer)) {
        *answer = refusal(p, e, offer);
        drop(p, e);
    }
    return false;
}

struct str early_prack_text(struct pbx *p, struct leg *leg)
{
    struct leg *e = find(p, leg, leg->prack.dialog);
    if (!e || !is_shared(leg, e))
        return STR_NONE;
    e->prack.dialog = 0;
    if (!e->offer.n)
        return e->told;
    struct str text = refusal(p, e, leg_sdp_kept(p, e->offer));
    drop(p, e);
    return text;
}

/* ---- to the caller --------------------------------------------------------------------------- */

/* The offer of the first who waits becomes one of ours. */
static struct str offer_of_next(struct pbx *p, struct leg *owner, struct leg *own)
{
    const struct call *call = call_find(p, owner->call);
    struct str body;
    for (struct leg *e = next_of(call, NULL), *next; e; e = next) {
        next = next_of(call, e);
        if (e == own || !waits(e))
            continue;
        own = find_or_make(p, owner, 0);
        const struct sdp *offer = leg_sdp_kept(p, e->offer);
        if (own && offer && transcode_offer(p, e, own, offer, &body) == 0) {
            own->opposite = slot_handle(&p->calls->legs, e);
            e->opposite = slot_handle(&p->calls->legs, own);
            return body;
        }
        decline(p, e);
    }
    return STR_NONE;
}

struct str early_for_caller(struct pbx *p, struct dial *d, bool *offer)
{
    struct leg *owner = owner_of(p, d), *own = find(p, owner, 0);
    *offer = !own || !own->offer.n;
    if (d->purpose != DIAL_CALL || !knows(p, owner))
        return STR_NONE;
    if (!*offer) /* its own, in the INVITE */
        return refusal(p, own, leg_sdp_kept(p, own->offer));
    if (own && (leg_awaits_answer(own) || (leg_has_agreed(own) && is_heard(p, own))))
        return STR_NONE;
    return offer_of_next(p, owner, own);
}

void early_told(struct pbx *p, struct dial *d, struct str text, bool sent)
{
    struct leg *own = find(p, owner_of(p, d), 0);
    struct leg *e = own ? leg_find(p, own->opposite) : NULL;
    if (!own)
        return;
    if (sent && own->offer.n)
        leg_tx_answer(p, own, text);
    else if (sent)
        leg_tx_offer(p, own, text);
    else if (e)
        decline(p, e);
}

/* An offer that no message of the callee's brings along. */
static void tell(struct pbx *p, struct dial *d)
{
    struct leg *owner = owner_of(p, d);
    struct sip_field field;
    struct sip_answer a = {.status = 183, .reliable = true};
    struct str text = early_for_caller(p, d, &a.marked);
    if (!text.n)
        return;
    early_pack(p, &a.content, &field, STR_NONE, text);
    early_told(p, d, text, sip_progress(p->core, p->now, owner->session, &a) == 0);
}

/* ---- the gateway model ----------------------------------------------------------------------- */

static struct leg *answered_of(struct pbx *p, const struct call *call, const struct leg *leg)
{
    for (struct leg *e = NULL; (e = next_of(call, e));) {
        const struct leg *of = leg_find(p, e->regular);
        if (of->outgoing && (!leg || of == leg) && leg_has_agreed(e) && !e->dropped && is_open(e) &&
            !is_heard(p, e))
            return e;
    }
    return NULL;
}

/* What the caller is told in place of an answer of the callee's, which may follow or not: whatever
 * we can turn what it will hear into. Who has said it reliably is bound to it (RFC 3262 section 5),
 * and what the callee answers later is fitted to that. */
static int stand_in(struct pbx *p, struct leg *owner, const struct sdp *offer,
                    const struct sdp *early, struct str *ret)
{
    struct str names[CONF_CODEC_COUNT];
    struct sdp_policy policy = {.codec = names, .n_codecs = transcode_codecs(p, owner, names)};
    if (p->config->media.transcode && policy.n_codecs &&
        leg_answer_with(p, owner, offer, NULL, &policy, ret) == 0)
        return 0;
    return early ? transcode_cross(p, owner, offer, early, ret) : -ENOENT;
}

struct str early_stand_in(struct pbx *p, struct dial *d, struct leg *leg)
{
    struct call *call = call_find(p, d->call);
    struct leg *owner = owner_of(p, d), *e = answered_of(p, call, leg);
    const struct leg *first = leg_find(p, call->party[d->side]);
    const struct sdp *offer = leg_sdp_kept(p, owner->offer);
    struct str body;
    if (!e || !offer || owner->settled || (first && first != leg) || knows(p, owner) ||
        sound_stream(owner) || stand_in(p, owner, offer, leg_sdp_kept(p, e->said), &body))
        return STR_NONE;
    const struct sdp *ours = leg_sdp_kept(p, body);
    if (ours)
        transcode_formats(p, owner, ours, offer);
    call_set_party(p, call, d->side, leg);
    return body;
}

/* ---- turns ----------------------------------------------------------------------------------- */

/* Without early sessions it hears one callee at a time, as early media. */
static void turn_of_gateway(struct pbx *p, struct call *call, struct dial *d)
{
    struct leg *owner = owner_of(p, d);
    const struct leg *first = leg_find(p, call->party[d->side]);
    struct leg *heard = leg_find(p, owner->opposite),
               *e = heard ? heard : answered_of(p, call, first);
    if (!e || !sound_stream(owner) || !sound_stream(e))
        return;
    call_set_party(p, call, d->side, leg_find(p, e->regular));
    join(p, owner, e);
}

void early_turn(struct pbx *p, struct call *call)
{
    struct dial *d = slot_find(&p->calls->dials, call->dial);
    if (!d || d->purpose != DIAL_CALL || call->state >= CALL_ANSWERING || !call->n_early)
        return;
    struct leg *owner = owner_of(p, d), *own = find(p, owner, 0);
    if (!knows(p, owner)) {
        turn_of_gateway(p, call, d);
        return;
    }
    struct leg *e = answered_of(p, call, NULL);
    if (own && e && leg_has_agreed(own) && is_open(own) && !is_heard(p, own))
        join(p, own, e);
    else
        tell(p, d);
}

/* ---- the caller's answer --------------------------------------------------------------------- */

static bool pass_answer(struct pbx *p, struct leg *own, struct leg *e, const struct sdp *answer)
{
    const struct sdp *offer = leg_sdp_kept(p, e->offer);
    struct str text;
    if (!offer || !is_open(own) || transcode_answer(p, e, answer, &text))
        return false;
    leg_tx_answer(p, e, text);
    leg_set_remote(p, e, offer);
    bridge_link(p, own, e);
    reply(p, e, text);
    return true;
}

/* Those who wait behind the first are told what the caller can hear, or that it wants to hear
 * nothing. */
static void answer_others(struct pbx *p, const struct call *call, const struct leg *own)
{
    const struct sdp *ear = is_open(own) ? leg_sdp_kept(p, own->said) : NULL;
    for (struct leg *e = next_of(call, NULL), *next; e; e = next) {
        struct str text;
        next = next_of(call, e);
        if (e == own || !waits(e))
            continue;
        if (answer_for(p, e, ear, &text))
            decline(p, e);
        else
            reply(p, e, text);
    }
}

bool early_pracked(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct leg *own = find(p, leg, 0);
    struct str text = sip_body_early(o->msg, SDP_TYPE);
    const struct sdp *answer = leg_sdp_kept(p, text);
    if (!o->marked || !own || !leg_awaits_answer(own)) /* it may be over already */
        return o->marked;
    struct leg *e = leg_find(p, own->opposite);
    if (answer) {
        (void)leg_rx_answer(p, own, text);
        leg_set_remote(p, own, answer);
    } else {
        leg_oa_failed(p, own);
        leg_close_media(p, own);
    }
    if (e && (!answer || !pass_answer(p, own, e, answer))) {
        own->opposite = e->opposite = 0;
        decline(p, e);
    }
    answer_others(p, call, own);
    early_turn(p, call);
    return true;
}

/* ---- UPDATE ---------------------------------------------------------------------------------- */

/* Hold, resume, another address: ours to answer. Else the answer is what fits the one whom it
 * hears, or is heard by. */
static struct str answer_again(struct pbx *p, struct dial *d, struct leg *e,
                               const struct sdp *offer, const struct sdp_pair *before)
{
    const struct leg *opposite = leg_find(p, e->opposite);
    const struct sdp *ear = opposite      ? leg_sdp_kept(p, leg_latest(opposite))
                            : e->outgoing ? ear_of(p, d)
                                          : NULL;
    struct str text;
    bool same = before->local && before->remote && sdp_same_session(before, offer);
    if (same && leg_answer_own(p, e, offer, &text) == 0) {
        leg_tx_answer(p, e, text);
        leg_set_remote(p, e, offer);
        return text;
    }
    if (answer_for(p, e, ear, &text) == 0)
        return text;
    text = refusal(p, e, offer);
    leg_tx_answer(p, e, text);
    leg_close_media(p, e);
    return text;
}

/* The answer to what a callee offers anew; none: the caller is asked. */
static struct str answer_new(struct pbx *p, struct dial *d, struct leg *e, const struct sdp *offer)
{
    struct str text;
    if (is_asked(p, d))
        return STR_NONE;
    if (answer_for(p, e, ear_of(p, d), &text) == 0)
        return text;
    text = refusal(p, e, offer);
    leg_tx_answer(p, e, text);
    return text;
}

bool early_updated(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct call *call = call_find(p, leg->call);
    struct dial *d = slot_find(&p->calls->dials, call->dial);
    struct str text = sip_body_early(o->msg, SDP_TYPE);
    const struct sdp *offer = leg_sdp_kept(p, text);
    if (!text.n)
        return false;
    /* Both at once are one too many to answer together; behind the answer there is none. */
    bool both = sip_body_find(o->msg, SDP_TYPE).n != 0;
    bool early = call->state < CALL_ANSWERING && d && leg->state < LEG_ANSWERED && !leg->dropped;
    struct leg *e = both || !early || !offer ? NULL : find_or_make(p, leg, o->dialog);
    if (!e) {
        pbx_respond(p, o->txn, offer ? 488 : 400);
        return true;
    }
    bool had = leg_has_agreed(e);
    struct sdp_pair before = {.local = leg_sdp_kept(p, e->told),
                              .remote = leg_sdp_kept(p, e->said)};
    unsigned status = leg_rx_offer(p, e, text);
    if (status) {
        bridge_not_now(p, o->txn, status == 500);
        return true;
    }
    e->reinvite = o->txn;
    text =
        had || !leg->outgoing ? answer_again(p, d, e, offer, &before) : answer_new(p, d, e, offer);
    if (text.n)
        reply(p, e, text);
    early_turn(p, call);
    return true;
}

void early_invited(struct pbx *p, struct leg *caller, const struct sip_msg *m)
{
    struct str text = sip_body_early(m, SDP_TYPE);
    struct leg *own = leg_sdp_kept(p, text) && knows(p, caller) ? find_or_make(p, caller, 0) : NULL;
    /* "it is NOT RECOMMENDED that early offers in INVITEs be included because they can fork":
     * section 4. The first reliable provisional refuses it. */
    if (own)
        (void)leg_rx_offer(p, own, text);
}

/* ---- media and the end ----------------------------------------------------------------------- */

/* A callee that sends on the ports of the session is heard there from now on: what it says first
 * when it has answered comes before its 200. */
void early_rx_first(struct pbx *p, struct leg *leg)
{
    struct call *call = call_find(p, leg->call);
    if (leg->regular || !call->n_early)
        return;
    for (struct leg *e = NULL; (e = next_of(call, e));) {
        struct leg *hears = leg_find(p, e->opposite);
        if (leg_find(p, e->regular) != leg || !leg->outgoing || !hears || hears->regular)
            continue;
        hears->opposite = e->opposite = 0;
        e->dropped = true;
        bridge_link(p, hears, leg);
    }
}

void early_leg_over(struct pbx *p, struct leg *leg)
{
    struct call *call = call_find(p, leg->call);
    handle_t h = slot_handle(&p->calls->legs, leg);
    for (struct leg *e = call->n_early ? next_of(call, NULL) : NULL, *next; e; e = next) {
        next = next_of(call, e);
        if (e->regular == h)
            drop(p, e);
    }
}

/* "MUST be terminated when its corresponding early dialog is terminated or it transitions to a
 * regular dialog": section 4. */
void early_end(struct pbx *p, struct call *call)
{
    for (struct leg *e = call->n_early ? next_of(call, NULL) : NULL, *next; e; e = next) {
        next = next_of(call, e);
        /* Whose dialog goes on is told: it has answered, or rings for somebody else from now on. */
        bool stays = leg_find(p, e->regular)->state == LEG_ANSWERED || call->state < CALL_ANSWERING;
        if (waits(e) && e->prack.dialog && stays)
            reply(p, e, refusal(p, e, leg_sdp_kept(p, e->offer)));
        drop(p, e);
    }
}
