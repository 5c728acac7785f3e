/* Writes a capture (libpcap format, raw IPv4) of packets that never were on a wire. */
#ifndef WORLD_PCAP_H
#define WORLD_PCAP_H

#include <stdio.h>

#include "base/addr.h"
#include "base/str.h"

struct pcap {
    FILE *file;
    uint16_t ip_id;
};

/* Sequence numbers of a stream; [0] counts what the opener sent. */
struct pcap_stream {
    uint32_t seq[2];
    struct addr end[2];
};

/* 0 or negative errno. */
MUST_CHECK int pcap_init(struct pcap *p, const char *path);
/* Into a file that is open; it is closed when this fails. */
MUST_CHECK int pcap_begin(struct pcap *p, FILE *file);
void pcap_done(struct pcap *p);
void pcap_udp(struct pcap *p, uint64_t at_us, const struct addr *from, const struct addr *to,
              struct str bytes);
/* The three packets that open a connection. */
void pcap_tcp_open(struct pcap *p, uint64_t at_us, struct pcap_stream *s, const struct addr *from,
                   const struct addr *to);
/* side: 0 the opener sends, 1 the other. */
void pcap_tcp(struct pcap *p, uint64_t at_us, struct pcap_stream *s, unsigned side,
              struct str bytes);
void pcap_tcp_close(struct pcap *p, uint64_t at_us, struct pcap_stream *s, unsigned side);

#endif
