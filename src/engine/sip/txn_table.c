/* The transaction machines of RFC 3261 section 17 and RFC 6026, as data. docs/state-machines.md is
 * printed from this table, and a test visits every cell of it. */
#include "engine/sip/txn.h"

#define SEND               TXN_DO_SEND
#define RESEND             TXN_DO_RESEND
#define ACK                TXN_DO_ACK
#define USER               TXN_DO_USER
#define TIMEOUT            TXN_DO_TIMEOUT
#define ERROR              TXN_DO_ERROR
#define TO(state)          .valid = true, .next = TXN_##state
#define RETRY(letter_, op) .retry = letter_, .retry_op = TXN_T_##op
#define LIFE(letter_, op)  .life = letter_, .life_op = TXN_T_##op
#define NO_RETRY           .retry_op = TXN_T_STOP
#define NO_LIFE            .life_op = TXN_T_STOP

static const struct txn_cell
    table[TXN_KINDS][TXN_STATES][TXN_EVENTS] =
        {
            /* INVITE client: RFC 3261 figure 5, RFC 6026 section 8.4 */
            [TXN_ICT] =
                {
                    [TXN_TRYING] =
                        {
                            [TXN_EV_START] = {TO(TRYING), .act = SEND, RETRY('A', T1),
                                              LIFE('B', 64T1)},
                            [TXN_EV_RETRY] = {TO(TRYING), .act = RESEND, RETRY('A', DOUBLE)},
                            [TXN_EV_1XX] = {TO(PROCEEDING), .act = USER, NO_RETRY, NO_LIFE},
                            [TXN_EV_2XX] = {TO(ACCEPTED), .act = USER, NO_RETRY, LIFE('M', 64T1)},
                            [TXN_EV_FINAL] = {TO(COMPLETED), .act = ACK | USER,
                                              NO_RETRY, LIFE('D', D)},
                            [TXN_EV_LIFE] = {TO(TERMINATED), .act = TIMEOUT, NO_RETRY},
                            [TXN_EV_ERROR] = {TO(TERMINATED), .act = ERROR, NO_RETRY, NO_LIFE},
                        },
                    [TXN_PROCEEDING] =
                        {
                            [TXN_EV_1XX] = {TO(PROCEEDING), .act = USER},
                            [TXN_EV_2XX] = {TO(ACCEPTED), .act = USER, LIFE('M', 64T1)},
                            [TXN_EV_FINAL] = {TO(COMPLETED), .act = ACK | USER, LIFE('D', D)},
                            /* Only armed after a CANCEL: 64*T1 without a final response (RFC
                               3261 9.1). */
                            [TXN_EV_LIFE] = {TO(TERMINATED), .act = TIMEOUT},
                            [TXN_EV_ERROR] = {TO(TERMINATED), .act = ERROR, NO_LIFE},
                        },
                    [TXN_COMPLETED] =
                        {
                            [TXN_EV_FINAL] = {TO(COMPLETED), .act = ACK},
                            [TXN_EV_LIFE] = {TO(TERMINATED)},
                            [TXN_EV_ERROR] = {TO(TERMINATED), NO_LIFE},
                        },
                    [TXN_ACCEPTED] =
                        {
                            [TXN_EV_2XX] = {TO(ACCEPTED), .act = USER},
                            [TXN_EV_LIFE] = {TO(TERMINATED)},
                        },
                },
            /* non-INVITE client: RFC 3261 figure 6 */
            [TXN_NICT] =
                {
                    [TXN_TRYING] =
                        {
                            [TXN_EV_START] = {TO(TRYING), .act = SEND, RETRY('E', T1),
                                              LIFE('F', 64T1)},
                            [TXN_EV_RETRY] = {TO(TRYING), .act = RESEND, RETRY('E', DOUBLE_T2)},
                            [TXN_EV_1XX] = {TO(PROCEEDING), .act = USER},
                            [TXN_EV_2XX] = {TO(COMPLETED), .act = USER, NO_RETRY, LIFE('K', T4)},
                            [TXN_EV_FINAL] = {TO(COMPLETED), .act = USER, NO_RETRY, LIFE('K', T4)},
                            [TXN_EV_LIFE] = {TO(TERMINATED), .act = TIMEOUT, NO_RETRY},
                            [TXN_EV_ERROR] = {TO(TERMINATED), .act = ERROR, NO_RETRY, NO_LIFE},
                        },
                    [TXN_PROCEEDING] =
                        {
                            [TXN_EV_RETRY] = {TO(PROCEEDING), .act = RESEND, RETRY('E', T2)},
                            [TXN_EV_1XX] = {TO(PROCEEDING), .act = USER},
                            [TXN_EV_2XX] = {TO(COMPLETED), .act = USER, NO_RETRY, LIFE('K', T4)},
                            [TXN_EV_FINAL] = {TO(COMPLETED), .act = USER, NO_RETRY, LIFE('K', T4)},
                            [TXN_EV_LIFE] = {TO(TERMINATED), .act = TIMEOUT, NO_RETRY},
                            [TXN_EV_ERROR] = {TO(TERMINATED), .act = ERROR, NO_RETRY, NO_LIFE},
                        },
                    [TXN_COMPLETED] =
                        {
                            [TXN_EV_2XX] = {TO(COMPLETED)},
                            [TXN_EV_FINAL] = {TO(COMPLETED)},
                            [TXN_EV_LIFE] = {TO(TERMINATED)},
                        },
                },
            /* INVITE server: RFC 3261 figure 7, RFC 6026 section 8.5 */
            [TXN_IST] =
                {
                    [TXN_PROCEEDING] =
                        {
                            [TXN_EV_START] = {TO(PROCEEDING)},
                            [TXN_EV_AGAIN] = {TO(PROCEEDING), .act = RESEND},
                            [TXN_EV_1XX] = {TO(PROCEEDING), .act = SEND, NO_RETRY},
                            [TXN_EV_2XX] = {TO(ACCEPTED), .act = SEND, NO_RETRY, LIFE('L', 64T1)},
                            [TXN_EV_FINAL] = {TO(COMPLETED), .act = SEND, RETRY('G', T1),
                                              LIFE('H', 64T1)},
                            [TXN_EV_ERROR] = {TO(PROCEEDING)},
                        },
                    [TXN_COMPLETED] =
                        {
                            [TXN_EV_AGAIN] = {TO(COMPLETED), .act = RESEND},
                            [TXN_EV_RETRY] = {TO(COMPLETED), .act = RESEND, RETRY('G', DOUBLE_T2)},
                            [TXN_EV_ACK] = {TO(CONFIRMED), NO_RETRY, LIFE('I', T4)},
                            [TXN_EV_LIFE] = {TO(TERMINATED), .act = TIMEOUT, NO_RETRY},
                            [TXN_EV_ERROR] = {TO(COMPLETED)},
                        },
                    [TXN_CONFIRMED] =
                        {
                            [TXN_EV_AGAIN] = {TO(CONFIRMED)},
                            [TXN_EV_ACK] = {TO(CONFIRMED)},
                            [TXN_EV_LIFE] = {TO(TERMINATED)},
                        },
                    [TXN_ACCEPTED] =
                        {
                            [TXN_EV_AGAIN] = {TO(ACCEPTED)},
                            [TXN_EV_ACK] = {TO(ACCEPTED), .act = USER},
                            [TXN_EV_2XX] = {TO(ACCEPTED), .act = SEND},
                            [TXN_EV_LIFE] = {TO(TERMINATED)},
                            [TXN_EV_ERROR] = {TO(ACCEPTED)},
                        },
                },
            /* non-INVITE server: RFC 3261 figure 8 */
            [TXN_NIST] =
                {
                    [TXN_TRYING] =
                        {
                            [TXN_EV_START] = {TO(TRYING)},
                            [TXN_EV_AGAIN] = {TO(TRYING)},
                            [TXN_EV_1XX] = {TO(PROCEEDING), .act = SEND},
                            [TXN_EV_2XX] = {TO(COMPLETED), .act = SEND, LIFE('J', J)},
                            [TXN_EV_FINAL] = {TO(COMPLETED), .act = SEND, LIFE('J', J)},
                            [TXN_EV_ERROR] = {TO(TRYING)},
                        },
                    [TXN_PROCEEDING] =
                        {
                            [TXN_EV_AGAIN] = {TO(PROCEEDING), .act = RESEND},
                            [TXN_EV_1XX] = {TO(PROCEEDING), .act = SEND},
                            [TXN_EV_2XX] = {TO(COMPLETED), .act = SEND, LIFE('J', J)},
                            [TXN_EV_FINAL] = {TO(COMPLETED), .act = SEND, LIFE('J', J)},
                            [TXN_EV_ERROR] = {TO(PROCEEDING)},
                        },
                    [TXN_COMPLETED] =
                        {
                            [TXN_EV_AGAIN] = {TO(COMPLETED), .act = RESEND},
                            [TXN_EV_LIFE] = {TO(TERMINATED)},
                            [TXN_EV_ERROR] = {TO(COMPLETED)},
                        },
                },
};

