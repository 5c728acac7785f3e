/* INVITE sessions, what both sides share: life, hanging up, timers. RFC 3261 13-15. */
#include "engine/sip/sip_int.h"

struct sip_session *session_find(const struct sip_core *c, handle_t h)
{
    return slot_find(&c->sessions, h);
}

struct sip_session *session_new(struct sip_core *c, bool uac, handle_t *ret)
{
    struct sip_session *s = slot_take(&c->sessions, ret);
    if (!s)
        return NULL;
    s->uac = uac;
    s->state = uac ? SES_CALLING : SES_INCOMING;
    s->retry.kind = ST_SES_RETRY;
    s->life.kind = ST_SES_LIFE;
    s->se.kind = ST_SES_SE;
    return s;
}

/* What the session leaves behind must end by itself. */
static void orphan_invite(struct sip_core *c, struct sip_session *s)
{
    struct sip_txn *t = txn_find(c, s->invite);
    if (!t)
        return;
    t->session = t->dialog = 0;
    if (t->kind == TXN_IST && t->state == TXN_PROCEEDING) {
        respond_simple(c, t, 487); /* RFC 3261 15.1.2 */
    } else if (t->kind == TXN_ICT && t->state == TXN_PROCEEDING && !timer_armed(&t->life)) {
        t->life_letter = 'B';
        timer_start(&c->wheel, &t->life, c->now + 64 * t->t1);
    }
}

void session_free(struct sip_core *c, handle_t h)
{
    struct sip_session *s = session_find(c, h);
    if (!s)
        return;
    timer_stop(&c->wheel, &s->retry);
    timer_stop(&c->wheel, &s->life);
    timer_stop(&c->wheel, &s->se);
    rel_free(c, s);
    orphan_invite(c, s);
    struct sip_txn *bye = txn_find(c, s->bye);
    if (bye)
        bye->session = bye->dialog = 0;
    handle_t d = s->dialogs;
    while (d) {
        handle_t next = ((struct sip_dialog *)slot_find(&c->dialogs, d))->next;
        dialog_free(c, d);
        d = next;
    }
    blob_unref(s->ok);
    blob_unref(s->ack);
    if (core_keep(c, &s->contact_user, STR_NONE) || core_keep(c, &s->reason, STR_NONE))
        BUG_ON(true); /* freeing cannot fail */
    slot_put(&c->sessions, h);
}

struct sip_dialog *session_dialog(const struct sip_core *c, const struct sip_session *s)
{
    return slot_find(&c->dialogs, s->dialogs);
}

struct sip_out *session_emit(struct sip_core *c, handle_t h, enum sip_out_kind kind)
{
    struct sip_session *s = session_find(c, h);
    struct sip_out *o = core_emit(c, kind);
    o->session = h;
    o->user = s->user;
    o->dialog = s->dialogs;
    return o;
}

void session_end(struct sip_core *c, handle_t h, enum sip_out_kind kind, unsigned status)
{
    struct sip_out *o = session_emit(c, h, kind);
    o->status = (uint16_t)status;
    o->ended = true;
    session_free(c, h);
}

/* The next input has come and nobody saved what failed with the last one. */
void session_release(struct sip_core *c, handle_t session, handle_t txn)
{
    struct sip_session *s = session_find(c, session);
    struct sip_txn *t = txn_find(c, txn);
    if (s && s->state == SES_FAILED)
        session_free(c, session);
    else if (s && s->state == SES_ENDING && s->bye == txn)
        session_end(c, session, SIP_OUT_ENDED, t ? t->status : 0);
    if (t && t->state == TXN_TERMINATED)
        txn_free(c, t);
}

void sip_session_set_user(struct sip_core *c, handle_t session, uint64_t user, handle_t tag,
                          uint8_t leg)
{
    struct sip_session *s = session_find(c, session);
    if (!s)
        return;
    s->user = user;
    s->tag = tag;
    s->leg = leg;
    struct sip_txn *t = txn_find(c, s->invite);
    if (t) {
        t->tag = tag;
        t->leg = leg;
    }
}

void session_contact(struct sip_core *c, const struct sip_session *s, const struct flow *flow,
                     struct buf *b)
{
    request_contact(c, b, s->contact_user, flow, s->sips);
    if (s->focus)
        buf_lit(b, ";isfocus");
}

