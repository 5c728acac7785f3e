/* A client of MRCPv2 whose server sends what it likes: on its control connection, in the answer to
 * the offer, in time and out of it. */
#include "engine/mrcp/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char sdp[] =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.11\r\ns=-\r\nc=IN IP4 192.0.2.11\r\nt=0 0\r\n"
    "m=application 32416 TCP/MRCPv2 1\r\na=connection:new\r\na=channel:1@speechsynth\r\n"
    "m=application 32416 TCP/MRCPv2 1\r\na=connection:existing\r\na=channel:1@speechrecog\r\n"
    "m=audio 48260 RTP/AVP 0\r\n";

static handle_t drain(struct mrcp_client *c)
{
    struct mrcp_out o;
    handle_t conn = 0;
    while (mrcp_client_out(c, &o)) {
        if (o.kind == MRCP_OUT_CONNECT)
            conn = o.conn;
        BUG_ON((o.kind == MRCP_OUT_RESPONSE || o.kind == MRCP_OUT_EVENT) && !o.msg);
        blob_unref(o.blob);
    }
    return conn;
}

static void ask(struct mrcp_client *c, usec_t now, handle_t s, enum mrcp_resource r,
                enum mrcp_method m)
{
    struct mrcp_ask a = {.resource = r, .method = m};
    (void)!mrcp_request(c, now, s, &a, NULL);
    (void)drain(c);
}

static handle_t begin(struct mrcp_client *c, struct str answer)
{
    static const enum mrcp_resource both[] = {MRCP_R_SPEECHSYNTH, MRCP_R_SPEECHRECOG};
    static const struct str codec = STR_INIT("PCMU");
    struct mrcp_session_conf conf = {.resource = both,
                                     .n_resources = 2,
                                     .share = true,
                                     .rtp = {.family = ADDR_V4, .port = 40000},
                                     .codec = &codec,
                                     .n_codecs = 1};
    char mem[4096];
    struct buf b;
    handle_t s;
    buf_init(&b, mem, sizeof(mem));
    BUG_ON(mrcp_session_open(c, 0, &conf, &s) || mrcp_session_offer(c, s, &b));
    (void)!mrcp_session_answer(c, 0, s, answer);
    return s;
}

/* The first byte: whether the rest is an answer, or what comes on the connection, in pieces of so
 * many bytes, with as many milliseconds between them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mrcp_client_conf conf = {.max_sessions = 4, .max_conns = 4, .seed = 1};
    if (size < 2)
        return 0;
    struct mrcp_client *c = mrcp_client_new(&conf, 0);
    struct str rest = str_of((const char *)data + 1, size - 1);
    bool is_answer = data[0] & 1;
    size_t step = data[0] >> 1 ? data[0] >> 1 : rest.n;
    handle_t s = begin(c, is_answer ? rest : str_of(sdp, sizeof(sdp) - 1));
    handle_t conn = drain(c);
    usec_t now = 0;
    mrcp_client_connected(c, now, conn);
    (void)drain(c);
    ask(c, now, s, MRCP_R_SPEECHSYNTH, MRCP_M_SPEAK);
    ask(c, now, s, MRCP_R_SPEECHSYNTH, MRCP_M_SPEAK);
    ask(c, now, s, MRCP_R_SPEECHRECOG, MRCP_M_RECOGNIZE);
    ask(c, now, s, MRCP_R_SPEECHSYNTH, MRCP_M_STOP);
    while (!is_answer && rest.n) {
        mrcp_client_rx(c, now, conn, str_sub(rest, 0, step));
        (void)drain(c);
        rest = str_from(rest, step);
        now += (step & 63) * USEC_MS;
        mrcp_client_tick(c, now);
        (void)drain(c);
    }
    mrcp_session_close(c, now, s);
    (void)drain(c);
    struct mrcp_client_stats stats;
    mrcp_client_stats(c, &stats);
    BUG_ON(stats.sessions || stats.conns);
    mrcp_client_free(c);
    return 0;
}
