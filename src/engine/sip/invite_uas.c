/* The called side of an INVITE session. RFC 3261 13.3, 14.2, 15.1.2. */
#include "engine/sip/sip_int.h"

static void refuse_full(struct sip_core *c, struct sip_txn *txn)
{
    struct sip_field retry = {.id = SIP_H_RETRY_AFTER, .value = STR("5")};
    struct sip_answer a = {.status = 503, .content = {.field = &retry, .n_fields = 1}};
    c->stats.overload++;
    respond_txn(c, txn, &a, STR_NONE);
}

void uas_invite(struct sip_core *c, struct sip_txn *txn, const struct sip_msg *m, struct str tag)
{
    handle_t h, dh;
    if (stimer_refuses(c, txn, m))
        return;
    struct sip_session *s = session_new(c, false, &h);
    struct sip_dialog *d = s ? dialog_new(c, s, h, &dh) : NULL;
    if (!d) {
        session_free(c, s ? h : 0);
        refuse_full(c, txn);
        return;
    }
    memcpy(d->local_tag, tag.p, SIP_TAG_CHARS);
    int err = dialog_from_request(c, d, m, &txn->flow);
    err |= core_keep(c, &s->contact_user, m->ruri.user);
    if (err) {
        session_free(c, h);
        refuse_full(c, txn);
        return;
    }
    txn->session = h;
    txn->dialog = dh;
    s->invite = txn_handle(c, txn);
    s->invite_cseq = m->cseq.number;
    s->sips = txn->sips;
    peer_note(s, m);
    stimer_note_request(c, s, m);
    struct sip_out *o = session_emit(c, h, SIP_OUT_INVITE);
    o->txn = s->invite;
    o->msg = m;
    o->flow = txn->flow;
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct sip_txn *pending_invite(const struct sip_core *c, const struct sip_session *s)
{
    struct sip_txn *t = s ? txn_find(c, s->invite) : NULL;
    return t && t->kind == TXN_IST && t->state == TXN_PROCEEDING ? t : NULL;
}

int sip_progress(struct sip_core *c, usec_t now, handle_t session, const struct sip_answer *a)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    struct sip_txn *t = pending_invite(c, s);
    char mem[300];
    struct buf contact;
    if (!t || a->status >= 200)
        return -ENOENT;
    buf_init(&contact, mem, sizeof(mem));
    if (a->status > 100)
        session_contact(c, s, &t->flow, &contact);
    if (rel_wanted(s, a))
        return rel_progress(c, s, t, a, buf_str(&contact));
    return respond_txn(c, t, a, contact.n ? buf_str(&contact) : STR_NONE);
}

/* The 2xx is ours to repeat until its ACK comes, whatever the transport: RFC 3261 13.3.1.4. */
static void repeat_until_ack(struct sip_core *c, struct sip_session *s, struct sip_txn *t,
                             struct blob *ok)
{
    usec_t wait = 64 * t->t1;
    blob_unref(s->ok);
    s->ok = ok;
    s->ok_flow = t->flow;
    s->ok_interval = t->t1;
    timer_start(&c->wheel, &s->retry, c->now + s->ok_interval);
    timer_start(&c->wheel, &s->life, c->now + wait);
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_ARMED, HIST_T_ACK, s->ok_interval);
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_ARMED, HIST_T_ACK_WAIT, wait);
}

void uas_accept_now(struct sip_core *c, struct sip_session *s, struct sip_txn *t, unsigned status,
                    struct blob *ok)
{
    rel_final(c, s);
    repeat_until_ack(c, s, t, blob_ref(ok));
    t->wants_answer = false;
    if (s->state == SES_INCOMING) {
        s->state = SES_ANSWERED;
        session_dialog(c, s)->early = false;
    }
    dialog_refresh_accepted(c, session_dialog(c, s));
    stimer_uas_ok(c, s);
    txn_send_response(c, t, status, ok, false);
}

