/* A client of MRCPv2 in virtual time: what it offers, what it does with answers, requests, events,
 * silence and lost connections. The server is this file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "engine/mrcp/client.h"

#define MAX_OUTS 64
#define ID       "32AECB234338"

static struct bed {
    struct mrcp_client *c;
    usec_t now;
    uint64_t live;
    unsigned n;
    struct {
        enum mrcp_out_kind kind;
        handle_t conn;
        struct addr peer;
        enum mrcp_resource resource;
        enum mrcp_method method;
        enum mrcp_event event;
        uint64_t id;
        uint16_t status;
        int err;
        bool last;
        char text[2048]; /* of SEND */
    } out[MAX_OUTS];
} t;

static void drain(void)
{
    struct mrcp_out o;
    t.n = 0;
    while (mrcp_client_out(t.c, &o)) {
        assert_true(t.n < MAX_OUTS);
        t.out[t.n].kind = o.kind;
        t.out[t.n].conn = o.conn;
        t.out[t.n].peer = o.peer;
        t.out[t.n].resource = o.resource;
        t.out[t.n].method = o.method;
        t.out[t.n].id = o.request_id;
        t.out[t.n].err = o.err;
        t.out[t.n].last = o.last;
        t.out[t.n].status = o.msg ? o.msg->status : 0;
        t.out[t.n].event = o.msg ? o.msg->event : MRCP_E_OTHER;
        t.out[t.n].text[0] = '\0';
        if (o.blob)
            str_copy_z(t.out[t.n].text, sizeof(t.out[0].text), blob_str(o.blob));
        blob_unref(o.blob);
        t.n++;
    }
}

static int setup(void **state)
{
    (void)state;
    static const struct mrcp_client_conf conf = {.max_message_bytes = 4096, .seed = 1};
    memset(&t, 0, sizeof(t));
    t.live = mem_live();
    t.now = USEC_S;
    t.c = mrcp_client_new(&conf, t.now);
    assert_non_null(t.c);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mrcp_client_free(t.c);
    assert_int_equal(mem_live(), t.live);
    return 0;
}

static handle_t open_with(const enum mrcp_resource *r, unsigned n, bool share)
{
    static const struct str codec[] = {STR_INIT("PCMU"), STR_INIT("PCMA")};
    struct mrcp_session_conf conf = {.user = 7,
                                     .resource = r,
                                     .n_resources = n,
                                     .server = STR("sip:asr.test"),
                                     .share = share,
                                     .codec = codec,
                                     .n_codecs = 2};
    handle_t h;
    assert_int_equal(addr_parse(&conf.rtp, STR("192.0.2.12"), 49170), 0);
    assert_int_equal(mrcp_session_open(t.c, t.now, &conf, &h), 0);
    return h;
}

static const char *offer(handle_t s)
{
    static char mem[4096];
    struct buf b;
    buf_init(&b, mem, sizeof(mem) - 1);
    assert_int_equal(mrcp_session_offer(t.c, s, &b), 0);
    mem[b.n] = '\0';
    return mem;
}

