#include "engine/media/jbuf.h"

#include <string.h>

/* Bounds of RFC 3550 appendix A.1, as what may still be the same sequence. */
#define MAX_DROPOUT  3000
#define MAX_MISORDER 100
/* Packets of the SSRC that has just been left are stragglers for so long, unless only they come. */
#define FORMER_US  (200 * USEC_MS)
#define FORMER_RUN 3
/* So many in a row from the past are a sequence that started over, if nothing else came so long. */
#define STALE_RUN 3
#define STALE_US  (100 * USEC_MS)

void jbuf_init(struct jbuf *b)
{
    memset(b, 0, offsetof(struct jbuf, bytes));
    for (unsigned i = 0; i < JBUF_PACKETS; i++)
        b->free_packet[i] = (uint8_t)i;
    for (unsigned i = 0; i < JBUF_CHUNKS; i++)
        b->next_chunk[i] = (uint8_t)(i + 1);
    b->chunks_left = JBUF_CHUNKS;
}

static struct jbuf_packet *at(struct jbuf *b, unsigned i)
{
    return &b->packet[b->sorted[(b->head + i) % JBUF_PACKETS]];
}

static unsigned chunks_of(size_t n)
{
    return (unsigned)((n + JBUF_CHUNK - 1) / JBUF_CHUNK);
}

size_t jbuf_peek(const struct jbuf *b, uint8_t payload[JBUF_MAX_PAYLOAD])
{
    const struct jbuf_packet *p = jbuf_head(b);
    uint8_t chunk = p->first_chunk;
    for (unsigned done = 0; done < p->n; done += JBUF_CHUNK) {
        unsigned part = p->n - done < JBUF_CHUNK ? p->n - done : JBUF_CHUNK;
        memcpy(payload + done, b->bytes + (size_t)chunk * JBUF_CHUNK, part);
        chunk = b->next_chunk[chunk];
    }
    return p->n;
}

/* Takes the head off the ring and gives its room back. */
static struct jbuf_packet unlink_head(struct jbuf *b)
{
    uint8_t index = b->sorted[b->head];
    struct jbuf_packet p = b->packet[index];
    uint8_t chunk = p.first_chunk;
    for (unsigned done = 0; done < p.n; done += JBUF_CHUNK) {
        uint8_t next = b->next_chunk[chunk];
        b->next_chunk[chunk] = b->free_chunk;
        b->free_chunk = chunk;
        b->chunks_left++;
        chunk = next;
    }
    b->head = (uint8_t)((b->head + 1) % JBUF_PACKETS);
    b->n--;
    b->free_packet[b->n] = index;
    b->waiting_us -= p.play_us;
    return p;
}

static void store(struct jbuf *b, struct jbuf_packet *p, const uint8_t *payload)
{
    uint8_t *link = &p->first_chunk;
    for (unsigned done = 0; done < p->n; done += JBUF_CHUNK) {
        unsigned part = p->n - done < JBUF_CHUNK ? p->n - done : JBUF_CHUNK;
        uint8_t chunk = b->free_chunk;
        b->free_chunk = b->next_chunk[chunk];
        b->chunks_left--;
        memcpy(b->bytes + (size_t)chunk * JBUF_CHUNK, payload + done, part);
        *link = chunk;
        link = &b->next_chunk[chunk];
    }
}

/* Whether it continues the stream that is there; false: a new one begins. */
static bool continues(struct jbuf *b, const struct jbuf_in *in)
{
    int16_t ahead = (int16_t)(uint16_t)(in->seq - b->max_seq);
    if (!b->started || in->ssrc != b->ssrc || ahead > MAX_DROPOUT || ahead < -MAX_MISORDER)
        return false;
    /* Back in sequence but on in time: the sender has started its numbers over. */
    return ahead > 0 || (int32_t)(in->ts - b->max_ts) <= 0;
}

/* From the past. A sender that starts over, numbers and time, is believed when only such packets
 * come; after a jam on the way, newer ones come, too. */
static bool stale_again(struct jbuf *b, usec_t now, uint16_t seq)
{
    b->stale_run = b->stale_run && seq == (uint16_t)(b->stale_seq + 1)
                       ? b->stale_run + (b->stale_run < STALE_RUN)
                       : 1;
    b->stale_seq = seq;
    return b->stale_run >= STALE_RUN && now >= b->accepted + STALE_US;
}

/* Leaves room for those that were sent before the first that came. */
static void renumber(struct jbuf *b)
{
    b->max_order += MAX_MISORDER + 1;
}

static enum jbuf_verdict begin(struct jbuf *b, usec_t now, const struct jbuf_in *in)
{
    if (b->started && in->ssrc != b->ssrc) {
        if (b->changed && in->ssrc == b->former_ssrc && now < b->changed + FORMER_US &&
            ++b->former_run < FORMER_RUN)
            return JBUF_LATE;
        b->former_ssrc = b->ssrc;
        b->changed = now;
    }
    b->started = true;
    b->ssrc = in->ssrc;
    renumber(b);
    return JBUF_FRESH;
}

