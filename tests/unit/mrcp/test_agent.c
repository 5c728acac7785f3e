/* Sessions with MRCPv2 servers in virtual time: the SIP side, as flow S9 has it. The server is this
 * file; it answers with what it is told to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "mrcp/agent.h"

#define MAX_SENT 128
#define ID       "32AECB234338"

static struct bed {
    struct rand rand;
    struct trace trace;
    struct digest *digest;
    struct sip_core *core;
    struct mrcp_client *client;
    struct mrcp_agent *agent;
    usec_t now;
    uint64_t live, id;
    unsigned n_streams, n_streams_closed;
    unsigned n_sent, n_media, n_ready, n_ended, n_changed, n_closed;
    char sent[MAX_SENT][2400];
    usec_t sent_at[MAX_SENT];
    struct addr sent_to[MAX_SENT];
    handle_t conn;
    char mrcp[1024]; /* the latest request */
    struct mrcp_agent_out ended, changed;
    struct media_cmd media[32];
    struct str headers; /* more of them for the next responses */
} t;

static void drain(void)
{
    struct sip_out s;
    struct mrcp_out m;
    struct mrcp_agent_out o;
    bool any;
    do {
        any = false;
        for (; mrcp_agent_out(t.agent, &o); any = true) {
            if (o.kind == MRCP_AGENT_MEDIA) {
                t.media[t.n_media++] = o.media;
                t.n_streams += o.media.kind == MEDIA_OPEN;
                t.n_streams_closed += o.media.kind == MEDIA_CLOSE;
            }
            t.n_ready += o.kind == MRCP_AGENT_READY;
            if (o.kind == MRCP_AGENT_ENDED) {
                t.n_ended++;
                t.ended = o;
            } else if (o.kind == MRCP_AGENT_CHANGED) {
                t.n_changed++;
                t.changed = o;
            }
        }
        for (; sip_core_out(t.core, &s); any = true) {
            if (s.kind != SIP_OUT_SEND) {
                mrcp_agent_sip(t.agent, t.now, &s);
                continue;
            }
            assert_true(t.n_sent < MAX_SENT);
            t.sent_at[t.n_sent] = t.now;
            t.sent_to[t.n_sent] = s.flow.peer;
            str_copy_z(t.sent[t.n_sent++], sizeof(t.sent[0]), blob_str(s.blob));
            blob_unref(s.blob);
        }
        for (; mrcp_client_out(t.client, &m); any = true) {
            if (m.kind == MRCP_OUT_CONNECT)
                t.conn = m.conn;
            else if (m.kind == MRCP_OUT_CLOSE)
                t.n_closed++;
            else if (m.kind == MRCP_OUT_SEND)
                str_copy_z(t.mrcp, sizeof(t.mrcp), blob_str(m.blob));
            else
                mrcp_agent_client(t.agent, t.now, &m);
            blob_unref(m.blob);
        }
    } while (any);
}

static struct addr address(const char *text)
{
    struct addr a;
    assert_int_equal(addr_parse_port(&a, str_z(text)), 0);
    return a;
}

static void up(unsigned invite_sends)
{
    static struct sip_conf conf;
    memset(&t, 0, sizeof(t));
    t.live = mem_live();
    conf = (struct sip_conf){.timers = {.t1 = 500 * USEC_MS,
                                        .t2 = 4 * USEC_S,
                                        .t4 = 5 * USEC_S,
                                        .bye_timeout = 32 * USEC_S,
                                        .invite_sends = invite_sends},
                             .n_listeners = 1,
                             .supported = "100rel",
                             .supported_call = "100rel",
                             .allow = "INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE",
                             .max_txns = 64,
                             .max_sessions = 16,
                             .max_dialogs = 16};
    conf.listener[0] =
        (struct flow_listener){.proto = PROTO_UDP, .bound = address("192.0.2.12:5060")};
    conf.listener[0].advertised = conf.listener[0].bound;
    str_copy_z(conf.call_id_host, sizeof(conf.call_id_host), STR("client.test"));
    t.now = 1000 * USEC_S;
    rand_seed(&t.rand, 1);
    assert_int_equal(trace_init(&t.trace, 4096, 1), 0);
    t.digest = digest_new();
    t.core = sip_core_new(&conf, &t.rand, &t.trace, t.now);
    static const struct mrcp_client_conf client = {.seed = 1};
    t.client = mrcp_client_new(&client, t.now);
    struct mrcp_agent_conf agent = {
        .core = t.core, .client = t.client, .rand = &t.rand, .digest = t.digest};
    t.agent = mrcp_agent_new(&agent);
}

