/* Inside of app/speech: speech.c has conversations begin and end, speech_talk.c has them talk. */
#ifndef APP_SPEECH_INT_H
#define APP_SPEECH_INT_H

#include "app/speech.h"
#include "base/hash.h"

#define SPEECH_WHY   240
#define SPEECH_HOSTS (2 * PROTO_COUNT) /* by transport and family */

enum conv_state {
    CONV_REACHING, /* the server's name is being resolved */
    CONV_OPENING,
    CONV_OPEN,
    CONV_OVER /* failed or lost, and that was told */
};

struct speech_host;

/* What is to be said or heard next. */
struct wish {
    bool any;
    uint32_t token;
    char *text; /* SAY: of the words; HEAR: of the grammar. Owned */
    size_t n;
    char language[16];
    uint32_t no_input_ms;
    bool is_uri; /* of HEAR: the text is a list of URIs and not a grammar */
    unsigned n_phrases;
    struct {
        char *words;
        uint8_t means;
    } phrase[BOTLINK_PHRASES];
};

/* What the server was asked for. */
struct asked {
    uint64_t request; /* 0: nothing */
    uint32_t token;
    bool stopping;
    bool told;   /* SOUND of SPEAK */
    bool dead;   /* nobody waits for what comes of it */
    bool timers; /* of RECOGNIZE: the server waits for speech */
};

struct conv {
    struct speech *speech;
    struct hash_node by_id, by_session;
    struct list dirty, in_all;
    struct timer timer; /* until it must be open, or another address be tried */
    usec_t open_by;     /* when it must be */
    usec_t try_for;     /* so long each address of a server is waited for */
    uint64_t id, session;
    enum conv_state state;
    struct speech_host *host;
    unsigned server;
    media_id media, caller;
    uint16_t port;
    uint8_t family;
    bool has_stream; /* its MEDIA_OPEN was or will be sent */
    bool hush;       /* STOPPED: what is being said is to end */
    char *user, *password, *voice, *grammar;
    struct wish say, hear;
    struct asked speak, recognize;
    struct wish heard_by; /* the phrases that the recognizer was given */
    uint64_t rx_bytes, tx_bytes;
};

struct speech_host {
    struct speech *speech;
    struct mrcp_host *host; /* NULL: not needed yet */
    struct hash_table by_session;
};

struct queued {
    struct botlink_event ev;
    char *text; /* owned; where ev points to */
};

struct over {
    uint64_t id;
    struct botlink_figures figures;
};

struct speech {
    struct speech_conf conf;
    struct speech_host host[SPEECH_HOSTS];
    struct hash_table by_id;
    struct list all, dirty;
    struct timer_wheel wheel;
    struct loop_timer timer;
    struct queued *queue;
    uint32_t queue_n, queue_cap;
    struct over
        *over; /* CLOSED that are to be told, after the queue; memory for all there can be */
    uint32_t over_n;
    bool turning;
    struct speech_stats stats;
};

/* Something is to be done about it in this turn. */
void conv_dirty(struct conv *c);
/* An event of it; the text, of its kind, is copied. */
void conv_event(struct conv *c, const struct botlink_event *ev, struct str text);
/* It has broken, and that is told once; its session ends. */
void conv_lose(struct conv *c, const char *why);
void wish_clear(struct wish *w);

/* ---- speech_talk.c --------------------------------------------------------------------------- */

/* SAY, HEAR and their kin. 0 or -ENOMEM. */
MUST_CHECK int talk_cmd(struct conv *c, const struct botlink_cmd *cmd);
/* What is wished for is asked for, as far as it can be now. */
void talk_pump(struct conv *c);
void talk_message(struct conv *c, const struct mrcp_out *o);

#endif
