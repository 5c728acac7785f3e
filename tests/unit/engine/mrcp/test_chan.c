/* The machines of RFC 6787 sections 8.1, 9.1 and 10.1, every cell of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/mrcp/chan.h"

/* "kind state input next", ! behind what leaves the state only when nothing is left. All that is
 * not here is invalid. */
static const char *const lines[] = {
    "0 idle SPEAK speaking",
    "0 idle STOP idle",
    "0 idle BARGE-IN-OCCURRED idle",
    "0 idle DEFINE-LEXICON idle",
    "0 idle SET-PARAMS idle",
    "0 idle GET-PARAMS idle",
    "0 speaking SET-PARAMS speaking",
    "0 speaking GET-PARAMS speaking",
    "0 speaking SPEAK speaking",
    "0 speaking STOP idle!",
    "0 speaking BARGE-IN-OCCURRED idle!",
    "0 speaking CONTROL speaking",
    "0 speaking PAUSE paused",
    "0 speaking RESUME speaking",
    "0 speaking SPEECH-MARKER speaking",
    "0 speaking SPEAK-COMPLETE idle!",
    "0 paused SET-PARAMS paused",
    "0 paused GET-PARAMS paused",
    "0 paused SPEAK paused",
    "0 paused STOP idle!",
    "0 paused BARGE-IN-OCCURRED idle!",
    "0 paused CONTROL paused",
    "0 paused PAUSE paused",
    "0 paused RESUME speaking",
    "0 paused SPEECH-MARKER paused",
    "0 paused SPEAK-COMPLETE idle!",
    "1 idle SET-PARAMS idle",
    "1 idle GET-PARAMS idle",
    "1 idle RECOGNIZE recognizing",
    "1 idle STOP idle",
    "1 idle DEFINE-GRAMMAR idle",
    "1 idle INTERPRET idle",
    "1 idle INTERPRETATION-COMPLETE idle",
    "1 recognizing SET-PARAMS recognizing",
    "1 recognizing GET-PARAMS recognizing",
    "1 recognizing RECOGNIZE recognizing",
    "1 recognizing STOP idle!",
    "1 recognizing START-INPUT-TIMERS recognizing",
    "1 recognizing START-OF-INPUT recognizing",
    "1 recognizing RECOGNITION-COMPLETE recognized!",
    "1 recognizing INTERPRETATION-COMPLETE recognizing",
    "1 recognized SET-PARAMS recognized",
    "1 recognized GET-PARAMS recognized",
    "1 recognized RECOGNIZE recognizing",
    "1 recognized GET-RESULT recognized",
    "1 recognized STOP idle",
    "1 recognized DEFINE-GRAMMAR idle",
    "1 recognized INTERPRET recognized",
    "1 recognized INTERPRETATION-COMPLETE recognized",
    "2 idle SET-PARAMS idle",
    "2 idle GET-PARAMS idle",
    "2 idle RECORD recording",
    "2 idle STOP idle",
    "2 recording SET-PARAMS recording",
    "2 recording GET-PARAMS recording",
    "2 recording STOP idle!",
    "2 recording START-INPUT-TIMERS recording",
    "2 recording START-OF-INPUT recording",
    "2 recording RECORD-COMPLETE idle!",
};

static struct str input_name(unsigned input)
{
    if (input < MRCP_METHODS)
        return mrcp_method_name((enum mrcp_method)input);
    return mrcp_event_name((enum mrcp_event)(input - MRCP_METHODS));
}

/* The line of this cell, or NULL. */
static const char *expected(unsigned kind, enum chan_state s, unsigned input, struct str *next)
{
    char mem[96];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, kind);
    buf_ch(&b, ' ');
    buf_str_put(&b, chan_state_name(s));
    buf_ch(&b, ' ');
    buf_str_put(&b, input_name(input));
    buf_ch(&b, ' ');
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (input_name(input).n && str_starts(str_z(lines[i]), buf_str(&b))) {
            *next = str_from(str_z(lines[i]), b.n);
            return lines[i];
        }
    return NULL;
}

static void every_cell(void **state)
{
    (void)state;
    unsigned seen = 0;
    for (unsigned k = 0; k < MRCP_KINDS; k++) {
        for (unsigned s = 0; s < CHAN_STATES; s++) {
            for (unsigned i = 0; i < CHAN_INPUTS; i++) {
                struct str next;
                uint8_t at = (uint8_t)s;
                const char *line = expected(k, (enum chan_state)s, i, &next);
                assert_int_equal(chan_step(&at, (enum mrcp_kind)k, i, 0), line != NULL);
                if (!line) {
                    assert_int_equal(at, s);
                    continue;
                }
                seen++;
                bool empty = next.p[next.n - 1] == '!';
                next.n -= empty;
                assert_true(str_eq(chan_state_name((enum chan_state)at), next));
                at = (uint8_t)s;
                assert_true(chan_step(&at, (enum mrcp_kind)k, i, 1));
                if (empty)
                    assert_int_equal(at, s);
                else
                    assert_true(str_eq(chan_state_name((enum chan_state)at), next));
            }
        }
    }
    assert_int_equal(seen, ARRAY_LEN(lines));
}

static void what_occupies(void **state)
{
    (void)state;
    assert_int_equal(chan_main(MRCP_SYNTH), MRCP_M_SPEAK);
    assert_int_equal(chan_active(MRCP_SYNTH), CHAN_SPEAKING);
    assert_int_equal(chan_main(MRCP_RECOG), MRCP_M_RECOGNIZE);
    assert_int_equal(chan_active(MRCP_RECOG), CHAN_RECOGNIZING);
    assert_int_equal(chan_main(MRCP_RECORDER), MRCP_M_RECORD);
    assert_int_equal(chan_active(MRCP_RECORDER), CHAN_RECORDING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell),
        cmocka_unit_test(what_occupies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
