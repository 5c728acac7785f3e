/* A leg: where a dialog, its descriptions and its media streams meet. */
#include "pbx/call_int.h"

#include "base/hash.h"
#include "pbx/feature/threeway.h"
#include "pbx/kin.h"
#include "pbx/sound.h"
#include "wire/sdp/oa.h"
#include "wire/sip/multipart.h"

struct leg *leg_find(struct pbx *p, handle_t h)
{
    return slot_find(&p->calls->legs, h);
}

/* A queue may try its members for hours: what became of the first of them is forgotten then. */
static bool forget_oldest(struct pbx *p, struct call *call)
{
    for (struct leg *leg = NULL; (leg = call_next(call, leg));) {
        bool failed = leg->state == LEG_ENDED && leg->outgoing && !leg->joined && !leg->transfer;
        if (!failed || leg->left >= p->now || call_is_party(p, call, leg))
            continue;
        leg_free(p, leg);
        call->n_legs--;
        return true;
    }
    return false;
}

/* What every leg has; `list` is that of its call which it belongs to. */
static struct leg *take(struct pbx *p, struct call *call, struct list *list, handle_t *ret)
{
    struct leg *leg = slot_take(&p->calls->legs, ret);
    if (!leg)
        return NULL;
    leg->call = call->self;
    leg->config = config_ref(call->config);
    list_append(list, &leg->in_call);
    leg->started = p->now;
    leg->retry.fire = join_retry;
    leg->sdp_id = rand_u64(&p->rand) >> 2; /* RFC 8866 5.2: digits that fit 63 bits */
    leg->sdp_version = 1;
    return leg;
}

struct leg *leg_new(struct pbx *p, struct call *call, handle_t *ret)
{
    const struct slot_table *all = &p->calls->legs;
    if (all->used > all->cap - all->cap / 4) /* others need the room more than the record does */
        (void)forget_oldest(p, call);
    if (call->n_legs >= CALL_MAX_LEGS && !forget_oldest(p, call))
        return NULL;
    struct leg *leg = take(p, call, &call->legs, ret);
    if (!leg)
        return NULL;
    call->n_legs++;
    leg->number = (uint8_t)++call->last_leg;
    return leg;
}

void leg_use_config(struct leg *leg, struct config *config)
{
    struct config *before = leg->config;
    leg->config = config_ref(config);
    config_unref(before);
}

struct leg *leg_new_early(struct pbx *p, const struct leg *of)
{
    struct call *call = call_find(p, of->call);
    handle_t h;
    struct leg *leg = call->n_early < CALL_MAX_EARLY ? take(p, call, &call->early, &h) : NULL;
    if (!leg)
        return NULL;
    call->n_early++;
    leg->regular = slot_handle(&p->calls->legs, of);
    leg->state = LEG_ENDED; /* it has no session: whoever looks through all legs passes it by */
    leg->number = of->number;
    leg->outgoing = of->outgoing;
    leg->flow = of->flow;
    leg_use_config(leg, of->config);
    leg->extension = of->extension;
    leg->trunk = of->trunk;
    return leg;
}

void leg_free(struct pbx *p, struct leg *leg)
{
    struct str *texts[] = {&leg->call_id, &leg->said,  &leg->told, &leg->offer,
                           &leg->asked,   &leg->party, &leg->name, &leg->forked};
    leg_close_media(p, leg);
    pbx_timer_stop(p, &leg->retry);
    kin_past(p, leg);
    list_remove(&leg->in_call);
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        if (pbx_keep(p, texts[i], STR_NONE))
            BUG_ON(true); /* freeing cannot fail */
    config_unref(leg->config);
    slot_put(&p->calls->legs, slot_handle(&p->calls->legs, leg));
}

void leg_keep(struct pbx *p, struct leg *leg, struct str *owned, struct str text)
{
    struct call *call = call_find(p, leg->call);
    if (pbx_keep(p, owned, text))
        trace_emit(&p->trace, TRACE_RX_LIMIT, call->tag, TS(leg->call_id), TS(STR("memory")));
}

void leg_set_call_id(struct pbx *p, struct leg *leg, struct str call_id)
{
    leg_keep(p, leg, &leg->call_id, call_id);
    kin_add(p, leg, call_id);
}

int leg_set_party(struct pbx *p, struct leg *leg, struct str number, struct str name)
{
    int err = pbx_keep(p, &leg->party, number);
    return err ? err : pbx_keep(p, &leg->name, name);
}

