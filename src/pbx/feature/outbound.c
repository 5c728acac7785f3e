/* The INVITE to one target: who calls it, what it is offered, what is carried on. */
#include "pbx/feature/early_session.h"
#include "pbx/subscription.h"
#include "pbx/trunk.h"

/* ---- who calls ------------------------------------------------------------------------------- */

static struct str identity(struct pbx *p, struct str name, struct str number, struct str host)
{
    struct buf b;
    size_t cap = 2 * name.n + 3 * number.n + host.n + 32;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    if (name.n) {
        sip_quote(&b, name);
        buf_ch(&b, ' ');
    }
    buf_lit(&b, "<sip:");
    sip_escape_user(&b, number);
    buf_ch(&b, '@');
    buf_str_put(&b, host);
    buf_ch(&b, '>');
    return buf_str(&b);
}

static struct str bracketed(struct pbx *p, struct str uri)
{
    struct buf b;
    char *mem = arena_take(&p->turn, uri.n + 2);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, uri.n + 2);
    buf_ch(&b, '<');
    buf_str_put(&b, uri);
    buf_ch(&b, '>');
    return buf_str(&b);
}

static struct str shown_number(struct pbx *p, const struct leg *owner,
                               const struct config_trunk *to)
{
    const struct config_extension *e = owner->extension;
    struct str own = owner->party;
    if (!to)
        return own;
    if (to->caller_id.n)
        return to->caller_id;
    if (e && e->caller_id.n)
        own = e->caller_id;
    else if (e && e->did.n)
        own = e->did.v[0];
    return trunk_number(p, own, to->caller_strip, to->caller_prepend);
}

static struct str trunk_host(const struct config_trunk *t)
{
    struct sip_uri uri;
    if (t->from_domain.n)
        return t->from_domain;
    return sip_uri_parse(&uri, t->uri) ? STR("invalid") : uri.host;
}

/* ---- the message ----------------------------------------------------------------------------- */

/* The caller's INVITE, from which much is carried on; NULL: there is none (a transfer), or no
 * memory. */
static const struct sip_msg *invite_of(struct pbx *p, struct dial *d)
{
    if (d->m || !d->invite.n)
        return d->m;
    struct sip_msg *m = arena_take(&p->turn, sizeof(*m));
    if (!m || sip_msg_parse(m, d->invite.p, d->invite.n, false) != SIP_OK)
        return NULL;
    return m;
}

static unsigned add_field(struct sip_field *field, unsigned n, enum sip_hdr_id id, struct str value)
{
    field[n] = (struct sip_field){.id = id, .value = value};
    return n + 1;
}

/* Remote-Party-ID, as gateways of the time before RFC 3325 read it. */
static struct str remote_party(struct pbx *p, struct str asserted, bool anonymous)
{
    struct buf b;
    char *mem = arena_take(&p->turn, asserted.n + 64);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, asserted.n + 64);
    buf_str_put(&b, asserted);
    buf_lit(&b, ";party=calling;screen=yes;privacy=");
    buf_z(&b, anonymous ? "full" : "off");
    return buf_str(&b);
}

/* Who calls, for those who may know: phones unless the caller hides, trusted gateways with the word
 * not to tell (RFC 3325 sections 5, 7; RFC 3323). Returns the number of fields. */
static unsigned add_identity(struct pbx *p, const struct leg *owner, const struct config_trunk *to,
                             struct str asserted, struct sip_field *field)
{
    enum config_identity form = to ? (enum config_identity)to->identity : CONF_IDENTITY_PAI;
    unsigned n = 0;
    bool may = to ? to->trust_identity : !owner->anonymous;
    if (!may || form == CONF_IDENTITY_NONE)
        return 0;
    if (form == CONF_IDENTITY_RPID)
        return add_field(field, n, SIP_H_REMOTE_PARTY_ID,
                         remote_party(p, asserted, owner->anonymous));
    n = add_field(field, n,
                  form == CONF_IDENTITY_PPI ? SIP_H_P_PREFERRED_IDENTITY
                                            : SIP_H_P_ASSERTED_IDENTITY,
                  asserted);
    if (owner->anonymous)
        n = add_field(field, n, SIP_H_PRIVACY, STR("id"));
    return n;
}

static unsigned invite_fields(struct pbx *p, struct dial *d, const struct leg *to,
                              struct str asserted, struct sip_field field[SIP_FIELDS_MAX])
{
    const struct leg *owner = leg_find(p, d->owner);
    const struct sip_msg *m = invite_of(p, d);
    unsigned n = 0;
    if (asserted.n)
        n = add_identity(p, owner, to->trunk, asserted, field);
    bool told = !to->trunk || to->trunk->session_id;
    if (told && owner->call_id.n) /* monitors tie the legs together by it */
        field[n++] = (struct sip_field){.name = STR("X-CID"), .value = owner->call_id};
    if (d->purpose == DIAL_ROOM)
        n = add_field(field, n, SIP_H_ALLOW_EVENTS, subscription_events(p));
    if (d->referred_by.n) /* RFC 3892 section 2.1 */
        n = add_field(field, n, SIP_H_REFERRED_BY, d->referred_by);
    if (d->replaces.n)
        n = add_field(field, n, SIP_H_REPLACES, d->replaces);
    struct diversion_args diverted = {.v = d->diverted,
                                      .n = d->n_diverted,
                                      .target = to->party,
                                      .invite = m,
                                      .anonymous = owner->anonymous};
    if (!to->trunk || to->trunk->trust_identity) /* whose call it was is nobody else's business */
        n = diversion_fields(p, &diverted, field, n, SIP_FIELDS_MAX);
    if (!m)
        return n;
    return owner->trunk ? carry_fields_inward(m, field, n, SIP_FIELDS_MAX)
                        : carry_fields(m, field, n, SIP_FIELDS_MAX);
}

