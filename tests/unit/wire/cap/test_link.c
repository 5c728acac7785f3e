/* Link layers, IP headers and tunnels: each way to wrap one packet leads to it, and no way to cut
 * or bend the wrapping leads outside the frame. */
#include "cap_test.h"
#include "wire/cap/link.h"

/* 10.0.0.1 to 10.0.0.2, UDP 5060 to 5062, "hi". */
#define V4  "4500001E 12340000 4011 0000 0A000001 0A000002"
#define UDP "13C4 13C6 000A 0000 6869"
#define V6  "60000000 000A 11 40 20010DB8000000000000000000000001 20010DB8000000000000000000000002"
#define MAC "02000000000A 02000000000B "

static const struct {
    const char *name;
    unsigned link;
    const char *head; /* in front of the packet */
    unsigned depth;
} ways[] = {
    {"ethernet", CAP_ETHERNET, MAC "0800", 0},
    {"vlan", CAP_ETHERNET, MAC "8100 0064 0800", 0},
    {"qinq", CAP_ETHERNET, MAC "88A8 0064 8100 0065 0800", 0},
    {"old qinq", CAP_ETHERNET, MAC "9100 0064 8100 0065 8100 0066 0800", 0},
    {"vntag", CAP_ETHERNET, MAC "8926 00000001 8100 0065 0800", 0},
    {"mpls", CAP_ETHERNET, MAC "8847 000100FF 000101FF", 0},
    {"ethernet in mpls", CAP_ETHERNET, MAC "8847 000101FF 00000000 " MAC "0800", 0},
    {"pppoe", CAP_ETHERNET, MAC "8864 11 00 0001 0020 0021", 0},
    {"snap", CAP_ETHERNET, MAC "0026 AAAA03 000000 0800", 0},
    {"llc", CAP_ETHERNET, MAC "0021 060603", 0},
    {"raw", CAP_RAW, "", 0},
    {"raw 12", CAP_RAW_12, "", 0},
    {"raw 14", CAP_RAW_14, "", 0},
    {"ipv4", CAP_IPV4, "", 0},
    {"null, little", CAP_NULL, "02000000", 0},
    {"null, big", CAP_NULL, "00000002", 0},
    {"loop", CAP_LOOP, "00000002", 0},
    {"enc", CAP_ENC, "02000000 00000000 00000000", 0},
    {"sll", CAP_SLL, "0000 0001 0006 0200000000010000 0800", 0},
    {"sll vlan", CAP_SLL, "0000 0001 0006 0200000000010000 8100 0064 0800", 0},
    {"sll2", CAP_SLL2, "0800 0000 00000003 0001 00 06 0200000000010000", 0},
    {"ppp", CAP_PPP, "0021", 0},
    {"ppp with hdlc", CAP_PPP_HDLC, "FF03 0021", 0},
    {"ppp, short", CAP_PPP, "FF03 21", 0},
    {"ppp with direction", CAP_PPP_WITH_DIR, "01 FF03 0021", 0},
    {"pppoe alone", CAP_PPP_ETHER, "11 00 0001 0020 0021", 0},
    {"cisco hdlc", CAP_C_HDLC, "0F00 0800", 0},
    {"wlan", CAP_IEEE802_11,
     "0801 0000 020000000001 020000000002 020000000003 0000 "
     "AAAA03 000000 0800",
     0},
    {"wlan with qos", CAP_IEEE802_11,
     "8801 0000 020000000001 020000000002 020000000003 0000 0000 "
     "AAAA03 000000 0800",
     0},
    {"wlan between four", CAP_IEEE802_11,
     "0803 0000 020000000001 020000000002 020000000003 0000 020000000004 AAAA03 000000 0800", 0},
    {"radiotap", CAP_RADIOTAP,
     "0000 0900 02000000 00 "
     "0801 0000 020000000001 020000000002 020000000003 0000 "
     "AAAA03 000000 0800",
     0},
    {"radiotap, padded", CAP_RADIOTAP,
     "0000 1100 03000000 0000000000000000 20 "
     "8801 0000 020000000001 020000000002 020000000003 0000 0000 0000 AAAA03 000000 0800",
     0},
    {"ppi", CAP_PPI, "00 00 0800 01000000 " MAC "0800", 0},
    {"nflog", CAP_NFLOG, "02 00 0000 0800 0A00 61000000 2200 0900", 0},
    {"pflog", CAP_PFLOG, "05 02 00 00 00000000", 0},
    {"ip in ip", CAP_RAW, "45000032 0000 0000 4004 0000 0A000009 0A000008", 1},
    {"ip in ip in ip", CAP_RAW,
     "45000046 0000 0000 4004 0000 0A000009 0A000008 45000032 0000 0000 4004 0000 0A000009 "
     "0A000008",
     2},
    {"4in6", CAP_RAW,
     "60000000 001E 04 40 20010DB8000000000000000000000001 "
     "20010DB8000000000000000000000002",
     1},
    {"options", CAP_RAW, "46000036 0000 0000 4004 0000 0A000009 0A000008 01010101", 1},
    {"gre", CAP_RAW, "45000036 0000 0000 402F 0000 0A000009 0A000008 0000 0800", 1},
    {"gre with all", CAP_RAW,
     "45000042 0000 0000 402F 0000 0A000009 0A000008 B000 0800 00000000 00000007 00000001", 1},
    {"ethernet in gre", CAP_RAW,
     "45000044 0000 0000 402F 0000 0A000009 0A000008 0000 6558 " MAC "0800", 1},
    {"pptp", CAP_RAW,
     "45000046 0000 0000 402F 0000 0A000009 0A000008 3081 880B 00220001 00000001 00000002 FF03 "
     "0021",
     1},
    {"erspan 1", CAP_RAW, "45000044 0000 0000 402F 0000 0A000009 0A000008 0000 88BE " MAC "0800",
     1},
    {"erspan 2", CAP_RAW,
     "45000050 0000 0000 402F 0000 0A000009 0A000008 1000 88BE 00000001 1000000000000000 " MAC
     "0800",
     1},
    {"erspan 3", CAP_RAW,
     "45000054 0000 0000 402F 0000 0A000009 0A000008 1000 22EB 00000001 "
     "200000000000000000000000 " MAC "0800",
     1},
    {"erspan 3 with more", CAP_RAW,
     "4500005C 0000 0000 402F 0000 0A000009 0A000008 1000 22EB 00000001 200000000000000000000001 "
     "0000000000000000 " MAC "0800",
     1},
    {"mpls in ip", CAP_RAW, "45000036 0000 0000 4089 0000 0A000009 0A000008 000101FF", 1},
    {"vxlan", CAP_RAW,
     "45000050 0000 0000 4011 0000 0A000009 0A000008 C000 12B5 003C 0000 08000000 00002A00 " MAC
     "0800",
     1},
    {"vxlan of linux", CAP_RAW,
     "45000050 0000 0000 4011 0000 0A000009 0A000008 C000 2118 003C 0000 08000000 00002A00 " MAC
     "0800",
     1},
    {"geneve", CAP_RAW,
     "45000054 0000 0000 4011 0000 0A000009 0A000008 C000 17C1 0040 0000 0100 6558 00002A00 "
     "00000000 " MAC "0800",
     1},
    {"gtp-u", CAP_RAW,
     "45000042 0000 0000 4011 0000 0A000009 0A000008 C000 0868 002E 0000 30FF 001E 00000001", 1},
    {"gtp-u with extension", CAP_RAW,
     "4500004A 0000 0000 4011 0000 0A000009 0A000008 C000 0868 0036 0000 34FF 0026 00000001 "
     "0000 00 85 01 1000 00",
     1},
    {"tzsp", CAP_RAW,
     "45000051 0000 0000 4011 0000 0A000009 0A000008 C000 9090 003D 0000 01 00 0001 00 0A 01 2A "
     "01 " MAC "0800",
     1},
    {"authentication header", CAP_RAW,
     "4500003E 0000 0000 4033 0000 0A000009 0A000008 04 01 0000 00000001 00000001", 1},
};

