/* A program at a stream: it hears the party frame by frame, and what it gives is said to the party.
 * Who speaks first is decided here and not by who has ordered it: nobody who is talked over waits
 * for a message to go round. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane_int.h"
#include "engine/media/vad.h"
#include "wire/rtp/seq.h"

#define RATE_HZ      8000
#define QUEUE_MS     60000
#define QUEUE_MS_MAX 600000
#define ONSET_MS     60
#define HANG_MS      400
#define PACKET_MS    20
#define ANSWER_MS    200
#define HUSH_US      (2 * USEC_S)
#define ABSENT_US    (60 * USEC_MS) /* no packet for so long is silence */
/* A peer that pauses between words for so long is still speaking. */
#define PAUSE_US (500 * USEC_MS)
/* Of 32768: the noise of a line is below it. */
#define LOUD 160

struct tap {
    struct list in_plane; /* in plane.tapped */
    struct stream *stream;
    uint64_t link;
    bool sound, ears, voice, barge_in, linked;
    bool fresh;    /* pcm is to be taken */
    bool stopped;  /* that is to be told */
    bool hushed;   /* the party speaks: what is fed is not heard */
    bool sounding; /* something fed was said in this tick */
    bool told;     /* that it talks */
    bool hears;    /* its peer, which is still to be told */
    struct vad vad;
    struct resample rs;
    struct feed feed;
    usec_t at;
    usec_t hushed_at;
    bool shut;      /* the party has stopped its peer */
    usec_t peer_at; /* when that was last heard to say something; 0: never */
    usec_t lapse;   /* one that pauses for so long has stopped in the middle; 0: it may */
    bool lapsed;    /* that it says nothing any more was told */
    /* G.711 is listened to as it comes, without the way through the buffer. */
    bool direct;
    usec_t direct_at; /* its last packet, */
    uint32_t ssrc;    /* which was of this source */
    uint16_t seq;
    unsigned n_part;
    int16_t part[RATE_HZ / 50]; /* of a frame */
    struct media_ev change;     /* what could not be told yet; .id 0: nothing */
    int16_t pcm[PLANE_TAP_SAMPLES];
};

/* ---- commands -------------------------------------------------------------------------------- */

void tap_free(struct stream *s)
{
    struct tap *t = s->tap;
    if (!t)
        return;
    list_remove(&t->in_plane);
    resample_done(&t->rs);
    feed_done(&t->feed);
    mem_free(t);
    s->tap = NULL;
}

static struct tap *tap_new(struct stream *s)
{
    struct tap *t = mem_zero(sizeof(*t));
    if (t)
        t->stream = s;
    return t;
}

static uint16_t within(uint16_t v, uint16_t usual, uint16_t most)
{
    return v == 0 ? usual : v < PACKET_MS ? PACKET_MS : v > most ? most : v;
}

/* A conversation that begins finds nothing of the one before. */
static void tap_set(struct tap *t, const struct media_cmd *cmd)
{
    uint32_t hz = cmd->tap.rate_hz ? cmd->tap.rate_hz : RATE_HZ;
    uint32_t ms = cmd->tap.queue_ms ? cmd->tap.queue_ms : QUEUE_MS;
    if (!t->feed.rate_hz || t->link != cmd->tap.link || t->feed.rate_hz != hz) {
        feed_done(&t->feed);
        feed_init(&t->feed, hz, ms < QUEUE_MS_MAX ? ms : QUEUE_MS_MAX);
        t->fresh = t->hushed = t->stopped = t->sounding = t->shut = t->lapsed = false;
        t->peer_at = 0;
    }
    uint16_t onset = within(cmd->tap.onset_ms, ONSET_MS, 1000);
    uint16_t hang = within(cmd->tap.hang_ms, HANG_MS, 5000);
    if (!t->vad.onset)
        vad_init(&t->vad, onset, hang);
    t->vad.onset = onset;
    t->vad.hang = hang;
    t->link = cmd->tap.link;
    t->sound = cmd->tap.sound;
    t->ears = cmd->tap.ears;
    t->voice = cmd->tap.voice;
    t->barge_in = cmd->tap.barge_in;
    t->linked = cmd->tap.linked;
    t->lapse = cmd->tap.lapse_ms * USEC_MS;
}

