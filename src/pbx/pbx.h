/* The exchange as a pure function: SIP bytes, media events, resolved names, API requests and time
 * go in; SIP bytes, media commands, database statements and questions come out of a queue. It owns
 * the SIP engine and everything above it: registrar, trunks, calls, records.
 *
 * After every input, drain pbx_out(). Text in an output lives until the next input. */
#ifndef PBX_PBX_H
#define PBX_PBX_H

#include "base/botlink.h"
#include "base/row.h"
#include "engine/media/media.h"
#include "engine/sip/core.h"
#include "pbx/config.h"

struct pbx;

struct pbx_conf {
    struct config *config; /* a reference is taken */
    unsigned n_listeners;  /* the sockets that are open, in the order of sip.listen */
    struct flow_listener listener[FLOW_MAX_LISTENERS];
    struct local_addrs local;
    uint8_t seed[32]; /* randomness; a fixed one in tests */
    uint64_t wall_us; /* wall clock (since 1970) at `now` */
};

/* NULL: out of memory. */
struct pbx *pbx_new(const struct pbx_conf *conf, usec_t now);
void pbx_free(struct pbx *p);

/* ---- outputs --------------------------------------------------------------------------------- */

enum pbx_out_kind {
    PBX_OUT_SEND,    /* blob to flow; unref it afterwards. after_commit: only when every STORE
                        before it is safe */
    PBX_OUT_MEDIA,   /* a command for the media plane */
    PBX_OUT_STORE,   /* a statement of pbx/store.h for the database */
    PBX_OUT_RESOLVE, /* find out where `question` leads and call pbx_resolved(token) */
    PBX_OUT_BAN,     /* drop what comes from addr for `seconds`; 0: no longer */
    PBX_OUT_KEEP,    /* keep: connection flow.conn carries registrations, so it may be idle */
    PBX_OUT_ALIAS,   /* connection flow.conn also stands for addr (RFC 5923) */
    PBX_OUT_BOTLINK, /* to the program that speaks for a bot: botlink */
    PBX_OUT_PARTY,   /* flows with party `token` are for `name`, over TLS; `pins`: its keys */
    PBX_OUT_CLIENT,  /* what comes from a client that is `name`, by its certificate (RFC 5922), gets
                        party `token`, if it has one of `pins`, where there are any; no name: that
                        party is forgotten */
    PBX_OUT_FILE     /* recordings and messages on the disk: file */
};

/* Two folders of sound files: recording.dir and voicemail.dir. */
enum pbx_place { PBX_RECORDINGS, PBX_MESSAGES };

enum pbx_file_order {
    PBX_FILE_BEGIN,  /* recording `number` becomes folder/base; the media plane sends its samples */
    PBX_FILE_META,   /* json is what its sidecar says of it */
    PBX_FILE_END,    /* pbx_recorded() follows when all is on the disk */
    PBX_FILE_DELETE, /* folder/base is removed */
    PBX_FILE_LOAD    /* folder/base becomes sound `clip` of the media plane: pbx_loaded() */
};

struct pbx_file {
    enum pbx_file_order order;
    uint8_t place;           /* enum pbx_place */
    uint64_t number;         /* of a recording: PBX_RECORD_MESSAGE in it if it is a message */
    struct str folder, base; /* letters, digits, "-_.+@" */
    struct str json;
    uint32_t clip;
    bool tracks, mixed; /* what is written: PBX_FILE_BEGIN */
};
#define PBX_RECORD_MESSAGE MEDIA_RECORD_MESSAGE

/* What became of a recording. */
struct pbx_recorded {
    uint64_t number;
    bool ended;      /* all is written, the number is free; else it was stopped early */
    int err;         /* 0, or why it was stopped (-ENOSPC: the disk is full) */
    struct str text; /* the same in words */
    uint64_t ms, bytes;
};

/* A recording that a killed process was writing. */
struct pbx_found {
    struct str folder, base;
    struct str json; /* what its sidecar says of it */
    uint64_t ms;     /* how long it is */
};

/* What a URI says, or does not, of where it leads: RFC 3263 section 4. */
struct pbx_question {
    struct str name;
    uint16_t port;   /* 0: none given */
    bool any;        /* no transport given */
    bool sips;       /* a sips URI: over TLS or not at all */
    uint8_t proto;   /* enum proto; the one given, or the default of the scheme */
    uint32_t protos; /* a bit for each enum proto that we can speak */
    uint32_t without_ipv4, without_ipv6; /* of those that we cannot speak over it */
};

/* What it points to stays until the next call of pbx_*; what of it does not belong to its kind is
 * empty, but for the last three. */
struct pbx_out {
    enum pbx_out_kind kind;
    bool after_commit, keep;
    uint32_t seconds;
    struct flow flow;
    struct blob *blob;
    const struct row_op *row;
    struct str name;
    struct pbx_question question;
    uint64_t token;
    const struct config_texts *pins; /* as the configuration has them; NULL: none of its own */
    struct addr addr;
    struct media_cmd media; /* one of these is set, and whole */
    struct pbx_file file;
    struct botlink_cmd botlink;
};

bool pbx_out(struct pbx *p, struct pbx_out *ret);

