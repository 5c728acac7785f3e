/* Frames made anew: RFC 791, RFC 8200, RFC 768, RFC 9293, as plain as they can be. */
#include "analysis/extract.h"
#include "base/be.h"

#define HOPS 64

enum { PROTO_NUMBER_TCP = 6, PROTO_NUMBER_UDP = 17, UDP_BYTES = 8, TCP_BYTES = 20 };

/* RFC 1071: the sum, not yet folded and inverted. */
static uint32_t sum(uint32_t s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        s += be16_get(p + i);
    return n & 1 ? s + ((uint32_t)p[n - 1] << 8) : s;
}

static uint16_t checksum(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xFFFF) + (s >> 16);
    return (uint16_t)~s;
}

/* The IP header; *ret_sum is the sum of the pseudo header of what follows. Returns its bytes. */
static size_t ip_put(uint8_t *p, const struct an_datum *d, uint8_t proto, size_t n,
                     uint32_t *ret_sum)
{
    bool six = d->src.family == ADDR_V6;
    size_t ip_bytes = six ? 16 : 4, head = six ? 40 : 20;
    memset(p, 0, head);
    if (six) {
        p[0] = 0x60;
        be16_put(p + 4, (uint16_t)n);
        p[6] = proto;
        p[7] = HOPS;
    } else {
        p[0] = 0x45;
        be16_put(p + 2, (uint16_t)(head + n));
        p[8] = HOPS;
        p[9] = proto;
    }
    memcpy(p + head - 2 * ip_bytes, d->src.ip, ip_bytes);
    memcpy(p + head - ip_bytes, d->dst.ip, ip_bytes);
    if (!six)
        be16_put(p + 10, checksum(sum(0, p, head)));
    *ret_sum = sum(proto + (uint32_t)n, p + head - 2 * ip_bytes, 2 * ip_bytes);
    return head;
}

static uint32_t *seq_of(struct an_synth *s, const struct addr *src, const struct addr *dst)
{
    for (unsigned i = 0; i < s->n; i++)
        if (addr_eq(&s->conn[i].src, src) && addr_eq(&s->conn[i].dst, dst))
            return &s->conn[i].seq;
    if (s->n == AN_SYNTH_MAX_CONNS)
        return NULL;
    s->conn[s->n].src = *src;
    s->conn[s->n].dst = *dst;
    s->conn[s->n].seq = 1;
    return &s->conn[s->n++].seq;
}

static void ports_put(uint8_t *p, const struct an_datum *d)
{
    be16_put(p, d->src.port);
    be16_put(p + 2, d->dst.port);
}

static void udp_put(uint8_t *p, const struct an_datum *d, uint32_t pseudo)
{
    size_t n = UDP_BYTES + d->bytes.n;
    ports_put(p, d);
    be16_put(p + 4, (uint16_t)n);
    be16_put(p + 6, 0);
    memcpy(p + UDP_BYTES, d->bytes.p, d->bytes.n);
    uint16_t c = checksum(sum(pseudo, p, n));
    be16_put(p + 6, c ? c : 0xFFFF); /* 0 says that there is none */
}

static void tcp_put(uint8_t *p, const struct an_datum *d, uint32_t pseudo, uint32_t seq,
                    uint32_t ack)
{
    ports_put(p, d);
    be32_put(p + 4, seq);
    be32_put(p + 8, ack);
    p[12] = TCP_BYTES / 4 << 4;
    p[13] = 0x18; /* PSH, ACK */
    be16_put(p + 14, 0xFFFF);
    be32_put(p + 16, 0);
    memcpy(p + TCP_BYTES, d->bytes.p, d->bytes.n);
    be16_put(p + 16, checksum(sum(pseudo, p, TCP_BYTES + d->bytes.n)));
}

size_t an_synth_frame(struct an_synth *s, const struct an_datum *d, uint8_t *out)
{
    uint32_t pseudo;
    bool udp = d->transport == AN_UDP || d->kind != AN_SIP;
    size_t n = d->bytes.n + (udp ? UDP_BYTES : TCP_BYTES);
    if (d->src.family != d->dst.family || d->src.family == ADDR_NONE || n + 40 > AN_SYNTH_MAX_BYTES)
        return 0;
    if (udp) {
        size_t head = ip_put(out, d, PROTO_NUMBER_UDP, n, &pseudo);
        udp_put(out + head, d, pseudo);
        return head + n;
    }
    uint32_t *seq = seq_of(s, &d->src, &d->dst), *back = seq_of(s, &d->dst, &d->src);
    if (!seq || !back)
        return 0;
    size_t head = ip_put(out, d, PROTO_NUMBER_TCP, n, &pseudo);
    tcp_put(out + head, d, pseudo, *seq, *back);
    *seq += (uint32_t)d->bytes.n;
    return head + n;
}
