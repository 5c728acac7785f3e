/* What a party is told by us, as a track of its own beside what it says. */
#include <errno.h>

#include "bed.h"

#define LINK 77
#define HZ   8000

struct tape {
    int16_t pcm[4][HZ * 6]; /* the mix, tracks 1 to 3 */
    bool silent[4][60];     /* of each block */
    uint64_t at;
    unsigned blocks;
};

static void take(struct bed *b, struct tape *t)
{
    struct plane_block k;
    struct plane_tap tap;
    while (plane_block(&b->r, &k)) {
        assert_int_equal(k.record, 5);
        assert_int_equal(k.at, t->at); /* nothing is missing */
        for (unsigned i = 0; i < k.n; i++) {
            unsigned track = k.plane[i].track == PLANE_REC_MIX ? 0 : k.plane[i].track;
            memcpy(t->pcm[track] + k.at, k.plane[i].pcm, k.samples * 2);
            t->silent[track][t->blocks] = k.plane[i].silent;
        }
        for (unsigned i = 0; i < k.n_marks; i++)
            assert_int_not_equal(k.mark[i].track, 2); /* nobody's packets are missing in it */
        t->at += k.samples;
        t->blocks++;
    }
    while (plane_tap(&b->r, &tap))
        ;
}

static void pass(struct bed *b, struct tape *t, unsigned ms)
{
    for (; ms >= 20; ms -= 20) {
        run(b, 20);
        take(b, t);
    }
}

/* A recording has what it was begun with. */
static bool mix_alone;

static struct media_cmd record_cmd(media_id id, uint8_t track, bool said)
{
    struct media_cmd c = {.kind = MEDIA_RECORD, .id = id};
    c.record.number = 5;
    c.record.rate_hz = HZ;
    c.record.track = track;
    c.record.mixed = true;
    c.record.tracks = !mix_alone;
    c.record.said = said;
    return c;
}

/* A caller whose packets take the buffer's time, and a program at it. */
static struct tape *begin(struct bed *b, const struct media_format *f, bool barge_in)
{
    struct media_cmd c = {.kind = MEDIA_TAP, .id = 1, .on = true};
    c.tap.link = LINK;
    c.tap.rate_hz = HZ;
    c.tap.sound = c.tap.voice = true;
    c.tap.barge_in = barge_in;
    side_open(b, A, f, 500);
    b->s[A].mute = true;
    cmd(b, c);
    cmd(b, record_cmd(1, 1, false));
    cmd(b, record_cmd(1, 2, true));
    return mem_zero(sizeof(struct tape));
}

static void feed(struct bed *b, double hz, unsigned ms)
{
    static uint64_t at;
    for (; ms >= 20; ms -= 20) {
        int16_t pcm[HZ / 50];
        sine(pcm, HZ / 50, at, hz, HZ, 8000);
        at += HZ / 50;
        struct plane_feed f = {
            .kind = PLANE_FEED_SOUND, .id = 1, .link = LINK, .came = b->now, .n = HZ / 50};
        f.pcm = pcm;
        (void)plane_feed(&b->r, b->now, &f);
    }
}

/* Frames of 20 ms in which something is heard. */
static uint64_t loud(const int16_t *pcm, unsigned n)
{
    uint64_t ret = 0;
    for (unsigned k = 0; k < n / (HZ / 50) && k < 64; k++) {
        unsigned some = 0;
        for (unsigned i = 0; i < HZ / 50; i++)
            some += abs(pcm[k * (HZ / 50) + i]) > 1000;
        ret |= (uint64_t)(some > 20) << k;
    }
    return ret;
}

static void end(struct bed *b, struct tape *t)
{
    struct media_cmd c = {.kind = MEDIA_RECORD_STOP};
    c.record.number = 5;
    cmd(b, c);
    pass(b, t, 100);
    assert_true(list_empty(&b->r.recs));
    mem_free(t);
}

/* The caller hears it in the frames in which the track has it, and its own track has none of it. */
static void test_what_is_fed_is_a_track(void **state)
{
    struct bed *b = *state;
    struct tape *t = begin(b, &formats[0], false);
    pass(b, t, 200);
    feed(b, 1300, 400);
    pass(b, t, 800);
    assert_int_equal(t->at, HZ);
    assert_int_equal(loud(t->pcm[2], HZ), loud(b->s[A].heard, HZ));
    assert_int_equal(__builtin_popcountll(loud(t->pcm[2], HZ)), 20);
    assert_true(level(t->pcm[2] + HZ / 4, HZ / 4, 1300, HZ) > 7000);
    assert_true(level(t->pcm[0] + HZ / 4, HZ / 4, 1300, HZ) > 7000);
    assert_true(level(t->pcm[1], HZ, 1300, HZ) < 10);
    b->s[A].mute = false;
    pass(b, t, 400);
    assert_true(level(t->pcm[1] + HZ + HZ / 10, HZ / 10, 500, HZ) > 6000);
    assert_true(level(t->pcm[2] + HZ, HZ / 5, 500, HZ) < 10);
    end(b, t);
}

static void side_close(struct bed *b)
{
    cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 1});
    mouth_done(&b->s[A].mouth);
    b->s[A].mouth = (struct mouth){0};
}

