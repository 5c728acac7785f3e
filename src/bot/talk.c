/* The interpreter of the conversation's table. */
#include <errno.h>
#include <string.h>

#include "bot/engine.h"

#define OPEN_GRACE (USEC_S / 2)   /* an engine says itself that it could not be opened */
#define LAST_WORDS (60 * USEC_S)  /* if nobody says that they were said */
#define LONGEST    (600 * USEC_S) /* a menu that an engine says, likewise */
#define IN_VAIN    (3 * USEC_S)   /* a server says itself that it has heard nothing */
#define UTTERANCE  (10 * USEC_S)  /* on top of an engine's patience, for who speaks meanwhile */
#define SPEECH     (60 * USEC_S)  /* what lasts longer is a noise */

static const struct bot_engine_ops *engine_of(const struct bot_talk *t)
{
    static const struct bot_engine_ops *const engines[BOT_ENGINES] = {
        [BOT_BUILTIN] = &bot_engine_builtin,
        [BOT_MRCP] = &bot_engine_mrcp,
        [BOT_STREAM] = &bot_engine_stream,
    };
    return engines[t->conf->engine];
}

int bot_goal_parse(struct bot_goal *ret, struct str text)
{
    static const struct {
        struct str word;
        uint8_t does;
        bool named;
    } rows[] = {
        {STR_INIT("repeat"), BOT_DO_LISTEN, false},
        {STR_INIT("message"), BOT_DO_MESSAGE, false},
        {STR_INIT("hangup"), BOT_DO_HANGUP, false},
        {STR_INIT("transfer:"), BOT_DO_TRANSFER, true},
        {STR_INIT("voicemail:"), BOT_DO_MAILBOX, true},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool fits = rows[i].named ? str_starts(text, rows[i].word) && text.n > rows[i].word.n
                                  : str_eq(text, rows[i].word);
        if (!fits)
            continue;
        *ret = (struct bot_goal){.does = rows[i].does};
        if (rows[i].named)
            ret->to = str_from(text, rows[i].word.n);
        return 0;
    }
    return -EINVAL;
}

/* ---- outputs --------------------------------------------------------------------------------- */

struct bot_out *bot_emit(struct bot_talk *t, enum bot_out_kind kind)
{
    if (t->at_out == t->n_out)
        t->at_out = t->n_out = 0;
    BUG_ON(t->n_out == BOT_OUTS); /* no input has so many */
    struct bot_out *o = &t->out[t->n_out++];
    *o = (struct bot_out){.kind = kind};
    return o;
}

bool bot_out(struct bot_talk *t, struct bot_out *ret)
{
    if (t->at_out == t->n_out)
        return false;
    *ret = t->out[t->at_out++];
    return true;
}

void bot_note(struct bot_talk *t, const char *who, const char *what, char digit)
{
    struct bot_out *o = bot_emit(t, BOT_OUT_NOTE);
    o->who = who;
    o->what = what;
    o->digit = digit;
}

void bot_move_say(struct bot_move *m, unsigned text)
{
    if (m->n_texts < BOT_SAY_MAX)
        m->text[m->n_texts++] = (uint8_t)text;
}

struct bot_goal bot_fallback(struct bot_talk *t)
{
    struct bot_goal end = {.does = BOT_DO_HANGUP};
    struct bot_goal goal = t->fell_back ? end : t->conf->fallback;
    t->fell_back = true;
    return goal;
}

/* ---- figures --------------------------------------------------------------------------------- */

static uint32_t ms_since(usec_t now, usec_t then)
{
    uint64_t ms = now > then ? (now - then + USEC_MS / 2) / USEC_MS : 0;
    return ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
}

static void sounded(struct bot_talk *t, usec_t now)
{
    struct bot_figures *f = &t->figures;
    if (!t->heard)
        f->first_sound_ms = ms_since(now, t->up_at);
    t->heard = true;
    if (!t->turn_at)
        return;
    uint32_t ms = ms_since(now, t->turn_at);
    f->turns++;
    f->turn_ms_sum += ms;
    f->turn_ms_max = ms > f->turn_ms_max ? ms : f->turn_ms_max;
    t->turn_at = 0;
}

/* Whether it was the bot that was interrupted, the media plane knows: what it stops may have been
 * on its way to the caller when the engine had long ended. */