static bool has(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

#define HEAD                                                                                       \
    "v=0\r\no=- 2890842808 2890842808 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 "     \
    "0\r\n"
#define CTRL(port, conn, resource)                                                                 \
    "m=application " port " TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:" conn                 \
    "\r\na=channel:" ID "@" resource "\r\na=cmid:1\r\n"
#define AUDIO "m=audio 48260 RTP/AVP 0\r\na=rtpmap:0 pcmu/8000\r\na=sendrecv\r\na=mid:1\r\n"

static int answer(handle_t s, const char *sdp)
{
    int err = mrcp_session_answer(t.c, t.now, s, str_z(sdp));
    drain();
    return err;
}

static void rx(handle_t conn, const char *start, const char *fields)
{
    char mem[4096];
    int n = 0, was;
    do {
        was = n;
        n = snprintf(mem, sizeof(mem), "MRCP/2.0 %d %s\r\n%s\r\n", was, start, fields);
    } while (n != was);
    mrcp_client_rx(t.c, t.now, conn, str_of(mem, (size_t)n));
    drain();
}

#define SYNTH_ID "Channel-Identifier:" ID "@speechsynth\r\n"
#define RECOG_ID "Channel-Identifier:" ID "@speechrecog\r\n"

static uint64_t ask(handle_t s, enum mrcp_resource r, enum mrcp_method m)
{
    struct mrcp_ask a = {.resource = r, .method = m};
    uint64_t id = 0;
    assert_int_equal(mrcp_request(t.c, t.now, s, &a, &id), 0);
    drain();
    return id;
}

static int refused_ask(handle_t s, enum mrcp_resource r, enum mrcp_method m)
{
    struct mrcp_ask a = {.resource = r, .method = m};
    int err = mrcp_request(t.c, t.now, s, &a, NULL);
    drain();
    return err;
}

static enum chan_state state_of(handle_t s, enum mrcp_resource r)
{
    enum chan_state st;
    assert_int_equal(mrcp_channel_state(t.c, s, r, &st), 0);
    return st;
}

/* A session with a synthesizer and a recognizer that can be used; its connection. */
static handle_t ready(handle_t *session)
{
    static const enum mrcp_resource both[] = {MRCP_R_SPEECHRECOG, MRCP_R_SPEECHSYNTH};
    *session = open_with(both, 2, true);
    offer(*session);
    assert_int_equal(answer(*session, HEAD CTRL("32416", "new", "speechrecog")
                                          CTRL("32416", "existing", "speechsynth") AUDIO),
                     0);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.out[0].kind, MRCP_OUT_CONNECT);
    handle_t conn = t.out[0].conn;
    assert_int_equal(t.out[0].peer.port, 32416);
    mrcp_client_connected(t.c, t.now, conn);
    drain();
    assert_int_equal(t.n, 1);
    assert_int_equal(t.out[0].kind, MRCP_OUT_READY);
    return conn;
}

static void speak(handle_t s, handle_t conn, const char *state_line)
{
    char line[64];
    uint64_t id = ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_SPEAK);
    snprintf(line, sizeof(line), "%u 200 %s", (unsigned)id, state_line);
    rx(conn, line, SYNTH_ID);
    assert_int_equal(t.out[0].kind, MRCP_OUT_RESPONSE);
}

static void the_offer(void **state)
{
    (void)state;
    static const enum mrcp_resource both[] = {MRCP_R_SPEECHRECOG, MRCP_R_SPEECHSYNTH};
    handle_t s = open_with(both, 2, true);
    const char *o = offer(s);
    const char *recog = strstr(o, "m=application 9 TCP/MRCPv2 1\r\na=setup:active\r\n"
                                  "a=connection:new\r\na=resource:speechrecog\r\na=cmid:1\r\n");
    const char *synth =
        strstr(o, "m=application 9 TCP/MRCPv2 1\r\na=setup:active\r\n"
                  "a=connection:existing\r\na=resource:speechsynth\r\na=cmid:1\r\n");
    const char *audio = strstr(o, "m=audio 49170 RTP/AVP 0 8");
    assert_non_null(recog);
    assert_non_null(synth);
    assert_true(recog < synth && synth < audio);
    assert_true(has(audio, "a=sendrecv\r\na=mid:1\r\n"));
    static const enum mrcp_resource one[] = {MRCP_R_SPEECHSYNTH};
    assert_true(has(offer(open_with(one, 1, false)), "a=recvonly"));
    static const enum mrcp_resource rec[] = {MRCP_R_RECORDER, MRCP_R_DTMFRECOG};
    o = offer(open_with(rec, 2, false));
    assert_true(has(o, "a=sendonly"));
    assert_false(has(o, "existing")); /* nothing is shared */
    static const enum mrcp_resource verify[] = {MRCP_R_SPEAKVERIFY};
    struct mrcp_session_conf conf = {.resource = verify, .n_resources = 1};
    handle_t h;
    assert_int_equal(mrcp_session_open(t.c, t.now, &conf, &h), -EINVAL);
}

static void lines_in_another_order_and_without_mid(void **state)
{
    (void)state;
    static const enum mrcp_resource both[] = {MRCP_R_SPEECHRECOG, MRCP_R_SPEECHSYNTH};
    handle_t s = open_with(both, 2, true);
    offer(s);
    assert_int_equal(answer(s,
                            HEAD "m=audio 48260 RTP/AVP 0\r\n" CTRL("32417", "new", "speechsynth")
                                CTRL("32416", "new", "speechrecog")),
                     0);
    /* "new" of the server means new ones, whatever was offered. */
    assert_int_equal(t.n, 2);
    assert_int_equal(t.out[0].peer.port, 32416);
    assert_int_equal(t.out[1].peer.port, 32417);
    handle_t first = t.out[0].conn, second = t.out[1].conn;
    mrcp_client_connected(t.c, t.now, second);
    drain();
    assert_int_equal(t.n, 0); /* one of two is not ready */
    mrcp_client_connected(t.c, t.now, first);
    drain();
    assert_int_equal(t.out[0].kind, MRCP_OUT_READY);
    ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_SPEAK);
    assert_int_equal(t.out[0].conn, second);
    assert_true(has(t.out[0].text, "SPEAK 1\r\nChannel-Identifier: " ID "@speechsynth\r\n"));
}

