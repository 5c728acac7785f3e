/* The screen of live calls, drawn into memory. */
#include "report_bed.h"

#include "analysis/cell.h"
#include "analysis/view.h"

#define PAGE_ROWS 12

static struct an_view *view;
static struct an_view_facts facts;

static int up(void **state)
{
    assert_int_equal(bed_new(state), 0);
    facts = (struct an_view_facts){.sources = STR("lo"), .now_ns = BED_START_NS, .frames = 4711};
    return an_view_new(&view);
}

static int down(void **state)
{
    an_view_free(view);
    return bed_free(state);
}

/* A call from 01077141436 to 1427, as far as it goes. */
static void call_begin(struct bed *b, const char *leg, bool answered)
{
    bed_request(b, 10, "INVITE", leg, "");
    bed_response(b, 10, "180 Ringing", "INVITE", leg);
    if (answered)
        bed_response(b, 10, "200 OK", "INVITE", leg);
}

static void settle(struct bed *b)
{
    an_report_done(&b->report);
    assert_int_equal(an_engine_settle(b->engine), 0);
    b->report = (struct an_report){.engine = b->engine, .style = {.width = 100}};
    assert_int_equal(an_report_init(&b->report), 0);
}

static const char *draw(struct bed *b, unsigned rows)
{
    b->n_out = 0;
    b->out[0] = 0;
    an_sink_init(&b->sink, bed_take, b);
    an_view_draw(view, &b->report, &facts, rows, &b->sink);
    assert_int_equal(an_sink_flush(&b->sink), 0);
    return b->out;
}