struct str leg_identity(struct pbx *p, const struct leg *leg)
{
    struct buf b;
    size_t cap = 2 * (leg->name.n + leg->party.n) + 3 * leg->party.n + p->domain.n + 32;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, cap);
    sip_quote(&b, leg->name.n ? leg->name : leg->party);
    buf_lit(&b, " <sip:");
    sip_escape_user(&b, leg->party);
    buf_ch(&b, '@');
    buf_str_put(&b, p->domain);
    buf_ch(&b, '>');
    return buf_str(&b);
}

bool leg_is_calling(const struct leg *leg)
{
    return leg->outgoing && leg->dial && !leg->dropped && leg->state < LEG_ANSWERED;
}

bool leg_same_user(const struct leg *a, const struct leg *b)
{
    if (a->extension && b->extension)
        return str_eq(a->extension->number, b->extension->number);
    return a->trunk && b->trunk && str_eq(a->trunk->name, b->trunk->name);
}

/* The engine carries 56 bits for us: the whole index and the lower part of the generation. */
uint64_t leg_user(struct pbx *p, const struct leg *leg)
{
    return pbx_user(PBX_USER_LEG, slot_handle(&p->calls->legs, leg));
}

struct leg *leg_of_user(struct pbx *p, uint64_t user)
{
    const struct slot_table *t = &p->calls->legs;
    uint32_t i = (uint32_t)user - 1;
    if (pbx_user_kind(user) != PBX_USER_LEG || i >= t->fresh || !(t->gen[i] & 1))
        return NULL;
    struct leg *leg = (void *)(t->mem + (size_t)i * t->item_bytes);
    return leg_user(p, leg) == user ? leg : NULL;
}

static void close_stream(struct pbx *p, struct leg *leg, unsigned i)
{
    struct leg_stream *s = &leg->stream[i];
    if (!s->id)
        return;
    quality_close(p, leg, i);
    struct pbx_out *o = pbx_emit(p, PBX_OUT_MEDIA);
    o->media =
        (struct media_cmd){.kind = MEDIA_CLOSE, .id = s->id, .port = s->port, .family = s->family};
    *s = (struct leg_stream){0};
}

struct leg *leg_of_stream(struct pbx *p, media_id id)
{
    const struct slot_table *t = &p->calls->legs;
    uint32_t i = (uint32_t)(id & 0xFFFFFF) - 1;
    if (i >= t->fresh || !(t->gen[i] & 1))
        return NULL;
    struct leg *leg = (void *)(t->mem + (size_t)i * t->item_bytes);
    for (unsigned k = 0; k < leg->n_streams; k++)
        if (leg->stream[k].id == id)
            return leg;
    return NULL;
}

void leg_note_stats(struct leg *leg, const struct media_ev *ev)
{
    for (unsigned i = 0; ev->kind == MEDIA_EV_STATS && i < leg->n_streams; i++)
        if (leg->stream[i].id == ev->id)
            leg->stats[i] = ev->stats;
}

void leg_close_media(struct pbx *p, struct leg *leg)
{
    for (unsigned i = 0; i < leg->n_streams; i++)
        close_stream(p, leg, i);
}

int leg_sdp_of(struct pbx *p, const struct sip_msg *m, const struct sdp **ret)
{
    struct str body = sip_body_find(m, STR("application/sdp"));
    *ret = NULL;
    if (!body.n)
        return 0;
    struct sdp *sdp = arena_take(&p->turn, sizeof(*sdp));
    if (!sdp)
        return -ENOMEM;
    int err = sdp_parse(sdp, body, &p->turn, NULL);
    if (!err)
        *ret = sdp;
    return err;
}

const struct sdp *leg_sdp_kept(struct pbx *p, struct str text)
{
    struct sdp *sdp = text.n ? arena_take(&p->turn, sizeof(*sdp)) : NULL;
    return sdp && sdp_parse(sdp, text, &p->turn, NULL) == 0 ? sdp : NULL;
}

/* ---- the party's side: where it receives ----------------------------------------------------- */

