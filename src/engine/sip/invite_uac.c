/* The calling side of an INVITE session. RFC 3261 13.2, 14.1, 9.1. */
#include "engine/sip/sip_int.h"

static int fill_dialog(struct sip_core *c, struct sip_dialog *d, const struct sip_invite_cmd *cmd)
{
    char id_mem[256], from_mem[1024];
    struct buf id, from;
    core_tag(c, d->local_tag);
    buf_init(&id, id_mem, sizeof(id_mem));
    sip_core_call_id(c, &id);
    buf_init(&from, from_mem, sizeof(from_mem));
    buf_str_put(&from, cmd->from);
    buf_lit(&from, ";tag=");
    buf_put(&from, d->local_tag, SIP_TAG_CHARS);
    if (id.full || from.full)
        return -EMSGSIZE;
    int err = core_keep(c, &d->call_id, cmd->call_id.p ? cmd->call_id : buf_str(&id));
    err |= core_keep(c, &d->local, buf_str(&from));
    err |= core_keep(c, &d->remote, cmd->to_hdr);
    err |= core_keep(c, &d->target, cmd->ruri);
    err |= core_keep(c, &d->route, cmd->route);
    d->flow = cmd->to;
    d->local_cseq = 1;
    return err ? -ENOMEM : 0;
}

static int send_invite(struct sip_core *c, handle_t h, struct sip_dialog *d,
                       const struct sip_invite_cmd *cmd)
{
    struct sip_session *s = session_find(c, h);
    struct req_branch branch;
    struct flow to = cmd->to;
    struct blob *b;
    struct sip_txn *t;
    struct sip_req r = {.method = STR("INVITE"),
                        .ruri = cmd->ruri,
                        .from = d->local,
                        .to = d->remote,
                        .call_id = d->call_id,
                        .route = d->route,
                        .contact = s->contact_user.p ? s->contact_user : STR(""),
                        .cseq = 1,
                        .max_forwards = cmd->max_forwards,
                        .advertise = true,
                        .timed = s,
                        .initial = true,
                        .no_100rel = cmd->no_100rel,
                        .no_early_session = cmd->no_early_session,
                        .focus = s->focus,
                        .content = &cmd->content};
    int err = request_build(c, &r, &to, &branch, &b);
    if (err)
        return err;
    err = request_start(c, TXN_ICT, SIP_INVITE, &to, &branch, b, &t);
    if (err)
        return err;
    t->tcp_for_size = to.proto == PROTO_TCP && cmd->to.proto == PROTO_UDP;
    t->session = h;
    t->dialog = slot_handle(&c->dialogs, d);
    t->tag = cmd->tag;
    t->leg = cmd->leg;
    t->cseq = 1;
    d->flow = to;
    s->invite = txn_handle(c, t);
    s->invite_cseq = 1;
    core_hist(c, t->tag, t->leg, HIST_TX_REQUEST, SIP_INVITE, 1);
    txn_step(c, t, TXN_EV_START);
    core_send(c, &t->flow, blob_ref(t->last));
    return 0;
}

int sip_invite(struct sip_core *c, usec_t now, const struct sip_invite_cmd *cmd, handle_t *ret)
{
    handle_t h, dh;
    core_enter_cmd(c, now);
    struct sip_session *s = session_new(c, true, &h);
    struct sip_dialog *d = s ? dialog_new(c, s, h, &dh) : NULL;
    if (!d) {
        session_free(c, s ? h : 0);
        return -EAGAIN;
    }
    s->user = cmd->user;
    s->tag = cmd->tag;
    s->leg = cmd->leg;
    s->focus = cmd->focus;
    s->sips = str_istarts(cmd->ruri, STR("sips:"));
    int err = fill_dialog(c, d, cmd);
    if (!err)
        err = core_keep(c, &s->contact_user, cmd->contact_user);
    if (!err)
        err = send_invite(c, h, d, cmd);
    if (err) {
        session_free(c, h);
        return err;
    }
    *ret = h;
    return 0;
}

int sip_reinvite(struct sip_core *c, usec_t now, handle_t session,
                 const struct sip_content *content)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    if (!s || s->state != SES_CONFIRMED)
        return -ENOENT;
    struct sip_txn *t = txn_find(c, s->invite);
    bool busy = t && (t->state == TXN_TRYING || t->state == TXN_PROCEEDING);
    if (busy || s->ok || s->ack_due)
        return -EBUSY;
    int err = dialog_request(c, session_dialog(c, s), SIP_INVITE, content, &t);
    if (err)
        return err;
    s->invite = txn_handle(c, t);
    s->invite_cseq = t->cseq;
    s->cancel_sent = s->cancel_wanted = false;
    s->se_tries = 0;
    return 0;
}

