/* The conversation: every cell of its table, and whole conversations in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "bot/bot.h"

#define AT(s) ((usec_t)((s)*1e6) + 1000 * USEC_S)

/* What came out, a letter each: A answer, D decline, V listen, S say, O open, T start, K digit, C
 * close, G go, H hang up; of a speech server s say, h hear, d deaf. Notes are left out. */
struct heard {
    char ops[32];
    unsigned n;
    struct bot_out say, go, note;
    const char *fault;
};

static struct heard drain(struct bot_talk *t)
{
    struct heard h = {.n = 0};
    struct bot_out o;
    static const char links[] = {
        [BOTLINK_OPEN] = 'O',    [BOTLINK_START] = 'T', [BOTLINK_DIGIT] = 'K',
        [BOTLINK_STOPPED] = 'B', [BOTLINK_CLOSE] = 'C', [BOTLINK_HEAR] = 'h',
        [BOTLINK_DEAF] = 'd'};
    static const char kinds[] = {
        [BOT_OUT_ANSWER] = 'A', [BOT_OUT_DECLINE] = 'D', [BOT_OUT_LISTEN] = 'V',
        [BOT_OUT_SAY] = 'S',    [BOT_OUT_LINK] = ' ',    [BOT_OUT_GO] = 'G',
        [BOT_OUT_HANGUP] = 'H', [BOT_OUT_NOTE] = 0,      [BOT_OUT_FAILS] = '!'};
    while (bot_out(t, &o)) {
        char c = o.kind == BOT_OUT_LINK ? links[o.link.kind] : kinds[o.kind];
        if (o.kind == BOT_OUT_SAY)
            h.say = o;
        if (o.kind == BOT_OUT_SAY && o.by_engine)
            c = 's';
        if (o.kind == BOT_OUT_NOTE)
            h.note = o;
        if (o.kind == BOT_OUT_FAILS)
            h.fault = o.what;
        if (o.kind == BOT_OUT_GO)
            h.go = o;
        assert_true(h.n < sizeof(h.ops) - 1);
        if (c)
            h.ops[h.n++] = c;
    }
    return h;
}

static struct heard step(struct bot_talk *t, usec_t now, enum bot_event e)
{
    struct bot_input in = {.event = e, .digit = '1', .text = STR("1428")};
    bot_step(t, now, &in);
    return drain(t);
}

static struct heard key(struct bot_talk *t, usec_t now, char digit)
{
    struct bot_input in = {.event = BOT_EV_KEY, .digit = digit};
    bot_step(t, now, &in);
    return drain(t);
}

static struct heard tick(struct bot_talk *t, usec_t now)
{
    bot_tick(t, now);
    return drain(t);
}

static const struct bot_conf stream = {.engine = BOT_STREAM,
                                       .barge_in = true,
                                       .tries = 3,
                                       .patience_ms = 20000,
                                       .open_ms = 2000,
                                       .fallback = {BOT_DO_TRANSFER, STR_INIT("1428")}};
static const struct bot_conf menu = {
    .engine = BOT_BUILTIN,
    .tries = 2,
    .no_input_ms = 5000,
    .open_ms = 2000,
    .fallback = {BOT_DO_MESSAGE, STR_INIT("")},
    .n_items = 3,
    .item = {{.key = '1', .prompts = true, .goal = {BOT_DO_TRANSFER, STR_INIT("1428")}},
             {.key = '2', .prompts = true, .says = true},
             {.key = '#', .goal = {BOT_DO_HANGUP, STR_INIT("")}}}};

static const struct bot_conf speech = {
    .engine = BOT_MRCP,
    .barge_in = true,
    .tries = 2,
    .min_confidence = 400,
    .no_input_ms = 5000,
    .patience_ms = 20000,
    .open_ms = 2000,
    .fallback = {BOT_DO_MESSAGE, STR_INIT("")},
    .n_items = 3,
    .item = {{.key = '1', .prompts = true, .goal = {BOT_DO_TRANSFER, STR_INIT("1428")}},
             {.key = '2', .prompts = true, .says = true},
             {.key = '#', .goal = {BOT_DO_HANGUP, STR_INIT("")}}}};

/* ---- the table ------------------------------------------------------------------------------- */