/* Codecs of other rates, and what is only mixed. */
static void test_it_is_mixed_in_any_codec(void **state)
{
    struct bed *b = *state;
    for (unsigned k = 0; k < 5; k++) {
        mix_alone = k > 0;
        struct tape *t = begin(b, &formats[k], false);
        pass(b, t, 200);
        feed(b, 1300, 600);
        pass(b, t, 600);
        assert_true(level(t->pcm[0] + HZ * 2 / 5, HZ / 5, 1300, HZ) > 6500);
        assert_int_equal(t->silent[0][0], false);
        side_close(b);
        end(b, t);
    }
    mix_alone = false;
}

/* The caller speaks up: what it does not hear any more is not in the track either. */
static void test_a_barge_in_cuts_it(void **state)
{
    static const double pitch[] = {180, 240, 210, 300, 190, 270};
    struct bed *b = *state;
    struct tape *t = begin(b, &formats[0], true);
    pass(b, t, 200);
    feed(b, 1300, 4000);
    pass(b, t, 300);
    b->s[A].mute = false;
    for (unsigned k = 0; k < 15; k++) {
        b->s[A].hz = pitch[k % 6];
        pass(b, t, 20);
    }
    pass(b, t, 200);
    uint64_t said = loud(t->pcm[2], HZ * 7 / 10);
    assert_int_equal(said, loud(b->s[A].heard, HZ * 7 / 10));
    assert_in_range(__builtin_popcountll(said), 14, 20);
    end(b, t);
}

/* What is played counts as well; when the track is given up the other one goes on. */
static void test_what_is_played_is_a_track(void **state)
{
    struct bed *b = *state;
    struct tape *t = begin(b, &formats[0], false);
    give_clip(b, 3, 1300, 16000, 300);
    pass(b, t, 200);
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 3}, false, 0);
    pass(b, t, 600);
    /* The end is faded out for who hears it. */
    uint64_t said = loud(t->pcm[2], HZ * 4 / 5), heard = loud(b->s[A].heard, HZ * 4 / 5);
    assert_int_equal(said & ~heard, 0);
    assert_int_equal(said & -said, heard & -heard);
    assert_in_range(__builtin_popcountll(said), 14, 16);
    assert_in_range(__builtin_popcountll(heard ^ said), 0, 1);
    struct media_cmd c = record_cmd(1, 2, true);
    c.record.leave = true;
    cmd(b, c);
    b->s[A].mute = false;
    play(b, A, (struct media_item){.kind = MEDIA_ITEM_CLIP, .clip = 3}, false, 0);
    uint64_t from = t->at;
    pass(b, t, 400);
    assert_true(level(t->pcm[2] + from, HZ / 5, 1300, HZ) < 10);
    assert_true(t->silent[2][from / (HZ / 10) + 1]);
    assert_true(level(t->pcm[1] + from + HZ / 10, HZ / 5, 500, HZ) > 6000);
    end(b, t);
}

/* A party that is on hold is told nothing, and that is what is written; and a stream that ends
 * leaves both its tracks. */
static void test_who_hears_nothing_was_told_nothing(void **state)
{
    struct bed *b = *state;
    struct tape *t = begin(b, &formats[0], false);
    cmd(b, (struct media_cmd){
               .kind = MEDIA_SET, .id = 1, .rtp = phone(0), .receiving = true, .sending = false});
    feed(b, 1300, 1000);
    pass(b, t, 400);
    assert_int_equal(loud(t->pcm[2], HZ * 2 / 5), 0);
    cmd(b, (struct media_cmd){
               .kind = MEDIA_SET, .id = 1, .rtp = phone(0), .receiving = true, .sending = true});
    pass(b, t, 200);
    assert_int_not_equal(loud(t->pcm[2] + HZ * 2 / 5, HZ / 5), 0);
    cmd(b, (struct media_cmd){.kind = MEDIA_CLOSE, .id = 1});
    b->s[A].quiet = true;
    uint64_t from = t->at;
    pass(b, t, 200);
    assert_int_equal(loud(t->pcm[2] + from, HZ / 10), 0);
    end(b, t);
}

/* Refused for want of memory it leaves all as it was. */
static void test_without_memory(void **state)
{
    struct bed *b = *state;
    side_open(b, A, &formats[0], 500);
    for (uint64_t nth = 1; nth <= 4; nth++) {
        struct media_cmd c = record_cmd(1, 2, true);
        mem_fail_after(nth);
        int err = plane_cmd(&b->r, b->now, &c);
        mem_fail_after(0);
        assert_true(err == 0 || err == -ENOMEM);
        struct media_cmd stop = {.kind = MEDIA_RECORD_STOP};
        stop.record.number = 5;
        run(b, 40);
        cmd(b, stop);
        struct plane_block k;
        for (unsigned i = 0; i < 3; i++) {
            run(b, 20);
            while (plane_block(&b->r, &k))
                ;
        }
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_what_is_fed_is_a_track),
        T(test_it_is_mixed_in_any_codec),
        T(test_a_barge_in_cuts_it),
        T(test_what_is_played_is_a_track),
        T(test_who_hears_nothing_was_told_nothing),
        T(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
