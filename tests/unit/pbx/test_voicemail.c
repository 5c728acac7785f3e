/* Mailboxes: what comes back from the database, what goes, codes, and what is said. */
#include "unit/pbx/pbx_test.h"

#include "pbx/feature/code.h"
#include "pbx/feature/mwi.h"
#include "pbx/feature/voicemail_int.h"

static struct rig *r;

#define FILE_TEXT                                                                                  \
    "sip: {domain: pbx.test}\n"                                                                    \
    "voicemail: {time_zone: \"%s\", keep_days: 2}\n"                                               \
    "sounds: {language: %s}\n"                                                                     \
    "extensions:\n"                                                                                \
    "  - {number: \"1001\", password: x, voicemail: true}\n"                                       \
    "  - {number: \"1002\", password: x}\n"

static void start(const char *zone, const char *language)
{
    char text[512];
    snprintf(text, sizeof(text), FILE_TEXT, zone, language);
    r = rig_new(text);
}

static int begin(void **state)
{
    start("+09:00", "en");
    return 0;
}

static int end(void **state)
{
    rig_free(r);
    r = NULL;
    return 0;
}

static void restore(const char *id, const char *box, int64_t state)
{
    struct row_value v[] = {ROW_S(str_z(id)),       ROW_S(str_z(box)), ROW_I(state),
                            ROW_I(state == VM_OLD), ROW_S(STR("55")),  {.type = ROW_NULL},
                            ROW_I(WALL_US / 1000),  ROW_I(4000)};
    rig_clear(r);
    pbx_restore(r->pbx, r->now, STORE_RESTORE_MESSAGES, v, ARRAY_LEN(v));
    rig_drain(r);
}

static unsigned listed(const char *box)
{
    struct voicemail_shown m;
    uint64_t at = 0;
    unsigned n = 0;
    while (voicemail_next(r->pbx, str_z(box), &at, &m))
        n++;
    return n;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void messages_come_back_and_are_counted(void **state)
{
    restore("0000000000000002", "1001", VM_NEW);
    restore("0000000000000003", "1001", VM_OLD);
    restore("0000000000000001", "1001", VM_NEW);
    restore("0000000000000009", "1001", VM_GREETING);
    struct mwi_counts n = mwi_get(r->pbx, STR("1001"));
    assert_int_equal(n.new, 2);
    assert_int_equal(n.old, 1);
    assert_int_equal(n.urgent_new, 0);
    assert_int_equal(n.urgent_old, 1);
    struct voicemail_shown m;
    uint64_t at = 0;
    assert_true(voicemail_next(r->pbx, STR("1001"), &at, &m));
    assert_int_equal(m.id, 1); /* in the order of arrival, whatever that of the rows */
    assert_text(m.caller, "55");
    assert_int_equal(listed("1001"), 4);
    assert_int_equal(voicemail_delete(r->pbx, 2), 0);
    assert_int_equal(voicemail_delete(r->pbx, 2), -ENOENT);
    rig_drain(r);
    assert_int_equal(r->row[0].statement, STORE_MESSAGE_DEL);
    assert_text(r->row[0].v[0].s, "0000000000000002");
    assert_int_equal(mwi_get(r->pbx, STR("1001")).new, 1);
}

static void what_a_kill_made_worthless_is_removed(void **state)
{
    restore("0000000000000005", "1001", VM_COMING);
    assert_int_equal(r->n_rows, 1);
    assert_int_equal(r->row[0].statement, STORE_MESSAGE_DEL);
    assert_int_equal(listed("1001"), 0);
}

static void rows_that_make_no_sense_are_left_alone(void **state)
{
    restore("0000000000000005", "1001", VM_COMING + 1);
    restore("0000000000000005", "1001", -1);
    restore("000000000000000", "1001", VM_NEW);
    restore("000000000000000g", "1001", VM_NEW);
    struct row_value few[] = {ROW_S(STR("0000000000000005")), ROW_S(STR("1001"))};
    pbx_restore(r->pbx, r->now, STORE_RESTORE_MESSAGES, few, ARRAY_LEN(few));
    rig_drain(r);
    assert_int_equal(r->n_rows, 0);
    assert_int_equal(listed("1001"), 0);
}

static void a_mailbox_that_is_taken_away_keeps_its_messages(void **state)
{
    char text[512];
    struct str why;
    restore("0000000000000005", "1002", VM_NEW);
    assert_int_equal(mwi_get(r->pbx, STR("1002")).new, 0);
    snprintf(text, sizeof(text), FILE_TEXT, "+09:00", "en, announce: tone");
    char *second = strstr(text, "\"1002\", password: x");
    memcpy(second + strlen("\"1002\", password: x"), ", voicemail: true}\n", 20);
    struct config *c = rig_config(text);
    assert_int_equal(pbx_reload(r->pbx, r->now, c, &why), 0);
    config_unref(c);
    rig_drain(r);
    assert_int_equal(mwi_get(r->pbx, STR("1002")).new, 1);
}

static void old_messages_go(void **state)
{
    restore("0000000000000005", "1001", VM_NEW);
    restore("0000000000000006", "1001", VM_GREETING);
    rig_wait(r, 47 * 3600 * USEC_S);
    assert_int_equal(listed("1001"), 2);
    rig_wait(r, 2 * 3600 * USEC_S);
    assert_int_equal(listed("1001"), 1); /* the greeting */
    assert_int_equal(mwi_get(r->pbx, STR("1001")).new, 0);
}

static void without_memory_a_row_is_told_and_nothing_is_lost_else(void **state)
{
    mem_fail_after(1);
    restore("0000000000000005", "1001", VM_NEW);
    mem_fail_after(0);
    assert_int_equal(listed("1001"), 0);
    restore("0000000000000005", "1001", VM_NEW);
    assert_int_equal(listed("1001"), 1);
}

static void numbers_of_messages_rise(void **state)
{
    uint64_t a = vm_message_id(r->pbx), b = vm_message_id(r->pbx);
    assert_true(b > a);
    restore("7fffffffffffff00", "1001", VM_NEW);
    assert_true(vm_message_id(r->pbx) > 0x7fffffffffffff00ull);
}

/* ---- codes ----------------------------------------------------------------------------------- */

static struct plan code(const char *number)
{
    struct plan plan = {.kind = PLAN_NONE};
    (void)code_find(pbx_config(r->pbx), str_z(number), &plan);
    return plan;
}

static void codes_name_the_mailbox(void **state)
{
    assert_int_equal(code("*97").feature, FEATURE_VOICEMAIL);
    assert_null(code("*97").number.p);
    assert_text(code("*971001").number, "1001");
    assert_non_null(code("*98").number.p);
    assert_int_equal(code("*98").number.n, 0);
    assert_text(code("*981002").number, "1002");
    assert_int_equal(code("*979").kind, PLAN_NONE);
    struct plan_from from = {.config = pbx_config(r->pbx)};
    from.extension = config_find_extension(from.config, STR("1001"));
    assert_int_equal(plan_forward(r->pbx, &from, STR("voicemail")).kind, PLAN_MAILBOX);
    assert_int_equal(plan_forward(r->pbx, &from, STR("*97")).kind, PLAN_MAILBOX);
    from.extension = config_find_extension(from.config, STR("1002"));
    assert_int_equal(plan_forward(r->pbx, &from, STR("voicemail")).kind, PLAN_NONE);
}

/* ---- what is said ---------------------------------------------------------------------------- */

/* "vm-you-have 3 vm-new" */
static void assert_said(const struct vm_say *say, const char *want)
{
    char mem[1024];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    for (unsigned i = 0; i <= say->n; i++)
        for (unsigned k = 0; k < say->part[i].n; k++) {
            if (b.n)
                buf_ch(&b, ' ');
            buf_z(&b, prompt_texts[(say->part[i].item[k].clip - SOUND_PROMPTS) / 2].name);
        }
    assert_text(buf_str(&b), want);
}

static void numbers_are_said(void **state)
{
    static const struct {
        unsigned n;
        const char *want;
    } rows[] = {{0, "0"},   {7, "7"},     {10, "10"},   {19, "19"},
                {20, "20"}, {21, "20 1"}, {99, "90 9"}, {1234, "90 9"}};
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct vm_say say = {.n = 0};
        say_number(r->pbx, &say, rows[i].n);
        assert_said(&say, rows[i].want);
    }
}

