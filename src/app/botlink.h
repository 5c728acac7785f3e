/* The programs that speak for bots, joined to the exchange: commands of the PBX (base/botlink.h)
 * come from the loop's thread, sound from the media thread, messages from the bots; a thread of
 * io/web carries them between. Twilio's request to change a call is served here too. */
#ifndef APP_BOTLINK_H
#define APP_BOTLINK_H

#include "app/media.h"
#include "base/botlink.h"
#include "io/loop.h"

struct botlinks;

struct botlinks_conf {
    struct loop *loop;
    struct media_thread *media; /* must outlive it */
    const char *ca_file;        /* of wss:, PEM; NULL: what the system trusts */
    uint32_t max;            /* conversations at a time; not more may be open, or not closed yet */
    const char *dns_servers; /* as in io/dns.h, as are the next two; NULL: those of the system */
    uint32_t dns_timeout_ms;
    bool ipv4_only;
    struct addr rest; /* where Twilio's requests are served; port 0: any; ADDR_NONE: not */
    /* Called in the loop's thread; never from inside botlinks_cmd(). */
    void (*event)(void *ctx, const struct botlink_event *ev);
    void *ctx;
};

/* What a bot is known by to its author's program; both may be empty. */
struct botlinks_auth {
    struct str account; /* a sid, AC and 32 hexadecimal digits; else one is made of the name */
    struct str token;   /* signs what we open, and is asked for by what changes a call */
};

/* 0 or a negative errno: -EADDRINUSE is about `rest`. */
MUST_CHECK int botlinks_new(struct botlinks **ret, const struct botlinks_conf *conf);
/* One command; auth is that of its bot for OPEN, else NULL. What cannot be done is answered as what
 * has failed. */
void botlinks_cmd(struct botlinks *b, const struct botlink_cmd *cmd,
                  const struct botlinks_auth *auth);
uint16_t botlinks_rest_port(const struct botlinks *b);
/* Ends all conversations without a word; its memory goes with the next loop_settle(). NULL is
 * fine. */
void botlinks_free(struct botlinks *b);

#endif
