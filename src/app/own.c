#include <errno.h>
#include <stdio.h>

#include "analysis/rtcp_json.h"
#include "app/own_int.h"
#include "base/mem.h"
#include "io/entropy.h"
#include "io/iface.h"
#include "wire/sip/mask.h"

/* A clock that was set back is believed when it is this far behind. */
#define SET_BACK_US (1 * USEC_S)

/* ---- one message ----------------------------------------------------------------------------- */

/* Of what happens in one turn the order would be lost: each message is a microsecond later than the
 * one before. */
static uint64_t stamp(struct wire *w)
{
    struct own *o = w->own;
    uint64_t us = loop_wall_us(w->loop, loop_now(w->loop));
    if (us <= o->last_us && us + SET_BACK_US > o->last_us)
        us = o->last_us + 1;
    o->last_us = us;
    return us;
}

static struct addr local_of(const struct own *o, const struct addr *bound, const struct addr *peer)
{
    return addr_is_any(bound) ? local_for(&o->local, bound, peer) : *bound;
}

static void to_server(struct wire *w, const struct an_traffic_msg *m, uint8_t proto)
{
    struct hep h = {.type = HEP_SIP,
                    .ip_proto = proto == PROTO_UDP    ? HEP_IP_UDP
                                : proto == PROTO_SCTP ? HEP_IP_SCTP
                                                      : HEP_IP_TCP,
                    .src = m->src,
                    .dst = m->dst,
                    .at_ns = m->at_ns,
                    .id = pbx_caller_call_id(w->pbx, m->call_id),
                    .payload = m->bytes};
    hepout_put(w->own->hep, &h);
}

void own_seen_at(struct wire *w, const struct flow *flow, const struct addr *bound,
                 struct str bytes, bool sent)
{
    static const uint8_t transport[PROTO_COUNT] = {
        [PROTO_UDP] = AN_UDP, [PROTO_TCP] = AN_TCP, [PROTO_TLS] = AN_TLS,
        [PROTO_WS] = AN_WS,   [PROTO_WSS] = AN_WSS, [PROTO_SCTP] = AN_SCTP};
    struct own *o = w->own;
    /* Empty lines before a message are none of it: RFC 3261 section 7.5. */
    while (bytes.n && (bytes.p[0] == '\r' || bytes.p[0] == '\n'))
        bytes = str_from(bytes, 1);
    if (!o || (!o->traffic && !o->hep_sip) || bytes.n > sizeof(o->scratch))
        return;
    memcpy(o->scratch, bytes.p, bytes.n);
    struct str call_id = sip_mask(o->scratch, bytes.n);
    if (!call_id.n) /* no message, or one that belongs nowhere */
        return;
    struct addr local = local_of(o, bound, &flow->peer);
    struct an_traffic_msg m = {.at_ns = stamp(w) * 1000,
                               .src = sent ? local : flow->peer,
                               .dst = sent ? flow->peer : local,
                               .transport = transport[flow->proto],
                               .sent = sent,
                               .call_id = call_id,
                               .bytes = str_of(o->scratch, bytes.n)};
    if (o->traffic)
        an_traffic_put(o->traffic, &m);
    if (o->hep_sip)
        to_server(w, &m, flow->proto);
}

void own_seen(struct wire *w, const struct flow *flow, struct str bytes, bool sent)
{
    const struct own *o = w->own;
    struct addr bound;
    if (o && (o->traffic || o->hep_sip) && net_local_get(w->net, flow, &bound) == 0)
        own_seen_at(w, flow, &bound, bytes, sent);
}

/* ---- reports about media --------------------------------------------------------------------- */

static void report_send(struct wire *w, const struct media_rtcp *r)
{
    char mem[4096];
    struct buf json;
    struct str id = pbx_stream_call_id(w->pbx, r->id);
    const struct addr *media = &w->config->media.address;
    struct addr any = {.family = r->peer.family};
    struct addr local = local_of(w->own, media->family == any.family ? media : &any, &r->peer);
    buf_init(&json, mem, sizeof(mem));
    if (!id.n || an_rtcp_json(&json, r->bytes, r->n))
        return;
    local.port = r->port;
    struct hep h = {.type = HEP_RTCP,
                    .ip_proto = HEP_IP_UDP,
                    .src = r->sent ? local : r->peer,
                    .dst = r->sent ? r->peer : local,
                    .at_ns = loop_wall_us(w->loop, r->at) * 1000,
                    .id = id,
                    .payload = buf_str(&json)};
    hepout_put(w->own->hep, &h);
}

