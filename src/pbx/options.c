#include "pbx/options.h"

#include "pbx/subscription.h"

/* Answered to everybody and for every user alike, as keep-alives and monitors expect; so it tells
 * nobody which extensions there are. */
void options_rx(struct pbx *p, const struct sip_out *o)
{
    struct sip_field fields[] = {
        {.id = SIP_H_ACCEPT, .value = STR("application/sdp")},
        {.id = SIP_H_ACCEPT_ENCODING, .value = STR("identity")},
        {.id = SIP_H_ACCEPT_LANGUAGE, .value = STR("en, ko")},
        {.id = SIP_H_ALLOW_EVENTS, .value = subscription_events(p)},
    };
    struct sip_answer a = {.status = p->stopping ? 503 : 200,
                           .content = {.field = fields, .n_fields = ARRAY_LEN(fields)}};
    sip_respond(p->core, p->now, o->txn, &a);
}