static int setup(void **state)
{
    (void)state;
    up(0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    mrcp_agent_free(t.agent);
    mrcp_client_free(t.client);
    sip_core_free(t.core);
    digest_free(t.digest);
    trace_done(&t.trace);
    assert_int_equal(mem_live(), t.live);
    return 0;
}

static void begin_call(unsigned n)
{
    static const enum mrcp_resource both[] = {MRCP_R_SPEECHSYNTH, MRCP_R_SPEECHRECOG};
    static const struct str codec[] = {STR_INIT("PCMU")};
    struct mrcp_agent_call call = {
        .ruri = STR("sip:mresources@asr.test"),
        .from = STR("<sip:client@client.test>"),
        .user = STR("alice"),
        .password = STR("secret"),
        .proto = PROTO_UDP,
        .n_addrs = n,
        .media = 9,
        .port = 40000,
        .session = {.resource = both,
                    .n_resources = 2,
                    .share = true,
                    .rtp = address("192.0.2.12:40000"),
                    .codec = codec,
                    .n_codecs = 1},
    };
    call.addr[0] = address("192.0.2.11:5060");
    call.addr[1] = address("192.0.2.13:5060");
    assert_int_equal(mrcp_agent_open(t.agent, t.now, &call, &t.id), 0);
}

static void call_servers(unsigned n)
{
    begin_call(n);
    drain();
}

static void pass(usec_t d)
{
    usec_t end = t.now + d;
    for (;;) {
        usec_t due = sip_core_deadline(t.core), other = mrcp_client_deadline(t.client);
        due = due < other ? due : other;
        if (due > end)
            break;
        t.now = due > t.now ? due : t.now;
        sip_core_tick(t.core, t.now);
        mrcp_client_tick(t.client, t.now);
        drain();
    }
    t.now = end;
}

static const char *last(const char *method)
{
    for (unsigned i = t.n_sent; i-- > 0;)
        if (strncmp(t.sent[i], method, strlen(method)) == 0)
            return t.sent[i];
    fail_msg("no %s was sent", method);
    return "";
}

static unsigned count(const char *method)
{
    unsigned n = 0;
    for (unsigned i = 0; i < t.n_sent; i++)
        n += strncmp(t.sent[i], method, strlen(method)) == 0;
    return n;
}

static void copy_header(struct buf *b, const char *request, const char *name)
{
    const char *at = strstr(request, name), *end;
    assert_non_null(at);
    end = strstr(at + 2, "\r\n");
    buf_put(b, at, (size_t)(end - at));
    if (strcmp(name, "\r\nTo:") == 0 && !memmem(at + 2, (size_t)(end - at - 2), ";tag=", 5))
        buf_lit(b, ";tag=server");
}

static void respond(const char *method, const char *status, const char *body)
{
    static const char *const names[] = {
        "\r\nVia:", "\r\nFrom:", "\r\nTo:", "\r\nCall-ID:", "\r\nCSeq:"};
    char mem[4096];
    struct buf b;
    struct flow flow = {.proto = PROTO_UDP, .peer = address("192.0.2.11:5060")};
    const char *request = last(method);
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "SIP/2.0 ");
    buf_z(&b, status);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        copy_header(&b, request, names[i]);
    buf_lit(&b, "\r\nContact: <sip:server@192.0.2.11>\r\n");
    buf_str_put(&b, t.headers);
    if (body)
        buf_lit(&b, "Content-Type: application/sdp\r\n");
    buf_lit(&b, "Content-Length: ");
    buf_u64(&b, body ? strlen(body) : 0);
    buf_lit(&b, "\r\n\r\n");
    buf_z(&b, body ? body : "");
    sip_core_rx(t.core, t.now, &flow, b.p, b.n);
    drain();
}

#define SDP                                                                                        \
    "v=0\r\no=- 1 1 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n"                  \
    "m=application 32416 TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:new\r\n"                  \
    "a=channel:" ID "@speechsynth\r\na=cmid:1\r\n"                                                 \
    "m=application 32416 TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:existing\r\n"             \
    "a=channel:" ID "@speechrecog\r\na=cmid:1\r\n"                                                 \
    "m=audio 48260 RTP/AVP 0\r\na=sendrecv\r\na=mid:1\r\n"

