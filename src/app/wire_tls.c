/* The certificates that SIP over TLS is spoken with: read at the start, with the configuration, and
 * when their files change; and who its peers must be. */
#include <errno.h>
#include <stdio.h>

#include "app/tls_files.h"
#include "app/wire_ctl.h"
#include "base/mem.h"

#define LOOK_MS 2000
#define DAY_S   86400

static int64_t wall_s(struct wire *w)
{
    return (int64_t)(loop_wall_us(w->loop, loop_now(w->loop)) / USEC_S);
}

static int view_get(struct wire *w, unsigned i, struct tls_certificate_view *v, struct buf *names)
{
    return w->tls ? tls_ctx_certificate_get(w->tls, i, v, names) : -ENOENT;
}

/* "until 2027-02-01", and louder when that is soon. */
static void tell(struct wire *w)
{
    struct tls_certificate_view v;
    struct buf none = {0};
    for (unsigned i = 0; view_get(w, i, &v, &none) == 0; i++) {
        char day[32];
        bool soon = tls_ends_soon(&v, wall_s(w));
        tls_day_put(day, v.expires_s);
        trace_emit(wire_trace(w), soon ? TRACE_TLS_ENDS : TRACE_TLS_LOADED, 0, TS(str_z(v.file)),
                   TS(str_z(day)));
    }
    if (w->tls && tls_lacks_domain(w->tls, w->config))
        trace_emit(wire_trace(w), TRACE_TLS_UNNAMED, 0, TS(w->config->sip.domain));
}

static void on_look(struct loop_timer *t)
{
    struct wire *w = container_of(t, struct wire, tls_look);
    char mem[512];
    struct buf why;
    if (!tls_ctx_changed(w->tls))
        return;
    buf_init(&why, mem, sizeof(mem));
    if (tls_ctx_reload(w->tls, NULL, &why))
        trace_emit(wire_trace(w), TRACE_TLS_KEPT, 0, TS(buf_str(&why)));
    else
        tell(w);
}

int wire_open_tls(struct wire *w)
{
    struct tls_files *f = tls_files_of(w->config);
    char mem[512];
    struct buf why;
    buf_init(&why, mem, sizeof(mem));
    int err = f ? tls_ctx_new(&w->tls, &f->cfg, &why) : -ENOMEM;
    mem_free(f);
    if (err) {
        fprintf(stderr, "ringdown: sip.tls: %.*s\n", (int)why.n, why.p);
        return err;
    }
    net_tls_set(w->net, w->tls);
    return 0;
}

void wire_begin_tls(struct wire *w)
{
    tell(w);
    w->tls_look.fire = on_look;
    loop_timer_open(w->loop, &w->tls_look);
    loop_timer_start(&w->tls_look, LOOK_MS, LOOK_MS);
    w->tls_looks = true;
}

int wire_check_tls(struct wire *w, const struct config *config, struct buf *why)
{
    struct tls_files *f = tls_files_of(config);
    struct tls_ctx *trial;
    int err = f ? tls_ctx_new(&trial, &f->cfg, why) : -ENOMEM;
    mem_free(f);
    if (!err)
        tls_ctx_free(trial);
    return err;
}

void wire_reload_tls(struct wire *w)
{
    struct tls_files *f = tls_files_of(w->config);
    char mem[512];
    struct buf why;
    buf_init(&why, mem, sizeof(mem));
    if (!f || tls_ctx_reload(w->tls, &f->cfg, &why))
        trace_emit(wire_trace(w), TRACE_TLS_KEPT, 0, TS(f ? buf_str(&why) : STR("out of memory")));
    else
        tell(w);
    mem_free(f);
}

void wire_close_tls(struct wire *w)
{
    if (w->tls_looks)
        loop_timer_close(&w->tls_look);
    tls_ctx_free(w->tls);
    w->tls = NULL;
}

/* It points into *pin. */
static struct tls_target target_of(const struct pbx_out *o, struct tls_pin pin[TLS_MAX_PINS])
{
    struct tls_target who = {.host = o->name, .pin = pin};
    who.n_pins = o->pins ? tls_pins_read(pin, o->pins) : 0;
    return who;
}

