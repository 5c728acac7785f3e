/* What a single peer must not be able to do to the engine: sizes at which no answer fits, and what
 * is left of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "engine/sip/sip_int.h"

struct bench {
    struct rand rand;
    struct trace trace;
    struct sip_core *core;
    usec_t now;
};

static int up(void **state)
{
    struct bench *b = calloc(1, sizeof(*b));
    rand_seed(&b->rand, 7);
    if (!b || trace_init(&b->trace, 4096, 4))
        return -1;
    struct sip_conf conf = {.timers = {.t1 = 500 * USEC_MS,
                                       .t2 = 4 * USEC_S,
                                       .t4 = 5 * USEC_S,
                                       .bye_timeout = 32 * USEC_S},
                            .n_listeners = 1,
                            .supported = "",
                            .supported_call = "",
                            .allow = "INVITE, ACK, BYE, CANCEL, OPTIONS",
                            .server_name = "Ringdown",
                            .max_txns = 64,
                            .max_sessions = 16,
                            .max_dialogs = 32};
    conf.listener[0].bound = (struct addr){.family = ADDR_V4, .ip = {127, 0, 0, 1}, .port = 5060};
    b->now = USEC_S;
    b->core = sip_core_new(&conf, &b->rand, &b->trace, b->now);
    *state = b;
    return b->core ? 0 : -1;
}

static int down(void **state)
{
    struct bench *b = *state;
    sip_core_free(b->core);
    trace_done(&b->trace);
    free(b);
    return mem_live() == 0 ? 0 : -1;
}

/* The user of the engine: refuses whatever comes. */
static void drain(struct bench *b)
{
    struct sip_out o;
    struct sip_answer a = {.status = 404};
    while (sip_core_out(b->core, &o)) {
        if (o.kind == SIP_OUT_SEND)
            blob_unref(o.blob);
        else if (o.kind == SIP_OUT_INVITE)
            (void)sip_reject(b->core, b->now, o.session, &a);
        else if (o.kind == SIP_OUT_REQUEST)
            (void)sip_respond(b->core, b->now, o.txn, &a);
    }
}

static void rx(struct bench *b, const char *method, size_t call_id_bytes)
{
    static char text[70000], id[66000];
    struct flow flow = {.peer = {.family = ADDR_V4, .ip = {127, 0, 0, 2}, .port = 5060}};
    memset(id, 'x', call_id_bytes);
    id[call_id_bytes] = '\0';
    int n = snprintf(text, sizeof(text),
                     "%s sip:a@127.0.0.1 SIP/2.0\r\n"
                     "Via: SIP/2.0/UDP 127.0.0.2;branch=z9hG4bK%zu;rport\r\n"
                     "From: <sip:b@127.0.0.2>;tag=1\r\n"
                     "To: <sip:a@127.0.0.1>\r\n"
                     "Call-ID: %s\r\n"
                     "CSeq: 1 %s\r\n"
                     "Contact: <sip:b@127.0.0.2>\r\n"
                     "Content-Length: 0\r\n\r\n",
                     method, call_id_bytes, id, method);
    sip_core_rx(b->core, b->now, &flow, text, (size_t)n);
    drain(b);
}

static void nothing_stays_of_what_cannot_be_answered(void **state)
{
    struct bench *b = *state;
    for (size_t n = 65000; n < 65400; n += 7) {
        rx(b, "INVITE", n);
        rx(b, "OPTIONS", n);
        for (unsigned i = 0; i < 200; i++) {
            b->now += USEC_S;
            sip_core_tick(b->core, b->now);
            drain(b);
        }
        struct sip_stats s;
        sip_core_stats(b->core, &s);
        assert_int_equal(s.active_txns, 0);
        assert_int_equal(s.active_sessions, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_stays_of_what_cannot_be_answered, up, down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
