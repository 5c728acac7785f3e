/* Reliable provisional responses: RFC 3262. The called side repeats each until its PRACK; further
 * ones, and a 2xx that must not overtake a description, wait in line. */
#include "engine/sip/sip_int.h"

#include "base/num.h"

/* ---- the called side ------------------------------------------------------------------------- */

struct rel_item {
    struct blob *blob;
    uint32_t rseq;
    uint16_t status;
    bool body, marked;
};

struct sip_rel {
    handle_t session;
    uint32_t cseq; /* of the INVITE */
    uint32_t next; /* RSeq of the next one */
    bool sent;     /* item[0] is out */
    bool answered; /* no PRACK with a body waits for the user */
    uint8_t n;
    struct rel_item item[REL_QUEUE]; /* [0] waits for its PRACK */
    usec_t interval;
    struct timer retry, life;
    struct blob *accept; /* a 2xx that waits; NULL: none */
    uint16_t accept_status;
};

static struct sip_rel *rel_get(struct sip_core *c, struct sip_session *s)
{
    if (s->rel)
        return s->rel;
    struct sip_rel *r = pool_take(&c->pool, sizeof(*r));
    if (!r)
        return NULL;
    *r = (struct sip_rel){.session = slot_handle(&c->sessions, s),
                          .cseq = s->invite_cseq,
                          .answered = true,
                          .next = 1 + (uint32_t)rand_below(c->rand, 0x7FFFFFFE)}; /* section 3 */
    r->retry.kind = ST_REL_RETRY;
    r->life.kind = ST_REL_LIFE;
    s->rel = r;
    return r;
}

void rel_free(struct sip_core *c, struct sip_session *s)
{
    struct sip_rel *r = s->rel;
    if (!r)
        return;
    timer_stop(&c->wheel, &r->retry);
    timer_stop(&c->wheel, &r->life);
    for (unsigned i = 0; i < r->n; i++)
        blob_unref(r->item[i].blob);
    blob_unref(r->accept);
    s->rel = NULL;
    pool_put(&c->pool, r, sizeof(*r));
}

static void send_first(struct sip_core *c, struct sip_rel *r, struct sip_txn *t)
{
    const struct rel_item *first = &r->item[0];
    r->sent = true;
    r->interval = t->t1;
    timer_start(&c->wheel, &r->retry, c->now + r->interval);
    timer_start(&c->wheel, &r->life, c->now + 64 * t->t1);
    core_hist_timer(c, t->tag, t->leg, HIST_TIMER_ARMED, HIST_T_PRACK, 64 * t->t1);
    txn_send_response(c, t, first->status, blob_ref(first->blob), false);
}

bool rel_wanted(const struct sip_session *s, const struct sip_answer *a)
{
    bool may = a->status > 100 && s->state == SES_INCOMING;
    return may && (s->peer_rel_required || (s->peer_rel && a->reliable));
}

int rel_progress(struct sip_core *c, struct sip_session *s, struct sip_txn *t,
                 const struct sip_answer *a, struct str contact)
{
    struct sip_rel *r = rel_get(c, s);
    struct sip_field field[SIP_FIELDS_MAX + 2];
    struct sip_answer full = *a;
    struct blob *blob;
    char mem[16];
    struct buf rseq;
    if (!r)
        return -ENOMEM;
    if (r->n == REL_QUEUE || a->content.n_fields > SIP_FIELDS_MAX)
        return -EAGAIN;
    buf_init(&rseq, mem, sizeof(mem));
    buf_u64(&rseq, r->next);
    field[0] = (struct sip_field){.id = SIP_H_REQUIRE, .value = STR("100rel")};
    field[1] = (struct sip_field){.id = SIP_H_RSEQ, .value = buf_str(&rseq)};
    if (a->content.n_fields)
        memcpy(field + 2, a->content.field, a->content.n_fields * sizeof(*field));
    full.content.field = field;
    full.content.n_fields += 2;
    int err = respond_build(c, t, &full, contact, &blob);
    if (err)
        return err;
    r->item[r->n++] = (struct rel_item){.blob = blob,
                                        .rseq = r->next++,
                                        .status = a->status,
                                        .body = a->content.body.n != 0,
                                        .marked = a->marked};
    if (r->n == 1)
        send_first(c, r, t);
    return 0;
}

/* "the UAS MUST NOT send the 2xx until" descriptions have been acknowledged: section 3. */
bool rel_holds(const struct sip_session *s)
{
    for (unsigned i = 0; s->rel && i < s->rel->n; i++)
        if (s->rel->item[i].body)
            return true;
    return false;
}

void rel_hold(struct sip_session *s, unsigned status, struct blob *ok)
{
    blob_unref(s->rel->accept);
    s->rel->accept = ok;
    s->rel->accept_status = (uint16_t)status;
}

void rel_final(struct sip_core *c, struct sip_session *s)
{
    if (!s->rel)
        return;
    timer_stop(&c->wheel, &s->rel->retry);
    timer_stop(&c->wheel, &s->rel->life);
    while (s->rel->n > 1)
        blob_unref(s->rel->item[--s->rel->n].blob);
}

