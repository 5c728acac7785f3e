/* RTCP of our own, for each leg that we know the formats of: the exchange is a party of the
 * session, not a wire (RFC 3550 section 7.1), and measures both directions. */
#include "engine/media/plane_int.h"

/* What is spoken under this number; between keys and silence, what else would be. */
static uint8_t codec_under(const struct media_format *f, unsigned n, uint8_t pt)
{
    uint8_t speech = CODEC_NONE;
    for (unsigned i = 0; i < n; i++) {
        if (f[i].pt == pt && f[i].codec != CODEC_EVENT && f[i].codec != CODEC_CN)
            return f[i].codec;
        if (speech == CODEC_NONE && codec_known(f[i].codec))
            speech = f[i].codec;
    }
    return speech;
}

void plane_stats_of(const struct stream *s, struct media_stats *ret)
{
    *ret = s->stats;
    ret->lost = report_lost(&s->report);
    ret->jitter_us = report_jitter_us(&s->report);
    ret->codec = s->stats.rx_packets ? codec_under(s->rx, s->n_rx, ret->payload_type) : CODEC_NONE;
    ret->tx_codec =
        s->stats.tx_packets ? codec_under(s->tx, s->n_tx, ret->tx_payload_type) : CODEC_NONE;
    listen_stats(s, ret);
    report_quality(&s->report, &ret->quality);
}

void plane_rtcp_arm(struct plane *r, struct stream *s)
{
    if (!s->n_rx)
        timer_stop(&r->wheel, &s->rtcp_timer);
    else if (!timer_armed(&s->rtcp_timer))
        timer_start(&r->wheel, &s->rtcp_timer, report_deadline(&s->report));
}

/* The name is the same for the life of the stream, and tells nobody who we are (RFC 7022). */
static struct str cname_of(const struct stream *s, char mem[32])
{
    struct buf b;
    uint64_t own[2] = {s->name, (uint64_t)s->self};
    buf_init(&b, mem, 32);
    buf_hex(&b, own, 12);
    return buf_str(&b);
}

static void write_out(struct plane *r, usec_t now, struct stream *s, bool bye)
{
    char mem[REPORT_MAX_BYTES], name[32];
    struct buf b;
    struct report_write w = {
        .ntp_offset = r->limits.ntp_offset, .cname = cname_of(s, name), .flags = REPORT_XR};
    struct report_buffer jitter;
    buf_init(&b, mem, sizeof(mem));
    listen_buffer(s, &jitter);
    report_buffer_set(&s->report, &jitter);
    int err =
        bye ? report_bye(&s->report, now, &w, STR_NONE, &b) : report_make(&s->report, now, &w, &b);
    if (!err)
        plane_out_rtcp(r, s, (const uint8_t *)mem, b.n);
}

void plane_rtcp_due(struct plane *r, usec_t now, struct stream *s)
{
    if (report_due(&s->report, now)) {
        write_out(r, now, s, false);
        plane_note_stats(r, s);
    }
    timer_start(&r->wheel, &s->rtcp_timer, report_deadline(&s->report));
}

void plane_rtcp_bye(struct plane *r, usec_t now, struct stream *s)
{
    if (s->n_rx)
        write_out(r, now, s, true);
}