int sip_session_set_focus(struct sip_core *c, usec_t now, handle_t session, struct str user)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    if (!s)
        return -ENOENT;
    int err = user.n ? core_keep(c, &s->contact_user, user) : 0;
    s->focus = !err;
    return err;
}

/* ---- hanging up: RFC 3261 section 15 --------------------------------------------------------- */

int session_bye(struct sip_core *c, handle_t h, struct str reason)
{
    struct sip_session *s = session_find(c, h);
    struct sip_dialog *d = session_dialog(c, s);
    struct sip_field field = {.id = SIP_H_REASON, .value = reason};
    struct sip_content content = {.field = &field, .n_fields = reason.n ? 1 : 0};
    struct sip_txn *t;
    timer_stop(&c->wheel, &s->retry);
    timer_stop(&c->wheel, &s->life);
    timer_stop(&c->wheel, &s->se);
    s->ok = blob_unref(s->ok);
    int err = d ? dialog_request(c, d, SIP_BYE, &content, &t) : -ENOENT;
    if (err) {
        session_end(c, h, SIP_OUT_ENDED, 503);
        return err;
    }
    s->state = SES_ENDING;
    s->bye = txn_handle(c, t);
    timer_start(&c->wheel, &s->life, c->now + c->conf.timers.bye_timeout);
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_ARMED, HIST_T_BYE, c->conf.timers.bye_timeout);
    return 0;
}

int sip_hangup(struct sip_core *c, usec_t now, handle_t session, struct str reason)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    if (!s)
        return -ENOENT;
    struct sip_answer refuse = {.status = 480};
    static const struct sip_content nothing;
    struct sip_out *o;
    switch ((enum sip_session_state)s->state) {
    case SES_INCOMING:
        o = session_emit(c, session, SIP_OUT_ENDED);
        o->status = refuse.status;
        o->ended = true;
        return sip_reject(c, now, session, &refuse);
    case SES_CALLING:
        return uac_cancel(c, session, reason);
    case SES_ANSWERED:
        if (!s->uac) { /* "MUST NOT send a BYE ... until it has received an ACK" */
            s->bye_wanted = true;
            return core_keep(c, &s->reason, reason);
        }
        if (s->ack_due) /* if it cannot be sent, the BYE cannot either, and the session ends */
            (void)sip_ack(c, now, session, &nothing);
        return session_bye(c, session, reason);
    case SES_CONFIRMED:
        if (s->ok) {
            s->bye_wanted = true;
            return core_keep(c, &s->reason, reason);
        }
        if (s->ack_due) /* of a re-INVITE */
            (void)sip_ack(c, now, session, &nothing);
        return session_bye(c, session, reason);
    default:
        return -EALREADY;
    }
}

/* ---- timers ---------------------------------------------------------------------------------- */

void session_timer(struct sip_core *c, struct timer *t)
{
    if (t->kind == ST_SES_SE) {
        stimer_fired(c, container_of(t, struct sip_session, se));
        return;
    }
    bool life = t->kind == ST_SES_LIFE;
    struct sip_session *s = life ? container_of(t, struct sip_session, life)
                                 : container_of(t, struct sip_session, retry);
    handle_t h = slot_handle(&c->sessions, s);
    if (s->state == SES_ENDING) {
        c->stats.bye_timeouts++;
        core_hist_timer(c, s->tag, s->leg, HIST_TIMER_FIRED, HIST_T_BYE, 0);
        session_end(c, h, SIP_OUT_ENDED, 408);
        return;
    }
    uas_timer(c, s, h, life);
}

/* ---- responses to whatever the session has sent ---------------------------------------------- */

static void bye_answered(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    handle_t h = t->session;
    struct sip_session *s = session_find(c, h);
    if (!s || m->status < 200)
        return;
    if (m->status != 401 && m->status != 407) {
        session_end(c, h, SIP_OUT_ENDED, m->status);
        return;
    }
    struct sip_out *o = session_emit(c, h, SIP_OUT_RESPONSE);
    o->txn = txn_handle(c, t);
    o->status = m->status;
    o->msg = m;
    c->limbo_session = h;
    c->limbo_txn = o->txn;
    t->wants_answer = true;
}

