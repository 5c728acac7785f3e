/* Capture files of both kinds, whole, in pieces, cut and broken. */
#include "cap_test.h"

#define MAX_FRAMES 64

struct read {
    unsigned n, errors, keys;
    struct cap_frame f[MAX_FRAMES];
    uint8_t first[MAX_FRAMES]; /* the first byte of each frame */
    const char *error;
    uint64_t error_at;
    struct cap c;
};

static struct read result;

/* Reads with a window that grows by `step` bytes at a time. */
static struct read *read_by(const uint8_t *p, size_t n, size_t step)
{
    struct read *r = &result;
    size_t have = step < n ? step : n, used;
    struct cap_frame f;
    memset(r, 0, sizeof(*r));
    cap_init(&r->c);
    for (;;) {
        int s = cap_next(&r->c, p, have, have == n, &f, &used);
        assert_true(used <= have);
        p += used;
        n -= used;
        have -= used;
        if (s > 0 && f.keys) {
            r->keys++;
        } else if (s > 0) {
            assert_true(r->n < MAX_FRAMES);
            r->first[r->n] = f.n ? f.p[0] : 0;
            r->f[r->n++] = f;
        } else if (s < 0) {
            assert_int_equal(s, -EBADMSG);
            r->errors++;
            r->error = r->c.error;
            r->error_at = r->c.error_at;
        } else if (have == n) {
            return r;
        } else {
            have += step < n - have ? step : n - have;
        }
    }
}

static struct read *read_all(const struct bytes *b)
{
    return read_by(b->p, b->n, b->n);
}

static void pcap_header(struct bytes *b, uint32_t magic)
{
    put_32(b, magic);
    put_16(b, 2);
    put_16(b, 4);
    put_32(b, 0);
    put_32(b, 0);
    put_32(b, 65535);
    put_32(b, CAP_ETHERNET);
}

static void pcap_record(struct bytes *b, uint32_t s, uint32_t part, unsigned n, unsigned wire_n)
{
    put_32(b, s);
    put_32(b, part);
    put_32(b, n);
    put_32(b, wire_n);
    for (unsigned i = 0; i < n; i++)
        put_8(b, s & 0xFF);
}

static void pcap_in_both_orders(void **state)
{
    (void)state;
    for (unsigned big = 0; big < 2; big++) {
        struct bytes b = {.big = big};
        pcap_header(&b, 0xA1B2C3D4);
        pcap_record(&b, 1000, 250000, 60, 60);
        pcap_record(&b, 1001, 999999, 20, 1500);
        struct read *r = read_all(&b);
        assert_int_equal(r->n, 2);
        assert_int_equal(r->errors, 0);
        assert_int_equal(r->f[0].number, 1);
        assert_true(r->f[0].at_ns == 1000250000000ull);
        assert_true(r->f[1].at_ns == 1001999999000ull);
        assert_int_equal(r->f[0].link, CAP_ETHERNET);
        assert_int_equal(r->f[1].n, 20);
        assert_int_equal(r->f[1].wire_n, 1500);
        assert_int_equal(r->first[1], 1001 & 0xFF);
    }
}

static void pcap_with_nanoseconds_and_modified(void **state)
{
    (void)state;
    struct bytes b = {.big = true};
    pcap_header(&b, 0xA1B23C4D);
    pcap_record(&b, 7, 123456789, 60, 60);
    assert_int_equal(read_all(&b)->n, 1);
    assert_true(result.f[0].at_ns == 7123456789ull);

    struct bytes m = {.big = false};
    pcap_header(&m, 0xA1B2CD34);
    for (unsigned i = 0; i < 2; i++) {
        put_32(&m, 7);
        put_32(&m, 8);
        put_32(&m, 16);
        put_32(&m, 16);
        put_bytes(&m, "\1\0\0\0\0\10\0\0", 8); /* interface, protocol, type */
        put_bytes(&m, "abcdefghijklmnop", 16);
    }
    assert_int_equal(read_all(&m)->n, 2);
    assert_int_equal(result.first[1], 'a');
}

