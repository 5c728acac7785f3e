/* What bots say: the texts of the configuration and ours, as sounds. */
#include "pbx/feature/voicebot_int.h"

_Static_assert(BOT_TEXTS <= SOUND_BOT_TEXTS, "each text of a bot has a number of its own");
_Static_assert(SOUND_BOTS + CONFIG_MAX_BOTS * SOUND_BOT_TEXTS <= MEDIA_MAX_CLIPS, "room for all");

static const enum prompt prompts[BOT_TEXT_PROMPT] = {
    [BOT_TEXT_GREETING] = PROMPT_BOT_GREETING, [BOT_TEXT_NO_INPUT] = PROMPT_BOT_NO_INPUT,
    [BOT_TEXT_NO_MATCH] = PROMPT_INVALID,      [BOT_TEXT_NO_WORDS] = PROMPT_BOT_NO_WORDS,
    [BOT_TEXT_SORRY] = PROMPT_BOT_SORRY,       [BOT_TEXT_MOMENT] = PROMPT_BOT_MOMENT,
    [BOT_TEXT_NOBODY] = PROMPT_BOT_NOBODY,     [BOT_TEXT_BYE] = PROMPT_GOODBYE,
};

static unsigned language_of(const struct config *c, const struct config_bot *o)
{
    return o->language ? o->language - 1u : c->sounds.language;
}

/* The configuration's own; none: there is none. */
static struct str own_text(const struct config_bot *o, unsigned text)
{
    if (text == BOT_TEXT_GREETING)
        return o->greeting;
    if (text >= BOT_TEXT_SAY && text - BOT_TEXT_SAY < o->n_menu)
        return o->menu[text - BOT_TEXT_SAY].say;
    if (text >= BOT_TEXT_PROMPT && text < BOT_TEXT_SAY && text - BOT_TEXT_PROMPT < o->n_menu)
        return o->menu[text - BOT_TEXT_PROMPT].prompt;
    return STR_NONE;
}

/* What is not among the prompts of the exchange, which are in its own language. */
static struct str spoken_text(const struct config *c, const struct config_bot *o, unsigned text)
{
    struct str own = own_text(o, text);
    unsigned language = language_of(c, o);
    if (own.n || text >= BOT_TEXT_PROMPT || language == c->sounds.language)
        return own;
    const struct prompt_text *t = &prompt_texts[prompts[text]];
    return str_z(language == 1 ? t->ko : t->en);
}

static uint32_t sound_of(const struct config *c, const struct config_bot *o, unsigned text)
{
    uint32_t bot = (uint32_t)(o - c->bots);
    if (spoken_text(c, o, text).n)
        return SOUND_BOTS + bot * SOUND_BOT_TEXTS + text;
    return text < BOT_TEXT_PROMPT ? sound_of_prompt(prompts[text], c->sounds.language) : 0;
}

/* Letters, digits, '-' and '_'. */
static void name_put(struct pbx_spoken *ret, const struct config_bot *o, unsigned text)
{
    static const char *const names[BOT_TEXT_PROMPT] = {
        [BOT_TEXT_GREETING] = "greeting", [BOT_TEXT_NO_INPUT] = "no-input",
        [BOT_TEXT_NO_MATCH] = "no-match", [BOT_TEXT_NO_WORDS] = "no-words",
        [BOT_TEXT_SORRY] = "sorry",       [BOT_TEXT_MOMENT] = "moment",
        [BOT_TEXT_NOBODY] = "nobody",     [BOT_TEXT_BYE] = "bye",
    };
    struct buf b;
    buf_init(&b, ret->name, sizeof(ret->name) - 1);
    buf_lit(&b, PBX_SPOKEN_PREFIX);
    for (size_t i = 0; i < o->name.n; i++)
        buf_ch(&b, o->name.p[i] == '.' ? '_' : o->name.p[i]);
    buf_ch(&b, '-');
    if (text < BOT_TEXT_PROMPT) {
        buf_z(&b, names[text]);
    } else {
        bool says = text >= BOT_TEXT_SAY;
        char key = o->menu[text - (says ? BOT_TEXT_SAY : BOT_TEXT_PROMPT)].key.p[0];
        buf_z(&b, says ? "say-" : "prompt-");
        buf_z(&b, key == '*' ? "star" : key == '#' ? "hash" : "");
        if (key != '*' && key != '#')
            buf_ch(&b, key);
    }
    ret->name[b.n] = 0;
}

bool pbx_spoken_next(const struct config *c, uint32_t *at, struct pbx_spoken *ret)
{
    while (*at < c->n_bots * SOUND_BOT_TEXTS) {
        const struct config_bot *o = &c->bots[*at / SOUND_BOT_TEXTS];
        unsigned text = (*at)++ % SOUND_BOT_TEXTS;
        struct str words = text < BOT_TEXTS ? spoken_text(c, o, text) : STR_NONE;
        if (!words.n)
            continue;
        *ret = (struct pbx_spoken){
            .number = sound_of(c, o, text), .language = (uint8_t)language_of(c, o), .text = words};
        name_put(ret, o, text);
        return true;
    }
    return false;
}

static struct bot_goal goal_of(struct str text)
{
    struct bot_goal goal;
    if (bot_goal_parse(&goal, text))
        BUG_ON(true); /* the configuration was checked */
    return goal;
}

void voicebot_conf(struct bot_conf *ret, const struct config_bot *o)
{
    static const enum bot_engine engines[] = {[CONF_ENGINE_BUILTIN] = BOT_BUILTIN,
                                              [CONF_ENGINE_MRCP] = BOT_MRCP,
                                              [CONF_ENGINE_STREAM] = BOT_STREAM};
    *ret = (struct bot_conf){.engine = engines[o->engine],
                             .barge_in = o->barge_in == CONF_BARGE_DEFAULT
                                             ? o->engine != CONF_ENGINE_BUILTIN
                                             : o->barge_in == CONF_BARGE_ON,
                             .tries = (uint8_t)o->tries,
                             .no_input_ms = o->no_input_ms,
                             .patience_ms = o->patience_ms,
                             .open_ms = o->open_ms,
                             .fallback = goal_of(o->fallback)};
    for (uint32_t i = 0; i < o->n_menu && i < BOT_ITEMS; i++)
        ret->item[ret->n_items++] = (struct bot_item){.key = o->menu[i].key.p[0],
                                                      .prompts = o->menu[i].prompt.n != 0,
                                                      .says = o->menu[i].say.n != 0,
                                                      .goal = goal_of(o->menu[i].does)};
}

/* Of one order the media plane takes so many; the last one says when all is said. The sounds are
 * those of the present configuration. */
void voicebot_say(struct pbx *p, struct voicebot_session *s, const uint8_t *text, unsigned n)
{
    struct leg *leg = leg_find(p, s->leg);
    const struct config_bot *now = config_find_bot(p->config, s->bot->name);
    const struct config *c = now ? p->config : s->config;
    s->token = s->token == UINT32_MAX ? 1 : s->token + 1;
    for (unsigned i = 0; i < n; i += MEDIA_MAX_ITEMS) {
        struct sound_list l = {.append = i > 0};
        for (unsigned k = i; k < n && k < i + MEDIA_MAX_ITEMS; k++)
            sound_clip(&l, sound_of(c, now ? now : s->bot, text[k]));
        l.token = i + MEDIA_MAX_ITEMS >= n ? s->token : 0;
        sound_play(p, leg, &l);
    }
}
