/* What a session offers and what it was given. RFC 6787 sections 4.2 to 4.4. */
#include <errno.h>

#include "base/hash.h"
#include "base/mem.h"
#include "engine/mrcp/client_int.h"

#define SDP_ARENA_BYTES (256u << 10)

struct mrcp_channel *session_channel(const struct mrcp_session *s, enum mrcp_resource r)
{
    for (unsigned i = 0; i < MRCP_MAX_CHANNELS; i++)
        if (s->channel[i].step != CHANNEL_NONE && s->channel[i].resource == r)
            return (struct mrcp_channel *)(uintptr_t)&s->channel[i];
    return NULL;
}

/* A line that no channel has any more may be used again (RFC 3264 section 8.1). */
static int line_take(struct mrcp_session *s, uint8_t kind, uint8_t channel)
{
    unsigned i = 0;
    while (i < s->n_lines && s->line[i].kind != LINE_GONE)
        i++;
    if (i == MRCP_MAX_LINES)
        return -ENOSPC;
    s->line[i].kind = kind;
    s->line[i].channel = channel;
    if (i == s->n_lines)
        s->n_lines++;
    return (int)i;
}

static int channel_want(struct mrcp_session *s, enum mrcp_resource r)
{
    enum mrcp_kind kind = mrcp_resource_kind(r);
    if (kind != MRCP_SYNTH && kind != MRCP_RECOG && kind != MRCP_RECORDER)
        return -EINVAL;
    if (session_channel(s, r))
        return -EEXIST;
    for (uint8_t i = 0; i < MRCP_MAX_CHANNELS; i++) {
        if (s->channel[i].step != CHANNEL_NONE)
            continue;
        int line = line_take(s, LINE_CHANNEL, i);
        if (line < 0)
            return line;
        s->channel[i] = (struct mrcp_channel){
            .step = CHANNEL_WANTED, .resource = r, .kind = kind, .line = (uint8_t)line};
        return 0;
    }
    return -ENOSPC;
}

static int conf_apply(struct mrcp_session *s, const struct mrcp_session_conf *conf)
{
    if (!conf->n_resources || conf->n_codecs > MRCP_MAX_CODECS || !conf->rtp.family ||
        conf->server.n >= MRCP_MAX_SERVER)
        return -EINVAL;
    s->user = conf->user;
    s->share = conf->share;
    s->tls = conf->tls;
    s->rtp = conf->rtp;
    s->ptime_ms = conf->ptime_ms;
    str_copy_z(s->server, sizeof(s->server), conf->server);
    for (unsigned i = 0; i < conf->n_codecs; i++) {
        if (conf->codec[i].n >= sizeof(s->codec[0]))
            return -EINVAL;
        str_copy_z(s->codec[i], sizeof(s->codec[0]), conf->codec[i]);
    }
    s->n_codecs = conf->n_codecs;
    /* Control lines first, as the RFC's own examples have them. */
    for (unsigned i = 0; i < conf->n_resources; i++) {
        int err = channel_want(s, conf->resource[i]);
        if (err)
            return err == -EEXIST ? -EINVAL : err;
    }
    return line_take(s, LINE_AUDIO, 0) < 0 ? -EINVAL : 0;
}

int mrcp_session_open(struct mrcp_client *c, usec_t now, const struct mrcp_session_conf *conf,
                      handle_t *ret)
{
    handle_t h;
    c->now = now;
    struct mrcp_session *s = slot_take(&c->sessions, &h);
    if (!s)
        return -ENOSPC;
    int err = conf_apply(s, conf);
    if (err) {
        slot_put(&c->sessions, h);
        return err;
    }
    s->sdp_id = rand_u64(&c->rand) >> 2; /* fits a signed number everywhere */
    for (unsigned i = 0; i < MRCP_MAX_REQUESTS; i++)
        s->request[i].session = s;
    *ret = h;
    return 0;
}

int mrcp_session_add(struct mrcp_client *c, handle_t session, enum mrcp_resource r)
{
    struct mrcp_session *s = slot_find(&c->sessions, session);
    return s ? channel_want(s, r) : -ENOENT;
}

static void channel_gone(struct mrcp_client *c, struct mrcp_session *s, struct mrcp_channel *ch)
{
    requests_drop(c, s, ch);
    control_release(c, ch);
    s->line[ch->line].kind = LINE_GONE;
    ch->step = CHANNEL_NONE;
}

