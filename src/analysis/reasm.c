#include "analysis/reasm.h"

#include <errno.h>

#include "base/mem.h"

#define MAX_PARTS 512
#define JUMP      (1 << 24) /* a sequence number so far away belongs to something else */

/* A segment that came too early. */
struct tcp_part {
    struct tcp_part *next;
    uint32_t seq, n, wire_n;
    uint64_t at_ns, frame;
    uint8_t bytes[];
};

/* RFC 9293 section 3.4: sequence numbers wrap. */
static int32_t after(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b);
}

int reasm_init(struct reasm *r, const struct reasm_limits *limits)
{
    memset(r, 0, sizeof(*r));
    r->limits = *limits;
    list_init(&r->idle);
    list_init(&r->gaps);
    list_init(&r->dying);
    uint32_t n = limits->connections ? limits->connections : 1;
    /* One more: a port used again ends the old connection after the new one has begun. */
    if (slot_init(&r->slots, sizeof(struct tcp_conn), n + 1))
        return -ENOMEM;
    if (hash_init(&r->table, n, limits->seed)) {
        slot_done(&r->slots);
        return -ENOMEM;
    }
    return 0;
}

/* The first part leaves the side; it is then the caller's. */
static struct tcp_part *part_take(struct reasm *r, struct tcp_side *s)
{
    struct tcp_part *p = s->parts;
    s->parts = p->next;
    s->part_bytes -= sizeof(*p) + p->n;
    s->n_parts--;
    r->bytes -= sizeof(*p) + p->n;
    return p;
}

static void parts_drop(struct reasm *r, struct tcp_conn *c)
{
    for (unsigned i = 0; i < 2; i++)
        while (c->side[i].parts)
            mem_free(part_take(r, &c->side[i]));
    list_remove(&c->gap);
}

static void unlist(struct reasm *r, struct tcp_conn *c)
{
    if (c->listed)
        hash_remove(&r->table, &c->node);
    c->listed = false;
}

static void release(struct reasm *r, struct tcp_conn *c)
{
    parts_drop(r, c);
    unlist(r, c);
    list_remove(&c->idle);
    slot_put(&r->slots, slot_handle(&r->slots, c));
}

static void take_back(struct reasm *r)
{
    mem_free(r->spent);
    r->spent = NULL;
}

void reasm_done(struct reasm *r)
{
    if (!r->idle.next)
        return;
    take_back(r);
    uint32_t at = 0;
    handle_t h;
    for (struct tcp_conn *c; (c = slot_next(&r->slots, &at, &h));)
        release(r, c);
    slot_done(&r->slots);
    hash_done(&r->table);
}

/* The same for both directions. */
static uint64_t key_hash(const struct reasm *r, const struct addr *a, const struct addr *b)
{
    uint8_t key[36];
    int order = memcmp(a->ip, b->ip, 16);
    if (order > 0 || (order == 0 && a->port > b->port)) {
        const struct addr *swap = a;
        a = b;
        b = swap;
    }
    memcpy(key, a->ip, 16);
    memcpy(key + 16, b->ip, 16);
    memcpy(key + 32, &a->port, 2);
    memcpy(key + 34, &b->port, 2);
    return hash_bytes(&r->table, key, sizeof(key));
}

static struct tcp_conn *find(struct reasm *r, const struct tcp_seg *seg, uint64_t hash)
{
    hash_each(node, &r->table, hash)
    {
        struct tcp_conn *c = container_of(node, struct tcp_conn, node);
        if ((addr_eq(&c->addr[0], &seg->src) && addr_eq(&c->addr[1], &seg->dst)) ||
            (addr_eq(&c->addr[0], &seg->dst) && addr_eq(&c->addr[1], &seg->src)))
            return c;
    }
    return NULL;
}

/* The connection ends after what waits in it was given. */
static void die(struct reasm *r, struct tcp_conn *c)
{
    c->side[0].force = c->side[1].force = true;
    unlist(r, c);
    list_remove(&c->idle);
    list_append(&r->dying, &c->idle);
}

