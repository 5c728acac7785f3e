#include "pbx/location.h"

#include "base/mem.h"

/* ---- keys -------------------------------------------------------------------------------------
 */

void location_key_init(const struct pbx *p, struct location_key *ret,
                       const struct config_extension *e)
{
    struct buf b;
    buf_init(&b, ret->mem, sizeof(ret->mem));
    buf_lit(&b, "sip:");
    buf_str_put(&b, e->username);
    buf_ch(&b, '@');
    for (size_t i = 0; i < p->domain.n; i++)
        buf_ch(&b, chr_lower(p->domain.p[i]));
    ret->aor = buf_str(&b);
    ret->hash = hash_str(&p->registrar->by_aor, ret->aor);
}

const struct config_extension *location_extension(const struct pbx *p, struct str aor)
{
    ptrdiff_t at = str_rchr(aor, '@');
    if (at < 4 || !str_starts(aor, STR("sip:")))
        return NULL;
    return config_find_user(p->config, str_sub(aor, 4, (size_t)at - 4));
}

struct binding *location_next(const struct pbx *p, const struct location_key *key,
                              const struct binding *after)
{
    struct hash_node *node = after ? hash_again((struct hash_node *)(uintptr_t)&after->by_aor)
                                   : hash_first(&p->registrar->by_aor, key->hash);
    for (; node; node = hash_again(node)) {
        struct binding *b = container_of(node, struct binding, by_aor);
        if (str_eq(b->aor, key->aor))
            return b;
    }
    return NULL;
}

/* ---- texts ------------------------------------------------------------------------------------
 */

static char *pack(char *at, struct str *ret, struct str s)
{
    *ret = STR_NONE;
    if (!s.p)
        return at;
    if (s.n)
        memcpy(at, s.p, s.n);
    *ret = str_of(at, s.n);
    return at + s.n;
}

int location_keep(struct pbx *p, struct binding *b, const struct location_texts *t)
{
    /* A refresh brings the texts that are there already. */
    if (b->text_bytes && str_eq(b->call_id, t->call_id) && str_eq(b->contact, t->contact) &&
        str_eq(b->params, t->params) && str_eq(b->path, t->path) &&
        str_eq(b->user_agent, t->user_agent) && str_eq(b->aor, t->aor))
        return 0;
    size_t n = t->aor.n + t->contact.n + t->params.n + t->call_id.n + t->path.n + t->user_agent.n;
    char *mem = pool_take(&p->pool, n), *at = mem;
    void *old = (void *)(uintptr_t)b->aor.p;
    if (!mem)
        return -ENOMEM;
    at = pack(at, &b->aor, t->aor);
    at = pack(at, &b->contact, t->contact);
    at = pack(at, &b->params, t->params);
    at = pack(at, &b->call_id, t->call_id);
    at = pack(at, &b->path, t->path);
    pack(at, &b->user_agent, t->user_agent);
    b->instance = sip_param_get(b->params, STR("+sip.instance"));
    if (b->text_bytes)
        pool_put(&p->pool, old, b->text_bytes);
    b->text_bytes = (uint32_t)n;
    return 0;
}

/* ---- connections ------------------------------------------------------------------------------
 */

static uint64_t conn_hash(const struct pbx *p, uint32_t conn)
{
    return hash_bytes(&p->registrar->by_conn, &conn, sizeof(conn));
}

static bool conn_carries(const struct pbx *p, uint32_t conn)
{
    hash_each(node, &p->registrar->by_conn, conn_hash(p, conn))
    {
        if (container_of(node, struct binding, by_conn)->flow.conn == conn)
            return true;
    }
    return false;
}

static void conn_keep(struct pbx *p, const struct flow *flow, bool keep)
{
    struct pbx_out *o = pbx_emit(p, PBX_OUT_KEEP);
    o->flow = *flow;
    o->keep = keep;
}

static void conn_leave(struct pbx *p, struct binding *b)
{
    if (!b->on_conn)
        return;
    hash_remove(&p->registrar->by_conn, &b->by_conn);
    b->on_conn = false;
    if (!conn_carries(p, b->flow.conn))
        conn_keep(p, &b->flow, false);
}

static void conn_join(struct pbx *p, struct binding *b)
{
    if (!b->flow.conn)
        return;
    if (!conn_carries(p, b->flow.conn))
        conn_keep(p, &b->flow, true);
    hash_put(&p->registrar->by_conn, &b->by_conn, conn_hash(p, b->flow.conn));
    b->on_conn = true;
}

void location_flow_put(struct pbx *p, struct binding *b, const struct flow *flow, bool natted)
{
    b->natted = natted;
    if (b->on_conn && b->flow.conn == flow->conn) {
        b->flow = *flow;
        return;
    }
    conn_leave(p, b);
    b->flow = *flow;
    conn_join(p, b);
}

/* ---- life -------------------------------------------------------------------------------------
 */

