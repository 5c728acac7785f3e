#include "engine/media/feed.h"

#include <errno.h>
#include <string.h>

#include "base/mem.h"

/* A bot that speaks at the pace of its clock gets so much in hand. */
#define BEGIN_MS 60
/* What comes so soon after the end belonged to it. */
#define GAP_US (200 * USEC_MS)
/* It was here for a whole tick before it was missed: that it was not played is our fault. */
#define OURS_US  (20 * USEC_MS)
#define FIRST_MS 2000

void feed_init(struct feed *f, uint32_t rate_hz, uint32_t max_ms)
{
    *f = (struct feed){.rate_hz = rate_hz,
                       .max = (uint32_t)((uint64_t)max_ms * rate_hz / 1000),
                       .end = UINT64_MAX,
                       .dry_at = USEC_NEVER};
}

void feed_done(struct feed *f)
{
    mem_free(f->ring);
    *f = (struct feed){.rate_hz = f->rate_hz, .dry_at = USEC_NEVER};
}

static uint32_t waiting(const struct feed *f)
{
    return (uint32_t)(f->head - f->tail);
}

/* The ring moves into a larger one, in order. */
static int grow(struct feed *f, uint32_t want)
{
    uint32_t cap = f->cap ? f->cap : f->rate_hz / 1000 * FIRST_MS, n = waiting(f);
    while (cap < want)
        cap *= 2;
    cap = cap < f->max ? cap : f->max;
    int16_t *ring = mem_alloc(cap * sizeof(*ring));
    if (!ring)
        return -ENOMEM;
    for (uint32_t i = 0; i < n; i++)
        ring[(f->tail + i) % cap] = f->ring[(f->tail + i) % f->cap];
    mem_free(f->ring);
    f->ring = ring;
    f->cap = cap;
    return 0;
}

static uint32_t ms_of(const struct feed *f, uint64_t samples)
{
    return (uint32_t)(samples * 1000 / f->rate_hz);
}

/* It had run dry: whose fault was that? */
static void gap_judge(struct feed *f, usec_t now, usec_t came)
{
    if (f->dry_at == USEC_NEVER)
        return;
    if (came + OURS_US <= f->dry_at)
        f->figures.underruns++;
    else if (now < f->dry_at + GAP_US)
        f->figures.starved++;
    f->dry_at = USEC_NEVER;
}

int feed_put(struct feed *f, usec_t now, usec_t came, const int16_t *pcm, unsigned n)
{
    uint32_t want = waiting(f) + n;
    if (n == 0) /* there may be no ring yet */
        return 0;
    if (want > f->max) {
        f->figures.dropped_ms += ms_of(f, n);
        return -ENOBUFS;
    }
    if (want > f->cap && grow(f, want))
        return -ENOMEM;
    gap_judge(f, now, came);
    uint32_t at = (uint32_t)(f->head % f->cap), first = f->cap - at < n ? f->cap - at : n;
    memcpy(f->ring + at, pcm, first * sizeof(*pcm));
    memcpy(f->ring, pcm + first, (n - first) * sizeof(*pcm));
    f->head += n;
    if (f->state == FEED_IDLE && n) {
        f->state = FEED_WAITS;
        f->since = now;
    }
    uint32_t ms = feed_waiting_ms(f);
    f->figures.queue_most_ms = ms > f->figures.queue_most_ms ? ms : f->figures.queue_most_ms;
    return 0;
}

static void marks_reach(struct feed *f)
{
    unsigned n = 0;
    while (n < f->n_marks && f->mark[n].at <= f->tail)
        f->told[f->n_told++] = f->mark[n++].token;
    f->n_marks -= n;
    memmove(f->mark, f->mark + n, f->n_marks * sizeof(f->mark[0]));
}

int feed_mark(struct feed *f, uint32_t token)
{
    if (f->n_marks + f->n_told >= FEED_MAX_MARKS)
        return -ENOBUFS;
    f->end = f->head;
    f->mark[f->n_marks++] = (struct feed_mark){.at = f->head, .token = token};
    marks_reach(f);
    return 0;
}

void feed_clear(struct feed *f)
{
    f->figures.cleared_ms += feed_waiting_ms(f);
    f->tail = f->head;
    f->state = FEED_IDLE;
    f->dry_at = USEC_NEVER;
    marks_reach(f);
}

/* A mark means that a sentence ends there: nothing more is waited for. */
static bool enough(const struct feed *f, usec_t now)
{
    return feed_waiting_ms(f) >= BEGIN_MS || now >= f->since + BEGIN_MS * USEC_MS || f->n_marks;
}

unsigned feed_take(struct feed *f, usec_t now, int16_t *out, unsigned n)
{
    unsigned have = 0;
    if (f->state == FEED_WAITS && enough(f, now))
        f->state = FEED_SOUNDS;
    if (f->state == FEED_SOUNDS)
        have = waiting(f) < n ? waiting(f) : n;
    for (unsigned i = 0; i < have; i++)
        out[i] = f->ring[(f->tail + i) % f->cap];
    memset(out + have, 0, (n - have) * sizeof(*out));
    f->tail += have;
    marks_reach(f);
    if (f->state == FEED_SOUNDS && have < n) {
        f->state = FEED_IDLE;
        f->dry_at = f->end == f->tail ? USEC_NEVER : now;
    }
    return have;
}

bool feed_told(struct feed *f, uint32_t *token)
{
    if (!f->n_told)
        return false;
    *token = f->told[0];
    memmove(f->told, f->told + 1, --f->n_told * sizeof(f->told[0]));
    return true;
}