static void wrap(struct bytes *b, const char *head, const char *packet)
{
    *b = (struct bytes){.n = 0};
    put_hex(b, head);
    put_hex(b, packet);
}

static void each_wrapping_leads_to_the_packet(void **state)
{
    (void)state;
    struct addr src;
    assert_int_equal(addr_parse(&src, STR("10.0.0.1"), 0), 0);
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        struct bytes b;
        struct cap_ip ip;
        wrap(&b, ways[i].head, V4 UDP);
        if (cap_ip_of(&ip, (uint16_t)ways[i].link, b.p, (uint32_t)b.n) || !addr_eq(&ip.src, &src) ||
            ip.proto != CAP_PROTO_UDP || ip.n != 10 || ip.wire_n != 10 || ip.frag ||
            ip.p != b.p + b.n - 10 || ip.depth != ways[i].depth)
            fail_msg("%s", ways[i].name);
    }
}

/* In memory that ends with the frame, so that the sanitizer sees a look behind it. */
static void no_truncation_and_no_flipped_byte_leads_outside(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        struct bytes b;
        wrap(&b, ways[i].head, V4 UDP);
        for (size_t n = 0; n <= b.n; n++)
            for (unsigned flip = 0; flip < (n < b.n ? 1 : b.n); flip++) {
                uint8_t *copy = test_malloc(n ? n : 1);
                struct cap_ip ip = {.n = 0};
                memcpy(copy, b.p, n);
                for (unsigned bit = 0; bit < (n < b.n ? 1u : 9u); bit++) {
                    if (bit)
                        copy[flip] = b.p[flip] ^ (uint8_t)(1u << (bit - 1));
                    int r = cap_ip_of(&ip, (uint16_t)ways[i].link, copy, (uint32_t)n);
                    assert_true(r == 0 || r == -ENOENT || r == -EBADMSG);
                    if (r == 0 && ip.n)
                        assert_true(ip.p >= copy && ip.p + ip.n <= copy + n && ip.n <= ip.wire_n);
                }
                test_free(copy);
            }
    }
}

