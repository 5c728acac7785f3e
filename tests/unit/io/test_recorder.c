/* Recordings from blocks to files: alignment, gaps, limits, conversions. */
#include "record_test.h"

static void test_tracks_are_aligned(void **state)
{
    struct world *w = *state;
    const uint8_t both[] = {2, RECORD_MIX};
    start(w);
    begin(w, 7, "call-1", SOUND_WAV, RECORD_FILE_MIX | RECORD_FILE_TRACKS);
    assert_int_equal(recorder_meta(w->r, 7, STR("{\"a\":[1,\n2]}")), 0);
    for (uint64_t at = 0; at < 8000; at += STEP) {
        struct record_block *b = block(w, 7, at, 2, both);
        if (at >= 4000) /* not looked at: value() never is 0 */
            b->plane[0].flags = RECORD_SILENT;
        assert_true(recorder_put(w->r, b));
    }
    const uint8_t late[] = {RECORD_MIX, 63, 64, 200};
    for (uint64_t at = 8000; at < 16000; at += STEP)
        assert_true(recorder_put(w->r, block(w, 7, at, 4, late)));
    end(w, 7);
    expect_file(w, "call-1.wav", RECORD_MIX, 16000, 0, 16000);
    expect_file(w, "call-1-track2.wav", 2, 16000, 0, 4000);
    expect_file(w, "call-1-track63.wav", 63, 16000, 8000, 16000);
    assert_false(there(w, "call-1-track64.wav"));
    assert_int_equal(w->last_ended.err, 0);
    assert_int_equal(w->last_ended.ms, 2000);
    assert_int_equal(w->last_ended.bytes, 3 * 32044);
    assert_int_equal(w->last_ended.gap_n, 0);
    assert_int_equal(w->failed, 0);
    expect_sidecar(w, "call-1", "\"state\":\"done\"");
    expect_sidecar(w, "call-1", "\"convert_to\":null");
    expect_sidecar(w, "call-1",
                   "\"files\":[{\"name\":\"call-1-track2.wav\",\"track\":2,\"bytes\":32044},"
                   "{\"name\":\"call-1-track63.wav\",\"track\":63,\"bytes\":32044},"
                   "{\"name\":\"call-1.wav\",\"track\":null,\"bytes\":32044}]");
    expect_sidecar(w, "call-1", "\"number\":7,\n\"rate\":8000,\n\"samples\":16000,\n\"gaps\":[],");
    expect_sidecar(w, "call-1", "\"call\":{\"a\":[1,\n2]}\n}");
    assert_int_equal(recorder_stats_get(w->r).blocks, 100);
    assert_int_equal(recorder_stats_get(w->r).open, 0);
}

/* Only what was asked for; a folder of its own; blocks for nobody. */
static void test_which_files(void **state)
{
    struct world *w = *state;
    const uint8_t both[] = {0, RECORD_MIX};
    start(w);
    struct record_begin b = {1, "2026-11-21", "a", SOUND_WAV, RECORD_FILE_MIX};
    assert_int_equal(recorder_begin(w->r, &b), 0);
    begin(w, 2, "b", SOUND_WAV, RECORD_FILE_TRACKS);
    for (uint64_t number = 1; number <= 3; number++)
        assert_true(recorder_put(w->r, block(w, number, 0, 2, both)));
    end(w, 1);
    end(w, 2);
    expect_file(w, "2026-11-21/a.wav", RECORD_MIX, STEP, 0, STEP);
    assert_false(there(w, "2026-11-21/a-track0.wav"));
    expect_file(w, "b-track0.wav", 0, STEP, 0, STEP);
    assert_false(there(w, "b.wav"));
    assert_true(recorder_put(w->r, block(w, 2, STEP, 2, both)));
    stop(w);
    assert_int_equal(mem_live(), 1); /* the loop */
}

