#include "io/mailbox.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/mem.h"

int mailbox_init(struct mailbox *m, size_t item_bytes, uint32_t cap)
{
    uint32_t n = 1;
    while (n < cap)
        n *= 2;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0)
        return -errno;
    char *mem = mem_map(item_bytes * n);
    if (!mem) {
        close(fd);
        return -ENOMEM;
    }
    memset(m, 0, sizeof(*m));
    m->mem = mem;
    m->item_bytes = (uint32_t)item_bytes;
    m->mask = n - 1;
    m->fd = fd;
    atomic_store(&m->asleep, true);
    m->armed = true;
    return 0;
}

void mailbox_done(struct mailbox *m)
{
    close(m->fd);
    mem_unmap(m->mem, (size_t)m->item_bytes * (m->mask + 1));
    m->mem = NULL;
    m->fd = -1;
}

static char *item_at(const struct mailbox *m, uint32_t i)
{
    return m->mem + (size_t)(i & m->mask) * m->item_bytes;
}

uint32_t mailbox_room(struct mailbox *m)
{
    uint32_t head = atomic_load_explicit(&m->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&m->tail, memory_order_acquire);
    return m->mask + 1 - (head - tail);
}

int mailbox_put(struct mailbox *m, const void *item)
{
    if (mailbox_room(m) == 0)
        return -EAGAIN;
    uint32_t head = atomic_load_explicit(&m->head, memory_order_relaxed);
    memcpy(item_at(m, head), item, m->item_bytes);
    /* Sequentially consistent, as the stores in mailbox_take(): either the reader sees the new
     * value, or this thread sees that it sleeps. */
    atomic_store(&m->head, head + 1);
    if (atomic_load(&m->asleep) && atomic_exchange(&m->asleep, false)) {
        uint64_t one = 1;
        ssize_t n = write(m->fd, &one, sizeof(one));
        BUG_ON(n != sizeof(one) && errno != EAGAIN);
    }
    return 0;
}

bool mailbox_take(struct mailbox *m, void *ret)
{
    uint32_t tail = atomic_load_explicit(&m->tail, memory_order_relaxed);
    if (atomic_load_explicit(&m->head, memory_order_acquire) == tail) {
        /* Whoever turns `asleep` from true to false knows whether the descriptor is written. */
        if (!atomic_exchange(&m->asleep, true) && m->armed)
            m->owed++;
        m->armed = true;
        if (atomic_load(&m->head) == tail)
            return false;
        if (!atomic_exchange(&m->asleep, false))
            m->owed++;
        m->armed = false;
    }
    memcpy(ret, item_at(m, tail), m->item_bytes);
    atomic_store_explicit(&m->tail, tail + 1, memory_order_release);
    return true;
}

void mailbox_ack(struct mailbox *m)
{
    uint64_t n;
    if (m->armed && !atomic_load(&m->asleep)) {
        m->armed = false;
        m->owed++;
    }
    if (!m->owed)
        return;
    /* A write may be still to come, though the one before it is there: the next call sees it. */
    if (read(m->fd, &n, sizeof(n)) == sizeof(n))
        m->owed -= n;
    else
        BUG_ON(errno != EAGAIN && errno != EINTR);
}
