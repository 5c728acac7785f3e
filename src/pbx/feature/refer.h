/* What a REFER, a Refer-To and a Replaces say. RFC 3515 section 2.1, RFC 3891 section 3, RFC 4538.
 */
#ifndef PBX_FEATURE_REFER_H
#define PBX_FEATURE_REFER_H

#include "pbx/call_int.h"

struct refer {
    struct sip_uri target;  /* who is to be called */
    struct str replaces;    /* the Replaces value, unescaped; none */
    struct str referred_by; /* none if the REFER has none */
    bool bye;               /* who is named is to be hung up: method=BYE */
    bool no_subscription;   /* Refer-Sub: false (RFC 4488) */
};
/* 0, or the status that answers the REFER. Texts are the message's or in p->turn. Tolerated, since
 * phones send them: no angle brackets, ';' and '=' unescaped in the Replaces. */
unsigned refer_parse(struct pbx *p, const struct sip_msg *m, struct refer *ret);

/* "call-id;to-tag=a;from-tag=b;early-only". -EINVAL. */
struct replaces {
    struct sip_dialog_id id;
    bool early_only;
};
MUST_CHECK int replaces_parse(struct replaces *ret, struct str value);
/* The one in a Replaces or Join header field; -EINVAL: there is none, or more than one. */
MUST_CHECK int replaces_in(struct replaces *ret, const struct sip_msg *m, enum sip_hdr_id id);
/* Only an INVITE may have them: any other request is refused with 400 (RFC 3891 section 3, RFC 3911
 * section 4). */
bool replaces_misplaced(const struct sip_msg *m);
/* The dialog that a Target-Dialog names; its tags are those that the sender sees (RFC 4538 section
 * 7). -EINVAL. */
MUST_CHECK int target_dialog_parse(struct sip_dialog_id *ret, struct str value);

#endif