/* A section as another program writes it, in either order. */
static void ng_section(struct bytes *b)
{
    put_32(b, 0x0A0D0D0A);
    put_32(b, 28);
    put_32(b, 0x1A2B3C4D);
    put_16(b, 1);
    put_16(b, 0);
    put_32(b, UINT32_MAX);
    put_32(b, UINT32_MAX);
    put_32(b, 28);
}

static void ng_iface(struct bytes *b, unsigned link, unsigned tsresol, unsigned offset_s)
{
    put_32(b, 1);
    put_32(b, 20 + 8 + 12 + 8 + 4);
    put_16(b, link);
    put_16(b, 0);
    put_32(b, 10); /* snaplen */
    put_16(b, 9);
    put_16(b, 1);
    put_8(b, tsresol);
    put_bytes(b, "\0\0\0", 3);
    put_16(b, 14);
    put_16(b, 8);
    put_32(b, b->big ? 0 : offset_s);
    put_32(b, b->big ? offset_s : 0);
    put_16(b, 2);
    put_16(b, 3);
    put_bytes(b, "eth\0", 4);
    put_32(b, 0); /* the end of the options */
    put_32(b, 20 + 8 + 12 + 8 + 4);
}

static void ng_packet(struct bytes *b, uint32_t iface, uint64_t t, const char *text)
{
    unsigned n = (unsigned)strlen(text), padded = (n + 3) & ~3u;
    put_32(b, 6);
    put_32(b, 32 + padded);
    put_32(b, iface);
    put_32(b, (uint32_t)(t >> 32));
    put_32(b, (uint32_t)t);
    put_32(b, n);
    put_32(b, n + 1);
    put_bytes(b, text, n);
    put_bytes(b, "\0\0\0", padded - n);
    put_32(b, 32 + padded);
}

static void ng_unknown(struct bytes *b, uint32_t type)
{
    put_32(b, type);
    put_32(b, 16);
    put_32(b, 0x12345678);
    put_32(b, 16);
}

static void pcapng_in_both_orders_with_units_and_sections(void **state)
{
    (void)state;
    struct bytes b = {.big = false};
    ng_section(&b);
    ng_iface(&b, CAP_ETHERNET, 6, 0);
    ng_iface(&b, CAP_RAW, 9, 100);
    ng_packet(&b, 0, 5000001, "a");
    ng_packet(&b, 1, 5000000002, "b");
    ng_unknown(&b, 4); /* names */
    ng_unknown(&b, 0x1234);
    b.big = true; /* another machine goes on */
    ng_section(&b);
    ng_iface(&b, CAP_SLL, 0x80 | 10, 0); /* units of 1/1024 s */
    ng_packet(&b, 0, 3 * 1024 + 512, "c");
    ng_iface(&b, CAP_SLL, 3, 0);
    ng_iface(&b, CAP_SLL, 12, 0);
    ng_packet(&b, 1, 7001, "d");
    ng_packet(&b, 2, 7000000000123, "e");
    struct read *r = read_all(&b);
    assert_int_equal(r->errors, 0);
    assert_int_equal(r->n, 5);
    assert_true(r->f[0].at_ns == 5000001000ull);
    assert_true(r->f[1].at_ns == 105000000002ull);
    assert_true(r->f[2].at_ns == 3500000000ull);
    assert_true(r->f[3].at_ns == 7001000000ull);
    assert_true(r->f[4].at_ns == 7000000000ull);
    assert_int_equal(r->f[1].link, CAP_RAW);
    assert_int_equal(r->f[1].iface, 1);
    assert_int_equal(r->f[2].iface, 2); /* interfaces go on counting */
    assert_int_equal(r->f[2].link, CAP_SLL);
    assert_int_equal(r->f[4].number, 5);
    assert_int_equal(r->f[4].wire_n, 2);
    assert_string_equal(r->c.iface[0].name, "eth");
}

