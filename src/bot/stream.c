/* A bot behind a WebSocket: it hears, thinks and speaks elsewhere, and is told of keys. */
#include "bot/engine.h"

static void asked(struct bot_talk *t, const struct bot_input *in, struct bot_move *ret)
{
    (void)ret; /* what it wants comes when it likes, as events */
    if (in->event != BOT_EV_KEY)
        return;
    struct bot_out *o = bot_emit(t, BOT_OUT_LINK);
    o->link =
        (struct botlink_cmd){.kind = BOTLINK_DIGIT, .digit = in->digit, .digit_ms = in->digit_ms};
}

const struct bot_engine_ops bot_engine_stream = {.linked = true, .asked = asked};
