/* What an event package is told: versions, whole and partial state, its own mark; and what becomes
 * of a body that does not fit, of a table that is full, of memory that is out. */
#include "unit/pbx/pbx_test.h"

#include "pbx/subscription_int.h"

static struct rig *r;
static bool too_long, silent;
static uint64_t change; /* what the package would tell */

static unsigned accept(struct pbx *p, const struct config_extension *who,
                       const struct sip_uri *ruri, struct str *resource)
{
    *resource = who->number;
    return 0;
}

static void body(struct pbx *p, struct subscription_view *v, struct buf *b)
{
    if (silent)
        return;
    buf_printf(b, STR_FMT " " STR_FMT " v%u %s %u-%u", STR_ARG(v->resource), STR_ARG(v->subscriber),
               v->version, v->full ? "full" : "partial", (unsigned)v->mark, (unsigned)change);
    if (too_long)
        for (unsigned i = 0; i < 64; i++)
            buf_lit(b, "and so on");
    v->mark = change;
}

static const struct event_package package = {.name = STR_INIT("test"),
                                             .type = STR_INIT("text/test"),
                                             .default_s = 100,
                                             .body_max = 128,
                                             .interval = 5 * USEC_S,
                                             .accept = accept,
                                             .body = body};

static const struct subscription_texts texts = {.call_id = STR_INIT("c1"),
                                                .local = STR_INIT("<sip:room@pbx.test>"),
                                                .remote = STR_INIT("<sip:1001@pbx.test>;tag=f"),
                                                .local_tag = STR_INIT("0123456789abcdef"),
                                                .remote_tag = STR_INIT("f"),
                                                .target = STR_INIT("sip:1001@192.0.2.55:5060"),
                                                .owner = STR_INIT("1001"),
                                                .resource = STR_INIT("room"),
                                                .event_id = STR_INIT("")};

static int begin(void **state)
{
    too_long = silent = false;
    change = 1;
    r = rig_new("sip: {domain: pbx.test}\nlimits: {subscriptions: 2}\n"
                "extensions: [{number: \"1001\", password: x}]\n");
    return 0;
}

static int end(void **state)
{
    rig_free(r);
    r = NULL;
    return 0;
}

static struct subscription *subscribe(void)
{
    struct subscription *s = subscription_new(r->pbx, &package, &texts);
    assert_non_null(s);
    s->flow = rig_udp("192.0.2.55:5060");
    subscription_live(r->pbx, s, 100);
    return s;
}

static void answer(const char *status)
{
    static char mem[4096];
    struct buf b;
    const struct sip_msg *m = rig_msg(r, r->n_sent - 1);
    buf_init(&b, mem, sizeof(mem) - 1);
    buf_printf(&b, "SIP/2.0 %s\r\n", status);
    static const enum sip_hdr_id ids[] = {SIP_H_VIA, SIP_H_FROM, SIP_H_TO, SIP_H_CALL_ID,
                                          SIP_H_CSEQ};
    for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
        buf_printf(&b, STR_FMT ": " STR_FMT "\r\n", STR_ARG(sip_hdr_name(ids[i])),
                   STR_ARG(sip_msg_get(m, ids[i])));
    buf_lit(&b, "Content-Length: 0\r\n\r\n");
    mem[b.n] = '\0';
    struct flow flow = rig_udp("192.0.2.55:5060");
    rig_rx(r, &flow, mem);
}

/* What the engine was told leaves with the next door. */
static void drain(void)
{
    pbx_tick(r->pbx, r->now);
    rig_drain(r);
}

/* The only message that went out is a NOTIFY with this body. */
static void assert_told(const char *text)
{
    drain();
    assert_int_equal(r->n_sent, 1);
    assert_int_equal(rig_msg(r, 0)->method, SIP_NOTIFY);
    assert_text(rig_msg(r, 0)->body, text);
}

static void each_body_has_its_version_and_what_was_told_before(void **state)
{
    struct subscription *s = subscribe();
    rig_clear(r);
    subscription_tell(r->pbx, s, true);
    assert_told("room 1001 v1 full 0-1");
    change = 2;
    subscription_changed(r->pbx, &package, STR("room"));
    change = 3;
    subscription_changed(r->pbx, &package, STR("room"));
    subscription_changed(r->pbx, &package, STR("elsewhere"));
    answer("200 OK");
    assert_int_equal(r->n_sent, 0); /* not before the interval is over */
    rig_wait(r, 4900 * USEC_MS);
    assert_int_equal(r->n_sent, 0);
    rig_wait(r, 200 * USEC_MS);
    assert_told("room 1001 v2 partial 1-3");
    answer("200 OK");
    rig_clear(r);
    subscription_tell(r->pbx, s, true); /* a refresh does not wait */
    assert_told("room 1001 v3 full 3-3");
    answer("200 OK");
    rig_clear(r);
    subscription_end_all(r->pbx, &package, STR("room"));
    assert_told("");
    assert_text(sip_msg_get(rig_msg(r, 0), SIP_H_SUBSCRIPTION_STATE),
                "terminated;reason=noresource");
    assert_int_equal(subscription_count(r->pbx), 0);
    assert_false(subscription_is_idle(r->pbx));
    answer("200 OK");
    assert_true(subscription_is_idle(r->pbx));
}

