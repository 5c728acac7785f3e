/* One description becomes the one for the other leg of the call: our addresses and ports, their
 * formats and wishes. */
#include "wire/sdp/caps.h"

#include <errno.h>

#include "base/num.h"
#include "wire/sdp/write.h"

enum fate { FATE_KEEP, FATE_OURS, FATE_ICE, FATE_KEYS, FATE_FMT, FATE_DIR, FATE_GROUP, FATE_SETUP };

static const uint8_t fate_of[SDP_A_COUNT] = {
#define ATTR(id, name, fate) [SDP_A_##id] = FATE_##fate,
#include "wire/sdp/attr.def"
#undef ATTR
};

static void put_type(struct buf *b, const struct addr *a)
{
    if (a->family == ADDR_V6)
        buf_lit(b, "IN IP6 ");
    else
        buf_lit(b, "IN IP4 ");
}

static void put_ip(struct buf *b, const struct addr *a)
{
    put_type(b, a);
    if (a->family == ADDR_NONE)
        buf_lit(b, "0.0.0.0");
    else
        addr_put_ip(b, a);
}

void sdp_write_origin(struct buf *b, const struct sdp_local *local)
{
    buf_lit(b, "o=- ");
    buf_u64(b, local->session_id);
    buf_ch(b, ' ');
    buf_u64(b, local->version);
    buf_ch(b, ' ');
    put_ip(b, &local->addr);
    buf_lit(b, "\r\n");
}

void sdp_write_conn(struct buf *b, const struct addr *a)
{
    buf_lit(b, "c=");
    put_ip(b, a);
    buf_lit(b, "\r\n");
}

void sdp_write_dir(struct buf *b, enum sdp_dir dir)
{
    buf_lit(b, "a=");
    buf_str_put(b, sdp_dir_text(dir));
    buf_lit(b, "\r\n");
}

void sdp_write_codec(struct buf *b, const struct sdp_codec *c)
{
    buf_lit(b, "a=rtpmap:");
    buf_u64(b, c->pt);
    buf_ch(b, ' ');
    buf_str_put(b, c->name);
    buf_ch(b, '/');
    buf_u64(b, c->clock);
    if (c->channels > 1) {
        buf_ch(b, '/');
        buf_u64(b, c->channels);
    }
    buf_lit(b, "\r\n");
    if (!c->fmtp.n)
        return;
    buf_lit(b, "a=fmtp:");
    buf_u64(b, c->pt);
    buf_ch(b, ' ');
    buf_str_put(b, c->fmtp);
    buf_lit(b, "\r\n");
}

static void put_line(struct buf *b, const struct sdp_line *l)
{
    buf_ch(b, l->type);
    buf_ch(b, '=');
    buf_str_put(b, l->value);
    buf_lit(b, "\r\n");
}

/* Lines whose fate does not depend on their media. */
static bool line_stays(const struct sdp_line *l, unsigned keep)
{
    if (l->type == 'k')
        return keep & SDP_KEEP_KEYS;
    if (l->type != 'a')
        return true;
    switch (fate_of[l->attr]) {
    case FATE_OURS:
        return (keep & SDP_KEEP_MUX) &&
               (l->attr == SDP_A_RTCP_MUX || l->attr == SDP_A_RTCP_MUX_ONLY);
    case FATE_ICE:
        return keep & SDP_KEEP_ICE;
    case FATE_KEYS:
    case FATE_SETUP:
        return keep & SDP_KEEP_KEYS;
    case FATE_GROUP:
        /* RFC 9143: bundled streams share one port, ours have one each. */
        return !str_istarts(sdp_attr_arg(l), STR("BUNDLE"));
    default:
        return true;
    }
}

/* The order of RFC 8866 section 5, in the groups between which lines of ours go. */
enum group {
    GROUP_VERSION,
    GROUP_NAME,
    GROUP_WHO,
    GROUP_CONN,
    GROUP_BANDWIDTH,
    GROUP_TIME,
    GROUP_REST
};

static enum group group_of(char type)
{
    switch (type) {
    case 'v':
    case 'o':
        return GROUP_VERSION;
    case 's':
        return GROUP_NAME;
    case 'i':
    case 'u':
    case 'e':
    case 'p':
        return GROUP_WHO;
    case 'c':
        return GROUP_CONN;
    case 'b':
        return GROUP_BANDWIDTH;
    case 't':
    case 'r':
    case 'z':
        return GROUP_TIME;
    default:
        return GROUP_REST; /* attributes, and lines of types that nobody knows */
    }
}

/* The lines of a group in their order, ours in the place of o=. */
static unsigned put_group(struct buf *b, const struct sdp *s, const struct sdp_rewrite *rw,
                          enum group g)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n_lines; i++) {
        const struct sdp_line *l = &s->line[i];
        if (group_of(l->type) != g || !line_stays(l, rw->keep))
            continue;
        n++;
        if (l->type == 'o')
            sdp_write_origin(b, &rw->local);
        else
            put_line(b, l);
    }
    return n;
}

/* The order is that of the RFC, whatever it was before. */
static void put_session(struct buf *b, const struct sdp *s, const struct sdp_rewrite *rw)
{
    put_group(b, s, rw, GROUP_VERSION);
    if (put_group(b, s, rw, GROUP_NAME) == 0)
        buf_lit(b, "s=-\r\n");
    put_group(b, s, rw, GROUP_WHO);
    sdp_write_conn(b, &rw->local.addr);
    put_group(b, s, rw, GROUP_BANDWIDTH);
    if (put_group(b, s, rw, GROUP_TIME) == 0)
        buf_lit(b, "t=0 0\r\n");
    put_group(b, s, rw, GROUP_REST);
}

