/* Session timers: RFC 4028. All of it happens here; the user of the engine is asked only when a
 * refresh must be a re-INVITE, whose description is the user's. */
#include "engine/sip/sip_int.h"

#include "base/num.h"

#define SE_MIN_S 90
#define SE_TRIES 2 /* how often a 422 raises our interval */
#define SE_LATER (2 * USEC_S)
#define SE_CUT_S 32

/* ---- the negotiation table ------------------------------------------------------------------- */

/* Table 2 of section 9: who refreshes, by what the request says. */
enum stimer_refresher stimer_choose(bool peer_supports, enum stimer_refresher asked,
                                    enum stimer_refresher ours)
{
    static const enum stimer_refresher table[2][SE_REFRESHERS] = {
        {[SE_NOBODY] = SE_UAS, [SE_UAC] = SE_UAS, [SE_UAS] = SE_UAS},
        {[SE_NOBODY] = SE_NOBODY, [SE_UAC] = SE_UAC, [SE_UAS] = SE_UAS},
    };
    enum stimer_refresher r = table[peer_supports][asked];
    return r == SE_NOBODY ? ours : r;
}

static bool is_on(const struct sip_core *c)
{
    return c->session_timers;
}

static uint32_t conf_s(usec_t t)
{
    uint32_t s = (uint32_t)(t / USEC_S);
    return s < SE_MIN_S ? SE_MIN_S : s;
}

/* "1800;refresher=uas". 0: absent or not to be understood. */
static uint32_t read_expires(const struct sip_msg *m, enum stimer_refresher *refresher)
{
    struct str value = sip_msg_get(m, SIP_H_SESSION_EXPIRES);
    ptrdiff_t semi = value.n ? str_chr(value, ';') : -1;
    struct str params = semi < 0 ? STR_NONE : str_from(value, (size_t)semi + 1);
    struct str who = sip_param_get(params, STR("refresher"));
    uint32_t s;
    *refresher = str_ieq(who, STR("uac")) ? SE_UAC : str_ieq(who, STR("uas")) ? SE_UAS : SE_NOBODY;
    if (!value.n ||
        sip_delta_parse(&s, str_trim(semi < 0 ? value : str_sub(value, 0, (size_t)semi))))
        return 0;
    return s;
}

static uint32_t read_min_se(const struct sip_msg *m)
{
    struct str value = sip_msg_get(m, SIP_H_MIN_SE);
    ptrdiff_t semi = value.n ? str_chr(value, ';') : -1;
    uint32_t s;
    if (!value.n ||
        sip_delta_parse(&s, str_trim(semi < 0 ? value : str_sub(value, 0, (size_t)semi))))
        return 0;
    return s < 86400 ? s : 86400;
}

/* ---- the clock ------------------------------------------------------------------------------- */

static void arm(struct sip_core *c, struct sip_session *s, usec_t in)
{
    timer_start(&c->wheel, &s->se, c->now + in);
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_ARMED, HIST_T_SE, in);
}

/* Section 10: without a refresh the session ends a little before the interval does. */
static usec_t last_moment(const struct sip_session *s)
{
    uint32_t cut = s->se_s / 3 < SE_CUT_S ? s->se_s / 3 : SE_CUT_S;
    return (usec_t)(s->se_s - cut) * USEC_S;
}

static void start(struct sip_core *c, struct sip_session *s, uint32_t interval_s, bool we_refresh)
{
    s->se_s = interval_s;
    s->se_we_refresh = we_refresh;
    s->se_update = 0;
    s->se_since = c->now;
    s->se_tries = s->se_refused = 0;
    if (interval_s)
        arm(c, s, we_refresh ? interval_s * USEC_S / 2 : last_moment(s));
    else
        timer_stop(&c->wheel, &s->se);
}

static void expire(struct sip_core *c, struct sip_session *s, handle_t h)
{
    c->stats.session_timeouts++;
    struct sip_out *o = session_emit(c, h, SIP_OUT_ENDED);
    o->status = 408;
    o->expired = true;
    o->ended = false; /* the BYE is still to be answered */
    session_bye(c, h, STR("SIP;cause=408;text=\"Session timer expired\""));
}

