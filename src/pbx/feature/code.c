#include "pbx/feature/code.h"

#include "pbx/feature/conference.h"
#include "pbx/feature/dial.h"
#include "pbx/feature/pickup.h"
#include "pbx/feature/service.h"
#include "pbx/feature/setting.h"
#include "pbx/feature/voicemail.h"

static struct plan feature(enum plan_feature f, struct str number)
{
    return (struct plan){.kind = PLAN_FEATURE, .feature = f, .number = number};
}

/* ---- pickup ---------------------------------------------------------------------------------- */

/* "**1427", "*81427": a code and a number behind it. */
static bool directed(const struct config *c, struct str number, struct plan *ret)
{
    const struct config_texts *codes = &c->features.directed_pickup;
    for (unsigned i = 0; i <= codes->n; i++) {
        struct str code = i < codes->n ? codes->v[i] : c->features.pickup;
        if (!code.n || number.n <= code.n || !str_starts(number, code))
            continue;
        struct str rest = str_from(number, code.n);
        if (!config_find_extension(c, rest))
            continue;
        *ret = feature(FEATURE_PICKUP_DIRECTED, rest);
        return true;
    }
    return false;
}

/* ---- mailboxes ------------------------------------------------------------------------------- */

/* "*97", "*98", "*981427". */
static bool mailbox_code(const struct config *c, struct str number, struct plan *ret)
{
    const struct str codes[] = {c->features.voicemail, c->features.voicemail_other};
    for (unsigned i = 0; i < ARRAY_LEN(codes); i++) {
        if (!codes[i].n || !str_starts(number, codes[i]))
            continue;
        struct str rest = str_from(number, codes[i].n);
        if (rest.n && !config_find_extension(c, rest))
            continue;
        *ret = feature(FEATURE_VOICEMAIL, rest.n || i ? rest : STR_NONE);
        return true;
    }
    return false;
}

/* ---- settings -------------------------------------------------------------------------------- */

struct setting_row {
    struct str on, off;
    enum setting setting;
};

/* A code as it stands goes before one with a number behind it: *91 is not *9 and 1. */
static bool setting_row_find(const struct setting_row *row, struct str number, bool whole,
                             struct plan *ret)
{
    bool on = whole ? str_eq(number, row->on) : str_starts(number, row->on);
    bool off = whole && row->off.n && str_eq(number, row->off);
    on = on && row->on.n && (whole || row->setting != SETTING_DND);
    if (!on && !off)
        return false;
    *ret = feature(FEATURE_SETTING, on ? str_from(number, row->on.n) : STR(""));
    ret->setting = (uint8_t)row->setting;
    ret->on = on;
    return true;
}

static bool setting_code(const struct config *c, struct str number, struct plan *ret)
{
    const struct config_features *f = &c->features;
    const struct setting_row rows[] = {
        {f->dnd, f->dnd_off, SETTING_DND},
        {f->forward_always, f->forward_always_off, SETTING_FORWARD_ALWAYS},
        {f->forward_busy, f->forward_busy_off, SETTING_FORWARD_BUSY},
        {f->forward_no_answer, f->forward_no_answer_off, SETTING_FORWARD_NO_ANSWER},
        {f->forward_unregistered, f->forward_unregistered_off, SETTING_FORWARD_UNREGISTERED},
    };
    for (unsigned pass = 0; pass < 2; pass++)
        for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
            if (setting_row_find(&rows[i], number, pass == 0, ret))
                return true;
    return false;
}

bool code_find(const struct config *c, struct str number, struct plan *ret)
{
    if (c->features.pickup.n && str_eq(number, c->features.pickup)) {
        *ret = feature(FEATURE_PICKUP_GROUP, STR_NONE);
        return true;
    }
    if (c->features.echo.n && str_eq(number, c->features.echo)) {
        *ret = feature(FEATURE_ECHO, STR_NONE);
        return true;
    }
    if (c->features.bot.n && c->n_bots && str_eq(number, c->features.bot)) {
        *ret = (struct plan){.kind = PLAN_BOT, .bot = &c->bots[0], .number = number};
        return true;
    }
    if (c->features.conference.n && str_eq(number, c->features.conference)) {
        *ret = feature(FEATURE_CONFERENCE, STR_NONE);
        return true;
    }
    if (c->features.conference_factory.n && str_eq(number, c->features.conference_factory)) {
        *ret = feature(FEATURE_FACTORY, STR_NONE);
        return true;
    }
    return directed(c, number, ret) || mailbox_code(c, number, ret) || setting_code(c, number, ret);
}