static void request_answered(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    struct sip_dialog *d = slot_find(&c->dialogs, t->dialog);
    struct sip_session *s = session_find(c, t->session);
    bool ok = m->status / 100 == 2, update = t->method == SIP_UPDATE;
    if (d && ok && update)
        dialog_refresh(c, d, m, &t->flow);
    if (s && update && s->se_update == txn_handle(c, t) && m->status != 401 && m->status != 407) {
        stimer_update_answered(c, s, t, m, m->status);
        return;
    }
    if (s && ok && update && s->state >= SES_ANSWERED)
        stimer_uac_ok(c, s, m);
    if (t->method == SIP_PRACK && m->status < 300 && !m->body.n)
        return; /* it needs no more than that */
    struct sip_out *o = core_emit(c, SIP_OUT_RESPONSE);
    o->txn = txn_handle(c, t);
    o->session = t->session;
    o->dialog = t->dialog;
    o->user = t->user;
    o->status = m->status;
    o->msg = m;
    o->flow = t->flow;
    if (m->status >= 300) {
        c->limbo_txn = o->txn;
        t->wants_answer = true;
    }
}

void session_rx_response(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    if (t->kind == TXN_ICT)
        uac_rx_response(c, t, m);
    else if (t->method == SIP_BYE && session_find(c, t->session))
        bye_answered(c, t, m);
    else if (t->method != SIP_CANCEL && t->method != SIP_BYE)
        request_answered(c, t, m);
}

void session_txn_failed(struct sip_core *c, struct sip_txn *t, unsigned status)
{
    if (t->kind == TXN_ICT) {
        uac_failed(c, t, status);
        return;
    }
    if (t->kind != TXN_NICT || t->method == SIP_CANCEL)
        return; /* a missing ACK to a refused INVITE changes nothing */
    if (t->method == SIP_BYE) {
        if (session_find(c, t->session)) {
            c->stats.bye_timeouts += status == 408;
            session_end(c, t->session, SIP_OUT_ENDED, status);
        }
        return;
    }
    struct sip_session *s = session_find(c, t->session);
    if (s && t->method == SIP_UPDATE && s->se_update == txn_handle(c, t)) {
        stimer_update_answered(c, s, t, NULL, status);
        return;
    }
    struct sip_out *o = core_emit(c, SIP_OUT_RESPONSE);
    o->txn = txn_handle(c, t);
    o->session = t->session;
    o->dialog = t->dialog;
    o->user = t->user;
    o->status = (uint16_t)status;
}

/* ---- requests inside the session ------------------------------------------------------------- */

int sip_session_request(struct sip_core *c, usec_t now, handle_t session, enum sip_method method,
                        const struct sip_content *content, uint64_t user)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    struct sip_dialog *d = s ? session_dialog(c, s) : NULL;
    struct sip_txn *t;
    if (!d || !d->remote_tag.p || s->state == SES_ENDING || s->state == SES_FAILED)
        return -ENOENT;
    int err = dialog_request(c, d, method, content, &t);
    if (!err)
        t->user = user;
    return err;
}

int sip_dialog_request(struct sip_core *c, usec_t now, handle_t session, handle_t dialog,
                       enum sip_method method, const struct sip_content *content, uint64_t user)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    struct sip_dialog *d = slot_find(&c->dialogs, dialog);
    struct sip_txn *t;
    if (!d || d->session != session || !d->remote_tag.p || s->state == SES_ENDING ||
        s->state == SES_FAILED)
        return -ENOENT;
    int err = dialog_request(c, d, method, content, &t);
    if (!err)
        t->user = user;
    return err;
}

bool sip_session_view(const struct sip_core *c, handle_t session, struct sip_dialog_view *ret)
{
    struct sip_session *s = session_find(c, session);
    struct sip_dialog *d = s ? session_dialog(c, s) : NULL;
    if (!d)
        return false;
    *ret = (struct sip_dialog_view){.call_id = d->call_id,
                                    .local_tag = str_of(d->local_tag, SIP_TAG_CHARS),
                                    .remote_tag = d->remote_tag,
                                    .local_uri = d->local,
                                    .remote_uri = d->remote,
                                    .target = d->target,
                                    .route = d->route,
                                    .local_cseq = d->local_cseq,
                                    .remote_cseq = d->remote_cseq,
                                    .flow = d->flow};
    return true;
}
