/* Joins the pure PBX with the world: sockets, database, media thread, names, control socket. The
 * only place where both are seen. */
#ifndef APP_WIRE_H
#define APP_WIRE_H

#include <jansson.h>

#include "app/botlink.h"
#include "app/media.h"
#include "app/speech.h"
#include "io/ctl.h"
#include "io/db.h"
#include "io/dns.h"
#include "io/logsink.h"
#include "io/loop.h"
#include "io/net.h"
#include "io/recorder.h"
#include "io/sounds.h"
#include "pbx/pbx.h"

/* A message that waits until what was stored before it is safe. */
struct wire_held {
    struct flow flow;
    struct blob *blob;
    uint64_t seq; /* of the database batch; 0: of the batch not yet sealed */
};

struct wire {
    const char *file_name;
    struct config *config;
    struct loop *loop;
    struct net *net;
    struct tls_ctx *tls;
    struct db *db;
    struct dns *dns;
    struct ctl *ctl;
    struct own *own; /* own.h */
    struct media_thread *media;
    struct botlinks *bots;   /* NULL: nothing speaks for bots yet */
    struct speech *speech;   /* likewise, of speech servers */
    struct hearing *hearing; /* NULL: no bot has understood words yet */
    struct loop_watch ear_watch, heard_watch;
    uint32_t max_bots; /* limits.bots at the start */
    struct sounds *sounds;
    struct recorder *recorder[2]; /* enum pbx_place */
    uint64_t *unbegun;            /* recordings that could not begin, until the PBX ends them */
    uint32_t unbegun_n, unbegun_cap;
    struct loop_watch media_watch;
    struct loop_timer clock, watchdog, tidy, tls_look;
    struct logsink log;
    struct pbx *pbx;
    bool db_open, log_open, watch_open, timers_open;
    bool tls_looks; /* the timer is open */
    bool stored;    /* statements were submitted in this turn */
    bool stopping;
    usec_t stop_at;
    struct wire_held *held; /* a ring, oldest first */
    uint32_t held_head, held_n, held_cap;
    uint64_t last_seq; /* of the last batch handed to the database */
    struct media_cmd *media_cmd;
    uint32_t media_n, media_cap;
    unsigned closing; /* loop_watch_close() not yet confirmed */
    char ctl_path[108];
    char db_url[4200]; /* the database keeps pointing at it */
    char names[256];   /* servers of names, as io/dns wants them; empty: the system's */
};

/* Opens everything that the configuration names and restores what was stored. 0 or a negative
 * errno, with a sentence on standard error. wire_close() is due in both cases. */
MUST_CHECK int wire_open(struct wire *w, const char *file_name);
/* Serves until a signal ends it. */
void wire_run(struct wire *w);
void wire_close(struct wire *w);

/* wire_ctl.c */
void wire_ctl_request(void *ctx, struct str line, struct buf *reply);
/* Reads the configuration file again. 0, or a negative errno with the reason in *why. */
MUST_CHECK int wire_reload(struct wire *w, struct buf *why);
/* Everything the PBX has put out goes where it belongs. */
void wire_drain(struct wire *w);

/* ---- wire_tls.c: certificates ---------------------------------------------------------------- */
/* Before anything listens. */
MUST_CHECK int wire_open_tls(struct wire *w);
/* When the log is there. */
void wire_begin_tls(struct wire *w);
/* Could the files that `config` names be used? 0, or a negative errno with the reason in *why. */
MUST_CHECK int wire_check_tls(struct wire *w, const struct config *config, struct buf *why);
void wire_reload_tls(struct wire *w);
void wire_close_tls(struct wire *w);
/* PBX_OUT_PARTY. */
void wire_party(struct wire *w, const struct pbx_out *o);
/* PBX_OUT_CLIENT. */
void wire_client(struct wire *w, const struct pbx_out *o);
/* Hooks of net. */
void wire_unproven(void *ctx, usec_t now, const struct flow *flow, struct str why);
void wire_insecure(void *ctx, usec_t now, const struct flow *flow, bool ours, struct str why);

/* The trace, at the present time: nothing may have come in for a while. */
struct trace *wire_trace(struct wire *w);
/* "192.0.2.1:53,[2001:db8::1]:53" in mem; NULL: none is named. */
const char *wire_dns_servers(const struct config_dns *c, char *mem, size_t cap);
/* A command for the media thread, in its turn. */
void wire_to_media(struct wire *w, const struct media_cmd *cmd);

/* botlink: what the PBX wants of the program that speaks for a bot. */
void wire_botlink(struct wire *w, const struct botlink_cmd *cmd);
/* wire_bot.c: before the first call if any bot needs it; later ones open it by themselves. 0 or a
 * negative errno, which was said. */
MUST_CHECK int wire_open_bots(struct wire *w);

/* ---- wire_ears.c: bots that understand words by themselves ----------------------------------- */
/* 0, or -ENOENT: this is about none of them. */
MUST_CHECK int wire_ears(struct wire *w, const struct botlink_cmd *cmd);
/* Before the media thread is stopped. */
void wire_close_ears(struct wire *w);
/* Says in the log which words of the configuration can never be understood, but for bots whose
 * words are those of `before`, which may be NULL. */
void wire_check_ears(struct wire *w, const struct config *before);

/* ---- wire_speech.c: bots that a speech server speaks for ------------------------------------- */
/* The environment says how (docs/mrcp.md). 0 or a negative errno, which was said. */
MUST_CHECK int wire_open_speech(struct wire *w);
/* 0, or -ENOENT: this is about none of its conversations. */
MUST_CHECK int wire_speech(struct wire *w, const struct botlink_cmd *cmd);
void wire_speech_turn(struct wire *w);
/* No session with a server is open, and none waits for the answer to its BYE. */
bool wire_speech_is_idle(const struct wire *w);
/* Into an object of JSON, and as Prometheus has it. */
json_t *wire_speech_stats(struct wire *w);

/* ---- wire_sound.c: sound files, on their way in and out -------------------------------------- */
/* Recorders first: the media thread writes to them. */
MUST_CHECK int wire_open_recorders(struct wire *w);
MUST_CHECK int wire_open_sounds(struct wire *w);
/* Another language has other prompts, and bots have texts. */
void wire_reload_sounds(struct wire *w, const struct config *before);
void wire_close_sounds(struct wire *w);
void wire_close_recorders(struct wire *w);
void wire_file(struct wire *w, const struct pbx_file *f);

#endif
