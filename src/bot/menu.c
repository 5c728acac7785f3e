/* A menu: keys, and words where somebody understands them. After so many misses in a row the caller
 * is brought to the place of last resort. */
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
    bot_note(t, "caller", item ? "key" : "wrong key", digit);
    if (item) {
        chosen(t, item, m);
        return;
    }
    t->figures.no_matches++;
    missed(t, BOT_TEXT_NO_MATCH, m);
}

/* An engine that does not say how certain it is, is believed. */
static const struct bot_item *item_said(const struct bot_conf *c, const struct botlink_heard *h)
{
    bool sure = !h->confidence || h->confidence >= c->min_confidence;
    bool known = h->outcome == BOTLINK_UNDERSTOOD && h->means < c->n_items;
    return sure && known ? &c->item[h->means] : NULL;
}

static void silent(struct bot_talk *t, struct bot_move *m)
{
    bot_note(t, "caller", "no-input", 0);
    t->figures.no_inputs++;
    missed(t, BOT_TEXT_NO_INPUT, m);
}

static void heard(struct bot_talk *t, const struct botlink_heard *h, struct bot_move *m)
{
    const struct bot_item *item = item_said(t->conf, h);
    if (h->outcome == BOTLINK_NO_INPUT) {
        silent(t, m);
        return;
    }
    struct bot_out *note = bot_emit(t, BOT_OUT_NOTE);
    note->who = "caller";
    note->what = "said";
    note->words = h->words;
    note->confidence = h->confidence;
    if (item) {
        chosen(t, item, m);
        return;
    }
    t->figures.no_matches++;
    missed(t, BOT_TEXT_NO_WORDS, m);
}

void bot_menu_asked(struct bot_talk *t, const struct bot_input *in, struct bot_move *m)
{
    m->moves = true;
    switch (in->event) {
    case BOT_EV_UP:
        greet(t, m);
        break;
    case BOT_EV_KEY:
        key(t, in->digit, m);
        break;
    case BOT_EV_PAUSE: /* the caller has said something, and nobody here understands it */
        bot_note(t, "caller", "speech", 0);
        t->figures.no_matches++;
        missed(t, BOT_TEXT_NO_WORDS, m);
        break;
    case BOT_EV_HEARD:
        heard(t, &in->heard, m);
        break;
    default:
        silent(t, m);
        break;
    }
}
