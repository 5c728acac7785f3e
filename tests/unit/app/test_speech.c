/* Conversations with a speech server over real sockets: what the PBX asks for becomes SIP and
 * MRCPv2, and what the server says becomes events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "app/speech.h"
#include "base/mem.h"
#include "speech_peer.h"
#include "../io/io_test.h"

#define ID     0x100000007
#define MEDIA  91
#define CALLER 92
#define PORT   30000
#define KINDS  (BOTLINK_EV_HEARD + 1)

struct bed {
    struct loop *loop;
    struct speech *speech;
    struct speech_peer peer;
    unsigned told[KINDS], opens, closes, lets, seen;
    uint32_t token; /* of the last SAID, SOUND or HEARD */
    char text[300], words[300], server[80], order[200];
    struct botlink_heard heard;
    struct botlink_figures figures;
    bool close_when_lost;
    uint8_t family;
    struct speech_conf conf;
};

static void command(struct bed *b, struct botlink_cmd cmd)
{
    struct speech_bot bot = {.server = str_z(b->server), .voice = STR("Kate")};
    cmd.id = ID;
    cmd.protocol = BOTLINK_SPEECH;
    speech_cmd(b->speech, &cmd, cmd.kind == BOTLINK_OPEN ? &bot : NULL);
}

static void on_event(void *ctx, const struct botlink_event *ev)
{
    static const char letter[] = {
        [BOTLINK_EV_OPENED] = 'o', [BOTLINK_EV_FAILED] = 'f',   [BOTLINK_EV_SOUND] = 's',
        [BOTLINK_EV_HANGUP] = '?', [BOTLINK_EV_TRANSFER] = '?', [BOTLINK_EV_NOTE] = '?',
        [BOTLINK_EV_BROKEN] = '?', [BOTLINK_EV_LOST] = 'l',     [BOTLINK_EV_CLOSED] = 'c',
        [BOTLINK_EV_SAID] = 'd',   [BOTLINK_EV_HEARD] = 'h'};
    struct bed *b = ctx;
    size_t n = strlen(b->order);
    assert_int_equal(ev->id, ID);
    assert_true(n + 1 < sizeof(b->order));
    b->order[n] = letter[ev->kind];
    b->order[n + 1] = 0;
    b->told[ev->kind]++;
    b->token = ev->token;
    b->heard = ev->heard;
    str_copy_z(b->text, sizeof(b->text), ev->text);
    str_copy_z(b->words, sizeof(b->words), ev->heard.words);
    if (ev->kind == BOTLINK_EV_CLOSED)
        b->figures = ev->figures;
    if (ev->kind == BOTLINK_EV_LOST && b->close_when_lost)
        command(b, (struct botlink_cmd){.kind = BOTLINK_CLOSE});
}

static void on_media(void *ctx, const struct media_cmd *cmd)
{
    struct bed *b = ctx;
    b->opens += cmd->kind == MEDIA_OPEN;
    b->closes += cmd->kind == MEDIA_CLOSE;
    b->lets += cmd->kind == MEDIA_TAP_HEAR;
    if (cmd->kind == MEDIA_OPEN)
        assert_int_equal(cmd->port, PORT);
    assert_int_equal(cmd->id, cmd->kind == MEDIA_TAP_HEAR ? CALLER : MEDIA);
}

static void on_seen(void *ctx, const struct flow *flow, const struct addr *bound, struct str bytes,
                    bool sent)
{
    struct bed *b = ctx;
    (void)sent;
    assert_true(bytes.n > 0 && bound->port && flow->peer.port);
    b->seen++;
}

static void on_turn(void *ctx, usec_t now)
{
    struct bed *b = ctx;
    (void)now;
    if (b->speech)
        speech_turn(b->speech);
}

static void turn(struct bed *b)
{
    loop_run_once(b->loop, 2);
    peer_turn(&b->peer);
}