static void counts(unsigned n_new, unsigned n_old, const char *want)
{
    struct vm_say say = {.n = 0};
    say_counts(r->pbx, &say, n_new, n_old);
    assert_said(&say, want);
}

static void counts_are_said_in_english(void **state)
{
    counts(0, 0, "vm-none");
    counts(1, 0, "vm-you-have 1 vm-new-one");
    counts(2, 1, "vm-you-have 2 vm-new vm-and 1 vm-old-one");
    counts(0, 30, "vm-you-have 30 vm-old");
}

static void counts_are_said_in_korean(void **state)
{
    rig_free(r);
    start("+09:00", "ko");
    counts(0, 0, "vm-none");
    counts(1, 0, "vm-new-one 1 vm-pieces vm-you-have");
    counts(2, 21, "vm-new 2 vm-pieces vm-and vm-old 20 1 vm-pieces vm-you-have");
}

static void envelope(uint64_t at_s, const char *caller, const char *want)
{
    struct vm_say say = {.n = 0};
    struct vm_message m = {.at_ms = at_s * 1000, .caller = str_z(caller)};
    say_envelope(r->pbx, &say, &m);
    assert_said(&say, want);
}

static void times_are_said_on_the_owners_clock(void **state)
{
    envelope(WALL_US / 1000000, "5", "vm-received month-1 1 at 9 hour vm-from 5");
    envelope(951825600, "+82 10", /* 29 February 2000, 12:00 GMT */
             "vm-received month-2 20 9 at 20 1 hour vm-from 8 2 1 0");
    envelope(951836399, "anonymous", /* 29 February 2000, 14:59:59 GMT */
             "vm-received month-2 20 9 at 20 3 hour 50 9 minute vm-from vm-unknown");
    envelope(951836400, "1", "vm-received month-3 1 at 0 hour vm-from 1");
    rig_free(r);
    start("-03:30", "ko");
    envelope(WALL_US / 1000000, "5",
             "vm-received month-12 30 1 day at 20 hour 30 minute vm-from 5");
}

static void a_long_sentence_ends_where_there_is_no_room(void **state)
{
    struct vm_say say = {.n = 0};
    for (unsigned i = 0; i < 10; i++)
        say_digits(r->pbx, &say, STR("123-456"));
    assert_int_equal(say.n, ARRAY_LEN(say.part) - 1);
    assert_int_equal(say.part[say.n].n, MEDIA_MAX_ITEMS);
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(messages_come_back_and_are_counted),
        T(what_a_kill_made_worthless_is_removed),
        T(rows_that_make_no_sense_are_left_alone),
        T(a_mailbox_that_is_taken_away_keeps_its_messages),
        T(old_messages_go),
        T(without_memory_a_row_is_told_and_nothing_is_lost_else),
        T(numbers_of_messages_rise),
        T(codes_name_the_mailbox),
        T(numbers_are_said),
        T(counts_are_said_in_english),
        T(counts_are_said_in_korean),
        T(times_are_said_on_the_owners_clock),
        T(a_long_sentence_ends_where_there_is_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
