#include "engine/media/mix.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/mix_dsp.h"
#include "engine/media/mix_limit.h"
#include "engine/media/mix_loud.h"

#define STEP_MS   20
#define SHORT     4 /* a fade from or to nothing takes this part of a frame: 5 ms */
#define TAIL      (MIX_MAX_FRAME / SHORT)
#define STAYS_DB  6.0f /* who is heard is displaced only by who is this much louder */
#define MAX_HEARD (2 * MIX_MAX_TALKERS) /* those who begin, and those who end */
#define OWN       3 /* outputs a talker: those, and whose limiter is not back at the others' */

struct member {
    const int16_t *in;  /* of this tick */
    const int16_t *out; /* of the last run */
    struct mix_loud loud;
    struct mix_limit limit; /* of what it alone hears */
    float gain;             /* with which it was heard at the end of the last frame */
    uint8_t flags;
    bool present, chosen;
    bool alone;         /* what it heard in the last frame was made for it */
    int16_t tail[TAIL]; /* the end of what was heard of it, backwards */
};

/* One member's part of the sums of this tick. */
struct voice {
    unsigned who;
    const int16_t *in;
    unsigned n;
    struct mix_ramp gain;
};

/* Who would be heard, by loudness. */
struct key {
    float db;
    unsigned who;
};

struct mix {
    struct mix_conf conf;
    struct mix_loud_conf loud;
    unsigned frame, present;
    bool ran;
    struct mix_limit limit; /* of the total */
    struct voice voices[MAX_HEARD];
    unsigned n_voices, n_own;
    bool gone; /* `bye` holds something */
    float bye[TAIL];
    float sum[MIX_MAX_FRAME], rest[MIX_MAX_FRAME];
    int16_t total[MIX_MAX_FRAME];
    int16_t (*own)[MIX_MAX_FRAME];
    struct member *members;
};

const struct mix_conf mix_conf_default = {.members = MIX_MAX_MEMBERS,
                                          .talkers = 8,
                                          .target_dbov = -20,
                                          .max_gain_db = 12,
                                          .hold_ms = 400};

static bool rate_ok(uint32_t hz)
{
    return hz == 8000 || hz == 16000 || hz == 32000 || hz == 48000;
}

static bool conf_ok(const struct mix_conf *c)
{
    return c->members >= 2 && c->members <= MIX_MAX_MEMBERS && c->talkers >= 4 &&
           c->talkers <= MIX_MAX_TALKERS && c->target_dbov >= -40 && c->target_dbov <= -10 &&
           c->max_gain_db >= 0 && c->max_gain_db <= 20 && c->hold_ms >= 100 && c->hold_ms <= 2000;
}

struct mix *mix_new(uint32_t rate_hz, const struct mix_conf *conf)
{
    if (!conf)
        conf = &mix_conf_default;
    if (!rate_ok(rate_hz) || !conf_ok(conf))
        return NULL;
    struct mix *m = mem_zero(sizeof(*m));
    if (!m)
        return NULL;
    m->members = mem_zero(conf->members * sizeof(*m->members));
    m->own = mem_zero(OWN * conf->talkers * sizeof(*m->own));
    if (!m->members || !m->own) {
        mix_free(m);
        return NULL;
    }
    m->conf = *conf;
    m->loud = (struct mix_loud_conf){.target = (float)conf->target_dbov,
                                     .max_gain = (float)conf->max_gain_db,
                                     .hold = conf->hold_ms / STEP_MS};
    m->frame = rate_hz / (1000 / STEP_MS);
    mix_limit_init(&m->limit);
    return m;
}

void mix_free(struct mix *m)
{
    if (!m)
        return;
    mem_free(m->members);
    mem_free(m->own);
    mem_free(m);
}

int mix_rate(struct mix *m, uint32_t rate_hz)
{
    if (!rate_ok(rate_hz))
        return -EINVAL;
    unsigned frame = rate_hz / (1000 / STEP_MS);
    if (frame == m->frame)
        return 0;
    m->frame = frame;
    m->ran = false;
    m->gone = false;
    for (unsigned i = 0; i < m->conf.members; i++) {
        m->members[i].in = m->members[i].out = NULL;
        memset(m->members[i].tail, 0, sizeof(m->members[i].tail));
    }
    return 0;
}

