/* What the files of the conferences share: room.c keeps rooms, member.c who is in them,
 * conference.c lets people in and hears their keys, focus.c invites and removes, merge.c makes
 * rooms of calls, roster.c tells who is there. */
#ifndef PBX_FEATURE_CONFERENCE_INT_H
#define PBX_FEATURE_CONFERENCE_INT_H

#include "pbx/feature/conference.h"
#include "pbx/feature/service.h"

#define ROOM_DEFAULT_MAX 50 /* of a room made for the occasion */
#define ROOM_GONE        32 /* who has left, for those who are told what has changed */

enum member_state {
    MEMBER_NEW,     /* its ACK is still to come */
    MEMBER_ASKED,   /* for its PIN */
    MEMBER_CALLED,  /* the focus calls it */
    MEMBER_WAITING, /* for a moderator */
    MEMBER_INSIDE,
    MEMBER_LEAVING /* hears why it must go */
};

struct member {
    handle_t self, room, call, leg;
    struct list in_room;
    uint64_t number;  /* in its room, from 1: what people call it by */
    uint64_t changed; /* the room's count of changes at its latest */
    uint8_t state;
    bool counted; /* it takes one of the places */
    bool moderator, muted, talks;
    bool trusted;  /* is not asked for a PIN */
    bool rings;    /* the one whom the focus calls */
    uint8_t tries; /* wrong PINs */
    uint8_t n_digits;
    char digits[15];
    usec_t star_at; /* '*' was pressed; 0: not */
    usec_t came;    /* 0: not yet inside */
    usec_t talks_since;
    media_id stream;        /* that is in the room */
    struct pbx_timer timer; /* for digits, and for those who leave */
    handle_t transfer;      /* whose REFER has it invited */
    struct str who, name;   /* owned: user part of its URI, display name */
};

struct room {
    handle_t self;
    uint64_t media;                       /* its name in the media plane */
    struct config *config;                /* a reference */
    const struct config_conference *conf; /* NULL: made for the occasion */
    struct str number;                    /* owned */
    struct list members;
    uint32_t n_members, n_counted, n_inside;
    uint64_t last_member;
    usec_t opened;
    uint64_t born, changed; /* the count of changes: at its beginning, at its latest of the room */
    handle_t record;        /* the recording; 0: none */
    bool locked;
    bool ending;  /* nobody comes in any more */
    bool had_two; /* made for the occasion, it ends when one is left */
    uint32_t n_gone;
    struct {
        uint64_t changed;
        struct str who; /* owned */
    } gone[ROOM_GONE];
};

struct conferences {
    struct slot_table rooms, members;
    struct pin_guard *outside; /* by index in the present configuration: of callers from trunks */
    uint32_t n_outside;
    struct pin_guard elsewhere; /* likewise, of rooms that it does not have any more */
    uint64_t last_room, changes;
};

/* ---- room.c ---------------------------------------------------------------------------------- */
/* The room of that number which is open; NULL. */
struct room *room_find(const struct pbx *p, struct str number);
/* The room of the configuration, opened if need be; NULL: the table is full, or no memory. */
struct room *room_get(struct pbx *p, const struct config_conference *conf);
/* A new one with a number that nobody can guess. */
struct room *room_new(struct pbx *p);
/* It goes if nobody is in it or on the way. */
void room_put(struct pbx *p, struct room *room);
struct str room_name(const struct room *room);
uint32_t room_max(const struct room *room);
bool room_has_moderator(const struct room *room);
/* Where the wrong PINs of callers from outside are counted; rooms come and go, this does not. */
struct pin_guard *room_outside(struct pbx *p, const struct room *room);
/* Is there a place for one more? */
bool room_has_place(const struct room *room);
/* Walks its members in the order in which they came; NULL at first and at the end. */
struct member *room_next(const struct room *room, const struct member *after);
struct member *room_numbered(const struct room *room, uint64_t number);
/* Is this extension inside? */
struct member *room_member_of(struct pbx *p, const struct room *room,
                              const struct config_extension *e);
/* Something about the room itself is different: those who watch are told. */
void room_changed(struct pbx *p, struct room *room);
void room_lock(struct pbx *p, struct room *room, bool locked);
/* Everybody is told, and hung up. */
void room_end(struct pbx *p, struct room *room);
/* Frees a text that the room or one of its members owns. */
void room_free_text(struct pbx *p, struct str *owned);

/* ---- member.c -------------------------------------------------------------------------------- */
/* A member of the room in this call, not yet inside; leg may be NULL for one who is yet to be
 * called. The call is the conference's from now on. NULL: the table is full. */
struct member *member_new(struct pbx *p, struct room *room, struct call *call,
                          const struct leg *leg);
struct member *member_of_call(const struct pbx *p, const struct call *call);
struct room *member_room(const struct pbx *p, const struct member *m);
/* Its call is over: it is no more, and the room with the last one. */
void member_free(struct pbx *p, struct member *m);
/* Is it one of those whom a list of the room names? */
bool member_is_shown(const struct member *m);
/* Takes a place; the room must have one. */
void member_count(struct pbx *p, struct member *m);
/* It hears the others, and they hear it. */
void member_enter(struct pbx *p, struct member *m);
/* What its party has changed (hold, another stream) holds in the room. */
void member_refresh(struct pbx *p, struct member *m);
void member_mute(struct pbx *p, struct member *m, bool muted);
/* It hears why, and is hung up. */
void member_send_off(struct pbx *p, struct member *m, enum prompt why);
void member_say(struct pbx *p, struct member *m, enum prompt prompt);

/* ---- conference.c ---------------------------------------------------------------------------- */
/* Its leg is up: it is asked for a PIN, waits, or enters. */
void conference_admit(struct pbx *p, struct member *m);
/* Answers the caller, whose member has been made. false: it was refused, and may be gone. */
bool conference_answer(struct pbx *p, struct call *call, struct room *room);
/* Its time for digits is over. */
void conference_asked(struct pbx *p, struct member *m);

/* ---- focus.c --------------------------------------------------------------------------------- */
struct focus_call {
    const struct config_extension *by; /* whose rights count; NULL: those of the exchange */
    const struct sip_uri *target;      /* or: */
    struct str number;
    handle_t transfer;      /* who is told; 0: nobody */
    struct str referred_by; /* of the REFER; none: it had none */
};
/* Calls somebody for the room. 0, or the status that refuses it. */
MUST_CHECK unsigned focus_invite(struct pbx *p, struct room *room, const struct focus_call *f);
/* The member is no more: who has asked for it is told. */
void focus_forget(struct pbx *p, struct member *m);

/* ---- merge.c --------------------------------------------------------------------------------- */
/* The party that stays in the call is a member of the room from now on, at once if it is trusted.
 * 0 or a status. */
MUST_CHECK unsigned merge_party(struct pbx *p, struct call *call, struct leg *stays,
                                struct room *room, bool trusted);
/* Whoever talks with `leg` goes into the room; `leg` is hung up. 0 or a status. */
MUST_CHECK unsigned merge_other(struct pbx *p, struct leg *leg, struct room *room);

#endif
