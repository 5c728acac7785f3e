/* What the page of `ringdown analyze --html` plays: the sound of its first calls, as much of it as
 * a page can hold. */
#include <errno.h>

#include "analysis/json.h"
#include "app/analyze_sound.h"
#include "base/mem.h"

#define MAX_CALLS       64
#define MAX_TRACK_BYTES ((uint64_t)16 << 20) /* of all tracks together */
#define MAX_STREAMS     12                   /* tracks of one call: more help nobody */

struct track {
    char *samples; /* 16 bits each */
    size_t n, cap; /* bytes */
    struct an_peaks peaks;
};

struct page_sound {
    uint32_t n_tracks; /* with the mix, which is the last */
    struct track *track;
};

struct page_sounds {
    uint32_t n;
    struct sound sound[MAX_CALLS];
    struct page_sound page[MAX_CALLS];
};

static uint64_t bytes_of(const struct an_plan *plan)
{
    uint64_t ms = (plan->to_ns - plan->from_ns) / 1000000u + 1;
    return (plan->n_tracks + UINT64_C(1)) * 2 * (ms * plan->rate_hz / 1000);
}

static int put(struct sound *s, int16_t *const *samples, unsigned n)
{
    struct page_sound *page = s->user;
    for (uint32_t i = 0; i < page->n_tracks; i++) {
        struct track *t = &page->track[i];
        /* A plan that was too short costs its last moment, not memory. */
        size_t bytes = n * sizeof(int16_t), room = t->cap - t->n;
        bytes = bytes < room ? bytes : room;
        memcpy(t->samples + t->n, samples[i], bytes);
        t->n += bytes;
        an_peaks_add(&t->peaks, samples[i], (unsigned)(bytes / sizeof(int16_t)));
    }
    return 0;
}

static int page_new(struct page_sound *page, const struct an_plan *plan)
{
    uint64_t each = bytes_of(plan) / (plan->n_tracks + 1) + plan->rate_hz;
    page->n_tracks = plan->n_tracks + 1;
    page->track = mem_zero(page->n_tracks * sizeof(*page->track));
    if (!page->track)
        return -ENOMEM;
    for (uint32_t i = 0; i < page->n_tracks; i++) {
        struct track *t = &page->track[i];
        t->cap = each & ~(size_t)1;
        t->samples = mem_alloc(t->cap);
        t->peaks.each = (uint32_t)(each / 2 / AN_PEAKS) + 1;
        if (!t->samples)
            return -ENOMEM;
    }
    return 0;
}

static int choose(struct page_sounds *p, const struct an_report *r, uint32_t only)
{
    uint64_t left = MAX_TRACK_BYTES;
    for (uint32_t i = 0; i < an_engine_calls(r->engine) && p->n < MAX_CALLS; i++) {
        struct sound *s = &p->sound[p->n];
        if ((only && i != only - 1) || r->stream_at[i] == r->stream_at[i + 1])
            continue;
        an_audio_plan(r->engine, i, &s->plan);
        bool fits = s->plan.n_tracks && s->plan.n_tracks <= MAX_STREAMS &&
                    s->plan.to_ns > s->plan.from_ns && bytes_of(&s->plan) <= left;
        if (!fits)
            continue;
        left -= bytes_of(&s->plan);
        s->call = i;
        s->take = put;
        s->user = &p->page[p->n];
        if (page_new(&p->page[p->n++], &s->plan))
            return -ENOMEM;
    }
    return 0;
}

int page_sounds_read(struct page_sounds **ret, struct analyze *a, const struct an_report *r)
{
    struct page_sounds *p = mem_zero(sizeof(*p));
    int err = p ? choose(p, r, a->opt.call) : -ENOMEM;
    if (!err && p->n)
        err = analyze_sound(a, p->sound, p->n);
    if (err) {
        page_sounds_free(p);
        analyze_fail(a, "sound", err);
        return err;
    }
    *ret = p;
    return 0;
}

void page_sounds_free(struct page_sounds *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->n; i++) {
        for (uint32_t k = 0; p->page[i].track && k < p->page[i].n_tracks; k++)
            mem_free(p->page[i].track[k].samples);
        mem_free(p->page[i].track);
    }
    mem_free(p);
}

static void le_put(char *p, uint32_t v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (char)(v >> 8 * i);
}

/* A RIFF header of 48 bytes, a multiple of three: the format is given with its size of extension,
 * as WAVE allows for PCM, too. */
static void wav_head(char out[48], uint32_t rate_hz, uint32_t bytes)
{
    memcpy(out, "RIFF....WAVEfmt ", 16);
    le_put(out + 4, 40 + bytes, 4);
    le_put(out + 16, 20, 4); /* of the format */
    le_put(out + 20, 1, 2);  /* PCM */
    le_put(out + 22, 1, 2);
    le_put(out + 24, rate_hz, 4);
    le_put(out + 28, 2 * rate_hz, 4);
    le_put(out + 32, 2, 2);
    le_put(out + 34, 16, 2);
    le_put(out + 36, 2, 2); /* of the extension: */
    le_put(out + 38, 0, 2);
    memcpy(out + 40, "data", 4);
    le_put(out + 44, bytes, 4);
}

static void track_put(struct an_json *j, const struct an_plan *plan, const struct page_sound *page,
                      uint32_t i)
{
    const struct track *t = &page->track[i];
    char head[48];
    an_json_object(j, NULL);
    an_json_str(j, "name", i < plan->n_tracks ? str_z(plan->track[i].name) : STR("mix"));
    wav_head(head, plan->rate_hz, (uint32_t)t->n);
    json_data(j, "wav", "audio/wav", str_of(head, sizeof(head)), str_of(t->samples, t->n));
    an_json_array(j, "peaks");
    for (uint32_t k = 0; k < t->peaks.n; k++)
        an_json_u64(j, NULL, t->peaks.peak[k] / 128u);
    an_json_end(j);
    an_json_end(j);
}

void page_sounds_put(const struct an_report *r, uint32_t call, struct an_json *j)
{
    const struct page_sounds *p = r->sound_user;
    an_json_array(j, "audio");
    for (uint32_t i = 0; p && i < p->n; i++) {
        if (p->sound[i].call != call)
            continue;
        /* All together first: it is what one listens to. */
        for (uint32_t k = p->page[i].n_tracks; k-- > 0;)
            track_put(j, &p->sound[i].plan, &p->page[i], k);
    }
    an_json_end(j);
}