#define UNTIL(cond)                                                                                \
    do {                                                                                           \
        uint64_t until_ms = test_ms() + 10000;                                                     \
        while (!(cond)) {                                                                          \
            turn(b);                                                                               \
            if (test_ms() > until_ms)                                                              \
                fail_msg("timed out waiting for: %s", #cond);                                      \
        }                                                                                          \
    } while (0)

static void speech_up(struct bed *b)
{
    static const struct str codecs[] = {STR("PCMU")};
    b->conf = (struct speech_conf){.host = {.loop = b->loop,
                                            .proto = PROTO_UDP,
                                            .t1 = 20 * USEC_MS,
                                            .t2 = 80 * USEC_MS,
                                            .invite_sends = 7,
                                            .bind = {.family = ADDR_V4, .ip = {127, 0, 0, 1}},
                                            .codec = codecs,
                                            .n_codecs = 1,
                                            .share = true,
                                            .response_timeout = 2 * USEC_S,
                                            .sessions = 4},
                                   .event = on_event,
                                   .media = on_media,
                                   .seen = on_seen,
                                   .ctx = b};
    assert_int_equal(speech_new(&b->speech, &b->conf), 0);
}

static int setup(void **state)
{
    struct bed *b = mem_zero(sizeof(*b));
    struct loop_hooks hooks = {.turn = on_turn, .ctx = b};
    assert_int_equal(loop_new(&b->loop), 0);
    loop_hooks_set(b->loop, &hooks);
    peer_open(&b->peer);
    snprintf(b->server, sizeof(b->server), "sip:asr@127.0.0.1:%u", b->peer.port);
    speech_up(b);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bed *b = *state;
    struct loop_hooks none = {0};
    speech_free(b->speech);
    loop_hooks_set(b->loop, &none);
    loop_settle(b->loop);
    loop_free(b->loop);
    peer_close(&b->peer);
    mem_free(b);
    return mem_live() != 0;
}

static void open_to(struct bed *b, uint32_t ms)
{
    command(b, (struct botlink_cmd){.kind = BOTLINK_OPEN,
                                    .open_ms = ms,
                                    .media = MEDIA,
                                    .port = PORT,
                                    .family = b->family});
}

static void opened(struct bed *b)
{
    open_to(b, 5000);
    UNTIL(b->told[BOTLINK_EV_OPENED]);
    command(b, (struct botlink_cmd){.kind = BOTLINK_START, .media = CALLER});
}

static void closed(struct bed *b)
{
    command(b, (struct botlink_cmd){.kind = BOTLINK_CLOSE});
    UNTIL(b->told[BOTLINK_EV_CLOSED]);
    UNTIL(b->closes);
    assert_int_equal(b->told[BOTLINK_EV_CLOSED], 1);
    assert_int_equal(b->opens, 1);
    assert_int_equal(b->closes, 1);
}

static void say(struct bed *b, const char *text, uint32_t token)
{
    command(
        b, (struct botlink_cmd){
               .kind = BOTLINK_SAY, .text = str_z(text), .language = STR("en-US"), .token = token});
}

static const struct botlink_phrase phrases[] = {
    {STR("the workshop"), 1}, {STR("sales"), 2}, {STR("Sales & Orders"), 2}};

static void hear(struct bed *b, unsigned n_phrases, uint32_t token)
{
    command(b, (struct botlink_cmd){.kind = BOTLINK_HEAR,
                                    .language = STR("en-US"),
                                    .token = token,
                                    .phrase = phrases,
                                    .n_phrases = n_phrases,
                                    .no_input_ms = 4200});
}

/* An event about the newest request of this method. */
static void tell(struct bed *b, const char *method, const char *event, const char *fields,
                 const char *body)
{
    char start[100];
    const struct speech_asked *a = peer_last(&b->peer, method);
    assert_non_null(a);
    const char *last = strstr(event, "COMPLETE") ? "COMPLETE" : "IN-PROGRESS";
    snprintf(start, sizeof(start), "%s %llu %s", event, a->id, last);
    peer_say(&b->peer, peer_resource(a), start, fields, body);
}

#define NLSML(ns, confidence, instance, input)                                                     \
    "<?xml version=\"1.0\"?><result" ns "><interpretation" confidence "><instance>" instance       \
    "</instance><input mode=\"speech\">" input "</input></interpretation></result>"
#define NS " xmlns=\"urn:ietf:params:xml:ns:mrcpv2\""

static void complete(struct bed *b, const char *cause, const char *body)
{
    char fields[80];
    snprintf(fields, sizeof(fields), "Completion-Cause:%s\r\n", cause);
    tell(b, "RECOGNIZE", "RECOGNITION-COMPLETE", fields, body);
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void a_session_with_both_resources(void **state)
{
    struct bed *b = *state;
    opened(b);
    assert_non_null(strstr(b->peer.invite, "a=resource:speechsynth"));
    assert_non_null(strstr(b->peer.invite, "a=resource:speechrecog"));
    assert_non_null(strstr(b->peer.invite, "m=audio 30000 "));
    assert_non_null(strstr(b->peer.invite, "a=sendrecv"));
    assert_int_equal(b->peer.n_controls, 1);
    UNTIL(b->peer.acks);
    say(b, "hello", 1);
    UNTIL(b->told[BOTLINK_EV_SOUND]);
    closed(b);
    UNTIL(b->peer.byes == 1);
    assert_in_range(b->figures.rx_bytes, 50, 400);
    assert_in_range(b->figures.tx_bytes, 200, 900);
    assert_in_range(b->seen, 4, 8); /* INVITE, 200, ACK, BYE, perhaps its 200 */
    struct speech_stats s;
    speech_stats_get(b->speech, &s);
    assert_int_equal(s.opened, 1);
    assert_int_equal(s.open, 0);
    assert_int_equal(s.telemetry.sipByeSent, 1);
}

static void who_is_not_there_in_time(void **state)
{
    struct bed *b = *state;
    b->peer.silent = true;
    open_to(b, 100);
    UNTIL(b->told[BOTLINK_EV_FAILED]);
    assert_non_null(strstr(b->text, "in time"));
    closed(b);
    assert_string_equal(b->order, "fc");
}

static void who_refuses(void **state)
{
    static const struct {
        const char *status, *server, *why;
        bool no_recog, off;
        uint8_t family;
    } cases[] = {
        {.status = "486 Busy Here", .why = "the server refuses the session: 486 Busy Here"},
        {.status = "401 Unauthorized", .why = "401"},
        {.no_recog = true, .why = "the server gives no speechrecog"},
        {.server = "sip:", .why = "URI"},
        {.server = "tel:+4989", .why = "URI"},
        {.server = "sip:asr@127.0.0.1;transport=sctp", .why = "transport"},
        /* The pair of ports is IPv6, and the server is not. */
        {.server = "sip:asr@127.0.0.1:9", .family = ADDR_V6, .why = ""},
        {.off = true, .why = "MRCP_ENABLE_SIP_V2"}};
    struct bed *b = *state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        b->peer.status = cases[i].status;
        b->peer.refuse_recog = cases[i].no_recog;
        b->family = cases[i].family;
        if (cases[i].server)
            snprintf(b->server, sizeof(b->server), "%s", cases[i].server);
        if (cases[i].off) {
            speech_free(b->speech);
            b->conf.off = true;
            assert_int_equal(speech_new(&b->speech, &b->conf), 0);
        }
        open_to(b, 5000);
        UNTIL(b->told[BOTLINK_EV_FAILED]);
        if (!strstr(b->text, cases[i].why))
            fail_msg("\"%s\" has no \"%s\"", b->text, cases[i].why);
        closed(b);
        assert_string_equal(b->order, "fc");
        memset(b->told, 0, sizeof(b->told));
        b->opens = b->closes = 0;
        b->order[0] = 0;
        b->peer.n_controls = 0;
    }
}

static void closed_while_it_is_opened(void **state)
{
    struct bed *b = *state;
    b->peer.silent = true;
    open_to(b, 5000);
    UNTIL(b->peer.invites);
    closed(b);
    assert_string_equal(b->order, "c");
    assert_false(speech_is_idle(b->speech)); /* the server has a session still */
    peer_answer(&b->peer); /* it crosses: it must be hung up (RFC 3261 section 15) */
    UNTIL(b->peer.byes);
    UNTIL(speech_is_idle(b->speech));
    assert_string_equal(b->order, "c");
}

static void no_more_than_there_may_be(void **state)
{
    struct bed *b = *state;
    b->peer.silent = true;
    const unsigned most = 2 * 4; /* of the client of MRCPv2 */
    for (unsigned i = 0; i <= most; i++) {
        struct speech_bot bot = {.server = str_z(b->server)};
        struct botlink_cmd cmd = {.kind = BOTLINK_OPEN,
                                  .protocol = BOTLINK_SPEECH,
                                  .id = ID,
                                  .open_ms = 60000,
                                  .media = MEDIA,
                                  .port = PORT};
        cmd.id = i == most ? ID : ID + 1 + i;
        speech_cmd(b->speech, &cmd, &bot);
    }
    UNTIL(b->told[BOTLINK_EV_FAILED]);
    assert_non_null(strstr(b->text, "no session could be begun"));
}

/* Those whose server is silent, and whose caller has gone, are in nobody's way. */
static void a_silent_server_keeps_nobody_away(void **state)
{
    struct bed *b = *state;
    b->peer.silent = true;
    for (unsigned i = 0; i < 20; i++) {
        b->told[BOTLINK_EV_CLOSED] = b->order[0] = 0;
        open_to(b, 60000);
        UNTIL(b->peer.invites > i);
        command(b, (struct botlink_cmd){.kind = BOTLINK_CLOSE});
        UNTIL(b->told[BOTLINK_EV_CLOSED]);
    }
    b->peer.silent = false;
    opened(b);
    assert_int_equal(b->told[BOTLINK_EV_FAILED], 0);
}

static int caller_at(const char *ip)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    inet_pton(AF_INET, ip, &sa.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

static void call_us(struct bed *b, int fd, const char *method, const char *to_tag)
{
    char ip[40], text[600];
    struct sockaddr_in sa;
    socklen_t n = sizeof(sa);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
    inet_ntop(AF_INET, &sa.sin_addr, ip, sizeof(ip));
    snprintf(text, sizeof(text),
             "%s sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s:%u;branch=z9hG4bK%s\r\n"
             "From: <sip:a@%s>;tag=7\r\nTo: <sip:x@127.0.0.1>%s\r\nCall-ID: %s\r\n"
             "CSeq: 1 %s\r\nMax-Forwards: 70\r\nContact: <sip:a@%s>\r\nContent-Length: 0\r\n\r\n",
             method, ip, ntohs(sa.sin_port), method, ip, to_tag, method, method, ip);
    assert_true(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&b->peer.client,
                       sizeof(b->peer.client)) > 0);
}

/* The port is open to all, and no guard of the exchange stands before it. */
static void strangers_get_no_answer(void **state)
{
    struct bed *b = *state;
    char answer[2000] = "";
    int stranger = caller_at("127.0.0.2"), server = caller_at("127.0.0.1");
    opened(b);
    UNTIL(b->peer.acks);
    unsigned seen = b->seen;
    call_us(b, stranger, "INVITE", "");
    call_us(b, stranger, "OPTIONS", "");
    call_us(b, stranger, "BYE", ";tag=none");
    assert_true(sendto(stranger, "?", 1, 0, (struct sockaddr *)&b->peer.client,
                       sizeof(b->peer.client)) == 1);
    call_us(b, server, "OPTIONS", ""); /* what came before was read before */
    UNTIL(recv(server, answer, sizeof(answer) - 1, 0) > 0);
    assert_int_equal(strncmp(answer, "SIP/2.0 200", 11), 0);
    assert_int_equal(recv(stranger, answer, sizeof(answer) - 1, 0), -1);
    assert_int_equal(b->seen, seen + 2);
    peer_bye(&b->peer); /* who speaks of a session that there is, is heard */
    UNTIL(b->told[BOTLINK_EV_LOST]);
    closed(b);
    close(stranger);
    close(server);
}

/* ---- saying ---------------------------------------------------------------------------------- */

static void a_text_is_said(void **state)
{
    struct bed *b = *state;
    opened(b);
    say(b, "salt & <pepper>", 5);
    UNTIL(b->told[BOTLINK_EV_SOUND]);
    assert_int_equal(b->token, 5);
    const struct speech_asked *a = peer_last(&b->peer, "SPEAK");
    assert_non_null(strstr(a->text, "salt &amp; &lt;pepper&gt;"));
    assert_non_null(strstr(a->text, "xml:lang=\"en-US\""));
    assert_non_null(strstr(a->text, "<voice name=\"Kate\">"));
    assert_non_null(strstr(a->text, "Kill-On-Barge-In:"));
    assert_int_equal(b->lets, 1);
    tell(b, "SPEAK", "SPEECH-MARKER", "", "");
    tell(b, "SPEAK", "SPEAK-COMPLETE", "Completion-Cause:000 normal\r\n", "");
    UNTIL(b->told[BOTLINK_EV_SAID]);
    assert_int_equal(b->token, 5);
    assert_string_equal(b->order, "osd");
    closed(b);
}

static void another_text_takes_its_place(void **state)
{
    struct bed *b = *state;
    opened(b);
    say(b, "one", 1);
    UNTIL(b->told[BOTLINK_EV_SOUND]);
    say(b, "two", 2);
    say(b, "three", 3); /* in the same turn: two is never begun */
    UNTIL(b->told[BOTLINK_EV_SOUND] == 2);
    assert_int_equal(b->token, 3);
    assert_int_equal(b->told[BOTLINK_EV_SAID], 2);
    assert_int_equal(peer_count(&b->peer, "STOP"), 1);
    assert_int_equal(peer_count(&b->peer, "SPEAK"), 2);
    assert_non_null(strstr(peer_last(&b->peer, "SPEAK")->text, ">three<"));
    /* What is let through is the new one: not before the old one has ended. */
    assert_int_equal(b->lets, 2);
    assert_string_equal(b->order, "osdds");
    closed(b);
}

static void it_is_stopped(void **state)
{
    struct bed *b = *state;
    opened(b);
    say(b, "a long text", 1);
    hear(b, 3, 2);
    UNTIL(b->told[BOTLINK_EV_SOUND]);
    command(b, (struct botlink_cmd){.kind = BOTLINK_STOPPED});
    UNTIL(b->told[BOTLINK_EV_SAID]);
    assert_int_equal(b->token, 1);
    assert_non_null(strstr(peer_last(&b->peer, "STOP")->channel, "speechsynth"));
    UNTIL(peer_count(&b->peer, "START-INPUT-TIMERS") == 1);
    assert_int_equal(peer_count(&b->peer, "RECOGNIZE"), 1);
    command(b, (struct botlink_cmd){.kind = BOTLINK_STOPPED}); /* nothing is said any more */
    say(b, "more", 3);
    UNTIL(b->told[BOTLINK_EV_SOUND] == 2);
    assert_int_equal(peer_count(&b->peer, "STOP"), 1);
    closed(b);
}

static void the_server_hears_the_caller_first(void **state)
{
    struct bed *b = *state;
    opened(b);
    say(b, "a long text", 1);
    hear(b, 3, 2);
    UNTIL(b->told[BOTLINK_EV_SOUND] && peer_count(&b->peer, "RECOGNIZE"));
    tell(b, "RECOGNIZE", "START-OF-INPUT", "Proxy-Sync-Id:7\r\n", "");
    UNTIL(b->told[BOTLINK_EV_SAID]);
    assert_int_equal(peer_count(&b->peer, "BARGE-IN-OCCURRED"), 1);
    assert_int_equal(b->told[BOTLINK_EV_HEARD], 0);
    complete(b, "000 success", NLSML(NS, "", "sales", "sales"));
    UNTIL(b->told[BOTLINK_EV_HEARD]);
    assert_int_equal(b->heard.means, 2);
    closed(b);
}

/* ---- hearing --------------------------------------------------------------------------------- */

static void nobody_has_to_speak_while_it_speaks(void **state)
{
    struct bed *b = *state;
    opened(b);
    hear(b, 3, 2); /* whichever of the two comes first */
    say(b, "press or say", 1);
    UNTIL(b->told[BOTLINK_EV_SOUND] && peer_count(&b->peer, "RECOGNIZE"));
    const struct speech_asked *a = peer_last(&b->peer, "RECOGNIZE");
    assert_non_null(strstr(a->text, "Start-Input-Timers: false"));
    assert_non_null(strstr(a->text, "No-Input-Timeout: 4200"));
    assert_non_null(strstr(a->text, "Cancel-If-Queue: true"));
    assert_non_null(strstr(a->text, "<item>the workshop</item><item>sales</item>"
                                    "<item>Sales &amp; Orders</item>"));
    assert_non_null(strstr(a->text, "application/srgs+xml"));
    tell(b, "SPEAK", "SPEAK-COMPLETE", "Completion-Cause:000 normal\r\n", "");
    UNTIL(peer_count(&b->peer, "START-INPUT-TIMERS"));
    complete(b, "002 no-input-timeout", "");
    UNTIL(b->told[BOTLINK_EV_HEARD]);
    assert_int_equal(b->heard.outcome, BOTLINK_NO_INPUT);
    assert_int_equal(b->token, 2);
    hear(b, 3, 3);
    UNTIL(peer_count(&b->peer, "RECOGNIZE") == 2);
    assert_non_null(strstr(peer_last(&b->peer, "RECOGNIZE")->text, "Start-Input-Timers: true"));
    assert_int_equal(peer_count(&b->peer, "START-INPUT-TIMERS"), 1);
    closed(b);
}

static void what_was_heard(void **state)
{
    static const struct {
        const char *cause, *body;
        enum botlink_outcome outcome;
        uint8_t means;
        uint16_t confidence;
        const char *words;
    } cases[] = {
        {"000 success", NLSML(NS, " confidence=\"0.87\"", "x", "The  Workshop."),
         BOTLINK_UNDERSTOOD, 1, 870, "The  Workshop."},
        {"000 success",
         NLSML(" xmlns=\"http://www.ietf.org/xml/ns/mrcpv2\"", " confidence=\"35\"", "SALES",
               "i want to buy"),
         BOTLINK_UNDERSTOOD, 2, 350, "i want to buy"},
        {"008 success-maxtime", NLSML("", "", "so", "sales &amp; orders"), BOTLINK_UNDERSTOOD, 2, 0,
         "sales & orders"},
        {"013 partial-match", NLSML(NS, " confidence=\"0\"", "sales", ""), BOTLINK_UNDERSTOOD, 2, 1,
         "sales"},
        {"000 success", NLSML(NS, "", "sales", "the workshop"), BOTLINK_UNDERSTOOD, 2, 0,
         "the workshop"},
        {"000 success", NLSML(NS, "", "something else", "else"), BOTLINK_UNDERSTOOD, 0xFF, 0,
         "else"},
        {"000 success", NLSML(NS, "", "", "<nomatch/>"), BOTLINK_NO_MATCH, 0xFF, 0, ""},
        {"000 success", NLSML(NS, "", "", "<noinput/>"), BOTLINK_NO_INPUT, 0xFF, 0, ""},
        {"001 no-match", "", BOTLINK_NO_MATCH, 0xFF, 0, ""},
        {"015 no-match-maxtime", NLSML(NS, "", "sales", "sales"), BOTLINK_NO_MATCH, 0xFF, 0, ""},
        {"003 hotword-maxtime", "", BOTLINK_NO_MATCH, 0xFF, 0, ""},
        {"007 speech-too-early", "", BOTLINK_NO_MATCH, 0xFF, 0, ""},
        {"002 no-input-timeout", "", BOTLINK_NO_INPUT, 0xFF, 0, ""}};
    struct bed *b = *state;
    opened(b);
    for (unsigned i = 0, n = 1; i < ARRAY_LEN(cases); i++, n++) {
        hear(b, 3, 100 + i);
        UNTIL(peer_count(&b->peer, "RECOGNIZE") == n);
        complete(b, cases[i].cause, cases[i].body);
        UNTIL(b->told[BOTLINK_EV_HEARD] == n);
        assert_int_equal(b->token, 100 + i);
        assert_int_equal(b->heard.outcome, cases[i].outcome);
        assert_int_equal(b->heard.means, cases[i].means);
        assert_int_equal(b->heard.confidence, cases[i].confidence);
        assert_string_equal(b->words, cases[i].words);
    }
    assert_int_equal(b->told[BOTLINK_EV_LOST], 0);
    closed(b);
}

static void whatever_the_server_knows(void **state)
{
    struct bed *b = *state;
    struct speech_bot bot = {.server = str_z(b->server), .grammar = STR("builtin:speech/mill")};
    opened(b);
    hear(b, 0, 1);
    UNTIL(peer_count(&b->peer, "RECOGNIZE"));
    assert_non_null(strstr(peer_last(&b->peer, "RECOGNIZE")->text, "builtin:speech/transcribe"));
    assert_non_null(strstr(peer_last(&b->peer, "RECOGNIZE")->text, "text/uri-list"));
    complete(b, "000 success", NLSML(NS, "", "hello there", "hello there"));
    UNTIL(b->told[BOTLINK_EV_HEARD]);
    assert_int_equal(b->heard.means, 0xFF);
    assert_string_equal(b->words, "hello there");
    closed(b);
    /* A grammar of the configuration is taken in place of the phrases, and they give the meaning.
     */
    struct botlink_cmd cmd = {.kind = BOTLINK_OPEN,
                              .protocol = BOTLINK_SPEECH,
                              .id = ID,
                              .open_ms = 5000,
                              .media = MEDIA,
                              .port = PORT};
    speech_cmd(b->speech, &cmd, &bot);
    UNTIL(b->told[BOTLINK_EV_OPENED] == 2);
    hear(b, 3, 2);
    UNTIL(peer_count(&b->peer, "RECOGNIZE") == 2);
    assert_non_null(strstr(peer_last(&b->peer, "RECOGNIZE")->text, "builtin:speech/mill"));
    assert_null(strstr(peer_last(&b->peer, "RECOGNIZE")->text, "workshop"));
    complete(b, "000 success", NLSML(NS, "", "the workshop", "werkstatt"));
    UNTIL(b->told[BOTLINK_EV_HEARD] == 2);
    assert_int_equal(b->heard.means, 1);
}

static void what_is_not_wanted_any_more(void **state)
{
    struct bed *b = *state;
    opened(b);
    hear(b, 3, 1);
    UNTIL(peer_count(&b->peer, "RECOGNIZE") == 1);
    command(b, (struct botlink_cmd){.kind = BOTLINK_DEAF});
    UNTIL(peer_count(&b->peer, "STOP") == 1);
    hear(b, 3, 2);
    UNTIL(peer_count(&b->peer, "RECOGNIZE") == 2);
    hear(b, 3, 3); /* one under way is stopped first */
    UNTIL(peer_count(&b->peer, "RECOGNIZE") == 3);
    assert_int_equal(peer_count(&b->peer, "STOP"), 2);
    complete(b, "000 success", NLSML(NS, "", "sales", "sales"));
    UNTIL(b->told[BOTLINK_EV_HEARD]);
    assert_int_equal(b->token, 3);
    /* A result that crosses the STOP belongs to nobody. */
    hear(b, 3, 4);
    UNTIL(peer_count(&b->peer, "RECOGNIZE") == 4);
    complete(b, "000 success", NLSML(NS, "", "sales", "sales"));
    command(b, (struct botlink_cmd){.kind = BOTLINK_DEAF});
    say(b, "last", 9);
    UNTIL(b->told[BOTLINK_EV_SOUND]);
    assert_int_equal(b->told[BOTLINK_EV_HEARD], 1);
    closed(b);
}

/* ---- what breaks ----------------------------------------------------------------------------- */

static void lost_once(struct bed *b, const char *why)
{
    UNTIL(b->told[BOTLINK_EV_LOST]);
    if (!strstr(b->text, why))
        fail_msg("\"%s\" has no \"%s\"", b->text, why);
    say(b, "is anybody there", 7);
    hear(b, 3, 8);
    closed(b);
    assert_int_equal(b->told[BOTLINK_EV_LOST], 1);
    assert_null(strstr(b->order, "lh"));
    memset(b->told, 0, sizeof(b->told));
    b->opens = b->closes = 0;
}

static void failures_of_the_server(void **state)
{
    static const struct {
        const char *cause, *body, *why;
    } cases[] = {{"006 recognizer-error", "", "006 recognizer-error"},
                 {"004 grammar-load-failure", "", "004"},
                 {"016 grammar-definition-failure", "", "016"},
                 {"010 language-unsupported", "", "010"},
                 {"000 success", "no XML", "NLSML"}};
    struct bed *b = *state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        opened(b);
        hear(b, 3, 1);
        UNTIL(peer_count(&b->peer, "RECOGNIZE") == i + 1);
        complete(b, cases[i].cause, cases[i].body);
        lost_once(b, cases[i].why);
        UNTIL(b->peer.byes == i + 1);
        peer_hang_up_control(&b->peer);
        b->order[0] = 0;
    }
}

