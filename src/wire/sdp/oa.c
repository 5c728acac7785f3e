#include "wire/sdp/oa.h"

#include <errno.h>

#include "wire/sdp/write.h"

struct codecs {
    unsigned n;
    struct sdp_codec v[SDP_MAX_FORMATS];
};

static void list_of(struct codecs *out, const struct sdp_media *m)
{
    out->n = m ? sdp_codec_list(out->v, ARRAY_LEN(out->v), m) : 0;
}

static const struct sdp_codec *find_equal(const struct codecs *list, const struct sdp_codec *c)
{
    for (unsigned i = 0; i < list->n; i++)
        if (sdp_codec_equal(&list->v[i], c))
            return &list->v[i];
    return NULL;
}

static const struct sdp_codec *find_pt(const struct codecs *list, uint8_t pt)
{
    for (unsigned i = 0; i < list->n; i++)
        if (list->v[i].pt == pt)
            return &list->v[i];
    return NULL;
}

static bool is_live(const struct sdp *s, unsigned i)
{
    return s && i < s->n_media && s->media[i].port != 0 && s->media[i].rtp && !s->media[i].secure;
}

/* The media of `s` that goes with the n-th live one of its kind; NULL. */
static const struct sdp_media *media_like(const struct sdp *s, const struct sdp *of, unsigned i)
{
    unsigned nth = 0;
    for (unsigned k = 0; k < i; k++)
        nth += is_live(of, k) && of->media[k].kind == of->media[i].kind;
    for (unsigned k = 0; s && k < s->n_media; k++)
        if (is_live(s, k) && s->media[k].kind == of->media[i].kind && nth-- == 0)
            return &s->media[k];
    return NULL;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_session(struct buf *b, const struct sdp_local *local)
{
    buf_lit(b, "v=0\r\n");
    sdp_write_origin(b, local);
    buf_lit(b, "s=-\r\n");
    sdp_write_conn(b, &local->addr);
    buf_lit(b, "t=0 0\r\n");
}

static void put_media_line(struct buf *b, const struct sdp_media *like, uint16_t port)
{
    buf_lit(b, "m=");
    buf_str_put(b, like->kind_text);
    buf_ch(b, ' ');
    buf_u64(b, port);
    buf_ch(b, ' ');
    buf_str_put(b, like->proto);
}

/* RFC 3264 section 6: a refused media stays, with a format of the offer and port 0. */
static void put_refused(struct buf *b, const struct sdp_media *m)
{
    put_media_line(b, m, 0);
    buf_ch(b, ' ');
    buf_str_put(b, m->n_formats ? m->format[0] : STR("0"));
    buf_lit(b, "\r\n");
}

struct stream_text {
    const struct sdp_media *like;
    const struct codecs *codecs;
    const struct sdp_stream *stream;
    enum sdp_dir dir;
    uint32_t ptime_ms, maxptime_ms; /* 0: not written */
};

static void put_time(struct buf *b, const char *name, uint32_t ms)
{
    if (!ms)
        return;
    buf_z(b, name);
    buf_u64(b, ms);
    buf_lit(b, "\r\n");
}

static void put_stream(struct buf *b, const struct stream_text *s)
{
    put_media_line(b, s->like, s->stream->rtp.port);
    for (unsigned i = 0; i < s->codecs->n; i++) {
        buf_ch(b, ' ');
        buf_u64(b, s->codecs->v[i].pt);
    }
    buf_lit(b, "\r\n");
    for (unsigned i = 0; i < s->codecs->n; i++)
        sdp_write_codec(b, &s->codecs->v[i]);
    put_time(b, "a=ptime:", s->ptime_ms);
    put_time(b, "a=maxptime:", s->maxptime_ms);
    sdp_write_rtcp(b, s->stream);
    sdp_write_dir(b, s->dir);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static bool in_policy(const struct sdp_policy *p, const struct sdp_codec *c)
{
    if (!p || !p->n_codecs || sdp_codec_is_helper(c))
        return true;
    for (unsigned i = 0; i < p->n_codecs; i++)
        if (sdp_codec_matches(c, p->codec[i]))
            return true;
    return false;
}

/* Is there anybody for media of this kind: the other party, or who answers by itself? */
static bool is_wanted(const struct sdp_answer_args *a, const struct sdp_media *m)
{
    if (a->other || !a->policy || m->kind == SDP_AUDIO)
        return true;
    return m->kind == SDP_VIDEO ? a->policy->keep_video : a->policy->keep_other;
}

/* The formats of the answer; their order is the offer's. Without a codec that is no helper there
 * are none. */
static void common(struct codecs *out, const struct sdp_answer_args *a, unsigned i)
{
    struct codecs offer, other;
    bool useful = false, audio = a->offer->media[i].kind == SDP_AUDIO;
    list_of(&offer, &a->offer->media[i]);
    list_of(&other, media_like(a->other, a->offer, i));
    out->n = 0;
    for (unsigned k = 0; k < offer.n; k++) {
        const struct sdp_codec *c = &offer.v[k];
        const struct sdp_codec *use = a->other ? find_equal(&other, c) : c;
        if (!use || !use->name.n || find_pt(out, use->pt) || (audio && !in_policy(a->policy, c)))
            continue;
        out->v[out->n++] = *use;
        useful |= !sdp_codec_is_helper(use);
    }
    if (!useful)
        out->n = 0;
}

int sdp_answer_build(struct buf *b, const struct sdp_answer_args *a)
{
    size_t start = b->n;
    unsigned live = 0;
    put_session(b, &a->local);
    for (unsigned i = 0; i < a->offer->n_media; i++) {
        const struct sdp_media *m = &a->offer->media[i];
        const struct sdp_media *theirs = media_like(a->other, a->offer, i);
        struct codecs codecs = {.n = 0};
        if (is_live(a->offer, i) && i < a->n_streams && a->stream[i].rtp.port && is_wanted(a, m))
            common(&codecs, a, i);
        if (!codecs.n) {
            put_refused(b, m);
            continue;
        }
        struct stream_text s = {
            .like = m,
            .codecs = &codecs,
            .stream = &a->stream[i],
            .dir = a->stream[i].set_dir ? a->stream[i].dir
                                        : sdp_dir_reverse(sdp_media_dir(a->offer, m)),
            .ptime_ms = theirs && theirs->ptime_ms ? theirs->ptime_ms : m->ptime_ms,
            /* RFC 8866 section 6.5: what is sent to us goes on to the other one as it is. */
            .maxptime_ms = theirs ? theirs->maxptime_ms : 0};
        put_stream(b, &s);
        live++;
    }
    int err = b->full ? -ENOBUFS : live ? 0 : -ENOENT;
    if (err)
        b->n = start;
    return err;
}

/* ---- the offer ------------------------------------------------------------------------------- */

/* A number that neither those written nor those of the party have. */
static uint8_t free_pt(const struct codecs *used, const struct codecs *from)
{
    for (uint8_t pt = 96; pt < 128; pt++)
        if (!find_pt(used, pt) && !find_pt(from, pt))
            return pt;
    return SDP_NO_PT;
}

static void add(struct codecs *list, const struct sdp_codec *c)
{
    bool room = list->n < ARRAY_LEN(list->v) && !find_pt(list, c->pt);
    if (room && c->name.n && !find_equal(list, c))
        list->v[list->n++] = *c;
}

/* A codec by its name in the configuration, under its static number or a free one. */
static void add_named(struct codecs *list, const struct codecs *from, struct str name)
{
    struct sdp_codec c;
    if (sdp_codec_find(&c, name) || find_equal(list, &c))
        return;
    if (c.pt == SDP_NO_PT || find_pt(list, c.pt) || find_pt(from, c.pt))
        c.pt = free_pt(list, from);
    if (c.pt != SDP_NO_PT)
        add(list, &c);
}

/* telephone-event at the clock of each codec (RFC 4733 section 2.1 wants the same one). */
static void add_events(struct codecs *list, const struct codecs *from)
{
    add_named(list, from, STR("telephone-event"));
    for (unsigned i = 0; i < list->n; i++) {
        struct sdp_codec c = {.name = STR("telephone-event"),
                              .clock = list->v[i].clock,
                              .channels = 1,
                              .fmtp = STR("0-16"),
                              .pt = free_pt(list, from)};
        if (!sdp_codec_is_helper(&list->v[i]) && c.clock == 48000 && c.pt != SDP_NO_PT)
            add(list, &c);
    }
}

/* In front what the party uses now, then what else it can do, then what else we may pass on. */
static void gather(struct codecs *out, const struct sdp_offer_args *a, unsigned i)
{
    struct codecs from, first;
    bool audio = a->from->media[i].kind == SDP_AUDIO;
    list_of(&from, &a->from->media[i]);
    list_of(&first, media_like(a->first, a->from, i));
    out->n = 0;
    for (unsigned pass = 0; pass < 3; pass++) {
        for (unsigned k = 0; k < from.n; k++) {
            const struct sdp_codec *c = &from.v[k];
            bool helper = sdp_codec_is_helper(c), used = find_equal(&first, c) != NULL;
            unsigned turn = helper ? 2 : used ? 0 : 1;
            if (turn == pass && (!audio || in_policy(a->policy, c)))
                add(out, c);
        }
        for (unsigned k = 0; pass == 1 && audio && a->more && a->policy && k < a->policy->n_codecs;
             k++)
            add_named(out, &from, a->policy->codec[k]);
    }
    for (unsigned k = 0; audio && k < a->n_also; k++)
        add_named(out, &from, a->also[k]);
    if (audio)
        add_events(out, &from);
}

int sdp_offer_build(struct buf *b, const struct sdp_offer_args *a)
{
    size_t start = b->n;
    unsigned live = 0;
    put_session(b, &a->local);
    for (unsigned i = 0; i < a->from->n_media; i++) {
        const struct sdp_media *m = &a->from->media[i];
        struct codecs codecs = {.n = 0};
        if (is_live(a->from, i) && i < a->n_streams && a->stream[i].rtp.port)
            gather(&codecs, a, i);
        if (!codecs.n) {
            put_refused(b, m);
            continue;
        }
        struct stream_text s = {.like = m,
                                .codecs = &codecs,
                                .stream = &a->stream[i],
                                .dir = a->stream[i].set_dir ? a->stream[i].dir : SDP_SENDRECV,
                                .ptime_ms = m->ptime_ms,
                                .maxptime_ms = m->maxptime_ms};
        put_stream(b, &s);
        live++;
    }
    int err = b->full ? -ENOBUFS : live ? 0 : -ENOENT;
    if (err)
        b->n = start;
    return err;
}

/* ---- judging --------------------------------------------------------------------------------- */

static const struct sdp_media *first_audio(const struct sdp *s)
{
    for (unsigned i = 0; i < s->n_media; i++)
        if (is_live(s, i) && s->media[i].kind == SDP_AUDIO)
            return &s->media[i];
    return NULL;
}

/* What a party will send: the first codec of our description that it has as well. */
static const struct sdp_codec *sends(const struct codecs *local, const struct codecs *remote)
{
    for (unsigned i = 0; i < local->n; i++) {
        const struct sdp_codec *c = &local->v[i];
        if (!sdp_codec_is_helper(c) && find_equal(remote, c))
            return c;
    }
    return NULL;
}

/* What it sends means something to the other party; under which number is our business. */
static bool understood(const struct sdp_codec *c, const struct codecs *by)
{
    return c && find_equal(by, c);
}

bool sdp_fit(const struct sdp_fit_args *args)
{
    struct codecs local[2], remote[2];
    const struct sdp_pair *pair[2] = {&args->a, &args->b};
    for (unsigned i = 0; i < 2; i++) {
        list_of(&local[i], first_audio(pair[i]->local));
        list_of(&remote[i], first_audio(pair[i]->remote));
    }
    return understood(sends(&local[0], &remote[0]), &remote[1]) &&
           understood(sends(&local[1], &remote[1]), &remote[0]);
}

static bool same_media(const struct sdp_pair *before, const struct sdp *now, unsigned i)
{
    const struct sdp_media *x = &before->remote->media[i], *y = &now->media[i];
    struct codecs local, remote, offered;
    if (x->kind != y->kind || !str_eq(x->proto, y->proto) || (x->port == 0) != (y->port == 0))
        return false;
    if (!is_live(before->local, i) || x->port == 0)
        return true; /* refused before, and again */
    list_of(&local, &before->local->media[i]);
    list_of(&remote, x);
    list_of(&offered, y);
    const struct sdp_codec *used = sends(&local, &remote);
    const struct sdp_codec *there = used ? find_equal(&offered, used) : NULL;
    /* The packets of audio are renumbered on their way, others pass as they are. */
    return there && (x->kind == SDP_AUDIO || there->pt == used->pt);
}

bool sdp_same_session(const struct sdp_pair *before, const struct sdp *now)
{
    if (!before->local || !before->remote || before->remote->n_media != now->n_media)
        return false;
    for (unsigned i = 0; i < now->n_media; i++)
        if (!same_media(before, now, i))
            return false;
    return true;
}

static void count_media(struct codecs *offer, struct codecs *answer, unsigned *known, unsigned *all,
                        bool *foreign)
{
    for (unsigned k = 0; k < answer->n; k++) {
        const struct sdp_codec *c = &answer->v[k];
        bool there = find_equal(offer, c) != NULL;
        *foreign |= !there;
        *all += !sdp_codec_is_helper(c);
        *known += there && !sdp_codec_is_helper(c);
    }
}

enum sdp_overlap sdp_overlap(const struct sdp *answer, const struct sdp *offer)
{
    unsigned known = 0, all = 0;
    bool foreign = false;
    for (unsigned i = 0; i < answer->n_media; i++) {
        struct codecs o, a;
        if (!is_live(answer, i) || answer->media[i].kind != SDP_AUDIO)
            continue;
        list_of(&o, media_like(offer, answer, i));
        list_of(&a, &answer->media[i]);
        count_media(&o, &a, &known, &all, &foreign);
    }
    if (all == 0 || (known == all && !foreign))
        return SDP_OVERLAP_ALL;
    return known ? SDP_OVERLAP_SOME : SDP_OVERLAP_NONE;
}

void sdp_extra_make(struct sdp_extra *out, const struct sdp *s, unsigned i,
                    const struct sdp_choice_media *choice, const struct str *name, unsigned n)
{
    struct codecs from, kept = {.n = 0};
    list_of(&from, &s->media[i]);
    for (unsigned k = 0; k < choice->n; k++) {
        struct sdp_codec c;
        if (sdp_codec_get(&c, &s->media[i], choice->format[k]) == 0)
            add(&kept, &c);
    }
    unsigned had = kept.n;
    out->media = i;
    out->n = 0;
    for (unsigned k = 0; k < n; k++)
        add_named(&kept, &from, name[k]);
    add_events(&kept, &from);
    for (unsigned k = had; k < kept.n && out->n < ARRAY_LEN(out->codec); k++)
        out->codec[out->n++] = kept.v[k];
}
