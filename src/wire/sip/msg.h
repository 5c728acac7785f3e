/* A SIP message as it was received: one pass over the bytes indexes the start line and every
 * header field; values are typed on demand. Nothing is copied: every struct str points into the
 * bytes given to sip_msg_parse(), which must stay unchanged while the message is in use.
 * RFC 3261 section 7 and 25; tolerance as RFC 4475 advises. */
#ifndef WIRE_SIP_MSG_H
#define WIRE_SIP_MSG_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/assert.h"

enum sip_method {
    SIP_METHOD_UNKNOWN,
#define METHOD(id, text, source) SIP_##id,
#include "wire/sip/method.def"
#undef METHOD
    SIP_METHOD_COUNT
};

enum sip_hdr_id {
    SIP_H_OTHER,
#define HEADER(id, name, compact, kind, source) SIP_H_##id,
#include "wire/sip/header.def"
#undef HEADER
    SIP_H_COUNT
};

/* Why a message is refused, and with what. sip_verdict_status() maps it to a status in one table.
 */
enum sip_verdict {
    SIP_OK,
    SIP_BAD_START_LINE,
    SIP_BAD_VERSION, /* 505 */
    SIP_BAD_HEADER_LINE,
    SIP_BAD_URI,
    SIP_BAD_VIA,
    SIP_BAD_FROM,
    SIP_BAD_TO,
    SIP_BAD_CSEQ,
    SIP_BAD_CALL_ID,
    SIP_BAD_CONTACT,
    SIP_BAD_MAX_FORWARDS,
    SIP_BAD_CONTENT_LENGTH,
    SIP_BAD_LENGTH, /* Content-Length beyond the datagram */
    SIP_BAD_ROUTE,
    SIP_BAD_EXPIRES,
    SIP_BAD_DATE,
    SIP_BAD_AUTH,
    SIP_BAD_VALUE,       /* another known header with a value outside its grammar */
    SIP_REPEATED_HEADER, /* a second From, Call-ID, ... */
    SIP_MISSING_HEADER,
    SIP_METHOD_MISMATCH, /* CSeq names another method than the start line */
    SIP_TOO_MANY_HEADERS,
    SIP_TOO_LARGE, /* 513 */
    SIP_TRUNCATED, /* the headers do not end */
    SIP_VERDICT_COUNT
};

#define SIP_MAX_HEADERS 160
#define SIP_MAX_BYTES   65535

struct sip_hdr {
    struct str name;  /* as written */
    struct str value; /* trimmed; folds (CRLF WSP) are still inside */
    uint16_t id;      /* enum sip_hdr_id */
    uint16_t next;    /* index + 1 of the next field with the same known id; 0: none */
};

/* sip:, sips:, tel: and any other URI. RFC 3261 19.1, RFC 3966. */
enum sip_scheme { SIP_SCHEME_SIP, SIP_SCHEME_SIPS, SIP_SCHEME_TEL, SIP_SCHEME_OTHER };
struct sip_uri {
    enum sip_scheme scheme;
    struct str whole;
    struct str scheme_text;
    struct str user; /* escaped, as written; tel: the number; none if there is no '@' */
    struct str password;
    struct str host;    /* with the brackets of an IPv6 reference */
    uint16_t port;      /* 0: not given */
    struct str params;  /* after the first ';', without it */
    struct str headers; /* after '?', without it */
    /* Of the parameters, those routing needs: */
    struct str transport, maddr, user_param, method_param;
    bool lr;
};

/* name-addr or addr-spec with its header parameters. */
struct sip_nameaddr {
    struct str display; /* as written, with its quotes; none if absent */
    struct sip_uri uri;
    struct str params; /* header parameters after the first ';', without it */
    struct str tag;    /* From, To */
    bool bracketed;
};

struct sip_via {
    struct str whole;
    struct str proto; /* "UDP", "TCP", ... any token */
    struct str host;  /* sent-by host, with brackets if IPv6 */
    uint16_t port;    /* 0: not given */
    struct str branch, received, maddr, ttl;
    struct str rport; /* empty (not none) when present without a value. RFC 3581 */
    bool has_rport;
    struct str params;
};

struct sip_cseq {
    uint32_t number;
    enum sip_method method;
    struct str method_text;
};

struct sip_msg {
    struct str raw; /* what was parsed; octets after the body are not in it */
    bool is_request;
    /* request */
    enum sip_method method; /* of a response: the CSeq method */
    struct str method_text;
    struct str ruri_text;
    struct sip_uri ruri;
    /* response */
    uint16_t status;
    struct str reason;
    /* typed during the pass, because every message needs them */
    struct sip_via via; /* topmost */
    struct sip_nameaddr from, to;
    struct sip_nameaddr contact; /* the first one; uri.whole is none if absent or "*" */
    struct sip_cseq cseq;
    struct str call_id;
    int max_forwards;       /* -1: absent */
    int64_t content_length; /* -1: absent */
    struct str body;        /* from Content-Length, or to the end of the datagram */
    /* the verdict on the bytes */
    enum sip_verdict verdict;
    uint32_t bad_at;     /* offset in raw where the verdict was reached */
    struct str bad_name; /* the header at fault, if one is */
    /* the index; of hdr[] only the first n_hdrs are set */
    uint16_t n_hdrs;
    uint16_t first[SIP_H_COUNT]; /* index + 1 of the first field of each known header; 0: absent */
    struct sip_hdr hdr[SIP_MAX_HEADERS];
};

