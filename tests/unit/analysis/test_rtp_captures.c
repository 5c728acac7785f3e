/* The streams of captures of other people's traffic, beside what tshark finds there, if both are at
 * hand. */
#include "read_test.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "analysis/audio.h"
#include "analysis/engine.h"
#include "base/num.h"
#include "engine/media/srtp.h"

static const char *folder(void)
{
    static const char *const places[] = {TEST_DATA "/../../../shared/captures",
                                         TEST_DATA "/../../../../shared/captures"};
    for (unsigned i = 0; i < ARRAY_LEN(places); i++)
        if (access(places[i], R_OK) == 0)
            return places[i];
    return NULL;
}

/* Feeds every datum to `rx`. */
static void each_datum(const uint8_t *p, size_t n, void (*rx)(void *, const struct an_datum *),
                       void *user)
{
    static struct cap c;
    struct cap_frame f;
    struct an_input *in;
    struct an_datum d;
    size_t used;
    int r;
    assert_int_equal(an_input_new(&in, NULL), 0);
    cap_init(&c);
    while ((r = cap_next(&c, p, n, true, &f, &used)) != 0) {
        if (r > 0) {
            an_input_frame(in, &f);
            while (an_input_next(in, &d))
                rx(user, &d);
        }
        p += used;
        n -= used;
    }
    an_input_end(in);
    while (an_input_next(in, &d))
        rx(user, &d);
    an_input_free(in);
}

static void rx_engine(void *user, const struct an_datum *d)
{
    an_engine_rx(user, d);
}