/* Brings a conversation with a linked engine into a state. */
static void bring(struct bot_talk *t, enum bot_state s)
{
    static const enum bot_event ways[BOT_STATES][5] = {
        [BOT_READY] = {BOT_EV_OPENED, BOT_EVENTS},
        [BOT_BROKEN] = {BOT_EV_OPENED, BOT_EV_LOST, BOT_EVENTS},
        [BOT_THINKING] = {BOT_EV_OPENED, BOT_EV_UP, BOT_EVENTS},
        [BOT_SAYING] = {BOT_EV_OPENED, BOT_EV_UP, BOT_EV_SOUND, BOT_EVENTS},
        [BOT_LISTENING] = {BOT_EV_OPENED, BOT_EV_UP, BOT_EV_SOUND, BOT_EV_SAID, BOT_EVENTS},
        [BOT_HEARING] = {BOT_EV_OPENED, BOT_EV_UP, BOT_EV_VOICE, BOT_EVENTS},
        [BOT_LEAVING] = {BOT_EV_OPENED, BOT_EV_UP, BOT_EV_KEY, BOT_EVENTS},
        [BOT_HANDED] = {BOT_EV_OPENED, BOT_EV_UP, BOT_EV_TRANSFER, BOT_EVENTS},
        [BOT_OVER] = {BOT_EV_GONE, BOT_EVENTS},
        [BOT_OPENING] = {BOT_EVENTS}};
    /* Only a menu has a last sentence while its engine is there. */
    bot_begin(t, s == BOT_LEAVING ? &speech : &stream, AT(0));
    drain(t);
    for (unsigned i = 0; ways[s][i] != BOT_EVENTS; i++)
        step(t, AT(0), ways[s][i]);
    assert_int_equal(t->state, s);
}

/* Each cell does what it says, leads where it says, and closes the engine at most once. */
static void test_every_cell(void **state)
{
    (void)state;
    for (unsigned s = BOT_OPENING; s < BOT_STATES; s++)
        for (unsigned e = 0; e < BOT_EVENTS; e++) {
            struct bot_talk t;
            bring(&t, (enum bot_state)s);
            const struct bot_cell *c = bot_cell((enum bot_state)s, (enum bot_event)e);
            bool closed = t.closed;
            t.hears = e == BOT_EV_HEARD;   /* else nobody has asked */
            t.sounds = e == BOT_EV_SILENT; /* else nothing was heard of it */
            struct heard h = step(&t, AT(1), (enum bot_event)e);
            unsigned closes = 0;
            for (unsigned i = 0; i < h.n; i++)
                closes += h.ops[i] == 'C';
            assert_int_equal(t.state, c->next ? c->next : s);
            assert_int_equal(closes, (c->ops & BOT_OP_CLOSE) && !closed);
            assert_int_equal(strchr(h.ops, 'A') != NULL, (c->ops & BOT_OP_ANSWER) != 0);
            assert_int_equal(strchr(h.ops, 'D') != NULL, (c->ops & BOT_OP_DECLINE) != 0);
            assert_int_equal(strchr(h.ops, 'H') != NULL, (c->ops & BOT_OP_HANGUP) != 0);
            assert_int_equal(strchr(h.ops, 'G') != NULL, (c->ops & BOT_OP_GO) != 0);
            bool says = c->ops & (BOT_OP_SORRY | BOT_OP_NOBODY);
            assert_int_equal(strchr(h.ops, 'S') != NULL, says);
            assert_true(bot_state_name((enum bot_state)s).n && bot_event_name((enum bot_event)e).n);
        }
}

/* Whatever comes in whatever order, it can be ended, and the engine is closed once. */
static void test_any_order(void **state)
{
    (void)state;
    uint32_t x = 1;
    for (unsigned round = 0; round < 2000; round++) {
        struct bot_talk t;
        unsigned opens = 0, closes = 0;
        usec_t now = AT(0);
        struct bot_conf ears = menu;
        ears.ears = ears.barge_in = true;
        const struct bot_conf *const confs[] = {&stream, &menu, &speech, &ears};
        bot_begin(&t, confs[round % 4], now);
        for (unsigned i = 0; i < 30; i++) {
            struct heard h = drain(&t);
            for (unsigned k = 0; k < h.n; k++) {
                opens += h.ops[k] == 'O';
                closes += h.ops[k] == 'C';
            }
            x = x * 1664525 + 1013904223;
            now += (x >> 8) % 3000 * USEC_MS;
            struct bot_input in = {.event = i == 29 ? BOT_EV_GONE
                                                    : (enum bot_event)((x >> 20) % BOT_EVENTS),
                                   .digit = "123#"[x >> 30],
                                   .stopped = x & 1,
                                   .heard = {.outcome = (enum botlink_outcome)((x >> 4) % 3),
                                             .means = (uint8_t)((x >> 6) % 4)},
                                   .text = STR("1428")};
            bot_step(&t, now, &in);
        }
        struct heard h = drain(&t);
        for (unsigned k = 0; k < h.n; k++)
            closes += h.ops[k] == 'C';
        assert_int_equal(t.state, BOT_OVER);
        assert_int_equal(opens, closes);
        assert_true(bot_deadline(&t) == USEC_NEVER);
    }
}