/* UPDATE without a body where the peer knows it, else a re-INVITE by the user (section 7.4). */
static void refresh(struct sip_core *c, struct sip_session *s, handle_t h)
{
    static const struct sip_content nothing;
    struct sip_txn *t = txn_find(c, s->invite);
    usec_t end = s->se_since + last_moment(s), left = end > c->now ? end - c->now : 0;
    bool busy = s->ok || s->ack_due || (t && t->state <= TXN_PROCEEDING);
    if (!left) {
        expire(c, s, h);
        return;
    }
    arm(c, s, left);
    if (busy) { /* what is under way refreshes the session as well */
        arm(c, s, left < SE_LATER ? left : SE_LATER);
        return;
    }
    if (!s->peer_update) {
        session_emit(c, h, SIP_OUT_REFRESH);
        return;
    }
    c->stats.refreshes_sent++;
    if (dialog_request(c, session_dialog(c, s), SIP_UPDATE, &nothing, &t)) {
        arm(c, s, left < SE_LATER ? left : SE_LATER); /* a table is full: it will not stay so */
        return;
    }
    t->user = s->user; /* a challenge is for the user */
    s->se_update = txn_handle(c, t);
}

void stimer_fired(struct sip_core *c, struct sip_session *s)
{
    handle_t h = slot_handle(&c->sessions, s);
    core_hist_timer(c, s->tag, s->leg, HIST_TIMER_FIRED, HIST_T_SE, 0);
    if (s->state != SES_CONFIRMED && s->state != SES_ANSWERED)
        return;
    if (s->se_we_refresh)
        refresh(c, s, h);
    else
        expire(c, s, h);
}

/* ---- our requests ---------------------------------------------------------------------------- */

void stimer_write_request(struct sip_core *c, const struct sip_session *s, struct sip_build *w,
                          bool initial)
{
    if (!s || !is_on(c))
        return;
    char mem[32];
    struct buf b;
    uint32_t interval = s->se_s ? s->se_s : conf_s(c->conf.timers.session_expires);
    if (interval < s->se_min_s)
        interval = s->se_min_s;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, interval);
    if (!initial && s->se_s) /* who does it goes on doing it: section 7.4 */
        buf_z(&b, s->se_we_refresh ? ";refresher=uac" : ";refresher=uas");
    else if (initial && c->conf.timers.refresher_uac)
        buf_lit(&b, ";refresher=uac");
    sip_build_hdr(w, SIP_H_SESSION_EXPIRES, buf_str(&b));
    uint32_t min = conf_s(c->conf.timers.min_se);
    min = s->se_min_s > min ? s->se_min_s : min;
    if (min > SE_MIN_S)
        sip_build_hdr_u64(w, SIP_H_MIN_SE, min);
}

/* Section 7.2. Without a Session-Expires the peer does not know the timer: we refresh alone, since
 * ordinary requests do it. */
void stimer_uac_ok(struct sip_core *c, struct sip_session *s, const struct sip_msg *m)
{
    enum stimer_refresher who;
    uint32_t interval = read_expires(m, &who);
    if (!is_on(c))
        return;
    if (!interval) {
        uint32_t own = conf_s(c->conf.timers.session_expires);
        start(c, s, own > s->se_min_s ? own : s->se_min_s, true);
        return;
    }
    start(c, s, interval < SE_MIN_S ? SE_MIN_S : interval, who != SE_UAS);
}

bool stimer_too_small(struct sip_core *c, struct sip_session *s, struct sip_txn *t,
                      const struct sip_msg *m, struct sip_txn **again)
{
    uint32_t min = read_min_se(m);
    struct sip_dialog *d = slot_find(&c->dialogs, t->dialog);
    if (!is_on(c) || m->status != 422 || !min || s->se_tries >= SE_TRIES || !d)
        return false;
    s->se_tries++;
    s->se_min_s = min;
    char mem[2][40];
    struct buf b[2];
    struct sip_field field[2] = {{.id = SIP_H_SESSION_EXPIRES}, {.id = SIP_H_MIN_SE}};
    for (unsigned i = 0; i < 2; i++) {
        buf_init(&b[i], mem[i], sizeof(mem[i]));
        buf_u64(&b[i], min);
        if (i == 0 && s->se_s)
            buf_z(&b[i], s->se_we_refresh ? ";refresher=uac" : ";refresher=uas");
        field[i].value = buf_str(&b[i]);
    }
    struct sip_content content = {.field = field, .n_fields = 2};
    uint32_t cseq = d->local_cseq + 1;
    if (request_resend(c, t, &content, cseq, again))
        return false;
    d->local_cseq = cseq;
    return true;
}

/* RFC 3261 14.1: who made the Call-ID waits longer. */
static void try_later(struct sip_core *c, struct sip_session *s, const struct sip_msg *m)
{
    uint32_t after = 0;
    struct str value = m ? sip_msg_get(m, SIP_H_RETRY_AFTER) : STR_NONE;
    if (value.n && sip_delta_parse(&after, str_trim(value)))
        after = 0;
    usec_t wait = after && after < 60 ? after * USEC_S
                  : s->uac            ? (210 + rand_below(c->rand, 191)) * 10 * USEC_MS
                                      : rand_below(c->rand, 201) * 10 * USEC_MS;
    wait <<= s->se_refused < 6 ? s->se_refused++ : 6; /* who goes on refusing is asked less often */
    usec_t end = s->se_since + last_moment(s);
    arm(c, s, c->now + wait < end ? wait : end > c->now ? end - c->now : 0);
}