static struct member *member_of(const struct mix *m, unsigned i)
{
    BUG_ON(i >= m->conf.members);
    return &m->members[i];
}

void mix_join(struct mix *m, unsigned i)
{
    struct member *p = member_of(m, i);
    mix_leave(m, i);
    memset(p, 0, sizeof(*p));
    mix_loud_init(&p->loud);
    mix_limit_init(&p->limit);
    p->present = true;
    m->present++;
}

void mix_leave(struct mix *m, unsigned i)
{
    struct member *p = member_of(m, i);
    if (!p->present)
        return;
    p->present = false;
    p->in = p->out = NULL;
    m->present--;
    if (p->gain <= 0)
        return;
    if (!m->gone)
        memset(m->bye, 0, sizeof(m->bye));
    m->gone = true;
    unsigned n = m->frame / SHORT;
    mix_add(m->bye, p->tail, n, &(struct mix_ramp){.from = p->gain, .over = n});
}

void mix_set(struct mix *m, unsigned i, unsigned flags)
{
    member_of(m, i)->flags = (uint8_t)flags;
}

void mix_in(struct mix *m, unsigned i, const int16_t *frame)
{
    member_of(m, i)->in = frame;
}

/* With two there is nothing to mix: no gate, no gain. */
static bool plain(const struct mix *m)
{
    return m->present <= 2;
}

static void listen(struct mix *m)
{
    for (unsigned i = 0; i < m->conf.members; i++) {
        struct member *p = &m->members[i];
        if (!p->present)
            continue;
        float power = p->in ? mix_power(p->in, m->frame) : 0;
        float level = power > 0 ? 10 * log10f(power) : MIX_LOUD_NONE;
        mix_loud_step(&p->loud, &m->loud, level > MIX_LOUD_NONE ? level : MIX_LOUD_NONE,
                      p->flags & MIX_MUTED, plain(m));
    }
}

static bool wants_ear(const struct mix *m, const struct member *p)
{
    return p->present && !(p->flags & MIX_MUTED) && (plain(m) || mix_loud_open(&p->loud));
}

/* Keeps the loudest `talkers` in best[], the loudest first; among equals who comes first. */
static unsigned put_loudest(const struct mix *m, struct key *best, unsigned n, struct key k)
{
    if (n == m->conf.talkers && best[n - 1].db >= k.db)
        return n;
    unsigned at = n < m->conf.talkers ? n++ : n - 1;
    for (; at > 0 && best[at - 1].db < k.db; at--)
        best[at] = best[at - 1];
    best[at] = k;
    return n;
}

static void choose(struct mix *m)
{
    struct key best[MIX_MAX_TALKERS];
    unsigned n = 0;
    for (unsigned i = 0; i < m->conf.members; i++) {
        struct member *p = &m->members[i];
        float db = p->loud.rank + (p->chosen ? STAYS_DB : 0);
        p->chosen = false;
        if (wants_ear(m, p))
            n = put_loudest(m, best, n, (struct key){.db = db, .who = i});
    }
    for (unsigned i = 0; i < n; i++)
        m->members[best[i].who].chosen = true;
}

static void keep_tail(struct member *p, unsigned frame)
{
    unsigned n = frame / SHORT;
    for (unsigned k = 0; k < n; k++)
        p->tail[k] = p->in[frame - 1 - k];
}

/* How the member is heard in this frame; false: not at all. Where it has no sound any more, the
 * end of what it said goes on backwards while it fades. */
static bool voice_of(const struct mix *m, struct member *p, struct voice *v)
{
    float from = p->gain, to = p->in && p->chosen ? p->loud.gain : 0;
    unsigned brief = m->frame / SHORT;
    p->gain = to;
    if (from <= 0 && to <= 0)
        return false;
    v->in = p->in ? p->in : p->tail;
    v->n = p->in ? m->frame : brief;
    v->gain = (struct mix_ramp){.from = from, .to = to};
    if (from != to)
        v->gain.over = from > 0 && p->in ? m->frame : brief;
    if (to > 0)
        keep_tail(p, m->frame);
    return true;
}