static void test_names(void **state)
{
    struct world *w = *state;
    static const char *const bad[] = {"",         ".a",         "-a", "a/b",  "a b", "\xc3\xa4",
                                      "a-track1", "a-track007", "..", "a\"b", "a\n"};
    static const char *const good[] = {"a", "a-track", "a-trackx", "track1", "1.2_3+4@5"};
    struct record_begin b = {1, "", "a", SOUND_WAV, RECORD_FILE_MIX};
    char longest[RECORD_BASE_MAX + 2];
    w->cfg.max_open = 7;
    start(w);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        b.base = bad[i];
        assert_int_equal(recorder_begin(w->r, &b), -EINVAL);
        assert_int_equal(recorder_delete(w->r, "", bad[i]), -EINVAL);
    }
    b.base = "a";
    b.folder = "..";
    assert_int_equal(recorder_begin(w->r, &b), -EINVAL);
    assert_int_equal(recorder_delete(w->r, "a/b", "a"), -EINVAL);
    b.folder = "";
    b.files = 0;
    assert_int_equal(recorder_begin(w->r, &b), -EINVAL);
    memset(longest, 'x', sizeof(longest));
    longest[RECORD_BASE_MAX + 1] = '\0';
    b.files = RECORD_FILE_MIX;
    b.base = longest;
    assert_int_equal(recorder_begin(w->r, &b), -EINVAL);
    longest[RECORD_BASE_MAX] = '\0';
    assert_int_equal(recorder_begin(w->r, &b), 0);
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        begin(w, 2 + i, good[i], SOUND_WAV, RECORD_FILE_MIX);
    begin(w, 99, "last", SOUND_WAV, RECORD_FILE_MIX);
    assert_int_equal(recorder_begin(w->r, &b), -EMFILE);
    end(w, 99);
    begin(w, 99, "one-more", SOUND_WAV, RECORD_FILE_MIX);
    assert_int_equal(recorder_meta(w->r, 1, str_of(longest, RECORD_META_MAX + 1)), -EFBIG);
    stop(w);
    assert_int_equal(w->failed, 0);
    assert_int_equal(w->ended, 8);
}

static void test_gaps(void **state)
{
    struct world *w = *state;
    const uint8_t t = 0;
    start(w);
    begin(w, 1, "a", SOUND_WAV, RECORD_FILE_TRACKS);
    feed(w, 1, 320, 640, 0);        /* the beginning is missing */
    feed(w, 1, 480, 800, 0);        /* one was there already, one is new */
    feed(w, 1, 720, 720 + STEP, 0); /* half of it is new */
    feed(w, 1, 5000, 5000 + STEP, 0);
    feed(w, 1, 0, STEP, 0); /* too late */
    end(w, 1);
    uint32_t n;
    int16_t *s = load(w, "a-track0.wav", &n);
    assert_int_equal(n, 5000 + STEP);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(s[i], (i >= 320 && i < 880) || i >= 5000 ? value(0, i) : 0);
    free(s);
    assert_int_equal(w->last_ended.gap_n, 2);
    assert_int_equal(w->last_ended.gap_samples, 320 + 4120);
    assert_int_equal(w->gap[0].from, 0);
    assert_int_equal(w->gap[0].samples, 320);
    assert_int_equal(w->gap[1].from, 880);
    assert_int_equal(w->gap[1].samples, 4120);
    expect_sidecar(w, "a", "\"gaps\":[[0,320],[880,4120]],\n\"gap_samples\":4440");
    /* More than are listed. */
    begin(w, 2, "b", SOUND_WAV, RECORD_FILE_TRACKS);
    for (uint64_t i = 0; i < 300; i++)
        assert_true(recorder_put(w->r, block(w, 2, i * 2 * STEP + STEP, 1, &t)));
    end(w, 2);
    assert_int_equal(w->last_ended.gap_n, RECORD_GAPS_MAX);
    assert_int_equal(w->last_ended.gap_samples, 300 * STEP);
}

static void mark(struct world *w, uint64_t number, struct record_mark m)
{
    struct record_block *b = recorder_block_get(w->r, 0, 0);
    assert_non_null(b);
    b->record = number;
    b->rate_hz = RATE;
    b->at = 0;
    b->mark[b->n_marks++] = m;
    assert_true(recorder_put(w->r, b));
}

