/* A world for one PBX, in virtual time: hosts with addresses, a network between them that can lose,
 * delay and repeat, a media plane that opens no socket, a database that is a list, and a clock that
 * moves when it is told to. The PBX in it is the real one; nothing here sleeps or has a thread.
 *
 * What the PBX does wrong on the outside (a malformed message, media commands that make no sense, a
 * tick that never ends) is noted with world_fail(); the first such note is kept. */
#ifndef WORLD_WORLD_H
#define WORLD_WORLD_H

#include <stdio.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/rand.h"
#include "pbx/pbx.h"
#include "pbx/store.h"
#include "world/pcap.h"

struct world;
struct world_host;

/* How packets between the PBX and one host fare; one for each direction. UDP only, save delay. */
struct world_fate {
    uint32_t drop_next, dup_next; /* so many packets from now on */
    uint32_t loss_pm, dup_pm;     /* at random, per thousand */
    usec_t delay, jitter;         /* jitter: at random up to this, so packets overtake each other */
};

enum world_dir { WORLD_TO_HOST, WORLD_FROM_HOST };

/* Somebody with an address. Embed it; rx is called when a message arrives. */
struct world_host {
    struct list node;
    struct world *w;
    struct addr addr;
    bool no_tcp;        /* refuses connections */
    bool deaf;          /* hears nothing, says nothing: dead without a word */
    bool unreachable;   /* datagrams come back as errors (ICMP) */
    uint32_t conn;      /* its connection to the PBX, whoever opened it; 0: none */
    struct str proves;  /* the name in the certificate that it shows when it connects; none: none */
    struct addr source; /* what a NAT makes of its address; family ADDR_NONE: no NAT */
    struct world_fate fate[2];
    void (*rx)(struct world_host *h, const struct flow *flow, struct str bytes);
    void (*closed)(struct world_host *h);
};

#define WORLD_CONNS 512
struct world_conn {
    uint32_t id;      /* 0: free */
    enum proto proto; /* TCP, or TLS, whose bytes nobody sees here */
    struct world_host *host;
    struct addr peer, alias;
    usec_t last_due[2]; /* a stream keeps its order */
    struct pcap_stream pcap;
};

/* A stream of the fake media plane. */
#define WORLD_STREAMS 4096
struct world_stream {
    media_id id; /* 0: free */
    media_id peer;
    uint16_t port;
    bool set, receiving, sending;
    struct addr rtp;
    uint32_t timeout_ms;
    bool formats;     /* it was told what the party speaks */
    uint8_t ptime_ms; /* that it asks for */
    bool mux;         /* and that its RTCP comes on the RTP port */
    char hears[400];  /* what is played: "prompt:goodbye+tone:busy"; "": nothing */
    char behind[400]; /* the loop that goes on when that is over */
    char heard[128];  /* what was last played to its room */
    bool loop;
    uint32_t play_seq; /* of the last order to play */
    uint32_t token;
    uint64_t room; /* 0: in none */
    bool muted, deaf, listens;
    uint64_t tap; /* the conversation that listens to its party; 0: none */
    bool tap_sound, tap_ears, tap_barge_in, tap_linked;
    uint64_t server; /* the conversation whose speech server is at the other end; 0: a party is */
    uint64_t record; /* 0: none */
    uint64_t guest;  /* a recording of another call that it is in as well */
    uint64_t said;   /* a recording of what is said to it */
    uint8_t track;
    bool paused;
    struct media_stats stats; /* what its figures will be when it is closed */
};

/* A recording or a message on the disk. */
#define WORLD_FILES 256
struct world_file {
    uint64_t number; /* while it is written, else 0 */
    uint8_t place;
    bool there;
    char name[96]; /* folder/base */
    char json[4096];
    usec_t began;
    uint32_t ms;
    bool stopped; /* the media plane has nothing more for it */
};