static void a_text_that_cannot_be_said(void **state)
{
    struct bed *b = *state;
    opened(b);
    say(b, "hello", 1);
    UNTIL(b->told[BOTLINK_EV_SOUND]);
    tell(b, "SPEAK", "SPEAK-COMPLETE", "Completion-Cause:005 language-unsupported\r\n", "");
    lost_once(b, "005 language-unsupported");
}

static void a_request_that_is_refused(void **state)
{
    struct bed *b = *state;
    char start[60];
    opened(b);
    b->peer.mute = true;
    say(b, "hello", 1);
    UNTIL(peer_count(&b->peer, "SPEAK"));
    snprintf(start, sizeof(start), "%llu 407 COMPLETE", peer_last(&b->peer, "SPEAK")->id);
    peer_say(&b->peer, "speechsynth", start, "", "");
    lost_once(b, "SPEAK: 407");
}

static void a_server_that_says_nothing(void **state)
{
    struct bed *b = *state;
    opened(b);
    b->peer.mute = true;
    say(b, "hello", 1);
    lost_once(b, "does not answer");
    UNTIL(b->peer.byes); /* RFC 6787 section 4.6 */
}

static void a_server_that_goes(void **state)
{
    struct bed *b = *state;
    opened(b);
    UNTIL(b->peer.acks);
    peer_bye(&b->peer);
    lost_once(b, "hung up");
    peer_hang_up_control(&b->peer);
    b->order[0] = 0;
    b->close_when_lost = true; /* a command from inside an event */
    opened(b);
    peer_hang_up_control(&b->peer);
    UNTIL(b->told[BOTLINK_EV_CLOSED]);
    assert_string_equal(b->order, "olc");
}

