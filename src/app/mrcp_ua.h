/* A small user agent for `ringdown mrcp`: sessions with one server, with a loop, a media thread and
 * a stock of ports of its own. */
#ifndef APP_MRCP_UA_H
#define APP_MRCP_UA_H

#include "app/media.h"
#include "app/mrcp_host.h"

struct mrcp_ua;

/* None may be NULL; each may call any function here but mrcp_ua_free(). */
struct mrcp_ua_hooks {
    void (*resolved)(void *ctx, int err); /* sessions may be opened; or the name leads nowhere */
    void (*ready)(void *ctx, uint64_t id);
    /* RESPONSE, EVENT and STOPPED of mrcp_out. */
    void (*message)(void *ctx, const struct mrcp_out *o);
    void (*refused)(void *ctx, uint64_t id, enum mrcp_resource r);
    void (*media)(void *ctx, const struct media_ev *ev);
    void (*ended)(void *ctx, const struct mrcp_agent_out *o);
    void (*interrupted)(void *ctx); /* SIGINT or SIGTERM */
    /* In the media thread. */
    void (*block)(void *ctx, const struct plane_block *b);
    void *ctx;
};

struct mrcp_ua_conf {
    const char *server;         /* sip:... */
    struct mrcp_host_conf host; /* but for the loop */
    const char *user, *password;
    uint16_t port_first, port_last; /* of RTP */
};

/* Begins to resolve the server. Negative errno, with `why` (of MRCP_HOST_WHY bytes) in words. */
MUST_CHECK int mrcp_ua_new(struct mrcp_ua **ret, const struct mrcp_ua_conf *conf,
                           const struct mrcp_ua_hooks *hooks, char *why);
/* Until mrcp_ua_stop(). */
void mrcp_ua_run(struct mrcp_ua *ua);
void mrcp_ua_stop(struct mrcp_ua *ua);
void mrcp_ua_free(struct mrcp_ua *ua);

/* -EAGAIN: no port pair is free yet. */
MUST_CHECK int mrcp_ua_open(struct mrcp_ua *ua, const enum mrcp_resource *r, unsigned n,
                            uint64_t *id);
MUST_CHECK int mrcp_ua_ask(struct mrcp_ua *ua, uint64_t id, const struct mrcp_ask *ask,
                           uint64_t *request_id);
void mrcp_ua_close(struct mrcp_ua *ua, uint64_t id);
/* The stream of a session; 0: it has none any more. */
media_id mrcp_ua_stream(const struct mrcp_ua *ua, uint64_t id);
void mrcp_ua_media(struct mrcp_ua *ua, const struct media_cmd *cmd);
struct loop *mrcp_ua_loop(struct mrcp_ua *ua);
const struct mrcp_host *mrcp_ua_host(const struct mrcp_ua *ua);

#endif
