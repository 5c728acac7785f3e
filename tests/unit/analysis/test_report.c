/* Reports: the parts that they are made of, and a small capture told by each of them. */
#include "unit/analysis/report_bed.h"

#include "analysis/cell.h"
#include "analysis/ladder.h"
#include "analysis/table.h"

static struct bed *bare_bed(void **state)
{
    struct bed *b = *state;
    an_sink_init(&b->sink, bed_take, b);
    return b;
}

static void columns_are_counted_as_a_terminal_does(void **state)
{
    (void)state;
    assert_int_equal(an_cell_width(STR("abc")), 3);
    assert_int_equal(an_cell_width(STR("한글")), 4);
    assert_int_equal(an_cell_width(STR("e\xCC\x81")), 1); /* e and a combining accent */
    assert_int_equal(an_cell_width(STR("\xFF\xFE")), 2);  /* each a stand-in */
    assert_int_equal(an_cell_width(STR("\x1b[31m")), 5);  /* seen, not obeyed */
}

static void a_cell_has_its_width_and_no_controls(void **state)
{
    struct bed *b = bare_bed(state);
    an_cell_put(&b->sink, STR("한글 단말"), 6, false);
    an_sink_ch(&b->sink, '|');
    an_cell_put(&b->sink, STR("ab"), 4, true);
    an_sink_ch(&b->sink, '|');
    an_cell_put(&b->sink, STR("a\x1b]0;x\a"), 10, false);
    an_sink_ch(&b->sink, '|');
    an_cell_put(&b->sink,
                STR("\xE2\x80\xAE"
                    "abc"),
                5, false); /* right-to-left override */
    an_sink_ch(&b->sink, '|');
    assert_string_equal(bed_text(b), "한글 …|  ab|a.]0;x.   |\xEF\xBF\xBD"
                                     "abc |");
}

static void json_is_escaped_also_for_a_page(void **state)
{
    struct bed *b = bare_bed(state);
    struct an_json j;
    an_json_init(&j, &b->sink);
    j.in_page = true;
    an_json_object(&j, NULL);
    an_json_str(&j, "a", STR("</script><!--\"\n"));
    an_json_array(&j, "b");
    an_json_fixed(&j, NULL, -25, 1);
    an_json_fixed(&j, NULL, 7, 3);
    an_json_bool(&j, NULL, true);
    an_json_null(&j, NULL);
    an_json_end(&j);
    an_json_time(&j, "c", BED_START_NS + 1);
    an_json_end(&j);
    assert_string_equal(bed_text(b),
                        "{\"a\":\"\\u003c/script>\\u003c!--\\\"\\u000a\",\"b\":[-2.5,0.007,true,"
                        "null],\"c\":\"2026-01-01T00:00:00.000000001Z\"}");
}

/* Long texts go through in pieces, of which none may end within a character. */
static void long_json_text_is_whole(void **state)
{
    struct bed *b = bare_bed(state);
    struct an_json j;
    char text[3 * 1000];
    for (unsigned i = 0; i < 1000; i++)
        memcpy(text + 3 * i, "한", 3);
    an_json_init(&j, &b->sink);
    an_json_str(&j, NULL, str_of(text, sizeof(text)));
    const char *out = bed_text(b);
    assert_int_equal(b->n_out, sizeof(text) + 2);
    assert_memory_equal(out + 1, text, sizeof(text));
}

static void a_sink_keeps_its_first_error(void **state)
{
    struct bed *b = bare_bed(state);
    char big[AN_SINK_BYTES];
    memset(big, 'x', sizeof(big));
    for (unsigned i = 0; i < BED_BYTES / sizeof(big) + 2; i++)
        an_sink_put(&b->sink, big, sizeof(big));
    assert_int_equal(an_sink_flush(&b->sink), -ENOSPC);
}

static void spans_are_short(void **state)
{
    static const struct {
        uint64_t ns;
        const char *text;
    } spans[] = {{0, "0 ms"},
                 {999999999u, "999 ms"},
                 {12340000000u, "12.3 s"},
                 {61500000000u, "1:02"},
                 {3661000000000u, "1:01:01"},
                 {AN_NEVER, "-"}};
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(spans); i++) {
        char mem[32];
        struct buf b;
        buf_init(&b, mem, sizeof(mem));
        an_put_span(&b, spans[i].ns);
        assert_true(str_eq(buf_str(&b), str_z(spans[i].text)));
    }
}