static struct tcp_conn *begin(struct reasm *r, const struct tcp_seg *seg, uint64_t hash)
{
    handle_t h;
    if (r->slots.used >= r->slots.cap - 1 && !list_empty(&r->idle)) {
        /* The one idle longest is on its way out: the next reasm_next() says so. */
        die(r, container_of(r->idle.next, struct tcp_conn, idle));
        r->evicted++;
    }
    struct tcp_conn *c = slot_take(&r->slots, &h);
    if (!c)
        return NULL;
    c->addr[0] = seg->src;
    c->addr[1] = seg->dst;
    c->iface = seg->iface;
    c->listed = true;
    hash_put(&r->table, &c->node, hash);
    list_append(&r->idle, &c->idle);
    return c;
}

/* Keeps a segment for later. */
static void keep(struct reasm *r, struct tcp_conn *c, struct tcp_side *s, const struct tcp_seg *g)
{
    struct tcp_part **at = &s->parts;
    while (*at && after((*at)->seq, g->seq) < 0)
        at = &(*at)->next;
    if (*at && (*at)->seq == g->seq && (*at)->n >= g->n)
        return;
    struct tcp_part *p = mem_alloc(sizeof(*p) + g->n);
    if (!p) {
        s->force = true;
        return;
    }
    *p = (struct tcp_part){.next = *at,
                           .seq = g->seq,
                           .n = g->n,
                           .wire_n = g->wire_n,
                           .at_ns = g->at_ns,
                           .frame = g->frame};
    memcpy(p->bytes, g->p, g->n);
    *at = p;
    if (s->n_parts++ == 0)
        s->gap_ns = g->at_ns;
    s->part_bytes += sizeof(*p) + g->n;
    r->bytes += sizeof(*p) + g->n;
    if (!c->gap.next)
        list_append(&r->gaps, &c->gap);
    if (s->n_parts > MAX_PARTS || s->part_bytes > r->limits.side_bytes ||
        r->bytes > r->limits.all_bytes)
        s->force = true;
}

/* A SYN where there was a connection is the same SYN again, or the port is used again. */
static bool is_new(const struct tcp_conn *c, const struct tcp_seg *g)
{
    unsigned side = addr_eq(&c->addr[0], &g->src) ? 0 : 1;
    const struct tcp_side *s = &c->side[side];
    if ((g->flags & (TCP_SYN | TCP_ACK)) != TCP_SYN)
        return false;
    return c->over || side == 1 || (s->open && g->seq + 1 != s->next);
}

/* Data of a connection that was thought to be over: the port is used again, or its end was none.
 * What repeats old bytes leaves it as it is. */
static bool revives(struct tcp_conn *c, const struct tcp_side *s, const struct tcp_seg *g)
{
    if (g->n == 0 || c->ignored || after(g->seq + g->wire_n, s->next) <= 0)
        return false;
    c->over = false;
    c->side[0] = c->side[1] = (struct tcp_side){0};
    return true;
}

static void see_ack(struct tcp_side *s, uint32_t ack)
{
    if (!s->open || (s->has_acked && after(ack, s->acked) <= 0))
        return;
    s->acked = ack;
    s->has_acked = true;
}

/* What a segment says besides its bytes. */
static void see_flags(struct tcp_conn *c, unsigned side, const struct tcp_seg *g)
{
    struct tcp_side *s = &c->side[side];
    if (g->flags & TCP_SYN && (!s->open || (side == 1 && !s->begun))) {
        s->open = s->begun = true;
        s->next = g->seq + 1;
    }
    if (g->flags & TCP_ACK)
        see_ack(&c->side[1 - side], g->ack);
    if (!s->open && (g->n || g->flags & TCP_FIN)) {
        s->open = true;
        s->next = g->seq;
    }
    if (g->flags & TCP_FIN && !s->fin) {
        s->fin = true;
        s->fin_seq = g->seq + g->wire_n;
    }
    if (g->flags & TCP_RST)
        for (unsigned i = 0; i < 2; i++) {
            c->side[i].fin = c->side[i].force = true;
            c->side[i].fin_seq = c->side[i].next;
        }
}