/* Silence of ours ends, and packets that are passed on follow. */
void tap_let(struct plane *r, usec_t now, struct stream *s)
{
    struct tap *t = s->tap;
    if (!t)
        return;
    t->peer_at = 0;
    t->hears = t->lapsed = false;
    if (!t->shut)
        return;
    t->shut = false;
    if (!s->play && !s->room)
        plane_say_end(r, now, s);
}

int tap_cmd(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd)
{
    bool rate_known = cmd->tap.rate_hz == 0 || cmd->tap.rate_hz == 8000 || //
                      cmd->tap.rate_hz == 16000;
    if (cmd->kind == MEDIA_TAP_HEAR && !s->tap)
        return -ENOENT;
    if (cmd->kind == MEDIA_TAP_HEAR && cmd->on) {
        s->tap->shut |= s->tap->linked && s->peer && s->tap->peer_at;
        return 0;
    }
    if (cmd->kind == MEDIA_TAP_HEAR) {
        tap_let(r, now, s);
        return 0;
    }
    if (!cmd->on) {
        tap_let(r, now, s);
        if (s->tap && !s->play && !s->room && !s->peer)
            plane_say_end(r, now, s);
        tap_free(s);
        return 0;
    }
    if (!rate_known)
        return -EINVAL;
    if (!s->tap)
        s->tap = tap_new(s);
    if (!s->tap)
        return -ENOMEM;
    tap_set(s->tap, cmd);
    return 0;
}

/* ---- what is given --------------------------------------------------------------------------- */

static void wants_taking(struct plane *r, struct tap *t)
{
    if (!t->in_plane.next)
        list_append(&r->tapped, &t->in_plane);
}

/* A mark behind sound that nobody hears is reached at once. */
static int feed_one(struct plane *r, usec_t now, struct tap *t, const struct plane_feed *f)
{
    int err = 0;
    switch (f->kind) {
    case PLANE_FEED_SOUND:
        if (!t->hushed)
            return feed_put(&t->feed, now, f->came, f->pcm, f->n);
        t->feed.figures.cleared_ms += f->n * 1000 / t->feed.rate_hz;
        return -EBUSY;
    case PLANE_FEED_MARK:
        err = feed_mark(&t->feed, f->token);
        break;
    case PLANE_FEED_CLEAR:
        feed_clear(&t->feed);
        t->hushed = false;
        break;
    }
    wants_taking(r, t);
    return err;
}

int plane_feed(struct plane *r, usec_t now, const struct plane_feed *f)
{
    struct stream *s = plane_find(r, f->id);
    struct tap *t = s ? s->tap : NULL;
    if (!t || !t->sound || t->link != f->link)
        return -ENOENT;
    int err = feed_one(r, now, t, f);
    r->count.no_memory += err == -ENOMEM;
    return err;
}

/* ---- what is taken --------------------------------------------------------------------------- */

bool taps_wait(const struct plane *r)
{
    return !list_empty(&r->tapped);
}

static bool give(struct tap *t, struct plane_tap *ret)
{
    *ret = (struct plane_tap){.id = t->stream->id,
                              .link = t->link,
                              .at = t->at,
                              .voice = t->vad.talks,
                              .sounding = t->sounding,
                              .ears = t->ears,
                              .figures = t->feed.figures};
    ret->figures.queue_ms = feed_waiting_ms(&t->feed);
    if (t->stopped) {
        t->stopped = false;
        ret->kind = PLANE_TAP_STOPPED;
        return true;
    }
    if (feed_told(&t->feed, &ret->token)) {
        ret->kind = PLANE_TAP_MARK;
        return true;
    }
    if (!t->fresh)
        return false;
    t->fresh = false;
    ret->kind = PLANE_TAP_SOUND;
    ret->pcm = t->pcm;
    ret->n = t->feed.rate_hz / 50;
    return true;
}

bool plane_tap(struct plane *r, struct plane_tap *ret)
{
    list_each(node, &r->tapped)
    {
        struct tap *t = container_of(node, struct tap, in_plane);
        if (give(t, ret))
            return true;
        list_remove(&t->in_plane);
    }
    return false;
}

/* ---- the tick -------------------------------------------------------------------------------- */

static bool hears_fed(const struct tap *t)
{
    return t->sound && feed_waiting_ms(&t->feed) > 0;
}

static bool hears_peer(const struct tap *t, usec_t now, usec_t pause)
{
    return t->linked && t->stream->peer && t->peer_at && now < t->peer_at + pause;
}

