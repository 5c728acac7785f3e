/* What is played to one party: sounds, tones, digits and pauses, one behind the other. */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "engine/media/plane_int.h"
#include "engine/media/tone.h"
#include "wire/rtp/rtp.h"

#define DIGIT_MS     100
#define DIGIT_GAP_MS 80
#define DIGIT_VOLUME 10
#define FRAME_MAX    960 /* 20 ms at 48 kHz */
#define CHUNK        480

struct play {
    struct media_item item[MEDIA_MAX_QUEUE];
    unsigned n, at;
    unsigned round; /* so many of the last items are a loop */
    bool begun;     /* the present item */
    uint32_t token;
    struct media_item back[MEDIA_MAX_ITEMS]; /* the loop that goes on behind them */
    unsigned n_back, back_at;
    uint32_t back_pos, back_token;
    uint64_t left; /* samples of the present item at rate_hz; UINT64_MAX: no end */
    uint32_t rate_hz;
    struct tone tone;
    struct dtmf_tx tx;
    uint32_t clock_hz; /* of the event under way */
    struct media_clip *clip;
    uint32_t pos, skip; /* in it; where the next one begins */
    struct resample rs;
};

/* ---- clips ----------------------------------------------------------------------------------- */

static void clip_unref(struct media_clip *c)
{
    if (c && --c->refs == 0)
        mem_free(c);
}

int play_clip(struct plane *r, const struct media_cmd *cmd)
{
    struct media_clip *c = cmd->play.clip;
    if (cmd->play.clip_number >= MEDIA_MAX_CLIPS || (c && (!c->n || c->rate_hz < 1000))) {
        mem_free(c);
        return -EINVAL;
    }
    clip_unref(r->clip[cmd->play.clip_number]);
    r->clip[cmd->play.clip_number] = c;
    if (c)
        c->refs = 1;
    return 0;
}

void play_clips_free(struct plane *r)
{
    for (unsigned i = 0; r->clip && i < MEDIA_MAX_CLIPS; i++)
        clip_unref(r->clip[i]);
    mem_unmap(r->clip, MEDIA_MAX_CLIPS * sizeof(struct media_clip *));
    r->clip = NULL;
}

/* ---- digits as events ------------------------------------------------------------------------ */

static uint32_t digit_ms(const struct media_item *i)
{
    return i->ms ? i->ms : DIGIT_MS;
}

/* One packet of the event under way. */
static bool event_tick(struct plane *r, usec_t now, struct stream *s)
{
    struct dtmf_tx_packet k;
    const struct media_format *f = plane_keys(s);
    uint8_t bytes[RTP_HEADER_BYTES + RTP_EVENT_BYTES];
    if (!dtmf_tx_next(&s->play->tx, &k) || !f || !plane_can_say(r, s))
        return false;
    rtp_header_build(bytes, &(struct rtp_header){.pt = f->pt,
                                                 .marker = k.marker,
                                                 .seq = egress_again(&s->egress),
                                                 .ts = k.ts,
                                                 .ssrc = s->egress.ssrc});
    memcpy(bytes + RTP_HEADER_BYTES, k.payload, RTP_EVENT_BYTES);
    plane_out_put(r, now, s, bytes, sizeof(bytes));
    return true;
}

/* It ends now, whatever was still to come: the party is told so (RFC 4733 section 2.5.1.5). */
static void event_end(struct plane *r, usec_t now, struct stream *s)
{
    dtmf_tx_end(&s->play->tx);
    while (dtmf_tx_busy(&s->play->tx))
        if (!event_tick(r, now, s))
            break;
    s->play->tx = (struct dtmf_tx){0};
}

/* The event begins where the sound stands now, which is said to its end; its packets are numbered
 * behind it. */
