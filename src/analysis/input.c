/* The doors of the reading half, and what needs no memory: datagrams. */
#include "analysis/input.h"

#include <errno.h>

#include "analysis/out.h"
#include "analysis/start.h"
#include "base/be.h"
#include "base/mem.h"
#include "wire/cap/link.h"

#define MAX_KEEPALIVE 16 /* bytes */

struct an_input {
    struct an_limits limits;
    struct an_out out;
    bool ending;
};

struct an_limits an_limits_default(void)
{
    return (struct an_limits){
        .datagrams = 1024,
        .datagram_bytes = 16u << 20,
        .datagram_ns = 30000000000,
        .connections = 65536,
        .segments_bytes = 1u << 20,
        .segments_bytes_all = 32u << 20,
        .streams_bytes = 64u << 20,
        .message_bytes = 256u << 10,
        .gap_ns = 5000000000,
        .acked_gap_ns = 500000000,
        .idle_ns = 4 * 3600000000000,
        .keys = 65536,
        .warnings = 256,
    };
}

int an_input_new(struct an_input **ret, const struct an_limits *limits)
{
    struct an_input *in = mem_zero(sizeof(*in));
    if (!in)
        return -ENOMEM;
    in->limits = limits ? *limits : an_limits_default();
    if (an_out_init(&in->out, &in->limits)) {
        mem_free(in);
        return -ENOMEM;
    }
    *ret = in;
    return 0;
}

void an_input_free(struct an_input *in)
{
    if (!in)
        return;
    an_out_done(&in->out);
    mem_free(in);
}

void an_input_keys(struct an_input *in, struct str keylog_text)
{
}

/* CRLFs (RFC 5626 section 3.5.1) and the zero bytes that some phones send instead. */
static bool is_keepalive(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != '\r' && p[i] != '\n' && p[i] != 0 && p[i] != ' ')
            return false;
    return n <= MAX_KEEPALIVE;
}

/* Bytes of a datagram with their addresses. */
static void payload(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip,
                    struct str bytes)
{
    struct an_out *o = &in->out;
    struct addr src = ip->src, dst = ip->dst;
    size_t skip = 0;
    src.port = be16_get(ip->p);
    dst.port = be16_get(ip->p + 2);
    bool sip = false;
    /* The first byte of RTP, RTCP, STUN and DTLS tells them from text (RFC 7983). */
    if (bytes.n && (uint8_t)bytes.p[0] < 0x80) {
        while (skip < bytes.n && (bytes.p[skip] == '\r' || bytes.p[skip] == '\n'))
            skip++;
        sip = an_start_like(bytes.p + skip, bytes.n - skip, true) == AN_START_YES;
        if (!sip && is_keepalive((const uint8_t *)bytes.p, bytes.n)) {
            o->stats.keepalives++;
            return;
        }
    }
    struct an_datum *d = an_out_put(o, seen);
    if (!d)
        return;
    d->src = src;
    d->dst = dst;
    d->transport = AN_UDP;
    d->kind = sip ? AN_SIP : AN_UDP_DATA;
    d->truncated = ip->n < ip->wire_n;
    d->bytes = sip ? str_from(bytes, skip) : bytes;
    if (!sip) {
        o->stats.udp_data++;
        return;
    }
    o->stats.sip[AN_UDP]++;
    o->stats.sip_bytes[AN_UDP] += bytes.n;
}

static void udp(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip)
{
    if (ip->n < 8) {
        in->out.stats.bad_ip++;
        return;
    }
    /* The length is 0 in what was captured before a network card filled it in. */
    uint32_t n = be16_get(ip->p + 4), have = ip->n - 8;
    if (n >= 8 && n - 8 < have)
        have = n - 8;
    payload(in, seen, ip, str_of((const char *)ip->p + 8, have));
}

/* RFC 792, RFC 4443: of the errors the ones that quote a UDP packet. */
static void icmp(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip)
{
    struct an_out *o = &in->out;
    struct cap_ip quoted;
    bool error = ip->n > 8 &&
                 (ip->proto == CAP_PROTO_ICMP6 ? ip->p[0] >= 1 && ip->p[0] <= 4
                                               : ip->p[0] == 3 || ip->p[0] == 11 || ip->p[0] == 12);
    if (!error || cap_ip_parse(&quoted, ip->p + 8, ip->n - 8) || quoted.proto != CAP_PROTO_UDP)
        return;
    struct an_datum *d = an_out_put(o, seen);
    if (!d)
        return;
    o->stats.icmp++;
    d->kind = AN_ICMP;
    d->src = ip->src;
    d->dst = ip->dst;
    d->bytes = str_of((const char *)ip->p + 8, ip->n - 8);
}

static void packet(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip)
{
    switch (ip->proto) {
    case CAP_PROTO_UDP:
        udp(in, seen, ip);
        break;
    case CAP_PROTO_ICMP:
    case CAP_PROTO_ICMP6:
        icmp(in, seen, ip);
        break;
    default:
        in->out.stats.other_ip++;
        break;
    }
}

static void count_frame(struct an_input_stats *s, const struct cap_frame *f)
{
    s->frames++;
    s->bytes += f->n;
    s->wire_bytes += f->wire_n;
    s->truncated += f->n < f->wire_n;
    if (f->no_time)
        return;
    if (s->first_ns == 0 || f->at_ns < s->first_ns)
        s->first_ns = f->at_ns;
    if (f->at_ns > s->last_ns)
        s->last_ns = f->at_ns;
}

void an_input_frame(struct an_input *in, const struct cap_frame *f)
{
    struct an_out *o = &in->out;
    an_out_reset(o);
    if (f->keys) {
        an_input_keys(in, str_of((const char *)f->p, f->n));
        return;
    }
    count_frame(&o->stats, f);
    uint64_t number = o->stats.frames;
    struct an_seen seen = {
        .at_ns = f->at_ns, .frame = number, .first_frame = number, .iface = (uint16_t)f->iface};
    struct cap_ip ip;
    int r = cap_ip_of(&ip, f->link, f->p, f->n);
    if (r == -ENOENT) {
        o->stats.non_ip++;
    } else if (r) {
        o->stats.bad_ip++;
        an_out_warn(o, number, STR("an IP header that is none"), NULL, NULL);
    } else {
        packet(in, &seen, &ip);
    }
}

bool an_input_next(struct an_input *in, struct an_datum *d)
{
    return an_out_next(&in->out, d);
}

void an_input_end(struct an_input *in)
{
    in->ending = true;
}

bool an_input_warning(struct an_input *in, struct an_warning *w)
{
    struct an_out *o = &in->out;
    if (o->warn_head == o->warn_n) {
        o->warn_head = o->warn_n = 0;
        return false;
    }
    *w = o->warning[o->warn_head++];
    return true;
}

const struct an_input_stats *an_input_stats(const struct an_input *in)
{
    return &in->out.stats;
}