static void answers_that_are_none(void **state)
{
    (void)state;
    static const enum mrcp_resource both[] = {MRCP_R_SPEECHRECOG, MRCP_R_SPEECHSYNTH};
    handle_t s = open_with(both, 2, true);
    offer(s);
    assert_int_equal(answer(s, "nonsense"), -EBADMSG);
    s = open_with(both, 2, true);
    offer(s);
    assert_int_equal(answer(s, HEAD AUDIO), -ENOTSUP);
    s = open_with(both, 2, true);
    offer(s);
    assert_int_equal(answer(s, HEAD "m=application 0 TCP/MRCPv2 1\r\n"
                                    "m=application 32416 TCP/TLS/MRCPv2 1\r\na=channel:" ID
                                    "@speechsynth\r\n" AUDIO),
                     -EBADMSG);
    /* One of two is refused: the other one goes on. */
    s = open_with(both, 2, true);
    offer(s);
    assert_int_equal(answer(s, HEAD "m=application 0 TCP/MRCPv2 1\r\n" CTRL("32416", "new",
                                                                            "speechsynth") AUDIO),
                     0);
    assert_int_equal(t.out[0].kind, MRCP_OUT_REFUSED);
    assert_int_equal(t.out[0].resource, MRCP_R_SPEECHRECOG);
    assert_int_equal(t.out[1].kind, MRCP_OUT_CONNECT);
    assert_int_equal(refused_ask(s, MRCP_R_SPEECHRECOG, MRCP_M_RECOGNIZE), -ENOENT);
    assert_int_equal(refused_ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_SPEAK), -ENOTCONN);
}

static void speaking_with_a_queue(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    speak(s, conn, "IN-PROGRESS");
    assert_int_equal(t.out[0].status, 200);
    assert_false(t.out[0].last);
    speak(s, conn, "PENDING");
    assert_int_equal(mrcp_channel_busy(t.c, s, MRCP_R_SPEECHSYNTH), 2);
    assert_int_equal(refused_ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_DEFINE_LEXICON), -EPROTO);
    rx(conn, "SPEECH-MARKER 1 IN-PROGRESS",
       SYNTH_ID "Speech-Marker:timestamp=857206027059;here\r\n");
    assert_int_equal(t.out[0].event, MRCP_E_SPEECH_MARKER);
    uint64_t id = ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_PAUSE);
    assert_int_equal(id, 3);
    rx(conn, "3 200 COMPLETE", SYNTH_ID "Active-Request-Id-List:1\r\n");
    assert_int_equal(t.n, 1); /* PAUSE ends nothing */
    assert_int_equal(state_of(s, MRCP_R_SPEECHSYNTH), CHAN_PAUSED);
    ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_RESUME);
    rx(conn, "4 200 COMPLETE", SYNTH_ID "Active-Request-Id-List:1\r\n");
    assert_int_equal(state_of(s, MRCP_R_SPEECHSYNTH), CHAN_SPEAKING);
    rx(conn, "SPEAK-COMPLETE 1 COMPLETE", SYNTH_ID "Completion-Cause:000 normal\r\n");
    assert_true(t.out[0].last);
    assert_int_equal(t.out[0].method, MRCP_M_SPEAK);
    assert_int_equal(state_of(s, MRCP_R_SPEECHSYNTH), CHAN_SPEAKING); /* the next one */
    /* Its turn has come: it may take as long as it likes. */
    t.now += 3600 * USEC_S;
    mrcp_client_tick(t.c, t.now);
    drain();
    assert_int_equal(t.n, 0);
    rx(conn, "SPEAK-COMPLETE 2 COMPLETE", SYNTH_ID "Completion-Cause:000 normal\r\n");
    assert_int_equal(state_of(s, MRCP_R_SPEECHSYNTH), CHAN_IDLE);
    assert_int_equal(mrcp_client_deadline(t.c), USEC_NEVER);
}

