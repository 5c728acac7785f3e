/* A gateway has redirected a call to a URI, RFC 3261 section 8.1.3.4: where its host is a name, the
 * name is looked up as RFC 3263 says, and the places it leads to are tried in turn. Phones are no
 * gateways: of theirs only the number counts (forward.c). */
#include "pbx/feature/dial.h"
#include "pbx/location.h"
#include "pbx/trunk.h"

#define MAX_PLACES 8

static void forget(struct pbx *p, struct dial *d)
{
    d->naming = 0;
    BUG_ON(pbx_keep(p, &d->called.number, STR_NONE)); /* freeing cannot fail */
}

static struct str host_of(const struct sip_uri *uri)
{
    return uri->maddr.n ? uri->maddr : uri->host;
}

static bool ask(struct pbx *p, struct dial *d, const struct target *t, const struct sip_uri *uri)
{
    enum proto proto;
    struct target called = *t;
    called.number = STR_NONE;
    /* Of one batch there is one contact only, so nothing is being looked up yet. */
    if (d->naming || sip_uri_proto(uri, &proto) || pbx_keep(p, &called.number, t->number))
        return false;
    d->called = called;
    d->naming = ((uint64_t)1 << 32) + ++p->calls->last_naming;
    struct pbx_out *o = pbx_emit(p, PBX_OUT_RESOLVE);
    o->token = d->naming;
    o->question = (struct pbx_question){.name = pbx_turn_dup(p, host_of(uri)),
                                        .port = uri->port,
                                        .any = !uri->transport.n,
                                        .sips = uri->scheme == SIP_SCHEME_SIPS,
                                        .proto = (uint8_t)proto};
    pbx_question_protos(p, &o->question);
    d->ring = d->config->trunk.failover_ms * USEC_MS; /* silence of names is silence */
    return true;
}

bool contact_flow(struct pbx *p, struct dial *d, const struct target *t, struct flow *ret)
{
    struct sip_uri uri;
    if (t->placed) {
        *ret = (struct flow){
            .proto = t->place.proto, .listener = 0xFF, .party = t->party, .peer = t->place.addr};
        return true;
    }
    if (sip_uri_parse(&uri, t->number))
        return false;
    if (location_uri_flow(&uri, ret))
        return true;
    /* Our own name leads back to us, for nothing: what it means there we do not know. */
    if (!pbx_is_our_host(p, &uri))
        (void)ask(p, d, t, &uri); /* no memory: it cannot be called */
    return false;
}

void contact_give_up(struct pbx *p, struct dial *d)
{
    dial_skip(p, d, &d->called, 502);
    forget(p, d);
}

static struct dial *asker(struct pbx *p, uint64_t token)
{
    uint32_t at = 0;
    handle_t h;
    struct dial *d;
    while ((d = slot_next(&p->calls->dials, &at, &h)))
        if (d->naming == token)
            return d;
    return NULL;
}

/* Each in a batch of its own; the first is put last, in front. */
static void put_places(struct pbx *p, struct dial *d, const struct flow_dest *dest, unsigned n)
{
    struct sip_uri uri;
    struct target t = d->called;
    BUG_ON(sip_uri_parse(&uri, t.number)); /* it was parsed before it was asked for */
    for (unsigned i = n; i--;) {
        t.placed = true;
        t.place = dest[i];
        t.party = dest[i].proto == PROTO_TLS ? trunk_party_of(p, host_of(&uri)) : 0;
        t.ring = i + 1 < n ? d->config->trunk.failover_ms * USEC_MS : 0;
        (void)dial_put(p, d, &t, t.number); /* no room: the first ones are there, or none */
    }
}

void contact_resolved(struct pbx *p, uint64_t token, const struct flow_dest *dest, unsigned n)
{
    struct dial *d = asker(p, token);
    if (!d)
        return; /* the caller has given up */
    if (n) {
        put_places(p, d, dest, n < MAX_PLACES ? n : MAX_PLACES);
        forget(p, d);
    } else {
        contact_give_up(p, d);
    }
    dial_run(p, d);
}
