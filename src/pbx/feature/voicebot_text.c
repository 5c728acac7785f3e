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

unsigned voicebot_language(const struct config *c, const struct config_bot *o)
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
    unsigned language = voicebot_language(c, o);
    if (own.n || text >= BOT_TEXT_PROMPT || language == c->sounds.language)
        return own;
    const struct prompt_text *t = &prompt_texts[prompts[text]];
    return str_z(language == 1 ? t->ko : t->en);
}

/* What a speech server says needs no sound, but what is said when it is not there. */
static bool is_sound(const struct config_bot *o, unsigned text)
{
    return o->engine != CONF_ENGINE_MRCP || text == BOT_TEXT_SORRY || text == BOT_TEXT_NOBODY;
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
        struct str words = STR_NONE;
        if (text < BOT_TEXTS && is_sound(o, text))
            words = spoken_text(c, o, text);
        if (!words.n)
            continue;
        *ret = (struct pbx_spoken){.number = sound_of(c, o, text),
                                   .language = (uint8_t)voicebot_language(c, o),
                                   .text = words};
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

static bool has_words(const struct config_bot *o)
{
    for (uint32_t i = 0; i < o->n_menu; i++)
        if (o->menu[i].words.n)
            return true;
    return false;
}

void voicebot_conf(struct bot_conf *ret, const struct config_bot *o)
{
    static const enum bot_engine engines[] = {[CONF_ENGINE_BUILTIN] = BOT_BUILTIN,
                                              [CONF_ENGINE_MRCP] = BOT_MRCP,
                                              [CONF_ENGINE_STREAM] = BOT_STREAM};
    bool ears = o->engine == CONF_ENGINE_BUILTIN && has_words(o);
    *ret = (struct bot_conf){.engine = engines[o->engine],
                             .ears = ears,
                             .barge_in = o->barge_in == CONF_BARGE_DEFAULT
                                             ? o->engine != CONF_ENGINE_BUILTIN || ears
                                             : o->barge_in == CONF_BARGE_ON,
                             .tries = (uint8_t)o->tries,
                             .no_input_ms = o->no_input_ms,
                             .patience_ms = o->patience_ms,
                             .open_ms = o->open_ms,
                             .min_confidence = (uint16_t)o->min_confidence,
                             .fallback = goal_of(o->fallback)};
    for (uint32_t i = 0; i < o->n_menu && i < BOT_ITEMS; i++)
        ret->item[ret->n_items++] = (struct bot_item){.key = o->menu[i].key.p[0],
                                                      .prompts = o->menu[i].prompt.n != 0,
                                                      .says = o->menu[i].say.n != 0,
                                                      .goal = goal_of(o->menu[i].does)};
}

uint32_t voicebot_token(struct voicebot_session *s)
{
    s->token = s->token == UINT32_MAX ? 1 : s->token + 1;
    return s->token;
}

/* Its own words, or a sentence of the exchange in its language. */
static struct str words_of(const struct config *c, const struct config_bot *o, unsigned text)
{
    struct str own = own_text(o, text);
    if (own.n || text >= BOT_TEXT_PROMPT)
        return own;
    enum prompt prompt = text == BOT_TEXT_NO_WORDS ? PROMPT_BOT_NOT_UNDERSTOOD : prompts[text];
    const struct prompt_text *t = &prompt_texts[prompt];
    return str_z(voicebot_language(c, o) == 1 ? t->ko : t->en);
}

struct str voicebot_words(struct pbx *p, const struct voicebot_session *s, const uint8_t *text,
                          unsigned n)
{
    struct buf b;
    size_t cap = 0;
    for (unsigned i = 0; i < n; i++)
        cap += words_of(s->config, s->bot, text[i]).n + 1;
    char *mem = arena_take(&p->turn, cap);
    if (!mem)
        return STR("");
    buf_init(&b, mem, cap);
    for (unsigned i = 0; i < n; i++) {
        if (b.n)
            buf_ch(&b, ' ');
        buf_str_put(&b, words_of(s->config, s->bot, text[i]));
    }
    return buf_str(&b);
}

/* The place of an item of `before` in `now`, which may have them in another order: the key says
 * which it is. false: it has gone. */
static bool item_now(const struct config_bot *before, const struct config_bot *now, unsigned *item)
{
    struct str key = before->menu[*item].key;
    for (unsigned i = 0; i < now->n_menu && i < BOT_ITEMS; i++) {
        if (str_eq(now->menu[i].key, key)) {
            *item = i;
            return true;
        }
    }
    return false;
}

/* The sounds are those of the present configuration: those of the one that the conversation began
 * with may be another bot's by now. 0: there is none for this text any more. */
static uint32_t sound_now(const struct pbx *p, const struct voicebot_session *s, unsigned text)
{
    const struct config_bot *now = config_find_bot(p->config, s->bot->name);
    if (!now && text >= BOT_TEXT_PROMPT)
        return 0;
    if (!now)
        return sound_of_prompt(prompts[text], p->config->sounds.language);
    if (text < BOT_TEXT_PROMPT)
        return sound_of(p->config, now, text);
    unsigned first = text < BOT_TEXT_SAY ? BOT_TEXT_PROMPT : BOT_TEXT_SAY, item = text - first;
    return item_now(s->bot, now, &item) ? sound_of(p->config, now, first + item) : 0;
}

/* Of one order the media plane takes so many; the last one says when all is said. */
void voicebot_say(struct pbx *p, struct voicebot_session *s, const uint8_t *text, unsigned n)
{
    struct leg *leg = leg_find(p, s->leg);
    uint32_t token = voicebot_token(s);
    for (unsigned i = 0; i < n; i += MEDIA_MAX_ITEMS) {
        struct sound_list l = {.append = i > 0};
        for (unsigned k = i; k < n && k < i + MEDIA_MAX_ITEMS; k++)
            sound_clip(&l, sound_now(p, s, text[k]));
        l.token = i + MEDIA_MAX_ITEMS >= n ? token : 0;
        sound_play(p, leg, &l);
    }
}