struct tcp_conn *reasm_put(struct reasm *r, const struct tcp_seg *seg)
{
    take_back(r);
    uint64_t hash = key_hash(r, &seg->src, &seg->dst);
    struct tcp_conn *c = find(r, seg, hash);
    r->now_ns = seg->at_ns;
    r->at = NULL;
    if (c && is_new(c, seg)) {
        die(r, c);
        c = NULL;
    }
    if (!c)
        c = begin(r, seg, hash);
    if (!c)
        return NULL;
    c->at_ns = seg->at_ns;
    list_remove(&c->idle);
    list_append(&r->idle, &c->idle);
    if (c->ignored)
        return c;
    unsigned side = addr_eq(&c->addr[0], &seg->src) ? 0 : 1;
    struct tcp_side *s = &c->side[side];
    if (c->over && !revives(c, s, seg))
        return c;
    see_flags(c, side, seg);
    r->at = c;
    r->late = false;
    r->seg = *seg;
    r->seg_side = (uint8_t)side;
    if (seg->flags & TCP_SYN)
        r->seg.seq++; /* data with a SYN begins behind it (RFC 7413) */
    if (seg->n && after(r->seg.seq, s->next) > 0 && after(r->seg.seq, s->next) < JUMP) {
        keep(r, c, s, &r->seg);
        r->seg.n = 0;
    }
    return c;
}

static void piece(struct tcp_piece *ret, struct tcp_conn *c, unsigned side, enum tcp_kind kind)
{
    *ret = (struct tcp_piece){.conn = c, .side = (uint8_t)side, .kind = (uint8_t)kind};
}

/* Bytes that continue the stream or repeat it. False if nothing of them is new. A cut segment
 * leaves a gap, which is told once its bytes were taken. */
static bool give(struct tcp_side *s, struct tcp_piece *ret, const uint8_t *p, struct tcp_seg *g)
{
    int32_t old = after(s->next, g->seq);
    if (old < 0 || (uint32_t)old >= g->wire_n)
        return false;
    ret->at_ns = g->at_ns;
    ret->frame = g->frame;
    if ((uint32_t)old >= g->n) {
        ret->kind = TCP_GAP;
        ret->lost = g->wire_n - (uint32_t)old;
        s->next = g->seq + g->wire_n;
        return true;
    }
    ret->p = p + old;
    ret->n = g->n - (uint32_t)old;
    s->next = g->seq + g->n;
    return true;
}

/* From the segment at hand. */
static bool next_of_seg(struct reasm *r, struct tcp_piece *ret)
{
    struct tcp_seg *g = &r->seg;
    struct tcp_side *s = &r->at->side[r->seg_side];
    if (g->n == 0)
        return false;
    piece(ret, r->at, r->seg_side, TCP_DATA);
    int32_t ahead = after(g->seq, s->next);
    if (ahead >= JUMP || ahead <= -JUMP) {
        /* Nothing that is repeated or missing is so far away: somewhere the thread was lost. */
        ret->kind = TCP_GAP;
        ret->at_ns = g->at_ns;
        ret->frame = g->frame;
        s->next = g->seq;
        s->fin = false;
        return true;
    }
    if (give(s, ret, g->p, g)) {
        if (ret->kind == TCP_GAP || g->n == g->wire_n)
            g->n = 0;
        return true;
    }
    g->n = 0;
    return false;
}

static bool given_up(const struct reasm *r, const struct tcp_side *s)
{
    bool acked = s->has_acked && after(s->acked, s->parts->seq) >= 0;
    uint64_t most = acked ? r->limits.acked_gap_ns : r->limits.gap_ns;
    return s->force || (int64_t)(r->now_ns - s->gap_ns) > (int64_t)most;
}