static void the_summary_counts_and_lists(void **state)
{
    struct bed *b = *state;
    struct an_note note = {.frame = 3, .text = STR("odd")};
    bed_call(b, "");
    b->report.note = &note;
    b->report.n_notes = 1;
    bed_settle(b);
    an_report_text(&b->report, &b->sink);
    assert_true(bed_says(b, "UDP 13 (100.00 %)"));
    assert_true(bed_says(b, "INVITE 2, ACK 2, BYE 2"));
    assert_true(bed_says(b, "100 1, 180 2, 200 4"));
    assert_true(bed_says(b, "frame 3: odd"));
    assert_true(bed_says(b, "calls (1)"));
    assert_true(bed_says(b, "   1  00:00:00.000  01077141436       1427"));
    assert_true(bed_says(b, "answered"));
    assert_true(bed_says(b, "  10.0 s"));
}

/* However narrow the terminal, no line is wider. */
static void tables_fit_the_terminal(void **state)
{
    struct bed *b = *state;
    b->report.style.width = 60;
    b->report.style.lang = AN_KOREAN;
    bed_call(b, "");
    bed_settle(b);
    an_report_text(&b->report, &b->sink);
    const char *calls = strstr(bed_text(b), "통화 (1)");
    struct str rest = str_z(calls);
    assert_true(rest.n);
    while (rest.n) {
        ptrdiff_t end = str_chr(rest, '\n');
        struct str line = str_sub(rest, 0, end < 0 ? rest.n : (size_t)end);
        assert_true(an_cell_width(line) <= 60);
        rest = str_from(rest, line.n + 1);
    }
}

static void a_call_is_told_whole(void **state)
{
    struct bed *b = *state;
    b->report.style.unicode = true;
    bed_call(b, "\"Kim\" ");
    bed_settle(b);
    an_report_call(&b->report, 0, &b->sink);
    assert_true(bed_says(b, "01077141436 (Kim)"));
    assert_true(bed_says(b, "ended by       the caller"));
    assert_true(bed_says(b, "was made to connect"));
    assert_true(bed_says(b, "tied by: "));
    assert_true(bed_says(b, "192.0.2.104"));
    assert_true(bed_says(b, " INVITE [PCMU] ─"));
    assert_true(bed_says(b, "▶│"));
    assert_true(bed_says(b, "    2.005   2 "));
}

static void a_narrow_terminal_gets_a_list(void **state)
{
    struct bed *b = *state;
    b->report.style.width = 60;
    bed_call(b, "");
    bed_settle(b);
    an_report_ladder(&b->report, 0, &b->sink);
    assert_true(bed_says(b, "192.0.2.77 > 192.0.2.104  INVITE [PCMU]"));
}

static void what_is_repeated_is_marked(void **state)
{
    struct bed *b = *state;
    bed_request(b, 0, "INVITE", "T1", "");
    bed_request(b, 500, "INVITE", "T1", "");
    bed_response(b, 10, "486 Busy Here", "INVITE", "T1");
    bed_settle(b);
    an_report_call(&b->report, 0, &b->sink);
    assert_true(bed_says(b, "INVITE [PCMU] (again)"));
    assert_true(bed_says(b, "486 Busy Here"));
    assert_true(bed_says(b, "busy, 486"));
}

static void escapes_of_a_peer_do_not_reach_the_terminal(void **state)
{
    struct bed *b = *state;
    bed_call(b, "\"\x1b]0;gotcha\x1b[2J\" ");
    bed_settle(b);
    an_report_text(&b->report, &b->sink);
    an_report_call(&b->report, 0, &b->sink);
    assert_null(strchr(bed_text(b), '\x1b'));
}

static void json_tells_everything(void **state)
{
    struct bed *b = *state;
    bed_call(b, "\"Kim\" ");
    b->report.style.with_messages = true;
    b->report.style.max_messages = 1500;
    bed_settle(b);
    an_report_json(&b->report, AN_NONE, &b->sink);
    assert_true(bed_says(b, "\"schema\": \"ringdown.analyze/1\""));
    assert_true(bed_says(b, "\"caller\": \"01077141436\""));
    assert_true(bed_says(b, "\"scenario\": \"basic\""));
    assert_true(bed_says(b, "\"outcome\": \"ANSWERED\""));
    assert_true(bed_says(b, "\"post_dial_delay_s\": 0.105000000"));
    assert_true(bed_says(b, "\"ringing_s\": 1.910000000"));
    assert_true(bed_says(b, "\"kind\": \"dialed\""));
    assert_true(bed_says(b, "\"methods\": {\n      \"INVITE\": 2"));
    assert_true(bed_says(b, "\"text\": \"INVITE sip:1427@192.0.2.104 SIP/2.0\\u000d\\u000a"));
    /* Texts are bounded; messages without theirs say so. */
    assert_true(bed_says(b, "\"text_left_out\": true"));
}

