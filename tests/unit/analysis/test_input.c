/* Frames in, SIP messages out: over UDP on any port, in fragments, tunnels, streams, WebSocket,
 * HEP and SCTP; what is missing or broken costs itself only. */
#include "read_test.h"

#include "wire/hep/hep.h"

static const struct ends sip_ends = {1, 2, 5060, 5060};
static const struct ends tcp_ends = {1, 2, 40000, 5080};

#define OPTIONS                                                                                    \
    "OPTIONS sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\n"                \
    "Call-ID: 1\r\nContent-Length: 0\r\n\r\n"
#define OK                                                                                         \
    "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP a;branch=z9hG4bK1\r\nCall-ID: 1\r\n"                       \
    "Content-Length: 5\r\n\r\nhello"

static struct lab lab;

/* The nth datum is a SIP message with this text. */
static struct an_datum *is_sip(unsigned n, const char *text)
{
    assert_true(n < lab.n);
    assert_int_equal(lab.got[n].kind, AN_SIP);
    assert_int_equal(lab.got[n].bytes.n, strlen(text));
    assert_string_equal(lab.got[n].bytes.p, text);
    return &lab.got[n];
}

static void datagrams_are_told_by_what_they_hold(void **state)
{
    static const struct {
        const char *text;
        bool sip;
    } cases[] = {
        {OPTIONS, true},
        {OK, true},
        {"\r\n\r\n" OPTIONS, true},
        {"INVITE tel:+1234 SIP/2.0\r\n\r\n", true},
        {"FROBNICATE anything SIP/2.0\n\n", true}, /* a method to come */
        {"INVITE sip:a@b SIP/7.0\r\n\r\n", true},  /* for the verdict of others */
        {"INVITE sip:a@b \r\n\r\n", true},
        {"SIP/2.0 180 Ringing\r\n\r\n", true},
        {"SIP/2.0 \r\n\r\n", false},
        {"SIP/2.0x200 OK\r\n\r\n", false},
        {"GET / HTTP/1.1\r\n\r\n", false},
        {"DESCRIBE rtsp://a RTSP/1.0\r\n\r\n", false},
        {"INVITE http://a HTTP/1.1\r\n\r\n", false},
        {"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", false},
        {"hello", false},
        {"\x80\x08\x12\x34 RTP", false},
        {"\x80SIP/2.0 200 OK\r\n\r\n", false},
    };
    (void)state;
    lab_open(&lab, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        lab_udp(&lab, (struct ends){1, 2, 1234, 5678}, str_z(cases[i].text));
        assert_int_equal(lab.n, i + 1);
        if (lab.got[i].kind != (cases[i].sip ? AN_SIP : AN_UDP_DATA))
            fail_msg("%s", cases[i].text);
    }
    assert_true(lab.got[2].bytes.p[0] == 'O');
    assert_int_equal(lab.got[0].src.port, 1234);
    assert_int_equal(lab.got[0].dst.port, 5678);
    assert_int_equal(lab.got[0].dst.ip[3], 2);
    assert_int_equal(lab.got[3].frame, 4);
    assert_int_equal(lab.got[3].first_frame, 4);
    assert_true(lab.got[3].at_ns == T0 + 3 * MS);
    assert_int_equal(an_input_stats(lab.in)->sip[AN_UDP], 8);
    assert_int_equal(an_input_stats(lab.in)->udp_data, 9);
    lab_udp(&lab, sip_ends, STR("\r\n\r\n"));
    lab_udp(&lab, sip_ends, STR("\0\0\0\0"));
    assert_int_equal(an_input_stats(lab.in)->keepalives, 2);
    assert_int_equal(lab.n, ARRAY_LEN(cases));
    lab_close(&lab);
}