static void establish(void)
{
    call_servers(1);
    respond("INVITE", "200 OK", SDP);
    assert_int_equal(count("ACK"), 1);
    mrcp_client_connected(t.client, t.now, t.conn);
    drain();
    assert_int_equal(t.n_ready, 1);
}

static struct mrcp_telemetry telemetry(void)
{
    struct mrcp_telemetry x;
    mrcp_agent_telemetry(t.agent, &x);
    return x;
}

static void normal(void **state)
{
    (void)state;
    establish();
    const char *invite = last("INVITE");
    assert_non_null(strstr(invite, "INVITE sip:mresources@asr.test SIP/2.0\r\n"));
    assert_non_null(strstr(invite, "Max-Forwards: 70"));
    assert_non_null(strstr(invite, "m=application 9 TCP/MRCPv2 1\r\n"));
    /* Its stream is opened, told the formats, then where to send. */
    assert_int_equal(t.n_media, 3);
    assert_int_equal(t.media[0].kind, MEDIA_OPEN);
    assert_int_equal(t.media[0].port, 40000);
    assert_int_equal(t.media[1].kind, MEDIA_FORMAT);
    assert_int_equal(t.media[1].rx[0].codec, CODEC_PCMU);
    assert_int_equal(t.media[2].kind, MEDIA_SET);
    assert_int_equal(t.media[2].rtp.port, 48260);
    assert_true(t.media[2].receiving && t.media[2].sending);
    struct mrcp_ask ask = {.resource = MRCP_R_SPEECHSYNTH, .method = MRCP_M_SPEAK};
    assert_int_equal(mrcp_agent_ask(t.agent, t.now, t.id, &ask, NULL), 0);
    drain();
    assert_non_null(strstr(t.mrcp, "SPEAK 1\r\nChannel-Identifier: " ID "@speechsynth"));
    mrcp_agent_close(t.agent, t.now, t.id);
    drain();
    assert_int_equal(t.media[3].kind, MEDIA_CLOSE); /* hence RTCP BYE */
    assert_int_equal(t.n_closed, 1);
    assert_int_equal(t.n_ended, 0);
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended.err, 0);
    assert_int_equal(telemetry().sipByeSent, 1);
    assert_int_equal(telemetry().sipByeAcksMissing, 0);
    assert_int_equal(telemetry().sipInviteTimeouts, 0);
}

static void many_provisionals(void **state)
{
    (void)state;
    call_servers(1);
    for (int i = 0; i < 20; i++)
        respond("INVITE", "180 Ringing", NULL);
    respond("INVITE", "200 OK", SDP);
    assert_int_equal(telemetry().sipProvisional, 20);
    assert_int_equal(count("ACK"), 1);
    mrcp_client_connected(t.client, t.now, t.conn);
    drain();
    assert_int_equal(t.n_ready, 1);
}

/* RFC 3262 section 5: the answer may come in a reliable provisional, and not again. */
static void answered_before_it_is_up(void **state)
{
    (void)state;
    call_servers(1);
    t.headers = STR("Require: 100rel\r\nRSeq: 1\r\n");
    respond("INVITE", "183 Session Progress", SDP);
    assert_int_equal(count("PRACK"), 1);
    t.headers = STR_NONE;
    respond("PRACK", "200 OK", NULL);
    respond("INVITE", "200 OK", NULL);
    assert_int_equal(count("ACK"), 1);
    mrcp_client_connected(t.client, t.now, t.conn);
    drain();
    assert_int_equal(t.n_ready, 1);
    assert_int_equal(t.n_ended, 0);
}

/* What was answered is kept no longer than the call. */
static void given_up_after_an_early_answer(void **state)
{
    (void)state;
    call_servers(1);
    t.headers = STR("Require: 100rel\r\nRSeq: 1\r\n");
    respond("INVITE", "183 Session Progress", SDP);
    t.headers = STR_NONE;
    respond("INVITE", "486 Busy Here", NULL);
    assert_int_equal(t.n_ended, 1);
}

static void refused_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        uint16_t status;
    } cases[] = {{"486 Busy Here", 486}, {"503 Service Unavailable", 503}, {"603 Decline", 603}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        call_servers(1);
        respond("INVITE", cases[i].line, NULL);
        assert_int_equal(t.n_ended, i + 1);
        assert_int_equal(t.ended.status, cases[i].status);
        assert_int_equal(t.ended.err, -EPROTO);
        assert_int_equal(t.media[t.n_media - 1].kind, MEDIA_CLOSE);
    }
    assert_int_equal(telemetry().sipError4xx, 1);
    assert_int_equal(telemetry().sipError5xx, 1);
    assert_int_equal(telemetry().sipError6xx, 1);
    assert_int_equal(telemetry().sipByeSent, 0);
}