int sip_accept(struct sip_core *c, usec_t now, handle_t session, const struct sip_answer *a)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    struct sip_txn *t = pending_invite(c, s);
    char mem[300];
    struct buf contact;
    struct blob *b;
    if (!t)
        return -ENOENT;
    buf_init(&contact, mem, sizeof(mem));
    session_contact(c, s, &t->flow, &contact);
    int err = respond_build(c, t, a, buf_str(&contact), &b);
    if (err)
        return err;
    if (s->state == SES_INCOMING && rel_holds(s))
        rel_hold(s, a->status, b);
    else
        uas_accept_now(c, s, t, a->status, b);
    return 0;
}

int sip_reject(struct sip_core *c, usec_t now, handle_t session, const struct sip_answer *a)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    struct sip_txn *t = pending_invite(c, s);
    char mem[300];
    struct buf contact;
    if (!t)
        return -ENOENT;
    buf_init(&contact, mem, sizeof(mem));
    if (a->status == 488 || a->status == 606)
        session_contact(c, s, &t->flow, &contact);
    handle_t invite = s->invite;
    t->wants_answer = false;
    t->session = t->dialog = 0;
    s->invite = 0;
    int err = respond_txn(c, t, a, contact.n ? buf_str(&contact) : STR_NONE);
    if (a->once)
        respond_forget(c, invite);
    if (s->state == SES_INCOMING)
        session_free(c, session);
    return err;
}

/* ---- what the caller does next --------------------------------------------------------------- */

void uas_cancelled(struct sip_core *c, struct sip_txn *invite, const struct sip_msg *m)
{
    handle_t h = invite->session;
    struct sip_session *s = session_find(c, h);
    invite->wants_answer = false;
    invite->session = invite->dialog = 0;
    respond_simple(c, invite, 487);
    if (!s)
        return;
    s->invite = 0;
    if (s->state == SES_INCOMING) {
        struct sip_out *over = session_emit(c, h, SIP_OUT_CANCELLED);
        over->status = 487;
        over->ended = true;
        over->msg = m;
        session_free(c, h);
        return;
    }
    struct sip_out *o =
        session_emit(c, h, SIP_OUT_CANCELLED); /* of a re-INVITE: the call goes on */
    o->status = 487;
    o->ended = false;
}

void uas_ack(struct sip_core *c, const struct sip_msg *m)
{
    struct sip_dialog *d = dialog_find(c, m);
    struct sip_session *s = d ? session_find(c, d->session) : NULL;
    if (!s || !s->ok || m->cseq.number != s->invite_cseq) {
        /* Without a session it is that of an answer which was given `once`. */
        c->stats.retransmissions_received += s != NULL;
        return;
    }
    handle_t h = d->session;
    s->ok = blob_unref(s->ok);
    timer_stop(&c->wheel, &s->retry);
    timer_stop(&c->wheel, &s->life);
    core_hist(c, s->tag, s->leg, HIST_RX_REQUEST, SIP_ACK, m->cseq.number);
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_STOPPED, HIST_T_ACK, 0);
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_STOPPED, HIST_T_ACK_WAIT, 0);
    if (s->state == SES_ANSWERED)
        s->state = SES_CONFIRMED;
    struct sip_out *o = session_emit(c, h, SIP_OUT_ACKED);
    o->msg = m;
    if (s->bye_wanted)
        session_bye(c, h, s->reason);
}

void uas_timer(struct sip_core *c, struct sip_session *s, handle_t h, bool life)
{
    if (!life) {
        usec_t next = s->ok_interval * 2;
        s->ok_interval = next < c->conf.timers.t2 ? next : c->conf.timers.t2;
        timer_start(&c->wheel, &s->retry, c->now + s->ok_interval);
        c->stats.retransmissions_sent++;
        core_hist(c, s->tag, s->leg, HIST_RETRANSMIT, 200, s->invite_cseq);
        core_send(c, &s->ok_flow, blob_ref(s->ok));
        return;
    }
    /* "If the server retransmits the 2xx response for 64*T1 seconds without receiving an ACK, the
     * dialog is confirmed, but the session SHOULD be terminated": RFC 3261 13.3.1.4. */
    c->stats.ack_timeouts++;
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_FIRED, HIST_T_ACK_WAIT, 0);
    struct sip_out *o = session_emit(c, h, SIP_OUT_ENDED);
    o->status = 408;
    o->ended = false; /* the BYE is still to be answered */
    session_bye(c, h, STR("SIP;cause=408;text=\"ACK timeout\""));
}