static bool event_begin(struct plane *r, usec_t now, struct stream *s, const struct media_item *i)
{
    const struct media_format *f = plane_keys(s), *speech = plane_speech(s);
    if (!f)
        return false;
    uint32_t clock_hz = speech ? speech->clock_hz : f->clock_hz;
    plane_say_end(r, now, s);
    struct egress_out o =
        egress_make(&s->egress, now, &(struct egress_frame){.clock_hz = clock_hz});
    s->egress.seq--; /* egress_again() takes it */
    struct dtmf_order order = {.digit = i->digit,
                               .volume = DIGIT_VOLUME,
                               .ms = digit_ms(i),
                               .ts = o.ts,
                               .rate_hz = f->clock_hz};
    return dtmf_tx_start(&s->play->tx, &order) == 0;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void item_end(struct play *p)
{
    clip_unref(p->clip);
    p->clip = NULL;
    p->begun = false;
}

void play_free(struct stream *s)
{
    if (!s->play)
        return;
    item_end(s->play);
    resample_done(&s->play->rs);
    mem_free(s->play);
    s->play = NULL;
}

static void told(struct plane *r, struct stream *s, uint32_t token)
{
    if (token)
        plane_event_new(r, MEDIA_EV_PLAYED, s)->token = token;
}

/* The loop waits behind what takes its place, where it stands. */
static void loop_leave(struct play *p)
{
    unsigned first = p->n - p->round;
    p->n_back = p->round;
    memcpy(p->back, p->item + first, p->round * sizeof(p->back[0]));
    p->back_at = p->at > first ? p->at - first : 0;
    p->back_pos = p->at >= first && p->begun && p->clip ? p->pos : 0;
    p->back_token = p->token;
    p->n = first;
    p->round = 0;
}

static void loop_again(struct plane *r, struct play *p)
{
    const struct media_item *i = &p->back[p->back_at];
    item_end(p);
    memcpy(p->item, p->back, p->n_back * sizeof(p->back[0]));
    p->n = p->round = p->n_back;
    p->at = p->back_at;
    p->token = p->back_token;
    p->n_back = 0;
    const struct media_clip *c =
        i->kind == MEDIA_ITEM_CLIP && i->clip < MEDIA_MAX_CLIPS ? r->clip[i->clip] : NULL;
    p->skip = c && p->back_pos < c->n ? p->back_pos : 0;
}

/* All was played, or it was stopped. */
static void finish(struct plane *r, usec_t now, struct stream *s)
{
    uint32_t token = s->play->token;
    s->play_keys = false;
    play_free(s);
    plane_say_end(r, now, s);
    told(r, s, token);
}

/* All was played. */
static void over(struct plane *r, usec_t now, struct stream *s)
{
    struct play *p = s->play;
    if (!p->n_back) {
        finish(r, now, s);
        return;
    }
    s->play_keys = false;
    told(r, s, p->token);
    loop_again(r, p);
}

int play_cmd(struct plane *r, usec_t now, struct stream *s, const struct media_cmd *cmd)
{
    if (cmd->play.n_items > MEDIA_MAX_ITEMS)
        return -EINVAL;
    if (!s->play) {
        s->play = mem_zero(sizeof(*s->play));
        if (!s->play)
            return -ENOMEM;
        plane_say_end(r, now, s); /* what the party heard before ends here */
    }
    struct play *p = s->play;
    s->play_keys = false;
    if (cmd->play.loop)
        p->n_back = 0;
    else if (p->round)
        loop_leave(p);
    /* What was heard of the loop does not delay what is heard in its place. */
    unsigned old = cmd->play.append && p->n > p->at ? p->n - p->at : 0;
    if (old + cmd->play.n_items > MEDIA_MAX_QUEUE)
        return -ENOBUFS;
    if (!old) {
        event_end(r, now, s);
        item_end(p);
    }
    memmove(p->item, p->item + p->at, old * sizeof(p->item[0]));
    memcpy(p->item + old, cmd->play.item, cmd->play.n_items * sizeof(p->item[0]));
    p->at = 0;
    p->n = old + cmd->play.n_items;
    p->round = cmd->play.loop ? cmd->play.n_items : 0;
    p->token = cmd->play.token;
    return 0;
}

int play_stop(struct plane *r, usec_t now, struct stream *s)
{
    if (!s->play)
        return 0;
    event_end(r, now, s);
    finish(r, now, s);
    return 0;
}

/* ---- the tick -------------------------------------------------------------------------------- */

static uint64_t samples_of(const struct play *p, uint64_t ms)
{
    return ms * p->rate_hz / 1000;
}

/* False: there is nothing to it. */
static bool item_begin(struct plane *r, usec_t now, struct stream *s, const struct media_item *i)
{
    struct play *p = s->play;
    p->left = i->ms ? samples_of(p, i->ms) : UINT64_MAX;
    switch ((enum media_item_kind)i->kind) {
    case MEDIA_ITEM_SILENCE:
        return i->ms != 0;
    case MEDIA_ITEM_CLIP:
        p->clip = i->clip < MEDIA_MAX_CLIPS ? r->clip[i->clip] : NULL;
        if (!p->clip || resample_set(&p->rs, p->clip->rate_hz, p->rate_hz)) {
            p->clip = NULL;
            return false;
        }
        p->clip->refs++;
        p->pos = p->skip;
        p->skip = 0;
        return true;
    case MEDIA_ITEM_TONE:
        return tone_start(&p->tone, p->rate_hz, str_of(i->country, 2), (enum tone_kind)i->tone) ==
               0;
    case MEDIA_ITEM_DIGIT:
        p->left = samples_of(p, (uint64_t)digit_ms(i) + DIGIT_GAP_MS);
        p->tone = (struct tone){0};
        if (event_begin(r, now, s, i))
            return true;
        return tone_digit(&p->tone, p->rate_hz, i->digit, digit_ms(i), DIGIT_GAP_MS) == 0;
    }
    return false;
}

static unsigned clip_run(struct play *p, int16_t *out, unsigned n)
{
    unsigned made = 0;
    while (made < n && p->pos < p->clip->n) {
        unsigned taken = p->clip->n - p->pos < CHUNK ? p->clip->n - p->pos : CHUNK;
        unsigned got = resample_run(&p->rs, p->clip->sample + p->pos, &taken, out + made, n - made);
        p->pos += taken;
        made += got;
        if (!taken && !got)
            break;
    }
    return made;
}

/* At most n samples of the present item; fewer: it is over. */
static unsigned item_run(struct play *p, const struct media_item *i, int16_t *out, unsigned n)
{
    if (n > p->left)
        n = (unsigned)p->left;
    unsigned made = n;
    if (i->kind == MEDIA_ITEM_CLIP)
        made = clip_run(p, out, n);
    else if (i->kind == MEDIA_ITEM_SILENCE || dtmf_tx_busy(&p->tx))
        memset(out, 0, n * sizeof(*out));
    else
        (void)tone_make(&p->tone, out, n);
    if (p->left != UINT64_MAX)
        p->left -= made;
    return made;
}

/* Fills the frame; returns how much of it is sound. A loop in which there is nothing is silent: its
 * sound may still be on its way. */
static unsigned fill(struct plane *r, usec_t now, struct stream *s, int16_t *out, unsigned n)
{
    struct play *p = s->play;
    unsigned made = 0, empty = 0;
    while (made < n && p->n) {
        if (p->at == p->n) {
            if (!p->round)
                break;
            p->at = p->n - p->round;
        }
        if (empty > p->n) {
            memset(out + made, 0, (n - made) * sizeof(*out));
            return n;
        }
        const struct media_item *i = &p->item[p->at];
        if (!p->begun)
            p->begun = item_begin(r, now, s, i);
        unsigned got = p->begun ? item_run(p, i, out + made, n - made) : 0;
        made += got;
        empty = got ? 0 : empty + 1;
        if (made < n || p->left == 0) {
            item_end(p);
            p->at++;
        }
    }
    return made;
}

/* The rate of the codec has changed: what is under way goes on at the new one. */
static void rate_set(struct play *p, uint32_t rate_hz)
{
    if (p->rate_hz == rate_hz)
        return;
    if (p->begun && p->left != UINT64_MAX)
        p->left = p->left * rate_hz / p->rate_hz;
    p->rate_hz = rate_hz;
    if (p->begun && p->clip && resample_set(&p->rs, p->clip->rate_hz, rate_hz))
        item_end(p);
    if (p->begun && p->item[p->at].kind == MEDIA_ITEM_TONE)
        p->begun = false; /* it begins anew */
    if (p->begun && p->item[p->at].kind == MEDIA_ITEM_DIGIT)
        p->tone = (struct tone){0}; /* but no key is pressed twice */
}

unsigned play_frame(struct plane *r, usec_t now, struct stream *s, uint32_t rate_hz, int16_t *out)
{
    rate_set(s->play, rate_hz);
    unsigned n = fill(r, now, s, out, rate_hz / 50);
    if (n < rate_hz / 50 && plane_event_room(r))
        over(r, now, s);
    return n;
}

void play_tick(struct plane *r, usec_t now, struct stream *s)
{
    int16_t frame[FRAME_MAX];
    struct play *p = s->play;
    rate_set(p, plane_say_rate(r, s));
    unsigned want = p->rate_hz / 50;
    unsigned n = fill(r, now, s, frame, want);
    if (dtmf_tx_busy(&p->tx))
        (void)event_tick(r, now, s);
    else if (n)
        plane_say(r, now, s, p->rate_hz, frame, n);
    if (n < want && plane_event_room(r))
        over(r, now, s);
}
