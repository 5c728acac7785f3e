/* A capture of a few messages, and reports of it in memory. */
#ifndef TEST_REPORT_BED_H
#define TEST_REPORT_BED_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>

#include "analysis/json.h"
#include "analysis/report.h"
#include "base/mem.h"

#define BED_START_NS 1767225600000000000u /* 2026-01-01 */
#define BED_BYTES    (1u << 20)

struct bed {
    struct an_engine *engine;
    struct an_keep keep;
    struct an_file file;
    struct an_report report;
    char *kept, *out;
    size_t n_kept, n_out;
    uint64_t frame, now_ns;
    struct an_sink sink;
};

static inline int bed_keep_put(void *user, const void *p, size_t n, uint64_t *ret_at)
{
    struct bed *b = user;
    if (n > BED_BYTES - b->n_kept)
        return -ENOSPC;
    memcpy(b->kept + b->n_kept, p, n);
    *ret_at = b->n_kept;
    b->n_kept += n;
    return 0;
}

static inline int bed_keep_get(void *user, uint64_t at, void *out, size_t n)
{
    struct bed *b = user;
    memcpy(out, b->kept + at, n);
    return 0;
}

static inline int bed_take(void *user, const char *p, size_t n)
{
    struct bed *b = user;
    if (n >= BED_BYTES - b->n_out)
        return -ENOSPC;
    memcpy(b->out + b->n_out, p, n);
    b->n_out += n;
    b->out[b->n_out] = 0;
    return 0;
}

static inline int bed_new(void **state)
{
    struct bed *b = calloc(1, sizeof(*b));
    b->kept = malloc(BED_BYTES);
    b->out = malloc(BED_BYTES);
    b->keep = (struct an_keep){.user = b, .put = bed_keep_put, .get = bed_keep_get};
    struct an_engine_args args = {.max_legs = 100, .max_streams = 100, .keep = &b->keep, .seed = 1};
    b->now_ns = BED_START_NS;
    *state = b;
    return an_engine_new(&b->engine, &args);
}

static inline int bed_free(void **state)
{
    struct bed *b = *state;
    an_report_done(&b->report);
    an_engine_free(b->engine);
    free(b->kept);
    free(b->out);
    free(b);
    return mem_live() != 0;
}

/* A message some milliseconds later. In the text '\n' stands for CRLF. */
static inline void bed_sip(struct bed *b, unsigned ms, const char *src, const char *dst,
                           const char *text)
{
    char bytes[8192];
    size_t n = 0;
    for (const char *p = text; *p && n + 2 < sizeof(bytes); p++) {
        if (*p == '\n')
            bytes[n++] = '\r';
        bytes[n++] = *p;
    }
    b->now_ns += ms * UINT64_C(1000000);
    b->frame++;
    struct an_datum d = {.at_ns = b->now_ns,
                         .frame = b->frame,
                         .first_frame = b->frame,
                         .kind = AN_SIP,
                         .transport = AN_UDP,
                         .bytes = str_of(bytes, n)};
    assert_int_equal(addr_parse_port(&d.src, str_z(src)), 0);
    assert_int_equal(addr_parse_port(&d.dst, str_z(dst)), 0);
    an_engine_rx(b->engine, &d);
}

#define BED_TRUNK "192.0.2.77:5060"
#define BED_PBX   "192.0.2.104:5060"
#define BED_PHONE "192.0.2.55:5060"
#define BED_SDP                                                                                    \
    "Content-Type: application/sdp\nContent-Length: 101\n\nv=0\no=- 1 1 IN IP4 192.0.2.77\ns=-\n"  \
    "c=IN IP4 192.0.2.77\nt=0 0\nm=audio 4000 RTP/AVP 0\na=sendrecv\n"

/* One of a call from 01077141436 to 1427; `name` is the caller's. */
static inline void bed_request(struct bed *b, unsigned ms, const char *method, const char *leg,
                               const char *name)
{
    bool trunk = leg[0] == 'T';
    char text[4096];
    snprintf(text, sizeof(text),
             "%s sip:1427@192.0.2.104 SIP/2.0\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK%s%s\n"
             "Max-Forwards: 70\nFrom: %s<sip:01077141436@192.0.2.77>;tag=a%s\n"
             "To: <sip:1427@192.0.2.104>%s\nCall-ID: %s\nCSeq: %u %s\nUser-Agent: Test 1\n%s",
             method, leg, method, name, leg, strcmp(method, "INVITE") ? ";tag=b" : "", leg,
             strcmp(method, "BYE") ? 1 : 2, method,
             strcmp(method, "INVITE") ? "Content-Length: 0\n\n"
                                      : "Contact: <sip:a@192.0.2.77>\n" BED_SDP);
    bed_sip(b, ms, trunk ? BED_TRUNK : BED_PBX, trunk ? BED_PBX : BED_PHONE, text);
}

static inline void bed_response(struct bed *b, unsigned ms, const char *status, const char *method,
                                const char *leg)
{
    bool trunk = leg[0] == 'T';
    char text[4096];
    snprintf(text, sizeof(text),
             "SIP/2.0 %s\nVia: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bK%s%s\n"
             "From: <sip:01077141436@192.0.2.77>;tag=a%s\nTo: <sip:1427@192.0.2.104>;tag=b\n"
             "Call-ID: %s\nCSeq: %u %s\nContact: <sip:b@192.0.2.104>\nContent-Length: 0\n\n",
             status, leg, method, leg, leg, strcmp(method, "BYE") ? 1 : 2, method);
    bed_sip(b, ms, trunk ? BED_PBX : BED_PHONE, trunk ? BED_TRUNK : BED_PBX, text);
}

/* A call through an exchange: answered after two seconds, ended by the caller ten later. */
static inline void bed_call(struct bed *b, const char *name)
{
    bed_request(b, 0, "INVITE", "T1", name);
    bed_response(b, 5, "100 Trying", "INVITE", "T1");
    bed_request(b, 5, "INVITE", "L1", name);
    bed_response(b, 90, "180 Ringing", "INVITE", "L1");
    bed_response(b, 5, "180 Ringing", "INVITE", "T1");
    bed_response(b, 1900, "200 OK", "INVITE", "L1");
    bed_request(b, 5, "ACK", "L1", name);
    bed_response(b, 5, "200 OK", "INVITE", "T1");
    bed_request(b, 5, "ACK", "T1", name);
    bed_request(b, 10000, "BYE", "T1", name);
    bed_response(b, 5, "200 OK", "BYE", "T1");
    bed_request(b, 5, "BYE", "L1", name);
    bed_response(b, 5, "200 OK", "BYE", "L1");
}

/* The report is ready to be written. */
static inline void bed_settle(struct bed *b)
{
    assert_int_equal(an_engine_settle(b->engine), 0);
    b->file = (struct an_file){.name = STR("a.pcap"),
                               .format = STR("pcap"),
                               .frames = b->frame,
                               .first_ns = BED_START_NS,
                               .last_ns = b->now_ns};
    b->report.engine = b->engine;
    b->report.file = &b->file;
    b->report.n_files = 1;
    if (!b->report.style.width)
        b->report.style.width = 140;
    assert_int_equal(an_report_init(&b->report), 0);
    an_sink_init(&b->sink, bed_take, b);
}

static inline const char *bed_text(struct bed *b)
{
    assert_int_equal(an_sink_flush(&b->sink), 0);
    return b->n_out ? b->out : "";
}

static inline bool bed_says(struct bed *b, const char *words)
{
    bool found = strstr(bed_text(b), words);
    if (!found)
        print_message("\"%s\" is not in:\n%s\n", words, b->out);
    return found;
}

#endif