static void a_cut_datagram_is_told(void **state)
{
    (void)state;
    lab_open(&lab, NULL);
    packet_udp(&lab.k, sip_ends, STR(OPTIONS));
    lab_frame_cut(&lab, 28 + 70);
    assert_int_equal(lab.n, 1);
    assert_int_equal(lab.got[0].kind, AN_SIP);
    assert_true(lab.got[0].truncated);
    assert_int_equal(lab.got[0].bytes.n, 70);
    for (uint32_t n = 0; n < 28; n++)
        lab_frame_cut(&lab, n);
    /* What lies behind the datagram in its packet is not part of it. */
    packet_udp(&lab.k, sip_ends, STR(OPTIONS "more"));
    be16_put(lab.k.p + 24, 8 + sizeof(OPTIONS) - 1);
    lab_frame(&lab);
    is_sip(lab.n - 1, OPTIONS);
    lab_close(&lab);
}

static void an_icmp_error_quotes_its_packet(void **state)
{
    (void)state;
    lab_open(&lab, NULL);
    struct packet quoted;
    packet_udp(&quoted, sip_ends, STR(OPTIONS));
    packet_ip(&lab.k, 9, 1, 1, 8 + 28);
    memset(lab.k.p + 20, 0, 8);
    lab.k.p[20] = 3; /* port unreachable */
    lab.k.p[21] = 3;
    memcpy(lab.k.p + 28, quoted.p, 28);
    lab_frame(&lab);
    assert_int_equal(lab.n, 1);
    assert_int_equal(lab.got[0].kind, AN_ICMP);
    assert_int_equal(lab.got[0].src.ip[3], 9);
    assert_int_equal(lab.got[0].bytes.n, 28);
    assert_memory_equal(lab.got[0].bytes.p, quoted.p, 28);
    lab.k.p[20] = 8; /* a ping is no error */
    lab_frame(&lab);
    quoted.p[9] = 6;
    lab.k.p[20] = 3;
    memcpy(lab.k.p + 28, quoted.p, 28);
    lab_frame(&lab);
    assert_int_equal(lab.n, 1);
    lab_close(&lab);
}

/* Sends lab.k as two fragments, the second one from byte `at` of the payload. */
static void fragment(struct lab *l, uint32_t at, unsigned which)
{
    static struct packet whole;
    whole = l->k;
    uint32_t n = whole.n - 20;
    packet_ip(&l->k, whole.p[15], whole.p[19], 17, which ? n - at : at);
    be16_put(l->k.p + 4, 77);
    be16_put(l->k.p + 6, (uint16_t)(which ? at / 8 : 0x2000));
    memcpy(l->k.p + 20, whole.p + 20 + (which ? at : 0), which ? n - at : at);
    lab_frame(l);
    l->k = whole;
}

static void fragments_make_one_message(void **state)
{
    (void)state;
    lab_open(&lab, NULL);
    packet_udp(&lab.k, sip_ends, STR(OPTIONS));
    fragment(&lab, 48, 1);
    lab.now_ns += SEC;
    assert_int_equal(lab.n, 0);
    fragment(&lab, 48, 0);
    is_sip(0, OPTIONS);
    assert_int_equal(lab.got[0].first_frame, 1);
    assert_int_equal(lab.got[0].frame, 2);
    assert_false(lab.got[0].truncated);
    assert_int_equal(lab.got[0].src.port, 5060);
    assert_int_equal(an_input_stats(lab.in)->datagrams, 1);
    /* The second one never comes: what is there is shown, in time or at the end. */
    packet_udp(&lab.k, sip_ends, STR(OPTIONS));
    fragment(&lab, 48, 0);
    lab.now_ns += 31 * SEC;
    lab_udp(&lab, sip_ends, STR("x"));
    assert_int_equal(lab.n, 3);
    assert_int_equal(lab.got[1].kind, AN_SIP);
    assert_int_equal(lab.got[1].bytes.n, 40);
    assert_true(lab.got[1].truncated);
    assert_int_equal(lab.got[1].frame, 3);
    assert_int_equal(lab.warnings, 1);
    packet_udp(&lab.k, sip_ends, STR(OPTIONS));
    fragment(&lab, 48, 0);
    lab_end(&lab);
    assert_int_equal(lab.n, 4);
    assert_true(lab.got[3].truncated);
    lab_close(&lab);
}