/* The one that waits is acknowledged: the next goes out, or the 2xx. */
static void advance(struct sip_core *c, struct sip_session *s)
{
    struct sip_rel *r = s->rel;
    struct sip_txn *t = txn_find(c, s->invite);
    timer_stop(&c->wheel, &r->retry);
    timer_stop(&c->wheel, &r->life);
    blob_unref(r->item[0].blob);
    r->n--;
    memmove(r->item, r->item + 1, r->n * sizeof(r->item[0]));
    r->sent = false;
    if (s->state != SES_INCOMING || !t || t->state != TXN_PROCEEDING)
        return;
    if (r->n)
        send_first(c, r, t);
    if (r->accept && !rel_holds(s)) {
        struct blob *ok = r->accept;
        r->accept = NULL;
        uas_accept_now(c, s, t, r->accept_status, ok);
    }
}

/* "RAck: 776656 1 INVITE" */
static bool rack_fits(const struct sip_session *s, const struct sip_msg *m)
{
    struct str v = str_trim(sip_msg_get(m, SIP_H_RACK));
    uint64_t number[2];
    for (unsigned i = 0; i < 2; i++) {
        ptrdiff_t end = str_chr(v, ' ');
        if (end < 1 || num_u64(&number[i], str_sub(v, 0, (size_t)end), UINT32_MAX))
            return false;
        v = str_trim(str_from(v, (size_t)end));
    }
    return s->rel && s->rel->n && s->rel->sent && s->rel->answered &&
           number[0] == s->rel->item[0].rseq && number[1] == s->rel->cseq &&
           str_eq(v, STR("INVITE"));
}

void rel_prack(struct sip_core *c, struct sip_session *s, struct sip_txn *txn,
               const struct sip_msg *m)
{
    if (!rack_fits(s, m)) {
        respond_simple(c, txn, 481);
        return;
    }
    bool body = m->body.n != 0;
    if (!body)
        respond_simple(c, txn, 200);
    struct sip_out *o = session_emit(c, txn->session, SIP_OUT_PRACKED);
    o->txn = body ? txn_handle(c, txn) : 0;
    o->msg = m;
    o->flow = txn->flow;
    o->marked = s->rel->item[0].marked;
    s->rel->answered = !body; /* else its answer goes before whatever waits */
    timer_stop(&c->wheel, &s->rel->retry);
    timer_stop(&c->wheel, &s->rel->life);
    if (!body)
        advance(c, s);
}

void rel_answered(struct sip_core *c, struct sip_session *s)
{
    if (!s->rel || !s->rel->n || s->rel->answered)
        return;
    s->rel->answered = true;
    advance(c, s);
}

void rel_timer(struct sip_core *c, struct timer *t)
{
    bool life = t->kind == ST_REL_LIFE;
    struct sip_rel *r =
        life ? container_of(t, struct sip_rel, life) : container_of(t, struct sip_rel, retry);
    handle_t h = r->session;
    struct sip_session *s = session_find(c, h);
    struct sip_txn *txn = s ? txn_find(c, s->invite) : NULL;
    if (!txn || !r->n || s->state != SES_INCOMING)
        return;
    if (!life) { /* "the retransmission ... doubles", without T2: section 3 */
        r->interval *= 2;
        timer_start(&c->wheel, &r->retry, c->now + r->interval);
        c->stats.retransmissions_sent++;
        core_hist(c, s->tag, s->leg, HIST_RETRANSMIT, r->item[0].status, s->invite_cseq);
        core_send(c, &txn->flow, blob_ref(r->item[0].blob));
        return;
    }
    struct sip_answer refuse = {.status = 504};
    c->stats.prack_timeouts++;
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_FIRED, HIST_T_PRACK, 0);
    struct sip_out *o = session_emit(c, h, SIP_OUT_ENDED);
    o->status = 408;
    o->ended = true;
    sip_reject(c, c->now, h, &refuse);
}

/* ---- the calling side ------------------------------------------------------------------------ */

/* Section 4: in order of their RSeq, each once. */
bool rel_in_order(struct sip_dialog *d, const struct sip_msg *m, bool *reliable)
{
    struct str value = sip_msg_get(m, SIP_H_RSEQ);
    uint64_t rseq;
    *reliable = false;
    if (!value.n || !sip_msg_lists(m, SIP_H_REQUIRE, STR("100rel")) ||
        num_u64(&rseq, str_trim(value), UINT32_MAX))
        return true;
    if (d->rseq && rseq != (uint64_t)d->rseq + 1)
        return false;
    d->rseq = (uint32_t)rseq;
    *reliable = true;
    return true;
}

int sip_prack(struct sip_core *c, usec_t now, handle_t session, const struct sip_reliable *which,
              const struct sip_content *content)
{
    core_enter_cmd(c, now);
    struct sip_session *s = session_find(c, session);
    struct sip_dialog *d = slot_find(&c->dialogs, which->dialog);
    struct sip_field field[SIP_FIELDS_MAX + 1];
    struct sip_content full = *content;
    struct sip_txn *t;
    char mem[48];
    struct buf rack;
    if (!s || !d || d->session != session || !d->rseq || which->rseq > d->rseq)
        return -ENOENT;
    if (content->n_fields > SIP_FIELDS_MAX)
        return -EMSGSIZE;
    buf_init(&rack, mem, sizeof(mem));
    buf_u64(&rack, which->rseq);
    buf_ch(&rack, ' ');
    buf_u64(&rack, s->invite_cseq);
    buf_lit(&rack, " INVITE");
    field[0] = (struct sip_field){.id = SIP_H_RACK, .value = buf_str(&rack)};
    if (content->n_fields)
        memcpy(field + 1, content->field, content->n_fields * sizeof(*field));
    full.field = field;
    full.n_fields++;
    int err = dialog_request(c, d, SIP_PRACK, &full, &t);
    if (!err)
        t->user = s->user;
    return err;
}
