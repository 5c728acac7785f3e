/* What a bot is told and says as JSON, beside sound that goes in binary messages: a protocol of
 * ours, docs/stream-bots.md has the whole of it. Bytes to structs and back, no time. */
#ifndef WIRE_BOT_BOTJSON_H
#define WIRE_BOT_BOTJSON_H

#include "base/assert.h"
#include "base/buf.h"

/* ---- to the bot: each appends one message; buf.full afterwards: it did not fit ----------------
 */

struct botjson_start {
    uint32_t rate_hz;      /* of sound in both directions */
    const uint8_t *record; /* 16 bytes: the id of the call's record */
    struct str bot, from, to, reason, call_id;
    bool resumed;
};
void botjson_start(struct buf *b, const struct botjson_start *s);
void botjson_dtmf(struct buf *b, char digit);
void botjson_mark(struct buf *b, struct str name);
/* {"type":KIND} */
void botjson_plain(struct buf *b, const char *kind);

/* ---- from the bot ---------------------------------------------------------------------------- */

enum botjson_kind {
    BOTJSON_OTHER, /* well formed, but not for us: passed over */
    BOTJSON_MARK,
    BOTJSON_CLEAR,
    BOTJSON_TRANSFER,
    BOTJSON_HANGUP,
    BOTJSON_NOTE
};

#define BOTJSON_NAME_MAX 256

struct botjson_msg {
    enum botjson_kind kind;
    struct str text; /* name of MARK, to of TRANSFER, text of NOTE */
    void *json;      /* what it lives in */
};

/* 0; -EBADMSG: no JSON, or not what its type needs; -EMSGSIZE: a name or number above
 * BOTJSON_NAME_MAX. After 0 botjson_done() is due. */
MUST_CHECK int botjson_parse(struct botjson_msg *ret, struct str text);
/* The same, with words in place of the error: NULL, or a constant that says what the bot did wrong,
 * such as "sent a mark without a name". */
MUST_CHECK const char *botjson_read(struct botjson_msg *ret, struct str text);
void botjson_done(struct botjson_msg *m);

#endif
