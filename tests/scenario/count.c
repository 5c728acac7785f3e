/* Numbers that a script can expect: of the engine, of the PBX, of the world. */
#include <errno.h>

#include "pbx/call_int.h"
#include "pbx/feature/voicebot.h"
#include "pbx/gate.h"
#include "pbx/registrar.h"
#include "pbx/subscription.h"
#include "play.h"

static const struct {
    struct str name;
    size_t at;
} stats[] = {
#define S(field)                                                                                   \
    {                                                                                              \
        STR_INIT(#field), offsetof(struct sip_stats, field)                                        \
    }
    S(rx_requests),
    S(rx_responses),
    S(tx_requests),
    S(tx_responses),
    S(rx_bad),
    S(rx_stray),
    S(retransmissions_sent),
    S(retransmissions_received),
    S(invite_timeouts),
    S(bye_timeouts),
    S(ack_timeouts),
    S(merged),
    S(session_timeouts),
    S(prack_timeouts),
    S(refreshes_sent),
    S(refreshes_received),
    S(loops),
    S(overload),
    S(rate_limited),
    S(transport_errors),
    S(reaped),
    S(active_txns),
    S(active_sessions),
    S(active_dialogs),
    S(active_timers),
    S(blob_bytes),
#undef S
};

/* timeouts.B, fired.A, rx.INVITE, tx.4xx, ICT.Calling */
static int dotted(const struct sip_stats *s, struct str head, struct str tail, uint64_t *ret)
{
    bool timer = str_eq(head, STR("timeouts")) || str_eq(head, STR("fired"));
    if (timer && tail.n == 1 && tail.p[0] >= 'A' && tail.p[0] <= 'M') {
        *ret = (head.p[0] == 't' ? s->timeouts : s->fired)[tail.p[0] - 'A'];
        return 0;
    }
    bool rx = str_eq(head, STR("rx")), tx = str_eq(head, STR("tx"));
    if ((rx || tx) && tail.n == 3 && str_eq(str_from(tail, 1), STR("xx"))) {
        *ret = (rx ? s->rx_status : s->tx_status)[(tail.p[0] - '0') & 7];
        return 0;
    }
    if (rx || tx) {
        enum sip_method m = sip_method_of(tail);
        *ret = (rx ? s->rx_method : s->tx_method)[m];
        return m == SIP_METHOD_UNKNOWN ? -EINVAL : 0;
    }
    for (int k = 0; k < TXN_KINDS; k++)
        for (int i = 0; i < TXN_STATES; i++)
            if (str_ieq(head, sip_txn_kind_name((enum sip_txn_kind)k)) &&
                str_ieq(tail, sip_txn_state_name((enum sip_txn_kind)k, (enum sip_txn_state)i))) {
                *ret = s->txns[k][i];
                return 0;
            }
    return -EINVAL;
}

static uint64_t bans(struct play *p)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < p->w.n_bans; i++)
        n += p->w.ban[i].until > p->w.now;
    return n;
}

static uint64_t conns(const struct play *p)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < WORLD_CONNS; i++)
        n += p->w.conn[i].id != 0;
    return n;
}

static int of_world(struct play *p, struct str name, uint64_t *ret)
{
    const struct {
        struct str name;
        uint64_t value;
    } counts[] = {
        {STR_INIT("calls"), call_count(p->w.pbx)},
        {STR_INIT("legs"), p->w.pbx->calls->legs.used},
        {STR_INIT("out_of_turn"), p->w.pbx->calls->out_of_turn},
        {STR_INIT("searches"), p->w.pbx->calls->dials.used},
        {STR_INIT("transfers"), p->w.pbx->calls->transfers.used},
        {STR_INIT("recordings"), p->w.pbx->calls->recordings.used},
        {STR_INIT("subscriptions"), subscription_count(p->w.pbx)},
        {STR_INIT("idle"), pbx_is_idle(p->w.pbx)},
        {STR_INIT("bindings"), registrar_count(p->w.pbx)},
        {STR_INIT("stored"), p->w.n_bindings},
        {STR_INIT("cdrs"), p->w.n_cdrs},
        {STR_INIT("messages"), p->w.n_messages},
        {STR_INIT("ports"), p->w.pbx->calls->ports.in_use},
        {STR_INIT("streams"), p->w.streams_open},
        {STR_INIT("bans"), bans(p)},
        {STR_INIT("connections"), conns(p)},
        {STR_INIT("strays"), p->w.strays},
        {STR_INIT("botlinks"), p->w.links_open},
        {STR_INIT("bots"), voicebot_count(p->w.pbx)},
        {STR_INIT("lost"), p->w.lost},
        {STR_INIT("sent"), p->w.sent},
        {STR_INIT("pbx_timers"), p->w.pbx->wheel.armed},
        {STR_INIT("rtp_timeouts"), p->w.pbx->calls->rtp_timeouts},
        {STR_INIT("audit_reaped"), p->w.pbx->calls->reaped},
    };
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++)
        if (str_eq(name, counts[i].name)) {
            *ret = counts[i].value;
            return 0;
        }
    return -EINVAL;
}

int count_get(struct play *p, struct str name, uint64_t *ret)
{
    struct sip_stats s;
    if (!of_world(p, name, ret))
        return 0;
    sip_core_stats(p->w.pbx->core, &s);
    if (str_eq(name, STR("transactions")))
        name = STR("active_txns");
    else if (str_eq(name, STR("sessions")))
        name = STR("active_sessions");
    else if (str_eq(name, STR("dialogs")))
        name = STR("active_dialogs");
    else if (str_eq(name, STR("timers")))
        name = STR("active_timers");
    for (unsigned i = 0; i < ARRAY_LEN(stats); i++)
        if (str_eq(name, stats[i].name)) {
            memcpy(ret, (const char *)&s + stats[i].at, sizeof(*ret));
            return 0;
        }
    ptrdiff_t dot = str_chr(name, '.');
    if (dot < 1)
        return -EINVAL;
    return dotted(&s, str_sub(name, 0, (size_t)dot), str_from(name, (size_t)dot + 1), ret);
}