/* Without an offer the answer to one in a reliable 1xx must come from the caller, in its PRACK. */
static bool caller_knows_100rel(struct pbx *p, const struct leg *owner)
{
    struct sip_peer peer;
    return sip_session_peer(p->core, owner->session, &peer) && peer.rel100;
}

static int send_invite(struct pbx *p, struct dial *d, struct leg *leg, struct str ruri,
                       struct str route)
{
    struct sip_field field[SIP_FIELDS_MAX];
    const struct call *call = call_find(p, d->call);
    const struct leg *owner = leg_find(p, d->owner);
    const struct sip_msg *m = invite_of(p, d);
    struct str number = shown_number(p, owner, leg->trunk);
    struct str host = leg->trunk ? trunk_host(leg->trunk) : p->domain;
    struct str asserted = identity(p, owner->name, number, host);
    struct str body = leg->asked;
    int hops = m ? m->max_forwards : -1;
    struct sip_invite_cmd cmd = {
        .to = leg->flow,
        .ruri = ruri,
        .from =
            owner->anonymous ? STR("\"Anonymous\" <sip:anonymous@anonymous.invalid>") : asserted,
        .to_hdr = bracketed(p, ruri),
        .contact_user = d->purpose == DIAL_ROOM ? owner->party
                        : owner->anonymous      ? STR("anonymous")
                                                : number,
        .route = route,
        .max_forwards = hops < 0 ? 70 : hops - 1,
        .user = leg_user(p, leg),
        .tag = call->tag,
        .leg = leg->number,
        .focus = d->purpose == DIAL_ROOM,
        .no_100rel = !body.n && !caller_knows_100rel(p, owner),
        .no_early_session = !early_wanted(p, d),
        .content = {
            .field = field, .type = body.n ? STR("application/sdp") : STR_NONE, .body = body}};
    cmd.content.n_fields = invite_fields(p, d, leg, asserted, field);
    int err = sip_invite(p->core, p->now, &cmd, &leg->session);
    struct sip_dialog_view view;
    if (!err && sip_session_view(p->core, leg->session, &view))
        leg_set_call_id(p, leg, view.call_id);
    return err;
}

/* ---- the offer ------------------------------------------------------------------------------- */

/* The caller's offer, with the formats that both sides may use. 0, or the status that refuses. */
static unsigned offer_of_caller(struct pbx *p, const struct dial *d, struct leg *owner,
                                struct leg *leg)
{
    struct str body;
    const struct sdp *offer = d->offer ? d->offer : leg_sdp_kept(p, leg_latest(owner));
    if (!offer)
        return 503;
    int err = transcode_offer(p, owner, leg, offer, &body);
    if (err)
        return err == -ENOTSUP ? 488 : err == -EAGAIN || err == -ENOMEM ? 503 : 500;
    leg_tx_offer(p, leg, body);
    leg_set_remote(p, owner, offer);
    return 0;
}

/* For a party that is up: what it can do, as an offer to somebody else. */
static unsigned offer_of_party(struct pbx *p, struct leg *owner, struct leg *leg)
{
    struct str body;
    int err = leg_offer_third(p, leg, owner, true, &body);
    if (err)
        return err == -EAGAIN ? 503 : err == -ENOENT ? 488 : 500;
    leg_tx_offer(p, leg, body);
    return 0;
}

/* For a room: whatever can be mixed. */
static unsigned offer_of_room(struct pbx *p, struct leg *leg)
{
    struct str body;
    int err = leg_offer_own(p, leg, &body);
    if (err)
        return err == -EAGAIN ? 503 : err == -ENOENT ? 488 : 500;
    leg_tx_offer(p, leg, body);
    return 0;
}

static unsigned make_offer(struct pbx *p, struct dial *d, struct leg *leg)
{
    struct leg *owner = leg_find(p, d->owner);
    if (d->purpose == DIAL_TRANSFER)
        return offer_of_party(p, owner, leg);
    if (d->purpose == DIAL_ROOM)
        return offer_of_room(p, leg);
    return leg_latest(owner).n ? offer_of_caller(p, d, owner, leg) : 0;
}

static void name_party(struct pbx *p, struct leg *leg, struct str number)
{
    const struct config_extension *e = leg->extension;
    leg_keep(p, leg, &leg->party, e ? e->number : number.n ? number : leg->trunk->name);
    if (e)
        leg_keep(p, leg, &leg->name, e->name);
}

bool dial_leg(struct pbx *p, struct dial *d, const struct leg *like, struct str ruri,
              struct str route)
{
    handle_t h;
    struct leg *leg = leg_new(p, call_find(p, d->call), &h);
    d->failure = 503;
    if (!leg)
        return false;
    leg_use_config(leg, d->config);
    leg->outgoing = true;
    leg->secure = leg_find(p, d->owner)->secure; /* RFC 5630 5.1.1.3: also whom it is given to */
    leg->dial = d->self;
    leg->flow = like->flow;
    leg->trunk = like->trunk;
    leg->to_sips = like->to_sips;
    leg->elsewhere = like->elsewhere;
    bool full = like->trunk && !call_count_trunk_leg(p, leg, like->trunk);
    if (like->extension)
        call_count_leg(p, leg, like->extension);
    name_party(p, leg, like->party);
    unsigned status = full ? 503 : make_offer(p, d, leg);
    if (!status && send_invite(p, d, leg, ruri, route))
        status = 500;
    if (!status)
        return true;
    call_leg_over(p, leg);
    leg->status = (uint16_t)status;
    leg->dial = 0; /* it says why we could not, not what the callee thinks */
    d->failure = status;
    return false;
}
