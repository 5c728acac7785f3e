/* What the exchange lets a party hear: prompts, tones, music. Sounds have the numbers below; the
 * media plane is given them by whoever can read files (pbx_sounds). */
#ifndef PBX_SOUND_H
#define PBX_SOUND_H

#include "engine/media/media.h"
#include "engine/media/tone.h"

struct pbx;
struct leg;
struct leg_stream;

enum prompt {
#define P(id, name, en, ko) PROMPT_##id,
#include "pbx/prompt.def"
#undef P
    PROMPTS
};

struct prompt_text {
    const char *name, *en, *ko;
};
extern const struct prompt_text prompt_texts[PROMPTS];

/* Numbers of sounds in the media plane: MEDIA_CLIP. Those from SOUND_OWN on are for files that come
 * and go. */
#define SOUND_MUSIC     1
#define SOUND_PROMPTS   2 /* two a prompt: English, Korean */
#define SOUND_OWN       1024
#define SOUND_BOTS      2048 /* texts of bots: SOUND_BOT_TEXTS of each, in their order */
#define SOUND_BOT_TEXTS 32
_Static_assert(SOUND_PROMPTS + 2 * PROMPTS <= SOUND_OWN, "prompts have numbers of their own");

static inline uint32_t sound_of_prompt(enum prompt prompt, unsigned language)
{
    return SOUND_PROMPTS + 2 * (uint32_t)prompt + language;
}

/* What is to be heard, one behind the other. Zeroed, it is empty; what does not fit is left out. */
struct sound_list {
    struct media_item item[MEDIA_MAX_ITEMS];
    unsigned n;
    bool loop;      /* until sound_stop() */
    bool append;    /* behind what is being heard; else in its place */
    uint32_t token; /* comes back when it is over; 0: nobody asks */
};
void sound_prompt(struct pbx *p, struct sound_list *l, enum prompt prompt);
/* ms 0: without end. */
void sound_tone(struct pbx *p, struct sound_list *l, enum tone_kind kind, uint32_t ms);
void sound_silence(struct sound_list *l, uint32_t ms);
void sound_clip(struct sound_list *l, uint32_t number);
/* telephone-event, or its tones. */
void sound_digit(struct sound_list *l, char digit, uint32_t ms);

/* The first stream of the leg that carries speech which we understand; NULL. */
struct leg_stream *sound_stream(struct leg *leg);
/* To the party of the leg, on that stream. */
void sound_play(struct pbx *p, struct leg *leg, const struct sound_list *l);
void sound_stop(struct pbx *p, struct leg *leg);
/* Keys that its party sends as sound are wanted, where it cannot send telephone-event. */
void sound_listen(struct pbx *p, struct leg *leg);
/* The same for a party that talks to another one: only if a key can do anything then. */
void sound_listen_talking(struct pbx *p, struct leg *leg);
/* Its first audio stream enters a room of the media plane; what it has heard so far ends. A party
 * that holds is silent whatever `muted` says: nobody in the room hears its music. Returns the
 * stream; 0: it has none that can be mixed. */
media_id sound_join(struct pbx *p, struct leg *leg, uint64_t room, bool muted);
/* How it takes part from now on. */
void sound_member(struct pbx *p, struct leg *leg, uint64_t room, bool muted);
void sound_leave(struct pbx *p, struct leg *leg, uint64_t room);
/* To all who are in the room, besides each other. */
void sound_room(struct pbx *p, uint64_t room, const struct sound_list *l);
/* Does its party send nothing that is to be heard (hold)? */
bool sound_is_held(struct leg *leg);
/* Music on hold begins or ends for one stream, as its leg's state wants. */
void sound_follow_hold(struct pbx *p, struct leg *leg, unsigned stream);

#endif
