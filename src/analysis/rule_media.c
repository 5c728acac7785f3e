/* Whether they heard each other, and how well. */
#include "analysis/explain_int.h"

#define TALK_NS   (3ull * 1000000000) /* less says nothing */
#define LOSS_E4   100                 /* one percent */
#define JITTER_US 50000
#define GAP_MS    1500
#define SILENT_MS 5000

static uint64_t talk_ns(const struct an_leg *leg)
{
    uint64_t end = leg_end_ns(leg);
    return leg->answer_ns == AN_NEVER || end < leg->answer_ns ? 0 : end - leg->answer_ns;
}

static uint64_t held_ns(const struct an_leg *leg)
{
    uint64_t sum = 0, end = leg_end_ns(leg);
    for (uint32_t i = 0; i < leg->n_holds; i++)
        sum += (leg->hold[i].to_ns < end ? leg->hold[i].to_ns : end) - leg->hold[i].from_ns;
    return sum;
}

static bool has_audio(const struct an_leg *leg)
{
    for (uint32_t i = 0; i < leg->n_sdps; i++)
        for (unsigned k = 0; k < leg->sdp[i].n_media; k++)
            if (leg->sdp[i].media[k].kind == SDP_AUDIO && leg->sdp[i].media[k].rtp.port)
                return true;
    return false;
}

/* What was agreed last lets both be heard. */
static bool both_ways(const struct an_leg *leg)
{
    bool listens[2] = {true, true};
    for (uint32_t i = 0; i < leg->n_sdps; i++)
        if (leg->sdp[i].n_media)
            listens[leg->sdp[i].side] = leg->sdp[i].media[0].dir == SDP_SENDRECV;
    return listens[0] && listens[1];
}

static void heard(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    const struct an_rtp *rtp = an_engine_rtp(x->e);
    struct an_rtp_side side[2];
    uint64_t talk = talk_ns(leg);
    if (talk < TALK_NS || talk - (held_ns(leg) < talk ? held_ns(leg) : talk) < TALK_NS ||
        !has_audio(leg) || !an_rtp_streams(rtp))
        return;
    for (unsigned k = 0; k < 2; k++)
        an_rtp_leg_side(rtp, i, (enum an_side)k, &side[k]);
    if (!side[0].packets && !side[1].packets) {
        find(x, AN_R_NO_MEDIA, i, AN_NONE, leg->answer_ns);
        find_span(x, talk);
        return;
    }
    unsigned mute = side[0].packets ? AN_CALLEE : AN_CALLER;
    if (side[mute].packets || !both_ways(leg) || leg_unseen(leg) == mute)
        return;
    find(x, AN_R_ONE_WAY, i, leg->answer_msg, leg->answer_ns);
    find_arg(x, side_name(x, leg, (enum an_side)mute));
    find_span(x, talk);
    find_arg(x, side_name(x, leg, (enum an_side) !mute));
}

/* ---- one stream ------------------------------------------------------------------------------ */

static void find_percent(struct explain *x, uint32_t e4)
{
    char mem[24];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_printf(&b, "%u.%u", e4 / 100, e4 / 10 % 10);
    find_arg(x, buf_str(&b));
}

static void find_mos(struct explain *x, uint16_t mos_x100)
{
    char mem[24];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    if (mos_x100)
        buf_printf(&b, "%u.%02u", mos_x100 / 100, mos_x100 % 100);
    else
        buf_ch(&b, '-');
    find_arg(x, buf_str(&b));
}

static void found_in(struct explain *x, enum an_rule rule, uint32_t i, const struct an_stream *s,
                     uint64_t at_ns)
{
    find(x, rule, i, AN_NONE, at_ns);
    if (x->at && x->at->n_frames < AN_FINDING_MAX_FRAMES)
        x->at->frame[x->at->n_frames++] = s->first_frame;
    find_arg(x, side_name(x, leg_of(x, i), (enum an_side)s->side));
}

/* In any leg of the call: an exchange may answer a hold itself, and the other side has none. */
static bool gap_in_hold(const struct explain *x, uint64_t at_ns)
{
    for (uint32_t k = 0; k < x->call->n_legs; k++) {
        const struct an_leg *leg = leg_of(x, x->call->leg[k]);
        for (uint32_t i = 0; i < leg->n_holds; i++)
            if (at_ns + 500000000 >= leg->hold[i].from_ns && at_ns < leg->hold[i].to_ns)
                return true;
    }
    return false;
}