static void interrupted(struct bot_talk *t, const struct bot_input *in)
{
    struct bot_figures *f = &t->figures;
    t->turn_at = 0;
    if (!in->stopped)
        return;
    if (f->barge_ins < BOT_BARGE_MAX)
        f->barge_ms[f->barge_ins] = in->stop_ms;
    f->barge_ins++;
}

/* ---- a menu that the engine says and hears ---- */

static bool speaks(const struct bot_talk *t)
{
    const struct bot_engine_ops *e = engine_of(t);
    return e->menu && e->linked && t->open && !t->closed;
}

static bool listens(const struct bot_talk *t)
{
    return speaks(t) || (t->ears && !t->closed);
}

/* Anew, in place of what was to be heard. */
static void hear(struct bot_talk *t)
{
    if (!listens(t))
        return;
    t->hears = true;
    t->owed_at = 0;
    bot_emit(t, BOT_OUT_LINK)->link =
        (struct botlink_cmd){.kind = BOTLINK_HEAR, .no_input_ms = t->conf->no_input_ms};
}

static void deaf(struct bot_talk *t)
{
    if (t->hears && listens(t))
        bot_emit(t, BOT_OUT_LINK)->link.kind = BOTLINK_DEAF;
    t->hears = false;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static usec_t in_ms(usec_t now, uint32_t ms)
{
    return ms ? now + ms * USEC_MS : USEC_NEVER;
}

/* A caller who asks whether anybody is there does not begin the engine's time anew for ever. */
static usec_t owed_by(struct bot_talk *t, usec_t now)
{
    usec_t own = in_ms(now, t->conf->patience_ms), most;
    t->owed_at = t->owed_at ? t->owed_at : now;
    most = t->conf->patience_ms ? in_ms(t->owed_at, t->conf->patience_ms) + UTTERANCE : USEC_NEVER;
    return own < most ? own : most > now ? most : now;
}

static void enter(struct bot_talk *t, usec_t now, enum bot_state state)
{
    const struct bot_engine_ops *e = engine_of(t);
    t->state = (uint8_t)state;
    t->deadline = USEC_NEVER;
    if (state == BOT_OPENING)
        t->deadline = now + t->conf->open_ms * USEC_MS + OPEN_GRACE;
    else if (state == BOT_LISTENING && e->menu)
        t->deadline = in_ms(e->linked ? now + IN_VAIN : now, t->conf->no_input_ms);
    else if (state == BOT_THINKING && t->hears)
        t->deadline = owed_by(t, now);
    else if (state == BOT_HEARING && t->hears && t->conf->patience_ms)
        t->deadline = now + SPEECH;
    else if ((state == BOT_THINKING || (state == BOT_SAYING && e->menu)) && e->linked)
        t->deadline = in_ms(now, t->conf->patience_ms); /* until it sounds */
    else if (state == BOT_LEAVING && speaks(t) && t->conf->patience_ms)
        t->deadline = in_ms(now, t->conf->patience_ms);
    else if (state == BOT_LEAVING)
        t->deadline = now + LAST_WORDS;
}

static void close_engine(struct bot_talk *t)
{
    if (!t->open || t->closed)
        return;
    t->closed = true;
    bot_emit(t, BOT_OUT_LINK)->link.kind = BOTLINK_CLOSE;
}

static void go(struct bot_talk *t, usec_t now)
{
    if (t->goal.does == BOT_DO_HANGUP) {
        enter(t, now, BOT_OVER);
        bot_note(t, "bot", "hangs up", 0);
        bot_emit(t, BOT_OUT_HANGUP);
        return;
    }
    bot_emit(t, BOT_OUT_GO)->goal = t->goal;
}

static void say(struct bot_talk *t, usec_t now, const struct bot_move *m)
{
    struct bot_out *o = bot_emit(t, BOT_OUT_SAY);
    o->n_texts = m->n_texts;
    memcpy(o->text, m->text, sizeof(o->text));
    o->by_engine = speaks(t);
    t->sounds = false;
    if (!o->by_engine)
        sounded(t, now);
}

/* A sentence, then where to; without a sentence at once. */
static void move(struct bot_talk *t, usec_t now, const struct bot_move *m)
{
    bool stays = m->goal.does == BOT_DO_LISTEN;
    t->goal = m->goal;
    if (m->n_texts && stays) {
        enter(t, now, BOT_SAYING);
        if (!t->conf->barge_in) /* what is said meanwhile is no answer */
            deaf(t);
        say(t, now, m);
        if (t->conf->barge_in)
            hear(t);
    } else if (m->n_texts) {
        enter(t, now, BOT_LEAVING);
        deaf(t);
        say(t, now, m);
    } else if (stays) {
        enter(t, now, BOT_LISTENING);
        hear(t);
    } else {
        enter(t, now, BOT_HANDED);
        close_engine(t);
        go(t, now);
    }
}

static void fall_back(struct bot_talk *t, usec_t now, unsigned text)
{
    struct bot_move m = {.moves = true, .goal = bot_fallback(t)};
    bot_move_say(&m, text);
    if (m.goal.does == BOT_DO_LISTEN) /* nobody is there to listen */
        m.goal.does = BOT_DO_HANGUP;
    move(t, now, &m);
}

static void begin_with_caller(struct bot_talk *t, usec_t now)
{
    t->up_at = now;
    bot_emit(t, BOT_OUT_LISTEN);
    if (engine_of(t)->linked)
        bot_emit(t, BOT_OUT_LINK)->link.kind = BOTLINK_START;
}

static void ask_engine(struct bot_talk *t, usec_t now, const struct bot_input *in)
{
    struct bot_move m = {.moves = false};
    engine_of(t)->asked(t, in, &m);
    if (m.moves)
        move(t, now, &m);
}

static void hand_over(struct bot_talk *t, const struct bot_input *in)
{
    t->goal = (struct bot_goal){.does = BOT_DO_TRANSFER, .to = in->text};
}

static void run(struct bot_talk *t, usec_t now, const struct bot_cell *cell,
                const struct bot_input *in)
{
    if (cell->ops & BOT_OP_BARGE)
        interrupted(t, in);
    if (cell->ops & BOT_OP_TURN)
        t->turn_at = in->at ? in->at : now;
    if (cell->ops & BOT_OP_START)
        begin_with_caller(t, now);
    if (cell->ops & BOT_OP_ENGINE)
        ask_engine(t, now, in);
    if ((cell->ops & BOT_OP_HEAR) && !t->hears)
        hear(t);
    if (cell->ops & BOT_OP_CLOSE)
        close_engine(t);
    if (cell->ops & BOT_OP_ANSWER)
        bot_emit(t, BOT_OUT_ANSWER);
    if (cell->ops & BOT_OP_DECLINE)
        bot_emit(t, BOT_OUT_DECLINE);
    if (cell->ops & BOT_OP_GOAL)
        hand_over(t, in);
    if (cell->ops & BOT_OP_SORRY)
        fall_back(t, now, BOT_TEXT_SORRY);
    if (cell->ops & BOT_OP_NOBODY)
        fall_back(t, now, BOT_TEXT_NOBODY);
    if (cell->ops & BOT_OP_GO)
        go(t, now);
    if (cell->ops & BOT_OP_HANGUP)
        bot_emit(t, BOT_OUT_HANGUP);
}

/* Speech that does not interrupt a menu is none of its business until it is over. What an engine
 * says that is being closed, or hears that nobody asked for, is too late. */
static bool is_ignored(const struct bot_talk *t, const struct bot_input *in)
{
    static const bool of_engine[BOT_EVENTS] = {
        [BOT_EV_OPENED] = true, [BOT_EV_FAILED] = true,   [BOT_EV_SOUND] = true,
        [BOT_EV_HEARD] = true,  [BOT_EV_TRANSFER] = true, [BOT_EV_HANGUP] = true,
        [BOT_EV_LOST] = true,   [BOT_EV_SILENT] = true};
    bool voice = in->event == BOT_EV_VOICE || in->event == BOT_EV_PAUSE;
    bool says = t->state == BOT_SAYING || t->state == BOT_LEAVING;
    if (in->event == BOT_EV_SOUND && engine_of(t)->menu && !says)
        return true; /* of what was stopped before it began */
    if (in->event == BOT_EV_SILENT && !t->sounds)
        return true; /* of what was said before */
    return (voice && t->state == BOT_SAYING && !t->conf->barge_in && engine_of(t)->menu) ||
           (t->closed && of_engine[in->event]) || (in->event == BOT_EV_HEARD && !t->hears);
}

/* In the middle of what it has to say, the engine is heard. */
static void sounds_on(struct bot_talk *t, usec_t now)
{
    sounded(t, now);
    if (!speaks(t) || t->sounds) /* what goes on after a pause has no more time for that */
        return;
    t->sounds = true;
    t->deadline = now + (t->state == BOT_SAYING ? LONGEST : LAST_WORDS);
}

static void count(struct bot_talk *t, const struct bot_input *in, bool late)
{
    t->figures.keys += in->event == BOT_EV_KEY;
    t->figures.errors += in->event == BOT_EV_FAILED || in->event == BOT_EV_LOST ||
                         in->event == BOT_EV_SILENT || late;
}

/* What the time has shown, or NULL. */
static const char *fault(const struct bot_talk *t, enum bot_event e)
{
    if (e == BOT_EV_SILENT)
        return "it fell silent in the middle";
    if (e != BOT_EV_TIMEOUT)
        return NULL;
    switch ((enum bot_state)t->state) {
    case BOT_OPENING:
        return "it was not there in time";
    case BOT_THINKING:
        return t->hears ? "it did not say in time what it had understood"
                        : "nothing was heard of it in time";
    case BOT_SAYING:
        return t->sounds ? "it spoke without end" : "nothing was heard of it in time";
    default:
        return NULL;
    }
}

/* A bot without its ear goes on by keys: what was to be understood is not. */
static void ear_step(struct bot_talk *t, usec_t now, const struct bot_input *in)
{
    const struct bot_input none = {.event = BOT_EV_HEARD,
                                   .heard = {.outcome = BOTLINK_NO_MATCH, .means = 0xFF}};
    if (in->event == BOT_EV_OPENED)
        return;
    t->ears = false;
    if (t->hears && t->state == BOT_THINKING)
        bot_step(t, now, &none);
    t->hears = false;
}

void bot_step(struct bot_talk *t, usec_t now, const struct bot_input *in)
{
    if (t->ears && t->state != BOT_OPENING &&
        (in->event == BOT_EV_OPENED || in->event == BOT_EV_FAILED || in->event == BOT_EV_LOST)) {
        ear_step(t, now, in);
        return;
    }
    const struct bot_cell *cell = bot_cell((enum bot_state)t->state, in->event);
    const char *wrong = fault(t, in->event);
    bool says = t->state == BOT_SAYING || t->state == BOT_LEAVING;
    if (is_ignored(t, in))
        return;
    if (in->event == BOT_EV_SOUND && says)
        sounds_on(t, now);
    if (!cell->next && !cell->ops)
        return;
    count(t, in, in->event == BOT_EV_TIMEOUT && wrong);
    if (wrong)
        bot_emit(t, BOT_OUT_FAILS)->what = wrong;
    if (in->event == BOT_EV_SOUND)
        sounded(t, now);
    if (in->event == BOT_EV_HEARD) {
        t->hears = false;
        if (in->heard.outcome == BOTLINK_NO_INPUT)
            t->turn_at = 0; /* what we have heard was no speech */
        else if (!t->turn_at)
            t->turn_at = now; /* the server has seen its end before us */
    }
    if (cell->next)
        enter(t, now, (enum bot_state)cell->next);
    run(t, now, cell, in);
}

void bot_begin(struct bot_talk *t, const struct bot_conf *conf, usec_t now)
{
    *t = (struct bot_talk){.conf = conf};
    enter(t, now, BOT_OPENING);
    struct bot_input in = {.event = BOT_EV_OPENED};
    if (engine_of(t)->linked) {
        t->open = true;
        bot_emit(t, BOT_OUT_LINK)->link =
            (struct botlink_cmd){.kind = BOTLINK_OPEN, .open_ms = conf->open_ms};
        return;
    }
    t->open = t->ears = conf->ears;
    if (t->ears) /* nobody waits for it */
        bot_emit(t, BOT_OUT_LINK)->link =
            (struct botlink_cmd){.kind = BOTLINK_OPEN, .open_ms = conf->open_ms};
    bot_step(t, now, &in);
}

usec_t bot_deadline(const struct bot_talk *t)
{
    return t->deadline;
}

void bot_tick(struct bot_talk *t, usec_t now)
{
    struct bot_input in = {.event = BOT_EV_TIMEOUT};
    if (now >= t->deadline)
        bot_step(t, now, &in);
}