static void nobody_answers(void **state)
{
    (void)state;
    static const usec_t at_ms[] = {0, 500, 1500, 3500, 7500, 15500, 31500};
    call_servers(1);
    usec_t start = t.now;
    pass(31999 * USEC_MS);
    assert_int_equal(t.n_ended, 0);
    pass(USEC_MS);
    assert_int_equal(count("INVITE"), 7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(t.sent_at[i] - start, at_ms[i] * USEC_MS);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended.err, -ETIMEDOUT);
    assert_int_equal(telemetry().sipInviteTimeouts, 1);
    assert_int_equal(telemetry().sipError4xx, 0);
}

/* MRCP_SIP_INVITE_MAX_RETRANS counts transmissions: seven are what Timer B allows anyway. */
static void as_often_as_it_is_told(void **state)
{
    static const struct {
        unsigned sends, seen;
        usec_t end_ms;
    } cases[] = {{1, 1, 500}, {3, 3, 3500}, {6, 6, 31500}, {7, 7, 32000}, {10, 7, 32000}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        teardown(state);
        up(cases[i].sends);
        call_servers(1);
        pass((cases[i].end_ms - 1) * USEC_MS);
        assert_int_equal(t.n_ended, 0);
        pass(USEC_MS);
        assert_int_equal(t.n_ended, 1);
        pass(60 * USEC_S);
        assert_int_equal(count("INVITE"), cases[i].seen);
        assert_int_equal(telemetry().sipInviteTimeouts, 1);
    }
}

static void the_next_server(void **state)
{
    (void)state;
    static const struct addr second = {.family = ADDR_V4, .port = 5060, .ip = {192, 0, 2, 13}};
    call_servers(2);
    pass(32 * USEC_S);
    assert_int_equal(t.n_ended, 0);
    assert_int_equal(telemetry().sipInviteTimeouts, 1);
    assert_int_equal(count("INVITE"), 8);
    assert_true(addr_eq(&t.sent_to[7], &second));
    respond("INVITE", "200 OK", SDP);
    mrcp_client_connected(t.client, t.now, t.conn);
    drain();
    assert_int_equal(t.n_ready, 1);
}

static void challenges(void **state)
{
    (void)state;
    call_servers(1);
    t.headers = STR("WWW-Authenticate: Digest realm=\"asr\", nonce=\"n1\", qop=\"auth\", "
                    "algorithm=SHA-256\r\n");
    respond("INVITE", "401 Unauthorized", NULL);
    assert_non_null(strstr(last("INVITE"), "Authorization: Digest username=\"alice\""));
    assert_int_equal(telemetry().sipAuthChallenges, 1);
    /* The same again: our credentials are no good, and are not offered a third time. */
    respond("INVITE", "401 Unauthorized", NULL);
    assert_int_equal(count("INVITE"), 2);
    assert_int_equal(t.ended.err, -EACCES);
    assert_int_equal(t.ended.status, 401);
    assert_int_equal(telemetry().sipAuthChallenges, 1);
    assert_int_equal(telemetry().sipError4xx, 1);
    t.headers = STR("Proxy-Authenticate: Digest realm=\"asr\", nonce=\"n1\", qop=\"auth\"\r\n");
    call_servers(1);
    respond("INVITE", "407 Proxy Authentication Required", NULL);
    assert_non_null(strstr(last("INVITE"), "Proxy-Authorization: Digest"));
    t.headers = STR_NONE;
    respond("INVITE", "200 OK", SDP);
    mrcp_client_connected(t.client, t.now, t.conn);
    drain();
    assert_int_equal(t.n_ready, 1);
}

static void nobody_answers_our_bye(void **state)
{
    (void)state;
    establish();
    mrcp_agent_close(t.agent, t.now, t.id);
    drain();
    pass(32 * USEC_S);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended.err, 0);
    assert_int_equal(telemetry().sipByeSent, 1);
    assert_int_equal(telemetry().sipByeAcksMissing, 1);
}