int mrcp_session_remove(struct mrcp_client *c, handle_t session, enum mrcp_resource r)
{
    struct mrcp_session *s = slot_find(&c->sessions, session);
    struct mrcp_channel *ch = s ? session_channel(s, r) : NULL;
    if (!ch)
        return -ENOENT;
    if (ch->step == CHANNEL_WANTED)
        channel_gone(c, s, ch);
    else
        ch->step = CHANNEL_LEAVING;
    return 0;
}

/* ---- the offer ------------------------------------------------------------------------------- */

/* Synthesizers send to us, the others hear us (section 4.3). */
static enum sdp_dir direction(const struct mrcp_session *s)
{
    bool in = false, out = false;
    for (unsigned i = 0; i < MRCP_MAX_CHANNELS; i++) {
        const struct mrcp_channel *ch = &s->channel[i];
        if (ch->step != CHANNEL_WANTED && ch->step != CHANNEL_AGREED)
            continue;
        in |= ch->kind == MRCP_SYNTH;
        out |= ch->kind != MRCP_SYNTH;
    }
    if (in && out)
        return SDP_SENDRECV;
    return in ? SDP_RECVONLY : out ? SDP_SENDONLY : SDP_INACTIVE;
}

static struct str protocol(const struct mrcp_session *s)
{
    return s->tls ? STR("TCP/TLS/MRCPv2") : STR("TCP/MRCPv2");
}

static void channel_line(struct buf *b, const struct mrcp_session *s, const struct mrcp_channel *ch,
                         bool existing)
{
    buf_printf(b, "m=application 9 " STR_FMT " 1\r\n", STR_ARG(protocol(s)));
    buf_lit(b, "a=setup:active\r\na=connection:");
    buf_z(b, existing ? "existing" : "new");
    buf_lit(b, "\r\na=resource:");
    buf_str_put(b, mrcp_resource_name(ch->resource));
    buf_lit(b, "\r\na=cmid:1\r\n");
}

static void no_line(struct buf *b, const struct mrcp_session *s)
{
    buf_printf(b, "m=application 0 " STR_FMT " 1\r\n", STR_ARG(protocol(s)));
}

static void lines(struct buf *b, const struct mrcp_client *c, const struct mrcp_session *s,
                  struct str audio)
{
    /* "new" on the very first control line; then one connection does for all (section 4.2). */
    bool existing = control_can_share(c, s);
    for (unsigned i = 0; i < s->n_lines; i++) {
        const struct mrcp_channel *ch = &s->channel[s->line[i].channel];
        switch ((enum line_kind)s->line[i].kind) {
        case LINE_AUDIO:
            buf_str_put(b, audio);
            buf_lit(b, "a=mid:1\r\n");
            break;
        case LINE_CHANNEL:
            if (ch->step == CHANNEL_LEAVING) {
                no_line(b, s);
                break;
            }
            channel_line(b, s, ch, ch->step == CHANNEL_AGREED || existing);
            existing |= s->share;
            break;
        default:
            no_line(b, s);
        }
    }
}

static int write_offer(struct buf *b, const struct mrcp_client *c, const struct mrcp_session *s)
{
    char mem[2048];
    struct buf audio;
    struct str codec[MRCP_MAX_CODECS];
    for (unsigned i = 0; i < s->n_codecs; i++)
        codec[i] = str_z(s->codec[i]);
    struct sdp_caps caps = {
        .local = {.session_id = s->sdp_id, .version = s->sdp_id + s->sdp_version, .addr = s->rtp},
        .codec = codec,
        .n_codecs = s->n_codecs,
        .rtp = s->rtp,
        .dir = direction(s),
        .ptime_ms = s->ptime_ms};
    buf_init(&audio, mem, sizeof(mem));
    int err = sdp_caps_build(&audio, &caps);
    if (err)
        return err == -ENOENT ? -EINVAL : err;
    ptrdiff_t at = str_ifind(buf_str(&audio), STR("m=audio"));
    buf_str_put(b, str_sub(buf_str(&audio), 0, (size_t)at));
    lines(b, c, s, str_from(buf_str(&audio), (size_t)at));
    return b->full ? -ENOBUFS : 0;
}

/* RFC 3264 section 8: the version grows with each change, and with nothing else. */
int mrcp_session_offer(struct mrcp_client *c, handle_t session, struct buf *b)
{
    static const struct hash_table unseeded;
    struct mrcp_session *s = slot_find(&c->sessions, session);
    size_t before = b->n;
    int err = s ? write_offer(b, c, s) : -ENOENT;
    uint64_t hash = err ? 0 : hash_str(&unseeded, str_from(buf_str(b), before));
    if (!err && s->sdp_hash && hash != s->sdp_hash) {
        b->n = before;
        s->sdp_version++;
        err = write_offer(b, c, s);
        hash = hash_str(&unseeded, str_from(buf_str(b), before));
    }
    if (err)
        b->n = before;
    else
        s->sdp_hash = hash;
    return err;
}