/* Refusals after which the same request may succeed. */
static bool is_passing(unsigned status)
{
    return status == 491 || status == 500 || status == 503;
}

/* A refusal of the refresh by UPDATE, or its silence. */
void stimer_update_answered(struct sip_core *c, struct sip_session *s, struct sip_txn *t,
                            const struct sip_msg *m, unsigned status)
{
    handle_t h = t->session;
    struct sip_txn *again;
    if (status < 200)
        return;
    s->se_update = 0;
    if (status < 300) {
        stimer_uac_ok(c, s, m);
        return;
    }
    if (m && stimer_too_small(c, s, t, m, &again)) {
        s->se_update = txn_handle(c, again);
        return;
    }
    if (status == 408 || status == 481) { /* section 10: the other side is not there any more */
        expire(c, s, h);
        return;
    }
    if (!is_passing(status)) {
        s->peer_update = false; /* a re-INVITE may do */
        refresh(c, s, h);
        return;
    }
    try_later(c, s, m);
}

void stimer_put_off(struct sip_core *c, struct sip_session *s, const struct sip_msg *m)
{
    if (s->se_s && s->se_we_refresh && is_passing(m->status) &&
        c->now >= s->se_since + s->se_s * USEC_S / 2)
        try_later(c, s, m);
}

/* ---- the peer's requests --------------------------------------------------------------------- */

bool stimer_refuses(struct sip_core *c, struct sip_txn *t, const struct sip_msg *m)
{
    enum stimer_refresher who;
    uint32_t asked = read_expires(m, &who), min = conf_s(c->conf.timers.min_se);
    if (!is_on(c) || !asked || asked >= min || !sip_msg_lists(m, SIP_H_SUPPORTED, STR("timer")))
        return false;
    char mem[16];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, min);
    struct sip_field field = {.id = SIP_H_MIN_SE, .value = buf_str(&b)};
    struct sip_answer a = {.status = 422, .content = {.field = &field, .n_fields = 1}};
    respond_txn(c, t, &a, STR_NONE);
    return true;
}

void stimer_note_request(struct sip_core *c, struct sip_session *s, const struct sip_msg *m)
{
    enum stimer_refresher who, ours = c->conf.timers.refresher_uac ? SE_UAC : SE_UAS;
    if (!is_on(c))
        return;
    bool supports = sip_msg_lists(m, SIP_H_SUPPORTED, STR("timer"));
    uint32_t asked = read_expires(m, &who), min = read_min_se(m);
    uint32_t own = conf_s(c->conf.timers.session_expires);
    uint32_t floor = min > SE_MIN_S ? min : SE_MIN_S;
    /* "MAY reduce its value", never below the request's Min-SE, never above what was asked. */
    uint32_t interval = asked && asked < own ? asked : own;
    if (asked && interval < floor)
        interval = asked < floor ? floor : asked < own ? asked : floor;
    else if (interval < floor)
        interval = floor;
    if (asked && !supports) /* a proxy asks on behalf of a peer that does not know it */
        who = SE_NOBODY;
    s->se_asked_s = interval;
    s->se_asked_uac = stimer_choose(supports, who, ours) == SE_UAC;
    s->se_asked_require = supports;
}

void stimer_write_answer(struct sip_core *c, const struct sip_session *s, enum sip_method method,
                         struct sip_build *w)
{
    char mem[32];
    struct buf b;
    bool refreshes =
        method == SIP_INVITE || (method == SIP_UPDATE && s && s->state >= SES_ANSWERED);
    if (!s || !refreshes || !is_on(c) || !s->se_asked_s)
        return;
    buf_init(&b, mem, sizeof(mem));
    buf_u64(&b, s->se_asked_s);
    buf_z(&b, s->se_asked_uac ? ";refresher=uac" : ";refresher=uas");
    sip_build_hdr(w, SIP_H_SESSION_EXPIRES, buf_str(&b));
    if (s->se_asked_require)
        sip_build_hdr(w, SIP_H_REQUIRE, STR("timer"));
}

/* Our 2xx is out: the interval begins. */
void stimer_uas_ok(struct sip_core *c, struct sip_session *s)
{
    if (!is_on(c) || !s->se_asked_s)
        return;
    c->stats.refreshes_received += s->se_s != 0;
    start(c, s, s->se_asked_s, !s->se_asked_uac);
    s->se_asked_s = 0;
}
