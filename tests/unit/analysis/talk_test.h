/* A capture written down as a conversation: each line is a message at a time between two hosts. */
#ifndef TALK_TEST_H
#define TALK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include "analysis/engine.h"
#include "analysis/explain.h"

#define TALK_MS 1000000ull

struct talk {
    struct an_engine *e;
    struct an_keep keep;
    char *kept;
    size_t n, cap;
    uint64_t frame, now_ms;
    size_t snap; /* the capture keeps no more of a message; 0: all */
    struct an_findings found;
};

static inline int talk_put(void *user, const void *p, size_t n, uint64_t *ret_at)
{
    struct talk *t = user;
    if (t->n + n > t->cap) {
        t->cap = 2 * (t->n + n);
        t->kept = realloc(t->kept, t->cap);
    }
    memcpy(t->kept + t->n, p, n);
    *ret_at = t->n;
    t->n += n;
    return 0;
}

static inline int talk_get(void *user, uint64_t at, void *out, size_t n)
{
    struct talk *t = user;
    memcpy(out, t->kept + at, n);
    return 0;
}

static inline void talk_begin(struct talk *t)
{
    *t = (struct talk){.keep = {.user = t, .put = talk_put, .get = talk_get}, .now_ms = 1000};
    struct an_engine_args args = {
        .max_legs = 1000, .max_streams = 1000, .keep = &t->keep, .seed = 1};
    assert_int_equal(an_engine_new(&t->e, &args), 0);
}

static inline void talk_end(struct talk *t)
{
    an_findings_done(&t->found);
    an_engine_free(t->e);
    free(t->kept);
}

/* Hosts by letter: A and B are phones, P the exchange, each with an address of its own. */
static inline struct addr talk_host(char c)
{
    struct addr a;
    char mem[32];
    snprintf(mem, sizeof(mem), "192.0.2.%d", c - 'A' + 1);
    assert_int_equal(addr_parse(&a, str_z(mem), 5060), 0);
    return a;
}

static inline void talk_raw(struct talk *t, char from, char to, const char *text, size_t n)
{
    struct an_datum d = {.at_ns = t->now_ms * TALK_MS,
                         .frame = ++t->frame,
                         .first_frame = t->frame,
                         .kind = AN_SIP,
                         .transport = AN_UDP,
                         .src = talk_host(from),
                         .dst = talk_host(to),
                         .truncated = t->snap && t->snap < n,
                         .bytes = str_of(text, t->snap && t->snap < n ? t->snap : n)};
    an_engine_rx(t->e, &d);
    t->now_ms += 10;
}

/* What a message has beside its start line. */
struct talk_msg {
    const char *start;             /* "INVITE sip:2@b SIP/2.0", "SIP/2.0 200 OK" */
    const char *id, *cseq;         /* Call-ID; "1 INVITE" */
    const char *branch;            /* without its cookie; NULL: the CSeq's number */
    const char *from, *to;         /* user parts; NULL: 1 and 2 */
    const char *from_tag, *to_tag; /* NULL: "f"; NULL: none */
    const char *more;              /* header lines, each ended by CRLF */
    const char *sdp;               /* body; NULL: none */
    bool bare;                     /* no Max-Forwards and Contact */
};

static inline void talk(struct talk *t, char from, char to, struct talk_msg m)
{
    char text[4000];
    char lines[128] = "";
    if (!m.bare)
        snprintf(lines, sizeof(lines), "Max-Forwards: 70\r\nContact: <sip:x@192.0.2.%d>\r\n",
                 from - 'A' + 1);
    int n = snprintf(text, sizeof(text),
                     "%s\r\nVia: SIP/2.0/UDP 192.0.2.%d;branch=z9hG4bK%s\r\n%s"
                     "From: <sip:%s@a>;tag=%s\r\nTo: <sip:%s@b>%s%s\r\nCall-ID: %s\r\nCSeq: %s\r\n"
                     "%s%sContent-Length: %zu\r\n\r\n%s",
                     m.start, (strncmp(m.start, "SIP/", 4) ? from : to) - 'A' + 1,
                     m.branch ? m.branch : m.cseq, lines, m.from ? m.from : "1",
                     m.from_tag ? m.from_tag : "f", m.to ? m.to : "2", m.to_tag ? ";tag=" : "",
                     m.to_tag ? m.to_tag : "", m.id, m.cseq, m.more ? m.more : "",
                     m.sdp ? "Content-Type: application/sdp\r\n" : "", m.sdp ? strlen(m.sdp) : 0,
                     m.sdp ? m.sdp : "");
    /* A branch is no place for the space of a CSeq. */
    char *space = strchr(strstr(text, "z9hG4bK"), ' ');
    char *end = strstr(strstr(text, "z9hG4bK"), "\r\n");
    if (space && space < end)
        *space = '.';
    talk_raw(t, from, to, text, (size_t)n);
}

/* Explains call number `call` (from 1). */
static inline void talk_explain(struct talk *t, uint32_t call)
{
    an_findings_done(&t->found);
    assert_int_equal(an_engine_settle(t->e), 0);
    assert_true(an_engine_calls(t->e) >= call);
    assert_int_equal(an_explain(t->e, call - 1, &t->found), 0);
}

static inline const struct an_finding *talk_found(const struct talk *t, enum an_rule rule)
{
    for (uint32_t i = 0; i < t->found.n; i++)
        if (t->found.v[i].rule == rule)
            return &t->found.v[i];
    return NULL;
}

/* "{sentence}" of a finding, in English. */
static inline const char *talk_says(const struct talk *t, enum an_rule rule)
{
    static char text[600];
    struct buf b;
    const struct an_finding *f = talk_found(t, rule);
    if (!f)
        return "";
    buf_init(&b, text, sizeof(text) - 1);
    an_finding_put(&b, &t->found, f, AN_ENGLISH);
    text[b.n] = 0;
    return text;
}

#endif