struct binding *location_take(struct pbx *p, const struct location_texts *t)
{
    struct registrar *r = p->registrar;
    handle_t h;
    struct binding *b = slot_take(&r->slots, &h);
    if (!b)
        return NULL;
    if (location_keep(p, b, t)) {
        slot_put(&r->slots, h);
        return NULL;
    }
    b->registered_at = p->now;
    hash_put(&r->by_aor, &b->by_aor, hash_str(&r->by_aor, b->aor));
    return b;
}

static void binding_expired(struct pbx *p, struct pbx_timer *t)
{
    location_drop(p, container_of(t, struct binding, expiry), STR("expired"));
}

void location_live(struct pbx *p, struct binding *b, usec_t life)
{
    b->expires_at = p->now + life;
    b->expiry.fire = binding_expired;
    pbx_timer_start(p, &b->expiry, life);
}

static void binding_free(struct pbx *p, struct binding *b)
{
    struct registrar *r = p->registrar;
    pbx_timer_stop(p, &b->expiry);
    hash_remove(&r->by_aor, &b->by_aor);
    pool_put(&p->pool, (void *)(uintptr_t)b->aor.p, b->text_bytes);
    slot_put(&r->slots, slot_handle(&r->slots, b));
}

void location_drop(struct pbx *p, struct binding *b, struct str reason)
{
    trace_emit(&p->trace, TRACE_UNREGISTERED, 0, TS(b->aor), TS(b->contact), TS(reason));
    location_row_del(p, b->aor, b->contact);
    conn_leave(p, b);
    binding_free(p, b);
}

void location_clear(struct pbx *p)
{
    struct registrar *r = p->registrar;
    uint32_t at = 0;
    handle_t h;
    struct binding *b;
    while ((b = slot_next(&r->slots, &at, &h))) {
        if (b->on_conn)
            hash_remove(&r->by_conn, &b->by_conn);
        binding_free(p, b);
    }
}

/* Whom nothing but the connection reaches is gone with it. The others are called where their
 * contact says. */
void registrar_flow_failed(struct pbx *p, const struct flow *flow)
{
    struct registrar *r = p->registrar;
    struct hash_node *node, *next;
    if (!flow->conn)
        return;
    for (node = hash_first(&r->by_conn, conn_hash(p, flow->conn)); node; node = next) {
        struct binding *b = container_of(node, struct binding, by_conn);
        next = hash_again(node);
        if (b->flow.conn != flow->conn)
            continue;
        hash_remove(&r->by_conn, &b->by_conn);
        b->on_conn = false;
        b->flow.conn = 0;
        if (b->natted)
            location_drop(p, b, STR("connection lost"));
    }
}

/* ---- rows -------------------------------------------------------------------------------------
 */

/* A view of a binding's text as a view of its copy; none stays none. */
static struct str moved(struct str s, const char *from, const char *to)
{
    return s.p ? str_of(to + (s.p - from), s.n) : STR_NONE;
}

static struct row_value text_or_null(struct str s)
{
    return s.p ? ROW_S(s) : (struct row_value){.type = ROW_NULL};
}

static struct str flow_text(struct pbx *p, const struct binding *b)
{
    char mem[96];
    struct buf text;
    struct str proto = proto_name((enum proto)b->flow.proto);
    buf_init(&text, mem, sizeof(mem));
    for (size_t i = 0; i < proto.n; i++)
        buf_ch(&text, chr_lower(proto.p[i]));
    buf_ch(&text, ' ');
    buf_u64(&text, b->flow.listener);
    buf_ch(&text, ' ');
    addr_put(&text, &b->flow.peer);
    if (b->natted)
        buf_lit(&text, " nat");
    return pbx_turn_dup(p, buf_str(&text));
}

void location_row_put(struct pbx *p, const struct binding *b)
{
    /* The binding may change again before the outputs of this turn are taken. */
    const char *from = b->aor.p;
    const char *to = pbx_turn_dup(p, str_of(from, b->text_bytes)).p;
    struct str flow = flow_text(p, b);
    if (!to || !flow.p)
        return;
    struct row_op *row = pbx_store(p, STORE_BINDING_PUT);
    usec_t left = b->expires_at > p->now ? b->expires_at - p->now : 0;
    row->n = 11;
    row->v[0] = ROW_S(moved(b->aor, from, to));
    row->v[1] = ROW_S(moved(b->contact, from, to));
    row->v[2] = ROW_S(moved(b->call_id, from, to));
    row->v[3] = ROW_I(b->cseq);
    row->v[4] = ROW_I(pbx_wall_ms(p) + left / USEC_MS);
    row->v[5] = ROW_I(b->q);
    row->v[6] = text_or_null(moved(b->path, from, to));
    row->v[7] = ROW_S(flow);
    row->v[8] = text_or_null(moved(b->instance, from, to));
    row->v[9] = text_or_null(moved(b->user_agent, from, to));
    row->v[10] = text_or_null(moved(b->params, from, to));
}

