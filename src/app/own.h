/* The exchange's own traffic: every SIP message that it receives or sends passes here once, is
 * masked, and goes to who listens: the memory of the latest messages, from which `ringdown ctl`
 * explains calls, and a capture server. */
#ifndef APP_OWN_H
#define APP_OWN_H

#include <jansson.h>

#include "analysis/traffic.h"
#include "app/wire.h"
#include "io/hepout.h"

/* 0 or a negative errno, which was said. own_close() is due in both cases. */
MUST_CHECK int own_open(struct wire *w);
/* Not from inside a callback of the loop. */
void own_close(struct wire *w);
/* The configuration has changed. */
void own_reload(struct wire *w);

/* The addresses of our interfaces, which may have changed. */
void own_interfaces(struct wire *w, const struct local_addrs *local);

/* A message has come over a flow, or was sent over it. */
void own_seen(struct wire *w, const struct flow *flow, struct str bytes, bool sent);
/* The same of a socket that is not the exchange's own, bound to this address of ours. */
void own_seen_at(struct wire *w, const struct flow *flow, const struct addr *bound,
                 struct str bytes, bool sent);
/* The media thread runs: its reports can be had. 0 or a negative errno. */
MUST_CHECK int own_media(struct wire *w);
/* The end of the turn. */
void own_flush(struct wire *w);

/* Methods of the control socket (own_ctl.c). False: it is none of them. */
bool own_request(struct wire *w, const char *method, const json_t *request, struct buf *out);
/* What `stats` says besides, into the object `all`. */
void own_stats(struct wire *w, json_t *all);

#endif
