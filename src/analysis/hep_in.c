#include "analysis/hep_in.h"

#include "analysis/start.h"
#include "wire/hep/hep.h"

static uint8_t transport(const struct hep *h)
{
    return h->ip_proto == HEP_IP_TCP ? AN_TCP : h->ip_proto == HEP_IP_SCTP ? AN_SCTP : AN_UDP;
}

void an_hep_read(struct an_out *o, const struct an_seen *seen, struct str packet, bool stay)
{
    struct hep h;
    if (hep_parse(&h, (const uint8_t *)packet.p, packet.n)) {
        o->stats.hep_bad++;
        an_out_warn(o, seen->frame, STR("a HEP packet that is broken"), NULL, NULL);
        return;
    }
    o->stats.hep++;
    while (h.payload.n && (h.payload.p[0] == '\r' || h.payload.p[0] == '\n'))
        h.payload = str_from(h.payload, 1);
    bool sip = an_start_like(h.payload.p, h.payload.n, true) == AN_START_YES;
    /* RTP and RTCP begin with version 2; what agents report in JSON does not. */
    bool media = (h.type == HEP_RTP || h.type == HEP_RTCP) && h.payload.n &&
                 (uint8_t)h.payload.p[0] >> 6 == 2;
    if (h.packed || (!sip && !media)) {
        o->stats.hep_other++;
        return;
    }
    struct str bytes = stay ? h.payload : an_out_dup(o, h.payload);
    struct an_datum *d = bytes.n ? an_out_put(o, seen) : NULL;
    if (!d)
        return;
    if (h.at_ns)
        d->at_ns = h.at_ns;
    d->kind = sip ? AN_SIP : AN_UDP_DATA;
    d->transport = transport(&h);
    d->hep = true;
    d->hep_id = stay ? h.id : an_out_dup(o, h.id);
    d->src = h.src;
    d->dst = h.dst;
    d->bytes = bytes;
    if (sip) {
        o->stats.sip[d->transport]++;
        o->stats.sip_bytes[d->transport] += bytes.n;
    } else {
        o->stats.udp_data++;
    }
}