/* A tunnel whose packets are themselves in fragments, with a fragmented packet in it. */
static void fragments_within_fragments(void **state)
{
    (void)state;
    lab_open(&lab, NULL);
    struct packet inner[2];
    packet_udp(&lab.k, sip_ends, STR(OPTIONS));
    struct packet message = lab.k;
    for (unsigned i = 0; i < 2; i++) {
        uint32_t n = i ? message.n - 20 - 48 : 48;
        packet_ip(&inner[i], 1, 2, 17, n);
        be16_put(inner[i].p + 4, 5);
        be16_put(inner[i].p + 6, (uint16_t)(i ? 48 / 8 : 0x2000));
        memcpy(inner[i].p + 20, message.p + 20 + (i ? 48 : 0), n);
    }
    for (unsigned i = 0; i < 4; i++) {
        const struct packet *in = &inner[i / 2];
        uint32_t cut = 32, n = i % 2 ? in->n - cut : cut;
        packet_ip(&lab.k, 8, 9, 4, n);
        be16_put(lab.k.p + 4, (uint16_t)(100 + i / 2));
        be16_put(lab.k.p + 6, (uint16_t)(i % 2 ? cut / 8 : 0x2000));
        memcpy(lab.k.p + 20, in->p + (i % 2 ? cut : 0), n);
        lab_frame(&lab);
    }
    assert_int_equal(lab.n, 1);
    is_sip(0, OPTIONS);
    assert_int_equal(lab.got[0].src.ip[3], 1);
    lab_close(&lab);
}

static uint32_t tcp_seq;

/* The next bytes of the client. */
static void client(const char *text)
{
    struct str s = str_z(text);
    lab_tcp(&lab, tcp_ends, (struct tcp){tcp_seq, 0, ACK}, s);
    tcp_seq += (uint32_t)s.n;
}

static void tcp_open(uint32_t seq)
{
    lab_open(&lab, NULL);
    tcp_seq = seq;
    lab_tcp(&lab, tcp_ends, (struct tcp){seq - 1, 0, SYN}, STR(""));
}

static void client_bytes(struct str s)
{
    lab_tcp(&lab, tcp_ends, (struct tcp){tcp_seq, 0, ACK}, s);
    tcp_seq += (uint32_t)s.n;
}

static void messages_are_cut_from_a_stream(void **state)
{
    (void)state;
    tcp_open(0xFFFFFF80); /* it wraps on the way */
    client("\r\n\r\n" OPTIONS OK "\r\n\r\n" OPTIONS);
    assert_int_equal(lab.n, 3);
    is_sip(0, OPTIONS);
    is_sip(1, OK);
    struct an_datum *d = is_sip(2, OPTIONS);
    assert_int_equal(d->transport, AN_TCP);
    assert_int_equal(d->src.port, 40000);
    assert_int_equal(d->dst.ip[3], 2);
    /* Byte by byte. */
    for (const char *p = OPTIONS OK; *p; p++)
        client((char[]){*p, '\0'});
    assert_int_equal(lab.n, 5);
    d = is_sip(3, OPTIONS);
    assert_int_equal(d->first_frame, 3);
    assert_int_equal(d->frame, 2 + strlen(OPTIONS));
    is_sip(4, OK);
    /* The other side. */
    lab_tcp(&lab, back(tcp_ends), (struct tcp){9000, tcp_seq, ACK}, STR(OK));
    d = is_sip(5, OK);
    assert_int_equal(d->src.port, 5080);
    assert_int_equal(an_input_stats(lab.in)->sip[AN_TCP], 6);
    assert_int_equal(lab.warnings, 0);
    lab_close(&lab);
}

static void a_gap_costs_the_message_it_is_in(void **state)
{
    (void)state;
    tcp_open(1000);
    client(OPTIONS);
    client("OPTIONS sip:second SIP/2.0\r\nCall-ID: 2\r\n");
    tcp_seq += 20;
    client("Content-Length: 0\r\n\r\n" OPTIONS);
    assert_int_equal(lab.n, 1);
    lab.now_ns += 6 * SEC;
    client(OK);
    assert_int_equal(lab.n, 4);
    assert_true(lab.got[1].truncated);
    assert_memory_equal(lab.got[1].bytes.p, "OPTIONS sip:second", 18);
    assert_int_equal(lab.got[1].first_frame, 3);
    struct an_datum *d = is_sip(2, OPTIONS);
    assert_int_equal(d->frame, 4); /* it came when it came */
    assert_false(d->truncated);
    is_sip(3, OK);
    assert_int_equal(an_input_stats(lab.in)->tcp_gaps, 1);
    assert_int_equal(lab.warnings, 1);
    /* What is incomplete at the end is shown too. */
    client("OPTIONS sip:third SIP/2.0\r\nCall-");
    lab_end(&lab);
    assert_int_equal(lab.n, 5);
    assert_true(lab.got[4].truncated);
    lab_close(&lab);
}

