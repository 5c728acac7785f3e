/* The figures of RFC 6787 as data. What a figure does not draw and the text allows stands with its
 * section. */
#include "engine/mrcp/chan.h"

#define M(id) CHAN_METHOD(MRCP_M_##id)
#define E(id) CHAN_EVENT(MRCP_E_##id)
#define TO(s)                                                                                      \
    {                                                                                              \
        .valid = true, .next = CHAN_##s                                                            \
    }
#define EMPTY(s)                                                                                   \
    {                                                                                              \
        .valid = true, .when_empty = true, .next = CHAN_##s                                        \
    }
#define PARAMS(s) [M(SET_PARAMS)] = TO(s), [M(GET_PARAMS)] = TO(s) /* section 6.1 */

static const struct chan_cell
    table[MRCP_KINDS][CHAN_STATES][CHAN_INPUTS] =
        {
            /* Section 8.1 */
            [MRCP_SYNTH] =
                {
                    [CHAN_IDLE] =
                        {
                            PARAMS(IDLE),
                            [M(SPEAK)] = TO(SPEAKING),
                            [M(STOP)] = TO(IDLE),
                            [M(BARGE_IN_OCCURRED)] = TO(IDLE),
                            [M(DEFINE_LEXICON)] = TO(IDLE),
                        },
                    [CHAN_SPEAKING] =
                        {
                            PARAMS(SPEAKING),
                            [M(SPEAK)] = TO(SPEAKING), /* queued: section 8.6 */
                            [M(STOP)] = EMPTY(IDLE),
                            [M(BARGE_IN_OCCURRED)] = EMPTY(IDLE),
                            [M(CONTROL)] = TO(SPEAKING),
                            [M(PAUSE)] = TO(PAUSED),
                            [M(RESUME)] = TO(SPEAKING),
                            [E(SPEECH_MARKER)] = TO(SPEAKING),
                            [E(SPEAK_COMPLETE)] = EMPTY(IDLE),
                        },
                    [CHAN_PAUSED] =
                        {
                            PARAMS(PAUSED),
                            [M(SPEAK)] = TO(PAUSED), /* queued */
                            [M(STOP)] = EMPTY(IDLE), /* the next one waits, paused: 8.7 */
                            [M(BARGE_IN_OCCURRED)] = EMPTY(IDLE),
                            [M(CONTROL)] = TO(PAUSED),
                            [M(PAUSE)] = TO(PAUSED),
                            [M(RESUME)] = TO(SPEAKING),
                            /* These two were on their way when PAUSE was. */
                            [E(SPEECH_MARKER)] = TO(PAUSED),
                            [E(SPEAK_COMPLETE)] = EMPTY(IDLE),
                        },
                },
            /* Section 9.1 */
            [MRCP_RECOG] =
                {
                    [CHAN_IDLE] =
                        {
                            PARAMS(IDLE),
                            [M(RECOGNIZE)] = TO(RECOGNIZING),
                            [M(STOP)] = TO(IDLE),
                            [M(DEFINE_GRAMMAR)] = TO(IDLE),
                            [M(INTERPRET)] = TO(IDLE),
                            [E(INTERPRETATION_COMPLETE)] = TO(IDLE),
                        },
                    [CHAN_RECOGNIZING] =
                        {
                            PARAMS(RECOGNIZING),
                            [M(RECOGNIZE)] = TO(RECOGNIZING), /* Cancel-If-Queue: 9.4.27 */
                            [M(STOP)] = EMPTY(IDLE),
                            [M(START_INPUT_TIMERS)] = TO(RECOGNIZING),
                            [E(START_OF_INPUT)] = TO(RECOGNIZING),
                            [E(RECOGNITION_COMPLETE)] = EMPTY(RECOGNIZED),
                            [E(INTERPRETATION_COMPLETE)] = TO(RECOGNIZING),
                        },
                    [CHAN_RECOGNIZED] =
                        {
                            PARAMS(RECOGNIZED),
                            [M(RECOGNIZE)] = TO(RECOGNIZING),
                            [M(GET_RESULT)] = TO(RECOGNIZED),
                            [M(STOP)] = TO(IDLE),
                            [M(DEFINE_GRAMMAR)] = TO(IDLE),
                            [M(INTERPRET)] = TO(RECOGNIZED), /* section 9.20 */
                            [E(INTERPRETATION_COMPLETE)] = TO(RECOGNIZED),
                        },
                },
            /* Section 10.1 */
            [MRCP_RECORDER] =
                {
                    [CHAN_IDLE] =
                        {
                            PARAMS(IDLE),
                            [M(RECORD)] = TO(RECORDING),
                            [M(STOP)] = TO(IDLE),
                        },
                    [CHAN_RECORDING] =
                        {
                            PARAMS(RECORDING),
                            [M(STOP)] = EMPTY(IDLE),
                            [M(START_INPUT_TIMERS)] = TO(RECORDING),
                            [E(START_OF_INPUT)] = TO(RECORDING),
                            [E(RECORD_COMPLETE)] = EMPTY(IDLE),
                        },
                },
};

const struct chan_cell *chan_cell(enum mrcp_kind kind, enum chan_state s, unsigned input)
{
    static const struct chan_cell none;
    if (kind >= MRCP_KINDS || s >= CHAN_STATES || input >= CHAN_INPUTS)
        return &none;
    return &table[kind][s][input];
}

bool chan_step(uint8_t *state, enum mrcp_kind kind, unsigned input, unsigned left)
{
    const struct chan_cell *c = chan_cell(kind, (enum chan_state) * state, input);
    if (!c->valid)
        return false;
    if (!c->when_empty || left == 0)
        *state = c->next;
    return true;
}

enum mrcp_method chan_main(enum mrcp_kind kind)
{
    static const enum mrcp_method method[MRCP_KINDS] = {[MRCP_SYNTH] = MRCP_M_SPEAK,
                                                        [MRCP_RECOG] = MRCP_M_RECOGNIZE,
                                                        [MRCP_RECORDER] = MRCP_M_RECORD};
    return kind < MRCP_KINDS ? method[kind] : MRCP_M_OTHER;
}

enum chan_state chan_active(enum mrcp_kind kind)
{
    return (enum chan_state)chan_cell(kind, CHAN_IDLE, CHAN_METHOD(chan_main(kind)))->next;
}

struct str chan_state_name(enum chan_state s)
{
    static const struct str names[CHAN_STATES] = {STR_INIT("idle"),       STR_INIT("speaking"),
                                                  STR_INIT("paused"),     STR_INIT("recognizing"),
                                                  STR_INIT("recognized"), STR_INIT("recording")};
    return s < CHAN_STATES ? names[s] : STR_NONE;
}
