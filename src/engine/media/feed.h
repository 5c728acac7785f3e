/* Sound given from outside that waits to be heard, and marks within it. It is asked for 20 ms at a
 * time and never holds more than it was made for. Its memory grows as it is needed, up to that, and
 * stays: nothing is allocated a frame. */
#ifndef ENGINE_MEDIA_FEED_H
#define ENGINE_MEDIA_FEED_H

#include "base/assert.h"
#include "base/timer.h"

#define FEED_MAX_MARKS 64

struct feed_figures {
    uint32_t queue_ms, queue_most_ms;
    uint32_t underruns;  /* silence was heard where sound should have been that we had in time */
    uint32_t starved;    /* the same, but it came late: within 200 ms */
    uint32_t dropped_ms; /* beyond what may wait */
    uint32_t cleared_ms; /* given up unheard: the bot's clear, or somebody spoke */
};

struct feed_mark {
    uint64_t at; /* it is reached when so many samples were taken */
    uint32_t token;
};

enum feed_state {
    FEED_IDLE,  /* there is nothing */
    FEED_WAITS, /* there is little: more may come, lest each late packet makes a gap */
    FEED_SOUNDS
};

struct feed {
    int16_t *ring;
    uint32_t cap, max;   /* samples: of the ring now, and at most */
    uint64_t head, tail; /* samples given and taken, counted up for ever */
    uint64_t end;        /* a sentence ends there: a mark said so */
    uint32_t rate_hz;
    enum feed_state state;
    usec_t since;  /* of FEED_WAITS: when its first sound came */
    usec_t dry_at; /* when it ran dry while it sounded; USEC_NEVER: it did not */
    unsigned n_marks, n_told;
    struct feed_mark mark[FEED_MAX_MARKS];
    uint32_t told[FEED_MAX_MARKS]; /* reached, not fetched yet */
    struct feed_figures figures;
};

/* max_ms of sound may wait. Nothing is allocated yet. */
void feed_init(struct feed *f, uint32_t rate_hz, uint32_t max_ms);
void feed_done(struct feed *f);
/* n samples, which came in from outside at `came`. 0; -ENOBUFS: too much waits, they are dropped;
 * -ENOMEM. */
MUST_CHECK int feed_put(struct feed *f, usec_t now, usec_t came, const int16_t *pcm, unsigned n);
/* The mark is reached when what was put before it has been taken, or is cleared. 0 or -ENOBUFS: so
 * many wait or were not fetched. */
MUST_CHECK int feed_mark(struct feed *f, uint32_t token);
/* All that waits is gone, its marks are reached. */
void feed_clear(struct feed *f);
/* n samples of `now`: those that there are, then silence. Returns how many there were. */
unsigned feed_take(struct feed *f, usec_t now, int16_t *out, unsigned n);
/* The oldest mark that was reached and not fetched; false: none. */
bool feed_told(struct feed *f, uint32_t *token);
static inline uint32_t feed_waiting_ms(const struct feed *f)
{
    return (uint32_t)((f->head - f->tail) * 1000 / f->rate_hz);
}

#endif