/* ---- an engine behind a link ----------------------------------------------------------------- */

static void test_stream_measures(void **state)
{
    (void)state;
    struct bot_talk t;
    bot_begin(&t, &stream, AT(0));
    assert_string_equal(drain(&t).ops, "O");
    assert_string_equal(step(&t, AT(0.1), BOT_EV_OPENED).ops, "A");
    assert_string_equal(step(&t, AT(0.2), BOT_EV_UP).ops, "VT");
    step(&t, AT(0.65), BOT_EV_SOUND);
    struct bot_input in = {.event = BOT_EV_VOICE, .stopped = true, .stop_ms = 84};
    bot_step(&t, AT(2), &in);
    in = (struct bot_input){.event = BOT_EV_PAUSE, .at = AT(3)};
    bot_step(&t, AT(3.4), &in);
    assert_string_equal(drain(&t).ops, "");
    step(&t, AT(4.2), BOT_EV_SOUND);
    step(&t, AT(4.9), BOT_EV_SOUND); /* it pauses: no turn of its own */
    assert_string_equal(key(&t, AT(6), '4').ops, "K");
    step(&t, AT(6.3), BOT_EV_SOUND);
    assert_string_equal(step(&t, AT(9), BOT_EV_HANGUP).ops, "CH");
    const struct bot_figures *f = &t.figures;
    assert_int_equal(f->first_sound_ms, 450);
    assert_int_equal(f->barge_ins, 1);
    assert_int_equal(f->barge_ms[0], 84);
    assert_int_equal(f->turns, 2);
    assert_int_equal(f->turn_ms_sum, 1200 + 300);
    assert_int_equal(f->turn_ms_max, 1200);
    assert_int_equal(f->keys, 1);
    assert_int_equal(f->errors, 0);
}

static void test_stream_does_not_open(void **state)
{
    (void)state;
    struct bot_talk t;
    bot_begin(&t, &stream, AT(0));
    drain(&t);
    assert_true(bot_deadline(&t) == AT(2.5));
    assert_string_equal(tick(&t, AT(2.4)).ops, "");
    assert_string_equal(tick(&t, AT(2.5)).ops, "!CD");
    assert_string_equal(step(&t, AT(2.6), BOT_EV_OPENED).ops, "");
    assert_int_equal(t.figures.errors, 1);
}

/* The caller hears a sentence, then somebody; when there is nobody, another one, and the end. */
static void test_stream_falls_back(void **state)
{
    (void)state;
    struct bot_talk t;
    bring(&t, BOT_SAYING);
    struct heard h = step(&t, AT(1), BOT_EV_LOST);
    assert_string_equal(h.ops, "CS");
    assert_int_equal(h.say.text[0], BOT_TEXT_SORRY);
    h = step(&t, AT(2), BOT_EV_SAID);
    assert_string_equal(h.ops, "G");
    assert_int_equal(h.go.goal.does, BOT_DO_TRANSFER);
    h = step(&t, AT(3), BOT_EV_BACK);
    assert_string_equal(h.ops, "S");
    assert_int_equal(h.say.text[0], BOT_TEXT_NOBODY);
    assert_string_equal(step(&t, AT(4), BOT_EV_SAID).ops, "H");
    assert_int_equal(t.state, BOT_OVER);
}

static void test_stream_without_patience(void **state)
{
    (void)state;
    struct bot_conf c = stream;
    struct bot_talk t;
    c.patience_ms = 0;
    bot_begin(&t, &c, AT(0));
    drain(&t);
    step(&t, AT(0), BOT_EV_OPENED);
    step(&t, AT(0), BOT_EV_UP);
    assert_true(bot_deadline(&t) == USEC_NEVER);
}