static void stop_ends_what_it_lists(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    speak(s, conn, "IN-PROGRESS");
    speak(s, conn, "PENDING");
    struct mrcp_field f = {.id = MRCP_H_ACTIVE_REQUEST_ID_LIST, .value = STR("1")};
    struct mrcp_ask a = {
        .resource = MRCP_R_SPEECHSYNTH, .method = MRCP_M_STOP, .field = &f, .n_fields = 1};
    assert_int_equal(mrcp_request(t.c, t.now, s, &a, NULL), 0);
    drain();
    assert_true(has(t.out[0].text, "Active-Request-Id-List: 1\r\n"));
    rx(conn, "3 200 COMPLETE", SYNTH_ID "Active-Request-Id-List:1\r\n");
    assert_int_equal(t.n, 2);
    assert_int_equal(t.out[1].kind, MRCP_OUT_STOPPED);
    assert_int_equal(t.out[1].id, 1);
    assert_int_equal(state_of(s, MRCP_R_SPEECHSYNTH), CHAN_SPEAKING);
    /* What was on its way is of no request any more. */
    rx(conn, "SPEAK-COMPLETE 1 COMPLETE", SYNTH_ID);
    assert_int_equal(t.n, 0);
    /* A server that stops everything and lists nothing. */
    ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_STOP);
    rx(conn, "4 200 COMPLETE", SYNTH_ID);
    assert_int_equal(t.n, 2);
    assert_int_equal(t.out[1].id, 2);
    assert_int_equal(state_of(s, MRCP_R_SPEECHSYNTH), CHAN_IDLE);
}

static void barge_in(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    speak(s, conn, "IN-PROGRESS");
    struct mrcp_field f = {.id = MRCP_H_START_INPUT_TIMERS, .value = STR("false")};
    struct mrcp_ask a = {
        .resource = MRCP_R_SPEECHRECOG, .method = MRCP_M_RECOGNIZE, .field = &f, .n_fields = 1};
    assert_int_equal(mrcp_request(t.c, t.now, s, &a, NULL), 0);
    drain();
    /* Before the response it may already be told to start its timers. */
    uint64_t id = ask(s, MRCP_R_SPEECHRECOG, MRCP_M_START_INPUT_TIMERS);
    assert_int_equal(id, 3);
    rx(conn, "2 200 IN-PROGRESS", RECOG_ID);
    assert_int_equal(state_of(s, MRCP_R_SPEECHRECOG), CHAN_RECOGNIZING);
    rx(conn, "3 200 COMPLETE", RECOG_ID);
    rx(conn, "START-OF-INPUT 2 IN-PROGRESS",
       RECOG_ID "Proxy-Sync-Id:987654321\r\nInput-Type:speech\r\n");
    assert_int_equal(t.n, 2);
    assert_int_equal(t.out[0].event, MRCP_E_START_OF_INPUT);
    assert_int_equal(t.out[1].kind, MRCP_OUT_SEND);
    assert_true(has(t.out[1].text,
                    "BARGE-IN-OCCURRED 4\r\nChannel-Identifier: " ID "@speechsynth\r\n"
                    "Proxy-Sync-Id: 987654321\r\n"));
    rx(conn, "4 200 COMPLETE", SYNTH_ID "Active-Request-Id-List:1\r\n");
    assert_int_equal(t.out[0].method, MRCP_M_BARGE_IN_OCCURRED);
    assert_int_equal(t.out[1].kind, MRCP_OUT_STOPPED);
    assert_int_equal(state_of(s, MRCP_R_SPEECHSYNTH), CHAN_IDLE);
    rx(conn, "RECOGNITION-COMPLETE 2 COMPLETE", RECOG_ID "Completion-Cause:000 success\r\n");
    assert_int_equal(state_of(s, MRCP_R_SPEECHRECOG), CHAN_RECOGNIZED);
    /* Nobody speaks now: there is nothing to stop. */
    ask(s, MRCP_R_SPEECHRECOG, MRCP_M_RECOGNIZE);
    rx(conn, "5 200 IN-PROGRESS", RECOG_ID);
    rx(conn, "START-OF-INPUT 5 IN-PROGRESS", RECOG_ID);
    assert_int_equal(t.n, 1);
}

/* It cannot be said again on one line, but the prompt must stop all the same. */
static void a_folded_sync_id_does_not_lose_the_barge_in(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    speak(s, conn, "IN-PROGRESS");
    ask(s, MRCP_R_SPEECHRECOG, MRCP_M_RECOGNIZE);
    rx(conn, "2 200 IN-PROGRESS", RECOG_ID);
    rx(conn, "START-OF-INPUT 2 IN-PROGRESS", RECOG_ID "Proxy-Sync-Id:98765\r\n 4321\r\n");
    assert_int_equal(t.n, 2);
    assert_int_equal(t.out[1].kind, MRCP_OUT_SEND);
    assert_true(has(t.out[1].text, "BARGE-IN-OCCURRED 3\r\n"));
    assert_false(has(t.out[1].text, "Proxy-Sync-Id"));
}

