/* The subscription that a REFER makes: NOTIFYs with a status line as their body. RFC 3515
 * section 2.4, RFC 6665. */
#include "pbx/feature/transfer.h"
#include "pbx/hangup.h"
#include "pbx/subscription.h"

#define SIPFRAG    "message/sipfrag;version=2.0"
#define LIFETIME_S 60

static struct str status_line(struct pbx *p, unsigned status)
{
    struct buf b;
    char *mem = arena_take(&p->turn, 96);
    if (!mem)
        return STR_NONE;
    buf_init(&b, mem, 96);
    buf_lit(&b, "SIP/2.0 ");
    buf_u64(&b, status);
    buf_ch(&b, ' ');
    buf_str_put(&b, sip_status_reason(status));
    buf_lit(&b, "\r\n");
    return buf_str(&b);
}

/* The first REFER of a dialog may go without id, later ones tell theirs: RFC 3515 section 2.4.6. */
static struct str event(struct pbx *p, const struct transfer *t)
{
    struct buf b;
    char *mem = arena_take(&p->turn, 32);
    if (!mem || !t->with_id)
        return STR("refer");
    buf_init(&b, mem, 32);
    buf_lit(&b, "refer;id=");
    buf_u64(&b, t->cseq);
    return buf_str(&b);
}

static int send_inside(struct pbx *p, struct transfer *t, const struct sip_content *content)
{
    struct leg *leg = leg_find(p, t->leg);
    if (!leg || leg->state == LEG_ENDED)
        return -ENOENT;
    return sip_session_request(p->core, p->now, leg->session, SIP_NOTIFY, content,
                               pbx_user(PBX_USER_TRANSFER, t->self));
}

/* In the dialog that a REFER outside of any has made. */
static int send_outside(struct pbx *p, struct transfer *t, const struct sip_content *content)
{
    handle_t h;
    struct sip_request_cmd cmd = {.method = SIP_NOTIFY,
                                  .in_dialog = true,
                                  .to = t->flow,
                                  .pinned = t->pinned,
                                  .ruri = t->contact,
                                  .route = t->route,
                                  .from = t->local,
                                  .to_hdr = t->remote,
                                  .call_id = t->call_id,
                                  .from_tag = t->local_tag,
                                  .cseq = ++t->notify_cseq,
                                  .contact = STR(""), /* no user, our address */
                                  .user = pbx_user(PBX_USER_TRANSFER, t->self),
                                  .content = *content};
    return sip_request(p->core, p->now, &cmd, &h);
}

void transfer_notify(struct pbx *p, struct transfer *t, unsigned status, const char *ended)
{
    char mem[64];
    struct buf state;
    if (!t->notifies || (t->status == status && !ended))
        return;
    buf_init(&state, mem, sizeof(mem));
    if (ended) {
        buf_lit(&state, "terminated;reason=");
        buf_z(&state, ended);
    } else {
        buf_lit(&state, "active;expires=");
        buf_u64(&state, LIFETIME_S);
    }
    struct sip_field field[] = {
        {.id = SIP_H_EVENT, .value = event(p, t)},
        {.id = SIP_H_SUBSCRIPTION_STATE, .value = buf_str(&state)},
    };
    struct sip_content content = {.field = field,
                                  .n_fields = ARRAY_LEN(field),
                                  .type = STR(SIPFRAG),
                                  .body = status_line(p, status)};
    t->status = (uint16_t)status;
    int err = t->call_id.n ? send_outside(p, t, &content) : send_inside(p, t, &content);
    if (ended || err)
        t->notifies = false;
}

void transfer_subscribe(struct pbx *p, struct leg *leg, const struct sip_out *o)
{
    struct transfer *t = slot_find(&p->calls->transfers, leg->transfer);
    struct str package = sip_msg_get(o->msg, SIP_H_EVENT);
    struct str value = sip_msg_get(o->msg, SIP_H_EXPIRES);
    uint32_t expires_s = LIFETIME_S;
    if (!str_starts(package, STR("refer"))) {
        struct sip_field field = {.id = SIP_H_ALLOW_EVENTS, .value = subscription_events(p)};
        struct sip_answer a = {.status = 489, .content = {.field = &field, .n_fields = 1}};
        sip_respond(p->core, p->now, o->txn, &a);
        return;
    }
    if (!t || !t->notifies) {
        pbx_respond(p, o->txn, 481);
        return;
    }
    if (value.n && sip_delta_parse(&expires_s, value))
        expires_s = LIFETIME_S;
    struct sip_field field = {.id = SIP_H_EXPIRES, .value = expires_s ? STR("60") : STR("0")};
    struct sip_answer a = {.status = 200, .content = {.field = &field, .n_fields = 1}};
    unsigned status = t->status;
    sip_respond(p->core, p->now, o->txn, &a);
    t->status = 0; /* it is told again, though it has not changed */
    transfer_notify(p, t, status, expires_s ? NULL : "timeout");
    if (expires_s && !t->told)
        pbx_timer_start(p, &t->timer, LIFETIME_S * USEC_S);
}

/* Who does not know the subscription (481), or does not answer, is told no more: RFC 6665 section
 * 4.2.2. The transfer goes on. */
void transfer_response(struct pbx *p, const struct sip_out *o)
{
    const struct slot_table *table = &p->calls->transfers;
    uint32_t i = (uint32_t)pbx_user_number(o->user) - 1;
    if (o->status < 300 || i >= table->fresh || !(table->gen[i] & 1))
        return;
    struct transfer *t = (void *)(table->mem + (size_t)i * table->item_bytes);
    if (pbx_user(PBX_USER_TRANSFER, t->self) == o->user)
        t->notifies = false;
}
