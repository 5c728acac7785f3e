#include "pbx/hangup.h"

#include "base/num.h"

static const struct {
    uint16_t cause, status;
    struct str text;
} table[] = {
#define CAUSE(q850, sip, text) {q850, sip, STR_INIT(text)},
#include "pbx/hangup.def"
#undef CAUSE
};

unsigned hangup_cause_of(unsigned status)
{
    if (status / 100 == 2)
        return 16;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].status == status)
            return table[i].cause;
    return status / 100 == 6 ? 21 : 127;
}

unsigned hangup_status_of(unsigned cause)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].cause == cause)
            return table[i].status;
    return 500;
}

struct str hangup_text(unsigned cause)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].cause == cause)
            return table[i].text;
    return STR("Unknown cause");
}

void hangup_reason(struct buf *b, unsigned cause)
{
    buf_lit(b, "Q.850;cause=");
    buf_u64(b, cause);
    buf_lit(b, ";text=\"");
    buf_str_put(b, hangup_text(cause));
    buf_ch(b, '"');
}

unsigned hangup_cause_in(const struct sip_msg *m)
{
    struct sip_values it = sip_values(m, SIP_H_REASON);
    struct str v;
    while (sip_values_next(&it, &v)) {
        ptrdiff_t semi = str_chr(v, ';');
        uint32_t cause;
        if (semi < 0 || !str_ieq(str_trim(str_sub(v, 0, (size_t)semi)), STR("Q.850")))
            continue;
        struct str text = sip_param_get(str_from(v, (size_t)semi + 1), STR("cause"));
        if (text.p && num_u32(&cause, text) == 0 && cause > 0 && cause < 128)
            return cause;
    }
    return 0;
}
