/* Looking things up in a parsed message, and what its verdict means. */
#include "wire/sip/lex.h"

struct verdict_row {
    uint16_t status;
    struct str text;
};

static const struct verdict_row verdicts[SIP_VERDICT_COUNT] = {
    [SIP_OK] = {200, STR_INIT("OK")},
    [SIP_BAD_START_LINE] = {400, STR_INIT("Bad Start Line")},
    [SIP_BAD_VERSION] = {505, STR_INIT("Version Not Supported")},
    [SIP_BAD_HEADER_LINE] = {400, STR_INIT("Bad Header Line")},
    [SIP_BAD_URI] = {400, STR_INIT("Bad Request-URI")},
    [SIP_BAD_VIA] = {400, STR_INIT("Bad Via Header")},
    [SIP_BAD_FROM] = {400, STR_INIT("Bad From Header")},
    [SIP_BAD_TO] = {400, STR_INIT("Bad To Header")},
    [SIP_BAD_CSEQ] = {400, STR_INIT("Bad CSeq Header")},
    [SIP_BAD_CALL_ID] = {400, STR_INIT("Bad Call-ID Header")},
    [SIP_BAD_CONTACT] = {400, STR_INIT("Bad Contact Header")},
    [SIP_BAD_MAX_FORWARDS] = {400, STR_INIT("Bad Max-Forwards Header")},
    [SIP_BAD_CONTENT_LENGTH] = {400, STR_INIT("Bad Content-Length Header")},
    [SIP_BAD_LENGTH] = {400, STR_INIT("Content-Length Beyond Message")},
    [SIP_BAD_ROUTE] = {400, STR_INIT("Bad Route Header")},
    [SIP_BAD_EXPIRES] = {400, STR_INIT("Bad Expires Header")},
    [SIP_BAD_DATE] = {400, STR_INIT("Bad Date Header")},
    [SIP_BAD_AUTH] = {400, STR_INIT("Bad Credentials Header")},
    [SIP_BAD_VALUE] = {400, STR_INIT("Bad Header Value")},
    [SIP_REPEATED_HEADER] = {400, STR_INIT("Repeated Header")},
    [SIP_MISSING_HEADER] = {400, STR_INIT("Missing Header")},
    [SIP_METHOD_MISMATCH] = {400, STR_INIT("CSeq Names Another Method")},
    [SIP_TOO_MANY_HEADERS] = {513, STR_INIT("Too Many Headers")},
    [SIP_TOO_LARGE] = {513, STR_INIT("Message Too Large")},
    [SIP_TRUNCATED] = {400, STR_INIT("Truncated Message")},
};

unsigned sip_verdict_status(enum sip_verdict v)
{
    return v < SIP_VERDICT_COUNT ? verdicts[v].status : 400;
}

struct str sip_verdict_text(enum sip_verdict v)
{
    return v < SIP_VERDICT_COUNT ? verdicts[v].text : STR("Bad Request");
}

bool sip_msg_answerable(const struct sip_msg *m)
{
    return m->is_request && m->via.host.n && m->from.uri.whole.n && m->to.uri.whole.n &&
           m->call_id.n && m->cseq.method_text.n;
}

struct str sip_msg_get_name(const struct sip_msg *m, struct str name)
{
    enum sip_hdr_id id = sip_hdr_of(name);
    if (id != SIP_H_OTHER)
        return sip_msg_get(m, id);
    for (unsigned i = 0; i < m->n_hdrs; i++)
        if (m->hdr[i].id == SIP_H_OTHER && str_ieq(m->hdr[i].name, name))
            return m->hdr[i].value;
    return STR_NONE;
}

struct sip_values sip_values(const struct sip_msg *m, enum sip_hdr_id id)
{
    uint16_t i = m->first[id];
    return (struct sip_values){.m = m, .field = i, .rest = i ? m->hdr[i - 1].value : STR_NONE};
}

bool sip_values_next(struct sip_values *it, struct str *ret)
{
    while (it->field) {
        if (sip_list_next(&it->rest, ret))
            return true;
        it->field = it->m->hdr[it->field - 1].next;
        if (it->field)
            it->rest = it->m->hdr[it->field - 1].value;
    }
    return false;
}

bool sip_msg_lists(const struct sip_msg *m, enum sip_hdr_id id, struct str token)
{
    struct sip_values it = sip_values(m, id);
    struct str v;
    while (sip_values_next(&it, &v))
        if (str_ieq(v, token))
            return true;
    return false;
}

bool sip_msg_allows(const struct sip_msg *m, enum sip_method method)
{
    struct sip_values it = sip_values(m, SIP_H_ALLOW);
    struct str v, name = sip_method_name(method);
    while (sip_values_next(&it, &v))
        if (str_eq(v, name))
            return true;
    return false;
}
