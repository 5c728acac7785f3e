/* Recordings after a kill, and those that have to go. */
#include "record_test.h"

/* ---- kills ----------------------------------------------------------------------------------- */

/* Records at four times the speed of speech until it is killed; tells how far it is. */
static void child_main(struct world *w, int fd)
{
    struct loop *loop;
    if (loop_new(&loop) || recorder_open(&w->r, loop, &w->cfg))
        _exit(1);
    struct record_begin b = {1, "", "killed", SOUND_FLAC, RECORD_FILE_TRACKS | RECORD_FILE_MIX};
    const uint8_t both[] = {RECORD_MIX, 5};
    if (recorder_begin(w->r, &b) || recorder_meta(w->r, 1, STR("{\"from\":\"1427\"}")))
        _exit(1);
    for (uint64_t at = 0;; at += STEP) {
        struct record_block *gap = at == 800 ? recorder_block_get(w->r, 0, 0) : NULL;
        if (gap) {
            gap->record = 1;
            gap->rate_hz = RATE;
            gap->at = 0;
            gap->n_marks = 1;
            gap->mark[0] =
                (struct record_mark){.kind = RECORD_LOST, .track = 5, .at = 160, .samples = 320};
            (void)recorder_put(w->r, gap);
        }
        if (at == 16000 && recorder_meta(w->r, 1, STR("{\"from\":\"1427\"}")))
            _exit(1);
        if (!recorder_put(w->r, block(w, 1, at, 2, both)))
            _exit(1);
        uint64_t n = at + STEP;
        if (write(fd, &n, sizeof(n)) != sizeof(n))
            _exit(1);
        usleep(5000);
    }
}

