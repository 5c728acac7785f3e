/* Recordings: of which calls, what their files are called, and what the sidecar says. A recording
 * is begun for a call or a room, legs join and leave it, and it ends after its last sample is on
 * the disk, when the call may be long gone. */
#ifndef PBX_RECORD_H
#define PBX_RECORD_H

#include "pbx/call_int.h"

#define RECORD_MAX_TALKS  4096 /* stretches of speech in one sidecar */
#define RECORD_MAX_PAUSES 256  /* likewise */

enum record_by { RECORD_BY_CONFIG, RECORD_BY_KEY, RECORD_BY_API };

/* What one leg has said, as the sidecar tells it. */
struct record_track {
    char party[64], name[64];
    uint8_t leg; /* its number in the call's history; 0: it is what a bot says */
    uint32_t from_ms, to_ms;
    bool there;   /* it has not left */
    bool talking; /* since talk_ms */
    uint32_t talk_ms;
};

struct record_talk {
    uint32_t from_ms, to_ms;
    uint8_t track; /* from 1 */
};

struct record_pause {
    uint32_t from_ms, to_ms;
};

struct recording {
    handle_t self;
    usec_t began;
    usec_t told;      /* when the sidecar was given its latest text */
    uint8_t mode;     /* enum config_record_mode: mixed, tracks or both */
    uint8_t n_tracks; /* then who comes gets that of one who has left, if there is one */
    bool wide, paused, stopping;
    bool closed; /* its file was told to end */
    bool failed; /* there is no sound after end_ms */
    uint32_t end_ms;
    struct str folder, base, about; /* owned; about: JSON members of what is recorded */
    struct record_talk *talk;
    uint32_t n_talk, cap_talk;
    uint32_t pause_ms; /* when the one began that has not ended */
    uint32_t n_pauses;
    struct record_pause pause[RECORD_MAX_PAUSES];
    struct record_track track[40];
};

/* Calls of people: begins when configuration says so, follows the parties, ends with the call. */
void recording_follow(struct pbx *p, struct call *call);
void recording_call_over(struct pbx *p, struct call *call);
/* 0; -EALREADY: it is being recorded, as part of a room or as a message too, or is not; -ENOMEM;
 * -ENOTCONN: nobody talks in it. */
MUST_CHECK int recording_start(struct pbx *p, struct call *call, enum config_record mode,
                               enum record_by by);
MUST_CHECK int recording_stop(struct pbx *p, struct call *call);
MUST_CHECK int recording_pause(struct pbx *p, struct call *call, bool on);
/* A key during a call: the code of features.record begins and ends a recording, which its party
 * hears. What configuration has begun, or would begin, it ends only with recording.key_may_end. */
void recording_key(struct pbx *p, struct leg *leg, char digit);
/* The recording was stopped before its calls ended: they are told why, and are not in it any more.
 * at_ms: its length. paused: so it was, and so is what goes on in its place. */
void recording_lost(struct pbx *p, handle_t recording, struct str why, uint32_t at_ms, bool paused);

/* What a recording is made of, for rooms as well. wide: more than telephone quality. about: JSON
 * members without braces. 0: no memory. */
handle_t recording_begin(struct pbx *p, enum config_record mode, bool wide, struct str base,
                         struct str about);
void recording_add(struct pbx *p, handle_t recording, struct leg *leg);
void recording_remove(struct pbx *p, struct leg *leg);
/* The leg is heard in a conference that a phone makes of its call and a recorded one: it becomes a
 * track there, besides what is recorded of its own call; or it leaves again (recording 0). */
void recording_guest(struct pbx *p, handle_t recording, struct leg *leg);
/* A voice without a leg: what is received on stream `id`, as `party`. Returns its track; 0: there
 * is none left, or no such recording. `leaves` with id 0: the stream is closed already. */
uint8_t recording_voice(struct pbx *p, handle_t recording, media_id id, struct str party);
void recording_voice_leaves(struct pbx *p, handle_t recording, media_id id, uint8_t track);
void recording_voice_talks(struct pbx *p, handle_t recording, uint8_t track, bool talks);
/* What `bot` says to a leg that is recorded becomes a track beside it; none: no longer. */
void recording_said(struct pbx *p, struct leg *leg, struct str bot);
void recording_hold(struct pbx *p, handle_t recording, bool paused);
void recording_end(struct pbx *p, handle_t recording);
/* What it is called: "folder/base" in p->turn. */
struct str recording_name(struct pbx *p, handle_t recording);

/* ---- what the others say --------------------------------------------------------------------- */
void recording_talks(struct pbx *p, struct leg *leg, bool talks);
/* The media plane has given its last sample. */
void recording_stopped(struct pbx *p, uint64_t number);
/* A recording has been written, or was stopped. */
void recording_done(struct pbx *p, const struct pbx_recorded *r);
/* A killed process has left it: its call gets a record. */
void recording_found(struct pbx *p, const struct pbx_found *f);
/* Of the process: those that have not ended are forgotten. */
void recording_free_all(struct pbx *p);

#endif
