/* Looking into the engine: statistics, timers for people, and the audit. */
#include "engine/sip/sip_int.h"

void sip_core_stats(const struct sip_core *c, struct sip_stats *ret)
{
    *ret = c->stats;
    ret->active_txns = c->txns.used;
    ret->active_sessions = c->sessions.used;
    ret->active_dialogs = c->dialogs.used;
    ret->active_timers = c->wheel.armed;
    ret->blob_bytes = c->pool.used_bytes;
}

bool sip_core_rtt(const struct sip_core *c, uint32_t *at, struct sip_rtt *ret)
{
    return rtt_next(c->rtt, at, &c->conf.timers, ret);
}

struct str sip_txn_sent(const struct sip_core *c, handle_t txn)
{
    const struct sip_txn *t = txn_find(c, txn);
    return t && (t->kind == TXN_ICT || t->kind == TXN_NICT) ? blob_str(t->last) : STR_NONE;
}

/* A session must have something that will end it: a peer that can still speak, a timer, a
 * transaction. A dialog must have a session. Whatever has not is ended here and counted: that it
 * stays 0 is what the simulator proves. */
static bool is_zombie(const struct sip_core *c, const struct sip_session *s)
{
    bool has_invite = txn_find(c, s->invite) != NULL;
    switch ((enum sip_session_state)s->state) {
    case SES_INCOMING:
    case SES_CALLING:
    case SES_CANCELLING:
        return !has_invite;
    case SES_ENDING:
        return !timer_armed(&s->life) && !txn_find(c, s->bye);
    case SES_ANSWERED:
        return !s->uac && !timer_armed(&s->life);
    default:
        return false;
    }
}

unsigned sip_core_audit(struct sip_core *c, usec_t now)
{
    core_enter_cmd(c, now);
    uint32_t at = 0;
    handle_t h;
    unsigned reaped = 0;
    struct sip_session *s;
    while ((s = slot_next(&c->sessions, &at, &h))) {
        if (h == c->limbo_session || !is_zombie(c, s))
            continue;
        trace_emit(c->trace, TRACE_AUDIT_REAPED, s->tag, TS(STR("session")), TU(h));
        session_end(c, h, SIP_OUT_ENDED, 408);
        reaped++;
    }
    at = 0;
    struct sip_dialog *d;
    while ((d = slot_next(&c->dialogs, &at, &h))) {
        if (session_find(c, d->session))
            continue;
        trace_emit(c->trace, TRACE_AUDIT_REAPED, 0, TS(STR("dialog")), TU(h));
        dialog_free(c, h);
        reaped++;
    }
    c->stats.reaped += reaped;
    return reaped;
}

static bool timer_view(const struct timer *t, char letter, const char *name, struct str method,
                       struct sip_timer_view *ret)
{
    if (!timer_armed(t))
        return false;
    *ret = (struct sip_timer_view){.due = timer_due(t), .method = method};
    if (letter)
        ret->name[0] = letter;
    else
        str_copy_z(ret->name, sizeof(ret->name), str_z(name));
    return true;
}

static bool txn_timer_view(const struct sip_core *c, handle_t tag, uint32_t i, bool life,
                           struct sip_timer_view *ret)
{
    const struct sip_txn *t = (const void *)(c->txns.mem + (size_t)i * c->txns.item_bytes);
    if (!(c->txns.gen[i] & 1) || (tag && t->tag != tag))
        return false;
    struct str method = sip_method_name((enum sip_method)t->method);
    if (life)
        return timer_view(&t->life, t->life_letter, "", method, ret);
    return timer_view(&t->retry, t->retry_letter, "100", method, ret);
}

static bool session_timer_view(const struct sip_core *c, handle_t tag, uint32_t i, bool life,
                               struct sip_timer_view *ret)
{
    const struct sip_session *s =
        (const void *)(c->sessions.mem + (size_t)i * c->sessions.item_bytes);
    if (!(c->sessions.gen[i] & 1) || (tag && s->tag != tag))
        return false;
    if (!life)
        return timer_view(&s->retry, 0, "2xx", STR("INVITE"), ret) ||
               timer_view(&s->se, 0, "session", STR("UPDATE"), ret);
    return timer_view(&s->life, 0, s->state == SES_ENDING ? "bye" : "ack", STR("INVITE"), ret);
}

bool sip_core_timer_next(const struct sip_core *c, handle_t tag, uint32_t *at,
                         struct sip_timer_view *ret)
{
    while (*at < 2 * (c->txns.fresh + c->sessions.fresh)) {
        uint32_t i = (*at)++;
        uint32_t item = i / 2;
        bool life = i % 2;
        bool found = item < c->txns.fresh
                         ? txn_timer_view(c, tag, item, life, ret)
                         : session_timer_view(c, tag, item - c->txns.fresh, life, ret);
        if (found)
            return true;
    }
    return false;
}