static void given_up_while_it_rings(void **state)
{
    (void)state;
    call_servers(1);
    respond("INVITE", "180 Ringing", NULL);
    mrcp_agent_close(t.agent, t.now, t.id);
    drain();
    assert_int_equal(count("CANCEL"), 1);
    respond("CANCEL", "200 OK", NULL);
    respond("INVITE", "487 Request Terminated", NULL);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended.err, 0);
    assert_int_equal(telemetry().sipError4xx, 0);
    /* The answer was faster than the CANCEL. */
    call_servers(1);
    respond("INVITE", "180 Ringing", NULL);
    mrcp_agent_close(t.agent, t.now, t.id);
    drain();
    respond("INVITE", "200 OK", SDP);
    assert_int_equal(count("BYE"), 1);
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.n_ended, 2);
    assert_int_equal(telemetry().sipByeSent, 1);
}

static void a_lost_control_channel_ends_the_dialog(void **state)
{
    (void)state;
    establish();
    mrcp_client_closed(t.client, t.now, t.conn, 0);
    drain();
    assert_int_equal(count("BYE"), 1);
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.ended.err, -ECONNRESET);
}

/* A request of the server within the session. */
static void server_asks(const char *method, unsigned cseq, const char *body)
{
    char mem[4096], id[200], to[200];
    struct flow flow = {.proto = PROTO_UDP, .peer = address("192.0.2.11:5060")};
    const char *ack = last("ACK");
    assert_int_equal(sscanf(strstr(ack, "\r\nCall-ID:") + 10, " %199s", id), 1);
    assert_int_equal(sscanf(strstr(ack, "\r\nFrom:") + 7, " %199[^\r]", to), 1);
    int n = snprintf(
        mem, sizeof(mem),
        "%s sip:client@192.0.2.12 SIP/2.0\r\nVia: SIP/2.0/UDP "
        "192.0.2.11;branch=z9hG4bKx%u%s\r\n"
        "From: <sip:mresources@asr.test>;tag=server\r\n"
        "To: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\nMax-Forwards: 70\r\n"
        "Contact: <sip:server@192.0.2.11>\r\n" STR_FMT "%sContent-Length: %zu\r\n\r\n%s",
        method, cseq, method, to, id, cseq, method, STR_ARG(t.headers),
        body ? "Content-Type: application/sdp\r\n" : "", body ? strlen(body) : 0, body ? body : "");
    sip_core_rx(t.core, t.now, &flow, mem, (size_t)n);
    drain();
}

static void a_server_that_hangs_up(void **state)
{
    (void)state;
    establish();
    server_asks("BYE", 1, NULL);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended.err, -ECONNABORTED);
    assert_int_equal(t.n_closed, 1);
    assert_int_equal(telemetry().sipByeSent, 0);
}

#define SDP_AGAIN(version, channel, audio)                                                         \
    "v=0\r\no=- 1 " version " IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n"        \
    "m=application 32416 TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:existing\r\n"             \
    "a=channel:" channel "@speechsynth\r\na=cmid:1\r\n"                                            \
    "m=application 32416 TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:existing\r\n"             \
    "a=channel:" channel "@speechrecog\r\na=cmid:1\r\n"                                            \
    "m=audio " audio " RTP/AVP 0\r\na=sendrecv\r\na=mid:1\r\n"

static void o_line(char ret[100], const char *message)
{
    assert_int_equal(sscanf(strstr(message, "\r\no="), " %99[^\r]", ret), 1);
}

/* RFC 4028: with the description of before, or with none. What we say of it keeps its version (RFC
 * 3264 section 8). */
static void refreshed_by_the_server(void **state)
{
    char first[100], second[100];
    (void)state;
    establish();
    t.headers = STR("Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\n");
    server_asks("INVITE", 1, SDP_AGAIN("2", ID, "48260"));
    assert_non_null(strstr(last("SIP/2.0 "), "200 OK"));
    assert_non_null(strstr(last("SIP/2.0 "), "a=connection:existing\r\na=resource:speechrecog"));
    o_line(first, last("SIP/2.0 "));
    server_asks("ACK", 1, NULL);
    server_asks("UPDATE", 2, NULL);
    assert_non_null(strstr(last("SIP/2.0 "), "200 OK"));
    assert_null(strstr(last("SIP/2.0 "), "m=audio"));
    server_asks("INVITE", 3, SDP_AGAIN("2", ID, "48260"));
    o_line(second, last("SIP/2.0 "));
    assert_string_equal(first, second);
    server_asks("ACK", 3, NULL);
    assert_int_equal(t.n_ready, 1); /* nothing has changed */
    assert_int_equal(t.n_ended, 0);
    assert_int_equal(mrcp_agent_change(t.agent, t.now, t.id, MRCP_R_RECORDER, true), 0);
    drain();
    o_line(second, last("INVITE"));
    assert_string_not_equal(first, second);
}

