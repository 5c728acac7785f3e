/* Properties that hold for every example in tests/data/sdp: those of the RFCs and of phones. */
#include "unit/wire/sdp/sdp_test.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

static char text[SDP_MAX_BYTES], out[4 * SDP_MAX_BYTES];

static struct str load(const char *name)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/sdp/%s", TEST_DATA, name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    return str_of(text, n);
}

static unsigned for_each(void (*check)(struct arena *a, struct str s), struct arena *a)
{
    DIR *d = opendir(TEST_DATA "/sdp");
    unsigned n = 0;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) {
        if (e->d_name[0] == '.')
            continue;
        arena_reset(a);
        check(a, load(e->d_name));
        n++;
    }
    closedir(d);
    return n;
}

/* Byte for byte, since the examples are canonical. */
static void check_equal(struct arena *a, struct str s)
{
    struct sdp parsed;
    struct sdp_error err;
    struct buf b;
    if (sdp_parse(&parsed, s, a, &err)) {
        print_error("%.80s: " STR_FMT "\n", s.p, STR_ARG(sdp_reason_text(err.reason)));
        fail();
    }
    buf_init(&b, out, sizeof(out));
    assert_int_equal(sdp_build(&b, &parsed), 0);
    assert_true(str_eq(buf_str(&b), s));
    for (size_t cap = 0; cap < s.n; cap += 7) {
        buf_init(&b, out, cap);
        assert_int_equal(sdp_build(&b, &parsed), -ENOBUFS);
        assert_int_equal(b.n, 0);
    }
}

static void round_trip(void **state)
{
    assert_true(for_each(check_equal, *state) > 70);
}

static void check_bare_lf(struct arena *a, struct str s)
{
    static char lf[SDP_MAX_BYTES];
    struct sdp parsed;
    struct buf b;
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != '\r')
            lf[n++] = s.p[i];
    assert_int_equal(sdp_parse(&parsed, str_of(lf, n), a, NULL), 0);
    buf_init(&b, out, sizeof(out));
    assert_int_equal(sdp_build(&b, &parsed), 0);
    assert_true(str_eq(buf_str(&b), s));
}

static void line_feeds_alone(void **state)
{
    for_each(check_bare_lf, *state);
}

static void check_cut(struct arena *a, struct str s)
{
    for (size_t n = 0; n < s.n; n++) {
        struct sdp one, two;
        struct sdp_error err;
        struct buf b;
        /* Its own block, so that a sanitizer sees a read behind the end. */
        char *copy = mem_alloc(n ? n : 1);
        memcpy(copy, s.p, n);
        arena_reset(a);
        if (sdp_parse(&one, str_of(copy, n), a, &err) == 0) {
            buf_init(&b, out, sizeof(out));
            assert_int_equal(sdp_build(&b, &one), 0);
            assert_int_equal(sdp_parse(&two, buf_str(&b), a, &err), 0);
            assert_true(sdp_equal_but_origin(&one, &two));
        } else {
            assert_true(err.position <= n);
        }
        mem_free(copy);
    }
}

static void cut_at_every_byte(void **state)
{
    for_each(check_cut, *state);
}

static void memory_runs_out(void **state)
{
    struct arena *a = *state;
    struct str s = load("browser-webrtc.sdp");
    struct sdp parsed;
    struct sdp_error err;
    /* The heap refuses: the arena has no chunk at all. */
    mem_fail_after(1);
    int got = sdp_parse(&parsed, s, a, &err);
    mem_fail_after(0);
    assert_int_equal(got, -ENOMEM);
    assert_int_equal(err.reason, SDP_NO_MEMORY);
    /* The arena is used up by somebody else, at every possible place. */
    bool enough = false;
    for (size_t left = 0; !enough && left < 32768; left += 16) {
        arena_done(a);
        arena_init(a, 32768);
        assert_non_null(arena_take(a, 32768 - left));
        parsed.n_media = 99;
        got = sdp_parse(&parsed, s, a, &err);
        enough = got == 0;
        if (!enough) {
            assert_int_equal(got, -ENOMEM);
            assert_int_equal(parsed.n_media, 99);
        }
    }
    assert_true(enough);
}

static void steady_state_allocates_nothing(void **state)
{
    struct arena *a = *state;
    struct str s = load("typical.sdp");
    struct sdp parsed;
    assert_int_equal(sdp_parse(&parsed, s, a, NULL), 0);
    uint64_t before = mem_requests();
    for (int i = 0; i < 1000; i++) {
        arena_reset(a);
        assert_int_equal(sdp_parse(&parsed, s, a, NULL), 0);
    }
    assert_int_equal(mem_requests(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        sdp_unit(round_trip),
        sdp_unit(line_feeds_alone),
        sdp_unit(cut_at_every_byte),
        sdp_unit(memory_runs_out),
        sdp_unit(steady_state_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