static void csv_has_a_line_a_call_and_no_formulas(void **state)
{
    struct bed *b = *state;
    bed_call(b, "\"=cmd()\" ");
    bed_settle(b);
    an_report_csv(&b->report, &b->sink);
    assert_true(bed_says(b, "number,start,caller,"));
    assert_true(
        bed_says(b, "\r\n1,\"2026-01-01T00:00:00.000000000Z\",\"01077141436\",\"'=cmd()\""));
    assert_true(bed_says(b, ",\"ANSWERED\",200,12.025,0.105,1.910,10.010,,\"T1 L1\"\r\n"));
}

/* The page has one script and one style, whose hashes its policy names, and data that cannot end
 * its element. */
static void a_page_holds_its_data_and_its_policy(void **state)
{
    struct bed *b = *state;
    bed_call(b, "\"</script><b>\" ");
    b->report.style.with_messages = b->report.style.in_page = true;
    b->report.style.max_messages = 100000;
    bed_settle(b);
    an_report_html(&b->report, AN_NONE, &b->sink);
    assert_true(
        bed_says(b, "default-src 'none'; img-src data:; media-src data:; style-src 'sha256-"));
    assert_true(bed_says(b, "='; script-src 'sha256-"));
    assert_true(bed_says(b, "\\u003c/script>\\u003cb>"));
    unsigned ends = 0;
    for (const char *p = b->out; (p = strstr(p, "</script>")); p++)
        ends++;
    assert_int_equal(ends, 2);
    assert_null(strstr(b->out, "<b>"));
}

/* A browser has to hold the page: calls that would begin beyond its limit are only counted. */
static void a_page_has_an_end(void **state)
{
    struct bed *b = *state;
    bed_call(b, "");
    bed_request(b, 1000, "INVITE", "T2", "");
    bed_response(b, 5, "486 Busy Here", "INVITE", "T2");
    b->report.style.in_page = true;
    bed_settle(b);
    an_report_html(&b->report, AN_NONE, &b->sink);
    assert_true(bed_says(b, "\"number\":2,\"scenario\":\"failed\""));
    assert_null(strstr(b->out, "\"calls_left_out\":"));
    b->n_out = 0;
    b->report.style.max_bytes = 1;
    an_report_html(&b->report, AN_NONE, &b->sink);
    assert_true(bed_says(b, "\"number\":1,\"scenario\":\"basic\""));
    assert_true(bed_says(b, "\"calls_left_out\":1"));
    assert_null(strstr(b->out, "\"number\":2,\"scenario\""));
    /* Who asks for one call gets it. */
    b->n_out = 0;
    an_report_html(&b->report, 1, &b->sink);
    assert_true(bed_says(b, "\"number\":2,\"scenario\":\"failed\""));
    assert_null(strstr(b->out, "\"calls_left_out\":"));
}

/* Everything fails once, nothing is left behind. */
static void without_memory_nothing_leaks(void **state)
{
    struct bed *b = *state;
    bed_call(b, "");
    bed_settle(b);
    an_report_done(&b->report);
    for (uint64_t nth = 1; nth < 5; nth++) {
        mem_fail_after(nth);
        int err = an_report_init(&b->report);
        mem_fail_after(0);
        if (!err)
            an_report_done(&b->report);
        else
            assert_int_equal(err, -ENOMEM);
    }
    assert_int_equal(an_report_init(&b->report), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, bed_new, bed_free)
    const struct CMUnitTest tests[] = {
        T(columns_are_counted_as_a_terminal_does),
        T(a_cell_has_its_width_and_no_controls),
        T(json_is_escaped_also_for_a_page),
        T(long_json_text_is_whole),
        T(a_sink_keeps_its_first_error),
        T(spans_are_short),
        T(the_summary_counts_and_lists),
        T(tables_fit_the_terminal),
        T(a_call_is_told_whole),
        T(a_narrow_terminal_gets_a_list),
        T(what_is_repeated_is_marked),
        T(escapes_of_a_peer_do_not_reach_the_terminal),
        T(json_tells_everything),
        T(csv_has_a_line_a_call_and_no_formulas),
        T(a_page_holds_its_data_and_its_policy),
        T(a_page_has_an_end),
        T(without_memory_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