static struct mrcp_session_conf secure_conf(void)
{
    static const enum mrcp_resource both[] = {MRCP_R_SPEECHRECOG, MRCP_R_SPEECHSYNTH};
    static const struct str codec[] = {STR_INIT("PCMU")};
    struct mrcp_session_conf conf = {.resource = both,
                                     .n_resources = 2,
                                     .server = STR("sip:asr.test"),
                                     .tls = true,
                                     .share = true,
                                     .codec = codec,
                                     .n_codecs = 1};
    assert_int_equal(addr_parse(&conf.rtp, STR("192.0.2.12"), 49170), 0);
    return conf;
}

#define SECURE(port, resource)                                                                     \
    "m=application " port " TCP/TLS/MRCPv2 1\r\na=setup:passive\r\na=connection:new\r\n"           \
    "a=channel:" ID "@" resource "\r\na=cmid:1\r\n"

/* RFC 6787 section 4.2. */
static void control_over_tls(void **state)
{
    (void)state;
    struct mrcp_session_conf conf = secure_conf();
    handle_t s;
    assert_int_equal(mrcp_session_open(t.c, t.now, &conf, &s), 0);
    const char *o = offer(s);
    assert_true(has(o, "m=application 9 TCP/TLS/MRCPv2 1\r\na=setup:active\r\n"));
    assert_false(has(o, " TCP/MRCPv2 "));
    struct mrcp_out out;
    bool tls = false;
    assert_int_equal(mrcp_session_answer(t.c, t.now, s,
                                         str_z(HEAD SECURE("32416", "speechrecog")
                                                   SECURE("32416", "speechsynth") AUDIO)),
                     0);
    while (mrcp_client_out(t.c, &out)) {
        assert_int_equal(out.kind, MRCP_OUT_CONNECT);
        assert_int_equal(out.session, s);
        tls = out.tls;
    }
    assert_true(tls);
    /* A session without TLS does not use that connection. */
    static const enum mrcp_resource one[] = {MRCP_R_SPEECHSYNTH};
    assert_true(has(offer(open_with(one, 1, true)), "a=connection:new"));
    /* Nothing less is taken, and nothing is connected. */
    assert_int_equal(mrcp_session_open(t.c, t.now, &conf, &s), 0);
    offer(s);
    assert_int_equal(
        answer(s, HEAD SECURE("32416", "speechrecog") CTRL("32416", "new", "speechsynth") AUDIO),
        -EPROTOTYPE);
    assert_int_equal(t.n, 0);
    assert_true(has(offer(s), "m=application 0 TCP/TLS/MRCPv2 1\r\n"));
    /* Nor TLS where nobody asked for it. */
    s = open_with(one, 1, false);
    offer(s);
    assert_int_equal(answer(s, HEAD SECURE("32416", "speechsynth") AUDIO), -EBADMSG);
}

static void a_prompt_that_may_not_be_cut_goes_on(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    speak(s, conn, "IN-PROGRESS");
    ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_BARGE_IN_OCCURRED);
    rx(conn, "2 200 COMPLETE", SYNTH_ID);
    assert_int_equal(t.n, 1);
    assert_int_equal(state_of(s, MRCP_R_SPEECHSYNTH), CHAN_SPEAKING);
}