/* What the media plane knows of the tracks: gaps, samples put in and left out, clocks. */
static void test_marks(void **state)
{
    struct world *w = *state;
    start(w);
    begin(w, 1, "a", SOUND_WAV, RECORD_FILE_MIX);
    feed(w, 1, 0, 8000, RECORD_MIX);
    mark(w, 1, (struct record_mark){.kind = RECORD_LOST, .track = 1, .at = 100, .samples = 900});
    mark(w, 1, (struct record_mark){.kind = RECORD_HELD, .track = 2, .at = 2000, .samples = 4000});
    mark(w, 1, (struct record_mark){.kind = RECORD_LEFT_OUT, .track = 1, .at = 50, .samples = 80});
    mark(w, 1, (struct record_mark){.kind = RECORD_ADDED, .track = 2, .at = 99, .samples = 40});
    mark(w, 1,
         (struct record_mark){.kind = RECORD_CLOCK, .track = 1, .ppm_x10 = 7, .error_x10 = 9});
    mark(w, 1,
         (struct record_mark){.kind = RECORD_CLOCK, .track = 1, .ppm_x10 = -1234, .error_x10 = 15});
    mark(w, 1, (struct record_mark){.kind = RECORD_MARKS, .track = 1});
    mark(w, 1, (struct record_mark){.kind = RECORD_LOST, .track = RECORD_TRACKS, .samples = 1});
    end(w, 1);
    expect_sidecar(w, "a",
                   "\"track_gaps\":[[1,100,900,\"lost\"],[2,2000,4000,\"held\"]],\n"
                   "\"shifts\":[[1,50,-80],[2,99,40]],\n"
                   "\"clocks\":[{\"track\":1,\"from\":0,\"ppm\":-123.4,\"error\":1.5}],\n");
    expect_sidecar(w, "a",
                   "{\"track\":1,\"lost\":900,\"held\":0,\"added\":0,\"left_out\":80},"
                   "{\"track\":2,\"lost\":0,\"held\":4000,\"added\":40,\"left_out\":0}],\n"
                   "\"unlisted\":0,\n\"listed_until\":8000,\n");
    expect_sidecar(w, "a", "\"stopped\":null,\n\"stopped_at\":null,\n\"stopped_by\":null,");
    /* More than are listed are counted, and summed up. */
    begin(w, 2, "b", SOUND_WAV, RECORD_FILE_MIX);
    feed(w, 2, 0, 800, RECORD_MIX);
    for (unsigned i = 0; i < RECORD_LISTED_MAX + 5; i++)
        mark(w, 2, (struct record_mark){.kind = RECORD_ADDED, .track = 3, .at = i, .samples = 2});
    end(w, 2);
    expect_sidecar(w, "b", "\"added\":8202,");
    expect_sidecar(w, "b", "\"unlisted\":5,");
}

/* The writer sleeps while far more comes than the queue takes: what is lost is silence, in place.
 */
static void test_full_queue_loses_blocks_not_time(void **state)
{
    struct world *w = *state;
    const uint8_t t = 0;
    unsigned put = 0;
    w->cfg.queue_blocks = 16;
    start(w);
    begin(w, 1, "a", SOUND_WAV, RECORD_FILE_TRACKS);
    for (unsigned i = 0; i < 5000; i++)
        put += recorder_put(w->r, block(w, 1, i * STEP, 1, &t));
    uint64_t lost = recorder_stats_get(w->r).lost_full;
    assert_true(put >= 16 && lost > 0);
    assert_int_equal(put + lost, 5000);
    while (!recorder_put(w->r, block(w, 1, 5000 * STEP, 1, &t)))
        loop_run_once(w->loop, 5);
    end(w, 1);
    uint32_t n, silent = 0;
    int16_t *s = load(w, "a-track0.wav", &n);
    assert_int_equal(n, 5001 * STEP);
    for (uint32_t i = 0; i < n; i++) {
        silent += s[i] == 0;
        assert_true(s[i] == 0 || s[i] == value(0, i));
    }
    free(s);
    assert_int_equal(silent, lost * STEP);
    assert_int_equal(w->last_ended.gap_samples, lost * STEP);
}