static void stream_look(struct explain *x, uint32_t i, const struct an_stream *s)
{
    if (s->loss_e4 >= LOSS_E4) {
        found_in(x, AN_R_LOSS, i, s, s->first_ns);
        find_percent(x, s->loss_e4);
        find_mos(x, s->mos_x100);
    }
    if (s->most_jitter_us >= JITTER_US) {
        found_in(x, AN_R_JITTER, i, s, s->first_ns);
        find_u64(x, s->most_jitter_us / 1000);
    }
    if (s->most_gap_ms >= GAP_MS && !gap_in_hold(x, s->most_gap_ns)) {
        found_in(x, AN_R_GAP, i, s, s->most_gap_ns);
        find_span(x, (uint64_t)s->most_gap_ms * 1000000);
    }
    if (s->sound_ms >= SILENT_MS && s->silent_ms + 100 >= s->sound_ms)
        found_in(x, AN_R_SILENT, i, s, s->first_ns);
}

static bool format_named(const struct an_leg *leg, uint8_t pt)
{
    for (uint32_t i = 0; i < leg->n_sdps; i++)
        for (unsigned k = 0; k < leg->sdp[i].n_media; k++) {
            const struct an_media *m = &leg->sdp[i].media[k];
            for (unsigned c = 0; c < m->n_codecs; c++)
                if (m->codec[c].pt == pt)
                    return true;
            if (m->n_codecs == AN_SDP_MAX_CODECS)
                return true; /* there may be more */
        }
    return !leg->n_sdps;
}

static void formats_look(struct explain *x, uint32_t i, const struct an_stream *s)
{
    for (unsigned k = 0; k < s->n_formats; k++)
        if (s->format[k].packets > 5 && !format_named(leg_of(x, i), s->format[k].pt)) {
            found_in(x, AN_R_UNAGREED, i, s, s->first_ns);
            find_u64(x, s->format[k].pt);
            return;
        }
}

/* The address that a side has named, against where it sends from. */
static void source_look(struct explain *x, uint32_t i, const struct an_stream *s)
{
    const struct an_leg *leg = leg_of(x, i);
    const struct addr *named = NULL;
    for (uint32_t k = 0; k < leg->n_sdps; k++) {
        const struct an_sdp *d = &leg->sdp[k];
        if (d->side != s->side || s->media >= d->n_media || !d->media[s->media].rtp.port)
            continue;
        named = &d->media[s->media].rtp;
        if (addr_eq(named, &s->src))
            return;
    }
    if (!named || addr_is_any(named))
        return;
    found_in(x, AN_R_MEDIA_FROM_ELSEWHERE, i, s, s->first_ns);
    find_addr(x, &s->src);
    find_addr(x, named);
}

static bool names_codec(const struct an_leg *leg, const struct an_sdp *d, struct str name)
{
    for (unsigned i = 0; i < d->n_media; i++)
        for (unsigned k = 0; k < d->media[i].n_codecs; k++)
            if (str_ieq(an_leg_text(leg, d->media[i].codec[k].name), name))
                return true;
    return false;
}

static void keys_look(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    for (uint32_t k = 0; k < leg->n_sdps && leg->answer_ns != AN_NEVER; k++) {
        const struct an_sdp *d = &leg->sdp[k];
        if (!d->answer || !d->n_media || d->media[0].kind != SDP_AUDIO || !d->media[0].n_codecs)
            continue;
        if (!names_codec(leg, d, STR("telephone-event")))
            find(x, AN_R_NO_KEYS_EVENT, i, d->msg, d->at_ns);
        return;
    }
}

/* What was offered where an attempt failed for it. */
static void codecs_look(struct explain *x, uint32_t i)
{
    const struct an_leg *leg = leg_of(x, i);
    char mem[200];
    struct buf b;
    if ((leg->final != 488 && leg->final != 606) || !leg->n_sdps || leg->sdp[0].answer)
        return;
    buf_init(&b, mem, sizeof(mem));
    for (unsigned k = 0; k < leg->sdp[0].n_media; k++)
        for (unsigned c = 0; c < leg->sdp[0].media[k].n_codecs; c++) {
            if (b.n)
                buf_lit(&b, ", ");
            buf_str_put(&b, an_leg_text(leg, leg->sdp[0].media[k].codec[c].name));
        }
    find(x, AN_R_NO_COMMON_CODEC, i, leg->final_msg, leg_end_ns(leg));
    find_arg(x, side_name(x, leg, (enum an_side)leg->sdp[0].side));
    find_arg(x, buf_str(&b));
}

void rule_media(struct explain *x)
{
    for (uint32_t i = 0; i < x->call->n_legs; i++) {
        uint32_t index = x->call->leg[i], n;
        const uint32_t *list = an_rtp_leg(an_engine_rtp(x->e), index, &n);
        heard(x, index);
        for (uint32_t k = 0; k < n; k++) {
            const struct an_stream *s = an_rtp_stream(an_engine_rtp(x->e), list[k]);
            stream_look(x, index, s);
            formats_look(x, index, s);
            source_look(x, index, s);
        }
        keys_look(x, index);
        codecs_look(x, index);
    }
}