static void simple_and_old_blocks(void **state)
{
    (void)state;
    struct bytes b = {.big = false};
    ng_section(&b);
    ng_iface(&b, CAP_ETHERNET, 6, 0);
    put_32(&b, 2); /* the old block of a frame */
    put_32(&b, 36);
    put_16(&b, 0);
    put_16(&b, 9);
    put_32(&b, 0);
    put_32(&b, 42);
    put_32(&b, 4);
    put_32(&b, 4);
    put_bytes(&b, "old!", 4);
    put_32(&b, 36);
    put_32(&b, 3); /* a frame without a time; the snaplen says how much of it there is */
    put_32(&b, 28);
    put_32(&b, 50);
    put_bytes(&b, "simple......", 12);
    put_32(&b, 28);
    struct read *r = read_all(&b);
    assert_int_equal(r->n, 2);
    assert_true(r->f[0].at_ns == 42000);
    assert_true(r->f[1].no_time);
    assert_true(r->f[1].at_ns == 42000);
    assert_int_equal(r->f[1].n, 10);
    assert_int_equal(r->f[1].wire_n, 50);
}

static void drops_are_summed(void **state)
{
    (void)state;
    struct bytes b = {.big = true};
    for (unsigned section = 0; section < 2; section++) {
        ng_section(&b);
        ng_iface(&b, CAP_ETHERNET, 6, 0);
        for (unsigned dropped = 3; dropped <= 5; dropped += 2) {
            put_32(&b, 5);
            put_32(&b, 40);
            put_32(&b, 0);
            put_32(&b, 0);
            put_32(&b, 0);
            put_16(&b, 5);
            put_16(&b, 8);
            put_32(&b, 0);
            put_32(&b, dropped);
            put_32(&b, 0);
            put_32(&b, 40);
        }
    }
    read_all(&b);
    assert_int_equal(result.errors, 0);
    assert_int_equal(cap_dropped(&result.c), 10);
}

/* What the writer makes, the reader reads. */
static struct bytes written(void)
{
    static char mem[4096];
    struct buf b;
    struct bytes ret = {.n = 0};
    buf_init(&b, mem, sizeof(mem));
    cap_write_section(&b, STR("test"));
    cap_write_iface(&b, CAP_RAW, STR("lo"));
    cap_write_iface(&b, CAP_ETHERNET, STR_NONE);
    cap_write_keys(&b, STR("CLIENT_RANDOM 00 11\n"));
    for (unsigned i = 0; i < 10; i++) {
        char text[16] = "0123456789";
        struct cap_frame f = {.iface = i % 2,
                              .at_ns = 1700000000000000000ull + i,
                              .p = (uint8_t *)text + i,
                              .n = 10 - i,
                              .wire_n = i == 3 ? 99 : 0};
        cap_write_frame(&b, &f, i == 4 ? STR("why") : STR_NONE);
    }
    assert_false(b.full);
    put_bytes(&ret, b.p, b.n);
    return ret;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    struct bytes b = written();
    struct read *r = read_all(&b);
    assert_int_equal(r->errors, 0);
    assert_int_equal(r->n, 10);
    assert_int_equal(r->keys, 1);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(r->first[i], '0' + i);
        assert_int_equal(r->f[i].n, 10 - i);
        assert_int_equal(r->f[i].wire_n, i == 3 ? 99 : 10 - i);
        assert_int_equal(r->f[i].link, i % 2 ? CAP_ETHERNET : CAP_RAW);
        assert_true(r->f[i].at_ns == 1700000000000000000ull + i);
    }
    assert_string_equal(r->c.iface[0].name, "lo");
}

