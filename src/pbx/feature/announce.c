#include "pbx/feature/announce.h"

#include "pbx/feature/dial.h"

#define TONE_MS  4000
#define INFO_MS  1000
#define GUARD_US (15 * USEC_S) /* if nobody says that all was played */

/* What is heard for a status: a tone, and in its place or behind it a sentence. */
static const struct announcement {
    uint16_t from, to;
    uint8_t tone;
    bool also;          /* the tone before the sentence too */
    enum prompt prompt; /* PROMPTS: none */
} announcements[] = {
    {404, 404, TONE_INFO, true, PROMPT_NO_SUCH_NUMBER},
    {410, 410, TONE_INFO, true, PROMPT_NO_SUCH_NUMBER},
    {484, 484, TONE_INFO, true, PROMPT_NO_SUCH_NUMBER},
    {604, 604, TONE_INFO, true, PROMPT_NO_SUCH_NUMBER},
    {408, 408, TONE_CONGESTION, false, PROMPT_NOT_AVAILABLE},
    {480, 480, TONE_CONGESTION, false, PROMPT_NOT_AVAILABLE},
    {486, 486, TONE_BUSY, false, PROMPTS},
    {600, 600, TONE_BUSY, false, PROMPTS},
    {603, 603, TONE_BUSY, false, PROMPTS},
    {403, 403, TONE_CONGESTION, false, PROMPTS},
    {500, 504, TONE_CONGESTION, false, PROMPTS},
};

static const struct announcement *announcement_of(unsigned status)
{
    for (unsigned i = 0; i < ARRAY_LEN(announcements); i++)
        if (status >= announcements[i].from && status <= announcements[i].to)
            return &announcements[i];
    return NULL;
}

/* It has heard the other side say it, or somebody has answered. */
static bool heard_already(const struct call *call)
{
    for (struct leg *leg = NULL; (leg = call_next(call, leg));)
        if (leg->outgoing && (leg->heard || leg->state == LEG_ANSWERED))
            return true;
    return false;
}

/* A quarter of the room is for calls that may yet be answered. */
static bool has_room(const struct pbx *p)
{
    const struct slot_table *t = &p->calls->calls;
    const struct config_media *m = &p->config->media;
    uint32_t pairs = (m->ports.high - m->ports.low + 1u) / 2;
    return t->used <= t->cap - t->cap / 4 && p->calls->ports.in_use < pairs - pairs / 4;
}

/* Opens the early session. */
static int open_early(struct pbx *p, struct leg *leg)
{
    const struct sdp *offer = leg_sdp_kept(p, leg->offer), *ours;
    struct str names[CONF_CODEC_COUNT];
    struct sdp_policy policy = {.codec = names, .n_codecs = transcode_codecs(p, leg, names)};
    struct sip_answer a = {.status = 183, .content = {.type = STR("application/sdp")}};
    struct sip_peer peer;
    if (sound_stream(leg))
        return 0; /* there is one: who it was opened for is gone */
    if (!offer || !policy.n_codecs ||
        leg_answer_with(p, leg, offer, NULL, &policy, &a.content.body))
        return -ENOENT;
    leg_set_remote(p, leg, offer);
    if (sip_progress(p->core, p->now, leg->session, &a))
        return -EIO;
    if (sip_session_peer(p->core, leg->session, &peer) && peer.rel100_required) {
        leg_tx_answer(p, leg, a.content.body); /* RFC 3262 section 5: it holds */
        leg->settled = true;
    } else if ((ours = leg_sdp_kept(p, a.content.body))) {
        transcode_formats(p, leg, ours, offer);
    }
    return sound_stream(leg) ? 0 : -ENOENT;
}

static void say(struct pbx *p, struct leg *leg, const struct announcement *a)
{
    struct sound_list l = {.token = 1};
    bool speech = p->config->sounds.announce == CONF_ANNOUNCE_SPEECH && a->prompt != PROMPTS;
    if (!speech || a->also)
        sound_tone(p, &l, (enum tone_kind)a->tone, speech ? INFO_MS : TONE_MS);
    if (speech)
        sound_prompt(p, &l, a->prompt);
    sound_play(p, leg, &l);
}

static void end(struct pbx *p, struct call *call)
{
    unsigned status = call->announced;
    call->service = SERVICE_NONE;
    pbx_timer_stop(p, &call->announcing);
    dial_refuse(p, call, status);
}

static void late(struct pbx *p, struct pbx_timer *t)
{
    end(p, container_of(t, struct call, announcing));
}

bool announce_begin(struct pbx *p, struct call *call, unsigned status)
{
    struct leg *caller = call_caller(p, call);
    const struct announcement *a = announcement_of(status);
    struct dial *d = dial_of(p, call);
    if (p->config->sounds.announce == CONF_ANNOUNCE_NONE || !a || call->announced || p->stopping)
        return false;
    if (call->service != SERVICE_NONE) /* a room or a mailbox that could not answer */
        return false;
    if (!caller || call->late_offer || call->state >= CALL_ANSWERING || heard_already(call) ||
        !has_room(p) || open_early(p, caller))
        return false;
    if (d) { /* who still rings */
        dial_drop(p, d, NULL, STR_NONE);
        dial_stop(p, call);
    }
    call_set_party(p, call, 1, NULL);
    call->announced = (uint16_t)status;
    call->service = SERVICE_ANNOUNCE;
    call->announcing.fire = late;
    pbx_timer_start(p, &call->announcing, GUARD_US);
    say(p, caller, a);
    return true;
}

static void played(struct pbx *p, struct call *call, uint32_t token)
{
    if (token == 1)
        end(p, call);
}

static void over(struct pbx *p, struct call *call)
{
    pbx_timer_stop(p, &call->announcing);
}

const struct service service_announce = {.played = played, .over = over};
