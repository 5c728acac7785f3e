/* Between the files that read streams. */
#ifndef ANALYSIS_STREAM_INT_H
#define ANALYSIS_STREAM_INT_H

#include "analysis/stream.h"
#include "wire/ws/ws.h"

#define STREAM_MARKS 16

enum stream_kind { STREAM_LOOK, STREAM_SIP, STREAM_WS, STREAM_HEP, STREAM_TLS };

/* The frame in which the bytes of a side from `at` on came. */
struct stream_mark {
    size_t at;
    uint64_t frame;
};

struct stream_side {
    uint8_t *p; /* what is not yet a message; its first byte begins one, unless `lost` */
    size_t n, cap;
    size_t scanned; /* of sip_frame_next() */
    bool fresh;     /* nothing came yet, and nothing was missed */
    bool lost;      /* looking for where a message begins */
    bool http_done; /* WebSocket: behind the handshake */
    uint32_t n_marks;
    struct stream_mark mark[STREAM_MARKS];
    struct ws_reader ws;
    uint64_t ws_frame; /* in which its message began; 0: none under way */
};

struct an_stream {
    struct an_streams *all;
    struct addr addr[2];
    uint8_t kind; /* enum stream_kind */
    bool inner;   /* within TLS */
    bool ignored;
    size_t looked;      /* bytes in which nothing was recognised */
    uint32_t strangers; /* messages on WebSocket that are not SIP */
    struct stream_side side[2];
    struct tls_conn *tls;
    struct an_stream *within; /* what TLS hides: `inner` */
};

/* The bytes of a side that are at hand. */
struct stream_view {
    const uint8_t *p;
    size_t n;
    unsigned side;
    bool kept; /* they are those of stream_side.p */
    const struct an_seen *seen;
};

/* The frame in which the byte at an offset of the view came. */
uint64_t stream_frame(const struct an_stream *s, const struct stream_view *v, size_t at);
/* A SIP message, of which a copy goes out. */
void stream_emit(struct an_stream *s, unsigned side, struct str bytes, bool truncated,
                 const struct an_seen *seen);
/* From now on a message has to be looked for. */
void stream_lose(struct an_stream *s, unsigned side, const struct an_seen *seen, struct str why);

/* Each takes what is whole of a view and returns how many bytes are done with. */
size_t stream_sip(struct an_stream *s, const struct stream_view *v);
size_t stream_ws(struct an_stream *s, const struct stream_view *v);
size_t stream_tls(struct an_stream *s, const struct stream_view *v);
/* Gives the memory of its message back. */
void stream_ws_empty(struct an_stream *s, struct stream_side *side);
/* Does a WebSocket frame with the begin of a SIP message stand here? */
bool stream_ws_like(const uint8_t *p, size_t n);
/* The end of the head of an HTTP message, or 0 if it is not there. */
size_t stream_http_head(const uint8_t *p, size_t n);

#endif
