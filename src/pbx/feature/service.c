#include "pbx/feature/service.h"

#include "pbx/feature/dial.h"
#include "pbx/record.h"
#include "pbx/subscription.h"
#include "wire/sip/dtmf_info.h"

static const struct service none;
static const struct service *const services[SERVICES] = {
    [SERVICE_NONE] = &none,
    [SERVICE_ECHO] = &service_echo,
    [SERVICE_CONFERENCE] = &service_conference,
    [SERVICE_VOICEMAIL] = &service_voicemail,
    [SERVICE_ANNOUNCE] = &service_announce,
    [SERVICE_BOT] = &service_bot,
};

static const struct service *service_of(const struct call *call)
{
    return services[call->service];
}

/* Our description for the caller. An offer or an answer that is out already, in a reliable
 * provisional, is not said again (RFC 3262 section 5). */
static int describe(struct pbx *p, struct leg *leg, struct sip_content *content)
{
    const struct sdp *offer = leg_sdp_kept(p, leg->offer);
    const struct sdp *ours = leg_sdp_kept(p, leg->told), *theirs = leg_sdp_kept(p, leg->said);
    struct str names[CONF_CODEC_COUNT];
    struct sdp_policy policy = {.codec = names, .n_codecs = transcode_codecs(p, leg, names)};
    if (leg_awaits_answer(leg))
        return 0;
    if (leg->settled) {
        if (ours && theirs)
            transcode_formats(p, leg, ours, theirs);
        return 0;
    }
    int err = !policy.n_codecs ? -ENOENT
              : offer          ? leg_answer_with(p, leg, offer, NULL, &policy, &content->body)
                               : leg_offer_own(p, leg, &content->body);
    if (err)
        return err;
    content->type = STR("application/sdp");
    if (offer) {
        leg_set_remote(p, leg, offer);
        leg_tx_answer(p, leg, content->body);
    } else {
        leg_tx_offer(p, leg, content->body);
    }
    return 0;
}

bool service_answer(struct pbx *p, struct call *call, enum service_kind kind)
{
    struct leg *leg = call_caller(p, call);
    struct sip_field events = {.id = SIP_H_ALLOW_EVENTS, .value = subscription_events(p)};
    struct sip_answer a = {.status = 200};
    a.content.field = &events; /* a focus tells of its event package: RFC 4579 section 4.3 */
    a.content.n_fields = kind == SERVICE_CONFERENCE;
    int err = describe(p, leg, &a.content);
    if (err) {
        dial_refuse(p, call, err == -EAGAIN ? 503 : 488);
        return false;
    }
    sound_listen(p, leg);
    call->service = (uint8_t)kind;
    call->scenario = SCENARIO_FEATURE;
    call->cdr.answered = p->now;
    call->cdr.answer_ms = pbx_wall_ms(p);
    p->calls->answered++;
    leg->joined = p->now;
    call_enter(p, call, CALL_ANSWERING);
    if (sip_accept(p->core, p->now, leg->session, &a)) {
        dial_refuse(p, call, 500);
        return false;
    }
    return true;
}

void service_take(struct pbx *p, struct call *call, struct leg *leg, enum service_kind kind)
{
    const struct sdp *ours = leg_sdp_kept(p, leg->told), *theirs = leg_sdp_kept(p, leg->said);
    for (unsigned i = 0; i < leg->n_streams; i++)
        if (leg->stream[i].id)
            pbx_emit(p, PBX_OUT_MEDIA)->media =
                (struct media_cmd){.kind = MEDIA_UNLINK, .id = leg->stream[i].id};
    leg_follow_hold(p, leg, NULL);
    if (ours && theirs)
        transcode_formats(p, leg, ours, theirs);
    sound_listen(p, leg);
    call->service = (uint8_t)kind;
    call_enter(p, call, CALL_UP);
}

void service_hang_up(struct pbx *p, struct call *call)
{
    struct call_ending e = {.by = CALL_BY_SYSTEM, .status = 200, .cause = 16};
    call_end(p, call, &e);
}

void service_up(struct pbx *p, struct call *call)
{
    if (service_of(call)->up)
        service_of(call)->up(p, call);
}

void service_over(struct pbx *p, struct call *call)
{
    const struct service *s = service_of(call);
    call->service = SERVICE_NONE;
    if (s->over)
        s->over(p, call);
}

bool service_offered(struct pbx *p, struct call *call, struct leg *leg, const struct sdp *offer)
{
    struct str names[CONF_CODEC_COUNT], body;
    struct sdp_policy policy = {.codec = names, .n_codecs = transcode_codecs(p, leg, names)};
    if (call->service == SERVICE_NONE || !policy.n_codecs ||
        leg_answer_with(p, leg, offer, NULL, &policy, &body))
        return false;
    bridge_answer(p, leg, offer, body);
    return true;
}

void service_changed(struct pbx *p, struct call *call)
{
    if (service_of(call)->changed)
        service_of(call)->changed(p, call);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void pressed(struct pbx *p, struct leg *leg, char digit)
{
    struct call *call = call_find(p, leg->call);
    if (call->service == SERVICE_NONE)
        recording_key(p, leg, digit);
    else if (call->state == CALL_UP && call_is_party(p, call, leg) && service_of(call)->key)
        service_of(call)->key(p, call, digit);
}

enum service_digit service_info(struct pbx *p, struct leg *leg, const struct sip_out *o, char *ret)
{
    struct dtmf_info d;
    if (dtmf_info_parse(&d, sip_msg_get(o->msg, SIP_H_CONTENT_TYPE), o->msg->body))
        return SERVICE_NO_DIGIT;
    *ret = d.digit;
    if (!digits_whole(&leg->digits, p->now, DIGIT_INFO, d.digit, d.ms))
        return SERVICE_DIGIT_KNOWN;
    pressed(p, leg, d.digit);
    return SERVICE_DIGIT;
}

/* An announcement is heard before the answer. */
static bool hears(const struct call *call)
{
    return call->state == CALL_UP || call->service == SERVICE_ANNOUNCE;
}

void service_rx_media(struct pbx *p, struct leg *leg, const struct media_ev *ev)
{
    struct call *call = call_find(p, leg->call);
    if (ev->kind == MEDIA_EV_TALK)
        recording_talks(p, leg, ev->talks);
    enum digit_means by = ev->in_band ? DIGIT_INBAND : DIGIT_EVENT;
    if (ev->kind == MEDIA_EV_DIGIT && ev->over)
        digits_end(&leg->digits, p->now, by);
    else if (ev->kind == MEDIA_EV_DIGIT && digits_begin(&leg->digits, p->now, by, ev->digit))
        pressed(p, leg, ev->digit);
    else if (ev->kind == MEDIA_EV_PLAYED && hears(call) && service_of(call)->played)
        service_of(call)->played(p, call, ev->token);
    else if ((ev->kind == MEDIA_EV_VOICE || ev->kind == MEDIA_EV_HEARS) && call->state == CALL_UP &&
             service_of(call)->voice)
        service_of(call)->voice(p, call, ev);
    else if (ev->kind == MEDIA_EV_TALK && call->state == CALL_UP && service_of(call)->talks)
        service_of(call)->talks(p, call, ev->talks);
}

/* ---- echo ------------------------------------------------------------------------------------ */

static void echo_up(struct pbx *p, struct call *call)
{
    struct leg *leg = call_caller(p, call);
    bridge_link(p, leg, leg);
}

const struct service service_echo = {.up = echo_up};
