/* A mixture: people with phones and a carrier behind one exchange, in virtual time, who play
 * stories (a transfer, a pickup, a conference, ...) with human times, many at once. The capture of
 * it goes through the analyser, and what that makes of it is compared with the exchange's own
 * records: which legs were one call, what it was, who called. */
#ifndef MIX_MIX_H
#define MIX_MIX_H

#include "world/ua.h"

#define MIX_PEOPLE 22 /* 20 phones, 2 trunks */
#define MIX_PLAYS  40
#define PLAY_STEPS 16
#define PLAY_PLANS 8
#define MIX_TRUNKS 2
#define MIX_ROOMS  8

struct mix;
struct play;
struct phone;

/* ---- phones ---------------------------------------------------------------------------------- */

enum line_state { LINE_OUT, LINE_IN, LINE_ANSWERED, LINE_UP, LINE_ENDING, LINE_OVER };

/* Whose call it is in a story. */
enum role {
    ROLE_A, /* the caller */
    ROLE_B, /* who has answered it, the latest */
    ROLE_C, /* the consultation of B, or of A */
    ROLE_D, /* who has answered that */
    ROLE_K, /* who picks up */
    ROLE_T, /* who has asked for a transfer */
    ROLE_M, /* members of a room */
    ROLES = ROLE_M + 5,
    ROLE_NONE = ROLES
};

/* One call of a phone. */
struct line {
    struct list node;
    struct phone *phone;
    struct ua_call *ua;
    struct play *play;
    uint8_t role;  /* of who began it; of an incoming one, of whom it was called for */
    uint8_t state; /* enum line_state */
    bool held, cancelled, had_provisional, authorized, rang, reinviting;
    struct str replaces; /* of its INVITE */
    uint16_t notified;   /* the last status of a sipfrag */
    struct str ok;       /* our 2xx, sent again until its ACK */
    usec_t ok_interval, ok_end;
    uint32_t ok_cseq;
    uint64_t gen; /* of the pending deed */
};

struct phone {
    struct ua ua;
    struct mix *mix;
    bool trunk;
    unsigned index;
    struct str number; /* of an extension */
    struct str did;
    unsigned group;            /* pickup group */
    const struct play *wanted; /* the story that counts on it, until that is over */
    /* What the exchange does with its calls. */
    struct phone *forward_always, *forward_busy, *forward_no_answer;
    bool voicemail;
    struct list lines, txns;
    uint64_t reg_gen;
};

void phone_init(struct phone *p, struct mix *mix, const char *name, const struct addr *addr,
                enum proto proto);
void phone_start(struct phone *p);
/* Calls; NULL: it could not. `header`: one field more, its name empty for none. */
struct line *phone_call(struct phone *p, struct play *play, enum role role, struct str number,
                        const struct ua_edit *header);
void line_answer(struct line *l);
void line_ring(struct line *l);
void line_refuse(struct line *l, unsigned status, struct str contact);
void line_hang_up(struct line *l); /* BYE, CANCEL or a refusal, as its state wants */
void line_hold(struct line *l, bool hold);
void line_refer(struct line *l, struct str target);
bool line_live(const struct line *l); /* answered, and not over */
/* "call-id;to-tag=...;from-tag=..." of an answered or ringing call, as its phone sees it. */
struct str line_replaces(const struct line *l, bool escaped);
/* Somebody is talking, or calling, in another story. */
bool phone_busy(const struct phone *p, const struct play *play);
struct line *mix_line_by_id(struct mix *mix, struct str call_id);

/* ---- stories --------------------------------------------------------------------------------- */

enum deed { DEED_RING, DEED_ANSWER, DEED_REFUSE, DEED_REDIRECT };

/* What somebody does when called. */
struct plan {
    const struct phone *who;
    enum deed deed;
    unsigned status;
    uint32_t ms; /* until then it rings */
    struct str to;
};

