/* Calls that were forwarded tell the next target so: Diversion (RFC 5806), which gateways read, and
 * History-Info (RFC 7044). */
#ifndef PBX_DIVERSION_H
#define PBX_DIVERSION_H

#include "pbx/pbx_int.h"

enum diversion_reason {
    DIVERSION_UNCONDITIONAL,
    DIVERSION_USER_BUSY,
    DIVERSION_NO_ANSWER,
    DIVERSION_UNAVAILABLE,
    DIVERSION_DND,
    DIVERSION_DEFLECTION,
    DIVERSION_REASONS
};
struct str diversion_reason_name(enum diversion_reason r);

/* One forwarding or redirection: whose call it was, and why it went on. */
struct diversion {
    struct str number;
    uint8_t reason;  /* enum diversion_reason */
    uint16_t status; /* the response that led to it; 0: none */
};

struct diversion_args {
    const struct diversion *v; /* in the order in which they happened */
    unsigned n;
    struct str target;            /* the number called now */
    const struct sip_msg *invite; /* what came in, with diversions of others; may be NULL */
    bool anonymous;
};
/* Appends one Diversion for each, the latest first, and a History-Info. Texts are in p->turn.
 * Returns the new count, at most cap. Without diversions nothing is appended. */
unsigned diversion_fields(struct pbx *p, const struct diversion_args *a, struct sip_field *field,
                          unsigned n, unsigned cap);
/* How often the call was diverted before it came to us. */
unsigned diversion_count(const struct sip_msg *m);

#endif
