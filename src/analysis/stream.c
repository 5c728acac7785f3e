#include "analysis/stream_int.h"

#include "analysis/hep_in.h"
#include "analysis/start.h"
#include "analysis/tls.h"
#include "base/mem.h"
#include "wire/hep/hep.h"

#define LOOK_BYTES 32768 /* of a connection that is not seen from its begin on */

struct an_stream *an_stream_new(struct an_streams *all, const struct addr addr[2])
{
    struct an_stream *s = mem_zero(sizeof(*s));
    if (!s) {
        all->out->stats.no_memory++;
        return NULL;
    }
    s->all = all;
    s->addr[0] = addr[0];
    s->addr[1] = addr[1];
    return s;
}

void an_stream_fresh(struct an_stream *s, unsigned side)
{
    s->side[side].fresh = true;
}

uint64_t stream_frame(const struct an_stream *s, const struct stream_view *v, size_t at)
{
    const struct stream_side *side = &s->side[v->side];
    uint64_t frame = v->seen->first_frame;
    if (!v->kept)
        return frame;
    for (uint32_t i = 0; i < side->n_marks && side->mark[i].at <= at; i++)
        frame = side->mark[i].frame;
    return frame;
}

void stream_emit(struct an_stream *s, unsigned side, struct str bytes, bool truncated,
                 const struct an_seen *seen)
{
    struct an_out *o = s->all->out;
    bytes = an_out_dup(o, bytes);
    struct an_datum *d = bytes.n ? an_out_put(o, seen) : NULL;
    if (!d)
        return;
    bool ws = s->kind == STREAM_WS;
    d->kind = AN_SIP;
    d->transport = s->inner ? (ws ? AN_WSS : AN_TLS) : ws ? AN_WS : AN_TCP;
    d->truncated = truncated;
    d->src = s->addr[side];
    d->dst = s->addr[1 - side];
    d->bytes = bytes;
    o->stats.sip[d->transport]++;
    o->stats.sip_bytes[d->transport] += bytes.n;
}

void stream_lose(struct an_stream *s, unsigned side, const struct an_seen *seen, struct str why)
{
    s->side[side].lost = true;
    s->side[side].scanned = 0;
    s->side[side].ws_frame = 0;
    ws_lose(&s->side[side].ws);
    an_out_warn(s->all->out, seen->frame, why, &s->addr[side], &s->addr[1 - side]);
}

/* HEP packets, each with its length. */
static size_t read_hep(struct an_stream *s, const struct stream_view *v)
{
    struct stream_side *side = &s->side[v->side];
    size_t at = 0;
    while (at < v->n) {
        int n = hep_length(v->p + at, v->n - at);
        if (n < 0) {
            if (!side->lost)
                stream_lose(s, v->side, v->seen, STR("a stream of HEP holds something else"));
            const uint8_t *next = memchr(v->p + at + 1, 'H', v->n - at - 1);
            at = next ? (size_t)(next - v->p) : v->n;
            continue;
        }
        side->lost = false;
        if (n == 0 || (size_t)n > v->n - at)
            break;
        struct an_seen seen = *v->seen;
        seen.first_frame = stream_frame(s, v, at);
        an_hep_read(s->all->out, &seen, str_of((const char *)v->p + at, (size_t)n), false);
        at += (size_t)n;
    }
    return at;
}

/* RFC 8446 section 5.1: a record of a handshake, or of data. */
static bool is_tls(const uint8_t *p, size_t n, uint8_t type)
{
    return n >= 3 && p[0] == type && p[1] == 3 && p[2] <= 4;
}

/* Do these bytes begin something known? Sets what. */
static enum an_start classify(const uint8_t *p, size_t n, enum stream_kind *kind)
{
    size_t have = n < 4 ? n : 4;
    *kind = STREAM_LOOK;
    if (p[0] == 0x16) {
        *kind = STREAM_TLS;
        return is_tls(p, n, 0x16) ? AN_START_YES : n < 3 ? AN_START_MAYBE : AN_START_NO;
    }
    if (memcmp(p, "HEP3", have) == 0) {
        *kind = STREAM_HEP;
        return have == 4 ? AN_START_YES : AN_START_MAYBE;
    }
    if (memcmp(p, "GET ", have) == 0 || memcmp(p, "HTTP", have) == 0) {
        size_t head = stream_http_head(p, n);
        *kind = STREAM_WS;
        if (head == 0)
            return n < AN_START_LINE ? AN_START_MAYBE : AN_START_NO;
        struct str text = str_of((const char *)p, head);
        return str_ifind(text, STR("websocket")) >= 0 ? AN_START_YES : AN_START_NO;
    }
    if (stream_ws_like(p, n)) {
        *kind = STREAM_WS;
        return AN_START_YES;
    }
    *kind = STREAM_SIP;
    return an_start_like((const char *)p, n, false);
}

