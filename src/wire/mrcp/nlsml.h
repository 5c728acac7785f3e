/* Results of recognition: NLSML (RFC 6787 sections 6.3.1 and 9.6), in the RFC's namespace, in that
 * of the drafts before it, or in none. What a server sends can ask for nothing: a document type, so
 * every entity of its own, is refused, nothing is fetched, and size and depth have a limit. */
#ifndef WIRE_MRCP_NLSML_H
#define WIRE_MRCP_NLSML_H

#include "base/arena.h"
#include "base/assert.h"

#define NLSML_MAX_BYTES (256u << 10)
#define NLSML_MAX_ITEMS 32
#define NLSML_NO_VALUE  (-1)

struct nlsml_item {
    struct str grammar;  /* its own, or that of the result; STR_NONE if neither names one */
    struct str instance; /* what was meant: text, or the XML inside <instance> */
    struct str input;    /* what was said, without white space at its ends */
    struct str mode;     /* "speech", "dtmf"; STR_NONE if it is not said */
    int32_t confidence;  /* of the interpretation, in thousandths; NLSML_NO_VALUE */
    int32_t input_conf;  /* of the input, likewise */
    bool is_xml;         /* the instance has elements */
    bool noinput, nomatch;
};

struct nlsml {
    bool noinput, nomatch; /* that is all there is */
    unsigned n;            /* the best first, as the server has ordered them */
    struct nlsml_item item[NLSML_MAX_ITEMS];
};

/* Texts are copied into `a`. -EBADMSG: not NLSML; -EMSGSIZE; -ENOMEM. *ret is untouched on failure.
 * Confidences above 1 are taken as percent, as some servers give them. */
MUST_CHECK int nlsml_parse(struct nlsml *ret, struct str text, struct arena *a);

#endif
