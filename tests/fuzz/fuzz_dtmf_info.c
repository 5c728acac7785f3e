/* The first line is the Content-Type, the rest the body of an INFO. A digit is one, or there is
 * none and nothing is written. */
#include <errno.h>

#include "wire/sip/dtmf_info.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = str_of((const char *)data, size);
    ptrdiff_t lf = str_chr(s, '\n');
    if (lf < 0)
        return 0;
    struct str type = str_trim(str_sub(s, 0, (size_t)lf)), body = str_from(s, (size_t)lf + 1);
    struct dtmf_info info = {'x', 1};
    int err = dtmf_info_parse(&info, type, body);
    if (err) {
        BUG_ON(info.digit != 'x' || info.ms != 1);
        BUG_ON(dtmf_info_is(type) && err == -ENOENT);
    } else {
        BUG_ON(!info.digit || !strchr("0123456789*#ABCD!", info.digit));
        BUG_ON(info.ms > DTMF_INFO_MAX_MS);
    }
    return 0;
}
