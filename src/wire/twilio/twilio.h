/* Twilio Media Streams, as its documentation gives them ("Media Streams - WebSocket Messages"):
 * JSON text between a telephone system (here: us) and a bot. Bytes to structs and back, no time.
 * What leaves us leaves 50 times a second and is written by hand; what comes in is read by jansson.
 *
 * Sound is G.711 µ-law at 8 kHz (RFC 3551 section 4.5.14), without any header, in base64 (RFC 4648
 * section 4). */
#ifndef WIRE_TWILIO_TWILIO_H
#define WIRE_TWILIO_TWILIO_H

#include "base/assert.h"
#include "base/buf.h"

/* Two letters and 32 hexadecimal digits, and a NUL: ACcount, CAll, stream (MZ). */
#define TWILIO_SID_BYTES 35

struct twilio_ids {
    char account[TWILIO_SID_BYTES], call[TWILIO_SID_BYTES], stream[TWILIO_SID_BYTES];
};

/* kind: "AC", "CA" or "MZ". */
void twilio_sid(char ret[TWILIO_SID_BYTES], const char *kind, const uint8_t bytes[16]);
bool twilio_sid_is(struct str s, const char *kind);

struct twilio_param {
    struct str name, value;
};

/* ---- to the bot: each appends one message; buf.full afterwards: it did not fit ----------------
 */

/* The first message, and the only one without a number. */
void twilio_connected(struct buf *b);
/* seq: sequenceNumber of this and the following messages, from 1 on. */
void twilio_start(struct buf *b, uint64_t seq, const struct twilio_ids *ids,
                  const struct twilio_param *param, unsigned n);
struct twilio_media {
    uint64_t chunk;        /* from 1 on */
    uint64_t timestamp_ms; /* of its first sample, since the stream began */
    const uint8_t *ulaw;
    size_t n;
};
void twilio_media(struct buf *b, uint64_t seq, const struct twilio_ids *ids,
                  const struct twilio_media *m);
void twilio_dtmf(struct buf *b, uint64_t seq, const struct twilio_ids *ids, char digit);
void twilio_mark(struct buf *b, uint64_t seq, const struct twilio_ids *ids, struct str name);
void twilio_stop(struct buf *b, uint64_t seq, const struct twilio_ids *ids);

/* ---- from the bot ---------------------------------------------------------------------------- */

enum twilio_kind {
    TWILIO_OTHER, /* well formed, but not for us: passed over */
    TWILIO_MEDIA,
    TWILIO_MARK,
    TWILIO_CLEAR,
    TWILIO_NOTE /* not Twilio's: a line for the record of the call,
                   {"event":"transcript","transcript":{"text":"..."}} */
};

#define TWILIO_MARK_MAX 256

struct twilio_msg {
    enum twilio_kind kind;
    struct str stream;  /* its streamSid; nothing: it named none */
    struct str payload; /* of MEDIA, in base64 */
    struct str name;    /* of MARK; of NOTE its text */
    void *json;         /* what the texts live in */
};

/* 0; -EBADMSG: no JSON, or not what the event needs; -EMSGSIZE: a name above TWILIO_MARK_MAX.
 * After 0 twilio_msg_done() is due. */
MUST_CHECK int twilio_parse(struct twilio_msg *ret, struct str text);
/* The same, with words in place of the error: NULL, or a constant that says what the bot did wrong,
 * such as "sent `mark` without `name`". */
MUST_CHECK const char *twilio_read(struct twilio_msg *ret, struct str text);
void twilio_msg_done(struct twilio_msg *m);

/* RFC 4648 section 4. How many bytes a text stands for at most. */
static inline size_t base64_most(size_t n)
{
    return n / 4 * 3 + 3;
}
/* Returns how many bytes were written to ret, which holds base64_most(in.n); -EBADMSG. Padding may
 * be missing; line ends are passed over. */
MUST_CHECK long base64_get(uint8_t *ret, struct str in);
void base64_put(struct buf *b, const uint8_t *in, size_t n);

/* ---- what proves who asks -------------------------------------------------------------------- */

/* X-Twilio-Signature of a request for this URL without form fields: HMAC-SHA1 (RFC 2104) under the
 * account's token, in base64. 28 characters and a NUL. */
#define TWILIO_SIGNATURE_BYTES 29
MUST_CHECK int twilio_signature(char ret[TWILIO_SIGNATURE_BYTES], struct str token, struct str url);

/* ---- the call's resource: POST /2010-04-01/Accounts/{sid}/Calls/{sid}.json --------------------
 */

struct twilio_path {
    struct str account, call;
};
/* 0 or -ENOENT: another path. */
MUST_CHECK int twilio_path(struct twilio_path *ret, struct str path);

/* A number or a SIP URI, as <Dial> has it, and as other bots have to say it. */
bool twilio_target_is(struct str s);

enum twilio_order { TWILIO_HANGUP, TWILIO_TRANSFER };
struct twilio_update {
    enum twilio_order order;
    char target[256]; /* of TRANSFER: a number or a SIP URI */
    const char *why;  /* of an error: a sentence for the bot's author */
};
/* The form (application/x-www-form-urlencoded): Status=completed, or Twiml= with one verb that ends
 * or moves the call. 0, or -EINVAL with `why`. */
MUST_CHECK int twilio_update(struct twilio_update *ret, struct str form);
/* `basic`: the value of Authorization (RFC 7617). Compared without telling by its time how much is
 * right. */
bool twilio_basic_is(struct str basic, struct str account, struct str token);

#endif