static void a_queue_of_recognitions(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    assert_int_equal(refused_ask(s, MRCP_R_SPEECHRECOG, MRCP_M_GET_RESULT), -EPROTO);
    ask(s, MRCP_R_SPEECHRECOG, MRCP_M_RECOGNIZE);
    rx(conn, "1 200 IN-PROGRESS", RECOG_ID);
    ask(s, MRCP_R_SPEECHRECOG, MRCP_M_RECOGNIZE);
    rx(conn, "2 200 PENDING", RECOG_ID);
    /* Cancel-If-Queue of the first: it ends, the second goes on. */
    rx(conn, "RECOGNITION-COMPLETE 1 COMPLETE", RECOG_ID "Completion-Cause:011 cancelled\r\n");
    assert_int_equal(state_of(s, MRCP_R_SPEECHRECOG), CHAN_RECOGNIZING);
    rx(conn, "RECOGNITION-COMPLETE 2 COMPLETE", RECOG_ID "Completion-Cause:001 no-match\r\n");
    assert_int_equal(state_of(s, MRCP_R_SPEECHRECOG), CHAN_RECOGNIZED);
    ask(s, MRCP_R_SPEECHRECOG, MRCP_M_GET_RESULT);
    rx(conn, "3 200 COMPLETE", RECOG_ID);
    assert_true(t.out[0].last);
    ask(s, MRCP_R_SPEECHRECOG, MRCP_M_INTERPRET);
    rx(conn, "4 200 IN-PROGRESS", RECOG_ID);
    rx(conn, "INTERPRETATION-COMPLETE 4 200 COMPLETE", RECOG_ID);
    assert_true(t.out[0].last);
    ask(s, MRCP_R_SPEECHRECOG, MRCP_M_RECOGNIZE);
    rx(conn, "5 407 COMPLETE", RECOG_ID "Completion-Cause:005 grammar-compilation-failure\r\n");
    assert_true(t.out[0].last);
    assert_int_equal(t.out[0].status, 407);
    assert_int_equal(mrcp_channel_busy(t.c, s, MRCP_R_SPEECHRECOG), 0);
    assert_int_equal(state_of(s, MRCP_R_SPEECHRECOG), CHAN_RECOGNIZED);
}

static void silence_of_the_server(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    (void)conn;
    ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_SPEAK);
    t.now += 5 * USEC_S - USEC_MS;
    mrcp_client_tick(t.c, t.now);
    drain();
    assert_int_equal(t.n, 0);
    t.now += USEC_MS;
    mrcp_client_tick(t.c, t.now);
    drain();
    assert_int_equal(t.n, 1);
    assert_int_equal(t.out[0].kind, MRCP_OUT_FAILED);
    assert_int_equal(t.out[0].err, -ETIMEDOUT);
    assert_int_equal(refused_ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_STOP), -ENOTCONN);
    mrcp_session_close(t.c, t.now, s);
    drain();
    assert_int_equal(t.out[0].kind, MRCP_OUT_CLOSE);
}

static void pending_for_ever(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    ask(s, MRCP_R_SPEECHRECOG, MRCP_M_RECOGNIZE);
    rx(conn, "1 200 PENDING", RECOG_ID);
    t.now += 30 * USEC_S - USEC_MS;
    mrcp_client_tick(t.c, t.now);
    drain();
    assert_int_equal(t.n, 0);
    t.now += USEC_MS;
    mrcp_client_tick(t.c, t.now);
    drain();
    assert_int_equal(t.out[0].kind, MRCP_OUT_FAILED);
    assert_int_equal(t.out[0].err, -ETIME);
    /* And what goes on beyond the limit that its asker has set. */
    mrcp_client_free(t.c);
    setup(NULL);
    conn = ready(&s);
    struct mrcp_ask a = {
        .resource = MRCP_R_SPEECHRECOG, .method = MRCP_M_RECOGNIZE, .limit = 60 * USEC_S};
    assert_int_equal(mrcp_request(t.c, t.now, s, &a, NULL), 0);
    drain();
    rx(conn, "1 200 IN-PROGRESS", RECOG_ID);
    t.now += 60 * USEC_S;
    mrcp_client_tick(t.c, t.now);
    drain();
    assert_int_equal(t.out[0].err, -ETIME);
}

static void a_connection_half_closed_is_not_used_again(void **state)
{
    (void)state;
    static const enum mrcp_resource one[] = {MRCP_R_SPEECHSYNTH};
    handle_t s, conn = ready(&s);
    handle_t other = open_with(one, 1, true);
    assert_true(has(offer(other), "a=connection:existing"));
    mrcp_client_closed(t.c, t.now, conn, 0);
    drain();
    assert_int_equal(t.n, 2);
    assert_int_equal(t.out[0].kind, MRCP_OUT_CLOSE);
    assert_int_equal(t.out[1].kind, MRCP_OUT_FAILED);
    assert_int_equal(t.out[1].err, -ECONNRESET);
    /* The answer still says "existing": there is none, so a new one is made. */
    assert_int_equal(answer(other, HEAD CTRL("32416", "existing", "speechsynth") AUDIO), 0);
    assert_int_equal(t.out[0].kind, MRCP_OUT_CONNECT);
    mrcp_client_closed(t.c, t.now, t.out[0].conn, -ECONNREFUSED);
    drain();
    assert_int_equal(t.out[1].err, -ECONNREFUSED);
    assert_true(has(offer(open_with(one, 1, true)), "a=connection:new"));
}

