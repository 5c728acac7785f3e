/* Whether trunks are there: OPTIONS now and then (RFC 3261 section 11). Any answer is one, but 503
 * and what the engine makes when none came. */
#include "pbx/trunk_int.h"

static void again(struct pbx *p, struct trunk *t)
{
    const struct config_trunk_defaults *d = &p->config->trunk;
    uint32_t ms = t->silent && d->retry_min_ms < d->options_ms ? d->retry_min_ms : d->options_ms;
    if (ms)
        pbx_timer_start(p, &t->ping, ms * USEC_MS);
}

static int send_options(struct pbx *p, struct trunk *t)
{
    char ruri_mem[TRUNK_DOMAIN_MAX + 8], self_mem[TRUNK_DOMAIN_MAX + 256];
    char to_mem[TRUNK_DOMAIN_MAX + 16];
    struct buf ruri, self, to_hdr;
    struct flow to;
    handle_t txn;
    if (!trunk_flow(t, &to))
        return -EAGAIN;
    buf_init(&ruri, ruri_mem, sizeof(ruri_mem));
    buf_str_put(&ruri, t->uri.scheme_text);
    buf_ch(&ruri, ':');
    trunk_put_domain(&ruri, t);
    buf_init(&to_hdr, to_mem, sizeof(to_mem));
    buf_ch(&to_hdr, '<');
    buf_str_put(&to_hdr, buf_str(&ruri));
    buf_ch(&to_hdr, '>');
    buf_init(&self, self_mem, sizeof(self_mem));
    buf_lit(&self, "<sip:");
    if (t->conf->username.n) {
        sip_escape_user(&self, t->conf->username);
        buf_ch(&self, '@');
    }
    buf_str_put(&self, p->domain);
    buf_ch(&self, '>');
    struct sip_request_cmd cmd = {.method = SIP_OPTIONS,
                                  .to = to,
                                  .ruri = buf_str(&ruri),
                                  .from = buf_str(&self),
                                  .to_hdr = buf_str(&to_hdr),
                                  .contact = t->conf->username.p ? t->conf->username : STR(""),
                                  .user = trunk_user(t, TRUNK_OPTIONS)};
    if (ruri.full || self.full || to_hdr.full)
        return -EMSGSIZE;
    return sip_request(p->core, p->now, &cmd, &txn);
}

static void due(struct pbx *p, struct pbx_timer *timer)
{
    struct trunk *t = container_of(timer, struct trunk, ping);
    /* Not sent: because there is no address yet, or a table is full, which is not its fault. */
    if (send_options(p, t))
        again(p, t);
}

void trunk_ping_start(struct pbx *p, struct trunk *t, usec_t in)
{
    t->ping.fire = due;
    if (p->config->trunk.options_ms)
        pbx_timer_start(p, &t->ping, in);
    else
        pbx_timer_stop(p, &t->ping);
}

static void answered(struct pbx *p, struct trunk *t)
{
    char mem[64];
    struct buf b;
    if (!t->pinged || t->silent) {
        buf_init(&b, mem, sizeof(mem));
        addr_put(&b, &t->dest[t->at].addr);
        trace_emit(&p->trace, TRACE_TRUNK_REACHABLE, 0, TS(t->conf->name), TS(buf_str(&b)));
    }
    t->pinged = true;
    t->silent = false;
    if (!t->refused)
        trunk_reason(t, STR_NONE);
}

static void unanswered(struct pbx *p, struct trunk *t, struct str reason)
{
    if (!t->silent)
        trace_emit(&p->trace, TRACE_TRUNK_SILENT, 0, TS(t->conf->name), TS(reason));
    t->pinged = t->silent = true;
    trunk_reason(t, reason);
    if (t->n_dests < 2)
        return;
    trunk_next_addr(t);
    /* Of several servers, the one we registered with is the one that takes our calls. */
    if (t->conf->register_it && !t->busy)
        trunk_reg_start(p, t, 0);
}

void trunk_ping_rx(struct pbx *p, struct trunk *t, const struct sip_out *o)
{
    if (t->leaving)
        return;
    if (o->msg && o->status != 503)
        answered(p, t);
    else
        unanswered(p, t, o->msg ? STR("503 to OPTIONS") : STR("no answer to OPTIONS"));
    again(p, t);
}
