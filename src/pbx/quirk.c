#include "pbx/quirk.h"

static const struct {
    enum quirk quirk;
    enum sip_hdr_id header;
    struct str begins;
} table[] = {
#define QUIRK(kind, header, begins, why) {QUIRK_##kind, SIP_H_##header, STR_INIT(begins)},
#include "pbx/quirk.def"
#undef QUIRK
};

static bool digits(struct str *s)
{
    size_t n = 0;
    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    *s = str_from(*s, n);
    return n > 0;
}

static bool dash(struct str *s)
{
    bool is = s->n && s->p[0] == '-';
    *s = str_from(*s, is);
    return is;
}

/* SIPp seldom names itself, but its [branch] always reads z9hG4bK-PID-CALL-MESSAGE. */
static bool is_sipp(const struct sip_msg *m)
{
    struct str rest = m->via.branch;
    if (!str_starts(rest, STR("z9hG4bK-")))
        return false;
    rest = str_from(rest, 8);
    return digits(&rest) && dash(&rest) && digits(&rest) && dash(&rest) && digits(&rest) &&
           rest.n == 0;
}

bool quirk_has(const struct sip_msg *m, enum quirk quirk)
{
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (table[i].quirk == quirk &&
            str_istarts(sip_msg_get(m, table[i].header), table[i].begins))
            return true;
    return quirk == QUIRK_ONLY_MD5 && is_sipp(m);
}