static void sessions_share_a_connection(void **state)
{
    (void)state;
    static const enum mrcp_resource one[] = {MRCP_R_SPEECHSYNTH};
    struct mrcp_client_stats stats;
    handle_t s, conn = ready(&s);
    handle_t other = open_with(one, 1, true);
    offer(other);
    assert_int_equal(answer(other,
                            HEAD "m=application 32416 TCP/MRCPv2 1\r\na=connection:existing\r\n"
                                 "a=channel:OTHER@speechsynth\r\n" AUDIO),
                     0);
    assert_int_equal(t.n, 1); /* at once */
    assert_int_equal(t.out[0].kind, MRCP_OUT_READY);
    ask(other, MRCP_R_SPEECHSYNTH, MRCP_M_SPEAK);
    assert_int_equal(t.out[0].conn, conn);
    speak(s, conn, "IN-PROGRESS");
    /* Both have a request 1: the channel tells which one is meant. */
    rx(conn, "1 200 IN-PROGRESS", "Channel-Identifier:OTHER@speechsynth\r\n");
    assert_int_equal(t.n, 1);
    rx(conn, "SPEAK-COMPLETE 1 COMPLETE", "Channel-Identifier:NOBODY@speechsynth\r\n");
    assert_int_equal(t.n, 0);
    mrcp_session_close(t.c, t.now, s);
    drain();
    assert_int_equal(t.n, 0);
    mrcp_session_close(t.c, t.now, other);
    drain();
    assert_int_equal(t.n, 1);
    assert_int_equal(t.out[0].kind, MRCP_OUT_CLOSE);
    mrcp_client_stats(t.c, &stats);
    assert_int_equal(stats.conns, 0);
    assert_int_equal(stats.sessions, 0);
    assert_int_equal(stats.stray, 1);
}

static void channels_come_and_go(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    assert_int_equal(mrcp_session_add(t.c, s, MRCP_R_SPEECHSYNTH), -EEXIST);
    assert_int_equal(mrcp_session_add(t.c, s, MRCP_R_RECORDER), 0);
    const char *o = offer(s);
    assert_true(strstr(o, "a=resource:recorder") > strstr(o, "m=audio")); /* behind all others */
    mrcp_session_refused(t.c, s);
    assert_false(has(offer(s), "recorder"));
    assert_int_equal(mrcp_session_add(t.c, s, MRCP_R_RECORDER), 0);
    offer(s);
    assert_int_equal(answer(s, HEAD CTRL("32416", "existing", "speechrecog")
                                   CTRL("32416", "existing", "speechsynth")
                                       AUDIO CTRL("32416", "existing", "recorder")),
                     0);
    assert_int_equal(t.n, 1);
    assert_int_equal(t.out[0].kind, MRCP_OUT_READY);
    ask(s, MRCP_R_RECORDER, MRCP_M_RECORD);
    rx(conn, "1 200 IN-PROGRESS", "Channel-Identifier:" ID "@recorder\r\n");
    assert_int_equal(state_of(s, MRCP_R_RECORDER), CHAN_RECORDING);
    /* The recognizer leaves: its line stays in its place, with port 0. */
    assert_int_equal(mrcp_session_remove(t.c, s, MRCP_R_SPEECHRECOG), 0);
    o = offer(s);
    assert_true(has(o, "m=application 0 TCP/MRCPv2 1\r\nm=application 9"));
    assert_false(has(o, "a=resource:speechrecog"));
    mrcp_session_refused(t.c, s);
    assert_int_equal(state_of(s, MRCP_R_SPEECHRECOG), CHAN_IDLE);
    assert_int_equal(mrcp_session_remove(t.c, s, MRCP_R_SPEECHRECOG), 0);
    offer(s);
    assert_int_equal(
        answer(s, HEAD "m=application 0 TCP/MRCPv2 1\r\n" CTRL("32416", "existing", "speechsynth")
                      AUDIO CTRL("32416", "existing", "recorder")),
        0);
    enum chan_state st;
    assert_int_equal(mrcp_channel_state(t.c, s, MRCP_R_SPEECHRECOG, &st), -ENOENT);
    assert_int_equal(state_of(s, MRCP_R_RECORDER), CHAN_RECORDING);
}