static void set_stream(struct pbx *p, struct leg *leg, unsigned i, const struct sdp *sdp)
{
    const struct sdp_media *m = &sdp->media[i];
    const struct config_media *conf = &leg->config->media;
    struct leg_stream *s = &leg->stream[i];
    struct pbx_out *o = pbx_emit(p, PBX_OUT_MEDIA);
    struct media_cmd *cmd = &o->media;
    enum sdp_dir dir = sdp_media_dir(sdp, m);
    *cmd = (struct media_cmd){.kind = MEDIA_SET, .id = s->id, .latch = conf->latch};
    if (sdp_media_addr(&cmd->rtp, sdp, m) || addr_is_any(&cmd->rtp))
        cmd->rtp = (struct addr){0};
    struct sdp_media apart = *m;
    apart.rtcp_mux &= transcode_muxes(m);
    if (sdp_media_rtcp(&cmd->rtcp, sdp, &apart) || addr_is_any(&cmd->rtcp))
        cmd->rtcp = (struct addr){0};
    cmd->receiving = dir == SDP_SENDRECV || dir == SDP_SENDONLY;
    cmd->sending = dir == SDP_SENDRECV || dir == SDP_RECVONLY;
    s->held = dir != SDP_SENDRECV;
    s->silent = dir == SDP_SENDONLY || dir == SDP_INACTIVE;
    s->rtp = cmd->rtp;
    cmd->timeout_ms = s->held || s->other_held ? conf->hold_timeout_ms : conf->rtp_timeout_ms;
}

void leg_set_remote(struct pbx *p, struct leg *leg, const struct sdp *sdp)
{
    for (unsigned i = 0; i < leg->n_streams && i < sdp->n_media; i++) {
        struct leg_stream *s = &leg->stream[i];
        if (!s->id)
            continue;
        if (sdp->media[i].port != 0)
            set_stream(p, leg, i, sdp);
        else
            close_stream(p, leg, i); /* the party has refused or ended this media */
    }
}

void leg_follow_hold(struct pbx *p, struct leg *leg, const struct leg *other)
{
    const struct sdp *said = NULL;
    for (unsigned i = 0; i < leg->n_streams; i++) {
        struct leg_stream *s = &leg->stream[i];
        bool there = other && i < other->n_streams;
        bool held = there && other->stream[i].held;
        s->other_silent = there && other->stream[i].silent;
        sound_follow_hold(p, leg, i);
        if (s->other_held == held)
            continue;
        s->other_held = held;
        said = said ? said : leg_sdp_kept(p, leg->said);
        if (s->id && said && i < said->n_media && said->media[i].port)
            set_stream(p, leg, i, said);
    }
    threeway_follow(p, leg);
    if (other)
        threeway_follow(p, other);
}

/* ---- our side: what the party is told -------------------------------------------------------- */

static struct addr media_addr(struct pbx *p, const struct leg *leg)
{
    struct addr bound = p->config->media.address;
    if (addr_is_any(&bound))
        bound.family = leg->flow.peer.family;
    struct addr own = local_for(&p->local, &bound, &leg->flow.peer);
    own.port = 0;
    return own;
}

static bool open_stream(struct pbx *p, struct leg *leg, unsigned i, const struct addr *own)
{
    struct leg_stream *s = &leg->stream[i];
    if (s->id)
        return true;
    uint32_t owner = (uint32_t)slot_handle(&p->calls->legs, leg);
    s->port = port_take(p, &p->calls->ports, (enum addr_family)own->family, owner, &s->id);
    s->family = own->family;
    leg->stats[i] = (struct media_stats){0}; /* of the stream that was here before */
    return s->port != 0;
}

static bool is_refused(const struct sdp *sdp, const struct sdp_choice *choice, unsigned i)
{
    return sdp->media[i].port == 0 || !sdp->media[i].rtp || (choice && choice->media[i].refused);
}

int leg_open(struct pbx *p, struct leg *leg, const struct sdp *sdp, const struct sdp_choice *choice)
{
    struct addr own = media_addr(p, leg);
    unsigned n = sdp->n_media < LEG_MAX_STREAMS ? sdp->n_media : LEG_MAX_STREAMS;
    if (leg->n_streams < n)
        leg->n_streams = (uint8_t)n;
    for (unsigned i = 0; i < n; i++)
        if (!is_refused(sdp, choice, i) && !open_stream(p, leg, i, &own))
            return -EAGAIN;
    return 0;
}

/* What writes a description, given its o= line. */
struct author {
    int (*build)(struct buf *b, const struct sdp_local *local, void *ctx);
    void *ctx;
    struct sdp_local local;
};