enum when { WHEN_NOW, WHEN_RINGS, WHEN_UP, WHEN_PROGRESS, WHEN_NOTIFIED };
enum verb {
    DO_CALL,
    DO_HOLD,
    DO_RESUME,
    DO_REFER,          /* to `number` */
    DO_REFER_REPLACES, /* to the other end of role C */
    DO_AFTER_REFER,    /* leaves, or takes the caller back */
    DO_HANG_UP,
    DO_PICK_UP /* by dialling `number`; none: with Replaces */
};

struct step {
    enum when when;
    enum role of; /* of `when` */
    uint32_t ms;
    enum verb verb;
    enum role who;
    struct str number;
};

struct play {
    struct mix *mix;
    unsigned index;
    const char *kind;
    usec_t start;
    struct phone *phone[ROLES];
    struct line *line[ROLES];
    struct line *ringing;
    struct str from, from_2; /* of callers from outside: A, and another one */
    struct str dial[ROLES];
    struct plan plan[PLAY_PLANS];
    unsigned n_plans;
    struct step step[PLAY_STEPS];
    unsigned n_steps, at;
    bool waits, over;
    unsigned tries; /* to cast it */
    bool xfer_key;
    /* What has happened, as the people in it know. */
    bool held, consulted, mixed, room;
    const struct line *held_line;
};

/* Something has happened to a line. */
void story_event(struct line *l);
/* An INVITE has come. */
void story_called(struct line *l, const struct sip_msg *m);
void story_begin(struct play *p);
/* kinds.c: casts the play now; false: nobody is free for it. */
bool kind_cast(struct play *p);

/* ---- the town -------------------------------------------------------------------------------- */

struct mix {
    struct world w;
    uint64_t seed;
    struct rand rand; /* of the stories; that of the network is the world's */
    struct phone phone[MIX_PEOPLE];
    unsigned n_phones, n_trunks; /* trunks follow the phones */
    unsigned tenants, groups;
    struct play play[MIX_PLAYS];
    unsigned n_plays;
    unsigned rooms_used;
    struct str caller[8]; /* few numbers that come again; none: all are different */
    unsigned n_callers;
    uint32_t numbers; /* used so far */
    bool lossy, burst;
    unsigned mask; /* what an exchange of another make would not say: judge.c */
    unsigned strays;
    struct pcap pcap;
    char *capture;
    size_t capture_n;
    char config[16384];
    bool verbose;
};

uint64_t mix_dice(struct mix *m, uint64_t n);
bool mix_chance(struct mix *m, unsigned percent);
uint32_t mix_ms(struct mix *m, uint32_t low, uint32_t high);
/* 0, or -1 with the reason in m->w.failure. */
int mix_build(struct mix *m, uint64_t seed);
void mix_run(struct mix *m);
void mix_done(struct mix *m);

/* ---- the judgement --------------------------------------------------------------------------- */

#define TALLY_WORDS 24
struct an_engine;
struct an_datum;
struct tally;

/* live.c: the same capture through an engine that hands calls over and forgets them. */
struct live {
    struct an_engine *e;
    struct an_keep_mem *keep;
    uint64_t last_ns, next_ns;
    struct said *said; /* of each call that was handed over */
    uint32_t n_said, cap_said;
    bool failed;
};
/* 0 or negative errno. */
MUST_CHECK int live_begin(struct live *l);
void live_rx(struct live *l, const struct an_datum *d);
/* Everything is over: were the calls those of `whole`, which has forgotten nothing, and is nothing
 * left? 0 or negative errno. */
MUST_CHECK int live_end(struct live *l, const struct an_engine *whole, const struct mix *m,
                        struct tally *t);
void live_done(struct live *l);

struct tally {
    uint64_t live_calls, live_wrong; /* calls of live.c */
    uint64_t live_left;              /* mixtures after which something was left */

    uint64_t seeds, legs, legs_right, calls, calls_right;
    uint64_t codes, codes_right, codes_unknown, codes_wrong;
    uint64_t decile[10], decile_right[10];
    uint64_t confused[TALLY_WORDS][TALLY_WORDS]; /* [was][said] */
    uint64_t worst;                              /* seed */
    unsigned worst_percent;
};
/* Analyses the capture, compares. 0 or negative errno. */
MUST_CHECK int judge(struct mix *m, struct tally *t);

#endif
