/* Inside the client of MRCPv2. */
#ifndef ENGINE_MRCP_CLIENT_INT_H
#define ENGINE_MRCP_CLIENT_INT_H

#include "base/rand.h"
#include "engine/mrcp/client.h"

#define MRCP_MAX_CHANNELS 5
#define MRCP_MAX_LINES    8 /* m= lines of a session, those of removed channels too */
#define MRCP_MAX_CHANNEL  128
#define MRCP_MAX_SERVER   128

enum { MRCP_T_CONN = 1, MRCP_T_REQUEST };

enum conn_state { CONN_CONNECTING, CONN_UP };

struct mrcp_conn {
    struct addr peer;
    enum conn_state state;
    bool shared, tls;
    unsigned users; /* channels */
    char server[MRCP_MAX_SERVER];
    struct timer timer;
    char *rx;
    size_t rx_n, rx_cap;
};

enum channel_step {
    CHANNEL_NONE,
    CHANNEL_WANTED,  /* in no agreed description yet */
    CHANNEL_AGREED,  /* its connection may still be in the making */
    CHANNEL_LEAVING, /* agreed, and the next offer removes it */
};

struct mrcp_channel {
    enum channel_step step;
    enum mrcp_resource resource;
    enum mrcp_kind kind;
    uint8_t state; /* enum chan_state */
    uint8_t line;
    handle_t conn;
    char id[MRCP_MAX_CHANNEL];
};

enum request_step { REQUEST_NONE, REQUEST_SENT, REQUEST_PENDING, REQUEST_ACTIVE };

struct mrcp_request_slot {
    struct timer timer, limit;
    struct mrcp_session *session;
    enum request_step step;
    enum mrcp_resource resource;
    enum mrcp_method method;
    bool every; /* a STOP of everything */
    uint64_t id;
};

enum line_kind { LINE_GONE, LINE_AUDIO, LINE_CHANNEL };

struct mrcp_session {
    uint64_t user, last_id;
    uint64_t sdp_id, sdp_version, sdp_hash; /* of the last offer */
    char server[MRCP_MAX_SERVER];
    bool share, tls, ready, failed;
    struct addr rtp;
    char codec[MRCP_MAX_CODECS][24];
    unsigned n_codecs;
    uint32_t ptime_ms;
    struct mrcp_channel channel[MRCP_MAX_CHANNELS];
    struct {
        uint8_t kind, channel;
    } line[MRCP_MAX_LINES];
    unsigned n_lines;
    struct mrcp_request_slot request[MRCP_MAX_REQUESTS];
};

struct mrcp_queued {
    struct mrcp_out out;
    struct blob *text; /* of the message */
};

struct mrcp_client {
    struct mrcp_client_conf conf;
    struct slot_table sessions, conns;
    struct timer_wheel wheel;
    struct blob_pool pool;
    struct rand rand;
    struct mrcp_queued *queue;
    uint32_t queue_head, queue_n, queue_cap;
    struct mrcp_out nowhere; /* what finds no memory is lost; nobody reads it */
    struct blob *held;       /* the message that msg points into */
    struct mrcp_msg msg;
    struct mrcp_client_stats stats;
    usec_t now;
};

struct mrcp_out *client_emit(struct mrcp_client *c, struct mrcp_session *s,
                             enum mrcp_out_kind kind);
/* With the message, which is copied. */
struct mrcp_out *client_emit_msg(struct mrcp_client *c, struct mrcp_session *s,
                                 enum mrcp_out_kind kind, struct str text);
/* A connection for a channel of s: one that is there, or a new one. 0: no room. */
handle_t control_take(struct mrcp_client *c, struct mrcp_session *s, const struct addr *peer,
                      bool existing);
bool control_can_share(const struct mrcp_client *c, const struct mrcp_session *s);
void control_release(struct mrcp_client *c, struct mrcp_channel *ch);
void session_fail(struct mrcp_client *c, struct mrcp_session *s, int err);
/* Says that it is ready, if it is and was not. */
void session_look(struct mrcp_client *c, struct mrcp_session *s);
struct mrcp_channel *session_channel(const struct mrcp_session *s, enum mrcp_resource r);
/* A message of the server on a connection of this channel. */
void request_rx(struct mrcp_client *c, struct mrcp_session *s, struct mrcp_channel *ch,
                const struct mrcp_msg *m, struct str text);
void request_timer(struct mrcp_client *c, struct mrcp_request_slot *r);
void requests_drop(struct mrcp_client *c, struct mrcp_session *s, const struct mrcp_channel *ch);

#endif
