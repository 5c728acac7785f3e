/* The media thread: the pure relay (engine/media/plane) on the sockets of io/rtpio, with a mailbox
 * in and a mailbox out. One thread sends commands and takes events. */
#ifndef APP_MEDIA_H
#define APP_MEDIA_H

#include "engine/media/media.h"
#include "engine/media/plane.h"

struct media_thread;
struct recorder;

struct media_conf {
    struct addr bind_v4, bind_v6; /* ADDR_NONE: no streams of that family */
    uint16_t port_first, port_last;
    uint32_t coalesce_us; /* how long a packet may wait for others in dense traffic; 1000 is good */
    struct recorder *recorder[2]; /* by the bit PBX_RECORD_MESSAGE of a number; NULL: nothing is
                                     written */
    /* In the media thread, in place of the recorders; may be NULL. */
    void (*block)(void *ctx, const struct plane_block *b);
    void *block_ctx;
    struct plane_limits limits; /* max_streams 0: one for each pair of the range */
};

/* What the thread did so far; each figure is true at some recent time. */
struct media_figures {
    uint64_t rx_packets, tx_packets, tx_errors, turns;
    uint64_t rtcp_lost; /* reports that were not fetched in time */
    uint64_t taps_lost; /* frames for bots that were not fetched in time */
    struct plane_count dropped;
};

/* A report about media, sent or received. */
#define MEDIA_RTCP_BYTES 1024 /* what is longer is left out */
struct media_rtcp {
    media_id id;
    usec_t at;
    struct addr peer;
    uint16_t port; /* of ours */
    bool sent;
    uint16_t n;
    uint8_t bytes[MEDIA_RTCP_BYTES];
};

/* What taps give, and what is fed (engine/media/plane.h), with their samples: pcm of the two
 * structs points nowhere here. The thread of the bots takes the one and puts the other. */
struct media_tap {
    struct plane_tap tap;
    int16_t pcm[PLANE_TAP_SAMPLES];
};
struct media_feed {
    struct plane_feed feed;
    int16_t pcm[PLANE_TAP_SAMPLES];
};

/* 0 or negative errno. */
MUST_CHECK int media_thread_start(struct media_thread **ret, const struct media_conf *conf);
/* Hands over n commands in order. Returns how many were taken: fewer than n when the mailbox is
 * full, the rest is to be sent again after the next events. */
size_t media_thread_send(struct media_thread *t, const struct media_cmd *cmd, size_t n);
/* Readable when events wait. Call media_thread_poll() until it returns 0. */
int media_thread_fd(const struct media_thread *t);
/* Takes at most n events, oldest first. Returns how many. */
size_t media_thread_poll(struct media_thread *t, struct media_ev *ev, size_t n);
/* From now on reports are shown, or no more. Those that are not fetched in time are lost. */
void media_thread_show_rtcp(struct media_thread *t, bool on);
/* Readable when reports wait. Call media_thread_rtcp() until it returns false. */
int media_thread_rtcp_fd(const struct media_thread *t);
bool media_thread_rtcp(struct media_thread *t, struct media_rtcp *ret);
/* Readable when taps have given something. Call media_thread_tap() until it returns false. What is
 * not taken in time is lost. */
int media_thread_tap_fd(const struct media_thread *t);
bool media_thread_tap(struct media_thread *t, struct media_tap *ret);
/* The same for taps with `ears`. */
int media_thread_ear_fd(const struct media_thread *t);
bool media_thread_ear(struct media_thread *t, struct media_tap *ret);
/* -EAGAIN: no room, again in some milliseconds. It is heard within two ticks. */
MUST_CHECK int media_thread_feed(struct media_thread *t, const struct media_feed *f);
struct media_figures media_thread_figures(struct media_thread *t);
/* Ends the thread and closes every socket. Accepts NULL. */
void media_thread_stop(struct media_thread *t);

#endif
