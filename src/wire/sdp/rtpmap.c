/* Payload types and their names: RFC 3551 tables 4 and 5, and the dynamic ones that phones use. */
#include "wire/sdp/codec.h"

#include <errno.h>

#include "base/num.h"

#define CODEC(name_, clock_, channels_, pt_)                                                       \
    {                                                                                              \
        .name = STR_INIT(name_), .clock = clock_, .channels = channels_, .pt = pt_                 \
    }

static const struct sdp_codec known[] = {
    CODEC("PCMU", 8000, 1, 0),
    CODEC("PCMA", 8000, 1, 8),
    CODEC("G722", 8000, 1, 9), /* 16000 in truth; RFC 3551 section 4.5.2 keeps the old mistake */
    CODEC("G729", 8000, 1, 18),
    CODEC("GSM", 8000, 1, 3),
    CODEC("G723", 8000, 1, 4),
    CODEC("DVI4", 8000, 1, 5),
    CODEC("DVI4", 16000, 1, 6),
    CODEC("LPC", 8000, 1, 7),
    CODEC("L16", 16000, 1, SDP_NO_PT), /* first: what "L16" alone means when we name it */
    CODEC("L16", 44100, 2, 10),
    CODEC("L16", 44100, 1, 11),
    CODEC("QCELP", 8000, 1, 12),
    CODEC("CN", 8000, 1, 13),
    CODEC("MPA", 90000, 1, 14),
    CODEC("G728", 8000, 1, 15),
    CODEC("DVI4", 11025, 1, 16),
    CODEC("DVI4", 22050, 1, 17),
    CODEC("CelB", 90000, 1, 25),
    CODEC("JPEG", 90000, 1, 26),
    CODEC("nv", 90000, 1, 28),
    CODEC("H261", 90000, 1, 31),
    CODEC("MPV", 90000, 1, 32),
    CODEC("MP2T", 90000, 1, 33),
    CODEC("H263", 90000, 1, 34),
    CODEC("opus", 48000, 2, SDP_NO_PT), /* always 2 in rtpmap: RFC 7587 section 7 */
    CODEC("telephone-event", 8000, 1, SDP_NO_PT),
    CODEC("L16", 8000, 1, SDP_NO_PT),
    CODEC("iLBC", 8000, 1, SDP_NO_PT),
    CODEC("speex", 8000, 1, SDP_NO_PT),
    CODEC("speex", 16000, 1, SDP_NO_PT),
    CODEC("AMR", 8000, 1, SDP_NO_PT),
    CODEC("AMR-WB", 16000, 1, SDP_NO_PT),
    CODEC("G726-32", 8000, 1, SDP_NO_PT),
    CODEC("VP8", 90000, 1, SDP_NO_PT),
    CODEC("H264", 90000, 1, SDP_NO_PT),
};

int sdp_codec_static(struct sdp_codec *ret, uint8_t pt)
{
    for (unsigned i = 0; i < ARRAY_LEN(known); i++)
        if (pt != SDP_NO_PT && known[i].pt == pt) {
            *ret = known[i];
            return 0;
        }
    return -ENOENT;
}

/* The parts of "name/clock/channels"; 0 for those that are absent. */
static int split(struct str text, struct str *name, uint32_t *clock, uint8_t *channels)
{
    ptrdiff_t slash = str_chr(text, '/');
    *name = slash < 0 ? text : str_sub(text, 0, (size_t)slash);
    *clock = 0;
    *channels = 0;
    if (name->n == 0)
        return -EINVAL;
    if (slash < 0)
        return 0;
    struct str rest = str_from(text, (size_t)slash + 1);
    ptrdiff_t second = str_chr(rest, '/');
    uint64_t v;
    if (num_u32(clock, second < 0 ? rest : str_sub(rest, 0, (size_t)second)) || *clock == 0)
        return -EINVAL;
    if (second < 0)
        return 0;
    if (num_u64(&v, str_from(rest, (size_t)second + 1), 255) || v == 0)
        return -EINVAL;
    *channels = (uint8_t)v;
    return 0;
}

int sdp_codec_parse(struct sdp_codec *ret, struct str encoding, uint8_t pt)
{
    struct sdp_codec c = {.pt = pt};
    int err = split(str_trim(encoding), &c.name, &c.clock, &c.channels);
    if (err || c.clock == 0)
        return -EINVAL;
    if (c.channels == 0)
        c.channels = 1; /* RFC 8866 section 6.6 */
    *ret = c;
    return 0;
}

int sdp_codec_find(struct sdp_codec *ret, struct str text)
{
    struct str name;
    uint32_t clock;
    uint8_t channels;
    if (split(text, &name, &clock, &channels))
        return -ENOENT;
    for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
        const struct sdp_codec *c = &known[i];
        if (str_ieq(c->name, name) && (clock == 0 || clock == c->clock) &&
            (channels == 0 || channels == c->channels)) {
            *ret = *c;
            return 0;
        }
    }
    return -ENOENT;
}

bool sdp_codec_matches(const struct sdp_codec *c, struct str text)
{
    struct str name;
    uint32_t clock;
    uint8_t channels;
    if (split(text, &name, &clock, &channels))
        return false;
    return str_ieq(c->name, name) && (clock == 0 || clock == c->clock) &&
           (channels == 0 || channels == c->channels);
}

/* What stands behind "pt " in the line of that kind. */
static struct str line_of(const struct sdp_media *m, enum sdp_attr attr, uint8_t pt)
{
    for (unsigned i = 0; i < m->n_lines; i++) {
        if (m->line[i].attr != attr || m->line[i].pt != pt)
            continue;
        struct str arg = str_trim(sdp_attr_arg(&m->line[i]));
        ptrdiff_t space = str_chr(arg, ' ');
        return space < 0 ? str_from(arg, arg.n) : str_trim(str_from(arg, (size_t)space));
    }
    return STR_NONE;
}

int sdp_codec_get(struct sdp_codec *ret, const struct sdp_media *m, unsigned i)
{
    uint64_t pt;
    if (i >= m->n_formats || !m->rtp || num_u64(&pt, m->format[i], 127))
        return -EINVAL;
    struct sdp_codec c = {.pt = (uint8_t)pt};
    struct str map = line_of(m, SDP_A_RTPMAP, c.pt);
    if ((!map.p || sdp_codec_parse(&c, map, c.pt)) && sdp_codec_static(&c, c.pt))
        c = (struct sdp_codec){.name = STR_NONE, .pt = (uint8_t)pt};
    c.fmtp = line_of(m, SDP_A_FMTP, c.pt);
    *ret = c;
    return 0;
}

unsigned sdp_codec_list(struct sdp_codec *out, unsigned cap, const struct sdp_media *m)
{
    unsigned n = 0;
    for (unsigned i = 0; i < m->n_formats && n < cap; i++)
        if (sdp_codec_get(&out[n], m, i) == 0)
            n++;
    return n;
}

bool sdp_codec_is_helper(const struct sdp_codec *c)
{
    return str_ieq(c->name, STR("telephone-event")) || str_ieq(c->name, STR("CN")) ||
           str_ieq(c->name, STR("red"));
}
