/* A digit in the body of an INFO request (RFC 2976, RFC 6086). No RFC defines these bodies; they
 * are what phones and gateways send. */
#ifndef WIRE_SIP_DTMF_INFO_H
#define WIRE_SIP_DTMF_INFO_H

#include "base/assert.h"
#include "base/str.h"

/* A longer duration is taken as this. */
#define DTMF_INFO_MAX_MS 60000

struct dtmf_info {
    char digit;  /* 0-9 * # A-D, ! for a flash hook */
    uint32_t ms; /* 0: not told */
};

/* Does a body of this type speak of digits? application/dtmf-relay or application/dtmf. */
bool dtmf_info_is(struct str content_type);
/* Bodies of lines "Signal=5" and "Duration=160", or of the digit alone, whatever their case, their
 * spaces and quotes; the digit may be the number of its event, 10 for the star. The types above and
 * text/plain. -ENOENT: another type; -EBADMSG: no digit in it, or more than one. */
MUST_CHECK int dtmf_info_parse(struct dtmf_info *ret, struct str content_type, struct str body);
/* Takes the next line off a body; where in it a digit is said, in whatever way dtmf_info_parse()
 * reads: none if it says none. */
struct str dtmf_info_key_next(struct str *body);

#endif
