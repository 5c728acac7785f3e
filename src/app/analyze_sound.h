/* The sound of calls, for files and for the page. */
#ifndef APP_ANALYZE_SOUND_H
#define APP_ANALYZE_SOUND_H

#include "analysis/audio.h"
#include "app/analyze.h"

struct sound {
    uint32_t call; /* index */
    struct an_plan plan;
    struct an_audio *audio;
    /* Takes n samples of each track and, behind them, of the mix; 0 or negative errno. */
    int (*take)(struct sound *s, int16_t *const *samples, unsigned n);
    void *user;
};

/* Reads the input once for all of them. 0 or negative errno. */
MUST_CHECK int analyze_sound(struct analyze *a, struct sound *sound, uint32_t n);

/* --wav: a file for each participant of the chosen call, and one for all together. */
MUST_CHECK int analyze_wav(struct analyze *a, const struct an_report *r);

/* What the page will play; bounded. NULL: nothing. */
struct page_sounds;
MUST_CHECK int page_sounds_read(struct page_sounds **ret, struct analyze *a,
                                const struct an_report *r);
void page_sounds_free(struct page_sounds *p);
/* For an_report.sound, with the sounds as its user. */
void page_sounds_put(const struct an_report *r, uint32_t call, struct an_json *j);

#endif
