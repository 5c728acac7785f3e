/* A session description (RFC 8866) as it was received. One pass indexes every line; the lines that
 * have a meaning here are typed as well. Nothing is copied and nothing is lost: struct str members
 * point into the text given to sdp_parse(), and sdp_build() gives every line back in its order,
 * known or not. */
#ifndef WIRE_SDP_SDP_H
#define WIRE_SDP_SDP_H

#include "base/addr.h"
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"

#define SDP_MAX_BYTES   65536
#define SDP_MAX_MEDIA   16
#define SDP_MAX_ATTRS   256 /* of the session, and of each media */
#define SDP_MAX_LINES   64  /* lines that are not attributes, likewise */
#define SDP_MAX_FORMATS 64  /* of a media */
#define SDP_NO_PT       255 /* no payload type */

enum sdp_attr {
    SDP_A_OTHER,
#define ATTR(id, name, fate) SDP_A_##id,
#include "wire/sdp/attr.def"
#undef ATTR
    SDP_A_COUNT
};

enum sdp_dir { SDP_SENDRECV, SDP_SENDONLY, SDP_RECVONLY, SDP_INACTIVE };

enum sdp_kind {
    SDP_OTHER,
    SDP_AUDIO,
    SDP_VIDEO,
    SDP_TEXT,
    SDP_APPLICATION,
    SDP_IMAGE,
    SDP_MESSAGE
};

enum sdp_reason {
    SDP_OK,
    SDP_TOO_LARGE,
    SDP_BAD_LINE,    /* not x=value, or a NUL or CR inside */
    SDP_BAD_VERSION, /* no v=0 first */
    SDP_BAD_ORIGIN,
    SDP_NO_ORIGIN,
    SDP_BAD_CONNECTION,
    SDP_BAD_TIME,
    SDP_BAD_MEDIA,
    SDP_BAD_PORT,
    SDP_TOO_MANY_MEDIA,
    SDP_TOO_MANY_FORMATS,
    SDP_TOO_MANY_ATTRS,
    SDP_TOO_MANY_LINES,
    SDP_NO_MEMORY,
    SDP_REASON_COUNT
};

struct sdp_error {
    size_t position; /* index of the byte where the offending line begins */
    enum sdp_reason reason;
};

/* One line. An attribute a=name:arg has `name_n` bytes of name; see sdp_attr_name(). */
struct sdp_line {
    struct str value; /* all behind the '=' */
    uint16_t name_n;
    char type;
    uint8_t attr; /* enum sdp_attr */
    uint8_t pt;   /* of rtpmap, fmtp and rtcp-fb; else SDP_NO_PT */
};

struct sdp_origin {
    struct str user, id, version, net, type, host;
};

/* c=. A name instead of an address leaves addr.family ADDR_NONE. */
struct sdp_conn {
    struct str net, type, host; /* host without "/ttl/count" */
    struct addr addr;           /* port 0 */
    uint32_t ttl, count;        /* of a multicast group; else 0 and 1 */
};

struct sdp_media {
    struct str kind_text, proto;
    enum sdp_kind kind;
    bool rtp;    /* the proto is one of the RTP profiles */
    bool secure; /* and one of those with keys, RTP/SAVP and its kin */
    uint16_t port;
    uint32_t port_count; /* 1 unless port/count was written */
    struct str *format;
    unsigned n_formats;
    struct sdp_line *line; /* the m= line, then those that belong to it */
    unsigned n_lines;

    bool has_conn, has_dir, has_rtcp, rtcp_mux;
    struct sdp_conn conn; /* the first c= */
    enum sdp_dir dir;
    uint32_t ptime_ms, maxptime_ms; /* 0: absent */
    struct addr rtcp;               /* a=rtcp, RFC 3605; family ADDR_NONE: that of the media */
    struct str mid, label, setup, connection;
    unsigned n_crypto, n_candidates;
};

struct sdp {
    struct sdp_line *line; /* those before the first m= */
    unsigned n_lines;
    struct sdp_media *media;
    unsigned n_media;

    struct sdp_origin origin;
    struct str name;      /* s=; STR_NONE if the line is missing */
    uint64_t start, stop; /* the first t= */
    bool has_conn, has_dir;
    struct sdp_conn conn;
    enum sdp_dir dir;
    struct str setup, connection;
};

/* Parses text into *ret with memory of `a`; both must outlive *ret. 0, -EBADMSG, -E2BIG (a limit)
 * or -ENOMEM; on failure *ret is untouched and *err (which may be NULL) says where and why.
 * Tolerated, since they are seen and harm nobody: lines ended by LF alone, a last line without an
 * end, blank lines at the end, no s= or t=, lines out of order, unknown types. */
MUST_CHECK int sdp_parse(struct sdp *ret, struct str text, struct arena *a, struct sdp_error *err);
struct str sdp_reason_text(enum sdp_reason r);

/* Every line in its order, ended by CRLF. 0 or -ENOBUFS. */
MUST_CHECK int sdp_build(struct buf *b, const struct sdp *s);

static inline struct str sdp_attr_name(const struct sdp_line *l)
{
    return str_sub(l->value, 0, l->name_n);
}
/* Behind "name:"; STR_NONE for a property attribute such as a=sendonly. */
struct str sdp_attr_arg(const struct sdp_line *l);
/* The first attribute `name` of a media, or of the session when m is NULL; NULL if there is none.
 * sdp_attr_next() gives the one behind `at`. */
const struct sdp_line *sdp_attr_find(const struct sdp *s, const struct sdp_media *m,
                                     struct str name);
const struct sdp_line *sdp_attr_next(const struct sdp *s, const struct sdp_media *m,
                                     const struct sdp_line *at);
/* b=type:value of a media or (m NULL) the session. -ENOENT if there is none. */
MUST_CHECK int sdp_bandwidth_find(uint64_t *ret, const struct sdp *s, const struct sdp_media *m,
                                  struct str type);

/* Where the media is to be sent: its own c= or the session's, with the port of m=. -ENOENT without
 * any c=, -EADDRNOTAVAIL if that is a name. 0.0.0.0 and :: are given as they are. */
MUST_CHECK int sdp_media_addr(struct addr *ret, const struct sdp *s, const struct sdp_media *m);
/* Where its RTCP is to be sent: a=rtcp, else the next port up, else with rtcp-mux the same. */
MUST_CHECK int sdp_media_rtcp(struct addr *ret, const struct sdp *s, const struct sdp_media *m);
/* What the author wants to do: own or inherited direction, sendrecv by default. An unspecified
 * address means that he wants to receive nothing (RFC 3264 section 8.4). */
enum sdp_dir sdp_media_dir(const struct sdp *s, const struct sdp_media *m);
/* The direction as the line says it, without regard to the address. */
enum sdp_dir sdp_media_dir_line(const struct sdp *s, const struct sdp_media *m);
/* The author has put the other on hold: he does not receive. */
bool sdp_media_held(const struct sdp *s, const struct sdp_media *m);
/* The same direction seen from the other side: sendonly <-> recvonly. */
enum sdp_dir sdp_dir_reverse(enum sdp_dir d);
/* What remains when one side wants a and the other allows b, both seen from the same side. */
enum sdp_dir sdp_dir_and(enum sdp_dir a, enum sdp_dir b);
struct str sdp_dir_text(enum sdp_dir d);

/* Nothing but the o= line differs: the session has not changed (RFC 3264 section 8). */
bool sdp_equal_but_origin(const struct sdp *a, const struct sdp *b);
/* The o= lines are equal: the same description again. */
bool sdp_origin_equal(const struct sdp *a, const struct sdp *b);

#endif
