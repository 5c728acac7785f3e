/* What the files of voicemail share: mailboxes, recordings under way, and calls with a mailbox. */
#ifndef PBX_FEATURE_VOICEMAIL_INT_H
#define PBX_FEATURE_VOICEMAIL_INT_H

#include <errno.h>

#include "base/hash.h"
#include "base/list.h"
#include "pbx/feature/pin.h"
#include "pbx/feature/service.h"
#include "pbx/feature/voicemail.h"

#define VM_TAKES   500 /* recordings at a time */
#define VM_CLIPS   256 /* messages that are listened to at a time */
#define VM_TYPED   63
#define VM_TRIES   3 /* wrong PINs: of one call, and of other phones before the mailbox is locked */
#define VM_WAIT    (5 * USEC_S) /* for a key */
#define VM_REPEATS 3

/* As stored. VM_COMING is in the database only: of a recording that a kill makes worthless. */
enum vm_state { VM_NEW, VM_OLD, VM_GREETING, VM_STATES, VM_COMING = VM_STATES };

struct vm_message {
    struct list node;
    uint64_t id; /* names the file; later ones are higher */
    uint8_t state;
    bool urgent;
    uint64_t at_ms; /* wall clock */
    uint32_t ms;
    struct str caller, name; /* owned */
};

struct vm_box {
    struct hash_node by_number;
    struct list node;
    struct str number;    /* owned */
    struct list messages; /* by id, greetings too */
    uint32_t n[VM_STATES], urgent[VM_STATES];
    uint32_t coming;       /* recordings under way */
    struct pin_guard pins; /* typed at other phones than the owner's */
};

/* A recording under way. It outlives the call: the last samples and the file come later. */
struct vm_take {
    handle_t session;
    struct vm_message m;
    struct str number; /* owned: of the mailbox */
    usec_t began;
    bool talked, dropped, stopping;
};

/* A sound of the media plane lent to a session. */
struct vm_clip {
    handle_t session; /* 0: it has lost interest */
    bool used, loading;
};

enum vm_kind { VM_LEAVE, VM_LISTEN, VM_KINDS };

struct vm_entry {
    uint64_t id;
    bool gone; /* deleted when the list is left */
};

/* A call with a mailbox. */
struct vm_session {
    handle_t self, call, leg; /* leg: who hears and speaks */
    uint8_t kind, state, tries, repeats;
    bool urgent;
    bool own;          /* from a phone of the owner */
    struct str number; /* owned: of the mailbox; none: not said yet */
    uint32_t token;    /* of what is heard */
    uint32_t clip;     /* 0: none */
    handle_t take;     /* 0: nothing is recorded */
    usec_t ends;       /* of the recording */
    struct pbx_timer timer;
    char typed[VM_TYPED];
    uint8_t n_typed;
    struct vm_entry *list; /* being listened to */
    uint32_t n, at;
};

struct voicemail {
    struct hash_table by_number;
    struct list boxes;
    struct slot_table sessions, takes;
    struct vm_clip clip[VM_CLIPS];
    struct pbx_timer expiry;
    uint64_t last_id;
};

/* What a kind of session is told. */
struct vm_does {
    void (*up)(struct pbx *p, struct vm_session *s);
    void (*key)(struct pbx *p, struct vm_session *s, char digit);
    void (*said)(struct pbx *p, struct vm_session *s); /* all was heard */
    void (*late)(struct pbx *p, struct vm_session *s); /* the timer */
    /* err: why there is no sound. What cannot be loaded now is not lost; vm_is_gone() is. */
    void (*loaded)(struct pbx *p, struct vm_session *s, int err);
    void (*broken)(struct pbx *p, struct vm_session *s); /* its recording was stopped */
    void (*over)(struct pbx *p, struct vm_session *s);
};
extern const struct vm_does vm_leave_does, vm_listen_does;