/* ---- inputs ---------------------------------------------------------------------------------- */

void pbx_rx(struct pbx *p, usec_t now, const struct flow *flow, const char *bytes, size_t n);
/* As sip_core_flow_failed(); also ends the bindings that came over the connection. */
void pbx_flow_failed(struct pbx *p, usec_t now, const struct flow *flow);
/* A datagram came back as undeliverable; see sip_core_bounced(). */
void pbx_bounced(struct pbx *p, usec_t now, const char *bytes, size_t n);
void pbx_media(struct pbx *p, usec_t now, const struct media_ev *ev);
/* The answer to PBX_OUT_RESOLVE, in the order in which they are to be tried; n 0: the name could
 * not be resolved. */
void pbx_resolved(struct pbx *p, usec_t now, uint64_t token, const struct flow_dest *dest,
                  unsigned n, uint32_t ttl_s);
void pbx_recorded(struct pbx *p, usec_t now, const struct pbx_recorded *r);
/* The call that it was of gets the record that it never had. */
void pbx_found(struct pbx *p, usec_t now, const struct pbx_found *f);
/* The answer to PBX_FILE_LOAD: the sound lasts ms, or err says why there is none. */
void pbx_loaded(struct pbx *p, usec_t now, uint32_t clip, int err, uint32_t ms);
/* What the program behind PBX_OUT_BOTLINK says. */
void pbx_botlink(struct pbx *p, usec_t now, const struct botlink_event *ev);
void pbx_tick(struct pbx *p, usec_t now);
usec_t pbx_deadline(const struct pbx *p);
/* The wall clock was read again. */
void pbx_wall(struct pbx *p, usec_t now, uint64_t wall_us);
/* The addresses of this machine's interfaces were read again; `external` is not looked at. */
void pbx_interfaces(struct pbx *p, usec_t now, const struct local_addrs *local);
/* The machine's own clock is so many seconds ahead of UTC now; 0 until it is said. */
void pbx_zone(struct pbx *p, usec_t now, int32_t zone_s);

/* A text of the configuration that is to be sound `number` of the media plane, unless there is a
 * file with its name: "bot-reception-greeting", "bot-reception-prompt-1", "bot-reception-say-1". */
#define PBX_SPOKEN_PREFIX "bot-"
struct pbx_spoken {
    char name[96];
    uint32_t number;
    uint8_t language; /* as sounds.language: 0 English, 1 Korean */
    struct str text;  /* of the configuration */
};
/* The next of them: start with *at = 0; false at the end. */
bool pbx_spoken_next(const struct config *c, uint32_t *at, struct pbx_spoken *ret);

/* One row of pbx_store_restore[i].sql, before the first message. */
void pbx_restore(struct pbx *p, usec_t now, unsigned i, const struct row_value *v, unsigned n);

/* Takes over a new configuration; calls in progress keep their own. -EINVAL when what cannot change
 * (listeners, store) differs, or after pbx_shutdown(): then nothing is applied and *why says what.
 */
MUST_CHECK int pbx_reload(struct pbx *p, usec_t now, struct config *config, struct str *why);

/* T14, "cleanup all": refuses new calls, ends those in progress. */
void pbx_shutdown(struct pbx *p, usec_t now);
/* Nothing is left to wait for. */
bool pbx_is_idle(const struct pbx *p);

/* One JSON-RPC 2.0 request in, one reply appended (without a line end). Methods: see api.h. */
void pbx_api(struct pbx *p, usec_t now, struct str request, struct buf *reply);

/* The Call-IDs of a call: of its legs, and of the legs of calls that became one with it. */
#define PBX_CALL_IDS_MAX 256
struct pbx_call_ids {
    uint64_t number; /* of the call */
    bool live;       /* it has not ended */
    char record[33]; /* the id of its record, in hexadecimal digits; "": forgotten */
    unsigned n;      /* more are left out */
    struct str id[PBX_CALL_IDS_MAX];
};
/* `name` is the number of a call or a Call-ID, also of a call that is over, for a while. 0 or
 * -ENOENT. Texts live until the next input. */
MUST_CHECK int pbx_call_ids_get(struct pbx *p, struct str name, struct pbx_call_ids *ret);
/* The number of the call that a Call-ID is of, or was of last; 0: unknown. */
uint64_t pbx_call_number(struct pbx *p, struct str call_id);
/* The Call-ID of the leg that the call of this one began with, until the next input; if it is of no
 * call, it itself. */
struct str pbx_caller_call_id(struct pbx *p, struct str call_id);

/* The same for the call of a stream of the media plane; none if the stream is gone. */
struct str pbx_stream_call_id(struct pbx *p, uint64_t stream);

/* Who is at an address: the extension whose phone has registered from there, or a trunk. */
struct pbx_who {
    struct addr at;
    struct str name; /* its number, or the trunk's name; none: unknown. Until the next input */
    bool phone;
};
void pbx_who_get(struct pbx *p, struct pbx_who *who, unsigned n);

struct trace *pbx_trace(struct pbx *p);
const struct config *pbx_config(const struct pbx *p);
/* Wall-clock microseconds at a monotonic time. */
uint64_t pbx_wall_at(const struct pbx *p, usec_t at);

#endif
