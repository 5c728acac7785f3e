/* The conversation of a bot with one caller, as a pure machine: what happens goes in, what is to be
 * done comes out of a queue, and time is an argument. Who drives it (pbx/feature/voicebot) answers
 * the call, plays, dials and talks to the engine behind a botlink; here is decided when.
 *
 * A conversation is opened before anybody has answered the call, so that an engine that is not
 * there leaves the call as it is. Then the caller comes (BOT_EV_UP), and both take turns: the bot
 * says something, the caller speaks or presses keys, until one of them ends it or the caller is
 * handed over. Whatever breaks on the way, the caller hears a sentence and is brought to the place
 * that the configuration names.
 *
 * After every call drain bot_out(). Texts in an output live as long as what they were made from:
 * the configuration, or the input. */
#ifndef BOT_BOT_H
#define BOT_BOT_H

#include "base/assert.h"
#include "base/botlink.h"
#include "base/timer.h"

#define BOT_ITEMS     12 /* keys of a menu: 0 to 9, * and # */
#define BOT_SAY_MAX   15 /* texts of one sentence */
#define BOT_BARGE_MAX 32 /* barge-ins that are told one by one */

enum bot_engine { BOT_BUILTIN, BOT_MRCP, BOT_STREAM, BOT_ENGINES };

/* ---- configuration --------------------------------------------------------------------------- */

/* Where a conversation leads. */
enum bot_do {
    BOT_DO_LISTEN,   /* nowhere: the menu again */
    BOT_DO_TRANSFER, /* to `to`, a number */
    BOT_DO_MAILBOX,  /* of extension `to` */
    BOT_DO_MESSAGE,  /* to the mailbox of whom the bot stands in for */
    BOT_DO_HANGUP
};
struct bot_goal {
    uint8_t does; /* enum bot_do */
    struct str to;
};
/* "transfer:NUMBER", "voicemail:EXTENSION", "message", "repeat", "hangup". 0 or -EINVAL. */
MUST_CHECK int bot_goal_parse(struct bot_goal *ret, struct str text);

struct bot_item {
    char key;
    bool prompts, says; /* it has a part in the menu; something is said when it is chosen */
    struct bot_goal goal;
};

struct bot_conf {
    enum bot_engine engine;
    bool ears;               /* builtin: words are understood, if the ear can be opened */
    bool barge_in;           /* a caller who speaks stops what is said; a key always does */
    uint8_t tries;           /* so often nothing, or nothing understood, until `fallback` */
    uint16_t min_confidence; /* thousandths: mrcp takes no answer for one that is less certain */
    uint32_t no_input_ms;    /* menus: the caller's time for an answer */
    uint32_t patience_ms;    /* linked: the engine's time for one; 0: as long as it likes */
    uint32_t open_ms;        /* linked: the time for opening it */
    struct bot_goal fallback;
    unsigned n_items;
    struct bot_item item[BOT_ITEMS];
};

/* What is said, as numbers: who plays knows the texts. */
enum bot_text {
    BOT_TEXT_GREETING,
    BOT_TEXT_NO_INPUT,
    BOT_TEXT_NO_MATCH, /* a key that means nothing */
    BOT_TEXT_NO_WORDS, /* speech that was not understood */
    BOT_TEXT_SORRY,    /* the engine has failed */
    BOT_TEXT_MOMENT,   /* the caller is handed over */
    BOT_TEXT_NOBODY,   /* who it was to be handed over to is not there */
    BOT_TEXT_BYE,
    BOT_TEXT_PROMPT, /* of item n: this + n */
    BOT_TEXT_SAY = BOT_TEXT_PROMPT + BOT_ITEMS,
    BOT_TEXTS = BOT_TEXT_SAY + BOT_ITEMS
};

/* ---- what happens ---------------------------------------------------------------------------- */

enum bot_state {
    BOT_NEW,
    BOT_OPENING,   /* nobody has answered the call yet */
    BOT_READY,     /* the engine is there; the caller is being answered */
    BOT_BROKEN,    /* and has gone before the caller came */
    BOT_SAYING,    /* the bot speaks */
    BOT_LISTENING, /* it is the caller's turn */
    BOT_HEARING,   /* who speaks */
    BOT_THINKING,  /* it is the engine's turn */
    BOT_LEAVING,   /* the last sentence, then `goal` */
    BOT_HANDED,    /* somebody else is being called for the caller */
    BOT_OVER,
    BOT_STATES
};
enum bot_event {
    BOT_EV_OPENED,   /* the engine is there */
    BOT_EV_FAILED,   /* it is not */
    BOT_EV_UP,       /* the caller hears us */
    BOT_EV_SOUND,    /* the engine begins to say something */
    BOT_EV_SILENT,   /* and is not heard any more, without having said that it was said */
    BOT_EV_SAID,     /* what BOT_OUT_SAY wanted said was said, or stopped */
    BOT_EV_VOICE,    /* the caller begins to speak; `stopped`, `stop_ms` */
    BOT_EV_PAUSE,    /* and has ended at `at` */
    BOT_EV_HEARD,    /* what BOTLINK_HEAR asked for: `heard` */
    BOT_EV_KEY,      /* `digit` */
    BOT_EV_TIMEOUT,  /* bot_deadline() has come: bot_tick() makes it */
    BOT_EV_TRANSFER, /* the engine hands the caller over to `text` */
    BOT_EV_HANGUP,   /* it ends the call */
    BOT_EV_LOST,     /* it has gone */
    BOT_EV_BACK,     /* nobody took the caller who was handed over */
    BOT_EV_GONE,     /* the caller has gone, somebody else has answered, the call is over */
    BOT_EVENTS
};
struct str bot_state_name(enum bot_state s);
struct str bot_event_name(enum bot_event e);