static void a_full_buffer_holds_whole_blocks(void **state)
{
    (void)state;
    char mem[400];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    cap_write_section(&b, STR_NONE);
    cap_write_iface(&b, CAP_RAW, STR_NONE);
    struct cap_frame f = {.p = (const uint8_t *)"x", .n = 1};
    size_t before = 0;
    unsigned n = 0;
    for (; !b.full; n++) {
        assert_true(b.n - before <= cap_frame_bytes(1, STR_NONE) || n == 0);
        before = b.n;
        cap_write_frame(&b, &f, STR_NONE);
    }
    struct read *r = read_by((uint8_t *)mem, b.n, b.n);
    assert_int_equal(r->errors, 0);
    assert_int_equal(r->n, n - 1);
}

/* The frames of a file do not depend on how much of it is at hand at a time. */
static void any_window_will_do(void **state)
{
    (void)state;
    struct bytes b = written();
    for (size_t step = 1; step < 70; step++) {
        struct read *r = read_by(b.p, b.n, step);
        assert_int_equal(r->n, 10);
        assert_int_equal(r->errors, 0);
        assert_int_equal(r->first[9], '9');
    }
}

static void each_truncation_keeps_what_is_before_it(void **state)
{
    (void)state;
    struct bytes ng = written(), old = {.big = false};
    pcap_header(&old, 0xA1B2C3D4);
    for (unsigned i = 0; i < 6; i++)
        pcap_record(&old, 1000 + i, 0, 14 + i, 14 + i);
    for (unsigned which = 0; which < 2; which++) {
        const struct bytes *b = which ? &ng : &old;
        size_t ends[MAX_FRAMES];
        struct cap c;
        struct cap_frame f;
        unsigned frames = 0;
        size_t at = 0, used;
        cap_init(&c);
        while (cap_next(&c, b->p + at, b->n - at, true, &f, &used) > 0) {
            at += used;
            if (!f.keys)
                ends[frames++] = at;
        }
        for (size_t n = 0; n <= b->n; n++) {
            unsigned expected = 0;
            while (expected < frames && ends[expected] <= n)
                expected++;
            /* A copy of that size, so that a look behind it is seen. */
            uint8_t *copy = test_malloc(n + 1);
            memcpy(copy, b->p, n);
            struct read *r = read_by(copy, n, n ? n : 1);
            assert_int_equal(r->n, expected);
            assert_true(r->errors <= 1);
            if (n < 4)
                assert_int_equal(r->errors, 1);
            test_free(copy);
        }
    }
}

static void reading_goes_on_behind_what_is_broken(void **state)
{
    (void)state;
    struct bytes b = {.big = false};
    ng_section(&b);
    ng_iface(&b, CAP_ETHERNET, 6, 0);
    ng_packet(&b, 0, 1, "a");
    size_t at = b.n;
    ng_packet(&b, 0, 2, "b");
    ng_packet(&b, 0, 3, "c");
    struct {
        size_t offset;
        uint32_t value;
    } damage[] = {{4, 0xFFFFFFF0}, {4, 13}, {4, 8}, {4, 40}, {32, 99}};
    for (unsigned i = 0; i < ARRAY_LEN(damage); i++) {
        struct bytes d = b;
        le32_put(d.p + at + damage[i].offset, damage[i].value);
        struct read *r = read_all(&d);
        assert_int_equal(r->n, 2);
        assert_int_equal(r->errors, 1);
        assert_int_equal(r->error_at, at);
        assert_int_equal(r->first[1], 'c');
        /* In pieces it is the same. */
        assert_int_equal(read_by(d.p, d.n, 3)->n, 2);
    }
    /* Bytes that were lost or added in between move what follows from its alignment. */
    struct bytes shifted = b;
    memmove(shifted.p + at + 6, shifted.p + at + 7, shifted.n - at - 7);
    shifted.n--;
    assert_int_equal(read_all(&shifted)->n, 2);
    assert_int_equal(result.first[1], 'c');
    /* A frame that lies about itself costs itself only. */
    struct bytes lie = b;
    le32_put(lie.p + at + 20, 1000);
    assert_int_equal(read_all(&lie)->n, 2);
    assert_string_equal(result.error, "a frame is longer than its block");
    struct bytes stranger = b;
    le32_put(stranger.p + at + 8, 7);
    assert_int_equal(read_all(&stranger)->n, 2);
    assert_int_equal(result.f[1].number, 3);
}

