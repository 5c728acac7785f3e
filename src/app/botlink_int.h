/* What the files of botlink share: botlink.c (the loop's side), botlink_conv.c (one conversation,
 * in the thread of the web), botlink_rest.c (requests of bots). */
#ifndef APP_BOTLINK_INT_H
#define APP_BOTLINK_INT_H

#include "app/botlink.h"
#include "base/hash.h"
#include "base/list.h"
#include "io/dns.h"
#include "io/mailbox.h"
#include "io/web.h"
#include "wire/twilio/twilio.h"

#define HOST_BYTES 256
#define URL_BYTES  1025
#define TEXT_BYTES 256
#define WHY_BYTES  512
#define MARKS      FEED_MAX_MARKS

/* A command as it travels. */
struct bot_order {
    enum botlink_cmd_kind kind;
    uint64_t id, media;
    enum botlink_protocol protocol;
    uint32_t open_ms;
    char digit;
    bool tls;
    uint16_t port;
    char url[URL_BYTES], host[HOST_BYTES], path[URL_BYTES], ip[64];
    char bot[64], reason[32], from[TEXT_BYTES], to[TEXT_BYTES], call_id[TEXT_BYTES];
    char account[TWILIO_SID_BYTES], token[128];
};

/* An event as it travels. */
struct bot_news {
    enum botlink_event_kind kind;
    uint64_t id;
    struct botlink_figures figures;
    char text[WHY_BYTES];
};

struct bot_mark {
    bool used;
    uint32_t token;
    char name[TWILIO_MARK_MAX + 1];
};

enum conv_state {
    CONV_OPENING,
    CONV_OPEN,
    CONV_LOST,   /* it could not be opened, or not again; only CLOSE is awaited */
    CONV_CLOSING /* CLOSE has come */
};

/* One conversation. */
struct conv {
    struct hash_node node;
    struct list in_all;
    struct botlinks *b;
    struct bot_order order; /* its OPEN */
    enum conv_state state;
    struct web_ws *ws; /* NULL: there is no connection */
    struct twilio_ids ids;
    uint64_t media, seq, chunk;
    unsigned tries; /* connections made again */
    unsigned wait;  /* ticks until the next one */
    bool started, sounding, opened;
    bool tapped;    /* the media plane has said something: it takes sound */
    bool clear_due; /* the plane is to drop what it has, before all else */
    bool voice;     /* the caller spoke at the last tick */
    uint32_t noted; /* bytes of its transcript */
    uint32_t next_token;
    struct bot_mark mark[MARKS];
    struct botlink_figures figures; /* of connections that are gone, and of the media plane */
    /* Sound that the media thread has no room for yet, and marks in it. */
    uint8_t *pend;
    uint32_t pend_n, pend_cap, pend_at;
    struct {
        uint32_t at, token;
    } pend_mark[MARKS];
    unsigned pend_marks;
    uint32_t ahead_ms; /* what the plane has, as far as known */
    unsigned budget;   /* frames that may go before the next tick */
    usec_t came;
};

struct botlinks {
    struct botlinks_conf conf;
    struct web *web;
    struct dns *dns;
    struct mailbox in, out;
    struct loop_watch watch;
    struct loop_timer again;
    struct list naming; /* of the loop's thread: an OPEN whose host is asked for */
    struct list queue;  /* likewise: orders that found no room */
    bool freed;
    /* Of the web's thread. */
    struct hash_table by_id;
    struct list all;
    unsigned n;
};

/* ---- botlink.c ------------------------------------------------------------------------------- */
void bot_tell(struct botlinks *b, enum botlink_event_kind kind, uint64_t id, struct str text,
              const struct botlink_figures *figures);

/* ---- botlink_conv.c, in the web's thread ----------------------------------------------------- */
void conv_order(struct botlinks *b, const struct bot_order *o);
void conv_tap(struct botlinks *b, const struct media_tap *t);
void conv_opened(struct conv *c);
void conv_message(struct conv *c, bool is_text, struct str bytes);
void conv_closed(struct conv *c, unsigned code, struct str why);
void conv_free_all(struct botlinks *b);

/* ---- botlink_rest.c, in the web's thread ----------------------------------------------------- */
unsigned bot_request(void *ctx, const struct web_request *r, struct buf *reply);

#endif