static void what_a_server_may_change(void **state)
{
    (void)state;
    establish();
    server_asks("INVITE", 1, SDP_AGAIN("2", "0123456789AB", "48260"));
    assert_non_null(strstr(last("SIP/2.0 "), "488 "));
    server_asks("ACK", 1, NULL);
    server_asks("INVITE", 2,
                "v=0\r\no=- 1 3 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n"
                "m=audio 48260 RTP/AVP 0\r\n");
    assert_non_null(strstr(last("SIP/2.0 "), "488 "));
    server_asks("ACK", 2, NULL);
    server_asks("UPDATE", 3, "v=0\r\n");
    assert_non_null(strstr(last("SIP/2.0 "), "488 "));
    /* What our own offer would be no answer to: another line, audio on hold. */
    server_asks("UPDATE", 4, SDP_AGAIN("3", ID, "48260") "m=video 0 RTP/AVP 31\r\n");
    assert_non_null(strstr(last("SIP/2.0 "), "488 "));
    server_asks("UPDATE", 5, SDP_AGAIN("3", ID, "0"));
    assert_non_null(strstr(last("SIP/2.0 "), "488 "));
    t.n_media = 0;
    server_asks("UPDATE", 6, SDP_AGAIN("4", ID, "48300"));
    assert_non_null(strstr(last("SIP/2.0 "), "200 OK"));
    assert_non_null(strstr(last("SIP/2.0 "), "m=audio 40000 "));
    assert_int_equal(t.n_media, 2); /* the audio is elsewhere now */
    assert_int_equal(t.media[1].kind, MEDIA_SET);
    assert_int_equal(t.media[1].rtp.port, 48300);
    server_asks("INVITE", 7, NULL); /* we offer, and the ACK answers */
    assert_non_null(strstr(last("SIP/2.0 "), "m=audio 40000 "));
    server_asks("ACK", 7, SDP_AGAIN("5", ID, "48302"));
    assert_int_equal(t.media[t.n_media - 1].rtp.port, 48302);
    assert_int_equal(t.n_ready, 1);
    /* While an offer of ours is open: RFC 3311 section 5.2. */
    assert_int_equal(mrcp_agent_change(t.agent, t.now, t.id, MRCP_R_RECORDER, true), 0);
    drain();
    server_asks("UPDATE", 8, SDP_AGAIN("6", ID, "48302"));
    assert_non_null(strstr(last("SIP/2.0 "), "491 "));
    respond("INVITE", "488 Not Acceptable Here", NULL);
    assert_int_equal(t.n_ended, 0);
}

static void channels_by_reinvite(void **state)
{
    (void)state;
    establish();
    assert_int_equal(mrcp_agent_change(t.agent, t.now, t.id, MRCP_R_RECORDER, true), 0);
    assert_int_equal(mrcp_agent_change(t.agent, t.now, t.id, MRCP_R_DTMFRECOG, true), -EBUSY);
    drain();
    assert_int_equal(count("INVITE"), 2);
    assert_non_null(strstr(last("INVITE"), "a=resource:recorder"));
    respond("INVITE", "488 Not Acceptable Here", NULL);
    assert_int_equal(t.n_changed, 1);
    assert_int_equal(t.changed.status, 488);
    assert_int_equal(t.n_ended, 0); /* what there is goes on */
    assert_int_equal(mrcp_agent_change(t.agent, t.now, t.id, MRCP_R_RECORDER, true), 0);
    drain();
    respond("INVITE", "200 OK",
            SDP "m=application 32416 TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:existing\r\n"
                "a=channel:" ID "@recorder\r\na=cmid:1\r\n");
    assert_int_equal(t.n_ready, 2);
    struct mrcp_ask ask = {.resource = MRCP_R_RECORDER, .method = MRCP_M_RECORD};
    assert_int_equal(mrcp_agent_ask(t.agent, t.now, t.id, &ask, NULL), 0);
    drain();
}