/* ---- the menu -------------------------------------------------------------------------------- */

static void begin_menu(struct bot_talk *t)
{
    bot_begin(t, &menu, AT(0));
    assert_string_equal(drain(t).ops, "A");
    struct heard h = step(t, AT(0), BOT_EV_UP);
    assert_string_equal(h.ops, "VS");
    assert_int_equal(h.say.n_texts, 3);
    assert_int_equal(h.say.text[0], BOT_TEXT_GREETING);
    assert_int_equal(h.say.text[2], BOT_TEXT_PROMPT + 1);
}

static void test_menu_keys(void **state)
{
    (void)state;
    struct bot_talk t;
    begin_menu(&t);
    struct heard h = key(&t, AT(1), '2');
    assert_int_equal(h.say.text[0], BOT_TEXT_SAY + 1);
    assert_int_equal(h.say.n_texts, 3);
    assert_int_equal(t.state, BOT_SAYING);
    h = key(&t, AT(2), '1');
    assert_int_equal(h.say.text[0], BOT_TEXT_MOMENT);
    assert_string_equal(key(&t, AT(2.1), '2').ops, ""); /* it has chosen */
    h = step(&t, AT(3), BOT_EV_SAID);
    assert_string_equal(h.ops, "G");
    assert_true(str_eq(h.go.goal.to, STR("1428")));
    step(&t, AT(4), BOT_EV_GONE);
    begin_menu(&t);
    assert_int_equal(key(&t, AT(1), '#').say.text[0], BOT_TEXT_BYE);
    assert_string_equal(step(&t, AT(2), BOT_EV_SAID).ops, "H");
}

/* Misses in a row count; a key that means something begins anew. */
static void test_menu_misses(void **state)
{
    (void)state;
    struct bot_talk t;
    begin_menu(&t);
    assert_int_equal(key(&t, AT(1), '7').say.text[0], BOT_TEXT_NO_MATCH);
    key(&t, AT(2), '2');
    step(&t, AT(3), BOT_EV_SAID);
    assert_true(bot_deadline(&t) == AT(8));
    struct heard h = tick(&t, AT(8));
    assert_int_equal(h.say.text[0], BOT_TEXT_NO_INPUT);
    assert_int_equal(h.say.n_texts, 3);
    step(&t, AT(9), BOT_EV_SAID);
    h = tick(&t, AT(14));
    assert_int_equal(h.say.n_texts, 1);
    h = step(&t, AT(15), BOT_EV_SAID);
    assert_int_equal(h.go.goal.does, BOT_DO_MESSAGE);
    assert_int_equal(t.figures.no_inputs, 2);
    assert_int_equal(t.figures.no_matches, 1);
}

/* Who speaks is not asked for keys meanwhile. A voice interrupts the menu only if it may. */
static void test_menu_voice(void **state)
{
    (void)state;
    struct bot_talk t;
    begin_menu(&t);
    step(&t, AT(1), BOT_EV_VOICE);
    assert_int_equal(t.state, BOT_SAYING);
    step(&t, AT(2), BOT_EV_PAUSE);
    step(&t, AT(3), BOT_EV_SAID);
    step(&t, AT(4), BOT_EV_VOICE);
    assert_true(bot_deadline(&t) == USEC_NEVER);
    assert_int_equal(step(&t, AT(30), BOT_EV_PAUSE).say.text[0], BOT_TEXT_NO_WORDS);
    struct bot_conf c = menu;
    c.barge_in = true;
    t.conf = &c;
    step(&t, AT(31), BOT_EV_VOICE);
    assert_int_equal(t.state, BOT_HEARING);
    step(&t, AT(31), BOT_EV_SAID); /* what was stopped */
    assert_int_equal(t.state, BOT_HEARING);
}

/* ---- a menu that a server says and hears ------------------------------------------------------
 */

static struct heard hears(struct bot_talk *t, usec_t now, const struct botlink_heard *h)
{
    struct bot_input in = {.event = BOT_EV_HEARD, .heard = *h};
    bot_step(t, now, &in);
    return drain(t);
}

static struct heard begin_speech(struct bot_talk *t, const struct bot_conf *c)
{
    bot_begin(t, c, AT(0));
    assert_string_equal(drain(t).ops, "O");
    assert_string_equal(step(t, AT(0), BOT_EV_OPENED).ops, "A");
    return step(t, AT(0), BOT_EV_UP);
}