static void become(struct an_stream *s, enum stream_kind kind)
{
    struct an_input_stats *stats = &s->all->out->stats;
    s->kind = (uint8_t)kind;
    stats->ws_connections += kind == STREAM_WS;
    stats->tls_connections += kind == STREAM_TLS;
}

/* What a load balancer puts in front of a connection, to say whose it is (the PROXY protocol of
 * HAProxy, versions 1 and 2): how many bytes; MAYBE and NO as elsewhere. */
static enum an_start proxy_head(const uint8_t *p, size_t n, size_t *bytes)
{
    static const char sign[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};
    enum { V1_MOST = 107, V2_HEAD = 16 };
    if (memcmp(p, "PROXY ", n < 6 ? n : 6) == 0) {
        const uint8_t *lf = memchr(p, '\n', n < V1_MOST ? n : V1_MOST);
        *bytes = lf ? (size_t)(lf + 1 - p) : 0;
        return lf ? AN_START_YES : n < V1_MOST ? AN_START_MAYBE : AN_START_NO;
    }
    /* Four bytes of it may as well be a keep-alive. */
    if (n <= 4 || memcmp(p, sign, n < sizeof(sign) ? n : sizeof(sign)) != 0)
        return AN_START_NO;
    if (n < V2_HEAD)
        return AN_START_MAYBE;
    *bytes = V2_HEAD + ((size_t)p[14] << 8 | p[15]);
    return n < *bytes ? AN_START_MAYBE : AN_START_YES;
}

/* What is said here? On a connection seen from its begin on the first bytes tell; on another one
 * SIP may begin anywhere. */
static size_t look(struct an_stream *s, const struct stream_view *v)
{
    struct stream_side *side = &s->side[v->side];
    enum stream_kind kind;
    size_t at = 0, head = 0;
    bool found;
    enum an_start proxy = side->fresh ? proxy_head(v->p, v->n, &head) : AN_START_NO;
    if (proxy == AN_START_MAYBE)
        return 0;
    if (proxy == AN_START_YES)
        at = head;
    while (at < v->n && (v->p[at] == '\r' || v->p[at] == '\n' || v->p[at] == 0))
        at++;
    if (at == v->n)
        return at;
    enum an_start r = classify(v->p + at, v->n - at, &kind);
    if (r == AN_START_YES)
        become(s, kind);
    if (r != AN_START_NO)
        return at;
    bool data = is_tls(v->p + at, v->n - at, 0x17);
    s->all->out->stats.tls_without_key += data;
    if (side->fresh || data) {
        s->ignored = true;
        return v->n;
    }
    size_t begin = at + an_start_find((const char *)v->p + at, v->n - at, &found);
    if (found)
        become(s, STREAM_SIP);
    s->looked += begin;
    if (!found && s->looked + v->n - begin > LOOK_BYTES)
        s->ignored = true;
    return begin;
}

static size_t read_view(struct an_stream *s, const struct stream_view *v)
{
    switch ((enum stream_kind)s->kind) {
    case STREAM_LOOK:
        return look(s, v);
    case STREAM_SIP:
        return stream_sip(s, v);
    case STREAM_WS:
        return stream_ws(s, v);
    case STREAM_HEP:
        return read_hep(s, v);
    case STREAM_TLS:
        return stream_tls(s, v);
    }
    return v->n;
}

/* Reads what can be read, also when it turns out on the way what it is. */
static size_t read_all(struct an_stream *s, struct stream_view v)
{
    size_t used = 0;
    uint8_t kind;
    do {
        kind = s->kind;
        size_t n = read_view(s, &v);
        used += n;
        v.p += n;
        v.n -= n;
        if (v.kept && n) {
            /* Marks count from the begin of the view. */
            struct stream_side *side = &s->side[v.side];
            uint32_t gone = 0;
            while (gone + 1 < side->n_marks && side->mark[gone + 1].at <= n)
                gone++;
            side->n_marks -= gone;
            memmove(side->mark, side->mark + gone, side->n_marks * sizeof(side->mark[0]));
            for (uint32_t i = 0; i < side->n_marks; i++)
                side->mark[i].at = side->mark[i].at > n ? side->mark[i].at - n : 0;
        }
    } while (kind != s->kind && !s->ignored);
    return used;
}

