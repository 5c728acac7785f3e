/* What the tests of recordings share: a recorder, blocks with known samples, files to look at. */
#ifndef IO_RECORD_TEST_H
#define IO_RECORD_TEST_H

#include "io_test.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sndfile.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <utime.h>

#include "base/mem.h"
#include "io/recorder.h"

#define RATE 8000
#define STEP 160

struct world {
    char dir[64];
    struct loop *loop;
    struct recorder *r;
    struct recorder_config cfg;
    unsigned failed, ended, found;
    uint64_t found_ms;
    char found_text[256];
    struct record_event last_failed, last_ended;
    char failed_text[RECORD_TEXT_MAX];
    struct record_gap gap[RECORD_GAPS_MAX];
};

static inline void on_event(void *ctx, const struct record_event *e)
{
    struct world *w = ctx;
    if (e->kind == RECORD_FOUND) {
        w->found++;
        w->found_ms = e->ms;
        snprintf(w->found_text, sizeof(w->found_text), "%s/%s " STR_FMT, e->folder, e->base,
                 STR_ARG(e->meta));
        return;
    }
    if (e->kind == RECORD_FAILED) {
        w->failed++;
        w->last_failed = *e;
        snprintf(w->failed_text, sizeof(w->failed_text), "%s", e->text);
        return;
    }
    w->ended++;
    w->last_ended = *e;
    assert_true(e->gap_n <= RECORD_GAPS_MAX);
    memcpy(w->gap, e->gap, e->gap_n * sizeof(e->gap[0]));
}

static inline void start(struct world *w)
{
    assert_int_equal(recorder_open(&w->r, w->loop, &w->cfg), 0);
}

static inline void stop(struct world *w)
{
    recorder_close(w->r);
    w->r = NULL;
}

static inline int world_init(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    test_dir_make(w->dir);
    assert_int_equal(loop_new(&w->loop), 0);
    w->cfg =
        (struct recorder_config){.dir = w->dir, .min_free_bytes = 1, .event = on_event, .ctx = w};
    *state = w;
    return 0;
}

static inline int world_done(void **state)
{
    struct world *w = *state;
    stop(w);
    loop_free(w->loop);
    test_dir_remove(w->dir);
    free(w);
    return mem_live() != 0;
}

static inline void begin(struct world *w, uint64_t number, const char *base, enum sound_format f,
                         unsigned files)
{
    struct record_begin b = {number, "", base, f, files};
    assert_int_equal(recorder_begin(w->r, &b), 0);
}

/* What track t has at sample i: never 0. */
static inline int16_t value(unsigned t, uint64_t i)
{
    return (int16_t)(1 + t * 1000 + i % 997);
}

static inline struct record_block *block(struct world *w, uint64_t number, uint64_t at,
                                         unsigned planes, const uint8_t *track)
{
    struct record_block *b = recorder_block_get(w->r, planes, STEP);
    assert_non_null(b);
    b->record = number;
    b->at = at;
    b->rate_hz = RATE;
    for (unsigned p = 0; p < planes; p++) {
        b->plane[p] = (struct record_plane){track[p], 0};
        for (unsigned i = 0; i < STEP; i++)
            record_samples(b, p)[i] = value(track[p], at + i);
    }
    return b;
}

static inline void feed(struct world *w, uint64_t number, uint64_t from, uint64_t to, uint8_t track)
{
    for (uint64_t at = from; at < to; at += STEP)
        assert_true(recorder_put(w->r, block(w, number, at, 1, &track)));
}

static inline void end(struct world *w, uint64_t number)
{
    unsigned was = w->ended;
    assert_int_equal(recorder_end(w->r, number), 0);
    LOOP_UNTIL(w->loop, w->ended > was);
    assert_int_equal(w->last_ended.number, number);
}

static inline char *path_of(struct world *w, const char *name)
{
    static char path[256];
    snprintf(path, sizeof(path), "%s/%s", w->dir, name);
    return path;
}

static inline bool there(struct world *w, const char *name)
{
    return access(path_of(w, name), F_OK) == 0;
}

/* All samples of a file; the caller frees. */
static inline int16_t *load(struct world *w, const char *name, uint32_t *n)
{
    SF_INFO info = {0};
    SNDFILE *f = sf_open(path_of(w, name), SFM_READ, &info);
    if (!f)
        fail_msg("%s: %s", name, sf_strerror(NULL));
    assert_int_equal(info.samplerate, RATE);
    assert_int_equal(info.channels, 1);
    int16_t *s = calloc((size_t)info.frames + 1, sizeof(*s));
    assert_int_equal(sf_readf_short(f, s, info.frames), info.frames);
    sf_close(f);
    *n = (uint32_t)info.frames;
    return s;
}

/* The file is n samples of silence, but for those of the track between from and to. */
static inline void expect_file(struct world *w, const char *name, unsigned t, uint32_t n,
                               uint32_t from, uint32_t to)
{
    uint32_t got;
    int16_t *s = load(w, name, &got);
    assert_int_equal(got, n);
    for (uint32_t i = 0; i < n; i++)
        if (s[i] != (i >= from && i < to ? value(t, i) : 0))
            fail_msg("%s: sample %u is %d", name, i, s[i]);
    free(s);
}

/* The sidecar is JSON, and has this text in it. */
static inline void expect_sidecar(struct world *w, const char *base, const char *text)
{
    char command[512], name[160], content[65536] = "";
    snprintf(name, sizeof(name), "%s.json", base);
    snprintf(command, sizeof(command), "python3 -m json.tool %s/%s /dev/null", w->dir, name);
    assert_int_equal(system(command), 0);
    FILE *f = fopen(path_of(w, name), "r");
    assert_non_null(f);
    content[fread(content, 1, sizeof(content) - 1, f)] = '\0';
    fclose(f);
    if (!strstr(content, text))
        fail_msg("no %s in %s", text, content);
}

static inline void file_put(struct world *w, const char *name, const char *content)
{
    FILE *f = fopen(path_of(w, name), "w");
    assert_non_null(f);
    fputs(content, f);
    fclose(f);
}

/* A second of one track. */
static inline void recording(struct world *w, uint64_t number, const char *folder, const char *base)
{
    struct record_begin b = {number, folder, base, SOUND_WAV, RECORD_FILE_TRACKS};
    assert_int_equal(recorder_begin(w->r, &b), 0);
    feed(w, number, 0, 8000, 0);
    end(w, number);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_init, world_done)

#endif
