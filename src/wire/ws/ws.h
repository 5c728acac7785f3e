/* WebSocket (RFC 6455), the frames: heads read, masks taken off, messages put together from
 * fragments with control frames between them. For who listens: what it is sent is up to others. */
#ifndef WIRE_WS_WS_H
#define WIRE_WS_WS_H

#include "base/assert.h"
#include "base/buf.h"

enum ws_opcode {
    WS_CONTINUED = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

#define WS_MAX_HEAD 14

struct ws_frame {
    bool fin, masked, packed; /* packed: by an extension (RFC 7692) */
    uint8_t opcode;
    uint8_t mask[4];
    uint8_t head_bytes;
    uint64_t n; /* of the payload */
};

/* The head of the frame at p. 1; 0: more bytes are wanted; -EBADMSG: this is none. */
MUST_CHECK int ws_frame_head(struct ws_frame *ret, const uint8_t *p, size_t n);
/* Copies n bytes of a payload, from its offset `at` on, without their mask. */
void ws_unmask(uint8_t *out, const uint8_t *p, size_t n, const uint8_t mask[4], uint64_t at);

enum ws_kind {
    WS_MORE,    /* the frame is not all there */
    WS_PART,    /* a fragment was taken */
    WS_MESSAGE, /* reader.msg is a message, until the next call */
    WS_CONTROL, /* a control frame was passed over */
    WS_ROOM,    /* msg has to hold `room` bytes in all: enlarge it, or give up */
    WS_BAD      /* this is no frame, or not one that may come here */
};

struct ws_item {
    uint8_t kind;   /* enum ws_kind */
    uint8_t opcode; /* of a message its first fragment's */
    bool packed;    /* a message that has to be unpacked first */
    size_t used;    /* bytes done with */
    uint64_t room;
};

/* One direction. */
struct ws_reader {
    struct buf msg; /* the caller's memory, which may move between calls */
    bool open, given, packed;
    uint8_t opcode;
};

struct ws_item ws_next(struct ws_reader *r, const uint8_t *p, size_t n);
/* Bytes were lost: the message under way is forgotten. */
void ws_lose(struct ws_reader *r);

#endif
