/* Plays a script against a PBX in a world of its own. */
#ifndef SCENARIO_PLAY_H
#define SCENARIO_PLAY_H

#include "script.h"
#include "world/ua.h"

#define PLAY_UAS  24
#define PLAY_VARS 64

struct play {
    struct world w;
    bool started;
    struct arena arena; /* the script, its words */
    struct ua ua[PLAY_UAS];
    bool ignored[PLAY_UAS];
    unsigned n_uas;
    struct {
        struct str name, value;
    } var[PLAY_VARS];
    unsigned n_vars;
    usec_t mark;
    struct list *cdr_at;     /* the record last compared */
    struct list *quality_at; /* likewise */
    struct list *bot_at;     /* likewise */
    uint64_t botlink;        /* of whom `botlink` speaks */
    uint32_t said, heard;    /* tokens of what it was last told to say and to hear */
    uint64_t idle_timers;    /* of the PBX at rest */
    struct str section[64];  /* the configuration, one entry a line or block */
    unsigned n_sections;
    struct pcap pcap;
    const struct statement *st;
    struct str word[SCRIPT_WORDS];
    int n_words;
    bool failed;
    char failure[2048];
    bool verbose;
    enum trace_level level;
};

/* Runs the script in FILE. 0, or -1 with "FILE:LINE: why" in p->failure. */
MUST_CHECK int play_run(struct play *p, const char *path, const char *pcap_path);

/* ---- what the files of the runner share ---- */
void play_fail(struct play *p, const struct line *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
struct ua *play_ua(struct play *p, struct str name);
/* ${name} replaced by its value. */
struct str play_expand(struct play *p, struct str text);
void play_let(struct play *p, struct str name, struct str value);
/* The value of "key=..." among the words from `from` on; STR_NONE if absent. */
struct str play_option(const struct play *p, struct str key, int from);
bool play_flag(const struct play *p, struct str word, int from);
/* Runs the world and takes over what it complains about. */
bool play_step(struct play *p, usec_t limit);
void play_until(struct play *p, usec_t until);
/* The instant that "31.5s" after the mark names. */
bool play_time(struct play *p, struct str text, usec_t *ret);

/* config.c */
void config_defaults(struct play *p);
void config_statement(struct play *p);
struct str config_text(struct play *p);
/* send.c */
void send_statement(struct play *p, struct ua *ua);
/* receive.c */
void receive_statement(struct play *p, struct ua *ua);
/* field.c: a part of a message by name; STR_NONE: it is not there. */
struct str field_get(struct play *p, struct str bytes, const struct ua_rx *rx, struct str name);
/* "a OP b" for the operators of checks. */
bool field_compare(struct str a, struct str op, struct str b, bool *ret);
/* expect.c */
void expect_statement(struct play *p);
/* NAME keys DIGITS, NAME talks on|off */
void expect_sound(struct play *p);
/* count.c: a number that the PBX or the world can be asked for. 0 or -EINVAL. */
MUST_CHECK int count_get(struct play *p, struct str name, uint64_t *ret);
/* cdr.c */
void cdr_statement(struct play *p);
void quality_statement(struct play *p);
void bot_statement(struct play *p);
/* botlink.c */
void botlink_statement(struct play *p);
void voice_statement(struct play *p, struct world_stream *s);
/* media stats NAME KEY=N ...: what is measured of its stream from now on. */
void stats_statement(struct play *p, struct world_stream *s);

#endif
