/* Between the PBX and the programs that speak for its bots, as values: what is to be opened, told
 * and closed, and what comes back. Sound does not pass here: it goes from the media plane to the
 * bot's thread and back under the same id. */
#ifndef BASE_BOTLINK_H
#define BASE_BOTLINK_H

#include "base/str.h"

enum botlink_protocol { BOTLINK_TWILIO, BOTLINK_JSON, BOTLINK_AUDIOSOCKET };

enum botlink_cmd_kind {
    BOTLINK_OPEN,    /* connect; answered by OPENED or FAILED within open_ms */
    BOTLINK_START,   /* the caller is there: sound of stream `media` begins to flow */
    BOTLINK_DIGIT,   /* the caller pressed `digit` */
    BOTLINK_STOPPED, /* the media plane stopped what was played: marks that wait are returned */
    BOTLINK_CLOSE,   /* it is over; answered by CLOSED, once, whatever happened before */
};

/* Texts live until the turn's outputs are drained. */
struct botlink_cmd {
    enum botlink_cmd_kind kind;
    uint64_t id;                    /* of the conversation; chosen by the PBX, never used twice */
    enum botlink_protocol protocol; /* these five: of OPEN */
    uint32_t open_ms;
    struct str url;
    struct str bot;               /* its name in the configuration */
    struct str reason;            /* no_answer, busy, unregistered, out_of_hours, always, number */
    struct str from, to, call_id; /* of OPEN: the caller, the called number, the caller's Call-ID */
    uint64_t media;               /* of START: the stream of the caller, a media_id */
    char digit;                   /* of DIGIT */
    uint32_t digit_ms;
};

enum botlink_event_kind {
    BOTLINK_EV_OPENED,
    BOTLINK_EV_FAILED,   /* it could not be opened; nothing follows but CLOSED */
    BOTLINK_EV_SOUND,    /* the first sound of the bot since START or since the caller spoke */
    BOTLINK_EV_HANGUP,   /* the bot ends the call */
    BOTLINK_EV_TRANSFER, /* to `text`, a number or SIP URI */
    BOTLINK_EV_NOTE,     /* a line of the transcript: `text` */
    BOTLINK_EV_LOST,     /* the connection broke and could not be made again */
    BOTLINK_EV_CLOSED,   /* with the figures; the id is free */
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
    struct str text;                /* TRANSFER, NOTE; of FAILED and LOST: why, for people */
    struct botlink_figures figures; /* of CLOSED */
};

#endif