/* ---- CANCEL ---------------------------------------------------------------------------------- */

/* RFC 3261 9.1: only after a provisional response; then 64*T1 for the final one. */
static void send_cancel(struct sip_core *c, struct sip_session *s)
{
    struct sip_txn *invite = txn_find(c, s->invite), *t;
    struct blob *b;
    struct req_branch branch = {0};
    if (!invite || s->cancel_sent)
        return;
    s->cancel_sent = true;
    /* Also without a CANCEL, for want of memory, the INVITE must come to an end. */
    invite->life_letter = 'B';
    timer_start(&c->wheel, &invite->life, c->now + 64 * invite->t1);
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_ARMED, 'B', 64 * invite->t1);
    if (request_derive(c, invite->last, SIP_CANCEL, STR_NONE, s->reason, &b))
        return;
    struct sip_via via = c->old.via; /* request_derive() parsed the INVITE */
    if (via.branch.n != sizeof(branch.text)) {
        blob_unref(b);
        return;
    }
    memcpy(branch.text, via.branch.p, sizeof(branch.text));
    if (request_start(c, TXN_NICT, SIP_CANCEL, &invite->flow, &branch, b, &t))
        return;
    t->tag = s->tag;
    t->leg = s->leg;
    t->cseq = invite->cseq;
    core_hist(c, t->tag, t->leg, HIST_TX_REQUEST, SIP_CANCEL, t->cseq);
    txn_step(c, t, TXN_EV_START);
    core_send(c, &t->flow, blob_ref(t->last));
}

int uac_cancel(struct sip_core *c, handle_t h, struct str reason)
{
    struct sip_session *s = session_find(c, h);
    int err = core_keep(c, &s->reason, reason);
    s->state = SES_CANCELLING;
    if (s->had_provisional)
        send_cancel(c, s);
    return err;
}

int sip_cancel_reinvite(struct sip_core *c, usec_t now, handle_t session)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    struct sip_txn *t = s && s->state == SES_CONFIRMED ? txn_find(c, s->invite) : NULL;
    if (!t || t->kind != TXN_ICT || t->state > TXN_PROCEEDING)
        return -ENOENT;
    s->cancel_wanted = true;
    if (t->state == TXN_PROCEEDING)
        send_cancel(c, s);
    return 0;
}

/* ---- dialogs of a forked INVITE -------------------------------------------------------------- */

static int clone_dialog(struct sip_core *c, const struct sip_dialog *from, struct sip_dialog *d)
{
    memcpy(d->local_tag, from->local_tag, SIP_TAG_CHARS);
    d->local_cseq = from->local_cseq;
    d->flow = from->flow;
    int err = core_keep(c, &d->call_id, from->call_id);
    err |= core_keep(c, &d->local, from->local);
    err |= core_keep(c, &d->target, from->target);
    return err ? -ENOMEM : 0;
}

/* The dialog that a response with this To tag belongs to, made if it is the first of its fork.
 * RFC 3261 13.2.2.4. NULL: out of room. */
static struct sip_dialog *fork_dialog(struct sip_core *c, handle_t session, struct sip_txn *t,
                                      const struct sip_msg *m)
{
    struct sip_session *s = session_find(c, session);
    struct sip_dialog *d, *blank = NULL;
    struct str tag = m->to.tag.p ? m->to.tag : STR("");
    handle_t h, at;
    for (at = s->dialogs; at; at = d->next) {
        d = slot_find(&c->dialogs, at);
        if (d->remote_tag.p && str_eq(d->remote_tag, tag)) {
            /* RFC 3261 13.2.2.4: the 2xx makes the route set anew. */
            bool anew = m->status >= 200;
            return anew && dialog_from_response(c, d, m, &t->flow) ? NULL : d;
        }
        if (!d->remote_tag.p)
            blank = d;
    }
    if (blank)
        return dialog_from_response(c, blank, m, &t->flow) ? NULL : blank;
    struct sip_dialog *base = session_dialog(c, s);
    d = dialog_new(c, s, session, &h);
    if (!d)
        return NULL;
    if (clone_dialog(c, base, d) || dialog_from_response(c, d, m, &t->flow))
        return NULL;
    return d;
}

