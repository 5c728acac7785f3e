/* The doors of the reading half, and the ways of a packet through it. */
#include "analysis/input.h"

#include <errno.h>

#include "analysis/defrag.h"
#include "analysis/hep_in.h"
#include "analysis/out.h"
#include "analysis/reasm.h"
#include "analysis/start.h"
#include "analysis/stream.h"
#include "analysis/tls.h"
#include "base/be.h"
#include "base/mem.h"
#include "wire/cap/link.h"
#include "wire/hep/hep.h"

#define MAX_KEEPALIVE 16 /* bytes */

struct an_input {
    struct an_limits limits;
    struct an_out out;
    struct defrag defrag;
    struct reasm reasm;
    struct an_streams streams;
    struct tls_keys keys;
    bool ending;
};

static void any_packet(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip);

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

static int parts_init(struct an_input *in)
{
    const struct an_limits *l = &in->limits;
    struct reasm_limits r = {.connections = l->connections,
                             .side_bytes = l->segments_bytes,
                             .all_bytes = l->segments_bytes_all,
                             .gap_ns = l->gap_ns,
                             .acked_gap_ns = l->acked_gap_ns,
                             .idle_ns = l->idle_ns,
                             .seed = l->seed};
    in->streams = (struct an_streams){
        .out = &in->out, .message_bytes = l->message_bytes, .max_bytes = l->streams_bytes};
    if (an_out_init(&in->out, l))
        return -ENOMEM;
    if (defrag_init(&in->defrag, l->datagrams, l->datagram_bytes, l->datagram_ns, l->seed))
        return -ENOMEM;
    return reasm_init(&in->reasm, &r);
}

int an_input_new(struct an_input **ret, const struct an_limits *limits)
{
    struct an_input *in = mem_zero(sizeof(*in));
    if (!in)
        return -ENOMEM;
    in->limits = limits ? *limits : an_limits_default();
    if (parts_init(in)) {
        an_input_free(in);
        return -ENOMEM;
    }
    *ret = in;
    return 0;
}

/* The piece of a stream goes to who reads it. */
static void stream_piece(struct an_input *in, const struct tcp_piece *piece)
{
    struct tcp_conn *c = piece->conn;
    struct an_stream *s = c->user;
    struct an_seen seen = {.at_ns = piece->at_ns,
                           .frame = piece->frame,
                           .first_frame = piece->frame,
                           .iface = c->iface};
    bool go_on = true;
    if (piece->kind == TCP_END) {
        if (s)
            an_stream_free(s, &seen);
        c->user = NULL;
        return;
    }
    if (!s) {
        s = c->user = an_stream_new(&in->streams, c->addr);
        in->out.stats.tcp_connections++;
        for (unsigned i = 0; s && i < 2; i++)
            if (c->side[i].begun)
                an_stream_fresh(s, i);
    }
    if (piece->kind == TCP_GAP)
        in->out.stats.tcp_gaps++;
    if (s)
        go_on =
            piece->kind == TCP_GAP
                ? an_stream_gap(s, piece->side, &seen)
                : an_stream_data(s, piece->side, str_of((const char *)piece->p, piece->n), &seen);
    if (s && go_on)
        return;
    if (s)
        an_stream_free(s, NULL);
    c->user = NULL;
    reasm_ignore(&in->reasm, c);
}

static void streams_drain(struct an_input *in)
{
    struct tcp_piece piece;
    while (reasm_next(&in->reasm, &piece))
        stream_piece(in, &piece);
}

void an_input_free(struct an_input *in)
{
    if (!in)
        return;
    struct tcp_piece piece;
    while (in->reasm.idle.next && reasm_end(&in->reasm))
        while (reasm_next(&in->reasm, &piece))
            if (piece.kind == TCP_END && piece.conn->user)
                an_stream_free(piece.conn->user, NULL);
    reasm_done(&in->reasm);
    defrag_done(&in->defrag);
    tls_keys_done(&in->keys);
    mem_free(in->streams.plain);
    an_out_done(&in->out);
    mem_free(in);
}

void an_input_keys(struct an_input *in, struct str keylog_text)
{
    struct an_streams *s = &in->streams;
    if (!s->plain)
        s->plain = mem_alloc(TLS_PLAIN);
    if (s->plain && !s->keys && tls_keys_init(&in->keys, in->limits.keys, in->limits.seed) == 0)
        s->keys = &in->keys;
    if (s->keys)
        tls_keys_add(s->keys, keylog_text);
    else
        in->out.stats.no_memory++;
}

/* CRLFs (RFC 5626 section 3.5.1) and the zero bytes that some phones send instead. */
static bool is_keepalive(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != '\r' && p[i] != '\n' && p[i] != 0 && p[i] != ' ')
            return false;
    return n <= MAX_KEEPALIVE;
}