static void ipv6_with_extension_headers(void **state)
{
    (void)state;
    struct bytes b;
    struct cap_ip ip;
    struct addr dst;
    assert_int_equal(addr_parse(&dst, STR("2001:db8::2"), 0), 0);
    wrap(&b, MAC "86DD", V6 UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_ETHERNET, b.p, (uint32_t)b.n), 0);
    assert_true(addr_eq(&ip.dst, &dst));
    assert_int_equal(ip.n, 10);
    /* Hop-by-hop options, routing, destination options. */
    wrap(&b, "1C000000",
         "60000000 0022 00 40 20010DB8000000000000000000000001 20010DB8000000000000000000000002"
         "2B00 050200000000 3C00 000000000000 1100 010400000000" UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_NULL, b.p, (uint32_t)b.n), 0);
    assert_int_equal(ip.proto, CAP_PROTO_UDP);
    assert_int_equal(ip.n, 10);
    /* 6in4. */
    wrap(&b, "45000046 0000 0000 4029 0000 0A000009 0A000008", V6 UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_RAW, b.p, (uint32_t)b.n), 0);
    assert_int_equal(ip.depth, 1);
    assert_int_equal(ip.src.family, ADDR_V6);
}

static void fragments_are_told(void **state)
{
    (void)state;
    struct bytes b;
    struct cap_ip ip;
    wrap(&b, "45000020 BEEF 2001 4011 0000 0A000009 0A000008", UDP "0000");
    assert_int_equal(cap_ip_of(&ip, CAP_RAW, b.p, (uint32_t)b.n), 0);
    assert_true(ip.frag && ip.frag_more);
    assert_int_equal(ip.frag_at, 8);
    assert_int_equal(ip.frag_id, 0xBEEF);
    wrap(&b,
         "60000000 0012 2C 40 20010DB8000000000000000000000001 "
         "20010DB8000000000000000000000002 1100 0010 0000BEEF",
         UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_RAW, b.p, (uint32_t)b.n), 0);
    assert_true(ip.frag && !ip.frag_more);
    assert_int_equal(ip.frag_at, 16);
    assert_int_equal(ip.proto, CAP_PROTO_UDP);
    /* Whole, in spite of a fragment header (RFC 6946). */
    wrap(&b,
         "60000000 0012 2C 40 20010DB8000000000000000000000001 "
         "20010DB8000000000000000000000002 1100 0000 0000BEEF",
         UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_RAW, b.p, (uint32_t)b.n), 0);
    assert_false(ip.frag);
}