/* The program behind a bot, as the PBX sees it. */
#define WORLD_LINKS 256
struct world_link {
    uint64_t id; /* 0: free */
    bool opened, started, closing;
    bool gone;       /* it has failed or was lost */
    bool speech;     /* a speech server */
    bool ears;       /* the exchange's own */
    media_id stream; /* with a speech server */
    uint32_t hear;   /* token that HEARD is owed for; 0: none */
};
struct world_link_cmd {
    struct list node;
    struct botlink_cmd cmd;
};

/* A row that the PBX has stored. */
struct world_row {
    struct list node;
    struct row_op op;
};

#define WORLD_NAMES 16
#define WORLD_DESTS 4
struct world_name {
    struct str name;
    struct flow_dest dest[WORLD_DESTS]; /* in the order in which they are to be tried */
    unsigned n;
    bool never; /* no answer comes */
};
/* Whom clients may prove to be: PBX_OUT_CLIENT. */
#define WORLD_CLIENTS 8
struct world_client {
    uint16_t party;
    char name[256];
};
#define WORLD_BANS 16
struct world_ban {
    struct addr addr;
    usec_t until;
};

struct world_conf {
    struct str config; /* YAML */
    struct str name;   /* of the configuration, for messages */
    uint64_t seed;
    struct pcap *pcap; /* NULL: no capture */
    bool tap_at_pbx;   /* it sees what a host sends when it arrives, else when it is sent */
    enum trace_level level;
};

struct world {
    struct world_conf conf;
    struct pbx *pbx;
    struct config *config;
    usec_t now, started;
    uint32_t starts;  /* of the PBX: 1 before the first restart */
    struct rand rand; /* of the network */
    struct arena arena;
    struct list hosts, events, free_events;
    uint64_t event_seq;
    struct addr udp, tcp, tls; /* where the PBX listens */
    uint8_t udp_listener, tcp_listener, tls_listener;
    struct world_conn conn[WORLD_CONNS];
    uint32_t conn_ids;
    struct world_stream stream[WORLD_STREAMS];
    uint32_t streams_open, streams_peak;
    bool no_ports;
    uint32_t port_next;
    uint8_t port_known[65536 / 2 / 8];
    struct world_link link[WORLD_LINKS];
    uint32_t links_open;   /* opened and not closed */
    struct list link_cmds; /* what nobody has looked at yet; not when there is on_botlink */
    struct world_file file[WORLD_FILES];
    int disk_err; /* what writing fails with; 0: it does not */
    int load_err; /* likewise reading */
    struct list bindings, cdrs, settings, qualities, messages, bots;
    unsigned n_messages;
    uint32_t n_bindings, n_cdrs;
    struct world_name names[WORLD_NAMES];
    unsigned n_names;
    struct world_client client[WORLD_CLIENTS];
    struct world_ban ban[WORLD_BANS];
    unsigned n_bans;
    uint64_t sent, sent_bytes, lost, strays; /* strays: to an address where nobody is */
    uint64_t hash;                           /* of all the PBX has sent, and when */
    bool dump;                               /* print messages and traces as they pass */
    char warned[2048]; /* the latest of what was logged as a warning or worse */
    bool failed;
    char failure[1024];
    /* Called for each row stored and each link made, when set. */
    void *watcher;
    void (*on_cdr)(struct world *w, const struct row_op *op);
    void (*on_botlink)(struct world *w, const struct botlink_cmd *cmd);
    void (*on_link)(struct world *w, const struct world_stream *a, const struct world_stream *b);
};

/* 0, or -EINVAL with the reason in w->failure. */
MUST_CHECK int world_init(struct world *w, const struct world_conf *conf);
void world_done(struct world *w);
void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

void world_host_add(struct world *w, struct world_host *h);
/* The host sends bytes to the PBX. TCP: over its connection, opening one if it has none. */
void world_tx(struct world_host *h, enum proto proto, struct str bytes);
/* Its connection breaks; the PBX learns of it. */
void world_break(struct world_host *h);
/* Calls wake(arg, n) after `in`. There is no way to stop it: the arguments must tell if it is
 * stale. */
