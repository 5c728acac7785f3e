/* Between the PBX and the programs that speak for its bots, as values: what is to be opened, told
 * and closed, and what comes back. Sound does not pass here: it goes from the media plane to the
 * bot's thread and back under the same id. */
#ifndef BASE_BOTLINK_H
#define BASE_BOTLINK_H

#include "base/str.h"

enum botlink_protocol {
    BOTLINK_TWILIO,
    BOTLINK_JSON,
    BOTLINK_AUDIOSOCKET,
    BOTLINK_SPEECH, /* a speech server, to which texts go and from which what was heard comes */
    BOTLINK_EARS    /* the exchange's own ear: OPEN, HEAR, DEAF and CLOSE alone. A bot whose ear
                       has failed still understands keys */
};

enum botlink_cmd_kind {
    BOTLINK_OPEN,    /* connect; answered by OPENED or FAILED within open_ms */
    BOTLINK_START,   /* the caller is there: sound of stream `media` begins to flow */
    BOTLINK_DIGIT,   /* the caller pressed `digit` */
    BOTLINK_STOPPED, /* the media plane stopped what was played: marks that wait are returned */
    BOTLINK_CLOSE,   /* it is over; answered by CLOSED, once, whatever happened before */
    /* Of BOTLINK_SPEECH, HEAR and DEAF of BOTLINK_EARS too: */
    BOTLINK_SAY,  /* `text`, in place of what is being said; answered by SAID */
    BOTLINK_HEAR, /* what the caller says from now on, or since less than a second, is recognized,
                     in place of what was to be; answered by HEARD, once */
    BOTLINK_DEAF  /* it is no longer of interest: HEARD does not come */
};

#define BOTLINK_PHRASES 32
/* What a caller may say; several may mean the same. */
struct botlink_phrase {
    struct str words;
    uint8_t means; /* comes back in HEARD */
};

/* Texts live until the turn's outputs are drained. */
struct botlink_cmd {
    enum botlink_cmd_kind kind;
    uint64_t id;                    /* of the conversation; chosen by the PBX, never used twice */
    enum botlink_protocol protocol; /* this and what follows until call_id: of OPEN */
    uint32_t rate_hz;               /* of sound in both directions: 8000 or 16000; 0: 8000 */
    uint8_t record[16];             /* the id of the call's record: by it the bot names the call */
    uint32_t open_ms;
    struct str url;
    struct str bot;               /* its name in the configuration */
    struct str reason;            /* no_answer, busy, unregistered, out_of_hours, always, number */
    struct str from, to, call_id; /* of OPEN: the caller, the called number, the caller's Call-ID */
    struct {
        struct str account, token;                 /* of a bot behind a socket */
        struct str user, password, voice, grammar; /* of a speech server */
    } own;          /* of OPEN: what the configuration has with that URL; each may be empty */
    uint64_t media; /* of START: the stream of the caller, a media_id. Of OPEN, for a
                       speech server: that of the stream with it */
    uint16_t port;  /* of OPEN, for a speech server: the port pair of that stream, */
    uint8_t family; /* enum addr_family */
    char digit;     /* of DIGIT */
    uint32_t digit_ms;
    struct str text;                     /* of SAY: words, not markup */
    struct str language;                 /* of SAY, HEAR: as in BCP 47 */
    uint32_t token;                      /* of SAY, HEAR: comes back in SAID, HEARD */
    const struct botlink_phrase *phrase; /* of HEAR; none: whatever the server knows */
    unsigned n_phrases;
    uint32_t no_input_ms; /* of HEAR: how long nobody may speak, when nothing is being said */
};

enum botlink_event_kind {
    BOTLINK_EV_OPENED,
    BOTLINK_EV_FAILED,   /* it could not be opened; nothing follows but CLOSED */
    BOTLINK_EV_SOUND,    /* the first sound of the bot since START or since the caller spoke; of a
                            speech server: it says that it has begun */
    BOTLINK_EV_HANGUP,   /* the bot ends the call */
    BOTLINK_EV_TRANSFER, /* to `text`, a number or SIP URI */
    BOTLINK_EV_NOTE,     /* a line of the transcript: `text` */
    BOTLINK_EV_BROKEN,   /* the connection broke, and is made again: `text` says why */
    BOTLINK_EV_LOST,     /* the connection broke and could not be made again */
    BOTLINK_EV_CLOSED,   /* with the figures; the id is free */
    /* Of BOTLINK_SPEECH alone: */
    BOTLINK_EV_SAID, /* what SAY wanted said was said, or stopped: `token` */
    BOTLINK_EV_HEARD /* `heard`, `token` */
};

enum botlink_outcome { BOTLINK_UNDERSTOOD, BOTLINK_NO_MATCH, BOTLINK_NO_INPUT };
struct botlink_heard {
    enum botlink_outcome outcome;
    uint8_t means;       /* of the phrase; 0xFF: of none that was named */
    uint16_t confidence; /* thousandths; 0: not known */
    struct str words;    /* as the server wrote them */
};

struct botlink_figures {
    uint64_t rx_bytes, tx_bytes;      /* of the connection */
    uint32_t queue_ms, queue_most_ms; /* sound of the bot that waits to be played */
    uint32_t underruns; /* the caller heard silence in the middle of sound that we had in time */
    uint32_t dropped;   /* frames to the bot that it did not take in time */
    uint32_t reconnects, errors;
};

/* Texts are valid during the call that brings the event. */
struct botlink_event {
    enum botlink_event_kind kind;
    uint64_t id;
    struct str text;                /* TRANSFER, NOTE; of FAILED, BROKEN, LOST: why, for people */
    struct botlink_figures figures; /* of CLOSED; of others: as they are so far, or nothing */
    uint32_t token;                 /* of SAID, HEARD */
    struct botlink_heard heard;
};

#endif
