/* The words of `ringdown mrcp`: what is asked of a server, and what becomes of it. */
#ifndef APP_MRCP_WORD_H
#define APP_MRCP_WORD_H

#include <pthread.h>

#include "app/mrcp_ua.h"
#include "base/buf.h"
#include "io/wav.h"
#include "wire/mrcp/nlsml.h"

enum mrcp_word { WORD_SPEAK, WORD_RECOGNIZE, WORD_RECORD, WORD_PROBE };

/* What the user wants. Texts live as long as it does. */
struct mrcp_wish {
    enum mrcp_word word;
    struct mrcp_ua_conf ua;
    struct str text; /* to be spoken: text or SSML */
    struct str lang, voice;
    struct str prompt; /* of recognize: said meanwhile, until somebody speaks; none */
    struct str grammar, grammar_type; /* the body of RECOGNIZE */
    const char *grammar_id;           /* Content-ID; NULL: none */
    struct media_clip *clip;          /* what we say; the media plane's once it has begun */
    const char *out;                  /* the WAV file of speak */
    const char *record_uri;           /* of record; NULL: the server chooses */
    uint32_t limit_s;                 /* how long one request may go on */
    uint32_t no_input_ms;
    unsigned count, parallel; /* of probe */
    bool dtmf;
    bool as_json, telemetry, nlsml;
};

struct mrcp_result {
    int err;         /* 0, or why there is none; -ENODATA: nothing was said or understood */
    uint16_t status; /* of SIP or of MRCP, if one of them refused */
    char why[300];
    char cause[80];                 /* Completion-Cause */
    struct str body;                /* of the final event */
    char uri[600];                  /* Record-URI */
    bool barged_in;                 /* the prompt was stopped by speech */
    uint64_t samples, first_ms, ms; /* of speak; until the first sound; until the end */
    unsigned done, failed;          /* of probe */
    struct media_stats stats;
    bool has_stats;
    struct mrcp_telemetry telemetry;
};

/* Runs it to its end. */
void mrcp_word_run(const struct mrcp_wish *wish, struct mrcp_result *ret);
void mrcp_result_free(struct mrcp_result *r);
/* The exit status. */
int mrcp_print(const struct mrcp_wish *wish, const struct mrcp_result *r);

#endif
