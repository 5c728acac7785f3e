/* The certificates that SIP over TLS is spoken with: read at the start, with the configuration, and
 * when their files change; and who its peers must be. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "app/wire.h"

#define LOOK_MS     2000
#define SOON_S      (14 * 86400)
#define NAMES_BYTES 4097

/* What the configuration says, with file names as OpenSSL wants them. */
struct files {
    char name[3][NAMES_BYTES];
    struct tls_config cfg;
};

static const char *file_name(char mem[NAMES_BYTES], struct str name)
{
    str_copy_z(mem, NAMES_BYTES, name);
    return mem;
}

static unsigned pins_read(struct tls_pin *ret, const struct config_texts *pins)
{
    unsigned n = 0;
    for (uint32_t i = 0; i < pins->n && n < TLS_MAX_PINS; i++)
        n += tls_pin_parse(&ret[n], pins->v[i]) == 0; /* the configuration has checked them */
    return n;
}

static void files_of(struct files *f, const struct config *config)
{
    const struct config_tls *t = &config->sip.tls;
    f->cfg = (struct tls_config){.certificate = file_name(f->name[0], t->certificate),
                                 .private_key = file_name(f->name[1], t->private_key),
                                 .ca = file_name(f->name[2], t->ca),
                                 .verify_peer = t->verify_peer,
                                 .verify_client = t->verify_client};
    f->cfg.n_pins = pins_read(f->cfg.pin, &t->pins);
}

/* "until 2027-02-01", and louder when that is soon. */
static void tell(struct wire *w)
{
    char day[32];
    int64_t until = tls_ctx_expires_s(w->tls);
    if (!until)
        return;
    time_t t = (time_t)until;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(day, sizeof(day), "%Y-%m-%d %H:%M UTC", &tm);
    uint64_t now_s = loop_wall_us(w->loop, loop_now(w->loop)) / USEC_S;
    bool soon = until < (int64_t)now_s + SOON_S;
    trace_emit(wire_trace(w), soon ? TRACE_TLS_ENDS : TRACE_TLS_LOADED, 0,
               TS(w->config->sip.tls.certificate), TS(str_z(day)));
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
    struct files f;
    char mem[512];
    struct buf why;
    files_of(&f, w->config);
    buf_init(&why, mem, sizeof(mem));
    int err = tls_ctx_new(&w->tls, &f.cfg, &why);
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
    struct files f;
    struct tls_ctx *trial;
    files_of(&f, config);
    int err = tls_ctx_new(&trial, &f.cfg, why);
    if (!err)
        tls_ctx_free(trial);
    return err;
}

void wire_reload_tls(struct wire *w)
{
    struct files f;
    char mem[512];
    struct buf why;
    files_of(&f, w->config);
    buf_init(&why, mem, sizeof(mem));
    if (tls_ctx_reload(w->tls, &f.cfg, &why))
        trace_emit(wire_trace(w), TRACE_TLS_KEPT, 0, TS(buf_str(&why)));
    else
        tell(w);
}

void wire_close_tls(struct wire *w)
{
    if (w->tls_looks)
        loop_timer_close(&w->tls_look);
    tls_ctx_free(w->tls);
    w->tls = NULL;
}

void wire_party(struct wire *w, const struct pbx_out *o)
{
    struct tls_pin pin[TLS_MAX_PINS];
    struct tls_target who = {.host = o->name, .pin = pin};
    who.n_pins = o->pins ? pins_read(pin, o->pins) : 0;
    /* Without it there is no such party, and its connections fail: closed, not open. */
    if (net_party_set(w->net, (uint16_t)o->token, &who))
        trace_emit(wire_trace(w), TRACE_TLS_KEPT, 0, TS(STR("out of memory")));
}

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