/* From an agent: of version 3 wherever it comes from, of older ones at the port alone. */
static bool is_hep(const uint8_t *udp, struct str bytes)
{
    if (hep_is(bytes.p, bytes.n))
        return true;
    return be16_get(udp + 2) == HEP_PORT && bytes.n > 16 && (bytes.p[0] == 1 || bytes.p[0] == 2);
}

/* Bytes of a datagram, still without their addresses; NULL: they are nothing. */
static struct an_datum *payload(struct an_input *in, const struct an_seen *seen, struct str bytes)
{
    struct an_out *o = &in->out;
    size_t skip = 0;
    bool sip = false;
    /* The first byte of RTP, RTCP, STUN and DTLS tells them from text (RFC 7983). */
    if (bytes.n && (uint8_t)bytes.p[0] < 0x80) {
        while (skip < bytes.n && (bytes.p[skip] == '\r' || bytes.p[skip] == '\n'))
            skip++;
        sip = an_start_like(bytes.p + skip, bytes.n - skip, true) == AN_START_YES;
        if (!sip && is_keepalive((const uint8_t *)bytes.p, bytes.n)) {
            o->stats.keepalives++;
            return NULL;
        }
    }
    struct an_datum *d = an_out_put(o, seen);
    if (!d)
        return NULL;
    d->transport = AN_UDP;
    d->kind = sip ? AN_SIP : AN_UDP_DATA;
    d->bytes = sip ? str_from(bytes, skip) : bytes;
    if (!sip) {
        o->stats.udp_data++;
        return d;
    }
    o->stats.sip[AN_UDP]++;
    o->stats.sip_bytes[AN_UDP] += bytes.n;
    return d;
}

/* A UDP header and what is behind it. */
static struct an_datum *datagram_rx(struct an_input *in, const struct an_seen *seen,
                                    const uint8_t *udp, uint32_t n, uint32_t wire_n)
{
    /* The length is 0 in what was captured before a network card filled it in. */
    uint32_t told = be16_get(udp + 4), have = n - 8;
    if (told >= 8 && told - 8 < have)
        have = told - 8;
    struct str bytes = str_of((const char *)udp + 8, have);
    if (is_hep(udp, bytes)) {
        an_hep_read(&in->out, seen, bytes, true);
        return NULL;
    }
    struct an_datum *d = payload(in, seen, bytes);
    if (!d)
        return NULL;
    d->src.port = be16_get(udp);
    d->dst.port = be16_get(udp + 2);
    d->truncated = n < wire_n;
    return d;
}

static void udp(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip)
{
    if (ip->n < 8) {
        in->out.stats.bad_ip++;
        return;
    }
    struct an_datum *d = datagram_rx(in, seen, ip->p, ip->n, ip->wire_n);
    if (!d)
        return;
    d->src.family = ip->src.family;
    d->dst.family = ip->dst.family;
    memcpy(d->src.ip, ip->src.ip, sizeof(d->src.ip));
    memcpy(d->dst.ip, ip->dst.ip, sizeof(d->dst.ip));
}

/* The same, straight from the frame. */
static void plain_udp(struct an_input *in, const struct an_seen *seen, const struct cap_udp *u)
{
    struct an_datum *d = datagram_rx(in, seen, u->p, u->n, u->wire_n);
    if (d)
        cap_udp_addr(u, &d->src, &d->dst);
}

/* RFC 9293 section 3.1. */
static void tcp(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip)
{
    uint32_t head = ip->n >= 20 ? (ip->p[12] >> 4) * 4u : 0;
    if (head < 20 || head > ip->n) {
        in->out.stats.bad_ip++;
        return;
    }
    in->out.stats.tcp_segments++;
    struct tcp_seg seg = {.src = ip->src,
                          .dst = ip->dst,
                          .seq = be32_get(ip->p + 4),
                          .ack = be32_get(ip->p + 8),
                          .flags = ip->p[13],
                          .iface = seen->iface,
                          .p = ip->p + head,
                          .n = ip->n - head,
                          .wire_n = ip->wire_n - head,
                          .at_ns = seen->at_ns,
                          .frame = seen->frame};
    seg.src.port = be16_get(ip->p);
    seg.dst.port = be16_get(ip->p + 2);
    if (!reasm_put(&in->reasm, &seg))
        in->out.stats.no_memory++;
    streams_drain(in);
}

/* RFC 9260 section 3.3.1: user data, of which only what is whole in a chunk is read; RFC 4168 has
 * one SIP message in each. */
static void sctp_data(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip,
                      struct str chunk)
{
    struct an_out *o = &in->out;
    o->stats.sctp_chunks++;
    struct str bytes = str_from(chunk, 16);
    if ((chunk.p[1] & 3) != 3) {
        o->stats.sctp_lost++;
        an_out_warn(o, seen->frame, STR("a message in several SCTP chunks is not read"), &ip->src,
                    &ip->dst);
        return;
    }
    if (an_start_like(bytes.p, bytes.n, true) != AN_START_YES)
        return;
    struct an_datum *d = an_out_put(o, seen);
    if (!d)
        return;
    d->kind = AN_SIP;
    d->transport = AN_SCTP;
    d->src = ip->src;
    d->dst = ip->dst;
    d->src.port = be16_get(ip->p);
    d->dst.port = be16_get(ip->p + 2);
    d->bytes = bytes;
    o->stats.sip[AN_SCTP]++;
    o->stats.sip_bytes[AN_SCTP] += bytes.n;
}