/* Its place of limits.bots and its pair of ports would be lost for good. */
static void the_end_needs_no_memory(void **state)
{
    struct bed *b = *state;
    mem_fail_after(1); /* it cannot even begin */
    open_to(b, 5000);
    command(b, (struct botlink_cmd){.kind = BOTLINK_CLOSE});
    speech_turn(b->speech);
    mem_fail_after(0);
    assert_int_equal(b->told[BOTLINK_EV_CLOSED], 1);
    assert_int_equal(b->opens, 1);
    assert_int_equal(b->closes, 1);
    b->order[0] = 0;
    b->peer.silent = true;
    open_to(b, 5000);
    UNTIL(b->peer.invites);
    mem_fail_after(1);
    command(b, (struct botlink_cmd){.kind = BOTLINK_CLOSE});
    speech_turn(b->speech);
    mem_fail_after(0);
    assert_int_equal(b->told[BOTLINK_EV_CLOSED], 2);
    assert_string_equal(b->order, "c");
    assert_int_equal(b->opens, 2);
    assert_int_equal(b->closes, 2);
}

static void memory_of_what_is_under_way(void **state)
{
    struct bed *b = *state;
    opened(b);
    say(b, "one", 1);
    hear(b, 3, 2);
    UNTIL(b->told[BOTLINK_EV_SOUND]);
    say(b, "two", 3);
    hear(b, 3, 4);
    command(b, (struct botlink_cmd){.kind = BOTLINK_DEAF});
} /* teardown: nothing is left */

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_session_with_both_resources),
        CASE(who_is_not_there_in_time),
        CASE(who_refuses),
        CASE(closed_while_it_is_opened),
        CASE(no_more_than_there_may_be),
        CASE(a_silent_server_keeps_nobody_away),
        CASE(strangers_get_no_answer),
        CASE(a_text_is_said),
        CASE(another_text_takes_its_place),
        CASE(it_is_stopped),
        CASE(the_server_hears_the_caller_first),
        CASE(nobody_has_to_speak_while_it_speaks),
        CASE(what_was_heard),
        CASE(whatever_the_server_knows),
        CASE(what_is_not_wanted_any_more),
        CASE(failures_of_the_server),
        CASE(a_text_that_cannot_be_said),
        CASE(a_request_that_is_refused),
        CASE(a_server_that_says_nothing),
        CASE(a_server_that_goes),
        CASE(the_end_needs_no_memory),
        CASE(memory_of_what_is_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