/* The place in the order, or why there is none. */
static enum jbuf_verdict place(struct jbuf *b, usec_t now, const struct jbuf_in *in,
                               uint32_t *order)
{
    enum jbuf_verdict v = JBUF_TAKEN;
    if (!continues(b, in)) {
        v = begin(b, now, in);
        *order = b->max_order;
        return v;
    }
    *order = b->max_order + (uint32_t)(int16_t)(uint16_t)(in->seq - b->max_seq);
    int32_t behind = (int32_t)(b->taken - *order);
    if (b->taken_any && behind >= 0) {
        bool was_here = behind < 64 && (b->taken_bits >> behind & 1);
        v = was_here ? JBUF_DUPLICATE : JBUF_LATE;
    }
    for (unsigned i = b->n; v == JBUF_TAKEN && i-- > 0;) {
        int32_t after = (int32_t)(at(b, i)->order - *order);
        if (after == 0)
            v = JBUF_DUPLICATE;
        if (after <= 0)
            break;
    }
    if (v == JBUF_TAKEN || !stale_again(b, now, in->seq))
        return v;
    renumber(b);
    *order = b->max_order;
    return JBUF_FRESH;
}

static void insert(struct jbuf *b, const struct jbuf_packet *p)
{
    uint8_t index = b->free_packet[b->n];
    unsigned i = b->n++;
    b->packet[index] = *p;
    for (; i > 0 && (int32_t)(at(b, i - 1)->order - p->order) > 0; i--)
        b->sorted[(b->head + i) % JBUF_PACKETS] = b->sorted[(b->head + i - 1) % JBUF_PACKETS];
    b->sorted[(b->head + i) % JBUF_PACKETS] = index;
    if (i + 1 < b->n && !p->fresh && at(b, i + 1)->fresh) {
        /* The stream begins with this one, then. */
        at(b, i + 1)->fresh = false;
        b->packet[index].fresh = true;
    }
    b->waiting_us += p->play_us;
}

static void discard(struct jbuf *b, uint16_t seq)
{
    if (b->n_discarded == JBUF_PACKETS)
        memmove(b->discarded, b->discarded + 1, --b->n_discarded * sizeof(b->discarded[0]));
    b->discarded[b->n_discarded++] = seq;
}

bool jbuf_discarded(struct jbuf *b, uint16_t *seq)
{
    if (!b->n_discarded)
        return false;
    *seq = b->discarded[--b->n_discarded];
    return true;
}

enum jbuf_verdict jbuf_put(struct jbuf *b, usec_t now, const struct jbuf_in *in)
{
    if (in->n > JBUF_MAX_PAYLOAD)
        return JBUF_TOO_LONG;
    struct jbuf_packet p = {.at = now,
                            .ts = in->ts,
                            .play_us = in->play_us,
                            .n = (uint16_t)in->n,
                            .seq = in->seq,
                            .pt = in->pt,
                            .kind = in->kind,
                            .marker = in->marker};
    enum jbuf_verdict v = place(b, now, in, &p.order);
    if (v == JBUF_LATE && in->ssrc == b->ssrc)
        discard(b, in->seq);
    if (v != JBUF_TAKEN && v != JBUF_FRESH)
        return v;
    b->stale_run = b->former_run = 0;
    b->accepted = now;
    p.fresh = v == JBUF_FRESH;
    while (b->n == JBUF_PACKETS || b->chunks_left < chunks_of(in->n)) {
        discard(b, unlink_head(b).seq);
        b->overflow++;
        if (b->n)
            at(b, 0)->fresh = true;
        else
            p.fresh = true;
    }
    store(b, &p, in->payload);
    insert(b, &p);
    if (p.fresh || (int32_t)(p.order - b->max_order) >= 0) {
        b->max_order = p.order;
        b->max_seq = in->seq;
        b->max_ts = in->ts;
    }
    return v;
}

const struct jbuf_packet *jbuf_head(const struct jbuf *b)
{
    return b->n ? &b->packet[b->sorted[b->head]] : NULL;
}

uint32_t jbuf_missing(const struct jbuf *b)
{
    const struct jbuf_packet *h = jbuf_head(b);
    return !h || h->fresh || !b->taken_any ? 0 : h->order - b->taken - 1;
}

struct jbuf_packet jbuf_take(struct jbuf *b, uint8_t payload[JBUF_MAX_PAYLOAD])
{
    jbuf_peek(b, payload);
    struct jbuf_packet p = unlink_head(b);
    uint32_t step = p.order - b->taken;
    b->taken_bits = (b->taken_any && !p.fresh && step < 64 ? b->taken_bits << step : 0) | 1;
    b->taken = p.order;
    b->taken_any = true;
    return p;
}

void jbuf_drop(struct jbuf *b)
{
    uint8_t payload[JBUF_MAX_PAYLOAD];
    discard(b, jbuf_take(b, payload).seq);
}