/* RFC 3264 section 8: the version grows with each change of what the party was told, and with
 * nothing else. */
static int write_versioned(struct pbx *p, struct leg *leg, struct author *w, struct str *ret)
{
    static const struct hash_table unseeded;
    size_t cap = 8192;
    char *mem = arena_take(&p->turn, cap);
    struct buf b;
    if (!mem)
        return -ENOMEM;
    buf_init(&b, mem, cap);
    w->local.version = leg->sdp_version;
    int err = w->build(&b, &w->local, w->ctx);
    if (err)
        return err;
    uint64_t hash = hash_str(&unseeded, buf_str(&b));
    if (leg->sdp_hash && hash != leg->sdp_hash) {
        w->local.version = ++leg->sdp_version;
        buf_init(&b, mem, cap);
        err = w->build(&b, &w->local, w->ctx);
        if (err)
            return err;
        hash = hash_str(&unseeded, buf_str(&b));
    }
    leg->sdp_hash = hash;
    *ret = buf_str(&b);
    return 0;
}

struct rewrite {
    const struct sdp *from;
    struct sdp_rewrite rw;
};

static int build_rewrite(struct buf *b, const struct sdp_local *local, void *ctx)
{
    struct rewrite *r = ctx;
    r->rw.local = *local;
    return sdp_rewrite_build(b, r->from, &r->rw) ? -EMSGSIZE : 0;
}

/* An answer accepts rtcp-mux where the party has offered it (RFC 5761 section 5.1.1). */
static void mux_as_offered(struct pbx *p, const struct leg *leg, struct sdp_stream *streams,
                           unsigned n)
{
    struct str text = leg_latest(leg);
    const struct sdp *offer =
        str_ifind(text, STR("a=rtcp-mux")) >= 0 ? leg_sdp_kept(p, text) : NULL;
    for (unsigned i = 0; offer && i < n && i < offer->n_media; i++)
        streams[i].mux = transcode_muxes(&offer->media[i]);
}

int leg_refuse_early(struct pbx *p, struct leg *leg, const struct sdp *offer, struct str *ret)
{
    static const struct sdp_stream none[LEG_MAX_STREAMS]; /* port 0 */
    /* A session of its own, beside that of the dialog. */
    struct sdp_local local = {.session_id = leg->regular ? leg->sdp_id : leg->sdp_id ^ 1,
                              .version = leg->regular ? ++leg->sdp_version : 1,
                              .addr = media_addr(p, leg)};
    struct rewrite r = {.from = offer, .rw = {.stream = none, .n_streams = LEG_MAX_STREAMS}};
    size_t cap = 4096;
    char *mem = arena_take(&p->turn, cap);
    struct buf b;
    if (!mem)
        return -ENOMEM;
    buf_init(&b, mem, cap);
    int err = build_rewrite(&b, &local, &r);
    if (!err)
        *ret = buf_str(&b);
    return err;
}

int leg_refuse_all(struct pbx *p, struct leg *leg, const struct sdp *offer, struct str *ret)
{
    struct sdp_stream none[LEG_MAX_STREAMS] = {0}; /* port 0 */
    struct rewrite r = {.from = offer, .rw = {.stream = none, .n_streams = LEG_MAX_STREAMS}};
    struct author author = {.build = build_rewrite,
                            .ctx = &r,
                            .local = {.session_id = leg->sdp_id, .addr = media_addr(p, leg)}};
    return write_versioned(p, leg, &author, ret);
}

int leg_sdp_for(struct pbx *p, struct leg *leg, const struct sdp *from,
                const struct sdp_choice *choice, const struct sdp_extra *extra, struct str *ret)
{
    struct sdp_stream streams[LEG_MAX_STREAMS] = {0};
    struct addr own = media_addr(p, leg);
    unsigned n = from->n_media < LEG_MAX_STREAMS ? from->n_media : LEG_MAX_STREAMS;
    if (leg_open(p, leg, from, choice))
        return -EAGAIN;
    for (unsigned i = 0; i < n; i++) {
        if (is_refused(from, choice, i)) {
            /* An answer ends the stream. An offer, which alone has formats to choose from, does
             * not yet: if it is refused, all stays as it was (RFC 3261 14.1). */
            if (!choice)
                close_stream(p, leg, i);
            continue;
        }
        streams[i].rtp = own;
        streams[i].rtp.port = leg->stream[i].port;
    }
    if (!choice)
        mux_as_offered(p, leg, streams, n);
    struct rewrite r = {
        .from = from, .rw = {.choice = choice, .extra = extra, .stream = streams, .n_streams = n}};
    struct author author = {
        .build = build_rewrite, .ctx = &r, .local = {.session_id = leg->sdp_id, .addr = own}};
    return write_versioned(p, leg, &author, ret);
}

