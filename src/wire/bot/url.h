/* Where a bot behind a socket is: ws:// and wss:// (RFC 6455 section 3), audiosocket://. */
#ifndef WIRE_BOT_URL_H
#define WIRE_BOT_URL_H

#include "base/assert.h"
#include "base/str.h"

#define BOT_URL_HOST_MAX 255

struct bot_url {
    bool tls;
    uint16_t port;
    struct str host; /* an IPv6 address without its brackets */
    struct str path; /* with its query; of audiosocket / alone */
    const char *why; /* of an error: what is wrong, for who wrote it */
};

/* `plain`: audiosocket://HOST:PORT, else a ws-URI or wss-URI. Texts point into `url`. 0, or -EINVAL
 * with `why`. */
MUST_CHECK int bot_url_parse(struct bot_url *ret, struct str url, bool plain);

#endif