static void what_may_not_have_arrived_is_told_whole(void **state)
{
    struct subscription *s = subscribe();
    rig_clear(r);
    subscription_tell(r->pbx, s, true);
    assert_told("room 1001 v1 full 0-1");
    answer("503 No\r\nRetry-After: 7 (busy)");
    rig_wait(r, 6900 * USEC_MS);
    assert_int_equal(r->n_sent, 0);
    rig_wait(r, 200 * USEC_MS);
    assert_told("room 1001 v2 full 1-1");
    answer("200 OK");
    subscription_free(r->pbx, s);
}

static void a_body_that_does_not_fit_ends_it(void **state)
{
    struct subscription *s = subscribe();
    rig_clear(r);
    too_long = true;
    subscription_tell(r->pbx, s, true);
    assert_told("");
    assert_text(sip_msg_get(rig_msg(r, 0), SIP_H_SUBSCRIPTION_STATE),
                "terminated;reason=probation");
    assert_int_equal(subscription_count(r->pbx), 0);
    answer("200 OK");
}

#define WATCHERS 1500

/* More than the memory of one turn would hold at once, if each kept its body. */
static void one_change_is_told_to_thousands(void **state)
{
    static const struct event_package large = {.name = STR_INIT("large"),
                                               .type = STR_INIT("text/test"),
                                               .default_s = 100,
                                               .body_max = 60 * 1024,
                                               .interval = 5 * USEC_S,
                                               .accept = accept,
                                               .body = body};
    rig_free(r);
    r = rig_new("sip: {domain: pbx.test}\nlimits: {subscriptions: 2000}\n"
                "extensions: [{number: \"1001\", password: x}]\n");
    for (unsigned i = 0; i < WATCHERS; i++) {
        struct subscription *s = subscription_new(r->pbx, &large, &texts);
        assert_non_null(s);
        s->flow = rig_udp("192.0.2.55:5060");
        subscription_live(r->pbx, s, 100);
    }
    subscription_changed(r->pbx, &large, STR("room"));
    assert_int_equal(subscription_count(r->pbx), WATCHERS);
}

static void a_package_may_have_nothing_to_say(void **state)
{
    struct subscription *s = subscribe();
    rig_clear(r);
    silent = true;
    subscription_tell(r->pbx, s, true);
    assert_told("");
    assert_text(sip_msg_get(rig_msg(r, 0), SIP_H_SUBSCRIPTION_STATE), "active;expires=100");
    assert_false(sip_msg_has(rig_msg(r, 0), SIP_H_CONTENT_TYPE));
    answer("200 OK");
    subscription_free(r->pbx, s);
}

static void there_is_room_for_so_many(void **state)
{
    struct subscription *one = subscribe(), *two = subscribe();
    assert_null(subscription_new(r->pbx, &package, &texts));
    assert_int_equal(subscription_count_by(r->pbx, STR("1001")), 2);
    assert_int_equal(subscription_count_by(r->pbx, STR("1002")), 0);
    subscription_free(r->pbx, one);
    assert_non_null(one = subscription_new(r->pbx, &package, &texts));
    subscription_free(r->pbx, one);
    subscription_free(r->pbx, two);
    assert_int_equal(subscription_count(r->pbx), 0);
}

/* Who ends one while a NOTIFY is under way is told after its answer, once. */
static void the_last_word_waits_for_the_answer(void **state)
{
    struct subscription *s = subscribe();
    rig_clear(r);
    subscription_tell(r->pbx, s, true);
    drain();
    subscription_end(r->pbx, s, SUBSCRIPTION_TIMEOUT);
    subscription_end(r->pbx, s, SUBSCRIPTION_NORESOURCE);
    drain();
    assert_int_equal(r->n_sent, 1);
    assert_int_equal(subscription_count(r->pbx), 1);
    answer("200 OK");
    assert_told("room 1001 v2 full 1-1");
    assert_text(sip_msg_get(rig_msg(r, 0), SIP_H_SUBSCRIPTION_STATE), "terminated;reason=timeout");
    assert_int_equal(subscription_count(r->pbx), 0);
    answer("481 No");
    assert_true(subscription_is_idle(r->pbx));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
    const struct CMUnitTest tests[] = {
        T(each_body_has_its_version_and_what_was_told_before),
        T(what_may_not_have_arrived_is_told_whole),
        T(a_body_that_does_not_fit_ends_it),
        T(one_change_is_told_to_thousands),
        T(a_package_may_have_nothing_to_say),
        T(there_is_room_for_so_many),
        T(the_last_word_waits_for_the_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
