/* Cuts a byte stream (TCP, TLS) into SIP messages by Content-Length. RFC 3261 18.3, 7.5; keep-alive
 * CRLFs as RFC 5626 3.5.1 has them. Holds no buffer: the caller keeps the bytes received and not
 * yet consumed. */
#ifndef WIRE_SIP_FRAME_H
#define WIRE_SIP_FRAME_H

#include "wire/sip/msg.h"

enum sip_frame_kind {
    SIP_FRAME_MORE, /* nothing complete yet */
    SIP_FRAME_MSG,  /* [start, start+len) is one message */
    SIP_FRAME_PING, /* a double CRLF: answer with one CRLF (RFC 5626 4.4.1) */
    SIP_FRAME_BAD   /* no sound Content-Length, or too large: answer if possible, then close */
};

struct sip_frame {
    enum sip_frame_kind kind;
    size_t start, len;
    size_t consumed;          /* drop so many bytes from the front */
    enum sip_verdict verdict; /* of SIP_FRAME_BAD */
};

/* `scanned` is the caller's memory between calls on the same pending bytes, 0 at first and after
 * anything was consumed: it makes slow peers cost linear time. max_bytes bounds one message. */
struct sip_frame sip_frame_next(const char *p, size_t n, size_t max_bytes, size_t *scanned);

#endif