/* ---- requests inside the dialog -------------------------------------------------------------- */

static void reinvite(struct sip_core *c, struct sip_session *s, struct sip_txn *txn,
                     const struct sip_msg *m)
{
    struct sip_txn *other = txn_find(c, s->invite);
    bool ours = s->ack_due || (other && other->kind == TXN_ICT && other->state <= TXN_PROCEEDING);
    if (ours) {
        respond_simple(c, txn, 491); /* RFC 3261 14.2: both want to change the session */
        return;
    }
    if (s->ok || pending_invite(c, s)) {
        char text[4];
        struct buf b;
        buf_init(&b, text, sizeof(text));
        buf_u64(&b, rand_below(c->rand, 11)); /* RFC 3261 14.2: between 0 and 10 seconds */
        struct sip_field retry = {.id = SIP_H_RETRY_AFTER, .value = buf_str(&b)};
        struct sip_answer a = {.status = 500, .content = {.field = &retry, .n_fields = 1}};
        respond_txn(c, txn, &a, STR_NONE);
        return;
    }
    if (stimer_refuses(c, txn, m))
        return;
    s->invite = txn_handle(c, txn);
    s->invite_cseq = m->cseq.number;
    peer_note(s, m);
    stimer_note_request(c, s, m);
    struct sip_out *o = session_emit(c, txn->session, SIP_OUT_REINVITE);
    o->txn = s->invite;
    o->msg = m;
    o->flow = txn->flow;
}

static void bye(struct sip_core *c, struct sip_txn *txn, const struct sip_msg *m)
{
    handle_t h = txn->session;
    txn->session = txn->dialog = 0;
    respond_simple(c, txn, 200);
    struct sip_out *o = session_emit(c, h, SIP_OUT_BYE);
    o->msg = m;
    o->ended = true;
    session_free(c, h);
}

void uas_in_dialog(struct sip_core *c, struct sip_dialog *d, struct sip_txn *txn,
                   const struct sip_msg *m)
{
    struct sip_session *s = session_find(c, d->session);
    if (d->has_remote_cseq && m->cseq.number < d->remote_cseq) {
        respond_simple(c, txn, 500); /* RFC 3261 12.2.2: out of order */
        return;
    }
    d->remote_cseq = m->cseq.number;
    d->has_remote_cseq = true;
    txn->session = d->session;
    txn->dialog = slot_handle(&c->dialogs, d);
    txn->tag = s->tag;
    txn->leg = s->leg;
    core_hist(c, s->tag, s->leg, HIST_RX_REQUEST, m->method, m->cseq.number);
    bool early_uac = s->uac && (s->state == SES_CALLING || s->state == SES_CANCELLING);
    if (m->method == SIP_BYE && !early_uac) {
        bye(c, txn, m);
        return;
    }
    /* "The callee MUST NOT send a BYE on an early dialog" (15), nor a second INVITE (14.1). */
    bool wrong = early_uac && (m->method == SIP_BYE || m->method == SIP_INVITE);
    if (wrong || s->state == SES_ENDING || s->state == SES_FAILED) {
        respond_simple(c, txn, 481);
        return;
    }
    if (m->method == SIP_INVITE || m->method == SIP_UPDATE)
        dialog_refresh_note(c, d, m, &txn->flow, s->peer_from_change);
    if (m->method == SIP_INVITE) {
        reinvite(c, s, txn, m);
        return;
    }
    if (m->method == SIP_PRACK) {
        rel_prack(c, s, txn, m);
        return;
    }
    if (m->method == SIP_UPDATE) {
        if (stimer_refuses(c, txn, m))
            return;
        peer_note(s, m);
        if (s->state >= SES_ANSWERED) /* before, the INVITE's 2xx settles it */
            stimer_note_request(c, s, m);
    }
    struct sip_out *o = session_emit(c, d->session, SIP_OUT_IN_DIALOG);
    o->dialog = slot_handle(&c->dialogs, d);
    o->txn = txn_handle(c, txn);
    o->msg = m;
    o->flow = txn->flow;
}