void wire_party(struct wire *w, const struct pbx_out *o)
{
    struct tls_pin pin[TLS_MAX_PINS];
    struct tls_target who = target_of(o, pin);
    /* Without it there is no such party, and its connections fail: closed, not open. */
    if (net_party_set(w->net, (uint16_t)o->token, &who))
        trace_emit(wire_trace(w), TRACE_TLS_KEPT, 0, TS(STR("out of memory")));
}

void wire_client(struct wire *w, const struct pbx_out *o)
{
    struct tls_pin pin[TLS_MAX_PINS];
    struct tls_target who = target_of(o, pin);
    if (net_client_set(w->net, (uint16_t)o->token, &who)) /* as above: nobody is known by it */
        trace_emit(wire_trace(w), TRACE_TLS_KEPT, 0, TS(STR("out of memory")));
}

void wire_unproven(void *ctx, usec_t now, const struct flow *flow, struct str why)
{
    struct wire *w = ctx;
    char mem[80];
    struct buf peer;
    (void)now;
    buf_init(&peer, mem, sizeof(mem));
    addr_put(&peer, &flow->peer);
    trace_emit(wire_trace(w), TRACE_TLS_UNPROVEN, 0, TS(buf_str(&peer)), TS(why));
}

/* ---- for those who ask -------------------------------------------------------------------------
 */

/* What is in a certificate need not be UTF-8. */
static json_t *names_json(struct buf *names)
{
    json_t *j = json_stringn(names->p, names->n);
    for (size_t i = 0; !j && i < names->n; i++)
        if ((unsigned char)names->p[i] >= 0x80)
            names->p[i] = '?';
    return j ? j : json_stringn(names->p, names->n);
}

json_t *wire_certificates(struct wire *w)
{
    json_t *list = json_array();
    struct tls_certificate_view v;
    char mem[1024], day[32];
    struct buf names;
    buf_init(&names, mem, sizeof(mem));
    for (unsigned i = 0; view_get(w, i, &v, &names) == 0; i++) {
        int64_t left_s = v.expires_s - wall_s(w);
        tls_day_put(day, v.expires_s);
        json_array_append_new(list,
                              json_pack("{s:s,s:o,s:s,s:I,s:b}", "file", v.file, "names",
                                        names_json(&names), "until", day, "days_left",
                                        (json_int_t)(left_s / DAY_S), "default", v.is_default));
        buf_init(&names, mem, sizeof(mem));
    }
    return list;
}

static void put(json_t *j, const char *name, uint64_t v)
{
    json_object_set_new(j, name, json_integer((json_int_t)v));
}

void wire_tls_stats(struct wire *w, json_t *all)
{
    static const char *const why[NET_TLS_FAILURES] = {[TLS_FAILED_CERTIFICATE] = "certificate",
                                                      [TLS_FAILED_REFUSED] = "refused_by_peer",
                                                      [TLS_FAILED_PROTOCOL] = "protocol",
                                                      [NET_TLS_SLOW] = "slow",
                                                      [NET_TLS_GONE] = "gone"};
    const struct net_stats *s = net_stats_get(w->net);
    json_t *list = wire_certificates(w);
    if (json_array_size(list) == 0 && s->tls_up == 0) {
        json_decref(list);
        return;
    }
    json_t *j = json_object(), *failed = json_object();
    put(j, "connections", s->tls_conns);
    put(j, "handshakes_now", s->handshakes);
    put(j, "handshakes", s->tls_up);
    put(j, "resumed", s->tls_resumed);
    for (unsigned i = 0; i < NET_TLS_FAILURES; i++)
        put(failed, why[i], s->tls_failed[i]);
    json_object_set_new(j, "failed", failed);
    put(j, "refused_by_limit", s->refused_handshakes);
    json_object_set_new(j, "certificates", list);
    json_object_set_new(all, "tls", j);
}

/* ---- what the network says ---------------------------------------------------------------------
 */

void wire_insecure(void *ctx, usec_t now, const struct flow *flow, bool ours, struct str why)
{
    struct wire *w = ctx;
    char mem[80];
    struct buf peer;
    (void)now;
    buf_init(&peer, mem, sizeof(mem));
    addr_put(&peer, &flow->peer);
    trace_emit(wire_trace(w), ours ? TRACE_TLS_OUT_FAILED : TRACE_TLS_IN_FAILED, 0,
               TS(buf_str(&peer)), TS(why));
}