/* Parses one message. `stream`: the bytes are one framed message of a stream (see frame.h);
 * otherwise one datagram, whose octets after Content-Length are ignored (RFC 3261 18.3). Leading
 * CRLFs are skipped. Returns the verdict, also in m->verdict; with a bad verdict everything indexed
 * up to then is usable, so that an answer can be sent when Via, From, To, Call-ID and CSeq were
 * read. Checked: grammar of start line, Via (all values), From, To, Call-ID, CSeq, Max-Forwards,
 * Content-Length, Contact, Route, Record-Route, Expires, Date zone; presence of the mandatory
 * headers (RFC 3261 8.1.1, Max-Forwards may miss: RFC 2543 peers); repeated single headers; the
 * method in CSeq. */
enum sip_verdict sip_msg_parse(struct sip_msg *m, const char *bytes, size_t n, bool stream);
/* Can the message be answered: has it a usable topmost Via, From, To, Call-ID and CSeq? */
bool sip_msg_answerable(const struct sip_msg *m);

/* The status (400, 505, 513, ...) and a reason phrase such as "Bad CSeq Header" for a verdict. */
unsigned sip_verdict_status(enum sip_verdict v);
struct str sip_verdict_text(enum sip_verdict v);

/* The value of the first field of a header, or STR_NONE. */
static inline struct str sip_msg_get(const struct sip_msg *m, enum sip_hdr_id id)
{
    uint16_t i = m->first[id];
    return i ? m->hdr[i - 1].value : STR_NONE;
}
static inline bool sip_msg_has(const struct sip_msg *m, enum sip_hdr_id id)
{
    return m->first[id] != 0;
}
/* The value of the first field with this name (any case), known or not. */
struct str sip_msg_get_name(const struct sip_msg *m, struct str name);

/* Walks the single values of a LIST header over all its fields, splitting at commas outside quotes
 * and angle brackets:
 *     struct sip_values it = sip_values(m, SIP_H_ROUTE);
 *     struct str v;
 *     while (sip_values_next(&it, &v)) ... */
struct sip_values {
    const struct sip_msg *m;
    uint16_t field;  /* index + 1 */
    struct str rest; /* of the current field */
};
struct sip_values sip_values(const struct sip_msg *m, enum sip_hdr_id id);
bool sip_values_next(struct sip_values *it, struct str *ret);
/* The same on one text, e.g. a Route set kept elsewhere. *rest is advanced. */
bool sip_list_next(struct str *rest, struct str *ret);
/* Is the token in the LIST header (Supported, Require, Allow), without case? */
bool sip_msg_lists(const struct sip_msg *m, enum sip_hdr_id id, struct str token);
/* Is the method in Allow? */
bool sip_msg_allows(const struct sip_msg *m, enum sip_method method);

/* Typed values. 0 or -EINVAL; *ret is untouched on failure. */
MUST_CHECK int sip_uri_parse(struct sip_uri *ret, struct str s);
MUST_CHECK int sip_nameaddr_parse(struct sip_nameaddr *ret, struct str s);
MUST_CHECK int sip_via_parse(struct sip_via *ret, struct str s);
MUST_CHECK int sip_cseq_parse(struct sip_cseq *ret, struct str s);
/* delta-seconds; a value above 2^32-1 is read as 2^32-1 (RFC 3261 20.19). */
MUST_CHECK int sip_delta_parse(uint32_t *ret, struct str s);
/* q of Contact: "0.7" gives 700. */
MUST_CHECK int sip_q_parse(uint16_t *ret, struct str s);

/* Parameters: the value of ";name=value" in text such as sip_nameaddr.params, unquoted of nothing;
 * empty if it has no value, STR_NONE if absent. Names compare without case. */
struct str sip_param_get(struct str params, struct str name);
/* Walks "a=1;b;c=\"x\"". */
bool sip_param_next(struct str *rest, struct str *name, struct str *value);
/* The text inside a quoted-string with its escapes undone, in the arena; other text as it is. */
struct str sip_unquote(struct arena *a, struct str s);
/* %XX undone once. Returns STR_NONE on a malformed escape. */
struct str sip_unescape(struct arena *a, struct str s);
/* Appends s escaped for the user part of a URI. */
void sip_escape_user(struct buf *b, struct str s);
/* s as a quoted-string; control characters are left out. */
void sip_quote(struct buf *b, struct str s);
/* Appends a value with its folds replaced by one space. */
void sip_put_unfolded(struct buf *b, struct str value);

/* RFC 3261 19.1.4: equality of two URIs, with its rules for parameters, headers, escapes, case. */
bool sip_uri_eq(const struct sip_uri *a, const struct sip_uri *b);
/* RFC 3261 10.3: the canonical address-of-record (scheme, unescaped user, lower-case host; no
 * parameters, no password), appended to b. */
void sip_uri_aor(struct buf *b, const struct sip_uri *u);
/* The default port of scheme and transport. */
uint16_t sip_uri_port(const struct sip_uri *u);
/* What is spoken with whom it names, where names do not decide: the transport parameter, else UDP,
 * for sips TLS; a sips URI makes its parameter's transport secure (RFC 3261 26.2.2, RFC
 * 5630 3.1.1). -EINVAL: a transport that we do not know, or one that cannot be secure. */
MUST_CHECK int sip_uri_proto(const struct sip_uri *u, enum proto *ret);

/* Names. */
enum sip_method sip_method_of(struct str s); /* methods are case-sensitive */
struct str sip_method_name(enum sip_method m);
enum sip_hdr_id sip_hdr_of(struct str name);   /* long or compact form, any case */
struct str sip_hdr_name(enum sip_hdr_id id);   /* the long form */
struct str sip_status_reason(unsigned status); /* from status.def; "Unknown" otherwise */

/* A token of RFC 3261 25.1 (at least one character, all of them allowed). */
bool sip_is_token(struct str s);

#endif