static void test_killed(void **state)
{
    struct world *w = *state;
    int fds[2], status;
    uint64_t n = 0, written = 0;
    assert_int_equal(pipe(fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        child_main(w, fds[1]);
    close(fds[1]);
    while (written < 80000 && read(fds[0], &n, sizeof(n)) == sizeof(n))
        written = n;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    close(fds[0]);
    expect_sidecar(w, "killed", "\"state\":\"recording\",\n\"convert_to\":\"flac\"");
    free(load(w, "killed.wav", &(uint32_t){0})); /* opens as it is */
    start(w);
    LOOP_UNTIL(w->loop, !there(w, "killed.wav") && !there(w, "killed-track5.wav") &&
                            recorder_stats_get(w->r).recovered == 1);
    stop(w);
    assert_int_equal(w->ended, 0);
    expect_sidecar(w, "killed", "\"state\":\"interrupted\",\n\"convert_to\":null");
    /* What was known when the sidecar was written last is known still, and until when. */
    expect_sidecar(w, "killed",
                   "\"gaps\":[],\n\"gap_samples\":0,\n\"track_gaps\":[[5,160,320,\"lost\"]]");
    expect_sidecar(w, "killed", "\n\"listed_until\":1");
    expect_sidecar(w, "killed", "\"stopped\":\"killed\",\n\"stopped_at\":");
    expect_sidecar(w, "killed", "\"stopped_by\":\"interrupted\"");
    expect_sidecar(w, "killed", "\"call\":{\"from\":\"1427\"}\n}\n");
    assert_int_equal(w->found, 1);
    assert_string_equal(w->found_text, "/killed {\"from\":\"1427\"}");
    /* A second of the process's life: four of the recording. */
    uint32_t mix, track;
    int16_t *s = load(w, "killed.flac", &mix);
    for (uint32_t i = 0; i < mix; i++)
        assert_int_equal(s[i], value(RECORD_MIX, i));
    free(s);
    free(load(w, "killed-track5.flac", &track));
    assert_true(mix + 5 * RATE >= written && track + 5 * RATE >= written);
    assert_int_equal(w->found_ms, (mix > track ? mix : track) / (RATE / 1000));
    /* It is done with. */
    start(w);
    begin(w, 2, "next", SOUND_WAV, RECORD_FILE_TRACKS);
    end(w, 2);
    assert_int_equal(recorder_stats_get(w->r).recovered, 0);
    assert_int_equal(w->found, 1);
}

/* Stopped before it was made smaller; the next process does it. */
static void test_stopped_before_conversion(void **state)
{
    struct world *w = *state;
    start(w);
    begin(w, 1, "a", SOUND_FLAC, RECORD_FILE_TRACKS);
    assert_int_equal(recorder_meta(w->r, 1, STR("[\"\\n\"]")), 0);
    feed(w, 1, 0, 800, 0);
    feed(w, 1, 960, 8000, 0);
    stop(w);
    assert_int_equal(w->ended, 1);
    assert_int_equal(w->last_ended.ms, 1000);
    assert_int_equal(w->last_ended.bytes, 16044);
    expect_sidecar(w, "a", "\"state\":\"done\",\n\"convert_to\":\"flac\"");
    int fd = open(path_of(w, "a-track0.flac.part"), O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, "half", 4), 4);
    close(fd);
    start(w);
    LOOP_UNTIL(w->loop, !there(w, "a-track0.wav"));
    stop(w);
    uint32_t n;
    int16_t *s = load(w, "a-track0.flac", &n);
    assert_int_equal(n, 8000);
    for (uint32_t i = 0; i < n; i++)
        assert_int_equal(s[i], i >= 800 && i < 960 ? 0 : value(0, i));
    free(s);
    assert_false(there(w, "a-track0.flac.part"));
    expect_sidecar(w, "a", "\"state\":\"done\",\n\"convert_to\":null");
    expect_sidecar(w, "a",
                   "\"number\":1,\n\"rate\":8000,\n\"samples\":8000,\n\"gaps\":[[800,160]]");
    expect_sidecar(w, "a", "\"call\":[\"\\n\"]\n}\n");
    assert_int_equal(w->ended, 1);
}

/* Sidecars that are not ours, or are damaged, are left as they are, and their files too. */
static void test_foreign_sidecars(void **state)
{
    struct world *w = *state;
    static const char *const text[] = {
        "",
        "{}",
        "{\n\"ringdown_recording\":1,\n",
        "{\n\"ringdown_recording\":1,\n\"state\":\"recording\",\n\"convert_to\":\"mp3\",\n",
        "{\n\"ringdown_recording\":1,\n\"state\":\"odd\",\n\"convert_to\":null,\n\"note\":null,\n"
        "\"files\":[],\n\"number\":1,\n\"call\":1\n}\n",
        "{\n\"ringdown_recording\":1,\n\"state\":\"recording\",\n\"convert_to\":null,\n\"note\":"
        "null,\n"
        "\"files\":[],\n\"number\":x,\n\"call\":1\n}\n",
        "{\n\"ringdown_recording\":1,\n\"state\":\"recording\",\n\"convert_to\":null,\n\"note\":"
        "null,\n"
        "\"files\":[],\n\"number\":1,\n\"call\":\n}",
    };
    char name[32], command[256], sums[2][4096];
    for (size_t i = 0; i < ARRAY_LEN(text); i++) {
        snprintf(name, sizeof(name), "f%zu.json", i);
        file_put(w, name, text[i]);
        snprintf(name, sizeof(name), "f%zu.wav", i);
        file_put(w, name, "what is this?");
    }
    for (unsigned round = 0; round < 2; round++) {
        snprintf(command, sizeof(command), "cd %s && sha256sum *", w->dir);
        FILE *p = popen(command, "r");
        sums[round][fread(sums[round], 1, sizeof(sums[round]) - 1, p)] = '\0';
        assert_int_equal(pclose(p), 0);
        start(w);
        stop(w);
    }
    assert_string_equal(sums[0], sums[1]);
    assert_non_null(strstr(sums[0], "f6.wav"));
}

/* Of a sidecar that is cut, at any place, nothing is believed. */
static void test_cut_sidecars(void **state)
{
    struct world *w = *state;
    static const char *const text[] = {
        "{\n\"ringdown_recording\":1,\n\"state\":\"recording\",\n\"convert_to\":\"flac\",\n"
        "\"note\":null,\n\"files\":[],\n\"number\":7,\n\"rate\":0,\n\"samples\":0,\n\"gaps\":[],\n"
        "\"gap_samples\":0,\n\"stopped_by\":null,\n\"call\":{\"a\":\n1}\n}\n",
        "{\n\"ringdown_recording\":1,\n\"state\":\"failed\",\n\"convert_to\":\"opus\",\n"
        "\"note\":null,\n\"files\":[],\n\"number\":18446744073709551615,\n\"rate\":8000,\n"
        "\"call\":null\n}\n",
    };
    char name[32], part[512];
    for (size_t k = 0; k < ARRAY_LEN(text); k++)
        for (size_t n = 0; n <= strlen(text[k]); n++) {
            snprintf(name, sizeof(name), "k%zu-%zu.json", k, n);
            snprintf(part, sizeof(part), "%.*s", (int)n, text[k]);
            file_put(w, name, part);
        }
    start(w);
    LOOP_UNTIL(w->loop, recorder_stats_get(w->r).recovered == 2);
    LOOP_UNTIL(w->loop, recorder_stats_get(w->r).converting == 0);
    assert_int_equal(recorder_stats_get(w->r).recovered, 2);
    snprintf(name, sizeof(name), "k0-%zu", strlen(text[0]));
    expect_sidecar(w, name, "\"state\":\"interrupted\",\n\"convert_to\":null");
    expect_sidecar(w, name, "\"call\":{\"a\":\n1}\n}\n");
    snprintf(name, sizeof(name), "k1-%zu", strlen(text[1]));
    expect_sidecar(w, name, "\"number\":18446744073709551615,\n\"rate\":8000,\n\"call\":null\n}\n");
}

/* Two in one folder would repair and remove what the other one writes. */
static void test_one_a_folder(void **state)
{
    struct world *w = *state;
    struct recorder *other = NULL;
    start(w);
    assert_int_equal(recorder_open(&other, w->loop, &w->cfg), -EBUSY);
    assert_null(other);
    recording(w, 1, "", "a");
    stop(w);
    start(w);
}

/* A sidecar that a kill has left half written goes, and nothing else that is called so. */
static void test_half_a_sidecar(void **state)
{
    struct world *w = *state;
    static const char *const other[] = {"a.json.x.tmp", ".json.1.tmp", "a.jso.1.tmp",
                                        "a.json.tmp",   "a.json.1.tm", "a.json1.tmp"};
    file_put(w, "a.json.123.tmp", "{");
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        file_put(w, other[i], "{");
    start(w);
    LOOP_UNTIL(w->loop, !there(w, "a.json.123.tmp"));
    stop(w);
    for (size_t i = 0; i < ARRAY_LEN(other); i++)
        assert_true(there(w, other[i]));
}

/* ---- retention ------------------------------------------------------------------------------- */

static void age(struct world *w, const char *name, unsigned days)
{
    struct utimbuf t = {.modtime = time(NULL) - (time_t)days * 86400 - 60};
    assert_int_equal(utime(path_of(w, name), &t), 0);
}

static void test_old_recordings_go(void **state)
{
    struct world *w = *state;
    start(w);
    recording(w, 1, "", "old");
    recording(w, 2, "", "new");
    recording(w, 3, "day", "old");
    stop(w);
    age(w, "old.json", 30);
    age(w, "new.json", 29);
    age(w, "day/old.json", 31);
    file_put(w, "foreign.json", "{}");
    file_put(w, "foreign.wav", "x");
    file_put(w, "alone-track1.wav", "x");
    file_put(w, "notes.txt", "x");
    age(w, "foreign.json", 99);
    age(w, "alone-track1.wav", 99);
    w->cfg.keep_days = 30;
    start(w);
    LOOP_UNTIL(w->loop, recorder_stats_get(w->r).removed == 2);
    stop(w);
    assert_false(there(w, "old.json") || there(w, "old-track0.wav") || there(w, "day"));
    assert_true(there(w, "new.json") && there(w, "new-track0.wav"));
    assert_true(there(w, "foreign.json") && there(w, "foreign.wav"));
    assert_true(there(w, "alone-track1.wav") && there(w, "notes.txt"));
}

/* The oldest go as soon as an end makes it too much; one under way stays, however large. */
static void test_too_many_recordings_go(void **state)
{
    struct world *w = *state;
    w->cfg.keep_bytes = 60000; /* three of 16 KB and their sidecars */
    start(w);
    begin(w, 99, "open", SOUND_WAV, RECORD_FILE_TRACKS);
    feed(w, 99, 0, 800, 0);
    recording(w, 1, "", "a");
    recording(w, 2, "", "b");
    recording(w, 3, "", "c");
    assert_int_equal(recorder_stats_get(w->r).removed, 0);
    age(w, "a.json", 1);
    age(w, "b.json", 2);
    age(w, "open.json", 9);
    recording(w, 4, "", "d");
    LOOP_UNTIL(w->loop, recorder_stats_get(w->r).removed > 0);
    end(w, 99);
    assert_false(there(w, "b.json") || there(w, "b-track0.wav"));
    assert_true(there(w, "a.json") && there(w, "c.json") && there(w, "d.json"));
    expect_file(w, "open-track0.wav", 0, 800, 0, 800);
    assert_int_equal(recorder_stats_get(w->r).removed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_killed),
        TEST(test_stopped_before_conversion),
        TEST(test_foreign_sidecars),
        TEST(test_cut_sidecars),
        TEST(test_one_a_folder),
        TEST(test_half_a_sidecar),
        TEST(test_old_recordings_go),
        TEST(test_too_many_recordings_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
