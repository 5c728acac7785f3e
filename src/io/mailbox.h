/* A bounded queue of fixed-size values from one thread to one other, without locks. The reader's
 * eventfd is written only when the reader found the queue empty, so a busy queue costs no system
 * calls. */
#ifndef IO_MAILBOX_H
#define IO_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

struct mailbox {
    char *mem;
    uint32_t item_bytes, mask;
    int fd; /* readable when the reader should look */
    /* The reader's own: it has set `asleep`; so often the sender has written to fd, or is about to,
     * and that was not read yet. */
    bool armed;
    uint64_t owed;
    /* Apart, so that the two threads do not share cache lines. */
    _Alignas(64) _Atomic uint32_t head; /* written by the sender */
    _Alignas(64) _Atomic uint32_t tail; /* written by the reader */
    _Alignas(64) _Atomic bool asleep;   /* the reader found nothing */
};

/* cap is rounded up to a power of two. 0, -ENOMEM or the error of eventfd(). */
MUST_CHECK int mailbox_init(struct mailbox *m, size_t item_bytes, uint32_t cap);
void mailbox_done(struct mailbox *m);

/* Sender: a copy of *item goes in. -EAGAIN: full, nothing happened. */
MUST_CHECK int mailbox_put(struct mailbox *m, const void *item);
/* Sender: how many more fit (at least). */
uint32_t mailbox_room(struct mailbox *m);

/* Reader: the oldest value, removed. false: none is there, and the next put makes the descriptor
 * readable. A reader that stops before it sees false has to come back by itself. */
bool mailbox_take(struct mailbox *m, void *ret);
/* Reader: makes the descriptor unreadable again; call it before taking. No system call when it was
 * not readable. */
void mailbox_ack(struct mailbox *m);

#endif
