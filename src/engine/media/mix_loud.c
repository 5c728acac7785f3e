#include "engine/media/mix_loud.h"

#include <math.h>

/* The background is the least level of the last 1.5 to 3 s: speech has pauses, noise has none. */
#define WINDOW      75
#define SMOOTH      0.3f
#define FLOOR_FIRST (-55.0f)
#define FLOOR_LEAST (-65.0f)
#define FLOOR_MOST  (-45.0f) /* what is steady and much louder is meant to be heard */
#define NO_SOUND    (-75.0f) /* a muted phone says nothing about the room it is in */

/* Speech is this much above the background: to begin, to go on; and never below the least. */
#define BEGIN_OVER  9.0f
#define STAY_OVER   6.0f
#define VOICE_LEAST (-55.0f)
#define BEGIN_STEPS 3  /* 60 ms */
#define END_STEPS   25 /* 500 ms */
#define SHORT_HOLD  5  /* after a sound too short to be talk */

/* How fast the usual level of speech follows louder, weaker and much weaker sounds of it. */
#define LOUDER      0.08f
#define WEAKER      0.02f
#define MUCH_WEAKER 0.005f
#define MUCH        12.0f
#define UP          0.12f /* dB a step: 6 dB a second */
#define DOWN        0.24f
#define RANK_FALL   0.5f
#define PAUSE_FALL  1.0f /* who pauses gives way sooner */

void mix_loud_init(struct mix_loud *l)
{
    *l = (struct mix_loud){.level = MIX_LOUD_NONE,
                           .floor = FLOOR_FIRST,
                           .low_now = FLOOR_FIRST,
                           .low_last = FLOOR_FIRST,
                           .rank = MIX_LOUD_NONE,
                           .gain = 1};
}

static float least(float a, float b)
{
    return a < b ? a : b;
}

static float within(float v, float low, float high)
{
    return v < low ? low : least(v, high);
}

static void background(struct mix_loud *l)
{
    if (l->level < NO_SOUND)
        return;
    l->smooth = l->started ? l->smooth + (l->level - l->smooth) * SMOOTH : l->level;
    l->started = true;
    l->low_now = least(l->low_now, l->smooth);
    float low = least(l->low_now, l->low_last);
    if (++l->window == WINDOW) {
        l->window = 0;
        l->low_last = l->low_now;
        l->low_now = l->smooth;
    }
    l->floor = within(low, FLOOR_LEAST, FLOOR_MOST);
}

static void voice(struct mix_loud *l, const struct mix_loud_conf *conf, bool muted)
{
    float over = l->voice || l->talks ? STAY_OVER : BEGIN_OVER;
    l->voice = !muted && l->level > l->floor + over && l->level > VOICE_LEAST;
    if (l->voice) {
        l->quiet = 0;
        l->run++;
        l->talks |= l->run >= BEGIN_STEPS;
        unsigned hold = l->talks || conf->hold < SHORT_HOLD ? conf->hold : SHORT_HOLD;
        l->open = l->open > hold ? l->open : hold;
        return;
    }
    l->quiet++;
    if (l->quiet > 1)
        l->run = 0; /* one weak step within a word does not begin it anew */
    if (l->quiet >= END_STEPS || muted)
        l->talks = false;
    if (l->open)
        l->open--;
}

static void usual(struct mix_loud *l)
{
    if (!l->voice)
        return;
    float by = l->level - l->speech;
    if (!l->spoke)
        l->speech = l->level;
    else if (by > 0)
        l->speech += by * LOUDER;
    else
        l->speech += by * (by > -MUCH ? WEAKER : MUCH_WEAKER);
    l->spoke = true;
}

static void gain(struct mix_loud *l, const struct mix_loud_conf *conf, bool plain)
{
    float want = l->gain_db;
    if (plain)
        want = 0;
    else if (l->voice)
        want = within(conf->target - l->speech, -conf->max_gain, conf->max_gain);
    if (want == l->gain_db)
        return;
    l->gain_db = within(want, l->gain_db - DOWN, l->gain_db + UP);
    l->gain = powf(10, l->gain_db / 20);
}

void mix_loud_step(struct mix_loud *l, const struct mix_loud_conf *conf, float level, bool muted,
                   bool plain)
{
    l->level = level;
    background(l);
    voice(l, conf, muted);
    usual(l);
    gain(l, conf, plain);
    float fallen = l->rank - (l->voice ? RANK_FALL : PAUSE_FALL), now = level + l->gain_db;
    l->rank = now > fallen ? now : fallen;
}

bool mix_loud_open(const struct mix_loud *l)
{
    return l->voice || l->open > 0;
}
