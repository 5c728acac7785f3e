/* Where a message came from or goes to: one of our listeners, a connection if the transport has
 * them, and the peer. Values, shared by the engine (which decides) and io (which does). */
#ifndef BASE_FLOW_H
#define BASE_FLOW_H

#include "base/addr.h"
#include "base/blob.h"

#define FLOW_MAX_LISTENERS 32

struct flow {
    uint8_t proto;    /* enum proto */
    uint8_t listener; /* index in the configured list of addresses */
    uint16_t party;   /* over TLS: who must be there, a number that io was told the name of; 0:
                       * whoever has the address of the peer in its certificate */
    uint32_t conn;    /* connection of a stream transport; 0: any to this peer, or a new one */
    struct addr peer;
};

/* Where a name leads: one of its addresses, and how one speaks there. */
struct flow_dest {
    uint8_t proto; /* enum proto */
    struct addr addr;
    uint8_t rank; /* those of a lower one are preferred; those of the same one share the load */
};

/* One of our addresses. */
struct flow_listener {
    uint8_t proto;
    struct addr bound;      /* what the socket is bound to; never port 0 */
    struct addr advertised; /* what Via, Contact and SDP say: sip.external, or the local address */
};

#endif
