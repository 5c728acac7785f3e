/* What a TCP connection carries: SIP, WebSocket with SIP in it, HEP, TLS with one of these, or
 * nothing of interest. Told by its bytes, on any port, after a look that is bounded. For the files
 * of this folder that read. */
#ifndef ANALYSIS_STREAM_H
#define ANALYSIS_STREAM_H

#include "analysis/out.h"

struct an_stream;
struct tls_keys;

/* What all streams share. */
struct an_streams {
    struct an_out *out;
    struct tls_keys *keys;   /* NULL: none */
    uint8_t *plain;          /* TLS_PLAIN bytes, if there are keys */
    size_t message_bytes;    /* the bound of one message */
    size_t bytes, max_bytes; /* of all incomplete messages */
};

/* What addr[i] says is side i. NULL without memory. */
struct an_stream *an_stream_new(struct an_streams *all, const struct addr addr[2]);
/* That side is seen from its begin on. */
void an_stream_fresh(struct an_stream *s, unsigned side);
/* The next bytes that a side said. False: the stream is of no interest. */
bool an_stream_data(struct an_stream *s, unsigned side, struct str bytes,
                    const struct an_seen *seen);
/* Bytes of that side are missing here. False: as above. */
bool an_stream_gap(struct an_stream *s, unsigned side, const struct an_seen *seen);
/* No more comes; what is there of a message is given out. */
void an_stream_free(struct an_stream *s, const struct an_seen *seen);

#endif
