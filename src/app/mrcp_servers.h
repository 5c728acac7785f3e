/* The MRCPv2 servers that an mrcp_host knows: by their URIs, with the addresses that their names
 * lead to (RFC 3263). Those that nobody has a session with make room for others. All of it belongs
 * to the loop's thread. */
#ifndef APP_MRCP_SERVERS_H
#define APP_MRCP_SERVERS_H

#include "base/str.h"
#include "io/loop.h"
#include "io/tls.h"
#include "mrcp/agent.h"
#include "wire/sip/msg.h"

#define MRCP_SERVERS    64 /* at a time */
#define MRCP_SERVER_URI 256

struct mrcp_server {
    char text[MRCP_SERVER_URI]; /* its URI; empty: the place is free */
    struct sip_uri uri;         /* points into it */
    struct addr addr[MRCP_AGENT_ADDRS];
    unsigned n_addrs;               /* kept when the name leads nowhere any more */
    unsigned sessions;              /* the owner's count: above 0 it stays */
    char insecure[TLS_WHY_MAX + 1]; /* the owner's: why TLS failed since a session was begun */
    struct addr control;            /* the owner's: where a control connection was made last */
    usec_t until;                   /* its addresses are good */
    usec_t used_at;
    bool asking;
    uint32_t asked; /* tells the answer to the last question from older ones */
};

struct mrcp_servers_conf {
    struct loop *loop;
    enum proto proto; /* of SIP */
    bool srv;         /* ask for SRV where the URI has no port */
    uint8_t family;   /* enum addr_family: other addresses are passed over */
    const char *dns;  /* servers of names; NULL: the system's. Must outlive it */
    /* A server that is new in this place: negative errno refuses it. */
    int (*introduce)(void *ctx, unsigned at, struct str host);
    /* The end of -EINPROGRESS: there are addresses, or err. Not from inside another call. */
    void (*resolved)(void *ctx, unsigned at, int err);
    void *ctx;
};

struct mrcp_servers;

MUST_CHECK int mrcp_servers_new(struct mrcp_servers **ret, const struct mrcp_servers_conf *conf);
/* Accepts NULL. */
void mrcp_servers_free(struct mrcp_servers *s);

/* 0: *at can be called; -EINPROGRESS: `resolved` will come first. -EINVAL: no SIP URI; -ENOSPC:
 * too many servers. */
MUST_CHECK int mrcp_servers_reach(struct mrcp_servers *s, struct str uri, unsigned *at);
/* Of at < MRCP_SERVERS. */
struct mrcp_server *mrcp_servers_at(struct mrcp_servers *s, unsigned at);
/* Is this an address of one of them, on whatever port? */
bool mrcp_servers_have(const struct mrcp_servers *s, const struct addr *from);

/* Its addresses are asked for before it is called again. */
void mrcp_server_moved(struct mrcp_server *s);
/* The address that was silent is the last one for sessions to come. */
void mrcp_server_silent(struct mrcp_server *s, const struct addr *silent);

#endif