static void what_is_not_mrcp(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    mrcp_client_rx(t.c, t.now, conn, STR("HTTP/1.1 200 OK\r\n\r\n"));
    drain();
    assert_int_equal(t.out[0].kind, MRCP_OUT_CLOSE);
    assert_int_equal(t.out[1].kind, MRCP_OUT_FAILED);
    assert_int_equal(t.out[1].err, -EPROTO);
    mrcp_client_free(t.c);
    setup(NULL);
    conn = ready(&s);
    mrcp_client_rx(t.c, t.now, conn, STR("MRCP/2.0 999999 1 200 COMPLETE\r\n"));
    drain();
    assert_int_equal(t.out[1].err, -EPROTO);
}

static void in_small_pieces(void **state)
{
    (void)state;
    static const char two[] =
        "MRCP/2.0 72 1 200 IN-PROGRESS\nChannel-Identifier:" ID "@speechsynth\n\n"
        "MRCP/2.0 85 SPEAK-COMPLETE 1 COMPLETE\nChannel-Identifier:" ID "@speechsynth\n\n";
    handle_t s, conn = ready(&s);
    unsigned n = 0;
    ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_SPEAK);
    size_t first =
        strlen("MRCP/2.0 72 1 200 IN-PROGRESS\nChannel-Identifier:" ID "@speechsynth\n\n");
    char mem[sizeof(two)];
    memcpy(mem, two, sizeof(two));
    mem[9] = (char)('0' + first / 10);
    mem[10] = (char)('0' + first % 10);
    size_t second = sizeof(two) - 1 - first;
    mem[first + 9] = (char)('0' + second / 10);
    mem[first + 10] = (char)('0' + second % 10);
    for (size_t i = 0; i < sizeof(two) - 1; i++) {
        mrcp_client_rx(t.c, t.now, conn, str_of(mem + i, 1));
        drain();
        n += t.n;
    }
    assert_int_equal(n, 2);
    assert_int_equal(state_of(s, MRCP_R_SPEECHSYNTH), CHAN_IDLE);
}

static void more_requests_than_there_is_room_for(void **state)
{
    (void)state;
    handle_t s, conn = ready(&s);
    for (int i = 0; i < MRCP_MAX_REQUESTS; i++)
        speak(s, conn, i ? "PENDING" : "IN-PROGRESS");
    assert_int_equal(refused_ask(s, MRCP_R_SPEECHSYNTH, MRCP_M_SPEAK), -ENOSPC);
}

/* Whatever cannot be had, nothing is lost that was, and nothing stays behind. */
static void memory_runs_out(void **state)
{
    (void)state;
    static const enum mrcp_resource both[] = {MRCP_R_SPEECHRECOG, MRCP_R_SPEECHSYNTH};
    for (uint64_t nth = 1; nth < 40; nth++) {
        mrcp_client_free(t.c);
        setup(NULL);
        handle_t s = open_with(both, 2, true);
        offer(s);
        mem_fail_after(nth);
        (void)!mrcp_session_answer(t.c, t.now, s,
                                   str_z(HEAD CTRL("32416", "new", "speechrecog")
                                             CTRL("32416", "existing", "speechsynth") AUDIO));
        drain();
        handle_t conn = t.n ? t.out[0].conn : 0;
        mrcp_client_connected(t.c, t.now, conn);
        drain();
        for (int i = 1; i < 4; i++) {
            char line[32];
            struct mrcp_ask a = {.resource = MRCP_R_SPEECHSYNTH, .method = MRCP_M_SPEAK};
            (void)!mrcp_request(t.c, t.now, s, &a, NULL);
            drain();
            snprintf(line, sizeof(line), "%d 200 IN-PROGRESS", i);
            rx(conn, line, SYNTH_ID);
        }
        mrcp_session_close(t.c, t.now, s);
        drain();
        mem_fail_after(0);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_offer),
        T(lines_in_another_order_and_without_mid),
        T(answers_that_are_none),
        T(speaking_with_a_queue),
        T(stop_ends_what_it_lists),
        T(barge_in),
        T(a_folded_sync_id_does_not_lose_the_barge_in),
        T(control_over_tls),
        T(a_prompt_that_may_not_be_cut_goes_on),
        T(a_queue_of_recognitions),
        T(silence_of_the_server),
        T(pending_for_ever),
        T(a_connection_half_closed_is_not_used_again),
        T(sessions_share_a_connection),
        T(channels_come_and_go),
        T(what_is_not_mrcp),
        T(in_small_pieces),
        T(memory_runs_out),
        T(more_requests_than_there_is_room_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