static void test_speech_understands(void **state)
{
    (void)state;
    const struct botlink_heard two = {BOTLINK_UNDERSTOOD, 1, 700, STR_INIT("two, please")};
    const struct botlink_heard one = {BOTLINK_UNDERSTOOD, 0, 0, STR_INIT("one")};
    struct bot_talk t;
    struct heard h = begin_speech(&t, &speech);
    assert_string_equal(h.ops, "VTsh");
    assert_int_equal(h.say.n_texts, 3);
    step(&t, AT(0.3), BOT_EV_SOUND);
    step(&t, AT(2), BOT_EV_SAID);
    assert_int_equal(t.state, BOT_LISTENING);
    step(&t, AT(3), BOT_EV_VOICE);
    struct bot_input pause = {.event = BOT_EV_PAUSE, .at = AT(4)};
    bot_step(&t, AT(4.4), &pause);
    assert_string_equal(drain(&t).ops, "");
    h = hears(&t, AT(4.6), &two);
    assert_string_equal(h.ops, "sh");
    assert_int_equal(h.say.text[0], BOT_TEXT_SAY + 1);
    assert_true(str_eq(h.note.words, two.words) && h.note.confidence == 700);
    assert_int_equal(t.figures.turns, 0); /* it is not to be heard yet */
    step(&t, AT(4.9), BOT_EV_SOUND);
    assert_int_equal(t.figures.turn_ms_sum, 900);
    assert_int_equal(t.figures.first_sound_ms, 300);
    /* In the middle of it: the server was faster than our own ear. */
    h = hears(&t, AT(6), &one);
    assert_string_equal(h.ops, "s");
    assert_int_equal(h.say.text[0], BOT_TEXT_MOMENT);
    step(&t, AT(6.2), BOT_EV_SOUND);
    assert_int_equal(t.figures.turn_ms_sum, 900 + 200);
    h = step(&t, AT(7), BOT_EV_SAID);
    assert_string_equal(h.ops, "CG");
    assert_true(str_eq(h.go.goal.to, STR("1428")));
}

/* A server that stops in the middle has failed; one that has not begun has its patience. */
static void test_speech_stalls(void **state)
{
    (void)state;
    struct bot_talk t;
    begin_speech(&t, &speech);
    assert_string_equal(step(&t, AT(1), BOT_EV_SILENT).ops, ""); /* of what was before */
    step(&t, AT(1), BOT_EV_SOUND);
    step(&t, AT(500), BOT_EV_SOUND);
    assert_int_equal(bot_deadline(&t), AT(601));
    struct heard h = step(&t, AT(506), BOT_EV_SILENT);
    assert_int_equal(t.state, BOT_LEAVING);
    assert_string_equal(h.ops, "!CS");
    assert_string_equal(h.fault, "it fell silent in the middle");
    assert_int_equal(h.say.text[0], BOT_TEXT_SORRY);
    assert_int_equal(t.figures.errors, 1);
    /* After what it has said nothing is missed. */
    begin_speech(&t, &speech);
    step(&t, AT(1), BOT_EV_SOUND);
    step(&t, AT(2), BOT_EV_SAID);
    assert_string_equal(step(&t, AT(6), BOT_EV_SILENT).ops, "");
    assert_int_equal(t.state, BOT_LISTENING);
    /* Nor do its last words keep the caller. */
    begin_speech(&t, &speech);
    key(&t, AT(1), '1');
    assert_int_equal(t.state, BOT_LEAVING);
    step(&t, AT(2), BOT_EV_SOUND);
    assert_string_equal(step(&t, AT(8), BOT_EV_SILENT).ops, "!CG");
}

/* What is uncertain or means nothing counts as a miss, silence likewise; the last miss leads to the
 * place of last resort. */