static void add_up(struct mix *m)
{
    m->n_voices = 0;
    memset(m->sum, 0, m->frame * sizeof(*m->sum));
    if (m->gone)
        memcpy(m->sum, m->bye, m->frame / SHORT * sizeof(*m->sum));
    for (unsigned i = 0; i < m->conf.members; i++) {
        struct member *p = &m->members[i];
        struct voice *v = &m->voices[m->n_voices];
        if (!p->present || !voice_of(m, p, v))
            continue;
        v->who = i;
        m->n_voices++;
        mix_add(m->sum, v->in, v->n, &v->gain);
    }
}

/* If nothing but one voice is heard, and not louder than it is: that voice. */
static const struct voice *only_one(const struct mix *m, const struct voice *but)
{
    const struct voice *only = NULL;
    if (m->gone || m->n_voices != (but ? 2u : 1u))
        return NULL;
    for (unsigned i = 0; i < m->n_voices; i++)
        if (&m->voices[i] != but)
            only = &m->voices[i];
    return only->gain.from <= 1 && only->gain.to <= 1 ? only : NULL;
}

static bool unchanged(const struct mix *m, const struct voice *v)
{
    return v->n == m->frame && v->gain.from == 1 && v->gain.to == 1;
}

/* All that is heard but one voice, or NULL. */
static void render(struct mix *m, struct mix_limit *l, const struct voice *but, int16_t *out)
{
    const struct voice *only = only_one(m, but);
    const float *sum = m->sum;
    if (only && unchanged(m, only) && mix_limit_idle(l)) {
        memcpy(out, only->in, m->frame * sizeof(*out));
        return;
    }
    if (but) {
        mix_without(m->rest, m->sum, but->in, but->n, &but->gain);
        memcpy(m->rest + but->n, m->sum + but->n, (m->frame - but->n) * sizeof(*m->rest));
        sum = m->rest;
    }
    mix_limit_run(l, sum, m->frame, only, out);
}

static int16_t *own_out(struct mix *m)
{
    BUG_ON(m->n_own == OWN * m->conf.talkers);
    return m->own[m->n_own++];
}

/* `before` is the limiter of the total as it was before this frame. */
static void tell(struct mix *m, struct member *p, const struct voice *v,
                 const struct mix_limit *before)
{
    bool was_alone = p->alone;
    p->alone = v && !(p->flags & MIX_DEAF);
    p->out = NULL;
    if (p->flags & MIX_DEAF)
        return;
    if (!v && (!was_alone || (mix_limit_idle(&p->limit) && mix_limit_idle(before)))) {
        p->out = m->total;
        return;
    }
    int16_t *out = own_out(m);
    p->out = out;
    if (!was_alone)
        p->limit = *before;
    render(m, &p->limit, v, out);
    if (!v)
        mix_blend(out, m->total, m->frame);
}

void mix_run(struct mix *m)
{
    struct mix_limit before = m->limit;
    listen(m);
    choose(m);
    add_up(m);
    render(m, &m->limit, NULL, m->total);
    m->n_own = 0;
    for (unsigned i = 0, v = 0; i < m->conf.members; i++) {
        struct member *p = &m->members[i];
        bool heard = v < m->n_voices && m->voices[v].who == i;
        if (p->present)
            tell(m, p, heard ? &m->voices[v] : NULL, &before);
        v += heard;
        p->in = NULL;
    }
    m->gone = false;
    m->ran = true;
}

const int16_t *mix_out(const struct mix *m, unsigned i, bool *shared)
{
    const int16_t *out = member_of(m, i)->out;
    *shared = out == m->total;
    return out;
}

const int16_t *mix_total(const struct mix *m)
{
    return m->ran ? m->total : NULL;
}

bool mix_talks(const struct mix *m, unsigned i)
{
    const struct member *p = member_of(m, i);
    return p->present && p->loud.talks;
}
