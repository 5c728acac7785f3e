/* The control connections of a client of MRCPv2, on real sockets. */
#ifndef APP_MRCP_CONTROL_H
#define APP_MRCP_CONTROL_H

#include "engine/mrcp/client.h"
#include "io/outconn.h"

struct mrcp_controls;

struct mrcp_controls_conf {
    struct loop *loop;
    struct mrcp_client *client; /* must outlive it, as tls must */
    struct tls_ctx *tls;        /* NULL: CONNECT asks for none */
    const struct tls_pin *pin;  /* as in struct tls_target; must outlive it */
    unsigned n_pins;
    uint32_t max; /* as many as the client has at most */
    /* The client has something to be drained; never from inside a function of this interface. */
    void (*changed)(void *ctx);
    /* TLS with this party failed for this reason. */
    void (*insecure)(void *ctx, uint16_t party, struct str why);
    void *ctx;
};

/* NULL: out of memory. */
struct mrcp_controls *mrcp_controls_new(const struct mrcp_controls_conf *conf);
/* Whom a CONNECT is to lead to. */
struct mrcp_controls_peer {
    struct str host; /* with TLS its certificate must be for this name */
    uint16_t party;  /* the owner's number of it */
};
/* CONNECT, SEND or CLOSE; only CONNECT needs the peer. */
void mrcp_controls_out(struct mrcp_controls *c, const struct mrcp_out *o,
                       const struct mrcp_controls_peer *peer);
/* Closes all. Accepts NULL. */
void mrcp_controls_free(struct mrcp_controls *c);

#endif
