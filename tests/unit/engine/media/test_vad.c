/* Who speaks, and who only makes a noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "engine/media/codec.h"
#include "engine/media/vad.h"
#include "sound.h"

#define RATE  8000
#define FRAME (RATE / 50)
#define MOST  (RATE * 20)

static int16_t sound[MOST];
static uint32_t seed = 1;

static int noise(int amplitude)
{
    seed = seed * 1664525u + 1013904223u;
    return (int)(seed >> 8 & 0xFFFF) * 2 * amplitude / 65536 - amplitude;
}

/* Sentence `name` after `before` samples of nothing, over a hiss; returns where it ends. */
static unsigned speech(const char *name, unsigned before, int hiss)
{
    char path[256];
    uint8_t law[RATE * 8];
    snprintf(path, sizeof(path), "%s/speech/%s.ulaw", TEST_DATA, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(law, 1, sizeof(law), f);
    fclose(f);
    struct media_format ulaw = {.codec = CODEC_PCMU, .clock_hz = RATE};
    const struct codec *c = codec_of(CODEC_PCMU);
    void *dec = c->decoder(&ulaw);
    memset(sound, 0, sizeof(sound));
    for (size_t at = 0; at + FRAME <= n; at += FRAME)
        assert_int_equal(c->decode(dec, law + at, FRAME, sound + before + at), FRAME);
    c->decoder_free(dec);
    for (unsigned i = 0; i < MOST; i++)
        sound[i] = (int16_t)(sound[i] + noise(hiss));
    return before + (unsigned)n;
}

struct told {
    unsigned begins, ends;
    unsigned first_ms, run_ms, last_ms, quiet_ms; /* of the first begin, and of the last end */
};

static struct told watch(struct vad *v, unsigned samples, bool strict)
{
    struct told t = {0};
    for (unsigned at = 0; at + FRAME <= samples; at += FRAME) {
        unsigned ms = (at + FRAME) / (RATE / 1000);
        switch (vad_step(v, sound + at, FRAME, RATE, strict)) {
        case VAD_SAME:
            break;
        case VAD_BEGINS:
            if (!t.begins++) {
                t.first_ms = ms;
                t.run_ms = v->run_ms;
            }
            break;
        case VAD_ENDS:
            t.ends++;
            t.last_ms = ms;
            t.quiet_ms = v->quiet_ms;
            break;
        }
    }
    return t;
}

static void test_speech_begins_and_ends(void **state)
{
    static const char *const names[] = {"en", "ko"};
    static const int hisses[] = {0, 20, 60, 150};
    (void)state;
    for (unsigned i = 0; i < 2; i++)
        for (unsigned k = 0; k < 4; k++) {
            struct vad v;
            unsigned before = RATE * 2, end = speech(names[i], before, hisses[k]);
            vad_init(&v, 60, 400);
            struct told t = watch(&v, end + RATE, false);
            assert_int_equal(t.begins, 1);
            assert_int_equal(t.ends, 1);
            /* The first sound of a sentence may be weak. */
            assert_in_range(t.first_ms, 2000 + 20, 2000 + 240);
            assert_in_range(t.run_ms, 60, 100);
            assert_int_equal(t.quiet_ms, 400);
            assert_in_range(t.last_ms, end / 8 - 300, end / 8 + 480);
        }
}

/* Every beginning of a burst of strong voice is seen within 60 ms of its first frame. */
static void test_onset_is_as_short_as_asked(void **state)
{
    (void)state;
    for (unsigned onset = 60; onset <= 200; onset += 70) {
        struct vad v;
        unsigned end = speech("en", RATE, 10);
        vad_init(&v, (uint16_t)onset, 300);
        struct told t = watch(&v, end, false);
        assert_true(t.begins >= 1);
        assert_in_range(t.run_ms, onset, onset + 60);
    }
}

static void test_noise_is_no_voice(void **state)
{
    (void)state;
    static const int levels[] = {30, 300, 1500, 6000};
    for (unsigned k = 0; k < 4; k++) {
        struct vad v;
        vad_init(&v, 60, 400);
        for (unsigned i = 0; i < MOST; i++)
            sound[i] = (int16_t)noise(i < MOST / 2 ? levels[k] / 4 : levels[k]);
        assert_int_equal(watch(&v, MOST, false).begins, 0);
    }
}

static void test_tones_are_no_voice(void **state)
{
    (void)state;
    static const double tones[] = {200, 425, 697, 1209, 2000};
    for (unsigned k = 0; k < 5; k++) {
        struct vad v;
        vad_init(&v, 60, 400);
        memset(sound, 0, sizeof(sound));
        sine(sound + RATE, RATE * 4, 0, tones[k], RATE, 8000);
        assert_int_equal(watch(&v, RATE * 5, false).begins, 0);
    }
}

static void test_silence_and_its_end(void **state)
{
    (void)state;
    struct vad v;
    vad_init(&v, 60, 400);
    memset(sound, 0, sizeof(sound));
    assert_int_equal(watch(&v, MOST, false).begins, 0);
    unsigned end = speech("ko", 0, 0);
    assert_int_equal(watch(&v, end, false).begins, 1);
}

/* One's own voice that comes back weakly does not interrupt it, though it is taken for speech where
 * nothing is played; a person does. */
static void test_echo_does_not_interrupt(void **state)
{
    (void)state;
    unsigned begins[2][2];
    for (unsigned weak = 0; weak < 2; weak++)
        for (unsigned strict = 0; strict < 2; strict++) {
            struct vad v;
            unsigned end = speech("en", RATE * 2, 90);
            for (unsigned i = RATE * 2; weak && i < end; i++)
                sound[i] = (int16_t)(sound[i] / 20 + noise(90));
            vad_init(&v, 60, 400);
            begins[weak][strict] = watch(&v, end, strict).begins;
        }
    assert_true(begins[0][0] && begins[0][1] && begins[1][0]);
    assert_int_equal(begins[1][1], 0);
}

/* A key that is pressed while one speaks, or music on hold behind it: the tone is no speech. */
static void test_a_tone_behind_speech_does_not_go_on(void **state)
{
    (void)state;
    struct vad v;
    unsigned end = speech("ko", RATE, 10);
    sine(sound + end, RATE * 5, 0, 600, RATE, 8000);
    vad_init(&v, 60, 400);
    struct told t = watch(&v, end + RATE * 5, false);
    assert_int_equal(t.ends, t.begins);
    assert_true(t.last_ms < end / 8 + 700);
}

/* A noise that stays becomes the background, and speech over it is heard. */
static void test_background_is_learnt(void **state)
{
    (void)state;
    struct vad v;
    unsigned end = speech("en", RATE * 6, 250);
    vad_init(&v, 60, 400);
    struct told t = watch(&v, end + RATE, false);
    assert_int_equal(t.begins, 1);
    assert_in_range(t.first_ms, 6020, 6300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_speech_begins_and_ends),
        cmocka_unit_test(test_onset_is_as_short_as_asked),
        cmocka_unit_test(test_noise_is_no_voice),
        cmocka_unit_test(test_tones_are_no_voice),
        cmocka_unit_test(test_silence_and_its_end),
        cmocka_unit_test(test_echo_does_not_interrupt),
        cmocka_unit_test(test_background_is_learnt),
        cmocka_unit_test(test_a_tone_behind_speech_does_not_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