static void answers_that_help_nobody(void **state)
{
    (void)state;
    call_servers(1);
    respond("INVITE", "200 OK", "v=0\r\no=- 1 1 IN IP4 192.0.2.11\r\ns=-\r\nt=0 0\r\n");
    assert_int_equal(count("ACK"), 1);
    assert_int_equal(count("BYE"), 1);
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.ended.err, -ENOTSUP);
    call_servers(1);
    respond("INVITE", "200 OK", NULL);
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.n_ended, 2);
    assert_int_equal(t.ended.err, -ENOMSG);
    call_servers(1);
    respond("INVITE", "200 OK",
            "v=0\r\no=- 1 1 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 speech.test\r\nt=0 0\r\n"
            "m=application 32416 TCP/MRCPv2 1\r\na=channel:" ID "@speechsynth\r\n"
            "m=audio 48260 RTP/AVP 0\r\n");
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.ended.err, -EDESTADDRREQ);
    call_servers(1);
    respond("INVITE", "200 OK",
            "v=0\r\no=- 1 1 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n"
            "m=application 32416 TCP/MRCPv2 1\r\na=channel:" ID "@speechsynth\r\n"
            "m=audio 48260 RTP/AVP 18\r\n");
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.ended.err, -ENOSTR);
}

/* Beside a codec it is a format of the stream, since it is always offered. */
static void keys_are_a_format(void **state)
{
    (void)state;
    call_servers(1);
    t.n_media = 0;
    respond("INVITE", "200 OK",
            "v=0\r\no=- 1 1 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n"
            "m=application 32416 TCP/MRCPv2 1\r\na=channel:" ID "@speechsynth\r\n"
            "m=audio 48260 RTP/AVP 0 101 18\r\na=rtpmap:101 telephone-event/8000\r\n");
    assert_int_equal(t.media[0].kind, MEDIA_FORMAT);
    assert_int_equal(t.media[0].n_rx, 2); /* 18 was not offered */
    assert_int_equal(t.media[0].rx[1].pt, 101);
}

static void our_bye_is_challenged(void **state)
{
    (void)state;
    establish();
    mrcp_agent_close(t.agent, t.now, t.id);
    drain();
    t.headers = STR("Proxy-Authenticate: Digest realm=\"asr\", nonce=\"n1\", qop=\"auth\"\r\n");
    respond("BYE", "407 Proxy Authentication Required", NULL);
    assert_int_equal(count("BYE"), 2);
    assert_non_null(strstr(last("BYE"), "Proxy-Authorization: Digest username=\"alice\""));
    assert_int_equal(telemetry().sipAuthChallenges, 1);
    assert_int_equal(t.n_ended, 0);
    t.headers = STR_NONE;
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended.err, 0);
    assert_int_equal(telemetry().sipByeSent, 1);
    assert_int_equal(telemetry().sipByeAcksMissing, 0);
}

/* Who has given up does not begin anew: neither with credentials nor with the next address. */
static void no_invite_after_giving_up(void **state)
{
    static const char *const answers[] = {"401 Unauthorized", "503 Service Unavailable"};
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(answers); i++) {
        call_servers(2);
        mrcp_agent_close(t.agent, t.now, t.id); /* nothing may be cancelled yet */
        drain();
        t.headers = STR("WWW-Authenticate: Digest realm=\"asr\", nonce=\"n1\", qop=\"auth\"\r\n");
        respond("INVITE", answers[i], NULL);
        assert_int_equal(count("INVITE"), i + 1);
        assert_int_equal(t.n_ended, i + 1);
        assert_int_equal(t.ended.err, 0);
        assert_int_equal(telemetry().sipAuthChallenges, 0);
        assert_int_equal(telemetry().sipError4xx + telemetry().sipError5xx, 0);
    }
}

/* Who says nothing at all is passed over at once when the owner has waited enough. */
static void silence_is_passed_over(void **state)
{
    (void)state;
    struct addr silent = {0}, other = address("192.0.2.13:5060"),
                first = address("192.0.2.11:5060");
    call_servers(2);
    assert_true(addr_eq(&t.sent_to[0], &first));
    pass(700 * USEC_MS);
    assert_true(mrcp_agent_next(t.agent, t.now, t.id, &silent));
    drain();
    assert_true(addr_eq(&silent, &first));
    assert_true(addr_eq(&t.sent_to[t.n_sent - 1], &other));
    assert_int_equal(telemetry().sipInviteTimeouts, 1);
    assert_false(mrcp_agent_next(t.agent, t.now, t.id, &silent)); /* there is no third */
    respond("INVITE", "200 OK", SDP);
    mrcp_client_connected(t.client, t.now, t.conn);
    drain();
    assert_int_equal(t.n_ready, 1);
    pass(40 * USEC_S); /* what is given up is over, and is nobody's business */
    assert_int_equal(t.n_ended, 0);
    mrcp_agent_close(t.agent, t.now, t.id);
    drain();
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.n_ended, 1);
}