/* ---- descriptions of our own ----------------------------------------------------------------- */

static int build_answer(struct buf *b, const struct sdp_local *local, void *ctx)
{
    struct sdp_answer_args *args = ctx;
    args->local = *local;
    return sdp_answer_build(b, args);
}

/* Our side of the streams of an offer; those that are refused keep port 0. */
static int own_streams(struct pbx *p, struct leg *leg, const struct sdp *offer,
                       struct sdp_stream streams[LEG_MAX_STREAMS])
{
    struct addr own = media_addr(p, leg);
    int err = leg_open(p, leg, offer, NULL);
    if (err)
        return err;
    for (unsigned i = 0; i < leg->n_streams && i < offer->n_media; i++) {
        if (!leg->stream[i].id)
            continue;
        streams[i].rtp = own;
        streams[i].rtp.port = leg->stream[i].port;
    }
    return 0;
}

/* No pair is held for what our answer refuses, and no silence on it counts. */
static void close_refused(struct pbx *p, struct leg *leg, struct str answer)
{
    const struct sdp *ours = leg_sdp_kept(p, answer);
    for (unsigned i = 0; ours && i < leg->n_streams && i < ours->n_media; i++)
        if (ours->media[i].port == 0)
            close_stream(p, leg, i);
}

int leg_answer_with(struct pbx *p, struct leg *leg, const struct sdp *offer,
                    const struct sdp *other, const struct sdp_policy *policy, struct str *ret)
{
    struct sdp_stream streams[LEG_MAX_STREAMS] = {0};
    int err = own_streams(p, leg, offer, streams);
    if (err)
        return err;
    for (unsigned i = 0; i < LEG_MAX_STREAMS && i < offer->n_media; i++)
        streams[i].mux = transcode_muxes(&offer->media[i]);
    struct sdp_answer_args args = {.offer = offer,
                                   .other = other,
                                   .policy = policy,
                                   .stream = streams,
                                   .n_streams = offer->n_media < LEG_MAX_STREAMS ? offer->n_media
                                                                                 : LEG_MAX_STREAMS};
    struct author author = {.build = build_answer,
                            .ctx = &args,
                            .local = {.session_id = leg->sdp_id, .addr = media_addr(p, leg)}};
    err = write_versioned(p, leg, &author, ret);
    if (!err)
        close_refused(p, leg, *ret);
    return err;
}

int leg_answer_cross(struct pbx *p, struct leg *leg, const struct sdp *offer,
                     const struct sdp *other, struct str *ret)
{
    struct str names[CONF_CODEC_COUNT];
    struct sdp_policy policy = {
        .codec = names, .keep_video = true, .n_codecs = leg_codecs(p, leg, NULL, names)};
    return leg_answer_with(p, leg, offer, other, &policy, ret);
}

int leg_answer_own(struct pbx *p, struct leg *leg, const struct sdp *offer, struct str *ret)
{
    /* Whoever of the two has answered has chosen. */
    struct str chosen = leg->said_answer ? leg->said : leg->told;
    return leg_answer_cross(p, leg, offer, leg_sdp_kept(p, chosen), ret);
}

static int build_offer(struct buf *b, const struct sdp_local *local, void *ctx)
{
    struct sdp_offer_args *args = ctx;
    args->local = *local;
    return sdp_offer_build(b, args);
}

int leg_offer_third(struct pbx *p, struct leg *leg, struct leg *from, bool transcode,
                    struct str *ret)
{
    struct sdp_stream streams[LEG_MAX_STREAMS] = {0};
    struct str names[CONF_CODEC_COUNT], also[CONF_CODEC_COUNT];
    const struct sdp *said = leg_sdp_kept(p, leg_latest(from));
    struct sdp_policy policy = {
        .codec = names, .keep_video = true, .n_codecs = leg_codecs(p, from, leg, names)};
    if (!said)
        return -ENOENT;
    int err = own_streams(p, leg, said, streams);
    if (err)
        return err;
    struct sdp_offer_args args = {
        .from = said,
        .first = leg_sdp_kept(p, from->told),
        .more = from->said_answer,
        .policy = &policy,
        .also = also,
        .n_also = transcode ? transcode_into(p, from, leg, said, also) : 0,
        .stream = streams,
        .n_streams = said->n_media < LEG_MAX_STREAMS ? said->n_media : LEG_MAX_STREAMS};
    struct author author = {.build = build_offer,
                            .ctx = &args,
                            .local = {.session_id = leg->sdp_id, .addr = media_addr(p, leg)}};
    return write_versioned(p, leg, &author, ret);
}