static bool is_loud(const struct tap_packet *p)
{
    if (p->codec != CODEC_PCMU && p->codec != CODEC_PCMA)
        return p->n > 0 && p->codec != CODEC_CN; /* it would have to be decoded */
    for (size_t i = 0; i < p->n; i++) {
        int v = p->codec == CODEC_PCMU ? codec_ulaw_sample(p->payload[i])
                                       : codec_alaw_sample(p->payload[i]);
        if (v > LOUD || v < -LOUD)
            return true;
    }
    return false;
}

bool tap_lets(usec_t now, struct stream *s, const struct tap_packet *p)
{
    struct tap *t = s->tap;
    if (!t->linked)
        return true;
    if (t->shut)
        return false;
    if (is_loud(p)) {
        t->hears |= t->peer_at == 0 || t->lapsed;
        t->lapsed = false;
        t->peer_at = now;
    }
    return true;
}

bool tap_keeps_keys(const struct stream *s)
{
    return s->tap && s->tap->linked;
}

/* The party speaks: it is not spoken to. Whether something was stopped. */
static bool hush(struct plane *r, usec_t now, struct stream *s)
{
    struct tap *t = s->tap;
    bool fed = hears_fed(t) || t->sounding;
    if (s->play) {
        (void)play_stop(r, now, s);
        fed = true;
    }
    if (!t->shut && hears_peer(t, now, PAUSE_US))
        t->shut = fed = true;
    if (!t->sound || !fed)
        return fed;
    feed_clear(&t->feed);
    t->hushed = t->stopped = true;
    t->hushed_at = now;
    t->sounding = false;
    return true;
}

/* As long as what was just listened to has waited here. */
static uint32_t waited_ms(const struct stream *s)
{
    struct ear_stats e;
    if (!s->listen || s->tap->direct)
        return 0;
    ear_stats_get(s->listen->ear, &e);
    return e.waiting_ms;
}

/* What was sent in the last tick is heard until the next one. */
static uint32_t left_ms(const struct plane *r, usec_t now, const struct tap *t)
{
    bool any = t->direct && r->tick_due != USEC_NEVER && r->tick_due > now;
    return any ? (uint32_t)((r->tick_due - now + USEC_MS - 1) / USEC_MS) : 0;
}

/* The first voiced sample is the first of its frame, which was a packet long when it left. */
static void voice_begins(struct plane *r, usec_t now, struct stream *s)
{
    struct tap *t = s->tap;
    uint32_t ago = t->vad.run_ms + waited_ms(s);
    t->change = (struct media_ev){.kind = MEDIA_EV_VOICE, .id = s->id, .talks = true};
    t->change.voice.at = now > ago * USEC_MS ? now - ago * USEC_MS : 0;
    if (!t->barge_in || !hush(r, now, s))
        return;
    t->change.voice.stopped = true;
    t->change.voice.stop_ms = ago + left_ms(r, now, t);
    if (t->stopped)
        wants_taking(r, t);
}

static void voice_ends(usec_t now, struct stream *s)
{
    struct tap *t = s->tap;
    uint32_t ago = t->vad.quiet_ms + waited_ms(s);
    t->change = (struct media_ev){.kind = MEDIA_EV_VOICE, .id = s->id};
    t->change.voice.at = now > ago * USEC_MS ? now - ago * USEC_MS : 0;
}

/* What finds no room in the ring is told in the next tick; a change that is over by then is not. */
static void change_tell(struct plane *r, struct stream *s)
{
    struct tap *t = s->tap;
    if (!t->voice || (t->change.id && t->change.talks == t->told))
        t->change.id = 0;
    if (!t->change.id || !plane_event_room(r))
        return;
    struct media_ev *ev = plane_event_new(r, MEDIA_EV_VOICE, s);
    ev->talks = t->change.talks;
    ev->voice = t->change.voice;
    t->told = t->change.talks;
    t->change.id = 0;
}

/* 20 ms of the party. */
static void listened(struct plane *r, usec_t now, struct stream *s, const int16_t *pcm, unsigned n)
{
    struct tap *t = s->tap;
    bool spoken_to = t->sounding || s->play || hears_peer(t, now, ABSENT_US);
    switch (vad_step(&t->vad, pcm, n, n * 50, spoken_to)) {
    case VAD_SAME:
        break;
    case VAD_BEGINS:
        voice_begins(r, now, s);
        break;
    case VAD_ENDS:
        voice_ends(now, s);
        break;
    }
    change_tell(r, s);
}