static void what_has_no_length_ends_where_the_next_begins(void **state)
{
    (void)state;
    tcp_open(1000);
    client("OPTIONS sip:a SIP/2.0\r\nCall-ID: 2\r\n\r\nbody\r\n" OPTIONS);
    assert_int_equal(lab.n, 2);
    is_sip(0, "OPTIONS sip:a SIP/2.0\r\nCall-ID: 2\r\n\r\nbody\r\n");
    is_sip(1, OPTIONS);
    client("OPTIONS sip:a SIP/2.0\r\nCall-ID: 2\r\n\r\n");
    assert_int_equal(lab.warnings, 2);
    client("a body that comes late\r\n");
    client(OK);
    is_sip(3, OK);
    assert_int_equal(lab.warnings, 2); /* one for each that has no length */
    /* A line of a body that is quoted is no begin, as no header follows it. */
    client("garbage\r\nmore\r\nSIP/2.0 200 OK\r\n\r\n");
    client("\r\nINVITE sip:x SIP/2.0\r\nCall-ID: 7\r\nl: 0\r\n\r\n");
    assert_int_equal(lab.n, 5);
    is_sip(4, "INVITE sip:x SIP/2.0\r\nCall-ID: 7\r\nl: 0\r\n\r\n");
    lab_close(&lab);
}

static void a_message_that_is_too_large_is_cut(void **state)
{
    static char big[5000];
    struct an_limits l = an_limits_default();
    (void)state;
    l.message_bytes = 4000;
    lab_open(&lab, &l);
    tcp_seq = 1;
    lab_tcp(&lab, tcp_ends, (struct tcp){0, 0, SYN}, STR(""));
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 2] = '\n';
    client("OPTIONS sip:a SIP/2.0\r\nContent-Length: 5000\r\n\r\n");
    client(big);
    client(OPTIONS);
    assert_int_equal(lab.n, 2);
    assert_true(lab.got[0].truncated);
    is_sip(1, OPTIONS);
    lab_close(&lab);
}

static void a_stream_joined_in_the_middle(void **state)
{
    (void)state;
    lab_open(&lab, NULL);
    tcp_seq = 77;
    client("of a body\r\nVia: SIP/2.0/TCP x\r\n\r\n" OPTIONS);
    is_sip(0, OPTIONS);
    lab_close(&lab);
    lab_open(&lab, NULL);
    client("a=rtpmap:0 PCMU/8000\r\n");
    client(OPTIONS);
    is_sip(0, OPTIONS);
    lab_close(&lab);
}