static unsigned lines(const char *text)
{
    unsigned n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void test_rows(void **state)
{
    struct bed *b = *state;
    call_begin(b, "T1", false);
    settle(b);
    const char *out = draw(b, PAGE_ROWS);
    assert_int_equal(lines(out), PAGE_ROWS);
    assert_non_null(strstr(out, "watching lo"));
    assert_non_null(strstr(out, "4711"));
    assert_non_null(strstr(out, "ringing"));
    assert_non_null(strstr(out, "01077141436"));
    bed_response(b, 10, "200 OK", "INVITE", "T1");
    settle(b);
    assert_non_null(strstr(draw(b, PAGE_ROWS), "talking"));
    bed_request(b, 500, "BYE", "T1", "");
    bed_response(b, 10, "200 OK", "BYE", "T1");
    settle(b);
    assert_non_null(strstr(draw(b, PAGE_ROWS), "answered"));
}

/* What a peer calls itself is shown and does nothing. */
static void test_hostile(void **state)
{
    struct bed *b = *state;
    bed_request(b, 10, "INVITE", "T1", "\"\x1b[2J\x1b]0;x\x07\" ");
    settle(b);
    assert_true(an_view_key(view, AN_KEY_HOME));
    draw(b, PAGE_ROWS);
    assert_true(an_view_key(view, AN_KEY_ENTER));
    assert_null(strchr(draw(b, 40), '\x1b'));
    assert_null(strchr(b->out, '\x07'));
}

/* No line is wider than the terminal, colours or not, and there are as many as it has rows. */
static void test_narrow(void **state)
{
    struct bed *b = *state;
    call_begin(b, "T1", true);
    settle(b);
    for (unsigned width = AN_VIEW_MIN_COLUMNS; width < 140; width += 9)
        for (unsigned rows = AN_VIEW_MIN_ROWS; rows < 30; rows += 5) {
            b->report.style.width = width;
            const char *at = draw(b, rows);
            assert_int_equal(lines(at), rows);
            for (const char *end; (end = strchr(at, '\n')); at = end + 1)
                assert_true(an_cell_width(str_of(at, (size_t)(end - at))) <= width);
        }
    b->report.style.color = true;
    b->report.style.width = 60;
    const char *out = draw(b, PAGE_ROWS);
    assert_int_equal(lines(out), PAGE_ROWS);
    /* Behind the last line nothing follows, which a terminal would put on its last row. */
    assert_int_equal(out[strlen(out) - 1], '\n');
    assert_int_equal(lines(draw(b, AN_VIEW_MIN_ROWS - 1)), 1);
}

static void test_keys(void **state)
{
    struct bed *b = *state;
    call_begin(b, "T1", true);
    call_begin(b, "T2", true);
    call_begin(b, "T3", true);
    settle(b);
    assert_non_null(strstr(draw(b, PAGE_ROWS), "> 1"));
    assert_true(an_view_key(view, AN_KEY_DOWN));
    assert_non_null(strstr(draw(b, PAGE_ROWS), "> 2"));
    assert_true(an_view_key(view, AN_KEY_END));
    assert_non_null(strstr(draw(b, PAGE_ROWS), "> 3"));
    assert_true(an_view_key(view, AN_KEY_DOWN));
    assert_non_null(strstr(draw(b, PAGE_ROWS), "> 3"));
    assert_true(an_view_key(view, AN_KEY_UP));
    assert_true(an_view_key(view, AN_KEY_ENTER));
    assert_non_null(strstr(draw(b, 60), "INVITE"));
    assert_non_null(strstr(b->out, "call 2"));
    assert_true(an_view_key(view, AN_KEY_ESCAPE));
    assert_non_null(strstr(draw(b, PAGE_ROWS), "> 2"));
    assert_false(an_view_key(view, 'q'));
}

/* What is typed into the filter is no key, and what does not pass is not shown. */
static void test_filter(void **state)
{
    struct bed *b = *state;
    call_begin(b, "T1", true);
    settle(b);
    const char *typed = "fq99";
    for (const char *p = typed; *p; p++)
        assert_true(an_view_key(view, (uint32_t)*p));
    assert_null(strstr(draw(b, PAGE_ROWS), "01077141436"));
    assert_non_null(strstr(b->out, "q99_"));
    for (unsigned i = 0; i < 3; i++)
        assert_true(an_view_key(view, AN_KEY_BACKSPACE));
    for (const char *p = "4143"; *p; p++)
        assert_true(an_view_key(view, (uint32_t)*p));
    assert_true(an_view_key(view, AN_KEY_ENTER));
    assert_non_null(strstr(draw(b, PAGE_ROWS), "01077141436"));
    assert_true(an_view_key(view, AN_KEY_ESCAPE));
    assert_null(strstr(draw(b, PAGE_ROWS), "filter: 4143"));
}

/* Calls that the engine has forgotten are still there to be looked at, the last fifty. */
static void test_finished(void **state)
{
    struct bed *b = *state;
    call_begin(b, "T1", true);
    settle(b);
    for (unsigned i = 0; i < AN_VIEW_FINISHED + 10; i++)
        an_view_finished(view, &b->report, 0);
    an_report_done(&b->report);
    an_engine_free(b->engine);
    assert_int_equal(
        an_engine_new(&b->engine, &(struct an_engine_args){.max_legs = 10, .max_streams = 10}), 0);
    settle(b);
    assert_non_null(strstr(draw(b, PAGE_ROWS), "finished"));
    assert_non_null(strstr(b->out, "01077141436"));
    assert_true(an_view_key(view, AN_KEY_ENTER));
    assert_non_null(strstr(draw(b, 60), "INVITE"));
    assert_true(an_view_key(view, AN_KEY_END));
    assert_int_equal(lines(draw(b, PAGE_ROWS)), PAGE_ROWS);
    assert_true(an_view_key(view, AN_KEY_UP));
    assert_int_equal(lines(draw(b, PAGE_ROWS)), PAGE_ROWS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_rows, up, down),
        cmocka_unit_test_setup_teardown(test_hostile, up, down),
        cmocka_unit_test_setup_teardown(test_narrow, up, down),
        cmocka_unit_test_setup_teardown(test_keys, up, down),
        cmocka_unit_test_setup_teardown(test_filter, up, down),
        cmocka_unit_test_setup_teardown(test_finished, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
