#include "wire/sdp/codec.h"

#include "base/num.h"

static struct str take_until(struct str *s, char sep)
{
    ptrdiff_t at = str_chr(*s, sep);
    struct str head = at < 0 ? *s : str_sub(*s, 0, (size_t)at);
    *s = str_sub(*s, at < 0 ? s->n : (size_t)at + 1, s->n);
    return head;
}

struct str sdp_fmtp_find(struct str fmtp, struct str name)
{
    while (fmtp.n) {
        struct str value = take_until(&fmtp, ';');
        bool assigned = str_chr(value, '=') >= 0;
        struct str key = str_trim(take_until(&value, '='));
        if (str_ieq(key, name))
            return assigned ? str_trim(value) : STR("");
    }
    return STR_NONE;
}

bool sdp_event_has(struct str fmtp, uint8_t event)
{
    if (fmtp.n == 0)
        return event <= 15;
    while (fmtp.n) {
        struct str item = take_until(&fmtp, ',');
        bool range = str_chr(item, '-') >= 0;
        struct str low = str_trim(take_until(&item, '-'));
        uint64_t from, to;
        if (num_u64(&from, low, 255))
            continue;
        to = from;
        if (range && num_u64(&to, str_trim(item), 255))
            continue;
        if (event >= from && event <= to)
            return true;
    }
    return false;
}

/* Parameters whose values must agree, with what their absence means. */
static const struct {
    struct str codec, param, absent;
} fixed[] = {
    {STR_INIT("AMR"), STR_INIT("octet-align"), STR_INIT("0")},         /* RFC 4867 section 8.1 */
    {STR_INIT("AMR-WB"), STR_INIT("octet-align"), STR_INIT("0")},      /* RFC 4867 section 8.2 */
    {STR_INIT("H264"), STR_INIT("packetization-mode"), STR_INIT("0")}, /* RFC 6184 8.2.2 */
};

static bool params_agree(const struct sdp_codec *a, const struct sdp_codec *b)
{
    for (unsigned i = 0; i < ARRAY_LEN(fixed); i++) {
        if (!str_ieq(a->name, fixed[i].codec))
            continue;
        struct str x = sdp_fmtp_find(a->fmtp, fixed[i].param);
        struct str y = sdp_fmtp_find(b->fmtp, fixed[i].param);
        if (!str_eq(x.p ? x : fixed[i].absent, y.p ? y : fixed[i].absent))
            return false;
    }
    return true;
}

bool sdp_codec_equal(const struct sdp_codec *a, const struct sdp_codec *b)
{
    return a->name.n && str_ieq(a->name, b->name) && a->clock == b->clock &&
           a->channels == b->channels && params_agree(a, b);
}