/* Payload types of the kept formats, as a set. */
struct pt_set {
    uint64_t bit[2];
};

static void put_m_line(struct buf *b, const struct sdp_media *m, const struct sdp_choice_media *c,
                       uint16_t port, const struct sdp_extra *extra)
{
    buf_lit(b, "m=");
    buf_str_put(b, m->kind_text);
    buf_ch(b, ' ');
    buf_u64(b, port);
    buf_ch(b, ' ');
    buf_str_put(b, m->proto);
    unsigned n = c ? c->n : m->n_formats;
    for (unsigned i = 0; i < n; i++) {
        buf_ch(b, ' ');
        buf_str_put(b, m->format[c ? c->format[i] : i]);
    }
    for (unsigned i = 0; extra && i < extra->n; i++) {
        buf_ch(b, ' ');
        buf_u64(b, extra->codec[i].pt);
    }
    if (n == 0 && !extra)
        buf_lit(b, " 0"); /* the grammar asks for one format even of a stream that is off */
    buf_lit(b, "\r\n");
}

static struct pt_set kept_types(const struct sdp_media *m, const struct sdp_choice_media *c)
{
    struct pt_set set = {{0, 0}};
    if (!c || !m->rtp || (c->n == m->n_formats && c->n))
        return (struct pt_set){{UINT64_MAX, UINT64_MAX}};
    for (unsigned i = 0; i < c->n; i++) {
        uint64_t pt;
        if (num_u64(&pt, m->format[c->format[i]], 127) == 0)
            set.bit[pt / 64] |= 1ull << (pt % 64);
    }
    return set;
}

static bool media_line_stays(const struct sdp_media *m, const struct sdp_line *l, unsigned keep,
                             const struct pt_set *types)
{
    if (l->type == 'a' && fate_of[l->attr] == FATE_FMT && l->pt != SDP_NO_PT)
        return types->bit[l->pt / 64] >> (l->pt % 64) & 1;
    if (l->type == 'a' && fate_of[l->attr] == FATE_SETUP && !m->rtp)
        return true;
    return line_stays(l, keep);
}

void sdp_write_rtcp(struct buf *b, const struct sdp_stream *st)
{
    if (st->mux) {
        buf_lit(b, "a=rtcp-mux\r\n");
        return;
    }
    if (st->rtcp_port == 0 || st->rtcp_port == st->rtp.port + 1)
        return;
    buf_lit(b, "a=rtcp:");
    buf_u64(b, st->rtcp_port);
    buf_lit(b, "\r\n");
}

struct media_job {
    const struct sdp *s;
    const struct sdp_media *m;
    const struct sdp_choice_media *choice;
    const struct sdp_stream *stream;
    const struct sdp_extra *extra; /* NULL: not for this media */
    const struct sdp_rewrite *rw;
};

static void put_media_attrs(struct buf *b, const struct media_job *j, bool conn_done)
{
    struct pt_set types = kept_types(j->m, j->choice);
    enum sdp_dir dir = j->stream->set_dir ? j->stream->dir : sdp_media_dir(j->s, j->m);
    bool same_dir = dir == sdp_media_dir_line(j->s, j->m);
    for (unsigned i = 1; i < j->m->n_lines; i++) {
        const struct sdp_line *l = &j->m->line[i];
        if (!conn_done && l->type != 'i') {
            sdp_write_conn(b, &j->stream->rtp);
            conn_done = true;
        }
        if (l->type == 'c' || (l->type == 'a' && fate_of[l->attr] == FATE_DIR && !same_dir))
            continue;
        if (media_line_stays(j->m, l, j->rw->keep, &types))
            put_line(b, l);
    }
    if (!conn_done)
        sdp_write_conn(b, &j->stream->rtp);
    sdp_write_rtcp(b, j->stream);
    if (!same_dir)
        sdp_write_dir(b, dir);
}

/* The first label of a refused stream stays, so that groups keep their members. */
static void put_mid(struct buf *b, const struct sdp_media *m)
{
    if (!m->mid.p)
        return;
    buf_lit(b, "a=mid:");
    buf_str_put(b, m->mid);
    buf_lit(b, "\r\n");
}

static void put_media(struct buf *b, const struct media_job *j)
{
    bool refused = j->m->port == 0 || (j->choice && j->choice->refused) || !j->stream ||
                   j->stream->rtp.port == 0;
    const struct sdp_extra *extra = refused ? NULL : j->extra;
    put_m_line(b, j->m, j->choice, refused ? 0 : j->stream->rtp.port, extra);
    if (refused)
        put_mid(b, j->m);
    else
        put_media_attrs(b, j, addr_ip_eq(&j->stream->rtp, &j->rw->local.addr));
    for (unsigned i = 0; extra && i < extra->n; i++)
        sdp_write_codec(b, &extra->codec[i]);
}

int sdp_rewrite_build(struct buf *b, const struct sdp *s, const struct sdp_rewrite *rw)
{
    size_t before = b->n;
    BUG_ON(rw->choice && rw->choice->n_media != s->n_media);
    put_session(b, s, rw);
    for (unsigned i = 0; i < s->n_media; i++) {
        struct media_job j = {
            .s = s,
            .m = &s->media[i],
            .choice = rw->choice ? &rw->choice->media[i] : NULL,
            .stream = i < rw->n_streams ? &rw->stream[i] : NULL,
            .extra = rw->extra && rw->extra->media == i ? rw->extra : NULL,
            .rw = rw,
        };
        put_media(b, &j);
    }
    if (!b->full)
        return 0;
    b->n = before;
    return -ENOBUFS;
}
