/* Which codecs are offered, answered and told to the media plane. Parties that share one use it,
 * and their packets pass on as they are; the others talk through us. */
#include "pbx/call_int.h"

#include <errno.h>

#include "base/num.h"
#include "wire/sdp/oa.h"

#define USUAL_PTIME_MS   20u
#define LONGEST_PTIME_MS 120u

static bool is_known(struct str name)
{
    struct sdp_codec c;
    return sdp_codec_find(&c, name) == 0 && codec_known((uint8_t)codec_find(c.name, c.clock));
}

unsigned transcode_codecs(struct pbx *p, const struct leg *leg, struct str names[CONF_CODEC_COUNT])
{
    unsigned n = 0, all = leg_codecs(p, leg, NULL, names);
    for (unsigned i = 0; i < all; i++)
        if (is_known(names[i]))
            names[n++] = names[i];
    return n;
}

/* ---- the offer ------------------------------------------------------------------------------- */

/* Can anything that the party may use in this media be put into another codec? */
static bool can_hear(struct pbx *p, const struct leg *leg, const struct sdp_media *m)
{
    struct str names[CONF_CODEC_COUNT];
    unsigned n = transcode_codecs(p, leg, names);
    for (unsigned i = 0; i < m->n_formats; i++) {
        struct sdp_codec c;
        if (sdp_codec_get(&c, m, i) || !codec_known((uint8_t)codec_find(c.name, c.clock)))
            continue;
        for (unsigned k = 0; k < n; k++)
            if (sdp_codec_matches(&c, names[k]))
                return true;
    }
    return false;
}

static bool is_plain_audio(const struct sdp_media *m)
{
    return m->kind == SDP_AUDIO && m->rtp && !m->secure && m->port != 0;
}

bool transcode_muxes(const struct sdp_media *m)
{
    return is_plain_audio(m) && m->rtcp_mux;
}

unsigned transcode_into(struct pbx *p, const struct leg *from, const struct leg *to,
                        const struct sdp *said, struct str names[CONF_CODEC_COUNT])
{
    unsigned i = 0;
    while (i < said->n_media && !is_plain_audio(&said->media[i]))
        i++;
    if (!p->config->media.transcode || i >= said->n_media || !can_hear(p, from, &said->media[i]))
        return 0;
    return transcode_codecs(p, to, names);
}

/* What is added to the first audio of the offer; a media without a codec that both may use comes
 * to life by it. NULL: nothing. */
static const struct sdp_extra *add_codecs(struct pbx *p, const struct leg *from,
                                          const struct leg *to, const struct sdp *offer,
                                          struct sdp_choice *choice)
{
    struct str names[CONF_CODEC_COUNT];
    unsigned i = 0, n = transcode_into(p, from, to, offer, names);
    while (i < offer->n_media && !is_plain_audio(&offer->media[i]))
        i++;
    if (n == 0 || i >= LEG_MAX_STREAMS)
        return NULL;
    struct sdp_extra *extra = arena_take(&p->turn, sizeof(*extra));
    if (!extra)
        return NULL;
    struct sdp_choice_media *c = &choice->media[i];
    if (c->refused)
        c->n = 0;
    c->refused = false;
    sdp_extra_make(extra, offer, i, c, names, n);
    return extra->n ? extra : NULL;
}

static bool is_empty(const struct sdp *offer, const struct sdp_choice *choice)
{
    for (unsigned i = 0; i < offer->n_media; i++)
        if (offer->media[i].port != 0 && !choice->media[i].refused)
            return false;
    return true;
}

int transcode_offer(struct pbx *p, struct leg *from, struct leg *to, const struct sdp *offer,
                    struct str *ret)
{
    struct str names[CONF_CODEC_COUNT];
    struct sdp_choice *choice = arena_take(&p->turn, sizeof(*choice));
    struct sdp_policy policy = {
        .codec = names, .keep_video = true, .n_codecs = leg_codecs(p, from, to, names)};
    if (!choice)
        return -ENOMEM;
    if (policy.n_codecs == 0) /* an empty list would let all pass */
        names[policy.n_codecs++] = STR("none");
    (void)sdp_choice_make(choice, offer, &policy);
    const struct sdp_extra *extra = add_codecs(p, from, to, offer, choice);
    if (is_empty(offer, choice))
        return -ENOTSUP;
    int err = leg_sdp_for(p, to, offer, choice, extra, ret);
    return err ? err : leg_open(p, from, offer, choice);
}

/* ---- the answer ------------------------------------------------------------------------------ */

int transcode_cross(struct pbx *p, struct leg *to, const struct sdp *offer, const struct sdp *other,
                    struct str *ret)
{
    struct str names[CONF_CODEC_COUNT];
    struct sdp_policy policy = {.codec = names, .keep_video = true};
    int err = leg_answer_cross(p, to, offer, other, ret);
    if (err != -ENOENT || !p->config->media.transcode)
        return err;
    policy.n_codecs = transcode_codecs(p, to, names);
    return policy.n_codecs ? leg_answer_with(p, to, offer, NULL, &policy, ret) : -ENOENT;
}

