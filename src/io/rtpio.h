/* Sockets of the media plane and the thread that turns them: port pairs of a configured range, read
 * when packets come and sent on as the owner's functions say. In dense traffic the thread looks at
 * most once per coalesce_us, so one wake-up serves many packets; sparse traffic is not delayed. */
#ifndef IO_RTPIO_H
#define IO_RTPIO_H

#include "base/addr.h"
#include "base/timer.h"

/* Packets longer than this are handed over with n = RTPIO_MAX_BYTES + 1 and should be dropped. */
#define RTPIO_MAX_BYTES 2048

struct rtpio;

struct rtpio_packet {
    struct addr from;
    uint8_t *bytes; /* may be changed before they are sent on */
    size_t n;
    uint16_t port; /* the even port of the pair */
    bool is_rtcp;  /* received on port + 1 */
};

struct rtpio_forward {
    struct addr to;
    uint16_t port;
    bool is_rtcp;
};

/* All are called in the thread of rtpio. */
struct rtpio_ops {
    /* One packet: 1 forwards it as *ret says, 0 drops it. */
    int (*rx)(void *ctx, usec_t now, const struct rtpio_packet *in, struct rtpio_forward *ret);
    /* Once per turn, after the packets: commands, timers, events. Returns when it wants to be
     * called at the latest; USEC_NEVER: when there are packets or rtpio_conf.wake_fd is readable.
     */
    usec_t (*turn)(void *ctx, usec_t now);
    void *ctx;
};

struct rtpio_conf {
    struct addr bind_v4, bind_v6; /* ADDR_NONE: pairs of that family cannot be opened */
    uint16_t port_first, port_last;
    uint32_t coalesce_us;  /* 0: never wait for more */
    uint32_t rcvbuf_bytes; /* of each socket; 0: the system's default */
    int wake_fd;           /* its becoming readable starts a turn */
};

struct rtpio_count {
    uint64_t rx_packets, tx_packets, tx_errors;
    uint64_t turns; /* wake-ups */
    uint64_t naps;  /* turns that were put off to gather packets */
};

/* Nothing runs yet. 0 or negative errno. */
MUST_CHECK int rtpio_new(struct rtpio **ret, const struct rtpio_conf *conf,
                         const struct rtpio_ops *ops);
/* Starts the thread. */
MUST_CHECK int rtpio_start(struct rtpio *io);
/* Ends the thread and waits for it, if it was started. */
void rtpio_stop(struct rtpio *io);
/* Closes every socket. The thread must be stopped. Accepts NULL. */
void rtpio_free(struct rtpio *io);
/* One turn in the caller's thread, for tests and programs without threads: waits at most
 * max_wait_us for something to do. */
void rtpio_turn(struct rtpio *io, usec_t max_wait_us);

/* The rest only in the thread of rtpio (from its functions), or before rtpio_start(). */

/* Binds the next free even port of the range and the odd one after it, going round the range so
 * that a number comes back late. Pairs that somebody else uses are skipped. -EADDRINUSE: none is
 * left; -EAFNOSUPPORT; or the error of socket(), -EMFILE above all, which comes while some
 * descriptors are left to others. A number is open in one family at a time. */
MUST_CHECK int rtpio_open(struct rtpio *io, uint16_t *ret, enum addr_family family);
/* Sends a packet that was not received here, from this pair. */
void rtpio_send(struct rtpio *io, const struct rtpio_forward *to, const uint8_t *bytes, size_t n);
/* Throws away what waits in the sockets of a pair. */
void rtpio_drain(struct rtpio *io, uint16_t port);
/* Closes the sockets of a pair; nothing happens if it is not open. */
void rtpio_close(struct rtpio *io, uint16_t port);
struct rtpio_count rtpio_counted(const struct rtpio *io);
/* The monotonic clock that `now` is taken from. */
usec_t rtpio_now(void);

#endif
