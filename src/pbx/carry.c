/* Header fields that pass from leg to leg. A B2BUA is the end of every dialog, but what the parties
 * say to each other is theirs (RFC 7092 section 3.2): what we do not know is carried on, what
 * belongs to a hop, a dialog or an identity is written anew. */
#include "pbx/call_int.h"

static bool passes(enum sip_hdr_id id)
{
    switch (id) {
    case SIP_H_OTHER:
    case SIP_H_SUBJECT:
    case SIP_H_PRIORITY:
    case SIP_H_ORGANIZATION:
    case SIP_H_ALERT_INFO:
    case SIP_H_CALL_INFO:
    case SIP_H_ERROR_INFO:
    case SIP_H_IN_REPLY_TO:
    case SIP_H_REPLY_TO:
    case SIP_H_ACCEPT:
    case SIP_H_ACCEPT_ENCODING:
    case SIP_H_ACCEPT_LANGUAGE:
    case SIP_H_HISTORY_INFO:
    case SIP_H_DIVERSION:
    case SIP_H_SESSION_ID:
    case SIP_H_WARNING:
        return true;
    default:
        return false;
    }
}

/* Known by name only, and not end to end. */
static bool hop_by_hop(struct str name)
{
    static const struct str names[] = {
        STR_INIT("Proxy-Connection"),          STR_INIT("X-CID"),
        STR_INIT("P-Charging-Vector"),         STR_INIT("P-Access-Network-Info"),
        STR_INIT("P-Visited-Network-ID"),      STR_INIT("Security-Client"),
        STR_INIT("Security-Verify"),           STR_INIT("Security-Server"),
        STR_INIT("Content-Transfer-Encoding"), STR_INIT("Requires"),
    };
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (str_ieq(name, names[i]))
            return true;
    return false;
}

static bool asks_to_answer(const struct sip_field *f)
{
    static const struct str names[] = {STR_INIT("Answer-Mode"), STR_INIT("Priv-Answer-Mode"),
                                       STR_INIT("P-Auto-Answer"), STR_INIT("Auto-Answer")};
    if (f->id == SIP_H_ALERT_INFO || f->id == SIP_H_CALL_INFO)
        return str_ifind(f->value, STR("answer")) >= 0 || str_ifind(f->value, STR("intercom")) >= 0;
    for (unsigned i = 0; f->id == SIP_H_OTHER && i < ARRAY_LEN(names); i++)
        if (str_ieq(f->name, names[i]))
            return true;
    return false;
}

unsigned carry_fields_inward(const struct sip_msg *m, struct sip_field *field, unsigned n,
                             unsigned cap)
{
    unsigned end = carry_fields(m, field, n, cap);
    for (unsigned i = n; i < end; i++)
        if (!asks_to_answer(&field[i]))
            field[n++] = field[i];
    return n;
}

unsigned carry_fields(const struct sip_msg *m, struct sip_field *field, unsigned n, unsigned cap)
{
    for (unsigned i = 0; i < m->n_hdrs && n < cap; i++) {
        const struct sip_hdr *h = &m->hdr[i];
        if (!passes((enum sip_hdr_id)h->id) || (h->id == SIP_H_OTHER && hop_by_hop(h->name)))
            continue;
        field[n++] =
            (struct sip_field){.id = (enum sip_hdr_id)h->id, .name = h->name, .value = h->value};
    }
    return n;
}
