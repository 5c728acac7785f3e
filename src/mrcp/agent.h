/* Sessions with MRCPv2 servers whole: the SIP dialog, its media stream and the channels, joined.
 * Pure, and hosted by whoever has a SIP core, a client of MRCPv2 and a media plane:
 *
 *   - Each sip_out whose `user` has the bit MRCP_AGENT_USER goes to mrcp_agent_sip(), save
 *     SIP_OUT_SEND, which is the host's; each media event goes to nobody here.
 *   - Each mrcp_out goes to mrcp_agent_client(), save CONNECT, SEND and CLOSE, which are the
 * host's. RESPONSE, EVENT and STOPPED mean the host too; their `user` is the session's id here.
 *   - After each of these, and after each command, the host empties mrcp_agent_out(), then the
 *     queues of the SIP core and of the client, until all three are empty.
 *
 * It asks for nothing but what its commands are given: names are resolved by the host, and a stream
 * is opened on a port pair that the host has. */
#ifndef MRCP_AGENT_H
#define MRCP_AGENT_H

#include "engine/media/media.h"
#include "engine/mrcp/client.h"
#include "engine/sip/core.h"
#include "wire/sip/digest.h"

#define MRCP_AGENT_USER  (UINT64_C(1) << 63)
#define MRCP_AGENT_ADDRS 8

struct mrcp_agent;

struct mrcp_agent_conf {
    struct sip_core *core;
    struct mrcp_client *client;
    struct rand *rand;
    struct digest *digest;
    uint32_t max_sessions; /* 0: 256 */
};
/* What it is given must outlive it. NULL: out of memory. */
struct mrcp_agent *mrcp_agent_new(const struct mrcp_agent_conf *conf);
void mrcp_agent_free(struct mrcp_agent *a);

/* The names of these figures are an interface: programs read them. */
struct mrcp_telemetry {
#define MRCP_TELEMETRY(name, text) uint64_t name;
#include "mrcp/telemetry.def"
#undef MRCP_TELEMETRY
};

enum mrcp_agent_out_kind {
    MRCP_AGENT_MEDIA,   /* a command for the media plane */
    MRCP_AGENT_READY,   /* requests may be made; again after a change of channels */
    MRCP_AGENT_REFUSED, /* the server has not got this resource */
    MRCP_AGENT_CHANGED, /* mrcp_agent_change() was refused, with `status`: it is as before */
    MRCP_AGENT_ENDED    /* once, the last of a session: `status`, `err`; its port is free when the
                           media plane says so */
};
struct mrcp_agent_out {
    enum mrcp_agent_out_kind kind;
    uint64_t id;
    struct media_cmd media;
    enum mrcp_resource resource;
    uint16_t status; /* of SIP, when that is what ended it; else 0 */
    int err;         /* 0: as it was asked to; else why not, as in MRCP_OUT_FAILED, or:
                        -ECONNABORTED the server hung up, -EACCES refused credentials,
                        -ETIMEDOUT no answer to the INVITE, -EHOSTUNREACH nobody there,
                        -ENOTSUP the server has none of the resources, -EBADMSG its SDP, -ENOMSG
                        that there is none, -EDESTADDRREQ that it has no address, -ENOSTR that its
                        audio is none, or in no codec that was offered,
                        -EPROTOTYPE it wants a control connection without TLS */
};
bool mrcp_agent_out(struct mrcp_agent *a, struct mrcp_agent_out *ret);

struct mrcp_agent_call {
    struct str ruri;                    /* sip:... of the server */
    struct str from;                    /* name-addr */
    struct str user, password;          /* none: challenges are not answered */
    enum proto proto;                   /* PROTO_UDP, PROTO_TCP, PROTO_TLS */
    uint8_t listener;                   /* of the SIP core; 0xFF: it chooses */
    uint16_t party;                     /* of struct flow, for TLS */
    struct addr addr[MRCP_AGENT_ADDRS]; /* in the order in which they are tried */
    unsigned n_addrs;
    media_id media;                   /* chosen by the host */
    uint16_t port;                    /* its port pair */
    struct mrcp_session_conf session; /* `user` and `server` are set here; rtp is ours */
};
/* Begins with an INVITE. *ret is the id, which is also the `user` of the session in mrcp_out.
 * -ENOSPC, -EINVAL, -ENOMEM, or what the SIP core says. */
MUST_CHECK int mrcp_agent_open(struct mrcp_agent *a, usec_t now, const struct mrcp_agent_call *call,
                               uint64_t *ret);
/* Nobody has answered where the INVITE was sent, not even with a provisional: the next address is
 * tried at once, instead of when the INVITE has timed out. *ret is the one that was silent. false:
 * somebody has answered, or there is no other. */
bool mrcp_agent_next(struct mrcp_agent *a, usec_t now, uint64_t id, struct addr *ret);
/* A request on a channel: as mrcp_request(). */
MUST_CHECK int mrcp_agent_ask(struct mrcp_agent *a, usec_t now, uint64_t id,
                              const struct mrcp_ask *ask, uint64_t *request_id);
/* Adds a resource, or removes it, by a re-INVITE: READY or CHANGED follow. -EBUSY: another one is
 * under way; else as mrcp_session_add() and _remove(). */
MUST_CHECK int mrcp_agent_change(struct mrcp_agent *a, usec_t now, uint64_t id,
                                 enum mrcp_resource r, bool add);
/* Ends it: BYE, or CANCEL. ENDED follows. */
void mrcp_agent_close(struct mrcp_agent *a, usec_t now, uint64_t id);

void mrcp_agent_sip(struct mrcp_agent *a, usec_t now, const struct sip_out *o);
void mrcp_agent_client(struct mrcp_agent *a, usec_t now, const struct mrcp_out *o);

/* How many there are of which ENDED has not been told: they may wait for the answer to a BYE. */
uint32_t mrcp_agent_sessions(const struct mrcp_agent *a);
void mrcp_agent_telemetry(const struct mrcp_agent *a, struct mrcp_telemetry *ret);

#endif
