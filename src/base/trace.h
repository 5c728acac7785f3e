/* What happened, as data. Pure code emits records from the one list in trace.def into a ring; the
 * program drains it into log lines (text or JSON). A call also has a short history of its own: the
 * last messages, states and timers, which `ringdown ctl trace` shows. */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include "base/buf.h"
#include "base/slot.h"
#include "base/str.h"
#include "base/timer.h"

enum trace_level { TRACE_ERROR, TRACE_WARN, TRACE_NOTICE, TRACE_INFO, TRACE_DEBUG };

enum trace_id {
#define TRACE(id, level, area, text) TRACE_##id,
#include "base/trace.def"
#undef TRACE
    TRACE_COUNT
};

struct trace_arg {
    bool is_text;
    uint64_t u;
    struct str s;
};
#define TU(v) ((struct trace_arg){.u = (uint64_t)(v)})
#define TS(v) ((struct trace_arg){.is_text = true, .s = (v)})

#define TRACE_MAX_ARGS 8

struct trace_rec {
    usec_t at;
    uint64_t cause; /* trace id of the input that led to this */
    handle_t tag;   /* history of the call concerned, or 0 */
    enum trace_id id;
    unsigned n;
    struct trace_arg arg[TRACE_MAX_ARGS]; /* text points into the ring until the next call */
};

/* One entry of a call's history. */
enum hist_kind {
    HIST_RX_REQUEST,  /* code: method, a: CSeq */
    HIST_RX_RESPONSE, /* code: status, a: method */
    HIST_TX_REQUEST,
    HIST_TX_RESPONSE,
    HIST_RETRANSMIT,  /* sent again. code: method or status */
    HIST_DUPLICATE,   /* received again */
    HIST_TIMER_ARMED, /* code: letter ('A'..'M') or HIST_T_*, a: ms */
    HIST_TIMER_FIRED,
    HIST_TIMER_STOPPED,
    HIST_STATE, /* code: the call's state */
    HIST_MEDIA, /* code: enum of engine/media events */
    HIST_KIND_COUNT
};
/* Timers without a letter in RFC 3261. */
enum hist_timer {
    HIST_T_INVITE = 1, /* invite_timeout */
    HIST_T_BYE,        /* bye_timeout */
    HIST_T_ACK,        /* 2xx retransmission until ACK: T1..T2 */
    HIST_T_ACK_WAIT,   /* 64*T1 without ACK */
    HIST_T_RING,       /* no_answer_timeout, ring time */
    HIST_T_RTP,        /* rtp_timeout */
    HIST_T_SE,         /* session timer: refresh or end. RFC 4028 */
    HIST_T_PRACK,      /* 64*T1 without a PRACK. RFC 3262 */
    HIST_T_COUNT
};
struct hist_event {
    uint32_t ms; /* since the history was opened */
    uint8_t kind;
    uint8_t leg; /* the owner's number for the leg, 0 if unknown */
    uint16_t code;
    uint32_t a;
};

#define HIST_EVENTS 60
struct hist {
    usec_t opened;
    uint32_t total; /* events ever; the ring holds the last HIST_EVENTS */
    bool closed;
    handle_t next_closed;
    struct hist_event ev[HIST_EVENTS];
};

struct trace {
    char *ring;
    size_t cap, head, tail; /* tail: read here; byte counts, taken modulo cap */
    enum trace_level level;
    usec_t now; /* set at the doors */
    uint64_t cause;
    uint64_t dropped;
    struct slot_table hists;
    handle_t closed_first, closed_last;
};

/* ring_bytes is rounded up to a power of two; hists: how many call histories are kept, of live and
 * of ended calls. 0 or -ENOMEM. */
MUST_CHECK int trace_init(struct trace *t, size_t ring_bytes, uint32_t hists);
void trace_done(struct trace *t);

enum trace_level trace_level_of(enum trace_id id);
struct str trace_level_name(enum trace_level level);
MUST_CHECK int trace_level_parse(enum trace_level *ret, struct str s);

void trace_put(struct trace *t, enum trace_id id, handle_t tag, const struct trace_arg *arg,
               unsigned n);
/* trace_emit(t, TRACE_CALL_NEW, tag, TS(id), TS(from), TS(to)) */
#define trace_emit(t, id, tag, ...)                                                                \
    do {                                                                                           \
        if (trace_level_of(id) <= (t)->level)                                                      \
            trace_put((t), (id), (tag), (const struct trace_arg[]){__VA_ARGS__},                   \
                      sizeof((const struct trace_arg[]){__VA_ARGS__}) / sizeof(struct trace_arg)); \
    } while (0)

/* The oldest record, removed; false when the ring is empty. */
bool trace_next(struct trace *t, struct trace_rec *ret);
/* "call 12 from ..." with the arguments in place. */
void trace_text(struct buf *b, const struct trace_rec *r);
/* {"time":...,"level":...,"area":...,"event":...,"text":...,args} without a line end; wall_us is
 * the wall-clock time of the record. */
void trace_json(struct buf *b, const struct trace_rec *r, uint64_t wall_us);
struct str trace_area(enum trace_id id);

/* A history for a new call; 0 when all are taken by live calls. The oldest ended one is reused. */
handle_t hist_open(struct trace *t);
/* The call has ended; the history stays readable until it is reused. */
void hist_close(struct trace *t, handle_t tag);
/* Nothing happens for a tag that is 0 or stale. */
void hist_put(struct trace *t, handle_t tag, struct hist_event ev);
const struct hist *hist_find(const struct trace *t, handle_t tag);
/* The i-th event, oldest first, of the min(total, HIST_EVENTS) there are. */
const struct hist_event *hist_event_at(const struct hist *h, unsigned i);

#endif
