/* What hosts sessions with MRCPv2 servers on a loop of somebody else's, as mrcp/agent.h describes
 * it: the SIP core, the client of MRCPv2, sockets and names. The media plane and its ports are the
 * owner's. All of it belongs to the loop's thread. */
#ifndef APP_MRCP_HOST_H
#define APP_MRCP_HOST_H

#include "io/loop.h"
#include "io/tls.h"
#include "mrcp/agent.h"

#define MRCP_HOST_WHY 200

struct mrcp_host;

/* Each may call any function here but mrcp_host_new(), _free() and _turn(). */
struct mrcp_host_hooks {
    /* A server that was asked for can be called; or its name leads nowhere. */
    void (*resolved)(void *ctx, unsigned server, int err);
    void (*media)(void *ctx, const struct media_cmd *cmd);
    void (*ready)(void *ctx, uint64_t id);
    /* RESPONSE, EVENT and STOPPED of mrcp_out. */
    void (*message)(void *ctx, const struct mrcp_out *o);
    void (*refused)(void *ctx, uint64_t id, enum mrcp_resource r);
    void (*ended)(void *ctx, const struct mrcp_agent_out *o);
    /* So many bytes of messages were received and sent. May be NULL. */
    void (*moved)(void *ctx, uint64_t id, size_t rx, size_t tx);
    /* A message of SIP was received on this address of ours, or sent. May be NULL. */
    void (*seen)(void *ctx, const struct flow *flow, const struct addr *bound, struct str bytes,
                 bool sent);
    void *ctx;
};

/* Texts and lists must outlive it. */
struct mrcp_host_conf {
    struct loop *loop;
    enum proto proto; /* PROTO_UDP, PROTO_TCP; with PROTO_TLS control connections have TLS too */
    usec_t t1, t2;
    unsigned invite_sends;
    bool srv;        /* ask for SRV where the URI has no port */
    const char *dns; /* servers of names; NULL: the system's */
    struct tls_config tls;
    uint8_t family;   /* enum addr_family of SIP, control and RTP; ADDR_NONE: V4 */
    struct addr bind; /* of SIP and RTP; ADDR_NONE: whatever leads to the server */
    const struct str *codec;
    unsigned n_codecs;
    bool share; /* control connections */
    usec_t response_timeout;
    uint32_t sessions; /* at a time */
};

/* How the server behind this URI is spoken to: sips and the transport that it names count before
 * what is usual. -EINVAL: no SIP URI, or a transport that is none of ours. */
MUST_CHECK int mrcp_host_proto(enum proto *ret, struct str uri, enum proto usual);

/* Negative errno, with `why` (of MRCP_HOST_WHY bytes) in words. */
MUST_CHECK int mrcp_host_new(struct mrcp_host **ret, const struct mrcp_host_conf *conf,
                             const struct mrcp_host_hooks *hooks, char *why);
/* Without a word to anybody; its memory goes with loop_settle(). Not from inside a callback.
 * Accepts NULL. */
void mrcp_host_free(struct mrcp_host *h);
/* What was said leaves, and the next deadline is armed: the owner's last word in each turn. */
void mrcp_host_turn(struct mrcp_host *h);

/* 0: mrcp_host_open() may be called for *server; else as mrcp_servers_reach(). */
MUST_CHECK int mrcp_host_reach(struct mrcp_host *h, struct str uri, unsigned *server);

struct mrcp_host_call {
    const enum mrcp_resource *resource;
    unsigned n_resources;
    media_id media;
    uint16_t port;
    struct str user, password; /* none: challenges are not answered */
};
/* As mrcp_agent_open(). A MEDIA_OPEN comes only if this succeeds, and then a MEDIA_CLOSE always. */
MUST_CHECK int mrcp_host_open(struct mrcp_host *h, unsigned server,
                              const struct mrcp_host_call *call, uint64_t *id);
/* As mrcp_agent_next(). The address that was silent is the last one for sessions to come. */
bool mrcp_host_next(struct mrcp_host *h, uint64_t id);
MUST_CHECK int mrcp_host_ask(struct mrcp_host *h, uint64_t id, const struct mrcp_ask *ask,
                             uint64_t *request_id);
void mrcp_host_close(struct mrcp_host *h, uint64_t id);

/* The addresses of our interfaces, which may have changed: for sessions to come. */
void mrcp_host_interfaces(struct mrcp_host *h, const struct local_addrs *local);
/* No session is open, and none waits for the answer to its BYE. */
bool mrcp_host_is_idle(const struct mrcp_host *h);
/* Why it ended, for people: up to n bytes of out. In `ended`; later the reason may be less exact.
 */
void mrcp_host_why(const struct mrcp_host *h, const struct mrcp_agent_out *o, char *out, size_t n);
void mrcp_host_telemetry(const struct mrcp_host *h, struct mrcp_telemetry *ret);
void mrcp_host_stats(const struct mrcp_host *h, struct mrcp_client_stats *ret);

#endif