static void pcap_is_found_again_too(void **state)
{
    (void)state;
    struct bytes b = {.big = true};
    pcap_header(&b, 0xA1B2C3D4);
    for (unsigned i = 0; i < 3; i++)
        pcap_record(&b, 90000 + i, 500, 30, 30);
    size_t at = b.n;
    for (unsigned i = 3; i < 8; i++)
        pcap_record(&b, 90000 + i, 500, 30, 30);
    be32_put(b.p + at + 8, 0x7FFFFFFF);
    struct read *r = read_all(&b);
    assert_int_equal(r->errors, 1);
    assert_int_equal(r->n, 7);
    assert_true(r->f[3].at_ns / 1000000000 == 90004);
    assert_int_equal(read_by(b.p, b.n, 11)->n, 7);
    /* So it is when a length leads behind the end of the file. */
    be32_put(b.p + at + 8, 5000);
    r = read_all(&b);
    assert_int_equal(r->errors, 1);
    assert_int_equal(r->n, 7);
}

static void what_is_no_capture_is_told(void **state)
{
    (void)state;
    assert_int_equal(read_by((const uint8_t *)"", 0, 1)->errors, 1);
    assert_string_equal(result.error, "the file is empty");
    read_by((const uint8_t *)"\x1F\x8B\x08\0 more of it", 16, 16);
    assert_string_equal(result.error, "the file is still compressed");
    read_by((const uint8_t *)"REGISTER sip:x SIP/2.0\r\n", 24, 24);
    assert_string_equal(result.error, "this is no capture file");
    read_by((const uint8_t *)"\xD4\xC3\xB2\xA1\2\0\4\0", 8, 8);
    assert_string_equal(result.error, "the file ends in its header");
    assert_int_equal(result.errors, 1);
    assert_int_equal(result.n, 0);
}

/* More interfaces than there is room for are an error each, and no harm. */
static void interfaces_are_bounded(void **state)
{
    (void)state;
    static uint8_t mem[(CAP_MAX_IFACES + 8) * 60];
    struct buf b;
    buf_init(&b, (char *)mem, sizeof(mem));
    cap_write_section(&b, STR_NONE);
    for (unsigned i = 0; i < CAP_MAX_IFACES + 3; i++)
        cap_write_iface(&b, CAP_RAW, STR_NONE);
    struct cap_frame f = {.iface = CAP_MAX_IFACES - 1, .p = (const uint8_t *)"x", .n = 1};
    cap_write_frame(&b, &f, STR_NONE);
    f.iface++;
    cap_write_frame(&b, &f, STR_NONE);
    assert_false(b.full);
    struct read *r = read_by(mem, b.n, b.n);
    assert_int_equal(r->n, 1);
    assert_int_equal(r->errors, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcap_in_both_orders),
        cmocka_unit_test(pcap_with_nanoseconds_and_modified),
        cmocka_unit_test(pcapng_in_both_orders_with_units_and_sections),
        cmocka_unit_test(simple_and_old_blocks),
        cmocka_unit_test(drops_are_summed),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(a_full_buffer_holds_whole_blocks),
        cmocka_unit_test(any_window_will_do),
        cmocka_unit_test(each_truncation_keeps_what_is_before_it),
        cmocka_unit_test(reading_goes_on_behind_what_is_broken),
        cmocka_unit_test(pcap_is_found_again_too),
        cmocka_unit_test(what_is_no_capture_is_told),
        cmocka_unit_test(interfaces_are_bounded),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