static void test_speech_misses(void **state)
{
    (void)state;
    const struct botlink_heard unsure = {BOTLINK_UNDERSTOOD, 0, 399, STR_INIT("won")};
    const struct botlink_heard sure = {BOTLINK_UNDERSTOOD, 1, 400, STR_INIT("two")};
    const struct botlink_heard strange = {BOTLINK_UNDERSTOOD, 3, 999, STR_INIT("cheese")};
    const struct botlink_heard none = {.outcome = BOTLINK_NO_INPUT};
    struct bot_talk t;
    begin_speech(&t, &speech);
    assert_int_equal(hears(&t, AT(1), &unsure).say.text[0], BOT_TEXT_NO_WORDS);
    assert_int_equal(hears(&t, AT(2), &sure).say.text[0], BOT_TEXT_SAY + 1);
    assert_int_equal(hears(&t, AT(3), &strange).say.text[0], BOT_TEXT_NO_WORDS);
    step(&t, AT(4), BOT_EV_VOICE);
    step(&t, AT(4), BOT_EV_PAUSE); /* a cough */
    struct heard h = hears(&t, AT(9), &none);
    assert_string_equal(h.ops, "s");
    assert_int_equal(h.say.text[0], BOT_TEXT_NO_INPUT);
    step(&t, AT(9.1), BOT_EV_SOUND);
    assert_int_equal(t.figures.turns, 0); /* silence is not answered */
    assert_string_equal(step(&t, AT(10), BOT_EV_SAID).ops, "CG");
    assert_int_equal(t.figures.no_matches, 2);
    assert_int_equal(t.figures.no_inputs, 1);
}

/* A key makes void what was asked; what the server has heard of it meanwhile is nothing. */
/* A caller who asks again and again whether anybody is there does not keep a dead server's bot
 * alive, nor does a noise. */
static void test_speech_is_not_waited_for_ever(void **state)
{
    (void)state;
    struct bot_talk t;
    begin_speech(&t, &speech);
    step(&t, AT(0.3), BOT_EV_SOUND);
    step(&t, AT(2), BOT_EV_SAID);
    double at = 3;
    for (; t.state != BOT_LEAVING && at < 100; at += 4) {
        step(&t, AT(at), BOT_EV_VOICE);
        step(&t, AT(at + 1), BOT_EV_PAUSE);
        if (bot_deadline(&t) <= AT(at + 4))
            tick(&t, bot_deadline(&t));
    }
    assert_int_equal(t.state, BOT_LEAVING);
    assert_true(at < 4 + 20 + 10 + 8);
    begin_speech(&t, &speech);
    step(&t, AT(0.3), BOT_EV_SOUND);
    step(&t, AT(2), BOT_EV_VOICE);
    assert_true(bot_deadline(&t) == AT(62));
    tick(&t, AT(62));
    assert_int_equal(t.state, BOT_LEAVING);
}

static void test_speech_keys(void **state)
{
    (void)state;
    const struct botlink_heard two = {BOTLINK_UNDERSTOOD, 1, 700, STR_INIT("two")};
    struct bot_conf c = speech;
    struct bot_talk t;
    begin_speech(&t, &speech);
    assert_string_equal(key(&t, AT(1), '2').ops, "sh");
    assert_string_equal(key(&t, AT(2), '1').ops, "ds");
    assert_string_equal(hears(&t, AT(2), &two).ops, "");
    c.barge_in = false;
    assert_string_equal(begin_speech(&t, &c).ops, "VTs");
    assert_string_equal(hears(&t, AT(1), &two).ops, "");
    step(&t, AT(1), BOT_EV_VOICE);
    step(&t, AT(1), BOT_EV_PAUSE);
    assert_int_equal(t.state, BOT_SAYING);
    assert_string_equal(step(&t, AT(2), BOT_EV_SAID).ops, "h");
    assert_string_equal(key(&t, AT(3), '2').ops, "ds");
    assert_string_equal(step(&t, AT(4), BOT_EV_SAID).ops, "h");
}

/* Who has gone cannot say so: that is said by us. In its last sentence the conversation goes where
 * it was to go, and what comes from one that is being closed is too late. */
static void test_speech_is_lost(void **state)
{
    (void)state;
    struct bot_talk t;
    begin_speech(&t, &speech);
    struct heard h = step(&t, AT(1), BOT_EV_LOST);
    assert_string_equal(h.ops, "CS");
    assert_int_equal(h.say.text[0], BOT_TEXT_SORRY);
    assert_string_equal(step(&t, AT(1), BOT_EV_LOST).ops, "");
    assert_string_equal(step(&t, AT(2), BOT_EV_SAID).ops, "G");
    begin_speech(&t, &speech);
    assert_string_equal(key(&t, AT(1), '1').ops, "ds");
    assert_string_equal(step(&t, AT(1), BOT_EV_LOST).ops, "CG");
}