/* From what was kept. */
static bool next_of_side(struct reasm *r, unsigned side, struct tcp_piece *ret)
{
    struct tcp_conn *c = r->at;
    struct tcp_side *s = &c->side[side];
    while (s->parts) {
        struct tcp_part *p = s->parts;
        piece(ret, c, side, TCP_DATA);
        if (after(p->seq, s->next) > 0) {
            if (!given_up(r, s))
                return false;
            ret->kind = TCP_GAP;
            ret->lost = p->seq - s->next;
            ret->at_ns = p->at_ns;
            ret->frame = p->frame;
            s->next = p->seq;
            return true;
        }
        struct tcp_seg g = {
            .seq = p->seq, .n = p->n, .wire_n = p->wire_n, .at_ns = p->at_ns, .frame = p->frame};
        bool given = give(s, ret, p->bytes, &g);
        if (given && ret->kind == TCP_DATA && p->n < p->wire_n)
            return true; /* its gap comes next */
        s->gap_ns = p->at_ns;
        part_take(r, s);
        if (given) {
            r->spent = p;
            return true;
        }
        mem_free(p);
    }
    return false;
}

static bool has_ended(const struct tcp_side *s)
{
    return s->fin && after(s->next, s->fin_seq) >= 0;
}

/* The next piece of the connection at hand. */
static bool next_of_conn(struct reasm *r, struct tcp_piece *ret)
{
    struct tcp_conn *c = r->at;
    if (next_of_seg(r, ret))
        return true;
    for (unsigned i = 0; i < 2; i++) {
        if (next_of_side(r, i, ret))
            return true;
        if (!c->side[i].parts && c->listed && !c->side[i].fin)
            c->side[i].force = false;
    }
    if (!c->side[0].parts && !c->side[1].parts)
        list_remove(&c->gap);
    if (c->over || (c->listed && !(has_ended(&c->side[0]) && has_ended(&c->side[1]))))
        return false;
    parts_drop(r, c); /* what lies behind the end belongs to nothing */
    piece(ret, c, 0, TCP_END);
    c->over = true;
    return true;
}

/* Something that waits for too long, or has to go. */
static struct tcp_conn *due(struct reasm *r)
{
    if (!list_empty(&r->dying))
        return container_of(r->dying.next, struct tcp_conn, idle);
    if (!list_empty(&r->gaps)) {
        struct tcp_conn *c = container_of(r->gaps.next, struct tcp_conn, gap);
        for (unsigned i = 0; i < 2; i++)
            if (c->side[i].parts && given_up(r, &c->side[i]))
                return c;
        /* Each gets its turn. */
        list_remove(&c->gap);
        list_append(&r->gaps, &c->gap);
    }
    if (!list_empty(&r->idle)) {
        struct tcp_conn *c = container_of(r->idle.next, struct tcp_conn, idle);
        if ((int64_t)(r->now_ns - c->at_ns) > (int64_t)r->limits.idle_ns) {
            die(r, c);
            return c;
        }
    }
    return NULL;
}

bool reasm_next(struct reasm *r, struct tcp_piece *ret)
{
    take_back(r);
    for (;;) {
        if (r->at) {
            struct tcp_conn *c = r->at;
            if (next_of_conn(r, ret)) {
                r->late = r->late || ret->kind == TCP_GAP;
                if (!r->late || ret->kind == TCP_END) {
                    ret->at_ns = r->seg.at_ns;
                    ret->frame = r->seg.frame;
                }
                return true;
            }
            r->at = NULL;
            if (!c->listed)
                release(r, c);
        }
        r->at = due(r);
        if (!r->at)
            return false;
        r->seg.n = 0;
        r->late = true;
    }
}

void reasm_ignore(struct reasm *r, struct tcp_conn *c)
{
    c->ignored = true;
    parts_drop(r, c);
    if (r->at == c)
        r->seg.n = 0;
}

bool reasm_end(struct reasm *r)
{
    take_back(r);
    if (list_empty(&r->idle) && list_empty(&r->dying))
        return false;
    if (list_empty(&r->dying))
        die(r, container_of(r->idle.next, struct tcp_conn, idle));
    return true;
}