void world_wake(struct world *w, usec_t in, void (*wake)(void *arg, uint64_t n), void *arg,
                uint64_t n);

/* Moves to the next instant at which something happens, not later than `limit`, and lets it happen.
 * false: nothing happened up to `limit`, which is now. */
bool world_step(struct world *w, usec_t limit);
/* All that happens up to `until`, which is then now. */
void world_run(struct world *w, usec_t until);

/* Kills the PBX without warning and starts another from what was stored. */
MUST_CHECK int world_restart(struct world *w);
/* New configuration. 0 or -EINVAL. */
MUST_CHECK int world_reload(struct world *w, struct str config);
/* The machine has this address as well from now on. */
void world_interface(struct world *w, const struct addr *ip);
void world_shutdown(struct world *w);
void world_api(struct world *w, struct str request, struct buf *reply);
/* After the caller has used a door of pbx.h itself. */
void world_drain(struct world *w);

/* disk.c */
void world_file_rx(struct world *w, const struct pbx_file *f);
/* What a killed process has left half written is finished. */
void world_disk_reset(struct world *w);
/* What writing fails with from now on, also of what is being written; 0: it works again. */
void world_disk_error(struct world *w, int err);
struct world_file *world_file_find(struct world *w, struct str name);
/* The one that is being written under this number; NULL. */
struct world_file *world_file_written(struct world *w, uint64_t number);

/* media.c */
void world_media_rx(struct world *w, const struct media_cmd *cmd);
void world_media_reset(struct world *w);
/* The open stream whose remote RTP address is this; NULL: none. Port 0: any of the host. */
struct world_stream *world_stream_to(struct world *w, const struct addr *rtp);
struct world_stream *world_stream_find(struct world *w, media_id id);
/* False: it was the end of something played, and has been told or is out of date. */
bool world_media_due(struct world *w, const struct media_ev *ev);
void world_media_ev(struct world *w, const struct media_ev *ev);
/* botlink.c */
void world_botlink_rx(struct world *w, const struct botlink_cmd *cmd);
struct world_link *world_link_find(struct world *w, uint64_t id);
/* The program says something after `in`; if it is gone by then, it does not. */
void world_botlink_ev(struct world *w, usec_t in, const struct botlink_event *ev);
/* The stream that hears the speech server; 0: none. */
media_id world_link_caller(const struct world *w, const struct world_link *l);
void world_botlink_due(struct world *w, const struct botlink_event *ev);
void world_botlink_reset(struct world *w);
/* store.c */
void world_store_rx(struct world *w, const struct row_op *op);
void world_store_restore(struct world *w);
/* net.c */
enum world_event_kind {
    WORLD_EV_TO_PBX,
    WORLD_EV_TO_HOST,
    WORLD_EV_FAILED,
    WORLD_EV_MEDIA,
    WORLD_EV_RECORDED,
    WORLD_EV_LOADED,
    WORLD_EV_RESOLVED,
    WORLD_EV_BOTLINK,
    WORLD_EV_WAKE
};
struct world_event {
    struct list node;
    enum world_event_kind kind;
    usec_t due;
    struct flow flow;
    struct world_host *host;
    char *bytes;
    size_t n;
    struct media_ev media;
    uint64_t token;
    struct flow_dest dest[WORLD_DESTS];
    unsigned n_dests;
    struct pbx_recorded recorded;
    struct botlink_event botlink;
    void (*wake)(void *arg, uint64_t n);
    void *arg;
};
struct world_event *world_event_new(struct world *w, enum world_event_kind kind, usec_t due);
void world_event_done(struct world *w, struct world_event *e);
void world_events_drop(struct world *w);
void world_net_tx(struct world *w, const struct flow *flow, struct str bytes);
void world_net_deliver(struct world *w, struct world_event *e);
void world_net_reset(struct world *w);
struct world_conn *world_conn_find(struct world *w, uint32_t id);

#endif