/* A load balancer says first whose connection it is. */
static void behind_a_load_balancer(void **state)
{
    static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0C\1\2\3\4\5\6\7\x08\x12\x34\x56\x78";
    (void)state;
    tcp_open(1);
    client("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" OPTIONS);
    is_sip(0, OPTIONS);
    lab_close(&lab);
    tcp_open(1);
    client("PRO");
    client("XY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
    client(OPTIONS);
    is_sip(0, OPTIONS);
    lab_close(&lab);
    for (size_t cut = 5; cut < sizeof(v2); cut += 4) {
        tcp_open(1);
        client_bytes(str_of(v2, cut));
        client_bytes(str_of(v2 + cut, sizeof(v2) - 1 - cut));
        client(OPTIONS);
        is_sip(0, OPTIONS);
        lab_close(&lab);
    }
}

static void what_is_not_sip_is_skipped(void **state)
{
    static char block[1400];
    (void)state;
    tcp_open(1000);
    client("220 mail.example.com ESMTP\r\n");
    uint64_t requests = mem_requests();
    for (unsigned i = 0; i < 100; i++)
        client(OPTIONS);
    assert_int_equal(lab.n, 0);
    assert_int_equal(mem_requests(), requests);
    lab_close(&lab);
    /* One that is joined in the middle gets a longer look. */
    lab_open(&lab, NULL);
    memset(block, 'x', sizeof(block) - 1);
    for (unsigned i = 0; i < 30; i++)
        client(block);
    requests = mem_requests();
    for (unsigned i = 0; i < 30; i++)
        client(block);
    assert_int_equal(mem_requests(), requests);
    client(OPTIONS);
    assert_int_equal(lab.n, 0);
    lab_close(&lab);
    /* A page that is fetched. */
    tcp_open(1);
    client("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client(OPTIONS);
    assert_int_equal(lab.n, 0);
    lab_close(&lab);
}

/* A frame of WebSocket, masked as a client has to. */
static struct str ws_frame(unsigned first, bool masked, struct str s)
{
    static char f[2048];
    size_t n = 0;
    f[n++] = (char)first;
    f[n++] = (char)((masked ? 0x80 : 0) | (s.n > 125 ? 126 : s.n));
    if (s.n > 125) {
        be16_put((uint8_t *)f + n, (uint16_t)s.n);
        n += 2;
    }
    if (masked) {
        memcpy(f + n, "\x12\x34\x56\x78", 4);
        n += 4;
    }
    for (size_t i = 0; i < s.n; i++)
        f[n + i] = (char)(s.p[i] ^ (masked ? "\x12\x34\x56\x78"[i % 4] : 0));
    return str_of(f, n + s.n);
}

static void websocket(void **state)
{
    (void)state;
    tcp_open(1000);
    client("GET /ws HTTP/1.1\r\nUpgrade: WebSocket\r\nSec-WebSocket-Pro");
    client("tocol: sip\r\n\r\n");
    client_bytes(ws_frame(0x81, true, STR(OPTIONS)));
    struct an_datum *d = is_sip(0, OPTIONS);
    assert_int_equal(d->transport, AN_WS);
    uint32_t seq = 500;
    struct str answer = STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n");
    lab_tcp(&lab, back(tcp_ends), (struct tcp){seq, tcp_seq, ACK}, answer);
    seq += (uint32_t)answer.n;
    struct str frame = ws_frame(0x82, false, STR(OK));
    lab_tcp(&lab, back(tcp_ends), (struct tcp){seq, tcp_seq, ACK}, frame);
    is_sip(1, OK);
    /* In parts, with a ping between them; then a keep-alive; then a gap. */
    client_bytes(ws_frame(0x01, true, STR("OPTIONS sip:x SIP/2.0\r\n")));
    client_bytes(ws_frame(0x89, true, STR("ping")));
    client_bytes(ws_frame(0x80, true, STR("Call-ID: 3\r\n\r\n")));
    d = is_sip(2, "OPTIONS sip:x SIP/2.0\r\nCall-ID: 3\r\n\r\n");
    assert_int_equal(d->first_frame + 2, d->frame);
    client_bytes(ws_frame(0x81, true, STR("\r\n\r\n")));
    tcp_seq += 300;
    client_bytes(ws_frame(0x81, true, STR(OK)));
    lab.now_ns += 6 * SEC;
    client_bytes(ws_frame(0x81, true, STR(OPTIONS)));
    assert_int_equal(lab.n, 5);
    is_sip(3, OK);
    is_sip(4, OPTIONS);
    client_bytes(ws_frame(0xC1, true, STR(OPTIONS)));
    assert_int_equal(an_input_stats(lab.in)->ws_packed, 1);
    assert_int_equal(an_input_stats(lab.in)->ws_connections, 1);
    assert_int_equal(lab.n, 5);
    lab_close(&lab);
    /* Joined in the middle. */
    lab_open(&lab, NULL);
    client_bytes(ws_frame(0x81, true, STR(OPTIONS)));
    assert_int_equal(is_sip(0, OPTIONS)->transport, AN_WS);
    lab_close(&lab);
    /* It speaks of something else. */
    tcp_open(1000);
    client("GET /ws HTTP/1.1\r\nUpgrade: WebSocket\r\n\r\n");
    for (unsigned i = 0; i < 100; i++)
        client_bytes(ws_frame(0x81, true, STR("{\"price\": 7}")));
    client_bytes(ws_frame(0x81, true, STR(OPTIONS)));
    assert_int_equal(lab.n, 0);
    lab_close(&lab);
}

static struct str hep(uint8_t type, struct str payload)
{
    static char mem[2048];
    struct buf b;
    struct hep h = {.ip_proto = HEP_IP_UDP,
                    .type = type,
                    .at_ns = 1234567891000,
                    .id = STR("call-1"),
                    .payload = payload};
    assert_int_equal(addr_parse(&h.src, STR("2001:db8::1"), 5061), 0);
    assert_int_equal(addr_parse(&h.dst, STR("2001:db8::2"), 5062), 0);
    buf_init(&b, mem, sizeof(mem));
    hep_build(&b, &h);
    assert_false(b.full);
    return buf_str(&b);
}

static void from_an_agent(void **state)
{
    (void)state;
    lab_open(&lab, NULL);
    lab_udp(&lab, (struct ends){1, 2, 40000, 9060}, hep(HEP_SIP, STR(OPTIONS)));
    struct an_datum *d = is_sip(0, OPTIONS);
    assert_true(d->hep);
    assert_int_equal(d->transport, AN_UDP);
    assert_int_equal(d->src.family, ADDR_V6);
    assert_int_equal(d->dst.port, 5062);
    assert_true(d->at_ns == 1234567891000);
    assert_int_equal(d->hep_id.n, 6);
    lab_udp(&lab, sip_ends, hep(HEP_RTCP, STR("\x81\xC8\0\1RTCP")));
    assert_int_equal(lab.n, 2);
    assert_int_equal(lab.got[1].kind, AN_UDP_DATA);
    lab_udp(&lab, sip_ends, hep(HEP_RTCP, STR("{\"lost\":3}")));
    lab_udp(&lab, sip_ends, hep(HEP_LOG, STR("a line")));
    assert_int_equal(lab.n, 2);
    assert_int_equal(an_input_stats(lab.in)->hep_other, 2);
    lab_udp(&lab, sip_ends, STR("HEP3\0\xFF broken"));
    assert_int_equal(an_input_stats(lab.in)->hep_bad, 1);
    assert_int_equal(lab.warnings, 1);
    lab_udp(&lab, (struct ends){1, 2, 40000, 9060},
            STR("\1\x10\2\x11\x13\xC4\x13\xC5\x0A\0\0\1\x0A\0\0\2" OPTIONS));
    assert_int_equal(is_sip(2, OPTIONS)->src.port, 5060);
    lab_close(&lab);

    tcp_open(1);
    struct str packet = hep(HEP_SIP, STR(OPTIONS));
    client_bytes(str_sub(packet, 0, 30));
    client_bytes(str_from(packet, 30));
    client_bytes(packet);
    assert_int_equal(lab.n, 2);
    assert_true(is_sip(1, OPTIONS)->hep);
    assert_int_equal(lab.got[0].first_frame, 2);
    lab_close(&lab);
}

static void sctp(void **state)
{
    (void)state;
    lab_open(&lab, NULL);
    static const char m[] = OPTIONS;
    uint32_t n = sizeof(m) - 1;
    for (unsigned flags = 2; flags < 4; flags++) {
        packet_ip(&lab.k, 1, 2, 132, 12 + 16 + n);
        memset(lab.k.p + 20, 0, 28);
        be16_put(lab.k.p + 20, 6000);
        be16_put(lab.k.p + 22, 5060);
        lab.k.p[33] = (uint8_t)flags;
        be16_put(lab.k.p + 34, (uint16_t)(16 + n));
        memcpy(lab.k.p + 48, m, n);
        lab_frame(&lab);
    }
    assert_int_equal(lab.n, 1);
    struct an_datum *d = is_sip(0, OPTIONS);
    assert_int_equal(d->transport, AN_SCTP);
    assert_int_equal(d->src.port, 6000);
    assert_int_equal(an_input_stats(lab.in)->sctp_lost, 1);
    lab_close(&lab);
}

/* As many warnings as are wanted; the rest is counted. */
static void warnings_are_bounded(void **state)
{
    struct an_limits l = an_limits_default();
    struct an_input *in;
    struct an_warning w;
    struct an_datum d;
    unsigned n = 0;
    (void)state;
    l.warnings = 4;
    assert_int_equal(an_input_new(&in, &l), 0);
    for (unsigned i = 0; i < 50; i++) {
        struct cap_frame f = {.link = CAP_RAW, .p = (const uint8_t *)"\x95", .n = 1};
        an_input_frame(in, &f);
        assert_false(an_input_next(in, &d));
    }
    while (an_input_warning(in, &w))
        assert_int_equal(w.frame, ++n);
    assert_int_equal(n, 4);
    assert_int_equal(an_input_stats(in)->warnings_dropped, 46);
    assert_int_equal(an_input_stats(in)->bad_ip, 50);
    an_input_free(in);
}

/* The way of a packet of RTP asks for no memory. */
static void media_allocates_nothing(void **state)
{
    (void)state;
    struct packet k;
    struct an_datum d;
    lab_open(&lab, NULL);
    packet_udp(&k, (struct ends){1, 2, 20000, 30000}, STR("\x80\0\1\2\3\4\5\6\7\10\11\12"));
    struct cap_frame f = {.link = CAP_RAW, .p = k.p, .n = k.n, .wire_n = k.n};
    uint64_t requests = mem_requests();
    for (unsigned i = 0; i < 1000; i++) {
        an_input_frame(lab.in, &f);
        assert_true(an_input_next(lab.in, &d));
        assert_int_equal(d.kind, AN_UDP_DATA);
        assert_ptr_equal(d.bytes.p, k.p + 28);
        assert_false(an_input_next(lab.in, &d));
    }
    assert_int_equal(mem_requests(), requests);
    lab_close(&lab);
}

/* Whatever request for memory fails: nothing worse happens than a message lost. */
static void memory_runs_out(void **state)
{
    (void)state;
    struct an_input *in;
    for (unsigned nth = 1; nth < 12; nth++) {
        mem_fail_after(nth);
        int r = an_input_new(&in, NULL);
        mem_fail_after(0);
        assert_true(r == 0 || r == -ENOMEM);
        if (r == 0)
            an_input_free(in);
        assert_int_equal(mem_live(), 0);
    }
    for (unsigned nth = 1; nth < 40; nth++) {
        tcp_open(1000);
        mem_fail_after(nth);
        client("OPTIONS sip:a SIP/2.0\r\nCont");
        client("ent-Length: 0\r\n\r\n");
        tcp_seq += 5;
        client(OK);
        packet_udp(&lab.k, sip_ends, STR(OPTIONS));
        fragment(&lab, 48, 1);
        fragment(&lab, 48, 0);
        tcp_seq -= (uint32_t)sizeof(OK) + 4;
        client("x");
        mem_fail_after(0);
        lab_end(&lab);
        lab_close(&lab);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_are_told_by_what_they_hold),
        cmocka_unit_test(a_cut_datagram_is_told),
        cmocka_unit_test(an_icmp_error_quotes_its_packet),
        cmocka_unit_test(fragments_make_one_message),
        cmocka_unit_test(fragments_within_fragments),
        cmocka_unit_test(messages_are_cut_from_a_stream),
        cmocka_unit_test(a_gap_costs_the_message_it_is_in),
        cmocka_unit_test(what_has_no_length_ends_where_the_next_begins),
        cmocka_unit_test(a_message_that_is_too_large_is_cut),
        cmocka_unit_test(a_stream_joined_in_the_middle),
        cmocka_unit_test(behind_a_load_balancer),
        cmocka_unit_test(what_is_not_sip_is_skipped),
        cmocka_unit_test(websocket),
        cmocka_unit_test(from_an_agent),
        cmocka_unit_test(sctp),
        cmocka_unit_test(warnings_are_bounded),
        cmocka_unit_test(media_allocates_nothing),
        cmocka_unit_test(memory_runs_out),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
