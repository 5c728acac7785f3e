#include "pbx/sound.h"

#include "pbx/call_int.h"

const struct prompt_text prompt_texts[PROMPTS] = {
#define P(id, name, en, ko) {name, en, ko},
#include "pbx/prompt.def"
#undef P
};

/* ---- lists ----------------------------------------------------------------------------------- */

static struct media_item *add(struct sound_list *l, enum media_item_kind kind)
{
    if (l->n == MEDIA_MAX_ITEMS)
        return NULL;
    l->item[l->n] = (struct media_item){.kind = (uint8_t)kind};
    return &l->item[l->n++];
}

void sound_clip(struct sound_list *l, uint32_t number)
{
    struct media_item *i = add(l, MEDIA_ITEM_CLIP);
    if (i)
        i->clip = number;
}

void sound_prompt(struct pbx *p, struct sound_list *l, enum prompt prompt)
{
    sound_clip(l, sound_of_prompt(prompt, p->config->sounds.language));
}

static struct str country_of(const struct config *c)
{
    static const char codes[][3] = {"KR", "US", "GB", "DE", "FR", "JP",
                                    "CN", "IT", "ES", "IN", "AU", "BR"};
    return str_of(codes[c->sounds.country], 2);
}

void sound_tone(struct pbx *p, struct sound_list *l, enum tone_kind kind, uint32_t ms)
{
    struct media_item *i = add(l, MEDIA_ITEM_TONE);
    if (!i)
        return;
    i->tone = (uint8_t)kind;
    i->ms = ms;
    memcpy(i->country, country_of(p->config).p, sizeof(i->country));
}

void sound_silence(struct sound_list *l, uint32_t ms)
{
    struct media_item *i = add(l, MEDIA_ITEM_SILENCE);
    if (i)
        i->ms = ms;
}

void sound_digit(struct sound_list *l, char digit, uint32_t ms)
{
    struct media_item *i = add(l, MEDIA_ITEM_DIGIT);
    if (!i)
        return;
    i->digit = digit;
    i->ms = ms;
}

/* ---- to a party ------------------------------------------------------------------------------ */

/* The first stream that was told formats, hence audio in plain RTP; NULL. */
struct leg_stream *sound_stream(struct leg *leg)
{
    for (unsigned i = 0; i < leg->n_streams; i++)
        if (leg->stream[i].id && leg->stream[i].audio)
            return &leg->stream[i];
    return NULL;
}

static void play_to(struct pbx *p, enum media_cmd_kind kind, media_id id,
                    const struct sound_list *l)
{
    struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
    *cmd = (struct media_cmd){.kind = kind, .id = id};
    memcpy(cmd->play.item, l->item, sizeof(l->item));
    cmd->play.n_items = (uint8_t)l->n;
    cmd->play.loop = l->loop;
    cmd->play.append = l->append;
    cmd->play.token = l->token;
}

static void play_on(struct pbx *p, struct leg_stream *s, const struct sound_list *l)
{
    play_to(p, MEDIA_PLAY, s->id, l);
}

static void stop_on(struct pbx *p, struct leg_stream *s)
{
    pbx_emit(p, PBX_OUT_MEDIA)->media = (struct media_cmd){.kind = MEDIA_STOP, .id = s->id};
}

void sound_play(struct pbx *p, struct leg *leg, const struct sound_list *l)
{
    struct leg_stream *s = sound_stream(leg);
    if (!s)
        return;
    if (l->loop) /* else the music goes on behind it */
        s->music = false;
    play_on(p, s, l);
}

void sound_stop(struct pbx *p, struct leg *leg)
{
    struct leg_stream *s = sound_stream(leg);
    if (!s)
        return;
    s->music = false;
    stop_on(p, s);
}

void sound_listen(struct pbx *p, struct leg *leg)
{
    for (unsigned i = 0; i < leg->n_streams; i++)
        if (leg->stream[i].id)
            pbx_emit(p, PBX_OUT_MEDIA)->media =
                (struct media_cmd){.kind = MEDIA_LISTEN, .id = leg->stream[i].id, .on = true};
}

void sound_listen_talking(struct pbx *p, struct leg *leg)
{
    if (leg->extension && leg->config->features.record.n)
        sound_listen(p, leg);
}

void sound_follow_hold(struct pbx *p, struct leg *leg, unsigned stream)
{
    struct leg_stream *s = &leg->stream[stream];
    bool music = s->id && s->audio && s->other_silent && leg->config->sounds.hold_music;
    if (music == s->music || leg->ringback)
        return;
    s->music = music;
    if (music) {
        struct sound_list l = {.loop = true};
        sound_clip(&l, SOUND_MUSIC);
        play_on(p, s, &l);
    } else if (s->id) {
        stop_on(p, s);
    }
}

/* ---- rooms ----------------------------------------------------------------------------------- */

static void tell_room(struct pbx *p, enum media_cmd_kind kind, const struct leg_stream *s,
                      uint64_t room, bool muted)
{
    struct media_cmd *cmd = &pbx_emit(p, PBX_OUT_MEDIA)->media;
    *cmd = (struct media_cmd){.kind = kind, .id = s->id};
    cmd->member.room = room;
    cmd->member.muted = muted || s->silent;
}

media_id sound_join(struct pbx *p, struct leg *leg, uint64_t room, bool muted)
{
    struct leg_stream *s = sound_stream(leg);
    if (!s || !s->mixes)
        return 0;
    sound_stop(p, leg);
    sound_listen(p, leg);
    tell_room(p, MEDIA_JOIN, s, room, muted);
    return s->id;
}

void sound_member(struct pbx *p, struct leg *leg, uint64_t room, bool muted)
{
    struct leg_stream *s = sound_stream(leg);
    if (s)
        tell_room(p, MEDIA_MEMBER, s, room, muted);
}

void sound_leave(struct pbx *p, struct leg *leg, uint64_t room)
{
    struct leg_stream *s = sound_stream(leg);
    if (s)
        tell_room(p, MEDIA_LEAVE, s, room, false);
}

void sound_room(struct pbx *p, uint64_t room, const struct sound_list *l)
{
    play_to(p, MEDIA_ROOM_PLAY, room, l);
}

bool sound_is_held(struct leg *leg)
{
    const struct leg_stream *s = sound_stream(leg);
    return s && s->silent;
}