void location_row_del(struct pbx *p, struct str aor, struct str contact)
{
    aor = pbx_turn_dup(p, aor);
    contact = pbx_turn_dup(p, contact);
    if (!aor.p || !contact.p)
        return;
    struct row_op *row = pbx_store(p, STORE_BINDING_DEL);
    row->n = 2;
    row->v[0] = ROW_S(aor);
    row->v[1] = ROW_S(contact);
}

/* ---- reaching ---------------------------------------------------------------------------------
 */

bool location_uri_flow(const struct sip_uri *uri, struct flow *ret)
{
    struct addr a;
    enum proto proto;
    if (uri->scheme != SIP_SCHEME_SIP && uri->scheme != SIP_SCHEME_SIPS)
        return false;
    if (sip_uri_proto(uri, &proto))
        return false;
    struct str host = uri->maddr.n ? uri->maddr : uri->host;
    uint16_t port = uri->port ? uri->port : proto == PROTO_TLS ? 5061 : sip_uri_port(uri);
    if (addr_parse(&a, host, port))
        return false;
    *ret = (struct flow){.proto = (uint8_t)proto, .listener = 0xFF, .peer = a};
    return true;
}

/* Did NAT rewrite the source of a request that came straight from the phone? Then Via names another
 * address than it came from. */
static bool source_rewritten(const struct sip_msg *m, const struct flow *flow, struct addr *sent_by)
{
    struct sip_values via = sip_values(m, SIP_H_VIA);
    struct str v;
    unsigned hops = 0;
    while (hops < 2 && sip_values_next(&via, &v))
        hops++;
    return hops == 1 && addr_parse(sent_by, m->via.host, 0) == 0 &&
           !addr_ip_eq(sent_by, &flow->peer);
}

bool location_is_natted(const struct sip_msg *m, const struct flow *flow,
                        const struct sip_uri *contact)
{
    struct addr there, sent_by;
    if (flow->proto == PROTO_WS || flow->proto == PROTO_WSS)
        return true; /* RFC 7118 5: nobody can connect to a browser */
    if (addr_parse(&there, contact->host, sip_uri_port(contact)))
        return true; /* a name only the phone's network may know */
    bool rewritten = source_rewritten(m, flow, &sent_by);
    if (addr_ip_eq(&there, &flow->peer)) /* learnt by STUN, perhaps for another port */
        return rewritten && there.port != flow->peer.port;
    bool source_inside = addr_is_private(&flow->peer) || addr_is_loopback(&flow->peer);
    if (addr_is_private(&there) && !source_inside)
        return true;
    /* Its own machine: ours is not what it can mean. */
    if (addr_is_any(&there) || (addr_is_loopback(&there) && !addr_is_loopback(&flow->peer)))
        return true;
    /* A contact at the phone itself is out of reach; one elsewhere is meant. */
    return rewritten && (addr_ip_eq(&there, &sent_by) || addr_is_private(&there));
}

void registrar_reach(struct pbx *p, const struct binding *b, struct flow *to, struct str *route)
{
    struct sip_uri uri;
    struct sip_nameaddr hop;
    struct str rest = b->path, first;
    struct flow there;
    *route = b->path.p ? b->path : STR("");
    *to = b->flow;
    if (b->path.n) { /* RFC 3327 5.4: the first hop of the path, or whoever brought the REGISTER */
        if (sip_list_next(&rest, &first) && sip_nameaddr_parse(&hop, first) == 0 &&
            location_uri_flow(&hop.uri, &there) && !b->flow.conn)
            *to = there;
        return;
    }
    if (b->natted || sip_uri_parse(&uri, b->contact) || !location_uri_flow(&uri, &there))
        return;
    /* A connection that is there is used again, unless the contact asks for another transport. */
    if (b->flow.conn && (!uri.transport.n || there.proto == b->flow.proto))
        return;
    if (!uri.transport.n && uri.scheme != SIP_SCHEME_SIPS)
        there.proto = b->flow.proto;
    if (there.proto == b->flow.proto)
        there.listener = b->flow.listener;
    if (pbx_listens(p, &there)) /* else as its REGISTER came */
        *to = there;
}

bool registrar_is_sips(const struct binding *b)
{
    return str_istarts(b->contact, STR("sips:"));
}

struct str registrar_target(struct pbx *p, const struct binding *b, bool sips)
{
    struct sip_uri uri;
    struct str target = b->contact;
    struct buf out;
    if (sip_uri_parse(&uri, target) == 0 && uri.headers.p)
        target = str_sub(target, 0, (size_t)(uri.headers.p - target.p) - 1);
    if (sips || !registrar_is_sips(b))
        return target;
    char *mem = arena_take(&p->turn, target.n);
    if (!mem)
        return target;
    buf_init(&out, mem, target.n);
    buf_lit(&out, "sip:");
    buf_str_put(&out, str_from(target, 5));
    return buf_str(&out);
}