static void sctp(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip)
{
    for (uint32_t at = 12; at + 4 <= ip->n;) {
        uint32_t n = be16_get(ip->p + at + 2);
        if (n < 4 || n > ip->n - at)
            return;
        if (ip->p[at] == 0 && n > 16)
            sctp_data(in, seen, ip, str_of((const char *)ip->p + at, n));
        at += (n + 3) & ~3u;
    }
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

static void whole_packet(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip)
{
    switch (ip->proto) {
    case CAP_PROTO_UDP:
        udp(in, seen, ip);
        break;
    case CAP_PROTO_TCP:
        tcp(in, seen, ip);
        break;
    case CAP_PROTO_SCTP:
        sctp(in, seen, ip);
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

/* What was put together. Its bytes are copied: there may be a fragment in it again, and then the
 * memory it is in is used for that one. */
static void datagram(struct an_input *in, const struct an_seen *seen, struct defrag_result *r)
{
    struct an_seen s = *seen;
    struct str bytes = an_out_dup(&in->out, str_of((const char *)r->ip.p, r->ip.n));
    if (!bytes.n)
        return;
    s.at_ns = r->at_ns;
    s.frame = r->frame;
    s.first_frame = r->first_frame;
    r->ip.p = (const uint8_t *)bytes.p;
    cap_ip_enter(&r->ip);
    any_packet(in, &s, &r->ip);
}

/* Fragments that have waited in vain: of an INVITE whose second part a firewall has dropped, the
 * first is what the analysis wants to see. */
static void expire(struct an_input *in, const struct an_seen *seen, bool all)
{
    struct defrag_result result;
    int r;
    while ((r = defrag_expire(&in->defrag, seen->at_ns, all, &result)) != -ENOENT) {
        in->out.stats.datagrams_lost++;
        if (r == 0)
            continue;
        an_out_warn(&in->out, result.frame, STR("fragments of a packet are missing"),
                    &result.ip.src, &result.ip.dst);
        datagram(in, seen, &result);
        if (all)
            break;
    }
}

static void any_packet(struct an_input *in, const struct an_seen *seen, const struct cap_ip *ip)
{
    struct defrag_result result;
    if (!ip->frag) {
        whole_packet(in, seen, ip);
        return;
    }
    in->out.stats.fragments++;
    int r = defrag_put(&in->defrag, ip, seen->at_ns, seen->frame, &result);
    if (r > 0) {
        in->out.stats.datagrams++;
        datagram(in, seen, &result);
    } else if (r < 0) {
        in->out.stats.datagrams_lost++;
        an_out_warn(&in->out, seen->frame, STR("a fragment that contradicts others"), &ip->src,
                    &ip->dst);
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
    struct cap_udp u;
    if (__builtin_expect(!list_empty(&in->defrag.waiting), 0))
        expire(in, &seen, false);
    if (cap_plain_udp(&u, f->link, f->p, f->n)) {
        plain_udp(in, &seen, &u);
        return;
    }
    int r = cap_ip_of(&ip, f->link, f->p, f->n);
    if (r == -ENOENT) {
        o->stats.non_ip++;
    } else if (r) {
        o->stats.bad_ip++;
        an_out_warn(o, number, STR("an IP header that is none"), NULL, NULL);
    } else {
        any_packet(in, &seen, &ip);
    }
}

/* Gives up what waits longest. False if nothing does. */
static bool end_next(struct an_input *in)
{
    struct an_seen seen = {.at_ns = in->out.stats.last_ns, .frame = in->out.stats.frames};
    if (!list_empty(&in->defrag.waiting)) {
        expire(in, &seen, true);
        return true;
    }
    if (!reasm_end(&in->reasm))
        return false;
    streams_drain(in);
    return true;
}

const struct an_datum *an_input_take(struct an_input *in)
{
    const struct an_datum *d = an_out_next(&in->out);
    /* One connection at a time, so that the end of a large capture takes no more memory. */
    while (!d && in->ending) {
        an_out_reset(&in->out);
        if (!end_next(in))
            return NULL;
        d = an_out_next(&in->out);
    }
    return d;
}

bool an_input_next(struct an_input *in, struct an_datum *d)
{
    const struct an_datum *next = an_input_take(in);
    if (next)
        *d = *next;
    return next;
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

const struct an_input_stats *an_input_stats(struct an_input *in)
{
    in->out.stats.tcp_evicted = in->reasm.evicted;
    return &in->out.stats;
}
