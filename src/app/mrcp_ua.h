/* A small user agent for `ringdown mrcp`: the SIP core, the client of MRCPv2 and the media plane on
 * real sockets, for sessions with one server. It is the host that mrcp/agent.h describes. */
#ifndef APP_MRCP_UA_H
#define APP_MRCP_UA_H

#include "app/media.h"
#include "io/loop.h"
#include "io/tls.h"
#include "mrcp/agent.h"

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
    const char *server; /* sip:... */
    enum proto proto;
    usec_t t1, t2;
    unsigned invite_sends;
    bool srv;        /* ask for SRV where the URI has no port */
    const char *dns; /* servers of names; NULL: the system's */
    const char *user, *password;
    struct tls_config tls; /* with PROTO_TLS */
    struct addr bind;
    uint16_t port_first, port_last; /* of RTP */
    const struct str *codec;
    unsigned n_codecs;
    bool share;
    usec_t response_timeout;
    uint32_t sessions; /* at a time */
};

/* Begins to resolve the server. Negative errno, with `why` (of 200 bytes) in words. */
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
/* Why a handshake of TLS failed; none: none has. */
struct str mrcp_ua_insecure(const struct mrcp_ua *ua);
void mrcp_ua_telemetry(const struct mrcp_ua *ua, struct mrcp_telemetry *ret);

#endif
