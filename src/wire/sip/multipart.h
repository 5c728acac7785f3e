/* multipart/mixed bodies. RFC 2046 section 5.1, RFC 3261 section 7.4. */
#ifndef WIRE_SIP_MULTIPART_H
#define WIRE_SIP_MULTIPART_H

#include "base/buf.h"
#include "wire/sip/msg.h"

struct sip_part {
    struct str headers; /* raw */
    struct str content_type, content_disposition, content_id;
    struct str body;
};
struct sip_multipart {
    struct str boundary, rest;
};
/* content_type is the header value of the message. -EINVAL if it is not multipart or has no
 * boundary. */
MUST_CHECK int sip_multipart_init(struct sip_multipart *it, struct str content_type,
                                  struct str body);
/* false at the end, or when no closing delimiter follows. */
bool sip_multipart_next(struct sip_multipart *it, struct sip_part *ret);
/* Does a Content-Type value name this type, whatever its parameters and case? */
bool sip_content_is(struct str content_type, struct str type);
/* The body of this type: the message's own, or the first such part of a multipart. One whose
 * Content-Disposition is early-session (RFC 3959) is found by the second only. */
struct str sip_body_find(const struct sip_msg *m, struct str type);
struct str sip_body_early(const struct sip_msg *m, struct str type);

/* Appends one part: its types and its body (`headers` is not looked at). No body may hold the
 * boundary. What does not fit shows in b->full. */
void sip_multipart_put(struct buf *b, struct str boundary, const struct sip_part *part);
/* Ends the body, behind its last part. */
void sip_multipart_end(struct buf *b, struct str boundary);

#endif
