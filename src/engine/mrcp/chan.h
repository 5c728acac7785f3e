/* The state machines of MRCPv2 resources as their client sees them: RFC 6787 sections 8.1, 9.1 and
 * 10.1, as one constant table. */
#ifndef ENGINE_MRCP_CHAN_H
#define ENGINE_MRCP_CHAN_H

#include "wire/mrcp/mrcp.h"

enum chan_state {
    CHAN_IDLE,
    CHAN_SPEAKING,
    CHAN_PAUSED,
    CHAN_RECOGNIZING,
    CHAN_RECOGNIZED,
    CHAN_RECORDING,
    CHAN_STATES
};

/* Methods, when a server has accepted them, and behind them events. */
#define CHAN_METHOD(m) ((unsigned)(m))
#define CHAN_EVENT(e)  ((unsigned)MRCP_METHODS + (unsigned)(e))
#define CHAN_INPUTS    ((unsigned)MRCP_METHODS + (unsigned)MRCP_EVENTS)

struct chan_cell {
    bool valid;      /* of a method: a server in this state takes it, else it answers 402 */
    bool when_empty; /* `next` comes about when no request that occupies the channel is left */
    uint8_t next;    /* enum chan_state */
};
const struct chan_cell *chan_cell(enum mrcp_kind kind, enum chan_state s, unsigned input);
/* Steps *state; `left`: how many requests still occupy the channel. An input that the cell does not
 * know changes nothing: false. */
bool chan_step(uint8_t *state, enum mrcp_kind kind, unsigned input, unsigned left);
/* The method whose requests occupy a channel of this kind: SPEAK, RECOGNIZE, RECORD. */
enum mrcp_method chan_main(enum mrcp_kind kind);
/* The state in which the first of them leaves an idle channel. */
enum chan_state chan_active(enum mrcp_kind kind);
struct str chan_state_name(enum chan_state s);

#endif