static struct an_engine *read_all(const uint8_t *p, size_t n)
{
    struct an_engine *e;
    assert_int_equal(
        an_engine_new(&e, &(struct an_engine_args){.max_legs = 1000, .max_streams = 1000}), 0);
    each_datum(p, n, rx_engine, e);
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

/* ---- beside tshark --------------------------------------------------------------------------- */

/* A line of `tshark -z rtp,streams`. Times in milliseconds. */
struct line {
    struct addr src, dst;
    uint32_t ssrc;
    unsigned packets;
    int lost;
    double mean_jitter, most_jitter;
};

static bool line_read(struct line *ret, char *text)
{
    char *word[64], *save = NULL;
    unsigned n = 0;
    for (char *w = strtok_r(text, " \n", &save); w && n < ARRAY_LEN(word);
         w = strtok_r(NULL, " \n", &save))
        word[n++] = w;
    if (n < 14 || strncmp(word[6], "0x", 2) != 0)
        return false;
    if (addr_parse(&ret->src, str_z(word[2]), (uint16_t)atoi(word[3])) ||
        addr_parse(&ret->dst, str_z(word[4]), (uint16_t)atoi(word[5])))
        return false;
    ret->ssrc = (uint32_t)strtoul(word[6], NULL, 16);
    unsigned i = 7;
    while (i < n && word[i][0] != '(')
        i++; /* names may be several words */
    unsigned last = word[n - 1][0] == 'X' ? n - 2 : n - 1;
    ret->packets = (unsigned)atoi(word[i - 2]);
    ret->lost = atoi(word[i - 1]);
    ret->most_jitter = atof(word[last]);
    ret->mean_jitter = atof(word[last - 1]);
    return true;
}

static const struct an_stream *stream_of(const struct an_rtp *r, const struct line *l)
{
    for (uint32_t i = 0; i < an_rtp_streams(r); i++) {
        const struct an_stream *s = an_rtp_stream(r, i);
        if (s->ssrc == l->ssrc && addr_eq(&s->src, &l->src) && addr_eq(&s->dst, &l->dst))
            return s;
    }
    return NULL;
}

static bool near(double a, double b)
{
    double d = a > b ? a - b : b - a;
    return d < 0.1 || d < b / 20;
}

/* tshark leaves out what it has no conversation for, and takes telephone-events for jitter; nothing
 * else may differ. */
static unsigned compare(const struct an_rtp *r, const char *name, const struct line *l)
{
    const struct an_stream *s = stream_of(r, l);
    bool more = strcmp(name, "video-reinvite-rtp.pcap") == 0;
    if (s && s->packets + s->repeated == l->packets && (int64_t)s->lost == l->lost &&
        (s->n_digits || (near(s->most_jitter_us / 1000.0, l->most_jitter) &&
                         near(s->jitter_us / 1000.0, l->mean_jitter))))
        return 0;
    if (s && more && s->packets >= l->packets)
        return 0;
    printf("%s %08x: %u packets, %d lost, jitter %.3f %.3f; here %llu, %llu, %.3f %.3f\n", name,
           l->ssrc, l->packets, l->lost, l->mean_jitter, l->most_jitter,
           s ? (unsigned long long)s->packets : 0, s ? (unsigned long long)s->lost : 0,
           s ? s->jitter_us / 1000.0 : 0, s ? s->most_jitter_us / 1000.0 : 0);
    return 1;
}

static struct an_engine *engine_of(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", folder(), name);
    struct file f = file_read(path);
    assert_non_null(f.p);
    struct an_engine *e = read_all(f.p, f.n);
    if (getenv("SHOW")) {
        printf("%s\n", name);
        show(e);
    }
    free(f.p);
    return e;
}

/* The number of lines of tshark; wrong ones are counted. */
static unsigned beside(const char *name, unsigned *wrong)
{
    char command[640], text[512];
    struct an_engine *e = engine_of(name);
    struct line l;
    unsigned n = 0;
    snprintf(command, sizeof(command), "tshark -r '%s/%s' -q -z rtp,streams 2>/dev/null", folder(),
             name);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    while (fgets(text, sizeof(text), f))
        if (line_read(&l, text)) {
            *wrong += compare(an_engine_rtp(e), name, &l);
            n++;
        }
    pclose(f);
    an_engine_free(e);
    return n;
}

static void as_tshark_counts(void **state)
{
    static const char *const names[] = {
        "aaa.pcap",
        "b2bua-asterisk-2phones.pcapng",
        "sip-call-rtp-g711.pcap",
        "sip-g722.pcap",
        "sip-dtmf-rfc2833.cap",
        "sip-g711-both-laws.pcap",
        "sip-opus.pcap",
        "sip-over-tcp.pcap",
        "sip-prack-rtp.pcap",
        "srtp-sdes.pcap",
        "video-reinvite-rtp.pcap",
        "sip-zrtp-zfone.pcap",
    };
    if (!folder() || system("command -v tshark >/dev/null") != 0) {
        fprintf(stderr, "no captures in ../shared/captures, or no tshark: not compared\n");
        skip();
    }
    unsigned wrong = 0, lines = 0;
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        lines += beside(names[i], &wrong);
    assert_int_equal(lines, 26);
    assert_int_equal(wrong, 0);
}

/* The keys that were pressed in it, as its authors say. */
static void keys(void **state)
{
    if (!folder())
        skip();
    struct an_engine *e = engine_of("sip-dtmf-rfc2833.cap");
    const struct an_rtp *r = an_engine_rtp(e);
    char got[16] = "";
    for (uint32_t i = 0; i < an_rtp_streams(r); i++)
        for (uint32_t k = 0; k < an_rtp_stream(r, i)->n_digits && k < 15; k++)
            got[k] = an_rtp_stream(r, i)->digit[k].digit;
    assert_string_equal(got, "6789123");
    an_engine_free(e);
}

/* ---- sound ----------------------------------------------------------------------------------- */

/* The tracks of one call and their mix. */
struct heard {
    struct an_plan plan;
    struct an_audio *audio;
    int16_t *s[AN_AUDIO_MAX_TRACKS + 1];
    uint32_t n;
};

static void heard_take(struct heard *h)
{
    int16_t *out[AN_AUDIO_MAX_TRACKS + 1];
    unsigned n;
    do {
        for (uint32_t i = 0; i <= h->plan.n_tracks; i++)
            out[i] = h->s[i] + h->n;
        n = an_audio_take(h->audio, 48000, out);
        h->n += n;
    } while (n);
}

static void rx_heard(void *user, const struct an_datum *d)
{
    struct heard *h = user;
    while (!an_audio_rx(h->audio, d))
        heard_take(h);
    heard_take(h);
}

static void wav_write_file(const struct heard *h, uint32_t track, const char *name)
{
    char path[256];
    if (!getenv("WAV"))
        return;
    snprintf(path, sizeof(path), "%s/%s-%u.raw", getenv("WAV"), name, track);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(h->s[track], 2, h->n, f), h->n);
    fclose(f);
}