const struct txn_cell *txn_cell(enum sip_txn_kind kind, enum sip_txn_state state,
                                enum txn_event event)
{
    return &table[kind][state][event];
}

bool txn_has_state(enum sip_txn_kind kind, enum sip_txn_state state)
{
    for (unsigned e = 0; e < TXN_EVENTS; e++)
        if (table[kind][state][e].valid)
            return true;
    return state == TXN_TERMINATED;
}

struct str txn_event_name(enum txn_event event)
{
    static const struct str names[TXN_EVENTS] = {
        [TXN_EV_START] = STR_INIT("start"),
        [TXN_EV_1XX] = STR_INIT("1xx"),
        [TXN_EV_2XX] = STR_INIT("2xx"),
        [TXN_EV_FINAL] = STR_INIT("300-699"),
        [TXN_EV_AGAIN] = STR_INIT("request again"),
        [TXN_EV_ACK] = STR_INIT("ACK"),
        [TXN_EV_RETRY] = STR_INIT("timer A/E/G"),
        [TXN_EV_LIFE] = STR_INIT("lifetime timer"),
        [TXN_EV_ERROR] = STR_INIT("transport error"),
    };
    return names[event];
}

struct str sip_txn_kind_name(enum sip_txn_kind kind)
{
    static const struct str names[TXN_KINDS] = {[TXN_ICT] = STR_INIT("ICT"),
                                                [TXN_NICT] = STR_INIT("NICT"),
                                                [TXN_IST] = STR_INIT("IST"),
                                                [TXN_NIST] = STR_INIT("NIST")};
    return names[kind];
}

struct str sip_txn_state_name(enum sip_txn_kind kind, enum sip_txn_state state)
{
    static const struct str names[TXN_STATES] = {
        [TXN_TRYING] = STR_INIT("Trying"),       [TXN_PROCEEDING] = STR_INIT("Proceeding"),
        [TXN_COMPLETED] = STR_INIT("Completed"), [TXN_CONFIRMED] = STR_INIT("Confirmed"),
        [TXN_ACCEPTED] = STR_INIT("Accepted"),   [TXN_TERMINATED] = STR_INIT("Terminated")};
    if (kind == TXN_ICT && state == TXN_TRYING)
        return STR("Calling"); /* RFC 3261 figure 5 has its own word */
    return names[state];
}