/* In the steady state the media thread and the writer ask for no memory. */
static void test_blocks_come_back(void **state)
{
    struct world *w = *state;
    start(w);
    begin(w, 1, "a", SOUND_WAV, RECORD_FILE_TRACKS);
    uint64_t at = 0, requests = 0;
    for (unsigned round = 0; round < 20; round++) {
        if (round == 5)
            requests = mem_requests();
        feed(w, 1, at, at + 50 * STEP, 0);
        at += 50 * STEP;
        LOOP_UNTIL(w->loop, recorder_stats_get(w->r).blocks == at / STEP);
    }
    assert_int_equal(mem_requests(), requests);
    end(w, 1);
    expect_file(w, "a-track0.wav", 0, (uint32_t)at, 0, (uint32_t)at);
}

/* What may wait in memory is bounded; spare blocks of another size do not stand in the way. */
static void test_block_memory(void **state)
{
    struct world *w = *state;
    struct record_block *small[64], *large;
    unsigned n = 0;
    w->cfg.queue_bytes = 16384;
    start(w);
    while (n < 64 && (small[n] = recorder_block_get(w->r, 1, STEP)))
        n++;
    assert_true(n > 10 && n < 50);
    assert_int_equal(recorder_stats_get(w->r).lost_memory, 1);
    assert_null(recorder_block_get(w->r, 2, 1600));
    for (unsigned i = 0; i < n; i++) {
        small[i]->record = 1;
        small[i]->at = 0;
        small[i]->rate_hz = RATE;
        assert_true(recorder_put(w->r, small[i]));
    }
    LOOP_UNTIL(w->loop, recorder_stats_get(w->r).stray == n);
    large = recorder_block_get(w->r, 2, 1600);
    assert_non_null(large);
    large->rate_hz = RATE;
    large->record = 1;
    assert_true(recorder_put(w->r, large));
    mem_fail_after(1);
    assert_null(recorder_block_get(w->r, 1, 320));
    mem_fail_after(0);
}

static void test_conversion(void **state)
{
    struct world *w = *state;
    start(w);
    begin(w, 1, "flac", SOUND_FLAC, RECORD_FILE_MIX | RECORD_FILE_TRACKS);
    begin(w, 2, "opus", SOUND_OPUS, RECORD_FILE_MIX);
    for (uint64_t at = 0; at < 80000; at += STEP) {
        const uint8_t both[] = {0, RECORD_MIX};
        assert_true(recorder_put(w->r, block(w, 1, at, 2, both)));
        assert_true(recorder_put(w->r, block(w, 2, at, 2, both)));
    }
    assert_int_equal(recorder_end(w->r, 1), 0);
    assert_int_equal(recorder_end(w->r, 2), 0);
    LOOP_UNTIL(w->loop, w->ended == 2);
    assert_int_equal(w->failed, 0);
    expect_file(w, "flac.flac", RECORD_MIX, 80000, 0, 80000);
    expect_file(w, "flac-track0.flac", 0, 80000, 0, 80000);
    uint32_t n;
    free(load(w, "opus.opus", &n));
    assert_int_equal(n, 80000);
    assert_false(there(w, "flac.wav") || there(w, "flac-track0.wav") || there(w, "opus.wav"));
    assert_false(there(w, "flac.flac.part") || there(w, "opus.opus.part"));
    expect_sidecar(w, "flac", "{\"name\":\"flac-track0.flac\",\"track\":0,\"bytes\":");
    expect_sidecar(w, "opus", "\"convert_to\":null,\n\"note\":null,");
    struct stat st;
    assert_int_equal(stat(path_of(w, "opus.opus"), &st), 0);
    assert_true(st.st_size < 160000 / 3);
}

/* A conversion that cannot be: the WAV stays, and the sidecar says why. */
static void test_conversion_fails(void **state)
{
    struct world *w = *state;
    const uint8_t mix = RECORD_MIX;
    start(w);
    begin(w, 1, "a", SOUND_OPUS, RECORD_FILE_MIX);
    struct record_block *b = block(w, 1, 0, 1, &mix);
    b->rate_hz = 11025;
    assert_true(recorder_put(w->r, b));
    end(w, 1);
    assert_int_equal(w->last_ended.err, 0);
    assert_true(there(w, "a.wav"));
    assert_false(there(w, "a.opus") || there(w, "a.opus.part"));
    expect_sidecar(w, "a", "\"note\":\"a.opus: operation not supported");
    expect_sidecar(w, "a", "{\"name\":\"a.wav\"");
}