int transcode_answer(struct pbx *p, struct leg *to, const struct sdp *answer, struct str *ret)
{
    const struct sdp *offer = leg_sdp_kept(p, to->offer);
    enum sdp_overlap common = offer ? sdp_overlap(answer, offer) : SDP_OVERLAP_ALL;
    if (common == SDP_OVERLAP_ALL)
        return leg_sdp_for(p, to, answer, NULL, NULL, ret);
    return transcode_cross(p, to, offer, answer, ret);
}

/* ---- the media plane ------------------------------------------------------------------------- */

static bool is_one(struct str fmtp, struct str name)
{
    return str_eq(sdp_fmtp_find(fmtp, name), STR("1"));
}

static uint32_t number_of(struct str fmtp, struct str name)
{
    uint64_t v;
    return num_u64(&v, sdp_fmtp_find(fmtp, name), 1000000) ? 0 : (uint32_t)v;
}

/* FNV-1a of what an rtpmap says, without case. */
static uint32_t name_number(const struct sdp_codec *c)
{
    uint32_t h = 2166136261u ^ c->channels;
    for (size_t i = 0; i < c->name.n; i++)
        h = (h ^ (uint32_t)(c->name.p[i] | 0x20)) * 16777619u;
    return h | 1;
}

static void format_of(struct media_format *f, const struct sdp_codec *c)
{
    *f = (struct media_format){.codec = (uint8_t)codec_find(c->name, c->clock),
                               .pt = c->pt,
                               .clock_hz = c->clock ? c->clock : 8000};
    if (f->codec == CODEC_L16 && c->channels > 1)
        f->codec = CODEC_NONE;
    if (f->codec == CODEC_NONE)
        f->name = name_number(c);
    if (f->codec != CODEC_OPUS)
        return;
    f->max_rate_hz = number_of(c->fmtp, STR("maxplaybackrate"));
    f->max_bitrate = number_of(c->fmtp, STR("maxaveragebitrate"));
    f->fec = is_one(c->fmtp, STR("useinbandfec"));
    f->dtx = is_one(c->fmtp, STR("usedtx"));
    f->cbr = is_one(c->fmtp, STR("cbr"));
}

static uint8_t formats_of(struct media_format out[MEDIA_MAX_FORMATS], const struct sdp_media *m)
{
    struct sdp_codec list[SDP_MAX_FORMATS];
    unsigned n = sdp_codec_list(list, ARRAY_LEN(list), m);
    uint8_t used = 0;
    for (unsigned i = 0; i < n && used < MEDIA_MAX_FORMATS; i++)
        format_of(&out[used++], &list[i]);
    return used;
}

/* Is each of these known here, and one of them speech? */
static bool can_read(const struct media_format *f, unsigned n)
{
    bool speech = false;
    for (unsigned i = 0; i < n; i++) {
        if (f[i].codec == CODEC_EVENT || f[i].codec == CODEC_CN)
            continue;
        if (!codec_known(f[i].codec))
            return false;
        speech = true;
    }
    return speech;
}

/* RFC 8866 sections 6.4 and 6.5: as long as it would like them, never longer than it can take. 0:
 * it does not say. */
static uint8_t packet_ms(const struct sdp_media *m)
{
    uint32_t ms = m->ptime_ms;
    if (m->maxptime_ms && (ms ? ms : USUAL_PTIME_MS) > m->maxptime_ms)
        ms = m->maxptime_ms;
    return (uint8_t)(ms > LONGEST_PTIME_MS ? LONGEST_PTIME_MS : ms);
}

void transcode_formats(struct pbx *p, struct leg *leg, const struct sdp *ours,
                       const struct sdp *theirs)
{
    for (unsigned i = 0; i < leg->n_streams && i < ours->n_media && i < theirs->n_media; i++) {
        const struct sdp_media *m = &theirs->media[i];
        bool plain = is_plain_audio(m) && ours->media[i].port != 0;
        if (!leg->stream[i].id || (!plain && !leg->stream[i].audio))
            continue;
        struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
        *cmd = (struct media_cmd){.kind = MEDIA_FORMAT,
                                  .id = leg->stream[i].id,
                                  .mux = m->rtcp_mux && ours->media[i].rtcp_mux};
        leg->stream[i].audio = plain;
        if (!plain) /* it was, and is passed on untouched from now on */
            continue;
        cmd->n_rx = formats_of(cmd->rx, &ours->media[i]);
        cmd->n_tx = formats_of(cmd->tx, m);
        leg->stream[i].mixes = can_read(cmd->rx, cmd->n_rx);
        leg->wide = cmd->n_tx && codec_rate(&cmd->tx[0]) > 8000;
        cmd->ptime_ms = packet_ms(m);
    }
}
