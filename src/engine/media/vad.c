#include "engine/media/vad.h"

#include <math.h>

#include "engine/media/mix_dsp.h"

#define FRAME_MS 20u
/* The background is the least level of the last 1 to 2 s: speech has pauses, noise has none. */
#define WINDOW      50u
#define FLOOR_FIRST (-55.0f)
#define FLOOR_LEAST (-65.0f)
#define FLOOR_MOST  (-30.0f)
#define NO_SOUND    (-80.0f) /* digital silence says nothing about the room */
/* Noise that rises is followed slowly, since a word looks the same; noise that falls at once. */
#define RISE_DB 0.06f
/* Speech is so much above the background to begin, and to go on; and never below the least. */
#define BEGIN_DB  9.0f
#define STAY_DB   5.0f
#define LEAST_DB  (-52.0f)
#define STRICT_DB 6.0f
/* Of a second: voiced speech crosses zero less often, noise and hiss more. */
#define CROSSINGS_MOST 3000u
/* What stays so near the frame before it is a tone; a vowel does for a moment only. */
#define STEADY_DB   0.4f
#define STEADY_ZC   1u
#define STEADY_STAY 5u /* frames: so long no vowel stays */

void vad_init(struct vad *v, uint16_t onset_ms, uint16_t hang_ms)
{
    *v = (struct vad){.floor_db = FLOOR_FIRST,
                      .low_db = FLOOR_FIRST,
                      .before_db = FLOOR_FIRST,
                      .last_db = -127.0f,
                      .onset = onset_ms,
                      .hang = hang_ms,
                      .quiet_ms = UINT16_MAX};
}

static float least(float a, float b)
{
    return a < b ? a : b;
}

static void background(struct vad *v, float db)
{
    if (db < NO_SOUND)
        return;
    v->low_db = v->started ? least(v->low_db, db) : db;
    v->started = true;
    if (++v->window == WINDOW) {
        v->window = 0;
        v->before_db = v->low_db;
        v->low_db = db;
    }
    float to = least(v->low_db, v->before_db);
    to = to < FLOOR_LEAST ? FLOOR_LEAST : least(to, FLOOR_MOST);
    v->floor_db = to < v->floor_db ? to : least(v->floor_db + RISE_DB, to);
}

/* Its mean is taken off: a constant in the signal would hide the crossings. */
static unsigned crossings(const int16_t *pcm, unsigned n)
{
    int64_t sum = 0;
    unsigned ret = 0;
    for (unsigned i = 0; i < n; i++)
        sum += pcm[i];
    int mean = (int)(sum / (int64_t)n);
    for (unsigned i = 1; i < n; i++)
        ret += (pcm[i - 1] >= mean) != (pcm[i] >= mean);
    return ret;
}

static bool voiced(struct vad *v, float db, unsigned zc, uint32_t zc_second, bool strict)
{
    float over = db - v->floor_db, want = v->talks ? STAY_DB : BEGIN_DB;
    want += strict && !v->talks ? STRICT_DB : 0;
    bool near = fabsf(db - v->last_db) < STEADY_DB && zc <= v->last_zc + STEADY_ZC &&
                zc + STEADY_ZC >= v->last_zc;
    v->steady = near ? v->steady + (v->steady < UINT16_MAX) : 0;
    v->last_db = db;
    v->last_zc = (uint16_t)zc;
    if (over < want || db < LEAST_DB)
        return false;
    return v->talks ? v->steady < STEADY_STAY : !v->steady && zc_second <= CROSSINGS_MOST;
}

static uint16_t add(uint16_t ms, unsigned more)
{
    return (uint16_t)(ms + more > UINT16_MAX ? UINT16_MAX : ms + more);
}

static enum vad_change begin(struct vad *v, bool w)
{
    if (!w && v->quiet_ms > FRAME_MS) { /* one weak frame within a word is none */
        v->voiced_ms = v->run_ms = 0;
        return VAD_SAME;
    }
    if (w || v->run_ms)
        v->run_ms = add(v->run_ms, FRAME_MS);
    v->voiced_ms = add(v->voiced_ms, w ? FRAME_MS : 0);
    if (!w || v->voiced_ms < v->onset)
        return VAD_SAME;
    v->talks = true;
    return VAD_BEGINS;
}

enum vad_change vad_step(struct vad *v, const int16_t *pcm, unsigned n, uint32_t rate_hz,
                         bool strict)
{
    float power = mix_power(pcm, n);
    float db = power > 0 ? 10 * log10f(power) : -127.0f;
    unsigned zc = crossings(pcm, n);
    background(v, db);
    bool w = voiced(v, db, zc, (uint32_t)((uint64_t)zc * rate_hz / n), strict);
    v->quiet_ms = w ? 0 : add(v->quiet_ms, FRAME_MS);
    if (!v->talks)
        return begin(v, w);
    if (v->quiet_ms < v->hang)
        return VAD_SAME;
    v->talks = false;
    v->voiced_ms = v->run_ms = 0;
    return VAD_ENDS;
}