static void on_rtcp(struct loop_watch *watch, unsigned events)
{
    struct own *o = container_of(watch, struct own, rtcp);
    struct media_rtcp r;
    (void)events;
    while (media_thread_rtcp(o->wire->media, &r))
        if (o->hep_rtcp)
            report_send(o->wire, &r);
}

int own_media(struct wire *w)
{
    struct own *o = w->own;
    o->rtcp.ready = on_rtcp;
    int err = loop_watch_open(w->loop, &o->rtcp, media_thread_rtcp_fd(w->media), LOOP_READ);
    o->rtcp_open = err == 0;
    if (!err)
        media_thread_show_rtcp(w->media, o->hep_rtcp);
    return err;
}

void own_flush(struct wire *w)
{
    if (w->own && w->own->hep)
        hepout_flush(w->own->hep);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void on_changed(void *ctx, int err)
{
    struct wire *w = ctx;
    char mem[64];
    struct buf to;
    buf_init(&to, mem, sizeof(mem));
    addr_put(&to, &w->own->hep_to);
    if (!w->pbx)
        return;
    if (err)
        trace_emit(wire_trace(w), TRACE_HEP_DOWN, 0, TS(buf_str(&to)), TS(str_z(uv_strerror(err))));
    else
        trace_emit(wire_trace(w), TRACE_HEP_UP, 0, TS(buf_str(&to)));
}

static bool wants(const struct config_hep *c, enum config_hep_what what)
{
    return c->to.family != ADDR_NONE && memchr(c->send.v, what, c->send.n);
}

static struct hepout_config config_of(const struct config_hep *c)
{
    return (struct hepout_config){.to = c->to,
                                  .tcp = c->transport == CONF_HEP_TCP,
                                  .node = c->capture_id,
                                  .name = c->node,
                                  .key = c->password.secret,
                                  .queue_bytes = c->queue_kib << 10};
}

void own_reload(struct wire *w)
{
    const struct config_hep *c = &w->config->hep;
    struct hepout_config cfg = config_of(c);
    w->own->hep_to = c->to;
    w->own->hep_sip = wants(c, CONF_HEP_SIP);
    w->own->hep_rtcp = wants(c, CONF_HEP_RTCP);
    if (w->media)
        media_thread_show_rtcp(w->media, w->own->hep_rtcp);
    hepout_set(w->own->hep, &cfg);
}

static int parts_open(struct wire *w)
{
    struct own *o = w->own;
    uint64_t seed;
    int err = iface_list(&o->local);
    err = err ? err : entropy_get(&seed, sizeof(seed));
    if (!err && w->config->limits.traffic_mib)
        err = an_traffic_new(&o->traffic, (size_t)w->config->limits.traffic_mib << 20, seed);
    if (err)
        return err;
    struct hepout_config cfg = config_of(&w->config->hep);
    err = hepout_new(&o->hep, w->loop, &cfg, on_changed, w);
    if (!err)
        own_reload(w);
    return err;
}

void own_interfaces(struct wire *w, const struct local_addrs *local)
{
    if (w->own)
        (void)local_renew(&w->own->local, local);
}

int own_open(struct wire *w)
{
    w->own = mem_zero(sizeof(*w->own));
    if (w->own)
        w->own->wire = w;
    int err = w->own ? parts_open(w) : -ENOMEM;
    if (err)
        fprintf(stderr, "ringdown: own traffic: %s\n", uv_strerror(err));
    return err;
}

void own_close(struct wire *w)
{
    if (!w->own)
        return;
    if (w->own->rtcp_open)
        loop_watch_close(&w->own->rtcp);
    hepout_free(w->own->hep);
    loop_settle(w->loop);
    an_traffic_free(w->own->traffic);
    mem_free(w->own);
    w->own = NULL;
}
