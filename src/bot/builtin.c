/* The bot that needs nothing else: a menu by keys. Speech is answered by the request to use them;
 * after so many misses in a row the caller is brought to the place of last resort. */
#include "bot/engine.h"

static void say_menu(const struct bot_conf *c, struct bot_move *m)
{
    for (unsigned i = 0; i < c->n_items; i++)
        if (c->item[i].prompts)
            bot_move_say(m, BOT_TEXT_PROMPT + i);
}

/* The greeting alone when there is nothing to choose. */
static void greet(struct bot_talk *t, struct bot_move *m)
{
    bot_move_say(m, BOT_TEXT_GREETING);
    say_menu(t->conf, m);
    if (!t->conf->n_items)
        m->goal = bot_fallback(t);
    bot_note(t, "bot", "greeting", 0);
}

static void missed(struct bot_talk *t, unsigned text, struct bot_move *m)
{
    bot_move_say(m, text);
    if (++t->misses >= t->conf->tries)
        m->goal = bot_fallback(t);
    else
        say_menu(t->conf, m);
}

static const struct bot_item *item_of(const struct bot_conf *c, char key)
{
    for (unsigned i = 0; i < c->n_items; i++)
        if (c->item[i].key == key)
            return &c->item[i];
    return NULL;
}

static void chosen(struct bot_talk *t, const struct bot_item *item, struct bot_move *m)
{
    const struct bot_conf *c = t->conf;
    t->misses = 0;
    m->goal = item->goal;
    if (item->says)
        bot_move_say(m, BOT_TEXT_SAY + (unsigned)(item - c->item));
    else if (item->goal.does == BOT_DO_TRANSFER)
        bot_move_say(m, BOT_TEXT_MOMENT);
    else if (item->goal.does == BOT_DO_HANGUP)
        bot_move_say(m, BOT_TEXT_BYE);
    if (item->goal.does == BOT_DO_LISTEN)
        say_menu(c, m);
}

static void key(struct bot_talk *t, char digit, struct bot_move *m)
{
    const struct bot_item *item = item_of(t->conf, digit);
    bot_note(t, "caller", "key", digit);
    if (item) {
        chosen(t, item, m);
        return;
    }
    t->figures.no_matches++;
    missed(t, BOT_TEXT_NO_MATCH, m);
}

static void asked(struct bot_talk *t, const struct bot_input *in, struct bot_move *m)
{
    m->moves = true;
    switch (in->event) {
    case BOT_EV_UP:
        greet(t, m);
        break;
    case BOT_EV_KEY:
        key(t, in->digit, m);
        break;
    case BOT_EV_PAUSE: /* the caller has said something */
        bot_note(t, "caller", "speech", 0);
        t->figures.no_matches++;
        missed(t, BOT_TEXT_NO_WORDS, m);
        break;
    default:
        bot_note(t, "caller", "no-input", 0);
        t->figures.no_inputs++;
        missed(t, BOT_TEXT_NO_INPUT, m);
        break;
    }
}

const struct bot_engine_ops bot_engine_builtin = {.asked = asked};
