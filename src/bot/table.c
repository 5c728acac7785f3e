/* The conversation as a table: what each event means in each state. A cell that is not written is
 * an event without meaning there. */
#include "bot/bot.h"

struct str bot_state_name(enum bot_state s)
{
    static const struct str names[BOT_STATES] = {
        [BOT_NEW] = STR_INIT("new"),         [BOT_OPENING] = STR_INIT("opening"),
        [BOT_READY] = STR_INIT("ready"),     [BOT_BROKEN] = STR_INIT("broken"),
        [BOT_SAYING] = STR_INIT("saying"),   [BOT_LISTENING] = STR_INIT("listening"),
        [BOT_HEARING] = STR_INIT("hearing"), [BOT_THINKING] = STR_INIT("thinking"),
        [BOT_LEAVING] = STR_INIT("leaving"), [BOT_HANDED] = STR_INIT("handed"),
        [BOT_OVER] = STR_INIT("over"),
    };
    return names[s];
}

struct str bot_event_name(enum bot_event e)
{
    static const struct str names[BOT_EVENTS] = {
        [BOT_EV_OPENED] = STR_INIT("opened"),   [BOT_EV_FAILED] = STR_INIT("failed"),
        [BOT_EV_UP] = STR_INIT("up"),           [BOT_EV_SOUND] = STR_INIT("sound"),
        [BOT_EV_SAID] = STR_INIT("said"),       [BOT_EV_VOICE] = STR_INIT("voice"),
        [BOT_EV_PAUSE] = STR_INIT("pause"),     [BOT_EV_KEY] = STR_INIT("key"),
        [BOT_EV_TIMEOUT] = STR_INIT("timeout"), [BOT_EV_TRANSFER] = STR_INIT("transfer"),
        [BOT_EV_HANGUP] = STR_INIT("hangup"),   [BOT_EV_LOST] = STR_INIT("lost"),
        [BOT_EV_BACK] = STR_INIT("back"),       [BOT_EV_GONE] = STR_INIT("gone"),
        [BOT_EV_HEARD] = STR_INIT("heard"),     [BOT_EV_SILENT] = STR_INIT("silent"),
    };
    return names[e];
}

#define DECLINES                                                                                   \
    {                                                                                              \
        BOT_OVER, BOT_OP_DECLINE | BOT_OP_CLOSE                                                    \
    }
#define ENDS                                                                                       \
    {                                                                                              \
        BOT_OVER, BOT_OP_CLOSE                                                                     \
    }
#define HANGS_UP                                                                                   \
    {                                                                                              \
        BOT_OVER, BOT_OP_HANGUP | BOT_OP_CLOSE                                                     \
    }
#define BREAKS                                                                                     \
    {                                                                                              \
        BOT_LEAVING, BOT_OP_SORRY | BOT_OP_CLOSE                                                   \
    }
#define HANDS                                                                                      \
    {                                                                                              \
        BOT_HANDED, BOT_OP_GOAL | BOT_OP_GO | BOT_OP_CLOSE                                         \
    }
#define ASKS                                                                                       \
    {                                                                                              \
        BOT_THINKING, BOT_OP_TURN | BOT_OP_ENGINE                                                  \
    }

/* The last sentence can be said no more, or has been. */
#define GOES                                                                                       \
    {                                                                                              \
        BOT_HANDED, BOT_OP_GO | BOT_OP_CLOSE                                                       \
    }

/* What is the same in all states in which both talk. The server of a menu may have heard what our
 * own ear did not. */
#define TALKING                                                                                    \
    [BOT_EV_FAILED] = BREAKS, [BOT_EV_LOST] = BREAKS, [BOT_EV_TRANSFER] = HANDS,                   \
    [BOT_EV_HANGUP] = HANGS_UP, [BOT_EV_GONE] = ENDS,                                              \
    [BOT_EV_HEARD] = {BOT_THINKING, BOT_OP_ENGINE}

static const struct bot_cell table[BOT_STATES][BOT_EVENTS] = {
    [BOT_OPENING] = {[BOT_EV_OPENED] = {BOT_READY, BOT_OP_ANSWER},
                     [BOT_EV_FAILED] = DECLINES,
                     [BOT_EV_LOST] = DECLINES,
                     [BOT_EV_HANGUP] = DECLINES,
                     [BOT_EV_TIMEOUT] = DECLINES,
                     [BOT_EV_GONE] = ENDS},
    /* What breaks here is told to the caller as soon as there is one. */
    [BOT_READY] = {[BOT_EV_UP] = {BOT_THINKING, BOT_OP_START | BOT_OP_ENGINE},
                   [BOT_EV_FAILED] = {BOT_BROKEN, BOT_OP_CLOSE},
                   [BOT_EV_LOST] = {BOT_BROKEN, BOT_OP_CLOSE},
                   [BOT_EV_HANGUP] = HANGS_UP,
                   [BOT_EV_GONE] = ENDS},
    [BOT_BROKEN] = {[BOT_EV_UP] = {BOT_LEAVING, BOT_OP_SORRY}, [BOT_EV_GONE] = {BOT_OVER, 0}},
    [BOT_SAYING] = {TALKING, [BOT_EV_SAID] = {BOT_LISTENING, BOT_OP_HEAR},
                    [BOT_EV_VOICE] = {BOT_HEARING, BOT_OP_BARGE}, [BOT_EV_KEY] = ASKS,
                    [BOT_EV_TIMEOUT] = BREAKS, [BOT_EV_SILENT] = BREAKS},
    [BOT_LISTENING] =
        {TALKING, [BOT_EV_SOUND] = {BOT_SAYING, 0}, [BOT_EV_VOICE] = {BOT_HEARING, BOT_OP_BARGE},
         [BOT_EV_KEY] = ASKS, [BOT_EV_TIMEOUT] = ASKS},
    [BOT_HEARING] = {TALKING, [BOT_EV_SOUND] = {BOT_SAYING, 0}, [BOT_EV_PAUSE] = ASKS,
                     [BOT_EV_KEY] = ASKS, [BOT_EV_TIMEOUT] = BREAKS},
    [BOT_THINKING] =
        {TALKING, [BOT_EV_SOUND] = {BOT_SAYING, 0}, [BOT_EV_VOICE] = {BOT_HEARING, BOT_OP_BARGE},
         [BOT_EV_KEY] = ASKS, [BOT_EV_TIMEOUT] = BREAKS},
    [BOT_LEAVING] = {[BOT_EV_SAID] = GOES,
                     [BOT_EV_TIMEOUT] = GOES,
                     [BOT_EV_SILENT] = GOES,
                     [BOT_EV_FAILED] = GOES,
                     [BOT_EV_LOST] = GOES,
                     [BOT_EV_GONE] = ENDS},
    [BOT_HANDED] = {[BOT_EV_BACK] = {BOT_LEAVING, BOT_OP_NOBODY}, [BOT_EV_GONE] = ENDS},
};

const struct bot_cell *bot_cell(enum bot_state s, enum bot_event e)
{
    return &table[s][e];
}
