/* The bot that needs nothing else: a menu by keys, and by words where the exchange's own ear is
 * there to understand them (BOTLINK_EARS). Without it speech is answered by the request to use the
 * keys. */
#include "bot/engine.h"

static void asked(struct bot_talk *t, const struct bot_input *in, struct bot_move *m)
{
    if (in->event != BOT_EV_PAUSE || !t->hears) /* else what was said comes as BOT_EV_HEARD */
        bot_menu_asked(t, in, m);
}

const struct bot_engine_ops bot_engine_builtin = {.menu = true, .asked = asked};
