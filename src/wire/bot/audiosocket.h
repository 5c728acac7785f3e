/* AudioSocket, as Asterisk's documentation and res_audiosocket.h give it: frames of a type, a
 * length of two bytes (the high one first) and so many bytes, over TCP. Sound is 16 bits a sample,
 * the low byte first. Bytes to frames and back, no time. */
#ifndef WIRE_BOT_AUDIOSOCKET_H
#define WIRE_BOT_AUDIOSOCKET_H

#include "base/buf.h"

enum audiosocket_type {
    AUDIOSOCKET_HANGUP = 0x00,
    AUDIOSOCKET_UUID = 0x01, /* 16 bytes; the first frame of who connects */
    AUDIOSOCKET_DTMF = 0x03, /* one character */
    AUDIOSOCKET_SLIN = 0x10, /* at 8 kHz */
    AUDIOSOCKET_SLIN12 = 0x11,
    AUDIOSOCKET_SLIN16 = 0x12, /* at 16 kHz */
    AUDIOSOCKET_SLIN192 = 0x18,
    AUDIOSOCKET_ERROR = 0xFF /* a code */
};

#define AUDIOSOCKET_HEAD 3
#define AUDIOSOCKET_MAX  UINT16_MAX /* bytes behind the head */

/* Appends a frame; buf.full afterwards: it did not fit. bytes: at most AUDIOSOCKET_MAX. */
void audiosocket_put(struct buf *b, enum audiosocket_type type, struct str bytes);

/* One direction, as its bytes come. All zero: nothing has come. */
struct audiosocket_reader {
    uint8_t head[AUDIOSOCKET_HEAD], n_head;
    uint16_t left;
};

/* What of a frame is there: all of it, or as much as the bytes at hand hold. */
struct audiosocket_piece {
    uint8_t type;     /* enum audiosocket_type, or any other */
    bool first, last; /* of its frame */
    const uint8_t *bytes;
    size_t n;
};

/* The next piece in the n bytes at p; returns how many bytes are done with. ret->first, ret->last
 * and ret->n are all 0: there is none, and more bytes are wanted. */
size_t audiosocket_next(struct audiosocket_reader *r, struct audiosocket_piece *ret,
                        const uint8_t *p, size_t n);

#endif
