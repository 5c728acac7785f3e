/* Capture files: pcap (both byte orders, micro- and nanoseconds, with or without the additions of
 * Kuznetzov) and pcapng. They are read over a window of bytes that the caller has mapped or read;
 * nothing is copied and nothing is allocated, so a length that lies costs nothing.
 *
 *     cap_init(&c);
 *     while ((r = cap_next(&c, p, n, last, &frame, &used)) != 0) {
 *         if (r > 0)
 *             take(&frame);           // points into p
 *         else
 *             warn(c.error, c.error_at);
 *         p += used, n -= used;
 *     }
 *     // 0: with `last` the end; else drop `used` bytes of p and come back with more behind them.
 *
 * draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng. */
#ifndef WIRE_CAP_CAP_H
#define WIRE_CAP_CAP_H

#include "base/addr.h"

#define CAP_MAX_FRAME  262144     /* bytes of one frame; a length above it is no length */
#define CAP_MAX_IFACES 256        /* of one section */
#define CAP_WINDOW     (4u << 20) /* a window of so many bytes is always enough */

/* Link types (tcpdump.org/linktypes.html) that link.h understands. */
enum cap_link {
    CAP_NULL = 0,
    CAP_ETHERNET = 1,
    CAP_PPP = 9,
    CAP_RAW_12 = 12, /* raw IP, as three systems number it */
    CAP_RAW_14 = 14,
    CAP_PPP_HDLC = 50,
    CAP_PPP_ETHER = 51,
    CAP_RAW = 101,
    CAP_C_HDLC = 104,
    CAP_IEEE802_11 = 105,
    CAP_LOOP = 108,
    CAP_ENC = 109,
    CAP_SLL = 113,
    CAP_PFLOG = 117,
    CAP_RADIOTAP = 127,
    CAP_PPP_PPPD = 166,
    CAP_PPI = 192,
    CAP_PPP_WITH_DIR = 204,
    CAP_IPV4 = 228,
    CAP_IPV6 = 229,
    CAP_NFLOG = 239,
    CAP_SLL2 = 276
};

struct cap_frame {
    uint64_t number; /* in the file, from 1 */
    uint64_t at_ns;  /* since 1970; of a frame without a time that of the frame before */
    uint32_t iface;  /* the number of its interface in the file */
    uint16_t link;
    bool no_time;
    bool keys; /* no frame but TLS keys, lines as in a key log: number 0 */
    const uint8_t *p;
    uint32_t n;      /* bytes captured */
    uint32_t wire_n; /* bytes there were, at least n */
};

struct cap_iface {
    uint16_t link;
    uint32_t snaplen; /* 0: no limit */
    uint8_t tsresol;  /* as in the file: 10^-n, or 2^-n with the high bit */
    int64_t offset_s;
    uint64_t dropped; /* as the last statistics say */
    char name[24];
};

enum cap_format { CAP_UNKNOWN, CAP_PCAP, CAP_PCAPNG };

struct cap {
    uint8_t format;       /* enum cap_format */
    bool swapped;         /* the numbers are most significant byte first */
    bool nanos, modified; /* pcap */
    bool lost;            /* looking for a place where a record begins */
    bool over;            /* nothing more will be read */
    uint64_t at;          /* offset in the file of the window's first byte */
    uint64_t frames;
    uint64_t last_ns;
    uint64_t dropped; /* by the interfaces of earlier sections */
    uint32_t iface_base, n_ifaces;
    struct cap_iface iface[CAP_MAX_IFACES];
    const char *error; /* of the last -EBADMSG: what is wrong, as a part of a sentence */
    uint64_t error_at; /* and where in the file */
};

void cap_init(struct cap *c);
/* The next frame of the window [p, p+n). 1: a frame; 0: more bytes are wanted, or with `last` the
 * capture has ended; -EBADMSG: something was wrong, c->error says what, and reading goes on where
 * that is possible. In all cases the first *used bytes of the window are done with. */
MUST_CHECK int cap_next(struct cap *c, const uint8_t *p, size_t n, bool last, struct cap_frame *f,
                        size_t *used);
/* Frames that the capturing system says it lost. */
uint64_t cap_dropped(const struct cap *c);

/* A pcapng file: one section, its interfaces (numbered in order from 0, times in nanoseconds),
 * frames. f->iface, at_ns, p, n and wire_n count; comment may be STR_NONE. */
void cap_write_section(struct buf *b, struct str application);
void cap_write_iface(struct buf *b, uint16_t link, struct str name);
void cap_write_frame(struct buf *b, const struct cap_frame *f, struct str comment);
/* TLS keys for the frames that follow. */
void cap_write_keys(struct buf *b, struct str keylog);
/* A packet that never was on the wire: a UDP datagram of these addresses, as a frame of a CAP_RAW
 * interface has it. For what was put together from a stream, or came in HEP. */
void cap_put_udp(struct buf *b, const struct addr *src, const struct addr *dst, struct str payload);
#define CAP_UDP_BYTES 48 /* what it puts in front of the payload, at most */
/* The bytes that cap_write_frame() will put for n bytes of a frame, at most. */
static inline size_t cap_frame_bytes(size_t n, struct str comment)
{
    return n + comment.n + 52;
}

#endif
