/* The offer/answer machine of one dialog (RFC 3264 section 4, RFC 6337 section 2): one offer at a
 * time, in either direction; a refused one leaves what held before. Which message carries what is
 * its user's knowledge; what may follow what is here, as a table. */
#ifndef WIRE_SDP_OA_STATE_H
#define WIRE_SDP_OA_STATE_H

#include <stdint.h>

#include "base/assert.h"
#include "base/str.h"

enum oa_state {
    OA_NONE,         /* no session yet */
    OA_LOCAL,        /* our first offer is out */
    OA_REMOTE,       /* theirs is not answered yet */
    OA_STABLE,       /* agreed */
    OA_LOCAL_AGAIN,  /* agreed, and our offer of a change is out */
    OA_REMOTE_AGAIN, /* agreed, and theirs is not answered yet */
    OA_STATES
};
enum oa_event {
    OA_TX_OFFER,
    OA_RX_OFFER,
    OA_TX_ANSWER,
    OA_RX_ANSWER,
    OA_FAILED, /* the offer was refused, cancelled, or its carrier timed out */
    OA_EVENTS
};

/* status 0: the event is in order. 491: our own offer is out (RFC 3261 14.2, RFC 3311 5.2); 500:
 * the offer before is not answered, Retry-After goes with it. Of what we send, not 0 means we may
 * not. */
struct oa_cell {
    uint8_t next; /* enum oa_state */
    uint16_t status;
};
const struct oa_cell *oa_cell(enum oa_state s, enum oa_event e);
/* Steps *state; the status of the cell. A cell with one leaves the state as it is. */
unsigned oa_step(uint8_t *state, enum oa_event e);
struct str oa_state_name(enum oa_state s);
struct str oa_event_name(enum oa_event e);

#endif
