/* What the files of botlink share: botlink.c (the loop's side), botlink_conv.c (one conversation,
 * in the thread of the web), botlink_twilio.c, botlink_json.c and botlink_audiosocket.c (what a bot
 * is told, and how it says what it wants), botlink_rest.c (requests of bots). */
#ifndef APP_BOTLINK_INT_H
#define APP_BOTLINK_INT_H

#include "app/botlink.h"
#include "base/hash.h"
#include "base/list.h"
#include "io/dns.h"
#include "io/mailbox.h"
#include "io/web.h"
#include "wire/bot/audiosocket.h"
#include "wire/bot/url.h"
#include "wire/twilio/twilio.h"

#define HOST_BYTES (BOT_URL_HOST_MAX + 1)
#define URL_BYTES  1025
#define TEXT_BYTES 256
#define WHY_BYTES  512
#define IP_BYTES   64
#define MARKS      FEED_MAX_MARKS
#define WRONGS     16 /* kinds of mistakes of a bot that its transcript names */

/* A command as it travels. */
struct bot_order {
    enum botlink_cmd_kind kind;
    uint64_t id, media;
    enum botlink_protocol protocol;
    uint32_t rate_hz;
    uint32_t open_ms;
    char digit;
    bool tls;
    uint16_t port;
    uint8_t record[16];
    unsigned n_ips; /* addresses of the host, in the order in which they are tried */
    char ip[DNS_MAX_ADDRS][IP_BYTES];
    char url[URL_BYTES], host[HOST_BYTES], path[URL_BYTES];
    char bot[64], reason[32], from[TEXT_BYTES], to[TEXT_BYTES], call_id[TEXT_BYTES];
    char account[TWILIO_SID_BYTES], token[128];
};

/* An event as it travels. Its text is a block of mem_alloc(), which who takes the event frees;
 * NULL: none. */
struct bot_news {
    enum botlink_event_kind kind;
    uint64_t id;
    struct botlink_figures figures;
    char *text;
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

struct bot_protocol;

/* One conversation. */
struct conv {
    struct hash_node node;
    struct list in_all;
    struct botlinks *b;
    struct bot_order order; /* its OPEN */
    const struct bot_protocol *protocol;
    enum conv_state state;
    struct web_ws *ws;        /* NULL: there is no connection */
    unsigned ip_at, ip_tried; /* the address that is tried or connected to; and how many failed */
    usec_t open_until;
    struct twilio_ids ids;
    uint64_t media, seq, chunk;
    unsigned tries; /* connections made again */
    unsigned wait;  /* ticks until the next one */
    bool started, sounding, opened;
    bool bye;       /* the bot has ended it */
    bool tapped;    /* the media plane has said something: it takes sound */
    bool clear_due; /* the plane is to drop what it has, before all else */
    unsigned hold;  /* ticks until the plane has told what was cleared for a new connection */
    bool unread;    /* it is closed since the bot does not read */
    bool voice;     /* the caller spoke at the last tick */
    uint32_t noted; /* bytes of its transcript */
    uint32_t moves; /* how often it wanted the caller handed over */
    const char *wrong[WRONGS]; /* what was noted of its mistakes */
    unsigned wrongs;
    uint32_t next_token;
    struct bot_mark mark[MARKS];
    struct botlink_figures figures; /* of connections that are gone, and of the media plane */
    /* Sound that the media thread has no room for yet, and marks in it: bytes as the protocol has
     * them, `width` a sample. */
    uint8_t *pend;
    uint32_t pend_n, pend_cap, pend_at, width;
    struct {
        uint32_t at, token;
    } pend_mark[MARKS];
    unsigned pend_marks;
    uint32_t ahead_ms; /* what the plane has, as far as known */
    unsigned budget;   /* frames that may go before the next tick */
    usec_t came;
    struct audiosocket_reader reader;
    uint8_t half; /* of a sample that came in two pieces */
    bool halved;
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
    uint64_t *close;    /* likewise: conversations to be closed behind those; a ring of `max` */
    uint32_t close_at, close_n;
    bool freed;
    /* Of the web's thread. */
    struct hash_table by_id;
    struct list all;
    unsigned n;
};

/* How a bot is spoken to. Each is called in the web's thread, with a connection that is open. */
struct bot_protocol {
    uint8_t width;  /* bytes of a sample from the bot */
    bool raw;       /* over TCP and nothing else */
    bool no_return; /* a connection that breaks is not made again */
    /* The name of a field of the opening request, and its value; NULL: none. 0 or -EINVAL. */
    int (*sign)(const struct conv *c, const char **name, char *value, size_t cap);
    void (*opened)(struct conv *c); /* all may be NULL: it is not told */
    void (*start)(struct conv *c);  /* sound follows only behind it */
    void (*sound)(struct conv *c, const int16_t *pcm, unsigned n);
    void (*mark)(struct conv *c, struct str name);
    void (*digit)(struct conv *c, char digit);
    void (*cleared)(struct conv *c); /* what waited is gone: the caller speaks */
    void (*stop)(struct conv *c);
    void (*message)(struct conv *c, bool is_text, struct str bytes);
};
extern const struct bot_protocol bot_twilio, bot_json, bot_audiosocket;

/* ---- botlink.c ------------------------------------------------------------------------------- */
/* false: there was no room for what may be lost (SOUND, NOTE, TRANSFER, BROKEN). */
bool bot_tell(struct botlinks *b, enum botlink_event_kind kind, uint64_t id, struct str text,
              const struct botlink_figures *figures);

/* ---- botlink_conv.c, in the web's thread ----------------------------------------------------- */
void conv_order(struct botlinks *b, const struct bot_order *o);
void conv_tap(struct botlinks *b, const struct media_tap *t);
void conv_opened(struct conv *c);
void conv_message(struct conv *c, bool is_text, struct str bytes);
void conv_closed(struct conv *c, unsigned code, struct str why);
void conv_free_all(struct botlinks *b);
/* Sound of 16 bits, the lower byte first. */
static inline void conv_put_samples(struct buf *b, const int16_t *pcm, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        buf_ch(b, (char)(pcm[i] & 0xFF));
        buf_ch(b, (char)((uint16_t)pcm[i] >> 8));
    }
}

/* For protocols. A message to the bot; what did not fit is not sent. */
void conv_say(struct conv *c, const struct buf *b, unsigned flags);
/* How many bytes of sound may still wait. */
size_t conv_may_wait(const struct conv *c);
/* Room for n of them, which conv_sound() then says are there; NULL: too many, or no memory. */
uint8_t *conv_room(struct conv *c, size_t n);
void conv_sound(struct conv *c, size_t n);
void conv_mark(struct conv *c, struct str name);
void conv_clear(struct conv *c);
void conv_note(struct conv *c, struct str text);
void conv_hang_up(struct conv *c, struct str why);
/* 0; -EPERM: it has asked too often; -EBUSY: there is no room for that now. */
int conv_move(struct conv *c, struct str to);
/* It did what it should not: counted, and the first of its kind is a line of the transcript. `why`
 * is a constant, as what "bot" did. */
void conv_wrong(struct conv *c, const char *why);
void conv_flooded(struct conv *c); /* with more sound than may wait */
/* The bot itself says that it cannot go on. */
void conv_break(struct conv *c, struct str why);
/* Names that are random, a new one of the stream. */
void conv_ids(struct conv *c);

/* ---- botlink_rest.c, in the web's thread ----------------------------------------------------- */
unsigned bot_request(void *ctx, const struct web_request *r, struct buf *reply);

#endif
