/* What is known of the tracks of a recording besides their sound, as its sidecar lists it. */
#include <string.h>

#include "base/mem.h"
#include "io/recorder_priv.h"

/* Bytes that one entry takes in the sidecar, at most. */
#define ENTRY_MAX 96

static bool grow(struct record_mark_list *l, unsigned most)
{
    if (l->n < l->cap)
        return true;
    unsigned cap = l->cap ? l->cap * 2 : 16;
    struct record_mark *more = cap <= most ? mem_resize(l->at, cap * sizeof(*more)) : NULL;
    if (!more)
        return false;
    l->at = more;
    l->cap = cap;
    return true;
}

static void list(struct record *rec, struct record_mark_list *l, unsigned most,
                 const struct record_mark *m)
{
    if (grow(l, most))
        l->at[l->n++] = *m;
    else
        rec->marks.unlisted++;
}

/* The latest word on a clock goes in place of the one before. */
static void clock_put(struct record *rec, const struct record_mark *m)
{
    struct record_mark_list *l = &rec->marks.clock;
    for (unsigned i = l->n; i-- > 0;)
        if (l->at[i].track == m->track && l->at[i].at == m->at) {
            l->at[i] = *m;
            return;
        }
    list(rec, l, RECORD_CLOCKS_MAX, m);
}

static void put(struct record *rec, struct record_mark m)
{
    struct record_marks *all = &rec->marks;
    bool over = rec->state != RECORD_STATE_OPEN;
    if (m.track >= RECORD_TRACKS || m.kind >= RECORD_MARKS || (over && m.at >= rec->samples))
        return;
    if (m.kind == RECORD_CLOCK) {
        clock_put(rec, &m);
        return;
    }
    /* What was stopped has no sound that could be missing. */
    bool gap = m.kind == RECORD_LOST || m.kind == RECORD_HELD;
    if (over && gap && m.samples > rec->samples - m.at)
        m.samples = (uint32_t)(rec->samples - m.at);
    all->sum[m.track].samples[m.kind] += m.samples;
    list(rec, gap ? &all->gap : &all->shift, RECORD_LISTED_MAX, &m);
    all->changed = true;
}

void record_marks_put(struct record *rec, const struct record_block *b)
{
    for (unsigned i = 0; i < b->n_marks; i++)
        put(rec, b->mark[i]);
}

void record_marks_free(struct record *rec)
{
    mem_free(rec->marks.gap.at);
    mem_free(rec->marks.shift.at);
    mem_free(rec->marks.clock.at);
    mem_free(rec->marks.text);
}

size_t record_marks_bytes(const struct record *rec)
{
    const struct record_marks *m = &rec->marks;
    size_t n = (size_t)m->gap.n + m->shift.n + m->clock.n + RECORD_TRACKS;
    return n * ENTRY_MAX + 512 + (m->text ? strlen(m->text) : 0);
}

static void put_gaps(struct buf *b, const struct record_mark_list *l)
{
    buf_lit(b, "\"track_gaps\":[");
    for (unsigned i = 0; i < l->n; i++)
        buf_printf(b, "%s[%u,%llu,%u,\"%s\"]", i ? "," : "", l->at[i].track,
                   (unsigned long long)l->at[i].at, l->at[i].samples,
                   l->at[i].kind == RECORD_HELD ? "held" : "lost");
    buf_lit(b, "],\n");
}

static void put_shifts(struct buf *b, const struct record_mark_list *l)
{
    buf_lit(b, "\"shifts\":[");
    for (unsigned i = 0; i < l->n; i++)
        buf_printf(b, "%s[%u,%llu,%s%u]", i ? "," : "", l->at[i].track,
                   (unsigned long long)l->at[i].at, l->at[i].kind == RECORD_ADDED ? "" : "-",
                   l->at[i].samples);
    buf_lit(b, "],\n");
}

static void put_clocks(struct buf *b, const struct record_mark_list *l)
{
    buf_lit(b, "\"clocks\":[");
    for (unsigned i = 0; i < l->n; i++) {
        const struct record_mark *m = &l->at[i];
        uint32_t ppm = m->ppm_x10 < 0 ? 0u - (uint32_t)m->ppm_x10 : (uint32_t)m->ppm_x10;
        buf_printf(b, "%s{\"track\":%u,\"from\":%llu,\"ppm\":%s%u.%u,\"error\":%u.%u}",
                   i ? "," : "", m->track, (unsigned long long)m->at, m->ppm_x10 < 0 ? "-" : "",
                   ppm / 10, ppm % 10, m->error_x10 / 10, m->error_x10 % 10);
    }
    buf_lit(b, "],\n");
}

static void put_sums(struct buf *b, const struct record *rec)
{
    const char *sep = "";
    buf_lit(b, "\"sums\":[");
    for (unsigned i = 0; i < RECORD_TRACKS; i++) {
        const uint64_t *s = rec->marks.sum[i].samples;
        if (!(s[RECORD_LOST] | s[RECORD_HELD] | s[RECORD_ADDED] | s[RECORD_LEFT_OUT]))
            continue;
        buf_printf(b, "%s{\"track\":%u,\"lost\":%llu,\"held\":%llu", sep, i,
                   (unsigned long long)s[RECORD_LOST], (unsigned long long)s[RECORD_HELD]);
        buf_printf(b, ",\"added\":%llu,\"left_out\":%llu}", (unsigned long long)s[RECORD_ADDED],
                   (unsigned long long)s[RECORD_LEFT_OUT]);
        sep = ",";
    }
    buf_lit(b, "],\n");
}

void record_marks_write(struct buf *b, const struct record *rec)
{
    if (rec->marks.text) {
        buf_z(b, rec->marks.text);
        return;
    }
    put_gaps(b, &rec->marks.gap);
    put_shifts(b, &rec->marks.shift);
    put_clocks(b, &rec->marks.clock);
    put_sums(b, rec);
    buf_printf(b, "\"unlisted\":%u,\n\"listed_until\":%llu,\n", rec->marks.unlisted,
               (unsigned long long)rec->samples);
}
