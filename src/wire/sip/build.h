/* Writes a SIP message into a buffer. Everything that could carry CR, LF or NUL into the text is
 * refused: the builder then marks itself bad and sip_build_done() fails, so malformed text cannot
 * leave. Order: start line, headers, body. RFC 3261 section 7. */
#ifndef WIRE_SIP_BUILD_H
#define WIRE_SIP_BUILD_H

#include "wire/sip/msg.h"

struct sip_build {
    struct buf b;
    bool bad;
    bool typed; /* a Content-Type was written by hand */
};

/* The method must be a token and the Request-URI a URI without header part; a status lies between
 * 100 and 699, and without a reason the phrase of status.def is taken. */
void sip_build_request(struct sip_build *w, char *mem, size_t cap, struct str method,
                       struct str ruri);
void sip_build_response(struct sip_build *w, char *mem, size_t cap, unsigned status,
                        struct str reason);

/* "Name: value". The value may hold folds of a received message: they become one space. Giving
 * Content-Length here is an error: sip_build_done() writes it. */
void sip_build_hdr(struct sip_build *w, enum sip_hdr_id id, struct str value);
void sip_build_hdr_name(struct sip_build *w, struct str name, struct str value);
void sip_build_hdr_u64(struct sip_build *w, enum sip_hdr_id id, uint64_t value);
void sip_build_hdr_printf(struct sip_build *w, enum sip_hdr_id id, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void sip_build_cseq(struct sip_build *w, uint32_t number, struct str method);

/* A value written in pieces: begin, any number of sip_build_put() (checked like the rest), end. */
void sip_build_begin(struct sip_build *w, enum sip_hdr_id id);
void sip_build_put(struct sip_build *w, struct str piece);
void sip_build_end(struct sip_build *w);

/* All fields of one header of a received message, in order, copied. */
void sip_build_copy(struct sip_build *w, const struct sip_msg *m, enum sip_hdr_id id);

/* The headers a response takes from its request (RFC 3261 8.2.6.2): every Via, From, To (with
 * ";tag=to_tag" added if it has none and to_tag is not none), Call-ID, CSeq, and Timestamp for a
 * 100. `received` and `rport` (RFC 3261 18.2.1, RFC 3581) are set in the topmost Via when
 * source is not NULL. Of a request that was refused, the sound part of a malformed Via, From or To
 * is written (see sip_msg_answerable()). */
void sip_build_response_to(struct sip_build *w, const struct sip_msg *req, unsigned status,
                           struct str to_tag, const struct addr *source);

/* Ends the headers with Content-Length (and Content-Type if a body is given), appends the body.
 * -EMSGSIZE if the buffer was too small, -EINVAL if a value held CR, LF or NUL or there is a
 * body and no type for it; *ret is the message otherwise. */
MUST_CHECK int sip_build_done(struct sip_build *w, struct str content_type, struct str body,
                              struct str *ret);

#endif
