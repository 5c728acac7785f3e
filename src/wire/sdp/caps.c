/* Which formats stay, and descriptions of our own. */
#include "wire/sdp/caps.h"

#include <errno.h>

#include "wire/sdp/write.h"

static void keep_all(struct sdp_choice_media *c, const struct sdp_media *m)
{
    c->n = (uint8_t)m->n_formats;
    for (unsigned i = 0; i < m->n_formats; i++)
        c->format[i] = (uint8_t)i;
}

/* The place of a codec in the policy, or -1 if it may not stay. */
static int rank_of(const struct sdp_codec *c, const struct sdp_policy *p)
{
    if (p->n_codecs == 0)
        return 0;
    for (unsigned i = 0; i < p->n_codecs; i++)
        if (sdp_codec_matches(c, p->codec[i]))
            return (int)i;
    return -1;
}

/* Puts format i behind those of its rank and before those of higher ones. */
static void put_ranked(struct sdp_choice_media *c, int *rank, unsigned i, int r)
{
    unsigned at = c->n++;
    for (; at > 0 && rank[at - 1] > r; at--) {
        rank[at] = rank[at - 1];
        c->format[at] = c->format[at - 1];
    }
    rank[at] = r;
    c->format[at] = (uint8_t)i;
}

#define RANK_HELPER 0x10000

static void choose_audio(struct sdp_choice_media *out, const struct sdp_media *m,
                         const struct sdp_policy *p)
{
    int rank[SDP_MAX_FORMATS];
    unsigned n_real = 0;
    out->n = 0;
    for (unsigned i = 0; i < m->n_formats; i++) {
        struct sdp_codec c;
        if (sdp_codec_get(&c, m, i))
            continue;
        bool helper = sdp_codec_is_helper(&c);
        /* "red" names the formats it carries in its fmtp; some of them may be gone. */
        if (helper && str_ieq(c.name, STR("red")) && p->n_codecs)
            continue;
        int r = helper ? RANK_HELPER : rank_of(&c, p);
        if (r < 0)
            continue;
        n_real += !helper;
        put_ranked(out, rank, i, p->own_order ? r : 0);
    }
    if (n_real == 0)
        out->refused = true;
}

unsigned sdp_choice_make(struct sdp_choice *out, const struct sdp *s, const struct sdp_policy *p)
{
    unsigned usable = 0;
    out->n_media = s->n_media;
    for (unsigned i = 0; i < s->n_media; i++) {
        const struct sdp_media *m = &s->media[i];
        struct sdp_choice_media *c = &out->media[i];
        c->refused = false;
        if (m->kind == SDP_AUDIO && m->rtp)
            choose_audio(c, m, p);
        else
            keep_all(c, m);
        if (m->kind == SDP_VIDEO)
            c->refused = !p->keep_video;
        else if (m->kind != SDP_AUDIO || !m->rtp)
            c->refused = !p->keep_other;
        if (m->secure && !p->keep_secure)
            c->refused = true;
        /* The one who writes m= needs a format even where it means nothing. */
        if (c->refused)
            keep_all(c, m);
        usable += !c->refused && m->port != 0;
    }
    return usable;
}

#define MAX_CAPS 32

/* A dynamic payload type for the next codec: 101 is what everybody uses for telephone-event, the
 * others follow from 96 on (RFC 3551 section 6). */
static uint8_t payload_type(const struct sdp_codec *c, uint8_t *next)
{
    if (c->pt != SDP_NO_PT)
        return c->pt;
    if (str_ieq(c->name, STR("telephone-event")))
        return 101;
    if (*next == 101)
        ++*next;
    return (*next)++;
}

static unsigned own_codecs(struct sdp_codec *out, const struct sdp_caps *caps)
{
    uint8_t next = 96;
    unsigned n = 0, n_real = 0;
    bool has_event = false;
    for (unsigned i = 0; i < caps->n_codecs && n < MAX_CAPS - 1; i++) {
        if (sdp_codec_find(&out[n], caps->codec[i]))
            continue;
        bool event = str_ieq(out[n].name, STR("telephone-event"));
        if (event && has_event)
            continue;
        has_event |= event;
        n_real += !sdp_codec_is_helper(&out[n]);
        out[n].pt = payload_type(&out[n], &next);
        n++;
    }
    if (n_real && !has_event && sdp_codec_find(&out[n], STR("telephone-event")) == 0)
        out[n++].pt = 101;
    return n_real ? n : 0;
}

static void put_maps(struct buf *b, const struct sdp_codec *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_lit(b, "a=rtpmap:");
        buf_u64(b, c[i].pt);
        buf_ch(b, ' ');
        buf_str_put(b, c[i].name);
        buf_ch(b, '/');
        buf_u64(b, c[i].clock);
        if (c[i].channels > 1) {
            buf_ch(b, '/');
            buf_u64(b, c[i].channels);
        }
        buf_lit(b, "\r\n");
        if (str_ieq(c[i].name, STR("telephone-event")))
            buf_lit(b, "a=fmtp:101 0-16\r\n");
    }
}

int sdp_caps_build(struct buf *b, const struct sdp_caps *caps)
{
    struct sdp_codec codec[MAX_CAPS];
    unsigned n = own_codecs(codec, caps);
    size_t before = b->n;
    if (n == 0)
        return -ENOENT;
    buf_lit(b, "v=0\r\n");
    sdp_write_origin(b, &caps->local);
    buf_lit(b, "s=-\r\n");
    sdp_write_conn(b, caps->rtp.family ? &caps->rtp : &caps->local.addr);
    buf_lit(b, "t=0 0\r\nm=audio ");
    buf_u64(b, caps->rtp.port);
    buf_lit(b, " RTP/AVP");
    for (unsigned i = 0; i < n; i++) {
        buf_ch(b, ' ');
        buf_u64(b, codec[i].pt);
    }
    buf_lit(b, "\r\n");
    put_maps(b, codec, n);
    if (caps->ptime_ms) {
        buf_lit(b, "a=ptime:");
        buf_u64(b, caps->ptime_ms);
        buf_lit(b, "\r\n");
    }
    sdp_write_dir(b, caps->dir);
    if (!b->full)
        return 0;
    b->n = before;
    return -ENOBUFS;
}
