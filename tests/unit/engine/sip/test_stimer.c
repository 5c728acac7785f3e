/* RFC 4028 table 2: who refreshes a session. What happens in time is shown by tests/scenario/s8-*.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/sip/sip_int.h"

static void table_2_of_rfc_4028(void **state)
{
    static const struct {
        bool supports;
        enum stimer_refresher asked, ours, want;
    } rows[] = {
        {false, SE_NOBODY, SE_UAC, SE_UAS}, {false, SE_NOBODY, SE_UAS, SE_UAS},
        {false, SE_UAC, SE_UAS, SE_UAS},    {false, SE_UAS, SE_UAC, SE_UAS},
        {true, SE_NOBODY, SE_UAS, SE_UAS},  {true, SE_NOBODY, SE_UAC, SE_UAC},
        {true, SE_UAC, SE_UAS, SE_UAC},     {true, SE_UAS, SE_UAC, SE_UAS},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(stimer_choose(rows[i].supports, rows[i].asked, rows[i].ours),
                         rows[i].want);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(table_2_of_rfc_4028)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
