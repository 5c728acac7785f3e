#ifndef ANALYSIS_INPUT_H
#define ANALYSIS_INPUT_H
#include "base/addr.h"
enum an_transport { AN_UDP, AN_TCP, AN_TLS, AN_WS, AN_WSS, AN_SCTP, AN_TRANSPORTS };
enum an_kind { AN_SIP, AN_UDP_DATA, AN_ICMP };
struct an_datum {
    uint64_t at_ns;
    uint64_t frame;
    uint16_t iface;
    uint8_t kind, transport;
    bool truncated;
    bool hep;
    struct str hep_id;
    struct addr src, dst;
    struct str bytes;
    uint64_t first_frame;
};
#endif