/* When more wait than may, what ends stays a WAV file. */
static void test_too_many_to_convert(void **state)
{
    struct world *w = *state;
    w->cfg.max_open = 1;
    start(w);
    begin(w, 1, "long", SOUND_OPUS, RECORD_FILE_TRACKS);
    feed(w, 1, 0, 20000 * STEP, 0);
    assert_int_equal(recorder_end(w->r, 1), 0);
    LOOP_UNTIL(w->loop, recorder_stats_get(w->r).open == 0);
    begin(w, 2, "short", SOUND_OPUS, RECORD_FILE_TRACKS);
    feed(w, 2, 0, STEP, 0);
    assert_int_equal(recorder_end(w->r, 2), 0);
    LOOP_UNTIL(w->loop, w->ended == 2);
    assert_int_equal(recorder_stats_get(w->r).converting, 0);
    assert_true(there(w, "long-track0.opus") && there(w, "short-track0.wav"));
    expect_sidecar(w, "short", "\"note\":\"too many wait to be made smaller\"");
}

/* Another one's files are not touched. */
static void test_name_is_taken(void **state)
{
    struct world *w = *state;
    start(w);
    begin(w, 1, "a", SOUND_WAV, RECORD_FILE_TRACKS);
    feed(w, 1, 0, 800, 0);
    end(w, 1);
    begin(w, 2, "a", SOUND_FLAC, RECORD_FILE_TRACKS);
    feed(w, 2, 0, 1600, 0);
    LOOP_UNTIL(w->loop, w->failed == 1);
    assert_int_equal(w->last_failed.number, 2);
    assert_int_equal(w->last_failed.err, -EEXIST);
    assert_string_equal(w->failed_text, "a: file already exists");
    assert_int_equal(recorder_meta(w->r, 2, STR("2")), 0);
    end(w, 2);
    assert_int_equal(w->last_ended.err, -EEXIST);
    assert_int_equal(w->last_ended.bytes, 0);
    expect_file(w, "a-track0.wav", 0, 800, 0, 800);
    expect_sidecar(w, "a", "\"number\":1,");
    expect_sidecar(w, "a", "\"call\":null");
    /* A WAV without a sidecar stands in the way only when it is wanted. */
    assert_int_equal(close(open(path_of(w, "b-track0.wav"), O_CREAT | O_WRONLY, 0600)), 0);
    begin(w, 3, "b", SOUND_WAV, RECORD_FILE_TRACKS);
    feed(w, 3, 0, 800, 0);
    LOOP_UNTIL(w->loop, w->failed == 2);
    assert_int_equal(w->last_failed.err, -EEXIST);
    end(w, 3);
    expect_sidecar(w, "b", "\"state\":\"failed\"");
    expect_sidecar(w, "b", "\"stopped_by\":\"b-track0.wav: file already exists\"");
}

static void test_limits_of_one(void **state)
{
    struct world *w = *state;
    const uint8_t t = 0;
    w->cfg.max_s = 2;
    w->cfg.max_files = 2;
    start(w);
    begin(w, 1, "long", SOUND_FLAC, RECORD_FILE_TRACKS);
    feed(w, 1, 0, 17000, 0);
    LOOP_UNTIL(w->loop, w->failed == 1);
    assert_int_equal(w->last_failed.err, -EFBIG);
    assert_string_equal(w->failed_text, "longer than 2 seconds: file too large");
    end(w, 1);
    expect_file(w, "long-track0.flac", 0, 16000, 0, 16000);
    expect_sidecar(w, "long", "\"stopped_by\":\"longer than 2 seconds: file too large\"");
    begin(w, 2, "far", SOUND_WAV, RECORD_FILE_TRACKS);
    assert_true(recorder_put(w->r, block(w, 2, UINT64_MAX - 10, 1, &t)));
    end(w, 2);
    assert_int_equal(w->last_ended.err, -EFBIG);
    begin(w, 3, "rate", SOUND_WAV, RECORD_FILE_TRACKS);
    feed(w, 3, 0, 800, 0);
    struct record_block *b = block(w, 3, 800, 1, &t);
    b->rate_hz = 16000;
    assert_true(recorder_put(w->r, b));
    end(w, 3);
    assert_int_equal(w->last_ended.err, -EINVAL);
    expect_file(w, "rate-track0.wav", 0, 800, 0, 800);
    begin(w, 4, "many", SOUND_WAV, RECORD_FILE_TRACKS);
    const uint8_t three[] = {0, 1, 2};
    assert_true(recorder_put(w->r, block(w, 4, 0, 3, three)));
    end(w, 4);
    assert_int_equal(w->last_ended.err, -EMFILE);
    assert_int_equal(w->failed, 4);
    /* The files of those that failed are closed. */
    begin(w, 5, "two", SOUND_WAV, RECORD_FILE_TRACKS);
    assert_true(recorder_put(w->r, block(w, 5, 0, 2, three)));
    end(w, 5);
    assert_int_equal(w->last_ended.err, 0);
}