/* The caller was faster than the first sound of what the server is to say, which is not heard. */
static void test_speech_begins_late(void **state)
{
    (void)state;
    struct bot_talk t;
    begin_speech(&t, &speech);
    step(&t, AT(1), BOT_EV_VOICE);
    assert_int_equal(t.state, BOT_HEARING);
    step(&t, AT(1), BOT_EV_SOUND);
    step(&t, AT(1), BOT_EV_SAID);
    assert_int_equal(t.state, BOT_HEARING);
    assert_int_equal(t.figures.first_sound_ms, 0);
}

/* It neither says what it is told, nor that it has heard nothing, nor what. */
static void test_speech_is_silent(void **state)
{
    (void)state;
    struct bot_talk t;
    begin_speech(&t, &speech);
    assert_true(bot_deadline(&t) == AT(20));
    step(&t, AT(1), BOT_EV_SOUND);
    assert_true(bot_deadline(&t) == AT(601));
    step(&t, AT(2), BOT_EV_SAID);
    assert_true(bot_deadline(&t) == AT(10));
    struct heard h = tick(&t, AT(10));
    assert_string_equal(h.ops, "sh");
    assert_int_equal(h.say.text[0], BOT_TEXT_NO_INPUT);
    step(&t, AT(11), BOT_EV_SAID);
    step(&t, AT(12), BOT_EV_VOICE);
    step(&t, AT(13), BOT_EV_PAUSE);
    assert_true(bot_deadline(&t) == AT(33));
    assert_string_equal(tick(&t, AT(33)).fault, "it did not say in time what it had understood");
    begin_speech(&t, &speech);
    key(&t, AT(1), '1');
    assert_true(bot_deadline(&t) == AT(21)); /* of its last sentence likewise */
    step(&t, AT(2), BOT_EV_SOUND);
    assert_true(bot_deadline(&t) == AT(62));
    assert_string_equal(tick(&t, AT(62)).ops, "CG");
    begin_speech(&t, &speech);
    assert_string_equal(tick(&t, AT(20)).fault, "nothing was heard of it in time");
    assert_int_equal(t.figures.errors, 1);
}

/* A caller who speaks into what a bot goes on saying: that it is to be heard again is said once
 * more, and its patience is over. */
static void test_stream_talks_on(void **state)
{
    (void)state;
    struct bot_conf c = stream;
    struct bot_talk t;
    c.barge_in = false;
    bot_begin(&t, &c, AT(0));
    drain(&t);
    step(&t, AT(0), BOT_EV_OPENED);
    step(&t, AT(0), BOT_EV_UP);
    step(&t, AT(1), BOT_EV_SOUND);
    step(&t, AT(2), BOT_EV_VOICE);
    step(&t, AT(3), BOT_EV_PAUSE);
    assert_true(bot_deadline(&t) == AT(23));
    step(&t, AT(3), BOT_EV_SOUND);
    assert_int_equal(t.state, BOT_SAYING);
    assert_true(bot_deadline(&t) == USEC_NEVER);
    assert_int_equal(t.figures.barge_ins, 0);
}

/* ---- a menu with an ear of its own ------------------------------------------------------------
 */

static struct bot_conf with_ears(void)
{
    struct bot_conf c = menu;
    c.ears = c.barge_in = true;
    c.patience_ms = 20000;
    return c;
}

static void test_ears_understand(void **state)
{
    (void)state;
    const struct bot_conf c = with_ears();
    const struct botlink_heard two = {BOTLINK_UNDERSTOOD, 1, 0, STR_INIT("two")};
    const struct botlink_heard none = {BOTLINK_NO_MATCH, 0xFF, 0, STR_INIT("")};
    struct bot_talk t;
    bot_begin(&t, &c, AT(0));
    assert_string_equal(drain(&t).ops, "OA"); /* nobody waits for the ear */
    assert_string_equal(step(&t, AT(0), BOT_EV_UP).ops, "VSh");
    assert_string_equal(step(&t, AT(0.1), BOT_EV_OPENED).ops, "");
    step(&t, AT(1), BOT_EV_VOICE);
    assert_string_equal(step(&t, AT(2), BOT_EV_PAUSE).ops, "");
    assert_int_equal(t.state, BOT_THINKING);
    struct heard h = hears(&t, AT(2.2), &two);
    assert_string_equal(h.ops, "Sh");
    assert_int_equal(h.say.text[0], BOT_TEXT_SAY + 1);
    assert_int_equal(t.figures.turn_ms_sum, 200);
    step(&t, AT(3), BOT_EV_VOICE);
    step(&t, AT(4), BOT_EV_PAUSE);
    assert_int_equal(hears(&t, AT(4.2), &none).say.text[0], BOT_TEXT_NO_WORDS);
    assert_int_equal(t.figures.no_matches, 1);
    /* Its silence is not waited for longer than anybody's. */
    step(&t, AT(5), BOT_EV_SAID);
    assert_true(bot_deadline(&t) == AT(10));
    step(&t, AT(6), BOT_EV_VOICE);
    step(&t, AT(7), BOT_EV_PAUSE);
    assert_true(bot_deadline(&t) == AT(27));
    assert_string_equal(tick(&t, AT(27)).ops, "!CS");
    assert_int_equal(t.state, BOT_LEAVING);
}