void code_refuse(struct pbx *p, struct call *call, struct str text)
{
    struct sip_field warning = {.id = SIP_H_WARNING};
    struct sip_content content = {.field = &warning, .n_fields = 1};
    char mem[320];
    struct buf b;
    buf_init(&b, mem, sizeof(mem));
    buf_lit(&b, "399 ");
    buf_str_put(&b, p->domain);
    buf_lit(&b, " \"");
    buf_str_put(&b, text);
    buf_ch(&b, '"');
    warning.value = buf_str(&b);
    call_refuse(p, call, 404, &content);
}

/* 200, and BYE as soon as it is acknowledged: the phone's owner sees that it was done. */
static void confirm(struct pbx *p, struct call *call)
{
    struct leg *leg = call_caller(p, call);
    const struct sdp *offer = leg_sdp_kept(p, leg->offer);
    struct sip_answer a = {.status = 200, .content = {.type = STR("application/sdp")}};
    int err = offer ? leg_answer_cross(p, leg, offer, NULL, &a.content.body)
                    : leg_offer_own(p, leg, &a.content.body);
    if (err) {
        dial_refuse(p, call, err == -EAGAIN ? 503 : 488);
        return;
    }
    if (offer)
        leg_tx_answer(p, leg, a.content.body);
    else
        leg_tx_offer(p, leg, a.content.body);
    call->cdr.answered = p->now;
    call->cdr.answer_ms = pbx_wall_ms(p);
    call->over_when_acked = true;
    call_enter(p, call, CALL_ANSWERING);
    if (sip_accept(p->core, p->now, leg->session, &a))
        dial_refuse(p, call, 500);
}

static void set(struct pbx *p, struct call *call, const struct plan *plan)
{
    /* Of the configuration that is valid now; the leg's may be older. */
    struct leg *leg = call_caller(p, call);
    const struct config_extension *e = config_find_extension(p->config, leg->extension->number);
    enum setting s = (enum setting)plan->setting;
    struct str value = !plan->on ? STR("") : s == SETTING_DND ? STR("on") : plan->number;
    unsigned status = 0;
    if (!e)
        status = 403;
    else if (plan->on && !value.n)
        status = 484; /* RFC 3261 21.4.22 */
    else
        status = setting_refused(p, e, s, value);
    if (!status && setting_put(p, e, s, value))
        status = 503;
    call->scenario = SCENARIO_FEATURE;
    if (status)
        dial_refuse(p, call, status);
    else
        confirm(p, call);
}

/* Whom the record names: the extension that is meant, else the code itself. */
static void note_callee(struct pbx *p, struct call *call, const struct plan *plan)
{
    bool whose = plan->feature == FEATURE_PICKUP_DIRECTED;
    cdr_keep(p, call, &call->cdr.callee, whose ? plan->number : call->cdr.dialled);
}

void code_dialled(struct pbx *p, struct call *call, const struct plan *plan)
{
    note_callee(p, call, plan);
    switch (plan->feature) {
    case FEATURE_PICKUP_GROUP:
    case FEATURE_PICKUP_DIRECTED:
        pickup_dialled(p, call, plan->number);
        break;
    case FEATURE_SETTING:
        set(p, call, plan);
        break;
    case FEATURE_ECHO:
        (void)service_answer(p, call, SERVICE_ECHO);
        break;
    case FEATURE_VOICEMAIL:
        voicemail_listen(p, call, plan->number);
        break;
    case FEATURE_CONFERENCE:
        conference_of_calls(p, call);
        break;
    case FEATURE_FACTORY:
        conference_open(p, call);
        break;
    }
}