/* ---- the answer ------------------------------------------------------------------------------ */

struct given {
    const struct sdp_media *media; /* NULL: the answer says nothing of it */
    struct str id;
    struct addr peer;
    bool existing;
};

static struct str attribute(const struct sdp *d, const struct sdp_media *m, struct str name)
{
    const struct sdp_line *l = sdp_attr_find(d, m, name);
    return l ? sdp_attr_arg(l) : STR_NONE;
}

/* Servers reorder their lines: a channel is known by what its identifier says it is, and only a
 * refused one, which has none, by its place. */
static void find_given(const struct sdp *d, const struct mrcp_channel *ch, struct given *ret)
{
    *ret = (struct given){.media = NULL};
    for (unsigned i = 0; i < d->n_media; i++) {
        const struct sdp_media *m = &d->media[i];
        struct str id = attribute(d, m, STR("channel"));
        ptrdiff_t at = str_rchr(id, '@');
        if (m->kind != SDP_APPLICATION || at < 1 ||
            mrcp_resource_find(str_from(id, (size_t)at + 1)) != ch->resource)
            continue;
        ret->media = m;
        ret->id = id;
        ret->existing = str_ieq(m->connection, STR("existing"));
        return;
    }
}

/* An error if it is an answer that cannot be. */
static int check_given(const struct mrcp_session *s, const struct sdp *d, struct given *g)
{
    if (!g->media || !g->media->port)
        return 0;
    if (g->id.n >= MRCP_MAX_CHANNEL)
        return -EBADMSG;
    if (sdp_media_addr(&g->peer, d, g->media))
        return -EDESTADDRREQ;
    if (str_ieq(g->media->proto, protocol(s)))
        return 0;
    /* Fail closed: what is said on it was to be secret. */
    return s->tls && str_ieq(g->media->proto, STR("TCP/MRCPv2")) ? -EPROTOTYPE : -EBADMSG;
}

static void give(struct mrcp_client *c, struct mrcp_session *s, struct mrcp_channel *ch,
                 const struct given *g)
{
    if (!g->media || !g->media->port) {
        client_emit(c, s, MRCP_OUT_REFUSED)->resource = ch->resource;
        channel_gone(c, s, ch);
        return;
    }
    str_copy_z(ch->id, sizeof(ch->id), g->id);
    if (ch->step == CHANNEL_WANTED)
        ch->conn = control_take(c, s, &g->peer, g->existing);
    ch->step = CHANNEL_AGREED;
    if (!ch->conn)
        session_fail(c, s, -ECONNREFUSED);
}

static int answer(struct mrcp_client *c, struct mrcp_session *s, const struct sdp *d)
{
    struct given g[MRCP_MAX_CHANNELS];
    bool any = false, leaves = false;
    for (unsigned i = 0; i < MRCP_MAX_CHANNELS; i++) {
        const struct mrcp_channel *ch = &s->channel[i];
        g[i] = (struct given){.media = NULL};
        if (ch->step == CHANNEL_NONE)
            continue;
        find_given(d, ch, &g[i]);
        int err = check_given(s, d, &g[i]);
        if (err)
            return err;
        leaves |= ch->step == CHANNEL_LEAVING;
        any |= ch->step != CHANNEL_NONE && ch->step != CHANNEL_LEAVING && g[i].media &&
               g[i].media->port;
    }
    if (!any && !leaves)
        return -ENOTSUP;
    for (unsigned i = 0; i < MRCP_MAX_CHANNELS && !s->failed; i++) {
        struct mrcp_channel *ch = &s->channel[i];
        if (ch->step == CHANNEL_LEAVING)
            channel_gone(c, s, ch);
        else if (ch->step != CHANNEL_NONE)
            give(c, s, ch, &g[i]);
    }
    s->ready = false;
    session_look(c, s);
    return 0;
}

int mrcp_session_answer(struct mrcp_client *c, usec_t now, handle_t session, struct str sdp)
{
    struct mrcp_session *s = slot_find(&c->sessions, session);
    struct arena arena;
    struct sdp d;
    c->now = now;
    if (!s)
        return -ENOENT;
    arena_init(&arena, SDP_ARENA_BYTES);
    int err = sdp_parse(&d, sdp, &arena, NULL);
    err = !sdp.n ? -ENOMSG : err ? -EBADMSG : answer(c, s, &d);
    arena_done(&arena);
    if (err)
        mrcp_session_refused(c, session);
    return err;
}

