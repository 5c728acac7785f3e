/* Digest authentication, the client's side: which challenge to answer, and the answer. RFC 7616,
 * RFC 8760, RFC 3261 section 22. No state but what the caller keeps. */
#ifndef ENGINE_SIP_AUTH_CLIENT_H
#define ENGINE_SIP_AUTH_CLIENT_H

#include "base/rand.h"
#include "wire/sip/digest.h"

/* Text points into the response. */
struct auth_challenge {
    struct str realm, nonce, opaque;
    enum digest_alg alg;
    bool has_opaque, qop, stale;
    enum sip_hdr_id answer_in; /* Authorization or Proxy-Authorization */
};

/* The challenge of a 401 or 407 to answer: of those with a known algorithm and qop (or none) the
 * strongest, and of equals the topmost (RFC 8760 2.4). -ENOENT: there is none. */
MUST_CHECK int auth_client_choose(struct auth_challenge *ret, const struct sip_msg *m);

/* How often one request may be sent again for a challenge: once, and twice more when its nonce is
 * called stale. */
#define AUTH_CLIENT_ATTEMPTS 3

struct auth_login {
    struct str user, password;
    struct str method, uri; /* of the request */
    uint32_t nc;            /* how often this nonce was used, with this time */
    unsigned attempt;       /* 1..AUTH_CLIENT_ATTEMPTS; 0: sent before it was asked for */
};

/* Appends the value of the header field answer_in. -EMSGSIZE. */
MUST_CHECK int auth_client_answer(struct buf *b, struct digest *digest, struct rand *rand,
                                  const struct auth_challenge *c, const struct auth_login *login);

/* May the request `sent` be sent again for this challenge? The attempt to answer with in *ret, or
 * -EALREADY when its credentials were refused. The count rides in our cnonce, so that whoever
 * forgot the request needs no memory of it. */
MUST_CHECK int auth_client_next(unsigned *ret, const struct sip_msg *sent,
                                const struct auth_challenge *c);

#endif
