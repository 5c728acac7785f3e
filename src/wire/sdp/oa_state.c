#include "wire/sdp/oa_state.h"

#define STAY(s, status)                                                                            \
    {                                                                                              \
        s, status                                                                                  \
    }
#define GOES(next)                                                                                 \
    {                                                                                              \
        next, 0                                                                                    \
    }

/* An answer that nobody has asked for is one that was given before: the 2xx repeats what a reliable
 * provisional has said (RFC 6337 section 2.2). It counts for nothing, hence 1. */
#define AGAIN(s)                                                                                   \
    {                                                                                              \
        s, OA_REPEATED                                                                             \
    }
#define OA_REPEATED 1

static const struct oa_cell table[OA_STATES][OA_EVENTS] = {
    [OA_NONE] = {[OA_TX_OFFER] = GOES(OA_LOCAL),
                 [OA_RX_OFFER] = GOES(OA_REMOTE),
                 [OA_TX_ANSWER] = STAY(OA_NONE, 500),
                 [OA_RX_ANSWER] = AGAIN(OA_NONE),
                 [OA_FAILED] = GOES(OA_NONE)},
    [OA_LOCAL] = {[OA_TX_OFFER] = STAY(OA_LOCAL, 491),
                  [OA_RX_OFFER] = STAY(OA_LOCAL, 491),
                  [OA_TX_ANSWER] = STAY(OA_LOCAL, 500),
                  [OA_RX_ANSWER] = GOES(OA_STABLE),
                  [OA_FAILED] = GOES(OA_NONE)},
    [OA_REMOTE] = {[OA_TX_OFFER] = STAY(OA_REMOTE, 500),
                   [OA_RX_OFFER] = STAY(OA_REMOTE, 500),
                   [OA_TX_ANSWER] = GOES(OA_STABLE),
                   [OA_RX_ANSWER] = AGAIN(OA_REMOTE),
                   [OA_FAILED] = GOES(OA_NONE)},
    [OA_STABLE] = {[OA_TX_OFFER] = GOES(OA_LOCAL_AGAIN),
                   [OA_RX_OFFER] = GOES(OA_REMOTE_AGAIN),
                   [OA_TX_ANSWER] = STAY(OA_STABLE, 500),
                   [OA_RX_ANSWER] = AGAIN(OA_STABLE),
                   [OA_FAILED] = GOES(OA_STABLE)},
    [OA_LOCAL_AGAIN] = {[OA_TX_OFFER] = STAY(OA_LOCAL_AGAIN, 491),
                        [OA_RX_OFFER] = STAY(OA_LOCAL_AGAIN, 491),
                        [OA_TX_ANSWER] = STAY(OA_LOCAL_AGAIN, 500),
                        [OA_RX_ANSWER] = GOES(OA_STABLE),
                        [OA_FAILED] = GOES(OA_STABLE)},
    [OA_REMOTE_AGAIN] = {[OA_TX_OFFER] = STAY(OA_REMOTE_AGAIN, 500),
                         [OA_RX_OFFER] = STAY(OA_REMOTE_AGAIN, 500),
                         [OA_TX_ANSWER] = GOES(OA_STABLE),
                         [OA_RX_ANSWER] = AGAIN(OA_REMOTE_AGAIN),
                         [OA_FAILED] = GOES(OA_STABLE)},
};

const struct oa_cell *oa_cell(enum oa_state s, enum oa_event e)
{
    return &table[s][e];
}

unsigned oa_step(uint8_t *state, enum oa_event e)
{
    const struct oa_cell *c = &table[*state][e];
    *state = c->next;
    return c->status;
}

struct str oa_state_name(enum oa_state s)
{
    static const struct str names[OA_STATES] = {[OA_NONE] = STR_INIT("none"),
                                                [OA_LOCAL] = STR_INIT("our offer"),
                                                [OA_REMOTE] = STR_INIT("their offer"),
                                                [OA_STABLE] = STR_INIT("agreed"),
                                                [OA_LOCAL_AGAIN] = STR_INIT("agreed, our offer"),
                                                [OA_REMOTE_AGAIN] =
                                                    STR_INIT("agreed, their offer")};
    return names[s];
}

struct str oa_event_name(enum oa_event e)
{
    static const struct str names[OA_EVENTS] = {[OA_TX_OFFER] = STR_INIT("offer sent"),
                                                [OA_RX_OFFER] = STR_INIT("offer received"),
                                                [OA_TX_ANSWER] = STR_INIT("answer sent"),
                                                [OA_RX_ANSWER] = STR_INIT("answer received"),
                                                [OA_FAILED] = STR_INIT("offer failed")};
    return names[e];
}
