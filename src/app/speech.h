/* Bots that a speech server speaks and hears for (MRCPv2), joined to the exchange: commands of the
 * PBX with BOTLINK_SPEECH (base/botlink.h) on one side, sessions with the servers on the other. All
 * of it is in the loop's thread.
 *
 * A conversation is one session with speechsynth and speechrecog. The stream with the server is
 * opened under the media_id and on the port pair that OPEN names; for each OPEN one
 * MEDIA_EV_CLOSED comes, whatever became of it. */
#ifndef APP_SPEECH_H
#define APP_SPEECH_H

#include "app/mrcp_host.h"
#include "base/botlink.h"

struct speech;

struct speech_conf {
    struct mrcp_host_conf host; /* of the transport that sip: means; texts must outlive it */
    bool off;                   /* every OPEN fails, and says that it is switched off */
    uint64_t seed;
    /* Called by speech_turn() alone; may call speech_cmd(). */
    void (*event)(void *ctx, const struct botlink_event *ev);
    void (*media)(void *ctx, const struct media_cmd *cmd);
    /* As in mrcp_host_hooks; may be NULL. */
    void (*seen)(void *ctx, const struct flow *flow, const struct addr *bound, struct str bytes,
                 bool sent);
    void *ctx;
};

/* 0 or a negative errno. */
MUST_CHECK int speech_new(struct speech **ret, const struct speech_conf *conf);

/* Of the bot in the configuration; each may be empty but `server`. */
struct speech_bot {
    struct str server;         /* sip:... or sips:..., which means TLS */
    struct str user, password; /* where it asks who we are */
    struct str voice;
    struct str grammar; /* a URI: taken in place of the phrases of HEAR */
};
/* Is this one of its conversations? */
bool speech_knows(const struct speech *s, uint64_t id);
/* bot is that of OPEN, else NULL. What it means is done in speech_turn(). */
void speech_cmd(struct speech *s, const struct botlink_cmd *cmd, const struct speech_bot *bot);
/* The owner's word in each turn of the loop, before its media commands leave: events come, and what
 * was asked for goes. */
void speech_turn(struct speech *s);
/* No session with a server is open, and none waits for the answer to its BYE. */
bool speech_is_idle(const struct speech *s);
/* The addresses of our interfaces, which may have changed. */
void speech_interfaces(struct speech *s, const struct local_addrs *local);
/* Without a word to anybody; its memory goes with loop_settle(). Not from inside a callback.
 * Accepts NULL. */
void speech_free(struct speech *s);

struct speech_stats {
    uint64_t opened, failed, lost; /* conversations: that began, that did not, that broke */
    uint64_t said, heard;          /* texts, results */
    uint32_t open;                 /* conversations now */
    struct mrcp_telemetry telemetry;
    struct mrcp_client_stats client;
};
void speech_stats_get(const struct speech *s, struct speech_stats *ret);

#endif
