/* HEP, by which a SIP server tells a capture server what it sent and received: version 3, a list
 * of chunks, both ways; the older versions 1 and 2 are read. HEP3 network protocol specification
 * (rev. 36), chunks of vendor 0. */
#ifndef WIRE_HEP_HEP_H
#define WIRE_HEP_HEP_H

#include "base/addr.h"

#define HEP_PORT     9060
#define HEP_HEAD     6
#define HEP_MAX_HEAD 512 /* what hep_build() puts in front of the payload, without texts */

enum hep_type {
    HEP_SIP = 1,
    HEP_XMPP = 2,
    HEP_SDP = 3,
    HEP_RTP = 4,
    HEP_RTCP = 5, /* the packet, or what an agent says about it in JSON */
    HEP_MGCP = 6,
    HEP_LOG = 100
};

enum { HEP_IP_TCP = 6, HEP_IP_UDP = 17, HEP_IP_SCTP = 132 };

struct hep {
    uint8_t version;      /* 1 to 3 */
    uint8_t ip_proto;     /* HEP_IP_UDP, ... */
    uint8_t type;         /* enum hep_type, or what will be thought of */
    bool packed;          /* the payload is compressed */
    struct addr src, dst; /* family ADDR_NONE: not told */
    uint64_t at_ns;       /* 0: not told */
    uint32_t node;        /* of the agent */
    uint16_t vlan;        /* 0: none */
    struct str key;       /* what the agent authenticates itself with */
    struct str id;        /* correlation: the Call-ID for RTCP, whatever the agent chose for SIP */
    struct str name;      /* of the agent */
    struct str payload;
};

/* Is this HEP version 3? */
static inline bool hep_is(const void *p, size_t n)
{
    return n >= HEP_HEAD && memcmp(p, "HEP3", 4) == 0;
}
/* Of a stream: how long the message at p is; 0: more bytes are wanted; -EBADMSG: none begins. */
MUST_CHECK int hep_length(const uint8_t *p, size_t n);
/* Of any version; chunks that are not known are passed over. -EBADMSG: it is none, or broken. */
MUST_CHECK int hep_parse(struct hep *ret, const uint8_t *p, size_t n);
/* Version 3. */
void hep_build(struct buf *b, const struct hep *h);

#endif
