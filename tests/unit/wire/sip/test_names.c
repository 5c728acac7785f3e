#include "sip_test.h"

struct row {
    const char *name;
    char compact;
    enum sip_hdr_id id;
};

static const struct row rows[] = {
#define HEADER(id, name, compact, kind, source) {name, compact, SIP_H_##id},
#include "wire/sip/header.def"
#undef HEADER
};

static struct str recase(char *out, const char *z, bool upper)
{
    size_t n = 0;
    for (; z[n]; n++) {
        char c = z[n];
        if (upper && c >= 'a' && c <= 'z')
            c = (char)(c - 32);
        out[n] = upper ? c : chr_lower(c);
    }
    return str_of(out, n);
}

/* The hash table in names_slot.h is generated: stale, it loses a name here. */
static void test_headers(void **state)
{
    char room[64];
    assert_int_equal(ARRAY_LEN(rows), SIP_H_COUNT - 1);
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct str name = str_z(rows[i].name);
        assert_int_equal(sip_hdr_of(name), rows[i].id);
        assert_int_equal(sip_hdr_of(recase(room, rows[i].name, true)), rows[i].id);
        assert_int_equal(sip_hdr_of(recase(room, rows[i].name, false)), rows[i].id);
        assert_str(sip_hdr_name(rows[i].id), rows[i].name);
        if (rows[i].compact) {
            assert_int_equal(sip_hdr_of(str_of(&rows[i].compact, 1)), rows[i].id);
            char upper = (char)(rows[i].compact - 32);
            assert_int_equal(sip_hdr_of(str_of(&upper, 1)), rows[i].id);
        }
    }
}

static void test_headers_unknown(void **state)
{
    /* One character changed, added or removed is another header. */
    char room[64];
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = str_copy_z(room, sizeof(room), str_z(rows[i].name));
        for (size_t k = 0; k < n; k++) {
            char was = room[k];
            room[k] = was == 'q' ? 'z' : 'q';
            enum sip_hdr_id got = sip_hdr_of(str_of(room, n));
            assert_true(got != rows[i].id);
            room[k] = was;
        }
        /* "To" without its last letter is its compact form. */
        assert_true(n == 2 || sip_hdr_of(str_of(room, n - 1)) != rows[i].id);
        room[n] = 's';
        assert_true(sip_hdr_of(str_of(room, n + 1)) != rows[i].id);
    }
    assert_int_equal(sip_hdr_of(STR("Requires")), SIP_H_OTHER);
    assert_int_equal(sip_hdr_of(STR("")), SIP_H_OTHER);
    assert_int_equal(sip_hdr_of(STR("q")), SIP_H_OTHER);
    assert_int_equal(sip_hdr_of(STR("1")), SIP_H_OTHER);
    /* A control character that differs from '-' in bit 5 only. */
    assert_int_equal(sip_hdr_of(STR("Call\rID")), SIP_H_OTHER);
    assert_none(sip_hdr_name(SIP_H_OTHER));
}

static void test_methods(void **state)
{
    for (unsigned i = 1; i < SIP_METHOD_COUNT; i++)
        assert_int_equal(sip_method_of(sip_method_name((enum sip_method)i)), i);
    assert_int_equal(SIP_METHOD_COUNT, 15);
    /* RFC 3261 7.1: methods are case-sensitive. */
    assert_int_equal(sip_method_of(STR("invite")), SIP_METHOD_UNKNOWN);
    assert_int_equal(sip_method_of(STR("INVITEE")), SIP_METHOD_UNKNOWN);
    assert_int_equal(sip_method_of(STR("")), SIP_METHOD_UNKNOWN);
}

static void test_status(void **state)
{
    assert_str(sip_status_reason(100), "Trying");
    assert_str(sip_status_reason(487), "Request Terminated");
    assert_str(sip_status_reason(699), "Unknown");
    for (unsigned v = 0; v < SIP_VERDICT_COUNT; v++) {
        assert_true(sip_verdict_text((enum sip_verdict)v).n > 0);
        unsigned status = sip_verdict_status((enum sip_verdict)v);
        assert_true(v == SIP_OK ? status == 200 : status >= 400);
    }
    assert_int_equal(sip_verdict_status(SIP_BAD_VERSION), 505);
    assert_int_equal(sip_verdict_status(SIP_TOO_LARGE), 513);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_headers_unknown),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
