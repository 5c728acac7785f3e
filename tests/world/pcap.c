#include "world/pcap.h"

#include <errno.h>

enum { LINKTYPE_RAW = 101, IP_HEADER = 20, UDP_HEADER = 8, TCP_HEADER = 20, MAX_SEGMENT = 60000 };
enum { TCP_FIN = 1, TCP_SYN = 2, TCP_PSH = 8, TCP_ACK = 16 };

static void be16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void be32(uint8_t *p, uint32_t v)
{
    be16(p, v >> 16);
    be16(p + 2, v & 0xFFFF);
}

static uint32_t sum16(uint32_t sum, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2)
        sum += (uint32_t)(p[i] << 8 | p[i + 1]);
    if (n & 1)
        sum += (uint32_t)(p[n - 1] << 8);
    return sum;
}

static unsigned fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return ~sum & 0xFFFF;
}

int pcap_init(struct pcap *p, const char *path)
{
    FILE *file = fopen(path, "wb");
    return file ? pcap_begin(p, file) : -errno;
}

int pcap_begin(struct pcap *p, FILE *file)
{
    uint32_t head[6] = {0xA1B2C3D4, 2 | 4 << 16, 0, 0, 262144, LINKTYPE_RAW};
    if (fwrite(head, sizeof(head), 1, file) != 1) {
        fclose(file);
        return -EIO;
    }
    *p = (struct pcap){.file = file};
    return 0;
}

void pcap_done(struct pcap *p)
{
    if (p->file)
        fclose(p->file);
    p->file = NULL;
}

/* IPv4 header and transport header (whose checksum lies at `sum_at`) before the payload. */
static void put(struct pcap *p, uint64_t at_us, const struct addr *from, const struct addr *to,
                uint8_t *transport, size_t transport_n, size_t sum_at, struct str payload)
{
    size_t n = IP_HEADER + transport_n + payload.n;
    uint8_t ip[IP_HEADER] = {0x45, [8] = 64, [9] = transport_n == UDP_HEADER ? 17 : 6};
    be16(ip + 2, (unsigned)n);
    be16(ip + 4, p->ip_id++);
    memcpy(ip + 12, from->ip, 4);
    memcpy(ip + 16, to->ip, 4);
    be16(ip + 10, fold(sum16(0, ip, IP_HEADER)));
    uint32_t sum = sum16(ip[9] + (uint32_t)(transport_n + payload.n), ip + 12, 8);
    sum = sum16(sum, transport, transport_n);
    unsigned check = fold(sum16(sum, (const uint8_t *)payload.p, payload.n));
    be16(transport + sum_at, check ? check : 0xFFFF);
    uint32_t rec[4] = {(uint32_t)(at_us / 1000000), (uint32_t)(at_us % 1000000), (uint32_t)n,
                       (uint32_t)n};
    fwrite(rec, sizeof(rec), 1, p->file);
    fwrite(ip, IP_HEADER, 1, p->file);
    fwrite(transport, transport_n, 1, p->file);
    if (payload.n)
        fwrite(payload.p, payload.n, 1, p->file);
}

void pcap_udp(struct pcap *p, uint64_t at_us, const struct addr *from, const struct addr *to,
              struct str bytes)
{
    uint8_t udp[UDP_HEADER] = {0};
    if (!p || !p->file || from->family != ADDR_V4)
        return;
    be16(udp, from->port);
    be16(udp + 2, to->port);
    be16(udp + 4, (unsigned)(UDP_HEADER + bytes.n));
    put(p, at_us, from, to, udp, UDP_HEADER, 6, bytes);
}

static void segment(struct pcap *p, uint64_t at_us, struct pcap_stream *s, unsigned side,
                    unsigned flags, struct str bytes)
{
    uint8_t tcp[TCP_HEADER] = {[12] = 0x50, [13] = (uint8_t)flags, [14] = 0xFF, [15] = 0xFF};
    be16(tcp, s->end[side].port);
    be16(tcp + 2, s->end[!side].port);
    be32(tcp + 4, s->seq[side]);
    if (flags & TCP_ACK)
        be32(tcp + 8, s->seq[!side]);
    put(p, at_us, &s->end[side], &s->end[!side], tcp, TCP_HEADER, 16, bytes);
    s->seq[side] += (uint32_t)bytes.n + (flags & (TCP_SYN | TCP_FIN) ? 1 : 0);
}

void pcap_tcp_open(struct pcap *p, uint64_t at_us, struct pcap_stream *s, const struct addr *from,
                   const struct addr *to)
{
    *s = (struct pcap_stream){.seq = {1000, 2000}, .end = {*from, *to}};
    if (!p || !p->file || from->family != ADDR_V4)
        return;
    segment(p, at_us, s, 0, TCP_SYN, STR_NONE);
    segment(p, at_us, s, 1, TCP_SYN | TCP_ACK, STR_NONE);
    segment(p, at_us, s, 0, TCP_ACK, STR_NONE);
}

void pcap_tcp(struct pcap *p, uint64_t at_us, struct pcap_stream *s, unsigned side,
              struct str bytes)
{
    if (!p || !p->file || s->end[0].family != ADDR_V4)
        return;
    while (bytes.n) {
        struct str part = str_sub(bytes, 0, MAX_SEGMENT);
        segment(p, at_us, s, side, TCP_PSH | TCP_ACK, part);
        bytes = str_from(bytes, part.n);
    }
}

void pcap_tcp_close(struct pcap *p, uint64_t at_us, struct pcap_stream *s, unsigned side)
{
    if (!p || !p->file || s->end[0].family != ADDR_V4)
        return;
    segment(p, at_us, s, side, TCP_FIN | TCP_ACK, STR_NONE);
    segment(p, at_us, s, !side, TCP_FIN | TCP_ACK, STR_NONE);
    segment(p, at_us, s, side, TCP_ACK, STR_NONE);
}