/* ---- voicemail_box.c ------------------------------------------------------------------------- */
struct vm_box *vm_box_find(const struct pbx *p, struct str number);
/* Made when there is none; NULL: no memory. */
struct vm_box *vm_box_get(struct pbx *p, struct str number);
bool vm_box_is_full(struct pbx *p, const struct vm_box *b);
/* The extension that owns the mailbox now; NULL. */
const struct config_extension *vm_owner(const struct pbx *p, struct str number);
struct vm_message *vm_message_find(struct vm_box *b, uint64_t id);
/* The owner's greeting; NULL. */
struct vm_message *vm_greeting(struct vm_box *b);
/* A number for a new message. */
uint64_t vm_message_id(struct pbx *p);
/* A copy of `like` comes into the mailbox and the database. -ENOMEM. */
MUST_CHECK int vm_message_add(struct pbx *p, struct vm_box *b, const struct vm_message *like);
void vm_message_mark(struct pbx *p, struct vm_box *b, struct vm_message *m, enum vm_state state);
/* The row of a message that is being recorded: after a kill it is what `state` says. */
void vm_message_store(struct pbx *p, struct str number, const struct vm_message *m,
                      enum vm_state state);
/* The row and the file of a message. */
void vm_message_forget(struct pbx *p, struct str number, uint64_t id);
/* Out of the mailbox, the database and the disk. */
void vm_message_remove(struct pbx *p, struct vm_box *b, struct vm_message *m);
/* An order for the file of a message. */
struct pbx_file *vm_file(struct pbx *p, enum pbx_file_order order, struct str number, uint64_t id);
void vm_expire(struct pbx *p, struct pbx_timer *t);

/* ---- voicemail_take.c: recordings and sounds ------------------------------------------------- */
/* Begins to record the session's party. -EAGAIN: too many; -ENOENT: it has no stream of speech. */
MUST_CHECK int vm_take_begin(struct pbx *p, struct vm_session *s, enum vm_state state);
/* Ends it. Returns whether there will be a message. */
bool vm_take_end(struct pbx *p, struct vm_session *s, bool drop);
/* The party speaks, or stops: the session's timer ends the recording. */
void vm_take_talks(struct pbx *p, struct vm_session *s, bool talks);
/* Is there nothing on the disk any more that could be heard? */
static inline bool vm_is_gone(int err)
{
    return err == -ENOENT || err == -ENODATA;
}
/* Loads the sound of a message; the answer is `loaded`. false: too many. */
bool vm_clip_load(struct pbx *p, struct vm_session *s, uint64_t id);
void vm_clip_drop(struct pbx *p, struct vm_session *s);

/* ---- voicemail_say.c: sentences -------------------------------------------------------------- */
struct vm_say {
    struct sound_list part[4];
    unsigned n;
};
void say_prompt(struct pbx *p, struct vm_say *say, enum prompt prompt);
void say_beep(struct pbx *p, struct vm_say *say);
void say_clip(struct vm_say *say, uint32_t number);
/* One by one; what is no digit is left out. */
void say_digits(struct pbx *p, struct vm_say *say, struct str digits);
/* 0 to 99, more is said as 99. */
void say_number(struct pbx *p, struct vm_say *say, unsigned n);
void say_counts(struct pbx *p, struct vm_say *say, unsigned n_new, unsigned n_old);
/* When a message came and from whom. */
void say_envelope(struct pbx *p, struct vm_say *say, const struct vm_message *m);

/* ---- voicemail.c: sessions ------------------------------------------------------------------- */
void vm_sessions_free(struct pbx *p);
/* Who hears and speaks. */
struct leg *vm_leg(struct pbx *p, const struct vm_session *s);
struct vm_session *vm_session_find(struct pbx *p, handle_t h);
/* The party hears it in place of what it heard; `said` follows. */
void vm_say(struct pbx *p, struct vm_session *s, const struct vm_say *say);
/* One prompt. */
void vm_say_prompt(struct pbx *p, struct vm_session *s, enum prompt prompt);
/* What it hears ends; `said` does not follow. */
void vm_hush(struct pbx *p, struct vm_session *s);
/* NULL: it has not been said which, there is none, or there is no memory. */
struct vm_box *vm_box_of(struct pbx *p, const struct vm_session *s);
void vm_hang_up(struct pbx *p, struct vm_session *s);

#endif