/* The answered dialog goes to the front; it is the session's from now on. */
static void confirm(struct sip_core *c, struct sip_session *s, struct sip_dialog *winner)
{
    handle_t keep = slot_handle(&c->dialogs, winner), at = s->dialogs;
    while (at) {
        struct sip_dialog *d = slot_find(&c->dialogs, at);
        handle_t next = d->next;
        if (at != keep)
            dialog_free(c, at);
        at = next;
    }
    winner->next = 0;
    winner->early = false;
    s->dialogs = keep;
    s->n_dialogs = 1;
}

/* ---- ACK ------------------------------------------------------------------------------------- */

static int write_ack(struct sip_core *c, struct sip_session *s, struct sip_dialog *d,
                     const struct sip_content *content, uint32_t cseq)
{
    struct sip_field with_auth[2];
    struct sip_content full = *content;
    struct sip_txn *invite = txn_find(c, s->invite);
    struct sip_req r = {.method = STR("ACK"),
                        .from = d->local,
                        .to = d->remote,
                        .call_id = d->call_id,
                        .cseq = cseq,
                        .max_forwards = -1,
                        .content = &full};
    struct req_branch branch;
    struct flow to;
    struct blob *b;
    bool auth = s->auth_sent && !content->n_fields && invite && invite->last &&
                sip_msg_parse(&c->old, invite->last->data, invite->last->n, true) == SIP_OK;
    if (auth) { /* RFC 3261 13.2.2.4: the same credentials as the INVITE */
        const enum sip_hdr_id ids[] = {SIP_H_AUTHORIZATION, SIP_H_PROXY_AUTHORIZATION};
        full.field = with_auth;
        for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
            if (sip_msg_has(&c->old, ids[i]))
                with_auth[full.n_fields++] =
                    (struct sip_field){.id = ids[i], .value = sip_msg_get(&c->old, ids[i])};
    }
    dialog_address(c, d, &r, &to);
    int err = request_build(c, &r, &to, &branch, &b);
    if (err)
        return err;
    blob_unref(s->ack);
    s->ack = b;
    s->ack_flow = to;
    s->ack_cseq = cseq;
    return 0;
}

static void send_ack(struct sip_core *c, struct sip_session *s)
{
    c->stats.tx_requests++;
    c->stats.tx_method[SIP_ACK]++;
    core_hist(c, s->tag, s->leg, HIST_TX_REQUEST, SIP_ACK, s->ack_cseq);
    core_send(c, &s->ack_flow, blob_ref(s->ack));
}

int sip_ack(struct sip_core *c, usec_t now, handle_t session, const struct sip_content *content)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    if (!s || !s->ack_due)
        return -ENOENT;
    int err = write_ack(c, s, session_dialog(c, s), content, s->invite_cseq);
    if (err)
        return err;
    s->ack_due = false;
    if (s->state == SES_ANSWERED)
        s->state = SES_CONFIRMED;
    send_ack(c, s);
    return 0;
}

/* ---- responses ------------------------------------------------------------------------------- */

/* A fork answered although another one has been taken, or the call was given up: it is
 * acknowledged and ended at once (RFC 3261 13.2.2.4). */
static void end_extra_fork(struct sip_core *c, handle_t h, struct sip_txn *t,
                           const struct sip_msg *m)
{
    static const struct sip_content nothing;
    struct sip_session *s = session_find(c, h);
    handle_t first = s->dialogs, dh;
    struct blob *ack = s->ack;
    struct flow ack_flow = s->ack_flow;
    uint32_t ack_cseq = s->ack_cseq;
    struct sip_txn *bye;
    struct sip_dialog *d = dialog_new(c, s, h, &dh);
    if (!d)
        return;
    s->ack = NULL;
    if (!clone_dialog(c, slot_find(&c->dialogs, first), d) &&
        !dialog_from_response(c, d, m, &t->flow) && !write_ack(c, s, d, &nothing, m->cseq.number)) {
        send_ack(c, s);
        if (!dialog_request(c, d, SIP_BYE, &nothing, &bye))
            bye->session = bye->dialog = 0;
    }
    blob_unref(s->ack);
    s->ack = ack;
    s->ack_flow = ack_flow;
    s->ack_cseq = ack_cseq;
    s->dialogs = d->next;
    s->n_dialogs--;
    dialog_free(c, dh);
}

