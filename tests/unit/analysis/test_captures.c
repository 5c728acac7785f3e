/* Captures of other people's traffic, if they are at hand: as many SIP messages are found in each
 * as its manifest says, and whatever is cut off a small one, what is before it is read. */
#include "read_test.h"

#include <dirent.h>

#include "base/num.h"

struct tally {
    uint64_t frames, sip, udp, bad, warnings;
};

static struct tally read_all(const uint8_t *p, size_t n, bool show)
{
    /* In memory that ends with it, so that a look behind it is seen. */
    uint8_t *copy = malloc(n ? n : 1);
    assert_non_null(copy);
    memcpy(copy, p, n);
    p = copy;
    struct tally t = {0};
    static struct cap c;
    struct cap_frame f;
    struct an_input *in;
    struct an_datum d;
    struct an_warning w;
    size_t used;
    int r;
    assert_int_equal(an_input_new(&in, NULL), 0);
    cap_init(&c);
    while ((r = cap_next(&c, p, n, true, &f, &used)) != 0) {
        if (r < 0) {
            t.bad++;
        } else {
            an_input_frame(in, &f);
            while (an_input_next(in, &d)) {
                t.sip += d.kind == AN_SIP;
                t.udp += d.kind == AN_UDP_DATA;
                if (show && d.kind == AN_SIP)
                    printf("%llu %.*s\n", (unsigned long long)d.frame,
                           (int)strcspn(d.bytes.p, "\r"), d.bytes.p);
            }
        }
        p += used;
        n -= used;
    }
    an_input_end(in);
    while (an_input_next(in, &d)) {
        t.sip += d.kind == AN_SIP;
        t.udp += d.kind == AN_UDP_DATA;
    }
    while (an_input_warning(in, &w)) {
        t.warnings++;
        if (show)
            printf("frame %llu: %.*s\n", (unsigned long long)w.frame, STR_ARG(w.text));
    }
    t.frames = an_input_stats(in)->frames;
    an_input_free(in);
    free(copy);
    assert_int_equal(mem_live(), 0);
    return t;
}

static const char *folder(void)
{
    static const char *const places[] = {TEST_DATA "/../../../shared/captures",
                                         TEST_DATA "/../../../../shared/captures"};
    for (unsigned i = 0; i < 2; i++) {
        DIR *d = opendir(places[i]);
        if (d) {
            closedir(d);
            return places[i];
        }
    }
    return NULL;
}

static struct str column(struct str line, unsigned n)
{
    for (; n; n--) {
        ptrdiff_t tab = str_chr(line, '\t');
        line = tab < 0 ? STR("") : str_from(line, (size_t)tab + 1);
    }
    ptrdiff_t tab = str_chr(line, '\t');
    return tab < 0 ? line : str_sub(line, 0, (size_t)tab);
}

static void as_many_as_the_manifest_says(void **state)
{
    char path[512];
    unsigned files = 0, wrong = 0;
    (void)state;
    if (!folder()) {
        fprintf(stderr, "there are no captures at %s\n", TEST_DATA "/../../../shared/captures");
        skip();
    }
    snprintf(path, sizeof(path), "%s/manifest.tsv", folder());
    struct file m = file_read(path);
    assert_non_null(m.p);
    struct str rest = str_of((char *)m.p, m.n);
    bool head = true;
    while (rest.n) {
        ptrdiff_t lf = str_chr(rest, '\n');
        struct str line = lf < 0 ? rest : str_sub(rest, 0, (size_t)lf);
        rest = lf < 0 ? STR("") : str_from(rest, (size_t)lf + 1);
        uint64_t expected;
        if (head || !line.n) {
            head = false;
            continue;
        }
        snprintf(path, sizeof(path), "%s/" STR_FMT, folder(), STR_ARG(column(line, 0)));
        assert_int_equal(num_u64(&expected, column(line, 7), 100000), 0);
        struct file f = file_read(path);
        assert_non_null(f.p);
        struct tally t = read_all(f.p, f.n, getenv("SHOW") && strstr(path, getenv("SHOW")));
        if (t.sip != expected) {
            printf(STR_FMT ": %llu SIP messages, expected %llu (%llu frames, %llu other)\n",
                   STR_ARG(column(line, 0)), (unsigned long long)t.sip,
                   (unsigned long long)expected, (unsigned long long)t.frames,
                   (unsigned long long)t.udp);
            wrong++;
        }
        free(f.p);
        files++;
    }
    free(m.p);
    assert_true(files >= 24);
    assert_int_equal(wrong, 0);
}

/* Of the smallest captures, every beginning. */
static void each_beginning_is_read(void **state)
{
    static const char *const names[] = {"invalid-content-length.pcap", "ipip.pcap", "busy-486.pcap",
                                        "sip-488.pcapng"};
    char path[512];
    (void)state;
    if (!folder())
        skip();
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder(), names[i]);
        struct file f = file_read(path);
        assert_non_null(f.p);
        struct tally before = {0};
        for (size_t n = 0; n <= f.n; n += n % 97 == 0 || n + 200 > f.n ? 1 : 3) {
            struct tally t = read_all(f.p, n, false);
            assert_true(t.bad <= 1);
            assert_true(t.frames >= before.frames && t.sip >= before.sip);
            before = t;
        }
        free(f.p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_many_as_the_manifest_says),
        cmocka_unit_test(each_beginning_is_read),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
