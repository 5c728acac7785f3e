/* Frames from a network interface, by libpcap: a ring of the kernel's that is bounded, a filter,
 * and what was lost. It belongs to the loop's thread and never blocks. An interface that goes away
 * is looked for until it is back. */
#ifndef IO_PCAPIO_H
#define IO_PCAPIO_H

#include "io/loop.h"
#include "wire/cap/cap.h"

#define PCAPIO_TEXT 320

struct pcapio_config {
    const char *iface;  /* "eth0", "lo", "any" */
    const char *filter; /* as of tcpdump; NULL or "": none */
    uint32_t buffer_mb; /* of the ring */
    uint32_t snaplen;   /* bytes kept of a frame, at most CAP_MAX_FRAME */
    uint32_t number;    /* frame->iface */
    /* What it points to stays during the call. */
    void (*frame)(void *ctx, const struct cap_frame *f);
    /* It has gone, or is back: a sentence. */
    void (*news)(void *ctx, const char *text);
    void *ctx;
};

struct pcapio_stats {
    uint64_t frames;        /* handed over */
    uint64_t dropped;       /* found no room in the ring */
    uint64_t iface_dropped; /* by the interface or its driver */
};

struct pcapio;

/* What the configuration points to must stay. 0, or a negative errno with a sentence that says what
 * is wrong and what helps, in text[PCAPIO_TEXT]; -EINVAL: the filter. */
MUST_CHECK int pcapio_open(struct pcapio **ret, struct loop *loop, const struct pcapio_config *cfg,
                           char *text);
/* Accepts NULL. Its memory goes with the next loop_settle(). */
void pcapio_close(struct pcapio *p);
/* Hands over what waits, and looks for an interface that has gone: once a second. */
void pcapio_tick(struct pcapio *p);
/* More waits than one turn of the loop takes: time must not run ahead of it. */
bool pcapio_is_behind(const struct pcapio *p);
/* Over all times that it was opened. */
struct pcapio_stats pcapio_stats_get(struct pcapio *p);

#endif