/* One recording needs more than the disk has; the other one goes on. */
static void test_disk_full(void **state)
{
    struct world *w = *state;
    struct rlimit old, few;
    start(w);
    begin(w, 1, "much", SOUND_WAV, RECORD_FILE_TRACKS);
    begin(w, 2, "little", SOUND_WAV, RECORD_FILE_TRACKS);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    few = old;
    few.rlim_cur = 100001;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    feed(w, 2, 0, 800, 0);
    feed(w, 1, 0, 80000, 0);
    feed(w, 2, 800, 16000, 0);
    LOOP_UNTIL(w->loop, w->failed == 1);
    assert_int_equal(w->last_failed.number, 1);
    assert_int_equal(w->last_failed.err, -EFBIG);
    assert_string_equal(w->failed_text, "much-track0.wav: file too large");
    assert_int_equal(w->last_failed.ms, (100001 - 44) / 2 / 8); /* not that of what came later */
    mark(w, 1, (struct record_mark){.kind = RECORD_LOST, .at = 49000, .samples = 9000});
    mark(w, 1, (struct record_mark){.kind = RECORD_LOST, .at = 50000, .samples = 9000});
    end(w, 1);
    expect_sidecar(w, "much", "\"samples\":49978,");
    expect_sidecar(w, "much", "\"track_gaps\":[[0,49000,978,\"lost\"]],");
    expect_sidecar(w, "much", "\"stopped_at\":49978,");
    end(w, 2);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(w->failed, 1);
    expect_file(w, "much-track0.wav", 0, (100001 - 44) / 2, 0, (100001 - 44) / 2);
    expect_file(w, "little-track0.wav", 0, 16000, 0, 16000);
    expect_sidecar(w, "much", "\"state\":\"failed\"");
}

/* In a process of its own, on a disk of 512 KiB. What went wrong, 0: nothing, SKIP: there is no
 * such disk to be had. */
#define SKIP 77

static int on_a_small_disk(struct world *w)
{
    const uint8_t two[] = {0, 1};
    if (unshare(CLONE_NEWNS | (geteuid() ? CLONE_NEWUSER : 0)) ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
        mount("tmpfs", w->dir, "tmpfs", 0, "size=512k"))
        return SKIP;
    struct loop *loop;
    struct record_begin b = {1, "", "a", SOUND_FLAC, RECORD_FILE_TRACKS};
    if (loop_new(&loop) || recorder_open(&w->r, loop, &w->cfg) || recorder_begin(w->r, &b))
        return 1;
    for (uint64_t at = 0; at < 400000; at += STEP)
        (void)recorder_put(w->r, block(w, 1, at, 2, two));
    for (uint64_t until = test_ms() + 10000; !w->failed && test_ms() < until;)
        loop_run_once(loop, 20);
    if (w->failed != 1 || w->last_failed.err != -ENOSPC ||
        !strstr(w->failed_text, ".wav: no space left on device"))
        return 2;
    if (recorder_end(w->r, 1))
        return 3;
    for (uint64_t until = test_ms() + 10000; !w->ended && test_ms() < until;)
        loop_run_once(loop, 20);
    char command[512];
    snprintf(command, sizeof(command),
             "cd %s && test $(ls | wc -l) = 3 && grep -q '\"state\":\"failed\"' a.json && "
             "grep -q '\"stopped\":\"disk-full\"' a.json",
             w->dir);
    if (w->ended != 1 || system(command))
        return 4;
    SF_INFO info = {0};
    SNDFILE *f = sf_open(path_of(w, "a-track1.wav"), SFM_READ, &info);
    return f && info.frames > 100000 ? 0 : 5;
}

