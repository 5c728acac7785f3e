/* A menu before a speech server (MRCPv2, RFC 6787), which says the texts and understands the
 * answers. The end of the caller's speech, as our own ear hears it, only begins the server's turn:
 * what was said comes as BOT_EV_HEARD. */
#include "bot/engine.h"

static void asked(struct bot_talk *t, const struct bot_input *in, struct bot_move *m)
{
    if (in->event != BOT_EV_PAUSE)
        bot_menu_asked(t, in, m);
}

const struct bot_engine_ops bot_engine_mrcp = {.linked = true, .menu = true, .asked = asked};
