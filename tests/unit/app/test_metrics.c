/* Figures in Prometheus' text format. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "app/metrics.h"

static char mem[4096];

static const char *text_of(const char *json, size_t room)
{
    struct buf b;
    json_t *figures = json_loads(json, 0, NULL);
    assert_non_null(figures);
    buf_init(&b, mem, room);
    metrics_put(&b, "rd", figures);
    json_decref(figures);
    mem[b.n] = 0;
    return mem;
}

static void numbers_with_their_path(void **state)
{
    (void)state;
    assert_string_equal(
        text_of("{\"calls\": 3, \"tls\": {\"up\": true, \"deep\": {\"x\": 1.5}},"
                " \"name\": \"text\", \"list\": [1], \"none\": null, \"off\": false}",
                sizeof(mem) - 1),
        "rd_calls 3\nrd_tls_up 1\nrd_tls_deep_x 1.5\nrd_off 0\n");
    assert_string_equal(text_of("{\"days left\": -2, \"a.b-c\": 18446744073}", sizeof(mem) - 1),
                        "rd_days_left -2\nrd_a_b_c 18446744073\n");
}

static void instances_are_labels(void **state)
{
    (void)state;
    assert_string_equal(
        text_of("{\"rx_by_method\": {\"INVITE\": 2, \"X\\\"Y\\\\Z\\n\": 1},"
                " \"transactions\": {\"invite client\": {\"calling\": 4, \"what\": \"no\"}}}",
                sizeof(mem) - 1),
        "rd_rx_by_method{of=\"INVITE\"} 2\nrd_rx_by_method{of=\"X\\\"Y\\\\Z\\n\"} 1\n"
        "rd_transactions{of=\"invite client\",state=\"calling\"} 4\n");
}

static void counters_say_what_they_count(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, mem, sizeof(mem) - 1);
    metrics_put_mrcp_help(&b, "rd_mrcp");
    mem[b.n] = 0;
    assert_non_null(strstr(mem, "# HELP rd_mrcp_sipByeSent BYEs sent\n"
                                "# TYPE rd_mrcp_sipByeSent counter\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_with_their_path),
                                       cmocka_unit_test(instances_are_labels),
                                       cmocka_unit_test(counters_say_what_they_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