static void what_the_capture_cut_is_told(void **state)
{
    (void)state;
    struct bytes b;
    struct cap_ip ip;
    wrap(&b, MAC "0800", V4 UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_ETHERNET, b.p, (uint32_t)b.n - 4), 0);
    assert_int_equal(ip.n, 6);
    assert_int_equal(ip.wire_n, 10);
    /* What Ethernet fills a short frame up with is not part of it. */
    put_hex(&b, "000000000000");
    assert_int_equal(cap_ip_of(&ip, CAP_ETHERNET, b.p, (uint32_t)b.n), 0);
    assert_int_equal(ip.n, 10);
    /* A segment that the network card cut has no length yet. */
    wrap(&b, "45000000 1234 0000 4011 0000 0A000001 0A000002", UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_RAW, b.p, (uint32_t)b.n), 0);
    assert_int_equal(ip.n, 10);
}

static void what_is_no_ip_is_refused(void **state)
{
    (void)state;
    struct bytes b;
    struct cap_ip ip;
    wrap(&b, MAC "0806", "0001080006040001");
    assert_int_equal(cap_ip_of(&ip, CAP_ETHERNET, b.p, (uint32_t)b.n), -ENOENT);
    wrap(&b, MAC "0800", "95000020" UDP UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_ETHERNET, b.p, (uint32_t)b.n), -EBADMSG);
    assert_int_equal(cap_ip_of(&ip, 147, b.p, (uint32_t)b.n), -ENOENT);
    /* A protected frame of a WLAN. */
    wrap(&b, "0841 0000 020000000001 020000000002 020000000003 0000 AAAA03 000000 0800", V4 UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_IEEE802_11, b.p, (uint32_t)b.n), -ENOENT);
    /* What only looks like a tunnel by its port is what it is. */
    wrap(&b, "4500001E 12340000 4011 0000 0A000001 0A000002", "13C4 12B5 000A 0000 6869");
    assert_int_equal(cap_ip_of(&ip, CAP_RAW, b.p, (uint32_t)b.n), 0);
    assert_int_equal(ip.depth, 0);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct bytes b = {.n = 0};
    struct cap_ip ip;
    unsigned most = 40;
    for (unsigned i = most; i; i--) {
        put_hex(&b, "4500");
        b.big = true;
        put_16(&b, i * 20 + 30);
        put_hex(&b, "0000 0000 4004 0000 0A000009 0A000008");
    }
    put_hex(&b, V4 UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_RAW, b.p, (uint32_t)b.n), 0);
    assert_int_equal(ip.depth, CAP_MAX_DEPTH);
    b.n = 0;
    put_hex(&b, MAC);
    for (unsigned i = 0; i < 40; i++)
        put_hex(&b, "8100 0001");
    put_hex(&b, "0800" V4 UDP);
    assert_int_equal(cap_ip_of(&ip, CAP_ETHERNET, b.p, (uint32_t)b.n), -ENOENT);
}

/* The sum of RFC 1071 over bytes and what a checksum covers besides is all ones. */
static uint32_t checked(uint32_t s, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        s += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    while (s >> 16)
        s = (s & 0xFFFF) + (s >> 16);
    return s;
}

