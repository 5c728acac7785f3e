/* The streams of captures of other people's traffic, beside what tshark finds there, if both are at
 * hand. */
#include "read_test.h"

#include <dirent.h>
#include <unistd.h>

#include "analysis/engine.h"
#include "base/num.h"

static const char *folder(void)
{
    static const char *const places[] = {TEST_DATA "/../../../shared/captures",
                                         TEST_DATA "/../../../../shared/captures"};
    for (unsigned i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

static struct an_engine *read_all(const uint8_t *p, size_t n)
{
    static struct cap c;
    struct cap_frame f;
    struct an_input *in;
    struct an_datum d;
    struct an_engine *e;
    size_t used;
    int r;
    assert_int_equal(an_input_new(&in, NULL), 0);
    assert_int_equal(
        an_engine_new(&e, &(struct an_engine_args){.max_legs = 1000, .max_streams = 1000}), 0);
    cap_init(&c);
    while ((r = cap_next(&c, p, n, true, &f, &used)) != 0) {
        if (r > 0) {
            an_input_frame(in, &f);
            while (an_input_next(in, &d))
                an_engine_rx(e, &d);
        }
        p += used;
        n -= used;
    }
    an_input_end(in);
    while (an_input_next(in, &d))
        an_engine_rx(e, &d);
    an_input_free(in);
    assert_int_equal(an_engine_settle(e), 0);
    return e;
}

static void show(const struct an_engine *e)
{
    const struct an_rtp *r = an_engine_rtp(e);
    for (uint32_t i = 0; i < an_rtp_streams(r); i++) {
        const struct an_stream *s = an_rtp_stream(r, i);
        const struct an_format *f = an_stream_format(s);
        char text[128];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        addr_put(&b, &s->src);
        buf_lit(&b, " > ");
        addr_put(&b, &s->dst);
        printf("  %.*s %08x leg %d side %u %s packets %llu lost %llu late %u repeated %llu strays "
               "%u restarts %u jumps %u jitter %u/%u us gap %u ms drift %d mos %u sound %u silent "
               "%u gaps %u digits %u samples %u rtcp %u rtt %u secure %d ptime %u\n",
               (int)b.n, b.p, s->ssrc, (int)s->leg, s->side, f ? an_rtp_format_name(r, f).p : "?",
               (unsigned long long)s->packets, (unsigned long long)s->lost, s->late,
               (unsigned long long)s->repeated, s->strays, s->restarts, s->jumps, s->jitter_us,
               s->most_jitter_us, s->most_gap_ms, s->drift_ppm == INT32_MAX ? 0 : s->drift_ppm,
               s->mos_x100, s->sound_ms, s->silent_ms, s->gaps, s->n_digits, s->n_samples,
               s->rtcp.reports, s->rtcp.rtt_us, s->secure, s->packet_ms);
        for (uint32_t k = 0; k < s->n_digits; k++)
            printf("    %c %u ms%s\n", s->digit[k].digit, s->digit[k].ms,
                   s->digit[k].end_lost ? " (end lost)" : "");
    }
}

static void run_file(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder(), name);
    struct file f = file_read(path);
    assert_non_null(f.p);
    struct an_engine *e = read_all(f.p, f.n);
    const struct an_rtp_stats *st = an_rtp_stats(an_engine_rtp(e));
    printf("%s: rtp %llu rtcp %llu other %llu unexpected %llu\n", name, (unsigned long long)st->rtp,
           (unsigned long long)st->rtcp, (unsigned long long)st->other,
           (unsigned long long)st->unexpected);
    show(e);
    an_engine_free(e);
    free(f.p);
}

static void shown(void **state)
{
    if (!folder())
        skip();
    DIR *d = opendir(folder());
    for (struct dirent *x; (x = readdir(d));)
        if (strstr(x->d_name, "cap"))
            run_file(x->d_name);
    closedir(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
