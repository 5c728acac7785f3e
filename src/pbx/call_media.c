/* What the media plane says, and who hears of it. */
#include "pbx/call_int.h"
#include "pbx/feature/early_session.h"
#include "pbx/feature/ringback.h"
#include "pbx/feature/service.h"
#include "pbx/feature/voicebot.h"
#include "pbx/feature/voicemail.h"
#include "pbx/quality.h"
#include "pbx/record.h"
#include "pbx/sound.h"

/* Speech tells whether anybody is there: a camera may be off for as long as it likes. */
static void rtp_timeout(struct pbx *p, struct leg *leg, media_id stream)
{
    struct call *call = call_find(p, leg->call);
    const struct leg_stream *speech = sound_stream(leg);
    if (speech && speech->id != stream)
        return;
    if ((call->state != CALL_UP && call->state != CALL_ANSWERING) || !call_is_party(p, call, leg))
        return;
    char mem[24];
    struct buf id;
    buf_init(&id, mem, sizeof(mem));
    buf_u64(&id, call->number);
    p->calls->rtp_timeouts++;
    trace_emit(&p->trace, TRACE_MEDIA_TIMEOUT, call->tag, TS(buf_str(&id)),
               TU(call->config->media.rtp_timeout_ms / 1000));
    hist_put(&p->trace, call->tag,
             (struct hist_event){.kind = HIST_TIMER_FIRED, .leg = leg->number, .code = HIST_T_RTP});
    struct call_ending e = {
        .by = CALL_BY_SYSTEM, .status = 200, .cause = 41, .reason = STR("rtp_timeout")};
    call_end(p, call, &e);
}

void call_rx_media(struct pbx *p, const struct media_ev *ev)
{
    if (ev->kind == MEDIA_EV_RECORDED) {
        if (ev->id & PBX_RECORD_MESSAGE)
            voicemail_stopped(p, ev->id);
        else
            recording_stopped(p, ev->id);
        return;
    }
    struct leg *leg = leg_of_stream(p, ev->id);
    if (leg)
        leg_note_stats(leg, ev);
    if (ev->kind == MEDIA_EV_CLOSED)
        quality_closed(p, ev);
    port_rx(p, &p->calls->ports, ev);
    if (!leg) {
        voicebot_rx_media(p, ev);
        return;
    }
    if (ev->kind == MEDIA_EV_FIRST) {
        ringback_rx_first(p, leg);
        early_rx_first(p, leg);
    }
    if (leg->regular) /* its keys are its party's own, and its silence ends nothing */
        return;
    if (ev->kind == MEDIA_EV_DIGIT || ev->kind == MEDIA_EV_PLAYED || ev->kind == MEDIA_EV_TALK ||
        ev->kind == MEDIA_EV_VOICE || ev->kind == MEDIA_EV_HEARS)
        service_rx_media(p, leg, ev);
    if (ev->kind != MEDIA_EV_TIMEOUT && ev->kind != MEDIA_EV_STRANGER)
        return;
    if (ev->kind == MEDIA_EV_TIMEOUT) {
        rtp_timeout(p, leg, ev->id);
        return;
    }
    char mem[80];
    struct buf from;
    buf_init(&from, mem, sizeof(mem));
    addr_put(&from, &ev->from);
    trace_emit(&p->trace, TRACE_MEDIA_STRANGER, call_find(p, leg->call)->tag, TS(buf_str(&from)),
               TU(leg->stream[0].port));
}
