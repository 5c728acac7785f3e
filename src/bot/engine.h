/* What an engine is to the conversation. One file an engine. */
#ifndef BOT_ENGINE_H
#define BOT_ENGINE_H

#include "bot/bot.h"

/* What it wants: a sentence (n_texts 0: none), and then where to. */
struct bot_move {
    bool moves; /* else it has nothing to say to this */
    uint8_t n_texts;
    uint8_t text[BOT_SAY_MAX];
    struct bot_goal goal; /* BOT_DO_LISTEN: the caller's turn */
};

struct bot_engine_ops {
    bool linked; /* it is behind a botlink, which is opened before the caller is answered */
    bool menu;   /* what is said is decided here; if linked too, the engine only speaks and hears */
    void (*asked)(struct bot_talk *t, const struct bot_input *in, struct bot_move *ret);
};
extern const struct bot_engine_ops bot_engine_builtin, bot_engine_stream, bot_engine_mrcp;

/* menu.c: `asked` of those with a menu. */
void bot_menu_asked(struct bot_talk *t, const struct bot_input *in, struct bot_move *m);

/* ---- for engines ----------------------------------------------------------------------------- */
void bot_move_say(struct bot_move *m, unsigned text);
/* The configuration's place of last resort, if it has not been tried in vain. */
struct bot_goal bot_fallback(struct bot_talk *t);
struct bot_out *bot_emit(struct bot_talk *t, enum bot_out_kind kind);
void bot_note(struct bot_talk *t, const char *who, const char *what, char digit);

#endif