static void test_ears_fail(void **state)
{
    (void)state;
    const struct bot_conf c = with_ears();
    struct bot_talk t;
    for (unsigned lost = 0; lost < 2; lost++) {
        bot_begin(&t, &c, AT(0));
        drain(&t);
        if (lost) {
            assert_string_equal(step(&t, AT(0), BOT_EV_FAILED).ops, "");
            assert_string_equal(step(&t, AT(0), BOT_EV_UP).ops, "VS");
        } else {
            step(&t, AT(0), BOT_EV_UP);
            step(&t, AT(1), BOT_EV_VOICE);
            step(&t, AT(2), BOT_EV_PAUSE);
            struct heard h = step(&t, AT(3), BOT_EV_LOST);
            assert_string_equal(h.ops, "S");
            assert_int_equal(h.say.text[0], BOT_TEXT_NO_WORDS);
        }
        step(&t, AT(4), BOT_EV_SAID);
        step(&t, AT(5), BOT_EV_VOICE);
        assert_int_equal(step(&t, AT(6), BOT_EV_PAUSE).say.text[0], BOT_TEXT_NO_WORDS);
        assert_string_equal(step(&t, AT(7), BOT_EV_GONE).ops, "C"); /* all the same */
        assert_int_equal(t.figures.errors, 0);
    }
}

static void test_goals(void **state)
{
    (void)state;
    struct bot_goal g;
    assert_int_equal(bot_goal_parse(&g, STR("transfer:1428")), 0);
    assert_true(g.does == BOT_DO_TRANSFER && str_eq(g.to, STR("1428")));
    assert_int_equal(bot_goal_parse(&g, STR("voicemail:2")), 0);
    assert_int_equal(g.does, BOT_DO_MAILBOX);
    assert_int_equal(bot_goal_parse(&g, STR("message")), 0);
    assert_true(g.does == BOT_DO_MESSAGE && !g.to.n);
    assert_int_equal(bot_goal_parse(&g, STR("repeat")), 0);
    assert_int_equal(bot_goal_parse(&g, STR("hangup")), 0);
    g.does = 77;
    assert_int_equal(bot_goal_parse(&g, STR("transfer:")), -EINVAL);
    assert_int_equal(bot_goal_parse(&g, STR("hangup:1")), -EINVAL);
    assert_int_equal(bot_goal_parse(&g, STR("")), -EINVAL);
    assert_int_equal(g.does, 77);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_speech_begins_late),
        cmocka_unit_test(test_every_cell),
        cmocka_unit_test(test_any_order),
        cmocka_unit_test(test_stream_measures),
        cmocka_unit_test(test_stream_does_not_open),
        cmocka_unit_test(test_stream_falls_back),
        cmocka_unit_test(test_stream_without_patience),
        cmocka_unit_test(test_menu_keys),
        cmocka_unit_test(test_menu_misses),
        cmocka_unit_test(test_menu_voice),
        cmocka_unit_test(test_stream_talks_on),
        cmocka_unit_test(test_speech_understands),
        cmocka_unit_test(test_speech_misses),
        cmocka_unit_test(test_speech_stalls),
        cmocka_unit_test(test_speech_is_not_waited_for_ever),
        cmocka_unit_test(test_speech_keys),
        cmocka_unit_test(test_speech_is_lost),
        cmocka_unit_test(test_speech_is_silent),
        cmocka_unit_test(test_ears_understand),
        cmocka_unit_test(test_ears_fail),
        cmocka_unit_test(test_goals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