static void who_rings_is_waited_for(void **state)
{
    (void)state;
    struct addr silent;
    call_servers(2);
    respond("INVITE", "180 Ringing", NULL);
    assert_false(mrcp_agent_next(t.agent, t.now, t.id, &silent));
    respond("INVITE", "200 OK", SDP);
    assert_false(mrcp_agent_next(t.agent, t.now, t.id, &silent));
    mrcp_agent_close(t.agent, t.now, t.id);
    drain();
    respond("BYE", "200 OK", NULL);
}

/* Channels without sound are of no use: it is hung up, and not used in silence. */
static void sound_refused(void **state)
{
    (void)state;
    static const char whole[] = SDP;
    char sdp[1024];
    const char *at = strstr(whole, "m=audio 48260");
    assert_non_null(at);
    snprintf(sdp, sizeof(sdp), "%.*sm=audio 0%s", (int)(at - whole), whole, at + 13);
    call_servers(1);
    respond("INVITE", "200 OK", sdp);
    assert_int_equal(count("BYE"), 1);
    assert_int_equal(t.n_ready, 0);
    respond("BYE", "200 OK", NULL);
    assert_int_equal(t.n_ended, 1);
    assert_int_equal(t.ended.err, -ENOSTR);
}

/* Lines of the answer that nobody has offered, or that are not known at all, are passed over. */
static void lines_that_nobody_knows(void **state)
{
    (void)state;
    call_servers(1);
    respond("INVITE", "200 OK",
            "v=0\r\no=- 1 1 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n"
            "m=hologram 4000 X/Y 1 2\r\na=channel:" ID "@speechsynth\r\n"
            "m=application 32416 TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:new\r\n"
            "a=channel:" ID "@speechsynth\r\na=cmid:1\r\n"
            "m=video 5000 RTP/AVP 99\r\n"
            "m=application 32416 TCP/MRCPv2 1\r\na=setup:passive\r\na=connection:existing\r\n"
            "a=channel:" ID "@speechrecog\r\na=cmid:1\r\n"
            "m=audio 0 RTP/AVP 0\r\n"
            "m=audio 48260 RTP/AVP 0\r\na=sendrecv\r\na=mid:1\r\n");
    mrcp_client_connected(t.client, t.now, t.conn);
    drain();
    assert_int_equal(t.n_ready, 1);
    const struct media_cmd *set = &t.media[t.n_media - 1];
    assert_int_equal(set->kind, MEDIA_SET);
    assert_int_equal(set->rtp.port, 48260);
    assert_int_equal(t.n_ended, 0);
}

/* A port pair that is not given back is lost until a restart, so memory must not matter. */
static void the_end_needs_no_memory(void **state)
{
    uint64_t id[12];
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(id); i++) { /* nothing is taken from the queue meanwhile */
        begin_call(1);
        id[i] = t.id;
    }
    assert_int_equal(mrcp_agent_sessions(t.agent), ARRAY_LEN(id));
    mem_fail_after(1);
    for (unsigned i = 0; i < ARRAY_LEN(id); i++)
        mrcp_agent_close(t.agent, t.now, id[i]);
    mem_fail_after(0);
    drain();
    assert_int_equal(t.n_streams, ARRAY_LEN(id));
    assert_int_equal(t.n_streams_closed, ARRAY_LEN(id));
    pass(40 * USEC_S);
    assert_int_equal(t.n_ended, ARRAY_LEN(id));
    assert_int_equal(mrcp_agent_sessions(t.agent), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(normal),
        T(many_provisionals),
        T(answered_before_it_is_up),
        T(given_up_after_an_early_answer),
        T(refused_at_once),
        T(nobody_answers),
        T(as_often_as_it_is_told),
        T(the_next_server),
        T(challenges),
        T(nobody_answers_our_bye),
        T(given_up_while_it_rings),
        T(a_lost_control_channel_ends_the_dialog),
        T(a_server_that_hangs_up),
        T(channels_by_reinvite),
        T(keys_are_a_format),
        T(refreshed_by_the_server),
        T(what_a_server_may_change),
        T(answers_that_help_nobody),
        T(our_bye_is_challenged),
        T(no_invite_after_giving_up),
        T(lines_that_nobody_knows),
        T(silence_is_passed_over),
        T(who_rings_is_waited_for),
        T(sound_refused),
        T(the_end_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