void mrcp_session_refused(struct mrcp_client *c, handle_t session)
{
    struct mrcp_session *s = slot_find(&c->sessions, session);
    for (unsigned i = 0; s && i < MRCP_MAX_CHANNELS; i++) {
        struct mrcp_channel *ch = &s->channel[i];
        if (ch->step == CHANNEL_WANTED)
            channel_gone(c, s, ch);
        else if (ch->step == CHANNEL_LEAVING)
            ch->step = CHANNEL_AGREED;
    }
}

bool mrcp_session_offers(const struct mrcp_client *c, handle_t session, struct str codec)
{
    const struct mrcp_session *s = slot_find(&c->sessions, session);
    bool any = false;
    for (unsigned i = 0; s && i < s->n_codecs; i++)
        any |= str_ieq(str_z(s->codec[i]), codec);
    return any;
}

static bool channel_same(const struct mrcp_session *s, const struct mrcp_channel *ch,
                         const struct sdp *d, const struct sdp_media *line)
{
    struct given g;
    find_given(d, ch, &g);
    return ch->step == CHANNEL_AGREED && g.media == line && g.media->port &&
           check_given(s, d, &g) == 0 && str_eq(g.id, str_z(ch->id));
}

/* RFC 3264 section 6.1: whether ours is an answer to theirs. */
static bool audio_same(const struct mrcp_session *s, const struct sdp *d,
                       const struct sdp_media *line)
{
    enum sdp_dir theirs = sdp_media_dir(d, line), ours = direction(s);
    bool fits = theirs == SDP_SENDRECV || (theirs == SDP_SENDONLY && ours == SDP_RECVONLY) ||
                (theirs == SDP_RECVONLY && ours == SDP_SENDONLY);
    return line->kind == SDP_AUDIO && line->port && fits;
}

static bool line_same(const struct mrcp_session *s, unsigned i, const struct sdp *d)
{
    const struct sdp_media *line = &d->media[i];
    switch ((enum line_kind)s->line[i].kind) {
    case LINE_AUDIO:
        return audio_same(s, d, line);
    case LINE_CHANNEL:
        return channel_same(s, &s->channel[s->line[i].channel], d, line);
    default:
        return line->port == 0;
    }
}

bool mrcp_session_same(const struct mrcp_client *c, handle_t session, struct str sdp)
{
    const struct mrcp_session *s = slot_find(&c->sessions, session);
    struct arena arena;
    struct sdp d;
    arena_init(&arena, SDP_ARENA_BYTES);
    bool same = s && sdp_parse(&d, sdp, &arena, NULL) == 0 && d.n_media == s->n_lines;
    for (unsigned i = 0; same && i < s->n_lines; i++)
        same = line_same(s, i, &d);
    arena_done(&arena);
    return same;
}

void session_look(struct mrcp_client *c, struct mrcp_session *s)
{
    unsigned n = 0;
    if (s->ready || s->failed)
        return;
    for (unsigned i = 0; i < MRCP_MAX_CHANNELS; i++) {
        const struct mrcp_channel *ch = &s->channel[i];
        const struct mrcp_conn *k = slot_find(&c->conns, ch->conn);
        if (ch->step == CHANNEL_NONE)
            continue;
        if (ch->step == CHANNEL_WANTED || !k || k->state != CONN_UP)
            return;
        n++;
    }
    s->ready = n > 0;
    if (n)
        client_emit(c, s, MRCP_OUT_READY);
}

void session_fail(struct mrcp_client *c, struct mrcp_session *s, int err)
{
    if (s->failed)
        return;
    s->failed = true;
    for (unsigned i = 0; i < MRCP_MAX_CHANNELS; i++)
        requests_drop(c, s, &s->channel[i]);
    client_emit(c, s, MRCP_OUT_FAILED)->err = err;
}

void mrcp_session_close(struct mrcp_client *c, usec_t now, handle_t session)
{
    struct mrcp_session *s = slot_find(&c->sessions, session);
    c->now = now;
    for (unsigned i = 0; s && i < MRCP_MAX_CHANNELS; i++)
        if (s->channel[i].step != CHANNEL_NONE)
            channel_gone(c, s, &s->channel[i]);
    if (s)
        slot_put(&c->sessions, session);
}