static void a_packet_is_made(void **state)
{
    static const char *const hosts[][2] = {{"192.0.2.1", "198.51.100.2"},
                                           {"2001:db8::1", "2001:db8::2"},
                                           {"192.0.2.1", "2001:db8::2"}};
    (void)state;
    for (unsigned i = 0; i < 3; i++)
        for (size_t n = 0; n < 40; n += 13) {
            char mem[200], text[40];
            struct addr src, dst;
            struct cap_ip ip;
            struct buf b;
            memset(text, 'A' + (char)n, sizeof(text));
            assert_int_equal(addr_parse(&src, str_z(hosts[i][0]), 5060), 0);
            assert_int_equal(addr_parse(&dst, str_z(hosts[i][1]), 40001), 0);
            buf_init(&b, mem, sizeof(mem));
            cap_put_udp(&b, &src, &dst, str_of(text, n));
            assert_false(b.full);
            assert_true(b.n <= CAP_UDP_BYTES + n);
            const uint8_t *p = (const uint8_t *)mem;
            assert_int_equal(cap_ip_of(&ip, CAP_RAW, p, (uint32_t)b.n), 0);
            assert_int_equal(ip.proto, CAP_PROTO_UDP);
            assert_int_equal(ip.n, 8 + n);
            assert_int_equal(ip.wire_n, 8 + n);
            assert_int_equal(be16_get(ip.p), 5060);
            assert_int_equal(be16_get(ip.p + 2), 40001);
            assert_int_equal(be16_get(ip.p + 4), 8 + n);
            assert_memory_equal(ip.p + 8, text, n);
            if (i < 2)
                assert_true(addr_ip_eq(&ip.src, &src) && addr_ip_eq(&ip.dst, &dst));
            size_t ip_bytes = i ? 32 : 8;
            if (i == 0)
                assert_int_equal(checked(0, p, 20), 0xFFFF);
            assert_int_equal(checked(17 + 8 + (uint32_t)n, ip.p - ip_bytes, ip_bytes + 8 + n),
                             0xFFFF);
        }
    static char big[70000];
    struct addr a = {.family = ADDR_V4};
    struct buf b;
    buf_init(&b, big, sizeof(big));
    cap_put_udp(&b, &a, &a, str_of(big, 65508));
    assert_true(b.full);
    assert_int_equal(b.n, 0);
}

static void assert_same_ip(const struct cap_ip *a, const struct cap_ip *b)
{
    assert_true(addr_eq(&a->src, &b->src) && addr_eq(&a->dst, &b->dst));
    assert_int_equal(a->proto, b->proto);
    assert_int_equal(a->depth, b->depth);
    assert_int_equal(a->frag, b->frag);
    assert_int_equal(a->frag_more, b->frag_more);
    assert_int_equal(a->frag_id, b->frag_id);
    assert_int_equal(a->frag_at, b->frag_at);
    assert_ptr_equal(a->p, b->p);
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->wire_n, b->wire_n);
}

static void assert_same_without_ethernet(const struct bytes *b, uint32_t n)
{
    struct cap_ip x, y;
    int r = cap_ip_of(&x, CAP_ETHERNET, b->p, n);
    assert_int_equal(r, cap_ip_of(&y, CAP_RAW, b->p + 14, n - 14));
    if (r == 0)
        assert_same_ip(&x, &y);
}

/* UDP in IPv4 in Ethernet is found without asking what else it could be: whatever its bytes are,
 * the answer is that of the IP packet alone, tunnels among them. */
static void the_short_way_leads_to_the_same(void **state)
{
    struct bytes b;
    (void)state;
    wrap(&b, MAC "0800", V4 UDP);
    for (uint32_t at = 14; at < b.n; at++)
        for (unsigned value = 0; value < 256; value++) {
            uint8_t was = b.p[at];
            b.p[at] = (uint8_t)value;
            for (uint32_t n = (uint32_t)b.n; n >= 14; n--)
                assert_same_without_ethernet(&b, n);
            b.p[at] = was;
        }
    for (unsigned i = 0; i < ARRAY_LEN(ways); i++) {
        if (ways[i].link != CAP_RAW || ways[i].head[0] == '6')
            continue;
        b.n = 0;
        b.big = true;
        put_hex(&b, MAC "0800");
        put_hex(&b, ways[i].head);
        put_hex(&b, V4 UDP);
        assert_same_without_ethernet(&b, (uint32_t)b.n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrapping_leads_to_the_packet),
        cmocka_unit_test(no_truncation_and_no_flipped_byte_leads_outside),
        cmocka_unit_test(ipv6_with_extension_headers),
        cmocka_unit_test(fragments_are_told),
        cmocka_unit_test(what_the_capture_cut_is_told),
        cmocka_unit_test(what_is_no_ip_is_refused),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_packet_is_made),
        cmocka_unit_test(the_short_way_leads_to_the_same),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