/* The buffer takes 20 to 60 ms on a path with jitter, which is too long for who speaks up. Where a
 * sample is a byte nothing is lost by not waiting; what is lost or late is as if it had not been.
 */
void tap_rx(struct plane *r, usec_t now, struct stream *s, const struct tap_packet *p)
{
    struct tap *t = s->tap;
    bool ulaw = p->codec == CODEC_PCMU, follows = t->direct && p->ssrc == t->ssrc;
    if (p->codec == CODEC_EVENT || p->codec == CODEC_CN || !(t->voice || t->barge_in))
        return;
    if (!ulaw && p->codec != CODEC_PCMA) {
        t->direct = false;
        return;
    }
    if (follows && rtp_seq_before(p->seq, (uint16_t)(t->seq + 1)))
        return;
    if (!follows || p->seq != (uint16_t)(t->seq + 1))
        t->n_part = 0;
    t->direct = true;
    t->direct_at = now;
    t->ssrc = p->ssrc;
    t->seq = p->seq;
    for (size_t i = 0; i < p->n; i++) {
        t->part[t->n_part++] =
            ulaw ? codec_ulaw_sample(p->payload[i]) : codec_alaw_sample(p->payload[i]);
        if (t->n_part < ARRAY_LEN(t->part))
            continue;
        t->n_part = 0;
        listened(r, now, s, t->part, ARRAY_LEN(t->part));
    }
}

static void voice(struct plane *r, usec_t now, struct stream *s)
{
    static const int16_t nothing[EAR_MAX_SAMPLES];
    struct tap *t = s->tap;
    const struct listen *l = s->listen;
    if (t->direct && now >= t->direct_at + ABSENT_US)
        listened(r, now, s, nothing, RATE_HZ / 50);
    else if (!t->direct)
        listened(r, now, s, l && !l->silent ? l->pcm : nothing, l ? l->n : RATE_HZ / 50);
    else
        change_tell(r, s);
    /* The pause is short, lest the beginning of an answer is lost; and not for ever, lest a noise
     * that is taken for speech silences the bot. */
    t->hushed = t->hushed && t->vad.quiet_ms < ANSWER_MS && now < t->hushed_at + HUSH_US;
}

static void frame_make(struct stream *s)
{
    struct tap *t = s->tap;
    const struct listen *l = s->listen;
    unsigned want = t->feed.rate_hz / 50, taken = l ? l->n : 0, made = 0;
    if (l && resample_set(&t->rs, l->rate_hz, t->feed.rate_hz) == 0)
        made = resample_run(&t->rs, l->pcm, &taken, t->pcm, want);
    memset(t->pcm + made, 0, (want - made) * sizeof(t->pcm[0]));
}

/* That it begins to hear its peer, or does not hear it any more. */
static void hears_tell(struct plane *r, usec_t now, struct stream *s)
{
    struct tap *t = s->tap;
    bool lapses = t->lapse && t->peer_at && !t->lapsed && now >= t->peer_at + t->lapse;
    if (!(t->hears || lapses) || !plane_event_room(r))
        return;
    plane_event_new(r, MEDIA_EV_HEARS, s)->talks = t->hears;
    t->lapsed = !t->hears;
    t->hears = false;
}

void tap_hear(struct plane *r, usec_t now, struct stream *s)
{
    struct tap *t = s->tap;
    t->at = now;
    if (t->linked)
        hears_tell(r, now, s);
    if (t->voice || t->barge_in)
        voice(r, now, s);
    if (!t->sound)
        return;
    frame_make(s);
    t->fresh = true;
    wants_taking(r, t);
}

void tap_say(struct plane *r, usec_t now, struct stream *s)
{
    struct tap *t = s->tap;
    int16_t frame[PLANE_TAP_SAMPLES];
    unsigned n = t->feed.rate_hz / 50;
    if (t->shut && !s->room) {
        memset(frame, 0, sizeof(frame));
        plane_say(r, now, s, t->feed.rate_hz, frame, n);
        return;
    }
    if (!t->sound || s->room || s->peer)
        return;
    t->sounding = feed_take(&t->feed, now, frame, n) > 0;
    plane_say(r, now, s, t->feed.rate_hz, frame, n);
}