static void test_disk_really_full(void **state)
{
    struct world *w = *state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(on_a_small_disk(w));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIP)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_too_little_room_on_the_disk(void **state)
{
    struct world *w = *state;
    w->cfg.min_free_bytes = UINT64_MAX;
    start(w);
    begin(w, 1, "a", SOUND_WAV, RECORD_FILE_TRACKS);
    feed(w, 1, 0, 800, 0);
    LOOP_UNTIL(w->loop, w->failed == 1);
    assert_int_equal(w->last_failed.err, -ENOSPC);
    assert_string_equal(w->failed_text,
                        "less than 17592186044415 MiB free: no space left on device");
    end(w, 1);
    expect_file(w, "a-track0.wav", 0, 800, 0, 800);
}

/* Nothing can be written where the folder should be. */
static void test_folder_cannot_be_made(void **state)
{
    struct world *w = *state;
    start(w);
    assert_int_equal(close(open(path_of(w, "x"), O_CREAT | O_WRONLY, 0600)), 0);
    struct record_begin b = {1, "x", "a", SOUND_WAV, RECORD_FILE_MIX};
    assert_int_equal(recorder_begin(w->r, &b), 0);
    end(w, 1);
    assert_int_equal(w->failed, 1);
    assert_int_equal(w->last_failed.err, -ENOTDIR);
}

static void test_delete(void **state)
{
    struct world *w = *state;
    start(w);
    recording(w, 1, "day", "a");
    recording(w, 2, "day", "ab");
    assert_int_equal(recorder_delete(w->r, "day", "a"), 0);
    begin(w, 3, "c", SOUND_FLAC, RECORD_FILE_TRACKS);
    feed(w, 3, 0, 800, 0);
    assert_int_equal(recorder_delete(w->r, "", "c"), 0);
    assert_int_equal(recorder_delete(w->r, "", "unknown"), 0);
    feed(w, 3, 800, 1600, 0);
    end(w, 3);
    assert_int_equal(w->last_ended.err, 0);
    assert_int_equal(w->last_ended.ms, 200);
    assert_false(there(w, "day/a.json") || there(w, "day/a-track0.wav"));
    assert_true(there(w, "day/ab.json") && there(w, "day/ab-track0.wav"));
    assert_false(there(w, "c.json") || there(w, "c-track0.wav") || there(w, "c-track0.flac"));
}

static void test_open_without_memory(void **state)
{
    struct world *w = *state;
    int err = -ENOMEM;
    for (uint64_t nth = 1; err; nth++) {
        assert_true(nth < 10);
        mem_fail_after(nth);
        err = recorder_open(&w->r, w->loop, &w->cfg);
        mem_fail_after(0);
        assert_true(err == 0 || (err == -ENOMEM && !w->r));
    }
    struct record_begin b = {1, "", "a", SOUND_WAV, RECORD_FILE_MIX};
    for (uint64_t nth = 1; nth <= 2; nth++) {
        mem_fail_after(nth);
        assert_int_equal(recorder_begin(w->r, &b), -ENOMEM);
        mem_fail_after(0);
    }
    mem_fail_after(1);
    assert_int_equal(recorder_end(w->r, 1), -ENOMEM);
    assert_int_equal(recorder_meta(w->r, 1, STR("1")), -ENOMEM);
    assert_int_equal(recorder_delete(w->r, "", "a"), -ENOMEM);
    mem_fail_after(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_tracks_are_aligned),
        TEST(test_which_files),
        TEST(test_names),
        TEST(test_gaps),
        TEST(test_marks),
        TEST(test_full_queue_loses_blocks_not_time),
        TEST(test_blocks_come_back),
        TEST(test_block_memory),
        TEST(test_conversion),
        TEST(test_conversion_fails),
        TEST(test_too_many_to_convert),
        TEST(test_name_is_taken),
        TEST(test_limits_of_one),
        TEST(test_disk_full),
        TEST(test_disk_really_full),
        TEST(test_too_little_room_on_the_disk),
        TEST(test_folder_cannot_be_made),
        TEST(test_delete),
        TEST(test_open_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