/* Keeps bytes for later. False: there is no room for them. */
static bool keep(struct an_stream *s, unsigned n_side, struct str bytes, uint64_t frame)
{
    struct stream_side *side = &s->side[n_side];
    struct an_streams *all = s->all;
    size_t need = side->n + bytes.n, cap = side->cap ? side->cap : 2048;
    while (cap < need)
        cap *= 2;
    if (cap > side->cap) {
        bool fits = cap - side->cap <= all->max_bytes - all->bytes;
        uint8_t *p = fits ? mem_resize(side->p, cap) : NULL;
        if (!p) {
            all->out->stats.no_memory++;
            return false;
        }
        all->bytes += cap - side->cap;
        side->p = p;
        side->cap = cap;
    }
    if (side->n == 0)
        side->n_marks = 0;
    if (side->n_marks < STREAM_MARKS)
        side->mark[side->n_marks++] = (struct stream_mark){side->n, frame};
    memcpy(side->p + side->n, bytes.p, bytes.n);
    side->n = need;
    return true;
}

/* Gives the memory of a side back, as others may need it. */
static void empty(struct an_stream *s, struct stream_side *side)
{
    s->all->bytes -= side->cap;
    mem_free(side->p);
    side->p = NULL;
    side->n = side->cap = side->n_marks = 0;
}

/* What a side holds is given up: as a cut message if it is one. */
static void give_up(struct an_stream *s, unsigned n_side, const struct an_seen *seen)
{
    struct stream_side *side = &s->side[n_side];
    struct an_seen cut = *seen;
    bool begins = s->kind == STREAM_SIP && !side->lost && side->n &&
                  an_start_like((char *)side->p, side->n, true) == AN_START_YES;
    if (begins && side->n_marks)
        cut.first_frame = side->mark[0].frame;
    if (begins)
        stream_emit(s, n_side, str_of((char *)side->p, side->n), true, &cut);
    side->scanned = 0;
    empty(s, side);
}

bool an_stream_data(struct an_stream *s, unsigned side, struct str bytes,
                    const struct an_seen *seen)
{
    struct stream_side *d = &s->side[side];
    struct stream_view v = {
        .p = (const uint8_t *)bytes.p, .n = bytes.n, .side = side, .seen = seen};
    if (s->ignored || bytes.n == 0)
        return !s->ignored;
    if (d->n) {
        if (!keep(s, side, bytes, seen->first_frame))
            return an_stream_gap(s, side, seen);
        v.p = d->p;
        v.n = d->n;
        v.kept = true;
    }
    size_t used = read_all(s, v);
    d->fresh = d->fresh && used == 0;
    if (s->ignored)
        return false;
    if (v.kept) {
        d->n -= used;
        memmove(d->p, d->p + used, d->n);
        if (d->n == 0)
            empty(s, d);
    } else if (used < bytes.n && !keep(s, side, str_from(bytes, used), seen->first_frame)) {
        return an_stream_gap(s, side, seen);
    }
    return true;
}

bool an_stream_gap(struct an_stream *s, unsigned side, const struct an_seen *seen)
{
    struct stream_side *d = &s->side[side];
    if (s->ignored)
        return false;
    give_up(s, side, seen);
    if (s->kind != STREAM_LOOK && !d->lost)
        an_out_warn(s->all->out, seen->frame, STR("bytes of a TCP stream are missing"),
                    &s->addr[side], &s->addr[1 - side]);
    d->fresh = false;
    d->lost = s->kind != STREAM_LOOK;
    d->ws_frame = 0;
    ws_lose(&d->ws);
    if (s->tls)
        tls_lose(s->tls, side);
    if (s->within && !an_stream_gap(s->within, side, seen))
        s->ignored = true;
    return !s->ignored;
}

void an_stream_free(struct an_stream *s, const struct an_seen *seen)
{
    for (unsigned i = 0; i < 2; i++) {
        struct stream_side *d = &s->side[i];
        if (!s->ignored && seen)
            give_up(s, i, seen);
        empty(s, d);
        stream_ws_empty(s, d);
    }
    tls_free(s->tls);
    if (s->within)
        an_stream_free(s->within, s->ignored ? NULL : seen);
    mem_free(s);
}
