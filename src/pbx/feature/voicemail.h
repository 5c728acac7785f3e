/* Mailboxes: messages of callers whom nobody answered, and their owners who listen to them. An
 * extension with `voicemail: true` has one. Callers reach it by forwarding (feature/forward.h),
 * owners by features.voicemail. Messages are sound files of PBX_MESSAGES and rows of the database;
 * phones hear of them by RFC 3842. */
#ifndef PBX_FEATURE_VOICEMAIL_H
#define PBX_FEATURE_VOICEMAIL_H

#include "pbx/call_int.h"
#include "pbx/feature/dial.h"

/* 0 or -ENOMEM. */
MUST_CHECK int voicemail_init(struct pbx *p);
void voicemail_done(struct pbx *p);
/* Mailboxes that a reload brings back say their counts. Those that it removes keep their messages:
 * nobody hears them until their extension has a mailbox again. */
void voicemail_reload(struct pbx *p);
/* A row of STORE_RESTORE_MESSAGES. */
void voicemail_restore(struct pbx *p, const struct row_value *v, unsigned n);
/* Is every message written that was begun? */
bool voicemail_is_idle(const struct pbx *p);

/* ---- calls ----------------------------------------------------------------------------------- */

/* The number that callers are forwarded to for the mailbox of who forwards. */
#define VOICEMAIL_WORD "voicemail"
/* TARGET_MAILBOX: ends the search of the call; the exchange answers its caller in the place of the
 * extension. A party that is being transferred is up already and hears it at once. */
void voicemail_leave(struct pbx *p, struct dial *d, const struct target *t);
/* An owner calls. number: whose mailbox, as dialled; none: that of the caller's extension; empty:
 * the caller is asked. */
void voicemail_listen(struct pbx *p, struct call *call, struct str number);

/* ---- what the disk and the media plane say --------------------------------------------------- */

/* A message has been written, or was stopped. */
void voicemail_recorded(struct pbx *p, const struct pbx_recorded *r);
/* MEDIA_EV_RECORDED: its last samples are out. */
void voicemail_stopped(struct pbx *p, uint64_t number);
/* A sound that was asked for by PBX_FILE_LOAD. */
void voicemail_loaded(struct pbx *p, uint32_t clip, int err, uint32_t ms);

/* ---- for the control interface --------------------------------------------------------------- */

struct voicemail_shown {
    uint64_t id;
    bool old, urgent, greeting;
    uint64_t at_ms; /* wall clock */
    uint32_t ms;
    struct str caller, name;
};
/* The messages of a mailbox, the oldest first: start with *at = 0; false at the end. */
bool voicemail_next(struct pbx *p, struct str number, uint64_t *at, struct voicemail_shown *ret);
/* Removes a message, its file too. -ENOENT. */
MUST_CHECK int voicemail_delete(struct pbx *p, uint64_t id);

#endif