struct bot_input {
    enum bot_event event;
    char digit;
    uint32_t digit_ms;
    bool stopped;     /* the media plane stopped what the bot said */
    uint32_t stop_ms; /* from the caller's first sound to the bot's last one */
    usec_t at;        /* when it was, if that is some time ago; 0: now */
    struct str text;
    struct botlink_heard heard; /* means: a place in bot_conf.item[] */
};

/* What an input does in a state: a row of bot_cell(). */
enum bot_op {
    BOT_OP_ANSWER = 1 << 0,
    BOT_OP_DECLINE = 1 << 1,
    BOT_OP_START = 1 << 2,  /* the caller's sound flows */
    BOT_OP_ENGINE = 1 << 3, /* the engine says what comes next */
    BOT_OP_BARGE = 1 << 4,  /* the bot was interrupted */
    BOT_OP_TURN = 1 << 5,   /* the engine's turn begins */
    BOT_OP_SORRY = 1 << 6,  /* a sentence, then the fallback */
    BOT_OP_NOBODY = 1 << 7, /* likewise after a hand-over that has failed */
    BOT_OP_GO = 1 << 8,     /* `goal` */
    BOT_OP_GOAL = 1 << 9,   /* it is that of the input: a transfer */
    BOT_OP_HANGUP = 1 << 10,
    BOT_OP_CLOSE = 1 << 11, /* the engine */
    BOT_OP_HEAR = 1 << 12   /* the engine is to listen, if it is one that does */
};
struct bot_cell {
    uint8_t next; /* enum bot_state; 0: as it is */
    uint16_t ops;
};
const struct bot_cell *bot_cell(enum bot_state s, enum bot_event e);

/* ---- what is to be done ---------------------------------------------------------------------- */

enum bot_out_kind {
    BOT_OUT_ANSWER,  /* the caller; BOT_EV_UP follows, or BOT_EV_GONE */
    BOT_OUT_DECLINE, /* the call goes on as if there were no bot; the conversation is over */
    BOT_OUT_LISTEN,  /* the caller's voice is of interest from now on */
    BOT_OUT_SAY,     /* text[], in place of what is being said; then BOT_EV_SAID, if `told` */
    BOT_OUT_LINK,    /* to the engine: link; the phrases of BOTLINK_HEAR are those of the items */
    BOT_OUT_GO,      /* goal; a transfer may come back with BOT_EV_BACK */
    BOT_OUT_HANGUP,
    BOT_OUT_NOTE, /* for the transcript: `who` ("bot", "caller") and `what` */
    BOT_OUT_FAILS /* `what` the engine has done wrong, which it has not said itself */
};
struct bot_out {
    enum bot_out_kind kind;
    bool by_engine; /* of SAY: it goes there as text; else our own sounds are played */
    uint8_t n_texts;
    uint8_t text[BOT_SAY_MAX];
    struct botlink_cmd link; /* its id and texts are for whoever sends it */
    struct bot_goal goal;
    const char *who;
    const char *what;    /* a word: "greeting", "key", "speech", "said", "no-input", ... */
    char digit;          /* of "key" */
    struct str words;    /* of "said" */
    uint16_t confidence; /* of "said": thousandths; 0: not known */
};

/* What it was like. Times of 0: it did not happen. */
struct bot_figures {
    uint32_t first_sound_ms; /* since the caller came */
    uint32_t barge_ins;      /* the first BOT_BARGE_MAX of them one by one: */
    uint32_t barge_ms[BOT_BARGE_MAX];
    uint32_t turns; /* answers of the bot to what the caller said or pressed */
    uint32_t turn_ms_sum, turn_ms_max;
    uint32_t keys, no_inputs, no_matches;
    uint32_t errors; /* of the engine */
};

#define BOT_OUTS 8
struct bot_talk {
    const struct bot_conf *conf;
    uint8_t state;
    uint8_t misses;    /* in a row: nothing, or nothing understood */
    bool open, closed; /* the engine was opened; was closed */
    bool fell_back;
    bool ears;   /* of engine builtin: it has one */
    bool hears;  /* the engine owes BOT_EV_HEARD */
    bool heard;  /* something was said since the caller came */
    bool sounds; /* what the engine is to say has begun to be heard */
    struct bot_goal goal;
    usec_t deadline, up_at;
    usec_t owed_at; /* since when it owes an answer to what it hears; 0: it does not */
    usec_t turn_at; /* since when the engine has its turn; 0: it has not */
    struct bot_figures figures;
    uint8_t n_out, at_out;
    struct bot_out out[BOT_OUTS];
};

/* conf outlives the conversation. Its first outputs open the engine. */
void bot_begin(struct bot_talk *t, const struct bot_conf *conf, usec_t now);
void bot_step(struct bot_talk *t, usec_t now, const struct bot_input *in);
/* USEC_NEVER: nothing is waited for. */
usec_t bot_deadline(const struct bot_talk *t);
void bot_tick(struct bot_talk *t, usec_t now);
bool bot_out(struct bot_talk *t, struct bot_out *ret);

#endif
