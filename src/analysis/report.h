/* Reports of what the analysis found: for people at a terminal, for programs (JSON, CSV), and as
 * one page for a browser. They read a settled engine and write to a sink, piece by piece. */
#ifndef ANALYSIS_REPORT_H
#define ANALYSIS_REPORT_H

#include "analysis/engine.h"
#include "analysis/sink.h"
#include "analysis/word.h"

struct an_file {
    struct str name;
    struct str format;   /* "pcap", "pcapng" */
    uint64_t frame_base; /* frames of the files before it */
    uint64_t frames, bytes;
    uint64_t first_ns, last_ns; /* AN_NEVER: no frame */
    uint64_t dropped;           /* by the capturing system */
};

/* Something was wrong with the input. */
struct an_note {
    uint64_t frame; /* in the whole input; 0: none in particular */
    struct str text;
};

struct an_style {
    unsigned width; /* columns of the terminal */
    bool color, unicode;
    uint8_t lang;          /* enum an_lang */
    int32_t zone_s;        /* local time - UTC */
    bool with_messages;    /* JSON: the text of every message too */
    bool in_page;          /* JSON: for the page, with what it draws */
    uint64_t max_messages; /* bytes of message texts in one report; more are left out */
    uint64_t max_bytes;    /* of a JSON document; calls that would begin behind are left out */
};

/* Who is at an address, as somebody knows who need not guess. */
struct an_known {
    struct addr at;
    struct str name;
    bool phone; /* the name is the number of one */
};

struct an_host; /* names.c */
struct an_report;
struct an_json;

struct an_report {
    const struct an_engine *engine;
    const struct an_file *file;
    uint32_t n_files;
    const struct an_note *note;
    uint32_t n_notes;
    uint64_t more_notes; /* not kept */
    struct an_style style;
    /* Further members of a call's object: its sound. NULL: none. */
    void (*sound)(const struct an_report *r, uint32_t call, struct an_json *j);
    void *sound_user;
    const struct an_known *known;
    uint32_t n_known;
    bool bot; /* somebody knows that it was a bot which has answered for the exchange */
    /* Likewise, of any JSON. */
    void (*more)(const struct an_report *r, uint32_t call, struct an_json *j);
    void *more_user;

    /* Made by an_report_init(). */
    uint64_t zero_ns;     /* the first frame's time */
    uint32_t *stream_at;  /* [calls + 1]: where a call's streams begin in stream[] */
    uint32_t *stream;     /* indices */
    struct an_host *host; /* sorted by address */
    uint32_t n_hosts;
};

/* The members above must be set. 0 or -ENOMEM. */
MUST_CHECK int an_report_init(struct an_report *r);
void an_report_done(struct an_report *r);

/* Summary, calls, registrations. */
void an_report_text(const struct an_report *r, struct an_sink *out);
/* Everything about one call, by its index. */
void an_report_call(const struct an_report *r, uint32_t call, struct an_sink *out);
/* "call 3" as a heading. */
void an_report_title(const struct an_report *r, uint32_t call, struct an_sink *out);
/* What explains it (explain.h). */
void an_report_findings(const struct an_report *r, uint32_t call, struct an_sink *out);
/* Only its messages. */
void an_report_ladder(const struct an_report *r, uint32_t call, struct an_sink *out);
/* docs/analyze-json.md; only one call if `call` is not AN_NONE. Style: max_bytes 0 is no limit. */
void an_report_json(const struct an_report *r, uint32_t call, struct an_sink *out);
/* The same, by a writer that the caller has begun. */
void an_report_json_to(const struct an_report *r, uint32_t call, struct an_json *j);
/* The object of one call alone, an element or a document of its own. */
void an_report_json_call(const struct an_report *r, uint32_t call, struct an_json *j);
/* One page for a browser. The style must want messages. */
void an_report_html(const struct an_report *r, uint32_t call, struct an_sink *out);
/* One line a call, the first with names. RFC 4180. */
void an_report_csv(const struct an_report *r, struct an_sink *out);

/* ---- what several reports say ------------------------------------------------------------------
 */

/* Spans of a call in nanoseconds, AN_NEVER where there is none. */
struct an_spans {
    uint64_t pdd;   /* from the INVITE to the first sign of the other end (RFC 6076 section 4.3) */
    uint64_t ring;  /* from there to the answer or the end */
    uint64_t talk;  /* from the answer to the end */
    uint64_t whole; /* from the first message to the end, or to the last message */
};
struct an_spans an_call_spans(const struct an_report *r, const struct an_call *call);
/* The lowest of its audio streams, times 100; 0 if there is none. */
uint16_t an_call_mos(const struct an_report *r, uint32_t call);
/* "01077141436", "unknown (*8)" */
void an_put_caller(struct buf *b, const struct an_report *r, const struct an_call *call);
/* Who is meant, or what was dialled. */
struct str an_call_callee(const struct an_call *call);
static inline struct str an_call_text(const struct an_call *call, struct an_ref ref)
{
    return an_text_get(&call->text, ref);
}
/* The number of whom an exchange reaches by this leg: of its end that has registered, or of the one
 * who is called. */
struct str an_leg_party(const struct an_report *r, const struct an_leg *leg);
/* Whom a trait was done to; t->target is a leg. In a leg of who did it, that is its other end. */
struct str an_trait_target(const struct an_report *r, const struct an_trait *t);
/* The word of a scenario, which is "bot" for one that a capture cannot tell from a mailbox. */
struct str an_report_scenario(const struct an_report *r, enum an_scenario s);
/* "attended transfer": form and scenario, in the language of the report. */
void an_put_scenario(struct buf *b, const struct an_report *r, const struct an_call *call);
/* The file of a frame and its number there; NULL if there is only one file. */
const struct an_file *an_frame_file(const struct an_report *r, uint64_t frame, uint64_t *ret);
/* A file name of a leg's host: names.c. STR_NONE if nothing is known. */
struct str an_host_name(const struct an_report *r, const struct addr *a);
MUST_CHECK int an_hosts_find(struct an_report *r);
void an_hosts_done(struct an_report *r);
/* The last final status of the leg's transactions of a method; 0: none. */
uint16_t an_leg_result(const struct an_leg *leg, enum sip_method method);
/* Offset from the capture's beginning. */
static inline uint64_t an_since(const struct an_report *r, uint64_t at_ns)
{
    return at_ns > r->zero_ns ? at_ns - r->zero_ns : 0;
}

#endif