/* How like speech it is: noise is unlike itself one sample later. */
static double likeness(const int16_t *s, uint32_t n)
{
    double same = 1, next = 0;
    for (uint32_t i = 1; i < n; i++) {
        same += (double)s[i] * s[i];
        next += (double)s[i] * s[i - 1];
    }
    return next / same;
}

static struct heard *hear_call(struct an_engine *e, uint32_t call, const char *name)
{
    char path[512];
    struct heard *h = calloc(1, sizeof(*h));
    snprintf(path, sizeof(path), "%s/%s", folder(), name);
    struct file f = file_read(path);
    an_audio_plan(e, call, &h->plan);
    assert_int_equal(an_audio_new(&h->audio, e, &h->plan, 0), 0);
    uint64_t all = (h->plan.to_ns - h->plan.from_ns) / 1000000 * 48 + 48000;
    for (uint32_t i = 0; i <= h->plan.n_tracks; i++)
        h->s[i] = malloc(all * sizeof(int16_t));
    each_datum(f.p, f.n, rx_heard, h);
    an_audio_end(h->audio);
    while (!an_audio_done(h->audio))
        heard_take(h);
    free(f.p);
    for (uint32_t i = 0; i <= h->plan.n_tracks; i++) {
        double sum = 0;
        for (uint32_t k = 0; k < h->n; k++)
            sum += (double)h->s[i][k] * h->s[i][k];
        const struct an_track_stats *st = an_audio_stats(h->audio, i);
        wav_write_file(h, i, name);
        if (getenv("SHOW"))
            printf("  %s: %u samples, level %.0f, likeness %.2f, %llu packets, %llu locked, %llu "
                   "unreadable, %llu late, %llu ms concealed\n",
                   i < h->plan.n_tracks ? h->plan.track[i].name : "mix", h->n, sqrt(sum / h->n),
                   likeness(h->s[i], h->n), (unsigned long long)st->packets,
                   (unsigned long long)st->locked, (unsigned long long)st->unreadable,
                   (unsigned long long)st->late, (unsigned long long)st->concealed_ms);
    }
    return h;
}

static void heard_free(struct heard *h)
{
    an_audio_free(h->audio);
    for (unsigned i = 0; i <= AN_AUDIO_MAX_TRACKS; i++)
        free(h->s[i]);
    free(h);
}

/* Two phones with SRTP through an exchange: two tracks of speech. */
static void srtp_is_speech(void **state)
{
    static const char name[] = "srtp-sdes.pcap";
    if (!folder())
        skip();
    struct an_engine *e = engine_of(name);
    uint32_t found = 0;
    for (uint32_t i = 0; i < an_engine_calls(e); i++) {
        struct heard *h = hear_call(e, i, name);
        if (h->plan.n_tracks) {
            assert_int_equal(h->plan.n_tracks, 2);
            for (unsigned t = 0; t < 2; t++) {
                assert_int_equal(an_audio_stats(h->audio, t)->locked, 0);
                assert_int_equal(an_audio_stats(h->audio, t)->packets, 1135);
                assert_true(likeness(h->s[t], h->n) > 0.3);
            }
            found++;
        }
        heard_free(h);
    }
    assert_int_equal(found, 1);
    an_engine_free(e);
}

static void all_calls_are_heard(void **state)
{
    static const char *const names[] = {"sip-call-rtp-g711.pcap", "sip-g722.pcap", "sip-opus.pcap",
                                        "sip-dtmf-rfc2833.cap", "sip-prack-rtp.pcap"};
    if (!folder())
        skip();
    for (unsigned n = 0; n < ARRAY_LEN(names); n++) {
        struct an_engine *e = engine_of(names[n]);
        uint32_t tracks = 0;
        for (uint32_t i = 0; i < an_engine_calls(e); i++) {
            struct heard *h = hear_call(e, i, names[n]);
            for (uint32_t t = 0; t < h->plan.n_tracks; t++) {
                const struct an_track_stats *st = an_audio_stats(h->audio, t);
                assert_int_equal(st->unreadable + st->late, 0);
                assert_true(likeness(h->s[t], h->n) > 0.5);
                tracks++;
            }
            heard_free(h);
        }
        assert_true(tracks > 0);
        an_engine_free(e);
    }
}

int main(void)
{
    if (srtp_start())
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_tshark_counts),
        cmocka_unit_test(keys),
        cmocka_unit_test(srtp_is_speech),
        cmocka_unit_test(all_calls_are_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
