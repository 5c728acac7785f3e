/* Whether trunks are there: OPTIONS now and then (RFC 3261 section 11). Any answer is one, but 503
 * and what the engine makes when none came. */
#include "pbx/trunk_int.h"

/* answered: one was sent, and something came of it. What cannot be sent is not tried in the same
 * breath. */
static void again(struct pbx *p, struct trunk *t, bool answered)
{
    const struct config_trunk_defaults *d = &p->config->trunk;
    uint32_t ms = t->silent && d->retry_min_ms < d->options_ms ? d->retry_min_ms : d->options_ms;
    bool at_once = t->probe_failed && answered; /* then it is the turn of the one in use */
    if (ms)
        pbx_timer_start(p, &t->ping, at_once ? 0 : ms * USEC_MS);
}

static int send_options(struct pbx *p, struct trunk *t)
{
    char ruri_mem[TRUNK_DOMAIN_MAX + 8], self_mem[TRUNK_DOMAIN_MAX + 256];
    char to_mem[TRUNK_DOMAIN_MAX + 16];
    struct buf ruri, self, to_hdr;
    handle_t txn;
    if (!t->n_dests)
        return -EAGAIN;
    unsigned at = t->probe_failed ? t->at : trunk_preferred(p, t);
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
                                  .to = trunk_flow_at(t, at),
                                  .ruri = buf_str(&ruri),
                                  .from = buf_str(&self),
                                  .to_hdr = buf_str(&to_hdr),
                                  .contact = t->conf->username.p ? t->conf->username : STR(""),
                                  .user = trunk_user(t, TRUNK_OPTIONS)};
    if (ruri.full || self.full || to_hdr.full)
        return -EMSGSIZE;
    int err = sip_request(p->core, p->now, &cmd, &txn);
    if (!err)
        t->asked = t->dest[at];
    return err;
}

static void due(struct pbx *p, struct pbx_timer *timer)
{
    struct trunk *t = container_of(timer, struct trunk, ping);
    /* Not sent: because there is no address yet, or a table is full, which is not its fault. */
    if (send_options(p, t))
        again(p, t, false);
}

void trunk_ping_start(struct pbx *p, struct trunk *t, usec_t in)
{
    t->ping.fire = due;
    if (p->config->trunk.options_ms)
        pbx_timer_start(p, &t->ping, in);
    else
        pbx_timer_stop(p, &t->ping);
}

/* Which of the places was asked; the one in use, where names lead elsewhere by now. */
static unsigned asked_at(const struct trunk *t)
{
    for (unsigned i = 0; i < t->n_dests; i++)
        if (trunk_dest_eq(&t->dest[i], &t->asked))
            return i;
    return t->at;
}

/* The preferred place is back, and so are we. true: that is news. */
static bool return_to(struct pbx *p, struct trunk *t, unsigned at)
{
    bool news = t->dest[at].rank < t->dest[t->at].rank;
    if (at == t->at || (t->conf->register_it && t->busy)) /* a REGISTER is under way there */
        return false;
    t->at = at;
    if (t->conf->register_it)
        trunk_reg_start(p, t, 0);
    return news;
}

static void answered(struct pbx *p, struct trunk *t, unsigned at)
{
    char mem[64];
    struct buf b;
    if (t->silent)
        t->shunned[at] = 0;
    t->probe_failed = false;
    bool moved = return_to(p, t, at);
    if (!t->pinged || t->silent || moved) {
        buf_init(&b, mem, sizeof(mem));
        addr_put(&b, &t->dest[t->at].addr);
        trace_emit(&p->trace, TRACE_TRUNK_REACHABLE, 0, TS(t->conf->name), TS(buf_str(&b)));
    }
    t->pinged = true;
    t->silent = false;
    if (!t->refused)
        trunk_reason(t, STR_NONE);
}

static void unanswered(struct pbx *p, struct trunk *t, unsigned at, struct str reason)
{
    if (at != t->at) {
        trunk_rest(p, t, at);
        t->probe_failed = true;
        return;
    }
    t->probe_failed = false;
    if (!t->silent)
        trace_emit(&p->trace, TRACE_TRUNK_SILENT, 0, TS(t->conf->name), TS(reason));
    t->pinged = t->silent = true;
    trunk_reason(t, reason);
    if (t->n_dests < 2)
        return;
    trunk_next_addr(p, t);
    /* Of several servers, the one we registered with is the one that takes our calls. */
    if (t->conf->register_it && !t->busy)
        trunk_reg_start(p, t, 0);
}

void trunk_ping_rx(struct pbx *p, struct trunk *t, const struct sip_out *o)
{
    if (t->leaving || !t->n_dests)
        return;
    if (o->msg && o->status != 503)
        answered(p, t, asked_at(t));
    else
        unanswered(p, t, asked_at(t), o->msg ? STR("503 to OPTIONS") : STR("no answer to OPTIONS"));
    again(p, t, true);
}