/* ---- codecs ---------------------------------------------------------------------------------- */

static bool allowed(const struct config_choices *list, uint8_t codec)
{
    for (unsigned i = 0; i < list->n; i++)
        if (list->v[i] == codec)
            return true;
    return list->n == 0;
}

static const struct config_choices *own_codecs(const struct leg *leg)
{
    if (leg && leg->trunk)
        return &leg->trunk->codecs;
    return leg && leg->extension ? &leg->extension->codecs : NULL;
}

unsigned leg_codecs(struct pbx *p, const struct leg *a, const struct leg *b,
                    struct str names[CONF_CODEC_COUNT])
{
    const struct config_choices *all = &p->config->media.codecs;
    const struct config_choices *of_a = own_codecs(a), *of_b = own_codecs(b);
    /* A trunk may have codecs that media.codecs does not name: its own list decides for it. */
    const struct config_choices *base = of_b && of_b->n ? of_b : of_a && of_a->n ? of_a : all;
    unsigned n = 0;
    for (unsigned i = 0; i < base->n && n < CONF_CODEC_COUNT; i++) {
        uint8_t codec = base->v[i];
        if ((of_a && !allowed(of_a, codec)) || (of_b && !allowed(of_b, codec)))
            continue;
        names[n++] = config_codec_name((enum config_codec)codec);
    }
    return n;
}

int leg_caps(struct pbx *p, const struct leg *leg, struct str *ret)
{
    struct str names[CONF_CODEC_COUNT];
    struct sdp_caps caps = {.local = {.session_id = leg->sdp_id,
                                      .version = leg->sdp_version,
                                      .addr = media_addr(p, leg)},
                            .codec = names,
                            .n_codecs = leg_codecs(p, leg, NULL, names),
                            .dir = SDP_SENDRECV};
    struct buf b;
    char *mem = arena_take(&p->turn, 2048);
    if (!mem)
        return -ENOMEM;
    caps.rtp = caps.local.addr; /* without a port: this is what would work, not an offer */
    buf_init(&b, mem, 2048);
    int err = sdp_caps_build(&b, &caps);
    if (!err)
        *ret = buf_str(&b);
    return err;
}

static int build_caps(struct buf *b, const struct sdp_local *local, void *ctx)
{
    struct sdp_caps *caps = ctx;
    caps->local = *local;
    return sdp_caps_build(b, caps);
}

int leg_offer_own(struct pbx *p, struct leg *leg, struct str *ret)
{
    struct str names[CONF_CODEC_COUNT];
    struct addr own = media_addr(p, leg);
    struct sdp_caps caps = {
        .codec = names, .n_codecs = transcode_codecs(p, leg, names), .dir = SDP_SENDRECV};
    struct author author = {
        .build = build_caps, .ctx = &caps, .local = {.session_id = leg->sdp_id, .addr = own}};
    leg->n_streams = leg->n_streams ? leg->n_streams : 1;
    if (!open_stream(p, leg, 0, &own))
        return -EAGAIN;
    caps.rtp = own;
    caps.rtp.port = leg->stream[0].port;
    return write_versioned(p, leg, &author, ret);
}

struct str leg_codec_name(struct pbx *p, const struct sdp *sdp)
{
    for (unsigned i = 0; sdp && i < sdp->n_media; i++) {
        struct sdp_codec c;
        if (sdp->media[i].port == 0 || sdp_codec_get(&c, &sdp->media[i], 0) || !c.name.n)
            continue;
        struct buf b;
        char *mem = arena_take(&p->turn, c.name.n + 16);
        if (!mem)
            return STR_NONE;
        buf_init(&b, mem, c.name.n + 16);
        buf_str_put(&b, c.name);
        buf_ch(&b, '/');
        buf_u64(&b, c.clock);
        return buf_str(&b);
    }
    return STR_NONE;
}
