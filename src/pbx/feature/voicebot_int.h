/* What the files of voicebot share. */
#ifndef PBX_FEATURE_VOICEBOT_INT_H
#define PBX_FEATURE_VOICEBOT_INT_H

#include "bot/bot.h"
#include "pbx/feature/service.h"
#include "pbx/feature/voicebot.h"

#define VOICEBOT_PER_CALL  4     /* bots that one call may ask: they may hand over to each other */
#define VOICEBOT_NOTES_MAX 16384 /* bytes of a transcript; what is said beyond is left out */

enum voicebot_outcome {
    VOICEBOT_ASKED,    /* it is being opened */
    VOICEBOT_DECLINED, /* it could not be */
    VOICEBOT_LATE,     /* somebody else has answered, or the caller has gone */
    VOICEBOT_ANSWERED
};

/* Of engine mrcp. */
struct voicebot_speech {
    media_id stream; /* with the server; 0: it is closed */
    media_id caller; /* the stream with which it is linked; 0: none */
    uint16_t port;
    uint8_t family; /* enum addr_family */
    uint8_t track;  /* of `recording` */
    handle_t recording;
    bool saying;   /* the server has something to say */
    uint32_t hear; /* token of what is to be understood */
};

/* One conversation, from the first thought of it until its engine is closed. */
struct voicebot_session {
    handle_t self; /* its number at the engine, too */
    handle_t call, leg;
    handle_t dial;         /* for which it is being opened; 0: no longer */
    struct config *config; /* a reference */
    const struct config_bot *bot;
    const struct config_extension *extension; /* for whom it stands in; NULL */
    uint8_t reason, outcome;
    uint16_t status;  /* of the phones, which has led to it */
    bool starting;    /* it is being begun: who began it goes on with the search */
    bool over;        /* only CLOSED of its engine is waited for */
    bool left;        /* the caller is being handed over */
    bool taps;        /* the media plane tells of its caller's voice */
    uint32_t token;   /* of what is said */
    usec_t at, ended; /* asked; over */
    struct bot_conf conf;
    struct bot_talk talk;
    struct voicebot_speech speech;
    struct pbx_timer timer;
    struct str notes; /* owned: JSON objects with commas between */
    struct botlink_figures figures;
    usec_t call_started;
    bool unrecorded;
    uint8_t record[16];
};

struct voicebots {
    struct slot_table sessions;
};

/* voicebot.c */
struct voicebot_session *voicebot_find(struct pbx *p, handle_t h);
struct voicebot_session *voicebot_of(struct pbx *p, const struct call *call);
void voicebot_input(struct pbx *p, struct voicebot_session *s, const struct bot_input *in);
/* The caller was handed to somebody else, or nobody: what was opened is closed. */
void voicebot_end(struct pbx *p, struct voicebot_session *s);

/* voicebot_go.c: where a conversation leads. */
void voicebot_go(struct pbx *p, struct voicebot_session *s, const struct bot_goal *goal);

/* voicebot_text.c */
void voicebot_conf(struct bot_conf *ret, const struct config_bot *o);
/* 0: English, 1: Korean. */
unsigned voicebot_language(const struct config *c, const struct config_bot *o);
/* The token of what is said next. */
uint32_t voicebot_token(struct voicebot_session *s);
/* `n` texts as one, in p->turn. */
struct str voicebot_words(struct pbx *p, const struct voicebot_session *s, const uint8_t *text,
                          unsigned n);
/* One sentence of `n` texts, as sounds of ours. */
void voicebot_say(struct pbx *p, struct voicebot_session *s, const uint8_t *text, unsigned n);

/* voicebot_speech.c: engine mrcp. */
bool voicebot_is_spoken_for(const struct voicebot_session *s);
/* A port pair for the stream with the server, for whom it has to be said BOTLINK_OPEN and _CLOSE.
 * false: none is left. */
MUST_CHECK bool voicebot_speech_port(struct pbx *p, handle_t self, const struct config_bot *bot,
                                     struct voicebot_speech *ret);
void voicebot_speech_link(struct pbx *p, struct voicebot_session *s);
void voicebot_speech_unlink(struct pbx *p, struct voicebot_session *s);
void voicebot_speech_say(struct pbx *p, struct voicebot_session *s, const uint8_t *text,
                         unsigned n);
/* What orders need besides what they have. */
void voicebot_speech_fill(struct pbx *p, struct voicebot_session *s, struct botlink_cmd *cmd);
/* The caller begins to speak, or has ended. */
void voicebot_speech_voice(struct pbx *p, struct voicebot_session *s, bool talks);
/* It is about something that is not wanted any more. */
bool voicebot_speech_is_stale(struct voicebot_session *s, const struct botlink_event *ev);

/* voicebot_record.c */
void voicebot_note_heard(struct pbx *p, struct voicebot_session *s, const struct bot_out *o);
void voicebot_note(struct pbx *p, struct voicebot_session *s, struct str who, struct str what);
/* Into the log and the transcript: what is wrong with it. */
void voicebot_fails(struct pbx *p, struct voicebot_session *s, struct str why);
/* In the record of the call: it was asked, and what became of it. */
void voicebot_note_event(struct pbx *p, const struct voicebot_session *s, const char *result);
/* Its row in the database. */
void voicebot_store(struct pbx *p, const struct voicebot_session *s);

#endif
