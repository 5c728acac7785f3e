/* The small values: CSeq, delta-seconds, q. */
#include <errno.h>

#include "base/num.h"
#include "wire/sip/lex.h"

int sip_cseq_parse(struct sip_cseq *ret, struct str s)
{
    const char *end = s.p + s.n;
    const char *digits = lex_span(s.p, end, LEX_DIGIT);
    const char *method = lex_ws(digits, end);
    struct sip_cseq v = {.method_text = lex_str(method, end)};
    if (method == digits || !sip_is_token(v.method_text))
        return -EINVAL;
    /* RFC 3261 8.1.1.5: less than 2^31. */
    uint64_t number;
    if (num_u64(&number, lex_str(s.p, digits), INT32_MAX))
        return -EINVAL;
    v.number = (uint32_t)number;
    v.method = sip_method_of(v.method_text);
    *ret = v;
    return 0;
}

int sip_delta_parse(uint32_t *ret, struct str s)
{
    uint64_t v;
    s = str_trim(s);
    int err = num_u64(&v, s, UINT32_MAX);
    if (err == -EINVAL)
        return err;
    *ret = err ? UINT32_MAX : (uint32_t)v;
    return 0;
}

int sip_q_parse(uint16_t *ret, struct str s)
{
    uint64_t v;
    s = str_trim(s);
    /* RFC 3261 25.1: at most three decimals, and not more than 1. "1." is legal there. */
    if (s.n > 1 && s.p[s.n - 1] == '.')
        s.n--;
    if (s.n > 5 || num_fixed(&v, s, 3) || v > 1000)
        return -EINVAL;
    *ret = (uint16_t)v;
    return 0;
}
