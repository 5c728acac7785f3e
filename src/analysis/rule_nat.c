/* Addresses that a party writes, against those that its packets come from. */
#include "analysis/explain_int.h"

static const struct addr *source(const struct said *s)
{
    return &s->leg->host[s->msg->src];
}

static const struct addr *peer(const struct said *s)
{
    return &s->leg->host[s->msg->dst];
}

/* An address that the peer cannot reach: private, while the two do not share that net. */
static bool unreachable(const struct said *s, const struct addr *a)
{
    return a->family != ADDR_NONE && !addr_is_any(a) && addr_is_private(a) &&
           !addr_is_loopback(a) && !addr_is_private(peer(s)) && !addr_is_loopback(peer(s));
}

/* RFC 3581: the topmost Via against the source. Behind a proxy it is the proxy's. */
static void via_look(struct explain *x, const struct said *s)
{
    struct addr said;
    if (addr_parse(&said, s->m->via.host, s->m->via.port ? s->m->via.port : 5060))
        return;
    if (addr_ip_eq(&said, source(s)) || !addr_is_private(&said))
        return;
    find_said(x, AN_R_NAT_VIA, s);
    find_arg(x, side_name(x, s->leg, (enum an_side)s->msg->side));
    find_addr(x, &said);
    find_addr(x, source(s));
}

static void contact_look(struct explain *x, const struct said *s)
{
    struct addr a;
    if (!s->m->contact.uri.host.n || addr_parse(&a, s->m->contact.uri.host, s->m->contact.uri.port))
        return;
    if (!unreachable(s, &a))
        return;
    find_said(x, AN_R_NAT_CONTACT, s);
    find_arg(x, side_name(x, s->leg, (enum an_side)s->msg->side));
    find_arg(x, s->m->contact.uri.host);
    find_addr(x, peer(s));
}

static void sdp_look(struct explain *x, const struct said *s)
{
    for (uint32_t i = 0; i < s->leg->n_sdps; i++) {
        const struct an_sdp *d = &s->leg->sdp[i];
        if (d->msg != s->index || !d->n_media || !unreachable(s, &d->media[0].rtp))
            continue;
        find_said(x, AN_R_NAT_SDP, s);
        find_arg(x, side_name(x, s->leg, (enum an_side)s->msg->side));
        find_addr(x, &d->media[0].rtp);
        find_addr(x, peer(s));
        return;
    }
}

void rule_nat_said(struct explain *x, const struct said *s)
{
    if (s->msg->flags & AN_MSG_HOP)
        return;
    if (s->m->is_request)
        via_look(x, s);
    if (s->m->method == SIP_INVITE)
        contact_look(x, s);
    sdp_look(x, s);
}