static void rx_2xx(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    handle_t h = t->session;
    struct sip_session *s = session_find(c, h);
    struct sip_dialog *d = session_dialog(c, s);
    bool initial = s->state == SES_CALLING || s->state == SES_CANCELLING;
    if (!initial && s->ack && s->ack_cseq == m->cseq.number) {
        if (str_eq(d->remote_tag, m->to.tag.p ? m->to.tag : STR("")))
            core_send(c, &s->ack_flow, blob_ref(s->ack));
        else
            end_extra_fork(c, h, t, m);
        return;
    }
    if (s->ack_due || t != txn_find(c, s->invite))
        return; /* repeated before the user has acknowledged */
    if (initial)
        d = fork_dialog(c, h, t, m);
    else
        dialog_refresh(c, d, m, &t->flow);
    if (!d)
        return;
    bool given_up = s->state == SES_CANCELLING;
    if (initial) {
        confirm(c, s, d);
        s->state = SES_ANSWERED;
    }
    s->ack_due = true;
    peer_note(s, m);
    if (!given_up)
        stimer_uac_ok(c, s, m);
    if (given_up) { /* the answer crossed our CANCEL */
        static const struct sip_content nothing;
        if (!sip_ack(c, c->now, h, &nothing))
            session_bye(c, h, s->reason);
        return;
    }
    struct sip_out *o = session_emit(c, h, SIP_OUT_ANSWERED);
    o->dialog = slot_handle(&c->dialogs, d);
    o->txn = s->invite;
    o->status = m->status;
    o->msg = m;
    o->flow = t->flow;
}

static void rx_1xx(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    handle_t h = t->session;
    struct sip_session *s = session_find(c, h);
    s->had_provisional = true;
    if (s->state == SES_CANCELLING || s->cancel_wanted)
        send_cancel(c, s);
    bool calling = s->state == SES_CALLING || s->state == SES_CANCELLING, reliable = false;
    if (!calling)
        return;
    if (m->status == 100) { /* no dialog yet, but somebody is there */
        session_emit(c, h, SIP_OUT_PROGRESS)->status = 100;
        return;
    }
    struct sip_dialog *d = m->to.tag.p ? fork_dialog(c, h, t, m) : NULL;
    if (d && !rel_in_order(d, m, &reliable))
        return;
    if (s->state == SES_CANCELLING) { /* who repeats it until it is acknowledged may stop */
        static const struct sip_content nothing;
        struct sip_reliable which = {.dialog = slot_handle(&c->dialogs, d), .rseq = d->rseq};
        if (reliable)
            (void)sip_prack(c, c->now, h, &which, &nothing);
        return;
    }
    peer_note(s, m);
    struct sip_out *o = session_emit(c, h, SIP_OUT_PROGRESS);
    o->reliable = reliable;
    o->rseq = reliable ? d->rseq : 0;
    o->dialog = d ? slot_handle(&c->dialogs, d) : 0;
    o->txn = s->invite;
    o->status = m->status;
    o->msg = m;
    o->flow = t->flow;
}

static void rx_final(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    handle_t h = t->session;
    struct sip_session *s = session_find(c, h);
    bool initial = s->state == SES_CALLING || s->state == SES_CANCELLING;
    struct sip_txn *again;
    if (s->state != SES_CANCELLING && s->state != SES_ENDING &&
        stimer_too_small(c, s, t, m, &again)) {
        s->invite = txn_handle(c, again);
        s->invite_cseq = again->cseq;
        s->had_provisional = false;
        return;
    }
    struct sip_out *o = session_emit(c, h, SIP_OUT_FAILED);
    o->txn = txn_handle(c, t);
    o->status = m->status;
    o->msg = m;
    o->flow = t->flow;
    o->ended = initial;
    c->limbo_txn = o->txn;
    t->wants_answer = true;
    if (initial) {
        s->state = SES_FAILED;
        c->limbo_session = h;
    } else if (s->state != SES_ENDING && (m->status == 481 || m->status == 408)) {
        session_bye(c, h, STR_NONE); /* RFC 3261 14.1: the dialog is gone over there */
    } else if (s->state != SES_ENDING) {
        stimer_put_off(c, s, m);
    }
}

void uac_rx_response(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    struct sip_session *s = session_find(c, t->session);
    if (!s)
        return;
    if (m->status < 200)
        rx_1xx(c, t, m);
    else if (m->status < 300)
        rx_2xx(c, t, m);
    else
        rx_final(c, t, m);
}

void uac_failed(struct sip_core *c, struct sip_txn *t, unsigned status)
{
    handle_t h = t->session;
    struct sip_session *s = session_find(c, h);
    if (!s)
        return;
    bool initial = s->state == SES_CALLING || s->state == SES_CANCELLING;
    s->invite = 0;
    if (initial) {
        session_end(c, h, SIP_OUT_FAILED, s->state == SES_CANCELLING ? 487 : status);
        return;
    }
    struct sip_out *o = session_emit(c, h, SIP_OUT_FAILED);
    o->status = (uint16_t)status;
    if (s->state != SES_ENDING)
        session_bye(c, h, STR_NONE);
}
