/* The reading half of the analyser: captured frames go in, SIP messages and other datagrams come
 * out, with where they were seen. On the way tunnels are unwrapped, IP fragments and TCP streams
 * put together, WebSocket, TLS (with its keys) and HEP read.
 *
 *     an_input_frame(in, &frame);
 *     while (an_input_next(in, &d))
 *         take(&d);
 *     ...
 *     an_input_end(in);
 *     while (an_input_next(in, &d))
 *         take(&d);
 *
 * A datum keeps the time and the frame it was complete in, and what had to wait (behind a gap that
 * was given up, for a fragment that never came) comes out later than others of its time.
 *
 * What is held back is bounded by an_limits; the frames themselves are not copied, so frame->p must
 * stay until the last datum of it was taken. Memory that runs out costs messages, never more. */
#ifndef ANALYSIS_INPUT_H
#define ANALYSIS_INPUT_H

#include "base/addr.h"
#include "wire/cap/cap.h"

enum an_transport { AN_UDP, AN_TCP, AN_TLS, AN_WS, AN_WSS, AN_SCTP, AN_TRANSPORTS };

enum an_kind {
    AN_SIP,      /* one whole SIP message */
    AN_UDP_DATA, /* any other UDP payload: RTP, RTCP, STUN, ... */
    AN_ICMP      /* an ICMP(v6) error about a UDP packet: bytes are the quoted IP packet */
};

struct an_datum {
    uint64_t at_ns; /* time of the frame that completed it */
    uint64_t frame; /* its number in the whole input, from 1, counted over all files */
    uint16_t iface;
    uint8_t kind, transport;
    bool truncated;       /* the capture kept less than was on the wire, or lost the rest */
    bool hep;             /* came in HEP, from an agent that captured it */
    struct str hep_id;    /* its correlation id */
    struct addr src, dst; /* with ports; of AN_ICMP who says it to whom, port 0 */
    struct str bytes;     /* valid until the next an_input_frame() or an_input_next() */
    uint64_t
        first_frame; /* of a message put together from several frames: the first; else = frame */
};

struct an_limits {
    uint32_t datagrams;    /* put together from fragments at a time */
    size_t datagram_bytes; /* of all of them */
    uint64_t datagram_ns;  /* how long a fragment waits for the others */
    uint32_t connections;  /* TCP, followed at a time: the one idle longest goes */
    size_t segments_bytes; /* of one direction that wait for a gap to be filled */
    size_t segments_bytes_all;
    size_t streams_bytes;  /* of messages not yet complete on all connections */
    size_t message_bytes;  /* of one message on a stream */
    uint64_t gap_ns;       /* how long a gap is left open for a retransmission */
    uint64_t acked_gap_ns; /* and one of which the receiver has confirmed the bytes */
    uint64_t idle_ns;      /* of a connection */
    uint32_t keys;         /* TLS sessions of which keys are known */
    uint32_t warnings;     /* kept; more are counted */
    uint64_t seed;         /* of hash tables */
};

struct an_limits an_limits_default(void);

struct an_warning {
    uint64_t frame;       /* 0: about none */
    struct str text;      /* static: a part of a sentence */
    struct addr src, dst; /* family ADDR_NONE: nobody's */
};

struct an_input_stats {
    uint64_t frames, bytes, wire_bytes;
    uint64_t first_ns, last_ns; /* the earliest and the latest time; 0 without frames */
    uint64_t sip[AN_TRANSPORTS], sip_bytes[AN_TRANSPORTS];
    uint64_t udp_data, icmp, keepalives;
    uint64_t non_ip, bad_ip,
        other_ip;       /* frames without IP; with a broken header; other protocols */
    uint64_t truncated; /* frames of which the capture kept a part */
    uint64_t fragments, datagrams, datagrams_lost; /* put together; never completed or refused */
    uint64_t tcp_segments, tcp_connections, tcp_gaps, tcp_resyncs;
    uint64_t tcp_evicted;               /* connections that had to go for others */
    uint64_t ws_connections, ws_packed; /* packed: compressed messages, which are not read */
    uint64_t tls_connections, tls_without_key, tls_broken;
    uint64_t hep, hep_bad, hep_other;
    uint64_t sctp_chunks, sctp_lost;
    uint64_t no_memory;
    uint64_t warnings_dropped;
};

struct an_input;

/* 0 or -ENOMEM. limits NULL: the defaults. */
MUST_CHECK int an_input_new(struct an_input **ret, const struct an_limits *limits);
/* Accepts NULL. */
void an_input_free(struct an_input *in);
/* Lines of a TLS key log (SSLKEYLOGFILE); frames with `keys` set bring such lines too. They count
 * for connections that begin later. */
void an_input_keys(struct an_input *in, struct str keylog_text);
/* One captured frame goes in; then datums are taken until there are none. */
void an_input_frame(struct an_input *in, const struct cap_frame *f);
bool an_input_next(struct an_input *in, struct an_datum *d);
/* The same without a copy: it stays until the next call. NULL: there are none. */
const struct an_datum *an_input_take(struct an_input *in);
/* The capture has ended: what was still held back comes out by an_input_next(). */
void an_input_end(struct an_input *in);
/* The oldest warning not yet taken. */
bool an_input_warning(struct an_input *in, struct an_warning *w);
const struct an_input_stats *an_input_stats(struct an_input *in);

#endif
